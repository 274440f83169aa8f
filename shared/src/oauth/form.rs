//! Form bodies, byte for byte as Qwen Code writes them.

use zeroize::Zeroizing;

/// A body of type `application/x-www-form-urlencoded` that is being written, its fields in the order they are added.
///
/// The encoding is that of JavaScript's `encodeURIComponent`: a blank is `%20`, never `+`, and `! ' ( ) * ~ - _ .`
/// stay as they are. Every server decodes it (RFC 6749, appendix B), and Qwen's has never seen another form. The
/// memory is zeroed when dropped, since the fields hold codes and tokens.
#[derive(Default)]
pub(super) struct Form(Zeroizing<String>);

impl Form {
    /// Adds a field.
    #[must_use]
    pub(super) fn field(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
        self
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub(super) fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Returns the body so far.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

fn encode(text: &str, into: &mut String) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(HEX[usize::from(byte >> 4)]);
            into.push(HEX[usize::from(byte & 15)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Form;

    #[test]
    fn values_are_encoded_as_javascript_does() {
        for (raw, encoded) in [
            ("", ""),
            ("openid profile", "openid%20profile"),
            ("urn:ietf:params", "urn%3Aietf%3Aparams"),
            ("a-_.!~*'()z", "a-_.!~*'()z"),
            ("a+b&c=d/e?f", "a%2Bb%26c%3Dd%2Fe%3Ff"),
            ("ü漢🎉", "%C3%BC%E6%BC%A2%F0%9F%8E%89"),
            ("\n\0%", "%0A%00%25"),
        ] {
            assert_eq!(Form::default().field("k", raw).as_str(), format!("k={encoded}"));
        }
    }

    #[test]
    fn fields_keep_their_order_and_absent_ones_leave_no_trace() {
        let form = Form::default()
            .field("b", "1")
            .optional("x", None)
            .optional("a", Some("2"));
        assert_eq!(form.as_str(), "b=1&a=2");
    }
}

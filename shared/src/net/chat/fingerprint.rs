//! What a text was, without the text.

/// A digest of a text's characters, blanks aside: enough to know a repetition, in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    hash: u64,
    count: usize,
}

impl Default for Fingerprint {
    fn default() -> Self {
        // FNV-1a, 64 bits.
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            count: 0,
        }
    }
}

impl Fingerprint {
    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.add_byte(byte);
        }
    }

    const fn add_byte(&mut self, byte: u8) {
        if !byte.is_ascii_whitespace() {
            self.hash = (self.hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3);
            self.count += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns what follows in `text` after the text of this fingerprint; `None` when it does not begin with that.
    pub(super) fn rest<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut seen = Self::default();
        for (at, byte) in text.bytes().enumerate() {
            if seen.count == self.count {
                return (seen == *self).then(|| text.get(at..)).flatten();
            }
            seen.add_byte(byte);
        }
        (seen == *self).then_some("")
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn a_text_that_begins_with_what_came_is_known_by_it() {
        let mut seen = Fingerprint::default();
        seen.add("How can ");
        seen.add("I help?\n");
        assert_eq!(seen.rest("How can I help?"), Some(""));
        assert_eq!(seen.rest("How can I help? Tell"), Some(" Tell"));
        assert_eq!(seen.rest("How can I"), None);
        assert_eq!(seen.rest("Why can I help?"), None);
    }
}

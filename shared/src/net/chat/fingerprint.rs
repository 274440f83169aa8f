//! What a text was, without the text.

/// Digests of a text, with its blanks and without: enough to know a repetition, in a few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint {
    /// Of the characters that are no blanks, and how many bytes they are.
    hash: u64,
    count: usize,
    /// Of all characters, and how many bytes they are.
    exact_hash: u64,
    length: usize,
}

// FNV-1a, 64 bits.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

impl Default for Fingerprint {
    fn default() -> Self {
        Self {
            hash: OFFSET,
            count: 0,
            exact_hash: OFFSET,
            length: 0,
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
        self.exact_hash = (self.exact_hash ^ byte as u64).wrapping_mul(PRIME);
        self.length += 1;
        if !byte.is_ascii_whitespace() {
            self.hash = (self.hash ^ byte as u64).wrapping_mul(PRIME);
            self.count += 1;
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns what follows in `text` after the text of this fingerprint, blanks aside; `None` when it does not begin with
    /// that.
    pub(super) fn rest<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut seen = Self::default();
        for (at, byte) in text.bytes().enumerate() {
            if seen.count == self.count {
                return (seen.hash == self.hash).then(|| text.get(at..)).flatten();
            }
            seen.add_byte(byte);
        }
        (seen.count == self.count && seen.hash == self.hash).then_some("")
    }

    /// As [`Fingerprint::rest`], for a text that begins with this one to the last blank.
    pub(super) fn exact_rest<'t>(&self, text: &'t str) -> Option<&'t str> {
        let (before, rest) = text.split_at_checked(self.length)?;
        let mut seen = Self::default();
        seen.add(before);
        (seen.exact_hash == self.exact_hash).then_some(rest)
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
        assert_eq!(seen.exact_rest("How can I help?\n Tell"), Some(" Tell"));
        assert_eq!(seen.exact_rest("How can I help? Tell"), None);
        assert_eq!(seen.exact_rest("How can I help?"), None);
    }
}

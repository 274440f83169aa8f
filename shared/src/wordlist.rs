//! Lists of names, written as text and split by the compiler.

/// Makes a `&'static [&'static str]` of the words of a literal, so that asking a list costs no splitting.
macro_rules! words {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const WORDS: [&str; $crate::wordlist::count(TEXT)] = $crate::wordlist::split(TEXT);
        &WORDS
    }};
}

pub(crate) use words;

/// Returns how many words a text holds.
pub(crate) const fn count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut words) = (0, 0);
    while at < bytes.len() {
        if bytes[at] != b' ' && (at == 0 || bytes[at - 1] == b' ') {
            words += 1;
        }
        at += 1;
    }
    words
}

/// Splits a text at its blanks.
pub(crate) const fn split<const N: usize>(text: &'static str) -> [&'static str; N] {
    let mut words = [""; N];
    let (mut rest, mut filled) = (text, 0);
    while filled < N {
        let bytes = rest.as_bytes();
        let (mut begin, mut end) = (0, 0);
        while begin < bytes.len() && bytes[begin] == b' ' {
            begin += 1;
            end = begin;
        }
        while end < bytes.len() && bytes[end] != b' ' {
            end += 1;
        }
        let (head, tail) = rest.split_at(end);
        words[filled] = head.split_at(begin).1;
        rest = tail;
        filled += 1;
    }
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_is_split_at_its_blanks() {
        let words: &[&str] = words!(
            "A  BC \
            D"
        );
        assert_eq!(words, ["A", "BC", "D"]);
        let none: &[&str] = words!("");
        assert!(none.is_empty());
    }
}

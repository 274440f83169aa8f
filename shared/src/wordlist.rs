//! Lists and tables, written as text and split by the compiler.

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

/// Returns how many lines a text holds.
pub(crate) const fn line_count(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut lines) = (0, 0);
    while at < bytes.len() {
        if at == 0 || bytes[at - 1] == b'\n' {
            lines += 1;
        }
        at += 1;
    }
    lines
}

/// Returns where each line of a text begins, in bytes. Places need no relocation when a program starts, as texts do.
pub(crate) const fn line_starts<const N: usize>(text: &str) -> [u32; N] {
    assert!(text.len() <= u32::MAX as usize);
    let bytes = text.as_bytes();
    let mut starts = [0; N];
    let (mut at, mut filled) = (0, 0);
    while at < bytes.len() {
        if at == 0 || bytes[at - 1] == b'\n' {
            starts[filled] = at as u32;
            filled += 1;
        }
        at += 1;
    }
    starts
}

/// Returns the first field of the line of a table that begins at this byte: what stands before the tab.
pub(crate) fn first_field(table: &'static str, start: u32) -> impl Iterator<Item = u8> {
    let line = table.as_bytes().get(start as usize..).unwrap_or_default();
    line.iter()
        .copied()
        .take_while(|byte| !matches!(byte, b'\t' | b'\n'))
}

/// Returns the line of a table that begins at this byte.
pub(crate) fn line_at(table: &'static str, start: u32) -> &'static str {
    let rest = table.get(start as usize..).unwrap_or_default();
    rest.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{first_field, line_at, line_count, line_starts};

    #[test]
    fn a_table_is_split_at_its_lines() {
        const TABLE: &str = "one\t1\n\ntwo\t2\nthree";
        const STARTS: [u32; line_count(TABLE)] = line_starts(TABLE);
        assert_eq!(STARTS, [0, 6, 7, 13]);
        let lines: Vec<&str> = STARTS.iter().map(|&start| line_at(TABLE, start)).collect();
        assert_eq!(lines, TABLE.lines().collect::<Vec<_>>());
        assert!(first_field(TABLE, 7).eq(*b"two"));
        assert!(first_field(TABLE, 13).eq(*b"three"));
        assert_eq!(line_count(""), 0);
        assert_eq!(line_count("a\n"), 1);
    }

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

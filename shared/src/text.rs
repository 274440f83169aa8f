//! Text from outside, made fit for a terminal.

/// True for a character that could move the cursor, colour the screen, ring, hide or reorder text.
///
/// These are C0 and C1 controls with DEL, the bidirectional controls (Unicode TR 36, section 3.3), the
/// zero-width and other invisible format characters, line and paragraph separators, and tag characters.
#[must_use]
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Strips from one line of outside text everything that [`is_hostile`], turning line ends and tabs into a blank.
///
/// The result is safe inside a message of ours: one line, no escapes, reading order as written.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\r' | '\u{2028}' | '\u{2029}' => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if is_hostile(c) => {}
            c => line.push(c),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Appends a text to `shown` with everything that [`is_hostile`] made visible: `^[` for an escape, `<U+202E>` for what
/// has no caret form. Line feeds and tabs stay; a carriage return, which would overwrite the line, goes.
///
/// For long outside texts that a person reads as they are, such as a model's answer. The joiners U+200C and U+200D stay
/// too: scripts and emoji need them, and they move nothing.
pub fn make_visible(text: &str, shown: &mut String) {
    use std::fmt::Write;
    for c in text.chars() {
        match c {
            '\n' | '\t' | '\u{200c}' | '\u{200d}' => shown.push(c),
            '\r' => {}
            '\0'..='\x1f' => {
                shown.push('^');
                shown.push(char::from(c as u8 + b'@'));
            }
            '\x7f' => shown.push_str("^?"),
            c if is_hostile(c) => {
                let _ = write!(shown, "<U+{:04X}>", u32::from(c));
            }
            c => shown.push(c),
        }
    }
}

/// Cuts a text to at most `limit` characters, with an ellipsis where something is missing.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::{clip, make_visible, one_line};

    #[test]
    fn what_would_move_the_cursor_or_reorder_text_is_made_visible() {
        for (raw, shown) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("\x1b[2J\x1b]0;t\x07\0", "^[[2J^[]0;t^G^@"),
            ("c1 \u{9b}31m \x7f", "c1 <U+009B>31m ^?"),
            ("a\r\nb\rc", "a\nbc"),
            ("x\u{202e}y\u{feff}", "x<U+202E>y<U+FEFF>"),
            ("👩\u{200d}🔬 می\u{200c}خواهم", "👩\u{200d}🔬 می\u{200c}خواهم"),
        ] {
            let mut seen = String::new();
            make_visible(raw, &mut seen);
            assert_eq!(seen, shown, "{raw:?}");
        }
    }

    #[test]
    fn outside_text_becomes_one_harmless_line() {
        for (raw, seen) in [
            ("plain", "plain"),
            ("a\x1b[31mred\x1b[0m", "a[31mred[0m"),
            ("\x1b]52;c;AAAA\x07x", "]52;c;AAAAx"),
            ("evil\u{202e}txt.exe", "eviltxt.exe"),
            ("two\r\nlines\n", "two lines"),
            ("c1\u{9b}31m", "c131m"),
            ("zero\u{200b}width", "zerowidth"),
            ("ünï漢字 🎉", "ünï漢字 🎉"),
        ] {
            assert_eq!(one_line(raw), seen, "{raw:?}");
        }
    }

    #[test]
    fn clipping_counts_characters_not_bytes() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äöü…");
    }
}

//! Text from outside, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

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

/// Writes every character of a JSON text that [`is_hostile`] as its escape, which means the same to a program: people
/// look at JSON on terminals too. Line feeds, which stand only between values, stay.
#[must_use]
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| c != '\n' && is_hostile(c);
    if !json.contains(is_escaped) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_escaped(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Cuts a text to at most `limit` characters, with an ellipsis where something is missing.
#[must_use]
pub fn clip(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// Returns a word as a POSIX shell reads it: as it is where that is safe, else in single quotes.
#[must_use]
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => Cow::Borrowed(word),
        false => Cow::Owned(format!("'{}'", word.replace('\'', r"'\''"))),
    }
}

/// Returns the bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::clip;
    use super::escape_json;
    use super::make_visible;
    use super::one_line;

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
    fn json_keeps_its_meaning_and_holds_nothing_that_acts_on_a_terminal() {
        let value = serde_json::json!({"k\u{202e}": ["\u{1b}[2J\n", "\u{9b}31m\u{7f}", "\u{e0041} ü漢 🎉"]});
        for json in [value.to_string(), format!("{value:#}\n")] {
            let escaped = escape_json(&json);
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
                value
            );
            assert_eq!(one_line(&escaped.replace('\n', "")), escaped.replace('\n', ""));
        }
        assert_eq!(escape_json("{\n  \"a\": \"ü\"\n}"), "{\n  \"a\": \"ü\"\n}");
    }

    #[test]
    fn clipping_counts_characters_not_bytes() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äöü…");
    }
}

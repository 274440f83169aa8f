//! Text from outside, made fit for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// True for a character that could move the cursor, colour the screen, ring, hide or reorder text.
///
/// These are C0 and C1 controls with DEL, line and paragraph separators, the interlinear annotation marks, and what Unicode
/// calls default ignorable (UAX #44): the bidirectional controls (UTR #36, section 3.3), zero-width and other invisible
/// format characters, fillers, variation selectors and tags; and the Braille cell without dots, which looks like a blank.
#[must_use]
pub const fn is_hostile(c: char) -> bool {
    matches!(c,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// True for an invisible character that shapes the one before it, as scripts and emoji need: a joiner, or one selector after
/// a character that has such variants. A second one in a row hides something.
const fn shapes(c: char, previous: char) -> bool {
    match c {
        '\u{200c}' | '\u{200d}' => !is_hostile(previous) || previous == '\u{fe0f}',
        '\u{fe0e}' | '\u{fe0f}' => {
            matches!(previous, '#' | '*' | '0'..='9' | '\u{a9}' | '\u{ae}' | '\u{203c}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
        }
        '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}' => {
            matches!(previous, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
        }
        _ => false,
    }
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
            c if is_hostile(c) && !line.chars().next_back().is_some_and(|last| shapes(c, last)) => {}
            c => line.push(c),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Appends a text to `shown` with everything that [`is_hostile`] made visible: `^[` for an escape, `<U+202E>` for what
/// has no caret form. Line feeds and tabs stay; a carriage return, which would overwrite the line, goes.
///
/// For long outside texts that a person reads as they are, such as a model's answer. A joiner or a variation selector stays
/// too where it shapes the character before it; what is `shown` so far counts as before it.
pub fn make_visible(text: &str, shown: &mut String) {
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            '\r' => {}
            '\0'..='\x1f' => {
                shown.push('^');
                shown.push(char::from(c as u8 + b'@'));
            }
            '\x7f' => shown.push_str("^?"),
            // Where nothing is shown yet the character before may have come in an earlier piece.
            c if is_hostile(c) && !shapes(c, shown.chars().next_back().unwrap_or('#')) => {
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
    if !json.contains(|c: char| c != '\n' && is_hostile(c)) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    let mut last = '\0';
    for c in json.chars() {
        let is_escaped = c != '\n' && is_hostile(c) && !shapes(c, last);
        last = if is_escaped { '\0' } else { c };
        if is_escaped {
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

/// Says which names there are.
#[must_use]
pub fn known_names(names: &[&str]) -> String {
    match names {
        [only] => format!("there is only '{only}'"),
        names => format!("known are {}", names.join(", ")),
    }
}

/// Breaks a line at blanks, so that no word is cut at the right edge of a terminal of so many columns. What stands in single
/// quotes stays in one piece: it may be a command to copy. The lines after the first are indented, below the second column of
/// text that has one. Of a text of several lines each is broken for itself.
#[must_use]
pub fn wrap(line: &str, columns: usize) -> Cow<'_, str> {
    if line.contains('\n') {
        let lines: Vec<_> = line.split('\n').map(|line| wrap(line, columns)).collect();
        return Cow::Owned(lines.join("\n"));
    }
    if width(line) <= columns {
        return Cow::Borrowed(line);
    }
    let indent = " ".repeat(hanging_indent(line, columns));
    let (mut wrapped, mut used, mut is_empty) = (String::with_capacity(line.len() + 16), 0, true);
    for piece in pieces(line) {
        let breaks = !is_empty && used + width(piece) > columns;
        let piece = match breaks {
            true => {
                wrapped.truncate(wrapped.trim_end().len());
                wrapped.push('\n');
                wrapped.push_str(&indent);
                used = indent.len();
                piece.trim_start()
            }
            false => piece,
        };
        wrapped.push_str(piece);
        used += width(piece);
        is_empty = false;
    }
    Cow::Owned(wrapped)
}

/// Says how many columns a text takes, roughly: what may be wide counts as wide.
fn width(text: &str) -> usize {
    text.chars().map(|c| if c < '\u{1100}' { 1 } else { 2 }).sum()
}

/// Returns where the text of a second column begins, if that leaves room for it.
fn hanging_indent(line: &str, columns: usize) -> usize {
    let start = line.len() - line.trim_start().len();
    let gap = line[start..].find("  ").map(|gap| start + gap);
    let second = gap.map(|gap| line.len() - line[gap..].trim_start().len());
    let second = second.map(|second| width(&line[..second]));
    second
        .filter(|second| *second <= columns / 2)
        .unwrap_or_else(|| (start + 2).min(columns / 4))
}

/// Splits a line before its blanks; what is quoted stays whole.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (piece, left) = rest.split_at_checked(piece_length(rest))?;
        rest = left;
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

fn piece_length(text: &str) -> usize {
    let start = text.len() - text.trim_start_matches(' ').len();
    let end_of_word = |from: usize| text[from..].find(' ').map_or(text.len(), |blank| from + blank);
    let end = end_of_word(start);
    let word = &text[start..end];
    if !word.trim_start_matches('(').starts_with('\'') || word.matches('\'').count() > 1 {
        return end;
    }
    let closing = text[end..].match_indices('\'').map(|(at, _)| end + at + 1);
    closing
        .filter(|&at| !text[at..].starts_with(char::is_alphanumeric))
        .map(end_of_word)
        .next()
        .unwrap_or(end)
}

/// Writes a word for a shell, without quotes, so that a message can quote the command: a backslash before every character
/// that any shell could give a meaning to. `None` for what no command line of a message can hold.
#[must_use]
pub fn shell_word(text: &str) -> Option<String> {
    let mut word = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_hostile(c) {
            return None;
        }
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | '@')
        {
            word.push('\\');
        }
        word.push(c);
    }
    Some(word).filter(|word| !word.is_empty())
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
    use super::wrap;

    #[test]
    fn what_would_move_the_cursor_or_reorder_text_is_made_visible() {
        for (raw, shown) in [
            ("plain\n\ttext", "plain\n\ttext"),
            ("\x1b[2J\x1b]0;t\x07\0", "^[[2J^[]0;t^G^@"),
            ("c1 \u{9b}31m \x7f", "c1 <U+009B>31m ^?"),
            ("a\r\nb\rc", "a\nbc"),
            ("x\u{202e}y\u{feff}", "x<U+202E>y<U+FEFF>"),
            ("👩\u{200d}🔬 می\u{200c}خواهم", "👩\u{200d}🔬 می\u{200c}خواهم"),
            (
                "❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} 葛\u{e0100}",
                "❤\u{fe0f}\u{200d}🔥 1\u{fe0f}\u{20e3} 葛\u{e0100}",
            ),
            // Bytes hidden behind an emoji, or between letters.
            ("😀\u{fe0f}\u{fe01}\u{e0141}", "😀\u{fe0f}<U+FE01><U+E0141>"),
            ("a\u{fe0f}b\u{200d}\u{200d}c", "a<U+FE0F>b\u{200d}<U+200D>c"),
            (
                "a\u{3164}b\u{115f}c\u{ffa0}d\u{2800}",
                "a<U+3164>b<U+115F>c<U+FFA0>d<U+2800>",
            ),
            (
                "\u{e0041}\u{180e}\u{34f}\u{2062}",
                "<U+E0041><U+180E><U+034F><U+2062>",
            ),
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
            ("pay\u{3164}\u{ffa0}pal ❤\u{fe0f}\u{fe0f}", "paypal ❤\u{fe0f}"),
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
    fn a_line_is_broken_at_blanks_and_a_command_in_quotes_stays_whole() {
        for (line, columns, wrapped) in [
            ("short", 5, "short"),
            ("one two three", 8, "one two\n  three"),
            ("one two three ", 8, "one two\n  three "),
            (
                "to averylongwordthatfitsnowhere it",
                10,
                "to\n  averylongwordthatfitsnowhere\n  it",
            ),
            (
                "hint: run 'qwen-login --profile work' to log in",
                34,
                "hint: run\n  'qwen-login --profile work' to\n  log in",
            ),
            (
                "the server's words and no quote's end",
                14,
                "the server's\n  words and no\n  quote's end",
            ),
            (
                "/retry     ask the question again",
                26,
                "/retry     ask the\n           question again",
            ),
            ("  1) one two", 9, "  1) one\n  two"),
            (
                "it would go there.\nSend it? [y/N] ",
                15,
                "it would go\n  there.\nSend it? [y/N] ",
            ),
            ("漢字 漢字 漢字", 9, "漢字 漢字\n  漢字"),
        ] {
            assert_eq!(wrap(line, columns), wrapped, "{line:?}");
        }
    }

    #[test]
    fn clipping_counts_characters_not_bytes() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöü!", 3), "äöü…");
    }
}

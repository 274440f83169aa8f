//! A line while it is typed.

use qwen_shared::terminal::Key;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The longest line, in characters: an address or a name is shorter.
const LONGEST: usize = 4096;

/// What was typed so far, and where the cursor is in it.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypedLine {
    text: Vec<char>,
    cursor: usize,
}

impl TypedLine {
    /// A line with the cursor at its end.
    pub(crate) fn new(text: &str) -> Self {
        let text: Vec<char> = text.chars().filter(|c| !c.is_control()).collect();
        Self {
            cursor: text.len(),
            text,
        }
    }

    pub(crate) fn text(&self) -> String {
        self.text.iter().collect()
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Does what a key does to a line; false where that is nothing.
    pub(crate) fn press(&mut self, key: Key) -> bool {
        let (before, at) = (self.text.len(), self.cursor);
        match key {
            Key::Char(c) if before < LONGEST => {
                self.text.insert(at, c);
                self.cursor += 1;
            }
            Key::Backspace => self.erase(at.saturating_sub(1)),
            Key::Delete if at < before => _ = self.text.remove(at),
            Key::Left => self.cursor = at.saturating_sub(1),
            Key::Right => self.cursor = before.min(at + 1),
            Key::Home => self.cursor = 0,
            Key::End => self.cursor = before,
            Key::EraseWord => self.erase(self.word_start()),
            Key::EraseLine => self.erase(0),
            Key::EraseRest => self.text.truncate(at),
            _ => {}
        }
        (self.text.len(), self.cursor) != (before, at)
    }

    /// Takes away what stands before the cursor, from a position on.
    fn erase(&mut self, from: usize) {
        self.text.drain(from..self.cursor);
        self.cursor = from;
    }

    /// Where the word before the cursor begins; blanks behind it belong to it.
    fn word_start(&self) -> usize {
        let before = &self.text[..self.cursor];
        let end = before
            .iter()
            .rposition(|c| !c.is_whitespace())
            .map_or(0, |at| at + 1);
        let start = before[..end].iter().rposition(|c| c.is_whitespace());
        start.map_or(0, |at| at + 1)
    }

    /// Returns what stands before the cursor and behind it, of a long line as much as takes so many columns each.
    pub(crate) fn around_cursor(&self, columns: usize) -> (String, String) {
        let (before, behind) = self.text.split_at(self.cursor);
        let mut shown: Vec<char> = fitting(before.iter().rev().copied(), columns).collect();
        shown.reverse();
        let behind = fitting(behind.iter().copied(), columns);
        (shown.into_iter().collect(), behind.collect())
    }
}

/// Cuts text to a number of columns: at its end, but a name in its middle, since names of one family begin alike.
pub(crate) fn cut_to(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(3);
    let tail = match text.contains(char::is_whitespace) {
        true => 0,
        false => room * 2 / 3,
    };
    let beginning: String = fitting(text.chars(), room - tail).collect();
    let mut end: Vec<char> = fitting(text.chars().rev(), tail).collect();
    end.reverse();
    format!("{beginning}...{}", String::from_iter(end))
}

/// Returns the first characters that together take no more columns than there are.
pub(crate) fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    chars.scan(columns, |rest, c| {
        *rest = rest.checked_sub(c.width().unwrap_or(0))?;
        Some(c)
    })
}

#[cfg(test)]
mod tests {
    use qwen_shared::terminal::Key;

    use super::{TypedLine, cut_to};

    #[test]
    fn keys_do_to_a_line_what_a_shell_has_them_do() {
        use Key::{Backspace, Delete, EraseLine, EraseRest, EraseWord, Home, Left, Right};
        for (text, keys, left) in [
            ("abc", &[Backspace][..], "ab|"),
            ("", &[Backspace, Delete, Left, Right, EraseWord], "|"),
            ("abc", &[Left, Left, Key::Char('X')], "aX|bc"),
            ("abc", &[Home, Delete], "|bc"),
            ("http://a b  ", &[EraseWord], "http://a |"),
            ("one two", &[EraseWord, EraseWord], "|"),
            ("one two", &[Left, EraseWord], "one |o"),
            ("one two", &[Left, EraseLine], "|o"),
            ("one two", &[Home, Right, EraseRest], "o|"),
            ("漢字", &[Left, Backspace], "|字"),
            ("a\u{7}b", &[Key::Other, Key::Up], "ab|"),
        ] {
            let mut line = TypedLine::new(text);
            for key in keys {
                line.press(*key);
            }
            let (before, behind) = line.around_cursor(80);
            assert_eq!(format!("{before}|{behind}"), left, "{text:?} {keys:?}");
        }
    }

    #[test]
    fn of_a_long_line_what_is_near_the_cursor_is_shown() {
        let mut line = TypedLine::new("0123456789");
        assert_eq!(line.around_cursor(4), ("6789".to_owned(), String::new()));
        (0..5).for_each(|_| _ = line.press(Key::Left));
        assert_eq!(line.around_cursor(3), ("234".to_owned(), "567".to_owned()));
    }

    #[test]
    fn a_long_text_is_cut_to_the_columns_that_there_are_and_a_name_in_its_middle() {
        for (text, columns, cut) in [
            ("abcdef", 6, "abcdef"),
            ("ab cdefg", 6, "ab ..."),
            ("漢字 漢字", 7, "漢字..."),
            ("vendor/model-large-v1", 12, "ven...rge-v1"),
            ("漢字漢字漢字", 9, "漢...漢字"),
        ] {
            assert_eq!(cut_to(text, columns), cut);
        }
    }
}

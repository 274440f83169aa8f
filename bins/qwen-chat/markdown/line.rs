//! A line of the source, read from its left: blanks, tabs that reach to the next fourth column, marks.

use super::container::ListKind;

/// The cursor in one line (CommonMark §2.2).
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    text: &'a str,
    column: usize,
}

/// The mark of a list item, and what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    pub(super) kind: ListKind,
    pub(super) number: u64,
    /// By how many columns, from the item's beginning, its content is indented.
    pub(super) content: usize,
}

impl<'a> Line<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, column: 0 }
    }

    /// The width of the blanks at the cursor, in columns.
    pub(super) fn indent(&self) -> usize {
        let mut column = self.column;
        for c in self.text.chars() {
            match c {
                ' ' => column += 1,
                '\t' => column += 4 - column % 4,
                _ => break,
            }
        }
        column - self.column
    }

    pub(super) fn is_blank(&self) -> bool {
        self.text.trim_start_matches([' ', '\t']).is_empty()
    }

    /// What follows the blanks.
    pub(super) fn words(&self) -> &'a str {
        self.text.trim_start_matches([' ', '\t'])
    }

    /// Everything from the cursor on, a part of a tab as blanks.
    pub(super) fn rest(&self) -> String {
        match self.text.strip_prefix('\t') {
            Some(rest) if !self.column.is_multiple_of(4) => {
                format!("{}{rest}", " ".repeat(4 - self.column % 4))
            }
            _ => self.text.to_owned(),
        }
    }

    /// Skips at most so many columns of blanks.
    pub(super) fn skip(&mut self, mut columns: usize) {
        while columns > 0 {
            let width = match self.text.chars().next() {
                Some(' ') => 1,
                Some('\t') => 4 - self.column % 4,
                _ => return,
            };
            if width > columns {
                self.column += columns;
                return;
            }
            self.text = &self.text[1..];
            self.column += width;
            columns -= width;
        }
    }

    /// Skips the mark of a quote; false where there is none.
    pub(super) fn skip_quote(&mut self) -> bool {
        if self.indent() > 3 || !self.words().starts_with('>') {
            return false;
        }
        self.skip(3);
        self.text = &self.text[1..];
        self.column += 1;
        self.skip(1);
        true
    }

    /// Reads the mark of a list item. Within a paragraph only some begin a list.
    pub(super) fn marker(&self, in_paragraph: bool) -> Option<Marker> {
        let indent = self.indent();
        let words = self.words();
        let digits = words.bytes().take_while(u8::is_ascii_digit).count();
        let mark = words[digits..].chars().next()?;
        let (kind, number) = match (digits, mark) {
            (0, '-' | '+' | '*') => (ListKind::Bullet(mark), 0),
            (1..=9, '.' | ')') => (ListKind::Numbered(mark), words[..digits].parse().ok()?),
            _ => return None,
        };
        let length = digits + 1;
        let after = &words[length..];
        if !after.is_empty() && !after.starts_with([' ', '\t']) {
            return None;
        }
        let is_empty = after.trim_start_matches([' ', '\t']).is_empty();
        if in_paragraph && (is_empty || (digits > 0 && number != 1)) {
            return None;
        }
        let blanks = Line {
            text: after,
            column: self.column + indent + length,
        }
        .indent();
        let blanks = if is_empty || blanks > 4 { 1 } else { blanks };
        Some(Marker {
            kind,
            number,
            content: indent + length + blanks,
        })
    }

    /// Skips the mark and the blanks that belong to it.
    pub(super) fn skip_marker(&mut self, marker: &Marker) {
        let indent = self.indent();
        let start = self.column;
        self.skip(indent);
        let words = self.text.trim_start_matches(|c: char| c.is_ascii_digit());
        let length = self.text.len() - words.len() + 1;
        self.text = &self.text[length..];
        self.column += length;
        self.skip((start + marker.content).saturating_sub(self.column));
    }
}

/// Returns level and text of a heading (CommonMark §4.2).
pub(super) fn heading(words: &str) -> Option<(usize, &str)> {
    let level = words.bytes().take_while(|&byte| byte == b'#').count();
    let text = &words[level..];
    if !(1..=6).contains(&level) || !(text.is_empty() || text.starts_with([' ', '\t'])) {
        return None;
    }
    let text = text.trim_matches([' ', '\t']);
    let closed = text.trim_end_matches('#');
    let text = if closed.is_empty() || closed.ends_with([' ', '\t']) {
        closed.trim_end_matches([' ', '\t'])
    } else {
        text
    };
    Some((level, text))
}

/// Returns mark, length and label of the line that begins a code block (CommonMark §4.5).
pub(super) fn fence(words: &str) -> Option<(char, usize, &str)> {
    let mark = words.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let label = words.trim_start_matches(mark);
    let length = words.len() - label.len();
    (length >= 3 && !(mark == '`' && label.contains('`'))).then_some((mark, length, label.trim()))
}

/// True for three or more of `-`, `*` or `_` and blanks (CommonMark §4.1).
pub(super) fn is_rule(words: &str) -> bool {
    let Some(mark) = words.chars().next().filter(|c| matches!(c, '-' | '*' | '_')) else {
        return false;
    };
    let marks = words.chars().filter(|&c| c == mark).count();
    marks >= 3 && words.chars().all(|c| c == mark || c == ' ' || c == '\t')
}

/// Returns the level of the line under a heading (CommonMark §4.3).
pub(super) fn underline(words: &str) -> Option<usize> {
    let words = words.trim_end_matches([' ', '\t']);
    let all = |mark| !words.is_empty() && words.chars().all(|c| c == mark);
    if all('=') { Some(1) } else { all('-').then_some(2) }
}

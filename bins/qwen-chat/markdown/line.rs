//! A line of the drawing, before it is wrapped.

use qwen_shared::text::make_visible;

use super::style::Style;

/// Text in one style.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) style: Style,
    pub(crate) text: String,
}

/// One line: a paragraph, a heading, a line of code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    /// The prefix: bullets, numbers, quote bars.
    pub(crate) first: String,
    /// The prefix of wrapped lines.
    pub(crate) rest: String,
    pub(crate) spans: Vec<Span>,
    /// True for code and tables, whose blanks are kept and which are never wrapped.
    pub(crate) rigid: bool,
}

/// How far back an unfinished pair of marks may hold up the text, in characters. What takes longer is taken literally.
const PATIENCE: usize = 300;

impl Line {
    /// Appends text, made harmless.
    pub(crate) fn push(&mut self, style: Style, text: &str) {
        match self.spans.last_mut() {
            Some(span) if span.style == style => make_visible(text, &mut span.text),
            _ => {
                let mut shown = String::with_capacity(text.len());
                make_visible(text, &mut shown);
                self.spans.push(Span { style, text: shown });
            }
        }
    }

    /// Returns the length in characters.
    pub(crate) fn length(&self) -> usize {
        self.spans.iter().map(|span| span.text.chars().count()).sum()
    }

    /// Returns how many characters can no longer change when more text comes.
    pub(crate) fn settled(&self) -> usize {
        if self.rigid {
            return self.length();
        }
        let cells: Vec<(char, bool)> = self
            .spans
            .iter()
            .flat_map(|span| span.text.chars().map(|c| (c, span.style.code)))
            .collect();
        let from = cells.len().saturating_sub(PATIENCE);
        let open = (from..cells.len()).find(|&at| !cells[at].1 && may_open(&cells, at));
        open.unwrap_or(cells.len())
    }
}

/// True when the mark at `at`, which the parser took literally so far, may yet begin something.
fn may_open(cells: &[(char, bool)], at: usize) -> bool {
    let next = cells.get(at + 1).map(|cell| cell.0);
    let before = at.checked_sub(1).map(|at| cells[at].0);
    let after = |end: char| {
        let close = (at + 1..cells.len()).find(|&place| cells[place].0 == end)?;
        Some(cells.get(close + 1).map(|cell| cell.0))
    };
    match cells[at].0 {
        '*' => next.is_none_or(|next| !next.is_whitespace()),
        '_' => {
            next.is_none_or(|next| !next.is_whitespace())
                && before.is_none_or(|before| !before.is_alphanumeric())
        }
        '~' => next.is_none_or(|next| next == '~'),
        '`' => true,
        '[' => after(']').is_none_or(|then| then.is_none_or(|then| then == '(' || then == '[')),
        '!' => next.is_none_or(|next| next == '[' && may_open(cells, at + 1)),
        '<' => next.is_none_or(|next| next.is_ascii_alphabetic() || next == '/') && after('>').is_none(),
        '&' => cells.len() - at < 10 && after(';').is_none(),
        '\\' => next.is_none(),
        _ => false,
    }
}

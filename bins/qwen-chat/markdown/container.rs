//! Lists and quotes, and what they put before a line.

use super::screen::Row;
use super::style::Style;

/// What a list is made of: the items of one list have the same (CommonMark §5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Bullet(char),
    Numbered(char),
}

/// What text is inside of.
#[derive(Clone, Debug)]
pub(super) enum Container {
    Quote,
    Item(Item),
}

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: ListKind,
    pub(super) number: u64,
    /// By how many columns its further lines are indented.
    pub(super) content: usize,
    /// The marker is drawn.
    pub(super) is_used: bool,
}

impl Item {
    fn marker(&self) -> String {
        match self.kind {
            ListKind::Bullet(_) => "• ".to_owned(),
            ListKind::Numbered(_) => format!("{}. ", self.number),
        }
    }
}

/// What stands before the rows of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    /// A blank row, with this before it.
    pub(super) gap: Option<String>,
    /// Before the first row, as long as that is not drawn.
    pub(super) first: Option<String>,
    pub(super) rest: String,
}

impl Lead {
    /// True when the mark of an item is to be drawn.
    pub(super) fn has_marker(&self) -> bool {
        self.first.as_ref().is_some_and(|first| *first != self.rest)
    }

    /// Cuts prefixes that leave the text no room.
    pub(super) fn cut(&mut self, most: usize) {
        let last = |text: &str| {
            let more = text.chars().count().saturating_sub(most);
            text.chars().skip(more).collect()
        };
        self.first = self.first.as_deref().map(last);
        self.rest = last(&self.rest);
    }

    /// Puts the prefixes before rows.
    pub(super) fn apply(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let mut led = Vec::with_capacity(rows.len() + 1);
        for row in rows {
            led.extend(self.gap.take().map(|gap| Row::of(Style::DIM, gap.trim_end())));
            let prefix = self.first.take();
            let mut whole = Row::of(Style::DIM, prefix.as_deref().unwrap_or(&self.rest));
            row.runs.iter().for_each(|(style, text)| whole.push(*style, text));
            led.push(whole);
        }
        led
    }

    /// Puts a blank row before code where one is due, and nothing before its rows: what is copied from the screen is code.
    pub(super) fn apply_to_code(&mut self, rows: Vec<Row>) -> Vec<Row> {
        let gap = self.gap.take_if(|_| !rows.is_empty());
        let gap = gap.map(|gap| Row::of(Style::DIM, gap.trim_end()));
        gap.into_iter().chain(rows).collect()
    }
}

/// Returns the prefix of a block's further rows.
pub(super) fn rest(containers: &[Container]) -> String {
    let parts = containers.iter().map(|container| match container {
        Container::Quote => "│ ".to_owned(),
        Container::Item(item) => " ".repeat(item.marker().chars().count()),
    });
    parts.collect()
}

/// Returns the prefix of a block's first row; the markers in it are drawn with that.
pub(super) fn first(containers: &mut [Container]) -> String {
    let mut first = String::new();
    for container in containers {
        match container {
            Container::Quote => first.push_str("│ "),
            Container::Item(item) if item.is_used => {
                first.push_str(&" ".repeat(item.marker().chars().count()));
            }
            Container::Item(item) => {
                item.is_used = true;
                first.push_str(&item.marker());
            }
        }
    }
    first
}

//! Tables: columns as wide as their cells, narrower with the cells wrapped, or one record a row.

use pulldown_cmark::Alignment;

use super::inline::{self, Cell};
use super::paragraph::Room;
use super::screen::Row;
use super::style::Style;
use super::wrap::{LongWords, Wrapped, wrap};

/// What stands between columns.
const BETWEEN: &str = " │ ";

/// The narrowest column that cells are wrapped in; on a terminal that has not even that, rows are drawn as records.
const NARROWEST: usize = 10;

/// The rule between records, in columns.
const RULE: usize = 16;

/// The most cells of one row. A head of thousands would have every row filled up to it.
const MOST_CELLS: usize = 128;

/// Where columns are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// Their widths; with `ruled` cells are wrapped, and rules tell the rows apart.
    Columns {
        widths: Vec<usize>,
        ruled: bool,
    },
    Records,
}

/// A table that is being read.
#[derive(Clone, Debug)]
pub(super) struct Table {
    alignments: Vec<Alignment>,
    /// The head first.
    rows: Vec<Vec<Vec<Cell>>>,
    /// How many rows were drawn for good; the layout is fixed then.
    drawn: usize,
    layout: Option<Layout>,
}

/// Splits a row at its bars. A bar after a backslash is text, in code too (GFM §4.10).
pub(super) fn split(line: &str) -> Vec<String> {
    let line = line.trim_matches([' ', '\t']);
    let line = line.strip_prefix('|').unwrap_or(line);
    let (mut cells, mut cell, mut is_escaped) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '|' if is_escaped => {
                cell.pop();
                cell.push('|');
            }
            '|' => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    if !cell.trim().is_empty() || cells.is_empty() {
        cells.push(cell);
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

/// Reads the line under a table's head; `None` where it is none.
pub(super) fn delimiters(line: &str) -> Option<Vec<Alignment>> {
    if !line.contains('|') || !line.bytes().all(|byte| b" \t|:-".contains(&byte)) {
        return None;
    }
    let of = |cell: &String| {
        let dashes = cell.trim_matches(':');
        let is_one = !dashes.is_empty() && dashes.bytes().all(|byte| byte == b'-');
        let is_one = is_one && cell.len() <= dashes.len() + 2;
        is_one.then(|| match (cell.starts_with(':'), cell.ends_with(':')) {
            (true, true) => Alignment::Center,
            (false, true) => Alignment::Right,
            _ => Alignment::Left,
        })
    };
    split(line).iter().map(of).collect()
}

impl Table {
    pub(super) fn new(head: &str, alignments: Vec<Alignment>) -> Self {
        let mut table = Self {
            alignments,
            rows: Vec::new(),
            drawn: 0,
            layout: None,
        };
        table.add(head);
        table
    }

    /// Adds a row. What has more cells than the head has columns of its own, or goes into the last.
    pub(super) fn add(&mut self, line: &str) {
        let base = Style {
            bold: self.rows.is_empty() && self.drawn == 0,
            ..Style::default()
        };
        let mut cells = split(line);
        let most = match &self.layout {
            Some(Layout::Columns { widths, .. }) => widths.len(),
            _ => MOST_CELLS,
        };
        if cells.len() > most {
            let rest = cells.split_off(most).join(BETWEEN);
            if let Some(last) = cells.last_mut() {
                last.push_str(BETWEEN);
                last.push_str(&rest);
            }
        }
        let cells = cells.iter().map(|cell| inline::parse(cell, base).cells);
        self.rows.push(cells.collect());
    }

    /// Draws what is not drawn yet.
    pub(super) fn draw(&self, room: Room) -> Vec<Row> {
        match self.layout.clone().unwrap_or_else(|| self.layout(room.width)) {
            Layout::Columns { widths, ruled } => self.columns(&widths, ruled),
            Layout::Records => self.records(room),
        }
    }

    /// Returns how many of the terminal's rows [`Table::draw`] takes.
    pub(super) fn height(&self, room: Room) -> usize {
        self.draw(room).iter().map(|row| room.height(row)).sum()
    }

    /// Draws what is not drawn yet for good; from now on the columns stay as they are.
    pub(super) fn draw_for_good(&mut self, room: Room) -> Vec<Row> {
        let layout = self.layout.take().unwrap_or_else(|| self.layout(room.width));
        self.layout = Some(layout);
        let rows = self.draw(room);
        self.drawn += self.rows.len();
        self.drawn -= usize::from(self.drawn > self.rows.len());
        // Records name the head's cells again and again.
        self.rows.truncate(1);
        rows
    }

    /// True as soon as rows are drawn for good.
    pub(super) const fn is_fixed(&self) -> bool {
        self.layout.is_some()
    }

    fn layout(&self, columns: usize) -> Layout {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut natural = vec![1; count];
        for (place, cell) in self.rows.iter().flat_map(|row| row.iter().enumerate()) {
            let lines = wrap(cell, usize::MAX / 2, LongWords::Break);
            let widest = lines.iter().map(|line| line.width).max().unwrap_or(0);
            natural[place] = natural[place].max(widest);
        }
        let between = BETWEEN.chars().count() * count.saturating_sub(1);
        if natural.iter().sum::<usize>() + between <= columns {
            return Layout::Columns {
                widths: natural,
                ruled: false,
            };
        }
        match shrink(&natural, columns.saturating_sub(between)) {
            Some(widths) => Layout::Columns { widths, ruled: true },
            None => Layout::Records,
        }
    }

    fn columns(&self, widths: &[usize], ruled: bool) -> Vec<Row> {
        let lines: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let rule = Row::of(Style::DIM, lines.join("─┼─"));
        let mut rows = Vec::new();
        // The head stays for records; drawn once, it is not drawn again.
        for (place, row) in self.rows.iter().enumerate().skip(usize::from(self.drawn > 0)) {
            let is_first = place == 1 && self.drawn == 0;
            if is_first || (ruled && (place > 1 || self.drawn > 1)) {
                rows.push(rule.clone());
            }
            rows.extend(self.row(row, widths));
        }
        if self.drawn == 0 && self.rows.len() == 1 {
            rows.push(rule);
        }
        rows
    }

    fn row(&self, row: &[Vec<Cell>], widths: &[usize]) -> Vec<Row> {
        let cells: Vec<Vec<Wrapped>> = row
            .iter()
            .zip(widths)
            .map(|(cell, &width)| wrap(cell, width, LongWords::Break))
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        (0..height).map(|line| self.line(&cells, line, widths)).collect()
    }

    /// Draws one line of a row.
    fn line(&self, cells: &[Vec<Wrapped>], line: usize, widths: &[usize]) -> Row {
        let mut row = Row::default();
        let mut blanks = 0;
        for (column, &width) in widths.iter().enumerate() {
            if column > 0 {
                row.push(Style::default(), &" ".repeat(std::mem::take(&mut blanks)));
                row.push(Style::DIM, BETWEEN);
            }
            let cell = cells.get(column).and_then(|lines| lines.get(line));
            let free = width.saturating_sub(cell.map_or(0, |cell| cell.width));
            let before = match self.alignments.get(column) {
                Some(Alignment::Right) => free,
                Some(Alignment::Center) => free / 2,
                _ => 0,
            };
            blanks = free - before;
            if let Some(cell) = cell {
                row.push(Style::default(), &" ".repeat(before));
                for (style, text) in &cell.row.runs {
                    row.push(*style, text);
                }
            } else {
                blanks = free;
            }
        }
        row
    }

    /// Draws each row as lines of name and value.
    fn records(&self, room: Room) -> Vec<Row> {
        let Some((head, records)) = self.rows.split_first() else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        if records.is_empty() && self.drawn == 0 {
            for name in head {
                rows.extend(room.wrap(name).into_iter().map(|line| line.row));
            }
        }
        for (place, record) in records.iter().enumerate() {
            if place > 0 || self.drawn > 1 {
                rows.push(Row::of(Style::DIM, "─".repeat(RULE.min(room.width))));
            }
            for column in 0..head.len().max(record.len()) {
                let value = record.get(column).map_or(&[][..], Vec::as_slice);
                rows.extend(field(head.get(column), value, room));
            }
        }
        rows
    }
}

/// Draws a value behind its name; its further rows are indented.
fn field(name: Option<&Vec<Cell>>, value: &[Cell], room: Room) -> Vec<Row> {
    let mut cells = name.cloned().unwrap_or_default();
    if let Some(&last) = cells.last() {
        cells.extend([':', ' '].map(|c| Cell { c, ..last }));
    }
    cells.extend_from_slice(value);
    let mut rows = Vec::new();
    let width = room.width.saturating_sub(2);
    for (place, line) in (Room { width, ..room }).wrap(&cells).into_iter().enumerate() {
        let mut row = Row::default();
        if place > 0 {
            row.push(Style::default(), "  ");
        }
        for (style, text) in &line.row.runs {
            row.push(*style, text);
        }
        rows.push(row);
    }
    rows
}

/// Takes from the widest columns what does not fit; `None` where too little would be left.
fn shrink(natural: &[usize], budget: usize) -> Option<Vec<usize>> {
    let used = |level: usize| -> usize { natural.iter().map(|&width| width.min(level)).sum() };
    let mut level = 0;
    while level < budget && used(level + 1) <= budget {
        level += 1;
    }
    if level < NARROWEST {
        return None;
    }
    let mut left = budget - used(level);
    let widths = natural.iter().map(|&width| {
        let more = usize::from(width > level && left > 0);
        left -= more;
        width.min(level) + more
    });
    Some(widths.collect())
}

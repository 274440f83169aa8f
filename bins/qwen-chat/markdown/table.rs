//! Tables, whose columns are as wide as their widest cell.

use pulldown_cmark::Alignment;
use qwen_shared::text::make_visible;
use unicode_width::UnicodeWidthStr;

use super::line::Span;
use super::style::Style;

/// A table being read.
#[derive(Debug)]
pub(crate) struct Table {
    alignments: Vec<Alignment>,
    rows: Vec<Vec<Cell>>,
    row: Vec<Cell>,
}

#[derive(Debug, Default)]
struct Cell {
    spans: Vec<Span>,
    width: usize,
}

impl Table {
    pub(crate) const fn new(alignments: Vec<Alignment>) -> Self {
        Self {
            alignments,
            rows: Vec::new(),
            row: Vec::new(),
        }
    }

    pub(crate) fn start_cell(&mut self) {
        self.row.push(Cell::default());
    }

    pub(crate) fn text(&mut self, style: Style, text: &str) {
        if let Some(cell) = self.row.last_mut() {
            let mut shown = String::new();
            make_visible(&text.replace(['\n', '\t'], " "), &mut shown);
            cell.width += shown.width();
            cell.spans.push(Span { style, text: shown });
        }
    }

    pub(crate) fn end_row(&mut self) {
        self.rows.push(std::mem::take(&mut self.row));
    }

    /// Returns the rows as lines, a rule under the head.
    pub(crate) fn rows(self) -> Vec<Vec<Span>> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.width)
                .max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        let mut lines = Vec::new();
        for (place, row) in self.rows.into_iter().enumerate() {
            lines.push(draw(row, &widths, &self.alignments, place == 0));
            if place == 0 {
                lines.push(vec![plain(rule.join("─┼─"))]);
            }
        }
        lines
    }
}

fn draw(row: Vec<Cell>, widths: &[usize], alignments: &[Alignment], is_head: bool) -> Vec<Span> {
    let mut spans = Vec::new();
    for (column, cell) in row.into_iter().enumerate() {
        if column > 0 {
            spans.push(plain(" │ ".to_owned()));
        }
        let blanks = widths.get(column).unwrap_or(&0).saturating_sub(cell.width);
        let before = match alignments.get(column) {
            Some(Alignment::Right) => blanks,
            Some(Alignment::Center) => blanks / 2,
            _ => 0,
        };
        spans.push(plain(" ".repeat(before)));
        spans.extend(cell.spans.into_iter().map(|span| Span {
            style: Style {
                bold: span.style.bold || is_head,
                ..span.style
            },
            ..span
        }));
        spans.push(plain(" ".repeat(blanks - before)));
    }
    spans
}

fn plain(text: String) -> Span {
    Span {
        style: Style::default(),
        text,
    }
}

//! The blocks of a text, line by line.
//!
//! What block a line belongs to is decided by the lines before it and by itself (CommonMark, appendix "A parsing
//! strategy"), so a block is drawn for good with the line that ends it. That is done here, since a parser that wants the
//! whole text cannot say what is final; what stands within a block is left to pulldown-cmark. It differs from the standard
//! in what only a later line could tell:
//! - definitions of links are shown, and references to them are text;
//! - a blank line between items or within one is drawn where it is, not in the whole list;
//! - a paragraph of several lines with `---` below it is followed by a rule: models mean one.

use super::code_block::{Code, Fence};
use super::container::{self, Container, Item, Lead};
use super::html;
use super::inline;
use super::line::{self, Line, Marker};
use super::paragraph::{self, Paragraph, Room, plain};
use super::screen::{Row, Size};
use super::style::{Role, Style};
use super::table::{self, Table};

/// The narrowest text beside prefixes, in columns. Deeper ones are cut.
const NARROWEST: usize = 8;

/// The longest row of a table, in bytes. What goes beyond it is a row of its own.
const LONGEST_ROW: usize = 64 << 10;

/// The widest rule, in columns.
const RULE: usize = 40;

/// The innermost block, which more lines can be added to.
#[derive(Clone, Debug, Default)]
enum Leaf {
    #[default]
    None,
    Paragraph(Paragraph),
    /// Level and text, closing marks included.
    Heading(usize, String),
    Code(Code),
    Html(html::End, String),
    Table(Box<Table>, String),
}

/// The open blocks, and the rows of those that have ended.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) size: Size,
    /// Rows that cannot change any more.
    pub(super) done: Vec<Row>,
    containers: Vec<Container>,
    leaf: Leaf,
    lead: Lead,
    /// How many containers the last block shares with the next one.
    common: usize,
    /// The next block is in an item of the same list.
    is_sibling: bool,
    has_blank: bool,
    has_drawn: bool,
    /// The last block is code, which is told from text by a blank row.
    after_code: bool,
}

impl Blocks {
    pub(super) const fn new(size: Size) -> Self {
        Self {
            size,
            done: Vec::new(),
            containers: Vec::new(),
            leaf: Leaf::None,
            lead: Lead {
                gap: None,
                first: None,
                rest: String::new(),
            },
            common: 0,
            is_sibling: false,
            has_blank: false,
            has_drawn: false,
            after_code: false,
        }
    }

    /// Begins a line; `text` is all of it or its beginning.
    pub(super) fn line(&mut self, text: &str) {
        let mut line = Line::new(text);
        let matched = self.matching(&mut line);
        let all = matched == self.containers.len();
        if all && self.raw(&line) {
            return;
        }
        let mut depth = matched;
        while !line.is_blank() {
            if line.indent() >= 4 {
                if matches!(self.leaf, Leaf::Paragraph(_)) {
                    break;
                }
                return self.begin_indented(depth, &mut line);
            }
            let in_paragraph = all && matches!(self.leaf, Leaf::Paragraph(_));
            if line.skip_quote() {
                self.close_to(depth);
                self.containers.push(Container::Quote);
            } else if self.begin_leaf(depth, in_paragraph, &line) {
                return;
            } else if let Some(marker) = line.marker(in_paragraph) {
                self.begin_item(depth, marker);
                line.skip_marker(&marker);
            } else {
                break;
            }
            depth += 1;
        }
        let has_begun = depth > matched;
        let is_lazy = !has_begun && !all && !line.is_blank();
        if is_lazy && let Leaf::Paragraph(paragraph) = &mut self.leaf {
            return paragraph.add(line.words());
        }
        self.leave(depth);
        match (line.is_blank(), has_begun) {
            (true, true) => {}
            (true, false) => self.blank(),
            (false, _) => self.text(line.words()),
        }
    }

    /// Adds more of a line that has begun.
    pub(super) fn more(&mut self, text: &str) {
        match &mut self.leaf {
            Leaf::None => self.line(text),
            Leaf::Paragraph(paragraph) => paragraph.text.push_str(text),
            Leaf::Heading(_, line) | Leaf::Html(_, line) | Leaf::Table(_, line) => line.push_str(text),
            Leaf::Code(code) => code.line.get_or_insert_default().push_str(text),
        }
    }

    /// Ends a line.
    pub(super) fn end_line(&mut self) {
        match &mut self.leaf {
            Leaf::None => {}
            Leaf::Heading(..) => self.close(),
            Leaf::Paragraph(paragraph) => {
                paragraph.text.truncate(paragraph.text.trim_end().len());
                self.settle();
            }
            Leaf::Code(code) => {
                let rows = code.end_line();
                self.draw_code(rows);
            }
            Leaf::Html(end, line) => {
                let (line, end) = (std::mem::take(line), *end);
                self.draw_html(&line);
                if end.is_in(&line) {
                    self.close();
                }
            }
            Leaf::Table(table, line) => {
                let line = std::mem::take(line);
                if !line.is_empty() {
                    table.add(&line);
                }
                self.settle();
            }
        }
    }

    /// Draws for good what has grown so tall that the terminal could not draw it anew: the first rows of a paragraph, of
    /// a line of code; a table, whose columns are fixed by that.
    pub(super) fn settle(&mut self) {
        let room = self.room();
        let Size { columns, rows } = self.size;
        match &mut self.leaf {
            Leaf::Paragraph(paragraph) => {
                let done = paragraph.settle(room);
                self.draw(done);
            }
            Leaf::Heading(level, text) => {
                let mut done = Vec::new();
                while let Some((rows, at)) = paragraph::cut(text, heading_style(*level), room) {
                    done.extend(rows);
                    text.drain(..at);
                }
                self.draw(done);
            }
            Leaf::Table(table, line) if line.len() > LONGEST_ROW => {
                table.add(&std::mem::take(line));
                self.settle();
            }
            Leaf::Table(table, _) if table.is_fixed() || table.height(room) > rows * 5 / 8 => {
                let done = table.draw_for_good(room);
                self.draw(done);
            }
            Leaf::Code(code) => {
                let done: Vec<Row> = std::iter::from_fn(|| code.settle(columns * (rows / 4))).collect();
                self.draw_code(done);
            }
            Leaf::Html(_, line) if line.len() > columns * (rows / 4) => {
                let line = std::mem::take(line);
                self.draw_html(&line);
            }
            _ => {}
        }
    }

    /// Ends the text.
    pub(super) fn end(&mut self) {
        self.end_line();
        self.close_to(0);
    }

    /// Draws what is open as it looks so far. A line that may be the head of a table waits for the one after it.
    pub(super) fn open_rows(&mut self) -> Vec<Row> {
        let done = std::mem::take(&mut self.done);
        let mut lead = self.lead.clone();
        let room = self.room();
        let rows = match &mut self.leaf {
            Leaf::None => Vec::new(),
            Leaf::Paragraph(paragraph) => paragraph.open_rows(room),
            Leaf::Heading(level, text) => {
                let text = format!("{text}{}", inline::missing(text));
                heading(*level, &text, room)
            }
            Leaf::Code(code) => {
                let rows = code.end_line();
                return [done, lead.apply_to_code(rows)].concat();
            }
            Leaf::Html(_, line) if line.is_empty() => Vec::new(),
            Leaf::Html(_, line) => plain(room.wrap(&literal(line))),
            Leaf::Table(table, _) if table.is_fixed() => Vec::new(),
            Leaf::Table(table, _) => table.draw(room),
        };
        [done, lead.apply(rows)].concat()
    }

    /// The fence of open code, whose end would be a line of nothing but its mark.
    pub(super) fn fence(&self) -> Option<Option<char>> {
        match &self.leaf {
            Leaf::Code(code) => Some(code.fence.map(|fence| fence.mark)),
            _ => None,
        }
    }

    /// Returns how many containers go on in this line, and skips what shows that.
    fn matching(&self, line: &mut Line<'_>) -> usize {
        for (depth, container) in self.containers.iter().enumerate() {
            let goes_on = match container {
                Container::Quote => line.skip_quote(),
                // An item that begins with a blank line ends with a second one.
                Container::Item(item) if line.is_blank() => item.is_used || depth + 1 < self.containers.len(),
                Container::Item(item) => {
                    let goes_on = line.indent() >= item.content;
                    if goes_on {
                        line.skip(item.content);
                    }
                    goes_on
                }
            };
            if !goes_on {
                return depth;
            }
        }
        self.containers.len()
    }

    /// Adds a line to a block that takes it as it is; false where there is none.
    fn raw(&mut self, line: &Line<'_>) -> bool {
        let mut line = line.clone();
        match &mut self.leaf {
            Leaf::Code(code) => match code.fence {
                Some(fence) => {
                    if line.indent() <= 3 && fence.is_ended_by(line.words()) {
                        self.close();
                        return true;
                    }
                    line.skip(fence.indent);
                    code.line = Some(line.rest());
                    true
                }
                None if line.is_blank() => {
                    code.add_blank();
                    true
                }
                None if line.indent() >= 4 => {
                    line.skip(4);
                    code.line = Some(line.rest());
                    true
                }
                None => false,
            },
            Leaf::Html(html::End::Blank, _) if line.is_blank() => {
                self.close();
                self.has_blank = true;
                true
            }
            Leaf::Html(_, text) => {
                *text = line.rest();
                true
            }
            _ => false,
        }
    }

    /// Begins a block that one line tells; false where it does not.
    fn begin_leaf(&mut self, depth: usize, in_paragraph: bool, line: &Line<'_>) -> bool {
        let words = line.words();
        let after_text = matches!(self.leaf, Leaf::Paragraph(_));
        if let Some((level, text)) = line::heading(words) {
            self.close_to(depth);
            self.open(Leaf::Heading(level, text.to_owned()));
        } else if let Some((mark, length, label)) = line::fence(words) {
            self.close_to(depth);
            let indent = line.indent();
            self.begin_fenced(Fence { mark, length, indent }, label);
        } else if let Some(end) = html::begins(words, after_text) {
            self.close_to(depth);
            self.open(Leaf::Html(end, line.rest()));
        } else if in_paragraph && line::underline(words).is_some_and(|level| self.make_heading(level)) {
            return true;
        } else if line::is_rule(words) {
            self.close_to(depth);
            self.open(Leaf::None);
            let rule = "─".repeat(self.width().min(RULE));
            self.draw(vec![Row::of(Style::DIM, rule)]);
        } else {
            return false;
        }
        true
    }

    fn begin_indented(&mut self, depth: usize, line: &mut Line<'_>) {
        self.close_to(depth);
        line.skip(4);
        self.open(Leaf::Code(Code::indented(line.rest())));
        if self.lead.has_marker() {
            self.draw(vec![Row::default()]);
        }
    }

    fn begin_fenced(&mut self, fence: Fence, label: &str) {
        self.open(Leaf::Code(Code::fenced(fence, label)));
        if !label.is_empty() || self.lead.has_marker() {
            let mut row = Row::default();
            for cell in literal(label) {
                row.push(Style::DIM, cell.c.encode_utf8(&mut [0; 4]));
            }
            self.draw(vec![row]);
        }
    }

    fn begin_item(&mut self, depth: usize, marker: Marker) {
        let before = match self.containers.get(depth) {
            Some(Container::Item(item)) if item.kind == marker.kind => Some(item.number),
            _ => None,
        };
        self.close_to(depth);
        self.is_sibling = before.is_some();
        self.containers.push(Container::Item(Item {
            kind: marker.kind,
            number: before.map_or(marker.number, |number| number.saturating_add(1)),
            content: marker.content,
            is_used: false,
        }));
    }

    /// Makes a paragraph of one line a heading; false for any other.
    fn make_heading(&mut self, level: usize) -> bool {
        match &mut self.leaf {
            Leaf::Paragraph(paragraph) if !paragraph.is_cut && !paragraph.text.contains('\n') => {
                let text = std::mem::take(&mut paragraph.text);
                self.leaf = Leaf::Heading(level, text);
                true
            }
            _ => false,
        }
    }

    fn blank(&mut self) {
        if !matches!(self.leaf, Leaf::Code(_) | Leaf::Html(..)) {
            self.close();
        }
        self.has_blank = true;
    }

    /// Adds a line of text.
    fn text(&mut self, words: &str) {
        if let Some(table) = self.begin_table(words) {
            self.leaf = table;
            return;
        }
        match &mut self.leaf {
            Leaf::Paragraph(paragraph) => paragraph.add(words),
            Leaf::Table(_, line) => words.clone_into(line),
            _ => {
                self.close();
                let mut paragraph = Paragraph::default();
                paragraph.add(words);
                self.open(Leaf::Paragraph(paragraph));
            }
        }
    }

    /// Makes a table of a paragraph's last line where this is the line below a head.
    fn begin_table(&mut self, words: &str) -> Option<Leaf> {
        let Leaf::Paragraph(paragraph) = &mut self.leaf else {
            return None;
        };
        let alignments = table::delimiters(words)?;
        let last = paragraph.last?;
        let head = paragraph.text[last..].to_owned();
        if table::split(&head).len() != alignments.len() {
            return None;
        }
        paragraph.text.truncate(last.saturating_sub(1));
        let table = Leaf::Table(Box::new(Table::new(&head, alignments)), String::new());
        if last > 0 || paragraph.is_cut {
            self.close();
            self.open(Leaf::None);
        }
        Some(table)
    }

    /// Opens a block in the open containers.
    fn open(&mut self, leaf: Leaf) {
        let shared = &self.containers[..self.common.min(self.containers.len())];
        let in_list = self.is_sibling || shared.iter().any(|open| matches!(open, Container::Item(_)));
        let is_code = matches!(leaf, Leaf::Code(_));
        let is_first = self.containers.iter().any(is_empty_item);
        let beside_code = self.after_code || (is_code && !is_first);
        let has_gap = self.has_drawn && (!in_list || self.has_blank || beside_code);
        let gap = has_gap.then(|| container::rest(shared));
        let most = self.size.columns.saturating_sub(NARROWEST);
        self.lead = Lead {
            gap,
            first: Some(container::first(&mut self.containers)),
            rest: container::rest(&self.containers),
        };
        self.lead.cut(most);
        self.leaf = leaf;
        self.common = self.containers.len();
        self.is_sibling = false;
        self.has_blank = false;
        self.has_drawn = true;
        self.after_code = is_code;
    }

    /// Ends the containers behind the first ones, and the block in them.
    fn leave(&mut self, depth: usize) {
        if depth >= self.containers.len() {
            return;
        }
        self.close();
        let is_empty = |container: &Container| matches!(container, Container::Item(item) if !item.is_used);
        if self.containers[depth..].iter().any(is_empty) {
            self.open(Leaf::None);
            self.draw(vec![Row::default()]);
        }
        self.containers.truncate(depth);
        self.common = self.common.min(depth);
    }

    /// The same, and ends the block in the containers that stay.
    fn close_to(&mut self, depth: usize) {
        self.leave(depth);
        self.close();
    }

    /// Ends the innermost block.
    fn close(&mut self) {
        let room = self.room();
        let rows = match std::mem::take(&mut self.leaf) {
            Leaf::None | Leaf::Html(..) => return,
            Leaf::Code(code) => {
                self.has_blank |= code.ends_blank();
                return;
            }
            Leaf::Paragraph(paragraph) => paragraph.rows(room),
            Leaf::Heading(level, text) => heading(level, &text, room),
            Leaf::Table(table, _) if table.is_fixed() => return,
            Leaf::Table(table, _) => table.draw(room),
        };
        self.draw(rows);
    }

    /// How many columns there are beside the prefix.
    fn width(&self) -> usize {
        let taken = self.lead.rest.chars().count();
        self.size.columns.saturating_sub(taken).max(NARROWEST)
    }

    /// The room for what may still change: less than half of the screen.
    fn room(&self) -> Room {
        Room {
            columns: self.size.columns,
            width: self.width(),
            rows: (self.size.rows / 2).saturating_sub(2).max(1),
        }
    }

    fn draw(&mut self, rows: Vec<Row>) {
        self.done.extend(self.lead.apply(rows));
    }

    fn draw_code(&mut self, rows: Vec<Row>) {
        self.done.extend(self.lead.apply_to_code(rows));
    }

    fn draw_html(&mut self, line: &str) {
        let rows = plain(self.room().wrap(&literal(line)));
        self.draw(rows);
    }
}

/// True for an item of which nothing is drawn yet.
const fn is_empty_item(container: &Container) -> bool {
    matches!(container, Container::Item(item) if !item.is_used)
}

/// Draws a heading.
fn heading(level: usize, text: &str, room: Room) -> Vec<Row> {
    plain(room.wrap(&inline::parse(text.trim_end(), heading_style(level)).cells))
}

fn heading_style(level: usize) -> Style {
    Style {
        bold: true,
        underline: level == 1,
        ..Style::default().role(Role::Heading)
    }
}

/// Text without marks: the same characters, made harmless.
fn literal(text: &str) -> Vec<inline::Cell> {
    let mut shown = String::with_capacity(text.len());
    qwen_shared::text::make_visible(text, &mut shown);
    let cell = |c| inline::Cell {
        c,
        style: Style::default(),
        at: 0,
    };
    shown.chars().map(cell).collect()
}

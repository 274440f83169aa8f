//! From Markdown to lines.

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::container::{Container, prefixes, rest};
use super::line::Line;
use super::links;
use super::style::Style;
use super::table::Table;

/// The extensions of CommonMark that are rendered.
pub(super) fn options() -> Options {
    Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS
}

/// Draws one block. Of a block that is `unfinished` a table at the end is left out: its columns are not known yet.
pub(crate) fn lines(source: &str, unfinished: bool) -> Vec<Line> {
    let mut renderer = Renderer::default();
    let parser = Parser::new_ext(source, options());
    let definitions = links::definitions(&parser);
    if !definitions.is_empty() {
        return lines(&links::as_text(source, &definitions), unfinished);
    }
    for event in parser {
        renderer.take(event);
    }
    if !unfinished {
        return renderer.lines;
    }
    if let Some(at) = renderer.last_table.filter(|_| renderer.ends_in_table) {
        renderer.lines.truncate(at);
    }
    renderer.lines
}

#[derive(Debug, Default)]
struct Renderer {
    lines: Vec<Line>,
    open: bool,
    containers: Vec<Container>,
    style: Style,
    links: Vec<(String, usize)>,
    in_code: bool,
    table: Option<Table>,
    last_table: Option<usize>,
    ends_in_table: bool,
    /// A blank line goes before the next line, after this prefix: a block has ended.
    gap: Option<String>,
}

impl Renderer {
    fn take(&mut self, event: Event<'_>) {
        self.ends_in_table = matches!(event, Event::End(TagEnd::Table)) || self.table.is_some();
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => self.code(&text),
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => self.text(self.style, &text),
            Event::Code(code) => self.text(
                Style {
                    code: true,
                    ..self.style
                },
                &code,
            ),
            Event::SoftBreak => self.text(self.style, " "),
            Event::HardBreak => {
                self.close();
                self.open_line();
            }
            Event::Rule => {
                self.open_line();
                self.text(
                    Style {
                        dim: true,
                        ..Style::default()
                    },
                    "────────────────",
                );
                self.end_block();
            }
            Event::TaskListMarker(done) => self.text(self.style, if done { "[x] " } else { "[ ] " }),
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(self.style, &text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.style.bold = true;
                self.style.heading = true;
                self.style.underline = level == HeadingLevel::H1;
            }
            Tag::BlockQuote(_) => self.containers.push(Container::Quote),
            Tag::CodeBlock(kind) => {
                self.close();
                self.in_code = true;
                if matches!(kind, CodeBlockKind::Fenced(_)) && self.is_after_text() {
                    self.end_block();
                }
            }
            Tag::List(first) => {
                self.close();
                if self.is_after_text() {
                    self.gap = None;
                }
                self.containers.push(Container::List(first));
            }
            Tag::Item => self.start_item(),
            Tag::Table(alignments) => self.table = Some(Table::new(alignments)),
            Tag::TableCell => {
                if let Some(table) = &mut self.table {
                    table.start_cell();
                }
            }
            Tag::Emphasis => self.style.italic = true,
            Tag::Strong => self.style.bold = true,
            Tag::Strikethrough => self.style.strike = true,
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                let start = self.lines.last().map_or(0, |line| line.length());
                self.links.push((dest_url.into_string(), start));
                self.style.underline = true;
            }
            _ => {}
        }
    }

    fn start_item(&mut self) {
        self.close();
        let marker = match self.containers.last_mut() {
            Some(Container::List(Some(number))) => {
                let marker = format!("{number}. ");
                *number += 1;
                marker
            }
            _ => "• ".to_owned(),
        };
        self.containers.push(Container::Item { marker, used: false });
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.end_block(),
            TagEnd::Heading(_) => {
                self.style = Style::default();
                self.end_block();
            }
            TagEnd::BlockQuote(_) => {
                self.containers.pop();
                self.end_block();
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.end_block();
            }
            TagEnd::Item => {
                self.show_empty_item();
                self.close();
                self.containers.pop();
                self.gap = None;
            }
            TagEnd::List(_) => {
                self.containers.pop();
                self.gap = self.containers.is_empty().then(String::new);
            }
            TagEnd::Table => self.end_table(),
            TagEnd::TableRow | TagEnd::TableHead => {
                if let Some(table) = &mut self.table {
                    table.end_row();
                }
            }
            TagEnd::Emphasis => self.style.italic = false,
            TagEnd::Strong => self.style.bold = self.style.heading,
            TagEnd::Strikethrough => self.style.strike = false,
            TagEnd::Link | TagEnd::Image => self.end_link(),
            _ => {}
        }
    }

    /// Says where a link goes, unless its text says so.
    fn end_link(&mut self) {
        self.style.underline = false;
        let Some((target, start)) = self.links.pop() else {
            return;
        };
        let shown: String = self
            .lines
            .last()
            .map(|line| {
                line.spans
                    .iter()
                    .flat_map(|span| span.text.chars())
                    .skip(start)
                    .collect()
            })
            .unwrap_or_default();
        if self.table.is_none() && shown.trim() != target && format!("mailto:{shown}") != target {
            self.text(
                Style {
                    dim: true,
                    ..self.style
                },
                &format!(" ({target})"),
            );
        }
    }

    fn end_table(&mut self) {
        let Some(table) = self.table.take() else {
            return;
        };
        self.last_table = Some(self.lines.len());
        for row in table.rows() {
            self.open_line();
            if let Some(line) = self.lines.last_mut() {
                line.rigid = true;
                line.spans = row;
            }
            self.close();
        }
        self.end_block();
    }

    fn text(&mut self, style: Style, text: &str) {
        if let Some(table) = &mut self.table {
            table.text(style, text);
            return;
        }
        for (count, part) in text.split('\n').enumerate() {
            if count > 0 {
                self.close();
            }
            if part.is_empty() && count > 0 {
                continue;
            }
            self.open_line();
            if let Some(line) = self.lines.last_mut() {
                line.push(style, part);
            }
        }
    }

    /// Adds code unchanged, line by line.
    fn code(&mut self, text: &str) {
        let style = Style {
            code: true,
            ..Style::default()
        };
        for piece in text.split_inclusive('\n') {
            self.open_line();
            if let Some(line) = self.lines.last_mut() {
                line.rigid = true;
                line.push(style, piece.trim_end_matches(['\n', '\r']));
            }
            if piece.ends_with('\n') {
                self.close();
            }
        }
    }

    fn open_line(&mut self) {
        if self.open {
            return;
        }
        let (first, rest) = prefixes(&mut self.containers);
        if let Some(gap) = self.gap.take()
            && !self.lines.is_empty()
        {
            self.lines.push(Line {
                first: gap.trim_end().to_owned(),
                ..Line::default()
            });
        }
        self.lines.push(Line {
            first,
            rest,
            ..Line::default()
        });
        self.open = true;
    }

    fn close(&mut self) {
        self.open = false;
    }

    fn end_block(&mut self) {
        self.close();
        self.gap = Some(rest(&self.containers));
    }

    /// True within an item whose marker has been printed.
    fn is_after_text(&self) -> bool {
        matches!(self.containers.last(), Some(Container::Item { used: true, .. }))
    }

    fn show_empty_item(&mut self) {
        if matches!(self.containers.last(), Some(Container::Item { used: false, .. })) {
            self.open_line();
        }
    }
}

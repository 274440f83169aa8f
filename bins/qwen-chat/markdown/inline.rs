//! Emphasis, code, links: what stands within a paragraph, a heading or a cell.

use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use qwen_shared::text::make_visible;

use super::cjk::{Exchanged, exchange};
use super::style::{Role, Style};

/// Stands for the place of what is not written in the text where it is drawn.
pub(super) const NOWHERE: usize = usize::MAX;

/// One character of the drawing, and where in the text it comes from. A line feed is a line break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) c: char,
    pub(super) style: Style,
    pub(super) at: usize,
}

/// What a text looks like.
#[derive(Debug, Default)]
pub(super) struct Inline {
    pub(super) cells: Vec<Cell>,
    /// Where the text cannot be cut: the ranges of its emphasis, code and links, the outermost alone.
    pub(super) whole: Vec<Range<usize>>,
}

/// A line before the text and blanks before each of its lines: the parser takes all of it for one paragraph, whatever the
/// lines begin with. It has no marks, so it changes nothing of what follows.
const BEFORE: &str = "p\n";
const INDENT: &str = "    ";

/// Parses the text of one paragraph, whose lines have no blanks around them.
pub(super) fn parse(text: &str, base: Style) -> Inline {
    let mut source = String::with_capacity(BEFORE.len() + text.len() + 64);
    source.push_str(BEFORE);
    for (count, line) in text.split('\n').enumerate() {
        if count > 0 {
            source.push('\n');
        }
        source.push_str(INDENT);
        source.push_str(line);
    }
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH;
    let mut reader = Reader {
        text,
        base,
        style: base,
        exchanged: exchange(&mut source),
        ..Reader::default()
    };
    // The paragraph, its first line and the break after it.
    for (event, range) in Parser::new_ext(&source, options).into_offset_iter().skip(3) {
        let (start, line) = reader.place(range.start);
        let (end, _) = reader.place(range.end);
        reader.line = line;
        reader.take(event, start..end.max(start));
    }
    reader.inline
}

/// Returns the marks that would end what the last line has left open: text that still comes is drawn as it will be when
/// they have come, so that marks do not flash up.
pub(super) fn missing(text: &str) -> String {
    let line = &text[text.rfind('\n').map_or(0, |at| at + 1)..];
    let mut open: Vec<&str> = Vec::new();
    let mut before = ' ';
    let mut rest = line;
    while let Some(mark) = rest.chars().next() {
        let length = if "*`~".contains(mark) {
            rest.len() - rest.trim_start_matches(mark).len()
        } else {
            mark.len_utf8()
        };
        let (run, after) = rest.split_at(length);
        let in_code = open.last().is_some_and(|last| last.starts_with('`'));
        let ends = open.last() == Some(&run) && (in_code || !before.is_whitespace());
        let begins = !in_code && after.starts_with(|c: char| !c.is_whitespace());
        match mark {
            '\\' => {
                rest = after
                    .get(after.chars().next().map_or(0, char::len_utf8)..)
                    .unwrap_or_default();
                before = mark;
                continue;
            }
            '*' | '`' | '~' if ends => drop(open.pop()),
            '*' if begins => open.push(run),
            '`' if begins || (!in_code && length > 1) => open.push(run),
            '~' if begins && length == 2 => open.push(run),
            _ => {}
        }
        (before, rest) = (mark, after);
    }
    open.iter().rev().copied().collect()
}

#[derive(Debug, Default)]
struct Reader<'a> {
    text: &'a str,
    base: Style,
    style: Style,
    inline: Inline,
    /// Emphasis within emphasis.
    depth: usize,
    /// Where the emphasis or link begins of which no character has come: the first one stands for its marks too.
    begun: Option<usize>,
    /// The targets of open links, each with its title, and the cell at which it begins.
    links: Vec<(String, String, usize)>,
    /// The line reached: its number, and where it begins.
    line: (usize, usize),
    /// What stands in the parsed text for something else.
    exchanged: Exchanged,
    shown: String,
}

impl Reader<'_> {
    /// Returns the place in the text of a place in what was parsed, and its line. It is not before the line reached.
    fn place(&self, at: usize) -> (usize, (usize, usize)) {
        let at = at.saturating_sub(BEFORE.len());
        let (mut number, mut start) = self.line;
        while let Some(length) = self.text[start..].find('\n') {
            if at < start + length + 1 + INDENT.len() * (number + 1) {
                break;
            }
            start += length + 1;
            number += 1;
        }
        let place = at.saturating_sub(INDENT.len() * (number + 1));
        (place.clamp(start, self.text.len()), (number, start))
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        let at = range.start;
        match event {
            Event::Start(tag) => {
                if self.depth == 0 {
                    self.inline.whole.push(range);
                }
                self.depth += 1;
                self.begun = self.begun.or(Some(at));
                self.start(tag);
            }
            Event::End(TagEnd::Paragraph) => {}
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                self.end(tag);
            }
            Event::Text(text) => self.push(self.style, &text, at),
            Event::Code(code) => {
                let is_broken = self.text[range.clone()].contains('\n');
                self.begun = self.begun.or(Some(at));
                self.inline.whole.push(range);
                self.code(&code, is_broken);
            }
            Event::InlineHtml(html) if is_break(&html) => self.push(self.style, "\n", at),
            // As they are written: what the parser returns has blanks before each line.
            Event::InlineMath(_) | Event::DisplayMath(_) => {
                let text = self.text;
                self.inline.whole.push(range.clone());
                self.push(self.style, &text[range], at);
            }
            Event::Html(_) | Event::InlineHtml(_) => {
                let text = self.text;
                self.push(self.style, &text[range], at);
            }
            Event::SoftBreak | Event::HardBreak => self.push(self.style, "\n", at),
            Event::FootnoteReference(name) => self.push(self.style, &format!("[^{name}]"), at),
            Event::TaskListMarker(_) | Event::Rule => {}
        }
    }

    /// Adds code within text. Where a line ends in it the parser has put [`INDENT`] too.
    fn code(&mut self, code: &str, is_broken: bool) {
        let style = self.style.role(Role::Code);
        if is_broken {
            let words: Vec<&str> = code.split_whitespace().collect();
            self.push(style, &words.join(" "), NOWHERE);
        } else {
            self.push(style, code, NOWHERE);
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Emphasis => self.style.italic = true,
            Tag::Strong => self.style.bold = true,
            Tag::Strikethrough => self.style.strike = true,
            Tag::Link { dest_url, title, .. } | Tag::Image { dest_url, title, .. } => {
                let start = self.inline.cells.len();
                let (target, title) = (self.exchanged.restore(&dest_url), self.exchanged.restore(&title));
                self.links.push((target, title, start));
                self.style.underline = true;
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Emphasis => self.style.italic = self.base.italic,
            TagEnd::Strong => self.style.bold = self.base.bold,
            TagEnd::Strikethrough => self.style.strike = false,
            TagEnd::Link | TagEnd::Image => self.end_link(),
            _ => {}
        }
    }

    /// Says where a link goes, unless its text says so.
    fn end_link(&mut self) {
        self.style.underline = self.base.underline;
        let Some((target, title, start)) = self.links.pop() else {
            return;
        };
        let shown: String = self.inline.cells[start..].iter().map(|cell| cell.c).collect();
        let is_said = target.is_empty() || shown.trim() == target || format!("mailto:{shown}") == target;
        let mut words = if is_said { String::new() } else { target };
        if !title.is_empty() {
            words.push_str(if words.is_empty() { "\"" } else { " \"" });
            words.push_str(&title);
            words.push('"');
        }
        if !words.is_empty() {
            let style = Style {
                dim: true,
                ..self.style
            };
            let words = if shown.is_empty() {
                words
            } else {
                format!(" ({words})")
            };
            self.push(style, &words, NOWHERE);
        }
    }

    /// Appends text, made harmless. `at` is where it comes from; within it every byte stands for itself, as good as always.
    fn push(&mut self, style: Style, text: &str, at: usize) {
        let mut buffer = [0; 4];
        for (offset, c) in text.char_indices() {
            let before = self.shown.len();
            let c = self.exchanged.original(c);
            make_visible(c.encode_utf8(&mut buffer), &mut self.shown);
            let written = (at != NOWHERE).then(|| (at + offset).min(self.text.len()));
            let at = self.begun.take().or(written).unwrap_or(NOWHERE);
            for c in self.shown[before..].chars() {
                self.inline.cells.push(Cell { c, style, at });
            }
        }
    }
}

/// True for the tag that breaks a line in the cells of models' tables.
fn is_break(html: &str) -> bool {
    let name = html.trim_start_matches('<').trim_end_matches(['>', '/', ' ']);
    name.eq_ignore_ascii_case("br")
}

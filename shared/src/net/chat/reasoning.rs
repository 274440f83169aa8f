//! Reasoning that stands in the text: between tags, or before a closing tag alone.
//!
//! The tags are those of `provider/reasoning_tags.json`, in any case; one that looks like HTML may hold blanks, and an
//! opening one attributes. `open` and `close` stand round reasoning; a closing tag of `alone` is a word of no other text, so
//! that it counts without an opening one. Models that mark their answer too do so with `begin` and `end`, which are no part
//! of it.

use std::sync::OnceLock;

use serde::Deserialize;

/// A piece of the answer, emitted as soon as it is certain what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// Text of the answer.
    Text(&'a str),
    /// The model's reasoning.
    Reasoning(&'a str),
    /// The text so far was reasoning: a closing tag came without an opening one.
    TextWasReasoning,
}

/// The tags of a make of models.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tags {
    open: Vec<String>,
    close: Vec<String>,
    #[serde(default)]
    alone: Vec<String>,
    #[serde(default)]
    begin: Vec<String>,
    #[serde(default)]
    end: Vec<String>,
}

/// The tags of all makes, read when the first byte comes with which one may begin.
fn all_tags() -> &'static [Tags] {
    static TAGS: OnceLock<Vec<Tags>> = OnceLock::new();
    // That the file parses is a unit test.
    TAGS.get_or_init(|| {
        serde_json::from_str(include_str!("../../provider/reasoning_tags.json")).unwrap_or_default()
    })
}

/// The most blanks before the first word that are held back.
const BLANKS: usize = 4 << 10;

/// Separates reasoning from text that comes in pieces.
///
/// Only a block at the very beginning counts: later in an answer `<think>` is just text. Text is held back only while
/// it may still turn out to be a tag. Blanks between reasoning and the first word are dropped.
#[derive(Debug, Default)]
pub(super) struct ReasoningSplitter {
    state: State,
    held: String,
    /// The answer begins in thought, whether a tag says so or not.
    starts_in_reasoning: bool,
    /// The last byte of text that was emitted, while a closing tag is looked for.
    last: u8,
    /// The tags with which the answer ends.
    end: &'static [String],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Only whitespace and perhaps a part of a tag has come.
    #[default]
    Start,
    /// Reasoning, to the closing tag of that make; `None`: to that of any make.
    Reasoning(Option<&'static Tags>),
    /// Reasoning has ended; whitespace before the answer is dropped.
    AfterReasoning,
    /// Text in which a closing tag without an opening one may still come.
    Watched,
    Text,
}

impl ReasoningSplitter {
    pub(super) fn new(starts_in_reasoning: bool) -> Self {
        Self {
            starts_in_reasoning,
            ..Self::default()
        }
    }

    /// Takes the next piece and emits what is decided.
    pub(super) fn push(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        let is_free = match self.state {
            State::Text => self.end.is_empty() || !may_hold_tag(text),
            State::Watched => !may_hold_tag(text),
            _ => false,
        };
        if is_free && self.held.is_empty() {
            self.last = text.bytes().last().unwrap_or(self.last);
            return sink(Delta::Text(text));
        }
        self.held.push_str(text);
        loop {
            let goes_on = match self.state {
                State::Start | State::AfterReasoning => self.begin(),
                State::Reasoning(tags) => self.end_reasoning(tags, sink),
                State::Watched => self.watch(sink),
                State::Text => {
                    self.emit_text(sink);
                    false
                }
            };
            if !goes_on || self.held.is_empty() {
                return;
            }
        }
    }

    /// Learns that reasoning has come in a member of its own.
    pub(super) fn note_reasoning(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        match self.state {
            State::Start => self.state = State::AfterReasoning,
            State::Watched => {
                self.state = State::Text;
                self.emit_held(sink);
            }
            State::Reasoning(_) | State::AfterReasoning | State::Text => {}
        }
    }

    /// Emits what is held: at the end of the answer nothing more can make it a tag.
    pub(super) fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        match self.state {
            State::Reasoning(_) => {
                let held = std::mem::take(&mut self.held);
                if !held.is_empty() {
                    sink(Delta::Reasoning(&held));
                }
            }
            State::AfterReasoning if self.held.trim().is_empty() => self.held.clear(),
            _ => self.emit_held(sink),
        }
        self.state = State::Text;
    }

    fn emit_held(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            sink(Delta::Text(&held));
        }
    }

    /// Emits text without the tags that end it.
    fn emit_text(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        while let Some((at, length)) = find(&self.held, 0, self.end) {
            if at > 0 {
                sink(Delta::Text(&self.held[..at]));
            }
            self.held.drain(..at + length);
        }
        let end = self.held.len() - longest_part(&self.held, self.end);
        if end > 0 {
            sink(Delta::Text(&self.held[..end]));
            self.held.drain(..end);
        }
    }

    /// Decides what the text begins with; false while more is needed for that.
    fn begin(&mut self) -> bool {
        let is_after = self.state == State::AfterReasoning;
        // A byte-order mark that a relay put before the answer counts as a blank.
        let text = self
            .held
            .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let blanks = self.held.len() - text.len();
        if let Some((tags, length, opens)) = first_tag(text, is_after) {
            self.held.drain(..blanks + length);
            if !tags.begin.is_empty() {
                self.end = &tags.end;
            }
            self.state = match opens {
                true => State::Reasoning(Some(tags)),
                false => State::AfterReasoning,
            };
            return true;
        }
        if text.is_empty() && blanks > BLANKS {
            self.state = if is_after {
                State::AfterReasoning
            } else {
                State::Text
            };
            if is_after {
                self.held.clear();
            }
            return !is_after;
        }
        if text.is_empty() || may_become_tag(text, is_after) {
            return false;
        }
        if is_after {
            self.held.drain(..blanks);
            self.state = State::Text;
        } else if self.starts_in_reasoning {
            self.state = State::Reasoning(None);
        } else {
            self.state = State::Watched;
        }
        true
    }

    /// Emits the reasoning that is certain; true when it has ended.
    fn end_reasoning(&mut self, tags: Option<&'static Tags>, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let tag = match tags {
            Some(tags) => find(&self.held, 0, &tags.close),
            None => find_closing(&self.held, 0).map(|(at, length, _)| (at, length)),
        };
        let end = match tag {
            Some((at, _)) => at,
            None => self.held.len() - part_of_closing(&self.held, tags),
        };
        if end > 0 {
            sink(Delta::Reasoning(&self.held[..end]));
        }
        self.held.drain(..end + tag.map_or(0, |(_, length)| length));
        if tag.is_some() {
            self.state = State::AfterReasoning;
        }
        tag.is_some()
    }

    /// Emits text that is certain to be none of a closing tag. True when one was found, or none is looked for any more.
    fn watch(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let open = find(&self.held, 0, first_opening());
        if open.is_some_and(|(open, _)| find_closing(&self.held, 0).is_none_or(|(at, ..)| open < at)) {
            self.state = State::Text;
            return true;
        }
        let mut from = 0;
        while let Some((at, length, tags)) = find_closing(&self.held, from) {
            let before = self.held.as_bytes()[..at].last().copied().unwrap_or(self.last);
            let after = self.held.as_bytes().get(at + length).copied();
            if after.is_none() && is_quote(before) {
                // Whether it is quoted is not known before the next piece.
                break;
            }
            if is_quote(before) && after == Some(before) {
                from = at + length;
                continue;
            }
            if at > 0 {
                sink(Delta::Text(&self.held[..at]));
            }
            sink(Delta::TextWasReasoning);
            self.held.drain(..at + length);
            self.state = State::AfterReasoning;
            self.end = &tags.end;
            return true;
        }
        let pending = find_closing(&self.held, from).map(|(at, ..)| self.held.len() - at);
        let kept = pending.unwrap_or_else(|| {
            let of_opening = longest_part(&self.held, first_opening());
            part_of_closing(&self.held, None).max(of_opening)
        });
        let end = self.held.len() - kept;
        if end > 0 {
            sink(Delta::Text(&self.held[..end]));
            self.last = self.held.as_bytes()[end - 1];
            self.held.drain(..end);
        }
        false
    }
}

/// Returns the opening tag that nearly all makes use, which makes a closing one behind it a word of the text.
fn first_opening() -> &'static [String] {
    all_tags().first().map_or(&[], |tags| tags.open.as_slice())
}

/// True when a tag, or a part of one, may be in the text: each begins with one of these bytes.
fn may_hold_tag(text: &str) -> bool {
    memchr::memchr3(b'<', b'[', 0xe2, text.as_bytes()).is_some()
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'`' | b'"' | b'\'')
}

/// Returns the make whose tag a text begins with, the length of the tag, and whether it opens reasoning. After reasoning
/// another closing tag is none of the answer either.
fn first_tag(text: &str, is_after: bool) -> Option<(&'static Tags, usize, bool)> {
    if !may_hold_tag(text) {
        return None;
    }
    all_tags().iter().find_map(|tags| {
        let among = |names: &'static [String]| names.iter().find_map(|tag| length_of(text.as_bytes(), tag));
        let other = || among(&tags.begin).or_else(|| among(&tags.close).filter(|_| is_after));
        match among(&tags.open) {
            Some(length) => Some((tags, length, true)),
            None => other().map(|length| (tags, length, false)),
        }
    })
}

/// True for a text that may still become a tag of those that [`first_tag`] finds.
fn may_become_tag(text: &str, is_after: bool) -> bool {
    may_hold_tag(text)
        && all_tags().iter().any(|tags| {
            let closing = if is_after { tags.close.as_slice() } else { &[] };
            let mut names = tags.open.iter().chain(&tags.begin).chain(closing);
            names.any(|tag| fit(text.as_bytes(), tag) == Fit::Part)
        })
}

/// The most bytes of a tag with attributes.
const LONGEST_TAG: usize = 200;

/// How a text begins, compared with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// With the tag, which is so many bytes there.
    Whole(usize),
    /// With a part of it, and there is no more of the text.
    Part,
    Not,
}

/// Compares the beginning of a text with a tag, in any case.
fn fit(text: &[u8], tag: &str) -> Fit {
    let tag = tag.as_bytes();
    if let Some((is_closing, name)) = markup_name(tag) {
        return fit_markup(text, is_closing, name);
    }
    let length = text.len().min(tag.len());
    match text[..length].eq_ignore_ascii_case(&tag[..length]) {
        true if length == tag.len() => Fit::Whole(length),
        true => Fit::Part,
        false => Fit::Not,
    }
}

fn length_of(text: &[u8], tag: &str) -> Option<usize> {
    match fit(text, tag) {
        Fit::Whole(length) => Some(length),
        Fit::Part | Fit::Not => None,
    }
}

/// Returns the name in a tag that looks like HTML, and whether it closes.
fn markup_name(tag: &[u8]) -> Option<(bool, &[u8])> {
    let inner = tag.strip_prefix(b"<")?.strip_suffix(b">")?;
    let (is_closing, name) = match inner.strip_prefix(b"/") {
        Some(name) => (true, name),
        None => (false, inner),
    };
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    name.iter().all(is_name).then_some((is_closing, name))
}

/// Compares the beginning of a text with a tag of that name. `< think >` is one too, and `<think effort="low">`.
fn fit_markup(text: &[u8], is_closing: bool, name: &[u8]) -> Fit {
    let text = &text[..text.len().min(LONGEST_TAG)];
    let is_cut = text.len() < LONGEST_TAG;
    let part = if is_cut { Fit::Part } else { Fit::Not };
    let blanks = |at: usize| {
        at + text[at..]
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count()
    };
    if text.is_empty() {
        return part;
    }
    if text[0] != b'<' {
        return Fit::Not;
    }
    let mut at = blanks(1);
    if is_closing {
        match text.get(at) {
            None => return part,
            Some(b'/') => at = blanks(at + 1),
            Some(_) => return Fit::Not,
        }
    }
    let here = &text[at..text.len().min(at + name.len())];
    if !here.eq_ignore_ascii_case(&name[..here.len()]) {
        return Fit::Not;
    }
    at += here.len();
    fit_tag_end(&text[at..], is_closing, part, at)
}

/// Compares what follows the name in a tag, of which `length` bytes have been read: attributes or nothing, and `>`.
fn fit_tag_end(rest: &[u8], is_closing: bool, part: Fit, length: usize) -> Fit {
    let blank = rest
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    let attributes = &rest[blank..];
    match attributes.first() {
        None => part,
        Some(b'>') => Fit::Whole(length + blank + 1),
        Some(_) if is_closing || blank == 0 => Fit::Not,
        Some(_) => match attributes
            .iter()
            .position(|byte| matches!(byte, b'<' | b'>' | b'\n' | b'\r'))
        {
            None => part,
            Some(end) if attributes[end] == b'>' && is_attributes(&attributes[..end]) => {
                Fit::Whole(length + blank + end + 1)
            }
            Some(_) => Fit::Not,
        },
    }
}

/// True for what stands in a tag behind its name: `a="b"`. One that ends in `/` encloses nothing.
fn is_attributes(text: &[u8]) -> bool {
    text.contains(&b'=') && !text.ends_with(b"/")
}

/// Finds the first of some tags; returns its place and length.
fn find(text: &str, from: usize, tags: &'static [String]) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = memchr::memchr3(b'<', b'[', 0xe2, bytes.get(at..)?) {
        at += found;
        if let Some(length) = tags.iter().find_map(|tag| length_of(&bytes[at..], tag)) {
            return Some((at, length));
        }
        at += 1;
    }
    None
}

/// Finds the first closing tag that is no word of any other text; returns its place and length.
fn find_closing(text: &str, from: usize) -> Option<(usize, usize, &'static Tags)> {
    if !may_hold_tag(text) {
        return None;
    }
    let found = all_tags()
        .iter()
        .filter_map(|tags| find(text, from, &tags.alone).map(|(at, length)| (at, length, tags)));
    found.min_by_key(|(at, ..)| *at)
}

/// Returns how many bytes at the end of the text may be the beginning of a closing tag: of one of that make, or of any.
fn part_of_closing(text: &str, tags: Option<&'static Tags>) -> usize {
    match tags {
        Some(tags) => longest_part(text, &tags.close),
        None if !may_hold_tag(text) => 0,
        None => {
            let parts = all_tags().iter().map(|tags| longest_part(text, &tags.alone));
            parts.max().unwrap_or(0)
        }
    }
}

/// Returns how many bytes at the end of the text may be the beginning of one of these tags.
fn longest_part(text: &str, tags: &[String]) -> usize {
    let bytes = text.as_bytes();
    let mut at = bytes.len().saturating_sub(LONGEST_TAG);
    while let Some(found) = memchr::memchr3(b'<', b'[', 0xe2, &bytes[at..]) {
        at += found;
        if tags.iter().any(|tag| fit(&bytes[at..], tag) == Fit::Part) {
            return bytes.len() - at;
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::{Delta, ReasoningSplitter, all_tags};

    fn split_by(mut splitter: ReasoningSplitter, pieces: &[&str]) -> (String, String) {
        let (mut reasoning, mut answer) = (String::new(), String::new());
        let mut sink = |delta: Delta<'_>| match delta {
            Delta::Reasoning(text) => reasoning.push_str(text),
            Delta::Text(text) => answer.push_str(text),
            Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut answer)),
        };
        for piece in pieces {
            splitter.push(piece, &mut sink);
        }
        splitter.close(&mut sink);
        (reasoning, answer)
    }

    /// Checks a text cut at any two places, and in single characters.
    fn check(starts_in_reasoning: bool, text: &str, reasoning: &str, answer: &str) {
        let split = |pieces: &[&str]| split_by(ReasoningSplitter::new(starts_in_reasoning), pieces);
        let expected = (reasoning.to_owned(), answer.to_owned());
        let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
        for &first in &places {
            for &second in places.iter().filter(|&&second| second >= first) {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(split(&pieces), expected, "{text:?} cut at {first}, {second}");
            }
        }
        let single: Vec<&str> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
        assert_eq!(split(&single), expected, "{text:?}");
    }

    #[test]
    fn a_leading_block_is_reasoning_wherever_the_text_is_cut() {
        for (text, reasoning, answer) in [
            ("plain", "", "plain"),
            ("  plain <think>no</think>", "", "  plain <think>no</think>"),
            ("<think>a</think>b", "a", "b"),
            (
                "\n <think>\na < b </thin>\n</think>\n\n b\n",
                "\na < b </thin>\n",
                "b\n",
            ),
            ("<think></think>b", "", "b"),
            ("<think></think>\n<think>\nw\n</think>\n\nb", "\nw\n", "b"),
            ("<think>a</think></think>\nb", "a", "b"),
            ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
            ("<think>never closed", "never closed", ""),
            ("<think>a</thi", "a</thi", ""),
            ("<think>a</think> \n", "a", ""),
            ("<thi", "", "<thi"),
            ("<thinner>x", "", "<thinner>x"),
            (" \n", "", " \n"),
            ("", "", ""),
            ("<think>ä</think>ö", "ä", "ö"),
            ("<Think>a</THINK>b", "a", "b"),
            (
                "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
                "hm",
                "4",
            ),
            (
                "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|><|start|>assistant<|channel|>final<|message|>4",
                "ab",
                "4",
            ),
            ("<|channel>thought\nhm<channel|>4", "\nhm", "4"),
            (
                "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>4<|END_RESPONSE|>",
                "hm",
                "4",
            ),
        ] {
            check(false, text, reasoning, answer);
        }
    }

    #[test]
    fn a_tag_may_hold_blanks_and_an_opening_one_attributes() {
        for (text, reasoning, answer) in [
            ("<think >a</think >b", "a", "b"),
            ("< think>a< / think\t>b", "a", "b"),
            ("<think effort=\"low\">a</think>b", "a", "b"),
            ("<analysis>a</analysis>b", "a", "b"),
            ("<think about it>a", "", "<think about it>a"),
            ("<think a=1/>b", "", "<think a=1/>b"),
            ("<think\na=1>b", "", "<think\na=1>b"),
            ("<think a=", "", "<think a="),
            ("<think>a</think of it>b</think>c", "a</think of it>b", "c"),
        ] {
            check(false, text, reasoning, answer);
        }
    }

    #[test]
    fn the_tags_of_every_model_are_known() {
        assert!(all_tags().len() >= 15);
        for tags in all_tags() {
            for (open, close) in tags
                .open
                .iter()
                .flat_map(|open| tags.close.iter().map(move |close| (open, close)))
            {
                check(false, &format!("{open}\nwhy{close}\n\nso"), "\nwhy", "so");
                let (open, close) = (open.to_uppercase(), close.to_uppercase());
                check(false, &format!("{open}why{close}so"), "why", "so");
            }
            for (begin, end) in tags.begin.iter().zip(&tags.end) {
                let open = &tags.open[0];
                let close = &tags.close[0];
                check(false, &format!("{begin}so{end}"), "", "so");
                check(
                    false,
                    &format!("{open}why{close}{begin}so <{end}\n"),
                    "why",
                    "so <\n",
                );
            }
        }
    }

    #[test]
    fn a_closing_tag_alone_makes_what_stands_before_it_reasoning() {
        for (text, reasoning, answer) in [
            ("Okay.\n</think>\n\n4", "Okay.\n", "4"),
            ("Okay.</think>4", "Okay.", "4"),
            ("</think>\n\n4", "", "4"),
            ("hm[/THINK]so", "hm", "so"),
            ("hm </thinking> is a tag", "", "hm </thinking> is a tag"),
            ("</THINK>4", "", "4"),
            ("hm</think >4", "hm", "4"),
            ("The tag `</think >` ends it", "", "The tag `</think >` ends it"),
            ("Use <think a=b>x</think> so", "", "Use <think a=b>x</think> so"),
            ("The end <|end|> is text", "", "The end <|end|> is text"),
            ("The tag `</think>` ends it", "", "The tag `</think>` ends it"),
            ("\"</think>\" ends it", "", "\"</think>\" ends it"),
            ("Use <think>x</think> so", "", "Use <think>x</think> so"),
            (
                "a < b [1] \u{201c}c\u{201d} </thin",
                "",
                "a < b [1] \u{201c}c\u{201d} </thin",
            ),
            ("one</think>two</think>three", "one", "two</think>three"),
        ] {
            check(false, text, reasoning, answer);
        }
    }

    #[test]
    fn an_answer_may_begin_in_thought() {
        for (text, reasoning, answer) in [
            ("why\n</think>\nso", "why\n", "so"),
            ("<think>why</think>so", "why", "so"),
            ("why[/THINK]so", "why", "so"),
            ("never closed", "never closed", ""),
        ] {
            check(true, text, reasoning, answer);
        }
    }

    #[test]
    fn blanks_after_reasoning_in_a_member_of_its_own_are_dropped() {
        for (pieces, answer) in [
            (&["\n\n", "bug"][..], "bug"),
            (&["\n", "</think>", "\n\nbug\n"], "bug\n"),
            (&[" ", "<think>x</think>", " a"], "a"),
        ] {
            let mut splitter = ReasoningSplitter::default();
            splitter.note_reasoning(&mut |_| {});
            assert_eq!(split_by(splitter, pieces).1, answer);
        }
    }
}

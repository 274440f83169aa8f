//! Reasoning that stands in the text: between tags, or before a closing tag alone.

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

/// The tags between which models reason, and whether the closing one is no word of any other text.
const TAGS: [(&str, &str, bool); 13] = [
    ("<think>", "</think>", true),
    ("<thinking>", "</thinking>", false),
    ("<thought>", "</thought>", false),
    ("<reasoning>", "</reasoning>", false),
    ("<seed:think>", "</seed:think>", true),
    ("<longcat_think>", "</longcat_think>", true),
    ("[THINK]", "[/THINK]", true),
    ("\u{25c1}think\u{25b7}", "\u{25c1}/think\u{25b7}", true),
    ("<|begin_of_thought|>", "<|end_of_thought|>", true),
    ("<|START_THINKING|>", "<|END_THINKING|>", true),
    ("<|inner_prefix|>", "<|inner_suffix|>", true),
    (
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        true,
    ),
    ("<unused94>thought", "<unused95>", true),
];

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
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Only whitespace and perhaps a part of a tag has come.
    #[default]
    Start,
    /// Reasoning, to this tag; `None`: to the closing tag of any kind.
    Reasoning(Option<&'static str>),
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
        if self.state == State::Text {
            return sink(Delta::Text(text));
        }
        if self.state == State::Watched && self.held.is_empty() && !may_hold_tag(text) {
            self.last = text.bytes().last().unwrap_or(self.last);
            return sink(Delta::Text(text));
        }
        self.held.push_str(text);
        loop {
            let goes_on = match self.state {
                State::Start | State::AfterReasoning => self.begin(),
                State::Reasoning(close) => self.end_reasoning(close, sink),
                State::Watched => self.watch(sink),
                State::Text => {
                    self.emit_held(sink);
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

    /// Decides what the text begins with; false while more is needed for that.
    fn begin(&mut self) -> bool {
        let is_after = self.state == State::AfterReasoning;
        let text = self.held.trim_start();
        let blanks = self.held.len() - text.len();
        if let Some((open, close, _)) = TAGS.iter().find(|(open, ..)| text.starts_with(open)) {
            self.held.drain(..blanks + open.len());
            self.state = State::Reasoning(Some(close));
            return true;
        }
        if is_after && let Some((_, close, _)) = TAGS.iter().find(|(_, close, _)| text.starts_with(close)) {
            self.held.drain(..blanks + close.len());
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
        let may_be_tag = |(open, close, _): &(&str, &str, bool)| {
            open.starts_with(text) || (is_after && close.starts_with(text))
        };
        if text.is_empty() || TAGS.iter().any(may_be_tag) {
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
    fn end_reasoning(&mut self, close: Option<&'static str>, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let tag = match close {
            Some(close) => self.held.find(close).map(|at| (at, close)),
            None => find_closing(&self.held, 0),
        };
        let end = match tag {
            Some((at, _)) => at,
            None => self.held.len() - part_of_closing(&self.held, close),
        };
        if end > 0 {
            sink(Delta::Reasoning(&self.held[..end]));
        }
        self.held.drain(..end + tag.map_or(0, |(_, close)| close.len()));
        if tag.is_some() {
            self.state = State::AfterReasoning;
        }
        tag.is_some()
    }

    /// Emits text that is certain to be none of a closing tag. True when one was found, or none is looked for any more.
    fn watch(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let open = self.held.find("<think>");
        if open.is_some_and(|open| find_closing(&self.held, 0).is_none_or(|(at, _)| open < at)) {
            self.state = State::Text;
            return true;
        }
        let mut from = 0;
        while let Some((at, close)) = find_closing(&self.held, from) {
            let before = self.held.as_bytes()[..at].last().copied().unwrap_or(self.last);
            let after = self.held.as_bytes().get(at + close.len()).copied();
            if after.is_none() && is_quote(before) {
                // Whether it is quoted is not known before the next piece.
                break;
            }
            if is_quote(before) && after == Some(before) {
                from = at + close.len();
                continue;
            }
            if at > 0 {
                sink(Delta::Text(&self.held[..at]));
            }
            sink(Delta::TextWasReasoning);
            self.held.drain(..at + close.len());
            self.state = State::AfterReasoning;
            return true;
        }
        let pending = find_closing(&self.held, from).map(|(at, _)| self.held.len() - at);
        let kept =
            pending.unwrap_or_else(|| part_of_closing(&self.held, None).max(part_of(&self.held, "<think>")));
        let end = self.held.len() - kept;
        if end > 0 {
            sink(Delta::Text(&self.held[..end]));
            self.last = self.held.as_bytes()[end - 1];
            self.held.drain(..end);
        }
        false
    }
}

/// True when a tag, or a part of one, may be in the text: each begins with one of these bytes.
fn may_hold_tag(text: &str) -> bool {
    memchr::memchr3(b'<', b'[', 0xe2, text.as_bytes()).is_some()
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'`' | b'"' | b'\'')
}

/// Finds the first closing tag that is no word of any other text.
fn find_closing(text: &str, from: usize) -> Option<(usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = memchr::memchr3(b'<', b'[', 0xe2, bytes.get(at..)?) {
        at += found;
        let tag = TAGS
            .iter()
            .find(|(_, close, is_special)| *is_special && bytes[at..].starts_with(close.as_bytes()));
        if let Some((_, close, _)) = tag {
            return Some((at, close));
        }
        at += 1;
    }
    None
}

/// Returns how many bytes at the end of the text may be the beginning of a closing tag: of that one, or of any.
fn part_of_closing(text: &str, close: Option<&str>) -> usize {
    match close {
        Some(close) => part_of(text, close),
        None => TAGS
            .iter()
            .filter(|(.., is_special)| *is_special)
            .map(|(_, close, _)| part_of(text, close))
            .max()
            .unwrap_or(0),
    }
}

fn part_of(text: &str, tag: &str) -> usize {
    let bytes = text.as_bytes();
    let is_part =
        |length: &usize| tag.is_char_boundary(*length) && bytes.ends_with(&tag.as_bytes()[..*length]);
    (1..tag.len()).rev().find(is_part).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Delta, ReasoningSplitter, TAGS};

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
        ] {
            check(false, text, reasoning, answer);
        }
    }

    #[test]
    fn the_tags_of_every_model_are_known() {
        for (open, close, _) in TAGS {
            check(false, &format!("{open}\nwhy{close}\n\nso"), "\nwhy", "so");
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

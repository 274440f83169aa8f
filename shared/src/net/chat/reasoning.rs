//! The `<think>` block with which some models begin their answer.

/// A piece of the answer, emitted as soon as it is certain what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// Text of the answer.
    Text(&'a str),
    /// The model's reasoning.
    Reasoning(&'a str),
}

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Separates reasoning from text that comes in pieces.
///
/// Only a block at the very beginning counts: later in an answer `<think>` is just text. Text is held back only while
/// it may still turn out to be a tag.
#[derive(Debug, Default)]
pub(super) struct ReasoningSplitter {
    state: State,
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Only whitespace and perhaps a part of the tag has come.
    #[default]
    Start,
    Reasoning,
    /// The block has ended; whitespace before the answer are dropped.
    AfterReasoning,
    Text,
}

impl ReasoningSplitter {
    /// Takes the next piece and emits what is decided.
    pub(super) fn push(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        if self.state == State::Text {
            return sink(Delta::Text(text));
        }
        self.held.push_str(text);
        if self.state == State::Start {
            let text = self.held.trim_start();
            if let Some(rest) = text.strip_prefix(OPEN) {
                self.held = rest.to_owned();
                self.state = State::Reasoning;
            } else if OPEN.starts_with(text) {
                return;
            } else {
                return self.close(sink);
            }
        }
        if self.state == State::Reasoning && !self.end_reasoning(sink) {
            return;
        }
        self.held = self.held.trim_start().to_owned();
        if !self.held.is_empty() {
            self.close(sink);
        }
    }

    /// Emits what is held: at the end of the answer nothing more can make it a tag.
    pub(super) fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        let held = std::mem::take(&mut self.held);
        match self.state {
            _ if held.is_empty() => {}
            State::Reasoning => sink(Delta::Reasoning(&held)),
            _ => sink(Delta::Text(&held)),
        }
        self.state = State::Text;
    }

    /// Emits the reasoning that is certain; true when it has ended.
    fn end_reasoning(&mut self, sink: &mut impl FnMut(Delta<'_>)) -> bool {
        let tag = self.held.find(CLOSE);
        let end = tag.unwrap_or_else(|| {
            let is_part_of_tag = |length: &usize| self.held.ends_with(&CLOSE[..*length]);
            self.held.len() - (1..CLOSE.len()).rev().find(is_part_of_tag).unwrap_or(0)
        });
        if end > 0 {
            sink(Delta::Reasoning(&self.held[..end]));
        }
        self.held.drain(..end + tag.map_or(0, |_| CLOSE.len()));
        if tag.is_some() {
            self.state = State::AfterReasoning;
        }
        tag.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{Delta, ReasoningSplitter};

    fn split(pieces: &[&str]) -> (String, String) {
        let (mut reasoning, mut answer) = (String::new(), String::new());
        let mut splitter = ReasoningSplitter::default();
        let mut sink = |delta: Delta<'_>| match delta {
            Delta::Reasoning(text) => reasoning.push_str(text),
            Delta::Text(text) => answer.push_str(text),
        };
        for piece in pieces {
            splitter.push(piece, &mut sink);
        }
        splitter.close(&mut sink);
        (reasoning, answer)
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
            ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
            ("<think>never closed", "never closed", ""),
            ("<think>a</thi", "a</thi", ""),
            ("<thi", "", "<thi"),
            ("<thinking>x", "", "<thinking>x"),
            (" \n", "", " \n"),
            ("", "", ""),
            ("<think>ä</think>ö", "ä", "ö"),
        ] {
            let expected = (reasoning.to_owned(), answer.to_owned());
            let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            for &first in &places {
                for &second in places.iter().filter(|&&second| second >= first) {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(split(&pieces), expected, "{text:?} cut at {first}, {second}");
                }
            }
            let single: Vec<&str> = places.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            assert_eq!(split(&single), expected);
        }
    }
}

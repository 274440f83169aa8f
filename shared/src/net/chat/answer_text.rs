//! The text of an answer: told from reasoning, and known again where a server repeats it.

use super::fingerprint::Fingerprint;
use super::reasoning::{Delta, ReasoningSplitter};

/// The text so far, of which only digests are kept.
#[derive(Debug, Default)]
pub(super) struct AnswerText {
    splitter: ReasoningSplitter,
    /// Text as it was sent, and as it was emitted.
    sent: Fingerprint,
    emitted: Fingerprint,
    /// Reasoning that came in whole messages.
    reasoned: Fingerprint,
    messages: Messages,
    /// The first half of a surrogate pair, whose second half comes with the next text.
    pub(super) half: Option<u16>,
    /// True for text that is not all blank.
    pub(super) has_text: bool,
    pub(super) has_reasoning: bool,
}

/// How a server that writes whole messages into its events, and no deltas, means them.
#[derive(Debug, Default)]
enum Messages {
    /// None with text has come.
    #[default]
    None,
    /// One has come, and the same again so many times: repetitions, or pieces that are alike.
    One { text: String, again: usize },
    /// Each is a piece, as a delta is.
    Pieces,
    /// Each is all of the answer so far.
    Growing,
}

/// The longest piece, in bytes, that a server may send twice and mean twice.
const LONGEST_PIECE: usize = 256;

/// What a message brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    More,
    Nothing,
    /// Other words for what came before.
    OtherWords,
}

impl AnswerText {
    pub(super) fn new(starts_in_reasoning: bool) -> Self {
        Self {
            splitter: ReasoningSplitter::new(starts_in_reasoning),
            ..Self::default()
        }
    }

    /// True when no text was sent.
    pub(super) const fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    /// Takes a piece of text.
    pub(super) fn push(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        if text.is_empty() {
            return;
        }
        self.end_half(sink);
        self.push_whole(text, sink);
    }

    /// Gives up the second half of a surrogate pair.
    fn end_half(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        if self.half.take().is_some() {
            self.push_whole("\u{fffd}", sink);
        }
    }

    fn push_whole(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        self.sent.add(text);
        let Self {
            splitter,
            emitted,
            has_text,
            has_reasoning,
            ..
        } = self;
        splitter.push(text, &mut |delta| {
            emit(delta, emitted, has_text, has_reasoning, sink);
        });
    }

    /// Takes reasoning that came in a member of its own.
    pub(super) fn push_reasoning(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        if text.is_empty() {
            return;
        }
        let Self {
            splitter,
            emitted,
            has_text,
            has_reasoning,
            ..
        } = self;
        splitter.note_reasoning(&mut |delta| emit(delta, emitted, has_text, has_reasoning, sink));
        emit(Delta::Reasoning(text), emitted, has_text, has_reasoning, sink);
    }

    /// Takes the reasoning of a whole message: as far as it is new, where it begins with that of the last.
    pub(super) fn push_message_reasoning(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) {
        let more = self
            .reasoned
            .exact_rest(text)
            .filter(|_| !self.reasoned.is_empty());
        let more = more.unwrap_or(text);
        self.reasoned.add(more);
        self.push_reasoning(more, sink);
    }

    /// Takes the text of a whole message in a stream that knows no deltas. Servers mean it as a piece, or as all of the
    /// answer so far: the next one tells, which begins with the one before and goes on, or does not.
    pub(super) fn push_message(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) -> Brought {
        if text.is_empty() {
            return Brought::Nothing;
        }
        let more = self.sent.exact_rest(text);
        match (&mut self.messages, more) {
            (Messages::None, _) => {
                let text = text.to_owned();
                self.messages = Messages::One { text, again: 0 };
            }
            (Messages::One { text, again }, Some("")) if text.len() <= LONGEST_PIECE => {
                *again += 1;
                return Brought::Nothing;
            }
            (Messages::One { .. } | Messages::Growing, Some(more)) => {
                self.messages = Messages::Growing;
                self.push(more, sink);
                return if more.is_empty() {
                    Brought::Nothing
                } else {
                    Brought::More
                };
            }
            (Messages::Growing, None) => return Brought::OtherWords,
            (Messages::One { text, again }, None) => {
                let pieces = text.repeat(*again);
                self.messages = Messages::Pieces;
                self.push(&pieces, sink);
            }
            (Messages::Pieces, _) => {}
        }
        self.push(text, sink);
        Brought::More
    }

    /// Takes a whole message that comes after what it holds: what it has more, if anything.
    pub(super) fn push_repetition(&mut self, text: &str, sink: &mut impl FnMut(Delta<'_>)) -> Brought {
        if self.sent.is_empty() {
            self.push(text, sink);
            return if text.is_empty() {
                Brought::Nothing
            } else {
                Brought::More
            };
        }
        match self.rest(text) {
            Some(rest) if rest.trim().is_empty() => Brought::Nothing,
            Some(rest) => {
                self.push(rest, sink);
                Brought::More
            }
            None if text.is_empty() => Brought::Nothing,
            None => Brought::OtherWords,
        }
    }

    /// Returns what follows in a text after what came, as it was sent or as it was emitted; blanks aside.
    pub(super) fn rest<'t>(&self, text: &'t str) -> Option<&'t str> {
        self.sent.rest(text).or_else(|| self.emitted.rest(text))
    }

    /// True for a message that holds what came and is not all of the answer so far in the way of the ones before.
    pub(super) fn is_repeated_by(&self, text: &str) -> bool {
        let is_next = !matches!(self.messages, Messages::Pieces) && self.sent.exact_rest(text).is_some();
        !self.sent.is_empty() && !is_next && self.rest(text).is_some()
    }

    /// Emits what is held back as what it is when nothing follows.
    pub(super) fn close(&mut self, sink: &mut impl FnMut(Delta<'_>)) {
        self.end_half(sink);
        let Self {
            splitter,
            emitted,
            has_text,
            has_reasoning,
            ..
        } = self;
        splitter.close(&mut |delta| emit(delta, emitted, has_text, has_reasoning, sink));
    }
}

fn emit(
    delta: Delta<'_>,
    emitted: &mut Fingerprint,
    has_text: &mut bool,
    has_reasoning: &mut bool,
    sink: &mut impl FnMut(Delta<'_>),
) {
    match delta {
        Delta::Text(text) => {
            emitted.add(text);
            *has_text |= !text.trim_ascii().is_empty();
        }
        Delta::Reasoning(_) => *has_reasoning = true,
        Delta::TextWasReasoning => {
            *emitted = Fingerprint::default();
            *has_reasoning |= std::mem::take(has_text);
        }
    }
    sink(delta);
}

#[cfg(test)]
mod tests {
    use super::{AnswerText, Brought, Delta};

    fn read(messages: &[&str]) -> (String, Brought) {
        let (mut text, mut seen) = (AnswerText::default(), String::new());
        let mut last = Brought::Nothing;
        let mut sink = |delta: Delta<'_>| {
            if let Delta::Text(piece) = delta {
                seen.push_str(piece);
            }
        };
        for message in messages {
            last = text.push_message(message, &mut sink);
        }
        text.close(&mut sink);
        (seen, last)
    }

    #[test]
    fn whole_messages_are_pieces_or_grow_as_the_second_tells() {
        for (messages, text, last) in [
            (
                &["One", "One two", "One two.", "One two."][..],
                "One two.",
                Brought::Nothing,
            ),
            (&["One ", " two", "."], "One  two.", Brought::More),
            (&["ha", "ha", "ha", "!"], "hahaha!", Brought::More),
            (&["ha", "ha"], "ha", Brought::Nothing),
            (&["", "a\n", "a\n b"], "a\n b", Brought::More),
            (&["a", "ab", "x"], "ab", Brought::OtherWords),
        ] {
            assert_eq!(read(messages), (text.to_owned(), last), "{messages:?}");
        }
    }
}

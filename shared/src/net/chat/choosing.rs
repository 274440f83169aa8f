//! Which choice of several is the answer.

use super::chunk::{Choice, Chunk};
use super::error::{ANSWER_LIMIT, AnswerError};

/// Which choice of several is the answer: the one with index 0, or else the first that comes.
#[derive(Debug, Default)]
pub(super) struct Choosing {
    state: State,
    count: Count,
    /// How many choices were asked for.
    asked: u64,
}

#[derive(Debug)]
enum State {
    /// None had index 0 so far: these chunks wait for the decision.
    Open(Vec<String>),
    Index(u64),
    /// The caller has asked for that one.
    Only(u64),
    /// There is one choice, whatever stands in its index: the server counts chunks there.
    Counted,
}

impl Default for State {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

/// Whether the indices count chunks instead of choices: then each is one more than the last, and none comes again.
#[derive(Debug, Default)]
struct Count {
    last: Option<u64>,
    /// The chunks since the first one, while that is open.
    held: Vec<String>,
    is_ruled_out: bool,
}

/// What a chunk says about the meaning of its index.
#[derive(Debug)]
pub(super) enum Observed {
    Nothing,
    /// It may be a choice's or a chunk's, and is kept.
    Held,
    /// It is the number of the chunk. These were kept, and are the answer with all that follow.
    Counter(Vec<String>),
}

/// After how many chunks without a choice of index 0 another one is the answer.
const HELD_CHUNKS: usize = 32;

/// The most choices that are told from a count of chunks.
const MOST_ASKED: u64 = 128;

impl Choosing {
    /// Makes it for an answer of which that many choices were asked for; 0 stands for one.
    pub(super) fn new(asked: u64) -> Self {
        Self {
            asked,
            ..Self::default()
        }
    }

    /// Chooses that one.
    pub(super) fn only(index: u64) -> Self {
        Self {
            state: State::Only(index),
            ..Self::default()
        }
    }

    pub(super) const fn is_only(&self) -> bool {
        matches!(self.state, State::Only(_))
    }

    /// True where the indices turned out to count chunks.
    pub(super) const fn is_counted(&self) -> bool {
        matches!(self.state, State::Counted)
    }

    /// Looks at what the index of a chunk's choice counts. With more consecutive ones than there can be choices, it is
    /// chunks; an index that comes again, or a finish reason before, rules that out.
    ///
    /// # Errors
    /// [`AnswerError::TooMuch`].
    pub(super) fn observe(
        &mut self,
        chunk: &Chunk<'_>,
        json: &str,
        has_ended: bool,
    ) -> Result<Observed, AnswerError> {
        if self.is_only() || self.is_counted() || self.count.is_ruled_out {
            return Ok(Observed::Nothing);
        }
        let mut choices = chunk.choices();
        let (Some(choice), None) = (choices.next(), choices.next()) else {
            self.rule_out();
            return Ok(Observed::Nothing);
        };
        let Some(index) = choice.index else {
            return Ok(Observed::Nothing);
        };
        let last = self.count.last.replace(index);
        match last {
            None => return Ok(Observed::Nothing),
            Some(last) if last == index && self.count.held.is_empty() => return Ok(Observed::Nothing),
            Some(last) if last.checked_add(1) == Some(index) && !has_ended => {}
            Some(_) => {
                self.rule_out();
                return Ok(Observed::Nothing);
            }
        }
        keep(&mut self.count.held, json)?;
        let asked = self.asked.clamp(1, MOST_ASKED);
        let is_last = asked == 1 && !choice.finish_reason().is_empty();
        match is_last || self.count.held.len() as u64 > asked {
            true => Ok(Observed::Counter(self.take_counted())),
            false => Ok(Observed::Held),
        }
    }

    /// At the end of the answer: returns the chunks that were kept, if the indices counted them. Choices each have a finish
    /// reason.
    pub(super) fn end_of_count(&mut self, has_ended: bool) -> Option<Vec<String>> {
        let is_counted = !has_ended && !self.count.is_ruled_out && !self.count.held.is_empty();
        is_counted.then(|| self.take_counted())
    }

    fn take_counted(&mut self) -> Vec<String> {
        let mut chunks = self.take_held();
        chunks.append(&mut self.count.held);
        self.state = State::Counted;
        chunks
    }

    fn rule_out(&mut self) {
        self.count = Count {
            is_ruled_out: true,
            ..Count::default()
        };
    }

    /// Finds the answer among the choices of a chunk. One without an index is the one that there is, or the first of
    /// several.
    pub(super) fn find<'c, 'a>(&mut self, chunk: &'c Chunk<'a>) -> Option<&'c Choice<'a>> {
        let index = match self.state {
            State::Only(index) => {
                return chunk
                    .choices()
                    .find(|choice| choice.index.unwrap_or_default() == index);
            }
            State::Counted => return chunk.choices().next(),
            State::Index(index) => index,
            State::Open(_) => 0,
        };
        let mut choices = chunk.choices();
        let first = choices.next()?;
        let is_lone = choices.next().is_none();
        let with_index = chunk.choices().find(|choice| choice.index == Some(index));
        let choice = with_index
            .or_else(|| Some(first).filter(|first| first.index.is_none() && (is_lone || index == 0)))?;
        if choice.index.is_some() || choice.says_something() {
            self.state = State::Index(index);
        }
        Some(choice)
    }

    /// Keeps a chunk in which no choice was found; true when so many are kept that one has to be the answer.
    ///
    /// # Errors
    /// [`AnswerError::TooMuch`].
    pub(super) fn hold(&mut self, json: &str) -> Result<bool, AnswerError> {
        let State::Open(held) = &mut self.state else {
            return Ok(false);
        };
        keep(held, json)?;
        Ok(held.len() >= HELD_CHUNKS)
    }

    /// Returns the chunks that were kept.
    pub(super) fn take_held(&mut self) -> Vec<String> {
        match &mut self.state {
            State::Open(held) => std::mem::take(held),
            State::Index(_) | State::Only(_) | State::Counted => Vec::new(),
        }
    }

    /// Makes the first choice of a kept chunk the answer, while none is.
    pub(super) fn settle(&mut self, chunk: &Chunk<'_>) {
        if matches!(self.state, State::Open(_))
            && let Some(index) = chunk.choices().filter_map(|choice| choice.index).min()
        {
            self.state = State::Index(index);
        }
    }
}

/// Keeps a chunk.
///
/// # Errors
/// [`AnswerError::TooMuch`].
fn keep(held: &mut Vec<String>, json: &str) -> Result<(), AnswerError> {
    if held.iter().map(String::len).sum::<usize>() + json.len() > ANSWER_LIMIT {
        return Err(AnswerError::TooMuch);
    }
    held.push(json.to_owned());
    Ok(())
}

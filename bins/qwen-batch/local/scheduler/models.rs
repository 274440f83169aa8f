//! Models that fail while others are answered: the server is there, and what stands behind one of its models is not.
//!
//! Their questions are held back then. One at a time is tried, as in an outage of the server, while the other models go on;
//! once patience is over, what is left of them is left to another run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::{Change, FIRST_PROBE, Fault, LONGEST_PROBE, Next, QuestionId, Turn};

#[derive(Debug, Default)]
pub(super) struct Models(BTreeMap<String, Model>);

#[derive(Debug, Default)]
struct Model {
    /// The questions with a passing fault since its last answer.
    in_a_row: BTreeSet<QuestionId>,
    /// How many answers there had been, to any model, at the first of these.
    answers_before: u64,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    There,
    Away(Outage),
    /// Nothing is sent to it any more.
    Lost,
}

#[derive(Debug)]
struct Outage {
    /// The question that is tried now.
    probe: Option<QuestionId>,
    next: Instant,
    pause: Duration,
    /// The sum of all pauses.
    waited: Duration,
}

impl Models {
    fn get(&mut self, name: &str) -> &mut Model {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Model::default());
        }
        self.0.entry(name.to_owned()).or_default()
    }

    /// Returns what a model's question has to wait for; `None` where it may be sent for all that is known here.
    pub(super) fn turn(&mut self, name: &str, now: Instant) -> Option<Turn> {
        match &self.get(name).state {
            State::There => None,
            State::Lost => Some(Turn::Leave),
            State::Away(outage) if outage.probe.is_some() => Some(Turn::Wait(None)),
            State::Away(outage) if outage.next > now => Some(Turn::Wait(Some(outage.next))),
            State::Away(_) => None,
        }
    }

    /// Takes note that a question is sent.
    pub(super) fn started(&mut self, name: &str, question: QuestionId) {
        if let State::Away(outage) = &mut self.get(name).state {
            outage.probe = Some(question);
        }
    }

    /// Takes note that a question is under way no more, and nothing is known of the model by it.
    pub(super) fn abandoned(&mut self, name: &str, question: QuestionId) {
        if let State::Away(outage) = &mut self.get(name).state {
            outage.probe.take_if(|probe| *probe == question);
        }
    }

    /// Takes note of a response that shows that the model is there; returns what is to be said.
    pub(super) fn answered(&mut self, name: &str, question: QuestionId) -> Option<Change> {
        let model = self.get(name);
        model.in_a_row.clear();
        match &model.state {
            State::Away(outage) if outage.probe == Some(question) => {
                let waited = outage.waited;
                model.state = State::There;
                Some(Change::ModelOutageEnded {
                    model: name.to_owned(),
                    waited,
                })
            }
            _ => None,
        }
    }

    /// Takes note of a fault that may pass. Returns what follows where the model is known to be away; else `None`.
    pub(super) fn failed(
        &mut self,
        name: &str,
        question: QuestionId,
        fault: Fault,
        answers: u64,
        (now, patience): (Instant, Duration),
    ) -> Option<Next> {
        let model = self.get(name);
        if model.in_a_row.is_empty() {
            model.answers_before = answers;
        }
        model.in_a_row.insert(question);
        let outage = match &mut model.state {
            State::There => return None,
            State::Lost => return Some(Next::Leave),
            State::Away(outage) => outage,
        };
        if outage.probe.take_if(|probe| *probe == question).is_none() {
            return Some(Next::Again(Duration::ZERO));
        }
        let left = patience.saturating_sub(outage.waited);
        if left.is_zero() {
            model.state = State::Lost;
            return Some(Next::Lose);
        }
        let asked = fault.wait.unwrap_or_default();
        outage.pause = (2 * outage.pause)
            .max(asked)
            .min(LONGEST_PROBE.max(asked))
            .min(left);
        outage.next = now + outage.pause;
        outage.waited += outage.pause;
        Some(Next::Again(Duration::ZERO))
    }

    /// Begins to wait for a model that fails at so many questions in a row while others are answered; false where that is
    /// not so.
    pub(super) fn hold(
        &mut self,
        name: &str,
        fault: Fault,
        in_a_row: usize,
        answers: u64,
        (now, patience): (Instant, Duration),
    ) -> bool {
        let has_others = self.0.len() > 1;
        let model = self.get(name);
        let is_away = has_others
            && model.in_a_row.len() >= in_a_row
            && answers > model.answers_before
            && !patience.is_zero();
        if is_away {
            let pause = FIRST_PROBE.max(fault.wait.unwrap_or_default()).min(patience);
            model.state = State::Away(Outage {
                probe: None,
                next: now + pause,
                pause,
                waited: pause,
            });
        }
        is_away
    }
}

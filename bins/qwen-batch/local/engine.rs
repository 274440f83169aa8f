//! The run: lines in, results out, so many questions at a time.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::ratelimit::Notice;
use qwen_shared::signal::end_by_signal;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::ask::{Asker, Ended};
use super::order::{Order, Ready};
use super::signals::Signals;
use super::tally::Tally;
use crate::client::Door;
use crate::input::{Found, LINE_LIMIT};
use crate::line::{self, BadLine, Task};
use crate::progress::Progress;
use crate::record::{Fault, Scribe, Verdict};
use crate::results::{Known, Results, Seen};
use crate::template::Shape;

/// How many questions may be under way for each slot, those included that wait for another try.
const WAITING: usize = 8;

/// A run.
#[derive(Debug)]
pub(crate) struct Engine {
    plan: Plan,
    scribe: Scribe,
    asker: Arc<Asker>,
    /// The number of the line that was read last.
    number: u64,
    asking: JoinSet<(u64, String, Ended)>,
    ending: watch::Sender<bool>,
    words: mpsc::UnboundedReceiver<Notice>,
    stop: Option<Stop>,
}

/// What a run works with.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) seen: Seen,
    pub(crate) results: Results,
    pub(crate) tally: Tally,
    pub(crate) order: Order,
    /// How many requests are under way at most.
    pub(crate) jobs: usize,
}

/// Why a run ends before its time.
#[derive(Debug)]
enum Stop {
    Signal(i32),
    Failure(Failure),
}

impl Engine {
    pub(crate) fn new(plan: Plan, door: Door) -> Self {
        let (ending, is_ending) = watch::channel(false);
        let (say, words) = mpsc::unbounded_channel();
        Self {
            asker: Arc::new(Asker::new(Arc::new(door), plan.jobs, is_ending, say)),
            plan,
            scribe: Scribe::new(),
            number: 0,
            asking: JoinSet::new(),
            ending,
            words,
            stop: None,
        }
    }

    /// Asks every line that `lines` brings.
    ///
    /// The exit is 0 when every question of the input has a good answer, 1 when some have not.
    ///
    /// # Errors
    /// What every further question would meet too: no credential, a used-up quota, no server, a full disk.
    pub(crate) async fn run(mut self, mut lines: mpsc::Receiver<Result<Found, Failure>>) -> Outcome {
        let mut signals = Signals::new()?;
        let mut beat = interval(Progress::rhythm());
        let most = self.plan.jobs * WAITING;
        let mut next: Option<Task> = None;
        let mut is_open = true;
        loop {
            let goes_on = self.stop.is_none() && (is_open || next.is_some());
            if !goes_on && self.asking.is_empty() {
                return self.conclude();
            }
            let has_room = goes_on && self.asking.len() < most && self.plan.order.has_room();
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal)?,
                Some(word) = self.words.recv() => self.plan.tally.word(&word),
                Some(done) = self.asking.join_next() => if let Ok((place, custom_id, ended)) = done {
                    self.end(place, &custom_id, ended)?;
                },
                Ok(slot) = Arc::clone(&self.asker.slots).acquire_owned(), if has_room && next.is_some() => {
                    self.ask(next.take(), slot);
                }
                found = lines.recv(), if is_open && has_room && next.is_none() => match found {
                    Some(Ok(found)) => next = self.meet(&found)?,
                    Some(Err(failure)) => self.stop_for(Stop::Failure(failure)),
                    None => is_open = false,
                },
                _ = beat.tick(), if self.plan.tally.is_shown() => self.plan.tally.tick(),
            }
        }
    }

    /// Meets the next line; returns the task unless it has its result, or cannot be asked and gets one that says so.
    fn meet(&mut self, found: &Found) -> Result<Option<Task>, Failure> {
        self.number += 1;
        let read = match found {
            Found::Line(line) if line::is_blank(line) => return Ok(None),
            Found::Line(line) => line::read(line, self.number, &self.plan.shape),
            Found::TooLong => Err(BadLine::new(format!("longer than {LINE_LIMIT} bytes"))),
        };
        let (name, read) = match read {
            Ok(task) => (task.custom_id.clone(), Ok(task)),
            Err(bad) => (
                bad.custom_id.unwrap_or_else(|| line::name_of(self.number)),
                Err(bad.reason),
            ),
        };
        match (self.plan.seen.meet(&name), read) {
            (Known::Done { failed }, _) => self.plan.tally.skip(failed),
            (Known::New, Ok(task)) => return Ok(Some(task)),
            (Known::New, Err(reason)) => self.reject(&name, reason)?,
            (Known::Twice, _) => {
                let reason = format!("custom_id '{name}' is not the first of that name");
                self.reject_twin(reason)?;
            }
        }
        Ok(None)
    }

    fn ask(&mut self, task: Option<Task>, slot: OwnedSemaphorePermit) {
        let Some(task) = task else { return };
        let place = self.plan.order.place();
        let asker = Arc::clone(&self.asker);
        self.asking.spawn(async move {
            let ended = asker.ask(&task, slot).await;
            (place, task.custom_id, ended)
        });
    }

    /// Gives a line that cannot be asked its result.
    fn reject(&mut self, name: &str, reason: String) -> Result<(), Failure> {
        let place = self.plan.order.place();
        let fault = Fault::of_line(self.number, format!("line {}: {reason}", self.number));
        self.write(place, name, &fault.into())
    }

    /// Gives a line whose name is taken its result, under the name of its number; with more numbers, where another line
    /// has taken that name too.
    fn reject_twin(&mut self, reason: String) -> Result<(), Failure> {
        let own = line::name_of(self.number);
        let mut name = own.clone();
        let mut count = 1;
        loop {
            match self.plan.seen.meet(&name) {
                Known::New => return self.reject(&name, reason),
                Known::Done { failed } => {
                    self.plan.tally.skip(failed);
                    return Ok(());
                }
                Known::Twice => {
                    count += 1;
                    name = format!("{own}-{count}");
                }
            }
        }
    }

    fn end(&mut self, place: u64, custom_id: &str, ended: Ended) -> Result<(), Failure> {
        match ended {
            Ended::Judged(verdict) => self.write(place, custom_id, &verdict)?,
            Ended::Stopped(failure) => self.stop_for(Stop::Failure(failure)),
            Ended::Left => {}
        }
        Ok(())
    }

    fn write(&mut self, place: u64, custom_id: &str, verdict: &Verdict) -> Result<(), Failure> {
        let record = self.scribe.write(custom_id, verdict).map_err(|error| {
            Failure::new(Exit::Bug, format!("cannot write the result of '{custom_id}'")).caused_by(error)
        })?;
        let result = Ready {
            record,
            failed: verdict.fault.is_some(),
            cut: verdict.is_cut,
        };
        for result in self.plan.order.bring(place, result) {
            self.plan.results.write(&result.record)?;
            self.plan.tally.count(result.failed, result.cut);
        }
        Ok(())
    }

    /// Sends nothing more; what is under way is finished.
    fn stop_for(&mut self, stop: Stop) {
        let _ = self.ending.send(true);
        self.stop.get_or_insert(stop);
    }

    /// Ends the run at the first signal, the process at the second.
    fn interrupt(&mut self, signal: i32) -> Result<(), Failure> {
        if matches!(self.stop, Some(Stop::Signal(_))) || self.asking.is_empty() {
            self.plan.tally.clear();
            return Err(end_by_signal(signal));
        }
        let count = self.asking.len();
        self.stop = None;
        self.stop_for(Stop::Signal(signal));
        self.plan.tally.say(|reporter| {
            reporter.notice(&format!(
                "finishing what is under way ({count}); once more stops at once"
            ));
        });
        Ok(())
    }

    fn conclude(self) -> Outcome {
        let (Plan { results, tally, .. }, stop) = (self.plan, self.stop);
        results.sync()?;
        tally.sum_up(stop.is_none());
        let hint = match results {
            Results::Kept(_) => tally.hint(stop.is_none()),
            _ => None,
        };
        if let (Some(hint), false) = (hint, matches!(stop, Some(Stop::Failure(_)))) {
            tally.say(|reporter| reporter.hint(hint));
        }
        tally.clear();
        match (stop, hint) {
            (None, _) => Ok(tally.exit()),
            (Some(Stop::Signal(signal)), _) => Err(end_by_signal(signal)),
            (Some(Stop::Failure(failure)), Some(hint)) => Err(failure.hint(hint)),
            (Some(Stop::Failure(failure)), None) => Err(failure),
        }
    }
}

//! A run: lines in, results out, several requests in parallel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::Client;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::signal::{SIGHUP, end_by_signal};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::aside::Place;
use super::dispatcher::{DispatchOptions, Dispatcher, RunNotice};
use super::reorder::{FinishedRecord, ReorderBuffer};
use super::signals::Signals;
use super::summary::{RecordOutcome, Summary};
use crate::args::FailureLimit;
use crate::completed::{CompletedRequests, RequestStatus};
use crate::digest::RequestDigest;
use crate::input::{InputLine, LineCounter};
use crate::record::{Record, RecordError, record_line};
use crate::request::{BatchRequest, InvalidLine, RequestBuilder, name_of_text, positional_name};
use crate::results::{Results, rescue};
use crate::thread::spawn;

/// How many requests are started for each parallel one, those included that wait for their turn.
const STARTED_PER_JOB: usize = 8;
/// How often a run without a bar says how far it has come.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// How many changed requests are named one by one.
const NAMED_CHANGES: u64 = 3;

#[derive(Debug)]
pub(crate) struct Runner {
    plan: Plan,
    dispatcher: Arc<Dispatcher>,
    /// Each ends with its question, and what [`Dispatcher::dispatch`] returned.
    started: JoinSet<(Question, Result<Option<Record>, Failure>)>,
    ending: watch::Sender<bool>,
    notices: mpsc::UnboundedReceiver<RunNotice>,
    stop: Option<StopReason>,
    is_unusable: bool,
    /// Results that the output did not take.
    unwritten: Vec<Vec<u8>>,
    /// How many lines the input has, once they have been counted.
    total: Option<watch::Receiver<Option<u64>>>,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) builder: RequestBuilder,
    pub(crate) completed: CompletedRequests,
    pub(crate) results: Results,
    pub(crate) summary: Summary,
    pub(crate) order: ReorderBuffer,
    /// What counts the input's lines, where no bar has done so.
    pub(crate) counter: Option<LineCounter>,
    pub(crate) options: RunOptions,
    pub(crate) dispatch: DispatchOptions,
}

#[derive(Debug)]
pub(crate) struct RunOptions {
    pub(crate) retries_failed: bool,
    pub(crate) keeps_names: bool,
    pub(crate) prints_json: bool,
    pub(crate) max_failed: Option<FailureLimit>,
    pub(crate) output: Option<PathBuf>,
}

/// A line that gets a result.
#[derive(Debug)]
struct Question {
    position: u64,
    custom_id: String,
    digest: RequestDigest,
    /// True where the output has a result of that name, which this one is to replace.
    replaces: bool,
    /// The length of its line, in bytes.
    length: usize,
}

#[derive(Debug)]
enum StopReason {
    Signal(i32),
    /// What another run may not meet any more.
    Failure(Failure),
    /// What every further run meets until input or output are others.
    Unusable(Failure),
}

impl Runner {
    pub(crate) fn new(plan: Plan, client: Client) -> Self {
        let (ending, is_ending) = watch::channel(false);
        let (notify, notices) = mpsc::unbounded_channel();
        Self {
            dispatcher: Arc::new(Dispatcher::new(client, plan.dispatch, is_ending, notify)),
            plan,
            started: JoinSet::new(),
            ending,
            notices,
            stop: None,
            is_unusable: false,
            unwritten: Vec::new(),
            total: None,
        }
    }

    /// Sends the request of every line. The exit is 0 when every line of the input has a good answer, else 1.
    ///
    /// # Errors
    /// What every further request would meet too: no credential, a used-up quota, no server, a full disk.
    pub(crate) async fn run(mut self, mut lines: mpsc::Receiver<Result<InputLine, Failure>>) -> Outcome {
        let mut signals = Signals::new()?;
        let mut aside = self.dispatcher.aside.load();
        let mut heartbeat = heartbeat();
        let mut next: Option<(Question, BatchRequest)> = None;
        let mut has_input = true;
        loop {
            let has_more = self.stop.is_none() && (has_input || next.is_some());
            if !has_more && self.started.is_empty() {
                return self.finish();
            }
            let has_room = has_more && self.has_room(aside.borrow_and_update().requests);
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal)?,
                Some(notice) = self.notices.recv() => self.plan.summary.print_notice(&notice),
                Some(done) = self.started.join_next() => match done {
                    Ok((question, Ok(Some(record)))) => {
                        self.write(&question, &record);
                        self.dispatcher.written(question.position);
                    }
                    Ok((_, Err(failure))) => self.stop(StopReason::Failure(failure)),
                    _ => {}
                },
                Ok(room) = Arc::clone(&self.dispatcher.room).acquire_owned(), if has_room && next.is_some() => {
                    self.start(next.take(), room);
                }
                line = lines.recv(), if has_input && has_room && next.is_none() => match line {
                    Some(Ok(line)) => match self.accept_line(&line) {
                        Ok(accepted) => next = accepted,
                        Err(failure) => self.stop(StopReason::Unusable(failure)),
                    },
                    Some(Err(failure)) => self.stop_reading(failure),
                    None => has_input = false,
                },
                Ok(()) = aside.changed(), if has_more && !has_room => {}
                _ = heartbeat.tick() => self.print_heartbeat(),
            }
        }
    }

    /// True where another request may be started, while so many others have stepped aside.
    fn has_room(&self, aside: usize) -> bool {
        let limit = self.plan.dispatch.jobs * STARTED_PER_JOB + aside;
        self.started.len() < limit && self.plan.order.has_room()
    }

    fn stop_reading(&mut self, failure: Failure) {
        self.stop(match failure.exit {
            Exit::Data => StopReason::Unusable(failure),
            _ => StopReason::Failure(failure),
        });
    }

    /// Returns the line's request, unless it has a result already; an invalid line gets one that says so.
    fn accept_line(&mut self, line: &InputLine) -> Result<Option<(Question, BatchRequest)>, Failure> {
        let built = self.plan.builder.build(line);
        let (name, is_named, digest) = match &built {
            Ok(request) => (request.custom_id.clone(), request.is_named, request.digest()),
            Err(invalid) => {
                let digest = RequestDigest::of_line(&line.content);
                (invalid.custom_id.clone(), invalid.is_named, digest)
            }
        };
        if !is_named && self.is_left_to_position(line)? {
            return Ok(None);
        }
        let status = self.plan.completed.register(&name, Some(digest));
        if status == RequestStatus::Duplicate && is_named {
            self.reject_duplicate(line, &format!("duplicate custom_id '{name}'"));
            return Ok(None);
        }
        let Some(mut question) = self.question(name, status, digest) else {
            return Ok(None);
        };
        question.length = line.content.len();
        match built {
            Ok(request) => Ok(Some((question, request))),
            Err(InvalidLine { reason, .. }) => {
                self.reject(line.number, &question, &reason);
                Ok(None)
            }
        }
    }

    /// Returns what is to be asked under a name that has been registered, or under that of a twin; `None` where there is a
    /// result.
    fn question(&mut self, name: String, status: RequestStatus, digest: RequestDigest) -> Option<Question> {
        let (custom_id, status) = match status {
            RequestStatus::Duplicate => self.plan.completed.register_twin(&name, Some(digest)),
            status => (name, status),
        };
        let replaces = self.is_to_be_asked(&custom_id, status)?;
        Some(Question {
            position: self.plan.order.next_position(),
            custom_id,
            digest,
            replaces,
            length: 0,
        })
    }

    /// Looks for the result of a line without an ID under the name that version 0.1 gave it, from its place; true where it
    /// is to count.
    ///
    /// # Errors
    /// 65 when there are such results and nothing says whether they belong to these lines.
    fn is_left_to_position(&mut self, line: &InputLine) -> Result<bool, Failure> {
        let positional = &self.plan.completed.positional;
        if positional.count == 0 {
            return Ok(false);
        }
        if !self.plan.options.keeps_names {
            let names: Vec<String> = positional.first.iter().map(|name| format!("'{name}'")).collect();
            let message = format!(
                "{}: {} results are named by the place of a line, as version 0.1 did ({}): they may be those of other lines",
                self.output_name(),
                positional.count,
                names.join(", ")
            );
            return Err(Failure::new(Exit::Data, message)
                .hint("add --keep-names if no line was added, removed or changed since")
                .hint("or name a new file with --output"));
        }
        let name = positional_name(line.number);
        if !self.plan.completed.has_foreign(&name) {
            return Ok(false);
        }
        match self.plan.completed.register(&name, None) {
            RequestStatus::Completed { failed, .. } if !(failed && self.plan.options.retries_failed) => {
                self.plan.summary.count_existing(failed, false);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn output_name(&self) -> String {
        let output = self.plan.options.output.as_ref();
        output.map_or_else(String::new, |path| format!("'{}'", path.display()))
    }

    /// Decides by what is known of a name; `None` where its result is to stay, else whether there is one to be replaced.
    fn is_to_be_asked(&mut self, name: &str, status: RequestStatus) -> Option<bool> {
        let RunOptions {
            retries_failed,
            keeps_names,
            ..
        } = self.plan.options;
        let (failed, is_compared) = match status {
            RequestStatus::New | RequestStatus::Duplicate => return Some(false),
            RequestStatus::Completed { failed, .. } | RequestStatus::Changed { failed }
                if failed && retries_failed =>
            {
                return Some(true);
            }
            RequestStatus::Changed { .. } if !keeps_names => {
                self.note_change(name);
                return Some(true);
            }
            RequestStatus::Completed { failed, compared } => (failed, compared),
            RequestStatus::Changed { failed } => (failed, false),
        };
        self.plan.summary.count_existing(failed, is_compared);
        None
    }

    /// Says of the first few that the output has the result of another request.
    fn note_change(&mut self, name: &str) {
        let count = self.plan.summary.count_asked_again();
        if count > NAMED_CHANGES {
            return;
        }
        let output = self.output_name();
        self.plan.summary.progress.suspend(|reporter| {
            reporter.notice(&format!(
                "'{name}': {output} has the result of another request; asking again"
            ));
            if count == 1 {
                reporter.hint("add --keep-names to leave such results as they are");
            }
        });
    }

    fn start(&mut self, next: Option<(Question, BatchRequest)>, room: OwnedSemaphorePermit) {
        let Some((question, request)) = next else { return };
        let dispatcher = Arc::clone(&self.dispatcher);
        let place = Place::new(room, &dispatcher.aside, question.length);
        self.started.spawn(async move {
            let result = dispatcher.dispatch(question.position, &request, place).await;
            (question, result)
        });
    }

    /// Writes the result of an invalid line.
    fn reject(&mut self, number: u64, question: &Question, reason: &str) {
        let error = RecordError::at_line(number, format!("line {number}: {reason}"));
        self.write(question, &error.into());
    }

    /// Writes the result of a line whose ID an earlier line has, under the name that its text gives it.
    fn reject_duplicate(&mut self, line: &InputLine, reason: &str) {
        let digest = RequestDigest::of_line(&line.content);
        let name = name_of_text(line);
        let status = self.plan.completed.register(&name, Some(digest));
        if let Some(question) = self.question(name, status, digest) {
            self.reject(line.number, &question, reason);
        }
    }

    fn write(&mut self, question: &Question, record: &Record) {
        let line = match record_line(&question.custom_id, question.digest, record) {
            Ok(line) => line,
            Err(error) => {
                let message = format!("cannot write the result of '{}'", question.custom_id);
                let failure = Failure::new(Exit::Bug, message).caused_by(error);
                return self.stop(StopReason::Failure(failure));
            }
        };
        if question.replaces {
            self.plan
                .completed
                .replace(&question.custom_id, Some(question.digest));
        }
        let outcome = RecordOutcome::of(record);
        for finished in self
            .plan
            .order
            .push(question.position, FinishedRecord { line, outcome })
        {
            self.write_line(finished);
        }
    }

    /// Writes a result. One that the output does not take is kept, and the run ends.
    fn write_line(&mut self, finished: FinishedRecord) {
        match self.plan.results.write(&finished.line) {
            Ok(()) => self.count(finished.outcome),
            Err(failure) => {
                self.unwritten.push(finished.line);
                self.stop(StopReason::Failure(failure));
            }
        }
        for notice in self.plan.results.take_notices() {
            self.plan.summary.notice(&notice);
        }
    }

    fn count(&mut self, outcome: RecordOutcome) {
        self.plan.summary.count(outcome);
        let (failed, done) = self.plan.summary.failures();
        let limit = self.plan.options.max_failed;
        if let Some(limit) = limit.filter(|limit| limit.is_exceeded(failed, done)) {
            let message =
                format!("{failed} of {done} requests have failed, more than --max-failed {limit} allows");
            self.stop(StopReason::Failure(Failure::new(Exit::No, message)));
        }
    }

    /// Sends no further requests; those under way are finished.
    fn stop(&mut self, reason: StopReason) {
        let _ = self.ending.send(true);
        self.is_unusable |= matches!(reason, StopReason::Unusable(_));
        self.stop.get_or_insert(reason);
    }

    /// Ends the run at the first signal, the process at the second.
    fn interrupt(&mut self, signal: i32) -> Result<(), Failure> {
        if matches!(self.stop, Some(StopReason::Signal(_))) {
            if signal == SIGHUP {
                return Ok(());
            }
            self.plan.summary.progress.clear();
            return Err(end_by_signal(signal));
        }
        let count = self.dispatcher.under_way();
        self.stop = None;
        self.stop(StopReason::Signal(signal));
        if count > 0 {
            self.plan.summary.notice(&format!(
                "finishing requests under way ({count}); interrupt again to stop at once"
            ));
        }
        Ok(())
    }

    /// Says how far the run has come, where nobody watches.
    fn print_heartbeat(&mut self) {
        if Reporter::is_seen() {
            return;
        }
        if let Some(counter) = self.plan.counter.take() {
            let (counted, total) = watch::channel(None);
            self.total = Some(total);
            // Without a thread there is no total.
            let _ = spawn(move || {
                let _ = counted.send(counter.count());
            });
        }
        let total = self.total.as_ref().and_then(|total| *total.borrow());
        self.plan.summary.print_heartbeat(total);
    }

    fn finish(mut self) -> Outcome {
        for finished in self.plan.order.drain() {
            self.write_line(finished);
        }
        if self.stop.is_none() {
            self.stop = self.dispatcher.take_lost().map(StopReason::Failure);
        }
        let rescued = self.write_again();
        let is_complete = self.stop.is_none();
        let drops_invalid_lines = is_complete && self.plan.options.retries_failed;
        let Plan {
            results,
            completed,
            summary,
            ..
        } = &mut self.plan;
        let finished = results.finish(completed, drops_invalid_lines);
        for notice in results.take_notices() {
            summary.notice(&notice);
        }
        summary.print(is_complete);
        summary.progress.clear();
        let (outcome, signal) = match self.stop.take() {
            None => (finished.map(|()| summary.exit()), None),
            Some(StopReason::Signal(signal)) => {
                report(summary, finished);
                (Ok(Exit::Ok), Some(signal))
            }
            Some(StopReason::Failure(failure) | StopReason::Unusable(failure)) => {
                report(summary, finished);
                (Err(rescued.into_iter().fold(failure, Failure::hint)), None)
            }
        };
        self.end(outcome, signal)
    }

    /// Ends the run: prints what is still to be printed.
    fn end(self, outcome: Outcome, signal: Option<i32>) -> Outcome {
        let Plan {
            results,
            summary,
            options,
            ..
        } = self.plan;
        let is_complete = signal.is_none() && outcome.is_ok();
        let hint = match results {
            Results::File(_) if !self.is_unusable => summary.hint(is_complete, options.retries_failed),
            _ => None,
        };
        if options.prints_json {
            let exit = match &outcome {
                _ if signal.is_some() => None,
                Ok(exit) => Some(*exit),
                Err(failure) => Some(failure.exit),
            };
            Stdout::write(format!("{}\n", summary.to_json(exit)).as_bytes())?;
        }
        let exit = outcome.map_err(|failure| {
            let mut hints = failure.hints.iter();
            let is_said = hints.any(|said| said.0.contains("run the same command again"));
            hint.filter(|_| !is_said).into_iter().fold(failure, Failure::hint)
        })?;
        if let Some(hint) = hint {
            summary.progress.suspend(|reporter| reporter.hint(hint));
        }
        match signal {
            Some(signal) => Err(end_by_signal(signal)),
            None => Ok(exit),
        }
    }

    /// Tries once more to write what the output did not take; returns what there is to say of results that are elsewhere.
    fn write_again(&mut self) -> Option<String> {
        let unwritten = std::mem::take(&mut self.unwritten);
        let left: Vec<Vec<u8>> = unwritten
            .into_iter()
            .filter(|line| self.plan.results.write(line).is_err())
            .collect();
        if left.is_empty() {
            return None;
        }
        let count = left.len();
        Some(match rescue(&left) {
            Ok(path) => format!(
                "the last results ({count}) are in '{}': append them to the output before the next run",
                path.display()
            ),
            Err(_) => format!("the last results ({count}) are lost: there is no room for them anywhere"),
        })
    }
}

/// A process that was stopped for long has one to catch up on, not all.
fn heartbeat() -> Interval {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

/// Says what went wrong with the output, where the run ends for another reason.
fn report(summary: &Summary, finished: Result<(), Failure>) {
    if let Err(failure) = finished {
        summary.notice(&failure.message);
    }
}

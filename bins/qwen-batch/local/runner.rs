//! A run: lines in, results out, several requests in parallel.

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::Client;
use qwen_shared::net::ratelimit::Notice;
use qwen_shared::signal::end_by_signal;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;

use super::dispatcher::Dispatcher;
use super::reorder::{FinishedRecord, ReorderBuffer};
use super::signals::Signals;
use super::summary::Summary;
use crate::input::InputLine;
use crate::record::{Record, RecordError, RecordWriter};
use crate::request::{BatchRequest, RequestBuilder, default_id};
use crate::results::{CompletedIds, IdStatus, Results};

/// How many requests are started for each slot, those included that wait for a retry.
const STARTED_PER_SLOT: usize = 8;

#[derive(Debug)]
pub(crate) struct Runner {
    plan: Plan,
    writer: RecordWriter,
    dispatcher: Arc<Dispatcher>,
    /// Each ends with its position, its ID, and what [`Dispatcher::dispatch`] returned.
    started: JoinSet<(u64, String, Result<Option<Record>, Failure>)>,
    ending: watch::Sender<bool>,
    notices: mpsc::UnboundedReceiver<Notice>,
    stop: Option<StopReason>,
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) builder: RequestBuilder,
    pub(crate) completed: CompletedIds,
    pub(crate) results: Results,
    pub(crate) summary: Summary,
    pub(crate) order: ReorderBuffer,
    /// How many requests run in parallel.
    pub(crate) jobs: usize,
}

#[derive(Debug)]
enum StopReason {
    Signal(i32),
    Failure(Failure),
}

impl Runner {
    pub(crate) fn new(plan: Plan, client: Client) -> Self {
        let (ending, is_ending) = watch::channel(false);
        let (notify, notices) = mpsc::unbounded_channel();
        Self {
            dispatcher: Arc::new(Dispatcher::new(client, plan.jobs, is_ending, notify)),
            plan,
            writer: RecordWriter::new(),
            started: JoinSet::new(),
            ending,
            notices,
            stop: None,
        }
    }

    /// Sends the request of every line. The exit is 0 when every line of the input has a good answer, else 1.
    ///
    /// # Errors
    /// What every further request would meet too: no credential, a used-up quota, no server, a full disk.
    pub(crate) async fn run(mut self, mut lines: mpsc::Receiver<Result<InputLine, Failure>>) -> Outcome {
        let mut signals = Signals::new()?;
        let limit = self.plan.jobs * STARTED_PER_SLOT;
        let mut next: Option<BatchRequest> = None;
        let mut has_input = true;
        loop {
            let has_more = self.stop.is_none() && (has_input || next.is_some());
            if !has_more && self.started.is_empty() {
                return self.finish();
            }
            let has_room = has_more && self.started.len() < limit && self.plan.order.has_room();
            tokio::select! {
                biased;
                signal = signals.next() => self.interrupt(signal)?,
                Some(notice) = self.notices.recv() => self.plan.summary.print_notice(&notice),
                Some(done) = self.started.join_next() => match done {
                    Ok((position, custom_id, Ok(Some(record)))) => self.write(position, &custom_id, &record)?,
                    Ok((_, _, Err(failure))) => self.stop(StopReason::Failure(failure)),
                    _ => {}
                },
                Ok(slot) = Arc::clone(&self.dispatcher.slots).acquire_owned(), if has_room && next.is_some() => {
                    self.start(next.take(), slot);
                }
                line = lines.recv(), if has_input && has_room && next.is_none() => match line {
                    Some(Ok(line)) => next = self.accept_line(&line)?,
                    Some(Err(failure)) => self.stop(StopReason::Failure(failure)),
                    None => has_input = false,
                },
            }
        }
    }

    /// Returns the line's request, unless it has a result already; an invalid line gets one that says so.
    fn accept_line(&mut self, line: &InputLine) -> Result<Option<BatchRequest>, Failure> {
        let (id, request) = match self.plan.builder.build(line) {
            Ok(request) => (request.custom_id.clone(), Ok(request)),
            Err(invalid) => (invalid.custom_id, Err(invalid.reason)),
        };
        match (self.plan.completed.register(&id), request) {
            (IdStatus::Completed { failed }, _) => self.plan.summary.count_existing(failed),
            (IdStatus::New, Ok(request)) => return Ok(Some(request)),
            (IdStatus::New, Err(reason)) => self.reject(line.number, &id, &reason)?,
            (IdStatus::Duplicate, _) => self.reject_duplicate(line.number, &id)?,
        }
        Ok(None)
    }

    fn start(&mut self, request: Option<BatchRequest>, slot: OwnedSemaphorePermit) {
        let Some(request) = request else { return };
        let position = self.plan.order.next_position();
        let dispatcher = Arc::clone(&self.dispatcher);
        self.started.spawn(async move {
            let result = dispatcher.dispatch(&request, slot).await;
            (position, request.custom_id, result)
        });
    }

    /// Writes the result of an invalid line.
    fn reject(&mut self, number: u64, custom_id: &str, reason: &str) -> Result<(), Failure> {
        let position = self.plan.order.next_position();
        let error = RecordError::at_line(number, format!("line {number}: {reason}"));
        self.write(position, custom_id, &error.into())
    }

    /// Writes the result of a line whose ID an earlier line has, under the ID that lines without one get, or the first
    /// free one that is derived from it.
    fn reject_duplicate(&mut self, number: u64, custom_id: &str) -> Result<(), Failure> {
        let mut id = default_id(number);
        for count in 2.. {
            match self.plan.completed.register(&id) {
                IdStatus::New => {
                    return self.reject(number, &id, &format!("duplicate custom_id '{custom_id}'"));
                }
                IdStatus::Completed { failed } => {
                    self.plan.summary.count_existing(failed);
                    break;
                }
                IdStatus::Duplicate => id = format!("{}-{count}", default_id(number)),
            }
        }
        Ok(())
    }

    fn write(&mut self, position: u64, custom_id: &str, record: &Record) -> Result<(), Failure> {
        let line = self.writer.next_line(custom_id, record).map_err(|error| {
            Failure::new(Exit::Bug, format!("cannot write the result of '{custom_id}'")).caused_by(error)
        })?;
        let finished = FinishedRecord {
            line,
            failed: record.error.is_some(),
            is_cut: record.is_cut,
        };
        for finished in self.plan.order.push(position, finished) {
            self.plan.results.write(&finished.line)?;
            self.plan.summary.count(finished.failed, finished.is_cut);
        }
        Ok(())
    }

    /// Sends no further requests; those under way are finished.
    fn stop(&mut self, reason: StopReason) {
        let _ = self.ending.send(true);
        self.stop.get_or_insert(reason);
    }

    /// Ends the run at the first signal, the process at the second.
    fn interrupt(&mut self, signal: i32) -> Result<(), Failure> {
        if matches!(self.stop, Some(StopReason::Signal(_))) || self.started.is_empty() {
            self.plan.summary.progress.clear();
            return Err(end_by_signal(signal));
        }
        let count = self.started.len();
        self.stop = None;
        self.stop(StopReason::Signal(signal));
        self.plan.summary.progress.suspend(|reporter| {
            reporter.notice(&format!(
                "finishing requests under way ({count}); interrupt again to stop at once"
            ));
        });
        Ok(())
    }

    fn finish(self) -> Outcome {
        let Plan { results, summary, .. } = self.plan;
        results.sync()?;
        let is_complete = self.stop.is_none();
        summary.print(is_complete);
        let hint = match results {
            Results::File(_) => summary.hint(is_complete),
            _ => None,
        };
        summary.progress.clear();
        if let Some(StopReason::Failure(failure)) = self.stop {
            return Err(match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            });
        }
        if let Some(hint) = hint {
            summary.progress.suspend(|reporter| reporter.hint(hint));
        }
        match self.stop {
            Some(StopReason::Signal(signal)) => Err(end_by_signal(signal)),
            _ => Ok(summary.exit()),
        }
    }
}

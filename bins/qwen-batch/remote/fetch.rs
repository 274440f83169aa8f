//! `qwen-batch fetch`: downloads results.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::chat::repaired_json;
use qwen_shared::net::http::runtime;
use qwen_shared::output::Reporter;
use qwen_shared::text::{clip, one_line};

use super::api::{BatchApi, validate_id};
use super::batch::{Batch, State};
use super::download::{Download, Interrupted};
use super::line_cutter::{CutLine, LineCutter};
use super::raw::fetch_raw;
use super::submitted::{SubmittedInputs, SubmittedRequests};
use crate::args::FetchArgs;
use crate::completed::{CompletedRequests, RequestStatus};
use crate::digest::RequestDigest;
use crate::digest_set::DigestSet;
use crate::input::is_blank;
use crate::record::{ExistingRecord, bound_line};
use crate::results::Results;

/// The most names that are given where names are counted.
const NAMED: usize = 3;

/// Runs `qwen-batch fetch`. The exit is 0 when every request was answered, else 1.
///
/// Output files and error files of the batches go into one file, as `run` writes it. Records that it has already are not
/// written again, so that an interrupted fetch can be repeated, and `run` can do the rest. Each gets the digest of the
/// request that it answers, from the batch's input; one of another request than the file has by that name is left out.
///
/// # Errors
/// 65 when the provider rejected a batch, 75 when one has not ended yet, 76 when not all of the results can be read: what
/// can be is kept.
pub(crate) fn fetch(args: &FetchArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let mut ids = Vec::new();
    for id in &args.ids {
        let id = validate_id(id)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let api = BatchApi::new(profile, None, &args.limits, reporter)?;
    let runtime = runtime()?;
    let mut ended = EndedBatches::default();
    for id in ids {
        ended.add(runtime.block_on(api.get_batch(id))?, &api);
    }
    if ended.batches.is_empty() {
        return ended.failures.into_iter().next().map_or(Ok(Exit::Ok), Err);
    }
    if args.raw {
        return runtime.block_on(fetch_raw(&api, ended, args.output.as_deref(), reporter));
    }
    let mut completed = CompletedRequests::default();
    let results = Results::open(args.output.as_ref(), &mut completed, reporter)?;
    let mut gathering = Gathering::new(results, completed);
    let broken = runtime.block_on(gathering.files(&api, &ended, reporter));
    let finished = gathering.results.finish(&mut gathering.completed, false);
    for notice in gathering.results.take_notices() {
        reporter.notice(&notice);
    }
    broken?;
    finished?;
    gathering.finish(ended, reporter)
}

/// The batches whose results can be fetched, and why others cannot.
#[derive(Debug, Default)]
pub(crate) struct EndedBatches {
    pub(crate) batches: Vec<Batch>,
    pub(crate) failures: Vec<Failure>,
}

impl EndedBatches {
    fn add(&mut self, batch: Batch, api: &BatchApi) {
        let id = one_line(batch.id());
        if !batch.has_ended() {
            let message = format!("batch '{id}' has not ended: {}", batch.progress());
            let failure = Failure::new(Exit::TryAgain, message);
            self.failures
                .push(failure.hint(format!("run 'qwen-batch wait {id}'")));
        } else if batch.state() == State::Completed
            && batch.result_files().next().is_none()
            && batch.counts().completed > 0
        {
            // Some engines name the file a moment later. What is paid is not to be asked for again.
            let count = batch.counts().completed;
            let message = format!("batch '{id}' has {count} answers and names no file of them yet");
            self.failures
                .push(Failure::new(Exit::TryAgain, message).hint("run the same command again in a minute"));
        } else if batch.state() == State::Failed && batch.result_files().next().is_none() {
            self.failures
                .push(api.client().redacted_failure(batch.rejection()));
        } else {
            self.batches.push(batch);
        }
    }

    /// Returns the IDs of the files, each with its batch: output files first, so that a good answer comes before a failure
    /// of the same name.
    pub(crate) fn files(&self) -> Vec<(&Batch, &str)> {
        let of = |index: usize| {
            self.batches
                .iter()
                .filter_map(move |batch| Some((batch, batch.result_file(index)?)))
        };
        of(0).chain(of(1)).collect()
    }
}

/// The requests of which batches have told what became of them, each once a batch.
#[derive(Debug, Default)]
struct ToldRequests {
    hasher: RandomState,
    requests: DigestSet,
    count: u64,
}

impl ToldRequests {
    fn insert(&mut self, batch: &str, name: &str) {
        let is_new = self.requests.insert(self.hasher.hash_one((batch, name)));
        self.count += u64::from(is_new);
    }
}

/// Gathers the records of several files in one output.
#[derive(Debug)]
struct Gathering {
    completed: CompletedRequests,
    results: Results,
    succeeded: u64,
    failed: u64,
    /// Records whose name the output had before.
    existing: u64,
    /// Those of them of which the name alone is known to be the same.
    not_compared: u64,
    /// Records of another request than the output has by their name, which are left out.
    others: u64,
    /// The names of the first of these.
    other_names: Vec<String>,
    /// Names of failures, so that a good answer can replace them.
    failed_names: HashSet<String>,
    /// What each batch has told of, whatever another one, or the output, has of the same name.
    told: ToldRequests,
    /// Lines that are no records, and where the first one is.
    odd: u64,
    first_odd: Option<String>,
    /// Why not everything could be downloaded.
    failures: Vec<Failure>,
}

impl Gathering {
    fn new(results: Results, completed: CompletedRequests) -> Self {
        Self {
            completed,
            results,
            succeeded: 0,
            failed: 0,
            existing: 0,
            not_compared: 0,
            others: 0,
            other_names: Vec::new(),
            failed_names: HashSet::new(),
            told: ToldRequests::default(),
            odd: 0,
            first_odd: None,
            failures: Vec::new(),
        }
    }

    /// Downloads the files. One that cannot be had does not keep the others back.
    ///
    /// # Errors
    /// 74 where the results cannot be written.
    async fn files(
        &mut self,
        api: &BatchApi,
        ended: &EndedBatches,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        let mut inputs = SubmittedInputs::default();
        for (batch, file) in ended.files() {
            let requests = inputs.of(batch, api, reporter).await;
            let mut download = Download::new(api, file);
            loop {
                let mut reader = ResultReader::new(batch.id(), file, requests);
                download.expects_content(batch.counts().completed > 0 && batch.result_file(0) == Some(file));
                let result = download.attempt(|chunk| reader.push(chunk, self)).await;
                let result = match result {
                    Ok(()) => reader.end(self).map_err(Interrupted::Local),
                    Err(interrupted) => Err(interrupted),
                };
                let again = match result {
                    Err(Interrupted::Local(failure)) => return Err(failure),
                    Err(Interrupted::Remote(error)) => download.retry(error, reporter).await,
                    Ok(()) => Ok(false),
                };
                match again {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(failure) => self.failures.push(failure),
                }
                self.odd += reader.odd;
                self.first_odd = self.first_odd.take().or(reader.first_odd);
                break;
            }
        }
        Ok(())
    }

    /// Counts a record, and writes it unless the output has it already.
    fn record(
        &mut self,
        record: &ExistingRecord<'_>,
        line: &[u8],
        requests: &SubmittedRequests,
    ) -> Result<(), Failure> {
        let name = record.custom_id.as_ref();
        let request = requests.digest(name);
        let bound = request.and_then(|request| bound_line(line, request));
        let line = bound.as_deref().unwrap_or(line);
        match self.completed.register_result(name, request) {
            RequestStatus::New => self.results.write(line)?,
            RequestStatus::Changed { .. } => {
                self.leave_out(name);
                return Ok(());
            }
            RequestStatus::Duplicate => {
                if record.failed || !self.failed_names.remove(name) {
                    return Ok(());
                }
                self.failed -= 1;
                self.replace(name, request, line)?;
            }
            RequestStatus::Completed { failed, compared } => {
                let stays = !failed || record.failed;
                self.existing += u64::from(stays);
                self.not_compared += u64::from(stays && !compared);
                if failed && !record.failed {
                    self.replace(name, request, line)?;
                } else if !failed {
                    self.succeeded += 1;
                    return Ok(());
                }
            }
        }
        if record.failed {
            self.failed += 1;
            self.failed_names.insert(name.to_owned());
        } else {
            self.succeeded += 1;
        }
        Ok(())
    }

    /// Counts a record of another request than the output has by its name.
    fn leave_out(&mut self, name: &str) {
        self.others += 1;
        if self.other_names.len() < NAMED {
            self.other_names.push(clip(&one_line(name), 40));
        }
    }

    /// Writes a good answer in the place of a failure.
    fn replace(&mut self, name: &str, request: Option<RequestDigest>, line: &[u8]) -> Result<(), Failure> {
        self.results.write(line)?;
        self.completed.replace(name, request);
        Ok(())
    }

    /// Prints what is missing, and how to continue.
    fn finish(mut self, ended: EndedBatches, reporter: &Reporter) -> Outcome {
        let done = self.succeeded + self.failed;
        let total: u64 = ended.batches.iter().map(|batch| batch.counts().total).sum();
        let missing = total.saturating_sub(self.told.count);
        let are_whole = ended
            .batches
            .iter()
            .all(|batch| batch.state() == State::Completed || (total > 0 && missing == 0));
        let has_rest = !are_whole || missing > 0 || self.failed > 0;
        if has_rest {
            let states = unfinished_states(&ended.batches);
            let counts = [(self.failed, "of them failed"), (missing, "not done")];
            let counts = counts.iter().filter(|(count, _)| *count > 0);
            let text = counts.fold(format!("{states}{done} done"), |text, (count, what)| {
                format!("{text}, {count} {what}")
            });
            reporter.notice(&text);
        }
        self.report_existing(reporter);
        // What could not be had may be paid for already: it is not to be asked for again from here.
        let is_read = self.failures.is_empty();
        if has_rest && is_read && matches!(self.results, Results::File(_)) {
            reporter.hint("send the rest from here: 'qwen-batch run IN -o OUT --retry-failed'");
        }
        self.failures.extend(odd_lines(self.odd, self.first_odd));
        self.failures.extend(ended.failures);
        match most_urgent(self.failures, reporter) {
            Some(failure) => Err(failure),
            None if has_rest || self.others > 0 => Ok(Exit::No),
            None => Ok(Exit::Ok),
        }
    }

    /// Says what the output had before, and what was left out because of that.
    fn report_existing(&self, reporter: &Reporter) {
        let (count, not_compared) = (self.existing, self.not_compared);
        match (count, not_compared) {
            (0, _) => {}
            (_, 0) => reporter.notice(&format!("{count} there already")),
            _ if count == not_compared => reporter.notice(&format!("{count} there already, not compared")),
            _ => reporter.notice(&format!("{count} there already ({not_compared} not compared)")),
        }
        if self.others > 0 {
            let results = match self.others {
                1 => "1 result is of another request than the one that has its name there".to_owned(),
                count => {
                    format!("{count} results are of other requests than those that have their names there")
                }
            };
            let names = self.other_names.join("', '");
            let more = if self.others > NAMED as u64 { ", …" } else { "" };
            reporter.notice(&format!("{results}, and left out: '{names}'{more}"));
            reporter.hint("fetch each batch into a file of its own");
        }
    }
}

/// The failure of lines that are no records.
fn odd_lines(count: u64, first: Option<String>) -> Option<Failure> {
    let first = first?;
    let lines = if count == 1 {
        "line is no result"
    } else {
        "lines are no results"
    };
    let message = format!("{count} {lines}, the first one '{first}'");
    let failure = Failure::new(Exit::Protocol, message);
    Some(failure.hint("save the files as they are with '--raw', into another file"))
}

/// Says how the batches ended that are not completed.
fn unfinished_states(batches: &[Batch]) -> String {
    let mut states: Vec<String> = Vec::new();
    for batch in batches.iter().filter(|batch| batch.state() != State::Completed) {
        let status = clip(&one_line(batch.status()), 40);
        if !states.contains(&status) {
            states.push(status);
        }
    }
    match (batches.len(), states.len()) {
        (_, 0) => String::new(),
        (1, _) => format!("the batch is {}: ", states.join(", ")),
        _ => format!("batches are {}: ", states.join(", ")),
    }
}

/// Returns the failure that the exit code is to tell of, and prints the others: first what another try may bring.
pub(crate) fn most_urgent(mut failures: Vec<Failure>, reporter: &Reporter) -> Option<Failure> {
    failures.sort_by_key(|failure| match failure.exit {
        Exit::NoAuth => 0,
        Exit::TryAgain => 1,
        Exit::Protocol => 2,
        _ => 3,
    });
    let mut failures = failures.into_iter();
    let first = failures.next();
    for other in failures {
        reporter.notice(&other.message);
    }
    first
}

/// Reads a file of results, and counts the lines that are no records.
struct ResultReader<'a> {
    batch: &'a str,
    file: &'a str,
    requests: &'a SubmittedRequests,
    cutter: LineCutter,
    odd: u64,
    first_odd: Option<String>,
}

impl<'a> ResultReader<'a> {
    const fn new(batch: &'a str, file: &'a str, requests: &'a SubmittedRequests) -> Self {
        Self {
            batch,
            file,
            requests,
            cutter: LineCutter::new(),
            odd: 0,
            first_odd: None,
        }
    }

    fn push(&mut self, chunk: &[u8], gathering: &mut Gathering) -> Result<(), Failure> {
        let mut cutter = std::mem::take(&mut self.cutter);
        let result = cutter.push(chunk, |line| self.take(&line, gathering));
        self.cutter = cutter;
        result
    }

    /// Takes a last line without a line end.
    fn end(&mut self, gathering: &mut Gathering) -> Result<(), Failure> {
        let mut cutter = std::mem::take(&mut self.cutter);
        cutter.end(|line| self.take(&line, gathering))
    }

    fn take(&mut self, line: &CutLine<'_>, gathering: &mut Gathering) -> Result<(), Failure> {
        match line.content {
            Some(content) if is_blank(content) => return Ok(()),
            Some(content) => {
                // Numbers that are none, as Python writes them, and halves of surrogate pairs cost no answer.
                let repaired = std::str::from_utf8(content).ok().and_then(repaired_json);
                let content = repaired.as_deref().map_or(content, str::as_bytes);
                if let Some(record) = ExistingRecord::parse(content) {
                    return self.record(&record, content, gathering);
                }
            }
            None => {}
        }
        self.count_odd(line.number);
        Ok(())
    }

    fn record(
        &self,
        record: &ExistingRecord<'_>,
        line: &[u8],
        gathering: &mut Gathering,
    ) -> Result<(), Failure> {
        gathering.told.insert(self.batch, &record.custom_id);
        gathering.record(record, line, self.requests)
    }

    fn count_odd(&mut self, number: u64) {
        self.odd += 1;
        let file = self.file;
        self.first_odd.get_or_insert_with(|| format!("{file}:{number}"));
    }
}

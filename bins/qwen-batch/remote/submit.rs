//! `qwen-batch submit`: uploads the input and creates a batch of it, or several.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::{Upload, runtime};
use qwen_shared::net::random::uuid;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::signal::end_by_signal;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::api::{ApiRequest, BatchApi, RequestError, hint_at_run};
use super::batch::{Batch, State, queue_is_full, says_queue_is_full};
use super::existing::read_records;
use super::interrupt::Interrupts;
use super::lost_batch::{self, METADATA};
use super::rest::Rest;
use super::staged_input::{Existing, StagedInput, StagedPart};
use super::uploaded_file::{UploadedFile, says_not_processed};
use crate::args::SubmitArgs;
use crate::completed::CompletedRequests;
use crate::input::Input;
use crate::progress::Progress;
use crate::request::RequestBuilder;

/// The most members of metadata that providers take.
const METADATA_LIMIT: usize = 16;

/// How long Ctrl-C waits for the ID of a batch that is being created.
const GRACE: Duration = Duration::from_secs(3);

/// Runs `qwen-batch submit`.
///
/// # Errors
/// 65 for malformed lines, before anything is sent; 69 where the provider has no Batch API; 75 where its queue is full.
pub(crate) fn submit(args: &SubmitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let metadata = metadata(&args.metadata)?;
    let input = Input::open(Some(&args.input))?;
    let mut completed = CompletedRequests::default();
    if let Some(path) = &args.except {
        read_records(path, &mut completed)?;
    }
    let api = BatchApi::new(profile, args.request.model.as_ref(), &args.limits, reporter)?;
    let endpoint = api.client().endpoint();
    let settings = endpoint.settings();
    let provider = settings.provider.value;
    let Some(limits) = &provider.batch else {
        let message = format!("provider '{provider}' has no Batch API");
        return Err(hint_at_run(Failure::new(Exit::Unavailable, message)));
    };
    let builder = RequestBuilder::new(&args.request, &settings.model.value, &settings.body, reporter)?;
    let staged = StagedInput::new(input, &builder, limits, completed, reporter)?;
    if let Some(path) = &args.except {
        report_existing(&staged.existing, path, reporter);
    }
    let submission = Submission {
        api: &api,
        rest: Rest::new(&args.input),
        name: upload_name(&args.input),
        url: staged.url.clone(),
        window: &args.window,
        metadata,
        parts: staged.parts.len(),
        state: Progressing::default(),
    };
    runtime()?.block_on(submission.run(staged, reporter))
}

/// Says what the results that are there mean for what is handed in.
fn report_existing(existing: &Existing, path: &Path, reporter: &Reporter) {
    let path = path.display();
    let Existing {
        answered,
        not_compared,
        changed,
        ..
    } = *existing;
    if answered > 0 {
        let compared = match not_compared {
            0 => String::new(),
            some if some == answered => ", not compared".to_owned(),
            some => format!(", {some} of them not compared"),
        };
        reporter.notice(&format!("{answered} there already in '{path}'{compared}"));
    }
    if changed > 0 {
        let names = existing.changed_names.join("', '");
        let more = if changed > existing.changed_names.len() as u64 {
            ", …"
        } else {
            ""
        };
        reporter.notice(&format!(
            "{changed} with an answer to another request in '{path}': '{names}'{more}"
        ));
        reporter.hint("fetch the results into another file: they would not replace those answers");
    }
}

/// What all parts have in common, and how far they are.
struct Submission<'a> {
    api: &'a BatchApi,
    rest: Rest<'a>,
    name: String,
    url: String,
    window: &'a str,
    metadata: Map<String, Value>,
    parts: usize,
    state: Progressing,
}

/// How far a submission is.
#[derive(Default)]
struct Progressing {
    /// The IDs of the batches that were created.
    created: RefCell<Vec<String>>,
    /// True while a batch may have been created whose ID is not known.
    is_creating: Cell<bool>,
    /// The line of the input with which the first part begins that has no batch.
    next_line: Cell<Option<u64>>,
    answered: Notify,
}

impl Submission<'_> {
    async fn run(&self, staged: StagedInput, reporter: &Reporter) -> Outcome {
        let requests = staged.requests();
        if requests == 0 {
            reporter.notice("nothing to submit: every request has a good answer");
            return Ok(Exit::Ok);
        }
        let interrupts = Interrupts::catch()?;
        let mut work = pin!(self.submit_parts(staged.parts, reporter));
        let signal = tokio::select! {
            result = &mut work => {
                result?;
                self.report_end(requests, reporter);
                return Ok(Exit::Ok);
            }
            signal = interrupts.first() => signal,
        };
        if self.state.is_creating.get() {
            // What comes of it is worth a moment.
            let _ = timeout(GRACE, async {
                tokio::select! {
                    _ = &mut work => {}
                    () = self.state.answered.notified() => {}
                }
            })
            .await;
        }
        self.report_interrupt(reporter);
        Err(end_by_signal(signal))
    }

    async fn submit_parts(&self, parts: Vec<StagedPart>, reporter: &Reporter) -> Result<(), Failure> {
        for (index, part) in parts.into_iter().enumerate() {
            let requests = part.requests;
            self.state.next_line.set(Some(part.first_line));
            let batch = self.submit_part(part).await;
            self.state.is_creating.set(false);
            let batch = batch.map_err(|failure| self.failure_of_part(failure, index))?;
            let id = batch.id();
            self.state.next_line.set(None);
            self.state.created.borrow_mut().push(id.to_owned());
            self.state.answered.notify_one();
            if self.parts > 1 {
                let (number, parts) = (index + 1, self.parts);
                reporter.notice(&format!("part {number} of {parts}: {requests} requests: '{id}'"));
            }
            let is_said = self.parts > 1;
            let said = || match is_said {
                true => {}
                false => reporter.notice(&format!("the batch was created: '{id}'")),
            };
            Stdout::write_or(format!("{id}\n").as_bytes(), said)
                .map_err(|failure| failure.hint(format!("the batch was created: '{id}'")))
                .map_err(|failure| self.failure_of_part(failure, index))?;
        }
        Ok(())
    }

    /// Uploads a part and creates a batch of it.
    async fn submit_part(&self, part: StagedPart) -> Result<Batch, Failure> {
        let api = self.api;
        let form = Upload::form(&[("purpose", "batch")], &self.name, part.file, part.length);
        let file = api
            .ask(&ApiRequest::upload("/files", form), UploadedFile::read)
            .await;
        let mut file = file.map_err(|error| match says_too_many_files(&error.words()) {
            true => too_many_files(api.failure(error)),
            false => hint_at_run(api.failure(error)),
        })?;
        let created = match file.wait_until_processed(api).await {
            Ok(()) => self.create(&mut file).await,
            Err(failure) => Err(Uncreated::Surely(failure)),
        };
        match created {
            Ok(batch) if batch.state() == State::Failed => {
                Err(api.client().redacted_failure(batch.rejection()))
            }
            Ok(batch) => Ok(batch),
            Err(Uncreated::Surely(failure)) => {
                // A file without a batch is of no use. Where it cannot be deleted, nothing is lost.
                let _ = api.send(&ApiRequest::delete(format!("/files/{}", file.id))).await;
                Err(failure)
            }
            Err(Uncreated::Perhaps(failure)) => Err(failure),
        }
    }

    /// Creates the batch. What is added here by itself is taken back when that is what was refused, and a batch whose
    /// creation was not answered is looked for.
    async fn create(&self, file: &mut UploadedFile) -> Result<Batch, Uncreated> {
        let mut mark = uuid().ok().filter(|_| self.metadata.len() < METADATA_LIMIT);
        loop {
            let request = ApiRequest::create("/batches", &self.order(&file.id, mark.as_deref()));
            self.state.is_creating.set(true);
            let error = match self.api.ask(&request, Batch::read).await {
                Ok(batch) => return Ok(batch),
                Err(error) => error,
            };
            if !error.proves_refusal() {
                return self.find_again(error, &file.id, mark.as_deref()).await;
            }
            self.state.is_creating.set(false);
            let words = error.words();
            if mark.is_some() && refuses_metadata(&error, &words) {
                self.api
                    .reporter()
                    .detail("the provider refuses metadata; creating the batch without a mark of it");
                mark = None;
            } else if says_not_processed(&words) {
                file.wait_after_refusal(self.api)
                    .await
                    .map_err(Uncreated::Surely)?;
                file.wait_until_processed(self.api)
                    .await
                    .map_err(Uncreated::Surely)?;
            } else if !(file.is_said_missing(&words) && file.wait_until_found(self.api).await) {
                return Err(Uncreated::Surely(self.refusal(error, &words)));
            }
        }
    }

    /// Looks for a batch whose creation was not answered.
    async fn find_again(
        &self,
        error: RequestError,
        file: &str,
        mark: Option<&str>,
    ) -> Result<Batch, Uncreated> {
        let failure = self.api.failure(error);
        self.api
            .reporter()
            .notice(&format!("{failure}; looking whether the batch was created"));
        match lost_batch::find(self.api, file, mark).await {
            Some(batch) => Ok(batch),
            None => Err(Uncreated::Perhaps(
                failure
                    .hint("see with 'qwen-batch list' whether the batch was created")
                    .hint(format!("its input is kept: '{file}'")),
            )),
        }
    }

    fn order(&self, file: &str, mark: Option<&str>) -> Value {
        let mut order = json!({
            "input_file_id": file,
            "endpoint": self.url,
            "completion_window": self.window,
        });
        let mut metadata = self.metadata.clone();
        if let Some(mark) = mark {
            metadata.insert(METADATA.to_owned(), mark.into());
        }
        if !metadata.is_empty() {
            order["metadata"] = metadata.into();
        }
        order
    }

    /// The failure of a refusal; 75 where the queue is full, whatever its status.
    fn refusal(&self, error: RequestError, words: &str) -> Failure {
        let failure = self.api.failure(error);
        match says_queue_is_full(words) {
            true => queue_is_full(failure.message),
            false => hint_at_run(failure),
        }
    }

    /// Adds to a failure what was submitted before, and how to go on.
    fn failure_of_part(&self, mut failure: Failure, index: usize) -> Failure {
        if self.parts > 1 {
            failure.message = format!("part {} of {}: {}", index + 1, self.parts, failure.message);
        }
        match self.rest_hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// Says how to submit the rest, where a part of it was submitted.
    fn rest_hint(&self) -> Option<String> {
        let line = self.state.next_line.get()?;
        (!self.state.created.borrow().is_empty()).then(|| self.rest.hint(line))
    }

    fn report_end(&self, requests: u64, reporter: &Reporter) {
        if !Progress::is_wanted(reporter) {
            return;
        }
        reporter.notice(&format!("{requests} requests submitted"));
        let created = self.state.created.borrow();
        match created.as_slice() {
            [id] => reporter.hint(&format!("run 'qwen-batch wait {id}'")),
            ids => reporter.hint(&format!(
                "wait for each with 'qwen-batch wait ID', then run 'qwen-batch fetch {} -o OUT'",
                ids.join(" ")
            )),
        }
    }

    fn report_interrupt(&self, reporter: &Reporter) {
        let created = self.state.created.borrow().len();
        if self.parts > 1 {
            reporter.notice(&format!("{created} of {} parts submitted", self.parts));
        }
        if self.state.is_creating.get() {
            reporter.notice("interrupted while a batch was being created");
            reporter.hint("see with 'qwen-batch list' whether it was");
        }
        if let Some(hint) = self.rest_hint() {
            reporter.hint(&hint);
        }
    }
}

/// Why there is no batch.
enum Uncreated {
    /// It was not created.
    Surely(Failure),
    /// Nobody knows: its input must stay.
    Perhaps(Failure),
}

/// True for the words of a refusal that is about how many files the account keeps.
fn says_too_many_files(words: &str) -> bool {
    let words = words.to_lowercase();
    let says = |any: &[&str]| any.iter().any(|said| words.contains(said));
    says(&[
        "quota for files",
        "number of files",
        "too many files",
        "file quota",
    ]) || (words.contains("files") && says(&["maximum is", "limit is reached", "limit reached"]))
}

/// The failure of an upload for which there is no room beside the files that are there.
fn too_many_files(failure: Failure) -> Failure {
    Failure::new(Exit::Unavailable, failure.message)
        .hint("delete files that no batch needs any more: the provider keeps only so many")
}

/// True for a refusal of metadata, or of the member that is added to it here.
fn refuses_metadata(error: &RequestError, words: &str) -> bool {
    let words = words.to_lowercase();
    error.refuses("metadata") || words.contains("metadata") || words.contains(METADATA)
}

/// Returns the input's name without the characters that a form cannot carry.
fn upload_name(input: &Path) -> String {
    let name = input.file_name().unwrap_or_default().to_string_lossy();
    let plain: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .take(100)
        .collect();
    match plain.trim_start_matches(['-', '.']) {
        "" => "batch.jsonl".to_owned(),
        name if name.ends_with(".jsonl") => name.to_owned(),
        name => format!("{name}.jsonl"),
    }
}

fn metadata(given: &[String]) -> Result<Map<String, Value>, Failure> {
    given
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.into())),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("--metadata '{pair}': not NAME=TEXT"),
            )),
        })
        .collect()
}

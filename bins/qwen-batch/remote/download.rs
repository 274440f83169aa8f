//! `qwen-batch fetch`: downloads results.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::Reporter;

use super::api::{ApiRequest, BatchApi, validate_id};
use super::batch::Batch;
use crate::args::FetchArgs;
use crate::input::is_blank;
use crate::record::ExistingRecord;
use crate::results::{CompletedIds, IdStatus, Results};

/// The longest record that is read, in bytes.
const RECORD_LIMIT: usize = 64 << 20;

/// Runs `qwen-batch fetch`. The exit is 0 when every request was answered, else 1.
///
/// Output file and error file of the batch go into one file, as `run` writes it. Records that it has already are not
/// written again, so that an interrupted fetch can be repeated, and `run` can do the rest.
///
/// # Errors
/// 65 when the provider rejected the batch, 75 when it has not ended yet, 76 for a file that holds anything but records.
pub(crate) fn fetch(args: &FetchArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = validate_id(&args.id)?;
    let api = BatchApi::new(profile, None, &args.limits, reporter)?;
    let runtime = runtime()?;
    let batch = runtime.block_on(api.get_batch(id))?;
    if batch.status() == "failed" {
        return Err(api.client().redacted_failure(batch.rejection()));
    }
    if !batch.has_ended() {
        let message = format!("batch '{id}' has not ended: {}", batch.progress());
        return Err(Failure::new(Exit::TryAgain, message).hint(format!("run 'qwen-batch wait {id}'")));
    }
    let mut completed = CompletedIds::default();
    let results = Results::open(args.output.as_ref(), false, &mut completed, reporter)?;
    let mut download = ResultDownload {
        completed,
        results,
        succeeded: 0,
        failed: 0,
    };
    for file in batch.result_files() {
        let file = validate_id(file).map_err(|_| api.unexpected_answer("no batch"))?;
        runtime.block_on(download.file(&api, file))?;
    }
    download.results.sync()?;
    Ok(download.finish(&batch, reporter))
}

#[derive(Debug)]
struct ResultDownload {
    completed: CompletedIds,
    results: Results,
    succeeded: u64,
    failed: u64,
}

impl ResultDownload {
    /// Downloads a file and writes its records as they come.
    async fn file(&mut self, api: &BatchApi, file: &str) -> Result<(), Failure> {
        let mut response = api
            .send(ApiRequest::get(format!("/files/{file}/content")))
            .await?;
        let server = api.server();
        let (mut line, mut number) = (Vec::new(), 1);
        while let Some(chunk) = response.chunk().await.map_err(|error| {
            error
                .failure(&server)
                .hint("run the same command again: it continues where this one stopped")
        })? {
            for part in chunk.as_ref().split_inclusive(|&byte| byte == b'\n') {
                line.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    self.record(&line).map_err(|error| error.failure(file, number))?;
                    line.clear();
                    number += 1;
                } else if line.len() > RECORD_LIMIT {
                    return Err(FetchError::NotARecord.failure(file, number));
                }
            }
        }
        if !line.is_empty() {
            line.push(b'\n');
            self.record(&line).map_err(|error| error.failure(file, number))?;
        }
        Ok(())
    }

    /// Counts a record, and writes it unless the output has it already.
    fn record(&mut self, line: &[u8]) -> Result<(), FetchError> {
        if is_blank(line) {
            return Ok(());
        }
        let record = ExistingRecord::parse(line).ok_or(FetchError::NotARecord)?;
        let failed = match self.completed.register(&record.custom_id) {
            IdStatus::New => {
                self.results.write(line).map_err(FetchError::Write)?;
                record.failed
            }
            IdStatus::Completed { failed } => failed,
            IdStatus::Duplicate => return Ok(()),
        };
        self.failed += u64::from(failed);
        self.succeeded += u64::from(!failed);
        Ok(())
    }

    /// Prints what is missing, and how to continue.
    fn finish(&self, batch: &Batch, reporter: &Reporter) -> Exit {
        let done = self.succeeded + self.failed;
        let missing = batch.counts().total.saturating_sub(done);
        let is_completed = batch.status() == "completed";
        if is_completed && missing == 0 && self.failed == 0 {
            return Exit::Ok;
        }
        let mut text = format!("{done} done");
        for (count, what) in [(self.failed, "failed"), (missing, "not done")] {
            if count > 0 {
                text.push_str(&format!(", {count} {what}"));
            }
        }
        if !is_completed {
            text = format!("the batch is {}: {text}", batch.status());
        }
        reporter.notice(&text);
        if matches!(self.results, Results::File(_)) {
            reporter.hint("send the rest from here: 'qwen-batch run IN -o OUT --retry-failed'");
        }
        Exit::No
    }
}

enum FetchError {
    NotARecord,
    Write(Failure),
}

impl FetchError {
    fn failure(self, file: &str, number: u64) -> Failure {
        match self {
            Self::NotARecord => Failure::new(Exit::Protocol, format!("{file}:{number}: not a result")),
            Self::Write(failure) => failure,
        }
    }
}

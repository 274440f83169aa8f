//! Getting the results.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::Reporter;

use super::api::{Errand, Office, checked};
use super::batch::Batch;
use crate::args::FetchArgs;
use crate::line::is_blank;
use crate::record;
use crate::results::{Known, Results, Seen};

/// The longest result that is read, in bytes.
const RESULT_LIMIT: usize = 64 << 20;

/// Runs `qwen-batch fetch`. The exit is 0 when every request was answered, 1 when some were not.
///
/// The results of those that were answered and of those that were not go into one file, as `run` writes it. What that
/// file has already is not written again, so that a fetch that broke can be repeated, and `run` can do the rest.
///
/// # Errors
/// 65 when the provider did not take the batch, 75 when it has not ended yet, 76 for a file that holds no results.
pub(crate) fn fetch(args: &FetchArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = checked(&args.id)?;
    let office = Office::open(profile, None, &args.limits, reporter)?;
    let runtime = runtime()?;
    let batch = runtime.block_on(office.batch(Errand::get(format!("/batches/{id}"))))?;
    if batch.status() == "failed" {
        return Err(batch.refusal());
    }
    if !batch.has_ended() {
        let words = batch.words();
        return Err(
            Failure::new(Exit::TryAgain, format!("batch '{id}' has not ended: {words}"))
                .hint(format!("run 'qwen-batch wait {id}'")),
        );
    }
    let mut seen = Seen::default();
    let results = Results::open(args.output.as_ref(), false, &mut seen, reporter)?;
    let mut harvest = Harvest {
        seen,
        results,
        answered: 0,
        failed: 0,
    };
    for file in batch.result_files() {
        let file = checked(file).map_err(|_| office.not_understood("no batch"))?;
        runtime.block_on(harvest.gather(&office, file))?;
    }
    harvest.results.sync()?;
    Ok(harvest.conclude(&batch, reporter))
}

/// What has been gathered.
#[derive(Debug)]
struct Harvest {
    seen: Seen,
    results: Results,
    answered: u64,
    failed: u64,
}

impl Harvest {
    /// Gathers the results of one file, line by line as they come.
    async fn gather(&mut self, office: &Office, file: &str) -> Result<(), Failure> {
        let mut response = office.run(Errand::get(format!("/files/{file}/content"))).await?;
        let server = office.server();
        let (mut rest, mut number) = (Vec::new(), 0);
        while let Some(chunk) = response.chunk().await.map_err(|error| {
            error
                .failure(&server)
                .hint("run the same command again: it goes on where this one stopped")
        })? {
            let mut chunk = chunk.as_ref();
            while let Some(end) = chunk.iter().position(|&byte| byte == b'\n') {
                rest.extend_from_slice(&chunk[..=end]);
                chunk = &chunk[end + 1..];
                number += 1;
                self.keep(&rest).map_err(|why| why.failure(file, number))?;
                rest.clear();
            }
            rest.extend_from_slice(chunk);
            if rest.len() > RESULT_LIMIT {
                return Err(Strange::Result.failure(file, number + 1));
            }
        }
        if !rest.is_empty() {
            rest.push(b'\n');
            self.keep(&rest).map_err(|why| why.failure(file, number + 1))?;
        }
        Ok(())
    }

    fn keep(&mut self, line: &[u8]) -> Result<(), Strange> {
        if is_blank(line) {
            return Ok(());
        }
        let result = record::read(line).ok_or(Strange::Result)?;
        let failed = match self.seen.meet(&result.custom_id) {
            Known::New => {
                self.results.write(line).map_err(Strange::Write)?;
                result.failed
            }
            Known::Done { failed } => failed,
            Known::Twice => return Ok(()),
        };
        self.failed += u64::from(failed);
        self.answered += u64::from(!failed);
        Ok(())
    }

    /// Says what is missing, and how to go on.
    fn conclude(&self, batch: &Batch, reporter: &Reporter) -> Exit {
        let missing = batch.counts().total.saturating_sub(self.answered + self.failed);
        let is_whole = batch.status() == "completed" && missing == 0;
        if is_whole && self.failed == 0 {
            return Exit::Ok;
        }
        let mut words = format!("{} done", self.answered + self.failed);
        for (count, what) in [(self.failed, "failed"), (missing, "not done")] {
            if count > 0 {
                words.push_str(&format!(", {count} {what}"));
            }
        }
        if batch.status() != "completed" {
            words = format!("the batch is {}: {words}", batch.status());
        }
        reporter.notice(&words);
        if matches!(self.results, Results::Kept(_)) {
            reporter.hint("ask the rest from here: 'qwen-batch run IN -o OUT --retry-failed'");
        }
        Exit::No
    }
}

/// Why a line was not kept.
enum Strange {
    /// It is no result.
    Result,
    /// It could not be written.
    Write(Failure),
}

impl Strange {
    fn failure(self, file: &str, number: u64) -> Failure {
        match self {
            Self::Result => Failure::new(Exit::Protocol, format!("{file}:{number}: not a result")),
            Self::Write(failure) => failure,
        }
    }
}

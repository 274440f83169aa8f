//! Waiting for a batch to end.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::Reporter;

use super::api::{Errand, Office, checked};
use super::batch::Batch;
use super::show::print;
use crate::args::WaitArgs;
use crate::progress::Progress;

/// The first pause between two questions, and the longest. A batch takes minutes to a day.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs `qwen-batch wait`. The exit is 0 when every request was answered, 1 when some were not.
///
/// # Errors
/// 65 when the provider did not take the batch, 75 when it has not ended in the time that was given.
pub(crate) fn wait(args: &WaitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = checked(&args.status.id)?;
    let office = Office::open(profile, None, &args.status.shown.limits, reporter)?;
    let batch = runtime()?.block_on(ended(&office, id, args, reporter))?;
    print(&batch, args.status.shown.format)?;
    if batch.status() == "failed" {
        return Err(batch.refusal());
    }
    let is_good = batch.status() == "completed" && batch.counts().failed == 0;
    Ok(if is_good { Exit::Ok } else { Exit::No })
}

/// Asks until the batch has ended, as long as there is time for it.
async fn ended(office: &Office, id: &str, args: &WaitArgs, reporter: &Reporter) -> Result<Batch, Failure> {
    let mut words = "not heard of yet".to_owned();
    let asking = asked(office, id, args, reporter, &mut words);
    let Some(limit) = args.timeout else {
        return asking.await;
    };
    match tokio::time::timeout(limit, asking).await {
        Ok(batch) => batch,
        Err(_) => Err(Failure::new(
            Exit::TryAgain,
            format!(
                "batch '{id}' has not ended within {} s: {words}",
                limit.as_secs_f64()
            ),
        )),
    }
}

/// Asks until the batch has ended. A server that is away for a while is waited for.
async fn asked(
    office: &Office,
    id: &str,
    args: &WaitArgs,
    reporter: &Reporter,
    words: &mut String,
) -> Result<Batch, Failure> {
    let progress = Progress::start(reporter, None);
    let mut pause = args.interval.unwrap_or(FIRST_PAUSE);
    loop {
        match office.batch(Errand::get(format!("/batches/{id}"))).await {
            Ok(batch) if batch.has_ended() => return Ok(batch),
            Ok(batch) => *words = batch.words(),
            Err(failure) if failure.exit == Exit::TryAgain => {
                progress.aside(|reporter| reporter.notice(&format!("{failure}; still waiting")));
            }
            Err(failure) => return Err(failure),
        }
        doze(&progress, words, pause).await;
        if args.interval.is_none() {
            pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
        }
    }
}

/// Sleeps, with a clock that goes on where somebody sees it.
async fn doze(progress: &Progress, words: &str, pause: Duration) {
    progress.remark(words);
    let end = tokio::time::Instant::now() + pause;
    while progress.is_shown() && tokio::time::Instant::now() + Progress::rhythm() < end {
        tokio::time::sleep(Progress::rhythm()).await;
        progress.tick();
    }
    tokio::time::sleep_until(end).await;
}

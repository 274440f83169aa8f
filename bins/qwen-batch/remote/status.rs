//! Status and list of batches, waiting for one, and cancelling it.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};

use super::api::{ApiRequest, BatchApi, hint_at_run, validate_id};
use super::batch::Batch;
use crate::args::{Format, ListArgs, StatusArgs, WaitArgs};
use crate::progress::Progress;

/// The most batches that providers list in one answer.
const PAGE: u32 = 100;
/// The pauses of `wait`: the first one, and the longest. A batch takes minutes to a day.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Runs `qwen-batch status`.
///
/// # Errors
/// 69 when there is no such batch.
pub(crate) fn status(args: &StatusArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = validate_id(&args.id)?;
    let api = BatchApi::new(profile, None, &args.show.limits, reporter)?;
    let batch = runtime()?.block_on(api.get_batch(id))?;
    print(&batch, args.show.format)
}

/// Runs `qwen-batch cancel`.
///
/// # Errors
/// 69 when there is no such batch, 65 when it has ended already.
pub(crate) fn cancel(args: &StatusArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = validate_id(&args.id)?;
    let api = BatchApi::new(profile, None, &args.show.limits, reporter)?;
    let batch = runtime()?.block_on(api.batch(ApiRequest::post(format!("/batches/{id}/cancel"))))?;
    print(&batch, args.show.format)
}

/// Runs `qwen-batch list`.
///
/// # Errors
/// 69 where the provider has no Batch API.
pub(crate) fn list(args: &ListArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let api = BatchApi::new(profile, None, &args.show.limits, reporter)?;
    runtime()?.block_on(list_pages(&api, args)).map_err(hint_at_run)?;
    Ok(Exit::Ok)
}

async fn list_pages(api: &BatchApi, args: &ListArgs) -> Result<(), Failure> {
    let mut left = args.limit;
    let mut after: Option<String> = None;
    while left > 0 {
        let mut request = ApiRequest::get("/batches").query("limit", left.min(PAGE).to_string());
        if let Some(after) = &after {
            request = request.query("after", after.clone());
        }
        let page = api.json(request).await?;
        let Some(data) = page["data"].as_array() else {
            return Err(api.unexpected_answer("no list"));
        };
        let batches: Vec<Batch> = data.iter().cloned().filter_map(Batch::from_json).collect();
        for batch in batches.iter().take(left as usize) {
            let line = match args.show.format {
                Format::Text => batch.to_row(),
                Format::Json => batch.to_json(),
            };
            Stdout::write(line.as_bytes())?;
        }
        left = left.saturating_sub(u32::try_from(batches.len()).unwrap_or(u32::MAX));
        let last = batches.last().map(|batch| batch.id().to_owned());
        if page["has_more"].as_bool() != Some(true) || last.is_none() || last == after {
            return Ok(());
        }
        after = last;
    }
    Ok(())
}

fn print(batch: &Batch, format: Format) -> Outcome {
    let text = match format {
        Format::Text => batch.to_text(),
        Format::Json => batch.to_json(),
    };
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// Runs `qwen-batch wait`. The exit is 0 when every request was answered, else 1.
///
/// # Errors
/// 65 when the provider rejected the batch, 75 when it has not ended in time.
pub(crate) fn wait(args: &WaitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = validate_id(&args.status.id)?;
    let api = BatchApi::new(profile, None, &args.status.show.limits, reporter)?;
    let batch = runtime()?.block_on(wait_until_ended(&api, id, args, reporter))?;
    print(&batch, args.status.show.format)?;
    if batch.status() == "failed" {
        return Err(api.client().redacted_failure(batch.rejection()));
    }
    let is_good = batch.status() == "completed" && batch.counts().failed == 0;
    Ok(if is_good { Exit::Ok } else { Exit::No })
}

async fn wait_until_ended(
    api: &BatchApi,
    id: &str,
    args: &WaitArgs,
    reporter: &Reporter,
) -> Result<Batch, Failure> {
    let mut state = "its status is unknown".to_owned();
    let polling = poll(api, id, args, reporter, &mut state);
    let Some(limit) = args.timeout else {
        return polling.await;
    };
    match tokio::time::timeout(limit, polling).await {
        Ok(batch) => batch,
        Err(_) => {
            let seconds = limit.as_secs_f64();
            let message = format!("batch '{id}' has not ended within {seconds} s: {state}");
            Err(Failure::new(Exit::TryAgain, message))
        }
    }
}

/// Polls until the batch has ended, also while the server is unavailable.
async fn poll(
    api: &BatchApi,
    id: &str,
    args: &WaitArgs,
    reporter: &Reporter,
    state: &mut String,
) -> Result<Batch, Failure> {
    let progress = Progress::spinner(reporter);
    let mut pause = args.interval.unwrap_or(FIRST_PAUSE);
    loop {
        match api.get_batch(id).await {
            Ok(batch) if batch.has_ended() => return Ok(batch),
            Ok(batch) => *state = batch.progress(),
            Err(failure) if failure.exit == Exit::TryAgain => {
                progress.suspend(|reporter| reporter.notice(&format!("{failure}; still waiting")));
            }
            Err(failure) => return Err(failure),
        }
        progress.set_message(state);
        tokio::time::sleep(pause).await;
        if args.interval.is_none() {
            pause = pause.mul_f64(1.5).min(LONGEST_PAUSE);
        }
    }
}

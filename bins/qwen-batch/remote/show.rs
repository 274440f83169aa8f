//! Looking at batches, and stopping one.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};

use super::api::{Errand, Office, checked, without_engine};
use super::batch::Batch;
use crate::args::{Format, ListArgs, StatusArgs};

/// The most batches that providers name at once.
const PAGE: u32 = 100;

/// Runs `qwen-batch status`.
///
/// # Errors
/// 69 when there is no such batch.
pub(crate) fn status(args: &StatusArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = checked(&args.id)?;
    let office = Office::open(profile, None, &args.shown.limits, reporter)?;
    let batch = runtime()?.block_on(office.batch(Errand::get(format!("/batches/{id}"))))?;
    print(&batch, args.shown.format)
}

/// Runs `qwen-batch cancel`.
///
/// # Errors
/// 69 when there is no such batch, 65 when it has ended already.
pub(crate) fn cancel(args: &StatusArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let id = checked(&args.id)?;
    let office = Office::open(profile, None, &args.shown.limits, reporter)?;
    let batch = runtime()?.block_on(office.batch(Errand::post(format!("/batches/{id}/cancel"))))?;
    print(&batch, args.shown.format)
}

/// Runs `qwen-batch list`.
///
/// # Errors
/// 69 where the provider has no batch engine.
pub(crate) fn list(args: &ListArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let office = Office::open(profile, None, &args.shown.limits, reporter)?;
    runtime()?
        .block_on(pages(&office, args))
        .map_err(without_engine)?;
    Ok(Exit::Ok)
}

/// Prints page after page.
async fn pages(office: &Office, args: &ListArgs) -> Result<(), Failure> {
    let mut left = args.limit;
    let mut after: Option<String> = None;
    while left > 0 {
        let count = left.min(PAGE);
        let mut errand = Errand::get("/batches").with("limit", count.to_string());
        if let Some(after) = &after {
            errand = errand.with("after", after.clone());
        }
        let page = office.json(errand).await?;
        let Some(list) = page["data"].as_array() else {
            return Err(office.not_understood("no list"));
        };
        let batches: Vec<Batch> = list.iter().cloned().filter_map(Batch::from_json).collect();
        for batch in batches.iter().take(left as usize) {
            Stdout::write(row(batch, args.shown.format).as_bytes())?;
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

/// Prints one batch.
///
/// # Errors
/// 74.
pub(crate) fn print(batch: &Batch, format: Format) -> Outcome {
    let text = match format {
        Format::Text => batch.to_text(),
        Format::Json => batch.to_json(),
    };
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

fn row(batch: &Batch, format: Format) -> String {
    match format {
        Format::Text => batch.to_row(),
        Format::Json => batch.to_json(),
    }
}

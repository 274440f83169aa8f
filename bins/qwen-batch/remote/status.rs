//! Status and list of batches, and cancelling one.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::runtime;
use qwen_shared::output::{Reporter, Stdout};

use super::api::{ApiRequest, BatchApi, RequestError, hint_at_run, validate_id};
use super::batch::{Batch, State};
use super::batch_list::BatchList;
use crate::args::{Format, ListArgs, StatusArgs};

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
    let batch = runtime()?.block_on(cancelled(&api, id))?;
    print(&batch, args.show.format)
}

/// Cancels a batch. Where no answer says so, the batch is looked at: it may be cancelled all the same.
async fn cancelled(api: &BatchApi, id: &str) -> Result<Batch, Failure> {
    let request = ApiRequest::post(format!("/batches/{id}/cancel"));
    let error = match api.ask(&request, Batch::read).await {
        Ok(batch) => return Ok(batch),
        Err(error) => error,
    };
    if matches!(error, RequestError::Odd(_)) || error.may_pass() {
        let look = ApiRequest::get(format!("/batches/{id}"));
        if let Ok(batch) = api.ask(&look, Batch::read).await
            && is_cancelled(&batch)
        {
            return Ok(batch);
        }
    }
    Err(api.failure(error))
}

fn is_cancelled(batch: &Batch) -> bool {
    batch.state() == State::Cancelled || batch.status().to_ascii_lowercase().starts_with("cancel")
}

/// Runs `qwen-batch list`.
///
/// # Errors
/// 69 where the provider has no Batch API; 76 where it does not give the whole list.
pub(crate) fn list(args: &ListArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let api = BatchApi::new(profile, None, &args.show.limits, reporter)?;
    runtime()?.block_on(print_list(&api, args))
}

async fn print_list(api: &BatchApi, args: &ListArgs) -> Outcome {
    let mut list = BatchList::new(api);
    let mut left = args.limit;
    while left > 0 {
        let page = list.next_page(left).await;
        let Some(batches) = page.map_err(|error| hint_at_run(api.failure(error)))? else {
            break;
        };
        for batch in batches.iter().take(left as usize) {
            let line = match args.show.format {
                Format::Text => batch.to_row(),
                Format::Json => batch.to_json(),
            };
            Stdout::write(line.as_bytes())?;
        }
        left = left.saturating_sub(u32::try_from(batches.len()).unwrap_or(u32::MAX));
    }
    if left > 0 && list.is_cut {
        let message = format!(
            "'{}': the list is not whole: it is said to go on, and the next page brings nothing new",
            api.server()
        );
        return Err(Failure::new(Exit::Protocol, message));
    }
    Ok(Exit::Ok)
}

/// Prints a batch.
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

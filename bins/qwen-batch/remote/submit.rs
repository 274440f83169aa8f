//! `qwen-batch submit`: uploads the input and creates a batch of it.

use std::path::Path;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::{Upload, runtime};
use qwen_shared::output::{Reporter, Stdout};
use serde_json::{Map, Value, json};

use super::api::{ApiRequest, BatchApi, hint_at_run, validate_id};
use super::staged_input::StagedInput;
use crate::args::SubmitArgs;
use crate::input::Input;
use crate::progress::Progress;
use crate::request::RequestBuilder;

/// Runs `qwen-batch submit`.
///
/// # Errors
/// 65 for malformed lines, before anything is sent; 69 where the provider has no Batch API.
pub(crate) fn submit(args: &SubmitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let metadata = metadata(&args.metadata)?;
    let input = Input::open(Some(&args.input))?;
    let api = BatchApi::new(profile, args.request.model.as_ref(), &args.limits, reporter)?;
    let endpoint = api.client().endpoint();
    let settings = endpoint.settings();
    let provider = settings.provider.value;
    let Some(limits) = &provider.batch else {
        let message = format!("provider '{provider}' has no Batch API");
        return Err(hint_at_run(Failure::new(Exit::Unavailable, message)));
    };
    let builder = RequestBuilder::new(&args.request, &settings.model.value, &settings.body)?;
    let staged = StagedInput::new(input, &builder, limits, reporter)?;
    let requests = staged.requests;
    let name = upload_name(&args.input);
    let id = runtime()?.block_on(create_batch(&api, staged, &name, &args.window, metadata))?;
    Stdout::write(format!("{id}\n").as_bytes())
        .map_err(|failure| failure.hint(format!("the batch was created: '{id}'")))?;
    if Progress::is_wanted(reporter) {
        reporter.notice(&format!("{requests} requests submitted"));
        reporter.hint(&format!("run 'qwen-batch wait {id}'"));
    }
    Ok(Exit::Ok)
}

/// Uploads the file, then creates the batch; returns its ID.
async fn create_batch(
    api: &BatchApi,
    staged: StagedInput,
    name: &str,
    window: &str,
    metadata: Map<String, Value>,
) -> Result<String, Failure> {
    let form = Upload::form(&[("purpose", "batch")], name, staged.file, staged.length);
    let file = api
        .json(ApiRequest::upload("/files", form))
        .await
        .map_err(hint_at_run)?;
    let file = file["id"].as_str().unwrap_or_default();
    let file = validate_id(file).map_err(|_| api.unexpected_answer("no file"))?;
    let mut body = json!({
        "input_file_id": file,
        "endpoint": staged.url,
        "completion_window": window,
    });
    if !metadata.is_empty() {
        body["metadata"] = metadata.into();
    }
    match api.batch(ApiRequest::create("/batches", body)).await {
        Ok(batch) => Ok(batch.id().to_owned()),
        Err(failure) => {
            // A file without a batch is of no use.
            let _ = api.send(ApiRequest::delete(format!("/files/{file}"))).await;
            Err(match failure.exit {
                // Whether the batch was created is not known.
                Exit::TryAgain | Exit::Protocol => {
                    failure.hint("check with 'qwen-batch list' whether the batch was created")
                }
                _ => hint_at_run(failure),
            })
        }
    }
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

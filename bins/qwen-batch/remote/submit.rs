//! Handing a file in.

use std::path::Path;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::http::{Upload, runtime};
use qwen_shared::output::{Reporter, Stdout};
use serde_json::{Map, Value, json};

use super::api::{Errand, Office, checked, without_engine};
use super::prepare::{Prepared, prepare};
use crate::args::SubmitArgs;
use crate::input::Input;
use crate::progress::Progress;
use crate::template::Shape;

/// Runs `qwen-batch submit`.
///
/// # Errors
/// 65 for malformed lines, before anything is sent; 69 where the provider has no batch engine.
pub(crate) fn submit(args: &SubmitArgs, profile: Option<&String>, reporter: &Reporter) -> Outcome {
    let metadata = metadata(&args.metadata)?;
    let input = Input::open(Some(&args.input))?;
    let office = Office::open(profile, args.request.model.as_ref(), &args.limits, reporter)?;
    let settings = office.door().settings();
    let provider = settings.provider.value;
    let Some(limits) = &provider.batch else {
        return Err(Failure::new(
            Exit::Unavailable,
            format!("provider '{provider}' has no batch engine"),
        )
        .hint("ask from here: 'qwen-batch run IN -o OUT'"));
    };
    let shape = Shape::new(&args.request, &settings.model.value, &settings.body)?;
    let prepared = prepare(input, &shape, limits, reporter)?;
    let questions = prepared.questions;
    let name = file_name(&args.input);
    let id = runtime()?.block_on(hand_in(&office, prepared, &name, &args.window, metadata))?;
    Stdout::write(format!("{id}\n").as_bytes())
        .map_err(|failure| failure.hint(format!("the batch has been made all the same: '{id}'")))?;
    if Progress::is_wanted(reporter) {
        reporter.notice(&format!("{questions} questions handed in"));
        reporter.hint(&format!("run 'qwen-batch wait {id}'"));
    }
    Ok(Exit::Ok)
}

/// Hands in the file, then makes the batch of it; returns the batch's ID.
async fn hand_in(
    office: &Office,
    prepared: Prepared,
    name: &str,
    window: &str,
    metadata: Map<String, Value>,
) -> Result<String, Failure> {
    let form = Upload::form(&[("purpose", "batch")], name, prepared.file, prepared.length);
    let file = office
        .json(Errand::upload("/files", form))
        .await
        .map_err(without_engine)?;
    let Some(file) = file["id"].as_str() else {
        return Err(office.not_understood("no file"));
    };
    let file = checked(file).map_err(|_| office.not_understood("no file"))?;
    let mut order = json!({
        "input_file_id": file,
        "endpoint": prepared.path,
        "completion_window": window,
    });
    if !metadata.is_empty() {
        order["metadata"] = metadata.into();
    }
    match office.batch(Errand::make("/batches", order)).await {
        Ok(batch) => Ok(batch.id().to_owned()),
        Err(failure) => {
            // A file without a batch is of no use to anybody.
            let _ = office.run(Errand::delete(format!("/files/{file}"))).await;
            Err(match failure.exit {
                // An answer that was lost does not tell.
                Exit::TryAgain | Exit::Protocol => {
                    failure.hint("see whether it was made all the same: 'qwen-batch list'")
                }
                _ => without_engine(failure),
            })
        }
    }
}

/// Names the file at the provider: as it is named here, but for what a form cannot carry.
fn file_name(input: &Path) -> String {
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

fn metadata(typed: &[String]) -> Result<Map<String, Value>, Failure> {
    typed
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.into())),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("--metadata '{word}': not NAME=TEXT"),
            )),
        })
        .collect()
}

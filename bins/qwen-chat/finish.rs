//! What an answer is worth: what is said about it, and how the program ends.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::chat::FinishReason;
use qwen_shared::output::Reporter;
use qwen_shared::text::clip;
use serde_json::Value;

use super::args::OutputArgs;
use super::client::Answered;
use super::extract::Extractor;
use super::output::{Report, cost};

/// Ends the answer on stdout, says what there is to say, and decides the exit.
///
/// # Errors
/// What kept the answer from being whole; 65 when it does not fit the schema, 76 when it is a tool call that nobody
/// asked for.
pub(crate) fn conclude(
    answered: &mut Answered,
    args: &OutputArgs,
    wanted: Option<&Value>,
    reporter: &Reporter,
) -> Outcome {
    let mut failure = answered.failure.take();
    if failure.is_none() {
        failure = unfit(answered, wanted).err();
    }
    let report = Report {
        summary: &answered.summary,
        attempts: answered.attempts,
        elapsed: answered.elapsed,
        error: failure.as_ref(),
    };
    if report.error.is_some() {
        answered.output.fail(&report)?;
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let exit = answered.output.end(&report)?;
    if args.usage {
        reporter.notice(&cost(&answered.summary, answered.elapsed));
    }
    Ok(match worth(answered, reporter) {
        Exit::No if args.strict => Exit::No,
        _ => exit,
    })
}

/// Finds what is wrong with an answer that came whole.
fn unfit(answered: &mut Answered, wanted: Option<&Value>) -> Result<(), Failure> {
    let summary = &answered.summary;
    if matches!(&summary.finish_reason, Some(FinishReason::Other(word)) if word == "error") {
        return Err(Failure::new(
            Exit::Protocol,
            "the server ended the answer by an error that it does not name",
        ));
    }
    if let (Some(call), false) = (summary.tool_calls.first(), answered.output.is_for_machines()) {
        let message = format!("the model calls a tool, '{}', though none was offered", call.name);
        return Err(Failure::new(Exit::Protocol, message).hint("--json shows the call"));
    }
    let is_cut = summary.finish_reason.as_ref().is_some_and(FinishReason::is_cut);
    let Some(schema) = wanted else {
        return Ok(());
    };
    let text = unfenced(answered.output.text.as_deref().unwrap_or_default());
    let checked = check(&text, schema);
    answered.output.text = Some(text);
    checked.map_err(|failure| {
        if is_cut {
            failure.hint("the answer was cut; raise --max-tokens")
        } else {
            failure
        }
    })
}

/// Says what a user ought to know about a whole answer; `No` when it was cut.
fn worth(answered: &Answered, reporter: &Reporter) -> Exit {
    let summary = &answered.summary;
    match &summary.finish_reason {
        Some(FinishReason::Length) => {
            reporter.notice("the answer is cut: it reached the limit of tokens (finish_reason 'length')");
            return Exit::No;
        }
        Some(FinishReason::ContentFilter) => {
            reporter.notice("the answer is cut: by the provider's filter (finish_reason 'content_filter')");
            return Exit::No;
        }
        _ if !summary.has_text && summary.tool_calls.is_empty() => reporter.notice("the answer is empty"),
        _ => {}
    }
    Exit::Ok
}

/// The most faults that a message names.
const NAMED: usize = 3;

/// The longest description of a fault, in characters: it quotes what does not fit.
const FAULT: usize = 200;

/// Returns the JSON text of an answer: without the code fence that some models put around it.
pub(crate) fn unfenced(text: &str) -> String {
    let trimmed = text.trim();
    if trimmed.starts_with("```") {
        let mut code = String::new();
        let mut extractor = Extractor::default();
        extractor.push(trimmed, &mut |line| code.push_str(line));
        extractor.end(&mut |line| code.push_str(line));
        return code.trim().to_owned();
    }
    trimmed.to_owned()
}

/// Checks an answer.
///
/// # Errors
/// 65 when it is not JSON or does not fit.
pub(crate) fn check(text: &str, schema: &Value) -> Result<(), Failure> {
    let answer: Value = serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Data, format!("the answer is not JSON: {error}")))?;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Failure::new(Exit::Data, format!("not a JSON schema: {error}")))?;
    let faults: Vec<String> = validator
        .iter_errors(&answer)
        .take(NAMED)
        .map(|fault| {
            let place = fault.instance_path().to_string();
            let place = if place.is_empty() {
                "the whole".to_owned()
            } else {
                place
            };
            clip(&format!("{place}: {fault}"), FAULT)
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Data,
        format!("the answer does not fit the schema: {}", faults.join("; ")),
    ))
}

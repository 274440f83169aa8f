//! The end of an answer: validation, notices and exit status.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::chat::{FinishReason, Meaning};
use qwen_shared::output::Reporter;
use qwen_shared::text::{clip, one_line};
use serde_json::Value;

use super::args::OutputArgs;
use super::call::Response;
use super::extract::Extractor;
use super::output::Report;
use super::usage::usage_line;

/// Ends the answer on stdout, reports what the user should know about it, and decides the exit.
///
/// # Errors
/// Why the answer is incomplete; 65 when it does not match the schema, 76 when it is a tool call.
pub(crate) fn finish(
    response: &mut Response,
    args: &OutputArgs,
    schema: Option<&Value>,
    reporter: &Reporter,
) -> Outcome {
    let mut failure = response.failure.take();
    if failure.is_none() {
        failure = validate(response, schema).err();
    }
    let report = Report {
        summary: &response.summary,
        attempts: response.attempts,
        elapsed: response.elapsed,
        error: failure.as_ref(),
    };
    if report.error.is_some() {
        response.output.fail(&report)?;
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    let exit = response.output.end(&report)?;
    if args.usage {
        reporter.notice(&usage_line(&response.summary, response.elapsed));
    }
    Ok(match exit_status(response, reporter) {
        Exit::No if args.strict => Exit::No,
        _ => exit,
    })
}

/// Validates a complete answer.
fn validate(response: &mut Response, schema: Option<&Value>) -> Result<(), Failure> {
    let summary = &response.summary;
    if let (Some(call), false) = (summary.tool_calls.first(), response.output.is_json_output()) {
        let message = format!("the model calls a tool, '{}', though none was offered", call.name);
        return Err(Failure::new(Exit::Protocol, message).hint("--json shows the call"));
    }
    let is_cut = summary.finish_reason.as_ref().is_some_and(FinishReason::is_cut);
    let Some(schema) = schema else {
        return Ok(());
    };
    let refused = |reason: &FinishReason| reason.meaning == Meaning::Refusal;
    if summary.is_refusal || summary.finish_reason.as_ref().is_some_and(refused) {
        let words = clip(
            &one_line(response.output.text.as_deref().unwrap_or_default()),
            MAX_ERROR,
        );
        return Err(Failure::new(
            Exit::Data,
            format!("the model refused to answer: '{}'", words.trim()),
        ));
    }
    let text = strip_fence(response.output.text.as_deref().unwrap_or_default());
    let checked = check_schema(&text, schema);
    response.output.text = Some(text);
    checked.map_err(|failure| {
        if is_cut {
            failure.hint("the answer was cut; raise --max-tokens")
        } else {
            failure
        }
    })
}

/// Reports what is doubtful about a complete answer; `No` when anything is.
fn exit_status(response: &Response, reporter: &Reporter) -> Exit {
    let reasoning = response
        .output
        .has_shown_reasoning
        .then_some("the answer began with reasoning, which ended at a closing tag alone");
    let caveats = response
        .summary
        .caveats
        .iter()
        .map(String::as_str)
        .chain(reasoning);
    let mut exit = Exit::Ok;
    for caveat in caveats {
        reporter.notice(caveat);
        exit = Exit::No;
    }
    if reasoning.is_some() {
        reporter.hint("set \"reasoning\": \"open\" in the profile, for models that begin in thought");
    }
    exit
}

/// The most validation errors that a message names.
const MAX_ERRORS: usize = 3;

/// The longest validation error, in characters: it quotes the answer.
const MAX_ERROR: usize = 200;

/// Returns the JSON text of an answer: without the code fence that some models put around it.
pub(crate) fn strip_fence(text: &str) -> String {
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

/// Checks an answer against a schema.
///
/// # Errors
/// 65 when it is not JSON or does not fit.
pub(crate) fn check_schema(text: &str, schema: &Value) -> Result<(), Failure> {
    let answer: Value = serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Data, format!("the answer is not JSON: {error}")))?;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Failure::new(Exit::Data, format!("not a JSON schema: {error}")))?;
    let errors: Vec<String> = validator
        .iter_errors(&answer)
        .take(MAX_ERRORS)
        .map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() {
                "the whole".to_owned()
            } else {
                place
            };
            clip(&format!("{place}: {error}"), MAX_ERROR)
        })
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Data,
        format!("the answer does not fit the schema: {}", errors.join("; ")),
    ))
}

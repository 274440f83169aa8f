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
use super::schema;
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
        reporter,
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
    let cut = summary.finish_reason.as_ref().and_then(hint_when_cut);
    let Some(schema) = schema else {
        return Ok(());
    };
    let refused = |reason: &FinishReason| reason.meaning == Meaning::Refusal;
    if summary.is_refusal || summary.finish_reason.as_ref().is_some_and(refused) {
        let words = clip(
            &one_line(response.output.text.as_deref().unwrap_or_default()),
            QUOTED,
        );
        return Err(Failure::new(
            Exit::Data,
            format!("the model refused to answer: '{}'", words.trim()),
        ));
    }
    let text = strip_fence(response.output.text.as_deref().unwrap_or_default());
    let checked = schema::check(&text, schema);
    response.output.text = Some(text);
    checked.map_err(|failure| match cut {
        Some(hint) => failure.hint(hint),
        None => failure,
    })
}

/// Says what to do about an answer that was cut, and may not fit its schema for that reason.
const fn hint_when_cut(reason: &FinishReason) -> Option<&'static str> {
    match reason.meaning {
        Meaning::Limit => Some("the answer was cut at its limit; raise --max-tokens"),
        Meaning::Filter => Some("the provider's filter cut the answer; word the question another way"),
        Meaning::Repetition => Some("the model repeated itself; ask again with another --temperature"),
        _ => None,
    }
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

/// The most characters of a refusal that a message quotes.
const QUOTED: usize = 200;

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

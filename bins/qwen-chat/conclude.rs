//! What an answer is worth: what is said about it, and how the program ends.

use qwen_shared::chat::FinishReason;
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::Talk;
use serde_json::Value;

use crate::asker::Answered;
use crate::cli::OutputArgs;
use crate::output::{Report, cost};
use crate::schema;

/// Ends the answer on stdout, says what there is to say, and decides the exit.
///
/// # Errors
/// What kept the answer from being whole; 65 when it does not fit the schema, 76 when it is a tool call that nobody
/// asked for.
pub(crate) fn conclude(
    answered: &mut Answered,
    args: &OutputArgs,
    wanted: Option<&Value>,
    talk: &Talk,
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
        talk.notice(&cost(&answered.summary, answered.elapsed));
    }
    Ok(match worth(answered, talk) {
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
    let text = schema::unfenced(answered.output.text.as_deref().unwrap_or_default());
    let checked = schema::check(&text, schema);
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
fn worth(answered: &Answered, talk: &Talk) -> Exit {
    let summary = &answered.summary;
    match &summary.finish_reason {
        Some(FinishReason::Length) => {
            talk.notice("the answer is cut: it reached the limit of tokens (finish_reason 'length')");
            return Exit::No;
        }
        Some(FinishReason::ContentFilter) => {
            talk.notice("the answer is cut: by the provider's filter (finish_reason 'content_filter')");
            return Exit::No;
        }
        _ if !summary.has_text && summary.tool_calls.is_empty() => talk.notice("the answer is empty"),
        _ => {}
    }
    Exit::Ok
}

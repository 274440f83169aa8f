//! The modes of the tool: conversation, list of models, dry run, one answer.

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::input::system_prompt;
use qwen_shared::net::api::take_over_logins;
use qwen_shared::net::chat::Summary;
use qwen_shared::net::http::BaseUrl;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret::forbid_core_dump;
use serde_json::Value;

use super::args::Args;
use super::call::{Response, ask};
use super::client::{connect, resolve_settings};
use super::finish::finish;
use super::message::Message;
use super::output::{Output, Report};
use super::session::{Session, with_model_of};
use super::session_document::with_system;
use crate::{conversation, dry_run, login, models, prompt, request, schema};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    forbid_core_dump();
    let left = take_over_logins(reporter);
    if args.endpoint.openai_api_key.is_some() {
        reporter.notice("the key is on the command line, where anybody on this machine can read it");
        reporter.hint("set OPENAI_API_KEY, or run 'qwen-login --api-key'");
    }
    if let Some(failed) = login::log_in_first(&args, reporter)? {
        return Ok(failed);
    }
    if is_conversation(&args) {
        return conversation::run(&args, reporter);
    }
    match send(&args, reporter) {
        Ok(Done::Printed(exit)) => Ok(exit),
        Ok(Done::Answered(answer)) => end(*answer, &args, reporter),
        Err(failure) => report_failure(&args, left.explain(failure), reporter),
    }
}

/// True without a prompt, on a terminal. Files and images alone are what a conversation is about.
fn is_conversation(args: &Args) -> bool {
    let input = &args.input;
    let has_prompt = input.prompt.is_some() || !args.words.is_empty() || input.stdin;
    let is_other_mode = args.endpoint.dry_run || args.endpoint.curl || args.endpoint.list_models;
    let is_json = args.output.json || args.output.events || args.model.schema.is_some();
    !has_prompt && !is_other_mode && !is_json && std::io::stdin().is_terminal() && Stdout::is_terminal()
}

enum Done {
    /// A list or a request was printed.
    Printed(Exit),
    Answered(Box<Answer>),
}

struct Answer {
    endpoint: BaseUrl,
    response: Response,
    schema: Option<Value>,
    session: Option<Session>,
    system: Option<String>,
    message: Message,
}

/// Does everything up to the end of the response. Nothing that fails here has written to stdout.
fn send(args: &Args, reporter: &Reporter) -> Result<Done, Failure> {
    if args.endpoint.list_models {
        let settings = resolve_settings(&args.overrides(), reporter)?;
        let client = connect(settings, &args.limits, reporter)?;
        return models::print(&client, args.output.json).map(Done::Printed);
    }
    let mut session = Session::open(args.input.session.as_deref(), args.input.continue_last)?;
    let overrides = with_model_of(session.as_ref(), args.overrides())?;
    let settings = resolve_settings(&overrides, reporter)?;
    if let Some(session) = &mut session {
        session.use_model(&settings);
    }
    if let Some(session) = &session {
        session.check_endpoint(&settings)?;
    }
    let schema = args.model.schema.as_deref().map(schema::read).transpose()?;
    let body = request::body(args, &settings, schema.as_ref())?;
    let message = prompt::message(args, reporter)?;
    let system = args.input.system.as_deref().map(system_prompt).transpose()?;
    let messages = messages(system.clone(), session.as_ref(), &message);
    if args.endpoint.dry_run {
        return dry_run::print_json(&settings, &body, &messages, reporter).map(Done::Printed);
    }
    if args.endpoint.curl {
        return dry_run::print_curl(&settings, &body, &messages, args, reporter).map(Done::Printed);
    }
    let client = connect(settings, &args.limits, reporter)?;
    let output = Output::new(&args.output, session.is_some(), schema.is_some(), reporter);
    let response = ask(&client, body, messages, output, None)?;
    Ok(Done::Answered(Box::new(Answer {
        endpoint: client.endpoint().base_url().clone(),
        response,
        schema,
        session,
        system,
        message,
    })))
}

/// Finishes the answer and adds it to the session.
fn end(mut answer: Answer, args: &Args, reporter: &Reporter) -> Outcome {
    let response = &mut answer.response;
    let exit = finish(response, &args.output, answer.schema.as_ref(), reporter)?;
    let text = response.output.answer.take().unwrap_or_default();
    // Servers refuse an empty message.
    if let (Some(session), false) = (answer.session, text.trim().is_empty()) {
        session.add(answer.system, answer.message, text, &answer.endpoint)?;
    }
    Ok(exit)
}

/// Returns the conversation so far, with the system prompt before it and the new message after it.
fn messages(system: Option<String>, session: Option<&Session>, message: &Message) -> Vec<Message> {
    let before = session
        .map(|session| session.messages().to_vec())
        .unwrap_or_default();
    let mut messages = with_system(system, before);
    messages.push(message.clone());
    messages
}

/// Reports a failure before the answer, with `--json` and `--events` also on stdout.
fn report_failure(args: &Args, failure: Failure, reporter: &Reporter) -> Outcome {
    if args.output.json || args.output.events {
        let report = Report {
            summary: &Summary::default(),
            attempts: 0,
            elapsed: Duration::ZERO,
            error: Some(&failure),
            reporter,
        };
        Output::new(&args.output, false, false, reporter).fail(&report)?;
    }
    Err(failure)
}

//! The tool itself: which of its modes was asked for, and the one-shot answer.

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::input::system_prompt;
use qwen_shared::net::chat::{Body, Message, Summary};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret::{Secret, forbid_core_dump};
use serde_json::Value;

use super::args::Args;
use super::client::{Answered, Asker};
use super::finish::conclude;
use super::output::{Output, Report};
use super::session::Session;
use crate::{conversation, dry_run, models, prompt, request};

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    forbid_core_dump();
    if args.endpoint.openai_api_key.is_some() {
        reporter.notice("the key is on the command line, where anybody on this machine can read it");
        reporter.hint("set OPENAI_API_KEY, or run 'qwen-login --api-key'");
    }
    if is_conversation(&args) {
        return conversation::run(&args, reporter);
    }
    let asked = match ask(&args, reporter) {
        Ok(asked) => asked,
        Err(failure) => return refuse(&args, failure, reporter),
    };
    match asked {
        Asked::Shown(exit) => Ok(exit),
        Asked::Answered(mut answer) => {
            let exit = conclude(
                &mut answer.answered,
                &args.output,
                answer.schema.as_ref(),
                reporter,
            )?;
            let said = answer.answered.output.said.take().unwrap_or_default();
            // An answer without a word is nothing to go on with: servers refuse an empty message.
            if let (Some(session), false) = (answer.session, said.trim().is_empty()) {
                session.add(answer.system, answer.message, said)?;
            }
            Ok(exit)
        }
    }
}

/// What was typed, as far as it decides settings.
pub(crate) fn overrides(args: &Args) -> Overrides {
    Overrides {
        profile: args.common.profile.clone(),
        api_key: args.endpoint.openai_api_key.clone().map(Secret::new),
        base_url: args.endpoint.openai_base_url.clone(),
        model: args.endpoint.model.clone(),
        profile_first: false,
    }
}

/// Resolves the settings and says what the user ought to know about them.
pub(crate) fn settings(overrides: &Overrides, reporter: &Reporter) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    settings.report(reporter);
    Ok(settings)
}

/// True when there is nothing to ask yet and a person to ask for it.
fn is_conversation(args: &Args) -> bool {
    let input = &args.input;
    let has_question = input.prompt.is_some()
        || !args.words.is_empty()
        || !input.file.is_empty()
        || !input.image.is_empty()
        || input.stdin;
    let shows = args.endpoint.dry_run || args.endpoint.curl || args.endpoint.list_models;
    let is_for_machines = args.output.json || args.output.events;
    !has_question && !shows && !is_for_machines && std::io::stdin().is_terminal() && Stdout::is_terminal()
}

enum Asked {
    /// A list or a request was printed; nobody was asked.
    Shown(Exit),
    Answered(Box<Answer>),
}

struct Answer {
    answered: Answered,
    schema: Option<Value>,
    session: Option<Session>,
    system: Option<String>,
    message: Message,
}

/// Does everything up to the end of the exchange. Whatever fails here has put nothing on stdout.
fn ask(args: &Args, reporter: &Reporter) -> Result<Asked, Failure> {
    let settings = settings(&overrides(args), reporter)?;
    if args.endpoint.list_models {
        let mut asker = Asker::new(settings, &args.limits, reporter)?;
        return models::print(&mut asker, args.output.json, false).map(Asked::Shown);
    }
    let session = Session::open(&args.input)?;
    let schema = args.model.schema.as_deref().map(request::schema).transpose()?;
    let body = request::body(args, &settings, schema.as_ref())?;
    let message = prompt::message(args, reporter)?;
    let system = args.input.system.as_deref().map(system_prompt).transpose()?;
    let messages = messages(system.clone(), session.as_ref(), &message);
    if args.endpoint.dry_run {
        return dry_run::request(&settings, &body, &messages, reporter).map(Asked::Shown);
    }
    if args.endpoint.curl {
        return dry_run::curl(&settings, &body, &messages, args, reporter).map(Asked::Shown);
    }
    let mut asker = Asker::new(settings, &args.limits, reporter)?;
    let output = Output::new(&args.output, session.is_some(), schema.is_some(), reporter);
    let answered = asker.ask(to_json(&body, &messages)?, output, false)?;
    Ok(Asked::Answered(Box::new(Answer {
        answered,
        schema,
        session,
        system,
        message,
    })))
}

/// Returns the conversation so far, with the system prompt before it and the new message after it.
fn messages(system: Option<String>, session: Option<&Session>, message: &Message) -> Vec<Message> {
    let before = session
        .map(|session| session.messages().to_vec())
        .unwrap_or_default();
    let mut messages = prompt::with_system(system, before);
    messages.push(message.clone());
    messages
}

/// Writes a body as JSON.
pub(crate) fn to_json(body: &Body, messages: &[Message]) -> Result<Vec<u8>, Failure> {
    body.to_json(messages)
        .map_err(|error| Failure::new(Exit::Bug, "the request cannot be written as JSON").caused_by(error))
}

/// Reports a failure before the answer. With `--json` and `--events` stdout says it too.
fn refuse(args: &Args, failure: Failure, reporter: &Reporter) -> Outcome {
    if args.output.json || args.output.events {
        let report = Report {
            summary: &Summary::default(),
            attempts: 0,
            elapsed: Duration::ZERO,
            error: Some(&failure),
        };
        Output::new(&args.output, false, false, reporter).fail(&report)?;
    }
    Err(failure)
}

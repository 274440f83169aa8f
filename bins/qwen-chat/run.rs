//! The tool itself: which of its modes was asked for, and the one-shot answer.

use std::io::IsTerminal;
use std::time::Duration;

use qwen_shared::chat::{Body, Message, Summary};
use qwen_shared::config::{Overrides, Settings};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::out::{Stdout, Talk};
use qwen_shared::secret::{Secret, forbid_core_dump};
use serde_json::Value;

use crate::asker::{Answered, Asker};
use crate::cli::Cli;
use crate::conclude::conclude;
use crate::output::{Output, Report};
use crate::session::Session;
use crate::{conversation, models, prompt, question, show};

/// Runs the tool.
pub(crate) fn run(cli: Cli, talk: &Talk) -> Outcome {
    forbid_core_dump();
    if cli.endpoint.openai_api_key.is_some() {
        talk.notice("the key is on the command line, where anybody on this machine can read it");
        talk.hint("set OPENAI_API_KEY, or run 'qwen-login --api-key'");
    }
    if is_conversation(&cli) {
        return conversation::run(&cli, talk);
    }
    let asked = match ask(&cli, talk) {
        Ok(asked) => asked,
        Err(failure) => return refuse(&cli, failure, talk),
    };
    match asked {
        Asked::Shown(exit) => Ok(exit),
        Asked::Answered(mut answer) => {
            let exit = conclude(&mut answer.answered, &cli.output, answer.schema.as_ref(), talk)?;
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
pub(crate) fn overrides(cli: &Cli) -> Overrides {
    Overrides {
        profile: cli.common.profile.clone(),
        api_key: cli.endpoint.openai_api_key.clone().map(Secret::new),
        base_url: cli.endpoint.openai_base_url.clone(),
        model: cli.endpoint.model.clone(),
        profile_first: false,
    }
}

/// Resolves the settings and says what the user ought to know about them.
pub(crate) fn settings(overrides: &Overrides, talk: &Talk) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    for notice in &settings.notices {
        talk.notice(notice);
    }
    show::explain(&settings, talk);
    Ok(settings)
}

/// True when there is nothing to ask yet and a person to ask for it.
fn is_conversation(cli: &Cli) -> bool {
    let input = &cli.input;
    let has_question = input.prompt.is_some()
        || !cli.words.is_empty()
        || !input.file.is_empty()
        || !input.image.is_empty()
        || input.stdin;
    let shows = cli.endpoint.dry_run || cli.endpoint.curl || cli.endpoint.list_models;
    let is_for_machines = cli.output.json || cli.output.events;
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
fn ask(cli: &Cli, talk: &Talk) -> Result<Asked, Failure> {
    let settings = settings(&overrides(cli), talk)?;
    if cli.endpoint.list_models {
        let mut asker = Asker::new(settings, &cli.limits, talk)?;
        return models::print(&mut asker, cli.output.json, false).map(Asked::Shown);
    }
    let session = Session::open(&cli.input)?;
    let schema = cli.model.schema.as_deref().map(question::schema).transpose()?;
    let body = question::body(cli, &settings, schema.as_ref())?;
    let message = prompt::message(cli, talk)?;
    let system = cli.input.system.as_deref().map(prompt::system).transpose()?;
    let messages = messages(system.clone(), session.as_ref(), &message);
    if cli.endpoint.dry_run {
        return show::request(&settings, &body, &messages, talk).map(Asked::Shown);
    }
    if cli.endpoint.curl {
        return show::curl(&settings, &body, &messages, cli, talk).map(Asked::Shown);
    }
    let mut asker = Asker::new(settings, &cli.limits, talk)?;
    let output = Output::new(&cli.output, session.is_some(), schema.is_some(), talk);
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
fn refuse(cli: &Cli, failure: Failure, talk: &Talk) -> Outcome {
    if cli.output.json || cli.output.events {
        let report = Report {
            summary: &Summary::default(),
            attempts: 0,
            elapsed: Duration::ZERO,
            error: Some(&failure),
        };
        Output::new(&cli.output, false, false, talk).fail(&report)?;
    }
    Err(failure)
}

//! A conversation on the terminal.

mod attachments;
mod commands;
mod completer;
mod editor;
mod model;
mod outside;
mod saved;
mod switch;
mod tokens;

use std::path::Path;
use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::input::system_prompt;
use qwen_shared::net::api::Client;
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::output::Reporter;
use qwen_shared::signal::{self, Caught};

use super::args::Args;
use super::call::ask;
use super::client::{connect, resolve_settings};
use super::extract::Extractor;
use super::finish::finish;
use super::interrupt::forget_interrupts;
use super::message::{Message, Role};
use super::output::Output;
use super::session::{Session, with_model_of};
use super::session_document::with_system;
use super::theme::theme;
use crate::conversation::attachments::Attachments;
use crate::conversation::commands::Command;
use crate::conversation::editor::{Editor, Input};
use crate::conversation::tokens::TokenCount;
use crate::request;

/// Runs a conversation until the user ends it.
///
/// # Errors
/// What prevents the conversation from starting. Later failures are reported, and the conversation continues.
pub(crate) fn run(args: &Args, reporter: &Reporter) -> Outcome {
    // For as long as the conversation runs: Ctrl-C ends an answer, not the program.
    let ctrl_c = signal::catch(&[signal::SIGINT])
        .map_err(|error| Failure::new(Exit::Io, "cannot catch Ctrl-C").caused_by(error))?;
    let ctrl_c = Arc::new(ctrl_c);
    let mut conversation = Conversation::begin(args, Arc::clone(&ctrl_c), reporter)?;
    // The terminal is asked before anybody types.
    theme(reporter);
    let mut editor = Editor::new()?;
    if let Some(notice) = editor.notice() {
        reporter.notice(notice);
    }
    conversation.greet();
    loop {
        let text = match editor.read("> ")? {
            Input::Text(text) => text,
            Input::Interrupted => {
                reporter.say("Ctrl-D or /quit ends the conversation");
                continue;
            }
            Input::End => break,
        };
        let outcome = match Command::parse(&text) {
            None => continue,
            Some(Command::Quit) => break,
            Some(Command::Message(text)) => conversation.say(&text),
            Some(command) => conversation.execute(command, &mut editor),
        };
        if let Err(failure) = outcome {
            reporter.failure(&with_commands(failure));
        }
    }
    // What was interrupted has ended; this is not about the program.
    forget_interrupts(&ctrl_c);
    Ok(Exit::Ok)
}

/// Has hints name what can be typed here.
fn with_commands(mut failure: Failure) -> Failure {
    for hint in &mut failure.hints {
        if hint.0 == "run 'qwen-chat --list-models'" {
            "/model lists the models".clone_into(&mut hint.0);
        }
    }
    failure
}

/// The conversation and its settings.
struct Conversation<'a> {
    args: &'a Args,
    reporter: &'a Reporter,
    ctrl_c: Arc<Caught>,
    overrides: Overrides,
    settings: Settings,
    /// Made for the first message, and again after a switch.
    client: Option<Client>,
    system: Option<String>,
    messages: Vec<Message>,
    session: Option<Session>,
    /// The endpoint that the conversation was last held with.
    held_with: Option<BaseUrl>,
    /// What was asked last, whether it was answered or not: its words, and the whole message.
    asked: Option<(String, Message)>,
    attachments: Attachments,
    tokens: TokenCount,
}

impl<'a> Conversation<'a> {
    fn begin(args: &'a Args, ctrl_c: Arc<Caught>, reporter: &'a Reporter) -> Result<Self, Failure> {
        let session = Session::open(args.input.session.as_deref(), args.input.continue_last)?;
        let overrides = with_model_of(session.as_ref(), args.overrides())?;
        let settings = resolve_settings(&overrides, reporter)?;
        let attachments = Attachments::of(&args.input)?;
        if let Some(session) = &session {
            session.check_endpoint(&settings)?;
        }
        let (system, messages) = session.as_ref().map(Session::parts).unwrap_or_default();
        let system = match &args.input.system {
            Some(system) => Some(system_prompt(system)?),
            None => system,
        };
        completer::use_settings(&overrides);
        Ok(Self {
            args,
            ctrl_c,
            reporter,
            overrides,
            settings,
            client: None,
            system,
            held_with: session.as_ref().and_then(Session::endpoint),
            asked: last_question(&messages),
            messages,
            session,
            attachments,
            tokens: TokenCount::default(),
        })
    }

    fn greet(&self) {
        if !self.reporter.is_quiet() {
            self.reporter.say(&format!(
                "{}; /model changes the model, /help lists the commands",
                self.description()
            ));
        }
        self.tell_session();
        self.tell_attachments();
    }

    fn tell_attachments(&self) {
        if let Some(waiting) = self.attachments.description() {
            self.reporter.say(&waiting);
        }
    }

    /// Sends words with all that waits to go with them.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let message = self.attachments.message(text);
        self.attachments.clear();
        self.asked = Some((text.to_owned(), message.clone()));
        self.send(message, false)
    }

    /// Asks the last question again, in the place of its answer.
    fn retry(&mut self) -> Result<(), Failure> {
        let Some((_, message)) = self.asked.clone() else {
            return Err(Failure::new(Exit::Usage, "nothing has been asked yet"));
        };
        self.send(message, true)
    }

    /// Sends what the user writes in their editor.
    fn edit(&mut self) -> Result<(), Failure> {
        let before = self.asked.as_ref().map_or("", |(text, _)| text);
        match outside::edit(before)? {
            Some(text) if text == before.trim() => {
                self.reporter
                    .say("nothing was changed, so nothing is sent; /retry asks the last question again");
                Ok(())
            }
            Some(text) => {
                text.lines().for_each(|line| self.reporter.plain(line));
                self.say(&text)
            }
            None => {
                self.reporter.say("nothing was written, so nothing is sent");
                Ok(())
            }
        }
    }

    /// Copies the last answer, or the code in it.
    fn copy(&self, what: Option<&str>) -> Result<(), Failure> {
        let answer = self
            .messages
            .last()
            .filter(|message| message.role == Role::Assistant);
        let Some(answer) = answer.cloned().and_then(Message::into_text) else {
            return Err(Failure::new(Exit::Usage, "there is no answer yet"));
        };
        let text = match what {
            None => answer,
            Some("code") => {
                let mut code = String::new();
                let mut extractor = Extractor::default();
                extractor.push(&answer, &mut |line| code.push_str(line));
                if !extractor.end(&mut |line| code.push_str(line)) {
                    return Err(Failure::new(Exit::No, "the answer holds no fenced code block"));
                }
                code
            }
            Some(other) => {
                return Err(
                    Failure::new(Exit::Usage, format!("cannot copy '{other}'")).hint("/copy, /copy code")
                );
            }
        };
        outside::copy(&text)?;
        let count = text.chars().count();
        self.reporter
            .say(&format!("{count} characters went to the terminal's clipboard"));
        Ok(())
    }

    fn attach(&mut self, command: &Command, typed: &str) -> Result<(), Failure> {
        let path = attachments::path(typed);
        match command {
            Command::Image(_) => self.attachments.add_image(&path)?,
            _ => self.attachments.add_file(Path::new(&path))?,
        }
        self.tell_attachments();
        Ok(())
    }

    /// Sends a message and keeps it with its answer. One that `repeats` the last message takes its place and that of its
    /// answer, when a new answer has come.
    fn send(&mut self, message: Message, repeats: bool) -> Result<(), Failure> {
        let is_answered = |messages: &[Message]| matches!(messages, [.., asked, _] if *asked == message);
        let kept = match repeats && is_answered(&self.messages) {
            true => self.messages.len() - 2,
            false => self.messages.len(),
        };
        let body = request::body(self.args, &self.settings, None)?;
        if let Some(session) = &mut self.session {
            session.use_model(&self.settings);
        }
        let mut messages = with_system(self.system.clone(), self.messages[..kept].to_vec());
        messages.push(message.clone());
        let output = Output::new(&self.args.output, true, false, self.reporter);
        let ctrl_c = Arc::clone(&self.ctrl_c);
        let client = self.client()?;
        let endpoint = client.endpoint().base_url().clone();
        let mut response = ask(client, body, messages, output, Some(&ctrl_c))?;
        self.tokens.add(&response.summary);
        let outcome = finish(&mut response, &self.args.output, None, self.reporter);
        let answer = response.output.answer.take().unwrap_or_default();
        // A part of an answer has been read: the next message may be about it.
        if !answer.trim().is_empty() {
            if let Some(session) = &self.session {
                if kept < self.messages.len() {
                    session.take_back(&message)?;
                }
                session.add(self.system.clone(), message.clone(), answer.clone(), &endpoint)?;
            }
            self.held_with = Some(endpoint);
            self.messages.truncate(kept);
            self.messages.push(message);
            self.messages.push(Message::text(Role::Assistant, answer));
        }
        outcome.map(|_| ())
    }

    fn client(&mut self) -> Result<&Client, Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => connect(self.settings.clone(), &self.args.limits, self.reporter)?,
        };
        Ok(self.client.insert(client))
    }

    fn execute(&mut self, command: Command, editor: &mut Editor) -> Result<(), Failure> {
        match command {
            Command::Auth(name) => self.switch_or_stay(name, editor)?,
            Command::Model(None) => self.list_models()?,
            Command::Model(Some(word)) => self.use_model(&word)?,
            Command::System(None) => {
                let system = self.system.as_deref().unwrap_or("there is no system prompt");
                self.reporter.say(system);
            }
            Command::System(Some(text)) if text == "-" => self.set_system(None)?,
            Command::System(Some(text)) => self.set_system(Some(system_prompt(text.as_ref())?))?,
            Command::Clear => self.clear()?,
            Command::Retry => self.retry()?,
            Command::Edit => self.edit()?,
            Command::Copy(what) => self.copy(what.as_deref())?,
            Command::Sessions(rest) => self.sessions(rest.as_deref())?,
            Command::File(None) | Command::Image(None) => {
                return Err(Failure::new(Exit::Usage, "a path is needed").hint("/file PATH, /image PATH"));
            }
            Command::File(Some(ref path)) | Command::Image(Some(ref path)) => self.attach(&command, path)?,
            Command::Save(name) => self.save(name)?,
            Command::Usage => self.reporter.say(&self.tokens.to_string()),
            Command::Help => crate::conversation::commands::HELP
                .lines()
                .for_each(|line| self.reporter.say(line)),
            Command::Unknown(name) => {
                return Err(
                    Failure::new(Exit::Usage, format!("there is no command '/{name}'"))
                        .hint("/help lists the commands; begin with // to say something that begins with /"),
                );
            }
            Command::Quit | Command::Message(_) => {}
        }
        Ok(())
    }
}

/// Returns the last question of a saved conversation, which can be asked again.
fn last_question(messages: &[Message]) -> Option<(String, Message)> {
    let asked = messages.iter().rev().find(|message| message.role == Role::User)?;
    Some((asked.words().to_owned(), asked.clone()))
}

//! A conversation on the terminal.

mod commands;
mod editor;
mod switch;

use std::sync::Arc;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::input::system_prompt;
use qwen_shared::net::api::Client;
use qwen_shared::net::chat::{Summary, Usage};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::output::Reporter;
use qwen_shared::signal::{self, Caught};

use super::args::Args;
use super::call::ask;
use super::client::{connect, resolve_settings};
use super::finish::finish;
use super::interrupt::forget_interrupts;
use super::message::{Message, Role};
use super::output::Output;
use super::session::{Session, with_system};
use crate::conversation::commands::Command;
use crate::conversation::editor::{Editor, Input};
use crate::{models, request};

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
    let mut editor = Editor::new()?;
    if let Some(notice) = editor.notice() {
        reporter.notice(notice);
    }
    conversation.greet();
    loop {
        let text = match editor.read("> ")? {
            Input::Text(text) => text,
            Input::Interrupted => {
                reporter.plain("Ctrl-D or /quit ends the conversation");
                continue;
            }
            Input::End => break,
        };
        let outcome = match Command::parse(&text) {
            None => continue,
            Some(Command::Quit) => break,
            Some(Command::Message(text)) => conversation.send(&text),
            Some(command) => conversation.execute(command, &mut editor),
        };
        if let Err(failure) = outcome {
            reporter.failure(&failure);
        }
    }
    // What was interrupted has ended; this is not about the program.
    forget_interrupts(&ctrl_c);
    Ok(Exit::Ok)
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
    tokens: TokenCount,
}

/// The tokens of the conversation so far.
#[derive(Debug, Default)]
struct TokenCount {
    answers: u32,
    prompt: u64,
    completion: u64,
}

impl TokenCount {
    fn add(&mut self, summary: &Summary) {
        self.answers += 1;
        if let Some(usage) = summary.usage.as_ref().map(Usage::read) {
            self.prompt += usage.prompt_tokens;
            self.completion += usage.completion_tokens;
        }
    }
}

impl<'a> Conversation<'a> {
    fn begin(args: &'a Args, ctrl_c: Arc<Caught>, reporter: &'a Reporter) -> Result<Self, Failure> {
        let overrides = args.overrides();
        let settings = resolve_settings(&overrides, reporter)?;
        let session = Session::open(args.input.session.as_deref(), args.input.continue_last)?;
        let mut messages = session
            .as_ref()
            .map(|session| session.messages().to_vec())
            .unwrap_or_default();
        let system = messages.iter().position(|message| message.role == Role::System);
        let system = system
            .map(|place| messages.remove(place))
            .and_then(|message| message.into_text());
        let system = match &args.input.system {
            Some(system) => Some(system_prompt(system)?),
            None => system,
        };
        Ok(Self {
            args,
            ctrl_c,
            reporter,
            overrides,
            settings,
            client: None,
            system,
            messages,
            session,
            tokens: TokenCount::default(),
        })
    }

    fn greet(&self) {
        if !self.reporter.is_quiet() {
            self.reporter
                .plain(&format!("{}; /help lists the commands", self.description()));
        }
        if let (Some(session), false) = (&self.session, self.messages.is_empty()) {
            let count = self.messages.len();
            self.reporter
                .notice(&format!("continuing {count} messages of '{}'", session.name()));
        }
    }

    /// Names model, host, method and profile.
    fn description(&self) -> String {
        let settings = &self.settings;
        let host = settings.base_url.value.host_str().unwrap_or_default();
        let profile = settings
            .profile
            .as_ref()
            .map_or_else(String::new, |profile| format!(", profile '{}'", profile.value));
        format!(
            "{} at {host} ({}{profile})",
            settings.model.value,
            settings.method()
        )
    }

    /// Sends a message and keeps it with its answer.
    fn send(&mut self, text: &str) -> Result<(), Failure> {
        let body = request::body(self.args, &self.settings, None)?;
        let message = Message::text(Role::User, text);
        let mut messages = with_system(self.system.clone(), self.messages.clone());
        messages.push(message.clone());
        let output = Output::new(&self.args.output, true, false, self.reporter);
        let ctrl_c = Arc::clone(&self.ctrl_c);
        let mut response = ask(self.client()?, body, messages, output, Some(&ctrl_c))?;
        self.tokens.add(&response.summary);
        let outcome = finish(&mut response, &self.args.output, None, self.reporter);
        let answer = response.output.answer.take().unwrap_or_default();
        // A part of an answer has been read: the next message may be about it.
        if !answer.trim().is_empty() {
            if let Some(session) = &self.session {
                session.add(self.system.clone(), message.clone(), answer.clone())?;
            }
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
            Command::Auth(name) => self.switch(name, editor)?,
            Command::Model(None) => {
                self.reporter.plain(&format!(
                    "the model is {}; the endpoint offers:",
                    self.settings.model.value
                ));
                let ctrl_c = Arc::clone(&self.ctrl_c);
                models::print(self.client()?, false, Some(&ctrl_c))?;
            }
            Command::Model(Some(name)) => self.set_model(&name)?,
            Command::System(None) => {
                let system = self.system.as_deref().unwrap_or("there is no system prompt");
                self.reporter.plain(system);
            }
            Command::System(Some(text)) if text == "-" => self.system = None,
            Command::System(Some(text)) => self.system = Some(system_prompt(text.as_ref())?),
            Command::Clear => {
                self.messages.clear();
                self.reporter.plain("the conversation is cleared");
            }
            Command::Save(name) => self.save(name)?,
            Command::Usage => self.reporter.plain(&format!(
                "answers: {}; tokens: {} in, {} out",
                self.tokens.answers, self.tokens.prompt, self.tokens.completion
            )),
            Command::Help => crate::conversation::commands::HELP
                .lines()
                .for_each(|line| self.reporter.plain(line)),
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

    fn set_model(&mut self, name: &str) -> Result<(), Failure> {
        let overrides = Overrides {
            model: Some(name.to_owned()),
            ..self.overrides.clone()
        };
        self.adopt(overrides)
    }

    /// Continues with other settings; nothing changes when they are invalid.
    fn adopt(&mut self, overrides: Overrides) -> Result<(), Failure> {
        self.settings = resolve_settings(&overrides, self.reporter)?;
        self.overrides = overrides;
        self.client = None;
        self.reporter.plain(&self.description());
        Ok(())
    }

    /// Saves the conversation under a name, also from now on.
    fn save(&mut self, name: Option<String>) -> Result<(), Failure> {
        let named = name.as_deref().map(Session::named).transpose()?;
        let Some(session) = named.as_ref().or(self.session.as_ref()) else {
            return Err(Failure::new(Exit::Usage, "the conversation needs a name").hint("/save NAME"));
        };
        session.replace(&with_system(self.system.clone(), self.messages.clone()))?;
        self.reporter.plain(&format!("saved in '{}'", session.name()));
        if named.is_some() {
            self.session = named;
        }
        Ok(())
    }
}

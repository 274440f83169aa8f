//! A conversation on the terminal.

mod commands;
mod editor;
mod switch;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::input::system_prompt;
use qwen_shared::net::chat::{Message, Role, Summary};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::output::Reporter;
use qwen_shared::signal;

use super::args::Args;
use super::client::Asker;
use super::finish::conclude;
use super::output::Output;
use super::run::{overrides, settings, to_json};
use super::session::Session;
use crate::conversation::commands::Command;
use crate::conversation::editor::{Editor, Input};
use crate::{models, prompt, request};

/// Runs a conversation until the user ends it.
///
/// # Errors
/// What keeps the conversation from beginning. Later failures are reported, and the conversation goes on.
pub(crate) fn run(args: &Args, reporter: &Reporter) -> Outcome {
    // For as long as the conversation runs: Ctrl-C ends an answer, not the program.
    let _ctrl_c = signal::catch(&[signal::SIGINT])
        .map_err(|error| Failure::new(Exit::Io, "cannot keep Ctrl-C for the answers").caused_by(error))?;
    let mut conversation = Conversation::begin(args, reporter)?;
    let mut editor = Editor::new()?;
    conversation.greet();
    loop {
        let text = match editor.read("> ")? {
            Input::Text(text) => text,
            Input::Interrupted => {
                reporter.plain("Ctrl-D or /quit ends the conversation");
                continue;
            }
            Input::End => return Ok(Exit::Ok),
        };
        let outcome = match Command::parse(&text) {
            None => continue,
            Some(Command::Quit) => return Ok(Exit::Ok),
            Some(Command::Say(text)) => conversation.say(&text),
            Some(command) => conversation.obey(command, &mut editor),
        };
        if let Err(failure) = outcome {
            reporter.failure(&failure);
        }
    }
}

/// What is said and under which settings.
struct Conversation<'a> {
    args: &'a Args,
    reporter: &'a Reporter,
    overrides: Overrides,
    settings: Settings,
    /// Made for the first question, and again after a switch.
    asker: Option<Asker>,
    system: Option<String>,
    messages: Vec<Message>,
    session: Option<Session>,
    spent: Spent,
}

/// What the conversation cost so far.
#[derive(Debug, Default)]
struct Spent {
    answers: u32,
    prompt: u64,
    completion: u64,
}

impl Spent {
    fn add(&mut self, summary: &Summary) {
        self.answers += 1;
        if let Some(usage) = &summary.usage {
            self.prompt += usage.prompt_tokens;
            self.completion += usage.completion_tokens;
        }
    }
}

impl<'a> Conversation<'a> {
    fn begin(args: &'a Args, reporter: &'a Reporter) -> Result<Self, Failure> {
        let overrides = overrides(args);
        let settings = settings(&overrides, reporter)?;
        let session = Session::open(&args.input)?;
        let mut messages = session
            .as_ref()
            .map(|session| session.messages().to_vec())
            .unwrap_or_default();
        let kept = messages.iter().position(|message| message.role == Role::System);
        let kept = kept
            .map(|place| messages.remove(place))
            .and_then(|message| message.into_text());
        let system = match &args.input.system {
            Some(system) => Some(system_prompt(system)?),
            None => kept,
        };
        Ok(Self {
            args,
            reporter,
            overrides,
            settings,
            asker: None,
            system,
            messages,
            session,
            spent: Spent::default(),
        })
    }

    fn greet(&self) {
        if !self.reporter.is_quiet() {
            self.reporter
                .plain(&format!("{}; /help lists the commands", self.whom()));
        }
        if let (Some(session), false) = (&self.session, self.messages.is_empty()) {
            let count = self.messages.len();
            self.reporter.notice(&format!(
                "going on with {count} messages of '{}'",
                session.place()
            ));
        }
    }

    /// Says who is asked, and by which method.
    fn whom(&self) -> String {
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

    /// Puts a question, and keeps it with its answer.
    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let body = request::body(self.args, &self.settings, None)?;
        let question = Message::text(Role::User, text);
        let mut messages = prompt::with_system(self.system.clone(), self.messages.clone());
        messages.push(question.clone());
        let json = to_json(&body, &messages)?;
        let output = Output::new(&self.args.output, true, false, self.reporter);
        let mut answered = self.asker()?.ask(json, output, true)?;
        self.spent.add(&answered.summary);
        let outcome = conclude(&mut answered, &self.args.output, None, self.reporter);
        let answer = answered.output.said.take().unwrap_or_default();
        // What came of a stopped answer was read: the next question may be about it.
        if !answer.trim().is_empty() {
            if let Some(session) = &self.session {
                session.add(self.system.clone(), question.clone(), answer.clone())?;
            }
            self.messages.push(question);
            self.messages.push(Message::text(Role::Assistant, answer));
        }
        outcome.map(|_| ())
    }

    fn asker(&mut self) -> Result<&mut Asker, Failure> {
        let asker = match self.asker.take() {
            Some(asker) => asker,
            None => Asker::new(self.settings.clone(), &self.args.limits, self.reporter)?,
        };
        Ok(self.asker.insert(asker))
    }

    fn obey(&mut self, command: Command, editor: &mut Editor) -> Result<(), Failure> {
        match command {
            Command::Auth(name) => self.switch(name, editor)?,
            Command::Model(None) => {
                self.reporter.plain(&format!(
                    "the model is {}; the endpoint offers:",
                    self.settings.model.value
                ));
                models::print(self.asker()?, false, true)?;
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
                self.reporter.plain("what was said is forgotten");
            }
            Command::Save(name) => self.save(name)?,
            Command::Usage => self.reporter.plain(&format!(
                "answers: {}; tokens: {} in, {} out",
                self.spent.answers, self.spent.prompt, self.spent.completion
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
            Command::Quit | Command::Say(_) => {}
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

    /// Goes on under other settings; if they cannot be, nothing changes.
    fn adopt(&mut self, overrides: Overrides) -> Result<(), Failure> {
        self.settings = settings(&overrides, self.reporter)?;
        self.overrides = overrides;
        self.asker = None;
        self.reporter.plain(&self.whom());
        Ok(())
    }

    /// Keeps the conversation under a name, from now on too.
    fn save(&mut self, name: Option<String>) -> Result<(), Failure> {
        let named = name.as_deref().map(Session::of_name).transpose()?;
        let Some(session) = named.as_ref().or(self.session.as_ref()) else {
            return Err(Failure::new(Exit::Usage, "the conversation needs a name").hint("/save NAME"));
        };
        session.replace(&prompt::with_system(self.system.clone(), self.messages.clone()))?;
        self.reporter.plain(&format!("kept in '{}'", session.place()));
        if named.is_some() {
            self.session = named;
        }
        Ok(())
    }
}

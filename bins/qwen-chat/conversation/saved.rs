//! The saved conversation: which one is continued, and what changes in it.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::Overrides;

use super::{Conversation, last_question};
use crate::session::{self, Session, with_model_of};
use crate::session_document::with_system;

impl Conversation<'_> {
    pub(super) fn tell_session(&self) {
        if let (Some(session), false) = (&self.session, self.messages.is_empty()) {
            let count = self.messages.len();
            self.reporter
                .notice(&format!("continuing {count} messages of '{}'", session.name()));
        }
    }

    /// Lists the sessions, continues one, or deletes one.
    pub(super) fn sessions(&mut self, rest: Option<&str>) -> Result<(), Failure> {
        let Some(rest) = rest else {
            let sessions = session::descriptions();
            if sessions.is_empty() {
                self.reporter
                    .say("no session is saved yet; /save NAME saves this one");
            }
            sessions.iter().for_each(|line| self.reporter.say(line));
            return Ok(());
        };
        if let Some(name) = rest.strip_prefix("-d ").map(str::trim) {
            Session::remove(name)?;
            self.session.take_if(|session| session.has_name(name));
            self.reporter.say(&format!("the session '{name}' is deleted"));
            return Ok(());
        }
        let session = Session::open(Some(rest), false)?;
        let Some(session) = session.filter(|session| !session.messages().is_empty()) else {
            return Err(
                Failure::new(Exit::NoInput, format!("there is no session '{rest}'"))
                    .hint("/sessions lists them"),
            );
        };
        session.check_endpoint(&self.settings)?;
        let overrides = with_model_of(
            Some(&session),
            Overrides {
                model: None,
                ..self.overrides.clone()
            },
        )?;
        // A model that cannot be used leaves the conversation as it is.
        if overrides.model.is_some() {
            self.adopt(overrides)?;
        }
        (self.system, self.messages) = session.parts();
        self.held_with = session.endpoint();
        self.asked = last_question(&self.messages);
        self.session = Some(session);
        self.tell_session();
        Ok(())
    }

    /// Forgets what was said and what waits; in the kept session too.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        let mut said = "the conversation is cleared".to_owned();
        if let Some(session) = &self.session {
            session.replace(
                &with_system(self.system.clone(), Vec::new()),
                self.held_with.as_ref(),
            )?;
            said.push_str(&format!(", in '{}' too", session.name()));
        }
        self.messages.clear();
        self.attachments.clear();
        self.reporter.say(&said);
        Ok(())
    }

    pub(super) fn set_system(&mut self, system: Option<String>) -> Result<(), Failure> {
        if let Some(session) = &self.session {
            session.set_system(system.clone())?;
        }
        self.system = system;
        Ok(())
    }

    /// Saves the conversation under a name, also from now on. The name of another conversation is refused.
    pub(super) fn save(&mut self, name: Option<String>) -> Result<(), Failure> {
        let mut named = name.as_deref().map(Session::named).transpose()?;
        if let (Some(named), Some(name)) = (&named, &name) {
            let is_own = self.session.as_ref().is_some_and(|own| own.has_name(name));
            if !is_own && !named.messages().is_empty() {
                let message = format!("there is a session '{name}' already");
                return Err(Failure::new(Exit::Usage, message).hint(format!(
                    "choose another name, or delete that session with '/sessions -d {name}'"
                )));
            }
        }
        let Some(session) = named.as_mut().or(self.session.as_mut()) else {
            return Err(Failure::new(Exit::Usage, "the conversation needs a name").hint("/save NAME"));
        };
        let messages = with_system(self.system.clone(), self.messages.clone());
        session.use_model(&self.settings);
        session.replace(&messages, self.held_with.as_ref())?;
        self.reporter.say(&format!("saved in '{}'", session.name()));
        if named.is_some() {
            self.session = named;
        }
        Ok(())
    }
}

//! Switching to another profile (`/auth`), and with it to its method, endpoint and model, or to another model alone.

use std::process::Command;

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::net::config::{Config, KeySetting, Method, Overrides, Settings, Source, Sourced};
use qwen_shared::{process, secret};

use super::Conversation;
use super::completer;
use super::editor::Editor;
use crate::client::resolve_settings;
use crate::session::check_endpoint;

/// Names the settings that the conversation began with: flags, environment, chain.
const INITIAL: &str = "-";

impl Conversation<'_> {
    /// Switches to another profile; a failure says what stays in use.
    pub(super) fn switch_or_stay(
        &mut self,
        name: Option<String>,
        editor: &mut Editor,
    ) -> Result<(), Failure> {
        self.switch(name, editor).map_err(|mut failure| {
            failure.message.push_str(&self.remaining());
            failure
        })
    }

    pub(super) fn set_model(&mut self, name: &str) -> Result<(), Failure> {
        let overrides = Overrides {
            model: Some(Sourced::new(name.to_owned(), Source::Conversation)),
            ..self.overrides.clone()
        };
        self.adopt(overrides)
    }

    /// Continues with other settings; nothing changes when they are invalid.
    pub(super) fn adopt(&mut self, overrides: Overrides) -> Result<(), Failure> {
        let settings = resolve_settings(&overrides, self.reporter)?;
        if !self.messages.is_empty() {
            check_endpoint(self.held_with.as_ref(), &settings)
                .map_err(|failure| failure.hint("or begin again with /clear"))?;
        }
        self.settings = settings;
        completer::use_settings(&overrides);
        self.overrides = overrides;
        self.client = None;
        self.reporter.say(&self.description());
        Ok(())
    }

    /// Says what stays in use after a switch that failed, and who said so.
    pub(super) fn remaining(&self) -> String {
        let endpoint = &self.settings.base_url;
        let (model, server) = (&self.settings.model.value, endpoint.value.server());
        format!("; still {model} at {server}, from {}", endpoint.source)
    }

    /// Names model, server and method; the profile where endpoint and credential are its own.
    pub(super) fn description(&self) -> String {
        let settings = &self.settings;
        let server = settings.base_url.value.server();
        let profile = settings.profile.as_ref().filter(|_| is_of_profile(settings));
        let profile = profile.map_or_else(String::new, |profile| format!(", profile '{}'", profile.value));
        let method = match settings.method() {
            "none" => "no key needed",
            method => method,
        };
        format!("{} at {server} ({method}{profile})", settings.model.value)
    }

    /// Switches to a profile; without a name the user chooses.
    fn switch(&mut self, name: Option<String>, editor: &mut Editor) -> Result<(), Failure> {
        let profiles = Config::load()?.profiles;
        let name = match name {
            Some(name) => name,
            None if profiles.is_empty() => "+".to_owned(),
            None => match self.choose(&profiles.keys().cloned().collect::<Vec<_>>(), editor)? {
                Some(name) => name,
                None => return Ok(()),
            },
        };
        if name == INITIAL {
            return self.adopt(self.args.overrides());
        }
        if name == "+" {
            log_in()?;
            // The login became the default profile.
            let config = Config::load()?;
            return self.adopt(of_profile(config.default_profile));
        }
        if !profiles.contains_key(&name) {
            let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
            let near = nearest(&name, &known);
            let others = match (known.as_slice(), near) {
                ([], _) => "there is none yet".to_owned(),
                (_, Some(near)) => format!("did you mean '/auth {near}'?"),
                (known, None) => format!("there are: {}", known.join(", ")),
            };
            return Err(
                Failure::new(Exit::NoAuth, format!("there is no profile '{name}'"))
                    .hint(format!("{others}; '/auth +' logs in to another one")),
            );
        }
        self.adopt(of_profile(Some(name)))
    }

    /// Shows the profiles and asks for one.
    fn choose(&self, names: &[String], editor: &mut Editor) -> Result<Option<String>, Failure> {
        let config = Config::load()?;
        let current = self
            .settings
            .profile
            .as_ref()
            .map(|profile| profile.value.as_str());
        for (number, name) in names.iter().enumerate() {
            let profile = config.profiles.get(name);
            let method = profile
                .and_then(|profile| profile.method)
                .map_or("", Method::name);
            let provider = profile
                .and_then(|profile| profile.provider.clone())
                .unwrap_or_default();
            let mark = if current == Some(name.as_str()) { '*' } else { ' ' };
            self.reporter
                .say(&format!("{mark} {}  {name}  {method} {provider}", number + 1));
        }
        self.reporter.say("  -  the settings of flags and environment");
        self.reporter.say("  +  log in to another one");
        let Some(answer) = editor.ask("profile (name or number): ")? else {
            return Ok(None);
        };
        let by_number = answer
            .parse()
            .ok()
            .and_then(|number: usize| names.get(number.wrapping_sub(1)));
        Ok(Some(by_number.cloned().unwrap_or(answer)))
    }
}

/// True where endpoint and credential are the profile's: neither was given in its place.
fn is_of_profile(settings: &Settings) -> bool {
    let key = &settings.auth.source;
    let is_own_variable = || {
        let profile = Config::load().ok()?.profiles.remove(settings.profile_name())?;
        Some(matches!(&profile.key, Some(KeySetting::Env(name)) if Some(name.as_str()) == key.variable()))
    };
    let is_own_key = !key.is_given() || is_own_variable() == Some(true);
    is_own_key && !settings.base_url.source.is_given()
}

/// Returns the name that was probably meant.
pub(super) fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |name: &str| strsim::osa_distance(&given.to_lowercase(), &name.to_lowercase());
    let nearest = known.iter().copied().min_by_key(|name| distance(name));
    nearest.filter(|name| distance(name) <= 1 + name.chars().count() / 4)
}

/// Makes the profile go before the command line and the environment.
fn of_profile(name: Option<String>) -> Overrides {
    Overrides {
        profile: name,
        profile_first: true,
        ..Overrides::default()
    }
}

/// Runs qwen-login on this terminal.
fn log_in() -> Result<(), Failure> {
    let program = process::find("qwen-login")
        .ok_or_else(|| Failure::new(Exit::NotFound, "cannot find 'qwen-login'"))?;
    secret::restore_core_limit();
    let status = Command::new(program).status();
    secret::forbid_core_dump();
    let status = status.map_err(|error| {
        Failure::new(
            Exit::NotRunnable,
            format!("cannot run 'qwen-login': {}", io_reason(&error)),
        )
    })?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(Exit::NoAuth, "the login was not completed"))
}

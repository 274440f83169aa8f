//! The failures of a credential or a profile that is not there.

use std::collections::BTreeMap;

use super::Resolver;
use crate::exit::{Exit, Failure};
use crate::net::config::members::nearest;
use crate::net::config::profile::Profile;
use crate::net::config::settings::{Source, Sourced};
use crate::net::http::BaseUrl;
use crate::paths;
use crate::provider::{self, Provider};
use crate::text::{known_names, one_line};

impl Resolver<'_> {
    /// The failure when there is no credential at all.
    pub(super) fn missing(&self, provider: &Provider, base_url: Option<&Sourced<BaseUrl>>) -> Failure {
        let mut failure = match self.name {
            Some(name) => no_credential(&name.value),
            None if self.profiles.is_empty() => self.no_method(base_url),
            None => no_profile_in_use(self.profiles),
        };
        let names: Vec<&str> = [provider.key_variable.as_deref(), Some("OPENAI_API_KEY")]
            .into_iter()
            .flatten()
            .collect();
        // A file that was passed over, or an address that nobody reads, may be why.
        let mut reasons: Vec<String> = paths::missing_config().into_iter().collect();
        reasons.extend(paths::missing_home().filter(|_| self.profile.uses_oauth() || self.name.is_none()));
        reasons.extend(self.qwen_code_notices());
        reasons.extend(self.ignored_address());
        reasons.push(failure.message);
        failure.message = reasons.join("; ");
        self.explained(failure, &names)
    }

    /// The failure without a profile: says where Qwen Code's settings have a key that is for another endpoint.
    fn no_method(&self, base_url: Option<&Sourced<BaseUrl>>) -> Failure {
        let variables = |name: &str| self.lookup.value(name);
        let held = self.qwen_code.held_key(&variables);
        let Some((held, url)) = held.zip(base_url) else {
            return no_method();
        };
        let owner = match &held.address {
            Some(address) => format!("belongs to '{}'", one_line(address)),
            None => "belongs to another endpoint".to_owned(),
        };
        let message = format!(
            "no credential for '{}': the key of {} {owner}",
            url.value, held.source
        );
        let mut failure = no_method();
        failure.message = message;
        failure
    }

    pub(super) fn unset_key_variable(&self, variable: &str) -> Failure {
        let profile = self.name.map_or("default", |name| &name.value);
        let message = format!("profile '{profile}' takes its key from {variable}, which is not set");
        let failure = Failure::new(Exit::NoAuth, message)
            .hint(format!("set {variable}, or run 'qwen-login --profile {profile}'"));
        self.explained(failure, &[variable])
    }
}

fn no_method() -> Failure {
    let message = "no credential: neither an API key nor a login is configured";
    Failure::new(Exit::NoAuth, message)
        .hint("run 'qwen-login'")
        .hint("or set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's")
}

/// The failure when it is not said which of several profiles to use.
fn no_profile_in_use(profiles: &BTreeMap<String, Profile>) -> Failure {
    let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
    let message = format!(
        "no profile is in use, and there are {}: {}",
        names.len(),
        names.join(", ")
    );
    Failure::new(Exit::NoAuth, message)
        .hint(format!(
            "run 'qwen-auth use {}'",
            names.first().copied().unwrap_or_default()
        ))
        .hint("or choose one with --profile NAME, or set QWEN_PROFILE")
}

/// The failure of a name that no profile has.
#[must_use]
pub fn no_such_profile(name: &str, profiles: &BTreeMap<String, Profile>) -> Failure {
    let failure = Failure::new(Exit::NoAuth, format!("no profile is called '{name}'"));
    let known: Vec<&str> = profiles.keys().map(String::as_str).collect();
    if known.is_empty() {
        return without_config(failure).hint("run 'qwen-login'");
    }
    let failure = match nearest(name, known.iter().copied()) {
        Some(near) => failure.hint(format!("did you mean '{near}'?")),
        None => failure,
    };
    failure.hint(known_names(&known))
}

/// The failure of a profile that is to be used and is not there.
pub(super) fn missing_profile(name: &Sourced<String>, profiles: &BTreeMap<String, Profile>) -> Failure {
    let failure = match profiles.is_empty() {
        true => without_config(no_credential(&name.value)),
        false => no_such_profile(&name.value, profiles)
            .hint(format!("or run 'qwen-login --profile {}' to make it", name.value)),
    };
    with_source(&name.source, failure)
}

fn no_credential(profile: &str) -> Failure {
    Failure::new(Exit::NoAuth, format!("no credential for profile '{profile}'"))
        .hint(format!("run 'qwen-login --profile {profile}'"))
        .hint("or set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL")
}

/// Says first that there is no file where `QWEN_CONFIG` says.
fn without_config(mut failure: Failure) -> Failure {
    if let Some(missing) = paths::missing_config() {
        failure.message = format!("{missing}; {}", failure.message);
    }
    failure
}

/// Adds the source of a profile's name that was not given on the command line.
pub(super) fn with_source(source: &Source, mut failure: Failure) -> Failure {
    if source.variable().is_some() || *source == Source::DefaultProfile {
        failure.message.push_str(&format!(" (from {source})"));
    }
    failure
}

/// The failure of a profile that names a provider which the catalogue lacks.
#[must_use]
pub fn unknown_provider(profile: &Source, name: &str) -> Failure {
    let failure = Failure::new(Exit::Config, format!("{profile}: no provider is called '{name}'"));
    hint_at_providers(failure, name)
}

/// Adds the nearest provider's name, and all of them.
#[must_use]
pub fn hint_at_providers(mut failure: Failure, name: &str) -> Failure {
    let known: Vec<&str> = provider::all().map(|provider| provider.name.as_str()).collect();
    if let Some(near) = nearest(name, known.iter().copied()) {
        failure = failure.hint(format!("did you mean '{near}'?"));
    }
    failure.hint(known_names(&known))
}

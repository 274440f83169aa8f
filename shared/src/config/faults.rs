//! What can be wrong with settings, in the words that the user reads.

use url::Url;

use super::source::{Source, Sourced};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::provider;

/// Nothing says how to authenticate.
pub(super) fn no_method() -> Failure {
    Failure::new(
        Exit::NoAuth,
        "no credential: neither an API key nor a login is configured",
    )
    .hint("run 'qwen-login'")
    .hint("or set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's")
}

/// The profile does not exist or says nothing that authenticates.
pub(super) fn no_credential(profile: &str) -> Failure {
    Failure::new(Exit::NoAuth, format!("no credential for profile '{profile}'"))
        .hint(format!("run 'qwen-login --profile {profile}'"))
        .hint("or set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL")
}

/// A profile that somebody named is not configured.
pub(super) fn no_profile(named: &Sourced<String>) -> Failure {
    naming(&named.source, no_credential(&named.value))
}

/// Adds to the fault of a profile's name who gave it, where that is not what was just typed.
pub(super) fn naming(source: &Source, mut failure: Failure) -> Failure {
    if matches!(source, Source::Environment(_) | Source::EnvFile { .. }) {
        failure.message.push_str(&format!(" (from {source})"));
    }
    failure
}

/// A profile takes its key from a variable that is not set.
pub(super) fn unset_key_variable(profile: Option<&Sourced<String>>, variable: &str) -> Failure {
    let profile = profile.map_or("default", |profile| &profile.value);
    Failure::new(
        Exit::NoAuth,
        format!("profile '{profile}' takes its key from {variable}, which is not set"),
    )
    .hint(format!("set {variable}, or run 'qwen-login --profile {profile}'"))
}

/// A profile names a provider that the catalogue does not have.
#[must_use]
pub fn unknown_provider(profile: &Source, name: &str) -> Failure {
    let known: Vec<&str> = provider::all()
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    Failure::new(Exit::Config, format!("{profile}: no provider is called '{name}'"))
        .hint(format!("known are {}", known.join(", ")))
}

/// The embedded catalogue lacks an entry that the code counts on.
pub(super) fn broken_catalogue() -> Failure {
    Failure::new(
        Exit::Bug,
        "the provider catalogue is incomplete; please report it",
    )
}

/// Reads an endpoint; the message never repeats user info.
pub(super) fn parse_url(said: &Sourced<String>) -> Result<Sourced<Url>, Failure> {
    let source = &said.source;
    match Url::parse(&said.value) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            Ok(Sourced::new(url, source.clone()))
        }
        Ok(_) => Err(not_a_url(source, "it must begin with 'https://' or 'http://'")),
        Err(error) => Err(not_a_url(source, &error.to_string())),
    }
}

fn not_a_url(source: &Source, reason: &str) -> Failure {
    Failure::new(
        Exit::Config,
        format!("{source}: the base URL is not valid: {reason}"),
    )
}

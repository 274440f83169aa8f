//! A key is not sent where a cloned repository wants it.

use url::Url;

use super::profile::{KeySetting, Profile};
use super::settings::Access;
use super::source::{Source, Sourced};
use crate::env::may_pair;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::provider::{self, Provider};

/// Refuses an endpoint that an untrusted project's file set, unless the key is from the same file or bound to the
/// endpoint's origin.
///
/// # Errors
/// Exit 78; the message names both sources.
pub(super) fn check(
    access: &Sourced<Access>,
    base_url: &Sourced<Url>,
    provider: &Provider,
    profile: &Profile,
) -> Result<(), Failure> {
    let Source::EnvFile { path, standing, .. } = &base_url.source else {
        return Ok(());
    };
    if matches!(access.value, Access::Open) {
        return Ok(());
    }
    let key_file = match &access.source {
        Source::EnvFile { path, .. } => Some(path.as_path()),
        _ => None,
    };
    if may_pair(*standing, path, key_file) || is_bound(access, &base_url.value, provider, profile) {
        return Ok(());
    }
    let what = match access.value {
        Access::Oauth { .. } => "the token",
        _ => "the key",
    };
    let (url, key) = (&base_url.source, &access.source);
    let endpoint = crate::http::without_user_info(&base_url.value);
    let file = path.display();
    let message =
        format!("{url}: {what} of {key} is not sent to '{endpoint}', which an untrusted project file set");
    Err(Failure::new(Exit::Config, message)
        .hint(format!(
            "run 'qwen-env --trust {file}' if that endpoint may have it"
        ))
        .hint("or set OPENAI_BASE_URL in the environment to choose the endpoint yourself"))
}

/// True when the secret would go to that origin also without the project's file: a profile's, its variable's too, to
/// the profile's own endpoint, a provider's own variable to the provider, `OPENAI_API_KEY` to OpenAI.
fn is_bound(access: &Sourced<Access>, url: &Url, provider: &Provider, profile: &Profile) -> bool {
    let of_profile = || match (&profile.base_url, &profile.provider) {
        (Some(own), _) => own.origin() == url.origin(),
        (None, Some(name)) => provider::named(name).is_some_and(|named| named.owns(url)),
        (None, None) => false,
    };
    match &access.source {
        Source::Environment(name) | Source::EnvFile { name, .. } => {
            let named = matches!(&profile.key, Some(KeySetting::Env(own)) if own == name);
            let own = provider.key_variable.as_deref() == Some(name.as_str()) && name != "OPENAI_API_KEY";
            named && of_profile()
                || own && provider.owns(url)
                || name == "OPENAI_API_KEY"
                    && provider::named("openai").is_some_and(|openai| openai.owns(url))
        }
        Source::Profile(_) => of_profile(),
        _ => false,
    }
}

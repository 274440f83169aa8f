//! The output formats.

use std::time::SystemTime;

use qwen_shared::dotenv::NO_KEY;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Authorization;
use qwen_shared::net::config::Settings;
use qwen_shared::net::credential::StoreKind;
use qwen_shared::net::date::rfc3339;
use qwen_shared::secret::Secret;
use qwen_shared::shell::{Change, parent_shell};
use qwen_shared::text::escape_json;
use serde::Serialize;
use url::Url;
use zeroize::Zeroizing;

use super::args::{Args, Format};

/// Formats the token.
///
/// # Errors
/// 77 for a raw token that the endpoint does not need, 78 where the token may not go to the endpoint.
pub(crate) fn format(
    args: &Args,
    settings: &Settings,
    authorization: &Authorization,
) -> Result<Secret<String>, Failure> {
    let text = match args.format {
        Format::Raw => format!("{}\n", token(settings, authorization)?.expose()),
        Format::Json => json(settings, authorization)?,
        Format::Header => header(settings, authorization)
            .map(|line| format!("{}\n", line.expose()))
            .unwrap_or_default(),
        Format::Curl => curl_options(settings, authorization, args.destination.as_ref()),
        Format::Env => statements(settings, authorization)?,
    };
    Ok(Secret::new(text))
}

/// Returns the variables that OpenAI's clients read.
///
/// # Errors
/// 78 where the token may not go to the endpoint.
pub(crate) fn variables(
    settings: &Settings,
    authorization: &Authorization,
) -> Result<[(&'static str, Secret<String>); 3], Failure> {
    let base_url = authorization.base_url(settings)?;
    let key = authorization
        .token
        .clone()
        .unwrap_or_else(|| Secret::new(NO_KEY.to_owned()));
    Ok([
        ("OPENAI_API_KEY", key),
        ("OPENAI_BASE_URL", Secret::new(base_url.as_str().to_owned())),
        ("OPENAI_MODEL", Secret::new(settings.model.value.clone())),
    ])
}

fn token<'a>(settings: &Settings, authorization: &'a Authorization) -> Result<&'a Secret<String>, Failure> {
    authorization.token.as_ref().ok_or_else(|| {
        let url = &settings.base_url.value;
        Failure::new(
            Exit::NoAuth,
            format!("no credential is configured, and '{url}' is taken to need none"),
        )
        .hint("set OPENAI_API_KEY if it does")
    })
}

/// Returns the header with the secret; `None` where none is needed.
fn header(settings: &Settings, authorization: &Authorization) -> Option<Secret<String>> {
    let token = authorization.token.as_ref()?.expose();
    Some(Secret::new(match key_header(settings) {
        None => format!("Authorization: Bearer {token}"),
        Some(name) => format!("{name}: {token}"),
    }))
}

/// Returns lines for curl's `--config`. With a URL they are a whole request's but for its body, the profile's headers
/// included: curl does nothing where there are none.
fn curl_options(settings: &Settings, authorization: &Authorization, url: Option<&Url>) -> String {
    let mut options = String::new();
    let mut add = |name: &str, value: &str| options.push_str(&format!("{name} = {}\n", quoted(value)));
    if let Some(url) = url {
        add("url", url.as_str());
        for (name, value) in settings.profile_headers() {
            add("header", &format!("{name}: {value}"));
        }
    }
    let is_own = |name: &str| {
        settings
            .profile_headers()
            .any(|(own, _)| own.eq_ignore_ascii_case(name))
    };
    let name = key_header(settings).unwrap_or("authorization");
    if let Some(line) = header(settings, authorization).filter(|_| url.is_none() || !is_own(name)) {
        add("header", line.expose());
    }
    options
}

/// Returns the name of the header with the key, if it is not that of RFC 6750.
fn key_header(settings: &Settings) -> Option<&str> {
    let name = settings.provider.value.key_header.as_str();
    (!settings.uses_oauth() && name != "bearer").then_some(name)
}

/// Quotes a text for curl's `--config`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

#[derive(Serialize)]
struct Document<'a> {
    access_token: Option<&'a str>,
    token_type: Option<&'a str>,
    expires_at: Option<String>,
    expires_in: Option<u64>,
    base_url: String,
    model: &'a str,
    profile: Option<&'a str>,
    provider: &'a str,
    store: Option<StoreKind>,
}

fn json(settings: &Settings, authorization: &Authorization) -> Result<String, Failure> {
    let (token, credential) = (authorization.token.as_ref(), authorization.credential.as_ref());
    let expires_in = credential.and_then(|credential| credential.expires_in(SystemTime::now()));
    let document = Document {
        access_token: token.map(|token| token.expose().as_str()),
        token_type: token.map(|_| match credential {
            Some(credential) => credential.token_type.as_str(),
            None => key_header(settings).unwrap_or("Bearer"),
        }),
        expires_at: credential
            .and_then(|credential| credential.expires_at)
            .map(rfc3339),
        expires_in: expires_in.map(|left| left.as_secs()),
        base_url: authorization.base_url(settings)?.as_str().to_owned(),
        model: &settings.model.value,
        profile: settings.profile.as_ref().map(|profile| profile.value.as_str()),
        provider: &settings.provider.value.name,
        store: authorization.store,
    };
    let text = serde_json::to_string(&document)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(Exit::Bug, "cannot write JSON").caused_by(error))?;
    Ok(format!("{}\n", &*escape_json(&text)))
}

/// Returns statements for the parent shell. They survive an eval without quotes.
fn statements(settings: &Settings, authorization: &Authorization) -> Result<String, Failure> {
    let shell = parent_shell();
    let variables = variables(settings, authorization)?;
    let mut changes = Vec::new();
    for (name, value) in &variables {
        if let Some(reason) = shell.unsupported(name, value.expose(), true) {
            let shell = shell.name();
            return Err(Failure::new(
                Exit::Config,
                format!("{name}: cannot be exported to {shell}: {reason}"),
            ));
        }
        changes.push(Change::Set(name, value.expose()));
    }
    let taken: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    Ok(shell.script(&changes, taken.iter().map(String::as_str)))
}

//! The output formats.

use std::time::SystemTime;

use qwen_shared::dotenv::RECORD;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Authorization;
use qwen_shared::net::config::Settings;
use qwen_shared::net::credential::StoreKind;
use qwen_shared::net::date::rfc3339;
use qwen_shared::output::Reporter;
use qwen_shared::secret::Secret;
use qwen_shared::shell::{Change, parent_shell};
use qwen_shared::text::escape_json;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;
use zeroize::Zeroizing;

use super::args::{Args, Format};
use super::exports::{client_url, further, has_own_header, not_exported, variables};
use super::record::record;

/// Formats the token.
///
/// # Errors
/// 77 for a raw token that the endpoint does not need, 78 where the token may not go to the endpoint.
pub(crate) fn format(
    args: &Args,
    settings: &Settings,
    authorization: &Authorization,
    destination: Option<&Url>,
    reporter: &Reporter,
) -> Result<Secret<String>, Failure> {
    let text = match args.format {
        Format::Raw => format!("{}\n", token(settings, authorization)?.expose()),
        Format::Json => json(settings, authorization)?,
        Format::Header => header_lines(settings, authorization),
        Format::Curl => curl_options(settings, authorization, destination),
        Format::Env => statements(settings, authorization, reporter)?,
    };
    Ok(Secret::new(text))
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
pub(crate) fn header(settings: &Settings, authorization: &Authorization) -> Option<Secret<String>> {
    let token = authorization.token.as_ref()?.expose();
    Some(Secret::new(match key_header(settings) {
        None => format!("Authorization: Bearer {token}"),
        Some(name) => format!("{name}: {token}"),
    }))
}

/// Returns the headers of a request as lines that curl reads: the profile's, and the one with the secret unless the profile
/// has its own. curl takes `NAME:` for an order to leave the header out, and sends an empty one for `NAME;`.
fn header_lines(settings: &Settings, authorization: &Authorization) -> String {
    let own = settings
        .profile_headers()
        .map(|(name, value)| match value.trim() {
            "" => format!("{name};\n"),
            _ => format!("{name}: {value}\n"),
        });
    let mut lines: String = own.collect();
    if !has_own_header(settings, key_header(settings).unwrap_or("authorization"))
        && let Some(line) = header(settings, authorization)
    {
        lines.push_str(line.expose());
        lines.push('\n');
    }
    lines
}

/// Returns lines for curl's `--config`. With a URL they are a whole request's but for its body: curl does nothing where there
/// are none.
fn curl_options(settings: &Settings, authorization: &Authorization, url: Option<&Url>) -> String {
    let mut options = String::new();
    let mut add = |name: &str, value: &str| options.push_str(&format!("{name} = {}\n", quoted(value)));
    if let Some(url) = url {
        add("url", url.as_str());
    }
    for line in header_lines(settings, authorization).lines() {
        add("header", line);
    }
    options
}

/// Adds the parameters that every request to the endpoint has, from the profile and its base URL, where the URL has none of
/// that name.
pub(crate) fn with_query(settings: &Settings, url: &Url) -> Url {
    let taken: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let of_base_url = settings.base_url.value.query_pairs().into_owned();
    let own = settings
        .query
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let of_base_url = of_base_url.filter(|(name, _)| !settings.query.contains_key(name));
    let added: Vec<(String, String)> = of_base_url
        .chain(own)
        .filter(|(name, _)| !taken.contains(name))
        .collect();
    let mut url = url.clone();
    if !added.is_empty() {
        url.query_pairs_mut().extend_pairs(added);
    }
    url
}

/// Returns the name of the header with the key, if it is not that of RFC 6750.
pub(crate) fn key_header(settings: &Settings) -> Option<&str> {
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
    /// What `qwen-env --auth` exports besides key, address and model, or in the place of them.
    #[serde(skip_serializing_if = "Map::is_empty")]
    environment: Map<String, Value>,
    /// What of the profile it cannot export.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_exported: Vec<String>,
}

fn json(settings: &Settings, authorization: &Authorization) -> Result<String, Failure> {
    let (token, credential) = (authorization.token.as_ref(), authorization.credential.as_ref());
    let expires_in = credential.and_then(|credential| credential.expires_in(SystemTime::now()));
    let base_url = authorization.base_url(settings)?;
    let further = further(settings, authorization, &base_url);
    let further = further
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.expose().clone().into()));
    let mut environment: Map<String, Value> = further.collect();
    let address = client_url(settings, &base_url);
    if address != base_url.as_str() {
        environment.insert("OPENAI_BASE_URL".to_owned(), address.into());
    }
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
        base_url: base_url.as_str().to_owned(),
        model: &settings.model.value,
        profile: settings.profile.as_ref().map(|profile| profile.value.as_str()),
        provider: &settings.provider.value.name,
        store: authorization.store,
        environment,
        not_exported: not_exported(settings, &base_url),
    };
    let text = serde_json::to_string(&document)
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(Exit::Bug, "cannot write JSON").caused_by(error))?;
    Ok(format!("{}\n", &*escape_json(&text)))
}

/// Returns statements for the parent shell. They survive an eval without quotes.
fn statements(
    settings: &Settings,
    authorization: &Authorization,
    reporter: &Reporter,
) -> Result<String, Failure> {
    let shell = parent_shell();
    let variables = variables(settings, authorization, reporter)?;
    let record = record(settings, &variables, shell.longest_value())?;
    // It goes first, as qwen-env's does: nothing is exported that it does not name.
    let mut changes: Vec<Change<'_>> = record.iter().map(|record| Change::Set(RECORD, record)).collect();
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

//! The variables from which the clients of others take an endpoint, its key and what else requests to it need.

use qwen_shared::dotenv::NO_KEY;
use qwen_shared::exit::Failure;
use qwen_shared::net::api::Authorization;
use qwen_shared::net::config::Settings;
use qwen_shared::output::Reporter;
use qwen_shared::process::check_exportable;
use qwen_shared::secret::Secret;
use url::Url;

use super::carriers::check_carriers;
use super::format::{header, key_header};

/// A name with a value.
pub(crate) type Variable = (&'static str, Secret<String>);

const CHAT: &str = "/chat/completions";

/// Returns all variables, and says what no client takes from one.
///
/// # Errors
/// 78 where the token may not go to the endpoint, where clients would send another secret there, and for a value with
/// which no program could be started.
pub(crate) fn variables(
    settings: &Settings,
    authorization: &Authorization,
    reporter: &Reporter,
) -> Result<Vec<Variable>, Failure> {
    check_carriers(settings)?;
    let base_url = authorization.base_url(settings)?;
    let key = key(authorization);
    let address = client_url(settings, &base_url);
    let mut variables = vec![
        ("OPENAI_API_KEY", key),
        ("OPENAI_BASE_URL", Secret::new(address.clone())),
        ("OPENAI_MODEL", Secret::new(settings.model.value.clone())),
    ];
    if !settings.base_url.source.is_project() {
        variables.push(("OPENAI_API_BASE", Secret::new(address)));
        variables.extend(further(settings, authorization, &base_url));
    }
    let left_out = not_exported(settings, &base_url);
    if !left_out.is_empty() {
        let list = left_out.join(", ");
        reporter.notice(&format!(
            "not exported, for want of a variable that clients read: {list}"
        ));
    }
    for (name, value) in &variables {
        check_exportable(name, value.expose())?;
    }
    Ok(variables)
}

/// Returns the variables that say more than key, address and model do; none for an address that came with a project.
pub(crate) fn further(settings: &Settings, authorization: &Authorization, base_url: &Url) -> Vec<Variable> {
    if settings.base_url.source.is_project() {
        return Vec::new();
    }
    let mut variables = Vec::new();
    let headers = custom_headers(settings, authorization);
    if !headers.expose().is_empty() {
        variables.push(("OPENAI_CUSTOM_HEADERS", headers));
    }
    let provider = settings.provider.value;
    if provider.key_variable.as_deref() == Some("AZURE_OPENAI_API_KEY") {
        let mut resource = base_url.clone();
        resource.set_query(None);
        let resource = resource.as_str().trim_end_matches('/');
        let resource = resource.strip_suffix("/v1").unwrap_or(resource);
        let resource = resource.strip_suffix("/openai").unwrap_or(resource);
        variables.push(("AZURE_OPENAI_ENDPOINT", Secret::new(resource.to_owned())));
        variables.push(("AZURE_OPENAI_API_KEY", key(authorization)));
        let own = settings.api_version.as_ref().map(|version| &version.value);
        if let Some(version) = own.or(provider.default_version.as_ref()) {
            variables.push(("OPENAI_API_VERSION", Secret::new(version.clone())));
        }
    }
    variables
}

fn key(authorization: &Authorization) -> Secret<String> {
    let key = authorization.token.clone();
    key.unwrap_or_else(|| Secret::new(NO_KEY.to_owned()))
}

/// Returns the address to which clients add `/chat/completions`, which is all that they do: without parameters, and with the
/// deployment where that is part of the path.
pub(crate) fn client_url(settings: &Settings, base_url: &Url) -> String {
    let provider = settings.provider.value;
    let mut url = base_url.clone();
    if provider.chat_path.contains("{model}") {
        url = provider.chat_url(base_url, &settings.model.value, None);
    }
    if url.query().is_some() {
        url.set_query(None);
    }
    let text = url.as_str();
    text.strip_suffix(CHAT).unwrap_or(text).to_owned()
}

/// Lines `NAME: VALUE`, as OpenAI's clients read them: the profile's headers, and the key's where it goes into one that these
/// clients do not send by themselves.
fn custom_headers(settings: &Settings, authorization: &Authorization) -> Secret<String> {
    let own = settings
        .profile_headers()
        .map(|(name, value)| format!("{name}: {value}"));
    let mut lines: Vec<String> = own.collect();
    if let Some(name) = key_header(settings)
        && !has_own_header(settings, name)
        && let Some(line) = header(settings, authorization)
    {
        lines.push(line.expose().clone());
    }
    Secret::new(lines.join("\n"))
}

/// True where the profile has a header of this name, which goes before another one.
pub(crate) fn has_own_header(settings: &Settings, name: &str) -> bool {
    let mut own = settings.profile_headers();
    own.any(|(known, _)| known.eq_ignore_ascii_case(name))
}

/// Returns what requests need that clients take from no variable: parameters and members of the body, by name.
pub(crate) fn not_exported(settings: &Settings, base_url: &Url) -> Vec<String> {
    let provider = settings.provider.value;
    let of_url = base_url.query_pairs().map(|(name, _)| name.into_owned());
    let mut parameters: Vec<String> = of_url
        .chain(settings.query.keys().cloned())
        .chain(provider.query.keys().cloned())
        .collect();
    parameters.sort();
    parameters.dedup();
    let is_for_azure = |name: &str| provider.query.contains_key(name) && !settings.query.contains_key(name);
    let parameters = parameters.iter().map(|name| match is_for_azure(name) {
        true => format!("query parameter '{name}', but for clients of Azure"),
        false => format!("query parameter '{name}'"),
    });
    let is_own =
        |(name, value): &(&String, &serde_json::Value)| provider.body.get(name.as_str()) != Some(*value);
    let members = settings.body.iter().filter(is_own);
    parameters
        .chain(members.map(|(name, _)| format!("body member '{name}'")))
        .collect()
}

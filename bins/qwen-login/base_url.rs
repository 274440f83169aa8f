//! The provider of an API key, and its base URL.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::own_variable;
use qwen_shared::net::http::{BaseUrl, BaseUrlError};
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, Provider, is_own_server};
use qwen_shared::terminal::Terminal;

use crate::login::Login;
use crate::questions::{Choice, ask};

/// Finds the provider and the base URL. A provider that the person chose keeps a base URL that is not in the catalogue.
///
/// # Errors
/// 64 for a bad `--base-url`, or a provider without API keys; 78 for a URL that no key may be sent to.
pub(crate) fn provider_and_base_url(login: &mut Login<'_>) -> Result<(&'static Provider, BaseUrl), Failure> {
    let given = login.args.base_url.as_deref();
    let given = given.map(parse_option).transpose()?;
    let in_environment = match given {
        Some(_) => None,
        None => base_url_in_environment(login.reporter),
    };
    let provider = provider_for(login, given.as_ref(), in_environment.as_ref())?;
    if let Some(notice) = &provider.notice {
        login.reporter.notice(notice);
    }
    let mut base_url = match given {
        Some(url) => url,
        None => base_url_for(login, provider, in_environment)?,
    };
    let with_key = login.args.with_key;
    while !login.check_http(
        &base_url,
        with_key || provider.needs_key && !is_own_server(&base_url),
    )? {
        if let Some(terminal) = login.terminal.as_mut() {
            base_url = ask(terminal, "base URL", Some(base_url.as_str()), parse_answer)?;
        }
    }
    let known = provider::recognise(&base_url).filter(|known| known.name != "custom");
    let provider = match known {
        Some(known) if login.provider.is_none() => known,
        _ => provider,
    };
    Ok((provider, base_url))
}

/// Returns the provider of the options, else asks. The default is the profile's, that of `OPENAI_BASE_URL`, or OpenAI.
fn provider_for(
    login: &mut Login<'_>,
    base_url: Option<&BaseUrl>,
    in_environment: Option<&BaseUrl>,
) -> Result<&'static Provider, Failure> {
    if let Some(provider) = login
        .provider
        .or_else(|| base_url.and_then(|url| provider::recognise(url)))
    {
        if provider.oauth.is_none() {
            return Ok(provider);
        }
        let name = &provider.name;
        return Err(
            Failure::new(Exit::Usage, format!("provider '{name}' takes no API key"))
                .hint("run 'qwen-login --oauth'"),
        );
    }
    let known: Vec<&'static Provider> = provider::all()
        .filter(|provider| provider.oauth.is_none())
        .collect();
    let current = login.profile.provider().filter(|own| own.oauth.is_none());
    let default = current
        .or_else(|| provider::recognise(in_environment?))
        .and_then(|default| known.iter().position(|known| known.name == default.name))
        .unwrap_or(0);
    let chosen = match login.terminal.as_mut() {
        None => default,
        Some(terminal) => ask_provider(terminal, &known, default)?,
    };
    known
        .get(chosen)
        .copied()
        .ok_or_else(|| Failure::new(Exit::Bug, "the provider catalogue is empty; please report it"))
}

/// Returns an index into `known`.
fn ask_provider(terminal: &mut Terminal, known: &[&Provider], default: usize) -> Result<usize, Failure> {
    let lines: Vec<String> = known
        .iter()
        .map(|provider| format!("{:12} {}", provider.name, provider.title))
        .collect();
    let titles: Vec<&str> = lines.iter().map(String::as_str).collect();
    Choice::new("Whose key is it?", &titles, default).ask(terminal)
}

/// Returns the profile's base URL or `OPENAI_BASE_URL` if it is the provider's, else one of the catalogue, and asks unless
/// `--provider` has named it.
fn base_url_for(
    login: &mut Login<'_>,
    provider: &Provider,
    in_environment: Option<BaseUrl>,
) -> Result<BaseUrl, Failure> {
    let profile = &login.profile.settings;
    let own = profile.base_url.clone().filter(|_| login.profile.is_of(provider));
    let is_its = |url: &BaseUrl| provider::recognise(url).is_some_and(|known| known.name == provider.name);
    let current = own
        .or_else(|| in_environment.filter(|url| login.provider.is_none() && is_its(url)))
        .map(|url| url.as_str().to_owned());
    let Some(terminal) = login.terminal.as_mut() else {
        let default = current.or_else(|| regions(provider).next().map(|(_, url)| url.to_owned()));
        let url = default.filter(|url| !url.contains("RESOURCE")).ok_or_else(|| {
            let message = format!("provider '{}' has no default base URL", provider.name);
            Failure::new(Exit::Usage, message).hint("give it with --base-url")
        })?;
        return parse_option(&url);
    };
    if current.is_none() && provider.regions.len() > 1 {
        if let Some(url) = ask_region(terminal, provider)? {
            return parse_option(url);
        }
        return ask(terminal, "base URL", None, parse_answer);
    }
    let default = current.or_else(|| regions(provider).next().map(|(_, url)| url.to_owned()));
    match &default {
        Some(url) if login.provider.is_some() && !url.contains("RESOURCE") => parse_option(url),
        _ => ask(terminal, "base URL", default.as_deref(), parse_answer),
    }
}

fn regions(provider: &Provider) -> impl Iterator<Item = (&str, &str)> {
    provider
        .regions
        .iter()
        .map(|region| (region.name.as_str(), region.base_url.as_str()))
}

/// Returns the base URL of a region; `None` for a person who wants another one.
fn ask_region<'a>(terminal: &mut Terminal, provider: &'a Provider) -> Result<Option<&'a str>, Failure> {
    let titles: Vec<String> = regions(provider)
        .map(|(region, url)| format!("{region}: {url}"))
        .chain(["another base URL".to_owned()])
        .collect();
    let choice = Choice {
        question: "Which region is the key for?",
        options: titles,
        default: 0,
        has_way_out: true,
    };
    let chosen = choice.ask(terminal)?;
    Ok(regions(provider).nth(chosen).map(|(_, url)| url))
}

/// Returns `OPENAI_BASE_URL` where it is the user's own word: a key is not sent where a project says, and no project's
/// address is stored.
fn base_url_in_environment(reporter: &Reporter) -> Option<BaseUrl> {
    match own_variable("OPENAI_BASE_URL") {
        Ok(url) => BaseUrl::parse(&url?).ok(),
        Err(source) => {
            reporter.notice(&format!(
                "{source} comes from a project file that you have not trusted; it is ignored"
            ));
            None
        }
    }
}

/// Parses `--base-url`. Whether a secret may go there is seen when there is one.
///
/// # Errors
/// 64 for an invalid URL.
pub(crate) fn parse_option(text: &str) -> Result<BaseUrl, Failure> {
    parse(text).map_err(|(exit, reason)| Failure::new(exit, format!("--base-url: {reason}")))
}

/// Parses an answer to the question for the base URL.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_answer(text: &str) -> Result<BaseUrl, String> {
    parse(text).map_err(|(_, reason)| reason)
}

fn parse(text: &str) -> Result<BaseUrl, (Exit, String)> {
    let text = text.trim();
    if text.is_empty() {
        let reason = "enter a URL, such as https://api.openai.com/v1";
        return Err((Exit::Usage, reason.to_owned()));
    }
    if text.contains("RESOURCE") {
        let reason = "replace RESOURCE by the name of your resource";
        return Err((Exit::Usage, reason.to_owned()));
    }
    let url = BaseUrl::parse(text).map_err(|error| match error {
        BaseUrlError::UserInfo => (Exit::Config, error.to_string()),
        _ => (Exit::Usage, error.to_string()),
    })?;
    let path = url.path().trim_end_matches('/').to_owned();
    Ok(url.with_path(&path))
}

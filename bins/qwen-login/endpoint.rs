//! Whose key it is, and where it is used.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::http::{check_endpoint, without_user_info};
use qwen_shared::provider::{self, Provider};
use qwen_shared::terminal::Terminal;
use url::Url;

use super::ask::{ask, choose};
use super::login::Login;

/// Finds provider and endpoint. A provider that was chosen for an endpoint that nobody knows stays: the server behind it
/// is one of its kind.
///
/// # Errors
/// 64 for what was typed and is no endpoint, or a provider that takes no key; 78 for a URL to which no key may go.
pub(crate) fn service_for(login: &mut Login<'_>) -> Result<(&'static Provider, Url), Failure> {
    let typed = login.args.base_url.clone();
    let typed = typed
        .map(|url| parse_option(&url, login.target.profile.allow_http))
        .transpose()?;
    let provider = provider_for(login, typed.as_ref())?;
    if let Some(notice) = &provider.notice {
        login.reporter.notice(notice);
    }
    let base_url = match typed {
        Some(url) => url,
        None => base_url_for(login, provider)?,
    };
    let recognised = provider::recognise(&base_url).filter(|known| known.name != "custom");
    let provider = match recognised {
        Some(known) if login.provider.is_none() => known,
        _ => provider,
    };
    Ok((provider, base_url))
}

/// Finds the provider: typed, of the typed endpoint, or asked for; the profile's, else OpenAI, where nobody can be asked.
fn provider_for(login: &mut Login<'_>, typed_url: Option<&Url>) -> Result<&'static Provider, Failure> {
    if let Some(provider) = login.provider.or_else(|| typed_url.and_then(provider::recognise)) {
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
        .iter()
        .filter(|provider| provider.oauth.is_none())
        .collect();
    let present = login.target.provider().filter(|own| own.oauth.is_none());
    let usual = present
        .or_else(|| provider::recognise(&url_in_environment()?))
        .and_then(|usual| known.iter().position(|known| known.name == usual.name))
        .unwrap_or(0);
    let chosen = match login.terminal.as_mut() {
        None => usual,
        Some(terminal) => ask_whose(terminal, &known, usual)?,
    };
    known
        .get(chosen)
        .copied()
        .ok_or_else(|| Failure::new(Exit::Bug, "the provider catalogue is empty; please report it"))
}

/// Asks whose key it is; returns its place among the providers.
fn ask_whose(terminal: &mut Terminal, known: &[&Provider], usual: usize) -> Result<usize, Failure> {
    let lines: Vec<String> = known
        .iter()
        .map(|provider| format!("{:12} {}", provider.name, provider.title))
        .collect();
    let titles: Vec<&str> = lines.iter().map(String::as_str).collect();
    terminal.print("Whose key is it?\n")?;
    choose(terminal, &titles, usual)
}

/// Finds the endpoint: the profile's own or `OPENAI_BASE_URL` where it is of the same provider, else one of the provider's.
fn base_url_for(login: &mut Login<'_>, provider: &Provider) -> Result<Url, Failure> {
    let profile = &login.target.profile;
    let own = profile
        .base_url
        .clone()
        .map(Url::from)
        .filter(|_| login.target.is_about(provider));
    let is_its = |url: &Url| provider::recognise(url).is_some_and(|known| known.name == provider.name);
    let said = own
        .or_else(|| url_in_environment().filter(|url| login.provider.is_none() && is_its(url)))
        .map(String::from);
    let allow_http = profile.allow_http;
    let Some(terminal) = login.terminal.as_mut() else {
        let usual = said.or_else(|| regions(provider).next().map(|(_, url)| url.to_owned()));
        let url = usual.filter(|url| !url.contains("RESOURCE")).ok_or_else(|| {
            let message = format!("provider '{}' has no endpoint of its own", provider.name);
            Failure::new(Exit::Usage, message).hint("name it with --base-url")
        })?;
        return parse_option(&url, allow_http);
    };
    let usual = match said {
        Some(said) => Some(said),
        None => region_of(terminal, provider)?,
    };
    match &usual {
        Some(url) if login.provider.is_some() && !url.contains("RESOURCE") => parse_option(url, allow_http),
        _ => ask(terminal, "base URL", usual.as_deref(), |text| {
            parse_answer(text, allow_http)
        }),
    }
}

fn regions(provider: &Provider) -> impl Iterator<Item = (&str, &str)> {
    provider
        .regions
        .iter()
        .map(|region| (region.name.as_str(), region.base_url.as_str()))
}

/// Returns the endpoint of the region that is chosen, or the only one; `None` for a provider without any.
fn region_of(terminal: &mut Terminal, provider: &Provider) -> Result<Option<String>, Failure> {
    let (titles, urls): (Vec<String>, Vec<&str>) = regions(provider)
        .map(|(region, url)| (format!("{region}: {url}"), url))
        .unzip();
    let mut chosen = 0;
    if urls.len() > 1 {
        let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
        terminal.print("Which region is the key for?\n")?;
        chosen = choose(terminal, &titles, 0)?;
    }
    Ok(urls.get(chosen).map(|url| (*url).to_owned()))
}

fn url_in_environment() -> Option<Url> {
    Url::parse(std::env::var("OPENAI_BASE_URL").ok()?.trim()).ok()
}

/// How a URL begins, for those who typed a bare host.
const BEGINNING: &str = "https://, or http:// for a server on this machine";

/// Reads the operand of `--base-url`.
///
/// # Errors
/// 64 for what is no URL; 78 for one to which no key may go.
pub(crate) fn parse_option(text: &str, allow_http: bool) -> Result<Url, Failure> {
    let url = parse(text).map_err(|reason| Failure::new(Exit::Usage, format!("--base-url: {reason}")))?;
    check_endpoint(&url, allow_http)?;
    Ok(url)
}

/// Reads an answer to the question for the base URL.
///
/// # Errors
/// What to type instead.
pub(crate) fn parse_answer(text: &str, allow_http: bool) -> Result<Url, String> {
    let url = parse(text)?;
    match check_endpoint(&url, allow_http) {
        Ok(()) => Ok(url),
        Err(failure) => Err(failure.message),
    }
}

/// Reads a base URL. People copy the whole address of a request: what comes below the base is cut off.
fn parse(text: &str) -> Result<Url, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a URL is needed, such as https://api.openai.com/v1".to_owned());
    }
    if text.contains("RESOURCE") {
        return Err("put the name of your resource in the place of RESOURCE".to_owned());
    }
    let mut url = Url::parse(text)
        .map_err(|error| format!("this is not a URL ({error}); it begins with {BEGINNING}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("a URL is needed that begins with {BEGINNING}"));
    }
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix("/chat/completions").unwrap_or(path).to_owned();
    url.set_path(&base);
    url.set_fragment(None);
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("'{}' names no host", without_user_info(&url)));
    }
    Ok(url)
}

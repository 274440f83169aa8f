//! Chooses the kind of login.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::fs;
use qwen_shared::net::api::take_over_logins;
use qwen_shared::net::config::{Method, hint_at_providers};
use qwen_shared::net::http::server_name;
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};
use qwen_shared::secret;
use qwen_shared::terminal::Terminal;
use url::Url;

use crate::args::Args;
use crate::login::Login;
use crate::profile::LoginProfile;
use crate::questions::Choice;
use crate::{device_login, import, key_setup, questions};

/// Runs the program.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    check_operand(args.operand.as_deref())?;
    let _ = take_over_logins(reporter);
    questions::set_color(reporter);
    say_whose_home(reporter);
    let profile = LoginProfile::find(args.common.profile.as_deref(), args.store.as_deref())?;
    for notice in &profile.notices {
        reporter.notice(notice);
    }
    let provider = args.provider.as_deref().map(provider_named).transpose()?;
    if provider.is_none() {
        profile.check_provider()?;
    }
    let mut login = Login {
        terminal: Terminal::open(),
        args,
        reporter,
        profile,
        provider,
    };
    if login.args.import {
        login.profile.check_writable()?;
        return import::import(&mut login);
    }
    let method = method(&mut login)?;
    login.profile.check_writable()?;
    match method {
        Method::Oauth => device_login::log_in(&mut login),
        Method::ApiKey => key_setup::set_up(&mut login),
    }
}

/// Says to root, under `sudo -E`, that the user whose home this is will not be able to read what is stored.
fn say_whose_home(reporter: &Reporter) {
    if let Some((home, owner)) = fs::others_home() {
        reporter.notice(&format!(
            "'{}' belongs to another user (uid {owner}), who cannot read what root stores there",
            home.display()
        ));
        reporter.hint("run this without sudo for that user, or with 'sudo -H' for root");
    }
}

/// Refuses an operand, and names the option that is meant.
fn check_operand(operand: Option<&str>) -> Result<(), Failure> {
    let Some(operand) = operand else {
        return Ok(());
    };
    let option = match provider::named(operand) {
        _ if operand.contains("://") => format!("--base-url {operand}"),
        Some(known) => format!("--provider {}", known.name),
        None => format!("--profile {operand}"),
    };
    let failure = Failure::new(Exit::Usage, format!("unexpected argument '{operand}'"));
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+".contains(c);
    Err(match operand.chars().all(is_plain) {
        true => failure.hint(format!("run 'qwen-login {option}'")),
        false => failure.hint("run 'qwen-login --help'"),
    })
}

fn provider_named(name: &str) -> Result<&'static Provider, Failure> {
    provider::named(name).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("no provider is called '{name}'"));
        hint_at_providers(failure, name)
    })
}

/// Returns the method that the options ask for or imply, else asks the person, else takes the profile's if that is a
/// login, which needs no answers.
fn method(login: &mut Login<'_>) -> Result<Method, Failure> {
    let args = &login.args;
    if args.oauth {
        return Ok(Method::Oauth);
    }
    if args.api_key || args.with_key || args.base_url.is_some() {
        return Ok(Method::ApiKey);
    }
    if let Some(provider) = login.provider {
        return Ok(provider.oauth.as_ref().map_or(Method::ApiKey, |_| Method::Oauth));
    }
    let profile = &login.profile.settings;
    let server = profile.oauth.as_ref();
    let current = profile.method.or(server.map(|_| Method::Oauth));
    match (login.terminal.as_mut(), current) {
        (Some(terminal), _) => ask_method(terminal, server, current),
        (None, Some(Method::Oauth)) => Ok(Method::Oauth),
        // Without a key, an endpoint that needs none would lose the key that it has.
        (None, Some(Method::ApiKey) | None) => Err(Failure::new(
            Exit::Usage,
            "no login method is given, and there is no terminal to ask",
        )
        .hint("run 'qwen-login --with-key --provider NAME', with the key on standard input")
        .hint("or 'qwen-login --api-key --provider ollama', say, for a server that needs no key")
        .hint("or 'qwen-login --oauth', and open the address in a browser on any machine")),
    }
}

fn ask_method(
    terminal: &mut Terminal,
    server: Option<&OauthSettings>,
    current: Option<Method>,
) -> Result<Method, Failure> {
    let server = server.and_then(host).unwrap_or_else(|| "qwen.ai".to_owned());
    let browser = format!("in a browser, at '{server}'");
    let key = match terminal.columns() {
        ..110 => "with an API key, or your own server",
        _ => "with an API key: OpenAI, Model Studio, OpenRouter, Azure, your own server, …",
    };
    let default = usize::from(current != Some(Method::Oauth));
    match Choice::new("How do you want to log in?", &[&browser, key], default).ask(terminal)? {
        0 => Ok(Method::Oauth),
        _ => Ok(Method::ApiKey),
    }
}

fn host(server: &OauthSettings) -> Option<String> {
    let endpoint = server.device_authorization_endpoint.clone();
    let url = endpoint.or_else(|| Url::parse(server.issuer.as_deref()?).ok())?;
    Some(server_name(&url))
}

//! Chooses the kind of login.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::Method;
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};
use qwen_shared::secret;
use qwen_shared::terminal::Terminal;
use url::Url;

use crate::args::Args;
use crate::login::Login;
use crate::profile::LoginProfile;
use crate::{device_login, import, key_setup, questions};

/// Runs the program.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    let profile = LoginProfile::find(args.common.profile.as_deref(), args.store.as_deref())?;
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
        return import::import(&login);
    }
    let method = method(&mut login)?;
    login.profile.check_writable()?;
    match method {
        Method::Oauth => device_login::log_in(&mut login),
        Method::ApiKey => key_setup::set_up(&mut login),
    }
}

fn provider_named(name: &str) -> Result<&'static Provider, Failure> {
    provider::named(name).ok_or_else(|| {
        let known: Vec<&str> = provider::all().iter().map(|known| known.name.as_str()).collect();
        Failure::new(Exit::Usage, format!("no provider is called '{name}'"))
            .hint(format!("known are {}", known.join(", ")))
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
        .hint("run 'qwen-login --oauth', and open the address in a browser on any machine")
        .hint("or run 'qwen-login --with-key --provider NAME', with the key on standard input")),
    }
}

fn ask_method(
    terminal: &mut Terminal,
    server: Option<&OauthSettings>,
    current: Option<Method>,
) -> Result<Method, Failure> {
    let server = server.and_then(host).unwrap_or_else(|| "qwen.ai".to_owned());
    let browser = format!("in a browser, at '{server}'");
    let key = "with an API key: OpenAI, Model Studio, OpenRouter, Azure, a server of your own, …";
    terminal.print("How do you want to log in?\n")?;
    let default = usize::from(current != Some(Method::Oauth));
    match questions::choose(terminal, &[&browser, key], default)? {
        0 => Ok(Method::Oauth),
        _ => Ok(Method::ApiKey),
    }
}

fn host(server: &OauthSettings) -> Option<String> {
    let endpoint = server.device_authorization_endpoint.clone();
    let url = endpoint.or_else(|| Url::parse(server.issuer.as_deref()?).ok())?;
    url.host_str().map(str::to_owned)
}

//! Which method, and the way to it.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::Method;
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};
use qwen_shared::secret;
use qwen_shared::terminal::Terminal;
use url::Url;

use super::args::Args;
use super::ask::choose;
use super::profile::Target;
use crate::{device_login, import, key_setup};

/// Everything that a login knows when it starts.
pub(crate) struct Login<'a> {
    pub(crate) args: Args,
    pub(crate) reporter: &'a Reporter,
    pub(crate) target: Target,
    /// The provider that `--provider` names.
    pub(crate) provider: Option<&'static Provider>,
    /// `None` where nobody can be asked.
    pub(crate) terminal: Option<Terminal>,
}

/// Runs the tool.
pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    secret::forbid_core_dump();
    let target = Target::find(args.common.profile.as_deref(), args.store.as_deref())?;
    let provider = args.provider.as_deref().map(named).transpose()?;
    if provider.is_none() {
        target.check_provider()?;
    }
    let mut login = Login {
        terminal: Terminal::open(),
        args,
        reporter,
        target,
        provider,
    };
    if login.args.import {
        login.target.check_writable()?;
        return import::adopt(&login);
    }
    let method = login.method()?;
    login.target.check_writable()?;
    match method {
        Method::Oauth => device_login::log_in(&mut login),
        Method::ApiKey => key_setup::set_up(&mut login),
    }
}

/// Finds the provider that was typed.
fn named(name: &str) -> Result<&'static Provider, Failure> {
    provider::named(name).ok_or_else(|| {
        let known: Vec<&str> = provider::all().iter().map(|known| known.name.as_str()).collect();
        Failure::new(Exit::Usage, format!("no provider is called '{name}'"))
            .hint(format!("known are {}", known.join(", ")))
    })
}

impl Login<'_> {
    /// Tells the method: what was typed, what the rest of what was typed can only mean, what the person says, what the
    /// profile says, if that can be done again without a word more.
    fn method(&mut self) -> Result<Method, Failure> {
        if self.args.oauth {
            return Ok(Method::Oauth);
        }
        if self.args.api_key || self.args.with_key || self.args.base_url.is_some() {
            return Ok(Method::ApiKey);
        }
        if let Some(provider) = self.provider {
            return Ok(if provider.oauth.is_some() {
                Method::Oauth
            } else {
                Method::ApiKey
            });
        }
        let profile = &self.target.profile;
        let own = profile.oauth.as_ref();
        let present = profile.method.or(own.map(|_| Method::Oauth));
        match (self.terminal.as_mut(), present) {
            (Some(terminal), present) => {
                let browser = match own.and_then(server_name) {
                    Some(server) => format!("in a browser, at '{server}'"),
                    None => "in a browser, at qwen.ai".to_owned(),
                };
                let key = "with an API key: OpenAI, Model Studio, OpenRouter, Azure, a server of your own, …";
                terminal.print("How do you want to log in?\n")?;
                let usual = usize::from(present != Some(Method::Oauth));
                let chosen = choose(terminal, &[&browser, key], usual)?;
                Ok(if chosen == 0 {
                    Method::Oauth
                } else {
                    Method::ApiKey
                })
            }
            (None, Some(Method::Oauth)) => Ok(Method::Oauth),
            // Set up anew without a key, an endpoint that asks for none would lose the key that it has.
            (None, Some(Method::ApiKey) | None) => Err(nothing_said()),
        }
    }
}

fn nothing_said() -> Failure {
    Failure::new(
        Exit::Usage,
        "nothing says how to log in, and there is no terminal to ask",
    )
    .hint("run 'qwen-login --oauth', and open its address in a browser on any machine")
    .hint("or run 'qwen-login --with-key --provider NAME', with the key on standard input")
}

/// Names the server of a profile's own login, for people.
fn server_name(server: &OauthSettings) -> Option<String> {
    let endpoint = server.device_authorization_endpoint.clone();
    let url = endpoint.or_else(|| Url::parse(server.issuer.as_deref()?).ok())?;
    url.host_str().map(str::to_owned)
}

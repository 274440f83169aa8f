//! The login by device flow (RFC 8628).

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::choose_store;
use qwen_shared::net::config::{Config, Method};
use qwen_shared::net::credential::{Credential, Store, StoreKind, Stored};
use qwen_shared::net::http::{HttpError, Timeouts};
use qwen_shared::net::oauth::{
    Answer, Blocking, Endpoints, OauthError, PublicClient, TokenResponse, Transport, base_url_from_resource,
};
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};
use url::Url;

use super::authorization::{Attempt, DeviceAuthorization};
use super::login::Login;
use super::polling::{Exchange, SystemClock};
use super::profile::Entry;
use super::screen::Screen;
use crate::{browser, trial};

/// The authorization server of this login, and what the profile will say about it.
struct Server {
    settings: OauthSettings,
    /// The provider to write into the profile; `None` where the profile's own `oauth` says it all.
    provider: Option<&'static Provider>,
    entry: Entry,
}

/// Logs in and stores the tokens.
pub(crate) fn log_in(login: &mut Login<'_>) -> Outcome {
    let mut server = server(login)?;
    if let Some(notice) = server.provider.and_then(|provider| provider.notice.as_ref()) {
        login.reporter.notice(notice);
    }
    let is_qwen = server.provider.is_some_and(|provider| provider.name == "qwen");
    let store = choose_store(login.target.choice, &login.target.name, is_qwen, login.reporter)?;
    login
        .reporter
        .detail(&format!("the credential will be kept in '{}'", store.place()));
    let client = PublicClient::of(&server.settings)?;
    let transport = Watching::new(Blocking::new(Timeouts::for_token_requests()));
    let endpoints = Endpoints::resolve(&transport, &server.settings, login.target.profile.allow_http)?;
    let answer = exchange(login, &transport, &endpoints, &client)?;
    check_answer(&answer, &client, &server, &store, login.reporter);
    transport.report(login.reporter);
    let mut credential = Credential::from_response(answer, SystemTime::now());
    keep_foreign_members(&store, &mut credential);
    server.entry.store = Some(store.kind());
    let stored = Stored::Oauth(credential);
    login
        .target
        .save(&store, &stored, &server.entry, login.reporter)?;
    let ready = format!(
        "logged in: profile '{}', credential in '{}'",
        login.target.name,
        store.place()
    );
    login.target.report(&ready, login.reporter);
    if store.kind() == StoreKind::QwenCode {
        name_sharers(login);
    }
    if !login.args.no_verify {
        trial::of_login(&login.target.name, login.reporter);
    }
    Ok(Exit::Ok)
}

/// Finds the server: that of `--provider`, else the profile's own, else that of the profile's provider, else qwen.ai.
fn server(login: &Login<'_>) -> Result<Server, Failure> {
    let profile = &login.target.profile;
    let configured = profile.provider.as_deref().and_then(provider::named);
    let provider = match (login.provider, configured, &profile.oauth) {
        (Some(typed), _, _) => Some(typed),
        (None, Some(configured), own) if own.is_some() || configured.oauth.is_some() => Some(configured),
        (None, _, Some(_)) => None,
        (None, _, None) => provider::named("qwen"),
    };
    if let Some(provider) = provider {
        login.target.check_server(provider)?;
    }
    let theirs = provider.and_then(|provider| provider.oauth.as_ref());
    let settings = match (profile.oauth.clone(), theirs) {
        (Some(own), Some(theirs)) => Some(own.completed_by(theirs)),
        (own, theirs) => own.or_else(|| theirs.cloned()),
    };
    let settings = settings.ok_or_else(|| {
        let name = provider.map_or("", |provider| &provider.name);
        Failure::new(Exit::Usage, format!("provider '{name}' has no login by browser"))
            .hint(format!("run 'qwen-login --api-key --provider {name}'"))
    })?;
    Ok(Server {
        entry: entry(login, provider)?,
        settings,
        provider,
    })
}

/// Makes the profile's entry. What was written for another method or provider is left out: it would send the token
/// where it is not meant to go.
fn entry(login: &Login<'_>, provider: Option<&Provider>) -> Result<Entry, Failure> {
    let profile = &login.target.profile;
    let name = provider.map(|provider| &provider.name);
    let same = profile.method != Some(Method::ApiKey)
        && (profile.provider.is_none() || profile.provider.as_ref() == name);
    let base_url = match &login.args.base_url {
        Some(typed) => Some(super::endpoint::parse_option(typed, profile.allow_http)?),
        None => profile.base_url.clone().map(Url::from).filter(|_| same),
    };
    let present = profile.model.clone().filter(|_| same);
    Ok(Entry {
        method: Method::Oauth,
        provider: name.cloned(),
        base_url: base_url.map(String::from),
        model: login.args.model.clone().or(present),
        store: None,
    })
}

/// Gets the codes, shows them, opens a browser where there is one, and waits for the person.
fn exchange(
    login: &mut Login<'_>,
    transport: &Watching,
    endpoints: &Endpoints,
    client: &PublicClient,
) -> Result<TokenResponse, Failure> {
    let server = endpoints.token_endpoint.host_str().unwrap_or_default().to_owned();
    let attempt = Attempt::begin(client)
        .map_err(|error| Failure::new(Exit::Io, "the system gives no random numbers").caused_by(error))?;
    let device = DeviceAuthorization::request(transport, endpoints, client, &attempt)
        .map_err(|error| login_failed(&error, &server, login))?;
    let clock = SystemClock;
    let exchange = Exchange::new(transport, &clock, endpoints, client, &attempt, &device);
    let mut screen = Screen::new(login.reporter, login.terminal.as_mut());
    screen.show(&device, login.args.qr);
    open_browser(&device, login.args.no_browser, login.reporter);
    let answer = exchange.wait(&mut |progress| screen.progress(&progress));
    screen.clear();
    answer.map_err(|error| login_failed(&error, &server, login))
}

fn open_browser(device: &DeviceAuthorization, unwanted: bool, reporter: &Reporter) {
    let openers = match (unwanted, Reporter::is_seen()) {
        (true, _) => Err("--no-browser says so"),
        (false, false) => Err("nobody is looking at standard error"),
        (false, true) => browser::openers(),
    };
    match openers {
        Ok(openers) => {
            let address = device.verification_uri_complete.as_ref();
            let hidden = Config::load().map(|config| config.key_variables());
            let address = address.unwrap_or(&device.verification_uri);
            browser::open(openers, address, hidden.unwrap_or_default());
        }
        Err(reason) => reporter.detail(&format!("no browser is opened: {reason}")),
    }
}

/// Says why there is no token, and what may help.
fn login_failed(error: &OauthError, server: &str, login: &Login<'_>) -> Failure {
    let failure = error.failure(server);
    let again = format!(
        "run 'qwen-login --oauth --profile {}' to try again",
        login.target.name
    );
    match error {
        OauthError::Refused { code, .. } if code == "access_denied" => {
            Failure::new(Exit::NoAuth, format!("'{server}': the login was denied"))
                .caused_by(error.to_string())
                .hint(again)
        }
        OauthError::Refused { code, .. } if code == "invalid_grant" => failure
            .hint("the answer with the token may have been lost on its way")
            .hint(again),
        OauthError::Refused { .. } | OauthError::Expired if failure.exit != Exit::Config => {
            failure.hint(again)
        }
        _ => failure,
    }
}

/// Keeps what other programs have in the file that is shared with them.
fn keep_foreign_members(store: &Store, credential: &mut Credential) {
    if store.kind() == StoreKind::QwenCode
        && let Ok(Some(loaded)) = store.load()
        && let Stored::Oauth(old) = loaded.stored
    {
        let new = std::mem::replace(&mut credential.extra, old.extra);
        credential.extra.extend(new);
    }
}

/// Names the other profiles that keep their login in Qwen Code's file: it was replaced for them too.
fn name_sharers(login: &Login<'_>) {
    let Ok(config) = Config::load() else {
        return;
    };
    let others = config.profiles.iter().filter(|(name, profile)| {
        **name != login.target.name && profile.remembered_store() == Some(StoreKind::QwenCode)
    });
    for (name, _) in others {
        login.reporter.notice(&format!(
            "profile '{name}' keeps its login in the same file, so this one is its too"
        ));
        login
            .reporter
            .hint("run 'qwen-login --store keyring' for one of them to keep them apart");
    }
}

/// Reports what is not as it was asked for.
fn check_answer(
    answer: &TokenResponse,
    client: &PublicClient,
    server: &Server,
    store: &Store,
    reporter: &Reporter,
) {
    if let Some(granted) = &answer.scope {
        let has = |word: &str| granted.split_whitespace().any(|granted| granted == word);
        let missing: Vec<&str> = client
            .scope
            .split_whitespace()
            .filter(|word| !has(word))
            .collect();
        if !missing.is_empty() {
            reporter.notice(&format!("the server did not grant '{}'", missing.join(" ")));
        }
    }
    if let Some(resource) = &answer.resource_url
        && let Err(error) = base_url_from_resource(resource, &server.settings.allowed_hosts)
    {
        reporter.notice(&format!(
            "the server names an endpoint that will not get the token: {error}"
        ));
    }
    if answer.refresh_token.is_none() {
        reporter.notice("the server gave no refresh token: you will have to log in again when this one ends");
    }
    let complete = answer.refresh_token.is_some() && answer.expires_in.is_some();
    if store.kind() == StoreKind::QwenCode && !complete {
        reporter.notice("Qwen Code cannot use this login: it needs a refresh token and an expiry");
    }
}

/// A difference that is worth a word. The answer was on its way for some of it.
const WORTH_A_WORD: Duration = Duration::from_secs(120);

/// A transport that notes by how much the server's clock differs from this machine's.
pub(crate) struct Watching {
    inner: Blocking,
    skew: Cell<Option<(SystemTime, SystemTime)>>,
}

impl Watching {
    pub(crate) const fn new(inner: Blocking) -> Self {
        Self {
            inner,
            skew: Cell::new(None),
        }
    }

    fn noted(&self, answer: Answer) -> Answer {
        if let Some(theirs) = answer.server_time() {
            self.skew.set(Some((SystemTime::now(), theirs)));
        }
        answer
    }

    /// Tells the user when the clocks differ: expiry times are reckoned by this machine's.
    pub(crate) fn report(&self, reporter: &Reporter) {
        let Some((ours, theirs)) = self.skew.get() else {
            return;
        };
        let (ahead, difference) = match ours.duration_since(theirs) {
            Ok(difference) => ("ahead of", difference),
            Err(error) => ("behind", error.duration()),
        };
        if difference >= WORTH_A_WORD {
            let minutes = difference.as_secs() / 60;
            reporter.notice(&format!(
                "this machine's clock is {minutes} min {ahead} the server's; tokens may seem to end at the wrong time"
            ));
        }
    }
}

impl Transport for Watching {
    fn post_form(&self, url: &Url, headers: &[(&str, &str)], form: &str) -> Result<Answer, HttpError> {
        self.inner
            .post_form(url, headers, form)
            .map(|answer| self.noted(answer))
    }

    fn fetch(&self, url: &Url) -> Result<Answer, HttpError> {
        self.inner.fetch(url).map(|answer| self.noted(answer))
    }
}

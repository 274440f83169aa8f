//! The login by device authorization grant (RFC 8628).

use std::io;
use std::time::SystemTime;

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{Config, KeySetting, Method, Profile};
use qwen_shared::net::credential::{Credential, LoginJournal, Store, StoreKind, Stored};
use qwen_shared::net::http::{Timeouts, server_name};
use qwen_shared::net::oauth::{
    BlockingTransport, LoginEndpoints, OauthError, PublicClient, TokenResponse, Transport,
    base_url_from_resource,
};
use qwen_shared::net::random;
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};

use crate::approval::{ApprovalTransport, DatedTransport};
use crate::device_authorization::DeviceAuthorization;
use crate::device_prompt::DevicePrompt;
use crate::login::{Login, SILENCE, ask_server};
use crate::pkce::CodeVerifier;
use crate::polling::{SystemClock, TokenPoller};
use crate::profile::ProfileUpdate;
use crate::store::{self, choose_store};
use crate::{base_url, browser, scope, test_request};

/// The authorization server.
struct Server {
    settings: OauthSettings,
    /// `None` where the profile's own `oauth` describes the whole server.
    provider: Option<&'static Provider>,
}

/// Logs in and stores the tokens.
pub(crate) fn log_in(login: &mut Login<'_>) -> Outcome {
    let server = server(login)?;
    let mut update = profile_update(login, server.provider)?;
    let reporter = login.reporter;
    if let Some(notice) = server.provider.and_then(|provider| provider.notice.as_ref()) {
        reporter.notice(notice);
    }
    let is_qwen = server.provider.is_some_and(|provider| provider.name == "qwen");
    let store = choose_store(login, is_qwen)?;
    reporter.detail(&format!("the credential will be stored in '{}'", store.place()));
    let client = PublicClient::from_settings(&server.settings)?;
    let transport = DatedTransport::new(BlockingTransport::new(Timeouts::for_token_requests()));
    let endpoints = find_endpoints(login, &transport, &server.settings)?;
    update.store = Some(store.kind());
    let journal = LoginJournal::begin(&login.profile.subject(&update, &server.settings)?)?;
    let approval = ApprovalTransport::new(&transport, journal);
    let kept = earlier_login(login, &store);
    let response = request_token(login, &approval, &endpoints, &client, kept.as_deref())?;
    check_response(&response, &client, &server, &store, reporter);
    let mut credential = Credential::from_response(response, SystemTime::now());
    transport.report_clock_difference(reporter);
    store.keep_unknown_members(&mut credential);
    let approved = approval.into_approved();
    let store = store::keep(
        login,
        store,
        &Stored::Oauth(credential),
        &mut update,
        is_qwen,
        approved,
    )?;
    let (name, place) = (&login.profile.name, store.place());
    let result = format!("logged in: profile '{name}', credential in '{place}'");
    login.profile.report(&result, reporter);
    if store.kind() == StoreKind::QwenCode {
        report_shared_login(login);
    }
    if !login.args.no_verify {
        test_request::test_login(name, reporter);
    }
    Ok(Exit::Ok)
}

/// Returns the server's endpoints: those that are set, or those that its issuer names.
fn find_endpoints(
    login: &Login<'_>,
    transport: &dyn Transport,
    settings: &OauthSettings,
) -> Result<LoginEndpoints, Failure> {
    let issuer = settings.issuer.as_deref().unwrap_or_default();
    ask_server(login.reporter, &format!("'{issuer}'"), SILENCE, || {
        LoginEndpoints::find(transport, settings, allows_http(login))
    })
}

/// True where the profile, or the flag, allows plain http to other machines.
const fn allows_http(login: &Login<'_>) -> bool {
    login.profile.settings.allow_http || login.args.allow_http
}

/// Returns the server of `--provider`, else the profile's own, else that of the profile's provider, else qwen.ai.
fn server(login: &Login<'_>) -> Result<Server, Failure> {
    let profile = &login.profile.settings;
    let configured = profile.provider.as_deref().and_then(provider::named);
    let provider = match (login.provider, configured, &profile.oauth) {
        (Some(given), _, _) => Some(given),
        (None, Some(configured), own) if own.is_some() || configured.oauth.is_some() => Some(configured),
        (None, _, Some(_)) => None,
        (None, _, None) => provider::named("qwen"),
    };
    if let Some(provider) = provider {
        login.profile.check_server(provider)?;
    }
    let of_provider = provider.and_then(|provider| provider.oauth.as_ref());
    let settings = match (profile.oauth.clone(), of_provider) {
        (Some(own), Some(of_provider)) => Some(own.completed_by(of_provider)),
        (own, of_provider) => own.or_else(|| of_provider.cloned()),
    };
    let settings = settings.ok_or_else(|| {
        let name = provider.map_or("", |provider| &provider.name);
        Failure::new(Exit::Usage, format!("provider '{name}' has no login by browser"))
            .hint(format!("run 'qwen-login --api-key --provider {name}'"))
    })?;
    Ok(Server { settings, provider })
}

/// Drops the endpoint and model that were set for another method or provider: the token must not go there.
fn profile_update(login: &Login<'_>, provider: Option<&Provider>) -> Result<ProfileUpdate, Failure> {
    let profile = &login.profile.settings;
    let name = provider.map(|provider| &provider.name);
    let is_same = profile.method != Some(Method::ApiKey)
        && (profile.provider.is_none() || profile.provider.as_ref() == name);
    let base_url = match &login.args.base_url {
        Some(given) => Some(base_url::parse_option(given)?),
        None => profile.base_url.clone().filter(|_| is_same),
    };
    let model = profile.model.clone().filter(|_| is_same);
    let mut update = ProfileUpdate {
        method: Method::Oauth,
        provider: name.cloned(),
        base_url: base_url.map(|url| url.as_str().to_owned()),
        model: login.args.model.clone().or(model),
        store: None,
        allow_http: login.args.allow_http,
    };
    update.allow_http |= login.profile.moved_to(update.endpoint()).allow_http;
    Ok(update)
}

/// Says that the login which the profile has stays until a new one is stored; `None` where it has none.
fn earlier_login(login: &Login<'_>, store: &Store) -> Option<String> {
    let found = store.load().ok()??;
    let is_login = matches!(found.stored, Stored::Oauth(_));
    is_login.then(|| format!("profile '{}' keeps its earlier login", login.profile.name))
}

fn and_kept(mut failure: Failure, kept: Option<&str>) -> Failure {
    if let Some(kept) = kept {
        failure.message = format!("{}; {kept}", failure.message);
    }
    failure
}

/// Requests the codes, shows them, opens a browser, and polls for the token. What `kept` says of an earlier login is said
/// where nothing comes of that.
fn request_token(
    login: &mut Login<'_>,
    transport: &dyn Transport,
    endpoints: &LoginEndpoints,
    client: &PublicClient,
    kept: Option<&str>,
) -> Result<TokenResponse, Failure> {
    let verifier = client
        .pkce
        .then(CodeVerifier::generate)
        .transpose()
        .map_err(no_random)?;
    let requested = request_codes(login, transport, endpoints, client, verifier.as_ref());
    let device = requested.map_err(|failure| and_kept(failure, kept))?;
    let reporter = login.reporter;
    let say_kept = || {
        if Reporter::is_seen() {
            reporter.plain("");
        }
        kept.iter().for_each(|kept| reporter.notice(kept));
    };
    let clock = match kept {
        Some(_) => SystemClock::interrupted_by(&say_kept),
        None => SystemClock::default(),
    };
    let poller = TokenPoller::new(
        transport,
        &clock,
        &endpoints.token_endpoint,
        client,
        verifier.as_ref(),
        &device,
    );
    let mut prompt = DevicePrompt::new(reporter, login.terminal.as_mut());
    prompt.show(&device, login.args.qr);
    open_browser(&device, login.args.no_browser, reporter);
    let response = poller.poll_until_done(&mut |progress| prompt.progress(&progress));
    prompt.clear_countdown();
    let server = server_name(&endpoints.token_endpoint);
    response.map_err(|error| and_kept(login_failed(&error, &server, &login.profile.name), kept))
}

fn request_codes(
    login: &Login<'_>,
    transport: &dyn Transport,
    endpoints: &LoginEndpoints,
    client: &PublicClient,
    verifier: Option<&CodeVerifier>,
) -> Result<DeviceAuthorization, Failure> {
    let server = server_name(&endpoints.token_endpoint);
    let request_id = random::uuid().map_err(no_random)?;
    let device = ask_server(login.reporter, &format!("'{server}'"), SILENCE, || {
        DeviceAuthorization::request(
            transport,
            &endpoints.device_authorization_endpoint,
            client,
            verifier,
            &request_id,
            allows_http(login),
        )
    })
    .map_err(|error| not_started(&error, &server, login.profile.settings.oauth.is_some()))?;
    if device.verification_uri.is_plain_http() {
        let address = &device.verification_uri;
        login.reporter.notice(&format!(
            "'{address}' is plain http: whoever is on that network can show you another page"
        ));
    }
    Ok(device)
}

fn no_random(error: io::Error) -> Failure {
    Failure::new(Exit::Io, "the operating system gives no random bytes").caused_by(error)
}

fn open_browser(device: &DeviceAuthorization, no_browser: bool, reporter: &Reporter) {
    let openers = match (no_browser, Reporter::is_seen()) {
        (true, _) => Err("--no-browser"),
        (false, false) => Err("standard error is not a terminal"),
        (false, true) => browser::openers(),
    };
    match openers {
        Ok(openers) => {
            let address = device.verification_uri_complete.as_ref();
            let address = address.unwrap_or(&device.verification_uri);
            browser::open(openers, address, key_variables());
        }
        Err(reason) => reporter.detail(&format!("no browser is opened: {reason}")),
    }
}

/// Returns the variables that profiles take their keys from.
fn key_variables() -> Vec<String> {
    let profiles = Config::load().unwrap_or_default().profiles;
    let variable = |profile: Profile| match profile.key {
        Some(KeySetting::Env(name)) => Some(name),
        _ => None,
    };
    profiles.into_values().filter_map(variable).collect()
}

/// The failure of a login for which no code was given. Where the server is a provider's, no setting of the user's can mend it.
fn not_started(error: &OauthError, server: &str, is_own_server: bool) -> Failure {
    let failure = error.failure_before_login(server);
    if is_own_server || failure.exit != Exit::Config {
        return failure;
    }
    let failure = Failure {
        hints: Vec::new(),
        ..failure
    };
    failure.hint("run 'qwen-login --api-key' to use a key instead")
}

fn login_failed(error: &OauthError, server: &str, profile: &str) -> Failure {
    let failure = error.failure(server);
    let again = format!("run 'qwen-login --oauth --profile {profile}' to try again");
    match error {
        denied if denied.is_denial() => {
            Failure::new(Exit::NoAuth, format!("'{server}': the login was denied"))
                .caused_by(error.to_string())
                .hint(again)
        }
        refused if refused.is_refused_as("invalid_grant") => failure
            .hint("the response with the token may have been lost")
            .hint(again),
        OauthError::Refused { .. } | OauthError::Expired if failure.exit != Exit::Config => {
            failure.hint(again)
        }
        _ => failure,
    }
}

/// Names the other profiles whose login is in Qwen Code's file: it was replaced for them too.
fn report_shared_login(login: &Login<'_>) {
    let Ok(config) = Config::load() else {
        return;
    };
    let others = config.profiles.iter().filter(|(name, profile)| {
        **name != login.profile.name && profile.remembered_store() == Some(StoreKind::QwenCode)
    });
    for (name, _) in others {
        login.reporter.notice(&format!(
            "profile '{name}' stores its login in the same file and uses this one now"
        ));
        login
            .reporter
            .hint("run 'qwen-login --store keyring' for one of them to keep them apart");
    }
}

/// Reports what the response lacks.
fn check_response(
    response: &TokenResponse,
    client: &PublicClient,
    server: &Server,
    store: &Store,
    reporter: &Reporter,
) {
    let missing = scope::not_granted(client.scope.as_deref().unwrap_or_default(), response);
    if !missing.is_empty() {
        reporter.notice(&format!("the server did not grant '{}'", missing.join(" ")));
    }
    if let Some(resource) = &response.resource_url
        && let Err(error) = base_url_from_resource(resource, &server.settings.allowed_hosts)
    {
        reporter.notice(&format!(
            "the server names an endpoint that the token is not sent to: {error}"
        ));
    }
    if response.refresh_token.is_none() {
        reporter.notice("the server sent no refresh token: log in again when this token expires");
    }
    let complete = response.refresh_token.is_some() && response.expires_in.is_some();
    if store.kind() == StoreKind::QwenCode && !complete {
        reporter.notice("Qwen Code cannot use this login: it needs a refresh token and an expiry");
    }
}

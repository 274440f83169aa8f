//! `qwen-auth status`: the settings in use, their sources, and the state of the credential.

use std::time::{Duration, SystemTime};

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::{Authorization, check_stored_for, store_of};
use qwen_shared::net::config::{Auth, Key, Overrides, Settings, Source};
use qwen_shared::net::credential::{Credential, StoreKind, Stored, StoredKey};
use qwen_shared::net::date::rfc3339;
use qwen_shared::net::ratelimit::RateLimit;
use qwen_shared::net::ratelimit::identity;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::paths;
use qwen_shared::provider::Rate;
use qwen_shared::secret::Secret;
use qwen_shared::text::one_line;
use serde_json::{Map, Value, json};

use crate::args::Format;
use crate::profiles;

/// Prints the report, then fails if the credential cannot be used.
pub(crate) fn show(profile: Option<&str>, format: Format, reporter: &Reporter) -> Outcome {
    let report = match Report::new(profile, reporter) {
        Ok(report) => report,
        Err(failure) => {
            if format == Format::Json {
                profiles::print_json(&without_settings(&failure))?;
            }
            return Err(failure);
        }
    };
    match format {
        Format::Text => Stdout::write_lines(&report.to_text())?,
        Format::Json => profiles::print_json(&report.to_json())?,
    }
    for notice in &report.notices {
        reporter.notice(notice);
    }
    report.into_failure().map_or(Ok(Exit::Ok), Err)
}

/// The report where there are no settings: every member is there, for a reader that asks for one.
fn without_settings(failure: &Failure) -> Value {
    let state = match failure.exit {
        Exit::NoAuth => State::Missing.name(),
        _ => "unknown",
    };
    let mut report = Map::new();
    for name in MEMBERS {
        report.insert(name.to_owned(), Value::Null);
    }
    report.insert("state".to_owned(), json!(state));
    report.insert("error".to_owned(), json!(failure.message));
    report.insert("sources".to_owned(), json!({}));
    report.insert("notices".to_owned(), json!([]));
    Value::Object(report)
}

/// The members of the report in JSON.
const MEMBERS: [&str; 19] = [
    "profile",
    "method",
    "provider",
    "endpoint",
    "model",
    "key",
    "store",
    "headers",
    "query",
    "place",
    "state",
    "error",
    "expires_at",
    "expires_in",
    "requests_today",
    "requests_per_day",
    "requests_per_minute",
    "sources",
    "notices",
];

/// The state of the credential.
enum State {
    /// An access token that has not expired.
    Valid,
    /// An access token without an expiry.
    Unbounded,
    /// An expired access token with a refresh token.
    Renewable,
    /// An expired access token without a refresh token.
    Expired,
    Missing,
    /// A key of a flag, a variable or Qwen Code's settings. Nobody has asked a server.
    Set,
    /// A key in a store, likewise.
    Stored,
    /// The key of a command, which is not run here: it may ask for a password.
    NotRun,
    /// The endpoint takes requests without a credential.
    NotNeeded,
    /// The store could not be read.
    Unknown(Failure),
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unbounded => "unbounded",
            Self::Renewable => "renewable",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::NotNeeded => "not-needed",
            Self::Set | Self::Stored | Self::NotRun | Self::Unknown(_) => "unknown",
        }
    }

    const fn description(&self) -> &'static str {
        match self {
            Self::Unbounded => "valid until the server says otherwise",
            Self::Renewable => "expired, refreshed at the next use",
            Self::Missing => "nothing is stored",
            Self::Set => "set, not tested",
            Self::Stored => "stored, not tested",
            Self::NotRun => "unknown, the command was not run",
            Self::NotNeeded => "no key needed",
            other => other.name(),
        }
    }
}

struct Report {
    settings: Settings,
    endpoint: String,
    endpoint_source: String,
    /// The key, its middle masked, or what prints it.
    key: Option<String>,
    /// Where the credential is: a path, the system keyring, a variable.
    place: String,
    store: Option<StoreKind>,
    state: State,
    expires_at: Option<SystemTime>,
    requests_today: Option<u32>,
    notices: Vec<String>,
}

impl Report {
    fn new(profile: Option<&str>, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::resolve(&Overrides {
            profile: profile.map(str::to_owned),
            ..Overrides::default()
        })?;
        let mut report = Self {
            endpoint: settings.base_url.value.to_string(),
            endpoint_source: settings.base_url.source.to_string(),
            key: match &settings.auth.value {
                // Its ends are shown when it is read.
                Auth::ApiKey(Key::Stored(_)) => None,
                auth => auth.shown_key(),
            },
            place: settings.auth.source.to_string(),
            store: None,
            state: State::NotNeeded,
            expires_at: None,
            requests_today: None,
            notices: settings.notices.clone(),
            settings,
        };
        let (key, credential) = match report.load(reporter) {
            Some(Stored::ApiKey(key)) => (Some(key.key), None),
            Some(Stored::Oauth(credential)) => (None, Some(credential)),
            None => (None, None),
        };
        if let Some(key) = &key {
            report.key = Some(key.masked());
        }
        report.count_requests(key.as_ref());
        if let Some(credential) = &credential {
            report.set_expiry(credential);
        }
        if credential.is_some() || !report.settings.uses_oauth() {
            report.set_endpoint(credential);
        }
        Ok(report)
    }

    /// Returns the key or the login, if that needs no command: it may ask for a password.
    fn load(&mut self, reporter: &Reporter) -> Option<Stored> {
        match &self.settings.auth.value {
            Auth::None => "no key needed".clone_into(&mut self.place),
            Auth::ApiKey(Key::Given(key)) => {
                self.state = State::Set;
                return Some(Stored::ApiKey(StoredKey {
                    key: key.clone(),
                    stored_for: None,
                }));
            }
            Auth::ApiKey(Key::Command(command)) => {
                self.place = format!("command '{}'", command.program());
                self.state = State::NotRun;
            }
            Auth::ApiKey(Key::Stored(_)) | Auth::Oauth { .. } => return self.load_from_store(reporter),
        }
        None
    }

    fn load_from_store(&mut self, reporter: &Reporter) -> Option<Stored> {
        let loaded = store_of(&self.settings, reporter).and_then(|store| {
            self.place = store.place();
            self.store = Some(store.kind());
            Ok(store.load_recovered(&|text| reporter.notice(text))?)
        });
        match loaded {
            Err(failure) => self.state = State::Unknown(failure),
            Ok(None) => {
                self.state = State::Missing;
                let is_shared = self.store == Some(StoreKind::QwenCode);
                self.notices.extend(paths::missing_home().filter(|_| is_shared));
            }
            Ok(Some(loaded)) => {
                self.notices.extend(loaded.notice);
                let is_login = matches!(loaded.stored, Stored::Oauth(_));
                if is_login == self.settings.uses_oauth() {
                    if let Err(failure) = check_stored_for(&self.settings, &loaded.stored) {
                        self.state = State::Unknown(failure);
                        return None;
                    }
                    self.state = State::Stored;
                    return Some(loaded.stored);
                }
                self.state = State::Missing;
                let notice = "the store holds a credential of the other method";
                self.notices.push(notice.to_owned());
            }
        }
        None
    }

    fn set_expiry(&mut self, credential: &Credential) {
        self.expires_at = credential.expires_at;
        self.state = match credential.expires_in(SystemTime::now()) {
            None => State::Unbounded,
            Some(left) if !left.is_zero() => State::Valid,
            Some(_) if credential.refresh_token.is_some() => State::Renewable,
            Some(_) => State::Expired,
        };
    }

    /// Sets the endpoint that gets the secret. If none may get it, that is a notice.
    fn set_endpoint(&mut self, credential: Option<Credential>) {
        let authorization = Authorization {
            credential,
            ..Authorization::default()
        };
        match authorization.base_url(&self.settings) {
            Ok(url) if url == self.settings.base_url.value => {}
            Ok(url) => {
                self.endpoint = url.to_string();
                "resource_url of the credential".clone_into(&mut self.endpoint_source);
            }
            Err(failure) => self.notices.push(failure.message),
        }
    }

    fn count_requests(&mut self, key: Option<&Secret<String>>) {
        let is_unknown = key.is_none() && matches!(self.settings.auth.value, Auth::ApiKey(_));
        if !is_unknown && self.settings.rate.is_some() {
            let identity = identity(&self.settings, key);
            self.requests_today = Some(RateLimit::new(&identity, self.settings.rate, false, false).today());
        }
    }

    /// Says why the credential cannot be used, where it cannot.
    fn error(&self) -> Option<String> {
        let name = self.settings.profile_name();
        match &self.state {
            State::Valid
            | State::Unbounded
            | State::Renewable
            | State::Set
            | State::Stored
            | State::NotRun
            | State::NotNeeded => None,
            State::Expired => Some(format!("the login of profile '{name}' has expired")),
            State::Missing => Some(format!("no credential for profile '{name}'")),
            State::Unknown(failure) => Some(failure.message.clone()),
        }
    }

    fn into_failure(self) -> Option<Failure> {
        let error = self.error()?;
        let flag = if self.settings.uses_oauth() {
            " --oauth"
        } else {
            ""
        };
        let login = format!(
            "run 'qwen-login{flag} --profile {}'",
            self.settings.profile_name()
        );
        Some(match self.state {
            State::Unknown(failure) => failure,
            _ => Failure::new(Exit::NoAuth, error).hint(login),
        })
    }

    /// Returns the time until the token expires.
    fn expires_in(&self) -> Option<Duration> {
        self.expires_at?.duration_since(SystemTime::now()).ok()
    }

    /// Returns name, value and source.
    fn rows(&self) -> Vec<(&'static str, Option<String>, Option<String>)> {
        let settings = &self.settings;
        let profile = settings.profile.as_ref();
        let auth_source = || settings.auth.source.to_string();
        let store_source = || match StoreKind::from_environment() {
            Ok(Some(_)) => "environment QWEN_CREDENTIAL_STORE".to_owned(),
            _ => auth_source(),
        };
        let row = |name, value: &str, source: String| (name, Some(value.to_owned()), Some(source));
        let (provider, model) = (&settings.provider, &settings.model);
        vec![
            (
                "profile",
                profile.map(|profile| profile.value.clone()),
                profile.map(|profile| profile.source.to_string()),
            ),
            row("method", settings.method(), auth_source()),
            row("provider", &provider.value.name, provider.source.to_string()),
            row("endpoint", &self.endpoint, self.endpoint_source.clone()),
            row("model", &model.value, model.source.to_string()),
            ("key", self.key.clone(), self.key.as_ref().map(|_| auth_source())),
            (
                "store",
                self.store.map(|store| store.to_string()),
                self.store.map(|_| store_source()),
            ),
        ]
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str, source: Option<String>| {
            let source = source.map_or_else(String::new, |source| format!("  ({source})"));
            text.push_str(&one_line(&format!("{name:10}  {value}{source}")));
            text.push('\n');
        };
        for (name, value, source) in self.rows() {
            let shown = value.as_deref().unwrap_or("none");
            match name {
                "key" if value.is_none() => {}
                // A key that is in no store has said where it comes from.
                "store" if value.is_none() && self.key.is_some() => {}
                "store" => line(name, &format!("{shown}, {}", self.place), source),
                _ => line(name, shown, source),
            }
        }
        let profile = Source::Profile(self.settings.profile_name().to_owned()).to_string();
        for (name, members) in self.settings.masked_members() {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            line(name, &members.join(" "), Some(profile.clone()));
        }
        line("credential", &self.describe_credential(), None);
        line("requests", &self.describe_requests(), self.quota_source());
        text
    }

    /// Returns who says how many requests may be made; `None` where nobody does.
    fn quota_source(&self) -> Option<String> {
        let rate = self.settings.rate.and_then(Rate::in_words);
        rate.map(|_| self.settings.rate_source.to_string())
    }

    fn describe_credential(&self) -> String {
        let state = self.state.description();
        match (self.expires_at, self.expires_in()) {
            (Some(end), Some(left)) => format!("{state} until {}, for {} more", rfc3339(end), rounded(left)),
            (Some(end), None) => format!("{state}, since {}", rfc3339(end)),
            (None, _) => state.to_owned(),
        }
    }

    fn describe_requests(&self) -> String {
        let rate = self.settings.rate.unwrap_or_default();
        let per_minute = rate.per_minute.map(|limit| format!("at most {limit} a minute"));
        let of_day = match (self.requests_today, rate.per_day) {
            (Some(today), Some(limit)) => Some(format!("{today} of {limit} today")),
            (Some(today), None) => Some(format!("{today} today")),
            (None, Some(limit)) => Some(format!("at most {limit} a day")),
            (None, None) => None,
        };
        let known: Vec<String> = of_day.into_iter().chain(per_minute).collect();
        match known.is_empty() {
            true => "not counted, no quota is known".to_owned(),
            false => known.join(", "),
        }
    }

    fn to_json(&self) -> Value {
        let (mut json, mut sources) = (Map::new(), Map::new());
        for (name, value, source) in self.rows() {
            json.insert(name.to_owned(), json!(value));
            sources.insert(name.to_owned(), json!(source));
        }
        let masked = self.settings.masked_members();
        for name in ["headers", "query"] {
            let members = masked.iter().find(|(own, _)| *own == name);
            json.insert(name.to_owned(), json!(members.map(|(_, members)| members)));
            let source = Source::Profile(self.settings.profile_name().to_owned()).to_string();
            sources.insert(name.to_owned(), json!(members.map(|_| source)));
        }
        sources.insert("quota".to_owned(), json!(self.quota_source()));
        let rate = self.settings.rate.unwrap_or_default();
        let others = json!({
            "place": self.place,
            "state": self.state.name(),
            "error": self.error(),
            "expires_at": self.expires_at.map(rfc3339),
            "expires_in": self.expires_in().map(|left| left.as_secs()),
            "requests_today": self.requests_today,
            "requests_per_day": rate.per_day,
            "requests_per_minute": rate.per_minute,
            "sources": sources,
            "notices": self.notices,
        });
        if let Value::Object(others) = others {
            json.extend(others);
        }
        Value::Object(json)
    }
}

/// Formats a duration with its two largest units.
fn rounded(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

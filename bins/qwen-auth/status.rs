//! `qwen-auth status`.

use std::time::{Duration, SystemTime};

use qwen_shared::date::rfc3339;
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::Authorization;
use qwen_shared::net::api::store_of;
use qwen_shared::net::config::{Auth, Key, Overrides, Settings};
use qwen_shared::net::credential::{Credential, Life, StoreKind, Stored};
use qwen_shared::net::ratelimit::Pace;
use qwen_shared::net::ratelimit::identity;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret::Secret;
use qwen_shared::text::{escape_json, one_line};
use serde_json::{Map, Value, json};

use super::args::Format;

/// Prints the report. What cannot be used is a failure after it.
pub(crate) fn show(profile: Option<&str>, format: Format, reporter: &Reporter) -> Outcome {
    let report = Report::make(profile, reporter)?;
    let text = match format {
        Format::Text => text(&report),
        Format::Json => serde_json::to_string_pretty(&report.to_json())
            .map(|text| format!("{}\n", escape_json(&text)))
            .map_err(|error| Failure::new(Exit::Bug, "cannot write the report").caused_by(error))?,
    };
    Stdout::write(text.as_bytes())?;
    for notice in &report.notices {
        reporter.notice(notice);
    }
    let name = report.settings.profile_name().to_owned();
    let login = format!("run 'qwen-login --profile {name}'");
    match report.state {
        State::Valid | State::Unbounded | State::Renewable => Ok(Exit::Ok),
        State::Expired => {
            Err(Failure::new(Exit::NoAuth, format!("the login of profile '{name}' has expired")).hint(login))
        }
        State::Missing => {
            Err(Failure::new(Exit::NoAuth, format!("no credential for profile '{name}'")).hint(login))
        }
        State::Unknown(failure) => Err(failure),
    }
}

/// Lays the report out for people: what, and in parentheses who said so.
fn text(report: &Report) -> String {
    let settings = &report.settings;
    let [profile, method, provider, endpoint, model, store] = report.sources().map(|(_, source)| source);
    let none = "none".to_owned();
    let lines = [
        (
            "profile",
            settings
                .profile
                .as_ref()
                .map_or(none, |profile| profile.value.clone()),
            profile,
        ),
        ("method", settings.method().to_owned(), method),
        ("provider", settings.provider.value.name.clone(), provider),
        ("endpoint", report.endpoint.clone(), endpoint),
        ("model", settings.model.value.clone(), model),
        (
            "store",
            match &report.store {
                Some(store) => format!("{store}, {}", report.place),
                None => format!("none, {}", report.place),
            },
            store,
        ),
        ("credential", credential(report), None),
        ("requests", requests(report), None),
    ];
    let mut text = String::new();
    for (name, value, source) in lines {
        let source = source.map_or_else(String::new, |source| format!("  ({source})"));
        text.push_str(&one_line(&format!("{name:10}  {value}{source}")));
        text.push('\n');
    }
    text
}

fn credential(report: &Report) -> String {
    let words = report.state.words();
    match (report.expires_at, report.expires_in()) {
        (Some(end), Some(left)) => format!("{words} until {}, for {} more", rfc3339(end), roughly(left)),
        (Some(end), None) => format!("{words}, since {}", rfc3339(end)),
        (None, _) => words.to_owned(),
    }
}

fn requests(report: &Report) -> String {
    let rate = report.settings.rate;
    match (report.requests_today, rate.and_then(|rate| rate.per_day)) {
        (Some(today), Some(most)) => format!("{today} of {most} today"),
        (Some(today), None) => format!("{today} today"),
        (None, Some(most)) => format!("at most {most} a day"),
        (None, None) => "not counted, no quota is known".to_owned(),
    }
}

/// Writes a time with its two largest units.
fn roughly(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// How it stands with the credential.
pub(crate) enum State {
    /// Usable: a key, a live token, or an endpoint that asks for none.
    Valid,
    /// A token whose server did not say when it ends.
    Unbounded,
    /// A token that is dead, and a refresh token for the next one.
    Renewable,
    /// A dead token.
    Expired,
    /// Nothing is stored.
    Missing,
    /// The store could not be asked.
    Unknown(Failure),
}

impl State {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unbounded => "unbounded",
            Self::Renewable => "renewable",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::Unknown(_) => "unknown",
        }
    }

    pub(crate) const fn words(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Unbounded => "valid until the server says otherwise",
            Self::Renewable => "expired, refreshed at the next use",
            Self::Expired => "expired",
            Self::Missing => "nothing is stored",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// Everything that `status` shows.
pub(crate) struct Report {
    pub(crate) settings: Settings,
    pub(crate) endpoint: String,
    pub(crate) endpoint_source: String,
    /// Where the credential is: a path, the system keyring, a variable.
    pub(crate) place: String,
    pub(crate) store: Option<String>,
    pub(crate) state: State,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) requests_today: Option<u32>,
    /// What is wrong or surprising.
    pub(crate) notices: Vec<String>,
}

impl Report {
    /// Looks at settings and store. A store that cannot be asked is part of the report.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub(crate) fn make(profile: Option<&str>, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::resolve(&Overrides {
            profile: profile.map(str::to_owned),
            ..Overrides::default()
        })?;
        let mut report = Self {
            endpoint: settings.base_url.value.to_string(),
            endpoint_source: settings.base_url.source.to_string(),
            place: settings.auth.source.to_string(),
            store: None,
            state: State::Valid,
            expires_at: None,
            requests_today: None,
            notices: settings.notices.clone(),
            settings,
        };
        let (key, credential) = report.look(reporter);
        report.judge(credential.as_ref());
        report.find_endpoint(credential);
        report.count(key.as_ref());
        Ok(report)
    }

    /// Reads the store, where there is one; returns the key or the login that it holds.
    fn look(&mut self, reporter: &Reporter) -> (Option<Secret<String>>, Option<Credential>) {
        match &self.settings.auth.value {
            Auth::None => {
                "none is needed".clone_into(&mut self.place);
                return (None, None);
            }
            Auth::ApiKey(Key::Given(key)) => return (Some(key.clone()), None),
            Auth::ApiKey(Key::Command(words)) => {
                let program = words.first().map_or("", String::as_str);
                self.place = format!("command '{program}'");
                return (None, None);
            }
            Auth::ApiKey(Key::Stored(_)) | Auth::Oauth { .. } => {}
        }
        let loaded = store_of(&self.settings, reporter).and_then(|store| {
            self.place = store.place();
            self.store = Some(store.kind().to_string());
            Ok(store.load()?)
        });
        let wants_login = self.settings.uses_oauth();
        match loaded {
            Err(failure) => self.state = State::Unknown(failure),
            Ok(None) => self.state = State::Missing,
            Ok(Some(loaded)) => {
                self.notices.extend(loaded.notice);
                match loaded.stored {
                    Stored::ApiKey(key) if !wants_login => return (Some(key), None),
                    Stored::Oauth(credential) if wants_login => return (None, Some(credential)),
                    _ => {
                        self.state = State::Missing;
                        self.notices
                            .push("the store holds a credential of the other method".to_owned());
                    }
                }
            }
        }
        (None, None)
    }

    fn judge(&mut self, credential: Option<&Credential>) {
        let Some(credential) = credential else {
            return;
        };
        self.expires_at = credential.expires_at;
        self.state = match credential.remaining(SystemTime::now()) {
            Life::For(_) => State::Valid,
            Life::Unknown => State::Unbounded,
            Life::Expired if credential.refresh_token.is_some() => State::Renewable,
            Life::Expired => State::Expired,
        };
    }

    /// A login's `resource_url` names the endpoint where only the provider's default stands against it. An endpoint that
    /// will not get the secret is worth a notice.
    fn find_endpoint(&mut self, credential: Option<Credential>) {
        if self.settings.uses_oauth() && credential.is_none() {
            return;
        }
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

    /// A key that a command prints is not asked for: the command may ask for a password.
    fn count(&mut self, key: Option<&Secret<String>>) {
        if key.is_none() && matches!(self.settings.auth.value, Auth::ApiKey(_)) {
            return;
        }
        if self.settings.rate.is_some() {
            let identity = identity(&self.settings, key);
            self.requests_today = Some(Pace::new(&identity, self.settings.rate, false).today());
        }
    }

    /// Returns the time that is left, where the token has an end that has not come.
    pub(crate) fn expires_in(&self) -> Option<Duration> {
        self.expires_at?.duration_since(SystemTime::now()).ok()
    }

    /// Returns what `--format json` prints.
    pub(crate) fn to_json(&self) -> Value {
        let settings = &self.settings;
        let mut sources = Map::new();
        for (name, source) in self.sources() {
            sources.insert(name.to_owned(), json!(source));
        }
        json!({
            "profile": settings.profile.as_ref().map(|profile| &profile.value),
            "method": settings.method(),
            "provider": settings.provider.value.name,
            "endpoint": self.endpoint,
            "model": settings.model.value,
            "store": self.store,
            "place": self.place,
            "state": self.state.name(),
            "expires_at": self.expires_at.map(rfc3339),
            "expires_in": self.expires_in().map(|left| left.as_secs()),
            "requests_today": self.requests_today,
            "requests_per_day": settings.rate.and_then(|rate| rate.per_day),
            "requests_per_minute": settings.rate.and_then(|rate| rate.per_minute),
            "sources": sources,
            "notices": self.notices,
        })
    }

    /// Returns who said what.
    pub(crate) fn sources(&self) -> [(&'static str, Option<String>); 6] {
        let settings = &self.settings;
        let store = match (&self.store, StoreKind::from_environment()) {
            (None, _) => None,
            (Some(_), Ok(Some(_))) => Some("environment QWEN_CREDENTIAL_STORE".to_owned()),
            (Some(_), _) => Some(settings.auth.source.to_string()),
        };
        [
            (
                "profile",
                settings
                    .profile
                    .as_ref()
                    .map(|profile| profile.source.to_string()),
            ),
            ("method", Some(settings.auth.source.to_string())),
            ("provider", Some(settings.provider.source.to_string())),
            ("endpoint", Some(self.endpoint_source.clone())),
            ("model", Some(settings.model.source.to_string())),
            ("store", store),
        ]
    }
}

/// Returns who gave the key that goes before what a profile says, if somebody did.
pub(crate) fn given_key(profile: &str) -> Option<String> {
    let settings = Settings::resolve(&Overrides {
        profile: Some(profile.to_owned()),
        ..Overrides::default()
    });
    let access = settings.ok()?.auth;
    access.source.is_given().then(|| access.source.to_string())
}

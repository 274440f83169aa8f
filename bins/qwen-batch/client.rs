//! The endpoint as this run may use it: settings, credential, client, and a token that is renewed when it has to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Endpoint;
use qwen_shared::net::api::{Authorization, authorize, hint_when_refused};
use qwen_shared::net::config::{Auth, Overrides, Settings, TimeoutSettings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::net::http::{Client, Timeouts};
use qwen_shared::net::ratelimit::RateLimit;
use qwen_shared::net::ratelimit::identity;
use qwen_shared::output::Reporter;
use qwen_shared::secret::Secret;

use super::args::LimitArgs;

/// How long before its end a token is renewed, so that it outlives the request.
const EARLY: Duration = Duration::from_secs(60);

/// A token that replaced a refused one so recently, and is refused too, shows that no token will do.
const FRESH: Duration = Duration::from_secs(60);

/// What was typed about the way to the endpoint.
#[derive(Debug)]
pub(crate) struct Way<'a> {
    pub(crate) profile: Option<&'a String>,
    pub(crate) model: Option<&'a String>,
    pub(crate) limits: &'a LimitArgs,
    /// The limit for the beginning of an answer where neither profile nor command line says one.
    pub(crate) first_byte: Duration,
    /// Whether requests wait for the quota.
    pub(crate) paced: bool,
}

/// The way to the endpoint.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) client: Client,
    pub(crate) rate_limit: RateLimit,
    pub(crate) retries: u32,
    settings: Settings,
    reporter: Reporter,
    key: Mutex<Key>,
    /// Held while a token is renewed: one renewal serves all requests.
    renewing: tokio::sync::Mutex<()>,
}

/// What changes when a token is renewed.
#[derive(Debug)]
struct Key {
    endpoint: Arc<Endpoint>,
    /// When the token should be renewed.
    due: Option<SystemTime>,
    /// When it replaced a token that was refused.
    since: Option<Instant>,
}

impl Door {
    /// Resolves the settings, finds the credential and makes the client. Notices go to `reporter`.
    ///
    /// # Errors
    /// Those of the settings and of the credential: 77, 78, 75.
    pub(crate) fn open(way: &Way<'_>, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::resolve(&Overrides {
            profile: way.profile.cloned(),
            model: way.model.cloned(),
            ..Overrides::default()
        })?;
        settings.report(reporter);
        let authorization = authorize(&settings, &RefreshPolicy::default(), reporter)?;
        let key = Key::new(&settings, &authorization)?;
        let endpoint = &key.endpoint;
        let client = Client::new(endpoint.base_url(), timeouts(&settings, way))
            .map_err(|error| error.failure(&endpoint.server()))?;
        Ok(Self {
            client,
            rate_limit: RateLimit::new(&identity(&settings, endpoint.secret()), settings.rate, way.paced),
            retries: way.limits.retries,
            key: Mutex::new(key),
            renewing: tokio::sync::Mutex::default(),
            reporter: reporter.clone(),
            settings,
        })
    }

    /// Returns the settings.
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the endpoint with the token that is in force.
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.key().endpoint)
    }

    /// Returns the endpoint with a token that outlives the next request, as far as is known.
    ///
    /// # Errors
    /// Those of the renewal.
    pub(crate) async fn fresh(self: &Arc<Self>) -> Result<Arc<Endpoint>, Failure> {
        if self.is_due() {
            let _one = self.renewing.lock().await;
            if self.is_due() {
                self.renew(Refresh::WhenDue).await?;
            }
        }
        Ok(self.endpoint())
    }

    /// Renews the token that the server has just refused; true when there is another one now. One that has just
    /// replaced a refused one is not renewed.
    ///
    /// # Errors
    /// Those of the renewal.
    pub(crate) async fn refused(self: &Arc<Self>, endpoint: &Endpoint) -> Result<bool, Failure> {
        let (Auth::Oauth { .. }, Some(token)) = (&self.settings.auth.value, endpoint.secret()) else {
            return Ok(false);
        };
        let _one = self.renewing.lock().await;
        if self.endpoint().secret() == Some(token) && !self.is_fresh() {
            self.renew(Refresh::Rejected(token.clone())).await?;
            self.key().since = Some(Instant::now());
        }
        Ok(self.endpoint().secret() != Some(token))
    }

    /// Adds to a failure what the user can do about it under these settings, and takes the secret out of it.
    pub(crate) fn advise(&self, mut failure: Failure) -> Failure {
        failure.message = self.redacted(failure.message);
        if failure.exit != Exit::NoAuth {
            return failure;
        }
        failure.hint(hint_when_refused(&self.settings, self.is_fresh()))
    }

    /// Takes the secret out of a message: a server may quote it.
    pub(crate) fn redacted(&self, text: String) -> String {
        self.endpoint().redacted(text)
    }

    fn key(&self) -> MutexGuard<'_, Key> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_due(&self) -> bool {
        self.key().due.is_some_and(|due| due <= SystemTime::now())
    }

    fn is_fresh(&self) -> bool {
        self.key().since.is_some_and(|since| since.elapsed() < FRESH)
    }

    async fn renew(self: &Arc<Self>, refresh: Refresh) -> Result<(), Failure> {
        let door = Arc::clone(self);
        // It blocks, and makes a runtime of its own.
        let renewed = tokio::task::spawn_blocking(move || {
            let policy = RefreshPolicy {
                refresh,
                ..RefreshPolicy::default()
            };
            let authorization = authorize(&door.settings, &policy, &door.reporter)?;
            Key::new(&door.settings, &authorization)
        })
        .await
        .map_err(|error| Failure::new(Exit::Bug, "the renewal of the token broke").caused_by(error))??;
        *self.key() = renewed;
        Ok(())
    }
}

impl Key {
    fn new(settings: &Settings, authorization: &Authorization) -> Result<Self, Failure> {
        let base_url = authorization.base_url(settings)?;
        let token: Option<Secret<String>> = authorization.token.clone();
        let endpoint = Arc::new(Endpoint::new(settings, token, Some(base_url))?);
        let ends = authorization.credential.as_ref().and_then(|own| own.expires_at);
        Ok(Self {
            endpoint,
            // A token that is renewed and due at once would be renewed for every request.
            due: ends
                .and_then(|ends| ends.checked_sub(EARLY))
                .filter(|due| *due > SystemTime::now()),
            since: None,
        })
    }
}

/// Returns the limits: flags, then the profile, then this command's defaults.
fn timeouts(settings: &Settings, way: &Way<'_>) -> Timeouts {
    let given = TimeoutSettings {
        connect: way.limits.connect_timeout,
        first_byte: way.limits.first_byte_timeout,
        idle: way.limits.idle_timeout,
        total: way.limits.max_time,
    };
    given.or(settings.timeouts).with_defaults(Timeouts {
        first_byte: way.first_byte,
        ..Timeouts::default()
    })
}

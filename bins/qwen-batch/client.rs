//! The client of one run: settings, credential, HTTP client, rate limit, and a token that is renewed when it is due.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Authorization, Endpoint, authorize, hint_when_refused};
use qwen_shared::net::config::{Auth, Overrides, Settings, TimeoutSettings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::net::http::{self, Timeouts};
use qwen_shared::net::ratelimit::{RateLimit, identity};
use qwen_shared::output::Reporter;

use super::args::LimitArgs;

/// How long before its expiry a token is renewed, so that it outlives the request.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(60);

/// A refused token that replaced another refused one so recently is not renewed again: no token will be accepted.
const FRESH: Duration = Duration::from_secs(60);

/// The command line, as far as a client depends on it.
#[derive(Debug)]
pub(crate) struct ClientOptions<'a> {
    pub(crate) profile: Option<&'a String>,
    pub(crate) model: Option<&'a String>,
    pub(crate) limits: &'a LimitArgs,
    /// The default of the limit for the beginning of an answer.
    pub(crate) first_byte: Duration,
    /// Whether requests wait for the rate limit.
    pub(crate) paced: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: http::Client,
    pub(crate) rate_limit: RateLimit,
    pub(crate) retries: u32,
    settings: Settings,
    reporter: Reporter,
    token: Mutex<Token>,
    /// Held while a token is renewed: one renewal serves all requests.
    renewal: tokio::sync::Mutex<()>,
}

/// What a renewal changes.
#[derive(Debug)]
struct Token {
    endpoint: Arc<Endpoint>,
    renew_at: Option<SystemTime>,
    /// When it replaced a refused token.
    replaced_at: Option<Instant>,
}

impl Client {
    /// Resolves the settings and finds the credential.
    ///
    /// # Errors
    /// Those of the settings and of the credential: 77, 78, 75.
    pub(crate) fn new(options: &ClientOptions<'_>, reporter: &Reporter) -> Result<Self, Failure> {
        let settings = Settings::resolve(&Overrides {
            profile: options.profile.cloned(),
            model: options.model.cloned(),
            ..Overrides::default()
        })?;
        settings.report(reporter);
        let authorization = authorize(&settings, &RefreshPolicy::default(), reporter)?;
        let token = Token::new(&settings, authorization)?;
        let endpoint = &token.endpoint;
        let timeouts = timeouts(options.limits, settings.timeouts, options.first_byte);
        let http = http::Client::new(endpoint.base_url(), timeouts)
            .map_err(|error| error.failure(&endpoint.server()))?;
        Ok(Self {
            http,
            rate_limit: RateLimit::new(
                &identity(&settings, endpoint.secret()),
                settings.rate,
                options.paced,
            ),
            retries: options.limits.retries,
            token: Mutex::new(token),
            renewal: tokio::sync::Mutex::default(),
            reporter: reporter.clone(),
            settings,
        })
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the endpoint with the current token.
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.token().endpoint)
    }

    /// Returns the endpoint with a token that outlives the next request, as far as is known.
    ///
    /// # Errors
    /// Those of the renewal.
    pub(crate) async fn valid_endpoint(self: &Arc<Self>) -> Result<Arc<Endpoint>, Failure> {
        if self.is_renewal_due() {
            let _renewal = self.renewal.lock().await;
            if self.is_renewal_due() {
                self.renew(Refresh::WhenDue).await?;
            }
        }
        Ok(self.endpoint())
    }

    /// Renews the token of `endpoint`, which the server has refused; true when there is another one now.
    ///
    /// # Errors
    /// Those of the renewal.
    pub(crate) async fn renew_refused(self: &Arc<Self>, endpoint: &Endpoint) -> Result<bool, Failure> {
        let (Auth::Oauth { .. }, Some(token)) = (&self.settings.auth.value, endpoint.secret()) else {
            return Ok(false);
        };
        let _renewal = self.renewal.lock().await;
        if self.endpoint().secret() == Some(token) && !self.is_fresh() {
            self.renew(Refresh::Rejected(token.clone())).await?;
            self.token().replaced_at = Some(Instant::now());
        }
        Ok(self.endpoint().secret() != Some(token))
    }

    /// Adds what the user can do about a refused credential, and removes the secret from the message.
    pub(crate) fn with_hint(&self, mut failure: Failure) -> Failure {
        failure.message = self.redacted(failure.message);
        if failure.exit != Exit::NoAuth {
            return failure;
        }
        failure.hint(hint_when_refused(&self.settings, self.is_fresh()))
    }

    /// Removes the secret from a text of the server, which may quote it.
    pub(crate) fn redacted(&self, text: String) -> String {
        self.endpoint().redacted(text)
    }

    fn token(&self) -> MutexGuard<'_, Token> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_renewal_due(&self) -> bool {
        self.token()
            .renew_at
            .is_some_and(|renew_at| renew_at <= SystemTime::now())
    }

    fn is_fresh(&self) -> bool {
        self.token()
            .replaced_at
            .is_some_and(|replaced_at| replaced_at.elapsed() < FRESH)
    }

    async fn renew(self: &Arc<Self>, refresh: Refresh) -> Result<(), Failure> {
        let client = Arc::clone(self);
        // It blocks, and creates a runtime of its own.
        let renewed = tokio::task::spawn_blocking(move || {
            let policy = RefreshPolicy {
                refresh,
                ..RefreshPolicy::default()
            };
            let authorization = authorize(&client.settings, &policy, &client.reporter)?;
            Token::new(&client.settings, authorization)
        })
        .await
        .map_err(|error| Failure::new(Exit::Bug, "the renewal of the token broke").caused_by(error))??;
        *self.token() = renewed;
        Ok(())
    }
}

impl Token {
    fn new(settings: &Settings, authorization: Authorization) -> Result<Self, Failure> {
        let base_url = authorization.base_url(settings)?;
        let expires_at = authorization
            .credential
            .as_ref()
            .and_then(|credential| credential.expires_at);
        Ok(Self {
            endpoint: Arc::new(Endpoint::new(settings, authorization.token, Some(base_url))?),
            // A new token that is due at once would be renewed for every request.
            renew_at: expires_at
                .and_then(|expires_at| expires_at.checked_sub(RENEW_BEFORE_EXPIRY))
                .filter(|renew_at| *renew_at > SystemTime::now()),
            replaced_at: None,
        })
    }
}

/// Returns the limits: flags, then the profile, then the command's defaults.
fn timeouts(flags: &LimitArgs, profile: TimeoutSettings, default_first_byte: Duration) -> Timeouts {
    let flags = TimeoutSettings {
        connect: flags.connect_timeout,
        first_byte: flags.first_byte_timeout,
        idle: flags.idle_timeout,
        progress: None,
        total: flags.max_time,
    };
    flags.or(profile).with_defaults(Timeouts {
        first_byte: default_first_byte,
        ..Timeouts::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qwen_shared::net::config::TimeoutSettings;
    use qwen_shared::net::http::Timeouts;

    use super::timeouts;
    use crate::args::LimitArgs;

    #[test]
    fn a_limit_of_the_profile_counts_even_if_it_equals_the_default_of_other_commands() {
        let usual = Timeouts::default().first_byte;
        let default = Duration::from_secs(600);
        for (flag, profile, expected) in [
            (None, None, default),
            (None, Some(usual), usual),
            (Some(default), Some(usual), default),
            (Some(usual), None, usual),
        ] {
            let flags = LimitArgs {
                retries: 0,
                connect_timeout: None,
                first_byte_timeout: flag,
                idle_timeout: None,
                max_time: None,
            };
            let profile = TimeoutSettings {
                first_byte: profile,
                ..TimeoutSettings::default()
            };
            assert_eq!(timeouts(&flags, profile, default).first_byte, expected);
        }
    }
}

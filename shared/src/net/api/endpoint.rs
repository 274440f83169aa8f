//! Requests as the provider wants them: path, query, headers, key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use url::Url;

use super::authorization::{authorize, carries_secret};
use super::redaction::Redactor;
use crate::exit::Failure;
use crate::net::chat::Dialect;
use crate::net::config::{Auth, Key, Settings};
use crate::net::credential::{Refresh, RefreshPolicy};
use crate::net::http::{BaseUrl, HttpError, Request, check_transport};
use crate::output::Reporter;
use crate::provider::{self, Provider};
use crate::secret::Secret;

/// One endpoint, what is bound to it, and how to authenticate to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    settings: Arc<Settings>,
    base_url: BaseUrl,
    secret: Option<Secret<String>>,
    /// As [`super::Authorization::renew_at`].
    renew_at: Option<SystemTime>,
}

impl Endpoint {
    /// Gets the credential and makes the endpoint that it may go to. Must not be called from within a runtime.
    ///
    /// # Errors
    /// Those of [`authorize`]; 78 where the secret may not go to the endpoint.
    pub fn open(
        settings: impl Into<Arc<Settings>>,
        policy: &RefreshPolicy,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let settings = settings.into();
        let authorization = authorize(&settings, policy, reporter)?;
        let base_url = authorization.base_url(&settings)?;
        check(&settings, authorization.token.as_ref(), &base_url)?;
        Ok(Self {
            renew_at: authorization.renew_at,
            secret: authorization.token,
            settings,
            base_url,
        })
    }

    /// Makes the endpoint of these settings with a secret from elsewhere: a masked one, to show the request.
    ///
    /// # Errors
    /// 78 for a URL to which requests may not go ([`check_transport`]).
    pub fn new(
        settings: &Settings,
        secret: Option<Secret<String>>,
        base_url: Option<BaseUrl>,
    ) -> Result<Self, Failure> {
        let base_url = base_url.unwrap_or_else(|| settings.base_url.value.clone());
        check(settings, secret.as_ref(), &base_url)?;
        Ok(Self {
            settings: Arc::new(settings.clone()),
            base_url,
            secret,
            renew_at: None,
        })
    }

    /// Returns what is known of its answers.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect {
            provider: &self.provider().name,
            starts_in_reasoning: self.settings.starts_in_reasoning,
            choices: 0,
        }
    }

    /// True where another secret can be had without a person: under OAuth, and from a key command.
    #[must_use]
    pub fn can_renew(&self) -> bool {
        self.secret.is_some()
            && matches!(
                self.settings.auth.value,
                Auth::Oauth { .. } | Auth::ApiKey(Key::Command { .. })
            )
    }

    /// Returns the endpoint with a secret that is valid now. Must not be called from within a runtime.
    ///
    /// # Errors
    /// As [`Endpoint::open`].
    pub fn renewed(&self, refresh: Refresh, reporter: &Reporter) -> Result<Self, Failure> {
        let policy = RefreshPolicy {
            refresh,
            ..RefreshPolicy::default()
        };
        Self::open(Arc::clone(&self.settings), &policy, reporter)
    }

    /// Returns what the endpoint was made of.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns when another secret is to be had; `None` where only a refusal tells.
    #[must_use]
    pub const fn renew_at(&self) -> Option<SystemTime> {
        self.renew_at
    }

    /// Returns how long the key of a command is good, where the profile says so.
    #[must_use]
    pub fn key_ttl(&self) -> Option<Duration> {
        match &self.settings.auth.value {
            Auth::ApiKey(Key::Command(command)) => command.ttl,
            _ => None,
        }
    }

    /// Returns the server's name for messages: host, and port where it is not the usual one.
    #[must_use]
    pub fn server(&self) -> String {
        self.base_url.server()
    }

    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> &'static Provider {
        self.settings.provider.value
    }

    /// Returns the base URL.
    #[must_use]
    pub const fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Returns the key or token that requests carry.
    #[must_use]
    pub const fn secret(&self) -> Option<&Secret<String>> {
        self.secret.as_ref()
    }

    /// Removes from a server's text what requests carry that is secret, key, headers, query and body: a server may quote it.
    #[must_use]
    pub fn redacted(&self, text: String) -> String {
        Redactor::new(self).text(text)
    }

    /// As [`Endpoint::redacted`], for JSON, which stays JSON.
    #[must_use]
    pub fn redacted_json(&self, json: String) -> String {
        Redactor::new(self).json(json)
    }

    /// Returns the URL of chat completions, query included.
    #[must_use]
    pub fn chat_url(&self) -> Url {
        self.chat_url_for(&self.settings.model.value)
    }

    /// Returns the URL of chat completions by another model than the settings': on Azure it is part of the path.
    #[must_use]
    pub fn chat_url_for(&self, model: &str) -> Url {
        self.with_query(self.provider().chat_url(&self.base_url, model, self.version()))
    }

    /// Returns the URL of another service for a model, by its path below the base URL (`/embeddings`). The path is not escaped.
    #[must_use]
    pub fn model_url(&self, path: &str, model: &str) -> Url {
        self.with_query(
            self.provider()
                .model_url(&self.base_url, path, model, self.version()),
        )
    }

    /// Returns the URL of another service below the base URL: `/files`, `/batches/ID`. The path is not escaped.
    #[must_use]
    pub fn url_below(&self, path: &str) -> Url {
        self.with_query(provider::join(&self.base_url, path))
    }

    /// Returns the URL of the list of models.
    #[must_use]
    pub fn models_url(&self) -> Url {
        self.with_query(self.provider().models_url(&self.base_url, self.version()))
    }

    /// Returns the headers of every request, that of the secret apart: provider's and profile's.
    #[must_use]
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.settings.headers
    }

    /// Returns the name of the header that carries the secret, and the prefix of its value.
    #[must_use]
    pub fn secret_header(&self) -> (&str, &'static str) {
        let name = &self.provider().key_header;
        if self.settings.uses_oauth() || name == "bearer" {
            ("authorization", "Bearer ")
        } else {
            (name, "")
        }
    }

    /// Makes a request for `url`, which must be one of this endpoint's.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a header or a secret that HTTP cannot hold.
    pub fn request(&self, method: &'static str, url: Url) -> Result<Request, HttpError> {
        let mut request = Request::new(method, url);
        for (name, value) in self.headers() {
            request.header(name, value)?;
        }
        if let Some(secret) = &self.secret {
            let (name, before) = self.secret_header();
            let taken = self
                .headers()
                .keys()
                .any(|known| known.eq_ignore_ascii_case(name));
            if !taken {
                request.header(name, &format!("{before}{}", secret.expose()))?;
            }
        }
        Ok(request)
    }

    /// Makes the request for a chat completion.
    ///
    /// # Errors
    /// As [`Endpoint::request`].
    pub fn chat_request(&self, body: impl Into<Bytes>) -> Result<Request, HttpError> {
        let mut request = self.request("POST", self.chat_url())?;
        request.body("application/json", body)?;
        request.header("accept", "text/event-stream, application/json")?;
        Ok(request)
    }

    fn version(&self) -> Option<&str> {
        Some(self.settings.api_version.as_ref()?.value.as_str())
    }

    /// Adds the profile's query; a name that the URL has already is replaced.
    fn with_query(&self, mut url: Url) -> Url {
        let query = &self.settings.query;
        if query.is_empty() {
            return url;
        }
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !query.contains_key(name.as_ref()))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .extend_pairs(query);
        url
    }
}

/// Refuses a URL to which these requests may not go.
fn check(settings: &Settings, secret: Option<&Secret<String>>, base_url: &BaseUrl) -> Result<(), Failure> {
    let has_secret = secret.is_some() || carries_secret(settings);
    check_transport(base_url, settings.allow_http, has_secret).map(|_| ())
}

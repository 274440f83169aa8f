//! Requests as the provider wants them: path, query, headers, key.

use std::collections::BTreeMap;

use url::Url;

use super::authorization::carries_secret;
use crate::exit::Failure;
use crate::net::config::Settings;
use crate::net::chat::Dialect;
use crate::net::http::{BaseUrl, HttpError, Request, check_transport};
use crate::provider::{self, Provider};
use crate::secret::Secret;

/// One endpoint and how to authenticate to it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    provider: &'static Provider,
    base_url: BaseUrl,
    model: String,
    version: Option<String>,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    secret: Option<Secret<String>>,
    /// How the secret is sent: `bearer`, or a header's name.
    key_header: String,
    starts_in_reasoning: bool,
}

impl Endpoint {
    /// Makes the endpoint of these settings. `secret` is the key or token, `base_url` where a credential's own
    /// `resource_url` goes before the settings'.
    ///
    /// # Errors
    /// 78 for a URL to which requests may not go ([`check_transport`]).
    pub fn new(
        settings: &Settings,
        secret: Option<Secret<String>>,
        base_url: Option<BaseUrl>,
    ) -> Result<Self, Failure> {
        let base_url = base_url.unwrap_or_else(|| settings.base_url.value.clone());
        let has_secret = secret.is_some() || carries_secret(settings);
        check_transport(&base_url, settings.allow_http, has_secret)?;
        let provider = settings.provider.value;
        let key_header = match settings.uses_oauth() {
            true => "bearer".to_owned(),
            false => provider.key_header.clone(),
        };
        Ok(Self {
            provider,
            base_url,
            model: settings.model.value.clone(),
            version: settings.api_version.as_ref().map(|version| version.value.clone()),
            query: settings.query.clone(),
            headers: settings.headers.clone(),
            secret,
            key_header,
            starts_in_reasoning: settings.starts_in_reasoning,
        })
    }

    /// Returns what is known of its answers.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect {
            provider: &self.provider.name,
            starts_in_reasoning: self.starts_in_reasoning,
        }
    }

    /// Returns the server's name for messages: host, and port where it is not the usual one.
    #[must_use]
    pub fn server(&self) -> String {
        let host = self.base_url.host_str().unwrap_or_default();
        self.base_url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Returns the provider.
    #[must_use]
    pub const fn provider(&self) -> &'static Provider {
        self.provider
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

    /// Removes the secret from a server's text: a server may quote it.
    #[must_use]
    pub fn redacted(&self, text: String) -> String {
        match self.secret.as_ref().map(Secret::expose) {
            Some(secret) if secret.len() >= 4 => text.replace(secret.as_str(), "***"),
            _ => text,
        }
    }

    /// Replaces a token that was refused.
    pub fn set_secret(&mut self, secret: Secret<String>) {
        self.secret = Some(secret);
    }

    /// Returns the URL of chat completions, query included.
    #[must_use]
    pub fn chat_url(&self) -> Url {
        self.chat_url_for(&self.model)
    }

    /// Returns the URL of chat completions by another model than the settings': on Azure it is part of the path.
    #[must_use]
    pub fn chat_url_for(&self, model: &str) -> Url {
        self.with_query(
            self.provider
                .chat_url(&self.base_url, model, self.version.as_deref()),
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
        self.with_query(self.provider.models_url(&self.base_url, self.version.as_deref()))
    }

    /// Returns the headers of every request, that of the secret apart: provider's and profile's.
    #[must_use]
    pub const fn headers(&self) -> &BTreeMap<String, String> {
        &self.headers
    }

    /// Returns the name of the header that carries the secret, and the prefix of its value.
    #[must_use]
    pub fn secret_header(&self) -> (&str, &'static str) {
        if self.key_header == "bearer" {
            ("authorization", "Bearer ")
        } else {
            (&self.key_header, "")
        }
    }

    /// Makes a request for `url`, which must be one of this endpoint's.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a header or a secret that HTTP cannot hold.
    pub fn request(&self, method: &'static str, url: Url) -> Result<Request, HttpError> {
        let mut request = Request::new(method, url);
        for (name, value) in &self.headers {
            request.header(name, value)?;
        }
        if let Some(secret) = &self.secret {
            let (name, before) = self.secret_header();
            let taken = self.headers.keys().any(|known| known.eq_ignore_ascii_case(name));
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
    pub fn chat_request(&self, body: Vec<u8>) -> Result<Request, HttpError> {
        let mut request = self.request("POST", self.chat_url())?;
        request.body("application/json", body)?;
        request.header("accept", "text/event-stream, application/json")?;
        Ok(request)
    }

    /// Adds the profile's query; a name that the URL has already is replaced.
    fn with_query(&self, mut url: Url) -> Url {
        if self.query.is_empty() {
            return url;
        }
        let kept: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| !self.query.contains_key(name.as_ref()))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut()
            .clear()
            .extend_pairs(kept)
            .extend_pairs(&self.query);
        url
    }
}

//! The request that tests a key or login.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{authorize, model_name, read_models};
use qwen_shared::net::chat::{Asked, ErrorKind, Refusal, RefusalHead, merge};
use qwen_shared::net::config::{Overrides, Profile, Settings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::net::http::{BaseUrl, Client, HttpError, Request, Timeouts, runtime};
use qwen_shared::output::Reporter;
use qwen_shared::provider::Provider;
use qwen_shared::secret::Secret;
use serde_json::{Map, Value, json};

/// The largest response, in bytes. OpenRouter's list of models has half a megabyte.
const BODY_LIMIT: usize = 8 << 20;

const TIMEOUTS: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(30),
    idle: Duration::from_secs(10),
    progress: Duration::from_secs(30),
    total: Some(Duration::from_secs(45)),
};

/// An API key that is not stored yet, and where it is to be used.
pub(crate) struct Candidate<'a> {
    pub(crate) provider: &'static Provider,
    pub(crate) base_url: &'a BaseUrl,
    pub(crate) model: &'a str,
    pub(crate) key: Option<&'a Secret<String>>,
    pub(crate) profile: &'a Profile,
}

/// Tests a key and returns a message.
///
/// # Errors
/// 77 when the key is rejected, 69 when there is no such endpoint or model, 75 when the endpoint cannot be reached.
pub(crate) fn test_key(candidate: &Candidate<'_>, reporter: &Reporter) -> Result<String, Failure> {
    let mut body = candidate.provider.body.clone();
    body.extend(candidate.profile.body.clone());
    let test = TestRequest {
        provider: candidate.provider,
        base_url: candidate.base_url,
        model: candidate.model,
        token: candidate.key,
        key_header: &candidate.provider.key_header,
        headers: candidate.profile.headers_for(candidate.provider),
        query: &candidate.profile.query,
        body,
    };
    match test.run(reporter)? {
        TestResult::Accepted => Ok("the endpoint accepts the key".to_owned()),
        TestResult::NoKey => Ok("the endpoint answers".to_owned()),
        TestResult::Limited(message) => Ok(format!("the endpoint accepts the key, but says: {message}")),
    }
}

/// Tests the stored login of a profile and reports the result.
pub(crate) fn test_login(profile: &str, reporter: &Reporter) {
    match login_result(profile, reporter) {
        Ok(message) => reporter.notice(&message),
        Err(failure) => reporter.notice(&format!("the test request failed: {}", failure.message)),
    }
}

fn login_result(profile: &str, reporter: &Reporter) -> Result<String, Failure> {
    let settings = Settings::resolve(&Overrides {
        profile: Some(profile.to_owned()),
        profile_first: true,
        ..Overrides::default()
    })?;
    // An imported login may have expired.
    let policy = RefreshPolicy {
        min_ttl: Duration::ZERO,
        refresh: Refresh::WhenDue,
    };
    let authorization = authorize(&settings, &policy, reporter)?;
    let base_url = authorization.base_url(&settings)?;
    let test = TestRequest {
        provider: settings.provider.value,
        base_url: &base_url,
        model: &settings.model.value,
        token: authorization.token.as_ref(),
        key_header: "bearer",
        headers: settings.headers.clone(),
        query: &settings.query,
        body: settings.body.clone(),
    };
    let (model, endpoint) = (&settings.model.value, &base_url);
    Ok(match test.run(reporter)? {
        TestResult::Accepted | TestResult::NoKey => {
            format!("'{endpoint}' accepts the token; the model is '{model}'")
        }
        TestResult::Limited(message) => format!("'{endpoint}' accepts the token, but says: {message}"),
    })
}

enum TestResult {
    Accepted,
    /// The endpoint works without a credential.
    NoKey,
    /// The endpoint accepts the credential, but a quota or rate limit is used up.
    Limited(String),
}

struct TestRequest<'a> {
    provider: &'static Provider,
    base_url: &'a BaseUrl,
    model: &'a str,
    token: Option<&'a Secret<String>>,
    key_header: &'a str,
    headers: BTreeMap<String, String>,
    query: &'a BTreeMap<String, String>,
    body: Map<String, Value>,
}

impl TestRequest<'_> {
    /// Gets the list of models, which is free; if that proves nothing, requests one token.
    fn run(&self, reporter: &Reporter) -> Result<TestResult, Failure> {
        if self.provider.public_models && self.token.is_some() {
            return self.request_one_token(api_version().as_deref(), reporter);
        }
        self.get_models(reporter)
    }

    fn get_models(&self, reporter: &Reporter) -> Result<TestResult, Failure> {
        let version = api_version();
        let url = self.provider.models_url(self.base_url, version.as_deref());
        reporter.detail(&format!("test request: GET '{url}'"));
        let models = match self.send(Request::new("GET", url))? {
            Ok(body) => read_models(&body),
            Err(refusal) if refusal.verdict.kind == ErrorKind::Auth && refusal.status == 401 => {
                return Err(self.failure(&refusal));
            }
            Err(refusal)
                if matches!(
                    refusal.verdict.kind,
                    ErrorKind::Server | ErrorKind::Busy | ErrorKind::Redirect
                ) =>
            {
                return Err(self.failure(&refusal));
            }
            Err(_) => None,
        };
        if let Some(models) = models {
            let model = self.model;
            if !models.iter().any(|known| model_name(known) == Some(model)) {
                reporter.notice(&format!("the endpoint does not list model '{model}'"));
            }
            return Ok(self.accepted());
        }
        self.request_one_token(version.as_deref(), reporter)
    }

    /// An error about the request itself means that the credential was accepted.
    fn request_one_token(&self, version: Option<&str>, reporter: &Reporter) -> Result<TestResult, Failure> {
        let url = self.provider.chat_url(self.base_url, self.model, version);
        reporter.detail(&format!("test request: POST '{url}'"));
        let mut body = Map::from_iter([("model".to_owned(), self.model.into())]);
        merge(&mut body, &self.body);
        body.shift_remove("stream_options");
        body.insert(
            "messages".to_owned(),
            json!([{ "role": "user", "content": "hi" }]),
        );
        body.insert("stream".to_owned(), false.into());
        body.insert("max_tokens".to_owned(), 1.into());
        let bytes = Value::from(body).to_string().into_bytes();
        let mut request = Request::new("POST", url);
        request
            .body("application/json", bytes)
            .map_err(|error| error.failure(&self.server()))?;
        match self.send(request)? {
            Ok(answer) if serde_json::from_slice::<Value>(&answer).is_ok() => Ok(self.accepted()),
            Ok(_) => Err(Failure::new(
                Exit::Protocol,
                format!(
                    "'{}': the response is not that of an OpenAI-compatible endpoint",
                    self.server()
                ),
            )
            .hint("check the base URL; many end in '/v1'")),
            Err(refusal) if refusal.verdict.exit() == Exit::Data => Ok(self.accepted()),
            Err(refusal) if matches!(refusal.verdict.kind, ErrorKind::Quota | ErrorKind::RateLimit) => {
                Ok(TestResult::Limited(self.redacted(&refusal.describe())))
            }
            Err(refusal) => Err(self.failure(&refusal)),
        }
    }

    fn accepted(&self) -> TestResult {
        if self.token.is_some() {
            TestResult::Accepted
        } else {
            TestResult::NoKey
        }
    }

    fn server(&self) -> String {
        self.base_url.to_string()
    }

    fn failure(&self, refusal: &Refusal) -> Failure {
        let failure = refusal.failure(&self.server(), Asked::Other);
        Failure {
            message: self.redacted(&failure.message),
            ..failure
        }
    }

    /// Some servers repeat the key in their error message.
    fn redacted(&self, text: &str) -> String {
        match self.token {
            Some(token) => text.replace(token.expose().as_str(), &token.masked()),
            None => text.to_owned(),
        }
    }

    fn send(&self, mut request: Request) -> Result<Result<Vec<u8>, Refusal>, Failure> {
        let failed = |error: HttpError| error.failure(&self.server());
        for (name, value) in &self.headers {
            request.header(name, value).map_err(failed)?;
        }
        if let Some(token) = self.token {
            match self.key_header {
                "bearer" => request.header("authorization", &format!("Bearer {}", token.expose())),
                other => request.header(other, token.expose()),
            }
            .map_err(failed)?;
        }
        for (name, value) in self.query {
            request.url.query_pairs_mut().append_pair(name, value);
        }
        let client = Client::new(self.base_url, TIMEOUTS).map_err(failed)?;
        runtime()?.block_on(async {
            let response = client.send(request).await.map_err(failed)?;
            let head = RefusalHead::read(response.status(), response.headers(), SystemTime::now());
            let body = response.body(BODY_LIMIT).await.map_err(failed)?;
            Ok(match head.status {
                200..300 => Ok(body),
                _ => Err(Refusal::read(&head, &body, &self.provider.name)),
            })
        })
    }
}

fn api_version() -> Option<String> {
    let version = std::env::var("OPENAI_API_VERSION").ok()?;
    Some(version).filter(|version| !version.trim().is_empty())
}

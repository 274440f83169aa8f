//! The trial request that ends a set-up: does the endpoint take the credential?

use std::collections::BTreeMap;
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::authorize;
use qwen_shared::net::chat::{Body, ErrorKind, Message, Refusal, Role};
use qwen_shared::net::config::{Overrides, Profile, Settings};
use qwen_shared::net::credential::{Refresh, Wanted};
use qwen_shared::net::http::{Client, HttpError, Request, Timeouts, runtime, without_user_info};
use qwen_shared::output::Reporter;
use qwen_shared::provider::Provider;
use qwen_shared::secret::Secret;
use serde_json::{Map, Value};
use url::Url;

/// The largest list of models that is read, in bytes. OpenRouter's has half a megabyte.
const LARGEST: usize = 8 << 20;

/// The limits of a trial: somebody is waiting.
const PATIENCE: Timeouts = Timeouts {
    connect: Duration::from_secs(10),
    first_byte: Duration::from_secs(30),
    idle: Duration::from_secs(10),
    total: Some(Duration::from_secs(45)),
};

/// An API key before it is stored, and what goes with it.
pub(crate) struct Question<'a> {
    pub(crate) provider: &'static Provider,
    pub(crate) base_url: &'a Url,
    pub(crate) model: &'a str,
    pub(crate) key: Option<&'a Secret<String>>,
    pub(crate) profile: &'a Profile,
}

/// Tries a key. Returns what works, in words.
///
/// # Errors
/// 77 when the key is refused, 69 when there is no such endpoint or model, 75 when the endpoint cannot be reached.
pub(crate) fn of_key(question: &Question<'_>, reporter: &Reporter) -> Result<String, Failure> {
    let mut body = question.provider.body.clone();
    body.extend(question.profile.body.clone());
    let trial = Trial {
        provider: question.provider,
        base_url: question.base_url,
        model: question.model,
        token: question.key,
        key_header: &question.provider.key_header,
        headers: question.profile.headers_for(question.provider),
        query: &question.profile.query,
        body,
    };
    match trial.run(reporter)? {
        Verdict::Works => Ok("the endpoint takes the key".to_owned()),
        Verdict::Open => Ok("the endpoint answers".to_owned()),
        Verdict::Limited(words) => Ok(format!("the endpoint takes the key, but says: {words}")),
    }
}

/// Tries a login that is stored already. Nothing depends on the outcome but what the user is told: a login may succeed
/// and its token still be refused.
pub(crate) fn of_login(profile: &str, reporter: &Reporter) {
    match try_login(profile, reporter) {
        Ok(ready) => reporter.notice(&ready),
        Err(failure) => reporter.notice(&format!("the trial request failed: {}", failure.message)),
    }
}

fn try_login(profile: &str, reporter: &Reporter) -> Result<String, Failure> {
    let settings = Settings::resolve(&Overrides {
        profile: Some(profile.to_owned()),
        profile_first: true,
        ..Overrides::default()
    })?;
    // A login that was adopted may have ended: its first use refreshes it, and this is the first.
    let wanted = Wanted {
        min_ttl: Duration::ZERO,
        refresh: Refresh::WhenDue,
    };
    let authorization = authorize(&settings, &wanted, reporter)?;
    let base_url = authorization.base_url(&settings)?;
    let trial = Trial {
        provider: settings.provider.value,
        base_url: &base_url,
        model: &settings.model.value,
        token: authorization.token.as_ref(),
        key_header: "bearer",
        headers: settings.headers.clone(),
        query: &settings.query,
        body: settings.body.clone(),
    };
    let (model, endpoint) = (&settings.model.value, without_user_info(&base_url));
    Ok(match trial.run(reporter)? {
        Verdict::Works | Verdict::Open => format!("'{endpoint}' takes the token; the model is '{model}'"),
        Verdict::Limited(words) => format!("'{endpoint}' takes the token, but says: {words}"),
    })
}

/// What the endpoint said.
enum Verdict {
    /// It takes the credential.
    Works,
    /// It answers; there was no credential to take.
    Open,
    /// It takes the credential and still cannot be asked: the quota is used up, or too many ask.
    Limited(String),
}

/// One trial.
struct Trial<'a> {
    provider: &'a Provider,
    base_url: &'a Url,
    model: &'a str,
    token: Option<&'a Secret<String>>,
    key_header: &'a str,
    headers: BTreeMap<String, String>,
    query: &'a BTreeMap<String, String>,
    body: Map<String, Value>,
}

impl Trial<'_> {
    /// Asks for the list of models, which costs nothing; where that says too little, a question of one token.
    fn run(&self, reporter: &Reporter) -> Result<Verdict, Failure> {
        if self.provider.public_models && self.token.is_some() {
            return self.ask_one_token(api_version().as_deref(), reporter);
        }
        self.ask_for_models(reporter)
    }

    fn ask_for_models(&self, reporter: &Reporter) -> Result<Verdict, Failure> {
        let version = api_version();
        let models = self.provider.models_url(self.base_url, version.as_deref());
        reporter.detail(&format!("trial request: GET '{}'", without_user_info(&models)));
        let (status, body) = match self.send(Request::new("GET", models))? {
            Ok(body) => (200, body),
            Err(refusal) if refusal.kind == ErrorKind::Auth && refusal.status == 401 => {
                return Err(self.refused(&refusal));
            }
            Err(refusal) if refusal.kind == ErrorKind::Server || refusal.kind == ErrorKind::Redirect => {
                return Err(self.refused(&refusal));
            }
            Err(refusal) => (refusal.status, Vec::new()),
        };
        if let (200, Some(listed)) = (status, lists(&body, self.model)) {
            if !listed {
                let model = self.model;
                reporter.notice(&format!("the endpoint does not list model '{model}'"));
            }
            return Ok(self.accepted());
        }
        self.ask_one_token(version.as_deref(), reporter)
    }

    /// A refusal of the question itself comes after the credential was taken.
    fn ask_one_token(&self, version: Option<&str>, reporter: &Reporter) -> Result<Verdict, Failure> {
        let url = self.provider.chat_url(self.base_url, self.model, version);
        reporter.detail(&format!("trial request: POST '{}'", without_user_info(&url)));
        let mut body = Body::new(self.model, false);
        body.merge(&self.body);
        body.set("max_tokens", 1);
        let bytes = body
            .to_json(&[Message::text(Role::User, "hi")])
            .map_err(|error| Failure::new(Exit::Bug, "cannot write the request").caused_by(error))?;
        let mut request = Request::new("POST", url);
        request
            .body("application/json", bytes)
            .map_err(|error| error.failure(&self.server()))?;
        match self.send(request)? {
            Ok(answer) if serde_json::from_slice::<Value>(&answer).is_ok() => Ok(self.accepted()),
            Ok(_) => Err(Failure::new(
                Exit::Protocol,
                format!(
                    "'{}': it answers, but not as an OpenAI-compatible endpoint does",
                    self.server()
                ),
            )
            .hint("check the base URL; many end in '/v1'")),
            Err(refusal) if refusal.kind == ErrorKind::BadRequest => Ok(self.accepted()),
            Err(refusal) if matches!(refusal.kind, ErrorKind::Quota | ErrorKind::RateLimit) => {
                Ok(Verdict::Limited(self.redacted(&refusal.words())))
            }
            Err(refusal) if refusal.kind == ErrorKind::NotFound => Err(self
                .refused(&refusal)
                .hint("check the base URL (many end in '/v1') and the model")),
            Err(refusal) => Err(self.refused(&refusal)),
        }
    }

    fn accepted(&self) -> Verdict {
        if self.token.is_some() {
            Verdict::Works
        } else {
            Verdict::Open
        }
    }

    fn server(&self) -> String {
        without_user_info(self.base_url)
    }

    fn refused(&self, refusal: &Refusal) -> Failure {
        let failure = refusal.failure(&self.server());
        Failure {
            message: self.redacted(&failure.message),
            ..failure
        }
    }

    /// Some servers repeat the key in their refusal.
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
        let client = Client::new(self.base_url, PATIENCE).map_err(failed)?;
        runtime()?.block_on(async {
            let response = client.send(request).await.map_err(failed)?;
            let status = response.status();
            let header = |name: &str| response.header(name).map(str::to_owned);
            let (kind, location) = (header("content-type"), header("location").unwrap_or_default());
            let body = response.body(LARGEST).await.map_err(failed)?;
            Ok(match status {
                200..300 => Ok(body),
                300..400 => Err(Refusal::redirect(status, &location)),
                _ => Err(Refusal::read(status, kind.as_deref(), &body, None)),
            })
        })
    }
}

/// Tells whether a list of models has this one; `None` when it is no list of models.
fn lists(body: &[u8], model: &str) -> Option<bool> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let models = answer.get("data").unwrap_or(&answer).as_array()?;
    Some(
        models
            .iter()
            .any(|known| known.get("id").and_then(Value::as_str) == Some(model)),
    )
}

fn api_version() -> Option<String> {
    let version = std::env::var("OPENAI_API_VERSION").ok()?;
    Some(version).filter(|version| !version.trim().is_empty())
}

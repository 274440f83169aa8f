//! The request that tests a key or login: the very one that `qwen-chat` would send.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{
    AnswerSink, Call, Client, ClientOptions, Endpoint, Error, Event, LimitArgs, read_answer,
};
use qwen_shared::net::chat::{
    AnswerError, AnswerReader, Asked, Change, ChatBody, Delta, Dialect, ErrorKind, Form,
};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::net::http;
use qwen_shared::output::Reporter;
use serde_json::{Value, json};

/// How long a person waits for it. A server of one's own may have to load the model first.
const LIMIT: Duration = Duration::from_secs(120);

/// An answer is the only proof: a list of models may be public, and a refusal may come before the key is looked at.
struct TestCall {
    model: String,
    body: ChatBody,
    messages: Value,
    dialect: Dialect,
    reporter: Reporter,
}

/// Takes an answer until there is something of it.
struct Proof<'a> {
    has_come: bool,
    reporter: &'a Reporter,
}

impl AnswerSink for Proof<'_> {
    fn push(&mut self, delta: Delta<'_>) {
        self.has_come |= match delta {
            Delta::Text(text) | Delta::Reasoning(text) => !text.is_empty(),
            Delta::TextWasReasoning => true,
        };
    }

    fn is_silent(&mut self, waiting: &http::Waiting) {
        self.reporter.notice(&format!("test request: {waiting}"));
    }

    fn is_satisfied(&self) -> bool {
        self.has_come
    }
}

impl Call for TestCall {
    type Output = ();

    fn model(&self) -> Option<&str> {
        Some(&self.model)
    }

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<http::Request, Error> {
        self.dialect = endpoint.dialect();
        let url = endpoint.chat_url();
        self.reporter.detail(&format!(
            "test request: POST '{}{}'",
            url.origin().ascii_serialization(),
            url.path()
        ));
        Ok(endpoint.chat_request(self.body.to_json(&self.messages, form)?)?)
    }

    async fn read(&mut self, response: http::Response) -> Result<(), Error> {
        let mut reader = AnswerReader::new(response.header("content-type")).dialect(self.dialect);
        let mut proof = Proof {
            has_come: false,
            reporter: &self.reporter,
        };
        read_answer(response, &mut reader, &mut proof).await?;
        if proof.has_come {
            return Ok(());
        }
        let finished = reader.finish(&mut |delta| proof.push(delta));
        match finished {
            Ok(summary) if summary.shows_work() => Ok(()),
            Ok(_) => Err(AnswerError::Empty.into()),
            Err((error, _)) => Err(error.into()),
        }
    }

    fn allows(&self, change: Change) -> bool {
        self.body.allows(change)
    }

    fn notify(&mut self, event: &Event) {
        self.reporter.notice(&event.to_string());
    }

    fn waits(&mut self, waiting: &http::Waiting) {
        self.reporter.notice(&format!("test request: {waiting}"));
    }
}

/// Why a test failed.
pub(crate) struct TestFailure {
    pub(crate) failure: Failure,
    /// What the server says it is about.
    pub(crate) kind: Option<ErrorKind>,
    /// True where there was no connection at all.
    pub(crate) is_unreachable: bool,
}

impl TestFailure {
    /// Returns the failure of a request for what is `asked`.
    pub(crate) fn new(error: Error, client: &Client, asked: Asked) -> Self {
        Self {
            kind: error.kind(),
            is_unreachable: matches!(error, Error::Http(http::HttpError::Connect(_))),
            failure: client.plain_failure(error, asked),
        }
    }
}

impl From<Failure> for TestFailure {
    fn from(failure: Failure) -> Self {
        Self {
            failure,
            kind: None,
            is_unreachable: false,
        }
    }
}

/// Asks one question under these settings; returns the endpoint that answered.
///
/// # Errors
/// 77 for what is about the key, 69 for model, path, region and balance, 75 for a server that is not there or busy, 76 for
/// an answer that is not an API's.
pub(crate) fn test(
    settings: Settings,
    policy: &RefreshPolicy,
    reporter: &Reporter,
) -> Result<Endpoint, TestFailure> {
    let mut body = ChatBody::new(&settings.model.value, true);
    body.merge(&settings.body);
    let call = TestCall {
        model: settings.model.value.clone(),
        body,
        messages: json!([{ "role": "user", "content": "hi" }]),
        dialect: Dialect::default(),
        reporter: reporter.clone(),
    };
    let options = LimitArgs::default().options(settings.timeouts);
    let options = ClientOptions {
        max_time: Some(options.max_time.map_or(LIMIT, |limit| limit.min(LIMIT))),
        retries: 1,
        has_flags: false,
        renewal_pause: Duration::ZERO,
        threads: 1,
        ..options
    };
    let endpoint = Endpoint::open(settings, policy, reporter)?;
    let client = Client::new(endpoint, options, reporter)?;
    let (_, result) = client.call_blocking(call)?;
    // Nothing is stored yet that would list the models.
    result.map_err(|error| TestFailure::new(error, &client, Asked::Models))?;
    Ok(client.endpoint().as_ref().clone())
}

/// Tests the stored login of a profile and reports the result.
pub(crate) fn test_login(profile: &str, reporter: &Reporter) {
    // An imported login may have expired.
    let policy = RefreshPolicy {
        min_ttl: Duration::ZERO,
        refresh: Refresh::WhenDue,
    };
    let settings = Settings::resolve(&Overrides {
        profile: Some(profile.to_owned()),
        profile_first: true,
        ..Overrides::default()
    });
    let result = settings
        .map_err(TestFailure::from)
        .and_then(|settings| test(settings, &policy, reporter));
    reporter.notice(&match result {
        Ok(endpoint) => {
            let (url, model) = (endpoint.base_url(), &endpoint.settings().model.value);
            format!("'{url}' accepts the token; the model is '{model}'")
        }
        Err(TestFailure { failure, .. }) if failure.exit == Exit::NoAuth => {
            format!("the test request failed: {}", failure.message)
        }
        Err(TestFailure { failure, .. }) => {
            format!(
                "the login is stored, but the test request failed: {}",
                failure.message
            )
        }
    });
}

//! A client's request as a call of the API.

use std::sync::OnceLock;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, USER_AGENT,
};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::{Call, Endpoint, Error};
use qwen_shared::net::chat::{Change, Form};
use qwen_shared::net::http::{Request, Response};
use qwen_shared::net::ratelimit::{Notice, Permit, RateLimit};
use qwen_shared::secret::is_secret_name;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::naming::{fold, names_other_models};
use super::reading::Reading;
use super::route::{Route, Service};
use super::upload::{Upload, Whole};

/// The longest wait for the quota. A client that waits longer gives up, and asks again.
const LONGEST_PACE: Duration = Duration::from_secs(20);

/// What of a request's body goes to the server.
#[derive(Debug)]
pub(super) enum Content {
    None,
    Whole(Whole),
    Passing(Upload),
}

/// A refusal of the server, as it came.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) response: Response,
    pub(super) read: Vec<u8>,
    pub(super) is_cut: bool,
}

/// A client's request on its way to the server.
#[derive(Debug)]
pub(super) struct Question<'a> {
    route: &'a Route,
    query: Option<&'a str>,
    headers: HeaderMap,
    content: Content,
    reading: Reading,
    /// Bodies that were changed, ready to be sent as often as need be.
    changed: Option<Bytes>,
    counting: Option<Bytes>,
    /// Whether the last attempt asked for the count of tokens in the client's place.
    pub(super) asked_for_count: bool,
    pub(super) refused: Option<Refused>,
    /// How long the quota would have to be waited for.
    pub(super) pace: Option<Duration>,
}

impl<'a> Question<'a> {
    pub(super) fn new(
        route: &'a Route,
        query: Option<&'a str>,
        headers: HeaderMap,
        content: Content,
        mut reading: Reading,
    ) -> Self {
        let changed = reading.changed.take().map(Bytes::from);
        let counting = reading.counting.take().map(Bytes::from);
        Self {
            route,
            query,
            headers,
            content,
            reading,
            changed,
            counting,
            asked_for_count: false,
            refused: None,
            pace: None,
        }
    }

    /// True where the request can be sent once more.
    pub(super) fn is_kept(&self) -> bool {
        match &self.content {
            Content::Passing(upload) => !upload.has_begun(),
            Content::None | Content::Whole(_) => true,
        }
    }

    /// True where the client has broken its body off.
    pub(super) fn is_broken_off(&self) -> bool {
        matches!(&self.content, Content::Passing(upload) if upload.is_broken())
    }

    /// Lets go of the body: the answer has begun.
    pub(super) fn into_content(self) -> Content {
        self.content
    }

    fn url(&self, endpoint: &Endpoint) -> Result<url::Url, Failure> {
        let path = self.route.path.as_str();
        let mut url = match self.route.service {
            Service::Models => endpoint.models_url(),
            Service::Model | Service::Allowed => endpoint.url_below(path),
            _ => {
                let model = self.reading.model.as_deref().unwrap_or_default();
                if !endpoint.provider().can_address(model) {
                    return Err(Failure::new(
                        Exit::Data,
                        "the model's name cannot stand in a path",
                    ));
                }
                endpoint.model_url(path, model)
            }
        };
        add_query(&mut url, self.query);
        Ok(url)
    }
}

/// Adds the client's query: what provider and profile say stays as it is, and neither a credential nor a
/// model is named.
fn add_query(url: &mut url::Url, query: Option<&str>) {
    let Some(query) = query.filter(|query| !query.is_empty()) else {
        return;
    };
    let known: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let added: Vec<(String, String)> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| {
            let names_model = fold(name) == "model" || names_other_models(name);
            !is_secret_name(name) && !names_model && !known.iter().any(|known| known == name)
        })
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    if !added.is_empty() {
        url.query_pairs_mut().extend_pairs(added);
    }
}

/// Returns the headers of a client's request that are passed on.
pub(super) fn passed_headers(headers: &HeaderMap) -> HeaderMap {
    const NAMES: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, USER_AGENT];
    const OTHERS: [&str; 4] = ["idempotency-key", "openai-beta", "x-request-id", "traceparent"];
    let hop: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_passed = |name: &HeaderName| {
        let text = name.as_str();
        let is_listed = NAMES.contains(name) || OTHERS.contains(&text) || text.starts_with("x-stainless-");
        let is_content = text.starts_with("content-") && name != CONTENT_LENGTH;
        (is_listed || is_content) && (hop.is_empty() || !hop.iter().any(|hop| hop == text))
    };
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if is_passed(name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

impl Call for Question<'_> {
    type Output = Response;

    fn model(&self) -> Option<&str> {
        let model = self.reading.model.as_deref().unwrap_or_default();
        self.route.is_question().then_some(model)
    }

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<Request, Error> {
        let mut request = endpoint.request(self.route.method, self.url(endpoint)?)?;
        let counting = self.counting.as_ref().filter(|_| !form.without_stream_options);
        self.asked_for_count = counting.is_some();
        let headers = request.headers_mut();
        // What provider and profile say goes before what the client says; an encoding is what the toolkit itself says.
        let mut last = None;
        for (name, value) in &self.headers {
            if last == Some(name) {
                headers.append(name.clone(), value.clone());
            } else if name == ACCEPT_ENCODING || !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
                last = Some(name);
            }
        }
        match (&self.content, counting.or(self.changed.as_ref())) {
            (Content::None, _) => {}
            (Content::Whole(_), Some(changed)) => request.body = changed.clone(),
            (Content::Whole(whole), None) => request.body = whole.bytes.clone(),
            (Content::Passing(upload), _) => request.stream(upload.clone()),
        }
        // A POST without a body says so (RFC 9110, section 8.6).
        if request.body.is_empty()
            && self.route.method == "POST"
            && !matches!(self.content, Content::Passing(_))
        {
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Ok(request)
    }

    async fn read(&mut self, response: Response) -> Result<Response, Error> {
        Ok(response)
    }

    fn is_passed_on(&self) -> bool {
        true
    }

    fn keep_refusal(&mut self, response: Response, read: Vec<u8>, is_cut: bool) {
        self.refused = Some(Refused {
            response,
            read,
            is_cut,
        });
    }

    fn may_repeat(&self, _: &Error) -> bool {
        self.is_kept()
    }

    fn restart(&mut self) {
        self.refused = None;
    }

    fn allows(&self, change: Change) -> bool {
        change == Change::WithoutStreamOptions && self.asked_for_count
    }

    async fn permit(&mut self, limit: &RateLimit) -> Result<Option<Permit>, Error> {
        let Some(model) = self.model() else {
            return Ok(None);
        };
        let (wait, is_too_long) = (OnceLock::new(), Notify::new());
        let mut notify = |notice: Notice| {
            if let Notice::Wait(long, _) = notice
                && long > LONGEST_PACE
                && wait.set(long).is_ok()
            {
                is_too_long.notify_one();
            }
        };
        let permit = tokio::select! {
            biased;
            permit = timeout(LONGEST_PACE, limit.acquire(model, &mut notify)) => permit.ok(),
            () = is_too_long.notified() => None,
        };
        if let Some(permit) = permit {
            return Ok(Some(permit?));
        }
        self.pace = Some(wait.get().copied().unwrap_or(LONGEST_PACE));
        Err(Error::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderMap;

    use super::{add_query, passed_headers};

    #[test]
    fn headers_pass_by_their_names() {
        let headers: HeaderMap = [
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-api-key", "x"),
            ("api-key", "x"),
            ("openai-organization", "o"),
            ("host", "x"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("accept", "a"),
            ("user-agent", "u"),
            ("connection", "close, X-Request-Id , x-stainless-lang"),
            ("x-request-id", "r"),
            ("x-stainless-lang", "js"),
            ("x-stainless-os", "linux"),
            ("x-forwarded-for", "1.2.3.4"),
            ("transfer-encoding", "chunked"),
            ("te", "trailers"),
            ("traceparent", "t"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
        let passed = passed_headers(&headers);
        let mut names: Vec<_> = passed.keys().map(|name| name.as_str().to_owned()).collect();
        names.sort();
        assert_eq!(
            names,
            [
                "accept",
                "content-encoding",
                "content-type",
                "traceparent",
                "user-agent",
                "x-stainless-os"
            ]
        );
    }

    #[test]
    fn a_query_adds_and_replaces_nothing() {
        for (url, query, expected) in [
            ("https://x.example/v1/a", None, "https://x.example/v1/a"),
            ("https://x.example/v1/a", Some(""), "https://x.example/v1/a"),
            (
                "https://x.example/v1/a",
                Some("limit=2&after=x%20y"),
                "https://x.example/v1/a?limit=2&after=x+y",
            ),
            (
                "https://x.example/v1/a?api-version=1",
                Some("api-version=2&key=k&model=m&Model=m&deployment=d&engine=e&z=1"),
                "https://x.example/v1/a?api-version=1&z=1",
            ),
        ] {
            let mut url = url::Url::parse(url).unwrap();
            add_query(&mut url, query);
            assert_eq!(url.as_str(), expected);
        }
    }
}

//! Who may ask, and what: token, host, origin, framing, path.

use hyper::body::Body;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    TRANSFER_ENCODING, UPGRADE, VARY,
};
use hyper::{Method, Request, Response, StatusCode, Version};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::secret::Secret;
use subtle::ConstantTimeEq;

use super::answer::AnswerBody;
use super::refusal::Refusal;
use super::route::{Pattern, Route, find};

/// The most characters of a token that are looked at.
const LONGEST_TOKEN: usize = 4096;

/// What a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Socket,
}

/// What a request has to show.
#[derive(Debug)]
pub(super) struct Gate {
    token: Secret<String>,
    /// Names of this machine that may be asked for, in lower case, without port.
    hosts: Vec<String>,
    origins: Vec<String>,
    allowed: Vec<Pattern>,
}

/// What the gate says of a request that it lets pass.
#[derive(Debug)]
pub(super) enum Pass {
    Request(Route),
    /// A browser asks whether a page of an allowed origin may ask.
    Preflight(Response<AnswerBody>),
}

impl Gate {
    /// Makes the gate. `listen` is the address, where there is one.
    ///
    /// # Errors
    /// 64 for a path, a host or an origin that is none.
    pub(super) fn new(
        token: Secret<String>,
        listen: Option<std::net::SocketAddr>,
        options: &super::Options,
    ) -> Result<Self, Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned).to_vec();
        hosts.extend(listen.map(|address| match address.ip() {
            std::net::IpAddr::V4(ip) => ip.to_string(),
            std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        }));
        for name in &options.hosts {
            let host = host_of(name).filter(|host| *host == name.to_ascii_lowercase());
            hosts.push(host.ok_or_else(|| usage(format!("--host: '{name}' is no host name")))?);
        }
        for origin in &options.origins {
            let is_origin = origin == "null"
                || url::Url::parse(origin).is_ok_and(|url| {
                    url.origin().ascii_serialization() == *origin && url.origin().is_tuple()
                });
            if !is_origin {
                return Err(usage(format!(
                    "--allow-origin: '{origin}' is no origin, such as 'https://app.example' or 'http://localhost:3000'"
                )));
            }
        }
        let allowed = options.allow.iter().map(|path| Pattern::parse(path));
        Ok(Self {
            token,
            hosts,
            origins: options.origins.clone(),
            allowed: allowed.collect::<Result<_, _>>().map_err(usage)?,
        })
    }

    /// Returns the token.
    pub(super) const fn token(&self) -> &Secret<String> {
        &self.token
    }

    /// Judges a request by its head.
    ///
    /// # Errors
    /// The answer to one that does not pass.
    pub(super) fn check<B: Body>(&self, request: &Request<B>, transport: Transport) -> Result<Pass, Refusal> {
        check_framing(request)?;
        self.check_host(request, transport)?;
        let origin = self.check_origin(request.headers())?;
        if request.method() == Method::OPTIONS
            && let Some(origin) = origin
            && request.headers().contains_key("access-control-request-method")
        {
            return Ok(Pass::Preflight(preflight(origin)));
        }
        self.check_token(request.headers())?;
        let route = find(request.method(), request.uri().path(), &self.allowed);
        if asks_for_websocket(request.headers()) {
            return Err(Refusal::request(
                StatusCode::UPGRADE_REQUIRED,
                "websocket_not_supported",
                "WebSocket is not passed on by qwen-proxy: use plain HTTP, with streams as server-sent events",
            )
            .with_header(UPGRADE, HeaderValue::from_static("HTTP/1.1")));
        }
        route.map(Pass::Request)
    }

    fn check_host<B>(&self, request: &Request<B>, transport: Transport) -> Result<(), Refusal> {
        let refused = || {
            Refusal::forbidden(
                "host_not_allowed",
                "the request names another host than this proxy; --host NAME adds one",
            )
        };
        let mut named = request.headers().get_all(HOST).iter();
        let host = named.next();
        if named.next().is_some() {
            return Err(Refusal::bad_request("invalid_host", "two Host headers").closing());
        }
        if host.is_none() && request.version() == Version::HTTP_11 {
            return Err(Refusal::bad_request("invalid_host", "no Host header").closing());
        }
        let is_ours = |host: &str| host_of(host).is_some_and(|host| self.hosts.contains(&host));
        // A whole URL in the place of a path: who takes this for a forward proxy.
        if let Some(authority) = request.uri().authority()
            && !(request.uri().scheme_str() == Some("http")
                && is_ours(authority.as_str())
                && host.is_some_and(|host| host.as_bytes() == authority.as_str().as_bytes()))
        {
            return Err(refused().closing());
        }
        if transport == Transport::Socket {
            return Ok(());
        }
        match host.map(HeaderValue::to_str) {
            Some(Ok(host)) if is_ours(host) => Ok(()),
            _ => Err(refused()),
        }
    }

    /// Returns the origin of a web page that may ask.
    fn check_origin<'r>(&self, headers: &'r HeaderMap) -> Result<Option<&'r HeaderValue>, Refusal> {
        let mut named = headers.get_all(ORIGIN).iter();
        let Some(origin) = named.next() else {
            return Ok(None);
        };
        let is_allowed = self
            .origins
            .iter()
            .any(|known| known.as_bytes() == origin.as_bytes());
        if !is_allowed || named.next().is_some() {
            return Err(Refusal::forbidden(
                "origin_not_allowed",
                "web pages may not ask this proxy; --allow-origin ORIGIN lets those of one origin",
            ));
        }
        Ok(Some(origin))
    }

    /// Adds what lets the page of an allowed origin read the answer.
    pub(super) fn let_origin_read(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if let Some(origin) = origin.filter(|_| !self.origins.is_empty()) {
            headers.insert("access-control-allow-origin", origin.clone());
            headers.insert("access-control-expose-headers", HeaderValue::from_static("*"));
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut named = headers.get_all(AUTHORIZATION).iter();
        let (first, second) = (named.next(), named.next());
        let refused = |code, message: &str| Err(Refusal::unauthorized(code, message));
        let Some(value) = first else {
            return refused(
                "missing_token",
                "no token: send 'Authorization: Bearer' with the value of OPENAI_API_KEY that qwen-proxy has set",
            );
        };
        let sent = second.is_none().then(|| bearer(value.as_bytes())).flatten();
        let is_ours = sent
            .filter(|sent| sent.len() <= LONGEST_TOKEN)
            .is_some_and(|sent| bool::from(sent.ct_eq(self.token.expose().as_bytes())));
        match is_ours {
            true => Ok(()),
            false => refused(
                "invalid_token",
                "not the token of this qwen-proxy: the client may have sent a key that it has stored itself, or one of an \
                 earlier qwen-proxy; it was passed on to nobody",
            ),
        }
    }
}

/// Returns the token of an `Authorization` header (RFC 6750, section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// Returns the name of a `Host` header's value in lower case, without its port; `None` where it is none.
fn host_of(value: &str) -> Option<String> {
    let (name, port) = match value.strip_prefix('[') {
        Some(rest) => {
            let (ip, port) = rest.split_once(']')?;
            ip.parse::<std::net::Ipv6Addr>().ok()?;
            (format!("[{ip}]"), port.strip_prefix(':').unwrap_or(port))
        }
        None => match value.split_once(':') {
            Some((name, port)) => (name.to_owned(), port),
            None => (value.to_owned(), ""),
        },
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
    let is_port = port.len() <= 5 && port.bytes().all(|digit| digit.is_ascii_digit());
    (is_port && !name.is_empty() && name.chars().all(is_name)).then_some(name)
}

/// Refuses a request whose end two servers could see in different places (RFC 9112, section 11.2).
fn check_framing<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let refused = |what: &str| Err(Refusal::bad_request("invalid_framing", what).closing());
    if request.method() == Method::CONNECT {
        return Err(Refusal::method_not_allowed("", "this is no forward proxy").closing());
    }
    let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let lengths = headers.get_all(CONTENT_LENGTH).iter().count();
    if !codings.is_empty() && lengths > 0 {
        return refused("both Transfer-Encoding and Content-Length");
    }
    if lengths > 1 {
        return refused("several Content-Length headers");
    }
    let is_digits = |value: &HeaderValue| value.as_bytes().iter().all(u8::is_ascii_digit);
    if headers.get(CONTENT_LENGTH).is_some_and(|value| !is_digits(value)) {
        return refused("a Content-Length that is no number");
    }
    let is_chunked = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if codings.len() > 1 || codings.iter().any(|coding| !is_chunked(coding)) {
        return refused("a Transfer-Encoding other than chunked");
    }
    if !codings.is_empty() && request.version() != Version::HTTP_11 {
        return refused("Transfer-Encoding before HTTP/1.1");
    }
    Ok(())
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let names = |header: HeaderName, wanted: &str| {
        headers.get_all(header).iter().any(|value| {
            let value = value.to_str().unwrap_or_default();
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(wanted))
        })
    };
    names(UPGRADE, "websocket") || headers.contains_key("sec-websocket-key") && names(CONNECTION, "upgrade")
}

fn preflight(origin: &HeaderValue) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::whole(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert("access-control-allow-origin", origin.clone());
    for (name, value) in [
        ("access-control-allow-methods", "GET, POST, DELETE"),
        (
            "access-control-allow-headers",
            "authorization, content-type, accept, openai-beta, idempotency-key, x-stainless-arch, x-stainless-lang, \
             x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, \
             x-stainless-runtime-version, x-stainless-timeout, x-stainless-helper-method",
        ),
        ("access-control-max-age", "600"),
        ("vary", "origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{bearer, host_of};

    #[test]
    fn a_host_is_a_name_and_a_port() {
        for (value, host) in [
            ("127.0.0.1:8080", Some("127.0.0.1")),
            ("LOCALHOST", Some("localhost")),
            ("localhost.:1", Some("localhost")),
            ("[::1]:8080", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("host.docker.internal:1", Some("host.docker.internal")),
            ("", None),
            (":80", None),
            ("127.0.0.1:80@evil.example", None),
            ("evil.example/127.0.0.1", None),
            ("127.0.0.1, evil.example", None),
            ("127.0.0.1:80:90", None),
            ("[::1]x", None),
            ("a b", None),
        ] {
            assert_eq!(host_of(value).as_deref(), host, "{value}");
        }
    }

    #[test]
    fn the_scheme_of_a_token_has_no_case() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("BEARER abc", Some("abc")),
            ("Bearer", None),
            ("Basic abc", None),
            ("abc", None),
            ("Bearerabc", None),
        ] {
            assert_eq!(bearer(value.as_bytes()), token.map(str::as_bytes), "{value}");
        }
    }
}

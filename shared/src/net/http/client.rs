//! A client for one endpoint: connections, and the wait for the head of a response.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::body::{Progress, Sent, bytes_noting};
use super::error::{HttpError, Phase};
use super::probe::{self, Spoken, spoken};
use super::proxy::Proxy;
use super::request::Request;
use super::response::Response;
use super::tls::tls_settings;
use super::waiting::{SILENCE, Waiting, nearer};
use super::{Timeouts, USER_AGENT};
use crate::provider::{is_loopback, is_private_network};

/// A client for one endpoint: connections are kept and used again.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where all requests go: scheme, host and port.
    server: Url,
    /// One, or one for each thread that serves.
    pools: Arc<[reqwest::Client]>,
    timeouts: Timeouts,
    /// The proxy in use.
    proxy: Option<Proxy>,
}

/// How long a connection is kept that nothing uses: many servers close theirs after five seconds (uvicorn, Node), and a
/// request that meets the end of its connection is lost.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// The status of a proxy that wants to know who asks.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// The most headers of a response: more than any server has a reason for.
const MAX_HEADERS: usize = 1024;

/// Returns the number of this thread among those that have asked for it.
fn place_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    PLACE.with(|place| *place)
}

/// Makes a client with connections of its own. `proxy` is the variable that names the proxy in use.
fn pool(
    tls: rustls::ClientConfig,
    connect: Duration,
    proxy: Option<&'static str>,
) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .connect_timeout(connect)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        // A line that is no header, or a folded one, costs that line, not the answer (RFC 9112, sections 5.1 and 5.2).
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .tcp_nodelay(true)
        .pool_idle_timeout(POOL_IDLE)
        .user_agent(USER_AGENT);
    if proxy.is_none() {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| HttpError::before_head(&error, connect, proxy))
}

impl Client {
    /// Makes the client for the endpoint that `base` is on. Reads CA certificates only if `base` is `https`, or if a
    /// proxy is in use.
    ///
    /// # Errors
    /// Bad certificates or a bad proxy setting.
    pub fn new(base: &Url, timeouts: Timeouts) -> Result<Self, HttpError> {
        Self::for_threads(base, timeouts, 1)
    }

    /// As [`Client::new`], for a program with so many runtimes on a thread each. Every thread keeps connections of its own: to
    /// read an answer by another thread's connection would wake both of them for each piece.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn for_threads(base: &Url, timeouts: Timeouts, threads: usize) -> Result<Self, HttpError> {
        let proxy = Proxy::of(base)?;
        let tls =
            tls_settings(base.scheme() == "https" || proxy.as_ref().is_some_and(|proxy| proxy.is_https))?;
        let variable = proxy.as_ref().map(|proxy| proxy.variable);
        let pools = (0..threads.max(1)).map(|_| pool(tls.clone(), timeouts.connect, variable));
        Ok(Self {
            server: base.clone(),
            pools: pools.collect::<Result<_, _>>()?,
            timeouts,
            proxy,
        })
    }

    /// Sends a request and waits for the head of the response, whatever its status. It ends by `deadline`, if that comes
    /// before the client's own; with the limit that it is the end of. `on_silence` is told when a wait has become long.
    ///
    /// # Errors
    /// Everything that is not an HTTP response.
    pub async fn send(
        &self,
        request: Request,
        deadline: Option<(Instant, Duration)>,
        on_silence: &mut (dyn FnMut(&Waiting) + Send),
    ) -> Result<Response, HttpError> {
        let own = self.timeouts.total.map(|total| (Instant::now() + total, total));
        let deadline = own.into_iter().chain(deadline).min_by_key(|(at, _)| *at);
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|error| HttpError::Invalid(error.to_string()))?;
        let variable = self.proxy.as_ref().map(|proxy| proxy.variable);
        let before_head = |error| HttpError::before_head(&error, self.timeouts.connect, variable);
        let progress = Progress::default();
        let has_body = request.upload.is_some() || request.stream.is_some() || !request.body.is_empty();
        let mut built = reqwest::Request::new(method, request.url);
        *built.headers_mut() = request.headers;
        if let Some(stream) = request.stream {
            *built.body_mut() = Some(stream.noting(&progress));
        } else if let Some(upload) = request.upload {
            let form = upload.form_noting(&progress).map_err(before_head)?;
            let builder = reqwest::RequestBuilder::from_parts(self.pool().clone(), built).multipart(form);
            built = builder.build().map_err(before_head)?;
        } else if has_body {
            *built.body_mut() = Some(bytes_noting(request.body, &progress));
        }
        let progress = has_body.then_some(&progress);
        let (head, began) = self
            .head(deadline, self.pool().execute(built), progress, on_silence)
            .await?;
        let inner = match head.map_err(before_head) {
            Ok(inner) => inner,
            // What is rare is boxed: what a request is made of is moved several times, and kept for each connection that is served.
            Err(error) => return Err(Box::pin(self.explained(error)).await),
        };
        let response = Response::new(inner, began, self.timeouts, deadline);
        match variable {
            Some(variable) if response.status() == PROXY_AUTHENTICATION_REQUIRED => {
                Err(Box::pin(refused_by_proxy(response, variable)).await)
            }
            _ => Ok(response),
        }
    }

    /// Returns the connections of the thread that asks.
    fn pool(&self) -> &reqwest::Client {
        match &*self.pools {
            [only] => only,
            pools => &pools[place_of_thread() % pools.len()],
        }
    }

    /// Finds out more about a fault that says too little: what is spoken on the server's port, what the proxy said.
    async fn explained(&self, error: HttpError) -> HttpError {
        let url = &self.server;
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return error;
        };
        match (error, &self.proxy) {
            (HttpError::ProxyRefused { status, variable, .. }, Some(proxy)) => {
                let answer = proxy.refusal(url).await;
                let (status, words) =
                    answer.map_or((status, String::new()), |answer| (answer.status, answer.words));
                HttpError::ProxyRefused {
                    status,
                    words,
                    variable,
                }
            }
            (HttpError::Malformed(_), None)
                if url.scheme() == "http" && spoken(host, port).await == Spoken::Tls =>
            {
                HttpError::WrongScheme {
                    speaks: "https",
                    is_allowed: true,
                }
            }
            (HttpError::Tls { is_garbled: true, .. }, None) if spoken(host, port).await == Spoken::Http => {
                HttpError::WrongScheme {
                    speaks: "http",
                    is_allowed: is_loopback(url) || is_private_network(url),
                }
            }
            (error, _) => error,
        }
    }

    /// Returns what is waited for before the head, and its limit.
    const fn stage(&self, sent: Option<Sent>) -> (Phase, Duration) {
        match sent {
            None => (Phase::Connect, self.timeouts.connect),
            Some(Sent { is_all: true, .. }) => (Phase::FirstByte, self.timeouts.first_byte),
            Some(_) => (Phase::Upload, self.timeouts.idle),
        }
    }

    /// Returns when the wait for the head ends if nothing changes, and by which fault. Before the connection it is looked
    /// at again then.
    fn end_of_head(&self, sent: Option<Sent>) -> (Instant, HttpError) {
        let Timeouts { first_byte, idle, .. } = self.timeouts;
        match sent {
            Some(Sent { at, is_all: true }) => {
                (at + first_byte, HttpError::Timeout(Phase::FirstByte, first_byte))
            }
            // Not connected yet, or on its way: what counts may have changed by the end of the shorter limit.
            _ => (
                sent.map_or_else(Instant::now, |sent| sent.at) + idle,
                HttpError::Timeout(Phase::Upload, idle),
            ),
        }
    }

    /// Waits for the head of an answer. Returns with it from when the limit for the first byte runs, since a head says
    /// nothing yet.
    ///
    /// It runs from the end of the request's body; until then the limit is that for a pause, from the last piece that was
    /// taken. Making the connection has a limit of its own. A request without a body says nothing on its way, so that
    /// the limit for the first byte then includes the connection.
    async fn head<F: Future>(
        &self,
        deadline: Option<(Instant, Duration)>,
        sending: F,
        progress: Option<&Progress>,
        on_silence: &mut (dyn FnMut(&Waiting) + Send),
    ) -> Result<(F::Output, Instant), HttpError> {
        let first_byte = self.timeouts.first_byte;
        let started = Instant::now();
        let all_at = |at| Some(Sent { at, is_all: true });
        let sent = || progress.map_or(all_at(started), Progress::sent);
        let mut sending = pin!(sending);
        let mut is_silence_told = false;
        loop {
            let before = sent();
            let silent_at = before.map_or(started, |sent| sent.at) + SILENCE;
            let (end, error) = self.end_of_head(before);
            let is_all = before.is_some_and(|sent| sent.is_all);
            let wake = if is_all {
                end
            } else {
                end.min(Instant::now() + first_byte)
            };
            let (wake, at_wake) = nearer(deadline, wake, error);
            if !is_silence_told && silent_at < wake {
                match timeout_at(silent_at, &mut sending).await {
                    Ok(head) => return Ok((head, sent().map_or(started, |sent| sent.at))),
                    Err(_) if sent() == before => {
                        is_silence_told = true;
                        let (stage, limit) = self.stage(before);
                        on_silence(&Waiting::new(stage, silent_at - SILENCE, limit, deadline));
                    }
                    Err(_) => {}
                }
                continue;
            }
            match timeout_at(wake, &mut sending).await {
                Ok(head) => return Ok((head, sent().map_or(started, |sent| sent.at))),
                Err(_) if matches!(at_wake, HttpError::Timeout(Phase::Total, _)) => return Err(at_wake),
                Err(_) if wake == end && before.is_some() && sent() == before => return Err(at_wake),
                Err(_) => {}
            }
        }
    }
}

/// Reads what a proxy says that wants to know who asks.
async fn refused_by_proxy(response: Response, variable: &'static str) -> HttpError {
    const LIMIT: usize = 64 << 10;
    let status = response.status();
    // Without its words it is what it is.
    let body = response.body(LIMIT).await.unwrap_or_default();
    let words = match body.trim_ascii().is_empty() {
        true => String::new(),
        false => probe::words(&body),
    };
    HttpError::ProxyRefused {
        status,
        words,
        variable,
    }
}

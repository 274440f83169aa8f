//! The server: it takes requests with its own token, and asks the profile's endpoint with the credential.

mod acceptor;
mod additions;
mod answer;
mod answer_head;
mod body_reader;
mod budget;
mod connections;
#[cfg(test)]
#[path = "../../../tests/fuzz/properties/proxy.rs"]
mod corpus;
mod extent;
mod fault;
mod gate;
mod head_scan;
mod lent;
mod listener;
mod log;
mod members;
mod models;
mod multipart;
mod naming;
mod progress;
mod question;
mod reading;
mod record;
mod refusal;
mod route;
mod rules;
mod service;
mod stream;
mod upload;
mod usage;
mod workers;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::net::api::{Client, ClientOptions, Endpoint, TimeoutArgs};
use qwen_shared::net::config::{Settings, Source};
use qwen_shared::net::credential::RefreshPolicy;
use qwen_shared::net::http::Timeouts;
use qwen_shared::net::random;
use qwen_shared::output::Reporter;
use qwen_shared::process::raise_open_files;
use qwen_shared::secret::Secret;
use serde_json::{Map, Value};
use tokio::sync::watch;

use self::acceptor::Listener;
use self::body_reader::BodyReader;
use self::budget::Budget;
use self::connections::Connections;
use self::gate::Gate;
use self::lent::KnownMask;
use self::listener::SocketFile;
use self::log::{Entry, Log};
use self::reading::Task;
use self::rules::Rules;
use self::upload::Memory;
use self::workers::Workers;

/// The most connections.
const CONNECTIONS: usize = 1024;

/// Descriptors that are no connection's: about 30, and some to spare.
const OWN_DESCRIPTORS: u64 = 40;

/// How long after a renewal that failed none is tried.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// How often it is looked whether all requests have ended.
const LOOK: Duration = Duration::from_millis(10);

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// `None`: 127.0.0.1 and a free port, unless there is a socket.
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) allow_remote: bool,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) socket_mode: u32,
    pub(crate) hosts: Vec<String>,
    pub(crate) origins: Vec<String>,
    pub(crate) allow_models: Vec<String>,
    /// The model in the place of whatever was asked.
    pub(crate) model: Option<String>,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_total_tokens: Option<u64>,
    pub(crate) allow: Vec<String>,
    pub(crate) log: Option<PathBuf>,
    pub(crate) retries: u32,
    pub(crate) timeouts: TimeoutArgs,
    /// True where the quota is waited for.
    pub(crate) pace: bool,
}

/// What all requests share.
#[derive(Debug)]
struct State {
    client: Client,
    gate: Gate,
    rules: Rules,
    budget: Budget,
    memory: Memory,
    body_reader: BodyReader,
    /// The members that the profile adds to questions.
    added: Map<String, Value>,
    /// What the profile adds to requests that is secret, the credential apart.
    lent: Vec<Secret<String>>,
    mask: KnownMask,
    /// True where the model is a part of the server's path.
    needs_model: bool,
    timeouts: Timeouts,
    connections: Connections,
    log: Option<Log>,
    counts: Counts,
    /// What says at once that a budget is used up, where nobody else has the terminal.
    reporter: OnceLock<Reporter>,
}

/// How many requests there were.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicU64,
    refused: AtomicU64,
    cancelled: AtomicU64,
}

impl State {
    /// Returns what is to be done with the bodies of all requests.
    fn task(&self) -> Task<'_> {
        Task {
            rules: &self.rules,
            counts: self.budget.counts_tokens(),
            added: &self.added,
        }
    }

    fn say_used_up(&self) {
        if let Some(reporter) = self.reporter.get()
            && let Some(exhaustion) = self.budget.first_exhaustion()
        {
            reporter.notice(&exhaustion);
        }
    }

    fn count(&self, entry: &Entry) {
        self.counts.all.fetch_add(1, Ordering::Relaxed);
        if entry.code.is_some() {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        if entry.is_cancelled {
            self.counts.cancelled.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A server that serves.
#[derive(Debug)]
pub(crate) struct Server {
    workers: Option<Workers>,
    state: Arc<State>,
    address: Option<SocketAddr>,
    socket: Option<SocketFile>,
    draining: watch::Sender<bool>,
    model: Option<String>,
}

impl Server {
    /// Gets the credential, listens and begins to serve.
    ///
    /// # Errors
    /// 64 for options that contradict one another; 77, 75 and 78 for a credential that cannot be had; 75 and 74 where it cannot
    /// listen.
    pub(crate) fn start(options: Options, settings: Settings, reporter: &Reporter) -> Result<Self, Failure> {
        let listen = listen_address(&options);
        check_remote(listen, options.allow_remote, reporter)?;
        let gate = Gate::new(new_token()?, listen, &options)?;
        let log = options.log.as_deref().map(|path| Log::open(path, reporter));
        let model = configured_model(&options, &settings);
        let mut client = client_options(&options, &settings);
        let timeouts = client.timeouts;
        let added = settings.body.clone();
        let endpoint = Endpoint::open(settings, &RefreshPolicy::default(), reporter)?;
        let workers = Workers::start()?;
        client.threads = workers.handles().len();
        let bound = Bound::new(listen, &options, &workers)?;
        let state = Arc::new(State {
            lent: lent::of_profile(&endpoint),
            mask: KnownMask::default(),
            needs_model: endpoint.provider().has_model_in_path(),
            client: Client::new(endpoint, client, reporter)?,
            gate,
            budget: Budget::new(options.max_requests, options.max_total_tokens),
            rules: Rules {
                allowed: options.allow_models,
                replacement: options.model,
            },
            memory: Memory::new(),
            body_reader: BodyReader::start()?,
            added,
            timeouts,
            connections: Connections::new(connection_limit(raise_open_files(0))),
            log: log.transpose()?,
            counts: Counts::default(),
            reporter: OnceLock::new(),
        });
        Ok(Self {
            draining: accept_all(&workers, &bound.listeners, &state)?,
            workers: Some(workers),
            state,
            address: bound.address,
            socket: bound.socket,
            model,
        })
    }

    /// Returns the address for clients; `None` with a socket alone.
    pub(crate) fn base_url(&self) -> Option<String> {
        let mut address = self.address?;
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Some(format!("http://{address}/v1"))
    }

    /// Returns the socket, if it listens on one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(SocketFile::path)
    }

    /// Returns the token that opens this server.
    pub(crate) fn token(&self) -> &Secret<String> {
        self.state.gate.token()
    }

    /// Returns the model, where one is configured.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Has it said at once, from now on, that a budget is used up.
    pub(crate) fn speak(&self, reporter: &Reporter) {
        let _ = self.state.reporter.set(reporter.clone());
    }

    /// Makes room for as many connections as this process may have.
    pub(crate) fn raise_descriptors(&self) {
        let wanted = 2 * CONNECTIONS as u64 + OWN_DESCRIPTORS;
        // Where a sandbox refuses that, fewer connections are served.
        self.state
            .connections
            .set_limit(connection_limit(raise_open_files(wanted)));
    }

    /// Takes no more requests, and ends when those that run have ended, at the limit, or when `hurry` says so.
    pub(crate) fn stop(mut self, limit: Duration, hurry: impl Fn() -> bool) -> Summary {
        self.draining.send_replace(true);
        let began = Instant::now();
        while self.state.connections.busy() > 0 && began.elapsed() < limit && !hurry() {
            thread::sleep(LOOK);
        }
        self.end();
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Summary {
            requests: read(&self.state.counts.all),
            refused: read(&self.state.counts.refused),
            cancelled: read(&self.state.counts.cancelled),
            tokens: self
                .state
                .budget
                .counts_tokens()
                .then(|| self.state.budget.tokens()),
            exhaustion: self.state.budget.exhaustion(),
        }
    }

    /// Ends what runs. A renewal of the credential that has begun is waited for: the server may have changed the login.
    fn end(&mut self) {
        drop(self.workers.take());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Where the server listens.
struct Bound {
    listeners: Vec<Listener>,
    address: Option<SocketAddr>,
    socket: Option<SocketFile>,
}

impl Bound {
    fn new(listen: Option<SocketAddr>, options: &Options, workers: &Workers) -> Result<Self, Failure> {
        let _entered = workers.handles().first().map(tokio::runtime::Handle::enter);
        let tcp = listen.map(listener::listen).transpose()?;
        let socket = options.socket.as_deref();
        let socket = socket.map(|path| listener::listen_on_socket(path, options.socket_mode));
        let (unix, socket) = socket.transpose()?.unzip();
        Ok(Self {
            address: tcp.as_ref().and_then(|tcp| tcp.local_addr().ok()),
            listeners: tcp
                .map(Listener::Tcp)
                .into_iter()
                .chain(unix.map(Listener::Socket))
                .collect(),
            socket,
        })
    }
}

/// Returns where it listens by TCP: on the loopback and a free port, unless there is a socket.
fn listen_address(options: &Options) -> Option<SocketAddr> {
    match (&options.listen, &options.socket) {
        (None, Some(_)) => None,
        (address, _) => Some(address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))),
    }
}

/// Returns the model that clients are told to use, where one is configured.
fn configured_model(options: &Options, settings: &Settings) -> Option<String> {
    let is_configured = options.model.is_some() || settings.model.source != Source::Default;
    is_configured.then(|| settings.model.value.clone())
}

fn client_options(options: &Options, settings: &Settings) -> ClientOptions {
    let mut client = options.timeouts.options(settings.timeouts, options.retries);
    client.is_paced = options.pace;
    client.renewal_pause = RENEWAL_PAUSE;
    client
}

/// Has every worker take connections from every listener, until what is returned says that no more are taken.
fn accept_all(
    workers: &Workers,
    listeners: &[Listener],
    state: &Arc<State>,
) -> Result<watch::Sender<bool>, Failure> {
    let (draining, is_draining) = watch::channel(false);
    for handle in workers.handles() {
        for listener in listeners {
            let listener = listener.for_runtime(handle)?;
            handle.spawn(acceptor::accept(listener, Arc::clone(state), is_draining.clone()));
        }
    }
    Ok(draining)
}

/// Returns how many connections a limit of descriptors allows: each may need another one to the server.
fn connection_limit(descriptors: Option<u64>) -> usize {
    let room = descriptors.unwrap_or(u64::MAX).saturating_sub(OWN_DESCRIPTORS) / 2;
    usize::try_from(room).unwrap_or(CONNECTIONS).clamp(1, CONNECTIONS)
}

/// Refuses an address that other machines reach, unless that is wanted; then says what that means.
fn check_remote(listen: Option<SocketAddr>, is_allowed: bool, reporter: &Reporter) -> Result<(), Failure> {
    let Some(address) = listen.filter(|address| !address.ip().is_loopback()) else {
        return Ok(());
    };
    if !is_allowed {
        let message = format!("'{address}': other machines reach this address");
        return Err(Failure::new(Exit::Usage, message)
            .hint("add --allow-remote if that is wanted: the token, questions and answers go in clear"));
    }
    let who = match address.ip().is_unspecified() {
        true => "every machine that reaches this one can connect",
        false => "other machines can connect",
    };
    reporter.notice(&format!(
        "'{address}': {who}; the token, questions and answers go in clear"
    ));
    Ok(())
}

/// Refuses a model for all requests that the rules refuse, and says where they refuse the one that clients are told to use.
///
/// # Errors
/// 64 for a model in the place of all others that is not among those allowed.
pub(crate) fn check_models(
    options: &Options,
    settings: &Settings,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let is_allowed = |model: &String| options.allow_models.is_empty() || options.allow_models.contains(model);
    let allowed = options.allow_models.join(", ");
    match &options.model {
        Some(model) if !is_allowed(model) => {
            let message = format!("--model {model}: --allow-model refuses it; allowed: {allowed}");
            Err(Failure::new(Exit::Usage, message)
                .hint("--model alone refuses no request and asks that model only"))
        }
        None if settings.model.source != Source::Default && !is_allowed(&settings.model.value) => {
            let (model, source) = (&settings.model.value, &settings.model.source);
            reporter.notice(&format!(
                "the model {model}, from {source}, will be refused: --allow-model allows {allowed}"
            ));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Makes a token that has the form of a key: some clients check that.
fn new_token() -> Result<Secret<String>, Failure> {
    const LENGTH: usize = 48;
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut token = "sk-".to_owned();
    while token.len() < 3 + LENGTH {
        let bytes = random::bytes::<64>()
            .map_err(|error| Failure::new(Exit::Io, format!("cannot make a token: {}", io_reason(&error))))?;
        // The largest multiple of 62 that a byte holds: each letter is as likely as the next.
        let letters = bytes
            .iter()
            .filter(|byte| **byte < 248)
            .map(|byte| LETTERS[usize::from(byte % 62)]);
        token.extend(letters.map(char::from).take(3 + LENGTH - token.len()));
    }
    Ok(Secret::new(token))
}

/// What was done.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    /// That the budget is used up, where a request was refused for it.
    pub(crate) exhaustion: Option<String>,
    requests: u64,
    refused: u64,
    cancelled: u64,
    /// Counted only against a budget.
    tokens: Option<u64>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            refused,
            cancelled,
            tokens,
            ..
        } = self;
        let plural = if *requests == 1 { "" } else { "s" };
        write!(f, "{requests} request{plural}")?;
        if *refused > 0 {
            write!(f, ", {refused} refused here")?;
        }
        if *cancelled > 0 {
            write!(f, ", {cancelled} cancelled")?;
        }
        tokens.map_or(Ok(()), |tokens| write!(f, ", {tokens} tokens"))
    }
}

#[cfg(test)]
mod tests {
    use super::new_token;

    #[test]
    fn a_token_has_the_form_of_a_key_and_is_new_each_time() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_ne!(one, other);
        let letters = one.expose().strip_prefix("sk-").unwrap();
        assert_eq!(letters.len(), 48);
        assert!(letters.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}

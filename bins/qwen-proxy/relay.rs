//! A plain relay from a loopback port to the socket of another qwen-proxy, for a place without a way to the network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, cannot_start, io_exit, io_reason};
use qwen_shared::output::Reporter;
use qwen_shared::process::raise_open_files;
use qwen_shared::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

use super::environment::Access;

/// The variable with the token of the other qwen-proxy, under which its own command gets it.
const TOKEN: &str = "OPENAI_API_KEY";

/// The most connections at once. Each needs two descriptors.
const MOST_CONNECTIONS: usize = 1024;

/// Descriptors that are not for connections.
const OWN_DESCRIPTORS: u64 = 32;

/// The pause after a connection that the system has no descriptor for.
const PAUSE: Duration = Duration::from_millis(50);

/// The most of a request that is read when nobody will answer it any more, so that the answer arrives, and the longest time
/// for it.
const MOST_READ: u64 = 32 << 20;
const LONGEST_READ: Duration = Duration::from_secs(2);

/// How long connections that are open may go on at the end. Which of them are idle only the other end knows.
const DRAIN: Duration = Duration::from_secs(10);

/// A relay that runs.
pub(crate) struct Relay {
    address: SocketAddr,
    token: Secret<String>,
    model: Option<String>,
    state: Arc<State>,
    stopped: watch::Sender<bool>,
}

struct State {
    socket: PathBuf,
    connections: AtomicUsize,
    most: AtomicUsize,
    reporter: Reporter,
}

impl Relay {
    /// Listens on a loopback port, by default a free one, and begins to relay.
    ///
    /// # Errors
    /// 66 where there is no such socket, 75 where nobody answers at it, 77 without a token, 78 for an address that other
    /// machines reach.
    pub(crate) fn start(
        socket: &Path,
        listen: Option<SocketAddr>,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let token = token()?;
        try_socket(socket)?;
        let address = listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let listener = listen_on(address)?;
        let address = listener.local_addr().unwrap_or(address);
        let (stopped, is_stopped) = watch::channel(false);
        let state = Arc::new(State {
            socket: std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned()),
            connections: AtomicUsize::new(0),
            most: AtomicUsize::new(most_connections()),
            reporter: reporter.clone(),
        });
        serve(listener, Arc::clone(&state), is_stopped).map_err(|error| cannot_start("the relay", &error))?;
        Ok(Self {
            address,
            token,
            model: std::env::var("OPENAI_MODEL")
                .ok()
                .filter(|model| !model.is_empty()),
            state,
            stopped,
        })
    }

    /// Returns what opens it: the token of the other end.
    pub(crate) fn access(&self) -> Access {
        Access {
            base_url: Some(format!("http://{}/v1", self.address)),
            socket: Some(self.state.socket.clone()),
            token: self.token.clone(),
            model: self.model.clone(),
        }
    }

    /// Makes room for as many connections as this process may have.
    pub(crate) fn raise_descriptors(&self) {
        let wanted = 2 * MOST_CONNECTIONS as u64 + OWN_DESCRIPTORS;
        let _ = raise_open_files(wanted);
        self.state.most.store(most_connections(), Ordering::Relaxed);
    }

    /// Takes no more connections, and waits for those that are open, at most for 10 s.
    pub(crate) fn stop(self, limit: Duration, hurry: impl Fn() -> bool) {
        let _ = self.stopped.send(true);
        let asked = Instant::now();
        let is_busy = || self.state.connections.load(Ordering::Relaxed) > 0;
        while asked.elapsed() < limit.min(DRAIN) && is_busy() && !hurry() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Listens on an address that other machines do not reach.
fn listen_on(address: SocketAddr) -> Result<std::net::TcpListener, Failure> {
    if !address.ip().is_loopback() {
        let message = format!("'{address}' is not an address of this machine alone");
        return Err(Failure::new(Exit::Config, message).hint(
            "with '--via' listen on 127.0.0.1 or [::1]: whoever reaches the relay reaches the socket",
        ));
    }
    let listener = std::net::TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|error| {
        let message = format!("cannot listen on '{address}': {}", io_reason(&error));
        Failure::new(io_exit(&error, Exit::TryAgain), message)
    })
}

/// Relays on a thread of its own until the process ends.
fn serve(
    listener: std::net::TcpListener,
    state: Arc<State>,
    is_stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let relay = async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(listener, state, is_stopped).await,
            Err(error) => state.reporter.notice(&io_reason(&error)),
        }
        // What is open goes on.
        std::future::pending::<()>().await;
    };
    thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || runtime.block_on(relay))?;
    Ok(())
}

fn most_connections() -> usize {
    let allowed = raise_open_files(0).unwrap_or(u64::MAX);
    let pairs = allowed.saturating_sub(OWN_DESCRIPTORS) / 2;
    usize::try_from(pairs)
        .unwrap_or(usize::MAX)
        .clamp(1, MOST_CONNECTIONS)
}

fn token() -> Result<Secret<String>, Failure> {
    let token = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty());
    token.map(Secret::new).ok_or_else(|| {
        Failure::new(Exit::NoAuth, format!("no token: {TOKEN} is not set")).hint(format!(
            "give the container the {TOKEN} that the qwen-proxy at the socket has set"
        ))
    })
}

/// Checks that somebody answers at the socket.
fn try_socket(socket: &Path) -> Result<(), Failure> {
    let Err(error) = BlockingStream::connect(socket) else {
        return Ok(());
    };
    let (exit, reason) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (Exit::TryAgain, "nobody answers there".to_owned()),
        _ => (io_exit(&error, Exit::NoInput), io_reason(&error)),
    };
    let message = format!("cannot use the socket '{}': {reason}", socket.display());
    Err(Failure::new(exit, message).hint(format!(
        "start 'qwen-proxy --socket {}' where the key is",
        socket.display()
    )))
}

/// Takes connections until told to stop.
async fn accept(listener: TcpListener, state: Arc<State>, mut is_stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = is_stopped.changed() => return,
        };
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let state = Arc::clone(&state);
        let count = state.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            // What fails on one side ends the other: the reader sees a cut as a cut.
            let _ = match count < state.most.load(Ordering::Relaxed) {
                true => relay(client, &state).await,
                false => {
                    refuse(
                        client,
                        "too_many_connections",
                        "the relay has no room for more connections",
                    )
                    .await
                }
            };
            state.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn relay(client: TcpStream, state: &State) -> io::Result<()> {
    client.set_nodelay(true)?;
    match UnixStream::connect(&state.socket).await {
        Ok(server) => pass_on(client, server).await,
        Err(error) => {
            let reason = io_reason(&error);
            let shown = state.socket.display();
            state
                .reporter
                .notice(&format!("cannot use the socket '{shown}': {reason}"));
            refuse(
                client,
                "relay_unreachable",
                "the qwen-proxy at the other end of the socket is gone",
            )
            .await
        }
    }
}

/// Passes on bytes both ways until the server has no more. A client that ends its side is a server's hang-up; what it still
/// sends after the server has ended is read away, since an answer is lost where bytes are left unread.
async fn pass_on(mut client: TcpStream, mut server: UnixStream) -> io::Result<()> {
    {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let asked = async {
            let _ = copy(&mut from_client, &mut to_server).await;
            let _ = to_server.shutdown().await;
        };
        let answered = async {
            copy(&mut from_server, &mut to_client).await?;
            to_client.shutdown().await
        };
        let (mut asked, mut answered) = (pin!(asked), pin!(answered));
        tokio::select! {
            result = &mut answered => result?,
            () = &mut asked => answered.await?,
        }
    }
    drop(server);
    read_away(&mut client).await;
    Ok(())
}

/// Reads what still comes, within bounds.
async fn read_away(client: &mut (impl AsyncRead + Unpin)) {
    let mut rest = client.take(MOST_READ);
    let _ = tokio::time::timeout(LONGEST_READ, copy(&mut rest, &mut sink())).await;
}

/// Answers in the form of OpenAI's API that nobody else will, however much of a request comes.
async fn refuse(mut client: TcpStream, code: &str, message: &str) -> io::Result<()> {
    let body = serde_json::json!({"error": {
        "message": message, "type": "server_error", "param": null, "code": code,
    }})
    .to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nx-should-retry: true\r\nx-qwen-proxy: 1\r\nconnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(format!("{head}{body}").as_bytes()).await?;
    client.shutdown().await?;
    read_away(&mut client).await;
    Ok(())
}

//! Accepting connections, and serving each.

use std::fs::File;
use std::io;
use std::net;
use std::os::unix;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use qwen_shared::exit::{Exit, Failure, io_exit, io_reason};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::State;
use super::connections::{Connection, Room};
use super::gate::Transport;
use super::refusal::Refusal;
use super::service::serve;
use super::stream::Stream;

/// The largest head of a request.
const HEAD: usize = 64 << 10;

/// The most a connection buffers of a request, or of an answer.
const BUFFER: usize = 128 << 10;

/// The most headers of a request.
const HEADERS: usize = 128;

/// How often it is looked whether a connection has waited for too long.
const TICK: Duration = Duration::from_secs(5);

/// How long nothing is accepted after the kernel had no descriptor for it.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_millis(10);

/// How long a client may take to read that there is no room.
const FAREWELL: Duration = Duration::from_millis(500);

/// A listener of either kind.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(net::TcpListener),
    Socket(unix::net::UnixListener),
}

impl Listener {
    /// Returns the listener of one runtime. All take from the same queue.
    ///
    /// # Errors
    /// 75: the machine gives no descriptor.
    pub(super) fn for_runtime(&self, handle: &Handle) -> Result<Acceptor, Failure> {
        let _entered = handle.enter();
        let acceptor = match self {
            Self::Tcp(listener) => listener
                .try_clone()
                .and_then(TcpListener::from_std)
                .map(Acceptor::Tcp),
            Self::Socket(listener) => listener
                .try_clone()
                .and_then(UnixListener::from_std)
                .map(Acceptor::Socket),
        };
        acceptor.map_err(|error| {
            let message = format!("cannot listen in every thread: {}", io_reason(&error));
            Failure::new(io_exit(&error, Exit::Io), message)
        })
    }
}

/// The listener of one runtime.
#[derive(Debug)]
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Socket(UnixListener),
}

enum Accepted {
    Tcp(tokio::net::TcpStream),
    Socket(tokio::net::UnixStream),
}

impl Acceptor {
    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Accepted::Tcp(stream)),
            Self::Socket(listener) => listener
                .accept()
                .await
                .map(|(stream, _)| Accepted::Socket(stream)),
        }
    }
}

/// Accepts connections until the proxy drains.
pub(super) async fn accept(listener: Acceptor, state: Arc<State>, mut draining: watch::Receiver<bool>) {
    let mut spare = File::open("/dev/null").ok();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = draining.wait_for(|is_draining| *is_draining) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(accepted) => admit(accepted, &state, &draining).await,
            Err(error) if is_out_of_descriptors(&error) => {
                // With the spare one the client is told; else it would wait in the queue, and accept would spin.
                if spare.take().is_some()
                    && let Ok(Ok(accepted)) = timeout(PAUSE, listener.accept()).await
                {
                    turn_away(accepted).await;
                }
                sleep(PAUSE).await;
                spare = File::open("/dev/null").ok();
            }
            // The client has gone before it was accepted, or the kernel was short of memory.
            Err(_) => sleep(Duration::from_millis(1)).await,
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        code,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

async fn admit(accepted: Accepted, state: &Arc<State>, draining: &watch::Receiver<bool>) {
    let connection = loop {
        match state.connections.admit() {
            Room::For(connection) => break connection,
            Room::Soon => sleep(LOOK).await,
            Room::None => {
                tokio::spawn(turn_away(accepted));
                return;
            }
        }
    };
    let (stream, transport) = match accepted {
        Accepted::Tcp(stream) => (Stream::tcp(stream, &connection), Transport::Tcp),
        Accepted::Socket(stream) => (Stream::socket(stream, &connection), Transport::Socket),
    };
    tokio::spawn(serve_all(
        stream,
        transport,
        connection,
        Arc::clone(state),
        draining.clone(),
    ));
}

/// Serves the requests of one connection.
async fn serve_all(
    stream: Stream,
    transport: Transport,
    connection: Arc<Connection>,
    state: Arc<State>,
    mut draining: watch::Receiver<bool>,
) {
    let watch = stream.watch();
    let service = service_fn(|request| {
        serve(
            Arc::clone(&state),
            Arc::clone(&connection),
            watch.clone(),
            transport,
            request,
        )
    });
    let mut serving = pin!(
        http1::Builder::new()
            .max_header_size(HEAD)
            .max_headers(HEADERS)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut is_draining = false;
    loop {
        tokio::select! {
            biased;
            // What it ends by was told where it came from.
            _ = &mut serving => break,
            () = connection.is_closed() => break,
            _ = draining.wait_for(|is_draining| *is_draining), if !is_draining => {
                is_draining = true;
                serving.as_mut().graceful_shutdown();
            }
            () = sleep(TICK.min(connection.time_left().unwrap_or(TICK))) => {
                if connection.time_left().is_some_and(|left| left.is_zero()) {
                    break;
                }
            }
        }
    }
    connection.over();
}

/// Tells a client that there is no room for it.
async fn turn_away(accepted: Accepted) {
    let refusal = Refusal::unavailable("too_many_connections", "too many connections to this qwen-proxy")
        .retry_after(Duration::from_secs(1))
        .raw();
    let farewell = async {
        let _ = match accepted {
            Accepted::Tcp(mut stream) => stream.write_all(&refusal).await,
            Accepted::Socket(mut stream) => stream.write_all(&refusal).await,
        };
    };
    let _ = timeout(FAREWELL, farewell).await;
}

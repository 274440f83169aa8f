//! The one HTTP client: the only module that names reqwest.
//!
//! It follows no redirect (a redirect must never carry a secret), never sends a loopback request through a proxy,
//! honours `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, `SSL_CERT_FILE` and `SSL_CERT_DIR`, and reads no
//! certificate file for a plain `http` endpoint. Whatever can hang has a limit ([`Timeouts`]).

mod body;
mod ca_bundle;
mod client;
mod decode;
mod error;
mod p521;
mod probe;
mod proxy;
mod reason;
mod request;
mod response;
mod tls;
mod url;
mod waiting;

pub use self::url::{BaseUrl, BaseUrlError, check_endpoint, check_transport, server_name};
pub use body::{BodyError, Upload};
pub use bytes::Bytes;
pub use client::Client;
pub use error::{HttpError, Phase};
pub use request::Request;
pub use response::{Received, Response};
pub use waiting::{SILENCE, Waiting};

use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::exit::{Exit, Failure, io_exit, io_reason};

/// The `User-Agent` of all requests.
pub const USER_AGENT: &str = concat!("qwen-toolkit/", env!("CARGO_PKG_VERSION"));

/// The limits of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection, TLS included.
    pub connect: Duration,
    /// From the moment when the kernel has taken the last byte of the request to what the reader of the answer calls its first
    /// event ([`Received`]).
    pub first_byte: Duration,
    /// Between two pieces of the request's body that the connection takes, and two of the answer's.
    pub idle: Duration,
    /// Between two events of the answer that say something.
    pub progress: Duration,
    /// For the whole request; `None` for no limit.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(600),
            idle: Duration::from_secs(300),
            progress: Duration::from_secs(600),
            total: None,
        }
    }
}

impl Timeouts {
    /// The limits for a metadata document: short, since up to three places are tried, and other processes may wait for
    /// the lock meanwhile.
    #[must_use]
    pub const fn for_metadata() -> Self {
        const ALL: Duration = Duration::from_secs(8);
        Self {
            connect: ALL,
            first_byte: ALL,
            idle: ALL,
            progress: ALL,
            total: Some(ALL),
        }
    }

    /// The limits for a token, device or revocation request: 30 s in all, as Qwen Code has them.
    ///
    /// Once connected, any part of the answer may take all of it: a server that rotates has spent the refresh token when
    /// it begins to answer, and an answer that is given up is a login lost.
    #[must_use]
    pub const fn for_token_requests() -> Self {
        const ALL: Duration = Duration::from_secs(30);
        Self {
            connect: Duration::from_secs(10),
            first_byte: ALL,
            idle: ALL,
            progress: ALL,
            total: Some(ALL),
        }
    }
}

/// The longest limit that can be set. A clock cannot add much longer ones.
const LONGEST_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes a limit of a number of seconds, which may have a fraction.
///
/// # Errors
/// What is wrong with it: zero, negative, more than a year, or not a number.
pub fn limit(seconds: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero() && *limit <= LONGEST_LIMIT)
        .ok_or_else(|| "must be more than 0 and at most a year".to_owned())
}

/// Parses a limit in seconds from the command line.
///
/// # Errors
/// As [`limit`].
pub fn parse_limit(text: &str) -> Result<Duration, String> {
    limit(text.parse().map_err(|_| "not a number of seconds")?)
}

/// Returns the program's runtime, which runs on the thread that waits for it.
///
/// There is one, and it is never dropped: a runtime that is dropped waits for its look-ups of host names, which nothing
/// can interrupt and which may take longer than any limit.
///
/// # Errors
/// Exit 75 when the kernel gives no descriptors.
pub fn runtime() -> Result<&'static Runtime, Failure> {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // The kernel is asked for events when every task waits, and otherwise each 512 turns instead of tokio's 61: an
    // answer that is read in tens of thousands of turns would ask six hundred times for nothing.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(512)
        .build();
    let runtime = runtime.map_err(|error| {
        let reason = io_reason(&error);
        Failure::new(
            io_exit(&error, Exit::Io),
            format!("cannot connect to any server: {reason}"),
        )
    })?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

#[cfg(test)]
#[path = "../../../../tests/fuzz/properties/ca_bundle.rs"]
mod corpus_of_ca_bundle;
#[cfg(test)]
#[path = "../../../../tests/fuzz/properties/encoding.rs"]
mod corpus_of_encoding;

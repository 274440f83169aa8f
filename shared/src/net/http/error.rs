//! Failures of a request other than the status of its answer.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::reason::{innermost, reason};
use super::tls::{SelfSigned, is_of_authority, other_fault};
use crate::exit::{Exit, Failure};
use crate::text::one_line;

/// The part of a request that a limit applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Setting up the connection.
    Connect,
    /// Waiting for the connection to take more of the request.
    Upload,
    /// Waiting for the first event of the answer.
    FirstByte,
    /// Waiting for more of the body.
    Idle,
    /// Waiting for an event that says something.
    Progress,
    /// The whole request.
    Total,
}

impl Phase {
    /// Returns the flag that sets this limit.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Connect => "--connect-timeout",
            Self::FirstByte => "--first-byte-timeout",
            Self::Upload | Self::Idle => "--idle-timeout",
            Self::Progress => "--progress-timeout",
            Self::Total => "--max-time",
        }
    }
}

/// Why a request got no complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// No connection: refused, unreachable, unknown host, or the proxy failed. Nothing was sent.
    Connect(String),
    /// No connection, because this process may open no more files. Nothing was sent.
    TooManyFiles(String),
    /// The proxy does not let the request pass. Nothing reached the server.
    ProxyRefused {
        /// The status; 407 where it wants a user name and a password, or other ones.
        status: u16,
        /// What it says; empty when that is nothing.
        words: String,
        /// The variable that names it.
        variable: &'static str,
    },
    /// The server speaks the other of `http` and `https` on its port. Nothing of the request was read.
    WrongScheme {
        /// What it speaks.
        speaks: &'static str,
        /// True where a base URL may begin with that.
        is_allowed: bool,
    },
    /// The server's certificate is not acceptable, or TLS failed. Nothing was sent.
    Tls {
        /// What is wrong.
        reason: String,
        /// True when the issuer is unknown: a private CA can be named with `SSL_CERT_FILE`.
        unknown_issuer: bool,
        /// True when what came is no TLS.
        is_garbled: bool,
    },
    /// A limit was reached.
    Timeout(Phase, Duration),
    /// The connection broke before the head of the answer was complete.
    Reset(String),
    /// The connection broke within the body.
    Cut(String),
    /// The answer is not HTTP.
    Malformed(String),
    /// The body is compressed, which was not requested. With the name of the encoding.
    Encoded(String),
    /// The body is larger than the caller allows, in bytes.
    TooLarge(usize),
    /// The bodies that are read at the same time are together larger than the caller allows, in bytes.
    TooLargeTogether(usize),
    /// The request itself could not be built: a header value with a line end, for example.
    Invalid(String),
}

impl HttpError {
    /// Returns how a program ends because of it.
    #[must_use]
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Connect(_) | Self::TooManyFiles(_) | Self::Timeout(..) | Self::Reset(_) => Exit::TryAgain,
            Self::ProxyRefused { status, .. } => match status {
                407 => Exit::Config,
                400..=499 => Exit::Unavailable,
                _ => Exit::TryAgain,
            },
            Self::WrongScheme { .. } => Exit::Unavailable,
            Self::Tls {
                unknown_issuer: true, ..
            }
            | Self::Invalid(_) => Exit::Config,
            Self::Tls { .. }
            | Self::Cut(_)
            | Self::Malformed(_)
            | Self::Encoded(_)
            | Self::TooLarge(_)
            | Self::TooLargeTogether(_) => Exit::Protocol,
        }
    }

    /// True for a connection that broke or fell silent, behind which no more will come.
    #[must_use]
    pub const fn is_of_connection(&self) -> bool {
        matches!(self, Self::Cut(_) | Self::Reset(_) | Self::Timeout(..))
    }

    /// True when no connection was made, so that the request did not reach the server.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::TooManyFiles(_)
                | Self::ProxyRefused { .. }
                | Self::Timeout(Phase::Connect, _)
        )
    }

    /// Turns it into a failure that names the server.
    #[must_use]
    pub fn failure(&self, server: &str) -> Failure {
        let failure = Failure::new(self.exit(), format!("'{server}': {self}"));
        match self {
            Self::Tls {
                unknown_issuer: true, ..
            } => failure.hint(
                "set SSL_CERT_FILE to the file that holds the certificate of its CA, or the server's own if you trust it",
            ),
            Self::ProxyRefused {
                status: 407, variable, ..
            } => failure.hint(format!(
                "put them into the variable that names it: {variable}=http://USER:PASSWORD@HOST:PORT"
            )),
            Self::WrongScheme {
                speaks,
                is_allowed: true,
            } => failure.hint(format!("let the base URL begin with '{speaks}://'")),
            _ => failure,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(reason) | Self::TooManyFiles(reason) => write!(f, "cannot connect: {reason}"),
            Self::ProxyRefused {
                status,
                words,
                variable,
            } => write_proxy_refusal(f, *status, words, variable),
            Self::WrongScheme { speaks: "https", .. } => {
                f.write_str("the server speaks TLS on this port, and no plain http")
            }
            Self::WrongScheme { .. } => {
                f.write_str("no secure connection: the server speaks plain http on this port")
            }
            Self::Tls { reason, .. } => write!(f, "no secure connection: {reason}"),
            Self::Timeout(Phase::Connect, limit) => write!(f, "no connection within {}", seconds(*limit)),
            Self::Timeout(Phase::FirstByte, limit) => write!(f, "no answer within {}", seconds(*limit)),
            Self::Timeout(Phase::Upload, limit) => {
                write!(f, "nothing of the request was taken for {}", seconds(*limit))
            }
            Self::Timeout(Phase::Progress, limit) => {
                write!(f, "the answer said nothing for {}", seconds(*limit))
            }
            Self::Timeout(Phase::Idle, limit) => write!(f, "the answer stalled for {}", seconds(*limit)),
            Self::Timeout(Phase::Total, limit) => write!(f, "not done within {}", seconds(*limit)),
            Self::Reset(reason) => write!(f, "the connection broke before an answer: {reason}"),
            Self::Cut(reason) => write!(f, "the connection broke within the answer: {reason}"),
            Self::Malformed(reason) => write!(f, "the answer is not valid HTTP: {reason}"),
            Self::Encoded(name) => write!(f, "the answer is encoded as '{name}', which was not asked for"),
            Self::TooLarge(limit) => write!(f, "the answer is larger than {limit} bytes"),
            Self::TooLargeTogether(limit) => write!(
                f,
                "the answers that are read at the same time are together larger than {} MiB",
                limit >> 20
            ),
            Self::Invalid(reason) => write!(f, "the request cannot be sent: {reason}"),
        }
    }
}

fn write_proxy_refusal(f: &mut fmt::Formatter<'_>, status: u16, words: &str, variable: &str) -> fmt::Result {
    let what = match status {
        407 => "the proxy wants a user name and a password that it knows",
        _ => "the proxy refuses to connect to it",
    };
    write!(f, "{what} ({status}, {variable})")?;
    match words {
        "" => Ok(()),
        words => write!(f, ": {words}"),
    }
}

impl Error for HttpError {}

fn seconds(limit: Duration) -> String {
    format!("{} s", limit.as_secs_f64())
}

impl HttpError {
    /// Reads a reqwest error that came before the head of the answer.
    ///
    /// `proxy` is the variable that names the proxy in use.
    pub(super) fn before_head(
        error: &reqwest::Error,
        connect_limit: Duration,
        proxy: Option<&'static str>,
    ) -> Self {
        if let Some(tls) = find::<rustls::Error>(error) {
            return tls_error(tls);
        }
        if error.is_connect() {
            if error.is_timeout() {
                return Self::Timeout(Phase::Connect, connect_limit);
            }
            return not_connected(error, proxy);
        }
        if error.is_builder() {
            return Self::Invalid(reason(error));
        }
        if find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
            return Self::Malformed(reason(error));
        }
        Self::Reset(reason(error))
    }

    /// Reads a reqwest error that came within the body.
    pub(super) fn within_body(error: &reqwest::Error) -> Self {
        use std::io::ErrorKind::InvalidData;
        use std::io::ErrorKind::InvalidInput;
        // What hyper's reader of chunks cannot read it reports as invalid input; no connection ends that way.
        match find::<std::io::Error>(error) {
            Some(cause) if matches!(cause.kind(), InvalidData | InvalidInput) => {
                Self::Malformed(reason(error))
            }
            _ => Self::Cut(reason(error)),
        }
    }
}

/// Why there is no connection; names the proxy if there is one.
fn not_connected(error: &reqwest::Error, proxy: Option<&'static str>) -> HttpError {
    let io = innermost(error).downcast_ref::<std::io::Error>();
    if io.and_then(std::io::Error::raw_os_error) == Some(Errno::MFILE.raw_os_error()) {
        return HttpError::TooManyFiles(reason(error));
    }
    let Some(variable) = proxy else {
        return HttpError::Connect(reason(error));
    };
    // hyper-util's error of a tunnel has no public type, and does not tell the status.
    let status = match innermost(error).to_string().as_str() {
        "tunnel error: proxy authorization required" => 407,
        "tunnel error: unsuccessful" => UNKNOWN_STATUS,
        _ => return HttpError::Connect(format!("{} (through the proxy of {variable})", reason(error))),
    };
    HttpError::ProxyRefused {
        status,
        words: String::new(),
        variable,
    }
}

/// The status of a proxy's refusal that is not known: a passing one.
pub(super) const UNKNOWN_STATUS: u16 = 502;

fn tls_error(error: &rustls::Error) -> HttpError {
    use rustls::Error as Tls;
    let (reason, unknown_issuer) = match error {
        Tls::InvalidCertificate(fault) => certificate_fault(fault),
        Tls::NoCertificatesPresented => ("the server sent no certificate".to_owned(), false),
        Tls::AlertReceived(alert) => (
            format!("the server refused the handshake ({})", words(alert)),
            false,
        ),
        Tls::PeerIncompatible(_) => (
            "the server offers no version or cipher of TLS that is safe".to_owned(),
            false,
        ),
        Tls::InvalidMessage(_)
        | Tls::InappropriateMessage { .. }
        | Tls::InappropriateHandshakeMessage { .. } => {
            ("the server does not speak TLS on this port".to_owned(), false)
        }
        _ => ("the server broke the rules of TLS".to_owned(), false),
    };
    HttpError::Tls {
        reason,
        unknown_issuer,
        is_garbled: matches!(error, Tls::InvalidMessage(_)),
    }
}

/// Says what is wrong with a server's certificate, and whether that is its issuer.
fn certificate_fault(fault: &rustls::CertificateError) -> (String, bool) {
    use rustls::CertificateError as Bad;
    let reason = match fault {
        Bad::Other(other) if other.0.is::<SelfSigned>() => {
            return ("the server's certificate is self-signed".to_owned(), true);
        }
        Bad::UnknownIssuer => {
            let reason = "the server's certificate is from an unknown issuer";
            return (reason.to_owned(), true);
        }
        Bad::ExpiredContext { not_after, .. } => {
            format!("the server's certificate has expired on {}", date(*not_after))
        }
        Bad::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is not valid yet, but from {} on; check the clock",
            date(*not_before)
        ),
        Bad::NotValidForNameContext { presented, .. } => {
            let names = names(presented);
            format!("the server's certificate is for another host name{names}")
        }
        fault => certificate_fault_without_details(fault).to_owned(),
    };
    (reason, false)
}

/// Says what is wrong with a certificate where that is said without a date or a name, and is not its issuer.
fn certificate_fault_without_details(fault: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Bad;
    match fault {
        Bad::Expired => "the server's certificate has expired",
        Bad::NotValidYet => "the server's certificate is not valid yet; check the clock",
        Bad::NotValidForName => "the server's certificate is for another host name",
        Bad::Revoked => "the server's certificate has been revoked",
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            "the server's certificate is not for servers"
        }
        Bad::BadSignature => "the signature of the server's certificate is wrong",
        Bad::UnsupportedSignatureAlgorithmContext { .. }
        | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the server's certificate is signed in a way that is not safe or not known"
        }
        fault if is_of_authority(fault) => {
            "the server's certificate is that of a certificate authority, not of a server"
        }
        fault => path_fault(other_fault(fault)),
    }
}

/// Says what is wrong with a certificate or its path to an authority, in cases that rustls has no name for.
fn path_fault(fault: Option<&webpki::Error>) -> &'static str {
    match fault {
        Some(webpki::Error::UnsupportedCertVersion) => {
            "the server's certificate is of an old version that names no host; make one of version 3"
        }
        Some(webpki::Error::NameConstraintViolation) => {
            "the server's certificate names a host that its issuer may not certify"
        }
        Some(webpki::Error::PathLenConstraintViolated | webpki::Error::EndEntityUsedAsCa) => {
            "the server's certificate was issued by one that may not issue any"
        }
        _ => "the server's certificate cannot be read or is not acceptable",
    }
}

/// Returns the day of a moment, as in `2027-01-31`.
fn date(moment: rustls::pki_types::UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(moment.as_secs());
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or(&text).to_owned()
}

/// Lists the names that a certificate is for, which webpki quotes as `DnsName("x")`.
fn names(presented: &[String]) -> String {
    const SHOWN: usize = 3;
    let name = |text: &String| {
        let inner = text.split_once('(').map_or(text.as_str(), |(_, inner)| inner);
        one_line(inner.trim_end_matches(')').trim_matches('"'))
    };
    let shown: Vec<String> = presented.iter().take(SHOWN).map(name).collect();
    match shown.is_empty() {
        true => ": it names none as 'subjectAltName', where a certificate names its host".to_owned(),
        false => format!(
            " ({}{})",
            shown.join(", "),
            if presented.len() > SHOWN { ", …" } else { "" }
        ),
    }
}

/// Returns the name of an alert in words: `HandshakeFailure` is `handshake failure`.
fn words(alert: &rustls::AlertDescription) -> String {
    let name = format!("{alert:?}");
    let name = name.split('(').next().unwrap_or_default();
    name.chars().fold(String::new(), |mut words, c| {
        if c.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(c.to_lowercase());
        words
    })
}

/// Finds a cause of type `T` in the chain, also inside an I/O error that wraps it.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut cause = Some(error);
    while let Some(current) = cause {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
        {
            let inner: &(dyn Error + 'static) = inner;
            if let Some(found) = find::<T>(inner) {
                return Some(found);
            }
        }
        cause = current.source();
    }
    None
}

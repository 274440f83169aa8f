//! Why a connection failed, in our words: what the libraries below say is for programmers.

use std::error::Error;

use crate::exit::io_reason;

/// Returns what the last cause of an error says: the one that tells what happened. It quotes no header and no body.
pub(super) fn reason(error: &(dyn Error + 'static)) -> String {
    let cause = innermost(error);
    let io = cause.downcast_ref::<std::io::Error>();
    // What a library wraps into an I/O error has no number of the system's.
    let is_of_system = io.is_some_and(|io| io.raw_os_error().is_some());
    match (io, plain(&cause.to_string())) {
        (_, Some(words)) => words.to_owned(),
        (Some(io), None) if is_of_system => io_reason(io),
        _ => "for a reason that is not told".to_owned(),
    }
}

/// Returns the last cause of an error.
pub(super) fn innermost<'e>(error: &'e (dyn Error + 'static)) -> &'e (dyn Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

/// The words of hyper, hyper-util and rustls, by how they begin, and ours.
const WORDS: [(&str, &str); 26] = [
    (
        "unexpected EOF during handshake",
        "the server ended it during the TLS handshake",
    ),
    (
        "tls handshake eof",
        "the server ended it during the TLS handshake",
    ),
    (
        "peer closed connection without sending TLS close_notify",
        "the server ended it without the end of TLS",
    ),
    (
        "failed to lookup address information",
        "no address is known for that name",
    ),
    (
        "connection closed before message completed",
        "the server ended it",
    ),
    (
        "end of file before message length reached",
        "the server ended it early",
    ),
    (
        "unexpected EOF during chunk size line",
        "the server ended it early",
    ),
    ("unexpected end of file", "the server ended it early"),
    (
        "invalid HTTP version parsed",
        "it does not begin as an answer does",
    ),
    ("invalid HTTP status-code parsed", "its status is no number"),
    ("invalid HTTP header parsed", "a header in it is broken"),
    (
        "invalid content-length parsed",
        "its 'content-length' is no length",
    ),
    (
        "invalid transfer-encoding parsed",
        "its 'transfer-encoding' is unknown",
    ),
    (
        "unexpected transfer-encoding parsed",
        "its 'transfer-encoding' is unknown",
    ),
    ("message head is too large", "its head is too large"),
    (
        "received unexpected message",
        "the server sent something before it was asked",
    ),
    ("invalid chunk", "its chunked encoding is broken"),
    ("Invalid chunk", "its chunked encoding is broken"),
    ("Invalid trailer", "its chunked encoding is broken"),
    ("chunk ", "its chunked encoding is broken"),
    ("operation was canceled", "it was given up"),
    ("channel closed", "it was given up"),
    ("tunnel error: unsuccessful", "the proxy refuses to connect to it"),
    (
        "tunnel error: proxy authorization required",
        "the proxy wants a user name and a password",
    ),
    (
        "tunnel error: proxy response headers too long",
        "the proxy answers with no HTTP",
    ),
    ("tunnel error: ", "the proxy ended the connection"),
];

/// The words of hyper-util about a SOCKS proxy (RFC 1928, section 6), by what they hold, and ours.
const OF_SOCKS: [(&str, &str); 8] = [
    ("could not resolve", "the proxy finds no address for that name"),
    ("parsing", "the proxy does not answer as a SOCKS proxy does"),
    ("not allowed", "the proxy may not connect to it"),
    ("unreachable", "the proxy cannot reach it"),
    ("refused", "the server refuses the proxy's connection"),
    ("ttl expired", "the proxy cannot reach it"),
    (
        "credentials not accepted",
        "the proxy does not accept user name and password",
    ),
    ("", "the SOCKS proxy failed"),
];

fn plain(text: &str) -> Option<&'static str> {
    let known = match text.strip_prefix("SOCKS error: ") {
        Some(text) => OF_SOCKS.iter().find(|(theirs, _)| text.contains(theirs)),
        None => WORDS.iter().find(|(theirs, _)| text.starts_with(theirs)),
    };
    known.map(|(_, ours)| *ours)
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::reason;

    #[derive(Debug)]
    struct Library(&'static str);

    impl fmt::Display for Library {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl std::error::Error for Library {}

    #[test]
    fn no_words_of_a_library_are_shown() {
        for (theirs, ours) in [
            (
                "invalid HTTP version parsed",
                "it does not begin as an answer does",
            ),
            ("message head is too large", "its head is too large"),
            (
                "Invalid chunk size line: Invalid Size",
                "its chunked encoding is broken",
            ),
            (
                "SOCKS error: connection refused",
                "the server refuses the proxy's connection",
            ),
            ("SOCKS error: what", "the SOCKS proxy failed"),
            ("tunnel error: what", "the proxy ended the connection"),
            ("internal error inside Hyper", "for a reason that is not told"),
        ] {
            assert_eq!(reason(&Library(theirs)), ours);
        }
        let io = std::io::Error::other(Library("invalid chunk extension contains newline"));
        assert_eq!(reason(&io), "its chunked encoding is broken");
        let of_system = std::io::Error::from_raw_os_error(104);
        assert_eq!(reason(&of_system), "connection reset by peer");
    }
}

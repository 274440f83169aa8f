//! A second look at a server or a proxy that gave no answer, to say why. Nothing of the request is in it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::markup::element;
use crate::text::{clip, one_line};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(3);

/// The most bytes that are read.
const LARGEST: usize = 64 << 10;

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http,
    Tls,
    /// Something else, or nothing.
    Unknown,
}

/// Finds out what is spoken on a port: a server of TLS answers plain text with an alert record (RFC 8446, section 6).
pub(super) async fn spoken(host: &str, port: u16) -> Spoken {
    let request = b"OPTIONS * HTTP/1.0\r\n\r\n";
    let answer = ask(host, port, request, |answer| answer.len() >= 5).await;
    match answer.as_slice() {
        [b'H', b'T', b'T', b'P', b'/', ..] => Spoken::Http,
        // ContentType alert or handshake, and the major version of every TLS.
        [0x15 | 0x16, 3, ..] => Spoken::Tls,
        _ => Spoken::Unknown,
    }
}

/// What a proxy answers to CONNECT, where that is no tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProxyAnswer {
    pub(super) status: u16,
    pub(super) words: String,
}

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6) that is not used. `authorization` is what the first request had.
pub(super) async fn ask_proxy(
    (host, port): (&str, u16),
    target: &str,
    authorization: Option<&str>,
) -> Option<ProxyAnswer> {
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n");
    if let Some(value) = authorization {
        request.push_str(&format!("proxy-authorization: {value}\r\n"));
    }
    request.push_str("\r\n");
    read_answer(&ask(host, port, request.as_bytes(), is_whole).await)
}

/// Sends bytes and returns what comes back, until it is enough, the other side ends it, or the time is over.
async fn ask(host: &str, port: u16, request: &[u8], is_enough: fn(&[u8]) -> bool) -> Vec<u8> {
    let mut answer = Vec::new();
    let asking = async {
        // A host in brackets is an IPv6 address in a URL.
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut stream = TcpStream::connect((host, port)).await?;
        stream.write_all(request).await?;
        let mut piece = vec![0; 4096];
        while answer.len() < LARGEST && !is_enough(&answer) {
            match stream.read(&mut piece).await? {
                0 => break,
                read => answer.extend_from_slice(&piece[..read]),
            }
        }
        std::io::Result::Ok(())
    };
    // Whatever goes wrong with it, the first fault is the one to tell.
    let _ = timeout(LIMIT, asking).await;
    answer
}

/// Splits an answer into its head, as text, and its body.
fn split(answer: &[u8]) -> Option<(String, &[u8])> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    Some((head, &answer[end + 4..]))
}

fn header<'h>(head: &'h str, wanted: &str) -> Option<&'h str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.trim())
}

/// True for an answer that is there to the end of its body; one without a length ends with the connection.
fn is_whole(answer: &[u8]) -> bool {
    let Some((head, body)) = split(answer) else {
        return false;
    };
    let length = header(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
    let is_tunnel = head
        .split(' ')
        .nth(1)
        .is_some_and(|status| status.starts_with('2'));
    is_tunnel || length.is_some_and(|length| body.len() >= length) || body.ends_with(b"\r\n0\r\n\r\n")
}

fn read_answer(answer: &[u8]) -> Option<ProxyAnswer> {
    let (head, body) = split(answer)?;
    let mut first = head.lines().next()?.splitn(3, ' ');
    first.next().filter(|version| version.starts_with("HTTP/"))?;
    let status = first.next()?.parse().ok().filter(|status| *status >= 300)?;
    let is_chunked = header(&head, "transfer-encoding").is_some();
    let body = if is_chunked { joined(body) } else { body.to_vec() };
    let words = match body.trim_ascii().is_empty() {
        true => first.next().unwrap_or_default().trim().to_owned(),
        false => words(&body),
    };
    Some(ProxyAnswer { status, words })
}

/// Returns what a proxy's page says: its title, or else the beginning of its text.
pub(super) fn words(body: &[u8]) -> String {
    const SHOWN: usize = 200;
    let text = String::from_utf8_lossy(body);
    let title = ["title", "h1", "body"]
        .iter()
        .find_map(|name| element(&text, name));
    match title {
        Some(title) => format!("the answer is an HTML page, '{}'", clip(&title, SHOWN)),
        None if text.trim_start().starts_with('<') => "the answer is an HTML page".to_owned(),
        None => clip(one_line(&text).trim(), SHOWN),
    }
}

/// Joins the chunks of a body (RFC 9112, section 7.1), as far as they are there.
fn joined(body: &[u8]) -> Vec<u8> {
    let (mut rest, mut whole) = (body, Vec::new());
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let size = String::from_utf8_lossy(&rest[..end]);
        let size = size.split(';').next().unwrap_or_default().trim();
        let Ok(size @ 1..) = usize::from_str_radix(size, 16) else {
            break;
        };
        let chunk = &rest[end + 2..];
        let size = size.min(chunk.len());
        whole.extend_from_slice(&chunk[..size]);
        rest = chunk.get(size + 2..).unwrap_or_default();
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::read_answer;

    #[test]
    fn a_proxys_answer_is_its_status_and_words() {
        for (answer, status, words) in [
            (
                "HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\n\r\n<html><title>Blocked</title>",
                403,
                "the answer is an HTML page, 'Blocked'",
            ),
            ("HTTP/1.0 502 Bad Gateway\r\n\r\n", 502, "Bad Gateway"),
            (
                "HTTP/1.1 407 Who\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nlog\r\n3;x\r\n in\r\n0\r\n\r\n",
                407,
                "log in",
            ),
        ] {
            let seen = read_answer(answer.as_bytes()).unwrap();
            assert_eq!((seen.status, seen.words.as_str()), (status, words));
        }
        for none in ["", "HTTP/1.1 200 OK\r\n\r\n", "SSH-2.0 400 x\r\n\r\n"] {
            assert_eq!(read_answer(none.as_bytes()), None);
        }
    }
}

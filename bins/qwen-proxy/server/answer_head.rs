//! The head of a server's answer: what of it is passed on, and what it says of the body.

use hyper::header::{
    ALT_SVC, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION,
    SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use qwen_shared::net::http::Response as ServerResponse;

use super::answer::Mask;
use super::refusal::MARK;
use super::usage::Tap;

/// Returns the headers of a server's answer that are passed on: without those of the connection, and without what is between
/// the account and the server.
pub(super) fn answer_headers(headers: &HeaderMap, mask: &Mask) -> HeaderMap {
    const DROPPED: [HeaderName; 11] = [
        ALT_SVC,
        CONNECTION,
        LOCATION,
        MARK,
        SET_COOKIE,
        STRICT_TRANSPORT_SECURITY,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
        WWW_AUTHENTICATE,
    ];
    let hop = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let hop: Vec<String> = hop
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_dropped = |name: &HeaderName| {
        let text = name.as_str();
        DROPPED.contains(name)
            || matches!(
                text,
                "keep-alive" | "proxy-connection" | "clear-site-data" | "content-location"
            )
            || text.starts_with("proxy-")
            || text.starts_with("access-control-")
            || hop.iter().any(|hop| hop == text)
    };
    let mut passed = HeaderMap::with_capacity(headers.len() + 1);
    for (name, value) in headers {
        if !is_dropped(name) && !mask.is_in(value.as_bytes()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// Returns the length of a body, which the header tells; one that cannot be read is removed.
pub(super) fn length_of(response: &ServerResponse, headers: &mut HeaderMap) -> Option<u64> {
    // Chunks tell the end, whatever is said besides (RFC 9112, section 6.3).
    if response.header_map().contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    let value = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = value.and_then(|value| value.trim().parse().ok());
    if length.is_none() {
        headers.remove(CONTENT_LENGTH);
    }
    length
}

/// True where the compression has to be undone: to count, and where it is one of the connection (RFC 9112, section 7).
pub(super) fn needs_decoding(response: &ServerResponse, counts: bool) -> bool {
    let is_chunked = |coding: &str| coding.trim().eq_ignore_ascii_case("chunked");
    let is_coded = response
        .header("transfer-encoding")
        .is_some_and(|coding| !is_chunked(coding));
    is_coded || counts && response.header("content-encoding").is_some()
}

/// Chooses how tokens are counted.
pub(super) fn tap(headers: &HeaderMap, cuts: bool) -> Tap {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_ascii_lowercase();
    if headers.contains_key(CONTENT_ENCODING) {
        Tap::Shut
    } else if content_type.starts_with("text/event-stream") {
        Tap::events(cuts)
    } else if content_type.contains("json") {
        Tap::document()
    } else {
        Tap::Shut
    }
}

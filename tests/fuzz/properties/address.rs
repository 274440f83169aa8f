//! Addresses: what is plain means the same server to another reader of URLs, and what is secret in an address is not shown.

use hyper::Uri;
use qwen_shared::address::{is_ambiguous, is_loopback_address, parse_plain, shown};
use qwen_shared::net::http::{BaseUrl, check_transport};
use qwen_shared::provider::is_loopback;
use url::Url;

/// The shortest text that is looked for in what is shown: a shorter one may be a word of it.
const SECRET_LENGTH: usize = 8;

/// Reads an input as an address of each kind.
pub(crate) fn holds(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(shown) = shown(&text) {
        is_one_line(&shown);
        if let Ok(url) = Url::parse(text.trim()) {
            hides(&url, &text, &shown);
        }
    }
    match parse_plain(&text) {
        Ok(url) => is_read_alike(&url, &text),
        Err(_) => assert!(!is_loopback_address(&text)),
    }
    if let Ok(base_url) = BaseUrl::parse(&text) {
        is_endpoint(&base_url, &text);
    }
}

/// The reader of hyper, which follows RFC 3986, finds the same server.
fn is_read_alike(url: &Url, text: &str) {
    assert!(!is_ambiguous(text), "{text:?}");
    assert_eq!(is_loopback_address(text), is_loopback(url));
    let uri: Uri = text.parse().expect("an address for every reader");
    assert_eq!(
        uri.scheme_str().map(str::to_ascii_lowercase).as_deref(),
        Some(url.scheme())
    );
    assert_eq!(uri.host().map(str::to_ascii_lowercase).as_deref(), url.host_str());
    let port = uri.port_u16().or_else(|| {
        Url::parse(&format!("{}://a", url.scheme()))
            .ok()?
            .port_or_known_default()
    });
    assert_eq!(port, url.port_or_known_default(), "{text:?}");
    assert_eq!(uri.path(), url.path(), "{text:?}");
}

/// A base URL is one again, shows no secret, and in plain text it takes a secret to this machine alone.
fn is_endpoint(base_url: &BaseUrl, text: &str) {
    assert!(matches!(base_url.scheme(), "http" | "https"));
    assert!(base_url.username().is_empty() && base_url.password().is_none());
    assert!(base_url.fragment().is_none() && base_url.has_host());
    assert_eq!(BaseUrl::parse(base_url.as_str()).as_ref(), Ok(base_url));
    let shown = base_url.to_string();
    is_one_line(&shown);
    for (_, value) in base_url.query_pairs() {
        is_hidden(&value, text, &shown);
    }
    let is_private =
        |has_secret| check_transport(base_url, false, has_secret).is_ok_and(|notice| notice.is_none());
    assert_eq!(
        is_private(true),
        base_url.scheme() == "https" || is_loopback(base_url)
    );
    assert!(!is_private(true) || is_private(false));
}

/// What stands for a secret in an address: user, password, query and fragment.
fn hides(url: &Url, text: &str, shown: &str) {
    for secret in [Some(url.username()), url.password(), url.query(), url.fragment()] {
        is_hidden(secret.unwrap_or_default(), text, shown);
    }
}

fn is_hidden(secret: &str, text: &str, shown: &str) {
    let is_clear = secret.len() >= SECRET_LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_clear && text.matches(secret).count() == 1 {
        assert!(!shown.contains(secret), "{shown:?} shows {secret:?} of {text:?}");
    }
}

/// What is shown is one line without anything that moves a cursor.
fn is_one_line(words: &str) {
    assert!(!words.chars().any(char::is_control), "{words:?}");
}

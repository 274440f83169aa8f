//! Addresses that every program reads alike, and how an address is shown.
//!
//! Readers of URLs (the URL standard, RFC 3986 with its many readings, libcurl's own) agree on plain ones and disagree on
//! the rest: on a backslash, on blanks around, on a line end within, on a number for a host, on a name that is not ASCII. An
//! address that is judged here and used by another program is one of the plain ones, or it is refused.

mod parts;

use std::fmt;

use url::Url;

use self::parts::Parts;
pub use self::parts::shown_host;
use crate::provider::is_loopback;
use crate::text::{clip, one_line};

/// The longest host that is shown whole, in characters. Of a longer one the end is shown: who owns it is said there.
const LONGEST_HOST: usize = 80;

/// The longest path that is shown whole, in characters.
const LONGEST_PATH: usize = 100;

/// A text is no address that every program reads alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPlain;

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no plain URL, and programs would read different addresses in it")
    }
}

impl std::error::Error for NotPlain {}

/// Reads an address of the web in the form that the URL standard itself would write: ASCII, `http://` or `https://`, no user
/// name, the host as it is connected to. Upper case in scheme and host, the scheme's own port and a missing path are alike
/// to everybody, and pass.
///
/// # Errors
/// The text is anything else.
pub fn parse_plain(text: &str) -> Result<Url, NotPlain> {
    let is_graphic = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if !text.bytes().all(is_graphic) {
        return Err(NotPlain);
    }
    let url = Url::parse(text).map_err(|_| NotPlain)?;
    let port = match url.scheme() {
        "http" => ":80",
        "https" => ":443",
        _ => return Err(NotPlain),
    };
    let (scheme, rest) = text.split_once("://").ok_or(NotPlain)?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (_, own) = url.as_str().split_once("://").ok_or(NotPlain)?;
    let (own_authority, own_path) = own.split_at(own.find(['/', '?', '#']).unwrap_or(own.len()));
    let is_same_server = authority.eq_ignore_ascii_case(own_authority)
        || authority.to_ascii_lowercase().strip_suffix(port) == Some(own_authority);
    // Some take all up to the first slash for the server.
    let is_same_path = path.is_empty() || path == own_path;
    let is_plain = scheme.eq_ignore_ascii_case(url.scheme()) && is_same_server && is_same_path;
    // Nor a user; and some refuse what is in no name of a host.
    let is_of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
    let is_host = authority.bytes().all(is_of_host);
    (is_plain && is_host).then_some(url).ok_or(NotPlain)
}

/// Returns whether an address is one of this machine alone, to every program that reads it.
#[must_use]
pub fn is_loopback_address(text: &str) -> bool {
    parse_plain(text).is_ok_and(|url| is_loopback(&url))
}

/// Returns an address without user, password, query and fragment, and without what may be a secret in its path; `None` where
/// the text is no address, or it is not clear what in it is secret. What is shown are the address's own characters, but for
/// a host that is not ASCII and for blanks around, which make it no other address to the programs that read it.
#[must_use]
pub fn shown(value: &str) -> Option<String> {
    let parts = Parts::read(trimmed(value))?;
    let user = if parts.has_user { "***@" } else { "" };
    let server = if parts.has_doubtful_port() {
        let name = parts.authority.rsplit_once(':').map_or("", |(name, _)| name);
        format!("{}:***", shown_host(name))
    } else {
        shown_host(parts.authority) + &clip(&parts.shown_rest(), LONGEST_PATH)
    };
    Some(one_line(&format!("{}{user}{server}", parts.prefix)))
}

/// Returns whether a text is an address in which programs find different servers.
#[must_use]
pub fn is_ambiguous(value: &str) -> bool {
    Parts::read(trimmed(value)).is_some_and(|parts| !parts.is_read_alike())
}

fn trimmed(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::{is_loopback_address, parse_plain};

    #[test]
    fn an_address_that_everybody_reads_alike_is_plain() {
        for text in [
            "https://llm.example/v1",
            "HTTPS://LLM.Example:443/v1/",
            "http://127.0.0.1",
            "http://127.0.0.1:8080/v1?a=b#c",
            "http://[::1]:80",
            "https://xn--bcher-kva.example/",
            "https://llm.example:8443/a@b/%2f",
        ] {
            assert!(parse_plain(text).is_ok(), "{text}");
        }
    }

    const UNCLEAR: [&str; 39] = [
        "",
        "https://llm.ex{ample/v1",
        "llm.example/v1",
        "//llm.example/v1",
        "ftp://llm.example/",
        "https:llm.example",
        "https:/llm.example",
        "https:///llm.example",
        "https:\\\\llm.example\\v1",
        "http://127.0.0.1\\@evil.example/",
        "http://evil.example\\@127.0.0.1/",
        "http://127.0.0.1@evil.example/",
        "http://evil.example@127.0.0.1/",
        "http://evil.example#@127.0.0.1:80@x/",
        "http://localhost?x=/@evil.example",
        " http://127.0.0.1/",
        "http://127.0.0.1/ ",
        "http://127.0.0.1\t.evil.example/",
        "http://127.0.0.1\n.evil.example/",
        "http://127.0.0.1/\u{a0}",
        "\u{feff}http://127.0.0.1/",
        "http://127.1/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://2130706433/",
        "http://127.0.0.1./",
        "http://[::ffff:127.0.0.1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::1%25lo]/",
        "http://%3127.0.0.1/",
        "http://127.0.0.1%2eevil.example/",
        "https://b\u{fc}cher.example/",
        "https://fa\u{df}.example/",
        "https://llm\u{3002}example/",
        "https://llm.example/a/../b",
        "https://llm.example/%2e%2e/b",
        "https://llm.example/a b",
        "https://llm.example:0443/",
        "https://llm.example:/",
    ];

    #[test]
    fn what_readers_disagree_about_is_not() {
        for text in UNCLEAR {
            assert!(parse_plain(text).is_err(), "{text:?}");
            assert!(!is_loopback_address(text), "{text:?}");
        }
    }
}

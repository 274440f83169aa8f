//! The parts of an address, as they stand in its text.

use url::Host;

use super::{LONGEST_HOST, parse_plain};

/// The schemes in which the URL standard takes a backslash for a slash, and any number of slashes for two.
const LENIENT: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// An address, taken apart. The parts are its own characters.
pub(super) struct Parts<'a> {
    /// The scheme without its colon; `None` for an address that begins with its slashes.
    scheme: Option<&'a str>,
    /// The scheme, its colon and the slashes.
    pub(super) prefix: &'a str,
    /// The text has a user, or what some program takes for one.
    pub(super) has_user: bool,
    /// The host and its port.
    pub(super) authority: &'a str,
    /// What follows, from its slash, backslash, `?` or `#` on.
    pub(super) rest: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a text apart; `None` where it is no address, or one in which it is not clear what is secret.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        if text.contains(char::is_whitespace) {
            return None;
        }
        let scheme = text
            .split_once(':')
            .map(|(scheme, _)| scheme)
            .filter(|scheme| is_scheme(scheme));
        let after = &text[scheme.map_or(0, |scheme| scheme.len() + 1)..];
        let is_lenient =
            scheme.is_none_or(|scheme| LENIENT.iter().any(|name| scheme.eq_ignore_ascii_case(name)));
        let slashes = match is_lenient {
            true => after.len() - after.trim_start_matches(['/', '\\']).len(),
            false => after.starts_with("//").then_some(2)?,
        };
        let fewest = match scheme {
            Some(scheme) if is_http(scheme) => 0,
            Some(_) => 1,
            None => 2,
        };
        if slashes < fewest || slashes == after.len() {
            return None;
        }
        let prefix = &text[..text.len() - after.len() + slashes];
        let after = &after[slashes..];
        let end = after.find(['/', '\\', '?', '#']).unwrap_or(after.len());
        let (whole, rest) = after.split_at(end);
        let (has_user, authority) = match whole.rsplit_once('@') {
            Some((_, authority)) => (true, authority),
            None => (false, whole),
        };
        let parts = Self {
            scheme,
            prefix,
            has_user,
            authority,
            rest,
        };
        parts.has_hosts().then_some(parts)
    }

    /// True where each host of the authority is a name, with digits for its port. Anything else may be a user and the
    /// beginning of a password with a slash in it.
    fn has_hosts(&self) -> bool {
        self.authority.split(',').all(|host| match host.rsplit_once(':') {
            Some((name, port)) if !host.ends_with(']') => {
                !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
            }
            _ => true,
        })
    }

    /// True where the port may as well be the beginning of a password, which ends at an `@` further on.
    pub(super) fn has_doubtful_port(&self) -> bool {
        self.authority.contains(':') && self.rest.contains('@') && !self.rest.starts_with('\\')
    }

    /// True where every program finds the same server in the address.
    pub(super) fn is_read_alike(&self) -> bool {
        // Some take all up to the first slash, or the last `@`, for the server.
        let has_late_user = !self.rest.starts_with('/') && self.rest.contains('@');
        if has_late_user || self.rest.starts_with('\\') || self.prefix.contains('\\') {
            return false;
        }
        let scheme = self.scheme.unwrap_or("https");
        if !is_http(scheme) {
            return self.authority.is_ascii() && !self.has_doubtful_port();
        }
        let has_two_slashes = self.prefix.ends_with("//") && !self.prefix.ends_with("///");
        has_two_slashes && parse_plain(&format!("{scheme}://{}", self.authority)).is_ok()
    }

    /// Returns what follows the host, without query and fragment and what may be a secret: a long segment, one that begins as
    /// keys do, what stands between a backslash and an `@`.
    pub(super) fn shown_rest(&self) -> String {
        let (rest, tail) = match self.rest.find(['?', '#']) {
            Some(at) => (&self.rest[..at], format!("{}***", &self.rest[at..=at])),
            None => (self.rest, String::new()),
        };
        let (mut shown, path) = match rest.rsplit_once('@') {
            Some(("\\", path)) => ("\\@".to_owned(), path),
            Some((before, path)) if before.starts_with('\\') => ("\\***@".to_owned(), path),
            _ => (String::new(), rest),
        };
        for segment in path.split_inclusive(['/', '\\']) {
            let name = segment.trim_end_matches(['/', '\\']);
            let is_secret = name.len() > 15 || name.starts_with("sk-");
            // A host follows the backslash.
            let is_host = shown.ends_with('@');
            let is_masked = is_secret && !is_host;
            shown.push_str(if is_masked { "***" } else { name });
            shown.push_str(&segment[name.len()..]);
        }
        shown + &tail
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// True for the scheme of a URL (RFC 3986, section 3.1).
fn is_scheme(text: &str) -> bool {
    let is_rest = |c: char| c.is_ascii_alphanumeric() || "+.-".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_rest)
}

/// Returns a host and its port as a person may see them: the name as it is looked up, which tells letters apart that look
/// alike, and its end, which tells whose it is.
#[must_use]
pub fn shown_host(authority: &str) -> String {
    let is_ascii = authority.is_ascii();
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (name, format!(":{port}")),
        _ => (authority, String::new()),
    };
    let looked_up = match Host::parse(name) {
        Ok(Host::Domain(looked_up)) if !is_ascii => looked_up,
        _ => name.to_owned(),
    };
    let length = looked_up.chars().count();
    let shown = match length.checked_sub(LONGEST_HOST) {
        Some(surplus @ 1..) => format!("…{}", looked_up.chars().skip(surplus).collect::<String>()),
        _ => looked_up,
    };
    format!("{shown}{port}")
}

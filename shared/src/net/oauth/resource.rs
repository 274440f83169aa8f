//! Qwen's `resource_url`: the host that takes a token, named by the token's answer or file.

use std::fmt;

use url::{Host, Url};

use crate::net::http::{BaseUrl, is_loopback};
use crate::provider::host_matches;

/// Why a token will not be sent to a `resource_url`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceError {
    /// The host or the value, as far as it can be shown.
    pub resource: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl fmt::Display for ResourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}': {}", self.resource, self.reason)
    }
}

impl std::error::Error for ResourceError {}

/// Makes the base URL of the chat endpoint from a `resource_url`, as Qwen Code does: `https://` goes in front of a
/// bare host, `/v1` after what does not end in it.
///
/// The value is untrusted: whoever can write it decides where the token goes. So it must be `https` (or `http` to
/// loopback), without user info, query and fragment, and its host must be one of `allowed_hosts`, where
/// - `host` allows that host on any port, `host:port` on that port;
/// - `*.domain` allows the domain and every host below it.
///
/// An IP literal, a name without a dot and a private name are allowed only where the list has exactly them.
///
/// # Errors
/// What is wrong with it. The caller tells the user which file or server said so.
pub fn base_url_from_resource<S: AsRef<str>>(
    resource: &str,
    allowed_hosts: &[S],
) -> Result<BaseUrl, ResourceError> {
    let refuse = |reason| ResourceError {
        resource: crate::text::clip(resource, 80),
        reason,
    };
    let url = parse(resource.trim()).map_err(refuse)?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let url = BaseUrl::try_from(url).map_err(|_| ResourceError {
        resource: host,
        reason: "it holds a user name or password",
    })?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it holds a query or fragment"));
    }
    if !is_allowed(&url, allowed_hosts) {
        return Err(refuse("the provider's allowed hosts do not include it"));
    }
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err(refuse("plain http would show the token to the network"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.ends_with("/v1") {
        path
    } else {
        format!("{path}/v1")
    };
    Ok(url.with_path(&path))
}

/// Reads a URL, or a host that `https://` goes in front of.
fn parse(resource: &str) -> Result<Url, &'static str> {
    if resource
        .chars()
        .any(|c| c == '\\' || c.is_whitespace() || crate::text::is_hostile(c))
    {
        return Err("it holds blanks, backslashes or control characters");
    }
    let lower = resource.to_ascii_lowercase();
    let has_scheme = lower.starts_with("http://") || lower.starts_with("https://");
    let parsed = if has_scheme {
        Url::parse(resource)
    } else {
        Url::parse(&format!("https://{resource}"))
    };
    parsed.map_err(|_| "it is no host or URL")
}

/// True when `allowed_hosts` includes the URL's host: the rule by which an OAuth token may go there (the entries are
/// described at [`base_url_from_resource`]).
#[must_use]
pub fn is_allowed<S: AsRef<str>>(url: &Url, allowed_hosts: &[S]) -> bool {
    let Some(host) = url.host() else {
        return false;
    };
    let name = host.to_string();
    let with_port = url
        .port_or_known_default()
        .map(|port| format!("{name}:{port}"))
        .unwrap_or_default();
    let is_domain = matches!(host, Host::Domain(_));
    allowed_hosts
        .iter()
        .map(|entry| entry.as_ref().trim())
        .any(|entry| {
            entry.eq_ignore_ascii_case(&with_port)
                || ((is_domain || !entry.starts_with('*')) && host_matches(entry, &name))
        })
}

#[cfg(test)]
mod tests {
    use super::base_url_from_resource;

    const ALLOWED: [&str; 5] = [
        "portal.qwen.ai",
        "*.aliyuncs.com",
        "*.lab.example",
        "127.0.0.1:8080",
        "[::1]",
    ];

    #[test]
    fn hosts_and_urls_become_base_urls() {
        for (resource, base) in [
            ("portal.qwen.ai", "https://portal.qwen.ai/v1"),
            ("  portal.qwen.ai\n", "https://portal.qwen.ai/v1"),
            ("portal.qwen.ai/", "https://portal.qwen.ai/v1"),
            ("portal.qwen.ai/v1", "https://portal.qwen.ai/v1"),
            ("portal.qwen.ai/v1/", "https://portal.qwen.ai/v1"),
            ("HTTPS://Portal.Qwen.AI", "https://portal.qwen.ai/v1"),
            (
                "https://portal.qwen.ai:8443/x",
                "https://portal.qwen.ai:8443/x/v1",
            ),
            ("portal.qwen.ai/av1", "https://portal.qwen.ai/av1/v1"),
            (
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
                "https://dashscope.aliyuncs.com/compatible-mode/v1",
            ),
            ("aliyuncs.com", "https://aliyuncs.com/v1"),
            ("a.b.lab.example", "https://a.b.lab.example/v1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
            ("http://[::1]:99", "http://[::1]:99/v1"),
        ] {
            assert_eq!(
                base_url_from_resource(resource, &ALLOWED)
                    .map(|url| url.to_string())
                    .as_deref(),
                Ok(base),
                "{resource}"
            );
        }
    }

    #[test]
    fn a_token_goes_nowhere_else() {
        for resource in [
            "",
            "evil.example",
            "portal.qwen.ai.evil.example",
            "xportal.qwen.ai",
            "evilaliyuncs.com",
            ".aliyuncs.com.x",
            "portal.qwen.ai@evil.example",
            "user:pw@portal.qwen.ai",
            "https://evil.example/portal.qwen.ai",
            "http://portal.qwen.ai",
            "ftp://portal.qwen.ai",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "10.0.0.1",
            "127.0.0.1",
            "127.0.0.1:9090",
            "http://127.1:9090",
            "0x7f000001",
            "localhost",
            "169.254.169.254",
            "[fd00::1]",
            "router.local",
            "portal",
            "portal.qwen.ai?x=1",
            "portal.qwen.ai#x",
            "portal.qwen.ai\\@evil.example",
            "portal.qwen.ai/\u{1b}[0m",
            "portal qwen.ai",
            "https://",
            "\u{202e}portal.qwen.ai",
            "portal.qwen.ai:99999",
        ] {
            assert!(
                base_url_from_resource(resource, &ALLOWED).is_err(),
                "{resource:?}"
            );
        }
        assert!(base_url_from_resource("portal.qwen.ai", &[] as &[&str]).is_err());
        assert!(base_url_from_resource("a.", &["*."]).is_err());
    }
}

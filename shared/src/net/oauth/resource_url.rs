//! `resource_url`, a member that Qwen's token responses add: the host of the API that takes the token.

use url::{Host, Url};

use crate::net::http::BaseUrl;
use crate::provider::{host_matches, is_loopback};
use crate::text::{clip, is_hostile};

/// Makes a base URL from a `resource_url`, as Qwen Code does: prefixes `https://` to a bare host and adds a missing
/// `/v1`.
///
/// The value is untrusted, and it decides where the token goes. So it must be `https` (or `http` to loopback), without
/// user info, query and fragment, and its host must be in `allowed_hosts` (see [`is_allowed`]).
///
/// # Errors
/// The value, or its host if it has user info, and what is wrong with it.
pub fn base_url_from_resource<S: AsRef<str>>(resource: &str, allowed_hosts: &[S]) -> Result<BaseUrl, String> {
    let refuse = |reason| format!("'{}': {reason}", clip(resource, 80));
    let url = parse(resource.trim()).map_err(refuse)?;
    let has_query_or_fragment = url.query().is_some() || url.fragment().is_some();
    let host = url.host_str().unwrap_or_default().to_owned();
    let url = BaseUrl::try_from(url).map_err(|_| format!("'{host}': it holds a user name or password"))?;
    if has_query_or_fragment {
        return Err(refuse("it holds a query or fragment"));
    }
    if !is_allowed(&url, allowed_hosts) {
        return Err(refuse("the provider's allowed hosts do not include it"));
    }
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err(refuse("plain http would show the token to the network"));
    }
    let path = url.path().trim_end_matches('/');
    let path = format!("{}/v1", path.strip_suffix("/v1").unwrap_or(path));
    Ok(url.with_path(&path))
}

/// Parses a URL or a bare host.
fn parse(resource: &str) -> Result<Url, &'static str> {
    if resource
        .chars()
        .any(|c| c == '\\' || c.is_whitespace() || is_hostile(c))
    {
        return Err("it holds blanks, backslashes or control characters");
    }
    let lower = resource.to_ascii_lowercase();
    let has_scheme = lower.starts_with("http://") || lower.starts_with("https://");
    let scheme = if has_scheme { "" } else { "https://" };
    Url::parse(&format!("{scheme}{resource}")).map_err(|_| "it is not a host or URL")
}

/// True when an OAuth token may be sent to the URL's host.
///
/// Of the entries of `allowed_hosts`, `host:port` matches that host on that port, `host` on the usual port (on this
/// machine on any), and `*.domain` the domain and every host below it, but no IP address.
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
    let is_usual_port = url.port().is_none() || is_loopback(url);
    allowed_hosts
        .iter()
        .map(|entry| entry.as_ref().trim())
        .any(|entry| {
            entry.eq_ignore_ascii_case(&with_port)
                || (is_usual_port && (is_domain || !entry.starts_with('*')) && host_matches(entry, &name))
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
            ("https://portal.qwen.ai/x", "https://portal.qwen.ai/x/v1"),
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
            "https://portal.qwen.ai:8443/x",
            "a.lab.example:8443",
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

//! Which proxy the environment names for an endpoint: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` come to.

use url::Url;

use super::error::HttpError;
use super::is_loopback;

/// The kinds of proxy that can be used.
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The proxy on the way to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// True when the proxy itself is reached by TLS.
    pub(super) is_https: bool,
}

impl Proxy {
    /// Finds the proxy for `base`; `None` for loopback, for what `NO_PROXY` exempts, and where none is set.
    ///
    /// # Errors
    /// [`HttpError::Invalid`] for a value that names no proxy: going round it in silence is not what its owner wants.
    pub(super) fn of(base: &Url) -> Result<Option<Self>, HttpError> {
        let exempt = first_set(&["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, list)| list);
        if is_loopback(base) || is_exempt(base, &exempt) {
            return Ok(None);
        }
        let own = match base.scheme() {
            "https" => first_set(&["HTTPS_PROXY", "https_proxy"]),
            _ => first_set(&["HTTP_PROXY", "http_proxy"]),
        };
        let Some((variable, value)) = own.or_else(|| first_set(&["ALL_PROXY", "all_proxy"])) else {
            return Ok(None);
        };
        let scheme = scheme(&value).ok_or_else(|| {
            HttpError::Invalid(format!(
                "{variable} does not name a proxy, such as http://HOST:PORT or socks5h://HOST:PORT"
            ))
        })?;
        Ok(Some(Self {
            variable,
            is_https: scheme == "https",
        }))
    }
}

/// Returns the first of these variables that says something, and what it says.
fn first_set(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.trim().is_empty()).then_some((*name, value))
    })
}

/// Returns the kind of a proxy; `None` for a value that names none. Without a scheme it is `http`.
fn scheme(value: &str) -> Option<&'static str> {
    let value = value.trim();
    let url = match value.contains("://") {
        true => Url::parse(value),
        false => Url::parse(&format!("http://{value}")),
    };
    let url = url.ok().filter(Url::has_host)?;
    SCHEMES.into_iter().find(|scheme| *scheme == url.scheme())
}

/// True when a list exempts the endpoint: `*`, a domain with or without a leading dot or `*.`, each with its subdomains,
/// and any of them with a port. Networks of addresses are the client library's matter.
fn is_exempt(base: &Url, list: &str) -> bool {
    let host = base.host_str().unwrap_or_default().to_ascii_lowercase();
    list.split([',', ' ']).any(|entry| {
        let entry = entry.trim().to_ascii_lowercase();
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => (name, port.parse().ok()),
            _ => (entry.as_str(), None),
        };
        let domain = name.strip_prefix('*').unwrap_or(name).trim_start_matches('.');
        let is_below = || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let fits = name == "*" || (!domain.is_empty() && (host == domain || is_below()));
        fits && (port.is_none() || port == base.port_or_known_default())
    })
}

#[cfg(test)]
mod tests {
    use super::is_exempt;
    use super::scheme;
    use url::Url;

    #[test]
    fn lists_of_exemptions_are_read_in_every_usual_form() {
        let base = Url::parse("https://llm.Example.test/v1").unwrap();
        for (list, exempt) in [
            ("example.test", true),
            (".example.test", true),
            ("*.example.test", true),
            ("LLM.example.test", true),
            ("*", true),
            ("other, llm.example.test:443", true),
            ("other example.test", true),
            ("llm.example.test:80", false),
            ("xample.test", false),
            ("*xample.tes", false),
            ("sub.llm.example.test", false),
            ("", false),
            (",.,*.", false),
            ("10.0.0.0/8,::1", false),
        ] {
            assert_eq!(is_exempt(&base, list), exempt, "{list:?}");
        }
    }

    #[test]
    fn a_value_names_a_proxy_or_is_refused() {
        for (value, kind) in [
            ("http://proxy:3128", Some("http")),
            ("http://user:pass%20word@proxy:3128/", Some("http")),
            ("proxy:3128", Some("http")),
            ("proxy", Some("http")),
            (" https://proxy ", Some("https")),
            ("socks5h://127.0.0.1:1080", Some("socks5h")),
            ("ftp://proxy", None),
            ("socks://proxy:1080", None),
            ("::::", None),
            ("http://", None),
        ] {
            assert_eq!(scheme(value), kind, "{value:?}");
        }
    }
}

//! Which proxy the environment names for an endpoint: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` come to.

use std::fmt;

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use url::Url;

use super::error::HttpError;
use super::probe::{ProxyAnswer, ask_proxy};
use crate::provider::is_loopback;

/// The proxy on the way to an endpoint.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// True when the proxy itself is reached by TLS.
    pub(super) is_https: bool,
    /// Where an HTTP proxy without TLS is reached.
    plain: Option<(String, u16)>,
    /// What it is shown: a secret.
    authorization: Option<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Proxy").field(&self.variable).finish()
    }
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
        let proxy = intercept(base, &Matcher::builder().all(value).build()).ok_or_else(|| {
            HttpError::Invalid(format!(
                "{variable} does not name a proxy, such as http://HOST:PORT or socks5h://HOST:PORT"
            ))
        })?;
        // reqwest has the last word: in a CGI program, for one, where a request's header could set HTTP_PROXY, it uses none.
        let is_used = intercept(base, &Matcher::from_system()).is_some();
        Ok(is_used.then(|| Self::new(variable, &proxy)))
    }

    fn new(variable: &'static str, proxy: &Intercept) -> Self {
        let uri = proxy.uri();
        let host = uri.host().filter(|_| uri.scheme_str() == Some("http"));
        let authorization = proxy.basic_auth().and_then(|value| value.to_str().ok());
        Self {
            variable,
            is_https: uri.scheme_str() == Some("https"),
            plain: host.map(|host| (host.to_owned(), uri.port_u16().unwrap_or(80))),
            authorization: authorization.map(str::to_owned),
        }
    }

    /// Asks it once more for a tunnel to `base`, to hear why there is none; `None` where it does not say.
    pub(super) async fn refusal(&self, base: &Url) -> Option<ProxyAnswer> {
        let (host, port) = self.plain.as_ref()?;
        let target = format!("{}:{}", base.host_str()?, base.port_or_known_default()?);
        ask_proxy((host, *port), &target, self.authorization.as_deref()).await
    }
}

fn intercept(base: &Url, matcher: &Matcher) -> Option<Intercept> {
    matcher.intercept(&base.as_str().parse().ok()?)
}

/// Returns the first of these variables that is set, and its value; `None` where that is blank.
fn first_set(names: &[&'static str]) -> Option<(&'static str, String)> {
    let set = names
        .iter()
        .find_map(|name| Some((*name, std::env::var(name).ok()?)));
    set.filter(|(_, value)| !value.trim().is_empty())
}

/// True when a list exempts the endpoint: by the matcher's rules, and also in the forms that other programs read, with
/// blanks between names, `*.` before a domain, or a port after it.
fn is_exempt(base: &Url, list: &str) -> bool {
    let names = list.split([',', ' ']).filter_map(|entry| {
        let name = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') && port.parse::<u16>().is_ok() => {
                let is_this = port.parse().ok() == base.port_or_known_default();
                is_this.then_some(name)?
            }
            _ => entry,
        };
        Some(
            name.strip_prefix('*')
                .filter(|rest| rest.starts_with('.'))
                .unwrap_or(name),
        )
    });
    let names: Vec<&str> = names.collect();
    let matcher = Matcher::builder().all("http://proxy").no(names.join(",")).build();
    intercept(base, &matcher).is_none()
}

#[cfg(test)]
mod tests {
    use hyper_util::client::proxy::matcher::Matcher;
    use url::Url;

    use super::{intercept, is_exempt};

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
        let base = Url::parse("https://llm.example.test/v1").unwrap();
        for (value, kind) in [
            ("http://proxy:3128", Some("http")),
            ("http://user:pass%20word@proxy:3128/", Some("http")),
            ("proxy:3128", Some("http")),
            ("proxy", Some("http")),
            ("https://proxy", Some("https")),
            // reqwest would go round it.
            (" https://proxy ", None),
            ("socks5h://127.0.0.1:1080", Some("socks5h")),
            ("ftp://proxy", None),
            ("socks://proxy:1080", None),
            ("::::", None),
            ("http://", None),
        ] {
            let proxy = intercept(&base, &Matcher::builder().all(value).build());
            let scheme = proxy.as_ref().and_then(|proxy| proxy.uri().scheme_str());
            assert_eq!(scheme, kind, "{value:?}");
        }
    }
}

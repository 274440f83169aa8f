//! The verification URI (RFC 8628, section 3.2): the address that a person opens to approve a login.

use std::fmt;

use qwen_shared::net::http::server_name;
use qwen_shared::provider::is_loopback;
use qwen_shared::text::is_hostile;
use url::Url;

/// The longest address that browsers agree on, in bytes.
const MAX_LENGTH: usize = 2048;

/// A verification URI that is safe to show and to hand to a browser.
///
/// It is `https`, or `http` to loopback or where the profile allows that, has a host and no user info. As text it is printable ASCII that begins with
/// the scheme, so no program takes it for an option or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerificationUri(Url);

impl VerificationUri {
    /// Parses what the server sent.
    ///
    /// # Errors
    /// The reason, which quotes at most the scheme.
    pub(crate) fn parse(text: &str, allow_http: bool) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it is longer than {MAX_LENGTH} bytes"));
        }
        // The URL parser drops line ends and tabs, and trims.
        if text.chars().any(|c| is_hostile(c) || c.is_whitespace()) {
            return Err("it has spaces or control characters".to_owned());
        }
        let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
        match url.scheme() {
            "https" => {}
            "http" if allow_http || is_loopback(&url) => {}
            "http" => return Err("it is plain http, and the profile does not set 'allow_http'".to_owned()),
            other => return Err(format!("it is of scheme '{other}', not 'https'")),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err("it has no host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user name or password".to_owned());
        }
        Ok(Self(url))
    }

    /// True for plain http to another machine, where the page could be anybody's.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.0.scheme() == "http" && !is_loopback(&self.0)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the host, with a port other than the default, as an address bar shows it.
    pub(crate) fn host(&self) -> String {
        server_name(&self.0)
    }
}

impl fmt::Display for VerificationUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::VerificationUri;

    #[test]
    fn addresses_are_shown_as_parsed() {
        for (raw, shown) in [
            (
                "https://chat.qwen.ai/authorize?user_code=A-B&client=qwen-code",
                "https://chat.qwen.ai/authorize?user_code=A-B&client=qwen-code",
            ),
            ("HTTPS://Example.COM", "https://example.com/"),
            ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
            ("http://127.0.0.1:8080/d", "http://127.0.0.1:8080/d"),
            ("http://[::1]/d", "http://[::1]/d"),
            ("https://e.example/`$(x)'\"", "https://e.example/%60$(x)'%22"),
        ] {
            let uri = VerificationUri::parse(raw, false).unwrap();
            assert_eq!(uri.as_str(), shown);
            assert!(uri.as_str().chars().all(|c| c.is_ascii_graphic()), "{uri}");
        }
        assert_eq!(
            VerificationUri::parse("https://a.example:8443/x", false)
                .unwrap()
                .host(),
            "a.example:8443"
        );
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for raw in [
            "",
            "-x",
            "--help",
            "device",
            "/etc/passwd",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/html,x",
            "ms-settings:",
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "https://",
            "https://user@example.com/",
            "https://u:p@example.com/",
            "https://example.com/\x1b]8;;",
            "https://example.com/\r\n",
            " https://example.com/",
            "https://example.com/\u{202e}x",
            "https://exa\tmple.com/",
            "ftp://example.com/",
            "https://example.com/\u{85}",
            "vbscript:x",
            "https://[::1",
            "https://example.com:99999/",
        ] {
            assert!(VerificationUri::parse(raw, false).is_err(), "{raw:?}");
        }
        assert!(VerificationUri::parse(&format!("https://e.example/{}", "a".repeat(4096)), false).is_err());
    }

    #[test]
    fn plain_http_is_for_profiles_that_allow_it() {
        let lab = VerificationUri::parse("http://id.lab.example/device", true).unwrap();
        assert!(lab.is_plain_http());
        for (raw, allow_http) in [("http://127.0.0.1/d", true), ("https://id.lab.example/", true)] {
            assert!(
                !VerificationUri::parse(raw, allow_http).unwrap().is_plain_http(),
                "{raw}"
            );
        }
        for raw in ["ftp://id.lab.example/", "http://u:p@id.lab.example/", "http://"] {
            assert!(VerificationUri::parse(raw, true).is_err(), "{raw}");
        }
    }
}

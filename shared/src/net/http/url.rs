//! Which addresses are endpoints, and which may get a secret.

use std::fmt;
use std::ops::Deref;

use url::{ParseError, Url};

use crate::copied::{AddressFault, check_address};
use crate::exit::{Exit, Failure};
use crate::provider::{is_loopback, is_private_network};
use crate::text::one_line;

/// The base URL of an endpoint: `http` or `https`, without user info, fragment and the path of chat completions.
///
/// Shown to people the values of its query are masked; `as_str` is the URL itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no base URL. The text is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseUrlError {
    /// Not a URL.
    Syntax(ParseError),
    /// Neither `http` nor `https`.
    Scheme,
    /// A user name or a password in it.
    UserInfo,
    /// More than an address, or what stands in the place of one.
    Copied(AddressFault),
}

/// What follows the base URL in the address of chat completions.
const CHAT_PATH: &str = "/chat/completions";

impl BaseUrl {
    /// Reads a base URL; blanks around it are ignored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        let text = text.trim();
        check_address(text).map_err(BaseUrlError::Copied)?;
        let base: Self = Url::parse(text).map_err(BaseUrlError::Syntax)?.try_into()?;
        // The reader finds a host behind one slash too, undoes what is percent-encoded in it, and what is cut off may have
        // hidden a quote.
        check_address(base.as_str()).map_err(BaseUrlError::Copied)?;
        Ok(base)
    }

    /// Returns the server's name for messages: host, and port where it is not the usual one.
    #[must_use]
    pub fn server(&self) -> String {
        server_name(&self.0)
    }

    /// True when the path ends in what most base URLs end in: the version of the API.
    #[must_use]
    pub fn has_version(&self) -> bool {
        let last = self.0.path().trim_end_matches('/').rsplit('/').next();
        let digits = last.and_then(|last| last.strip_prefix('v')).unwrap_or_default();
        digits.starts_with(|digit: char| digit.is_ascii_digit())
    }

    /// Returns the URL with another path.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        self.0.set_path(path);
        self
    }
}

/// Returns the name of a URL's server for messages: host, and port where it is not the usual one.
#[must_use]
pub fn server_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port();
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

impl TryFrom<Url> for BaseUrl {
    type Error = BaseUrlError;

    fn try_from(mut url: Url) -> Result<Self, BaseUrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(BaseUrlError::Scheme);
        }
        if has_user_info(&url) {
            return Err(BaseUrlError::UserInfo);
        }
        url.set_fragment(None);
        // People copy the address that their provider's examples call.
        while let Some(base) = url.path().trim_end_matches('/').strip_suffix(CHAT_PATH) {
            let base = base.to_owned();
            url.set_path(&base);
        }
        Ok(Self(url))
    }
}

impl Deref for BaseUrl {
    type Target = Url;

    fn deref(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.query().is_none() {
            return self.0.fmt(f);
        }
        let mut shown = self.0.clone();
        let names = self.0.query_pairs().map(|(name, _)| (name, "***"));
        shown.query_pairs_mut().clear().extend_pairs(names);
        shown.fmt(f)
    }
}

impl fmt::Display for BaseUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => f.write_str(match error {
                ParseError::RelativeUrlWithoutBase => {
                    "this is not a URL: one begins with 'https://' or 'http://'"
                }
                ParseError::EmptyHost => "this URL has no host",
                ParseError::InvalidPort => "the port of this URL is not a number up to 65535",
                ParseError::InvalidIpv4Address => "the host of this URL is not an IPv4 address",
                ParseError::InvalidIpv6Address => "the host of this URL is not an IPv6 address",
                ParseError::IdnaError | ParseError::InvalidDomainCharacter => {
                    "the host of this URL holds a character that no name has"
                }
                _ => "this is not a URL",
            }),
            Self::Scheme => f.write_str("a URL must begin with 'https://' or 'http://'"),
            Self::UserInfo => f.write_str("a URL must not hold a user name or password"),
            Self::Copied(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for BaseUrlError {}

/// Refuses a URL to which no secret may go: anything but `https`, except `http` to loopback or where the profile
/// sets `"allow_http": true`; and a URL with user info, which would end up in logs.
///
/// # Errors
/// Exit 78.
pub fn check_endpoint(url: &Url, allow_http: bool) -> Result<(), Failure> {
    check_transport(url, allow_http, true).map(drop)
}

/// As [`check_endpoint`] for requests with or without a secret. Without one, plain `http` to a machine of a private network
/// passes too, with the notice that is returned: questions and answers can be read there.
///
/// # Errors
/// Exit 78.
pub fn check_transport(url: &Url, allow_http: bool, has_secret: bool) -> Result<Option<String>, Failure> {
    let shown = shown(url);
    let refuse = |reason: &str| Failure::new(Exit::Config, format!("'{shown}': {reason}"));
    let consent =
        format!("use https, or run 'qwen-login --allow-http --base-url {shown}' if that network is yours");
    if has_user_info(url) {
        return Err(refuse(&BaseUrlError::UserInfo.to_string()));
    }
    match url.scheme() {
        "https" => Ok(None),
        "http" if allow_http || is_loopback(url) => Ok(None),
        "http" if has_secret => Err(refuse("plain http would show the secret to the network").hint(consent)),
        "http" if is_private_network(url) => Ok(Some(format!(
            "'{shown}': plain http: who is on that network can read questions and answers"
        ))),
        "http" => {
            Err(refuse("plain http would show questions and answers to everyone on the way").hint(consent))
        }
        other => Err(refuse(&format!("'{other}' is not http or https"))),
    }
}

/// Returns a URL for messages: without user info, and with the values of its query masked.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    one_line(&match BaseUrl::try_from(url.clone()) {
        Ok(url) => url.to_string(),
        Err(_) => url.into(),
    })
}

fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::{AddressFault, BaseUrl, check_endpoint, check_transport};

    #[test]
    fn a_base_url_is_http_and_holds_no_password() {
        for (text, said) in [
            (" https://llm.example/v1\n", "https://llm.example/v1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            (
                "api.openai.com/v1",
                "this is not a URL: one begins with 'https://' or 'http://'",
            ),
            ("", "this is not a URL: one begins with 'https://' or 'http://'"),
            ("https://", "this URL has no host"),
            ("ftp://x.example", "a URL must begin with 'https://' or 'http://'"),
            (
                "file:///etc/passwd",
                "a URL must begin with 'https://' or 'http://'",
            ),
            (
                "localhost:8080/v1",
                "a URL must begin with 'https://' or 'http://'",
            ),
            (
                "https://me:pw@x.example",
                "a URL must not hold a user name or password",
            ),
            (
                "https://me@x.example",
                "a URL must not hold a user name or password",
            ),
        ] {
            let shown = BaseUrl::parse(text).map_or_else(|error| error.to_string(), |url| url.to_string());
            assert_eq!(shown, said, "{text}");
        }
    }

    #[test]
    fn a_variable_in_the_place_of_the_host_is_found_however_the_address_is_written() {
        for text in [
            "https:/$HOST/v1",
            "https:$HOST",
            "https:\\\\$HOST/v1",
            "https://%24HOST/v1",
        ] {
            let found = BaseUrl::parse(text).map_err(|error| error.to_string());
            assert_eq!(found, Err(AddressFault::Unexpanded.to_string()), "{text}");
        }
    }

    #[test]
    fn a_quote_before_a_fragment_is_found() {
        for text in ["http://127.0.0.1/v1'#x", "http:2/v1'#x"] {
            let found = BaseUrl::parse(text).map_err(|error| error.to_string());
            assert_eq!(found, Err(AddressFault::Quote.to_string()), "{text}");
        }
    }

    #[test]
    fn the_path_of_chat_completions_is_no_part_of_it() {
        for (text, base) in [
            (
                "https://llm.example/v1/chat/completions",
                "https://llm.example/v1",
            ),
            (
                "https://llm.example/v1/chat/completions/?a=b#c",
                "https://llm.example/v1?a=b",
            ),
            ("https://llm.example/chat/completions", "https://llm.example/"),
            (
                "https://llm.example/v1/chat/completions//chat/completions",
                "https://llm.example/v1",
            ),
            ("https://llm.example/v1/", "https://llm.example/v1/"),
            (
                "https://llm.example/my-chat/completions",
                "https://llm.example/my-chat/completions",
            ),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().as_str(), base);
        }
    }

    #[test]
    fn the_values_of_its_query_are_not_shown() {
        let url = BaseUrl::parse("https://llm.example/v1?key=s3cret&key=two&v=1").unwrap();
        assert_eq!(url.to_string(), "https://llm.example/v1?key=***&key=***&v=***");
        assert!(url.as_str().contains("s3cret"));
    }

    #[test]
    fn a_secret_goes_over_tls_or_stays_on_this_machine() {
        for (url, allow_http, may) in [
            ("https://llm.example/v1", false, true),
            ("http://llm.example/v1", false, false),
            ("http://llm.example/v1", true, true),
            ("http://localhost:8080/v1", false, true),
            ("http://[::1]/v1", false, true),
            ("http://127.0.0.1.evil.example/", false, false),
        ] {
            let url = BaseUrl::parse(url).unwrap();
            assert_eq!(
                check_endpoint(&url, allow_http).is_ok(),
                may,
                "{url} {allow_http}"
            );
        }
    }

    #[test]
    fn without_a_secret_plain_http_stays_in_a_private_network() {
        for (url, passes) in [
            ("http://192.168.1.50:11434/v1", true),
            ("http://10.1.2.3", true),
            ("http://172.16.0.1", true),
            ("http://172.32.0.1", false),
            ("http://100.64.0.1", true),
            ("http://100.103.78.84:11434/v1", true),
            ("http://100.128.0.1", false),
            ("http://169.254.7.7", true),
            ("http://0.0.0.0:11434", true),
            ("http://8.8.8.8", false),
            ("http://[fd00::1]:8000", true),
            ("http://[fe80::1]", true),
            ("http://[::ffff:192.168.1.1]", true),
            ("http://[2001:db8::1]", false),
            ("http://[::ffff:8.8.8.8]", false),
            ("http://ollama:11434/v1", true),
            ("http://OLLAMA./v1", true),
            ("http://nas.local:8080", true),
            ("http://host.docker.internal:11434/v1", true),
            ("http://host.containers.internal", true),
            ("http://gpu.lan", true),
            ("http://box.home.arpa", true),
            ("http://x.arpa", false),
            ("http://local.example.com", false),
            ("http://192.168.1.50.evil.example", false),
            ("http://llm.example/v1", false),
        ] {
            let url = BaseUrl::parse(url).unwrap();
            let notice = check_transport(&url, false, false);
            assert_eq!(notice.is_ok(), passes, "{url}");
            assert!(
                notice.is_err() || notice.is_ok_and(|notice| notice.is_some()),
                "{url}"
            );
            assert!(check_endpoint(&url, false).is_err(), "{url}");
            assert_eq!(check_transport(&url, true, true).ok(), Some(None), "{url}");
        }
    }
}

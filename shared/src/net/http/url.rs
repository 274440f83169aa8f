//! Which addresses are endpoints, and which may get a secret.

use std::fmt;
use std::ops::Deref;

use url::{ParseError, Url};

use crate::exit::{Exit, Failure};
use crate::provider::is_loopback;
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
}

/// What follows the base URL in the address of chat completions.
const CHAT_PATH: &str = "/chat/completions";

impl BaseUrl {
    /// Reads a base URL; blanks around it are ignored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, BaseUrlError> {
        Url::parse(text.trim()).map_err(BaseUrlError::Syntax)?.try_into()
    }

    /// Returns the URL with another path.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        self.0.set_path(path);
        self
    }
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
        let path = url.path().trim_end_matches('/');
        if let Some(base) = path.strip_suffix(CHAT_PATH).map(str::to_owned) {
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
            Self::Syntax(error) => write!(f, "this is not a URL ({error})"),
            Self::Scheme => f.write_str("a URL must begin with 'https://' or 'http://'"),
            Self::UserInfo => f.write_str("a URL must not hold a user name or password"),
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
    let mut shown = url.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    let shown = one_line(shown.as_str());
    let refuse = |reason: &str| Failure::new(Exit::Config, format!("'{shown}': {reason}"));
    if has_user_info(url) {
        return Err(refuse(&BaseUrlError::UserInfo.to_string()));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_http || is_loopback(url) => Ok(()),
        "http" => Err(refuse("plain http would show the secret to the network")
            .hint("use https, or set \"allow_http\": true in the profile if that network is yours")),
        other => Err(refuse(&format!("'{other}' is not http or https"))),
    }
}

fn has_user_info(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, check_endpoint};

    #[test]
    fn a_base_url_is_http_and_holds_no_password() {
        for (text, said) in [
            (" https://llm.example/v1\n", "https://llm.example/v1"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            (
                "api.openai.com/v1",
                "this is not a URL (relative URL without a base)",
            ),
            ("", "this is not a URL (relative URL without a base)"),
            ("https://", "this is not a URL (empty host)"),
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
}

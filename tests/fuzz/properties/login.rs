//! Documents of an authorization server: endpoints and codes that are safe to use and to show, or an error.
//!
//! The first line of an input is the status; the rest is the body.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::http::HttpError;
use qwen_shared::net::oauth::{HttpResponse, LoginEndpoints, Transport, revocation_endpoint, token_endpoint};
use qwen_shared::provider::{OauthSettings, is_loopback};
use qwen_shared::text::is_hostile;
use url::Url;

use crate::device_authorization::DeviceAuthorization;

/// A server that answers everything alike.
struct Server(HttpResponse);

impl Transport for Server {
    fn post_form(&self, _: &Url, _: &[(&str, &str)], _: &str) -> Result<HttpResponse, HttpError> {
        Ok(self.0.clone())
    }

    fn get(&self, _: &Url) -> Result<HttpResponse, HttpError> {
        Ok(self.0.clone())
    }
}

/// Reads an input as the metadata document (RFC 8414) and as the answer to a device authorization request.
pub(crate) fn holds(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let status = std::str::from_utf8(&data[..end]).ok();
    let server = Server(HttpResponse {
        status: status.and_then(|word| word.trim().parse().ok()).unwrap_or(200),
        retry_after: None,
        date: None,
        body: data.get(end + 1..).unwrap_or_default().to_vec(),
    });
    let settings = OauthSettings {
        issuer: Some("https://login.example".to_owned()),
        ..OauthSettings::default()
    };
    for allow_http in [false, true] {
        endpoints(&server, &settings, allow_http);
        codes(&server.0, allow_http);
    }
}

/// No endpoint is one to which a secret may not be sent.
fn endpoints(server: &Server, settings: &OauthSettings, allow_http: bool) {
    let mut found = Vec::new();
    match LoginEndpoints::find(server, settings, allow_http) {
        Ok(endpoints) => found.extend([endpoints.device_authorization_endpoint, endpoints.token_endpoint]),
        Err(failure) => is_said(&failure),
    }
    match token_endpoint(server, settings, allow_http) {
        Ok(endpoint) => found.push(endpoint),
        Err(failure) => is_said(&failure),
    }
    match revocation_endpoint(server, settings, allow_http) {
        Ok(endpoint) => found.extend(endpoint),
        Err(failure) => is_said(&failure),
    }
    for url in found {
        is_safe(&url, allow_http);
    }
}

/// What a person is to see and to open is harmless, and the times are such that a program can wait.
fn codes(response: &HttpResponse, allow_http: bool) {
    let authorization = match DeviceAuthorization::parse(response, allow_http) {
        Ok(authorization) => authorization,
        Err(error) => return is_said(&error.failure("https://login.example")),
    };
    let code = &authorization.user_code;
    assert!(
        !code.trim().is_empty() && !code.chars().any(is_hostile),
        "{code:?}"
    );
    let seconds = authorization.interval.as_secs_f64();
    assert!((1.0..=300.0).contains(&seconds), "{seconds}");
    assert!(!authorization.expires_in.is_zero() && authorization.expires_in.as_secs() <= 24 * 60 * 60);
    let address = &authorization.verification_uri;
    for shown in [Some(address), authorization.verification_uri_complete.as_ref()]
        .into_iter()
        .flatten()
    {
        assert!(
            shown.as_str().bytes().all(|byte| byte.is_ascii_graphic()),
            "{shown:?}"
        );
        assert_eq!(shown.host(), address.host());
        is_safe(&Url::parse(shown.as_str()).expect("an address"), allow_http);
    }
}

fn is_safe(url: &Url, allow_http: bool) {
    let may_be_plain = allow_http || is_loopback(url);
    assert!(
        url.scheme() == "https" || (url.scheme() == "http" && may_be_plain),
        "{url}"
    );
    assert!(
        url.has_host() && url.username().is_empty() && url.password().is_none(),
        "{url}"
    );
}

fn is_said(failure: &Failure) {
    let may_be = [
        Exit::NoAuth,
        Exit::TryAgain,
        Exit::Protocol,
        Exit::Config,
        Exit::Unavailable,
    ];
    assert!(may_be.contains(&failure.exit), "{failure:?}");
    assert!(!failure.message.chars().any(char::is_control), "{failure:?}");
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_is_safe_to_use_or_an_error() {
    crate::played::play("login", holds);
}

//! Answers of a token endpoint: a token that a header can carry, for an address that is the provider's, or an error.
//!
//! The first line of an input is the status; the rest is the body.

use std::time::{Duration, UNIX_EPOCH};

use qwen_shared::exit::Exit;
use qwen_shared::net::credential::Credential;
use qwen_shared::net::oauth::{HttpResponse, TokenResponse, base_url_from_resource};

/// The longest lifetime that is believed.
const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Reads an answer, makes a credential of it, and renews that with the same answer.
pub(crate) fn holds(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let status = std::str::from_utf8(&data[..end]).ok();
    let response = HttpResponse {
        status: status.and_then(|word| word.trim().parse().ok()).unwrap_or(200),
        retry_after: None,
        date: None,
        body: data.get(end + 1..).unwrap_or_default().to_vec(),
    };
    let token = match TokenResponse::parse(&response) {
        Ok(token) => token,
        Err(error) => {
            let exit = error.failure("https://login.example").exit;
            let may_be = [
                Exit::NoAuth,
                Exit::TryAgain,
                Exit::Protocol,
                Exit::Config,
                Exit::Unavailable,
            ];
            assert!(may_be.contains(&exit), "{exit:?}");
            return;
        }
    };
    let bearer = token.access_token.expose();
    assert!(!bearer.is_empty() && bearer.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(
        token
            .expires_in
            .is_none_or(|life| !life.is_zero() && life <= TEN_YEARS)
    );
    let refresh = token.refresh_token.as_ref().map(|token| token.expose().clone());
    assert!(refresh.as_deref() != Some(""), "a refresh token of nothing");
    if let Some(resource) = &token.resource_url
        && let Ok(url) = base_url_from_resource(resource, &["*.qwen.ai"])
    {
        assert_eq!(url.scheme(), "https", "{resource:?}");
        let host = url.host_str().unwrap_or_default();
        assert!(host == "qwen.ai" || host.ends_with(".qwen.ai"), "{resource:?}");
        assert!(
            url.username().is_empty() && url.password().is_none(),
            "{resource:?}"
        );
    }
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let credential = Credential::from_response(token, now);
    assert!(!credential.is_expired(now));
    let Ok(again) = TokenResponse::parse(&response) else {
        panic!("an answer is read once and refused the next time");
    };
    let renewed = credential.refreshed(again, now);
    assert!(renewed == credential, "{renewed:?} and {credential:?}");
}

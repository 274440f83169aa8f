//! What a client is told where the server, the way to it or the credential is at fault.

use std::time::Duration;

use hyper::StatusCode;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Error;
use qwen_shared::net::chat::{Asked, ErrorKind, Refusal as ServerRefusal};
use qwen_shared::net::http::{HttpError, Phase};
use qwen_shared::output::hint_for_profile;

use super::State;
use super::question::Question;
use super::refusal::Refusal;

/// After what time it is worth trying again where a renewal failed that may succeed.
const RETRY_RENEWAL: Duration = Duration::from_secs(5);

/// True for a refusal that is not passed on: the client can do nothing about the credential, and follows no redirect past the
/// proxy.
pub(super) fn is_replaced(refusal: &ServerRefusal) -> bool {
    refusal.verdict.is_about_credential() || (300..400).contains(&refusal.status)
}

/// Makes the proxy's own error of one of a call.
pub(super) async fn refusal_of(state: &State, error: Error, question: &Question<'_>) -> Refusal {
    match error {
        Error::Stopped => paced(question.pace.unwrap_or_default()),
        Error::Http(error) => of_http(state, error),
        Error::Failed(failure) => of_failure(state, &failure),
        Error::Refused(refusal) if refusal.verdict.kind == ErrorKind::Auth => {
            if !question.is_kept()
                && let Ok(true) = state.client.renew_refused(&state.client.endpoint()).await
            {
                return Refusal::unavailable(
                    "credential_renewed",
                    "the credential was refused and has been renewed; the request can be sent again",
                )
                .worth_a_retry();
            }
            let failure = state.client.failure(Error::Refused(refusal), Asked::Other);
            login_required(state, &failure)
        }
        error => {
            let failure = state.client.failure(error, Asked::Other);
            Refusal::upstream(
                StatusCode::BAD_GATEWAY,
                "upstream_redirect",
                spoken(state, &failure),
            )
        }
    }
}

/// Makes the proxy's own error of a fault of the connection to the server.
pub(super) fn of_http(state: &State, error: HttpError) -> Refusal {
    let (status, code, is_passing) = match &error {
        HttpError::Timeout(Phase::Connect, _) | HttpError::Connect(_) | HttpError::TooManyFiles(_) => {
            (StatusCode::BAD_GATEWAY, "upstream_unreachable", true)
        }
        HttpError::Timeout(Phase::Upload, _) => (StatusCode::REQUEST_TIMEOUT, "body_stalled", false),
        HttpError::Timeout(..) => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout", false),
        HttpError::Reset(_) | HttpError::Cut(_) => (StatusCode::BAD_GATEWAY, "upstream_closed", true),
        HttpError::ProxyRefused { .. } | HttpError::WrongScheme { .. } | HttpError::Tls { .. } => {
            (StatusCode::BAD_GATEWAY, "upstream_unreachable", false)
        }
        HttpError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_request", false),
        _ => (StatusCode::BAD_GATEWAY, "upstream_invalid", false),
    };
    let failure = state.client.plain_failure(error.into(), Asked::Other);
    let refusal = Refusal::upstream(status, code, spoken(state, &failure));
    if is_passing {
        refusal.worth_a_retry()
    } else {
        refusal
    }
}

/// Makes the proxy's own error of what is no fault of the server: the credential, the quota, a setting.
fn of_failure(state: &State, failure: &Failure) -> Refusal {
    let text = state.client.redacted(spoken(state, failure));
    match failure.exit {
        Exit::NoAuth => login_required(state, failure),
        Exit::Unavailable => Refusal::too_many("insufficient_quota", text).renews_after(until_midnight()),
        Exit::TryAgain => Refusal::unavailable("credential_unavailable", text).retry_after(RETRY_RENEWAL),
        Exit::Data => Refusal::bad_request("invalid_request", text),
        _ => Refusal::request(StatusCode::INTERNAL_SERVER_ERROR, "configuration", text),
    }
}

/// The day of a quota is that of UTC.
fn until_midnight() -> Duration {
    const DAY: u64 = 24 * 3600;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Duration::from_secs(DAY - now.unwrap_or_default().as_secs() % DAY)
}

fn paced(wait: Duration) -> Refusal {
    Refusal::too_many(
        "rate_limited",
        "the quota that all processes share is used up for the moment",
    )
    .retry_after(wait)
}

fn login_required(state: &State, failure: &Failure) -> Refusal {
    Refusal::unauthorized("login_required", spoken(state, failure))
}

/// Returns a failure with its hints, on one line.
fn spoken(state: &State, failure: &Failure) -> String {
    let endpoint = state.client.endpoint();
    let profile = endpoint.settings().chosen_profile();
    let hints = failure
        .hints
        .iter()
        .map(|hint| hint_for_profile(&hint.0, profile));
    std::iter::once(failure.message.clone())
        .chain(hints)
        .collect::<Vec<_>>()
        .join("; ")
}

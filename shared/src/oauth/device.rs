//! The device authorization request (RFC 8628, sections 3.1 and 3.2).

use std::io;
use std::time::Duration;

use serde_json::{Map, Value};

use super::endpoints::{Endpoints, PublicClient};
use super::error::OauthError;
use super::form::Form;
use super::pkce::{Pkce, request_id};
use super::token::seconds;
use super::verification::VerificationUri;
use super::{Answer, Transport};
use crate::secret::Secret;
use crate::text::is_hostile;

/// The interval where the server says none (RFC 8628, section 3.2).
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest interval that is kept to: below it a loop would be busy.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest interval that is believed. What a server asks for in earnest is kept to (RFC 8628, section 3.5); past this
/// a code would expire between two polls.
const LONGEST_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// The longest lifetime of a code that is believed.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest `user_code` that a person could be asked to type, in characters.
const LONGEST_CODE: usize = 64;

/// What is new in every login: the PKCE proof key, and the id that names its device request in the server's log.
#[derive(Debug)]
pub struct Attempt {
    pub(super) pkce: Option<Pkce>,
    request_id: String,
}

impl Attempt {
    /// Begins a login for `client`.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub fn begin(client: &PublicClient) -> io::Result<Self> {
        Ok(Self {
            pkce: client.pkce.then(Pkce::generate).transpose()?,
            request_id: request_id()?,
        })
    }
}

/// The answer to a device authorization request: what a person has to do, and what to poll with.
#[derive(Debug)]
pub struct DeviceAuthorization {
    /// What the token endpoint is polled with.
    pub device_code: Secret<String>,
    /// What the person compares or types: shown exactly as it is (RFC 8628, section 6.1). It holds no control, escape
    /// or bidirectional character.
    pub user_code: String,
    /// Where the person goes. Always shown.
    pub verification_uri: VerificationUri,
    /// The same with the code in it: for the browser and the QR code only. `None` where the server has none, or one
    /// that is not fit to be opened or is on another host than the one that the person is told to look for; the login
    /// works without it (RFC 8628, section 3.3.1).
    pub verification_uri_complete: Option<VerificationUri>,
    /// The lifetime of both codes; a day at most.
    pub expires_in: Duration,
    /// The least time between two polls: five seconds where the server says none, otherwise between one second and
    /// five minutes.
    pub interval: Duration,
}

impl DeviceAuthorization {
    /// Asks the server for a pair of codes.
    ///
    /// # Errors
    /// As [`DeviceAuthorization::parse`], and [`OauthError::Http`] without an answer.
    pub fn request(
        transport: &dyn Transport,
        endpoints: &Endpoints,
        client: &PublicClient,
        attempt: &Attempt,
    ) -> Result<Self, OauthError> {
        let challenge = attempt.pkce.as_ref().map(Pkce::challenge);
        let form = Form::default()
            .field("client_id", &client.client_id)
            .optional("scope", client.asked_scope())
            .optional("code_challenge", challenge.as_deref())
            .optional("code_challenge_method", challenge.as_ref().map(|_| "S256"));
        let headers = [("x-request-id", attempt.request_id.as_str())];
        let answer = transport
            .post_form(&endpoints.device_authorization_endpoint, &headers, form.as_str())
            .map_err(OauthError::Http)?;
        Self::parse(&answer)
    }

    /// Reads the server's answer. Members that we do not know are ignored.
    ///
    /// # Errors
    /// [`OauthError::Refused`] and [`OauthError::Unwell`] as the server says; [`OauthError::Malformed`] when a member
    /// that RFC 8628 requires is missing, of another type, or not fit to be shown.
    pub fn parse(answer: &Answer) -> Result<Self, OauthError> {
        if !(200..300).contains(&answer.status) {
            return Err(OauthError::from_answer(answer));
        }
        let members: Map<String, Value> = serde_json::from_slice(&answer.body)
            .map_err(|_| OauthError::Malformed("a body that is no JSON object".to_owned()))?;
        if !members.contains_key("device_code") && members.contains_key("error") {
            return Err(OauthError::from_answer(answer));
        }
        let uri = |name: &str, text: &str| {
            VerificationUri::parse(text)
                .map_err(|reason| OauthError::Malformed(format!("'{name}' cannot be shown: {reason}")))
        };
        let verification_uri = uri("verification_uri", verification_uri(&members)?)?;
        Ok(Self {
            device_code: Secret::new(required(&members, "device_code")?.to_owned()),
            user_code: user_code(&members)?,
            verification_uri_complete: members
                .get("verification_uri_complete")
                .and_then(Value::as_str)
                .and_then(|text| VerificationUri::parse(text).ok())
                .filter(|complete| complete.host() == verification_uri.host()),
            verification_uri,
            expires_in: expires_in(&members)?,
            interval: interval(&members),
        })
    }
}

fn required<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, OauthError> {
    match members.get(name) {
        None | Some(Value::Null) => Err(OauthError::Malformed(format!("no '{name}'"))),
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(OauthError::Malformed(format!("'{name}' is not a text"))),
    }
}

/// Reads the address; Google's server calls it by the name that an early draft of RFC 8628 gave it.
fn verification_uri(members: &Map<String, Value>) -> Result<&str, OauthError> {
    required(members, "verification_uri")
        .or_else(|error| required(members, "verification_url").map_err(|_| error))
}

/// Reads the code that a person compares. Stripping a character would show another code, so a code with one that
/// cannot be shown is refused.
fn user_code(members: &Map<String, Value>) -> Result<String, OauthError> {
    let code = required(members, "user_code")?;
    if code.chars().any(is_hostile) {
        return Err(OauthError::Malformed(
            "'user_code' holds control characters".to_owned(),
        ));
    }
    if code.trim().is_empty() || code.chars().count() > LONGEST_CODE {
        return Err(OauthError::Malformed(
            "'user_code' is blank or too long for a person".to_owned(),
        ));
    }
    Ok(code.to_owned())
}

fn expires_in(members: &Map<String, Value>) -> Result<Duration, OauthError> {
    match members.get("expires_in") {
        None | Some(Value::Null) => Err(OauthError::Malformed("no 'expires_in'".to_owned())),
        Some(value) => seconds(value)
            .map(|time| time.min(LONGEST_LIFE))
            .ok_or_else(|| OauthError::Malformed("'expires_in' is not a number of seconds".to_owned())),
    }
}

/// A number below one is raised to the shortest interval; what is no number is as good as absent.
fn interval(members: &Map<String, Value>) -> Duration {
    let Some(value) = members.get("interval") else {
        return DEFAULT_INTERVAL;
    };
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number
        .filter(|seconds: &f64| !seconds.is_nan())
        .map_or(DEFAULT_INTERVAL, |seconds| {
            let (least, most) = (SHORTEST_INTERVAL.as_secs_f64(), LONGEST_INTERVAL.as_secs_f64());
            Duration::from_secs_f64(seconds.clamp(least, most))
        })
}

#[cfg(test)]
mod tests;

//! Polling the token endpoint until a person has decided (RFC 8628, sections 3.4 and 3.5).

use std::time::Duration;

use oauth2::DeviceCodeErrorResponseType;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NoSuchCode;
use serde_json::Value;

use super::device::{Attempt, DeviceAuthorization};
use super::endpoints::{Endpoints, PublicClient};
use super::error::OauthError;
use super::form::Form;
use super::pkce::Pkce;
use super::rhythm::{PollOutcome, Rhythm};
use super::token::TokenResponse;
use super::{Answer, Clock, Transport};
use crate::http::HttpError;

/// The longest time that passes between two reports of the time that is left.
const TICK: Duration = Duration::from_secs(1);

/// What came of one poll.
#[derive(Debug)]
enum Polled {
    Token(Box<TokenResponse>),
    Again(PollOutcome),
    Trouble(OauthError, Option<Duration>),
    Ended(OauthError),
}

/// What happens while a person decides.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Time passes: so much is left until the code expires.
    Waiting(Duration),
    /// The server asked for fewer polls: this is the interval from now on.
    Slower(Duration),
    /// A poll got no answer, or a bad one; polling goes on after this wait.
    Trouble(&'a OauthError, Duration),
}

/// One login in the making: what to poll with, and until when.
///
/// One poll is under way at a time: a server takes a second use of a device code for theft and revokes what it has
/// just issued.
pub struct Exchange<'a> {
    transport: &'a dyn Transport,
    clock: &'a dyn Clock,
    endpoints: &'a Endpoints,
    form: Form,
    rhythm: Rhythm,
    deadline: Duration,
}

impl<'a> Exchange<'a> {
    /// Begins when the device authorization has come: its time runs from now.
    #[must_use]
    pub fn new(
        transport: &'a dyn Transport,
        clock: &'a dyn Clock,
        endpoints: &'a Endpoints,
        client: &PublicClient,
        attempt: &Attempt,
        device: &DeviceAuthorization,
    ) -> Self {
        let form = Form::default()
            .field("grant_type", "urn:ietf:params:oauth:grant-type:device_code")
            .field("client_id", &client.client_id)
            .field("device_code", device.device_code.expose())
            .optional(
                "code_verifier",
                attempt.pkce.as_ref().map(Pkce::verifier).map(String::as_str),
            );
        Self {
            transport,
            clock,
            endpoints,
            form,
            rhythm: Rhythm::new(device.interval),
            deadline: clock.now().saturating_add(device.expires_in),
        }
    }

    /// Polls until there is a token or an end, reporting progress at least every second.
    ///
    /// The first poll comes after one interval: nobody approves in less, and some servers hold it against the client.
    ///
    /// # Errors
    /// [`OauthError::Refused`] when the person or the server says no, [`OauthError::Expired`] when the time runs out,
    /// [`OauthError::Malformed`] for an answer that is none. When the time runs out while the server cannot be
    /// reached, the last such error: logging in again would not help before that is mended.
    pub fn wait(mut self, report: &mut dyn FnMut(Progress<'_>)) -> Result<TokenResponse, OauthError> {
        let mut wait = self.rhythm.interval();
        let mut trouble = None;
        loop {
            if !self.pause(wait, report) {
                return Err(trouble.unwrap_or(OauthError::Expired));
            }
            trouble = None;
            match self.poll() {
                Polled::Token(token) => return Ok(*token),
                Polled::Ended(error) => return Err(error),
                Polled::Again(outcome) => {
                    wait = self.rhythm.next_poll(outcome);
                    if outcome == PollOutcome::SlowDown {
                        report(Progress::Slower(wait));
                    }
                }
                Polled::Trouble(error, retry_after) => {
                    wait = self.rhythm.next_poll(PollOutcome::Unreachable { retry_after });
                    report(Progress::Trouble(&error, wait));
                    trouble = Some(error);
                }
            }
        }
    }

    /// Lets `wait` pass; false when the code expires before.
    ///
    /// The clock is asked after every second, so that a machine that was suspended does not wait for time that has
    /// passed already.
    fn pause(&self, wait: Duration, report: &mut dyn FnMut(Progress<'_>)) -> bool {
        let until = self.clock.now().saturating_add(wait);
        loop {
            let now = self.clock.now();
            let left = self.deadline.saturating_sub(now);
            if left.is_zero() {
                return false;
            }
            if now >= until {
                return true;
            }
            report(Progress::Waiting(left));
            self.clock.sleep((until - now).min(left).min(TICK));
        }
    }

    fn poll(&self) -> Polled {
        let answer = self
            .transport
            .post_form(&self.endpoints.token_endpoint, &[], self.form.as_str());
        match answer {
            Ok(answer) => read(&answer),
            Err(error) if may_pass(&error) => Polled::Trouble(OauthError::Http(error), None),
            Err(error) => Polled::Ended(OauthError::Http(error)),
        }
    }
}

/// True for a fault on the way that may be gone at the next poll. A certificate that is refused is refused again, and
/// no token has a megabyte.
const fn may_pass(error: &HttpError) -> bool {
    !matches!(
        error,
        HttpError::Tls { .. } | HttpError::ProxyAuth | HttpError::Invalid(_) | HttpError::TooLarge(_)
    )
}

fn read(answer: &Answer) -> Polled {
    if is_qwen_pending(answer) {
        return Polled::Again(PollOutcome::Pending);
    }
    match TokenResponse::parse(answer) {
        Ok(token) => Polled::Token(Box::new(token)),
        Err(OauthError::Refused {
            status,
            code,
            description,
        }) => match decision(&code) {
            Some(DeviceCodeErrorResponseType::AuthorizationPending) => Polled::Again(PollOutcome::Pending),
            Some(DeviceCodeErrorResponseType::SlowDown) => Polled::Again(PollOutcome::SlowDown),
            Some(DeviceCodeErrorResponseType::ExpiredToken) => Polled::Ended(OauthError::Expired),
            _ => Polled::Ended(OauthError::Refused {
                status,
                code,
                description,
            }),
        },
        Err(error @ OauthError::Unwell { retry_after, .. }) => Polled::Trouble(error, retry_after),
        Err(error) => Polled::Ended(error),
    }
}

fn decision(code: &str) -> Option<DeviceCodeErrorResponseType> {
    let code: serde::de::value::StrDeserializer<'_, NoSuchCode> = code.into_deserializer();
    DeviceCodeErrorResponseType::deserialize(code).ok()
}

/// Qwen's server may say on status 200 that the person has not decided yet.
fn is_qwen_pending(answer: &Answer) -> bool {
    answer.status == 200
        && serde_json::from_slice::<Value>(&answer.body).is_ok_and(|body| {
            body["status"] == "pending" && body["access_token"].as_str().is_none_or(str::is_empty)
        })
}

#[cfg(test)]
mod tests;

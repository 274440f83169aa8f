//! The device authorization request and its answer (RFC 8628 §3.1, §3.2), with PKCE (RFC 7636).

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use qwen_shared::net::oauth::Form;
use qwen_shared::net::oauth::seconds;
use qwen_shared::net::oauth::{Answer, Endpoints, OauthError, PublicClient, Transport};
use qwen_shared::secret::Secret;
use qwen_shared::text::is_hostile;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::verification::VerificationUri;

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
pub(crate) struct Attempt {
    pub(super) pkce: Option<Pkce>,
    request_id: String,
}

impl Attempt {
    /// Begins a login for `client`.
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(crate) fn begin(client: &PublicClient) -> io::Result<Self> {
        Ok(Self {
            pkce: client.pkce.then(Pkce::generate).transpose()?,
            request_id: request_id()?,
        })
    }
}

/// The answer to a device authorization request: what a person has to do, and what to poll with.
#[derive(Debug)]
pub(crate) struct DeviceAuthorization {
    /// What the token endpoint is polled with.
    pub(crate) device_code: Secret<String>,
    /// What the person compares or types: shown exactly as it is (RFC 8628, section 6.1). It holds no control, escape
    /// or bidirectional character.
    pub(crate) user_code: String,
    /// Where the person goes. Always shown.
    pub(crate) verification_uri: VerificationUri,
    /// The same with the code in it: for the browser and the QR code only. `None` where the server has none, or one
    /// that is not fit to be opened or is on another host than the one that the person is told to look for; the login
    /// works without it (RFC 8628, section 3.3.1).
    pub(crate) verification_uri_complete: Option<VerificationUri>,
    /// The lifetime of both codes; a day at most.
    pub(crate) expires_in: Duration,
    /// The least time between two polls: five seconds where the server says none, otherwise between one second and
    /// five minutes.
    pub(crate) interval: Duration,
}

impl DeviceAuthorization {
    /// Asks the server for a pair of codes.
    ///
    /// # Errors
    /// As [`DeviceAuthorization::parse`], and [`OauthError::Http`] without an answer.
    pub(crate) fn request(
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
    pub(crate) fn parse(answer: &Answer) -> Result<Self, OauthError> {
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

/// Returns `N` bytes of the operating system's randomness.
fn random<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes)
}

/// A proof key: the verifier stays here until the token request, the challenge goes ahead with the device request.
///
/// The method is S256 and nothing else; there is no way back to `plain` (RFC 7636, section 7.2). Debug shows neither
/// half of it.
#[derive(Debug)]
pub(super) struct Pkce(PkceCodeVerifier);

impl Pkce {
    /// Makes a proof key of 32 random bytes, which are 43 characters of unpadded base64url (RFC 7636, section 4.1).
    ///
    /// # Errors
    /// When the operating system gives no randomness.
    pub(super) fn generate() -> io::Result<Self> {
        let bytes = random::<32>()?;
        Ok(Self(PkceCodeVerifier::new(
            URL_SAFE_NO_PAD.encode(bytes.as_slice()),
        )))
    }

    /// Returns the challenge by S256 (RFC 7636, section 4.2).
    pub(super) fn challenge(&self) -> String {
        PkceCodeChallenge::from_code_verifier_sha256(&self.0)
            .as_str()
            .to_owned()
    }

    /// Returns the verifier, which goes into token requests only.
    pub(super) fn verifier(&self) -> &String {
        self.0.secret()
    }
}

/// Returns a random UUID, version 4 (RFC 9562, section 5.4), in its usual lower-case form.
pub(super) fn request_id() -> io::Result<String> {
    let mut bytes = *random::<16>()?;
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod pkce_tests {
    use oauth2::PkceCodeVerifier;

    use super::Pkce;
    use super::request_id;

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let pkce = Pkce(PkceCodeVerifier::new(
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
        ));
        assert_eq!(pkce.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_verifier_is_unreserved_long_and_new_every_time() {
        let (one, other) = (Pkce::generate().unwrap(), Pkce::generate().unwrap());
        assert_ne!(one.verifier(), other.verifier());
        assert_eq!(one.verifier().len(), 43);
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        assert!(one.verifier().chars().all(unreserved));
        assert!(!format!("{one:?}").contains(one.verifier().as_str()));
    }

    #[test]
    fn a_request_id_is_a_random_uuid() {
        let id = request_id().unwrap();
        assert_ne!(id, request_id().unwrap());
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "4");
        assert!("89ab".contains(&id[19..20]));
        assert!(id.chars().all(|c| c == '-' || matches!(c, '0'..='9' | 'a'..='f')));
    }
}

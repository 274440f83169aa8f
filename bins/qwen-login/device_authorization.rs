//! The device authorization request and its response (RFC 8628, sections 3.1 and 3.2).

use std::time::Duration;

use qwen_shared::net::oauth::{Form, HttpResponse, OauthError, PublicClient, Transport, object, seconds};
use qwen_shared::secret::Secret;
use qwen_shared::text::is_hostile;
use serde_json::{Map, Value};
use url::Url;

use crate::pkce::CodeVerifier;
use crate::verification_uri::VerificationUri;

/// RFC 8628, section 3.2.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// A code would expire between two polls that are further apart.
const MAX_INTERVAL: Duration = Duration::from_secs(5 * 60);
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The most characters of a `user_code` that a person could be asked to type.
const MAX_USER_CODE: usize = 64;

/// The response to a device authorization request.
#[derive(Debug)]
pub(crate) struct DeviceAuthorization {
    pub(crate) device_code: Secret<String>,
    /// To be shown unchanged (RFC 8628, section 6.1). It has no control, escape or bidirectional characters.
    pub(crate) user_code: String,
    pub(crate) verification_uri: VerificationUri,
    /// The address with the code in it. `None` also if it is not safe to open or on another host: the login works
    /// without it (RFC 8628, section 3.3.1).
    pub(crate) verification_uri_complete: Option<VerificationUri>,
    /// The lifetime of both codes, up to a day.
    pub(crate) expires_in: Duration,
    /// The least time between two polls: from one second to five minutes, by default five seconds.
    pub(crate) interval: Duration,
}

impl DeviceAuthorization {
    /// Requests a device code and a user code. `request_id` identifies the request in the server's log; `allow_http` is for the
    /// page that is shown.
    ///
    /// # Errors
    /// As [`DeviceAuthorization::parse`], and [`OauthError::Http`].
    pub(crate) fn request(
        transport: &dyn Transport,
        endpoint: &Url,
        client: &PublicClient,
        verifier: Option<&CodeVerifier>,
        request_id: &str,
        allow_http: bool,
    ) -> Result<Self, OauthError> {
        let challenge = verifier.map(CodeVerifier::challenge);
        let form = Form::default()
            .field("client_id", &client.client_id)
            .optional("scope", client.scope.as_deref())
            .fields(&client.parameters)
            .optional("code_challenge", challenge.as_deref())
            .optional("code_challenge_method", challenge.as_ref().map(|_| "S256"));
        let headers = [("x-request-id", request_id)];
        let response = transport
            .post_form(endpoint, &headers, form.as_str())
            .map_err(OauthError::Http)?;
        Self::parse(&response, allow_http)
    }

    /// Parses the response. Unknown members are ignored.
    ///
    /// # Errors
    /// The server's error; [`OauthError::Malformed`] when a required member is missing, of another type, or not safe
    /// to show.
    pub(crate) fn parse(response: &HttpResponse, allow_http: bool) -> Result<Self, OauthError> {
        let members = object(response, "device_code")?;
        let verification_uri =
            VerificationUri::parse(verification_uri(&members)?, allow_http).map_err(|reason| {
                OauthError::Malformed(format!("'verification_uri' cannot be shown: {reason}"))
            })?;
        // The one may be plain http where the other is.
        let may_be_plain = verification_uri.is_plain_http();
        Ok(Self {
            device_code: Secret::new(required(&members, "device_code")?.to_owned()),
            user_code: user_code(&members)?,
            verification_uri_complete: members
                .get("verification_uri_complete")
                .and_then(Value::as_str)
                .and_then(|text| VerificationUri::parse(text, may_be_plain).ok())
                .filter(|complete| complete.host() == verification_uri.host()),
            verification_uri,
            expires_in: expires_in(&members)?,
            interval: interval(&members).unwrap_or(DEFAULT_INTERVAL),
        })
    }
}

fn required<'a>(members: &'a Map<String, Value>, name: &str) -> Result<&'a str, OauthError> {
    match members.get(name) {
        None | Some(Value::Null) => Err(OauthError::Malformed(format!("no '{name}'"))),
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(_) => Err(OauthError::Malformed(format!("'{name}' is not a string"))),
    }
}

/// Google's server sends it by the name that it had in a draft of RFC 8628.
fn verification_uri(members: &Map<String, Value>) -> Result<&str, OauthError> {
    required(members, "verification_uri")
        .or_else(|error| required(members, "verification_url").map_err(|_| error))
}

/// Rejects a code with characters that cannot be shown: without them it would be another code.
fn user_code(members: &Map<String, Value>) -> Result<String, OauthError> {
    let code = required(members, "user_code")?;
    if code.chars().any(is_hostile) {
        return Err(OauthError::Malformed(
            "'user_code' holds control characters".to_owned(),
        ));
    }
    if code.trim().is_empty() || code.chars().count() > MAX_USER_CODE {
        return Err(OauthError::Malformed(
            "'user_code' is blank or too long for a person".to_owned(),
        ));
    }
    Ok(code.to_owned())
}

fn expires_in(members: &Map<String, Value>) -> Result<Duration, OauthError> {
    match members.get("expires_in") {
        None | Some(Value::Null) => Err(OauthError::Malformed("no 'expires_in'".to_owned())),
        Some(value) => seconds(value).map(|time| time.min(MAX_LIFETIME)).ok_or_else(|| {
            OauthError::Malformed(match value.as_f64() {
                Some(_) => format!("'expires_in' is {value}: the code has expired already"),
                None => "'expires_in' is not a number of seconds".to_owned(),
            })
        }),
    }
}

/// Returns the `interval` of a response, from one second to five minutes; `None` where it is not a number.
pub(crate) fn interval(members: &Map<String, Value>) -> Option<Duration> {
    let number = match members.get("interval")? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let (min, max) = (MIN_INTERVAL.as_secs_f64(), MAX_INTERVAL.as_secs_f64());
    number
        .filter(|seconds: &f64| !seconds.is_nan())
        .map(|seconds| Duration::from_secs_f64(seconds.clamp(min, max)))
}

#[cfg(test)]
mod tests {
    use qwen_shared::net::oauth::{HttpResponse, OauthError};
    use serde_json::{Value, json};

    use super::DeviceAuthorization;

    fn parse(body: &Value) -> Result<DeviceAuthorization, OauthError> {
        let response = HttpResponse {
            status: 200,
            retry_after: None,
            date: None,
            body: body.to_string().into_bytes(),
        };
        DeviceAuthorization::parse(&response, false)
    }

    fn sound() -> Value {
        json!({"device_code": "canary-dc", "user_code": "WDJB-MJHT", "verification_uri": "https://e.example/device",
               "verification_uri_complete": "https://e.example/device?user_code=WDJB-MJHT", "expires_in": 1800,
               "interval": 7})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut body = sound();
        body[name] = value;
        body
    }

    #[test]
    fn a_complete_response_is_parsed() {
        let device = parse(&sound()).unwrap();
        assert_eq!(device.user_code, "WDJB-MJHT");
        assert_eq!(device.verification_uri.as_str(), "https://e.example/device");
        assert_eq!(
            (device.expires_in.as_secs(), device.interval.as_secs()),
            (1800, 7)
        );
        assert!(!format!("{device:?}").contains("canary"));
    }

    #[test]
    fn required_members_must_be_there_and_of_their_type() {
        for name in ["device_code", "user_code", "verification_uri", "expires_in"] {
            let mut missing = sound();
            missing.as_object_mut().unwrap().shift_remove(name);
            for body in [
                missing,
                with(name, Value::Null),
                with(name, json!({})),
                with(name, json!("")),
            ] {
                let error = parse(&body).unwrap_err();
                assert!(
                    matches!(&error, OauthError::Malformed(reason) if reason.contains(name)),
                    "{error} for {body}"
                );
            }
        }
        for (name, value) in [
            ("device_code", json!(5)),
            ("user_code", json!(12345)),
            ("verification_uri", json!(true)),
        ] {
            assert!(parse(&with(name, value)).is_err());
        }
    }

    #[test]
    fn the_drafts_name_of_the_address_is_read_too() {
        let mut body = with("verification_uri", Value::Null);
        body["verification_url"] = json!("https://g.example/device");
        assert_eq!(
            parse(&body).unwrap().verification_uri.as_str(),
            "https://g.example/device"
        );
    }

    #[test]
    fn lifetimes_are_read_from_numbers_and_bounded() {
        for (given, understood) in [
            (json!(60), Some(60)),
            (json!("60"), Some(60)),
            (json!(60.5), Some(60)),
            (json!(1e99), Some(86_400)),
            (json!(0), None),
            (json!(-5), None),
            (json!("soon"), None),
            (json!([]), None),
        ] {
            let life = parse(&with("expires_in", given.clone()))
                .ok()
                .map(|device| device.expires_in.as_secs());
            assert_eq!(life, understood, "{given}");
        }
    }

    #[test]
    fn intervals_are_five_seconds_by_default_and_clamped() {
        for (given, understood) in [
            (json!(null), 5.0),
            (json!("x"), 5.0),
            (json!([]), 5.0),
            (json!("3"), 3.0),
            (json!(2.5), 2.5),
            (json!(0), 1.0),
            (json!(-9), 1.0),
            (json!(0.01), 1.0),
            (json!(120), 120.0),
            (json!(86_400), 300.0),
            (json!(1e300), 300.0),
        ] {
            let interval = parse(&with("interval", given.clone()))
                .unwrap()
                .interval
                .as_secs_f64();
            assert!((interval - understood).abs() < 1e-9, "{given} gives {interval}");
        }
        let mut body = sound();
        body.as_object_mut().unwrap().shift_remove("interval");
        assert_eq!(parse(&body).unwrap().interval.as_secs(), 5);
    }

    #[test]
    fn codes_that_cannot_be_shown_as_given_are_refused() {
        for code in [
            "\u{1b}[31mA",
            "A\rB",
            "A\u{202e}B",
            "A\u{200b}B",
            "\u{7}",
            "A\u{9b}1m",
            "   ",
            &"x".repeat(65),
        ] {
            assert!(parse(&with("user_code", json!(code))).is_err(), "{code:?}");
        }
        for code in ["abc def", "ÄÖ-12", "0", "--help"] {
            assert_eq!(parse(&with("user_code", json!(code))).unwrap().user_code, code);
        }
    }

    #[test]
    fn a_hostile_address_is_refused_and_a_hostile_complete_one_left_out() {
        for hostile in [
            "file:///etc/passwd",
            "javascript:x",
            "-x",
            "http://e.example/",
            "https://e.example/\u{1b}[0m",
        ] {
            assert!(
                parse(&with("verification_uri", json!(hostile))).is_err(),
                "{hostile:?}"
            );
            let device = parse(&with("verification_uri_complete", json!(hostile))).unwrap();
            assert!(device.verification_uri_complete.is_none(), "{hostile:?}");
        }
    }

    #[test]
    fn a_complete_address_is_on_the_host_that_the_person_is_told_to_look_for() {
        for (complete, kept) in [
            ("https://e.example/x?user_code=WDJB-MJHT", true),
            ("https://E.EXAMPLE:443/x", true),
            ("https://e.example:8443/x", false),
            ("https://login.e.example/x", false),
            ("https://e.example.evil.example/x", false),
        ] {
            let device = parse(&with("verification_uri_complete", json!(complete))).unwrap();
            assert_eq!(device.verification_uri_complete.is_some(), kept, "{complete}");
        }
    }
}

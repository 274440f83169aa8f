//! Token responses (RFC 6749, section 5.1).

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::body::members;
use super::error::OauthError;
use super::transport::HttpResponse;
use crate::net::wait::Wait;
use crate::secret::Secret;
use crate::text::clip;

/// The longest lifetime that is believed, ten years: sums of times never overflow.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// A successful response of the token endpoint.
pub struct TokenResponse {
    /// Visible ASCII.
    pub access_token: Secret<String>,
    /// `None` means that the old one stays valid (RFC 6749, section 6). Anything but a text that is not empty is none: servers
    /// write `false` and `null` too.
    pub refresh_token: Option<Secret<String>>,
    /// `Bearer`, in the server's case.
    pub token_type: String,
    /// Up to ten years; `None` when the server sent none, or nothing above zero.
    pub expires_in: Option<Duration>,
    /// The granted scope.
    pub scope: Option<String>,
    /// True when there was an `id_token`, which nothing here needs.
    pub has_id_token: bool,
    /// Qwen's own member: the host of the API. Untrusted; see [`super::base_url_from_resource`].
    pub resource_url: Option<String>,
    /// Unknown members, except `id_token`, which is a secret that nothing here needs.
    pub extra: Map<String, Value>,
}

impl TokenResponse {
    /// Parses a response of the token endpoint.
    ///
    /// # Errors
    /// The server's error, also if it comes with status 200; [`OauthError::Malformed`] for anything that is neither a
    /// token nor an error.
    pub fn parse(response: &HttpResponse) -> Result<Self, OauthError> {
        let mut members = object(response, "access_token")?;
        let access_token = Secret::new(string(&mut members, "access_token")?.unwrap_or_default());
        if access_token.expose().is_empty() {
            return Err(OauthError::Malformed("no 'access_token'".to_owned()));
        }
        if !access_token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OauthError::Malformed(
                "'access_token' has characters other than visible ASCII".to_owned(),
            ));
        }
        let token_type = string(&mut members, "token_type")?.unwrap_or_else(|| "Bearer".to_owned());
        if !token_type.eq_ignore_ascii_case("bearer") {
            let shown = clip(&token_type, 40);
            return Err(OauthError::Malformed(format!("unknown 'token_type': '{shown}'")));
        }
        let refresh_token = string(&mut members, "refresh_token").unwrap_or_default();
        let expires_in = members
            .shift_remove("expires_in")
            .and_then(|value| lifetime(&value, SystemTime::now()));
        let id_token = string(&mut members, "id_token").map(|token| token.map(Secret::new));
        Ok(Self {
            has_id_token: id_token.is_ok_and(|token| token.is_some()),
            access_token,
            refresh_token: refresh_token.map(Secret::new),
            token_type,
            expires_in,
            scope: scope(&mut members),
            resource_url: string(&mut members, "resource_url").unwrap_or_default(),
            extra: members,
        })
    }
}

/// Shows of the unknown members only their names.
impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenResponse")
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("token_type", &self.token_type)
            .field("expires_in", &self.expires_in)
            .field("scope", &self.scope)
            .field("resource_url", &self.resource_url)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// Parses the object of a successful response: see [`members`].
///
/// # Errors
/// As [`OauthError::from_response`] for another status, and for an `error` with status 200 in the place of the string
/// `required`; [`OauthError::Elsewhere`] for a page, and [`OauthError::Malformed`] for anything else that is not an object.
pub fn object(response: &HttpResponse, required: &str) -> Result<Map<String, Value>, OauthError> {
    if !(200..300).contains(&response.status) {
        return Err(OauthError::from_response(response));
    }
    let members = members(&response.body).ok_or_else(|| OauthError::without_members("the body", response))?;
    if !members.get(required).is_some_and(Value::is_string) && members.contains_key("error") {
        return Err(OauthError::from_response(response));
    }
    Ok(members)
}

/// Removes a member that must be a string; `None` if it is absent, null or empty.
fn string(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, OauthError> {
    match members.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(_) => Err(OauthError::Malformed(format!("'{name}' is not a string"))),
    }
}

/// Removes the scope, which some servers send as a list.
fn scope(members: &mut Map<String, Value>) -> Option<String> {
    match members.get("scope") {
        Some(Value::Array(list)) => {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            let scope = words.join(" ");
            members.shift_remove("scope");
            Some(scope).filter(|scope| !scope.is_empty())
        }
        _ => string(members, "scope").unwrap_or_default(),
    }
}

/// Reads how long a token is good: a number of seconds, or the moment of its end where servers mistake the one for the other.
fn lifetime(value: &Value, now: SystemTime) -> Option<Duration> {
    let time = match value {
        Value::Number(number) => Wait::parse(&number.to_string()),
        Value::String(text) => Wait::parse(text),
        _ => None,
    };
    let seconds = time?.from(now).as_secs();
    (seconds > 0).then(|| Duration::from_secs(seconds).min(MAX_LIFETIME))
}

/// Reads a number of seconds, which may be a string; fractions are dropped. `None` below one and for anything else.
pub fn seconds(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if !seconds.is_finite() || seconds < 1.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.floor()).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use serde_json::json;

    use super::MAX_LIFETIME;
    use super::TokenResponse;
    use crate::net::oauth::HttpResponse;
    use crate::net::oauth::error::OauthError;

    fn parse(status: u16, body: &str) -> Result<TokenResponse, OauthError> {
        TokenResponse::parse(&HttpResponse {
            status,
            retry_after: None,
            date: None,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn lifetimes_come_in_many_forms() {
        for (given, understood) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 60 "), Some(60)),
            (json!(59.9), Some(59)),
            (json!("1e3"), Some(1000)),
            (json!(0), None),
            (json!(-1), None),
            (json!(null), None),
            (json!("soon"), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!([60]), None),
            (json!(true), None),
            (json!(1e300), Some(MAX_LIFETIME.as_secs())),
            (json!(u64::MAX), Some(MAX_LIFETIME.as_secs())),
        ] {
            let body = json!({"access_token": "at", "token_type": "Bearer", "expires_in": given}).to_string();
            let token = parse(200, &body).unwrap();
            assert_eq!(token.expires_in, understood.map(Duration::from_secs), "{given}");
        }
    }

    #[test]
    fn the_token_type_is_compared_without_case() {
        for (given, known) in [
            ("Bearer", true),
            ("bearer", true),
            ("BEARER", true),
            ("mac", false),
            ("DPoP", false),
            ("Bearer ", false),
        ] {
            let body = json!({"access_token": "at", "token_type": given}).to_string();
            let answer = parse(200, &body);
            assert_eq!(answer.is_ok(), known, "{given}");
            assert!(answer.is_err() || answer.is_ok_and(|token| token.token_type == given));
        }
    }

    #[test]
    fn unknown_members_are_kept_and_an_id_token_is_not() {
        let token = parse(
            200,
            r#"{"access_token":"canary-at","token_type":"Bearer","id_token":"canary-id","endpoint":"e","z":{"y":1},
               "refresh_token":"canary-rt","scope":"a b","resource_url":"portal.qwen.ai","note":"canary-x"}"#,
        )
        .unwrap();
        assert_eq!(
            serde_json::to_string(&token.extra).unwrap(),
            r#"{"endpoint":"e","z":{"y":1},"note":"canary-x"}"#
        );
        assert_eq!(token.scope.as_deref(), Some("a b"));
        assert_eq!(token.resource_url.as_deref(), Some("portal.qwen.ai"));
        assert!(!format!("{token:?}").contains("canary"), "{token:?}");
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        for body in [
            "",
            "null",
            "[]",
            "\"at\"",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":null}"#,
            r#"{"access_token":7,"token_type":"Bearer"}"#,
            r#"{"access_token":"a\nb","token_type":"Bearer"}"#,
            r#"{"access_token":"ä","token_type":"Bearer"}"#,
            r#"{"access_token":"at","token_type":5}"#,
            r#"{"access_token":"at","token_type":"Bea"#,
        ] {
            assert!(
                matches!(parse(200, body), Err(OauthError::Malformed(_))),
                "{body}"
            );
        }
        for page in ["<html>", "\u{feff}\n<!DOCTYPE html>"] {
            assert!(
                matches!(parse(200, page), Err(OauthError::Elsewhere(_))),
                "{page}"
            );
        }
    }

    #[test]
    fn a_refresh_token_that_is_no_text_is_an_absent_one() {
        for none in ["\"\"", "null", "false", "true", "0", "[]", "{}"] {
            let token = parse(
                200,
                &format!(r#"{{"access_token":"at","refresh_token":{none},"resource_url":""}}"#),
            )
            .unwrap();
            assert!(
                token.refresh_token.is_none() && token.resource_url.is_none(),
                "{none}"
            );
        }
    }

    #[test]
    fn an_end_in_the_place_of_a_lifetime_is_one() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        for end in [
            json!(now + 7200),
            json!((now + 7200) * 1000),
            json!((now + 7200).to_string()),
        ] {
            let body = json!({"access_token": "at", "expires_in": end}).to_string();
            let life = parse(200, &body).unwrap().expires_in.unwrap().as_secs();
            assert!((7190..=7200).contains(&life), "{life} for {end}");
        }
        let past = json!({"access_token": "at", "expires_in": now - 5}).to_string();
        assert_eq!(parse(200, &past).unwrap().expires_in, None);
    }

    #[test]
    fn a_response_is_read_in_every_form() {
        for body in [
            "access_token=at&scope=repo%2Cgist&token_type=bearer&expires_in=60&refresh_token=rt",
            "\u{feff}{\"access_token\":\"at\",\"scope\":[\"repo,gist\"],\"expires_in\":\"60\",\"refresh_token\":\"rt\"}",
        ] {
            let token = parse(200, body).unwrap();
            assert_eq!(token.scope.as_deref(), Some("repo,gist"), "{body}");
            assert_eq!(token.expires_in, Some(Duration::from_secs(60)));
            assert!(token.refresh_token.is_some() && token.extra.is_empty());
        }
    }
}

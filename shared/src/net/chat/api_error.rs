//! The error object of an API, in whatever form a server writes it.

mod words;

use std::time::SystemTime;

use serde_json::{Map, Value};

use self::words::words;
use super::chunk::says_error;
use super::verdict::Verdict;
use crate::net::wait::{self, Wait};
use crate::text::{clip, one_line};

/// The most characters of a server's message that are shown.
pub(super) const MESSAGE_LIMIT: usize = 400;

/// The most characters of it that are kept.
const KEPT: usize = 4000;

/// The longest text that may hold JSON, in bytes, and the most codes that are kept.
const EMBEDDED_LIMIT: usize = 64 << 10;
const NAMES: usize = 32;

/// How deep an error may be nested, JSON in strings included.
const DEPTH: usize = 8;

/// An error object, in any of the forms that servers give it.
///
/// The text is the server's and may hold anything; [`ApiError::describe`] makes it safe to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiError {
    /// What the server says.
    pub message: String,
    /// The `code` member; a number as text.
    pub code: String,
    /// The member of the request that is at fault.
    pub param: String,
    details: Box<Details>,
    /// The name of the provider that it came from.
    pub(super) provider: Option<&'static str>,
}

/// What it is judged by besides its message; apart, since errors are moved about a lot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Details {
    /// Every code, type, status and reason in it, of the errors inside too.
    names: Vec<String>,
    /// The first `type` member.
    error_type: String,
    /// The wait that a member names.
    wait: Option<Wait>,
}

impl ApiError {
    /// Reads an error out of a body or an event; `None` when it holds none.
    ///
    /// An `error` that is null, false, empty or 0 is none, and neither is a `base_resp` whose status is 0 (MiniMax).
    #[must_use]
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::Array(list) => list.first().and_then(Self::from_json),
            Value::Object(members) if is_error(members) => Some(Self::from_member(value)),
            _ => None,
        }
    }

    /// As [`ApiError::from_json`], from text.
    #[must_use]
    pub fn parse(json: &str) -> Option<Self> {
        Self::from_json(&serde_json::from_str(json).ok()?)
    }

    /// Reads the value of an `error` member, or anything else that is known to be an error.
    #[must_use]
    pub fn from_member(value: &Value) -> Self {
        let mut error = Self::default();
        error.gather(value, DEPTH);
        error.message = clip(&words(value, DEPTH).unwrap_or_default(), KEPT);
        error
    }

    /// Makes an error of a text, which may hold an error as JSON.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::from_member(&Value::String(text.trim().to_owned()))
    }

    /// Adds the name of the event that it came in.
    #[must_use]
    pub(super) fn of_event(mut self, name: &str) -> Self {
        if !name.is_empty() && !name.eq_ignore_ascii_case("error") {
            self.add_name(name);
        }
        self
    }

    /// Names the provider that it came from: what a code means may differ.
    #[must_use]
    pub const fn sent_by(mut self, provider: &'static str) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Returns the message on one harmless line of bounded length; the code when there is no message.
    #[must_use]
    pub fn describe(&self) -> String {
        let words = [&self.message, &self.code, &self.details.error_type]
            .into_iter()
            .find(|text| !text.trim().is_empty());
        words.map_or_else(
            || "no reason given".to_owned(),
            |words| {
                excerpt(
                    one_line(words).trim().trim_end_matches(['.', '。', ' ']),
                    MESSAGE_LIMIT,
                )
            },
        )
    }

    /// Returns what an error without a status of its own, inside a stream or a good response, comes to.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::within_answer(self, SystemTime::now())
    }

    /// Returns every code, type, status and reason in it.
    pub(super) fn names(&self) -> &[String] {
        &self.details.names
    }

    /// True for an error without words and codes.
    pub(super) fn is_empty(&self) -> bool {
        self.message.is_empty() && self.details.names.is_empty()
    }

    /// Returns the wait that a member or the message names.
    pub(super) fn named_wait(&self) -> Option<Wait> {
        self.details.wait.or_else(|| wait::in_words(&self.message))
    }

    /// Collects the codes, the parameter and the wait from a value and from every error inside it.
    fn gather(&mut self, value: &Value, depth: usize) {
        if depth == 0 {
            return;
        }
        match value {
            Value::String(text) => {
                if let Some(inner) = embedded(text) {
                    self.gather(&inner, depth - 1);
                }
            }
            Value::Array(list) => list.iter().take(16).for_each(|item| self.gather(item, depth - 1)),
            Value::Object(members) => {
                for (name, member) in members {
                    self.gather_member(&plain(name), member, depth);
                }
            }
            _ => {}
        }
    }

    fn add_name(&mut self, name: &str) {
        if self.details.names.len() < NAMES {
            self.details.names.push(clip(name, MESSAGE_LIMIT));
        }
    }

    fn gather_member(&mut self, name: &str, member: &Value, depth: usize) {
        match name {
            _ if CODES.contains(&name) => self.gather_code(name, member, depth),
            "param" | "parameter" | "field" if self.param.is_empty() => {
                self.param = scalar(member).unwrap_or_default();
            }
            "loc" if self.param.is_empty() => self.param = location(member),
            "retryafterms" => self.set_wait(member, Wait::from_milliseconds),
            _ if WAITS.contains(&name) => self.set_wait(member, Wait::parse),
            _ if CONTAINERS.contains(&name) => {
                if let ("error", Value::String(text)) = (name, member)
                    && !text.contains(char::is_whitespace)
                {
                    self.add_name(text);
                }
                self.gather(member, depth - 1);
            }
            _ if name.ends_with("exception") => {
                self.add_name(name);
                self.gather(member, depth - 1);
            }
            _ => {}
        }
    }

    fn gather_code(&mut self, name: &str, member: &Value, depth: usize) {
        let Some(text) = scalar(member) else {
            return self.gather(member, depth - 1);
        };
        self.add_name(&text);
        let first = match name {
            "type" | "errortype" => &mut self.details.error_type,
            "reason" | "kind" => return,
            _ => &mut self.code,
        };
        if first.is_empty() {
            *first = text;
        }
    }

    fn set_wait(&mut self, member: &Value, parse: fn(&str) -> Option<Wait>) {
        let wait = &mut self.details.wait;
        *wait = wait.or_else(|| parse(&scalar(member)?));
    }
}

/// Cuts a server's text as [`clip`] does, but not within a word: half a key would not be known as one.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let clipped = clip(text, limit);
    if clipped.len() >= text.len() {
        return clipped;
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=…".contains(c);
    match clipped.trim_end_matches(is_part) {
        "" => clipped,
        whole => format!("{}…", whole.trim_end()),
    }
}

/// Members whose value is a code, or a word of that kind.
const CODES: [&str; 13] = [
    "code",
    "errorcode",
    "errcode",
    "statuscode",
    "retcode",
    "status",
    "reason",
    "quotaid",
    "kind",
    "type",
    "errortype",
    // Bedrock's: of a message in its own framing, and of the model behind it.
    "exceptiontype",
    "originalstatuscode",
];

/// Members whose value is a wait, or the time until when to wait.
const WAITS: [&str; 18] = [
    "retrydelay",
    "retryafter",
    "retryafterseconds",
    "estimatedtime",
    "resetsinseconds",
    "resetsat",
    "xratelimitreset",
    "resetat",
    "resettime",
    "resetafter",
    "resetin",
    "retryin",
    "retryat",
    "waitseconds",
    "waittime",
    "cooldown",
    "cooldownseconds",
    "availableat",
];

/// Members whose value is an error, or holds one.
const CONTAINERS: [&str; 28] = [
    "error",
    "errors",
    "errorchain",
    "errorinfo",
    "data",
    "result",
    "payload",
    "err",
    "fault",
    "response",
    "baseresp",
    "detail",
    "details",
    "message",
    "msg",
    "metadata",
    "raw",
    "headers",
    "innererror",
    "cause",
    "violations",
    "exception",
    "errormessage",
    "body",
    "output",
    "errormsg",
    "header",
    "failure",
];

/// True for an object that is, or holds, an error.
fn is_error(members: &Map<String, Value>) -> bool {
    let is_said = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Object(members) => members.values().any(|value| !value.is_null()),
        Value::Array(list) => !list.is_empty(),
        Value::Bool(true) => true,
    };
    members.iter().any(|(name, value)| match plain(name).as_str() {
        "error" | "errors" | "fault" | "message" | "detail" | "errormsg" | "errormessage" | "msg"
        | "errorcode" => is_said(value),
        "errmsg" | "retmsg" => says_error(value),
        "baseresp" => value.as_object().is_some_and(|base| {
            base.iter()
                .any(|(name, value)| plain(name) == "statuscode" && is_said(value) && value != "0")
        }),
        "response" => value.as_object().is_some_and(is_error),
        "status" => value.as_object().is_some_and(is_failed_status),
        _ => false,
    })
}

/// True for a status with words whose code begins as that of a refusal does (CLOVA Studio: `{"code": "42901", "message": …}`).
fn is_failed_status(status: &Map<String, Value>) -> bool {
    let code = status.get("code").and_then(scalar).unwrap_or_default();
    code.starts_with(['4', '5']) && status.get("message").and_then(scalar).is_some()
}

/// Returns a member's name in lower case, without `_`, `-` and `:`: `error_msg`, `errorMsg` and `ErrorMsg` are one.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ':'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Returns a text or a number as text.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Returns the place that a validator names (`["body", "stream_options", "include_usage"]`), as a path in the request.
fn location(value: &Value) -> String {
    let parts = value.as_array().map_or(&[][..], Vec::as_slice);
    let parts: Vec<String> = parts.iter().filter_map(scalar).collect();
    let is_outer = |part: &String| matches!(part.as_str(), "body" | "query" | "header");
    let inner = parts.iter().skip_while(|part| is_outer(part));
    inner.cloned().collect::<Vec<_>>().join(".")
}

/// Returns the JSON in a text: the whole of it, as Python prints it too, or what follows the words before it.
fn embedded(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.len() > EMBEDDED_LIMIT {
        return None;
    }
    let start = text.find(['{', '['])?;
    let json = &text[start..];
    // What follows the words of a sentence is the error only where it reads as one: `400 - {"error": …}`.
    let parsed = serde_json::from_str::<Value>(json)
        .ok()
        .or_else(|| from_python(json))?;
    let is_error = match &parsed {
        Value::Object(members) => !members.is_empty(),
        Value::Array(list) => list.first().is_some_and(Value::is_object),
        _ => false,
    };
    (is_error && words(&parsed, DEPTH).is_some()).then_some(parsed)
}

/// Reads what Python's `repr` prints for plain lists, tuples and dictionaries.
pub(super) fn from_python(text: &str) -> Option<Value> {
    let json = text
        .replace('"', "\\\"")
        .replace('\'', "\"")
        .replace('(', "[")
        .replace(",)", "]")
        .replace(')', "]")
        .replace(": True", ": true")
        .replace(": False", ": false")
        .replace(": None", ": null");
    serde_json::from_str(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::ApiError;

    #[test]
    fn error_objects_of_every_make_are_read() {
        for (json, words, code) in [
            (
                r#"{"error":{"message":"No such model.","type":"t","code":"model_not_found"}}"#,
                "No such model",
                "model_not_found",
            ),
            (r#"{"error":{"message":"busy","code":503}}"#, "busy", "503"),
            (r#"{"error":"plain words"}"#, "plain words", ""),
            (
                r#"{"error":["one","two"],"error_type":"validation"}"#,
                "one; two",
                "",
            ),
            (r#"{"object":"error","message":"top","code":400}"#, "top", "400"),
            (
                r#"{"code":"Throttling","message":"slow","request_id":"x"}"#,
                "slow",
                "Throttling",
            ),
            (r#"{"Message":"AWS"}"#, "AWS", ""),
            (r#"{"detail":"Not Found"}"#, "Not Found", ""),
            (r#"{"detail":{"error":"nested"}}"#, "nested", ""),
            (
                r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
                "field required",
                "",
            ),
            (
                r#"{"detail":[{"loc":["body","messages",0],"msg":"one"},{"loc":["body","n"],"msg":"two"}]}"#,
                "messages.0: one; n: two",
                "",
            ),
            (r#"{"errors":[{"message":"one"}]}"#, "one", ""),
            (
                r#"{"errors":{"message":"ModelScope"},"request_id":"x"}"#,
                "ModelScope",
                "",
            ),
            (
                r#"{"title":"Bad","status":400,"errors":{"temperature":["at most 2"],"n":["no"]}}"#,
                "temperature: at most 2; n: no",
                "400",
            ),
            (
                r#"{"type":"about:blank","title":"Gone","status":410,"detail":"why"}"#,
                "why",
                "410",
            ),
            (
                r#"[{"error":{"code":404,"message":"in a list"}}]"#,
                "in a list",
                "404",
            ),
            (r#"{"error":{"code":"only_code"}}"#, "only_code", "only_code"),
            (
                r#"{"error":true,"data":{"code":"c","message":"within"}}"#,
                "within",
                "c",
            ),
            (r#"{"error":1,"result":{"error":"deeper"}}"#, "deeper", ""),
            (r#"{"error":"a_code","detail":"and words"}"#, "and words", ""),
            (r#"{"error":"a_code","detail":"other_code"}"#, "a_code", ""),
            (
                r#"{"status":{"code":"42901","message":"slower"},"result":null}"#,
                "slower",
                "42901",
            ),
            (
                r#"{"errors":[{"code":6003,"message":"headers","error_chain":[{"code":6111,"message":"no key"}]}]}"#,
                "headers: no key",
                "6003",
            ),
            (
                r#"{"Response":{"Error":{"Code":"InvalidParameter","Message":"Tencent"},"RequestId":"x"}}"#,
                "Tencent",
                "InvalidParameter",
            ),
            (
                r#"{"base_resp":{"status_code":1008,"status_msg":"MiniMax"}}"#,
                "MiniMax",
                "1008",
            ),
            (
                r#"{"fault":{"faultstring":"Apigee","detail":{"errorcode":"a.b"}}}"#,
                "Apigee",
                "a.b",
            ),
            (
                r#"{"error":{"message":"{\"error\":{\"message\":\"inner\"}}","code":400}}"#,
                "inner",
                "400",
            ),
            (
                r#"{"error":{"message":"400 - {'error': {'message': 'Python', 'code': None}}"}}"#,
                "Python",
                "",
            ),
            (
                r#"{"error":{"message":"outer","code":400,"metadata":{"raw":"{\"error\":\"why\"}","provider_name":"Acme"}}}"#,
                "Acme: why",
                "400",
            ),
            (r#"{"error":{"message":"a {curly} word"}}"#, "a {curly} word", ""),
            (r#"{"error":{"message":"a\u001b[31m\nb\u202e"}}"#, "a[31m b", ""),
        ] {
            let error = ApiError::parse(json).unwrap();
            assert_eq!(
                (error.describe().as_str(), error.code.as_str()),
                (words, code),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_error_is_none() {
        for none in [
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"error":""}"#,
            r#"{"error":false}"#,
            r#"{"error":{"code":null}}"#,
            r#"{"base_resp":{"status_code":0,"status_msg":"success"}}"#,
            "{}",
            "[]",
            "3",
            r#"{"choices":[]}"#,
        ] {
            assert_eq!(ApiError::parse(none), None, "{none}");
        }
    }

    #[test]
    fn a_message_is_bounded_and_nesting_ends() {
        let long = ApiError::from_text(&"x".repeat(5000));
        assert_eq!(long.describe().chars().count(), 401);
        let key = ApiError::from_text(&format!(
            "{} the key 'sk-canary-0123456789' is wrong",
            "y".repeat(380)
        ));
        assert!(key.describe().ends_with("y the key '…"), "{}", key.describe());
        let mut deep = "{\"error\":\"at the bottom\"}".to_owned();
        for _ in 0..100 {
            deep = format!("{{\"error\":{deep}}}");
        }
        ApiError::parse(&deep).unwrap();
        let brackets = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "[{".repeat(20_000));
        ApiError::parse(&brackets).unwrap();
    }

    #[test]
    fn an_error_in_a_good_response_ends_by_what_it_says() {
        for (json, exit) in [
            (r#"{"error":{"code":"insufficient_quota","message":"m"}}"#, 69),
            (r#"{"error":{"code":"model_not_found","message":"m"}}"#, 69),
            (r#"{"error":{"code":429,"message":"m"}}"#, 75),
            (r#"{"error":{"code":"rate_limit_exceeded","message":"m"}}"#, 75),
            (r#"{"error":{"type":"server_error","message":"m"}}"#, 75),
            (r#"{"error":{"type":"overloaded_error","message":"m"}}"#, 75),
            (r#"{"error":{"code":"502","message":"m"}}"#, 75),
            (r#"{"error":{"code":"invalid_api_key","message":"m"}}"#, 77),
            (r#"{"error":{"code":400,"message":"m"}}"#, 65),
            (r#"{"error":{"message":"what?"}}"#, 76),
        ] {
            assert_eq!(
                ApiError::parse(json).unwrap().verdict().exit().code(),
                exit,
                "{json}"
            );
        }
    }
}

//! Records: lines of OpenAI's batch output format, written and read.

use std::borrow::Cow;

use qwen_shared::exit::Exit;
use qwen_shared::net::api::Client;
use qwen_shared::net::chat::{Usage, repaired_json};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::answer_body::no_answer;
use super::digest::RequestDigest;

/// A byte-order mark in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The result of one request, without its IDs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    pub(crate) response: Option<RecordedResponse>,
    pub(crate) error: Option<RecordError>,
    /// Why an answer was limited or filtered, or what is doubtful about it, in a word.
    #[serde(skip)]
    pub(crate) cut: Option<String>,
    /// True for an answer that failed after some of its text: its tokens are paid, and it is not asked for again.
    #[serde(skip)]
    pub(crate) has_text: bool,
    #[serde(skip)]
    pub(crate) usage: Usage,
}

impl Record {
    /// Removes from the record of an error the secrets that the server quotes.
    pub(crate) fn redacted(mut self, client: &Client) -> Self {
        self.response = self
            .response
            .map(|response| response.map_body(|body| client.redacted_json(body)));
        if let Some(error) = &mut self.error {
            error.message = client.redacted(std::mem::take(&mut error.message));
        }
        self
    }
}

/// A response of the server, whatever its status.
#[derive(Debug, Serialize)]
pub(crate) struct RecordedResponse {
    pub(crate) status_code: u16,
    pub(crate) request_id: String,
    /// JSON on one line; `None` when the body was not JSON.
    pub(crate) body: Option<Box<RawValue>>,
}

impl RecordedResponse {
    pub(crate) fn new(status_code: u16, request_id: Option<&str>, body: &[u8]) -> Self {
        Self {
            status_code,
            request_id: request_id.unwrap_or_default().to_owned(),
            body: json_on_one_line(&unwrapped(body)),
        }
    }

    /// Changes the body's text. A body that is no longer JSON is dropped.
    pub(crate) fn map_body(mut self, change: impl FnOnce(String) -> String) -> Self {
        let text = self.body.map(|body| body.get().to_owned());
        self.body = text.and_then(|text| RawValue::from_string(change(text)).ok());
        self
    }
}

/// Returns the JSON object that a body holds as a JSON text, as some gateways answer; else the body.
fn unwrapped(body: &[u8]) -> Cow<'_, [u8]> {
    if !body.trim_ascii_start().starts_with(b"\"") {
        return body.into();
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(Value::String(inner)) if inner.trim_start().starts_with('{') => inner.into_bytes().into(),
        _ => body.into(),
    }
}

/// Why a request has no good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RecordError {
    /// The name of the exit code that this error has elsewhere.
    pub(crate) code: &'static str,
    message: String,
    /// The line of the input, for a line that is not a valid request.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl RecordError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            code: exit.name(),
            message: message.into(),
            line: None,
        }
    }

    pub(crate) fn at_line(number: u64, message: impl Into<String>) -> Self {
        Self {
            line: Some(number),
            ..Self::new(Exit::Data, message)
        }
    }

    /// Returns what is wrong with the line, where the error is the line's.
    pub(crate) fn invalid_line(&self) -> Option<InvalidLine> {
        Some(InvalidLine {
            number: self.line?,
            message: self.message.clone(),
        })
    }
}

/// A line of the input that is not a valid request.
#[derive(Clone, Debug)]
pub(crate) struct InvalidLine {
    pub(crate) number: u64,
    /// The reason, behind the line's number.
    pub(crate) message: String,
}

impl From<RecordError> for Record {
    fn from(error: RecordError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// Returns a record as a line of the output, line end included. Its ID holds the digest of the request.
pub(crate) fn record_line(
    custom_id: &str,
    request: RequestDigest,
    record: &Record,
) -> Result<Vec<u8>, serde_json::Error> {
    #[derive(Serialize)]
    struct Line<'a> {
        id: String,
        custom_id: &'a str,
        #[serde(flatten)]
        record: &'a Record,
    }
    let mut line = serde_json::to_vec(&Line {
        id: request.to_id(),
        custom_id,
        record,
    })?;
    line.push(b'\n');
    Ok(line)
}

/// Returns a provider's record with the digest of its request in its ID, as [`record_line`] writes it; `None` where it is no
/// JSON object.
pub(crate) fn bound_line(line: &[u8], request: RequestDigest) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow, default, deserialize_with = "even_null")]
        id: Option<&'a RawValue>,
    }
    let record: Line<'_> = serde_json::from_slice(object(line)?).ok()?;
    let id = format!("\"{}\"", request.to_id());
    let (range, id) = match record.id {
        Some(old) => {
            let start = old.get().as_ptr().addr() - line.as_ptr().addr();
            (start..start + old.get().len(), id)
        }
        None => {
            let start = 1 + line.iter().position(|&byte| byte == b'{')?;
            (start..start, format!("\"id\":{id},"))
        }
    };
    let mut bound = line.to_vec();
    bound.splice(range, id.into_bytes());
    Some(bound)
}

/// Returns a line without its mark where it can only be a JSON object. A list would be read as the members in the order in
/// which they are declared.
fn object(line: &[u8]) -> Option<&[u8]> {
    let line = without_mark(line);
    line.trim_ascii_start().starts_with(b"{").then_some(line)
}

/// Reads a member that is there, null too.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What a run needs to know of a record in its output file, its own or a provider's.
#[derive(Debug)]
pub(crate) struct ExistingRecord<'a> {
    pub(crate) custom_id: Cow<'a, str>,
    /// `None` where the record does not tell.
    pub(crate) digest: Option<RequestDigest>,
    pub(crate) failed: bool,
    /// True for the result of a line that was not a valid request.
    pub(crate) is_invalid_line: bool,
}

impl<'a> ExistingRecord<'a> {
    /// Parses a line of an output file; `None` when it is not a record.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow, default)]
            id: Option<&'a RawValue>,
            custom_id: &'a RawValue,
            #[serde(borrow, default)]
            response: Option<Response<'a>>,
            #[serde(borrow, default)]
            error: Option<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Response<'a> {
            #[serde(borrow, default)]
            status_code: Option<&'a RawValue>,
            #[serde(borrow, default)]
            body: Option<&'a RawValue>,
        }
        let text = std::str::from_utf8(object(line)?).ok()?;
        let line: Line<'_> = serde_json::from_str(text).ok()?;
        let error = line.error.map(RawValue::get).filter(|error| !is_empty(error));
        if line.response.is_none() && error.is_none() {
            return None;
        }
        let is_refused = |response: &Response<'_>| {
            // Some engines write the status as a text.
            let status = response.status_code.map(|status| status.get().trim_matches('"'));
            let status = status.and_then(|status| status.parse::<u16>().ok());
            // A body without anything in it is no answer.
            status.is_some_and(|status| !(200..300).contains(&status))
                || response
                    .body
                    .map(RawValue::get)
                    .is_none_or(|body| is_empty(body) || body_failed(body) || no_answer(body).is_some())
        };
        let id = line.id.map(|id| id.get().trim_matches('"'));
        Some(Self {
            custom_id: name(line.custom_id.get())?,
            digest: id.and_then(RequestDigest::from_id),
            failed: error.is_some() || line.response.as_ref().is_some_and(is_refused),
            is_invalid_line: error.is_some_and(is_about_line),
        })
    }

    /// True for a name of version 0.1 that comes from the place of a line, of which nothing else is known.
    pub(crate) fn is_positional(&self) -> bool {
        let digits = self.custom_id.strip_prefix("line-");
        self.digest.is_none()
            && digits.is_some_and(|digits| {
                !digits.is_empty()
                    && digits
                        .bytes()
                        .all(|digit| digit.is_ascii_digit() || digit == b'-')
            })
    }
}

/// Reads a name: a text, or a number as it is written, which is what a line with a number for its ID is called here.
fn name(json: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    match json.as_bytes().first()? {
        b'"' => serde_json::from_str::<Name<'_>>(json).ok().map(|name| name.0),
        b'-' | b'0'..=b'9' => Some(json.into()),
        _ => None,
    }
}

/// True for a value that says that there is no error, as servers write it.
fn is_empty(error: &str) -> bool {
    matches!(error, "null" | "false" | "\"\"" | "{}" | "[]" | "0")
}

/// True for our error of a line that is not a valid request.
fn is_about_line(error: &str) -> bool {
    #[derive(Deserialize)]
    struct Error {
        #[serde(rename = "line")]
        _line: u64,
    }
    error.contains("\"line\"") && serde_json::from_str::<Error>(error).is_ok()
}

/// True for the body of a response that reports a failure though its status is good: an error in the place of an answer,
/// or beside it.
pub(crate) fn body_failed(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
        #[serde(borrow, default)]
        status: Option<&'a RawValue>,
    }
    // Most bodies have neither, and need not be read again.
    if !body.contains("\"error\"") && !body.contains("\"status\"") {
        return false;
    }
    serde_json::from_str::<Body<'_>>(body).is_ok_and(|body| {
        body.error.is_some_and(|error| !is_empty(error.get()))
            || body
                .status
                .is_some_and(|status| matches!(status.get(), "\"failed\"" | "\"cancelled\""))
    })
}

/// Takes off a byte-order mark, which some editors put before the first line.
pub(crate) fn without_mark(line: &[u8]) -> &[u8] {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
}

/// Puts JSON on one line; `None` when it is not JSON. Bytes that are not UTF-8 become U+FFFD, and what only some readers of
/// JSON take is repaired.
fn json_on_one_line(body: &[u8]) -> Option<Box<RawValue>> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    let repaired = repaired_json(text);
    let text = repaired.as_deref().unwrap_or(text);
    if text.contains(['\n', '\r']) {
        let value: Value = serde_json::from_str(text).ok()?;
        return serde_json::value::to_raw_value(&value).ok();
    }
    RawValue::from_string(text.to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::{ExistingRecord, RecordedResponse, bound_line};
    use crate::digest::RequestDigest;

    #[test]
    fn a_body_is_json_that_every_reader_takes() {
        for (body, expected) in [
            (r#"{"a":"\ud83d","b":NaN}"#, r#"{"a":"\ufffd","b":null}"#),
            ("{\n\"a\":\"\\udc00\"}", "{\"a\":\"\u{fffd}\"}"),
            (r#"{"a":"\ud83d\ude00"}"#, r#"{"a":"\ud83d\ude00"}"#),
        ] {
            let kept = RecordedResponse::new(200, None, body.as_bytes()).body.unwrap();
            assert_eq!(kept.get(), expected);
        }
    }

    #[test]
    fn a_providers_record_keeps_all_but_its_id_when_it_is_bound() {
        let digest = RequestDigest::of_line(b"x");
        let rest = r#""custom_id":"a","response":{"id":"own","body":{"choices":[{}]}}"#;
        for (line, expected) in [
            (
                format!(r#"{{"id":"batch_req_1",{rest}}}"#),
                format!(r#"{{"id":"ID",{rest}}}"#),
            ),
            (
                format!(r#"{{ {rest}, "id" : null }}"#),
                format!(r#"{{ {rest}, "id" : "ID" }}"#),
            ),
            (
                format!(r#"{{{rest},"id":17}}"#),
                format!(r#"{{{rest},"id":"ID"}}"#),
            ),
            (format!(r#" {{{rest}}}"#), format!(r#" {{"id":"ID",{rest}}}"#)),
        ] {
            let bound = bound_line(format!("{line}\n").as_bytes(), digest).unwrap();
            let expected = format!("{expected}\n").replace("ID", &digest.to_id());
            assert_eq!(String::from_utf8(bound.clone()).unwrap(), expected);
            assert_eq!(ExistingRecord::parse(&bound).unwrap().digest, Some(digest));
        }
        assert!(bound_line(b"[]", digest).is_none());
    }

    #[test]
    fn a_list_is_no_record_whatever_stands_in_it() {
        let line = br#"["id","a",{"status_code":200,"body":{"choices":[{}]}},null]"#;
        assert!(ExistingRecord::parse(line).is_none());
        assert!(bound_line(line, RequestDigest::of_line(b"x")).is_none());
    }
}

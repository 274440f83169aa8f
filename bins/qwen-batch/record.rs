//! Records: lines of OpenAI's batch output format, written and read.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use qwen_shared::exit::Exit;
use qwen_shared::net::api::Client;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// The result of one request, without its IDs.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    pub(crate) response: Option<RecordedResponse>,
    pub(crate) error: Option<RecordError>,
    /// True for an answer that was limited or filtered, or whose end is doubtful.
    #[serde(skip)]
    pub(crate) is_cut: bool,
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
            body: json_on_one_line(body),
        }
    }

    /// Changes the body's text. A body that is no longer JSON is dropped.
    pub(crate) fn map_body(mut self, change: impl FnOnce(String) -> String) -> Self {
        let text = self.body.map(|body| body.get().to_owned());
        self.body = text.and_then(|text| RawValue::from_string(change(text)).ok());
        self
    }
}

/// Why a request has no good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RecordError {
    /// The name of the exit code that this error has elsewhere.
    code: &'static str,
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
}

impl From<RecordError> for Record {
    fn from(error: RecordError) -> Self {
        Self {
            error: Some(error),
            ..Self::default()
        }
    }
}

/// Writes records, each with an ID of its own.
#[derive(Debug)]
pub(crate) struct RecordWriter {
    run: u32,
    count: u32,
}

impl RecordWriter {
    pub(crate) fn new() -> Self {
        let random = RandomState::new().hash_one(());
        Self {
            run: u32::try_from(random >> 32).unwrap_or(0),
            count: 0,
        }
    }

    /// Returns the record as the next line of the output, line end included.
    pub(crate) fn next_line(
        &mut self,
        custom_id: &str,
        record: &Record,
    ) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            id: String,
            custom_id: &'a str,
            #[serde(flatten)]
            record: &'a Record,
        }
        self.count = self.count.wrapping_add(1);
        let mut line = serde_json::to_vec(&Line {
            id: format!("batch_req_{:08x}{:08x}", self.run, self.count),
            custom_id,
            record,
        })?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What a run needs to know of a record in its output file, its own or a provider's.
#[derive(Debug)]
pub(crate) struct ExistingRecord<'a> {
    pub(crate) custom_id: Cow<'a, str>,
    pub(crate) failed: bool,
}

impl<'a> ExistingRecord<'a> {
    /// Parses a line of an output file; `None` when it is not a record.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Line<'a> {
            #[serde(borrow)]
            custom_id: Cow<'a, str>,
            response: Option<Response>,
            error: Option<IgnoredAny>,
        }
        #[derive(Deserialize)]
        struct Response {
            status_code: Option<u16>,
        }
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let failed = match (line.response, line.error) {
            (None, None) => return None,
            (Some(response), None) => response
                .status_code
                .is_some_and(|status| !(200..300).contains(&status)),
            (_, Some(_)) => true,
        };
        Some(Self {
            custom_id: line.custom_id,
            failed,
        })
    }
}

/// Puts JSON on one line; `None` when it is not JSON. Bytes that are not UTF-8 become U+FFFD.
fn json_on_one_line(body: &[u8]) -> Option<Box<RawValue>> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.contains(['\n', '\r']) {
        let value: Value = serde_json::from_str(text).ok()?;
        return serde_json::value::to_raw_value(&value).ok();
    }
    RawValue::from_string(text.to_owned()).ok()
}

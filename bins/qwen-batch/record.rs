//! One line of the output: OpenAI's batch output format.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};

use qwen_shared::exit::Exit;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What a server answered, whatever its status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    /// The body: JSON on one line. `None` when it was none.
    pub(crate) body: Option<Box<RawValue>>,
}

impl Reply {
    /// Changes the body's text; what is no JSON any more is left out.
    pub(crate) fn with_body(mut self, change: impl FnOnce(String) -> String) -> Self {
        let text = self.body.map(|body| body.get().to_owned());
        self.body = text.and_then(|text| RawValue::from_string(change(text)).ok());
        self
    }
}

/// Why a question has no good answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    /// The name of the exit that this fault has elsewhere.
    code: &'static str,
    message: String,
    /// The line of the input, of a line that could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
}

impl Fault {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            code: exit.name(),
            message: message.into(),
            line: None,
        }
    }

    /// The fault of a line that could not be asked.
    pub(crate) fn of_line(number: u64, message: impl Into<String>) -> Self {
        Self {
            line: Some(number),
            ..Self::new(Exit::Data, message)
        }
    }
}

/// What became of one question.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) reply: Option<Reply>,
    pub(crate) fault: Option<Fault>,
    /// True for an answer that a limit or a filter cut.
    pub(crate) is_cut: bool,
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct Record<'a> {
    id: String,
    custom_id: &'a str,
    response: Option<Response<'a>>,
    error: Option<&'a Fault>,
}

#[derive(Serialize)]
struct Response<'a> {
    status_code: u16,
    request_id: &'a str,
    body: Option<&'a RawValue>,
}

/// Writes records, each with an ID of its own.
#[derive(Debug)]
pub(crate) struct Scribe {
    run: u32,
    count: u32,
}

impl Scribe {
    pub(crate) fn new() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self {
            run: u32::try_from(random >> 32).unwrap_or(0),
            count: 0,
        }
    }

    /// Writes one record with the line end after it.
    pub(crate) fn write(&mut self, custom_id: &str, verdict: &Verdict) -> Result<Vec<u8>, serde_json::Error> {
        self.count = self.count.wrapping_add(1);
        let record = Record {
            id: format!("batch_req_{:08x}{:08x}", self.run, self.count),
            custom_id,
            response: verdict.reply.as_ref().map(|reply| Response {
                status_code: reply.status,
                request_id: reply.request_id.as_deref().unwrap_or_default(),
                body: reply.body.as_deref(),
            }),
            error: verdict.fault.as_ref(),
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// What matters of a record that is there already: ours, or a provider's.
#[derive(Debug)]
pub(crate) struct Past<'a> {
    pub(crate) custom_id: Cow<'a, str>,
    pub(crate) failed: bool,
}

/// Reads a line of a file of results; `None` when it is none.
pub(crate) fn read(line: &[u8]) -> Option<Past<'_>> {
    #[derive(Deserialize)]
    struct Known<'a> {
        #[serde(borrow)]
        custom_id: Cow<'a, str>,
        response: Option<KnownResponse>,
        error: Option<IgnoredAny>,
    }
    #[derive(Deserialize)]
    struct KnownResponse {
        status_code: Option<u16>,
    }
    let known: Known<'_> = serde_json::from_slice(line).ok()?;
    let answered = match (&known.response, &known.error) {
        (None, None) => return None,
        (Some(response), None) => response
            .status_code
            .is_none_or(|status| (200..300).contains(&status)),
        (_, Some(_)) => false,
    };
    Some(Past {
        custom_id: known.custom_id,
        failed: !answered,
    })
}

/// Puts JSON on one line; `None` when it is not JSON. What is not UTF-8 in it becomes U+FFFD.
pub(crate) fn one_line(body: &[u8]) -> Option<Box<RawValue>> {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.bytes().any(|byte| matches!(byte, b'\n' | b'\r')) {
        let value: Value = serde_json::from_str(text).ok()?;
        return serde_json::value::to_raw_value(&value).ok();
    }
    RawValue::from_string(text.to_owned()).ok()
}

//! Responses, read whole: as a refusal, or as the record of an answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{
    AnswerError, ApiError, Dialect, FinishReason, Summary, Usage, WholeChoice, completion, read_whole,
};
use qwen_shared::net::http::{HttpError, Received, Response};
use qwen_shared::net::json::is_whole_object;
use qwen_shared::text::{clip, one_line};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::answer_body::{NoAnswer, no_answer};
use crate::record::{Record, RecordError, RecordedResponse, body_failed};

/// The most characters of a finish reason that are kept for the summary.
const REASON_LIMIT: usize = 40;

/// The most bytes that all answers under way may take together.
const TOTAL_LIMIT: usize = 256 << 20;

/// How many bytes they take.
static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// What one of them takes; it is given back once the answer is recorded.
#[derive(Debug, Default)]
struct Share(usize);

impl Share {
    fn grow(&mut self, bytes: usize) -> Result<(), HttpError> {
        self.0 += bytes;
        match TOTAL.fetch_add(bytes, Ordering::Relaxed) + bytes > TOTAL_LIMIT {
            true => Err(HttpError::TooLargeTogether(TOTAL_LIMIT)),
            false => Ok(()),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        TOTAL.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A response with its body.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    share: Share,
    request_id: Option<String>,
    content_type: Option<String>,
}

impl WholeResponse {
    /// Reads a response to its end.
    ///
    /// # Errors
    /// Those of [`Response::chunk`]; more than `limit`, or than all answers under way may take. With true where some text of
    /// a stream had come.
    pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Self, (HttpError, bool)> {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let mut whole = Self {
            status: response.status(),
            body: Vec::new(),
            share: Share::default(),
            request_id: header("x-request-id"),
            content_type: header("content-type"),
        };
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) if error.is_of_connection() && is_whole_object(&whole.body) => break,
                Err(error) => return Err(whole.broken(error)),
            };
            response.received(match chunk.trim_ascii().is_empty() {
                true => Received::Nothing,
                false => Received::Something,
            });
            if whole.body.len() + chunk.len() > limit {
                return Err((HttpError::TooLarge(limit), false));
            }
            whole.share.grow(chunk.len()).map_err(|error| (error, false))?;
            whole.body.extend_from_slice(&chunk);
        }
        Ok(whole)
    }

    /// A connection that broke before any text of a stream had come broke before the answer; with true after some. Half of
    /// a JSON document is of no use, whatever text it holds.
    fn broken(&self, error: HttpError) -> (HttpError, bool) {
        let is_document = self.body.trim_ascii_start().starts_with(b"{");
        let has_text = !is_document && self.has_text(Dialect::default());
        match error {
            HttpError::Cut(reason) if !is_document && !has_text => (HttpError::Reset(reason), false),
            error => (error, has_text),
        }
    }

    /// True when what has come holds text of an answer.
    fn has_text(&self, dialect: Dialect) -> bool {
        match self.read_choices(dialect) {
            Ok(choices) => choices.iter().any(|choice| choice.summary.has_text),
            Err((_, has_text)) => has_text,
        }
    }

    fn read_choices(&self, dialect: Dialect) -> Result<Vec<WholeChoice>, (AnswerError, bool)> {
        read_whole(self.content_type.as_deref(), dialect, &self.body)
    }

    /// Returns the record of a response with a good status. Its body may be bad all the same: cut, or an error, which comes
    /// with the record. A stream is recorded as the object that it amounts to.
    pub(crate) fn into_record(self, is_chat: bool, dialect: Dialect) -> (Record, Option<AnswerError>) {
        let recorded = RecordedResponse::new(self.status, self.request_id.as_deref(), &self.body);
        let is_json = recorded.body.is_some();
        let (whole, streamed) = match is_json {
            true => (Some(recorded), None),
            false => (None, Some(recorded)),
        };
        let mut record = Record {
            response: whole,
            ..Record::default()
        };
        if !is_chat {
            let error = self.judge_other(&mut record);
            return (record, error);
        }
        match self.read_choices(dialect) {
            Ok(choices) => {
                record.cut = choices.iter().find_map(|choice| cut_reason(&choice.summary));
                let usage = choices.iter().find_map(|choice| choice.summary.usage.as_ref());
                record.usage = usage.map(Usage::read).unwrap_or_default();
                if let Some(recorded) = streamed {
                    let body = to_raw_value(&completion(&choices)).ok();
                    record.response = Some(RecordedResponse { body, ..recorded });
                }
                (record, None)
            }
            Err((error, has_text)) => {
                record.error = Some(RecordError::new(error.exit(), error.to_string()));
                record.has_text = has_text;
                (record, Some(error))
            }
        }
    }

    /// Judges the answer of an endpoint other than the chat's, whose body is JSON or nothing.
    fn judge_other(&self, record: &mut Record) -> Option<AnswerError> {
        let body = record
            .response
            .as_ref()
            .and_then(|response| response.body.as_ref());
        let Some(body) = body.map(|body| body.get()) else {
            let content_type = self.content_type.as_deref().unwrap_or("none");
            let error = AnswerError::NotAnAnswer(content_type.to_owned());
            record.error = Some(RecordError::new(error.exit(), error.to_string()));
            return Some(error);
        };
        let error = match (body_failed(body), no_answer(body)) {
            (true, _) => ApiError::parse(body).map(AnswerError::Api),
            (false, None) => {
                if let Ok(body) = serde_json::from_str(body) {
                    judge_status(&body, record);
                }
                return None;
            }
            (false, Some(NoAnswer::Empty)) => Some(AnswerError::Empty),
            (false, Some(NoAnswer::Other)) => Some(AnswerError::OtherJson(one_line(body))),
        };
        let (exit, message) = match &error {
            Some(error) => (error.exit(), error.to_string()),
            None => {
                let message = "the server reports a failure in the place of an answer";
                (Exit::Protocol, message.to_owned())
            }
        };
        record.error = Some(RecordError::new(exit, message));
        error
    }
}

/// What an answer of `/v1/responses`, and of other endpoints, says of itself.
#[derive(Deserialize)]
struct OtherBody {
    #[serde(default)]
    status: Value,
    #[serde(default)]
    incomplete_details: Value,
    #[serde(default)]
    usage: Value,
}

/// Counts the tokens of an answer that is no failure, and finds out whether it is whole.
fn judge_status(body: &OtherBody, record: &mut Record) {
    record.usage = Usage::read(&body.usage);
    match body.status.as_str() {
        Some("incomplete") => {
            let reason = body.incomplete_details["reason"].as_str();
            record.cut = Some(clip(&one_line(reason.unwrap_or("incomplete")), REASON_LIMIT));
        }
        Some(status @ ("queued" | "in_progress")) => {
            let message = format!("the response is not done: its status is '{status}'");
            record.error = Some(RecordError::new(Exit::Protocol, message));
        }
        _ => {}
    }
}

/// Returns in a word why an answer was limited or filtered, or what is doubtful about it.
fn cut_reason(summary: &Summary) -> Option<String> {
    let caveat = summary.caveats.first()?;
    let reason = summary.finish_reason.as_ref().map(FinishReason::as_str);
    let reason = reason.filter(|reason| !matches!(*reason, "stop" | "tool_calls"));
    Some(match reason {
        Some(reason) => clip(&one_line(reason), REASON_LIMIT),
        None if summary.is_refusal => "refusal".to_owned(),
        None if summary.finish_reason.is_none() => "no finish reason".to_owned(),
        None => caveat.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::{HttpError, Share, TOTAL_LIMIT};

    #[test]
    fn answers_under_way_share_a_limit_and_give_it_back() {
        let (mut one, mut other) = (Share::default(), Share::default());
        one.grow(TOTAL_LIMIT).unwrap();
        let refused = HttpError::TooLargeTogether(TOTAL_LIMIT).to_string();
        assert_eq!(other.grow(1).unwrap_err().to_string(), refused);
        drop((one, other));
        Share::default().grow(TOTAL_LIMIT).unwrap();
    }
}

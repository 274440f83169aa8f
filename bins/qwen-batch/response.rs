//! Responses, read whole: as a refusal, or as the record of an answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerError, AnswerReader, Delta, Dialect, Summary};
use qwen_shared::net::http::{HttpError, Received, Response};
use serde_json::value::to_raw_value;

use crate::record::{Record, RecordError, RecordedResponse};

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
    /// Those of [`Response::chunk`]; more than `limit`, or than all answers under way may take.
    pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Self, HttpError> {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let mut whole = Self {
            status: response.status(),
            body: Vec::new(),
            share: Share::default(),
            request_id: header("x-request-id"),
            content_type: header("content-type"),
        };
        while let Some(chunk) = response.chunk().await? {
            response.received(match chunk.trim_ascii().is_empty() {
                true => Received::Nothing,
                false => Received::Something,
            });
            if whole.body.len() + chunk.len() > limit {
                return Err(HttpError::TooLarge(limit));
            }
            whole.share.grow(chunk.len())?;
            whole.body.extend_from_slice(&chunk);
        }
        Ok(whole)
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
            if !is_json {
                let content_type = self.content_type.as_deref().unwrap_or("none");
                record.error = Some(RecordError::new(
                    Exit::Protocol,
                    format!("not an API answer: the content type is '{content_type}'"),
                ));
            }
            return (record, None);
        }
        match self.read_answer(dialect) {
            Ok((summary, text, reasoning)) => {
                record.is_cut = !summary.caveats.is_empty();
                if let Some(recorded) = streamed {
                    let body = to_raw_value(&summary.completion(&text, &reasoning)).ok();
                    record.response = Some(RecordedResponse { body, ..recorded });
                }
            }
            Err(error) => {
                record.error = Some(RecordError::new(error.exit(), error.to_string()));
                return (record, Some(error));
            }
        }
        (record, None)
    }

    /// Reads the body as an answer: what is known of it, its text, its reasoning.
    fn read_answer(&self, dialect: Dialect) -> Result<(Summary, String, String), AnswerError> {
        let (mut text, mut reasoning) = (String::new(), String::new());
        let mut sink = |delta: Delta<'_>| match delta {
            Delta::Text(piece) => text.push_str(piece),
            Delta::Reasoning(piece) => reasoning.push_str(piece),
            Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut text)),
        };
        let mut reader = AnswerReader::new(self.content_type.as_deref()).dialect(dialect);
        reader.push(&self.body, &mut sink)?;
        let summary = reader.finish(&mut sink).map_err(|(error, _)| error)?;
        Ok((summary, text, reasoning))
    }
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

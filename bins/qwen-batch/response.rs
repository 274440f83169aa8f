//! Responses, read whole: as a refusal, or as the record of an answer.

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerError, AnswerReader, Delta, Dialect};
use qwen_shared::net::http::{HttpError, Response};
use serde_json::value::to_raw_value;

use crate::record::{Record, RecordError, RecordedResponse};

/// A response with its body.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    request_id: Option<String>,
    content_type: Option<String>,
}

impl WholeResponse {
    /// Reads a response to its end.
    ///
    /// # Errors
    /// Those of [`Response::body`].
    pub(crate) async fn read(response: Response, limit: usize) -> Result<Self, HttpError> {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let mut whole = Self {
            status: response.status(),
            body: Vec::new(),
            request_id: header("x-request-id"),
            content_type: header("content-type"),
        };
        whole.body = response.body(limit).await?;
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
        let mut answer = String::new();
        let mut reasoning = String::new();
        let mut sink = |delta: Delta<'_>| match delta {
            Delta::Text(text) => answer.push_str(text),
            Delta::Reasoning(text) => reasoning.push_str(text),
            Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut answer)),
        };
        let mut reader = AnswerReader::new(self.content_type.as_deref()).dialect(dialect);
        let read = reader.push(&self.body, &mut sink);
        match read.and_then(|()| reader.finish(&mut sink).map_err(|(error, _)| error)) {
            Ok(summary) => {
                record.is_cut = !summary.caveats.is_empty();
                if let Some(recorded) = streamed {
                    let body = to_raw_value(&summary.completion(&answer, &reasoning)).ok();
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
}

//! Responses, read whole: as a refusal, or as the record of an answer.

use std::time::SystemTime;

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerReader, Refusal, RefusalHead};
use qwen_shared::net::http::{HttpError, Response};

use crate::record::{Record, RecordError, RecordedResponse, json_on_one_line};

/// A response with its body.
#[derive(Debug)]
pub(crate) struct WholeResponse {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    request_id: Option<String>,
    content_type: Option<String>,
    head: RefusalHead,
    provider: &'static str,
}

impl WholeResponse {
    /// Reads a response to its end. A refusal whose body cannot be read is one without a body.
    ///
    /// # Errors
    /// Those of [`Response::body`].
    pub(crate) async fn read(
        response: Response,
        limit: usize,
        provider: &'static str,
    ) -> Result<Self, HttpError> {
        let header = |name: &str| response.header(name).map(str::to_owned);
        let mut whole = Self {
            status: response.status(),
            body: Vec::new(),
            request_id: header("x-request-id"),
            content_type: header("content-type"),
            head: RefusalHead::read(response.status(), response.headers(), SystemTime::now()),
            provider,
        };
        match response.body(limit).await {
            Ok(body) => whole.body = body,
            Err(error) if whole.is_success() => return Err(error),
            Err(_) => {}
        }
        Ok(whole)
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::read(&self.head, &self.body, self.provider)
    }

    pub(crate) fn recorded(&self) -> RecordedResponse {
        RecordedResponse {
            status_code: self.status,
            request_id: self.request_id.clone().unwrap_or_default(),
            body: json_on_one_line(&self.body),
        }
    }

    /// Returns the record of a response with a good status. Its body may be bad all the same: cut, a stream, an error.
    pub(crate) fn into_record(self, is_chat: bool) -> Record {
        let recorded = self.recorded();
        let is_json = recorded.body.is_some();
        let mut record = Record {
            response: is_json.then_some(recorded),
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
            return record;
        }
        let mut reader = AnswerReader::new(self.content_type.as_deref());
        let read = reader.push(&self.body, &mut |_| {});
        match read.and_then(|()| reader.finish(&mut |_| {}).map_err(|(error, _)| error)) {
            Ok(summary) if is_json => {
                record.is_cut = summary.finish_reason.is_some_and(|reason| reason.is_cut());
            }
            Ok(_) => {
                record.error = Some(RecordError::new(Exit::Protocol, "the answer came as a stream"));
            }
            Err(error) => record.error = Some(RecordError::new(error.exit(), error.to_string())),
        }
        record
    }
}

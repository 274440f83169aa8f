//! What a server said, and what to think of it.

use std::time::{Duration, SystemTime};

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerReader, Refusal};
use qwen_shared::net::http::retry_after;
use qwen_shared::net::http::{HttpError, Response};

use crate::line::Task;
use crate::record::{Fault, Reply, Verdict, one_line};

/// The largest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;

/// An answer, all of it.
pub(crate) struct Heard {
    pub(crate) reply: Reply,
    content_type: Option<String>,
    location: Option<String>,
    wait: Option<Duration>,
    bytes: Vec<u8>,
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response) -> Result<Heard, HttpError> {
    let status = response.status();
    let text = |name: &str| response.header(name).map(str::to_owned);
    let (content_type, location, request_id) = (text("content-type"), text("location"), text("x-request-id"));
    let wait = retry_after(
        response.header("retry-after"),
        response.header("retry-after-ms"),
        SystemTime::now(),
    );
    let bytes = match response.body(ANSWER_LIMIT).await {
        Ok(bytes) => bytes,
        // Of a refusal the status is enough.
        Err(_) if !(200..300).contains(&status) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(Heard {
        reply: Reply {
            status,
            request_id,
            body: one_line(&bytes),
        },
        content_type,
        location,
        wait,
        bytes,
    })
}

impl Heard {
    /// Reads it as the refusal that its status says it is.
    pub(crate) fn refusal(&self) -> Refusal {
        let status = self.reply.status;
        match &self.location {
            Some(location) if (300..400).contains(&status) => Refusal::redirect(status, location),
            _ => Refusal::read(status, self.content_type.as_deref(), &self.bytes, self.wait),
        }
    }

    /// Tells whether a good status came with a good answer.
    pub(crate) fn judge(self, task: &Task) -> Verdict {
        let fault = |exit, message: String, reply| Verdict {
            reply,
            fault: Some(Fault::new(exit, message)),
            is_cut: false,
        };
        if !task.is_chat() {
            return match self.reply.body {
                Some(_) => Verdict {
                    reply: Some(self.reply),
                    ..Verdict::default()
                },
                None => fault(Exit::Protocol, self.not_json(), None),
            };
        }
        let mut reader = AnswerReader::new(self.content_type.as_deref());
        let read = reader.push(&self.bytes, &mut |_| {});
        match read.and_then(|()| reader.finish(&mut |_| {}).map_err(|(error, _)| error)) {
            Ok(summary) if self.reply.body.is_some() => Verdict {
                is_cut: summary
                    .finish_reason
                    .as_ref()
                    .is_some_and(|reason| reason.is_cut()),
                reply: Some(self.reply),
                fault: None,
            },
            Ok(_) => fault(Exit::Protocol, "the answer came as a stream".to_owned(), None),
            Err(error) => {
                let reply = self.reply.body.is_some().then_some(self.reply);
                fault(error.exit(), error.to_string(), reply)
            }
        }
    }

    fn not_json(&self) -> String {
        let kind = self.content_type.as_deref().unwrap_or("none");
        format!("not an API answer: the content type is '{kind}'")
    }
}

//! Chat completions: members of a request, and the parsing of answers and errors.
//!
//! No socket, no file, no terminal. A caller pushes the bytes of an answer, wherever they were cut, into an
//! [`AnswerReader`], which emits [`Delta`]s and knows at the end whether the answer is whole. A response with a status
//! other than 2xx is a [`Refusal`].

mod answer;
mod api_error;
mod chunk;
mod content;
mod content_kind;
mod error;
mod events;
mod fingerprint;
mod finish_reason;
mod reasoning;
mod refusal;
mod repair_json;
mod request;
mod rules;
mod tool_calls;
mod usage;
mod verdict;

pub use answer::{AnswerReader, Dialect, Progress, Summary};
pub use api_error::ApiError;
pub use error::{ANSWER_LIMIT, AnswerError};
pub use finish_reason::{FinishReason, Meaning};
pub use reasoning::Delta;
pub use refusal::{Refusal, RefusalHead};
pub use request::{Change, ChatBody, Form, merge, parse_params};
pub use tool_calls::ToolCall;
pub use usage::Usage;
pub use verdict::{Asked, ErrorKind, Verdict};

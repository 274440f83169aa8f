//! Chat completions: members of a request, and the parsing of answers and errors.
//!
//! No socket, no file, no terminal. A caller pushes the bytes of an answer, wherever they were cut, into an
//! [`AnswerReader`], which emits [`Delta`]s and knows at the end whether the answer is whole. A response with a status
//! other than 2xx is a [`Refusal`].

mod answer;
mod answer_text;
mod api_error;
mod broken_event;
mod challenge;
mod choosing;
mod chunk;
mod content;
mod content_kind;
mod ending;
mod error;
mod events;
mod fingerprint;
mod finish_reason;
mod foreign;
mod frame;
mod message;
mod reasoning;
mod refusal;
mod repair_json;
mod request;
mod rules;
mod summary;
mod tool_calls;
mod usage;
mod verdict;
mod whole_answer;

pub use answer::{AnswerReader, Dialect, Progress};
pub use api_error::ApiError;
pub use error::{ANSWER_LIMIT, AnswerError};
pub use finish_reason::{FinishReason, Meaning};
pub use reasoning::Delta;
pub use refusal::{Refusal, RefusalHead, describe_body};
pub use repair_json::repaired_json;
pub use request::{Change, ChatBody, Form, merge, parse_params};
pub use summary::Summary;
pub use tool_calls::ToolCall;
pub use usage::Usage;
pub use verdict::{Asked, ErrorKind, Verdict};
pub use whole_answer::{WholeChoice, completion, read_whole};

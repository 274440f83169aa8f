//! Chat completions: members of a request, and the parsing of answers and errors.
//!
//! No socket, no file, no terminal. A caller pushes the bytes of an answer, wherever they were cut, into an
//! [`AnswerReader`], which emits [`Delta`]s and knows at the end whether the answer is whole. A response with a status
//! other than 2xx is a [`Refusal`].

mod answer;
mod api_error;
mod chunk;
mod content_kind;
mod error;
mod events;
mod reasoning;
mod refusal;
mod repair_json;
mod request;
mod rules;
mod verdict;

pub use answer::{AnswerReader, FinishReason, Summary};
pub use api_error::ApiError;
pub use chunk::ToolCall;
pub use error::AnswerError;
pub use reasoning::Delta;
pub use refusal::{Refusal, RefusalHead};
pub use request::{merge, parse_params};
pub use verdict::{Asked, ErrorKind, Verdict};

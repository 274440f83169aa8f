//! The chat-completions exchange: what is asked, and what is made of the bytes that come back.
//!
//! Pure: no socket, no file, no terminal. A caller builds a [`Body`] and sends it; it pushes the bytes of the answer,
//! however they were cut, into an [`AnswerReader`], which hands out [`Delta`]s and knows at the end whether the answer
//! is whole. A refusal (a status other than 2xx) is read by [`Refusal`].

mod answer;
mod chunk;
mod content_kind;
mod error;
mod events;
mod reasoning;
mod refusal;
mod repair_json;
mod request;
mod template;

pub use answer::{AnswerReader, Delta, FinishReason, Summary};
pub use chunk::{ToolCall, Usage};
pub use error::{AnswerError, ApiError, Kind};
pub use refusal::Refusal;
pub use request::{Body, Content, Message, Part, Role, merge, parse_params};

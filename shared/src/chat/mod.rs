//! The chat-completions exchange: what is asked, and what is made of the bytes that come back.
//!
//! Pure: no socket, no file, no terminal. A caller builds a [`Body`] and sends it; it pushes the bytes of the answer,
//! however they were cut, into an [`AnswerReader`], which hands out [`Delta`]s and knows at the end whether the answer
//! is whole. A refusal (a status other than 2xx) is read by [`Refusal`].

mod answer;
mod assembly;
mod chunk;
mod error;
mod events;
mod extract;
mod finish;
mod kind;
mod mend;
mod message;
mod refusal;
mod request;
mod sniff;
mod template;
mod text;
mod think;
mod tools;
mod usage;

pub use answer::AnswerReader;
pub use assembly::{Delta, Summary};
pub use error::{AnswerError, ApiError};
pub use extract::Extractor;
pub use finish::FinishReason;
pub use kind::Kind;
pub use message::{Content, Message, Part, Role};
pub use refusal::Refusal;
pub use request::{Body, merge};
pub use tools::ToolCall;
pub use usage::Usage;

//! What is known of an answer besides its text.

use serde_json::Value;

use super::finish_reason::{FinishReason, Meaning};
use super::tool_calls::ToolCall;

/// Everything known about an answer except its text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The server's name for the answer.
    pub id: String,
    /// The model that answered, as the server names it.
    pub model: String,
    /// Why the model stopped; `None` where the server names no reason.
    pub finish_reason: Option<FinishReason>,
    /// The `usage` object, when the server sends one.
    pub usage: Option<Value>,
    /// The tool calls that the model asks for.
    pub tool_calls: Vec<ToolCall>,
    /// True when there was text that is not all blank.
    pub has_text: bool,
    /// True when there was reasoning.
    pub has_reasoning: bool,
    /// True when the model refused, by its own word.
    pub is_refusal: bool,
    /// What is doubtful about an answer that is complete as a stream, in words.
    pub caveats: Vec<String>,
}

impl Summary {
    /// True when a model has worked: there is text, reasoning, a tool call, a refusal, or a limit or filter was met. An
    /// empty answer that only ends says nothing about who gave it.
    #[must_use]
    pub fn shows_work(&self) -> bool {
        let meaning = self.finish_reason.as_ref().map(|reason| reason.meaning);
        self.has_text
            || self.has_reasoning
            || self.is_refusal
            || !self.tool_calls.is_empty()
            || matches!(
                meaning,
                Some(Meaning::Limit | Meaning::Repetition | Meaning::Filter | Meaning::Refusal)
            )
    }
}

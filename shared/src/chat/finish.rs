//! Why an answer ends.

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinishReason {
    /// It was done, or met a stop sequence.
    Stop,
    /// `max_tokens` or the context was used up: the answer is cut.
    Length,
    /// A filter cut the answer.
    ContentFilter,
    /// It calls a tool.
    ToolCalls,
    /// A word of the server's own.
    Other(String),
}

impl FinishReason {
    /// Reads the server's word; an empty one and `null` (as DashScope writes it) mean that the answer goes on.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "" | "null" => return None,
            "stop" => Self::Stop,
            "length" => Self::Length,
            "content_filter" => Self::ContentFilter,
            "tool_calls" | "function_call" => Self::ToolCalls,
            other => Self::Other(other.to_owned()),
        })
    }

    /// Returns the word as the standard API has it.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Other(word) => word,
        }
    }

    /// True when the text is known not to be all of the answer.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        matches!(self, Self::Length | Self::ContentFilter)
    }
}

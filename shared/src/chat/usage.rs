//! What an answer cost.

use serde_json::Value;

/// The server's count of tokens: as sent, and read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Usage {
    /// The object as the server sent it, with whatever details it has.
    pub sent: Value,
    /// Tokens of the request.
    pub prompt: u64,
    /// Tokens of the answer, reasoning included.
    pub completion: u64,
    /// Of the request's tokens, those that a cache served.
    pub cached: u64,
    /// Of the answer's tokens, those spent on reasoning.
    pub reasoning: u64,
}

impl Usage {
    /// Reads the server's `usage` member; `None` for anything but an object.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let sent: Value = serde_json::from_str(json).ok()?;
        if !sent.is_object() {
            return None;
        }
        let count = |path: &str| sent.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        Some(Self {
            prompt: count("/prompt_tokens"),
            completion: count("/completion_tokens"),
            cached: count("/prompt_tokens_details/cached_tokens"),
            reasoning: count("/completion_tokens_details/reasoning_tokens"),
            sent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn a_count_is_read_with_whatever_details_it_has() {
        let usage = Usage::from_json(
            r#"{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"x":null}"#,
        )
        .unwrap();
        assert_eq!(
            (usage.prompt, usage.completion, usage.cached, usage.reasoning),
            (5, 7, 2, 0)
        );
        assert_eq!(usage.sent["x"], serde_json::Value::Null);
        for none in ["null", "3", "[]", "{"] {
            assert_eq!(Usage::from_json(none), None, "{none}");
        }
    }
}

//! The count of tokens.

use std::time::Duration;

use qwen_shared::net::chat::Summary;
use serde_json::Value;

/// The counts of a `usage` object. One that is missing is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    cached_tokens: u64,
    reasoning_tokens: u64,
}

impl Usage {
    pub(crate) fn read(usage: &Value) -> Self {
        let count = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or(0);
        Self {
            prompt_tokens: count("/prompt_tokens"),
            completion_tokens: count("/completion_tokens"),
            cached_tokens: count("/prompt_tokens_details/cached_tokens"),
            reasoning_tokens: count("/completion_tokens_details/reasoning_tokens"),
        }
    }
}

/// Returns the line of `--usage`.
pub(crate) fn usage_line(summary: &Summary, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let Some(usage) = summary.usage.as_ref().map(Usage::read) else {
        return format!("{seconds:.1} s; the server did not count tokens");
    };
    let mut words = format!(
        "{} tokens in, {} out",
        usage.prompt_tokens, usage.completion_tokens
    );
    for (count, what) in [
        (usage.cached_tokens, "cached"),
        (usage.reasoning_tokens, "reasoning"),
    ] {
        if count > 0 {
            words.push_str(&format!(", {count} {what}"));
        }
    }
    format!("{words}; {seconds:.1} s")
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn a_count_is_read_with_whatever_details_it_has() {
        for (usage, counts) in [
            (
                r#"{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"x":null}"#,
                [5, 7, 2, 0],
            ),
            (
                r#"{"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":3},"prompt_tokens":-1}"#,
                [0, 7, 0, 3],
            ),
            ("{}", [0; 4]),
        ] {
            let usage = Usage::read(&serde_json::from_str(usage).unwrap());
            let read = [
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
            ];
            assert_eq!(read, counts);
        }
    }
}

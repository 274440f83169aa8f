//! The line of `--usage`.

use std::time::Duration;

use qwen_shared::net::chat::{Summary, Usage};

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

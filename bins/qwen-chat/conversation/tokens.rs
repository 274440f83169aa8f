//! The tokens of a conversation.

use std::fmt;

use qwen_shared::net::chat::{Summary, Usage};

/// The tokens of the conversation so far.
#[derive(Debug, Default)]
pub(super) struct TokenCount {
    answers: u32,
    /// Answers whose tokens the server did not count.
    uncounted: u32,
    prompt: u64,
    completion: u64,
}

impl TokenCount {
    pub(super) fn add(&mut self, summary: &Summary) {
        self.answers += 1;
        match summary.usage.as_ref().map(Usage::read) {
            Some(usage) => {
                self.prompt += usage.prompt_tokens;
                self.completion += usage.completion_tokens;
            }
            None => self.uncounted += 1,
        }
    }
}

impl fmt::Display for TokenCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answers: {}; ", self.answers)?;
        if self.uncounted > 0 && self.uncounted == self.answers {
            return f.write_str("the server did not count tokens");
        }
        write!(f, "tokens: {} in, {} out", self.prompt, self.completion)?;
        match self.uncounted {
            0 => Ok(()),
            uncounted => write!(f, "; the server did not count those of {uncounted}"),
        }
    }
}

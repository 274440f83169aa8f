//! The count of tokens.

use serde_json::Value;

use super::api_error::plain;

/// The counts of a `usage` object. One that is missing is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question.
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    pub completion_tokens: u64,
    /// Tokens of the question that the server had seen before.
    pub cached_tokens: u64,
    /// Tokens of the answer that are reasoning.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// Reads the counts: whole numbers, floating-point ones that are whole, or either as text.
    #[must_use]
    pub fn read(usage: &Value) -> Self {
        let count = |names: [&str; 2]| {
            let mut counts = names.into_iter().filter_map(|name| whole(member(usage, name)?));
            counts.find(|count| *count > 0).unwrap_or(0)
        };
        let detail = |places: [&str; 2], name| {
            let mut counts = places
                .into_iter()
                .filter_map(|place| whole(member(member(usage, place)?, name)?));
            counts.find(|count| *count > 0).unwrap_or(0)
        };
        Self {
            prompt_tokens: count(["prompttokens", "inputtokens"]),
            completion_tokens: count(["completiontokens", "outputtokens"]),
            cached_tokens: detail(["prompttokensdetails", "inputtokensdetails"], "cachedtokens"),
            reasoning_tokens: detail(
                ["completiontokensdetails", "outputtokensdetails"],
                "reasoningtokens",
            ),
        }
    }
}

/// Returns a member by the letters of its name: `promptTokens` is `prompt_tokens`.
fn member<'v>(value: &'v Value, letters: &str) -> Option<&'v Value> {
    let mut members = value.as_object()?.iter();
    members
        .find(|(name, _)| plain(name) == letters)
        .map(|(_, value)| value)
}

fn whole(count: &Value) -> Option<u64> {
    let whole = |number: f64| (number >= 0.0 && number.fract() == 0.0).then_some(number as u64);
    match count {
        Value::String(digits) => digits.trim().parse().ok().and_then(whole),
        count => count.as_u64().or_else(|| whole(count.as_f64()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::Usage;

    #[test]
    fn counts_are_read_where_they_are_and_zero_elsewhere() {
        for (usage, counts) in [
            (
                r#"{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":2},"x":null}"#,
                [5, 7, 2, 0],
            ),
            (
                r#"{"promptTokens":5,"completionTokens":7,"completionTokensDetails":{"reasoningTokens":3}}"#,
                [5, 7, 0, 3],
            ),
            (
                r#"{"completion_tokens":7,"completion_tokens_details":{"reasoning_tokens":3},"prompt_tokens":-1}"#,
                [0, 7, 0, 3],
            ),
            (r#"{"prompt_tokens":5.0,"completion_tokens":7e0}"#, [5, 7, 0, 0]),
            (r#"{"input_tokens":5,"output_tokens":7}"#, [5, 7, 0, 0]),
            (
                r#"{"prompt_tokens":"5","completion_tokens":" 7.0 "}"#,
                [5, 7, 0, 0],
            ),
            (r#"{"prompt_tokens":"five","completion_tokens":0.5}"#, [0; 4]),
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

//! An answer that is there as a whole, with all its choices.

use serde_json::{Value, json};

use super::answer::{AnswerReader, Dialect};
use super::error::AnswerError;
use super::finish_reason::FinishReason;
use super::reasoning::Delta;
use super::summary::Summary;
use super::tool_calls::ToolCall;

/// The most choices that are put together.
const MAX_CHOICES: u64 = 128;

/// One choice of an answer that was put together.
#[derive(Clone, Debug)]
pub struct WholeChoice {
    /// What is known of it.
    pub summary: Summary,
    /// Its text.
    pub text: String,
    /// Its reasoning.
    pub reasoning: String,
}

impl WholeChoice {
    /// Returns the choice as a server writes it that does not stream.
    fn to_json(&self, index: usize) -> Value {
        let mut message = json!({ "role": "assistant", "content": self.text });
        if !self.reasoning.is_empty() {
            message["reasoning_content"] = self.reasoning.as_str().into();
        }
        if !self.summary.tool_calls.is_empty() {
            let call = |call: &ToolCall| {
                let function = json!({ "name": call.name, "arguments": call.arguments });
                json!({ "id": call.id, "type": "function", "function": function })
            };
            message["tool_calls"] = self.summary.tool_calls.iter().map(call).collect();
        }
        let reason = self.summary.finish_reason.as_ref().map(FinishReason::as_str);
        json!({ "index": index, "message": message, "finish_reason": reason })
    }
}

/// Returns an answer's choices as the object that a server which does not stream would have sent. What is said of the
/// whole (its name, the count of tokens) is the first one's.
#[must_use]
pub fn completion(choices: &[WholeChoice]) -> Value {
    let first = choices.first().map(|choice| &choice.summary);
    let mut completion = json!({
        "id": first.map_or("", |summary| &summary.id),
        "object": "chat.completion",
        "model": first.map_or("", |summary| &summary.model),
        "choices": choices.iter().enumerate().map(|(index, choice)| choice.to_json(index)).collect::<Value>(),
    });
    if let Some(usage) = first.and_then(|summary| summary.usage.as_ref()) {
        completion["usage"] = usage.clone();
    }
    completion
}

/// Puts every choice of an answer together: one, or as many as were asked for with `n`.
///
/// # Errors
/// As [`AnswerReader::push`] and [`AnswerReader::finish`], for any of them; true where text of it had come.
pub fn read_whole(
    content_type: Option<&str>,
    dialect: Dialect,
    body: &[u8],
) -> Result<Vec<WholeChoice>, (AnswerError, bool)> {
    let reader = || AnswerReader::new(content_type).dialect(dialect);
    let (first, count) = read_choice(reader(), body)?;
    let mut choices = vec![first];
    for index in 1..count.min(MAX_CHOICES) {
        choices.push(read_choice(reader().only(index), body)?.0);
    }
    Ok(choices)
}

/// Reads all of a body; returns a choice and how many there are.
fn read_choice(mut reader: AnswerReader, body: &[u8]) -> Result<(WholeChoice, u64), (AnswerError, bool)> {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut sink = |delta: Delta<'_>| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
        Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut text)),
    };
    if let Err(error) = reader.push(body, &mut sink) {
        reader.close(&mut sink);
        return Err((error, reader.into_summary().has_text));
    }
    // A body in one piece is only read at its end.
    let finished = reader.finish_with(&mut sink, AnswerReader::count);
    let (summary, count) = finished.map_err(|(error, summary)| (error, summary.has_text))?;
    let choice = WholeChoice {
        summary,
        text,
        reasoning,
    };
    Ok((choice, count))
}

#[cfg(test)]
mod tests {
    use super::{Dialect, completion, read_whole};

    #[test]
    fn all_choices_of_a_stream_are_put_together() {
        let chunk = |index: u32, delta: &str, reason: &str| {
            format!(
                r#"data: {{"id":"i","model":"m","choices":[{{"index":{index},"delta":{{{delta}}},"finish_reason":{reason}}}]}}{}"#,
                "\n\n"
            )
        };
        let stream = [
            chunk(0, r#""content":"a""#, "null"),
            chunk(1, r#""content":"x","reasoning_content":"r""#, "null"),
            chunk(0, r#""content":"b""#, "null"),
            chunk(1, "", r#""length""#),
            chunk(0, "", r#""stop""#),
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned(),
            "data: [DONE]\n\n".to_owned(),
        ];
        let stream = stream.concat();
        let choices = read_whole(Some("text/event-stream"), Dialect::default(), stream.as_bytes());
        let whole = completion(&choices.unwrap());
        assert_eq!(whole["choices"][0]["message"]["content"], "ab");
        assert_eq!(whole["choices"][1]["message"]["content"], "x");
        assert_eq!(whole["choices"][1]["message"]["reasoning_content"], "r");
        assert_eq!(whole["choices"][1]["finish_reason"], "length");
        assert_eq!(whole["usage"]["prompt_tokens"], 1);
        assert!(whole["choices"].get(2).is_none());
    }

    #[test]
    fn one_choice_that_breaks_off_breaks_the_whole() {
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},\
                      {\"index\":1,\"delta\":{\"content\":\"b\"}}]}\n\n";
        let read = read_whole(Some("text/event-stream"), Dialect::default(), stream.as_bytes());
        assert!(read.unwrap_err().1);
    }
}

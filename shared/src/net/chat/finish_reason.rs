//! Why a model stopped, in the words of any make of server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::content::Text;
use crate::text::{clip, one_line};

/// The server's word for why the model stopped: text, or the `type` or
/// the `reason` of an object (SGLang).
#[derive(Debug)]
pub(super) struct Reason<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Reason<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        if !json.starts_with('{') {
            return serde_json::from_str(json)
                .map(|Text(word)| Self(word))
                .map_err(D::Error::custom);
        }
        let mut reason: Value = serde_json::from_str(json).map_err(D::Error::custom)?;
        let word = ["type", "reason"]
            .iter()
            .find_map(|name| reason.get_mut(name).map(Value::take));
        Ok(Self(match word {
            Some(Value::String(word)) => word.into(),
            Some(Value::Null) => Cow::default(),
            // Whatever it says, it is a reason that nobody knows.
            _ => json.into(),
        }))
    }
}

/// Why the model stopped: the server's word and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishReason {
    word: String,
    /// What the word means.
    pub meaning: Meaning,
}

/// What a finish reason means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// The answer is complete, or met a stop sequence.
    Whole,
    /// It calls a tool.
    ToolCalls,
    /// A limit of tokens was reached: the answer is cut.
    Limit,
    /// The model said the same again and again, and was stopped.
    Repetition,
    /// A filter cut the answer.
    Filter,
    /// The model would not answer.
    Refusal,
    /// The server had no time or no room to go on: the same request may succeed later.
    Busy,
    /// The answer was interrupted.
    Broken,
    /// The answer goes on. As the last word it is an interruption.
    GoesOn,
    /// Nothing: it stands where others have `null`.
    Nothing,
    /// A word that nobody knows: it is no sign of success.
    Unknown,
}

impl Meaning {
    /// Returns how much a reason says against the answer.
    const fn weight(self) -> u8 {
        match self {
            Self::Nothing | Self::GoesOn => 0,
            Self::Whole => 1,
            Self::ToolCalls => 2,
            Self::Unknown => 3,
            Self::Limit | Self::Repetition => 4,
            Self::Refusal => 5,
            Self::Filter => 6,
            Self::Busy => 7,
            Self::Broken => 8,
        }
    }
}

/// The order in which the words that contain another are judged.
const JUDGED: [Meaning; 10] = [
    Meaning::Nothing,
    Meaning::GoesOn,
    Meaning::Whole,
    Meaning::ToolCalls,
    Meaning::Repetition,
    Meaning::Limit,
    Meaning::Filter,
    Meaning::Refusal,
    Meaning::Busy,
    Meaning::Broken,
];

impl FinishReason {
    /// Parses a `finish_reason` of that provider (its name in the catalogue, or an empty one).
    ///
    /// An empty word, and what stands for it (`null` as DashScope writes it, Python's `None`, `end_turn` of xAI), says nothing.
    /// Words are compared by their letters and digits: `MAX_TOKENS`, `max-tokens` and `maxTokens` are one.
    #[must_use]
    pub fn parse(word: &str, provider: &str) -> Option<Self> {
        let meaning = match word {
            "stop" => Meaning::Whole,
            "" => return None,
            _ => {
                let letters = letters(word);
                match without_type(&letters) {
                    "" | "null" | "none" | "false" | "unspecified" | "undefined" | "notreported" => {
                        return None;
                    }
                    letters => match table().meaning(letters, provider) {
                        Meaning::Nothing => return None,
                        meaning => meaning,
                    },
                }
            }
        };
        Some(Self {
            word: word.to_owned(),
            meaning,
        })
    }

    /// Returns the reason as the server spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.word
    }

    /// Returns the reason as a message may quote it: on one harmless line of bounded length.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("'{}'", clip(one_line(&self.word).trim(), 60))
    }

    /// Returns the one of two reasons for the same end that counts: the worse, since relays add a `stop` of their own.
    #[must_use]
    pub(super) fn worse(self, later: Self) -> Self {
        if self.meaning.weight() > later.meaning.weight() {
            self
        } else {
            later
        }
    }

    /// True when the server could not go on: what came is no answer.
    #[must_use]
    pub const fn is_interruption(&self) -> bool {
        matches!(self.meaning, Meaning::Busy | Meaning::Broken | Meaning::GoesOn)
    }

    /// Returns what is doubtful about an answer that ends so.
    pub(super) fn caveat(&self) -> Option<String> {
        let word = self.quoted();
        Some(match self.meaning {
            Meaning::Limit => {
                format!("the answer is cut: it reached the limit of tokens (finish_reason {word})")
            }
            Meaning::Repetition => {
                format!("the answer is cut: the model began to repeat itself (finish_reason {word})")
            }
            Meaning::Filter => format!("the answer is cut: by the provider's filter (finish_reason {word})"),
            Meaning::Refusal => format!("the model refused to answer (finish_reason {word})"),
            Meaning::Unknown => {
                format!("the answer may be incomplete: the server's finish reason {word} is unknown")
            }
            Meaning::Whole
            | Meaning::ToolCalls
            | Meaning::Busy
            | Meaning::Broken
            | Meaning::GoesOn
            | Meaning::Nothing => return None,
        })
    }
}

/// Returns a word without the name of its type before it: `FinishReason.STOP`, `REASON_STOP`.
fn without_type(letters: &str) -> &str {
    let name = "reason";
    let rest = letters.rfind(name).map(|at| &letters[at + name.len()..]);
    rest.filter(|rest| !rest.starts_with("ing")).unwrap_or(letters)
}

/// The words of `finish_reasons.json`.
#[derive(Debug, Default, Deserialize)]
struct Table {
    general: Words,
    /// By the provider's name in the catalogue: what differs there.
    providers: HashMap<String, Words>,
}

type Words = HashMap<Meaning, WordList>;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WordList {
    /// A reason that is one of these.
    equal: Vec<String>,
    /// A reason that is put together of these alone, ...
    made_of: Vec<String>,
    /// ... and of one of these at least: `eos_id`, `stop_str`, `<|im_end|>`, `stop_sequence_reached`.
    with: Vec<String>,
    /// A reason of which one of these is a part.
    contain: Vec<String>,
}

impl WordList {
    fn all_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let lists = [
            &mut self.equal,
            &mut self.made_of,
            &mut self.with,
            &mut self.contain,
        ];
        lists.into_iter().flatten()
    }

    fn is_made_of(&self, letters: &str) -> bool {
        letters.len() <= LONGEST_MADE && self.with.iter().any(|with| letters.contains(with.as_str())) && {
            // Whether the letters up to each place are whole words, and whether one of `with` is among them.
            let mut ends = [None; LONGEST_MADE + 1];
            ends[0] = Some(false);
            for place in 0..letters.len() {
                let Some(has_with) = ends[place] else { continue };
                let words = [(&self.made_of, false), (&self.with, true)];
                for (word, is_with) in words
                    .iter()
                    .flat_map(|(list, is_with)| list.iter().map(|word| (word, *is_with)))
                {
                    if letters[place..].starts_with(word.as_str()) {
                        let end = &mut ends[place + word.len()];
                        *end = Some(end.unwrap_or(false) || has_with || is_with);
                    }
                }
            }
            ends[letters.len()] == Some(true)
        }
    }
}

/// The longest reason, in bytes, that is looked at word by word.
const LONGEST_MADE: usize = 64;

impl Table {
    /// Returns what a word means: what is known of the provider first, whole words before parts of words.
    fn meaning(&self, letters: &str, provider: &str) -> Meaning {
        let own = self.providers.get(provider);
        own.into_iter()
            .chain([&self.general])
            .find_map(|words| find(letters, words))
            .unwrap_or(Meaning::Unknown)
    }
}

fn find(letters: &str, words: &Words) -> Option<Meaning> {
    let lists = || {
        JUDGED
            .into_iter()
            .filter_map(|meaning| Some((meaning, words.get(&meaning)?)))
    };
    let equal = lists().find(|(_, list)| list.equal.iter().any(|word| word == letters));
    let made = || lists().find(|(_, list)| list.is_made_of(letters));
    let contain =
        || lists().find(|(_, list)| list.contain.iter().any(|part| letters.contains(part.as_str())));
    equal.or_else(made).or_else(contain).map(|(meaning, _)| meaning)
}

/// The table, read when the first word comes that is not `stop`.
fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        // That the file parses is a unit test.
        let mut table: Table =
            serde_json::from_str(include_str!("../../provider/finish_reasons.json")).unwrap_or_default();
        let lists = table.providers.values_mut().chain([&mut table.general]);
        for word in lists
            .flat_map(|words| words.values_mut())
            .flat_map(WordList::all_mut)
        {
            *word = letters(word);
        }
        table
    })
}

fn letters(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{FinishReason, Meaning, Table, table};

    #[test]
    fn the_table_is_read() {
        let read: Table = serde_json::from_str(include_str!("../../provider/finish_reasons.json")).unwrap();
        assert_eq!(table().general.len(), read.general.len());
        assert_eq!(table().general.len(), 9);
        for provider in read.providers.keys() {
            assert!(crate::provider::named(provider).is_some(), "{provider}");
        }
    }

    #[test]
    fn a_reason_is_understood_whatever_its_spelling() {
        for (meaning, words) in [
            (
                Meaning::Whole,
                &[
                    "stop",
                    "STOP",
                    "Stop",
                    "FinishReason.STOP",
                    "FINISH_REASON_STOP",
                    "eos",
                    "EOS_TOKEN",
                    "eosFound",
                    "stop_sequence",
                    "stop-sequence",
                    "stopSequence",
                    "end_turn",
                    "COMPLETE",
                    "normal",
                    "</s>",
                    "<|im_end|>",
                    "STOP_REASON_STOP",
                    "end",
                    "stop_words",
                    "FINISH",
                    "endoftext",
                    // Of the engines: ends by a token, a sequence, a filter of their own.
                    "eos_id",
                    "stop_str",
                    "eot-im",
                    "eogToken",
                    "end_id",
                    "<|eot_id|>",
                    "<|eom_id|>",
                    "<|return|>",
                    "<|END_OF_TURN_TOKEN|>",
                    "<end_of_turn>",
                    "<\u{ff5c}end\u{2581}of\u{2581}sentence\u{ff5c}>",
                    "stop_criteria_met",
                    "stop_before",
                    "stop_sequence_reached",
                    "end_of_message",
                    "end_filter",
                    "FINISHED_STOP",
                    "FINISH_MATCHED_STR",
                    "STOP_PATTERN",
                    "stopped_by_eos",
                    "REASON_STOP",
                    "ChatFinishReason.Stop",
                    "ALTERNATIVE_STATUS_FINAL",
                    "message_stop",
                    "succeeded",
                ][..],
            ),
            (
                Meaning::ToolCalls,
                &[
                    "tool_calls",
                    "function_call",
                    "tool_use",
                    "TOOL_CALL",
                    "toolCalls",
                    "REASON_TOOL_CALLS",
                    "<|call|>",
                    "<|observation|>",
                ],
            ),
            (
                Meaning::Limit,
                &[
                    "length",
                    "MAX_TOKENS",
                    "maxTokens",
                    "max_output_tokens",
                    "model_length",
                    "model_context_window_exceeded",
                    "maxPredictedTokensReached",
                    "contextLengthReached",
                    "token_limit",
                    "ERROR_LIMIT",
                    "REASON_MAX_LEN",
                    "REASON_MAX_CONTEXT",
                    "maximum_tokens",
                    "max_prompt_tokens",
                    "context",
                    "context_overflow",
                    "max_iterations_exceeded",
                    "max_output_tokens_exceeded",
                    "length_exceeded",
                    "out_of_tokens",
                    "ALTERNATIVE_STATUS_TRUNCATED_FINAL",
                    "FINISHED_LENGTH",
                    "max_turns",
                    "stop_token_limit",
                    "contextFull",
                ],
            ),
            (
                Meaning::Filter,
                &[
                    "content_filter",
                    "content-filter",
                    "contentFilter",
                    "SAFETY",
                    "IMAGE_SAFETY",
                    "recitation",
                    "sensitive",
                    "PROHIBITED_CONTENT",
                    "SPII",
                    "guardrail_intervened",
                    "content_filtered",
                    "ERROR_TOXIC",
                    "IMAGE_RECITATION",
                    "IMAGE_PROHIBITED_CONTENT",
                    "LANGUAGE",
                    "BLOCKLIST",
                    "MODEL_ARMOR",
                    "unsafe_content",
                    "blacklist",
                    "filter",
                    "policy_violation",
                ],
            ),
            (
                Meaning::Repetition,
                &[
                    "repetition",
                    "repetition_detected",
                    "REPETITIVE",
                    "degenerate_loop",
                ],
            ),
            (Meaning::Refusal, &["refusal"]),
            (
                Meaning::Busy,
                &[
                    "insufficient_system_resource",
                    "timeout",
                    "time_limit",
                    "engine_overloaded",
                    "modelUnloaded",
                    "server_busy",
                    "timeout_exceeded",
                    "load",
                    "unload",
                    "preempt",
                ],
            ),
            (
                Meaning::Broken,
                &[
                    "error",
                    "network_error",
                    "cancelled",
                    "CANCELED",
                    "USER_CANCEL",
                    "abort",
                    "aborted",
                    "malformed_function_call",
                    "malformed_model_output",
                    "malformed_tool_use",
                    "MALFORMED_RESPONSE",
                    "UNEXPECTED_TOOL_CALL",
                    "TOO_MANY_TOOL_CALLS",
                    "MISSING_THOUGHT_SIGNATURE",
                    "pause_turn",
                    "partial_turn",
                    "interrupted",
                    "userStopped",
                    "failed",
                    "stopped_by_client",
                    "compaction",
                ],
            ),
            (
                Meaning::GoesOn,
                &["in_progress", "NOT_FINISHED", "processing", "queued", "PENDING"],
            ),
            (
                Meaning::Unknown,
                &[
                    "unknown",
                    "OTHER",
                    "IMAGE_OTHER",
                    "NO_IMAGE",
                    "vibes",
                    "early_stop",
                    "of_the",
                    "reasoning_stop_gap",
                    "42",
                    "余额",
                ],
            ),
        ] {
            for word in words {
                let reason = FinishReason::parse(word, "").unwrap();
                assert_eq!((reason.meaning, reason.as_str()), (meaning, *word));
            }
        }
        for word in ["", "null", "None", "finish_reason_unspecified", "-"] {
            assert_eq!(FinishReason::parse(word, ""), None, "{word}");
        }
    }

    /// xAI: "`end_turn` or `null` in streaming mode when the chunk is not the last"
    /// (https://docs.x.ai/developers/rest-api-reference/inference/chat-completions). So it is no end, and says no more
    /// than `null` where it is the last word all the same.
    #[test]
    fn a_turn_that_ends_says_nothing_at_xai() {
        for (word, provider, meaning) in [
            ("end_turn", "", Some(Meaning::Whole)),
            ("end_turn", "openrouter", Some(Meaning::Whole)),
            ("end_turn", "xai", None),
            ("stop", "xai", Some(Meaning::Whole)),
            ("length", "xai", Some(Meaning::Limit)),
        ] {
            let reason = FinishReason::parse(word, provider);
            assert_eq!(
                reason.map(|reason| reason.meaning),
                meaning,
                "{word} of {provider}"
            );
        }
    }

    #[test]
    fn a_provider_may_use_a_word_in_its_own_sense() {
        let table: Table = serde_json::from_str(
            r#"{
                "general": { "whole": { "equal": ["end"] }, "limit": { "contain": ["token"] } },
                "providers": { "acme": { "busy": { "equal": ["end"] } } }
            }"#,
        )
        .unwrap();
        for (word, provider, meaning) in [
            ("end", "", Meaning::Whole),
            ("end", "other", Meaning::Whole),
            ("end", "acme", Meaning::Busy),
            ("alltokens", "acme", Meaning::Limit),
            ("ended", "acme", Meaning::Unknown),
        ] {
            assert_eq!(table.meaning(word, provider), meaning, "{word} of {provider}");
        }
    }
}

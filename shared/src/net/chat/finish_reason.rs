//! Why a model stopped, in the words of any make of server.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

use crate::text::{clip, one_line};

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
                let prefixes = ["finishreason", "stopreason"];
                let word = prefixes.iter().find_map(|prefix| letters.strip_prefix(prefix));
                match word.unwrap_or(&letters) {
                    "" | "null" | "none" | "false" | "unspecified" | "undefined" => return None,
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
    /// A reason of which one of these is a part.
    contain: Vec<String>,
}

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
    let contain =
        || lists().find(|(_, list)| list.contain.iter().any(|part| letters.contains(part.as_str())));
    equal.or_else(contain).map(|(meaning, _)| meaning)
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
            .flat_map(|list| list.equal.iter_mut().chain(&mut list.contain))
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

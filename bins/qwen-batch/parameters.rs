//! The parameters of a request, which a line may have beside its prompt.

use strsim::damerau_levenshtein;

/// Those of OpenAI's API and of the servers that speak it. What a line has besides is for its owner, and is not sent.
const PARAMETERS: [&str; 46] = [
    "audio",
    "chat_template_kwargs",
    "enable_search",
    "enable_thinking",
    "frequency_penalty",
    "function_call",
    "functions",
    "guided_choice",
    "guided_json",
    "guided_regex",
    "incremental_output",
    "length_penalty",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "min_p",
    "min_tokens",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning",
    "reasoning_effort",
    "repetition_penalty",
    "response_format",
    "safety_identifier",
    "safety_settings",
    "search_options",
    "seed",
    "service_tier",
    "stop",
    "stop_token_ids",
    "structured_outputs",
    "temperature",
    "thinking",
    "thinking_budget",
    "tool_choice",
    "tools",
    "top_k",
    "top_logprobs",
    "top_p",
    "verbosity",
    "vl_high_resolution_images",
    "web_search_options",
];

/// A name that is shorter is not taken for a misspelt parameter.
const SHORTEST: usize = 5;

pub(crate) fn is_parameter(name: &str) -> bool {
    PARAMETERS.binary_search(&name).is_ok()
}

/// Returns the parameter for which a name may have been meant that is none.
pub(crate) fn nearest_parameter(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    if name.len() < SHORTEST {
        return None;
    }
    PARAMETERS.into_iter().find(|known| {
        let is_camel_case = || name == known.replace('_', "");
        let is_near = || known.len().abs_diff(name.len()) <= 1 && damerau_levenshtein(&name, known) <= 1;
        known.len() >= SHORTEST && (is_near() || is_camel_case())
    })
}

#[cfg(test)]
mod tests {
    use super::{PARAMETERS, is_parameter, nearest_parameter};

    #[test]
    fn parameters_are_sorted_and_their_misspellings_are_found() {
        assert!(PARAMETERS.is_sorted());
        assert!(is_parameter("temperature") && !is_parameter("label"));
        for (name, nearest) in [
            ("temprature", Some("temperature")),
            ("maxTokens", Some("max_tokens")),
            ("max-tokens", Some("max_tokens")),
            ("label", None),
            ("id", None),
            ("tool", None),
        ] {
            assert_eq!(nearest_parameter(name), nearest, "{name}");
        }
    }
}

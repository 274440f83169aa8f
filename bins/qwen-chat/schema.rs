//! Whether an answer fits the schema that was asked for.

use qwen_shared::chat::Extractor;
use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::text::clip;
use serde_json::Value;

/// The most faults that a message names.
const NAMED: usize = 3;

/// The longest description of a fault, in characters: it quotes what does not fit.
const FAULT: usize = 200;

/// Returns the JSON text of an answer: without the code fence that some models put around it.
pub(crate) fn unfenced(text: &str) -> String {
    let trimmed = text.trim();
    if trimmed.starts_with("```") {
        let mut code = String::new();
        let mut extractor = Extractor::default();
        extractor.push(trimmed, &mut |line| code.push_str(line));
        extractor.end(&mut |line| code.push_str(line));
        return code.trim().to_owned();
    }
    trimmed.to_owned()
}

/// Checks an answer.
///
/// # Errors
/// 65 when it is not JSON or does not fit.
pub(crate) fn check(text: &str, schema: &Value) -> Result<(), Failure> {
    let answer: Value = serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Data, format!("the answer is not JSON: {error}")))?;
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| Failure::new(Exit::Data, format!("not a JSON schema: {error}")))?;
    let faults: Vec<String> = validator
        .iter_errors(&answer)
        .take(NAMED)
        .map(|fault| {
            let place = fault.instance_path().to_string();
            let place = if place.is_empty() {
                "the whole".to_owned()
            } else {
                place
            };
            clip(&format!("{place}: {fault}"), FAULT)
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Data,
        format!("the answer does not fit the schema: {}", faults.join("; ")),
    ))
}

//! The JSON schema of `--schema`: reading it, and checking an answer against it.

use std::path::Path;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{ReferencingError, ValidationError, Validator};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::input::read_text;
use qwen_shared::text::{clip, one_line};
use serde_json::Value;
use serde_json::error::Category;

/// The most faults of an answer that a message names.
const MAX_FAULTS: usize = 3;

/// The longest fault, in characters: it quotes the answer.
const MAX_FAULT: usize = 200;

/// The most characters that are quoted of what is no JSON.
const QUOTED: usize = 40;

/// Reads the schema of `--schema`.
///
/// # Errors
/// 66 when the file cannot be read, 65 when it is not a JSON schema. Nothing has been sent by then.
pub(crate) fn read(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path)?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let fault = json_fault(&text, &error);
        Failure::new(
            Exit::Data,
            format!("{}:{line}:{column}: not JSON: {fault}", path.display()),
        )
    })?;
    validator(&schema).map_err(|error| not_a_schema(&format!("'{}'", path.display()), &error))?;
    Ok(schema)
}

/// Checks an answer against a schema.
///
/// # Errors
/// 65 when it is not JSON or does not fit.
pub(crate) fn check(text: &str, schema: &Value) -> Result<(), Failure> {
    let answer: Value = serde_json::from_str(text).map_err(|error| {
        let fault = json_fault(text, &error);
        Failure::new(Exit::Data, format!("the answer is not JSON: {fault}"))
    })?;
    let validator = validator(schema).map_err(|error| not_a_schema("the schema", &error))?;
    let faults: Vec<String> = validator
        .iter_errors(&answer)
        .take(MAX_FAULTS)
        .map(|error| clip(&one_line(&fault(&error)), MAX_FAULT))
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Data,
        format!("the answer does not fit the schema: {}", faults.join("; ")),
    ))
}

/// Makes the validator: of draft 2020-12 unless `$schema` names another, and of formats too.
fn validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options().should_validate_formats(true).build(schema)
}

fn not_a_schema(subject: &str, error: &ValidationError<'_>) -> Failure {
    if let ValidationErrorKind::Referencing(error) = error.kind() {
        let message = match error {
            ReferencingError::Unretrievable { uri, .. } => {
                format!(
                    "{subject}: it refers to '{}', which is not fetched",
                    clip(uri, 200)
                )
            }
            _ => format!("{subject}: not a JSON schema: a reference in it leads nowhere"),
        };
        return Failure::new(Exit::Data, message).hint("put what is referred to under '$defs' of the schema");
    }
    let fault = clip(&one_line(&fault(error)), MAX_FAULT);
    Failure::new(Exit::Data, format!("{subject}: not a JSON schema: {fault}"))
}

/// Says why a text is no JSON.
fn json_fault(text: &str, error: &serde_json::Error) -> String {
    if text.trim().is_empty() {
        return "it is empty".to_owned();
    }
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => "it breaks off".to_owned(),
        _ => {
            let found = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let from = found
                .char_indices()
                .map(|(at, _)| at)
                .take_while(|at| *at < column)
                .last();
            let rest = found.get(from.unwrap_or_default()..).unwrap_or_default();
            let quoted = clip(one_line(rest).trim(), QUOTED);
            format!("line {line}, column {column} cannot stand there: '{quoted}'")
        }
    }
}

/// Says where a value does not fit its schema, and why.
fn fault(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let place = if place.is_empty() {
        "the whole"
    } else {
        place.as_str()
    };
    let found = clip(&error.instance().to_string(), QUOTED);
    format!("{place}: {}", reason(error.kind(), &found))
}

fn reason(kind: &ValidationErrorKind, found: &str) -> String {
    use ValidationErrorKind as Kind;
    match kind {
        Kind::Type { kind } => format!("{found} is no {}", types(kind)),
        Kind::Required { property } => format!("{property} is missing"),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("'{}' is not provided for", unexpected.join("', '"))
        }
        Kind::Enum { options } => format!("{found} is none of {options}"),
        Kind::Constant { expected_value } => format!("{found} is not {expected_value}"),
        Kind::Minimum { limit } => format!("{found} is less than {limit}"),
        Kind::Maximum { limit } => format!("{found} is more than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("{found} is not more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("{found} is not less than {limit}"),
        Kind::MinLength { limit } => format!("{found} is shorter than {limit} characters"),
        Kind::MaxLength { limit } => format!("{found} is longer than {limit} characters"),
        Kind::MinItems { limit } => format!("there are fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("there are more than {limit} items"),
        Kind::MinProperties { limit } => format!("there are fewer than {limit} members"),
        Kind::MaxProperties { limit } => format!("there are more than {limit} members"),
        Kind::Pattern { pattern } => format!("{found} does not match the pattern '{pattern}'"),
        Kind::Format { format } => format!("{found} is not of the format '{format}'"),
        Kind::UniqueItems => "two items are the same".to_owned(),
        Kind::FalseSchema => "nothing may stand here".to_owned(),
        Kind::PropertyNames { error } => format!("the name {}", reason(error.kind(), found)),
        other => format!("{found} does not fit '{}'", other.keyword()),
    }
}

/// Names one type, or several of which any would do.
fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(several) => {
            let names: Vec<String> = several.iter().map(|one| one.to_string()).collect();
            names.join(" or ")
        }
    }
}

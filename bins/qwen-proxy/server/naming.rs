//! Which members of a request name models besides `model`, and whether those may be asked.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::members::Members;
use super::refusal::Refusal;
use super::rules::{Rules, unreadable};

/// What is in the name of a member by which servers and gateways take a model, or take another one in its place.
const AT_TOP: [&str; 6] = ["model", "engine", "deployment", "fallback", "preset", "adapter"];

/// The same for members of objects, where an engine is that of a search.
const BELOW: [&str; 3] = ["model", "deployment", "fallback"];

/// Members with what was said, or with a form for the answer: what names a model there is text.
const CONTENT: [&str; 13] = [
    "messages",
    "input",
    "prompt",
    "prediction",
    "instructions",
    "suffix",
    "documents",
    "metadata",
    "functions",
    "response_format",
    "text",
    "guided_json",
    "structured_outputs",
];

/// Members of a JSON schema whose own members are named by whoever wrote it.
const PROPERTIES: [&str; 5] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "$defs",
    "definitions",
];

/// Folds a name as lenient readers do: case, and the two letters that fold to ASCII ones.
pub(super) fn fold(name: &str) -> String {
    let folded = name.trim().to_lowercase();
    folded.replace('\u{17f}', "s").replace('\u{212a}', "k")
}

/// True for the name of a member, a field or a parameter that names models, but for `model` itself.
pub(super) fn names_other_models(name: &str) -> bool {
    let name = fold(name);
    let is_model = name.trim_end_matches(['[', ']']) == "model";
    let holds_members = name == "extra_body" || name == "lora" || name.starts_with("lora_");
    !is_model && (holds_members || AT_TOP.iter().any(|word| name.contains(word)))
}

/// The refusal of a member that names models besides the one that is judged.
pub(super) fn refused(name: &str) -> Refusal {
    let message = format!("'{name}' could name other models than this qwen-proxy lets pass");
    Refusal::forbidden("member_not_allowed", message)
}

/// Refuses what names models besides the one that is judged.
///
/// # Errors
/// 403 for such a member, or for a model in an object such as a tool; 400 for what cannot be read.
pub(super) fn check(rules: &Rules, body: &[u8], members: &Members) -> Result<(), Refusal> {
    for member in members.iter() {
        if names_other_models(&member.name) {
            return Err(refused(&member.name));
        }
        if member.name == "model" || CONTENT.contains(&member.name.as_str()) {
            continue;
        }
        let value = body.get(member.value.clone()).unwrap_or_default();
        check_objects(rules, &member.name, value)?;
    }
    Ok(())
}

/// Judges the models in objects at any depth.
fn check_objects(rules: &Rules, name: &str, value: &[u8]) -> Result<(), Refusal> {
    if !value.starts_with(b"{") && !value.starts_with(b"[") {
        return Ok(());
    }
    let is_refused = Cell::new(false);
    let below = Below {
        rules,
        is_refused: &is_refused,
        place: Place::Any,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(value);
    below
        .deserialize(&mut deserializer)
        .map_err(|error| unreadable(&format!("'{name}': {error}")))?;
    match is_refused.get() {
        true => Err(rules.refusal(&format!("a model in '{name}' may not be asked"))),
        false => Ok(()),
    }
}

/// What a value is by the member that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Any,
    /// The properties of a JSON schema: their names are none of the request's.
    Properties,
    /// A model's name, or a list of such.
    Model,
    /// The same, or the schema of a property of that name.
    ModelOrSchema,
}

/// Reads a value in one pass and keeps nothing of it.
#[derive(Clone, Copy, Debug)]
struct Below<'r> {
    rules: &'r Rules,
    is_refused: &'r Cell<bool>,
    place: Place,
}

impl Below<'_> {
    const fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    fn place_of(self, name: &str) -> Place {
        let folded = fold(name);
        let is_model = BELOW.iter().any(|word| folded.contains(word));
        match (self.place, is_model) {
            (Place::Properties, true) => Place::ModelOrSchema,
            (_, true) => Place::Model,
            (Place::Properties, false) => Place::Any,
            (_, false) if PROPERTIES.contains(&name) => Place::Properties,
            (_, false) => Place::Any,
        }
    }

    /// Takes note of a value that is no name of a model.
    fn other(self) {
        if self.place == Place::Model {
            self.is_refused.set(true);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Below<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.other();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.other();
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.other();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.other();
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if matches!(self.place, Place::Model | Place::ModelOrSchema) && !self.rules.lets(text) {
            self.is_refused.set(true);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.other();
        while let Some(name) = map.next_key::<String>()? {
            if name == "metadata" && self.place != Place::Properties {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            map.next_value_seed(self.at(self.place_of(&name)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Rules, check, names_other_models};
    use crate::server::members::Members;

    #[test]
    fn a_model_is_judged_at_any_depth() {
        let rules = Rules {
            allowed: vec!["m".to_owned()],
            replacement: None,
        };
        let is_let = |body: &str| {
            let members = Members::read(body.as_bytes()).unwrap();
            check(&rules, body.as_bytes(), &members).is_ok()
        };
        for body in [
            r#"{"tools":[{"type":"x","parameters":{"model":"other"}}]}"#,
            r#"{"plugins":[{"config":{"models":["m","other"]}}]}"#,
            r#"{"litellm_params":{"p":{"model":"other"}}}"#,
            r#"{"a":[[[{"b":{"Draft_Model":"other"}}]]]}"#,
            r#"{"a":{"b":{"model":{"name":"m"}}}}"#,
            r#"{"a":{"b":{"fallbacks":[{"model":"m"}]}}}"#,
            r#"{"a":{"properties":{"model":"other"}}}"#,
            r#"{"a":{"b":{"model":1}}}"#,
        ] {
            assert!(!is_let(body), "{body}");
        }
        for body in [
            r#"{"tools":[{"type":"x","parameters":{"model":"m"}}]}"#,
            r#"{"tools":[{"function":{"parameters":{"properties":{"model":{"type":"string"}},"required":["model"]}}}]}"#,
            r#"{"tools":[{"input_schema":{"properties":{"a":{"properties":{"car_model":{"enum":["x"]}}}}}}]}"#,
            r#"{"a":{"metadata":{"model":"other"}},"b":{"c":{"model":null}}}"#,
            r#"{"a":{"b":{"models":["m"]}},"c":[1,1.5,true,null,-1]}"#,
        ] {
            assert!(is_let(body), "{body}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!is_let(&deep));
    }

    #[test]
    fn members_that_name_models_are_known_by_a_word() {
        for name in [
            "models",
            "model_id",
            "modelId",
            "draft_model",
            "DRAFT_MODEL",
            "speculative_model",
            "fallbacks",
            "fallback_models",
            "engine",
            "deployment",
            "deployment_id",
            "azure_deployment",
            "preset",
            "adapter_id",
            "lora",
            "lora_request",
            "extra_body",
        ] {
            assert!(names_other_models(name), "{name}");
        }
        for name in [
            "model",
            "modalities",
            "messages",
            "mode",
            "explore",
            "stream",
            "tools",
            "top_logprobs",
        ] {
            assert!(!names_other_models(name), "{name}");
        }
    }
}

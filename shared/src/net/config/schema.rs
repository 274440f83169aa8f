//! The JSON schema of `config.json`, for editors: the types that read the file, with what is said of each member.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::known::KnownMembers;
use super::members::{Kind, MEMBERS, Member};
use crate::provider;

/// The longest limit that is read, in seconds: a year.
const LONGEST: u32 = 365 * 24 * 60 * 60;

/// Returns the schema, of JSON Schema's draft 2020-12.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<KnownMembers>()
        .to_value();
    schema["title"] = json!("config.json of the qwen tools");
    schema["description"] =
        json!("Profiles: which endpoint to use and how to authenticate; see qwen-config(5).");
    strip(&mut schema);
    schema["properties"]["$schema"] = json!({"type": "string"});
    for member in &MEMBERS {
        if let Some(own) = find(&mut schema, member.path) {
            complete(own, member);
        }
    }
    schema["additionalProperties"] = json!(false);
    if let Some(profiles) = find(&mut schema, "profiles") {
        profiles.insert(
            "propertyNames".to_owned(),
            json!({"pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$"}),
        );
    }
    if let Some(key) = find(&mut schema, "profiles.*.key") {
        let one = ["store", "env", "command"].map(|name| json!({"required": [name]}));
        key.insert("anyOf".to_owned(), json!([{"type": "null"}, {"oneOf": one}]));
        key.insert("dependentRequired".to_owned(), json!({"ttl": ["command"]}));
    }
    schema
}

/// Takes away what the types say of themselves: defaults, the sizes of numbers, and words for programmers.
fn strip(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for name in ["default", "format"] {
                members.shift_remove(name);
            }
            if members.contains_key("type") {
                members.retain(|name, value| name != "description" || !value.is_string());
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Finds the schema of a member.
fn find<'a>(schema: &'a mut Value, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut at = schema;
    for name in path.split('.') {
        at = match name {
            "*" => at.get_mut("additionalProperties")?,
            name => at.get_mut("properties")?.get_mut(name)?,
        };
    }
    at.as_object_mut()
}

/// Adds to the schema of a member what its type does not say.
fn complete(own: &mut Map<String, Value>, member: &Member) {
    let description = format!("{}{}", member.about[..1].to_uppercase(), &member.about[1..]);
    if matches!(member.kind, Kind::Word(_)) {
        own.clear();
        own.insert("type".to_owned(), json!(["string", "null"]));
    }
    own.insert("description".to_owned(), json!(description));
    let is_nullable = own.get("type").is_some_and(Value::is_array);
    let words = |words: &mut dyn Iterator<Item = &str>| {
        let mut words: Vec<Value> = words.map(Value::from).collect();
        words.extend(is_nullable.then_some(Value::Null));
        Value::from(words)
    };
    let more = match member.kind {
        Kind::Word(known) => json!({"enum": words(&mut known.iter().copied())}),
        Kind::Provider => {
            let names = provider::all().map(|provider| provider.name.as_str());
            json!({"enum": words(&mut names.into_iter())})
        }
        Kind::Url => json!({"pattern": "^\\s*[Hh][Tt][Tt][Pp][Ss]?://[^@]*$|^\\s*$"}),
        Kind::Variable => json!({"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
        Kind::Count => json!({"minimum": 1}),
        Kind::Seconds => json!({"exclusiveMinimum": 0, "maximum": LONGEST}),
        Kind::Command => json!({"minItems": 1, "prefixItems": [{"type": "string", "minLength": 1}]}),
        Kind::List if member.path == "env.allow" => {
            json!({"items": {"type": "string", "pattern": "^[A-Za-z0-9_*.-]+$"}})
        }
        Kind::Object if own.contains_key("properties") => json!({"additionalProperties": false}),
        _ => json!({}),
    };
    if let Value::Object(more) = more {
        own.extend(more);
    }
}

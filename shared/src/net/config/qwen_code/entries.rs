//! `modelProviders`: which models there are, where, and by which protocol.

use serde_json::Value;

use super::scopes::{Scope, Scopes, Text};
use crate::exit::{Exit, Failure};
use crate::net::config::settings::{Source, Sourced};
use crate::text::clip;

/// The variable of the key where an entry names none.
pub(super) const DEFAULT_KEY: &str = "OPENAI_API_KEY";

/// How an entry is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// OpenAI's chat completions, which the toolkit speaks.
    Chat,
    /// OpenAI's other one: `wireApi: "responses"`, `openai-responses`.
    Responses,
    /// `anthropic`, `gemini`, …
    Other(String),
    /// A provider of the user's own, for which `providerProtocol` names none.
    Unnamed(String),
}

/// One model of `modelProviders`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) base_url: Option<Text>,
    /// `envKey`: the variable of its key.
    pub(super) key_variable: Option<String>,
    pub(super) protocol: Protocol,
    /// True for a model that draws, speaks or listens, which is never chosen unnamed.
    pub(super) is_special: bool,
    /// True where the entry holds a key itself, which Qwen Code does not read.
    pub(super) has_unread_key: bool,
    pub(super) source: Source,
}

impl Protocol {
    /// The protocol that a word of `selectedType` or `providerProtocol` means.
    pub(super) fn named(word: &str) -> Self {
        match word {
            "openai" => Self::Chat,
            "openai-responses" => Self::Responses,
            other => Self::Other(other.to_owned()),
        }
    }

    /// True for OpenAI's two, between which Qwen Code goes by the model.
    pub(super) const fn is_openai(&self) -> bool {
        matches!(self, Self::Chat | Self::Responses)
    }
}

impl Entry {
    /// Returns the variable of the key, `OPENAI_API_KEY` where the entry names none.
    pub(super) fn key_name(&self) -> &str {
        self.key_variable.as_deref().unwrap_or(DEFAULT_KEY)
    }

    pub(super) fn model(&self) -> Sourced<String> {
        Sourced::new(self.id.clone(), self.source.clone())
    }

    /// The failure of an entry that is not spoken to.
    pub(super) fn not_spoken(&self) -> Failure {
        not_spoken(&self.source, &self.protocol)
    }
}

/// The failure where Qwen Code uses a protocol that the toolkit does not speak.
pub(super) fn not_spoken(source: &Source, protocol: &Protocol) -> Failure {
    let what = match protocol {
        Protocol::Unnamed(provider) => {
            let provider = clip(provider, 64);
            let message = format!("{source}: nothing says which protocol '{provider}' speaks");
            return Failure::new(Exit::Config, message).hint(format!(
                "add \"providerProtocol\": {{\"{provider}\": \"openai\"}} there if it is OpenAI's"
            ));
        }
        Protocol::Chat | Protocol::Responses => "OpenAI's Responses API".to_owned(),
        Protocol::Other(name) => format!("'{}'", clip(name, 64)),
    };
    let message = format!("{source}: this speaks {what}, and the toolkit OpenAI's chat completions only");
    Failure::new(Exit::Config, message)
        .hint("set OPENAI_MODEL to a model of modelProviders.openai")
        .hint("or run 'qwen-login --api-key' to set up another endpoint")
}

/// Returns what in `modelProviders` cannot be read.
pub(super) fn faults(scopes: &Scopes) -> Vec<String> {
    let mut faults = Vec::new();
    for provider in scopes.names(&["modelProviders"]) {
        if let Some((value, scope)) = scopes.value(&["modelProviders", provider])
            && list(value).is_none()
        {
            let source = scope.source(&format!("modelProviders.{}", clip(provider, 64)));
            faults.push(format!("{source} is not a list of models; it is not used"));
        }
    }
    faults
}

/// The models of a provider. A short-lived form of the file wrapped the list.
fn list(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().or_else(|| value.get("models")?.as_array())
}

/// Reads the entries of all providers, in Qwen Code's order.
pub(super) fn read(scopes: &Scopes) -> Vec<Entry> {
    let mut entries = Vec::new();
    for provider in scopes.names(&["modelProviders"]) {
        let Some((value, scope)) = scopes.value(&["modelProviders", provider]) else {
            continue;
        };
        let protocol = protocol_of(scopes, provider, value);
        for item in list(value).into_iter().flatten() {
            entries.extend(entry(scopes, scope, provider, &protocol, item));
        }
    }
    entries
}

/// The providers whose name is a protocol's.
const PROTOCOLS: [&str; 6] = [
    "openai",
    "openai-responses",
    "anthropic",
    "gemini",
    "vertex-ai",
    "qwen-oauth",
];

/// `providerProtocol` names the protocol of a provider; else its own name is one.
fn protocol_of(scopes: &Scopes, provider: &str, value: &Value) -> Protocol {
    let mapped = scopes
        .text(&["providerProtocol", provider])
        .or_else(|| scopes.text(&["security", "auth", "providerProtocol", provider]));
    let wrapped = value.get("protocol").and_then(Value::as_str);
    match (mapped, wrapped) {
        (Some(mapped), _) => Protocol::named(&mapped.value.value),
        (None, Some(wrapped)) => Protocol::named(wrapped),
        (None, None) if PROTOCOLS.contains(&provider) => Protocol::named(provider),
        (None, None) => Protocol::Unnamed(provider.to_owned()),
    }
}

fn entry(scopes: &Scopes, scope: &Scope, provider: &str, protocol: &Protocol, item: &Value) -> Option<Entry> {
    let label = |id: &str| format!("modelProviders.{provider} '{id}'");
    let text = |name: &str| scopes.expanded(item.get(name)?, scope, name);
    let id = text("id")?.value.value;
    let label = label(&clip(&id, 64));
    let base_url = item
        .get("baseUrl")
        .and_then(|value| scopes.expanded(value, scope, &label));
    let protocol = match (item.get("wireApi"), protocol) {
        (None | Some(Value::Null), protocol) => protocol.clone(),
        (Some(wire), protocol) if protocol.is_openai() => match wire.as_str() {
            Some("chat-completions") => Protocol::Chat,
            Some("responses") => Protocol::Responses,
            other => Protocol::Other(format!("wireApi {}", other.unwrap_or("?"))),
        },
        (Some(_), protocol) => protocol.clone(),
    };
    Some(Entry {
        key_variable: text("envKey").map(|text| text.value.value),
        is_special: ["imageOnly", "voiceOnly", "realtimeOnly"]
            .iter()
            .any(|name| item.get(*name) == Some(&Value::Bool(true))),
        has_unread_key: text("apiKey").is_some(),
        source: scope.source(&label),
        id,
        base_url,
        protocol,
    })
}

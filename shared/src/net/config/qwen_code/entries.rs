//! `modelProviders`: which models there are, where, and by which protocol.

use serde_json::Value;

use super::scopes::{Scope, Scopes, Text};
use crate::exit::{Exit, Failure};
use crate::net::config::settings::{Source, Sourced};

/// The variable of the key where an entry names none.
pub(super) const DEFAULT_KEY: &str = "OPENAI_API_KEY";

/// How an entry is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// OpenAI's chat completions, which the toolkit speaks.
    Chat,
    /// OpenAI's other one: `wireApi: "responses"`, `openai-responses`.
    Responses,
    /// `anthropic`, `gemini`, … or a name that nobody knows.
    Other(String),
}

/// One model of `modelProviders`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) base_url: Option<Text>,
    /// `envKey`: the variable of its key.
    pub(super) key_variable: Option<String>,
    pub(super) protocol: Protocol,
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

    fn name(&self) -> &str {
        match self {
            Self::Chat => "openai",
            Self::Responses => "openai-responses",
            Self::Other(name) => name,
        }
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
        Protocol::Responses => "speaks OpenAI's Responses API".to_owned(),
        other => format!("speaks '{}'", crate::text::clip(other.name(), 64)),
    };
    Failure::new(
        Exit::Config,
        format!("{source} {what}; the toolkit speaks OpenAI's chat completions only"),
    )
    .hint("run 'qwen-login --api-key' to set up an endpoint that does")
    .hint("or name a model of modelProviders.openai with --model")
}

/// Reads the entries of all providers, in Qwen Code's order.
pub(super) fn read(scopes: &Scopes) -> Vec<Entry> {
    let mut entries = Vec::new();
    for provider in scopes.names(&["modelProviders"]) {
        let Some((value, scope)) = scopes.value(&["modelProviders", provider]) else {
            continue;
        };
        // A short-lived form of the file wrapped the list.
        let list = value.as_array().or_else(|| value.get("models")?.as_array());
        let protocol = protocol_of(scopes, provider, value);
        for item in list.into_iter().flatten() {
            entries.extend(entry(scopes, scope, provider, &protocol, item));
        }
    }
    entries
}

/// `providerProtocol` names the protocol of a provider; else its own name is one.
fn protocol_of(scopes: &Scopes, provider: &str, value: &Value) -> Protocol {
    let mapped = scopes.text(&["providerProtocol", provider]);
    let wrapped = value.get("protocol").and_then(Value::as_str);
    match (&mapped, wrapped) {
        (Some(mapped), _) => Protocol::named(&mapped.value.value),
        (None, Some(wrapped)) => Protocol::named(wrapped),
        (None, None) => Protocol::named(provider),
    }
}

fn entry(scopes: &Scopes, scope: &Scope, provider: &str, protocol: &Protocol, item: &Value) -> Option<Entry> {
    let label = |id: &str| format!("modelProviders.{provider} '{id}'");
    let text = |name: &str| scopes.expanded(item.get(name)?, scope, name);
    let id = text("id")?.value.value;
    let label = label(&id);
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
        source: scope.source(&label),
        id,
        base_url,
        protocol,
    })
}

//! The entries of the embedded catalogue, read as far as they are asked for.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use super::Provider;

/// Returns every provider, in the order of menus. `custom` is the last.
#[must_use]
pub fn all() -> &'static [Provider] {
    static ALL: OnceLock<Vec<Provider>> = OnceLock::new();
    ALL.get_or_init(|| {
        // A catalogue that does not parse cannot be built: a unit test reads it.
        let entries: Map<String, Value> =
            serde_json::from_str(include_str!("catalogue.json")).unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|(name, entry)| {
                let provider: Provider = serde_json::from_value(entry).ok()?;
                Some(Provider { name, ..provider })
            })
            .collect()
    })
}

/// Finds a provider by its name. Only its own entry is read: a program that prints a token has no time for the rest.
#[must_use]
pub fn named(name: &str) -> Option<&'static Provider> {
    static ENTRIES: OnceLock<Vec<Entry>> = OnceLock::new();
    ENTRIES
        .get_or_init(entries)
        .iter()
        .find(|entry| entry.name == name)?
        .provider()
}

/// An entry of the catalogue that is read when it is asked for.
struct Entry {
    name: &'static str,
    text: &'static RawValue,
    provider: OnceLock<Option<Provider>>,
}

impl Entry {
    fn provider(&self) -> Option<&Provider> {
        let read = || {
            let provider: Provider = serde_json::from_str(self.text.get()).ok()?;
            let name = self.name.to_owned();
            Some(Provider { name, ..provider })
        };
        self.provider.get_or_init(read).as_ref()
    }
}

fn entries() -> Vec<Entry> {
    let texts: BTreeMap<&'static str, &'static RawValue> =
        serde_json::from_str(include_str!("catalogue.json")).unwrap_or_default();
    texts
        .into_iter()
        .map(|(name, text)| Entry {
            name,
            text,
            provider: OnceLock::new(),
        })
        .collect()
}

/// Returns the provider whose endpoint this is; `custom` for an endpoint that nobody knows.
#[must_use]
pub fn recognise(url: &Url) -> Option<&'static Provider> {
    all()
        .iter()
        .find(|provider| provider.oauth.is_none() && provider.recognises(url))
        .or_else(|| named("custom"))
}

//! Qwen Code's `settings.json`: shared, not owned. It is read, never written.

use std::path::PathBuf;

use serde_json::Value;

use crate::fs::read_jsonc;
use crate::paths;
use crate::secret::Secret;

/// The members of `settings.json` that matter here. Blank counts as absent.
#[derive(Debug, Default)]
pub struct QwenCodeSettings {
    /// The file.
    pub path: PathBuf,
    /// `security.auth.selectedType`: `openai`, `qwen-oauth`, …
    pub selected_type: Option<String>,
    /// `security.auth.apiKey`.
    pub api_key: Option<Secret<String>>,
    /// `security.auth.baseUrl`.
    pub base_url: Option<String>,
    /// `model.name`.
    pub model: Option<String>,
}

impl QwenCodeSettings {
    /// Reads the user's `settings.json`. One that is missing or invalid counts as empty.
    #[must_use]
    pub fn load() -> Self {
        let Some(path) = paths::qwen_home().map(|home| home.join("settings.json")) else {
            return Self::default();
        };
        let settings = read_jsonc(&path).unwrap_or(Value::Null);
        let text = |pointer: &str| {
            let raw = settings.pointer(pointer)?.as_str()?;
            let value = expand(raw);
            (!value.trim().is_empty()).then(|| value.trim().to_owned())
        };
        Self {
            selected_type: text("/security/auth/selectedType"),
            // The name of a variable that is not set is not a key.
            api_key: text("/security/auth/apiKey")
                .filter(|key| !key.starts_with('$'))
                .map(Secret::new),
            base_url: text("/security/auth/baseUrl"),
            model: text("/model/name"),
            path,
        }
    }

    /// True when Qwen Code uses OAuth: by its settings, or because it has logged in and they do not say.
    pub(super) fn uses_oauth(&self) -> bool {
        let has_login = || paths::qwen_home().is_some_and(|home| home.join("oauth_creds.json").exists());
        match self.selected_type.as_deref() {
            Some(selected) => selected == "qwen-oauth",
            None => self.api_key.is_none() && has_login(),
        }
    }
}

/// Replaces `$NAME` and `${NAME}` by the environment's value, as Qwen Code does; an unset name stays as written.
fn expand(raw: &str) -> String {
    let mut value = String::new();
    let mut rest = raw;
    while let Some(at) = rest.find('$') {
        value.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (name, length) = match after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            Some((name, _)) => (name, name.len() + 2),
            None => {
                let end = after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len());
                (&after[..end], end)
            }
        };
        match (!name.is_empty()).then(|| std::env::var(name).ok()).flatten() {
            Some(found) => value.push_str(&found),
            None => value.push_str(&rest[at..=at + length]),
        }
        rest = &after[length..];
    }
    value.push_str(rest);
    value
}

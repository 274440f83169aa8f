//! Qwen Code's `settings.json`, in the form of both its eras: shared, not owned. It is read, never written.
//!
//! Four files say what is in it, as for Qwen Code itself: the system's settings, the project's, the user's, the system's
//! defaults. A project's came with a clone: without consent it chooses the model and nothing else.

mod connection;
mod entries;
mod scopes;

use std::path::PathBuf;

use connection::Variables;
pub use connection::{Connection, Given, HeldKey};

use self::connection::Chooser;
use self::scopes::Scopes;
use super::lookup::Lookup;
use super::settings::Sourced;
use crate::dotenv::SharedFiles;
use crate::exit::Failure;
use crate::net::http::BaseUrl;
use crate::paths;
use crate::secret::Secret;

/// What Qwen Code's settings say.
#[derive(Debug)]
pub struct QwenCodeSettings {
    /// The user's file, which may not be there.
    pub path: PathBuf,
    scopes: Scopes,
    files: SharedFiles,
}

impl QwenCodeSettings {
    /// Reads the files that there are. What is wrong with them is in [`QwenCodeSettings::notices`].
    #[must_use]
    pub fn load() -> Self {
        let start = std::env::current_dir().ok();
        let (home, qwen_home) = (paths::home(), paths::qwen_home());
        let (home, qwen_home) = (home.as_deref(), qwen_home.as_deref());
        Self::of(SharedFiles::from_process(start.as_deref(), home, qwen_home))
    }

    /// As [`QwenCodeSettings::load`], of files that others read too.
    pub(super) fn of(files: SharedFiles) -> Self {
        let scopes = Scopes::read(&files);
        Self {
            path: scopes.user.clone(),
            scopes,
            files,
        }
    }

    /// Returns what is said by a tool that suffers from it: files that are not used, or in part.
    #[must_use]
    pub fn notices(&self) -> Vec<String> {
        let mut notices = self.scopes.notices.clone();
        notices.extend(entries::faults(&self.scopes));
        notices.extend(self.scopes.limited_notice());
        notices
    }

    /// Returns what is said where the model that a project's settings name is not taken.
    #[must_use]
    pub fn model_notice(&self) -> Option<String> {
        self.scopes.project_model_notice()
    }

    /// Returns `model.name`.
    #[must_use]
    pub fn model(&self) -> Option<Sourced<String>> {
        self.chooser(Given::default(), &|_| None).model_of_settings()
    }

    /// Returns the endpoint and the key that Qwen Code would use; `None` where its settings name no endpoint.
    ///
    /// It is asked while no flag, variable or profile names an endpoint.
    ///
    /// # Errors
    /// 78 for what is not spoken, and for an endpoint that is missing or invalid; 77 for a key that is not there.
    pub fn connection(
        &self,
        given: Given<'_>,
        variables: Variables<'_>,
    ) -> Result<Option<Connection>, Failure> {
        self.chooser(given, variables).connection()
    }

    /// As [`QwenCodeSettings::connection`], for this process's own variables: those of its environment and of files that the
    /// user owns or trusts, `OPENAI_BASE_URL` among them.
    ///
    /// # Errors
    /// As there; 78 when `QWEN_ENV_CHAIN` names no rule.
    pub fn in_use(&self, model: Option<&str>) -> Result<Option<Connection>, Failure> {
        let lookup = Lookup::with_files(self.files.clone())?;
        let given = Given {
            model,
            has_key: false,
        };
        self.connection(given, &|name| {
            let found = lookup.value(name)?;
            (!found.source.is_project()).then_some(found)
        })
    }

    /// Returns the key that the settings pair with an endpoint which the user's own flag, variable or profile names.
    #[must_use]
    pub fn key_for(&self, url: &BaseUrl, variables: Variables<'_>) -> Option<Sourced<Secret<String>>> {
        self.chooser(Given::default(), variables).key_for(url)
    }

    /// Returns where the settings have a key, whatever endpoint it is for.
    #[must_use]
    pub fn held_key(&self, variables: Variables<'_>) -> Option<HeldKey> {
        self.chooser(Given::default(), variables).held_key()
    }

    /// Returns `security.auth.selectedType`: `openai`, `qwen-oauth`, …
    #[must_use]
    pub fn selected_type(&self) -> Option<Sourced<String>> {
        let text = self.scopes.text(&["security", "auth", "selectedType"])?;
        Some(text.value)
    }

    /// True when Qwen Code uses OAuth: by its settings, or because it has logged in and they say nothing else. The login
    /// that is left over from the ended tier is not in use.
    #[must_use]
    pub fn uses_oauth(&self) -> bool {
        if let Some(selected) = self.selected_type() {
            return selected.value == "qwen-oauth";
        }
        // What cannot be looked at may be there; whoever reads it finds out.
        let may_be = |home: PathBuf| home.join("oauth_creds.json").try_exists().unwrap_or(true);
        let has_login = || paths::qwen_home().is_some_and(may_be);
        let says_other = self.scopes.text(&["security", "auth", "apiKey"]).is_some()
            || self.scopes.text(&["env", "OPENAI_API_KEY"]).is_some()
            || !entries::read(&self.scopes).is_empty();
        !says_other && has_login()
    }

    /// Returns a variable of the `env` map, for what names it: a profile's key, a provider's.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Sourced<String>> {
        let text = self.scopes.text(&["env", name])?;
        (!text.is_unset()).then_some(text.value)
    }

    fn chooser<'a>(&'a self, given: Given<'a>, variables: Variables<'a>) -> Chooser<'a> {
        Chooser {
            scopes: &self.scopes,
            given,
            variables,
        }
    }
}

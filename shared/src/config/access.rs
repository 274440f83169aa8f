//! How requests are authenticated, and who said so.

use url::Url;

use super::faults;
use super::profile::{KeySetting, Method, StoreName};
use super::resolve::Resolver;
use super::settings::{Access, Key};
use super::source::{Source, Sourced};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::provider::Provider;
use crate::secret::Secret;

impl Resolver<'_> {
    /// True when what is configured, not what was given for this run, is OAuth.
    pub(super) fn wants_oauth(&self) -> bool {
        match (&self.name, self.profile.method) {
            (Some(_), method) => method == Some(Method::Oauth),
            (None, _) => match self.qwen_code.selected_type.as_deref() {
                Some(selected) => selected == "qwen-oauth",
                None => self.qwen_code.api_key.is_none() && has_qwen_login(),
            },
        }
    }

    pub(super) fn access(
        &self,
        provider: &Sourced<&'static Provider>,
        url: Option<&Sourced<Url>>,
    ) -> Result<Sourced<Access>, Failure> {
        let flag = self.overrides.api_key.clone();
        if let Some(key) = flag.filter(|key| !key.expose().trim().is_empty()) {
            let source = Source::Flag("--openai-api-key");
            return Ok(Sourced::new(Access::ApiKey(Key::Given(key)), source));
        }
        if self.overrides.profile_first
            && let Some(own) = self.own_access()?
        {
            return Ok(own);
        }
        if let Some(key) = self.variable_key(provider.value) {
            return Ok(key.map(|key| Access::ApiKey(Key::Given(Secret::new(key)))));
        }
        if let Some(own) = self.own_access()? {
            return Ok(own);
        }
        if let Some(key) = self.qwen_code_key() {
            return Ok(key.map(|key| Access::ApiKey(Key::Given(key))));
        }
        let open = url.is_some_and(|url| crate::http::is_loopback(&url.value)) || !provider.value.needs_key;
        if open {
            return Ok(Sourced::new(Access::Open, provider.source.clone()));
        }
        match &self.name {
            Some(name) => Err(faults::no_credential(&name.value)),
            None => Err(faults::no_method()),
        }
    }

    /// Returns the key of Qwen Code's settings. It does not go to an endpoint that the profile chose.
    fn qwen_code_key(&self) -> Option<Sourced<Secret<String>>> {
        let leaves_endpoint = self.profile.provider.is_none() && self.profile.base_url.is_none();
        let key = self.qwen_code.api_key.clone().filter(|_| leaves_endpoint)?;
        Some(Sourced::new(key, Source::QwenCode(self.qwen_code.path.clone())))
    }

    /// Returns the key that a variable gives. The provider's own variable goes before `OPENAI_API_KEY`, in the
    /// environment and in the chain.
    fn variable_key(&self, provider: &Provider) -> Option<Sourced<String>> {
        let names = [provider.key_variable.as_deref(), Some("OPENAI_API_KEY")];
        let found: Vec<Sourced<String>> = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.lookup.value(name))
            .collect();
        let in_environment = |key: &&Sourced<String>| matches!(key.source, Source::Environment(_));
        found
            .iter()
            .find(in_environment)
            .or_else(|| found.first())
            .cloned()
    }

    /// Returns who says what is configured: the profile, or the file of Qwen Code's that stands in where there is none.
    pub(super) fn own_source(&self) -> Source {
        match &self.name {
            Some(_) => self.profile_source(),
            None if self.qwen_code.selected_type.is_some() => Source::QwenCode(self.qwen_code.path.clone()),
            None => Source::QwenCode(self.qwen_code.path.with_file_name("oauth_creds.json")),
        }
    }

    /// Returns what the profile, or Qwen Code's own login, authenticates with.
    fn own_access(&self) -> Result<Option<Sourced<Access>>, Failure> {
        let source = self.own_source();
        if self.wants_oauth() {
            let store = match self.profile.key {
                Some(KeySetting::Store(store)) => store,
                _ => StoreName::File,
            };
            let store = chosen_store()?.unwrap_or(store);
            let server = self.profile.login_server().ok_or_else(faults::broken_catalogue)?;
            let access = Access::Oauth {
                server: Box::new(server),
                store,
                is_qwen: self.profile.is_qwen_login(),
            };
            return Ok(Some(Sourced::new(access, source)));
        }
        let key = match &self.profile.key {
            None => return Ok(None),
            Some(KeySetting::Store(store)) => Key::Stored(chosen_store()?.unwrap_or(*store)),
            Some(KeySetting::Command(words)) => Key::Command(words.clone()),
            Some(KeySetting::Env(name)) => match self.lookup.value(name) {
                Some(key) => {
                    let access = Access::ApiKey(Key::Given(Secret::new(key.value)));
                    return Ok(Some(Sourced::new(access, key.source)));
                }
                None => return Err(faults::unset_key_variable(self.name.as_ref(), name)),
            },
        };
        Ok(Some(Sourced::new(Access::ApiKey(key), source)))
    }
}

/// Returns the store that `QWEN_CREDENTIAL_STORE` names; `auto` leaves it to the remembered choice.
///
/// # Errors
/// 78 for any other word.
pub fn chosen_store() -> Result<Option<StoreName>, Failure> {
    match std::env::var("QWEN_CREDENTIAL_STORE").unwrap_or_default().trim() {
        "" | "auto" => Ok(None),
        "keyring" => Ok(Some(StoreName::Keyring)),
        "file" => Ok(Some(StoreName::File)),
        other => Err(Failure::new(
            Exit::Config,
            format!("QWEN_CREDENTIAL_STORE: '{other}' is not auto, keyring or file"),
        )),
    }
}

/// True when Qwen Code has logged in here.
fn has_qwen_login() -> bool {
    crate::paths::qwen_home().is_some_and(|home| home.join("oauth_creds.json").exists())
}

//! The profile that a login is for, and what is written into it.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::{self, Config, KeySetting, Method, Overrides, Profile, Settings, Source};
use qwen_shared::net::credential::{LOCK_LIMIT, Patience, Store, StoreKind, Stored};
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, Provider};
use serde_json::{Map, Value, json};

/// A profile, as it is before the login.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    /// Where `--store`, the environment or the last login want the credential; `None` for the automatic choice.
    pub(crate) choice: Option<StoreKind>,
}

/// What a login writes into the profile. `None` takes the member away.
pub(crate) struct Entry {
    pub(crate) method: Method,
    pub(crate) provider: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) model: Option<String>,
    /// `None` for an endpoint that asks for no key.
    pub(crate) store: Option<StoreKind>,
}

impl Target {
    /// Finds the profile: `--profile`, else the one in use, else `default`.
    ///
    /// # Errors
    /// 78 for a configuration that is not valid, which a login would have to overwrite.
    pub(crate) fn find(typed: Option<&str>, store: Option<&str>) -> Result<Self, Failure> {
        let (mut config, active) = config::active_profile(typed)?;
        let name = active.map_or_else(|| "default".to_owned(), |active| active.value);
        let profile = config.profiles.remove(&name).unwrap_or_default();
        let remembered = match &profile.key {
            Some(KeySetting::Store(kind)) => Some(*kind),
            _ => None,
        };
        let from_environment = StoreKind::from_environment()?;
        let choice = match store {
            Some(word) => word.parse().ok(),
            None => from_environment.or(remembered),
        };
        Ok(Self {
            name,
            profile,
            choice,
        })
    }

    /// Returns the provider that the profile names, or whose endpoint it has.
    pub(crate) fn provider(&self) -> Option<&'static Provider> {
        match (&self.profile.provider, &self.profile.base_url) {
            (Some(name), _) => provider::named(name),
            (None, Some(url)) => provider::recognise(url),
            (None, None) => None,
        }
    }

    /// Refuses a profile of a provider that nobody knows: another one's endpoint would get the key.
    ///
    /// # Errors
    /// 78.
    pub(crate) fn check_provider(&self) -> Result<(), Failure> {
        match &self.profile.provider {
            Some(name) if provider::named(name).is_none() => Err(config::unknown_provider(
                &Source::Profile(self.name.clone()),
                name,
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a login at a provider's server for a profile that describes a server of its own: later the tokens of the
    /// one would go to the other.
    ///
    /// # Errors
    /// 78.
    pub(crate) fn check_server(&self, provider: &Provider) -> Result<(), Failure> {
        if self.profile.oauth.is_none() || self.profile.provider.as_ref() == Some(&provider.name) {
            return Ok(());
        }
        let (name, server) = (&self.name, &provider.name);
        let message =
            format!("profile '{name}' has a server of its own, it cannot log in at that of '{server}'");
        Err(Failure::new(Exit::Config, message).hint("choose another profile with --profile NAME"))
    }

    /// True when what the profile says of endpoint and model is about this provider.
    pub(crate) fn is_about(&self, provider: &Provider) -> bool {
        self.provider().is_some_and(|own| own.name == provider.name)
    }

    /// Proves that the profile can be written, before anybody is asked for anything.
    ///
    /// # Errors
    /// 74 when the configuration cannot be written; 78 for a name that no profile can have.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        config::check_name(&self.name)?;
        Config::check_writable()
    }

    /// Stores the credential, then writes the profile: a crash between the two leaves a profile that says less than
    /// there is, never one that promises what is not there.
    ///
    /// # Errors
    /// 74 and 75 as the store and the configuration say.
    pub(crate) fn save(
        &self,
        store: &Store,
        stored: &Stored,
        entry: &Entry,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        store
            .lock(LOCK_LIMIT, &|text| reporter.notice(text))?
            .save(stored)?;
        self.configure(entry)?;
        self.remove_old(store.kind(), reporter);
        Ok(())
    }

    /// Writes the profile. Members that a login does not decide stay as they are.
    ///
    /// # Errors
    /// As [`Config::edit`].
    pub(crate) fn configure(&self, entry: &Entry) -> Result<(), Failure> {
        config::check_name(&self.name)?;
        Config::edit(|members| {
            change_object(members, "profiles", |profiles| {
                change_object(profiles, &self.name, |profile| entry.write(profile));
            });
            let is_first = members.get("default_profile").is_none_or(Value::is_null);
            if is_first {
                members.insert("default_profile".to_owned(), json!(self.name));
            }
        })?;
        Ok(())
    }

    /// Removes what an earlier login of this profile left in another store: nobody would look for it there.
    fn remove_old(&self, kind: StoreKind, reporter: &Reporter) {
        let old = match (&self.profile.key, kind) {
            (Some(KeySetting::Store(StoreKind::Keyring)), StoreKind::File | StoreKind::QwenCode) => {
                StoreKind::Keyring
            }
            (Some(KeySetting::Store(StoreKind::File)), StoreKind::Keyring | StoreKind::QwenCode) => {
                StoreKind::File
            }
            _ => return,
        };
        let remove = || -> Result<Option<String>, Failure> {
            let store = Store::open(old, &self.name, Patience::for_scripts())?;
            let removed = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?.delete()?;
            Ok(removed.then(|| store.place()))
        };
        match remove() {
            Ok(Some(place)) => reporter.notice(&format!("the old credential was removed from '{place}'")),
            Ok(None) => {}
            Err(error) => reporter.notice(&format!("the old credential could not be removed: {error}")),
        }
    }

    /// Says what answers from now on, and what stands in the way.
    pub(crate) fn report(&self, ready: &str, reporter: &Reporter) {
        reporter.notice(ready);
        let overrides = Overrides {
            profile: Some(self.name.clone()),
            ..Overrides::default()
        };
        if let Ok(settings) = Settings::resolve(&overrides)
            && settings.auth.source.is_given()
        {
            let source = &settings.auth.source;
            reporter.notice(&format!(
                "the key of {source} is set and goes before this profile"
            ));
            if let Source::Environment(name) = source {
                reporter.hint(&format!("run 'unset {name}' to use the profile"));
            }
        }
        if let Ok((_, Some(active))) = config::active_profile(None)
            && active.value != self.name
        {
            let name = &self.name;
            reporter.hint(&format!("run 'qwen-auth use {name}' to make it the one in use"));
        }
    }
}

impl Entry {
    fn write(&self, profile: &mut Map<String, Value>) {
        profile.insert("method".to_owned(), json!(self.method));
        for (name, value) in [
            ("provider", &self.provider),
            ("base_url", &self.base_url),
            ("model", &self.model),
        ] {
            match value {
                Some(value) => profile.insert(name.to_owned(), json!(value)),
                None => profile.shift_remove(name),
            };
        }
        match self.store {
            Some(StoreKind::Keyring) => profile.insert("key".to_owned(), json!({"store": "keyring"})),
            Some(_) => profile.insert("key".to_owned(), json!({"store": "file"})),
            None => profile.shift_remove("key"),
        };
    }
}

/// Changes a member that is an object. The configuration was checked before: if it is there, it is one.
fn change_object(members: &mut Map<String, Value>, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
    let value = members.entry(name).or_insert(Value::Null);
    let mut object = match value.take() {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    change(&mut object);
    *value = Value::Object(object);
}

//! The profile that a login is for, and what is written into it.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::{
    self, Config, KeySetting, Method, Move, Overrides, Profile, Settings, Source, remove_bound_members,
};
use qwen_shared::net::credential::{
    HalfSaved, KeyringTimeout, LOCK_LIMIT, LoginJournal, LoginSubject, Store, StoreError, StoreKind, Stored,
};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::output::Reporter;
use qwen_shared::provider::{self, OauthSettings, Provider};
use serde::Deserialize;
use serde_json::{Map, Value, json};

type Members = Map<String, Value>;

/// A profile as it was before the login.
pub(crate) struct LoginProfile {
    pub(crate) name: String,
    pub(crate) settings: Profile,
    /// The store of `--store`, the environment, or the last login; `None` to choose automatically.
    pub(crate) store: Option<StoreKind>,
    /// True when `--profile` named it.
    is_named: bool,
    /// What is odd about `config.json`.
    pub(crate) notices: Vec<String>,
}

/// The members of a profile that a login sets, or removes if `None`.
pub(crate) struct ProfileUpdate {
    pub(crate) method: Method,
    pub(crate) provider: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) model: Option<String>,
    /// `None` for an endpoint without a key.
    pub(crate) store: Option<StoreKind>,
    /// Whether a secret may go to the endpoint over plain http.
    pub(crate) allow_http: bool,
}

impl LoginProfile {
    /// Finds the profile: `--profile`, else the active one, else `default`.
    ///
    /// # Errors
    /// 78 for an invalid configuration.
    pub(crate) fn find(name: Option<&str>, store: Option<&str>) -> Result<Self, Failure> {
        let is_named = name.is_some();
        let (mut config, active) = config::active_profile(name)?;
        let name = active.map_or_else(|| "default".to_owned(), |active| active.value);
        let settings = config.profiles.remove(&name).unwrap_or_default();
        let current = match &settings.key {
            Some(KeySetting::Store(kind)) => Some(*kind),
            _ => None,
        };
        let from_environment = StoreKind::from_environment()?;
        let store = match store {
            Some(word) => word.parse().ok(),
            None => from_environment.or(current),
        };
        Ok(Self {
            name,
            settings,
            store,
            is_named,
            notices: config.notices,
        })
    }

    /// Returns the provider that the profile names, or that its endpoint belongs to.
    pub(crate) fn provider(&self) -> Option<&'static Provider> {
        match (&self.settings.provider, &self.settings.base_url) {
            (Some(name), _) => provider::named(name),
            (None, Some(url)) => provider::recognise(url),
            (None, None) => None,
        }
    }

    /// Rejects a profile with an unknown provider: the key would go to another one's endpoint.
    ///
    /// # Errors
    /// 78.
    pub(crate) fn check_provider(&self) -> Result<(), Failure> {
        match &self.settings.provider {
            Some(name) if provider::named(name).is_none() => Err(config::unknown_provider(
                &Source::Profile(self.name.clone()),
                name,
            )),
            _ => Ok(()),
        }
    }

    /// Rejects a login at the provider's server for a profile with a server of its own, which would get the tokens.
    ///
    /// # Errors
    /// 78.
    pub(crate) fn check_server(&self, provider: &Provider) -> Result<(), Failure> {
        if self.settings.oauth.is_none() || self.settings.provider.as_ref() == Some(&provider.name) {
            return Ok(());
        }
        let (name, server) = (&self.name, &provider.name);
        let message =
            format!("profile '{name}' has a server of its own, it cannot log in at that of '{server}'");
        Err(Failure::new(Exit::Config, message).hint("choose another profile with --profile NAME"))
    }

    /// True when the profile's endpoint and model are of this provider.
    pub(crate) fn is_of(&self, provider: &Provider) -> bool {
        self.provider().is_some_and(|own| own.name == provider.name)
    }

    /// Returns the profile with `new`'s endpoint. What is bound to another endpoint stays behind.
    pub(crate) fn moved_to(&self, new: Profile) -> Profile {
        let own = match Move::between(&self.settings, &new) {
            None => self.settings.clone(),
            Some(_) => Profile::default(),
        };
        Profile {
            method: new.method,
            provider: new.provider,
            base_url: new.base_url,
            ..own
        }
    }

    /// Checks that the profile can be written.
    ///
    /// # Errors
    /// 74 when the configuration cannot be written; 78 for an invalid name.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        config::check_name(&self.name)?;
        Config::check_writable().map_err(|failure| match failure.exit {
            Exit::Io => failure
                .hint("set QWEN_CONFIG to a file in a directory that can be written; keys are kept beside it")
                .hint("or store nothing: set OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL"),
            _ => failure,
        })
    }

    /// Stores the credential with the endpoint that it is for, then updates the profile, so that a profile never names a store
    /// without a credential. Where one of the two cannot be written, both are as before.
    ///
    /// # Errors
    /// 74 and 75, from the store or the configuration.
    pub(crate) fn save(
        &self,
        store: &Store,
        stored: &Stored,
        update: &ProfileUpdate,
        reporter: &Reporter,
    ) -> Result<(), Failure> {
        let profile = Profile {
            oauth: self.settings.oauth.clone(),
            ..update.endpoint()
        };
        let stored = stored.clone().with_stored_for(config::stored_for(&profile));
        let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
        Config::check_writable()?;
        let journal = self.key_journal(&stored, update)?;
        let saved = locked.save_with(&stored, || self.update(update, reporter));
        if let Err(half) = saved {
            return Err(not_saved(half, journal));
        }
        drop((journal, locked));
        let is_file_chosen = matches!(self.store, Some(StoreKind::File | StoreKind::QwenCode));
        if store.kind() != StoreKind::Keyring && !is_file_chosen {
            let place = store.place();
            reporter.notice(&format!(
                "there is no system keyring; the credential is stored in '{place}', which only you can read"
            ));
        }
        self.remove_old_credentials(Some(store.kind()), reporter);
        Ok(())
    }

    /// Keeps an API key for the next program, should this one be killed between the two writes. A login has a journal already.
    fn key_journal(&self, stored: &Stored, update: &ProfileUpdate) -> Result<Option<LoginJournal>, Failure> {
        if matches!(stored, Stored::Oauth(_)) {
            return Ok(None);
        }
        let (before, after) = self.members(update)?;
        let subject = LoginSubject::of_key(&self.name, before.as_ref(), after);
        let mut journal = LoginJournal::begin(&subject)?;
        journal.key(stored);
        Ok(Some(journal))
    }

    /// Returns the profile's members before an update, `None` where there is no such profile, and after it.
    fn members(&self, update: &ProfileUpdate) -> Result<(Option<Members>, Members), Failure> {
        let before = Config::members_of(&self.name)?;
        let mut after = before.clone().unwrap_or_default();
        update.apply_to(&mut after);
        Ok((before, after))
    }

    /// Names a login at `server` that ends in `update`, for its journal.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn subject(
        &self,
        update: &ProfileUpdate,
        server: &OauthSettings,
    ) -> Result<LoginSubject, Failure> {
        let (before, after) = self.members(update)?;
        Ok(LoginSubject::new(&self.name, server, before.as_ref(), after))
    }

    /// Updates the profile and keeps its other members, apart from what is bound to an endpoint that it leaves. The first
    /// profile becomes the default one.
    ///
    /// # Errors
    /// As [`Config::edit`].
    pub(crate) fn update(&self, update: &ProfileUpdate, reporter: &Reporter) -> Result<(), Failure> {
        config::check_name(&self.name)?;
        let (mut left, mut removed) = (None, Vec::new());
        Config::edit(|members| {
            let profiles = object(members, "profiles");
            if let Some(profile) = profiles.and_then(|profiles| object(profiles, &self.name)) {
                (left, removed) = update.apply_to(profile);
            }
            if members.get("default_profile").is_none_or(Value::is_null) {
                members.insert("default_profile".to_owned(), json!(self.name));
            }
        })?;
        if let Some(left) = left {
            self.report_move(&left, &removed, reporter);
        }
        Ok(())
    }

    /// Says which endpoint the profile leaves, and what stays behind. Only names are shown: the values may be secrets.
    fn report_move(&self, Move { old, new, was_in_use }: &Move, removed: &[String], reporter: &Reporter) {
        let name = &self.name;
        if *was_in_use && !self.is_named {
            reporter.notice(&format!("profile '{name}' now uses '{new}' instead of '{old}'"));
        }
        if !removed.is_empty() {
            let removed = removed.join(", ");
            reporter.notice(&format!(
                "profile '{name}': removed what was for '{old}' alone: {removed}"
            ));
        }
    }

    /// Removes what earlier logins have left in other stores than the one of this login, where it would be forgotten; `None`
    /// where this login stores nothing.
    pub(crate) fn remove_old_credentials(&self, new: Option<StoreKind>, reporter: &Reporter) {
        let remembered = match &self.settings.key {
            Some(KeySetting::Store(old)) => Some(*old),
            _ => None,
        };
        for kind in [StoreKind::File, StoreKind::Keyring] {
            let is_remembered = remembered == Some(kind);
            // A keyring is asked only where there is reason to.
            let is_asked = is_remembered || kind == StoreKind::File || new.is_none();
            if Some(kind) != new && is_asked {
                self.remove_old_credential(kind, is_remembered, reporter);
            }
        }
    }

    fn remove_old_credential(&self, old: StoreKind, is_remembered: bool, reporter: &Reporter) {
        let remove = || -> Result<Option<String>, Failure> {
            let store = Store::open(old, &self.name, KeyringTimeout::noninteractive())?;
            if !is_remembered && (!store.has_trace() || matches!(store.load(), Err(StoreError::NoKeyring(_))))
            {
                return Ok(None);
            }
            let removed = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?.delete()?;
            Ok(removed.then(|| store.place()))
        };
        match remove() {
            Ok(Some(place)) => reporter.notice(&format!("removed the old credential from '{place}'")),
            Ok(None) => {}
            Err(error) => reporter.notice(&format!("cannot remove the old credential: {error}")),
        }
    }

    /// Reports the result, and what keeps the profile from being used.
    pub(crate) fn report(&self, result: &str, reporter: &Reporter) {
        reporter.notice(result);
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
            reporter.hint(&format!(
                "run 'qwen-auth use {name}' to make it the active profile"
            ));
        }
    }
}

impl ProfileUpdate {
    /// Returns a profile of which only the endpoint is set.
    pub(crate) fn endpoint(&self) -> Profile {
        let base_url = self.base_url.as_deref().and_then(|url| BaseUrl::parse(url).ok());
        Profile {
            method: Some(self.method),
            provider: self.provider.clone(),
            base_url,
            ..Profile::default()
        }
    }

    /// Writes the update into a profile's members. Returns the endpoint that it leaves by that, and the names of what was bound
    /// to it and is removed.
    fn apply_to(&self, profile: &mut Map<String, Value>) -> (Option<Move>, Vec<String>) {
        let old = Profile::deserialize(&Value::Object(profile.clone())).unwrap_or_default();
        let left = Move::between(&old, &self.endpoint());
        let removed = match left {
            Some(_) => remove_bound_members(profile),
            None => Vec::new(),
        };
        self.write_to(profile);
        (left, removed)
    }

    fn write_to(&self, profile: &mut Map<String, Value>) {
        for (name, value) in [
            ("method", Some(json!(self.method))),
            ("provider", self.provider.as_ref().map(|name| json!(name))),
            ("base_url", self.base_url.as_ref().map(|url| json!(url))),
            ("model", self.model.as_ref().map(|model| json!(model))),
            ("key", self.store.map(|kind| json!({ "store": kind }))),
            ("allow_http", self.allow_http.then(|| json!(true))),
        ] {
            match value {
                Some(value) => profile.insert(name.to_owned(), value),
                None => profile.shift_remove(name),
            };
        }
    }
}

/// The failure of a login that was not stored. What was stored by half, and could not be taken back, is left to the next
/// program.
fn not_saved(half: HalfSaved, journal: Option<LoginJournal>) -> Failure {
    let kept = journal
        .filter(|_| !half.is_as_before)
        .and_then(LoginJournal::keep);
    match kept {
        Some(path) => half.failure.hint(format!(
            "mend that, then run any of the programs: the new key is kept in '{}'",
            path.display()
        )),
        None => half.failure,
    }
}

/// Returns the member `name`, which becomes an object if it is not one.
fn object<'a>(members: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    if !members.get(name).is_some_and(Value::is_object) {
        members.insert(name.to_owned(), json!({}));
    }
    members.get_mut(name).and_then(Value::as_object_mut)
}

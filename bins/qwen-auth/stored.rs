//! What the stores hold for a profile: asked for, moved, removed.

use qwen_shared::exit::Failure;
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::config::{Move, Profile, stored_for};
use qwen_shared::net::credential::{LOCK_LIMIT, Store, StoreError, StoreKind, Stored};
use qwen_shared::output::Reporter;
use qwen_shared::provider::OauthSettings;
use serde::Deserialize;
use serde_json::Value;

/// Returns the stores of a profile's own: where a variable says, and where its last login wrote. The login that is shared with
/// Qwen Code is not the profile's own.
///
/// # Errors
/// 78 for an unknown `QWEN_CREDENTIAL_STORE`.
pub(crate) fn kinds_of(profile: &Profile) -> Result<Vec<StoreKind>, Failure> {
    let mut kinds: Vec<StoreKind> = [profile.store()?, profile.remembered_store()]
        .into_iter()
        .flatten()
        .filter(|kind| *kind != StoreKind::QwenCode)
        .collect();
    kinds.dedup();
    Ok(kinds)
}

/// Returns the stores of a profile's own, and after them those that hold what an earlier login has left there.
///
/// # Errors
/// As [`kinds_of`].
pub(crate) fn all_kinds(
    name: &str,
    profile: &Profile,
    reporter: &Reporter,
) -> Result<Vec<StoreKind>, Failure> {
    let mut kinds = kinds_of(profile)?;
    for kind in [StoreKind::File, StoreKind::Keyring] {
        if !kinds.contains(&kind) && is_left_in(kind, name, reporter) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

/// True when a store holds something for a name, whatever it is, or cannot be asked.
fn is_left_in(kind: StoreKind, name: &str, reporter: &Reporter) -> bool {
    let Ok(store) = open(kind, name, reporter) else {
        return false;
    };
    store.has_trace()
        && match store.load() {
            // There is a journal alone.
            Ok(None) => kind == StoreKind::File,
            Err(StoreError::NoKeyring(_)) => false,
            Ok(Some(_)) | Err(_) => true,
        }
}

/// True when the profile's store holds something, or cannot be asked.
pub(crate) fn is_there(name: &str, profile: &Profile, reporter: &Reporter) -> bool {
    let Ok(Some(kind)) = profile.store() else {
        return profile.remembered_store().is_some();
    };
    let store = Store::open(kind, name, keyring_timeout(reporter));
    let loaded = store.and_then(|store| store.load());
    !matches!(loaded, Ok(None))
}

/// True when a store holds a login or a key for a name, as asked, or cannot be asked.
pub(crate) fn holds(kind: StoreKind, name: &str, login: bool, reporter: &Reporter) -> bool {
    let store = Store::open(kind, name, keyring_timeout(reporter));
    match store.and_then(|store| store.load()) {
        Ok(None) => false,
        Ok(Some(loaded)) => matches!(loaded.stored, Stored::Oauth(_)) == login,
        // Where there is no keyring at all, nothing is in it.
        Err(StoreError::NoKeyring(_)) => false,
        Err(_) => true,
    }
}

/// Copies what a store holds to another name or into another store; false where there is nothing.
///
/// # Errors
/// 74, 75: one of the stores cannot be read or written. The old one is as before.
pub(crate) fn copy(from: &Store, to: &Store, reporter: &Reporter) -> Result<bool, Failure> {
    let notify = |text: &str| reporter.notice(text);
    let locked = from.lock(LOCK_LIMIT, &notify)?;
    let Some(loaded) = locked.load()? else {
        return Ok(false);
    };
    to.lock(LOCK_LIMIT, &notify)?.save(&loaded.stored)?;
    Ok(true)
}

/// Returns the profile as it was when its secret was stored, as far as the secret's destination goes; the profile as it is
/// where that is not known.
pub(crate) fn as_stored(name: &str, profile: &Profile, reporter: &Reporter) -> Profile {
    let now = stored_for(profile);
    let kinds = kinds_of(profile).unwrap_or_default();
    let mut loaded = kinds.into_iter().filter_map(|kind| {
        let store = Store::open(kind, name, keyring_timeout(reporter)).ok()?;
        let loaded = store.load().ok()??;
        loaded.stored.stored_for().cloned()
    });
    let then = loaded
        .next()
        .filter(|then| Move::since(then, &now).is_some())
        .and_then(|then| Profile::deserialize(Value::Object(then)).ok());
    let Some(then) = then else {
        return profile.clone();
    };
    let own = profile.oauth.clone().unwrap_or_default();
    let server = then.oauth.map(|server| OauthSettings {
        issuer: server.issuer,
        token_endpoint: server.token_endpoint,
        revocation_endpoint: server.revocation_endpoint,
        ..own
    });
    Profile {
        method: then.method,
        provider: then.provider,
        base_url: then.base_url,
        oauth: server,
        ..profile.clone()
    }
}

/// Says beside what is stored that it is for the endpoint that the profile names now: somebody has consented.
///
/// # Errors
/// 74, 75: the store cannot be read or written. The secret is then for the old endpoint still.
pub(crate) fn consent(name: &str, profile: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    let now = stored_for(profile);
    for kind in kinds_of(profile)? {
        let store = open(kind, name, reporter)?;
        let since = |stored: &Stored| stored.stored_for().and_then(|then| Move::since(then, &now));
        // Nearly always there is nothing to do, and then no lock is taken.
        if !matches!(store.load(), Ok(Some(loaded)) if since(&loaded.stored).is_some()) {
            continue;
        }
        let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
        if let Some(loaded) = locked.load()?
            && let Some(moved) = since(&loaded.stored)
        {
            locked.save(&loaded.stored.with_stored_for(now.clone()))?;
            reporter.notice(&format!(
                "profile '{name}': what '{}' holds is for '{}' now",
                store.place(),
                moved.new
            ));
        }
    }
    Ok(())
}

/// As [`copy`], but a symbolic link is copied as such, so that a credential that is kept elsewhere stays there.
///
/// # Errors
/// As [`copy`].
pub(crate) fn copy_or_link(from: &Store, to: &Store, reporter: &Reporter) -> Result<Copied, Failure> {
    let notify = |text: &str| reporter.notice(text);
    {
        let locked = from.lock(LOCK_LIMIT, &notify)?;
        // One that is not followed is refused here.
        if locked.load()?.is_none() {
            return Ok(Copied::Nothing);
        }
        if locked.link_to(&to.lock(LOCK_LIMIT, &notify)?)? {
            return Ok(Copied::Link);
        }
    }
    copy(from, to, reporter)?;
    Ok(Copied::Content)
}

/// What was copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copied {
    Nothing,
    Content,
    Link,
}

impl Copied {
    /// Removes what was copied, or what it was copied from.
    ///
    /// # Errors
    /// 74, 75: the store cannot be written.
    pub(crate) fn remove(self, store: &Store, reporter: &Reporter) -> Result<bool, Failure> {
        let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
        Ok(match self {
            Self::Nothing => false,
            Self::Content => locked.delete()?,
            Self::Link => locked.unlink()?,
        })
    }
}

/// Removes what a store holds; false where there is nothing.
///
/// # Errors
/// 74, 75: the store cannot be written.
pub(crate) fn delete(store: &Store, reporter: &Reporter) -> Result<bool, Failure> {
    let locked = store.lock(LOCK_LIMIT, &|text| reporter.notice(text))?;
    Ok(locked.delete()?)
}

/// Opens the store of a profile.
///
/// # Errors
/// As [`Store::open`].
pub(crate) fn open(kind: StoreKind, name: &str, reporter: &Reporter) -> Result<Store, Failure> {
    Ok(Store::open(kind, name, keyring_timeout(reporter))?)
}

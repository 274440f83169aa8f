//! A valid token, refreshed by one of many processes.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use super::document::{Credential, DEFAULT_MIN_TTL, Stored};
use super::store::{LOCK_LIMIT, Loaded, LockedStore, Store};
use crate::exit::{Exit, Failure};
use crate::net::oauth::TokenResponse;
use crate::secret::Secret;
use crate::signal::Deferral;

/// What a caller needs of a token.
#[derive(Clone, Debug)]
pub struct RefreshPolicy {
    /// The least time for which the token should stay valid.
    pub min_ttl: Duration,
    /// When to refresh.
    pub refresh: Refresh,
}

impl Default for RefreshPolicy {
    fn default() -> Self {
        Self {
            min_ttl: DEFAULT_MIN_TTL,
            refresh: Refresh::WhenDue,
        }
    }
}

/// When to refresh.
#[derive(Clone, Debug)]
pub enum Refresh {
    /// If the token expires within `min_ttl`.
    WhenDue,
    /// Never.
    Never,
    /// Always, unless another process does it meanwhile.
    Now,
    /// If the stored token is this one, which a server has rejected.
    Rejected(Secret<String>),
}

/// A credential to use.
#[derive(Debug)]
pub struct ValidCredential {
    /// The credential, as stored.
    pub credential: Credential,
    /// True if this process refreshed it.
    pub refreshed: bool,
    /// Warnings for the user.
    pub notices: Vec<String>,
}

impl ValidCredential {
    fn stored(credential: Credential, notice: Option<String>) -> Self {
        Self {
            credential,
            refreshed: false,
            notices: notice.into_iter().collect(),
        }
    }
}

/// Returns a valid credential from the store, refreshed if it is due.
///
/// Locks the store, reads it again, tries every step of a write, refreshes, saves, in this order: of many processes one
/// refreshes, and the others take what it saved. A failed refresh never changes the store. `refresh` is called at most once;
/// it hands the body of a success to the function that it is given before it does anything else. `notify` is told about a
/// long wait for a lock.
///
/// A refreshed credential that cannot be saved is returned, with a notice.
///
/// # Errors
/// - 77: nothing or an API key stored, the refresh refused, or the token expired without a way to refresh it;
/// - 74: the store cannot be written, and the token has expired: the server is not asked then;
/// - any failure of `refresh` or of the lock, but only if the token has expired. Otherwise it is a notice.
pub fn valid_credential(
    store: &Store,
    policy: &RefreshPolicy,
    now: &dyn Fn() -> SystemTime,
    notify: &dyn Fn(&str),
    refresh: impl FnOnce(&Credential, &dyn Fn(&[u8])) -> Result<TokenResponse, Failure>,
) -> Result<ValidCredential, Failure> {
    let refresher = Refresher {
        store,
        policy,
        now,
        notify,
    };
    let (credential, notice) = match refresher.load() {
        // Only a part of it may have been written.
        Err(_) if store.has_journal() => {
            drop(store.lock(LOCK_LIMIT, notify)?);
            refresher.load()?
        }
        other => other?,
    };
    let (credential, notice) = match refresher.sweep(&credential) {
        true => refresher.load()?,
        false => (credential, notice),
    };
    if refresher.is_sufficient(&credential) {
        return Ok(ValidCredential::stored(credential, notice));
    }
    let mut valid = refresher.lock_and_refresh(credential, refresh)?;
    valid.notices.extend(notice);
    Ok(valid)
}

struct Refresher<'a> {
    store: &'a Store,
    policy: &'a RefreshPolicy,
    now: &'a dyn Fn() -> SystemTime,
    notify: &'a dyn Fn(&str),
}

impl Refresher<'_> {
    fn load(&self) -> Result<(Credential, Option<String>), Failure> {
        self.login(self.store.load()?)
    }

    fn login(&self, loaded: Option<Loaded>) -> Result<(Credential, Option<String>), Failure> {
        match loaded {
            Some(loaded) => match loaded.stored {
                Stored::Oauth(credential) => Ok((credential, loaded.notice)),
                Stored::ApiKey(_) => Err(self.no_login("an API key, not a login,")),
            },
            None => Err(self.no_login("no credential")),
        }
    }

    fn no_login(&self, state: &str) -> Failure {
        let (place, profile) = (self.store.place(), self.store.profile());
        self.hint_login(Failure::new(
            Exit::NoAuth,
            format!("{place}: {state} for profile '{profile}'"),
        ))
    }

    fn hint_login(&self, failure: Failure) -> Failure {
        failure.hint(format!("run 'qwen-login --profile {}'", self.store.profile()))
    }

    /// Clears away what a refresh that was cut short has left beside a token that is not due; true if the store may have
    /// changed by it. Where a refresh is going on, nothing is waited for.
    fn sweep(&self, credential: &Credential) -> bool {
        !matches!(self.policy.refresh, Refresh::Never)
            && self.is_sufficient(credential)
            && self.store.has_journal()
            && self.store.lock(Duration::ZERO, &|_| {}).is_ok()
    }

    /// True if no refresh is needed.
    fn is_sufficient(&self, credential: &Credential) -> bool {
        match &self.policy.refresh {
            Refresh::WhenDue | Refresh::Never => !credential.is_due(self.policy.min_ttl, (self.now)()),
            Refresh::Now => false,
            Refresh::Rejected(_) => self.is_usable(credential),
        }
    }

    /// True if the credential will do where it cannot be refreshed.
    fn is_usable(&self, credential: &Credential) -> bool {
        let is_rejected =
            matches!(&self.policy.refresh, Refresh::Rejected(token) if credential.access_token == *token);
        !is_rejected && !credential.is_expired((self.now)())
    }

    fn lock_and_refresh(
        &self,
        first: Credential,
        refresh: impl FnOnce(&Credential, &dyn Fn(&[u8])) -> Result<TokenResponse, Failure>,
    ) -> Result<ValidCredential, Failure> {
        if matches!(self.policy.refresh, Refresh::Never) {
            let failure = self
                .expired("and is not refreshed")
                .hint("run 'qwen-token --refresh' to renew it");
            return self.without_refresh(first, failure);
        }
        let started = (self.now)();
        let lock = match self.store.lock_own(LOCK_LIMIT, self.notify) {
            Ok(lock) => lock,
            Err(failure) => return self.fall_back_to_current(first, failure),
        };
        let (mut current, _) = self.load()?;
        if self.was_refreshed(&current, &first) {
            let notice = self.lifetime_notice(&current);
            return Ok(ValidCredential::stored(current, notice));
        }
        // The holder of the lock has tried with the same token: do not repeat that.
        if let Some(failure) = lock.failure_between(started, (self.now)()) {
            return self.refresh_failed(current, failure);
        }
        let locked = match lock.lock_qwen_code(LOCK_LIMIT, self.notify) {
            Ok(locked) => locked,
            Err(failure) => return self.fall_back_to_current(current, failure),
        };
        if locked.may_have_changed() {
            let (changed, notice) = self.login(locked.load()?)?;
            current = changed;
            if self.was_refreshed(&current, &first) {
                let mut valid = ValidCredential::stored(current, notice);
                valid.notices.extend(self.lifetime_notice(&valid.credential));
                return Ok(valid);
            }
        }
        self.refresh(locked, current, refresh)
    }

    /// True if another process has refreshed the credential. Some servers keep the token and extend its lifetime.
    fn was_refreshed(&self, current: &Credential, first: &Credential) -> bool {
        self.is_sufficient(current) || (current != first && self.is_usable(current))
    }

    fn refresh(
        &self,
        locked: LockedStore<'_>,
        current: Credential,
        refresh: impl FnOnce(&Credential, &dyn Fn(&[u8])) -> Result<TokenResponse, Failure>,
    ) -> Result<ValidCredential, Failure> {
        if current.refresh_token.is_none() {
            let failure = self.hint_login(self.expired("and the server sent no refresh token"));
            return self.without_refresh(current, failure);
        }
        let deferral = RefCell::new(Deferral::begin(locked.releaser()));
        // Moved, to be dropped before the deferral, which may end the process.
        let mut locked = locked;
        let pending = match locked.prepare(&Stored::Oauth(current.clone())) {
            Ok(pending) => RefCell::new(pending),
            Err(error) => return self.fall_back_to_current(current, error.into()),
        };
        let keep = |body: &[u8]| {
            // A signal whose grace is over removes the journal.
            deferral.borrow_mut().extend();
            pending.borrow_mut().keep_answer(body);
        };
        let response = match refresh(&current, &keep) {
            Ok(response) => response,
            Err(failure) => return self.refused(&locked, current, failure),
        };
        let refreshed = current.refreshed(response, (self.now)());
        let saved = pending.into_inner().commit(&Stored::Oauth(refreshed.clone()));
        let unsaved = saved.err().map(|unsaved| unsaved.notice(self.store.profile()));
        Ok(ValidCredential {
            notices: unsaved
                .into_iter()
                .chain(self.lifetime_notice(&refreshed))
                .collect(),
            credential: refreshed,
            refreshed: true,
        })
    }

    fn refused(
        &self,
        locked: &LockedStore<'_>,
        current: Credential,
        mut failure: Failure,
    ) -> Result<ValidCredential, Failure> {
        // A program that does not take the lock may have used the refresh token first.
        if let Ok((stored, _)) = self.load()
            && stored.access_token != current.access_token
            && self.is_usable(&stored)
        {
            return Ok(ValidCredential::stored(stored, None));
        }
        let profile = self.store.profile();
        failure.message = format!(
            "cannot refresh the token of profile '{profile}': {}",
            failure.message
        );
        locked.record_failure(&failure, (self.now)());
        self.refresh_failed(current, failure)
    }

    fn refresh_failed(&self, current: Credential, failure: Failure) -> Result<ValidCredential, Failure> {
        // Reported even if the token is still valid: the login has ended.
        if failure.exit == Exit::NoAuth {
            return Err(self.hint_login(failure));
        }
        self.fall_back_to_current(current, failure)
    }

    /// Uses the current token in spite of a failure, if it is still valid.
    fn fall_back_to_current(
        &self,
        current: Credential,
        failure: Failure,
    ) -> Result<ValidCredential, Failure> {
        if !self.is_usable(&current) {
            return Err(failure);
        }
        let validity = self.validity(&current);
        let notice = format!("{}; the current token {validity}", failure.message);
        Ok(ValidCredential::stored(current, Some(notice)))
    }

    /// Uses a token that cannot be refreshed, if it is still valid.
    fn without_refresh(&self, current: Credential, expired: Failure) -> Result<ValidCredential, Failure> {
        if !self.is_usable(&current) {
            return Err(expired);
        }
        let (profile, validity) = (self.store.profile(), self.validity(&current));
        let notice = format!("the token of profile '{profile}' {validity} and is not refreshed");
        Ok(ValidCredential::stored(current, Some(notice)))
    }

    fn validity(&self, credential: &Credential) -> String {
        match credential.expires_in((self.now)()) {
            Some(left) => format!("is valid for {} s", left.as_secs()),
            None => "may still be valid".to_owned(),
        }
    }

    fn expired(&self, why: &str) -> Failure {
        let profile = self.store.profile();
        let state = match &self.policy.refresh {
            Refresh::Rejected(_) => "was rejected by the server",
            _ => "has expired",
        };
        Failure::new(
            Exit::NoAuth,
            format!("the token of profile '{profile}' {state} {why}"),
        )
    }

    fn lifetime_notice(&self, credential: &Credential) -> Option<String> {
        let min_ttl = self.policy.min_ttl;
        let left = credential.expires_in((self.now)())?;
        (left < min_ttl && min_ttl > DEFAULT_MIN_TTL).then(|| {
            format!(
                "the server's tokens are valid for less than {} s",
                min_ttl.as_secs()
            )
        })
    }
}

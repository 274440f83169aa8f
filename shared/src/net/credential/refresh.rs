//! A token that is valid long enough, refreshed once whoever asks.

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use super::document::{Credential, DEFAULT_MIN_TTL, Life, Stored};
use super::error::StoreError;
use super::store::{Held, Store};
use crate::exit::{Exit, Failure};
use crate::net::oauth::TokenResponse;
use crate::secret::Secret;
use crate::signal::Deferral;

/// How long to wait for a lock: longer than a holder may take for its refresh (30 s), so that waiting outlives a
/// server that does not answer.
pub const LOCK_LIMIT: Duration = Duration::from_secs(60);

/// Returns a valid credential from the store, refreshed when due.
///
/// Lock, re-read, refresh, persist, return, in that order: of any number of processes at the same moment one
/// refreshes, and the others take what it stored. What is stored is never lost: a refresh that fails leaves it as it
/// was, whatever the server said. `refresh` is called at most once. `tell` is told which lock is waited for, when that
/// takes long.
///
/// # Errors
/// - 77: nothing stored, an API key stored, the refresh refused, or dead without a way to refresh;
/// - 75: dead, and the server or the network is not well, or the lock was not obtained;
/// - 76: dead, and the server's answer is not what OAuth says; 78: the server does not know this client;
/// - 74: the place cannot be written. A token that is still alive is returned with a notice instead of 74, 75, 76, 78.
pub fn obtain(
    store: &Store,
    wanted: &Wanted,
    now: &dyn Fn() -> SystemTime,
    tell: &dyn Fn(&str),
    refresh: impl FnOnce(&Credential) -> Result<TokenResponse, Failure>,
) -> Result<Obtained, Failure> {
    let exchange = Exchange {
        store,
        wanted,
        now,
        tell,
    };
    let (first, notice) = exchange.load()?;
    let mut obtained = if exchange.is_good(&first) {
        Obtained {
            credential: first,
            refreshed: false,
            notices: Vec::new(),
        }
    } else {
        exchange.renew(first, refresh)?
    };
    obtained.notices.extend(notice);
    Ok(obtained)
}

struct Exchange<'a> {
    store: &'a Store,
    wanted: &'a Wanted,
    now: &'a dyn Fn() -> SystemTime,
    tell: &'a dyn Fn(&str),
}

impl Exchange<'_> {
    fn load(&self) -> Result<(Credential, Option<String>), Failure> {
        match self.store.load()? {
            Some(loaded) => match loaded.stored {
                Stored::Oauth(credential) => Ok((credential, loaded.notice)),
                Stored::ApiKey(_) => Err(self.no_auth("an API key, not a login,")),
            },
            None => Err(self.no_auth("no credential")),
        }
    }

    fn no_auth(&self, state: &str) -> Failure {
        let (place, profile) = (self.store.place(), self.store.profile());
        Failure::new(Exit::NoAuth, format!("{place}: {state} for profile '{profile}'"))
            .hint(format!("run 'qwen-login --profile {profile}'"))
    }

    fn is_good(&self, credential: &Credential) -> bool {
        match &self.wanted.refresh {
            Refresh::WhenDue | Refresh::Never => !credential.is_due(self.wanted.min_ttl, (self.now)()),
            Refresh::Now => false,
            Refresh::Rejected(token) => {
                credential.access_token != *token && credential.remaining((self.now)()).is_alive()
            }
        }
    }

    /// True when a failed refresh may be passed over.
    fn is_usable(&self, credential: &Credential) -> bool {
        let rejected =
            matches!(&self.wanted.refresh, Refresh::Rejected(token) if credential.access_token == *token);
        !rejected && credential.remaining((self.now)()).is_alive()
    }

    fn renew(
        &self,
        first: Credential,
        refresh: impl FnOnce(&Credential) -> Result<TokenResponse, Failure>,
    ) -> Result<Obtained, Failure> {
        if matches!(self.wanted.refresh, Refresh::Never) {
            let ended = self
                .ended("and is not refreshed")
                .hint("run it without --no-refresh");
            return self.as_it_is(first, ended);
        }
        let started = (self.now)();
        let turn = match self.store.turn(LOCK_LIMIT, self.tell) {
            Ok(turn) => turn,
            Err(failure) => return self.make_do(first, failure),
        };
        let mut due = match self.read_again(&first)? {
            ControlFlow::Break(obtained) => return Ok(obtained),
            ControlFlow::Continue(due) => due,
        };
        // It asked while we waited, for the same token: to ask again would be to repeat a refresh blindly.
        if let Some(failure) = turn.failure_between(started, (self.now)()) {
            return self.failed(due, failure);
        }
        let held = match turn.hold(LOCK_LIMIT, self.tell) {
            Ok(held) => held,
            Err(failure) => return self.make_do(due, failure),
        };
        if held.is_shared() {
            due = match self.read_again(&first)? {
                ControlFlow::Break(obtained) => return Ok(obtained),
                ControlFlow::Continue(due) => due,
            };
        }
        self.exchange(held, due, refresh)
    }

    /// Reads the store with a lock held. Breaks with what another process was faster to get: it is as new as ours would
    /// be. The token alone does not tell, for some servers renew the life of the one that they gave.
    fn read_again(&self, first: &Credential) -> Result<ControlFlow<Obtained, Credential>, Failure> {
        let (present, _) = self.load()?;
        if !self.is_good(&present) && (present == *first || !self.is_usable(&present)) {
            return Ok(ControlFlow::Continue(present));
        }
        let notices = self.too_short(&present).into_iter().collect();
        Ok(ControlFlow::Break(Obtained {
            notices,
            ..kept(present)
        }))
    }

    fn exchange(
        &self,
        held: Held<'_>,
        present: Credential,
        refresh: impl FnOnce(&Credential) -> Result<TokenResponse, Failure>,
    ) -> Result<Obtained, Failure> {
        if present.refresh_token.is_none() {
            let profile = self.store.profile();
            let ended = self
                .ended("and the server gave no refresh token")
                .hint(format!("run 'qwen-login --profile {profile}'"));
            return self.as_it_is(present, ended);
        }
        let mut deferral = Deferral::begin(held.release());
        // Moved behind it, to be given back before a signal ends the program.
        let held = held;
        let pending = match held.prepare(&Stored::Oauth(present.clone())) {
            Ok(pending) => pending,
            Err(error) => return self.make_do(present, error.into()),
        };
        let response = match refresh(&present) {
            Ok(response) => response,
            Err(failure) => return self.refused(&held, present, failure),
        };
        deferral.extend();
        let renewed = present.renewed(response, (self.now)());
        let stored = Stored::Oauth(renewed.clone());
        pending.commit(&stored).map_err(|error| self.lost(&error))?;
        Ok(Obtained {
            notices: self.too_short(&renewed).into_iter().collect(),
            credential: renewed,
            refreshed: true,
        })
    }

    /// The server said no, or nothing.
    fn refused(
        &self,
        held: &Held<'_>,
        present: Credential,
        mut failure: Failure,
    ) -> Result<Obtained, Failure> {
        // Another program that shares the store, but not our lock, may have spent the refresh token first.
        if let Ok((stored, _)) = self.load()
            && stored.access_token != present.access_token
            && self.is_usable(&stored)
        {
            return Ok(kept(stored));
        }
        let profile = self.store.profile();
        failure.message = format!(
            "cannot refresh the token of profile '{profile}': {}",
            failure.message
        );
        held.leave_failure(&failure, (self.now)());
        self.failed(present, failure)
    }

    /// A refused login is an end, whatever the token's own life; anything else may pass.
    fn failed(&self, present: Credential, failure: Failure) -> Result<Obtained, Failure> {
        if failure.exit == Exit::NoAuth {
            let profile = self.store.profile();
            return Err(failure.hint(format!("run 'qwen-login --profile {profile}'")));
        }
        self.make_do(present, failure)
    }

    /// Passes over a failure while the token lives.
    fn make_do(&self, present: Credential, failure: Failure) -> Result<Obtained, Failure> {
        if !self.is_usable(&present) {
            return Err(failure);
        }
        let rest = self.rest(&present);
        let mut obtained = kept(present);
        obtained
            .notices
            .push(format!("{}; the old one {rest}", failure.message));
        Ok(obtained)
    }

    /// Takes the token that cannot be refreshed, while it lives.
    fn as_it_is(&self, present: Credential, ended: Failure) -> Result<Obtained, Failure> {
        if !self.is_usable(&present) {
            return Err(ended);
        }
        let (profile, rest) = (self.store.profile(), self.rest(&present));
        let mut obtained = kept(present);
        obtained.notices.push(format!(
            "the token of profile '{profile}' {rest} and is not refreshed"
        ));
        Ok(obtained)
    }

    fn rest(&self, credential: &Credential) -> String {
        match credential.remaining((self.now)()) {
            Life::For(rest) => format!("goes on for {} s", rest.as_secs()),
            _ => "may still be good".to_owned(),
        }
    }

    fn ended(&self, why: &str) -> Failure {
        let profile = self.store.profile();
        let state = match &self.wanted.refresh {
            Refresh::Rejected(_) => "is refused by the server",
            _ => "has expired",
        };
        Failure::new(
            Exit::NoAuth,
            format!("the token of profile '{profile}' {state}, {why}"),
        )
    }

    fn lost(&self, error: &StoreError) -> Failure {
        Failure::new(
            error.exit(),
            format!("the server renewed the token, but it could not be kept: {error}"),
        )
        .hint(format!(
            "mend that, then run 'qwen-login --profile {}' if the old one is refused",
            self.store.profile()
        ))
    }

    fn too_short(&self, renewed: &Credential) -> Option<String> {
        let wanted = self.wanted.min_ttl;
        let life = renewed.remaining((self.now)());
        (life.is_below(wanted) && wanted > DEFAULT_MIN_TTL).then(|| {
            format!(
                "the server's tokens live for less than the {} s asked for",
                wanted.as_secs()
            )
        })
    }
}

const fn kept(credential: Credential) -> Obtained {
    Obtained {
        credential,
        refreshed: false,
        notices: Vec::new(),
    }
}

/// What a caller needs of a token.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// How long it should go on at least.
    pub min_ttl: Duration,
    /// When to refresh.
    pub refresh: Refresh,
}

/// When to refresh.
#[derive(Clone, Debug)]
pub enum Refresh {
    /// When the token goes on for less than is wanted.
    WhenDue,
    /// Never: no network.
    Never,
    /// Now, unless another process does so while this one waits for its turn.
    Now,
    /// When the stored token is still this one, which a server has just refused.
    Rejected(Secret<String>),
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            min_ttl: DEFAULT_MIN_TTL,
            refresh: Refresh::WhenDue,
        }
    }
}

/// A credential to use.
#[derive(Debug)]
pub struct Obtained {
    /// The credential, stored as it is here.
    pub credential: Credential,
    /// True when this process refreshed it.
    pub refreshed: bool,
    /// What the user should know though the work goes on.
    pub notices: Vec<String>,
}

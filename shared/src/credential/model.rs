//! What is kept: an API key, or a token with its refresh token and its times.

use std::fmt;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::clock::SKEW;
use crate::oauth::TokenResponse;
use crate::secret::Secret;

/// How long a token should go on at least when nobody says otherwise.
pub(super) const DEFAULT_MIN_TTL: Duration = Duration::from_secs(60);

/// What one profile has in its store.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// A key of an OpenAI-compatible endpoint.
    ApiKey(Secret<String>),
    /// A login.
    Oauth(Credential),
}

/// A token, what renews it, and when it was made.
#[derive(Clone, PartialEq)]
pub struct Credential {
    /// The access token.
    pub access_token: Secret<String>,
    /// What renews it; servers that rotate accept it once (RFC 9700, section 2.2.2).
    pub refresh_token: Option<Secret<String>>,
    /// The token type, as the server wrote it: `Bearer` in some case.
    pub token_type: String,
    /// When the access token ends; `None` when the server did not say, which is not the same as ended.
    pub expires_at: Option<SystemTime>,
    /// When it was issued, by this machine's clock; `None` when another program stored it.
    pub issued_at: Option<SystemTime>,
    /// Qwen's own member: the host that takes this token. Untrusted input.
    pub resource_url: Option<String>,
    /// The scope that was granted, where the server said.
    pub scope: Option<String>,
    /// Members that we do not know. They survive every rewrite, and may hold secrets (an `id_token`).
    pub extra: Map<String, Value>,
}

/// How long a token goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Nobody said: it is used until a server refuses it (RFC 6749, section 5.1).
    Unknown,
    /// It ends in this time, which is more than nothing.
    For(Duration),
    /// It has ended, or its times make no sense by this clock.
    Expired,
}

impl Life {
    /// True when the token may still be used.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        !matches!(self, Self::Expired)
    }

    /// True when it is known to end before `time` has passed.
    #[must_use]
    pub fn is_below(self, time: Duration) -> bool {
        match self {
            Self::Unknown => false,
            Self::For(rest) => rest < time,
            Self::Expired => true,
        }
    }
}

impl Credential {
    /// Makes a credential of a token endpoint's answer that came at `now`.
    #[must_use]
    pub fn from_response(response: TokenResponse, now: SystemTime) -> Self {
        Self {
            access_token: response.access_token,
            refresh_token: response.refresh_token,
            token_type: response.token_type,
            expires_at: response.expires_in.and_then(|life| now.checked_add(life)),
            issued_at: Some(now),
            resource_url: response.resource_url,
            scope: response.scope,
            extra: super::document::unknown_members(response.extra),
        }
    }

    /// Makes the credential that follows this one after a refresh.
    ///
    /// A `refresh_token` that the answer lacks goes on (RFC 6749, section 6); so do a `resource_url`, which Qwen
    /// Code loses here (facts: Qwen Code, section 0), the scope, and the members that we do not know.
    #[must_use]
    pub fn renewed(&self, response: TokenResponse, now: SystemTime) -> Self {
        let mut next = Self::from_response(response, now);
        next.refresh_token = next.refresh_token.or_else(|| self.refresh_token.clone());
        next.resource_url = next.resource_url.or_else(|| self.resource_url.clone());
        next.scope = next.scope.or_else(|| self.scope.clone());
        let mut extra = self.extra.clone();
        extra.extend(std::mem::take(&mut next.extra));
        next.extra = extra;
        next
    }

    /// Returns how long the access token goes on.
    ///
    /// An issue time in the future says that the clock was stepped since: the expiry was reckoned by the wrong clock
    /// and is worth nothing, so the token counts as expired (facts: OAuth, section 6). A little is allowed for
    /// machines that share a home.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Life {
        if self.issued_at.is_some_and(|issued| issued > now + SKEW) {
            return Life::Expired;
        }
        match self.expires_at.map(|end| end.duration_since(now)) {
            None => Life::Unknown,
            Some(Ok(rest)) if !rest.is_zero() => Life::For(rest),
            Some(_) => Life::Expired,
        }
    }

    /// True when the token should be refreshed by someone who needs it for `min_ttl`.
    ///
    /// Where the server's tokens never live as long as is wanted by default, refreshing on every call would gain nothing
    /// and spend a refresh token each time: such a token is due in the second half of its life. Whoever asks for more
    /// than the default gets a refresh, because the server may have changed its mind.
    #[must_use]
    pub fn is_due(&self, min_ttl: Duration, now: SystemTime) -> bool {
        let whole = match (self.issued_at, self.expires_at) {
            (Some(issued), Some(end)) => end.duration_since(issued).ok(),
            _ => None,
        };
        let wanted = match whole {
            Some(whole) if whole <= min_ttl && min_ttl <= DEFAULT_MIN_TTL => whole / 2,
            _ => min_ttl,
        };
        let life = self.remaining(now);
        !life.is_alive() || life.is_below(wanted)
    }
}

impl fmt::Debug for Credential {
    /// Shows times and names, never a value that could be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("refresh_token", &self.refresh_token)
            .field("expires_at", &self.expires_at)
            .field("issued_at", &self.issued_at)
            .field("resource_url", &self.resource_url)
            .field("scope", &self.scope)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

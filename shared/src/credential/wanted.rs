//! What a caller needs of a token, and what it gets.

use std::time::Duration;

use super::model::{Credential, DEFAULT_MIN_TTL};
use crate::secret::Secret;

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

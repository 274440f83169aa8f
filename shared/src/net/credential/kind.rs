//! The kinds of stores, and how one of them is named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::exit::{Exit, Failure};

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// The system keyring: Secret Service, macOS Keychain, Windows Credential Manager.
    Keyring,
    /// A file of the profile's own, beside `config.json`.
    File,
    /// Qwen Code's `oauth_creds.json`: what `file` means for the login at qwen.ai.
    #[serde(rename = "file", skip_deserializing)]
    QwenCode,
}

impl StoreKind {
    /// Returns the store that `QWEN_CREDENTIAL_STORE` names; `None` when it is unset, blank or `auto`.
    ///
    /// # Errors
    /// 78 for any other word.
    pub fn from_environment() -> Result<Option<Self>, Failure> {
        match std::env::var("QWEN_CREDENTIAL_STORE").unwrap_or_default().trim() {
            "" | "auto" => Ok(None),
            word => word.parse().map(Some).map_err(|()| {
                Failure::new(
                    Exit::Config,
                    format!("QWEN_CREDENTIAL_STORE: '{word}' is not auto, keyring or file"),
                )
            }),
        }
    }
}

impl FromStr for StoreKind {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            _ => Err(()),
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keyring => "keyring",
            Self::File | Self::QwenCode => "file",
        })
    }
}

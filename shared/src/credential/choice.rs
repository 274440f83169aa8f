//! Which store a login should use.

use std::fmt;
use std::str::FromStr;

use super::error::StoreError;
use super::keyring::Patience;
use super::store::{Store, StoreKind};
use crate::failure::Failure;

/// What `--store` and `QWEN_CREDENTIAL_STORE` can say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreChoice {
    /// The keyring where one answers, a file where none exists.
    #[default]
    Auto,
    /// The system keyring or nothing.
    Keyring,
    /// A file that only its owner can read.
    File,
}

impl fmt::Display for StoreChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Keyring => "keyring",
            Self::File => "file",
        })
    }
}

impl FromStr for StoreChoice {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            "keyring" => Ok(Self::Keyring),
            "file" => Ok(Self::File),
            _ => Err(()),
        }
    }
}

/// Finds the store for a login and proves, by writing, reading and deleting, that it will take a credential.
///
/// Call it before a browser opens: a login whose token cannot be kept is a login lost. Returns the store and a notice
/// when it is not what the user may expect. `is_qwen_oauth` says that the credential is a login at qwen.ai, whose
/// file is Qwen Code's.
///
/// # Errors
/// A keyring that is locked or silent (75) is never replaced by a file, which would leave a secret where the user did
/// not want it; a place that cannot be written (74).
pub fn choose(
    choice: StoreChoice,
    profile: &str,
    is_qwen_oauth: bool,
    patience: Patience,
) -> Result<(Store, Option<String>), Failure> {
    let file = if is_qwen_oauth {
        StoreKind::QwenCode
    } else {
        StoreKind::File
    };
    if choice == StoreChoice::File {
        return tried(Store::open(file, profile, patience)?, None);
    }
    let keyring = Store::open(StoreKind::Keyring, profile, patience.clone())?;
    match keyring.probe() {
        Ok(()) => Ok((keyring, None)),
        Err(StoreError::NoKeyring(_)) if choice == StoreChoice::Auto => {
            let store = Store::open(file, profile, patience)?;
            let notice = format!(
                "no system keyring is here; the credential goes to '{}', readable by you alone",
                store.place()
            );
            tried(store, Some(notice))
        }
        Err(error) => Err(error.into()),
    }
}

fn tried(store: Store, notice: Option<String>) -> Result<(Store, Option<String>), Failure> {
    store.probe()?;
    Ok((store, notice))
}

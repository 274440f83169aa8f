//! A write to the store that is prepared before the server is asked, and what becomes of a credential that it does not take.

use std::path::{Path, PathBuf};

use super::document::{self, Format, Stored};
use super::error::StoreError;
use super::journal::Journal;
use super::keyring::KeyringItem;
use crate::fs::PreparedWrite;

/// A write that is prepared.
#[derive(Debug)]
pub(super) struct PendingWrite<'a> {
    target: Target<'a>,
    journal: Journal,
}

#[derive(Debug)]
enum Target<'a> {
    Keyring(&'a KeyringItem),
    File {
        file: PreparedWrite,
        path: &'a Path,
        format: Format,
    },
}

impl<'a> PendingWrite<'a> {
    pub(super) const fn to_keyring(item: &'a KeyringItem, journal: Journal) -> Self {
        Self {
            target: Target::Keyring(item),
            journal,
        }
    }

    /// Tries every step of a write of up to `space` bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn to_file(
        path: &'a Path,
        format: Format,
        space: usize,
        journal: Journal,
    ) -> Result<Self, StoreError> {
        let file = PreparedWrite::begin(path, space).map_err(|error| StoreError::io(path, "write", error))?;
        let target = Target::File { file, path, format };
        Ok(Self { target, journal })
    }

    /// Keeps the server's answer in the journal, before anything is made of it.
    pub(super) fn keep_answer(&mut self, body: &[u8]) {
        self.journal.answer(body);
    }

    /// Replaces the credential; the journal goes. It is on the disk when this returns.
    ///
    /// # Errors
    /// The store does not take it. The old credential is still there, and the new one in the journal, if that is.
    pub(super) fn commit(mut self, stored: &Stored) -> Result<(), Unsaved> {
        match self.target.write(stored, &mut self.journal) {
            Ok(()) => {
                self.journal.finish();
                Ok(())
            }
            Err(error) => Err(Unsaved {
                error,
                journal: self.journal.keep(),
            }),
        }
    }

    /// As [`PendingWrite::commit`], for what its maker still has: no journal stays.
    ///
    /// # Errors
    /// The store does not take it.
    pub(super) fn commit_or_forget(mut self, stored: &Stored) -> Result<(), StoreError> {
        let written = self.target.write(stored, &mut self.journal);
        self.journal.finish();
        written
    }
}

impl Target<'_> {
    fn write(self, stored: &Stored, journal: &mut Journal) -> Result<(), StoreError> {
        match self {
            Self::Keyring(item) => item.write(document::write(stored, Format::Own)),
            Self::File { file, path, format } => {
                let document = document::write(stored, format);
                let written = file.commit(document.expose(), || journal.document(document.expose()));
                written.map_err(|error| StoreError::io(path, "write", error))
            }
        }
    }
}

/// A new credential that the store did not take.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub(super) error: StoreError,
    /// Where it is kept; `None` where that was not possible either.
    pub(super) journal: Option<PathBuf>,
}

impl Unsaved {
    /// Says so, and what saves it.
    pub(super) fn notice(&self, profile: &str) -> String {
        let fault = format!(
            "the new login of profile '{profile}' cannot be saved: {}",
            self.error
        );
        match &self.journal {
            Some(path) => format!(
                "{fault}; it is kept in '{}': mend that, then run 'qwen-token --refresh --profile {profile}' to save it",
                path.display()
            ),
            None => format!(
                "{fault}; the old one is spent: mend that, then run 'qwen-login --profile {profile}' before this token ends"
            ),
        }
    }
}

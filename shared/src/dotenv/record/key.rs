//! The key of the digests in the record, in a private file of the state directory.

use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::fs;
use crate::paths;
use crate::text::hex;

/// The length of the key: a block of the hash, as the HMAC takes it.
pub(super) const KEY_LENGTH: usize = 64;

/// The key of the digests.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordKey {
    bytes: [u8; KEY_LENGTH],
    /// A name for the key, to tell another user's record from one's own.
    pub(super) id: String,
}

impl std::fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RecordKey")
    }
}

impl RecordKey {
    pub(super) fn new(bytes: [u8; KEY_LENGTH]) -> Self {
        let mut key = Self {
            bytes,
            id: String::new(),
        };
        key.id = key.digest(&[b"key"])[..8].to_owned();
        key
    }

    /// Reads the key of this user; `None` where there is none that only the user could read and write.
    #[must_use]
    pub fn load() -> Option<Self> {
        Self::read(&key_path()?).ok()?
    }

    /// As [`RecordKey::load`], making the key where there is none, and a new one where others could have read it.
    #[must_use]
    pub fn load_or_create() -> Option<Self> {
        let path = key_path()?;
        match Self::read(&path) {
            Ok(Some(key)) => return Some(key),
            Ok(None) => {}
            // It is somebody else's, or cannot be read.
            Err(_) => return None,
        }
        let mut bytes = [0; KEY_LENGTH];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).ok()?;
        if filled < bytes.len() {
            return None;
        }
        fs::create_private_dir(path.parent()?).ok()?;
        match fs::create_private(&path, &bytes) {
            Ok(_) => Some(Self::new(bytes)),
            // Another process was first, and what is there is the key of both; or it is of no use.
            Err(_) => Self::load().or_else(|| {
                fs::write_private(&path, &bytes).ok()?;
                Self::load()
            }),
        }
    }

    /// Reads the file; `None` when there is none, or it is of no use.
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let Some(file) = fs::read_private(path, KEY_LENGTH as u64)? else {
            return Ok(None);
        };
        let is_private = !file.is_loose();
        let bytes = file.bytes.try_into().ok().filter(|_| is_private);
        Ok(bytes.map(Self::new))
    }

    pub(super) fn digest(&self, parts: &[&[u8]]) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.bytes.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        hex(&whole[..8])
    }
}

fn key_path() -> Option<PathBuf> {
    Some(paths::state_dir()?.join("record.key"))
}

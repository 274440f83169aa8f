//! Who may set what, and which key may go with which address.

use std::path::Path;

use super::names::{ROWS, Reach};
use super::variable::Standing;

/// The variable in which `qwen-env` remembers what it exported. No file may set it.
pub const RECORD: &str = "QWEN_ENV_EXPORTED";

/// The names that a project's plain `.env` does not set, unless Qwen Code's settings say otherwise.
pub(super) const EXCLUDED: [&str; 2] = ["DEBUG", "DEBUG_MODE"];

/// Returns what a variable reaches that an untrusted project file may not set; `None` when it may set it.
#[must_use]
pub fn reach(name: &str) -> Option<Reach> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    ROWS.iter()
        .find(|row| {
            row.names.contains(&name.as_str())
                || row.beginnings.iter().any(|begin| name.starts_with(begin))
                || row.endings.iter().any(|end| name.ends_with(end))
        })
        .map(|row| row.reach)
}

/// How the name of an address ends to which a key is sent, and what of the ending the key's name keeps; the longer
/// before those that they end in.
const ADDRESSES: [(&str, &str); 4] = [
    ("_API_BASE_URL", ""),
    ("_BASE_URL", ""),
    ("_API_BASE", ""),
    ("OPENAI_ENDPOINT", "OPENAI"),
];

/// Returns the name of the key that goes with an address: `X_API_KEY` for `X_BASE_URL`, `X_API_BASE` and
/// `X_API_BASE_URL`, `AZURE_OPENAI_API_KEY` for Azure's `AZURE_OPENAI_ENDPOINT`; `None` when the name is not one of an
/// address to which a key is sent.
#[must_use]
pub fn key_name(url_name: &str) -> Option<String> {
    let (vendor, kept) = ADDRESSES
        .iter()
        .find_map(|(ending, kept)| Some((url_name.strip_suffix(ending)?, kept)))?;
    let owner = format!("{vendor}{kept}");
    (!owner.is_empty()).then(|| owner + "_API_KEY")
}

/// Returns whether a key may be sent to an address that a file of the chain gave.
///
/// A project file that nobody trusted came with a clone: it may say where *its own* key goes, not where the user's
/// goes. So an address of such a file is good only with a key of the same file; `key_file` is `None` when the key is
/// from anywhere else (the environment, a profile, the keyring), or blank, or not there yet.
#[must_use]
pub fn may_pair(url_standing: Standing, url_file: &Path, key_file: Option<&Path>) -> bool {
    url_standing != Standing::UntrustedProject || key_file == Some(url_file)
}

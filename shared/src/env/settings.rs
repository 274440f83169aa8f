//! The one setting of Qwen Code's `settings.json` that the chain obeys: names that a project's `.env` may not set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::policy::EXCLUDED;

/// The largest `settings.json` that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// Returns the excluded names: the union of the lists in these files, or the built-in pair when none has a list.
///
/// `advanced.excludedEnvVars` replaces the pair; the older `excludedProjectEnvVars` at the top is read where the
/// newer is missing (facts: Qwen Code, section 4). A file that is not there, or is not JSON, has no list: it is
/// another program's file, and that program reports it.
#[must_use]
pub(super) fn excluded_names(files: &[PathBuf]) -> BTreeSet<String> {
    let lists: Vec<Vec<String>> = files.iter().filter_map(|file| list_of(file)).collect();
    if lists.is_empty() {
        return EXCLUDED.iter().map(|&name| name.to_owned()).collect();
    }
    lists.into_iter().flatten().collect()
}

fn list_of(file: &Path) -> Option<Vec<String>> {
    let settings = crate::jsonc::parse(&String::from_utf8_lossy(&read(file)?)).ok()?;
    let list = settings
        .get("advanced")
        .and_then(|advanced| advanced.get("excludedEnvVars"))
        .or_else(|| settings.get("excludedProjectEnvVars"))?;
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}

/// Reads a regular file of sane size; a FIFO in its place is not waited for.
fn read(file: &Path) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return None;
    }
    std::fs::read(file).ok()
}

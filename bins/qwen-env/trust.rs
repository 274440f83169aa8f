//! `--trust` and `--untrust`.

use std::path::{Path, PathBuf};

use qwen_shared::dotenv::{self, EnvChain, EnvError, Search, Unusable, trust};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::Reporter;
use qwen_shared::paths;

/// Trusts a file with its present content, and reports which restricted names it sets.
pub(crate) fn trust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = target(named, search)?;
    let unusable = |reason: Unusable| {
        Failure::from(EnvError::Unusable {
            path: file.clone(),
            reason,
        })
    };
    let content = dotenv::read(&file)
        .map_err(unusable)?
        .ok_or_else(|| EnvError::Missing(file.clone()))?;
    trust::grant(store(search)?, &file, &content.bytes, &|text| {
        reporter.notice(text)
    })?;
    reporter.notice(&format!(
        "{}: trusted with its present content; a change ends the trust",
        file.display()
    ));
    Ok(Exit::Ok)
}

/// Removes the trust.
pub(crate) fn untrust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = target(named, search)?;
    let was_trusted = trust::forget(store(search)?, &file, &|text| reporter.notice(text))?;
    let result = if was_trusted.is_some() {
        "no longer trusted"
    } else {
        "was not trusted"
    };
    reporter.notice(&format!("{}: {result}", file.display()));
    Ok(Exit::Ok)
}

/// The file named, else the project's file that the search finds.
fn target(named: Option<PathBuf>, search: &Search) -> Result<PathBuf, Failure> {
    if let Some(named) = named.or_else(|| search.file.clone()) {
        return Ok(std::path::absolute(&named).unwrap_or(named));
    }
    let chain = EnvChain::resolve(search);
    chain
        .trust_target()
        .map(Path::to_path_buf)
        .ok_or_else(no_project_file)
}

fn no_project_file() -> Failure {
    Failure::new(
        Exit::NoInput,
        "there is no project's .env file here; the home directory's needs no trust",
    )
    .hint("run 'qwen-env --explain' to see where it looked")
}

fn store(search: &Search) -> Result<&Path, Failure> {
    search.trust_store.as_deref().ok_or_else(paths::no_home)
}

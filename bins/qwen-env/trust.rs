//! `--trust` and `--untrust`.

use std::path::{Path, PathBuf};

use qwen_shared::dotenv::{self, CandidateStatus, EnvChain, EnvError, Search, Trust, Unusable, trust};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::Reporter;
use qwen_shared::paths;

use super::output::WRITABLE_HINT;

/// Trusts a file with its present content, and reports which restricted names it sets.
pub(crate) fn trust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = target(named, search)?;
    let unusable = |reason: Unusable| {
        let hint = matches!(reason, Unusable::WritableByAll).then_some(WRITABLE_HINT);
        let failure = Failure::from(EnvError::Unusable {
            path: file.clone(),
            reason,
        });
        hint.into_iter().fold(failure, Failure::hint)
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
    let names = restricted_names(&content.bytes);
    if !names.is_empty() {
        reporter.notice(&format!(
            "{}: it may now set {}",
            file.display(),
            names.join(", ")
        ));
    }
    Ok(Exit::Ok)
}

/// Removes the trust.
pub(crate) fn untrust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = target(named, search)?;
    let was_trusted = trust::revoke(store(search)?, &file, &|text| reporter.notice(text))?;
    let result = if was_trusted {
        "no longer trusted"
    } else {
        "was not trusted"
    };
    reporter.notice(&format!("{}: {result}", file.display()));
    Ok(Exit::Ok)
}

/// The names in a file that only a trusted file may set.
fn restricted_names(content: &[u8]) -> Vec<String> {
    let text = dotenv::decode(content);
    let mut names: Vec<String> = dotenv::Scanner::new(&text)
        .map(|assignment| assignment.name.to_owned())
        .filter(|name| dotenv::category(name).is_some() || dotenv::key_name(name).is_some())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The file named, else the project's file that the search finds.
fn target(named: Option<PathBuf>, search: &Search) -> Result<PathBuf, Failure> {
    if let Some(named) = named.or_else(|| search.file.clone()) {
        return Ok(std::path::absolute(&named).unwrap_or(named));
    }
    let chain = EnvChain::resolve(search);
    let read = chain
        .files
        .iter()
        .find(|file| file.trust != Trust::Home)
        .map(|file| file.path.to_path_buf());
    let ignored = chain.candidates.iter().find(|candidate| {
        matches!(
            candidate.status,
            CandidateStatus::Ignored(Unusable::Foreign(_) | Unusable::WritableByAll)
        )
    });
    read.or_else(|| ignored.map(|candidate| candidate.path.to_path_buf()))
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

//! `--trust` and `--untrust`.

use std::path::{Path, PathBuf};

use qwen_shared::dotenv::{self, EnvChain, EnvError, Fate, Search, Standing, Unusable, trust};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::Reporter;
use qwen_shared::paths;

/// Trusts a file with its present content, and says what that lets through.
pub(crate) fn trust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = subject(named, search)?;
    let unusable = |reason: Unusable| {
        let hint = matches!(reason, Unusable::WritableByAll)
            .then_some("take the right to write from others ('chmod o-w')");
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
        "{}: trusted as it is now; one changed byte ends that",
        file.display()
    ));
    let reached = reached(&content.bytes);
    if !reached.is_empty() {
        reporter.notice(&format!(
            "{}: it may now set {}",
            file.display(),
            reached.join(", ")
        ));
    }
    Ok(Exit::Ok)
}

/// Takes the trust back.
pub(crate) fn untrust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let file = subject(named, search)?;
    let known = trust::revoke(store(search)?, &file, &|text| reporter.notice(text))?;
    let said = if known {
        "no longer trusted"
    } else {
        "was not trusted"
    };
    reporter.notice(&format!("{}: {said}", file.display()));
    Ok(Exit::Ok)
}

/// The names in a file that only trust lets through.
fn reached(content: &[u8]) -> Vec<String> {
    let text = dotenv::decode(content);
    let mut names: Vec<String> = dotenv::Scanner::new(&text)
        .map(|statement| statement.name.to_owned())
        .filter(|name| dotenv::reach(name).is_some() || dotenv::key_name(name).is_some())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// The file that is meant: the one named, else the project's file that the search finds.
fn subject(named: Option<PathBuf>, search: &Search) -> Result<PathBuf, Failure> {
    if let Some(named) = named.or_else(|| search.file.clone()) {
        return Ok(std::path::absolute(&named).unwrap_or(named));
    }
    let chain = EnvChain::resolve(search);
    let read = chain
        .files
        .iter()
        .find(|file| file.standing != Standing::Home)
        .map(|file| file.path.to_path_buf());
    let passed_over = chain.candidates.iter().find(|candidate| {
        matches!(
            candidate.fate,
            Fate::PassedOver(Unusable::Foreign(_) | Unusable::WritableByAll)
        )
    });
    read.or_else(|| passed_over.map(|candidate| candidate.path.to_path_buf()))
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

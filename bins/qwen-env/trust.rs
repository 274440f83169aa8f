//! `--trust` and `--untrust`.

use std::path::{Path, PathBuf};

use qwen_shared::dotenv::{self, Answer, EnvChain, EnvError, Search, command_about, is_reserved, trust};
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::fs::parse_jsonc;
use qwen_shared::output::Reporter;
use qwen_shared::paths;
use serde_json::Value;

use super::args::Args;
use super::consent::{self, Question, Reply, Setting, attended_terminal, count_of, table, values_command};

/// Shows what a file sets and, unless a person at the terminal says otherwise, consents to exactly what was shown.
pub(crate) fn trust(named: Option<PathBuf>, args: &Args, search: &Search, reporter: &Reporter) -> Outcome {
    let is_named = named.is_some() || search.file.is_some() || args.common.directory.is_some();
    let Target { file, bytes } = target(named, search)?;
    let bytes = match bytes {
        Some(bytes) => bytes,
        None => read(&file)?,
    };
    let question = question(reporter.program(), &file, &bytes, is_named);
    let store = store(search)?;
    let notify = |text: &str| reporter.notice(text);
    let terminal = attended_terminal().filter(|_| !args.yes && !reporter.is_quiet());
    if let Some(mut terminal) = terminal {
        match consent::ask(&mut terminal, question) {
            Reply::Answer(Answer::Yes) => {}
            Reply::Answer(Answer::No) => {
                trust::deny(store, &file, &bytes, &notify)?;
                reporter.notice(&refused(&file, is_named));
                return Ok(Exit::No);
            }
            Reply::NotNow => return Ok(Exit::No),
        }
    } else if !reporter.is_quiet() {
        reporter.plain(&question.title);
        table(&question.settings, question.limit)
            .lines()
            .for_each(|line| reporter.plain(line));
    }
    trust::grant(store, &file, &bytes, &notify)?;
    reporter.notice(&format!(
        "{}: trusted with its present content; a change ends the trust",
        file.display()
    ));
    Ok(Exit::Ok)
}

/// What there is to say of a file, and to ask.
fn question(program: &str, file: &Path, bytes: &[u8], is_named: bool) -> Question {
    let Content { settings, is_json } = settings_of(file, bytes);
    let (one, many) = match is_json {
        true => ("setting", "settings"),
        false => ("variable", "variables"),
    };
    let count = count_of(settings.len(), one, many);
    Question {
        title: format!("{program}: '{}' sets {count}", file.display()),
        settings,
        limit: None,
        values: values_command(file, is_named).filter(|_| !is_json),
    }
}

/// Says that a no is kept, and how it is taken back.
fn refused(file: &Path, is_named: bool) -> String {
    let command = "qwen-env --untrust";
    let command = match is_named {
        true => command_about(command, file),
        false => Some(command.to_owned()),
    };
    let hint = command.map(|command| format!("; '{command}' forgets that"));
    format!("{}: refused{}", file.display(), hint.unwrap_or_default())
}

/// Forgets the answer, a yes or a no.
pub(crate) fn untrust(named: Option<PathBuf>, search: &Search, reporter: &Reporter) -> Outcome {
    let Target { file, .. } = target(named, search)?;
    let answer = trust::forget(store(search)?, &file, &|text| reporter.notice(text))?;
    let result = match answer {
        Some(Answer::Yes) => "no longer trusted",
        Some(Answer::No) => "no longer refused",
        None => "was not trusted",
    };
    reporter.notice(&format!("{}: {result}", file.display()));
    Ok(Exit::Ok)
}

/// What a file holds.
struct Content {
    settings: Vec<Setting>,
    /// It holds Qwen Code's settings, not variables.
    is_json: bool,
}

/// What a file sets, each name once: the last line of a name counts, and none that no file sets. Of Qwen Code's settings,
/// every member.
fn settings_of(file: &Path, bytes: &[u8]) -> Content {
    let text = dotenv::decode(bytes);
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    if let Some(settings) = parse_jsonc(&text).ok().filter(|_| is_json) {
        let mut members = Vec::new();
        collect_members(String::new(), &settings, &mut members);
        return Content {
            settings: members,
            is_json,
        };
    }
    let assignments: Vec<_> = dotenv::Scanner::new(&text).collect();
    let last: std::collections::HashMap<&str, usize> = assignments
        .iter()
        .enumerate()
        .map(|(index, assignment)| (assignment.name, index))
        .collect();
    let settings = assignments
        .iter()
        .enumerate()
        .filter(|(index, assignment)| {
            last.get(assignment.name) == Some(index) && !is_reserved(assignment.name)
        })
        .map(|(_, assignment)| Setting::new(assignment.name, &assignment.value))
        .collect();
    Content {
        settings,
        is_json: false,
    }
}

/// Adds the members of a value that are neither object nor array, each by its path.
fn collect_members(path: String, value: &Value, members: &mut Vec<Setting>) {
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                collect_members(below(name), value, members);
            }
        }
        Value::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                collect_members(below(&index.to_string()), value, members);
            }
        }
        Value::String(text) => members.push(Setting::member(path, text)),
        other => members.push(Setting::member(path, &other.to_string())),
    }
}

/// The file that is meant.
struct Target {
    file: PathBuf,
    /// What was read of it when it was looked for: a FIFO gives its content once.
    bytes: Option<Vec<u8>>,
}

/// The file named, else the project's file that the search finds, else one that was passed over for its owner or mode.
fn target(named: Option<PathBuf>, search: &Search) -> Result<Target, Failure> {
    if let Some(named) = named.or_else(|| search.file.clone()) {
        let file = std::path::absolute(&named).unwrap_or(named);
        return Ok(Target { file, bytes: None });
    }
    let chain = EnvChain::resolve(search);
    let file = chain.trust_target().ok_or_else(no_project_file)?;
    let read = chain.files.iter().find(|read| *read.path == *file);
    Ok(Target {
        file: file.to_path_buf(),
        bytes: read.map(|read| read.bytes.expose().clone()),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let content = dotenv::read(file).map_err(|reason| EnvError::Unusable {
        path: file.to_path_buf(),
        reason,
    })?;
    let content = content.ok_or_else(|| EnvError::Missing(file.to_path_buf()))?;
    Ok(content.bytes)
}

fn no_project_file() -> Failure {
    Failure::new(
        Exit::NoInput,
        "there is no project's .env file here; the home directory's needs no trust",
    )
    .hint("run 'qwen-env --explain' to see where it looked")
}

fn store(search: &Search) -> Result<&Path, Failure> {
    search.shared.trust.path().ok_or_else(paths::no_home)
}

//! `--list`: the toolkit's own tools, and every other `qwen-*` on `PATH`.

use std::collections::BTreeSet;

use clap_complete::engine::CompletionCandidate;
use qwen_shared::exit::{Exit, Outcome};
use qwen_shared::output::Stdout;
use qwen_shared::process;
use qwen_shared::text::one_line;

use super::commands::TOOLS;

/// A tool that is installed.
#[derive(Debug)]
pub(crate) struct Found {
    /// What follows `qwen`.
    pub(crate) name: String,
    /// What it does; for a foreign tool, its path.
    about: String,
}

/// Returns the toolkit's tools in their order, then the foreign ones by name.
pub(crate) fn all() -> Vec<Found> {
    let own = TOOLS
        .iter()
        .filter(|tool| process::find(&format!("qwen-{}", tool.name)).is_some())
        .map(|tool| Found {
            name: tool.name.to_owned(),
            about: tool.about.to_owned(),
        });
    own.chain(foreign()).collect()
}

/// Prints one line per tool: its name, blanks, what it does.
pub(crate) fn print() -> Outcome {
    let found = all();
    let width = found
        .iter()
        .map(|tool| tool.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for Found { name, about } in &found {
        text.push_str(&format!("{name:<width$}  {about}\n"));
    }
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

/// Returns the tools for completion, `help` among them.
pub(crate) fn candidates() -> Vec<CompletionCandidate> {
    let help = Found {
        name: "help".to_owned(),
        about: "Print the help of a tool".to_owned(),
    };
    let found = all().into_iter().chain([help]);
    found
        .map(|Found { name, about }| CompletionCandidate::new(name).help(Some(about.into())))
        .collect()
}

/// Returns the programs called `qwen-NAME` that are not the toolkit's own, nor links to the dispatcher.
fn foreign() -> impl Iterator<Item = Found> {
    // The first fails where no /proc is mounted.
    let dispatcher = std::env::current_exe()
        .ok()
        .or_else(|| process::find("qwen"))
        .and_then(|path| path.canonicalize().ok());
    let names: BTreeSet<String> = process::directories()
        .filter_map(|directory| std::fs::read_dir(directory).ok())
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_prefix("qwen-")
                .map(str::to_owned)
        })
        .filter(|name| !name.is_empty() && *name == one_line(name) && !name.contains(char::is_whitespace))
        .filter(|name| TOOLS.iter().all(|tool| tool.name != name))
        .collect();
    names.into_iter().filter_map(move |name| {
        let path = process::find(&format!("qwen-{name}"))?;
        let about = one_line(&path.to_string_lossy());
        (path.canonicalize().ok() != dispatcher).then_some(Found { name, about })
    })
}

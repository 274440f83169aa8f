//! `qwen-auth edit`: `config.json` in the user's editor, on a copy that is stored once it is valid.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use qwen_shared::exit::{Exit, Failure, Outcome, cannot_start};
use qwen_shared::net::config::{Config, Fault, Profile, faults, stored_for};
use qwen_shared::output::Reporter;
use qwen_shared::paths;
use qwen_shared::process::{find, find_absolute};
use qwen_shared::secret::restore_core_limit;
use qwen_shared::signal::{self, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use qwen_shared::terminal::Terminal;
use rustix::termios::Termios;
use serde_json::{Map, Value};

use crate::assignment::split_words;
use crate::edit_copy::Copy;
use crate::guard::{Following, Leftover};
use crate::{check, stored};

/// Runs the editor until what it leaves is valid, or nobody wants to go on.
pub(crate) fn run(reporter: &Reporter) -> Outcome {
    let path = paths::config_file().ok_or_else(paths::no_home)?;
    let before = current(&path)?;
    let editor = Editor::find()?;
    Config::check_writable()?;
    Copy::clear_left(&path, reporter);
    let copy = Copy::of(&path, before.as_deref())?;
    loop {
        editor.edit(&copy.file)?;
        let text = match copy.read() {
            Ok(text) => text,
            Err(failure) => return Err(copy.keep_unread(&path, failure)),
        };
        let found = faults(text.trim_start_matches('\u{feff}'));
        if text == copy.text {
            reporter.notice("nothing was changed");
            if !found.is_empty() {
                report(&path, &found, reporter);
                return Err(unchanged(&path, &found));
            }
            if editor.may_return_at_once() {
                reporter.hint(
                    "an editor that returns before its window is closed has to be told to wait, in $EDITOR",
                );
            }
            return Ok(Exit::Ok);
        }
        if found.is_empty() {
            return store(&path, before.as_deref(), text, copy, reporter);
        }
        report(&path, &found, reporter);
        if !wants_again()? {
            let kept = copy.keep(&path, &text)?;
            let hint = format!("what you wrote is in '{}'", kept.display());
            return Err(unchanged(&path, &found).hint(hint));
        }
    }
}

/// The failure where the file stays as it was, with faults in what the editor left.
fn unchanged(path: &Path, faults: &[Fault]) -> Failure {
    let count = match faults.len() {
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let message = format!("{count}; '{}' stays as it was", path.display());
    Failure::new(Exit::Data, message)
}

/// Returns the text of the file as it is, valid or not; `None` where there is none.
fn current(path: &Path) -> Result<Option<String>, Failure> {
    // Whose the file is, and whether it is a text, is checked as always.
    Ok(match Config::text()? {
        Some(text) => Some(text),
        None => path.exists().then(String::new),
    })
}

fn report(path: &Path, faults: &[Fault], reporter: &Reporter) {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    for fault in faults {
        reporter.notice(&check::line(&name, fault));
    }
}

/// Asks whether to edit again; no without a terminal.
fn wants_again() -> Result<bool, Failure> {
    let Some(mut terminal) = Terminal::open().filter(Terminal::is_foreground) else {
        return Ok(false);
    };
    let answer = terminal.ask_afresh("Edit again? [Y/n] ")?.to_ascii_lowercase();
    Ok(!matches!(answer.as_str(), "n" | "no" | "q"))
}

/// Stores what was written, unless the file has changed meanwhile, or a secret would follow to another endpoint.
fn store(path: &Path, before: Option<&str>, text: String, copy: Copy, reporter: &Reporter) -> Outcome {
    let (old, new) = (profiles_in(before.unwrap_or_default()), profiles_in(&text));
    let _lock = Config::lock_profiles()?;
    for (name, new) in &new {
        if let Err(failure) = confirm(name, old.get(name), new, reporter) {
            let kept = copy.keep(path, &text)?;
            return Err(failure.hint(format!("what you wrote is in '{}'", kept.display())));
        }
    }
    let stored = Config::replace(|_, now| {
        if now.unwrap_or_default() != before.unwrap_or_default() {
            let message = format!("'{}' was changed by another process meanwhile", path.display());
            return Err(Failure::new(Exit::TryAgain, message));
        }
        Ok(text.clone())
    });
    match stored {
        Ok(_) => {
            reporter.notice(&format!("'{}' is stored", path.display()));
            let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
            gone.for_each(|(name, profile)| report_gone(name, profile, reporter));
            let is_moved = |(name, new): &(&String, &Profile)| {
                old.get(*name)
                    .is_none_or(|old| stored_for(old) != stored_for(new))
            };
            for (name, profile) in new.iter().filter(is_moved) {
                stored::consent(name, profile, reporter)?;
            }
            Ok(Exit::Ok)
        }
        Err(failure) => {
            let kept = copy.keep(path, &text)?;
            Err(failure.hint(format!("what you wrote is in '{}'", kept.display())))
        }
    }
}

/// Asks whether what a profile has sent to one endpoint, or what is stored under its name, may go to the one that it has now.
fn confirm(name: &str, old: Option<&Profile>, new: &Profile, reporter: &Reporter) -> Result<(), Failure> {
    if let Some(leftover) = Leftover::of(name, old, new, reporter) {
        leftover.confirm()?;
    }
    let old = old.map(|old| match stored_for(old) == stored_for(new) {
        true => old.clone(),
        false => stored::as_stored(name, old, reporter),
    });
    let following = old.and_then(|old| Following::of(name, &old, new, |_| false, reporter));
    following.map_or(Ok(()), |following| following.confirm(Vec::new()))
}

/// Says what is still stored for a profile that is no more.
fn report_gone(name: &str, profile: &Profile, reporter: &Reporter) {
    for kind in stored::kinds_of(profile).unwrap_or_default() {
        if stored::holds(kind, name, profile.uses_oauth(), reporter)
            && let Ok(store) = stored::open(kind, name, reporter)
        {
            let place = store.place();
            reporter.notice(&format!(
                "profile '{name}' is gone; its credential stays in '{place}'"
            ));
        }
    }
}

fn profiles_in(text: &str) -> BTreeMap<String, Profile> {
    let members: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let profiles = members.get("profiles").and_then(Value::as_object);
    let profiles = profiles.into_iter().flatten();
    profiles
        .filter_map(|(name, profile)| Some((name.clone(), serde_json::from_value(profile.clone()).ok()?)))
        .collect()
}

/// The user's editor.
struct Editor {
    program: PathBuf,
    arguments: Vec<OsString>,
    /// As it is called in messages.
    shown: String,
}

impl Editor {
    /// Finds the editor: `VISUAL`, `EDITOR`, else what the system has.
    ///
    /// # Errors
    /// 78 for one that cannot be run, and where there is none.
    fn find() -> Result<Self, Failure> {
        const USUAL: [&str; 3] = ["sensible-editor", "nano", "vi"];
        let named = ["VISUAL", "EDITOR"].into_iter().find_map(|name| {
            let value = env::var(name).ok()?;
            (!value.trim().is_empty()).then_some((name, value))
        });
        let Some((variable, value)) = named else {
            let found = USUAL.into_iter().find_map(|name| Some((name, find(name)?)));
            let Some((name, program)) = found else {
                return Err(Failure::new(Exit::Config, "no editor is known").hint("set EDITOR to one"));
            };
            return Ok(Self {
                program,
                arguments: Vec::new(),
                shown: name.to_owned(),
            });
        };
        let refuse = |reason: &str| Failure::new(Exit::Config, format!("{variable}: {reason}"));
        let words = split_words(&value).ok_or_else(|| refuse("a quote is not closed"))?;
        let mut words = words.into_iter().map(expanded);
        let first = words.next().ok_or_else(|| refuse("there is no command in it"))?;
        let shown = first.to_string_lossy().into_owned();
        let program = find_absolute(&first)
            .map_err(|missing| refuse(&format!("'{shown}': {missing}")))
            .map_err(|failure| failure.hint(format!("set {variable} to an editor that is installed")))?;
        Ok(Self {
            program,
            arguments: words.collect(),
            shown,
        })
    }

    /// Edits a file, and gives the terminal back as it was.
    ///
    /// # Errors
    /// 78 where it cannot be run, 65 where it ends with an error: what it left is not wanted.
    fn edit(&self, file: &Path) -> Result<(), Failure> {
        let modes = TerminalModes::note();
        // What Ctrl-C means is the editor's affair.
        let signals = signal::catch(&[SIGINT, SIGQUIT, SIGTERM, SIGHUP])
            .map_err(|error| cannot_start("the editor", &error))?;
        restore_core_limit();
        let status = Command::new(&self.program)
            .args(&self.arguments)
            .arg(file)
            .status();
        qwen_shared::secret::forbid_core_dump();
        drop(modes);
        while signals.take().is_some() {}
        drop(signals);
        let shown = &self.shown;
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let message = format!("editor '{shown}' {}; nothing is changed", ended(status));
                Err(Failure::new(Exit::Data, message))
            }
            Err(error) => {
                let mut failure = cannot_start(&format!("editor '{shown}'"), &error);
                if failure.exit == Exit::Io {
                    failure.exit = Exit::Config;
                }
                Err(failure)
            }
        }
    }

    /// True for an editor with a window of its own that was not told to wait.
    fn may_return_at_once(&self) -> bool {
        const WINDOWS: [&str; 9] = [
            "code",
            "codium",
            "code-insiders",
            "cursor",
            "subl",
            "atom",
            "zed",
            "gedit",
            "kate",
        ];
        let name = self.program.file_name().unwrap_or_default();
        let waits = |word: &OsString| {
            ["-w", "--wait", "-b", "--block", "-s", "--standalone"]
                .iter()
                .any(|flag| word == flag)
        };
        WINDOWS.iter().any(|window| name == OsStr::new(window)) && !self.arguments.iter().any(waits)
    }
}

/// Expands a tilde before a slash.
fn expanded(word: String) -> OsString {
    match (word.strip_prefix("~/"), paths::home()) {
        (Some(rest), Some(home)) => home.join(rest).into_os_string(),
        _ => word.into(),
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with exit {code}"),
        None => "was ended by a signal".to_owned(),
    }
}

/// The modes of the terminal, which are put back when this is dropped.
struct TerminalModes(Option<(Terminal, Termios)>);

impl TerminalModes {
    fn note() -> Self {
        Self(Terminal::open().and_then(|terminal| {
            let modes = terminal.modes().ok()?;
            Some((terminal, modes))
        }))
    }
}

impl Drop for TerminalModes {
    fn drop(&mut self) {
        if let Some((terminal, modes)) = &self.0 {
            let _ = terminal.set_modes(modes);
        }
    }
}

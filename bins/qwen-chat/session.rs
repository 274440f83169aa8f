//! Saved conversations: one private file each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{
    Lock, cannot_read, cannot_write, create_private_dir, lock_path, read_private, write_private,
};
use qwen_shared::paths;
use serde::{Deserialize, Serialize};

use super::message::{Message, Role};

/// The largest session that is read, in bytes.
const LIMIT: u64 = 256 << 20;

/// How long a lock is waited for.
const LOCK_LIMIT: Duration = Duration::from_secs(10);

/// A named conversation.
#[derive(Debug)]
pub(crate) struct Session {
    path: PathBuf,
    messages: Vec<Message>,
}

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    messages: Vec<Message>,
}

impl Session {
    /// Opens the session of `--session` or `--continue`; `None` without either. A new name begins a session.
    ///
    /// # Errors
    /// 64 for a name that could leave the directory, 66 when there is no session to continue, 65 when the file is not a
    /// session.
    pub(crate) fn open(name: Option<&str>, continue_last: bool) -> Result<Option<Self>, Failure> {
        let path = match (name, continue_last) {
            (Some(name), _) => path_of(name)?,
            (None, true) => latest()?,
            (None, false) => return Ok(None),
        };
        let messages = load(&path)?;
        Ok(Some(Self { path, messages }))
    }

    /// Opens the session of that name.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let path = path_of(name)?;
        let messages = load(&path)?;
        Ok(Self { path, messages })
    }

    /// Returns the messages so far.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Returns the file's name.
    pub(crate) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Adds a message and its answer, and replaces the system prompt. What another process added meanwhile stays.
    ///
    /// # Errors
    /// 74 when the file cannot be written, 75 when another process holds it for too long.
    pub(crate) fn add(
        &self,
        system: Option<String>,
        message: Message,
        answer: String,
    ) -> Result<(), Failure> {
        self.change(|messages| {
            *messages = with_system(system, std::mem::take(messages));
            messages.push(message);
            messages.push(Message::text(Role::Assistant, answer));
        })
    }

    /// Replaces the whole conversation.
    ///
    /// # Errors
    /// As [`Session::add`].
    pub(crate) fn replace(&self, with: &[Message]) -> Result<(), Failure> {
        self.change(|messages| *messages = with.to_vec())
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Message>)) -> Result<(), Failure> {
        let refused = |error: std::io::Error| cannot_write(&self.path, &error);
        if let Some(directory) = self.path.parent() {
            create_private_dir(directory).map_err(refused)?;
        }
        let _lock = Lock::take(&lock_path(&self.path), LOCK_LIMIT)?;
        let mut messages = load(&self.path)?;
        change(&mut messages);
        let json = serde_json::to_vec(&Document { messages }).map_err(|error| {
            Failure::new(Exit::Bug, "the session cannot be written as JSON").caused_by(error)
        })?;
        write_private(&self.path, &json).map_err(refused)
    }
}

/// Puts the system prompt, if any, before the messages.
pub(crate) fn with_system(system: Option<String>, mut messages: Vec<Message>) -> Vec<Message> {
    if let Some(system) = system.filter(|system| !system.trim().is_empty()) {
        messages.retain(|message| message.role != Role::System);
        messages.insert(0, Message::text(Role::System, system));
    }
    messages
}

fn directory() -> Result<PathBuf, Failure> {
    Ok(paths::state_dir().ok_or_else(paths::no_home)?.join("sessions"))
}

fn path_of(name: &str) -> Result<PathBuf, Failure> {
    let is_name = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with(['.', '-'])
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !is_name {
        let message = format!("'{name}' is not a name for a session");
        return Err(Failure::new(Exit::Usage, message).hint("use letters, digits, '.', '_' and '-'"));
    }
    Ok(directory()?.join(format!("{name}.json")))
}

/// Returns the names of all sessions; none where the directory cannot be read.
pub(crate) fn names() -> Vec<String> {
    let sessions = directory()
        .ok()
        .and_then(|directory| fs::read_dir(directory).ok());
    let files = sessions.into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| path_of(name).is_ok())
        .collect();
    names.sort();
    names
}

/// Returns the session used last.
fn latest() -> Result<PathBuf, Failure> {
    let sessions = fs::read_dir(directory()?).into_iter().flatten().flatten();
    sessions
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| Some((path.symlink_metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| {
            Failure::new(Exit::NoInput, "there is no session to continue")
                .hint("begin one with --session NAME")
        })
}

fn load(path: &Path) -> Result<Vec<Message>, Failure> {
    let shown = path.display();
    let file = read_private(path, LIMIT).map_err(|error| cannot_read(path, &error))?;
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let document: Document = serde_json::from_slice(&file.bytes)
        .map_err(|error| Failure::new(Exit::Data, format!("'{shown}': not a session: {error}")))?;
    Ok(document.messages)
}

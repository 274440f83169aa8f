//! The line editor of a conversation, its completion and history.

use std::fs::{Permissions, set_permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{Links, NotOwn, PrivateFile, create_private_dir, options, read_private, write_private};
use qwen_shared::paths;
use qwen_shared::terminal::keep_terminal_modes;
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{CompletionType, Config};

use super::completer::Words;

/// What the user entered.
#[derive(Debug)]
pub(super) enum Input {
    Text(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the terminal is gone.
    End,
}

/// The editor with its history.
pub(super) struct Editor {
    inner: rustyline::Editor<Words, MemHistory>,
    history: History,
}

impl Editor {
    /// Takes over the terminal's keyboard, and reads the history of earlier conversations.
    ///
    /// # Errors
    /// 74 when the terminal cannot be used.
    pub(super) fn new() -> Result<Self, Failure> {
        keep_terminal_modes().map_err(|error| unusable(&ReadlineError::Io(error)))?;
        let config = Config::builder()
            .history_ignore_space(true)
            .auto_add_history(false)
            .bracketed_paste(true)
            .completion_type(CompletionType::List)
            .build();
        let entries = MemHistory::with_config(&config);
        let mut inner = rustyline::Editor::with_history(config, entries).map_err(|error| unusable(&error))?;
        inner.set_helper(Some(Words::new()));
        let history = History::open();
        for entry in history.entries() {
            let _ = inner.add_history_entry(entry);
        }
        Ok(Self { inner, history })
    }

    /// Returns that the history of earlier conversations is not used, and why.
    pub(super) fn notice(&self) -> Option<&str> {
        self.history.notice.as_deref()
    }

    /// Reads an input; a line that ends in a backslash continues on the next one.
    ///
    /// # Errors
    /// 74 when the terminal cannot be used.
    pub(super) fn read(&mut self, prompt: &str) -> Result<Input, Failure> {
        let mut text = String::new();
        let mut shown = prompt;
        loop {
            let line = match self.inner.readline(shown) {
                Ok(line) => line,
                Err(ReadlineError::Interrupted) => return Ok(Input::Interrupted),
                Err(ReadlineError::Eof) => return Ok(Input::End),
                Err(ReadlineError::Signal(_)) => continue,
                Err(error) => return Err(unusable(&error)),
            };
            match line.strip_suffix('\\') {
                Some(begun) => {
                    text.push_str(begun);
                    text.push('\n');
                    shown = "… ";
                }
                None => {
                    text.push_str(&line);
                    break;
                }
            }
        }
        if matches!(self.inner.add_history_entry(text.as_str()), Ok(true)) {
            self.history.add(&text);
        }
        Ok(Input::Text(text))
    }

    /// Asks for one line that is not kept in the history.
    ///
    /// # Errors
    /// 74 when the terminal cannot be used.
    pub(super) fn ask(&mut self, question: &str) -> Result<Option<String>, Failure> {
        match self.inner.readline(question) {
            Ok(line) => Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty())),
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
            Err(error) => Err(unusable(&error)),
        }
    }
}

fn unusable(error: &ReadlineError) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {error}"))
}

/// How many entries are kept.
const KEPT: usize = 1000;

/// The size, in bytes, from which the file is cut down to the entries that are kept.
const TRUNCATED_FROM: usize = 1 << 20;

/// The largest file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// The history. A file that cannot be read or written is ignored; one that others can read is closed to them.
#[derive(Debug)]
pub(super) struct History {
    path: Option<PathBuf>,
    entries: Vec<String>,
    /// That the file is not used, since others could have written it.
    notice: Option<String>,
}

impl History {
    /// Reads the file.
    pub(super) fn open() -> Self {
        let path = paths::state_dir().map(|directory| directory.join("history"));
        let read = path.as_deref().map_or(Ok(None), |path| read_private(path, LIMIT));
        if let Some(not_own) = read.as_ref().err().and_then(NotOwn::of) {
            return Self {
                path: None,
                entries: Vec::new(),
                notice: Some(not_own.failure().message),
            };
        }
        let file = read.ok().flatten();
        if let (Some(path), true) = (&path, file.as_ref().is_some_and(PrivateFile::is_loose)) {
            let _ = set_permissions(path, Permissions::from_mode(0o600));
        }
        let bytes = file.map(|file| file.bytes).unwrap_or_default();
        let lines = bytes.split(|byte| *byte == b'\n');
        let all: Vec<String> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let entries = all[all.len().saturating_sub(KEPT)..].to_vec();
        if let (Some(path), true) = (&path, bytes.len() > TRUNCATED_FROM) {
            let kept: Vec<String> = entries.iter().map(|entry| line(entry)).collect();
            let _ = write_private(path, kept.concat().as_bytes());
        }
        Self {
            path,
            entries,
            notice: None,
        }
    }

    /// Returns the entries, the oldest first.
    pub(super) fn entries(&self) -> &[String] {
        &self.entries
    }

    /// Appends an entry, in one write: other conversations may be doing the same.
    pub(super) fn add(&self, entry: &str) {
        let Some(path) = &self.path else {
            return;
        };
        if let Some(directory) = path.parent() {
            let _ = create_private_dir(directory);
        }
        let file = options(Links::Refuse).append(true).create(true).open(path);
        if let Ok(mut file) = file {
            let _ = file.write_all(line(entry).as_bytes());
        }
    }
}

fn line(entry: &str) -> String {
    format!("{}\n", serde_json::Value::from(entry))
}

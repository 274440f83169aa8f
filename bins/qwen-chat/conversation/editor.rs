//! The line editor. Nothing of it is touched outside a conversation.

use qwen_shared::exit::Exit;
use qwen_shared::failure::Failure;
use qwen_shared::out::keep_terminal_modes;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Config, Context, Helper};

use super::commands::NAMES;
use super::history::History;

/// What the user did at the prompt.
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
    inner: rustyline::Editor<Commands, MemHistory>,
    history: History,
}

impl Editor {
    /// Takes over the terminal's keyboard, and reads the history of earlier conversations.
    ///
    /// # Errors
    /// 74 when the terminal cannot be used.
    pub(super) fn new() -> Result<Self, Failure> {
        keep_terminal_modes().map_err(|error| gone(&ReadlineError::Io(error)))?;
        let config = Config::builder()
            .history_ignore_space(true)
            .auto_add_history(false)
            .bracketed_paste(true)
            .build();
        let entries = MemHistory::with_config(&config);
        let mut inner = rustyline::Editor::with_history(config, entries).map_err(|error| gone(&error))?;
        inner.set_helper(Some(Commands));
        let history = History::open();
        for entry in history.entries() {
            let _ = inner.add_history_entry(entry);
        }
        Ok(Self { inner, history })
    }

    /// Reads an input; a line that ends in a backslash goes on in the next one.
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
                Err(error) => return Err(gone(&error)),
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
            Err(error) => Err(gone(&error)),
        }
    }
}

fn gone(error: &ReadlineError) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {error}"))
}

/// Completes commands with Tab.
#[derive(Debug)]
struct Commands;

impl Completer for Commands {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let names = NAMES
            .iter()
            .filter(|name| typed.starts_with('/') && name.starts_with(typed));
        Ok((0, names.map(|name| (*name).to_owned()).collect()))
    }
}

impl Hinter for Commands {
    type Hint = String;
}

impl Highlighter for Commands {}
impl Validator for Commands {}
impl Helper for Commands {}

//! What Tab completes in a conversation: commands, and what stands behind them.

use std::sync::{Mutex, PoisonError};

use qwen_shared::net::completion;
use qwen_shared::net::config::{Config, Overrides};
use rustyline::completion::{Completer, FilenameCompleter, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::commands::NAMES;
use crate::session;

/// The settings in use, whose endpoint is asked for its models.
static CURRENT: Mutex<Option<Overrides>> = Mutex::new(None);

/// Says which settings are in use from now on.
pub(super) fn use_settings(overrides: &Overrides) {
    *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Some(overrides.clone());
}

fn current() -> Option<Overrides> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Completes with Tab.
pub(super) struct Words {
    paths: FilenameCompleter,
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            paths: FilenameCompleter::new(),
        }
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..at];
        let Some((command, rest)) = typed.split_once(char::is_whitespace) else {
            let names = NAMES.iter().map(|name| (*name).to_owned()).collect();
            let has_begun = typed.starts_with('/');
            return Ok((
                0,
                beginning_with(typed, if has_begun { names } else { Vec::new() }),
            ));
        };
        let rest = rest.trim_start();
        let start = at - rest.len();
        let words = match command {
            "/file" | "/image" => return self.paths.complete_path(line, at),
            "/system" if rest.starts_with('@') => {
                let (place, found) = self.paths.complete_path(&rest[1..], rest.len() - 1)?;
                return Ok((start + 1 + place, found));
            }
            "/model" => models(),
            "/auth" => profiles(),
            "/save" | "/sessions" => session::names(),
            _ => Vec::new(),
        };
        Ok((start, beginning_with(rest, words)))
    }
}

fn beginning_with(typed: &str, words: Vec<String>) -> Vec<Pair> {
    let fitting = words.into_iter().filter(|word| word.starts_with(typed));
    fitting
        .map(|word| Pair {
            display: word.clone(),
            replacement: word,
        })
        .collect()
}

fn models() -> Vec<String> {
    let found = completion::models(current).into_iter();
    found
        .map(|model| model.get_value().to_string_lossy().into_owned())
        .collect()
}

fn profiles() -> Vec<String> {
    let config = Config::load().ok();
    let profiles = config.map(|config| config.profiles).unwrap_or_default();
    profiles.keys().map(ToString::to_string).collect()
}

impl Hinter for Words {
    type Hint = String;
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

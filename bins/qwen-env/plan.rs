//! Which variables are exported: the chain compared with the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use qwen_shared::dotenv::{EnvChain, Record, Trust, Variable, key_name, may_pair};
use qwen_shared::shell::{Shell, Unsupported};

/// The most bytes that all exported variables together may take: half of what Linux gives arguments and environment
/// under the usual stack limit. More would make every later command fail to start.
const TOTAL_LIMIT: usize = 1024 * 1024;

/// What the plan depends on besides the files and the environment.
pub(crate) struct PlanOptions {
    /// The files win over the environment.
    pub(crate) overriding: bool,
    /// An empty variable counts as unset (the rule of `merge`).
    pub(crate) empty_is_unset: bool,
    /// The shell that has to hold the variables; `None` for data and for a command.
    pub(crate) shell: Option<Shell>,
    /// The locale is UTF-8.
    pub(crate) utf8: bool,
}

/// Where a value comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'c> {
    /// A file of the chain.
    File(&'c Variable),
    /// `qwen-token`.
    Token,
}

/// What is done with a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Export it.
    Export,
    /// Keep the environment's.
    Keep,
    /// Withhold it: an untrusted file's address without the key of that file.
    Withhold,
    /// Refuse it: the shell cannot hold it.
    Refuse(Unsupported),
    /// Refuse it: the environment would grow too large.
    NoRoom,
}

/// A variable and what is done with it.
#[derive(Clone)]
pub(crate) struct Entry<'c> {
    pub(crate) name: &'c str,
    pub(crate) value: &'c str,
    pub(crate) origin: Origin<'c>,
    pub(crate) action: Action,
}

/// The changes to the environment.
pub(crate) struct Plan<'c> {
    /// Every variable of the chain, each name once, in the order of the files.
    pub(crate) entries: Vec<Entry<'c>>,
    /// What earlier calls exported and the files no longer set.
    pub(crate) unset: Vec<String>,
    /// The record of what is exported after this call.
    pub(crate) record: Record,
}

impl<'c> Plan<'c> {
    /// Makes the plan. `before` is the record of earlier calls, `token` the variables of `--auth`.
    pub(crate) fn new(
        chain: &'c EnvChain,
        token: &'c [(String, String)],
        before: &Record,
        options: &PlanOptions,
    ) -> Self {
        let mut planner = Planner {
            before,
            options,
            candidates: BTreeMap::new(),
            decided: BTreeMap::new(),
            record: Record::default(),
            total: 0,
            lower_case: BTreeSet::new(),
        };
        let names = planner.collect(chain, token);
        // An address is decided after the keys, because it goes only where its key goes.
        let (urls, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| key_name(name).is_some());
        for name in others.into_iter().chain(urls) {
            let entry = planner.decide(name);
            planner.decided.insert(name, entry);
        }
        let entries: Vec<Entry<'c>> = names
            .iter()
            .filter_map(|name| planner.decided.remove(name))
            .collect();
        let exported: BTreeSet<&str> = entries
            .iter()
            .filter(|entry| entry.action == Action::Export)
            .map(|entry| entry.name)
            .collect();
        let unset = unchanged_exports(before, options.shell).filter(|name| !exported.contains(name));
        Self {
            unset: unset.map(str::to_owned).collect(),
            entries,
            record: planner.record,
        }
    }

    /// Iterates over what is exported.
    pub(crate) fn exports(&self) -> impl Iterator<Item = (&'c str, &'c str)> {
        self.entries
            .iter()
            .filter(|entry| entry.action == Action::Export)
            .map(|entry| (entry.name, entry.value))
    }

    /// Returns the value that counts after this call: what is exported, else what the environment has and keeps.
    pub(crate) fn value_of(&self, name: &str) -> Option<Vec<u8>> {
        if let Some((_, value)) = self.exports().find(|&(known, _)| known == name) {
            return Some(value.as_bytes().to_vec());
        }
        let is_unset = self.unset.iter().any(|known| known == name);
        let value = std::env::var_os(name).filter(|_| !is_unset)?;
        Some(value.into_vec())
    }
}

/// Iterates over what an earlier call exported and nobody changed since; without the names that `shell` reserves, which
/// a call in another shell may have exported: zsh without `path` finds no program.
pub(crate) fn unchanged_exports(before: &Record, shell: Option<Shell>) -> impl Iterator<Item = &str> {
    before
        .names()
        .filter(move |name| is_ours(before, name) && !shell.is_some_and(|shell| shell.reserves(name)))
}

/// True when the environment holds what an earlier call exported under that name.
fn is_ours(record: &Record, name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| record.holds(name, &value))
}

/// The file that a value came from, for the record.
fn file_of<'c>(entry: &Entry<'c>) -> Option<(&'c Path, Trust)> {
    match entry.origin {
        Origin::File(variable) => Some((&variable.path, variable.trust)),
        Origin::Token => None,
    }
}

struct Planner<'c, 'p> {
    before: &'p Record,
    options: &'p PlanOptions,
    /// The candidates of every name, the most important first.
    candidates: BTreeMap<&'c str, Vec<Entry<'c>>>,
    decided: BTreeMap<&'c str, Entry<'c>>,
    record: Record,
    total: usize,
    /// The names in use, in lower case, for a shell that ignores case.
    lower_case: BTreeSet<String>,
}

impl<'c> Planner<'c, '_> {
    /// Collects the candidates; returns the names in the order of the files.
    fn collect(&mut self, chain: &'c EnvChain, token: &'c [(String, String)]) -> Vec<&'c str> {
        let from_token = token
            .iter()
            .map(|(name, value)| (&**name, &**value, Origin::Token));
        let from_files = chain.variables().map(|variable| {
            let value = variable.value.expose().as_str();
            (variable.name.as_str(), value, Origin::File(variable))
        });
        let mut names = Vec::new();
        for (name, value, origin) in from_token.chain(from_files) {
            let candidates = self.candidates.entry(name).or_insert_with(|| {
                names.push(name);
                Vec::new()
            });
            let action = Action::Export;
            candidates.push(Entry {
                name,
                value,
                origin,
                action,
            });
        }
        names
    }

    /// Chooses one of the candidates of a name, and what is done with it.
    fn decide(&mut self, name: &'c str) -> Entry<'c> {
        let candidates = &self.candidates[name];
        let mut paired = candidates.iter().filter(|entry| self.is_paired(entry)).peekable();
        let Some(&first) = paired.peek() else {
            let mut entry = candidates[0].clone();
            entry.action = if self.is_kept(&entry) {
                Action::Keep
            } else {
                Action::Withhold
            };
            return entry;
        };
        let mut entry = paired
            .find(|entry| !entry.value.is_empty())
            .unwrap_or(first)
            .clone();
        entry.action = self.action(&entry);
        if entry.action == Action::Export {
            self.total += entry.name.len() + entry.value.len() + 2;
        }
        entry
    }

    fn action(&mut self, entry: &Entry<'c>) -> Action {
        if self.is_kept(entry) {
            return Action::Keep;
        }
        if let Some(shell) = self.options.shell
            && let Some(reason) = shell.unsupported(entry.name, entry.value, self.options.utf8)
        {
            return Action::Refuse(reason);
        }
        if self.options.shell.is_some_and(|shell| !shell.is_case_sensitive())
            && !self.lower_case.insert(entry.name.to_ascii_lowercase())
        {
            return Action::Refuse(Unsupported::Case);
        }
        let fits = self.total + entry.name.len() + entry.value.len() + 2 <= TOTAL_LIMIT;
        let recorded = fits
            && self.options.shell.is_none_or(|shell| {
                self.record
                    .insert(entry.name, entry.value, file_of(entry), shell.longest_value())
            });
        if recorded { Action::Export } else { Action::NoRoom }
    }

    /// True when the environment has the variable, not from an earlier call, and wins.
    fn is_kept(&self, entry: &Entry<'_>) -> bool {
        let Some(value) = std::env::var_os(entry.name) else {
            return false;
        };
        if self.before.holds(entry.name, &value) {
            return false;
        }
        if value == OsStr::new(entry.value) {
            return true;
        }
        let wins = !self.options.overriding && !matches!(entry.origin, Origin::Token);
        wins && !(self.options.empty_is_unset && value.is_empty())
    }

    /// True unless it is an untrusted file's address whose key is not the one of the same file.
    fn is_paired(&self, entry: &Entry<'c>) -> bool {
        let (Origin::File(url), Some(key)) = (entry.origin, key_name(entry.name)) else {
            return true;
        };
        let key_file = self.in_force(&key).map(|key| &*key.path);
        may_pair(url.trust, &url.path, key_file)
    }

    /// The variable of a file whose value is the one that counts after this call; blank counts as absent.
    fn in_force(&self, name: &str) -> Option<&'c Variable> {
        let entry = self.decided.get(name)?;
        let Origin::File(variable) = entry.origin else {
            return None;
        };
        let counts = match entry.action {
            Action::Export => true,
            Action::Keep => std::env::var_os(name).is_some_and(|value| value == OsStr::new(entry.value)),
            Action::Withhold | Action::Refuse(_) | Action::NoRoom => false,
        };
        (counts && !entry.value.trim().is_empty()).then_some(variable)
    }
}

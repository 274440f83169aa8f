//! Which variables are exported: the chain compared with the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use qwen_shared::address::{is_loopback_address, parse_plain};
use qwen_shared::dotenv::{
    EnvChain, Record, RecordKey, Trust, Variable, carriers, is_same_origin, key_name, may_pair, partners,
};
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
    /// What is exported outlives this process, in a shell or a command, and so does the record of it.
    pub(crate) recorded: bool,
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
    /// Refuse it: an untrusted file's address in which programs would read different servers.
    NotPlain,
    /// Refuse it: the shell cannot hold it.
    Refuse(Unsupported),
    /// Refuse it: the environment would grow too large.
    NoRoom,
    /// Refuse it: the address that goes with this key, or the key that goes with this address, is not exported.
    Parted,
}

/// A variable and what is done with it.
#[derive(Clone)]
pub(crate) struct Entry<'c> {
    pub(crate) name: &'c str,
    pub(crate) value: &'c str,
    pub(crate) origin: Origin<'c>,
    pub(crate) action: Action,
    /// The variable that stands in the way: the secret of somebody else's that clients would send to this address, or what
    /// goes with this one and is not exported; set only where it is withheld or refused for that.
    pub(crate) beside: Option<String>,
}

impl Entry<'_> {
    fn is_of_same_source(&self, other: &Entry<'_>) -> bool {
        match (self.origin, other.origin) {
            (Origin::File(one), Origin::File(other)) => one.path == other.path,
            (Origin::Token, Origin::Token) => true,
            _ => false,
        }
    }
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
        // Without files and token there is nothing to record, and no key to look for.
        let key = (options.recorded && !(chain.files.is_empty() && token.is_empty()))
            .then(RecordKey::load_or_create)
            .flatten();
        let mut planner = Planner {
            before,
            options,
            candidates: BTreeMap::new(),
            decided: BTreeMap::new(),
            record: Record::after(before, key),
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
        planner.part();
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
                beside: None,
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
            if self.is_kept(&entry) {
                entry.action = Action::Keep;
            } else {
                entry.action = Action::Withhold;
                entry.beside = self.carrier(&entry);
            }
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

    /// Leaves out what goes with something of the same file that is left out: a key without its address would be sent to
    /// another server, an address without its key get another key.
    fn part(&mut self) {
        let refused: BTreeSet<String> = self
            .decided
            .values()
            .filter(|entry| !matches!(entry.action, Action::Export | Action::Keep))
            .map(|entry| entry.name.to_owned())
            .collect();
        for (name, other) in partners(self.decided.keys().copied(), &refused) {
            let is_together = self.decided[name].is_of_same_source(&self.decided[other]);
            if let Some(entry) = self.decided.get_mut(name)
                && entry.action == Action::Export
                && is_together
            {
                entry.action = Action::Parted;
                entry.beside = Some(other.to_owned());
                self.record.remove(name);
            }
        }
    }

    fn action(&mut self, entry: &Entry<'c>) -> Action {
        if self.is_kept(entry) {
            return Action::Keep;
        }
        if is_unclear(entry) {
            return Action::NotPlain;
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
        let longest = self.options.shell.map_or(usize::MAX, Shell::longest_value);
        let recorded = fits
            && (self
                .record
                .insert(entry.name, entry.value, self.file_of(entry), longest)
                || !self.options.recorded);
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

    /// The file that a value came from, for the record.
    ///
    /// A value that `qwen-token` took from an untrusted file stays that file's.
    fn file_of(&self, entry: &Entry<'c>) -> Option<(&'c Path, Trust)> {
        let of_file = |variable: &'c Variable| (&*variable.path, variable.trust);
        if let Origin::File(variable) = entry.origin {
            return Some(of_file(variable));
        }
        let others = self.candidates.get(entry.name).into_iter().flatten();
        others
            .filter_map(|other| match other.origin {
                Origin::File(variable) => Some(variable),
                Origin::Token => None,
            })
            .filter(|variable| variable.trust == Trust::UntrustedProject)
            .find(|variable| {
                let value = variable.value.expose();
                value.trim() == entry.value || is_same_origin(value, entry.value)
            })
            .map(of_file)
    }

    /// True unless it is an untrusted file's address beside a secret of somebody else's.
    ///
    /// The key has to be the one of the same file, and nothing else that is sent with it may be the user's. An address of
    /// this machine may also stand there without any key. Of an address that `qwen-token` gave the key is judged there.
    fn is_paired(&self, entry: &Entry<'c>) -> bool {
        if self.carrier(entry).is_some() {
            return false;
        }
        let (Origin::File(url), Some(key)) = (entry.origin, key_name(entry.name)) else {
            return true;
        };
        if url.trust != Trust::UntrustedProject {
            return true;
        }
        let is_own = self.is_of_file(&key, &url.path);
        is_own.unwrap_or_else(|| is_loopback_address(entry.value))
    }

    /// Returns the variable that is not of the file of an untrusted address and that clients send there besides the key.
    fn carrier(&self, entry: &Entry<'c>) -> Option<String> {
        let (path, trust) = self.file_of(entry)?;
        let mut names = carriers(entry.name).into_iter();
        let found = names.find(|name| self.is_of_file(name, path) == Some(false));
        found.filter(|_| trust == Trust::UntrustedProject)
    }

    /// Returns whether a variable has its value from this project's file; `None` when it is blank or unset.
    fn is_of_file(&self, name: &str, path: &Path) -> Option<bool> {
        self.beside(name).map(|beside| match beside {
            Beside::File(variable) => may_pair(Trust::UntrustedProject, path, Some(&variable.path)),
            Beside::Elsewhere => false,
        })
    }

    /// Returns where the value comes from that a variable has after this call; `None` when it is blank or unset.
    fn beside(&self, name: &str) -> Option<Beside<'c>> {
        let in_environment = || {
            let value = std::env::var_os(name)?;
            let counts = !value.to_string_lossy().trim().is_empty() && !self.before.holds(name, &value);
            counts.then_some(Beside::Elsewhere)
        };
        let Some(entry) = self.decided.get(name) else {
            return in_environment();
        };
        let is_file = match entry.action {
            Action::Export => true,
            Action::Keep => std::env::var_os(name).is_some_and(|value| value == OsStr::new(entry.value)),
            _ => false,
        };
        match entry.origin {
            Origin::File(variable) if is_file => {
                (!entry.value.trim().is_empty()).then_some(Beside::File(variable))
            }
            Origin::Token if entry.action == Action::Export => Some(Beside::Elsewhere),
            _ => in_environment(),
        }
    }
}

/// True for an address of an untrusted file that is judged here and would be read otherwise elsewhere. A word is no address
/// to anybody.
fn is_unclear(entry: &Entry<'_>) -> bool {
    let Origin::File(variable) = entry.origin else {
        return false;
    };
    let is_address = variable.trust == Trust::UntrustedProject && key_name(entry.name).is_some();
    is_address && !is_word(entry.value) && parse_plain(entry.value).is_err()
}

/// True for letters and digits, and for nothing.
pub(crate) fn is_word(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Where the value of a variable comes from that goes to an address.
enum Beside<'c> {
    /// A file of the chain.
    File(&'c Variable),
    /// The environment, or `qwen-token`.
    Elsewhere,
}

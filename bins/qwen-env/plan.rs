//! What becomes of every variable: the chain against the environment that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;

use qwen_shared::dotenv::{EnvChain, Record, Variable, key_name, may_pair};
use qwen_shared::shell::{Cannot, Shell};

/// The most bytes that all exported variables together may take: half of what Linux gives arguments and environment
/// under the usual stack limit. More would make every later command fail to start.
const TOTAL_LIMIT: usize = 1024 * 1024;

/// How to decide.
pub(crate) struct How {
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

/// What becomes of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is exported.
    Exported,
    /// The environment has it, and wins.
    Kept,
    /// An untrusted file's address without the key of that file.
    Withheld,
    /// The shell cannot hold it.
    Cannot(Cannot),
    /// The environment has no room left.
    Crowded,
}

/// A variable with its fate.
#[derive(Clone)]
pub(crate) struct Entry<'c> {
    pub(crate) name: &'c str,
    pub(crate) value: &'c str,
    pub(crate) origin: Origin<'c>,
    pub(crate) fate: Fate,
}

/// All that is to be done.
pub(crate) struct Plan<'c> {
    /// Every variable of the chain, each name once, in the order of the files.
    pub(crate) entries: Vec<Entry<'c>>,
    /// What earlier calls exported and is no longer wanted.
    pub(crate) unset: Vec<String>,
    /// What is exported after this call.
    pub(crate) record: Record,
}

impl<'c> Plan<'c> {
    /// Decides. `before` is the record of earlier calls, `token` the variables of `--auth`.
    pub(crate) fn new(
        chain: &'c EnvChain,
        token: &'c [(String, String)],
        before: &Record,
        how: &How,
    ) -> Self {
        let mut planner = Planner {
            before,
            how,
            variables: BTreeMap::new(),
            fates: BTreeMap::new(),
            record: Record::default(),
            total: 0,
            folded: BTreeSet::new(),
        };
        let names = planner.collect(chain, token);
        // An address is decided after the keys, because it goes only where its key goes.
        let (urls, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| key_name(name).is_some());
        for name in others.into_iter().chain(urls) {
            let entry = planner.decide(name);
            planner.fates.insert(name, entry);
        }
        let entries: Vec<Entry<'c>> = names
            .iter()
            .filter_map(|name| planner.fates.remove(name))
            .collect();
        let exported: BTreeSet<&str> = entries
            .iter()
            .filter(|entry| entry.fate == Fate::Exported)
            .map(|entry| entry.name)
            .collect();
        let unset = taken_back(before, how.shell).filter(|name| !exported.contains(name));
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
            .filter(|entry| entry.fate == Fate::Exported)
            .map(|entry| (entry.name, entry.value))
    }

    /// Returns the value that counts after this call: what is exported, else what the environment has and keeps.
    pub(crate) fn value_of(&self, name: &str) -> Option<Vec<u8>> {
        if let Some((_, value)) = self.exports().find(|&(known, _)| known == name) {
            return Some(value.as_bytes().to_vec());
        }
        let taken_back = self.unset.iter().any(|known| known == name);
        let value = std::env::var_os(name).filter(|_| !taken_back)?;
        Some(value.into_vec())
    }
}

/// Iterates over what an earlier call exported and nobody changed since. What was exported to another shell, and is a
/// name that this one keeps for itself, is not ours to take: without its `path` zsh finds no program.
pub(crate) fn taken_back(before: &Record, shell: Option<Shell>) -> impl Iterator<Item = &str> {
    before
        .names()
        .filter(move |name| is_ours(before, name) && !shell.is_some_and(|shell| shell.keeps(name)))
}

/// True when the environment holds what an earlier call exported under that name.
fn is_ours(record: &Record, name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| record.holds(name, &value))
}

struct Planner<'c, 'p> {
    before: &'p Record,
    how: &'p How,
    /// The candidates of every name, the most important first.
    variables: BTreeMap<&'c str, Vec<Entry<'c>>>,
    fates: BTreeMap<&'c str, Entry<'c>>,
    record: Record,
    total: usize,
    /// The names in use, in lower case, for a shell that knows no difference.
    folded: BTreeSet<String>,
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
            let candidates = self.variables.entry(name).or_insert_with(|| {
                names.push(name);
                Vec::new()
            });
            let fate = Fate::Exported;
            candidates.push(Entry {
                name,
                value,
                origin,
                fate,
            });
        }
        names
    }

    /// Chooses among the candidates of a name and says what becomes of the one chosen.
    fn decide(&mut self, name: &'c str) -> Entry<'c> {
        let candidates = &self.variables[name];
        let mut paired = candidates.iter().filter(|entry| self.is_paired(entry)).peekable();
        let Some(&first) = paired.peek() else {
            let mut entry = candidates[0].clone();
            entry.fate = if self.is_kept(&entry) {
                Fate::Kept
            } else {
                Fate::Withheld
            };
            return entry;
        };
        let mut entry = paired
            .find(|entry| !entry.value.is_empty())
            .unwrap_or(first)
            .clone();
        entry.fate = self.fate(&entry);
        if entry.fate == Fate::Exported {
            self.total += entry.name.len() + entry.value.len() + 2;
        }
        entry
    }

    fn fate(&mut self, entry: &Entry<'c>) -> Fate {
        if self.is_kept(entry) {
            return Fate::Kept;
        }
        if let Some(shell) = self.how.shell
            && let Some(cannot) = shell.cannot_hold(entry.name, entry.value, self.how.utf8)
        {
            return Fate::Cannot(cannot);
        }
        if self.how.shell.is_some_and(|shell| !shell.knows_case())
            && !self.folded.insert(entry.name.to_ascii_lowercase())
        {
            return Fate::Cannot(Cannot::Case);
        }
        let fits = self.total + entry.name.len() + entry.value.len() + 2 <= TOTAL_LIMIT;
        let recorded = fits
            && self
                .how
                .shell
                .is_none_or(|shell| self.record.insert(entry.name, entry.value, shell.longest_value()));
        if recorded { Fate::Exported } else { Fate::Crowded }
    }

    /// True when the environment has the variable by another hand than ours, and wins.
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
        let wins = !self.how.overriding && !matches!(entry.origin, Origin::Token);
        wins && !(self.how.empty_is_unset && value.is_empty())
    }

    /// True unless it is an untrusted file's address whose key is not the one of the same file.
    fn is_paired(&self, entry: &Entry<'c>) -> bool {
        let (Origin::File(url), Some(key)) = (entry.origin, key_name(entry.name)) else {
            return true;
        };
        let key_file = self.in_force(&key).map(|key| &*key.path);
        may_pair(url.standing, &url.path, key_file)
    }

    /// The variable of a file whose value is the one that counts after this call; blank counts as absent.
    fn in_force(&self, name: &str) -> Option<&'c Variable> {
        let entry = self.fates.get(name)?;
        let Origin::File(variable) = entry.origin else {
            return None;
        };
        let counts = match entry.fate {
            Fate::Exported => true,
            Fate::Kept => std::env::var_os(name).is_some_and(|value| value == OsStr::new(entry.value)),
            Fate::Withheld | Fate::Cannot(_) | Fate::Crowded => false,
        };
        (counts && !entry.value.trim().is_empty()).then_some(variable)
    }
}

//! The `.env` chain: which files there are, which count, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::parser::{RawAssignment, Scanner, decode};
use super::policy::{Category, RECORD, category, excluded_names};
use super::search::{self, ChainRule, Content, EnvError, FILE_LIMIT, Search, SearchPath, Unusable};
use super::trust::{Trust, TrustStore};
use crate::secret::Secret;

/// The longest `NAME=value` in bytes. Linux takes 131,072 with the final NUL (`MAX_ARG_STRLEN`, execve(2)); one byte
/// more, once exported, makes every later program fail to start.
pub(super) const VARIABLE_LIMIT: usize = 131_071;

/// A variable of the chain, with its origin.
#[derive(Clone, Debug)]
pub struct Variable {
    /// The name, of the alphabet `A-Z a-z 0-9 _ . -`.
    pub name: String,
    /// The value: UTF-8, any character but NUL once accepted.
    pub value: Secret<String>,
    /// The file.
    pub path: Arc<Path>,
    /// The line of the name, from 1.
    pub line: u32,
    /// How far the file is trusted.
    pub trust: Trust,
}

impl Variable {
    /// Returns `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.line)
    }
}

/// Whether an assignment counts, whatever the process environment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It counts.
    Accepted,
    /// A later line of the same file, this one, sets the same name.
    Overwritten(u32),
    /// Qwen Code does not take this name from a project's plain `.env`.
    Excluded,
    /// An untrusted project file may not set a variable of this category.
    Refused(Category),
    /// It is [`RECORD`], which no file may set.
    Record,
    /// `NAME=value` is longer than the kernel takes.
    TooLong,
    /// The value holds a NUL, which no environment can.
    Nul,
}

impl Decision {
    /// Returns why the variable may not be set at all; `None` for an assignment that counts, or does not for another
    /// reason than its name and value.
    #[must_use]
    pub fn refusal(self) -> Option<String> {
        match self {
            Self::Accepted | Self::Overwritten(_) | Self::Excluded => None,
            Self::Refused(category) => Some(format!(
                "an untrusted project file may not set {} variables",
                category.name()
            )),
            Self::Record => Some("no file may set it".to_owned()),
            Self::TooLong => Some(format!("with its value it is longer than {VARIABLE_LIMIT} bytes")),
            Self::Nul => Some("its value holds a NUL".to_owned()),
        }
    }
}

/// An assignment and whether it counts.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Name, value and origin.
    pub variable: Variable,
    /// Whether it counts.
    pub decision: Decision,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// The file.
    pub path: Arc<Path>,
    /// How far it is trusted.
    pub trust: Trust,
    /// The permission bits.
    pub mode: u32,
    /// Its assignments in the order of the lines.
    pub assignments: Vec<Assignment>,
    /// The decoded text.
    pub text: Secret<String>,
}

/// Whether a file of the search was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CandidateStatus {
    /// It was read.
    Read,
    /// There is none.
    Absent,
    /// It was not looked at: an earlier file ended the search.
    NotReached,
    /// It is there, and is ignored for this reason.
    Ignored(Unusable),
}

/// A file of the search, in its order.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file.
    pub path: Arc<Path>,
    /// Whether it was read.
    pub status: CandidateStatus,
}

/// The chain: what was looked for, found and read.
#[derive(Debug, Default)]
pub struct EnvChain {
    /// Every file of the search, in order.
    pub candidates: Vec<Candidate>,
    /// The files that were read, the most important first; one at most under [`ChainRule::First`].
    pub files: Vec<EnvFile>,
    /// Why the chain is not complete: a file that was named or found first is there and cannot be read, or the named
    /// one is not there. No other file takes its place.
    pub fault: Option<EnvError>,
    /// Why the trust store cannot be read; no project file is trusted then.
    pub trust_error: Option<EnvError>,
}

impl EnvChain {
    /// Looks for the files and reads those that count.
    #[must_use]
    pub fn resolve(search: &Search) -> Self {
        let mut builder = Builder {
            search,
            trust_store: None,
            excluded: None,
            chain: Self::default(),
        };
        for path in search.paths() {
            let status = builder.add(&path);
            builder.chain.candidates.push(Candidate {
                path: path.path,
                status,
            });
        }
        builder.chain
    }

    /// Returns the variable of that name as the files give it, whatever the process environment holds.
    ///
    /// An address that an untrusted project file set is returned too: [`super::may_pair`] says which key may go there.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        let mut found = self.variables().filter(|variable| variable.name == name);
        let first = found.next()?;
        if !first.value.expose().is_empty() {
            return Some(first);
        }
        let filled = found.find(|variable| !variable.value.expose().is_empty());
        Some(filled.unwrap_or(first))
    }

    /// Iterates over all accepted variables: file by file, in the order of the lines.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.assignments()
            .filter(|assignment| assignment.decision == Decision::Accepted)
            .map(|assignment| &assignment.variable)
    }

    /// Iterates over all assignments, file by file.
    pub fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        self.files.iter().flat_map(|file| &file.assignments)
    }
}

/// Builds a chain, reading the trust store and Qwen Code's settings only when a file needs them.
struct Builder<'s> {
    search: &'s Search,
    /// Read when the first project file is found.
    trust_store: Option<TrustStore>,
    /// Read when the first plain project file is found.
    excluded: Option<BTreeSet<String>>,
    chain: EnvChain,
}

impl Builder<'_> {
    fn add(&mut self, path: &SearchPath) -> CandidateStatus {
        if self.is_complete_without(path) {
            return CandidateStatus::NotReached;
        }
        match search::read(&path.path) {
            Ok(None) => {
                if self.search.file.is_some() {
                    self.chain.fault = Some(EnvError::Missing(path.path.to_path_buf()));
                }
                CandidateStatus::Absent
            }
            Ok(Some(content)) => self
                .load(path, &content)
                .map_or_else(|reason| self.ignore(path, reason), |()| CandidateStatus::Read),
            Err(reason) => self.ignore(path, reason),
        }
    }

    /// Under `first` one file ends the search; under `merge` one project file ends that for project files.
    fn is_complete_without(&self, path: &SearchPath) -> bool {
        let mut files = self.chain.files.iter();
        match self.search.rule {
            ChainRule::First => self.chain.fault.is_some() || files.next().is_some(),
            ChainRule::Merge => !path.home && files.any(|file| file.trust != Trust::Home),
        }
    }

    fn ignore(&mut self, path: &SearchPath, reason: Unusable) -> CandidateStatus {
        let first = self.search.rule == ChainRule::First && matches!(reason, Unusable::Unreadable(_));
        if self.search.file.is_some() || first {
            self.chain.fault = Some(EnvError::Unusable {
                path: path.path.to_path_buf(),
                reason: reason.clone(),
            });
        }
        CandidateStatus::Ignored(reason)
    }

    fn load(&mut self, path: &SearchPath, content: &Content) -> Result<(), Unusable> {
        let trust = self.trust(path, &content.bytes);
        if let Some(uid) = content.foreign.filter(|_| trust != Trust::TrustedProject) {
            return Err(Unusable::Foreign(uid));
        }
        let text = decode(&content.bytes);
        if text.len() > FILE_LIMIT {
            return Err(Unusable::TooLarge);
        }
        let assignments = self.decide(Scanner::new(&text).collect(), path, trust);
        self.chain.files.push(EnvFile {
            path: Arc::clone(&path.path),
            trust,
            mode: content.mode,
            assignments,
            text: Secret::new(text),
        });
        Ok(())
    }

    fn trust(&mut self, path: &SearchPath, content: &[u8]) -> Trust {
        if path.home || self.search.is_home_by_link(&path.path) {
            return Trust::Home;
        }
        if self.trust_store().holds(&path.path, content) {
            return Trust::TrustedProject;
        }
        Trust::UntrustedProject
    }

    fn trust_store(&mut self) -> &TrustStore {
        self.trust_store.get_or_insert_with(|| {
            let loaded = self.search.trust_store.as_deref().map(TrustStore::load);
            loaded
                .unwrap_or_else(|| Ok(TrustStore::default()))
                .unwrap_or_else(|error| {
                    self.chain.trust_error = Some(error);
                    TrustStore::default()
                })
        })
    }

    fn decide(
        &mut self,
        assignments: Vec<RawAssignment<'_>>,
        path: &SearchPath,
        trust: Trust,
    ) -> Vec<Assignment> {
        // By index and not by line: a line of an editor may be several of the grammar's, which U+2028 ends too.
        let last: BTreeMap<&str, (usize, u32)> = assignments
            .iter()
            .enumerate()
            .map(|(index, assignment)| (assignment.name, (index, assignment.line)))
            .collect();
        let none = BTreeSet::new();
        let excluded = if path.plain && trust != Trust::Home {
            let search = self.search;
            self.excluded
                .get_or_insert_with(|| excluded_names(&search.settings_files()))
        } else {
            &none
        };
        assignments
            .into_iter()
            .enumerate()
            .map(|(index, assignment)| {
                let decision = match last.get(assignment.name) {
                    Some(&(winner, line)) if winner > index => Decision::Overwritten(line),
                    _ if excluded.contains(assignment.name) => Decision::Excluded,
                    _ => decision(&assignment, trust),
                };
                let variable = Variable {
                    name: assignment.name.to_owned(),
                    value: Secret::new(assignment.value),
                    path: Arc::clone(&path.path),
                    line: assignment.line,
                    trust,
                };
                Assignment { variable, decision }
            })
            .collect()
    }
}

/// Decides about an assignment that is neither overwritten nor excluded.
fn decision(assignment: &RawAssignment<'_>, trust: Trust) -> Decision {
    if assignment.name == RECORD {
        return Decision::Record;
    }
    if trust == Trust::UntrustedProject
        && let Some(category) = category(assignment.name)
    {
        return Decision::Refused(category);
    }
    if assignment.value.contains('\0') {
        return Decision::Nul;
    }
    if assignment.name.len() + 1 + assignment.value.len() > VARIABLE_LIMIT {
        return Decision::TooLong;
    }
    Decision::Accepted
}

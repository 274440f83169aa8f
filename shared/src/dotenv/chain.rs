//! The `.env` chain: which files there are, which count, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::consent::Gate;
use super::content::{self, Content, FILE_LIMIT, Patience, Unusable};
use super::marks::Mark;
use super::parser::{RawAssignment, Scanner, decode};
use super::place::Place;
use super::policy::{excluded_names, is_reserved, partners};
use super::search::{ChainRule, EnvError, Search, SearchPath};
use super::trust::{Answer, Trust, TrustStore};
use crate::exit::Failure;
use crate::process::VARIABLE_LIMIT;
use crate::secret::Secret;
use crate::text::shell_word;

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
    /// It is one of a key and its address, and the other one, on this line, is excluded.
    ExcludedWith(u32),
    /// It waits for the user's consent to the file; with what programs are known to do by that name.
    Waiting(Option<Mark>),
    /// It is a name that no file sets, whoever consents.
    Reserved,
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
            Self::Accepted
            | Self::Overwritten(_)
            | Self::Excluded
            | Self::ExcludedWith(_)
            | Self::Waiting(_) => None,
            Self::Reserved => Some("no file may set it".to_owned()),
            Self::TooLong => Some(format!("with its value it is longer than {VARIABLE_LIMIT} bytes")),
            Self::Nul => Some("its value holds a NUL".to_owned()),
        }
    }

    /// Returns why Qwen Code's settings keep the variable out.
    #[must_use]
    pub fn exclusion(self) -> Option<String> {
        const EXCLUSION: &str = "Qwen Code does not take it from a project's .env";
        match self {
            Self::Excluded => Some(EXCLUSION.to_owned()),
            Self::ExcludedWith(line) => Some(format!(
                "it goes with the variable on line {line}, and Qwen Code does not take that from a project's .env"
            )),
            _ => None,
        }
    }

    /// True for a name that waits for consent.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting(_))
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
    /// What the user said about it with this content.
    pub answer: Option<Answer>,
    /// The user consented to it with another content.
    pub changed: bool,
    /// The permission bits.
    pub mode: u32,
    /// Its assignments in the order of the lines.
    pub assignments: Vec<Assignment>,
    /// The decoded text.
    pub text: Secret<String>,
    /// The bytes as they were read: what a consent is about.
    pub bytes: Secret<Vec<u8>>,
}

impl EnvFile {
    /// Iterates over what waits for the user's consent.
    pub fn waiting(&self) -> impl Iterator<Item = &Assignment> {
        self.assignments
            .iter()
            .filter(|assignment| assignment.decision.is_waiting())
    }

    /// True for UTF-16, by its byte order mark or by the NUL beside each letter: to every reader of `.env` files it is nothing.
    #[must_use]
    pub fn is_utf16(&self) -> bool {
        match self.bytes.expose().as_slice() {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
            [first, second, third, fourth, ..] => {
                let is_nul = [*first == 0, *second == 0, *third == 0, *fourth == 0];
                is_nul == [true, false, true, false] || is_nul == [false, true, false, true]
            }
            _ => false,
        }
    }

    /// Returns what to say of a file that is there and yields nothing; `None` for any other.
    #[must_use]
    pub fn emptiness(&self) -> Option<&'static str> {
        self.assignments.is_empty().then(|| match self.is_utf16() {
            true => "sets no variable: it is UTF-16, as PowerShell's '>' writes it; save it as UTF-8",
            false => "sets no variable",
        })
    }

    /// Decides anew about what waited, now that the user has answered.
    fn apply(&mut self, answer: Answer) {
        self.answer = Some(answer);
        if answer == Answer::No || self.trust == Trust::Home {
            return;
        }
        self.trust = Trust::TrustedProject;
        for assignment in &mut self.assignments {
            assignment.variable.trust = Trust::TrustedProject;
            if assignment.decision.is_waiting() {
                let variable = &assignment.variable;
                assignment.decision = decide_value(&variable.name, variable.value.expose());
            }
        }
    }
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
    /// It is there, and is passed over for this reason.
    PassedOver(Unusable),
}

/// A file of the search, in its order.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file.
    pub path: Arc<Path>,
    /// Whether it was read.
    pub status: CandidateStatus,
    /// It is one of the user's home files.
    pub home: bool,
    /// It, and the link to it, belong to the user who runs this process. False where that was not looked at.
    pub own: bool,
}

impl Candidate {
    /// True for a project's file of one's own that should have counted: a tool that needs a key does not go on with
    /// another one.
    #[must_use]
    pub const fn is_own_project(&self) -> bool {
        let is_file = matches!(
            self.status,
            CandidateStatus::PassedOver(
                Unusable::WritableByAll
                    | Unusable::Unreadable(_)
                    | Unusable::Failing(_)
                    | Unusable::Exhausted(_)
                    | Unusable::TooLarge
                    | Unusable::TooSlow(_)
                    | Unusable::NoWriter
            )
        );
        is_file && self.own && !self.home
    }

    /// Returns why it was passed over.
    #[must_use]
    pub const fn objection(&self) -> Option<&Unusable> {
        match &self.status {
            CandidateStatus::PassedOver(reason) => Some(reason),
            _ => None,
        }
    }

    /// True where the user's consent would make it count.
    #[must_use]
    pub const fn lacks_consent(&self) -> bool {
        matches!(
            self.status,
            CandidateStatus::PassedOver(Unusable::Foreign(_) | Unusable::WritableByAll)
        )
    }
}

/// A search that a project's file ended, though a home file sets what was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<'c> {
    /// The file that ended the search.
    pub by: &'c Path,
    /// The home file that was not reached.
    pub before: &'c Path,
    /// The first of the names that it sets.
    pub name: &'c str,
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
    pub trust_error: Option<Failure>,
    /// Why the names that the configuration allows cannot be used, exit 78; set only where names wait.
    pub allow_error: Option<Failure>,
    /// The file was named, in place of a search.
    named: bool,
}

impl EnvChain {
    /// Looks for the files and reads those that count.
    #[must_use]
    pub fn resolve(search: &Search) -> Self {
        let mut builder = Builder {
            search,
            excluded: None,
            gate: Gate::new(&search.consent, search.file.is_some()),
            chain: Self {
                named: search.file.is_some(),
                ..Self::default()
            },
        };
        for path in search.paths() {
            builder.add(path);
        }
        builder.chain.allow_error = builder.gate.into_fault();
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

    /// Iterates over what waits for the user's consent, file by file.
    pub fn waiting(&self) -> impl Iterator<Item = &Assignment> {
        self.files.iter().flat_map(EnvFile::waiting)
    }

    /// Takes what keeps the chain from being judged: the configuration of the user's own consent cannot be used, or the
    /// user's answers cannot be read, or believed. Without them a file of the user's would be taken for a stranger's.
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.allow_error.take().or_else(|| self.trust_error.take())
    }

    /// Iterates over the files that are there and do not count.
    pub fn passed_over(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates
            .iter()
            .filter(|candidate| candidate.objection().is_some())
    }

    /// True when the user said no to a file of this chain.
    #[must_use]
    pub fn is_refused(&self, path: &Path) -> bool {
        let mut files = self.files.iter();
        files.any(|file| *file.path == *path && file.answer == Some(Answer::No))
    }

    /// Applies the user's answer about a file of this chain to what was read of it.
    pub fn answer(&mut self, path: &Path, answer: Answer) {
        let files = self.files.iter_mut();
        files
            .filter(|file| *file.path == *path)
            .for_each(|file| file.apply(answer));
    }

    /// Returns the file that `qwen-env --trust` without a name is about: the project's file that was read, else the first
    /// one that was passed over for its owner or mode.
    #[must_use]
    pub fn trust_target(&self) -> Option<&Path> {
        let read = self.files.iter().find(|file| file.trust != Trust::Home);
        let passed_over = || self.candidates.iter().find(|candidate| candidate.lacks_consent());
        read.map(|file| &*file.path)
            .or_else(|| passed_over().map(|candidate| &*candidate.path))
    }

    /// Returns the command that consents to a file, for a shell in the directory of the search; with the path where it
    /// is `elsewhere`, was named, or would be about another file without. `None` where no command line can hold the path.
    #[must_use]
    pub fn trust_command(&self, path: &Path, elsewhere: bool) -> Option<String> {
        self.command("qwen-env --trust", path, elsewhere)
    }

    /// Returns the command that forgets the answer about a file; see [`EnvChain::trust_command`].
    #[must_use]
    pub fn untrust_command(&self, path: &Path, elsewhere: bool) -> Option<String> {
        self.command("qwen-env --untrust", path, elsewhere)
    }

    fn command(&self, command: &str, path: &Path, elsewhere: bool) -> Option<String> {
        if !elsewhere && !self.named && self.trust_target() == Some(path) {
            return Some(command.to_owned());
        }
        command_about(command, path)
    }

    /// Returns the project's file that ended the search (rule `first`) before a home file that sets one of these
    /// variables.
    #[must_use]
    pub fn ended_by<'c>(&'c self, names: &[&'c str]) -> Option<Ended<'c>> {
        let by = self.files.iter().find(|file| file.trust != Trust::Home)?;
        let not_reached = self
            .candidates
            .iter()
            .filter(|candidate| candidate.home && candidate.status == CandidateStatus::NotReached);
        for candidate in not_reached {
            let Ok(Some(content)) = content::read_home(&candidate.path) else {
                continue;
            };
            let text = decode(&content.bytes);
            let sets = |name: &str| {
                Scanner::new(&text).any(|found| found.name == name && !found.value.trim().is_empty())
            };
            if let Some(name) = names.iter().find(|name| sets(name)) {
                let (by, before) = (&*by.path, &*candidate.path);
                return Some(Ended { by, before, name });
            }
        }
        None
    }
}

/// Returns a command with a file as its last word; `None` where no command line can hold the path, and for what has no
/// place of its own, such as standard input: it cannot be named again.
#[must_use]
pub fn command_about(command: &str, path: &Path) -> Option<String> {
    let is_kept = !["/dev", "/proc"].iter().any(|top| path.starts_with(top));
    let word = shell_word(path.to_str().filter(|_| is_kept)?)?;
    Some(format!("{command} {word}"))
}

/// Builds a chain, reading the trust store and Qwen Code's settings only when a file needs them.
struct Builder<'s> {
    search: &'s Search,
    /// Read when the first plain project file is found.
    excluded: Option<BTreeSet<String>>,
    gate: Gate<'s>,
    chain: EnvChain,
}

impl Builder<'_> {
    fn add(&mut self, path: SearchPath) {
        let mut candidate = Candidate {
            path: Arc::clone(&path.path),
            status: CandidateStatus::NotReached,
            home: path.home,
            own: false,
        };
        if !self.is_complete_without(&path) {
            candidate.status =
                self.load(path, &mut candidate)
                    .map_or_else(CandidateStatus::PassedOver, |found| {
                        if found {
                            CandidateStatus::Read
                        } else {
                            CandidateStatus::Absent
                        }
                    });
            self.chain.fault = self.chain.fault.take().or_else(|| self.fault(&candidate));
        }
        self.chain.candidates.push(candidate);
    }

    /// Under `first` one file ends the search; under `merge` one project file ends that for project files.
    fn is_complete_without(&self, path: &SearchPath) -> bool {
        let mut files = self.chain.files.iter();
        match self.search.rule {
            ChainRule::First => self.chain.fault.is_some() || files.next().is_some(),
            ChainRule::Merge => !path.home && files.any(|file| file.trust != Trust::Home),
        }
    }

    /// A file that was named has to be used. One's own that is there first and cannot be read ends the search as well: no
    /// other file is meant by it.
    fn fault(&self, candidate: &Candidate) -> Option<EnvError> {
        let named = self.search.file.is_some();
        let path = candidate.path.to_path_buf();
        match &candidate.status {
            CandidateStatus::Absent if named => Some(EnvError::Missing(path)),
            CandidateStatus::PassedOver(reason) => {
                let unread = matches!(
                    reason,
                    Unusable::Unreadable(_)
                        | Unusable::Failing(_)
                        | Unusable::Exhausted(_)
                        | Unusable::TooSlow(_)
                        | Unusable::NoWriter
                );
                let first = self.search.rule == ChainRule::First && candidate.own && unread;
                (named || first).then(|| EnvError::Unusable {
                    path,
                    reason: reason.clone(),
                })
            }
            _ => None,
        }
    }

    /// Reads a file and adds it; returns false when there is none.
    fn load(&mut self, mut path: SearchPath, candidate: &mut Candidate) -> Result<bool, Unusable> {
        let named = self.search.file.is_some();
        let content = if self.search.is_stdin() {
            content::read_stdin()?
        } else {
            // Whose it is cannot be told of what cannot be looked at: it may be the user's own.
            candidate.own = true;
            let Some(place) = Place::look(&path.path, named)? else {
                return Ok(false);
            };
            candidate.own = place.is_own();
            path.home = path.home || self.search.is_home(&path.path, &place);
            // Qwen Code's directory is one: a link makes a plain file no other.
            path.plain = path.plain || place.is_in_linked_directory();
            candidate.home = path.home;
            if let Some(reason) = place.is_no_file() {
                return Err(reason);
            }
            let objection = place.objection().filter(|_| !named);
            if let Some(reason) = objection
                && !self.trust_store().may_consent(&path.path)
            {
                return Err(reason);
            }
            place.read(match (named, self.search.at_prompt) {
                (true, _) => Patience::NAMED,
                (false, true) => Patience::PROMPT,
                (false, false) => Patience::CHAIN,
            })?
        };
        self.take(&path, content)?;
        Ok(true)
    }

    fn take(&mut self, path: &SearchPath, content: Content) -> Result<(), Unusable> {
        let named = self.search.file.is_some();
        let objection = content.objection.filter(|_| !named);
        let answer = match path.home && objection.is_none() {
            true => None,
            false => self.trust_store().answer(&path.path, &content.bytes),
        };
        if let Some(reason) = objection
            && answer != Some(Answer::Yes)
        {
            return Err(reason);
        }
        let text = decode(&content.bytes);
        if text.len() > FILE_LIMIT {
            return Err(Unusable::TooLarge);
        }
        let trust = match answer {
            _ if path.home => Trust::Home,
            Some(Answer::Yes) => Trust::TrustedProject,
            _ => Trust::UntrustedProject,
        };
        let changed = trust == Trust::UntrustedProject
            && answer.is_none()
            && self.trust_store().may_consent(&path.path);
        let assignments = self.decide(Scanner::new(&text).collect(), path, trust);
        self.chain.files.push(EnvFile {
            path: Arc::clone(&path.path),
            trust,
            answer,
            changed,
            mode: content.mode,
            assignments,
            text: Secret::new(text),
            bytes: Secret::new(content.bytes),
        });
        Ok(())
    }

    /// Asked when the first project file is found, or one that needs consent for its owner or mode.
    fn trust_store(&mut self) -> &TrustStore {
        let (store, fault) = self.search.shared.trust.answers();
        let failure = || fault.map(EnvError::failure);
        self.chain.trust_error = self.chain.trust_error.take().or_else(failure);
        store
    }

    /// Returns the names that Qwen Code's settings keep out of a file.
    fn excluded_from(&mut self, path: &SearchPath, trust: Trust) -> BTreeSet<String> {
        if !path.plain || trust == Trust::Home {
            return BTreeSet::new();
        }
        let excluded = || excluded_names(&self.search.shared.settings);
        self.excluded.get_or_insert_with(excluded).clone()
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
        let excluded = self.excluded_from(path, trust);
        let parted = partners(last.keys().copied(), &excluded);
        let mut decided = Vec::with_capacity(assignments.len());
        for (index, assignment) in assignments.into_iter().enumerate() {
            let name = assignment.name;
            let mut stopped = || {
                (trust == Trust::UntrustedProject)
                    .then(|| self.gate.stops(name))
                    .flatten()
            };
            let decision = match last.get(name) {
                Some(&(winner, line)) if winner > index => Decision::Overwritten(line),
                _ if is_reserved(name) => Decision::Reserved,
                _ if excluded.contains(name) => Decision::Excluded,
                _ => match parted.get(name).and_then(|other| last.get(other)) {
                    Some(&(_, line)) => Decision::ExcludedWith(line),
                    None => {
                        stopped().map_or_else(|| decide_value(name, &assignment.value), Decision::Waiting)
                    }
                },
            };
            let variable = Variable {
                name: name.to_owned(),
                value: Secret::new(assignment.value),
                path: Arc::clone(&path.path),
                line: assignment.line,
                trust,
            };
            decided.push(Assignment { variable, decision });
        }
        decided
    }
}

/// Decides about an assignment whose name may be set.
fn decide_value(name: &str, value: &str) -> Decision {
    if value.contains('\0') {
        return Decision::Nul;
    }
    if name.len() + 1 + value.len() > VARIABLE_LIMIT {
        return Decision::TooLong;
    }
    Decision::Accepted
}

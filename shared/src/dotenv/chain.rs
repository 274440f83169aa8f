//! The `.env` chain: which files there are, which count, and what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::assignment::{Assignment, Reading, Standing, Variable, Verdict, assignments};
use super::file::{self, Content, FILE_LIMIT, Unusable, VARIABLE_LIMIT};
use super::parser::decode;
use super::policy::{EXCLUDED, RECORD, reach};
use super::search::{ChainRule, EnvError, Place, Search};
use super::trust::Trust;
use crate::secret::Secret;

/// A file that was read.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// The file.
    pub path: Arc<Path>,
    /// Whose word it is.
    pub standing: Standing,
    /// The permission bits.
    pub mode: u32,
    /// Its assignments in the order of the lines.
    pub assignments: Vec<Assignment>,
    /// The decoded text, for those who look closer.
    pub text: Secret<String>,
}

/// What became of a file of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was read.
    Read,
    /// There is none.
    Absent,
    /// It was not looked at: an earlier file ended the search.
    NotReached,
    /// It is there and was passed over.
    PassedOver(Unusable),
}

/// A file of the search, in its order.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The file.
    pub path: Arc<Path>,
    /// What became of it.
    pub fate: Fate,
}

/// The chain: what was looked for, found and read.
#[derive(Debug, Default)]
pub struct EnvChain {
    /// Every file of the search, in order.
    pub candidates: Vec<Candidate>,
    /// The files that were read, the most important first; one at most under [`ChainRule::First`].
    pub files: Vec<EnvFile>,
    /// Why the chain cannot be relied on: a file that was named or found first is there and cannot be read, or the
    /// named one is not there. What it would have said is unknown, so no other file took its place.
    pub fault: Option<EnvError>,
    notices: Vec<Notice>,
}

impl EnvChain {
    /// Looks for the files and reads those that count.
    #[must_use]
    pub fn resolve(search: &Search) -> Self {
        let mut finder = Finder {
            search,
            trust: None,
            excluded: None,
            chain: Self::default(),
        };
        finder.chain.notices.extend(search.lost().map(Notice::new));
        for place in search.places() {
            let fate = finder.visit(&place);
            finder.chain.candidates.push(Candidate {
                path: place.path,
                fate,
            });
        }
        finder.chain
    }

    /// Returns the variable of that name as the files give it, whatever the process environment holds.
    ///
    /// An address that an untrusted project file set is returned too: [`super::policy::may_pair`] says which key may go there.
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
            .filter(|assignment| assignment.verdict == Verdict::Accepted)
            .map(|assignment| &assignment.variable)
    }

    /// Iterates over all assignments, file by file.
    pub fn assignments(&self) -> impl Iterator<Item = &Assignment> {
        self.files.iter().flat_map(|file| &file.assignments)
    }

    /// Returns what the user ought to know: files passed over, names refused. It holds no value.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

/// The search at work.
struct Finder<'s> {
    search: &'s Search,
    /// The trust store, read when the first project file is found.
    trust: Option<Trust>,
    /// The excluded names, read when the first plain project file is found.
    excluded: Option<BTreeSet<String>>,
    chain: EnvChain,
}

impl Finder<'_> {
    fn visit(&mut self, place: &Place) -> Fate {
        if self.is_over_for(place) {
            return Fate::NotReached;
        }
        match file::read(&place.path) {
            Ok(None) => {
                if self.search.file.is_some() {
                    self.chain.fault = Some(EnvError::Missing(place.path.to_path_buf()));
                }
                Fate::Absent
            }
            Ok(Some(content)) => self
                .take(place, &content)
                .map_or_else(|reason| self.pass_over(place, reason), |()| Fate::Read),
            Err(reason) => self.pass_over(place, reason),
        }
    }

    /// Under `first` one file ends the search; under `merge` one project file ends that for project files.
    fn is_over_for(&self, place: &Place) -> bool {
        match self.search.rule {
            ChainRule::First => self.chain.fault.is_some() || !self.chain.files.is_empty(),
            ChainRule::Merge => {
                !place.home
                    && self
                        .chain
                        .files
                        .iter()
                        .any(|file| file.standing != Standing::Home)
            }
        }
    }

    fn pass_over(&mut self, place: &Place, reason: Unusable) -> Fate {
        let first = self.search.rule == ChainRule::First && matches!(reason, Unusable::Unreadable(_));
        if self.search.file.is_some() || first || matches!(reason, Unusable::Misread(_)) {
            self.chain.fault = Some(EnvError::Unusable {
                path: place.path.to_path_buf(),
                reason: reason.clone(),
            });
        } else {
            self.chain.notices.push(Notice::passed_over(&place.path, &reason));
        }
        Fate::PassedOver(reason)
    }

    fn take(&mut self, place: &Place, content: &Content) -> Result<(), Unusable> {
        let standing = self.standing(place, &content.bytes);
        if let Some(uid) = content.foreign.filter(|_| standing != Standing::TrustedProject) {
            return Err(Unusable::Foreign(uid));
        }
        let text = decode(&content.bytes);
        if text.len() > FILE_LIMIT {
            return Err(Unusable::TooLarge);
        }
        let readings = assignments(&text).map_err(Unusable::Misread)?;
        let assignments = self.judge(readings, place, standing);
        self.chain
            .notices
            .extend(assignments.iter().filter_map(Notice::not_taken));
        self.chain.files.push(EnvFile {
            path: Arc::clone(&place.path),
            standing,
            mode: content.mode,
            assignments,
            text: Secret::new(text),
        });
        Ok(())
    }

    fn standing(&mut self, place: &Place, content: &[u8]) -> Standing {
        if place.home || self.search.is_home_by_link(&place.path) {
            return Standing::Home;
        }
        if self.trust().holds(&place.path, content) {
            return Standing::TrustedProject;
        }
        Standing::UntrustedProject
    }

    fn trust(&mut self) -> &Trust {
        let (store, notices) = (self.search.trust_store.as_deref(), &mut self.chain.notices);
        self.trust.get_or_insert_with(|| {
            store.map_or_else(Trust::default, |store| {
                Trust::load(store).unwrap_or_else(|error| {
                    notices.push(Notice::new(format!("{error}; no project file is trusted")));
                    Trust::default()
                })
            })
        })
    }

    fn judge(&mut self, readings: Vec<Reading>, place: &Place, standing: Standing) -> Vec<Assignment> {
        // By place and not by line: a line of an editor may be several of the grammar's, which U+2028 ends too.
        let last: BTreeMap<String, (usize, u32)> = readings
            .iter()
            .enumerate()
            .map(|(at, reading)| (reading.name.clone(), (at, reading.line)))
            .collect();
        let none = BTreeSet::new();
        let excluded = if place.plain && standing != Standing::Home {
            let search = self.search;
            self.excluded
                .get_or_insert_with(|| excluded_names(&search.settings_files()))
        } else {
            &none
        };
        readings
            .into_iter()
            .enumerate()
            .map(|(at, reading)| {
                let verdict = match last.get(&reading.name) {
                    Some(&(winner, line)) if winner > at => Verdict::Overwritten(line),
                    _ if excluded.contains(&reading.name) => Verdict::Excluded,
                    _ => verdict(&reading, standing),
                };
                assignment(reading, verdict, &place.path, standing)
            })
            .collect()
    }
}

/// What the chain says about an assignment that no later line overwrites.
fn verdict(reading: &Reading, standing: Standing) -> Verdict {
    if reading.name == RECORD {
        return Verdict::Record;
    }
    if standing == Standing::UntrustedProject
        && let Some(reach) = reach(&reading.name)
    {
        return Verdict::Refused(reach);
    }
    if reading.value.contains('\0') {
        return Verdict::Nul;
    }
    if reading.name.len() + 1 + reading.value.len() > VARIABLE_LIMIT {
        return Verdict::TooLong;
    }
    Verdict::Accepted
}

fn assignment(reading: Reading, verdict: Verdict, path: &Arc<Path>, standing: Standing) -> Assignment {
    let variable = Variable {
        name: reading.name,
        value: Secret::new(reading.value),
        path: Arc::clone(path),
        line: reading.line,
        standing,
    };
    Assignment { variable, verdict }
}

/// Something the user ought to know about the chain. `Display` gives the line; it holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    text: String,
    /// What to type about it.
    pub hint: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Notice {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    /// A file that is there and was passed over.
    pub(super) fn passed_over(path: &Path, reason: &Unusable) -> Self {
        let text = format!("{}: {reason}; ignored", path.display());
        let hint = match reason {
            Unusable::WritableByAll => Some("take the right to write from others ('chmod o-w')".to_owned()),
            Unusable::Foreign(_) => Some(format!(
                "run 'qwen-env --trust {}' if you trust it",
                path.display()
            )),
            _ => None,
        };
        Self { text, hint }
    }

    /// An assignment that does not count though its author meant it to; `None` for one that needs no word.
    pub(super) fn not_taken(assignment: &Assignment) -> Option<Self> {
        let variable = &assignment.variable;
        let (place, name) = (variable.place(), &variable.name);
        match assignment.verdict {
            Verdict::Accepted | Verdict::Overwritten(_) | Verdict::Excluded => None,
            Verdict::Refused(reach) => Some(Self {
                text: format!(
                    "{place}: refused '{name}': an untrusted project file may not set {} variables",
                    reach.name()
                ),
                hint: Some("run 'qwen-env --trust' if this project may set them".to_owned()),
            }),
            Verdict::Record => Some(Self::new(format!(
                "{place}: refused '{name}': no file may set it"
            ))),
            Verdict::TooLong => Some(Self::new(format!(
                "{place}: refused '{name}': with its value it is longer than 131071 bytes"
            ))),
            Verdict::Nul => Some(Self::new(format!(
                "{place}: refused '{name}': its value holds a NUL"
            ))),
        }
    }
}

/// The largest `settings.json` that is read, in bytes.
const LIMIT: u64 = 1024 * 1024;

/// Returns the excluded names: the union of the lists in these files, or the built-in pair when none has a list.
///
/// `advanced.excludedEnvVars` replaces the pair; the older `excludedProjectEnvVars` at the top is read where the
/// newer is missing (facts: Qwen Code, section 4). A file that is not there, or is not JSON, has no list: it is
/// another program's file, and that program reports it.
#[must_use]
pub(super) fn excluded_names(files: &[PathBuf]) -> BTreeSet<String> {
    let lists: Vec<Vec<String>> = files.iter().filter_map(|file| list_of(file)).collect();
    if lists.is_empty() {
        return EXCLUDED.iter().map(|&name| name.to_owned()).collect();
    }
    lists.into_iter().flatten().collect()
}

fn list_of(file: &Path) -> Option<Vec<String>> {
    let settings = crate::jsonc::parse(&String::from_utf8_lossy(&read(file)?)).ok()?;
    let list = settings
        .get("advanced")
        .and_then(|advanced| advanced.get("excludedEnvVars"))
        .or_else(|| settings.get("excludedProjectEnvVars"))?;
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}

/// Reads a regular file of sane size; a FIFO in its place is not waited for.
fn read(file: &Path) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > LIMIT {
        return None;
    }
    std::fs::read(file).ok()
}

//! What is said about a run: files that were passed over, names that wait, variables that are not exported.

use std::path::Path;
use std::sync::Arc;

use qwen_shared::address::NotPlain;
use qwen_shared::dotenv::{
    Answer, Assignment, CandidateStatus, Decision, EnvChain, EnvError, EnvFile, Search, Trust, Unusable,
    Variable, command_about, key_name,
};
use qwen_shared::output::Reporter;
use qwen_shared::text::clip;

use super::consent::more_of;
use super::plan::{Action, Entry, Origin, Plan};

/// The most names in one notice, and the most notices of one run. A file of 1 MiB has 80,000 names.
pub(crate) const LIMIT: usize = 20;

/// The longest name that is shown whole, in characters: a name may be as long as its file.
pub(crate) const LONGEST_NAME: usize = 64;

/// The notices of a run, gathered before any is given: a shell hears the same ones once.
#[derive(Debug)]
pub(crate) struct Notices<'c> {
    chain: &'c EnvChain,
    /// Hints are typed in another directory than the one that was searched.
    elsewhere: bool,
    /// The file that was just asked about, with no answer.
    asked: Option<Arc<Path>>,
    texts: Vec<String>,
    /// The one of the texts that the question has just told.
    told: Option<String>,
    hints: Vec<String>,
}

impl<'c> Notices<'c> {
    /// Gathers what concerns the search as a whole.
    pub(crate) fn new(search: &Search, chain: &'c EnvChain, elsewhere: bool) -> Self {
        let mut notices = Self {
            chain,
            elsewhere,
            asked: None,
            told: None,
            texts: search.missing_start().map(str::to_owned).into_iter().collect(),
            hints: Vec::new(),
        };
        for candidate in &chain.candidates {
            if let CandidateStatus::PassedOver(reason) = &candidate.status {
                notices.add_passed_over(&candidate.path, reason);
            }
        }
        notices
    }

    fn add_passed_over(&mut self, path: &Path, reason: &Unusable) {
        let error = EnvError::Unusable {
            path: path.to_path_buf(),
            reason: reason.clone(),
        };
        self.add(format!("{error}; passed over"));
        match reason {
            Unusable::WritableByAll => {
                self.hint(writable_hint(path));
                self.hint_at_consent(path);
            }
            Unusable::Foreign(_) => self.hint_at_consent(path),
            _ => {}
        }
    }

    /// Adds all that a run has to say; of the file that was just asked about the hint alone.
    pub(crate) fn about_all(mut self, plan: &Plan<'_>, asked: Option<Arc<Path>>) -> Self {
        self.asked = asked;
        for file in &self.chain.files {
            self.add_file(file);
        }
        for entry in &plan.entries {
            if let Some(reason) = reason(entry) {
                let (place, name) = (place(entry), shortened(entry.name));
                self.add(format!("{place}: '{name}' is not exported: {reason}"));
                self.hint_at_pairing(entry);
            }
        }
        self
    }

    /// Adds which addresses of an unconsented project reach other programs: those that have stored a key of their own would
    /// send it there.
    pub(crate) fn with_addresses(mut self, plan: &Plan<'_>) -> Self {
        for entry in &plan.entries {
            if entry.action == Action::Export
                && let Origin::File(variable) = entry.origin
                && variable.trust == Trust::UntrustedProject
                && key_name(entry.name).is_some()
                && !self.chain.is_refused(&variable.path)
            {
                let (place, name) = (variable.place(), entry.name);
                self.add(format!(
                    "{place}: {name} is this project's; programs that store keys themselves would send them there"
                ));
            }
        }
        self
    }

    /// Adds why one variable has no value, and what might have given it one.
    pub(crate) fn about(mut self, name: &str, has_value: bool, plan: &Plan<'_>) -> Self {
        if has_value {
            return self;
        }
        for file in &self.chain.files {
            self.add_if_empty(file);
        }
        self.add_withheld(name, plan);
        if let Some(ended) = self.chain.ended_by(&[name]) {
            self.add(format!(
                "'{name}' is set in {}, but {} ended the search",
                ended.before.display(),
                ended.by.display()
            ));
            self.hint(
                "set QWEN_ENV_CHAIN=merge to have the home files fill what a project leaves unset".to_owned(),
            );
        }
        self
    }

    fn add_withheld(&mut self, name: &str, plan: &Plan<'_>) {
        let of_name = self
            .chain
            .assignments()
            .filter(|assignment| assignment.variable.name == name);
        for assignment in of_name {
            let variable = &assignment.variable;
            let reason = match assignment.decision {
                Decision::Waiting(_) if self.chain.is_refused(&variable.path) => {
                    self.add_left_out(variable);
                    continue;
                }
                Decision::Waiting(_) => Some("it waits for consent".to_owned()),
                decision => decision.exclusion().or_else(|| decision.refusal()),
            };
            if let Some(reason) = reason {
                self.add(format!("{}: '{name}' is withheld: {reason}", variable.place()));
            }
            if assignment.decision.is_waiting() {
                self.hint_at_consent(&variable.path);
            }
        }
        if let Some(entry) = plan.entries.iter().find(|entry| entry.name == name)
            && let Some(reason) = reason(entry)
        {
            self.add(format!("{}: '{name}' is withheld: {reason}", place(entry)));
            self.hint_at_pairing(entry);
        }
    }

    fn add_left_out(&mut self, variable: &Variable) {
        let command = self.chain.untrust_command(&variable.path, self.elsewhere);
        let (place, name, reason) = (variable.place(), &variable.name, refusal(command));
        self.add(format!("{place}: '{name}' is left out: {reason}"));
    }

    fn add_file(&mut self, file: &EnvFile) {
        self.add_if_empty(file);
        for assignment in &file.assignments {
            if let Some(reason) = assignment.decision.refusal() {
                let (place, name) = (assignment.variable.place(), shortened(&assignment.variable.name));
                self.add(format!("{place}: refused '{name}': {reason}"));
            }
        }
        // A no was an answer: it is not spoken of again.
        let mut waiting: Vec<&Assignment> = file
            .waiting()
            .filter(|_| file.answer != Some(Answer::No))
            .collect();
        waiting.sort_by_key(|assignment| !is_marked(assignment));
        let what = match waiting.len() {
            0 => return,
            1 => "1 variable waits".to_owned(),
            count => format!("{count} variables wait"),
        };
        let changed = if file.changed { CHANGED } else { ":" };
        let text = format!(
            "{}{changed} {what} for consent: {}",
            file.path.display(),
            listed(&waiting)
        );
        if self.asked.as_ref() == Some(&file.path) {
            self.told = Some(text.clone());
        }
        self.add(text);
        self.hint_at_consent(&file.path);
    }

    fn add_if_empty(&mut self, file: &EnvFile) {
        if let Some(emptiness) = file.emptiness() {
            self.add(format!("{}: {emptiness}", file.path.display()));
        }
    }

    fn add(&mut self, text: String) {
        self.texts.push(text);
    }

    fn hint(&mut self, hint: String) {
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
    }

    fn hint_at_consent(&mut self, path: &Path) {
        if let Some(command) = self.chain.trust_command(path, self.elsewhere) {
            self.hint(format!("run '{command}' to see what it sets and to consent"));
        }
    }

    fn hint_at_pairing(&mut self, entry: &Entry<'_>) {
        let path = match entry.origin {
            Origin::File(variable) => Some(&*variable.path),
            // Of what `qwen-token` gave only the address of an untrusted file is withheld.
            Origin::Token => self.chain.variable(entry.name).map(|variable| &*variable.path),
        };
        if entry.action == Action::Withhold
            && let Some(command) = path.and_then(|path| self.chain.trust_command(path, self.elsewhere))
        {
            self.hint(format!(
                "run '{command}' if this project may choose where keys are sent"
            ));
        }
    }

    /// Returns what tells these notices from others.
    pub(crate) fn text(&self) -> String {
        self.texts.join("\n")
    }

    /// True when there is nothing to say.
    pub(crate) const fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Gives the notices, twenty at most, and the hints.
    pub(crate) fn give(&self, reporter: &Reporter) {
        let texts: Vec<&String> = self
            .texts
            .iter()
            .filter(|&text| self.told.as_ref() != Some(text))
            .collect();
        for text in texts.iter().take(LIMIT) {
            reporter.notice(text);
        }
        if let Some(more) = texts.len().checked_sub(LIMIT).filter(|&more| more > 0) {
            reporter.notice(&format!(
                "and {more} more notices; 'qwen-env --explain' shows every variable"
            ));
        }
        for hint in self.hints.iter().take(LIMIT) {
            reporter.hint(hint);
        }
    }
}

/// The hint for a file that any user may write to.
fn writable_hint(path: &Path) -> String {
    command_about("chmod o-w", path).map_or_else(
        || "take the right to write from others".to_owned(),
        |command| format!("run '{command}'"),
    )
}

/// What is said between a file that is not what the user trusted and what waits of it.
const CHANGED: &str = " has changed since you trusted it;";

/// Why what waited is left out, and the command that forgets the answer.
pub(crate) fn refusal(command: Option<String>) -> String {
    let hint = command.map(|command| format!(" ('{command}' forgets that)"));
    format!("you refused this file{}", hint.unwrap_or_default())
}

/// True for a name by which programs are known to run code or to send secrets.
const fn is_marked(assignment: &Assignment) -> bool {
    matches!(assignment.decision, Decision::Waiting(Some(_)))
}

/// The first names, and how many more there are.
fn listed(waiting: &[&Assignment]) -> String {
    let (shown, hidden) = waiting.split_at(waiting.len().min(LIMIT));
    let shown: Vec<String> = shown
        .iter()
        .map(|assignment| shortened(&assignment.variable.name))
        .collect();
    let shown = shown.join(", ");
    if hidden.is_empty() {
        return shown;
    }
    let marked = hidden.iter().filter(|assignment| is_marked(assignment)).count();
    format!("{shown} and {}", more_of(hidden.len(), marked))
}

fn shortened(name: &str) -> String {
    clip(name, LONGEST_NAME)
}

/// Tells, with `--verbose`, what was done with every variable.
pub(crate) fn report_details(chain: &EnvChain, plan: &Plan<'_>, reporter: &Reporter) {
    if !reporter.is_verbose() {
        return;
    }
    for assignment in chain.assignments() {
        let (place, name) = (assignment.variable.place(), &assignment.variable.name);
        match assignment.decision {
            Decision::Overwritten(line) => {
                reporter.detail(&format!("{place}: '{name}' is overwritten by line {line}"));
            }
            Decision::Waiting(_) if chain.is_refused(&assignment.variable.path) => {
                reporter.detail(&format!("{place}: '{name}' is left out: {}", refusal(None)));
            }
            Decision::Waiting(_) => reporter.detail(&format!("{place}: '{name}' waits for consent")),
            // Told with the plan, or by a notice.
            decision => {
                if let Some(reason) = decision.exclusion() {
                    reporter.detail(&format!("{place}: '{name}' is excluded: {reason}"));
                }
            }
        }
    }
    for entry in &plan.entries {
        let (place, name) = (place(entry), entry.name);
        match entry.action {
            Action::Keep => reporter.detail(&format!("{place}: '{name}' is kept from the environment")),
            Action::Export => reporter.detail(&format!("{place}: '{name}' is exported")),
            _ => {}
        }
    }
    for name in &plan.unset {
        reporter.detail(&format!("'{name}' was exported earlier and is unset"));
    }
}

fn place(entry: &Entry<'_>) -> String {
    match entry.origin {
        Origin::File(variable) => variable.place(),
        Origin::Token => "qwen-token".to_owned(),
    }
}

/// Why a variable is not exported; `None` when it is, or when the environment has it.
pub(crate) fn reason(entry: &Entry<'_>) -> Option<String> {
    match entry.action {
        Action::Export | Action::Keep => None,
        Action::Withhold => {
            if let Some(other) = &entry.beside {
                return Some(format!(
                    "clients would send '{other}' there too, which is not of the same untrusted file"
                ));
            }
            let key = key_name(entry.name).unwrap_or_default();
            Some(format!(
                "an untrusted project file may set it only together with '{key}', and that is not the key in force"
            ))
        }
        Action::NotPlain => Some(NotPlain.to_string()),
        Action::Refuse(reason) => Some(reason.to_string()),
        Action::NoRoom => Some("the environment has no room for more".to_owned()),
        Action::Parted => {
            let other = entry.beside.as_deref().unwrap_or_default();
            Some(format!("it goes with '{other}', which is not exported"))
        }
    }
}

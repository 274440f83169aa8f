//! The settings files by scope, and what the strongest of them says.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::dotenv::{self, Answer, Record, Scanner, SharedFiles, TrustFile, command_about, decode};
use crate::exit::{Exit, Failure, io_exit};
use crate::fs::{NotOwn, cannot, cannot_read, is_link_error};
use crate::net::config::settings::{Source, Sourced};
use crate::paths;
use crate::settings_files::{Members, ProjectFile, SettingsFault, SettingsFile};

/// The member that is taken from a project's file without consent.
const MODEL: [&str; 2] = ["model", "name"];

/// One settings file.
#[derive(Debug)]
pub(super) struct Scope {
    pub(super) path: PathBuf,
    settings: Rc<Map<String, Value>>,
    access: Access,
}

/// What is taken from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Everything.
    Whole,
    /// `model.name` alone, as it is written: a project's file that the user refused.
    Model,
    /// As [`Access::Model`], until the user has answered.
    ModelUntilAsked,
}

/// The settings files, the strongest first: the system's, the project's, the user's, the system's defaults.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    /// The path of the user's file, for messages; there may be none.
    pub(super) user: PathBuf,
    scopes: Vec<Scope>,
    /// What is wrong with files that are passed over, or taken in part.
    pub(super) notices: Vec<String>,
    /// The first file that somebody else could have written.
    pub(super) refused: Option<NotOwn>,
    /// The first file that the machine failed to read, with the error's number.
    unread: Option<(PathBuf, i32)>,
    home_variables: OnceCell<HashMap<String, String>>,
    record: OnceCell<Option<Record>>,
}

/// A text of a settings file, expanded.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) value: Sourced<String>,
    /// The first variable in it that is not set; its name is left as it was written.
    pub(super) unset: Option<String>,
}

impl Text {
    /// True for a value that is nothing but the name of a variable that is not set.
    pub(super) fn is_unset(&self) -> bool {
        let value = &self.value.value;
        self.unset
            .as_ref()
            .is_some_and(|name| *value == format!("${name}") || *value == format!("${{{name}}}"))
    }
}

impl Scopes {
    /// Reads the files that there are. One that cannot be used is named in the notices, or is the refusal.
    pub(super) fn read(files: &SharedFiles) -> Self {
        let SharedFiles { settings, trust } = files;
        let user = settings.user_path();
        let mut scopes = Self {
            user: user.map_or_else(|| PathBuf::from("~/.qwen/settings.json"), Path::to_path_buf),
            ..Self::default()
        };
        scopes.add_file(settings.system.as_ref());
        if let Some(project) = settings.project() {
            scopes.add_project(project, trust);
        }
        scopes.add_file(settings.user.as_ref());
        scopes.add_file(settings.defaults.as_ref());
        scopes
    }

    /// Adds a file of the user's or the system's.
    fn add_file(&mut self, file: Option<&SettingsFile>) {
        if let Some(file) = file {
            self.add(&file.path, file.members(), Access::Whole);
        }
    }

    fn cannot_read(&mut self, path: &Path, error: &io::Error) {
        self.notices.push(cannot_read(path, error).message);
        let failed = error
            .raw_os_error()
            .filter(|_| error.kind() != io::ErrorKind::PermissionDenied && !is_link_error(error));
        if let (Some(number), None) = (failed, &self.unread) {
            self.unread = Some((path.to_path_buf(), number));
        }
    }

    /// The failure of a file that the machine failed to read, exit 74, at a limit 75: what it holds is not known. Without it
    /// another key might be used than the user's settings name, or none.
    pub(super) fn unread(&self) -> Option<Failure> {
        let (path, number) = self.unread.as_ref()?;
        let error = io::Error::from_raw_os_error(*number);
        Some(Failure::new(
            io_exit(&error, Exit::Io),
            cannot("read", path, &error),
        ))
    }

    /// Adds a project's file. Consent is for path and content, so it lifts owner and mode too.
    fn add_project(&mut self, project: &ProjectFile, trust: &TrustFile) {
        let (answers, _) = trust.answers();
        let access = match answers.answer(&project.path, &project.bytes) {
            Some(Answer::Yes) => Access::Whole,
            Some(Answer::No) => Access::Model,
            None => Access::ModelUntilAsked,
        };
        if access == Access::Whole || project.is_own {
            self.add(&project.path, project.members(), access);
        }
    }

    fn add(&mut self, path: &Path, members: Result<&Members, &SettingsFault>, access: Access) {
        match members {
            Ok(Some(members)) => self.scopes.push(Scope {
                path: path.to_path_buf(),
                settings: Rc::clone(members),
                access,
            }),
            Ok(None) => {}
            Err(SettingsFault::Invalid(fault)) => self
                .notices
                .push(format!("{}:{fault}; the file is not used", path.display())),
            Err(SettingsFault::Unread(error)) => match NotOwn::of(error) {
                Some(fault) => self.refused = self.refused.take().or_else(|| Some(fault.clone())),
                None => self.cannot_read(path, error),
            },
        }
    }

    /// Says that the project's file waits for consent, if it says more than the model about the endpoint.
    pub(super) fn limited_notice(&self) -> Option<String> {
        let limited = self
            .scopes
            .iter()
            .find(|scope| scope.access == Access::ModelUntilAsked)?;
        let says_more = [
            &["modelProviders"] as &[&str],
            &["providerProtocol"],
            &["env"],
            &["security", "auth"],
        ];
        says_more
            .iter()
            .any(|member| limited.value(member).is_some())
            .then(|| {
                let path = limited.path.display();
                limited.with_remedy(format!(
                    "{path}: only the model is taken from a project's settings"
                ))
            })
    }

    fn usable(&self) -> impl DoubleEndedIterator<Item = &Scope> {
        self.scopes.iter().filter(|scope| scope.access == Access::Whole)
    }

    /// Returns a member from the strongest file that has it, whatever it holds there. A project's file without consent is
    /// not among them.
    pub(super) fn value(&self, member: &[&str]) -> Option<(&Value, &Scope)> {
        self.usable()
            .filter_map(|scope| Some((scope.value(member)?, scope)))
            .next()
    }

    /// Returns the model that a project's file without consent names, where no stronger file names one.
    ///
    /// It goes out with each request, so nothing in it is expanded: whoever wrote the file would read any variable of the
    /// user's that way. A name with a `$` in it is not taken at all.
    pub(super) fn project_model(&self) -> Option<Sourced<String>> {
        let (name, scope) = self.project_name()?;
        (!name.contains('$')).then(|| Sourced::new(name.to_owned(), scope.source(&MODEL.join("."))))
    }

    /// Says that a project's model is not taken, as its name is more than a name.
    pub(super) fn project_model_notice(&self) -> Option<String> {
        let (name, scope) = self.project_name()?;
        name.contains('$').then(|| {
            let source = scope.source(&MODEL.join("."));
            scope.with_remedy(format!(
                "{source} is not used: '$' means nothing in a project's settings"
            ))
        })
    }

    fn project_name(&self) -> Option<(&str, &Scope)> {
        let scope = self.scopes.iter().find(|scope| scope.value(&MODEL).is_some())?;
        let name = without_mark(scope.value(&MODEL)?.as_str()?.trim());
        (scope.access != Access::Whole && !name.is_empty()).then_some((name, scope))
    }

    /// Returns a text; blank counts as absent.
    pub(super) fn text(&self, member: &[&str]) -> Option<Text> {
        let (value, scope) = self.value(member)?;
        self.expanded(value, scope, &member.join("."))
    }

    /// Expands a value of a file; blank counts as absent, and so does what is no text.
    pub(super) fn expanded(&self, value: &Value, scope: &Scope, member: &str) -> Option<Text> {
        let (value, unset) = self.expand(value.as_str()?);
        let value = value.trim();
        (!value.is_empty()).then(|| Text {
            value: Sourced::new(value.to_owned(), scope.source(member)),
            unset,
        })
    }

    /// The names of an object's members, of all files, in the order in which Qwen Code merges them.
    pub(super) fn names(&self, member: &[&str]) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for scope in self.usable().rev() {
            let object = scope.value(member).and_then(Value::as_object);
            for name in object.into_iter().flat_map(Map::keys) {
                if !names.contains(&name.as_str()) {
                    names.push(name);
                }
            }
        }
        names
    }

    /// Replaces `$NAME` and `${NAME}` as Qwen Code does: by the environment's value, else by that of the user's own `.env`.
    fn expand(&self, raw: &str) -> (String, Option<String>) {
        let mut value = String::new();
        let mut unset = None;
        let mut rest = raw;
        while let Some(at) = rest.find('$') {
            value.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let (name, length) = variable_at(after);
            match self.variable(name) {
                Some(found) => value.push_str(&found),
                None => {
                    value.push_str(&rest[at..=at + length]);
                    if !name.is_empty() && unset.is_none() {
                        unset = Some(name.to_owned());
                    }
                }
            }
            rest = &after[length..];
        }
        value.push_str(rest);
        (value, unset)
    }

    fn variable(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        // What a clone's file gave to the environment says nothing in the user's settings.
        if let Some(value) = env::var_os(name)
            && !self.came_with_project(name, &value)
        {
            return Some(value.to_string_lossy().into_owned());
        }
        self.home_variables.get_or_init(home_variables).get(name).cloned()
    }

    /// True for a variable that `qwen-env` exported from a project's file without consent.
    pub(super) fn came_with_project(&self, name: &str, value: &OsStr) -> bool {
        let record = self.record.get_or_init(Record::from_process);
        let origin = record.as_ref().and_then(|record| record.origin(name, value));
        origin.is_some_and(|origin| origin.project)
    }
}

impl Scope {
    fn value(&self, member: &[&str]) -> Option<&Value> {
        let direct = || {
            let (last, above) = member.split_last()?;
            let mut object = &*self.settings;
            for name in above {
                object = object.get(*name)?.as_object()?;
            }
            object.get(*last)
        };
        direct().or_else(|| self.flat_value(member))
    }

    /// Returns a member under the name that it had in the first version of the file.
    fn flat_value(&self, member: &[&str]) -> Option<&Value> {
        let name = match member {
            ["security", "auth", "selectedType"] => "selectedAuthType",
            ["security", "auth", "enforcedType"] => "enforcedAuthType",
            ["model", "name"] => "model",
            _ => return None,
        };
        self.settings.get(name).filter(|value| value.is_string())
    }

    /// Adds to what is not taken from a project's file how to allow it, unless the user has refused.
    fn with_remedy(&self, notice: String) -> String {
        match (self.access, command_about("qwen-env --trust", &self.path)) {
            (Access::ModelUntilAsked, Some(command)) => format!("{notice}; run '{command}' to allow it"),
            _ => notice,
        }
    }

    pub(super) fn source(&self, member: &str) -> Source {
        Source::QwenCode {
            path: self.path.clone(),
            member: member.to_owned(),
        }
    }
}

/// Returns the name of the variable that a text after `$` begins with, and the length of what names it.
fn variable_at(after: &str) -> (&str, usize) {
    if let Some((name, _)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
        return (name, name.len() + 2);
    }
    let end = after
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(after.len());
    (&after[..end], end)
}

/// Reads the user's own `.env` files, the first one's values first.
fn home_variables() -> HashMap<String, String> {
    let mut variables = HashMap::new();
    let mut files: Vec<PathBuf> = paths::qwen_home().into_iter().collect();
    if env::var_os("QWEN_HOME").is_none_or(|path| path.is_empty()) {
        files.extend(paths::home());
    }
    for directory in files {
        let Ok(Some(content)) = dotenv::read(&directory.join(".env")) else {
            continue;
        };
        let text = decode(&content.bytes);
        let assignments: HashMap<String, String> = Scanner::new(&text)
            .map(|assignment| (assignment.name.to_owned(), assignment.value))
            .collect();
        for (name, value) in assignments {
            variables.entry(name).or_insert(value);
        }
    }
    variables
}

/// Removes Qwen Code's `$runtime|PROTOCOL|` from a model that was set up by hand.
pub(super) fn without_mark(name: &str) -> &str {
    let mut name = name;
    while let Some((_, model)) = name
        .strip_prefix("$runtime|")
        .and_then(|rest| rest.split_once('|'))
    {
        if model.is_empty() {
            break;
        }
        name = model;
    }
    name
}

#[cfg(test)]
mod tests {
    use super::without_mark;

    #[test]
    fn the_mark_of_a_model_that_was_set_up_by_hand_is_removed_however_often_it_stands_there() {
        for (name, model) in [
            ("m1", "m1"),
            ("$runtime|openai|m1", "m1"),
            ("$runtime|openai|$runtime|openai|a|b", "a|b"),
            ("$runtime|openai|", "$runtime|openai|"),
            ("$runtime|m1", "$runtime|m1"),
        ] {
            assert_eq!(without_mark(name), model);
        }
    }
}

//! Which names of a project's file count without the user's answer.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::marks::{self, Mark};
use super::policy::is_own_name;
use crate::exit::{Exit, Failure};
use crate::fs;

/// What lets names of an unconsented project file through. None of it makes an address the user's own.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// Take everything but the marked names (`--all`).
    pub all: bool,
    /// The configuration, whose `env.allow` names what to take: read when the first name would wait.
    pub config: Option<PathBuf>,
}

/// The names that `env.allow` lists. An exact name lifts a mark; a pattern with `*` does not.
#[derive(Debug, Default)]
pub(super) struct Allowed {
    patterns: Vec<String>,
    /// Why the list cannot be used.
    pub(super) fault: Option<Failure>,
}

impl Allowed {
    /// Reads the list. A configuration that somebody else could have written allows nothing.
    pub(super) fn load(config: &Path) -> Self {
        match read_allow(config) {
            Ok(patterns) => Self {
                patterns,
                fault: None,
            },
            Err(failure) => Self {
                patterns: Vec::new(),
                fault: Some(failure),
            },
        }
    }

    fn names(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern == name)
    }

    fn covers(&self, name: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.contains('*') && matches(pattern, name))
    }
}

/// Decides about the names of a project file without an answer.
#[derive(Debug)]
pub(super) struct Gate<'s> {
    consent: &'s Consent,
    /// The file was named on the command line.
    named: bool,
    allowed: Option<Allowed>,
}

impl<'s> Gate<'s> {
    pub(super) const fn new(consent: &'s Consent, named: bool) -> Self {
        Self {
            consent,
            named,
            allowed: None,
        }
    }

    /// Returns `None` for a name that passes, else its mark, if it has one.
    pub(super) fn stops(&mut self, name: &str) -> Option<Option<Mark>> {
        if is_own_name(name) {
            return None;
        }
        let mark = marks::find(name);
        if mark.is_none() && (self.consent.all || self.named) {
            return None;
        }
        let config = self.consent.config.as_deref();
        let allowed = self
            .allowed
            .get_or_insert_with(|| config.map(Allowed::load).unwrap_or_default());
        let passes = allowed.names(name) || (mark.is_none() && allowed.covers(name));
        (!passes).then_some(mark)
    }

    /// Returns why `env.allow` was asked for and could not be used.
    pub(super) fn into_fault(self) -> Option<Failure> {
        self.allowed?.fault
    }
}

/// The largest configuration that is read, in bytes.
const CONFIG_LIMIT: u64 = 1024 * 1024;

/// Reads the one member of `config.json` that matters here.
fn read_allow(config: &Path) -> Result<Vec<String>, Failure> {
    let read = fs::read_private(config, CONFIG_LIMIT).map_err(|error| Failure {
        exit: Exit::Config,
        ..fs::cannot_read(config, &error)
    })?;
    let Some(file) = read else {
        return Ok(Vec::new());
    };
    let fault = |place: String, fault: &str| {
        Failure::new(Exit::Config, format!("{}{place}: {fault}", config.display()))
    };
    let settings: Value = serde_json::from_slice(&file.bytes).map_err(|error| {
        let place = format!(":{}:{}", error.line(), error.column());
        fault(place, "this is not JSON")
    })?;
    let Some(allow) = settings.get("env").and_then(|env| env.get("allow")) else {
        return Ok(Vec::new());
    };
    let names = allow.as_array().map(|names| names.iter().map(Value::as_str));
    let names: Option<Vec<&str>> = names.and_then(|names| names.collect());
    let names = names.ok_or_else(|| fault(String::new(), "'env.allow' is not a list of names"))?;
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Returns whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest
        .rsplit_once('*')
        .map_or((None, rest), |(middle, tail)| (Some(middle), tail));
    let Some(mut between) = name.strip_suffix(tail) else {
        return false;
    };
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        match between.find(part) {
            Some(at) => between = &between[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Consent, Gate, matches};
    use crate::exit::Exit;
    use crate::fs::write_private;

    /// Returns what a gate says about a name: `pass`, `wait`, or `marked`.
    fn said(gate: &mut Gate<'_>, name: &str) -> &'static str {
        match gate.stops(name) {
            None => "pass",
            Some(None) => "wait",
            Some(Some(_)) => "marked",
        }
    }

    fn consent(config: &Path, json: &str) -> Consent {
        write_private(config, json.as_bytes()).unwrap();
        Consent {
            all: false,
            config: Some(config.to_owned()),
        }
    }

    #[test]
    fn who_takes_everything_or_names_the_file_takes_no_marked_name() {
        let (asked, all) = (
            Consent::default(),
            Consent {
                all: true,
                config: None,
            },
        );
        for (consent, named, plain) in [
            (&asked, false, "wait"),
            (&asked, true, "pass"),
            (&all, false, "pass"),
        ] {
            let mut gate = Gate::new(consent, named);
            assert_eq!(said(&mut gate, "OPENAI_API_KEY"), "pass");
            assert_eq!(said(&mut gate, "COLOUR"), plain, "{consent:?} {named}");
            assert_eq!(said(&mut gate, "LD_PRELOAD"), "marked", "{consent:?} {named}");
            assert!(gate.into_fault().is_none());
        }
    }

    #[test]
    fn a_listed_name_passes_and_a_pattern_lifts_no_mark() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.json");
        let consent = consent(
            &config,
            r#"{"env": {"allow": ["LD_PRELOAD", "TEA", "CO*R", "NODE_*"]}}"#,
        );
        let mut gate = Gate::new(&consent, false);
        for (name, expected) in [
            ("LD_PRELOAD", "pass"),
            ("TEA", "pass"),
            ("COLOUR", "pass"),
            ("CO*R", "pass"),
            ("TEAR", "wait"),
            ("NODE_COLOUR", "pass"),
            ("NODE_OPTIONS", "marked"),
            ("LD_AUDIT", "marked"),
        ] {
            assert_eq!(said(&mut gate, name), expected, "{name}");
        }
        assert!(gate.into_fault().is_none());
    }

    #[test]
    fn a_list_that_cannot_be_read_allows_nothing_and_is_told_once_it_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.json");
        for (json, is_fault) in [
            (r#"{"env": {"allow": "COLOUR"}}"#, true),
            (r#"{"env": {"allow": ["COLOUR", 1]}}"#, true),
            ("COLOUR", true),
            ("{}", false),
        ] {
            let consent = consent(&config, json);
            let mut gate = Gate::new(&consent, false);
            assert_eq!(said(&mut gate, "COLOUR"), "wait", "{json}");
            let exit = gate.into_fault().map(|failure| failure.exit);
            assert_eq!(exit, is_fault.then_some(Exit::Config), "{json}");
        }
        let broken = consent(&config, "COLOUR");
        let mut gate = Gate::new(&broken, true);
        assert_eq!(said(&mut gate, "COLOUR"), "pass");
        assert!(gate.into_fault().is_none());
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("A*", "A"),
            ("*_X", "A_X"),
            ("A*C*E", "ABCDE"),
            ("A**B", "AB"),
            ("*B*", "ABC"),
            ("*AB*AB*", "XABYAB"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("A", "AB"),
            ("A*A", "A"),
            ("*_X", "A_XY"),
            ("A*C*E", "ACD"),
            ("*B*", "AC"),
            ("*AB*AB*", "AB"),
            ("*AB*AB*", "XXAB"),
            ("", "A"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

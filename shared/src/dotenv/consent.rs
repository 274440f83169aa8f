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
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("A*", "A"),
            ("*_X", "A_X"),
            ("A*C*E", "ABCDE"),
            ("A**B", "AB"),
            ("*B*", "ABC"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("A", "AB"),
            ("A*A", "A"),
            ("*_X", "A_XY"),
            ("A*C*E", "ACD"),
            ("*B*", "AC"),
            ("", "A"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

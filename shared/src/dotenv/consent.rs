//! Which names of a project's file count without the user's answer.

use std::path::PathBuf;

use super::allowlist::Allowlist;
use super::marks::{self, Mark};
use super::policy::is_own_name;
use crate::exit::Failure;

/// What lets names of an unconsented project file through. None of it makes an address the user's own.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// Take everything but the marked names (`--all`).
    pub all: bool,
    /// The configuration, whose `env.allow` names what to take: read when the first name would wait.
    pub config: Option<PathBuf>,
    /// What `env.allow` lists, for a program that has read the configuration already.
    pub allow: Option<Vec<String>>,
}

/// Decides about the names of a project file without an answer.
#[derive(Debug)]
pub(super) struct Gate<'s> {
    consent: &'s Consent,
    /// The file was named on the command line.
    named: bool,
    allowed: Option<Allowlist>,
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
        let allowed = self.allowed.get_or_insert_with(|| Allowlist::of(self.consent));
        let passes = allowed.names(name) || (mark.is_none() && allowed.covers(name));
        (!passes).then_some(mark)
    }

    /// Returns why `env.allow` was asked for and could not be used.
    pub(super) fn into_fault(self) -> Option<Failure> {
        self.allowed?.fault
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Consent, Gate};
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
            allow: None,
        }
    }

    #[test]
    fn who_takes_everything_or_names_the_file_takes_no_marked_name() {
        let (asked, all) = (
            Consent::default(),
            Consent {
                all: true,
                ..Consent::default()
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
}

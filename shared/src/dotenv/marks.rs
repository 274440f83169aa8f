//! Names by which programs are known to run code, or to send secrets elsewhere. They are data: see `marks.tsv`.
//!
//! The list cannot be complete, and nothing rests on its being so: what a project's file sets beyond the toolkit's own
//! names waits for consent, marked or not. A mark tells the person who is asked what a name can do, and keeps it from
//! those who take everything (`--all`).

use std::sync::OnceLock;

/// A name, or a kind of name, and what it does.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    /// An exact name, `PREFIX*` or `*SUFFIX`; upper case, without dashes.
    pub pattern: &'static str,
    /// The program that reads it.
    pub program: &'static str,
    /// What the program then does.
    pub effect: &'static str,
}

impl Mark {
    /// Reads a line: pattern, program and effect, a tab between them.
    fn read(line: &'static str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (pattern, program, effect) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            pattern,
            program,
            effect,
        })
    }

    /// Returns whether a name in upper case, without dashes, is meant.
    fn covers(&self, name: &str) -> bool {
        match (self.pattern.strip_suffix('*'), self.pattern.strip_prefix('*')) {
            (Some(prefix), _) => name.starts_with(prefix),
            (None, Some(suffix)) => name.ends_with(suffix),
            (None, None) => name == self.pattern,
        }
    }

    /// The more of a name a pattern spells out, the more it says about it.
    fn precision(&self) -> (bool, usize) {
        (!self.pattern.contains('*'), self.pattern.len())
    }
}

/// Returns every mark, in the order of the file.
pub fn all() -> &'static [Mark] {
    static ALL: OnceLock<Vec<Mark>> = OnceLock::new();
    ALL.get_or_init(|| include_str!("marks.tsv").lines().filter_map(Mark::read).collect())
}

/// Returns the mark of a name, the most exact one where several cover it. Case and `-` for `_` make no difference.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mark> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    let found = all().iter().filter(|mark| mark.covers(&name));
    found.max_by_key(|mark| mark.precision())
}

#[cfg(test)]
mod tests {
    use super::{all, find};

    #[test]
    fn every_line_of_the_file_is_a_mark() {
        let lines = include_str!("marks.tsv").lines().count();
        assert_eq!(all().len(), lines);
        assert!(all().iter().all(|mark| {
            let fields = [mark.pattern, mark.program, mark.effect];
            fields.iter().all(|field| !field.trim().is_empty())
        }));
    }

    #[test]
    fn a_name_is_found_in_any_case_with_dashes_and_by_prefix_and_suffix() {
        for name in [
            "LD_PRELOAD",
            "ld_preload",
            "Ld-Preload",
            "npm_config_x",
            "HTTPS_PROXY",
            "https_proxy",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        for name in ["GREETING", "PORT", "APP_ENV", "LOG_LEVEL"] {
            assert_eq!(find(name), None, "{name}");
        }
    }
}

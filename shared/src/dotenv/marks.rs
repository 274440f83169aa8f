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
}

/// Returns every mark, in the order of the file.
pub fn all() -> &'static [Mark] {
    static ALL: OnceLock<Vec<Mark>> = OnceLock::new();
    ALL.get_or_init(|| include_str!("marks.tsv").lines().filter_map(Mark::read).collect())
}

/// Returns the mark of a name: the exact one, else the one with the longest prefix, else with the longest suffix. Case and
/// `-` for `_` make no difference.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mark> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    // A file may set many thousands of names, so none is compared with every pattern.
    let marks = all();
    let at = |pattern: &str| {
        let found = marks.binary_search_by(|mark| mark.pattern.cmp(pattern));
        found.ok().map(|index| &marks[index])
    };
    let by_prefix = || {
        let ends = (1..=name.len()).rev().filter(|&end| name.is_char_boundary(end));
        ends.map(|end| format!("{}*", &name[..end]))
            .find_map(|pattern| at(&pattern))
    };
    let by_suffix = || {
        let suffixes = marks.iter().take_while(|mark| mark.pattern.starts_with('*'));
        let found = suffixes.filter(|mark| name.ends_with(&mark.pattern[1..]));
        found.max_by_key(|mark| mark.pattern.len())
    };
    at(&name).or_else(by_prefix).or_else(by_suffix)
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
    fn the_file_has_at_least_400_patterns_sorted_and_each_once() {
        let patterns: Vec<&str> = all().iter().map(|mark| mark.pattern).collect();
        assert!(patterns.len() >= 400);
        assert!(patterns.is_sorted_by(|one, next| one < next));
        for pattern in patterns {
            let name = pattern
                .strip_prefix('*')
                .or_else(|| pattern.strip_suffix('*'))
                .unwrap_or(pattern);
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            assert!(!name.is_empty() && name.chars().all(plain), "{pattern}");
        }
    }

    #[test]
    fn the_closest_pattern_tells_about_a_name() {
        for (name, program) in [
            ("GIT_SSH_COMMAND", "git"),
            ("PGHOST", "PostgreSQL"),
            ("MY_TOOL_COMMAND", "many programs"),
            ("AZURE_OPENAI_ENDPOINT", "Azure"),
            ("npm_config_script-shell", "npm"),
        ] {
            assert_eq!(find(name).map(|mark| mark.program), Some(program), "{name}");
        }
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

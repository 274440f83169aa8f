//! Names by which programs are known to run code, or to send secrets elsewhere. They are data: see `marks.tsv`.
//!
//! The list cannot be complete, and nothing rests on its being so: what a project's file sets beyond the toolkit's own
//! names waits for consent, marked or not. A mark tells the person who is asked what a name can do, and keeps it from
//! those who take everything (`--all`).

/// Lines of pattern, program and effect with a tab between them, sorted by the bytes of the pattern. It is searched as it
/// is: making a list of it would take longer than all else that `qwen-env` does.
const TABLE: &str = include_str!("marks.tsv");

/// The longest part of a name that is compared with the prefixes of the table.
const LONGEST_PREFIX: usize = 64;

/// A name, or a kind of name, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// An exact name, `PREFIX*` or `*SUFFIX`; upper case, without dashes.
    pub pattern: &'static str,
    /// The program that reads it.
    pub program: &'static str,
    /// What the program then does.
    pub effect: &'static str,
}

impl Mark {
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

/// Iterates over every mark, in the order of the table.
pub fn all() -> impl Iterator<Item = Mark> {
    TABLE.lines().filter_map(Mark::read)
}

/// Returns the mark of a name: that of the name itself, else of its longest prefix, else of its longest suffix. Case and
/// `-` for `_` make no difference.
#[must_use]
pub fn find(name: &str) -> Option<Mark> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    row(&name)
        .or_else(|| of_prefix(&name))
        .or_else(|| of_suffix(&name))
}

fn of_prefix(name: &str) -> Option<Mark> {
    let longest = name.len().min(LONGEST_PREFIX);
    (1..=longest)
        .rev()
        .filter_map(|length| name.get(..length))
        .find_map(|prefix| row(&format!("{prefix}*")))
}

/// The rows of suffixes are the first ones: `*` sorts before every character of a name.
fn of_suffix(name: &str) -> Option<Mark> {
    TABLE
        .lines()
        .take_while(|line| line.starts_with('*'))
        .filter_map(Mark::read)
        .filter(|mark| name.ends_with(&mark.pattern[1..]))
        .max_by_key(|mark| mark.pattern.len())
}

/// Finds the row with exactly this pattern, by halves.
fn row(pattern: &str) -> Option<Mark> {
    let (mut low, mut high) = (0, TABLE.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let start = TABLE.as_bytes()[low..middle]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(low, |at| low + at + 1);
        let line = TABLE[start..].lines().next()?;
        let mark = Mark::read(line)?;
        match mark.pattern.cmp(pattern) {
            std::cmp::Ordering::Equal => return Some(mark),
            std::cmp::Ordering::Less => low = start + line.len() + 1,
            std::cmp::Ordering::Greater => high = start,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_PREFIX, Mark, TABLE, all, find};

    /// The same question answered by looking at every row.
    fn slowly(name: &str) -> Option<Mark> {
        let kind = |mark: &Mark| match (mark.pattern.ends_with('*'), mark.pattern.starts_with('*')) {
            (false, false) => 2,
            (true, _) => 1,
            (_, true) => 0,
        };
        let covers = |mark: &Mark| match kind(mark) {
            2 => mark.pattern == name,
            1 => name.starts_with(mark.pattern.trim_end_matches('*')),
            _ => name.ends_with(mark.pattern.trim_start_matches('*')),
        };
        all()
            .filter(covers)
            .max_by_key(|mark| (kind(mark), mark.pattern.len()))
    }

    #[test]
    fn every_line_of_the_table_is_a_mark_and_is_found() {
        assert_eq!(all().count(), TABLE.lines().count());
        for mark in all() {
            assert!(mark.pattern.len() <= LONGEST_PREFIX);
            let name = mark.pattern.replace('*', "");
            for name in [
                name.clone(),
                format!("{name}X"),
                format!("X{name}"),
                format!("{name}_Y"),
            ] {
                assert_eq!(find(&name), slowly(&name), "{name}");
            }
            assert!(
                find(&mark.pattern.replace('*', "A")).is_some(),
                "{}",
                mark.pattern
            );
        }
    }

    #[test]
    fn the_table_has_at_least_400_patterns_sorted_and_each_once() {
        let patterns: Vec<&str> = all().map(|mark| mark.pattern).collect();
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
    fn case_and_dashes_make_no_difference() {
        for name in [
            "LD_PRELOAD",
            "ld_preload",
            "Ld-Preload",
            "npm_config_x",
            "npm-config-x",
            "https_proxy",
        ] {
            assert!(find(name).is_some(), "{name}");
        }
        for name in ["GREETING", "PORT", "APP_ENV", "LOG_LEVEL", "", "é"] {
            assert_eq!(find(name), None, "{name}");
        }
        assert!(find(&"LD_".repeat(50_000)).is_some());
    }
}

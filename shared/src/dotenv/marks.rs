//! Names by which programs are known to run code, or to send secrets elsewhere. They are data: see `marks.tsv`.
//!
//! The list cannot be complete, and nothing rests on its being so: what a project's file sets beyond the toolkit's own
//! names waits for consent, marked or not. A mark tells the person who is asked what a name can do, and keeps it from
//! those who take everything (`--all`).

use std::cmp::Ordering;

use crate::wordlist::{first_field, line_at, line_count, line_starts};

/// Lines of pattern, program and effect with a tab between them, sorted by the bytes of the pattern. The effect [`NONE`] takes
/// names that are often set and do no harm out of other patterns: a name out of all, `PREFIX*` out of every suffix, and
/// `*SUFFIX` out of every prefix.
const TABLE: &str = include_str!("marks.tsv");

/// The effect of a name that is not marked.
const NONE: &str = "-";

/// Where each row begins. The table is searched as it is: taking it apart costs more than a program's whole start.
static ROWS: [u32; line_count(TABLE)] = line_starts(TABLE);

/// Returns the number of the first row whose pattern is not before what is looked for.
fn partition_point<P: Iterator<Item = u8>>(wanted: impl Fn() -> P, is_before: fn(Ordering) -> bool) -> usize {
    ROWS.partition_point(|&row| is_before(first_field(TABLE, row).cmp(wanted())))
}

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

    fn is_marked(&self) -> bool {
        self.effect != NONE
    }
}

/// Iterates over every mark, in the order of the table.
pub fn all() -> impl Iterator<Item = Mark> {
    TABLE.lines().filter_map(Mark::read).filter(Mark::is_marked)
}

/// Returns the mark of a name: that of the name itself, else of its longest prefix, else of its longest suffix; none where that
/// suffix does no harm. Case and `-` for `_` make no difference.
#[must_use]
pub fn find(name: &str) -> Option<Mark> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    row(&name, "")
        .or_else(|| of_pattern(&name))
        .filter(Mark::is_marked)
}

fn of_pattern(name: &str) -> Option<Mark> {
    let Some(prefix) = of_prefix(name) else {
        return of_suffix(name);
    };
    let harmless = of_suffix(name).filter(|suffix| !suffix.is_marked());
    Some(harmless.unwrap_or(prefix))
}

/// `*` sorts before every character of a name, so a pattern `P*` stands before all others that begin with `P`: the prefix
/// that is looked for is no longer than what the name shares with the row before its own place.
fn of_prefix(name: &str) -> Option<Mark> {
    let place = partition_point(|| name.bytes().chain(*b"*"), Ordering::is_le);
    let before = *ROWS.get(place.checked_sub(1)?)?;
    let shared = first_field(TABLE, before)
        .zip(name.bytes())
        .take_while(|(one, other)| one == other);
    (1..=shared.count())
        .rev()
        .filter_map(|length| name.get(..length))
        .find_map(|prefix| row(prefix, "*"))
}

/// The length of the longest suffix in the table, in bytes.
const LONGEST_SUFFIX: usize = 32;

fn of_suffix(name: &str) -> Option<Mark> {
    let suffixes = (name.len().saturating_sub(LONGEST_SUFFIX)..name.len()).filter_map(|at| name.get(at..));
    suffixes.into_iter().find_map(|suffix| row("*", suffix))
}

/// Finds the row whose pattern is these two texts, one after the other.
fn row(start: &str, end: &str) -> Option<Mark> {
    let wanted = || start.bytes().chain(end.bytes());
    let row = *ROWS.get(partition_point(wanted, Ordering::is_lt))?;
    let is_found = first_field(TABLE, row).eq(wanted());
    is_found.then(|| Mark::read(line_at(TABLE, row)))?
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_SUFFIX, Mark, TABLE, all, find, of_prefix, of_suffix};

    /// The same question answered by looking at every row.
    fn slowly(name: &str) -> Option<Mark> {
        let longest = |covers: &dyn Fn(&str) -> bool| {
            let rows = TABLE.lines().filter_map(Mark::read);
            rows.filter(|row| covers(row.pattern))
                .max_by_key(|row| row.pattern.len())
        };
        let exact = longest(&|pattern| pattern == name);
        let start = longest(&|pattern| {
            pattern
                .strip_suffix('*')
                .is_some_and(|start| name.starts_with(start))
        });
        let end = longest(&|pattern| pattern.strip_prefix('*').is_some_and(|end| name.ends_with(end)));
        let harmless = end.filter(|end| !end.is_marked());
        let found = exact.or(harmless).or(start).or(end);
        found.filter(Mark::is_marked)
    }

    #[test]
    fn every_line_of_the_table_is_a_mark_and_is_found() {
        assert_eq!(
            TABLE.lines().filter_map(Mark::read).count(),
            TABLE.lines().count()
        );
        for mark in all() {
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

    /// A row that takes a name out of no pattern is one too many.
    #[test]
    fn a_name_that_does_no_harm_is_taken_out_of_a_pattern() {
        let rows = TABLE.lines().filter_map(Mark::read);
        for out in rows.filter(|mark| !mark.is_marked()) {
            let pattern = out.pattern;
            let name = match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
                (Some(start), _) => format!("{start}API_BASE_URL"),
                (_, Some(end)) => format!("GTK_A{end}"),
                _ => pattern.to_owned(),
            };
            let patterns = [of_prefix(&name), of_suffix(&name)];
            assert!(find(&name).is_none(), "{pattern}");
            assert!(patterns.iter().flatten().any(Mark::is_marked), "{pattern}");
        }
        assert!(find("PYTHONUNBUFFERED").is_none() && find("PYTHONUNBUFFERED_").is_some());
    }

    #[test]
    fn no_suffix_is_longer_than_what_is_looked_for() {
        let lengths = all().filter_map(|mark| Some(mark.pattern.strip_prefix('*')?.len()));
        assert!(lengths.max().unwrap() <= LONGEST_SUFFIX);
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

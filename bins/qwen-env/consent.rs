//! The question whether a file may set what it sets, and what is shown of the file.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use qwen_shared::dotenv::{
    Answer, Assignment, EnvChain, EnvFile, Record, Search, command_about, key_name, marks, trust,
};
use qwen_shared::exit::Failure;
use qwen_shared::output::Reporter;
use qwen_shared::paths;
use qwen_shared::secret::mask;
use qwen_shared::shell::is_shell_name;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::{clip, one_line};

use super::args::Args;
use super::plan::{Action, Origin, Plan, PlanOptions};

/// How many names a question shows unless all are asked for.
const SHOWN: usize = 20;

/// Asks about the file whose names wait, where a person can answer and was not asked about this content in this shell
/// before, and keeps a yes or no. Returns the file that stays without an answer.
///
/// # Errors
/// The answer cannot be kept.
pub(crate) fn ask_about_waiting(
    args: &Args,
    search: &Search,
    chain: &mut EnvChain,
    record: &mut Record,
    options: &PlanOptions,
    reporter: &Reporter,
) -> Result<Option<Arc<Path>>, Failure> {
    // An answer may be forgotten, and the question come again.
    let answered = chain.files.iter().filter(|file| file.answer.is_some());
    answered.for_each(|file| record.unsay(&question_about(&file.path)));
    let Some(file) = chain
        .files
        .iter()
        .find(|file| file.answer.is_none() && file.waiting().next().is_some())
    else {
        return Ok(None);
    };
    let Some(mut terminal) = args.may_ask().then(attended_terminal).flatten() else {
        return Ok(None);
    };
    let path = file.path.clone();
    let question = question_about(&path);
    if !record.says(&question, "", file.bytes.expose()) {
        return Ok(None);
    }
    let settings = in_question(file, &Plan::new(chain, &[], record, options));
    let asked = Question {
        title: format!("{}: {}", reporter.program(), title_of(file, settings.len())),
        settings,
        limit: Some(SHOWN),
        values: values_command(&path, search.file.is_some() || args.common.directory.is_some()),
    };
    let Reply::Answer(answer) = ask(&mut terminal, asked) else {
        return Ok(Some(path));
    };
    record.unsay(&question);
    let store = search.trust_store.as_deref().ok_or_else(paths::no_home)?;
    let notify = |text: &str| reporter.notice(text);
    match answer {
        Answer::Yes => trust::grant(store, &path, file.bytes.expose(), &notify)?,
        Answer::No => trust::deny(store, &path, file.bytes.expose(), &notify)?,
    }
    chain.answer(&path, answer);
    Ok(None)
}

/// Says that so many variables of a file wait.
fn title_of(file: &EnvFile, waiting: usize) -> String {
    let changed = match file.changed {
        true => " has changed since you trusted it and",
        false => "",
    };
    let count = count_of(waiting, "variable that waits", "variables that wait");
    format!("'{}'{changed} sets {count} for your consent", file.path.display())
}

/// What the record remembers a question by.
fn question_about(path: &Path) -> String {
    format!("asked about {}", path.display())
}

/// What waits of a file: the names that only a consent lets through, and the addresses that the plan withholds.
fn in_question(file: &EnvFile, plan: &Plan<'_>) -> Vec<Setting> {
    let is_withheld = |assignment: &Assignment| {
        let mut withheld = plan
            .entries
            .iter()
            .filter(|entry| entry.action == Action::Withhold);
        withheld.any(|entry| matches!(entry.origin, Origin::File(of) if std::ptr::eq(of, &raw const assignment.variable)))
    };
    file.assignments
        .iter()
        .filter(|assignment| assignment.decision.is_waiting() || is_withheld(assignment))
        .map(|assignment| Setting::new(&assignment.variable.name, assignment.variable.value.expose()))
        .collect()
}

/// Returns the command that shows a file's values; with the path where it was named, or is elsewhere.
pub(crate) fn values_command(path: &Path, named: bool) -> Option<String> {
    let command = "qwen-env --explain --show-secrets";
    match named {
        true => command_about(&format!("{command} --file"), path),
        false => Some(command.to_owned()),
    }
}

/// Opens the terminal where a person is there to answer: standard input and standard error are terminals, and this
/// process is in the foreground of its own one. A login shell that a program starts to read the environment, `scp`,
/// `rsync`, a background job and cron are never held up.
pub(crate) fn attended_terminal() -> Option<Terminal> {
    let is_seen = io::stdin().is_terminal() && io::stderr().is_terminal();
    let terminal = is_seen.then(Terminal::open).flatten();
    terminal.filter(Terminal::is_foreground)
}

/// What came of a question.
pub(crate) enum Reply {
    /// Yes or no, to be kept.
    Answer(Answer),
    /// Enter, or the end of input.
    NotNow,
}

/// What is asked, and shown before.
pub(crate) struct Question {
    pub(crate) title: String,
    pub(crate) settings: Vec<Setting>,
    /// How many settings are shown unless all are asked for.
    pub(crate) limit: Option<usize>,
    /// The command that shows the values.
    pub(crate) values: Option<String>,
}

/// Shows what a file sets, and asks.
pub(crate) fn ask(terminal: &mut Terminal, question: Question) -> Reply {
    let Question {
        title,
        settings,
        mut limit,
        values,
    } = question;
    let mut text = one_line(&title) + "\n" + &table(&settings, limit);
    if let Some(command) = values {
        let _ = writeln!(text, "  values: {command}");
    }
    loop {
        let has_more = limit.is_some_and(|limit| settings.len() > limit);
        let show = if has_more { "[s]how all, " } else { "" };
        let _ = writeln!(text, "Set them as long as the file stays as it is?");
        let _ = write!(text, "[y]es, [n]o, {show}Enter for not now: ");
        // A terminal that ends, or has gone, gives no answer.
        let Ok(typed) = terminal.ask(&text) else {
            return Reply::NotNow;
        };
        text.clear();
        match typed.to_lowercase().as_str() {
            "y" | "yes" => return Reply::Answer(Answer::Yes),
            "n" | "no" => return Reply::Answer(Answer::No),
            "" | "not now" => return Reply::NotNow,
            "s" | "show" => {
                limit = None;
                text = table(&settings, None);
            }
            _ => {}
        }
    }
}

/// Something that a file sets, as it may be shown.
pub(crate) struct Setting {
    name: String,
    value: String,
    /// What there is to know about it.
    note: Option<String>,
}

impl Setting {
    /// A variable of a file.
    pub(crate) fn new(name: &str, value: &str) -> Self {
        let key = key_name(name).map(|key| format!("where '{key}' is sent"));
        let mark = || marks::find(name).map(|mark| format!("{}: {}", mark.program, mark.effect));
        Self {
            name: name.to_owned(),
            value: shown(name, value),
            note: key.or_else(mark),
        }
    }

    /// A member of Qwen Code's settings.
    pub(crate) fn member(name: String, value: &str) -> Self {
        Self {
            value: match is_plain_member(&name, value) {
                true => clip(&one_line(value), 200),
                false => shown(&name, value),
            },
            note: address(value).map(|_| "an address".to_owned()),
            name,
        }
    }
}

/// Writes settings line by line: name, value, note. Those first that there is something to know about: of 80,000 names
/// the one that matters is seen.
pub(crate) fn table(settings: &[Setting], limit: Option<usize>) -> String {
    let mut settings: Vec<&Setting> = settings.iter().collect();
    settings.sort_by_key(|setting| setting.note.is_none());
    let shown = &settings[..limit.map_or(settings.len(), |limit| limit.min(settings.len()))];
    let width = |cell: fn(&Setting) -> &str, most: usize| {
        let widths = shown.iter().map(|&setting| cell(setting).chars().count());
        widths.max().unwrap_or(0).min(most)
    };
    let (names, values) = (width(|row| &row.name, 40), width(|row| &row.value, 50));
    let mut text = String::new();
    for &Setting { name, value, note } in shown {
        let note = note.as_deref().unwrap_or_default();
        let line = one_line(&format!("{name:names$}  {value:values$}  {note}"));
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    if shown.len() < settings.len() {
        let _ = writeln!(text, "  and {} more", settings.len() - shown.len());
    }
    text
}

/// Returns a value as a person may see it: an address without the secrets that it may carry, anything else masked. What
/// a variable of such a name holds is an address without a scheme too.
pub(crate) fn shown(name: &str, value: &str) -> String {
    address(value)
        .or_else(|| is_host(name, value).then(|| value.to_owned()))
        .unwrap_or_else(|| mask(value))
}

/// True for the member of Qwen Code's settings that names a model or a variable: no secret, and what a consent is about.
fn is_plain_member(path: &str, value: &str) -> bool {
    let words: Vec<&str> = path.split('.').collect();
    match words[..] {
        ["model", "name"] | ["modelProviders", _, _, "id"] => true,
        ["modelProviders", _, _, "envKey"]
        | ["advanced", "excludedEnvVars", _]
        | ["excludedProjectEnvVars", _] => is_shell_name(value),
        _ => false,
    }
}

/// `HOST` or `HOST:PORT`, with a dot or a port.
fn is_host(name: &str, value: &str) -> bool {
    const NAMES: [&str; 9] = [
        "ADDR", "ADDRESS", "ENDPOINT", "HOST", "HOSTNAME", "PROXY", "SERVER", "URI", "URL",
    ];
    let name = name.to_ascii_uppercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:-_[]".contains(c);
    NAMES.iter().any(|end| name.ends_with(end))
        && value.len() <= 253
        && value.contains(['.', ':'])
        && value.chars().all(plain)
}

/// Returns a URL without user, password, query and fragment, and without what may be a secret in its path.
fn address(value: &str) -> Option<String> {
    let (scheme, rest) = value.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c));
    if !is_scheme || rest.is_empty() || value.contains(char::is_whitespace) {
        return None;
    }
    let (rest, tail) = match rest.find(['?', '#']) {
        Some(at) => (&rest[..at], format!("{}***", &rest[at..=at])),
        None => (rest, String::new()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = match authority.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => authority.to_owned(),
    };
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| if segment.len() > 15 { "***" } else { segment })
        .collect();
    let whole = format!("{scheme}://{host}{}{tail}", segments.join("/"));
    Some(clip(&one_line(&whole), 200))
}

/// `1 variable waits`, `2 variables wait`.
pub(crate) fn count_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn an_address_is_told_without_the_secrets_it_carries() {
        for (value, seen) in [
            ("https://host.example/v1", "https://host.example/v1"),
            ("https://u:p@h:8/v1?key=abc#x", "https://***@h:8/v1?***"),
            ("postgres://app:pw@db/app", "postgres://***@db/app"),
            (
                "https://hooks.example/T0/B0/0123456789abcdefgh",
                "https://hooks.example/T0/B0/***",
            ),
            ("http://h#frag", "http://h#***"),
            ("://x", "***"),
            ("https://a b", "***"),
            ("two words and more", "two***re"),
            ("secret", "***"),
        ] {
            assert_eq!(shown("A", value), seen, "{value}");
        }
        for (value, seen) in [
            ("db.example:5432", "db.example:5432"),
            ("[::1]:80", "[::1]:80"),
            ("hunter2", "***"),
        ] {
            assert_eq!(shown("PGHOST", value), seen, "{value}");
        }
        assert_eq!(shown("OP_CONNECT_TOKEN", "eyJh.eyJz.c2ln"), "eyJ***ln");
    }
}

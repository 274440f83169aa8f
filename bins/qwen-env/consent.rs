//! The question whether a file may set what it sets, and what is shown of the file.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use qwen_shared::address;
use qwen_shared::dotenv::{
    Answer, Decision, EnvChain, EnvFile, Record, Search, Variable, command_about, key_name, marks, trust,
};
use qwen_shared::exit::Failure;
use qwen_shared::output::Reporter;
use qwen_shared::paths;
use qwen_shared::shell::is_shell_name;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::{clip, one_line};

use super::args::Args;
use super::plan::{Action, Origin, Plan, PlanOptions};
use super::value::shown;

/// The longest command beside a question, in characters.
const LONGEST_COMMAND: usize = 200;

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
    let store = search.shared.trust.path().ok_or_else(paths::no_home)?;
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
    let withheld: BTreeSet<(&str, u32)> = plan
        .entries
        .iter()
        .filter(|entry| entry.action == Action::Withhold)
        .filter_map(|entry| match entry.origin {
            Origin::File(variable) if variable.path == file.path => Some((entry.name, variable.line)),
            _ => None,
        })
        .collect();
    let is_withheld = |variable: &Variable| withheld.contains(&(variable.name.as_str(), variable.line));
    file.assignments
        .iter()
        .filter(|assignment| {
            assignment.decision.is_waiting()
                || assignment.decision == Decision::Accepted && is_withheld(&assignment.variable)
        })
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
    // A longer one would take the rows from sight.
    if let Some(command) = values.filter(|command| command.chars().count() <= LONGEST_COMMAND) {
        let _ = writeln!(text, "  values: {command}");
    }
    loop {
        let has_more = limit.is_some_and(|limit| settings.len() > limit);
        let show = if has_more { "[s]how all, " } else { "" };
        let _ = writeln!(text, "Set them as long as the file stays as it is?");
        let _ = write!(text, "[y]es, [n]o, {show}Enter for not now: ");
        // A terminal that ends, or has gone, gives no answer.
        let Ok(typed) = terminal.ask_afresh(&text) else {
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
            note: with_ambiguity(key.or_else(mark), value),
        }
    }

    /// A member of Qwen Code's settings.
    pub(crate) fn member(name: String, value: &str) -> Self {
        Self {
            value: match is_plain_member(&name, value) {
                true => clip(&one_line(value), 200),
                false => shown(&name, value),
            },
            note: with_ambiguity(address::shown(value).map(|_| "an address".to_owned()), value),
            name,
        }
    }
}

/// Adds to a note that the address is not what it may look like.
fn with_ambiguity(note: Option<String>, value: &str) -> Option<String> {
    const AMBIGUOUS: &str = "programs read different servers in it";
    if !address::is_ambiguous(value) {
        return note;
    }
    Some(note.map_or_else(|| AMBIGUOUS.to_owned(), |note| format!("{note}; {AMBIGUOUS}")))
}

/// The widest cells of a table, in characters: name, value, note. A name and a value may be as long as their file, and would
/// scroll the rest away.
const WIDTHS: [usize; 3] = [40, 50, 100];

/// The most lines of 80 columns that are sure to be seen above a question.
const SEEN: usize = 16;

/// Writes settings line by line: name, value, note. Those first that there is something to know about: of 80,000 names
/// the one that matters is seen. Where the table is long they stand last, next to the question.
pub(crate) fn table(settings: &[Setting], limit: Option<usize>) -> String {
    let mut settings: Vec<&Setting> = settings.iter().collect();
    settings.sort_by_key(|setting| setting.note.is_none());
    let count = limit.map_or(settings.len(), |limit| limit.min(settings.len()));
    let (shown, hidden) = settings.split_at(count);
    let lines = aligned(shown);
    let marked = shown.iter().filter(|setting| setting.note.is_some()).count();
    let (marked, others) = lines.split_at(marked);
    let height: usize = lines.iter().map(|line| line.chars().count().div_ceil(80)).sum();
    let more = (!hidden.is_empty()).then(|| {
        let marked = hidden.iter().filter(|setting| setting.note.is_some()).count();
        format!("  and {}\n", more_of(hidden.len(), marked))
    });
    let more = more.unwrap_or_default();
    match height > SEEN {
        false => marked.concat() + &others.concat() + &more,
        true => others.concat() + &more + &marked.concat(),
    }
}

/// Cuts a text in its middle: the end of an address says whose it is, after a long beginning.
fn clip_middle(text: &str, limit: usize) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let (head, tail) = (limit / 3, limit - limit / 3);
    let beginning: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{beginning}…{end}")
}

/// Writes each setting on a line, with its cells below those of the others.
fn aligned(settings: &[&Setting]) -> Vec<String> {
    let cells = |setting: &&Setting| {
        let note = setting.note.as_deref().unwrap_or_default();
        let [name, value, note] = [&setting.name, &setting.value, note].map(one_line);
        let [names, values, notes] = WIDTHS;
        [
            clip(&name, names - 1),
            clip_middle(&value, values - 1),
            clip(&note, notes - 1),
        ]
    };
    let rows: Vec<[String; 3]> = settings.iter().map(cells).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let (names, values) = (width(0), width(1));
    let line = |[name, value, note]: &[String; 3]| {
        let line = format!("{name:names$}  {value:values$}  {note}");
        format!("  {}\n", line.trim_end())
    };
    rows.iter().map(line).collect()
}

/// `5 more`, and how many of them there is something to know about.
pub(crate) fn more_of(hidden: usize, marked: usize) -> String {
    match marked {
        0 => format!("{hidden} more"),
        marked => format!("{hidden} more, {marked} of them by which programs run code or send secrets"),
    }
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

/// `1 variable waits`, `2 variables wait`.
pub(crate) fn count_of(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

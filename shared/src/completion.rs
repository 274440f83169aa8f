//! Completion: what a shell asks a program for when Tab is pressed.
//!
//! The shell runs `QWEN_COMPLETE=SHELL PROGRAM -- WORD...`, where the last word is the one at the cursor. bash breaks
//! words at `:` and `=`, so it passes `-- LINE TEXT` instead: the line up to the cursor, and the end of it that a
//! candidate replaces. The first line of the answer is `words`, `files`, `directories` or `command`; after `words` the
//! candidates follow, one a line, and for the others the shell completes by itself. Without `--` the answer is the code
//! that registers all programs with the shell.
//!
//! Nothing is written but the answer, no keyring is opened and no question is asked. What takes longer than
//! [`LIMIT`] is left out.

use std::env;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{ArgMatches, Command, FromArgMatches, ValueHint};
use clap_complete::engine::{
    ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter, complete,
};
use serde_json::Value;

use super::exit::{Exit, Failure, Outcome};
use super::output::Stdout;
use super::process::find;
use super::secret::forbid_core_dump;
use super::text::one_line;

/// The longest wait for candidates that a server, a file or another program knows.
pub const LIMIT: Duration = Duration::from_millis(400);

const VARIABLE: &str = "QWEN_COMPLETE";

/// The shells, each with the code that registers the programs.
const SHELLS: [(&str, &str); 6] = [
    ("bash", include_str!("../completions/bash/qwen.bash")),
    ("zsh", include_str!("../completions/zsh/_qwen")),
    ("fish", include_str!("../completions/fish/qwen.fish")),
    ("elvish", include_str!("../completions/elvish/qwen.elv")),
    ("powershell", include_str!("../completions/powershell/qwen.ps1")),
    ("nushell", include_str!("../completions/nushell/qwen.nu")),
];

/// Who completes where the program does not: the IDs of candidates that stand for it.
const BY_SHELL: [&str; 3] = ["files", "directories", "command"];

/// What the shell asks.
#[derive(Debug)]
pub struct Request {
    /// The words up to the cursor without their quotes, the program's name first. There is at least one.
    pub words: Vec<OsString>,
    shell: String,
    /// Of bash: the line, where its words stand, and the text that a candidate replaces.
    line: Option<Line>,
}

#[derive(Debug)]
struct Line {
    text: String,
    spans: Vec<Range<usize>>,
    /// How much of the last word stands before the text that is replaced.
    fixed: usize,
    quote: Option<char>,
    replaced: String,
}

impl Request {
    /// Returns what the shell that started this process asks; `None` when none asks.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        let shell = env::var(VARIABLE).ok()?;
        let mut words: Vec<OsString> = env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let mut line = None;
        match shell.as_str() {
            "bash" => {
                let mut args = words.into_iter().map(|word| word.to_string_lossy().into_owned());
                let split = Line::split(args.next()?, args.next().unwrap_or_default());
                words = split.0.into_iter().map(OsString::from).collect();
                line = Some(split.1);
            }
            "fish" => words.iter_mut().rev().take(1).for_each(unquote),
            "nushell" => words.iter_mut().for_each(unquote),
            _ => {}
        }
        (!words.is_empty()).then_some(Self { words, shell, line })
    }

    /// Returns what the words before the cursor mean, as far as they can be understood.
    #[must_use]
    pub fn args<C: FromArgMatches>(&self, command: Command) -> Option<C> {
        C::from_arg_matches(&self.matches(command)?).ok()
    }

    fn matches(&self, command: Command) -> Option<ArgMatches> {
        let before = &self.words[..self.words.len() - 1];
        let lenient = command.args_override_self(true).ignore_errors(true);
        lenient.try_get_matches_from(before).ok()
    }

    /// Lets another program answer as if it had been named instead of this one. The word at `without` named it, and is
    /// left out. Returns when the program cannot be run.
    pub fn hand_over(mut self, name: &str, without: Option<usize>) {
        let Some(program) = find(name) else { return };
        let mut command = process::Command::new(program);
        command.arg("--");
        if let Some(mut line) = self.line {
            if let Some(span) = without.and_then(|at| line.spans.get(at)) {
                line.text.replace_range(span.clone(), "");
            }
            if let Some(span) = line.spans.first() {
                line.text.replace_range(span.clone(), name);
            }
            command.args([line.text, line.replaced]);
        } else {
            if let Some(at) = without {
                self.words.remove(at);
            }
            self.words[0] = name.into();
            command.args(self.words);
        }
        let _ = command.exec();
    }
}

impl Line {
    /// Splits a line of bash into words without their quotes. The last one is empty after a blank.
    fn split(text: String, replaced: String) -> (Vec<String>, Self) {
        let (mut words, mut spans) = (Vec::new(), Vec::new());
        let mut start = 0;
        let quote = loop {
            start += text[start..].len() - text[start..].trim_start().len();
            let (word, length, quote) = scan(&text[start..]);
            words.push(word);
            spans.push(start..start + length);
            start += length;
            if start == text.len() {
                break quote;
            }
        };
        let last = spans.last().map_or("", |span| &text[span.clone()]);
        let fixed = last.strip_suffix(replaced.as_str()).unwrap_or_default();
        let fixed = scan(fixed).0.len();
        let line = Self {
            text,
            spans,
            fixed,
            quote,
            replaced,
        };
        (words, line)
    }
}

/// Reads one word of Bourne's family: what it means, how long it is, and the quote that is still open at its end.
fn scan(text: &str) -> (String, usize, Option<char>) {
    let (mut word, mut quote) = (String::new(), None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => return (word, at, None),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => match chars.next() {
                Some((_, c)) if quote.is_none() || matches!(c, '"' | '\\' | '$' | '`') => word.push(c),
                Some((_, c)) => word.extend(['\\', c]),
                None => {}
            },
            (_, c) => word.push(c),
        }
    }
    (word, text.len(), quote)
}

/// Takes the quotes off a word that the shell passes as typed.
fn unquote(word: &mut OsString) {
    if let Some(text) = word.to_str() {
        *word = scan(text).0.into();
    }
}

/// Answers the shell that started this process; `None` when none did.
pub(super) fn answer(command: fn() -> Command) -> Option<Outcome> {
    let shell = env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    forbid_core_dump();
    let Some((_, registration)) = SHELLS.iter().find(|(name, _)| *name == shell) else {
        let shown = shell.to_string_lossy();
        let failure = Failure::new(
            Exit::Usage,
            format!("{VARIABLE}: no completion for the shell '{shown}'"),
        );
        let names = SHELLS.map(|(name, _)| name).join(", ");
        return Some(Err(failure.hint(format!("use one of {names}"))));
    };
    let text = match Request::of_process() {
        Some(request) => request.answer(command()),
        None => (*registration).to_owned(),
    };
    Some(Stdout::write(text.as_bytes()).map(|()| Exit::Ok))
}

impl Request {
    /// Returns what may stand at the cursor, in the form that the shell's code reads.
    fn answer(&self, command: Command) -> String {
        let typed = self.matches(command.clone()).unwrap_or_default();
        if let Ok(Some(directory)) = typed.try_get_one::<PathBuf>("directory") {
            let _ = env::set_current_dir(directory);
        }
        let last = self.words.len() - 1;
        let before = &self.words[..last];
        let is_option = self.words[last].as_encoded_bytes().starts_with(b"-");
        let mut words = self.words.clone();
        if words[last] == "-" {
            // Else the engine offers a short option instead of its long form, which says more.
            words[last] = "--".into();
        }
        let directory = env::current_dir().ok();
        let found = complete(&mut with_shell(command), words, last, directory.as_deref());
        let mut found = found.unwrap_or_default();
        // Options are offered once a dash is typed: before that they would drown the values.
        found.retain(|candidate| is_option || !candidate.get_id().is_some_and(|id| id.starts_with("arg::")));
        let (by_shell, own): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|candidate| kind(candidate).is_some());
        match by_shell.first().and_then(kind) {
            Some("command") if !before.iter().any(|word| word == "--") => {}
            Some(kind) if own.is_empty() => return format!("{kind}\n"),
            _ => {}
        }
        let lines = own.iter().filter_map(|candidate| self.line(candidate));
        lines.fold("words\n".to_owned(), |text, line| text + &line + "\n")
    }

    /// Writes a candidate such that the shell inserts it as one word, whatever is in it. What a terminal must not
    /// see is left out.
    fn line(&self, candidate: &CompletionCandidate) -> Option<String> {
        let value = candidate
            .get_value()
            .to_str()
            .filter(|value| one_line(value) == *value)?;
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = one_line(help.lines().next().unwrap_or_default());
        Some(match (self.shell.as_str(), &self.line) {
            (_, Some(line)) => bash_word(value.get(line.fixed..)?, line.quote),
            ("zsh", _) => {
                let value = value.replace('\\', "\\\\").replace(':', "\\:");
                let separator = if help.is_empty() { "" } else { ":" };
                format!("{value}{separator}{}", help.replace('\\', "\\\\"))
            }
            ("powershell" | "nushell", _) if is_plain(value) => format!("{value}\t{help}"),
            ("powershell", _) => format!("{}\t{help}", powershell_word(value)),
            ("nushell", _) => format!("{}\t{help}", Value::from(value)),
            // These quote by themselves.
            _ => format!("{value}\t{help}"),
        })
    }
}

/// Gives the arguments that are paths and commands a candidate that stands for the shell's own completion, which knows
/// `~`, variables and quotes.
fn with_shell(command: Command) -> Command {
    let by_shell = |kind: &'static str| {
        ArgValueCompleter::new(move |_: &OsStr| vec![CompletionCandidate::new("").id(Some(kind.to_owned()))])
    };
    command
        .mut_args(|arg| match arg.get_value_hint() {
            _ if arg.get::<ArgValueCompleter>().is_some() => arg,
            ValueHint::FilePath | ValueHint::AnyPath => arg.add(by_shell("files")),
            ValueHint::DirPath => arg.add(by_shell("directories")),
            ValueHint::CommandWithArguments => arg.add(by_shell("command")),
            _ => arg,
        })
        .mut_subcommands(with_shell)
}

fn kind(candidate: &CompletionCandidate) -> Option<&'static str> {
    let id = candidate.get_id()?;
    BY_SHELL.into_iter().find(|kind| id == kind)
}

fn bash_word(value: &str, quote: Option<char>) -> String {
    let mut word = String::new();
    for c in value.chars() {
        match (quote, c) {
            (None, c) if c.is_alphanumeric() || "_/.+@%-:=,".contains(c) => word.push(c),
            (None, c) | (Some('"'), c @ ('"' | '\\' | '$' | '`')) => word.extend(['\\', c]),
            // In double quotes a backslash before it would stay.
            (Some('"'), '!') => word.push_str("\"'!'\""),
            (Some('\''), '\'') => word.push_str("'\\''"),
            (_, c) => word.push(c),
        }
    }
    word
}

/// In single quotes, of which PowerShell knows five kinds.
fn powershell_word(value: &str) -> String {
    let mut word = String::from("'");
    for c in value.chars() {
        word.push(c);
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            word.push(c);
        }
    }
    word + "'"
}

/// True for a word that means itself in PowerShell and Nushell.
fn is_plain(value: &str) -> bool {
    value.starts_with(|c: char| c.is_alphanumeric() || "-_/.".contains(c))
        && value
            .chars()
            .all(|c| c.is_alphanumeric() || "-_/.:@+=".contains(c))
}

/// Returns the candidates of work that may take long; none when it takes longer than [`LIMIT`].
pub fn within_limit(
    work: impl FnOnce() -> Option<Vec<CompletionCandidate>> + Send + 'static,
) -> Vec<CompletionCandidate> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(LIMIT).ok().flatten().unwrap_or_default()
}

/// Returns the user's profiles, which `qwen-auth` knows.
#[must_use]
pub fn profiles() -> Vec<CompletionCandidate> {
    within_limit(|| {
        let output = process::Command::new(find("qwen-auth")?)
            .args(["list", "--format=json"])
            .env_remove(VARIABLE)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout).ok()?;
        let names = rows.iter().filter_map(|row| row["profile"].as_str());
        Some(names.map(CompletionCandidate::new).collect())
    })
}

/// Returns the files for an argument that takes a text or `@FILE`.
#[must_use]
pub fn at_file(current: &OsStr) -> Vec<CompletionCandidate> {
    let path = current.to_str().and_then(|text| text.strip_prefix('@'));
    let files = path.map(|path| PathCompleter::file().complete(path.as_ref()));
    let files = files.into_iter().flatten();
    files.map(|file| file.add_prefix("@")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str, replaced: &str) -> (Vec<String>, usize, Option<char>) {
        let (words, line) = Line::split(text.to_owned(), replaced.to_owned());
        (words, line.fixed, line.quote)
    }

    #[test]
    fn a_line_of_bash_is_split_into_words_without_their_quotes() {
        for (text, replaced, words, fixed, quote) in [
            ("qwen ", "", &["qwen", ""][..], 0, None),
            ("qwen lo", "lo", &["qwen", "lo"], 0, None),
            ("qwen --profile=ho", "ho", &["qwen", "--profile=ho"], 10, None),
            ("qwen  -m llama3:", "", &["qwen", "-m", "llama3:"], 7, None),
            ("q -m a\\ b", "a\\ b", &["q", "-m", "a b"], 0, None),
            ("q -m 'a b", "a b", &["q", "-m", "a b"], 0, Some('\'')),
            ("q -m \"a:b", "a:b", &["q", "-m", "a:b"], 0, Some('"')),
            ("q -m fo\"ba r", "ba r", &["q", "-m", "foba r"], 2, Some('"')),
            ("q 'it'\\''s' x", "x", &["q", "it's", "x"], 0, None),
            ("q \"a\\$b\\c\" ", "", &["q", "a$b\\c", ""], 0, None),
            ("q a\\", "a\\", &["q", "a"], 0, None),
            ("q é:x", "x", &["q", "é:x"], 3, None),
        ] {
            let words = words.iter().map(ToString::to_string).collect();
            assert_eq!(split(text, replaced), (words, fixed, quote), "{text}");
        }
    }

    #[test]
    fn a_word_means_itself_in_every_quote_of_bash() {
        for (value, quote, word) in [
            ("llama3:8b", None, "llama3:8b"),
            ("a b", None, "a\\ b"),
            ("$(touch x)", None, "\\$\\(touch\\ x\\)"),
            ("~`'\"!", None, "\\~\\`\\'\\\"\\!"),
            ("$(x) `y` \\ \" '", Some('"'), "\\$(x) \\`y\\` \\\\ \\\" '"),
            ("a!b", Some('"'), "a\"'!'\"b"),
            ("$(x) it's!", Some('\''), "$(x) it'\\''s!"),
        ] {
            assert_eq!(bash_word(value, quote), word);
        }
    }

    #[test]
    fn a_word_is_quoted_for_powershell_and_nushell_where_it_must_be() {
        assert!(is_plain("--model=llama3:8b"));
        for value in ["", "a b", "$x", "@x", "#x", "a;b", "a'b"] {
            assert!(!is_plain(value), "{value}");
        }
        assert_eq!(
            powershell_word("it's \u{2019}$(x)"),
            "'it''s \u{2019}\u{2019}$(x)'"
        );
    }
}

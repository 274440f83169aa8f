//! Running a tool by its name, and suggesting names for one that does not exist.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use clap::Arg;
use qwen_shared::app::Common;
use qwen_shared::completion::Request;
use qwen_shared::exit::{Exit, Failure, Outcome, io_reason};
use qwen_shared::neighbours::command_for;
use qwen_shared::process;

use super::args::{self, Args};
use super::commands::TOOLS;
use crate::list;

/// Runs the tool that the first argument names, with the arguments after it. Returns when it names none.
///
/// Nearly every call is like this, and needs no parser.
pub(crate) fn run_first_argument() {
    if let Some(request) = Request::of_process() {
        return complete(request);
    }
    let mut arguments = std::env::args_os().skip(1);
    if let Some(program) = arguments
        .next()
        .filter(|word| word != "help")
        .and_then(|word| find(&word))
    {
        let _ = process::exec(Command::new(program).args(arguments));
    }
}

/// Leaves the completion of `qwen NAME ...` to the tool, and that of a question to qwen-chat. Returns when the dispatcher
/// itself is what is completed. Programs of others may not know what they are asked, and are not run.
fn complete(request: Request) {
    let Some(args) = request.args::<Args>(args::command()) else {
        return;
    };
    let at = request.words.len() - 1 - args.words.len();
    match args.words.first() {
        Some(first) if TOOLS.iter().any(|tool| first == tool.name) => {
            request.hand_over(&format!("qwen-{}", first.display()), Some(at));
        }
        Some(first) if is_for_chat(first) => request.hand_over("qwen-chat", None),
        None if is_option_of_chat(&request.words[at]) => request.hand_over("qwen-chat", None),
        _ => {}
    }
}

/// True for a long option, perhaps unfinished, that the dispatcher does not have.
fn is_option_of_chat(option: &OsStr) -> bool {
    let option = option.to_string_lossy();
    let (flag, _) = option.split_once('=').unwrap_or((&option, ""));
    let mut own = args::command();
    own.build();
    let mut own = own.get_arguments().filter_map(Arg::get_long);
    flag.starts_with("--") && !own.any(|long| format!("--{long}").starts_with(flag))
}

/// True for an option that is not the dispatcher's, and for a question in one word.
pub(crate) fn is_for_chat(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-") || is_question(word)
}

/// True for a word with blanks, which is a question: no tool has such a name.
fn is_question(word: &OsStr) -> bool {
    word.to_string_lossy().contains(char::is_whitespace)
}

/// Runs tool `name` in this process's place, with the common options that stood before its name.
///
/// # Errors
/// Exit 127 when there is no such tool, 126 when it cannot be run. It returns for no other reason.
pub(crate) fn run(name: &OsStr, common: &Common, words: &[OsString]) -> Outcome {
    let Some(program) = find(name) else {
        return Err(not_found(name, words));
    };
    let error = process::exec(Command::new(&program).args(common_arguments(common)).args(words));
    Err(not_runnable(&program, &io_reason(&error)))
}

/// Returns the common options as arguments for a tool. Without `--directory`: that has been entered already.
pub(crate) fn common_arguments(common: &Common) -> Vec<OsString> {
    let mut words = Vec::new();
    if let Some(profile) = &common.profile {
        words.push(format!("--profile={profile}").into());
    }
    if common.quiet {
        words.push("--quiet".into());
    }
    if common.verbose {
        words.push("--verbose".into());
    }
    if let Some(color) = common.color.typed() {
        words.push(format!("--color={color}").into());
    }
    words
}

/// Finds the program of a tool by the tool's name.
fn find(name: &OsStr) -> Option<std::path::PathBuf> {
    process::find(&program_name(name)?)
}

/// Returns the file name of a tool's program; `None` for an option, a question or a path.
fn program_name(name: &OsStr) -> Option<String> {
    let name = name.to_str()?;
    let is_name =
        !name.is_empty() && !name.starts_with('-') && !name.contains(|c: char| c == '/' || c.is_whitespace());
    is_name.then(|| format!("qwen-{name}"))
}

fn not_found(name: &OsStr, words: &[OsString]) -> Failure {
    if let Some(path) = program_name(name).and_then(|program| process::find_not_runnable(&program)) {
        return not_runnable(&path, "it is not executable");
    }
    let shown = name.to_string_lossy();
    if TOOLS.iter().any(|tool| tool.name == shown) {
        return Failure::new(Exit::NotFound, format!("'qwen-{shown}' is not installed"))
            .hint("run 'qwen --exec-path' to see where it is searched, before PATH");
    }
    let mut failure = Failure::new(Exit::NotFound, format!("no tool '{shown}'"));
    let near = nearest(&shown);
    for name in &near {
        failure = failure.hint(format!("did you mean 'qwen {name}'?"));
    }
    let of_auth = AUTH_WORDS
        .contains(&&*shown)
        .then(|| format!("qwen-auth {shown}"));
    let command = of_auth.or_else(|| command_for(&shown).map(str::to_owned));
    if let Some(command) = command.filter(|_| near.is_empty() && words.len() < 2) {
        failure = failure.hint(format!("did you mean '{command}'?"));
    }
    // Several words and no option: probably a question.
    let is_question = words.len() > 1 && words.iter().all(|word| !word.as_bytes().starts_with(b"-"));
    if near.is_empty() || is_question {
        let question = question_of(&shown, words).unwrap_or_else(|| "your question".to_owned());
        failure = failure.hint(format!("to ask a model, run \"qwen-chat '{question}'\""));
    }
    failure.hint("run 'qwen --list' to see all tools")
}

/// The subcommands of `qwen-auth`, which other tools have at their top.
const AUTH_WORDS: [&str; 10] = [
    "status", "list", "use", "show", "set", "edit", "check", "rename", "remove", "logout",
];

/// The most characters of a question that a hint repeats.
const QUESTION_LIMIT: usize = 60;

/// Returns the words as the question that they probably are; `None` where single quotes would not hold it, or it is long.
fn question_of(name: &str, words: &[OsString]) -> Option<String> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    let words: Vec<&str> = std::iter::once(name).chain(words?).collect();
    let is_word = |word: &&str| !word.is_empty() && !word.starts_with('-');
    let question = words.join(" ");
    let is_plain = |c: char| c == ' ' || c.is_alphanumeric() || ".,:;?/+=@%_-".contains(c);
    let fits = words.iter().all(is_word) && question.chars().all(is_plain);
    (fits && question.chars().count() <= QUESTION_LIMIT).then_some(question)
}

fn not_runnable(program: &Path, reason: &str) -> Failure {
    Failure::new(
        Exit::NotRunnable,
        format!("cannot run '{}': {reason}", program.display()),
    )
}

/// Returns how far a name is from what was given, in lower case; `None` where it is not near.
///
/// One mistake is allowed in a short word, two from six letters on; two letters swapped are one mistake. The beginning of
/// a name is near too.
pub(crate) fn nearness(given: &str, name: &str) -> Option<usize> {
    let limit = if given.chars().count() < 6 { 1 } else { 2 };
    let distance = strsim::osa_distance(given, name);
    let begins = given.len() > 1 && name.starts_with(given);
    (distance <= limit || begins).then_some(distance)
}

/// Returns the tools whose names are near the given one, the nearest first, at most three.
fn nearest(given: &str) -> Vec<String> {
    let given = given.to_lowercase();
    let mut near: Vec<(usize, String)> = list::all()
        .into_iter()
        .filter_map(|found| Some((nearness(&given, &found.name)?, found.name)))
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

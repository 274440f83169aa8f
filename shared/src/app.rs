//! Runs a tool: parse, call, report. The single place where a result becomes an exit code.

use std::ffi::OsString;
use std::fmt::Debug;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};
use clap_complete::engine::ArgValueCandidates;

use super::completion;
use super::exit::{Exit, Failure, Hint, Outcome, cannot_start, io_exit, io_reason};
use super::output::{Color, Reporter, Stdout};
use super::paths;
use super::process::end_spawned;
use super::signal::outlive_file_limit;

/// The end of a program's long help: its examples, which its manual page has too, and the name of that page.
#[macro_export]
macro_rules! examples {
    ($page:literal, $($line:literal),+ $(,)?) => {
        concat!(
            "\u{1b}[1m\u{1b}[4mExamples:\u{1b}[0m",
            $("\n  ", $line,)+
            "\n\nThe manual page is ", $page, "(1): 'man ", $page, "'."
        )
    };
}

/// The flags that every program has, with one meaning everywhere. The short help names `--profile` alone.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Use this profile instead of the default one
    #[arg(long, value_name = "NAME", global = true, add = ArgValueCandidates::new(completion::profiles))]
    pub profile: Option<String>,
    /// Run as if started in DIR
    #[arg(
        short = 'C',
        long,
        value_name = "DIR",
        global = true,
        hide_short_help = true,
        value_hint = clap::ValueHint::DirPath
    )]
    pub directory: Option<PathBuf>,
    /// Print errors only
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,
    /// Explain where each setting came from; never prints a secret
    #[arg(short, long, global = true, hide_short_help = true)]
    pub verbose: bool,
    /// When to use colour: auto, always or never
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        global = true,
        hide_short_help = true,
        hide_possible_values = true
    )]
    pub color: Color,
}

/// The parsed command line of a tool.
pub trait CommandLine: FromArgMatches + Debug {
    /// Returns the flags that every program has.
    fn common(&self) -> &Common;

    /// Returns what the reader of stdout is told when the tool fails: nothing, but for output that a shell evaluates,
    /// where an empty output would look like success. `args` is `None` when the command line was not understood.
    fn stdout_on_failure(_args: Option<&Self>, _arguments: &[OsString]) -> &'static str {
        ""
    }

    /// Returns the command that is meant by a word which is no subcommand, where it is known better than by its spelling.
    fn meant_by(_word: &str) -> Option<&'static str> {
        None
    }
}

/// Runs a tool from its command line to its exit code.
///
/// clap's exit 2 becomes 64; help and version are written through the checked stdout; a panic is exit 70. Of a flag that
/// was given twice the last counts, so that an alias can be overruled.
#[must_use]
pub fn main<C: CommandLine>(command: fn() -> Command, run: fn(C, &Reporter) -> Outcome) -> ExitCode {
    outlive_file_limit();
    if let Some(outcome) = completion::answer(command) {
        let reporter = Reporter::new(command().get_name(), false, false, Color::Auto);
        return finish(&reporter, outcome, "");
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    let grammar = command().args_override_self(true);
    let name = grammar.get_name().to_owned();
    report_panics::<C>(&name);
    let args = grammar
        .try_get_matches_from(&words)
        .and_then(|mut matches: ArgMatches| C::from_arg_matches_mut(&mut matches));
    match args {
        Ok(args) => run_tool(&name, args, &words, run),
        Err(error) => {
            let color = Color::among(&words);
            let outcome = not_parsed(&command(), &error, color, C::meant_by);
            // Nobody evaluates help and version.
            let stdout = match outcome {
                Ok(_) => "",
                Err(_) => C::stdout_on_failure(None, &words),
            };
            finish(&Reporter::new(&name, false, false, color), outcome, stdout)
        }
    }
}

fn run_tool<C: CommandLine>(
    name: &str,
    args: C,
    words: &[OsString],
    run: fn(C, &Reporter) -> Outcome,
) -> ExitCode {
    let common = args.common();
    let reporter = Reporter::new(name, common.quiet, common.verbose, common.color)
        .for_profile(common.profile.as_deref());
    let stdout = C::stdout_on_failure(Some(&args), words);
    let outcome = change_directory(common)
        .and_then(|()| paths::check_variables())
        .and_then(|()| run(args, &reporter));
    finish(&reporter, outcome, stdout)
}

/// True when a command line ends in `--`: that of a script whose command turned out empty, say.
#[must_use]
pub fn lacks_command(arguments: &[OsString]) -> bool {
    arguments.last().is_some_and(|word| word == "--")
}

/// Refuses a command line of this process that [lacks its command](lacks_command): what the tool prints without one must
/// not go where the command's output was to go. `output` says what that is.
///
/// # Errors
/// 64.
pub fn check_command(output: &str) -> Result<(), Failure> {
    let typed: Vec<OsString> = std::env::args_os().collect();
    if lacks_command(&typed) {
        let hint = format!("leave '--' out to print the {output}");
        return Err(Failure::new(Exit::Usage, "no command after '--'").hint(hint));
    }
    Ok(())
}

/// Makes an exit code of a result, and reports a failure.
fn finish(reporter: &Reporter, outcome: Outcome, stdout_on_failure: &str) -> ExitCode {
    let exit = outcome.unwrap_or_else(|failure| {
        reporter.failure(&failure);
        // When stdout is what failed there is nobody to tell.
        let _ = Stdout::write(stdout_on_failure.as_bytes());
        failure.exit
    });
    ExitCode::from(exit.code())
}

/// Changes to the directory of `-C`.
fn change_directory(common: &Common) -> Result<(), Failure> {
    let Some(directory) = &common.directory else {
        return Ok(());
    };
    std::env::set_current_dir(directory).map_err(|error| {
        let shown = directory.display();
        Failure::new(
            io_exit(&error, Exit::NoInput),
            format!("cannot enter '{shown}': {}", io_reason(&error)),
        )
    })
}

/// Prints help and version; turns every other parse error into a usage failure in the house form.
fn not_parsed(command: &Command, error: &clap::Error, color: Color, meant_by: MeantBy) -> Outcome {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return write(&error.render(), color);
    }
    Err(usage(command, error, meant_by))
}

/// Prints the help of a command as `--help` does, for a tool that offers it by another name too.
///
/// # Errors
/// Exit 74 when stdout does not take it.
pub fn help(command: Command, color: Color) -> Outcome {
    match command
        .clone()
        .try_get_matches_from([command.get_name(), "--help"])
    {
        Ok(_) => Ok(Exit::Ok),
        Err(help) => not_parsed(&command, &help, color, |_| None),
    }
}

fn write(styled: &StyledStr, color: Color) -> Outcome {
    let text = if color.wanted(Stdout::is_terminal()) {
        styled.ansi().to_string()
    } else {
        styled.to_string()
    };
    Stdout::write(text.as_bytes())?;
    Ok(Exit::Ok)
}

fn usage(command: &Command, error: &clap::Error, meant_by: MeantBy) -> Failure {
    let rendered = error.render().to_string();
    let paragraph: Vec<&str> = rendered
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::trim)
        .collect();
    let message = in_plain_words(&paragraph.join(" "));
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    let mut failure = Failure::new(Exit::Usage, message.trim_end_matches('.'));
    failure
        .hints
        .extend(suggestions(error, meant_by).into_iter().map(Hint));
    let name = command.get_name();
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(word))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
        && let Some(hint) = hint_for_word(command, word, failure.hints.is_empty())
    {
        failure = failure.hint(hint);
    }
    let of_command = rendered
        .lines()
        .find_map(|line| {
            line.strip_prefix("Usage: ")?
                .strip_prefix(name)?
                .split_whitespace()
                .next()
        })
        .filter(|word| command.find_subcommand(word).is_some());
    let whose = of_command.map_or_else(String::new, |of_command| format!(" {of_command}"));
    failure.hint(format!("run '{name}{whose} --help'"))
}

/// What a word stands for that is no subcommand, as [`CommandLine::meant_by`] says.
type MeantBy = fn(&str) -> Option<&'static str>;

/// Says what was probably meant: what a word is known to stand for, else what is spelt alike.
fn suggestions(error: &clap::Error, meant_by: MeantBy) -> Vec<String> {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand)
        && let Some(command) = meant_by(word)
    {
        return vec![format!("did you mean '{command}'?")];
    }
    let kinds = [
        ContextKind::SuggestedArg,
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedValue,
    ];
    let near = kinds.into_iter().filter_map(|kind| match error.get(kind)? {
        ContextValue::String(near) => Some(near.clone()),
        ContextValue::Strings(near) if !near.is_empty() => Some(near.join("', '")),
        _ => None,
    });
    near.map(|near| format!("did you mean '{near}'?")).collect()
}

/// Says where a word goes that the command line has no place for.
fn hint_for_word(command: &Command, word: &str, is_only: bool) -> Option<String> {
    let name = command.get_name();
    if is_only && takes_free_words(command) {
        return Some(format!(
            "put words that begin with a dash after '--': {name} -- '{word}…'"
        ));
    }
    if !runs_commands(command) || word.starts_with('-') {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./+".contains(c);
    Some(match word.chars().all(is_plain) {
        true => format!("did you mean '{name} -- {word}'?"),
        false => format!("did you mean '{name} -- COMMAND'?"),
    })
}

/// Says what the standard library says of a number that is none.
fn in_plain_words(message: &str) -> String {
    const WORDS: [(&str, &str); 6] = [
        ("invalid digit found in string", "not a whole number"),
        ("cannot parse integer from empty string", "not a whole number"),
        ("number too large to fit in target type", "too large"),
        ("number too small to fit in target type", "too small"),
        ("invalid float literal", "not a number"),
        ("cannot parse float from empty string", "not a number"),
    ];
    let found = WORDS
        .iter()
        .find_map(|(theirs, ours)| message.strip_suffix(theirs).map(|rest| format!("{rest}{ours}")));
    found.unwrap_or_else(|| message.to_owned())
}

/// True for a program that runs a command, which stands behind `--`.
fn runs_commands(command: &Command) -> bool {
    command.get_positionals().any(Arg::is_last_set)
}

/// True for a command whose operands are any words, not the command that it runs.
fn takes_free_words(command: &Command) -> bool {
    command
        .get_positionals()
        .any(|operand| matches!(operand.get_action(), ArgAction::Append) && !operand.is_last_set())
}

/// Makes a panic exit 70 and name its place. The panic's own text is left out: it may quote a secret. A panic because the
/// kernel gives no more threads, descriptors or memory is exit 75.
fn report_panics<C: CommandLine>(name: &str) {
    let reporter = Reporter::new(name, false, false, Color::Auto);
    std::panic::set_hook(Box::new(move |info| {
        let payload = info.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let failure = text.and_then(exhausted).unwrap_or_else(|| {
            let place = info.location().map_or_else(String::new, |at| {
                format!(" at {}:{}", source_file(at.file()), at.line())
            });
            Failure::new(Exit::Bug, format!("internal error{place}; please report it"))
        });
        end_spawned();
        reporter.failure(&failure);
        let typed: Vec<OsString> = std::env::args_os().collect();
        let _ = Stdout::write(C::stdout_on_failure(None, &typed).as_bytes());
        #[expect(clippy::exit, reason = "an abort would end by SIGABRT instead of exit 70")]
        std::process::exit(failure.exit.code().into());
    }));
}

/// Returns the failure of a panic that quotes the error of a system call which met a limit, as those of libraries do that
/// have no other way to say so.
fn exhausted(panic: &str) -> Option<Failure> {
    let number = ["code: ", "(os error "].iter().find_map(|before| {
        let rest = panic.split_once(before)?.1;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    })?;
    let error = std::io::Error::from_raw_os_error(number);
    let failure = match error.kind() {
        std::io::ErrorKind::WouldBlock => cannot_start("a thread", &error),
        _ => Failure::new(
            io_exit(&error, Exit::Bug),
            format!("cannot go on: {}", io_reason(&error)),
        ),
    };
    (failure.exit == Exit::TryAgain).then_some(failure)
}

/// Returns a source file as a report names it: of another crate its name, version and file, not where it was built.
fn source_file(path: &str) -> &str {
    let of_crate = path
        .split_once("/registry/src/")
        .and_then(|(_, rest)| rest.split_once('/'))
        .map(|(_, file)| file);
    let of_std = || path.split_once("/library/").map(|(_, file)| file);
    let file_name = || path.rsplit('/').next().unwrap_or_default();
    match of_crate.or_else(of_std) {
        Some(file) => file,
        None if path.starts_with('/') => file_name(),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::{exhausted, source_file};
    use crate::exit::Exit;

    #[test]
    fn a_panic_about_a_limit_is_to_be_tried_again_and_any_other_is_a_bug() {
        for (panic, words) in [
            (
                "failed to create UnixStream: Os { code: 24, kind: Uncategorized, message: \"Too many open files\" }",
                "too many open files",
            ),
            (
                "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }",
                "cannot start a thread: too many processes",
            ),
            (
                "OS can't spawn worker thread: Resource temporarily unavailable (os error 11)",
                "cannot start a thread: too many processes",
            ),
            ("x: Cannot allocate memory (os error 12)", "out of memory"),
        ] {
            let failure = exhausted(panic).unwrap();
            assert_eq!(failure.exit, Exit::TryAgain, "{panic}");
            assert!(failure.message.contains(words), "{}", failure.message);
        }
        for panic in [
            "index out of bounds",
            "Os { code: 2, kind: NotFound }",
            "code: x",
            "(os error 5)",
        ] {
            assert!(exhausted(panic).is_none(), "{panic}");
        }
    }

    #[test]
    fn no_report_names_the_machine_that_built_it() {
        for (path, shown) in [
            ("shared/src/app.rs", "shared/src/app.rs"),
            (
                "/home/ann/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/a/b.rs",
                "tokio-1.54.1/src/a/b.rs",
            ),
            (
                "/rustc/0123abc/library/std/src/thread/mod.rs",
                "std/src/thread/mod.rs",
            ),
            ("/home/ann/toolkit/shared/src/app.rs", "app.rs"),
        ] {
            assert_eq!(source_file(path), shown);
        }
    }
}

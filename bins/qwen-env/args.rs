//! The command line.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Command, CommandFactory, Parser, ValueEnum, ValueHint};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common, lacks_command};
use qwen_shared::completion::{Request, within_limit};
use qwen_shared::dotenv::{ChainRule, EnvChain, Search};
use qwen_shared::shell::{Shell, parent_shell};

/// Print the resolved .env chain as shell code
///
/// Of each directory from here upward, .qwen/.env and then .env are looked for, at last ~/.qwen/.env and ~/.env; the first
/// file that is there is used. The output may stand unquoted in an eval. With a COMMAND the variables are for it alone.
#[derive(Debug, Parser)]
#[command(name = "qwen-env", version, disable_help_subcommand = true, after_long_help = EXAMPLES)]
#[command(override_usage = "qwen-env [OPTIONS]\n       qwen-env [OPTIONS] -- COMMAND [ARG]...")]
#[command(group = ArgGroup::new("mode").args(["get", "explain", "check", "hook", "unset", "trust", "untrust", "command"]))]
pub(crate) struct Args {
    /// Write for this shell instead of the parent process
    ///
    /// One of sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh.
    #[arg(long, value_name = "NAME", value_enum, hide_possible_values = true)]
    pub(crate) shell: Option<Shell>,
    /// Output format, such as json or docker
    ///
    /// Shell code (shell), data (json, null), or a file for another program (dotenv, docker, github, systemd).
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
    /// Print one variable; exit 1 when it is unset
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(variables))]
    pub(crate) get: Option<String>,
    /// List every file and variable, and what is done with it
    ///
    /// Values are masked.
    #[arg(long)]
    pub(crate) explain: bool,
    /// With --explain: show the values
    #[arg(long, requires = "explain", hide_short_help = true)]
    pub(crate) show_secrets: bool,
    /// Look for mistakes in the files; exit 65 if any
    #[arg(long)]
    pub(crate) check: bool,
    /// Print code that follows changes at each prompt
    ///
    /// For bash, zsh, fish, elvish or nu. The examples say where it goes.
    #[arg(long, value_name = "SHELL", hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(["bash", "zsh", "fish", "elvish", "nu"]))]
    pub(crate) hook: Option<String>,
    /// Print code that unsets what was exported
    #[arg(long)]
    pub(crate) unset: bool,
    /// Add the active profile's key, endpoint and model
    ///
    /// As OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL and what else clients read.
    #[arg(long)]
    pub(crate) auth: bool,
    /// Combine the files by this rule: first, or merge
    #[arg(
        long,
        value_name = "RULE",
        value_enum,
        hide_possible_values = true,
        hide_short_help = true
    )]
    pub(crate) chain: Option<ChainRule>,
    /// Let the files override the environment
    #[arg(long = "override", hide_short_help = true)]
    pub(crate) overriding: bool,
    /// Use this file instead of the chain
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
    /// Fail with exit 66 when no file is found
    #[arg(long, hide_short_help = true)]
    pub(crate) require: bool,
    /// Take all but names known to be dangerous, unasked
    ///
    /// Those are names by which programs are known to run code or move secrets.
    #[arg(long)]
    pub(crate) all: bool,
    /// Show what the project's file sets, and consent
    ///
    /// Or what FILE sets.
    /// On a terminal it asks; without one, the command itself is the consent.
    /// It holds as long as the content stays the same.
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_hint = ValueHint::FilePath)]
    pub(crate) trust: Option<Option<PathBuf>>,
    /// With --trust: do not ask
    #[arg(long, requires = "trust", hide_short_help = true)]
    pub(crate) yes: bool,
    /// Forget the answer about the project's file, or FILE
    #[arg(long, value_name = "FILE", num_args = 0..=1, value_hint = ValueHint::FilePath)]
    pub(crate) untrust: Option<Option<PathBuf>>,
    /// What the hook calls: print nothing while nothing has changed, and never ask
    #[arg(long, hide = true)]
    pub(crate) at_prompt: bool,
    /// Run this command with the variables added
    #[arg(last = true, value_name = "COMMAND", hide_short_help = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) common: Common,
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-env",
    "eval $(qwen-env)",
    "eval \"$(qwen-env --hook bash)\"                # ~/.bashrc",
    "qwen-env -- make test",
    "qwen-env --auth -- python summarise.py",
    "$ qwen-env --explain",
);

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Statements for a shell to evaluate
    #[default]
    Shell,
    /// One JSON object
    Json,
    /// A .env file that all its readers read alike
    Dotenv,
    /// NAME=value, each ended by a NUL
    Null,
    /// A file for docker run --env-file
    Docker,
    /// Lines for $GITHUB_ENV
    Github,
    /// A file for systemd's EnvironmentFile=
    Systemd,
}

impl Args {
    /// Returns the shell to write for.
    pub(crate) fn shell(&self) -> Shell {
        self.shell.unwrap_or_else(parent_shell)
    }

    /// True when the user may be asked: for statements or a command, and neither in CI nor quietly. The hook never asks.
    pub(crate) fn may_ask(&self) -> bool {
        let wanted = self.is_evaluated() || !self.command.is_empty();
        wanted && !self.at_prompt && !self.unset && !self.common.quiet && !is_unattended()
    }

    /// True when the output is for a shell to evaluate.
    fn is_evaluated(&self) -> bool {
        self.format == Format::Shell
            && self.get.is_none()
            && !self.explain
            && !self.check
            && self.trust.is_none()
            && self.untrust.is_none()
            && self.command.is_empty()
    }
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }

    fn stdout_on_failure(args: Option<&Self>, arguments: &[OsString]) -> &'static str {
        match args {
            Some(args) if args.is_evaluated() && !lacks_command(arguments) => {
                args.shell().failing_statement()
            }
            None if may_be_evaluated(arguments) => parent_shell().failing_statement(),
            _ => "",
        }
    }
}

/// In CI, and in a shell that an editor starts to read the environment, even on a terminal of its own. Some people set
/// `CI` to `false`.
fn is_unattended() -> bool {
    const EDITORS: [&str; 2] = ["VSCODE_RESOLVING_ENVIRONMENT", "INTELLIJ_ENVIRONMENT_READER"];
    let ci = std::env::var_os("CI").unwrap_or_default();
    let is_ci = !["", "0", "false"].iter().any(|no| ci == *no);
    is_ci || EDITORS.iter().any(|name| std::env::var_os(name).is_some())
}

/// True when the output of a command line that cannot be parsed may be evaluated by a shell.
fn may_be_evaluated(arguments: &[OsString]) -> bool {
    const OTHERS: [&str; 6] = ["--", "--get", "--explain", "--check", "--trust", "--untrust"];
    const DATA: [&str; 6] = ["json", "dotenv", "null", "docker", "github", "systemd"];
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let flag = |word: &str| word.split_once('=').map_or(word, |(flag, _)| flag).to_owned();
    let data = |pair: &[std::borrow::Cow<'_, str>]| pair[0] == "--format" && DATA.contains(&&*pair[1]);
    let joined = |word: &str| {
        word.strip_prefix("--format=")
            .is_some_and(|form| DATA.contains(&form))
    };
    !words
        .iter()
        .any(|word| OTHERS.contains(&flag(word).as_str()) || joined(word))
        && !words.windows(2).any(data)
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Args::command()
}

/// Returns the names in the chain, for completion.
fn variables() -> Vec<CompletionCandidate> {
    within_limit(|| {
        let args: Args = Request::of_process()?.args(command())?;
        let search = Search::from_process(args.chain, args.file).ok()?;
        let chain = EnvChain::resolve(&search);
        let names: BTreeSet<&str> = chain.variables().map(|variable| &*variable.name).collect();
        Some(names.into_iter().map(CompletionCandidate::new).collect())
    })
}

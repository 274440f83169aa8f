//! The command line.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory, Parser};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::Request;

use super::commands::TOOLS;
use super::list;

/// Run the qwen tools by name
#[derive(Debug, Parser)]
#[command(
    name = "qwen",
    version,
    disable_help_subcommand = true,
    override_usage = "qwen [COMMON OPTIONS] TOOL [ARG]...\n       \
                      qwen [QWEN-CHAT OPTIONS] 'A QUESTION'\n       \
                      qwen help [TOOL]\n       \
                      qwen --list | --exec-path"
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) own: Own,
    /// A tool and its arguments, or what is for qwen-chat
    #[arg(
        value_name = "TOOL",
        hide = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        conflicts_with_all = ["list", "exec_path"],
        add = ArgValueCandidates::new(tools_for_completion)
    )]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What the dispatcher does itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Own {
    /// List the tools that can be run, and what they do
    #[arg(long, conflicts_with = "exec_path")]
    pub(crate) list: bool,
    /// Print the directory that is searched before PATH
    #[arg(long)]
    pub(crate) exec_path: bool,
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Args::command()
        .help_template("{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}")
        .after_help(tools())
}

/// Returns the tools where the name of one is expected.
fn tools_for_completion() -> Vec<CompletionCandidate> {
    let request = Request::of_process();
    let request = request.filter(|request| !request.words.iter().any(|word| word == "--"));
    let args: Option<Args> = request.and_then(|request| request.args(command()));
    match args {
        Some(args) if args.words.is_empty() || args.words == ["help"] => list::candidates(),
        _ => Vec::new(),
    }
}

/// The tools as a section of the help.
fn tools() -> StyledStr {
    let header = Command::new("").get_styles().get_header().to_owned();
    let mut text = format!("{header}Tools:{header:#}\n");
    for tool in &TOOLS {
        text.push_str(&format!("  {:<11}  {}\n", tool.name, tool.about));
    }
    text.push_str(&format!(
        "  {:<11}  {}\n",
        "help [TOOL]", "Print the help of a tool"
    ));
    StyledStr::from(text)
}

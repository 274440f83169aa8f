//! The command line.

use std::ffi::{OsStr, OsString};

use clap::builder::StyledStr;
use clap::{Command, CommandFactory, Parser};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::Request;

use super::commands::TOOLS;
use super::list;
use super::topic::TOPICS;

/// Run the qwen tools by name
///
/// 'qwen NAME' is 'qwen-NAME'. Alone, on a terminal, it is a conversation, after a login where there is no credential; a
/// question, or options without a tool, are for qwen-chat.
#[derive(Debug, Parser)]
#[command(
    name = "qwen",
    version,
    disable_help_subcommand = true,
    override_usage = "qwen [COMMON OPTIONS] TOOL [ARG]...\n       \
                      qwen [QWEN-CHAT OPTIONS] 'A QUESTION'\n       \
                      qwen help [TOOL | TOPIC]\n       \
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
    #[arg(long, hide_short_help = true)]
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
        .help_template("{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}{all-args}{after-help}")
        .before_help(tools())
        .before_long_help(tools_and_topics())
        .after_long_help(EXAMPLES)
}

/// Returns the tools where the name of one is expected, and after `help` the topics too.
fn tools_for_completion() -> Vec<CompletionCandidate> {
    let request = Request::of_process();
    let request = request.filter(|request| !request.words.iter().any(|word| word == "--"));
    let args: Option<Args> = request.and_then(|request| request.args(command()));
    match args {
        Some(args) if args.words.is_empty() => list::candidates(),
        Some(args) if args.words == ["help"] => helped(),
        _ => Vec::new(),
    }
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen",
    "qwen 'what is a pipe?'",
    "qwen --profile work -C /tmp chat 'what is a pipe?'",
    "qwen --list",
    "man 7 qwen",
);

/// Returns what there is help on: the tools, and the topics, which go before a tool of the same name.
fn helped() -> Vec<CompletionCandidate> {
    let topics = TOPICS
        .iter()
        .map(|topic| CompletionCandidate::new(topic.name).help(Some(topic.about.into())));
    let is_topic = |name: &OsStr| TOPICS.iter().any(|topic| name == topic.name);
    let tools = list::candidates().into_iter();
    tools
        .filter(|tool| !is_topic(tool.get_value()))
        .chain(topics)
        .collect()
}

/// The width of the names in the help: that of `help recipes`.
const NAME_WIDTH: usize = 12;

/// The tools as a section of the help.
fn tools() -> StyledStr {
    let names: Vec<&str> = TOPICS.iter().map(|topic| topic.name).collect();
    let help = format!("Print the help of a tool, or on {}", names.join(", "));
    StyledStr::from(tools_with(&help))
}

/// The tools and topics as sections of the long help.
fn tools_and_topics() -> StyledStr {
    let mut text = tools_with("Print the help of a tool");
    let header = Command::new("").get_styles().get_header().to_owned();
    text.push_str(&format!("\n\n{header}Topics:{header:#}"));
    for topic in &TOPICS {
        text.push_str(&format!(
            "\n  {:<NAME_WIDTH$}  {}",
            format!("help {}", topic.name),
            topic.about
        ));
    }
    StyledStr::from(text)
}

fn tools_with(help: &str) -> String {
    let header = Command::new("").get_styles().get_header().to_owned();
    let mut text = format!("{header}Tools:{header:#}\n");
    for tool in &TOOLS {
        text.push_str(&format!("  {:<NAME_WIDTH$}  {}\n", tool.name, tool.about));
    }
    text.push_str(&format!("  {:<NAME_WIDTH$}  {help}", "help [TOOL]"));
    text
}

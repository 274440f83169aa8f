//! What can be typed.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::{Command, CommandFactory, Parser};
use qwen_shared::tool::{Common, Typed};

use crate::commands::TOOLS;

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
pub(crate) struct Cli {
    /// List the tools that can be run, and what they do
    #[arg(long, conflicts_with_all = ["words", "exec_path"])]
    pub(crate) list: bool,
    /// Print the directory that is searched before PATH
    #[arg(long, conflicts_with = "words")]
    pub(crate) exec_path: bool,
    /// A tool and its arguments, or what is for qwen-chat
    #[arg(
        value_name = "TOOL",
        hide = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) words: Vec<OsString>,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl Typed for Cli {
    fn common(&self) -> &Common {
        &self.common
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Cli::command()
        .help_template("{about-with-newline}\n{usage-heading} {usage}{after-help}\n\n{all-args}")
        .after_help(tools())
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

//! The command line.

use clap::{Command, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use qwen_shared::app::{CommandLine, Common};
use qwen_shared::completion::profiles;
use qwen_shared::neighbours::command_for;

use crate::complete::assignments;

/// Show, switch, change and remove profiles and credentials
///
/// Without a command it shows the settings in use here, and where each comes from.
#[derive(Debug, Parser)]
#[command(name = "qwen-auth", version, disable_help_subcommand = true, after_long_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// The subcommands; `status` is the default.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Show the settings in use and where they come from
    Status(PrintArgs),
    /// List the profiles; a star marks the one in use
    List(PrintArgs),
    /// Make a profile the default
    Use {
        /// The profile
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: String,
    },
    /// Print a profile as JSON, what may be secret masked
    Show {
        /// The profile [default: the one in use]
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: Option<String>,
        /// Print what config.json holds unmasked
        #[arg(long)]
        show_secrets: bool,
    },
    /// Set members of a profile, or of config.json as a whole
    ///
    /// A KEY is a member's name, with dots between the names of objects: model, base_url, provider, rate.per_minute,
    /// rate.per_day, timeouts.total, headers.NAME, query.NAME, body.NAME, allow_http, key.env, key.command, key.store,
    /// oauth.issuer, oauth.client_id, … 'qwen help config' describes all, Tab completes them. A name that is not known is
    /// refused with the nearest one. Of the file as a whole: default_profile, theme, env.allow.
    #[command(override_usage = "qwen-auth set [--new] [NAME] KEY=VALUE...", after_long_help = SET_EXAMPLES)]
    Set {
        /// Make the profile NAME, which must not be there yet
        #[arg(long)]
        new: bool,
        /// The profile, then KEY=VALUE; KEY= removes it
        ///
        /// Without a profile it is the one in use.
        #[arg(required = true, value_name = "KEY=VALUE", add = ArgValueCompleter::new(assignments))]
        words: Vec<String>,
    },
    /// Edit config.json in $VISUAL or $EDITOR; only a valid one is stored
    Edit,
    /// Check config.json, and print every fault with its place and remedy
    Check(PrintArgs),
    /// Give a profile another name; its credential moves along
    Rename {
        /// The profile
        #[arg(value_name = "NAME", add = ArgValueCandidates::new(profiles))]
        from: String,
        /// Its new name
        #[arg(value_name = "NEW")]
        to: String,
    },
    /// Remove a profile and its stored credential
    Remove {
        /// The profile
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: String,
    },
    /// Print the JSON schema of config.json
    Schema,
    /// Revoke and remove the credential of a profile
    Logout {
        /// The profile [default: the one in use]
        #[arg(add = ArgValueCandidates::new(profiles))]
        name: Option<String>,
        /// Remove the credentials of all profiles
        #[arg(long, conflicts_with_all = ["name", "profile"])]
        all: bool,
    },
}

const EXAMPLES: &str = qwen_shared::examples!(
    "qwen-auth",
    "qwen-auth",
    "qwen-auth use work",
    "qwen-auth set model=qwen3-coder rate.per_minute=30",
    "qwen-auth check",
    "qwen-auth logout --all",
);

const SET_EXAMPLES: &str = qwen_shared::examples!(
    "qwen-auth",
    "qwen-auth set model=qwen3-coder rate.per_minute=30",
    "qwen-auth set work headers.X-Team=search",
    "qwen-auth set work headers.X-Team=",
    "qwen-auth set --new lan base_url=http://192.168.1.50:11434/v1 model=qwen3",
);

#[derive(Debug, Default, clap::Args)]
pub(crate) struct PrintArgs {
    /// Output format: text or json
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

impl CommandLine for Args {
    fn common(&self) -> &Common {
        &self.common
    }

    fn meant_by(word: &str) -> Option<&'static str> {
        command_for(word)
    }
}

/// Returns the command line's grammar.
pub(crate) fn command() -> Command {
    Args::command()
}

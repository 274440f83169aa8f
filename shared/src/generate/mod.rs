//! The hidden `--generate SHELL`: completion scripts, written by the programs themselves.
//!
//! clap_complete writes the scripts from the command lines' grammar. What it cannot know is added here: values that a
//! running tool knows ([`live`]), values where its script for a shell has none, and, for the dispatcher, the way from
//! `qwen NAME …` to the completion of `qwen-NAME`. The added shell code stands in files of its own beside this one.

mod bash;
mod elvish;
mod fish;
mod live;
mod nushell;
mod powershell;
mod values;
mod zsh;

use std::ffi::OsStr;

use clap::Command;
use clap_complete::{Generator, Shell};
use clap_complete_nushell::Nushell;

use super::exit::{Exit, Failure, Outcome};
use super::output::Stdout;

/// Writes the completion script of `command` for the named shell to stdout.
///
/// A command that allows subcommands it does not know is a dispatcher: its subcommands stand for programs.
///
/// # Errors
/// Exit 64 for a shell that is not known.
pub fn generate(command: Command, shell: Option<&OsStr>) -> Outcome {
    let name = command.get_name().to_owned();
    let mut command = crate::generate::live::mark(command);
    command.set_bin_name(&name);
    command.build();
    let shell = shell.map(OsStr::to_string_lossy).unwrap_or_default();
    let script = match &*shell {
        "bash" => crate::generate::bash::finish(&raw(Shell::Bash, &command), &command),
        "zsh" => crate::generate::zsh::finish(&raw(Shell::Zsh, &command), &command),
        "fish" => crate::generate::fish::finish(&raw(Shell::Fish, &command), &command),
        "elvish" => crate::generate::elvish::finish(&raw(Shell::Elvish, &command), &command),
        "powershell" => crate::generate::powershell::finish(&raw(Shell::PowerShell, &command), &command),
        "nushell" => crate::generate::nushell::finish(&raw(Nushell, &command), &command),
        other => {
            return Err(
                Failure::new(Exit::Usage, format!("cannot generate completions for '{other}'")).hint(
                    format!("run '{name} --generate bash|zsh|fish|elvish|powershell|nushell'"),
                ),
            );
        }
    };
    Stdout::write(script.as_bytes())?;
    Ok(Exit::Ok)
}

fn raw(generator: impl Generator, command: &Command) -> String {
    let mut script = Vec::new();
    // Writing to memory does not fail.
    let _ = generator.try_generate(command, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

fn is_dispatcher(command: &Command) -> bool {
    command.is_allow_external_subcommands_set()
}

/// True for a command that runs another one, which stands after `--`.
fn takes_command(command: &Command) -> bool {
    command.get_positionals().any(clap::Arg::is_last_set)
}

/// Returns the shell code that leads from the dispatcher to its tools, with the names it needs filled in.
fn dispatch(code: &str, command: &Command, separator: &str) -> String {
    let tools: Vec<&str> = command
        .get_subcommands()
        .map(Command::get_name)
        .filter(|name| *name != "help")
        .collect();
    code.replace(
        "@VALUED@",
        &crate::generate::values::taking_flags(command).join(separator),
    )
    .replace("@TOOLS@", &tools.join(" "))
}

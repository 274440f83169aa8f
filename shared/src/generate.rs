//! The hidden `--generate SHELL`: completion scripts, written by the programs themselves.

use std::ffi::OsString;

use clap::Command;
use clap_complete::Shell;
use clap_complete_nushell::Nushell;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::out::Stdout;

/// Writes the completion script of `command` for the named shell to stdout.
///
/// # Errors
/// Exit 64 for a shell that is not known.
pub(crate) fn generate(mut command: Command, shell: Option<&OsString>) -> Outcome {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    match shell.and_then(|shell| shell.to_str()).unwrap_or_default() {
        "nushell" => clap_complete::generate(Nushell, &mut command, name, &mut script),
        other => {
            let shell: Shell = other.parse().map_err(|_| {
                Failure::new(Exit::Usage, format!("cannot generate completions for '{other}'")).hint(format!(
                    "run '{name} --generate bash|zsh|fish|elvish|powershell|nushell'"
                ))
            })?;
            clap_complete::generate(shell, &mut command, name, &mut script);
        }
    }
    Stdout::write(&script)?;
    Ok(Exit::Ok)
}

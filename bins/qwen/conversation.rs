//! `qwen` alone: a conversation where there is a terminal.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use qwen_shared::app::Common;
use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::process;

use crate::{args, dispatch};

/// Starts a conversation, after a login when there is no credential.
///
/// # Errors
/// Without a terminal: exit 77 when there is no credential, else 64, and the help on stderr. A credential check or login
/// that fails ends this with the same exit.
pub(crate) fn conversation(common: &Common, reporter: &Reporter) -> Outcome {
    let has_credential = has_credential(common)?;
    if !(std::io::stdin().is_terminal() && Stdout::is_terminal()) {
        return Err(no_terminal(has_credential, reporter));
    }
    if !has_credential {
        reporter.notice("no credential yet; running qwen-login");
        match process::run_tool(&mut tool("qwen-login", common)?)? {
            Exit::Ok => {}
            failed => return Ok(failed),
        }
    }
    dispatch::run("chat".as_ref(), common, &[])
}

fn no_terminal(has_credential: bool, reporter: &Reporter) -> Failure {
    if !reporter.is_quiet() {
        for line in args::command().render_help().to_string().lines() {
            reporter.plain(line);
        }
        reporter.plain("");
    }
    if has_credential {
        return Failure::new(Exit::Usage, "nothing to do: no tool, no question, no terminal")
            .hint("to ask a model, run \"qwen-chat 'your question'\"");
    }
    Failure::new(
        Exit::NoAuth,
        "no credential: neither an API key nor a login is configured",
    )
    .hint("run 'qwen-login'")
    .hint("or set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's")
}

/// Runs `qwen-token --check`.
fn has_credential(common: &Common) -> Result<bool, Failure> {
    // Errors are still printed.
    let quiet = Common {
        quiet: true,
        ..common.clone()
    };
    let mut check = tool("qwen-token", &quiet)?;
    check.arg("--check").stdin(Stdio::null()).stdout(Stdio::null());
    match process::run_tool(&mut check)? {
        Exit::Ok => Ok(true),
        Exit::No | Exit::NoAuth => Ok(false),
        other => {
            Err(Failure::new(other, "cannot tell whether there is a credential")
                .hint("run 'qwen-auth status'"))
        }
    }
}

/// Returns the command for a tool, with the common options.
fn tool(program: &str, common: &Common) -> Result<Command, Failure> {
    let path = process::find(program)
        .ok_or_else(|| Failure::new(Exit::NotFound, format!("'{program}' is not installed")))?;
    let mut command = Command::new(path);
    command.args(dispatch::common_arguments(common));
    Ok(command)
}

//! The login that comes first on a terminal where there is no credential.

use std::io::IsTerminal;
use std::process::{Command, Stdio};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::{Auth, Config, Key, Settings};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::process;

use super::args::Args;

/// Runs `qwen-login` on a terminal where there is no credential, as `qwen` does. Returns the exit of a login that failed.
///
/// # Errors
/// As [`process::run_tool`].
pub(crate) fn log_in_first(args: &Args, reporter: &Reporter) -> Result<Option<Exit>, Failure> {
    let is_seen = std::io::stdin().is_terminal() && Stdout::is_terminal() && Reporter::is_seen();
    let sends = !args.endpoint.dry_run && !args.endpoint.curl;
    if !is_seen || !sends || is_set("CI") {
        return Ok(None);
    }
    let settings = Settings::resolve(&args.overrides());
    if !is_missing(args, &settings)? {
        return Ok(None);
    }
    if let (Err(failure), Some(name)) = (&settings, &args.common.profile) {
        tell_misspelt(name, failure, reporter)?;
    }
    let Some(mut login) = tool("qwen-login", args) else {
        return Ok(None);
    };
    reporter.notice("no credential yet; running qwen-login");
    match process::run_tool(&mut login)? {
        Exit::Ok => Ok(None),
        failed => Ok(Some(failed)),
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Says that there is no such profile, and which may be meant: the login that comes now would make it.
fn tell_misspelt(name: &str, failure: &Failure, reporter: &Reporter) -> Result<(), Failure> {
    let profiles = Config::load()?.profiles;
    if !profiles.is_empty() && !profiles.contains_key(name) {
        reporter.notice(&failure.message);
        let nearest = failure
            .hints
            .iter()
            .find(|hint| hint.0.starts_with("did you mean"));
        nearest.iter().for_each(|hint| reporter.hint(&hint.0));
    }
    Ok(())
}

/// True when no settings name a credential, or the store that they name has none. What else is wrong is told where it is met.
fn is_missing(args: &Args, settings: &Result<Settings, Failure>) -> Result<bool, Failure> {
    let settings = match settings {
        Ok(settings) => settings,
        Err(failure) => return Ok(failure.exit == Exit::NoAuth),
    };
    if !matches!(
        settings.auth.value,
        Auth::ApiKey(Key::Stored(_)) | Auth::Oauth { .. }
    ) {
        return Ok(false);
    }
    let Some(mut check) = tool("qwen-token", args) else {
        return Ok(false);
    };
    check.args(["--check", "--quiet"]);
    check
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(matches!(process::run_tool(&mut check)?, Exit::No | Exit::NoAuth))
}

/// Returns the command for another program of the toolkit; `None` where it is not installed.
fn tool(name: &str, args: &Args) -> Option<Command> {
    let mut command = Command::new(process::find(name)?);
    if let Some(profile) = &args.common.profile {
        command.arg(format!("--profile={profile}"));
    }
    if let Some(color) = args.common.color.typed() {
        command.arg(format!("--color={color}"));
    }
    Some(command)
}

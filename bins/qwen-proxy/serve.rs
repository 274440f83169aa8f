//! Serving without a command, until a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::process;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, Outcome, cannot_start, io_exit, io_reason};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::shell::{Change, parent_shell};
use qwen_shared::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, TOGETHER, catch, end_by_signal};
use qwen_shared::text::one_line;
use rustix::fs::{Mode, OFlags, open};
use rustix::stdio::dup2_stdout;
use serde_json::{Map, Value};

use super::args::{Args, Format};
use super::notify::notify;
use super::run::Service;

/// How long requests that run may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(30);

/// Prints the variables and serves until SIGINT, SIGTERM or SIGHUP. What runs then is waited for; a second signal ends it.
///
/// # Errors
/// 74 where standard output takes no variables, 78 for one that the shell cannot hold.
pub(crate) fn serve(service: Service, args: &Args, reporter: &Reporter) -> Outcome {
    let signals = catch(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT])
        .map_err(|error| cannot_start("to wait for signals", &error))?;
    service.raise_descriptors();
    service.speak(reporter);
    let announced = announce(&service, args, reporter);
    let signal = match &announced {
        Ok(()) => signals.wait().ok(),
        Err(_) => None,
    };
    let asked = Instant::now();
    let _ = notify("STOPPING=1");
    let hurry = || signals.take().is_some() && asked.elapsed() >= TOGETHER;
    let limit = match signal {
        None | Some(SIGQUIT) => Duration::ZERO,
        Some(_) => DRAIN,
    };
    service.stop(limit, hurry, reporter);
    announced?;
    Err(end_by_signal(signal.unwrap_or(SIGTERM)))
}

/// Prints the variables, tells the service manager, and lets go of standard output: whoever reads it has all.
fn announce(service: &Service, args: &Args, reporter: &Reporter) -> Result<(), Failure> {
    let is_read = args.format.is_none() && Stdout::is_terminal();
    let text = variables(service, args, is_read)?;
    Stdout::write(text.as_bytes())?;
    if is_read {
        reporter.notice(
            "serving until Ctrl-C: clients need these variables; 'qwen-proxy -- COMMAND' runs one that has them, \
             'eval \"$(qwen-proxy &)\"' sets them in this shell",
        );
    }
    if let Err(error) = notify("READY=1") {
        reporter.notice(&format!(
            "the service manager was not told that this is ready: {error}"
        ));
    }
    let null = open("/dev/null", OFlags::WRONLY, Mode::empty()).and_then(dup2_stdout);
    null.map_err(|errno| {
        let error = errno.into();
        let message = format!("cannot let go of standard output: {}", io_reason(&error));
        Failure::new(io_exit(&error, Exit::Io), message)
    })
}

/// Returns what is printed: the variables for a shell, for a program or for a person.
fn variables(service: &Service, args: &Args, is_read: bool) -> Result<String, Failure> {
    let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in service.access().variables(&environment) {
        let value = value.into_string().map_err(|_| {
            Failure::new(
                Exit::Config,
                format!("{name}: the value is not UTF-8 and cannot be printed"),
            )
        })?;
        variables.insert(name, value);
    }
    variables.insert("QWEN_PROXY_PID", process::id().to_string());
    match args.format {
        Some(Format::Json) => Ok(json(variables)),
        None if is_read => Ok(lines(&variables)),
        Some(Format::Shell) | None => {
            let is_lent = |value: &OsStr| service.is_lent(value);
            let removed = service
                .access()
                .removed_from_shell(&environment, args.no_proxy_env, is_lent);
            statements(&variables, &removed, &environment)
        }
    }
}

fn json(variables: BTreeMap<&str, String>) -> String {
    let members = variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()));
    format!("{}\n", Value::Object(Map::from_iter(members)))
}

/// Returns the variables for a person.
fn lines(variables: &BTreeMap<&str, String>) -> String {
    let line = |(name, value): (&&str, &String)| format!("{name}={}\n", one_line(value));
    variables.iter().map(line).collect()
}

/// Returns statements for the shell that started this process. They survive an eval without quotes.
fn statements(
    variables: &BTreeMap<&str, String>,
    removed: &BTreeSet<String>,
    environment: &BTreeMap<OsString, OsString>,
) -> Result<String, Failure> {
    let shell = parent_shell();
    let mut changes = Vec::new();
    for (name, value) in variables {
        if let Some(reason) = shell.unsupported(name, value, true) {
            let message = format!("{name}: cannot be exported to {}: {reason}", shell.name());
            return Err(Failure::new(Exit::Config, message));
        }
        changes.push(Change::Set(name, value));
    }
    changes.extend(removed.iter().map(|name| Change::Unset(name)));
    let taken: Vec<_> = environment.keys().map(|name| name.to_string_lossy()).collect();
    Ok(shell.script(&changes, taken.iter().map(|name| &**name)))
}

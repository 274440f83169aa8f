//! Serving without a command, until a signal.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::process;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, Outcome, cannot_start, io_exit, io_reason};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::shell::{Change, parent_shell};
use qwen_shared::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, TOGETHER, catch, end_by_signal};
use rustix::fs::{Mode, OFlags, open};
use rustix::stdio::dup2_stdout;
use serde_json::{Map, Value};

use super::args::Format;
use super::environment::ADDRESSES;
use super::notify::notify;
use super::run::Service;

/// How long requests that run may go on after the first signal.
const DRAIN: Duration = Duration::from_secs(30);

/// Prints the variables and serves until SIGINT, SIGTERM or SIGHUP. What runs then is waited for; a second signal ends it.
///
/// # Errors
/// 74 where standard output takes no variables, 78 for one that the shell cannot hold.
pub(crate) fn serve(service: Service, format: Format, reporter: &Reporter) -> Outcome {
    let signals = catch(&[SIGINT, SIGTERM, SIGHUP, SIGQUIT])
        .map_err(|error| cannot_start("to wait for signals", &error))?;
    service.raise_descriptors();
    let announced = announce(&service, format, reporter);
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
fn announce(service: &Service, format: Format, reporter: &Reporter) -> Result<(), Failure> {
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
    let text = match format {
        Format::Shell => statements(&variables, &environment)?,
        Format::Json => {
            let object: Map<String, Value> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            format!("{}\n", Value::Object(object))
        }
    };
    Stdout::write(text.as_bytes())?;
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

/// Returns statements for the shell that started this process. They survive an eval without quotes.
fn statements(
    variables: &BTreeMap<&str, String>,
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
    // With a socket alone the token would go to the address that the shell has, which is another's.
    let others = ADDRESSES.into_iter().filter(|name| !variables.contains_key(name));
    changes.extend(others.map(Change::Unset));
    let taken: Vec<_> = environment.keys().map(|name| name.to_string_lossy()).collect();
    Ok(shell.script(&changes, taken.iter().map(|name| &**name)))
}

//! Opening a browser, where a person can see it.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io, thread};

use qwen_shared::process::find_absolute;
use qwen_shared::{provider, secret};

use crate::verification_uri::VerificationUri;

/// Browsers that would run in the terminal.
const TEXT_BROWSERS: [&str; 9] = [
    "www-browser",
    "lynx",
    "w3m",
    "links",
    "links2",
    "elinks",
    "browsh",
    "carbonyl",
    "edbrowse",
];

/// None of them is a text browser by itself.
const OPENERS: [&str; 5] = ["xdg-open", "gio open", "kde-open", "x-www-browser", "firefox"];

/// A program and its arguments, `%s` for the address.
type Opener = Vec<String>;

/// Returns the commands that may open an address, best first.
///
/// # Errors
/// The reason to open none: nobody sits at this machine, or the browser would take over the terminal.
pub(crate) fn openers() -> Result<Vec<Opener>, &'static str> {
    if is_set("NO_BROWSER") {
        return Err("NO_BROWSER is set");
    }
    if is_set("CI") {
        return Err("this is a CI job");
    }
    if env::var_os("DEBIAN_FRONTEND").is_some_and(|value| value == "noninteractive") {
        return Err("DEBIAN_FRONTEND is noninteractive");
    }
    let windows = is_wsl();
    if cfg!(target_os = "linux") && !windows && !has_display() {
        return Err("there is no display");
    }
    if cfg!(not(target_os = "linux")) && is_set("SSH_CONNECTION") {
        return Err("this is an SSH session");
    }
    if is_set("BROWSER") {
        return from_variable().ok_or("BROWSER is a text browser");
    }
    if is_container() {
        return Err("this is a container");
    }
    let words = |line: &&str| line.split(' ').map(str::to_owned).collect();
    Ok(if cfg!(target_os = "macos") {
        vec![vec!["open".to_owned()]]
    } else if windows {
        let openers = ["wslview", "rundll32.exe url.dll,FileProtocolHandler"];
        openers.iter().map(words).collect()
    } else {
        OPENERS.iter().map(words).collect()
    })
}

/// Opens the address with the first opener that succeeds, in the background: the address is on the screen too. Openers do
/// not get the variables `secrets`, nor those that [`may_be_secret`].
pub(crate) fn open(openers: Vec<Opener>, address: &VerificationUri, secrets: Vec<String>) {
    let address = address.as_str().to_owned();
    let _ = thread::Builder::new().name("browser".to_owned()).spawn(move || {
        openers
            .iter()
            .any(|opener| run(opener, &address, &secrets).unwrap_or(false))
    });
}

/// Runs an opener and waits for it; true when it succeeded. It runs without a shell and without the terminal, in a process
/// group of its own, so that Ctrl-C does not reach it.
fn run(opener: &Opener, address: &str, secrets: &[String]) -> io::Result<bool> {
    let Some((program, arguments)) = opener.split_first() else {
        return Ok(false);
    };
    let found = find_absolute(OsStr::new(program)).map_err(io::Error::other)?;
    let mut command = Command::new(found);
    command.arg0(program);
    if arguments.iter().any(|argument| argument.contains("%s")) {
        command.args(arguments.iter().map(|argument| argument.replace("%s", address)));
    } else {
        command.args(arguments).arg(address);
    }
    for (name, _) in env::vars_os() {
        let is_secret = |name: &str| may_be_secret(name) || secrets.iter().any(|secret| secret == name);
        if name.to_str().is_some_and(is_secret) {
            command.env_remove(&name);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    secret::restore_core_limit();
    let started = command.spawn();
    secret::forbid_core_dump();
    Ok(started?.wait()?.success())
}

/// Judges a variable by its name.
fn may_be_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["_KEY", "_TOKEN", "_SECRET", "_PASSWORD"]
        .iter()
        .any(|ending| upper.ends_with(ending))
        || provider::all().any(|provider| provider.key_variable.as_deref() == Some(name))
}

/// Parses `BROWSER`: commands separated by colons, `%s` for the address. `None` if all are text browsers.
fn from_variable() -> Option<Vec<Opener>> {
    let value = env::var("BROWSER").ok()?;
    let openers: Vec<Opener> = value
        .split(':')
        .map(|command| command.split_whitespace().map(str::to_owned).collect::<Opener>())
        .filter(|opener| opener.first().is_some_and(|program| !is_text_browser(program)))
        .collect();
    Some(openers).filter(|openers| !openers.is_empty())
}

fn is_text_browser(program: &str) -> bool {
    let name = Path::new(program).file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| TEXT_BROWSERS.contains(&name))
}

fn has_display() -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY", "MIR_SOCKET"]
        .into_iter()
        .any(is_set)
}

/// True in the Windows Subsystem for Linux, which opens the browser of Windows.
fn is_wsl() -> bool {
    cfg!(target_os = "linux") && (is_set("WSL_DISTRO_NAME") || is_set("WSL_INTEROP"))
}

fn is_container() -> bool {
    is_set("container") || Path::new("/.dockerenv").exists() || Path::new("/run/.containerenv").exists()
}

fn is_set(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty())
}

//! A key that a command prints: `{"command": ["pass", "show", "x"]}`.

mod child;

use std::borrow::Cow;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use self::child::{End, Limits, Running};
use rustix::io::Errno;

use crate::copied::check_key;
use crate::exit::{Exit, Failure, cannot_start, io_exit, io_reason};
use crate::net::config::KeyCommand;
use crate::output::Reporter;
use crate::paths;
use crate::process::find_absolute;
use crate::secret::Secret;
use crate::text::clip;

/// How long a command may take where a person can be asked: time enough to type a passphrase.
const ATTENDED: Duration = Duration::from_secs(60);

/// How long it may take where nobody can: the slowest of the clouds' own programs answer in ten.
const UNATTENDED: Duration = Duration::from_secs(30);

/// After this time a line says what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// The most that is read, in bytes.
const MAX_OUTPUT: usize = 64 << 10;

/// The variable by which a command that asks for its own key is told: the profiles whose commands it runs in.
const ASKED_FOR: &str = "QWEN_KEY_COMMAND";

/// Runs the command without a shell and returns the first line of what it prints.
///
/// It shares this process's terminal, so that it can ask; its stdin is empty, as ours may be the data of the request. It is
/// done when it ends: what it leaves behind may hold its descriptors.
///
/// # Errors
/// 78 when it cannot be run, or prints what is no key; 77 when it fails, and 75 when it fails with that very code, takes
/// too long or is interrupted.
pub(super) fn key_from(
    command: &KeyCommand,
    profile: &str,
    reporter: &Reporter,
) -> Result<Secret<String>, Failure> {
    let program = command.program();
    let failure = |exit, reason: &str| Failure::new(exit, format!("key command '{program}'{reason}"));
    let asked_for =
        asked_for(profile).ok_or_else(|| failure(Exit::Config, " asks for the key that it is to print"))?;
    let mut process = process(command).map_err(|reason| failure(Exit::Config, &format!(": {reason}")))?;
    process.env(ASKED_FOR, asked_for);
    let mut running =
        Running::start(process, !reporter.is_held()).map_err(|error| cannot_run(command, &error))?;
    let limits = Limits {
        total: match running.is_attended() {
            true => ATTENDED,
            false => UNATTENDED,
        },
        silence: SILENCE,
        output: MAX_OUTPUT,
    };
    let end = running
        .wait(&limits, &mut |event| match event {
            child::Event::Silence => reporter.notice(&format!("waiting for key command '{program}'")),
            child::Event::Line(line) => reporter.flow(&format!("{line}\n")),
        })
        .map_err(|error| failure(io_exit(&error, Exit::Io), &format!(": {}", io_reason(&error))))?;
    match end {
        End::Exited(status) if status.success() => match key_in(running.output()) {
            Ok(key) => Ok(key),
            Err(reason) => Err(failure(Exit::Config, &format!(": {reason}"))),
        },
        End::Exited(status) => Err(failed(program, status, &running)),
        End::TimedOut => {
            let reason = format!(" has not ended within {} s", limits.total.as_secs());
            Err(failure(Exit::TryAgain, &reason))
        }
        End::TooLong => {
            let reason = format!(" prints more than {} KiB; a key is one line", MAX_OUTPUT >> 10);
            Err(failure(Exit::Config, &reason))
        }
        End::Interrupted => Err(failure(Exit::TryAgain, " was interrupted")),
    }
}

/// Returns the profiles whose key commands are being run, this one included; `None` where it is among them already.
fn asked_for(profile: &str) -> Option<String> {
    let before = env::var(ASKED_FOR).unwrap_or_default();
    let is_among = before.split(':').any(|name| name == profile);
    match before.is_empty() {
        _ if is_among => None,
        true => Some(profile.to_owned()),
        false => Some(format!("{before}:{profile}")),
    }
}

/// Makes the process of a command.
///
/// # Errors
/// Why it cannot be run.
fn process(command: &KeyCommand) -> Result<Command, String> {
    let mut words = command.words.iter().map(|word| expanded(word));
    let program = words.next().ok_or("it has no words")??;
    let found = find_absolute(&program).map_err(|missing| format!("cannot run: {missing}"))?;
    let mut process = Command::new(found);
    process
        .arg0(&program)
        .args(words.collect::<Result<Vec<_>, _>>()?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(process)
}

/// Expands a tilde at the beginning of a word as a shell would: alone, or before a slash.
fn expanded(word: &str) -> Result<OsString, &'static str> {
    let Some(rest) = word
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
    else {
        return Ok(word.into());
    };
    let home = paths::home().ok_or("there is no home directory for its '~'")?;
    Ok(match rest.trim_start_matches('/') {
        "" => home.into_os_string(),
        rest => home.join(rest).into_os_string(),
    })
}

/// The failure of a command that could not be started.
fn cannot_run(command: &KeyCommand, error: &io::Error) -> Failure {
    let program = command.program();
    let (exit, reason) = match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => return cannot_start(&format!("key command '{program}'"), error),
        Some(Errno::NOEXEC) => (
            Exit::Config,
            "it is no program; a script begins with '#!'".to_owned(),
        ),
        Some(Errno::NOENT) if is_file(program) => (Exit::Config, "its interpreter is not there".to_owned()),
        Some(Errno::IO) => (Exit::Io, io_reason(error)),
        _ => (io_exit(error, Exit::Config), io_reason(error)),
    };
    Failure::new(exit, format!("key command '{program}': cannot run: {reason}"))
}

fn is_file(program: &str) -> bool {
    let found = expanded(program)
        .ok()
        .and_then(|program| find_absolute(&program).ok());
    found.as_deref().is_some_and(Path::is_file)
}

/// The failure of a command that ended with an error: what it said last is why.
fn failed(program: &str, status: ExitStatus, running: &Running) -> Failure {
    use std::os::unix::process::ExitStatusExt;
    /// `EX_TEMPFAIL` of `sysexits.h`, which the toolkit's own programs exit with too.
    const TEMPORARY: i32 = 75;
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("failed with exit {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "failed".to_owned(),
    };
    let mut message = format!("key command '{program}' {how}");
    if let Some(last) = running.last_line() {
        let mut last = last.to_owned();
        if let Ok(key) = key_in(running.output()) {
            last = last.replace(key.expose().as_str(), "***");
        }
        message.push_str(&format!(": {}", clip(&last, 300)));
    }
    let exit = match status.code() {
        Some(TEMPORARY) => Exit::TryAgain,
        _ => Exit::NoAuth,
    };
    Failure::new(exit, message)
}

/// Finds the key in what a command printed: its first line, as password managers keep notes below it.
///
/// # Errors
/// Why it is none.
fn key_in(output: &[u8]) -> Result<Secret<String>, Cow<'static, str>> {
    let output = output.strip_prefix(b"\xef\xbb\xbf").unwrap_or(output);
    if output.trim_ascii().is_empty() {
        return Err("it printed nothing".into());
    }
    if output.contains(&0) {
        return Err("it printed a NUL".into());
    }
    let end = output
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or(output.len());
    let Ok(line) = str::from_utf8(&output[..end]) else {
        return Err("the first line that it printed is not text in UTF-8".into());
    };
    // Programs of Windows, which a WSL has too, end lines by CR LF.
    let key = line.trim();
    if key.is_empty() {
        return Err("the first line that it printed is empty".into());
    }
    if key.starts_with(['{', '[']) {
        return Err("it printed JSON; make it print the key alone".into());
    }
    check_key(key)?;
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(
            "the first line that it printed is no key: one word of ASCII letters, digits and punctuation"
                .into(),
        );
    }
    Ok(Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::key_in;

    #[test]
    fn the_key_is_the_first_line() {
        for output in [
            "sk-1",
            "sk-1\n",
            "sk-1\r\n",
            "sk-1\r",
            "  sk-1 \n",
            "\u{feff}sk-1\n",
            "sk-1\nuser: me\nurl: https://x.example\n",
        ] {
            let key = key_in(output.as_bytes());
            assert_eq!(
                key.map(|key| key.expose().clone()).as_deref(),
                Ok("sk-1"),
                "{output:?}"
            );
        }
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        for (output, said) in [
            (&b""[..], "nothing"),
            (b" \n\n", "nothing"),
            (b"\nsk-1\n", "is empty"),
            (b"sk\0-1\n", "NUL"),
            (b"sk-1\n\0", "NUL"),
            (b"sk-\xff\n", "UTF-8"),
            (b"Error: the vault is locked\n", "no key"),
            (b"sk-1\rsk-2\n", "no key"),
            ("sk-schl\u{fc}ssel\n".as_bytes(), "no key"),
            (b"\x1b[32msk-1\x1b[0m\n", "no key"),
            (b"Bearer sk-1\n", "'Bearer'"),
            (b"\"sk-1\"\n", "quote"),
            (b"OPENAI_API_KEY=sk-1\n", "variable"),
            (b"{\n  \"key\": \"sk-1\"\n}\n", "JSON"),
            (b"{\"SecretString\":\"sk-1\"}", "JSON"),
            (b"-----BEGIN RSA PRIVATE KEY-----\nabc\n", "no key"),
        ] {
            let reason = key_in(output).map(|_| ()).unwrap_err();
            assert!(reason.contains(said), "{reason} for {output:?}");
            assert!(!reason.contains("sk-"));
        }
    }
}

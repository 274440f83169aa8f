//! The start of this process, and other programs: finding them and becoming them.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::{CString, OsStr, OsString};
use std::mem::forget;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fmt, io};

use nix::errno::Errno;
use nix::unistd::execve;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_getfd;
use rustix::stdio::{stdin, stdout};

use super::exit::{Exit, Failure, io_reason};
use super::secret::restore_core_limit;
use super::signal;

/// What is searched where PATH is not set, as in execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

ctor::declarative::ctor! {
    /// Runs before the runtime of the standard library, which hides what is asked here.
    #[ctor(unsafe)]
    fn before_main() {
        refuse_closed_streams();
        if may_exec() {
            signal::note_ignored();
        }
    }
}

/// True when this process may be about to become another program: the dispatcher, and a tool with a command after `--`.
/// The others do not ask the kernel which signals are ignored, which would be a tenth of the start of `qwen-env`.
fn may_exec() -> bool {
    let mut words = env::args_os();
    let program = words.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    let is_tool = name.as_bytes().starts_with(b"qwen-") && name != "qwen-code";
    !is_tool || words.any(|word| word == "--")
}

/// Opens standard input and output where they are closed, so that no other file takes their place; for reading only, so
/// that a result is not lost in silence: writing it fails. The standard library would open them for writing too.
fn refuse_closed_streams() {
    for stream in [stdin(), stdout()] {
        // The lowest free number is that of the stream.
        if fcntl_getfd(stream).is_err()
            && let Ok(null) = open("/dev/null", OFlags::RDONLY, Mode::empty())
        {
            forget(null);
        }
    }
}

/// Becomes the command; returns only when that fails.
///
/// The command starts with the core limit and the ignored signals that this process was started with.
///
/// The failure is exit 127 for a command that is not found and 126 for one that cannot be run, a script whose
/// interpreter is missing among them.
#[must_use]
pub fn become_command(command: &Command) -> Failure {
    restore_core_limit();
    let error = exec(command);
    let program = command.get_program();
    let shown = program.to_string_lossy();
    if let Some(missing) = MissingProgram::of(&error) {
        return Failure::new(Exit::NotFound, format!("'{shown}': command {missing}"));
    }
    if error.kind() != io::ErrorKind::NotFound {
        let message = format!("cannot run '{shown}': {}", io_reason(&error));
        return Failure::new(Exit::NotRunnable, message);
    }
    // ENOENT of a file that is there is about its interpreter.
    if shown.contains('/') && Path::new(program).is_file() {
        let message = format!("cannot run '{shown}': its interpreter is not there");
        return Failure::new(Exit::NotRunnable, message);
    }
    Failure::new(Exit::NotFound, format!("'{shown}': command not found"))
}

/// Replaces this process by a program with its arguments and changes of the environment, as execvp(3) does but through the
/// absolute entries of PATH alone; returns why not.
///
/// The standard library's own `exec` gives SIGPIPE its default even where the parent ignored it.
#[must_use]
pub fn exec(command: &Command) -> io::Error {
    let program = command.get_program();
    let environment = environment_of(command);
    let path = environment.get(OsStr::new("PATH")).cloned();
    let path = path.unwrap_or_else(|| DEFAULT_PATH.into());
    let (words, variables) = match words(command).and_then(|words| Ok((words, variables(environment)?))) {
        Ok(both) => both,
        Err(error) => return error,
    };
    let error = exec_first(&files(program, &path), &words, &variables);
    if error.kind() == io::ErrorKind::NotFound
        && !is_path(program)
        && let Some(entry) = relative_entry_with(program, &path)
    {
        return io::Error::new(io::ErrorKind::NotFound, MissingProgram::OnlyIn(entry));
    }
    error
}

/// Returns the environment of this process with the command's changes.
fn environment_of(command: &Command) -> BTreeMap<OsString, OsString> {
    let mut environment: BTreeMap<OsString, OsString> = env::vars_os().collect();
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => environment.insert(name.to_owned(), value.to_owned()),
            None => environment.remove(name),
        };
    }
    environment
}

/// Returns the files that a program's name may mean, in the order in which they are tried.
fn files(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if is_path(program) {
        return vec![PathBuf::from(program)];
    }
    env::split_paths(path)
        .filter(|entry| entry.is_absolute())
        .map(|directory| directory.join(program))
        .collect()
}

/// True for a name that is not looked up in PATH.
fn is_path(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

/// Returns the command's words as execve(2) takes them.
fn words(command: &Command) -> io::Result<Vec<CString>> {
    [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(c_string)
        .collect()
}

/// Returns the environment as execve(2) takes it.
fn variables(environment: BTreeMap<OsString, OsString>) -> io::Result<Vec<CString>> {
    environment
        .into_iter()
        .map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(&name)
        })
        .collect()
}

/// Becomes the first of the files that can be run.
fn exec_first(files: &[PathBuf], words: &[CString], variables: &[CString]) -> io::Error {
    signal::pass_on_sigpipe();
    let mut last = Errno::ENOENT;
    for file in files {
        let Ok(file) = c_string(file.as_os_str()) else {
            continue;
        };
        let Err(mut errno) = execve(&file, words, variables);
        if errno == Errno::ENOEXEC {
            // A script without a `#!` line.
            let shell = [&[c"/bin/sh".to_owned(), file], &words[1..]].concat();
            let Err(refused) = execve(&shell[0], &shell, variables);
            errno = refused;
        }
        match errno {
            Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT => {}
            Errno::EACCES => last = errno,
            _ => return errno.into(),
        }
    }
    last.into()
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.to_owned().into_vec())?)
}

/// Why a program was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissingProgram {
    /// No absolute entry of PATH has it.
    NotFound,
    /// It is only in this entry of PATH, which is relative to the working directory.
    OnlyIn(PathBuf),
    /// It was named by a path that is relative to the working directory.
    Relative,
}

impl MissingProgram {
    fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl fmt::Display for MissingProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::OnlyIn(entry) if entry.as_os_str().is_empty() => {
                f.write_str("not found (an empty entry of PATH leads to it, which is not searched)")
            }
            Self::OnlyIn(entry) => {
                let entry = entry.display();
                write!(
                    f,
                    "not found (it is only in '{entry}' of PATH, which is not absolute and so not searched)"
                )
            }
            Self::Relative => f.write_str("not found (name it by a path from / on)"),
        }
    }
}

impl Error for MissingProgram {}

/// Finds a program that a setting names, in the absolute entries of PATH or by an absolute path, so that a file planted in the
/// working directory is never run.
///
/// # Errors
/// It is not there, or only where a relative path leads.
pub fn find_absolute(program: &OsStr) -> Result<PathBuf, MissingProgram> {
    let as_path = Path::new(program);
    if as_path.is_absolute() {
        return Ok(as_path.to_path_buf());
    }
    if is_path(program) {
        return Err(MissingProgram::Relative);
    }
    let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    env::split_paths(&path)
        .filter(|entry| entry.is_absolute())
        .map(|entry| entry.join(program))
        .find(|file| is_program(file))
        .ok_or_else(|| {
            relative_entry_with(program, &path).map_or(MissingProgram::NotFound, MissingProgram::OnlyIn)
        })
}

/// Returns the first entry of PATH that is not absolute and has the program.
fn relative_entry_with(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .filter(|entry| !entry.is_absolute())
        .find(|entry| is_program(&Path::new(".").join(entry).join(program)))
}

/// Finds a program of the toolkit: beside this program's own file, else in the absolute entries of PATH.
///
/// Empty and relative entries of PATH are passed over, so that a file planted in the working directory is never run.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    directories()
        .map(|directory| directory.join(name))
        .find(|path| is_program(path))
}

/// Finds, where [`find`] finds nothing, the file of that name that nobody may execute: a shell's exit 126.
#[must_use]
pub fn find_not_runnable(name: &str) -> Option<PathBuf> {
    directories()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
}

/// Returns the directory of this program's own file, links resolved.
#[must_use]
pub fn own_directory() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    Some(own.canonicalize().unwrap_or(own).parent()?.to_path_buf())
}

/// Returns the directories that are searched, in order: this program's own, then the absolute entries of PATH.
pub fn directories() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let absolute: Vec<PathBuf> = env::split_paths(&path)
        .filter(|entry| entry.is_absolute())
        .collect();
    own_directory().into_iter().chain(absolute)
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

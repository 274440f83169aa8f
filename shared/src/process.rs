//! The start of this process, and other programs: finding them and becoming them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::mem::forget;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::{env, fmt, io};

use nix::errno::Errno;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{self, execve, getpgid, getsid};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::fcntl_getfd;
use rustix::process::{Pid, Signal, kill_process};
use rustix::stdio::{stderr, stdin, stdout};

use super::exit::{Exit, Failure, cannot_start, io_exit, io_reason};
use super::secret::{forbid_core_dump, restore_core_limit};
use super::signal;

/// What is searched where PATH is not set, as in execvp(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The longest `NAME=value` in bytes. Linux takes 131,072 with the final NUL (`MAX_ARG_STRLEN`, execve(2)); one byte
/// more, once exported, makes every later program fail to start.
pub const VARIABLE_LIMIT: usize = 131_071;

/// Checks that a program could be started with this variable.
///
/// # Errors
/// 78 for a value with a NUL, or longer than the limit with its name.
pub fn check_exportable(name: &str, value: &str) -> Result<(), Failure> {
    if value.contains('\0') {
        let message = format!("'{name}' is not exported: it holds a NUL, where every variable ends");
        return Err(Failure::new(Exit::Config, message).hint("write it without '\\u0000' in config.json"));
    }
    if name.len() + 1 + value.len() > VARIABLE_LIMIT {
        let message = format!("'{name}' is not exported: with its name it is longer than 131,071 bytes");
        return Err(Failure::new(Exit::Config, message).hint("no program could be started with it"));
    }
    Ok(())
}

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

/// Opens the standard streams where they are closed, so that no other file takes their place; for reading only, so that a
/// result is not lost in silence: writing it fails. The standard library would open them for writing too. Another program
/// that this process becomes or starts finds them closed.
fn refuse_closed_streams() {
    for stream in [stdin(), stdout(), stderr()] {
        // The lowest free number is that of the stream.
        if fcntl_getfd(stream).is_err()
            && let Ok(null) = open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
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
    not_started(command, &error)
}

/// Starts the command as a child that finds everything as this process found it: the core limit, the ignored signals, and
/// the standard streams that were closed. It is of the same process group, and its name is looked up as [`exec`] does.
///
/// What this process catches has its default there. When this process panics, the child gets SIGTERM.
///
/// # Errors
/// As [`become_command`].
pub fn spawn(command: &Command) -> Result<Spawned, Failure> {
    let start = || -> io::Result<_> {
        let (actions, attributes) = (PosixSpawnFileActions::init()?, PosixSpawnAttr::init()?);
        Program::of(command)?
            .start(|file, words, variables| posix_spawn(file, &actions, &attributes, words, variables))
    };
    restore_core_limit();
    let started = start();
    forbid_core_dump();
    match started {
        Ok(pid) => {
            SPAWNED.store(pid.as_raw(), Ordering::SeqCst);
            Ok(Spawned(pid.as_raw()))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(cannot_start("a process", &error)),
        Err(error) => Err(not_started(command, &error)),
    }
}

/// A child of [`spawn`].
#[derive(Debug)]
pub struct Spawned(i32);

/// The process ID of the child that ends with this process; 0 for none.
static SPAWNED: AtomicI32 = AtomicI32::new(0);

impl Spawned {
    /// Returns its process ID.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.0
    }
}

impl Drop for Spawned {
    /// It was waited for: its number may be another's soon.
    fn drop(&mut self) {
        SPAWNED.store(0, Ordering::SeqCst);
    }
}

/// Ends the child that is running, if there is one.
pub(crate) fn end_spawned() {
    if let Some(pid) = Pid::from_raw(SPAWNED.swap(0, Ordering::SeqCst)) {
        let _ = kill_process(pid, Signal::TERM);
        let _ = kill_process(pid, Signal::CONT);
    }
}

/// Returns the failure of a command that could not be run.
fn not_started(command: &Command, error: &io::Error) -> Failure {
    let program = command.get_program();
    let shown = program.to_string_lossy();
    if let Some(missing) = MissingProgram::of(error) {
        return Failure::new(Exit::NotFound, format!("'{shown}': command {missing}"));
    }
    if error.kind() != io::ErrorKind::NotFound {
        let message = format!("cannot run '{shown}': {}", io_reason(error));
        return Failure::new(io_exit(error, Exit::NotRunnable), message);
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
    match Program::of(command) {
        Ok(program) => program.start(|file, words, variables| {
            let Err(errno) = execve(file, words, variables);
            Err(errno)
        }),
        Err(error) => Err(error),
    }
    .map_or_else(|error| error, |never: Infallible| match never {})
}

/// A program as the kernel takes it.
struct Program {
    name: OsString,
    path: OsString,
    words: Vec<CString>,
    variables: Vec<CString>,
}

impl Program {
    fn of(command: &Command) -> io::Result<Self> {
        let environment = environment_of(command);
        let path = environment.get(OsStr::new("PATH")).cloned();
        Ok(Self {
            name: command.get_program().to_owned(),
            path: path.unwrap_or_else(|| DEFAULT_PATH.into()),
            words: words(command)?,
            variables: variables(environment)?,
        })
    }

    /// Starts the first of the files that the name may mean which can be run.
    fn start<T>(&self, start: impl Fn(&CStr, &[CString], &[CString]) -> nix::Result<T>) -> io::Result<T> {
        signal::pass_on_sigpipe();
        let mut last = Errno::ENOENT;
        for file in files(&self.name, &self.path) {
            let Ok(file) = c_string(file.as_os_str()) else {
                continue;
            };
            let mut result = start(&file, &self.words, &self.variables);
            if matches!(result, Err(Errno::ENOEXEC)) {
                // A script without a `#!` line.
                let shell = [&[c"/bin/sh".to_owned(), file], &self.words[1..]].concat();
                result = start(&shell[0], &shell, &self.variables);
            }
            match result {
                Ok(started) => return Ok(started),
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV | Errno::ETIMEDOUT) => {}
                Err(Errno::EACCES) => last = Errno::EACCES,
                Err(errno) => return Err(errno.into()),
            }
        }
        if last == Errno::ENOENT
            && !is_path(&self.name)
            && let Some(entry) = relative_entry_with(&self.name, &self.path)
        {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                MissingProgram::OnlyIn(entry),
            ));
        }
        Err(last.into())
    }
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
    if program.is_empty() {
        return Vec::new();
    }
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
    /// This file in an absolute entry of PATH has its name, and nobody may execute it.
    NotExecutable(PathBuf),
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
            Self::NotExecutable(path) => write!(f, "'{}' is not executable", path.display()),
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
    let files = || files(program, &path).into_iter();
    if let Some(found) = files().find(|file| is_program(file)) {
        return Ok(found);
    }
    Err(
        match (
            relative_entry_with(program, &path),
            files().find(|file| file.is_file()),
        ) {
            (Some(entry), _) => MissingProgram::OnlyIn(entry),
            (None, Some(file)) => MissingProgram::NotExecutable(file),
            (None, None) => MissingProgram::NotFound,
        },
    )
}

/// Returns the first entry of PATH that is not absolute and has the program.
fn relative_entry_with(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path)
        .filter(|entry| !entry.is_absolute())
        .find(|entry| is_program(&Path::new(".").join(entry).join(program)))
}

/// The job that a process belongs to, and the session of that job. A number is 0 where the leader is outside the PID
/// namespace of this process, as in a container that somebody entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
}

/// Returns the job of a process; `None` where there is no such process.
#[must_use]
pub fn job_of(pid: Pid) -> Option<Job> {
    // rustix takes a number for one above 0.
    let pid = Some(unistd::Pid::from_raw(pid.as_raw_nonzero().get()));
    Some(Job {
        group: getpgid(pid).ok()?.as_raw(),
        session: getsid(pid).ok()?.as_raw(),
    })
}

/// Runs another program of the toolkit and waits for its exit. Where a signal that a person sends ended it, this process ends
/// by the same one: at a question of the other, Ctrl-C is a key, and reaches that program alone.
///
/// # Errors
/// Exit 126 when it cannot be run, 70 for an exit code that is none of the toolkit's.
pub fn run_tool(command: &mut Command) -> Result<Exit, Failure> {
    let path = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(|error| {
        let message = format!("cannot run '{path}': {}", io_reason(&error));
        Failure::new(Exit::NotRunnable, message)
    })?;
    let is_persons = |number: &i32| {
        matches!(
            *number,
            signal::SIGHUP | signal::SIGINT | signal::SIGQUIT | signal::SIGTERM
        )
    };
    if let Some(number) = status.signal().filter(is_persons) {
        return Err(signal::end_by_signal(number));
    }
    Exit::from_code(status.code())
        .ok_or_else(|| Failure::new(Exit::Bug, format!("'{path}' ended with {status}")))
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

/// Raises the soft limit on open files to `wanted`, as far as the hard one lets it, where it is lower. Returns what is
/// allowed then; `None` where the system does not say.
#[must_use]
pub fn raise_open_files(wanted: u64) -> Option<u64> {
    let (allowed, most) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let raised = wanted.min(most);
    if allowed >= raised {
        return Some(allowed);
    }
    let is_raised = setrlimit(Resource::RLIMIT_NOFILE, raised, most).is_ok();
    Some(if is_raised { raised } else { allowed })
}

/// Returns the directory of this program's own file, links resolved.
#[must_use]
pub fn own_directory() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    // Linux has resolved them.
    let own = match cfg!(target_os = "linux") {
        true => own,
        false => own.canonicalize().unwrap_or(own),
    };
    Some(own.parent()?.to_path_buf())
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

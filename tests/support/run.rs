//! Running a program and judging what came of it.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Once};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::hints;

/// How long a test waits for what must come. It is no measure: a test that waits this long has found a fault.
pub const LIMIT: Duration = Duration::from_secs(240);

/// Waits until something holds that nobody announces: a file, the state of a process.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The next line that a started program writes to stderr, and no byte more.
pub fn next_line(child: &mut Child) -> String {
    let stderr = child.stderr.as_mut().unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while !line.ends_with(b"\n") && stderr.read(&mut byte).unwrap() == 1 {
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

/// Sends a signal to a started program.
pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// A program that will start with every signal at its default action.
///
/// A signal that is ignored stays ignored in a child, and tests may run where some are: under nohup, or in the
/// background of a script. One that has a handler is at its default in a child (POSIX, exec), so the ignored ones get
/// a handler, which does nothing. Blocked signals and SIGPIPE are std's work.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.map_or(0, |bits| u64::from_str_radix(bits.trim(), 16).unwrap());
        for signal in 1..32 {
            let is_ours = !signal_hook::consts::FORBIDDEN.contains(&signal);
            if is_ours && ignored & (1 << (signal - 1)) != 0 {
                signal_hook::flag::register(signal, Arc::default()).unwrap();
            }
        }
    });
    Command::new(program)
}

/// A program about to run, with an environment that holds only what the test set.
#[derive(Debug)]
pub struct Tool {
    command: Command,
    stdin: Option<Vec<u8>>,
    limit: Duration,
}

impl Tool {
    pub fn new(program: &Path, directory: &Path) -> Self {
        let mut command = command(program);
        command.env_clear().current_dir(directory);
        Self {
            command,
            stdin: None,
            limit: LIMIT,
        }
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Bytes for stdin; without this stdin is `/dev/null`.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The time after which a program that still runs is killed and the test fails; [`LIMIT`] unless told.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The bare command, for tests that hold the pipes themselves.
    pub fn into_command(self) -> Command {
        self.command
    }

    /// Starts the program with piped stdio and returns at once.
    pub fn start(mut self) -> Child {
        let stdin = if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        };
        let mut child = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        if let Some(bytes) = self.stdin.take() {
            let mut pipe = child.stdin.take().unwrap();
            thread::spawn(move || {
                let _ = pipe.write_all(&bytes);
            });
        }
        child
    }

    /// Runs the program to its end.
    pub fn run(self) -> Run {
        let limit = self.limit;
        let shown = format!("{:?}", self.command);
        Run::within(limit, self.start(), &shown)
    }
}

/// What came of a program.
#[derive(Debug)]
pub struct Run {
    pub shown: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Run {
    /// Waits for the end of a started program.
    pub fn wait(child: Child, shown: &str) -> Self {
        Self::within(LIMIT, child, shown)
    }

    /// Waits for a started program; kills it and fails when it outlives `limit`.
    fn within(limit: Duration, mut child: Child, shown: &str) -> Self {
        let started = Instant::now();
        let stdout = drain(child.stdout.take());
        let stderr = drain(child.stderr.take());
        let pid = Pid::from_child(&child);
        let (done, finished) = std::sync::mpsc::channel();
        let waiter = thread::spawn(move || {
            let status = child.wait().unwrap();
            let _ = done.send(());
            status
        });
        if finished.recv_timeout(limit).is_err() {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waiter.join();
            let said = String::from_utf8_lossy(&stderr.join().unwrap()).into_owned();
            panic!("{shown}: still running after {limit:?}; stderr: {said}");
        }
        let stderr = String::from_utf8_lossy(&stderr.join().unwrap()).into_owned();
        hints::check(&stderr, shown);
        Self {
            shown: shown.to_owned(),
            status: waiter.join().unwrap(),
            stdout: stdout.join().unwrap(),
            stderr,
            elapsed: started.elapsed(),
        }
    }

    /// The exit code as a shell shows it: 128 + N for a death by signal N.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Checks the exit code alone; for runs whose output the test then reads.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "exit of {self:#?}");
        self
    }

    /// Checks exit code, stdout and stderr, each exactly.
    #[track_caller]
    pub fn gives(self, code: i32, stdout: impl AsRef<[u8]>, stderr: &str) -> Self {
        let want = stdout.as_ref();
        assert_eq!(
            (self.code(), self.text(), self.stderr.as_str()),
            (code, String::from_utf8_lossy(want).into_owned(), stderr),
            "{}",
            self.shown
        );
        assert_eq!(self.stdout, want, "{}", self.shown);
        self
    }

    /// Checks that the exit code is `code`, stdout is empty, and stderr names every one of `parts`.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Self {
        assert_eq!((self.code(), self.text().as_str()), (code, ""), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} on stderr of {self:#?}");
        }
        self
    }
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

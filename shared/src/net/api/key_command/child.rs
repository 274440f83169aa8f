//! A process that prints a secret: its output, its complaints and its end, within limits.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::termios::Termios;
use zeroize::Zeroizing;

use crate::secret;
use crate::signal::{self, Caught, SIGHUP, SIGINT, SIGTERM};
use crate::terminal::Terminal;
use crate::text::one_line;

/// How long a process that is to end may take to put things in order, such as the echo of the terminal.
const GRACE: Duration = Duration::from_millis(500);

/// The most that is kept of one line of its complaints, in bytes.
const LINE: usize = 4096;

/// What ends the wait for a process.
pub(super) struct Limits {
    /// The longest time.
    pub(super) total: Duration,
    /// The time after which there is an [`Event::Silence`].
    pub(super) silence: Duration,
    /// The most output, in bytes.
    pub(super) output: usize,
}

/// How it came out.
pub(super) enum End {
    Exited(ExitStatus),
    TimedOut,
    TooLong,
    /// This process was told to end.
    Interrupted,
}

/// What happens meanwhile.
pub(super) enum Event<'a> {
    /// It takes long.
    Silence,
    /// A line of its stderr, made harmless, where that is not the terminal's.
    Line(&'a str),
}

/// A process that runs.
///
/// It is of this process's group where that is in the foreground of a terminal: it may ask there, and Ctrl-C reaches it.
/// Elsewhere it has a group of its own, which ends with it.
pub(super) struct Running {
    child: Child,
    /// Set where a person can be asked.
    terminal: Option<(Terminal, Option<Termios>)>,
    output: Zeroizing<Vec<u8>>,
    complaints: Complaints,
    /// `None` where the kernel gives no descriptors.
    signals: Option<Caught>,
}

impl Running {
    /// Starts a process whose stdout is a pipe; where it may not ask, the terminal is another program's, and none of it is shown
    /// there.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub(super) fn start(mut command: Command, may_ask: bool) -> io::Result<Self> {
        let terminal = Terminal::open().filter(|terminal| may_ask && terminal.is_foreground());
        let terminal = terminal.map(|terminal| {
            let modes = terminal.modes().ok();
            (terminal, modes)
        });
        if terminal.is_none() {
            command.process_group(0);
        }
        if !may_ask || !io::stderr().is_terminal() {
            command.stderr(Stdio::piped());
        }
        // Before there is anything that they could leave behind.
        let signals = signal::catch(&[SIGINT, SIGTERM, SIGHUP]).ok();
        // The limit on core dumps is ours: the command has the user's.
        secret::restore_core_limit();
        let child = command.spawn();
        secret::forbid_core_dump();
        let mut running = Self {
            child: child?,
            terminal,
            output: Zeroizing::default(),
            complaints: Complaints::default(),
            signals,
        };
        match running.never_block() {
            Ok(()) => Ok(running),
            Err(error) => {
                running.kill()?;
                Err(error)
            }
        }
    }

    /// Makes reads of its pipes return what there is.
    fn never_block(&self) -> io::Result<()> {
        if let Some(pipe) = &self.child.stdout {
            ioctl_fionbio(pipe, true)?;
        }
        if let Some(pipe) = &self.child.stderr {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(())
    }

    /// True where it can ask a person.
    pub(super) const fn is_attended(&self) -> bool {
        self.terminal.is_some()
    }

    /// Waits until it ends, and ends it where it may not go on. An open pipe is not waited for: it may be that of an agent
    /// which the process has left behind.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub(super) fn wait(&mut self, limits: &Limits, report: &mut dyn FnMut(Event<'_>)) -> io::Result<End> {
        // Grown while it is filled it would leave copies behind.
        self.output.reserve_exact(limits.output + 1);
        let end = self.watch(limits, report);
        self.complaints.end(report);
        if !matches!(end, Ok(End::Exited(_))) {
            self.kill()?;
            // Ends this process too, unless another one in it deals with the signal.
            drop(self.signals.take());
        }
        end
    }

    fn watch(&mut self, limits: &Limits, report: &mut dyn FnMut(Event<'_>)) -> io::Result<End> {
        const LONGEST_PAUSE: Duration = Duration::from_millis(20);
        let started = Instant::now();
        let (mut pause, mut is_silent) = (Duration::from_millis(1), true);
        loop {
            let ended = self.child.try_wait()?;
            self.read(limits.output, report)?;
            if self.output.len() > limits.output {
                return Ok(End::TooLong);
            }
            if let Some(status) = ended {
                // Ctrl-C ends both, and often the command first: it may have left the terminal without echo.
                return Ok(match self.pause(Duration::ZERO)? {
                    true => End::Interrupted,
                    false => End::Exited(status),
                });
            }
            if started.elapsed() >= limits.total {
                return Ok(End::TimedOut);
            }
            if is_silent && started.elapsed() >= limits.silence {
                is_silent = false;
                report(Event::Silence);
            }
            if self.pause(pause)? {
                return Ok(End::Interrupted);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Returns what it wrote to stdout.
    pub(super) fn output(&self) -> &[u8] {
        &self.output
    }

    /// Returns the last line of its stderr that is not blank, where that is not the terminal's.
    pub(super) fn last_line(&self) -> Option<&str> {
        Some(self.complaints.last.as_str()).filter(|line| !line.is_empty())
    }

    /// Reads what there is in its pipes.
    fn read(&mut self, limit: usize, report: &mut dyn FnMut(Event<'_>)) -> io::Result<()> {
        let output = &mut self.output;
        let is_open = take(&mut self.child.stdout, &mut |bytes| {
            let room = (limit + 1).saturating_sub(output.len());
            output.extend_from_slice(&bytes[..bytes.len().min(room)]);
            output.len() <= limit
        })?;
        if !is_open {
            self.child.stdout = None;
        }
        let complaints = &mut self.complaints;
        let is_open = take(&mut self.child.stderr, &mut |bytes| {
            complaints.push(bytes, report);
            true
        })?;
        if !is_open {
            self.child.stderr = None;
        }
        Ok(())
    }

    /// Waits for anything to happen; true for a signal that ends this process. It stays to be taken.
    fn pause(&self, limit: Duration) -> io::Result<bool> {
        let pipes = [
            self.child.stdout.as_ref().map(AsFd::as_fd),
            self.child.stderr.as_ref().map(AsFd::as_fd),
        ];
        let signals = self.signals.as_ref().map(AsFd::as_fd);
        let all = signals.into_iter().chain(pipes.into_iter().flatten());
        let mut fds: Vec<PollFd<'_>> = all
            .map(|fd: BorrowedFd<'_>| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut fds, Timespec::try_from(limit).ok().as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(signals.is_some() && fds.first().is_some_and(|first| !first.revents().is_empty()))
    }

    /// Ends it and what it has started, and puts the terminal's modes back: it may have been asking for a password.
    fn kill(&mut self) -> io::Result<()> {
        let all = match self.terminal {
            Some(_) => descendants(Pid::from_child(&self.child)),
            None => Vec::new(),
        };
        self.send(Signal::TERM, &all);
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() && asked.elapsed() < GRACE {
            thread::sleep(Duration::from_millis(5));
        }
        self.send(Signal::KILL, &all);
        self.child.wait()?;
        if let Some((terminal, Some(modes))) = &self.terminal {
            let _ = terminal.set_modes(modes);
        }
        Ok(())
    }

    /// Sends a signal to its group where it has one, else to these processes.
    fn send(&self, signal: Signal, all: &[Pid]) {
        match self.terminal {
            Some(_) => {
                for &pid in all {
                    let _ = kill_process(pid, signal);
                }
            }
            None => {
                let _ = kill_process_group(Pid::from_child(&self.child), signal);
            }
        }
    }
}

/// Reads what there is; false at the end.
fn take(pipe: &mut Option<impl Read>, push: &mut dyn FnMut(&[u8]) -> bool) -> io::Result<bool> {
    let Some(pipe) = pipe else {
        return Ok(false);
    };
    let mut bytes = Zeroizing::new([0; 4096]);
    loop {
        match pipe.read(&mut *bytes) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                if !push(&bytes[..length]) {
                    return Ok(true);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns a process and all below it, where the kernel tells.
fn descendants(pid: Pid) -> Vec<Pid> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let tasks = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero()));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
            found.extend(children.filter_map(Pid::from_raw));
        }
        at += 1;
    }
    found
}

/// The lines of a stderr.
#[derive(Default)]
struct Complaints {
    rest: Vec<u8>,
    /// The last one that was not blank.
    last: String,
}

impl Complaints {
    fn push(&mut self, bytes: &[u8], report: &mut dyn FnMut(Event<'_>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE.saturating_sub(self.rest.len());
            self.rest.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end(report);
            }
        }
    }

    /// Ends a line.
    fn end(&mut self, report: &mut dyn FnMut(Event<'_>)) {
        let line = one_line(&String::from_utf8_lossy(&std::mem::take(&mut self.rest)));
        let line = line.trim();
        if !line.is_empty() {
            line.clone_into(&mut self.last);
            report(Event::Line(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::{End, Event, Limits, Running};

    fn run(script: &str, total: Duration) -> (End, String, Vec<String>) {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut running = Running::start(command, true).unwrap();
        let mut events = Vec::new();
        let limits = Limits {
            total,
            silence: Duration::from_millis(30),
            output: 1000,
        };
        let end = running.wait(&limits, &mut |event| {
            events.push(match event {
                Event::Silence => "silence".to_owned(),
                Event::Line(line) => line.to_owned(),
            });
        });
        let output = String::from_utf8_lossy(running.output()).into_owned();
        (end.unwrap(), output, events)
    }

    const LONG: Duration = Duration::from_secs(200);

    #[test]
    fn one_that_does_not_end_is_ended_with_what_it_started() {
        let script = "trap '' TERM; (trap '' TERM; sleep 300) & echo $!; while :; do sleep 300; done";
        let (end, output, events) = run(script, Duration::from_millis(300));
        assert!(matches!(end, End::TimedOut));
        assert!(events.contains(&"silence".to_owned()), "{events:?}");
        let child = format!("/proc/{}/stat", output.trim());
        let is_gone = || {
            std::fs::read_to_string(&child).is_ok_and(|stat| stat.contains(") Z "))
                || !std::path::Path::new(&child).exists()
        };
        while !is_gone() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn one_that_prints_without_end_is_ended() {
        let (end, output, _) = run("yes", LONG);
        assert!(matches!(end, End::TooLong));
        assert_eq!(output.len(), 1001);
    }

    #[test]
    fn what_was_printed_before_the_end_is_there_though_others_hold_the_pipe() {
        let (end, output, _) = run("sleep 300 & echo key", LONG);
        assert!(matches!(end, End::Exited(status) if status.success()));
        assert_eq!(output, "key\n");
    }

    #[test]
    fn complaints_are_lines_without_what_could_move_a_cursor() {
        let (_, _, events) = run("printf '\\033[31mred\\n\\n a\\007b' >&2; exit 1", LONG);
        assert_eq!(events, ["[31mred", "ab"]);
    }
}

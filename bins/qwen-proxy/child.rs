//! The command, as a child that its shell, its terminal and whoever sends it signals find as if there were no proxy.

use std::io;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure, Outcome, cannot_start, io_reason};
use qwen_shared::process::{Spawned, spawn};
use qwen_shared::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTSTP, default_action, is_ignored};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, waitid};
use rustix::stdio::{dup2_stdin, dup2_stdout};
use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGBUS, SIGCHLD, SIGCONT, SIGIO, SIGPROF, SIGSYS, SIGTERM, SIGTRAP, SIGUSR1, SIGUSR2,
    SIGVTALRM, SIGXCPU,
};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use super::job;

/// What ends or stops a process and can be caught, but for what only a fault of this process's own raises, and but for
/// SIGPIPE and SIGXFSZ, which are its own too: they are no end of it.
const CAUGHT: [i32; 17] = [
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT, SIGABRT, SIGALRM, SIGVTALRM,
    SIGPROF, SIGXCPU, SIGIO, SIGTRAP, SIGBUS, SIGSYS,
];

/// What Linux has besides: SIGSTKFLT, SIGPWR, and the real-time signals that the C library leaves free.
#[cfg(target_os = "linux")]
fn more_signals() -> impl Iterator<Item = i32> {
    [16, 30].into_iter().chain(35..=64)
}

#[cfg(not(target_os = "linux"))]
fn more_signals() -> impl Iterator<Item = i32> {
    std::iter::empty()
}

/// What the kernel sends to the whole foreground group: the child has it already.
const OF_TERMINAL: [i32; 3] = [SIGINT, SIGQUIT, SIGTSTP];

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

/// The running command.
pub(crate) struct Child {
    spawned: Spawned,
    pid: Pid,
    signals: Signals,
    /// Whether it is stopped, by the last that the kernel told of it.
    is_stopped: bool,
    ended: Option<Ended>,
}

impl Child {
    /// Starts the command. From now on no signal that can be caught ends this process before it.
    ///
    /// # Errors
    /// 127 when there is no such command, 126 when it cannot be run, 75 where the system has no room for it.
    pub(crate) fn start(command: &Command) -> Result<Self, Failure> {
        let signals = catch().map_err(|error| cannot_start("the command", &error))?;
        let spawned = spawn(command)?;
        let Some(pid) = Pid::from_raw(spawned.pid()) else {
            return Err(Failure::new(Exit::Bug, "a command without a process ID"));
        };
        leave_streams();
        Ok(Self {
            spawned,
            pid,
            signals,
            is_stopped: false,
            ended: None,
        })
    }

    /// Waits until the command has ended. Meanwhile it gets the signals that were sent to this process, and this process
    /// stops and goes on with it.
    ///
    /// # Errors
    /// 70 where the kernel does not know the command.
    pub(crate) fn wait(mut self) -> Result<Ended, Failure> {
        loop {
            let arrived = self.arrived();
            let has_stopped = self.look()?;
            if let Some(ended) = self.ended {
                drop(self.spawned);
                return Ok(ended);
            }
            let stops = has_stopped && job::is_controlled() && !self.is_continued_with(&arrived)?;
            for origin in &arrived {
                // The stop is newer than what continued this process.
                if !(stops && origin.signal == SIGCONT) {
                    self.relay(origin);
                }
            }
            match stops {
                true => self.stop_along()?,
                false => wait_for_signal(&self.signals),
            }
        }
    }

    /// True where this process was continued just now, and the command with it: both were stopped by somebody else.
    fn is_continued_with(&mut self, arrived: &[Origin]) -> Result<bool, Failure> {
        let is_continued = arrived.iter().any(|origin| origin.signal == SIGCONT);
        Ok(is_continued && self.course()? == Course::Runs)
    }

    /// Stops this process because the command has stopped, so that the shell takes the terminal back, and goes on with the
    /// command once the job is continued.
    fn stop_along(&mut self) -> Result<(), Failure> {
        loop {
            job::stop();
            // What continues a process takes back each stop that it has not dealt with (POSIX, signal generation).
            let arrived = self.arrived();
            let kept = |origin: &&Origin| ![SIGCONT, SIGTSTP].contains(&origin.signal);
            for origin in arrived.iter().filter(kept) {
                self.relay(origin);
            }
            match self.course()? {
                Course::Runs => return Ok(()),
                // Nobody may undo that.
                Course::StoppedAnew => {}
                Course::Rests => {
                    self.send(Signal::CONT);
                    return Ok(());
                }
            }
        }
    }

    /// Returns what the command does, now that this process was continued: mostly the whole job was, the command a moment
    /// before or after this process.
    fn course(&mut self) -> Result<Course, Failure> {
        let continued = Instant::now();
        loop {
            if self.look()? {
                return Ok(Course::StoppedAnew);
            }
            if !self.is_stopped || self.ended.is_some() {
                return Ok(Course::Runs);
            }
            if continued.elapsed() > CONTINUED_TOGETHER {
                return Ok(Course::Rests);
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Takes note of what the kernel tells of the command, each stop once. True where it has stopped since it was last looked
    /// at, and not been continued.
    fn look(&mut self) -> Result<bool, Failure> {
        let options =
            WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        let mut has_stopped = false;
        // Once it was told of the end, the kernel does not know the command any more.
        while self.ended.is_none() {
            match waitid(WaitId::Pid(self.pid), options) {
                Ok(None) => return Ok(has_stopped),
                Ok(Some(status)) => {
                    has_stopped = status.stopped();
                    self.is_stopped = has_stopped;
                    self.ended = ended(&status);
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    let message = format!("cannot wait for the command: {}", io_reason(&errno.into()));
                    return Err(Failure::new(Exit::Bug, message));
                }
            }
        }
        Ok(false)
    }

    /// Returns the signals that have arrived.
    fn arrived(&mut self) -> Vec<Origin> {
        self.signals.pending().collect()
    }

    /// Sends a signal on to the command, unless the command has it already.
    fn relay(&mut self, origin: &Origin) {
        let is_of_terminal = OF_TERMINAL.contains(&origin.signal) && !matches!(origin.cause, Cause::Sent(_));
        let is_idle = origin.signal == SIGCHLD || origin.signal == SIGCONT && !self.is_stopped;
        if is_idle || is_of_terminal || self.is_sent_by_command(origin) {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(origin.signal) {
            self.send(signal);
        }
    }

    fn send(&mut self, signal: Signal) {
        let _ = kill_process(self.pid, signal);
        if signal == Signal::CONT {
            self.is_stopped = false;
        }
    }

    /// True where this process, the command or what it has started sent the signal: to their whole group, mostly.
    fn is_sent_by_command(&self, origin: &Origin) -> bool {
        let sender = origin.process.and_then(|process| Pid::from_raw(process.pid));
        sender.is_some_and(|sender| sender == getpid() || job::descends(sender, self.pid))
    }
}

/// How long a shell may take to continue the processes of a job one after the other.
const CONTINUED_TOGETHER: Duration = Duration::from_millis(100);

/// What the command does after this process was continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// It was continued too, or has ended.
    Runs,
    /// It is stopped still.
    Rests,
    /// It was continued, and then stopped once more.
    StoppedAnew,
}

/// Signals with who sent them, and the pipe that wakes the thread which deals with them.
type Signals = SignalDelivery<UnixStream, WithOrigin>;

/// After this long it is looked at the command unasked: a byte in the pipe may be lost where the kernel is short of memory.
const LONGEST_SLEEP: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Catches everything but what the parent ignored, and SIGCHLD in any case: where it is ignored nobody learns how a child
/// ended. POSIX lets a new program find it either way.
fn catch() -> io::Result<Signals> {
    let (read, write) = UnixStream::pair()?;
    let first = CAUGHT
        .into_iter()
        .filter(|&signal| !is_ignored(signal))
        .chain([SIGCHLD]);
    let signals = SignalDelivery::with_pipe(read, write, WithOrigin::default(), first)?;
    for signal in more_signals().filter(|&signal| !is_ignored(signal)) {
        signals.handle().add_signal(signal)?;
    }
    Ok(signals)
}

/// Sleeps until a signal arrives, or for a second.
fn wait_for_signal(signals: &Signals) {
    let mut fds = [PollFd::new(signals.get_read(), PollFlags::IN)];
    let _ = poll(&mut fds, Some(&LONGEST_SLEEP));
}

/// Lets go of standard input and output: whoever is at their other end is to see when the command closes them.
fn leave_streams() {
    let null = |flags| open("/dev/null", flags, Mode::empty());
    if let Ok(null) = null(OFlags::RDONLY) {
        let _ = dup2_stdin(&null);
    }
    if let Ok(null) = null(OFlags::WRONLY) {
        let _ = dup2_stdout(&null);
    }
}

fn ended(status: &WaitIdStatus) -> Option<Ended> {
    let code = status.exit_status().map(Ended::Exited);
    code.or_else(|| status.terminating_signal().map(Ended::Killed))
}

/// Ends this process as the command ended: with its exit code, or by the signal that ended it.
pub(crate) fn end_as(ended: Ended) -> Outcome {
    let code = match ended {
        Ended::Exited(code) => code,
        Ended::Killed(signal) => {
            // A signal that ends no process by default, or that has no name, is left to the exit code, as in a shell.
            let _ = default_action(signal);
            128 + signal
        }
    };
    #[expect(
        clippy::exit,
        reason = "the code is the command's: there is no Exit for most of them"
    )]
    std::process::exit(code)
}

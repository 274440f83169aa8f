//! Signals: what the parent ignored, catching them, and ending by one.
//!
//! A signal that the parent ignored stays ignored (`nohup`, a background job of a script): nothing here catches it.
//! A signal that is caught has no other effect; once nobody catches it any more, it does what it does by default.

use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
#[cfg(target_os = "linux")]
use rustix::process::Signal;
use signal_hook::consts::{SIGALRM, SIGIO, SIGPROF, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU};
pub use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH, SIGXFSZ};
use signal_hook::low_level::{emulate_default_handler, pipe, unregister};
use signal_hook::{SigId, flag};

use super::exit::{Exit, Failure};

/// The signals that were ignored when the process started, one bit each: SIGHUP, which is 1, is the lowest. Asked once.
static IGNORED: OnceLock<u64> = OnceLock::new();

/// True when the parent ignored the signal. Of SIGPIPE only `note_ignored` knows: the standard library ignores it before
/// `main`.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    has_bit(*IGNORED.get_or_init(ignored_now), signal)
}

/// Notes which signals are ignored, for the program that this process may become. Called before `main`.
pub(crate) fn note_ignored() {
    let _ = IGNORED.set(ignored_now());
}

fn has_bit(mask: u64, signal: i32) -> bool {
    (1..=64).contains(&signal) && mask & (1 << (signal - 1)) != 0
}

/// Asks the kernel which signals are ignored; none where there is no `/proc`.
fn ignored_now() -> u64 {
    // Asking by sigaction(2) is unsafe.
    let mut stat = [0; 4096];
    let read = open("/proc/self/stat", OFlags::RDONLY, Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut stat));
    let mask = read.ok().and_then(|length| ignored(&stat[..length]));
    mask.unwrap_or(0)
}

/// Finds the mask of ignored signals, field 33, in `/proc/PID/stat` (proc_pid_stat(5)).
fn ignored(stat: &[u8]) -> Option<u64> {
    // Field 2, the program's name, is in parentheses and may hold blanks and parentheses.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(stat.get(name_end + 2..)?).ok()?;
    rest.split(' ').nth(33 - 3)?.parse().ok()
}

/// Makes a write past the limit on the size of files (`ulimit -f`) fail, as on a full disk, instead of ending the process by
/// SIGXFSZ.
pub(crate) fn outlive_file_limit() {
    handle(SIGXFSZ);
}

/// Lets a program that takes this process's place have SIGPIPE as this one had it: the standard library has ignored it
/// since, and what is ignored stays so.
pub(crate) fn pass_on_sigpipe() {
    handle(SIGPIPE);
}

/// Puts a handler that does nothing in the place of what the signal does, unless the parent is known to ignore it. A
/// program that takes this process's place gets the default.
fn handle(signal: i32) {
    if !IGNORED.get().is_some_and(|&mask| has_bit(mask, signal)) {
        // Where the kernel refuses a handler, the signal does what it did.
        let _ = flag::register(signal, Arc::default());
    }
}

/// Who catches which signal, and what keeps the process from ending by one.
struct State {
    signals: BTreeMap<i32, Catchers>,
    /// Wakes the watch of the [`Deferral`].
    deferral: Option<UnixStream>,
    /// The signal by which the process is to end.
    ending: Option<i32>,
}

/// A signal that was caught at least once.
struct Catchers {
    /// True while nobody catches it.
    has_default: Arc<AtomicBool>,
    count: usize,
}

static STATE: Mutex<State> = Mutex::new(State {
    signals: BTreeMap::new(),
    deferral: None,
    ending: None,
});

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signals that are caught until this is dropped. Several may catch the same signal: each gets it.
///
/// A signal that arrived and was not taken is not lost: when nobody else catches it, dropping this ends or stops the
/// process by it. In a runtime of tokio, wait for it with [`Caught::watch`].
#[derive(Debug)]
pub struct Caught {
    /// Holds a byte for each signal that arrived.
    arrivals: UnixStream,
    waker: UnixStream,
    last: Arc<AtomicUsize>,
    registered: Vec<(i32, [SigId; 2])>,
}

/// Catches signals, but for those that the parent ignored.
///
/// # Errors
/// The error of the system call that failed.
pub fn catch(signals: &[i32]) -> io::Result<Caught> {
    let (arrivals, waker) = UnixStream::pair()?;
    arrivals.set_nonblocking(true)?;
    let mut caught = Caught {
        arrivals,
        waker,
        last: Arc::default(),
        registered: Vec::new(),
    };
    for signal in signals.iter().copied().filter(|&signal| !is_ignored(signal)) {
        let mut state = state();
        let catchers = match state.signals.entry(signal) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                // For good: signal-hook leaves a signal without any action ignored.
                let has_default = Arc::new(AtomicBool::new(true));
                match is_unknown_end(signal) {
                    true => {
                        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&has_default))?
                    }
                    false => flag::register_conditional_default(signal, Arc::clone(&has_default))?,
                };
                entry.insert(Catchers {
                    has_default,
                    count: 0,
                })
            }
        };
        // In this order: the number is there when the byte is.
        let number = usize::try_from(signal).unwrap_or_default();
        let number = flag::register_usize(signal, Arc::clone(&caught.last), number)?;
        let byte = pipe::register(signal, caught.waker.try_clone()?)?;
        caught.registered.push((signal, [number, byte]));
        catchers.count += 1;
        catchers.has_default.store(false, Ordering::SeqCst);
    }
    Ok(caught)
}

impl Caught {
    /// Takes a signal that has arrived.
    pub fn take(&self) -> Option<i32> {
        match (&self.arrivals).read(&mut [0]) {
            Ok(1) => i32::try_from(self.last.load(Ordering::SeqCst)).ok(),
            _ => None,
        }
    }

    /// Returns a stream that is readable while a signal can be taken. Never read from it.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub fn watch(&self) -> io::Result<UnixStream> {
        self.arrivals.try_clone()
    }

    /// Waits for the next signal.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub fn wait(&self) -> io::Result<i32> {
        loop {
            if let Some(signal) = self.take() {
                return Ok(signal);
            }
            wait_for(&mut [PollFd::new(self, PollFlags::IN)], None)?;
        }
    }

    /// Waits until `other` is readable or closed; returns the signal that arrived first, if one did.
    ///
    /// # Errors
    /// The error of the system call that failed.
    pub fn or_readable(&self, other: &impl AsFd) -> io::Result<Option<i32>> {
        loop {
            let mut fds = [
                PollFd::new(self, PollFlags::IN),
                PollFd::new(other, PollFlags::IN),
            ];
            wait_for(&mut fds, None)?;
            if let Some(signal) = self.take() {
                return Ok(Some(signal));
            }
            if !fds[1].revents().is_empty() {
                return Ok(None);
            }
        }
    }
}

impl AsFd for Caught {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.arrivals.as_fd()
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        let mut has_default = Vec::new();
        for (signal, actions) in &self.registered {
            if let Some(catchers) = state().signals.get_mut(signal) {
                catchers.count -= 1;
                if catchers.count == 0 {
                    catchers.has_default.store(true, Ordering::SeqCst);
                    has_default.push(*signal);
                }
            }
            for &action in actions {
                unregister(action);
            }
        }
        if let Some(signal) = self.take()
            && has_default.contains(&signal)
        {
            end_by(signal);
        }
    }
}

fn wait_for(fds: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    match poll(fds, limit) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Ends the process by a signal that was caught and dealt with, so that its parent sees what happened: a shell stops its
/// loop at Ctrl-C, and shows 130. Waits for a [`Deferral`].
///
/// Returns only where the signal cannot end a process; the failure is for that case.
#[must_use]
pub fn end_by_signal(signal: i32) -> Failure {
    if is_deferred(signal) {
        // The deferral's watch ends the process.
        loop {
            thread::park();
        }
    }
    end_by(signal);
    Failure::new(Exit::TryAgain, format!("ended by signal {signal}"))
}

/// Does what the signal does by default, caught or not: most end the process, and SIGTSTP stops it until it is continued.
///
/// # Errors
/// An unknown signal.
pub fn default_action(signal: i32) -> io::Result<()> {
    emulate_default_handler(signal)
}

/// Ends the process by a signal that waited, or by SIGTERM for one that it cannot repeat.
fn end_by(signal: i32) {
    let _ = match is_unknown_end(signal) {
        true => emulate_default_handler(SIGTERM),
        false => emulate_default_handler(signal),
    };
}

/// Hands the signal over to the watch of the deferral, if there is one.
fn is_deferred(signal: i32) -> bool {
    let mut state = state();
    let wakes = |watch: &UnixStream| DEFERRED.contains(&signal) && (&*watch).write_all(b".").is_ok();
    let is_deferred = state.deferral.as_ref().is_some_and(wakes);
    if is_deferred {
        state.ending = Some(signal);
    }
    is_deferred
}

/// The signals that [`Deferral`] defers: all that end a process by default, but for those that tell of a fault of it, of a
/// closed pipe or of a limit on files. SIGKILL cannot be deferred.
const DEFERRED: &[i32] = &[
    SIGINT,
    SIGTERM,
    SIGHUP,
    SIGQUIT,
    SIGALRM,
    SIGXCPU,
    SIGUSR1,
    SIGUSR2,
    SIGVTALRM,
    SIGPROF,
    SIGIO,
    #[cfg(target_os = "linux")]
    SIGPWR,
];

/// The power fails (signal(7)).
#[cfg(target_os = "linux")]
const SIGPWR: i32 = Signal::POWER.as_raw();

/// True for a signal that ends a process, and that signal-hook does not know, or takes for one that does not.
fn is_unknown_end(signal: i32) -> bool {
    #[cfg(target_os = "linux")]
    let is_unknown = matches!(signal, SIGIO | SIGPWR);
    #[cfg(not(target_os = "linux"))]
    let is_unknown = false;
    is_unknown && DEFERRED.contains(&signal)
}

/// Signals that arrive closer together than this are one: `timeout` and some shells send theirs twice.
pub const TOGETHER: Duration = Duration::from_millis(50);

/// How long a signal waits for [`Deferral::extend`]. A second one does not wait.
const GRACE: Duration = Duration::from_secs(3);

/// Keeps signals that end a process from doing that while something must not be cut in two: Ctrl-C and Ctrl-\, a timer, a
/// service manager's, a limit on processor time.
///
/// A signal waits until this is dropped: at first for 3 s at most, and after [`Deferral::extend`] for as long as that
/// takes. Then the process ends by it. Where the program catches the signal itself, it still gets it at once, and what it
/// then does with [`end_by_signal`] waits.
#[derive(Debug)]
pub struct Deferral {
    is_extended: Arc<Mutex<bool>>,
    watch: Option<Watch>,
    /// Instead of the watch, where there can be none.
    caught: Option<Caught>,
}

#[derive(Debug)]
struct Watch {
    thread: JoinHandle<Option<i32>>,
    end: io::PipeWriter,
}

impl Deferral {
    /// Begins. `clean_up` is called before a signal ends the process in the middle, by another thread.
    ///
    /// Where there can be no such thread, signals wait only from [`Deferral::extend`] on.
    #[must_use]
    pub fn begin(clean_up: impl Fn() + Send + 'static) -> Self {
        let is_extended = Arc::new(Mutex::new(false));
        let watch = Watch::start(Arc::clone(&is_extended), clean_up).ok();
        Self {
            is_extended,
            watch,
            caught: None,
        }
    }

    /// From now on a signal waits until this is dropped, however long that takes.
    pub fn extend(&mut self) {
        *lock(&self.is_extended) = true;
        if self.watch.is_none() {
            self.caught = catch(DEFERRED).ok();
        }
    }
}

impl Drop for Deferral {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.take() {
            drop(watch.end);
            let signal = watch.thread.join().ok().flatten();
            end_watch(signal);
        }
    }
}

/// Ends the process now by a signal that waited, if one did.
fn end_watch(signal: Option<i32>) {
    let ending = {
        let mut state = state();
        state.deferral = None;
        state.ending
    };
    if let Some(signal) = ending.or(signal) {
        end_by(signal);
    }
}

impl Watch {
    /// Starts the thread. There is one at a time.
    fn start(is_extended: Arc<Mutex<bool>>, clean_up: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (ended, end) = io::pipe()?;
        let caught = catch(DEFERRED)?;
        {
            let mut state = state();
            if state.deferral.is_some() {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
            state.deferral = Some(caught.waker.try_clone()?);
        }
        let thread = thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch(&caught, &ended, &is_extended, &clean_up))
            .inspect_err(|_| end_watch(None))?;
        Ok(Self { thread, end })
    }
}

/// Ends the process by a signal whose grace is over. Returns one that has to wait until the end.
fn watch(
    caught: &Caught,
    ended: &io::PipeReader,
    is_extended: &Mutex<bool>,
    clean_up: &dyn Fn(),
) -> Option<i32> {
    while let Ok(Some(signal)) = caught.or_readable(ended) {
        if is_left_to_program(signal) {
            continue;
        }
        if !*lock(is_extended) && !ends_in_time(ended, caught) {
            // The lock is kept: what comes now comes too late.
            let is_extended = lock(is_extended);
            if !*is_extended {
                clean_up();
                let ending = state().ending;
                end_by(ending.unwrap_or(signal));
            }
        }
        // More signals are caught until the end.
        let _ = (&*ended).read_to_end(&mut Vec::new());
        return Some(signal);
    }
    None
}

/// True when the program catches the signal, and has not said that it ends.
fn is_left_to_program(signal: i32) -> bool {
    let state = state();
    state.ending.is_none()
        && state
            .signals
            .get(&signal)
            .is_some_and(|catchers| catchers.count > 1)
}

/// Waits until `ended` is closed; false when the grace is over or one more signal came first.
fn ends_in_time(ended: &io::PipeReader, caught: &Caught) -> bool {
    let started = Instant::now();
    loop {
        let mut fds = [
            PollFd::new(ended, PollFlags::IN),
            PollFd::new(caught, PollFlags::IN),
        ];
        let rest = GRACE.saturating_sub(started.elapsed());
        let limit = Timespec::try_from(rest).ok();
        if wait_for(&mut fds, limit.as_ref()).is_err() {
            return false;
        }
        if !fds[0].revents().is_empty() {
            return true;
        }
        let came_again = caught.take().is_some() && started.elapsed() >= TOGETHER;
        if came_again || rest.is_zero() {
            return false;
        }
    }
}

fn lock(flag: &Mutex<bool>) -> MutexGuard<'_, bool> {
    flag.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{DEFERRED, Deferral, catch, is_ignored};
    use signal_hook::consts::SIGWINCH;
    use signal_hook::low_level::raise;

    #[test]
    fn every_catcher_gets_the_signal_once() {
        let (one, other) = (catch(&[SIGWINCH]).unwrap(), catch(&[SIGWINCH]).unwrap());
        assert_eq!(one.take(), None);
        raise(SIGWINCH).unwrap();
        for caught in [&one, &other] {
            assert_eq!(caught.wait().unwrap(), SIGWINCH);
            assert_eq!(caught.take(), None);
        }
    }

    #[test]
    fn what_the_program_catches_itself_a_deferral_leaves_to_it() {
        // One that whoever runs the tests does not ignore, as nohup does SIGHUP and a background job SIGINT.
        let Some(signal) = DEFERRED.iter().copied().find(|&signal| !is_ignored(signal)) else {
            return;
        };
        let caught = catch(&[signal]).unwrap();
        let mut deferral = Deferral::begin(|| {});
        raise(signal).unwrap();
        assert_eq!(caught.wait().unwrap(), signal);
        deferral.extend();
        raise(signal).unwrap();
        drop(deferral);
        assert_eq!(caught.wait().unwrap(), signal);
    }
}

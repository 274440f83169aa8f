//! A person's terminal: a pseudo-terminal that a tool runs on, with what it showed and what is typed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::run::{LIMIT, Run, Tool, wait_until};

/// A terminal with one program on it, which has it as its controlling terminal.
pub struct Terminal {
    keyboard: File,
    /// Bytes, because a piece of output may end within a character.
    shown: Arc<(Mutex<Vec<u8>>, Condvar)>,
    child: Option<Child>,
}

impl Terminal {
    /// Starts a tool on a new terminal of 100 columns: stdin, stdout and stderr are that terminal.
    pub fn start(tool: Tool) -> Self {
        Self::of_width(100, tool)
    }

    /// The same with so many columns.
    pub fn of_width(columns: u16, tool: Tool) -> Self {
        Self::of_size(columns, 40, tool)
    }

    /// The same with so many columns and rows.
    pub fn of_size(columns: u16, rows: u16, tool: Tool) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave: OwnedFd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&slave, size).unwrap();
        let end = || Stdio::from(slave.as_fd().try_clone_to_owned().unwrap());
        let child = in_new_session(&tool.into_command())
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        drop(slave);
        let shown = watched(&master);
        Self {
            keyboard: File::from(master),
            shown,
            child: Some(child),
        }
    }

    /// Types.
    pub fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// Gives the terminal another size, which the program is told of by SIGWINCH.
    pub fn resizes(&self, columns: u16, rows: u16) {
        let size = rustix::termios::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(&self.keyboard, size).unwrap();
    }

    /// Whether what is typed is shown.
    pub fn echoes(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.keyboard).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON)
    }

    /// Waits until what is typed is shown, or is not.
    #[track_caller]
    pub fn waits_for_echo(&self, shown: bool) {
        wait_until(&format!("echo is {shown}"), || self.echoes() == shown);
    }

    /// The program.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(self.child.as_ref().unwrap())
    }

    /// Everything that was shown so far.
    pub fn shown(&self) -> String {
        text(&self.shown.0.lock().unwrap())
    }

    /// Everything that was shown so far, without what moves the cursor or colours.
    pub fn plain(&self) -> String {
        plain(&self.shown())
    }

    /// Types Escape, and waits until `next` is shown: a key that comes at once would be read as one with it.
    #[track_caller]
    pub fn leaves(&mut self, next: &str) {
        let before = self.plain().len();
        self.types("\u{1b}");
        self.shows_after(before, next);
    }

    /// Waits until `text` has been shown: as the program sent it, or as it reads on the screen, in one line or broken at
    /// blanks.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.shows_after(0, text);
    }

    /// Waits until `text` has been shown after the first `start` bytes of what is [`Terminal::plain`].
    #[track_caller]
    pub fn shows_after(&self, start: usize, text: &str) {
        let end = Instant::now() + LIMIT;
        let mut shown = self.shown.0.lock().unwrap();
        loop {
            let sent = self::text(&shown);
            let seen = plain(&sent);
            let as_sent = start == 0 && sent.contains(text);
            let holds = |seen: &str| seen.contains(text) || unwrapped(seen).contains(text);
            if as_sent || seen.get(start..).is_some_and(holds) {
                return;
            }
            let rest = end.saturating_duration_since(Instant::now());
            assert!(!rest.is_zero(), "{text:?} was not shown: {seen:?}");
            shown = self.shown.1.wait_timeout(shown, rest).unwrap().0;
        }
    }

    /// Waits for each question in turn, and types its answer.
    pub fn answers(&mut self, questions: &[(&str, &str)]) {
        for (question, answer) in questions {
            self.shows(question);
            self.types(answer);
        }
    }

    /// Waits for the program's end, with exit 0, and returns everything that was shown.
    pub fn shown_at_end(mut self) -> String {
        let code = Run::wait(self.child.take().unwrap(), "on the terminal").code();
        assert_eq!(code, 0, "{}", self.shown());
        // The reader ends when nobody has the terminal open any more.
        wait_until("the end of the terminal", || Arc::strong_count(&self.shown) == 1);
        self.shown()
    }

    /// Waits for the program's end; the exit code is as a shell shows it.
    pub fn ends(mut self) -> i32 {
        Run::wait(self.child.take().unwrap(), "on the terminal").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads what a program shows, on a thread, into bytes that grow with it.
fn watched(master: &OwnedFd) -> Arc<(Mutex<Vec<u8>>, Condvar)> {
    let shown: Arc<(Mutex<Vec<u8>>, Condvar)> = Arc::default();
    let mut screen = File::from(master.try_clone().unwrap());
    let mut answers = File::from(master.try_clone().unwrap());
    let told = Arc::clone(&shown);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        // A terminal that nobody has open any more reads as an error, not as an end.
        while let Ok(count @ 1..) = screen.read(&mut bytes) {
            // A line editor that asks where the cursor is waits for the answer.
            if bytes[..count].windows(4).any(|asked| asked == b"\x1b[6n") {
                let _ = answers.write_all(b"\x1b[1;1R");
            }
            told.0.lock().unwrap().extend_from_slice(&bytes[..count]);
            told.1.notify_all();
        }
    });
    shown
}

/// Leaves out control sequences (ECMA-48: CSI to its final byte, OSC to BEL or ST, other escapes) and controls but
/// line ends.
fn plain(text: &str) -> String {
    let mut kept = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\x1b', Some('[')) => {
                chars.next();
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            ('\x1b', Some(']')) => while chars.next().is_some_and(|c| c != '\x07' && c != '\\') {},
            ('\x1b', _) => {
                chars.next();
            }
            (c, _) if c.is_control() && c != '\n' => {}
            (c, _) => kept.push(c),
        }
    }
    kept
}

/// Joins the lines that a message was broken into: all but the first are indented.
pub fn unwrapped(text: &str) -> String {
    let mut lines = text.split('\n');
    let mut joined = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        match line.strip_prefix("  ") {
            Some(rest) => {
                joined.push(' ');
                joined.push_str(rest.trim_start());
            }
            None => {
                joined.push('\n');
                joined.push_str(line);
            }
        }
    }
    joined
}

/// The same command in a session whose controlling terminal is its stdin.
fn in_new_session(command: &Command) -> Command {
    let mut session = Command::new("/usr/bin/setsid");
    session.args(["--ctty", "--wait"]).arg(command.get_program());
    session.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            session.env(name, value);
        }
    }
    session.current_dir(command.get_current_dir().unwrap());
    session
}

//! A progress bar on standard error.

use std::io::{self, IsTerminal, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};
use qwen_shared::output::Reporter;
use qwen_shared::text::one_line;

/// How many times a second the bar is drawn at most.
const DRAWS: u8 = 8;
/// From this width on there is room for the bar itself.
const ROOMY: u16 = 70;

/// Shows how far a long job has come; where standard error is no terminal, or with `--quiet`, it shows nothing.
///
/// It is wiped when dropped. While it is shown, messages go through [`Progress::aside`].
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    reporter: Reporter,
}

impl Progress {
    /// Tells whether there would be anything to see.
    #[must_use]
    pub(crate) fn is_wanted(reporter: &Reporter) -> bool {
        !reporter.is_quiet() && std::io::stderr().is_terminal()
    }

    /// Shows a bar for a job of so many steps; of an unknown number when `None`.
    #[must_use]
    pub(crate) fn start(reporter: &Reporter, total: Option<u64>) -> Self {
        if !Self::is_wanted(reporter) {
            return Self::hidden(reporter);
        }
        let strip = Strip::default();
        let has_room = strip.width() >= ROOMY;
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(strip), DRAWS);
        let style = style(total.is_some(), has_room, reporter);
        let bar = ProgressBar::with_draw_target(total, target).with_style(style);
        Self {
            bar,
            reporter: reporter.clone(),
        }
    }

    /// Shows nothing: for a job that has the terminal for something else.
    #[must_use]
    pub(crate) fn hidden(reporter: &Reporter) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            reporter: reporter.clone(),
        }
    }

    /// True when somebody sees it.
    #[must_use]
    pub(crate) fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Takes so many steps that cost no time: they do not count for the rate.
    pub(crate) fn skip(&self, steps: u64) {
        self.bar.inc(steps);
        self.bar.reset_eta();
    }

    /// Takes one step.
    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    /// Says how things stand, beside the bar.
    pub(crate) fn remark(&self, text: &str) {
        if self.is_shown() {
            self.bar.set_message(one_line(text));
        }
    }

    /// Draws it again, so that the clock goes on while nothing happens.
    pub(crate) fn tick(&self) {
        self.bar.tick();
    }

    /// Prints messages without breaking the bar.
    pub(crate) fn aside(&self, speak: impl FnOnce(&Reporter)) {
        self.bar.suspend(|| speak(&self.reporter));
    }

    /// Wipes it from the screen, for good.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says when to call [`Progress::tick`] at the latest.
    #[must_use]
    pub(crate) const fn rhythm() -> Duration {
        Duration::from_millis(500)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Lays out the line: the bar itself only where there is room for it beside the words.
fn style(has_total: bool, has_room: bool, reporter: &Reporter) -> ProgressStyle {
    let bar = match reporter.color().wanted(true) {
        _ if !has_room => "",
        true => "\x1b[36m{bar:30}\x1b[0m ",
        false => "{bar:30} ",
    };
    let template = if has_total {
        format!("{bar}{{pos}}/{{len}}{{msg}}, {{rate}}{{left}}")
    } else {
        "{spinner} {pos}{msg}, {rate}, {elapsed}".to_owned()
    };
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("rate", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            let _ = write!(line, "{:.1}/s", state.per_sec());
        })
        .with_key("left", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            // Nothing can be foretold of what has not begun to move.
            if state.per_sec() > 0.0 {
                let _ = write!(line, ", {:#} left", HumanDuration(state.eta()));
            }
        })
        .progress_chars("━╸ ")
}

/// Columns that are left free at the right: what is drawn is filled up to its width, and the `^C` that a terminal shows
/// of itself has to stay on the line to be wiped with it.
const FREE: u16 = 6;
/// The width where the terminal does not know its own.
const USUAL: u16 = 80;

/// Standard error, a little narrower than it is. What is written goes out in one piece, so that nothing flickers.
#[derive(Debug, Default)]
pub(super) struct Strip(Mutex<Vec<u8>>);

impl Strip {
    fn put(&self, text: &str) {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(text.as_bytes());
    }

    fn move_by(&self, count: usize, direction: char) {
        if count > 0 {
            self.put(&format!("\x1b[{count}{direction}"));
        }
    }
}

impl TermLike for Strip {
    fn width(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(rustix::stdio::stderr());
        let columns = size.map_or(0, |size| size.ws_col);
        let columns = if columns == 0 { USUAL } else { columns };
        columns.saturating_sub(FREE).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_by(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.put(s);
        self.put("\r\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.put(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = io::stderr().write_all(&written);
        written.clear();
        outcome
    }
}

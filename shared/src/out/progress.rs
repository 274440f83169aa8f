//! A bar on a terminal's standard error.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::Talk;
use super::strip::Strip;
use crate::text::one_line;

/// How many times a second the bar is drawn at most.
const DRAWS: u8 = 8;
/// From this width on there is room for the bar itself.
const ROOMY: u16 = 70;

/// Shows how far a long job has come; where standard error is no terminal, or with `--quiet`, it shows nothing.
///
/// It is wiped when dropped. While it is shown, talk goes through [`Progress::aside`].
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    talk: Talk,
}

impl Progress {
    /// Tells whether there would be anything to see.
    #[must_use]
    pub fn is_wanted(talk: &Talk) -> bool {
        !talk.is_quiet() && std::io::stderr().is_terminal()
    }

    /// Shows a bar for a job of so many steps; of an unknown number when `None`.
    #[must_use]
    pub fn start(talk: &Talk, total: Option<u64>) -> Self {
        if !Self::is_wanted(talk) {
            return Self::hidden(talk);
        }
        let strip = Strip::default();
        let has_room = strip.width() >= ROOMY;
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(strip), DRAWS);
        let style = style(total.is_some(), has_room, talk);
        let bar = ProgressBar::with_draw_target(total, target).with_style(style);
        Self {
            bar,
            talk: talk.clone(),
        }
    }

    /// Shows nothing: for a job that has the terminal for something else.
    #[must_use]
    pub fn hidden(talk: &Talk) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            talk: talk.clone(),
        }
    }

    /// True when somebody sees it.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Takes so many steps that cost no time: they do not count for the rate.
    pub fn skip(&self, steps: u64) {
        self.bar.inc(steps);
        self.bar.reset_eta();
    }

    /// Takes one step.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// Says how things stand, beside the bar.
    pub fn remark(&self, text: &str) {
        if self.is_shown() {
            self.bar.set_message(one_line(text));
        }
    }

    /// Draws it again, so that the clock goes on while nothing happens.
    pub fn tick(&self) {
        self.bar.tick();
    }

    /// Prints talk without spoiling the bar.
    pub fn aside(&self, speak: impl FnOnce(&Talk)) {
        self.bar.suspend(|| speak(&self.talk));
    }

    /// Wipes it from the screen, for good.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says when to call [`Progress::tick`] at the latest.
    #[must_use]
    pub const fn rhythm() -> Duration {
        Duration::from_millis(500)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Lays out the line: the bar itself only where there is room for it beside the words.
fn style(has_total: bool, has_room: bool, talk: &Talk) -> ProgressStyle {
    let bar = match talk.color().wanted(true) {
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
        .with_key("rate", |state: &ProgressState, line: &mut dyn Write| {
            let _ = write!(line, "{:.1}/s", state.per_sec());
        })
        .with_key("left", |state: &ProgressState, line: &mut dyn Write| {
            // Nothing can be foretold of what has not begun to move.
            if state.per_sec() > 0.0 {
                let _ = write!(line, ", {:#} left", HumanDuration(state.eta()));
            }
        })
        .progress_chars("━╸ ")
}

//! A progress bar on standard error.

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use qwen_shared::output::Reporter;
use qwen_shared::text::one_line;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(125);

/// A progress bar, cleared when dropped. While it is shown, messages must go through [`Progress::suspend`].
///
/// It is hidden where standard error is no terminal, and with `--quiet`.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    reporter: Reporter,
}

impl Progress {
    /// True when somebody would see it.
    pub(crate) fn is_wanted(reporter: &Reporter) -> bool {
        !reporter.is_quiet() && Reporter::is_seen()
    }

    /// Shows a bar for `total` steps, or a count of steps when their number is unknown.
    pub(crate) fn bar(reporter: &Reporter, total: Option<u64>) -> Self {
        match total {
            Some(total) => {
                let (color, reset) = match reporter.color().wanted(true) {
                    true => ("\x1b[36m", "\x1b[0m"),
                    false => ("", ""),
                };
                let template = format!("{color}{{wide_bar}}{reset} {{pos}}/{{len}}{{msg}}, {{rate}}{{left}}");
                Self::show(reporter, ProgressBar::new(total), &template)
            }
            None => Self::show(
                reporter,
                ProgressBar::no_length(),
                "{spinner} {pos}, {rate}, {elapsed}{wide_msg}",
            ),
        }
    }

    /// Shows how long a wait has taken.
    pub(crate) fn spinner(reporter: &Reporter) -> Self {
        Self::show(
            reporter,
            ProgressBar::no_length(),
            "{spinner} {elapsed} {wide_msg}",
        )
    }

    pub(crate) fn hidden(reporter: &Reporter) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            reporter: reporter.clone(),
        }
    }

    fn show(reporter: &Reporter, bar: ProgressBar, template: &str) -> Self {
        if !Self::is_wanted(reporter) {
            return Self::hidden(reporter);
        }
        // The cursor returns to the beginning of the line, so that the `^C` of a terminal is cleared with it. By an escape
        // sequence (ECMA-48 CHA), which has no width, unlike a carriage return.
        let style = ProgressStyle::with_template(&format!("{template}\x1b[G"))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                let _ = write!(line, "{:.1}/s", state.per_sec());
            })
            .with_key("left", |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                // Before the first step nothing can be estimated.
                if state.per_sec() > 0.0 {
                    let _ = write!(line, ", {:#} left", HumanDuration(state.eta()));
                }
            })
            .progress_chars("━╸ ");
        bar.set_style(style);
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            reporter: reporter.clone(),
        }
    }

    pub(crate) fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Takes a step that does not count for the rate.
    pub(crate) fn skip(&self) {
        self.bar.inc(1);
        self.bar.reset_eta();
    }

    pub(crate) fn step(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn set_message(&self, text: &str) {
        self.bar.set_message(one_line(text));
    }

    /// Prints messages above the bar.
    pub(crate) fn suspend(&self, print: impl FnOnce(&Reporter)) {
        self.bar.suspend(|| print(&self.reporter));
    }

    /// Removes the bar from the screen.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

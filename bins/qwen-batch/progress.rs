//! A progress bar on standard error.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use qwen_shared::output::Reporter;
use qwen_shared::text::one_line;

use super::rate_meter::RateMeter;

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(125);

/// A progress bar, cleared when dropped. While it is shown, messages must go through [`Progress::suspend`].
///
/// It is hidden where standard error is no terminal, and with `--quiet`.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    meter: Arc<Mutex<RateMeter>>,
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
            meter: Arc::new(Mutex::new(RateMeter::new(Instant::now()))),
            reporter: reporter.clone(),
        }
    }

    fn show(reporter: &Reporter, bar: ProgressBar, template: &str) -> Self {
        if !Self::is_wanted(reporter) {
            return Self::hidden(reporter);
        }
        let meter = Arc::new(Mutex::new(RateMeter::new(Instant::now())));
        // The cursor returns to the beginning of the line, so that the `^C` of a terminal is cleared with it. By an escape
        // sequence (ECMA-48 CHA), which has no width, unlike a carriage return.
        let style = ProgressStyle::with_template(&format!("{template}\x1b[G"))
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .with_key("rate", {
                let meter = Arc::clone(&meter);
                move |_: &ProgressState, line: &mut dyn std::fmt::Write| {
                    let _ = write!(line, "{:.1}/s", lock(&meter).per_second(Instant::now()));
                }
            })
            .with_key("left", {
                let meter = Arc::clone(&meter);
                move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
                    let left = state.len().unwrap_or(0).saturating_sub(state.pos());
                    let seconds = left as f64 / lock(&meter).per_second(Instant::now());
                    // Before the first step nothing can be estimated.
                    if let Ok(time) = Duration::try_from_secs_f64(seconds) {
                        let _ = write!(line, ", {:#} left", HumanDuration(time));
                    }
                }
            })
            .progress_chars("━╸ ");
        bar.set_style(style);
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            meter,
            reporter: reporter.clone(),
        }
    }

    pub(crate) fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Takes a step that does not count for the rate.
    pub(crate) fn skip(&self) {
        self.bar.inc(1);
    }

    pub(crate) fn step(&self) {
        lock(&self.meter).step(Instant::now());
        self.bar.inc(1);
    }

    /// Returns how many steps a second were taken in the last minute.
    pub(crate) fn per_second(&self) -> f64 {
        lock(&self.meter).per_second(Instant::now())
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

fn lock(meter: &Mutex<RateMeter>) -> MutexGuard<'_, RateMeter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

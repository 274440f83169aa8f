//! What the person sees during a device login: the code, the QR code, and the countdown.

use std::time::Duration;

use qrcode::{Color, EcLevel, QrCode};
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::{one_line, wrap};
use unicode_width::UnicodeWidthStr;

use crate::device_authorization::DeviceAuthorization;
use crate::polling::Progress;

/// Writes to standard error, and to the terminal too if standard error is redirected: otherwise the login would seem to
/// hang.
pub(crate) struct DevicePrompt<'a> {
    reporter: &'a Reporter,
    terminal: Option<&'a mut Terminal>,
    has_countdown: bool,
    /// The seconds that were left when the last line of them was printed, where they cannot be drawn.
    last_line: Option<u64>,
}

/// What is shown of the code.
enum Line {
    Notice(String),
    /// Never broken: it is copied.
    Copied(String),
}

/// Returns what a person has to read and to do.
fn lines(device: &DeviceAuthorization) -> Vec<Line> {
    let complete = device.verification_uri_complete.as_ref();
    let notice = |text: &str| Line::Notice(text.to_owned());
    let mut lines = match complete {
        Some(complete) => vec![
            notice("open this address in a browser, here or on any other machine:"),
            Line::Copied(complete.as_str().to_owned()),
            notice("or go to this one and enter the code:"),
        ],
        None => vec![notice(
            "go to this address, here or on any other machine, and enter the code:",
        )],
    };
    let host = complete.unwrap_or(&device.verification_uri).host();
    lines.extend([
        Line::Copied(device.verification_uri.as_str().to_owned()),
        Line::Copied(device.user_code.clone()),
        Line::Notice(format!(
            "approve only a login that you started yourself, at '{host}', on a page that shows this code"
        )),
    ]);
    lines
}

/// True where a line of its own says how much is left: at once, with each five minutes less, and when a minute is left.
fn is_due(seconds: u64, last: Option<u64>) -> bool {
    let step = |seconds: u64| match seconds {
        0..=60 => 0,
        more => more.div_ceil(300),
    };
    last.is_none_or(|last| step(seconds) < step(last))
}

impl<'a> DevicePrompt<'a> {
    pub(crate) fn new(reporter: &'a Reporter, terminal: Option<&'a mut Terminal>) -> Self {
        Self {
            reporter,
            terminal,
            has_countdown: false,
            last_line: None,
        }
    }

    /// Shows the address and the code, each on a line of its own so that it can be copied, also if there is an address that
    /// includes the code (RFC 8628, section 3.3.1). With `qr` the QR code is shown even if it does not fit.
    pub(crate) fn show(&mut self, device: &DeviceAuthorization, qr: bool) {
        let complete = device.verification_uri_complete.as_ref();
        let lines = lines(device);
        self.show_qr_code(complete.unwrap_or(&device.verification_uri).as_str(), &lines, qr);
        for line in &lines {
            match line {
                Line::Notice(text) => self.notice(text),
                Line::Copied(text) => self.line(text),
            }
        }
    }

    /// Draws the QR code above `lines`, where both are on the screen at once, or `always`.
    fn show_qr_code(&mut self, address: &str, lines: &[Line], always: bool) {
        let Some(drawing) = QrDrawing::new(address) else {
            return;
        };
        let fits = match &self.terminal {
            Some(terminal) if !self.reporter.is_quiet() => {
                let (columns, rows) = terminal.size();
                let (columns, rows) = (usize::from(columns), usize::from(rows));
                let needed = drawing.rows() + self.rows_of(lines, columns);
                let fits = columns >= drawing.columns() && rows >= needed;
                if !(fits || always) {
                    let wide = drawing.columns();
                    self.reporter.detail(&format!(
                        "no QR code is drawn: it needs {wide} columns and {needed} rows; --qr draws it all the same"
                    ));
                }
                fits
            }
            _ => false,
        };
        match self.terminal.as_mut() {
            Some(terminal) if always || fits => {
                let lines = drawing.lines(self.reporter.color().wanted(true));
                let _ = terminal.print(&format!("{}\n", lines.join("\n")));
            }
            None if always => {
                for line in drawing.lines(false) {
                    self.reporter.plain(&line);
                }
            }
            _ => {}
        }
    }

    /// Returns how many rows these lines take with the countdown below them.
    fn rows_of(&self, lines: &[Line], columns: usize) -> usize {
        let rows = |line: &Line| {
            let text = match line {
                Line::Notice(text) => {
                    wrap(&format!("{}: {text}", self.reporter.program()), columns).into_owned()
                }
                Line::Copied(text) => text.clone(),
            };
            let rows = text
                .lines()
                .map(|row| row.width().div_ceil(columns.max(1)).max(1));
            rows.sum::<usize>()
        };
        lines.iter().map(rows).sum::<usize>() + 1
    }

    /// Updates the countdown, which only a terminal shows, as a line now and then where it cannot be drawn, and reports failed
    /// polls.
    pub(crate) fn progress(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Waiting(left) => self.show_countdown(*left),
            Progress::SlowDown(interval) => {
                self.clear_countdown();
                let seconds = interval.as_secs();
                self.reporter.detail(&format!(
                    "the server asks to slow down: polling every {seconds} s"
                ));
            }
            Progress::Retrying(error, wait) => {
                self.clear_countdown();
                let seconds = wait.as_secs();
                self.notice(&format!("{error}; retrying in {seconds} s"));
            }
        }
    }

    /// Clears the countdown's line.
    pub(crate) fn clear_countdown(&mut self) {
        if let (true, Some(terminal)) = (std::mem::take(&mut self.has_countdown), self.terminal.as_mut()) {
            let _ = terminal.print("\r\x1b[K");
        }
    }

    fn show_countdown(&mut self, left: Duration) {
        let Some(terminal) = self.terminal.as_mut().filter(|_| !self.reporter.is_quiet()) else {
            return;
        };
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let (minutes, rest) = (seconds / 60, seconds % 60);
        let text = format!("waiting for your approval: {minutes}:{rest:02} left");
        if !Terminal::can_draw() {
            if is_due(seconds, self.last_line) {
                self.last_line = Some(seconds);
                let _ = terminal.say(&text);
            }
            return;
        }
        let text: String = text
            .chars()
            .take(usize::from(terminal.columns()).saturating_sub(1))
            .collect();
        self.has_countdown = terminal.print(&format!("\r\x1b[K{text}")).is_ok();
    }

    fn notice(&mut self, text: &str) {
        self.reporter.notice(text);
        if !self.reporter.is_quiet() {
            self.copy(&format!("{}: {text}", self.reporter.program()));
        }
    }

    fn line(&mut self, text: &str) {
        self.reporter.plain(text);
        self.copy(text);
    }

    fn copy(&mut self, text: &str) {
        if let (false, Some(terminal)) = (Reporter::is_seen(), self.terminal.as_mut()) {
            let _ = terminal.print(&format!("{}\n", one_line(text)));
        }
    }
}

/// The width of the light margin, in modules (ISO/IEC 18004, section 5.3.8).
const MARGIN: usize = 4;

/// A QR code in half-block characters.
struct QrDrawing {
    side: usize,
    dark: Vec<bool>,
}

impl QrDrawing {
    /// `None` if the address is too long for any QR code.
    fn new(address: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(address, EcLevel::L).ok()?;
        Some(Self {
            side: code.width(),
            dark: code
                .to_colors()
                .into_iter()
                .map(|module| module == Color::Dark)
                .collect(),
        })
    }

    const fn columns(&self) -> usize {
        self.side + 2 * MARGIN
    }

    const fn rows(&self) -> usize {
        self.columns().div_ceil(2)
    }

    /// Returns the lines, of two rows of modules each: black on white if `colored`, else for a dark background.
    fn lines(&self, colored: bool) -> Vec<String> {
        let (start, end) = if colored {
            ("\x1b[40;97m", "\x1b[0m")
        } else {
            ("", "")
        };
        (0..self.columns())
            .step_by(2)
            .map(|row| {
                let cells: String = (0..self.columns())
                    .map(
                        |column| match (self.is_light(row, column), self.is_light(row + 1, column)) {
                            (true, true) => '█',
                            (true, false) => '▀',
                            (false, true) => '▄',
                            (false, false) => ' ',
                        },
                    )
                    .collect();
                format!("{start}{cells}{end}")
            })
            .collect()
    }

    fn is_light(&self, row: usize, column: usize) -> bool {
        let within = |at: usize| at.checked_sub(MARGIN).filter(|&at| at < self.side);
        match (within(row), within(column)) {
            (Some(row), Some(column)) => !self.dark[row * self.side + column],
            _ => row < self.columns(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_due;

    #[test]
    fn where_nothing_is_drawn_a_line_comes_at_once_then_every_five_minutes_and_at_the_last_one() {
        let mut last = None;
        let mut said = Vec::new();
        for seconds in (0..=900).rev() {
            if is_due(seconds, last) {
                last = Some(seconds);
                said.push(seconds);
            }
        }
        assert_eq!(said, [900, 600, 300, 60]);
        assert!(is_due(40, None) && !is_due(39, Some(40)));
    }
}

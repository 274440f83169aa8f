//! What the person sees during a device login: the code, the QR code, and the countdown.

use std::time::Duration;

use qrcode::{Color, EcLevel, QrCode};
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::one_line;

use crate::device_authorization::DeviceAuthorization;
use crate::polling::Progress;

/// Writes to standard error, and to the terminal too if standard error is redirected: otherwise the login would seem to
/// hang.
pub(crate) struct DevicePrompt<'a> {
    reporter: &'a Reporter,
    terminal: Option<&'a mut Terminal>,
    has_countdown: bool,
}

impl<'a> DevicePrompt<'a> {
    pub(crate) fn new(reporter: &'a Reporter, terminal: Option<&'a mut Terminal>) -> Self {
        Self {
            reporter,
            terminal,
            has_countdown: false,
        }
    }

    /// Shows the address and the code, each on a line of its own so that it can be copied, also if there is an address that
    /// includes the code (RFC 8628, section 3.3.1). With `qr` the QR code is shown even if it does not fit.
    pub(crate) fn show(&mut self, device: &DeviceAuthorization, qr: bool) {
        let complete = device.verification_uri_complete.as_ref();
        self.show_qr_code(complete.unwrap_or(&device.verification_uri).as_str(), qr);
        if let Some(complete) = complete {
            self.notice("open this address in a browser, here or on any other machine:");
            self.line(complete.as_str());
            self.notice("or go to this one and enter the code:");
        } else {
            self.notice("go to this address, here or on any other machine, and enter the code:");
        }
        self.line(device.verification_uri.as_str());
        self.line(&device.user_code);
        let host = complete.unwrap_or(&device.verification_uri).host();
        self.notice(&format!(
            "approve only a login that you started yourself, at '{host}', on a page that shows this code"
        ));
    }

    fn show_qr_code(&mut self, address: &str, always: bool) {
        let Some(drawing) = QrDrawing::new(address) else {
            return;
        };
        let fits = self
            .terminal
            .as_ref()
            .is_some_and(|terminal| usize::from(terminal.columns()) >= drawing.columns());
        match self.terminal.as_mut() {
            Some(terminal) if always || (fits && !self.reporter.is_quiet()) => {
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

    /// Updates the countdown, which only a terminal shows, and reports failed polls.
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
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let Some(terminal) = self
            .terminal
            .as_mut()
            .filter(|_| !dumb && !self.reporter.is_quiet())
        else {
            return;
        };
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let text = format!(
            "waiting for your approval: {}:{:02} left",
            seconds / 60,
            seconds % 60
        );
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

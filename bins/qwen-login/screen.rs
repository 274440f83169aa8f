//! What a device login shows on the terminal.

use std::time::Duration;

use qrcode::{Color, EcLevel, QrCode};
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::one_line;

use super::authorization::DeviceAuthorization;
use super::polling::Progress;

/// Standard error, and the terminal where standard error is not seen.
///
/// A caller that swallows standard error would make a login look like a hang (facts: OAuth, section 4), so what a
/// person has to read goes to the terminal as well.
pub(crate) struct Screen<'a> {
    reporter: &'a Reporter,
    terminal: Option<&'a mut Terminal>,
    counting: bool,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(reporter: &'a Reporter, terminal: Option<&'a mut Terminal>) -> Self {
        Self {
            reporter,
            terminal,
            counting: false,
        }
    }

    /// Shows address and code, each on a line of its own, exactly and unwrapped, so that both can be copied. `complete`
    /// is for the code to be in the address; address and code are shown with it all the same (RFC 8628, section 3.3.1).
    pub(crate) fn show(&mut self, device: &DeviceAuthorization, with_qr: bool) {
        let complete = device.verification_uri_complete.as_ref();
        self.draw(complete.unwrap_or(&device.verification_uri).as_str(), with_qr);
        if let Some(complete) = complete {
            self.say("open this address in a browser, here or on any other machine:");
            self.line(complete.as_str());
            self.say("or go to this one and enter the code:");
        } else {
            self.say("go to this address, here or on any other machine, and enter the code:");
        }
        self.line(device.verification_uri.as_str());
        self.line(&device.user_code);
        let host = complete.unwrap_or(&device.verification_uri).host();
        self.say(&format!(
            "approve only if you have just started this yourself, at '{host}', and the page shows this code"
        ));
    }

    fn draw(&mut self, address: &str, asked: bool) {
        let Some(drawing) = Drawing::of(address) else {
            return;
        };
        let fits = self
            .terminal
            .as_ref()
            .is_some_and(|terminal| usize::from(terminal.columns()) >= drawing.columns());
        match self.terminal.as_mut() {
            Some(terminal) if asked || (fits && !self.reporter.is_quiet()) => {
                let lines = drawing.lines(self.reporter.color().wanted(true));
                let _ = terminal.print(&format!("{}\n", lines.join("\n")));
            }
            None if asked => {
                for line in drawing.lines(false) {
                    self.reporter.plain(&line);
                }
            }
            _ => {}
        }
    }

    /// Reports what happens while the person decides: the time that is left on the terminal, trouble as a notice.
    pub(crate) fn progress(&mut self, progress: &Progress<'_>) {
        match progress {
            Progress::Waiting(left) => self.count(*left),
            Progress::Slower(interval) => {
                self.clear();
                let seconds = interval.as_secs();
                self.reporter.detail(&format!(
                    "the server asks for patience: polling every {seconds} s"
                ));
            }
            Progress::Trouble(error, wait) => {
                self.clear();
                let seconds = wait.as_secs();
                self.say(&format!("{error}; trying again in {seconds} s"));
            }
        }
    }

    /// Takes the countdown away.
    pub(crate) fn clear(&mut self) {
        if let (true, Some(terminal)) = (std::mem::take(&mut self.counting), self.terminal.as_mut()) {
            let _ = terminal.print("\r\x1b[K");
        }
    }

    fn count(&mut self, left: Duration) {
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
        self.counting = terminal.print(&format!("\r\x1b[K{text}")).is_ok();
    }

    fn say(&mut self, text: &str) {
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

/// Light modules around the code, on each side (ISO/IEC 18004, section 5.3.8).
const QUIET: usize = 4;

/// A QR code that is ready to be drawn.
pub(crate) struct Drawing {
    side: usize,
    dark: Vec<bool>,
}

impl Drawing {
    /// Encodes an address; `None` when it is too long for any QR code.
    pub(crate) fn of(address: &str) -> Option<Self> {
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

    /// Returns the width in columns.
    pub(crate) const fn columns(&self) -> usize {
        self.side + 2 * QUIET
    }

    /// Returns the lines: two rows of modules each. With `colored` it is black on white whatever the terminal's
    /// colours are; otherwise it is drawn for a dark background, the more common.
    pub(crate) fn lines(&self, colored: bool) -> Vec<String> {
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
        let within = |at: usize| at.checked_sub(QUIET).filter(|&at| at < self.side);
        match (within(row), within(column)) {
            (Some(row), Some(column)) => !self.dark[row * self.side + column],
            _ => row < self.columns(),
        }
    }
}

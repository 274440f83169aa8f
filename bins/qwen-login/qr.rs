//! An address as a QR code, drawn with half blocks.

use qrcode::{Color, EcLevel, QrCode};

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

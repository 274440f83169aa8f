//! Cuts a download into lines.

use qwen_shared::exit::Failure;

use crate::record::without_mark;

/// The longest line that is read, in bytes.
const LINE_LIMIT: usize = 64 << 20;

/// A line of a download.
#[derive(Debug)]
pub(crate) struct CutLine<'a> {
    pub(crate) number: u64,
    /// With its line end, and without a byte-order mark; `None` for one that is too long.
    pub(crate) content: Option<&'a [u8]>,
}

/// A download, cut into lines.
#[derive(Debug)]
pub(crate) struct LineCutter {
    line: Vec<u8>,
    number: u64,
    /// True within a line that is too long.
    skips: bool,
}

impl Default for LineCutter {
    fn default() -> Self {
        Self::new()
    }
}

impl LineCutter {
    pub(crate) const fn new() -> Self {
        Self {
            line: Vec::new(),
            number: 1,
            skips: false,
        }
    }

    /// Adds what has come, and gives each line that it ends to `take`.
    ///
    /// # Errors
    /// That of `take`.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut take: impl FnMut(CutLine<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for part in chunk.split_inclusive(|&byte| byte == b'\n') {
            if !self.skips {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                if !self.skips {
                    self.give(&mut take)?;
                }
                self.number += 1;
                self.skips = false;
            } else if self.line.len() > LINE_LIMIT {
                self.line.clear();
                self.skips = true;
                take(CutLine {
                    number: self.number,
                    content: None,
                })?;
            }
        }
        Ok(())
    }

    /// Gives a last line without a line end, with one.
    ///
    /// # Errors
    /// That of `take`.
    pub(crate) fn end(
        &mut self,
        mut take: impl FnMut(CutLine<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.line.is_empty() {
            return Ok(());
        }
        self.line.push(b'\n');
        self.give(&mut take)
    }

    fn give(&mut self, take: &mut impl FnMut(CutLine<'_>) -> Result<(), Failure>) -> Result<(), Failure> {
        let line = std::mem::take(&mut self.line);
        take(CutLine {
            number: self.number,
            content: Some(without_mark(&line)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_LIMIT, LineCutter};

    #[test]
    fn lines_come_whole_wherever_the_download_is_cut() {
        let text = "\u{feff}a\nbc\r\n\nlast";
        for size in 1..=text.len() {
            let (mut cutter, mut lines) = (LineCutter::new(), Vec::new());
            let mut take = |line: super::CutLine<'_>| {
                lines.push((line.number, line.content.unwrap().to_vec()));
                Ok(())
            };
            for chunk in text.as_bytes().chunks(size) {
                cutter.push(chunk, &mut take).unwrap();
            }
            cutter.end(&mut take).unwrap();
            let expected = [(1, "a\n"), (2, "bc\r\n"), (3, "\n"), (4, "last\n")];
            assert_eq!(
                lines,
                expected.map(|(number, line)| (number, line.into())),
                "{size}"
            );
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_is_not() {
        let (mut cutter, mut lines) = (LineCutter::new(), Vec::new());
        let mut take = |line: super::CutLine<'_>| {
            lines.push((line.number, line.content.map(<[u8]>::to_vec)));
            Ok(())
        };
        let chunk = vec![b'x'; LINE_LIMIT / 2 + 1];
        for chunk in [&chunk[..], &chunk, b"xx", b"x\nnext\n"] {
            cutter.push(chunk, &mut take).unwrap();
        }
        cutter.end(&mut take).unwrap();
        assert_eq!(lines, [(1, None), (2, Some(b"next\n".to_vec()))]);
    }
}

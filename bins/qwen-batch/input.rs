//! The input, line by line.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{self, cannot, cannot_read_stdin};
use tokio::sync::mpsc;

/// The longest line that is read, in bytes. Longer ones are skipped and reported.
pub(crate) const LINE_LIMIT: usize = 32 << 20;
/// How many lines are read ahead.
const READ_AHEAD: usize = 16;
/// A byte-order mark, which some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The opened input.
#[derive(Debug)]
pub(crate) struct Input {
    /// `None` for standard input.
    path: Option<PathBuf>,
    file: File,
}

/// A line that is not blank.
#[derive(Debug)]
pub(crate) struct InputLine {
    /// Counted from 1, blank lines included.
    pub(crate) number: u64,
    /// Without the line end; `None` when it is longer than [`LINE_LIMIT`].
    pub(crate) content: Option<Vec<u8>>,
}

impl Input {
    /// Opens a file; standard input for `-` and `None`.
    ///
    /// # Errors
    /// 66 when the file is missing, unreadable or a directory.
    pub(crate) fn open(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let path = path.filter(|path| *path != Path::new("-"));
        let file = match path {
            Some(path) => File::open(path)
                .and_then(|file| match file.metadata()?.is_dir() {
                    true => Err(io::ErrorKind::IsADirectory.into()),
                    false => Ok(file),
                })
                .map_err(|error| fs::cannot_read(path, &error))?,
            None => io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map_err(|error| cannot_read_stdin(&error))?
                .into(),
        };
        Ok(Self {
            path: path.cloned(),
            file,
        })
    }

    /// Returns the name for messages.
    pub(crate) fn name(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => "standard input".to_owned(),
        }
    }

    pub(crate) const fn is_stdin(&self) -> bool {
        self.path.is_none()
    }

    pub(crate) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Counts the lines of a regular file that are not blank.
    pub(crate) fn count(&self) -> Option<u64> {
        if self.is_stdin() || !self.file.metadata().ok()?.is_file() {
            return None;
        }
        let mut lines = Lines::new(None, &self.file);
        let mut count = 0;
        while lines.next().ok()?.is_some() {
            count += 1;
        }
        (&self.file).rewind().ok()?;
        Some(count)
    }

    pub(crate) fn lines(self) -> Lines<File> {
        Lines::new(self.path, self.file)
    }

    /// Reads in a thread of its own, so that slow input delays no result. The thread ends with the input, the receiver
    /// or the process.
    pub(crate) fn into_channel(self) -> mpsc::Receiver<Result<InputLine, Failure>> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            let mut lines = self.lines();
            while let Some(line) = lines.next().transpose() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}

pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// The lines of an input that are not blank, read one at a time.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    path: Option<PathBuf>,
    reader: BufReader<R>,
    number: u64,
}

impl<R: Read> Lines<R> {
    fn new(path: Option<PathBuf>, reader: R) -> Self {
        Self {
            path,
            reader: BufReader::with_capacity(64 << 10, reader),
            number: 0,
        }
    }

    /// Returns the next line; `None` at the end of the input.
    ///
    /// # Errors
    /// 74 when it cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<InputLine>, Failure> {
        self.read().map_err(|error| match &self.path {
            Some(path) => Failure::new(Exit::Io, cannot("read", path, &error)),
            None => cannot_read_stdin(&error),
        })
    }

    /// Takes the line end (LF or CRLF) and a byte-order mark off the line.
    fn read(&mut self) -> io::Result<Option<InputLine>> {
        loop {
            let mut line = Vec::new();
            let limit = LINE_LIMIT as u64 + 2;
            if (&mut self.reader).take(limit).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
            } else if line.len() as u64 == limit {
                self.reader.skip_until(b'\n')?;
            }
            if self.number == 1 && line.starts_with(BYTE_ORDER_MARK) {
                line.drain(..BYTE_ORDER_MARK.len());
            }
            if !is_blank(&line) {
                return Ok(Some(InputLine {
                    number: self.number,
                    content: (line.len() <= LINE_LIMIT).then_some(line),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_have_neither_ends_nor_marks_and_blank_ones_are_only_counted() {
        let mut lines = Lines::new(None, &b"\xef\xbb\xbfa\r\n\n \t\nb \n\xef\xbb\xbfc"[..]);
        for (number, content) in [(1, "a"), (4, "b "), (5, "\u{feff}c")] {
            let line = lines.next().unwrap().unwrap();
            assert_eq!((line.number, line.content.unwrap()), (number, content.into()));
        }
        assert!(lines.next().unwrap().is_none());
    }
}

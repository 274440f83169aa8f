//! The input, line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure, io_reason};
use rustix::fs::{Stat, fstat};
use tokio::sync::mpsc;

use super::request::is_blank;

/// The longest line that is read, in bytes. Longer ones are skipped and reported.
pub(crate) const LINE_LIMIT: usize = 32 << 20;
/// How many lines are read ahead.
const READ_AHEAD: usize = 16;
/// A byte-order mark, which some editors put before the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The opened input.
#[derive(Debug)]
pub(crate) struct Input {
    name: String,
    /// `None` for standard input.
    file: Option<File>,
}

#[derive(Debug)]
pub(crate) enum InputLine {
    /// A line without its line end.
    Line(Vec<u8>),
    TooLong,
}

impl Input {
    /// Opens a file; standard input for `-` and `None`.
    ///
    /// # Errors
    /// 66 when the file is missing, unreadable or a directory.
    pub(crate) fn open(path: Option<&PathBuf>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self {
                name: "standard input".to_owned(),
                file: None,
            });
        };
        let name = path.display().to_string();
        let cannot_read = |error| cannot_read(Exit::NoInput, &name, &error);
        let file = File::open(path).map_err(cannot_read)?;
        if file.metadata().map_err(cannot_read)?.is_dir() {
            return Err(cannot_read(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            name,
            file: Some(file),
        })
    }

    /// Returns the name for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn is_stdin(&self) -> bool {
        self.file.is_none()
    }

    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        match &self.file {
            Some(file) => fstat(file),
            None => fstat(rustix::stdio::stdin()),
        }
    }

    /// Counts the lines of a regular file that are not blank.
    pub(crate) fn count(&self) -> Option<u64> {
        let mut file = self.file.as_ref()?.try_clone().ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut lines = Lines::new(&file);
        let mut count = 0;
        while let Some(line) = lines.next().ok()? {
            count += u64::from(!matches!(&line, InputLine::Line(line) if is_blank(line)));
        }
        file.rewind().ok()?;
        Some(count)
    }

    pub(crate) fn lines(self) -> Lines<Box<dyn Read + Send>> {
        match self.file {
            Some(file) => Lines::new(Box::new(file)),
            None => Lines::new(Box::new(io::stdin())),
        }
    }

    /// Reads in a thread of its own, so that slow input delays no result. The thread ends with the input, the receiver
    /// or the process.
    pub(crate) fn into_channel(self) -> mpsc::Receiver<Result<InputLine, Failure>> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        std::thread::spawn(move || {
            let name = self.name.clone();
            let mut lines = self.lines();
            while let Some(line) = lines.next().transpose() {
                let line = line.map_err(|error| cannot_read(Exit::Io, &name, &error));
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}

pub(crate) fn cannot_read(exit: Exit, name: &str, error: &io::Error) -> Failure {
    Failure::new(exit, format!("cannot read '{name}': {}", io_reason(error)))
}

/// Lines of bytes, with a limit for each.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    is_first: bool,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, reader),
            is_first: true,
        }
    }

    /// Returns the next line without its line end (LF or CRLF) and byte-order mark; `None` at the end of the input.
    pub(crate) fn next(&mut self) -> io::Result<Option<InputLine>> {
        let mut line = Vec::new();
        let limit = LINE_LIMIT as u64 + 2;
        if (&mut self.reader).take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        } else if line.len() as u64 == limit {
            self.reader.skip_until(b'\n')?;
        }
        if std::mem::take(&mut self.is_first) && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.len() > LINE_LIMIT {
            return Ok(Some(InputLine::TooLong));
        }
        Ok(Some(InputLine::Line(line)))
    }
}

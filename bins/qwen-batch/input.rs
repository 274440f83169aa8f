//! The input, line by line, however slowly it comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure, io_reason};
use rustix::fs::{Stat, fstat};
use tokio::sync::mpsc;

/// The longest line that is read, in bytes. A longer one is passed over and reported.
pub(crate) const LINE_LIMIT: usize = 32 << 20;
/// How many lines are read ahead.
const AHEAD: usize = 16;

/// The input, open.
#[derive(Debug)]
pub(crate) struct Input {
    name: String,
    file: Option<File>,
}

/// What the reader found.
#[derive(Debug)]
pub(crate) enum Found {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line above the limit.
    TooLong,
}

impl Input {
    /// Opens a file, or standard input for `-` and nothing.
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
        let refused =
            |error: io::Error| Failure::new(Exit::NoInput, format!("'{name}': {}", io_reason(&error)));
        let file = File::open(path).map_err(refused)?;
        if file.metadata().map_err(refused)?.is_dir() {
            return Err(Failure::new(Exit::NoInput, format!("'{name}': is a directory")));
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

    /// True when it is standard input.
    pub(crate) const fn is_stdin(&self) -> bool {
        self.file.is_none()
    }

    /// Returns what the system knows of it.
    pub(crate) fn stat(&self) -> rustix::io::Result<Stat> {
        match &self.file {
            Some(file) => fstat(file),
            None => fstat(rustix::stdio::stdin()),
        }
    }

    /// Counts the lines that are not blank, of a regular file; for the progress bar.
    pub(crate) fn count(&self) -> Option<u64> {
        use std::io::Seek;
        let mut file = self.file.as_ref()?.try_clone().ok()?;
        if !file.metadata().ok()?.is_file() {
            return None;
        }
        let mut lines = Lines::new(&file);
        let mut count = 0;
        while let Some(found) = lines.next().ok()? {
            count += u64::from(!matches!(&found, Found::Line(line) if super::line::is_blank(line)));
        }
        file.rewind().ok()?;
        Some(count)
    }

    /// Makes an iterator over the lines.
    pub(crate) fn lines(self) -> Lines<Box<dyn Read + Send>> {
        match self.file {
            Some(file) => Lines::new(Box::new(file)),
            None => Lines::new(Box::new(io::stdin())),
        }
    }

    /// Reads in a thread of its own, so that input that is slow to come keeps no answer waiting. The thread ends with
    /// the input, with the receiver, or with the process.
    pub(crate) fn stream(self) -> mpsc::Receiver<Result<Found, Failure>> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            let name = self.name.clone();
            let mut lines = self.lines();
            loop {
                let next = match lines.next() {
                    Ok(None) => return,
                    Ok(Some(found)) => Ok(found),
                    Err(error) => Err(unreadable(&name, &error)),
                };
                let is_last = next.is_err();
                if sender.blocking_send(next).is_err() || is_last {
                    return;
                }
            }
        });
        receiver
    }
}

/// The failure of an input that breaks in the middle.
pub(crate) fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::new(Exit::Io, format!("'{name}': cannot read: {}", io_reason(error)))
}

/// A byte-order mark, which some editors put before the first line.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Lines of bytes, with a limit.
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

    /// Returns the next line without its end (LF or CRLF), the first without its mark; `None` at the end of the input.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
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
            self.skip_line()?;
        }
        if std::mem::take(&mut self.is_first) && line.starts_with(MARK) {
            line.drain(..MARK.len());
        }
        if line.len() > LINE_LIMIT {
            return Ok(Some(Found::TooLong));
        }
        Ok(Some(Found::Line(line)))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let part = self.reader.fill_buf()?;
            if part.is_empty() {
                return Ok(());
            }
            let (used, found) = match part.iter().position(|&byte| byte == b'\n') {
                Some(end) => (end + 1, true),
                None => (part.len(), false),
            };
            self.reader.consume(used);
            if found {
                return Ok(());
            }
        }
    }
}

//! The input, line by line.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{self, cannot, cannot_read_stdin};
use tokio::sync::mpsc;

use super::input_format::{Encoding, SAMPLE, foreign_format};
use super::record::without_mark;
use super::thread::spawn;

/// The longest line that is read, in bytes. Longer ones are skipped and reported.
pub(crate) const LINE_LIMIT: usize = 32 << 20;
/// What is wrong with a file that has become shorter.
const CUT: &str = "another program has cut it while this run read it";
/// How many lines are read ahead.
const READ_AHEAD: usize = 16;

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
    /// Without the line end; the beginning of one that is not whole.
    pub(crate) content: Vec<u8>,
    /// False when it is longer than [`LINE_LIMIT`].
    pub(crate) is_whole: bool,
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

    /// Returns what counts the lines that are not blank; `None` for what cannot be read twice.
    pub(crate) fn counter(&self) -> Option<LineCounter> {
        self.from_here()
            .map(|reader| LineCounter(Lines::of_reader(reader)))
    }

    /// Returns the lines. With `is_plain_text` any text will do; without, each is to be a JSON object.
    pub(crate) fn lines(self, is_plain_text: bool) -> Lines {
        let name = self.name();
        let Self { path, file } = self;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        let input = Self {
            path: path.clone(),
            file,
        };
        let reader = input.from_here().unwrap_or_else(|| Box::new(input.file));
        Lines {
            path,
            name,
            is_file,
            is_plain_text,
            ..Lines::of_reader(reader)
        }
    }

    /// Returns a reader of a regular file that leaves the file's own position as it is.
    #[expect(clippy::wrong_self_convention, reason = "from this position")]
    fn from_here(&self) -> Option<Box<dyn Read + Send>> {
        if !self.file.metadata().ok()?.is_file() {
            return None;
        }
        let file = self.file.try_clone().ok()?;
        let offset = (&file).stream_position().ok()?;
        let length = file.metadata().ok()?.len();
        Some(Box::new(FileReader { file, offset, length }))
    }
}

/// Reads a file from a position of its own.
struct FileReader {
    file: File,
    offset: u64,
    /// How long the file was at first.
    length: u64,
}

impl FileReader {
    /// True at the end of a file that has become shorter, and has ended before that of what was there.
    fn is_cut(&self) -> io::Result<bool> {
        Ok(self.offset < self.length && self.file.metadata()?.len() < self.length)
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        if read == 0 && !buffer.is_empty() && self.is_cut()? {
            return Err(io::Error::other(CUT));
        }
        self.offset += read as u64;
        Ok(read)
    }
}

/// Counts the lines of an input.
#[derive(Debug)]
pub(crate) struct LineCounter(Lines);

impl LineCounter {
    /// Returns how many lines are not blank; `None` where they cannot be read.
    pub(crate) fn count(mut self) -> Option<u64> {
        self.0.is_plain_text = true;
        let mut count = 0;
        while self.0.next().ok()?.is_some() {
            count += 1;
        }
        Some(count)
    }
}

/// Makes the reader of the text that was packed, which may be UTF-16 as any other.
fn unpacked(mut bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    // What is there at once, which is what the text is judged by; four bytes tell the encoding.
    let mut start = vec![0; SAMPLE];
    let mut length = 0;
    while length < 4 {
        match bytes.read(&mut start[length..])? {
            0 => break,
            read => length += read,
        }
    }
    start.truncate(length);
    let encoding = Encoding::of(&start);
    let whole = Box::new(io::Cursor::new(start).chain(bytes));
    Ok(match encoding {
        // Once is enough: what is in it is told to be no requests.
        Encoding::Gzip => whole,
        encoding => encoding.reader(whole),
    })
}

pub(crate) fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

/// The lines of an input that are not blank, read one at a time.
pub(crate) struct Lines {
    path: Option<PathBuf>,
    name: String,
    /// What can be read to its end without waiting for anybody.
    is_file: bool,
    is_plain_text: bool,
    encoding: Encoding,
    has_started: bool,
    reader: BufReader<Box<dyn Read + Send>>,
    number: u64,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Lines {
    fn of_reader(reader: Box<dyn Read + Send>) -> Self {
        Self {
            path: None,
            name: "standard input".to_owned(),
            is_file: true,
            is_plain_text: false,
            encoding: Encoding::Utf8,
            has_started: false,
            reader: BufReader::with_capacity(SAMPLE, reader),
            number: 0,
        }
    }

    /// Looks at the beginning of a regular file. Anything else is looked at when the first line is wanted.
    ///
    /// # Errors
    /// 65 for what holds no requests in lines; 74 when it cannot be read.
    pub(crate) fn start_file(&mut self) -> Result<(), Failure> {
        match self.is_file {
            true => self.start(),
            false => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.has_started, true) {
            return Ok(());
        }
        let sample = self.sample().map_err(|error| self.cannot_read(&error))?;
        self.encoding = Encoding::of(&sample);
        let is_whole = self.is_file && sample.len() < SAMPLE;
        let inner: Box<dyn Read + Send> = Box::new(io::empty());
        let rest = std::mem::replace(&mut self.reader, BufReader::new(inner)).into_inner();
        let whole = Box::new(io::Cursor::new(sample).chain(rest));
        let text = self.encoding.reader(whole);
        let text = match self.encoding {
            Encoding::Gzip => unpacked(text).map_err(|error| self.cannot_read(&error))?,
            _ => text,
        };
        self.reader = BufReader::with_capacity(SAMPLE, text);
        let text = match self.reader.fill_buf() {
            Ok(text) => text,
            Err(error) => return Err(self.cannot_read(&error)),
        };
        let is_whole = is_whole && self.encoding == Encoding::Utf8;
        match foreign_format(text, is_whole, self.is_plain_text) {
            Some(foreign) => Err(foreign.failure(&self.name)),
            None => Ok(()),
        }
    }

    /// Takes the first bytes: as many as there are of a file, what has come of anything else.
    fn sample(&mut self) -> io::Result<Vec<u8>> {
        let wanted = if self.is_file { SAMPLE } else { 4 };
        let mut sample = vec![0; SAMPLE];
        let mut length = 0;
        while length < wanted {
            match self.reader.get_mut().read(&mut sample[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if sample[..length].contains(&b'\n') && !self.is_file {
                break;
            }
        }
        sample.truncate(length);
        Ok(sample)
    }

    /// Reads in a thread of its own, so that slow input delays no result. The thread ends with the input, the receiver
    /// or the process.
    ///
    /// # Errors
    /// Those of [`spawn`].
    pub(crate) fn into_channel(mut self) -> Result<mpsc::Receiver<Result<InputLine, Failure>>, Failure> {
        let (sender, receiver) = mpsc::channel(READ_AHEAD);
        spawn(move || {
            while let Some(line) = self.next().transpose() {
                let is_last = line.is_err();
                if sender.blocking_send(line).is_err() || is_last {
                    return;
                }
            }
        })?;
        Ok(receiver)
    }

    /// Returns the next line; `None` at the end of the input.
    ///
    /// # Errors
    /// 74 when it cannot be read, 65 when it holds no requests in lines.
    pub(crate) fn next(&mut self) -> Result<Option<InputLine>, Failure> {
        self.start()?;
        self.read().map_err(|error| self.cannot_read(&error))
    }

    fn cannot_read(&self, error: &io::Error) -> Failure {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if self.encoding == Encoding::Gzip
            && matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
        {
            let message = format!("'{}': the gzip data is damaged or cut", self.name);
            return Failure::new(Exit::Data, message);
        }
        match &self.path {
            Some(path) => Failure::new(Exit::Io, cannot("read", path, error)),
            None => cannot_read_stdin(error),
        }
    }

    /// Takes the line end (LF or CRLF) and a byte-order mark off the line: files that were put together have them within.
    /// An input without any LF has lines that end in CR, as an old Mac wrote them.
    fn read(&mut self) -> io::Result<Option<InputLine>> {
        loop {
            let mut content = Vec::new();
            let limit = LINE_LIMIT as u64 + 2;
            if (&mut self.reader).take(limit).read_until(b'\n', &mut content)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if content.last() == Some(&b'\n') {
                content.pop();
                if content.last() == Some(&b'\r') {
                    content.pop();
                }
            } else if content.len() as u64 == limit {
                self.reader.skip_until(b'\n')?;
            } else if self.number == 1 && self.ends_in_cr(&content) {
                self.read_again(content);
                continue;
            }
            let mark = content.len() - without_mark(&content).len();
            content.drain(..mark);
            if !is_blank(&content) {
                let is_whole = content.len() <= LINE_LIMIT;
                content.truncate(LINE_LIMIT);
                return Ok(Some(InputLine {
                    number: self.number,
                    content,
                    is_whole,
                }));
            }
        }
    }

    /// Goes back to the beginning of an input that was taken for one line: its lines end in CR.
    fn read_again(&mut self, mut text: Vec<u8>) {
        for byte in &mut text {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
        self.reader = BufReader::new(Box::new(io::Cursor::new(text)));
        self.number = 0;
    }

    /// True for an input of one line that is several by its CRs. In JSON one may stand between two members.
    fn ends_in_cr(&self, line: &[u8]) -> bool {
        let mut parts = line.split(|&byte| byte == b'\r').map(without_mark);
        line.contains(&b'\r')
            && (self.is_plain_text
                || parts.all(|part| is_blank(part) || part.trim_ascii_start().starts_with(b"{")))
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_have_neither_ends_nor_marks_and_blank_ones_are_only_counted() {
        let text = &b"\xef\xbb\xbf{a\r\n\n \t\nb \n\xef\xbb\xbfc"[..];
        let mut lines = Lines::of_reader(Box::new(text));
        for (number, content) in [(1, "{a"), (4, "b "), (5, "c")] {
            let line = lines.next().unwrap().unwrap();
            assert_eq!((line.number, line.content), (number, content.into()));
        }
        assert!(lines.next().unwrap().is_none());
    }

    fn contents(text: &'static str, is_plain_text: bool) -> Vec<(u64, String)> {
        let mut lines = Lines {
            is_plain_text,
            ..Lines::of_reader(Box::new(text.as_bytes()))
        };
        let next = || lines.next().unwrap();
        std::iter::from_fn(next)
            .map(|line| (line.number, String::from_utf8(line.content).unwrap()))
            .collect()
    }

    #[test]
    fn an_input_without_lf_has_lines_that_end_in_cr() {
        let one = |text: &str| vec![(1, text.to_owned())];
        for (text, is_plain_text, expected) in [
            ("a\rb\r", true, vec![(1, "a".to_owned()), (2, "b".to_owned())]),
            ("a\r\rb", true, vec![(1, "a".to_owned()), (3, "b".to_owned())]),
            (
                "{\"a\":1}\r{\r",
                false,
                vec![(1, "{\"a\":1}".to_owned()), (2, "{".to_owned())],
            ),
            ("{\"a\":\r1}", false, one("{\"a\":\r1}")),
            ("a\rb\n", true, one("a\rb")),
            ("a\r\n", true, one("a")),
            ("a", true, one("a")),
        ] {
            assert_eq!(contents(text, is_plain_text), expected, "{text:?}");
        }
    }
}

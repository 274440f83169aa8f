//! Where results go, and which questions they already answer.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::signal::{SIGPIPE, end_by_signal};
use qwen_shared::text::escape_json;
use rustix::fs::{FileType, fstat, stat};

use super::input::Input;
use crate::record;

/// How records begin, ours and the providers': by this a cut one is known.
const HEAD: &[u8] = b"{\"id\"";

/// The results of a run.
#[derive(Debug)]
pub(crate) enum Results {
    /// Standard output.
    Stdout,
    /// A pipe or a device: written to, no more.
    Stream(File, PathBuf),
    /// A file, under our lock.
    Kept(Kept),
}

/// A file of whole records.
#[derive(Debug)]
pub(crate) struct Kept {
    file: File,
    path: PathBuf,
    /// How long it is: up to here every record is whole.
    length: u64,
}

impl Results {
    /// Opens where results go, and notes in `seen` what is there. A record that an earlier run left unfinished is cut
    /// off. With `drop_failed` failures are dropped, so that they are asked again.
    ///
    /// # Errors
    /// 74 when it cannot be opened, 75 when another process writes to it, 65 when it holds what is no result: it is
    /// left alone then.
    pub(crate) fn open(
        path: Option<&PathBuf>,
        drop_failed: bool,
        seen: &mut Seen,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let Some(path) = named(path) else {
            return Ok(Self::Stdout);
        };
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let file = OpenOptions::new().write(true).open(path);
            let file = file.map_err(|error| unwritten(path, &error))?;
            return Ok(Self::Stream(file, path.clone()));
        }
        let file = locked(path)?;
        let mut kept = Kept {
            file,
            path: path.clone(),
            length: 0,
        };
        let failures = kept.read(seen, !drop_failed, reporter)?;
        if drop_failed && failures > 0 {
            kept.drop_failed()?;
        }
        Ok(Self::Kept(kept))
    }

    /// Writes one whole record, its line end included.
    ///
    /// # Errors
    /// 74. The file ends with a whole record then all the same.
    pub(crate) fn write(&mut self, record: &[u8]) -> Result<(), Failure> {
        match self {
            // A server's words are in it: on a terminal they must not act.
            Self::Stdout if Stdout::is_terminal() => {
                Stdout::write(escape_json(&String::from_utf8_lossy(record)).as_bytes())
            }
            Self::Stdout => Stdout::write(record),
            Self::Stream(file, path) => file.write_all(record).map_err(|error| match error.kind() {
                // As on standard output: the reader has enough.
                io::ErrorKind::BrokenPipe => end_by_signal(SIGPIPE),
                _ => unwritten(path, &error),
            }),
            Self::Kept(kept) => kept.append(record),
        }
    }

    /// Makes what was written last: it survives a power cut once this returns.
    ///
    /// # Errors
    /// 74: some file systems report a full disk here alone.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        match self {
            Self::Kept(kept) => kept
                .file
                .sync_data()
                .map_err(|error| unwritten(&kept.path, &error)),
            _ => Ok(()),
        }
    }
}

impl Kept {
    fn append(&mut self, record: &[u8]) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all_at(record, self.length) {
            // A full disk takes a part of a record; to give it back needs no room.
            let _ = self.file.set_len(self.length);
            return Err(unwritten(&self.path, &error)
                .hint("make room and run the same command again: it goes on where it stopped"));
        }
        self.length += record.len() as u64;
        Ok(())
    }

    /// Reads what is there; returns how many failures there are.
    fn read(&mut self, seen: &mut Seen, note_failed: bool, reporter: &Reporter) -> Result<u64, Failure> {
        let (mut failures, mut number) = (0, 0_u64);
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            number += 1;
            let read = reader
                .read_until(b'\n', &mut line)
                .map_err(|error| unread(&self.path, &error))?;
            if read == 0 {
                return Ok(failures);
            }
            let whole = line.strip_suffix(b"\n").unwrap_or(&line);
            match record::read(whole) {
                Some(past) => {
                    failures += u64::from(past.failed);
                    if note_failed || !past.failed {
                        seen.note(&past.custom_id, past.failed);
                    }
                    self.length += line.len() as u64;
                }
                None if whole.trim_ascii().is_empty() && whole.len() < line.len() => {
                    self.length += line.len() as u64;
                }
                None if whole.len() == line.len() && self.is_cut(whole) => {
                    return self.repair(failures, reporter);
                }
                None => return Err(self.foreign(number)),
            }
            if whole.len() == line.len() {
                // Whole but for its line end.
                self.append(b"\n")?;
                return Ok(failures);
            }
        }
    }

    /// True for a last line that can be the beginning of a record, or what a power cut leaves in the place of one.
    fn is_cut(&self, rest: &[u8]) -> bool {
        let is_record = match self.length {
            0 => rest.starts_with(HEAD) || HEAD.starts_with(rest),
            _ => rest.starts_with(b"{"),
        };
        is_record || rest.iter().all(|&byte| byte == 0)
    }

    /// Cuts off a last record that was not finished.
    fn repair(&self, failures: u64, reporter: &Reporter) -> Result<u64, Failure> {
        self.file
            .set_len(self.length)
            .map_err(|error| unwritten(&self.path, &error))?;
        reporter.detail(&format!(
            "{}: cut off an unfinished last line",
            self.path.display()
        ));
        Ok(failures)
    }

    fn foreign(&self, number: u64) -> Failure {
        let path = self.path.display();
        Failure::new(
            Exit::Data,
            format!("{path}:{number}: not a result; the file is left as it is"),
        )
        .hint("name a new file with --output")
    }

    /// Puts a file without the failures in this one's place. A crash leaves the one or the other, whole.
    fn drop_failed(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| unwritten(&self.path, &error);
        // A symbolic link stays one.
        let target = self.path.canonicalize().map_err(failed)?;
        let mode = self.file.metadata().map_err(failed)?.permissions();
        let mut cleaned = tempfile::Builder::new()
            .prefix(".qwen-batch.")
            .permissions(mode)
            .tempfile_in(target.parent().unwrap_or_else(|| Path::new("/")))
            .map_err(failed)?;
        let length = self.copy_good(cleaned.as_file_mut()).map_err(failed)?;
        cleaned.as_file().sync_data().map_err(failed)?;
        // Locked before it has the name, so that nobody gets in between.
        cleaned
            .as_file()
            .try_lock()
            .map_err(|error| failed(error.into()))?;
        self.file = cleaned.persist(target).map_err(|error| failed(error.error))?;
        self.length = length;
        Ok(())
    }

    /// Copies the records that are no failures; returns how many bytes they have.
    fn copy_good(&self, to: &mut File) -> io::Result<u64> {
        (&self.file).rewind()?;
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut writer = BufWriter::with_capacity(64 << 10, to);
        let (mut line, mut length) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            if record::read(&line).is_some_and(|past| !past.failed) {
                writer.write_all(&line)?;
                length += line.len() as u64;
            }
            line.clear();
        }
        writer.flush()?;
        Ok(length)
    }
}

/// Returns the path of results that do not go to standard output.
fn named(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| *path != Path::new("-"))
}

/// True when results would go into the input itself, where they would be read as questions, without an end.
pub(crate) fn is_same(input: &Input, output: Option<&PathBuf>) -> bool {
    let output = match named(output) {
        Some(path) => stat(path),
        None => fstat(rustix::stdio::stdout()),
    };
    match (input.stat(), output) {
        (Ok(input), Ok(output)) => {
            FileType::from_raw_mode(input.st_mode).is_file()
                && (input.st_dev, input.st_ino) == (output.st_dev, output.st_ino)
        }
        _ => false,
    }
}

/// Opens and locks a file, creating it where it is missing.
fn locked(path: &Path) -> Result<File, Failure> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| unwritten(path, &error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            // Another run has put a new file in its place and ended.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let shown = path.display();
                return Err(Failure::new(
                    Exit::TryAgain,
                    format!("'{shown}': another qwen-batch is writing to it"),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(unwritten(path, &error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    let (shown, reason) = (path.display(), io_reason(error));
    Failure::new(Exit::Io, format!("'{shown}': cannot write: {reason}"))
}

fn unread(path: &Path, error: &io::Error) -> Failure {
    let (shown, reason) = (path.display(), io_reason(error));
    Failure::new(Exit::Io, format!("'{shown}': cannot read: {reason}"))
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing so far; it has been noted now.
    New,
    /// An earlier run, or the same file fetched before, has its result.
    Done {
        /// True when that result is a failure.
        failed: bool,
    },
    /// The input has had it already.
    Twice,
}

/// The names of results and questions: digests of 62 bits, under a key that nobody can guess, with two marks.
///
/// Two of a million names share a digest once in nine million runs; one of them would be skipped then.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    names: HashSet<Name, BuildHasherDefault<AsItIs>>,
    key: RandomState,
}

const FAILED: u64 = 1;
const MET: u64 = 2;

impl Seen {
    /// Notes a result that is there; true when it is the first of that name.
    pub(crate) fn note(&mut self, custom_id: &str, failed: bool) -> bool {
        let name = self.name(custom_id);
        self.names
            .replace(Name(name.0 | if failed { FAILED } else { 0 }))
            .is_none()
    }

    /// Meets a name in the input.
    pub(crate) fn meet(&mut self, custom_id: &str) -> Known {
        let name = self.name(custom_id);
        let before = self.names.get(&name).map_or(0, |name| name.0);
        let is_new = self.names.replace(Name(name.0 | before & FAILED | MET)).is_none();
        match is_new {
            true => Known::New,
            false if before & MET != 0 => Known::Twice,
            false => Known::Done {
                failed: before & FAILED != 0,
            },
        }
    }

    fn name(&self, custom_id: &str) -> Name {
        Name(self.key.hash_one(custom_id) & !(FAILED | MET))
    }
}

/// A digest whose marks do not take part in comparisons.
#[derive(Clone, Copy, Debug)]
struct Name(u64);

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0 & !(FAILED | MET) == other.0 & !(FAILED | MET)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 & !(FAILED | MET));
    }
}

/// Takes a digest for its own hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        // The marks are the lowest bits; a table looks at the lowest and at the highest.
        self.0 = digest.rotate_left(30);
    }
}

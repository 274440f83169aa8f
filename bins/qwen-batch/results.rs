//! Where results go, and the IDs of the requests that have one.

use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::hash::BuildHasher;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{cannot, cannot_write};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::signal::{SIGPIPE, end_by_signal};
use qwen_shared::text::escape_json;

use super::input::Input;
use super::record::ExistingRecord;

/// How records begin, ours and the providers': a cut one is recognised by it.
const RECORD_START: &[u8] = b"{\"id\"";

#[derive(Debug)]
pub(crate) enum Results {
    Stdout,
    /// A pipe or a device.
    Stream(File, PathBuf),
    File(ResultFile),
}

/// A locked file of whole records.
#[derive(Debug)]
pub(crate) struct ResultFile {
    file: File,
    path: PathBuf,
    /// Up to here every record is whole.
    length: u64,
}

impl Results {
    /// Opens the output and adds the records that it holds to `completed`. A record that an earlier run left
    /// unfinished is cut off. With `drop_failed` failed records are removed, so that their requests are sent again.
    ///
    /// # Errors
    /// 74 when it cannot be opened, 75 when another process writes to it, 65 when it holds anything but records: it is
    /// not changed then.
    pub(crate) fn open(
        path: Option<&PathBuf>,
        drop_failed: bool,
        completed: &mut CompletedIds,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let Some(path) = named(path) else {
            return Ok(Self::Stdout);
        };
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) {
            let file = OpenOptions::new().write(true).open(path);
            let file = file.map_err(|error| cannot_write(path, &error))?;
            return Ok(Self::Stream(file, path.clone()));
        }
        let mut results = ResultFile {
            file: open_locked(path)?,
            path: path.clone(),
            length: 0,
        };
        let failed = results.read(completed, drop_failed, reporter)?;
        if drop_failed && failed > 0 {
            results.drop_failed()?;
        }
        Ok(Self::File(results))
    }

    /// Writes one record, its line end included.
    ///
    /// # Errors
    /// 74. The file still ends with a whole record then.
    pub(crate) fn write(&mut self, record: &[u8]) -> Result<(), Failure> {
        match self {
            // It holds text from the server, which must not control the terminal.
            Self::Stdout if Stdout::is_terminal() => {
                Stdout::write(escape_json(&String::from_utf8_lossy(record)).as_bytes())
            }
            Self::Stdout => Stdout::write(record),
            Self::Stream(file, path) => file.write_all(record).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => end_by_signal(SIGPIPE),
                _ => cannot_write(path, &error),
            }),
            Self::File(results) => results.append(record),
        }
    }

    /// Makes a file survive a power cut.
    ///
    /// # Errors
    /// 74: some file systems report a full disk only here.
    pub(crate) fn sync(&self) -> Result<(), Failure> {
        match self {
            Self::File(results) => results
                .file
                .sync_data()
                .map_err(|error| cannot_write(&results.path, &error)),
            _ => Ok(()),
        }
    }
}

impl ResultFile {
    fn append(&mut self, record: &[u8]) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all_at(record, self.length) {
            // A full disk may have taken a part of the record.
            let _ = self.file.set_len(self.length);
            return Err(cannot_write(&self.path, &error)
                .hint("make room and run the same command again: it continues where this run stopped"));
        }
        self.length += record.len() as u64;
        Ok(())
    }

    /// Reads the records; returns how many of them failed.
    fn read(
        &mut self,
        completed: &mut CompletedIds,
        skip_failed: bool,
        reporter: &Reporter,
    ) -> Result<u64, Failure> {
        let (mut failed, mut number) = (0, 0_u64);
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            number += 1;
            let read = reader
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::new(Exit::Io, cannot("read", &self.path, &error)))?;
            if read == 0 {
                return Ok(failed);
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            let has_line_end = content.len() < line.len();
            match ExistingRecord::parse(content) {
                Some(record) => {
                    failed += u64::from(record.failed);
                    if !record.failed || !skip_failed {
                        completed.insert(&record.custom_id, record.failed);
                    }
                }
                None if has_line_end && content.trim_ascii().is_empty() => {}
                None if !has_line_end && self.is_unfinished(content) => {
                    self.cut_off_rest(reporter)?;
                    return Ok(failed);
                }
                None => return Err(self.not_a_record(number)),
            }
            self.length += line.len() as u64;
            if !has_line_end {
                self.append(b"\n")?;
                return Ok(failed);
            }
        }
    }

    /// True for a last line that may be the beginning of a record, or the zeros that a power cut leaves in its place.
    fn is_unfinished(&self, rest: &[u8]) -> bool {
        let is_start = match self.length {
            0 => rest.starts_with(RECORD_START) || RECORD_START.starts_with(rest),
            _ => rest.starts_with(b"{"),
        };
        is_start || rest.iter().all(|&byte| byte == 0)
    }

    fn cut_off_rest(&self, reporter: &Reporter) -> Result<(), Failure> {
        self.file
            .set_len(self.length)
            .map_err(|error| cannot_write(&self.path, &error))?;
        reporter.detail(&format!(
            "{}: cut off an unfinished last line",
            self.path.display()
        ));
        Ok(())
    }

    fn not_a_record(&self, number: u64) -> Failure {
        let path = self.path.display();
        Failure::new(
            Exit::Data,
            format!("{path}:{number}: not a result; the file was not changed"),
        )
        .hint("name a new file with --output")
    }

    /// Replaces the file by one without the failed records. A crash leaves one of the two, whole.
    fn drop_failed(&mut self) -> Result<(), Failure> {
        let failed = |error: io::Error| cannot_write(&self.path, &error);
        // A symbolic link stays one.
        let target = self.path.canonicalize().map_err(failed)?;
        let mode = self.file.metadata().map_err(failed)?.permissions();
        let mut replacement = tempfile::Builder::new()
            .prefix(".qwen-batch.")
            .permissions(mode)
            .tempfile_in(target.parent().unwrap_or_else(|| Path::new("/")))
            .map_err(failed)?;
        let length = self.copy_successful(replacement.as_file_mut()).map_err(failed)?;
        replacement.as_file().sync_data().map_err(failed)?;
        // Locked before it has the name, so that no other run gets in between.
        replacement
            .as_file()
            .try_lock()
            .map_err(|error| failed(error.into()))?;
        self.file = replacement.persist(target).map_err(|error| failed(error.error))?;
        self.length = length;
        Ok(())
    }

    /// Copies the records that did not fail; returns their length in bytes.
    fn copy_successful(&self, to: &mut File) -> io::Result<u64> {
        (&self.file).rewind()?;
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut writer = BufWriter::with_capacity(64 << 10, to);
        let (mut line, mut length) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            if ExistingRecord::parse(&line).is_some_and(|record| !record.failed) {
                writer.write_all(&line)?;
                length += line.len() as u64;
            }
            line.clear();
        }
        writer.flush()?;
        Ok(length)
    }
}

/// Returns the path of an output that is not standard output.
fn named(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| *path != Path::new("-"))
}

/// True when results would be appended to the input, which would then never end.
pub(crate) fn is_same_file(input: &Input, output: Option<&PathBuf>) -> bool {
    let output = match named(output) {
        Some(path) => path.metadata(),
        None => io::stdout()
            .as_fd()
            .try_clone_to_owned()
            .and_then(|stdout| File::from(stdout).metadata()),
    };
    match (input.metadata(), output) {
        (Ok(input), Ok(output)) => input.is_file() && file_id(&input) == file_id(&output),
        _ => false,
    }
}

fn file_id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Opens and locks a file, creating it if it is missing.
fn open_locked(path: &Path) -> Result<File, Failure> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| cannot_write(path, &error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => return Ok(file),
            // Another run has replaced the file and ended.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let shown = path.display();
                return Err(Failure::new(
                    Exit::TryAgain,
                    format!("'{shown}': another qwen-batch is writing to it"),
                ));
            }
            Err(TryLockError::Error(error)) => return Err(cannot_write(path, &error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => file_id(&ours) == file_id(&there),
        _ => false,
    }
}

/// What is known of a `custom_id` that the input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdStatus {
    New,
    /// It has a record: of an earlier run, or fetched before.
    Completed {
        failed: bool,
    },
    /// The input has had it before.
    Duplicate,
}

/// The IDs of completed requests and of the input so far, in eight bytes each: a digest of 62 bits, keyed with random,
/// and two flags.
///
/// Among a million IDs two share a digest once in nine million runs; one of the two requests would be skipped then.
#[derive(Debug, Default)]
pub(crate) struct CompletedIds(HashSet<u64>);

impl CompletedIds {
    const FAILED: u64 = 1;
    const IN_INPUT: u64 = 2;
    const FLAGS: u64 = Self::FAILED | Self::IN_INPUT;

    /// Adds the ID of a record.
    pub(crate) fn insert(&mut self, custom_id: &str, failed: bool) {
        let (digest, _) = self.take(custom_id);
        self.0.insert(digest | if failed { Self::FAILED } else { 0 });
    }

    /// Adds an ID of the input; returns what was known of it.
    pub(crate) fn register(&mut self, custom_id: &str) -> IdStatus {
        let (digest, flags) = self.take(custom_id);
        self.0.insert(digest | flags.unwrap_or(0) | Self::IN_INPUT);
        match flags {
            None => IdStatus::New,
            Some(flags) if flags & Self::IN_INPUT != 0 => IdStatus::Duplicate,
            Some(flags) => IdStatus::Completed {
                failed: flags & Self::FAILED != 0,
            },
        }
    }

    /// Removes an ID; returns its digest and the flags that it had.
    fn take(&mut self, custom_id: &str) -> (u64, Option<u64>) {
        let digest = self.0.hasher().hash_one(custom_id) & !Self::FLAGS;
        let flags = (0..=Self::FLAGS).find(|flags| self.0.remove(&(digest | flags)));
        (digest, flags)
    }
}

#[cfg(test)]
mod tests {
    use super::{CompletedIds, IdStatus};

    #[test]
    fn an_id_is_new_completed_or_a_duplicate() {
        let mut ids = CompletedIds::default();
        ids.insert("good", false);
        ids.insert("bad", true);
        ids.insert("repaired", true);
        ids.insert("repaired", false);
        for (id, status) in [
            ("good", IdStatus::Completed { failed: false }),
            ("bad", IdStatus::Completed { failed: true }),
            ("repaired", IdStatus::Completed { failed: false }),
            ("other", IdStatus::New),
        ] {
            assert_eq!(ids.register(id), status, "{id}");
            assert_eq!(ids.register(id), IdStatus::Duplicate, "{id}");
        }
    }
}

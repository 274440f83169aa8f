//! A file of records, which may be changed by others at any time.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{Links, cannot, cannot_write, is_at};
use qwen_shared::output::Reporter;
use serde::de::IgnoredAny;

use super::completed::{Claim, CompletedRequests};
use super::record::{ExistingRecord, without_mark};
use super::replacement::{Replacement, has_no_locks, remove_abandoned};
use super::results::remedy;

/// How records begin, ours and the providers': a cut one is recognised by it.
const RECORD_STARTS: [&str; 4] = ["{\"id\"", "{\"custom_id\"", "{\"response\"", "{\"error\""];

/// A locked file of whole records.
#[derive(Debug)]
pub(crate) struct ResultFile {
    file: File,
    path: PathBuf,
    id: (u64, u64),
    /// Up to here every record is whole.
    length: u64,
    /// What is to be said of the file.
    pub(crate) notices: Vec<String>,
    /// Set once another program has changed the file so that results are missing in it.
    damage: Option<Failure>,
}

/// A record, and where it is to stand.
struct Placed {
    place: u64,
    offset: u64,
    length: usize,
}

impl ResultFile {
    /// Opens and locks a file, creating it if it is missing, and reads its records.
    ///
    /// # Errors
    /// See [`super::results::Results::open`].
    pub(crate) fn open(
        path: &Path,
        completed: &mut CompletedRequests,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let file = open_locked(path, reporter)?;
        remove_abandoned(path);
        let id = file_id(&file.metadata().map_err(|error| cannot_write(path, &error))?);
        let mut results = Self {
            file,
            path: path.to_owned(),
            id,
            length: 0,
            notices: Vec::new(),
            damage: None,
        };
        results.read(completed, reporter)?;
        Ok(results)
    }

    /// Reads the records.
    fn read(&mut self, completed: &mut CompletedRequests, reporter: &Reporter) -> Result<(), Failure> {
        let mut number = 0_u64;
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            number += 1;
            let read = reader
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::new(Exit::Io, cannot("read", &self.path, &error)))?;
            if read == 0 {
                return Ok(());
            }
            let content = line.strip_suffix(b"\n").unwrap_or(&line);
            let has_line_end = content.len() < line.len();
            match ExistingRecord::parse(content) {
                Some(record) => completed.insert(&record),
                None if has_line_end && without_mark(content).trim_ascii().is_empty() => {}
                None if !has_line_end && self.is_unfinished(without_mark(content)) => {
                    self.file
                        .set_len(self.length)
                        .map_err(|error| cannot_write(&self.path, &error))?;
                    let path = self.path.display();
                    reporter.detail(&format!("{path}: cut off an unfinished last line"));
                    return Ok(());
                }
                None => return Err(self.not_a_record(number)),
            }
            self.length += line.len() as u64;
            if !has_line_end {
                return self.write_at_end(b"\n");
            }
        }
    }

    /// True for a last line that may be the beginning of a record, and of no more than one, or the zeros that a power cut
    /// leaves in its place.
    fn is_unfinished(&self, rest: &[u8]) -> bool {
        let end = rest
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        let rest = &rest[..end];
        let parsed = serde_json::from_slice::<IgnoredAny>(rest);
        if !parsed.is_err_and(|error| error.is_eof()) {
            return false;
        }
        let is_start = match self.length {
            0 => RECORD_STARTS
                .iter()
                .any(|start| rest.starts_with(start.as_bytes()) || start.as_bytes().starts_with(rest)),
            _ => rest.starts_with(b"{"),
        };
        is_start || rest.is_empty()
    }

    fn not_a_record(&self, number: u64) -> Failure {
        let path = self.path.display();
        Failure::new(
            Exit::Data,
            format!("{path}:{number}: not a result; the file was not changed"),
        )
        .hint("name a new file with --output")
    }

    /// Appends a record, wherever the file is by now.
    ///
    /// # Errors
    /// 74.
    pub(crate) fn append(&mut self, record: &[u8]) -> Result<(), Failure> {
        match self.path.metadata() {
            Ok(there) if file_id(&there) == self.id => {
                if there.len() != self.length {
                    self.follow(there.len())?;
                }
            }
            Ok(_) => self.keep_beside()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.restore()?,
            // What cannot be looked at may still be written to.
            Err(_) => {}
        }
        self.write_at_end(record)
    }

    fn write_at_end(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Err(error) = self.file.write_all_at(bytes, self.length) {
            // A full disk may have taken a part of the record.
            let _ = self.file.set_len(self.length);
            return Err(cannot_write(&self.path, &error)
                .hint(format!("{}: it continues where this run stopped", remedy(&error))));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Goes on at the end of a file that another program has cut or added to.
    fn follow(&mut self, length: u64) -> Result<(), Failure> {
        let path = self.path.display().to_string();
        if length > self.length {
            self.length = length;
            let mut last = [b'\n'];
            let _ = self.file.read_at(&mut last, length - 1);
            if last != [b'\n'] {
                self.write_at_end(b"\n")?;
            }
            return Ok(());
        }
        let failed = |error: io::Error| cannot_write(&self.path, &error);
        let end = self.whole_lines(length).map_err(failed)?;
        self.file.set_len(end).map_err(failed)?;
        self.length = end;
        self.notices.push(format!(
            "'{path}': another program has cut it while this run writes to it; what comes goes on there"
        ));
        self.damage.get_or_insert_with(|| {
            Failure::new(
                Exit::Io,
                format!("'{path}': another program has removed results from it"),
            )
            .hint("run the same command again: it asks for what is missing")
        });
        Ok(())
    }

    /// Returns where the last whole line ends, of those before `end`.
    fn whole_lines(&self, end: u64) -> io::Result<u64> {
        let mut end = end;
        let mut chunk = vec![0; 64 << 10];
        while end > 0 {
            let start = end.saturating_sub(chunk.len() as u64);
            let length = usize::try_from(end - start).unwrap_or(chunk.len());
            self.file.read_exact_at(&mut chunk[..length], start)?;
            if let Some(last) = chunk[..length].iter().rposition(|&byte| byte == b'\n') {
                return Ok(start + last as u64 + 1);
            }
            end = start;
        }
        Ok(0)
    }

    /// Brings back a file that another program has removed, with all that it held.
    fn restore(&mut self) -> Result<(), Failure> {
        let path = self.path.clone();
        self.copy_to(&path).map_err(|error| cannot_write(&path, &error))?;
        self.notices.push(format!(
            "'{}': another program has removed it; it is back, with every result",
            path.display()
        ));
        Ok(())
    }

    /// Leaves a file alone that another program has put in the place of ours, and goes on beside it.
    fn keep_beside(&mut self) -> Result<(), Failure> {
        let path = self.path.display().to_string();
        for count in 1_u32.. {
            let name = match count {
                1 => format!("{path}.kept"),
                _ => format!("{path}.kept-{count}"),
            };
            match self.copy_to(Path::new(&name)) {
                Ok(()) => {
                    self.notices.push(format!(
                        "'{path}': another program has put another file in its place; every result is in '{name}'"
                    ));
                    self.damage.get_or_insert_with(|| {
                        Failure::new(
                            Exit::Io,
                            format!("'{path}': another file is in its place; every result is in '{name}'"),
                        )
                        .hint(format!(
                            "run \"cat '{name}' >> '{path}'\", then the same command again"
                        ))
                    });
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot_write(Path::new(&name), &error)),
            }
        }
        Ok(())
    }

    /// Copies all records to a path where nothing is, and goes on there.
    fn copy_to(&mut self, path: &Path) -> io::Result<()> {
        let mut copy = Replacement::beside(path, &self.file)?;
        (&self.file).rewind()?;
        io::copy(&mut io::Read::take(&self.file, self.length), copy.file())?;
        copy.file().sync_data()?;
        self.file = copy.add(path)?;
        self.id = file_id(&self.file.metadata()?);
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// See [`super::results::Results::finish`].
    pub(crate) fn finish(
        &mut self,
        completed: &mut CompletedRequests,
        drops_invalid_lines: bool,
    ) -> Result<(), Failure> {
        self.sync()?;
        if completed.has_replaced() || completed.is_ordered() || drops_invalid_lines {
            completed.seal_order();
            self.rewrite(completed, drops_invalid_lines).map_err(|error| {
                let path = self.path.display();
                let reason = qwen_shared::exit::io_reason(&error);
                let message =
                    format!("'{path}': every result is in it, but it cannot be put in order: {reason}");
                Failure::new(Exit::Io, message).hint(remedy(&error))
            })?;
        }
        match self.damage.take() {
            Some(damage) => Err(damage),
            None => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), Failure> {
        self.file
            .sync_data()
            .map_err(|error| cannot_write(&self.path, &error))
    }

    /// Replaces the file by one without the records that are to go, in order. A crash leaves one of the two, whole.
    fn rewrite(&mut self, completed: &CompletedRequests, drops_invalid_lines: bool) -> io::Result<()> {
        let is_ours = is_at(&self.file, &self.path, Links::Follow);
        let Some(records) = self.placed(completed, drops_invalid_lines)?.filter(|_| is_ours) else {
            return Ok(());
        };
        // A symbolic link stays one.
        let target = self.path.canonicalize()?;
        let mut replacement = Replacement::beside(&target, &self.file)?;
        let mut writer = BufWriter::with_capacity(64 << 10, replacement.file());
        let (mut line, mut length) = (Vec::new(), 0);
        for record in records {
            line.resize(record.length, 0);
            self.file.read_exact_at(&mut line, record.offset)?;
            writer.write_all(&line)?;
            length += record.length as u64;
        }
        writer.flush()?;
        drop(writer);
        replacement.file().sync_data()?;
        self.file = replacement.replace(&target)?;
        self.id = file_id(&self.file.metadata()?);
        self.length = length;
        Ok(())
    }

    /// Returns the records that are to stay, in the order in which they are to stand; `None` where they stand so already.
    fn placed(
        &self,
        completed: &CompletedRequests,
        drops_invalid_lines: bool,
    ) -> io::Result<Option<Vec<Placed>>> {
        (&self.file).rewind()?;
        let mut reader = BufReader::with_capacity(64 << 10, &self.file);
        let mut records: Vec<Option<Placed>> = Vec::new();
        let mut best = HashMap::new();
        let (mut line, mut offset) = (Vec::new(), 0);
        while reader.read_until(b'\n', &mut line)? > 0 {
            let length = line.len();
            let (mut place, claim) = place(&line, completed, drops_invalid_lines);
            if let Some(Claim { name, rank }) = claim {
                match best.get(&name) {
                    Some((_, better)) if *better > rank => place = None,
                    _ => {
                        if let Some((other, _)) = best.insert(name, (records.len(), rank)) {
                            records[other] = None;
                        }
                    }
                }
            }
            records.push(place.map(|place| Placed {
                place,
                offset,
                length,
            }));
            offset += length as u64;
            line.clear();
        }
        let count = records.len();
        let mut records: Vec<Placed> = records.into_iter().flatten().collect();
        if records.len() == count && records.is_sorted_by_key(|record| record.place) {
            return Ok(None);
        }
        records.sort_by_key(|record| record.place);
        Ok(Some(records))
    }
}

/// Returns the place of a line, `None` where it is to go; and its claim where one record of its name alone is to stay. What another program has written stays, but for blank lines.
fn place(
    line: &[u8],
    completed: &CompletedRequests,
    drops_invalid_lines: bool,
) -> (Option<u64>, Option<Claim>) {
    let Some(record) = ExistingRecord::parse(line) else {
        return ((!line.trim_ascii().is_empty()).then_some(0), None);
    };
    let (place, claim) = completed.place(&record);
    let is_stale = drops_invalid_lines && record.is_invalid_line && !completed.is_in_input(&record.custom_id);
    ((!is_stale).then_some(place), claim)
}

pub(crate) fn file_id(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// How long a file that others replace meanwhile is opened anew, and the pause before each further try.
const REPLACED_LIMIT: Duration = Duration::from_secs(5);
const REPLACED_PAUSE: Duration = Duration::from_millis(1);

/// Opens and locks a file, creating it if it is missing.
fn open_locked(path: &Path, reporter: &Reporter) -> Result<File, Failure> {
    let started = Instant::now();
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(|error| cannot_write(path, &error))?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path, Links::Follow) => return Ok(file),
            // Another run has replaced the file and ended.
            Ok(()) if started.elapsed() < REPLACED_LIMIT => thread::sleep(REPLACED_PAUSE),
            Ok(()) => {
                let message = format!("'{}': another file has its name again and again", path.display());
                return Err(Failure::new(Exit::TryAgain, message));
            }
            Err(TryLockError::WouldBlock) => {
                let shown = path.display();
                return Err(Failure::new(
                    Exit::TryAgain,
                    format!("'{shown}': another qwen-batch is writing to it"),
                ));
            }
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) if has_no_locks(&error) => {
                reporter.notice(&format!(
                    "'{}': its file system has no locks: let no other qwen-batch write to it",
                    path.display()
                ));
                return Ok(file);
            }
            Err(TryLockError::Error(error)) => return Err(cannot_write(path, &error)),
        }
    }
}

//! Where results go.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use qwen_shared::exit::Failure;
use qwen_shared::fs::cannot_write;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::signal::{SIGPIPE, end_by_signal};
use qwen_shared::text::escape_json;

use super::completed::CompletedRequests;
use super::input::Input;
use super::result_file::{ResultFile, file_id};

#[derive(Debug)]
pub(crate) enum Results {
    Stdout,
    /// A pipe or a device.
    Stream(File, PathBuf),
    File(ResultFile),
}

impl Results {
    /// Opens the output and adds the records that it holds to `completed`. A record that an earlier run left
    /// unfinished is cut off.
    ///
    /// # Errors
    /// 74 when it cannot be opened, 75 when another process writes to it, 65 when it holds anything but records: it is
    /// not changed then.
    pub(crate) fn open(
        path: Option<&PathBuf>,
        completed: &mut CompletedRequests,
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
        let results = ResultFile::open(path, completed, reporter)?;
        completed.seal();
        Ok(Self::File(results))
    }

    /// Writes one record, its line end included.
    ///
    /// # Errors
    /// 74. A file still ends with a whole record then.
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

    /// Returns what there is to say of the file since the last call.
    pub(crate) fn take_notices(&mut self) -> Vec<String> {
        match self {
            Self::File(results) => std::mem::take(&mut results.notices),
            _ => Vec::new(),
        }
    }

    /// Ends a run: of several records with one name the last is left, and the order is that of the input where that is
    /// wanted. Then the file survives a power cut. With `drops_invalid_lines` the results of invalid lines go that the
    /// input does not have any more.
    ///
    /// # Errors
    /// 74: some file systems report a full disk only here. The file has every result all the same. Also where another
    /// program changed the file so that it lacks results.
    pub(crate) fn finish(
        &mut self,
        completed: &mut CompletedRequests,
        drops_invalid_lines: bool,
    ) -> Result<(), Failure> {
        match self {
            Self::File(results) => results.finish(completed, drops_invalid_lines),
            _ => Ok(()),
        }
    }
}

/// Writes records that the output does not take to a file of their own; returns its path.
///
/// # Errors
/// That of the system.
pub(crate) fn rescue(records: &[Vec<u8>]) -> io::Result<PathBuf> {
    let mut file = tempfile::Builder::new()
        .prefix("qwen-batch-results-")
        .suffix(".jsonl")
        .tempfile()?;
    for record in records {
        file.write_all(record)?;
    }
    file.as_file().sync_data()?;
    let (_, path) = file.keep().map_err(|error| error.error)?;
    Ok(path)
}

/// Says what to do about an output that was not written.
pub(crate) fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | QuotaExceeded | FileTooLarge => "make room and run the same command again",
        PermissionDenied | ReadOnlyFilesystem => {
            "make the file and its directory writable and run the same command again"
        }
        _ => "run the same command again",
    }
}

/// Returns the path of an output that is not standard output.
fn named(path: Option<&PathBuf>) -> Option<&PathBuf> {
    path.filter(|path| *path != Path::new("-"))
}

/// True for an output that is a file of the user's choice, not standard output.
pub(crate) fn is_named(path: Option<&PathBuf>) -> bool {
    named(path).is_some()
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

#[cfg(test)]
mod tests {
    use std::io;

    use rustix::io::Errno;

    use super::remedy;

    #[test]
    fn room_is_to_be_made_only_where_there_is_none() {
        for (errno, makes_room) in [
            (Errno::NOSPC, true),
            (Errno::DQUOT, true),
            (Errno::FBIG, true),
            (Errno::PERM, false),
            (Errno::ACCESS, false),
            (Errno::ROFS, false),
            (Errno::IO, false),
        ] {
            let remedy = remedy(&io::Error::from(errno));
            assert_eq!(remedy.contains("make room"), makes_room, "{errno:?}");
            assert!(remedy.ends_with("run the same command again"), "{errno:?}");
        }
    }
}

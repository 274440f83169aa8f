//! `qwen-batch fetch --raw`: saves the files of results as they are.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::fs::cannot_write;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::escape_json;

use super::api::BatchApi;
use super::download::{Download, Interrupted};
use super::fetch::{EndedBatches, most_urgent};

/// Saves output files and error files, one after the other.
///
/// # Errors
/// 64 for an output that holds something; 74 where it cannot be written; what keeps a file from being downloaded, once the
/// others are saved.
pub(crate) async fn fetch_raw(
    api: &BatchApi,
    ended: EndedBatches,
    output: Option<&Path>,
    reporter: &Reporter,
) -> Outcome {
    let mut output = RawOutput::open(output)?;
    let mut failures = Vec::new();
    for (_, file) in ended.files() {
        let mut download = Download::new(api, file);
        let start = output.begin()?;
        loop {
            match download.attempt(|chunk| output.write(chunk)).await {
                Ok(()) => break,
                Err(Interrupted::Local(failure)) => return Err(failure),
                Err(Interrupted::Remote(error)) => match download.retry(error, reporter).await {
                    // What a reader has taken cannot be taken back.
                    Ok(_) if output.go_back(start)? => {}
                    Ok(_) => {
                        let message = format!("file '{file}' broke off");
                        failures.push(Failure::new(Exit::Protocol, message));
                        break;
                    }
                    Err(failure) => {
                        failures.push(failure);
                        break;
                    }
                },
            }
        }
    }
    output.sync()?;
    failures.extend(ended.failures);
    most_urgent(failures, reporter).map_or(Ok(Exit::Ok), Err)
}

/// Where the bytes go.
struct RawOutput {
    /// `None` for standard output.
    file: Option<(File, PathBuf)>,
    written: u64,
    /// True after a line that has no end yet.
    is_within_line: bool,
}

impl RawOutput {
    /// Opens a new or empty file, or a pipe.
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let path = path.filter(|path| *path != Path::new("-"));
        let file = path.map(|path| {
            let failed = |error: std::io::Error| cannot_write(path, &error);
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            match metadata.is_file() && metadata.len() > 0 {
                true => {
                    let message = format!("'{}' is not empty: --raw adds to nothing", path.display());
                    Err(Failure::new(Exit::Usage, message).hint("name a new file with --output"))
                }
                false => Ok((file, path.to_owned())),
            }
        });
        Ok(Self {
            file: file.transpose()?,
            written: 0,
            is_within_line: false,
        })
    }

    /// Begins another file, on a line of its own; returns where.
    fn begin(&mut self) -> Result<u64, Failure> {
        if self.is_within_line {
            self.write(b"\n")?;
        }
        Ok(self.written)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.file {
            Some((file, path)) => file
                .write_all(bytes)
                .map_err(|error| cannot_write(path, &error))?,
            // It holds text from the server, which must not control the terminal.
            None if Stdout::is_terminal() => {
                Stdout::write(escape_json(&String::from_utf8_lossy(bytes)).as_bytes())?;
            }
            None => Stdout::write(bytes)?,
        }
        self.written += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.is_within_line = *last != b'\n';
        }
        Ok(())
    }

    /// Takes back what was written since `start`; false where that cannot be.
    fn go_back(&mut self, start: u64) -> Result<bool, Failure> {
        if self.written == start {
            return Ok(true);
        }
        let Some((file, path)) = &mut self.file else {
            return Ok(false);
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(false);
        }
        let back = file
            .set_len(start)
            .and_then(|()| file.seek(SeekFrom::Start(start)));
        back.map_err(|error| cannot_write(path, &error))?;
        self.written = start;
        self.is_within_line = false;
        Ok(true)
    }

    fn sync(&self) -> Result<(), Failure> {
        match &self.file {
            Some((file, path)) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                file.sync_data().map_err(|error| cannot_write(path, &error))
            }
            _ => Ok(()),
        }
    }
}

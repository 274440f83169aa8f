//! `--log`: a JSON line a request.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::SystemTime;

use qwen_shared::exit::Failure;
use qwen_shared::fs::cannot_write;
use qwen_shared::net::date::rfc3339;
use qwen_shared::output::Reporter;
use serde_json::{Value, json};

use super::usage::Usage;

/// The most lines that wait to be written. More are dropped: a disk that hangs must not stop the serving.
const WAITING: usize = 8192;

/// The most characters of a name or path that a client has made up.
const LONGEST_NAME: usize = 200;

/// What is told of a request. Never content, never a token, never a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) model: Option<String>,
    pub(super) status: Option<u16>,
    /// The code of the proxy's own error.
    pub(super) code: Option<&'static str>,
    pub(super) milliseconds: u64,
    /// Bytes of the request's body that came from the client, and of the answer's that went to it.
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) usage: Option<Usage>,
    pub(super) is_cancelled: bool,
    /// True where the server broke the answer off.
    pub(super) is_cut: bool,
}

impl Entry {
    fn json(&self) -> String {
        let clip = |text: &str| text.chars().take(LONGEST_NAME).collect::<String>();
        let mut line = json!({
            "time": rfc3339(SystemTime::now()),
            "method": clip(&self.method),
            "path": clip(&self.path),
            "model": self.model.as_deref().map(clip),
            "status": self.status,
            "ms": self.milliseconds,
            "bytes_in": self.received,
            "bytes_out": self.sent,
            "cancelled": self.is_cancelled,
        });
        if let Value::Object(members) = &mut line {
            if let Some(usage) = self.usage {
                let (input, output) = (usage.input, usage.output);
                let usage =
                    json!({"input_tokens": input, "output_tokens": output, "total_tokens": usage.all()});
                members.insert("usage".to_owned(), usage);
            }
            if let Some(code) = self.code {
                members.insert("error".to_owned(), code.into());
            }
            if self.is_cut {
                members.insert("cut".to_owned(), true.into());
            }
        }
        format!("{line}\n")
    }
}

/// The file, written by a thread of its own.
#[derive(Debug)]
pub(super) struct Log {
    lines: Option<SyncSender<String>>,
    writer: Option<thread::JoinHandle<()>>,
}

impl Log {
    /// Opens the file to append to it, for its owner alone.
    ///
    /// # Errors
    /// 74: it cannot be opened.
    pub(super) fn open(path: &Path, reporter: &Reporter) -> Result<Self, Failure> {
        let open = || -> std::io::Result<File> {
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(flags.bits().cast_signed())
                .open(path)?;
            if file.metadata()?.is_file() {
                file.set_permissions(Permissions::from_mode(0o600))?;
            }
            Ok(file)
        };
        let mut file = open().map_err(|error| cannot_write(path, &error))?;
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let (name, reporter) = (path.to_owned(), reporter.clone());
        let write = move || {
            let mut has_failed = false;
            for line in waiting {
                if let Err(error) = file.write_all(line.as_bytes())
                    && !std::mem::replace(&mut has_failed, true)
                {
                    reporter.notice(&cannot_write(&name, &error).message);
                }
            }
        };
        let writer = thread::Builder::new().name("log".to_owned()).spawn(write);
        let writer = writer.map_err(|error| cannot_write(path, &error))?;
        Ok(Self {
            lines: Some(lines),
            writer: Some(writer),
        })
    }

    /// Writes a line, soon.
    pub(super) fn write(&self, entry: &Entry) {
        if let Some(lines) = &self.lines {
            // Full: the disk hangs.
            let _ = lines.try_send(entry.json());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(self.lines.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

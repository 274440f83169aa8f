//! The copy of config.json that an editor works on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{
    Links, Lock, cannot_read, cannot_write, create_private_dir, read_private_by, write_private,
};
use qwen_shared::output::Reporter;

/// The largest copy that is read back, in bytes.
const MAX_SIZE: u64 = 4 << 20;

/// How the names of the directories of copies begin.
const PREFIX: &str = ".edit-";

/// The name of the copy in its directory.
const NAME: &str = "config.json";

/// The name of the lock file beside it.
const LOCK: &str = ".lock";

/// The copy that is edited, in a directory of its own, where editors leave their own copies too. The directory goes with it.
pub(crate) struct Copy {
    directory: tempfile::TempDir,
    pub(crate) file: PathBuf,
    /// What it was made with.
    pub(crate) text: String,
    /// Says that the copy is in use. It goes after the directory.
    _lock: Lock,
}

impl Copy {
    pub(crate) fn of(path: &Path, text: Option<&str>) -> Result<Self, Failure> {
        let beside = path.parent().unwrap_or_else(|| Path::new("/"));
        create_private_dir(beside).map_err(|error| cannot_write(path, &error))?;
        let private = std::fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(private)
            .tempdir_in(beside);
        let directory = directory.map_err(|error| cannot_write(path, &error))?;
        let lock = Lock::take(&directory.path().join(LOCK), Duration::ZERO)?;
        let file = directory.path().join(NAME);
        let text = match text {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => "{\n  \"profiles\": {}\n}\n".to_owned(),
        };
        write_private(&file, text.as_bytes()).map_err(|error| cannot_write(&file, &error))?;
        Ok(Self {
            directory,
            file,
            text,
            _lock: lock,
        })
    }

    /// Removes the copies that edits have left which were killed. What was written in the last of them is kept beside the file,
    /// unless something is kept there already, which is said.
    pub(crate) fn clear_left(path: &Path, reporter: &Reporter) {
        let beside = path.parent().and_then(|beside| std::fs::read_dir(beside).ok());
        for entry in beside.into_iter().flatten().flatten() {
            let is_copy = entry.file_name().to_string_lossy().starts_with(PREFIX);
            let directory = entry.path();
            if !is_copy || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            // Whoever edits it holds the lock.
            let Ok(_lock) = Lock::take(&directory.join(LOCK), Duration::ZERO) else {
                continue;
            };
            let (file, place) = (directory.join(NAME), kept_path(path));
            let is_new = |written: &[u8]| std::fs::read(path).is_ok_and(|own| own != written);
            let written = read_private_by(&file, MAX_SIZE, Links::Refuse).ok().flatten();
            let is_worth = written.is_some_and(|written| is_new(&written.bytes));
            if is_worth && place.symlink_metadata().is_err() && std::fs::rename(&file, &place).is_ok() {
                let place = place.display();
                reporter.notice(&format!(
                    "what was written in an edit that was cut short is in '{place}'"
                ));
            }
            let _ = std::fs::remove_dir_all(&directory);
        }
    }

    pub(crate) fn read(&self) -> Result<String, Failure> {
        // Some editors write another file in its place, with the mode that the umask says. Nobody else gets into the directory.
        if self
            .file
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file())
        {
            let private = std::fs::Permissions::from_mode(0o600);
            std::fs::set_permissions(&self.file, private).map_err(|error| cannot_read(&self.file, &error))?;
        }
        let read = read_private_by(&self.file, MAX_SIZE, Links::Refuse);
        let read = read.map_err(|error| cannot_read(&self.file, &error))?;
        let bytes = read.map(|file| file.bytes).unwrap_or_default();
        String::from_utf8(bytes).map_err(|_| {
            Failure::new(
                Exit::Data,
                "what the editor left is not valid UTF-8; nothing is changed",
            )
        })
    }

    /// Keeps what cannot be read beside the file, as it is.
    pub(crate) fn keep_unread(self, path: &Path, failure: Failure) -> Failure {
        let kept = kept_path(path);
        let is_file = self
            .file
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file());
        match is_file && std::fs::rename(&self.file, &kept).is_ok() {
            true => failure.hint(format!("what you wrote is in '{}'", kept.display())),
            false => failure,
        }
    }

    /// Keeps what was written beside the file.
    pub(crate) fn keep(self, path: &Path, text: &str) -> Result<PathBuf, Failure> {
        let kept = kept_path(path);
        write_private(&kept, text.as_bytes()).map_err(|error| cannot_write(&kept, &error))?;
        drop(self.directory);
        Ok(kept)
    }
}

fn kept_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".edited");
    path.with_file_name(name)
}

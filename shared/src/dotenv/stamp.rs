//! What the files of a search look like from outside, so that a shell's hook does nothing while nothing has changed.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::search::Search;
use crate::settings_files::ProjectFile;

impl Search {
    /// Returns 16 hexadecimal digits that change with the directory, with every file that the search reads or looks for
    /// (edited, created, removed, replaced, given another owner or mode), with the user's answers and settings, and with
    /// `more`. It opens no file.
    #[must_use]
    pub fn stamp(&self, more: impl Hash) -> String {
        let mut hasher = DefaultHasher::new();
        more.hash(&mut hasher);
        self.start.hash(&mut hasher);
        self.rule.name().hash(&mut hasher);
        for candidate in self.paths() {
            candidate.home.hash(&mut hasher);
            look(&candidate.path, &mut hasher);
        }
        let project = self.start.as_deref().map(ProjectFile::path_in);
        let own = [
            self.shared.trust.path(),
            self.consent.config.as_deref(),
            project.as_deref(),
        ];
        let settings = self.shared.settings.all().map(|file| file.path.as_path());
        for file in own.into_iter().flatten().chain(settings) {
            look(file, &mut hasher);
        }
        format!("{:016x}", hasher.finish())
    }
}

/// Takes in what is at a path, and behind it where that is a symbolic link.
fn look(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    let found = path.symlink_metadata().ok();
    let target = found
        .as_ref()
        .filter(|found| found.is_symlink())
        .and_then(|_| path.metadata().ok());
    found.as_ref().map(identity).hash(hasher);
    target.as_ref().map(identity).hash(hasher);
}

/// Everything that a change of content, owner or mode leaves a trace in; the time of a change of a file's data can be set
/// back, the time of a change of its status cannot. Reading a FIFO changes its size and times, so these tell nothing.
fn identity(found: &Metadata) -> [i64; 10] {
    let [dev, ino, mode, uid, gid] = [
        found.dev().cast_signed(),
        found.ino().cast_signed(),
        i64::from(found.mode()),
        i64::from(found.uid()),
        i64::from(found.gid()),
    ];
    if found.file_type().is_fifo() {
        return [dev, ino, mode, uid, gid, 0, 0, 0, 0, 0];
    }
    [
        dev,
        ino,
        mode,
        uid,
        gid,
        found.size().cast_signed(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ]
}

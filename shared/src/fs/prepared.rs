//! A write whose steps are tried before what is to be written is known.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use zeroize::Zeroizing;

use super::own::own_target;
use super::write::{create_new, make_newer, overwrite, refuse_directory, sync, temporary_name};
use super::{Links, create_private_dir, directory_of, is_at, options};

/// A new content for a file, in two steps. What is to be written may be impossible to get twice (a single-use refresh token):
/// what can be refused has to show before it is fetched.
///
/// The file is replaced by rename(2). Where that is refused (a file that is a mount of its own, as Docker's `-v FILE:FILE`
/// makes one; an immutable one) it is written in place.
#[derive(Debug)]
pub struct PreparedWrite {
    /// Of the file itself: links are resolved.
    path: PathBuf,
    /// `None` where the rename was refused.
    temporary: Option<Temporary>,
    /// The file as it is; `None` where there is none or it may not be written.
    in_place: Option<File>,
    /// Opened ahead: later there may be no descriptor for it.
    directory: Option<File>,
}

impl PreparedWrite {
    /// Takes `room` bytes on the disk beside the file and tries every step of the write, without changing the file's content.
    /// Its directory is created with mode 0700 where it is missing. A symbolic link in the file's place leads to what is
    /// written, as [`super::open_own`] follows it.
    ///
    /// # Errors
    /// The error of the step that was refused: no space, no permission, a read-only file system; a directory in the file's
    /// place; a link that is not followed.
    pub fn begin(path: &Path, room: usize) -> io::Result<Self> {
        let path = own_target(path)?;
        let directory = directory_of(&path);
        create_private_dir(directory)?;
        refuse_directory(&path)?;
        let in_place = options(Links::Refuse).read(true).write(true).open(&path);
        let temporary = match Temporary::create(&path, room) {
            Ok(mut temporary) => temporary.try_over(&path, in_place.is_ok()).map(|()| temporary),
            Err(error) => Err(error),
        };
        let temporary = match temporary {
            Ok(temporary) => Some(temporary),
            // The file can be written in place.
            Err(error) if may_be_the_way(&error) => match &in_place {
                Ok(file) if rewrite(file).is_ok() => None,
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        let directory = File::open(directory).ok();
        if let Some(directory) = &directory {
            let _ = directory.sync_all();
        }
        Ok(Self {
            path,
            temporary,
            in_place: in_place.ok(),
            directory,
        })
    }

    /// Puts `bytes` in the file's place, synced: they survive a power cut once this returns.
    ///
    /// Where the file has to be written in place `before_in_place` is called first, to keep them elsewhere: a power cut may
    /// leave a part of them. A reader at that moment sees the old content, or the new.
    ///
    /// # Errors
    /// The error of the step that was refused; the old content is then still there.
    pub fn commit(mut self, bytes: &[u8], before_in_place: impl FnOnce()) -> io::Result<()> {
        let replaced = self.temporary.take().map(|file| file.replace(&self.path, bytes));
        match (replaced, &self.in_place) {
            (Some(Ok(())), _) => {
                // The new content is in place: a file system that cannot sync a directory must not make it look refused.
                if let Some(directory) = &self.directory {
                    let _ = directory.sync_all();
                }
                Ok(())
            }
            (refused, Some(file)) => {
                let written = still_at(file, &self.path).and_then(|()| {
                    before_in_place();
                    overwrite(file, bytes)?;
                    still_at(file, &self.path)
                });
                written.map_err(|error| refused.and_then(Result::err).unwrap_or(error))
            }
            (refused, None) => Err(refused
                .and_then(Result::err)
                .unwrap_or_else(|| io::ErrorKind::PermissionDenied.into())),
        }
    }
}

/// True for an error of the way by a temporary file that says nothing about writing in place: not for a full disk, or for a
/// limit of this process.
fn may_be_the_way(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            Errno::XDEV
                | Errno::BUSY
                | Errno::PERM
                | Errno::ACCESS
                | Errno::ROFS
                | Errno::IO
                | Errno::INVAL
                | Errno::NOSYS
                | Errno::OPNOTSUPP
        )
    )
}

/// Writes what a file holds over itself, to see whether that is allowed.
fn rewrite(file: &File) -> io::Result<()> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
    let mut content = Zeroizing::new(vec![0; length]);
    file.read_exact_at(&mut content, 0)?;
    file.write_all_at(&content, 0)?;
    sync(file)
}

/// Fails where another program has put another file in the place of the one that was written.
fn still_at(file: &File, path: &Path) -> io::Result<()> {
    match is_at(file, path, Links::Refuse) {
        true => Ok(()),
        false => Err(io::Error::other("was replaced by another program meanwhile")),
    }
}

/// A file that is to replace another one, removed when dropped before.
#[derive(Debug)]
struct Temporary {
    file: File,
    name: PathBuf,
    is_in_place: bool,
}

impl Temporary {
    /// Creates it, full of white space: a JSON document in it is whole even where what is too much cannot be cut off.
    fn create(path: &Path, room: usize) -> io::Result<Self> {
        let name = temporary_name(path);
        let temporary = Self {
            file: create_new(&name)?,
            name,
            is_in_place: false,
        };
        // Only an odd umask makes it other than it was created.
        let _ = temporary.file.set_permissions(Permissions::from_mode(0o600));
        temporary.file.write_all_at(&vec![b' '; room], 0)?;
        sync(&temporary.file)?;
        Ok(temporary)
    }

    /// Renames it over another name of the file that it is to replace, as it will be over the file itself. What forbids
    /// that, the flag of an immutable file or a mount, is with the file and not with its name.
    ///
    /// Where the file system has no second names only a rename can be tried, and the file has to be `writable`, as no
    /// immutable one is.
    fn try_over(&mut self, path: &Path, writable: bool) -> io::Result<()> {
        let trial = temporary_name(path);
        match fs::hard_link(path, &trial) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices || !writable => return Err(error),
            _ => {}
        }
        fs::rename(&self.name, &trial).inspect_err(|_| {
            let _ = fs::remove_file(&trial);
        })?;
        self.name = trial;
        Ok(())
    }

    fn replace(mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, 0)?;
        // What is behind it is white space.
        let _ = self.file.set_len(bytes.len() as u64);
        let _ = make_newer(&self.file, path);
        sync(&self.file)?;
        fs::rename(&self.name, path)?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_in_place {
            let _ = fs::remove_file(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::PreparedWrite;

    #[test]
    fn a_file_is_replaced_and_one_that_may_not_be_keeps_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/file");
        for content in ["first", "a longer second", "third"] {
            let write = PreparedWrite::begin(&path, 100).unwrap();
            write
                .commit(content.as_bytes(), || panic!("not in place"))
                .unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        }
        let mut write = PreparedWrite::begin(&path, 100).unwrap();
        write.temporary = None;
        let inode = path.metadata().unwrap().ino();
        let mut is_told = false;
        write.commit(b"in place", || is_told = true).unwrap();
        assert!(is_told && path.metadata().unwrap().ino() == inode);
        assert_eq!(fs::read_to_string(&path).unwrap(), "in place");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_is_not_made_leaves_nothing_and_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        drop(PreparedWrite::begin(&path, 100).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        fs::write(&path, "content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let before = path.metadata().unwrap();
        drop(PreparedWrite::begin(&path, 100).unwrap());
        let after = path.metadata().unwrap();
        assert_eq!(
            (before.ino(), before.mtime_nsec()),
            (after.ino(), after.mtime_nsec())
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_link_leads_to_is_written_and_the_link_stays() {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let (real, path) = (directory.path().join("real"), directory.path().join("file"));
        symlink("real", &path).unwrap();
        let refused = PreparedWrite::begin(&path, 100).unwrap_err();
        assert_eq!(refused.to_string(), "is a symbolic link to nothing");
        fs::write(&real, "old").unwrap();
        let write = PreparedWrite::begin(&path, 100).unwrap();
        write.commit(b"new", || {}).unwrap();
        assert!(path.is_symlink() && fs::read_to_string(&real).unwrap() == "new");
    }
}

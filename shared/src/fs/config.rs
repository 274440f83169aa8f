//! Reading `config.json`, in one way for all programs.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::{Links, directory_of, open_own, read_bounded, whole_copy};

/// The largest configuration that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// The most symbolic links that are followed to a file that is not there, as the kernel does (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Opens the configuration, or a device such as `/dev/null` in its place, but no FIFO, which could block; `None` when there is
/// none. A symbolic link is followed: dotfiles may be kept elsewhere.
///
/// # Errors
/// As [`open_own`], for a FIFO, and for a symbolic link into a directory that is not there: it may be kept on a file system
/// that is not mounted now.
pub fn open_config(path: &Path) -> io::Result<Option<File>> {
    match open_own(path, Links::Follow)? {
        Some(file) if is_fifo(&file)? => Err(io::Error::other("is not a regular file")),
        None if path.is_symlink() => check_directory_of_link(path).map(|()| None),
        file => Ok(file),
    }
}

/// Reads the configuration; `None` when there is none.
///
/// # Errors
/// As [`open_config`]; `FileTooLarge` for one above 4 MiB.
pub fn read_config(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = open_config(path)?;
    file.map(|file| read_bounded(file, LIMIT)).transpose()
}

/// Returns what the configuration was to hold, where a write in place was cut short; `None` for one that holds `bytes` that
/// count.
#[must_use]
pub fn whole_config(path: &Path, bytes: &[u8]) -> Option<Vec<u8>> {
    whole_json(bytes, || {
        read_config(&whole_copy(&linked(path.to_path_buf()).ok()?)).ok()?
    })
}

/// Returns the whole copy of a file of JSON, where a write in place was cut short: the file holds no JSON, and the copy does.
/// JSON that says something wrong was not cut short.
pub(crate) fn whole_json(bytes: &[u8], copy: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    if is_json(bytes) {
        return None;
    }
    copy().filter(|copy| is_json(copy))
}

fn is_json(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes);
    text.is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text.trim_start_matches('\u{feff}')).is_ok())
}

fn is_fifo(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileTypeExt;
    Ok(file.metadata()?.file_type().is_fifo())
}

/// Follows symbolic links, also to a file that is not there yet.
///
/// # Errors
/// They go in a circle.
pub fn linked(mut path: PathBuf) -> io::Result<PathBuf> {
    for _ in 0..MOST_LINKS {
        if let Ok(path) = path.canonicalize() {
            return Ok(path);
        }
        let Ok(target) = path.read_link() else {
            return Ok(path);
        };
        path = directory_of(&path).join(target);
    }
    Err(io::Error::other("too many symbolic links"))
}

fn check_directory_of_link(path: &Path) -> io::Result<()> {
    let target = linked(path.to_path_buf())?;
    match target.parent() {
        Some(directory) if !directory.is_dir() => Err(io::Error::other(format!(
            "it is a symbolic link into '{}', which is no directory",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::whole_json;

    #[test]
    fn a_copy_counts_where_the_file_holds_no_json_and_the_copy_does() {
        let copy = || Some(b"{\"a\": 1}".to_vec());
        for cut in [
            &b"{\"a\""[..],
            b"",
            b" \n",
            b"\0\0\0",
            b"{\"a\": \"\xc3",
            b"{\"a\": 1}}",
        ] {
            assert_eq!(whole_json(cut, copy), copy(), "{cut:?}");
            assert_eq!(whole_json(cut, || None), None);
            assert_eq!(whole_json(cut, || Some(cut.to_vec())), None);
        }
        for whole in [&b"{}"[..], b"[]", b"{\"a\": 2}\n\n", b"\xef\xbb\xbf{}"] {
            assert_eq!(whole_json(whole, copy), None, "{whole:?}");
        }
    }
}

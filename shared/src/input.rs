//! Text that the user gives: a word of the command line or a file, with a limit on its size.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::exit::{Exit, Failure};
use super::fs::cannot_read;

/// The most bytes read from one input: no endpoint takes more, and `/dev/zero` has no end.
pub const LIMIT: usize = 1 << 30;

/// Returns the system prompt that `--system TEXT|@FILE` gives.
///
/// # Errors
/// As [`text_or_file`].
pub fn system_prompt(value: &OsStr) -> Result<String, Failure> {
    text_or_file(value, "the system prompt")
}

/// Returns the text of an option that takes `TEXT|@FILE`. `name` stands for the text in a message. A file's byte-order mark
/// is no part of its text.
///
/// # Errors
/// As [`utf8`] and [`read_text`].
pub fn text_or_file(value: &OsStr, name: &str) -> Result<String, Failure> {
    match value.as_bytes().strip_prefix(b"@") {
        Some(path) => read_text(Path::new(OsStr::from_bytes(path))).map(without_mark),
        None => utf8(value.as_bytes().to_vec(), name),
    }
}

fn without_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Reads a text file.
///
/// # Errors
/// As [`utf8`] and [`read_bytes`].
pub fn read_text(path: &Path) -> Result<String, Failure> {
    utf8(read_bytes(path)?, &format!("'{}'", path.display()))
}

/// Reads a file.
///
/// # Errors
/// 66 when it is missing or unreadable, 65 when it has more than [`LIMIT`] bytes.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let cannot_read = |error| cannot_read(path, &error);
    let file = File::open(path).map_err(cannot_read)?;
    let size = usize::try_from(file.metadata().map_err(cannot_read)?.len()).unwrap_or(usize::MAX);
    if size > LIMIT {
        return Err(too_large(&format!("'{shown}'")));
    }
    let mut bytes = Vec::with_capacity(size);
    file.take(LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() > LIMIT {
        return Err(too_large(&format!("'{shown}'")));
    }
    Ok(bytes)
}

/// Takes bytes as text without copying them.
///
/// # Errors
/// 65 with the offset of the first byte that is not UTF-8. A replacement character would have the model answer about
/// other data than the user's.
pub fn utf8(bytes: Vec<u8>, name: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::Data,
            format!("{name}: not UTF-8 text: byte {offset} (counted from 0) is invalid"),
        )
    })
}

/// The failure for an input of more than [`LIMIT`] bytes.
#[must_use]
pub fn too_large(name: &str) -> Failure {
    Failure::new(Exit::Data, format!("{name} is larger than {} MiB", LIMIT >> 20))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::io::Write;

    use super::text_or_file;

    #[test]
    fn a_mark_of_a_file_is_no_part_of_its_text() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all("\u{feff}Sum {} up\r\n".as_bytes()).unwrap();
        let option = format!("@{}", file.path().display());
        assert_eq!(
            text_or_file(OsStr::new(&option), "the template").unwrap(),
            "Sum {} up\r\n"
        );
    }
}

//! Files: private ones, atomic replacement, and kernel locks.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use jsonc_parser::{ParseOptions, parse_to_serde_value};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde_json::Value;

use super::exit::{Exit, Failure, io_exit, io_reason};
use super::text::shell_word;

mod config;
mod lock;
mod own;
mod prepared;
mod write;

pub(crate) use config::whole_json;
pub use config::{linked, open_config, read_config, whole_config};
pub use lock::{Lock, is_at, lock_path};
#[cfg(feature = "net")]
pub(crate) use lock::{StandIn, Wait, stands_at, try_lock};
pub use own::{NotOwn, check_own_directory, home_of_user, open_own, others_home, own_target};
pub use prepared::PreparedWrite;
pub use write::{
    create_private, link, open_unnamed, remove_temporaries, sync_data, whole_copy, write_private,
    write_private_locked, write_readable_as_before,
};

/// What was read from a private file.
#[derive(Debug)]
pub struct PrivateFile {
    /// The content.
    pub bytes: Vec<u8>,
    /// The permission bits, for a notice when others could read it.
    pub mode: u32,
}

impl PrivateFile {
    /// True when group or others have any right to it.
    #[must_use]
    pub const fn is_loose(&self) -> bool {
        self.mode & 0o077 != 0
    }
}

/// Reads a file that holds secrets, or decides where they go, as [`open_own`] opens it; `None` when there is none.
///
/// # Errors
/// As [`open_own`]. A symbolic link in the file's own place is an error, never followed, so that nobody can point a tool at
/// another file; anything but a regular file, and one above `limit` bytes, is refused too.
pub fn read_private(path: &Path, limit: u64) -> io::Result<Option<PrivateFile>> {
    read_private_by(path, limit, Links::Refuse)
}

/// As [`read_private`]; what is done about a symbolic link in the file's place is for the caller to say.
///
/// # Errors
/// As [`read_private`], and of a link that leads to nothing.
pub fn read_private_by(path: &Path, limit: u64, links: Links) -> io::Result<Option<PrivateFile>> {
    let Some(file) = open_own(path, links)? else {
        return match path.is_symlink() {
            true => Err(io::Error::other("is a symbolic link to nothing")),
            false => Ok(None),
        };
    };
    let mode = file.metadata()?.mode() & 0o7777;
    let bytes = read_regular(file, limit)?;
    Ok(Some(PrivateFile { bytes, mode }))
}

/// Reads an open file to its end.
///
/// # Errors
/// The error of the machine; anything but a regular file, and one above `limit` bytes.
pub fn read_regular(file: File, limit: u64) -> io::Result<Vec<u8>> {
    match file.metadata()?.is_file() {
        true => read_bounded(file, limit),
        false => Err(io::Error::other("is not a regular file")),
    }
}

/// As [`read_regular`], whatever kind of file it is.
///
/// # Errors
/// The error of the machine; `FileTooLarge` above `limit` bytes.
pub fn read_bounded(file: File, limit: u64) -> io::Result<Vec<u8>> {
    // One byte more, so that the end is seen without a larger buffer.
    let size = file.metadata()?.len().min(limit) + 1;
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    match file.take(limit + 1).read_to_end(&mut bytes)? as u64 > limit {
        false => Ok(bytes),
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("is larger than {} MiB", limit >> 20),
        )),
    }
}

/// What to do about a symbolic link in a file's own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// Open what it leads to.
    Follow,
    /// Fail; [`is_link_error`] knows the error.
    Refuse,
}

/// Returns the options to open a file with: never waiting for the other end of a FIFO that stands in the file's place, never
/// taking a terminal, and with mode 0600 if the file is created.
#[must_use]
pub fn options(links: Links) -> OpenOptions {
    let nofollow = match links {
        Links::Follow => OFlags::empty(),
        Links::Refuse => OFlags::NOFOLLOW,
    };
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | nofollow;
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options
}

/// True when an open failed because of a symbolic link: one that was refused, or that leads to itself.
#[must_use]
pub fn is_link_error(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// The failure of reading a file, exit 66: `cannot read 'X': permission denied`; of one that is not the user's own, exit 78;
/// at a limit, 75.
#[must_use]
pub fn cannot_read(path: &Path, error: &io::Error) -> Failure {
    if let Some(not_own) = NotOwn::of(error) {
        return not_own.failure();
    }
    let failure = Failure::new(io_exit(error, Exit::NoInput), cannot("read", path, error));
    own::explain_roots(failure, path, error)
}

/// The failure of writing a file, exit 74; in a directory that is not the user's own, exit 78; at a limit, 75.
#[must_use]
pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if let Some(not_own) = NotOwn::of(error) {
        return not_own.failure();
    }
    let failure = Failure::new(io_exit(error, Exit::Io), cannot("write", path, error));
    own::explain_roots(failure, path, error)
}

/// Refuses to replace a file that its owner has made read-only: it takes no right of theirs to do it, only their word.
///
/// # Errors
/// 74, with the command that takes it back.
pub fn check_not_read_only(path: &Path) -> Result<(), Failure> {
    let mode = match path.symlink_metadata() {
        Ok(found) if found.is_file() && found.mode() & 0o200 == 0 => found.mode() & 0o7777,
        _ => return Ok(()),
    };
    let message = format!(
        "cannot write '{}': it is read-only (mode {mode:04o})",
        path.display()
    );
    let name = path.to_str().and_then(shell_word);
    let name = name.unwrap_or_else(|| "FILE".to_owned());
    Err(Failure::new(Exit::Io, message).hint(format!("run 'chmod u+w {name}' to allow changes")))
}

/// The failure of reading standard input, exit 74.
#[must_use]
pub fn cannot_read_stdin(error: &io::Error) -> Failure {
    let reason = io_reason(error);
    Failure::new(
        io_exit(error, Exit::Io),
        format!("cannot read standard input: {reason}"),
    )
}

/// Returns the message `cannot ACTION 'PATH': REASON`.
#[must_use]
pub fn cannot(action: &str, path: &Path, error: &io::Error) -> String {
    format!("cannot {action} '{}': {}", path.display(), io_reason(error))
}

/// True when an open failed because nothing has the name: also where a part of the path is no directory, as with the
/// `HOME=/dev/null` of a service.
#[must_use]
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Plain JSON (RFC 8259), without anything that other dialects add.
pub(crate) const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Parses JSON with comments and trailing commas. A blank text is `null`.
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse_jsonc(text: &str) -> Result<Value, jsonc_parser::errors::ParseError> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        ..STRICT
    };
    parse_to_serde_value(text.trim_start_matches('\u{feff}'), &options)
}

/// Creates a directory and its parents, each that is new with mode 0700 whatever the umask.
///
/// # Errors
/// The error of the system call that failed; where something else has the name, which it is.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(path);
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_directory(path),
        other => other,
    }
}

/// Checks that what has a directory's name is one.
fn check_directory(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        // What cannot be looked at may well be one.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Err(io::Error::other(format!(
            "'{}' is not a directory",
            path.display()
        ))),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::parse_jsonc;
    use serde_json::json;

    #[test]
    fn comments_and_trailing_commas_are_no_part_of_json() {
        for (text, value) in [
            ("{}", json!({})),
            ("{\"a\":1,// x\n\"b\":\"//no\"}", json!({"a": 1, "b": "//no"})),
            ("/* * / */{\"a\":[1,2,],}", json!({"a": [1, 2]})),
            ("{\"a\":\"\\\"/*\"/**/}", json!({"a": "\"/*"})),
            ("\u{feff}{\"a\":\",}\"}", json!({"a": ",}"})),
            ("{\"a\":1 , // last\n}", json!({"a": 1})),
            ("{\"a\":1 /*/ \"b\":2 */}", json!({"a": 1})),
        ] {
            assert_eq!(parse_jsonc(text).ok(), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_holds_nothing() {
        for text in [
            "{\n/* one\ntwo */ x}",
            "{\"a\":1 /",
            "{\"a\":1}/**",
            "{a: 1}",
            "{'a': 1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":+1}",
        ] {
            assert_eq!(parse_jsonc(text).ok(), None, "{text}");
        }
    }
}

//! Text and images out of files.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, io_reason};

/// The most that is read of one input, in bytes: no endpoint takes more, and `/dev/zero` has no end.
pub(crate) const LIMIT: usize = 1 << 30;

/// Takes bytes as text, without copying them.
///
/// # Errors
/// 65 with the offset of the first byte that is not UTF-8. Sending a replacement would have the model answer about
/// other data than the user's.
pub(crate) fn utf8(bytes: Vec<u8>, place: &str) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Failure::new(
            Exit::Data,
            format!("{place}: not UTF-8 text: byte {offset} (counted from 0) is invalid"),
        )
    })
}

/// Takes a word of the command line as text.
///
/// # Errors
/// As [`utf8`].
pub(crate) fn word(word: &OsStr, place: &str) -> Result<String, Failure> {
    utf8(word.as_bytes().to_vec(), place)
}

/// Reads a text file.
///
/// # Errors
/// 66 when it is missing or unreadable; 65 when it is not text.
pub(crate) fn text_file(path: &Path) -> Result<String, Failure> {
    utf8(bytes_of(path)?, &format!("'{}'", path.display()))
}

/// Returns the URL of an image: a URL as it is, a file as a `data:` URL.
///
/// # Errors
/// 66 when the file is missing or unreadable; 65 when it is not an image of a kind that models read.
pub(crate) fn image_url(image: &OsStr) -> Result<String, Failure> {
    let is_url = |text: &&str| {
        ["https://", "http://", "data:"].iter().any(|scheme| {
            let start = text.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
    };
    if let Some(url) = image.to_str().filter(is_url) {
        return Ok(url.to_owned());
    }
    let path = Path::new(image);
    let bytes = bytes_of(path)?;
    let kind = image_type(&bytes).ok_or_else(|| {
        let message = format!("'{}': not a PNG, JPEG, GIF, WebP or BMP image", path.display());
        Failure::new(Exit::Data, message).hint("give a text file with --file")
    })?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(&bytes)))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Failure> {
    let shown = path.display();
    let refused = |error| {
        let message = format!("cannot read '{shown}': {}", io_reason(&error));
        Failure::new(Exit::NoInput, message)
    };
    let most = u64::try_from(LIMIT).unwrap_or(u64::MAX);
    let file = File::open(path).map_err(refused)?;
    let size = file.metadata().map_err(refused)?.len();
    let mut bytes = Vec::new();
    if size <= most {
        bytes.reserve(usize::try_from(size).unwrap_or_default());
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(refused)?;
    }
    if size > most || bytes.len() > LIMIT {
        return Err(too_large(&format!("'{shown}'")));
    }
    Ok(bytes)
}

/// Says that an input has no end in sight.
pub(crate) fn too_large(place: &str) -> Failure {
    Failure::new(Exit::Data, format!("{place} is larger than {} MiB", LIMIT >> 20))
}

/// Tells an image's media type by its first bytes; a name can lie.
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "image/bmp",
        _ => return None,
    })
}

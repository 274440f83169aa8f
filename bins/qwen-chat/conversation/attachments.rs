//! Files and images that go with the next message.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use qwen_shared::exit::Failure;
use qwen_shared::input::read_text;

use crate::args::InputArgs;
use crate::message::Message;
use crate::prompt;

/// What waits to be sent.
#[derive(Debug, Default)]
pub(super) struct Attachments {
    files: Vec<(PathBuf, String)>,
    /// Names and URLs.
    images: Vec<(String, String)>,
}

impl Attachments {
    /// Reads what `--file` and `--image` name.
    ///
    /// # Errors
    /// As [`Attachments::add_file`] and [`Attachments::add_image`].
    pub(super) fn of(args: &InputArgs) -> Result<Self, Failure> {
        let mut attachments = Self::default();
        for path in &args.file {
            attachments.add_file(path)?;
        }
        for image in &args.image {
            attachments.add_image(image)?;
        }
        Ok(attachments)
    }

    /// Adds a text file.
    ///
    /// # Errors
    /// 66 for a file that cannot be read, 65 for one that is not text.
    pub(super) fn add_file(&mut self, path: &Path) -> Result<(), Failure> {
        self.files.push((path.to_owned(), read_text(path)?));
        Ok(())
    }

    /// Adds an image, a file or a URL.
    ///
    /// # Errors
    /// As [`prompt::image_url`].
    pub(super) fn add_image(&mut self, image: &OsStr) -> Result<(), Failure> {
        let url = prompt::image_url(image)?;
        self.images.push((image.to_string_lossy().into_owned(), url));
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Says what waits; `None` when nothing does.
    pub(super) fn description(&self) -> Option<String> {
        let lines = |content: &str| match content.lines().count() {
            1 => "1 line".to_owned(),
            count => format!("{count} lines"),
        };
        let files = self.files.iter();
        let files = files.map(|(path, content)| format!("{} ({})", path.display(), lines(content)));
        let images = self
            .images
            .iter()
            .map(|(name, _)| match name.split_once(";base64,") {
                Some((kind, _)) => kind.to_owned(),
                None => name.clone(),
            });
        let all: Vec<String> = files.chain(images).collect();
        (!all.is_empty()).then(|| format!("with the next message: {}", all.join(", ")))
    }

    /// Makes the message of a text and all that waits.
    pub(super) fn message(&self, text: &str) -> Message {
        let files = self.files.iter();
        let files: Vec<(&Path, String)> = files
            .map(|(path, content)| (path.as_path(), content.clone()))
            .collect();
        let text = prompt::join(text.to_owned(), String::new(), &files);
        Message::with_images(text, self.images.iter().map(|(_, url)| url.clone()).collect())
    }
}

/// Reads the path behind a command, as Tab and dropped files write it: blanks behind backslashes or in quotes, `~` for the
/// home directory.
pub(super) fn path(typed: &str) -> OsString {
    let quoted = ['"', '\'']
        .into_iter()
        .find_map(|quote| typed.strip_prefix(quote)?.strip_suffix(quote));
    let path = quoted.map_or_else(|| unescape(typed), str::to_owned);
    match (path.strip_prefix("~/"), env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest).into_os_string(),
        _ => path.into(),
    }
}

fn unescape(typed: &str) -> String {
    let mut path = String::with_capacity(typed.len());
    let mut chars = typed.chars();
    while let Some(c) = chars.next() {
        path.push(match c {
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        });
    }
    path
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_is_read_as_tab_and_dropped_files_write_it() {
        for (typed, meant) in [
            ("a.txt", "a.txt"),
            ("a\\ b\\\\c", "a b\\c"),
            ("'a b'", "a b"),
            ("\"a'b\"", "a'b"),
            ("'", "'"),
        ] {
            assert_eq!(path(typed), meant, "{typed}");
        }
    }
}

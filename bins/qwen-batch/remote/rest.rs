//! How the rest of an input is submitted of which a part was.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use qwen_shared::text::shell_word;

/// An input, as a shell can read it from a line on.
#[derive(Debug)]
pub(crate) struct Rest<'a> {
    input: &'a PathBuf,
}

impl<'a> Rest<'a> {
    pub(crate) const fn new(input: &'a PathBuf) -> Self {
        Self { input }
    }

    /// Says what submits the input from a line on.
    pub(crate) fn hint(&self, line: u64) -> String {
        match self.reader(line) {
            Some(reader) => {
                format!("submit the rest with \"{reader} | qwen-batch submit -\" and the same options")
            }
            None => format!("submit the lines from {line} on"),
        }
    }

    /// Returns the command that prints the lines from that one on.
    fn reader(&self, line: u64) -> Option<String> {
        let path = self.input.to_str().filter(|path| *path != "-")?;
        let name = shell_word(path)?;
        let mut start = [0; 2];
        let mut file = File::open(path).ok().filter(is_regular)?;
        file.read_exact(&mut start).ok()?;
        match start {
            [0x1f, 0x8b] => Some(format!("gunzip -c {name} | tail -n +{line}")),
            // UTF-16 has no lines that a shell could count.
            [0xff, 0xfe] | [0xfe, 0xff] => None,
            _ => Some(format!("tail -n +{line} {name}")),
        }
    }
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

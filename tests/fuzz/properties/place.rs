//! Where the properties of files put an input: below a directory that was made for it, and nowhere else.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// The variable that names the directory.
pub(crate) const ROOT: &str = "QWEN_FUZZ_ROOT";

/// Writes an input as a private file in a private directory.
pub(crate) fn write(path: &Path, data: &[u8]) {
    let root = env::var_os(ROOT).expect("QWEN_FUZZ_ROOT is not set: tests/fuzz/run sets it");
    assert!(
        path.starts_with(&root),
        "'{}' is not below {root:?}",
        path.display()
    );
    let directory = path.parent().expect("a directory");
    if !directory.is_dir() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .expect("a directory");
    }
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).expect("a file");
    file.write_all(data).expect("an input");
}

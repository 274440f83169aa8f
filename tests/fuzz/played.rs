//! Plays what the fuzzers kept of a target.

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of a target, in the order of their names.
pub(crate) fn inputs(target: &str) -> Vec<PathBuf> {
    let place = Path::new("tests/fuzz/corpus").join(target);
    // The library is compiled in a directory of its own.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|directory| directory.join(&place))
        .find(|corpus| corpus.is_dir())
        .expect("a corpus");
    let mut inputs: Vec<PathBuf> = fs::read_dir(corpus)
        .expect("a corpus")
        .map(|entry| entry.expect("an input").path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{target}");
    inputs
}

/// Plays the inputs of a target; the last one that is named is the one that failed.
pub(crate) fn play(target: &str, holds: fn(&[u8])) {
    for path in inputs(target) {
        eprintln!("{}", path.display());
        holds(&fs::read(path).expect("an input"));
    }
}

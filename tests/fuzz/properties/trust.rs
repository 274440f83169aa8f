//! The answers about files: what a store holds is kept when another answer is added and taken back, and a damaged one is left as
//! it is.

use std::fs;
use std::path::{Path, PathBuf};

use qwen_shared::dotenv::trust::{Answer, TrustStore, forget, keep};
use serde_json::Value;

use super::place;

/// The content of the file that the answers added here are about.
const CONTENT: &[u8] = b"A=1\n";

/// Reads an input as the store, and changes it.
pub(crate) fn holds(data: &[u8]) {
    let root = PathBuf::from(std::env::var_os(place::ROOT).expect("a directory for files"));
    let store = root.join("state/qwen/trust.json");
    place::write(&store, data);
    let file = &root.join("of a project");
    match TrustStore::load(&store) {
        Err(error) => {
            let words = error.to_string();
            assert!(!words.chars().any(char::is_control), "{words:?}");
            assert!(keep(&store, file, CONTENT, Answer::Yes, &|_| ()).is_err());
            assert_eq!(
                fs::read(&store).expect("the store"),
                data,
                "a damaged store is changed"
            );
        }
        Ok(_) => changes(&store, file),
    }
    fs::remove_file(&store).expect("the store");
}

/// Keeps each answer, and takes it back.
fn changes(store: &Path, file: &Path) {
    let before = others(store, file);
    for answer in [Answer::Yes, Answer::No] {
        keep(store, file, CONTENT, answer, &|_| ()).expect("a store that was read");
        let read = TrustStore::load(store).expect("what was written");
        assert_eq!(read.answer(file, CONTENT), Some(answer));
        assert_eq!(read.answer(file, b"A=2\n"), None);
        assert_eq!(others(store, file), before, "another answer was changed");
    }
    let taken = forget(store, file, &|_| ()).expect("a store that was read");
    assert_eq!(taken, Some(Answer::No));
    let read = TrustStore::load(store).expect("what was written");
    assert_eq!(read.answer(file, CONTENT), None);
    assert_eq!(others(store, file), before, "another answer was changed");
}

/// All answers that the store holds about other files.
fn others(store: &Path, file: &Path) -> Value {
    let text = fs::read(store).expect("the store");
    let mut whole: Value = serde_json::from_slice(&text).expect("a store that was read");
    let mut files = whole["files"].take();
    if let Some(files) = files.as_object_mut() {
        files.retain(|name, _| Some(name.as_str()) != file.to_str());
    }
    files
}

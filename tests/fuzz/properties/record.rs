//! `QWEN_ENV_EXPORTED`: a text is a record that can be written again as it was read, or it names nothing.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use qwen_shared::dotenv::{Record, Trust};
use qwen_shared::shell::is_shell_name;

/// Reads an input as the variable, and writes it again as each program does.
pub(crate) fn holds(data: &[u8]) {
    let Some(record) = Record::parse(OsStr::from_bytes(data), None) else {
        return;
    };
    let mut record = record.continued();
    is_kept(&record);
    is_kept(&record.in_call());
    if record.insert("ZZ", "1", Some((Path::new("/a b/.env"), Trust::Home)), usize::MAX) {
        is_kept(&record);
        let origin = record.origin("ZZ", OsStr::new("1")).expect("the variable");
        assert!(!origin.project && origin.file.as_deref() == Some(Path::new("/a b/.env")));
    }
}

/// What is written is harmless to every shell, and is read as what it was.
fn is_kept(record: &Record) {
    let text = record.text();
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"+@:/._%".contains(&byte);
    assert!(text.bytes().all(is_harmless), "{text}");
    let again = Record::parse(OsStr::new(&text), None).unwrap_or_else(|| panic!("{text} is no record"));
    assert_eq!(again.text(), text);
    let names: Vec<&str> = record.names().collect();
    assert_eq!(again.names().collect::<Vec<_>>(), names);
    for name in names {
        assert!(is_shell_name(name), "{name:?}");
        for value in ["", "1", "none"] {
            let value = OsStr::new(value);
            assert_eq!(
                again.origin(name, value),
                record.origin(name, value),
                "{name} of {text}"
            );
            assert_eq!(
                again.holds(name, value),
                record.holds(name, value),
                "{name} of {text}"
            );
            assert_eq!(
                again.is_no_key(name, value),
                record.is_no_key(name, value),
                "{name} of {text}"
            );
        }
    }
}

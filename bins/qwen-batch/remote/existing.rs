//! The results that a file holds, read without changing it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{cannot, cannot_read};

use crate::completed::CompletedRequests;
use crate::input::is_blank;
use crate::record::{ExistingRecord, without_mark};

/// Adds the records of a file. A last line that is not whole is left out: another program may be writing it.
///
/// # Errors
/// 66 when the file is missing or unreadable, 65 when it holds anything but records.
pub(crate) fn read_records(path: &Path, completed: &mut CompletedRequests) -> Result<(), Failure> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        number += 1;
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|error| Failure::new(Exit::Io, cannot("read", path, &error)))?;
        if read == 0 {
            completed.seal();
            return Ok(());
        }
        match ExistingRecord::parse(&line) {
            Some(record) => completed.insert(&record),
            None if is_blank(without_mark(&line)) || !line.ends_with(b"\n") => {}
            None => {
                let path = path.display();
                return Err(Failure::new(Exit::Data, format!("{path}:{number}: not a result")));
            }
        }
    }
}

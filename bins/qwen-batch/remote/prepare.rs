//! The file that is handed in: every line checked, and written as the batch engine wants it, before anything is sent.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, io_reason};
use qwen_shared::out::Talk;

use crate::line::{self, BadLine, Task};
use crate::seen::{Known, Seen};
use crate::shape::Shape;
use crate::source::{Found, Input, LINE_LIMIT, unreadable};

/// The most faulty lines that are named.
const MOST_FAULTS: u64 = 20;

/// A file, ready to be handed in. It has no name, so nothing of it stays behind.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: File,
    /// Its length in bytes.
    pub(crate) length: u64,
    pub(crate) questions: u64,
    /// The path that all lines ask, `/v1/…`.
    pub(crate) path: String,
}

/// Checks every line of the input. What is wrong is named, line by line.
///
/// # Errors
/// 65 when any line is malformed, has the name of an earlier one, or asks another path than the first; and when there
/// is none. 74 when there is no room for the file.
pub(crate) fn prepare(input: Input, shape: &Shape, talk: &Talk) -> Result<Prepared, Failure> {
    let no_room = |error: io::Error| {
        Failure::new(
            Exit::Io,
            format!("cannot write a temporary file: {}", io_reason(&error)),
        )
        .hint("set TMPDIR to a directory with room")
    };
    let name = input.name().to_owned();
    let mut checker = Checker::new(shape);
    let mut writer = BufWriter::new(tempfile::tempfile().map_err(no_room)?);
    let mut lines = input.lines();
    let (mut faults, mut length) = (0, 0);
    while let Some(found) = lines.next().map_err(|error| unreadable(&name, &error))? {
        match checker.check(&found) {
            Ok(Some(task)) if faults == 0 => {
                let line = task.to_line().map_err(|error| no_room(error.into()))?;
                writer.write_all(&line).map_err(no_room)?;
                length += line.len() as u64;
            }
            Ok(_) => {}
            Err(reason) => {
                faults += 1;
                if faults <= MOST_FAULTS {
                    talk.notice(&format!("{name}:{}: {reason}", checker.number));
                }
            }
        }
    }
    if faults > 0 {
        let lines = if faults == 1 { "line" } else { "lines" };
        return Err(Failure::new(
            Exit::Data,
            format!("'{name}': {faults} malformed {lines}; nothing was sent"),
        ));
    }
    let Some(path) = checker.path else {
        return Err(Failure::new(Exit::Data, format!("'{name}': no questions in it")));
    };
    let file = writer.into_inner().map_err(|error| no_room(error.into_error()))?;
    Ok(Prepared {
        file,
        length,
        questions: checker.questions,
        path,
    })
}

/// What is known after so many lines.
struct Checker<'a> {
    shape: &'a Shape,
    seen: Seen,
    number: u64,
    questions: u64,
    path: Option<String>,
}

impl<'a> Checker<'a> {
    fn new(shape: &'a Shape) -> Self {
        Self {
            shape,
            seen: Seen::default(),
            number: 0,
            questions: 0,
            path: None,
        }
    }

    fn check(&mut self, found: &Found) -> Result<Option<Task>, String> {
        self.number += 1;
        let task = match found {
            Found::Line(line) if line::is_blank(line) => return Ok(None),
            Found::Line(line) => line::read(line, self.number, self.shape),
            Found::TooLong => Err(BadLine::new(format!("longer than {LINE_LIMIT} bytes"))),
        };
        let task = task.map_err(|bad| bad.reason)?;
        if self.seen.meet(&task.custom_id) != Known::New {
            return Err(format!(
                "custom_id '{}' is not the first of that name",
                task.custom_id
            ));
        }
        match &self.path {
            None => self.path = Some(task.path.clone()),
            Some(path) if *path == task.path => {}
            Some(path) => return Err(format!("'url' is not '{path}', as on the lines before")),
        }
        self.questions += 1;
        Ok(Some(task))
    }
}

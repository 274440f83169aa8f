//! The file that is handed in: every line checked, and written as the batch engine wants it, before anything is sent.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::output::Reporter;
use qwen_shared::provider::BatchLimits;

use crate::input::{Found, Input, LINE_LIMIT, unreadable};
use crate::line::{self, BadLine, Task};
use crate::results::{Known, Seen};
use crate::template::Shape;

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
/// 65 when any line is malformed, has the name of an earlier one, or asks another path or model than the first; when
/// there are more or longer lines than the engine takes; and when there is none. 74 when there is no room for the file.
pub(crate) fn prepare(
    input: Input,
    shape: &Shape,
    limits: &BatchLimits,
    reporter: &Reporter,
) -> Result<Prepared, Failure> {
    let name = input.name().to_owned();
    let mut checker = Checker::new(shape, limits);
    let mut copy = FairCopy::new()?;
    let mut lines = input.lines();
    while let Some(found) = lines.next().map_err(|error| unreadable(&name, &error))? {
        match checker.check(&found) {
            Ok(Some(line)) if checker.faults == 0 => copy.add(&line)?,
            Ok(_) => {}
            Err(reason) => checker.note(&name, &reason, reporter),
        }
        // What is too much is not written to the disk first.
        if checker.questions > limits.requests || copy.length > limits.file_mib << 20 {
            return Err(too_much(&name, limits, checker.questions));
        }
    }
    let questions = checker.questions;
    let first = checker.conclude(&name)?;
    Ok(Prepared {
        length: copy.length,
        file: copy.finish()?,
        questions,
        path: first.path,
    })
}

/// The failure of an input that does not fit into a batch, after so many questions.
fn too_much(name: &str, limits: &BatchLimits, questions: u64) -> Failure {
    let what = match questions > limits.requests {
        true => format!("{} questions", limits.requests),
        false => format!("{} MiB", limits.file_mib),
    };
    let part = (questions - 1).max(1);
    Failure::new(
        Exit::Data,
        format!("'{name}': more than the {what} that a batch may have; nothing was sent"),
    )
    .hint(format!("hand it in in parts: 'split -l {part} IN part-'"))
}

/// The file as it will be handed in.
struct FairCopy {
    writer: BufWriter<File>,
    length: u64,
}

impl FairCopy {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            writer: BufWriter::new(tempfile::tempfile().map_err(no_room)?),
            length: 0,
        })
    }

    fn add(&mut self, line: &[u8]) -> Result<(), Failure> {
        self.length += line.len() as u64;
        self.writer.write_all(line).map_err(no_room)
    }

    fn finish(self) -> Result<File, Failure> {
        self.writer
            .into_inner()
            .map_err(|error| no_room(error.into_error()))
    }
}

fn no_room(error: io::Error) -> Failure {
    Failure::new(
        Exit::Io,
        format!("cannot write a temporary file: {}", io_reason(&error)),
    )
    .hint("set TMPDIR to a directory with room")
}

/// What is known after so many lines.
struct Checker<'a> {
    shape: &'a Shape,
    limits: &'a BatchLimits,
    seen: Seen,
    number: u64,
    questions: u64,
    faults: u64,
    first: Option<First>,
}

/// What the first question asks, and all others have to.
struct First {
    path: String,
    model: String,
}

impl<'a> Checker<'a> {
    fn new(shape: &'a Shape, limits: &'a BatchLimits) -> Self {
        Self {
            shape,
            limits,
            seen: Seen::default(),
            number: 0,
            questions: 0,
            faults: 0,
            first: None,
        }
    }

    /// Returns the line as it will be handed in; nothing for a blank one.
    fn check(&mut self, found: &Found) -> Result<Option<Vec<u8>>, String> {
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
        self.compare(&task)?;
        self.questions += 1;
        let line = task.to_line().map_err(|error| error.to_string())?;
        match self.limits.line_mib {
            Some(most) if line.len() as u64 > most << 20 => {
                Err(format!("longer than {most} MiB as it would be sent"))
            }
            _ => Ok(Some(line)),
        }
    }

    /// Names a faulty line.
    fn note(&mut self, name: &str, reason: &str, reporter: &Reporter) {
        self.faults += 1;
        if self.faults <= MOST_FAULTS {
            reporter.notice(&format!("{name}:{}: {reason}", self.number));
        }
    }

    /// Returns what the first question asks, when all lines are good.
    fn conclude(self, name: &str) -> Result<First, Failure> {
        if self.faults > 0 {
            let (faults, lines) = (self.faults, if self.faults == 1 { "line" } else { "lines" });
            return Err(Failure::new(
                Exit::Data,
                format!("'{name}': {faults} malformed {lines}; nothing was sent"),
            ));
        }
        self.first
            .ok_or_else(|| Failure::new(Exit::Data, format!("'{name}': no questions in it")))
    }

    /// A batch asks one path of one model.
    fn compare(&mut self, task: &Task) -> Result<(), String> {
        let first = self.first.get_or_insert_with(|| First {
            path: task.path.clone(),
            model: task.model().to_owned(),
        });
        for (name, first, own) in [
            ("url", first.path.as_str(), task.path.as_str()),
            ("model", &first.model, task.model()),
        ] {
            if own != first {
                return Err(format!("'{name}' is not '{first}', as on the lines before"));
            }
        }
        Ok(())
    }
}

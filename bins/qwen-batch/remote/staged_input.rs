//! The files that are uploaded: every line validated, written in OpenAI's batch input format, and split where a batch may
//! not have more.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use qwen_shared::exit::{Exit, Failure, io_exit, io_reason};
use qwen_shared::output::Reporter;
use qwen_shared::provider::BatchLimits;

use crate::completed::{CompletedRequests, RequestStatus};
use crate::input::{Input, InputLine};
use crate::request::{BatchRequest, RequestBuilder};

/// The most invalid lines that are reported one by one.
const REPORTED_LINES: u64 = 20;

/// The most names that are given where names are counted.
const NAMED: usize = 3;

/// The requests of an input that are to be handed in.
#[derive(Debug)]
pub(crate) struct StagedInput {
    pub(crate) parts: Vec<StagedPart>,
    /// The `url` of all requests, `/v1/…`.
    pub(crate) url: String,
    pub(crate) existing: Existing,
}

/// A temporary file without a name, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct StagedPart {
    pub(crate) file: File,
    /// In bytes.
    pub(crate) length: u64,
    pub(crate) requests: u64,
    /// The number of the input's line of which the first request was made.
    pub(crate) first_line: u64,
}

/// What the results that are there already say of the input.
#[derive(Debug, Default)]
pub(crate) struct Existing {
    /// Requests that have a good answer, and are not handed in.
    pub(crate) answered: u64,
    /// Those of them of which the name alone is known to be the same.
    pub(crate) not_compared: u64,
    /// Requests that are handed in though there is a good answer of that name, to another request.
    pub(crate) changed: u64,
    /// The names of the first of these.
    pub(crate) changed_names: Vec<String>,
}

impl StagedInput {
    /// Validates and stages every line of the input that has no good answer yet; reports the invalid ones.
    ///
    /// # Errors
    /// 65 when any line is malformed, too long for the provider, has the ID of an earlier one, or another `url` or model
    /// than the first; and when there is none. 74 when a temporary file cannot be written.
    pub(crate) fn new(
        input: Input,
        builder: &RequestBuilder,
        limits: &BatchLimits,
        completed: CompletedRequests,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let name = input.name();
        let mut validator = Validator::new(builder, limits, completed);
        let mut parts = Parts::new(limits);
        let mut invalid = 0;
        let mut lines = input.lines(builder.takes_plain_text());
        while let Some(line) = lines.next()? {
            match validator.validate(&line) {
                Ok(Some(content)) if invalid == 0 => parts.add(line.number, &content)?,
                Ok(_) => {}
                Err(reason) => {
                    invalid += 1;
                    if invalid <= REPORTED_LINES {
                        reporter.notice(&format!("{name}:{}: {reason}", line.number));
                    }
                }
            }
        }
        if invalid > 0 {
            return Err(malformed(&name, invalid));
        }
        let parts = parts.finish()?;
        match validator.first {
            Some(First { url, .. }) => Ok(Self {
                parts,
                url,
                existing: validator.existing,
            }),
            None => Err(Failure::new(Exit::Data, format!("'{name}': no requests in it"))),
        }
    }

    pub(crate) fn requests(&self) -> u64 {
        self.parts.iter().map(|part| part.requests).sum()
    }
}

/// The parts as far as they are written.
struct Parts<'a> {
    limits: &'a BatchLimits,
    done: Vec<StagedPart>,
    open: Option<OpenPart>,
}

struct OpenPart {
    writer: BufWriter<File>,
    length: u64,
    requests: u64,
    first_line: u64,
}

impl<'a> Parts<'a> {
    const fn new(limits: &'a BatchLimits) -> Self {
        Self {
            limits,
            done: Vec::new(),
            open: None,
        }
    }

    /// Adds a line to the last part, or to a new one where that has all that a batch may have.
    fn add(&mut self, number: u64, line: &[u8]) -> Result<(), Failure> {
        let length = line.len() as u64;
        let is_full = self.open.as_ref().is_some_and(|part| {
            part.requests >= self.limits.requests || part.length + length > self.limits.file_bytes()
        });
        if is_full {
            self.close()?;
        }
        let part = match &mut self.open {
            Some(part) => part,
            none => none.insert(OpenPart {
                writer: BufWriter::new(tempfile::tempfile().map_err(|error| cannot_stage(&error))?),
                length: 0,
                requests: 0,
                first_line: number,
            }),
        };
        part.writer
            .write_all(line)
            .map_err(|error| cannot_stage(&error))?;
        part.length += length;
        part.requests += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Failure> {
        if let Some(part) = self.open.take() {
            let file = part
                .writer
                .into_inner()
                .map_err(|error| cannot_stage(error.error()))?;
            self.done.push(StagedPart {
                file,
                length: part.length,
                requests: part.requests,
                first_line: part.first_line,
            });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<StagedPart>, Failure> {
        self.close()?;
        Ok(self.done)
    }
}

fn malformed(name: &str, count: u64) -> Failure {
    let lines = if count == 1 { "line" } else { "lines" };
    Failure::new(
        Exit::Data,
        format!("'{name}': {count} malformed {lines}; nothing was sent"),
    )
}

fn cannot_stage(error: &io::Error) -> Failure {
    let exit = io_exit(error, Exit::Io);
    let failure = Failure::new(
        exit,
        format!("cannot write a temporary file: {}", io_reason(error)),
    );
    match exit {
        Exit::Io => failure.hint("set TMPDIR to a directory with enough space"),
        _ => failure,
    }
}

struct Validator<'a> {
    builder: &'a RequestBuilder,
    limits: &'a BatchLimits,
    completed: CompletedRequests,
    existing: Existing,
    first: Option<First>,
}

/// What all requests of a batch must have in common.
struct First {
    url: String,
    model: String,
}

impl<'a> Validator<'a> {
    fn new(builder: &'a RequestBuilder, limits: &'a BatchLimits, completed: CompletedRequests) -> Self {
        Self {
            builder,
            limits,
            completed,
            existing: Existing::default(),
            first: None,
        }
    }

    /// Returns the line to upload; `None` for a request that has a good answer already.
    fn validate(&mut self, line: &InputLine) -> Result<Option<Vec<u8>>, String> {
        let mut request = self.builder.build(line).map_err(|invalid| invalid.reason)?;
        let status = self.register(&mut request)?;
        self.compare_with_first(&request)?;
        if !self.is_wanted(&request, status) {
            return Ok(None);
        }
        let line = request.to_line().map_err(|error| error.to_string())?;
        match self.limits.longest_line_mib() {
            limit if line.len() as u64 > limit << 20 => {
                Err(format!("longer than {limit} MiB as it would be sent"))
            }
            _ => Ok(Some(line)),
        }
    }

    /// Registers the request's name. One without a name of its own gets another, where the input has had it before.
    fn register(&mut self, request: &mut BatchRequest) -> Result<RequestStatus, String> {
        let digest = Some(request.digest());
        let status = self.completed.register(&request.custom_id, digest);
        if status != RequestStatus::Duplicate {
            return Ok(status);
        }
        if request.is_named {
            return Err(format!("duplicate custom_id '{}'", request.custom_id));
        }
        let (name, status) = self.completed.register_twin(&request.custom_id, digest);
        request.custom_id = name;
        Ok(status)
    }

    /// Counts what is there already; false for a request that has a good answer.
    fn is_wanted(&mut self, request: &BatchRequest, status: RequestStatus) -> bool {
        match status {
            RequestStatus::Completed {
                failed: false,
                compared,
            } => {
                self.existing.answered += 1;
                self.existing.not_compared += u64::from(!compared);
                return false;
            }
            RequestStatus::Changed { failed: false } => {
                self.existing.changed += 1;
                if self.existing.changed_names.len() < NAMED {
                    self.existing.changed_names.push(request.custom_id.clone());
                }
            }
            _ => {}
        }
        true
    }

    fn compare_with_first(&mut self, request: &BatchRequest) -> Result<(), String> {
        let first = self.first.get_or_insert_with(|| First {
            url: request.url.clone(),
            model: request.model().to_owned(),
        });
        for (name, first, own) in [
            ("url", first.url.as_str(), request.url.as_str()),
            ("model", &first.model, request.model()),
        ] {
            if own != first {
                return Err(format!("'{name}' is not '{first}', as on the lines before"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use qwen_shared::provider::BatchLimits;

    use super::Parts;

    /// Lengths of the parts that come of lines of these lengths.
    fn split(requests: u64, lines: &[usize]) -> Vec<(u64, u64, u64)> {
        let limits = BatchLimits {
            requests,
            file_mib: 1,
            line_mib: None,
        };
        let mut parts = Parts::new(&limits);
        for (number, &length) in (1..).zip(lines) {
            parts.add(number, &vec![b'x'; length]).unwrap();
        }
        let parts = parts.finish().unwrap();
        parts
            .iter()
            .map(|part| (part.first_line, part.requests, part.length))
            .collect()
    }

    #[test]
    fn a_part_has_no_more_requests_and_bytes_than_a_batch_may_have() {
        assert_eq!(split(2, &[1, 1, 1, 1, 1]), [(1, 2, 2), (3, 2, 2), (5, 1, 1)]);
        assert_eq!(split(2, &[1, 1]), [(1, 2, 2)]);
        assert_eq!(split(9, &[1 << 20, 1]), [(1, 1, 1 << 20), (2, 1, 1)]);
        assert_eq!(
            split(9, &[600 << 10, 400 << 10, 100 << 10, 900 << 10]),
            [(1, 2, 1000 << 10), (3, 2, 1000 << 10)]
        );
        assert!(split(9, &[]).is_empty());
    }
}

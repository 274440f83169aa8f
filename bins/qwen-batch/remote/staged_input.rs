//! The file that is uploaded: every line validated, and written in OpenAI's batch input format.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use qwen_shared::exit::{Exit, Failure, io_reason};
use qwen_shared::output::Reporter;
use qwen_shared::provider::BatchLimits;

use crate::input::{Input, InputLine};
use crate::request::{BatchRequest, RequestBuilder};
use crate::results::{CompletedIds, IdStatus};

/// The most invalid lines that are reported one by one.
const REPORTED_LINES: u64 = 20;

/// A temporary file without a name, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct StagedInput {
    pub(crate) file: File,
    /// In bytes.
    pub(crate) length: u64,
    pub(crate) requests: u64,
    /// The `url` of all requests, `/v1/…`.
    pub(crate) url: String,
}

impl StagedInput {
    /// Validates and stages every line of the input; reports the invalid ones.
    ///
    /// # Errors
    /// 65 when any line is malformed, has the ID of an earlier one, or another `url` or model than the first; when
    /// there are more or longer lines than the provider accepts; and when there is none. 74 when the temporary file
    /// cannot be written.
    pub(crate) fn new(
        input: Input,
        builder: &RequestBuilder,
        limits: &BatchLimits,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let name = input.name();
        let mut validator = Validator::new(builder, limits);
        let mut writer = BufWriter::new(tempfile::tempfile().map_err(|error| cannot_stage(&error))?);
        let mut length = 0;
        let mut invalid = 0;
        let mut lines = input.lines();
        while let Some(line) = lines.next()? {
            match validator.validate(&line) {
                Ok(line) if invalid == 0 => {
                    length += line.len() as u64;
                    writer.write_all(&line).map_err(|error| cannot_stage(&error))?;
                }
                Ok(_) => {}
                Err(reason) => {
                    invalid += 1;
                    if invalid <= REPORTED_LINES {
                        reporter.notice(&format!("{name}:{}: {reason}", line.number));
                    }
                }
            }
            if validator.requests > limits.requests || length > limits.file_mib << 20 {
                return Err(too_large(&name, limits, validator.requests));
            }
        }
        if invalid > 0 {
            return Err(malformed(&name, invalid));
        }
        let file = writer.into_inner().map_err(|error| cannot_stage(error.error()))?;
        match validator.first {
            Some(First { url, .. }) => Ok(Self {
                file,
                length,
                requests: validator.requests,
                url,
            }),
            None => Err(Failure::new(Exit::Data, format!("'{name}': no requests in it"))),
        }
    }
}

fn malformed(name: &str, count: u64) -> Failure {
    let lines = if count == 1 { "line" } else { "lines" };
    Failure::new(
        Exit::Data,
        format!("'{name}': {count} malformed {lines}; nothing was sent"),
    )
}

/// The failure of an input that has become too large with its last request.
fn too_large(name: &str, limits: &BatchLimits, requests: u64) -> Failure {
    let what = match requests > limits.requests {
        true => format!("{} requests", limits.requests),
        false => format!("{} MiB", limits.file_mib),
    };
    let part = (requests - 1).max(1);
    Failure::new(
        Exit::Data,
        format!("'{name}': more than the {what} that a batch may have; nothing was sent"),
    )
    .hint(format!("submit it in parts: 'split -l {part} IN part-'"))
}

fn cannot_stage(error: &io::Error) -> Failure {
    Failure::new(
        Exit::Io,
        format!("cannot write a temporary file: {}", io_reason(error)),
    )
    .hint("set TMPDIR to a directory with enough space")
}

struct Validator<'a> {
    builder: &'a RequestBuilder,
    limits: &'a BatchLimits,
    ids: CompletedIds,
    requests: u64,
    first: Option<First>,
}

/// What all requests of a batch must have in common.
struct First {
    url: String,
    model: String,
}

impl<'a> Validator<'a> {
    fn new(builder: &'a RequestBuilder, limits: &'a BatchLimits) -> Self {
        Self {
            builder,
            limits,
            ids: CompletedIds::default(),
            requests: 0,
            first: None,
        }
    }

    /// Returns the line to upload.
    fn validate(&mut self, line: &InputLine) -> Result<Vec<u8>, String> {
        let request = self.builder.build(line).map_err(|invalid| invalid.reason)?;
        if self.ids.register(&request.custom_id) != IdStatus::New {
            return Err(format!("duplicate custom_id '{}'", request.custom_id));
        }
        self.compare_with_first(&request)?;
        self.requests += 1;
        let line = request.to_line().map_err(|error| error.to_string())?;
        match self.limits.line_mib {
            Some(limit) if line.len() as u64 > limit << 20 => {
                Err(format!("longer than {limit} MiB as it would be sent"))
            }
            _ => Ok(line),
        }
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

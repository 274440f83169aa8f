//! Files of `qwen-batch`: a line of the input is a request that is known again, or a reason; a line of the output is a record
//! that is known again, or none.

use std::io::Read;

use qwen_shared::net::chat::Form;
use qwen_shared::output::{Color, Reporter};
use serde_json::{Map, Value};

use crate::args::RequestArgs;
use crate::digest::RequestDigest;
use crate::input::InputLine;
use crate::input_format::{Encoding, SAMPLE, foreign_format};
use crate::record::{ExistingRecord, Record, RecordedResponse, bound_line, record_line, without_mark};
use crate::request::{RequestBuilder, submitted_request};

/// Reads an input as both kinds of file.
pub(crate) fn holds(data: &[u8]) {
    for is_plain_text in [false, true] {
        let _ = foreign_format(&data[..data.len().min(SAMPLE)], true, is_plain_text);
    }
    let encoding = Encoding::of(data);
    let mut text = Vec::new();
    let reader = encoding.reader(Box::new(std::io::Cursor::new(data.to_vec())));
    // What is compressed may be a thousand times as long.
    if reader.take(1 << 20).read_to_end(&mut text).is_err() {
        return;
    }
    assert!(encoding != Encoding::Utf8 || text == data);
    let builders = [builder(None), builder(Some("ask: {}"))];
    for line in text.split(|byte| *byte == b'\n').take(64) {
        for builder in &builders {
            request(builder, without_mark(line));
        }
        record(line);
    }
}

fn builder(template: Option<&str>) -> RequestBuilder {
    let args = RequestArgs {
        model: None,
        system: None,
        template: template.map(Into::into),
        param: Vec::new(),
    };
    let reporter = Reporter::new("qwen-batch", true, false, Color::Never);
    RequestBuilder::new(&args, "m", &Map::new(), &reporter).expect("a builder")
}

/// A request that is sent to a Batch API is the same request when the API gives it back, and its result is its result.
fn request(builder: &RequestBuilder, line: &[u8]) {
    let line = InputLine {
        number: 1,
        content: line.to_vec(),
        is_whole: true,
    };
    let request = match builder.build(&line) {
        Ok(request) => request,
        Err(invalid) => {
            assert!(!invalid.custom_id.is_empty() && !invalid.reason.is_empty());
            return;
        }
    };
    assert!(
        !request.custom_id.is_empty() && request.url.starts_with("/v1/"),
        "{request:?}"
    );
    let sent = request.to_json(Form::default()).expect("JSON");
    assert!(serde_json::from_slice::<Map<String, Value>>(&sent).is_ok());
    let written = request.to_line().expect("a line");
    assert_eq!(written.iter().filter(|byte| **byte == b'\n').count(), 1);
    let (name, digest) = submitted_request(written.trim_ascii_end()).expect("a request");
    assert_eq!(
        (name.as_str(), digest),
        (request.custom_id.as_str(), request.digest()),
        "{request:?}"
    );
    result(&name, digest);
}

/// The record of an answer is that of its request.
fn result(name: &str, digest: RequestDigest) {
    let answer = Record {
        response: Some(RecordedResponse::new(
            200,
            None,
            br#"{"choices":[{"message":{"content":"a"}}]}"#,
        )),
        ..Record::default()
    };
    let result = record_line(name, digest, &answer).expect("a line");
    let read = ExistingRecord::parse(result.trim_ascii_end()).expect("a record");
    assert_eq!((read.custom_id.as_ref(), read.digest), (name, Some(digest)));
    assert!(!read.failed && !read.is_invalid_line);
}

/// A provider's record that is bound to a request is the same record, of that request.
fn record(line: &[u8]) {
    let digest = RequestDigest::of_line(b"a");
    let Some(read) = ExistingRecord::parse(line) else {
        return;
    };
    let line = without_mark(line);
    let bound = bound_line(line, digest).expect("a record that was read");
    let members = |line: &[u8]| -> Map<String, Value> {
        let mut members: Map<String, Value> = serde_json::from_slice(line).expect("an object");
        members.shift_remove("id");
        members
    };
    assert_eq!(members(&bound), members(line));
    let again = ExistingRecord::parse(&bound).expect("a record");
    assert_eq!((again.custom_id, again.digest), (read.custom_id, Some(digest)));
    assert_eq!(
        (again.failed, again.is_invalid_line),
        (read.failed, read.is_invalid_line)
    );
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_holds_requests_and_records_that_are_known_again() {
    crate::played::play("batch", holds);
}

//! What kind of file the input is, by its first bytes, and how it becomes lines of UTF-8.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use qwen_shared::exit::{Exit, Failure};

/// How many bytes are looked at.
pub(crate) const SAMPLE: usize = 64 << 10;

/// How the bytes of the input become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8, or what is to be read as such.
    Utf8,
    Utf16 {
        is_big_endian: bool,
    },
    Gzip,
}

impl Encoding {
    /// Tells it from the first bytes.
    pub(crate) fn of(sample: &[u8]) -> Self {
        match sample {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0xff, 0xfe, 0, 0, ..] => Self::Utf8,
            [0xff, 0xfe, ..] | [b'{' | b' ' | b'\t' | b'"', 0, 1..=255, ..] => {
                Self::Utf16 { is_big_endian: false }
            }
            [0xfe, 0xff, ..] | [0, b'{' | b' ' | b'\t' | b'"', 0, 1..=255, ..] => {
                Self::Utf16 { is_big_endian: true }
            }
            _ => Self::Utf8,
        }
    }

    /// Makes the reader of the text.
    pub(crate) fn reader(self, input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match self {
            Self::Utf8 => input,
            Self::Gzip => Box::new(MultiGzDecoder::new(input)),
            Self::Utf16 { is_big_endian } => Box::new(Utf16Reader::new(input, is_big_endian)),
        }
    }
}

/// Formats that hold no requests in lines, by how they begin.
const OTHERS: [(&[u8], &str); 12] = [
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"BZh", "compressed by bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x1f\x8b", "compressed in a form of gzip that is not read"),
    (b"PAR1", "a Parquet file"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"ARROW1", "an Arrow file"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\xff\xfe\0\0", "UTF-32"),
];

/// Says what the text is in the place of requests in lines; `None` for requests, or for anything that may be some.
/// With a template any text will do.
pub(crate) fn foreign_format(sample: &[u8], is_whole: bool, is_plain_text: bool) -> Option<Foreign> {
    let binary = OTHERS.into_iter().find(|(start, _)| sample.starts_with(start));
    if let Some((_, what)) = binary {
        return Some(Foreign {
            what,
            hint: unpack_hint(what),
        });
    }
    if sample.contains(&0) {
        return Some(Foreign {
            what: "binary data",
            hint: None,
        });
    }
    if is_plain_text {
        return None;
    }
    let text = String::from_utf8_lossy(sample);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if !is_whole && !text.ends_with('\n') {
        // It may go on.
        lines.pop();
    }
    text_format(text, &lines)
}

/// What the input is, and what to type to make requests of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    what: &'static str,
    hint: Option<&'static str>,
}

impl Foreign {
    pub(crate) fn failure(self, name: &str) -> Failure {
        let message = format!("'{name}': not requests in lines: it is {}", self.what);
        let failure = Failure::new(Exit::Data, message);
        match self.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

fn unpack_hint(what: &str) -> Option<&'static str> {
    match what {
        "compressed by zstd" => Some("unpack it first: 'zstd -d IN'"),
        "compressed by xz" => Some("unpack it first: 'xz -d IN'"),
        "compressed by bzip2" => Some("unpack it first: 'bzip2 -d IN'"),
        _ => None,
    }
}

/// Judges text by its first lines, which must all be whole. One line that begins as an object is enough for requests.
fn text_format(text: &str, lines: &[&str]) -> Option<Foreign> {
    let foreign = |what, hint| Some(Foreign { what, hint });
    let start: String = text.chars().take(16).collect::<String>().to_ascii_lowercase();
    for (beginning, what) in [
        ("<!doctype html", "an HTML page"),
        ("<html", "an HTML page"),
        ("<?xml", "XML"),
    ] {
        if start.starts_with(beginning) {
            return foreign(what, None);
        }
    }
    if text.starts_with('[') && is_list(text) {
        return foreign("one JSON list", Some("make lines of it: jq -c '.[]' IN"));
    }
    let first = lines.first()?.trim();
    if first == "{" {
        return foreign("JSON over several lines", Some("make lines of it: jq -c . IN"));
    }
    if lines
        .iter()
        .any(|line| line.trim_start().trim_start_matches('\u{feff}').starts_with('{'))
    {
        return None;
    }
    match table_format(first, lines.get(1).copied()) {
        Some(what) => foreign(
            what,
            Some(
                "make lines such as {\"id\": ..., \"prompt\": ...} of it, or add --template '{}' to ask every line as it is",
            ),
        ),
        None => foreign(
            "plain text",
            Some("add --template '{}' to ask every line as it is"),
        ),
    }
}

/// Returns the kind of table that a file with these first two lines is.
fn table_format(first: &str, second: Option<&str>) -> Option<&'static str> {
    [(',', "CSV"), (';', "CSV"), ('\t', "a table with tabs")]
        .into_iter()
        .find_map(|(separator, what)| {
            let columns = |line: &str| line.matches(separator).count();
            let is_table =
                columns(first) > 0 && second.is_none_or(|second| columns(second) >= columns(first));
            is_table.then_some(what)
        })
}

/// True for a text that begins as a list of objects or over several lines; `[1]` on a line of its own is a bad line.
fn is_list(text: &str) -> bool {
    let inner = text[1..].trim_start();
    inner.starts_with(['{', '[', '"']) || text[1..].starts_with(['\n', '\r'])
}

/// How half a pair of UTF-16 begins where it is written like a character of UTF-8; the next byte is at least
/// [`HALF_PAIR_NEXT`], which no character's is.
const HALF_PAIR: u8 = 0xed;
const HALF_PAIR_NEXT: u8 = 0xa0;

fn half_pair(unit: u16) -> [u8; 3] {
    let bits = |shift: u32| 0x80 | u8::try_from((unit >> shift) & 0x3f).unwrap_or_default();
    [HALF_PAIR, bits(6), bits(0)]
}

/// True for bytes that begin with half a pair of UTF-16.
pub(crate) fn is_half_pair(bytes: &[u8]) -> bool {
    matches!(bytes, [HALF_PAIR, next, ..] if *next >= HALF_PAIR_NEXT)
}

/// UTF-16 as UTF-8. Half a pair becomes three bytes that are no UTF-8, so that its line is refused and nothing else is sent
/// in its place.
struct Utf16Reader<R> {
    input: R,
    is_big_endian: bool,
    /// Bytes that are not decoded yet: half a unit, or the first unit of a pair.
    rest: Vec<u8>,
    text: Vec<u8>,
    taken: usize,
}

impl<R: Read> Utf16Reader<R> {
    const fn new(input: R, is_big_endian: bool) -> Self {
        Self {
            input,
            is_big_endian,
            rest: Vec::new(),
            text: Vec::new(),
            taken: 0,
        }
    }

    /// Decodes more of the input; false at its end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 << 10];
        let read = self.input.read(&mut chunk)?;
        self.rest.extend_from_slice(&chunk[..read]);
        if read == 0 && self.rest.is_empty() {
            return Ok(false);
        }
        let unit = |bytes: &[u8]| match (bytes, self.is_big_endian) {
            (&[high, low], true) | (&[low, high], false) => u16::from_be_bytes([high, low]),
            // Half a unit is no character, as half a pair is none.
            _ => 0xd800,
        };
        let mut units: Vec<u16> = self.rest.chunks(2).map(unit).collect();
        let mut kept = 0;
        if read > 0 {
            if self.rest.len() % 2 == 1 {
                units.pop();
                kept = 1;
            }
            if units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
                units.pop();
                kept += 2;
            }
        }
        self.rest.drain(..self.rest.len() - kept);
        self.text.clear();
        self.taken = 0;
        for unit in char::decode_utf16(units) {
            match unit {
                Ok(character) => self
                    .text
                    .extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(half) => self.text.extend(half_pair(half.unpaired_surrogate())),
            }
        }
        Ok(true)
    }
}

impl<R: Read> Read for Utf16Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() {
            if !self.fill()? {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.text.len() - self.taken);
        buffer[..length].copy_from_slice(&self.text[self.taken..self.taken + length]);
        self.taken += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Encoding, Utf16Reader, foreign_format, is_half_pair};

    /// A reader that gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let length = self.0.len().min(1);
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    #[test]
    fn utf16_is_decoded_wherever_it_is_cut() {
        let text = "a\u{e4}\u{1f600}\n";
        for is_big_endian in [false, true] {
            let bytes: Vec<u8> = text
                .encode_utf16()
                .flat_map(|unit| match is_big_endian {
                    true => unit.to_be_bytes(),
                    false => unit.to_le_bytes(),
                })
                .collect();
            let mut decoded = String::new();
            Utf16Reader::new(Slow(&bytes), is_big_endian)
                .read_to_string(&mut decoded)
                .unwrap();
            assert_eq!(decoded, text);
            let mut cut = Vec::new();
            Utf16Reader::new(Slow(&bytes[..bytes.len() - 3]), is_big_endian)
                .read_to_end(&mut cut)
                .unwrap();
            let fault = std::str::from_utf8(&cut).unwrap_err().valid_up_to();
            assert_eq!(&cut[..fault], "a\u{e4}".as_bytes());
            assert!(is_half_pair(&cut[fault..]), "{cut:?}");
        }
    }

    #[test]
    fn the_encoding_is_told_from_the_first_bytes() {
        for (sample, encoding) in [
            (&b"{\"prompt\":1}"[..], Encoding::Utf8),
            (b"\xef\xbb\xbf{", Encoding::Utf8),
            (b"\xff\xfe{\0", Encoding::Utf16 { is_big_endian: false }),
            (b"\xfe\xff\0{", Encoding::Utf16 { is_big_endian: true }),
            (b"{\0\"\0", Encoding::Utf16 { is_big_endian: false }),
            (b"\0{\0\"", Encoding::Utf16 { is_big_endian: true }),
            (b"\x1f\x8b\x08\0", Encoding::Gzip),
            (b"", Encoding::Utf8),
        ] {
            assert_eq!(Encoding::of(sample), encoding, "{sample:?}");
        }
    }

    #[test]
    fn what_is_no_requests_in_lines_is_named_and_what_may_be_some_is_not() {
        let named = |sample: &[u8], is_plain_text| {
            foreign_format(sample, true, is_plain_text).map(|foreign| foreign.what)
        };
        for (sample, what) in [
            (&b"id,prompt\n1,why\n"[..], "CSV"),
            (b"id;prompt\n1;\"why; so\"\n", "CSV"),
            (b"id\tprompt\n1\twhy\n", "a table with tabs"),
            (b"[{\"prompt\":\"x\"},\n{\"prompt\":\"y\"}]", "one JSON list"),
            (b"[\n  {\n", "one JSON list"),
            (b"{\n  \"prompt\": \"x\"\n}\n", "JSON over several lines"),
            (b"Why is the sky blue?\n", "plain text"),
            (b"<!DOCTYPE html><html>", "an HTML page"),
        ] {
            assert_eq!(named(sample, false), Some(what));
            assert_eq!(named(sample, true), None, "{what}");
        }
        for (sample, what) in [
            (&b"PK\x03\x04\x14\0"[..], "a zip archive or an Office document"),
            (b"\x28\xb5\x2f\xfd\x04", "compressed by zstd"),
            (b"\xff\xfe\0\0{\0\0\0", "UTF-32"),
            (b"ab\0cd\n", "binary data"),
        ] {
            assert_eq!(named(sample, false), Some(what));
            assert_eq!(named(sample, true), Some(what));
        }
        for sample in [
            &b"{\"prompt\":\"x\"}"[..],
            b"nonsense\n{\"prompt\":\"x\"}\n",
            b"[1]\n{\"prompt\":\"x\"}\n",
            b"",
            b"\n\n",
        ] {
            assert_eq!(named(sample, false), None, "{sample:?}");
        }
        // What is not there yet may be requests.
        assert!(foreign_format(b"a long first li", false, false).is_none());
    }
}

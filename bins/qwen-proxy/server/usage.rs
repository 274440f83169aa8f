//! The count of tokens in an answer, read while it passes; what was added to a stream for its sake is cut out again.

use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::members::{Edit, Members, apply};

/// The longest line or event that is looked into. Longer ones pass as they are.
const LONGEST: usize = 1 << 20;

/// The longest `usage` that is read.
const LONGEST_USAGE: usize = 16 << 10;

/// What an answer says about its tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) total: Option<u64>,
}

impl Usage {
    /// Reads the object of any service: chat completions, responses, embeddings, images, audio.
    fn read(json: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(json).ok()?;
        let number = |names: [&str; 2]| names.iter().find_map(|name| value.get(name)?.as_u64());
        let usage = Self {
            input: number(["prompt_tokens", "input_tokens"]),
            output: number(["completion_tokens", "output_tokens"]),
            total: number(["total_tokens", "total_tokens"]),
        };
        (usage != Self::default()).then_some(usage)
    }

    /// Returns the tokens of question and answer together.
    pub(super) fn all(&self) -> u64 {
        let sum = self
            .input
            .unwrap_or_default()
            .saturating_add(self.output.unwrap_or_default());
        self.total.unwrap_or(sum)
    }
}

/// What has come of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Streamed {
    /// How many events with text may have come: a token each, or more.
    pub(super) events: u64,
    /// The bytes of their text.
    pub(super) text: u64,
}

/// Reads an answer while it passes.
#[derive(Debug)]
pub(super) enum Tap {
    /// Nothing is read.
    Shut,
    /// A JSON document.
    Document(Document),
    /// A stream of events.
    Events(Events),
}

impl Tap {
    pub(super) fn document() -> Self {
        Self::Document(Document::default())
    }

    /// `cuts`: whether the count was asked for by the proxy, and is taken out again.
    pub(super) fn events(cuts: bool) -> Self {
        Self::Events(Events {
            cuts,
            ..Events::default()
        })
    }

    /// True where the answer changes, so that its length is not known.
    pub(super) const fn cuts(&self) -> bool {
        matches!(self, Self::Events(events) if events.cuts)
    }

    /// Takes a piece of the answer; returns what passes.
    pub(super) fn push(&mut self, piece: Bytes) -> Bytes {
        match self {
            Self::Shut => {}
            Self::Document(document) => document.push(&piece),
            Self::Events(events) if events.cuts => return events.cut(&piece),
            Self::Events(events) => events.look(&piece),
        }
        piece
    }

    /// Returns what is left at the end of the answer.
    pub(super) fn finish(&mut self) -> Bytes {
        match self {
            Self::Events(events) => events.finish(),
            Self::Shut | Self::Document(_) => Bytes::new(),
        }
    }

    pub(super) fn usage(&self) -> Option<Usage> {
        match self {
            Self::Shut => None,
            Self::Document(document) => document.usage,
            Self::Events(events) => events.usage,
        }
    }

    /// Returns what has come of a stream so far.
    pub(super) const fn streamed(&self) -> Streamed {
        match self {
            Self::Events(events) => events.streamed,
            Self::Shut | Self::Document(_) => Streamed { events: 0, text: 0 },
        }
    }
}

/// Looks for the member `usage` of a document's outermost object, however long the document is.
#[derive(Debug, Default)]
pub(super) struct Document {
    depth: usize,
    is_string: bool,
    is_escaped: bool,
    /// The last string at depth 1, while it may be a name.
    name: Vec<u8>,
    /// True behind the colon after `"usage"`.
    is_wanted: bool,
    value: Vec<u8>,
    usage: Option<Usage>,
}

impl Document {
    fn push(&mut self, piece: &[u8]) {
        for &byte in piece {
            if self.is_wanted && self.value.len() < LONGEST_USAGE {
                self.value.push(byte);
            }
            if self.is_string {
                self.within_string(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.is_string = true;
                    self.name.clear();
                }
                b':' if self.depth == 1 && !self.is_wanted => self.is_wanted = self.name == b"usage",
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.is_wanted && self.depth <= 1 {
                        self.take();
                    }
                }
                b',' if self.depth == 1 => {
                    // A value that is no object.
                    self.is_wanted = false;
                    self.value.clear();
                }
                _ => {}
            }
        }
    }

    fn within_string(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => self.is_string = false,
            _ if self.depth == 1 && self.name.len() < 16 => self.name.push(byte),
            _ => {}
        }
    }

    fn take(&mut self) {
        self.usage = Usage::read(&self.value).or(self.usage);
        self.is_wanted = false;
        self.value.clear();
    }
}

/// Looks into the events of a stream (HTML Living Standard, section 9.2).
#[derive(Debug, Default)]
pub(super) struct Events {
    cuts: bool,
    /// What has come of the line, or with `cuts` of the event, that is not whole.
    held: Vec<u8>,
    /// True within a line or event that is too long to be looked into.
    is_too_long: bool,
    /// The last bytes, while the end of an event that is too long is looked for.
    tail: Vec<u8>,
    streamed: Streamed,
    usage: Option<Usage>,
}

/// What events hold that matters here.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<Inner<'a>>,
    #[serde(borrow)]
    choices: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
}

impl Event<'_> {
    /// Returns the bytes of the text that comes with it. What the events of a response repeat was counted as its parts came.
    fn text(&self, data: &[u8]) -> u64 {
        match (self.choices.or(self.delta), self.r#type) {
            (Some(text), _) => {
                serde_json::from_str(text.get()).map_or(text.get().len() as u64, |text| text_of(&text))
            }
            (None, Some(_)) => 0,
            (None, None) if self.usage.is_some() => 0,
            (None, None) => data.len() as u64,
        }
    }
}

/// Returns the bytes of all strings in a value that are a model's words.
fn text_of(value: &Value) -> u64 {
    const LABELS: [&str; 5] = ["role", "finish_reason", "stop_reason", "type", "id"];
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(list) => list.iter().map(text_of).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !LABELS.contains(&name.as_str()) && *name != "logprobs")
            .map(|(_, value)| text_of(value))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Events {
    /// Looks into the lines of a piece that passes as it is.
    fn look(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let is_whole = line.ends_with(b"\n") || line.ends_with(b"\r");
            if is_whole && self.held.is_empty() && !self.is_too_long {
                self.read_line(line);
                continue;
            }
            if self.is_too_long {
                self.streamed.text += line.len() as u64;
            } else if self.held.len() + line.len() > LONGEST {
                self.streamed.text += (self.held.len() + line.len()) as u64;
                self.is_too_long = true;
                self.held.clear();
            }
            if !self.is_too_long {
                self.held.extend_from_slice(line);
            }
            if is_whole {
                let line = std::mem::take(&mut self.held);
                self.read_line(&line);
                self.is_too_long = false;
            }
        }
    }

    fn read_line(&mut self, line: &[u8]) {
        let Some(data) = data_of(line) else { return };
        self.streamed.events += 1;
        if data == b"[DONE]" {
            return;
        }
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else {
            self.streamed.text += data.len() as u64;
            return;
        };
        self.streamed.text += event.text(data);
        if contains(data, b"\"usage\"") {
            let found = event.usage.or_else(|| event.response?.usage);
            let usage = found.and_then(|usage| Usage::read(usage.get().as_bytes()));
            self.usage = usage.or(self.usage);
        }
    }

    /// Takes a piece; returns the events that are whole, without what the proxy has asked for.
    fn cut(&mut self, piece: &[u8]) -> Bytes {
        let mut passed = Vec::with_capacity(self.held.len() + piece.len());
        let mut rest = piece;
        if self.is_too_long {
            let end = self.end_of_long(rest);
            self.streamed.text += end.unwrap_or(rest.len()) as u64;
            passed.extend_from_slice(&rest[..end.unwrap_or(rest.len())]);
            let Some(end) = end else {
                return passed.into();
            };
            self.is_too_long = false;
            self.tail.clear();
            rest = &rest[end..];
        }
        self.held.extend_from_slice(rest);
        let held = std::mem::take(&mut self.held);
        let mut at = 0;
        while let Some(length) = end_of_event(&held[at..]) {
            self.pass_event(&held[at..at + length], &mut passed);
            at += length;
        }
        let rest = &held[at..];
        if rest.len() > LONGEST {
            passed.extend_from_slice(rest);
            self.streamed.events += 1;
            self.streamed.text += rest.len() as u64;
            self.is_too_long = true;
            self.tail = rest[rest.len() - 3..].to_vec();
        } else {
            self.held = rest.to_vec();
        }
        passed.into()
    }

    /// Finds the end of an event that passes unread; the blank line may have begun in the piece before.
    fn end_of_long(&mut self, piece: &[u8]) -> Option<usize> {
        let before = self.tail.len();
        let joined = [&self.tail, piece].concat();
        let end = end_of_event(&joined).map(|end| end.saturating_sub(before));
        self.tail = joined[joined.len().saturating_sub(3)..].to_vec();
        end
    }

    fn pass_event(&mut self, event: &[u8], passed: &mut Vec<u8>) {
        for line in event.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.read_line(line);
        }
        let changed = contains(event, b"\"usage\"")
            .then(|| without_usage(event))
            .flatten();
        passed.extend_from_slice(changed.as_deref().unwrap_or(event));
    }

    fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        if self.cuts && !held.is_empty() {
            let mut passed = Vec::new();
            self.pass_event(&held, &mut passed);
            return passed.into();
        }
        self.read_line(&held);
        Bytes::new()
    }
}

/// Returns an event without its count of tokens: nothing is left of one that holds nothing else. `None` where there is none.
fn without_usage(event: &[u8]) -> Option<Vec<u8>> {
    let mut lines = event
        .split_inclusive(|byte| matches!(byte, b'\n' | b'\r'))
        .filter(|line| data_of(line).is_some());
    let (line, more) = (lines.next()?, lines.next());
    if more.is_some() {
        return None;
    }
    let data = data_of(line)?;
    let members = Members::read(data).ok()?;
    let index = members.iter().position(|member| member.name == "usage")?;
    let choices = members.text(data, "choices").map(<[u8]>::trim_ascii);
    let is_count_alone = members.text(data, "usage") != Some(b"null")
        && choices
            .is_some_and(|choices| choices.starts_with(b"[") && choices[1..].trim_ascii_start() == b"]");
    if is_count_alone {
        return Some(Vec::new());
    }
    let place = members.cut(data, index)?;
    let offset = data.as_ptr().addr().checked_sub(event.as_ptr().addr())?;
    Some(apply(
        event,
        vec![Edit {
            place: place.start + offset..place.end + offset,
            text: Vec::new(),
        }],
    ))
}

/// Returns what a line holds after `data:`.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    Some(line.strip_prefix(b"data:")?.trim_ascii())
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// Returns where the first event ends: behind its blank line, whatever the line ends are.
fn end_of_event(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut is_line_empty = true;
    while at < text.len() {
        match text[at] {
            b'\n' => {
                at += 1;
                if std::mem::replace(&mut is_line_empty, true) {
                    return Some(at);
                }
            }
            b'\r' => {
                // The line feed after it may not have come yet.
                let next = *text.get(at + 1)?;
                at += if next == b'\n' { 2 } else { 1 };
                if std::mem::replace(&mut is_line_empty, true) {
                    return Some(at);
                }
            }
            _ => {
                is_line_empty = false;
                at += 1;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;

    use super::{Tap, Usage};

    fn through(mut tap: Tap, text: &[u8], size: usize) -> (Vec<u8>, Option<Usage>) {
        let mut passed = Vec::new();
        for piece in text.chunks(size) {
            passed.extend_from_slice(&tap.push(Bytes::copy_from_slice(piece)));
        }
        passed.extend_from_slice(&tap.finish());
        (passed, tap.usage())
    }

    fn usage(input: u64, output: u64, total: u64) -> Usage {
        Usage {
            input: Some(input),
            output: Some(output),
            total: Some(total),
        }
    }

    #[test]
    fn the_count_of_a_document_is_found_at_its_top_alone() {
        for (text, found) in [
            (
                r#"{"choices":[{"message":{"content":"\"usage\":{\"total_tokens\":9}","usage":{"total_tokens":8}}}],
                    "usage" : {"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"d":{"cached_tokens":1}}, "x":1}"#,
                Some(usage(1, 2, 3)),
            ),
            (
                r#"{"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}"#,
                Some(usage(1, 2, 3)),
            ),
            (r#"{"usage":null,"a":{"total_tokens":3}}"#, None),
            (r#"{"a":"usage","b":{"total_tokens":3}}"#, None),
            (r#"[{"usage":{"total_tokens":3}}]"#, None),
            ("not json", None),
        ] {
            for size in [1, 2, 7, 1000] {
                let (passed, seen) = through(Tap::document(), text.as_bytes(), size);
                assert_eq!(
                    (passed.as_slice(), seen),
                    (text.as_bytes(), found),
                    "{size}: {text}"
                );
            }
        }
    }

    const STREAM: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n: comment\n\n\
        data: {\"usage\":null,\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\r\n\r\n\
        event: x\ndata: {\"choices\":[]}\n\n\
        data: {\"choices\":[ ],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}\n\n\
        data: [DONE]\n\n";

    #[test]
    fn what_was_asked_for_besides_is_cut_out_of_a_stream() {
        let expected = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n: comment\n\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}\r\n\r\n\
            event: x\ndata: {\"choices\":[]}\n\n\
            data: [DONE]\n\n";
        for size in 1..STREAM.len() {
            let (passed, seen) = through(Tap::events(true), STREAM.as_bytes(), size);
            assert_eq!(String::from_utf8(passed).unwrap(), expected, "{size}");
            assert_eq!(seen, Some(usage(1, 2, 3)), "{size}");
        }
    }

    #[test]
    fn a_stream_that_asked_for_the_count_itself_passes_to_the_byte() {
        let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}}\n\n";
        for text in [
            STREAM,
            responses,
            "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3}}",
        ] {
            for size in [1, 2, 5, 64, 4096] {
                let (passed, seen) = through(Tap::events(false), text.as_bytes(), size);
                assert!(passed == text.as_bytes());
                assert_eq!(seen, Some(usage(1, 2, 3)), "{size}");
            }
        }
    }

    #[test]
    fn an_event_that_is_too_long_passes_unread_and_the_next_one_is_read() {
        let long = format!(
            "data: {{\"choices\":[1],\"usage\":null,\"a\":\"{}\"}}\n\n",
            "x".repeat(3 << 20)
        );
        let text = format!("{long}{STREAM}");
        for size in [1000, 4096, 65_537, 8 << 20] {
            let (passed, seen) = through(Tap::events(true), text.as_bytes(), size);
            let is_kept = passed.starts_with(long.as_bytes());
            assert!(is_kept || size == 8 << 20, "{size}");
            assert!(passed.len() < text.len());
            assert_eq!(seen, Some(usage(1, 2, 3)), "{size}");
        }
    }
}

//! The event-stream format, read from bytes as they arrive (WHATWG HTML, section 9.2.6).

use std::borrow::Cow;

use memchr::{memchr, memchr2, memmem};
use serde::de::IgnoredAny;

use super::error::{AnswerError, EVENT_LIMIT};
use super::foreign::names_error;

/// What a buffer may keep between events: an 8 MiB event must not stay in memory for the rest of the answer.
const KEPT: usize = 64 << 10;

/// One event: its type (empty unless the stream named one) and its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Event<'a> {
    /// The value of the last `event` field; empty for the default type `message`.
    pub(super) name: &'a str,
    /// The `data` fields, joined by line feeds. Bytes that are not UTF-8 have become U+FFFD.
    pub(super) data: &'a str,
}

/// The reader's state between two pieces of the stream.
///
/// Memory is bounded by the longest event. `id` and `retry` fields are read over, since nothing is ever resumed.
///
/// Beyond the standard it reads what servers send: events one line feed apart, a line that is a JSON object without a
/// field name, a chunk behind an unknown field's name, the field `error` (llama.cpp), an error without data, and a last event without its blank line.
#[derive(Debug, Default)]
pub(super) struct EventReader {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    name: Vec<u8>,
    /// The name that stood before the data, where another one came after it.
    earlier_name: Option<Vec<u8>>,
    started: bool,
    /// The last byte was a carriage return: a line feed that follows belongs to it.
    after_cr: bool,
}

impl EventReader {
    /// Reads the next bytes and hands every event that they complete to `sink`, in order.
    ///
    /// # Errors
    /// The sink's, at once; [`AnswerError::TooLong`] for an event past the limit. The reader is of no use after an error.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
                rest = &rest[1..];
                continue;
            }
            if self.is_between_events()
                && let Some((data, after)) = whole_event(rest)
            {
                self.started = true;
                emit(b"", data, sink)?;
                rest = after;
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', rest) else {
                self.keep(rest)?;
                break;
            };
            self.after_cr = rest[end] == b'\r';
            if self.line.is_empty() {
                self.take_line(&rest[..end], sink)?;
            } else {
                self.keep(&rest[..end])?;
                let mut line = std::mem::take(&mut self.line);
                self.take_line(&line, sink)?;
                line.clear();
                line.shrink_to(KEPT);
                self.line = line;
            }
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        if self.line.len() + bytes.len() > EVENT_LIMIT {
            return Err(AnswerError::TooLong);
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_line(
        &mut self,
        line: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        let line = without_mark(line, !std::mem::replace(&mut self.started, true));
        if line.is_empty() {
            return self.dispatch(sink);
        }
        if line[0] == b'{' || is_done_mark(line) {
            return self.take_bare_line(line, sink);
        }
        let (field, value) = split_field(line);
        match field {
            b"data" => {
                if self.has_data && begins_event(value) && is_whole(&self.data) {
                    let name = self.earlier_name.take().unwrap_or_else(|| self.name.clone());
                    emit(&name, &self.data, sink)?;
                    self.has_data = false;
                    self.data.clear();
                }
                if self.data.len() + value.len() >= EVENT_LIMIT {
                    return Err(AnswerError::TooLong);
                }
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
            }
            b"event" => {
                if self.has_data {
                    self.earlier_name = Some(std::mem::take(&mut self.name));
                }
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            b"error" if !value.trim_ascii().is_empty() => emit(b"error", value, sink)?,
            // A comment has an empty field name.
            b"id" | b"retry" | b"" => {}
            _ => return self.take_odd_line(line, sink),
        }
        Ok(())
    }

    /// Takes a line without a field name: an event of its own, if it is whole. Something else is a field that nobody knows.
    fn take_bare_line(
        &mut self,
        line: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        if !is_whole(line) {
            return Ok(());
        }
        if self.has_data {
            self.dispatch(sink)?;
        }
        emit(b"", line, sink)
    }

    /// Takes a line of an unknown field: where it holds a chunk, that is an event of its own, whatever stands before it (a
    /// byte-order mark amid the stream, padding, another spelling of `data`).
    fn take_odd_line(
        &mut self,
        line: &[u8],
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        if memmem::find(line, b"\"choices\"").is_none() {
            return Ok(());
        }
        let Some(start) = memchr(b'{', line) else {
            return Ok(());
        };
        if self.has_data {
            self.dispatch(sink)?;
        }
        emit(b"", &line[start..], sink)
    }

    /// Ends an event. A block without a `data` field (comments, `id:`, `retry:` or `event:` alone) is none, but for an
    /// error; one whose `data` field is empty is an event with empty data (section 9.2.6).
    fn dispatch(
        &mut self,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        let outcome = if self.has_data || names_error(&String::from_utf8_lossy(&self.name)) {
            emit(&self.name, &self.data, sink)
        } else {
            Ok(())
        };
        self.data.clear();
        self.data.shrink_to(KEPT);
        self.has_data = false;
        self.name.clear();
        self.earlier_name = None;
        outcome
    }

    /// Ends the stream. A last event that lacks only its blank line is dispatched; true when one was cut off.
    ///
    /// # Errors
    /// The sink's.
    pub(super) fn finish(
        &mut self,
        sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
    ) -> Result<bool, AnswerError> {
        let line = std::mem::take(&mut self.line);
        let is_mid_line = !line.is_empty() && !matches!(line[0], b':');
        if line.first() == Some(&b'{') && !self.has_data && !is_whole(&line) {
            self.data = line;
            return Ok(true);
        }
        if !line.is_empty() {
            self.take_line(&line, sink)?;
        }
        if self.has_data && !is_whole(&self.data) {
            return Ok(true);
        }
        let has_event = self.has_data;
        self.dispatch(sink)?;
        Ok(is_mid_line && !has_event)
    }

    /// Returns the name and the data of the event that [`EventReader::finish`] found cut off, as far as they came.
    pub(super) fn cut_off(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        (
            String::from_utf8_lossy(&self.name),
            String::from_utf8_lossy(&self.data),
        )
    }

    /// True where nothing of an event, nor of a line, has come yet.
    const fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.name.is_empty()
    }
}

/// Emits an event. Valid UTF-8, which is nearly all there is, is not copied.
fn emit(
    name: &[u8],
    data: &[u8],
    sink: &mut impl FnMut(Event<'_>) -> Result<(), AnswerError>,
) -> Result<(), AnswerError> {
    let name = String::from_utf8_lossy(name);
    let data = std::str::from_utf8(data).map_or_else(|_| String::from_utf8_lossy(data), Cow::Borrowed);
    sink(Event {
        name: &name,
        data: &data,
    })
}

/// Returns a line without the byte-order mark, if it is the first one, and without what begins a text of a JSON text sequence
/// (RFC 7464).
fn without_mark(line: &[u8], is_first: bool) -> &[u8] {
    let mark = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| is_first);
    let line = mark.unwrap_or(line);
    line.strip_prefix(b"\x1e").unwrap_or(line)
}

/// Finds the usual event at the beginning of `bytes`: one `data` line and one blank line, both there to their line
/// feeds. Returns its data and what follows it.
fn whole_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = bytes.strip_prefix(b"data:")?;
    let end = memchr2(b'\n', b'\r', line)?;
    let after = line[end..].strip_prefix(b"\n\n")?;
    let data = line[..end].strip_prefix(b" ").unwrap_or(&line[..end]);
    Some((data, after))
}

/// True for data that may begin an event, and no line of pretty-printed JSON within one.
fn begins_event(data: &[u8]) -> bool {
    data.trim_ascii().starts_with(b"{") || is_done_mark(data)
}

/// True for data that nothing can follow: a JSON object to its last brace, or the end.
fn is_whole(data: &[u8]) -> bool {
    match data.trim_ascii() {
        data if is_done_mark(data) => true,
        data @ [b'{', .., b'}'] => serde_json::from_slice::<IgnoredAny>(data).is_ok(),
        _ => false,
    }
}

/// True for the mark of the end, `[DONE]`: in any case, and as a JSON string too.
pub(super) fn is_done_mark(data: &[u8]) -> bool {
    let mut data = data.trim_ascii();
    for quote in [b"\"", b"'"] {
        let inner = data.strip_prefix(quote).and_then(|data| data.strip_suffix(quote));
        data = inner.map_or(data, <[u8]>::trim_ascii);
    }
    data.eq_ignore_ascii_case(b"[DONE]")
}

/// Splits a line at its first colon; one blank after it is not part of the value.
fn split_field(line: &[u8]) -> (&[u8], &[u8]) {
    // Field names are short: a plain search beats a vectorised one.
    match line.iter().position(|&byte| byte == b':') {
        None => (line, b""),
        Some(colon) => {
            let value = &line[colon + 1..];
            (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
        }
    }
}

#[cfg(test)]
mod tests;

//! What stands around the text of a chunk, so that the next one is known again.
//!
//! Most servers send thousands of chunks that differ in their text alone. Reading one anew is half of the work of a long
//! answer; of one that has what the last one had before and after its text, only the text is read.

use std::borrow::Cow;

use super::content::literal;

/// The longest chunk that is remembered, in bytes.
const LONGEST: usize = 16 << 10;

/// The last chunk, without its text, if it brought that alone.
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Up to the quote before the text, and from the quote behind it on; both empty while there is none.
    before: String,
    after: String,
}

impl Frame {
    /// Remembers a chunk that brings nothing but this text, which is a part of `json`. Text that does not stand between
    /// quotes is not remembered.
    pub(super) fn remember(&mut self, json: &str, text: &str) {
        self.forget();
        let start = (text.as_ptr() as usize).checked_sub(json.as_ptr() as usize);
        let parts = start
            .filter(|start| json.len() <= LONGEST && json.get(*start..start + text.len()) == Some(text))
            .and_then(|start| Some((json.get(..start)?, json.get(start + text.len()..)?)));
        if let Some((before, after)) = parts
            && before.ends_with('"')
            && after.starts_with('"')
        {
            self.before.push_str(before);
            self.after.push_str(after);
        }
    }

    pub(super) fn forget(&mut self) {
        self.before.clear();
        self.after.clear();
    }

    /// Returns the text of a chunk that has this frame; `None` for any other, and for one without text.
    pub(super) fn text_of<'t>(&self, json: &'t str) -> Option<Cow<'t, str>> {
        if self.before.is_empty() {
            return None;
        }
        let inner = json
            .strip_prefix(&*self.before)?
            .strip_suffix(&*self.after)
            .filter(|inner| !inner.is_empty())?;
        let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
        if inner.bytes().all(is_plain) {
            return Some(Cow::Borrowed(inner));
        }
        let quoted = json.get(self.before.len() - 1..json.len() - self.after.len() + 1)?;
        literal(quoted).ok().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Frame;

    #[test]
    fn a_chunk_of_the_same_frame_gives_its_text() {
        let first = r#"{"a":"x","text":"one","b":1}"#;
        let mut frame = Frame::default();
        assert_eq!(frame.text_of(first), None);
        frame.remember(first, &first[17..20]);
        for (json, text) in [
            (r#"{"a":"x","text":"two","b":1}"#, Some("two")),
            (r#"{"a":"x","text":"a\n\"\u00e9","b":1}"#, Some("a\n\"\u{e9}")),
            (r#"{"a":"x","text":"\\","b":1}"#, Some("\\")),
            (r#"{"a":"x","text":"","b":1}"#, None),
            // The text ends before: what follows is another member.
            (r#"{"a":"x","text":"t","c":"u","b":1}"#, None),
            (r#"{"a":"x","text":"t\","b":1}"#, None),
            (r#"{"a":"x","text":"\ud83d","b":1}"#, None),
            ("{\"a\":\"x\",\"text\":\"t\tu\",\"b\":1}", None),
            (r#"{"a":"y","text":"two","b":1}"#, None),
            (r#"{"a":"x","text":"two","b":2}"#, None),
            (r#"{"a":"x","text":"#, None),
            (r#"{"a":"x","text":","b":1}"#, None),
        ] {
            assert_eq!(frame.text_of(json).as_deref(), text, "{json}");
        }
        frame.forget();
        assert_eq!(frame.text_of(first), None);
    }

    #[test]
    fn what_is_no_part_of_the_chunk_or_has_no_quotes_is_not_remembered() {
        let json = r#"{"text":5}"#;
        let mut frame = Frame::default();
        for text in [&json[8..9], "5", "elsewhere"] {
            frame.remember(json, text);
            assert_eq!(frame.text_of(json), None, "{text}");
        }
        let long = format!(r#"{{"text":"a","b":"{}"}}"#, "b".repeat(20_000));
        frame.remember(&long, &long[9..10]);
        assert_eq!(frame.text_of(&long), None);
    }
}

//! Events that differ from the one before in their text alone.
//!
//! Of twenty thousand events of an answer nearly all are such. An event that begins and ends as the last one did has,
//! whatever stands between the same two quotation marks, the same JSON around it: only that one string needs parsing.

use std::borrow::Cow;

use serde::Deserialize;

/// What surrounds the text of an event that did nothing but bring text.
#[derive(Debug, Default)]
pub(super) struct Template {
    /// Up to the text's opening quotation mark, which is its last byte.
    before: String,
    /// From the closing quotation mark on.
    after: String,
    /// True when the text is reasoning.
    pub(super) is_thought: bool,
}

/// A JSON string, borrowed where it holds no escape.
#[derive(Deserialize)]
struct Literal<'a>(#[serde(borrow)] Cow<'a, str>);

impl Template {
    /// Remembers an event. `text` must be a part of `json`, which it is when it holds no escape; else nothing is
    /// remembered.
    pub(super) fn learn(&mut self, json: &str, text: &str, is_thought: bool) {
        let start = (text.as_ptr() as usize).wrapping_sub(json.as_ptr() as usize);
        let end = start.wrapping_add(text.len());
        let marks = (
            start.checked_sub(1).and_then(|at| json.get(at..start)),
            json.get(end..),
        );
        if let (Some("\""), Some(after)) = marks
            && after.starts_with('"')
        {
            json[..start].clone_into(&mut self.before);
            after.clone_into(&mut self.after);
            self.is_thought = is_thought;
        }
    }

    /// Forgets the last event: the next one is parsed whole.
    pub(super) fn forget(&mut self) {
        self.before.clear();
    }

    /// Returns the text of an event that is like the last one; `None` when it is not.
    pub(super) fn text<'a>(&self, json: &'a str) -> Option<Cow<'a, str>> {
        let (before, after) = (&self.before, &self.after);
        let fits = !before.is_empty()
            && json.len() >= before.len() + after.len()
            && json.ends_with(after.as_str())
            && json.starts_with(before.as_str());
        if !fits {
            return None;
        }
        let literal = json.get(before.len() - 1..json.len() - after.len() + 1)?;
        serde_json::from_str::<Literal<'a>>(literal)
            .ok()
            .map(|literal| literal.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn only_an_event_that_differs_in_its_text_alone_is_like_the_last_one() {
        let learned = r#"{"a":1,"content":"old","b":2}"#;
        let mut template = Template::default();
        assert_eq!(template.text(learned), None);
        template.learn(learned, &learned[18..21], false);
        for (json, text) in [
            (r#"{"a":1,"content":"new text","b":2}"#, Some("new text")),
            (r#"{"a":1,"content":"","b":2}"#, Some("")),
            (
                r#"{"a":1,"content":"line\n\"q\" \u00e9","b":2}"#,
                Some("line\n\"q\" \u{e9}"),
            ),
            (r#"{"a":1,"content":"x","content":"y","b":2}"#, None),
            (r#"{"a":1,"content":"x","c":"","b":2}"#, None),
            (r#"{"a":1,"content":"\","b":2}"#, None),
            (r#"{"a":1,"content":","b":2}"#, None),
            (r#"{"a":2,"content":"x","b":2}"#, None),
            (r#"{"a":1,"content":"x","b":3}"#, None),
            (r#"{"a":1,"content":null,"b":2}"#, None),
            ("", None),
        ] {
            assert_eq!(template.text(json).as_deref(), text, "{json}");
        }
        template.forget();
        assert_eq!(template.text(learned), None);
    }

    #[test]
    fn text_that_is_no_part_of_the_event_is_not_learned() {
        let mut template = Template::default();
        let json = r#"{"content":"a\nb"}"#;
        template.learn(json, "a\nb", false);
        template.learn(json, &json[1..4], false);
        template.learn(json, "", true);
        assert_eq!(template.text(json), None);
    }
}

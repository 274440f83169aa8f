//! The members of a JSON object where they stand in its text, so that one can be replaced and all else stays to the byte.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The most members of an object that is judged: each costs more than its text.
const MOST: usize = 100_000;

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The name, without its escapes.
    pub(super) name: String,
    /// Where the value stands.
    pub(super) value: Range<usize>,
}

/// An object's members in the order of the text; a name may be there several times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    all: Vec<Member>,
    /// Where the first member may stand: behind the opening brace.
    start: usize,
    /// Where the closing brace stands.
    end: usize,
}

impl Members {
    /// Reads an object (RFC 8259). White space around it is allowed, and nothing else.
    ///
    /// # Errors
    /// It is none, or not JSON.
    pub(super) fn read(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let all = deserializer.deserialize_map(Spans {
            start: text.as_ptr().addr(),
        })?;
        deserializer.end()?;
        let brace = |byte| move |at: &u8| *at == byte;
        let start = text.iter().position(brace(b'{'));
        let end = text.iter().rposition(brace(b'}'));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(serde_json::Error::custom("not an object"));
        };
        Ok(Self {
            all,
            start: start + 1,
            end,
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.all.iter()
    }

    /// Finds a member by its name; the last one counts where there are several, as with nearly all readers.
    pub(super) fn find(&self, name: &str) -> Option<&Member> {
        self.all.iter().rfind(|member| member.name == name)
    }

    /// Returns the value of a member, as text.
    pub(super) fn text<'t>(&self, text: &'t [u8], name: &str) -> Option<&'t [u8]> {
        text.get(self.find(name)?.value.clone())
    }

    /// Returns the value of a member that is a string.
    pub(super) fn string(&self, text: &[u8], name: &str) -> Option<String> {
        serde_json::from_slice(self.text(text, name)?).ok()
    }

    /// Returns what has to be cut out to remove the member at that place in the order.
    pub(super) fn cut(&self, text: &[u8], index: usize) -> Option<Range<usize>> {
        let member = self.all.get(index)?;
        if let Some(before) = index.checked_sub(1).and_then(|before| self.all.get(before)) {
            return Some(before.value.end..member.value.end);
        }
        let rest = text.get(member.value.end..self.end)?;
        let comma = rest.iter().position(|byte| *byte == b',').map(|at| at + 1);
        Some(self.start..member.value.end + comma.unwrap_or_default())
    }

    /// Returns the edit that adds members, written as `"name":value`, at the end.
    pub(super) fn addition(&self, members: &str) -> Edit {
        let comma = if self.all.is_empty() { "" } else { "," };
        let at = self.all.last().map_or(self.start, |last| last.value.end);
        Edit {
            place: at..at,
            text: format!("{comma}{members}").into_bytes(),
        }
    }
}

struct Spans {
    /// The address of the text.
    start: usize,
}

impl<'de> Visitor<'de> for Spans {
    type Value = Vec<Member>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let value: &'de RawValue = map.next_value()?;
            let start = value.get().as_ptr().addr().checked_sub(self.start);
            let start = start.ok_or_else(|| A::Error::custom("a value outside of its text"))?;
            if members.len() == MOST {
                return Err(A::Error::custom("too many members"));
            }
            members.push(Member {
                name,
                value: start..start + value.get().len(),
            });
        }
        Ok(members)
    }
}

/// A change of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) place: Range<usize>,
    pub(super) text: Vec<u8>,
}

/// Makes changes that do not overlap.
pub(super) fn apply(text: &[u8], mut edits: Vec<Edit>) -> Vec<u8> {
    edits.sort_by_key(|edit| edit.place.start);
    let added: usize = edits.iter().map(|edit| edit.text.len()).sum();
    let mut changed = Vec::with_capacity(text.len() + added);
    let mut at = 0;
    let mut last_addition = None;
    for edit in edits {
        changed.extend_from_slice(text.get(at..edit.place.start).unwrap_or_default());
        // Two members are added to an object that has none.
        if edit.place.is_empty()
            && last_addition.replace(edit.place.start) == Some(edit.place.start)
            && !edit.text.starts_with(b",")
        {
            changed.push(b',');
        }
        changed.extend_from_slice(&edit.text);
        at = edit.place.end;
    }
    changed.extend_from_slice(text.get(at..).unwrap_or_default());
    changed
}

#[cfg(test)]
mod tests {
    use super::{Edit, Members, apply};

    #[test]
    fn members_are_found_where_they_stand() {
        let text = br#" { "a" : [1, {"model": "x"}] ,"mod\u0065l":"y\"",
            "b":1.0e400, "model" :null}"#;
        let members = Members::read(text).unwrap();
        let found: Vec<_> = members
            .iter()
            .map(|member| {
                (
                    member.name.as_str(),
                    std::str::from_utf8(&text[member.value.clone()]).unwrap(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("a", r#"[1, {"model": "x"}]"#),
                ("model", r#""y\"""#),
                ("b", "1.0e400"),
                ("model", "null")
            ]
        );
        for bad in [
            &b""[..],
            b"[]",
            b"\"{}\"",
            b"{} {}",
            b"{}x",
            b"{\"a\":}",
            b"{'a':1}",
            b"{\"a\":1,}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":1",
            b"{a:1}",
            b"{\"a\":1}\0",
        ] {
            assert!(Members::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_object_of_too_many_members_is_not_read() {
        let of = |count: usize| format!("{{{}}}", vec!["\"\":0"; count].join(","));
        assert!(Members::read(of(super::MOST).as_bytes()).is_ok());
        let error = Members::read(of(super::MOST + 1).as_bytes()).unwrap_err();
        assert!(error.to_string().starts_with("too many members"), "{error}");
    }

    #[test]
    fn what_is_cut_or_added_leaves_json() {
        for (text, cut, added) in [
            (r#"{"u":null}"#, r#"{}"#, r#"{"u":null,"z":1}"#),
            (
                r#"{ "u" : null , "b":1 }"#,
                r#"{ "b":1 }"#,
                r#"{ "u" : null , "b":1,"z":1 }"#,
            ),
            (
                r#"{"a":"}," , "u":null,"b":1}"#,
                r#"{"a":"},","b":1}"#,
                r#"{"a":"}," , "u":null,"b":1,"z":1}"#,
            ),
            (
                r#"{"a":1, "u":{"x":"}"} }"#,
                r#"{"a":1 }"#,
                r#"{"a":1, "u":{"x":"}"},"z":1 }"#,
            ),
        ] {
            let members = Members::read(text.as_bytes()).unwrap();
            let index = members.iter().position(|member| member.name == "u").unwrap();
            let place = members.cut(text.as_bytes(), index).unwrap();
            let edit = Edit {
                place,
                text: Vec::new(),
            };
            let without = apply(text.as_bytes(), vec![edit]);
            assert_eq!(String::from_utf8(without).unwrap(), cut);
            let with = apply(text.as_bytes(), vec![members.addition(r#""z":1"#)]);
            assert_eq!(String::from_utf8(with).unwrap(), added);
        }
        let empty = Members::read(b" { } ").unwrap();
        let two = vec![empty.addition("\"z\":1"), empty.addition("\"y\":2")];
        assert_eq!(apply(b" { } ", two), b" {\"z\":1,\"y\":2 } ");
    }
}

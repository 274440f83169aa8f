//! Invalid JSON that some servers send.

/// JSON made valid.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Repaired {
    pub(super) json: String,
    /// The first half of a surrogate pair with which a string ends, and which was cut off.
    pub(super) half: Option<u16>,
    /// True when a string began with the second half of the pair whose first half came before.
    pub(super) is_joined: bool,
}

/// Repairs what some servers send: control characters within strings, halves of surrogate pairs, and numbers that are
/// none. `half` is the first half of a pair with which an earlier piece ended: its second half is joined to it.
///
/// `None` when there is nothing to repair.
pub(super) fn repair_json(json: &str, half: Option<u16>) -> Option<Repaired> {
    repair(json, half, true)
}

fn repair(json: &str, half: Option<u16>, is_piece: bool) -> Option<Repaired> {
    let mut repair = Repair {
        half,
        is_piece,
        is_joined: false,
        open_half: None,
    };
    let mut repaired = String::with_capacity(json.len() + 64);
    let (mut within, mut changed, mut at_start) = (false, false, false);
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        let is_start = std::mem::replace(&mut at_start, c == '"' && !within);
        match c {
            '"' => {
                within = !within;
                repaired.push(c);
            }
            '\\' if within => {
                let before = repaired.len();
                taken = repair.escape(rest, is_start, &mut repaired);
                changed |= repaired[before..] != rest[..taken];
            }
            '\0'..='\x1f' if within => {
                changed = true;
                repaired.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            'N' | 'I' | '-' if !within => {
                taken = not_a_number(rest).unwrap_or(taken);
                changed |= taken > 1;
                repaired.push_str(if taken > 1 { "null" } else { &rest[..1] });
            }
            c => repaired.push(c),
        }
        rest = &rest[taken..];
    }
    changed.then_some(Repaired {
        json: repaired,
        half: repair.open_half,
        is_joined: repair.is_joined,
    })
}

/// Returns JSON without what keeps it from being valid, as some servers and engines write it: control characters within
/// strings, halves of surrogate pairs, numbers that are none. `None` when there is none of that.
#[must_use]
pub fn repaired_json(json: &str) -> Option<String> {
    repair(json, None, false).map(|repaired| repaired.json)
}

/// Returns the length of what Python writes for a number that is none.
fn not_a_number(text: &str) -> Option<usize> {
    ["NaN", "Infinity", "-Infinity"]
        .iter()
        .find_map(|name| text.starts_with(name).then_some(name.len()))
}

struct Repair {
    half: Option<u16>,
    /// True where another piece may have the second half of a pair.
    is_piece: bool,
    is_joined: bool,
    open_half: Option<u16>,
}

impl Repair {
    /// Appends the escape at the start of `text`, or its replacement; returns the length of that escape in bytes.
    fn escape(&mut self, text: &str, is_start: bool, repaired: &mut String) -> usize {
        let unit = |at: usize| {
            text.get(at..at + 6)
                .and_then(|escape| escape.strip_prefix("\\u"))
                .and_then(|hex| u16::from_str_radix(hex, 16).ok())
        };
        match (unit(0), unit(6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
                repaired.push_str(&text[..12]);
                12
            }
            (Some(first @ 0xd800..=0xdbff), _) if self.is_piece && text[6..].starts_with('"') => {
                self.open_half = Some(first);
                6
            }
            (Some(second @ 0xdc00..=0xdfff), _) if is_start && self.half.is_some() => {
                self.is_joined = true;
                let first = self.half.unwrap_or_default();
                repaired.push_str(&format!("\\u{first:04x}\\u{second:04x}"));
                6
            }
            (Some(0xd800..=0xdfff), _) => {
                repaired.push_str("\\ufffd");
                6
            }
            _ => {
                let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
                repaired.push_str(&text[..length]);
                length
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{repair_json, repaired_json};

    #[test]
    fn what_is_nearly_json_is_mended_and_the_rest_left_alone() {
        for (raw, repaired) in [
            ("{\"a\":\"x\x1b[1m\"}", Some(r#"{"a":"x\u001b[1m"}"#)),
            ("{\"a\":\"x\ny\"}", Some(r#"{"a":"x\u000ay"}"#)),
            ("{\n\"a\":\t1}", None),
            (r#"{"a":"\ud83d x"}"#, Some(r#"{"a":"\ufffd x"}"#)),
            (r#"{"a":"\ud83d\ude00"}"#, None),
            (r#"{"a":"\\ud83d\""}"#, None),
            (r#"{"a":"\ude00\ud83d\n"}"#, Some(r#"{"a":"\ufffd\ufffd\n"}"#)),
            (
                r#"{"a":NaN,"b":-Infinity,"c":[Infinity,-1,"NaN"]}"#,
                Some(r#"{"a":null,"b":null,"c":[null,-1,"NaN"]}"#),
            ),
            ("{\"a\":\"\\", None),
            ("{\"a\":\"\\ü\\uü", None),
        ] {
            let seen = repair_json(raw, None).map(|repaired| repaired.json);
            assert_eq!(seen.as_deref(), repaired, "{raw}");
        }
    }

    #[test]
    fn a_half_at_an_end_waits_for_the_other_only_where_another_piece_may_come() {
        let json = r#"{"a":"x\ud83d","b":"y\ud83d"}"#;
        assert_eq!(
            repaired_json(json).as_deref(),
            Some(r#"{"a":"x\ufffd","b":"y\ufffd"}"#)
        );
        let piece = repair_json(r#"{"a":"x\ud83d"}"#, None).unwrap();
        assert_eq!((piece.json.as_str(), piece.half), (r#"{"a":"x"}"#, Some(0xd83d)));
    }

    #[test]
    fn a_pair_cut_between_two_pieces_is_joined() {
        let first = repair_json(r#"{"a":"x\ud83d"}"#, None).unwrap();
        assert_eq!((first.json.as_str(), first.half), (r#"{"a":"x"}"#, Some(0xd83d)));
        let second = repair_json(r#"{"a":"\ude00y","b":"\ude00"}"#, first.half).unwrap();
        assert_eq!(second.json, r#"{"a":"\ud83d\ude00y","b":"\ud83d\ude00"}"#);
        assert!(second.is_joined && second.half.is_none());
        let stray = repair_json(r#"{"a":"y\ude00"}"#, first.half).unwrap();
        assert_eq!(
            (stray.json.as_str(), stray.is_joined),
            (r#"{"a":"y\ufffd"}"#, false)
        );
    }
}

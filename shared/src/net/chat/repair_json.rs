//! Invalid JSON that some servers send.

/// Escapes control characters within strings and replaces halves of surrogate pairs, which some servers send. `None` when there is nothing to repair.
pub(super) fn repair_json(json: &str) -> Option<String> {
    let mut repaired = String::with_capacity(json.len() + 64);
    let (mut within, mut changed) = (false, false);
    let mut rest = json;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '"' => {
                within = !within;
                repaired.push(c);
            }
            '\\' if within => {
                let (kept, length) = escape(rest);
                taken = length;
                changed |= kept != &rest[..length];
                repaired.push_str(kept);
            }
            '\0'..='\x1f' if within => {
                changed = true;
                repaired.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => repaired.push(c),
        }
        rest = &rest[taken..];
    }
    changed.then_some(repaired)
}

/// Returns the replacement of the escape at the start of `text`, and the length of that escape in bytes.
fn escape(text: &str) -> (&str, usize) {
    let unit = |at: usize| {
        text.get(at..at + 6)
            .and_then(|escape| escape.strip_prefix("\\u"))
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
    };
    match (unit(0), unit(6)) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (&text[..12], 12),
        (Some(0xd800..=0xdfff), _) => ("\\ufffd", 6),
        _ => {
            let length = 1 + text[1..].chars().next().map_or(0, char::len_utf8);
            (&text[..length], length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::repair_json;

    #[test]
    fn what_is_nearly_json_is_mended_and_the_rest_left_alone() {
        for (raw, repaired) in [
            ("{\"a\":\"x\x1b[1m\"}", Some(r#"{"a":"x\u001b[1m"}"#)),
            ("{\"a\":\"x\ny\"}", Some(r#"{"a":"x\u000ay"}"#)),
            ("{\n\"a\":\t1}", None),
            (r#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
            (r#"{"a":"\ud83d\ude00"}"#, None),
            (r#"{"a":"\\ud83d\""}"#, None),
            (r#"{"a":"\ude00\ud83d\n"}"#, Some(r#"{"a":"\ufffd\ufffd\n"}"#)),
            ("{\"a\":\"\\", None),
            ("{\"a\":\"\\ü\\uü", None),
        ] {
            assert_eq!(repair_json(raw).as_deref(), repaired, "{raw}");
        }
    }
}

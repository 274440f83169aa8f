//! JSON with comments, as Qwen Code writes its `settings.json`.

use serde_json::Value;

/// Parses JSON that may hold `//` and `/* */` comments, trailing commas and a byte-order mark.
///
/// # Errors
/// serde_json's, whose line and column are those of the original text.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&blank_comments(text.trim_start_matches('\u{feff}')))
}

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    Text,
    Line,
    Block,
}

/// Replaces comments and trailing commas by blanks, so that every other character keeps its line and column.
fn blank_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut inside = Inside::Code;
    let mut comma = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match inside {
            Inside::Text => {
                plain.push(c);
                if c == '\\' {
                    plain.extend(chars.next());
                } else if c == '"' {
                    inside = Inside::Code;
                }
            }
            Inside::Line | Inside::Block => {
                plain.push(if c == '\n' { '\n' } else { ' ' });
                if inside == Inside::Line && c == '\n' {
                    inside = Inside::Code;
                } else if inside == Inside::Block && c == '*' && chars.next_if_eq(&'/').is_some() {
                    plain.push(' ');
                    inside = Inside::Code;
                }
            }
            Inside::Code => match c {
                '/' if matches!(chars.peek(), Some('/' | '*')) => {
                    let block = chars.next() == Some('*');
                    inside = if block { Inside::Block } else { Inside::Line };
                    plain.push_str("  ");
                }
                _ => {
                    if matches!(c, '}' | ']')
                        && let Some(at) = comma.take()
                    {
                        plain.replace_range(at..=at, " ");
                    }
                    if c == ',' {
                        comma = Some(plain.len());
                    } else if !c.is_whitespace() {
                        comma = None;
                    }
                    if c == '"' {
                        inside = Inside::Text;
                    }
                    plain.push(c);
                }
            },
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn comments_and_trailing_commas_are_blanks() {
        for (text, value) in [
            ("{}", json!({})),
            ("{\"a\":1,// x\n\"b\":\"//no\"}", json!({"a": 1, "b": "//no"})),
            ("/* * / */{\"a\":[1,2,],}", json!({"a": [1, 2]})),
            ("{\"a\":\"\\\"/*\"/**/}", json!({"a": "\"/*"})),
            ("\u{feff}{\"a\":\",}\"}", json!({"a": ",}"})),
            ("{\"a\":1 , // last\n}", json!({"a": 1})),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn an_error_keeps_its_place() {
        let error = parse("{\n/* one\ntwo */ x}").unwrap_err();
        assert_eq!((error.line(), error.column()), (3, 8));
        assert!(parse("{\"a\":1 /").is_err());
    }
}

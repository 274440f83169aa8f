//! JSON with comments, as Qwen Code writes its `settings.json`.

use serde_json::Value;

/// Parses JSON that may hold `//` and `/* */` comments, trailing commas and a byte-order mark.
///
/// # Errors
/// serde_json's, whose line and column are those of the original text.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&blank_comments(text.trim_start_matches('\u{feff}')))
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Replaces comments and trailing commas by blanks, so that every other character keeps its line and column.
fn blank_comments(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut comma = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => blank_line(&mut chars, &mut plain),
            ('/', Some('*')) => blank_block(&mut chars, &mut plain),
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
                plain.push(c);
                if c == '"' {
                    copy_string(&mut chars, &mut plain);
                }
            }
        }
    }
    plain
}

/// Copies the rest of a string, its closing quote included: what looks like a comment in it is none.
fn copy_string(chars: &mut Chars<'_>, plain: &mut String) {
    while let Some(c) = chars.next() {
        plain.push(c);
        match c {
            '\\' => plain.extend(chars.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// Blanks the rest of a comment that ends with its line.
fn blank_line(chars: &mut Chars<'_>, plain: &mut String) {
    plain.push(' ');
    while chars.next_if(|&c| c != '\n').is_some() {
        plain.push(' ');
    }
}

/// Blanks the rest of a comment that has an end of its own.
fn blank_block(chars: &mut Chars<'_>, plain: &mut String) {
    plain.push_str("  ");
    chars.next();
    while let Some(c) = chars.next() {
        plain.push(if c == '\n' { '\n' } else { ' ' });
        if c == '*' && chars.next_if_eq(&'/').is_some() {
            plain.push(' ');
            return;
        }
    }
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
            ("{\"a\":1 /*/ \"b\":2 */}", json!({"a": 1})),
            ("{\"a\":1}/**", json!({"a": 1})),
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

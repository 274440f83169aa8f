//! Writing a value as a line of a `.env` file for npm `dotenv`, which is what `qwen-env` reads.

use qwen_shared::dotenv::{RawAssignment, Scanner, decode};

/// Returns the line, without its end, that gives this variable this value in any file; `None` when no line can.
///
/// The grammar has no escape for a quote, so a value with all three kinds of quotes and a line end has no form. Quotes
/// are preferred in which other readers expand the least.
pub fn dotenv_line(name: &str, value: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,=-".contains(c);
    let bare = (!value.is_empty() && value.chars().all(plain)).then(|| value.to_owned());
    let quoted = ['\'', '"', '`']
        .into_iter()
        .filter_map(|quote| in_quotes(value, quote));
    // Without quotes the first '#' would end the value, and a quote in front would look for its partner.
    let last = (!value.contains(['#', '\n', '\r']) && !value.starts_with(['\'', '"', '`']))
        .then(|| value.to_owned());
    bare.into_iter()
        .chain(quoted)
        .chain(last)
        .map(|text| format!("{name}={text}"))
        .find(|line| means(line, name, value))
}

/// The value in these quotes, when nothing in it ends them early or hides their end.
fn in_quotes(value: &str, quote: char) -> Option<String> {
    if value.contains(quote) || value.ends_with('\\') {
        return None;
    }
    let text = if quote == '"' {
        value.replace('\r', "\\r")
    } else {
        value.to_owned()
    };
    Some(format!("{quote}{text}{quote}"))
}

/// True when the line sets this variable to this value, and nothing else.
fn means(line: &str, name: &str, value: &str) -> bool {
    let text = format!("{line}\n");
    let text = decode(text.as_bytes());
    let read: Vec<RawAssignment<'_>> = Scanner::new(&text).collect();
    matches!(&read[..], [one] if one.name == name && one.value == value)
}

#[cfg(test)]
mod tests {
    use super::dotenv_line;

    #[test]
    fn a_line_gives_back_its_value_or_there_is_none() {
        for (value, line) in [
            ("", Some("A=''")),
            ("https://x/v1", Some("A=https://x/v1")),
            ("two words # no", Some("A='two words # no'")),
            ("it's", Some("A=\"it's\"")),
            ("it's \\n", Some("A=`it's \\n`")),
            ("cr\rlf\n", Some("A=\"cr\\rlf\n\"")),
            ("a'b\"c`d", Some("A=a'b\"c`d")),
            ("C:\\", Some("A=C:\\")),
            ("'\"`\n", None),
            ("'\r\\n", None),
        ] {
            assert_eq!(dotenv_line("A", value).as_deref(), line, "{value:?}");
        }
    }
}

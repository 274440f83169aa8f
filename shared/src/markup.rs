//! What a page says, without its marks.

use super::text::one_line;

/// Returns the text of the first element of that name, without the marks inside it.
#[must_use]
pub fn element(markup: &str, name: &str) -> Option<String> {
    let lower = markup.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let open = format!("<{name}");
    let mut from = 0;
    let start = loop {
        let start = from + lower[from..].find(&open)? + open.len();
        if lower[start..].starts_with(['>', ' ', '\n', '\t']) {
            break start;
        }
        from = start;
    };
    let start = start + lower[start..].find('>')? + 1;
    let end = start + lower[start..].find(&format!("</{name}"))?;
    let mut text = String::new();
    let mut is_mark = false;
    for c in markup[start..end].chars() {
        match c {
            '<' => is_mark = true,
            '>' => is_mark = false,
            c if !is_mark => text.push(c),
            _ => {}
        }
    }
    let text = text
        .replace("&amp;", "&")
        .replace("&#39;", "'")
        .replace("&quot;", "\"");
    Some(one_line(text.trim())).filter(|text| !text.is_empty())
}

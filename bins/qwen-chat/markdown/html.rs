//! Blocks of HTML, which are shown as they are (CommonMark §4.6).

/// What ends a block of HTML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Blank,
    /// One of these, in any case, anywhere in a line.
    Words(&'static [&'static str]),
}

impl End {
    /// True for the block's last line.
    pub(super) fn is_in(self, line: &str) -> bool {
        match self {
            Self::Blank => false,
            Self::Words(words) => {
                let line = line.to_ascii_lowercase();
                words.iter().any(|word| line.contains(word))
            }
        }
    }
}

/// The elements that begin a block up to the next blank line.
const BLOCKS: &str = " address article aside base basefont blockquote body caption center col colgroup dd details dialog \
    dir div dl dt fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe \
    legend li link main menu menuitem nav noframes ol optgroup option p param search section summary table tbody td tfoot \
    th thead title tr track ul ";

/// Returns what ends the block that a line begins; `None` where it begins none.
pub(super) fn begins(words: &str, in_paragraph: bool) -> Option<End> {
    let rest = words.strip_prefix('<')?;
    let lower = rest.to_ascii_lowercase();
    for raw in ["script", "pre", "style", "textarea"] {
        if let Some(after) = lower.strip_prefix(raw)
            && (after.is_empty() || after.starts_with([' ', '\t', '>']))
        {
            return Some(End::Words(&["</script>", "</pre>", "</style>", "</textarea>"]));
        }
    }
    if rest.starts_with("!--") {
        return Some(End::Words(&["-->"]));
    }
    if rest.starts_with('?') {
        return Some(End::Words(&["?>"]));
    }
    if rest.starts_with("![CDATA[") {
        return Some(End::Words(&["]]>"]));
    }
    if rest.starts_with('!') && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Some(End::Words(&[">"]));
    }
    let name = lower.strip_prefix('/').unwrap_or(&lower);
    let length = name.bytes().take_while(u8::is_ascii_alphanumeric).count();
    let (name, after) = name.split_at(length);
    let ends = after.is_empty() || after.starts_with([' ', '\t', '>']) || after.starts_with("/>");
    if !name.is_empty() && ends && BLOCKS.contains(&format!(" {name} ")) {
        return Some(End::Blank);
    }
    (!in_paragraph && is_tag(words)).then_some(End::Blank)
}

/// True for a line that is one tag and nothing else.
fn is_tag(words: &str) -> bool {
    let Some(tag) = words
        .trim_end()
        .strip_prefix('<')
        .and_then(|tag| tag.strip_suffix('>'))
    else {
        return false;
    };
    let is_closing = tag.starts_with('/');
    let tag = tag.strip_prefix('/').unwrap_or(tag);
    let tag = if is_closing {
        tag
    } else {
        tag.strip_suffix('/').unwrap_or(tag)
    };
    let length = tag
        .bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        .count();
    let (name, attributes) = tag.split_at(length);
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !tag.contains('<')
        && if is_closing {
            attributes.trim().is_empty()
        } else {
            are_attributes(attributes)
        }
}

/// True for attributes of a tag, each after a blank: names, some with values.
fn are_attributes(mut text: &str) -> bool {
    loop {
        let trimmed = text.trim_start();
        if trimmed.is_empty() {
            return true;
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_:.-".contains(c);
        let after = trimmed.trim_start_matches(is_name);
        if trimmed.len() == text.len() || after.len() == trimmed.len() {
            return false;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            text = after;
            continue;
        };
        let value = value.trim_start();
        let end = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|end| end + 2),
            Some(_) => Some(value.find([' ', '\t']).unwrap_or(value.len())),
            None => None,
        };
        let Some(end) = end else {
            return false;
        };
        text = &value[end..];
    }
}

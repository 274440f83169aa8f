//! The fields of a form (RFC 7578) where they stand in its text.
//!
//! Read strictly: what two readers could take for different fields is an error.

use std::ops::Range;

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) is_file: bool,
    /// Where the value stands.
    pub(super) value: Range<usize>,
}

/// The most bytes of a field's head.
const LONGEST_HEAD: usize = 8 << 10;

/// Returns the boundary that a content type names. With any parameter that some readers take for a boundary and others do not,
/// such as `boundary*`, there is none.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let is_charset = |part: &&str| part.trim_start().to_ascii_lowercase().starts_with("charset=");
    let mut parts = parts.filter(|part| !is_charset(part));
    let (name, value) = parts.next()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("boundary") || parts.next().is_some() {
        return None;
    }
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .map_or(Some(value), |value| value.strip_suffix('"'))?;
    let is_boundary = |c: char| c.is_ascii_alphanumeric() || "'()+_,-./:=? ".contains(c);
    let is_valid = (1..=70).contains(&value.len()) && value.chars().all(is_boundary);
    is_valid.then(|| value.to_owned())
}

/// Reads the fields of a form.
///
/// # Errors
/// What is wrong with it.
pub(super) fn fields(body: &[u8], boundary: &str) -> Result<Vec<Field>, &'static str> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    if !body.starts_with(&delimiter[2..]) {
        return Err("the form does not begin with its boundary");
    }
    let mut at = delimiter.len() - 2;
    let mut fields = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return match rest[2..].trim_ascii().is_empty() {
                true => Ok(fields),
                false => Err("something follows the end of the form"),
            };
        }
        if !rest.starts_with(b"\r\n") {
            return Err("a boundary of the form does not end its line");
        }
        at += 2;
        let rest = &body[at..];
        let head =
            find(&rest[..rest.len().min(LONGEST_HEAD)], b"\r\n\r\n").ok_or("a field without a head")?;
        let start = at + head + 4;
        let length = find(&body[start..], &delimiter).ok_or("the form has no end")?;
        let (name, is_file) = read_head(&rest[..head])?;
        fields.push(Field {
            name,
            is_file,
            value: start..start + length,
        });
        at = start + length + delimiter.len();
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// Reads a field's head: its name, and whether it is a file.
fn read_head(head: &[u8]) -> Result<(String, bool), &'static str> {
    const UNCLEAR: &str = "a field of the form whose name is not clear";
    let head = std::str::from_utf8(head).map_err(|_| UNCLEAR)?;
    let mut found = None;
    for line in head.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err(UNCLEAR);
        }
        let (name, value) = line.split_once(':').ok_or(UNCLEAR)?;
        if name.eq_ignore_ascii_case("content-transfer-encoding") {
            return Err("a field of the form in a transfer encoding");
        }
        if name.eq_ignore_ascii_case("content-disposition") && found.replace(value).is_some() {
            return Err(UNCLEAR);
        }
    }
    disposition(found.ok_or(UNCLEAR)?.trim()).ok_or(UNCLEAR)
}

/// Reads `form-data; name="x"; filename="y"`.
fn disposition(value: &str) -> Option<(String, bool)> {
    let mut rest = value.strip_prefix("form-data")?;
    let (mut name, mut is_file) = (None, false);
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start().strip_prefix(';')?.trim_start();
        let (parameter, after) = rest.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            // Browsers write a quote as %22; a backslash is read in two ways.
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        match parameter.trim().to_ascii_lowercase().as_str() {
            "name" if name.is_none() && !value.contains(['\\', '%']) => name = Some(value.trim().to_owned()),
            "filename" if !value.contains('\\') => is_file = true,
            "filename*" => is_file = true,
            _ => return None,
        }
        rest = after;
    }
    name.map(|name| (name, is_file))
}

#[cfg(test)]
mod tests {
    use super::{boundary, disposition, fields};

    #[test]
    fn the_fields_of_a_form_are_found_where_they_stand() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm1\r\n--B\r\n\
            content-type: image/png\r\ncontent-disposition: form-data; name=image; filename=\"a;b.png\"\r\n\r\n\
            \x89PNG\r\n--C\r\n\r\n--B--\r\n";
        let found = fields(body, "B").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].is_file), ("model", false));
        assert_eq!(&body[found[0].value.clone()], b"m1");
        assert_eq!((found[1].name.as_str(), found[1].is_file), ("image", true));
        assert_eq!(&body[found[1].value.clone()], b"\x89PNG\r\n--C\r\n");
    }

    #[test]
    fn a_form_that_can_be_read_in_two_ways_is_refused() {
        let field = |head: &str| format!("--B\r\n{head}\r\n\r\nx\r\n--B--\r\n");
        for body in [
            String::new(),
            "x--B--".to_owned(),
            "--B\r\n".to_owned(),
            "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--B--".to_owned(),
            "--B\nContent-Disposition: form-data; name=\"model\"\n\nx\n--B--\n".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--B--\r\n--B\r\nmore".to_owned(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--Bx\r\n\r\n".to_owned(),
            field(
                "Content-Disposition: form-data; name=\"model\"\r\nContent-Disposition: form-data; name=\"a\"",
            ),
            field("Content-Disposition: form-data; name=\"a\"; name=\"model\""),
            field("Content-Disposition: form-data; name*=utf-8''model"),
            field("Content-Disposition: form-data; name=\"mod\\\"el\""),
            field("Content-Disposition: form-data; name=\"%6dodel\""),
            field("Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: base64"),
            field("Content-Disposition: form-data; name=\"a\"\r\n folded: x"),
            field("Content-Disposition : form-data; name=\"model\""),
            field("Content-Type: text/plain"),
            field("Content-Disposition: attachment; name=\"model\""),
        ] {
            let read = fields(body.as_bytes(), "B");
            let is_plain = |fields: &Vec<super::Field>| fields.iter().any(|field| field.name == "model");
            assert!(!read.as_ref().is_ok_and(is_plain), "{body:?}: {read:?}");
            assert!(read.is_err() || body.contains("folded"), "{body:?}: {read:?}");
        }
    }

    #[test]
    fn a_boundary_is_named_once() {
        for (content_type, found) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"",
                Some("a b"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=X; boundary*=utf-8''Y", None),
            ("multipart/form-data; boundary=X; boundary*0=Y", None),
            ("multipart/form-data; x=\"boundary=Y\"; boundary=X", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=a", None),
            ("multipart/form-data; boundary=\"a", None),
        ] {
            assert_eq!(boundary(content_type).as_deref(), found, "{content_type}");
        }
        assert_eq!(
            disposition("form-data; name=a; filename=\"x.png\""),
            Some(("a".to_owned(), true))
        );
        assert_eq!(disposition("form-data"), None);
    }
}

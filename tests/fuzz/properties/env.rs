//! `.env` files: every assignment is one of the text, in its order, and nothing is read twice.

use qwen_shared::dotenv::{Scanner, decode};

/// Reads a file and checks what came of it.
pub(crate) fn holds(data: &[u8]) {
    let text = decode(data);
    assert_eq!(decode(text.as_bytes()), text, "decoded text is decoded");
    let mut at = 0;
    for assignment in Scanner::new(&text) {
        let (span, value) = (&assignment.span, &assignment.value_span);
        assert!(at <= span.start && span.start < span.end, "{span:?} after {at}");
        assert!(
            span.start < value.start && value.end <= span.end,
            "{value:?} in {span:?}"
        );
        let name = assignment.name;
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        assert!(!name.is_empty() && name.chars().all(is_part), "{name:?}");
        assert!(text[span.clone()].starts_with(name), "{name:?}");
        let ends = text[..span.start].matches('\n').count();
        assert_eq!(assignment.line as usize, ends + 1, "{name:?}");
        assert!(assignment.value.len() <= value.len(), "{name:?} has grown");
        at = span.end;
    }
}

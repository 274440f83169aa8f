//! How text looks.

/// Attributes of a run of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) underline: bool,
    pub(crate) strike: bool,
    pub(crate) dim: bool,
    pub(crate) code: bool,
    pub(crate) heading: bool,
}

impl Style {
    /// Appends `text` in this style, and the reset after it: what is cut off here leaves no colour behind.
    pub(crate) fn paint(self, text: &str, out: &mut Vec<u8>) {
        let codes = [
            (self.bold, "1"),
            (self.dim, "2"),
            (self.italic, "3"),
            (self.underline, "4"),
            (self.strike, "9"),
            (self.heading, "35"),
            (self.code, "36"),
        ];
        let set: Vec<&str> = codes
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, code)| *code)
            .collect();
        if set.is_empty() || text.is_empty() {
            out.extend_from_slice(text.as_bytes());
            return;
        }
        out.extend_from_slice(b"\x1b[");
        out.extend_from_slice(set.join(";").as_bytes());
        out.push(b'm');
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\x1b[0m");
    }
}

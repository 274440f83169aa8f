//! How text looks.

use qwen_shared::net::config::Theme;

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Text,
    Heading,
    /// Code of no known language, and what has no colour of its own in other code.
    Code,
    Comment,
    Constant,
    Function,
    Keyword,
    Literal,
    Type,
}

/// Attributes of a run of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) underline: bool,
    pub(crate) strike: bool,
    pub(crate) dim: bool,
    pub(crate) role: Role,
}

impl Style {
    /// Bullets, numbers, bars, labels and addresses.
    pub(crate) const DIM: Self = Self {
        bold: false,
        italic: false,
        underline: false,
        strike: false,
        dim: true,
        role: Role::Text,
    };

    /// The same with another role.
    pub(crate) const fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// Appends `text` in this style, and the reset after it: what is cut off here leaves no colour behind.
    pub(crate) fn paint(self, text: &str, theme: Theme, out: &mut Vec<u8>) {
        let color = match theme {
            Theme::Dark => dark(self.role),
            Theme::Light => light(self.role),
            Theme::None => "",
        };
        let codes = [
            (self.bold, "1"),
            (self.dim, "2"),
            (self.italic, "3"),
            (self.underline, "4"),
            (self.strike, "9"),
            (!color.is_empty(), color),
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

/// The colours for a dark background (ECMA-48 §8.3.117), of which a terminal's palette makes its own.
const fn dark(role: Role) -> &'static str {
    match role {
        Role::Text => "",
        Role::Heading | Role::Keyword => "35",
        Role::Code | Role::Type => "36",
        Role::Comment => "90",
        Role::Constant => "33",
        Role::Function => "94",
        Role::Literal => "32",
    }
}

/// The colours for a light background: none that is bright, and no yellow.
const fn light(role: Role) -> &'static str {
    match role {
        Role::Text => "",
        Role::Heading | Role::Keyword => "35",
        Role::Code | Role::Function => "34",
        Role::Comment => "90",
        Role::Constant | Role::Type => "31",
        Role::Literal => "32",
    }
}

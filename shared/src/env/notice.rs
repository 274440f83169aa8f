//! What the user ought to know about a chain.

use std::fmt;
use std::path::Path;

use super::file::Unusable;
use super::variable::{Assignment, Verdict};

/// Something the user ought to know about the chain. `Display` gives the line; it holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    text: String,
    /// What to type about it.
    pub hint: Option<String>,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Notice {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            hint: None,
        }
    }

    /// A file that is there and was passed over.
    pub(super) fn passed_over(path: &Path, reason: &Unusable) -> Self {
        let text = format!("{}: {reason}; ignored", path.display());
        let hint = match reason {
            Unusable::WritableByAll => Some("take the right to write from others ('chmod o-w')".to_owned()),
            Unusable::Foreign(_) => Some(format!(
                "run 'qwen-env --trust {}' if you trust it",
                path.display()
            )),
            _ => None,
        };
        Self { text, hint }
    }

    /// An assignment that does not count though its author meant it to; `None` for one that needs no word.
    pub(super) fn not_taken(assignment: &Assignment) -> Option<Self> {
        let variable = &assignment.variable;
        let (place, name) = (variable.place(), &variable.name);
        match assignment.verdict {
            Verdict::Accepted | Verdict::Overwritten(_) | Verdict::Excluded => None,
            Verdict::Refused(reach) => Some(Self {
                text: format!(
                    "{place}: refused '{name}': an untrusted project file may not set {} variables",
                    reach.name()
                ),
                hint: Some("run 'qwen-env --trust' if this project may set them".to_owned()),
            }),
            Verdict::Record => Some(Self::new(format!(
                "{place}: refused '{name}': no file may set it"
            ))),
            Verdict::TooLong => Some(Self::new(format!(
                "{place}: refused '{name}': with its value it is longer than 131071 bytes"
            ))),
            Verdict::Nul => Some(Self::new(format!(
                "{place}: refused '{name}': its value holds a NUL"
            ))),
        }
    }
}

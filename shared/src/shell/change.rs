//! What the encoders of all shells share.

/// A change to the environment of a shell.
#[derive(Clone, Copy)]
pub enum Change<'a> {
    /// Export this variable with this value.
    Set(&'a str, &'a str),
    /// Remove this variable.
    Unset(&'a str),
}

impl<'a> Change<'a> {
    /// Returns the variable's name.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        match self {
            Self::Set(name, _) | Self::Unset(name) => name,
        }
    }
}

/// True for a byte that has no special meaning to any of the shells, anywhere in a word.
pub(super) const fn is_inert(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'.' | b'+' | b'@' | b'%' | b'-')
}

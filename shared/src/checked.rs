//! Texts of a configuration that are checked where they are read: an error is at the text, not at the end of the object around
//! it.

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};

/// Reads a text and makes of it what `check` does; `None` for a blank one and for `null`.
///
/// # Errors
/// The reason of `check`.
pub(crate) fn text<'de, D, T, E>(
    deserializer: D,
    check: fn(&str) -> Result<T, E>,
) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_option(Text(check))
}

struct Text<T, E>(fn(&str) -> Result<T, E>);

impl<'de, T, E: fmt::Display> Visitor<'de> for Text<T, E> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_none<X>(self) -> Result<Self::Value, X> {
        Ok(None)
    }

    fn visit_unit<X>(self) -> Result<Self::Value, X> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }

    fn visit_str<X: Error>(self, text: &str) -> Result<Self::Value, X> {
        match text.trim() {
            "" => Ok(None),
            text => (self.0)(text).map(Some).map_err(X::custom),
        }
    }
}

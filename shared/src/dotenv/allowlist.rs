//! The names that the configuration lets through (`env.allow`).

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::consent::Consent;
use crate::exit::{Exit, Failure};
use crate::fs;

/// The names that `env.allow` lists. An exact name lifts a mark; a pattern with `*` does not.
#[derive(Debug, Default)]
pub(super) struct Allowlist {
    patterns: Vec<String>,
    /// Why the list cannot be used.
    pub(super) fault: Option<Failure>,
}

impl Allowlist {
    pub(super) fn of(consent: &Consent) -> Self {
        match (&consent.allow, &consent.config) {
            (Some(patterns), _) => Self {
                patterns: patterns.clone(),
                fault: None,
            },
            (None, Some(config)) => Self::load(config),
            (None, None) => Self::default(),
        }
    }

    fn load(config: &Path) -> Self {
        match read(config) {
            Ok(patterns) => Self {
                patterns,
                fault: None,
            },
            Err(failure) => Self {
                patterns: Vec::new(),
                fault: Some(failure),
            },
        }
    }

    pub(super) fn names(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern == name)
    }

    pub(super) fn covers(&self, name: &str) -> bool {
        self.patterns
            .iter()
            .any(|pattern| pattern.contains('*') && matches(pattern, name))
    }
}

/// The member `env` of `config.json`, in the form that the other programs ask for.
#[derive(Default)]
struct Configuration(Env);

/// The member `allow` of it.
#[derive(Default)]
struct Env(Vec<AllowedName>);

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Member::new("env")).map(Self)
    }
}

impl<'de> Deserialize<'de> for Env {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Member::new("allow")).map(Self)
    }
}

/// Reads one member of an object, once; what serde derives takes an array for an object.
struct Member<T>(&'static str, PhantomData<T>);

impl<T> Member<T> {
    const fn new(name: &'static str) -> Self {
        Self(name, PhantomData)
    }
}

impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Member<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<T, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<String>()? {
            if name != self.0 {
                members.next_value::<IgnoredAny>()?;
            } else if found.replace(members.next_value()?).is_some() {
                return Err(A::Error::duplicate_field(self.0));
            }
        }
        Ok(found.unwrap_or_default())
    }
}

/// A variable's name; `*` stands for any characters.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct AllowedName(pub String);

impl TryFrom<String> for AllowedName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        let is_name = |c: u8| c.is_ascii_alphanumeric() || b"_*.-".contains(&c);
        match !name.is_empty() && name.bytes().all(is_name) {
            true => Ok(Self(name)),
            false => Err("a name of \"allow\" is made of letters, digits, '_' and '*'".to_owned()),
        }
    }
}

/// Reads the list. A configuration that somebody else could have written, or that no program takes, allows nothing.
fn read(config: &Path) -> Result<Vec<String>, Failure> {
    let bytes = fs::read_config(config).map_err(|error| Failure {
        exit: Exit::Config,
        ..fs::cannot_read(config, &error)
    })?;
    let Some(bytes) = bytes else {
        return Ok(Vec::new());
    };
    let found = parse(&bytes).or_else(|error| match fs::whole_config(config, &bytes) {
        Some(whole) => parse(&whole),
        None if without_mark(&bytes).trim_ascii().is_empty() => Ok(Configuration::default()),
        None => Err(error),
    });
    let found = found.map_err(|error| {
        let words = match error.is_data() {
            true => "'env.allow' is not a list of names",
            false => "this is not JSON",
        };
        let place = format!("{}:{}:{}", config.display(), error.line(), error.column());
        Failure::new(Exit::Config, format!("{place}: {words}")).hint("run 'qwen-auth check'")
    })?;
    Ok(found.0.0.into_iter().map(|name| name.0).collect())
}

fn parse(bytes: &[u8]) -> serde_json::Result<Configuration> {
    serde_json::from_slice(without_mark(bytes))
}

/// Takes off a byte order mark, which is ignored (RFC 8259, section 8.1).
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Returns whether a name fits a pattern in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest
        .rsplit_once('*')
        .map_or((None, rest), |(middle, tail)| (Some(middle), tail));
    let Some(mut between) = name.strip_suffix(tail) else {
        return false;
    };
    for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
        match between.find(part) {
            Some(at) => between = &between[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("A*", "A"),
            ("*_X", "A_X"),
            ("A*C*E", "ABCDE"),
            ("A**B", "AB"),
            ("*B*", "ABC"),
            ("*AB*AB*", "XABYAB"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("A", "AB"),
            ("A*A", "A"),
            ("*_X", "A_XY"),
            ("A*C*E", "ACD"),
            ("*B*", "AC"),
            ("*AB*AB*", "AB"),
            ("*AB*AB*", "XXAB"),
            ("", "A"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

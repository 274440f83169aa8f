//! The members of `config.json` as they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::profile::{Profile, ProfileName};
use crate::dotenv::AllowedName;

/// Reads a text.
///
/// # Errors
/// It is no JSON, has a member twice, or one with a value that is not of its kind.
pub(super) fn read(text: &str) -> serde_json::Result<KnownMembers> {
    serde_json::from_str::<Unique>(text)?;
    serde_json::from_str(text)
}

/// Members that are not here are kept on rewrite.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(expecting = "an object")]
pub(super) struct KnownMembers {
    pub(super) default_profile: Option<String>,
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Profile>")]
    pub(super) profiles: BTreeMap<ProfileName, Profile>,
    #[serde(default)]
    pub(super) env: EnvMember,
    pub(super) theme: Option<Theme>,
}

/// What is taken from project files without consent. `qwen-env` reads this member by itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object")]
pub(super) struct EnvMember {
    #[schemars(with = "Vec<String>")]
    pub(super) allow: Vec<AllowedName>,
}

/// The colours of code and Markdown on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// For a dark background.
    Dark,
    /// For a light background.
    Light,
    /// No colours.
    None,
}

/// Any JSON value without duplicate members. RFC 8259, section 4, leaves open what a second one means, and a rewrite
/// would lose one of the two.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

macro_rules! accept {
    ($($visit:ident $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Unique, E> {
            Ok(Unique)
        })*
    };
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    accept!(visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Unique, E> {
        Ok(Unique)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        while items.next_element::<Unique>()?.is_some() {}
        Ok(Unique)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = members.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format!("duplicate field `{name}`")));
            }
            names.insert(name);
            members.next_value::<Unique>()?;
        }
        Ok(Unique)
    }
}

//! The members of `config.json` by name, to find the one that was meant.

use serde_json::{Map, Value};

/// The members of each object, by its path; `*` stands for any name.
const MEMBERS: [(&str, &[&str]); 7] = [
    ("", &["default_profile", "profiles", "env", "theme"]),
    ("env", &["allow"]),
    (
        "profiles.*",
        &[
            "provider",
            "method",
            "base_url",
            "model",
            "key",
            "headers",
            "query",
            "body",
            "rate",
            "timeouts",
            "oauth",
            "allow_http",
            "reasoning",
        ],
    ),
    ("profiles.*.key", &["store", "env", "command", "ttl"]),
    ("profiles.*.rate", &["per_minute", "per_day"]),
    (
        "profiles.*.timeouts",
        &["connect", "first_byte", "idle", "progress", "total"],
    ),
    (
        "profiles.*.oauth",
        &[
            "issuer",
            "device_authorization_endpoint",
            "token_endpoint",
            "revocation_endpoint",
            "client_id",
            "scope",
            "pkce",
            "allowed_hosts",
            "parameters",
        ],
    ),
];

/// A member that no program reads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownMember {
    /// Its path, with dots.
    pub(super) path: String,
    /// The nearest name that is read in its place.
    pub(super) nearest: Option<&'static str>,
}

/// Returns the members that no program reads, in the order of the file.
pub(super) fn unknown_members(config: &Map<String, Value>) -> Vec<UnknownMember> {
    let mut unknown = Vec::new();
    find(config, "", "", &mut unknown);
    unknown
}

/// `pattern` is the path of `object` with its `*`.
fn find(object: &Map<String, Value>, path: &str, pattern: &str, unknown: &mut Vec<UnknownMember>) {
    let below = |parent: &str, name: &str| match parent {
        "" => name.to_owned(),
        parent => format!("{parent}.{name}"),
    };
    let members = MEMBERS.iter().find(|(known, _)| *known == pattern);
    let is_list = pattern == "profiles";
    for (name, value) in object {
        let path = below(path, name);
        let known = members.is_some_and(|(_, known)| known.contains(&name.as_str()));
        if known || is_list {
            if let Value::Object(inner) = value {
                find(
                    inner,
                    &path,
                    &below(pattern, if is_list { "*" } else { name }),
                    unknown,
                );
            }
        } else if let Some((_, known)) = members {
            unknown.push(UnknownMember {
                path,
                nearest: nearest(name, known),
            });
        }
    }
}

/// Returns the name that is nearest to the given one, if any is near.
fn nearest(given: &str, known: &[&'static str]) -> Option<&'static str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    let limit = 1 + given.chars().count() / 4;
    known
        .iter()
        .map(|&name| (distance(&given, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// `baseUrl` is `base_url` in another spelling.
fn distance(given: &str, name: &str) -> usize {
    let plain = |text: &str| text.replace('_', "");
    strsim::osa_distance(given, name).min(strsim::osa_distance(&plain(given), &plain(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MEMBERS, unknown_members};
    use crate::net::config::profile::Profile;

    fn found(config: &Value) -> Vec<(String, Option<&'static str>)> {
        let unknown = unknown_members(config.as_object().unwrap());
        unknown
            .into_iter()
            .map(|member| (member.path, member.nearest))
            .collect()
    }

    #[test]
    fn a_misspelt_member_is_found_with_the_name_that_was_meant() {
        for (config, path, nearest) in [
            (
                json!({"defaultProfile": "a"}),
                "defaultProfile",
                Some("default_profile"),
            ),
            (json!({"profile": {}}), "profile", Some("profiles")),
            (
                json!({"profiles": {"a": {"base-url": ""}}}),
                "profiles.a.base-url",
                Some("base_url"),
            ),
            (
                json!({"profiles": {"a": {"baseURL": ""}}}),
                "profiles.a.baseURL",
                Some("base_url"),
            ),
            (
                json!({"profiles": {"a": {"modle": ""}}}),
                "profiles.a.modle",
                Some("model"),
            ),
            (json!({"profiles": {"a": {"mine": ""}}}), "profiles.a.mine", None),
            (
                json!({"profiles": {"a": {"timeouts": {"firstByte": 1}}}}),
                "profiles.a.timeouts.firstByte",
                Some("first_byte"),
            ),
            (
                json!({"profiles": {"a": {"oauth": {"clientid": 1}}}}),
                "profiles.a.oauth.clientid",
                Some("client_id"),
            ),
            (json!({"env": {"allowed": []}}), "env.allowed", Some("allow")),
        ] {
            assert_eq!(found(&config), [(path.to_owned(), nearest)], "{config}");
        }
    }

    #[test]
    fn names_that_are_the_users_own_are_not_judged() {
        let config = json!({"profiles": {"profile": {
            "headers": {"X-Anything": "x"}, "query": {"any": "x"}, "body": {"any": {"thing": 1}},
            "oauth": {"parameters": {"audience": "x"}},
        }}});
        assert_eq!(found(&config), []);
    }

    /// Ties the list to the types that read the file: no member takes a value of every kind.
    #[test]
    fn every_member_of_a_profile_is_one_that_is_read() {
        for (object, members) in MEMBERS.iter().filter(|(path, _)| path.starts_with("profiles.*")) {
            for member in *members {
                let is_refused = |value: &Value| {
                    let mut profile = json!({ (*member): value });
                    if let Some(name) = object.strip_prefix("profiles.*.") {
                        profile = json!({ (name): profile });
                    }
                    serde_json::from_value::<Profile>(profile).is_err()
                };
                let kinds = [
                    json!(true),
                    json!([true]),
                    json!(-1),
                    json!("\n"),
                    json!({"x": []}),
                ];
                assert!(kinds.iter().any(is_refused), "{object}.{member}");
            }
        }
    }
}

//! The members of `config.json`: their names, what they hold, and which one was meant.

use serde_json::{Map, Value};

/// What a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A URL.
    Url,
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a provider in the catalogue.
    Provider,
    /// The name of a profile.
    Profile,
    /// The name of a variable.
    Variable,
    /// `true` or `false`.
    Bool,
    /// A whole number from 1.
    Count,
    /// A number of seconds above 0.
    Seconds,
    /// A list of texts.
    List,
    /// A program and its arguments.
    Command,
    /// An object of texts by names that are the user's own.
    Texts,
    /// An object of any values by names that are the user's own.
    Values,
    /// An object with members of its own in this table.
    Object,
}

/// A member that is read.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its path with dots; `*` stands for the name of a profile.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What it is, in half a line.
    pub about: &'static str,
}

const fn member(path: &'static str, kind: Kind, about: &'static str) -> Member {
    Member { path, kind, about }
}

/// Every member, those of an object behind it.
pub const MEMBERS: [Member; 40] = [
    member(
        "default_profile",
        Kind::Profile,
        "the profile in use when none is named",
    ),
    member(
        "theme",
        Kind::Word(&["dark", "light", "none"]),
        "the colours of answers on a terminal",
    ),
    member(
        "env",
        Kind::Object,
        "what qwen-env takes from a project's file without consent",
    ),
    member(
        "env.allow",
        Kind::List,
        "names of variables; * stands for any characters",
    ),
    member("profiles", Kind::Object, "the profiles by their names"),
    member(
        "profiles.*",
        Kind::Object,
        "an endpoint and how to authenticate there",
    ),
    member(
        "profiles.*.provider",
        Kind::Provider,
        "the provider by its name, or custom",
    ),
    member(
        "profiles.*.method",
        Kind::Word(&["api-key", "oauth"]),
        "how to authenticate",
    ),
    member("profiles.*.base_url", Kind::Url, "the endpoint"),
    member("profiles.*.model", Kind::Text, "the model"),
    member(
        "profiles.*.key",
        Kind::Object,
        "where the credential is; one of store, env and command",
    ),
    member(
        "profiles.*.key.store",
        Kind::Word(&["keyring", "file"]),
        "the store that qwen-login keeps it in",
    ),
    member(
        "profiles.*.key.env",
        Kind::Variable,
        "the variable that holds the key",
    ),
    member(
        "profiles.*.key.command",
        Kind::Command,
        "a program that prints the key, and its arguments",
    ),
    member(
        "profiles.*.key.ttl",
        Kind::Seconds,
        "seconds after which the command is run again",
    ),
    member("profiles.*.headers", Kind::Texts, "headers of every request"),
    member("profiles.*.query", Kind::Texts, "parameters added to every URL"),
    member("profiles.*.body", Kind::Values, "members of every request"),
    member("profiles.*.rate", Kind::Object, "the quota"),
    member("profiles.*.rate.per_minute", Kind::Count, "requests a minute"),
    member("profiles.*.rate.per_day", Kind::Count, "requests a day"),
    member("profiles.*.timeouts", Kind::Object, "limits in seconds"),
    member(
        "profiles.*.timeouts.connect",
        Kind::Seconds,
        "until a connection stands",
    ),
    member(
        "profiles.*.timeouts.first_byte",
        Kind::Seconds,
        "from the end of the request to the answer",
    ),
    member("profiles.*.timeouts.idle", Kind::Seconds, "between bytes"),
    member(
        "profiles.*.timeouts.progress",
        Kind::Seconds,
        "since the last event that said something",
    ),
    member(
        "profiles.*.timeouts.total",
        Kind::Seconds,
        "for the whole request",
    ),
    member(
        "profiles.*.allow_http",
        Kind::Bool,
        "whether a secret may be sent without TLS",
    ),
    member(
        "profiles.*.reasoning",
        Kind::Word(&["open"]),
        "how answers begin: open for in thought",
    ),
    member("profiles.*.oauth", Kind::Object, "the server of a login"),
    member(
        "profiles.*.oauth.issuer",
        Kind::Text,
        "the issuer, whose document names the endpoints",
    ),
    member(
        "profiles.*.oauth.device_authorization_endpoint",
        Kind::Url,
        "the endpoint of RFC 8628",
    ),
    member(
        "profiles.*.oauth.token_endpoint",
        Kind::Url,
        "the endpoint of RFC 6749",
    ),
    member(
        "profiles.*.oauth.revocation_endpoint",
        Kind::Url,
        "the endpoint of RFC 7009",
    ),
    member(
        "profiles.*.oauth.client_id",
        Kind::Text,
        "the name of this client at the server",
    ),
    member(
        "profiles.*.oauth.scope",
        Kind::Text,
        "scopes, separated by blanks",
    ),
    member(
        "profiles.*.oauth.pkce",
        Kind::Bool,
        "false for a server that refuses RFC 7636",
    ),
    member(
        "profiles.*.oauth.allowed_hosts",
        Kind::List,
        "the hosts that may get the token",
    ),
    member(
        "profiles.*.oauth.parameters",
        Kind::Texts,
        "further parameters of requests for a token",
    ),
    // Editors read it, no program does.
    member("$schema", Kind::Text, "the address of this schema, for editors"),
];

/// Names that people know from other programs, and what is read here in their place. A blank one has a remedy of its own.
const ELSEWHERE: [(&str, &str); 43] = [
    ("api_base", "base_url"),
    ("api_host", "base_url"),
    ("api_url", "base_url"),
    ("apibase", "base_url"),
    ("endpoint", "base_url"),
    ("host", "base_url"),
    ("openai_base_url", "base_url"),
    ("server", "base_url"),
    ("url", "base_url"),
    ("auth_type", "method"),
    ("selected_type", "method"),
    ("model_name", "model"),
    ("openai_model", "model"),
    ("extra_body", "body"),
    ("params", "body"),
    ("parameters", "body"),
    ("custom_headers", "headers"),
    ("default_headers", "headers"),
    ("extra_headers", "headers"),
    ("http_headers", "headers"),
    ("default_query", "query"),
    ("query_params", "query"),
    ("request_timeout", "timeouts.total"),
    ("timeout", "timeouts.total"),
    ("quota", "rate.per_minute"),
    ("rate_limit", "rate.per_minute"),
    ("rpm", "rate.per_minute"),
    ("requests_per_minute", "rate.per_minute"),
    ("env_key", "key.env"),
    ("api_key_env", "key.env"),
    ("key_env", "key.env"),
    ("api_key_command", "key.command"),
    ("credential_process", "key.command"),
    ("default", "default_profile"),
    ("current_profile", "default_profile"),
    ("active_profile", "default_profile"),
    ("frequency_penalty", "body.frequency_penalty"),
    ("max_tokens", "body.max_tokens"),
    ("presence_penalty", "body.presence_penalty"),
    ("seed", "body.seed"),
    ("temperature", "body.temperature"),
    ("top_k", "body.top_k"),
    ("top_p", "body.top_p"),
];

/// Members of Qwen Code's own `settings.json`.
const OF_QWEN_CODE: [&str; 6] = [
    "advanced",
    "modelProviders",
    "security",
    "tools",
    "mcpServers",
    "ui",
];

/// Names under which people write a key itself.
const KEYS: [&str; 7] = [
    "access_token",
    "api_key",
    "apikey",
    "auth_token",
    "client_secret",
    "openai_api_key",
    "token",
];

/// A member that no program reads, or not as it is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownMember {
    /// The names that lead to it.
    pub(super) path: Vec<String>,
    /// What to do about it.
    pub(super) meant: Meant,
}

/// What was probably meant by a name that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meant {
    /// This name in its place, or this path with dots in the profile.
    Name(String),
    /// A member of a profile that stands at the top.
    InProfile(String),
    /// A key, which is not kept in this file.
    Key,
    /// A member of Qwen Code's settings.
    QwenCode,
    /// The name is known: a list stands in the place of an object.
    Object,
    /// A path with dots, as commands have it, stands in the place of objects in one another.
    Nested,
    /// Nothing that is near.
    Nothing,
}

/// Returns the members that no program reads, in the order of the file.
pub(super) fn unknown_members(config: &Map<String, Value>) -> Vec<UnknownMember> {
    let mut unknown = Vec::new();
    find(config, &mut Vec::new(), "", &mut unknown);
    unknown
}

/// Finds a member by its path with `*`.
#[must_use]
pub fn member_at(pattern: &str) -> Option<&'static Member> {
    MEMBERS.iter().find(|member| member.path == pattern)
}

fn below(parent: &str, name: &str) -> String {
    match parent {
        "" => name.to_owned(),
        parent => format!("{parent}.{name}"),
    }
}

/// Returns the names of the members of an object.
pub(super) fn names_in(pattern: &str) -> impl Iterator<Item = &'static str> {
    let prefix = below(pattern, "");
    MEMBERS
        .iter()
        .filter_map(move |member| member.path.strip_prefix(prefix.as_str()))
        .filter(|name| !name.contains('.') && *name != "*")
}

/// `pattern` is the path of `object` with its `*`.
fn find(
    object: &Map<String, Value>,
    path: &mut Vec<String>,
    pattern: &str,
    unknown: &mut Vec<UnknownMember>,
) {
    for (name, value) in object {
        path.push(name.clone());
        let is_profile = pattern == "profiles";
        let inner = below(pattern, if is_profile { "*" } else { name });
        let first = name
            .split_once('.')
            .map(|(first, _)| first)
            .filter(|_| !is_profile);
        match (member_at(&inner), value) {
            _ if first.is_some_and(|first| names_in(pattern).any(|known| known == first)) => {
                unknown.push(UnknownMember {
                    path: path.clone(),
                    meant: Meant::Nested,
                });
            }
            (Some(member), Value::Object(object)) if member.kind == Kind::Object => {
                find(object, path, &inner, unknown);
            }
            // A type that reads an object reads a list of its members too.
            (
                Some(Member {
                    kind: Kind::Object | Kind::Texts | Kind::Values,
                    ..
                }),
                Value::Array(_),
            ) => {
                unknown.push(UnknownMember {
                    path: path.clone(),
                    meant: Meant::Object,
                });
            }
            (Some(_), _) => {}
            (None, _) => unknown.push(UnknownMember {
                path: path.clone(),
                meant: meant(pattern, name, value.is_string()),
            }),
        }
        path.pop();
    }
}

/// Returns what was probably meant by a name that the object at `pattern` does not know.
#[must_use]
pub fn meant(pattern: &str, name: &str, is_text: bool) -> Meant {
    let is_profile = pattern == "profiles.*";
    let plain = snake_case(name);
    if KEYS.contains(&plain.as_str()) && pattern != "env" {
        return Meant::Key;
    }
    if let Some(near) = nearest(name, names_in(pattern).filter(|known| !known.starts_with('$'))) {
        return Meant::Name(near.to_owned());
    }
    if pattern.is_empty() && OF_QWEN_CODE.contains(&name) {
        return Meant::QwenCode;
    }
    let elsewhere = ELSEWHERE.iter().find(|(known, _)| *known == plain);
    let elsewhere = elsewhere.map(|(_, meant)| (*meant).to_owned());
    // A member of a profile, or of an object in it, at another level.
    let moved = || {
        let paths = MEMBERS
            .iter()
            .filter_map(|member| member.path.strip_prefix("profiles.*."));
        let mut found = paths.filter(|path| path.rsplit('.').next() == Some(plain.as_str()));
        let path = found.next()?.to_owned();
        found.next().is_none().then_some(path)
    };
    let at_top = |path: &String| member_at(path).is_some();
    match elsewhere.or_else(moved) {
        Some(path) if pattern.is_empty() && at_top(&path) => Meant::Name(path),
        Some(path) if pattern.is_empty() => Meant::InProfile(path),
        Some(path) if is_profile && !at_top(&path) => Meant::Name(path),
        // What a server wants besides is written one level deeper.
        _ if pattern == "profiles.*.oauth" && is_text => Meant::Name(format!("parameters.{name}")),
        _ => Meant::Nothing,
    }
}

/// Writes `baseUrl` and `base-url` as `base_url`.
fn snake_case(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for c in name.chars() {
        if c.is_ascii_uppercase() && before.is_ascii_lowercase() {
            plain.push('_');
        }
        plain.push(if c == '-' { '_' } else { c.to_ascii_lowercase() });
        before = c;
    }
    plain
}

/// Returns the name that is nearest to the given one, if any is near.
pub fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_ascii_lowercase().replace('-', "_");
    let limit = 1 + given.chars().count() / 4;
    known
        .map(|name| (distance(&given, &name.to_ascii_lowercase()), name))
        .filter(|(distance, name)| *distance <= limit && *distance < name.chars().count())
        .min()
        .map(|(_, name)| name)
}

/// `baseUrl` is `base_url` in another spelling.
fn distance(given: &str, name: &str) -> usize {
    let plain = |text: &str| text.replace(['_', '-'], "");
    strsim::osa_distance(given, name).min(strsim::osa_distance(&plain(given), &plain(name)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::{Kind, MEMBERS, Meant, nearest, unknown_members};
    use crate::net::config::schema;

    #[test]
    fn a_misspelt_member_is_found_with_the_name_that_was_meant() {
        let name = |name: &str| Meant::Name(name.to_owned());
        for (config, path, meant) in [
            (
                json!({"defaultProfile": "a"}),
                "defaultProfile",
                name("default_profile"),
            ),
            (json!({"profile": {}}), "profile", name("profiles")),
            (
                json!({"model": "m"}),
                "model",
                Meant::InProfile("model".to_owned()),
            ),
            (
                json!({"base_url": "m"}),
                "base_url",
                Meant::InProfile("base_url".to_owned()),
            ),
            (
                json!({"temperature": 1}),
                "temperature",
                Meant::InProfile("body.temperature".to_owned()),
            ),
            (json!({"api_key": "m"}), "api_key", Meant::Key),
            (json!({"security": {}}), "security", Meant::QwenCode),
            (json!({"modelProviders": {}}), "modelProviders", Meant::QwenCode),
            (json!({"mine": {}}), "mine", Meant::Nothing),
            (json!({"env": {"allowed": []}}), "env.allowed", name("allow")),
            (
                json!({"env": {"OPENAI_API_KEY": "x"}}),
                "env.OPENAI_API_KEY",
                Meant::Nothing,
            ),
            (
                json!({"profiles": {"a": {"base-url": ""}}}),
                "profiles.a.base-url",
                name("base_url"),
            ),
            (
                json!({"profiles": {"a": {"baseURL": ""}}}),
                "profiles.a.baseURL",
                name("base_url"),
            ),
            (
                json!({"profiles": {"a": {"modle": ""}}}),
                "profiles.a.modle",
                name("model"),
            ),
            (
                json!({"profiles": {"a": {"mine": ""}}}),
                "profiles.a.mine",
                Meant::Nothing,
            ),
            (
                json!({"profiles": {"a": {"apiKey": ""}}}),
                "profiles.a.apiKey",
                Meant::Key,
            ),
            (
                json!({"profiles": {"a": {"endpoint": ""}}}),
                "profiles.a.endpoint",
                name("base_url"),
            ),
            (
                json!({"profiles": {"a": {"per_minute": 1}}}),
                "profiles.a.per_minute",
                name("rate.per_minute"),
            ),
            (
                json!({"profiles": {"a": {"timeout": 1}}}),
                "profiles.a.timeout",
                name("timeouts"),
            ),
            (
                json!({"profiles": {"a": {"max_tokens": 1}}}),
                "profiles.a.max_tokens",
                name("body.max_tokens"),
            ),
            (
                json!({"profiles": {"a": {"default_profile": 1}}}),
                "profiles.a.default_profile",
                Meant::Nothing,
            ),
            (
                json!({"profiles": {"a": {"timeouts": {"firstByte": 1}}}}),
                "profiles.a.timeouts.firstByte",
                name("first_byte"),
            ),
            (
                json!({"profiles": {"a": {"oauth": {"clientid": 1}}}}),
                "profiles.a.oauth.clientid",
                name("client_id"),
            ),
            (
                json!({"profiles": {"a": {"oauth": {"audience": "x"}}}}),
                "profiles.a.oauth.audience",
                name("parameters.audience"),
            ),
            (
                json!({"profiles": {"a": {"oauth": {"client_secret": "x"}}}}),
                "profiles.a.oauth.client_secret",
                Meant::Key,
            ),
            (
                json!({"profiles": {"a": {"oauth": {"mine": {}}}}}),
                "profiles.a.oauth.mine",
                Meant::Nothing,
            ),
        ] {
            let unknown = unknown_members(config.as_object().unwrap());
            let found: Vec<(String, Meant)> = unknown
                .into_iter()
                .map(|member| (member.path.join("."), member.meant))
                .collect();
            assert_eq!(found, [(path.to_owned(), meant)], "{config}");
        }
    }

    #[test]
    fn names_that_are_the_users_own_are_not_judged() {
        let config = json!({"$schema": "x", "profiles": {"profile": {
            "headers": {"X-Anything": "x"}, "query": {"any": "x"}, "body": {"any": {"thing": 1}},
            "oauth": {"parameters": {"audience": "x"}},
        }}});
        assert_eq!(unknown_members(config.as_object().unwrap()), []);
    }

    #[test]
    fn a_name_is_near_whatever_its_case() {
        for (given, near) in [
            ("Work", Some("work")),
            ("wrok", Some("work")),
            ("API_KEY", Some("api-key")),
            ("x", None),
            ("nothing", None),
        ] {
            assert_eq!(
                nearest(given, ["work", "api-key", "m"].into_iter()),
                near,
                "{given}"
            );
        }
    }

    /// Collects the paths of a schema's members.
    fn paths(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
        let below = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            found.insert(below(name));
            paths(inner, &below(name), found);
        }
        if schema["additionalProperties"]["properties"].is_object() {
            found.insert(below("*"));
            paths(&schema["additionalProperties"], &below("*"), found);
        }
    }

    #[test]
    fn every_member_is_one_of_the_types_that_read_the_file() {
        let mut found = BTreeSet::new();
        paths(&schema(), "", &mut found);
        let known: BTreeSet<String> = MEMBERS.iter().map(|member| member.path.to_owned()).collect();
        assert_eq!(found, known);
        for member in &MEMBERS {
            let has_members = MEMBERS
                .iter()
                .any(|other| other.path.starts_with(&format!("{}.", member.path)));
            assert_eq!(has_members, member.kind == Kind::Object, "{}", member.path);
        }
    }
}

//! `KEY=VALUE`: which member is meant, and what it gets.

use std::fs::File;
use std::io::Read;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::{cannot_read, cannot_read_stdin};
use qwen_shared::net::config::{Kind, MEMBERS, Meant, Profile, meant, member_at};
use qwen_shared::output::Reporter;
use qwen_shared::provider;
use qwen_shared::secret::is_secret_name;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The largest value that is read from a file, in bytes.
const MAX_VALUE: u64 = 64 << 10;

/// A change of one member.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// The member as it was typed.
    pub(crate) key: String,
    /// The names that lead to it from the top of the file.
    pub(crate) path: Vec<String>,
    /// `None` removes it.
    pub(crate) value: Option<Value>,
}

/// Where a key leads.
struct Target {
    path: Vec<String>,
    kind: Leaf,
}

/// What is at the end of a path.
enum Leaf {
    /// A member with this kind of value.
    Member(Kind),
    /// A text of an object of texts: true for headers and the query, which may hold secrets.
    Text { may_be_secret: bool },
    /// A value of any kind.
    Any,
}

impl Assignment {
    /// Reads `KEY=VALUE`; `profile` is the one whose members are meant, `None` where none is.
    ///
    /// # Errors
    /// 64 for a member that is not there, with the one that was probably meant; 66 and 74 for a value that cannot be read. The
    /// value is in no message: it may be a secret.
    pub(crate) fn parse(
        word: &str,
        profile: Option<&str>,
        profiles: &BTreeMap<String, Profile>,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let Some((key, text)) = word.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(Failure::new(Exit::Usage, "a member is set by KEY=VALUE")
                .hint("run 'qwen-auth set model=NAME', say"));
        };
        let target = target(key, profile, profiles)?;
        let value = match (text, &target.kind) {
            ("", _) => None,
            (text, Leaf::Text { may_be_secret: true }) if text.starts_with('@') => {
                Some(Value::from(content_of(key, &text[1..])?))
            }
            (text, kind) => Some(parse_value(key, kind, text)?),
        };
        if let Leaf::Text { may_be_secret: true } = target.kind
            && target.path.last().is_some_and(|name| is_secret_name(name))
            && value.is_some()
            && !text.starts_with('@')
        {
            reporter.notice(&format!(
                "{key}: other users can see a value in the list of processes; '{key}=@FILE' and '{key}=@-' read it"
            ));
        }
        Ok(Self {
            key: key.to_owned(),
            path: target.path,
            value,
        })
    }

    /// Makes the change.
    ///
    /// # Errors
    /// 64 where a value on the way is no object.
    pub(crate) fn apply(&self, config: &mut Map<String, Value>) -> Result<(), Failure> {
        if let Some(name) = self.header() {
            let headers = member_of(config, &self.path[..3]).and_then(Value::as_object_mut);
            let known = headers
                .map(|headers| same_names(headers, name))
                .unwrap_or_default();
            for known in known {
                let path: Vec<String> = self.path[..3].iter().cloned().chain([known]).collect();
                remove(config, &path);
            }
        }
        match &self.value {
            None => remove(config, &self.path),
            Some(value) => {
                let (name, around) = self.path.split_last().map_or((&self.key, &[][..]), |split| split);
                let object = object_at(config, around).ok_or_else(|| {
                    let message = format!("{}: '{}' is not an object", self.key, around.join("."));
                    Failure::new(Exit::Usage, message)
                })?;
                self.make_room(object, name);
                object.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    }

    /// Returns the name of the header that is changed.
    fn header(&self) -> Option<&str> {
        let is_header = self.path.len() == 4 && self.path[0] == "profiles" && self.path[2] == "headers";
        is_header.then(|| self.path[3].as_str())
    }

    /// A key is in one place alone.
    fn make_room(&self, object: &mut Map<String, Value>, name: &str) {
        const PLACES: [&str; 3] = ["store", "env", "command"];
        let is_place = self.path.len() == 4 && self.path[0] == "profiles" && self.path[2] == "key";
        if is_place && PLACES.contains(&name) {
            object
                .retain(|other, _| other == name || other == "ttl" && name == "command" || !is_of_key(other));
        }
    }

    /// True when this change is of the member at `path`, or of one within it or around it.
    pub(crate) fn touches<S: AsRef<str>>(&self, path: &[S]) -> bool {
        let same = self.path.iter().zip(path);
        let is_header = self.header().is_some();
        same.into_iter().enumerate().all(|(level, (own, other))| {
            own == other.as_ref() || is_header && level == 3 && own.eq_ignore_ascii_case(other.as_ref())
        })
    }
}

fn is_of_key(name: &str) -> bool {
    matches!(name, "store" | "env" | "command" | "ttl")
}

/// Finds the member that a key names.
fn target(key: &str, profile: Option<&str>, profiles: &BTreeMap<String, Profile>) -> Result<Target, Failure> {
    if let Some(rest) = key.strip_prefix("profiles.") {
        let known = profiles
            .keys()
            .filter_map(|name| Some((name, rest.strip_prefix(name.as_str())?.strip_prefix('.')?)));
        let longest = known
            .max_by_key(|(name, _)| name.len())
            .map(|(name, rest)| (name.as_str(), rest));
        let Some((name, rest)) = longest.or_else(|| rest.split_once('.')) else {
            return Err(
                Failure::new(Exit::Usage, format!("{key}: this is a whole profile"))
                    .hint("'qwen-auth remove NAME' removes one, 'qwen-auth rename NAME NEW' renames it"),
            );
        };
        if !profiles.contains_key(name) {
            return Err(usage(qwen_shared::net::config::no_such_profile(name, profiles)));
        }
        return walk(key, &["profiles", name], "profiles.*", rest);
    }
    let first = key.split('.').next().unwrap_or_default();
    if first == "profiles" {
        return Err(Failure::new(
            Exit::Usage,
            "profiles: these are all profiles; name a member of one",
        ));
    }
    if member_at(first).is_some() {
        return walk(key, &[], "", key);
    }
    match profile {
        Some(profile) => walk(key, &["profiles", profile], "profiles.*", key),
        // What is wrong with the name is said before who it is for.
        None => walk(key, &["profiles", "*"], "profiles.*", key),
    }
}

/// The failure as one of the command line.
pub(crate) fn usage(mut failure: Failure) -> Failure {
    failure.exit = Exit::Usage;
    failure
}

/// Follows the names of a key; `rest` is what is left of it below `start`, whose path with `*` is `pattern`.
fn walk(key: &str, start: &[&str], pattern: &str, rest: &str) -> Result<Target, Failure> {
    let mut path: Vec<String> = start.iter().map(ToString::to_string).collect();
    let mut pattern = pattern.to_owned();
    let mut left = rest;
    loop {
        let (name, after) = match left.split_once('.') {
            Some((name, after)) => (name, Some(after)),
            None => (left, None),
        };
        let inner = match pattern.as_str() {
            "" => name.to_owned(),
            pattern => format!("{pattern}.{name}"),
        };
        let Some(member) = member_at(&inner).filter(|member| !member.path.ends_with('*')) else {
            return Err(unknown(key, &pattern, name, start));
        };
        path.push(name.to_owned());
        if let (Kind::Object, Some(after)) = (member.kind, after) {
            (pattern, left) = (inner, after);
            continue;
        }
        let kind = leaf(key, name, member.kind, after, &mut path)?;
        if path.iter().any(String::is_empty) {
            let message = format!("{key}: a name is missing between its dots");
            return Err(Failure::new(Exit::Usage, message));
        }
        return Ok(Target { path, kind });
    }
}

/// Returns what is at the end of a path, and adds to it the names behind `name`, which are the user's own, dots and all.
fn leaf(
    key: &str,
    name: &str,
    kind: Kind,
    after: Option<&str>,
    path: &mut Vec<String>,
) -> Result<Leaf, Failure> {
    match (kind, after) {
        (kind, None) => Ok(Leaf::Member(kind)),
        (Kind::Texts, Some(after)) => {
            path.push(after.to_owned());
            Ok(Leaf::Text {
                may_be_secret: name != "parameters",
            })
        }
        (Kind::Values, Some(after)) => {
            path.extend(after.split('.').map(str::to_owned));
            Ok(Leaf::Any)
        }
        (_, Some(_)) => {
            let message = format!("{key}: '{name}' has no members");
            Err(Failure::new(Exit::Usage, message).hint(format!("set '{name}' itself")))
        }
    }
}

/// The failure of a name that is not known.
fn unknown(key: &str, pattern: &str, name: &str, start: &[&str]) -> Failure {
    let before = key.strip_suffix(name).unwrap_or_default();
    let failure = Failure::new(Exit::Usage, format!("{key}: '{name}' is not known"));
    let profile = start.get(1).filter(|name| **name != "*");
    match meant(pattern, name, true) {
        Meant::Name(near) if key.ends_with(name) => failure.hint(format!("did you mean '{before}{near}'?")),
        Meant::Name(near) => {
            // What stands behind the name, as in header.X-Team, is kept.
            let rest = key.strip_prefix(name).unwrap_or_default();
            failure.hint(format!("did you mean '{near}{rest}'?"))
        }
        Meant::InProfile(near) => failure.hint(format!("did you mean '{near}'?")),
        Meant::Key => {
            let profile = profile.map_or_else(String::new, |name| format!(" --profile {name}"));
            let mut failure = failure.hint(format!("run 'qwen-login{profile} --with-key' to store a key"));
            failure.message = format!("{key}: no key is kept in config.json");
            failure.hint("or name its variable in 'key.env', or a program that prints it in 'key.command'")
        }
        _ => {
            let around = if pattern == "profiles.*" { "" } else { pattern };
            let names = MEMBERS.iter().filter_map(|member| {
                let name = member.path.strip_prefix(pattern)?.strip_prefix('.')?;
                (!name.contains('.') && name != "*").then_some(name)
            });
            let names: Vec<&str> = names.collect();
            let whose = match around {
                "" => "a profile has".to_owned(),
                around => format!("'{}' has", around.rsplit('.').next().unwrap_or_default()),
            };
            failure.hint(format!("{whose} {}", names.join(", ")))
        }
    }
}

/// Makes a value of what was typed. What is of the wrong kind stays a text, which the check of the whole refuses with its reason.
fn parse_value(key: &str, leaf: &Leaf, text: &str) -> Result<Value, Failure> {
    let json_or_text = || serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let kind = match leaf {
        Leaf::Text { .. } => return Ok(Value::from(text)),
        Leaf::Any => return Ok(json_or_text()),
        Leaf::Member(kind) => kind,
    };
    let is_json = |open: char| text.trim_start().starts_with(open);
    Ok(match kind {
        Kind::Bool | Kind::Count | Kind::Seconds => json_or_text(),
        Kind::List if !is_json('[') => {
            let names = text.split(|c: char| c == ',' || c.is_whitespace());
            json!(names.filter(|name| !name.is_empty()).collect::<Vec<_>>())
        }
        Kind::Command if !is_json('[') => json!(
            split_words(text)
                .ok_or_else(|| { Failure::new(Exit::Usage, format!("{key}: a quote is not closed")) })?
        ),
        Kind::List | Kind::Command => serde_json::from_str(text).map_err(|_| whole(key, *kind))?,
        Kind::Object | Kind::Texts | Kind::Values => serde_json::from_str(text)
            .ok()
            .filter(|value: &Value| value.is_object())
            .ok_or_else(|| whole(key, *kind))?,
        Kind::Provider => Value::from(provider_named(text)),
        Kind::Text | Kind::Url | Kind::Word(_) | Kind::Profile | Kind::Variable => Value::from(text),
    })
}

/// Names are compared whatever their case.
fn provider_named(text: &str) -> &str {
    let mut names = provider::all().map(|provider| provider.name.as_str());
    names
        .find(|name| name.eq_ignore_ascii_case(text.trim()))
        .unwrap_or(text)
}

/// The failure of an object or a list that is not written as one.
fn whole(key: &str, kind: Kind) -> Failure {
    let member = key.rsplit('.').next().unwrap_or(key);
    if member == "key" {
        let message = "key: no key is kept in config.json";
        return Failure::new(Exit::Usage, message)
            .hint("run 'qwen-login --with-key' to store one")
            .hint("or name its variable in 'key.env', or a program that prints it in 'key.command'");
    }
    let (what, example) = match kind {
        Kind::List | Kind::Command => ("a list in JSON", format!("'{key}=[\"NAME\"]'")),
        _ => {
            let first = MEMBERS.iter().find_map(|known| {
                let (around, name) = known.path.rsplit_once('.')?;
                around.ends_with(&format!(".{member}")).then_some(name)
            });
            let example = match first {
                Some(first) => format!("'{key}.{first}=VALUE' for one member of it"),
                None => format!("'{key}.NAME=VALUE' for one member of it"),
            };
            ("an object in JSON", example)
        }
    };
    Failure::new(Exit::Usage, format!("{key}: this is not {what}")).hint(format!("write {example}"))
}

/// Splits a command line into words: at blanks that stand in no quotes. Nothing is expanded. `None` where a quote is not closed.
pub(crate) fn split_words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(chars.next()?),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// Reads a value from a file, or for `-` from standard input, without the line end behind it.
fn content_of(key: &str, file: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    match file {
        "-" => std::io::stdin()
            .take(MAX_VALUE + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_read_stdin(&error))?,
        file => File::open(file)
            .and_then(|opened| opened.take(MAX_VALUE + 1).read_to_end(&mut bytes))
            .map_err(|error| cannot_read(Path::new(file), &error))?,
    };
    let refuse = |reason: &str| Err(Failure::new(Exit::Data, format!("{key}: the value {reason}")));
    if bytes.len() as u64 > MAX_VALUE {
        return refuse("is longer than 64 KiB");
    }
    match String::from_utf8(bytes) {
        Ok(text) => match text.strip_suffix('\n') {
            _ if text.trim().is_empty() => refuse("is empty"),
            Some(line) => Ok(line.strip_suffix('\r').unwrap_or(line).to_owned()),
            None => Ok(text),
        },
        Err(_) => refuse("is not valid UTF-8"),
    }
}

/// Returns the object at a path, which is made where it is not there; `None` where something else is.
fn object_at<'a>(config: &'a mut Map<String, Value>, path: &[String]) -> Option<&'a mut Map<String, Value>> {
    let mut object = config;
    for name in path {
        let value = object.entry(name.clone()).or_insert(Value::Null);
        if value.is_null() {
            *value = json!({});
        }
        object = value.as_object_mut()?;
    }
    Some(object)
}

fn member_of<'a>(config: &'a mut Map<String, Value>, path: &[String]) -> Option<&'a mut Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(config.get_mut(first)?, |value, name| value.get_mut(name))
}

/// Returns the names that are the same as `name` but for their case.
fn same_names(object: &Map<String, Value>, name: &str) -> Vec<String> {
    let names = object
        .keys()
        .filter(|known| known.eq_ignore_ascii_case(name) && *known != name);
    names.cloned().collect()
}

/// Removes a member, and the objects around it that are empty then; the profile stays.
fn remove(config: &mut Map<String, Value>, path: &[String]) {
    let kept = if path.first().is_some_and(|first| first == "profiles") {
        2
    } else {
        0
    };
    for length in (kept + 1..=path.len()).rev() {
        let Some((name, around)) = path[..length].split_last() else {
            return;
        };
        let mut object = &mut *config;
        for part in around {
            match object.get_mut(part) {
                Some(Value::Object(inner)) => object = inner,
                _ => return,
            }
        }
        if object.shift_remove(name).is_none() || !object.is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{remove, split_words};
    use serde_json::{Value, json};

    #[test]
    fn a_command_line_is_split_as_a_shell_splits_it() {
        for (text, words) in [
            ("pass show x", Some(&["pass", "show", "x"][..])),
            ("  op read 'op://a b/c' ", Some(&["op", "read", "op://a b/c"])),
            (
                r#"sh -c "echo \"\$X\"" ''"#,
                Some(&["sh", "-c", "echo \"$X\"", ""]),
            ),
            (r"a\ b", Some(&["a b"])),
            ("", Some(&[])),
            ("it's", None),
        ] {
            let words = words.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(split_words(text), words, "{text}");
        }
    }

    #[test]
    fn what_is_empty_after_a_removal_goes_too() {
        let config = json!({"profiles": {"a": {"rate": {"per_day": 1}, "model": "m"}, "b": {"model": "m"}}, "env": {"allow": []}});
        for (path, left) in [
            (
                "profiles a rate per_day",
                json!({"profiles": {"a": {"model": "m"}, "b": {"model": "m"}}, "env": {"allow": []}}),
            ),
            (
                "profiles b model",
                json!({"profiles": {"a": {"rate": {"per_day": 1}, "model": "m"}, "b": {}}, "env": {"allow": []}}),
            ),
            (
                "env allow",
                json!({"profiles": {"a": {"rate": {"per_day": 1}, "model": "m"}, "b": {"model": "m"}}}),
            ),
            ("theme", config.clone()),
            ("profiles c model", config.clone()),
        ] {
            let mut changed = config.clone();
            let path: Vec<String> = path.split(' ').map(str::to_owned).collect();
            if let Value::Object(members) = &mut changed {
                remove(members, &path);
            }
            assert_eq!(changed, left, "{path:?}");
        }
    }
}

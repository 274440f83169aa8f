//! The guard of secrets: what a profile sends to one endpoint follows it to another only where somebody says so.

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::config::{Move, Profile, login_endpoint, secret_members};
use qwen_shared::net::credential::StoreKind;
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;
use serde_json::Value;

use crate::stored;

/// A profile that gets another endpoint, or another server of its login, with what would follow it there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Following {
    name: String,
    old: String,
    new: String,
    /// What would follow, by the paths of the members; never empty.
    pub(crate) members: Vec<String>,
}

/// What a profile's login is called among its members.
pub(crate) const LOGIN: &str = "the login";

impl Following {
    /// Returns what would follow; `None` where nothing does. `is_said` is true for a member that was named together with the
    /// new endpoint: that is the user's word that it goes there.
    pub(crate) fn of(
        name: &str,
        old: &Profile,
        new: &Profile,
        is_said: impl Fn(&str) -> bool,
        reporter: &Reporter,
    ) -> Option<Self> {
        let (of_requests, of_login) = (Move::between(old, new), Move::of_login(old, new));
        let there = of_requests.as_ref().or(of_login.as_ref())?.clone();
        let still = secret_members(new);
        let follows = |member: &String| {
            let is_same = left_in(member, old, new, &still).any(|member| !is_said(&member));
            match member.as_str() {
                member if member.starts_with("oauth.") => is_same && of_login.is_some(),
                LOGIN => is_same && (of_login.is_some() || of_requests.is_some() && goes_anywhere(new)),
                _ => is_same && of_requests.is_some(),
            }
        };
        let mut members: Vec<String> = secret_members(old).into_iter().filter(follows).collect();
        // Of a store that is empty nothing can follow.
        let is_stored = |member: &String| member == LOGIN || member == "key.store";
        if members.iter().any(is_stored) && !stored::is_there(name, old, reporter) {
            members.retain(|member| !is_stored(member));
        }
        (!members.is_empty()).then(|| Self {
            name: name.to_owned(),
            old: there.old,
            new: there.new,
            members,
        })
    }

    /// Asks on a terminal whether it may follow.
    ///
    /// # Errors
    /// 78 where nobody is there to ask, or the answer is not yes.
    pub(crate) fn confirm(&self, hints: Vec<String>) -> Result<(), Failure> {
        let Self { name, old, new, .. } = self;
        let members = listed(&self.members);
        let message = format!("profile '{name}': {members} would go to '{new}' instead of '{old}'");
        confirm(&message, hints)
    }
}

/// What a store holds for a profile that does not use it: from another method, or from a profile that had the name before.
/// Nobody knows where it belongs.
#[derive(Debug)]
pub(crate) struct Leftover {
    name: String,
    place: String,
    endpoint: String,
    is_login: bool,
}

impl Leftover {
    /// Returns what `new` would begin to use; `old` is `None` for a profile that is new itself.
    pub(crate) fn of(name: &str, old: Option<&Profile>, new: &Profile, reporter: &Reporter) -> Option<Self> {
        let used = old.map(used_stores).unwrap_or_default();
        let is_login = new.uses_oauth();
        let replaced = old.and_then(|old| {
            let from = old.remembered_store().filter(|_| old.uses_oauth() == is_login)?;
            let to = new.remembered_store().filter(|to| *to != from)?;
            stored::holds(from, name, is_login, reporter).then_some(to)
        });
        let (kind, _) = used_stores(new).into_iter().find(|(kind, is_login)| {
            // Every profile of that login shares it, where its server is the one that it is of.
            let is_shared = *kind == StoreKind::QwenCode && new.oauth.is_none();
            !is_shared
                && replaced != Some(*kind)
                && !used.contains(&(*kind, *is_login))
                && stored::holds(*kind, name, *is_login, reporter)
        })?;
        let endpoint = new.base_url.as_ref().map(ToString::to_string);
        let endpoint = endpoint
            .or_else(|| new.provider.clone())
            .unwrap_or_else(|| "openai".to_owned());
        let endpoint = match is_login {
            true => format!("{}' and '{endpoint}", login_endpoint(new)),
            false => endpoint,
        };
        Some(Self {
            name: name.to_owned(),
            place: stored::open(kind, name, reporter)
                .map_or_else(|_| kind.to_string(), |store| store.place()),
            endpoint,
            is_login,
        })
    }

    /// As [`Following::confirm`].
    ///
    /// # Errors
    /// As [`Following::confirm`].
    pub(crate) fn confirm(&self) -> Result<(), Failure> {
        let Self {
            name,
            place,
            endpoint,
            is_login,
        } = self;
        let (what, flag) = match is_login {
            true => ("a login", ""),
            false => ("a key", " --with-key"),
        };
        let message =
            format!("profile '{name}': {what} that was stored before in '{place}' would go to '{endpoint}'");
        confirm(
            &message,
            vec![
                format!("run 'qwen-login --profile {name}{flag}' to store one for that endpoint"),
                format!("or remove what '{place}' holds, or take another name"),
            ],
        )
    }
}

/// Returns the stores that a profile reads, each with whether it is a login that is read.
fn used_stores(profile: &Profile) -> Vec<(StoreKind, bool)> {
    let mut kinds: Vec<_> = [profile.store().ok().flatten(), profile.remembered_store()]
        .into_iter()
        .flatten()
        .map(|kind| (kind, profile.uses_oauth()))
        .collect();
    kinds.dedup();
    kinds
}

/// Asks on a terminal; without one the answer is no.
fn confirm(message: &str, hints: Vec<String>) -> Result<(), Failure> {
    let answer = match Terminal::open().filter(Terminal::is_foreground) {
        Some(mut terminal) => {
            let shown = qwen_shared::text::one_line(message);
            terminal.ask_afresh(&format!("{shown}.\nSend what is secret there? [y/N] "))?
        }
        None => String::new(),
    };
    if matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    let failure = Failure::new(Exit::Config, format!("{message}; nothing is changed"));
    Err(hints.into_iter().fold(failure, Failure::hint))
}

/// True where the token goes wherever the endpoint is: no host is named that may get it.
fn goes_anywhere(profile: &Profile) -> bool {
    let hosts = profile.login_server().map(|server| server.allowed_hosts);
    profile.base_url.is_some() && hosts.unwrap_or_default().is_empty()
}

/// Returns the members of `new` that still hold what `member` of `old` held: the member itself, in any case of its letters,
/// and one that got the value of a secret under another name. `still` are the secret members of `new`.
fn left_in<'a>(
    member: &'a str,
    old: &'a Profile,
    new: &'a Profile,
    still: &'a [String],
) -> impl Iterator<Item = String> + 'a {
    let held = value_of(member, old);
    still
        .iter()
        .filter(move |other| {
            let is_same_name = other.eq_ignore_ascii_case(member);
            match (&held, value_of(other, new)) {
                (Some(held), Some(value)) => *held == value && (is_same_name || is_long(held)),
                _ if member.starts_with("key.") => is_same_name && old.key == new.key,
                _ => is_same_name,
            }
        })
        .cloned()
}

/// Returns the value of a header, a parameter or a member of the body.
fn value_of(member: &str, profile: &Profile) -> Option<Value> {
    let text = |text: &String| Value::from(text.as_str());
    if let Some(name) = member.strip_prefix("oauth.parameters.") {
        return profile.oauth.as_ref()?.parameters.get(name).map(text);
    }
    let (object, name) = member.split_once('.')?;
    match object {
        "headers" => profile.headers.get(name).map(text),
        "query" => profile.query.get(name).map(text),
        "body" => profile.body.get(name).cloned(),
        _ => None,
    }
}

/// True for a text that is no mere word: two members hold the same one only where it was copied.
fn is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() >= 8)
}

/// Joins names as people do: `'a', 'b' and 'c'`.
pub(crate) fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names
        .iter()
        .map(|name| {
            if name == LOGIN {
                name.clone()
            } else {
                format!("'{name}'")
            }
        })
        .collect();
    match quoted.as_slice() {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        all => all.concat(),
    }
}

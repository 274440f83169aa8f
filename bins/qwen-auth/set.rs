//! `qwen-auth set`: members of a profile, or of the file, by `KEY=VALUE`.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{
    Config, Fault, Overrides, Profile, Settings, Severity, active_profile, check_name, faults,
    no_such_profile,
};
use qwen_shared::net::credential::Store;
use qwen_shared::output::Reporter;
use qwen_shared::text::shell_word;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::assignment::{Assignment, usage};
use crate::guard::{Following, LOGIN, Leftover, listed};
use crate::{show, stored};

/// Sets what the words say.
pub(crate) fn run(new: bool, words: &[String], profile: Option<&str>, reporter: &Reporter) -> Outcome {
    let _lock = Config::lock_profiles()?;
    let config = Config::load()?;
    let request = Request::new(new, words, profile, &config, reporter)?;
    let before = members_of_file()?;
    let mut after = before.clone();
    request.apply(&mut after)?;
    request.check(&before, &after)?;
    let profiles = (
        profile_in(&before, &request.profile),
        profile_in(&after, &request.profile),
    );
    let confirmed = request.guard(&before, &after, reporter)?;
    let moved = request.move_credential(&profiles, reporter)?;
    let written = Config::try_edit(|members| {
        let before = members.clone();
        request.check_profile(&before)?;
        request.apply(members)?;
        request.check(&before, members)?;
        // What was asked about is what is changed.
        if request.following(&before, members, reporter) != confirmed {
            let message = "config.json was changed by another process meanwhile";
            return Err(Failure::new(Exit::TryAgain, message));
        }
        Ok(())
    });
    if let Err(failure) = written {
        if let Some((_, Some(new))) = &moved {
            let _ = stored::delete(new, reporter);
        }
        return Err(failure);
    }
    request.report(before != after, reporter);
    if let Some((old, new)) = moved {
        report_moved(&old, new.as_ref(), reporter)?;
    }
    if let (Some(name), (_, Some(profile)), true) = (&request.profile, &profiles, request.names_destination())
    {
        stored::consent(name, profile, reporter)?;
    }
    request.report_rest(&after, reporter);
    Ok(Exit::Ok)
}

/// What is to be set.
struct Request {
    /// The profile whose members are set; `None` where only members of the file are.
    profile: Option<String>,
    assignments: Vec<Assignment>,
    is_new: bool,
    /// The operands that name an endpoint or a server, for a hint.
    endpoint: Vec<String>,
}

impl Request {
    fn new(
        is_new: bool,
        words: &[String],
        flag: Option<&str>,
        config: &Config,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let (named, words) = split_name(words, flag)?;
        let profile = Self::profile_for(is_new, named, config)?;
        let mut profiles = config.profiles.clone();
        if let Some(name) = profile.as_deref().filter(|_| is_new) {
            profiles.insert(name.to_owned(), Profile::default());
        }
        let assignments: Vec<Assignment> = words
            .iter()
            .map(|word| Assignment::parse(word, profile.as_deref(), &profiles, reporter))
            .collect::<Result<_, _>>()?;
        let of_profile = assignments
            .iter()
            .filter(|assignment| assignment.path[0] == "profiles");
        let mut targets: Vec<String> = of_profile.map(|assignment| assignment.path[1].clone()).collect();
        targets.dedup();
        let usage = |message: String, hint: &str| Err(Failure::new(Exit::Usage, message).hint(hint));
        let profile = match targets.as_slice() {
            [] if is_new => profile,
            [] if named.is_some() => {
                let message = format!("{}: this is no member of a profile", assignments[0].key);
                return usage(message, "leave the profile's name out");
            }
            [] => None,
            [only] if only == "*" => return Err(Self::no_profile(config)),
            [only] => Some(only.clone()),
            _ => {
                let message = "these are members of several profiles".to_owned();
                return usage(message, "set one profile at a time");
            }
        };
        Ok(Self {
            profile,
            assignments,
            is_new,
            endpoint: words
                .iter()
                .filter(|word| names_endpoint(word))
                .cloned()
                .collect(),
        })
    }

    /// Returns the profile that is meant: the one that is named, else the one in use.
    fn profile_for(is_new: bool, named: Option<&str>, config: &Config) -> Result<Option<String>, Failure> {
        match (is_new, named) {
            (true, None) => Err(Failure::new(Exit::Usage, "--new needs the profile's name")
                .hint("run 'qwen-auth set --new NAME KEY=VALUE'")),
            (true, Some(name)) if config.profiles.contains_key(name) => Err(Failure::new(
                Exit::Usage,
                format!("a profile is called '{name}' already"),
            )
            .hint("leave --new out to change it")),
            (true, Some(name)) => Ok(Some(name.to_owned())),
            (false, Some(name)) if !config.profiles.contains_key(name) => {
                Err(no_such_profile(name, &config.profiles).hint(format!(
                    "or run 'qwen-auth set --new {name} KEY=VALUE' to make it"
                )))
            }
            (false, Some(name)) => Ok(Some(name.to_owned())),
            (false, None) => match active_profile(None)?.1 {
                Some(active) if config.profiles.contains_key(&active.value) => Ok(Some(active.value)),
                _ => Ok(None),
            },
        }
    }

    /// The failure where members of a profile are set, and none is in use.
    fn no_profile(config: &Config) -> Failure {
        match active_profile(None) {
            Err(failure) => failure,
            Ok((_, active)) => match show::named(active.map(|active| active.value), config, "set") {
                Ok(_) => Failure::new(Exit::Usage, "no profile is in use"),
                Err(failure) if config.profiles.is_empty() => {
                    failure.hint("or run 'qwen-auth set --new NAME KEY=VALUE' to make a profile")
                }
                Err(failure) => failure,
            },
        }
    }

    fn apply(&self, members: &mut Map<String, Value>) -> Result<(), Failure> {
        if let Some(name) = self.profile.as_ref().filter(|_| self.is_new) {
            let profiles = members
                .entry("profiles")
                .or_insert_with(|| Value::Object(Map::new()));
            if let Some(profiles) = profiles.as_object_mut() {
                profiles
                    .entry(name.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
            }
        }
        self.assignments
            .iter()
            .try_for_each(|assignment| assignment.apply(members))
    }

    /// Refuses to make a profile again that another process has removed meanwhile, and to make a new one twice.
    fn check_profile(&self, members: &Map<String, Value>) -> Result<(), Failure> {
        match &self.profile {
            Some(name) if profile_in(members, &self.profile).is_some() == self.is_new => {
                let message = format!("profile '{name}' was changed by another process meanwhile");
                Err(Failure::new(Exit::TryAgain, message))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a value that can never be right, also one that was so before and is not with what is set now.
    fn check(&self, before: &Map<String, Value>, members: &Map<String, Value>) -> Result<(), Failure> {
        let found = |members| faults(&serde_json::to_string_pretty(members).unwrap_or_default());
        // What is never sent is of no use at all; of other members that do not go together, the next may mend it.
        let is_never_sent = |fault: &Fault| {
            let is_carried = fault
                .path
                .get(2)
                .is_some_and(|member| member == "headers" || member == "body");
            is_carried && self.assignments.iter().any(|own| own.touches(&fault.path))
        };
        let serious = |fault: &Fault| {
            !fault.path.is_empty() && (fault.severity != Severity::Combination || is_never_sent(fault))
        };
        let after: Vec<Fault> = found(members).into_iter().filter(serious).collect();
        let known = match after.is_empty() {
            true => Vec::new(),
            false => found(before),
        };
        for fault in after {
            let mut touching = self.assignments.iter().filter(|own| own.touches(&fault.path));
            let is_new = !known
                .iter()
                .any(|old| old.path == fault.path && old.words == fault.words);
            let own = touching
                .next_back()
                .or(self.assignments.last().filter(|_| is_new));
            if let Some(assignment) = own {
                let message = format!("{}: {}", assignment.key, fault.words);
                let failure = Failure::new(Exit::Usage, message);
                return Err(fault.remedy.into_iter().fold(failure, Failure::hint));
            }
        }
        Ok(())
    }

    /// True when what is set says where a secret goes, or which one.
    fn names_destination(&self) -> bool {
        let members = self.assignments.iter().filter_map(|own| own.path.get(2));
        members
            .into_iter()
            .any(|member| ["base_url", "provider", "method", "oauth", "key"].contains(&member.as_str()))
    }

    /// Returns what would follow to another endpoint without having been named.
    fn following(
        &self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        reporter: &Reporter,
    ) -> Option<Following> {
        let name = self.profile.as_ref()?;
        let (old, new) = (
            profile_in(before, &self.profile)?,
            profile_in(after, &self.profile)?,
        );
        let old = match self.names_destination() {
            true => stored::as_stored(name, &old, reporter),
            false => old,
        };
        let is_said = |member: &str| {
            let path: Vec<&str> = ["profiles", name]
                .into_iter()
                .chain(member.splitn(2, '.'))
                .collect();
            member != LOGIN
                && self
                    .assignments
                    .iter()
                    .any(|assignment| assignment.touches(&path))
        };
        Following::of(name, &old, &new, is_said, reporter)
    }

    /// Asks whether what would follow to another endpoint may.
    fn guard(
        &self,
        before: &Map<String, Value>,
        after: &Map<String, Value>,
        reporter: &Reporter,
    ) -> Result<Option<Following>, Failure> {
        let name = self.profile.as_deref().unwrap_or_default();
        if let Some(new) = profile_in(after, &self.profile) {
            let old = profile_in(before, &self.profile);
            if let Some(leftover) = Leftover::of(name, old.as_ref(), &new, reporter) {
                leftover.confirm()?;
            }
        }
        let Some(following) = self.following(before, after, reporter) else {
            return Ok(None);
        };
        let mut hints = Vec::new();
        if following.members.iter().any(|member| member == LOGIN) {
            hints.push(format!(
                "run 'qwen-auth logout {name}' first to leave the login behind"
            ));
        }
        let mut left: Vec<&str> = following
            .members
            .iter()
            .filter(|member| *member != LOGIN)
            .filter_map(|member| member.split('.').next())
            .collect();
        left.dedup();
        if !left.is_empty() {
            let words: Vec<String> = self.endpoint.iter().filter_map(|word| typed(word)).collect();
            let left: Vec<String> = left.iter().map(|member| format!("{member}=")).collect();
            let (words, left) = (words.join(" "), left.join(" "));
            hints.push(format!(
                "run 'qwen-auth set {name} {words} {left}' to leave it behind"
            ));
            hints.push("or set them again in the same call: that says that they may go there".to_owned());
        }
        following.confirm(hints)?;
        Ok(Some(following))
    }

    /// Copies a stored credential where the profile's store changes. Returns the old store, which is emptied when the file is
    /// written, and the new one, `None` where the key is in no store any more.
    fn move_credential(
        &self,
        (old, new): &(Option<Profile>, Option<Profile>),
        reporter: &Reporter,
    ) -> Result<Option<(Store, Option<Store>)>, Failure> {
        let (Some(name), Some(old), Some(new)) = (&self.profile, old, new) else {
            return Ok(None);
        };
        if old.key == new.key || old.uses_oauth() != new.uses_oauth() {
            return Ok(None);
        }
        let (from, to) = (old.remembered_store(), new.remembered_store());
        let Some(from) = from.filter(|from| Some(*from) != to) else {
            return Ok(None);
        };
        let from = stored::open(from, name, reporter)?;
        match from.load() {
            // Whoever turns away from a store that does not answer must be able to.
            Err(error) => {
                let place = from.place();
                reporter.notice(&format!(
                    "what '{place}' may hold for the profile stays there: {error}"
                ));
                Ok(None)
            }
            Ok(None) => Ok(None),
            Ok(Some(_)) => {
                let to = to.map(|to| stored::open(to, name, reporter)).transpose()?;
                if let Some(to) = &to {
                    stored::copy(&from, to, reporter)?;
                }
                Ok(Some((from, to)))
            }
        }
    }

    /// Says what was set. Values are not repeated: they may be secrets.
    fn report(&self, is_changed: bool, reporter: &Reporter) {
        let whose = match (&self.profile, self.is_new) {
            (Some(name), true) => format!("new profile '{name}': "),
            (Some(name), false) => format!("profile '{name}': "),
            (None, _) => String::new(),
        };
        if !is_changed {
            return reporter.notice(&format!("{whose}nothing has changed"));
        }
        let keys = |is_set: bool| -> Vec<String> {
            let chosen = self
                .assignments
                .iter()
                .filter(|assignment| assignment.value.is_some() == is_set);
            chosen.map(|assignment| assignment.key.clone()).collect()
        };
        let parts = [(keys(true), "set"), (keys(false), "removed")];
        let parts = parts.iter().filter(|(keys, _)| !keys.is_empty());
        let parts: Vec<String> = parts
            .map(|(keys, done)| format!("{} {done}", listed(keys)))
            .collect();
        reporter.notice(&format!("{whose}{}", parts.join(", ")));
    }

    /// Says what is still missing, and what goes before the new value here.
    fn report_rest(&self, members: &Map<String, Value>, reporter: &Reporter) {
        let Some(name) = &self.profile else {
            return;
        };
        let text = serde_json::to_string_pretty(members).unwrap_or_default();
        let is_own =
            |fault: &Fault| fault.path.get(1) == Some(name) && fault.severity == Severity::Combination;
        for fault in faults(&text).into_iter().filter(is_own) {
            reporter.notice(&fault.words);
            fault.remedy.iter().for_each(|remedy| reporter.hint(remedy));
        }
        let settings = Settings::resolve(&Overrides {
            profile: Some(name.clone()),
            ..Overrides::default()
        });
        let Ok(settings) = settings else { return };
        for (key, source) in [
            ("model", &settings.model.source),
            ("base_url", &settings.base_url.source),
        ] {
            let is_set = self
                .assignments
                .iter()
                .any(|assignment| assignment.path.get(2).is_some_and(|own| own == key));
            if is_set && source.is_given() {
                reporter.notice(&format!("here {source} goes before its {key}"));
            }
        }
    }
}

/// Takes the profile's name from the words before the first `KEY=VALUE`, or from the flag.
fn split_name<'a>(
    words: &'a [String],
    flag: Option<&'a str>,
) -> Result<(Option<&'a str>, &'a [String]), Failure> {
    let (name, words) = match words.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(first.as_str()), rest),
        _ => (None, words),
    };
    if let (Some(name), Some(flag)) = (name, flag)
        && name != flag
    {
        let message = format!("'{name}' and --profile {flag} are two profiles");
        return Err(Failure::new(Exit::Usage, message));
    }
    if words.is_empty() {
        let hint = "run 'qwen-auth set model=NAME', say; 'qwen-auth show' prints what is set";
        return Err(Failure::new(Exit::Usage, "there is no KEY=VALUE").hint(hint));
    }
    let named = name.or(flag);
    if let Some(name) = named {
        check_name(name).map_err(usage)?;
    }
    Ok((named, words))
}

/// Returns a word as it can be typed.
fn typed(word: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    match word.chars().all(is_plain) {
        true => Some(word.to_owned()),
        false => shell_word(word),
    }
}

/// True for an operand that says where requests go.
fn names_endpoint(word: &str) -> bool {
    let key = word.split('=').next().unwrap_or_default();
    let name = key.rsplit_once("profiles.").map_or(key, |(_, rest)| {
        rest.split_once('.').map_or(rest, |(_, name)| name)
    });
    matches!(name, "base_url" | "provider" | "method") || name.starts_with("oauth.")
}

fn members_of_file() -> Result<Map<String, Value>, Failure> {
    Ok(serde_json::from_str(&Config::text()?.unwrap_or_default()).unwrap_or_default())
}

fn profile_in(members: &Map<String, Value>, name: &Option<String>) -> Option<Profile> {
    let profile = members.get("profiles")?.get(name.as_ref()?)?;
    Profile::deserialize(profile).ok()
}

/// # Errors
/// 74, 75: the old credential cannot be removed, and would be there for whoever takes the store again.
fn report_moved(old: &Store, new: Option<&Store>, reporter: &Reporter) -> Result<(), Failure> {
    let place = old.place();
    stored::delete(old, reporter).map_err(|mut failure| {
        failure.message = format!("the old credential stays in '{place}': {}", failure.message);
        failure
    })?;
    match new {
        Some(new) => reporter.notice(&format!(
            "the credential moved from '{place}' to '{}'",
            new.place()
        )),
        None => reporter.notice(&format!("removed the old credential from '{place}'")),
    }
    Ok(())
}

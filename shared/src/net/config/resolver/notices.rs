//! What is surprising about the settings, said in one line each.

use std::path::Path;

use super::{LENT_ADDRESS, Resolver};
use crate::dotenv::Unusable;
use crate::exit::{Exit, Failure, Hint};
use crate::net::config::binding::Binding;
use crate::net::config::destination::Credential;
use crate::net::config::profile::{KeySetting, Profile, is_own_header};
use crate::net::config::settings::{Source, Sourced};
use crate::net::http::BaseUrl;
use crate::text::shell_word;

impl Resolver<'_> {
    /// Collects the notices about settings that are used.
    pub(super) fn notices(
        &self,
        credential: &Credential,
        base_url: &Sourced<BaseUrl>,
        model: &Sourced<String>,
        own: &Binding,
    ) -> Vec<String> {
        let key = &credential.auth.source;
        // Whoever asks through a proxy of ours asks by its profile: nothing of it is left behind.
        let is_lent = self.is_lent(base_url);
        let about_profile = (!is_lent).then(|| {
            [
                self.outvoted(key, base_url, model),
                self.left_behind(base_url, own),
            ]
        });
        let about_endpoint = [
            self.of_project(key, base_url),
            self.ignored_address(),
            self.ignored_profile(),
            self.not_sent(base_url, own),
        ];
        let mut notices = self.qwen_code_notices();
        notices.extend(self.model_not_taken(model));
        notices.extend(about_profile.into_iter().flatten().flatten());
        notices.extend(about_endpoint.into_iter().flatten());
        notices.extend(self.passed_over());
        notices
    }

    /// True for the address of the qwen-proxy that this program runs in.
    fn is_lent(&self, base_url: &Sourced<BaseUrl>) -> bool {
        let lent = self.lookup.environment(LENT_ADDRESS);
        let lent = lent.and_then(|lent| BaseUrl::parse(&lent.value).ok());
        matches!(base_url.source, Source::Environment(_)) && lent.is_some_and(|lent| lent == base_url.value)
    }

    /// Says that the model of a project's settings is not taken, where they would have chosen it.
    fn model_not_taken(&self, model: &Sourced<String>) -> Option<String> {
        let is_asked = matches!(model.source, Source::QwenCode { .. } | Source::Provider(_));
        let is_asked = is_asked && self.profile.provider.is_none();
        is_asked.then(|| self.qwen_code.model_notice()).flatten()
    }

    /// Says that whoever wrote the project, and not the user, chose who is asked and with which key. Consent makes the
    /// choice the user's own.
    fn of_project(&self, key: &Source, base_url: &Sourced<BaseUrl>) -> Option<String> {
        let has_login = self.qwen_code.uses_oauth() || self.qwen_code.selected_type().is_some();
        let usual = match self.name {
            Some(name) => format!("profile '{}'", name.value),
            None if has_login => "Qwen Code's settings".to_owned(),
            None if self.profiles.is_empty() => return None,
            None => "a profile".to_owned(),
        };
        let address = &base_url.source;
        let server = base_url.value.server();
        let whose = match (address.is_project(), key.is_project()) {
            (true, true) => format!("endpoint '{server}' and its key come"),
            (true, false) => format!("endpoint '{server}' comes"),
            (false, true) => format!("the key for '{server}' comes"),
            (false, false) => return None,
        };
        let source = if address.is_project() { address } else { key };
        let place = match source.env_file() {
            Some(file) => format!("from '{}'", file.display()),
            None => format!("from {source}"),
        };
        Some(format!("{whose} {place}, not from {usual}"))
    }

    /// Names what goes before a profile: all of it when the profile was named by flag or variable, else the mixture of its endpoint with
    /// a key that is not its own.
    fn outvoted(&self, key: &Source, base_url: &Sourced<BaseUrl>, model: &Sourced<String>) -> Option<String> {
        let profile = self.profile;
        let is_own_variable = matches!((&profile.key, key.variable()),
            (Some(KeySetting::Env(own)), Some(name)) if own == name);
        let has_key = profile.key.is_some() || profile.uses_oauth();
        let replaces_key = has_key && !is_own_variable && key.is_given();
        let name = self.name?;
        let is_named = matches!(name.source, Source::Flag(_) | Source::Environment(_));
        if !is_named {
            let is_mixed = replaces_key && matches!(base_url.source, Source::Profile(_)) && !key.is_project();
            let profile = &base_url.source;
            return is_mixed.then(|| format!("the key of {key} is used in place of that of {profile}"));
        }
        let names_endpoint = profile.base_url.is_some() || profile.provider.is_some();
        let outvoted = [
            ("key", replaces_key, key),
            ("endpoint", names_endpoint, &base_url.source),
            ("model", profile.model.is_some(), &model.source),
        ];
        let outvoted: Vec<String> = outvoted
            .into_iter()
            .filter(|(_, says, source)| *says && source.variable().is_some())
            .map(|(what, _, source)| format!("the {what} of {source}"))
            .collect();
        let name = &name.value;
        let goes = if outvoted.len() == 1 { "goes" } else { "go" };
        (!outvoted.is_empty()).then(|| {
            format!(
                "profile '{name}' was named, but {} {goes} before its own",
                listed(&outvoted)
            )
        })
    }

    /// Says what of the profile is not used, since the endpoint is another one than the profile's.
    fn left_behind(&self, base_url: &Sourced<BaseUrl>, own: &Binding) -> Option<String> {
        let (name, url) = (self.name?, &base_url.value);
        let members = request_members(self.profile);
        if members.is_empty() || own.covers(url) {
            return None;
        }
        let name = &name.value;
        Some(format!(
            "profile '{name}': its {} not used, '{url}' is not its endpoint (from {})",
            match members.as_slice() {
                [one] => format!("{one} is"),
                several => format!("{} are", listed(several)),
            },
            base_url.source
        ))
    }

    /// The name that older clients read.
    pub(super) fn ignored_address(&self) -> Option<String> {
        self.lookup.value("OPENAI_API_BASE")?;
        let is_said = self.overrides.base_url.is_some() || self.lookup.value("OPENAI_BASE_URL").is_some();
        (!is_said).then(|| "OPENAI_API_BASE is not read; set OPENAI_BASE_URL".to_owned())
    }

    /// Says which headers of the profile are not sent.
    fn not_sent(&self, base_url: &Sourced<BaseUrl>, own: &Binding) -> Option<String> {
        let name = self.name.filter(|_| own.covers(&base_url.value))?;
        let headers = self.profile.headers.keys().filter(|header| is_own_header(header));
        let headers: Vec<String> = headers.map(|header| format!("'{header}'")).collect();
        (!headers.is_empty()).then(|| {
            let (headers, name) = (headers.join(", "), &name.value);
            format!("profile '{name}': the tools set {headers} themselves; what 'headers' has is not sent")
        })
    }

    /// A profile that a file names, where another one or none is used.
    fn ignored_profile(&self) -> Option<String> {
        const NAME: &str = "QWEN_PROFILE";
        let chain = self.lookup.chain()?;
        let named = chain
            .assignments()
            .find(|assignment| assignment.variable.name == NAME)?;
        let wanted = named.variable.value.expose().trim();
        let is_used = self.name.is_some_and(|name| name.value == wanted);
        (!is_used && !wanted.is_empty())
            .then(|| format!("{}: no file sets {NAME}; it is not used", named.variable.place()))
    }

    /// Stops where the user's own project file was passed over and another key would be used in the place of that file's.
    ///
    /// # Errors
    /// 78, with the file and the remedy; 75 where it could not be opened for a limit on descriptors.
    pub(super) fn check_passed_over(&self, credential: Option<&Credential>) -> Result<(), Failure> {
        let is_above = |source: &Source| {
            matches!(
                source,
                Source::Flag(_) | Source::Environment(_) | Source::Exported { .. }
            )
        };
        if credential.is_some_and(|credential| is_above(&credential.auth.source)) {
            return Ok(());
        }
        let Some(chain) = self.lookup.chain() else {
            return Ok(());
        };
        if let Some(fault) = &chain.trust_error {
            let failure = Failure::new(fault.exit, fault.message.clone());
            return Err(Failure {
                hints: fault.hints.clone(),
                ..failure
            });
        }
        let own = chain.passed_over().find(|candidate| candidate.is_own_project());
        let Some((file, objection)) = own.and_then(|file| Some((&file.path, file.objection()?))) else {
            return Ok(());
        };
        let shown = file.display();
        let word = file.to_str().and_then(shell_word);
        let word = word.unwrap_or_else(|| "FILE".to_owned());
        let instead = match credential {
            Some(credential) => format!("no key is taken from {} in its place", credential.auth.source),
            None => "it may hold the key".to_owned(),
        };
        let (exit, remedy) = remedy_of(objection, &word, file);
        let failure = Failure::new(exit, format!("'{shown}' {objection}; {instead}")).hint(remedy);
        let trust = chain.trust_command(file, false);
        let trust = trust.filter(|_| *objection == Unusable::WritableByAll);
        let failure = match trust {
            Some(command) => failure.hint(format!("or run '{command}' if its mode cannot be changed")),
            None => failure,
        };
        Err(failure.hint("or set OPENAI_API_KEY in the environment"))
    }

    /// The notices about files that were passed over, as far as the chain was looked at.
    fn passed_over(&self) -> Vec<String> {
        let Some(chain) = self.lookup.chain() else {
            return Vec::new();
        };
        let passed_over = chain
            .passed_over()
            .filter_map(|candidate| Some((&candidate.path, candidate.objection()?)))
            .filter(|(_, objection)| !matches!(objection, Unusable::NotAFile(_) | Unusable::OfSystem))
            .map(|(path, objection)| format!("'{}' is passed over: it {objection}", path.display()));
        let store = chain.trust_error.iter();
        let store = store.map(|error| format!("{error}; no project file is trusted"));
        store.chain(passed_over).collect()
    }

    /// Adds to a missing credential which file may be why: one that waits for consent, ended the search, or sets nothing.
    pub(super) fn explained(&self, mut failure: Failure, names: &[&str]) -> Failure {
        let Some(chain) = self.lookup.chain() else {
            return failure;
        };
        let waiting = chain.waiting().map(|assignment| &assignment.variable);
        if let Some(variable) = waiting
            .into_iter()
            .find(|variable| names.contains(&variable.name.as_str()))
        {
            let (name, place) = (&variable.name, variable.place());
            failure
                .message
                .push_str(&format!("; {place} sets {name}, and waits for your consent"));
            if let Some(command) = chain.trust_command(&variable.path, false) {
                let hint = Hint(format!("run '{command}' if you trust that file"));
                failure.hints.insert(0, hint);
            }
        } else if let Some(ended) = chain.ended_by(names) {
            let (by, before, name) = (ended.by.display(), ended.before.display(), ended.name);
            failure.message.push_str(&format!(
                "; '{by}' ended the search before '{before}', which sets {name}"
            ));
            failure
                .hints
                .insert(0, Hint("set QWEN_ENV_CHAIN=merge to read both".to_owned()));
        } else if let Some((file, emptiness)) = chain
            .files
            .iter()
            .find_map(|file| Some(file).zip(file.emptiness()))
        {
            let path = file.path.display();
            failure.message.push_str(&format!("; '{path}' {emptiness}"));
        }
        failure
    }
}

/// Returns the exit code for one's own project file that was passed over, and what mends it. `word` is its path for a shell.
fn remedy_of(objection: &Unusable, word: &str, file: &Path) -> (Exit, String) {
    match objection {
        Unusable::WritableByAll => (Exit::Config, format!("run 'chmod o-w {word}'")),
        Unusable::Unreadable(_) => (Exit::Config, format!("run 'chmod u+r {word}'")),
        Unusable::Failing(_) => (
            Exit::Io,
            "its file system does not answer: mount it anew, or go to another directory".to_owned(),
        ),
        Unusable::Exhausted(_) => (Exit::TryAgain, "try again later".to_owned()),
        _ => (Exit::Config, format!("mend or remove '{}'", file.display())),
    }
}

/// The members of a profile that are about its endpoint's requests, as far as they are set.
fn request_members(profile: &Profile) -> Vec<String> {
    let timeouts = profile.timeouts != Default::default();
    [
        ("headers", !profile.headers.is_empty()),
        ("query", !profile.query.is_empty()),
        ("body", !profile.body.is_empty()),
        ("rate", profile.rate.is_some()),
        ("timeouts", timeouts),
        ("allow_http", profile.allow_http),
        ("reasoning", profile.reasoning.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_set)| *is_set)
    .map(|(name, _)| format!("'{name}'"))
    .collect()
}

/// Joins words as people do: `a, b and c`.
fn listed(words: &[String]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        words => words.concat(),
    }
}

//! What is wrong in a `config.json` whose every value can be read: names of nothing, and members that do not go together.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use url::Url;

use super::document::Places;
use super::fault::Severity;
use super::known::KnownMembers;
use super::members::nearest;
use super::profile::{KeyCommand, KeySetting, Method, Profile, is_own_header};
use crate::net::http::{BaseUrl, Request, check_endpoint, check_transport};
use crate::process::find_absolute;
use crate::provider::{self, OauthSettings, is_loopback, is_own_server};
use crate::text::known_names;

/// A probable mistake.
#[derive(Debug)]
pub(super) struct Lint {
    /// The names that lead to the member.
    pub(super) path: Vec<String>,
    pub(super) words: String,
    pub(super) remedy: Option<String>,
    pub(super) severity: Severity,
    /// True where the value is at fault, and not that the member is there.
    is_of_value: bool,
}

impl Lint {
    /// Returns where the value is, if that is at fault.
    pub(super) fn value_at(&self, places: &Places) -> Option<usize> {
        places.value(&self.path).filter(|_| self.is_of_value)
    }
}

/// Returns the probable mistakes of a configuration.
pub(super) fn lints(config: &KnownMembers) -> Vec<Lint> {
    let mut lints = Lints {
        prefix: Vec::new(),
        found: Vec::new(),
    };
    if let Some(name) = &config.default_profile {
        lints.default_profile(name, config);
    }
    for (name, profile) in &config.profiles {
        lints.prefix = vec!["profiles".to_owned(), name.0.clone()];
        lints.profile(profile);
    }
    lints.found
}

struct Lints {
    /// The path of the profile.
    prefix: Vec<String>,
    found: Vec<Lint>,
}

/// Members of a request that have a setting or an option of their own.
const OWN_BODY: [(&str, &str); 3] = [
    ("messages", "the question is the prompt of each call"),
    ("model", "name it in 'model'"),
    (
        "stream",
        "leave it out: 'qwen-chat --no-stream' asks for one piece",
    ),
];

/// What follows a base URL in the addresses of single services.
const SERVICES: [&str; 7] = [
    "/completions",
    "/embeddings",
    "/files",
    "/batches",
    "/messages",
    "/models",
    "/responses",
];

impl Lints {
    fn add(
        &mut self,
        member: &[&str],
        words: impl Into<String>,
        remedy: impl Into<String>,
        severity: Severity,
    ) {
        let own = member.iter().map(ToString::to_string);
        let path: Vec<String> = self.prefix.iter().cloned().chain(own).collect();
        self.found.push(Lint {
            words: format!("'{}' {}", path.join("."), words.into()),
            path,
            remedy: Some(remedy.into()),
            severity,
            is_of_value: true,
        });
    }

    /// A value that can never work.
    fn value(&mut self, member: &[&str], words: impl Into<String>, remedy: impl Into<String>) {
        self.add(member, words, remedy, Severity::Member);
    }

    /// A name that can never work.
    fn name(&mut self, member: &[&str], words: impl Into<String>, remedy: impl Into<String>) {
        self.add(member, words, remedy, Severity::Member);
        if let Some(last) = self.found.last_mut() {
            last.is_of_value = false;
        }
    }

    /// Members that do not go together.
    fn together(&mut self, member: &[&str], words: impl Into<String>, remedy: impl Into<String>) {
        self.add(member, words, remedy, Severity::Combination);
        if let Some(last) = self.found.last_mut() {
            last.is_of_value = false;
        }
    }

    fn default_profile(&mut self, name: &str, config: &KnownMembers) {
        let known: Vec<&str> = config.profiles.keys().map(|name| name.0.as_str()).collect();
        if known.contains(&name) {
            return;
        }
        let remedy = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None if known.is_empty() => "there is no profile: run 'qwen-login'".to_owned(),
            None => known_names(&known),
        };
        self.value(&["default_profile"], "names no profile", remedy);
    }

    fn profile(&mut self, profile: &Profile) {
        let is_known = profile.provider.as_deref().is_none_or(|name| self.provider(name));
        if let Some(url) = &profile.base_url {
            self.base_url(url, profile);
        }
        self.headers(profile);
        self.query(profile);
        for (name, remedy) in OWN_BODY
            .iter()
            .filter(|(name, _)| profile.body.contains_key(*name))
        {
            self.together(&["body", name], "is set by the tools", *remedy);
        }
        self.timeouts(profile);
        if let Some(KeySetting::Command(command)) = &profile.key {
            self.key_command(command);
        }
        if profile.uses_oauth() {
            self.login(profile, is_known);
        } else if profile.method == Some(Method::ApiKey)
            && self
                .provider_of(profile)
                .is_some_and(|provider| provider.oauth.is_some())
        {
            let remedy = "set method to \"oauth\", or provider to another one";
            self.together(&["method"], "is \"api-key\", and the provider takes none", remedy);
        } else if profile.method == Some(Method::ApiKey) && profile.oauth.is_some() {
            self.together(
                &["oauth"],
                "is not read with method 'api-key'",
                "set method to \"oauth\", or remove it",
            );
        }
        if let Some(oauth) = &profile.oauth {
            self.oauth(oauth, profile.allow_http);
        }
    }

    /// True for a provider that is known.
    fn provider(&mut self, name: &str) -> bool {
        if provider::named(name).is_some() {
            return true;
        }
        let known = || provider::all().map(|provider| provider.name.as_str());
        let remedy = match nearest(name, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!(
                "name one of {}, and its address in base_url",
                known().collect::<Vec<_>>().join(", ")
            ),
        };
        self.value(&["provider"], "is no provider's name", remedy);
        false
    }

    fn base_url(&mut self, url: &BaseUrl, profile: &Profile) {
        const MEMBER: [&str; 1] = ["base_url"];
        const PLACEHOLDERS: [&str; 5] = ["://resource.", "your-", "your_", "%7b", "%3c"];
        let plain = url.as_str().to_ascii_lowercase();
        if PLACEHOLDERS.iter().any(|placeholder| plain.contains(placeholder)) {
            return self.value(
                &MEMBER,
                "holds a placeholder",
                "write the name of your own resource in its place",
            );
        }
        let path = url.path().trim_end_matches('/');
        if let Some(service) = SERVICES.iter().find(|service| path.ends_with(*service)) {
            let remedy = format!("leave '{service}' out: the base URL is what stands before it");
            self.value(&MEMBER, "is the address of one service", remedy);
        }
        let has_secret = profile.key.is_some() || profile.uses_oauth() || profile.authenticates_by_members();
        // Without a key of its own a profile takes one from the environment, unless the server needs none.
        let has_secret = has_secret || !is_own_server(url);
        if check_transport(url, profile.allow_http, has_secret).is_err() {
            let remedy = "use https, or set allow_http to true if that network is yours";
            self.value(
                &MEMBER,
                "would show the secret to the network: it is plain http",
                remedy,
            );
        }
        let named = profile.provider.as_deref().and_then(provider::named);
        let owner = provider::recognise(url).filter(|owner| owner.name != "custom");
        if let (Some(named), Some(owner)) = (named, owner)
            && named.name != owner.name
            && !named.owns(url)
            && named.name != "custom"
        {
            let words = format!("is an endpoint of '{}', not of '{}'", owner.name, named.name);
            self.together(
                &MEMBER,
                words,
                format!("set provider to \"{}\", or remove it", owner.name),
            );
        }
    }

    fn headers(&mut self, profile: &Profile) {
        let provider = self.provider_of(profile);
        let carrier = match provider.map(|provider| provider.key_header.as_str()) {
            Some(header) if header != "bearer" && !profile.uses_oauth() => header.to_owned(),
            _ => "authorization".to_owned(),
        };
        let mut seen = BTreeSet::new();
        for (name, value) in &profile.headers {
            let member = ["headers", name];
            if !seen.insert(name.to_ascii_lowercase()) {
                self.name(
                    &member,
                    "is there twice: case makes no difference",
                    "keep one of the two",
                );
            }
            let plain = name.to_ascii_lowercase();
            if is_own_header(name) {
                self.name(&member, "is set by the tools", "remove it");
            } else if plain == carrier.to_ascii_lowercase() && (profile.key.is_some() || profile.uses_oauth())
            {
                self.together(&member, "is replaced by the key", "remove it, or remove 'key'");
            } else if !can_be_header(name, "x") {
                let remedy = "write letters, digits and dashes, without blanks and without ':'";
                self.name(&member, "cannot be the name of a header", remedy);
            } else if !can_be_header(name, value) {
                let remedy = "write plain ASCII, without a line end";
                self.value(&member, "holds a character that no header can have", remedy);
            }
        }
    }

    fn provider_of(&self, profile: &Profile) -> Option<&'static provider::Provider> {
        match (&profile.provider, &profile.base_url) {
            (Some(name), _) => provider::named(name),
            (None, Some(url)) => provider::recognise(url),
            (None, None) => provider::named("openai"),
        }
    }

    fn query(&mut self, profile: &Profile) {
        let Some(url) = &profile.base_url else { return };
        let twice: Vec<String> = profile
            .query
            .keys()
            .filter(|name| url.query_pairs().any(|(other, _)| other == name.as_str()))
            .cloned()
            .collect();
        for name in twice {
            self.together(&["query", &name], "is in base_url too", "keep one of the two");
        }
    }

    fn timeouts(&mut self, profile: &Profile) {
        let timeouts = &profile.timeouts;
        let Some(total) = timeouts.total else { return };
        for (name, limit) in [
            ("connect", timeouts.connect),
            ("first_byte", timeouts.first_byte),
            ("idle", timeouts.idle),
            ("progress", timeouts.progress),
        ] {
            if limit.is_some_and(|limit| limit > total) {
                let remedy = "raise total, or lower this one";
                self.together(&["timeouts", name], "never ends: 'total' is shorter", remedy);
            }
        }
    }

    fn key_command(&mut self, command: &KeyCommand) {
        const MEMBER: [&str; 3] = ["key", "command", "0"];
        let program = command.program();
        for (index, word) in command.words.iter().enumerate() {
            if word.starts_with("$(") || word.starts_with('`') || word.starts_with("${") || word == "|" {
                let member = ["key", "command", &index.to_string()];
                let remedy = "write [\"sh\", \"-c\", \"…\"] where a shell is needed";
                return self.value(&member, "is for a shell, and none is asked", remedy);
            }
        }
        if program.starts_with('~') {
            return;
        }
        let found = find_absolute(OsStr::new(program));
        let is_there = found.as_ref().is_ok_and(|path| path.is_file());
        if is_there {
            return;
        }
        if program.contains(char::is_whitespace) {
            let remedy = "write one text a word: [\"pass\", \"show\", \"NAME\"]";
            return self.value(&MEMBER, "is a whole command line in one text", remedy);
        }
        let reason = found
            .err()
            .map_or_else(|| "not found".to_owned(), |missing| missing.to_string());
        // It may be installed later.
        let remedy = "install it, or write its path from / on";
        self.add(
            &MEMBER,
            format!("cannot be run: {reason}"),
            remedy,
            Severity::Combination,
        );
    }

    fn login(&mut self, profile: &Profile, is_known_provider: bool) {
        if matches!(profile.key, Some(KeySetting::Env(_) | KeySetting::Command(_))) {
            let remedy = "set method to \"api-key\", or remove 'key'";
            self.together(&["key"], "is not read: a login is kept in a store", remedy);
        }
        let named = profile.provider.as_deref().and_then(provider::named);
        let Some(own) = &profile.oauth else {
            if let Some(named) = named
                && named.oauth.is_none()
                && is_known_provider
            {
                let words = format!("is \"oauth\", and '{}' has no login", named.name);
                self.together(
                    &["method"],
                    words,
                    "set it to \"api-key\", or name the server in 'oauth'",
                );
            }
            return;
        };
        let of_provider = named.and_then(|named| named.oauth.clone());
        let server = match of_provider {
            Some(of_provider) => own.clone().completed_by(&of_provider),
            None => own.clone(),
        };
        self.server(&server);
    }

    /// What is missing of the server of a login.
    fn server(&mut self, server: &OauthSettings) {
        if server.client_id.as_deref().is_none_or(|id| id.trim().is_empty()) {
            self.together(
                &["oauth"],
                "has no client_id",
                "ask the server's owner for the ID of a public client, and set oauth.client_id",
            );
        }
        let endpoints = [
            (
                "device_authorization_endpoint",
                server.device_authorization_endpoint.is_some(),
            ),
            ("token_endpoint", server.token_endpoint.is_some()),
        ];
        match (&server.issuer, endpoints) {
            (Some(_), _) | (None, [(_, true), (_, true)]) => {}
            (None, [(_, false), (_, false)]) => {
                self.together(&["oauth"], "names no server", "add issuer, or the two endpoints");
            }
            (None, [(first, has_first), (second, _)]) => {
                let missing = if has_first { second } else { first };
                self.together(
                    &["oauth"],
                    format!("has neither issuer nor {missing}"),
                    "add one of the two",
                );
            }
        }
    }

    fn oauth(&mut self, oauth: &OauthSettings, allow_http: bool) {
        if let Some(issuer) = &oauth.issuer {
            self.issuer(issuer, allow_http);
        }
        for (name, url) in [
            (
                "device_authorization_endpoint",
                &oauth.device_authorization_endpoint,
            ),
            ("token_endpoint", &oauth.token_endpoint),
            ("revocation_endpoint", &oauth.revocation_endpoint),
        ] {
            if let Some(url) = url {
                self.https(&["oauth", name], url, allow_http);
            }
        }
        self.allowed_hosts(&oauth.allowed_hosts);
        if oauth.scope.as_deref().is_some_and(|scope| scope.contains(',')) {
            self.value(
                &["oauth", "scope"],
                "has commas in it",
                "separate scopes by blanks",
            );
        }
    }

    fn issuer(&mut self, issuer: &str, allow_http: bool) {
        const MEMBER: [&str; 2] = ["oauth", "issuer"];
        match Url::parse(issuer.trim()) {
            Ok(url) if url.query().is_some() || url.fragment().is_some() || !url.has_host() => {
                let remedy = "write it as the server's metadata document has it";
                self.value(&MEMBER, "has a query or fragment, or no host", remedy);
            }
            Ok(_) if issuer.contains("/.well-known/") => {
                let remedy = "leave out '/.well-known/…': the issuer is what stands before it";
                self.value(&MEMBER, "is the address of a metadata document", remedy);
            }
            Ok(url) => self.https(&MEMBER, &url, allow_http),
            Err(_) => self.value(&MEMBER, "is not a URL", "write it from 'https://' on"),
        }
    }

    fn allowed_hosts(&mut self, hosts: &[String]) {
        for (index, host) in hosts.iter().enumerate() {
            let name = host.trim().strip_prefix("*.").unwrap_or(host.trim());
            let is_host = Url::parse(&format!("https://{name}/"))
                .is_ok_and(|url| url.path() == "/" && url.username().is_empty() && url.query().is_none());
            if name.is_empty() || name.contains(['/', '*', '@', '?', '#']) || !is_host {
                let member = ["oauth", "allowed_hosts", &index.to_string()];
                let remedy = "write a host alone: \"api.example.org\", \"*.example.org\" or \"host:8443\"";
                self.value(&member, "is no host", remedy);
            }
        }
    }

    fn https(&mut self, member: &[&str], url: &Url, allow_http: bool) {
        if !is_loopback(url) && check_endpoint(url, allow_http).is_err() {
            let remedy = "use https, or set allow_http to true if that network is yours";
            match url.scheme() {
                "http" => self.value(member, "is plain http", remedy),
                _ => self.value(
                    member,
                    "holds a user name or password",
                    "write it from the host on, without them",
                ),
            }
        }
    }
}

fn can_be_header(name: &str, value: &str) -> bool {
    let Ok(url) = Url::parse("http://localhost") else {
        return false;
    };
    Request::new("GET", url).header(name, value).is_ok()
}

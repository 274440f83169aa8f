//! Which endpoint Qwen Code uses, and with which key: both from one place, never half of a pair.

use std::path::Path;

use super::entries::{self, DEFAULT_KEY, Entry, Protocol, not_spoken};
use super::scopes::{Scopes, Text, without_mark};
use crate::exit::{Exit, Failure};
use crate::net::config::settings::{Source, Sourced};
use crate::net::http::BaseUrl;
use crate::provider;
use crate::secret::Secret;
use crate::text::{clip, known_names};

/// Looks a variable up in the environment, then in the `.env` chain.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<Sourced<String>>;

/// An endpoint and what belongs to it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The endpoint.
    pub base_url: Sourced<BaseUrl>,
    /// The key, from settings, environment or `.env` file; `None` where Qwen Code's settings name none for this endpoint.
    pub key: Option<Sourced<Secret<String>>>,
    /// The model, where the settings name one.
    pub model: Option<Sourced<String>>,
    /// What differs from what the settings say.
    pub notice: Option<String>,
}

/// A key that the settings have, and which endpoint they have it for.
#[derive(Clone, Debug)]
pub struct HeldKey {
    /// Where the key is.
    pub source: Source,
    /// The endpoint as it is written; `None` where the settings name none.
    pub address: Option<String>,
}

/// What the user says elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Given<'a> {
    /// The model of a flag, a variable or a profile.
    pub model: Option<&'a str>,
    /// True when a flag gives the key.
    pub has_key: bool,
}

/// A choice among the settings' endpoints.
pub(super) struct Chooser<'a> {
    pub(super) scopes: &'a Scopes,
    pub(super) given: Given<'a>,
    pub(super) variables: Variables<'a>,
}

impl Chooser<'_> {
    /// Returns the pair in use; `None` where the settings say nothing about an endpoint.
    ///
    /// # Errors
    /// 78 for what the toolkit does not speak, and for settings that contradict each other; 77 for a key that is not there.
    pub(super) fn connection(&self) -> Result<Option<Connection>, Failure> {
        let own = self.own_connection()?;
        Ok(own.map(|own| self.with_project_model(own)))
    }

    /// Lays the model of a project without consent over the user's own choice: it is asked for at the same endpoint, and no
    /// name moves prompt and key to another one.
    fn with_project_model(&self, own: Connection) -> Connection {
        let model = self.scopes.project_model();
        let Some(model) = model.filter(|_| self.given.model.is_none()) else {
            return own;
        };
        let entries = entries::read(self.scopes);
        let mut with_name = entries.iter().filter(|entry| entry.id == model.value).peekable();
        if with_name.peek().is_none() {
            return Connection {
                model: Some(model),
                notice: None,
                ..own
            };
        }
        let is_there = |found: &Connection| is_same(&found.base_url.value, &own.base_url.value);
        let there = with_name
            .filter_map(|entry| self.of_entry(entry).ok())
            .find(is_there);
        there.unwrap_or_else(|| Connection {
            notice: Some(format!(
                "{}: '{}' is not used: your settings have that model at another endpoint",
                model.source,
                clip(&model.value, 64)
            )),
            ..own
        })
    }

    /// The choice of the user and the system, whatever a project without consent says.
    fn own_connection(&self) -> Result<Option<Connection>, Failure> {
        if let Some(fault) = &self.scopes.refused {
            return Err(fault.failure());
        }
        if let Some(failure) = self.scopes.unread() {
            return Err(failure);
        }
        let selected = self.scopes.text(&["security", "auth", "selectedType"]);
        let protocol = selected
            .as_ref()
            .map_or(Protocol::Chat, |text| Protocol::named(&text.value.value));
        self.check_enforced(selected.as_ref())?;
        let entries = entries::read(self.scopes);
        let (model, is_given) = match self.given.model {
            Some(model) => (Some(model.to_owned()), true),
            None => (self.own_model().map(|model| model.value), false),
        };
        let chosen = model
            .as_deref()
            .and_then(|model| self.entry(&entries, &protocol, model, is_given));
        match (chosen, selected) {
            (Some(entry), _) => self.of_entry(entry).map(Some),
            (None, Some(selected)) if selected.value.value == "qwen-oauth" => Ok(None),
            (None, Some(selected)) if !protocol.is_openai() => {
                // A key of the user's own needs nothing of Qwen Code.
                match self.given.has_key || (self.variables)(DEFAULT_KEY).is_some() {
                    true => Ok(None),
                    false => Err(not_spoken(&selected.value.source, &protocol)),
                }
            }
            (None, _) => self.without_entry(&entries, model.as_deref()),
        }
    }

    /// Returns the key that the settings pair with an endpoint that the user named elsewhere.
    pub(super) fn key_for(&self, url: &BaseUrl) -> Option<Sourced<Secret<String>>> {
        let is_it = |text: &Text| BaseUrl::parse(&text.value.value).is_ok_and(|own| is_same(&own, url));
        let entries = entries::read(self.scopes);
        let there: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.protocol == Protocol::Chat && entry.base_url.as_ref().is_some_and(is_it))
            .collect();
        let model = self.own_model().map(|model| model.value);
        let of_model = there.iter().find(|entry| Some(&entry.id) == model.as_ref());
        let entry = of_model.or(there.first()).copied();
        if let Some(entry) = entry.or_else(|| self.entry_without_address(&entries)) {
            return self.key_named(entry.key_name()).or_else(|| self.api_key());
        }
        let own = self.scopes.text(&["security", "auth", "baseUrl"]);
        let mapped = self.scopes.text(&["env", "OPENAI_BASE_URL"]);
        if own.as_ref().is_some_and(is_it) || mapped.as_ref().is_some_and(is_it) {
            return self.mapped(DEFAULT_KEY).or_else(|| self.api_key());
        }
        let is_bound = |name: &str| {
            let is_its = |entry: &Entry| entry.base_url.is_some() && entry.key_name() == name;
            entries.iter().any(is_its)
        };
        let of_provider = || {
            let name = provider::recognise(url)?.key_variable.as_deref()?;
            self.mapped(name)
                .filter(|_| name != DEFAULT_KEY && !is_bound(name))
        };
        let of_none = || {
            let default = self.mapped(DEFAULT_KEY).filter(|_| !is_bound(DEFAULT_KEY));
            let has_address = |entry: &Entry| entry.base_url.is_some();
            let is_entrys = entries.iter().any(has_address);
            default.or_else(|| self.api_key().filter(|_| !is_entrys))
        };
        let has_address = own.is_some() || mapped.is_some();
        of_provider().or_else(|| of_none().filter(|_| !has_address))
    }

    /// Returns the chosen model's entry if it leaves the endpoint open, and its key belongs to no other one.
    fn entry_without_address<'e>(&self, entries: &'e [Entry]) -> Option<&'e Entry> {
        let model = self.own_model()?.value;
        let entry = self.entry(entries, &Protocol::Chat, &model, false)?;
        let is_bound = |other: &Entry| other.base_url.is_some() && other.key_name() == entry.key_name();
        let is_open = entry.protocol == Protocol::Chat && entry.base_url.is_none();
        (is_open && !entries.iter().any(is_bound)).then_some(entry)
    }

    /// The project's model unless an entry says where that is, else `model.name` without the mark of a model that was set up by hand, else that of the `env` map.
    pub(super) fn model_of_settings(&self) -> Option<Sourced<String>> {
        let of_project = self.scopes.project_model().filter(|model| {
            let entries = entries::read(self.scopes);
            !entries.iter().any(|entry| entry.id == model.value)
        });
        of_project.or_else(|| self.own_model())
    }

    fn own_model(&self) -> Option<Sourced<String>> {
        let named = self.scopes.text(&["model", "name"]).map(|text| text.value);
        let named = named.map(|name| name.map(|name| without_mark(&name).to_owned()));
        let mapped = |name| Some(self.scopes.text(&["env", name])?.value);
        named
            .or_else(|| mapped("OPENAI_MODEL"))
            .or_else(|| mapped("QWEN_MODEL"))
    }

    /// An administrator's `enforcedType` binds whoever uses these settings.
    fn check_enforced(&self, selected: Option<&Text>) -> Result<(), Failure> {
        let Some(enforced) = self.scopes.text(&["security", "auth", "enforcedType"]) else {
            return Ok(());
        };
        let (word, source) = (&enforced.value.value, &enforced.value.source);
        let selected = selected.map_or("openai", |text| &text.value.value);
        if word == selected || Protocol::named(word).is_openai() && Protocol::named(selected).is_openai() {
            return Ok(());
        }
        let (word, selected) = (clip(word, 64), clip(selected, 64));
        let message = format!("{source}: Qwen Code has to use '{word}', and '{selected}' is selected");
        Err(Failure::new(Exit::Config, message)
            .hint("select that in Qwen Code by /auth, or run 'qwen-login'"))
    }

    /// Returns the entry of a model. `model.baseUrl` tells entries with one name apart.
    fn entry<'e>(
        &self,
        entries: &'e [Entry],
        selected: &Protocol,
        model: &str,
        is_given: bool,
    ) -> Option<&'e Entry> {
        let with_name: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.id == model)
            .filter(|entry| match selected.is_openai() {
                true => entry.protocol.is_openai(),
                false => is_given && entry.protocol == Protocol::Chat,
            })
            .collect();
        let address = self.scopes.text(&["model", "baseUrl"]).filter(|_| !is_given);
        let exact = address.and_then(|address| {
            let is_it = |entry: &&Entry| {
                let own = entry.base_url.as_ref();
                own.is_some_and(|own| own.value.value == address.value.value)
            };
            with_name.iter().copied().find(is_it)
        });
        let of_protocol = || {
            with_name
                .iter()
                .copied()
                .find(|entry| entry.protocol == *selected)
        };
        exact.or_else(of_protocol).or_else(|| with_name.first().copied())
    }

    fn of_entry(&self, entry: &Entry) -> Result<Connection, Failure> {
        if entry.protocol != Protocol::Chat {
            return Err(entry.not_spoken());
        }
        let base_url = match &entry.base_url {
            Some(text) => parse(text)?,
            None => self.address_without(entry)?,
        };
        let key = self.key_of(entry)?;
        let unread = (entry.has_unread_key && key.is_none()).then(|| {
            format!(
                "{}: \"apiKey\" is not read there; \"envKey\" names the variable of the key",
                entry.source
            )
        });
        let notice = unread.or_else(|| self.unused_key(entry));
        Ok(Connection {
            base_url,
            key,
            model: Some(entry.model()),
            notice,
        })
    }

    /// Says that the general key, which is set, is not used: an entry has a variable of its own.
    fn unused_key(&self, entry: &Entry) -> Option<String> {
        let own = entry.key_variable.as_deref().filter(|own| *own != DEFAULT_KEY)?;
        (!self.given.has_key && (self.variables)(DEFAULT_KEY).is_some()).then(|| {
            format!(
                "{DEFAULT_KEY} is not used: {} takes its key from {own}",
                entry.source
            )
        })
    }

    /// The endpoint of an entry that names none. OpenAI's own is meant for its own variable alone.
    fn address_without(&self, entry: &Entry) -> Result<Sourced<BaseUrl>, Failure> {
        if let Some(address) = self.address()? {
            return Ok(address);
        }
        let openai = default_base_url("openai").filter(|_| entry.key_name() == DEFAULT_KEY);
        openai
            .map(|url| Sourced::new(url, entry.source.clone()))
            .ok_or_else(|| {
                let message = format!("{} has no baseUrl: its key is sent nowhere else", entry.source);
                Failure::new(Exit::Config, message).hint("add \"baseUrl\" to that entry")
            })
    }

    fn key_of(&self, entry: &Entry) -> Result<Option<Sourced<Secret<String>>>, Failure> {
        let key = self.key_named(entry.key_name()).or_else(|| self.api_key());
        if key.is_some() || self.given.has_key {
            return Ok(key);
        }
        match (&entry.key_variable, self.check_references(entry.key_name())) {
            (Some(name), reference) => Err(self.unset_key(entry, name, reference.err())),
            (None, reference) => reference.map(|()| None),
        }
    }

    /// Refuses to go on without a key where the settings have one that is the name of a variable which is not set.
    fn check_references(&self, name: &str) -> Result<(), Failure> {
        let members = [&["env", name] as &[&str], &["security", "auth", "apiKey"]];
        let texts = members.iter().filter_map(|member| self.scopes.text(member));
        let Some((text, unset)) = texts
            .filter(Text::is_unset)
            .find_map(|text| text.unset.clone().map(|unset| (text, unset)))
        else {
            return Ok(());
        };
        let unset = clip(&unset, 64);
        let source = &text.value.source;
        let message = format!("no credential: {source} takes the key from {unset}, which is not set");
        Err(Failure::new(Exit::NoAuth, message).hint(format!("set {unset}, or run 'qwen-login'")))
    }

    /// Returns the first key that the settings have for an entry, else the one that is no entry's.
    pub(super) fn held_key(&self) -> Option<HeldKey> {
        let entries = entries::read(self.scopes);
        let of_entries = entries.iter().find_map(|entry| {
            let key = self.key_named(entry.key_name())?;
            let address = entry.base_url.as_ref().map(|text| text.value.value.clone());
            Some(HeldKey {
                source: key.source,
                address,
            })
        });
        of_entries.or_else(|| {
            let key = self.mapped(DEFAULT_KEY).or_else(|| self.api_key())?;
            let mapped = self.scopes.text(&["env", "OPENAI_BASE_URL"]);
            let address = mapped.or_else(|| self.scopes.text(&["security", "auth", "baseUrl"]));
            Some(HeldKey {
                source: key.source,
                address: address.map(|text| text.value.value),
            })
        })
    }

    /// `reference` is why the settings' own value of that variable is none.
    fn unset_key(&self, entry: &Entry, name: &str, reference: Option<Failure>) -> Failure {
        // What does not look like a name may be a key at the wrong place.
        if !name
            .bytes()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
        {
            let message = format!("{}: \"envKey\" is not the name of a variable", entry.source);
            return Failure::new(Exit::Config, message)
                .hint("\"envKey\" names the variable that holds the key, such as MY_API_KEY");
        }
        let is_there = name != DEFAULT_KEY && (self.variables)(DEFAULT_KEY).is_some();
        let instead = if is_there {
            format!("; {DEFAULT_KEY} is not sent in its place")
        } else {
            String::new()
        };
        let message = format!(
            "{} takes its key from {name}, which is not set{instead}",
            entry.source
        );
        match reference {
            Some(reference) => Failure {
                message: format!("{message}; {reference}"),
                ..reference
            },
            None => Failure::new(Exit::NoAuth, message).hint(format!("set {name}, or run 'qwen-login'")),
        }
    }

    /// Uses the older form: one key and one endpoint for whatever model; else the entry that Qwen Code takes when the model
    /// has none.
    fn without_entry(&self, entries: &[Entry], model: Option<&str>) -> Result<Option<Connection>, Failure> {
        // Its own entries say where this key goes.
        let is_entrys = entries
            .iter()
            .any(|entry| entry.base_url.is_some() && entry.key_name() == DEFAULT_KEY);
        let given = (self.variables)(DEFAULT_KEY).map(|key| key.map(Secret::new));
        let mapped_address = self.scopes.text(&["env", "OPENAI_BASE_URL"]).is_some();
        let default_key = given.clone().or_else(|| self.mapped(DEFAULT_KEY));
        let key = default_key
            .filter(|_| !is_entrys || mapped_address)
            .or_else(|| self.api_key());
        let base_url = match (self.address()?, &key) {
            (Some(address), _) => address,
            (None, Some(_)) if given.is_some() && !is_entrys => return Ok(None),
            (None, Some(key)) => match default_base_url("dashscope") {
                Some(url) => Sourced::new(url, key.source.clone()),
                None => return Ok(None),
            },
            (None, None) => {
                let first = self.first_entry(entries, model)?;
                if first.is_none() && !self.given.has_key {
                    self.check_references(DEFAULT_KEY)?;
                }
                return Ok(first);
            }
        };
        if key.is_none() && !self.given.has_key {
            self.check_references(DEFAULT_KEY)?;
        }
        Ok(Some(Connection {
            base_url,
            key,
            model: self.own_model(),
            notice: None,
        }))
    }

    fn first_entry(&self, entries: &[Entry], model: Option<&str>) -> Result<Option<Connection>, Failure> {
        let spoken: Vec<&Entry> = entries
            .iter()
            .filter(|entry| entry.protocol.is_openai() && !entry.is_special)
            .collect();
        let Some(first) = spoken.first() else {
            let unspoken = entries.iter().find(|entry| Some(entry.id.as_str()) == model);
            return match unspoken.or(entries.first()) {
                Some(entry) if (self.variables)(DEFAULT_KEY).is_none() => Err(entry.not_spoken()),
                _ => Ok(None),
            };
        };
        let Some(given) = self.given.model else {
            let notice = model.map(|model| {
                let model = clip(model, 64);
                format!(
                    "Qwen Code's model '{model}' is none of modelProviders: '{}' is used",
                    first.id
                )
            });
            let connection = self.of_entry(first)?;
            return Ok(Some(Connection { notice, ..connection }));
        };
        // One endpoint and one key: whatever the model, it is theirs.
        let address = |entry: &Entry| entry.base_url.as_ref().map(|text| text.value.value.clone());
        let is_alike =
            |entry: &&Entry| address(entry) == address(first) && entry.key_name() == first.key_name();
        if spoken.iter().all(is_alike) {
            let connection = self.of_entry(first)?;
            return Ok(Some(Connection {
                model: None,
                ..connection
            }));
        }
        Err(no_entry(given, &spoken, &self.scopes.user))
    }

    /// The endpoint that is not an entry's.
    fn address(&self) -> Result<Option<Sourced<BaseUrl>>, Failure> {
        if let Some(given) = (self.variables)("OPENAI_BASE_URL") {
            return parse(&Text {
                value: given,
                unset: None,
            })
            .map(Some);
        }
        let mapped = self.scopes.text(&["env", "OPENAI_BASE_URL"]);
        mapped
            .or_else(|| self.scopes.text(&["security", "auth", "baseUrl"]))
            .map(|text| parse(&text))
            .transpose()
    }

    /// The key under that name: of the environment, a `.env` file, or the `env` map.
    fn key_named(&self, name: &str) -> Option<Sourced<Secret<String>>> {
        let given = (self.variables)(name).map(|key| key.map(Secret::new));
        given.or_else(|| self.mapped(name))
    }

    fn mapped(&self, name: &str) -> Option<Sourced<Secret<String>>> {
        secret(self.scopes.text(&["env", name])?)
    }

    fn api_key(&self) -> Option<Sourced<Secret<String>>> {
        secret(self.scopes.text(&["security", "auth", "apiKey"])?)
    }
}

/// The failure of a model that could be at several endpoints.
fn no_entry(model: &str, entries: &[&Entry], path: &Path) -> Failure {
    let mut known: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).take(20).collect();
    known.dedup();
    let model = clip(model, 64);
    let message = format!(
        "{}: no entry of modelProviders has model '{model}', so its endpoint is not known",
        path.display()
    );
    Failure::new(Exit::Config, message)
        .hint(clip(&known_names(&known), 1000))
        .hint("or set OPENAI_BASE_URL to that model's endpoint")
}

/// The name of a variable that is not set is no key.
fn secret(text: Text) -> Option<Sourced<Secret<String>>> {
    (!text.is_unset()).then(|| text.value.map(Secret::new))
}

fn parse(text: &Text) -> Result<Sourced<BaseUrl>, Failure> {
    let source = &text.value.source;
    let fault = |reason: String| Failure::new(Exit::Config, format!("{source}: {reason}"));
    if let Some(name) = &text.unset {
        let name = clip(name, 64);
        return Err(fault(format!("its baseUrl names {name}, which is not set")));
    }
    BaseUrl::parse(&text.value.value)
        .map(|url| Sourced::new(url, source.clone()))
        .map_err(|error| fault(error.to_string()))
}

fn default_base_url(name: &str) -> Option<BaseUrl> {
    let url = provider::named(name)?.default_base_url()?;
    BaseUrl::try_from(url).ok()
}

fn is_same(own: &BaseUrl, url: &BaseUrl) -> bool {
    own.origin() == url.origin() && own.path().trim_end_matches('/') == url.path().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::is_same;
    use crate::net::http::BaseUrl;

    #[test]
    fn one_endpoint_is_the_same_with_and_without_a_slash_at_its_end() {
        let url = |text| BaseUrl::parse(text).unwrap();
        let own = url("https://llm.example/v1");
        for (other, same) in [
            ("https://LLM.example:443/v1/", true),
            ("https://llm.example/v1/chat/completions", true),
            ("https://llm.example/v1/tenant", false),
            ("https://llm.example/V1", false),
            ("http://llm.example/v1", false),
            ("https://llm.example:8443/v1", false),
        ] {
            assert_eq!(is_same(&own, &url(other)), same, "{other}");
        }
    }
}

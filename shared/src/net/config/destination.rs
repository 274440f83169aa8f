//! Whether what authenticates may go to an endpoint.

use std::path::{Path, PathBuf};

use super::binding::Binding;
use super::settings::{Auth, Source, Sourced};
use crate::dotenv::EnvChain;
use crate::exit::{Exit, Failure};
use crate::net::http::BaseUrl;
use crate::net::oauth;

/// What authenticates, and to which endpoints it is bound.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) auth: Sourced<Auth>,
    /// `None` for a key that stands alone, as in `OPENAI_API_KEY`: it goes where the user's own word sends it.
    pub(super) binding: Option<Binding>,
}

impl Credential {
    pub(super) const fn free(auth: Sourced<Auth>) -> Self {
        Self { auth, binding: None }
    }

    pub(super) const fn bound(auth: Sourced<Auth>, binding: Binding) -> Self {
        Self {
            auth,
            binding: Some(binding),
        }
    }

    /// What it is called in messages.
    const fn kind(&self) -> &'static str {
        match self.auth.value {
            Auth::Oauth { .. } => "token",
            Auth::ApiKey(_) => "key",
            Auth::None => "credential",
        }
    }

    /// True when there is something to keep: a profile's headers may authenticate too.
    const fn is_secret(&self) -> bool {
        !matches!(self.auth.value, Auth::None) || self.binding.is_some()
    }
}

/// The endpoint that was chosen, and by whom.
#[derive(Debug)]
pub(super) struct Destination<'a> {
    pub(super) base_url: &'a Sourced<BaseUrl>,
    /// As [`super::Settings::follows_resource_url`].
    pub(super) follows_resource_url: bool,
    pub(super) profile: Option<&'a Sourced<String>>,
    pub(super) chain: Option<&'a EnvChain>,
    /// The file of the address, where no `unset` would take that away.
    pub(super) file_in_call: Option<PathBuf>,
}

impl Destination<'_> {
    /// Refuses to send a secret where it does not belong. `binding_of` says to which endpoints the key in a variable goes
    /// whoever names them.
    ///
    /// # Errors
    /// 78, with both sources and what can be done.
    pub(super) fn check(
        &self,
        credential: &Credential,
        binding_of: impl Fn(&str) -> Binding,
    ) -> Result<(), Failure> {
        if !credential.is_secret() || self.is_of_one_file(credential) || self.may_have(credential, binding_of)
        {
            return Ok(());
        }
        Err(self.refusal(credential))
    }

    /// A project may say where its own key goes.
    fn is_of_one_file(&self, credential: &Credential) -> bool {
        let (key, address) = (&credential.auth.source, &self.base_url.source);
        let file = address.env_file();
        file.is_some() && key.is_project() && address.is_project() && key.env_file() == file
    }

    fn may_have(&self, credential: &Credential, binding_of: impl Fn(&str) -> Binding) -> bool {
        let Sourced { value: url, source } = self.base_url;
        let Some(binding) = &credential.binding else {
            let key = &credential.auth.source;
            let is_bound = |name: &str| !key.is_project() && binding_of(name).covers(url);
            return !source.is_project() || key.variable().is_some_and(is_bound);
        };
        // Where the login may name the endpoint, its own word is compared once it is read.
        let may_be_resource = match &credential.auth.value {
            Auth::Oauth { server, .. } if self.follows_resource_url && !source.is_project() => {
                oauth::is_allowed(url, &server.allowed_hosts)
            }
            _ => false,
        };
        may_be_resource || binding.covers(url)
    }

    fn refusal(&self, credential: &Credential) -> Failure {
        let Sourced { value: url, source } = self.base_url;
        let (kind, key) = (credential.kind(), &credential.auth.source);
        let own = credential.binding.as_ref().map(Binding::endpoints);
        let why = match own {
            _ if source.is_project() => "which an untrusted project file set".to_owned(),
            Some([own, ..]) => format!("it belongs to '{own}'"),
            _ => "it belongs to no endpoint".to_owned(),
        };
        let message = format!("{source}: the {kind} of {key} is not sent to '{url}', {why}");
        let failure = Failure::new(Exit::Config, message);
        self.hints(credential).into_iter().fold(failure, Failure::hint)
    }

    /// Returns the source of the address; the file, where that would say the same without the variable.
    fn last_source(&self) -> Source {
        let Sourced { value: url, source } = self.base_url;
        let (Source::Environment(name) | Source::Exported { name, .. }) = source else {
            return source.clone();
        };
        let in_chain = self.chain.and_then(|chain| chain.variable(name));
        let is_same = |text: &str| BaseUrl::parse(text).is_ok_and(|own| own == *url);
        match in_chain.filter(|variable| is_same(variable.value.expose())) {
            None => source.clone(),
            Some(variable) => Source::EnvFile {
                name: name.clone(),
                path: variable.path.to_path_buf(),
                line: variable.line,
                trust: variable.trust,
            },
        }
    }

    fn hints(&self, credential: &Credential) -> Vec<String> {
        let source = &self.last_source();
        let mut hints = Vec::new();
        match source {
            Source::Environment(name) | Source::Exported { name, .. } if self.file_in_call.is_some() => {
                let file = self.file_in_call.as_deref().unwrap_or(Path::new(""));
                hints.push(format!(
                    "remove {name} from '{}' to use {}",
                    file.display(),
                    self.usual_endpoint()
                ));
            }
            Source::Environment(name) | Source::Exported { name, .. } => {
                hints.push(format!("run 'unset {name}' to use {}", self.usual_endpoint()));
            }
            Source::Flag(flag) => {
                hints.push(format!("leave out {flag} to use {}", self.usual_endpoint()));
            }
            Source::EnvFile { name, path, .. } if !source.is_project() => hints.push(format!(
                "remove {name} from '{}' to use {}",
                path.display(),
                self.usual_endpoint()
            )),
            _ => {}
        }
        let own_key = "set OPENAI_API_KEY to a key of that endpoint";
        let file = source.env_file().filter(|_| source.is_project());
        let trust = file.zip(self.chain);
        let trust = trust.and_then(|(file, chain)| chain.trust_command(file, false));
        hints.push(match (trust, &credential.binding) {
            (Some(trust), None) => format!("run '{trust}' if that endpoint may have it"),
            (Some(trust), Some(_)) => format!("or run '{trust}', and {own_key}"),
            (None, _) => format!("or {own_key}"),
        });
        if matches!(source, Source::EnvFile { .. }) && source.is_project() {
            hints
                .push("or set OPENAI_BASE_URL in the environment to choose the endpoint yourself".to_owned());
        }
        hints
    }

    fn usual_endpoint(&self) -> String {
        match self.profile {
            Some(name) => format!("the endpoint of profile '{}'", name.value),
            None => "the usual endpoint".to_owned(),
        }
    }
}

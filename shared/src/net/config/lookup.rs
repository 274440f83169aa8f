//! Variables of the process environment and of the `.env` chain.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::file::Config;
use super::settings::{Source, Sourced};
use crate::dotenv::{EnvChain, Record, Search, SharedFiles, Trust};
use crate::exit::Failure;

/// The process environment and the chain of the working directory, which is read when first needed.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// `None` for a lookup that finds nothing.
    search: Option<Search>,
    chain: OnceCell<EnvChain>,
    record: OnceCell<Record>,
}

impl Lookup {
    /// # Errors
    /// 78 when `QWEN_ENV_CHAIN` names no rule.
    pub(super) fn from_process() -> Result<Self, Failure> {
        Ok(Self::of(Search::from_process(None, None)?))
    }

    /// As [`Lookup::from_process`], with what the configuration says of the chain.
    ///
    /// # Errors
    /// As there.
    pub(super) fn configured(config: &Config) -> Result<Self, Failure> {
        let mut search = Search::from_process(None, None)?;
        search.consent.allow = Some(config.allow.clone());
        Ok(Self::of(search))
    }

    fn of(search: Search) -> Self {
        Self {
            search: Some(search),
            ..Self::default()
        }
    }

    /// As [`Lookup::from_process`], with files as they were read.
    ///
    /// # Errors
    /// As there.
    pub(super) fn with_files(shared: SharedFiles) -> Result<Self, Failure> {
        let search = Search::from_process(None, None)?;
        Ok(Self::of(Search { shared, ..search }))
    }

    /// Returns the files that others read too.
    pub(super) fn shared_files(&self) -> SharedFiles {
        self.search
            .as_ref()
            .map(|search| search.shared.clone())
            .unwrap_or_default()
    }

    /// Returns the first value that is not blank: a variable that a wrapper or a CI system sets to nothing hides
    /// nothing.
    pub(super) fn value(&self, name: &str) -> Option<Sourced<String>> {
        self.environment(name).or_else(|| self.in_chain(name))
    }

    /// Returns the value in the process environment, unless it is blank or says that there is no key.
    pub(super) fn environment(&self, name: &str) -> Option<Sourced<String>> {
        let search = self.search.as_ref()?;
        let raw = std::env::var_os(name)?;
        let value = raw.to_string_lossy();
        let value = value.trim();
        if value.is_empty() || self.record().is_no_key(name, &raw) {
            return None;
        }
        Some(Sourced::new(value.to_owned(), self.standing(search, name, &raw)))
    }

    fn in_chain(&self, name: &str) -> Option<Sourced<String>> {
        let variable = self.chain()?.variable(name)?;
        let value = variable.value.expose().trim();
        let source = Source::EnvFile {
            name: name.to_owned(),
            path: variable.path.to_path_buf(),
            line: variable.line,
            trust: variable.trust,
        };
        (!value.is_empty()).then(|| Sourced::new(value.to_owned(), source))
    }

    /// Returns the chain.
    pub(super) fn chain(&self) -> Option<&EnvChain> {
        let search = self.search.as_ref()?;
        Some(self.chain.get_or_init(|| EnvChain::resolve(search)))
    }

    /// Returns the file that the variable came from, where the shell around this process does not have it.
    pub(super) fn file_in_call(&self, name: &str) -> Option<PathBuf> {
        let value = std::env::var_os(name)?;
        self.record().file_in_call(name, &value)
    }

    fn record(&self) -> &Record {
        self.record
            .get_or_init(|| Record::from_process().unwrap_or_default())
    }

    /// What `qwen-env` exported has the standing of its file as it is now: consent given since counts.
    fn standing(&self, search: &Search, name: &str, value: &OsStr) -> Source {
        let own = || Source::Environment(name.to_owned());
        match self
            .record()
            .origin(name, value)
            .filter(|exported| exported.project)
        {
            None => own(),
            Some(exported) => match exported.file {
                Some(file) if is_trusted(search, &file, name, value) => own(),
                // The user may have set another key since: it must not pass for the file's. An address stays the file's.
                Some(file)
                    if !exported.proven && name != "OPENAI_BASE_URL" && !sets(search, &file, name, value) =>
                {
                    own()
                }
                path => Source::Exported {
                    name: name.to_owned(),
                    path,
                },
            },
        }
    }
}

/// True when the file sets this value still, and the user has consented to it.
fn is_trusted(search: &Search, file: &Path, name: &str, value: &OsStr) -> bool {
    trust_of(search, file, name, value).is_some_and(|trust| trust != Trust::UntrustedProject)
}

/// True when the file sets this value still.
fn sets(search: &Search, file: &Path, name: &str, value: &OsStr) -> bool {
    trust_of(search, file, name, value).is_some()
}

/// Returns how far a file is trusted that sets this value still.
fn trust_of(search: &Search, file: &Path, name: &str, value: &OsStr) -> Option<Trust> {
    let search = Search {
        file: Some(file.to_path_buf()),
        ..search.clone()
    };
    let chain = EnvChain::resolve(&search);
    let variable = chain.variable(name)?;
    (OsStr::new(variable.value.expose()) == value).then_some(variable.trust)
}

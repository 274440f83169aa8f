//! Variables of the process environment and of the `.env` chain.

use std::cell::OnceCell;

use super::settings::{Source, Sourced};
use crate::dotenv::{EnvChain, Search};
use crate::exit::Failure;

/// The process environment and the chain of the working directory, which is read when first needed.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// `None` for a lookup that finds nothing.
    search: Option<Search>,
    chain: OnceCell<EnvChain>,
}

impl Lookup {
    /// # Errors
    /// 78 when `QWEN_ENV_CHAIN` names no rule.
    pub(super) fn from_process() -> Result<Self, Failure> {
        Ok(Self {
            search: Some(Search::from_process(None, None)?),
            chain: OnceCell::new(),
        })
    }

    /// Returns the first value that is not blank: a variable that a wrapper or a CI system sets to nothing hides
    /// nothing.
    pub(super) fn value(&self, name: &str) -> Option<Sourced<String>> {
        let search = self.search.as_ref()?;
        let environment = std::env::var_os(name).unwrap_or_default();
        let value = environment.to_string_lossy();
        if !value.trim().is_empty() {
            let source = Source::Environment(name.to_owned());
            return Some(Sourced::new(value.trim().to_owned(), source));
        }
        let chain = self.chain.get_or_init(|| EnvChain::resolve(search));
        let variable = chain.variable(name)?;
        let value = variable.value.expose().trim();
        let source = Source::EnvFile {
            name: name.to_owned(),
            path: variable.path.to_path_buf(),
            line: variable.line,
            trust: variable.trust,
        };
        (!value.is_empty()).then(|| Sourced::new(value.to_owned(), source))
    }
}

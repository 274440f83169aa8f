//! One variable, looked up where SPEC's order says: process environment, then `.env` chain.

use super::source::{Source, Sourced};
use crate::env::{EnvChain, Search};
use crate::failure::Failure;

/// The process environment and the chain of the working directory. The chain is read when first asked for.
#[derive(Debug)]
pub(super) struct Lookup {
    search: Search,
    chain: std::cell::OnceCell<EnvChain>,
}

impl Lookup {
    /// Looks from the working directory, by the rule that `QWEN_ENV_CHAIN` names.
    ///
    /// # Errors
    /// Exit 78 when `QWEN_ENV_CHAIN` names no rule.
    pub(super) fn from_process() -> Result<Self, Failure> {
        Ok(Self {
            search: Search::from_process(None, None)?,
            chain: std::cell::OnceCell::new(),
        })
    }

    /// Returns the chain.
    pub(super) fn chain(&self) -> &EnvChain {
        self.chain.get_or_init(|| EnvChain::resolve(&self.search))
    }

    /// Returns the first value that is not blank: a blank variable of the environment, as wrappers and CI systems set
    /// for what they do not know, hides nothing.
    pub(super) fn value(&self, name: &str) -> Option<Sourced<String>> {
        if let Some(value) = std::env::var_os(name) {
            let value = value.to_string_lossy();
            if !value.trim().is_empty() {
                return Some(Sourced::new(
                    value.trim().to_owned(),
                    Source::Environment(name.to_owned()),
                ));
            }
        }
        let variable = self.chain().variable(name)?;
        let value = variable.value.expose().trim();
        (!value.is_empty()).then(|| {
            let source = Source::EnvFile {
                name: name.to_owned(),
                path: variable.path.to_path_buf(),
                line: variable.line,
                standing: variable.standing,
            };
            Sourced::new(value.to_owned(), source)
        })
    }
}

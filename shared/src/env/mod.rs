//! The `.env` chain: the first file found, walking upward, then in the home directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::paths;

/// How the files of the chain go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainRule {
    /// The first file found is the only one.
    First,
    /// The first project file, then each home file, every one filling what is still unset.
    Merge,
}

/// What to search.
#[derive(Clone, Debug)]
pub struct Search {
    /// The directory to begin at.
    pub start: PathBuf,
    /// The rule.
    pub rule: ChainRule,
    /// This file alone, instead of a search.
    pub file: Option<PathBuf>,
}

impl Search {
    /// Searches from the working directory.
    #[must_use]
    pub fn from_process(rule: Option<ChainRule>, file: Option<PathBuf>) -> Self {
        Self {
            start: std::env::current_dir().unwrap_or_default(),
            rule: rule.unwrap_or(ChainRule::First),
            file,
        }
    }

    fn candidates(&self) -> Vec<(PathBuf, Standing)> {
        let upward = self.start.ancestors().map(|at| (at, Standing::UntrustedProject));
        let home = paths::home();
        upward
            .chain(home.as_deref().map(|home| (home, Standing::Home)))
            .flat_map(|(at, standing)| [(at.join(".qwen/.env"), standing), (at.join(".env"), standing)])
            .map(|(path, standing)| match &home {
                Some(home) if path.parent() == Some(home) => (path, Standing::Home),
                _ => (path, standing),
            })
            .collect()
    }
}

/// Whose a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The user's own.
    Home,
    /// It came with a project, and the user trusts it.
    TrustedProject,
    /// It came with a project.
    UntrustedProject,
}

/// A variable that the chain gives.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The file it is in.
    pub path: Arc<Path>,
    /// The line, from 1.
    pub line: u32,
    /// Whose the file is.
    pub standing: Standing,
}

/// The resolved chain.
#[derive(Clone, Debug, Default)]
pub struct EnvChain {
    variables: Vec<Variable>,
}

impl EnvChain {
    /// Reads the files.
    #[must_use]
    pub fn resolve(search: &Search) -> Self {
        let found = match &search.file {
            Some(file) => Some((file.clone(), Standing::UntrustedProject)),
            None => search.candidates().into_iter().find(|(path, _)| path.is_file()),
        };
        let Some((path, standing)) = found else {
            return Self::default();
        };
        let path: Arc<Path> = path.into();
        let pairs = dotenvy::from_path_iter(&path).into_iter().flatten().flatten();
        let variables = pairs
            .map(|(name, value)| Variable {
                name,
                value,
                path: Arc::clone(&path),
                line: 1,
                standing,
            })
            .collect();
        Self { variables }
    }

    /// Returns the last assignment of that name.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|variable| variable.name == name)
    }
}

//! Completion of `KEY=VALUE`.

use std::ffi::OsStr;

use clap_complete::engine::CompletionCandidate;
use qwen_shared::net::config::{Config, Kind, MEMBERS, member_at};
use qwen_shared::provider;

/// Returns what may stand in the place of a profile's name or of `KEY=VALUE`.
pub(crate) fn assignments(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = current.to_str() else {
        return Vec::new();
    };
    match typed.split_once('=') {
        Some((key, value)) => values(key, value),
        None => keys(typed),
    }
}

fn keys(typed: &str) -> Vec<CompletionCandidate> {
    let profiles = profiles().into_iter().map(|name| (name, "a profile".to_owned()));
    let members = MEMBERS.iter().filter_map(|member| {
        let path = match member.path.strip_prefix("profiles.*.") {
            Some(path) => path,
            None if member.path.starts_with("profiles") || member.path.starts_with('$') => return None,
            None => member.path,
        };
        let sign = match member.kind {
            Kind::Object => return None,
            Kind::Texts | Kind::Values => ".",
            _ => "=",
        };
        Some((format!("{path}{sign}"), member.about.to_owned()))
    });
    profiles
        .chain(members)
        .filter(|(word, _)| word.starts_with(typed))
        .map(|(word, about)| CompletionCandidate::new(word).help(Some(about.into())))
        .collect()
}

fn values(key: &str, typed: &str) -> Vec<CompletionCandidate> {
    let member = member_at(key).or_else(|| member_at(&format!("profiles.*.{key}")));
    let values: Vec<String> = match member.map(|member| member.kind) {
        Some(Kind::Word(words)) => words.iter().map(ToString::to_string).collect(),
        Some(Kind::Bool) => vec!["true".to_owned(), "false".to_owned()],
        Some(Kind::Provider) => provider::all().map(|provider| provider.name.clone()).collect(),
        Some(Kind::Profile) => profiles(),
        Some(Kind::Url) if key == "base_url" => {
            let regions = provider::all().flat_map(|provider| &provider.regions);
            regions
                .map(|region| region.base_url.clone())
                .filter(|url| !url.is_empty())
                .collect()
        }
        Some(Kind::Variable) => provider::all()
            .filter_map(|provider| provider.key_variable.clone())
            .collect(),
        _ => Vec::new(),
    };
    let mut values: Vec<String> = values
        .into_iter()
        .filter(|value| value.starts_with(typed))
        .collect();
    values.dedup();
    values
        .into_iter()
        .map(|value| CompletionCandidate::new(format!("{key}={value}")))
        .collect()
}

fn profiles() -> Vec<String> {
    Config::load()
        .map(|config| config.profiles.into_keys().collect())
        .unwrap_or_default()
}

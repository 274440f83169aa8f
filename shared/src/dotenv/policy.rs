//! Which variables a file may set.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;
use url::Url;

use super::trust::Trust;
use crate::provider;
use crate::settings_files::{Members, ProjectFile, SettingsFault, SettingsFile, SettingsFiles};

/// The variable in which `qwen-env` remembers what it exported. No file may set it.
pub const RECORD: &str = "QWEN_ENV_EXPORTED";

/// The names that a project's plain `.env` does not set, unless Qwen Code's settings say otherwise.
const EXCLUDED: [&str; 2] = ["DEBUG", "DEBUG_MODE"];

/// The variables that no file sets, whoever consents: they decide who the user is to the toolkit, and what it did.
const RESERVED: [&str; 2] = [RECORD, "QWEN_PROFILE"];

/// The beginning of the names of variables and functions in the code for shells, in any case. No file may set one.
const SHELL_HELPERS: &str = "_qwen_env";

/// The variables of the toolkit that a project file sets without consent, besides the providers' keys.
const OWN: [&str; 4] = [
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "OPENAI_API_VERSION",
];

/// Returns whether no file sets this variable, whoever consents.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    let start = name.get(..SHELL_HELPERS.len());
    RESERVED.contains(&name) || start.is_some_and(|start| start.eq_ignore_ascii_case(SHELL_HELPERS))
}

/// Returns whether a project file sets this variable without consent.
pub(super) fn is_own_name(name: &str) -> bool {
    OWN.contains(&name) || provider::is_key_variable(name)
}

/// Returns the excluded names: the union of the lists in the user's and the system's settings, or the built-in pair when
/// none of them has a list. A project's settings only add names: they came with the files that the rule is about.
///
/// The newer member is `advanced.excludedEnvVars`, the older `excludedProjectEnvVars` at the top. A file that is not
/// there, or is not JSON, has no list: it is Qwen Code's file, and Qwen Code reports the fault.
pub(super) fn excluded_names(settings: &SettingsFiles) -> BTreeSet<String> {
    let files = settings.all().map(SettingsFile::members);
    let mut lists: Vec<Vec<String>> = files.filter_map(excluded_list).collect();
    if lists.is_empty() {
        lists.push(EXCLUDED.iter().map(|&name| name.to_owned()).collect());
    }
    let project = settings.project().filter(|project| project.is_own);
    lists.extend(project.map(ProjectFile::members).and_then(excluded_list));
    lists.into_iter().flatten().collect()
}

fn excluded_list(members: Result<&Members, &SettingsFault>) -> Option<Vec<String>> {
    let settings = members.ok()?.as_ref()?;
    let list = settings
        .get("advanced")
        .and_then(|advanced| advanced.get("excludedEnvVars"))
        .or_else(|| settings.get("excludedProjectEnvVars"))?;
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}

/// Returns, of the names that a file sets, those that go with an excluded one, each with the name that it goes with: a key
/// without its address would go to another server, an address without its key get another key.
#[must_use]
pub fn partners<'n>(
    names: impl Iterator<Item = &'n str>,
    excluded: &BTreeSet<String>,
) -> BTreeMap<&'n str, &'n str> {
    if excluded.is_empty() {
        return BTreeMap::new();
    }
    let names: BTreeSet<&str> = names.collect();
    let mut parted = BTreeMap::new();
    let mut out: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| excluded.contains(*name))
        .collect();
    // One address has one key, a key may have several addresses.
    let mut others: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for address in &names {
        if let Some(key) = key_name(address).and_then(|key| names.get(key.as_str()).copied()) {
            others.entry(address).or_default().push(key);
            others.entry(key).or_default().push(address);
        }
    }
    while let Some(name) = out.pop() {
        for &other in others.get(name).into_iter().flatten() {
            if !excluded.contains(other) && !parted.contains_key(other) {
                parted.insert(other, name);
                out.push(other);
            }
        }
    }
    parted
}

/// The suffixes of names of addresses, and what the key's name keeps of each. A suffix comes before those it ends in.
const ADDRESSES: [(&str, &str); 4] = [
    ("_API_BASE_URL", ""),
    ("_BASE_URL", ""),
    ("_API_BASE", ""),
    ("OPENAI_ENDPOINT", "OPENAI"),
];

/// Returns the name of the key that goes with an address: `X_API_KEY` for `X_BASE_URL`, `X_API_BASE` and
/// `X_API_BASE_URL`, `AZURE_OPENAI_API_KEY` for Azure's `AZURE_OPENAI_ENDPOINT`; `None` for any other name.
#[must_use]
pub fn key_name(url_name: &str) -> Option<String> {
    let (vendor, kept) = ADDRESSES
        .iter()
        .find_map(|(suffix, kept)| Some((url_name.strip_suffix(suffix)?, kept)))?;
    let owner = format!("{vendor}{kept}");
    (!owner.is_empty()).then(|| owner + "_API_KEY")
}

/// Returns whether a key may be sent to an address that a file of the chain gave.
///
/// An untrusted project file came with a clone: it may say where *its own* key goes, not where the user's goes. So an
/// address of such a file counts only with a key of the same file. `key_file` is `None` when the key is from anywhere
/// else (the environment, a profile, the keyring), is blank, or is not known yet.
#[must_use]
pub fn may_pair(url_trust: Trust, url_file: &Path, key_file: Option<&Path>) -> bool {
    url_trust != Trust::UntrustedProject || key_file == Some(url_file)
}

/// Returns whether two texts are addresses of the same server.
#[must_use]
pub fn is_same_origin(one: &str, other: &str) -> bool {
    web_address(one)
        .zip(web_address(other))
        .is_some_and(|(one, other)| one.origin() == other.origin())
}

fn web_address(text: &str) -> Option<Url> {
    let url = Url::parse(text.trim()).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{
        RECORD, excluded_list, is_own_name, is_reserved, is_same_origin, key_name, may_pair, partners,
    };
    use crate::dotenv::Trust;
    use crate::settings_files::SettingsFile;

    #[test]
    fn a_key_and_all_its_addresses_go_together_and_nothing_else_does() {
        let names = [
            "A_API_KEY",
            "A_BASE_URL",
            "A_API_BASE",
            "B_API_KEY",
            "B_BASE_URL",
            "C_BASE_URL",
            "GREETING",
        ];
        for (excluded, expected) in [
            ("A_BASE_URL", &["A_API_BASE", "A_API_KEY"][..]),
            ("A_API_KEY", &["A_API_BASE", "A_BASE_URL"]),
            ("B_API_KEY", &["B_BASE_URL"]),
            ("C_BASE_URL", &[]),
            ("C_API_KEY", &[]),
            ("GREETING", &[]),
        ] {
            let excluded = BTreeSet::from([excluded.to_owned()]);
            let parted = partners(names.into_iter(), &excluded);
            assert_eq!(parted.into_keys().collect::<Vec<_>>(), expected, "{excluded:?}");
        }
    }

    /// A search through all names for each of them would take hours.
    #[test]
    fn pairs_are_found_among_hundreds_of_thousands() {
        let keys: BTreeSet<String> = (0..200_000).map(|number| format!("V{number}_API_KEY")).collect();
        let addresses = (0..200_000).map(|number| format!("V{number}_BASE_URL"));
        let names: Vec<String> = keys.iter().cloned().chain(addresses).collect();
        let parted = partners(names.iter().map(String::as_str), &keys);
        assert_eq!(parted.len(), 200_000);
        let is_pair = |(address, key): (&&str, &&str)| {
            address.trim_end_matches("_BASE_URL") == key.trim_end_matches("_API_KEY")
        };
        assert!(parted.iter().all(is_pair));
    }

    #[test]
    fn no_file_sets_what_the_toolkit_keeps_for_itself() {
        for name in [RECORD, "QWEN_PROFILE", "_qwen_env", "_QWEN_ENV_hook"] {
            assert!(is_reserved(name), "{name}");
        }
        for name in ["QWEN_PROFILES", "qwen_env", "_qwen_en", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn a_project_sets_keys_and_the_names_of_the_toolkit_alone() {
        for name in ["OPENAI_API_KEY", "OPENAI_MODEL", "DASHSCOPE_API_KEY"] {
            assert!(is_own_name(name), "{name}");
        }
        for name in ["PATH", "OPENAI_ORG_ID", "openai_api_key", ""] {
            assert!(!is_own_name(name), "{name}");
        }
    }

    #[test]
    fn every_name_of_an_address_has_the_name_of_its_key() {
        for (address, key) in [
            ("X_BASE_URL", Some("X_API_KEY")),
            ("X_API_BASE", Some("X_API_KEY")),
            ("X_API_BASE_URL", Some("X_API_KEY")),
            ("OPENAI_ENDPOINT", Some("OPENAI_API_KEY")),
            ("AZURE_OPENAI_ENDPOINT", Some("AZURE_OPENAI_API_KEY")),
            ("X_ENDPOINT", None),
            ("X_URL", None),
            ("_BASE_URL", None),
        ] {
            assert_eq!(key_name(address).as_deref(), key, "{address}");
        }
    }

    #[test]
    fn an_address_from_a_clone_takes_the_key_of_its_own_file_alone() {
        let (file, other) = (Path::new("/p/.env"), Path::new("/home/u/.env"));
        for (trust, key, may) in [
            (Trust::UntrustedProject, Some(file), true),
            (Trust::UntrustedProject, Some(other), false),
            (Trust::UntrustedProject, None, false),
            (Trust::TrustedProject, Some(other), true),
            (Trust::Home, None, true),
        ] {
            assert_eq!(may_pair(trust, file, key), may, "{trust:?} {key:?}");
        }
    }

    #[test]
    fn a_server_is_known_by_scheme_host_and_port() {
        for (one, other, is_same) in [
            ("https://a.example/v1", " https://A.example:443/x\n", true),
            ("http://a.example", "https://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://b.example", false),
            ("ftp://a.example", "ftp://a.example", false),
            ("a.example", "a.example", false),
        ] {
            assert_eq!(is_same_origin(one, other), is_same, "{one} {other}");
        }
    }

    #[test]
    fn the_newer_member_of_the_settings_goes_before_the_older() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("settings.json");
        for (text, names) in [
            (
                r#"{"advanced": {"excludedEnvVars": ["A", 1, "B"]}, "excludedProjectEnvVars": ["C"]}"#,
                Some(vec!["A", "B"]),
            ),
            (
                r#"{"excludedProjectEnvVars": ["C"] /* and no more */}"#,
                Some(vec!["C"]),
            ),
            (r#"{"excludedProjectEnvVars": "C"}"#, None),
            ("{}", None),
            ("C", None),
        ] {
            fs::write(&file, text).unwrap();
            let expected = names.map(|names| names.into_iter().map(str::to_owned).collect());
            assert_eq!(
                excluded_list(SettingsFile::new(file.clone()).members()),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            excluded_list(SettingsFile::new(directory.path().join("none")).members()),
            None
        );
    }
}

//! The environment of the command: where the endpoint is, and nothing that opens another one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use qwen_shared::dotenv::{RECORD, carriers};
use qwen_shared::net::config::LENT_ADDRESS;
use qwen_shared::provider;
use qwen_shared::secret::Secret;

use super::notify;

/// The address of the proxy, under the names that clients read it by.
pub(crate) const ADDRESSES: [&str; 2] = ["OPENAI_BASE_URL", "OPENAI_API_BASE"];
const KEY: &str = "OPENAI_API_KEY";
const MODEL: &str = "OPENAI_MODEL";
const SOCKET: &str = "QWEN_PROXY_SOCKET";
/// The variable with the process ID of a proxy without a command.
const PID: &str = "QWEN_PROXY_PID";
/// Some clients read one, some the other, and most that read both stop at the first.
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// What clients reach without a proxy, whatever proxy the environment names.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// What opens the endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// `None` where only the socket leads to it.
    pub(crate) base_url: Option<String>,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) token: Secret<String>,
    pub(crate) model: Option<String>,
}

/// The variables to set, and those to remove.
pub(crate) type Changes = BTreeMap<OsString, Option<OsString>>;

impl Access {
    /// Returns the variables that lead a client to the endpoint. `environment` is what stands around them.
    pub(crate) fn variables(
        &self,
        environment: &BTreeMap<OsString, OsString>,
    ) -> BTreeMap<&'static str, OsString> {
        let mut set = BTreeMap::from([(KEY, OsString::from(self.token.expose()))]);
        for name in ADDRESSES.into_iter().chain([LENT_ADDRESS]) {
            set.extend(self.base_url.as_ref().map(|url| (name, url.into())));
        }
        set.extend(self.model.as_ref().map(|model| (MODEL, model.into())));
        set.extend(self.socket.as_ref().map(|socket| (SOCKET, socket.into())));
        if let Some(url) = &self.base_url {
            let hosts = hosts(url);
            let get = |name: &str| {
                environment
                    .get(OsStr::new(name))
                    .filter(|value| !value.is_empty())
            };
            for (name, other) in [(NO_PROXY[0], NO_PROXY[1]), (NO_PROXY[1], NO_PROXY[0])] {
                let before = get(name).or_else(|| get(other));
                set.insert(name, with_hosts(before.map(OsString::as_os_str), &hosts));
            }
        }
        set
    }

    /// Returns what the environment of a command differs by from this process's. `is_lent` is true for a value with the
    /// credential.
    pub(crate) fn changes(
        &self,
        environment: &BTreeMap<OsString, OsString>,
        without_proxies: bool,
        is_lent: impl Fn(&OsStr) -> bool,
    ) -> Changes {
        let removed = removed(environment, without_proxies, is_lent);
        let mut changes: Changes = removed.map(|name| (name.clone(), None)).collect();
        let set = self.variables(environment).into_iter();
        changes.extend(set.map(|(name, value)| (name.into(), Some(value))));
        changes
    }

    /// Returns the names that a shell is to unset: those that a command's environment lacks, but for what was said about the
    /// shell itself, and an address that the token would go to where only the socket leads to the endpoint.
    pub(crate) fn removed_from_shell(
        &self,
        environment: &BTreeMap<OsString, OsString>,
        without_proxies: bool,
        is_lent: impl Fn(&OsStr) -> bool,
    ) -> BTreeSet<String> {
        let set = self.variables(environment);
        removed(environment, without_proxies, is_lent)
            .filter_map(|name| name.to_str())
            .filter(|name| is_identifier(name) && !is_of_process(name))
            .chain(ADDRESSES)
            .chain([LENT_ADDRESS])
            .filter(|name| !set.contains_key(name))
            .map(str::to_owned)
            .collect()
    }
}

/// Returns the names of the variables that a command does not find.
fn removed(
    environment: &BTreeMap<OsString, OsString>,
    without_proxies: bool,
    is_lent: impl Fn(&OsStr) -> bool,
) -> impl Iterator<Item = &OsString> {
    let carriers = carriers(ADDRESSES[0]);
    let is_removed = move |name: &str| {
        carriers.iter().any(|carrier| carrier == name)
            || is_of_process(name)
            || opens_other_endpoint(name)
            || without_proxies && is_proxy(name)
    };
    environment
        .iter()
        .filter(move |(name, value)| name.to_str().is_some_and(&is_removed) || is_lent(value))
        .map(|(name, _)| name)
}

/// True for a name that a shell can unset.
fn is_identifier(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// True for what was said about this process alone.
fn is_of_process(name: &str) -> bool {
    name == RECORD || name == notify::SOCKET || name.to_ascii_lowercase().starts_with("listen_")
}

/// Returns the names of the host of a URL that clients may look for in `NO_PROXY`.
fn hosts(url: &str) -> Vec<String> {
    let mut hosts: Vec<String> = LOOPBACK.map(str::to_owned).into();
    let host = url::Url::parse(url)
        .ok()
        .and_then(|url| Some(url.host_str()?.to_owned()));
    if let Some(host) = host.filter(|host| !hosts.contains(host)) {
        // An IPv6 address: with brackets for some, without for others.
        if let Some(bare) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            hosts.push(bare.to_owned());
        }
        hosts.push(host);
    }
    hosts
}

/// Appends hosts to a value of `NO_PROXY`. A lone `*` stays: it stands for all of them, and only where it is alone.
fn with_hosts(before: Option<&OsStr>, hosts: &[String]) -> OsString {
    let before = before.unwrap_or_default();
    let text = before.to_string_lossy();
    let has = |host: &str| text.split(',').any(|entry| entry.trim() == host);
    if text.trim() == "*" {
        return before.to_owned();
    }
    let mut value = before.to_owned();
    for host in hosts.iter().filter(|host| !has(host)) {
        if !value.is_empty() {
            value.push(",");
        }
        value.push(host);
    }
    value
}

/// True for the variable of a credential, or of what goes with one, for a model's API other than the one that is lent, and for
/// one that sends a client there.
fn opens_other_endpoint(name: &str) -> bool {
    const OWN: [&str; 5] = [SOCKET, PID, LENT_ADDRESS, ADDRESSES[0], ADDRESSES[1]];
    let lower = name.to_ascii_lowercase();
    OWN.contains(&name)
        || is_of_openai(&lower)
        || lower.strip_prefix("azure_").is_some_and(is_of_azure)
        || provider::all()
            .filter_map(|provider| provider.key_variable.as_deref())
            .any(|key| name == key || is_of_vendor(&lower, key))
}

/// True for a variable of OpenAI's API, whichever client reads it: `OPENAI_API_TYPE`, `AIDER_OPENAI_API_BASE`.
fn is_of_openai(name: &str) -> bool {
    let is_named = name.split('_').any(|word| word.ends_with("openai"));
    let lists: [&[&str]; 4] = [&CREDENTIALS, &ACCOUNTS, &PLACES, &["proxy"]];
    is_named && last_word(name).is_some_and(|last| lists.iter().any(|list| list.contains(&last)))
}

/// True for a credential of Azure's, and for the address of its models, by the rest of the name.
fn is_of_azure(rest: &str) -> bool {
    const OF_MODELS: [&str; 8] = [
        "api",
        "ai",
        "inference",
        "foundry",
        "model",
        "models",
        "chat",
        "embedding",
    ];
    let Some(last) = last_word(rest) else {
        return false;
    };
    let mut others = rest
        .split('_')
        .filter(|word| *word != last && !LAST_NOT.contains(word));
    CREDENTIALS.contains(&last)
        || PLACES.contains(&last) && others.all(|word| OF_MODELS.contains(&word) || PLACES.contains(&word))
}

/// True for another credential of a provider, or its address, by the variable of its key.
fn is_of_vendor(name: &str, key: &str) -> bool {
    let vendor = key.strip_suffix("_API_KEY").map(str::to_ascii_lowercase);
    let rest = vendor.and_then(|vendor| name.strip_prefix(&format!("{vendor}_")).map(str::to_owned));
    let last = rest.as_deref().and_then(last_word);
    last.is_some_and(|last| CREDENTIALS.contains(&last) || PLACES.contains(&last))
}

/// The words at the end of the name of a credential, or of what is sent beside it.
const CREDENTIALS: [&str; 12] = [
    "key",
    "keys",
    "apikey",
    "token",
    "secret",
    "password",
    "pass",
    "credential",
    "credentials",
    "auth",
    "cookie",
    "headers",
];

/// The words at the end of the name of what an account is divided into.
const ACCOUNTS: [&str; 4] = ["org", "organization", "organisation", "project"];

/// The words at the end of the name of what says where an API is, or of which kind.
const PLACES: [&str; 16] = [
    "base",
    "url",
    "urls",
    "baseurl",
    "uri",
    "host",
    "hostname",
    "endpoint",
    "endpoints",
    "domain",
    "server",
    "address",
    "gateway",
    "type",
    "provider",
    "deployment",
];

/// What is no last word: it says in which form the value is, or whose.
const LAST_NOT: [&str; 4] = ["id", "file", "path", "openai"];

/// Returns the last word of a variable's name, but for a number, or what says that it is in a file.
fn last_word(name: &str) -> Option<&str> {
    name.split('_')
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
        .filter(|word| !word.is_empty())
        .rfind(|word| !LAST_NOT.contains(word))
}

/// True for a variable by which programs find a proxy.
fn is_proxy(name: &str) -> bool {
    const SCHEMES: [&str; 10] = [
        "http", "https", "all", "ftp", "socks", "socks4", "socks5", "ws", "wss", "grpc",
    ];
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("npm_config_").unwrap_or(&name);
    name == "proxy"
        || name
            .strip_suffix("_proxy")
            .or_else(|| name.strip_suffix("-proxy"))
            .is_some_and(|scheme| SCHEMES.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::{OsStr, OsString};

    use super::{Access, is_of_process, is_proxy, opens_other_endpoint, with_hosts};
    use qwen_shared::secret::Secret;

    /// What leads a client elsewhere, or opens another endpoint.
    const OF_OTHERS: &[&str] = &[
        "OPENAI_ADMIN_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_ORGANIZATION",
        "OPENAI_PROJECT",
        "OPENAI_PROJECT_ID",
        "OPENAI_CUSTOM_HEADERS",
        "OPENAI_WEBHOOK_SECRET",
        "OPENAI_API_KEY_2",
        "OPENAI_API_KEY_PATH",
        "OPENAI_KEY",
        "OPENAI_TOKEN",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_KEY",
        "AZURE_API_KEY",
        "AZURE_CLIENT_SECRET",
        "DASHSCOPE_API_KEY",
        "DASHSCOPE_API_KEY_FILE_PATH",
        "DASHSCOPE_HTTP_BASE_URL",
        "OPENROUTER_API_KEY",
        "OPENROUTER_API_BASE",
        "DEEPSEEK_API_KEY",
        "DEEPSEEK_BASE_URL",
        "OPENAI_API_TYPE",
        "OPENAI_API_HOST",
        "OPENAI_HOST",
        "OPENAI_ENDPOINT",
        "OPENAI_API_BASE_URL",
        "OPENAI_API_BASE_URLS",
        "OPENAI_BASE_PATH",
        "OPENAI_BASE_URI",
        "OPENAI_PROXY",
        "OPENAI_PROXY_URL",
        "OPENAI_PROVIDER",
        "AIDER_OPENAI_API_BASE",
        "AIDER_OPENAI_API_KEY",
        "SPRING_AI_OPENAI_BASE_URL",
        "API_BASE_OPENAI",
        "AZURE_OPENAI_ENDPOINT",
        "AZURE_OPENAI_BASE_URL",
        "AZURE_OPENAI_DEPLOYMENT",
        "AZURE_API_BASE",
        "AZURE_API_TYPE",
        "AZURE_AI_ENDPOINT",
        "AZURE_INFERENCE_ENDPOINT",
        "AZURE_INFERENCE_CREDENTIAL",
        "openai_api_type",
    ];

    #[test]
    fn what_opens_another_endpoint_is_known_by_its_name() {
        for name in OF_OTHERS {
            assert!(opens_other_endpoint(name), "{name}");
        }
        for name in ["QWEN_ENV_EXPORTED", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET"] {
            assert!(is_of_process(name), "{name}");
        }
    }

    #[test]
    fn a_shell_unsets_what_opens_another_endpoint_and_keeps_what_is_its_own() {
        let access = Access {
            base_url: None,
            socket: Some("/s".into()),
            token: Secret::new("sk-x".to_owned()),
            model: None,
        };
        let names = [
            "OPENAI_ORG_ID",
            "OPENAI_API_KEY",
            "QWEN_PROXY_SOCKET",
            "QWEN_ENV_EXPORTED",
            "LISTEN_FDS",
            "https_proxy",
            "MINE",
            "BASH_FUNC_x%%",
            "A;rm -r .",
            "1",
        ];
        let environment = names
            .map(|name| (OsString::from(name), OsString::from("v")))
            .into();
        let unset = |without, value: &str| {
            let unset = access.removed_from_shell(&environment, without, |lent| lent == value);
            unset.into_iter().collect::<Vec<_>>()
        };
        let addresses = [
            "OPENAI_API_BASE",
            "OPENAI_BASE_URL",
            "OPENAI_ORG_ID",
            "QWEN_PROXY_URL",
        ];
        assert_eq!(unset(false, "other"), addresses);
        assert_eq!(
            unset(true, "v"),
            [&["MINE"], &addresses[..], &["https_proxy"]].concat()
        );
    }

    #[test]
    fn what_opens_no_endpoint_stays() {
        for name in [
            "OPENAI_LOG",
            "OPENAI_MAX_TOKENS",
            "OPENAI_TIMEOUT",
            "OPENAI_API_VERSION",
            "AZURE_AUTHORITY_HOST",
            "AZURE_AI_SEARCH_ENDPOINT",
            "AZURE_STORAGE_URL",
            "OPENAI_DEFAULT_MODEL",
            "OPENAI_LOG_FILE",
            "GITHUB_SERVER_URL",
            "HF_ENDPOINT",
            "DATABASE_URL",
            "AZURE_DEVOPS_PROJECT",
            "AZURE_SUBSCRIPTION_ID",
            "AWS_SECRET_ACCESS_KEY",
            "PATH",
            "HOME",
            "QWEN_HOME",
        ] {
            assert!(!opens_other_endpoint(name), "{name}");
        }
    }

    #[test]
    fn loopback_is_added_to_what_goes_without_a_proxy() {
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        for (before, after) in [
            (None, "127.0.0.1,localhost"),
            (Some(""), "127.0.0.1,localhost"),
            (Some(".corp"), ".corp,127.0.0.1,localhost"),
            (Some("localhost, .corp"), "localhost, .corp,127.0.0.1"),
            (Some("127.0.0.1,localhost"), "127.0.0.1,localhost"),
            (Some("*"), "*"),
        ] {
            assert_eq!(with_hosts(before.map(OsStr::new), &hosts), after);
        }
    }

    #[test]
    fn either_spelling_hides_the_other_so_each_holds_both() {
        let access = Access {
            base_url: Some("http://[::1]:9/v1".to_owned()),
            socket: None,
            token: Secret::new("sk-x".to_owned()),
            model: None,
        };
        let environment = BTreeMap::from([(OsString::from("NO_PROXY"), OsString::from("a"))]);
        let set = access.variables(&environment);
        for name in ["NO_PROXY", "no_proxy"] {
            assert_eq!(set[name], "a,127.0.0.1,localhost,::1,[::1]", "{name}");
        }
    }

    #[test]
    fn the_variables_of_proxies_are_known_in_both_spellings() {
        for name in [
            "HTTP_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "npm_config_https_proxy",
            "npm_config_proxy",
        ] {
            assert!(is_proxy(name), "{name}");
        }
        for name in [
            "NO_PROXY",
            "no_proxy",
            "REVERSE_PROXY",
            "QWEN_PROXY",
            "npm_config_noproxy",
        ] {
            assert!(!is_proxy(name), "{name}");
        }
    }
}

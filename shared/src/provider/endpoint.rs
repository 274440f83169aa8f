//! From a base URL to the URL of a request.

use serde_json::Value;
use url::{Host, Url};

use super::Provider;

/// True when `host` is the pattern itself or, for `*.example.org`, that name or any below it.
#[must_use]
pub fn host_matches(pattern: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.');
    match pattern.strip_prefix("*.") {
        None => host.eq_ignore_ascii_case(pattern),
        Some(parent) => {
            let host = host.to_ascii_lowercase();
            let parent = parent.to_ascii_lowercase();
            host == parent || host.strip_suffix(&parent).is_some_and(|rest| rest.ends_with('.'))
        }
    }
}

/// True for loopback hosts, where the port tells servers apart and `localhost` is another word for 127.0.0.1.
pub(super) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns `base` with `path` below it. A slash at the end of the base counts as none; nothing else is added: no
/// `/v1` that the user did not write.
#[must_use]
pub fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let joined = format!("{}{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}

/// Returns the URL of chat completions for a model.
#[must_use]
pub fn chat_url(provider: &Provider, base: &Url, model: &str, version: Option<&str>) -> Url {
    let encoded: String = url::form_urlencoded::byte_serialize(model.as_bytes()).collect();
    let path = provider
        .chat_path
        .replace("{model}", &encoded.replace('+', "%20"));
    with_query(provider, join(base, &path), version)
}

/// Returns the URL of the list of models.
#[must_use]
pub fn models_url(provider: &Provider, base: &Url, version: Option<&str>) -> Url {
    with_query(provider, join(base, &provider.models_path), version)
}

fn with_query(provider: &Provider, mut url: Url, version: Option<&str>) -> Url {
    let version = version
        .or(provider.default_version.as_deref())
        .unwrap_or_default();
    for (name, value) in &provider.query {
        let value = value
            .as_str()
            .unwrap_or_default()
            .replace("{OPENAI_API_VERSION}", version);
        if !url.query_pairs().any(|(known, _)| known == name.as_str()) {
            url.query_pairs_mut().append_pair(name, &value);
        }
    }
    url
}

/// Fills in a header's template.
#[must_use]
pub fn expand(template: &Value, user_agent: &str) -> String {
    template
        .as_str()
        .unwrap_or_default()
        .replace("{user_agent}", user_agent)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::chat_url;
    use super::host_matches;
    use crate::provider::catalogue::named;

    #[test]
    fn a_pattern_covers_a_name_and_what_is_below_it() {
        for (pattern, host, covered) in [
            ("portal.qwen.ai", "portal.qwen.ai", true),
            ("*.qwen.ai", "portal.qwen.ai", true),
            ("*.qwen.ai", "PORTAL.QWEN.AI.", true),
            ("*.qwen.ai", "qwen.ai", true),
            ("*.qwen.ai", "evilqwen.ai", false),
            ("*.qwen.ai", "qwen.ai.evil.example", false),
            ("qwen.ai", "portal.qwen.ai", false),
        ] {
            assert_eq!(host_matches(pattern, host), covered, "{pattern} {host}");
        }
    }

    #[test]
    fn requests_go_where_each_provider_wants_them() {
        for (name, base, version, url) in [
            (
                "openai",
                "https://api.openai.com/v1/",
                None,
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                "deepseek",
                "https://api.deepseek.com",
                None,
                "https://api.deepseek.com/chat/completions",
            ),
            (
                "azure",
                "https://mine.openai.azure.com/",
                Some("2025-01-01"),
                "https://mine.openai.azure.com/openai/deployments/gpt%204o/chat/completions?api-version=2025-01-01",
            ),
            (
                "azure-v1",
                "https://mine.openai.azure.com/openai/v1",
                None,
                "https://mine.openai.azure.com/openai/v1/chat/completions",
            ),
        ] {
            let got = chat_url(
                named(name).unwrap(),
                &Url::parse(base).unwrap(),
                "gpt 4o",
                version,
            );
            assert_eq!(got.as_str(), url);
        }
    }
}

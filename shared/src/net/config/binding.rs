//! Which endpoints a secret or a setting belongs to.

use url::Url;

use crate::net::http::BaseUrl;
use crate::provider::Provider;

/// Endpoints by origin and path: what is bound to one may go to every address below it, and to no other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding(Vec<BaseUrl>);

impl Binding {
    /// Binds to a provider's base URL, without the part that names a model: the key is the same for all.
    #[must_use]
    pub fn to(base_url: BaseUrl, provider: &Provider) -> Self {
        Self(vec![match provider.split_model(&base_url) {
            Some((path, _)) => base_url.with_path(&path),
            None => base_url,
        }])
    }

    /// Binds to each region of a provider. A region that the user completes binds nothing: whoever has an account there
    /// has an endpoint of that form.
    #[must_use]
    pub fn to_regions(provider: &Provider) -> Self {
        let urls = provider.regions.iter().map(|region| region.base_url.as_str());
        let complete = urls.filter(|url| !url.contains("RESOURCE"));
        Self(complete.filter_map(|url| BaseUrl::parse(url).ok()).collect())
    }

    /// Binds to what any of several is bound to.
    #[must_use]
    pub fn any(bindings: impl IntoIterator<Item = Self>) -> Self {
        Self(bindings.into_iter().flat_map(|binding| binding.0).collect())
    }

    /// True when `url` has the origin of one of the endpoints and a path at or below its own.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        self.0.iter().any(|own| is_below(own, url))
    }

    /// The endpoints.
    #[must_use]
    pub fn endpoints(&self) -> &[BaseUrl] {
        &self.0
    }
}

fn is_below(own: &Url, url: &Url) -> bool {
    own.origin() == url.origin()
        && url.username().is_empty()
        && url.password().is_none()
        && is_path_below(own.path(), url.path())
        && has_query_of(own, url)
}

/// Compares at the edges of segments: `/team-a` is not below `/team`. Both paths are as the URL standard leaves them,
/// without dot segments; what only a server would take for one is below nothing.
fn is_path_below(own: &str, path: &str) -> bool {
    let rest = path.strip_prefix(own.trim_end_matches('/'));
    rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with('/')) && rest.split('/').all(is_one_segment))
}

/// False for a segment that leads up for some servers: `..;x`, and what hides a dot or a separator by coding it, by an
/// overlong code or by a sign that looks like it.
fn is_one_segment(segment: &str) -> bool {
    const CODED: [char; 5] = ['.', '/', '\\', '%', ';'];
    const ALIKE: [char; 14] = [
        '\u{2024}', '\u{2025}', '\u{2026}', '\u{3002}', '\u{fe52}', '\u{ff0e}', '\u{ff61}', '\u{2044}',
        '\u{2215}', '\u{ff0f}', '\u{ff3c}', '\u{ff05}', '\u{fe6a}', '\u{ff1b}',
    ];
    let mut decoded = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || {
            char::from(rest.next()?)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return false;
        };
        let byte = high * 16 + low;
        if CODED.contains(&char::from(byte)) {
            return false;
        }
        decoded.push(byte);
    }
    let is_plain = |text: &str| !text.contains(|c: char| c.is_control() || ALIKE.contains(&c));
    String::from_utf8(decoded).is_ok_and(|text| is_plain(&text) && !text.trim().starts_with(".."))
}

/// A tenant may be named in the query: its values must be the same wherever the own URL has any.
fn has_query_of(own: &Url, url: &Url) -> bool {
    let values = |url: &Url, name: &str| -> Vec<String> {
        let pairs = url.query_pairs().filter(|(known, _)| known == name);
        pairs.map(|(_, value)| value.into_owned()).collect()
    };
    own.query_pairs()
        .all(|(name, _)| values(own, &name) == values(url, &name))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::Binding;
    use crate::net::http::BaseUrl;
    use crate::provider;

    fn is_covered(own: &str, url: &str) -> bool {
        let own = BaseUrl::parse(own).unwrap();
        let provider = provider::recognise(&own).unwrap();
        Binding::to(own, provider).covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn an_address_at_or_below_the_endpoint_is_covered() {
        for (own, url) in [
            ("https://x.example/v1", "https://x.example/v1"),
            ("https://x.example/v1", "https://x.example/v1/"),
            ("https://x.example/v1/", "https://x.example/v1"),
            (
                "https://x.example/v1",
                "https://x.example/v1/chat/completions?a=b",
            ),
            ("https://x.example/v1", "https://X.EXAMPLE:443/v1/models"),
            ("https://x.example", "https://x.example/v1"),
            ("https://x.example", "https://x.example/bücher%20a/gpt-4.1/.well"),
            ("https://x.example/v1", "https://x.example/v2/../v1/models"),
            ("http://[::1]:8000/v1", "http://[0:0:0:0:0:0:0:1]:8000/v1"),
            ("http://127.0.0.1/v1", "http://127.1/v1"),
            ("https://bücher.example/v1", "https://xn--bcher-kva.example/v1"),
            ("https://x.example/v1/chat/completions", "https://x.example/v1"),
            (
                "https://x.example/v1?tenant=a",
                "https://x.example/v1/models?b=c&tenant=a",
            ),
            (
                "https://me.openai.azure.com/openai/deployments/gpt/chat/completions",
                "https://me.openai.azure.com/openai/deployments/other",
            ),
        ] {
            assert!(is_covered(own, url), "{own} {url}");
        }
    }

    #[test]
    fn every_other_address_is_not() {
        for url in [
            "http://x.example/team-a/v1",
            "https://x.example:8443/team-a/v1",
            "https://y.example/team-a/v1",
            "https://x.example.evil.example/team-a/v1",
            "https://x.example./team-a/v1",
            "https://sub.x.example/team-a/v1",
            "https://x.example@evil.example/team-a/v1",
            "https://me@x.example/team-a/v1",
            "https://me:pw@x.example/team-a/v1",
            "https://x.example/",
            "https://x.example/team-a",
            "https://x.example/team-b/v1",
            "https://x.example/team-a/v10",
            "https://x.example/team-a/v1-b",
            "https://x.example/TEAM-A/v1",
            "https://x.example/team-a/v1/../../team-b/v1",
            "https://x.example/team-a/v1/%2e%2e/%2E%2e/team-b",
            "https://x.example/team-a/v1/.%2e/x",
            "https://x.example/team-a/v1%2f..%2f..%2fteam-b",
            "https://x.example/team-a/v1/..%2fteam-b",
            "https://x.example/team-a/v1/..;/..;/team-b",
            "https://x.example/team-a/v1/%252e%252e/team-b",
            "https://x.example/team-a/v1/..%5cteam-b",
            "https://x.example/team-a/v1\\..\\..\\team-b",
            "https://x.example/team-a/v1/%c0%ae%c0%ae/team-b",
            "https://x.example/team-a/v1/%e0%80%ae/team-b",
            "https://x.example/team-a/v1/..%00/team-b",
            "https://x.example/team-a/v1/%00",
            "https://x.example/team-a/v1/%09../team-b",
            "https://x.example/team-a/v1/%20../team-b",
            "https://x.example/team-a/v1/x%3b..",
            "https://x.example/team-a/v1/%u002e%u002e/team-b",
            "https://x.example/team-a/v1/x%",
            "https://x.example/team-a/v1/x%2",
            "https://x.example/team-a/v1/\u{ff0e}\u{ff0e}/team-b",
            "https://x.example/team-a/v1/\u{2025}/team-b",
            "https://x.example/team-a/v1/\u{2024}\u{2024}/team-b",
            "https://x.example/team-a/v1/x\u{ff0f}team-b",
            "https://x.example//team-a/v1",
            "https:///evil.example/team-a/v1",
            "https:\\\\evil.example\\team-a\\v1",
            "https://x.example\t.evil.example/team-a/v1",
            "https://x.example%2eevil.example/team-a/v1",
            "https://x.example:443@evil.example/team-a/v1",
            "https://x.example/team-a%2fv1",
            "ftp://x.example/team-a/v1",
            "file:///team-a/v1",
        ] {
            assert!(!is_covered("https://x.example/team-a/v1", url), "{url}");
        }
        for url in [
            "https://x.example/v1",
            "https://x.example/v1?tenant=b",
            "https://x.example/v1?tenant=a&tenant=b",
            "https://x.example/v1?tenant=b&tenant=a",
        ] {
            assert!(!is_covered("https://x.example/v1?tenant=a", url), "{url}");
        }
        assert!(!Binding::default().covers(&Url::parse("https://x.example/").unwrap()));
    }

    #[test]
    fn a_provider_is_each_of_its_regions() {
        let binding = Binding::to_regions(provider::named("dashscope").unwrap());
        for (url, covered) in [
            ("https://dashscope.aliyuncs.com/compatible-mode/v1", true),
            (
                "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/models",
                true,
            ),
            ("https://dashscope-intl.aliyuncs.com/api/v1", false),
            ("https://coding.dashscope.aliyuncs.com/v1", false),
            ("https://evil.aliyuncs.com/compatible-mode/v1", false),
        ] {
            assert_eq!(binding.covers(&Url::parse(url).unwrap()), covered, "{url}");
        }
        let azure = Binding::to_regions(provider::named("azure").unwrap());
        assert!(!azure.covers(&Url::parse("https://evil.openai.azure.com/").unwrap()));
    }
}

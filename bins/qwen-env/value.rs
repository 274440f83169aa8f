//! Values as a person may see them: addresses without the secrets that they may carry, anything else masked.

use qwen_shared::address;
use qwen_shared::secret::mask;
use qwen_shared::text::one_line;

/// Returns a value as a person may see it. What a variable of such a name holds is an address without a scheme too.
pub(crate) fn shown(name: &str, value: &str) -> String {
    address::shown(value)
        .or_else(|| host_and_port(name, value))
        .unwrap_or_else(|| mask(value))
}

/// `HOST` or `HOST:PORT`, with a dot or a port.
fn host_and_port(name: &str, value: &str) -> Option<String> {
    const NAMES: [&str; 9] = [
        "ADDR", "ADDRESS", "ENDPOINT", "HOST", "HOSTNAME", "PROXY", "SERVER", "URI", "URL",
    ];
    let name = name.to_ascii_uppercase();
    let value = value.trim();
    let plain = |c: char| c.is_alphanumeric() || ".:-_[]".contains(c);
    let is_host = NAMES.iter().any(|end| name.ends_with(end))
        && value.len() <= 253
        && value.contains(['.', ':'])
        && value.chars().all(plain);
    is_host.then(|| one_line(&address::shown_host(value)))
}

#[cfg(test)]
mod tests {
    use super::shown;

    /// Values, and what is shown of them.
    const ADDRESSES: &[(&str, &str)] = &[
        ("https://host.example/v1", "https://host.example/v1"),
        ("https://u:p@h:8/v1?key=abc#x", "https://***@h:8/v1?***"),
        ("postgres://app:pw@db/app", "postgres://***@db/app"),
        (
            "https://hooks.example/T0/B0/0123456789abcdefgh",
            "https://hooks.example/T0/B0/***",
        ),
        ("http://h#frag", "http://h#***"),
        ("://x", "***"),
        ("https://a b", "***"),
        (" https://host.example/v1\t", "https://host.example/v1"),
        ("//host.example/v1", "//host.example/v1"),
        ("https:\\\\host.example\\v1", "https:\\\\host.example\\v1"),
        (
            "https://good.example\\@evil.example",
            "https://good.example\\@evil.example",
        ),
        ("https:/host.example", "https:/host.example"),
        ("http:///host.example/", "http:///host.example/"),
        ("http://0x7f.1/", "http://0x7f.1/"),
        ("https://h.example\\@S3cr3t@x/", "https://h.example\\***@x/"),
        ("redis://:S3cr3t/x+y=@h:6379/0", "red***/0"),
        ("redis://root:12345/x@h:6379/0", "redis://root:***"),
        ("mysql://root:pa/ss@word@h/db", "mys***db"),
        ("postgres://u:S3cr3t#Pw0rd@h/db", "pos***db"),
        ("https://key:with/slash@h.example/v1", "htt***v1"),
        (
            "https://h.example/v1/sk-live-abc/chat",
            "https://h.example/v1/***/chat",
        ),
        ("https://h.example/@scope/name", "https://h.example/@scope/name"),
        ("mongodb://h1:1,h2:2/db", "mongodb://h1:1,h2:2/db"),
        ("file:///srv/x", "file:///srv/x"),
        (
            "https://good.example:443\\@evil.example/",
            "https://good.example:443\\@evil.example/",
        ),
        ("https://\u{430}pple.example/", "https://xn--pple-43d.example/"),
        (
            "redis://\u{430}pple.example:6379",
            "redis://xn--pple-43d.example:6379",
        ),
        ("https://HOST.example:443", "https://HOST.example:443"),
        ("two words and more", "two***re"),
        ("secret", "***"),
    ];

    #[test]
    fn an_address_is_told_without_the_secrets_it_carries() {
        for (value, seen) in ADDRESSES {
            assert_eq!(shown("A", value), *seen, "{value}");
        }
    }

    #[test]
    fn a_host_is_told_by_its_end_and_as_it_is_looked_up() {
        for (value, seen) in [
            ("db.example:5432", "db.example:5432"),
            ("[::1]:80", "[::1]:80"),
            ("hunter2", "***"),
            (" db.example ", "db.example"),
            ("\u{430}pple.example", "xn--pple-43d.example"),
        ] {
            assert_eq!(shown("PGHOST", value), seen, "{value}");
        }
        let long = format!("https://{}.evil.example/v1", "accounts.google.com.".repeat(11));
        assert!(
            shown("A", &long).ends_with(".evil.example/v1"),
            "{}",
            shown("A", &long)
        );
        assert_eq!(shown("OP_CONNECT_TOKEN", "eyJh.eyJz.c2ln"), "eyJ***ln");
    }
}

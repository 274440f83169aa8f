//! Which of the requested scopes a server granted (RFC 6749, section 3.3).

use qwen_shared::net::oauth::TokenResponse;

/// Returns the scopes that were requested and not granted, each once, as they were requested. Without a scope in the response
/// all are granted (section 5.1).
///
/// What came was granted, whether it is named or not: a refresh token by `offline_access`, an ID token by `openid` (OpenID
/// Connect Core, sections 11 and 3.1.2.1).
pub(crate) fn not_granted<'a>(requested: &'a str, response: &TokenResponse) -> Vec<&'a str> {
    let Some(granted) = response.scope.as_deref() else {
        return Vec::new();
    };
    let granted: Vec<&str> = words(granted).collect();
    let has_come = |word: &str| match word.to_ascii_lowercase().as_str() {
        "offline_access" | "offline" => response.refresh_token.is_some(),
        "openid" => response.has_id_token,
        _ => false,
    };
    let mut missing = Vec::new();
    for word in words(requested) {
        let is_granted = has_come(word) || granted.iter().any(|granted| is_same(word, granted));
        if !is_granted && !missing.contains(&word) {
            missing.push(word);
        }
    }
    missing
}

/// Splits scopes at blanks, and at the commas that GitHub and others write.
fn words(scope: &str) -> impl Iterator<Item = &str> {
    scope
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
}

/// True for two spellings of one scope. Case is not compared, as some servers change it. Of a URL the last segment is the
/// scope, and either may be written without what is before it; `.default` stands for whatever the client was given.
fn is_same(requested: &str, granted: &str) -> bool {
    let (requested, granted) = (requested.to_ascii_lowercase(), granted.to_ascii_lowercase());
    if requested == granted {
        return true;
    }
    let resource = |scope: &str| scope.rsplit_once('/').map(|(resource, _)| resource.to_owned());
    let name = |scope: &str| scope.rsplit('/').next().unwrap_or_default().to_owned();
    match (resource(&requested), resource(&granted)) {
        (Some(asked), Some(got)) => asked == got && name(&requested) == ".default",
        (Some(_), None) => name(&requested) == granted || name(&requested) == ".default",
        (None, Some(_)) => {
            let name = name(&granted);
            name == requested || name.rsplit('.').next() == Some(&requested)
        }
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use qwen_shared::net::oauth::{HttpResponse, TokenResponse};
    use serde_json::{Value, json};

    use super::not_granted;

    fn missing(requested: &str, members: &Value) -> String {
        let mut body = json!({"access_token": "at"});
        body.as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        let response = HttpResponse {
            status: 200,
            retry_after: None,
            date: None,
            body: body.to_string().into_bytes(),
        };
        not_granted(requested, &TokenResponse::parse(&response).unwrap()).join(" ")
    }

    /// More of them are tried by a login.
    #[test]
    fn what_is_missing_is_what_was_asked_for_and_did_not_come() {
        for (requested, members, expected) in [
            ("a b", json!({}), ""),
            ("a b", json!({"scope": ""}), ""),
            ("a b b", json!({"scope": "A"}), "b"),
            ("a b", json!({"scope": ["b", "c"]}), "a"),
            ("openid a", json!({"scope": "a"}), "openid"),
            (
                "api://x/.default",
                json!({"scope": "api://y/Chat.Read"}),
                "api://x/.default",
            ),
            (
                "https://a.example/read",
                json!({"scope": "https://b.example/read"}),
                "https://a.example/read",
            ),
            (
                "User.Read",
                json!({"scope": "https://graph.example/User.Read"}),
                "",
            ),
        ] {
            assert_eq!(missing(requested, &members), expected, "{requested} of {members}");
        }
    }
}

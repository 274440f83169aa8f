//! qwen-login and authorization servers as they are: `tests/data/oauth.json` holds what they answer, one case each, and what
//! comes of it.
use crate::support::authority::{Authority, device_with, login, nothing_is_stored, oauth, stored, token};
use crate::support::login::{OWN_FILE, login as stored_login};
use crate::support::{Reply, Request, Run, Sandbox, Server};
use serde_json::{Map, Value, json};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// The public report, if there is one.
    #[expect(dead_code, reason = "for whoever reads the case")]
    source: Option<String>,
    /// What the device authorization endpoint answers; `DEVICE` in it is a sound answer.
    device: Option<Value>,
    /// What the token endpoint answers.
    #[serde(default)]
    replies: Vec<Value>,
    /// Members of the profile and of its `oauth`.
    #[serde(default)]
    profile: Map<String, Value>,
    #[serde(default)]
    oauth: Map<String, Value>,
    #[serde(default)]
    flags: Vec<String>,
    exit: i32,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    silent: Vec<String>,
    /// A text that is said no more than once.
    once: Option<String>,
    /// Members of the stored login; `null` for one that is not there.
    #[serde(default)]
    stored: Map<String, Value>,
    /// The lifetime of the stored token in seconds, `null` where none is known.
    #[serde(default, deserialize_with = "present")]
    lifetime: Option<Option<u64>>,
    /// Texts that are in the bodies of the first requests, in order.
    #[serde(default)]
    asked: Vec<String>,
    /// How often the token endpoint is asked.
    polls: Option<usize>,
    /// The whole seconds between these requests.
    waits: Option<Vec<u64>>,
    /// True where nothing is sent.
    #[serde(default)]
    is_unsent: bool,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    serde::Deserialize::deserialize(deserializer).map(Some)
}

fn reply(given: &Value) -> Reply {
    let mut body = given["body"].clone();
    if body == "DEVICE" {
        let changes = given.get("changes").cloned().unwrap_or_else(|| json!({}));
        body = device_with(changes);
    }
    let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    let mut bytes = Vec::new();
    if given["bom"] == true {
        bytes.extend(b"\xef\xbb\xbf");
    }
    match given["latin1"] == true {
        true => bytes.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap())),
        false => bytes.extend(text.as_bytes()),
    }
    let headers = given["headers"].as_object().cloned().unwrap_or_default();
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    Reply::with_headers(
        given["status"].as_u64().unwrap().try_into().unwrap(),
        &headers,
        bytes,
    )
}

fn check(case: &Case) {
    let device = case
        .device
        .clone()
        .unwrap_or_else(|| json!({"status": 200, "body": "DEVICE"}));
    let mut replies: Vec<Reply> = case.replies.iter().map(reply).collect();
    if replies.is_empty() {
        replies.push(Reply::json(500, "{}"));
    }
    let authority = (!case.is_unsent).then(|| Authority::new(reply(&device), replies));
    let untouched = Server::untouched();
    let sandbox = Sandbox::new();
    let mut oauth = match &authority {
        Some(authority) => authority.oauth(),
        None => oauth(&untouched.url("")),
    };
    oauth.as_object_mut().unwrap().extend(case.oauth.clone());
    let mut profile = json!({"method": "oauth", "oauth": oauth});
    profile.as_object_mut().unwrap().extend(case.profile.clone());
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    let run = login(&sandbox).args(&case.flags).run();
    let name = &case.name;
    assert_eq!(
        (run.code(), run.text().as_str()),
        (case.exit, ""),
        "{name}: {run:#?}"
    );
    for said in &case.says {
        assert!(run.stderr.contains(said), "{name}: no {said:?} in {run:#?}");
    }
    for silent in &case.silent {
        assert!(!run.stderr.contains(silent), "{name}: {silent:?} in {run:#?}");
    }
    if let Some(once) = &case.once {
        assert_eq!(run.stderr.matches(once).count(), 1, "{name}: {run:#?}");
    }
    if case.exit != 0 {
        nothing_is_stored(&sandbox);
    }
    for (member, value) in &case.stored {
        assert_eq!(&stored(&sandbox)[member], value, "{name}: {member}");
    }
    if let Some(lifetime) = case.lifetime {
        let stored = stored(&sandbox);
        let ends = stored["expires_at"].as_i64();
        let life = ends.map(|end| (end - stored["issued_at"].as_i64().unwrap()) / 1000);
        assert_eq!(
            life,
            lifetime.map(|seconds| i64::try_from(seconds).unwrap()),
            "{name}"
        );
    }
    let Some(authority) = authority else {
        return;
    };
    for (asked, request) in case.asked.iter().zip(&authority.server.requests()) {
        let sent = request.text();
        assert!(sent.contains(asked), "{name}: no {asked:?} in {sent}");
    }
    if let Some(polls) = case.polls {
        assert_eq!(authority.polls().len(), polls, "{name}");
    }
    if let Some(waits) = &case.waits {
        assert_eq!(&authority.waits(), waits, "{name}");
    }
}

#[test]
fn what_servers_answer_comes_to_what_is_right() {
    let cases = std::fs::read_to_string("tests/data/oauth.json").unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    // Most of a login is waiting.
    for some in cases.chunks(16) {
        std::thread::scope(|scope| {
            for case in some {
                scope.spawn(|| check(case));
            }
        });
    }
}

/// A server whose metadata is what `change` makes of the usual.
fn issuer(path: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Server {
    Server::answering(move |_, request: &Request| {
        let base = format!("http://{}", request.header("host").unwrap());
        let mut document = json!({
            "issuer": format!("{base}{path}"),
            "device_authorization_endpoint": format!("{base}/device"),
            "token_endpoint": format!("{base}/token"),
            "revocation_endpoint": format!("{base}/revoke"),
        });
        change(&mut document);
        match (request.method.as_str(), request.target.as_str()) {
            ("GET", target) if target.starts_with("/.well-known/oauth-authorization-server") => {
                Reply::json(200, &document.to_string())
            }
            (_, "/device") => Reply::json(200, &device_with(json!({})).to_string()),
            (_, "/token") => Reply::json(200, &token().to_string()),
            (_, "/revoke") => Reply::json(200, ""),
            _ => Reply::json(404, "{}"),
        }
    })
}

fn log_in(issuer: &str, more: &Value) -> (Sandbox, Run) {
    let sandbox = Sandbox::new();
    let mut oauth = json!({"issuer": issuer, "client_id": "toolkit", "allowed_hosts": ["127.0.0.1"]});
    oauth
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    sandbox.config(&json!({"profiles": {"lab": {"method": "oauth", "oauth": oauth}}}).to_string());
    let run = login(&sandbox).run();
    (sandbox, run)
}

/// achtungsoftware/alarik#14, panva/openid-client#893, thesaadmirza/django-bastion#38, ramosbugs/openidconnect-rs#38.
#[test]
fn where_the_issuers_differ_both_are_named() {
    for (path, found, hint) in [
        ("", "{}/", "write \"issuer\" as the document does: '{}/'\n"),
        ("/t/", "{}/t", "write \"issuer\" as the document does: '{}/t'\n"),
        (
            "/common/v2.0",
            "https://login.example/{tenantid}/v2.0",
            "name a tenant in \"issuer\", or set \"device_auth",
        ),
        (
            "/v1/sandbox",
            "{}/v1",
            "check \"issuer\", or set \"device_authorization_endpoint\"",
        ),
        (
            "",
            "https://evil.example",
            "check \"issuer\", or set \"device_authorization_endpoint\"",
        ),
    ] {
        let server = issuer(path, move |document| {
            let base = document["token_endpoint"].as_str().unwrap().replace("/token", "");
            document["issuer"] = json!(found.replace("{}", &base));
        });
        let (asked, base) = (server.url(path), server.url(""));
        let (sandbox, run) = log_in(&asked, &json!({}));
        let (found, hint) = (found.replace("{}", &base), hint.replace("{}", &base));
        let said =
            format!("qwen-login: the metadata document of issuer '{asked}' is of another one: '{found}'\n");
        run.fails(78, &[&said, &format!("qwen-login: hint: {hint}")]);
        assert!(server.requests().iter().all(|request| request.method == "GET"));
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn endpoints_that_are_written_out_complete_those_of_the_issuer_and_go_before_them() {
    let without = |name: &'static str| {
        issuer("", move |document| {
            drop(document.as_object_mut().unwrap().shift_remove(name))
        })
    };
    for name in ["device_authorization_endpoint", "token_endpoint"] {
        let server = without(name);
        let (_, run) = log_in(&server.url(""), &json!({}));
        run.fails(
            76,
            &[
                &format!("no '{name}'"),
                &format!("hint: set \"{name}\" in the profile's \"oauth\""),
            ],
        );
        let path = if name == "token_endpoint" {
            "/token"
        } else {
            "/device"
        };
        log_in(&server.url(""), &json!({ name: server.url(path) }))
            .1
            .exits(0);
    }
    let server = issuer("", |document| {
        document["device_authorization_endpoint"] = json!("https://elsewhere.example/device");
        // Nobody asks for it in a login.
        document["revocation_endpoint"] = json!(5);
    });
    log_in(
        &server.url(""),
        &json!({"device_authorization_endpoint": server.url("/device")}),
    )
    .1
    .exits(0);
    let server = issuer("", |_| {});
    let own = json!({"device_authorization_endpoint": server.url("/device"), "token_endpoint": server.url("/token")});
    let (sandbox, run) = log_in(&server.url(""), &own);
    run.exits(0);
    let run = sandbox
        .detached("qwen-auth")
        .args(["logout", "lab"])
        .run()
        .exits(0);
    let said = format!("revoked at '{}'", server.name());
    assert!(run.stderr.contains(&said), "{run:#?}");
}

#[test]
fn a_refresh_needs_the_token_endpoint_alone_and_carries_the_parameters() {
    for (oauth, found) in [
        (
            json!({"parameters": {"audience": "a b"}, "token_endpoint": "TOKEN"}),
            0,
        ),
        (
            json!({"parameters": {"audience": "a b", "resource": "urn:x"}, "issuer": "ISSUER"}),
            1,
        ),
        (json!({"issuer": "ISSUER", "token_endpoint": "TOKEN"}), 0),
    ] {
        let server = issuer("", |document| {
            drop(
                document
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("device_authorization_endpoint"),
            )
        });
        let text = oauth
            .to_string()
            .replace("TOKEN", &server.url("/token"))
            .replace("ISSUER", &server.url(""));
        let mut oauth: Value = serde_json::from_str(&text).unwrap();
        oauth["client_id"] = json!("c");
        oauth["allowed_hosts"] = json!(["127.0.0.1"]);
        let sandbox = Sandbox::new();
        sandbox.oauth_profile("custom", "file", &oauth);
        sandbox.write(OWN_FILE, stored_login(-3600, -1).to_string());
        sandbox
            .tool("qwen-token")
            .run()
            .gives(0, "canary-access-token\n", "");
        let requests = server.requests();
        assert_eq!(requests.len(), found + 1);
        let mut expected = "grant_type=refresh_token&refresh_token=rt-old&client_id=c".to_owned();
        for (name, value) in oauth["parameters"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap().replace(' ', "%20").replace(':', "%3A");
            expected.push_str(&format!("&{name}={value}"));
        }
        assert_eq!(requests[found].text(), expected);
    }
}

#[test]
fn a_refresh_reads_what_servers_send_and_keeps_the_refresh_token_that_is_not_replaced() {
    for body in [
        r#"{"access_token":"at-new","refresh_token":false,"expires_in":"3600"}"#,
        r#"{"access_token":"at-new","refresh_token":null}"#,
        r#"{"access_token":"at-new","refresh_token":""}"#,
        "\u{feff}{\"access_token\":\"at-new\",\"token_type\":\"bearer\"}",
        "access_token=at-new&token_type=bearer&expires_in=3600",
    ] {
        let server = Server::script([Reply::new(200, "text/html", body)]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &stored_login(-3600, -1));
        sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
        assert_eq!(sandbox.stored()["refresh_token"], "rt-old", "{body}");
    }
}

#[test]
fn a_refresh_that_meets_a_busy_server_is_tried_again_later() {
    for (status, body) in [
        (403, r#"{"error":"rate_limit_exceeded"}"#),
        (
            400,
            r#"{"error":"temporarily_unavailable","error_description":"维护中"}"#,
        ),
        (429, ""),
    ] {
        let server = Server::script([Reply::json(status, body)]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &stored_login(-3600, -1));
        let run = sandbox.tool("qwen-token").run();
        let run = run.fails(75, &[&format!("status {status}")]);
        assert_eq!(run.stderr.contains("维护中"), body.contains("维护中"), "{run:#?}");
        assert_eq!(sandbox.stored()["refresh_token"], "rt-old");
    }
}

#[test]
fn an_issuer_and_its_endpoints_may_be_plain_http_where_the_profile_allows_it() {
    let sandbox = Sandbox::new();
    let mut oauth = oauth("http://id.lab.example");
    oauth["device_authorization_endpoint"] = json!("http://id.lab.example:1/device");
    sandbox.config(&json!({"profiles": {"lab": {"method": "oauth", "oauth": oauth}}}).to_string());
    login(&sandbox)
        .run()
        .fails(78, &["plain http would show the secret"]);
    let proxy = Server::script([Reply::json(400, r#"{"error":"invalid_client"}"#)]);
    let run = login(&sandbox)
        .arg("--allow-http")
        .env("HTTP_PROXY", proxy.url(""))
        .run();
    run.fails(78, &["invalid_client"]);
    assert_eq!(proxy.requests()[0].target, "http://id.lab.example:1/device");
}

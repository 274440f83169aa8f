//! qwen-login: the device flow, walked against a server that answers by script.
use std::path::PathBuf;

use crate::support::authority::{
    ACCESS, Authority, COMPLETE, DEVICE_CODE, REFRESH, URI, USER_CODE, device, device_with, login, ok,
    refusal, run, stored, token,
};
use crate::support::{Reply, Request, Sandbox};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request
        .header(name)
        .unwrap_or_else(|| panic!("no {name} in {request:?}"))
}

#[test]
fn the_requests_are_those_of_qwen_code_byte_for_byte() {
    let authority = Authority::new(
        ok(&device()),
        [refusal(400, "authorization_pending"), ok(&token())],
    );
    let sandbox = Sandbox::new();
    let mut oauth = authority.oauth();
    oauth["client_id"] = json!("f0304373b74a44d2b584a3fb70ca9e56");
    oauth["scope"] = json!("openid profile email model.completion");
    let profile = json!({"provider": "qwen", "method": "oauth", "oauth": oauth});
    sandbox.config(&json!({"profiles": {"qwen": profile}}).to_string());
    login(&sandbox).run().exits(0);

    let requests = authority.server.requests();
    assert_eq!(requests.len(), 3);
    let body = requests[0].text();
    let challenge = body
        .strip_prefix(
            "client_id=f0304373b74a44d2b584a3fb70ca9e56&scope=openid%20profile%20email%20model.completion&code_challenge=",
        )
        .and_then(|rest| rest.strip_suffix("&code_challenge_method=S256"))
        .unwrap_or_else(|| panic!("{body}"));
    assert_eq!(challenge.len(), 43);
    for poll in &requests[1..] {
        let body = poll.text();
        let verifier = body
            .strip_prefix(
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&\
                 client_id=f0304373b74a44d2b584a3fb70ca9e56&device_code=canary-device-code&code_verifier=",
            )
            .unwrap_or_else(|| panic!("{body}"));
        assert_eq!(verifier.len(), 43);
        let digest = Sha256::digest(verifier.as_bytes());
        assert_eq!(URL_SAFE_NO_PAD.encode(digest), challenge);
        assert!(poll.header("x-request-id").is_none());
    }
    for request in &requests {
        assert_eq!(request.method, "POST");
        assert!(!request.target.contains('?'), "{}", request.target);
        assert_eq!(
            header(request, "content-type"),
            "application/x-www-form-urlencoded"
        );
        assert_eq!(header(request, "accept"), "application/json");
        assert!(request.header("authorization").is_none() && request.header("cookie").is_none());
    }
    let id = header(&requests[0], "x-request-id").to_owned();
    let groups: Vec<usize> = id.split('-').map(str::len).collect();
    assert!(groups == [8, 4, 4, 4, 12] && id.as_bytes()[14] == b'4', "{id}");
}

#[test]
fn every_login_has_a_verifier_of_its_own_and_none_where_pkce_is_off() {
    let authority = Authority::approving();
    let mut verifiers = Vec::new();
    for _ in 0..2 {
        let sandbox = Sandbox::new();
        authority.configure(&sandbox);
        let run = login(&sandbox).arg("-v").run().exits(0);
        let poll = authority.polls().pop().unwrap();
        let verifier = poll.split_once("&code_verifier=").unwrap().1.to_owned();
        assert!(!run.stderr.contains(&verifier), "{run:#?}");
        assert_eq!(sandbox.files_with(&[&verifier]), [] as [PathBuf; 0]);
        verifiers.push(verifier);
    }
    assert_ne!(verifiers[0], verifiers[1]);

    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    let mut oauth = authority.oauth();
    oauth["pkce"] = json!(false);
    oauth["scope"] = Value::Null;
    sandbox.config(&json!({"profiles": {"lab": {"method": "oauth", "oauth": oauth}}}).to_string());
    login(&sandbox).run().exits(0);
    let bodies: Vec<String> = authority.server.requests().iter().map(Request::text).collect();
    assert_eq!(bodies[0], "client_id=toolkit");
    assert!(!bodies[1].contains("verifier"), "{bodies:?}");
}

#[test]
fn address_and_code_are_shown_exactly_and_the_tokens_stored() {
    let authority = Authority::approving();
    let (sandbox, run) = run(&authority);
    let run = run.exits(0);
    assert_eq!(run.text(), "");
    let lines: Vec<&str> = run.stderr.lines().collect();
    for line in [COMPLETE, URI, USER_CODE] {
        assert!(lines.contains(&line), "no line {line:?} in {run:#?}");
    }
    assert!(
        run.stderr
            .contains("approve only a login that you started yourself, at 'id.example'")
    );
    for secret in [DEVICE_CODE, ACCESS, REFRESH] {
        assert!(!run.stderr.contains(secret), "{run:#?}");
    }
    let stored = stored(&sandbox);
    assert_eq!(stored["access_token"], ACCESS);
    assert_eq!(stored["refresh_token"], REFRESH);
    assert_eq!(stored["resource_url"], "127.0.0.1");
    assert_eq!(stored["added_by_server"], json!({"kept": true}));
    assert_eq!(sandbox.mode("home/.config/qwen/credentials/lab.json"), 0o600);
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(config["default_profile"], "lab");
    assert_eq!(config["profiles"]["lab"]["key"], json!({"store": "file"}));
}

#[test]
fn quiet_still_shows_what_a_person_needs() {
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let shown = format!("{COMPLETE}\n{URI}\n{USER_CODE}\n");
    login(&sandbox).arg("-q").run().gives(0, "", &shown);
}

#[test]
fn pending_is_known_on_400_429_and_200() {
    let authority = Authority::new(
        ok(&device()),
        [
            refusal(400, "authorization_pending"),
            refusal(429, "authorization_pending"),
            Reply::json(200, r#"{"status": "pending"}"#),
            ok(&token()),
        ],
    );
    let (sandbox, run) = run(&authority);
    run.exits(0);
    assert_eq!(authority.waits(), [1, 1, 1]);
    assert_eq!(stored(&sandbox)["access_token"], ACCESS);
}

/// Both at once, because each takes its time.
#[test]
fn slow_down_adds_five_seconds_for_good_on_400_and_on_429() {
    let kept = Authority::new(
        ok(&device()),
        [
            refusal(400, "slow_down"),
            refusal(400, "authorization_pending"),
            ok(&token()),
        ],
    );
    let added = Authority::new(
        ok(&device()),
        [refusal(429, "slow_down"), refusal(429, "slow_down"), ok(&token())],
    );
    std::thread::scope(|scope| {
        scope.spawn(|| run(&kept).1.exits(0));
        scope.spawn(|| run(&added).1.exits(0));
    });
    assert_eq!(kept.waits(), [6, 6]);
    assert_eq!(added.waits(), [6, 11]);
}

#[test]
fn an_interval_is_five_seconds_when_absent_and_never_zero() {
    let absent = Authority::new(
        ok(&device_with(json!({"interval": null}))),
        [refusal(400, "authorization_pending"), ok(&token())],
    );
    let zero = Authority::new(
        ok(&device_with(json!({"interval": 0}))),
        [
            refusal(400, "authorization_pending"),
            refusal(400, "authorization_pending"),
            ok(&token()),
        ],
    );
    std::thread::scope(|scope| {
        scope.spawn(|| run(&absent).1.exits(0));
        scope.spawn(|| run(&zero).1.exits(0));
    });
    assert_eq!(absent.waits(), [5]);
    assert_eq!(zero.waits(), [1, 1]);
}

#[test]
fn no_complete_address_and_a_wrong_content_type_do_no_harm() {
    let answer = device_with(json!({"verification_uri_complete": null})).to_string();
    let authority = Authority::new(
        Reply::new(200, "text/html; charset=utf-8", answer),
        [Reply::new(200, "text/plain", token().to_string())],
    );
    let (_, run) = run(&authority);
    let run = run.exits(0);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert!(lines.contains(&URI) && lines.contains(&USER_CODE), "{run:#?}");
    assert!(!run.stderr.contains("user_code="), "{run:#?}");
}

#[test]
fn lifetimes_of_every_form_are_stored_or_left_out() {
    let cases = [
        (json!(3600), Some(3600)),
        (json!("3600"), Some(3600)),
        (json!(3600.9), Some(3600)),
        (Value::Null, None),
        (json!(0), None),
        (json!(-4), None),
        (json!("soon"), None),
        (json!(1e300), Some(10 * 365 * 86_400)),
    ];
    std::thread::scope(|scope| {
        for (given, stored_as) in &cases {
            scope.spawn(move || {
                let mut answer = token();
                answer["expires_in"] = given.clone();
                let authority = Authority::new(ok(&device()), [ok(&answer)]);
                let (sandbox, run) = run(&authority);
                run.exits(0);
                let stored = stored(&sandbox);
                let life = stored["expires_at"]
                    .as_u64()
                    .map(|end| (end - stored["issued_at"].as_u64().unwrap()) / 1000);
                assert_eq!(life, *stored_as, "{given}");
            });
        }
    });
}

#[test]
fn a_clock_that_is_wrong_is_mentioned() {
    for (date, said) in [
        ("Fri, 01 Jan 2010 00:00:00 GMT", Some("min ahead of the server's")),
        ("Thu, 01 Jan 2099 00:00:00 GMT", Some("min behind the server's")),
        ("yesterday", None),
    ] {
        let headers = [("content-type", "application/json"), ("date", date)];
        let authority = Authority::new(
            ok(&device()),
            [Reply::with_headers(200, &headers, token().to_string())],
        );
        let run = run(&authority).1.exits(0);
        match said {
            Some(said) => assert!(run.stderr.contains(said), "{run:#?}"),
            None => assert!(!run.stderr.contains("clock"), "{run:#?}"),
        }
    }
}

#[test]
fn a_narrower_scope_and_a_stray_endpoint_are_reported() {
    let mut answer = token();
    answer["scope"] = json!("openid");
    answer["resource_url"] = json!("evil.example");
    let authority = Authority::new(ok(&device()), [ok(&answer)]);
    let (_, run) = run(&authority);
    let run = run.exits(0);
    assert!(
        run.stderr.contains("did not grant 'model.completion'"),
        "{run:#?}"
    );
    assert!(
        run.stderr.contains("the token is not sent to: 'evil.example'"),
        "{run:#?}"
    );
}

//! An authorization server found by its issuer (RFC 8414), seen through qwen-login.
use crate::support::authority::{device, login, nothing_is_stored, ok, stored, token};
use crate::support::chat::answer;
use crate::support::{Reply, Request, Run, Sandbox, Server};
use serde_json::{Value, json};

const INSERTED: &str = "/.well-known/oauth-authorization-server";

/// A server whose metadata is at `place` and says what `change` makes of it.
fn issuer(
    path: &'static str,
    place: &'static str,
    change: impl Fn(&mut Value) + Send + Sync + 'static,
) -> Server {
    Server::answering(move |_, request: &Request| {
        let base = format!("http://{}", request.header("host").unwrap());
        let mut document = json!({
            "issuer": format!("{base}{path}"),
            "device_authorization_endpoint": format!("{base}/device"),
            "token_endpoint": format!("{base}/token"),
            "response_types_supported": ["code"],
        });
        change(&mut document);
        match request.target.as_str() {
            "/device" => ok(&device()),
            "/token" => ok(&token()),
            target if target == place => ok(&document),
            _ => Reply::new(404, "text/html", "<html>no such page</html>"),
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

fn fetched(server: &Server) -> Vec<String> {
    let requests = server.requests();
    requests
        .iter()
        .filter(|request| request.method == "GET")
        .map(|request| request.target.clone())
        .collect()
}

#[test]
fn the_well_known_place_is_inserted_before_the_path_of_the_issuer() {
    for (path, place) in [
        ("", INSERTED),
        ("/", INSERTED),
        ("/tenant/a", "/.well-known/oauth-authorization-server/tenant/a"),
        ("/tenant/b/", "/.well-known/oauth-authorization-server/tenant/b"),
    ] {
        let server = issuer(path, place, |_| {});
        let (sandbox, run) = log_in(&server.url(path), &json!({}));
        run.exits(0);
        assert_eq!(fetched(&server), [place]);
        assert_eq!(stored(&sandbox)["access_token"], "canary-access-token");
    }
}

#[test]
fn openid_connects_places_are_tried_where_the_first_has_nothing() {
    for (place, tried) in [
        ("/t/.well-known/openid-configuration", 2),
        ("/.well-known/openid-configuration/t", 3),
    ] {
        let server = issuer("/t", place, |_| {});
        log_in(&server.url("/t"), &json!({})).1.exits(0);
        assert_eq!(fetched(&server).len(), tried);
    }
}

#[test]
fn a_document_that_names_no_issuer_is_refused() {
    for none in [json!(null), json!(5), json!({})] {
        let server = issuer("", INSERTED, move |document| document["issuer"] = none.clone());
        let (sandbox, run) = log_in(&server.url(""), &json!({}));
        run.fails(76, &["the metadata document names no 'issuer'"]);
        assert!(server.requests().iter().all(|request| request.method == "GET"));
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn a_document_without_a_sound_device_flow_is_named() {
    type Change = fn(&mut Value);
    let cases: [(Change, i32, &str); 4] = [
        (
            |document| {
                drop(
                    document
                        .as_object_mut()
                        .unwrap()
                        .shift_remove("device_authorization_endpoint"),
                )
            },
            76,
            "no 'device_authorization_endpoint'",
        ),
        (
            |document| document["token_endpoint"] = json!(7),
            76,
            "'token_endpoint' of the metadata document is not a URL",
        ),
        (
            |document| document["token_endpoint"] = json!("http://id.example/token"),
            78,
            "plain http",
        ),
        (
            |document| document["device_authorization_endpoint"] = json!("file:///etc/passwd"),
            78,
            "'file' is not http or https",
        ),
    ];
    for (change, code, said) in cases {
        let server = issuer("", INSERTED, change);
        let (sandbox, run) = log_in(&server.url(""), &json!({}));
        run.fails(code, &[said]);
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn what_is_written_out_goes_before_what_is_discovered() {
    let server = issuer("", INSERTED, |document| {
        document["token_endpoint"] = json!("https://elsewhere.example/token")
    });
    let token = json!({"token_endpoint": server.url("/token")});
    log_in(&server.url(""), &token).1.exits(0);
    let all = json!({"token_endpoint": server.url("/token"), "device_authorization_endpoint": server.url("/device")});
    let before = fetched(&server).len();
    log_in(&server.url(""), &all).1.exits(0);
    assert_eq!(fetched(&server).len(), before, "nothing is left to discover");
}

#[test]
fn a_server_that_is_not_well_or_redirects_is_not_argued_with() {
    let busy = Server::script([Reply::new(503, "text/html", "<html>")]);
    log_in(&busy.url(""), &json!({})).1.fails(75, &["status 503"]);
    assert_eq!(busy.requests().len(), 1);
    let other = Server::untouched();
    let to = other.url("/metadata");
    let moved = Server::script([Reply::with_headers(302, &[("location", to.as_str())], "")]);
    log_in(&moved.url(""), &json!({})).1.fails(76, &["status 302"]);
    let absent = Server::script([Reply::new(404, "text/plain", "no")]);
    log_in(&absent.url(""), &json!({}))
        .1
        .fails(76, &["no metadata document"]);
}

#[test]
fn settings_that_cannot_work_are_named_before_anything_is_sent() {
    for (oauth, said) in [
        (
            json!({"issuer": "http://id.example"}),
            "plain http would show the secret",
        ),
        (
            json!({"issuer": "https://id.example/?x=1"}),
            "the issuer has a query",
        ),
        (json!({"issuer": "not a url"}), "the issuer is not a URL"),
        (
            json!({"issuer": "http://127.0.0.1:1", "client_id": " "}),
            "no 'client_id'",
        ),
        (json!({"issuer": null}), "'device_authorization_endpoint'"),
        (
            json!({"issuer": null, "device_authorization_endpoint": "https://id.example/d"}),
            "'token_endpoint'",
        ),
        (
            json!({"device_authorization_endpoint": "http://id.example/d", "token_endpoint": "https://id.example/t"}),
            "plain http",
        ),
        (
            json!({"device_authorization_endpoint": "https://u:p@id.example/d", "token_endpoint": "https://id.example/t"}),
            "must not hold a user name",
        ),
    ] {
        let (sandbox, run) = log_in("https://id.example", &oauth);
        let run = run.fails(78, &[said]);
        assert!(!run.stderr.contains("u:p"), "{run:#?}");
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn a_login_of_ones_own_is_set_up_by_commands_alone_from_nothing_to_an_answer() {
    let authority = issuer("", INSERTED, |_| {});
    let model = Server::script([answer(&["It is a pipe."])]);
    let sandbox = Sandbox::new();
    let set = |words: &[String]| {
        let tool = sandbox.tool("qwen-auth").arg("set").args(words);
        tool.run().exits(0);
    };
    set(&[
        "--new".into(),
        "lab".into(),
        "method=oauth".into(),
        format!("base_url={}", model.url("/v1")),
        "model=m-1".into(),
        format!("oauth.issuer={}", authority.url("")),
        "oauth.client_id=toolkit".into(),
        "oauth.allowed_hosts=127.0.0.1".into(),
    ]);
    login(&sandbox).run().exits(0);
    set(&["lab".into(), "model=m-2".into(), "rate.per_day=5".into()]);
    set(&["lab".into(), "headers.X-Team=docs".into()]);
    let chat = sandbox.tool("qwen-chat").args(["--profile", "lab", "hi"]);
    chat.run().gives(0, "It is a pipe.\n", "");
    let asked = &model.requests()[0];
    assert_eq!(asked.header("authorization"), Some("Bearer canary-access-token"));
    assert_eq!(asked.header("x-team"), Some("docs"));
    assert!(asked.text().contains(r#""model":"m-2""#), "{}", asked.text());
    let status = sandbox.tool("qwen-auth").args(["--profile", "lab"]).run();
    assert!(status.exits(0).text().contains(" of 5 today  (profile 'lab')\n"));
}

//! qwen-auth logout: revoked where that is possible, removed in every case, and said.
use crate::support::{Keyring, Reply, Request, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

const FILE: &str = "home/.config/qwen/credentials/lab.json";

fn logout(sandbox: &Sandbox) -> Tool {
    sandbox.detached("qwen-auth").arg("logout")
}

fn credential() -> String {
    json!({
        "method": "oauth", "access_token": "canary-at", "refresh_token": "canary-rt", "token_type": "Bearer",
        "expires_at": 4_102_444_800_000_u64,
    })
    .to_string()
}

/// A home that is logged in at a server.
fn logged_in(oauth: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = json!({"method": "oauth", "key": {"store": "file"}, "oauth": oauth});
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    sandbox.write(FILE, credential());
    sandbox
}

fn oauth(server: &Server) -> Value {
    let mut oauth = crate::support::authority::oauth(&server.url(""));
    oauth["revocation_endpoint"] = json!(server.url("/revoke"));
    oauth
}

/// What is said of a login that the server has revoked.
fn revoked(server: &Server) -> String {
    format!("; revoked at '{}'", server.name())
}

#[track_caller]
fn gone(sandbox: &Sandbox, run: Run, said: &[&str]) {
    let run = run.exits(0);
    assert_eq!(run.text(), "");
    for part in said {
        assert!(run.stderr.contains(part), "no {part:?} in {run:#?}");
    }
    assert!(!run.stderr.contains("canary"), "{run:#?}");
    assert!(!sandbox.root().join(FILE).exists());
}

#[test]
fn of_a_link_that_is_not_followed_the_link_is_removed() {
    let server = Server::untouched();
    let sandbox = logged_in(&oauth(&server));
    let elsewhere = sandbox.write("shared/elsewhere", credential());
    let everybodys = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(elsewhere.parent().unwrap(), everybodys).unwrap();
    std::fs::remove_file(sandbox.root().join(FILE)).unwrap();
    for (target, why) in [
        (&*elsewhere, "its directory '"),
        ("/no/such/file".as_ref(), "is a symbolic link to nothing"),
    ] {
        std::os::unix::fs::symlink(target, sandbox.root().join(FILE)).unwrap();
        let said = &["removed from '", "; not revoked: ", why];
        gone(&sandbox, logout(&sandbox).run(), said);
        assert!(!sandbox.root().join(FILE).is_symlink());
    }
    assert_eq!(sandbox.read("shared/elsewhere"), credential());
}

#[test]
fn of_a_link_of_ones_own_the_credential_is_revoked_and_removed_with_the_link() {
    let server = Server::script([Reply::new(200, "text/plain", "")]);
    let sandbox = logged_in(&oauth(&server));
    let kept = sandbox.write("dotfiles/creds.json", credential());
    std::fs::remove_file(sandbox.root().join(FILE)).unwrap();
    std::os::unix::fs::symlink(&kept, sandbox.root().join(FILE)).unwrap();
    gone(
        &sandbox,
        logout(&sandbox).run(),
        &["removed from '", &revoked(&server)],
    );
    assert!(!sandbox.root().join(FILE).is_symlink() && !kept.exists());
}

#[test]
fn the_refresh_token_is_revoked_first_and_the_credential_removed() {
    let server = Server::script([Reply::new(200, "text/plain", "")]);
    let sandbox = logged_in(&oauth(&server));
    gone(
        &sandbox,
        logout(&sandbox).run(),
        &["profile 'lab': removed from '", &revoked(&server)],
    );
    let bodies: Vec<String> = server.requests().iter().map(Request::text).collect();
    assert_eq!(
        bodies,
        [
            "token=canary-rt&token_type_hint=refresh_token&client_id=toolkit",
            "token=canary-at&token_type_hint=access_token&client_id=toolkit",
        ]
    );
    for request in server.requests() {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("POST", "/revoke")
        );
        assert_eq!(
            request.header("content-type"),
            Some("application/x-www-form-urlencoded")
        );
        assert!(request.header("authorization").is_none());
    }
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(config["profiles"]["lab"]["method"], "oauth", "the settings stay");
}

#[test]
fn whatever_the_server_says_the_credential_is_removed() {
    let elsewhere = Server::untouched();
    let to = elsewhere.url("/steal");
    let still = "the token itself stays good until 2100-01-01T00:00:00Z";
    for (reply, said) in [
        (
            Reply::new(503, "text/html", "<html>"),
            "not revoked: '{server}': the server responded with status 503",
        ),
        (
            Reply::json(400, r#"{"error": "invalid_request"}"#),
            "not revoked: '{server}': invalid_request",
        ),
        (
            Reply::json(
                401,
                r#"{"error": "invalid_client", "error_description": "\u001b[31m"}"#,
            ),
            "invalid_client",
        ),
        (
            Reply::new(404, "text/html", "<html>"),
            "the server responded with status 404: the answer is an HTML page",
        ),
        (Reply::default().reset(), "not revoked: "),
        (
            Reply::with_headers(307, &[("location", to.as_str())], ""),
            "a redirect (status 307)",
        ),
    ] {
        let server = Server::script([reply]);
        let sandbox = logged_in(&oauth(&server));
        let said = said.replace("{server}", &server.name());
        gone(&sandbox, logout(&sandbox).run(), &[&said, still]);
    }
    let nowhere = json!({
        "device_authorization_endpoint": "http://127.0.0.1:9/d", "token_endpoint": "http://127.0.0.1:9/t",
        "revocation_endpoint": "http://127.0.0.1:9/r", "client_id": "x",
    });
    let sandbox = logged_in(&nowhere);
    gone(
        &sandbox,
        logout(&sandbox).run(),
        &["not revoked: ", "cannot connect"],
    );
    let sandbox = logged_in(&json!({"client_id": "x"}));
    gone(&sandbox, logout(&sandbox).run(), &["not revoked: "]);
}

#[test]
fn a_server_that_cannot_revoke_is_said_to_be_one() {
    let mut oauth = crate::support::authority::oauth("http://127.0.0.1:9");
    let sandbox = logged_in(&oauth);
    gone(
        &sandbox,
        logout(&sandbox).run(),
        &["'127.0.0.1:9' offers no way to revoke it"],
    );
    // The issuer may know what the settings do not say.
    let server = Server::answering(|_, request: &Request| {
        let base = format!("http://{}", request.header("host").unwrap());
        let document = json!({
            "issuer": base, "device_authorization_endpoint": format!("{base}/device"),
            "token_endpoint": format!("{base}/token"), "revocation_endpoint": format!("{base}/revoke"),
        });
        if request.method == "GET" {
            Reply::json(200, &document.to_string())
        } else {
            Reply::new(200, "text/plain", "")
        }
    });
    oauth["issuer"] = json!(server.url(""));
    let sandbox = logged_in(&oauth);
    gone(&sandbox, logout(&sandbox).run(), &[&revoked(&server)]);
}

#[test]
fn a_busy_server_is_asked_again_when_it_says_when() {
    let server = Server::script([
        Reply::with_headers(503, &[("retry-after", "1")], ""),
        Reply::new(200, "text/plain", ""),
    ]);
    let sandbox = logged_in(&oauth(&server));
    let run = logout(&sandbox).run();
    assert!(run.elapsed.as_millis() >= 1000, "{run:#?}");
    gone(&sandbox, run, &[&revoked(&server)]);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_server_that_revokes_refresh_tokens_only_has_done_its_part() {
    let server = Server::script([
        Reply::new(200, "text/plain", ""),
        Reply::json(400, r#"{"error": "unsupported_token_type"}"#),
    ]);
    let sandbox = logged_in(&oauth(&server));
    gone(&sandbox, logout(&sandbox).run(), &[&revoked(&server)]);
}

#[test]
fn a_key_is_removed_and_a_foreign_one_named() {
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"profiles": {"lab": {"method": "api-key", "key": {"store": "file"}}, "a": {"key": {"env": "MY_KEY"}},
            "b": {"method": "api-key", "key": {"command": ["pass", "x"]}}, "c": {"method": "api-key"}}}"#,
    );
    sandbox.write(
        FILE,
        r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#,
    );
    for (name, said) in [
        (
            "a",
            "profile 'a': nothing is stored, its key is in the variable MY_KEY",
        ),
        ("b", "its key comes from the command 'pass'"),
        ("c", "it has no credential"),
    ] {
        let run = logout(&sandbox).arg(name).run().exits(0);
        assert!(run.stderr.contains(said), "{run:#?}");
    }
    let run = logout(&sandbox)
        .arg("lab")
        .env("OPENAI_API_KEY", "sk-canary-environment")
        .run();
    gone(
        &sandbox,
        run,
        &[
            "profile 'lab': removed from '",
            "the key of environment OPENAI_API_KEY is still set",
        ],
    );
    let run = logout(&sandbox).arg("lab").run().exits(0);
    assert!(
        run.stderr.contains("profile 'lab': nothing is stored in '"),
        "{run:#?}"
    );
}

#[test]
fn the_login_of_qwen_code_goes_for_both_and_that_is_said() {
    let server = Server::script([Reply::new(200, "text/plain", "")]);
    for config in [
        json!({"profiles": {"q": {"method": "oauth", "provider": "qwen", "oauth": oauth(&server)}}}),
        json!({}),
    ] {
        let sandbox = Sandbox::new();
        let has_server = config.get("profiles").is_some();
        sandbox.config(&config.to_string());
        sandbox.write(
            "home/.qwen/oauth_creds.json",
            r#"{"access_token": "canary-at", "token_type": "Bearer", "expiry_date": 1}"#,
        );
        // Without a profile the server would be qwen.ai itself: a proxy that refuses stands in its way.
        let run = logout(&sandbox)
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .run()
            .exits(0);
        assert!(
            run.stderr
                .contains("Qwen Code shared this login and is logged out too"),
            "{run:#?}"
        );
        assert_eq!(run.stderr.contains(&revoked(&server)), has_server, "{run:#?}");
        assert!(!sandbox.home().join(".qwen/oauth_creds.json").exists());
    }
}

#[test]
fn a_broken_credential_can_be_removed_too() {
    let server = Server::untouched();
    for broken in ["", "{", "[]", r#"{"method": "oauth"}"#] {
        let sandbox = logged_in(&oauth(&server));
        sandbox.write(FILE, broken);
        gone(&sandbox, logout(&sandbox).run(), &["not revoked: "]);
    }
}

#[test]
fn all_means_all_and_a_locked_keyring_spares_no_file() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let mut keyring = keyring;
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"profiles": {"a": {"method": "api-key", "key": {"store": "keyring"}},
            "lab": {"method": "api-key", "key": {"store": "file"}}}}"#,
    );
    let key = r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#;
    keyring.store("a", key);
    sandbox.write(FILE, key);
    keyring.tell("lock");
    let run = keyring.given_to(logout(&sandbox)).arg("--all").run();
    let run = run.fails(
        75,
        &["the system keyring is locked", "profile 'lab': removed from"],
    );
    assert!(!run.stderr.contains("canary") && !sandbox.root().join(FILE).exists());
    keyring.tell("unlock");
    assert!(keyring.lookup("a").is_some());
    keyring.given_to(logout(&sandbox)).arg("--all").run().exits(0);
    assert_eq!(keyring.lookup("a"), None);
}

/// RFC 7009, section 2.2, wants 200 for such a token; better-auth sends this.
#[test]
fn the_access_token_is_revoked_where_the_refresh_token_was_before() {
    let server = Server::script([
        Reply::json(
            400,
            r#"{"error": "invalid_request", "error_description": "refresh token revoked"}"#,
        ),
        Reply::new(200, "text/plain", ""),
    ]);
    let sandbox = logged_in(&oauth(&server));
    let said = format!(
        "; the access token is revoked at '{}', not the refresh token: invalid_request: refresh token revoked\n",
        server.name()
    );
    gone(&sandbox, logout(&sandbox).run(), &[&said]);
    assert!(server.requests()[1].text().contains("token=canary-at"));
}

/// A profile that had a key, and needs none now.
fn once_keyed(sandbox: &Sandbox, profile: &Value) {
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    sandbox.write(
        FILE,
        r#"{"method": "api-key", "api_key": "sk-canary-0123456789"}"#,
    );
}

#[test]
fn what_is_stored_is_removed_whatever_the_profile_says_that_it_needs() {
    let sandbox = Sandbox::new();
    for profile in [
        json!({"method": "api-key", "provider": "ollama"}),
        json!({"method": "api-key", "key": {"env": "MY_KEY"}}),
        json!({"method": "api-key", "key": {"command": ["true"]}}),
        json!({}),
    ] {
        for words in [&["lab"][..], &["--all"]] {
            once_keyed(&sandbox, &profile);
            let run = logout(&sandbox).args(words).run();
            gone(&sandbox, run, &["profile 'lab': removed from '"]);
            let run = logout(&sandbox).args(words).run().exits(0);
            assert!(
                run.stderr.contains("profile 'lab': nothing is stored, "),
                "{run:#?}"
            );
        }
        once_keyed(&sandbox, &profile);
        let run = sandbox.detached("qwen-auth").args(["remove", "lab"]).run();
        gone(&sandbox, run, &["profile 'lab' is removed"]);
        once_keyed(&sandbox, &profile);
        let run = sandbox
            .detached("qwen-auth")
            .args(["rename", "lab", "other"])
            .run();
        gone(&sandbox, run, &["profile 'lab' is 'other' now"]);
        let moved = "home/.config/qwen/credentials/other.json";
        assert!(sandbox.read(moved).contains("sk-canary"));
        std::fs::remove_file(sandbox.root().join(moved)).unwrap();
    }
}

#[test]
fn all_removes_what_is_stored_for_profiles_that_are_in_no_file_any_more() {
    let sandbox = Sandbox::new();
    for profiles in [
        json!({}),
        json!({"work": {"method": "api-key", "provider": "ollama"}}),
    ] {
        sandbox.config(&json!({"profiles": profiles}).to_string());
        sandbox.write(FILE, credential());
        let run = logout(&sandbox).arg("--all").run();
        gone(
            &sandbox,
            run,
            &["profile 'lab': removed from '", "offers no way to revoke it"],
        );
    }
}

#[test]
fn beside_a_file_of_another_name_the_credentials_of_other_profiles_stay() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "home/.config/qwen/other.json",
        r#"{"profiles": {"a": {"provider": "ollama"}}}"#,
    );
    sandbox.write(FILE, credential());
    logout(&sandbox)
        .arg("--all")
        .env("QWEN_CONFIG", &file)
        .run()
        .exits(0);
    assert!(sandbox.root().join(FILE).exists());
}

#[test]
fn where_nothing_is_stored_nothing_is_made_either() {
    let sandbox = Sandbox::new();
    for words in [&["logout"][..], &["logout", "--all"]] {
        let run = sandbox.tool("qwen-auth").args(words).run().exits(0);
        assert!(run.stderr.contains("nothing is stored"), "{run:#?}");
    }
    assert!(!sandbox.home().join(".qwen").exists());
}

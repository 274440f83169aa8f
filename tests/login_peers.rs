//! qwen-login, qwen-token and qwen-auth against OAuth servers that people run themselves: each does the whole table.
use std::process::Child;

use crate::support::authority::{login, nothing_is_stored, stored};
use crate::support::login::millis;
use crate::support::oauth_peer::{
    AUTHLIB, BETTER_AUTH, BETTER_AUTH_SESSIONS, DJANGO, OIDC_PROVIDER, OauthClient, OauthPeer, SCOPE,
};
use crate::support::{PendingLogin, Run, Sandbox, wait_until};
use serde_json::{Value, json};

const OWN_FILE: &str = "home/.config/qwen/credentials/lab.json";
const CONFIG: &str = "home/.config/qwen/config.json";
const MANY: usize = 20;

/// A home with a profile `lab` whose `oauth` member is this.
fn home(oauth: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let profile =
        json!({"method": "oauth", "base_url": "http://127.0.0.1:9/v1", "model": "m", "oauth": oauth});
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    sandbox
}

/// A home that is logged in, and the login.
fn logged_in(client: &OauthClient) -> (Sandbox, Value) {
    let sandbox = home(&client.oauth());
    let login = PendingLogin::begin(&sandbox);
    client.decide(&login.code, true);
    let (code, said) = login.ends();
    assert_eq!(code, 0, "{said}");
    let login = stored(&sandbox);
    (sandbox, login)
}

/// Makes the stored access token one that has just ended, by this machine's clock.
fn expire(sandbox: &Sandbox) {
    let mut login = stored(sandbox);
    login["expires_at"] = json!(millis(-1));
    sandbox.write(OWN_FILE, login.to_string());
}

fn text(login: &Value, name: &str) -> String {
    login[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {login}"))
        .to_owned()
}

fn a_login_lasts_from_the_approval_to_the_logout(peer: &'static OauthPeer, token_endpoint: &str) {
    let Some(client) = peer.client() else { return };
    let sandbox = home(&client.oauth());
    let login = PendingLogin::begin(&sandbox);
    wait_until("two polls", || {
        client.answers("device_code", "authorization_pending") >= 2
    });
    client.decide(&login.code, true);
    let (code, said) = login.ends();
    assert_eq!(code, 0, "{said}");
    for complaint in ["did not grant", "no refresh token", "clock"] {
        assert!(!said.contains(complaint), "{said}");
    }
    let stats = client.stats();
    assert_eq!(stats["answers"]["device_code"]["ok"], 1, "{stats}");
    assert!(stats["answers"]["device_code"]["slow_down"].is_null(), "{stats}");
    let login = stored(&sandbox);
    let (access, refresh) = (text(&login, "access_token"), text(&login, "refresh_token"));
    assert!(client.is_active(&access));
    assert_eq!(login["scope"], SCOPE);

    let run = sandbox
        .tool("qwen-token")
        .args(["--format", "json"])
        .run()
        .exits(0);
    let token: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(token["access_token"], access.as_str());
    assert!(
        (1..=60).contains(&token["expires_in"].as_u64().unwrap()),
        "{token}"
    );

    let run = sandbox.tool("qwen-auth").arg("logout").run().exits(0);
    let revoked = format!("revoked at '{}'", client.name());
    assert!(run.stderr.contains(&revoked), "{run:#?}");
    assert!(!client.is_active(&access));
    let answer = client.refresh(&format!("{}{token_endpoint}", client.url()), &refresh);
    assert_eq!(answer["error"], "invalid_grant", "{answer}");
    nothing_is_stored(&sandbox);
    let said = said + &run.stderr;
    assert!(!said.contains(&access) && !said.contains(&refresh), "{said}");
}

fn a_denial_ends_the_login(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let sandbox = home(&client.oauth());
    let login = PendingLogin::begin(&sandbox);
    client.decide(&login.code, false);
    let (code, said) = login.ends();
    assert_eq!(code, 77, "{said}");
    let denied = format!("'{}': the login was denied", client.name());
    assert!(said.contains(&denied), "{said}");
    assert_eq!(client.answers("device_code", "access_denied"), 1);
    nothing_is_stored(&sandbox);
}

fn a_code_that_the_server_calls_expired_ends_the_login(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let sandbox = home(&client.oauth());
    let login = PendingLogin::begin(&sandbox);
    client.expire(&login.code);
    let (code, said) = login.ends();
    assert_eq!(code, 77, "{said}");
    assert!(said.contains("the code expired before it was approved"), "{said}");
    assert_eq!(client.answers("device_code", "expired_token"), 1);
    nothing_is_stored(&sandbox);
}

/// The server announces a second and means four; five more are enough for it.
fn a_server_in_less_of_a_hurry_is_obeyed(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let sandbox = home(&client.oauth());
    let login = PendingLogin::begin(&sandbox);
    client.pace(&login.code, 4);
    wait_until("a poll after the slow_down", || {
        client.answers("device_code", "authorization_pending") >= 2
    });
    client.decide(&login.code, true);
    let (code, said) = login.ends();
    assert_eq!(code, 0, "{said}");
    assert_eq!(client.answers("device_code", "slow_down"), 1);
}

fn twenty_at_once_rotate_the_refresh_token_once(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let (sandbox, old) = logged_in(&client);
    expire(&sandbox);
    let children: Vec<Child> = (0..MANY).map(|_| sandbox.tool("qwen-token").start()).collect();
    let tokens: Vec<String> = children
        .into_iter()
        .map(|child| Run::wait(child, "qwen-token").exits(0).text())
        .collect();
    let new = stored(&sandbox);
    let token = text(&new, "access_token");
    assert!(
        tokens.iter().all(|line| *line == format!("{token}\n")),
        "{tokens:?}"
    );
    assert!(client.is_active(&token));
    assert_ne!(token, text(&old, "access_token"));
    assert_ne!(text(&new, "refresh_token"), text(&old, "refresh_token"));
    assert_eq!(new["scope"], SCOPE);
    let stats = client.stats();
    assert_eq!(stats["answers"]["refresh_token"], json!({"ok": 1}), "{stats}");
}

/// As when a backup of the file is put back: the server takes it for theft and ends the whole login.
fn a_refresh_token_that_was_used_asks_for_a_login(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let (sandbox, _) = logged_in(&client);
    expire(&sandbox);
    let backup = sandbox.read(OWN_FILE);
    sandbox.tool("qwen-token").run().exits(0);
    let new = sandbox.read(OWN_FILE);
    sandbox.write(OWN_FILE, &backup);
    for _ in 0..2 {
        let run = sandbox.tool("qwen-token").run();
        let run = run.fails(77, &["hint: run 'qwen-login --profile lab'"]);
        assert!(
            !run.stderr.contains(&text(&stored(&sandbox), "refresh_token")),
            "{run:#?}"
        );
        assert_eq!(sandbox.read(OWN_FILE), backup, "the credential stays");
    }
    sandbox.write(OWN_FILE, new);
    sandbox
        .tool("qwen-token")
        .arg("--refresh")
        .run()
        .fails(77, &["hint: run 'qwen-login --profile lab'"]);
    assert_eq!(client.answers("refresh_token", "ok"), 1);
}

fn a_client_that_the_server_does_not_know_is_a_setting_to_mend(peer: &'static OauthPeer, words: &str) {
    let Some(client) = peer.client() else { return };
    let mut oauth = client.oauth();
    oauth["client_id"] = json!("nobody");
    let sandbox = home(&oauth);
    let run = login(&sandbox).run();
    run.fails(78, &[&format!("'{}'", client.name()), words, "client_id"]);
    nothing_is_stored(&sandbox);
}

fn a_scope_that_the_server_does_not_know_is_a_setting_to_mend(peer: &'static OauthPeer, words: &str) {
    let Some(client) = peer.client() else { return };
    let mut oauth = client.oauth();
    oauth["scope"] = json!("openid model.everything");
    let sandbox = home(&oauth);
    let run = login(&sandbox).run();
    run.fails(78, &[&format!("'{}'", client.name()), words, "scope"]);
    nothing_is_stored(&sandbox);
}

/// As when the client was renamed in the settings: the login is another client's, and is kept.
fn a_login_of_another_client_is_kept_and_not_refreshed(peer: &'static OauthPeer, exit: i32) {
    let Some(client) = peer.client() else { return };
    let (sandbox, _) = logged_in(&client);
    expire(&sandbox);
    let (config, login) = (sandbox.read(CONFIG), sandbox.read(OWN_FILE));
    sandbox.write(CONFIG, config.replace(&client.id, "nobody"));
    sandbox.tool("qwen-token").run().fails(exit, &[": invalid_"]);
    assert_eq!(sandbox.read(OWN_FILE), login);
    sandbox.write(CONFIG, config);
    sandbox.tool("qwen-token").run().exits(0);
}

/// PKCE is more than RFC 8628 asks for: a server may check it, ignore it, or never have heard of it.
fn a_login_works_without_pkce_too(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let mut oauth = client.oauth();
    oauth["pkce"] = json!(false);
    let sandbox = home(&oauth);
    let login = PendingLogin::begin(&sandbox);
    client.decide(&login.code, true);
    let (code, said) = login.ends();
    assert_eq!(code, 0, "{said}");
}

fn an_issuer_spelt_otherwise_is_named_in_both_spellings(peer: &'static OauthPeer) {
    let Some(client) = peer.client() else { return };
    let oauth = client.oauth();
    let right = oauth["issuer"].as_str().unwrap();
    let wrong = format!("{right}/");
    let mut oauth = oauth.clone();
    oauth["issuer"] = json!(wrong);
    let sandbox = home(&oauth);
    let run = login(&sandbox).run();
    run.fails(78, &[&format!("'{right}'"), &format!("'{wrong}'")]);
    nothing_is_stored(&sandbox);
}

/// The tests that every server takes, as tests of their own.
macro_rules! server {
    ($name:ident, $peer:ident, $token_endpoint:literal, unknown_client: $client:literal, of_another: $exit:literal) => {
        mod $name {
            use super::*;

            #[test]
            fn a_login_lasts_from_the_approval_to_the_logout() {
                super::a_login_lasts_from_the_approval_to_the_logout(&$peer, $token_endpoint);
            }

            #[test]
            fn a_denial_ends_the_login() {
                super::a_denial_ends_the_login(&$peer);
            }

            #[test]
            fn a_code_that_the_server_calls_expired_ends_the_login() {
                super::a_code_that_the_server_calls_expired_ends_the_login(&$peer);
            }

            #[test]
            fn twenty_at_once_rotate_the_refresh_token_once() {
                super::twenty_at_once_rotate_the_refresh_token_once(&$peer);
            }

            #[test]
            fn a_refresh_token_that_was_used_asks_for_a_login() {
                super::a_refresh_token_that_was_used_asks_for_a_login(&$peer);
            }

            #[test]
            fn a_client_that_the_server_does_not_know_is_a_setting_to_mend() {
                super::a_client_that_the_server_does_not_know_is_a_setting_to_mend(&$peer, $client);
            }

            #[test]
            fn a_login_of_another_client_is_kept_and_not_refreshed() {
                super::a_login_of_another_client_is_kept_and_not_refreshed(&$peer, $exit);
            }

            #[test]
            fn an_issuer_spelt_otherwise_is_named_in_both_spellings() {
                super::an_issuer_spelt_otherwise_is_named_in_both_spellings(&$peer);
            }
        }
    };
}

server!(oidc_provider, OIDC_PROVIDER, "/api/v1/oauth2/token", unknown_client: "invalid_client", of_another: 78);
server!(authlib, AUTHLIB, "/oauth/token", unknown_client: "invalid_client", of_another: 78);
server!(better_auth, BETTER_AUTH, "/api/auth/oauth2/token", unknown_client: "Invalid client ID", of_another: 77);
server!(django, DJANGO, "/o/token/", unknown_client: "Invalid client_id parameter value.", of_another: 78);

#[test]
fn oidc_provider_slows_a_client_down() {
    a_server_in_less_of_a_hurry_is_obeyed(&OIDC_PROVIDER);
}

#[test]
fn authlib_slows_a_client_down() {
    a_server_in_less_of_a_hurry_is_obeyed(&AUTHLIB);
}

#[test]
fn better_auth_slows_a_client_down() {
    a_server_in_less_of_a_hurry_is_obeyed(&BETTER_AUTH);
}

#[test]
fn authlib_refuses_a_scope_before_a_person_is_asked() {
    a_scope_that_the_server_does_not_know_is_a_setting_to_mend(&AUTHLIB, "invalid_scope");
}

#[test]
fn better_auth_refuses_a_scope_before_a_person_is_asked() {
    a_scope_that_the_server_does_not_know_is_a_setting_to_mend(&BETTER_AUTH, "model.everything");
}

#[test]
fn authlib_wants_no_pkce() {
    a_login_works_without_pkce_too(&AUTHLIB);
}

#[test]
fn better_auth_wants_no_pkce() {
    a_login_works_without_pkce_too(&BETTER_AUTH);
}

#[test]
fn django_wants_no_pkce() {
    a_login_works_without_pkce_too(&DJANGO);
}

#[test]
fn a_server_that_demands_pkce_says_so_before_a_person_is_asked() {
    let Some(client) = OIDC_PROVIDER.client() else {
        return;
    };
    let mut oauth = client.oauth();
    oauth["pkce"] = json!(false);
    let sandbox = home(&oauth);
    let run = login(&sandbox).run();
    run.fails(78, &["invalid_request: a code_challenge by S256 is required"]);
    nothing_is_stored(&sandbox);
}

/// RFC 8628, section 3.1, asks for a form, and this server for JSON: what it says is what helps.
#[test]
fn the_words_of_a_token_endpoint_that_takes_no_form_are_shown() {
    let Some(client) = BETTER_AUTH_SESSIONS.unregistered() else {
        return;
    };
    let sandbox = home(&client.oauth());
    let (code, said) = PendingLogin::begin(&sandbox).ends();
    assert_eq!(code, 76, "{said}");
    let words =
        r#"Content-Type "application/x-www-form-urlencoded" is not allowed. Allowed types: application/json"#;
    assert!(said.contains(words), "{said}");
    nothing_is_stored(&sandbox);
}

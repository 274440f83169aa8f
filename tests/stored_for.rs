//! A stored secret is for the endpoint that it was stored for: an editor that changes config.json takes it nowhere else.
use serde_json::{Value, json};

use crate::support::login::{OWN_FILE, login};
use crate::support::{Reply, Sandbox, Server, Terminal, Tool};

const KEY: &str = "sk-canary-0123456789";

fn auth(sandbox: &Sandbox, words: &[&str]) -> Tool {
    sandbox.detached("qwen-auth").args(words)
}

/// Stores a key for an endpoint, in profile `work`.
fn set_up(sandbox: &Sandbox, url: &str) {
    let tool = sandbox.detached("qwen-login").stdin(format!("{KEY}\n"));
    let flags = [
        "--with-key",
        "--no-verify",
        "--store",
        "file",
        "--profile",
        "work",
    ];
    tool.args(flags)
        .args(["--model", "m1", "--base-url", url])
        .run()
        .exits(0);
}

/// Changes config.json as an editor does.
fn edit(sandbox: &Sandbox, from: &str, to: &str) {
    let text = sandbox.read(sandbox.config_file());
    assert!(text.contains(from), "{text}");
    sandbox.config(&text.replace(from, to));
}

fn stored(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.read(OWN_FILE)).unwrap()
}

#[test]
fn a_key_does_not_follow_an_edit_of_the_address() {
    let (old, new) = (Server::untouched(), Server::untouched());
    let sandbox = Sandbox::new();
    set_up(&sandbox, &old.url("/v1"));
    let destination = &stored(&sandbox)["stored_for"];
    assert_eq!(destination["base_url"], old.url("/v1"));
    edit(&sandbox, &old.url("/v1"), &new.url("/v1"));
    let said = format!(
        "the key of profile 'work' was stored for '{}', and config.json names '{}' now",
        old.url("/v1"),
        new.url("/v1")
    );
    let hints = [
        said.as_str(),
        "run 'qwen-login --profile work --with-key' to store one for",
        "or run 'qwen-auth set work key.store=file' if it may go there",
    ];
    for tool in [
        sandbox.tool("qwen-token"),
        sandbox.tool("qwen-token").arg("--check"),
        sandbox.detached("qwen-chat").arg("hi"),
        sandbox.detached("qwen-chat").arg("--list-models"),
        sandbox
            .detached("qwen-batch")
            .args(["run", "--template", "{}"])
            .stdin("hi\n"),
        sandbox.detached("qwen-proxy").args(["--", "true"]),
        sandbox.tool("qwen-env").args(["--auth"]),
    ] {
        let run = tool.run();
        assert_eq!(run.code(), 78, "{run:#?}");
        assert!(!run.text().contains(KEY), "{run:#?}");
        assert!(run.stderr.contains(&said), "{run:#?}");
    }
    let run = auth(&sandbox, &["status"]).run();
    assert_eq!(run.code(), 78, "{run:#?}");
    for hint in hints {
        assert!(run.stderr.contains(hint), "{hint}: {run:#?}");
    }
}

#[test]
fn an_address_below_the_old_one_and_another_model_take_nothing_elsewhere() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    set_up(&sandbox, &server.url("/team"));
    for (from, to) in [
        ("\"m1\"", "\"m2\"".to_owned()),
        (&*server.url("/team"), server.url("/team/v1")),
        ("\"custom\"", "\"openai\"".to_owned()),
    ] {
        edit(&sandbox, from, &to);
        sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
    }
}

#[test]
fn what_an_earlier_version_stored_goes_where_the_profile_says() {
    let sandbox = Sandbox::new();
    set_up(&sandbox, "https://a.example/v1");
    sandbox.write(OWN_FILE, json!({"method": "api-key", "api_key": KEY}).to_string());
    edit(&sandbox, "https://a.example/v1", "https://b.example/v1");
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
    // A record that nobody can read says nothing either.
    for odd in [json!("x"), json!({"base_url": 7}), json!({"provider": {}})] {
        let document = json!({"method": "api-key", "api_key": KEY, "stored_for": odd});
        sandbox.write(OWN_FILE, document.to_string());
        sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
    }
}

#[test]
fn naming_the_key_again_is_the_consent_and_is_kept() {
    let sandbox = Sandbox::new();
    set_up(&sandbox, "https://a.example/v1");
    edit(&sandbox, "https://a.example/v1", "https://b.example/v1");
    // Another member says nothing about the key.
    auth(&sandbox, &["set", "work", "model=m2"]).run().exits(0);
    sandbox.tool("qwen-token").run().exits(78);
    auth(&sandbox, &["set", "work", "base_url=https://b.example/v1"])
        .run()
        .fails(
            78,
            &["'key.store' would go to 'https://b.example/v1' instead of 'https://a.example/v1'"],
        );
    let run = auth(&sandbox, &["set", "work", "key.store=file"]).run().exits(0);
    assert!(
        run.stderr.contains("is for 'https://b.example/v1' now"),
        "{run:#?}"
    );
    assert_eq!(stored(&sandbox)["stored_for"]["base_url"], "https://b.example/v1");
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
}

#[test]
fn a_change_by_command_that_is_consented_to_is_kept_beside_the_key() {
    let sandbox = Sandbox::new();
    set_up(&sandbox, "https://a.example/v1");
    let words = ["set", "work", "base_url=https://b.example/v1", "key.store=file"];
    auth(&sandbox, &words).run().exits(0);
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
    let mut terminal =
        Terminal::start(
            sandbox
                .tool("qwen-auth")
                .args(["set", "work", "base_url=https://c.example/v1"]),
        );
    terminal.answers(&[("Send what is secret there? [y/N]", "y\r")]);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(stored(&sandbox)["stored_for"]["base_url"], "https://c.example/v1");
    auth(&sandbox, &["rename", "work", "job"]).run().exits(0);
    let tool = sandbox.tool("qwen-token").args(["--profile", "job"]);
    tool.run().gives(0, format!("{KEY}\n"), "");
    edit(&sandbox, "https://c.example/v1", "https://d.example/v1");
    let tool = sandbox.tool("qwen-token").args(["--profile", "job"]);
    tool.run().fails(78, &["'qwen-auth set job key.store=file'"]);
}

#[test]
fn the_editor_of_qwen_auth_asks_by_what_is_stored() {
    let sandbox = Sandbox::new();
    set_up(&sandbox, "https://a.example/v1");
    edit(&sandbox, "https://a.example/v1", "https://b.example/v1");
    let editor = |to: &str| {
        let script = format!("#!/bin/sh\nsed -i 's!https://[a-z]*.example/v1!{to}!' \"$1\"\n");
        sandbox.program("bin/editor", script)
    };
    let tool = auth(&sandbox, &["edit"]).env("EDITOR", editor("https://c.example/v1"));
    let wanted = "'key.store' would go to 'https://c.example/v1' instead of 'https://a.example/v1'";
    tool.run().fails(78, &[wanted]);
    // Back where it belongs it is nobody's question.
    let tool = auth(&sandbox, &["edit"]).env("EDITOR", editor("https://a.example/v1"));
    tool.run().exits(0);
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
}

/// A profile whose login was stored for one server and one endpoint.
fn logged_in(sandbox: &Sandbox, issued: i64, ends: i64, token_endpoint: &str) {
    sandbox.logged_in(token_endpoint, &login(issued, ends));
    let mut document = stored(sandbox);
    document["stored_for"] = json!({
        "method": "oauth", "provider": "custom", "base_url": "http://127.0.0.1:9/v1",
        "oauth": {"token_endpoint": token_endpoint},
    });
    sandbox.write(OWN_FILE, document.to_string());
}

#[test]
fn neither_token_of_a_login_follows_an_edit() {
    let (old, new) = (Server::untouched(), Server::untouched());
    let sandbox = Sandbox::new();
    let token_endpoint = old.url("/token");
    for ends in [3600, -10] {
        logged_in(&sandbox, -3600, ends, &token_endpoint);
        edit(&sandbox, &token_endpoint, &new.url("/token"));
        sandbox.tool("qwen-token").run().fails(
            78,
            &[
                "the login of profile 'work' was stored for",
                "run 'qwen-login --profile work'",
                "'qwen-auth set work base_url=http://127.0.0.1:9/v1' if it may go there",
            ],
        );
        logged_in(&sandbox, -3600, ends, &token_endpoint);
        edit(&sandbox, "http://127.0.0.1:9/v1", &new.url("/v1"));
        sandbox.detached("qwen-chat").arg("hi").run().exits(78);
    }
    // Nor is it shown to the server that is to forget it.
    logged_in(&sandbox, -10, 3600, &token_endpoint);
    let revoke = format!("\"revocation_endpoint\":\"{}\",\"client_id\"", new.url("/revoke"));
    edit(&sandbox, "\"client_id\"", &revoke);
    let run = auth(&sandbox, &["logout", "work"]).run().exits(0);
    assert!(run.stderr.contains("not revoked: it was stored for"), "{run:#?}");
}

#[test]
fn a_refresh_keeps_what_the_login_is_for() {
    let server = Server::script([Reply::json(
        200,
        r#"{"access_token": "at-new", "token_type": "Bearer", "expires_in": 3600, "stored_for": {"base_url": "https://evil.example"}}"#,
    )]);
    let sandbox = Sandbox::new();
    logged_in(&sandbox, -3600, -10, &server.url("/token"));
    let before = stored(&sandbox)["stored_for"].clone();
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert_eq!(stored(&sandbox)["stored_for"], before);
}

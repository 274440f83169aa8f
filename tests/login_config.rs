//! qwen-login and `config.json`: read strictly, written whole, by many at once.

use crate::support::authority::Authority;
use crate::support::{Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

fn login(sandbox: &Sandbox) -> Tool {
    sandbox
        .detached("qwen-login")
        .args(["--with-key", "--store", "file"])
        .stdin("sk-canary-0123456789\n")
}

#[test]
fn many_set_ups_at_once_lose_no_profile() {
    let sandbox = Sandbox::new();
    let children: Vec<_> = (0..24)
        .map(|number| {
            let name = format!("p{number}");
            let tool = login(&sandbox).args(["--no-verify", "--provider", "openai", "--profile", &name]);
            tool.start()
        })
        .collect();
    for child in children {
        Run::wait(child, "qwen-login").exits(0);
    }
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    for number in 0..24 {
        let name = format!("p{number}");
        assert_eq!(config["profiles"][&name]["method"], "api-key");
        let stored = sandbox.read(format!("home/.config/qwen/credentials/{name}.json"));
        assert!(stored.contains("sk-canary-0123456789"), "{stored}");
    }
}

#[test]
fn a_configuration_that_cannot_be_written_is_found_before_the_key_is_used() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    login(&sandbox)
        .args(["--base-url", &server.url("/v1")])
        .env("QWEN_CONFIG", "/proc/none/config.json")
        .run()
        .fails(74, &["cannot write '/proc/none/config.json': "]);
}

#[test]
fn what_the_user_wrote_into_the_configuration_survives() {
    let server = Server::script([crate::support::chat::answer(&["Hello"])]);
    let sandbox = Sandbox::new();
    let work = json!({
        "method": "oauth", "mine": "kept", "base_url": server.url("/v1"), "headers": {"X-Team": "blue"},
        "rate": {"per_minute": 5},
    });
    let other = json!({"method": "api-key", "x": [1]});
    let profiles = json!({"other": other, "work": work});
    sandbox.config(
        &json!({"mine": {"dark": true}, "default_profile": "work", "profiles": profiles}).to_string(),
    );
    login(&sandbox)
        .args(["--base-url", &server.url("/v1")])
        .run()
        .exits(0);
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(config["mine"], json!({"dark": true}));
    assert_eq!(
        config["profiles"]["other"],
        json!({"method": "api-key", "x": [1]})
    );
    let work = &config["profiles"]["work"];
    assert_eq!(
        (&work["mine"], &work["rate"], &work["method"]),
        (&json!("kept"), &json!({"per_minute": 5}), &json!("api-key"))
    );
    assert_eq!(
        server.requests()[0].header("x-team"),
        Some("blue"),
        "the trial is made as requests will be"
    );
}

#[test]
fn a_broken_configuration_stops_a_login_and_stays_as_it_is() {
    let sandbox = Sandbox::new();
    for broken in [
        "{\"profiles\": ",
        "[]",
        "{\"profiles\": {\"x\": 5}}",
        "{\"default_profile\": 7}",
    ] {
        sandbox.config(broken);
        login(&sandbox)
            .args(["--no-verify", "--provider", "openai"])
            .run()
            .fails(78, &["config.json:1:"]);
        assert_eq!(sandbox.read("home/.config/qwen/config.json"), broken);
    }
}

#[test]
fn a_member_that_is_there_twice_is_no_valid_configuration() {
    let sandbox = Sandbox::new();
    for (twice, place) in [
        (
            "{\"profiles\": {\n \"x\": {\"model\": \"a\"},\n \"x\": {}}}",
            "config.json:3:2: 'profiles.x' is there twice",
        ),
        ("{\"mine\": 1, \"mine\": 2}", "config.json:1:"),
        (
            "{\"a\": [{\"b\": {\"c\": 1, \"c\": 1}}]}",
            "'a.0.b.c' is there twice",
        ),
    ] {
        sandbox.config(twice);
        login(&sandbox)
            .args(["--no-verify", "--provider", "openai"])
            .run()
            .fails(78, &[place]);
        assert_eq!(sandbox.read("home/.config/qwen/config.json"), twice);
    }
}

#[test]
fn an_empty_configuration_and_one_with_a_byte_order_mark_are_written_to() {
    for before in ["", " \n", "\u{feff}", "\u{feff}{\"mine\": 1}\n"] {
        let sandbox = Sandbox::new();
        sandbox.config(before);
        login(&sandbox)
            .args(["--no-verify", "--provider", "openai"])
            .run()
            .exits(0);
        let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
        assert_eq!(config["profiles"]["default"]["provider"], "openai", "{before:?}");
        assert_eq!(config["mine"].is_null(), !before.contains("mine"));
    }
}

#[test]
fn what_is_no_file_is_not_replaced_by_one() {
    use std::os::unix::fs::FileTypeExt;
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let place = sandbox.home().join("device");
    let made = std::process::Command::new("mkfifo").arg(&place).status();
    assert!(made.unwrap().success());
    login(&sandbox)
        .args(["--base-url", &server.url("/v1")])
        .env("QWEN_CONFIG", &place)
        .run()
        .fails(66, &["cannot read '", "device': is not a regular file"]);
    assert!(place.symlink_metadata().unwrap().file_type().is_fifo());
}

#[test]
fn a_key_goes_to_the_endpoint_that_the_profile_names() {
    let server = Server::script([crate::support::chat::answer(&["Hello"])]);
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    sandbox.config(&json!({"profiles": {"lab": {"base_url": url, "model": "m"}}}).to_string());
    login(&sandbox).run().exits(0);
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some("Bearer sk-canary-0123456789")
    );
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    let lab = &config["profiles"]["lab"];
    assert_eq!((&lab["base_url"], &lab["model"]), (&json!(url), &json!("m")));
}

#[test]
fn a_profile_of_a_provider_that_nobody_knows_gets_no_key_and_no_login() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"lab": {"provider": "opnrouter"}}}"#);
    let said = "profile 'lab': no provider is called 'opnrouter'";
    login(&sandbox).run().fails(78, &[said, "known are openai"]);
    sandbox
        .detached("qwen-login")
        .args(["--oauth", "--store", "file"])
        .run()
        .fails(78, &[said]);
    login(&sandbox)
        .args(["--no-verify", "--provider", "openrouter"])
        .run()
        .exits(0);
}

/// The tokens of one server would go to the other when they are refreshed.
#[test]
fn a_profile_with_a_server_of_its_own_logs_in_there_alone() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let oauth = crate::support::authority::oauth(&server.url(""));
    let before = json!({"profiles": {"lab": {"method": "oauth", "oauth": oauth}}}).to_string();
    sandbox.config(&before);
    sandbox.write(
        "home/.qwen/oauth_creds.json",
        json!({"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expiry_date": 1})
            .to_string(),
    );
    for flags in [&["--oauth", "--provider", "qwen"][..], &["--import"]] {
        let tool = sandbox
            .detached("qwen-login")
            .args(["--store", "file"])
            .args(flags);
        tool.run().fails(
            78,
            &[
                "profile 'lab' has a server of its own",
                "'qwen'",
                "hint: choose another profile",
            ],
        );
        assert_eq!(sandbox.read("home/.config/qwen/config.json"), before);
    }
}

/// A profile goes before its provider member by member, as with every other setting.
#[test]
fn what_a_profile_leaves_out_of_oauth_is_its_providers() {
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    let mut oauth = authority.oauth();
    for member in ["client_id", "scope"] {
        oauth.as_object_mut().unwrap().remove(member);
    }
    let profile = json!({"provider": "qwen", "method": "oauth", "oauth": oauth});
    sandbox.config(&json!({"profiles": {"qwen": profile}}).to_string());
    crate::support::authority::login(&sandbox).run().exits(0);
    let asked = authority.server.requests()[0].text();
    let ours =
        "client_id=f0304373b74a44d2b584a3fb70ca9e56&scope=openid%20profile%20email%20model.completion&";
    assert!(asked.contains(ours), "{asked}");
}

/// The hosts that may get a token are of the server that gives it.
#[test]
fn hosts_are_added_to_the_providers_and_not_taken_over_by_another_server() {
    let server = Server::untouched();
    let added = json!({"allowed_hosts": ["llm.example.org"]});
    let mut other = crate::support::authority::oauth(&server.url(""));
    other.as_object_mut().unwrap().remove("allowed_hosts");
    for (oauth, resource, code) in [
        (&added, "llm.example.org", 0),
        (&added, "portal.qwen.ai", 0),
        (&added, "evil.example", 78),
        (&other, "portal.qwen.ai", 78),
    ] {
        let sandbox = Sandbox::new();
        let profile = json!({"provider": "qwen", "method": "oauth", "oauth": oauth});
        sandbox.config(&json!({"profiles": {"qwen": profile}}).to_string());
        sandbox.write(
            "home/.qwen/oauth_creds.json",
            json!({"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "resource_url": resource,
                "expiry_date": 4_000_000_000_000_u64})
            .to_string(),
        );
        let run = sandbox
            .tool("qwen-token")
            .args(["--format", "json"])
            .run()
            .exits(code);
        assert_eq!(
            run.text().contains(&format!("https://{resource}/v1")),
            code == 0,
            "{run:#?}"
        );
    }
}

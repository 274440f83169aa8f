//! Keys of Qwen Code's settings that are not there, or belong elsewhere: what is missing is named, and nothing is sent.

use serde_json::{Value, json};

use crate::support::chat::answer;
use crate::support::{Run, Sandbox, Server};

const USER: &str = "home/.qwen/settings.json";

fn ask(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Run {
    let mut tool = sandbox.detached("qwen-chat").arg("hi");
    for (name, value) in variables {
        tool = tool.env(name, value);
    }
    tool.run()
}

#[test]
fn a_key_that_is_the_name_of_an_unset_variable_is_no_auth_and_named() {
    let server = Server::untouched();
    let url = server.url("/v1");
    let entry = |more: Value| {
        let mut entry = json!({"id": "m", "baseUrl": url});
        entry
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!([entry])
    };
    for reference in ["$UNSET_KEY", "${UNSET_KEY}", " $UNSET_KEY "] {
        for (settings, member) in [
            (
                json!({"security": {"auth": {"apiKey": reference, "baseUrl": url}}}),
                "security.auth.apiKey",
            ),
            (
                json!({"security": {"auth": {"apiKey": reference}}}),
                "security.auth.apiKey",
            ),
            (
                json!({"security": {"auth": {"apiKey": reference}}, "env": {"OPENAI_BASE_URL": url}}),
                "security.auth.apiKey",
            ),
            (
                json!({"env": {"OPENAI_API_KEY": reference, "OPENAI_BASE_URL": url}}),
                "env.OPENAI_API_KEY",
            ),
            (
                json!({"modelProviders": {"openai": entry(json!({}))}, "model": {"name": "m"},
                       "security": {"auth": {"apiKey": reference}}}),
                "security.auth.apiKey",
            ),
            (
                json!({"modelProviders": {"openai": entry(json!({"envKey": "MY_KEY"}))}, "model": {"name": "m"},
                       "env": {"MY_KEY": reference}}),
                "env.MY_KEY",
            ),
        ] {
            let sandbox = Sandbox::new();
            sandbox.write(USER, settings.to_string());
            let run = ask(&sandbox, &[]).exits(77);
            let said = format!("settings.json: {member} takes the key from UNSET_KEY, which is not set");
            assert!(run.stderr.contains(&said), "{settings}: {run:#?}");
            assert!(
                run.stderr.contains("hint: set UNSET_KEY, or run 'qwen-login'"),
                "{run:#?}"
            );
        }
    }
}

#[test]
fn the_variable_that_is_named_makes_the_key_count_when_it_is_set() {
    let server = Server::script([answer(&["ok"])]);
    let sandbox = Sandbox::new();
    let settings = json!({"security": {"auth": {"apiKey": "$MY_OWN", "baseUrl": server.url("/v1")}}});
    sandbox.write(USER, settings.to_string());
    ask(&sandbox, &[("MY_OWN", "sk-mine-0123456789")]).gives(0, "ok\n", "");
    let request = server.requests().pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer sk-mine-0123456789"));
}

#[test]
fn a_key_that_is_for_another_endpoint_is_spoken_of() {
    let server = Server::untouched();
    for settings in [
        json!({"modelProviders": {"openai": [{"id": "m", "baseUrl": server.url("/v1"), "envKey": "CORP_KEY"}]},
               "model": {"name": "m"}, "env": {"CORP_KEY": "sk-corp-0123456789"}}),
        json!({"security": {"auth": {"apiKey": "sk-corp-0123456789", "baseUrl": server.url("/v1")}}}),
        json!({"env": {"OPENAI_API_KEY": "sk-corp-0123456789", "OPENAI_BASE_URL": server.url("/v1")}}),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(USER, settings.to_string());
        let run = ask(&sandbox, &[("OPENAI_BASE_URL", "https://other.example/v1")]).exits(77);
        let (no, belongs) = (
            "no credential for 'https://other.example/v1': the key of ",
            format!(" belongs to '{}'", server.url("/v1")),
        );
        assert!(
            run.stderr.contains(no) && run.stderr.contains(&belongs),
            "{settings}: {run:#?}"
        );
        assert!(
            !run.stderr.contains("neither") && !run.stderr.contains("sk-corp"),
            "{run:#?}"
        );
    }
}

#[test]
fn settings_that_cannot_be_read_are_named_before_the_credential_that_is_missing() {
    for broken in ["{\"security\": {", "[1]", "{\"a\": 1} x"] {
        let sandbox = Sandbox::new();
        sandbox.write(USER, broken);
        let run = ask(&sandbox, &[]).exits(77);
        let first = run.stderr.lines().next().unwrap();
        let (file, missing) = (first.find("settings.json:1:"), first.find("no credential"));
        assert!(file.is_some() && file < missing, "{run:#?}");
    }
}

#[test]
fn an_older_name_of_the_address_is_spoken_of_without_a_key_too() {
    let sandbox = Sandbox::new();
    let run = ask(&sandbox, &[("OPENAI_API_BASE", "https://mine.example/v1")]).exits(77);
    let first = run.stderr.lines().next().unwrap();
    assert!(
        first.contains("OPENAI_API_BASE is not read; set OPENAI_BASE_URL; no credential"),
        "{run:#?}"
    );
}

#[test]
fn a_refused_store_of_answers_is_spoken_of_by_every_tool_that_passes_a_file_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Server::script([answer(&["ok"])]);
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_MODEL=m\nGREETING=hi\n");
    let store = sandbox.write("home/.local/state/qwen/trust.json", "{\"files\": {}}");
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o666)).unwrap();
    let variables = [("OPENAI_API_KEY", "k"), ("OPENAI_BASE_URL", &*server.url("/v1"))];
    let run = ask(&sandbox, &variables).exits(0);
    assert!(
        run.stderr.contains("trust.json") && run.stderr.contains("no project file is trusted"),
        "{run:#?}"
    );
}

#[test]
fn a_profile_that_a_variable_chose_is_outvoted_with_the_same_line() {
    let server = Server::script([answer(&["ok"])]);
    let sandbox = Sandbox::new();
    let profile = json!({"profiles": {"work": {"base_url": "https://work.example/v1", "model": "w",
        "method": "api-key", "key": {"command": ["echo", "x"]}}}});
    sandbox.config(&profile.to_string());
    let url = server.url("/v1");
    let given = [
        ("OPENAI_API_KEY", "k"),
        ("OPENAI_BASE_URL", &*url),
        ("OPENAI_MODEL", "m"),
    ];
    let said = "profile 'work' was named, but the key of environment OPENAI_API_KEY, the endpoint of environment \
                OPENAI_BASE_URL and the model of environment OPENAI_MODEL go before its own";
    let run = ask(&sandbox, &[&given[..], &[("QWEN_PROFILE", "work")]].concat()).exits(0);
    assert!(run.stderr.contains(said), "{run:#?}");
    let mut tool = sandbox.detached("qwen-chat").args(["--profile", "work", "hi"]);
    for (name, value) in given {
        tool = tool.env(name, value);
    }
    let run = tool.run().exits(0);
    assert!(run.stderr.contains(said), "{run:#?}");
}

#[test]
fn an_import_is_tested_before_anything_is_stored() {
    let refused = crate::support::Reply::json(
        401,
        r#"{"error": {"message": "no such key", "code": "invalid_api_key"}}"#,
    );
    let server = Server::script([refused]);
    let sandbox = Sandbox::new();
    let settings = json!({"security": {"auth": {"selectedType": "openai", "apiKey": "sk-corp-0123456789",
        "baseUrl": server.url("/v1")}}, "model": {"name": "m"}});
    sandbox.write(USER, settings.to_string());
    let import = || {
        sandbox
            .detached("qwen-login")
            .args(["--import", "--store", "file"])
    };
    let run = import().run().exits(77);
    assert!(
        run.stderr
            .contains("nothing was stored; --no-verify stores it without a test"),
        "{run:#?}"
    );
    assert!(!sandbox.config_file().exists() || !sandbox.read(sandbox.config_file()).contains("profiles"));
    assert!(!run.stderr.contains("sk-corp-0123456789"));
    let asked = server.count();
    import().arg("--no-verify").run().exits(0);
    assert_eq!(server.count(), asked);
    let good = Server::script([answer(&["ok"])]);
    let settings = settings.to_string().replace(&server.url("/v1"), &good.url("/v1"));
    sandbox.write(USER, settings);
    let run = import().run().exits(0);
    assert!(run.stderr.contains("the endpoint accepts the key"), "{run:#?}");
    assert_eq!(
        good.requests()[0].header("authorization"),
        Some("Bearer sk-corp-0123456789")
    );
}

//! `qwen-env --auth`: the credential of the active profile, by the real `qwen-token`.

use crate::support::login::login;
use crate::support::{Sandbox, Tool};
use serde_json::json;

const SHOW: &str = "echo ${OPENAI_API_KEY-unset} ${OPENAI_BASE_URL-unset} ${OPENAI_MODEL-unset}";

/// A sandbox with two profiles that take their keys from the environment.
fn profiles() -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = |name: &str| {
        json!({ "provider": "custom", "method": "api-key", "base_url": format!("http://127.0.0.1:9/{name}"), "model": name,
                "key": { "env": format!("KEY_{}", name.to_uppercase()) } })
    };
    let config = json!({ "default_profile": "work", "profiles": { "work": profile("work"), "play": profile("play") } });
    sandbox.config(&config.to_string());
    sandbox
}

fn sh(sandbox: &Sandbox, script: &str) -> Tool {
    let shell = sandbox
        .command("/bin/dash")
        .env("KEY_WORK", "sk-work")
        .env("KEY_PLAY", "sk-play");
    shell.args(["-c", script])
}

#[test]
fn the_three_variables_of_the_profile_are_exported_and_taken_back() {
    let sandbox = profiles();
    let script = format!(
        "eval $(qwen-env --auth); {SHOW}; eval $(qwen-env --auth --profile play); {SHOW}; eval $(qwen-env); {SHOW}"
    );
    sh(&sandbox, &script).run().gives(
        0,
        "sk-work http://127.0.0.1:9/work work\nsk-play http://127.0.0.1:9/play play\nunset unset unset\n",
        "",
    );
}

#[test]
fn a_command_and_the_data_formats_get_them_too() {
    let sandbox = profiles();
    sandbox.write("work/.env", "EXTRA=1\n");
    sh(
        &sandbox,
        &format!("qwen-env --all --auth -- sh -c '{SHOW} $EXTRA'"),
    )
    .run()
    .gives(0, "sk-work http://127.0.0.1:9/work work 1\n", "");
    let json = sh(&sandbox, "qwen-env --all --auth --format json")
        .run()
        .exits(0)
        .text();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["OPENAI_API_KEY"], &json["EXTRA"]),
        (&"sk-work".into(), &"1".into())
    );
    sh(&sandbox, "qwen-env --auth --get OPENAI_MODEL")
        .run()
        .gives(0, "work\n", "");
    let told = sh(&sandbox, "qwen-env --auth --explain").run().exits(0).text();
    assert!(
        told.contains("OPENAI_API_KEY") && told.contains("qwen-token") && !told.contains("sk-work"),
        "{told}"
    );
}

#[test]
fn an_endpoint_without_a_key_serves_clients_that_insist_on_one() {
    let sandbox = Sandbox::new();
    let profile = json!({ "provider": "custom", "base_url": "http://127.0.0.1:9/v1", "model": "m" });
    sandbox.config(&json!({ "default_profile": "here", "profiles": { "here": profile } }).to_string());
    let script = format!("eval $(qwen-env --auth); {SHOW}");
    sh(&sandbox, &script)
        .run()
        .gives(0, "none http://127.0.0.1:9/v1 m\n", "");
}

#[test]
fn an_exported_token_does_not_stand_in_the_way_of_its_successor() {
    let sandbox = Sandbox::new();
    let file = sandbox.logged_in("http://127.0.0.1:1/", &login(-10, 3590));
    let renewed = login(-5, 3595).to_string().replace("at-old", "at-new");
    sandbox.write("renewed", &renewed);
    let script = format!(
        "export QWEN_PROFILE=work; eval $(qwen-env --auth); {SHOW}; cp ../renewed {}; eval $(qwen-env --auth); {SHOW}",
        file.display()
    );
    sh(&sandbox, &script).run().gives(
        0,
        "at-old http://127.0.0.1:9/v1 m\nat-new http://127.0.0.1:9/v1 m\n",
        "",
    );
}

#[test]
fn a_key_that_the_user_set_is_the_credential() {
    let sandbox = profiles();
    let script =
        format!("export OPENAI_API_KEY=sk-mine; eval $(qwen-env --auth); {SHOW}; eval $(qwen-env); {SHOW}");
    let run = sh(&sandbox, &script).run().exits(0);
    let lines: Vec<String> = run.text().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("sk-mine http"), "{run:#?}");
    assert_eq!(lines[1], "sk-mine unset unset");
}

#[test]
fn a_key_of_the_chain_goes_before_a_stored_login() {
    let sandbox = Sandbox::new();
    sandbox.logged_in("http://127.0.0.1:1/", &login(-10, 3590));
    sandbox.write(
        "home/.env",
        "OPENAI_API_KEY=sk-chain\nOPENAI_BASE_URL=http://127.0.0.1:9/chain\n",
    );
    let script = format!("export QWEN_PROFILE=work; eval $(qwen-env --auth); {SHOW}");
    let run = sh(&sandbox, &script).run().exits(0);
    assert!(
        run.text().starts_with("sk-chain http://127.0.0.1:9/chain "),
        "{run:#?}"
    );
}

#[test]
fn a_file_named_in_place_of_the_chain_counts_for_the_token_too() {
    let sandbox = profiles();
    sandbox.write("home/.env", "OPENAI_API_KEY=sk-chain\n");
    sandbox.write(
        "work/named.env",
        "OPENAI_API_KEY=sk-named\nOPENAI_BASE_URL=http://127.0.0.1:9/named\n",
    );
    let run = sh(
        &sandbox,
        &format!("eval $(qwen-env --auth --file named.env); {SHOW}"),
    )
    .run()
    .exits(0);
    assert!(
        run.text().starts_with("sk-named http://127.0.0.1:9/named "),
        "{run:#?}"
    );
}

#[test]
fn no_credential_makes_the_eval_fail_with_the_exit_of_qwen_token() {
    let sandbox = Sandbox::new();
    let run = sandbox.tool("qwen-env").args(["--auth", "--shell", "sh"]).run();
    assert_eq!((run.code(), run.text().as_str()), (77, "false;\n"), "{run:#?}");
    assert!(
        run.stderr.contains("qwen-token: ") && run.stderr.contains("qwen-env: 'qwen-token' gave no token"),
        "{run:#?}"
    );
}

#[test]
fn without_auth_no_other_program_is_started() {
    use crate::support::peers;
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let sandbox = profiles();
    sandbox.write("work/.env", "A=1\nLD_PRELOAD=x\n");
    for arguments in [
        vec![],
        vec!["--format", "json"],
        vec!["--explain"],
        vec!["--trust"],
        vec!["--unset"],
        vec!["--hook", "bash"],
    ] {
        let trace = sandbox.root().join("trace");
        let tool = sandbox.command(strace.as_ref().unwrap()).args([
            "-f",
            "-e",
            "trace=execve,clone,fork,vfork,clone3,socket",
        ]);
        tool.arg("-o")
            .arg(&trace)
            .arg(crate::support::binary("qwen-env"))
            .args(&arguments)
            .run()
            .exits(0);
        let calls = std::fs::read_to_string(&trace).unwrap();
        let lines: Vec<&str> = calls.lines().filter(|line| line.contains('(')).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {calls}");
        assert!(lines[0].contains("execve("), "{arguments:?}: {calls}");
    }
}

/// A home with Qwen Code's key for OpenAI, and a clone that names an address and takes no key along.
fn clone_beside_a_key(settings: &serde_json::Value) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("home/.qwen/settings.json", settings.to_string());
    sandbox.write("work/.env", "OPENAI_BASE_URL=http://127.0.0.1:9/evil\n");
    sandbox
}

#[test]
fn an_address_of_a_clone_is_no_more_the_users_word_for_the_token() {
    let selected = json!({ "selectedType": "openai", "apiKey": "sk-canary" });
    let stored = json!({ "security": { "auth": selected }, "model": { "name": "m1" } });
    let mapped = json!({ "security": { "auth": { "selectedType": "openai" } }, "model": { "name": "m1" },
        "env": { "OPENAI_API_KEY": "sk-canary" } });
    let ways = [
        "qwen-env --auth --format json",
        "qwen-env --auth --format dotenv",
        "qwen-env --auth --get OPENAI_API_KEY",
        "qwen-env --auth --explain --show-secrets",
        "qwen-env --auth --all --format json",
        "qwen-env --auth --file .env --format json",
        "qwen-env --auth --override --format json",
        "qwen-env --auth -- env",
        "eval $(qwen-env --auth --shell sh); env",
        "eval $(qwen-env --shell sh); qwen-env --auth --format json",
        "bash -c 'eval \"$(qwen-env --hook bash --auth)\"; eval \"$PROMPT_COMMAND\"; env'",
    ];
    for (settings, way) in [&stored, &mapped]
        .into_iter()
        .flat_map(|each| ways.map(|way| (each, way)))
    {
        let sandbox = clone_beside_a_key(settings);
        let run = sh(&sandbox, way).run();
        assert!(!run.text().contains("sk-canary"), "{way}: {run:#?}");
        assert!(!run.stderr.contains("canary"), "{way}: {run:#?}");
    }
}

#[test]
fn a_login_and_a_profiles_key_stay_where_they_are_whatever_a_clone_says() {
    let login_here = |sandbox: &Sandbox| {
        sandbox.logged_in("http://127.0.0.1:1/", &login(-10, 3590));
    };
    let key_here = |sandbox: &Sandbox| {
        let profile = json!({ "provider": "custom", "method": "api-key", "base_url": "https://llm.example.org/v1",
            "model": "m", "key": { "command": ["echo", "at-old"] } });
        sandbox.config(&json!({ "profiles": { "work": profile } }).to_string());
    };
    let ways: [&dyn Fn(&Sandbox); 2] = [&login_here, &key_here];
    for prepare in ways {
        for line in ["", "QWEN_PROFILE=work\n"] {
            let sandbox = Sandbox::new();
            prepare(&sandbox);
            sandbox.write(
                "work/.env",
                format!("{line}OPENAI_BASE_URL=http://127.0.0.1:9/evil\n"),
            );
            let run = sh(&sandbox, "qwen-env --auth --format json").run();
            assert_eq!(run.code(), 78, "{run:#?}");
            assert!(!run.text().contains("at-old"), "{run:#?}");
            // The shell has no such variable.
            assert!(!run.stderr.contains("unset OPENAI_BASE_URL"), "{run:#?}");
            assert!(run.stderr.contains("run 'qwen-env --trust'"), "{run:#?}");
        }
    }
}

#[test]
fn what_stands_for_no_key_is_none_for_the_tools() {
    use crate::support::Server;
    use crate::support::chat::answer;
    let server = Server::script([answer(&["hi"]), answer(&["hi"])]);
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", format!("OPENAI_BASE_URL={}\n", server.url("/v1")));
    let script = "eval $(qwen-env --auth --shell sh); echo $OPENAI_API_KEY; cd /; qwen-chat --no-stream hi";
    let run = sh(&sandbox, &format!("{script} || qwen-chat hi")).run();
    assert!(run.text().starts_with("none\nhi"), "{run:#?}");
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "{run:#?}");
    assert_eq!(requests[0].header("authorization"), None);
    // A file's word is a key.
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.env",
        format!("OPENAI_API_KEY=none\nOPENAI_BASE_URL={}\n", server.url("/v1")),
    );
    sh(&sandbox, "eval $(qwen-env --shell sh); qwen-chat hi")
        .run()
        .exits(0);
    assert_eq!(server.requests()[1].header("authorization"), Some("Bearer none"));
}

#[test]
fn the_hint_about_an_address_of_a_named_file_works_as_typed() {
    let profile = serde_json::json!({"profiles": {"work": {"base_url": "https://work.example/v1", "method": "api-key",
        "key": {"command": ["echo", "sk-work-0123456789"]}}}});
    for content in [
        "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n",
        "OPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_MODEL=m\n",
    ] {
        for trusted in [false, true] {
            let sandbox = Sandbox::new();
            sandbox.config(&profile.to_string());
            let file = sandbox.write("work/other", content);
            if trusted {
                sandbox
                    .tool("qwen-env")
                    .args(["--yes", "--trust", "other"])
                    .run()
                    .exits(0);
            }
            let auth = || {
                sandbox
                    .tool("qwen-env")
                    .args(["--auth", "--file", "other", "--format", "json"])
            };
            let run = auth().run().exits(78);
            let hint = format!(
                "hint: remove OPENAI_BASE_URL from '{}' to use the endpoint of profile 'work'",
                file.display()
            );
            assert!(
                run.stderr.contains(&hint) && !run.stderr.contains("unset"),
                "{run:#?}"
            );
            sandbox.write("work/other", content.replace("OPENAI_BASE_URL", "#"));
            assert!(auth().run().exits(0).text().contains("https://work.example/v1"));
        }
    }
}

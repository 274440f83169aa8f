//! An untrusted project's file may say where its own key goes, not where the user's goes.

use crate::support::{Run, Sandbox};

const WITHHELD: &str = "'OPENAI_BASE_URL' is not exported: an untrusted project file may set it only together with \
                        'OPENAI_API_KEY'";

/// What is added when the environment holds these variables.
fn added(sandbox: &Sandbox, environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let tool = sandbox
        .tool("qwen-env")
        .args(["--format", "null"])
        .args(arguments);
    environment
        .iter()
        .fold(tool, |tool, (name, value)| tool.env(name, value))
        .run()
        .exits(0)
}

#[test]
fn an_address_goes_only_with_the_key_of_its_own_file() {
    let key = ("OPENAI_API_KEY", "sk-mine");
    let url = "OPENAI_BASE_URL=https://evil.example/v1\n";
    let both = "OPENAI_BASE_URL=https://evil.example/v1\nOPENAI_API_KEY=sk-theirs\n";
    let alone = "OPENAI_BASE_URL=https://evil.example/v1\0";
    let paired = "OPENAI_BASE_URL=https://evil.example/v1\0OPENAI_API_KEY=sk-theirs\0";
    let blank = "OPENAI_BASE_URL=https://evil.example/v1\nOPENAI_API_KEY=' '\n";
    for (file, environment, arguments, expected) in [
        (url, vec![], vec![], ""),
        (url, vec![key], vec![], ""),
        (url, vec![key], vec!["--override"], ""),
        (both, vec![], vec![], paired),
        (both, vec![key], vec![], ""),
        (both, vec![key], vec!["--override"], paired),
        (both, vec![("OPENAI_API_KEY", "sk-theirs")], vec![], alone),
        (blank, vec![], vec![], ""),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", file);
        let run = added(&sandbox, &environment, &arguments);
        assert_eq!(run.text(), expected, "{file:?} {environment:?} {arguments:?}");
        assert_eq!(
            run.stderr.contains(WITHHELD),
            !expected.contains("BASE_URL"),
            "{run:#?}"
        );
    }
}

#[test]
fn the_rule_holds_for_every_address_that_the_configuration_lets_through() {
    for (address, key) in [
        ("DASHSCOPE_BASE_URL", "DASHSCOPE_API_KEY"),
        ("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
        ("OPENAI_API_BASE", "OPENAI_API_KEY"),
        ("OPENAI_API_BASE_URL", "OPENAI_API_KEY"),
        ("OPENAI_ENDPOINT", "OPENAI_API_KEY"),
        ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY"),
    ] {
        let sandbox = Sandbox::new();
        let allow = serde_json::json!({ "env": { "allow": [address, key, "OTHER_API_KEY"] } });
        sandbox.config(&allow.to_string());
        let file = sandbox.write("work/.env", format!("{address}=u\nOTHER_API_KEY=k\n"));
        let run = added(&sandbox, &[], &[]);
        assert_eq!(run.text(), "OTHER_API_KEY=k\0", "{address}");
        let told = format!(
            "'{address}' is not exported: an untrusted project file may set it only together with '{key}'"
        );
        assert!(run.stderr.contains(&told), "{run:#?}");
        std::fs::write(file, format!("{address}=u\n{key}=k\n")).unwrap();
        added(&sandbox, &[], &[]).gives(0, format!("{address}=u\0{key}=k\0"), "");
        assert_eq!(added(&sandbox, &[(key, "sk-mine")], &[]).text(), "", "{address}");
    }
}

#[test]
fn an_address_of_this_machine_may_stand_without_a_key() {
    for address in [
        "http://localhost:11434/v1",
        "http://127.0.0.1:8080/v1",
        "http://[::1]:1/v1",
        "https://localhost/",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", format!("OPENAI_BASE_URL={address}\n"));
        added(&sandbox, &[], &[]).gives(0, format!("OPENAI_BASE_URL={address}\0"), "");
        added(&sandbox, &[("OPENAI_API_KEY", " ")], &[]).gives(0, format!("OPENAI_BASE_URL={address}\0"), "");
        let run = added(&sandbox, &[("OPENAI_API_KEY", "sk-mine")], &[]);
        assert!(
            run.text().is_empty() && run.stderr.contains(WITHHELD),
            "{address}: {run:#?}"
        );
    }
    for address in [
        "http://localhost.evil.example/v1",
        "http://127.0.0.1.evil.example",
        "http://localhost@evil.example/v1",
        "http://10.0.0.1/v1",
        "http://0.0.0.0@evil.example",
        "ftp://localhost/",
        "localhost:11434",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", format!("OPENAI_BASE_URL={address}\n"));
        assert_eq!(added(&sandbox, &[], &[]).text(), "", "{address}");
    }
}

#[test]
fn what_else_the_clients_send_is_not_the_users_either() {
    for (vendor, secrets) in [
        (
            "OPENAI",
            &[
                "OPENAI_CUSTOM_HEADERS",
                "OPENAI_ADMIN_KEY",
                "AZURE_OPENAI_API_KEY",
                "AZURE_OPENAI_AD_TOKEN",
            ][..],
        ),
        (
            "ANTHROPIC",
            &[
                "ANTHROPIC_AUTH_TOKEN",
                "ANTHROPIC_CUSTOM_HEADERS",
                "CLAUDE_CODE_OAUTH_TOKEN",
            ],
        ),
        (
            "AZURE_OPENAI",
            &["AZURE_OPENAI_AD_TOKEN", "OPENAI_CUSTOM_HEADERS"],
        ),
        ("AWS_BEDROCK", &["AWS_BEARER_TOKEN_BEDROCK"]),
        ("ANTHROPIC_BEDROCK", &["AWS_BEARER_TOKEN_BEDROCK"]),
        ("GOOGLE_GEMINI", &["GEMINI_API_KEY", "GOOGLE_API_KEY"]),
        ("EXAMPLE", &["EXAMPLE_TOKEN", "EXAMPLE_CUSTOM_HEADERS"]),
    ] {
        let sandbox = Sandbox::new();
        let address = format!("{vendor}_BASE_URL");
        let key = format!("{vendor}_API_KEY");
        let allowed: Vec<&str> = [address.as_str(), &key]
            .into_iter()
            .chain(secrets.iter().copied())
            .collect();
        sandbox.config(&serde_json::json!({ "env": { "allow": allowed } }).to_string());
        let pair = format!("{address}=http://127.0.0.1:9/v1\n{key}=sk-theirs\n");
        let file = sandbox.write("work/.env", &pair);
        let whole = format!("{address}=http://127.0.0.1:9/v1\0{key}=sk-theirs\0");
        added(&sandbox, &[("OPENAI_WEBHOOK_SECRET", "mine")], &[]).gives(0, &whole, "");
        for &name in secrets {
            let run = added(&sandbox, &[(name, "mine")], &[]);
            assert_eq!(run.text(), "", "{address} {name}");
            let told = format!("'{address}' is not exported: clients would send '{name}' there too");
            assert!(run.stderr.contains(&told), "{run:#?}");
            assert_eq!(
                added(&sandbox, &[(name, " ")], &[]).text(),
                whole,
                "{address} {name}"
            );
            // The file's own goes where the file says.
            std::fs::write(&file, format!("{pair}{name}=theirs\n")).unwrap();
            assert_eq!(
                added(&sandbox, &[], &[]).text(),
                format!("{whole}{name}=theirs\0"),
                "{address} {name}"
            );
            std::fs::write(&file, &pair).unwrap();
        }
    }
}

#[test]
fn an_address_of_this_machine_does_not_get_another_secret_without_a_key_either() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n");
    let run = added(&sandbox, &[("AZURE_OPENAI_API_KEY", "mine")], &[]);
    assert_eq!(run.text(), "");
}

#[test]
fn whatever_exports_an_address_keeps_it_from_the_users_other_secrets() {
    let sandbox = Sandbox::new();
    let file = "OPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_API_KEY=sk-theirs\n";
    sandbox.write("work/.env", file);
    let run = |script: &str, name: &str| {
        let shell = sandbox.command("/bin/dash").env(name, "mine");
        shell.args(["-c", script]).run()
    };
    for name in [
        "OPENAI_CUSTOM_HEADERS",
        "AZURE_OPENAI_API_KEY",
        "OPENAI_ADMIN_KEY",
    ] {
        for script in [
            "qwen-env -- printenv OPENAI_BASE_URL",
            "qwen-env --auth -- printenv OPENAI_BASE_URL",
            "eval $(qwen-env --auth); printenv OPENAI_BASE_URL",
            "qwen-env --auth --get OPENAI_BASE_URL",
        ] {
            let run = run(script, name).exits(1);
            assert_eq!(run.text(), "", "{script} {name}");
            assert!(run.stderr.contains(name), "{run:#?}");
        }
        for script in [
            "qwen-token -- printenv OPENAI_BASE_URL",
            "qwen-token --format env",
        ] {
            let run = run(script, name).exits(78);
            let told = format!("OPENAI_BASE_URL is not exported: clients would send '{name}' there too");
            assert!(run.stderr.contains(&told), "{run:#?}");
        }
        // What earlier calls exported from the file, in whose company the user's secret comes later.
        let script = format!("unset {name}; eval $(qwen-env); cd /; export {name}=mine; qwen-token -- env");
        run(&script, name).exits(78);
    }
    for script in [
        "qwen-token -- printenv OPENAI_BASE_URL",
        "qwen-env --auth -- printenv OPENAI_BASE_URL",
    ] {
        run(script, "OPENAI_WEBHOOK_SECRET").gives(0, "http://127.0.0.1:9/v1\n", "");
    }
}

#[test]
fn a_key_that_the_shell_cannot_hold_does_not_open_the_way_for_its_address() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_BASE_URL=https://evil.example\nOPENAI_API_KEY=\"two\nlines\"\n",
    );
    let run = sandbox.tool("qwen-env").args(["--shell", "csh"]).run().exits(0);
    assert!(!run.text().contains("OPENAI"), "{run:#?}");
    assert!(
        run.stderr.contains("cannot hold a line end") && run.stderr.contains(WITHHELD),
        "{run:#?}"
    );
}

/// A key alone would be sent to the next address that counts, an address alone would get the next key.
#[test]
fn a_key_and_its_address_of_one_file_are_exported_together_or_not_at_all() {
    let long = "x".repeat(4_100);
    for (file, parted, other) in [
        (
            format!("OPENAI_API_KEY=sk-clone\nOPENAI_BASE_URL=https://clone.example/{long}\n"),
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
        ),
        (
            "OPENAI_API_KEY=\"two\nlines\"\nOPENAI_BASE_URL=https://own.example/v1\n".to_owned(),
            "OPENAI_BASE_URL",
            "OPENAI_API_KEY",
        ),
    ] {
        for directory in ["work", "home"] {
            let sandbox = Sandbox::new();
            sandbox.write(format!("{directory}/.env"), format!("{file}OPENAI_MODEL=m\n"));
            let tool = || sandbox.tool("qwen-env").args(["--shell", "csh"]);
            let run = tool().run().exits(0);
            assert!(
                run.text().contains("OPENAI_MODEL")
                    && !run.text().contains("OPENAI_API_KEY")
                    && !run.text().contains("OPENAI_BASE_URL"),
                "{run:#?}"
            );
            // An address without its key is withheld from a project for that alone.
            if directory == "home" || parted == "OPENAI_API_KEY" {
                let said =
                    format!("'{parted}' is not exported: it goes with '{other}', which is not exported");
                assert!(run.stderr.contains(&said), "{run:#?}");
            }
        }
    }
}

#[test]
fn trusted_and_home_files_may_send_a_key_where_they_like() {
    let sandbox = Sandbox::new();
    let url = "OPENAI_BASE_URL=https://proxy.example/v1\n";
    sandbox.write("work/.env", url);
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    let exported = "OPENAI_BASE_URL=https://proxy.example/v1\0";
    added(&sandbox, &[("OPENAI_API_KEY", "sk")], &[]).gives(0, exported, "");
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", url);
    added(&sandbox, &[("OPENAI_API_KEY", "sk")], &[]).gives(0, exported, "");
}

#[test]
fn merging_takes_the_home_files_address_in_place_of_a_withheld_one() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_BASE_URL=https://evil.example\nOPENAI_MODEL=m\n",
    );
    sandbox.write(
        "home/.env",
        "OPENAI_BASE_URL=https://mine.example\nOPENAI_API_KEY=sk-mine\n",
    );
    let run = added(&sandbox, &[], &["--chain", "merge"]);
    run.gives(
        0,
        "OPENAI_BASE_URL=https://mine.example\0OPENAI_MODEL=m\0OPENAI_API_KEY=sk-mine\0",
        "",
    );
}

#[test]
fn an_address_of_the_users_own_environment_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_BASE_URL=https://evil.example\n");
    let own = [("OPENAI_BASE_URL", "https://mine.example")];
    added(&sandbox, &own, &[]).gives(0, "", "");
    let run = added(&sandbox, &own, &["--override"]);
    assert_eq!(run.text(), "");
}

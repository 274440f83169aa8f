//! Addresses of a project's file: what is judged here is what other programs read, and a person sees whose it is.

use qwen_shared::text::one_line;

use crate::support::{Sandbox, Server, Terminal, unwrapped};

/// Texts in which two readers of URLs see two servers, one of them this machine.
const UNCLEAR: [&str; 14] = [
    "http://127.0.0.1\\@evil.example/v1",
    "http://evil.example\\@127.0.0.1/v1",
    "http:\\\\127.0.0.1/v1",
    "http:/127.0.0.1/v1",
    "http:127.0.0.1/v1",
    "http://127.0.0.1\t.evil.example/v1",
    "http://127.0.0.1\n.evil.example/v1",
    " http://127.0.0.1/v1",
    "http://127.0.0.1/v1\t",
    "http://evil.example#@127.0.0.1/v1",
    "http://127.0.0.1?@evil.example/v1",
    "http://127.1/v1",
    "http://0177.0.0.1/v1",
    "http://loc\u{ff41}lhost/v1",
];

fn line(name: &str, value: &str) -> String {
    let value = value.replace('\n', "\\n");
    format!("{name}=\"{value}\"\n")
}

#[test]
fn an_address_in_which_programs_read_different_servers_leaves_no_tool() {
    for value in UNCLEAR {
        for key in ["", "OPENAI_API_KEY=sk-clone-0123456789\n"] {
            let sandbox = Sandbox::new();
            sandbox.write("work/.env", format!("{key}{}", line("OPENAI_BASE_URL", value)));
            for arguments in [
                &[][..],
                &["--format", "json"],
                &["--format", "null"],
                &["--all", "--format", "json"],
                &["--", "/usr/bin/env"],
            ] {
                let run = sandbox.tool("qwen-env").args(arguments).run().exits(0);
                let is_named = run.stderr.contains("'OPENAI_BASE_URL' is not exported");
                let shown = run.text();
                let exported = shown.replace("QWEN_ENV_EXPORTED=", "");
                assert!(
                    is_named && !exported.contains("OPENAI_BASE_URL="),
                    "{value:?}: {run:#?}"
                );
                assert!(!exported.contains("OPENAI_BASE_URL\":"), "{value:?}: {run:#?}");
            }
            let run = sandbox.tool("qwen-env").args(["--get", "OPENAI_BASE_URL"]).run();
            assert_eq!((run.code(), run.text().as_str()), (1, ""), "{value:?}: {run:#?}");
            let run = sandbox.tool("qwen-env").arg("--check").run().exits(65);
            assert!(
                run.text().contains("'OPENAI_BASE_URL' is not exported"),
                "{run:#?}"
            );
            for tool in [
                &["qwen-token", "--format", "env"][..],
                &["qwen-token", "--format", "json"],
                &["qwen-chat", "--curl", "hi"],
                &["qwen-chat", "hi"],
            ] {
                // They read what is between blanks, and no more leaves them.
                if value.trim().len() < value.len() {
                    continue;
                }
                let run = sandbox.tool(tool[0]).args(&tool[1..]).env("NO_PROXY", "*").run();
                assert_eq!(run.code(), 78, "{value:?} {tool:?}: {run:#?}");
                assert!(run.stderr.contains("it is no plain URL"), "{value:?}: {run:#?}");
            }
        }
    }
}

#[test]
fn a_plain_address_is_exported_byte_for_byte() {
    for value in [
        "http://127.0.0.1:8080/v1",
        "http://[::1]/",
        "HTTP://LOCALHOST",
        "http://localhost:80/a@b?c#d",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.env", line("OPENAI_BASE_URL", value));
        let run = sandbox.tool("qwen-env").args(["--format", "null"]).run();
        run.gives(0, format!("OPENAI_BASE_URL={value}\0"), "");
    }
}

#[test]
fn what_the_user_consented_to_is_exported_whatever_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", line("OPENAI_BASE_URL", " http://127.1/v1"));
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    let run = sandbox.tool("qwen-env").args(["--format", "null"]).run();
    run.gives(0, "OPENAI_BASE_URL= http://127.1/v1\0", "");
}

#[test]
fn a_token_is_given_for_no_url_in_which_curl_would_read_another_server() {
    let sandbox = Sandbox::new();
    let token = |url: &str| {
        let tool = sandbox
            .tool("qwen-token")
            .args(["--for", url, "--format", "header"]);
        tool.env("OPENAI_API_KEY", "sk-own-0123456789")
            .env("OPENAI_BASE_URL", "http://127.0.0.1/v1")
            .run()
    };
    assert!(
        token("http://127.0.0.1/v1/models")
            .exits(0)
            .text()
            .contains("sk-own")
    );
    for url in UNCLEAR {
        let run = token(url);
        assert!(
            matches!(run.code(), 64 | 78) && run.text().is_empty(),
            "{url:?}: {run:#?}"
        );
        assert!(!run.stderr.contains("sk-own"), "{run:#?}");
    }
}

#[test]
fn what_is_asked_about_shows_whose_each_address_is() {
    let sandbox = Sandbox::new();
    let long = "accounts.google.com.".repeat(11);
    let content = [
        line("A_URL", &format!("https://{long}evil.example/v1")),
        line("B_URL", "  https://blank.example/x"),
        line("C_URL", "//slashes.example/x"),
        line("D_URL", "https:\\\\back.example\\x"),
        line("E_URL", "https://\u{430}pple.example/x"),
        line("F_HOST", "\u{430}pple.example:5432"),
        line("G_URL", "https://good.example\\@evil.example/x"),
        line("H_URL", "http://0x7f.1/x"),
        line("I_URL", "https://plain.example/x"),
    ];
    sandbox.write("work/.env", content.concat());
    let shown = sandbox
        .tool("qwen-env")
        .args(["--trust", "--yes"])
        .run()
        .exits(0)
        .stderr;
    for part in [
        ".evil.example/v1",
        "https://blank.example/x",
        "//slashes.example/x",
        "https:\\\\back.example\\x",
        "https://xn--pple-43d.example/x",
        "xn--pple-43d.example:5432",
        "https://good.example\\@evil.example/x",
        "http://0x7f.1/x",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let ambiguous = |line: &&str| line.ends_with("programs read different servers in it");
    let marked: Vec<&str> = shown.lines().filter(ambiguous).map(|line| &line[2..3]).collect();
    assert_eq!(marked, ["D", "E", "G", "H"], "{shown}");
    assert_eq!(one_line(&shown.replace('\n', "")), shown.replace('\n', ""));
    let explained = sandbox.tool("qwen-env").arg("--explain").run().exits(0).text();
    assert!(explained.contains(".evil.example/v1"), "{explained}");
}

#[test]
fn marked_names_come_first_and_hidden_ones_are_counted() {
    let sandbox = Sandbox::new();
    let plain: String = (10..40).map(|number| format!("NAME_{number}=1\n")).collect();
    let marked: String = (10..33).map(|number| format!("LD_{number}=1\n")).collect();
    sandbox.write("work/.env", format!("{plain}{marked}"));
    let told = sandbox.tool("qwen-env").run().exits(0).stderr;
    assert!(
        told.contains("53 variables wait for consent: LD_10, LD_11,"),
        "{told}"
    );
    let rest = "and 33 more, 3 of them by which programs run code or send secrets\n";
    assert!(told.contains(rest), "{told}");
    let mut terminal = Terminal::start(sandbox.tool("qwen-env").args(["--", "/bin/true"]));
    terminal.shows("Enter for not now: ");
    let shown = unwrapped(&terminal.plain());
    assert!(shown.contains(rest.trim_end()), "{shown}");
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn tab_in_a_hostile_clone_sends_nothing_runs_nothing_and_uses_no_key() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    let program = sandbox.program("work/run", "#!/bin/sh\ntouch ../ran\n");
    let content = [
        "OPENAI_API_KEY=sk-clone-0123456789\n".to_owned(),
        line("OPENAI_BASE_URL", &server.url("/v1")),
        line(
            "QWEN_CONFIG",
            &sandbox.work().join("config.json").to_string_lossy(),
        ),
        line("BROWSER", &program.to_string_lossy()),
    ];
    sandbox.write("work/.env", content.concat());
    let settings = serde_json::json!({
        "security": {"auth": {"apiKey": "sk-clone-9876543210", "baseUrl": server.url("/v1")}},
        "env": {"OPENAI_API_KEY": "sk-clone-9876543210"},
    });
    sandbox.write("work/.qwen/settings.json", settings.to_string());
    let profile = serde_json::json!({
        "profiles": {"own": {"base_url": server.url("/own"), "key": {"command": [program]}}},
        "default_profile": "own",
    });
    sandbox.write("work/config.json", profile.to_string());
    sandbox.write("home/.env", "HOME_KEY=sk-home-0123456789\n");
    for (tool, words) in [
        ("qwen-chat", &["qwen-chat", "--model", ""][..]),
        ("qwen-chat", &["qwen-chat", "--profile", ""]),
        ("qwen-env", &["qwen-env", "--get", ""]),
        ("qwen-token", &["qwen-token", "--for", ""]),
        ("qwen-batch", &["qwen-batch", "run", "--model", ""]),
        ("qwen", &["qwen", "chat", "--model", ""]),
        ("qwen-auth", &["qwen-auth", "use", ""]),
        ("qwen-login", &["qwen-login", "--model", ""]),
    ] {
        let index = (words.len() - 1).to_string();
        let run = sandbox
            .detached(tool)
            .env("QWEN_COMPLETE", "bash")
            .env("_CLAP_IFS", "\n")
            .env("_CLAP_COMPLETE_INDEX", &index)
            .env("_CLAP_COMPLETE_COMP_TYPE", "9")
            .env("_CLAP_COMPLETE_SPACE", "true")
            .arg("--")
            .args(words)
            .run();
        assert!(
            !run.text().contains("sk-") && !run.stderr.contains("sk-"),
            "{words:?}: {run:#?}"
        );
    }
    assert_eq!(server.count(), 0, "{:?}", server.requests());
    assert!(!sandbox.root().join("ran").exists());
}

//! Set-up as people report it of other tools: each report rebuilt, and what is right here.
use serde_json::{Value, json};

use crate::support::chat::answer;
use crate::support::{Reply, Request, Sandbox, Server, Terminal, Tool};

const KEY: &str = "sk-canary-0123456789";

fn with_key(sandbox: &Sandbox) -> Tool {
    let tool = sandbox.detached("qwen-login").stdin(format!("{KEY}\n"));
    tool.args(["--with-key", "--store", "file"])
}

fn at_a_terminal(sandbox: &Sandbox) -> Tool {
    let tool = sandbox.tool("qwen-login").env("TERM", "dumb");
    tool.env("NO_COLOR", "1").env("QWEN_CREDENTIAL_STORE", "file")
}

fn profile(sandbox: &Sandbox) -> Value {
    let config: Value = serde_json::from_str(&sandbox.read(sandbox.config_file())).unwrap();
    config["profiles"]["default"].clone()
}

/// An endpoint with two models, which takes the one key, or none where `key` is empty.
fn endpoint(key: &'static str) -> Server {
    Server::answering(move |_, request: &Request| {
        let wanted = (!key.is_empty()).then(|| format!("Bearer {key}"));
        match request.header("authorization") {
            sent if sent != wanted.as_deref() => {
                Reply::json(401, r#"{"error": {"message": "no", "code": "invalid_api_key"}}"#)
            }
            _ if request.method == "GET" => Reply::json(200, r#"{"data": [{"id": "big"}, {"id": "small"}]}"#),
            _ => answer(&["Hello"]),
        }
    })
}

/// gh refuses to store a token while a variable holds one, and scripts break:
/// <https://github.com/cli/cli/issues/2922>, <https://github.com/cli/cli/issues/7008>.
#[test]
fn a_key_is_stored_although_a_variable_holds_one_and_which_goes_first_is_said() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let url = server.url("/v1");
    let tool = with_key(&sandbox).env("OPENAI_API_KEY", "sk-other-0123456789");
    let run = tool.args(["--base-url", &url, "--model", "big"]).run().exits(0);
    for said in [
        "the key of environment OPENAI_API_KEY is set and goes before this profile",
        "run 'unset OPENAI_API_KEY' to use the profile",
    ] {
        assert!(run.stderr.contains(said), "{run:#?}");
    }
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
}

/// gh waits in silence where nothing is piped in: <https://github.com/cli/cli/issues/2536>.
#[test]
fn a_key_that_is_to_be_read_from_a_terminal_is_asked_for() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let tool = at_a_terminal(&sandbox).args(["--with-key", "--model", "big", "--base-url"]);
    let mut terminal = Terminal::start(tool.arg(server.url("/v1")));
    terminal.shows("API key");
    terminal.waits_for_echo(false);
    terminal.types(&format!("{KEY}\n"));
    assert_eq!(terminal.ends(), 0);
}

/// aichat's set-up runs once and never again: <https://github.com/sigoden/aichat/issues/1457>,
/// <https://github.com/sigoden/aichat/issues/1037>. Elsewhere the stored key is not the one that lists the models:
/// <https://github.com/Kilo-Org/kilocode/issues/11321>.
#[test]
fn a_set_up_is_run_again_with_what_is_there_as_its_answers() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let url = server.url("/v1");
    let tool = with_key(&sandbox).args(["--base-url", &url, "--model", "big"]);
    tool.run().exits(0);
    let set = sandbox
        .detached("qwen-auth")
        .args(["set", "rate.per_minute=30", "note=mine"]);
    set.run().fails(64, &["'note' is not known"]);
    let set = sandbox.detached("qwen-auth").args(["set", "rate.per_minute=30"]);
    set.run().exits(0);
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).arg("--api-key"));
    terminal.answers(&[
        ("choice [", "\n"),
        (&format!("base URL [{url}]: "), "\n"),
        ("Enter keeps sk-***89", "\n"),
        ("model (2 are offered)", "small\n"),
    ]);
    assert_eq!(terminal.ends(), 0);
    let profile = profile(&sandbox);
    assert_eq!(
        (&profile["model"], &profile["rate"]),
        (&json!("small"), &json!({"per_minute": 30}))
    );
}

/// An address that a web server answers is found at the first question alone:
/// <https://github.com/sigoden/aichat/issues/482>.
#[test]
fn an_address_that_answers_with_a_page_is_no_endpoint_and_nothing_is_stored() {
    let server = Server::answering(|_, _| Reply::new(200, "text/html", "<!doctype html><title>hi</title>"));
    let sandbox = Sandbox::new();
    let tool = with_key(&sandbox).args(["--base-url", &server.url("/v1"), "--model", "big"]);
    let run = tool.run().exits(76);
    assert!(run.stderr.contains("nothing was stored"), "{run:#?}");
    assert!(!sandbox.config_file().exists());
}

/// Local servers need a key that is none: <https://github.com/QwenLM/qwen-code/issues/3384>,
/// <https://github.com/sigoden/aichat/issues/1029>.
#[test]
fn a_server_of_ones_own_gets_no_key_and_needs_none_invented() {
    let (sandbox, server) = (Sandbox::new(), endpoint(""));
    let tool = sandbox
        .detached("qwen-login")
        .args(["--provider", "ollama", "--model", "small"]);
    tool.args(["--base-url", &server.url("/v1")]).run().exits(0);
    let run = sandbox
        .detached("qwen-chat")
        .args(["--no-stdin", "hi"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "Hello\n");
    assert_eq!(profile(&sandbox)["key"], Value::Null);
}

/// What the environment says is taken without a word, and cannot be seen or changed:
/// <https://github.com/QwenLM/qwen-code/issues/979>.
#[test]
fn what_the_environment_says_is_the_answer_that_enter_takes() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let url = server.url("/v1");
    let tool = at_a_terminal(&sandbox)
        .arg("--api-key")
        .env("OPENAI_BASE_URL", &url);
    let mut terminal = Terminal::start(tool.env("OPENAI_MODEL", "small"));
    terminal.answers(&[("choice [", "\n"), (&format!("base URL [{url}]: "), "\n")]);
    terminal.shows("API key");
    terminal.waits_for_echo(false);
    terminal.types(&format!("{KEY}\n"));
    terminal.shows("model (2 are offered)");
    terminal.waits_for_echo(true);
    terminal.types("\n");
    assert_eq!(terminal.ends(), 0);
    let profile = profile(&sandbox);
    assert_eq!(
        (&profile["base_url"], &profile["model"]),
        (&json!(url), &json!("small"))
    );
}

/// A start without the key's variable rewrites the settings: <https://github.com/QwenLM/qwen-code/issues/2049>.
#[test]
fn a_variable_that_is_not_set_changes_no_file() {
    let sandbox = Sandbox::new();
    let text =
        "{\"profiles\": {\"a\": {\"base_url\": \"https://a.example/v1\", \"key\": {\"env\": \"MY_KEY\"}}}}";
    sandbox.config(text);
    for tool in [
        sandbox.detached("qwen-chat").args(["--no-stdin", "hi"]),
        sandbox.tool("qwen-token"),
        sandbox.detached("qwen-auth"),
    ] {
        let run = tool.run();
        assert!(run.code() != 0 && run.stderr.contains("MY_KEY"), "{run:#?}");
    }
    assert_eq!(sandbox.read(sandbox.config_file()), text);
}

/// A custom provider has to be made anew for another address or header:
/// <https://github.com/anomalyco/opencode/issues/18224>.
#[test]
fn address_and_headers_are_changed_by_command_and_the_key_is_kept() {
    let (sandbox, old, new) = (Sandbox::new(), endpoint(KEY), endpoint(KEY));
    let tool = with_key(&sandbox).args(["--base-url", &old.url("/v1"), "--model", "big"]);
    tool.run().exits(0);
    let address = format!("base_url={}", new.url("/v1"));
    let words = ["set", &address, "key.store=file", "headers.X-Team=search"];
    sandbox.detached("qwen-auth").args(words).run().exits(0);
    let run = sandbox
        .detached("qwen-chat")
        .args(["--no-stdin", "hi"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "Hello\n");
    assert_eq!(new.requests()[0].header("x-team"), Some("search"));
}

/// A member that is missing or misspelt ends in a stack trace: <https://github.com/simonw/llm/issues/925>,
/// <https://github.com/simonw/llm/issues/333>.
#[test]
fn a_misspelt_member_is_named_with_its_place_and_the_nearest_one() {
    let sandbox = Sandbox::new();
    sandbox.config("{\n  \"profiles\": {\n    \"a\": {\"modle\": \"m\"}\n  }\n}\n");
    let run = sandbox.detached("qwen-auth").arg("check").run().exits(65);
    let said = run.text() + &run.stderr;
    for part in ["config.json:3:", "modle", "'model'"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// An address as an operand is a stack trace: <https://github.com/anomalyco/opencode/issues/5937>.
#[test]
fn an_operand_is_answered_with_the_option_that_is_meant() {
    let sandbox = Sandbox::new();
    for (word, hint) in [
        (
            "https://llm.example/v1",
            "run 'qwen-login --base-url https://llm.example/v1'",
        ),
        ("Ollama", "run 'qwen-login --provider ollama'"),
        ("work", "run 'qwen-login --profile work'"),
    ] {
        let tool = sandbox.detached("qwen-login").arg(word);
        tool.run()
            .fails(64, &[&format!("unexpected argument '{word}'"), hint]);
    }
}

/// PowerShell and Windows' editors mark what they write: <https://github.com/millw14/merrymen/pull/80>,
/// <https://github.com/navali-creations/soothsayer/issues/139>.
#[test]
fn the_mark_of_utf_8_before_a_key_is_no_part_of_it_and_utf_16_is_named() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let words = ["--with-key", "--store", "file", "--model", "big", "--base-url"];
    let url = server.url("/v1");
    let login = |key: &[u8]| {
        let tool = sandbox.detached("qwen-login").args(words).arg(&url);
        tool.stdin(key.to_vec()).run()
    };
    let utf16: Vec<u8> = format!("\u{feff}{KEY}\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    login(&utf16).fails(65, &["the key is text in UTF-16", "as UTF-8"]);
    login(format!("\u{feff}{KEY}\r\n").as_bytes()).exits(0);
    sandbox.tool("qwen-token").run().gives(0, format!("{KEY}\n"), "");
}

/// A login that says nothing where it cannot be written: <https://github.com/moby/moby/issues/14345>; a container whose files
/// are read-only: <https://github.com/oras-project/oras-go/issues/107>.
#[test]
fn where_nothing_can_be_written_it_is_said_before_a_question_and_what_works_without_a_file() {
    let sandbox = Sandbox::new();
    let tool = with_key(&sandbox).env("QWEN_CONFIG", "/dev/null/config.json");
    // Nothing is asked at that address.
    let words = ["--base-url", "http://127.0.0.1:9/v1", "--model", "big"];
    let hints = [
        "set QWEN_CONFIG to a file",
        "or store nothing: set OPENAI_API_KEY",
    ];
    let run = tool.args(words).run().fails(74, &hints);
    assert!(
        run.stderr.contains("cannot write '/dev/null/config.json'"),
        "{run:#?}"
    );
}

/// A name that one reader of a file takes and another does not: <https://github.com/aws/aws-cli/issues/10116>,
/// <https://github.com/synfinatic/aws-sso-cli/issues/552>, <https://github.com/fwdcloudsec/granted/issues/825>.
#[test]
fn a_profile_has_a_name_that_every_program_takes_or_none() {
    let (sandbox, server) = (Sandbox::new(), endpoint(""));
    let url = server.url("/v1");
    let login = |name: &str| {
        let tool = sandbox
            .detached("qwen-login")
            .args(["--api-key", "--model", "big", "--base-url", &url]);
        tool.args(["--profile", name]).run()
    };
    for name in [
        "my work",
        "日本",
        "😀",
        "x/y",
        "Team [production]",
        "a\tb",
        ".hidden",
    ] {
        login(name).fails(
            78,
            &["cannot be a profile's name", "use up to 64 of A-Z, a-z, 0-9"],
        );
    }
    let long = "n".repeat(60);
    for name in ["a.b", "CON", "_x-1", &long] {
        login(name).exits(0);
        for words in [
            &["use", name][..],
            &["show", name],
            &["status", "--profile", name],
            &["set", name, "model=small"],
        ] {
            sandbox.tool("qwen-auth").args(words).run().exits(0);
        }
    }
    let list = sandbox.tool("qwen-auth").arg("list").run().exits(0).text();
    assert!(
        list.contains(&format!("* {long}")) && list.lines().count() == 4,
        "{list}"
    );
}

/// The same words twice make a reader look for a second fault.
#[test]
fn a_failure_of_the_list_is_said_once_where_nobody_can_be_asked() {
    let (sandbox, server) = (Sandbox::new(), endpoint(KEY));
    let words = ["--with-key", "--store", "file", "--base-url"];
    let tool = sandbox.detached("qwen-login").args(words).arg(server.url("/v1"));
    let run = tool.stdin("sk-bad-0123456789\n").run();
    let run = run.fails(77, &["nothing was stored"]);
    assert_eq!(run.stderr.matches("refused (401)").count(), 1, "{run:#?}");
}

/// Two accounts at one provider: what runs keeps the one that it began with.
#[test]
fn another_profile_is_taken_by_what_starts_after_the_switch_alone() {
    let gate = crate::support::Gate::default();
    let opened = gate.clone();
    let server = Server::answering(move |index, request: &Request| {
        if index == 0 {
            opened.pass();
        }
        answer(&[request.header("authorization").unwrap_or_default()])
    });
    let sandbox = Sandbox::new();
    for name in ["first", "second"] {
        let tool = sandbox
            .detached("qwen-login")
            .stdin(format!("sk-{name}-0123456789\n"));
        let words = [
            "--with-key",
            "--store",
            "file",
            "--no-verify",
            "--model",
            "big",
            "--profile",
            name,
        ];
        tool.args(words)
            .args(["--base-url", &server.url("/v1")])
            .run()
            .exits(0);
    }
    let line = "qwen-chat --no-stdin hi | { read a; qwen-chat --no-stdin \"$a\"; echo \"$a\"; }";
    let tool = sandbox.command("/bin/sh").args(["-c", line]);
    std::thread::scope(|scope| {
        let pipe = scope.spawn(|| tool.run().exits(0));
        crate::support::wait_until("the first asks", || !server.requests().is_empty());
        sandbox.tool("qwen-auth").args(["use", "second"]).run().exits(0);
        gate.open();
        let text = pipe.join().unwrap().text();
        assert_eq!(text, "Bearer sk-second-0123456789\nBearer sk-first-0123456789\n");
    });
}

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

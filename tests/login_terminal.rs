//! qwen-login at a terminal: the questions, the hidden key, what a person sees and interrupts.

use crate::support::authority::{Authority, COMPLETE, URI, USER_CODE, device, ok, refusal, token};
use crate::support::{Reply, Request, Sandbox, Server, Terminal, Tool, wait_until};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

const GOOD: &str = "sk-good-0123456789";
const BAD: &str = "sk-bad-0123456789";

/// On a terminal that cannot draw: numbered lists and plain lines. What is drawn is tested in `login_drawn`.
fn at_a_terminal(sandbox: &Sandbox) -> Tool {
    sandbox
        .tool("qwen-login")
        .env("TERM", "dumb")
        .env("NO_COLOR", "1")
        .env("QWEN_CREDENTIAL_STORE", "file")
}

/// The profile as it is stored.
fn default_profile(sandbox: &Sandbox) -> Value {
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    config["profiles"]["default"].clone()
}

/// An endpoint that takes one key.
fn endpoint() -> Server {
    Server::answering(|_, request: &Request| {
        if request.header("authorization") == Some(&format!("Bearer {GOOD}")) {
            crate::support::chat::answer(&["Hello"])
        } else {
            Reply::json(401, r#"{"error": {"message": "no", "code": "invalid_api_key"}}"#)
        }
    })
}

#[track_caller]
fn nothing_is_stored(sandbox: &Sandbox) {
    assert!(!sandbox.config_file().exists());
    let credentials = sandbox.home().join(".config/qwen/credentials/default.json");
    assert!(!credentials.exists());
}

#[test]
fn every_question_can_be_answered_wrongly_first() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    let mut terminal = Terminal::start(at_a_terminal(&sandbox));
    let url = server.url("/v1");
    terminal.answers(&[
        ("choice [2]: ", "7\n"),
        ("type a number from 1 to 2", "with\n"),
        ("Whose key is it?", "nobody\n"),
        ("type a number from 1 to", "custom\n"),
        ("base URL: ", "\n"),
        ("enter a URL", "api.openai.com\n"),
        ("this is not a URL", "http://llm.example/v1\n"),
        ("plain http would show the secret", "1\n"),
        ("base URL: ", &format!("\u{1b}[200~{url}\u{1b}[201~\n")),
    ]);
    terminal.shows("API key (empty for none, it is not shown): ");
    terminal.waits_for_echo(false);
    terminal.types("two words\n");
    terminal.shows("a key is one word");
    terminal.waits_for_echo(false);
    terminal.types(&format!("{BAD}\n"));
    terminal.shows("key: sk-***89, 17 characters");
    terminal.shows("the credential was refused (401)");
    terminal.shows("choice [1]: ");
    terminal.waits_for_echo(true);
    terminal.types("1\n");
    terminal.waits_for_echo(false);
    // Rubbing out, a pasted text's marks, an arrow key.
    terminal.types(&format!(
        "\u{1b}[200~wrong\u{1b}[201~\u{15}{GOOD}\u{1b}[DXY\u{7f}\u{8}\n"
    ));
    terminal.shows("lists no models");
    terminal.shows("model [gpt-4o]: ");
    terminal.waits_for_echo(true);
    terminal.types("small\n");
    terminal.shows("the endpoint accepts the key");
    assert!(!terminal.shown().contains("0123456789"), "{}", terminal.shown());
    assert_eq!(terminal.ends(), 0);
    let stored: Value =
        serde_json::from_str(&sandbox.read("home/.config/qwen/credentials/default.json")).unwrap();
    assert_eq!(stored["api_key"], GOOD);
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    assert_eq!(config["profiles"]["default"]["base_url"], url);
    assert_eq!(config["profiles"]["default"]["model"], "small");
}

#[test]
fn enter_takes_the_documented_defaults() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).arg("--no-verify"));
    terminal.answers(&[
        ("choice [2]: ", "\n"),
        ("choice [1]: ", "\n"),
        ("base URL [https://api.openai.com/v1]: ", "\n"),
        ("API key (it is not shown): ", "\n"),
        ("the key is empty", "sk-0123456789abc\n"),
        ("model [gpt-4o]: ", "\n"),
    ]);
    assert_eq!(terminal.ends(), 0);
    let profile = default_profile(&sandbox);
    assert_eq!(
        (&profile["base_url"], &profile["model"]),
        (&json!("https://api.openai.com/v1"), &json!("gpt-4o"))
    );
}

#[test]
fn a_chosen_provider_stays_at_an_endpoint_that_nobody_knows() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(["--no-verify", "--api-key"]));
    terminal.answers(&[
        ("Whose key is it?", "vllm\n"),
        (
            "base URL [http://127.0.0.1:8000/v1]: ",
            "https://gpu.example/v1\n",
        ),
        ("API key (empty for none, it is not shown): ", "\n"),
        ("model [default]: ", "\n"),
    ]);
    assert_eq!(terminal.ends(), 0);
    let profile = default_profile(&sandbox);
    assert_eq!(
        (&profile["provider"], &profile["base_url"]),
        (&json!("vllm"), &json!("https://gpu.example/v1"))
    );
}

#[test]
fn a_server_of_ones_own_needs_no_key_wherever_it_listens() {
    for (choice, provider) in [("llama.cpp\n", "llama.cpp"), ("custom\n", "custom")] {
        let sandbox = Sandbox::new();
        let server = Server::answering(|_, _| crate::support::chat::answer(&["Hello"]));
        let mut terminal = Terminal::start(at_a_terminal(&sandbox));
        terminal.answers(&[
            ("choice [2]: ", "\n"),
            ("Whose key is it?", choice),
            ("base URL", &format!("{}\n", server.url("/v1"))),
            ("API key (empty for none, it is not shown): ", "\n"),
            ("model [", "tiny\n"),
        ]);
        terminal.shows("the endpoint answers");
        assert_eq!(terminal.ends(), 0);
        assert_eq!(default_profile(&sandbox)["provider"], provider);
    }
}

#[test]
fn a_key_that_turned_out_to_be_needed_is_stored() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    let words = [
        "--provider",
        "llama.cpp",
        "--model",
        "m",
        "--base-url",
        &server.url("/v1"),
    ];
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(words));
    terminal.shows("empty for none");
    terminal.types("\n");
    terminal.shows("(401)");
    terminal.shows("choice [1]: ");
    let before = terminal.plain().len();
    terminal.types("1\n");
    terminal.shows_after(before, "empty for none");
    terminal.types(&format!("{GOOD}\n"));
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    let stored: Value =
        serde_json::from_str(&sandbox.read("home/.config/qwen/credentials/default.json")).unwrap();
    assert_eq!(stored["api_key"], GOOD);
}

#[test]
fn a_number_means_an_option_that_was_shown_and_the_default_is_shown() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request: &Request| match request.target.as_str() {
        "/v1/models" => {
            let name = |number| json!({ "id": format!("model-{number:03}") });
            let models: Vec<Value> = (0..300).map(name).collect();
            Reply::json(200, &json!({ "data": models }).to_string())
        }
        _ => crate::support::chat::answer(&["Hello"]),
    });
    let words = ["--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(
        at_a_terminal(&sandbox)
            .args(words)
            .env("OPENAI_MODEL", "model-250"),
    );
    terminal.answers(&[
        ("API key (empty for none, it is not shown): ", "\n"),
        ("     241 more: type +", ""),
        ("251) model-250", ""),
        ("301) another one, by its name", ""),
        ("choice [251]: ", "27\n"),
    ]);
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(default_profile(&sandbox)["model"], "model-026");
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(words));
    terminal.answers(&[
        ("API key (empty for none, it is not shown): ", "\n"),
        ("choice [27]: ", "217\n"),
    ]);
    terminal.shows("uses model 'model-217'");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_region_is_asked_where_there_are_several() {
    let sandbox = Sandbox::new();
    let mut terminal =
        Terminal::start(at_a_terminal(&sandbox).args(["--no-verify", "--provider", "dashscope"]));
    terminal.shows("Which region is the key for?");
    terminal.types("singapore\n");
    terminal.shows("API key");
    terminal.types("sk-0123456789abc\n");
    terminal.shows("model [qwen3-coder-plus]: ");
    terminal.types("\n");
    assert_eq!(terminal.ends(), 0);
    assert!(
        sandbox
            .read("home/.config/qwen/config.json")
            .contains("https://dashscope-intl.aliyuncs.com/")
    );
}

#[test]
fn giving_up_after_a_refused_key_stores_nothing_and_storing_all_the_same_does() {
    for (answer, code, stored) in [("give up\n", 77, false), ("store\n", 0, true)] {
        let (sandbox, server) = (Sandbox::new(), endpoint());
        let tool = at_a_terminal(&sandbox).args(["--base-url", &server.url("/v1"), "--model", "small"]);
        let mut terminal = Terminal::start(tool);
        terminal.shows("API key");
        terminal.types(&format!("{BAD}\n"));
        terminal.shows("What now?");
        terminal.types(answer);
        assert_eq!(terminal.ends(), code);
        assert_eq!(sandbox.config_file().exists(), stored);
    }
}

/// The URL of a flag is asked for anew like one that was typed, and the key that was typed is kept.
#[test]
fn a_url_of_a_flag_that_would_show_the_key_can_be_changed() {
    // A key that a private network may do without is asked for first.
    for (host, is_key_first) in [("gateway.lan", true), ("gateway.example", false)] {
        let (sandbox, server) = (Sandbox::new(), endpoint());
        let url = format!("http://{host}/v1");
        let tool = at_a_terminal(&sandbox).args(["--base-url", &url, "--model", "small"]);
        let mut terminal = Terminal::start(tool);
        let key = ("API key", &*format!("{GOOD}\n"));
        let (question, answer) = (format!("base URL [{url}]"), format!("{}\n", server.url("/v1")));
        let change = [("What now?", "change\n"), (&*question, &*answer)];
        match is_key_first {
            true => terminal.answers(&[&[key], &change[..]].concat()),
            false => terminal.answers(&[&change[..], &[key]].concat()),
        }
        assert_eq!(terminal.ends(), 0);
        let config: Value = serde_json::from_slice(&std::fs::read(sandbox.config_file()).unwrap()).unwrap();
        assert_eq!(
            config["profiles"]["default"]["base_url"],
            json!(server.url("/v1"))
        );
    }
}

#[test]
fn an_endpoint_that_cannot_be_reached_is_tried_again_with_the_same_key() {
    let sandbox = Sandbox::new();
    let tool = at_a_terminal(&sandbox).args(["--base-url", "http://127.0.0.1:9/v1", "--model", "small"]);
    let mut terminal = Terminal::start(tool);
    terminal.shows("API key");
    terminal.types(&format!("{GOOD}\n"));
    terminal.shows("  1) change the base URL");
    let before = terminal.plain().len();
    terminal.types("try again\n");
    terminal.shows_after(before, "cannot connect");
    terminal.shows_after(before, "choice [1]: ");
    terminal.types("give up\n");
    assert_eq!(terminal.ends(), 75);
    nothing_is_stored(&sandbox);
}

#[test]
fn every_answer_can_be_changed_after_a_failure_and_what_it_is_about_comes_first() {
    let (sandbox, missing) = (
        Sandbox::new(),
        Server::script([Reply::json(404, r#"{"detail": "Not Found"}"#)]),
    );
    let asked = |request: &Request| match request.method.as_str() {
        "POST" => request.json()["model"].as_str().map(str::to_owned),
        _ => None,
    };
    let server = Server::answering(move |_, request: &Request| match asked(request).as_deref() {
        Some("small") => crate::support::chat::answer(&["Hello"]),
        _ => Reply::json(
            404,
            r#"{"error": {"message": "The model `big` does not exist", "code": "model_not_found"}}"#,
        ),
    });
    let tool = at_a_terminal(&sandbox).args(["--base-url", &missing.url("/v1"), "--model", "big"]);
    let mut terminal = Terminal::start(tool);
    terminal.shows("API key");
    terminal.types(&format!("{GOOD}\n"));
    terminal.answers(&[
        ("choice [1]: ", "change the base\n"),
        ("base URL [", &format!("{}\n", server.url("/v1"))),
    ]);
    terminal.shows("does not exist");
    terminal.shows("  1) change the model");
    let before = terminal.plain().len();
    terminal.types("\n");
    terminal.shows_after(before, "model [big]: ");
    terminal.types("small\n");
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    let profile = default_profile(&sandbox);
    assert_eq!(
        (&profile["base_url"], &profile["model"]),
        (&json!(server.url("/v1")), &json!("small"))
    );
}

#[test]
fn an_interrupt_at_any_question_stores_nothing_and_gives_the_echo_back() {
    let server = endpoint();
    let url = format!("{}\n", server.url("/v1"));
    let steps = [
        ("choice [2]: ", "2\n"),
        ("choice [1]: ", "custom\n"),
        ("base URL: ", url.as_str()),
        (
            "API key (empty for none, it is not shown): ",
            "sk-bad-0123456789\n",
        ),
        ("What now?", ""),
    ];
    for last in 0..steps.len() {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::start(at_a_terminal(&sandbox));
        terminal.answers(&steps[..last]);
        terminal.shows(steps[last].0);
        terminal.waits_for_echo(!steps[last].0.contains("API key"));
        terminal.types("half an answer\u{3}");
        terminal.waits_for_echo(true);
        assert_eq!(terminal.ends(), 130, "at {:?}", steps[last].0);
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn every_signal_that_ends_or_stops_finds_the_echo_restored() {
    for (signal, code) in [
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::INT, 130),
        (Signal::QUIT, 131),
    ] {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(["--provider", "openai"]));
        terminal.waits_for_echo(false);
        terminal.types("sk-half");
        kill_process(terminal.pid(), signal).unwrap();
        terminal.waits_for_echo(true);
        assert_eq!(terminal.ends(), code);
        nothing_is_stored(&sandbox);
    }
}

#[test]
fn a_stopped_question_is_asked_again_when_it_goes_on() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(["--no-verify", "--provider", "openai"]));
    terminal.waits_for_echo(false);
    terminal.types("sk-half\u{1a}");
    terminal.waits_for_echo(true);
    let stat = format!("/proc/{}/stat", terminal.pid().as_raw_nonzero());
    wait_until("it is stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    kill_process(terminal.pid(), Signal::CONT).unwrap();
    terminal.waits_for_echo(false);
    terminal.shows("API key (it is not shown): API key (it is not shown): ");
    terminal.types("sk-0123456789abc\n");
    terminal.shows("key: sk-***bc, 16 characters");
    terminal.types("\n");
    assert_eq!(terminal.ends(), 0);
    let stored = sandbox.read("home/.config/qwen/credentials/default.json");
    assert!(stored.contains("\"sk-0123456789abc\""), "{stored}");
}

#[test]
fn the_end_of_the_terminal_is_an_error_and_no_loop() {
    for keys in ["\u{4}", "2\ncustom\n\u{4}"] {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::start(at_a_terminal(&sandbox));
        terminal.shows("choice [2]: ");
        terminal.types(keys);
        assert_eq!(terminal.ends(), 74);
        nothing_is_stored(&sandbox);
    }
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(["--provider", "openai"]));
    terminal.waits_for_echo(false);
    terminal.types("\u{4}");
    assert_eq!(terminal.ends(), 74);
}

#[test]
fn the_time_that_is_left_counts_down_and_goes_away() {
    let authority = Authority::new(
        ok(&device()),
        [
            refusal(400, "authorization_pending"),
            Reply::new(502, "text/html", "<html>"),
            ok(&token()),
        ],
    );
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let tool = at_a_terminal(&sandbox).env("TERM", "xterm");
    let terminal = Terminal::start(tool.args(["--oauth", "--no-verify", "--no-browser"]));
    for text in [
        "10:00 left",
        "9:59 left",
        "9:58 left",
        "retrying in 2 s",
        "logged in: profile 'lab'",
    ] {
        terminal.shows(text);
    }
    let shown = terminal.shown();
    let (before, _) = shown.split_once("qwen-login: logged in").unwrap();
    assert!(before.ends_with("\r\u{1b}[K"), "{before:?}");
    assert_eq!(terminal.ends(), 0);
    for line in [COMPLETE, URI, USER_CODE] {
        assert_eq!(shown.matches(&format!("\n{line}\r\n")).count(), 1, "{shown:?}");
    }
}

#[test]
fn an_interrupt_while_waiting_ends_the_login() {
    let authority = Authority::new(ok(&device()), [refusal(400, "authorization_pending")]);
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let before = sandbox.read("home/.config/qwen/config.json");
    let tool = at_a_terminal(&sandbox).env("TERM", "xterm");
    let mut terminal = Terminal::start(tool.args(["--oauth", "--no-browser"]));
    terminal.shows("9:59 left");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
    assert_eq!(sandbox.read("home/.config/qwen/config.json"), before);
    assert!(!sandbox.home().join(".config/qwen/credentials/lab.json").exists());
}

#[test]
fn a_swallowed_stderr_does_not_hide_the_address() {
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let line = "qwen-login --oauth --no-verify 2>log; echo end $?";
    let tool = sandbox
        .command("/bin/sh")
        .args(["-c", line])
        .env("TERM", "xterm")
        .env("QWEN_CREDENTIAL_STORE", "file");
    let terminal = Terminal::start(tool);
    terminal.shows("end 0");
    let shown = terminal.shown();
    for line in [COMPLETE, URI, USER_CODE] {
        assert!(shown.contains(&format!("\n{line}\r\n")), "{shown:?}");
        assert!(sandbox.read("work/log").contains(&format!("\n{line}\n")));
    }
}

#[test]
fn a_numbered_list_shows_every_provider_and_where_it_is_too_narrow_some_at_once() {
    let sandbox = Sandbox::new();
    for (columns, rows) in [(80, 24), (100, 40), (132, 60), (40, 24), (20, 24)] {
        let tool = at_a_terminal(&sandbox).arg("--api-key");
        let mut terminal = Terminal::of_size(columns, rows, tool);
        terminal.shows("choice [1]: ");
        let shown = terminal.plain();
        for name in ["openai", "ollama", "llama.cpp", "custom"] {
            let is_shown = shown.contains(&format!(") {name}"));
            assert!(is_shown || columns == 20, "{name}: {shown}");
        }
        assert_eq!(shown.contains("type +"), columns == 20, "{shown}");
        let is_low = shown.lines().count() <= usize::from(rows);
        assert!(is_low, "{columns}x{rows}: {shown}");
        assert!(
            shown
                .lines()
                .all(|line| line.chars().count() <= usize::from(columns)),
            "{shown}"
        );
        // The titles are searched, shown or not.
        terminal.types("studio\n");
        terminal.shows("lmstudio");
        terminal.types("\u{3}");
        assert_ne!(terminal.ends(), 0);
    }
}

#[test]
fn that_a_network_can_read_along_is_said_once_in_a_login() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request: &Request| match request.target.ends_with("/models") {
        true => Reply::json(200, r#"{"data": [{"id": "a"}, {"id": "b"}]}"#),
        false => crate::support::chat::answer(&["Hello"]),
    });
    let tool = at_a_terminal(&sandbox).env("http_proxy", server.url("")).args([
        "--api-key",
        "--base-url",
        "http://nas.local/v1",
    ]);
    let mut terminal = Terminal::start(tool);
    terminal.shows("API key (empty for none");
    terminal.waits_for_echo(false);
    terminal.types("\n");
    terminal.answers(&[("choice [1]: ", "2\n")]);
    terminal.shows("the endpoint answers");
    let shown = terminal.plain();
    assert_eq!(
        shown.matches("plain http: who is on that network").count(),
        1,
        "{shown}"
    );
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn ctrl_c_while_the_approval_is_awaited_leaves_the_earlier_login_and_says_so() {
    for has_earlier in [true, false] {
        let authority = Authority::new(ok(&device()), [refusal(400, "authorization_pending")]);
        let sandbox = Sandbox::new();
        authority.configure(&sandbox);
        let earlier = json!({"method": "oauth", "access_token": "at-old", "token_type": "Bearer"});
        if has_earlier {
            sandbox.write("home/.config/qwen/credentials/lab.json", earlier.to_string());
        }
        let tool = at_a_terminal(&sandbox)
            .env("TERM", "xterm")
            .args(["--oauth", "--no-browser"]);
        let mut terminal = Terminal::start(tool);
        terminal.shows("waiting for your approval: 9:5");
        terminal.types("\u{3}");
        let kept = "qwen-login: profile 'lab' keeps its earlier login\r\n";
        if has_earlier {
            terminal.shows(kept);
        }
        let shown = terminal.shown();
        assert_eq!(shown.contains(kept), has_earlier, "{shown}");
        assert_eq!(terminal.ends(), 130);
    }
}

#[test]
fn of_several_pasted_lines_none_is_taken_for_the_key_or_shown_at_the_next_question() {
    for pasted in [
        "sk-canary-0123456789\nsk-second-0123456789\n",
        "\u{1b}[200~sk-canary-0123456789\nsk-second-0123456789\n\u{1b}[201~",
        "-----BEGIN KEY-----\r\rsk-second-0123456789\r-----END KEY-----\r",
    ] {
        let (sandbox, server) = (Sandbox::new(), endpoint());
        let words = ["--api-key", "--base-url", &server.url("/v1"), "--model", "m"];
        let mut terminal = Terminal::start(at_a_terminal(&sandbox).args(words));
        terminal.shows("API key (");
        terminal.waits_for_echo(false);
        terminal.types(pasted);
        terminal.shows("several lines were pasted, and one is asked for: none of them is used");
        let asked = terminal.shown().len();
        terminal.waits_for_echo(false);
        // A line end that was copied along is no second line.
        terminal.types(&format!("\u{1b}[200~{GOOD}\n\n\u{1b}[201~"));
        terminal.shows_after(asked, "the endpoint accepts the key");
        let shown = terminal.shown();
        assert!(!shown.contains("second") && !shown.contains("canary"), "{shown}");
        assert_eq!(terminal.ends(), 0);
        assert_eq!(
            sandbox.files_with(&["second", "canary"]),
            Vec::<std::path::PathBuf>::new()
        );
    }
}

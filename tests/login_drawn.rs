//! qwen-login on a terminal that can draw: lists that are narrowed down by typing, lines that can be edited, stars for the
//! key. What a person sees is read off a screen of rows and columns.

use crate::support::model::{KEY as MODEL_KEY, Model};
use crate::support::{Gate, Reply, Request, Sandbox, Server, Terminal, Tool, peers, wait_until};
use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

const GOOD: &str = "sk-good-0123456789";
const BAD: &str = "sk-bad-0123456789";

const UP: &str = "\u{1b}[A";
const DOWN: &str = "\u{1b}[B";

fn login(sandbox: &Sandbox) -> Tool {
    sandbox
        .tool("qwen-login")
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1")
        .env("QWEN_CREDENTIAL_STORE", "file")
}

fn profile(sandbox: &Sandbox) -> Value {
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    config["profiles"]["default"].clone()
}

fn stored_key(sandbox: &Sandbox) -> Value {
    let stored: Value =
        serde_json::from_str(&sandbox.read("home/.config/qwen/credentials/default.json")).unwrap();
    stored["api_key"].clone()
}

/// A server that lists these models and answers for any of them; with a key, only to that.
fn serving(models: Vec<String>, key: Option<&'static str>) -> Server {
    Server::answering(move |_, request: &Request| {
        let given = request.header("authorization");
        if key.is_some_and(|key| given != Some(&format!("Bearer {key}"))) {
            return Reply::json(401, r#"{"error": {"message": "no", "code": "invalid_api_key"}}"#);
        }
        match request.target.as_str() {
            "/v1/models" => {
                let data: Vec<Value> = models.iter().map(|name| json!({ "id": name })).collect();
                Reply::json(200, &json!({"object": "list", "data": data}).to_string())
            }
            "/v1/chat/completions" => {
                let asked = request.json()["model"].as_str().unwrap_or_default().to_owned();
                match models.contains(&asked) {
                    true => crate::support::chat::answer(&["Hello"]),
                    false => Reply::json(
                        404,
                        r#"{"error": {"message": "The model does not exist", "code": "model_not_found"}}"#,
                    ),
                }
            }
            _ => Reply::json(404, r#"{"detail": "Not Found"}"#),
        }
    })
}

fn three_hundred() -> Vec<String> {
    (0..300)
        .map(|number| format!("vendor-{}/model-{number:03}", number % 7))
        .collect()
}

#[test]
fn one_of_three_hundred_models_is_found_by_a_few_letters_at_any_width() {
    for columns in [40, 80, 200] {
        let (sandbox, server) = (Sandbox::new(), serving(three_hundred(), Some(GOOD)));
        let mut terminal = Terminal::of_width(columns, login(&sandbox));
        terminal.answers(&[
            ("How do you want to log in?", "\r"),
            ("Whose key is it?", "any other\r"),
            ("base URL:", &format!("{}\r", server.url("/v1"))),
            ("API key (", &format!("{GOOD}\r")),
            ("model (300 are offered):", "model-217"),
            ("> vendor-0/model-217", "\r"),
        ]);
        terminal.shows("the endpoint accepts the key");
        assert_eq!(terminal.ends(), 0, "{columns} columns");
        assert_eq!(profile(&sandbox)["model"], "vendor-0/model-217");
        assert_eq!(stored_key(&sandbox), GOOD);
    }
}

#[test]
fn no_line_of_a_list_is_wider_than_the_terminal() {
    let long = |number: usize| format!("{}-{number}", "a-very-long-name-of-a-model".repeat(4));
    let server = serving((0..30).map(long).collect(), None);
    let sandbox = Sandbox::new();
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::of_width(40, login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r"), ("model (30 are offered):", DOWN)]);
    terminal.shows("...");
    let shown = terminal.plain();
    let list = shown.split("offered):").nth(1).unwrap();
    for line in list.lines().filter(|line| line.contains("a-very")) {
        assert!(line.trim_end().chars().count() <= 40, "{line:?}");
    }
    terminal.types("\r");
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    // Sorted: 0, 1, 10, …
    assert_eq!(profile(&sandbox)["model"], long(1));
}

#[test]
fn no_line_of_a_narrow_terminal_cuts_a_word() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], Some(GOOD)));
    let tool = login(&sandbox).args(["--base-url", &server.url("/v1")]);
    let mut terminal = Terminal::of_width(40, tool.env("TERM", "dumb"));
    terminal.shows("API key (empty for none, it is not shown):");
    terminal.waits_for_echo(false);
    terminal.types(&format!("{BAD}\r"));
    terminal.shows("the credential was refused (401)");
    terminal.shows("choice [1]:");
    terminal.waits_for_echo(true);
    terminal.types("\r");
    terminal.waits_for_echo(false);
    let before = terminal.shown().len();
    terminal.types(&format!("{GOOD}\r"));
    terminal.shows_after(before, "choice [1]: ");
    terminal.waits_for_echo(true);
    terminal.types("b\r");
    terminal.shows("the endpoint accepts the key; profile 'default' uses model 'b' at");
    for line in terminal.plain().lines() {
        assert!(line.chars().count() <= 40, "{line:?}");
    }
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn no_choice_that_has_to_be_read_is_cut_at_any_width() {
    for (columns, key) in [
        (
            120,
            "with an API key: OpenAI, Model Studio, OpenRouter, Azure, your own server, …",
        ),
        (80, "with an API key, or your own server"),
        (40, "with an API key, or your own server"),
    ] {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::of_width(columns, login(&sandbox));
        terminal.shows(key);
        // The second menu has longer words than forty columns hold.
        terminal.types("\r");
        terminal.answers(&[
            ("Whose key is it?", "custom\r"),
            ("base URL:", "http://8.8.8.8/v1\r"),
        ]);
        terminal.shows(if columns == 40 {
            "remember\n    that\n  give up"
        } else {
            "and remember that"
        });
        let shown = terminal.plain();
        // A list that is searched may be cut there.
        assert!(columns == 40 || !shown.contains("..."), "{columns}: {shown}");
        terminal.types("\u{3}");
        assert_ne!(terminal.ends(), 0);
    }
}

#[test]
fn names_that_begin_alike_are_told_apart_on_a_narrow_terminal() {
    let names =
        ["70b-instruct", "405b-instruct"].map(|size| format!("accounts/somebody/models/llama-v3p1-{size}"));
    let (sandbox, server) = (Sandbox::new(), serving(names.to_vec(), None));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::of_width(40, login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("> accounts/som...ama-v3p1-405b-instruct", DOWN),
        ("> accounts/som...lama-v3p1-70b-instruct", "\r"),
    ]);
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], names[0]);
}

#[test]
fn messages_are_broken_at_blanks_at_the_usual_width() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["m".into()], Some(GOOD)));
    let words = ["--provider", "groq", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::of_width(80, login(&sandbox).args(words));
    terminal.shows("API key (");
    terminal.waits_for_echo(false);
    terminal.types(&format!("{GOOD}\r"));
    terminal.shows("the endpoint accepts the key; profile 'default' uses model 'm' at");
    let shown = terminal.plain();
    for line in shown.lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_list_that_takes_long_is_said_to_be_waited_for() {
    let gate = Gate::default();
    let opened = gate.clone();
    let server = Server::answering(move |_, request: &Request| match request.target.as_str() {
        "/v1/models" => {
            opened.pass();
            Reply::json(200, r#"{"data": [{"id": "a"}]}"#)
        }
        _ => crate::support::chat::answer(&["Hello"]),
    });
    let sandbox = Sandbox::new();
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("waiting for the list of models of '127.0.0.1:", ""),
    ]);
    gate.open();
    terminal.shows("model: a, the only one");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_test_request_that_takes_long_is_said_to_be_waited_for() {
    let gate = Gate::default();
    let opened = gate.clone();
    let server =
        Server::answering(
            move |_, request: &Request| match request.target.starts_with("/v1/models") {
                true => Reply::json(200, r#"{"data": [{"id": "a"}]}"#),
                false => {
                    opened.pass();
                    crate::support::chat::answer(&["Hello"])
                }
            },
        );
    let sandbox = Sandbox::new();
    // What a query holds may be a key.
    let url = server.url("/v1?code=acme");
    let mut terminal = Terminal::start(login(&sandbox).args(["--provider", "vllm", "--base-url", &url]));
    terminal.answers(&[
        ("API key (", "\r"),
        (&format!("waiting for '{}'", url.replace("acme", "***")), ""),
    ]);
    gate.open();
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn after_an_address_without_its_version_enter_takes_the_one_with_it() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into()], None));
    let words = ["--provider", "custom", "--base-url", &server.url("")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("hint: check the base URL: many end in '/v1'", ""),
        ("> change the base URL", "\r"),
        (&format!("base URL: ({})", server.url("/v1")), "\r"),
    ]);
    terminal.shows("model: a, the only one");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["base_url"], server.url("/v1"));
}

#[test]
fn arrows_move_and_the_list_goes_round() {
    let server = serving(vec!["a".into(), "b".into(), "c".into()], None);
    let sandbox = Sandbox::new();
    let words = ["--provider", "llama.cpp", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("> a", UP),
        ("> another one, by its name", UP),
        ("> c", UP),
        ("> b", "\r"),
    ]);
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "b");
}

#[test]
fn the_only_model_is_taken_and_said() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["qwen3-4b".into()], None));
    let words = ["--provider", "llama.cpp", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r")]);
    terminal.shows("model: qwen3-4b, the only one");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "qwen3-4b");
}

#[test]
fn a_model_that_no_list_has_is_typed() {
    let server = Server::answering(|_, request: &Request| match request.target.as_str() {
        "/v1/models" => Reply::json(200, r#"{"data": [{"id": "a"}, {"id": "b"}]}"#),
        _ => crate::support::chat::answer(&["Hello"]),
    });
    let sandbox = Sandbox::new();
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("model (2 are offered):", "secret-one"),
        ("> another one, by its name", "\r"),
        ("model: secret-one", "\r"),
    ]);
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "secret-one");
}

#[test]
fn a_wrong_url_is_mended_on_the_way_and_nothing_else_is_asked_again() {
    let sandbox = Sandbox::new();
    let server = serving(vec!["a".into(), "gpt-4o".into()], Some(GOOD));
    let mut terminal = Terminal::start(login(&sandbox));
    terminal.answers(&[
        ("How do you want to log in?", "\r"),
        ("Whose key is it?", "custom\r"),
        ("base URL:", "http://127.0.0.1:9/v1\r"),
        ("API key (", &format!("{GOOD}\r")),
        ("cannot connect", "base url\r"),
    ]);
    let url = "http://127.0.0.1:9/v1";
    terminal.shows(&format!("base URL: ({url})"));
    terminal.types(&format!("{}\r", server.url("/v1")));
    terminal.answers(&[("model (2 are offered):", "\r")]);
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    let profile = profile(&sandbox);
    assert_eq!(
        (&profile["base_url"], &profile["model"]),
        (&json!(server.url("/v1")), &json!("gpt-4o"))
    );
    assert_eq!(stored_key(&sandbox), GOOD);
}

#[test]
fn a_wrong_key_is_typed_again_and_where_keys_are_made_is_said() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["m".into()], Some(GOOD)));
    let words = ["--provider", "groq", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.shows("keys are made at https://console.groq.com/keys");
    terminal.answers(&[
        ("API key (", &format!("{BAD}\r")),
        (
            "hint: keys for Groq are made at https://console.groq.com/keys",
            "",
        ),
        ("> type the key again", "\r"),
    ]);
    let before = terminal.plain().len();
    terminal.waits_for_echo(false);
    terminal.types(&format!("{GOOD}\r"));
    terminal.shows_after(before, "model: m, the only one");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(stored_key(&sandbox), GOOD);
}

#[test]
fn of_a_key_stars_are_shown_and_the_key_itself_only_at_the_tab_key() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(login(&sandbox).args(["--provider", "openai", "--no-verify"]));
    terminal.shows("API key (Tab shows it): ");
    terminal.waits_for_echo(false);
    terminal.types("sk-0123456789ab");
    terminal.shows(&format!("shows it): {}", "*".repeat(15)));
    assert!(!terminal.shown().contains("0123"), "{}", terminal.shown());
    terminal.types("X\u{7f}");
    terminal.shows(&format!("{}\u{8} \u{8}", "*".repeat(16)));
    let before = terminal.plain().len();
    terminal.types("\t");
    terminal.shows_after(before, "sk-0123456789ab");
    terminal.types("\r");
    terminal.shows("key: sk-***ab, 15 characters");
    terminal.answers(&[("model: (gpt-4o)", "\r")]);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(stored_key(&sandbox), "sk-0123456789ab");
}

#[test]
fn enter_keeps_the_stored_key_of_the_same_endpoint_and_of_no_other() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], Some(GOOD)));
    let url = server.url("/v1");
    sandbox
        .detached("qwen-login")
        .args([
            "--with-key",
            "--store",
            "file",
            "--base-url",
            &url,
            "--model",
            "a",
        ])
        .stdin(format!("{GOOD}\n"))
        .run()
        .exits(0);
    let mut terminal = Terminal::start(login(&sandbox).args(["--base-url", &url]));
    terminal.answers(&[
        ("API key (Enter keeps sk-***89, Tab shows it): ", "\r"),
        ("> a", DOWN),
        ("> b", "\r"),
    ]);
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(
        (&profile(&sandbox)["model"], stored_key(&sandbox)),
        (&json!("b"), json!(GOOD))
    );
    let mut terminal = Terminal::start(login(&sandbox).args(["--base-url", "http://127.0.0.1:9/v1"]));
    terminal.shows("API key (empty for none, Tab shows it): ");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
}

#[test]
fn the_questions_reach_the_terminal_when_everything_else_is_redirected() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], None));
    let line = format!(
        "qwen-login --provider vllm --base-url {} </dev/null >out 2>log; echo end $?",
        server.url("/v1")
    );
    let tool = sandbox
        .command("/bin/sh")
        .args(["-c", &line])
        .env("TERM", "xterm")
        .env("QWEN_CREDENTIAL_STORE", "file");
    let mut terminal = Terminal::start(tool);
    terminal.answers(&[
        ("API key (", "\r"),
        ("model (2 are offered):", DOWN),
        ("> b", "\r"),
        ("end 0", ""),
    ]);
    assert_eq!(profile(&sandbox)["model"], "b");
    assert_eq!(sandbox.read("work/out"), "");
    let log = sandbox.read("work/log");
    assert!(
        log.contains("the endpoint answers") && !log.contains("offered"),
        "{log}"
    );
}

#[test]
fn an_interrupt_or_a_signal_at_a_list_or_a_line_finds_the_terminal_restored() {
    let server = serving(vec!["a".into(), "b".into()], None);
    let url = server.url("/v1");
    let list = ["--provider", "vllm", "--base-url", &url];
    let steps = [
        (vec![], vec![], "How do you want to log in?"),
        (
            vec![],
            vec![("How do you want to log in?", "\r"), ("Whose key", "custom\r")],
            "base URL:",
        ),
        (list.to_vec(), vec![("API key (", "\r")], "model (2 are offered):"),
    ];
    for (words, before, question) in steps {
        for (signal, code) in [
            (None, 130),
            (Some(Signal::INT), 130),
            (Some(Signal::TERM), 143),
            (Some(Signal::HUP), 129),
            (Some(Signal::QUIT), 131),
        ] {
            let sandbox = Sandbox::new();
            let mut terminal = Terminal::start(login(&sandbox).args(words.clone()));
            terminal.answers(&before);
            terminal.shows(question);
            terminal.types("xy");
            match signal {
                Some(signal) => kill_process(terminal.pid(), signal).unwrap(),
                None => terminal.types("\u{3}"),
            }
            terminal.waits_for_echo(true);
            let shown = terminal.shown();
            assert_eq!(terminal.ends(), code, "{question} {signal:?}: {shown}");
            assert!(!sandbox.config_file().exists());
        }
    }
}

#[test]
fn what_a_server_calls_its_models_cannot_write_on_the_terminal() {
    let names = vec![
        "\u{1b}]0;owned\u{7}evil".into(),
        "\u{202e}drow".into(),
        "fine".into(),
        "good".into(),
    ];
    let (sandbox, server) = (Sandbox::new(), serving(names, None));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r"), ("model (2 are offered):", "\r")]);
    terminal.shows("the endpoint answers");
    let shown = terminal.shown();
    assert!(
        !shown.contains("owned") && !shown.contains('\u{202e}'),
        "{shown:?}"
    );
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "fine");
}

#[test]
fn escape_leaves_no_question() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], None));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r"), ("> a", "")]);
    terminal.leaves("> a");
    terminal.types("\r");
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn qwen_chat_without_a_credential_logs_in_first_and_then_answers() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], Some(GOOD)));
    for words in [&["hi"][..], &[]] {
        let tool = sandbox
            .tool("qwen-chat")
            .args(["--profile", &format!("of-{}", words.len())]);
        let tool = tool
            .args(words)
            .env("TERM", "xterm")
            .env("QWEN_CREDENTIAL_STORE", "file");
        let mut terminal = Terminal::start(tool);
        // The other profile may be meant.
        if words.is_empty() {
            terminal.shows("no profile is called 'of-0'");
            terminal.shows("hint: did you mean 'of-1'?");
        }
        terminal.shows("no credential yet; running qwen-login");
        terminal.answers(&[
            ("How do you want to log in?", "\r"),
            ("Whose key is it?", "custom\r"),
            ("base URL:", &format!("{}\r", server.url("/v1"))),
            ("API key (", &format!("{GOOD}\r")),
            ("model (2 are offered):", "b\r"),
        ]);
        terminal.shows("the endpoint accepts the key");
        if words.is_empty() {
            terminal.shows("/help lists the commands");
            terminal.waits_for_echo(false);
            terminal.types("hi\r");
        }
        terminal.shows("Hello");
        if words.is_empty() {
            terminal.waits_for_echo(false);
            terminal.types("\u{4}");
        }
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn an_interrupted_login_ends_who_started_it_by_the_same_signal() {
    for program in ["qwen", "qwen-chat"] {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::start(sandbox.tool(program).env("TERM", "xterm"));
        terminal.answers(&[("How do you want to log in?", "\u{3}")]);
        terminal.waits_for_echo(true);
        assert_eq!(terminal.ends(), 130, "{program}");
    }
}

#[test]
fn a_script_without_a_credential_is_asked_nothing() {
    let sandbox = Sandbox::new();
    for line in [
        "qwen-chat hi </dev/null",
        "qwen-chat hi | cat",
        "CI=1 qwen-chat hi",
        "qwen-chat --dry-run hi",
    ] {
        let tool = sandbox
            .command("/bin/sh")
            .args(["-c", &format!("{line}; echo end $?")]);
        let terminal = Terminal::start(tool.env("TERM", "xterm"));
        terminal.shows("end ");
        assert!(
            !terminal.shown().contains("running qwen-login"),
            "{line}: {}",
            terminal.shown()
        );
    }
}

#[test]
fn from_nothing_to_an_answer_of_the_real_server() {
    let Some(model) = Model::start() else { return };
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(login(&sandbox));
    terminal.answers(&[
        ("How do you want to log in?", "\r"),
        ("Whose key is it?", "llama\r"),
        (
            "base URL: (http://127.0.0.1:8080/v1)",
            &format!("{}\r", model.base_url()),
        ),
        ("API key (empty for none, Tab shows it): ", "\r"),
        // It wants a key after all.
        ("> type the key again", "\r"),
    ]);
    let before = terminal.plain().len();
    terminal.waits_for_echo(false);
    terminal.types(&format!("{MODEL_KEY}\r"));
    terminal.shows_after(before, "the only one");
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    let run = sandbox
        .tool("qwen-chat")
        .args(["--no-stdin", "hello"])
        .run()
        .exits(0);
    assert!(!run.text().trim().is_empty(), "{run:#?}");
}

/// A server in the next room: an address that is not this machine's, in a network of its own.
#[test]
fn a_server_of_the_private_network_gets_a_key_only_after_a_person_said_so() {
    let have = ["unshare", "ip", "python3"]
        .iter()
        .all(|name| peers::command(name).is_some());
    if !peers::present("unshare, ip and python3", have) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/server.py",
        "import http.server as s, json\n\
         class H(s.BaseHTTPRequestHandler):\n\
         \x20 def answer(self, value):\n\
         \x20   b=json.dumps(value).encode(); good=self.headers['authorization']=='Bearer sk-good-0123456789'\n\
         \x20   self.send_response(200 if good else 401); self.send_header('content-type','application/json')\n\
         \x20   self.send_header('content-length',str(len(b))); self.end_headers(); self.wfile.write(b)\n\
         \x20 def do_GET(self): self.answer({'data':[{'id':'a'},{'id':'b'}]})\n\
         \x20 def do_POST(self):\n\
         \x20   self.rfile.read(int(self.headers['content-length']))\n\
         \x20   self.answer({'choices':[{'message':{'content':'from the lan'},'finish_reason':'stop'}]})\n\
         v=s.HTTPServer(('192.168.77.1',8000),H); open('ready','w'); v.serve_forever()",
    );
    let script = "ip link set lo up; ip address add 192.168.77.1/32 dev lo\n\
                  python3 server.py 2>/dev/null & server=$!\n\
                  while [ ! -e ready ]; do sleep 0.05; done\n\
                  qwen-login --provider custom; qwen-chat --no-stdin hi; echo end $?; kill $server";
    let tool = sandbox
        .command("/usr/bin/unshare")
        .args(["-rn", "sh", "-c", script]);
    let tools = crate::support::binary("qwen-login");
    let path = format!(
        "{}:/usr/bin:/bin:/usr/sbin:/sbin",
        tools.parent().unwrap().display()
    );
    let tool = tool
        .env("PATH", path)
        .env("TERM", "xterm")
        .env("QWEN_CREDENTIAL_STORE", "file");
    let mut terminal = Terminal::start(tool);
    terminal.answers(&[
        ("base URL:", "http://192.168.77.1:8000/v1\r"),
        ("API key (empty for none, Tab shows it): ", &format!("{GOOD}\r")),
        ("plain http would show the secret", "send it\r"),
        ("model (2 are offered):", "b\r"),
        ("the endpoint accepts the key", ""),
        ("from the lan", ""),
        ("end 0", ""),
    ]);
    assert_eq!(terminal.ends(), 0);
    assert_eq!(
        (&profile(&sandbox)["allow_http"], &profile(&sandbox)["model"]),
        (&json!(true), &json!("b"))
    );
}

/// <https://github.com/anthropics/claude-code/issues/9693>: nothing is drawn anew until a key is pressed.
#[test]
fn a_list_is_drawn_anew_when_the_terminal_gets_another_size_and_what_was_typed_stays() {
    let names =
        ["70b-instruct", "405b-instruct"].map(|size| format!("accounts/somebody/models/llama-v3p1-{size}"));
    let (sandbox, server) = (Sandbox::new(), serving(names.to_vec(), None));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::of_width(100, login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r"), (&format!("> {}", names[1]), "")]);
    let before = terminal.plain().len();
    terminal.resizes(40, 24);
    terminal.shows_after(before, "> accounts/som...ama-v3p1-405b-instruct");
    terminal.types("70b");
    terminal.shows_after(before, "> accounts/som...lama-v3p1-70b-instruct");
    let before = terminal.plain().len();
    terminal.resizes(100, 24);
    terminal.shows_after(before, "offered): 70b");
    terminal.shows_after(before, &format!("> {}", names[0]));
    terminal.types("\r");
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], names[0]);
}

#[test]
fn the_stars_of_a_key_are_drawn_anew_when_the_terminal_gets_another_size() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into()], Some(GOOD)));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::of_width(100, login(&sandbox).args(words));
    terminal.shows("API key (");
    terminal.waits_for_echo(false);
    terminal.types(&GOOD[..12]);
    terminal.shows(&format!("Tab shows it): {}", "*".repeat(12)));
    let before = terminal.plain().len();
    terminal.resizes(50, 24);
    terminal.shows_after(before, "Tab shows it): *********");
    assert!(!terminal.plain()[before..].contains("**********"));
    terminal.types(&GOOD[12..]);
    terminal.types("\r");
    terminal.shows("key: sk-***89, 18 characters");
    terminal.shows("the endpoint accepts the key");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(stored_key(&sandbox), GOOD);
}

#[test]
fn a_terminal_that_is_made_narrower_and_wider_shows_each_row_of_a_list_once() {
    let program = peers::command("tmux");
    if !peers::present("tmux", program.is_some()) {
        return;
    }
    let program = program.unwrap();
    let server = serving(
        (0..30)
            .map(|number| format!("vendor/model-{number:02}"))
            .collect(),
        None,
    );
    let sandbox = Sandbox::new();
    let socket = sandbox.root().join("tmux");
    let tmux = |words: &[&str]| {
        let tool = sandbox.command(&program).args(["-f", "/dev/null", "-S"]);
        tool.arg(&socket).args(words).env("QWEN_CREDENTIAL_STORE", "file")
    };
    let login = format!(
        "qwen-login --provider vllm --base-url {}; read line",
        server.url("/v1")
    );
    let size = ["-x", "80", "-y", "24"];
    tmux(&[&["new-session", "-d"], &size[..], &[&login]].concat())
        .run()
        .exits(0);
    let screen = || tmux(&["capture-pane", "-p"]).run().exits(0).text();
    let shows = |wanted: &[&str]| {
        wait_until(&format!("{wanted:?}"), || {
            let screen = screen();
            let count = |text: &str| {
                screen
                    .lines()
                    .filter(|line| line.trim_end().ends_with(text))
                    .count()
            };
            wanted.iter().all(|text| count(text) == 1) && screen.matches("model (30").count() <= 1
        });
    };
    shows(&["Tab shows it):"]);
    tmux(&["send-keys", "Enter"]).run().exits(0);
    shows(&[
        "model (30 are offered):",
        "> vendor/model-00",
        "v vendor/model-14",
    ]);
    for (columns, rows, wanted) in [
        (
            "40",
            "24",
            &[
                "? model (30 are offered):",
                "> vendor/model-00",
                "v vendor/model-14",
            ][..],
        ),
        (
            "20",
            "10",
            &[
                "? model (30 are",
                "  offered):",
                "> vendor/model-00",
                "v vendor/model-06",
            ],
        ),
        ("16", "5", &["  offered):", "> vend...del-00"]),
        (
            "100",
            "30",
            &[
                "? model (30 are offered):",
                "> vendor/model-00",
                "v vendor/model-14",
            ],
        ),
        ("30", "8", &["? model (30 are offered):", "> vendor/model-00"]),
    ] {
        tmux(&["resize-window", "-x", columns, "-y", rows]).run().exits(0);
        shows(wanted);
    }
    tmux(&["send-keys", "-l", "12"]).run().exits(0);
    shows(&["? model (30 are offered): 12", "> vendor/model-12"]);
    tmux(&["send-keys", "Enter"]).run().exits(0);
    wait_until("it is stored", || sandbox.config_file().exists());
    tmux(&["kill-server"]).run().exits(0);
    assert_eq!(profile(&sandbox)["model"], "vendor/model-12");
}

#[test]
fn a_stopped_list_is_drawn_anew_when_it_goes_on() {
    let (sandbox, server) = (Sandbox::new(), serving(vec!["a".into(), "b".into()], None));
    let words = ["--provider", "vllm", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[("API key (", "\r"), ("> a", DOWN), ("> b", "\u{1a}")]);
    terminal.waits_for_echo(true);
    let stat = format!("/proc/{}/stat", terminal.pid().as_raw_nonzero());
    wait_until("it is stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    let before = terminal.plain().len();
    kill_process(terminal.pid(), Signal::CONT).unwrap();
    terminal.shows_after(before, "> b");
    terminal.types("\r");
    terminal.shows("the endpoint answers");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "b");
}

#[test]
fn the_end_of_input_at_a_list_or_a_line_is_no_answer() {
    for before in [
        &[][..],
        &[
            ("How do you want to log in?", "\r"),
            ("Whose key", "custom\r"),
            ("base URL:", ""),
        ],
    ] {
        let sandbox = Sandbox::new();
        let mut terminal = Terminal::start(login(&sandbox));
        terminal.answers(before);
        terminal.shows("How do you want to log in?");
        terminal.waits_for_echo(false);
        terminal.types("\u{4}");
        terminal.shows("no answer on the terminal");
        assert_eq!(terminal.ends(), 74);
    }
}

/// A list that does not fit is not cut off at its top: what was not seen comes when it is asked for.
#[test]
fn a_numbered_list_is_shown_in_parts_that_fit_the_terminal() {
    let sandbox = Sandbox::new();
    let tool = login(&sandbox)
        .env("TERM", "dumb")
        .args(["--api-key", "--no-verify"]);
    let mut terminal = Terminal::of_size(20, 12, tool);
    terminal.shows("8) azure");
    terminal.shows("36 more: type +");
    assert!(!terminal.plain().contains("9) deepseek"));
    terminal.types("+\n");
    terminal.shows("16) mistral");
    let before = terminal.plain().len();
    terminal.types("40\n");
    terminal.shows_after(before, "number that is");
    terminal.types("16\n");
    terminal.shows("api.mistral.ai");
    terminal.types("\u{3}");
    assert_ne!(terminal.ends(), 0);
}

#[test]
fn what_was_chosen_is_said_without_a_cut_on_a_narrow_terminal() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::of_width(40, login(&sandbox).args(["--api-key", "--no-verify"]));
    terminal.answers(&[("Whose key is it?", "azure-v1\r")]);
    terminal.shows("> Whose key is it? azure-v1 Azure OpenAI, v1 endpoint");
    terminal.types("\u{3}");
    assert_ne!(terminal.ends(), 0);
}

/// Situations that people reported of the set-ups of other programs.
#[test]
fn what_people_ran_into_elsewhere_goes_well() {
    let cases: Value = serde_json::from_str(include_str!("data/login/setups.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let what = case["what"].as_str().unwrap();
        // Without a test request nobody is asked.
        let is_asked = case.get("base_url").is_none();
        let server = is_asked.then(|| serving(vec!["gpt-4o".into(), "other".into()], Some(GOOD)));
        let address = |path: &str| {
            server
                .as_ref()
                .map_or_else(String::new, |server| server.url(path))
        };
        let (url, origin) = (address("/v1"), address(""));
        let filled = |text: &Value| {
            let text = text.as_str().unwrap().replace("{url}", &url);
            text.replace("{origin}", &origin).replace("{key}", GOOD)
        };
        let sandbox = Sandbox::new();
        let words: Vec<String> = match case["words"].as_array() {
            Some(words) => words.iter().map(filled).collect(),
            None => vec!["--provider".to_owned(), "custom".to_owned()],
        };
        let rounds = if case["again"] == true { 2 } else { 1 };
        for round in 0..rounds {
            let tool = login(&sandbox)
                .args(["--profile", &format!("p{round}")])
                .args(&words);
            let mut terminal = Terminal::start(tool);
            for step in case["steps"].as_array().unwrap() {
                terminal.shows(&filled(&step[0]));
                terminal.types(&filled(&step[1]));
            }
            assert_eq!(terminal.ends(), 0, "{what}");
        }
        let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
        let profiles = config["profiles"].as_object().unwrap();
        assert_eq!(profiles.len(), rounds, "{what}");
        for (name, profile) in profiles {
            let wanted = case.get("base_url").map_or_else(|| url.clone(), filled);
            let model = case.get("model").map_or_else(|| "gpt-4o".to_owned(), filled);
            assert_eq!(
                (&profile["base_url"], &profile["model"]),
                (&json!(wanted), &json!(model)),
                "{what}"
            );
            let stored = sandbox.read(format!("home/.config/qwen/credentials/{name}.json"));
            assert!(stored.contains(&format!("\"{GOOD}\"")), "{what}: {stored}");
        }
    }
}

#[test]
fn what_was_typed_and_erased_leaves_the_default_as_it_was() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(login(&sandbox));
    terminal.answers(&[
        ("> with an API key", "browser"),
        ("> in a browser", &"\u{7f}".repeat("browser".len())),
        ("> with an API key", "\r"),
        ("Whose key is it?", "\u{3}"),
    ]);
    assert_ne!(terminal.ends(), 0);
}

#[test]
fn a_name_that_no_list_has_is_left_by_escape_and_no_default_is_offered_that_the_server_lacks() {
    let server = serving(vec!["a".into(), "b".into()], None);
    let sandbox = Sandbox::new();
    let words = ["--provider", "custom", "--base-url", &server.url("/v1")];
    let mut terminal = Terminal::start(login(&sandbox).args(words));
    terminal.answers(&[
        ("API key (", "\r"),
        ("> a", UP),
        ("> another one, by its name", "\r"),
        ("model:", ""),
    ]);
    terminal.leaves("> a");
    terminal.answers(&[("", DOWN), ("> b", "\r")]);
    terminal.shows("the endpoint answers");
    assert!(!terminal.plain().contains("gpt-4o"));
    assert_eq!(terminal.ends(), 0);
    assert_eq!(profile(&sandbox)["model"], "b");
}

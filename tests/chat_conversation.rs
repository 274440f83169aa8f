//! A conversation at a terminal: commands, switches, Ctrl-C, and what is kept.
use crate::support::chat::{KEY, answer, chat, text};
use crate::support::login::login;
use crate::support::{Reply, Sandbox, Server, Terminal, Tool};
use serde_json::{Value, json};

/// Answers with what was asked last and the credential that came along.
fn echo() -> Server {
    Server::answering(|_, request| {
        if request.method == "GET" {
            return Reply::json(200, r#"{"data":[{"id":"m-1"},{"id":"m-2"}]}"#);
        }
        let body = request.json();
        let said = body["messages"].as_array().unwrap().last().unwrap()["content"].clone();
        let (said, model) = (said.as_str().unwrap(), body["model"].as_str().unwrap());
        let credential = request.header("authorization").unwrap_or("none");
        answer(&[&format!("{model} heard {said} by {credential}")])
    })
}

fn converse(tool: Tool) -> Terminal {
    let terminal = Terminal::start(tool.env("TERM", "xterm-256color").env("NO_COLOR", "1"));
    terminal.shows("/help lists the commands");
    terminal
}

/// The contents of the messages of the last question.
fn contents(server: &Server) -> Vec<Value> {
    let requests = server.requests();
    let last = requests
        .iter()
        .rev()
        .find(|request| request.method == "POST")
        .unwrap();
    let body = last.json();
    let messages = body["messages"].as_array().unwrap().iter();
    messages.map(|message| message["content"].clone()).collect()
}

#[test]
fn questions_build_on_each_other_and_commands_do_what_they_say() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.shows("m-1 at 127.0.0.1 (api-key)");
    terminal.types("one\r");
    terminal.shows("m-1 heard one");
    terminal.types("/system Be brief.\r");
    terminal.types("two\r");
    terminal.shows("m-1 heard two");
    let contents_seen = contents(&server);
    assert_eq!(contents_seen[0], "Be brief.");
    assert_eq!(
        (contents_seen.len(), &contents_seen[1], &contents_seen[3]),
        (4, &json!("one"), &json!("two"))
    );
    terminal.types("/model m-2\r");
    terminal.shows("m-2 at 127.0.0.1");
    terminal.types("/clear\r");
    terminal.shows("the conversation is cleared");
    terminal.types("three\r");
    terminal.shows("m-2 heard three");
    assert_eq!(contents(&server), [json!("Be brief."), json!("three")]);
    terminal.types("/model\r");
    terminal.shows("the model is m-2; the endpoint offers:\nm-1\nm-2\n");
    terminal.types("/usage\r");
    terminal.shows("answers: 3; tokens: 15 in, 6 out");
    terminal.types("/nonsense\r");
    terminal.shows("there is no command '/nonsense'");
    terminal.types("//slash\r");
    terminal.shows("heard /slash");
    terminal.types("first line\\\rsecond line\r");
    terminal.shows("heard first line\nsecond line");
    terminal.types("/save kept\r");
    terminal.shows("sessions/kept.json'");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    chat(&sandbox, &server)
        .args(["--session", "kept", "--no-stdin", "four"])
        .run()
        .exits(0);
    assert_eq!(contents(&server).len(), 8);
}

#[test]
fn ctrl_c_stops_the_answer_and_the_conversation_goes_on() {
    let sandbox = Sandbox::new();
    let server = Server::script([
        Reply::stream_head().chunk(text("an endless ")).hold(),
        answer(&["short"]),
    ]);
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("one\r");
    terminal.shows("an endless");
    terminal.types("\x03");
    terminal.shows("\r\nqwen-chat: stopped");
    terminal.waits_for_echo(false);
    terminal.types("two\r");
    terminal.shows("short");
    assert_eq!(
        contents(&server),
        [json!("one"), json!("an endless "), json!("two")]
    );
    terminal.waits_for_echo(false);
    terminal.types("\x03");
    terminal.shows("Ctrl-D or /quit ends the conversation");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_failure_is_told_and_the_conversation_goes_on() {
    let sandbox = Sandbox::new();
    let broken = Reply::json(400, r#"{"error":{"message":"too hot"}}"#);
    let server = Server::script([broken, answer(&["fine"])]);
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("one\r");
    terminal.shows("the request was refused (400): too hot");
    terminal.types("two\r");
    terminal.shows("fine");
    assert_eq!(contents(&server), [json!("two")]);
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn auth_switches_from_a_login_to_a_key_and_back_here_and_now() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let base = server.url("/v1");
    let oauth = json!({ "token_endpoint": "http://127.0.0.1:9/token", "client_id": "c", "allowed_hosts": ["127.0.0.1"] });
    sandbox.config(
        &json!({ "default_profile": "work", "profiles": {
            "work": { "provider": "custom", "method": "oauth", "base_url": base, "model": "m-oauth",
                      "key": { "store": "file" }, "oauth": oauth },
            "keyed": { "provider": "custom", "method": "api-key", "base_url": base, "model": "m-key",
                       "key": { "env": "THE_KEY" } },
        }})
        .to_string(),
    );
    sandbox.write(crate::support::login::OWN_FILE, login(-10, 3600).to_string());
    let mut terminal = converse(sandbox.tool("qwen-chat").env("THE_KEY", KEY));
    terminal.shows("m-oauth at 127.0.0.1 (oauth, profile 'work')");
    terminal.types("one\r");
    terminal.shows("m-oauth heard one by Bearer at-old");
    terminal.types("/auth keyed\r");
    terminal.shows("m-key at 127.0.0.1 (api-key, profile 'keyed')");
    terminal.types("two\r");
    terminal.shows(&format!("m-key heard two by Bearer {KEY}"));
    terminal.types("/auth\r");
    terminal.shows("* 1  keyed  api-key custom");
    terminal.shows("profile (name or number): ");
    terminal.types("2\r");
    terminal.types("three\r");
    terminal.shows("m-oauth heard three by Bearer at-old");
    terminal.types("/auth nobody\r");
    terminal.shows("there is no profile 'nobody'");
    terminal.types("four\r");
    terminal.shows("m-oauth heard four by Bearer at-old");
    assert_eq!(contents(&server).len(), 7, "what was said goes along");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn what_was_typed_can_be_recalled_in_the_next_conversation() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("remember me\r");
    terminal.shows("m-1 heard remember me");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(sandbox.mode("home/.local/state/qwen/history"), 0o600);
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("\x1b[A\r");
    terminal.shows("m-1 heard remember me");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn escapes_in_an_answer_are_harmless_on_the_terminal() {
    let sandbox = Sandbox::new();
    let hostile = "before\x1b[2J\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07 \u{9b}31m after";
    let server = Server::script([answer(&[hostile])]);
    let mut terminal = Terminal::start(chat(&sandbox, &server).env("TERM", "xterm-256color"));
    terminal.shows("/help lists the commands");
    terminal.types("hi\r");
    terminal.shows("before^[[2J^[]0;title^G^[]52;c;ZXZpbA==^G <U+009B>31m after");
    let shown = terminal.shown();
    assert!(
        !shown.contains("\x1b[2J") && !shown.contains("\x1b]") && !shown.contains('\u{9b}'),
        "{shown:?}"
    );
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn ctrl_c_ends_the_wait_for_a_list_and_not_the_conversation() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request| match request.method.as_str() {
        "GET" => Reply::default().hold(),
        _ => answer(&["fine"]),
    });
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/model\r");
    terminal.shows("the endpoint offers:");
    terminal.waits_for_echo(true);
    server.wait_for(1);
    terminal.types("\x03");
    terminal.shows("^C\r\nqwen-chat: stopped");
    terminal.waits_for_echo(false);
    terminal.types("one\r");
    terminal.shows("fine");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn ctrl_c_in_a_login_ends_the_login_and_not_the_conversation() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("one\r");
    terminal.shows("heard one");
    terminal.waits_for_echo(false);
    terminal.types("/auth +\r");
    terminal.shows("choice [2]: ");
    terminal.types("\x03");
    terminal.shows("the login was not completed; the conversation goes on as before");
    terminal.waits_for_echo(false);
    terminal.types("two\r");
    terminal.shows("heard two");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

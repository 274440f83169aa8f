//! A conversation at a terminal: questions, switches, Ctrl-C, and what was typed.
use crate::support::chat::{DONE, KEY, answer, chat, finish, stream, text};
use crate::support::conversation::{contents, converse, echo};
use crate::support::login::login;
use crate::support::{Reply, Sandbox, Server, Terminal};
use serde_json::json;

#[test]
fn questions_build_on_each_other_and_commands_do_what_they_say() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.shows(&format!("m-1 at 127.0.0.1:{} (api-key)", server.port()));
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
    terminal.shows(&format!("m-2 at 127.0.0.1:{}", server.port()));
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
    let host = format!("127.0.0.1:{}", server.port());
    terminal.shows(&format!("m-oauth at {host} (oauth, profile 'work')"));
    terminal.types("one\r");
    terminal.shows("m-oauth heard one by Bearer at-old");
    terminal.types("/auth keyed\r");
    terminal.shows(&format!("m-key at {host} (api-key, profile 'keyed')"));
    terminal.types("two\r");
    terminal.shows(&format!("m-key heard two by Bearer {KEY}"));
    terminal.types("/auth\r");
    terminal.shows("* 1  keyed  api-key custom");
    terminal.shows("profile (name or number): ");
    terminal.types("2\r");
    terminal.types("three\r");
    terminal.shows("m-oauth heard three by Bearer at-old");
    terminal.types("/auth nobody\r");
    terminal.shows(&format!(
        "there is no profile 'nobody'; still m-oauth at {host}, from profile 'work'"
    ));
    terminal.types("/auth wrok\r");
    terminal.shows("did you mean '/auth work'?");
    terminal.types("four\r");
    terminal.shows("m-oauth heard four by Bearer at-old");
    assert_eq!(contents(&server).len(), 7, "what was said goes along");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_switch_that_fails_in_a_clone_says_that_its_server_stays_in_use() {
    let (server, own) = (echo().optional(), echo().optional());
    let sandbox = Sandbox::new();
    let config = json!({ "default_profile": "mine", "profiles": {
        "mine": { "method": "api-key", "base_url": own.url("/v1"), "model": "m", "key": { "env": "MINE_KEY" } },
        "team": { "method": "api-key", "base_url": own.url("/v1"), "model": "m", "key": { "env": "TEAM_KEY" } },
    }});
    sandbox.config(&config.to_string());
    let url = server.url("/v1");
    let file = format!("OPENAI_API_KEY=k\nOPENAI_BASE_URL={url}\nOPENAI_MODEL=m-clone\n");
    let file = sandbox.write("work/.env", file);
    let host = format!("127.0.0.1:{}", server.port());
    let mut terminal = converse(sandbox.tool("qwen-chat").env("MINE_KEY", KEY));
    // Endpoint and key are not the default profile's.
    terminal.shows(&format!("m-clone at {host} (api-key);"));
    terminal.types("/auth team\r");
    terminal.shows("TEAM_KEY");
    terminal.shows(&format!("; still m-clone at {host}, from {}:2", file.display()));
    terminal.types("/auth mine\r");
    terminal.shows(&format!(
        "m at 127.0.0.1:{} (api-key, profile 'mine')",
        own.port()
    ));
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn tokens_that_the_server_does_not_count_are_not_counted_as_none() {
    let uncounted = || stream(text("fine") + &finish("stop") + DONE);
    let (sandbox, server) = (
        Sandbox::new(),
        Server::script([uncounted(), answer(&["counted"]), uncounted()]),
    );
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("one\r");
    terminal.shows("fine");
    terminal.types("/usage\r");
    terminal.shows("answers: 1; the server did not count tokens");
    terminal.types("two\r");
    terminal.shows("counted");
    terminal.types("/usage\r");
    terminal.shows("answers: 2; tokens: 5 in, 2 out; the server did not count those of 1");
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
    let tool = chat(&sandbox, &server).env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(tool.env("COLORFGBG", "15;0"));
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
    terminal.shows("How do you want to log in?");
    terminal.types("\x03");
    terminal.shows("the login was not completed; still ");
    terminal.waits_for_echo(false);
    terminal.types("two\r");
    terminal.shows("heard two");
    terminal.waits_for_echo(false);
    terminal.types("\x04");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn what_was_typed_is_found_with_ctrl_r() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    for question in ["remember me", "forget it"] {
        terminal.types(&format!("{question}\r"));
        terminal.shows(&format!("m-1 heard {question}"));
    }
    let start = terminal.plain().len();
    // Before the editor reads, the terminal takes Ctrl-R for itself.
    terminal.waits_for_echo(false);
    terminal.types("\x12remem\r");
    terminal.shows_after(start, "m-1 heard remember me");
    assert_eq!(contents(&server).len(), 5);
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

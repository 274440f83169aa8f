//! A conversation at a terminal: commands, switches, Ctrl-C, and what is kept.
use crate::support::chat::{DONE, KEY, answer, chat, finish, stream, text};
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
fn files_and_images_go_with_the_next_message_and_with_no_other() {
    let (sandbox, server) = (Sandbox::new(), echo_count());
    sandbox.write("work/my notes.txt", "one\ntwo\n");
    sandbox.write("work/dot.png", b"\x89PNG\r\n\x1a\n....");
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/file my\\ notes.txt\r");
    terminal.shows("with the next message: my notes.txt (2 lines)");
    terminal.types("/image dot.png\r");
    terminal.shows("with the next message: my notes.txt (2 lines), dot.png");
    terminal.types("/file nowhere\r");
    terminal.shows("cannot read 'nowhere'");
    terminal.types("what is this?\r");
    terminal.shows("answer 1");
    let sent = contents(&server);
    assert_eq!(
        sent[0][0]["text"],
        "what is this?\n\nmy notes.txt:\n```\none\ntwo\n```"
    );
    assert!(
        sent[0][1]["image_url"]["url"]
            .as_str()
            .unwrap()
            .starts_with("data:image/png;base64,")
    );
    terminal.types("and now?\r");
    terminal.shows("answer 2");
    assert_eq!(contents(&server)[2], "and now?");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_file_without_a_question_begins_a_conversation_about_it() {
    let (sandbox, server) = (Sandbox::new(), echo_count());
    sandbox.write("work/main.rs", "fn main() {}\n");
    let mut terminal = converse(chat(&sandbox, &server).args(["-f", "main.rs"]));
    terminal.shows("with the next message: main.rs (1 line)");
    terminal.types("what does it do?\r");
    terminal.shows("answer 1");
    assert_eq!(
        contents(&server),
        [json!("what does it do?\n\nmain.rs:\n```\nfn main() {}\n```")]
    );
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    // With a question it is one question and one answer.
    let terminal = Terminal::start(chat(&sandbox, &server).args(["-f", "main.rs", "why?"]));
    assert!(terminal.shown_at_end().contains("answer 2"));
}

/// Numbers its answers, each with a code block.
fn echo_count() -> Server {
    Server::answering(|number, _| answer(&[&format!("answer {}\n```sh\nls {0}\n```\n", number + 1)]))
}

#[test]
fn a_question_can_be_asked_again_edited_and_its_answer_copied() {
    let (sandbox, server) = (Sandbox::new(), echo_count());
    let editor_does = |what: &str| sandbox.program("bin/my-editor", format!("#!/bin/sh\n{what}\n"));
    let editor = editor_does("");
    let tool = chat(&sandbox, &server).env("EDITOR", format!("{} -x", editor.display()));
    let mut terminal = converse(tool.args(["--session", "work"]));
    terminal.types("/retry\r");
    terminal.shows("nothing has been asked yet");
    terminal.types("/copy\r");
    terminal.shows("there is no answer yet");
    terminal.types("one\r");
    terminal.shows("answer 1");
    terminal.types("/retry\r");
    terminal.shows("answer 2");
    assert_eq!(contents(&server), [json!("one")]);
    terminal.types("/copy\r");
    terminal.shows("24 characters went to the terminal's clipboard");
    // answer 2, and its code block.
    assert!(
        terminal
            .shown()
            .contains("\x1b]52;c;YW5zd2VyIDIKYGBgc2gKbHMgMgpgYGAK\x07")
    );
    terminal.types("/copy code\r");
    terminal.shows("5 characters went");
    assert!(terminal.shown().contains("\x1b]52;c;bHMgMgo=\x07"));
    // An editor that changes nothing, and one that gives up.
    editor_does("");
    terminal.types("/edit\r");
    terminal.shows("nothing was changed, so nothing is sent");
    editor_does("exit 1");
    terminal.types("/edit\r");
    terminal.shows("nothing is sent");
    assert!(!terminal.shown().contains("set EDITOR"));
    assert_eq!(server.count(), 2);
    editor_does("echo ' and more' >> \"$2\"");
    terminal.types("/edit\r");
    terminal.shows("answer 3");
    let sent = contents(&server);
    assert_eq!((sent.len(), &sent[2]), (3, &json!("one and more")));
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    let kept = sandbox.read("home/.local/state/qwen/sessions/work.json");
    assert!(kept.contains("answer 2") && !kept.contains("answer 1"), "{kept}");
}

#[test]
fn a_long_list_of_models_is_not_shown_to_its_end() {
    let names: Vec<Value> = (0..300)
        .map(|number| json!({ "id": format!("m-{number:03}") }))
        .collect();
    let list = json!({ "object": "list", "data": names }).to_string();
    let (sandbox, server) = (
        Sandbox::new(),
        Server::answering(move |_, _| Reply::json(200, &list)),
    );
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/model\r");
    terminal.shows("m-059\nand 240 more; ");
    terminal.types("/quit\r");
    assert!(!terminal.shown().contains("m-060"));
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_terminal_without_a_clipboard_is_not_said_to_have_taken_an_answer() {
    for kind in ["dumb", "linux"] {
        let (sandbox, server) = (Sandbox::new(), echo_count());
        let tool = chat(&sandbox, &server).env("TERM", kind).env("NO_COLOR", "1");
        let mut terminal = Terminal::start(tool);
        terminal.shows("/help lists the commands");
        terminal.types("one\r");
        terminal.shows("answer 1");
        terminal.types("/copy\r");
        terminal.shows("has no clipboard; nothing is copied");
        assert!(!terminal.shown().contains("]52;"));
        terminal.types("/quit\r");
        assert_eq!(terminal.ends(), 0);
    }
}

#[test]
fn sessions_are_listed_continued_cleared_and_deleted() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/sessions\r");
    terminal.shows("no session is saved yet");
    terminal.types("/system Be brief.\r");
    terminal.types("/model m-2\r");
    terminal.shows("m-2 at");
    terminal.types("first words\r");
    terminal.shows("m-2 heard first words");
    terminal.types("/save kept\r");
    terminal.shows("sessions/kept.json'");
    terminal.types("/sessions\r");
    terminal.shows("kept  1 question  first words");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    // Model, system prompt and messages are the session's.
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/save kept\r");
    terminal.shows("there is a session 'kept' already");
    terminal.types("/sessions ke\t\r");
    terminal.shows("m-2 at");
    terminal.shows("continuing 2 messages of");
    terminal.types("second\r");
    terminal.shows("m-2 heard second");
    assert_eq!(
        (contents(&server).len(), &contents(&server)[0]),
        (4, &json!("Be brief."))
    );
    terminal.types("/save kept\r");
    terminal.shows("saved in");
    terminal.types("/clear\r");
    terminal.shows("the conversation is cleared, in '");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    let ask = chat(&sandbox, &server).args(["--continue", "third"]).run();
    assert!(ask.text().starts_with("m-2 heard third"), "{ask:#?}");
    assert_eq!(contents(&server), [json!("Be brief."), json!("third")]);
    let flag = chat(&sandbox, &server)
        .args(["--continue", "-m", "m-1", "fourth"])
        .run();
    assert!(flag.text().starts_with("m-1 heard"), "{flag:#?}");
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/sessions -d kept\r");
    terminal.shows("the session 'kept' is deleted");
    terminal.types("/sessions kept\r");
    terminal.shows("there is no session 'kept'");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    assert!(
        !sandbox
            .root()
            .join("home/.local/state/qwen/sessions/kept.json")
            .exists()
    );
}

#[test]
fn the_last_question_of_a_kept_session_can_be_asked_again() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let kept = |name: &str, question: &str| {
        let tool = chat(&sandbox, &server).args(["--session", name, "--no-stdin", question]);
        tool.run().exits(0);
    };
    kept("one", "first");
    kept("two", "second");
    let mut terminal = converse(chat(&sandbox, &server).args(["--session", "one"]));
    terminal.types("/retry\r");
    terminal.shows("heard first");
    assert_eq!(contents(&server), [json!("first")]);
    terminal.types("/sessions two\r");
    terminal.shows("continuing 2 messages of");
    terminal.types("/retry\r");
    terminal.shows("heard second");
    assert_eq!(contents(&server), [json!("second")], "the other session's");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    for (name, question) in [("one", "first"), ("two", "second")] {
        let kept = sandbox.read(format!("home/.local/state/qwen/sessions/{name}.json"));
        let kept: Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(kept["messages"].as_array().unwrap().len(), 2, "{kept}");
        assert_eq!(kept["messages"][0]["content"], question);
    }
}

#[test]
fn tab_completes_commands_models_profiles_and_paths() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/notes of mine.txt", "x\n");
    let base = server.url("/v1");
    sandbox.config(
        &json!({ "profiles": { "working": { "method": "api-key", "base_url": base, "model": "m-3",
        "key": { "env": "THE_KEY" } } } })
        .to_string(),
    );
    let mut terminal = converse(chat(&sandbox, &server).env("THE_KEY", KEY));
    terminal.types("/fi\t no\t\r");
    terminal.shows("with the next message: notes of mine.txt (1 line)");
    terminal.types("/au\t wor\t\r");
    terminal.shows("m-3 at");
    terminal.types("/model m\t2\r");
    terminal.shows("m-2 at");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

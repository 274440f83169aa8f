//! Conversations that are kept: `--session`, `--continue`, and what is on disk.
use std::thread;

use crate::support::chat::{DONE, answer, chat, finish, stream, text};
use crate::support::{Sandbox, Server, Terminal};
use serde_json::{Value, json};

const DIRECTORY: &str = "home/.local/state/qwen/sessions";

/// A server that answers by the number of messages it was sent.
fn counting() -> Server {
    Server::answering(|_, request| {
        let count = request.json()["messages"].as_array().unwrap().len();
        answer(&[&format!("heard {count}")])
    })
}

fn messages(server: &Server) -> Value {
    server.requests().last().unwrap().json()["messages"].clone()
}

#[test]
fn nothing_is_kept_unless_asked() {
    let (sandbox, server) = (Sandbox::new(), counting());
    chat(&sandbox, &server).arg("one").run().gives(0, "heard 1\n", "");
    assert!(!sandbox.root().join("home/.local/state/qwen").exists());
}

#[test]
fn a_session_goes_on_with_what_was_said() {
    let (sandbox, server) = (Sandbox::new(), counting());
    let ask = |args: &[&str]| chat(&sandbox, &server).args(args).run();
    ask(&["--session", "work", "-s", "Be brief.", "one"]).gives(0, "heard 2\n", "");
    ask(&["--session", "work", "two"]).gives(0, "heard 4\n", "");
    ask(&["--continue", "three"]).gives(0, "heard 6\n", "");
    assert_eq!(
        messages(&server),
        json!([
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": "one" },
            { "role": "assistant", "content": "heard 2" },
            { "role": "user", "content": "two" },
            { "role": "assistant", "content": "heard 4" },
            { "role": "user", "content": "three" },
        ])
    );
    ask(&["--session", "other", "one"]).gives(0, "heard 1\n", "");
    ask(&["--continue", "two"]).gives(0, "heard 3\n", "");
    ask(&["--session", "work", "-s", "Be kind.", "four"]).gives(0, "heard 8\n", "");
    assert_eq!(messages(&server)[0]["content"], "Be kind.");
}

#[test]
fn the_model_of_a_session_is_named_as_the_sessions() {
    let (sandbox, server) = (Sandbox::new(), counting());
    let ask = |args: &[&str]| chat(&sandbox, &server).args(args).run();
    ask(&["--session", "work", "--model", "big", "one"]).gives(0, "heard 1\n", "");
    let run = ask(&["--session", "work", "--verbose", "two"]);
    assert_eq!(server.requests().last().unwrap().json()["model"], "big");
    assert!(
        run.stderr.contains("model 'big' from the conversation"),
        "{}",
        run.stderr
    );
    let run = ask(&["--session", "work", "--model", "small", "--verbose", "three"]);
    assert!(
        run.stderr.contains("model 'small' from flag --model"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_session_is_its_owners_alone_whatever_the_umask() {
    let (sandbox, server) = (Sandbox::new(), counting());
    let shell = sandbox
        .command("/bin/sh")
        .args(["-c", "umask 000; exec qwen-chat --session work one"])
        .env("OPENAI_API_KEY", crate::support::chat::KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"));
    shell.run().gives(0, "heard 1\n", "");
    assert_eq!(sandbox.mode(DIRECTORY), 0o700);
    assert_eq!(sandbox.mode(format!("{DIRECTORY}/work.json")), 0o600);
    assert!(
        !sandbox
            .read(format!("{DIRECTORY}/work.json"))
            .contains(crate::support::chat::KEY)
    );
}

#[test]
fn an_answer_that_broke_is_not_kept() {
    let sandbox = Sandbox::new();
    let whole = text("whole") + &finish("stop") + DONE;
    let server = Server::script([stream(text("part")), stream(whole)]);
    chat(&sandbox, &server)
        .args(["--session", "work", "one"])
        .run()
        .exits(76);
    chat(&sandbox, &server)
        .args(["--session", "work", "two"])
        .run()
        .gives(0, "whole\n", "");
    assert_eq!(messages(&server), json!([{ "role": "user", "content": "two" }]));
}

#[test]
fn what_two_processes_say_at_once_is_all_kept() {
    let (sandbox, server) = (Sandbox::new(), counting());
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let tool = chat(&sandbox, &server)
                .args(["--session", "work"])
                .arg(format!("question {number}"));
            thread::spawn(move || tool.run().exits(0))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let kept: Value = serde_json::from_str(&sandbox.read(format!("{DIRECTORY}/work.json"))).unwrap();
    let mut questions: Vec<&str> = kept["messages"]
        .as_array()
        .unwrap()
        .chunks(2)
        .map(|pair| {
            assert_eq!(
                (&pair[0]["role"], &pair[1]["role"]),
                (&json!("user"), &json!("assistant"))
            );
            pair[0]["content"].as_str().unwrap()
        })
        .collect();
    questions.sort_unstable();
    let expected: Vec<String> = (0..8).map(|number| format!("question {number}")).collect();
    assert_eq!(questions, expected);
}

#[test]
fn what_cannot_be_gone_on_with_is_said_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    chat(&sandbox, &server).args(["--continue", "x"]).run().fails(
        66,
        &[
            "there is no session to continue",
            "hint: begin one with --session NAME",
        ],
    );
    sandbox.write(format!("{DIRECTORY}/broken.json"), "{");
    chat(&sandbox, &server)
        .args(["--session", "broken", "x"])
        .run()
        .fails(65, &["broken.json': not a session"]);
    assert_eq!(sandbox.read(format!("{DIRECTORY}/broken.json")), "{");
    for name in ["../x", "a/b", "", ".hidden", "-x"] {
        let run = chat(&sandbox, &server)
            .arg(format!("--session={name}"))
            .arg("x")
            .run();
        run.fails(64, &["is not a name for a session"]);
    }
}

#[test]
fn a_link_in_a_sessions_place_is_not_followed() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let target = sandbox.write("elsewhere.json", r#"{"messages":[]}"#);
    sandbox.write(format!("{DIRECTORY}/x.json"), "");
    let link = sandbox.root().join(DIRECTORY).join("work.json");
    std::os::unix::fs::symlink(target, link).unwrap();
    chat(&sandbox, &server)
        .args(["--session", "work", "x"])
        .run()
        .fails(66, &["is a symbolic link"]);
}

#[test]
fn a_save_that_fails_leaves_the_session_in_use() {
    let (sandbox, server) = (
        Sandbox::new(),
        Server::script([answer(&["first"]), answer(&["second"])]),
    );
    let tool = chat(&sandbox, &server)
        .args(["--session", "work"])
        .env("TERM", "xterm-256color")
        .env("NO_COLOR", "1");
    let mut terminal = Terminal::start(tool);
    terminal.shows("/help lists the commands");
    terminal.types("one\r");
    terminal.shows("first");
    terminal.types("/save no/name\r");
    terminal.shows("'no/name' is not a name for a session");
    terminal.types("two\r");
    terminal.shows("second");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    let kept: Value = serde_json::from_str(&sandbox.read(format!("{DIRECTORY}/work.json"))).unwrap();
    assert_eq!(kept["messages"].as_array().unwrap().len(), 4, "{kept}");
}

#[test]
fn all_that_was_said_is_kept_whatever_was_printed_of_it() {
    let words = "Sure:\n```sh\nls\n```\n";
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&[words])]));
    let ask = |args: &[&str]| chat(&sandbox, &server).args(args).run();
    ask(&["--session", "work", "--extract", "one"]).gives(0, "ls\n", "");
    ask(&["--session", "work", "two"]).exits(0);
    assert_eq!(messages(&server)[1]["content"], words);
}

#[test]
fn an_answer_without_a_word_is_not_kept() {
    let (sandbox, server) = (
        Sandbox::new(),
        Server::script([stream(finish("stop") + DONE), answer(&["x"])]),
    );
    let ask = |word: &str| chat(&sandbox, &server).args(["--session", "work", word]).run();
    ask("one").gives(0, "", "qwen-chat: the answer is empty\n");
    ask("two").gives(0, "x\n", "");
    assert_eq!(messages(&server), json!([{ "role": "user", "content": "two" }]));
}

/// A clone whose own `.env` names a server, with a key for it.
fn clone_with(sandbox: &Sandbox, server: &Server) -> String {
    let lines = format!(
        "OPENAI_BASE_URL={}\nOPENAI_API_KEY=sk-bait-01234567\nOPENAI_MODEL=bait\n",
        server.url("/v1")
    );
    sandbox.write("clone/.env", lines).display().to_string()
}

#[test]
fn what_was_said_goes_to_no_server_that_only_a_clone_names() {
    let (sandbox, server, thief) = (Sandbox::new(), counting(), counting());
    let file = clone_with(&sandbox, &thief);
    let own = |args: &[&str]| chat(&sandbox, &server).args(args).run();
    let clone = |args: &[&str]| {
        let tool = sandbox.tool("qwen-chat").args(["-C", "../clone", "--no-stdin"]);
        tool.args(args).run()
    };
    own(&["--session", "work", "one"]).gives(0, "heard 1\n", "");
    for args in [
        &["--continue", "two"][..],
        &["--session", "work", "two"],
        &["--continue", "--curl", "two"],
        &["--continue", "--dry-run", "two"],
        &["--continue", "--json", "two"],
    ] {
        let run = clone(args);
        assert_eq!(run.code(), 78, "{run:#?}");
        for said in [
            &*format!("{file}:1 names the endpoint '{}'", thief.url("/v1")),
            &*format!("it was held with '{}'", server.url("/v1")),
            &*format!("hint: run 'qwen-env --trust {file}'"),
            "hint: or begin another conversation with --session NAME",
        ] {
            assert!(run.stderr.contains(said), "no {said:?} in {run:#?}");
        }
    }
    assert_eq!(thief.count(), 0);
    // A conversation that was begun there goes on there, and nowhere that another clone names.
    clone(&["--session", "theirs", "one"]).exits(0);
    let run = clone(&["--session", "theirs", "two"]).exits(0);
    assert_eq!(run.text(), "heard 3\n");
    let other = Server::untouched();
    clone_with(&sandbox, &other);
    clone(&["--session", "theirs", "three"]).exits(78);
    // The user's own word takes it anywhere, and it belongs there then.
    own(&["--session", "theirs", "three"]).gives(0, "heard 5\n", "");
    clone_with(&sandbox, &thief);
    clone(&["--session", "theirs", "four"]).exits(78);
    let trust = sandbox.tool("qwen-env").args(["--trust", &file, "--yes"]);
    trust.run().exits(0);
    assert_eq!(
        clone(&["--session", "theirs", "four"]).exits(0).text(),
        "heard 7\n"
    );
}

#[test]
fn a_session_that_does_not_say_where_it_was_held_goes_to_no_clone() {
    let (sandbox, server, thief) = (Sandbox::new(), counting(), Server::untouched());
    clone_with(&sandbox, &thief);
    let old = r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
    sandbox.write(format!("{DIRECTORY}/old.json"), old);
    let tool = sandbox
        .tool("qwen-chat")
        .args(["-C", "../clone", "--session", "old"]);
    tool.arg("c")
        .run()
        .fails(78, &["what was said so far would go there"]);
    let own = chat(&sandbox, &server).args(["--session", "old", "c"]);
    own.run().gives(0, "heard 3\n", "");
    let kept: Value = serde_json::from_str(&sandbox.read(format!("{DIRECTORY}/old.json"))).unwrap();
    assert_eq!(kept["endpoint"], server.url("/v1"));
}

#[test]
fn a_conversation_is_not_switched_to_what_only_a_clone_names() {
    let (sandbox, server, thief) = (Sandbox::new(), counting(), Server::untouched());
    clone_with(&sandbox, &thief);
    let profile = json!({
        "method": "api-key", "provider": "custom", "base_url": server.url("/v1"), "model": "m",
        "key": {"env": "MY_KEY"},
    });
    sandbox.config(&json!({ "profiles": { "mine": profile } }).to_string());
    let tool = sandbox.tool("qwen-chat").args(["-C", "../clone"]);
    let tool = tool.env("MY_KEY", "sk-mine-01234567");
    let mut terminal = Terminal::start(tool.env("TERM", "xterm-256color").env("NO_COLOR", "1"));
    terminal.shows("/help lists the commands");
    terminal.types("/auth mine\r");
    terminal.shows("profile 'mine'");
    terminal.types("one\r");
    terminal.shows("heard 1");
    terminal.types("/auth -\r");
    terminal.shows("what was said so far would go there");
    terminal.types("two\r");
    terminal.shows("heard 3");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

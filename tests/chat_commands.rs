//! The commands of a conversation: files, retries, the clipboard, sessions, completion.
use crate::support::chat::{KEY, chat};
use crate::support::conversation::{contents, converse, echo, echo_count};
use crate::support::{Reply, Sandbox, Server, Terminal};
use serde_json::{Value, json};

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
    kept("two-and-more", "second");
    let mut terminal = converse(chat(&sandbox, &server).args(["--session", "one"]));
    terminal.types("/retry\r");
    terminal.shows("heard first");
    assert_eq!(contents(&server), [json!("first")]);
    terminal.types("/sessions\r");
    terminal.shows("one           1 question  first\ntwo-and-more  1 question  second\n");
    terminal.types("/sessions two-and-more\r");
    terminal.shows("continuing 2 messages of");
    terminal.types("/retry\r");
    terminal.shows("heard second");
    assert_eq!(contents(&server), [json!("second")], "the other session's");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
    for (name, question) in [("one", "first"), ("two-and-more", "second")] {
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

#[test]
fn the_system_prompt_is_text_or_a_file_or_none() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/brief.txt", "Be brief.\n");
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/system\r");
    terminal.shows("there is no system prompt");
    terminal.types("/system @brief\t\r");
    terminal.waits_for_echo(false);
    terminal.types("one\r");
    terminal.shows("heard one");
    assert_eq!(contents(&server), [json!("Be brief.\n"), json!("one")]);
    let start = terminal.plain().len();
    terminal.types("/system\r");
    terminal.shows_after(start, "\nBe brief.");
    terminal.types("/system @nowhere\r");
    terminal.shows("cannot read 'nowhere'");
    terminal.types("/system -\r");
    terminal.types("two\r");
    terminal.shows("heard two");
    assert_eq!(contents(&server)[0], "one");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn help_names_every_command_that_tab_knows() {
    let (sandbox, server) = (Sandbox::new(), echo().optional());
    let mut terminal = converse(chat(&sandbox, &server));
    let start = terminal.plain().len();
    terminal.types("/help\r");
    terminal.shows_after(start, "continues on the next one.");
    let help = terminal.plain()[start..].to_owned();
    let start = terminal.plain().len();
    terminal.types("/\t\t");
    terminal.shows_after(start, "/usage");
    let offered = terminal.plain()[start..].to_owned();
    let list = &help[help.find("/auth [NAME]").unwrap()..];
    let first = list.lines().filter_map(|line| line.split_whitespace().next());
    let named: Vec<&str> = first.filter(|word| word.starts_with('/')).collect();
    let unknown: Vec<&&str> = named.iter().filter(|name| !offered.contains(**name)).collect();
    assert_eq!((named.len(), unknown), (14, vec![]), "{offered}");
    // Ctrl-U takes back what is typed.
    terminal.types("\x15/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_word_narrows_the_models_down_and_one_that_none_has_is_said() {
    let names: Vec<Value> = ["gpt-4o", "gpt-4o-mini", "qwen/qwen3-coder"]
        .map(|name| json!({ "id": name }))
        .into();
    let list = json!({ "object": "list", "data": names }).to_string();
    let (sandbox, server) = (
        Sandbox::new(),
        Server::answering(move |_, _| Reply::json(200, &list)),
    );
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.shows("/model changes the model, /help lists the commands");
    for (typed, shown) in [
        (
            "/model gpt",
            "2 of 3 models have 'gpt' in their names:\ngpt-4o\ngpt-4o-mini\n",
        ),
        ("/model GPT-4O", "gpt-4o at "),
        ("/model coder", "qwen/qwen3-coder at "),
        ("/model qwen/qwen3-coder:free", "qwen/qwen3-coder:free at "),
        (
            "/model gtp-4o",
            "the endpoint lists no model 'gtp-4o'; still qwen/qwen3-coder:free at ",
        ),
        ("", "hint: did you mean '/model gpt-4o'?"),
        ("", "'/model -f gtp-4o' takes the name all the same"),
        ("/model -f gtp-4o", "gtp-4o at "),
    ] {
        let before = terminal.plain().len();
        if !typed.is_empty() {
            terminal.waits_for_echo(false);
            terminal.types(&format!("{typed}\r"));
        }
        terminal.shows_after(if typed.is_empty() { 0 } else { before }, shown);
    }
    terminal.waits_for_echo(false);
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_model_is_taken_as_it_is_typed_where_the_server_has_no_list() {
    let (sandbox, server) = (
        Sandbox::new(),
        Server::answering(|_, _| Reply::json(404, r#"{"detail": "Not Found"}"#)),
    );
    let mut terminal = converse(chat(&sandbox, &server));
    terminal.types("/model m-9\r");
    terminal.shows("lists no models, so 'm-9' is taken as it is");
    terminal.shows("m-9 at 127.0.0.1");
    terminal.types("/quit\r");
    assert_eq!(terminal.ends(), 0);
}

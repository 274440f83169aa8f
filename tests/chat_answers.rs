//! Answers of every make, and how they reach a pipe, a file, a slow reader and no reader.
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::thread;

use crate::support::chat::{DONE, answer, chat, data, finish, stream, text, usage};
use crate::support::{Gate, Reply, Run, Sandbox, Server, wait_until};
use rustix::io::ioctl_fionread;
use serde_json::{Value, json};

fn ask(reply: Reply, args: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    let server = Server::script([reply]);
    chat(&sandbox, &server).args(args).arg("hi").run()
}

#[test]
fn the_text_reaches_a_pipe_byte_for_byte_and_ends_in_one_newline() {
    for (words, stdout) in [
        (vec!["Hel", "lo"], "Hello\n"),
        (vec!["line\n"], "line\n"),
        (vec!["line\n\n"], "line\n\n"),
        (vec![" **bold** \t"], " **bold** \t\n"),
        (
            vec!["esc \x1b[2J\x1b]0;x\x07 \u{9b}1m nul \0 bidi \u{202e}x"],
            "esc \x1b[2J\x1b]0;x\x07 \u{9b}1m nul \0 bidi \u{202e}x\n",
        ),
        (vec!["<think>why", " not</think>\n\nAnswer"], "Answer\n"),
    ] {
        ask(answer(&words), &[]).gives(0, stdout, "");
    }
}

#[test]
fn event_streams_are_read_by_the_standard() {
    let one = text("one");
    let bare = one.trim_end();
    let end = finish("stop") + DONE;
    for (bytes, stdout) in [
        (one.replace('\n', "\r\n") + &end, "one\n"),
        (one.replace('\n', "\r") + &end.replace('\n', "\r"), "one\n"),
        (format!("\u{feff}{one}{end}"), "one\n"),
        (one.replace("data: ", "data:") + &end, "one\n"),
        (
            format!(": comment\n\n:\nid: 7\nretry: 5\n\nevent: message\n{one}{end}"),
            "one\n",
        ),
        (format!("data:\n\ndata\n\nevent: ping\n\n{one}{end}"), "one\n"),
        (
            format!(
                "{one}{}{end}",
                one.replace(r#","choices""#, ",\ndata: \"choices\"")
            ),
            "oneone\n",
        ),
        (format!("{bare}\nother: x\n\n{end}"), "one\n"),
        (format!("{one}{}", finish("stop")), "one\n"),
    ] {
        ask(stream(&bytes), &[]).gives(0, stdout, "");
    }
    ask(stream(format!("{one}{DONE}")), &[]).gives(
        0,
        "one\n",
        "qwen-chat: the answer may be incomplete: the server named no finish reason\n",
    );
}

#[test]
fn chunks_of_every_make_are_taken() {
    let end = finish("stop") + DONE;
    for json in [
        r#"{"choices":[],"usage":null}"#,
        r#"{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}"#,
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":null},"finish_reason":null}],"usage":null}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"the other choice"}}]}"#,
        r#"{"choices":null,"id":null,"model":null}"#,
        r#"{"object":"ping"}"#,
    ] {
        ask(stream(data(json) + &text("one") + &data(json) + &end), &[]).gives(0, "one\n", "");
    }
    let both =
        data(r#"{"choices":[{"index":1,"delta":{"content":"B"}},{"index":0,"delta":{"content":"A"}}]}"#);
    ask(stream(both + &end), &[]).gives(0, "A\n", "");
    let parts = data(
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"pa"},{"type":"text","text":"rts"}]}}]}"#,
    );
    ask(stream(parts + &end), &[]).gives(0, "parts\n", "");
}

#[test]
fn a_server_that_ignores_stream_gives_a_valid_answer() {
    let json = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"whole"},"finish_reason":"stop"}]}"#;
    for kind in ["application/json", "text/event-stream", "text/plain"] {
        ask(Reply::new(200, kind, json), &[]).gives(0, "whole\n", "");
        ask(Reply::new(200, kind, json), &["--no-stream"]).gives(0, "whole\n", "");
    }
}

#[test]
fn utf8_split_at_every_chunk_edge_stays_whole() {
    let bytes = text("h\u{e9}llo \u{6f22}\u{5b57} \u{1f389}") + &finish("stop") + DONE;
    ask(Reply::stream(bytes.as_bytes().chunks(1)), &[]).gives(
        0,
        "h\u{e9}llo \u{6f22}\u{5b57} \u{1f389}\n",
        "",
    );
}

#[test]
fn bytes_that_are_not_utf8_become_replacement_characters() {
    let mut bytes = br#"data: {"choices":[{"delta":{"content":"a"#.to_vec();
    bytes.extend_from_slice(b"\xff\xe2\x82 b\"}}]}\n\n");
    bytes.extend_from_slice((finish("stop") + DONE).as_bytes());
    ask(stream(bytes), &[]).gives(0, "a\u{fffd}\u{fffd} b\n", "");
}

#[test]
fn one_event_of_eight_mebibytes_comes_whole() {
    let long = "x\u{e9} \\n".repeat(8 << 18);
    let bytes = text(&long) + &finish("stop") + DONE;
    assert!(bytes.len() > 8 << 20);
    let run = ask(Reply::stream(bytes.as_bytes().chunks(60_000)), &[]).exits(0);
    assert!(run.stdout == format!("{long}\n").as_bytes());
}

#[test]
fn a_reader_slower_than_the_stream_gets_all_of_it() {
    let sandbox = Sandbox::new();
    let words: Vec<String> = (0..20_000).map(|number| format!("word {number} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let server = Server::script([answer(&words)]);
    let child = chat(&sandbox, &server).arg("hi").start();
    let stdout = child.stdout.as_ref().unwrap();
    // The pipe holds 64 KiB, and nobody reads before it is full.
    wait_until("a full pipe", || ioctl_fionread(stdout).unwrap() > 60 << 10);
    Run::wait(child, "qwen-chat").gives(0, format!("{}\n", words.concat()), "");
}

#[test]
fn each_token_of_a_slow_server_is_shown_at_once() {
    let sandbox = Sandbox::new();
    let reply = Reply::stream_head().chunk(text("first")).hold();
    let server = Server::script([reply]);
    let mut child = chat(&sandbox, &server).arg("hi").start();
    let mut first = [0; 5];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_has_enough_ends_it_silently_by_sigpipe() {
    let sandbox = Sandbox::new();
    let words: Vec<String> = (0..5_000)
        .map(|number| format!("line {number} {}\n", "x".repeat(60)))
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let server = Server::script([answer(&words)]);
    let mut child = chat(&sandbox, &server).arg("hi").start();
    let mut line = [0; 7];
    child.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(13));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_full_disk_is_an_io_error() {
    let sandbox = Sandbox::new();
    for args in [&["hi"][..], &["--json", "hi"], &["--events", "hi"]] {
        let server = Server::script([answer(&["text"])]);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = chat(&sandbox, &server).args(args).into_command();
        let output = command.stdin(Stdio::null()).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "qwen-chat: cannot write to standard output: no space left on device\n"
        );
    }
}

#[test]
fn ctrl_c_within_the_answer_ends_it_by_the_signal() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::stream_head().chunk(text("part")).hold()]);
    let mut child = chat(&sandbox, &server).arg("hi").start();
    let mut part = [0; 4];
    child.stdout.as_mut().unwrap().read_exact(&mut part).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(2));
    assert!(output.stderr.is_empty() && output.stdout.is_empty(), "{output:?}");
}

#[test]
fn an_answer_that_is_whole_does_not_wait_for_the_connection_to_end() {
    let bytes = text("one") + &finish("stop") + &usage() + DONE;
    // The server never ends it, and the limit is a day away.
    let run = ask(
        Reply::stream_head().chunk(bytes).hold(),
        &["--idle-timeout", "86400"],
    );
    run.gives(0, "one\n", "");
}

#[test]
fn a_whole_answer_without_done_is_not_spoiled_by_what_the_connection_does_then() {
    let bytes = text("one") + &finish("stop");
    let shown = Gate::default();
    let reset = Reply::stream_head().chunk(&bytes).gate(&shown).reset();
    let (sandbox, server) = (Sandbox::new(), Server::script([reset]));
    let mut child = chat(&sandbox, &server).arg("hi").start();
    let mut one = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut one).unwrap();
    shown.open();
    Run::wait(child, "qwen-chat").gives(0, "\n", "");
    let run = ask(
        Reply::stream_head().chunk(&bytes).hold(),
        &["--idle-timeout", "0.3"],
    );
    run.gives(0, "one\n", "");
}

#[test]
fn many_at_once_are_all_answered() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request| {
        let said = request.json()["messages"][0]["content"]
            .as_str()
            .unwrap()
            .to_owned();
        answer(&["you said ", &said])
    });
    let threads: Vec<_> = (0..24)
        .map(|number| {
            let tool = chat(&sandbox, &server).arg(format!("number {number}"));
            thread::spawn(move || tool.run().gives(0, format!("you said number {number}\n"), ""))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// Says in a list of models what a server of that style says of its next page.
fn name_next_page(list: &mut Value, style: &str, (from, end): (usize, usize), count: usize) {
    let has_more = end < count;
    match style {
        "after" | "after_id" | "never" => {
            list["has_more"] = has_more.into();
            list["last_id"] = Value::Null;
        }
        "page" => {
            list["page"] = (from / 2 + 1).into();
            list["total_pages"] = 3.into();
        }
        "page_token" if has_more => list["next_page_token"] = end.to_string().into(),
        "pageToken" if has_more => list["nextPageToken"] = end.to_string().into(),
        "start" if has_more => {
            list["next"] = json!({ "href": format!("https://elsewhere.example/v1/models?start={end}") });
        }
        _ => {}
    }
}

/// A server whose list of models comes in pages of two, named by what it says of the next one.
fn paged(style: &'static str) -> Server {
    Server::answering(move |_, request| {
        let names: Vec<String> = (0..5).map(|number| format!("m{number}")).collect();
        let url = format!("http://host{}", request.target);
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .filter(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
                .next()
        };
        let number = |name: &str| value(name).and_then(|value| value.parse().ok());
        let after =
            |name: &str| value(name).and_then(|id| Some(names.iter().position(|known| *known == id)? + 1));
        let from = match style {
            "after" => after("after"),
            "after_id" => after("after_id"),
            "page" => number("page").map(|page: usize| (page - 1) * 2),
            "never" => None,
            parameter => number(parameter),
        };
        let from = from.unwrap_or(0).min(names.len());
        let end = (from + 2).min(names.len());
        let data: Vec<Value> = names[from..end].iter().map(|id| json!({ "id": id })).collect();
        let mut list = json!({ "object": "list", "data": data });
        name_next_page(&mut list, style, (from, end), names.len());
        Reply::json(200, &list.to_string())
    })
}

#[test]
fn a_list_of_models_in_pages_is_listed_whole() {
    for style in ["after", "after_id", "page", "page_token", "pageToken", "start"] {
        let (sandbox, server) = (Sandbox::new(), paged(style));
        let run = chat(&sandbox, &server).arg("--list-models").run();
        run.gives(0, "m0\nm1\nm2\nm3\nm4\n", "");
    }
}

#[test]
fn a_server_that_repeats_its_first_page_is_not_asked_for_ever() {
    let (sandbox, server) = (Sandbox::new(), paged("never"));
    let run = chat(&sandbox, &server).arg("--list-models").run();
    assert_eq!((run.code(), run.text().as_str()), (0, "m0\nm1\n"), "{run:#?}");
    assert!(run.stderr.contains("more models than it lists"), "{run:#?}");
    assert_eq!(server.count(), 3);
}

#[test]
fn a_page_that_cannot_be_read_is_no_end_of_the_list() {
    let first = r#"{"data":[{"id":"a"}],"next_page_token":"t"}"#;
    let refused = r#"{"error":{"message":"slow down","code":"insufficient_quota"}}"#;
    let replies = [Reply::json(200, first), Reply::json(429, refused)];
    let (sandbox, server) = (Sandbox::new(), Server::script(replies));
    let run = chat(&sandbox, &server).arg("--list-models").run();
    assert_eq!((run.code(), run.text().as_str()), (69, ""), "{run:#?}");
}

/// xAI's documentation: `end_turn` or `null` where a chunk is not the last.
#[test]
fn a_word_that_says_nothing_at_its_provider_is_neither_an_end_nor_an_interruption() {
    let ask = |reply: Reply, args: &[&str]| {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        let profile = json!({
            "provider": "xai", "base_url": server.url("/v1"), "model": "m-1", "key": {"env": "KEY"},
        });
        sandbox.config(&json!({"default_profile": "p", "profiles": {"p": profile}}).to_string());
        let tool = sandbox.tool("qwen-chat").env("KEY", "sk-canary-0123456789");
        tool.args(args).arg("hi").run()
    };
    let one = text("one").replace("}}]}", "},\"finish_reason\":\"end_turn\"}]}");
    let with = |end: &str| stream(format!("{one}{end}"));
    ask(with(&(finish("stop") + DONE)), &["--strict"]).gives(0, "one\n", "");
    let notice = "qwen-chat: the answer may be incomplete: the server named no finish reason\n";
    ask(with(DONE), &[]).gives(0, "one\n", notice);
    ask(with(DONE), &["--strict"]).exits(1);
    ask(with(""), &[]).exits(76);
    let whole = json!({"choices": [{
        "index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "end_turn",
    }]});
    let whole = || Reply::json(200, &whole.to_string());
    ask(whole(), &["--strict"]).gives(0, "one\n", "");
    ask(whole(), &["--no-stream"]).gives(0, "one\n", "");
}

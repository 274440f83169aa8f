//! What is printed: JSON, events, code alone, reasoning, cost, and JSON that fits a schema.
use crate::support::chat::{DONE, answer, chat, data, finish, stream, text, usage};
use crate::support::{Reply, Run, Sandbox, Server, Terminal};
use serde_json::{Value, json};

fn ask(reply: Reply, args: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    let server = Server::script([reply]);
    chat(&sandbox, &server).args(args).arg("hi").run()
}

fn object(run: &Run) -> Value {
    assert_eq!(
        run.stdout.iter().filter(|byte| **byte == b'\n').count(),
        1,
        "{run:#?}"
    );
    serde_json::from_slice(&run.stdout).unwrap()
}

fn lines(run: &Run) -> Vec<Value> {
    run.text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn thinking() -> Reply {
    stream(
        data(r#"{"choices":[{"delta":{"reasoning_content":"Let me\n"}}]}"#)
            + &data(r#"{"choices":[{"delta":{"reasoning":"think."}}]}"#)
            + &text("Answer")
            + &finish("stop")
            + &usage()
            + DONE,
    )
}

#[test]
fn json_holds_everything_that_is_known() {
    let run = ask(thinking(), &["--json"]).exits(0);
    let mut object = object(&run);
    assert!(object["elapsed_ms"].take().is_u64());
    assert_eq!(
        object,
        json!({
            "text": "Answer", "finish_reason": "stop", "model": "m-1", "id": "chatcmpl-1",
            "usage": { "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7 },
            "reasoning": "Let me\nthink.", "attempts": 1, "elapsed_ms": null,
        })
    );
    assert_eq!(run.stderr, "");
}

#[test]
fn json_tells_errors_too_with_what_came() {
    let run = ask(stream(text("part")), &["--json"]).exits(76);
    let json = object(&run);
    assert_eq!(
        (&json["text"], &json["finish_reason"]),
        (&json!("part"), &Value::Null)
    );
    assert_eq!(
        (&json["error"]["exit"], &json["error"]["name"]),
        (&json!(76), &json!("protocol"))
    );
    let message = json["error"]["message"].as_str().unwrap();
    assert_eq!(run.stderr, format!("qwen-chat: {message}\n"));
    let sandbox = Sandbox::new();
    for flag in ["--json", "--events"] {
        let run = sandbox.tool("qwen-chat").args([flag, "hi"]).run().exits(77);
        let json = object(&run);
        assert_eq!(json["error"]["name"], "no-auth", "{json}");
        assert!(json["error"]["hints"].as_array().unwrap().len() > 1);
    }
}

#[test]
fn json_counts_the_tries() {
    let sandbox = Sandbox::new();
    let server = Server::script([
        Reply::with_headers(503, &[("retry-after-ms", "1")], ""),
        answer(&["x"]),
    ]);
    let run = chat(&sandbox, &server)
        .args(["--json", "-q", "hi"])
        .run()
        .exits(0);
    assert_eq!(object(&run)["attempts"], 2);
}

#[test]
fn events_come_one_per_line_as_things_happen() {
    let sandbox = Sandbox::new();
    let server = Server::script([
        Reply::with_headers(503, &[("retry-after-ms", "1")], ""),
        thinking(),
    ]);
    let run = chat(&sandbox, &server)
        .args(["--events", "-q", "hi"])
        .run()
        .exits(0);
    let events = lines(&run);
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["retry", "reasoning", "reasoning", "text", "end"]);
    assert_eq!(
        (&events[0]["attempt"], &events[3]["text"]),
        (&json!(2), &json!("Answer"))
    );
    assert_eq!(
        (&events[4]["finish_reason"], &events[4]["usage"]["total_tokens"]),
        (&json!("stop"), &json!(7))
    );
    let run = ask(stream(text("part")), &["--events"]).exits(76);
    let events = lines(&run);
    assert_eq!(
        (&events[0]["text"], &events[1]["type"]),
        (&json!("part"), &json!("error"))
    );
    assert_eq!(events[1]["error"]["exit"], 76);
}

#[test]
fn json_is_safe_to_look_at() {
    let run = ask(answer(&["\u{9b}31m\u{202e}x"]), &["--json"]).exits(0);
    assert_eq!(object(&run)["text"], "\u{9b}31m\u{202e}x");
    assert!(run.stdout.is_ascii(), "{run:#?}");
}

#[test]
fn only_the_first_code_block_is_extracted() {
    let words = ["Sure:\n\n```sh\nls", " -l\nwc\n```\nand\n", "```\nmore\n```\n"];
    ask(answer(&words), &["--extract"]).gives(0, "ls -l\nwc\n", "");
    ask(answer(&["no code here"]), &["--extract"]).gives(
        1,
        "",
        "qwen-chat: the answer holds no fenced code block\n",
    );
    let run = ask(answer(&words), &["--extract", "--json"]).exits(0);
    assert_eq!(object(&run)["text"], "ls -l\nwc\n");
    ask(stream(text("```\nhalf a line")), &["--extract"]).exits(76);
}

#[test]
fn reasoning_is_dropped_or_goes_where_it_is_wanted() {
    ask(thinking(), &[]).gives(0, "Answer\n", "");
    ask(thinking(), &["--reasoning", "stderr"]).gives(0, "Answer\n", "Let me\nthink.\n");
    ask(thinking(), &["--reasoning", "stdout"]).gives(0, "Let me\nthink.\n\nAnswer\n", "");
    let tagged = || answer(&["<thi", "nk>\nhm \x1b[1m", "</think>\n\nAns", "wer"]);
    ask(tagged(), &[]).gives(0, "Answer\n", "");
    ask(tagged(), &["--reasoning", "stderr"]).gives(0, "Answer\n", "\nhm ^[[1m\n");
    ask(tagged(), &["--reasoning", "stdout"]).gives(0, "\nhm \x1b[1m\n\nAnswer\n", "");
}

#[test]
fn the_cost_is_said_on_stderr_when_asked() {
    let run = ask(thinking(), &["--usage"]).exits(0);
    assert!(
        run.stderr.starts_with("qwen-chat: 5 tokens in, 2 out; "),
        "{run:#?}"
    );
    let run = ask(stream(text("x") + DONE), &["--usage"]).exits(0);
    assert!(run.stderr.contains("the server did not count tokens"), "{run:#?}");
}

const SCHEMA: &str = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}"#;

fn with_schema(reply: Reply, args: &[&str]) -> (Run, Value) {
    let sandbox = Sandbox::new();
    sandbox.write("work/schema.json", SCHEMA);
    let server = Server::script([reply]);
    let run = chat(&sandbox, &server)
        .args(["--schema", "schema.json"])
        .args(args)
        .arg("hi")
        .run();
    (run, server.requests()[0].json())
}

#[test]
fn a_schema_is_asked_for_and_the_answer_checked() {
    let (run, body) = with_schema(answer(&["{\"n\"", ": 3}"]), &[]);
    run.gives(0, "{\"n\": 3}\n", "");
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(
        body["response_format"],
        json!({ "type": "json_schema", "json_schema": { "name": "answer", "strict": true, "schema": schema } })
    );
    with_schema(answer(&["```json\n{\"n\": 3}\n```\n"]), &[])
        .0
        .gives(0, "{\"n\": 3}\n", "");
    let (run, _) = with_schema(answer(&["{\"n\": 3}"]), &["--json"]);
    assert_eq!(object(&run)["text"], "{\"n\": 3}");
}

#[test]
fn an_answer_that_does_not_fit_its_schema_is_a_data_error() {
    for (words, fault) in [
        ("{\"n\": \"x\"}", "/n: "),
        ("{}", "the whole: \"n\" is a required property"),
        ("I would rather not", "the answer is not JSON"),
    ] {
        let (run, _) = with_schema(answer(&[words]), &[]);
        assert_eq!((run.code(), run.text()), (65, words.to_owned()), "{run:#?}");
        assert!(run.stderr.contains(fault), "{run:#?}");
    }
    let cut = stream(text("{\"n\":") + &finish("length"));
    let (run, _) = with_schema(cut, &[]);
    assert!(run.stderr.contains("raise --max-tokens"), "{run:#?}");
    assert_eq!(run.code(), 65);
}

#[test]
fn what_is_no_schema_is_refused_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    sandbox.write("work/broken.json", "{\n  \"type\": \n}");
    sandbox.write("work/wrong.json", r#"{"type":"no-such-type"}"#);
    chat(&sandbox, &server)
        .args(["--schema", "broken.json", "q"])
        .run()
        .fails(65, &["broken.json:3:1: not JSON"]);
    chat(&sandbox, &server)
        .args(["--schema", "wrong.json", "q"])
        .run()
        .fails(65, &["'wrong.json': not a JSON schema"]);
    for uri in ["https://example.org/a.json", "file:///etc/passwd"] {
        sandbox.write("work/far.json", format!(r#"{{"$ref":"{uri}"}}"#));
        let message = format!("'far.json': it refers to '{uri}', which is not fetched");
        let tool = chat(&sandbox, &server).args(["--schema", "far.json", "q"]);
        tool.run()
            .fails(65, &[&message, "hint: put what is referred to under '$defs'"]);
    }
}

#[test]
fn a_terminal_gets_markdown_drawn_and_escapes_made_visible() {
    let sandbox = Sandbox::new();
    let server = Server::script([answer(&[
        "# Ti",
        "tle\n\nsome **bo",
        "ld** \x1b[2J\x1b]52;c;x\x07 `co",
        "de`\n",
    ])]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "xterm-256color")
        .args(["--no-stdin", "hi"]);
    let terminal = Terminal::start(tool);
    terminal.shows("^G code\n");
    let shown = terminal.shown();
    assert_eq!(terminal.ends(), 0);
    assert!(shown.contains("Title\x1b[0m\r\n\r\n"), "{shown:?}");
    assert!(
        shown.contains("some \x1b[1mbold\x1b[0m ^[[2J^[]52;c;x^G "),
        "{shown:?}"
    );
}

#[test]
fn a_terminal_without_colours_gets_the_text_made_harmless() {
    let sandbox = Sandbox::new();
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let server = Server::script([answer(&["some **bo", "ld** \x1b[2J"])]);
        let tool = chat(&sandbox, &server)
            .env("TERM", "xterm")
            .env(name, value)
            .args(["--no-stdin", "hi"]);
        let terminal = Terminal::start(tool);
        terminal.shows("some **bold** ^[[2J\n");
        assert_eq!(terminal.ends(), 0);
    }
}

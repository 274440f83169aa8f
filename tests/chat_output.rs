//! What is printed: JSON, events, code alone, reasoning, cost, and JSON that fits a schema.
use crate::support::chat::{DONE, answer, chat, data, finish, stream, text, usage};
use crate::support::login::OWN_FILE;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Terminal};
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
fn json_hints_at_the_login_of_the_profile_that_was_chosen() {
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{"profiles":{"work":{"method":"api-key","base_url":"https://llm.example/v1","model":"m","key":{"store":"file"}}}}"#,
    );
    // A directory in the place of the file.
    sandbox.write(format!("{OWN_FILE}/x"), "");
    for flag in ["--json", "--events"] {
        let tool = sandbox.tool("qwen-chat").args(["--profile", "work", flag, "hi"]);
        let run = tool.run();
        let hint = &object(&run)["error"]["hints"][0];
        assert_eq!(
            hint, "remove it, then run 'qwen-login --profile work'",
            "{run:#?}"
        );
        assert!(run.stderr.contains(hint.as_str().unwrap()), "{run:#?}");
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
        ("{\"n\": \"x\"}", "/n: \"x\" is no integer\n"),
        ("{}", "the whole: \"n\" is missing\n"),
        ("{\"n\": 1, \"x\": 2}", "the whole: 'x' is not provided for\n"),
        (
            "I would rather not",
            "the answer is not JSON: line 1, column 1 cannot stand there: 'I would rather not'\n",
        ),
        ("{\"n\":", "the answer is not JSON: it breaks off\n"),
    ] {
        let (run, _) = with_schema(answer(&[words]), &[]);
        assert_eq!((run.code(), run.text()), (65, words.to_owned()), "{run:#?}");
        assert!(run.stderr.contains(fault), "{run:#?}");
    }
    let (run, _) = with_schema(answer(&[" "]), &[]);
    assert!(
        run.stderr.contains("the answer is not JSON: it is empty"),
        "{run:#?}"
    );
    let cut = stream(text("{\"n\":") + &finish("length"));
    let (run, _) = with_schema(cut, &[]);
    assert!(run.stderr.contains("raise --max-tokens"), "{run:#?}");
    assert_eq!(run.code(), 65);
    for (reason, hint) in [
        ("content_filter", "hint: the provider's filter cut the answer"),
        ("repetition", "hint: the model repeated itself"),
    ] {
        let cut = stream(text("{\"n\":") + &finish(reason));
        let (run, _) = with_schema(cut, &[]);
        assert!(
            run.stderr.contains(hint) && !run.stderr.contains("max-tokens"),
            "{run:#?}"
        );
    }
}

#[test]
fn the_formats_of_a_schema_are_checked() {
    let sandbox = Sandbox::new();
    sandbox.write("work/day.json", r#"{"type":"string","format":"date"}"#);
    for (words, code, fault) in [
        ("\"2026-11-29\"", 0, ""),
        ("\"tomorrow\"", 65, "\"tomorrow\" is not of the format 'date'"),
    ] {
        let server = Server::script([answer(&[words])]);
        let tool = chat(&sandbox, &server).args(["--schema", "day.json", "hi"]);
        let run = tool.run().exits(code);
        assert!(run.stderr.contains(fault), "{run:#?}");
    }
}

#[test]
fn what_came_instead_of_a_list_of_models_is_said() {
    for (reply, said) in [
        (
            Reply::new(200, "text/html", "<html><title>Sign in</title>"),
            "the answer is an HTML page, 'Sign in'",
        ),
        (
            Reply::new(200, "text/plain", "Ollama is running"),
            "Ollama is running",
        ),
        (Reply::json(200, ""), "the answer is empty"),
        (Reply::json(200, r#"{"models":3}"#), r#"{"models":3}"#),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        let run = chat(&sandbox, &server).arg("--list-models").run();
        let hint = "hint: check the base URL: many end in '/v1'";
        run.fails(76, &[&format!("not a list of models: {said}"), hint]);
    }
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
    terminal.shows("Title\n\nsome bold ^[[2J^[]52;c;x^G code\n");
    let shown = terminal.shown();
    assert_eq!(terminal.ends(), 0);
    for styled in ["\x1b[1;4;35mTi", "\x1b[1mbo", "\x1b[36mco"] {
        assert!(shown.contains(styled), "{styled:?} in {shown:?}");
    }
}

#[test]
fn no_color_takes_the_colours_and_not_the_layout() {
    let sandbox = Sandbox::new();
    let words = [
        "# Title\nsome **bo",
        "ld** `code` \x1b[2J\n\n",
        "| a |\n|---|\n| b |\n",
    ];
    let server = Server::script([answer(&words)]);
    let tool = chat(&sandbox, &server).env("TERM", "xterm").env("NO_COLOR", "1");
    let terminal = Terminal::start(tool.args(["--no-stdin", "hi"]));
    terminal.shows("Title\n\nsome bold code ^[[2J\n\na\n─\nb\n");
    let shown = terminal.shown();
    assert_eq!(terminal.ends(), 0);
    assert!(
        shown.contains("\x1b[1mbo") && !shown.contains("\x1b[3"),
        "{shown:?}"
    );
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_the_text_made_harmless() {
    let sandbox = Sandbox::new();
    let server = Server::script([answer(&["some **bo", "ld** \x1b[2J"])]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "dumb")
        .args(["--no-stdin", "hi"]);
    let terminal = Terminal::start(tool);
    terminal.shows("some **bold** ^[[2J\n");
    assert!(!terminal.shown().contains('\x1b'));
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_line_lives_while_nothing_has_come_and_goes_with_the_first_word() {
    let (sandbox, gates) = (Sandbox::new(), [Gate::default(), Gate::default()]);
    let thought = data(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
    let reply = Reply::stream_head()
        .gate(&gates[0])
        .chunk(thought.clone())
        .chunk(thought)
        .gate(&gates[1])
        .chunk(text("Answer") + &finish("stop") + DONE)
        .close();
    let server = Server::script([reply]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "xterm")
        .env("COLORFGBG", "15;0");
    let terminal = Terminal::start(tool.args(["--no-stdin", "hi"]));
    terminal.shows("waiting for m-1 … 1 s");
    gates[0].open();
    terminal.shows(" s, 2 tokens");
    gates[1].open();
    terminal.shows("Answer\n");
    let mut screen = vt100::Parser::new(24, 100, 0);
    screen.process(terminal.shown_at_end().as_bytes());
    assert_eq!(screen.screen().contents().trim_end(), "Answer");
}

/// The end of an answer of one word.
fn rest() -> Reply {
    let end = Reply::default().chunk(text("Answer") + &finish("stop") + DONE);
    end.send("0\r\n\r\n")
}

#[test]
fn no_line_lives_in_pipes_in_ci_and_where_nothing_can_be_erased() {
    let slow = || {
        let head = Reply::stream_head().pause(std::time::Duration::from_millis(1500));
        Server::script([head.then(rest())])
    };
    for (name, value) in [("CI", "true"), ("TERM", "dumb")] {
        let (sandbox, server) = (Sandbox::new(), slow());
        let tool = chat(&sandbox, &server).env("TERM", "xterm").env(name, value);
        let terminal = Terminal::start(tool.args(["--no-stdin", "hi"]));
        assert!(!terminal.shown_at_end().contains("waiting"));
    }
    let (sandbox, server) = (Sandbox::new(), slow());
    chat(&sandbox, &server).arg("hi").run().gives(0, "Answer\n", "");
}

#[test]
fn json_is_indented_for_a_person() {
    let (sandbox, server) = (Sandbox::new(), Server::script([answer(&["\u{202e}x"])]));
    let tool = chat(&sandbox, &server).env("TERM", "xterm");
    let terminal = Terminal::start(tool.args(["--json", "--no-stdin", "hi"]));
    let shown = terminal.shown_at_end();
    assert!(
        shown.starts_with("{\r\n  \"text\": \"\\u202ex\",\r\n"),
        "{shown:?}"
    );
}

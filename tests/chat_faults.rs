//! Every fault that a server can make, and what qwen-chat makes of it: exit code, stdout and stderr, each exactly.
use std::io::Read;
use std::time::Duration;

use crate::support::chat::{DONE, answer, chat, data, finish, name, stream, text};
use crate::support::{Gate, Reply, Run, Sandbox, Server};

/// Asks a server that follows this script.
fn ask(replies: impl IntoIterator<Item = Reply>, args: &[&str]) -> (Run, Server) {
    let sandbox = Sandbox::new();
    let server = Server::script(replies);
    let run = chat(&sandbox, &server).args(args).arg("hi").run();
    (run, server)
}

/// The lines of stderr, the program's name taken off; the server's name replaced by `'S'`.
fn said(run: &Run, server: &Server) -> Vec<String> {
    run.stderr
        .lines()
        .map(|line| {
            line.strip_prefix("qwen-chat: ")
                .expect(line)
                .replace(&name(server), "'S'")
        })
        .collect()
}

#[track_caller]
fn expect(
    replies: impl IntoIterator<Item = Reply>,
    args: &[&str],
    code: i32,
    stdout: &str,
    stderr: &[&str],
) -> Server {
    let (run, server) = ask(replies, args);
    assert_eq!((run.code(), run.text().as_str()), (code, stdout), "{run:#?}");
    assert_eq!(said(&run, &server), stderr);
    server
}

fn error(status: u16, json: &str) -> Reply {
    Reply::json(status, &format!(r#"{{"error":{json}}}"#))
}

#[test]
fn a_request_that_is_ours_to_fix_is_a_data_error_in_the_servers_words() {
    let reply = error(
        400,
        r#"{"message":"temperature must be at most 2.\u001b[31m","code":"invalid"}"#,
    );
    let server = expect(
        [reply],
        &[],
        65,
        "",
        &["'S': the request was refused (400): temperature must be at most 2.[31m"],
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_unknown_model_or_path_is_unavailable() {
    let hint = "hint: run 'qwen-chat --list-models'";
    let base_url = "hint: check the base URL: many end in '/v1'";
    let missing = error(
        404,
        r#"{"message":"The model 'm-1' does not exist","code":"model_not_found"}"#,
    );
    expect(
        [missing],
        &[],
        69,
        "",
        &[
            "'S': no such model or path (404): The model 'm-1' does not exist",
            hint,
        ],
    );
    let path = Reply::new(404, "text/html", "<h1>Not Found</h1>");
    expect(
        [path],
        &[],
        69,
        "",
        &[
            "'S': no such model or path (404): the answer is an HTML page, 'Not Found'",
            base_url,
        ],
    );
    let as_400 = error(400, r#"{"message":"Unknown model: m-1"}"#);
    expect(
        [as_400],
        &[],
        69,
        "",
        &["'S': no such model or path (400): Unknown model: m-1", hint],
    );
}

#[test]
fn a_refused_key_is_no_auth_and_is_not_tried_again() {
    for status in [401, 403] {
        let reply = error(
            status,
            r#"{"message":"Incorrect API key provided: sk-canary-0123456789.","code":"invalid_api_key"}"#,
        );
        let line = format!("'S': the credential was refused ({status}): Incorrect API key provided: ***");
        let hint = "hint: check the key in OPENAI_API_KEY, or run 'qwen-login'";
        let server = expect([reply], &[], 77, "", &[&line, hint]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn too_many_requests_are_waited_for_in_bounded_announced_tries() {
    let busy = || {
        Reply::with_headers(
            429,
            &[("content-type", "application/json"), ("retry-after", "0")],
            r#"{"error":{"message":"slow down"}}"#,
        )
    };
    let (run, server) = ask([busy()], &["--retries", "2"]);
    assert_eq!((run.code(), run.text().as_str()), (75, ""), "{run:#?}");
    let said = said(&run, &server);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("'S': too many requests (429): slow down; try 2 of 3 in 0."),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("'S': too many requests (429): slow down; try 3 of 3 in 0."),
        "{said:?}"
    );
    assert_eq!(said[2], "'S': too many requests (429): slow down");
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn a_retry_after_beyond_a_minute_is_an_answer_not_a_pause() {
    let reply = Reply::with_headers(429, &[("retry-after", "3600")], "");
    let server = expect(
        [reply],
        &[],
        75,
        "",
        &[
            "'S': too many requests (429)",
            "hint: the server asks to wait 1 h",
        ],
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_fault_that_passes_is_tried_again_and_leaves_a_whole_answer() {
    for reply in [
        Reply::with_headers(429, &[("retry-after", "0")], ""),
        Reply::with_headers(429, &[("retry-after-ms", "1")], ""),
        Reply::new(500, "text/html", "<html>oops"),
        Reply::new(408, "text/plain", "slow"),
        Reply::new(409, "text/plain", "again"),
        Reply::new(503, "text/plain", "starting"),
        Reply::new(424, "text/plain", "the model failed"),
        Reply::new(200, "text/plain", "Internal Server Error"),
        Reply::with_headers(
            429,
            &[
                ("x-ratelimit-remaining-requests", "5"),
                ("x-ratelimit-reset-requests", "24h0m0s"),
            ],
            "",
        ),
        Reply::default().reset(),
        Reply::default().close(),
        Reply::stream_head().reset(),
    ] {
        let (run, server) = ask([reply, answer(&["fine"])], &[]);
        assert_eq!((run.code(), run.text().as_str()), (0, "fine\n"), "{run:#?}");
        let said = said(&run, &server);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("; try 2 of 4 in "), "{said:?}");
        assert_eq!(server.requests().len(), 2);
    }
}

#[test]
fn retries_are_silent_with_quiet() {
    let (run, _server) = ask(
        [
            Reply::with_headers(503, &[("retry-after", "0")], ""),
            answer(&["fine"]),
        ],
        &["-q"],
    );
    run.gives(0, "fine\n", "");
}

#[test]
fn a_used_up_quota_is_not_tried_again() {
    let hint = "hint: run 'qwen-auth status' for endpoint and account";
    for reply in [
        error(
            429,
            r#"{"message":"You exceeded your current quota","code":"insufficient_quota"}"#,
        ),
        error(
            429,
            r#"{"message":"You exceeded your current quota","type":"insufficient_quota","code":null}"#,
        ),
    ] {
        let line = "'S': the quota is used up (429): You exceeded your current quota";
        let server = expect([reply], &[], 69, "", &[line, hint]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_failing_servers_html_is_never_shown() {
    let reply = Reply::new(502, "text/html", "<html><body><h1>Bad Gateway</h1></body></html>");
    expect(
        [reply],
        &["--retries", "0"],
        75,
        "",
        &["'S': the server failed (502): the answer is an HTML page, 'Bad Gateway'"],
    );
}

#[test]
fn a_page_with_status_200_is_no_answer() {
    for (kind, body, told) in [
        (
            "text/html",
            "<html>Please log in</html>",
            "the content type is 'text/html'",
        ),
        (
            "text/html; charset=utf-8",
            "",
            "the content type is 'text/html; charset=utf-8'",
        ),
        ("text/plain", "Please log in", "Please log in"),
    ] {
        let reply = Reply::new(200, kind, body);
        let line = format!("'S': not an API answer: {told}");
        let (run, server) = ask([reply], &[]);
        assert_eq!((run.code(), run.text().as_str()), (76, ""), "{run:#?}");
        assert_eq!(said(&run, &server)[0], line);
    }
}

#[test]
fn a_connection_that_breaks_within_the_answer_leaves_the_part_and_is_not_tried_again() {
    let shown = Gate::default();
    let reset = Reply::stream_head()
        .chunk(text("par"))
        .chunk(text("tial"))
        .gate(&shown)
        .reset();
    let cut = Reply::stream_head()
        .chunk(text("partial"))
        .send("40\r\nhalf a chunk")
        .gate(&shown)
        .close();
    for reply in [reset, cut] {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        let mut child = chat(&sandbox, &server).arg("hi").start();
        let mut part = [0; 7];
        child.stdout.as_mut().unwrap().read_exact(&mut part).unwrap();
        shown.open();
        let run = Run::wait(child, "qwen-chat");
        assert_eq!(
            (run.code(), &part, run.text().as_str()),
            (76, b"partial", ""),
            "{run:#?}"
        );
        let said = said(&run, &server);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("'S': the connection broke within the answer: "),
            "{said:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn an_answer_that_ends_too_early_is_incomplete_whatever_its_end_looks_like() {
    let line = "'S': the answer is incomplete: it ended without a finish reason";
    for bytes in [
        text("partial"),
        text("partial") + r#"data: {"choices":[{"delta":{"content":" mo"#,
        text("partial") + "data: {\"choices\":[{\"delta\":{\"content\":\" more\"}}]",
        text("partial") + &data(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#),
    ] {
        expect([stream(bytes)], &[], 76, "partial", &[line]);
    }
    let line = "'S': the answer is incomplete: it ended before it began";
    expect([stream("")], &["--retries", "0"], 76, "", &[line]);
    let withdrawn = text("one") + &finish("stop") + &text(" two");
    let line =
        "'S': the answer is incomplete: it went on after its finish reason, and ended without another one";
    expect([stream(withdrawn)], &[], 76, "one two", &[line]);
}

#[test]
fn a_malformed_event_leaves_the_part() {
    for (bytes, reason) in [
        (
            text("part") + &data(r#"{"choices":["#) + &text("lost"),
            "it breaks off within its JSON",
        ),
        (text("part") + &data("oops") + &finish("stop"), "no JSON: 'oops'"),
        (
            text("part") + &data("[1]") + &finish("stop"),
            "a list where an object should be",
        ),
        (text("part") + &data("3") + &finish("stop"), "no JSON: '3'"),
    ] {
        expect(
            [stream(bytes)],
            &[],
            76,
            "part",
            &[&format!("'S': the answer is malformed: {reason}")],
        );
    }
}

#[test]
fn an_error_within_the_stream_is_told_and_ends_by_its_code() {
    let quota = "hint: run 'qwen-auth status' for endpoint and account";
    for (json, code, words) in [
        (
            r#"{"error":{"message":"Out of credit","code":"insufficient_quota"}}"#,
            69,
            "Out of credit",
        ),
        (
            r#"{"error":{"message":"Overloaded","type":"overloaded_error"}}"#,
            75,
            "Overloaded",
        ),
        (r#"{"error":{"message":"Too fast","code":429}}"#, 75, "Too fast"),
        (
            r#"{"error":{"message":"Bad thing"},"choices":[]}"#,
            76,
            "Bad thing",
        ),
        (r#"{"error":"just words"}"#, 76, "just words"),
    ] {
        let line = format!("'S': error within the answer: {words}");
        let lines = [line.as_str(), quota];
        let server = expect(
            [stream(text("part") + &data(json) + &text("lost"))],
            &[],
            code,
            "part",
            if code == 69 { &lines } else { &lines[..1] },
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_limit_that_is_reached_is_named_with_its_flag() {
    let drip = Reply::default()
        .send("HTTP/1.1 200 OK\r\n")
        .pause(Duration::from_millis(150))
        .send("x-a: b\r\n")
        .pause(Duration::from_millis(150))
        .send("x-c: d\r\n")
        .hold();
    // What says nothing, for ten seconds, and keeps every other limit from being reached.
    let pings = |begun: Reply| {
        (0..100).fold(begun, |reply, _| {
            reply.pause(Duration::from_millis(100)).chunk(": ping\n\n")
        })
    };
    let role = data(r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#);
    for (reply, flags, stdout, line, flag) in [
        (
            Reply::default().hold(),
            ["--first-byte-timeout", "0.3"],
            "",
            "'S': no answer within 0.3 s",
            "--first-byte-timeout",
        ),
        (
            pings(Reply::stream_head()).hold(),
            ["--first-byte-timeout", "0.5"],
            "",
            "'S': no answer within 0.5 s",
            "--first-byte-timeout",
        ),
        (
            pings(Reply::stream_head().chunk(role)).hold(),
            ["--progress-timeout", "0.5"],
            "",
            "'S': the answer said nothing for 0.5 s",
            "--progress-timeout",
        ),
        (
            pings(Reply::stream_head().chunk(text("part"))).hold(),
            ["--progress-timeout", "0.5"],
            "part",
            "'S': the answer said nothing for 0.5 s",
            "--progress-timeout",
        ),
        (
            drip,
            ["--first-byte-timeout", "0.3"],
            "",
            "'S': no answer within 0.3 s",
            "--first-byte-timeout",
        ),
        (
            Reply::stream_head().hold(),
            ["--first-byte-timeout", "0.3"],
            "",
            "'S': no answer within 0.3 s",
            "--first-byte-timeout",
        ),
        (
            Reply::stream_head().chunk(text("part")).hold(),
            ["--idle-timeout", "0.3"],
            "part",
            "'S': the answer stalled for 0.3 s",
            "--idle-timeout",
        ),
        (
            Reply::stream_head().hold(),
            ["--idle-timeout", "0.3"],
            "",
            "'S': the answer stalled for 0.3 s",
            "--idle-timeout",
        ),
        (
            Reply::stream_head().chunk(text("part")).hold(),
            ["--max-time", "2"],
            "part",
            "'S': not done within 2 s",
            "--max-time",
        ),
    ] {
        let hint = format!("hint: raise it with {flag} SECONDS");
        let server = expect([reply], &flags, 75, stdout, &[line, &hint]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn the_limit_for_everything_counts_retries_too() {
    let (run, server) = ask(
        [Reply::with_headers(503, &[("retry-after", "30")], "")],
        &["--max-time", "2"],
    );
    assert_eq!(run.code(), 75);
    assert!(said(&run, &server).contains(&"'S': not done within 2 s".to_owned()));
    assert_eq!(server.count(), 1, "the next try would have come later");
}

#[test]
fn a_server_that_is_not_there_is_tried_and_then_named() {
    let sandbox = Sandbox::new();
    let run = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", crate::support::chat::KEY)
        .env("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        .args(["--retries", "0", "hi"])
        .run();
    run.gives(
        75,
        "",
        "qwen-chat: '127.0.0.1:1': cannot connect: connection refused\n",
    );
}

#[test]
fn a_redirect_is_refused_and_nothing_is_sent_there() {
    let sandbox = Sandbox::new();
    let elsewhere = Server::untouched();
    for status in [301, 302, 303, 307, 308] {
        let target = elsewhere.url("/v1/chat/completions");
        let server = Server::script([Reply::with_headers(status, &[("location", &target)], "")]);
        chat(&sandbox, &server).arg("hi").run().fails(
            76,
            &[
                &name(&server),
                &format!("refused to follow a redirect ({status}) to '{target}'"),
            ],
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_tool_call_that_nobody_offered_is_a_protocol_error_unless_json_can_show_it() {
    let call = data(
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"ls","arguments":"{}"}}]}}]}"#,
    ) + &finish("tool_calls")
        + DONE;
    expect(
        [stream(&call)],
        &[],
        76,
        "",
        &[
            "the model calls a tool, 'ls', though none was offered",
            "hint: --json shows the call",
        ],
    );
    let (run, _server) = ask([stream(&call)], &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(run.code(), 0);
    assert_eq!(json["tool_calls"][0]["name"], "ls");
    assert_eq!(json["finish_reason"], "tool_calls");
}

#[test]
fn a_cut_answer_gets_a_notice_and_with_strict_exit_1() {
    for (reason, notice) in [
        (
            "length",
            "the answer is cut: it reached the limit of tokens (finish_reason 'length')",
        ),
        (
            "content_filter",
            "the answer is cut: by the provider's filter (finish_reason 'content_filter')",
        ),
    ] {
        let bytes = text("part") + &finish(reason) + DONE;
        expect([stream(&bytes)], &[], 0, "part\n", &[notice]);
        expect([stream(&bytes)], &["--strict"], 1, "part\n", &[notice]);
    }
    expect([answer(&["all"])], &["--strict"], 0, "all\n", &[]);
}

#[test]
fn an_empty_answer_prints_nothing_but_a_notice() {
    expect(
        [stream(finish("stop") + DONE)],
        &[],
        0,
        "",
        &["the answer is empty"],
    );
}

/// The events that come before any text.
const ROLE: &str =
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";

#[test]
fn what_fails_before_any_text_is_tried_again_whatever_came() {
    let busy = r#"{"error":{"code":502,"message":"Provider returned error"}}"#;
    let thought = data(r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#);
    for reply in [
        stream(format!(": PROCESSING\n\n{}", data(busy))),
        stream(format!("{ROLE}{}", data(busy))),
        stream(format!("{thought}{}", data(busy))),
        Reply::json(200, busy),
        Reply::stream_head().chunk(": PROCESSING\n\n").reset(),
        Reply::stream_head().chunk(ROLE).reset(),
        Reply::stream_head().chunk(ROLE).send("40\r\nhalf").close(),
        // An end in good order, before any text.
        stream(""),
        stream(ROLE),
        stream(&thought),
        stream(DONE),
        stream(format!("{ROLE}{DONE}")),
        stream(data(r#"{"choices":[],"usage":{"prompt_tokens":1}}"#) + DONE),
        stream(data(r#"{"code":0,"status":"queued"}"#)),
        // An end by the server's own word.
        stream(finish("timeout")),
        stream(format!("{ROLE}{}{DONE}", finish("engine_overloaded"))),
        stream(format!("{thought}{}", finish("error"))),
        stream(finish("in_progress") + DONE),
        Reply::json(
            200,
            r#"{"choices":[{"index":0,"message":{"content":""},"finish_reason":"abort"}]}"#,
        ),
    ] {
        let server = expect_retry(&reply, &[]);
        assert_eq!(server.requests().len(), 2, "{reply:?}");
    }
    // Text, of whatever kind, is not taken back.
    for part in [text("a"), format!("{ROLE}{}", text("a"))] {
        let reply = stream(format!("{part}{}", data(busy)));
        let (run, server) = ask([reply, answer(&["fine"])], &[]);
        assert_eq!((run.code(), server.requests().len()), (75, 1), "{run:#?}");
    }
}

#[test]
fn what_no_repetition_cures_is_not_tried_again() {
    let image = r#"{"choices":[{"index":0,"delta":{"content":[{"type":"image_url","image_url":{}}]}}]}"#;
    for reply in [
        stream(data("{\"choices\":[")),
        stream(data("what is this")),
        stream(data(image) + &finish("stop")),
        Reply::new(200, "text/html", "<html>"),
        Reply::json(200, r#"{"id":"x"}"#),
        stream(text("a") + &finish("timeout")),
        stream(text("a")),
    ] {
        let (run, server) = ask([reply, answer(&["fine"])], &[]);
        assert!(matches!(run.code(), 75 | 76), "{run:#?}");
        assert_eq!(server.requests().len(), 1, "{run:#?}");
    }
}

#[track_caller]
fn expect_retry(reply: &Reply, args: &[&str]) -> Server {
    let (run, server) = ask([reply.clone(), answer(&["fine"])], args);
    assert_eq!((run.code(), run.text().as_str()), (0, "fine\n"), "{run:#?}");
    let said = said(&run, &server);
    assert!(
        said.iter().any(|line| line.contains("; try 2 of 4 in ")),
        "{said:?}"
    );
    server
}

#[test]
fn reasoning_on_stdout_is_not_taken_back_and_with_events_a_retry_says_that_the_answer_begins_anew() {
    let thought = data(r#"{"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#);
    let busy = data(r#"{"error":{"code":502,"message":"busy"}}"#);
    let replies = || [stream(format!("{thought}{busy}")), answer(&["fine"])];
    let shown = Gate::default();
    let gated = Reply::stream_head()
        .chunk(&thought)
        .gate(&shown)
        .chunk(&busy)
        .send("0\r\n\r\n");
    let (sandbox, server) = (Sandbox::new(), Server::script([gated, answer(&["fine"])]));
    let tool = chat(&sandbox, &server).args(["--reasoning", "stdout", "hi"]);
    let mut child = tool.start();
    let mut part = [0; 2];
    child.stdout.as_mut().unwrap().read_exact(&mut part).unwrap();
    shown.open();
    let run = Run::wait(child, "qwen-chat");
    assert_eq!((run.code(), &part, server.count()), (75, b"hm", 1), "{run:#?}");
    let (run, server) = ask(replies(), &["--events"]);
    assert_eq!((run.code(), server.count()), (0, 2), "{run:#?}");
    let kinds: Vec<String> = run
        .text()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["reasoning", "retry", "text", "end"]);
    // With --json only the answer's own reasoning is in the result.
    let (run, _server) = ask(replies(), &["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&json["text"], &json["attempts"]), (&"fine".into(), &2.into()));
    assert!(json["reasoning"].is_null(), "{json}");
}

#[test]
fn what_was_added_and_then_refused_is_taken_back_once() {
    for refusal in [
        error(
            400,
            r#"{"message":"Unrecognized request argument supplied: stream_options"}"#,
        ),
        Reply::json(
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}}"#,
        ),
    ] {
        let (run, server) = ask([refusal.clone(), answer(&["fine"])], &[]);
        assert_eq!(
            (run.code(), run.text().as_str(), run.stderr.as_str()),
            (0, "fine\n", ""),
            "{run:#?}"
        );
        let bodies: Vec<_> = server.requests().iter().map(|request| request.json()).collect();
        assert_eq!(bodies[0]["stream_options"]["include_usage"], true);
        assert!(bodies[1]["stream_options"].is_null() && bodies[1]["stream"] == true);
        // Refused all the same, or asked for by the user: nothing more is tried.
        let (run, server) = ask([refusal.clone()], &[]);
        assert_eq!((run.code(), server.count()), (65, 2), "{run:#?}");
        let flags = ["--param", r#"stream_options={"include_usage":true}"#];
        let (run, server) = ask([refusal], &flags);
        assert_eq!((run.code(), server.count()), (65, 1), "{run:#?}");
    }
}

#[test]
fn a_model_that_only_streams_is_asked_for_a_stream_and_one_that_never_does_for_the_whole() {
    let refusal = error(
        400,
        r#"{"message":"This model only support stream mode, please enable the stream parameter to access the model. ","code":"invalid_parameter_error"}"#,
    );
    let (run, server) = ask([refusal, answer(&["fi", "ne"])], &["--no-stream"]);
    assert_eq!((run.code(), run.text().as_str()), (0, "fine\n"), "{run:#?}");
    let streams = |server: &Server| -> Vec<_> {
        let requests = server.requests();
        requests
            .iter()
            .map(|request| request.json()["stream"].clone())
            .collect()
    };
    assert_eq!(streams(&server), [false, true]);
    let refusal = error(
        400,
        r#"{"message":"Unsupported value: 'stream' does not support true with this model.","param":"stream","code":"unsupported_value"}"#,
    );
    let (run, server) = ask([refusal, crate::support::batch::whole("fine")], &[]);
    assert_eq!((run.code(), run.text().as_str()), (0, "fine\n"), "{run:#?}");
    assert_eq!(streams(&server), [true, false]);
}

#[test]
fn a_base_url_without_its_version_is_said_wherever_it_fails() {
    let sandbox = Sandbox::new();
    for (reply, args, code) in [
        (Reply::json(404, r#"{"detail":"Not Found"}"#), &["hi"][..], 69),
        (
            Reply::json(404, r#"{"detail":"Not Found"}"#),
            &["--list-models"],
            69,
        ),
        (Reply::new(200, "text/html", "<html>"), &["hi"], 76),
    ] {
        let server = Server::script([reply]);
        let run = chat(&sandbox, &server)
            .env("OPENAI_BASE_URL", server.url("/api"))
            .args(args)
            .run();
        let run = run.fails(code, &["many", "end in '/v1'"]);
        assert!(!run.stderr.contains("list-models'"), "{run:#?}");
    }
}

#[test]
fn a_key_command_is_run_again_where_its_key_is_refused_and_only_once() {
    let server = Server::answering(|_, request| match request.header("authorization") {
        Some("Bearer key-2") => answer(&["fine"]),
        _ => Reply::json(401, "{}"),
    });
    let counting = "cd; n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n >n; echo key-$n";
    for (script, code, asked) in [(counting, 0, 2), ("echo key-1", 77, 1), ("cd; date +%N", 77, 2)] {
        let sandbox = Sandbox::new();
        let profile = serde_json::json!({
            "base_url": server.url("/v1"), "model": "m", "key": {"command": ["/bin/sh", "-c", script]},
        });
        sandbox.config(&serde_json::json!({"profiles": {"p": profile}}).to_string());
        let before = server.count();
        let run = sandbox.tool("qwen-chat").args(["--no-stdin", "hi"]).run();
        assert_eq!(
            (run.code(), server.count() - before),
            (code, asked),
            "{script}: {run:#?}"
        );
    }
}

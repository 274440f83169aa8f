//! What a line may be, what is asked, and what the result looks like.
use crate::support::batch::{batch, echo, line, results, text, whole, whole_body};
use crate::support::chat::KEY;
use crate::support::{Reply, Run, Sandbox, Server};
use serde_json::{Value, json};

/// Runs lines against a server that says back what it is asked.
fn run(lines: impl Into<Vec<u8>>, args: &[&str]) -> (Run, Vec<Value>) {
    let (sandbox, server) = (Sandbox::new(), echo());
    let run = batch(&sandbox, &server).arg("run").args(args).stdin(lines).run();
    let asked = server
        .requests()
        .iter()
        .map(crate::support::Request::json)
        .collect();
    (run, asked)
}

#[test]
fn a_result_is_a_line_of_the_batch_output_format() {
    let sandbox = Sandbox::new();
    let answer = whole_body("hello").to_string();
    let reply = Reply::with_headers(
        200,
        &[("content-type", "application/json"), ("x-request-id", "req-7")],
        &answer,
    );
    let server = Server::script([reply]);
    let run = batch(&sandbox, &server)
        .arg("run")
        .stdin(line("a", "hi"))
        .run()
        .exits(0);
    let (id, rest) = run
        .text()
        .split_once("\",")
        .map(|(id, rest)| (id.to_owned(), rest.to_owned()))
        .unwrap();
    assert!(id.starts_with("{\"id\":\"batch_req_"), "{id}");
    assert_eq!(
        rest,
        format!(
            "\"custom_id\":\"a\",\"response\":{{\"status_code\":200,\"request_id\":\"req-7\",\"body\":{answer}}},\"error\":null}}\n"
        )
    );
    assert_eq!(run.stderr, "");
    let request = &server.requests()[0];
    assert_eq!(
        (request.method.as_str(), request.target.as_str()),
        ("POST", "/v1/chat/completions")
    );
    assert_eq!(
        request.header("authorization"),
        Some(format!("Bearer {KEY}").as_str())
    );
    assert_eq!(
        request.text(),
        r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#
    );
}

#[test]
fn an_answer_on_several_lines_becomes_one_line() {
    let sandbox = Sandbox::new();
    let pretty = serde_json::to_string_pretty(&whole_body("two\nlines")).unwrap();
    let server = Server::script([Reply::json(200, &pretty)]);
    let run = batch(&sandbox, &server)
        .arg("run")
        .stdin(line("a", "hi"))
        .run()
        .exits(0);
    assert_eq!(run.text().lines().count(), 1);
    assert_eq!(text(&results(&run.text())["a"]), "two\nlines");
}

#[test]
fn every_form_of_a_line_is_understood() {
    let user = |text: &str| json!({"role": "user", "content": text});
    let system = |text: &str| json!({"role": "system", "content": text});
    for (line, args, name, messages) in [
        (
            r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"x"}]}}"#,
            &[][..],
            "a",
            json!([user("x")]),
        ),
        (
            r#"{"custom_id":5,"method":"post","body":{"messages":[{"role":"user","content":"x"}]}}"#,
            &[],
            "5",
            json!([user("x")]),
        ),
        (
            r#"{"url":"/chat/completions","body":{"messages":[{"role":"user","content":"x"}]}}"#,
            &[],
            "",
            json!([user("x")]),
        ),
        (r#"{"prompt":"x"}"#, &[], "", json!([user("x")])),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"id":"i"}"#,
            &["-s", "be brief"],
            "i",
            json!([system("be brief"), user("x")]),
        ),
        (
            r#"{"messages":[{"role":"system","content":"own"},{"role":"user","content":"x"}]}"#,
            &["-s", "be brief"],
            "",
            json!([system("own"), user("x")]),
        ),
        (r#"{"prompt":"x","id":"i"}"#, &[], "i", json!([user("x")])),
        (
            r#"{"prompt":"x","id":"i","custom_id":"c"}"#,
            &[],
            "c",
            json!([user("x")]),
        ),
        (
            r#"{"prompt":"x","label":3}"#,
            &["-s", "be brief"],
            "",
            json!([system("be brief"), user("x")]),
        ),
        (
            r#"{"prompt":"x","system":"own"}"#,
            &["-s", "be brief"],
            "",
            json!([system("own"), user("x")]),
        ),
        (
            "plain text",
            &["--template", "Say {}, {}."],
            "",
            json!([user("Say plain text, plain text.")]),
        ),
        (
            "plain text",
            &["--template", "Translate:\n"],
            "",
            json!([user("Translate:\n\nplain text")]),
        ),
        ("plain text", &["--template", ""], "", json!([user("plain text")])),
        (
            r#"{"prompt":1}"#,
            &["--template", "{}"],
            "",
            json!([user(r#"{"prompt":1}"#)]),
        ),
        ("\u{feff}{\"prompt\":\"x\"}", &[], "", json!([user("x")])),
        ("\n  \r\n{\"prompt\":\"x\"}\r\n\n", &[], "", json!([user("x")])),
    ] {
        let (run, asked) = run(line, args);
        let run = run.exits(0);
        let results = results(&run.text());
        let names: Vec<&String> = results.keys().collect();
        let is_named_by_text = names[0].starts_with("text-") && names[0].len() == 21;
        assert!(
            names.len() == 1 && (names[0] == name || name.is_empty() && is_named_by_text),
            "{line}: {names:?}"
        );
        assert_eq!(asked.len(), 1, "{line}");
        assert_eq!(asked[0]["messages"], messages, "{line}");
    }
}

#[test]
fn an_invalid_line_is_one_result_and_not_the_end() {
    for (line, name, reason) in [
        ("nope", "", "line 2: not valid JSON: expected ident at column 2"),
        ("[1]", "", "line 2: not a JSON object"),
        ("{}", "", "line 2: no 'body', no 'messages' and no 'prompt'"),
        (r#"{"prompt":"  "}"#, "", "line 2: 'prompt' is empty"),
        (
            r#"{"prompt":["x"],"id":"p"}"#,
            "p",
            "line 2: 'prompt' is not a string",
        ),
        (
            r#"{"prompt":"x","system":1}"#,
            "",
            "line 2: 'system' is not a string",
        ),
        (
            r#"{"custom_id":["a"],"prompt":"x"}"#,
            "",
            "line 2: 'custom_id' is not a string",
        ),
        (
            r#"{"custom_id":"","prompt":"x"}"#,
            "",
            "line 2: 'custom_id' is empty",
        ),
        (
            r#"{"custom_id":"c","body":3}"#,
            "c",
            "line 2: 'body' is not an object",
        ),
        (
            r#"{"custom_id":"c","body":{}}"#,
            "c",
            "line 2: the body has no 'messages'",
        ),
        (
            r#"{"custom_id":"c","body":{"messages":[]}}"#,
            "c",
            "line 2: 'messages' is empty",
        ),
        (
            r#"{"custom_id":"c","body":{"messages":"x"}}"#,
            "c",
            "line 2: 'messages' is not a list",
        ),
        (
            r#"{"custom_id":"c","method":"GET","body":{"messages":[1]}}"#,
            "c",
            "line 2: 'method' is not POST",
        ),
        (
            r#"{"custom_id":"c","url":7,"body":{}}"#,
            "c",
            "line 2: 'url' is not a string",
        ),
        (
            r#"{"custom_id":"first","prompt":"x"}"#,
            "",
            "line 2: duplicate custom_id 'first'",
        ),
    ] {
        let lines =
            format!("{{\"id\":\"first\",\"prompt\":\"1\"}}\n{line}\n{{\"id\":\"last\",\"prompt\":\"3\"}}\n");
        let (run, asked) = run(lines, &[]);
        let run = run.exits(1);
        let said = format!("qwen-batch: 3 done, 1 of them failed (1 data)\nqwen-batch: {reason}\n");
        assert_eq!(run.stderr, said, "{line}");
        let results = results(&run.text());
        assert_eq!((results.len(), asked.len()), (3, 2), "{line}");
        assert_eq!((text(&results["first"]), text(&results["last"])), ("1", "3"));
        let invalid = results
            .iter()
            .find(|(_, result)| result["error"]["line"] == 2)
            .unwrap();
        let is_named_by_text = invalid.0.starts_with("text-");
        assert!(
            invalid.0 == name || name.is_empty() && is_named_by_text,
            "{line}: {invalid:?}"
        );
        let expected = json!({"code": "data", "message": reason, "line": 2});
        assert_eq!(
            (&invalid.1["error"], &invalid.1["response"]),
            (&expected, &Value::Null),
            "{line}"
        );
    }
    let (run, _) = run(b"{\"prompt\":\"\xff\"}\n{\"prompt\":\"x\"}\n".to_vec(), &[]);
    let results = results(&run.exits(1).text());
    let invalid = results
        .values()
        .find(|result| result["error"]["line"] == 1)
        .unwrap();
    let message = &invalid["error"]["message"];
    assert_eq!(message, "line 1: invalid UTF-8 at byte 11 of the line");
}

#[test]
fn a_path_can_be_another_of_the_same_server_and_nothing_else() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, _| Reply::json(200, r#"{"data":[{"embedding":[0.5]}]}"#));
    let lines: String = [
        "/v1/embeddings",
        "/v1/../admin",
        "/v1//x",
        "/v1/",
        "//evil.example/v1/x",
        "http://evil.example/v1/embeddings",
        "/v1/x?y=1",
        "/v1/x#y",
        "/v1/%2e%2e/x",
        "embeddings",
    ]
    .iter()
    .map(|url| {
        format!(
            "{}\n",
            json!({"custom_id": url, "url": url, "body": {"input": "x"}})
        )
    })
    .collect();
    let run = batch(&sandbox, &server).arg("run").stdin(lines).run().exits(1);
    let results = results(&run.text());
    for (url, result) in &results {
        assert_eq!(result["error"].is_null(), url == "/v1/embeddings", "{url}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].target, "/v1/embeddings");
    assert_eq!(requests[0].json(), json!({"input": "x", "model": "m-1"}));
}

#[test]
fn the_command_line_beats_the_line_and_the_line_beats_the_profile() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.config(
        &json!({"profiles": {"p": {
            "base_url": server.url("/v1"), "model": "of-profile", "key": {"env": "KEY"},
            "body": {"temperature": 1, "top_p": 0.5, "stream": true, "metadata": {"a": 1}},
        }}})
        .to_string(),
    );
    let ask = |args: &[&str], own: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "x"}]});
        body.as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        let line = json!({"custom_id": "a", "body": body}).to_string();
        let tool = sandbox.tool("qwen-batch").env("KEY", KEY);
        tool.arg("run").args(args).stdin(line).run().exits(0);
        let mut asked = server.requests().last().unwrap().json();
        asked.as_object_mut().unwrap().shift_remove("messages");
        asked
    };
    assert_eq!(
        ask(&[], json!({})),
        json!({"model": "of-profile", "temperature": 1, "top_p": 0.5, "metadata": {"a": 1}})
    );
    assert_eq!(
        ask(
            &[],
            json!({"model": "own", "temperature": 2, "top_p": null, "stream": true, "metadata": {"b": 2}})
        ),
        json!({"model": "own", "temperature": 2, "metadata": {"a": 1, "b": 2}})
    );
    assert_eq!(
        ask(
            &[
                "-m",
                "typed",
                "--param",
                "temperature=0",
                "--param",
                "metadata=null",
                "--param",
                "stop=[\"x\"]"
            ],
            json!({"model": "own", "temperature": 2})
        ),
        json!({"model": "typed", "temperature": 0, "top_p": 0.5, "stop": ["x"]})
    );
}

#[test]
fn templates_and_instructions_can_be_files() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/t.txt", "Name: {}\n");
    sandbox.write("work/bad.txt", b"a\xff");
    let tool = || batch(&sandbox, &server).arg("run").stdin("x\n");
    let run = tool().args(["--template", "@t.txt"]).run().exits(0);
    assert_eq!(text(results(&run.text()).values().next().unwrap()), "Name: x\n");
    let missing = tool().args(["--template", "@no.txt"]).run();
    missing.gives(
        66,
        "",
        "qwen-batch: cannot read 'no.txt': no such file or directory\n",
    );
    let bad = tool().args(["-s", "@bad.txt"]).run();
    bad.gives(
        65,
        "",
        "qwen-batch: 'bad.txt': not UTF-8 text: byte 1 (counted from 0) is invalid\n",
    );
    let endless = std::fs::File::create(sandbox.work().join("endless.txt")).unwrap();
    endless.set_len((1 << 30) + 1).unwrap();
    for option in ["-s", "--template"] {
        let large = tool().args([option, "@endless.txt"]).run();
        large.gives(65, "", "qwen-batch: 'endless.txt' is larger than 1024 MiB\n");
    }
}

#[test]
fn an_answer_that_is_none_is_a_failure_in_words() {
    let cut = json!({"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": null}]});
    for (reply, code, words) in [
        (
            Reply::json(200, &cut.to_string()),
            "protocol",
            "the answer is incomplete: it ended without a finish reason",
        ),
        (
            Reply::json(200, "{\"id\":"),
            "protocol",
            "the answer is malformed",
        ),
        (
            Reply::json(200, r#"{"error":{"message":"overloaded","type":"server_error"}}"#),
            "try-again",
            "error within the answer: overloaded",
        ),
        (
            Reply::json(
                200,
                r#"{"choices":[{"message":{"content":"half"},"finish_reason":"insufficient_system_resource"}]}"#,
            ),
            "try-again",
            "the server interrupted the answer (finish_reason 'insufficient_system_resource')",
        ),
        (
            Reply::json(
                400,
                r#"{"error":{"message":"bad sk-canary-0123456789\u001b[2J"}}"#,
            ),
            "data",
            "the request was refused (400): bad ***[2J",
        ),
        (
            Reply::json(
                404,
                r#"{"error":{"message":"no such model","code":"model_not_found"}}"#,
            ),
            "unavailable",
            "no such model or path (404): no such model",
        ),
        (
            Reply::new(502, "text/html", "<h1>Bad gateway</h1>"),
            "try-again",
            "the server failed (502): the answer is an HTML page",
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::script([reply]);
        let tool = batch(&sandbox, &server).args(["run", "--retries", "0"]);
        let run = tool.stdin(line("a", "x")).run().exits(1);
        let result = &results(&run.text())["a"];
        assert_eq!(result["error"]["code"], code, "{result}");
        let message = result["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(words), "{message}");
    }
    // A page is the result of its line where the API has answered another one.
    let sandbox = Sandbox::new();
    let page = Reply::new(200, "text/html", "<html>log in</html>");
    let server = Server::script([whole("x"), page]);
    let tool = batch(&sandbox, &server).args(["run", "-j", "1", "--retries", "0"]);
    let run = tool.stdin(line("a", "x") + &line("b", "y")).run().exits(1);
    let message = results(&run.text())["b"]["error"]["message"].to_string();
    assert!(
        message.contains("not an API answer: the content type is 'text/html'"),
        "{message}"
    );
}

#[test]
fn an_answer_that_comes_as_a_stream_is_recorded_as_the_object_that_it_amounts_to() {
    let sandbox = Sandbox::new();
    let server = Server::script([crate::support::chat::answer(&["strea", "med"])]);
    let tool = batch(&sandbox, &server).arg("run").stdin(line("a", "x"));
    let results = results(&tool.run().exits(0).text());
    assert_eq!(text(&results["a"]), "streamed");
    let body = &results["a"]["response"]["body"];
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 7);
}

#[test]
fn an_answer_whose_end_is_doubtful_is_an_answer_and_is_counted() {
    let sandbox = Sandbox::new();
    let mut body = whole_body("half a sent");
    body["choices"][0]["finish_reason"] = "length".into();
    let server = Server::script([Reply::json(200, &body.to_string())]);
    let run = batch(&sandbox, &server)
        .arg("run")
        .stdin(line("a", "x"))
        .run()
        .exits(0);
    assert_eq!(text(&results(&run.text())["a"]), "half a sent");
    assert_eq!(
        run.stderr,
        "qwen-batch: 1 done, 1 limited, filtered or of doubtful end (1 length)\n"
    );
}

#[test]
fn what_was_typed_wrong_is_said_before_anything_is_sent() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    sandbox.write("work/in.jsonl", line("a", "x"));
    for (args, code, words) in [
        (
            &["run", "no.jsonl"][..],
            66,
            "cannot read 'no.jsonl': no such file or directory",
        ),
        (&["run", "."], 66, "cannot read '.': is a directory"),
        (
            &["run", "in.jsonl", "-o", "in.jsonl"],
            64,
            "'in.jsonl': input and output are the same file",
        ),
        (
            &["run", "in.jsonl", "-o", "no/out.jsonl"],
            74,
            "cannot write 'no/out.jsonl': no such file or directory",
        ),
        (
            &["run", "in.jsonl", "-j", "0"],
            64,
            "invalid value '0' for '--jobs <COUNT>'",
        ),
        (&["run", "in.jsonl", "--retry-failed"], 64, "--output <OUT>"),
        (
            &["run", "in.jsonl", "--param", "temperature"],
            64,
            "--param: 'temperature' is not NAME=JSON",
        ),
        (
            &["run", "in.jsonl", "--param", "messages=[]"],
            64,
            "--param: 'messages' cannot be set this way",
        ),
        (
            &["run", "in.jsonl", "--param", "stop=x"],
            64,
            "--param: the value of 'stop' is not JSON",
        ),
        (&["walk"], 64, "'walk'"),
    ] {
        batch(&sandbox, &server).args(args).run().fails(code, &[words]);
    }
    assert_eq!(
        sandbox.read("work/in.jsonl"),
        line("a", "x"),
        "the input is left alone"
    );
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut input = vec![b'x'; (32 << 20) + 1];
    input.extend_from_slice(b"\n{\"prompt\":\"y\"}\n");
    let run = batch(&sandbox, &server).arg("run").stdin(input).run().exits(1);
    let results = results(&run.text());
    let (long, short): (Vec<_>, Vec<_>) = results.values().partition(|result| result["error"]["line"] == 1);
    assert_eq!(long[0]["error"]["message"], "line 1: longer than 33554432 bytes");
    assert_eq!(text(short[0]), "y");
    assert_eq!(results.len(), 2);
}

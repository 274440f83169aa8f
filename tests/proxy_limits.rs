//! What clients of qwen-proxy may use: models, requests, tokens, the quota.

use std::io::Write;
use std::thread;

use serde_json::{Value, json};

use crate::support::proxy::{Answer, KEY, Proxy, RawServer};
use crate::support::{Gate, Reply, Request, Sandbox, Server, Tool, binary, wait_until};

const CHAT: &str = "/v1/chat/completions";

/// An answer that took so many tokens.
fn used(total: u64) -> Reply {
    let usage = json!({"choices": [{"index": 0}], "usage": {"prompt_tokens": 1, "completion_tokens": total - 1, "total_tokens": total}});
    Reply::json(200, &usage.to_string())
}

/// A proxy whose profile says more than key and address.
fn with_profile(sandbox: &Sandbox, server: &Server, members: Value) -> Tool {
    let mut profile = json!({"method": "api-key", "base_url": server.url("/v1"), "model": "m"});
    for (name, value) in members.as_object().unwrap() {
        profile[name] = value.clone();
    }
    sandbox.config(&json!({"default_profile": "p", "profiles": {"p": profile}}).to_string());
    sandbox.tool("qwen-proxy").env("OPENAI_API_KEY", KEY)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    coder.write_all(text.as_bytes()).unwrap();
    coder.finish().unwrap()
}

#[test]
fn a_budget_of_requests_holds_whatever_is_asked_at_once() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(10)]);
    let proxy = Proxy::start(&sandbox, &server, &["--max-requests", "5"]);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| proxy.post(CHAT, "{}"))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((good, server.count()), (5, 5));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refuses(429, "insufficient_quota");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
    }
    // A list of models asks no model.
    assert_eq!(proxy.get("/v1/models").status, 200);
    proxy
        .post("/v1/embeddings", "{}")
        .refuses(429, "insufficient_quota");
}

#[test]
fn requests_that_fail_or_are_given_up_count() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()).args(["--max-requests", "3"]));
    for _ in 0..3 {
        let mut client = proxy.connect();
        client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        let mut server = upstream.accept();
        server.wait_for("{}");
        drop(client);
        server.is_closed();
    }
    proxy.post(CHAT, "{}").refuses(429, "insufficient_quota");
}

#[test]
fn a_budget_of_tokens_goes_by_what_the_server_counts() {
    let sandbox = Sandbox::new();
    for (path, usage) in [
        (
            CHAT,
            r#"{"usage":{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}"#,
        ),
        (
            "/v1/responses",
            r#"{"a":[1],"usage":{"input_tokens":20,"output_tokens":40,"total_tokens":60}}"#,
        ),
        (
            "/v1/embeddings",
            r#"{"data":[{"usage":3}],"usage":{"prompt_tokens":60,"total_tokens":60}}"#,
        ),
        (
            "/v1/images/generations",
            r#"{"usage":{"input_tokens":20,"output_tokens":40}}"#,
        ),
    ] {
        let server = Server::script([Reply::json(200, usage)]);
        let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
        for _ in 0..2 {
            assert_eq!(proxy.post(path, "{}").text(), usage);
        }
        proxy.post(path, "{}").refuses(429, "insufficient_quota");
        assert_eq!(server.count(), 2, "{path}");
    }
}

fn event(json: &str) -> String {
    format!("data: {json}\n\n")
}

const COUNT: &str =
    r#"{"id":"1","choices":[],"usage":{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}"#;

/// A server that counts in its streams when it is asked to, as OpenAI's does.
fn counting() -> Server {
    Server::answering(|_, request| {
        let asks = request.json()["stream_options"]["include_usage"] == true;
        let null = if asks { r#","usage":null"# } else { "" };
        let text = event(&format!(
            r#"{{"id":"1","choices":[{{"index":0,"delta":{{"content":"hi"}}}}]{null}}}"#
        ));
        let end = event(&format!(
            r#"{{"id":"1","choices":[{{"index":0,"delta":{{}},"finish_reason":"stop"}}]{null}}}"#
        ));
        let count = if asks { event(COUNT) } else { String::new() };
        Reply::stream([text, end + &count, "data: [DONE]\n\n".to_owned()])
    })
}

#[test]
fn a_stream_is_counted_and_looks_as_if_it_were_not() {
    let sandbox = Sandbox::new();
    let server = counting();
    let plain = Proxy::start(&sandbox, &server, &[]);
    let body = r#"{"model":"m","stream":true}"#;
    let expected = plain.post(CHAT, body).text();
    assert!(!expected.contains("usage"));
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
    for _ in 0..2 {
        let answer = proxy.post(CHAT, body);
        assert_eq!((answer.text(), answer.is_whole), (expected.clone(), true));
    }
    let sent = server.requests().pop().unwrap().text();
    assert_eq!(
        sent,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#
    );
    proxy.post(CHAT, body).refuses(429, "insufficient_quota");
}

#[test]
fn a_client_that_asks_for_the_count_gets_it() {
    let sandbox = Sandbox::new();
    let server = counting();
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
    let body = r#"{"stream":true, "stream_options":{"include_usage":true}}"#;
    for _ in 0..2 {
        let text = proxy.post(CHAT, body).text();
        assert!(text.contains(COUNT) && text.contains(r#""usage":null"#), "{text}");
        assert_eq!(server.requests().pop().unwrap().text(), body);
    }
    proxy.post(CHAT, body).refuses(429, "insufficient_quota");
}

/// What is to be counted is asked for as it is; a server that compresses it all the same is undone.
#[test]
fn a_compressed_answer_is_counted() {
    let sandbox = Sandbox::new();
    let text = r#"{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":40,"total_tokens":60}}"#;
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let server = Server::script([Reply::with_headers(200, &headers, gzip(text))]);
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
    for _ in 0..2 {
        let answer = proxy.post_with(CHAT, "accept-encoding: gzip, br\r\n", "{}");
        assert_eq!(
            (answer.text().as_str(), answer.header("content-encoding")),
            (text, None)
        );
        let seen = server.requests().pop().unwrap();
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
    }
    proxy.post(CHAT, "{}").refuses(429, "insufficient_quota");
}

/// Where a server knows no `stream_options`, what was added is taken back, and the answer is estimated.
#[test]
fn what_a_server_refuses_is_taken_back() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request| match request.json().get("stream_options") {
        Some(_) => Reply::json(
            422,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
        ),
        None => Reply::stream((0..30).map(|number| {
            event(&format!(
                r#"{{"choices":[{{"delta":{{"content":"{number}"}}}}]}}"#
            ))
        })),
    });
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
    let body = r#"{"model":"m","stream":true}"#;
    let answer = proxy.post(CHAT, body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.requests().pop().unwrap().text(), body);
    let mut asked = 1;
    while proxy.post(CHAT, body).status == 200 {
        asked += 1;
        assert!(asked < 10);
    }
    assert!(
        (3..=4).contains(&asked),
        "30 events and a question are about 40 tokens: {asked}"
    );
    // A client's own is not taken back.
    let own = Server::script([Reply::json(
        422,
        r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
    )]);
    let proxy = Proxy::start(&sandbox, &own, &["--max-total-tokens", "100"]);
    let answer = proxy.post(
        CHAT,
        r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#,
    );
    assert_eq!((answer.status, own.count()), (422, 1));
}

#[test]
fn running_requests_reserve_what_they_may_use() {
    let sandbox = Sandbox::new();
    let gate = Gate::default();
    let opened = gate.clone();
    let server = Server::answering(move |_, _| {
        opened.pass();
        used(30)
    });
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100"]);
    let body = r#"{"max_tokens":90}"#;
    let ask = || {
        let mut connection = proxy.connect();
        connection.send(proxy.head("POST", CHAT, &format!("content-length: {}\r\n", body.len())) + body);
        connection
    };
    let (mut first, mut second) = (ask(), None);
    server.wait_for(1);
    // What is left, a few tokens, is the next one's.
    second.replace(ask());
    server.wait_for(2);
    let refused = proxy.post(CHAT, body);
    refused.refuses(429, "budget_reserved");
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    assert!(refused.header("retry-after").is_some() && refused.header("retry-after-ms").is_some());
    gate.open();
    assert_eq!(
        (first.answer().status, second.unwrap().answer().status),
        (200, 200)
    );
    wait_until("what was reserved is free", || {
        proxy.post(CHAT, body).status == 200
    });
}

/// One request would overrun the budget: what it says of its answer's length is lowered where it stands.
#[test]
fn a_request_that_may_use_more_than_is_left_is_sent_with_what_is_left() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(30)]);
    let tool = with_profile(&sandbox, &server, json!({"body": {"max_tokens": 5000}}));
    let proxy = Proxy::of(tool.args(["--max-total-tokens", "1000"]));
    let sent = |path: &str, body: &str| {
        assert_eq!(proxy.post(path, body).status, 200, "{path} {body}");
        server.requests().pop().unwrap().text()
    };
    let body = r#"{"model":"m", "seed":1.0e2,"max_tokens":  32000,"messages":[]}"#;
    assert_eq!(sent(CHAT, body), body.replace("32000", "984"));
    assert_eq!(
        sent(CHAT, r#"{"max_completion_tokens":9000,"n":2}"#),
        r#"{"max_completion_tokens":480,"n":2,"max_tokens":480}"#
    );
    assert_eq!(
        sent(CHAT, r#"{"stream":true}"#),
        r#"{"stream":true,"max_tokens":936,"stream_options":{"include_usage":true}}"#
    );
    assert_eq!(
        sent("/v1/responses", r#"{"max_output_tokens":1000}"#),
        r#"{"max_output_tokens":903}"#
    );
    // What fits is sent as it came.
    let small = r#"{"model":"m","max_tokens":800}"#;
    assert_eq!(sent(CHAT, small), small);
    // So many texts cannot be.
    proxy
        .post(CHAT, r#"{"max_tokens":1,"n":900}"#)
        .refuses(429, "insufficient_quota");
}

#[test]
fn a_budget_that_is_used_up_is_said_when_it_happens_and_at_the_end() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(10)]);
    let shell = sandbox
        .command("/bin/sh")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .args(["-c", "exec \"$0\" \"$@\" 2>said"])
        .arg(binary("qwen-proxy"));
    let proxy = Proxy::of(shell.args(["--max-requests", "1"]));
    let said = || std::fs::read_to_string(sandbox.work().join("said")).unwrap();
    assert_eq!(proxy.post(CHAT, "{}").status, 200);
    assert_eq!(said(), "");
    for _ in 0..3 {
        proxy.post(CHAT, "{}").refuses(429, "insufficient_quota");
        assert_eq!(
            said(),
            "qwen-proxy: the budget of 1 request is used up; further requests are refused\n"
        );
    }
    proxy.ends();
    let end = "the budget of 1 request is used up; 3 more requests were refused\n";
    assert!(said().ends_with(end), "{}", said());
}

/// Long bodies are read by a thread of their own, so a short request is answered while one is.
#[test]
fn long_bodies_are_judged_as_short_ones_and_pass_to_the_byte() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(30)]);
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "m"]);
    let long = |model: &str| format!(r#"{{"messages":"{}","model":"{model}"}}"#, "x".repeat(1 << 20));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                assert_eq!(proxy.post(CHAT, long("m")).status, 200);
                proxy.post(CHAT, long("other")).refuses(403, "model_not_allowed");
            });
        }
    });
    assert_eq!(server.count(), 8);
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.text() == long("m"))
    );
}

#[test]
fn hanging_up_gets_nothing_for_nothing() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()).args(["--max-total-tokens", "5000"]));
    let mut asked = 0;
    loop {
        let mut client = proxy.connect();
        client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        if upstream_takes(&upstream, client) {
            asked += 1;
        } else {
            break;
        }
        assert!(asked < 20, "a budget that hanging up goes round");
    }
    assert!(asked >= 3, "{asked}");
    proxy.post(CHAT, "{}").refuses(429, "insufficient_quota");
}

/// A server may put a hundred tokens into one event, and the count comes after the last of them.
#[test]
fn hanging_up_before_the_count_costs_the_text_that_came() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()).args(["--max-total-tokens", "5000"]));
    let body = r#"{"stream":true,"max_tokens":4000}"#;
    let event = event(&format!(
        r#"{{"choices":[{{"index":0,"delta":{{"content":"{}"}}}}]}}"#,
        "word ".repeat(2000)
    ));
    for _ in 0..2 {
        let mut client = proxy.connect();
        let length = format!("content-length: {}\r\n", body.len());
        client.send(proxy.head("POST", CHAT, &length) + body);
        let mut server = upstream.accept();
        server.wait_for("include_usage");
        server.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
            event.len()
        ));
        client.wait_for("word \"}");
        drop(client);
        server.is_closed();
    }
    wait_until("two answers of 2500 tokens have used it up", || {
        proxy.post(CHAT, body).code() == "insufficient_quota"
    });
}

/// Pydantic reads "50" as 50 and 1 as true, and OpenAI's newer limit stands beside the older one.
#[test]
fn a_budget_goes_by_the_largest_reading_of_a_request() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(10)]);
    let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "100000"]);
    for body in [
        r#"{"n":"50"}"#,
        r#"{"n":true}"#,
        r#"{"best_of":"20"}"#,
        r#"{"max_tokens":"100000"}"#,
        r#"{"max_tokens":1.5}"#,
        r#"{"stream":1}"#,
        r#"{"stream":"true"}"#,
        r#"{"stream":"on"}"#,
        r#"{"background":1}"#,
        r#"{"N":50,"n":1}"#,
        r#"{"max_tokens":1,"Max_Tokens":100000}"#,
        r#"{"best_of":1,"best_of":20}"#,
    ] {
        proxy.post(CHAT, body).refuses(400, "unreadable_body");
    }
    assert_eq!(server.count(), 0);
    for body in [
        r#"{"n":null,"max_tokens":null,"stream":null}"#,
        r#"{"n":1,"max_tokens":-1,"stream":false,"background":false}"#,
    ] {
        assert_eq!(proxy.post(CHAT, body).status, 200, "{body}");
    }
    // Without a budget it is the server's to judge.
    let plain = Proxy::start(&sandbox, &server, &[]);
    assert_eq!(plain.post(CHAT, r#"{"n":"50","stream":0}"#).status, 200);
}

#[test]
fn what_a_request_may_bring_is_reserved_whatever_it_is_called() {
    let sandbox = Sandbox::new();
    for body in [
        r#"{"max_completion_tokens":1,"max_tokens":100000}"#,
        r#"{"max_tokens":100,"n":1000}"#,
        r#"{"max_tokens":100,"best_of":1000}"#,
        r#"{"n":50}"#,
        r#"{"n_predict":100000}"#,
    ] {
        let gate = Gate::default();
        let opened = gate.clone();
        let server = Server::answering(move |_, _| {
            opened.pass();
            used(30)
        });
        let proxy = Proxy::start(&sandbox, &server, &["--max-total-tokens", "90000"]);
        let mut first = proxy.connect();
        first.send(proxy.head("POST", CHAT, &format!("content-length: {}\r\n", body.len())) + body);
        server.wait_for(1);
        proxy.post(CHAT, body).refuses(429, "budget_reserved");
        gate.open();
        assert_eq!(first.answer().status, 200, "{body}");
    }
}

/// Lets a request reach the server and hangs up; false where the proxy has refused it.
fn upstream_takes(
    upstream: &RawServer,
    client: crate::support::proxy::Connection<std::net::TcpStream>,
) -> bool {
    client.stream.set_nonblocking(true).unwrap();
    let mut byte = [0];
    let mut server = None;
    wait_until("either of them says something", || {
        server = upstream.is_called_by();
        server.is_some() || client.stream.peek(&mut byte).is_ok()
    });
    let Some(mut server) = server else { return false };
    server.wait_for("{}");
    drop(client);
    server.is_closed();
    true
}

#[test]
fn a_model_is_put_in_the_place_of_any_other() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(1)]);
    let proxy = Proxy::start(&sandbox, &server, &["--model", "vendor/the \"one\""]);
    assert_eq!(proxy.variables["OPENAI_MODEL"], "vendor/the \"one\"");
    let sent = |answer: Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        server.requests().pop().unwrap()
    };
    let body = "{ \"messages\":[{\"content\":\"\\u00e4 \\\"model\\\":\\\"x\\\"\"}] , \"model\" : \"gpt-4o\" , \"seed\":1.0}";
    let seen = sent(proxy.post(CHAT, body)).text();
    assert_eq!(seen, body.replace("\"gpt-4o\"", "\"vendor/the \\\"one\\\"\""));
    let seen = sent(proxy.post("/v1/embeddings", r#"{"input":"a"}"#)).text();
    assert_eq!(seen, r#"{"input":"a","model":"vendor/the \"one\""}"#);
    let form = |model: &str| {
        format!(
            "--B\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--B\r\n\
             content-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nbytes\r\n--B--\r\n"
        )
    };
    let kind = "content-type: multipart/form-data; boundary=B\r\n";
    let seen = sent(proxy.post_with("/v1/audio/transcriptions", kind, form("whisper-1")));
    assert_eq!(seen.text(), form("vendor/the \"one\""));
    assert_eq!(seen.header("content-length"), Some(&*seen.body.len().to_string()));
}

#[test]
fn models_that_may_be_asked_are_those_that_are_listed() {
    let sandbox = Sandbox::new();
    let list = r#"{"object":"list","data":[{"id":"a/b","owned_by":"x"},{"id":"c"},{"id":"d"}]}"#;
    let server = Server::answering(move |_, request| match request.target.as_str() {
        "/v1/models" => Reply::json(200, list),
        "/v1/models/a%2Fb" => Reply::json(200, r#"{"id":"a/b"}"#),
        _ => used(1),
    });
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "a/b", "--allow-model", "c"]);
    let listed = proxy.get("/v1/models");
    assert_eq!(
        listed.text(),
        r#"{"object":"list","data":[{"id":"a/b","owned_by":"x"},{"id":"c"}]}"#
    );
    assert_eq!(proxy.get("/v1/models/a%2Fb").text(), r#"{"id":"a/b"}"#);
    for model in ["a/b", "c"] {
        assert_eq!(proxy.post(CHAT, format!(r#"{{"model":"{model}"}}"#)).status, 200);
    }
    let refused = proxy.post(CHAT, r#"{"model":"d"}"#);
    refused.refuses(403, "model_not_allowed");
    assert!(refused.text().contains("a/b, c"), "{}", refused.text());
    proxy.get("/v1/models/d").refuses(403, "model_not_allowed");
}

/// A list that is compressed, or that names models in another member too, hides none that may not be asked.
#[test]
fn a_list_of_models_is_filtered_however_it_comes() {
    let sandbox = Sandbox::new();
    let list = r#"{"models":[{"name":"hidden"}],"data":[{"id":"m"},{"id":"hidden"}]}"#;
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let server = Server::script([
        Reply::with_headers(200, &headers, gzip(list)),
        Reply::stream([&list[..20], &list[20..]]),
        Reply::json(200, "<html>hidden</html>"),
        Reply::json(200, r#"{"data":{"hidden":1}}"#),
    ]);
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "m"]);
    for _ in 0..2 {
        let answer = proxy.get("/v1/models");
        assert_eq!(answer.text(), r#"{"data":[{"id":"m"}]}"#);
        assert_eq!(answer.header("content-encoding"), None);
    }
    for _ in 0..2 {
        let answer = proxy.get("/v1/models");
        answer.refuses(502, "upstream_invalid");
        assert!(!answer.text().contains("hidden"), "{}", answer.text());
    }
}

#[test]
fn a_profile_says_what_it_says_to_qwen_chat() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(1)]);
    let profile = json!({
        "headers": {"x-team": "blue", "user-agent": "of the profile"},
        "query": {"api-version": "7"},
        "body": {"enable_thinking": false, "metadata": {"team": "blue"}, "temperature": 0.5},
    });
    let proxy = Proxy::of(with_profile(&sandbox, &server, profile));
    let body = r#"{"temperature":1.00,"metadata":{"mine":1}}"#;
    let answer = proxy.post_with(
        "/v1/chat/completions?api-version=1&z=2",
        "user-agent: client\r\n",
        body,
    );
    assert_eq!(answer.status, 200);
    let seen = server.requests().pop().unwrap();
    assert_eq!(seen.target, "/v1/chat/completions?api-version=7&z=2");
    assert_eq!(
        (seen.header("x-team"), seen.header("user-agent")),
        (Some("blue"), Some("of the profile"))
    );
    assert_eq!(
        seen.text(),
        r#"{"temperature":1.00,"metadata":{"mine":1,"team":"blue"},"enable_thinking":false}"#
    );
    // Its members are for chat: embeddings would be refused with them.
    proxy.post("/v1/embeddings", "{}");
    assert_eq!(server.requests().pop().unwrap().text(), "{}");
}

#[test]
fn a_model_in_the_path_is_that_of_the_body() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(1)]);
    let tool = with_profile(
        &sandbox,
        &server,
        json!({"provider": "azure", "base_url": server.url("")}),
    );
    let proxy = Proxy::of(tool.env("OPENAI_API_VERSION", "2024-10-21"));
    let target = |path: &str, body: &str| {
        let answer = proxy.post(path, body);
        let seen: Option<Request> = server.requests().pop();
        (answer.status, seen.map(|seen| seen.target).unwrap_or_default())
    };
    assert_eq!(
        target(CHAT, r#"{"model":"my model"}"#),
        (
            200,
            "/openai/deployments/my%20model/chat/completions?api-version=2024-10-21".to_owned()
        )
    );
    assert_eq!(
        target("/v1/embeddings", r#"{"model":"e"}"#),
        (
            200,
            "/openai/deployments/e/embeddings?api-version=2024-10-21".to_owned()
        )
    );
    assert_eq!(server.requests()[0].header("api-key"), Some(KEY));
    assert_eq!(server.requests()[0].header("authorization"), None);
    let count = server.count();
    for model in ["../../x", "a/../b", "", "a\\u0000b", "a%2fb", "a?b"] {
        proxy
            .post(CHAT, format!(r#"{{"model":"{model}"}}"#))
            .refuses(400, "invalid_request");
    }
    assert_eq!(server.count(), count);
}

#[test]
fn the_quota_is_waited_for_within_bounds_and_then_told() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(1)]);
    let tool = with_profile(&sandbox, &server, json!({"rate": {"per_minute": 2}}));
    let proxy = Proxy::of(tool);
    for _ in 0..2 {
        assert_eq!(proxy.post(CHAT, "{}").status, 200);
    }
    let refused = proxy.post(CHAT, "{}");
    refused.refuses(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=70).contains(&wait), "{wait}");
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    drop(proxy);
    let tool = with_profile(&sandbox, &server, json!({"rate": {"per_minute": 2}}));
    let proxy = Proxy::of(tool.arg("--no-pace"));
    for _ in 0..5 {
        assert_eq!(proxy.post(CHAT, "{}").status, 200);
    }
}

#[test]
fn a_day_that_is_used_up_is_told_as_such() {
    let sandbox = Sandbox::new();
    let server = Server::script([used(1)]);
    let proxy = Proxy::of(with_profile(&sandbox, &server, json!({"rate": {"per_day": 1}})));
    assert_eq!(proxy.post(CHAT, "{}").status, 200);
    let refused = proxy.post(CHAT, "{}");
    refused.refuses(429, "insufficient_quota");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn the_server_is_asked_again_only_when_that_is_wanted() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(503, "{}"), Reply::json(503, "{}"), used(1)]);
    let proxy = Proxy::start(&sandbox, &server, &[]);
    assert_eq!(proxy.post(CHAT, "{}").status, 503);
    assert_eq!(server.count(), 1);
    let proxy = Proxy::start(&sandbox, &server, &["--retries", "2"]);
    assert_eq!(proxy.post(CHAT, "{}").status, 200);
    assert_eq!(server.count(), 3);
}

#[test]
fn what_is_allowed_by_path_goes_with_no_rule_and_no_budget() {
    let sandbox = Sandbox::new();
    for other in [
        ["--model", "m"],
        ["--allow-model", "m"],
        ["--max-requests", "1"],
        ["--max-total-tokens", "1"],
    ] {
        Proxy::tool(&sandbox, "http://127.0.0.1:9/v1")
            .args(["--allow", "files"])
            .args(other)
            .args(["--", "echo", "it runs"])
            .run()
            .fails(64, &["--allow"]);
    }
}

#[test]
fn a_model_that_its_own_rules_refuse_is_said_at_the_start() {
    let sandbox = Sandbox::new();
    let tool = || Proxy::tool(&sandbox, "http://127.0.0.1:9/v1");
    let command = ["--", "echo", "it runs"];
    let run = tool().args(["--model", "a", "--allow-model", "b", "--allow-model", "c"]);
    run.args(command)
        .run()
        .fails(64, &["--model a: --allow-model refuses it; allowed: b, c"]);
    // A client may still name an allowed one by itself.
    let run = tool().env("OPENAI_MODEL", "a").args(["--allow-model", "b"]);
    let run = run.args(command).run().exits(0);
    assert!(run.stderr.contains("the model a, from"), "{run:#?}");
    for args in [
        ["--model", "b", "--allow-model", "b"],
        ["--allow-model", "a", "--allow-model", "b"],
    ] {
        let run = tool().env("OPENAI_MODEL", "a").args(args).args(command).run();
        run.gives(0, "it runs\n", "");
    }
}

/// Lists within lists: what is too deep to be judged does not pass, whatever its model.
#[test]
fn a_body_that_is_nested_deeply_does_not_pass() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "m"]);
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = nested(open, close);
        let good = proxy.post(CHAT, format!(r#"{{"model":"m","a":{nested}}}"#));
        assert_eq!(good.status, 400, "{}", good.text());
        for other in [
            format!(r#"{{"model":"x","a":{nested}}}"#),
            format!(r#"{{"model":"m","tools":[{{"model":"x"}},{nested}]}}"#),
        ] {
            let refused = proxy.post(CHAT, other);
            assert!([400, 403].contains(&refused.status), "{}", refused.text());
        }
    }
    proxy
        .post(CHAT, r#"{"model":"m","tools":{"model":"x"}}"#)
        .refuses(403, "model_not_allowed");
}

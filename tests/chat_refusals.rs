//! What servers say when they say no, each in its own form, and what of it reaches the user.
use std::time::Duration;

use crate::support::chat::{KEY, answer, chat, data, finish, name, stream, text};
use crate::support::{Reply, Run, Sandbox, Server};

/// Asks a server that follows this script; the server's name in stderr becomes `'S'`.
fn ask(replies: impl IntoIterator<Item = Reply>, args: &[&str]) -> Run {
    let sandbox = Sandbox::new();
    let server = Server::script(replies);
    let mut run = chat(&sandbox, &server).args(args).arg("hi").run();
    run.stderr = run.stderr.replace(&name(&server), "'S'");
    run
}

#[test]
fn a_parameter_that_the_model_lacks_is_ours_to_fix_and_no_missing_model() {
    for (error, words) in [
        (
            r#"{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","param":"max_tokens","code":"unsupported_parameter"}"#,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead",
        ),
        (
            r#"{"message":"image_url is not supported by this model"}"#,
            "image_url is not supported by this model",
        ),
    ] {
        let line = format!("qwen-chat: 'S': the request was refused (400): {words}\n");
        ask([Reply::json(400, &format!(r#"{{"error":{error}}}"#))], &[]).gives(65, "", &line);
    }
}

#[test]
fn an_error_is_told_in_whatever_form_it_comes_in_the_stream_or_instead_of_it() {
    for (json, code, words) in [
        (r#"{"detail":"Not allowed here"}"#, 76, "Not allowed here"),
        (
            r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#,
            65,
            "field required",
        ),
        (
            r#"{"Response":{"Error":{"Code":"InvalidParameter","Message":"max_tokens is out of range"},"RequestId":"x"}}"#,
            65,
            "max_tokens is out of range",
        ),
        (
            r#"{"code":"Throttling","message":"Slow down","request_id":"x"}"#,
            75,
            "Slow down",
        ),
        (
            r#"{"errors":[{"message":"one of them","code":503}]}"#,
            75,
            "one of them",
        ),
        (
            r#"{"object":"error","message":"vLLM says","code":400}"#,
            65,
            "vLLM says",
        ),
        (
            r#"{"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"Provider died"}}]}"#,
            75,
            "Provider died",
        ),
    ] {
        let line = format!("qwen-chat: 'S': error within the answer: {words}\n");
        ask([stream(text("part") + &data(json) + &text("lost"))], &[]).gives(code, "part", &line);
        ask([Reply::json(200, json)], &["--retries", "0"]).gives(code, "", &line);
    }
}

#[test]
fn a_key_that_the_server_repeats_is_told_nowhere() {
    let echo = format!(r#"{{"error":{{"message":"key {KEY} has to wait"}}}}"#);
    let busy = Reply::with_headers(
        503,
        &[("content-type", "application/json"), ("retry-after-ms", "1")],
        &echo,
    );
    for args in [&["--retries", "1"][..], &["--retries", "1", "--events"]] {
        let run = ask([busy.clone()], args).exits(75);
        assert!(
            !run.stderr.contains(KEY) && !run.text().contains(KEY),
            "the key is shown: {run:#?}"
        );
        assert_eq!(run.stderr.matches("key *** has to wait").count(), 2, "{run:#?}");
    }
    let run = ask([stream(text("part") + &data(&echo))], &["--json"]).exits(76);
    assert!(
        !run.stderr.contains(KEY) && !run.text().contains(KEY),
        "the key is shown: {run:#?}"
    );
}

#[test]
fn a_refusal_whose_body_never_ends_is_heard_by_its_status() {
    let head = "HTTP/1.1 400 Bad\r\ncontent-type: text/plain\r\ncontent-length: 1000\r\n\r\nbad ";
    let mut drip = Reply::default().send(head);
    for _ in 0..60 {
        drip = drip.send("x").pause(Duration::from_millis(200));
    }
    for reply in [Reply::default().send(head).hold(), drip] {
        let run = ask([reply], &[]).exits(65);
        assert!(
            run.stderr
                .starts_with("qwen-chat: 'S': the request was refused (400): bad"),
            "{run:#?}"
        );
    }
}

#[test]
fn an_answer_in_an_encoding_that_is_not_known_is_named_as_that() {
    let reply = Reply::with_headers(
        200,
        &[("content-type", "text/event-stream"), ("content-encoding", "br")],
        b"\x1f\x8b\x08\0",
    );
    ask([reply], &[]).gives(
        76,
        "",
        "qwen-chat: 'S': the answer is encoded as 'br', which was not asked for\n",
    );
    let body = text("one") + &finish("stop");
    let reply = Reply::with_headers(
        200,
        &[
            ("content-type", "text/event-stream"),
            ("content-encoding", "identity"),
        ],
        body,
    );
    ask([reply], &[]).gives(0, "one\n", "");
}

#[test]
fn a_message_is_short_however_long_what_it_is_about() {
    let long = "y".repeat(1 << 20);
    for (event, shown) in [
        (data(&format!(r#"{{"choices":"{long}"}}"#)), "incomplete"),
        (data(&format!(r#"{{"choices":"{long}}}"#)), "malformed"),
        (data(&format!(r#"{{"error":{{"message":"{long}"}}}}"#)), "yyy…"),
        (format!("event: error\ndata: {long}\n\n"), "yyy…"),
    ] {
        let run = ask([stream(text("part") + &event)], &[]).exits(76);
        assert!(
            run.stderr.len() < 1000 && run.stderr.contains(shown),
            "{} bytes",
            run.stderr.len()
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("work/schema.json", r#"{"type":"integer"}"#);
    let server = Server::script([answer(&[&format!("\"{long}\"")])]);
    let tool = chat(&sandbox, &server).args(["--schema", "schema.json", "hi"]);
    let run = tool.run().exits(65);
    assert!(run.stderr.len() < 1000, "{} bytes", run.stderr.len());
}

#[test]
fn a_redirect_says_what_to_look_at() {
    let reply = Reply::with_headers(308, &[("location", "https://elsewhere.example/v1")], "");
    ask([reply], &[]).gives(
        76,
        "",
        "qwen-chat: 'S': refused to follow a redirect (308) to 'https://elsewhere.example/v1'\n\
         qwen-chat: hint: check the base URL; the key goes nowhere else than there\n",
    );
}

#[test]
fn what_is_no_http_is_told_at_once_and_not_tried_again() {
    let many: String = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let head = "HTTP/1.1 200 OK\r\n";
    for bytes in [
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        format!("{head}{many}\r\n"),
        format!("{head}x: {}\r\n\r\n", "y".repeat(1 << 20)),
        format!("{head}content-length: much\r\n\r\n"),
        format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::script([Reply::default().send(bytes).close()]);
        let run = chat(&sandbox, &server).arg("hi").run();
        let line = format!("qwen-chat: {}: the answer is not valid HTTP: ", name(&server));
        assert!(run.stderr.starts_with(&line), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
        for words in ["parsed", "message head", "Invalid", "invalid HTTP", "hyper"] {
            assert!(!run.stderr.contains(words), "{run:#?}");
        }
        // What is spoken there is looked at once more, without the request.
        let requests = server.requests();
        let asked = requests.iter().filter(|request| request.method == "POST");
        assert_eq!((run.code(), asked.count()), (76, 1), "{run:#?}");
        assert!(
            requests
                .iter()
                .all(|request| request.method == "POST" || request.header("authorization").is_none())
        );
    }
}

#[test]
fn hundreds_of_headers_are_no_fault() {
    let many: String = (0..500).map(|number| format!("x-{number}: y\r\n")).collect();
    let body = r#"{"choices":[{"message":{"content":"fine"},"finish_reason":"stop"}]}"#;
    let reply = format!(
        "HTTP/1.1 200 OK\r\n{many}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    ask([Reply::default().send(reply)], &[]).gives(0, "fine\n", "");
}

#[test]
fn plain_http_to_a_port_of_tls_says_so_and_what_to_type() {
    // The alert of a server that finds no handshake: fatal, unexpected message.
    let alert = b"\x15\x03\x01\x00\x02\x02\x0a";
    let (sandbox, server) = (
        Sandbox::new(),
        Server::script([Reply::default().send(alert).close()]),
    );
    let run = chat(&sandbox, &server).arg("hi").run();
    let hint = "qwen-chat: hint: let the base URL begin with 'https://'\n";
    run.gives(
        69,
        "",
        &format!(
            "qwen-chat: {}: the server speaks TLS on this port, and no plain http\n{hint}",
            name(&server)
        ),
    );
}

#[test]
fn a_wait_is_spelled_whatever_its_size() {
    for (wait, spelled) in [
        ("18446744073709551615", "more than a year"),
        ("1e300", "more than a year"),
        ("1m30s", "90 s"),
        ("86400", "1 day"),
    ] {
        let reply = Reply::with_headers(429, &[("retry-after", wait)], "slow down");
        let run = ask([reply], &[]).exits(75);
        let hint = format!("hint: the server asks to wait {spelled}\n");
        assert!(run.stderr.ends_with(&hint), "{run:#?}");
    }
}

#[test]
fn a_refusal_without_a_body_is_told_in_the_words_of_its_challenge() {
    let challenge = r#"Bearer realm="api", error="invalid_token", error_description="the token expired""#;
    let headers = [
        ("www-authenticate", "Basic realm=x"),
        ("www-authenticate", challenge),
    ];
    ask([Reply::with_headers(401, &headers, "")], &[])
        .fails(77, &["the credential was refused (401): the token expired"]);
    let reply = Reply::with_headers(401, &headers, r#"{"error":{"message":"its own words"}}"#);
    ask([reply], &[]).fails(77, &["the credential was refused (401): its own words"]);
}

/// Every so many of the recorded refusals goes through the whole program; all of them are judged by a unit test.
const SAMPLED: usize = 6;

#[test]
fn recorded_refusals_end_the_program_by_what_they_mean() {
    let cases = include_str!("data/refusals.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(cases).unwrap();
    let is_taken_back =
        |case: &serde_json::Value| case["kind"] == "stream-only" || case["option"] == "stream_options";
    let sample = cases.iter().step_by(SAMPLED).filter(|case| !is_taken_back(case));
    for case in sample {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let body = case["text"]
            .as_str()
            .map_or_else(|| case["body"].to_string(), str::to_owned);
        let media_type = match body.trim_start().as_bytes().first() {
            Some(b'<') => "text/html",
            Some(b'{' | b'[' | b'"') => "application/json",
            _ => "text/plain",
        };
        let run = ask([Reply::new(status, media_type, &body)], &["--retries", "0"]);
        assert_eq!(
            i64::from(run.code()),
            case["exit"].as_i64().unwrap(),
            "{case} {run:#?}"
        );
        assert!(run.stderr.starts_with("qwen-chat: 'S': "), "{case} {run:#?}");
        assert!(!run.stderr.contains("</"), "{case} {run:#?}");
        if let Some(words) = case["words"].as_str() {
            assert!(run.stderr.contains(words), "{case} {run:#?}");
        }
    }
}

#[test]
fn a_page_says_nothing_about_the_key() {
    for status in [401, 403] {
        for (title, shown) in [
            ("<title>Just a moment...</title>", ", 'Just a moment...'"),
            (
                "<h1>401 Authorization <b>Required</b></h1>",
                ", '401 Authorization Required'",
            ),
            ("", ""),
        ] {
            let page = format!("<html><body>{title}</body></html>");
            let line = format!(
                "qwen-chat: 'S': access is denied ({status}): the answer is an HTML page{shown}\n\
                 qwen-chat: hint: run 'qwen-auth status' for endpoint and account\n"
            );
            ask([Reply::new(status, "text/html", &page)], &[]).gives(69, "", &line);
        }
    }
    let portal = "<html><title>Hotspot login</title></html>";
    ask([Reply::new(511, "text/html", portal)], &["--retries", "0"])
        .fails(76, &["this is not the API", "log in to it first"]);
}

#[test]
fn a_hint_fits_the_case_and_is_not_the_command_that_failed() {
    let missing = r#"{"error":{"message":"The model `m-1` does not exist"}}"#;
    for (args, status, body, hint) in [
        (&["hi"][..], 404, missing, "hint: run 'qwen-chat --list-models'\n"),
        (
            &["hi"],
            404,
            r#"{"detail":"Not Found"}"#,
            "hint: check the base URL: many end in '/v1'\n",
        ),
        (
            &["--list-models"],
            404,
            r#"{"detail":"Not Found"}"#,
            "hint: check the base URL: many end in '/v1'\n",
        ),
        (
            &["hi"],
            413,
            "",
            "hint: split the input, or choose a model that takes more\n",
        ),
        (
            &["hi"],
            403,
            r#"{"error":{"message":"Country, region, or territory not supported"}}"#,
            "hint: run 'qwen-auth status' for endpoint and account\n",
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::script([Reply::json(status, body)]);
        let run = chat(&sandbox, &server).args(args).run();
        assert!(run.stderr.ends_with(hint), "{args:?} {body} {run:#?}");
    }
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(404, missing)]);
    let run = chat(&sandbox, &server).arg("--list-models").run().exits(69);
    assert!(!run.stderr.contains("--list-models"), "{run:#?}");
}

#[test]
fn a_wait_that_the_server_names_anywhere_is_kept() {
    let limited = |headers: &[(&str, &str)], message: &str| {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        let body = serde_json::json!({ "error": { "message": message } });
        Reply::with_headers(429, &all, body.to_string())
    };
    for reply in [
        limited(&[("retry-after-ms", "120000")], "slow"),
        limited(&[("retry-after", "120")], "slow"),
        limited(&[("x-ratelimit-reset-requests", "2m0s")], "slow"),
        limited(&[], "Rate limit reached. Please try again in 2m0s."),
        limited(&[], "请求过于频繁,请在 120 秒后重试"),
        Reply::json(
            429,
            r#"[{"error":{"message":"slow","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"120s"}]}}]"#,
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::script([reply]);
        let run = chat(&sandbox, &server)
            .args(["--retries", "3", "hi"])
            .run()
            .exits(75);
        assert!(run.stderr.contains("120 s"), "{run:#?}");
        assert_eq!(server.requests().len(), 1, "{run:#?}");
    }
    let reply = Reply::with_headers(500, &[("x-should-retry", "false")], "no use");
    let sandbox = Sandbox::new();
    let server = Server::script([reply]);
    chat(&sandbox, &server)
        .arg("hi")
        .run()
        .fails(75, &["the server failed (500): no use"]);
    assert_eq!(server.requests().len(), 1);
}

//! What passes through qwen-proxy, in both directions, and what ends when somebody breaks off.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use crate::support::proxy::{KEY, Proxy, RawServer, contains};
use crate::support::random::Random;
use crate::support::{Gate, Reply, Sandbox, Server, wait_until};

const CHAT: &str = "/v1/chat/completions";

fn proxy_of(sandbox: &Sandbox, upstream: &RawServer) -> Proxy {
    Proxy::of(Proxy::tool(sandbox, &upstream.url()))
}

#[test]
fn a_request_arrives_with_the_credential_in_the_place_of_the_token() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(200, "{}")]);
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let body = "{ \"seed\" : 1.0, \"model\":\"a\\/b\",\n\"x\":\"\\u00e4\" } ";
    let answer = proxy.post_with(
        "/v1/chat/completions?z=1",
        "content-type: application/json\r\nx-stainless-lang: js\r\ncookie: a=b\r\nuser-agent: client/1\r\nx-request-id: r1\r\n\
         connection: x-stainless-lang\r\nopenai-organization: o\r\nx-forwarded-for: 1.2.3.4\r\n",
        body,
    );
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let seen = &server.requests()[0];
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/v1/chat/completions?z=1")
    );
    assert_eq!(seen.text(), body);
    let mut names: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-request-id"
        ]
    );
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(seen.header("user-agent"), Some("client/1"));
}

/// What a client says twice arrives twice; what the profile says, once, in its own words.
#[test]
fn headers_that_are_there_several_times_stay_so() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(200, "{}")]);
    let profile = serde_json::json!({"method": "api-key", "base_url": server.url("/v1"), "model": "m",
        "headers": {"openai-beta": "of the profile"}});
    sandbox.config(&serde_json::json!({"default_profile": "p", "profiles": {"p": profile}}).to_string());
    let proxy = Proxy::of(sandbox.tool("qwen-proxy").env("OPENAI_API_KEY", KEY));
    let headers = "accept: a\r\nopenai-beta: x\r\nx-stainless-a: 1\r\naccept: b\r\nx-stainless-a: 2\r\nopenai-beta: y\r\n\
                   accept-encoding: gzip\r\naccept-encoding: br\r\naccept: c\r\n";
    assert_eq!(proxy.post_with(CHAT, headers, "{}").status, 200);
    let seen = &server.requests()[0];
    let all = |wanted: &str| {
        let named = seen
            .headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(all("accept"), ["a", "b", "c"]);
    assert_eq!(all("x-stainless-a"), ["1", "2"]);
    assert_eq!(all("accept-encoding"), ["gzip", "br"]);
    assert_eq!(all("openai-beta"), ["of the profile"]);
    assert_eq!(all("authorization"), [format!("Bearer {KEY}")]);
}

/// Bytes with everything in them that somebody could want to improve.
fn odd_bytes(random: &mut Random, length: usize) -> Vec<u8> {
    let words: [&[u8]; 10] = [
        b"data: {\"choices\":[],\"usage\":null}\n\n",
        b"\r\n",
        b"\n\n",
        b"{\"usage\":{\"total_tokens\":3}}",
        "\u{feff}ä".as_bytes(),
        b"0\r\n\r\n",
        b"sk-canary-lent-0123456789abcde",
        b"\0\xff\xfe",
        b"data: [DONE]",
        b"sk-",
    ];
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match random.below(3) {
            0 => bytes.extend_from_slice(random.pick::<&[u8]>(&words)),
            _ => bytes.push(random.byte()),
        }
    }
    bytes.truncate(length);
    // The key itself would not pass.
    while let Some(place) = bytes.windows(KEY.len()).position(|part| part == KEY.as_bytes()) {
        bytes[place] = 0;
    }
    bytes
}

#[test]
fn answers_pass_to_the_byte_however_they_are_cut() {
    let sandbox = Sandbox::new();
    let mut random = Random::from_environment();
    let mut cases = Vec::new();
    for length in [0, 1, 2, 100, 8191, 8192, 65_536, 300_000] {
        let body = odd_bytes(&mut random, length);
        cases.push((Reply::new(200, "application/octet-stream", &body), body.clone()));
        let mut reply = Reply::stream_head();
        let mut at = 0;
        while at < body.len() {
            let end = (at + 1 + random.below(5000)).min(body.len());
            reply = reply.chunk(&body[at..end]);
            at = end;
        }
        cases.push((reply.send("0\r\n\r\n"), body));
    }
    let replies: Vec<Reply> = cases.iter().map(|(reply, _)| reply.clone()).collect();
    let server = Server::script(replies);
    let proxy = Proxy::start(&sandbox, &server, &["--log", "log.jsonl"]);
    for (_, body) in &cases {
        let answer = proxy.post(CHAT, "{}");
        assert!(answer.is_whole && answer.body == *body, "{} bytes", body.len());
    }
}

#[test]
fn bodies_pass_to_the_byte_however_they_are_cut() {
    let sandbox = Sandbox::new();
    let mut random = Random::from_environment();
    let server = Server::script([Reply::json(200, "{}")]);
    let proxy = Proxy::start(&sandbox, &server, &[]);
    for length in [1, 100, 65_535, 65_536, 65_537, 400_000] {
        let body = odd_bytes(&mut random, length);
        assert_eq!(
            proxy.post_with(CHAT, "content-encoding: gzip\r\n", &body).status,
            200
        );
        let seen = server.requests().pop().unwrap();
        assert!(seen.body == body && seen.header("content-length") == Some(&*length.to_string()));
        let mut connection = proxy.connect();
        connection.send(proxy.head(
            "POST",
            "/v1/audio/transcriptions",
            "transfer-encoding: chunked\r\n",
        ));
        let mut at = 0;
        while at < body.len() {
            let end = (at + 1 + random.below(9000)).min(body.len());
            connection.send(format!("{:x}\r\n", end - at));
            connection.send(&body[at..end]);
            connection.send("\r\n");
            at = end;
        }
        connection.send("0\r\n\r\n");
        assert_eq!(connection.answer().status, 200);
        assert!(server.requests().pop().unwrap().body == body, "{length}");
    }
}

#[test]
fn heads_and_events_pass_when_they_come() {
    let sandbox = Sandbox::new();
    let gates = [Gate::default(), Gate::default(), Gate::default()];
    let reply = Reply::stream_head()
        .gate(&gates[0])
        .chunk("data: one\n\n")
        .gate(&gates[1])
        .chunk("data: t")
        .gate(&gates[2])
        .chunk("wo\n\n")
        .send("0\r\n\r\n");
    let server = Server::script([reply]);
    for args in [
        &[][..],
        &["--log", "log.jsonl"],
        &["--max-total-tokens", "100000"],
    ] {
        let proxy = Proxy::start(&sandbox, &server, args);
        let mut connection = proxy.connect();
        let body = "{\"stream\":true}";
        let length = format!("content-length: {}\r\n", body.len());
        connection.send(proxy.head("POST", CHAT, &length) + body);
        connection.wait_for("text/event-stream");
        gates[0].open();
        connection.wait_for("data: one\n\n");
        gates[1].open();
        if args.first() != Some(&"--max-total-tokens") {
            connection.wait_for("data: t");
        }
        gates[2].open();
        connection.wait_for("wo\n\n");
        assert!(connection.answer().is_whole);
    }
}

/// An answer whose reader does not read is not collected here.
#[test]
fn a_reader_that_stops_stops_the_server() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy_of(&sandbox, &upstream);
    let mut client = proxy.connect();
    client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
    let mut server = upstream.accept();
    server.wait_for("{}");
    server.send("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n");
    server.stream.set_nonblocking(true).unwrap();
    let piece = [b'x'; 65_536];
    let mut written = 0_usize;
    let mut quiet = 0;
    while quiet < 40 {
        match server.stream.write(&piece) {
            Ok(count) => (written, quiet) = (written + count, 0),
            Err(_) => {
                quiet += 1;
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert!(written < 200 << 20, "all of it is taken, though nobody reads it");
    }
    let held = memory_of(proxy.pid());
    assert!(held < 64 << 20, "{held} bytes");
}

/// The most memory that a process has had, in bytes.
fn memory_of(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<usize>()
        .unwrap()
        << 10
}

/// A body whose server does not read is not collected here.
#[test]
fn a_server_that_stops_stops_the_upload() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy_of(&sandbox, &upstream);
    let mut client = proxy.connect();
    client.send(proxy.head(
        "POST",
        "/v1/audio/transcriptions",
        "content-length: 1000000000\r\n",
    ));
    let mut server = upstream.accept();
    server.wait_for("\r\n\r\n");
    client.stream.set_nonblocking(true).unwrap();
    let piece = [b'x'; 65_536];
    let (mut written, mut quiet) = (0_usize, 0);
    while quiet < 40 {
        match client.stream.write(&piece) {
            Ok(count) => (written, quiet) = (written + count, 0),
            Err(_) => {
                quiet += 1;
                thread::sleep(Duration::from_millis(10));
            }
        }
        assert!(written < 200 << 20);
    }
    let held = memory_of(proxy.pid());
    assert!(held < 64 << 20, "{held} bytes");
}

/// In which phase of a request the client hangs up.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// Before the server has answered.
    BeforeHead,
    /// Within the answer.
    WithinAnswer,
    /// While it uploads to a server that reads.
    WithinUpload,
    /// While it uploads to a server that does not read, so that bytes wait.
    BlockedUpload,
    /// While it does not read an answer that goes on.
    BlockedAnswer,
    /// With another request already sent behind this one.
    Pipelined,
}

#[test]
fn a_client_that_goes_away_ends_the_request_in_every_phase() {
    use Moment::{BeforeHead, BlockedAnswer, BlockedUpload, Pipelined, WithinAnswer, WithinUpload};
    let sandbox = Sandbox::new();
    for moment in [
        BeforeHead,
        WithinAnswer,
        WithinUpload,
        BlockedUpload,
        BlockedAnswer,
        Pipelined,
    ] {
        for is_reset in [false, true] {
            for args in [
                &[][..],
                &["--max-requests", "100", "--max-total-tokens", "1000000"],
            ] {
                // A budget takes the body whole: nothing is uploaded to the server then.
                if !args.is_empty() && matches!(moment, WithinUpload | BlockedUpload) {
                    continue;
                }
                hang_up(&sandbox, moment, is_reset, args);
            }
        }
    }
}

fn hang_up(sandbox: &Sandbox, moment: Moment, is_reset: bool, args: &[&str]) {
    let upstream = RawServer::start();
    let proxy = Proxy::of(Proxy::tool(sandbox, &upstream.url()).args(args));
    let mut client = proxy.connect();
    let is_upload = matches!(moment, Moment::WithinUpload | Moment::BlockedUpload);
    let length = if is_upload { 1_000_000_000 } else { 2 };
    client.send(proxy.head("POST", CHAT, &format!("content-length: {length}\r\n")) + "{}");
    let mut server = upstream.accept();
    server.wait_for("\r\n\r\n");
    match moment {
        Moment::BeforeHead | Moment::WithinUpload => {}
        Moment::WithinAnswer | Moment::BlockedAnswer => {
            server.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n");
            client.wait_for("data: 1\n\n");
        }
        Moment::BlockedUpload => fill(&mut client.stream),
        Moment::Pipelined => client.send(proxy.head("GET", "/v1/models", "")),
    }
    if moment == Moment::BlockedAnswer {
        fill(&mut server.stream);
    }
    if is_reset {
        set_socket_linger(&client.stream, Some(Duration::ZERO)).unwrap();
    } else if moment != Moment::BlockedAnswer {
        // The polite end comes before the last one.
        client.stream.shutdown(Shutdown::Write).unwrap();
    }
    drop(client);
    // It is told by the connection's end, however long the test's machine takes for that.
    server.is_closed();
    assert!(!upstream.is_called(), "{moment:?}");
}

/// Writes until nothing more is taken.
fn fill(stream: &mut std::net::TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let piece = [b'x'; 65_536];
    let mut quiet = 0;
    while quiet < 20 {
        match stream.write(&piece) {
            Ok(1..) => quiet = 0,
            _ => {
                quiet += 1;
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn a_cut_stays_a_cut() {
    let sandbox = Sandbox::new();
    let chunked = || Reply::stream_head().chunk("data: 1\n\n");
    let replies = [
        ("chunks without an end", chunked().close()),
        ("chunks and a reset", chunked().reset()),
        ("half a chunk", Reply::stream_head().send("20\r\ndata").close()),
        ("no chunk at all", Reply::stream_head().close()),
        ("a chunk size that is none", chunked().send("zz\r\n").close()),
        (
            "a length that is not reached",
            Reply::default()
                .send("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\ndata: 1")
                .close(),
        ),
        (
            "a refusal that breaks off",
            Reply::default()
                .send("HTTP/1.1 400 No\r\ncontent-length: 20\r\n\r\n{\"error")
                .close(),
        ),
        (
            "a refusal in chunks that breaks off",
            Reply::default()
                .send("HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"err\r\n")
                .close(),
        ),
    ];
    let all = replies.clone();
    let server = Server::answering(move |count, _| all[count % all.len()].1.clone());
    for args in [&[][..], &["--log", "log.jsonl", "--max-total-tokens", "1000000"]] {
        let proxy = Proxy::start(&sandbox, &server, args);
        for (what, _) in &replies {
            let answer = proxy.post(CHAT, r#"{"stream":true}"#);
            let is_own = answer.header("x-qwen-proxy").is_some() && answer.status >= 500;
            assert!(!answer.is_whole || is_own, "{what}: {answer:?}");
        }
        if !args.is_empty() {
            proxy.ends();
            let log = sandbox.read("work/log.jsonl");
            assert!(
                log.lines().filter(|line| line.contains(r#""cut":true"#)).count() >= 6,
                "{log}"
            );
        }
    }
}

/// With the wait for the beginning as the limit, this would outlast what a connection of these tests waits for.
#[test]
fn a_pause_within_an_answer_has_a_limit_of_its_own() {
    let sandbox = Sandbox::new();
    let [begins, ends] = [Gate::default(), Gate::default()];
    let reply = Reply::stream_head()
        .gate(&begins)
        .chunk("data: one\n\n")
        .gate(&ends)
        .send("0\r\n\r\n");
    let server = Server::script([reply]);
    let limits = ["--idle-timeout", "1", "--first-byte-timeout", "600"];
    let proxy = Proxy::start(&sandbox, &server, &limits);
    let mut connection = proxy.connect();
    connection.send(proxy.head("POST", CHAT, "content-length: 15\r\n") + "{\"stream\":true}");
    connection.wait_for("text/event-stream");
    begins.open();
    connection.wait_for("data: one\n\n");
    assert!(!connection.answer().is_whole);
    ends.open();
}

/// Comments keep a connection alive, and an answer that never comes waits for ever behind them.
#[test]
fn an_answer_that_goes_on_and_says_nothing_has_a_limit() {
    let sandbox = Sandbox::new();
    let empty = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"}}]}\n\n";
    for piece in [": ping\n\n", empty] {
        let upstream = RawServer::start();
        let limits = [
            "--progress-timeout",
            "1",
            "--idle-timeout",
            "600",
            "--log",
            "log.jsonl",
        ];
        let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()).args(limits));
        let mut client = proxy.connect();
        client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        let mut server = upstream.accept();
        server.wait_for("{}");
        server.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
        let writer = thread::spawn(move || {
            while server.stream.write_all(piece.as_bytes()).is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let answer = client.answer();
        assert!(!answer.is_whole && answer.text().contains(piece), "{answer:?}");
        writer.join().unwrap();
    }
    let log = sandbox.read("work/log.jsonl");
    assert_eq!(log.matches(r#""cut":true"#).count(), 2, "{log}");
}

/// RFC 9110, section 9.3.2.
#[test]
fn a_head_is_what_a_get_would_answer_without_its_content() {
    let sandbox = Sandbox::new();
    let body = r#"{"data":[{"id":"m"},{"id":"x"}]}"#;
    let server = Server::script([Reply::json(200, body)]);
    for (args, length) in [(&[][..], body.len()), (&["--allow-model", "m"], 21)] {
        let proxy = Proxy::start(&sandbox, &server, &[&["--log", "log.jsonl"], args].concat());
        let mut connection = proxy.connect();
        for _ in 0..2 {
            connection.send(proxy.head("HEAD", "/v1/models", ""));
            connection.wait_for("\r\n\r\n");
            let answer = connection.head_of_answer();
            let told = answer.header("content-length").unwrap();
            assert_eq!((answer.status, told), (200, &*length.to_string()));
            // Nothing of the content stands before the next answer.
            connection.send(proxy.head("HEAD", "/v1/files", ""));
            let refused = connection.head_of_answer();
            assert_eq!((refused.status, refused.header("x-qwen-proxy")), (404, Some("1")));
        }
        connection.send(proxy.head("GET", "/v1/models", ""));
        assert_eq!(connection.answer().body.len(), length);
        assert_eq!(server.requests().pop().unwrap().method, "GET");
        drop(connection);
        proxy.ends();
    }
    let log = sandbox.read("work/log.jsonl");
    assert!(!log.contains(r#""cancelled":true"#), "{log}");
}

#[test]
fn refusals_of_the_server_pass_as_they_came() {
    let sandbox = Sandbox::new();
    let large = format!("{{\"error\":{{\"message\":\"{}\"}}}}", "x".repeat(200_000));
    let cases = [
        (400, r#"{ "error" : {"message":"bad","code":null} }"#),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}"#,
        ),
        (422, large.as_str()),
        (
            429,
            r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#,
        ),
        (500, "<html>oops</html>"),
        (503, ""),
    ];
    let replies = cases.map(|(status, body)| {
        let headers = [
            ("content-type", "application/json"),
            ("retry-after", "7"),
            ("retry-after-ms", "6500"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-request-id", "r1"),
            ("x-qwen-proxy", "1"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
        ];
        Reply::with_headers(status, &headers, body)
    });
    let server = Server::script(replies);
    let proxy = Proxy::start(&sandbox, &server, &[]);
    for (status, body) in cases {
        let answer = proxy.post(CHAT, "{}");
        assert_eq!((answer.status, answer.text().as_str()), (status, body));
        assert!(answer.is_whole);
        for (name, value) in [
            ("retry-after", Some("7")),
            ("retry-after-ms", Some("6500")),
            ("x-ratelimit-remaining-requests", Some("0")),
            ("x-request-id", Some("r1")),
            ("x-qwen-proxy", None),
            ("set-cookie", None),
            ("access-control-allow-origin", None),
        ] {
            assert_eq!(answer.header(name), value, "{status} {name}");
        }
    }
    assert_eq!(server.count(), cases.len(), "nothing is asked twice");
}

#[test]
fn a_compressed_answer_passes_as_it_is() {
    let sandbox = Sandbox::new();
    let body = b"\x1f\x8b\x08 not even gzip";
    let reply = Reply::with_headers(
        200,
        &[("content-type", "application/json"), ("content-encoding", "gzip")],
        body,
    );
    let server = Server::script([reply]);
    let proxy = Proxy::start(&sandbox, &server, &["--log", "log.jsonl"]);
    let answer = proxy.post_with(CHAT, "accept-encoding: gzip, br\r\n", "{}");
    assert_eq!(
        (answer.body.as_slice(), answer.header("content-encoding")),
        (&body[..], Some("gzip"))
    );
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("gzip, br"));
}

#[test]
fn a_redirect_is_not_followed_and_leads_nobody_past_the_proxy() {
    let sandbox = Sandbox::new();
    let other = Server::untouched();
    let target = other.url("/v1/chat/completions");
    let server = Server::script(
        [302, 307, 308].map(|status| Reply::with_headers(status, &[("location", &*target)], "")),
    );
    let proxy = Proxy::start(&sandbox, &server, &[]);
    for _ in 0..3 {
        let answer = proxy.post(CHAT, "{}");
        answer.refuses(502, "upstream_redirect");
        assert_eq!(answer.header("location"), None);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_as_such() {
    let sandbox = Sandbox::new();
    let proxy = Proxy::of(Proxy::tool(&sandbox, "http://127.0.0.1:9/v1"));
    let answer = proxy.post(CHAT, "{}");
    answer.refuses(502, "upstream_unreachable");
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    let upstream = RawServer::start();
    let tool = Proxy::tool(&sandbox, &upstream.url()).args(["--first-byte-timeout", "0.3"]);
    let proxy = Proxy::of(tool);
    proxy.post(CHAT, "{}").refuses(504, "upstream_timeout");
}

/// A connection that the server has closed while nobody used it costs no request.
#[test]
fn a_connection_that_has_died_meanwhile_costs_no_request() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy_of(&sandbox, &upstream);
    for round in 0..20 {
        let mut client = proxy.connect();
        client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        let mut server = upstream.accept();
        server.wait_for("{}");
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        assert_eq!(client.answer().text(), "ok", "{round}");
        drop(server);
        // The end of a connection is seen when the kernel tells of it, which nobody outside can see: a moment for that is
        // what the case is about.
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|count, _| Reply::json(200, &format!("{{\"n\":{count}}}")));
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let mut connection = proxy.connect();
    for number in 0..50 {
        if number % 3 == 0 {
            connection.send(proxy.head("GET", "/v1/files", ""));
            connection.answer().refuses(404, "path_not_allowed");
        }
        connection.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        assert_eq!(connection.answer().text(), format!("{{\"n\":{number}}}"));
    }
    // Several at once, answered in order.
    let request = proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}";
    connection.send(request.repeat(5));
    for number in 50..55 {
        assert_eq!(connection.answer().text(), format!("{{\"n\":{number}}}"));
    }
}

/// The server may quote what it was sent, wherever it likes.
#[test]
fn a_server_that_shows_the_key_shows_it_to_nobody() {
    let sandbox = Sandbox::new();
    let escaped: String = KEY.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let replies = [
        Reply::json(400, &format!("{{\"error\":{{\"message\":\"bad: {KEY}\"}}}}")),
        Reply::json(400, &format!("{{\"error\":{{\"message\":\"bad: {escaped}\"}}}}")),
        Reply::json(500, &format!("no JSON: Bearer {KEY}")),
        Reply::json(200, &format!("{{\"echo\":\"{KEY}\"}}")),
        Reply::stream([
            &KEY.as_bytes()[..9],
            &KEY.as_bytes()[9..10],
            &KEY.as_bytes()[10..],
            b" after",
        ]),
        Reply::with_headers(
            200,
            &[("x-echo", &*format!("Bearer {KEY}")), ("x-fine", "1")],
            "{}",
        ),
        Reply::json(
            401,
            &format!("{{\"error\":{{\"message\":\"Incorrect API key provided: {KEY}\"}}}}"),
        ),
        Reply::json(
            403,
            &format!("{{\"error\":{{\"message\":\"key {KEY} is not valid\",\"code\":\"invalid_api_key\"}}}}"),
        ),
    ];
    let count = replies.len();
    let server = Server::script(replies);
    let proxy = Proxy::start(&sandbox, &server, &["--log", "log.jsonl", "-v"]);
    for number in 0..count {
        let answer = proxy.post(CHAT, "{}");
        let shown = format!("{answer:?}{}", answer.text());
        assert!(
            !shown.contains(KEY) && !shown.contains("\\u0073\\u006b"),
            "{number}: {shown}"
        );
        assert!(answer.is_whole, "{number}");
        match number {
            3 => assert_eq!(
                answer.text(),
                format!("{{\"echo\":\"{}\"}}", "*".repeat(KEY.len()))
            ),
            4 => assert_eq!(answer.text(), format!("{} after", "*".repeat(KEY.len()))),
            5 => assert_eq!(
                (answer.header("x-echo"), answer.header("x-fine")),
                (None, Some("1"))
            ),
            6 | 7 => drop(answer.refuses(401, "login_required")),
            _ => {}
        }
    }
    let run = proxy.ends();
    assert!(!run.stderr.contains(KEY), "{}", run.stderr);
    assert_eq!(sandbox.files_with(&[KEY]), Vec::<std::path::PathBuf>::new());
}

/// The secrets of a profile are as little the client's as the key: in no answer, no error, no header, no log.
#[test]
fn a_server_that_shows_the_profiles_secrets_shows_them_to_nobody() {
    const SECRETS: [&str; 4] = [
        "canary-header-0123456789",
        "canary-cookie-0123456789",
        "canary-query-0123456789",
        "canary-member-0123456789",
    ];
    let [header, cookie, query, member] = SECRETS;
    let all = SECRETS.join(" ");
    let error = format!("{{\"error\":{{\"message\":\"bad: {all}\"}}}}");
    let halves = [
        &all.as_bytes()[..11],
        &all.as_bytes()[11..40],
        &all.as_bytes()[40..],
    ];
    let replies = [
        Reply::json(400, &error),
        Reply::json(401, &error),
        Reply::json(500, &format!("no JSON: {all}")),
        Reply::json(200, &format!("{{\"echo\":\"{all}\"}}")),
        Reply::stream(halves),
        Reply::with_headers(200, &[("x-echo", &*all), ("x-fine", "1")], "{}"),
        Reply::with_headers(
            302,
            &[("location", &*format!("https://other.example/?k={query}"))],
            "",
        ),
        Reply::stream_head().chunk(&all).reset(),
    ];
    let (sandbox, count) = (Sandbox::new(), replies.len());
    let server = Server::script(replies);
    let profile = serde_json::json!({
        "method": "api-key", "base_url": server.url("/v1"), "model": "m",
        "headers": {"x-gateway-key": header, "cookie": format!("session={cookie}")},
        "query": {"subscription-key": query}, "body": {"auth": {"token": member}},
    });
    sandbox.config(&serde_json::json!({"default_profile": "p", "profiles": {"p": profile}}).to_string());
    let tool = sandbox.tool("qwen-proxy").env("OPENAI_API_KEY", KEY);
    let proxy = Proxy::of(tool.args(["--log", "log.jsonl", "-v"]));
    for number in 0..count {
        let answer = proxy.post(CHAT, "{}");
        let shown = format!("{answer:?}{}", answer.text());
        assert!(!shown.contains("canary"), "{number}: {shown}");
        assert_eq!(answer.is_whole, number + 1 < count, "{number}: {shown}");
        if matches!(number, 3 | 4 | 7) {
            assert!(shown.contains(&"*".repeat(header.len())), "{number}: {shown}");
        }
    }
    let seen = server.requests().pop().unwrap();
    let seen = format!("{seen:?}{}", seen.text());
    assert!(SECRETS.iter().all(|secret| seen.contains(secret)), "{seen}");
    let run = proxy.ends();
    assert!(!run.stderr.contains("canary"), "{}", run.stderr);
    let log = sandbox.read("work/log.jsonl");
    assert!(!log.contains("canary") && log.lines().count() == count, "{log}");
}

#[test]
fn a_log_has_a_line_a_request_and_no_content() {
    let sandbox = Sandbox::new();
    let usage = r#"{"choices":[{"message":{"content":"secret words"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}"#;
    let server = Server::script([Reply::json(200, usage), Reply::json(400, "{}")]);
    let proxy = Proxy::start(&sandbox, &server, &["--log", "log.jsonl"]);
    let body = r#"{"model":"m","messages":[{"content":"a question"}]}"#;
    proxy.post("/v1/chat/completions?key=hidden", body);
    proxy.post(CHAT, body);
    proxy.send(
        "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer sk-of-the-user-0123\r\n\r\n",
    );
    proxy.ends();
    let log = sandbox.read("work/log.jsonl");
    assert_eq!(sandbox.mode("work/log.jsonl"), 0o600);
    for hidden in ["secret words", "a question", "hidden", "sk-of-the-user", KEY] {
        assert!(!log.contains(hidden), "{log}");
    }
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{log}");
    let [first, second, third] = &lines[..] else {
        panic!()
    };
    assert_eq!(
        (&first["path"], &first["model"], &first["status"]),
        (&CHAT.into(), &"m".into(), &200.into())
    );
    assert_eq!(first["usage"]["total_tokens"], 7);
    assert_eq!(
        (&first["bytes_in"], &first["bytes_out"]),
        (&body.len().into(), &usage.len().into())
    );
    assert_eq!(
        (&first["cancelled"], &second["status"]),
        (&false.into(), &400.into())
    );
    assert_eq!(
        (&third["status"], &third["error"]),
        (&401.into(), &"invalid_token".into())
    );
    assert!(first["time"].as_str().unwrap().ends_with('Z') && first["ms"].is_u64());
}

#[test]
fn a_disk_that_is_full_stops_nobody() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(200, "{}")]);
    let proxy = Proxy::start(&sandbox, &server, &["--log", "/dev/full"]);
    for _ in 0..20 {
        assert_eq!(proxy.post(CHAT, "{}").status, 200);
    }
    let said = proxy.ends().stderr;
    assert_eq!(said.matches("/dev/full").count(), 1, "{said}");
    Proxy::tool(&sandbox, "http://127.0.0.1:9/v1")
        .args(["--log", "/nowhere/log"])
        .args(["--", "echo", "it runs"])
        .run()
        .fails(74, &["/nowhere/log"]);
    let link = sandbox.root().join("work/link");
    std::os::unix::fs::symlink(sandbox.root().join("work/target"), &link).unwrap();
    Proxy::tool(&sandbox, "http://127.0.0.1:9/v1")
        .args(["--log", "link"])
        .args(["--", "echo", "it runs"])
        .run()
        .fails(74, &["link"]);
}

/// Two hundred streams at once: memory stays small, and each gets its own bytes.
#[test]
fn many_streams_at_once_are_kept_apart_and_hold_little() {
    let sandbox = Sandbox::new();
    let gate = Gate::default();
    let opened = gate.clone();
    let server = Server::answering(move |_, request| {
        let body = request.text();
        Reply::stream_head()
            .chunk(format!("data: {body}\n\n"))
            .gate(&opened)
            .chunk(format!("data: end {body}\n\n"))
            .send("0\r\n\r\n")
    });
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let mut clients: Vec<_> = (0..256)
        .map(|number| {
            let body = format!("{{\"n\":{number}}}");
            let mut connection = proxy.connect();
            connection.send(proxy.head("POST", CHAT, &format!("content-length: {}\r\n", body.len())) + &body);
            (connection, body)
        })
        .collect();
    for (connection, body) in &mut clients {
        connection.wait_for(&format!("data: {body}\n\n"));
    }
    let held = memory_of(proxy.pid());
    gate.open();
    for (connection, body) in &mut clients {
        let answer = connection.answer();
        assert_eq!(answer.text(), format!("data: {body}\n\ndata: end {body}\n\n"));
    }
    // 24 MiB is the limit for a release build; this one is larger.
    assert!(held < 100 << 20, "{held} bytes");
}

#[test]
fn a_socket_passes_what_a_port_passes() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("run/p.sock");
    let server = Server::script([Reply::stream(["data: a\n\n", "data: b\n\n"])]);
    let proxy = Proxy::start(
        &sandbox,
        &server,
        &["--socket", path.to_str().unwrap(), "--listen", "127.0.0.1:0"],
    );
    assert!(proxy.port > 0);
    let mut stream = UnixStream::connect(&path).unwrap();
    let head = proxy.head("POST", CHAT, "content-length: 2\r\nconnection: close\r\n") + "{}";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(contains(&answer, b"data: a\n\n") && contains(&answer, b"data: b\n\n"));
    assert_eq!(proxy.post(CHAT, "{}").text(), "data: a\n\ndata: b\n\n");
    wait_until("both are counted", || server.count() == 2);
}

//! Who is at fault where a request or an answer of qwen-proxy does not come to its end.

use std::net::Shutdown;

use serde_json::Value;

use crate::support::proxy::{KEY, Proxy, RawServer};
use crate::support::{Sandbox, wait_until};

const CHAT: &str = "/v1/chat/completions";

fn proxy(sandbox: &Sandbox, upstream: &RawServer, args: &[&str]) -> Proxy {
    Proxy::of(Proxy::tool(sandbox, &upstream.url()).args(args))
}

/// Waits for the only line of the log.
fn line(sandbox: &Sandbox) -> Value {
    let mut line = Value::Null;
    wait_until("the line of the request", || {
        let log = sandbox.read("work/log.jsonl");
        line = serde_json::from_str(&log).unwrap_or_default();
        line.is_object()
    });
    line
}

#[test]
fn a_body_that_the_client_breaks_off_is_no_fault_of_the_server() {
    for (args, begins) in [(&[][..], true), (&["--allow-model", "m"], false)] {
        for (headers, body) in [
            ("content-length: 5000000\r\n", "{\"model\":\"m\",\"a\":\"aaaa"),
            ("transfer-encoding: chunked\r\n", "10\r\n{\"model\":\"m\",\"a\r\n"),
            (
                "transfer-encoding: chunked\r\n",
                "10\r\n{\"model\":\"m\",\"a\r\nno size\r\n",
            ),
        ] {
            let sandbox = Sandbox::new();
            let upstream = RawServer::start();
            let proxy = proxy(&sandbox, &upstream, &[&["--log", "log.jsonl"], args].concat());
            let mut client = proxy.connect();
            client.send(proxy.head("POST", CHAT, headers));
            client.send(body);
            let server = begins.then(|| {
                let mut server = upstream.accept();
                server.wait_for("model");
                server
            });
            client.stream.shutdown(Shutdown::Write).unwrap();
            let answer = client.answer();
            if answer.status != 0 {
                answer.refuses(400, "body_cut");
            }
            drop(client);
            let line = line(&sandbox);
            assert_eq!(line["cancelled"], true, "{args:?} {body}: {line}");
            assert_ne!(line["error"], "upstream_closed", "{line}");
            drop(server);
        }
    }
}

#[test]
fn a_change_of_the_protocol_that_nobody_asked_for_is_not_passed_on() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy(&sandbox, &upstream, &[]);
    let mut client = proxy.connect();
    client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
    let mut server = upstream.accept();
    server.wait_for("{}");
    server.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
    client.answer().refuses(502, "upstream_invalid");
}

/// A length beside chunks is the way to smuggle an answer (RFC 9112, section 6.3).
#[test]
fn chunks_tell_the_end_of_an_answer_whatever_length_is_named_besides() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy(&sandbox, &upstream, &[]);
    for length in [2, 40] {
        let mut client = proxy.connect();
        client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
        let mut server = upstream.accept();
        server.wait_for("{}");
        server.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n7\r\n{{\"a\":1}}\r\n0\r\n\r\n"
        ));
        let answer = client.answer();
        let is_refused = answer.status == 502;
        assert!(
            is_refused || answer.text() == "{\"a\":1}" && answer.is_whole,
            "{answer:?}"
        );
    }
}

/// The beginning of what may be the credential is held back until more comes.
#[test]
fn what_was_held_back_is_sent_where_the_answer_breaks_off() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let proxy = proxy(&sandbox, &upstream, &[]);
    let mut client = proxy.connect();
    client.send(proxy.head("POST", CHAT, "content-length: 2\r\n") + "{}");
    let mut server = upstream.accept();
    server.wait_for("{}");
    let text = format!("an answer {KEY} that ends with s");
    server.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 500\r\n\r\n{text}"
    ));
    drop(server);
    let answer = client.answer();
    assert!(!answer.is_whole);
    assert_eq!(answer.text(), text.replace(KEY, &"*".repeat(KEY.len())));
}

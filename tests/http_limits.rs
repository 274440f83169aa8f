//! What time is counted from, and what comes compressed: the floor under every client.
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::support::chat::{DONE, KEY, chat, finish, text};
use crate::support::{Reply, Sandbox, Server, Tool};

/// Enough that no kernel takes it all at once.
const LARGE: usize = 24 << 20;

/// What a server does with the connection of each client.
type Serve = fn(&mut std::net::TcpStream);

/// Starts a server and returns qwen-chat about to send it a large prompt.
fn upload(sandbox: &Sandbox, serve: Serve) -> Tool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            serve(&mut stream);
        }
    });
    sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{port}/v1"))
        .args(["--retries", "0", "--stdin", "hello"])
        .stdin("x".repeat(LARGE))
}

/// Reads a request to its end in pieces of this size, with a pause after each.
fn read_slowly(stream: &mut std::net::TcpStream, piece: usize, pause: Duration) {
    let (mut seen, mut head_end, mut length) = (Vec::new(), None, 0);
    let mut bytes = vec![0; piece];
    while head_end.is_none_or(|end| seen.len() < end + length) {
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "the request ended early");
        seen.extend_from_slice(&bytes[..count]);
        thread::sleep(pause);
        if head_end.is_none()
            && let Some(at) = seen.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&seen[..at]).to_ascii_lowercase();
            let line = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length = line.unwrap().trim().parse().unwrap();
            head_end = Some(at + 4);
        }
    }
}

fn reply(stream: &mut std::net::TcpStream) {
    let body = text("one") + &finish("stop") + DONE;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
}

#[test]
fn a_slow_upload_is_no_slow_answer() {
    let sandbox = Sandbox::new();
    // Some two seconds in all, with a limit of one for the first byte.
    let tool = upload(&sandbox, |stream| {
        read_slowly(stream, 128 << 10, Duration::from_millis(10));
        reply(stream);
    });
    let run = tool
        .args(["--first-byte-timeout", "1", "--idle-timeout", "60"])
        .run();
    run.gives(0, "one\n", "");
}

#[test]
fn an_upload_of_which_nothing_is_taken_is_given_up() {
    let sandbox = Sandbox::new();
    let tool = upload(&sandbox, |stream| {
        read_slowly(&mut stream.try_clone().unwrap(), 1, Duration::from_secs(3600));
    });
    let run = tool
        .args(["--first-byte-timeout", "60", "--idle-timeout", "1"])
        .run();
    run.fails(
        75,
        &[
            "nothing of the request was taken for 1 s",
            "hint: raise it with --idle-timeout SECONDS",
        ],
    );
}

#[test]
fn a_server_that_says_nothing_is_given_up_after_the_limit_for_the_first_byte_alone() {
    for body in ["short", &"x".repeat(200 << 10)] {
        let (sandbox, server) = (Sandbox::new(), Server::script([Reply::default().hold()]));
        let tool = chat(&sandbox, &server).args(["--retries", "0", "--first-byte-timeout", "0.3"]);
        let run = tool
            .args(["--stdin", "hello"])
            .stdin(body)
            .limit(Duration::from_secs(60))
            .run();
        run.fails(75, &["no answer within 0.3 s", "--first-byte-timeout SECONDS"]);
    }
}

#[test]
fn what_is_sent_asks_for_no_compression() {
    let (sandbox, server) = (
        Sandbox::new(),
        Server::script([crate::support::chat::answer(&["a"])]),
    );
    chat(&sandbox, &server).arg("hi").run().gives(0, "a\n", "");
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
}

/// Compresses by the system's gzip.
fn gzip(text: &str) -> Vec<u8> {
    let mut child = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap().stdout
}

#[test]
fn an_answer_that_is_compressed_unasked_is_read_whether_good_or_a_refusal() {
    let events = text("one ") + &text("two") + &finish("stop") + DONE;
    let whole = gzip(&events);
    let headers = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "gzip"),
    ];
    let refusal = gzip(r#"{"error": {"message": "no such model", "code": "model_not_found"}}"#);
    let json = [("content-type", "application/json")];
    let unnamed = &headers[..1];
    let plain = [
        ("content-type", "text/event-stream"),
        ("content-encoding", "utf-8"),
    ];
    for (reply, code, stdout, said) in [
        (Reply::with_headers(200, &headers, &whole), 0, "one two\n", ""),
        // The head does not say so.
        (Reply::with_headers(200, unnamed, &whole), 0, "one two\n", ""),
        (Reply::with_headers(404, &json, &refusal), 69, "", "no such model"),
        // What the head says is no compression.
        (Reply::with_headers(200, &plain, &events), 0, "one two\n", ""),
        (
            Reply::with_headers(200, &headers, &whole[..whole.len() / 2]),
            76,
            "",
            "compressed data",
        ),
        (
            Reply::with_headers(
                404,
                &[("content-type", "application/json"), ("content-encoding", "gzip")],
                refusal,
            ),
            69,
            "",
            "no such model",
        ),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        let run = chat(&sandbox, &server).args(["--retries", "0", "hi"]).run();
        assert_eq!(run.code(), code, "{run:#?}");
        assert!(
            run.text().starts_with(stdout) && run.stderr.contains(said),
            "{run:#?}"
        );
    }
}

#[test]
fn a_keyless_server_of_a_private_network_is_asked_with_a_notice() {
    let sandbox = Sandbox::new();
    for base in [
        "http://192.168.1.50:11434/v1",
        "http://ollama:11434/v1",
        "http://nas.local/v1",
        "http://host.docker.internal:11434/v1",
        "http://[fd00::7]:8000/v1",
    ] {
        let tool = || {
            sandbox
                .tool("qwen-chat")
                .env("OPENAI_BASE_URL", base)
                .args(["--dry-run", "hi"])
        };
        let run = tool().run().exits(0);
        let notice = format!(
            "qwen-chat: '{base}': plain http: who is on that network can read questions and answers\n"
        );
        assert_eq!(run.stderr.matches(&notice).count(), 1, "{run:#?}");
        let run = tool().env("OPENAI_API_KEY", KEY).run();
        run.fails(78, &["plain http would show the secret to the network"]);
    }
    for base in ["http://llm.example/v1", "http://8.8.8.8/v1"] {
        let run = sandbox
            .tool("qwen-chat")
            .env("OPENAI_BASE_URL", base)
            .args(["--dry-run", "hi"])
            .run();
        assert!([77, 78].contains(&run.code()), "{run:#?}");
    }
}

#[test]
fn a_server_of_the_private_network_answers_without_a_key() {
    let sandbox = Sandbox::new();
    let body = text("from the lan") + &finish("stop") + DONE;
    sandbox.write("body", &body);
    // In a network of its own, so that nothing leaves the machine.
    let script = format!(
        "ip link set lo up && ip addr add 192.168.77.1/24 dev lo || exit 99\n\
         python3 -c '{}' & until [ -e ready ]; do sleep 0.01; done\n\
         exec qwen-chat --retries 0 hi",
        "import http.server as s\n\
         class H(s.BaseHTTPRequestHandler):\n\
         \x20 def do_POST(self):\n\
         \x20   self.rfile.read(int(self.headers[\"content-length\"])); b=open(\"../body\",\"rb\").read()\n\
         \x20   self.send_response(200 if self.headers[\"authorization\"] is None else 500)\n\
         \x20   self.send_header(\"content-type\",\"text/event-stream\"); self.send_header(\"content-length\",str(len(b)))\n\
         \x20   self.end_headers(); self.wfile.write(b)\n\
         v=s.HTTPServer((\"192.168.77.1\",8000),H); open(\"ready\",\"w\"); v.handle_request()"
    );
    let have = ["unshare", "ip", "python3"]
        .iter()
        .all(|name| crate::support::peers::command(name).is_some());
    if !crate::support::peers::present("unshare, ip and python3", have) {
        return;
    }
    let tools = crate::support::binary("qwen-chat");
    let path = format!(
        "{}:{}",
        tools.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let run = sandbox
        .command("/usr/bin/unshare")
        .args(["-rn", "sh", "-c", &script])
        .env("OPENAI_BASE_URL", "http://192.168.77.1:8000/v1")
        .env("PATH", path)
        .run();
    assert_eq!(
        (run.code(), run.text().as_str()),
        (0, "from the lan\n"),
        "{run:#?}"
    );
}

#[test]
fn a_login_at_a_server_of_the_private_network_needs_no_key_and_sends_none_unless_told_so() {
    const KEYLESS: &str = "http://192.168.1.50:11434/v1";
    let login = |sandbox: &Sandbox, base: &str| {
        let tool = sandbox
            .detached("qwen-login")
            .args(["--api-key", "--provider", "custom"]);
        tool.args([
            "--base-url",
            base,
            "--model",
            "m",
            "--no-verify",
            "--store",
            "file",
        ])
    };
    let allowed = |sandbox: &Sandbox| {
        let config: serde_json::Value =
            serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
        config["profiles"]["default"]["allow_http"] == true
    };
    let sandbox = Sandbox::new();
    let run = login(&sandbox, KEYLESS).run().exits(0);
    assert!(
        run.stderr.contains("plain http: who is on that network"),
        "{run:#?}"
    );
    assert!(!allowed(&sandbox));
    let refused = &[
        "plain http would show the secret to the network",
        "hint: use https, or add --allow-http if that network is yours",
    ];
    let with_key = |base: &str| {
        login(&sandbox, base)
            .arg("--with-key")
            .stdin("sk-0123456789abc\n")
    };
    with_key(KEYLESS).run().fails(78, refused);
    with_key("http://llm.example/v1").run().fails(78, refused);
    with_key(KEYLESS).arg("--allow-http").run().exits(0);
    assert!(allowed(&sandbox));
    // The profile's word holds for its own endpoint alone.
    with_key(KEYLESS).run().exits(0);
    assert!(allowed(&sandbox));
    with_key("http://192.168.1.51:11434/v1").run().fails(78, refused);
    with_key("https://llm.example/v1")
        .arg("--allow-http")
        .run()
        .exits(0);
    assert!(!allowed(&sandbox));
}

/// A silent head, comments alone, and a pause after the first words, each as a person sees it half a minute on.
#[test]
fn a_long_silence_is_told_with_the_limit_that_ends_it() {
    let comments = || {
        let ticks = std::iter::repeat_n(": still here\n\n", 12);
        ticks.fold(Reply::stream_head(), |reply, tick| {
            reply.chunk(tick).pause(Duration::from_secs(3))
        })
    };
    let cases = [
        (
            Reply::default().hold(),
            ["--first-byte-timeout", "32"],
            "waiting for the first word for 30 s; giving up after 32 s (--first-byte-timeout)",
            "no answer within 32 s",
        ),
        (
            Reply::default().hold(),
            ["--max-time", "31.5"],
            "waiting for the first word for 30 s; giving up after 31.5 s (--max-time)",
            "not done within 31.5 s",
        ),
        (
            comments(),
            ["--first-byte-timeout", "33"],
            "giving up after 33 s (--first-byte-timeout)",
            "no answer within 33 s",
        ),
        (
            Reply::stream_head().chunk(text("part")).hold(),
            ["--idle-timeout", "32"],
            "nothing new of the answer for 30 s; giving up after 32 s (--idle-timeout)",
            "the answer stalled for 32 s",
        ),
    ];
    thread::scope(|scope| {
        for (reply, flags, told, end) in cases {
            scope.spawn(move || {
                let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
                let tool = chat(&sandbox, &server).args(["--retries", "0", "hello"]);
                let run = tool.args(flags).limit(Duration::from_secs(120)).run();
                assert_eq!(run.code(), 75, "{run:#?}");
                for part in [told, end] {
                    assert!(run.stderr.contains(part), "no {part:?} in {run:#?}");
                }
                assert_eq!(run.stderr.matches("; giving up after").count(), 1, "{run:#?}");
            });
        }
    });
}

#[test]
fn an_answer_whose_transfer_is_compressed_is_read() {
    let events = text("one ") + &text("two") + &finish("stop") + DONE;
    let whole = gzip(&events);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
    let framed = |coding: &str| {
        let reply = Reply::default().send(format!("{head}transfer-encoding: {coding}\r\n\r\n"));
        let half = whole.len() / 2;
        reply
            .chunk(&whole[..half])
            .chunk(&whole[half..])
            .send("0\r\n\r\n")
    };
    let twice = format!("{head}transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n");
    for reply in [
        framed("gzip, chunked"),
        framed("GZIP,Chunked"),
        Reply::default().send(twice).chunk(&whole).send("0\r\n\r\n"),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        chat(&sandbox, &server).arg("hi").run().gives(0, "one two\n", "");
    }
    let (sandbox, server) = (Sandbox::new(), Server::script([framed("br, chunked")]));
    let run = chat(&sandbox, &server).arg("hi").run();
    run.fails(76, &["the answer is encoded as 'br', which was not asked for"]);
}

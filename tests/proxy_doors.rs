//! Who may ask qwen-proxy, and what: tokens, hosts, origins, framing, paths, rules, and clients that take all it has.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

use crate::support::proxy::{Answer, Connection, KEY, Proxy, RawServer};
use crate::support::{Reply, Run, Sandbox, Server, peers, wait_until};

/// An attack, and how it is repelled.
#[derive(Debug, Deserialize)]
struct Attack {
    name: String,
    #[serde(default)]
    args: Vec<String>,
    /// Each character is a byte; what stands in braces is filled in.
    send: String,
    /// `None`: whatever is no success.
    status: Option<u16>,
    code: Option<String>,
}

fn attacks() -> Vec<Attack> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/proxy/attacks.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes_of(attack: &Attack, proxy: &Proxy) -> Vec<u8> {
    let headers: String = (0..300).map(|number| format!("x-{number}: a\r\n")).collect();
    let text = attack
        .send
        .replace("{token-1}", &proxy.token[..proxy.token.len() - 1])
        .replace("{token}", &proxy.token)
        .replace("{port}", &proxy.port.to_string())
        .replace("{a*60000}", &"a".repeat(60_000))
        .replace("{a*100000}", &"a".repeat(100_000))
        .replace("{headers*300}", &headers);
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

#[test]
fn every_attack_of_the_table_is_repelled_and_the_server_is_not_asked() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let attacks = attacks();
    assert!(attacks.len() >= 100);
    let kinds: BTreeSet<_> = attacks.iter().map(|attack| attack.args.clone()).collect();
    for args in kinds {
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let proxy = Proxy::start(&sandbox, &server, &words);
        for attack in attacks.iter().filter(|attack| attack.args == args) {
            let mut connection = proxy.connect();
            connection.send(bytes_of(attack, &proxy));
            let answer = connection.answer();
            let name = &attack.name;
            assert!(!(200..400).contains(&answer.status), "{name}: {answer:?}");
            if let Some(status) = attack.status {
                assert_eq!(answer.status, status, "{name}: {}", answer.text());
            }
            if let Some(code) = &attack.code {
                assert_eq!(answer.code(), *code, "{name}: {}", answer.text());
                assert_eq!(answer.header("x-qwen-proxy"), Some("1"), "{name}");
            }
            let shown = format!("{answer:?}");
            assert!(
                !shown.contains(KEY) && !shown.contains(&proxy.token),
                "{name}: {shown}"
            );
        }
        // It serves on, as if nothing had been.
        proxy.get("/v1/files").refuses(404, "path_not_allowed");
    }
}

/// What is smuggled behind a request is no request: the connection is closed, or the bytes are that request's body.
/// RFC 9110, sections 11.6.1 and 15.5.6.
#[test]
fn a_refusal_says_which_methods_there_are_and_which_token_is_wanted() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &["--allow", "files"]);
    for (method, path, allowed) in [
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/v1/models/a", "GET, HEAD"),
        ("GET", "/v1/chat/completions", "POST"),
        ("HEAD", "/v1/embeddings", "POST"),
        ("OPTIONS", "/v1/responses", "POST"),
        ("PUT", "/v1/files/f", "GET, HEAD, POST, DELETE"),
        ("QUERY", "/v1/models", "GET, HEAD"),
    ] {
        let mut connection = proxy.connect();
        connection.send(proxy.head(method, path, ""));
        let answer = connection.head_of_answer();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some(allowed)),
            "{method} {path}"
        );
    }
    let host = format!("host: 127.0.0.1:{}", proxy.port);
    for (authorization, challenge) in [
        ("", "Bearer realm=\"qwen-proxy\""),
        (
            "authorization: Bearer other\r\n",
            "Bearer realm=\"qwen-proxy\", error=\"invalid_token\"",
        ),
    ] {
        let answer = proxy.send(format!(
            "GET /v1/models HTTP/1.1\r\n{host}\r\n{authorization}\r\n"
        ));
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some(challenge))
        );
    }
}

#[test]
fn nothing_is_smuggled_behind_a_request_that_is_refused() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &[]);
    for attack in attacks()
        .iter()
        .filter(|attack| attack.code.as_deref() == Some("invalid_framing"))
    {
        let mut connection = proxy.connect();
        connection.send(bytes_of(attack, &proxy));
        assert_eq!(connection.answer().status, 400, "{}", attack.name);
        connection.send(proxy.head("GET", "/v1/models", ""));
        assert_eq!(connection.answer().status, 0, "{}", attack.name);
    }
}

#[test]
fn guessing_tokens_opens_nothing_and_is_told_apart_by_nothing() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let mut connection = proxy.connect();
    let mut answers = BTreeSet::new();
    for place in 0..proxy.token.len() {
        let mut guess = proxy.token.clone().into_bytes();
        guess[place] = if guess[place] == b'x' { b'y' } else { b'x' };
        let guess = String::from_utf8(guess).unwrap();
        connection.send(format!(
            "GET /v1/models HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {guess}\r\n\r\n"
        ));
        let answer = connection.answer();
        answer.refuses(401, "invalid_token");
        assert!(!answer.text().contains(&guess));
        answers.insert(answer.text());
    }
    assert_eq!(answers.len(), 1);
}

fn models() -> Server {
    Server::script([Reply::json(200, r#"{"object":"list","data":[{"id":"m"}]}"#)])
}

#[test]
fn names_that_were_allowed_may_ask_and_others_still_not() {
    let sandbox = Sandbox::new();
    let server = models();
    let proxy = Proxy::start(
        &sandbox,
        &server,
        &["--host", "host.docker.internal", "--host", "tunnel.example"],
    );
    let ask = |host: &str| {
        proxy.send(format!(
            "GET /v1/models HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\r\n",
            proxy.token
        ))
    };
    for host in [
        "host.docker.internal:1234",
        "HOST.docker.INTERNAL",
        "tunnel.example",
        "localhost",
        "localhost.:99",
        "127.0.0.1:1",
        "[::1]:8080",
    ] {
        assert_eq!(ask(host).status, 200, "{host}");
    }
    for host in [
        "docker.internal",
        "x.host.docker.internal",
        "host.docker.internal.evil.example",
    ] {
        ask(host).refuses(403, "host_not_allowed");
    }
}

#[test]
fn a_page_of_an_allowed_origin_may_ask_and_read() {
    let sandbox = Sandbox::new();
    let server = models();
    let proxy = Proxy::start(&sandbox, &server, &["--allow-origin", "https://app.example"]);
    let origin = "Origin: https://app.example\r\n";
    let before = proxy.send(format!(
        "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{origin}\
         Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n"
    ));
    assert_eq!(before.status, 204);
    assert_eq!(
        before.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert!(
        before
            .header("access-control-allow-headers")
            .unwrap()
            .contains("authorization")
    );
    let answer = proxy.send(proxy.head("GET", "/v1/models", origin));
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    // Without the token the page gets nowhere.
    proxy
        .send(format!(
            "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{origin}\r\n"
        ))
        .refuses(401, "missing_token");
}

/// A real page of another origin, in a real browser: it knows the address and the token, and reads nothing.
#[test]
fn a_browsers_page_of_another_origin_gets_nothing() {
    let Some(browser) = chromium() else { return };
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let script = format!(
        "const url = 'http://127.0.0.1:{}/v1/';\
         const headers = {{authorization: 'Bearer {}', 'content-type': 'application/json'}};\
         const tries = [[url + 'models', {{headers}}], [url + 'models', {{}}], [url + 'models', {{mode: 'no-cors'}}],\
           [url + 'chat/completions', {{method: 'POST', headers, body: '{{}}'}}],\
           [url + 'chat/completions', {{method: 'POST', mode: 'no-cors', body: '{{}}'}}]];\
         (async () => {{ const seen = [];\
           for (const [target, options] of tries) {{\
             try {{ const answer = await fetch(target, options); seen.push(answer.type + answer.status + await answer.text()); }}\
             catch (error) {{ seen.push('blocked'); }} }}\
           document.body.textContent = 'seen:' + JSON.stringify(seen); }})();",
        proxy.port, proxy.token
    );
    let page = Server::script([Reply::new(
        200,
        "text/html",
        format!("<body>waiting</body><script>{script}</script>"),
    )]);
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=20000",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            sandbox.root().join("browser").display()
        ))
        .arg(page.url("/"));
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        shown.contains(r#"seen:["blocked","blocked","opaque0","blocked","opaque0"]"#),
        "{shown} {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn chromium() -> Option<std::path::PathBuf> {
    let found = peers::command("chromium").or_else(|| {
        [
            "/usr/bin/chromium",
            "/usr/bin/chromium-browser",
            "/usr/bin/google-chrome",
        ]
        .iter()
        .map(std::path::PathBuf::from)
        .find(|path| path.exists())
    });
    peers::present("chromium", found.is_some());
    found
}

#[test]
fn a_head_that_trickles_in_holds_nothing_up() {
    let sandbox = Sandbox::new();
    let server = models();
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let mut slow: Vec<_> = (0..50).map(|_| proxy.connect()).collect();
    for connection in &mut slow {
        connection.send("GET /v1/models HTTP/1.1\r\nx-a: ");
    }
    for _ in 0..20 {
        for connection in &mut slow {
            connection.send("a");
        }
        assert_eq!(proxy.get("/v1/models").status, 200);
    }
}

/// Strangers that hold every connection make room for who has the token.
#[test]
fn ten_thousand_connections_keep_nobody_out() {
    let sandbox = Sandbox::new();
    let server = models();
    let proxy = Proxy::start(&sandbox, &server, &[]);
    let mut known = proxy.connect();
    known.send(proxy.head("GET", "/v1/models", ""));
    assert_eq!(known.answer().status, 200);
    let mut held = Vec::new();
    for number in 0..10_000 {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", proxy.port)) else {
            break;
        };
        let _ = stream.write_all(if number % 2 == 0 { b"GET" } else { b"" });
        held.push(stream);
        // This process has limits of its own.
        if held.len() > 400 {
            drop(held.drain(..200));
        }
        if number % 2500 == 0 {
            assert_eq!(proxy.get("/v1/models").status, 200);
        }
    }
    assert_eq!(proxy.get("/v1/models").status, 200);
    known.send(proxy.head("GET", "/v1/models", ""));
    assert_eq!(known.answer().status, 200);
}

/// With few descriptors there is room for few, and the rest are told or wait; nothing spins or ends.
#[test]
fn running_out_of_descriptors_is_survived() {
    let sandbox = Sandbox::new();
    let server = models();
    let tool = Proxy::tool(&sandbox, &server.url("/v1"));
    let inner = tool.into_command();
    let mut tool = sandbox
        .command("/bin/sh")
        .args(["-c", "ulimit -n 80; exec \"$@\"", "sh"]);
    for (name, value) in inner.get_envs() {
        tool = tool.env(name, value.unwrap());
    }
    let proxy = Proxy::of(tool.arg(inner.get_program()));
    let held: Vec<_> = (0..200)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", proxy.port)).ok())
        .collect();
    assert!(held.len() > 100);
    wait_until("who has the token is served", || {
        proxy.get("/v1/models").status == 200
    });
    drop(held);
    assert_eq!(proxy.get("/v1/models").status, 200);
}

/// More clients than there is room for, each with the token and a request at once: all get an answer, if only that there is
/// no room.
#[test]
fn a_burst_of_clients_is_answered_where_there_are_few_descriptors() {
    let sandbox = Sandbox::new();
    let server = models();
    let inner = Proxy::tool(&sandbox, &server.url("/v1")).into_command();
    let mut tool = sandbox
        .command("/bin/sh")
        .args(["-c", "ulimit -n 64; exec \"$@\"", "sh"]);
    for (name, value) in inner.get_envs() {
        tool = tool.env(name, value.unwrap());
    }
    let proxy = Proxy::of(tool.arg(inner.get_program()));
    let request = proxy.head("GET", "/v1/models", "connection: close\r\n");
    let mut clients: Vec<_> = (0..100).map(|_| proxy.connect()).collect();
    for client in &mut clients {
        client.send(&request);
    }
    let answers: Vec<_> = clients.iter_mut().map(|client| client.answer()).collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(served >= 1, "{answers:?}");
    drop(clients);
    wait_until("room", || proxy.get("/v1/models").status == 200);
}

#[test]
fn a_socket_is_its_owners_alone_and_goes_with_the_proxy() {
    let sandbox = Sandbox::new();
    let server = models();
    let path = sandbox.root().join("run/proxy.sock");
    let place = path.to_str().unwrap();
    for (args, mode) in [
        (&[][..], 0o600),
        (&["--socket-mode", "660"], 0o660),
        (&["--socket-mode", "666"], 0o666),
    ] {
        let proxy = Proxy::start(&sandbox, &server, &[&["--socket", place], args].concat());
        assert_eq!(proxy.variables["QWEN_PROXY_SOCKET"], place);
        assert_eq!(proxy.variables["OPENAI_BASE_URL"], Value::Null);
        let found = fs::symlink_metadata(&path).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, mode);
        // Any host may be named: who reaches the file has been let in.
        let mut connection = Connection::socket(&path);
        connection.send(format!(
            "GET /v1/models HTTP/1.1\r\nHost: whatever\r\nAuthorization: Bearer {}\r\n\r\n",
            proxy.token
        ));
        assert_eq!(connection.answer().status, 200);
        connection.send("GET /v1/models HTTP/1.1\r\nHost: whatever\r\n\r\n");
        connection.answer().refuses(401, "missing_token");
        proxy.ends();
        assert!(!path.exists());
    }
}

fn fails_to_listen(sandbox: &Sandbox, args: &[&str]) -> Run {
    let tool = Proxy::tool(sandbox, "http://127.0.0.1:9/v1").args(args);
    tool.args(["--", "echo", "it runs"]).run()
}

#[test]
fn a_socket_takes_nobody_elses_place() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("run/proxy.sock");
    let place = path.to_str().unwrap();
    let listening = UnixListener::bind(&path).unwrap();
    fails_to_listen(&sandbox, &["--socket", place]).fails(75, &["another process listens there"]);
    drop(listening);
    // Nobody answers there any more.
    let server = models();
    let proxy = Proxy::start(&sandbox, &server, &["--socket", place]);
    assert_eq!(
        Connection::socket(&path)
            .stream
            .peer_addr()
            .unwrap()
            .as_pathname(),
        Some(&*path)
    );
    fails_to_listen(&sandbox, &["--socket", place]).fails(75, &["another process listens there"]);
    // What another has put there since is not removed.
    fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    assert_eq!(proxy_models(&proxy), 0);
    proxy.ends();
    assert!(path.exists());
    drop(other);
    for (what, content) in [("file", true), ("link", false)] {
        let path = sandbox.root().join("run").join(what);
        match content {
            true => fs::write(&path, "mine").unwrap(),
            false => symlink("/dev/null", &path).unwrap(),
        }
        fails_to_listen(&sandbox, &["--socket", path.to_str().unwrap()]).fails(74, &["no socket"]);
        assert!(path.symlink_metadata().is_ok());
    }
    let open = sandbox.root().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    fails_to_listen(&sandbox, &["--socket", open.join("s").to_str().unwrap()])
        .fails(78, &["others can write", "chmod"]);
    fails_to_listen(&sandbox, &["--socket", "/nowhere/s"]).fails(74, &["/nowhere/s"]);
    let long = format!("{}/{}", sandbox.root().display(), "x".repeat(120));
    fails_to_listen(&sandbox, &["--socket", &long]).fails(74, &["cannot listen"]);
    // The server must be called once: by whoever has a port.
    let proxy = Proxy::start(&sandbox, &server, &[]);
    assert_eq!(proxy.get("/v1/models").status, 200);
}

/// Asks on the port that a proxy with a socket alone does not have.
fn proxy_models(proxy: &Proxy) -> u16 {
    proxy.port
}

#[test]
fn an_address_that_others_reach_has_to_be_wanted() {
    let sandbox = Sandbox::new();
    fails_to_listen(&sandbox, &["--listen", "0.0.0.0:0"])
        .fails(64, &["other machines reach", "--allow-remote"]);
    fails_to_listen(&sandbox, &["--listen", "[::]:0"]).fails(64, &["--allow-remote"]);
    let server = models();
    let proxy = Proxy::start(&sandbox, &server, &["--listen", "0.0.0.0:0", "--allow-remote"]);
    assert_eq!(proxy.get("/v1/models").status, 200);
    let said = proxy.ends().stderr;
    assert!(
        said.contains("every machine") && said.contains("in clear"),
        "{said}"
    );
    // A port that is taken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails_to_listen(&sandbox, &["--listen", &address]).fails(75, &[&address]);
}

#[test]
fn what_is_no_host_origin_or_path_is_a_usage_error() {
    let sandbox = Sandbox::new();
    for (args, said) in [
        (["--host", "a b"], "no host name"),
        (["--host", "evil.example:80"], "no host name"),
        (["--host", "http://x"], "no host name"),
        (["--allow-origin", "app.example"], "no origin"),
        (["--allow-origin", "https://app.example/"], "no origin"),
        (["--allow-origin", "*"], "no origin"),
        (["--allow", "../files"], "no path"),
        (["--allow", ""], "no path"),
    ] {
        fails_to_listen(&sandbox, &args).fails(64, &[said]);
    }
}

#[test]
fn paths_that_show_the_account_pass_when_they_are_named() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::json(200, "{}")]);
    let proxy = Proxy::start(
        &sandbox,
        &server,
        &["--allow", "files", "--allow", "responses/{id}"],
    );
    for (method, path) in [
        ("GET", "/v1/files?limit=2"),
        ("GET", "/v1/files/f1/content"),
        ("DELETE", "/v1/files/f1"),
        ("GET", "/v1/responses/r1"),
        ("POST", "/v1/responses/r1/cancel"),
    ] {
        let answer = proxy.send(proxy.head(method, path, "content-length: 0\r\n"));
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        let seen = server.requests().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, path));
    }
    proxy.get("/v1/batches").refuses(404, "path_not_allowed");
    proxy
        .send(proxy.head("PUT", "/v1/files/f1", ""))
        .refuses(405, "method_not_allowed");
}

/// A refusal is there to be read while the client still writes.
#[test]
fn a_refusal_is_readable_while_the_client_uploads() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "m"]);
    let body = vec![b'x'; 8 << 20];
    let upload = |head: String| -> Answer {
        let mut connection = proxy.connect();
        let mut writer = connection.stream.try_clone().unwrap();
        let body = body.clone();
        let writing = std::thread::spawn(move || {
            let _ = writer.write_all(head.as_bytes());
            let _ = writer.write_all(&body);
        });
        writing.join().unwrap();
        connection.answer()
    };
    let length = format!("content-length: {}\r\n", body.len());
    upload(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n{length}\r\n"
    ))
    .refuses(401, "missing_token");
    upload(proxy.head("POST", "/v1/files", &length)).refuses(404, "path_not_allowed");
    upload(proxy.head("POST", "/v1/chat/completions", &length)).refuses(400, "unreadable_body");
    // Who waits for leave to send gets the refusal in its place.
    let mut connection = proxy.connect();
    connection.send(proxy.head("POST", "/v1/files", &format!("expect: 100-continue\r\n{length}")));
    connection.any_answer().refuses(404, "path_not_allowed");
}

#[test]
fn a_body_that_has_to_be_seen_has_a_largest_size() {
    let sandbox = Sandbox::new();
    let server = Server::untouched();
    let proxy = Proxy::start(&sandbox, &server, &["--allow-model", "m"]);
    let head = proxy.head(
        "POST",
        "/v1/chat/completions",
        "content-length: 33554433\r\nexpect: 100-continue\r\n",
    );
    proxy.send(head).refuses(413, "body_too_large");
    // One that does not say how large it is.
    let mut connection = proxy.connect();
    connection.send(proxy.head("POST", "/v1/chat/completions", "transfer-encoding: chunked\r\n"));
    let piece = [
        format!("{:x}\r\n", 1 << 20).into_bytes(),
        vec![b' '; 1 << 20],
        b"\r\n".to_vec(),
    ]
    .concat();
    for _ in 0..33 {
        connection.send(&piece);
    }
    connection.answer().refuses(413, "body_too_large");
}

/// Bodies that are announced and do not come reserve memory, and what they reserve is free again.
#[test]
fn bodies_together_have_a_largest_size() {
    let sandbox = Sandbox::new();
    let upstream = RawServer::start();
    let tool = Proxy::tool(&sandbox, &upstream.url()).args(["--allow-model", "m"]);
    let proxy = Proxy::of(tool);
    let head = proxy.head(
        "POST",
        "/v1/chat/completions",
        "content-length: 33554432\r\nexpect: 100-continue\r\n",
    );
    let mut held: Vec<_> = (0..4).map(|_| proxy.connect()).collect();
    for connection in &mut held {
        connection.send(&head);
        assert_eq!(connection.any_answer().status, 100);
    }
    let refused = proxy.post("/v1/chat/completions", r#"{"model":"m"}"#);
    refused.refuses(503, "too_many_bodies");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("x-should-retry"), Some("true"));
    drop(held);
    wait_until("the memory is free again", || {
        proxy.post("/v1/chat/completions", r#"{"model":"x"}"#).status == 403
    });
    assert!(!upstream.is_called());
}

//! Who cannot reach the credential: a command in a container with only the socket, one of another user, one of the same.
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread;

use rustix::process::Signal;

use crate::support::chat::{answer, text};
use crate::support::{Gate, Reply, Request, Run, Sandbox, Server, Tool, binary, peers, signal, wait_until};

const KEY: &str = "sk-canary-0123456789-lent";

fn known_to(server: &Server, tool: Tool) -> Tool {
    tool.env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "tiny")
}

/// A qwen-proxy that lends at a socket, and the token for it.
struct Lender {
    child: Child,
    socket: PathBuf,
    token: String,
}

impl Lender {
    fn start(sandbox: &Sandbox, server: &Server, options: &[&str]) -> Self {
        let socket = sandbox.root().join("run/s");
        let tool = known_to(server, sandbox.tool("qwen-proxy"));
        let tool = tool
            .args(["--format", "json", "--socket"])
            .arg(&socket)
            .args(options);
        let mut child = tool.start();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let variables: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(variables.get("OPENAI_BASE_URL").is_none(), "{line}");
        assert_eq!(variables["QWEN_PROXY_SOCKET"], socket.to_str().unwrap());
        let token = variables["OPENAI_API_KEY"].as_str().unwrap().to_owned();
        Self { child, socket, token }
    }

    /// The relay, as it is run where there is no credential.
    fn relay(&self, tool: Tool) -> Tool {
        tool.env("OPENAI_API_KEY", &self.token)
            .env("OPENAI_MODEL", "tiny")
            .arg("--via")
            .arg(&self.socket)
    }

    /// Ends it, and checks that nothing of it is left.
    fn end(self) {
        signal(&self.child, Signal::TERM);
        let run = Run::wait(self.child, "the lender").exits(143);
        assert_eq!(run.stderr, "");
        assert!(!self.socket.exists(), "its socket is removed");
    }
}

/// Asks by curl, as COMMAND.
const ASK: &str = r#"curl -sS -N "$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer $OPENAI_API_KEY" \
    -H 'Content-Type: application/json' -d '{"model": "tiny", "stream": true, "messages": []}'"#;

fn is_there(program: &str) -> bool {
    peers::present(program, peers::command(program).is_some())
}

#[test]
fn a_command_asks_by_the_relay() {
    if !is_there("curl") {
        return;
    }
    let (sandbox, server) = (Sandbox::new(), Server::answering(|_, _| answer(&["Pa", "ris"])));
    let lender = Lender::start(&sandbox, &server, &[]);
    let script = format!("{ASK}; env");
    let tool = lender
        .relay(sandbox.tool("qwen-proxy"))
        .args(["--", "sh", "-c", &script]);
    let run = tool.run().exits(0);
    assert!(
        run.text().contains("ris") && run.text().contains("[DONE]"),
        "{run:#?}"
    );
    for line in ["OPENAI_MODEL=tiny", &format!("OPENAI_API_KEY={}", lender.token)] {
        assert!(run.text().contains(line), "{run:#?}");
    }
    assert!(!run.text().contains(KEY));
    let bearer = format!("Bearer {KEY}");
    assert_eq!(server.requests()[0].header("authorization"), Some(&*bearer));
    // The exit code of the command, as without it.
    let tool = lender
        .relay(sandbox.tool("qwen-proxy"))
        .args(["--", "sh", "-c", "exit 7"]);
    tool.run().gives(7, "", "");
    lender.end();
}

#[test]
fn in_a_container_with_only_the_socket_the_credential_is_nowhere() {
    let all = ["curl", "unshare", "ip", "chroot", "mount"];
    let may = rustix::process::geteuid().is_root() && all.iter().all(|name| peers::command(name).is_some());
    if !peers::present("namespaces (root, unshare, ip, chroot, mount)", may) {
        return;
    }
    let (sandbox, server) = (Sandbox::new(), Server::answering(|_, _| answer(&["Pa", "ris"])));
    let lender = Lender::start(&sandbox, &server, &[]);
    let root = sandbox.root().join("container");
    for directory in ["usr", "lib", "lib64", "bin", "dev", "proc", "tmp", "run", "opt"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    sandbox.install(&binary("qwen-proxy"), &root.join("opt/qwen-proxy"));
    // Everything that the command can read, by its name and content.
    let look = format!(
        "{ASK}; echo; env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null; \
         ls -lR /run /opt /tmp; grep -rl sk-canary-0123456789-[l]ent /run /opt /tmp /dev/shm; \
         timeout 3 curl -sS {} 2>&1; echo end",
        server.url("/v1/models")
    );
    let script = format!(
        "set -e; cd {root}\n\
         for d in usr lib lib64 bin; do [ ! -e /$d ] || mount --rbind -o ro /$d $d; done\n\
         mount -t proc proc proc; mount -t tmpfs tmpfs run; touch run/s; mount --bind {socket} run/s\n\
         touch dev/null; mount --bind /dev/null dev/null\n\
         ip link set lo up\n\
         exec env -i OPENAI_API_KEY={token} OPENAI_MODEL=tiny PATH=/usr/bin:/bin \
         /usr/sbin/chroot . /opt/qwen-proxy --via /run/s -- sh -c '{look}'",
        root = root.display(),
        socket = lender.socket.display(),
        token = lender.token,
        look = look.replace('\'', "'\\''"),
    );
    let tool = sandbox.command("/usr/bin/unshare");
    let tool = tool.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let run = tool
        .args(["--mount", "--net", "--pid", "--fork", "sh", "-c", &script])
        .run()
        .exits(0);
    let seen = run.text();
    assert!(
        seen.contains("ris") && seen.contains("[DONE]") && seen.ends_with("end\n"),
        "{run:#?}"
    );
    assert!(seen.contains("OPENAI_BASE_URL=http://127.0.0.1:"), "{run:#?}");
    // It saw itself: what it looks by works.
    assert!(seen.contains("--via") && seen.contains(&lender.token), "{run:#?}");
    assert!(!seen.contains(KEY), "{run:#?}");
    assert_eq!(
        server.count(),
        1,
        "there is no way to the endpoint but the socket"
    );
    lender.end();
}

/// Reads whatever the kernel gives out about its parent, about all other processes and about itself, and the answers.
const SPY: &str = r#"
import glob, http.client, json, os, subprocess, sys, urllib.parse
seen = [json.dumps(dict(os.environ)), " ".join(sys.argv)]
def read(path):
    try:
        with open(path, "rb") as file:
            seen.append(file.read(1 << 20).decode("utf-8", "replace"))
            return True
    except OSError:
        return False
def memory(pid):
    try:
        maps = open(f"/proc/{pid}/maps").read().splitlines()
        with open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                span, mode = line.split()[:2]
                if mode.startswith("rw"):
                    start, end = (int(at, 16) for at in span.split("-"))
                    try:
                        mem.seek(start)
                        seen.append(mem.read(min(end - start, 1 << 24)).decode("latin-1"))
                    except (OSError, ValueError):
                        pass
        return bool(maps)
    except OSError:
        return False
parent = os.getppid()
readable = [name for name in ("environ", "mem", "auxv", "stack", "syscall", "personality") if read(f"/proc/{parent}/{name}")]
has_memory = memory(parent)
for name in ("cmdline", "status", "comm", "mountinfo", "cgroup", "limits", "stat", "sched"):
    read(f"/proc/{parent}/{name}")
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    if sys.argv[1] in path or path.split("/")[2] in (str(parent), str(os.getpid())):
        read(path)
for path in glob.glob(f"/proc/{parent}/fd/*") + glob.glob(f"/proc/{parent}/task/*/environ"):
    read(path)
    try:
        seen.append(os.readlink(path))
    except OSError:
        pass
for fd in range(3, 256):
    try:
        seen.append(os.readlink(f"/proc/self/fd/{fd}"))
        seen.append(os.pread(fd, 1 << 16, 0).decode("latin-1"))
    except OSError:
        pass
url = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
for path, token in (("/chat/completions", True), ("/chat/completions", False), ("/models", True), ("/files", True), ("/../x", True)):
    connection = http.client.HTTPConnection(url.hostname, url.port)
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = "Bearer " + os.environ["OPENAI_API_KEY"]
    connection.request("POST", url.path + path, json.dumps({"model": "tiny", "messages": []}), headers)
    answer = connection.getresponse()
    seen.append(str(answer.status) + str(answer.getheaders()) + answer.read().decode("latin-1"))
# That these ways show a secret where nobody hides it.
child = subprocess.Popen(["sleep", "1000"], env={"CONTROL": "canary-of-control"})
before = len(seen)
while not (read(f"/proc/{child.pid}/environ") and "canary-of-control" in seen[-1]):
    pass
ways = memory(child.pid) and any("canary-of-control" in text for text in seen[before + 1:])
child.kill()
print(json.dumps({"uid": os.getuid(), "readable": readable, "memory": has_memory, "control": bool(ways)}))
print("\n".join(seen))
"#;

/// What a spy as COMMAND found. The endpoint shows its request, key and all, in an answer.
fn spied(around: &[&str], inside: &[&str], own: Option<u32>) -> Option<(Sandbox, serde_json::Value, String)> {
    let may = rustix::process::geteuid().is_root() && peers::command("setpriv").is_some();
    // One that every user can run.
    let python = Path::new("/usr/bin/python3");
    if !peers::present("root, setpriv and python3", may && python.is_file()) {
        return None;
    }
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request: &Request| {
        let key = request.header("authorization").unwrap_or_default();
        Reply::json(
            401,
            &format!("{{\"error\": {{\"message\": \"wrong key: {key}\"}}}}"),
        )
    });
    let program = sandbox.root().join("open/qwen-proxy");
    sandbox.install(&binary("qwen-proxy"), &program);
    let spy = sandbox.write("open/spy.py", SPY);
    let log = sandbox.root().join("open/log");
    let open = sandbox.root().join("open");
    let mode = |path: &Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    for (path, bits) in [
        (sandbox.root(), 0o755),
        (open.clone(), 0o755),
        (spy.clone(), 0o644),
    ] {
        mode(&path, bits);
    }
    for path in [
        open,
        sandbox.home(),
        sandbox.home().join(".config"),
        sandbox.work(),
    ] {
        chown(path, own, own).unwrap();
    }
    let mut words: Vec<String> = around.iter().map(ToString::to_string).collect();
    words.extend([
        program.display().to_string(),
        "--log".to_owned(),
        log.display().to_string(),
        "--".to_owned(),
    ]);
    words.extend(inside.iter().map(ToString::to_string));
    let python = python.display().to_string();
    words.extend([
        python,
        "-I".to_owned(),
        spy.display().to_string(),
        std::process::id().to_string(),
    ]);
    let tool = known_to(&server, sandbox.command(&words[0])).args(&words[1..]);
    let run = tool.run().exits(0);
    let text = run.text();
    let (first, rest) = text.split_once('\n').unwrap();
    assert!(!run.stderr.contains(KEY), "{run:#?}");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().count() >= 3 && !log.contains(KEY), "{log}");
    let rest = format!("{rest}{}", run.stderr);
    Some((sandbox, serde_json::from_str(first).unwrap(), rest))
}

const AS_USER: [&str; 5] = [
    "/usr/bin/setpriv",
    "--reuid=54321",
    "--regid=54321",
    "--clear-groups",
    "--",
];

#[test]
fn a_command_of_the_same_user_reads_the_credential_nowhere() {
    let Some((_sandbox, found, seen)) = spied(&AS_USER, &[], Some(54321)) else {
        return;
    };
    assert_eq!(found["uid"], 54321);
    assert_eq!(found["control"], true, "what it looks by works: {found}");
    assert_eq!(
        (&found["readable"], &found["memory"]),
        (&serde_json::json!([]), &serde_json::json!(false))
    );
    assert!(!seen.contains(KEY), "{}", around_key(&seen));
    assert!(
        seen.contains("wrong_api_key") || seen.contains("401"),
        "it did ask"
    );
}

#[test]
fn a_command_of_another_user_reads_the_credential_nowhere() {
    let Some((_sandbox, found, seen)) = spied(&["/usr/bin/env"], &AS_USER, None) else {
        return;
    };
    assert_eq!(
        (&found["uid"], &found["control"]),
        (&serde_json::json!(54321), &serde_json::json!(true))
    );
    assert_eq!(
        (&found["readable"], &found["memory"]),
        (&serde_json::json!([]), &serde_json::json!(false))
    );
    assert!(!seen.contains(KEY), "{}", around_key(&seen));
}

/// Where the key stands, for the message of a test that fails.
fn around_key(text: &str) -> String {
    let at = text.find(KEY).unwrap_or(0);
    String::from_utf8_lossy(&text.as_bytes()[at.saturating_sub(200)..(at + 100).min(text.len())]).into_owned()
}

#[test]
fn the_relay_says_what_it_lacks() {
    let sandbox = Sandbox::new();
    let via = |socket: &str| sandbox.tool("qwen-proxy").arg("--via").arg(socket);
    let with_token = |socket: &str| via(socket).env("OPENAI_API_KEY", "sk-token");
    via("/no/such")
        .args(["--", "true"])
        .run()
        .fails(77, &["OPENAI_API_KEY is not set"]);
    let run = with_token("/no/such").args(["--", "true"]).run();
    run.fails(
        66,
        &[
            "cannot use the socket '/no/such'",
            "hint: start 'qwen-proxy --socket",
        ],
    );
    let stale = sandbox.root().join("run/stale");
    drop(UnixListener::bind(&stale).unwrap());
    let run = with_token(stale.to_str().unwrap()).args(["--", "true"]).run();
    run.fails(75, &["nobody answers there"]);
    let live = sandbox.root().join("run/live");
    let _listener = UnixListener::bind(&live).unwrap();
    let run = with_token(live.to_str().unwrap())
        .args(["--listen", "0.0.0.0:0", "--", "true"])
        .run();
    run.fails(78, &["not an address of this machine alone"]);
    for other in [
        &["--profile", "p"][..],
        &["--allow-model", "m"],
        &["--max-requests", "1"],
        &["--socket", "s"],
        &["--log", "l"],
    ] {
        let run = with_token(live.to_str().unwrap())
            .args(other)
            .args(["--", "true"])
            .run();
        run.fails(64, &["cannot be used with"]);
    }
}

#[test]
fn the_relay_needs_no_home_and_reads_no_configuration() {
    let sandbox = Sandbox::new();
    sandbox.config("{ this is no JSON");
    let live = sandbox.root().join("run/live");
    let _listener = UnixListener::bind(&live).unwrap();
    let tool = sandbox
        .tool("qwen-proxy")
        .env_remove("HOME")
        .env("OPENAI_API_KEY", "sk-token");
    let run = tool
        .arg("--via")
        .arg(&live)
        .args(["--", "sh", "-c", "echo $OPENAI_API_KEY"])
        .run();
    run.gives(0, "sk-token\n", "");
}

/// A relay without a command, and its port.
fn relay_alone(lender: &Lender, sandbox: &Sandbox) -> (Child, u16) {
    let mut child = lender
        .relay(sandbox.tool("qwen-proxy"))
        .args(["--format", "json"])
        .start();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let variables: serde_json::Value = serde_json::from_str(&line).unwrap();
    let url = variables["OPENAI_BASE_URL"].as_str().unwrap().to_owned();
    let port = url
        .trim_end_matches("/v1")
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    (child, port)
}

fn ask(port: u16, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let body = r#"{"model": "tiny", "stream": true, "messages": []}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let (mut seen, mut bytes) = (String::new(), [0; 1024]);
    while !seen.contains(word) {
        match stream.read(&mut bytes) {
            Ok(count @ 1..) => seen.push_str(&String::from_utf8_lossy(&bytes[..count])),
            _ => panic!("{word} did not come: {seen}"),
        }
    }
    seen
}

#[test]
fn the_relay_passes_on_what_comes_when_it_comes_and_a_cut_as_a_cut() {
    let (sandbox, gate) = (Sandbox::new(), Gate::default());
    let held = gate.clone();
    let server = Server::answering(move |_, _| {
        Reply::stream_head()
            .chunk(text("first"))
            .gate(&held)
            .chunk(text("second"))
            .reset()
    });
    let lender = Lender::start(&sandbox, &server, &[]);
    let (relay, port) = relay_alone(&lender, &sandbox);
    let mut stream = ask(port, &lender.token);
    read_until(&mut stream, "first");
    // The rest is still to come, and the first part is here.
    gate.open();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.ends_with("0\r\n\r\n"), "no clean end: {rest}");
    drop(stream);
    signal(&relay, Signal::TERM);
    Run::wait(relay, "the relay").exits(143);
    lender.end();
}

#[test]
fn a_client_that_hangs_up_is_noticed_through_the_relay() {
    let sandbox = Sandbox::new();
    let log = sandbox.root().join("log");
    let server = Server::answering(|_, _| Reply::stream_head().chunk(text("first")).hold());
    let lender = Lender::start(&sandbox, &server, &["--log", log.to_str().unwrap()]);
    let (relay, port) = relay_alone(&lender, &sandbox);
    let mut stream = ask(port, &lender.token);
    read_until(&mut stream, "first");
    drop(stream);
    wait_until("the line about the request that was cancelled", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("\"cancelled\":true"))
    });
    signal(&relay, Signal::TERM);
    Run::wait(relay, "the relay").exits(143);
    lender.end();
}

#[test]
fn a_lender_that_is_gone_is_told_in_the_clients_own_form() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let lender = Lender::start(&sandbox, &server, &[]);
    let (relay, port) = relay_alone(&lender, &sandbox);
    let token = lender.token.clone();
    lender.end();
    let mut stream = ask(port, &token);
    let seen = read_until(&mut stream, "relay_unreachable");
    assert!(
        seen.starts_with("HTTP/1.1 503 ") && seen.contains("x-qwen-proxy: 1"),
        "{seen}"
    );
    signal(&relay, Signal::TERM);
    let run = Run::wait(relay, "the relay").exits(143);
    assert!(run.stderr.contains("cannot use the socket"), "{run:#?}");
}

#[test]
fn many_connections_go_through_the_relay_at_once() {
    let (sandbox, gate) = (Sandbox::new(), Gate::default());
    let held = gate.clone();
    let server = Server::answering(move |_, _| Reply::default().gate(&held).then(answer(&["x"])));
    let lender = Lender::start(&sandbox, &server, &[]);
    let (relay, port) = relay_alone(&lender, &sandbox);
    let streams: Vec<TcpStream> = (0..64).map(|_| ask(port, &lender.token)).collect();
    server.wait_for(64);
    gate.open();
    let readers = streams.into_iter().map(|mut stream| {
        thread::spawn(move || {
            read_until(&mut stream, "HTTP/1.1 200");
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.join().unwrap();
    }
    signal(&relay, Signal::TERM);
    signal(&relay, Signal::TERM);
    Run::wait(relay, "the relay").exits(143);
    signal(&lender.child, Signal::KILL);
    Run::wait(lender.child, "the lender").exits(137);
}

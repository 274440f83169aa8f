//! qwen-proxy without a command: what it prints, how long it serves, how it ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Signal, kill_process};

use crate::support::lender::{KEY, environment, is_gone, lending, pid, printed, proxy, running};
use crate::support::proxy::{Proxy, RawServer};
use crate::support::{Run, Sandbox, Terminal, Tool, binary, peers, signal, wait_until};

/// qwen-proxy without a command, and the variables that it printed.
fn serving(tool: Tool) -> (Child, BTreeMap<String, String>) {
    let mut child = tool.args(["--format", "json"]).start();
    let line = printed(&mut child);
    match serde_json::from_str(&line) {
        Ok(variables) => (child, variables),
        Err(_) => panic!("{line:?}: {:#?}", Run::wait(child, "serving")),
    }
}

#[test]
fn without_a_command_it_prints_the_variables_and_lets_go_of_standard_output() {
    let sandbox = Sandbox::new();
    let child = proxy(&sandbox).args(["--format", "json"]).start();
    let mut child = child;
    let mut text = String::new();
    // It ends though the program goes on.
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let variables: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let names: Vec<&str> = variables.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "NO_PROXY",
            "OPENAI_API_BASE",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
            "QWEN_PROXY_PID",
            "QWEN_PROXY_URL",
            "no_proxy"
        ]
    );
    assert_eq!(variables["QWEN_PROXY_PID"], child.id().to_string());
    assert!(child.try_wait().unwrap().is_none());
    signal(&child, Signal::TERM);
    assert_eq!(Run::wait(child, "serving").status.signal(), Some(15));
}

#[test]
fn it_serves_until_a_signal_and_ends_by_it() {
    let sandbox = Sandbox::new();
    for one in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (child, _) = serving(proxy(&sandbox));
        signal(&child, one);
        let run = Run::wait(child, "serving");
        assert_eq!(run.status.signal(), Some(one.as_raw()), "{run:#?}");
        assert_eq!(run.stderr, "");
    }
}

/// What runs at the first signal is answered; who only has a connection open, or comes now, is sent away.
#[test]
fn what_runs_at_the_end_is_answered_and_nobody_else_is_waited_for() {
    let (sandbox, upstream) = (Sandbox::new(), RawServer::start());
    let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()));
    let mut idle = proxy.connect();
    idle.send(proxy.head("GET", "/v1/files", ""));
    idle.answer().refuses(404, "path_not_allowed");
    let mut running = proxy.connect();
    let request = proxy.head("POST", "/v1/chat/completions", "content-length: 2\r\n") + "{}";
    running.send(&request);
    let mut server = upstream.accept();
    server.wait_for("{}");
    kill_process(pid(&proxy.pid().to_string()), Signal::TERM).unwrap();
    idle.is_closed();
    wait_until("nobody is taken any more", || {
        TcpStream::connect(("127.0.0.1", proxy.port)).is_err()
    });
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlast");
    let answer = running.answer();
    assert_eq!((answer.text().as_str(), answer.is_whole), ("last", true));
    running.is_closed();
    assert_eq!(proxy.ends().status.signal(), Some(15));
}

#[test]
fn a_second_signal_ends_what_still_runs() {
    let (sandbox, upstream) = (Sandbox::new(), RawServer::start());
    let proxy = Proxy::of(Proxy::tool(&sandbox, &upstream.url()));
    let mut running = proxy.connect();
    running.send(proxy.head("POST", "/v1/chat/completions", "content-length: 2\r\n") + "{}");
    let mut server = upstream.accept();
    server.wait_for("{}");
    let id = pid(&proxy.pid().to_string());
    kill_process(id, Signal::TERM).unwrap();
    // Two that come together are one; how many more it takes is not what is asked.
    wait_until("its end", || {
        let _ = kill_process(id, Signal::TERM);
        is_gone(id)
    });
    assert_eq!(running.answer().status, 0);
    server.is_closed();
    assert_eq!(proxy.ends().status.signal(), Some(15));
}

#[test]
fn an_eval_of_it_in_the_background_returns_in_every_shell() {
    for shell in ["bash", "dash", "zsh", "mksh"] {
        let path = peers::command(shell);
        if !peers::present(shell, path.is_some()) {
            continue;
        }
        let sandbox = Sandbox::new();
        let script = format!(
            "eval \"$({} 2>/dev/null &)\" || exit 3\n\
             [ \"$OPENAI_BASE_URL\" = \"$OPENAI_API_BASE\" ] || exit 4\n\
             kill -0 $QWEN_PROXY_PID || exit 5\n\
             sh -c 'echo $OPENAI_BASE_URL $OPENAI_MODEL $QWEN_PROXY_PID'\n",
            binary("qwen-proxy").display()
        );
        let run = lending(sandbox.command(path.unwrap()))
            .args(["-c", &script])
            .run();
        let text = run.exits(0).text();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(
            words[0].starts_with("http://127.0.0.1:") && words[1] == "tiny",
            "{shell}: {text}"
        );
        let served = pid(words[2]);
        assert!(!is_gone(served), "{shell}: it outlives the shell");
        kill_process(served, Signal::TERM).unwrap();
        wait_until("its end", || is_gone(served));
    }
}

/// What is started so belongs to process 1 by the time that it looks for its shell, which may be another.
#[test]
fn an_eval_in_the_background_is_not_written_for_the_shell_that_is_process_1() {
    let all = ["unshare", "mount", "bash", "dash"];
    let may = rustix::process::geteuid().is_root() && all.iter().all(|name| peers::command(name).is_some());
    if !peers::present("PID namespaces (root, unshare), bash and dash", may) {
        return;
    }
    let sandbox = Sandbox::new();
    let script =
        "dash -c 'eval \"$(qwen-proxy 2>/dev/null &)\" && echo $OPENAI_MODEL $OPENAI_BASE_URL'; exit $?";
    let entered = ["--pid", "--fork", "--mount-proc", "bash", "-c", script];
    let run = lending(sandbox.command("/usr/bin/unshare"))
        .args(entered)
        .run()
        .exits(0);
    assert!(run.text().starts_with("tiny http://127.0.0.1:"), "{run:#?}");
}

/// The token of the proxy would go to the endpoint that the shell has.
#[test]
fn an_eval_of_one_with_a_socket_alone_leaves_no_address_of_another_endpoint() {
    let sandbox = Sandbox::new();
    let script = format!(
        "export OPENAI_API_BASE=https://api.example/v1\n\
         eval \"$({} --socket run.sock &)\" || exit 3\n\
         kill $QWEN_PROXY_PID || exit 4\n\
         env -0",
        binary("qwen-proxy").display()
    );
    let run = lending(sandbox.command("bash")).args(["-c", &script]).run();
    let environment = environment(&run);
    assert!(environment["QWEN_PROXY_SOCKET"].ends_with("/run.sock"));
    assert!(environment["OPENAI_API_KEY"].starts_with("sk-"));
    for name in ["OPENAI_BASE_URL", "OPENAI_API_BASE"] {
        assert!(!environment.contains_key(name), "{environment:?}");
    }
}

/// What a command is kept from is not in the shell either, nor in what it starts.
#[test]
fn an_eval_of_it_takes_out_of_the_shell_what_a_command_does_not_find() {
    let sandbox = Sandbox::new();
    let script = format!(
        "export OPENAI_ORG_ID=a AZURE_OPENAI_ENDPOINT=https://api.example MINE={KEY} QWEN_PROXY_SOCKET=/old/socket\n\
         export DASHSCOPE_API_KEY=a https_proxy=http://127.0.0.1:9 KEPT=a QWEN_ENV_EXPORTED= LISTEN_FDS=1\n\
         eval \"$({} --no-proxy-env &)\" || exit 3\n\
         kill $QWEN_PROXY_PID || exit 4\n\
         env -0",
        binary("qwen-proxy").display()
    );
    let run = lending(sandbox.command("bash")).args(["-c", &script]).run();
    let environment = environment(&run);
    for name in [
        "OPENAI_ORG_ID",
        "AZURE_OPENAI_ENDPOINT",
        "MINE",
        "QWEN_PROXY_SOCKET",
        "DASHSCOPE_API_KEY",
        "https_proxy",
    ] {
        assert!(!environment.contains_key(name), "{name}: {environment:?}");
    }
    for name in ["KEPT", "QWEN_ENV_EXPORTED", "LISTEN_FDS", "OPENAI_BASE_URL"] {
        assert!(environment.contains_key(name), "{name}: {environment:?}");
    }
    assert!(environment.values().all(|value| !value.contains(KEY)));
}

#[test]
fn on_a_terminal_it_says_what_is_served_and_how_to_use_it() {
    let sandbox = Sandbox::new();
    let mut terminal = Terminal::start(proxy(&sandbox));
    terminal.shows("eval \"$(qwen-proxy &)\"");
    let shown = terminal.plain();
    let has = |line: &str| shown.lines().any(|shown| shown.starts_with(line));
    assert!(
        has("OPENAI_BASE_URL=http://127.0.0.1:") && has("OPENAI_API_KEY=sk-"),
        "{shown}"
    );
    assert!(!shown.contains("export") && !shown.contains(KEY), "{shown}");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
    let script = format!("{}; echo \"<$?>\"", binary("qwen-proxy").display());
    let none = Terminal::start(sandbox.command("/bin/sh").args(["-c", &script]));
    none.shows("<77>");
    let shown = none.plain();
    assert!(
        shown.contains("no credential") && !shown.contains("false"),
        "{shown}"
    );
}

#[test]
fn a_command_without_dashes_before_it_is_told_where_it_goes() {
    let sandbox = Sandbox::new();
    for (word, hint) in [
        ("true", "did you mean 'qwen-proxy -- true'?"),
        ("a b", "did you mean 'qwen-proxy -- COMMAND'?"),
    ] {
        let run = proxy(&sandbox).arg(word).run().exits(64);
        assert!(run.stderr.contains(hint), "{}", run.stderr);
    }
    let other = proxy(&sandbox).arg("--no-such-flag").run();
    assert!(!other.stderr.contains("qwen-proxy -- "), "{}", other.stderr);
}

#[test]
fn an_eval_of_it_that_fails_is_a_failure() {
    let sandbox = Sandbox::new();
    let script = format!(
        "eval \"$({} --listen nowhere)\" && echo evaluated",
        binary("qwen-proxy").display()
    );
    let run = lending(sandbox.command("/bin/bash")).args(["-c", &script]).run();
    assert_eq!((run.code(), run.text().as_str()), (1, ""), "{run:#?}");
    let quiet = sandbox.tool("qwen-proxy").run();
    quiet.gives(
        77,
        "false;\n",
        &sandbox
            .tool("qwen-token")
            .run()
            .stderr
            .replace("qwen-token:", "qwen-proxy:"),
    );
}

#[test]
fn the_variables_that_cannot_be_printed_end_it() {
    let sandbox = Sandbox::new();
    let mut command = proxy(&sandbox).into_command();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let child = command
        .stdin(Stdio::null())
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = Run::wait(child, "on a full disk");
    assert_eq!(run.code(), 74, "{run:#?}");
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_ends() {
    let sandbox = Sandbox::new();
    let path = sandbox.root().join("run/notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let heard = || {
        let mut bytes = [0; 100];
        let count = manager.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let (child, _) = serving(proxy(&sandbox).env("NOTIFY_SOCKET", &path));
    assert_eq!(heard(), "READY=1");
    signal(&child, Signal::TERM);
    assert_eq!(heard(), "STOPPING=1");
    assert_eq!(Run::wait(child, "serving").status.signal(), Some(15));
    // With a command it is ready once that runs.
    running(&sandbox, "true")
        .env("NOTIFY_SOCKET", &path)
        .run()
        .gives(0, "", "");
    assert_eq!(heard(), "READY=1");
}

#[test]
fn a_service_manager_may_be_at_a_name_that_is_in_no_file_system() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let sandbox = Sandbox::new();
    let name = format!("qwen-proxy-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    running(&sandbox, "true")
        .env("NOTIFY_SOCKET", format!("@{name}"))
        .run()
        .gives(0, "", "");
    let mut bytes = [0; 100];
    let count = manager.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"READY=1");
    let other = running(&sandbox, "true")
        .env("NOTIFY_SOCKET", "vsock:2:1234")
        .run()
        .exits(0);
    assert!(
        other.stderr.contains("only sockets of this machine"),
        "{}",
        other.stderr
    );
}

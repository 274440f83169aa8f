//! A key that a command prints: password managers, cloud programs and scripts as people have them.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::batch::{lines, results_in, text};
use crate::support::chat::answer;
use crate::support::{Reply, Run, Sandbox, Server, Terminal, Tool, next_line, signal, wait_until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A sandbox whose profile `p` takes its key from a command.
fn sandbox(base_url: &str, key: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    configure(&sandbox, base_url, key);
    sandbox
}

fn configure(sandbox: &Sandbox, base_url: &str, key: &Value) {
    let profile = json!({"method": "api-key", "base_url": base_url, "model": "m-1", "key": key});
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
}

/// One without an endpoint that is asked, whose key is what a script prints.
fn scripted(script: &str) -> Sandbox {
    sandbox(
        "https://llm.example/v1",
        &json!({"command": ["/bin/sh", "-c", script]}),
    )
}

/// qwen-token where nobody can be asked.
fn token(sandbox: &Sandbox) -> Tool {
    sandbox.detached("qwen-token")
}

/// A script that counts its runs in `n` and prints `key-1`, `key-2` and on.
const COUNTING: &str = "cd; n=$(($(cat n 2>/dev/null || echo 0) + 1)); echo $n >n; echo key-$n";

fn runs(sandbox: &Sandbox) -> u32 {
    sandbox.read("home/n").trim().parse().unwrap()
}

/// The number of the key that a request carries.
fn key_number(request: &crate::support::Request) -> u32 {
    let key = request.header("authorization").unwrap();
    key.strip_prefix("Bearer key-").unwrap().parse().unwrap()
}

fn is_running(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// direnv/direnv#662, haskell/process#70: what is left behind holds the pipe, and is not waited for.
#[test]
fn an_agent_that_a_password_manager_leaves_behind_is_not_waited_for() {
    for left in ["sleep 1000 &", "setsid sleep 1000 &", "sleep 1000 2>/dev/null &"] {
        let sandbox = scripted(&format!("{left} echo $! >~/pid; echo sk-1"));
        token(&sandbox).run().gives(0, "sk-1\n", "");
        let pid = sandbox.read("home/pid");
        assert!(is_running(&pid), "it was ended with the command: {left}");
        let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
    }
}

/// earendil-works/pi#5753: what a command has printed is not cut at its end.
#[test]
fn all_that_was_printed_before_the_end_is_read() {
    let sandbox = scripted("sleep 1000 & printf sk-; head -c 60000 /dev/zero | tr '\\0' a; kill $!");
    let expected = format!("sk-{}\n", "a".repeat(60_000));
    token(&sandbox).run().gives(0, expected, "");
}

/// apptainer/singularity#2792: there is no shell that would expand it.
#[test]
fn a_tilde_at_the_beginning_of_a_word_is_the_home_directory() {
    let sandbox = sandbox(
        "https://llm.example/v1",
        &json!({"command": ["~/bin/my key", "~/.keys/one"]}),
    );
    sandbox.program("home/bin/my key", "#!/bin/sh\ncat \"$1\"\n");
    sandbox.write("home/.keys/one", "sk-of-the-file\n");
    token(&sandbox).run().gives(0, "sk-of-the-file\n", "");
    let echo = |words: Value| configure(&sandbox, "https://llm.example/v1", &json!({ "command": words }));
    echo(json!(["echo", "~"]));
    let home = sandbox.home();
    token(&sandbox)
        .run()
        .gives(0, format!("{}\n", home.display()), "");
    for word in ["~nobody/x", "a~/b", "--file=~/x"] {
        echo(json!(["echo", word]));
        token(&sandbox).run().gives(0, format!("{word}\n"), "");
    }
    echo(json!(["~/bin/none"]));
    token(&sandbox)
        .run()
        .fails(78, &["key command '~/bin/none': cannot run: no such file"]);
    echo(json!(["~/bin/my key"]));
    token(&sandbox)
        .env("HOME", "relative")
        .env("QWEN_CONFIG", sandbox.config_file())
        .run()
        .fails(
            78,
            &["key command '~/bin/my key': there is no home directory for its '~'"],
        );
}

/// docker/docker-credential-helpers#296, #248: a file that is there and cannot be run is named as that.
#[test]
fn what_keeps_a_program_from_being_run_is_named() {
    let sandbox = sandbox("https://llm.example/v1", &json!({"command": ["my-key"]}));
    let path = sandbox.write("bin/my-key", "#!/bin/sh\necho sk-1\n");
    let run = |sandbox: &Sandbox| {
        let tool = token(sandbox);
        tool.env(
            "PATH",
            format!("{}:/usr/bin:/bin", sandbox.root().join("bin").display()),
        )
        .run()
    };
    run(&sandbox).fails(
        78,
        &[&format!(
            "key command 'my-key': cannot run: '{}' is not executable\n",
            path.display()
        )],
    );
    sandbox.program("bin/my-key", "#!/no/such/interpreter\n");
    run(&sandbox).fails(
        78,
        &["key command 'my-key': cannot run: its interpreter is not there\n"],
    );
    sandbox.program("bin/my-key", "echo sk-without-a-first-line\n");
    run(&sandbox).fails(78, &["cannot run: it is no program; a script begins with '#!'\n"]);
}

/// leonbreukelman/smactorio#163, balena-io/balena-cli#1800: line ends are no part of a key.
#[test]
fn the_key_is_the_first_line_in_whatever_way_lines_end() {
    for script in [
        "printf 'sk-1'",
        "printf 'sk-1\\r\\n'",
        "printf 'sk-1\\r'",
        "printf ' sk-1 \\n\\n'",
        "printf '\\357\\273\\277sk-1\\r\\n'",
        "printf 'sk-1\\nuser: me\\nurl: x\\n'",
    ] {
        token(&scripted(script)).run().gives(0, "sk-1\n", "");
    }
}

#[test]
fn what_cannot_be_a_key_is_refused_in_words_and_not_shown() {
    for (script, said) in [
        ("true", "it printed nothing"),
        ("echo; echo sk-canary", "the first line that it printed is empty"),
        ("printf 'sk-canary\\0'", "it printed a NUL"),
        ("printf 'sk-canary\\377\\n'", "is not text in UTF-8"),
        ("echo 'Error: the vault canary is locked'", "is no key: one word"),
        ("printf 'sk-canary\\rmore\\n'", "is no key: one word"),
        ("printf 'sk-can\\303\\244ry\\n'", "is no key: one word"),
        ("echo 'Bearer sk-canary'", "no key begins with 'Bearer'"),
        ("echo '\"sk-canary\"'", "no key begins with a quote"),
        (
            "echo OPENAI_API_KEY=sk-canary",
            "no key begins with the name of a variable",
        ),
        ("echo '{\"SecretString\": \"sk-canary\"}'", "it printed JSON"),
        ("yes sk-canary", "prints more than 64 KiB; a key is one line"),
        ("exec head -c 65537 /dev/zero", "prints more than 64 KiB"),
    ] {
        let run = token(&scripted(script)).run();
        let run = run.fails(78, &["qwen-token: key command '/bin/sh'", said]);
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        assert_eq!(run.stderr.lines().count(), 1, "{run:#?}");
    }
}

#[test]
fn a_command_that_fails_is_quoted_with_its_last_words() {
    for (script, code, said) in [
        (
            "echo first >&2; echo 'x is not in the store' >&2; exit 1",
            77,
            "failed with exit 1: x is not in the store\n",
        ),
        (
            "printf '\\033[31mlocked\\033[0m\\r\\n\\n' >&2; exit 3",
            77,
            "failed with exit 3: [31mlocked[0m\n",
        ),
        (
            "printf 'no line end' >&2; exit 9",
            77,
            "failed with exit 9: no line end\n",
        ),
        ("exit 4", 77, "failed with exit 4\n"),
        ("echo later >&2; exit 75", 75, "failed with exit 75: later\n"),
        ("kill -9 $$", 77, "was ended by signal 9\n"),
        (
            "echo sk-canary; echo \"no sk-canary\" >&2; exit 1",
            77,
            "failed with exit 1: no ***\n",
        ),
    ] {
        let run = token(&scripted(script)).args(["-q"]).run();
        run.gives(code, "", &format!("qwen-token: key command '/bin/sh' {said}"));
    }
    let run = token(&scripted("echo 'one\u{7}' >&2; echo two >&2; echo sk-1")).run();
    run.gives(0, "sk-1\n", "one\ntwo\n");
}

/// 1Password/op-js#216, direnv/direnv#662: one that waits for somebody is said to be waited for.
#[test]
fn a_command_that_takes_its_time_is_named() {
    let sandbox = scripted("until test -e ~/go; do sleep 0.01; done; echo sk-1");
    let mut child = token(&sandbox).start();
    assert_eq!(
        next_line(&mut child),
        "qwen-token: waiting for key command '/bin/sh'\n"
    );
    sandbox.write("home/go", "");
    Run::wait(child, "qwen-token").gives(0, "sk-1\n", "");
}

#[test]
fn a_command_that_does_not_end_is_ended_where_nobody_can_be_asked() {
    let sandbox = scripted("sleep 1000 & echo $! >~/pid; wait");
    token(&sandbox)
        .run()
        .fails(75, &["key command '/bin/sh' has not ended within 30 s\n"]);
    let pid = sandbox.read("home/pid");
    wait_until("the end of what it started", || !is_running(&pid));
}

#[test]
fn a_signal_ends_the_command_and_what_it_started_too() {
    for (number, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = scripted("sleep 1000 & echo $! >~/pid.new; mv ~/pid.new ~/pid; wait");
        let child = sandbox.tool("qwen-token").start();
        let file = sandbox.home().join("pid");
        wait_until("the command", || file.exists());
        signal(&child, number);
        Run::wait(child, "qwen-token").exits(code);
        let pid = sandbox.read("home/pid");
        wait_until("the end of what it started", || !is_running(&pid));
    }
}

#[test]
fn a_command_may_ask_on_the_terminal_and_ctrl_c_reaches_it() {
    let script = "stty -echo </dev/tty; printf 'passphrase: ' >/dev/tty; read -r x </dev/tty; stty echo </dev/tty; echo \"sk-$x\"";
    let sandbox = scripted(script);
    let mut terminal = Terminal::start(sandbox.tool("qwen-token"));
    terminal.shows("passphrase: ");
    terminal.waits_for_echo(false);
    terminal.types("open-sesame\n");
    let shown = terminal.shown_at_end();
    assert!(shown.contains("sk-open-sesame"), "{shown}");
    let mut terminal = Terminal::start(sandbox.tool("qwen-token"));
    terminal.shows("passphrase: ");
    terminal.waits_for_echo(false);
    terminal.types("\u{3}");
    terminal.waits_for_echo(true);
    assert_eq!(terminal.ends(), 130);
}

/// aws/mcp-proxy-for-aws#293: what is piped to us is not the command's.
#[test]
fn a_command_does_not_read_what_was_meant_for_the_question() {
    let server = Server::script([answer(&["fine"])]);
    let sandbox = sandbox(
        &server.url("/v1"),
        &json!({"command": ["sh", "-c", "cat; echo sk-1"]}),
    );
    let run = sandbox.tool("qwen-chat").arg("sum up").stdin("the data\n").run();
    run.gives(0, "fine\n", "");
    assert!(server.requests()[0].text().contains("the data"));
}

#[test]
fn a_command_that_asks_for_the_key_that_it_is_to_print_is_stopped() {
    let sandbox = sandbox("https://llm.example/v1", &json!({"command": ["qwen-token"]}));
    let said = "key command 'qwen-token' failed with exit 78: qwen-token: key command 'qwen-token' asks for the key that it is to print\n";
    token(&sandbox).arg("-q").run().fails(77, &[said]);
    let other = json!({"method": "api-key", "base_url": "https://llm.example/v1", "key": {"command": ["qwen-token", "--profile", "p"]}});
    let base = json!({"method": "api-key", "base_url": "https://llm.example/v1", "key": {"command": ["echo", "sk-1"]}});
    sandbox.config(&json!({"profiles": {"p": base, "q": other}}).to_string());
    token(&sandbox)
        .args(["--profile", "q"])
        .run()
        .gives(0, "sk-1\n", "");
}

/// kubernetes-sigs/headlamp#7482: the request that met the old key is the one that is repeated.
#[test]
fn a_key_that_was_accepted_and_then_refused_is_had_anew_each_time() {
    // Each key is good for two requests.
    let served = std::sync::Mutex::new(std::collections::BTreeMap::<u32, u32>::new());
    let server = Server::answering(move |_, request| {
        let mut served = served.lock().unwrap();
        let count = served.entry(key_number(request)).or_default();
        *count += 1;
        match *count {
            1 | 2 => crate::support::batch::whole("fine"),
            _ => Reply::json(401, "{}"),
        }
    });
    let sandbox = sandbox(
        &server.url("/v1"),
        &json!({"command": ["/bin/sh", "-c", COUNTING]}),
    );
    sandbox.write("work/in", lines(7));
    let tool = sandbox
        .tool("qwen-batch")
        .args(["run", "in", "-o", "out", "-j", "1"]);
    tool.run().exits(0);
    let results = results_in(&sandbox.work().join("out"));
    assert!(results.len() == 7 && results.values().all(|result| text(result) == "fine"));
    assert_eq!(runs(&sandbox), 4);
}

#[test]
fn one_run_of_the_command_serves_all_requests_that_were_refused_together() {
    let server = Server::answering(|_, request| match key_number(request) {
        1 => Reply::json(
            403,
            r#"{"error":{"message":"invalid api key","code":"invalid_api_key"}}"#,
        ),
        _ => crate::support::batch::whole("fine"),
    });
    let sandbox = sandbox(
        &server.url("/v1"),
        &json!({"command": ["/bin/sh", "-c", COUNTING]}),
    );
    sandbox.write("work/in", lines(12));
    let tool = sandbox
        .tool("qwen-batch")
        .args(["run", "in", "-o", "out", "-j", "6"]);
    tool.run().exits(0);
    assert_eq!(
        (results_in(&sandbox.work().join("out")).len(), runs(&sandbox)),
        (12, 2)
    );
}

#[test]
fn a_key_that_is_refused_at_once_is_had_anew_once_and_no_more() {
    let server = Server::answering(|_, _| Reply::json(401, "{}"));
    let sandbox = sandbox(
        &server.url("/v1"),
        &json!({"command": ["/bin/sh", "-c", COUNTING]}),
    );
    sandbox.write("work/in", lines(3));
    let tool = sandbox
        .tool("qwen-batch")
        .args(["run", "in", "-o", "out", "-j", "1"]);
    let run = tool.run();
    run.fails(
        77,
        &["hint: see whether the key that command '/bin/sh' prints is for this endpoint"],
    );
    assert_eq!((runs(&sandbox), server.count()), (2, 2));
}

#[test]
fn after_its_time_a_key_is_had_anew_before_it_is_refused() {
    // The answers take longer than the keys are good.
    let server = Server::answering(|_, _| {
        Reply::default()
            .pause(std::time::Duration::from_millis(1100))
            .then(crate::support::batch::whole("fine"))
    });
    let key = json!({"command": ["/bin/sh", "-c", COUNTING], "ttl": 1});
    let sandbox = sandbox(&server.url("/v1"), &key);
    sandbox.write("work/in", lines(3));
    let run = |out: &str| {
        let tool = sandbox
            .tool("qwen-batch")
            .args(["run", "in", "-o", out, "-j", "1"]);
        tool.run().exits(0)
    };
    run("out");
    let keys: Vec<u32> = server.requests().iter().map(key_number).collect();
    assert_eq!(keys, [1, 2, 3]);
    configure(
        &sandbox,
        &server.url("/v1"),
        &json!({"command": ["/bin/sh", "-c", COUNTING], "ttl": 3600}),
    );
    run("other");
    assert_eq!(runs(&sandbox), 4);
}

#[test]
fn where_the_command_fails_after_that_time_the_earlier_key_is_used_on() {
    let server = Server::answering(|_, _| {
        Reply::default()
            .pause(std::time::Duration::from_millis(1100))
            .then(crate::support::batch::whole("fine"))
    });
    let script = format!("test -e ~/n && {{ echo locked >&2; exit 1; }}; {COUNTING}");
    let sandbox = sandbox(
        &server.url("/v1"),
        &json!({"command": ["/bin/sh", "-c", script], "ttl": 1}),
    );
    sandbox.write("work/in", lines(2));
    let tool = sandbox
        .tool("qwen-batch")
        .args(["run", "in", "-o", "out", "-j", "1"]);
    let run = tool.run().exits(0);
    let said = "key command '/bin/sh' failed with exit 1: locked; the earlier key is used on\n";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert_eq!(
        server.requests().iter().map(key_number).collect::<Vec<_>>(),
        [1, 1]
    );
}

#[test]
fn a_limit_of_the_command_is_the_users_and_its_file_may_be_anywhere() {
    let sandbox = sandbox("https://llm.example/v1", &json!({"command": ["~/bin/limits"]}));
    let path = sandbox.program("home/bin/limits", "#!/bin/sh\nulimit -S -c\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o111, 0o111);
    let limited = "ulimit -S -c 7 2>/dev/null && exec \"$0\"";
    let tool = sandbox
        .command("/bin/sh")
        .args(["-c", limited])
        .arg(crate::support::binary("qwen-token"));
    tool.run().gives(0, "7\n", "");
}

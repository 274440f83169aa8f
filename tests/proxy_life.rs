//! qwen-proxy and the command that it runs: environment, end, what a process finds.
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;

use crate::support::lender::{KEY, environment, is_gone, lending, pid, proxy, running};
use crate::support::{Run, Sandbox, binary, peers, signal};

#[test]
fn the_exit_code_of_the_command_is_the_answer() {
    let sandbox = Sandbox::new();
    for code in [0, 1, 2, 64, 70, 77, 126, 127, 128, 130, 255] {
        running(&sandbox, &format!("exit {code}"))
            .run()
            .gives(code, "", "");
    }
}

#[test]
fn the_death_of_the_command_by_a_signal_is_repeated() {
    let sandbox = Sandbox::new();
    for name in [
        "HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2", "SEGV", "ABRT", "PIPE", "ALRM",
    ] {
        let run = running(&sandbox, &format!("kill -{name} $$")).run();
        let direct = sandbox
            .command("/bin/sh")
            .args(["-c", &format!("kill -{name} $$")])
            .run();
        assert_eq!(run.status.signal(), direct.status.signal(), "{name}: {run:#?}");
        assert!(run.status.signal().is_some(), "{name}");
        assert_eq!(run.stderr, "", "{name}");
    }
    // One without a name is left to the exit code, as a shell shows it.
    let run = running(&sandbox, "kill -40 $$").run().exits(168);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_command_that_is_not_there_or_cannot_be_run_is_told_as_by_a_shell() {
    let sandbox = Sandbox::new();
    sandbox.write("work/data", "text\n");
    sandbox.program("work/script", "echo \"$1\"\n");
    sandbox.program("work/orphan", "#!/no/such/interpreter\n");
    proxy(&sandbox).args(["--", "no-such-command"]).run().gives(
        127,
        "",
        "qwen-proxy: 'no-such-command': command not found\n",
    );
    for file in ["./data", "./orphan", "/"] {
        proxy(&sandbox)
            .args(["--", file])
            .run()
            .fails(126, &["cannot run"]);
    }
    proxy(&sandbox)
        .args(["--", "./script", "a b"])
        .run()
        .gives(0, "a b\n", "");
    proxy(&sandbox)
        .arg("--")
        .run()
        .fails(64, &["no command after '--'"]);
}

#[test]
fn the_command_finds_the_endpoint_and_no_other_credential() {
    let sandbox = Sandbox::new();
    let mut tool = proxy(&sandbox);
    let taken = [
        ("OPENAI_ADMIN_KEY", "a"),
        ("OPENAI_ORG_ID", "a"),
        ("OPENAI_PROJECT_ID", "a"),
        ("OPENAI_CUSTOM_HEADERS", "a: b"),
        ("AZURE_OPENAI_API_KEY", "a"),
        ("AZURE_OPENAI_AD_TOKEN", "a"),
        ("OPENAI_API_TYPE", "azure"),
        ("OPENAI_HOST", "https://api.example"),
        ("OPENAI_ENDPOINT", "https://api.example"),
        ("AZURE_OPENAI_ENDPOINT", "https://api.example"),
        ("AIDER_OPENAI_API_BASE", "https://api.example"),
        ("DASHSCOPE_API_KEY", "a"),
        ("DASHSCOPE_BASE_URL", "https://api.example"),
        ("OPENROUTER_API_KEY", "a"),
        ("QWEN_ENV_EXPORTED", ""),
        ("LISTEN_FDS", "1"),
        ("LISTEN_PID", "1"),
        ("NOTIFY_SOCKET", ""),
        ("MY_OWN_NAME_FOR_IT", KEY),
        ("CONFIG", "{\"key\": \"sk-canary-0123456789-lent\"}"),
        ("QWEN_PROXY_SOCKET", "/another"),
        ("QWEN_PROXY_PID", "1"),
    ];
    let kept = [
        ("EDITOR", "vi"),
        ("AWS_SECRET_ACCESS_KEY", "a"),
        ("OPENAI_LOG", "debug"),
        ("DATABASE_URL", "https://api.example"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1"),
    ];
    for (name, value) in taken.into_iter().chain(kept) {
        tool = tool.env(name, value);
    }
    let tool = tool.env("NO_PROXY", ".corp");
    let run = tool.args(["--", "env", "-0"]).run().exits(0);
    let found = environment(&run);
    for (name, _) in taken {
        assert_eq!(found.get(name), None, "{name}");
    }
    for (name, value) in kept {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name}");
    }
    let url = &found["OPENAI_BASE_URL"];
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with("/v1"),
        "{url}"
    );
    assert_eq!(&found["OPENAI_API_BASE"], url);
    assert_eq!(&found["QWEN_PROXY_URL"], url);
    assert_eq!(found["OPENAI_MODEL"], "tiny");
    let token = found["OPENAI_API_KEY"].strip_prefix("sk-").unwrap();
    assert!(
        token.len() == 48 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        "{token}"
    );
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(found[name], ".corp,127.0.0.1,localhost", "{name}");
    }
    assert!(!run.text().contains(KEY));
}

#[test]
fn proxies_are_taken_out_on_demand() {
    let sandbox = Sandbox::new();
    let names = [
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "npm_config_https_proxy",
    ];
    let mut tool = proxy(&sandbox).arg("--no-proxy-env");
    for name in names {
        tool = tool.env(name, "http://127.0.0.1:1");
    }
    let found = environment(&tool.args(["--", "env", "-0"]).run().exits(0));
    for name in names {
        assert_eq!(found.get(name), None, "{name}");
    }
}

/// What a process finds at its start that it did not make itself.
const FOUND: &str = r#"
import os, resource, signal, sys
for line in open('/proc/self/status'):
    if line.startswith(('SigBlk', 'SigIgn', 'Umask', 'NoNewPrivs', 'Seccomp')):
        print(line.strip())
for name in sorted(n for n in dir(resource) if n.startswith('RLIMIT_')):
    print(name, resource.getrlimit(getattr(resource, name)))
for fd in range(0, 40):
    try:
        what = os.readlink(f'/proc/self/fd/{fd}').split('[')[0]
        # Other tests of the same process have terminals open.
        if what != '/dev/ptmx':
            print(fd, what, os.get_inheritable(fd))
    except OSError:
        pass
print(os.getcwd(), os.nice(0), os.getpgrp() == os.getpgid(os.getppid()), os.getsid(0) == os.getsid(os.getppid()))
"#;

#[test]
fn the_command_finds_limits_masks_signals_and_descriptors_as_without_the_proxy() {
    let python = peers::command("python3");
    if !peers::present("python3", python.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let found = sandbox.write("found.py", FOUND);
    let found = format!(
        "{} -I -S {} </dev/null",
        python.unwrap().display(),
        found.display()
    );
    let own = binary("qwen-proxy");
    for around in [
        "RUN",
        "trap '' HUP; RUN",
        "trap '' INT QUIT; RUN",
        "trap '' PIPE; RUN",
        "trap '' TSTP TTIN TTOU; RUN",
        "trap '' USR1 USR2 ALRM XCPU XFSZ CONT; RUN",
        "ulimit -c 0; RUN",
        "ulimit -S -c 100; RUN",
        "ulimit -n 64; RUN",
        "ulimit -S -n 77; RUN",
        "umask 077; nice -n 3 RUN",
        "exec 7</dev/zero 9>/dev/full; RUN",
        "RUN 2>&-",
        "RUN <&- 2>&-",
        "cd /; RUN",
    ] {
        let run = |words: &str| {
            let script = around.replace("RUN", words);
            let run = lending(sandbox.command("/bin/bash")).args(["-c", &script]).run();
            (run.code(), run.text())
        };
        let direct = run(&found);
        assert_eq!(direct.0, 0, "{around}");
        assert!(direct.1.contains("RLIMIT_NOFILE"), "{around}: {}", direct.1);
        assert_eq!(run(&format!("{} -- {found}", own.display())), direct, "{around}");
    }
}

#[test]
fn whoever_reads_the_commands_output_sees_when_the_command_closes_it() {
    let sandbox = Sandbox::new();
    let mut child = running(&sandbox, "echo $$; exec >&-; exec sleep 1000").start();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let (mut line, mut rest) = (String::new(), String::new());
    reader.read_line(&mut line).unwrap();
    // Ends though both still run.
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    assert!(!is_gone(pid(&line)));
    signal(&child, Signal::TERM);
    Run::wait(child, "sleep").exits(143);
}

#[test]
fn a_parent_that_ignores_the_death_of_children_still_gets_the_answer() {
    let sandbox = Sandbox::new();
    let script = format!(
        "trap '' CHLD HUP; {} -- sh -c 'exit 5'; echo $?",
        binary("qwen-proxy").display()
    );
    let run = lending(sandbox.command("/bin/bash")).args(["-c", &script]).run();
    run.gives(0, "5\n", "");
}

#[test]
fn no_credential_is_told_before_the_command_runs() {
    let sandbox = Sandbox::new();
    let tool = sandbox.tool("qwen-proxy").args(["--", "touch", "ran"]);
    tool.run().fails(77, &["no credential"]);
    assert!(!sandbox.work().join("ran").exists());
}

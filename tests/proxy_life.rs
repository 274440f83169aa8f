//! qwen-proxy and the command that it runs: environment, signals, terminal, end.
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

use crate::support::lender::{KEY, environment, is_gone, lending, pid, printed, proxy, running};
use crate::support::{Run, Sandbox, Terminal, binary, peers, signal, wait_until};

/// The state of a process, as `ps` shows it.
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next())
        .unwrap_or('-')
}

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

/// Prints the signals that come, each with what sent it, until it is told to end.
const LISTENER: &str = r#"
import os, signal, sys
caught = [s for s in signal.valid_signals() if s not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGWINCH)]
signal.pthread_sigmask(signal.SIG_BLOCK, caught)
print(os.getpid(), flush=True)
while True:
    info = signal.sigwaitinfo(caught)
    print(info.si_signo, flush=True)
    if info.si_signo == signal.SIGTERM:
        sys.exit(0)
"#;

fn listener(sandbox: &Sandbox) -> Option<Child> {
    let python = peers::command("python3");
    if !peers::present("python3", python.is_some()) {
        return None;
    }
    let script = sandbox.write("listener.py", LISTENER);
    let tool = proxy(sandbox)
        .arg("--")
        .arg(python.unwrap())
        .args(["-I", "-S"])
        .arg(script);
    Some(tool.start())
}

#[test]
fn a_signal_that_a_process_sends_to_the_proxy_reaches_the_command_once() {
    let sandbox = Sandbox::new();
    let Some(mut child) = listener(&sandbox) else {
        return;
    };
    printed(&mut child);
    let sent = [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::TSTP,
        Signal::INT,
        Signal::XCPU,
        Signal::TRAP,
        Signal::SYS,
        Signal::POWER,
        Signal::STKFLT,
    ];
    for one in sent {
        signal(&child, one);
        assert_eq!(printed(&mut child), one.as_raw().to_string());
    }
    signal(&child, Signal::TERM);
    // Nothing came twice: this is the next that it prints.
    assert_eq!(printed(&mut child), Signal::TERM.as_raw().to_string());
    Run::wait(child, "listener").gives(0, "", "");
}

#[test]
fn the_command_dies_of_what_the_proxy_is_sent_and_is_no_orphan() {
    let sandbox = Sandbox::new();
    for one in [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::XCPU,
        Signal::IO,
        Signal::POWER,
        Signal::STKFLT,
        Signal::TRAP,
        Signal::BUS,
        Signal::SYS,
        Signal::ABORT,
    ] {
        let mut child = running(&sandbox, "echo $$; exec sleep 1000").start();
        let command = pid(&printed(&mut child));
        signal(&child, one);
        let run = Run::wait(child, "sleep");
        assert_eq!(run.code(), 128 + one.as_raw(), "{one:?}: {run:#?}");
        assert!(is_gone(command), "{one:?}");
        assert_eq!(run.stderr, "", "{one:?}");
    }
}

#[test]
fn what_ends_no_process_or_has_no_relay_leaves_both_alone() {
    let sandbox = Sandbox::new();
    let mut child = running(&sandbox, "echo $$; exec cat").stdin("").start();
    Run::wait(child, "cat").exits(0);
    child = running(&sandbox, "echo $$; exec sleep 1000").start();
    let command = pid(&printed(&mut child));
    for one in [
        Signal::PIPE,
        Signal::XFSZ,
        Signal::WINCH,
        Signal::URG,
        Signal::CONT,
    ] {
        signal(&child, one);
    }
    let kill = sandbox
        .command("/bin/kill")
        .args(["-40", &child.id().to_string()]);
    kill.run().exits(0);
    assert!(test_kill_process(command).is_ok() && !is_gone(command));
    signal(&child, Signal::TERM);
    assert_eq!(Run::wait(child, "sleep").status.signal(), Some(15));
}

#[test]
fn a_signal_to_the_whole_group_is_not_doubled_by_its_own_sender() {
    let sandbox = Sandbox::new();
    // The script signals its group, as `kill 0` in a trap does, and counts what comes to itself.
    let script = "n=0; trap 'n=$((n + 1))' USR1; kill -USR1 0; sleep 0.3; echo $n";
    let tool = sandbox
        .command("/usr/bin/setsid")
        .arg("--wait")
        .arg(binary("qwen-proxy"));
    lending(tool)
        .args(["--", "bash", "-c", script])
        .run()
        .gives(0, "1\n", "");
}

#[test]
fn a_signal_to_the_whole_group_is_not_doubled_by_what_the_command_has_started() {
    let sandbox = Sandbox::new();
    let script = "n=0; trap 'n=$((n + 1)); >counted' USR1; trap 'echo $n; kill $!; exit' USR2; echo $PPID; \
        sh -c 'trap \"\" USR1; kill -USR1 0; touch sent; exec sleep 1000' & \
        while :; do wait; done";
    let tool = sandbox
        .command("/usr/bin/setsid")
        .arg("--wait")
        .arg(binary("qwen-proxy"));
    let mut child = lending(tool).args(["--", "bash", "-c", script]).start();
    let parent = pid(&printed(&mut child));
    for file in ["sent", "counted"] {
        let file = sandbox.work().join(file);
        // Of two that arrive at the same time bash may lose one.
        wait_until("the sender and its signal", || file.exists());
    }
    // The proxy hands this on behind the first.
    kill_process(parent, Signal::USR2).unwrap();
    Run::wait(child, "a script").gives(0, "1\n", "");
}

/// Waits until a process is in one of these states. Where it ends instead, shows what its proxy said.
#[track_caller]
fn reaches(child: Child, pid: Pid, states: &str) -> Child {
    wait_until(&format!("the state {states}"), || {
        states.contains(state(pid)) || is_gone(pid)
    });
    assert!(
        !is_gone(pid),
        "{:#?}",
        Run::wait(child, "the proxy of what has ended")
    );
    child
}

#[test]
fn a_command_that_is_stopped_without_a_shell_leaves_the_endpoint_running() {
    let sandbox = Sandbox::new();
    let tool = sandbox
        .command("/usr/bin/setsid")
        .arg("--wait")
        .arg(binary("qwen-proxy"));
    let script = "echo $PPID $$; exec sleep 1000";
    let mut child = lending(tool).args(["--", "sh", "-c", script]).start();
    let (parent, command) = both(&printed(&mut child));
    kill_process(command, Signal::STOP).unwrap();
    child = reaches(child, command, "T");
    assert_ne!(state(parent), 'T');
    // Sent to the proxy it goes on to the command, which nobody else would continue.
    kill_process(parent, Signal::CONT).unwrap();
    child = reaches(child, command, "SR");
    assert_ne!(state(parent), 'T');
    kill_process(parent, Signal::TERM).unwrap();
    Run::wait(child, "sleep").exits(143);
}

/// The process IDs of the proxy and its command, as the command printed them.
fn both(line: &str) -> (Pid, Pid) {
    let (parent, command) = line.split_once(' ').unwrap();
    (pid(parent), pid(command))
}

/// A job of a shell with job control but without a terminal.
struct Job {
    shell: Option<Child>,
    proxy: Pid,
    command: Pid,
    end: PathBuf,
}

impl Job {
    fn start(sandbox: &Sandbox, script: &str) -> Self {
        let line =
            format!("mkfifo end; set -m; qwen-proxy -- sh -c 'echo $PPID $$; {script}' & read line <>end");
        let tool = sandbox.command("/usr/bin/setsid");
        let mut shell = lending(tool).args(["--wait", "bash", "-c", &line]).start();
        let (proxy, command) = both(&printed(&mut shell));
        let end = sandbox.work().join("end");
        Self {
            shell: Some(shell),
            proxy,
            command,
            end,
        }
    }

    /// Signals the whole job, as `kill %1` does.
    fn signal(&self, signal: Signal) {
        kill_process_group(self.proxy, signal).unwrap();
    }

    /// Waits until both are in one of these states.
    #[track_caller]
    fn reaches(&mut self, states: &str) {
        for pid in [self.command, self.proxy] {
            self.shell = Some(reaches(self.shell.take().unwrap(), pid, states));
        }
    }

    fn printed(&mut self) -> String {
        printed(self.shell.as_mut().unwrap())
    }

    fn ends(mut self) {
        self.signal(Signal::TERM);
        for pid in [self.command, self.proxy] {
            wait_until("the end of both", || is_gone(pid));
        }
        // Not for writing alone: that would wait for a reader.
        let mut end = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.end)
            .unwrap();
        end.write_all(b"now\n").unwrap();
        Run::wait(self.shell.take().unwrap(), "a shell").exits(0);
    }
}

#[test]
fn a_stop_that_comes_right_after_the_job_is_continued_is_kept() {
    let sandbox = Sandbox::new();
    let mut job = Job::start(&sandbox, "exec sleep 1000");
    for _ in 0..50 {
        job.signal(Signal::TSTP);
        job.reaches("T");
        // The next round's stop follows at once.
        job.signal(Signal::CONT);
    }
    job.reaches("SR");
    job.ends();
}

/// What a script of `sh` does that tells each SIGUSR1.
const TELLING: &str = "trap \"echo here\" USR1; echo set; while :; do sleep 1000 & wait; kill $!; done";

/// `kill -TSTP %1` reaches both, and the proxy hands it on besides: continued, the command must not meet that again.
#[test]
fn a_stop_that_was_sent_to_the_whole_job_is_not_done_twice() {
    let sandbox = Sandbox::new();
    let mut job = Job::start(&sandbox, TELLING);
    assert_eq!(job.printed(), "set");
    for _ in 0..20 {
        job.signal(Signal::TSTP);
        job.reaches("T");
        job.signal(Signal::CONT);
        // It goes by the proxy, behind what came before.
        kill_process(job.proxy, Signal::USR1).unwrap();
        assert_eq!(job.printed(), "here");
    }
    job.ends();
}

#[test]
fn a_proxy_that_is_continued_alone_continues_the_command() {
    let sandbox = Sandbox::new();
    let mut job = Job::start(&sandbox, "exec sleep 1000");
    for _ in 0..5 {
        kill_process(job.command, Signal::STOP).unwrap();
        job.reaches("T");
        kill_process(job.proxy, Signal::CONT).unwrap();
        job.reaches("SR");
    }
    job.ends();
}

#[test]
fn a_command_that_is_killed_while_both_are_stopped_ends_both_as_it_ended() {
    let sandbox = Sandbox::new();
    // To be stopped (147) is no end of a job.
    let line = "set -m; qwen-proxy -- sh -c 'echo $PPID $$; exec sleep 1000' &
        while wait $!; end=$?; [ $end = 147 ]; do :; done; echo $end";
    let tool = sandbox.command("/usr/bin/setsid");
    let mut shell = lending(tool).args(["--wait", "bash", "-c", line]).start();
    let (proxy, command) = both(&printed(&mut shell));
    kill_process(command, Signal::STOP).unwrap();
    for pid in [command, proxy] {
        shell = reaches(shell, pid, "T");
    }
    kill_process(command, Signal::KILL).unwrap();
    wait_until("the end of the command", || "ZX".contains(state(command)));
    kill_process(proxy, Signal::CONT).unwrap();
    assert_eq!(printed(&mut shell), "137");
    Run::wait(shell, "a shell").exits(0);
}

/// As where a container is entered: the numbers of a session and a group whose leaders are outside are 0.
#[test]
fn the_leaders_of_session_and_group_may_be_outside_the_pid_namespace() {
    let all = ["unshare", "mount"];
    let may = rustix::process::geteuid().is_root() && all.iter().all(|name| peers::command(name).is_some());
    if !peers::present("PID namespaces (root, unshare)", may) {
        return;
    }
    let sandbox = Sandbox::new();
    let script = "qwen-proxy -- sh -c 'echo $$ >pid; kill -STOP $$; exit 7' & \
        until [ -s pid ] && read line <\"/proc/$(cat pid)/stat\" && case $line in *') T '*) ;; *) false ;; esac; \
        do sleep 0.01; done; kill -CONT \"$(cat pid)\"; wait $!; exit $?";
    let tool = sandbox.command("/usr/bin/unshare");
    let entered = ["--pid", "--fork", "--mount-proc", "sh", "-c", script];
    lending(tool).args(entered).run().gives(7, "", "");
}

/// As a terminal stops what reads in the background: by a signal that the proxy does not catch.
#[test]
fn both_go_on_when_somebody_else_has_stopped_both() {
    let sandbox = Sandbox::new();
    let mut job = Job::start(&sandbox, TELLING);
    assert_eq!(job.printed(), "set");
    for signal in [Signal::STOP, Signal::TTIN, Signal::TTOU].repeat(5) {
        job.signal(signal);
        job.reaches("T");
        job.signal(Signal::CONT);
        kill_process(job.proxy, Signal::USR1).unwrap();
        assert_eq!(job.printed(), "here");
    }
    job.ends();
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

/// A shell with job control on a terminal.
fn shell(sandbox: &Sandbox) -> Terminal {
    let terminal = Terminal::start(
        lending(sandbox.command("/bin/bash"))
            .args(["--noprofile", "--norc", "-i"])
            .env("PS1", "ready> ")
            .env("TERM", "xterm")
            .env("HISTFILE", "/dev/null"),
    );
    terminal.shows("ready> ");
    terminal
}

/// Types, and waits for what comes after what has been shown.
#[track_caller]
fn expect(terminal: &mut Terminal, typed: &str, shown: &str) {
    let before = terminal.plain().len();
    terminal.types(typed);
    terminal.shows_after(before, shown);
}

#[test]
fn ctrl_c_reaches_an_interactive_python_once() {
    let python = peers::command("python3");
    if !peers::present("python3", python.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(&mut terminal, "qwen-proxy -- python3 -q -I\n", ">>> ");
    let count = "import signal, time; n = 0\n";
    expect(&mut terminal, count, ">>> ");
    let handler = "def count(*_):\n    global n; n += 1\n\n";
    expect(&mut terminal, handler, ">>> ");
    expect(
        &mut terminal,
        "_ = signal.signal(signal.SIGINT, count); print('set' + 'up')\n",
        "setup",
    );
    for times in 1..=3 {
        terminal.types("\x03");
        // Before this is evaluated the handler has run for the signal above, so that no two become one.
        expect(&mut terminal, "print('now', n)\n", &format!("now {times}"));
    }
    expect(&mut terminal, "print('came', n)\n", "came 3");
    expect(
        &mut terminal,
        "_ = signal.signal(signal.SIGINT, signal.default_int_handler)\n",
        ">>> ",
    );
    expect(
        &mut terminal,
        // A signal just before a long sleep would be heard after it.
        "exec('print(\"slee\" + \"ping\")\\nwhile True: time.sleep(0.01)')\n",
        "sleeping",
    );
    expect(&mut terminal, "\x03", "KeyboardInterrupt");
    expect(&mut terminal, "print('still' + ' here')\n", "still here");
    expect(&mut terminal, "\x04", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
}

#[test]
fn ctrl_c_ends_a_command_and_the_shell_sees_by_what() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        // Without 'exec' the inner shell may have begun to wait for a child that is not there yet, and forget the Ctrl-C.
        "for i in 1 2; do qwen-proxy -- sh -c 'echo st''arted; exec sleep 1000'; done\n",
        "started",
    );
    // A loop of the shell ends at the first Ctrl-C, as it does without the proxy.
    expect(&mut terminal, "\x03", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 130");
}

#[test]
fn one_fg_is_enough_after_ctrl_z() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'echo be''gun; exec sed -u s/^/got-/'\n",
        "begun",
    );
    for round in 0..5 {
        expect(&mut terminal, "\x1a", "Stopped");
        expect(
            &mut terminal,
            &format!("echo back-{round}-$((1+1))\n"),
            &format!("back-{round}-2"),
        );
        expect(&mut terminal, "fg\n", "qwen-proxy -- ");
        expect(
            &mut terminal,
            &format!("word{round}\n"),
            &format!("got-word{round}"),
        );
    }
    expect(&mut terminal, "\x04", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
    expect(&mut terminal, "jobs; echo none-$((1+1))\n", "none-2");
}

#[test]
fn a_command_that_does_not_stop_at_ctrl_z_goes_on() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'trap \"\" TSTP; echo be''gun; sed -u s/^/got-/'\n",
        "begun",
    );
    terminal.types("\x1a");
    expect(&mut terminal, "hello\n", "got-hello");
    expect(&mut terminal, "\x04", "ready> ");
}

#[test]
fn a_job_in_the_background_goes_on_and_stops_when_it_reads_the_terminal() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'read line; echo got $line' &\n",
        "ready> ",
    );
    wait_until("the stop", || {
        let before = terminal.plain().len();
        terminal.types("jobs; echo as''ked\n");
        terminal.shows_after(before, "asked\nready> ");
        terminal.plain()[before..].contains("Stopped")
    });
    terminal.types("fg\n");
    expect(&mut terminal, "text\n", "got text");
}

/// Types Ctrl-Z until the shell tells of the stop. less and others look whether it has come just before they wait for a key,
/// and miss one that comes in between, with or without the proxy.
#[track_caller]
fn stop(terminal: &mut Terminal) {
    let (before, mut looks) = (terminal.plain().len(), 0);
    wait_until("the stop", || {
        if looks % 100 == 0 {
            terminal.types("\x1a");
        }
        looks += 1;
        terminal.plain()[before..].contains("Stopped")
    });
}

#[test]
fn a_full_screen_program_is_drawn_stopped_and_drawn_again() {
    let less = peers::command("less");
    if !peers::present("less", less.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let lines: String = (0..200).map(|line| format!("line number {line}\n")).collect();
    sandbox.write("work/text", lines);
    let mut terminal = shell(&sandbox);
    expect(&mut terminal, "qwen-proxy -- less text\n", "line number 38");
    for page in ["line number 77", "line number 116"] {
        stop(&mut terminal);
        // The terminal is as the shell wants it.
        expect(&mut terminal, "echo typed-$((2+2))\n", "typed-4");
        expect(&mut terminal, "fg\n", "line number");
        expect(&mut terminal, " ", page);
    }
    expect(&mut terminal, "q", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
}

#[test]
fn vim_is_stopped_by_itself_and_saves_at_the_end() {
    let vim = peers::command("vim").or_else(|| peers::command("vi"));
    if !peers::present("vim", vim.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    let start = format!("qwen-proxy -- {} -u NONE -N text\n", vim.unwrap().display());
    expect(&mut terminal, &start, "[New]");
    terminal.types("ihello\x1b");
    terminal.shows("hello");
    stop(&mut terminal);
    expect(&mut terminal, "echo typed-$((2+2))\n", "typed-4");
    expect(&mut terminal, "fg\n", "hello");
    terminal.types("A again\x1b");
    expect(&mut terminal, ":wq\n", "ready> ");
    assert_eq!(sandbox.read("work/text"), "hello again\n");
}

#[test]
fn nothing_is_written_to_the_terminal_while_the_command_runs() {
    let sandbox = Sandbox::new();
    // A service manager that is not there is something to tell: at the end.
    let tool = running(&sandbox, "echo begun; read line; echo done");
    let mut terminal = Terminal::start(tool.env("NOTIFY_SOCKET", "/no/such/socket"));
    terminal.shows("begun");
    assert!(
        !terminal.plain().contains("service manager"),
        "{}",
        terminal.plain()
    );
    terminal.types("\n");
    let shown = terminal.shown_at_end();
    let (done, told) = (
        shown.find("done").unwrap(),
        shown.find("service manager").unwrap(),
    );
    assert!(done < told, "{shown}");
}

#[test]
fn no_credential_is_told_before_the_command_runs() {
    let sandbox = Sandbox::new();
    let tool = sandbox.tool("qwen-proxy").args(["--", "touch", "ran"]);
    tool.run().fails(77, &["no credential"]);
    assert!(!sandbox.work().join("ran").exists());
}

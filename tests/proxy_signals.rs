//! Signals that reach qwen-proxy and the command that it runs: each once, and none of them an orphan.
use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use rustix::process::{Signal, kill_process, test_kill_process};

use crate::support::lender::{is_gone, lending, pid, printed, proxy, running};
use crate::support::{Run, Sandbox, binary, peers, signal, wait_until};

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

//! qwen-proxy and its command as a job: stopped, continued, killed.
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::lender::{is_gone, lending, pid, printed};
use crate::support::{Run, Sandbox, binary, peers, wait_until};

/// The state of a process, as `ps` shows it.
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next())
        .unwrap_or('-')
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

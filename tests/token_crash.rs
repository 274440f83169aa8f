//! qwen-token cut short: killed, interrupted, on a disk that is full or may not be written.
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::login::{OWN_FILE, QWEN_FILE, login, millis, with};
use crate::support::random::Random;
use crate::support::{Gate, Identity, Reply, Run, Sandbox, Server, Tool, signal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;

/// One of the two files, in the form of its owner.
struct Place {
    provider: &'static str,
    file: &'static str,
    ends: &'static str,
}

const OWN: Place = Place {
    provider: "custom",
    file: OWN_FILE,
    ends: "expires_at",
};

const QWEN: Place = Place {
    provider: "qwen",
    file: QWEN_FILE,
    ends: "expiry_date",
};

impl Place {
    fn read(&self, sandbox: &Sandbox) -> Value {
        serde_json::from_str(&sandbox.read(self.file)).unwrap()
    }

    /// Puts a credential there that has just ended.
    fn put_expired(&self, sandbox: &Sandbox, tokens: &Value) {
        let mut stored = json!({
            "access_token": tokens["access_token"], "refresh_token": tokens["refresh_token"], "token_type": "Bearer",
        });
        stored[self.ends] = json!(millis(-1));
        sandbox.write(self.file, serde_json::to_string_pretty(&stored).unwrap());
    }
}

/// Kills qwen-token by SIGKILL at random moments of a refresh, and looks at what it left behind.
fn killed_at_random(place: &Place, times: usize) {
    let Some(server) = Identity::start(&[("AT_TTL", "3600")]) else {
        return;
    };
    let sandbox = Sandbox::new();
    sandbox.oauth_profile(place.provider, "file", &server.oauth());
    let mut random = Random::from_environment();
    let mut tokens = server.login();
    place.put_expired(&sandbox, &tokens);
    sandbox.tool("qwen-token").run().exits(0);
    place.put_expired(&sandbox, &place.read(&sandbox));
    let started = Instant::now();
    sandbox.tool("qwen-token").run().exits(0);
    let whole = started.elapsed().as_micros() as usize * 11 / 10;
    let (mut renewed, mut spent) = (0, 0);
    for round in 0..times {
        tokens = place.read(&sandbox);
        place.put_expired(&sandbox, &tokens);
        let mut child = sandbox.tool("qwen-token").start();
        // The moment is what is varied; each has to be survived.
        thread::sleep(Duration::from_micros(random.below(whole) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = place.read(&sandbox);
        let is_old = left["refresh_token"] == tokens["refresh_token"];
        renewed += usize::from(!is_old);
        let next = sandbox.tool("qwen-token").run();
        if next.code() == 77 {
            // True only if the server had spent the token before the answer could be stored.
            assert!(
                is_old && next.stderr.contains("invalid_grant"),
                "round {round}: {next:#?}"
            );
            spent += 1;
            place.put_expired(&sandbox, &server.login());
            continue;
        }
        let next = next.exits(0);
        assert!(server.is_active(next.text().trim()), "round {round}");
        // Killed between storing and unlocking: the lock file of a process that is gone holds nobody up.
        let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
        if lock.exists() {
            assert!(!is_old, "round {round}");
            let forced = sandbox.tool("qwen-token").arg("--refresh").run().exits(0);
            assert_eq!(forced.stderr, "", "who waits says so: round {round}");
            assert!(!lock.exists(), "round {round}");
        }
    }
    println!(
        "{times} kills: {renewed} after the new credential was stored, {spent} after the old one was spent"
    );
    let directory = place.file.rsplit_once('/').unwrap().0;
    let odd: Vec<String> = sandbox
        .files(directory)
        .into_iter()
        .filter(|name| name.contains(".tmp.") || name.contains(".stale."))
        .collect();
    assert_eq!(odd, [""; 0]);
}

#[test]
fn killed_at_two_hundred_moments_the_file_store_is_whole() {
    killed_at_random(&OWN, 200);
}

#[test]
fn killed_at_many_moments_qwen_codes_file_is_whole_and_no_lock_stays() {
    killed_at_random(&QWEN, 100);
}

/// Starts a refresh and waits until the server, which answers when the gate is opened, has been asked.
fn refreshing(sandbox: &Sandbox, place: &Place, program: Tool) -> (Child, Gate, Server) {
    let gate = Gate::default();
    let server = Server::script([Reply::default().gate(&gate).then(Reply::json(200, NEW))]);
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.oauth_profile(place.provider, "file", &oauth);
    place.put_expired(sandbox, &login(0, 0));
    let child = program.start();
    server.wait_for(1);
    (child, gate, server)
}

#[test]
fn ctrl_c_while_the_server_answers_keeps_the_new_credential() {
    for place in [OWN, QWEN] {
        let sandbox = Sandbox::new();
        let (child, gate, _server) = refreshing(&sandbox, &place, sandbox.tool("qwen-token"));
        signal(&child, Signal::INT);
        gate.open();
        let run = Run::wait(child, "qwen-token");
        assert_eq!(run.status.signal(), Some(2), "{run:#?}");
        assert_eq!(run.text(), "");
        assert_eq!(
            place.read(&sandbox)["refresh_token"],
            "rt-new",
            "the old one is spent"
        );
        let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
        assert!(!lock.exists());
    }
}

/// A timer, Ctrl-\, a limit on processor time, a service manager: what ends a process must not part it from its login.
#[test]
fn no_signal_that_can_wait_ends_a_refresh_before_the_new_credential_is_stored() {
    for (sent, ends_by) in [
        (Signal::TERM, 15),
        (Signal::HUP, 1),
        (Signal::QUIT, 3),
        (Signal::ALARM, 14),
        (Signal::XCPU, 24),
        (Signal::USR1, 10),
        (Signal::USR2, 12),
        (Signal::VTALARM, 26),
        (Signal::PROF, 27),
        // By SIGTERM then: these have no default that could be restored.
        (Signal::IO, 15),
        (Signal::POWER, 15),
    ] {
        let sandbox = Sandbox::new();
        let (child, gate, _server) = refreshing(&sandbox, &OWN, sandbox.tool("qwen-token"));
        signal(&child, sent);
        wait_until("it is delivered", || !is_pending(&child, sent));
        gate.open();
        let run = Run::wait(child, "qwen-token");
        assert_eq!(run.status.signal(), Some(ends_by), "{sent:?} {run:#?}");
        assert_eq!(OWN.read(&sandbox)["refresh_token"], "rt-new", "{sent:?}");
    }
}

#[test]
fn ctrl_c_does_not_wait_for_a_server_that_is_silent() {
    for place in [OWN, QWEN] {
        let sandbox = Sandbox::new();
        let (child, _gate, _server) = refreshing(&sandbox, &place, sandbox.tool("qwen-token"));
        signal(&child, Signal::INT);
        let run = Run::wait(child, "qwen-token");
        assert_eq!(run.status.signal(), Some(2), "{run:#?}");
        assert_eq!(run.stderr, "", "no limit for the answer has passed");
        assert_eq!(place.read(&sandbox)["refresh_token"], "rt-old");
        let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
        assert!(!lock.exists(), "Qwen Code would wait for it");
        let directory = place.file.rsplit_once('/').unwrap().0;
        assert!(!sandbox.files(directory).iter().any(|name| name.contains(".tmp.")));
    }
}

#[test]
fn a_signal_that_is_ignored_ends_neither_the_refresh_nor_its_lock() {
    let sandbox = Sandbox::new();
    let script = "trap '' INT; exec qwen-token";
    let program = sandbox.command("/bin/sh").args(["-c", script]);
    let (child, gate, _server) = refreshing(&sandbox, &QWEN, program);
    let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
    for _ in 0..2 {
        signal(&child, Signal::INT);
        wait_until("nothing is pending", || !is_pending(&child, Signal::INT));
        assert!(lock.exists(), "the answer is still to come");
    }
    gate.open();
    Run::wait(child, "qwen-token").gives(0, "at-new\n", "");
    assert!(!lock.exists());
}

/// Whether a signal was sent that has not been delivered or discarded.
fn is_pending(child: &Child, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mut sets = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigPnd:").or(line.strip_prefix("ShdPnd:")));
    sets.any(|set| u64::from_str_radix(set.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0)
}

#[test]
fn a_second_ctrl_c_does_not_wait() {
    let (patient, hurried) = (Sandbox::new(), Sandbox::new());
    let (mut waiting, _gate, _server) = refreshing(&patient, &OWN, patient.tool("qwen-token"));
    let (mut child, _gate, _server) = refreshing(&hurried, &OWN, hurried.tool("qwen-token"));
    signal(&waiting, Signal::INT);
    // Until it is gone: two that come at once count as one.
    wait_until("the end", || {
        signal(&child, Signal::INT);
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(child.wait().unwrap().signal(), Some(2));
    assert_eq!(
        waiting.try_wait().unwrap(),
        None,
        "one signal waits for the answer"
    );
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}

#[test]
fn killed_in_a_row_they_hold_nobody_up() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.oauth_profile("qwen", "file", &oauth);
    let lock = sandbox.root().join("home/.qwen/oauth_creds.lock");
    let mut random = Random::from_environment();
    for round in 0..60 {
        QWEN.put_expired(&sandbox, &login(0, 0));
        let mut children: Vec<_> = (0..3).map(|_| sandbox.tool("qwen-token").start()).collect();
        for child in &mut children {
            // As above: any moment will do.
            thread::sleep(Duration::from_micros(random.below(20_000) as u64));
            child.kill().unwrap();
        }
        for child in &mut children {
            child.wait().unwrap();
        }
        // One that is stale by its age alone would be waited for, and that said.
        let next = sandbox.tool("qwen-token").arg("--refresh");
        next.run().gives(0, "at-new\n", "");
        assert!(!lock.exists(), "round {round}");
    }
}

/// Runs a script in a mount namespace of its own, where `HOME` may be mounted over.
fn in_a_namespace(sandbox: &Sandbox, script: &str) -> Run {
    sandbox
        .command("/usr/bin/unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
        .run()
}

/// False, said loudly, where the machine lets nobody have a namespace.
fn has_namespaces(sandbox: &Sandbox) -> bool {
    let there = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "mount",
            "-t",
            "tmpfs",
            "none",
        ])
        .arg(sandbox.home())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    crate::support::peers::present("a mount namespace", there)
}

/// Mounts a small file system over the credentials, with what they hold on it, and runs `more` there.
fn on_a_small_disk(more: &str) -> String {
    format!(
        "cd \"$HOME/.config/qwen\"; rm -rf saved; cp -a credentials saved; mount -t tmpfs -o size=64k,mode=700 none credentials; \
         cp -a saved/. credentials; {more}"
    )
}

#[test]
fn a_full_disk_shows_before_the_server_is_asked() {
    let sandbox = Sandbox::new();
    if !has_namespaces(&sandbox) {
        return;
    }
    let server = Server::untouched();
    let fill = on_a_small_disk(
        "dd if=/dev/zero of=credentials/fill bs=4096 2>/dev/null || :; before=$(cat credentials/work.json); \
         code=0; qwen-token || code=$?; [ \"$before\" = \"$(cat credentials/work.json)\" ]; exit $code",
    );
    sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    in_a_namespace(&sandbox, &fill).fails(74, &["cannot write '", "work.json': no space left on device"]);
    sandbox.logged_in(&server.url("/token"), &login(-3590, 10));
    let run = in_a_namespace(&sandbox, &fill).exits(0);
    assert_eq!(
        run.text(),
        "at-old\n",
        "a token that lives is printed all the same"
    );
    assert!(
        run.stderr
            .contains("no space left on device; the current token is valid for"),
        "{run:#?}"
    );
}

#[test]
fn a_disk_that_fills_while_the_server_answers_loses_nothing() {
    let sandbox = Sandbox::new();
    if !has_namespaces(&sandbox) {
        return;
    }
    for name in ["asked", "full"] {
        rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.home().join(name), 0o600.into()).unwrap();
    }
    // Two named pipes keep the order: the server has been asked, the disk is full, the server answers.
    let (asked, full) = (sandbox.home().join("asked"), sandbox.home().join("full"));
    let server = Server::answering(move |_, _| {
        fs::write(&asked, "").unwrap();
        fs::read(&full).unwrap();
        Reply::json(200, NEW)
    });
    sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let fill = on_a_small_disk(
        "qwen-token & cat \"$HOME/asked\"; dd if=/dev/zero of=credentials/fill bs=4096 2>/dev/null || :; \
         : > \"$HOME/full\"; wait $!; cat credentials/work.json >&2",
    );
    let run = in_a_namespace(&sandbox, &fill).exits(0);
    assert_eq!(run.text(), "at-new\n");
    assert!(run.stderr.contains("rt-new"), "{run:#?}");
}

#[test]
fn a_read_only_home_shows_before_the_server_is_asked() {
    let sandbox = Sandbox::new();
    if !has_namespaces(&sandbox) {
        return;
    }
    let server = Server::untouched();
    let read_only = on_a_small_disk("mount -o remount,ro credentials; qwen-token");
    for (ends, code, stdout) in [(-1, 74, ""), (10, 0, "at-old\n"), (600, 0, "at-old\n")] {
        sandbox.logged_in(&server.url("/token"), &login(-3600, ends));
        let run = in_a_namespace(&sandbox, &read_only).exits(code);
        assert_eq!(run.text(), stdout);
        assert_eq!(
            run.stderr.contains("read-only file system"),
            ends < 60,
            "{run:#?}"
        );
    }
}

#[test]
fn a_look_up_without_an_answer_does_not_outlast_its_limit() {
    let sandbox = Sandbox::new();
    if !has_namespaces(&sandbox) {
        return;
    }
    sandbox.logged_in("https://login.example/token", &login(-3600, -1));
    // The system's resolver opens the file first, and waits for someone to write.
    let script = "mkfifo ../hosts; mount --bind ../hosts /etc/hosts; exec qwen-token";
    in_a_namespace(&sandbox, script).fails(75, &["'https://login.example/token': no connection within 10 s"]);
}

#[test]
fn what_a_killed_writer_left_is_swept_and_nothing_else() {
    let server = Server::script([Reply::json(200, NEW)]);
    let sandbox = Sandbox::new();
    let login = with(login(-3600, -1), json!({}));
    sandbox.logged_in(&server.url("/token"), &login);
    let left = sandbox.write(format!("{OWN_FILE}.tmp.4711.17.0"), "rt-leftover");
    let others = [
        sandbox.write(
            format!("{OWN_FILE}.tmp.0b9a3c1e-aaaa-4bbb-8ccc-0123456789ab"),
            "x",
        ),
        sandbox.write("home/.config/qwen/credentials/work.json.tmp.1.json", "x"),
    ];
    sandbox.tool("qwen-token").run().gives(0, "at-new\n", "");
    assert!(!left.exists());
    assert!(others.iter().all(|other| fs::exists(other).unwrap()));
}

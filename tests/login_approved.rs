//! A login that a person has approved and that its program did not come to store: the next program does.
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::authority::{
    ACCESS, Authority, DEVICE_CODE, REFRESH, device, login, nothing_is_stored, oauth, ok, refusal, stored,
    token,
};
use crate::support::{Gate, Keyring, Reply, Run, Sandbox, Server, peers, signal, wait_until};
use rustix::process::{Signal, geteuid};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const CREDENTIALS: &str = "home/.config/qwen/credentials";
const CONFIG: &str = "home/.config/qwen/config.json";

/// What changes the profiles.
type Change = fn(&mut Value);

/// What somebody else does to a journal.
type Plant = fn(&PathBuf);

/// The journals of logins that are going on or were left behind.
fn journals(sandbox: &Sandbox) -> Vec<PathBuf> {
    let directory = sandbox.root().join(CREDENTIALS).join("logins");
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn holds(path: &PathBuf, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
}

/// A server at which `lab` logs in; with the answer that brings the token it locks the store, so that the login cannot
/// be stored until the lock is dropped.
struct Blocking {
    authority: Authority,
    lock: Arc<Mutex<Option<File>>>,
}

impl Blocking {
    fn new(sandbox: &Sandbox, answer: Value) -> Self {
        let lock: Arc<Mutex<Option<File>>> = Arc::default();
        let (taken, path) = (
            Arc::clone(&lock),
            sandbox.root().join(CREDENTIALS).join("lab.json.lock"),
        );
        let authority = Authority::answering(ok(&device()), move || {
            let file = File::options().create(true).append(true).open(&path).unwrap();
            file.lock().unwrap();
            *taken.lock().unwrap() = Some(file);
            ok(&answer)
        });
        Self { authority, lock }
    }

    /// Ends the login by SIGKILL between the answer and the store; returns the journal that is left.
    fn cut_short(&self, sandbox: &Sandbox, mut child: Child) -> PathBuf {
        wait_until("the answer is kept", || {
            journals(sandbox).iter().any(|path| holds(path, ACCESS))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        *self.lock.lock().unwrap() = None;
        let [journal] = journals(sandbox).try_into().unwrap();
        journal
    }
}

/// A home with a login of `lab` that was approved and then cut short.
fn left_behind() -> (Sandbox, Blocking, PathBuf) {
    let sandbox = Sandbox::new();
    let blocking = Blocking::new(&sandbox, token());
    blocking.authority.configure(&sandbox);
    let journal = blocking.cut_short(&sandbox, login(&sandbox).start());
    nothing_is_stored(&sandbox);
    (sandbox, blocking, journal)
}

#[track_caller]
fn is_taken_over(sandbox: &Sandbox) {
    let kept = stored(sandbox);
    assert_eq!(
        (
            &kept["access_token"],
            &kept["refresh_token"],
            &kept["added_by_server"]
        ),
        (&json!(ACCESS), &json!(REFRESH), &json!({"kept": true}))
    );
    assert_eq!(journals(sandbox), [""; 0].map(PathBuf::from));
    assert!(!sandbox.root().join(CREDENTIALS).join("logins").exists());
    assert_eq!(sandbox.files_with(&[ACCESS, DEVICE_CODE]).len(), 1);
}

/// What a program says that stores a login that was left behind.
const SAID: &str = "the login of profile 'lab', approved before qwen-login was cut short, is stored in '";

#[test]
fn whichever_program_starts_next_stores_the_login_and_its_profile() {
    let whole = Sandbox::new();
    let authority = Authority::approving();
    authority.configure(&whole);
    login(&whole).run().exits(0);
    let port = |text: String, server: &Authority| text.replace(&server.server.url(""), "SERVER");
    let wanted = port(whole.read(CONFIG), &authority);
    let programs: [&[&str]; 6] = [
        &["qwen-token"],
        &["qwen-auth", "status"],
        &["qwen-auth", "list"],
        &["qwen-chat", "--dry-run", "--model", "m", "hi"],
        &["qwen-batch", "list"],
        &["qwen", "token", "--check"],
    ];
    thread::scope(|scope| {
        for words in programs {
            let wanted = &wanted;
            scope.spawn(move || {
                let (sandbox, blocking, journal) = left_behind();
                assert_eq!(journal.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
                assert_eq!(sandbox.mode(journal.parent().unwrap()), 0o700);
                assert!(!holds(&journal, DEVICE_CODE));
                let run = sandbox.tool(words[0]).args(&words[1..]).run();
                assert!(run.stderr.contains(SAID), "{run:#?}");
                assert!(
                    !run.stderr.contains(ACCESS) && !run.stderr.contains(REFRESH),
                    "{run:#?}"
                );
                is_taken_over(&sandbox);
                assert_eq!(
                    &port(sandbox.read(CONFIG), &blocking.authority),
                    wanted,
                    "{words:?}"
                );
                sandbox
                    .tool("qwen-token")
                    .run()
                    .gives(0, format!("{ACCESS}\n"), "");
            });
        }
    });
}

#[test]
fn the_next_login_stores_what_the_one_before_has_left_and_then_goes_on() {
    let (sandbox, _blocking, _) = left_behind();
    let authority = Authority::new(ok(&device()), [refusal(400, "access_denied")]);
    let config = sandbox.read(CONFIG);
    // The profile is of the first server; the second login is of another profile.
    let mut members: Value = serde_json::from_str(&config).unwrap();
    members["profiles"]["other"] = json!({"method": "oauth", "oauth": authority.oauth()});
    sandbox.config(&members.to_string());
    let run = login(&sandbox).args(["--profile", "other"]).run();
    run.fails(77, &[SAID, "the login was denied"]);
    is_taken_over(&sandbox);
}

#[test]
fn of_many_programs_at_once_one_stores_it_and_all_have_it() {
    let (sandbox, _blocking, _) = left_behind();
    let runs: Vec<Run> = thread::scope(|scope| {
        let started: Vec<_> = (0..12)
            .map(|_| scope.spawn(|| sandbox.tool("qwen-token").run()))
            .collect();
        started.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let said = runs.iter().filter(|run| run.stderr.contains(SAID)).count();
    assert_eq!(said, 1, "{runs:#?}");
    for run in runs {
        assert_eq!(run.exits(0).text(), format!("{ACCESS}\n"));
    }
    is_taken_over(&sandbox);
}

/// Changes the configuration as its user would.
fn edit(sandbox: &Sandbox, change: impl FnOnce(&mut Value)) {
    let mut members: Value = serde_json::from_str(&sandbox.read(CONFIG)).unwrap();
    change(&mut members["profiles"]);
    sandbox.config(&members.to_string());
}

#[test]
fn a_login_is_for_its_profile_server_and_client_alone() {
    let changes: [(&str, Change); 6] = [
        ("another server", |profiles| {
            profiles["lab"]["oauth"]["token_endpoint"] = json!("https://other.example/token");
        }),
        ("another client", |profiles| {
            profiles["lab"]["oauth"]["client_id"] = json!("other");
        }),
        ("an issuer", |profiles| {
            profiles["lab"]["oauth"]["issuer"] = json!("https://other.example");
        }),
        ("another method", |profiles| {
            profiles["lab"] = json!({"provider": "openai", "method": "api-key", "key": {"env": "K"}});
        }),
        ("no such profile", |profiles| {
            *profiles = json!({"other": profiles["lab"]});
        }),
        ("another store", |profiles| {
            profiles["lab"]["key"] = json!({"store": "keyring"});
        }),
    ];
    thread::scope(|scope| {
        for (name, change) in changes {
            scope.spawn(move || {
                let (sandbox, _blocking, _) = left_behind();
                edit(&sandbox, change);
                let config = sandbox.read(CONFIG);
                let run = sandbox.tool("qwen-auth").arg("list").run();
                let said = "profile 'lab' has changed since its login was approved: that login is dropped";
                assert!(run.stderr.contains(said), "{name}: {run:#?}");
                nothing_is_stored(&sandbox);
                assert_eq!(sandbox.read(CONFIG), config, "{name}");
                assert_eq!(sandbox.files_with(&[ACCESS, REFRESH]).len(), 0, "{name}");
            });
        }
    });
}

#[test]
fn other_members_of_the_profile_may_change_meanwhile() {
    let (sandbox, _blocking, _) = left_behind();
    edit(&sandbox, |profiles| profiles["lab"]["model"] = json!("m-7"));
    let run = sandbox.tool("qwen-token").run().exits(0);
    assert_eq!(run.text(), format!("{ACCESS}\n"));
    is_taken_over(&sandbox);
    let config: Value = serde_json::from_str(&sandbox.read(CONFIG)).unwrap();
    assert_eq!(config["profiles"]["lab"]["model"], json!("m-7"));
}

#[test]
fn two_profiles_at_one_server_have_their_own_logins() {
    let (sandbox, blocking, _) = left_behind();
    edit(&sandbox, |profiles| {
        profiles["two"] = json!({"method": "oauth", "oauth": blocking.authority.oauth()});
    });
    let run = sandbox.tool("qwen-token").args(["--profile", "two"]).run();
    run.fails(77, &["no credential for profile 'two'"]);
    is_taken_over(&sandbox);
    assert!(!sandbox.root().join(CREDENTIALS).join("two.json").exists());
}

#[test]
fn a_journal_of_yesterday_does_not_replace_a_newer_login() {
    let (sandbox, _blocking, journal) = left_behind();
    let old = fs::read(&journal).unwrap();
    sandbox.tool("qwen-token").run().exits(0);
    let issued = stored(&sandbox)["issued_at"].as_u64().unwrap() + 1;
    // As the next login or refresh writes it; and as another program may, which leaves the time out.
    for issued_at in [json!(issued), Value::Null] {
        let newer = json!({"access_token": "newer", "refresh_token": "r", "issued_at": issued_at});
        sandbox.write(format!("{CREDENTIALS}/lab.json"), newer.to_string());
        sandbox.write(&journal, &old);
        fs::set_permissions(journal.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
        sandbox.tool("qwen-token").run().gives(0, "newer\n", "");
        assert_eq!(journals(&sandbox).len(), 0);
    }
}

#[test]
fn what_somebody_else_may_have_planted_is_named_and_not_taken_over() {
    if !geteuid().is_root() {
        return;
    }
    let plants: [(&str, Plant); 4] = [
        ("belongs to another user (uid 12345)", |journal| {
            chown(journal, Some(12345), Some(12345)).unwrap();
        }),
        ("is writable by all", |journal| {
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(journal.parent().unwrap(), open).unwrap();
        }),
        ("is a symbolic link", |journal| {
            let other = journal.with_file_name("../aside");
            fs::rename(journal, &other).unwrap();
            std::os::unix::fs::symlink(&other, journal).unwrap();
        }),
        ("does not name the profile that its login is for", |journal| {
            fs::rename(journal, journal.with_file_name("work.17.4")).unwrap();
        }),
    ];
    thread::scope(|scope| {
        for (said, plant) in plants {
            scope.spawn(move || {
                let (sandbox, _blocking, journal) = left_behind();
                plant(&journal);
                let run = sandbox.tool("qwen-token").run();
                run.fails(77, &[said, "no credential for profile 'lab'"]);
                nothing_is_stored(&sandbox);
                assert_eq!(
                    journals(&sandbox).len(),
                    1,
                    "it is for its owner to look at: {said}"
                );
            });
        }
    });
}

/// A journal as a login of a profile that is not there yet leaves it.
fn journal_of(subject: &Value, answer: &Value) -> String {
    let answer = answer.to_string();
    let digest = Sha256::digest(answer.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let length = answer.len();
    format!("qwen login journal 1\n{subject}\nanswer 1790000000000 {length} {digest}\n{answer}\n\n\n")
}

#[test]
fn the_first_login_of_all_makes_its_profile_and_is_in_qwen_codes_file() {
    let subject = json!({
        "profile": "default",
        "server": {"issuer": null, "token_endpoint": "https://chat.qwen.ai/api/v1/oauth2/token",
                   "client_id": "f0304373b74a44d2b584a3fb70ca9e56"},
        "before": null,
        "after": {"method": "oauth", "provider": "qwen", "key": {"store": "file"}},
    });
    let sandbox = Sandbox::new();
    let path = sandbox.write(
        format!("{CREDENTIALS}/logins/default.1.2"),
        journal_of(&subject, &token()),
    );
    for directory in [path.parent().unwrap(), path.ancestors().nth(2).unwrap()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let run = sandbox.tool("qwen-auth").arg("status").run();
    assert!(run.stderr.contains("the login of profile 'default'"), "{run:#?}");
    let kept: Value = serde_json::from_str(&sandbox.read("home/.qwen/oauth_creds.json")).unwrap();
    assert_eq!(
        (&kept["access_token"], &kept["expiry_date"]),
        (&json!(ACCESS), &json!(1_790_003_600_000_u64))
    );
    let config: Value = serde_json::from_str(&sandbox.read(CONFIG)).unwrap();
    assert_eq!(
        config,
        json!({"profiles": {"default": subject["after"]}, "default_profile": "default"})
    );
    assert!(!path.exists());
}

#[test]
fn what_is_cut_off_or_was_never_answered_is_swept_and_what_is_no_journal_stays() {
    let (sandbox, _blocking, journal) = left_behind();
    let whole = fs::read(&journal).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let end = text.find("\n\n").unwrap();
    let step = (end / 40).max(1);
    for cut in (0..end).step_by(step) {
        sandbox.write(&journal, &whole[..cut]);
        fs::set_permissions(journal.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
        let run = sandbox.tool("qwen-auth").arg("list").run();
        assert!(!run.stderr.contains("is stored in"), "{cut}: {run:#?}");
        assert!(!journal.exists(), "{cut}");
        nothing_is_stored(&sandbox);
    }
    let strange = sandbox.write(journal.with_file_name("lab.3.4"), "qwen login journal 2\n{}\n");
    fs::set_permissions(strange.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    sandbox.tool("qwen-auth").arg("list").run().exits(0);
    assert!(strange.exists(), "a later release may know it");
}

#[test]
fn a_login_that_waits_for_its_person_is_left_alone() {
    let gate = Gate::default();
    let held = gate.clone();
    let authority = Authority::answering(ok(&device()), move || {
        Reply::default().gate(&held).then(ok(&token()))
    });
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let child = login(&sandbox).start();
    authority.server.wait_for(2);
    let [journal] = journals(&sandbox).try_into().unwrap();
    let run = sandbox.tool("qwen-token").run();
    run.fails(77, &["no credential for profile 'lab'"]);
    assert!(journal.exists(), "it is that of a login that lives");
    gate.open();
    let run = Run::wait(child, "qwen-login").exits(0);
    assert!(!run.stderr.contains("cut short"), "{run:#?}");
    is_taken_over(&sandbox);
}

#[test]
fn two_logins_of_one_profile_at_once_both_succeed() {
    let sandbox = Sandbox::new();
    let authority = Authority::approving();
    authority.configure(&sandbox);
    let both = [login(&sandbox).start(), login(&sandbox).start()];
    for child in both {
        Run::wait(child, "qwen-login").exits(0);
    }
    is_taken_over(&sandbox);
}

/// A login whose server has its poll and answers when the gate is opened.
fn polling(answer: Reply) -> (Sandbox, Authority, Child, Gate) {
    let gate = Gate::default();
    let held = gate.clone();
    let authority = Authority::answering(ok(&device()), move || {
        Reply::default().gate(&held).then(answer.clone())
    });
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let child = login(&sandbox).start();
    authority.server.wait_for(2);
    (sandbox, authority, child, gate)
}

#[test]
fn ctrl_c_at_the_moment_of_the_approval_stores_the_login_first() {
    let (sandbox, _authority, child, gate) = polling(ok(&token()));
    signal(&child, Signal::INT);
    gate.open();
    let run = Run::wait(child, "qwen-login");
    assert_eq!(run.status.signal(), Some(2), "{run:#?}");
    is_taken_over(&sandbox);
}

#[test]
fn ctrl_c_does_not_wait_for_a_poll_that_is_not_answered() {
    let (sandbox, _authority, child, _gate) = polling(ok(&token()));
    signal(&child, Signal::INT);
    let run = Run::wait(child, "qwen-login");
    assert_eq!(run.status.signal(), Some(2), "{run:#?}");
    nothing_is_stored(&sandbox);
    assert_eq!(journals(&sandbox).len(), 0);
}

#[test]
fn an_approved_login_for_a_keyring_waits_until_that_is_unlocked() {
    let (Some(unlocked), Some(locked)) = (Keyring::start("unlocked"), Keyring::start("locked")) else {
        return;
    };
    let (sandbox, _blocking, journal) = left_behind();
    // As a login into the keyring has left it.
    let text = fs::read_to_string(&journal).unwrap();
    let (subject, rest) = text.split_once('\n').unwrap().1.split_once('\n').unwrap();
    let subject = subject.replace(r#""store":"file""#, r#""store":"keyring""#);
    sandbox.write(&journal, format!("qwen login journal 1\n{subject}\n{rest}"));
    let run = locked.given_to(sandbox.tool("qwen-auth")).arg("list").run();
    let said = "the approved login of profile 'lab' is not stored yet: the system keyring is locked";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert!(journal.exists());
    let run = unlocked.given_to(sandbox.tool("qwen-token")).run().exits(0);
    assert_eq!(run.text(), format!("{ACCESS}\n"));
    assert!(unlocked.lookup("lab").unwrap().contains(REFRESH) && !journal.exists());
    nothing_is_stored(&sandbox);
}

#[test]
fn where_no_journal_can_be_made_no_person_is_asked() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let profile = json!({"method": "oauth", "oauth": oauth(&server.url(""))});
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
    let path = sandbox.write(format!("{CREDENTIALS}/logins"), "a file");
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o700)).unwrap();
    login(&sandbox)
        .run()
        .fails(74, &["logins/lab.", "is not a directory"]);
}

#[test]
fn a_disk_that_fills_at_the_moment_of_the_approval_loses_nothing() {
    let sandbox = Sandbox::new();
    let namespace = |script: &str| {
        let unshare = sandbox.command("/usr/bin/unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
    };
    let tried = namespace("mount -t tmpfs none \"$HOME\"").run();
    if !peers::present("a mount namespace", tried.code() == 0) {
        return;
    }
    for name in ["asked", "full"] {
        rustix::fs::mkfifoat(rustix::fs::CWD, sandbox.home().join(name), 0o600.into()).unwrap();
    }
    // Two named pipes keep the order: the server has been asked, the disk is full, the server answers.
    let (asked, full) = (sandbox.home().join("asked"), sandbox.home().join("full"));
    let authority = Authority::answering(ok(&device()), move || {
        fs::write(&asked, "").unwrap();
        fs::read(&full).unwrap();
        ok(&token())
    });
    authority.configure(&sandbox);
    let script = "cd \"$HOME/.config/qwen\"; mkdir credentials; \
         mount -t tmpfs -o size=128k,mode=700 none credentials; \
         setsid qwen-login --oauth --no-verify --store file & cat \"$HOME/asked\"; \
         dd if=/dev/zero of=credentials/fill bs=4096 2>/dev/null || :; : > \"$HOME/full\"; \
         code=0; wait $! || code=$?; rm credentials/fill; qwen-token; exit $code";
    let run = namespace(script).run().exits(74);
    assert_eq!(run.text(), format!("{ACCESS}\n"));
    for said in ["no space left on device", "; it is kept in '", SAID] {
        assert!(run.stderr.contains(said), "{said}: {run:#?}");
    }
}

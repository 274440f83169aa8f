//! qwen-login: where a credential goes, in every state of the keyring, and where it never goes.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::authority::{self, ACCESS, Authority, DEVICE_CODE, REFRESH, device, ok, refusal, token};
use crate::support::{Keyring, Run, Sandbox, Server, Terminal, Tool, next_line};
use serde_json::{Value, json};

fn login(sandbox: &Sandbox) -> Tool {
    sandbox.detached("qwen-login").args(["--oauth", "--no-verify"])
}

fn configure(sandbox: &Sandbox, profile: &Value) {
    sandbox.config(&json!({"profiles": {"lab": profile}}).to_string());
}

fn remembered(sandbox: &Sandbox) -> Value {
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    config["profiles"]["lab"]["key"].clone()
}

/// The files below HOME that hold a secret of the login.
fn holders(sandbox: &Sandbox) -> Vec<PathBuf> {
    sandbox.files_with(&[ACCESS, REFRESH, DEVICE_CODE])
}

fn holds_a_secret(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    [ACCESS, REFRESH, DEVICE_CODE]
        .iter()
        .any(|secret| text.contains(secret))
}

#[test]
fn an_unlocked_keyring_takes_it_and_no_file_does() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let (sandbox, authority) = (Sandbox::new(), Authority::approving());
    authority.configure(&sandbox);
    let run = keyring.given_to(login(&sandbox)).arg("-v").run().exits(0);
    assert!(!holds_a_secret(run.stderr.as_bytes()), "{run:#?}");
    let item: Value = serde_json::from_str(&keyring.lookup("lab").unwrap()).unwrap();
    assert_eq!(
        (&item["access_token"], &item["refresh_token"]),
        (&json!(ACCESS), &json!(REFRESH))
    );
    assert_eq!(remembered(&sandbox), json!({"store": "keyring"}));
    assert_eq!(holders(&sandbox), [] as [PathBuf; 0]);
    let status = keyring
        .given_to(sandbox.tool("qwen-auth"))
        .args(["status", "--format", "json"])
        .run()
        .exits(0);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["store"], &status["state"]),
        (&json!("keyring"), &json!("valid"))
    );
    keyring
        .given_to(sandbox.tool("qwen-auth"))
        .arg("logout")
        .run()
        .exits(0);
    assert_eq!(keyring.lookup("lab"), None);
}

#[test]
fn a_keyring_that_cannot_be_used_is_no_reason_to_write_a_file() {
    for (state, said) in [
        ("locked", "the system keyring is locked"),
        ("empty", "the system keyring is locked"),
        ("hang", "the system keyring did not answer within 3 s"),
    ] {
        let Some(keyring) = Keyring::start(state) else {
            return;
        };
        let (sandbox, server) = (Sandbox::new(), Server::untouched());
        configure(
            &sandbox,
            &json!({"method": "oauth", "oauth": authority::oauth(&server.url(""))}),
        );
        for store in ["auto", "keyring"] {
            let run = keyring.given_to(login(&sandbox)).args(["--store", store]).run();
            run.fails(75, &[said, "hint: ", "--store file"]);
        }
        assert_eq!(holders(&sandbox), [] as [PathBuf; 0]);
        assert!(!sandbox.home().join(".config/qwen/credentials/lab.json").exists());
        assert_eq!(remembered(&sandbox), Value::Null);
    }
}

#[test]
fn where_no_keyring_exists_a_file_is_used_and_said() {
    for state in ["nosvc", "nobus"] {
        let Some(keyring) = Keyring::start(state) else {
            return;
        };
        let (sandbox, authority) = (Sandbox::new(), Authority::approving());
        authority.configure(&sandbox);
        keyring
            .given_to(login(&sandbox))
            .args(["--store", "keyring"])
            .run()
            .fails(75, &["there is no system keyring"]);
        assert_eq!(holders(&sandbox), [] as [PathBuf; 0]);
        let run = keyring.given_to(login(&sandbox)).run().exits(0);
        assert!(run.stderr.contains("the credential is stored in"), "{run:#?}");
        let file = sandbox.home().join(".config/qwen/credentials/lab.json");
        assert_eq!(holders(&sandbox), [file]);
        let again = keyring.given_to(login(&sandbox)).run().exits(0);
        assert!(
            !again.stderr.contains("no system keyring"),
            "the choice is remembered: {again:#?}"
        );
    }
}

#[test]
fn a_person_is_told_what_is_waited_for() {
    let Some(keyring) = Keyring::start("hang") else {
        return;
    };
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    configure(
        &sandbox,
        &json!({"method": "oauth", "oauth": authority::oauth(&server.url(""))}),
    );
    let tool = sandbox.tool("qwen-login").args(["--oauth", "--no-browser"]);
    let mut terminal = Terminal::start(keyring.given_to(tool).env("DISPLAY", ":0"));
    terminal.shows("waiting");
    terminal.shows("keyring");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
}

#[test]
fn a_choice_is_remembered_and_a_change_leaves_nothing_behind() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let (sandbox, authority) = (Sandbox::new(), Authority::approving());
    authority.configure(&sandbox);
    let file = sandbox.home().join(".config/qwen/credentials/lab.json");
    keyring
        .given_to(login(&sandbox))
        .args(["--store", "file"])
        .run()
        .exits(0);
    keyring.given_to(login(&sandbox)).run().exits(0);
    assert_eq!(
        holders(&sandbox),
        std::slice::from_ref(&file),
        "the remembered choice is file"
    );
    assert_eq!(keyring.lookup("lab"), None);
    let run = keyring
        .given_to(login(&sandbox))
        .args(["--store", "keyring"])
        .run()
        .exits(0);
    assert!(run.stderr.contains("removed the old credential from"), "{run:#?}");
    assert!(!file.exists() && keyring.lookup("lab").is_some());
    let run = keyring
        .given_to(login(&sandbox))
        .env("QWEN_CREDENTIAL_STORE", "file")
        .run()
        .exits(0);
    assert!(
        run.stderr
            .contains("removed the old credential from 'the system keyring'"),
        "{run:#?}"
    );
    assert!(file.exists() && keyring.lookup("lab").is_none());
    login(&sandbox)
        .env("QWEN_CREDENTIAL_STORE", "cloud")
        .run()
        .fails(78, &["'cloud' is not auto, keyring or file"]);
}

#[test]
fn auto_in_the_environment_is_as_if_it_were_unset() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let (sandbox, authority) = (Sandbox::new(), Authority::approving());
    authority.configure(&sandbox);
    let file = sandbox.home().join(".config/qwen/credentials/lab.json");
    let first = login(&sandbox).args(["--store", "file"]);
    keyring.given_to(first).run().exits(0);
    for value in ["auto", ""] {
        let again = login(&sandbox).env("QWEN_CREDENTIAL_STORE", value);
        keyring.given_to(again).run().exits(0);
        assert_eq!(holders(&sandbox), std::slice::from_ref(&file), "login, '{value}'");
        let token = sandbox.tool("qwen-token").env("QWEN_CREDENTIAL_STORE", value);
        let run = keyring.given_to(token).run().exits(0);
        assert_eq!(run.stdout, format!("{ACCESS}\n").as_bytes(), "token, '{value}'");
    }
    // The flag asks for the automatic choice anew, whatever is remembered or set.
    let anew = login(&sandbox)
        .args(["--store", "auto"])
        .env("QWEN_CREDENTIAL_STORE", "file");
    keyring.given_to(anew).run().exits(0);
    assert!(!file.exists() && keyring.lookup("lab").is_some());
}

#[test]
fn a_place_that_cannot_be_written_is_found_before_anybody_is_asked() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    configure(
        &sandbox,
        &json!({"method": "oauth", "oauth": authority::oauth(&server.url(""))}),
    );
    sandbox.write(
        "home/.config/qwen/credentials",
        "a file where a directory should be",
    );
    let run = login(&sandbox).args(["--store", "file"]).run();
    run.fails(74, &["cannot create '", "credentials' is not a directory"]);
    fs::remove_file(sandbox.home().join(".config/qwen/credentials")).unwrap();
    // Room for a few bytes, as on a disk that is almost full, is not enough.
    let line = "trap '' XFSZ; ulimit -f 16; exec setsid --wait qwen-login --oauth --store file";
    let full = sandbox.command("/bin/sh").args(["-c", line]).run();
    full.fails(74, &["cannot write '", "credentials/lab.json': file too large"]);
    fs::create_dir_all(sandbox.home().join(".config/qwen/credentials/lab.json")).unwrap();
    let run = login(&sandbox).args(["--store", "file"]).run();
    run.fails(74, &["cannot write '", "credentials/lab.json': is a directory"]);
}

#[test]
fn files_are_private_whatever_the_umask_is() {
    let (sandbox, authority) = (Sandbox::new(), Authority::approving());
    fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
    let profile =
        |provider: Value| json!({"method": "oauth", "provider": provider, "oauth": authority.oauth()});
    let config = json!({"profiles": {"lab": profile(Value::Null), "qwen": profile(json!("qwen"))}});
    fs::create_dir_all(sandbox.home().join(".config/qwen")).unwrap();
    sandbox.config(&config.to_string());
    for name in ["lab", "qwen"] {
        let line =
            format!("umask 000; exec setsid qwen-login --oauth --no-verify --store file --profile {name}");
        sandbox.command("/bin/sh").args(["-c", &line]).run().exits(0);
    }
    for (path, mode) in [
        ("home/.config/qwen/credentials", 0o700),
        ("home/.config/qwen/credentials/lab.json", 0o600),
        ("home/.config/qwen/config.json", 0o600),
        ("home/.qwen", 0o700),
        ("home/.qwen/oauth_creds.json", 0o600),
    ] {
        assert_eq!(sandbox.mode(path), mode, "{path}");
    }
}

#[test]
fn a_link_in_the_place_of_a_credential_is_followed_where_nobody_else_can_write() {
    let (sandbox, authority) = (Sandbox::new(), Authority::approving());
    let kept = sandbox.write("dotfiles/creds.json", r#"{"access_token": "at-old"}"#);
    let profile = json!({"method": "oauth", "provider": "qwen", "oauth": authority.oauth()});
    configure(&sandbox, &profile);
    fs::create_dir_all(sandbox.home().join(".qwen")).unwrap();
    let place = sandbox.home().join(".qwen/oauth_creds.json");
    std::os::unix::fs::symlink(&kept, &place).unwrap();
    login(&sandbox).args(["--store", "file"]).run().exits(0);
    assert!(is_link(&place));
    assert_eq!(holders(&sandbox), [kept, place], "by either name");
}

#[test]
fn any_other_link_in_the_place_of_a_credential_is_refused_before_a_person_is_asked() {
    for (directory_mode, exists, exit, said) in [
        (0o777, true, 78, "oauth_creds.json' is not used: its directory '"),
        (
            0o700,
            false,
            74,
            "oauth_creds.json': is a symbolic link to nothing",
        ),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::untouched());
        let victim = sandbox.write("shared/victim", "precious");
        fs::set_permissions(
            victim.parent().unwrap(),
            fs::Permissions::from_mode(directory_mode),
        )
        .unwrap();
        if !exists {
            fs::remove_file(&victim).unwrap();
        }
        let oauth = authority::oauth(&server.url(""));
        configure(
            &sandbox,
            &json!({"method": "oauth", "provider": "qwen", "oauth": oauth}),
        );
        fs::create_dir_all(sandbox.home().join(".qwen")).unwrap();
        let place = sandbox.home().join(".qwen/oauth_creds.json");
        std::os::unix::fs::symlink(&victim, &place).unwrap();
        login(&sandbox)
            .args(["--store", "file"])
            .run()
            .fails(exit, &[said]);
        assert!(is_link(&place) && victim.exists() == exists);
        assert!(!exists || sandbox.read("shared/victim") == "precious");
    }
}

/// The store fails after the approval: what `during` does to it when the server hands out the token.
fn approved_while(during: impl Fn(&Path) + Send + Sync + 'static) -> (Sandbox, Authority) {
    let sandbox = Sandbox::new();
    let place = sandbox.home().join(".config/qwen/credentials/lab.json");
    let authority = Authority::answering(ok(&device()), move || {
        during(&place);
        ok(&token())
    });
    authority.configure(&sandbox);
    (sandbox, authority)
}

#[test]
fn a_store_that_fails_after_the_approval_is_tried_again() {
    let (sandbox, _authority) = approved_while(|place| fs::create_dir(place).unwrap());
    let place = sandbox.home().join(".config/qwen/credentials/lab.json");
    let mut child = login(&sandbox).args(["--store", "file"]).start();
    while !next_line(&mut child).contains("the login is approved, so this is tried again") {}
    fs::remove_dir(&place).unwrap();
    Run::wait(child, "qwen-login").exits(0);
    assert_eq!(holders(&sandbox), [place]);
}

#[test]
fn an_approved_login_that_cannot_be_stored_is_not_lost_without_a_word() {
    let (sandbox, _authority) = approved_while(|place| fs::create_dir(place).unwrap());
    let run = login(&sandbox).args(["--store", "file"]).run();
    assert!(!holds_a_secret(run.stderr.as_bytes()), "{run:#?}");
    run.fails(
        74,
        &[
            "the login was approved, but it cannot be stored: cannot write '",
            "lab.json': is a directory",
            "; it is kept in '",
            "hint: mend that, then run 'qwen-auth status --profile lab', which stores it",
        ],
    );
    let place = sandbox.home().join(".config/qwen/credentials/lab.json");
    assert_eq!(holders(&sandbox).len(), 1);
    let status = || {
        sandbox
            .tool("qwen-auth")
            .args(["status", "--profile", "lab"])
            .run()
    };
    let run = status().exits(74);
    let said = "the approved login of profile 'lab' is not stored yet: cannot read '";
    assert!(run.stderr.contains(said), "{run:#?}");
    fs::remove_dir(&place).unwrap();
    status().exits(0);
    assert_eq!(holders(&sandbox), [place]);
}

#[test]
fn a_person_may_choose_another_store_after_the_approval() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let (sandbox, _authority) = approved_while(|place| fs::create_dir(place).unwrap());
    let tool = sandbox
        .tool("qwen-login")
        .args(["--oauth", "--no-verify", "--no-browser"]);
    let mut terminal = Terminal::start(keyring.given_to(tool.args(["--store", "file"])));
    terminal.shows("The login is approved, but not stored yet.");
    terminal.types("2\n");
    assert_eq!(terminal.ends(), 0);
    assert!(keyring.lookup("lab").unwrap().contains(REFRESH));
    assert_eq!(remembered(&sandbox), json!({"store": "keyring"}));
}

fn is_link(path: &Path) -> bool {
    path.symlink_metadata().unwrap().file_type().is_symlink()
}

#[test]
fn a_waiting_login_leaves_no_core_and_shows_no_secret_to_other_processes() {
    let authority = Authority::new(
        ok(&device()),
        [refusal(400, "authorization_pending"), ok(&token())],
    );
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    let child = login(&sandbox).args(["-v", "--store", "file"]).start();
    authority.server.wait_for(2);
    let proc = |name: &str| fs::read(format!("/proc/{}/{name}", child.id())).unwrap();
    let limits = String::from_utf8(proc("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    assert!(!holds_a_secret(&proc("cmdline")) && !holds_a_secret(&proc("environ")));
    let run = Run::wait(child, "qwen-login").exits(0);
    assert!(
        !holds_a_secret(run.stderr.as_bytes()) && run.stdout.is_empty(),
        "{run:#?}"
    );
}

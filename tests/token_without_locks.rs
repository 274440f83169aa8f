//! A home whose file system has no locks, as on many a cluster: eth-cscs/sarus#36, SwissDataScienceCenter/renku-python#3669,
//! googleapis/oauth2client#129, gluster/glusterfs#911. strace refuses them.
use std::path::{Path, PathBuf};

use crate::support::authority::{Authority, login as device_login};
use crate::support::login::{OWN_FILE, login};
use crate::support::{Gate, Reply, Run, Sandbox, Server, Tool, binary, peers};

const NEW: &str =
    r#"{"access_token":"at-new","refresh_token":"rt-new","token_type":"Bearer","expires_in":3600}"#;
const CREDENTIALS: &str = "home/.config/qwen/credentials";

fn strace() -> Option<PathBuf> {
    let strace = peers::command("strace");
    peers::present("strace", strace.is_some()).then(|| strace.unwrap())
}

/// qwen-token, which gets no lock on this file.
fn token(sandbox: &Sandbox, strace: &Path, lock: &str, error: &str) -> Tool {
    sandbox
        .command(strace)
        .args(["-f", "-o", "/dev/null", "-P"])
        .arg(sandbox.root().join(lock))
        .args(["-e", "trace=flock", "-e", &format!("inject=flock:error={error}")])
        .arg(binary("qwen-token"))
}

#[test]
fn a_refresh_is_stored_and_what_is_not_excluded_is_said() {
    let Some(strace) = strace() else { return };
    let lock = format!("{CREDENTIALS}/work.json.lock");
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS", "EINVAL"] {
        let server = Server::script([Reply::json(200, NEW)]);
        let sandbox = Sandbox::new();
        sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
        let run = token(&sandbox, &strace, &lock, error).run();
        let said = format!(
            "qwen-token: {}: its file system has no locks, so that only programs on this machine wait for each other\n",
            sandbox.root().join(&lock).display()
        );
        run.gives(0, "at-new\n", &said);
        assert_eq!(sandbox.stored()["refresh_token"], "rt-new", "{error}");
        assert!(!sandbox.root().join(format!("{OWN_FILE}.journal")).exists());
    }
}

#[test]
fn programs_on_one_machine_still_make_one_refresh() {
    let Some(strace) = strace() else { return };
    let lock = format!("{CREDENTIALS}/work.json.lock");
    let gate = Gate::default();
    let server = Server::script([Reply::default().gate(&gate).then(Reply::json(200, NEW))]);
    let sandbox = Sandbox::new();
    sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let children: Vec<_> = (0..8)
        .map(|_| token(&sandbox, &strace, &lock, "ENOLCK").start())
        .collect();
    server.wait_for(1);
    gate.open();
    for child in children {
        let run = Run::wait(child, "qwen-token").exits(0);
        assert_eq!(run.text(), "at-new\n", "{run:#?}");
    }
    assert_eq!(server.count(), 1);
}

#[test]
fn without_a_place_for_locks_no_server_is_asked_and_the_remedy_is_named() {
    let Some(strace) = strace() else { return };
    let lock = format!("{CREDENTIALS}/work.json.lock");
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    let file = sandbox.logged_in(&server.url("/token"), &login(-3600, -1));
    let before = std::fs::read(&file).unwrap();
    for directory in [None, Some(""), Some("run")] {
        let tool = token(&sandbox, &strace, &lock, "ENOLCK").env_remove("XDG_RUNTIME_DIR");
        let tool = match directory {
            Some(directory) => tool.env("XDG_RUNTIME_DIR", directory),
            None => tool,
        };
        tool.run().fails(
            74,
            &[
                "work.json.lock': no locks available",
                "hint: set XDG_RUNTIME_DIR to a directory of your own on this machine, where locks work",
            ],
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[test]
fn a_login_works_there_too() {
    let Some(strace) = strace() else { return };
    let authority = Authority::approving();
    let sandbox = Sandbox::new();
    authority.configure(&sandbox);
    // Every file of the home, and none elsewhere.
    let words: Vec<String> = device_login(&sandbox)
        .into_command()
        .get_args()
        .skip_while(|word| !word.to_string_lossy().ends_with("qwen-login"))
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let refused = ["config.json.lock", "profiles.lock", "credentials/lab.json.lock"];
    let mut tool = sandbox.command(strace).args(["-f", "-o", "/dev/null"]);
    for name in refused {
        tool = tool
            .arg("-P")
            .arg(sandbox.root().join("home/.config/qwen").join(name));
    }
    let run = tool
        .args(["-e", "trace=flock", "-e", "inject=flock:error=ENOLCK"])
        .args(&words)
        .run()
        .exits(0);
    assert!(run.stderr.contains("logged in: profile 'lab'"), "{run:#?}");
    assert!(sandbox.root().join(CREDENTIALS).join("lab.json").exists());
}

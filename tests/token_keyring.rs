//! qwen-token and the system keyring, in every state that a keyring can be in.
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use crate::support::login::{OWN_FILE, login};
use crate::support::{BusRelay, Keyring, Reply, Sandbox, Server, Terminal, Tool};
use serde_json::{Value, json};

const KEY: &str = r#"{"method":"api-key","api_key":"sk-in-the-keyring"}"#;

/// A profile whose key is in the keyring.
fn keyed() -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = json!({"base_url": "http://127.0.0.1:9/v1", "key": {"store": "keyring"}});
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
    sandbox
}

fn token(sandbox: &Sandbox, keyring: &Keyring) -> Tool {
    keyring.given_to(sandbox.tool("qwen-token"))
}

#[test]
fn an_unlocked_keyring_gives_the_key_or_says_that_there_is_none() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = keyed();
    token(&sandbox, &keyring).run().fails(
        77,
        &[
            "no credential for profile 'work'",
            "hint: run 'qwen-login --profile work'",
        ],
    );
    keyring.store("work", KEY);
    token(&sandbox, &keyring)
        .run()
        .gives(0, "sk-in-the-keyring\n", "");
    let run = token(&sandbox, &keyring)
        .args(["--format", "json"])
        .run()
        .exits(0);
    let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(answer["store"], "keyring");
    keyring.store("work", "{\"api_key\": \"sk-canary");
    let run = token(&sandbox, &keyring).run().fails(77, &["not valid JSON"]);
    assert!(!run.stderr.contains("canary"));
}

#[test]
fn two_configurations_do_not_share_an_item() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = keyed();
    keyring.store("work", KEY);
    let elsewhere = sandbox.write("other/config.json", sandbox.read("home/.config/qwen/config.json"));
    token(&sandbox, &keyring)
        .env("QWEN_CONFIG", elsewhere)
        .run()
        .fails(77, &["no credential"]);
}

#[test]
fn a_locked_keyring_is_try_again_and_unlocking_it_helps() {
    let Some(mut keyring) = Keyring::start("unlocked") else {
        return;
    };
    let sandbox = keyed();
    keyring.tell("lock");
    // A locked keyring answers that it has no such item; that is not the truth about the login.
    token(&sandbox, &keyring)
        .run()
        .fails(75, &["the system keyring is locked", "hint: unlock the keyring"]);
    keyring.tell("unlock");
    keyring.store("work", KEY);
    keyring.tell("lock");
    token(&sandbox, &keyring)
        .run()
        .fails(75, &["the system keyring is locked"]);
    keyring.tell("unlock");
    token(&sandbox, &keyring)
        .run()
        .gives(0, "sk-in-the-keyring\n", "");
}

#[test]
fn a_keyring_that_is_not_there_is_told_from_one_that_is_shut() {
    for (state, words) in [
        ("empty", "the system keyring is locked"),
        ("nosvc", "there is no system keyring"),
        ("nobus", "there is no system keyring"),
    ] {
        let Some(keyring) = Keyring::start(state) else {
            return;
        };
        let sandbox = keyed();
        let run = token(&sandbox, &keyring).run().fails(75, &[words]);
        assert!(run.stderr.contains("'qwen-login --store file'"), "{run:#?}");
    }
    let sandbox = keyed();
    for address in ["unix:path=/no/such/bus", "no address at all", ""] {
        sandbox
            .tool("qwen-token")
            .env("DBUS_SESSION_BUS_ADDRESS", address)
            .run()
            .fails(75, &["there is no system keyring"]);
    }
}

#[test]
fn a_silent_keyring_is_waited_for_three_seconds_by_a_script() {
    let Some(keyring) = Keyring::start("hang") else {
        return;
    };
    let sandbox = keyed();
    let run = token(&sandbox, &keyring).run();
    assert!(run.elapsed > Duration::from_secs(2), "{run:#?}");
    run.fails(75, &["the system keyring did not answer within 3 s"]);
}

#[test]
fn a_person_at_a_terminal_is_told_what_is_waited_for() {
    let Some(keyring) = Keyring::start("hang") else {
        return;
    };
    let sandbox = keyed();
    let terminal = Terminal::start(token(&sandbox, &keyring).env("DISPLAY", ":0"));
    terminal.shows("waiting up to 60 s for the system keyring");
}

/// As in avivsinai/bitbucket-cli#42, portel-dev/ncp#16 and agentscope-ai/QwenPaw#4263.
#[test]
fn where_the_keyring_has_no_screen_to_ask_on_a_terminal_is_not_held_up_either() {
    let Some(keyring) = Keyring::start("hang") else {
        return;
    };
    let sandbox = keyed();
    for variables in [
        &[][..],
        &[("DISPLAY", "")],
        // A forwarded or stale display.
        &[("DISPLAY", "localhost:10.0"), ("SSH_CONNECTION", "::1 1 ::1 22")],
        &[
            ("WAYLAND_DISPLAY", "wayland-0"),
            ("SSH_CONNECTION", "::1 1 ::1 22"),
        ],
        &[("DISPLAY", ":99"), ("CI", "true")],
    ] {
        let tool = variables
            .iter()
            .fold(token(&sandbox, &keyring), |tool, (name, value)| {
                tool.env(name, value)
            });
        let terminal = Terminal::start(tool);
        terminal.shows("did not answer within 3 s");
        let shown = terminal.shown();
        assert!(!shown.contains("waiting"), "{variables:?}: {shown}");
        assert_eq!(terminal.ends(), 75);
    }
}

#[test]
fn a_refresh_is_kept_in_the_keyring() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let body = r#"{"access_token":"at-new","token_type":"Bearer","expires_in":3600}"#;
    let server = Server::script([Reply::json(200, body)]);
    let sandbox = Sandbox::new();
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.oauth_profile("qwen", "keyring", &oauth);
    let large = format!("rt-{}", "x".repeat(6 << 10));
    let stored = crate::support::login::with(login(-3600, -1), json!({"refresh_token": large}));
    keyring.store("work", &stored.to_string());
    token(&sandbox, &keyring).run().gives(0, "at-new\n", "");
    let stored: Value = serde_json::from_str(&keyring.lookup("work").unwrap()).unwrap();
    assert_eq!(
        (&stored["access_token"], &stored["refresh_token"]),
        (&json!("at-new"), &json!(large))
    );
    token(&sandbox, &keyring).run().gives(0, "at-new\n", "");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_bus_that_is_restarted_while_the_server_answers_is_connected_to_again() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    keyring.store("work", &login(-3600, -1).to_string());
    let sandbox = Sandbox::new();
    let relay = std::sync::Arc::new(BusRelay::start(&keyring, &sandbox.root().join("bus")));
    let restarted = std::sync::Arc::clone(&relay);
    let server = Server::answering(move |_, _| {
        restarted.cut();
        Reply::json(
            200,
            r#"{"access_token":"at-new","refresh_token":"rt-new","expires_in":3600}"#,
        )
    });
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.oauth_profile("custom", "keyring", &oauth);
    relay
        .given_to(sandbox.tool("qwen-token"))
        .run()
        .gives(0, "at-new\n", "");
    assert!(keyring.lookup("work").unwrap().contains("rt-new"));
}

#[test]
fn a_keyring_that_shuts_while_the_server_answers_is_no_reason_to_ask_again() {
    let Some(keyring) = Keyring::start("unlocked") else {
        return;
    };
    let keyring = std::sync::Mutex::new(keyring);
    let sandbox = Sandbox::new();
    keyring
        .lock()
        .unwrap()
        .store("work", &login(-3600, -1).to_string());
    let tool = token(&sandbox, &keyring.lock().unwrap());
    let keyring = std::sync::Arc::new(keyring);
    let shut = std::sync::Arc::clone(&keyring);
    let server = Server::answering(move |_, _| {
        shut.lock().unwrap().tell("lock");
        Reply::json(
            200,
            r#"{"access_token":"at-new","refresh_token":"rt-new","expires_in":3600}"#,
        )
    });
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.oauth_profile("custom", "keyring", &oauth);
    let run = tool.run().exits(0);
    assert_eq!(run.text(), "at-new\n");
    for part in [
        "the new login of profile 'work' cannot be saved: the system keyring is locked",
        "it is kept in '",
        "run 'qwen-token --refresh --profile work'",
    ] {
        assert!(run.stderr.contains(part), "{run:#?}");
    }
    assert!(!run.stderr.contains("rt-new"));
    const JOURNAL: &str = "home/.config/qwen/credentials/work.keyring.journal";
    assert_eq!(sandbox.mode(JOURNAL), 0o600);
    let mut keyring = keyring.lock().unwrap();
    keyring.tell("unlock");
    assert!(
        keyring.lookup("work").unwrap().contains("rt-old"),
        "what was stored is still there"
    );
    token(&sandbox, &keyring).run().gives(0, "at-new\n", "");
    assert!(keyring.lookup("work").unwrap().contains("rt-new"));
    assert!(!sandbox.root().join(JOURNAL).exists());
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_credential_in_a_file_or_the_environment_touches_no_bus() {
    let sandbox = Sandbox::new();
    let socket = sandbox.root().join("bus");
    let bus = UnixListener::bind(&socket).unwrap();
    bus.set_nonblocking(true).unwrap();
    let address = format!("unix:path={}", socket.display());
    sandbox.logged_in("http://127.0.0.1:1/", &login(-10, 3590));
    let tool = || {
        sandbox
            .tool("qwen-token")
            .env("DBUS_SESSION_BUS_ADDRESS", &address)
    };
    tool().run().gives(0, "at-old\n", "");
    tool().env("OPENAI_API_KEY", "sk-given").run().exits(0);
    tool().arg("--check").run().gives(0, "", "");
    tool().arg("--help").run().exits(0);
    assert_eq!(
        bus.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "somebody called"
    );
    std::fs::remove_file(sandbox.root().join(OWN_FILE)).unwrap();
    tool().run().fails(77, &["no credential"]);
    assert_eq!(
        bus.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "somebody called"
    );
}

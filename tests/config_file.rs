//! `config.json` itself: where it is, what it may hold, and how its faults are told.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::{Sandbox, Tool, peers};

#[test]
fn an_invalid_configuration_is_named_with_line_and_column() {
    let sandbox = Sandbox::new();
    for (text, place) in [
        (
            "{\n  \"profiles\": {\"a\": {\"methot\": 1, \"method\": 7}}\n}",
            ":2:",
        ),
        ("{\"default_profile\": 3}", ":1:21:"),
        ("{\n\n]", ":3:1:"),
        (
            "{\"profiles\": {\"a\": {\"key\": {\"store\": \"file\", \"env\": \"X\"}}}}",
            "exactly one",
        ),
        ("{\"profiles\": {\"a\": {\"base_url\": \"no url\"}}}", ":1:"),
        (
            "{\"profiles\": {\n\"../a\": {}}}",
            "config.json:2:1: '../a' cannot be a profile's name",
        ),
        ("{\"profiles\": {\"\": {}}}", ":1:15: '' cannot be"),
        (
            "{\"profiles\": {\"a\": {\"provider\": \"nobody\", \"key\": {\"env\": \"X\"}}}}",
            "profile 'a': no provider is called 'nobody'",
        ),
        ("// mine\n{}", ":1:1: JSON has no comments"),
        ("null", ":1:1: the file is not an object"),
        ("{\"profiles\": {\"a\": null}}", "'profiles.a' is not an object"),
        ("{\"profiles\": {},}", ":1:"),
    ] {
        let path = sandbox.config(text);
        sandbox.tool("qwen-token").run().fails(78, &[place]);
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            text,
            "it is never overwritten"
        );
    }
}

#[test]
fn a_configuration_that_is_no_text_is_named_with_line_and_column() {
    let sandbox = Sandbox::new();
    let path = sandbox.config("");
    for (bytes, place) in [
        (&b"\xff\xfe{}"[..], "config.json:1:1: not valid UTF-8"),
        (b"{\n \"a\": \"\xe9\"}", "config.json:2:8: not valid UTF-8"),
        (b"{}\n\n\xc3", "config.json:3:1: not valid UTF-8"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let run = sandbox.tool("qwen-token").env("OPENAI_API_KEY", "k").run();
        run.fails(78, &[place, "hint: edit "]);
        let run = sandbox.tool("qwen-auth").args(["use", "a"]).run();
        run.fails(78, &[place]);
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "it is never overwritten");
    }
}

#[test]
fn every_member_of_a_profile_has_its_type() {
    let sandbox = Sandbox::new();
    for member in [
        r#""provider": 1"#,
        r#""method": "password""#,
        r#""base_url": 5"#,
        r#""base_url": "file:///etc/passwd""#,
        r#""base_url": "https://me:pw@x.example/v1""#,
        r#""model": ["m"]"#,
        r#""key": "sk-1""#,
        r#""key": {"store": "cloud"}"#,
        r#""key": {"command": "pass show x"}"#,
        r#""key": {"command": []}"#,
        r#""key": {"env": ""}"#,
        r#""key": {"file": "x"}"#,
        r#""headers": {"X": 1}"#,
        r#""query": []"#,
        r#""body": "x""#,
        r#""rate": {"per_minute": -1}"#,
        r#""rate": {"per_day": "many"}"#,
        r#""rate": {"per_minute": 0}"#,
        r#""rate": {"per_day": 0}"#,
        r#""timeouts": {"connect": 0}"#,
        r#""timeouts": {"idle": "1 s"}"#,
        r#""oauth": "https://id.example""#,
        r#""oauth": {"token_endpoint": "no url"}"#,
        r#""oauth": {"pkce": "S256"}"#,
        r#""oauth": {"allowed_hosts": "x.example"}"#,
        r#""allow_http": "yes""#,
    ] {
        let path = sandbox.config(&format!("{{\"profiles\": {{\"a\": {{\n  {member}\n}}}}}}"));
        let place = format!("{}:", path.display());
        let run = sandbox.tool("qwen-token").env("OPENAI_API_KEY", "k").run();
        let run = run.fails(78, &[&place, "hint: edit "]);
        for secret_or_rust in ["pw", "struct", "u32", "f64"] {
            assert!(!run.stderr.contains(secret_or_rust), "{run:#?}");
        }
        let place = run.stderr.split_once(&place).unwrap().1;
        let line: u32 = place.split(':').next().unwrap().parse().unwrap();
        assert!((2..=3).contains(&line), "{member}: {run:#?}");
    }
}

/// One that is a mount of its own is written in place. Whatever the cut has left there, the programs agree on what it was to
/// hold; of JSON that says something wrong they agree that it is wrong.
#[test]
fn a_configuration_cut_short_is_read_whole_by_every_program() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "COLOUR=red\n");
    let whole = r#"{"profiles": {"work": {"provider": "openai"}}, "env": {"allow": ["COLOUR"]}}"#;
    let copy = sandbox.write("home/.config/qwen/config.json.whole", whole);
    let profiles = || sandbox.tool("qwen-auth").arg("list").run();
    let colour = || sandbox.tool("qwen-env").args(["-q", "--get", "COLOUR"]).run();
    let half = &whole.as_bytes()[..whole.len() / 2];
    for cut in [half, b"", b"\n\n", b"\0\0\0\0", b"{\"theme\": \"\xc3"] {
        fs::write(sandbox.config_file(), cut).unwrap();
        colour().gives(0, "red\n", "");
        assert!(profiles().exits(0).text().contains("work"), "{cut:?}");
    }
    for wrong in [r#"{"env": {"allow": 1}}"#, r#"{"env": []}"#] {
        fs::write(sandbox.config_file(), wrong).unwrap();
        assert_eq!(colour().code(), 78, "{wrong}");
        assert_eq!(profiles().code(), 78, "{wrong}");
    }
    fs::remove_file(copy).unwrap();
    fs::write(sandbox.config_file(), half).unwrap();
    assert_eq!((colour().code(), profiles().code()), (78, 78));
    fs::write(sandbox.config_file(), "").unwrap();
    assert_eq!((colour().code(), profiles().code()), (1, 0));
}

#[test]
fn a_configuration_without_an_end_is_not_read_to_it() {
    let sandbox = Sandbox::new();
    let tool = sandbox.tool("qwen-auth").arg("list");
    tool.env("QWEN_CONFIG", "/dev/zero")
        .run()
        .fails(78, &["/dev/zero: is larger than 4 MiB"]);
    let tool = sandbox.tool("qwen-auth").arg("list");
    let none = "qwen-auth: no profile is configured\nqwen-auth: hint: run 'qwen-login'\n";
    tool.env("QWEN_CONFIG", "/dev/null").run().gives(0, "", none);
}

#[test]
fn a_home_that_is_no_directory_has_no_configuration() {
    let sandbox = Sandbox::new();
    let service = |tool: Tool| {
        tool.env("HOME", "/dev/null")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
    };
    let run = service(sandbox.tool("qwen-token"))
        .env("OPENAI_API_KEY", "k")
        .run();
    run.gives(0, "k\n", "");
    let run = service(sandbox.detached("qwen-login"))
        .args(["--with-key", "--provider", "openai", "--store", "file"])
        .stdin("sk-1")
        .run();
    run.fails(
        74,
        &["cannot write '/dev/null/.config/qwen/config.json': not a directory"],
    );
}

/// As a network file system whose server has been replaced says it of every name (ESTALE).
#[test]
fn a_lock_file_that_cannot_be_looked_at_is_not_waited_for_without_end() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"work": {"model": "m"}}}"#);
    let lock = sandbox.root().join("home/.config/qwen/config.json.lock");
    let calls = ["-f", "-o", "/dev/null", "-P", lock.to_str().unwrap()];
    let faults = "inject=statx,newfstatat,lstat,fstat:error=ESTALE";
    let run = sandbox
        .command(strace.unwrap())
        .args(calls)
        .args(["-e", "trace=statx,newfstatat,lstat,fstat", "-e", faults])
        .args(["qwen-auth", "set", "work", "model=n"])
        .run();
    assert_eq!(run.code(), 75, "{run:#?}");
    let fault = "config.json.lock: another file has its name again and again after 5 s";
    assert!(run.stderr.contains(fault), "{run:#?}");
}

/// `qwen-env` reads one member by itself, and only where names wait: it takes and refuses the files that the others do.
#[test]
fn every_program_takes_the_same_configurations() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_API_KEY=k\nGREETING=hi\n");
    let file = sandbox.config("");
    let allow = r#"{"env": {"allow": ["GREETING"]}}"#;
    let long = format!(
        r#"{{"env": {{"allow": ["GREETING"]}}, "theme": {}null}}"#,
        " ".repeat(2 << 20)
    );
    for (text, exit) in [
        ("", 1),
        ("\n \t\r\n", 1),
        ("\u{feff}", 1),
        ("{}", 1),
        (allow, 0),
        (&format!("\u{feff}{allow}\n"), 0),
        (&long, 0),
        (r#"{"env": {"allow": ["GREETING", "X-*", "a.b"]}}"#, 0),
        ("[]", 78),
        ("null", 78),
        (r#"{"env": null}"#, 78),
        (r#"{"env": []}"#, 78),
        (r#"{"env": {"allow": null}}"#, 78),
        (r#"{"env": {"allow": ["GREETING", ""]}}"#, 78),
        (r#"{"env": {"allow": ["GREETING", "a b"]}}"#, 78),
        (r#"{"env": {"allow": [], "allow": ["GREETING"]}}"#, 78),
        (r#"{"env": {}, "env": {"allow": ["GREETING"]}}"#, 78),
        (&format!("{allow} // mine"), 78),
        (&format!("{allow}}}"), 78),
    ] {
        std::fs::write(&file, text).unwrap();
        let start: String = text.chars().take(60).collect();
        let env = sandbox.tool("qwen-env").args(["--get", "GREETING"]).run();
        assert_eq!(env.code(), exit, "{start}: {env:#?}");
        let token = sandbox.tool("qwen-token").run();
        assert_eq!(token.code() == 78, exit == 78, "{start}: {token:#?}");
    }
}

#[test]
fn a_configuration_may_be_kept_elsewhere_or_be_nothing_for_every_program() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_API_KEY=k\nGREETING=hi\n");
    let kept = sandbox.write("home/dotfiles/qwen.json", r#"{"env": {"allow": ["GREETING"]}}"#);
    let get = || sandbox.tool("qwen-env").args(["--get", "GREETING"]);
    get().env("QWEN_CONFIG", "/dev/null").run().exits(1);
    std::fs::create_dir(sandbox.config_file().parent().unwrap()).unwrap();
    symlink(&kept, sandbox.config_file()).unwrap();
    get().run().gives(0, "hi\n", "");
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o666)).unwrap();
    get().run().fails(78, &["is not used: "]);
}

#[test]
fn a_start_opens_each_settings_file_once() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"theme": "dark"}"#);
    sandbox.write("work/.env", "OPENAI_API_KEY=k\nGREETING=hi\n");
    sandbox.write("home/.qwen/settings.json", "{}");
    let system = sandbox.write("etc/system.json", "{}");
    sandbox.write("etc/system-defaults.json", "{}");
    for program in ["qwen-env", "qwen-token"] {
        let calls = sandbox.root().join("calls");
        let run = sandbox
            .command(strace.as_ref().unwrap())
            .args([
                "-o",
                calls.to_str().unwrap(),
                "-e",
                "trace=open,openat,openat2",
                program,
            ])
            .env("QWEN_CODE_SYSTEM_SETTINGS_PATH", &system)
            .run();
        assert_eq!(run.code(), 0, "{run:#?}");
        let calls = sandbox.read("calls");
        for file in [
            "config.json",
            "settings.json",
            "system.json",
            "system-defaults.json",
        ] {
            let opened = calls
                .lines()
                .filter(|call| call.contains(&format!("\"{file}\", ")))
                .count();
            assert_eq!(opened, 1, "{program} {file}: {calls}");
        }
    }
}

/// Every command that writes the file, with what it is given.
const WRITERS: [(&str, &[&str]); 7] = [
    (
        "qwen-login",
        &[
            "--with-key",
            "--store",
            "file",
            "--no-verify",
            "--provider",
            "openai",
        ],
    ),
    (
        "qwen-login",
        &["--api-key", "--no-verify", "--provider", "ollama"],
    ),
    ("qwen-auth", &["set", "work", "model=other"]),
    ("qwen-auth", &["use", "work"]),
    ("qwen-auth", &["rename", "work", "job"]),
    ("qwen-auth", &["remove", "work"]),
    ("qwen-auth", &["edit"]),
];

/// Two profiles, one with a stored key.
const TWO: &str = r#"{"default_profile": "home", "profiles": {
  "home": {"base_url": "http://127.0.0.1:9/v1", "model": "gpt"},
  "work": {"base_url": "http://127.0.0.1:9/v1", "model": "m", "key": {"store": "file"}}}}"#;

fn writer(sandbox: &Sandbox, (name, args): (&str, &[&str])) -> Tool {
    let tool = sandbox.detached(name).args(args.iter().copied());
    let tool = tool.env("EDITOR", "sed -i s/gpt/llama/").env_remove("VISUAL");
    tool.stdin("sk-canary-0123456789\n")
}

fn set_mode(path: &std::path::Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).unwrap();
}

#[test]
fn a_file_that_its_owner_made_read_only_is_not_replaced_and_nothing_is_half_done() {
    for linked in [false, true] {
        for given in WRITERS {
            let sandbox = Sandbox::new();
            let mut path = sandbox.config(TWO);
            if linked {
                let real = sandbox.home().join("my qwen.json");
                std::fs::rename(&path, &real).unwrap();
                std::os::unix::fs::symlink(&real, &path).unwrap();
                path = real;
            }
            let key = r#"{"method": "api-key", "api_key": "sk-stored-0123456789"}"#;
            let key = sandbox.write("home/.config/qwen/credentials/work.json", key);
            let stored = sandbox.read(&key);
            set_mode(&path, 0o444);
            let shown = path.display().to_string();
            let run = writer(&sandbox, given).run();
            run.fails(
                74,
                &[
                    &format!("cannot write '{shown}': it is read-only (mode 0444)"),
                    &format!(
                        "hint: run 'chmod u+w {}' to allow changes",
                        shown.replace(' ', "\\ ")
                    ),
                ],
            );
            assert_eq!(
                (sandbox.read(&path).as_str(), sandbox.mode(&path)),
                (TWO, 0o444),
                "{given:?}"
            );
            assert_eq!(sandbox.read(&key), stored, "{given:?}");
            assert_eq!(
                sandbox.files_with(&["sk-canary"]),
                Vec::<std::path::PathBuf>::new()
            );
            set_mode(&path, 0o644);
            writer(&sandbox, given).run().exits(0);
            assert_ne!(sandbox.read(&path), TWO, "{given:?}");
        }
    }
}

#[test]
fn whoever_may_read_the_file_may_read_it_after_a_change_unless_a_secret_is_in_it() {
    for given in WRITERS {
        for (before, after) in [
            (0o600, 0o600),
            (0o640, 0o640),
            (0o644, 0o644),
            (0o755, 0o644),
            (0o200, 0o600),
        ] {
            let sandbox = Sandbox::new();
            let path = sandbox.config(TWO);
            sandbox.write(
                "home/.config/qwen/credentials/work.json",
                r#"{"method": "api-key", "api_key": "sk-s"}"#,
            );
            set_mode(&path, before);
            let run = writer(&sandbox, given).run();
            if before == 0o200 && run.code() == 66 {
                continue;
            }
            run.exits(0);
            assert_eq!(sandbox.mode(&path), after, "{given:?} {before:o}");
        }
    }
    let sandbox = Sandbox::new();
    for secret in [
        "headers.X-Api-Key=sk-canary-1",
        "query.token=canary",
        "body.user=canary",
        "base_url=https://llm.example/v1?sig=canary",
        "key.command=[\"pass\", \"canary\"]",
    ] {
        let path = sandbox.config(TWO);
        set_mode(&path, 0o644);
        let tool = sandbox.detached("qwen-auth").args(["set", "home", secret]);
        tool.run().exits(0);
        assert_eq!(sandbox.mode(&path), 0o600, "{secret}");
    }
}

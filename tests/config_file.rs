//! `config.json` itself: where it is, what it may hold, and how its faults are told.
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

#[test]
fn a_configuration_without_an_end_is_not_read_to_it() {
    let sandbox = Sandbox::new();
    let tool = sandbox.tool("qwen-auth").arg("list");
    tool.env("QWEN_CONFIG", "/dev/zero")
        .run()
        .fails(78, &["/dev/zero: larger than 4194304 bytes"]);
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

//! Who said a value, and where it may go: every address with every key, and what else a profile carries.

use crate::support::chat::{KEY, answer};
use crate::support::login::{OWN_FILE, login};
use crate::support::{Reply, Run, Sandbox, Server, Tool};
use serde_json::{Value, json};

/// What of the profile must not reach another endpoint, and no message.
const CANARIES: [&str; 6] = [
    "header-canary",
    "query-canary",
    "body-canary",
    "command-canary",
    "stored-canary",
    "at-canary",
];

/// Who says an address or a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Flag,
    Environment,
    Home,
    Consented,
    /// A project's file without consent, in the directory.
    Project,
    /// The same, exported in another directory.
    Exported,
    /// The profile: a command's key, a stored key, a login.
    Command,
    Store,
    Oauth,
}

use By::{Command, Consented, Environment, Exported, Flag, Home, Oauth, Project, Store};

impl By {
    const fn is_profile(self) -> bool {
        matches!(self, Command | Store | Oauth)
    }

    const fn is_project(self) -> bool {
        matches!(self, Project | Exported)
    }

    /// Only one project file counts at a time.
    fn is_possible_with(self, other: Self) -> bool {
        !matches!((self, other), (Consented, Project) | (Project, Consented))
    }
}

/// A profile that carries something in every member.
fn carrying(sandbox: &Sandbox, key: By, url: &str) {
    let mut profile = json!({
        "base_url": url, "model": "m", "headers": {"X-Pass": "header-canary"}, "query": {"pass": "query-canary"},
        "body": {"user": "body-canary"},
    });
    let members = match key {
        Store => {
            let stored = json!({"method": "api-key", "api_key": "stored-canary"});
            sandbox.write(OWN_FILE, stored.to_string());
            json!({"method": "api-key", "key": {"store": "file"}})
        }
        Oauth => {
            let mut stored = login(-10, 3600);
            stored["access_token"] = json!("at-canary");
            sandbox.write(OWN_FILE, stored.to_string());
            let oauth = json!({"token_endpoint": "https://login.example/token", "client_id": "c"});
            json!({"method": "oauth", "provider": "custom", "key": {"store": "file"}, "oauth": oauth})
        }
        _ => json!({"method": "api-key", "key": {"command": ["echo", "command-canary"]}}),
    };
    let all = profile.as_object_mut().unwrap();
    all.extend(members.as_object().unwrap().clone());
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
}

/// qwen-chat in a shell, where `address` and `key` are said by these.
fn asking(sandbox: &Sandbox, address: Option<(By, &str)>, key: By) -> Run {
    let line = |by: By| {
        let mut lines = String::new();
        if let Some((_, url)) = address.filter(|(whose, _)| *whose == by) {
            lines.push_str(&format!("OPENAI_BASE_URL={url}\n"));
        }
        if key == by {
            lines.push_str(&format!("OPENAI_API_KEY={KEY}\n"));
        }
        lines
    };
    let mut script = String::from("set -e\n");
    if !line(Exported).is_empty() {
        // Alone neither of them is exported.
        let filler = "OPENAI_API_KEY=sk-filler-0123456\nOPENAI_BASE_URL=http://127.0.0.1:9/v1\n";
        sandbox.write("clone/.env", format!("{filler}{}", line(Exported)));
        script.push_str("cd ../clone; eval $(qwen-env -q); cd ../work\n");
        if key != Exported {
            script.push_str("unset OPENAI_API_KEY\n");
        }
        if address.is_none_or(|(by, _)| by != Exported) {
            script.push_str("unset OPENAI_BASE_URL\n");
        }
    }
    for (by, path) in [
        (Home, "home/.env"),
        (Consented, "work/.env"),
        (Project, "work/.env"),
    ] {
        if !line(by).is_empty() {
            sandbox.write(path, line(by));
        }
    }
    if !line(Consented).is_empty() {
        sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    }
    for assignment in line(Environment).lines() {
        script.push_str(&format!("export {assignment}\n"));
    }
    let mut flags = String::new();
    for (name, value) in line(Flag).lines().filter_map(|line| line.split_once('=')) {
        let flag = name.to_ascii_lowercase().replace('_', "-");
        flags.push_str(&format!(" --{flag} {value}"));
    }
    script.push_str(&format!("exec qwen-chat{flags} hi"));
    let shell = sandbox.command("/bin/sh").args(["-c", &script]);
    shell.env("QWEN_ENV_CHAIN", "merge").run()
}

/// True for a cell of the table in which something is sent.
fn is_sent(address: By, key: By) -> bool {
    match (address, key) {
        (_, key) if key.is_profile() => false,
        (address, key) if address.is_project() => address == key,
        _ => true,
    }
}

#[test]
fn every_key_with_every_address() {
    let addresses = [Flag, Environment, Home, Consented, Project, Exported];
    let keys = [
        Flag,
        Environment,
        Home,
        Consented,
        Project,
        Exported,
        Command,
        Store,
        Oauth,
    ];
    for address in addresses {
        for key in keys.into_iter().filter(|key| key.is_possible_with(address)) {
            let sandbox = Sandbox::new();
            let (own, other) = (Server::untouched(), Server::answering(|_, _| answer(&["ok"])));
            carrying(&sandbox, key, &own.url("/v1"));
            let run = asking(&sandbox, Some((address, &other.url("/v1"))), key);
            let cell = format!("address by {address:?}, key by {key:?}: {run:#?}");
            for canary in CANARIES {
                assert!(!run.stderr.contains(canary), "{cell}");
            }
            assert!(!run.stderr.contains(KEY), "{cell}");
            let requests = other.requests();
            if is_sent(address, key) {
                assert_eq!((run.code(), run.text().as_str()), (0, "ok\n"), "{cell}");
                assert_eq!(requests.len(), 1, "{cell}");
                let request = &requests[0];
                assert_eq!(
                    request.header("authorization"),
                    Some(&*format!("Bearer {KEY}")),
                    "{cell}"
                );
                let whole = format!("{request:?}{}", request.text());
                assert!(!CANARIES.iter().any(|canary| whole.contains(canary)), "{cell}");
                let said = "profile 'work': its 'headers', 'query' and 'body' are not used";
                assert!(run.stderr.contains(said), "{cell}");
            } else {
                assert_eq!((run.code(), requests.len()), (78, 0), "{cell}");
                assert!(run.stderr.contains(" is not sent to "), "{cell}");
                // A server that nobody called fails its test.
                sandbox
                    .command("/usr/bin/curl")
                    .args(["-s", &other.url("/")])
                    .run();
            }
        }
    }
}

#[test]
fn every_key_goes_to_the_profiles_own_endpoint_and_all_that_the_profile_says_with_it() {
    for key in [
        Flag,
        Environment,
        Home,
        Consented,
        Project,
        Exported,
        Command,
        Store,
        Oauth,
    ] {
        let sandbox = Sandbox::new();
        let own = Server::answering(|_, _| answer(&["ok"]));
        carrying(&sandbox, key, &own.url("/v1"));
        let run = asking(&sandbox, None, key).exits(0);
        let request = &own.requests()[0];
        let token = match key {
            Command => "command-canary",
            Store => "stored-canary",
            Oauth => "at-canary",
            _ => KEY,
        };
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {token}")),
            "{key:?}"
        );
        assert_eq!(request.header("x-pass"), Some("header-canary"), "{key:?}");
        assert!(
            request.target.contains("pass=query-canary"),
            "{key:?} {request:?}"
        );
        assert_eq!(request.json()["user"], "body-canary", "{key:?}");
        let is_told = run.stderr.contains("the key for '");
        assert_eq!(is_told, key.is_project(), "{key:?}: {run:#?}");
    }
}

/// A sandbox with one profile `work`.
fn with_profile(profile: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
    sandbox
}

fn token(sandbox: &Sandbox) -> Tool {
    sandbox.tool("qwen-token")
}

#[test]
fn the_remedy_is_named_for_whoever_set_the_address() {
    let profile = json!({"base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}});
    let said = "the key of profile 'work' is not sent to 'https://other.example/v1'";
    let sandbox = with_profile(&profile);
    let run = token(&sandbox)
        .env("OPENAI_BASE_URL", "https://other.example/v1")
        .run();
    run.fails(
        78,
        &[
            "environment OPENAI_BASE_URL: ",
            said,
            "it belongs to 'https://own.example/v1'",
            "hint: run 'unset OPENAI_BASE_URL' to use the endpoint of profile 'work'\n",
        ],
    );
    let flags = ["--openai-base-url", "https://other.example/v1", "hi"];
    let run = sandbox.tool("qwen-chat").args(flags).run();
    run.fails(
        78,
        &[
            "flag --openai-base-url: ",
            said,
            "hint: leave out --openai-base-url",
        ],
    );
    sandbox.write("home/.env", "OPENAI_BASE_URL=https://other.example/v1\n");
    token(&sandbox).run().fails(
        78,
        &["home/.env:1: ", said, "hint: remove OPENAI_BASE_URL from '"],
    );
}

/// A variable outlives the directory and the key that it came with: what was exported stays the clone's after `cd /` and `unset`.
#[test]
fn an_exported_address_stays_the_projects_wherever_the_shell_goes() {
    let (sandbox, thief) = (
        with_profile(&json!({"key": {"command": ["echo", "k"]}})),
        Server::untouched(),
    );
    let clone = sandbox.write(
        "clone/.env",
        format!(
            "OPENAI_BASE_URL={}\nOPENAI_API_KEY=sk-bait-01234567\n",
            thief.url("/v1")
        ),
    );
    let script = "cd ../clone && eval $(qwen-env -q) && cd / && unset OPENAI_API_KEY && exec ";
    for program in [
        "qwen-token",
        "qwen-chat hi",
        "qwen-chat --list-models",
        "qwen-token --format env",
    ] {
        let run = sandbox
            .command("/bin/sh")
            .args(["-c", &format!("{script}{program}")])
            .run();
        let place = format!("environment OPENAI_BASE_URL (exported from {})", clone.display());
        assert_eq!(run.code(), 78, "{run:#?}");
        for said in [
            &*place,
            "the key of profile 'work' is not sent",
            "hint: run 'unset OPENAI_BASE_URL'",
            "qwen-env --trust ",
        ] {
            assert!(run.stderr.contains(said), "no {said:?} in {run:#?}");
        }
    }
    // Once the user consents to the file, what was exported from it is the user's own word: no other call is needed.
    let key = format!("{script}env OPENAI_API_KEY=mine qwen-token");
    let ask = || sandbox.command("/bin/sh").args(["-c", &key]).run();
    ask().exits(78);
    let trust = sandbox.tool("qwen-env").arg("--trust").arg(&clone).arg("--yes");
    trust.run().exits(0);
    ask().gives(0, "mine\n", "");
}

#[test]
fn a_login_neither_takes_nor_stores_an_address_that_a_project_exported() {
    let (sandbox, thief) = (Sandbox::new(), Server::untouched());
    sandbox.write(
        "clone/.env",
        format!(
            "OPENAI_BASE_URL={}\nOPENAI_API_KEY=sk-bait-01234567\nOPENAI_MODEL=bait\n",
            thief.url("/v1")
        ),
    );
    let script = "cd ../clone && eval $(qwen-env -q) && exec setsid --wait \
                  qwen-login --with-key --no-verify --store file";
    let run = sandbox
        .command("/bin/sh")
        .args(["-c", script])
        .stdin("sk-mine-0123456789\n")
        .run();
    let run = run.exits(0);
    assert!(
        run.stderr
            .contains("comes from a project file that you have not trusted; it is ignored"),
        "{run:#?}"
    );
    let config: Value = serde_json::from_str(&sandbox.read("home/.config/qwen/config.json")).unwrap();
    let profile = &config["profiles"]["default"];
    assert_eq!(profile["base_url"], "https://api.openai.com/v1");
    assert_eq!(profile["model"], "gpt-4o");
}

#[test]
fn no_file_chooses_the_profile() {
    let entry = |key: &str| json!({"base_url": "https://x.example/v1", "key": {"command": ["echo", key]}});
    for path in ["work/.env", "home/.env", "work/.qwen/.env"] {
        let sandbox = Sandbox::new();
        sandbox.config(
            &json!({"default_profile": "a", "profiles": {"a": entry("a"), "b": entry("b")}}).to_string(),
        );
        let file = sandbox.write(path, "QWEN_PROFILE=b\n");
        let said = format!(
            "qwen-token: {}:1: no file sets QWEN_PROFILE; it is not used\n",
            file.display()
        );
        token(&sandbox).run().gives(0, "a\n", &said);
        sandbox.tool("qwen-env").args(["--trust", "--yes"]).run();
        token(&sandbox).run().gives(0, "a\n", &said);
        token(&sandbox).env("QWEN_PROFILE", "b").run().gives(0, "b\n", "");
        let run = sandbox.tool("qwen-auth").arg("list").run().exits(0);
        assert!(run.text().contains("* a"), "{run:#?}");
    }
}

#[test]
fn another_tenant_on_the_same_origin_gets_nothing() {
    let profile = |tenant: &str| json!({"base_url": format!("https://gw.example/{tenant}/v1"), "key": {"command": ["echo", tenant]}});
    let sandbox = Sandbox::new();
    sandbox.config(&json!({"profiles": {"a": profile("team-a"), "b": profile("team-b")}}).to_string());
    for (address, code) in [
        ("https://gw.example/team-a/v1", 0),
        ("https://GW.example:443/team-a/v1/", 0),
        ("https://gw.example/team-b/../team-a/v1", 0),
        ("https://gw.example/team-b/v1", 78),
        ("https://gw.example/team-a/v1/../../team-b/v1", 78),
        ("https://gw.example/team-a/v1/%2e%2e/%2e%2e/team-b/v1", 78),
        ("https://gw.example/team-a/v1/..%2f..%2fteam-b", 78),
        ("https://gw.example/team-a/v1/..;/x", 78),
        ("https://gw.example/team-ab/v1", 78),
        ("https://gw.example./team-a/v1", 78),
        ("https://gw.example:8443/team-a/v1", 78),
    ] {
        let run = token(&sandbox)
            .args(["--profile", "a"])
            .env("OPENAI_BASE_URL", address)
            .run();
        assert_eq!(run.code(), code, "{address}: {run:#?}");
    }
}

#[test]
fn a_header_that_authenticates_is_kept_as_a_key_is() {
    let (own, thief) = (Server::answering(|_, _| answer(&["ok"])), Server::untouched());
    for name in ["Authorization", "api-key", "Cookie", "X-Auth-Token"] {
        let profile = json!({"base_url": own.url("/v1"), "model": "m", "headers": {name: "s-canary"}});
        let sandbox = with_profile(&profile);
        sandbox.tool("qwen-chat").arg("hi").run().gives(0, "ok\n", "");
        let sent = own.requests().last().unwrap().header(name).map(str::to_owned);
        assert_eq!(sent.as_deref(), Some("s-canary"));
        let run = sandbox
            .tool("qwen-chat")
            .env("OPENAI_BASE_URL", thief.url("/v1"))
            .arg("hi")
            .run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        run.fails(78, &["the credential of profile 'work' is not sent to '"]);
    }
}

#[test]
fn leave_to_send_in_clear_and_limits_stay_with_their_endpoint() {
    let profile = json!({
        "base_url": "http://lab.example/v1", "allow_http": true, "key": {"command": ["echo", "k"]},
    });
    let sandbox = with_profile(&profile);
    token(&sandbox).run().exits(0);
    let run = token(&sandbox)
        .args(["--format", "json"])
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", "http://other.example/v1")
        .run();
    run.fails(78, &["plain http"]);
    let other = Server::answering(|_, _| answer(&["ok"]));
    let profile = json!({
        "base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}, "rate": {"per_day": 1},
        "timeouts": {"total": 0.000_001},
    });
    let sandbox = with_profile(&profile);
    for _ in 0..2 {
        let run = sandbox
            .tool("qwen-chat")
            .arg("hi")
            .env("OPENAI_API_KEY", "k")
            .env("OPENAI_BASE_URL", other.url("/v1"))
            .run()
            .exits(0);
        let said = "profile 'work': its 'rate' and 'timeouts' are not used";
        assert!(run.stderr.contains(said), "{run:#?}");
    }
}

#[test]
fn a_profile_that_names_a_provider_alone_is_bound_to_each_of_its_regions() {
    let sandbox = with_profile(&json!({"provider": "dashscope", "key": {"command": ["echo", "k"]}}));
    for (address, code) in [
        ("https://dashscope-us.aliyuncs.com/compatible-mode/v1", 0),
        ("https://dashscope-us.aliyuncs.com/api/v1", 78),
        ("https://api.openai.com/v1", 78),
    ] {
        let run = token(&sandbox).env("OPENAI_BASE_URL", address).run();
        assert_eq!(run.code(), code, "{address}: {run:#?}");
    }
    // Whoever has an account there has an endpoint of this form.
    let sandbox = with_profile(&json!({"provider": "azure", "key": {"command": ["echo", "k"]}}));
    let run = token(&sandbox)
        .env("OPENAI_BASE_URL", "https://thief.openai.azure.com")
        .run();
    run.fails(78, &["the key of profile 'work' is not sent"]);
}

#[test]
fn one_line_says_what_goes_before_a_profile_that_was_named() {
    let profile =
        json!({"base_url": "https://own.example/v1", "model": "m", "key": {"command": ["echo", "k"]}});
    let sandbox = with_profile(&profile);
    let run = token(&sandbox)
        .args(["--profile", "work"])
        .env("OPENAI_API_KEY", "mine")
        .env("OPENAI_MODEL", "other")
        .run();
    run.gives(
        0,
        "mine\n",
        "qwen-token: profile 'work' was named, but the key of environment OPENAI_API_KEY and the model of environment \
         OPENAI_MODEL go before its own\n",
    );
    token(&sandbox)
        .args(["--profile", "work"])
        .run()
        .gives(0, "k\n", "");
    token(&sandbox)
        .args(["-q", "--profile", "work"])
        .env("OPENAI_API_KEY", "mine")
        .run()
        .gives(0, "mine\n", "");
}

#[test]
fn a_project_that_chooses_server_and_key_is_named_once_the_user_has_a_login() {
    let whole =
        r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
    let clone = Server::answering(move |_, _| Reply::json(200, whole));
    let lines = format!(
        "OPENAI_BASE_URL={}\nOPENAI_API_KEY=sk-theirs-0123456\n",
        clone.url("/v1")
    );
    let profile = json!({"base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}});
    let sandbox = with_profile(&profile);
    let file = sandbox.write("work/.env", &lines);
    let said = format!(
        "endpoint '127.0.0.1:{}' and its key come from '{}', not from profile 'work'\n",
        clone.port(),
        file.display()
    );
    sandbox.write("work/in", "{\"prompt\":\"hello\"}\n");
    for (words, program) in [(&["hi"][..], "qwen-chat"), (&["run", "in"], "qwen-batch")] {
        let run = sandbox.tool(program).args(words).run().exits(0);
        assert_eq!(run.stderr.matches(&said).count(), 1, "{run:#?}");
    }
    sandbox
        .tool("qwen-chat")
        .args(["-q", "hi"])
        .run()
        .gives(0, "ok\n", "");
    // Consent makes it the user's own choice.
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    sandbox.tool("qwen-chat").arg("hi").run().gives(0, "ok\n", "");
    let nobody = Sandbox::new();
    nobody.write("work/.env", &lines);
    nobody.tool("qwen-chat").arg("hi").run().gives(0, "ok\n", "");
}

#[test]
fn an_own_project_file_that_was_passed_over_stops_what_would_take_another_key() {
    use std::os::unix::fs::PermissionsExt;
    let profile = json!({"base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}});
    let sandbox = with_profile(&profile);
    let file = sandbox.write("work/.env", "OPENAI_API_KEY=theirs\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let shown = file.display().to_string();
    let chmod = format!("hint: run 'chmod o-w {shown}'\n");
    let said = format!("'{shown}' is writable by all; no key is taken from profile 'work' in its place");
    token(&sandbox)
        .run()
        .fails(78, &[&said, &chmod, "hint: or run 'qwen-env --trust"]);
    // The environment goes before the file: nothing is taken in its place.
    let run = token(&sandbox).env("OPENAI_API_KEY", "mine").run().exits(0);
    let said = format!("'{shown}' is passed over: it is writable by all\n");
    assert!(run.stderr.contains(&said), "{run:#?}");
    let bare = Sandbox::new();
    let file = bare.write("work/.env", "OPENAI_API_KEY=theirs\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    token(&bare).run().fails(78, &["is writable by all", "chmod o-w"]);
}

#[test]
fn a_missing_key_names_the_file_that_has_it() {
    let sandbox = Sandbox::new();
    let project = sandbox.write("work/.env", "GREETING=hello\n");
    let home = sandbox.write("home/.env", "OPENAI_API_KEY=mine\n");
    let said = format!(
        "'{}' ended the search before '{}', which sets OPENAI_API_KEY",
        project.display(),
        home.display()
    );
    token(&sandbox)
        .run()
        .fails(77, &[&said, "hint: set QWEN_ENV_CHAIN=merge to read both\n"]);
    token(&sandbox)
        .env("QWEN_ENV_CHAIN", "merge")
        .run()
        .gives(0, "mine\n", "");
    let sandbox = with_profile(&json!({"base_url": "https://own.example/v1", "key": {"env": "MINE"}}));
    let file = sandbox.write("work/.env", "MINE=theirs\n");
    let said = format!("{}:1 sets MINE, and waits for your consent", file.display());
    token(&sandbox)
        .run()
        .fails(77, &[&said, "hint: run 'qwen-env --trust"]);
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    token(&sandbox).run().gives(0, "theirs\n", "");
}

#[test]
fn a_token_is_printed_only_for_where_it_may_go() {
    let profile = json!({
        "base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}, "headers": {"X-Team": "blue"},
    });
    let sandbox = with_profile(&profile);
    for url in [
        "https://own.example/v1",
        "https://own.example/v1/chat/completions?a=b",
    ] {
        token(&sandbox).args(["--for", url]).run().gives(0, "k\n", "");
    }
    for url in [
        "https://own.example/",
        "https://own.example/v1/../v2",
        "https://own.example.evil.example/v1",
        "http://own.example/v1",
        "https://other.example/v1",
    ] {
        token(&sandbox).args(["--for", url]).run().fails(78, &[]);
        token(&sandbox)
            .args(["--for", url])
            .env("OPENAI_API_KEY", "mine")
            .run()
            .fails(78, &[]);
        token(&sandbox).args(["--check", "--for", url]).run().exits(1);
    }
    for url in [
        "own.example/v1",
        "ftp://own.example/v1",
        "https://me:pw@own.example/v1",
    ] {
        let run = token(&sandbox).args(["--for", url]).run();
        assert!(!run.stderr.contains("pw@") || run.code() == 64, "{run:#?}");
        assert_eq!((run.code(), run.text().as_str()), (64, ""));
    }
    let curl = ["--format", "curl", "--for", "https://own.example/v1/models"];
    token(&sandbox).args(curl).run().gives(
        0,
        "url = \"https://own.example/v1/models\"\nheader = \"X-Team: blue\"\nheader = \"Authorization: Bearer k\"\n",
        "",
    );
}

#[test]
fn a_curl_command_sends_nothing_where_its_settings_are_not_in_use() {
    let (own, other) = (Server::answering(|_, _| answer(&["ok"])), Server::untouched());
    let profile = |url: &str, key: &str| json!({"base_url": url, "model": "m", "key": {"command": ["echo", key]}, "headers": {"X-Pass": "h-canary"}});
    let sandbox = with_profile(&profile(&own.url("/v1"), "k"));
    let script = sandbox
        .tool("qwen-chat")
        .args(["--curl", "hi"])
        .run()
        .exits(0)
        .text();
    assert!(
        script.starts_with("qwen-token --profile 'work' --for 'http://127.0.0.1:"),
        "{script}"
    );
    assert!(!script.contains("h-canary"), "{script}");
    let sh = |sandbox: &Sandbox| sandbox.command("/bin/sh").args(["-c", &script]).run();
    sh(&sandbox).exits(0);
    let request = own.requests().pop().unwrap();
    assert_eq!(request.header("authorization"), Some("Bearer k"));
    assert_eq!(request.header("x-pass"), Some("h-canary"));
    let before = own.count();
    let elsewhere = with_profile(&profile(&other.url("/v1"), "other-canary"));
    let run = sh(&elsewhere);
    assert!(run.code() != 0 && !run.stderr.contains("canary"), "{run:#?}");
    assert_eq!(own.count(), before, "nothing is sent without a key");
    let script_of_clone = sandbox
        .tool("qwen-chat")
        .args(["--curl", "hi"])
        .env("OPENAI_API_KEY", "theirs")
        .env("OPENAI_BASE_URL", other.url("/v1"))
        .run()
        .exits(0)
        .text();
    let run = sandbox.command("/bin/sh").args(["-c", &script_of_clone]).run();
    assert!(run.code() != 0, "{run:#?}");
}

#[test]
fn an_older_name_of_the_address_gets_a_notice() {
    let sandbox = Sandbox::new();
    let older = || {
        let tool = token(&sandbox).env("OPENAI_API_KEY", "k");
        tool.env("OPENAI_API_BASE", "https://mine.example/v1")
    };
    let said = "qwen-token: OPENAI_API_BASE is not read; set OPENAI_BASE_URL\n";
    older().run().gives(0, "k\n", said);
    older()
        .env("OPENAI_BASE_URL", "https://mine.example/v1")
        .run()
        .gives(0, "k\n", "");
}

#[test]
fn a_copied_address_or_key_is_taken_for_what_was_meant() {
    let sandbox = Sandbox::new();
    let run = token(&sandbox)
        .args(["--format", "json"])
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", "https://mine.example/v1/chat/completions")
        .run()
        .exits(0);
    assert!(
        run.text().contains(r#""base_url":"https://mine.example/v1""#),
        "{run:#?}"
    );
    for (key, said) in [
        ("\"sk-canary-1\"", "no key begins with a quote"),
        ("'sk-canary-1'", "no key begins with a quote"),
        ("Bearer sk-canary-1", "no key begins with 'Bearer'"),
        (
            "OPENAI_API_KEY=sk-canary-1",
            "no key begins with the name of a variable",
        ),
        ("Basic sk-canary-1", "no key begins with 'Basic'"),
        (
            "Authorization: Bearer sk-canary-1",
            "no key begins with 'Authorization:'",
        ),
        (
            "curl -H 'Authorization: Bearer sk-canary-1' x",
            "no key is a command",
        ),
        (
            "$env:OPENAI_API_KEY = sk-canary-1",
            "no key begins with the name of a variable",
        ),
        ("sk-canary-1\u{200b}", "the key holds U+200B, which no key does"),
        ("sk-\u{feff}canary-1", "the key holds U+FEFF, which no key does"),
        ("<your canary>", "the key is a placeholder"),
        ("${CANARY_KEY}", "the key is the name of a variable"),
        (
            "op://canary/item/field",
            "the key is a reference 'op://…' that 1Password resolves",
        ),
    ] {
        let run = token(&sandbox).env("OPENAI_API_KEY", key).run();
        assert!(!run.stderr.contains("canary"), "{run:#?}");
        run.fails(78, &["environment OPENAI_API_KEY: ", said]);
    }
}

#[test]
fn an_address_with_what_stood_around_it_is_refused_with_the_remedy() {
    let sandbox = Sandbox::new();
    for (url, said) in [
        ("\"https://mine.example/v1\"", "no URL begins with a quote"),
        (
            "OPENAI_BASE_URL=https://mine.example/v1",
            "no URL begins with the name of a variable",
        ),
        ("https://mine.example/v1\u{200b}", "the URL holds U+200B"),
        (
            "https://{resource}.openai.azure.com",
            "the URL holds a placeholder",
        ),
        ("https://$GATEWAY/v1", "the URL names a variable by '$'"),
        (
            "op://vault/item/url",
            "the URL is a reference 'op://…' that 1Password resolves",
        ),
    ] {
        let run = token(&sandbox)
            .env("OPENAI_API_KEY", "k")
            .env("OPENAI_BASE_URL", url)
            .run();
        run.fails(78, &["environment OPENAI_BASE_URL: ", said]);
    }
}

#[test]
fn several_profiles_and_no_default_are_told_as_that() {
    let sandbox = Sandbox::new();
    sandbox.config(r#"{"profiles": {"a": {"model": "x"}, "b": {"model": "y"}}}"#);
    let said = [
        "no profile is in use, and there are 2: a, b",
        "hint: run 'qwen-auth use a'\n",
    ];
    token(&sandbox).run().fails(77, &said);
    let run = sandbox.tool("qwen-auth").arg("logout").run();
    run.fails(
        64,
        &[
            "no profile is in use; name one of a, b",
            "hint: run 'qwen-auth logout a'\n",
        ],
    );
}

#[test]
fn a_key_command_that_was_not_run_is_unknown() {
    let sandbox = with_profile(&json!({"base_url": "https://own.example/v1", "key": {"command": ["false"]}}));
    let run = sandbox.tool("qwen-auth").arg("status").run().exits(0);
    assert!(
        run.text().contains("unknown, the command was not run"),
        "{run:#?}"
    );
    let run = sandbox
        .tool("qwen-auth")
        .args(["status", "--format", "json"])
        .run()
        .exits(0);
    let status: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(status["state"], "unknown");
}

#[test]
fn an_unknown_member_is_named_with_the_nearest() {
    let sandbox = with_profile(&json!({
        "base_url": "https://own.example/v1", "key": {"command": ["echo", "k"]}, "modle": "m", "time_outs": {},
    }));
    let run = token(&sandbox).run().exits(0);
    let said: Vec<&str> = run
        .stderr
        .lines()
        .map(|line| line.split_once("config.json: ").unwrap().1)
        .collect();
    assert_eq!(
        said,
        [
            "'profiles.work.modle' is not known, did you mean 'model'?",
            "'profiles.work.time_outs' is not known, did you mean 'timeouts'?",
        ]
    );
}

#[test]
fn values_of_a_profile_are_masked_wherever_settings_are_shown() {
    let profile = json!({
        "base_url": "https://own.example/v1?sig=url-canary-0123", "model": "m", "key": {"command": ["echo", "k"]},
        "headers": {"X-Team": "header-canary-01"}, "query": {"team": "query-canary-01"},
        "body": {"user": "body-canary-0123", "metadata": {"id": ["inner-canary-01"]}, "temperature": 0.5},
    });
    let sandbox = with_profile(&profile);
    for words in [
        &["qwen-chat", "--dry-run", "-v", "hi"][..],
        &["qwen-chat", "--curl", "-v", "hi"],
        &["qwen-auth", "status", "-v"],
        &["qwen-auth", "status", "--format", "json"],
        &["qwen-auth", "list"],
        &["qwen-token", "--check", "-v"],
    ] {
        let run = sandbox.tool(words[0]).args(&words[1..]).run().exits(0);
        let shown = format!("{}{}", run.text(), run.stderr);
        assert!(!shown.contains("canary"), "{run:#?}");
    }
    let run = sandbox.tool("qwen-chat").args(["--dry-run", "hi"]).run().exits(0);
    assert!(run.text().contains("\"temperature\": 0.5"), "{run:#?}");
}

/// As reported of command lines for packages and agents: a repository names the vendor's own address, and the key of the
/// user's own server goes there.
#[test]
fn a_project_cannot_bring_a_key_back_to_the_usual_vendor() {
    let openai = "OPENAI_BASE_URL=https://api.openai.com/v1\n";
    let of_profile = with_profile(&json!({"base_url": "https://own.example/v1"}));
    let of_home = Sandbox::new();
    of_home.write("home/.env", "OPENAI_BASE_URL=https://own.example/v1\n");
    for sandbox in [of_profile, of_home] {
        let ask = || {
            let tool = token(&sandbox).env("QWEN_ENV_CHAIN", "merge");
            tool.env("OPENAI_API_KEY", "mine").run()
        };
        ask().gives(0, "mine\n", "");
        sandbox.write("work/.env", openai);
        ask().fails(
            78,
            &["the key of environment OPENAI_API_KEY is not sent to 'https://api.openai.com/v1'"],
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", openai);
    token(&sandbox)
        .env("OPENAI_API_KEY", "mine")
        .run()
        .gives(0, "mine\n", "");
}

#[test]
fn a_projects_file_above_the_directory_is_a_projects_file() {
    let (sandbox, thief) = (Sandbox::new(), Server::untouched());
    std::fs::create_dir_all(sandbox.work().join("a/b")).unwrap();
    for path in ["work/.env", "work/a/.env", "work/a/.qwen/.env", "home/clone/.env"] {
        sandbox.write(path, format!("OPENAI_BASE_URL={}\n", thief.url("/v1")));
        let start = match path.starts_with("home") {
            true => sandbox.home().join("clone"),
            false => sandbox.work().join("a/b"),
        };
        for words in [
            &["hi"][..],
            &["--list-models"],
            &["--curl", "hi"],
            &["--dry-run", "hi"],
        ] {
            let run = sandbox.tool("qwen-chat").args(words).current_dir(&start);
            let run = run.env("OPENAI_API_KEY", KEY).run();
            run.fails(78, &["the key of environment OPENAI_API_KEY is not sent to '"]);
        }
        std::fs::remove_file(sandbox.root().join(path)).unwrap();
    }
}

#[test]
fn a_refused_key_that_stood_before_the_profiles_own_is_to_be_taken_away() {
    let server = Server::answering(|_, _| Reply::json(401, r#"{"error":{"message":"no"}}"#));
    let profile = json!({"base_url": server.url("/v1"), "key": {"command": ["echo", "k"]}});
    let sandbox = with_profile(&profile);
    let ask = || sandbox.tool("qwen-chat").arg("hi");
    let remedy = "hint: run 'unset OPENAI_API_KEY' to use the credential of profile 'work'\n";
    ask().env("OPENAI_API_KEY", "bad").run().fails(77, &[remedy]);
    let file = sandbox.write("home/.env", "OPENAI_API_KEY=bad\n");
    let remedy = format!(
        "hint: remove OPENAI_API_KEY from {}:1 to use the credential of profile 'work'\n",
        file.display()
    );
    ask().run().fails(77, &[&remedy]);
}

#[test]
fn with_a_refused_key_goes_the_address_that_was_given_beside_it() {
    let server = Server::answering(|_, _| Reply::json(401, r#"{"error":{"message":"no"}}"#));
    let own = Server::answering(|_, _| answer(&["of the profile"]));
    let profile = json!({"base_url": own.url("/v1"), "model": "m", "key": {"command": ["echo", "k"]}});
    let sandbox = with_profile(&profile);
    let ask = || sandbox.tool("qwen-chat").arg("hi");
    let url = server.url("/v1");
    let file = sandbox.write(
        "work/.env",
        format!("OPENAI_API_KEY=bad\nOPENAI_BASE_URL={url}\n"),
    );
    let remedy = format!(
        "hint: remove OPENAI_API_KEY and OPENAI_BASE_URL from '{}' to use endpoint and credential of profile 'work'\n",
        file.display()
    );
    ask().run().fails(77, &[&remedy]);
    std::fs::remove_file(&file).unwrap();
    ask().run().gives(0, "of the profile\n", "");
    let remedy =
        "hint: run 'unset OPENAI_API_KEY OPENAI_BASE_URL' to use endpoint and credential of profile 'work'\n";
    let given = ask().env("OPENAI_API_KEY", "bad").env("OPENAI_BASE_URL", &*url);
    given.run().fails(77, &[remedy]);
}

#[test]
fn a_server_that_wants_a_key_is_not_said_to_have_refused_one() {
    let server = Server::answering(|_, _| Reply::json(401, r#"{"error":{"message":"no"}}"#));
    let sandbox = Sandbox::new();
    let tool = sandbox
        .tool("qwen-chat")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    let run = tool.arg("hi").run().fails(
        77,
        &[
            "a credential is needed, and none was sent (401): no",
            "hint: set OPENAI_API_KEY, or run 'qwen-login --api-key'",
        ],
    );
    assert!(!run.stderr.contains("refused"), "{run:#?}");
}

#[test]
fn the_general_key_beside_an_entry_with_a_variable_of_its_own_is_said_to_be_unused() {
    let server = Server::answering(|_, _| answer(&["ok"]));
    let sandbox = Sandbox::new();
    let entry = |id: &str, path: &str| json!({"id": id, "baseUrl": server.url(path), "envKey": "GATE_KEY"});
    let entries = json!([entry("small", "/small/v1"), entry("big", "/big/v1")]);
    let settings = json!({"modelProviders": {"openai": entries}, "model": {"name": "small"},
        "security": {"auth": {"selectedType": "openai"}}});
    sandbox.write("home/.qwen/settings.json", settings.to_string());
    let ask = || sandbox.tool("qwen-chat").env("GATE_KEY", "own").arg("hi");
    let run = ask().env("OPENAI_API_KEY", "general").run().exits(0);
    let said = "OPENAI_API_KEY is not used: ";
    assert!(run.stderr.contains(said), "{run:#?}");
    assert!(run.stderr.contains(" takes its key from GATE_KEY\n"), "{run:#?}");
    ask().run().gives(0, "ok\n", "");
    assert_eq!(server.requests()[0].header("authorization"), Some("Bearer own"));
    // The command asks qwen-token about the same model, so about the same endpoint.
    let run = ask().args(["--curl", "-m", "big"]).run().exits(0);
    let url = server.url("/big/v1/chat/completions");
    let command = format!("OPENAI_MODEL='big' qwen-token --for '{url}' --format curl | ");
    assert!(run.text().starts_with(&command), "{run:#?}");
    let key = sandbox
        .tool("qwen-token")
        .env("GATE_KEY", "own")
        .env("OPENAI_MODEL", "big");
    key.args(["--for", &url]).run().gives(0, "own\n", "");
}

/// A login of a profile that names its endpoint stays below it, whatever its server allows.
#[test]
fn a_token_stays_below_the_profiles_endpoint_and_its_allowed_hosts() {
    let own = "https://llm.example.org/team-a";
    let cases = [
        (own, 0),
        ("https://llm.example.org/team-a/v1", 0),
        ("https://llm.example.org/team-b", 78),
        ("https://llm.example.org:8443/team-a", 78),
        ("https://llm.example.org/team-a/..%2fteam-b", 78),
        ("https://llm.example.org/team-a/%c0%ae%c0%ae/team-b", 78),
        ("https://other.example.org/team-a", 78),
        ("http://llm.example.org/team-a", 78),
    ];
    for (url, code) in cases {
        let sandbox = Sandbox::new();
        let mut stored = login(-10, 3600);
        stored["access_token"] = json!("at-canary");
        sandbox.write(OWN_FILE, stored.to_string());
        let oauth = json!({"token_endpoint": "https://login.example/token", "client_id": "c",
            "allowed_hosts": ["llm.example.org", "other.example.org"]});
        let profile = json!({"method": "oauth", "provider": "custom", "base_url": own, "model": "m",
            "key": {"store": "file"}, "oauth": oauth});
        sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
        let run = sandbox
            .tool("qwen-token")
            .env("OPENAI_BASE_URL", url)
            .args(["--format", "json"])
            .run();
        assert_eq!(
            (run.code(), run.text().contains("at-canary")),
            (code, code == 0),
            "{url}: {run:#?}"
        );
        let run = sandbox.tool("qwen-token").args(["--for", url]).run();
        assert_eq!(
            (run.code(), run.text().contains("at-canary")),
            (code, code == 0),
            "{url}: {run:#?}"
        );
    }
}

/// On Azure a model is part of the path.
#[test]
fn a_model_that_leads_out_of_its_path_is_refused() {
    for (model, code) in [
        ("gpt-4.1", 0),
        ("org/gpt", 0),
        ("..", 78),
        (".", 78),
        ("../../../team-b", 78),
        ("a/../b", 78),
        ("a//b", 78),
        ("..\\team-b", 78),
        ("%2e%2e", 78),
        ("..;x", 78),
        ("a\tb", 78),
    ] {
        let sandbox = Sandbox::new();
        let tool = sandbox.tool("qwen-chat").env("OPENAI_API_KEY", KEY);
        let tool = tool
            .env("OPENAI_BASE_URL", "https://me.openai.azure.com")
            .env("OPENAI_MODEL", model);
        let run = tool.args(["--dry-run", "hi"]).run();
        assert_eq!(run.code(), code, "{model}: {run:#?}");
    }
}

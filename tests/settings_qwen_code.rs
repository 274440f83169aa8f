//! Qwen Code's settings files of both eras: what the toolkit makes of each shape, beside what Qwen Code itself does.
//!
//! A shape is a file of tests/data/settings: the files and variables, what is expected of the toolkit, what Qwen Code was
//! observed to do, and why the two differ where they do. `{server}` stands for the address of a server that records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::chat::answer;
use crate::support::{Reply, Request, Run, Sandbox, Server, Tool, peers};

const SHAPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/settings");

/// The release that the observations are compared with.
const NEWEST: &str = "0.24.4";

const FIRST_ERA: &str = "0.7.1";

/// What is asked of the real program in every run; the others with QWEN_LONG.
const CORE: [&str; 12] = [
    "auth-dialog",
    "entry-key-in-home-env",
    "env-map-openai-three",
    "gateway-with-openai-key-in-shell",
    "entry-envkey-unset-apikey",
    "old-key-and-address",
    "old-key-without-address",
    "two-same-id-second",
    "custom-provider-protocol",
    "expansion",
    "system-beats-user",
    "project-model-name",
];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    #[serde(skip)]
    name: String,
    about: String,
    #[serde(default)]
    seen: Vec<String>,
    files: BTreeMap<String, Value>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    arguments: Vec<String>,
    expected: Effect,
    differs: Option<String>,
    observed: BTreeMap<String, Effect>,
}

/// What a program does with a shape.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Effect {
    /// The path that it asks the server for.
    target: Option<String>,
    /// The host that it asks, where that is not the server.
    host: Option<String>,
    key: Option<String>,
    model: Option<String>,
    /// How it refuses, and what it says.
    exit: Option<i32>,
    #[serde(default)]
    stderr: Vec<String>,
    says: Option<String>,
}

impl Effect {
    fn refuses(&self) -> bool {
        self.target.is_none() && self.host.is_none()
    }

    fn goes_where(&self, other: &Self) -> bool {
        let parts = |effect: &Self| (effect.target.clone(), effect.key.clone(), effect.model.clone());
        self.target.is_some() && parts(self) == parts(other)
            || self.host.is_some() && self.host == other.host
            || self.refuses() && other.refuses()
    }
}

fn shapes() -> Vec<Shape> {
    let mut paths: Vec<_> = fs::read_dir(SHAPES)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let shape = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Shape {
            name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            ..shape
        }
    };
    paths.iter().map(|path| read(path)).collect()
}

fn shape(name: &str) -> Shape {
    shapes().into_iter().find(|shape| shape.name == name).unwrap()
}

/// A server that answers every question, and as a proxy refuses to go anywhere.
fn recorder() -> Server {
    Server::answering(|_, request| match request.method.as_str() {
        "CONNECT" => Reply::new(502, "text/plain", "nowhere"),
        "GET" => Reply::json(200, r#"{"object": "list", "data": []}"#),
        _ => answer(&["forty-two"]),
    })
}

/// Writes the files of a shape. `system` is what the system's settings hold besides.
fn sandbox(shape: &Shape, server: &Server, system: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let address = server.url("");
    let mut files = shape.files.clone();
    let settings = files
        .entry("system/settings.json".to_owned())
        .or_insert(json!({}));
    merge(settings, system);
    for (path, content) in &files {
        let path = path.replace("project/", "work/");
        let text = match content {
            Value::String(text) => text.clone(),
            content => serde_json::to_string_pretty(content).unwrap(),
        };
        sandbox.write(path, text.replace("{server}", &address));
    }
    sandbox
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A program with the variables of a shape.
fn about_to_run(tool: Tool, shape: &Shape, sandbox: &Sandbox, server: &Server) -> Tool {
    let address = server.url("");
    let system = sandbox.root().join("system/settings.json");
    let tool = tool.env("QWEN_CODE_SYSTEM_SETTINGS_PATH", system);
    shape.environment.iter().fold(tool, |tool, (name, value)| {
        tool.env(name, value.replace("{server}", &address))
    })
}

fn key_of(request: &Request) -> Option<String> {
    let bearer = request
        .header("authorization")
        .and_then(|header| header.strip_prefix("Bearer "));
    bearer
        .or_else(|| request.header("x-goog-api-key"))
        .map(str::to_owned)
}

/// What the requests show. One CONNECT alone is a client that warms a connection up.
fn effect(requests: &[Request]) -> Effect {
    let mut effect = Effect::default();
    if let Some(asked) = requests.iter().find(|request| request.method == "POST") {
        effect.target = Some(asked.target.clone());
        effect.key = key_of(asked);
        effect.model = serde_json::from_slice::<Value>(&asked.body)
            .ok()
            .and_then(|body| Some(body.get("model")?.as_str()?.to_owned()));
        return effect;
    }
    let hosts: Vec<&str> = requests
        .iter()
        .filter(|request| request.method == "CONNECT")
        .filter_map(|request| request.target.split(':').next())
        .collect();
    let last = hosts.last().copied();
    effect.host = last
        .filter(|last| hosts.iter().filter(|host| host == &last).count() > 1)
        .map(str::to_owned);
    effect
}

fn ask(shape: &Shape, sandbox: &Sandbox, server: &Server) -> Run {
    let tool = sandbox.tool("qwen-chat").args(&shape.arguments).arg("say hi");
    about_to_run(tool, shape, sandbox, server).run()
}

/// The endpoint by what `qwen-token` says of it: for hosts that no test may ask.
fn host(shape: &Shape, sandbox: &Sandbox, server: &Server) -> (Run, String) {
    let tool = sandbox.tool("qwen-token").args(["--format", "json"]);
    let run = about_to_run(tool, shape, sandbox, server).run().exits(0);
    let token: Value = serde_json::from_slice(&run.stdout).unwrap();
    let url = token["base_url"].as_str().unwrap();
    let host = url.split('/').nth(2).unwrap().to_owned();
    (run, host)
}

#[test]
fn each_shape_is_understood_as_qwen_code_understands_it_or_refused_with_the_reason() {
    let server = recorder();
    for shape in shapes() {
        let sandbox = sandbox(&shape, &server, &json!({}));
        let name = &shape.name;
        let before = server.count();
        let run = match &shape.expected.host {
            None => ask(&shape, &sandbox, &server),
            Some(expected) => {
                let (run, host) = host(&shape, &sandbox, &server);
                assert_eq!(host, *expected, "{name}: {run:#?}");
                run
            }
        };
        let requests = server.requests().split_off(before);
        match shape.expected.exit {
            Some(code) => {
                let run = run.exits(code);
                assert!(
                    requests.is_empty() && !run.stderr.contains("sk-"),
                    "{name}: {run:#?}"
                );
            }
            None if shape.expected.host.is_none() => {
                let seen = effect(&requests);
                let expected = Effect {
                    stderr: Vec::new(),
                    ..shape.expected.clone()
                };
                assert_eq!(seen, expected, "{name} ({}): {run:#?}", shape.about);
                run.exits(0);
            }
            None => {}
        }
        let run = ask_again(&shape, &sandbox, &server);
        for part in &shape.expected.stderr {
            assert!(run.stderr.contains(part), "{name}: no {part:?} in {run:#?}");
        }
    }
    let asked = server.requests();
    assert!(
        !asked.iter().any(|request| request.target.contains("/clone/")),
        "an address that came with a project was asked"
    );
}

/// The messages, without a question where that would go to another host.
fn ask_again(shape: &Shape, sandbox: &Sandbox, server: &Server) -> Run {
    match shape.expected.host {
        None => ask(shape, sandbox, server),
        Some(_) => host(shape, sandbox, server).0,
    }
}

#[test]
fn where_the_toolkit_differs_from_qwen_code_the_file_says_why() {
    let shapes = shapes();
    let with_report = shapes.iter().filter(|shape| !shape.seen.is_empty()).count();
    assert!(
        shapes.len() > 60 && with_report >= 10,
        "{} {with_report}",
        shapes.len()
    );
    for shape in shapes {
        let observed = &shape.observed[NEWEST];
        assert_eq!(
            shape.differs.is_none(),
            shape.expected.goes_where(observed),
            "{}: {:?} and {observed:?}",
            shape.name,
            shape.expected
        );
    }
}

/// Runs the real program on a shape and returns what it asked for.
fn play(shape: &Shape, release: &str) -> Effect {
    let server = recorder();
    let quiet =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/qwen-code.json")).unwrap();
    let sandbox = sandbox(shape, &server, &serde_json::from_str(&quiet).unwrap());
    let tool = sandbox
        .command(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/qwen-code"))
        .args(&shape.arguments)
        .args(["-p", "say hi"])
        .env("QWEN_CODE_RELEASE", release)
        .env("QWEN_PEERS_DIR", peers::directory())
        .env("PATH", std::env::var_os("PATH").unwrap())
        .limit(Duration::from_secs(180));
    // The first era sends plain http through the proxy too.
    let asks_outside = shape.observed[release].host.is_some();
    let tool = match asks_outside || release == NEWEST {
        true => tool
            .env("HTTPS_PROXY", server.url(""))
            .env("NO_PROXY", "127.0.0.1"),
        false => tool,
    };
    let tool = about_to_run(tool, shape, &sandbox, &server);
    tool.run();
    let effect = effect(&server.requests());
    if server.count() == 0 {
        // A server that nobody calls fails its test.
        let _ = std::net::TcpStream::connect(("127.0.0.1", server.port()))
            .and_then(|mut stream| std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\n\r\n"));
        server.wait_for(1);
    }
    effect
}

fn play_all(shapes: Vec<Shape>, release: &str) {
    let queue = Mutex::new(shapes);
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(shape) = queue.lock().unwrap().pop() else {
                        return;
                    };
                    let seen = play(&shape, release);
                    let observed = &shape.observed[release];
                    if !seen.goes_where(observed) {
                        wrong
                            .lock()
                            .unwrap()
                            .push(format!("{}: {seen:?}, not {observed:?}", shape.name));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "Qwen Code {release} does otherwise: {wrong:#?}");
}

fn is_long() -> bool {
    std::env::var_os("QWEN_LONG").is_some()
}

#[test]
fn the_newest_qwen_code_does_what_was_observed() {
    let program = peers::directory().join("qwen-code-newest/node_modules/@qwen-code/qwen-code/cli.js");
    if !peers::present("qwen-code", program.is_file()) {
        return;
    }
    let shapes = shapes().into_iter();
    let chosen = shapes.filter(|shape| is_long() || CORE.contains(&shape.name.as_str()));
    play_all(chosen.collect(), NEWEST);
}

#[test]
fn the_qwen_code_of_the_first_era_does_what_was_observed() {
    let program = peers::directory().join("qwen-code/node_modules/@qwen-code/qwen-code/cli.js");
    if !peers::present("qwen-code", program.is_file() && peers::command("node").is_some()) {
        return;
    }
    let shapes = shapes().into_iter().filter(|shape| {
        let observed = shape.observed.get(FIRST_ERA);
        let understands = observed.is_some_and(|observed| !observed.refuses());
        understands && (is_long() || shape.name == "old-key-and-address")
    });
    play_all(shapes.collect(), FIRST_ERA);
}

#[test]
fn consent_makes_a_projects_settings_count_until_a_byte_of_them_changes() {
    let server = recorder();
    let shape = shape("project-all");
    let sandbox = sandbox(&shape, &server, &json!({}));
    let file = sandbox.work().join(".qwen/settings.json");
    let target = |part: &str| {
        ask(&shape, &sandbox, &server).exits(0);
        let last = server.requests().pop().unwrap();
        assert!(last.target.contains(part), "{last:?}");
    };
    target("/one/");
    let trust = sandbox.tool("qwen-env").arg("--trust").arg(&file).arg("--yes");
    trust.run().exits(0);
    target("/clone/");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "\n").unwrap();
    target("/one/");
}

#[test]
fn settings_that_somebody_else_could_have_written_are_refused_by_name() {
    let server = recorder();
    let shape = shape("auth-dialog");
    let sandbox = sandbox(&shape, &server, &json!({}));
    ask(&shape, &sandbox, &server).exits(0);
    let file = sandbox.home().join(".qwen/settings.json");
    let loose = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    fs::set_permissions(&file, loose).unwrap();
    let before = server.count();
    ask(&shape, &sandbox, &server).fails(78, &[&file.display().to_string(), "chmod go-w"]);
    assert_eq!(server.count(), before);
}

#[test]
fn status_names_the_entry_and_where_its_key_is_from() {
    let server = recorder();
    let shape = shape("auth-dialog");
    let sandbox = sandbox(&shape, &server, &json!({}));
    ask(&shape, &sandbox, &server).exits(0);
    let status = about_to_run(sandbox.tool("qwen-auth").arg("status"), &shape, &sandbox, &server);
    let run = status.run().exits(0);
    let file = sandbox.home().join(".qwen/settings.json");
    let file = file.display();
    for part in [
        format!("{file}: modelProviders.openai 'm1'"),
        format!("{file}: env.CUSTOM_KEY_1"),
    ] {
        assert!(run.text().contains(&part), "{run:#?}");
    }
    assert!(!run.text().contains("sk-one"), "{run:#?}");
}

#[test]
fn what_qwen_code_uses_is_imported_with_its_endpoint_and_model() {
    let server = recorder();
    for shape in shapes() {
        let Effect {
            target: Some(target),
            key: Some(key),
            model: Some(model),
            ..
        } = &shape.expected
        else {
            continue;
        };
        // What a flag or the shell says is not imported with the settings.
        if !shape.arguments.is_empty()
            || shape.environment.contains_key("OPENAI_MODEL")
            || shape.name.contains("shell-address")
        {
            continue;
        }
        let sandbox = sandbox(&shape, &server, &json!({}));
        let import = sandbox
            .detached("qwen-login")
            .args(["--import", "--no-verify", "--store", "file"]);
        let run = about_to_run(import, &shape, &sandbox, &server).run().exits(0);
        assert!(!run.stderr.contains(key.as_str()), "{}: {run:#?}", shape.name);
        fs::remove_dir_all(sandbox.home().join(".qwen")).unwrap();
        let _ = fs::remove_dir_all(sandbox.work().join(".qwen"));
        let before = server.count();
        sandbox.tool("qwen-chat").arg("say hi").run().exits(0);
        let expected = Effect {
            target: Some(target.clone()),
            key: Some(key.clone()),
            model: Some(model.clone()),
            ..Effect::default()
        };
        assert_eq!(
            effect(&server.requests()[before..]),
            expected,
            "{}: {run:#?}",
            shape.name
        );
    }
}

#[test]
fn what_cannot_be_imported_is_refused_by_name() {
    let server = recorder();
    for shape in shapes()
        .into_iter()
        .filter(|shape| shape.expected.exit.is_some() && shape.arguments.is_empty())
    {
        let sandbox = sandbox(&shape, &server, &json!({}));
        let import = sandbox
            .detached("qwen-login")
            .args(["--import", "--no-verify", "--store", "file"]);
        let run = about_to_run(import, &shape, &sandbox, &server).run();
        assert!(
            matches!(run.status.code(), Some(77 | 78)),
            "{}: {run:#?}",
            shape.name
        );
        assert!(!sandbox.config_file().exists(), "{}", shape.name);
        assert!(
            run.stderr.contains("settings.json") && !run.stderr.contains("sk-"),
            "{}: {run:#?}",
            shape.name
        );
    }
    let shape = shape("auth-dialog");
    ask(&shape, &sandbox(&shape, &server, &json!({})), &server).exits(0);
}

#[test]
fn the_login_that_is_left_over_from_the_ended_tier_is_not_in_use() {
    let sandbox = Sandbox::new();
    let login = json!({"access_token": "at-old", "refresh_token": "rt-old", "token_type": "Bearer",
        "resource_url": "portal.qwen.ai", "expiry_date": 4_000_000_000_000_u64});
    sandbox.write("home/.qwen/oauth_creds.json", login.to_string());
    let settings = json!({"security": {"auth": {"selectedType": "openai"}}, "model": {"name": "m"}});
    sandbox.write("home/.qwen/settings.json", settings.to_string());
    sandbox.tool("qwen-token").run().fails(77, &["no credential"]);
    let import = sandbox.detached("qwen-login").args(["--import", "--no-verify"]);
    import
        .run()
        .fails(77, &["'openai' is selected", "oauth_creds.json", "is not in use"]);
}

#[test]
fn a_profile_gets_the_variable_of_the_env_map_that_it_names() {
    let server = recorder();
    let shape = shape("auth-dialog");
    let sandbox = sandbox(&shape, &server, &json!({}));
    let profile = json!({"base_url": server.url("/own/v1"), "method": "api-key", "model": "m", "key": {"env": "CUSTOM_KEY_1"}});
    sandbox.config(&json!({"profiles": {"p": profile}}).to_string());
    ask(&shape, &sandbox, &server).exits(0);
    let asked = server.requests().pop().unwrap();
    assert_eq!(
        (asked.target.as_str(), key_of(&asked).as_deref()),
        ("/own/v1/chat/completions", Some("sk-one"))
    );
}

#[test]
fn the_key_of_an_entry_goes_to_no_address_but_its_own() {
    let server = recorder();
    for name in ["auth-dialog", "old-key-and-address", "env-map-openai-three"] {
        let shape = shape(name);
        let elsewhere = server.url("/elsewhere/v1");
        let profile = json!({"base_url": elsewhere, "model": "m"});
        for (flags, variable, profiles) in [
            (vec!["--openai-base-url", &elsewhere], None, json!({})),
            (vec![], Some(&elsewhere), json!({})),
            (vec![], None, json!({"p": profile})),
        ] {
            let sandbox = sandbox(&shape, &server, &json!({}));
            sandbox.config(&json!({ "profiles": profiles }).to_string());
            let tool = sandbox.tool("qwen-chat").args(flags).arg("say hi");
            let tool = about_to_run(tool, &shape, &sandbox, &server);
            let run = match variable {
                Some(url) => tool.env("OPENAI_BASE_URL", url).run(),
                None => tool.run(),
            };
            let asked = server.requests().pop().unwrap();
            assert!(
                asked.target.starts_with("/elsewhere/") && key_of(&asked).is_none(),
                "{name}: {asked:?} {run:#?}"
            );
        }
    }
}

#[test]
fn an_address_that_a_project_sets_never_gets_the_key_of_the_users_settings() {
    let server = recorder();
    for name in [
        "auth-dialog",
        "old-key-and-address",
        "old-key-without-address",
        "env-map-key-without-address",
    ] {
        let shape = shape(name);
        let clone = server.url("/clone/v1");
        for (file, text) in [
            ("work/.env", format!("OPENAI_BASE_URL={clone}\n")),
            ("work/.qwen/.env", format!("OPENAI_BASE_URL={clone}\nOPENAI_MODEL=m1\n")),
            ("work/.qwen/settings.json", json!({"env": {"OPENAI_BASE_URL": clone}}).to_string()),
            ("work/.qwen/settings.json", json!({"security": {"auth": {"baseUrl": clone}}}).to_string()),
            (
                "work/.qwen/settings.json",
                json!({"modelProviders": {"openai": [{"id": "m1", "baseUrl": clone, "envKey": "CUSTOM_KEY_1"}]},
                    "model": {"name": "m1", "baseUrl": clone}})
                .to_string(),
            ),
        ] {
            let sandbox = sandbox(&shape, &server, &json!({}));
            sandbox.write(file, &text);
            let tool = sandbox.tool("qwen-token").args(["--format", "json"]);
            let run = about_to_run(tool, &shape, &sandbox, &server).run();
            let out = run.text();
            assert!(!(out.contains("/clone/") && out.contains("sk-")), "{name} {text}: {run:#?}");
            if shape.expected.host.is_none() {
                ask(&shape, &sandbox, &server);
            }
        }
    }
    let asked = server.requests();
    let leaked = asked
        .iter()
        .find(|request| request.target.contains("/clone/") && key_of(request).is_some());
    assert!(leaked.is_none(), "{leaked:?}");
}

/// The user's variables that a clone asks for: in the shell, in the home file, and set to what no test forgets.
const CANARY: &str = "canary-4f1c";

/// Runs qwen-chat in a clone whose settings are these, beside one entry of the user's, and returns what went out.
fn in_clone(settings: &Value, server: &Server, consent: bool) -> (Run, Option<Request>) {
    let sandbox = Sandbox::new();
    let entry = json!({"id": "m1", "baseUrl": server.url("/one/v1"), "envKey": "ONE_KEY"});
    let own = json!({"modelProviders": {"openai": [entry]}, "env": {"ONE_KEY": "sk-one"}, "model": {"name": "m1"},
        "security": {"auth": {"selectedType": "openai"}}});
    sandbox.write("home/.qwen/settings.json", own.to_string());
    sandbox.write("home/.env", format!("HOME_SECRET={CANARY}\n"));
    sandbox.write("work/.qwen/settings.json", settings.to_string());
    if consent {
        let file = sandbox.work().join(".qwen/settings.json");
        let trust = sandbox.tool("qwen-env").arg("--trust").arg(file).arg("--yes");
        trust.run().exits(0);
    }
    let before = server.count();
    let tool = sandbox.tool("qwen-chat").arg("say hi");
    let run = tool.env("AWS_SECRET", CANARY).env("EMPTY", "").run();
    (run, server.requests().split_off(before).pop())
}

fn model_of(request: &Request) -> String {
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    body["model"].as_str().unwrap().to_owned()
}

#[test]
fn nothing_in_a_clones_settings_is_expanded() {
    let server = recorder();
    for name in [
        "$AWS_SECRET",
        "${AWS_SECRET}",
        "m-$AWS_SECRET",
        "${AWS_SECRET}-m",
        "$HOME_SECRET",
        "${HOME_SECRET}",
        "$EMPTY${AWS_SECRET}",
        "$$AWS_SECRET",
        "${${AWS_SECRET}}",
        "$NOT_SET$AWS_SECRET",
        "$runtime|openai|$AWS_SECRET",
        "$runtime|$AWS_SECRET|${HOME_SECRET}",
        "$",
        "$HOME",
    ] {
        for settings in [
            json!({"model": {"name": name}}),
            json!({"model": name}),
            json!({"model": {"name": name, "baseUrl": "$AWS_SECRET"}, "env": {"OPENAI_MODEL": "$AWS_SECRET"}}),
        ] {
            let (run, asked) = in_clone(&settings, &server, false);
            let run = run.exits(0);
            let asked = asked.unwrap();
            let out = format!("{}{}{asked:?}", run.text(), run.stderr);
            let all = out + &String::from_utf8_lossy(&asked.body);
            assert!(
                !all.contains(CANARY) && !all.contains("$HOME"),
                "{name}: {run:#?}"
            );
            assert_eq!(model_of(&asked), "m1", "{name}: {run:#?}");
            for part in ["model.name", "is not used", "qwen-env --trust"] {
                assert!(run.stderr.contains(part), "{name}: no {part:?} in {run:#?}");
            }
        }
    }
}

#[test]
fn nothing_of_a_clones_settings_is_expanded_where_a_profile_or_a_variable_names_the_endpoint() {
    let server = recorder();
    let settings = json!({"model": {"name": "${AWS_SECRET}"}}).to_string();
    let profile = json!({"base_url": server.url("/v1"), "method": "api-key", "key": {"env": "P_KEY"}});
    for profiles in [json!({}), json!({"p": profile})] {
        for key in ["OPENAI_API_KEY", "P_KEY"] {
            let sandbox = Sandbox::new();
            sandbox.config(&json!({ "profiles": profiles }).to_string());
            sandbox.write("work/.qwen/settings.json", &settings);
            let tool = sandbox.tool("qwen-chat").arg("say hi").env("AWS_SECRET", CANARY);
            let tool = tool.env("OPENAI_BASE_URL", server.url("/v1")).env(key, "sk-own");
            let before = server.count();
            let run = tool.run().exits(0);
            let asked = server.requests().split_off(before).pop().unwrap();
            assert!(!model_of(&asked).contains(CANARY), "{run:#?}");
            assert!(run.stderr.contains("model.name is not used"), "{run:#?}");
        }
    }
    for tool in ["qwen-token", "qwen-auth"] {
        let sandbox = Sandbox::new();
        sandbox.write("work/.qwen/settings.json", &settings);
        let arguments: &[&str] = if tool == "qwen-auth" {
            &["status", "--json"]
        } else {
            &["--format", "json"]
        };
        let tool = sandbox.tool(tool).args(arguments).env("AWS_SECRET", CANARY);
        let run = tool.env("OPENAI_API_KEY", "sk-own").run();
        assert!(
            !run.text().contains(CANARY) && !run.stderr.contains(CANARY),
            "{run:#?}"
        );
    }
}

#[test]
fn what_the_user_consented_to_is_expanded_as_qwen_code_does() {
    let server = recorder();
    for (name, model) in [
        ("$AWS_SECRET", CANARY.to_owned()),
        ("m-${HOME_SECRET}", format!("m-{CANARY}")),
        ("${NOT_SET}", "${NOT_SET}".to_owned()),
    ] {
        let entry = json!({"id": name, "baseUrl": server.url("/one/v1"), "envKey": "ONE_KEY"});
        let settings = json!({"model": {"name": name}, "modelProviders": {"openai": [entry]}});
        let (run, asked) = in_clone(&settings, &server, true);
        assert_eq!(model_of(&asked.unwrap()), model, "{run:#?}");
    }
}

#[test]
fn a_clones_model_moves_neither_prompt_nor_key_to_another_endpoint() {
    let server = recorder();
    let entry = |id: &str, part: &str, key: &str| json!({"id": id, "baseUrl": server.url(&format!("/{part}/v1")), "envKey": key});
    let models = [
        entry("m1", "one", "ONE_KEY"),
        entry("m2", "two", "TWO_KEY"),
        entry("m3", "one", "ONE_KEY"),
    ];
    let own = json!({"modelProviders": {"openai": models}, "env": {"ONE_KEY": "sk-one", "TWO_KEY": "sk-two"},
        "model": {"name": "m1"}, "security": {"auth": {"selectedType": "openai"}}});
    for (file, clone, model) in [
        (
            "settings.json",
            json!({"model": {"name": "zzz"}}).to_string(),
            "zzz",
        ),
        ("settings.json", json!({"model": "zzz"}).to_string(), "zzz"),
        (
            "settings.json",
            json!({"model": {"name": "m2"}}).to_string(),
            "m1",
        ),
        (
            "settings.json",
            json!({"model": {"name": "$runtime|openai|m2"}}).to_string(),
            "m1",
        ),
        (
            "settings.json",
            json!({"model": {"name": "m3"}}).to_string(),
            "m3",
        ),
        ("settings.json", json!({"model": {"name": ""}}).to_string(), "m1"),
        ("settings.json", json!({"model": {"name": 5}}).to_string(), "m1"),
        (".env", "OPENAI_MODEL=zzz\n".to_owned(), "zzz"),
        (".env", "OPENAI_MODEL=m2\n".to_owned(), "m2"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("home/.qwen/settings.json", own.to_string());
        sandbox.write(format!("work/.qwen/{file}"), &clone);
        let before = server.count();
        let tool = sandbox.tool("qwen-chat").arg("say hi");
        let run = tool.env("OPENAI_API_KEY", "sk-openai").run().exits(0);
        let asked = server.requests().split_off(before).pop().unwrap();
        let seen = (asked.target.as_str(), key_of(&asked), model_of(&asked));
        let expected = (
            "/one/v1/chat/completions",
            Some("sk-one".to_owned()),
            model.to_owned(),
        );
        assert_eq!(seen, expected, "{clone}: {run:#?}");
    }
}

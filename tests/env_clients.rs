//! The clients of others, with what `qwen-token` and `qwen-env --auth` export: they ask the right server, with all that it needs.

use std::path::PathBuf;

use crate::support::login::login;
use crate::support::readers::{self, Meaning, Reader};
use crate::support::recipe::{recipe, tools};
use crate::support::{Reply, Request, Run, Sandbox, Server, Tool, peers};
use qwen_shared::dotenv::carriers;
use serde_json::{Value, json};

const KEY: &str = "sk-canary-clients";

/// A client: what tests call it, and the script that asks once.
struct Client {
    name: &'static str,
    script: String,
}

fn here(name: &str) -> String {
    format!("{}/tests/peers/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn at(path: &str) -> PathBuf {
    peers::directory().join(path)
}

fn there(name: &str, path: &str) -> bool {
    peers::present(name, at(path).exists())
}

/// The openai classes of this name, for Python and Node.
fn openai(class: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    if there("openai for Python", "clients/bin/python") {
        let python = at("clients/bin/python").display().to_string();
        clients.push(Client {
            name: "openai for Python",
            script: format!("{python} {} {class}", here("ask.py")),
        });
    }
    if there("openai for Node", "clients-node/node_modules/openai")
        && let Some(node) = peers::command("node")
    {
        let (node, modules) = (
            node.display(),
            at("clients-node/node_modules").display().to_string(),
        );
        clients.push(Client {
            name: "openai for Node",
            script: format!("NODE_PATH={modules} {node} {} {class}", here("ask.cjs")),
        });
    }
    clients
}

/// Every client that takes key, address and headers from its environment.
fn all() -> Vec<Client> {
    let mut clients = openai("OpenAI");
    if there("llm", "clients/bin/llm") {
        let llm = at("clients/bin/llm").display().to_string();
        let script = format!("LLM_USER_PATH=$HOME/llm {llm} -m gpt-4o --no-stream hi");
        clients.push(Client { name: "llm", script });
    }
    let curl = "printf '%s\\n' \"authorization: Bearer $OPENAI_API_KEY\" \"${OPENAI_CUSTOM_HEADERS-}\" | \
                curl -sSf -H @- -H 'content-type: application/json' \
                -d '{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}' \
                \"$OPENAI_BASE_URL/chat/completions\" | grep -o 'pong'";
    clients.push(Client {
        name: "curl",
        script: curl.to_owned(),
    });
    clients
}

/// aichat, which takes neither headers nor parameters from a variable that others read; where it is installed.
fn aichat() -> Option<Client> {
    let path = peers::aichat()?.display().to_string();
    let script = format!("AICHAT_PLATFORM=openai AICHAT_CONFIG_DIR=$HOME {path} -S -m openai:gpt-4o hi");
    Some(Client {
        name: "aichat",
        script,
    })
}

fn answer() -> Reply {
    let answer = json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "pong" } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 }
    });
    Reply::json(200, &answer.to_string())
}

/// A sandbox whose one profile is this, with a key in the environment.
fn profile(profile: &Value) -> Sandbox {
    let sandbox = Sandbox::new();
    let config = json!({ "default_profile": "here", "profiles": { "here": profile } });
    sandbox.config(&config.to_string());
    sandbox
}

fn sh(sandbox: &Sandbox, script: &str) -> Tool {
    sandbox
        .command("/bin/sh")
        .env("PROFILE_KEY", KEY)
        .args(["-c", script])
}

/// Runs each client in the three ways by which it gets the variables; returns the requests, one each.
fn asked(clients: &[Client], settings: impl Fn(&str) -> Value) -> Vec<(String, Request)> {
    let mut requests = Vec::new();
    for client in clients {
        let script = &client.script;
        let quoted = script.replace('\'', "'\\''");
        let mut ways = vec![
            format!("qwen-token -- sh -c '{quoted}'"),
            format!("eval $(qwen-env --auth) && {script}"),
        ];
        // The variables are the same; the large clients take seconds to start.
        if client.name == "curl" {
            ways.push(format!("qwen-env --auth -- sh -c '{quoted}'"));
            ways.push(format!("eval $(qwen-token --format env) && {script}"));
        }
        for way in ways {
            let server = Server::script([answer()]);
            let sandbox = profile(&settings(&server.url("")));
            let run = sh(&sandbox, &way).run();
            assert_eq!(
                run.code(),
                0,
                "{}: {way}\n{}\n{}",
                client.name,
                run.text(),
                run.stderr
            );
            assert_eq!(run.text().trim(), "pong", "{}: {way}", client.name);
            let request = server.requests().pop().unwrap();
            requests.push((format!("{}: {way}", client.name), request));
        }
    }
    requests
}

fn plain(url: &str) -> Value {
    json!({ "provider": "custom", "base_url": format!("{url}/v1"), "model": "gpt-4o", "key": { "env": "PROFILE_KEY" } })
}

#[test]
fn a_plain_endpoint_is_asked_by_every_client() {
    let mut clients = all();
    clients.extend(aichat());
    for (what, request) in asked(&clients, plain) {
        assert_eq!(request.target, "/v1/chat/completions", "{what}");
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {KEY}")),
            "{what}"
        );
    }
}

#[test]
fn a_gateway_gets_the_headers_that_it_needs_from_every_client() {
    let gateway = |url: &str| {
        let mut profile = plain(url);
        profile["headers"] = json!({ "X-Team": "blue", "X-Gateway-Key": "g w: 1" });
        profile
    };
    for (what, request) in asked(&all(), gateway) {
        assert_eq!(request.target, "/v1/chat/completions", "{what}");
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {KEY}")),
            "{what}"
        );
        assert_eq!(request.header("x-team"), Some("blue"), "{what}");
        assert_eq!(request.header("x-gateway-key"), Some("g w: 1"), "{what}");
    }
}

#[test]
fn azures_deployments_are_asked_by_its_own_classes() {
    let azure = |url: &str| json!({ "provider": "azure", "base_url": url, "model": "my-gpt", "key": { "env": "PROFILE_KEY" } });
    for (what, request) in asked(&openai("AzureOpenAI"), azure) {
        let wanted = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21";
        assert_eq!(request.target, wanted, "{what}");
        assert_eq!(request.header("api-key"), Some(KEY), "{what}");
    }
}

#[test]
fn azures_v1_endpoint_is_asked_by_every_client_with_its_own_header() {
    let azure = |url: &str| {
        json!({ "provider": "azure-v1", "base_url": format!("{url}/openai/v1"), "model": "gpt-4o",
                "key": { "env": "PROFILE_KEY" } })
    };
    for (what, request) in asked(&all(), azure) {
        assert_eq!(request.target, "/openai/v1/chat/completions", "{what}");
        assert_eq!(request.header("api-key"), Some(KEY), "{what}");
    }
}

/// Asks by the recipe of qwen-recipes(7), without a configuration of aichat's own; returns what the endpoint got.
fn asked_by_recipe(settings: impl Fn(&str) -> Value) -> Option<Request> {
    let aichat = peers::aichat()?;
    let server = Server::script([answer()]);
    let sandbox = profile(&settings(&server.url("")));
    sandbox.program("bin/ask", recipe("aichat", 0).trim_start());
    std::os::unix::fs::symlink(aichat, sandbox.root().join("bin/aichat")).unwrap();
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        sandbox.root().join("bin").display(),
        tools()
    );
    let tool = sh(&sandbox, "ask -S hi")
        .env("PATH", path)
        .env("AICHAT_CONFIG_DIR", sandbox.home());
    let run = tool.run().exits(0);
    assert_eq!(run.text(), "pong\n", "{run:#?}");
    server.requests().pop()
}

#[test]
fn aichat_asks_any_endpoint_by_the_recipe() {
    let gateway = |url: &str| {
        let mut profile = plain(url);
        profile["headers"] = json!({ "X-Team": "blue", "X-Gateway-Key": "g w: 1" });
        profile
    };
    let azure = |url: &str| json!({ "provider": "azure", "base_url": url, "model": "my-gpt", "key": { "env": "PROFILE_KEY" } });
    let bearer = format!("Bearer {KEY}");
    let Some(request) = asked_by_recipe(plain) else {
        return;
    };
    assert_eq!(request.target, "/v1/chat/completions");
    assert_eq!(request.header("authorization"), Some(&*bearer));
    let request = asked_by_recipe(gateway).unwrap();
    assert_eq!(request.header("authorization"), Some(&*bearer));
    assert_eq!(request.header("x-team"), Some("blue"));
    assert_eq!(request.header("x-gateway-key"), Some("g w: 1"));
    let request = asked_by_recipe(azure).unwrap();
    let wanted = "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21";
    assert_eq!(request.target, wanted);
    assert_eq!(request.header("api-key"), Some(KEY));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.json()["model"], "my-gpt");
}

#[test]
fn curl_sends_the_headers_of_the_profile_in_each_of_its_forms() {
    let gateway = |url: &str| {
        let mut profile = plain(url);
        profile["headers"] =
            json!({ "X-Team": "blue", "X-Gateway-Key": "g", "X-Empty": "", "X-Blank": "  " });
        profile
    };
    let post = "-sSf -H 'content-type: application/json' -d '{}'";
    for script in [
        format!("qwen-token --format header | curl {post} -H @- \"$URL\""),
        format!("qwen-token --format curl | curl {post} -K - \"$URL\""),
        format!("qwen-token --for \"$URL\" --format curl | curl {post} -K -"),
        "qwen-chat --curl hi >c.sh && sh c.sh".to_owned(),
    ] {
        let server = Server::script([answer()]);
        let sandbox = profile(&gateway(&server.url("")));
        sh(&sandbox, &script)
            .env("URL", server.url("/v1/chat/completions"))
            .run()
            .exits(0);
        let request = server.requests().pop().unwrap();
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {KEY}")),
            "{script}"
        );
        assert_eq!(request.header("x-team"), Some("blue"), "{script}");
        assert_eq!(request.header("x-gateway-key"), Some("g"), "{script}");
        assert_eq!(request.header("x-empty"), Some(""), "{script}");
        assert_eq!(request.header("x-blank"), Some(""), "{script}");
    }
}

#[test]
fn what_no_variable_can_say_is_said() {
    let sandbox = profile(&json!({
        "provider": "custom", "base_url": "http://127.0.0.1:9/v1?tenant=t", "model": "m", "key": { "env": "PROFILE_KEY" },
        "query": { "trace": "1" }, "body": { "user": "me" }
    }));
    let said = "not exported, for want of a variable that clients read: query parameter 'tenant', query parameter 'trace', \
                body member 'user'\n";
    sh(&sandbox, "qwen-token -- printenv OPENAI_BASE_URL OPENAI_API_BASE")
        .run()
        .gives(
            0,
            "http://127.0.0.1:9/v1\nhttp://127.0.0.1:9/v1\n",
            &format!("qwen-token: {said}"),
        );
    sh(
        &sandbox,
        "qwen-env --auth -- printenv OPENAI_BASE_URL OPENAI_API_BASE",
    )
    .run()
    .gives(
        0,
        "http://127.0.0.1:9/v1\nhttp://127.0.0.1:9/v1\n",
        &format!("qwen-env: {said}"),
    );
}

#[test]
fn a_value_with_which_no_program_starts_is_refused_by_name() {
    let longest = 131_071 - "OPENAI_CUSTOM_HEADERS=X-Big: ".len();
    for script in [
        "qwen-token -- sh -c 'echo ${#OPENAI_CUSTOM_HEADERS}'",
        "qwen-env --auth -- sh -c 'echo ${#OPENAI_CUSTOM_HEADERS}'",
    ] {
        let run = |length: usize| {
            let mut settings = plain("http://127.0.0.1:9");
            settings["headers"] = json!({ "X-Big": "b".repeat(length) });
            sh(&profile(&settings), script).run()
        };
        run(longest).gives(0, format!("{}\n", longest + "X-Big: ".len()), "");
        let told = "'OPENAI_CUSTOM_HEADERS' is not exported: with its name it is longer than 131,071 bytes";
        run(longest + 1).fails(78, &[told]);
    }
}

/// A NUL ends a variable: what is behind it would be lost without a word.
#[test]
fn a_nul_in_an_exported_value_is_refused_by_name() {
    let mut model = plain("http://127.0.0.1:9");
    model["model"] = "m\0n".into();
    let mut headers = plain("http://127.0.0.1:9");
    headers["headers"] = json!({ "X-Team": "b\0lue" });
    // The model is refused with the configuration, the header where it would be exported.
    for (settings, member) in [
        (model, "'profiles.here.model'"),
        (headers, "'OPENAI_CUSTOM_HEADERS'"),
    ] {
        for script in [
            "qwen-token -- true",
            "qwen-token --format env",
            "qwen-env --auth -- true",
            "qwen-env --auth --format json",
            "qwen-env --auth --format null",
            "qwen-env --auth --format dotenv",
            "qwen-env --auth --get OPENAI_MODEL",
            "qwen-env --auth --shell sh",
        ] {
            let run = sh(&profile(&settings), script).run().exits(78);
            assert!(
                run.stderr.contains(member) && run.stderr.contains("NUL"),
                "{run:#?}"
            );
            assert!(["", "false;\n"].contains(&&*run.text()), "{run:#?}");
        }
    }
}

#[test]
fn a_token_with_which_no_program_starts_is_refused_by_name() {
    let sandbox = Sandbox::new();
    let mut stored = login(-10, 3590);
    stored["access_token"] = "t".repeat(131_071).into();
    sandbox.logged_in("http://127.0.0.1:1/", &stored);
    for script in ["qwen-token -- true", "qwen-env --auth -- true"] {
        sh(&sandbox, script).run().fails(
            78,
            &["'OPENAI_API_KEY' is not exported: with its name it is longer than 131,071 bytes"],
        );
    }
}

/// The variables of the clients among those that a program was started with.
fn of_clients(run: &Run) -> Meaning {
    let text = run.text();
    let pairs = text.split('\0').filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| name.starts_with("OPENAI_") || name.starts_with("AZURE_"));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Profiles of every kind that differ in what they need of the clients' variables.
fn kinds() -> [Value; 6] {
    let mut gateway = plain("https://gateway.example");
    gateway["headers"] = json!({ "X-Team": "blue", "X-Note": "it's 5 $ # \"\\" });
    let mut one_header = plain("https://gateway.example");
    one_header["headers"] = json!({ "X-Team": "blue" });
    let azure = |provider: &str, path: &str| {
        json!({ "provider": provider, "base_url": format!("https://me.openai.azure.com{path}"), "model": "my-gpt",
                "key": { "env": "PROFILE_KEY" } })
    };
    [
        plain("https://plain.example"),
        gateway,
        one_header,
        azure("azure", ""),
        azure("azure-v1", "/openai/v1"),
        json!({ "provider": "custom", "base_url": "http://127.0.0.1:9/v1/", "model": "m" }),
    ]
}

#[test]
fn each_way_to_export_gives_the_same_variables() {
    for kind in kinds() {
        let sandbox = profile(&kind);
        let wanted = of_clients(&sh(&sandbox, "qwen-token -- env -0").run().exits(0));
        assert!(
            wanted.len() >= 3 && wanted.contains_key("OPENAI_API_KEY"),
            "{kind}: {wanted:?}"
        );
        for way in [
            "qwen-env --auth -- env -0",
            "eval $(qwen-env --auth); env -0",
            "eval $(qwen-token --format env); env -0",
            "qwen-env --auth --format null",
        ] {
            let run = sh(&sandbox, way).run().exits(0);
            assert_eq!(of_clients(&run), wanted, "{kind}: {way}");
        }
        for form in ["json", "dotenv", "docker", "github", "systemd"] {
            let run = sh(&sandbox, &format!("qwen-env --auth --format {form}"))
                .run()
                .exits(0);
            let read = match form {
                "json" => Some(serde_json::from_slice(&run.stdout).unwrap()),
                "docker" => readers::docker(&run.stdout).map(Result::unwrap),
                "github" => Some(readers::github(&run.text()).unwrap()),
                "systemd" => readers::systemd(&run.text()),
                _ => Reader::Shell("dash")
                    .read(std::slice::from_ref(&run.stdout))
                    .and_then(|read| read[0].clone()),
            };
            let Some(read) = read else { continue };
            for (name, value) in &wanted {
                let is_refused = run.stderr.contains(&format!("'{name}' is left out: "));
                assert_eq!(
                    read.get(name),
                    (!is_refused).then_some(value),
                    "{kind}: {form}: {name}"
                );
                assert!(
                    !is_refused || name == "OPENAI_CUSTOM_HEADERS",
                    "{form}: {}",
                    run.stderr
                );
            }
        }
    }
}

#[test]
fn what_was_exported_is_taken_back_with_the_rest() {
    let mut settings = plain("http://127.0.0.1:9");
    settings["headers"] = json!({ "X-Team": "blue" });
    let sandbox = profile(&settings);
    let script =
        "eval $(qwen-env --auth); echo \"$OPENAI_CUSTOM_HEADERS\"; eval $(qwen-env); env | grep -c ^OPENAI";
    sh(&sandbox, script).run().gives(1, "X-Team: blue\n0\n", "");
}

/// What OpenAI's clients take from the environment and send is known: a project's address is held back where one is set.
#[test]
fn what_the_clients_send_of_the_environment_is_among_the_carriers() {
    // The key itself, and what names an account without opening it.
    const KNOWN: [&str; 3] = ["OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"];
    let names = [
        "OPENAI_API_KEY",
        "OPENAI_ORG_ID",
        "OPENAI_PROJECT_ID",
        "OPENAI_ADMIN_KEY",
        "OPENAI_WEBHOOK_SECRET",
        "OPENAI_CUSTOM_HEADERS",
        "OPENAI_LOG",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "OPENAI_ORGANIZATION",
        "OPENAI_API_TYPE",
        "OPENAI_API_VERSION",
    ];
    let mut carried = 0;
    for class in ["OpenAI", "AzureOpenAI"] {
        for client in openai(class) {
            let server = Server::script([answer()]).optional();
            let sandbox = Sandbox::new();
            let mut tool = sh(&sandbox, &client.script)
                .env("OPENAI_BASE_URL", server.url("/v1"))
                .env("AZURE_OPENAI_ENDPOINT", server.url(""))
                .env("OPENAI_MODEL", "m");
            for name in names.iter().filter(|&&name| name != "OPENAI_LOG") {
                let value = if *name == "OPENAI_CUSTOM_HEADERS" {
                    "X-Own: "
                } else {
                    ""
                };
                tool = tool.env(
                    name,
                    format!("{value}canary-{}", name.to_lowercase().replace('_', "-")),
                );
            }
            tool.run();
            for request in server.requests() {
                let sent = format!("{} {:?}", request.target, request);
                for name in names {
                    if !sent.contains(&format!("canary-{}", name.to_lowercase().replace('_', "-"))) {
                        continue;
                    }
                    carried += 1;
                    let is_known = KNOWN.contains(&name)
                        || name == "OPENAI_API_VERSION"
                        || ["OPENAI_BASE_URL", "AZURE_OPENAI_ENDPOINT"]
                            .iter()
                            .any(|address| carriers(address).iter().any(|known| known == name));
                    assert!(is_known, "{}: {name} is sent", client.name);
                }
            }
        }
    }
    assert!(carried > 3 || !at("clients/bin/python").exists());
}

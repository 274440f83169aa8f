//! Real clients through qwen-proxy, none of them changed.
use std::path::PathBuf;

use crate::support::login::{OWN_FILE, login, with};
use crate::support::model::Model;
use crate::support::recipe::recipe;
use crate::support::{Identity, Reply, Request, Run, Sandbox, Server, Tool, binary, peers};
use serde_json::{Value, json};

const KEY: &str = "sk-canary-0123456789-lent";

/// The key of a user that a client has stored, which must reach nobody.
const STORED: &str = "sk-canary-of-the-client-itself";

/// A port of this machine where nothing listens.
const DEAD: &str = "http://127.0.0.1:1";

/// The proxies of an environment, all dead.
const PROXIES: [&str; 6] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// An endpoint that answers nobody without the key.
fn upstream() -> Server {
    Server::answering(|_, request| {
        let bearer = format!("Bearer {KEY}");
        match request.header("authorization") {
            Some(key) if key == bearer => answer(request),
            _ => Reply::json(
                401,
                r#"{"error": {"message": "wrong key", "code": "invalid_api_key"}}"#,
            ),
        }
    })
}

fn answer(request: &Request) -> Reply {
    let ok = |body: Value| Reply::json(200, &body.to_string());
    let path = request.target.split('?').next().unwrap();
    match path {
        "/v1/chat/completions" => chat(&request.json()),
        "/v1/embeddings" => {
            let data =
                |index: usize| json!({"object": "embedding", "index": index, "embedding": [0.5, -0.25]});
            ok(
                json!({"object": "list", "model": "embed", "data": [data(0), data(1)],
                      "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
            )
        }
        "/v1/responses" => ok(json!({
            "id": "resp_1", "object": "response", "created_at": 1, "model": "tiny", "status": "completed",
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                        "content": [{"type": "output_text", "text": "Paris", "annotations": []}]}]})),
        "/v1/images/edits" => {
            let is_form = request
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("multipart/form-data; boundary="));
            let picture = b"\x89PNG\r\n\x1a\n";
            let has_picture = request.body.windows(picture.len()).any(|part| part == picture);
            assert!(is_form && has_picture && request.body.len() > 16_384);
            ok(json!({"created": 1, "data": [{"b64_json": "aGF0"}]}))
        }
        "/v1/models" => ok(json!({"object": "list", "data": [
            {"id": "tiny", "object": "model", "created": 1, "owned_by": "me"}]})),
        "/v1/models/qwen%2Fqwen3%3Afree" | "/v1/models/qwen%2Fqwen3:free" | "/v1/models/qwen/qwen3:free" => {
            ok(json!({"id": "qwen/qwen3:free", "object": "model", "created": 1, "owned_by": "me"}))
        }
        other => Reply::json(404, &json!({"error": {"message": other}}).to_string()),
    }
}

fn chat(asked: &Value) -> Reply {
    let model = &asked["model"];
    if asked["stream"] == true {
        let chunk = |delta: Value, reason: Value| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
            let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model,
                               "choices": [choice]});
            format!("data: {chunk}\n\n")
        };
        return Reply::stream([
            chunk(json!({"role": "assistant", "content": "Pa"}), Value::Null),
            chunk(json!({"content": "ris"}), Value::Null),
            chunk(json!({}), json!("stop")),
            "data: [DONE]\n\n".to_owned(),
        ]);
    }
    let message = match asked["tools"].is_array() {
        true => json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]}),
        false => json!({"role": "assistant", "content": "Paris"}),
    };
    let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": model,
                      "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    Reply::json(200, &body.to_string())
}

fn known_to(server: &Server, tool: Tool) -> Tool {
    tool.env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "tiny")
}

/// qwen-proxy in front of the endpoint, with dead proxies in the environment or without.
fn proxy(sandbox: &Sandbox, server: &Server, dead: bool) -> Tool {
    let tool = known_to(server, sandbox.tool("qwen-proxy"));
    match dead {
        true => PROXIES.into_iter().fold(tool, |tool, name| tool.env(name, DEAD)),
        false => tool,
    }
}

/// Runs a client by both environments. Whatever it says, the key is not in it, and everything that the endpoint got has the
/// key and nothing of the client's own.
fn both(arguments: &[PathBuf], options: &[&str], with: &dyn Fn(&Sandbox, Tool) -> Tool, judge: &dyn Fn(Run)) {
    for dead in [false, true] {
        let (sandbox, server) = (Sandbox::new(), upstream().optional());
        let tool = proxy(&sandbox, &server, dead)
            .args(options)
            .arg("--")
            .args(arguments);
        let run = with(&sandbox, tool).run();
        assert!(!run.text().contains(KEY) && !run.stderr.contains(KEY), "{run:#?}");
        for request in server.requests() {
            let all = format!("{request:?}");
            assert!(!all.contains(STORED), "{all}");
            assert_eq!(
                request.header("authorization"),
                Some(&*format!("Bearer {KEY}")),
                "{all}"
            );
        }
        judge(run);
    }
}

fn peer(name: &str, path: &str) -> Option<PathBuf> {
    let path = peers::directory().join(path);
    peers::present(name, path.exists()).then_some(path)
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/clients")).join(name)
}

fn node() -> Option<PathBuf> {
    let node = peers::command("node");
    peers::present("node", node.is_some()).then_some(node).flatten()
}

#[test]
fn our_own_tools_ask_through_it_without_a_word_about_the_profile() {
    let (sandbox, server) = (Sandbox::new(), upstream());
    let profile = json!({"base_url": server.url("/v1"), "model": "tiny", "key": {"env": "WORK_KEY"},
                         "headers": {"X-Team": "a"}, "rate": {"per_minute": 600}});
    let config = json!({"default_profile": "work", "profiles": {"work": profile}}).to_string();
    sandbox.config(&config);
    let proxy = || {
        sandbox
            .tool("qwen-proxy")
            .env("WORK_KEY", KEY)
            .env("QWEN_PROFILE", "work")
            .arg("--")
    };
    let chat = binary("qwen-chat").display().to_string();
    for request in [vec![chat.as_str(), "hi"], vec![&chat, "--list-models"]] {
        let run = proxy().args(&request).run().exits(0);
        assert_eq!(run.stderr, "", "{run:#?}");
    }
    // Another endpoint than the proxy's is another's.
    let away = format!("OPENAI_BASE_URL={} {chat} hi", server.url("/other"));
    let run = proxy().args(["/bin/sh", "-c", &away]).run();
    assert!(run.stderr.contains("profile 'work' was named"), "{run:#?}");
    assert!(
        run.stderr.contains("'headers' and 'rate' are not used"),
        "{run:#?}"
    );
}

/// What a client that tried everything got.
fn all_of_it(run: Run) -> Value {
    let came: Value = serde_json::from_str(&run.exits(0).text()).unwrap();
    assert_eq!(came["chat"], "Paris");
    assert_eq!(came["stream"], json!(["Pa", "ris"]));
    assert_eq!(came["tools"], "weather");
    assert_eq!(came["embeddings"], json!([0.5, -0.25]));
    assert_eq!(came["responses"], "Paris");
    assert_eq!(came["images"], "aGF0");
    assert_eq!(
        (&came["slash"], &came["slash_chat"]),
        (&json!("qwen/qwen3:free"), &json!("qwen/qwen3:free"))
    );
    assert_eq!(came["models"], json!(["tiny"]));
    came
}

#[test]
fn openais_client_for_python_does_all_it_can() {
    let Some(python) = peer("openai for Python", "clients/bin/python") else {
        return;
    };
    let words = [python, script("openai_python.py")];
    both(&words, &[], &|_, tool| tool.env("ALL_OF_IT", "1"), &|run| {
        all_of_it(run);
    });
}

#[test]
fn openais_client_for_node_and_fetch_do_all_they_can() {
    let (Some(node), Some(client)) = (node(), peer("openai for Node", "clients-node")) else {
        return;
    };
    let words = [node, script("openai_node.mjs"), client];
    both(&words, &[], &|_, tool| tool.env("ALL_OF_IT", "1"), &|run| {
        let came = all_of_it(run);
        assert_eq!((&came["fetch"], &came["upgrade"]), (&json!("Paris"), &json!(426)));
    });
}

#[test]
fn curl_streams_and_asks_for_a_websocket_in_vain() {
    let curl = peers::command("curl");
    if !peers::present("curl", curl.is_some()) {
        return;
    }
    let ask = "curl -sS -N -H \"Authorization: Bearer $OPENAI_API_KEY\" -H 'Content-Type: application/json' \
               -d '{\"model\": \"tiny\", \"stream\": true, \"messages\": []}' \"$OPENAI_BASE_URL/chat/completions\"";
    let socket = "curl -sS -o /dev/null -w '%{http_code}\\n' -H \"Authorization: Bearer $OPENAI_API_KEY\" \
                  -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
                  -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' \"$OPENAI_BASE_URL/realtime?model=tiny\"";
    let words = ["/bin/sh", "-c", &format!("{ask} && {socket}")].map(PathBuf::from);
    both(&words, &[], &|_, tool| tool, &|run| {
        let text = run.exits(0).text();
        assert!(
            text.contains("\"content\":\"ris\"") && text.contains("[DONE]"),
            "{text}"
        );
        assert!(text.ends_with("426\n"), "{text}");
    });
}

#[test]
fn llm_answers_through_it() {
    let Some(llm) = peer("llm", "clients/bin/llm") else {
        return;
    };
    for option in ["--stream", "--no-stream"] {
        let words: Vec<PathBuf> = [llm.clone()]
            .into_iter()
            .chain(["-m", "gpt-4o-mini", option, "capital?"].map(PathBuf::from))
            .filter(|word| word.as_os_str() != "--stream")
            .collect();
        both(&words, &[], &|_, tool| tool, &|run| {
            run.gives(0, "Paris\n", "");
        });
    }
}

#[test]
fn aichat_answers_through_it() {
    let Some(aichat) = peers::aichat() else { return };
    // As qwen-recipes(7) has it, in one piece and as a stream.
    let words = recipe("aichat", 1);
    let words: Vec<&str> = words.trim().split("-- aichat ").collect();
    assert_eq!(words[0], "AICHAT_PLATFORM=openai qwen-proxy ");
    for option in ["", "--no-stream"] {
        let script = format!("exec '{}' {option} {}", aichat.display(), words[1]);
        let words = ["/bin/sh", "-c", &script].map(PathBuf::from);
        let with = |sandbox: &Sandbox, tool: Tool| {
            tool.env("AICHAT_PLATFORM", "openai")
                .env("AICHAT_CONFIG_DIR", sandbox.home())
        };
        both(&words, &[], &with, &|run| {
            run.gives(0, "Paris\n", "");
        });
    }
}

#[test]
fn a_key_that_a_client_has_stored_is_refused_and_goes_nowhere() {
    let Some(llm) = peer("llm", "clients/bin/llm") else {
        return;
    };
    let with = |sandbox: &Sandbox, tool: Tool| {
        let keys = json!({"openai": STORED}).to_string();
        let path = sandbox.write("home/llm/keys.json", keys);
        tool.env("LLM_USER_PATH", path.parent().unwrap())
    };
    let words: Vec<PathBuf> = [llm]
        .into_iter()
        .chain(["-m", "gpt-4o-mini", "capital?"].map(PathBuf::from))
        .collect();
    both(&words, &[], &with, &|run| {
        let run = run.exits(1);
        assert!(
            run.stderr.contains("may have sent a key that it has stored"),
            "{run:#?}"
        );
        assert!(!run.stderr.contains(STORED) && run.text().is_empty(), "{run:#?}");
    });
}

/// Qwen Code of one era, as a person would run it in a script.
fn qwen_code(place: &str, node: PathBuf, options: &[&str]) {
    let Some(program) = peer(
        place,
        &format!("{place}/node_modules/@qwen-code/qwen-code/cli.js"),
    ) else {
        return;
    };
    let words: Vec<PathBuf> = [node, program]
        .into_iter()
        .chain(["-p", "What is the capital of France?"].map(PathBuf::from))
        .collect();
    both(&words, options, &|_, tool| tool, &|run| {
        assert_eq!(run.exits(0).text().trim(), "Paris");
    });
}

#[test]
fn qwen_code_0_7_asks_through_it_once_its_proxies_are_away() {
    let Some(node) = node() else { return };
    qwen_code("qwen-code", node, &["--no-proxy-env"]);
}

#[test]
fn the_newest_qwen_code_asks_through_it() {
    let Some(node) = peer("a newer Node", "node-bin/node22") else {
        return;
    };
    qwen_code("qwen-code-newest", node, &[]);
}

#[test]
fn the_real_model_server_answers_real_clients() {
    let (Some(model), Some(python)) = (Model::start(), peer("openai for Python", "clients/bin/python"))
    else {
        return;
    };
    let sandbox = Sandbox::new();
    let words = [python, script("openai_python.py")];
    let tool = model.known_to(sandbox.tool("qwen-proxy")).arg("--").args(words);
    let run = tool.run().exits(0);
    let came: Value = serde_json::from_str(&run.text()).unwrap();
    assert!(
        came["chat"].as_str().is_some_and(|text| !text.is_empty()),
        "{came}"
    );
    assert!(
        came["stream"].as_array().is_some_and(|words| !words.is_empty()),
        "{came}"
    );
    if let (Some(node), Some(client)) = (node(), peer("openai for Node", "clients-node")) {
        let words = [node, script("openai_node.mjs"), client];
        let tool = model.known_to(sandbox.tool("qwen-proxy")).arg("--").args(words);
        let came: Value = serde_json::from_str(&tool.run().exits(0).text()).unwrap();
        assert!(
            came["fetch"].as_str().is_some_and(|text| !text.is_empty()),
            "{came}"
        );
    }
}

/// How long the clients of a long job ask: two minutes with `QWEN_LONG`.
fn seconds() -> u64 {
    if std::env::var_os("QWEN_LONG").is_some() {
        120
    } else {
        25
    }
}

/// 32 threads that stream one answer after the other. Prints how many came, and every failure.
const MANY_CLIENTS: &str = r#"
import http.client, json, os, sys, threading, time, urllib.parse
url = urllib.parse.urlsplit(os.environ["OPENAI_BASE_URL"])
headers = {"authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "content-type": "application/json"}
body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]})
end, whole, failed = time.monotonic() + float(sys.argv[1]), [], []
def ask():
    connection = http.client.HTTPConnection(url.hostname, url.port)
    while time.monotonic() < end:
        try:
            connection.request("POST", url.path + "/chat/completions", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status == 200 and text.endswith(b"data: [DONE]\n\n"):
                whole.append(1)
            else:
                failed.append((answer.status, text[:300].decode()))
        except Exception as error:
            failed.append(repr(error))
            connection.close()
threads = [threading.Thread(target=ask) for _ in range(32)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps({"whole": len(whole), "failed": failed[:5], "failures": len(failed)}))
"#;

#[test]
fn a_long_job_of_32_clients_outlives_tokens_of_ten_seconds() {
    let python = peers::command("python3");
    let Some(identity) = Identity::start(&[("AT_TTL", "10"), ("DELAY", "200")]) else {
        return;
    };
    if !peers::present("python3", python.is_some()) {
        return;
    }
    let identity = std::sync::Arc::new(identity);
    let judge = std::sync::Arc::clone(&identity);
    let known: std::sync::Mutex<std::collections::BTreeMap<String, std::time::Instant>> = Default::default();
    // The server honours what the authority honours, asked once a second and token: it lives for ten.
    let server = Server::answering(move |_, request| {
        let token = request
            .header("authorization")
            .and_then(|key| key.strip_prefix("Bearer "));
        let token = token.unwrap_or_default().to_owned();
        let mut known = known.lock().unwrap();
        let is_recent = |at: &std::time::Instant| at.elapsed().as_secs() < 1;
        if !known.get(&token).is_some_and(is_recent) {
            if !judge.is_active(&token) {
                return Reply::json(
                    401,
                    r#"{"error": {"message": "the token has expired", "code": "invalid_api_key"}}"#,
                );
            }
            known.insert(token, std::time::Instant::now());
        }
        drop(known);
        let pause = std::time::Duration::from_millis(30);
        Reply::stream_head()
            .chunk("data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": \"a\"}}]}\n\n")
            .pause(pause)
            .chunk("data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\n")
            .chunk("data: [DONE]\n\n")
            .chunk("")
    });
    let sandbox = Sandbox::new();
    let token = identity.login();
    let before = identity.refreshes();
    let tokens = json!({"access_token": token["access_token"], "refresh_token": token["refresh_token"]});
    sandbox.config(
        &json!({"default_profile": "work", "profiles": {"work": {
            "provider": "custom", "method": "oauth", "base_url": server.url("/v1"), "model": "m",
            "key": {"store": "file"}, "oauth": identity.oauth()}}})
        .to_string(),
    );
    sandbox.write(OWN_FILE, with(login(-1, 9), tokens).to_string());
    let script = sandbox.write("many.py", MANY_CLIENTS);
    let tool = sandbox
        .tool("qwen-proxy")
        .arg("--")
        .arg(python.unwrap())
        .arg(script)
        .arg(seconds().to_string());
    let run = tool.run().exits(0);
    let came: Value = serde_json::from_str(&run.text()).unwrap();
    assert_eq!(
        (&came["failures"], &came["failed"]),
        (&json!(0), &json!([])),
        "{run:#?}"
    );
    assert!(came["whole"].as_u64().unwrap() > 32, "{came}");
    let (asked, granted) = identity.refreshes();
    let (asked, granted) = (asked - before.0, granted - before.1);
    assert_eq!(
        asked, granted,
        "one renewal at a time: a second one would spend a token that is spent"
    );
    assert!(
        granted >= seconds() / 10 && granted <= run.elapsed.as_secs() + 2,
        "{granted} renewals"
    );
}

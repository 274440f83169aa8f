//! The examples of the manual pages run, as they stand there.

use crate::support::page::Page;
use crate::support::{Reply, Request, Sandbox, Server, Tool};
use serde_json::{Value, json};

/// Programs that the examples name and that are not ours: each is stood for by a script that reads its input and says
/// something. The names with a slash are in the working directory.
const STRANGERS: [&str; 13] = [
    "col",
    "curl",
    "docker",
    "less",
    "make",
    "man",
    "node",
    "npm",
    "pass",
    "python",
    "ssh",
    "work/report",
    "work/long-job",
];

/// Examples that need what a test has not, by the page and their first line, with the reason. One that is gone from
/// its page must go here too.
const NOT_RUN: [(&str, &str, &str); 4] = [
    (
        "qwen.7",
        "qwen-login --oauth",
        "needs a browser; tests/demo logs in",
    ),
    ("qwen.7", "qwen-login --provider openrouter", "asks on a terminal"),
    (
        "qwen-env.1",
        "$ qwen-env --explain",
        "shows what it printed elsewhere",
    ),
    (
        "qwen-env.1",
        "eval \"$(qwen-env --hook bash)\"                # ~/.bashrc",
        "is in the words of five shells; the tests of qwen-env start each",
    ),
];

/// Examples that end otherwise than well where they are run here.
const EXITS: [(&str, &str, i32); 4] = [
    // The key of the project that the examples run in is for another endpoint.
    (
        "qwen-token.1",
        "qwen-token --for https://api.openai.com/v1/models --format curl | curl -K -",
        78,
    ),
    (
        "qwen-login.1",
        "pass show openrouter | qwen-login --with-key --provider openrouter --profile work",
        75,
    ),
    (
        "qwen-login.1",
        "qwen-login --api-key --provider ollama --model qwen3",
        75,
    ),
    ("qwen.7", "qwen-login --provider ollama --model llama3", 75),
];

/// A model server with a Batch API whose one batch is done.
fn server() -> Server {
    Server::answering(|_, request: &Request| Reply::json(200, &answer(request).to_string()))
}

fn answer(request: &Request) -> Value {
    let completion = |text: &str| {
        let message = json!({"role": "assistant", "content": text});
        let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
        json!({"id": "1", "model": "tiny", "choices": [choice], "usage": {"total_tokens": 2}})
    };
    let path = request.target.trim_start_matches("/v1");
    match (request.method.as_str(), path) {
        ("POST", "/files") => json!({"id": "file-1", "object": "file"}),
        ("GET", "/files/file-2/content") => {
            json!({"id": "r", "custom_id": "1", "response": {"status_code": 200, "body": completion("wren")}, "error": null})
        }
        ("POST", "/batches") => json!({"id": "batch_1", "object": "batch", "status": "validating"}),
        ("GET", "/batches/batch_1") => json!({
            "id": "batch_1", "object": "batch", "status": "completed", "output_file_id": "file-2",
            "request_counts": {"total": 1, "completed": 1, "failed": 0}
        }),
        ("GET", _) => json!({"data": [{"id": "tiny"}]}),
        _ if request.text().contains("json_schema") => completion(r#"{"name": "wren"}"#),
        _ if request.text().contains("POSIX script") => completion("```sh\nlogrotate\n```"),
        _ => completion("wren"),
    }
}

/// Files that examples read.
const FILES: [(&str, &str); 14] = [
    ("work/message", "\n"),
    ("work/.gitignore", ".env\n"),
    ("work/file", "one\n"),
    ("work/README.md", "# A project\n"),
    (
        "work/questions.jsonl",
        "{\"custom_id\": \"1\", \"prompt\": \"a small bird?\"}\n",
    ),
    ("work/products.jsonl", "{\"sku\": \"s1\", \"name\": \"kettle\"}\n"),
    (
        "work/results.jsonl",
        "{\"custom_id\": \"2\", \"response\": null, \"error\": {\"message\": \"no\"}}\n",
    ),
    ("work/titles.txt", "one\ntwo\n"),
    ("work/old.c", "int one;\n"),
    ("work/new.c", "int two;\n"),
    ("work/invoice.json", "{\"type\": \"object\"}\n"),
    ("work/mail.txt", "Dear Sir\n"),
    ("work/issues", "it hurts\n"),
    // A picture is known by its content.
    ("work/a.png", "GIF89a"),
];

/// A person's machine: profiles, a project under git with a change, files that the examples read.
fn machine(server: &Server) -> Sandbox {
    let sandbox = Sandbox::new();
    let profile = json!({"provider": "custom", "method": "api-key", "base_url": server.url("/v1"), "model": "tiny", "key": {"env": "A_KEY"}});
    let config =
        json!({"default_profile": "home", "profiles": {"home": profile, "work": profile, "ollama": profile}});
    sandbox.config(&config.to_string());
    for name in STRANGERS {
        let place = if name.contains('/') {
            name.to_owned()
        } else {
            format!("bin/{name}")
        };
        sandbox.program(place, "#!/bin/sh\n[ -t 0 ] || cat >/dev/null\necho sk-stranger\n");
    }
    for (name, content) in FILES {
        sandbox.write(name, content);
    }
    let url = server.url("/v1");
    sandbox.write(
        "work/.env",
        format!("OPENAI_API_KEY=sk-test\nOPENAI_BASE_URL={url}\nOPENAI_MODEL=tiny\n"),
    );
    let project = "git init -q . && git add file && git -c user.name=a -c user.email=a@b commit -qm one && echo two >>file && git add file";
    shell(&sandbox, project).run().exits(0);
    shell(&sandbox, "qwen-env --trust").run().exits(0);
    sandbox
}

fn shell(sandbox: &Sandbox, script: &str) -> Tool {
    let tools = crate::support::binary("qwen");
    let path = format!(
        "{}:{}:/usr/bin:/bin",
        sandbox.root().join("bin").display(),
        tools.parent().unwrap().display()
    );
    sandbox
        .command("/bin/bash")
        .args([
            "--noprofile",
            "--norc",
            "-e",
            "-o",
            "pipefail",
            "-c",
            script,
            "example",
            "message",
        ])
        .env("PATH", path)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@lab.test")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@lab.test")
        // Nothing of this may reach the servers that the examples name.
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("A_KEY", "sk-test")
        .env("SECRET", "sk-test")
}

/// A line of a crontab is the command after its five fields.
fn without_schedule(example: &str) -> String {
    let words: Vec<&str> = example.splitn(6, ' ').collect();
    match words.as_slice() {
        [fields @ .., command] if fields.len() == 5 && fields.contains(&"*") => (*command).to_owned(),
        _ => example.to_owned(),
    }
}

/// Runs one example; what went wrong, if anything.
fn fault(server: &Server, page: &str, example: &str) -> Option<String> {
    let first = example
        .lines()
        .find(|line| !line.starts_with("#!"))
        .unwrap_or_default();
    if NOT_RUN.iter().any(|(at, line, _)| *at == page && *line == first) {
        return None;
    }
    let sandbox = machine(server);
    if example.starts_with('{') {
        sandbox.config(example);
        let run = sandbox.tool("qwen-auth").arg("list").run();
        return (run.code() != 0).then(|| format!("{page}:\n{example}{run:#?}"));
    }
    let run = shell(&sandbox, &without_schedule(example)).run();
    let wanted = EXITS
        .iter()
        .find(|(at, line, _)| *at == page && *line == first)
        .map_or(0, |(.., code)| *code);
    (run.code() != wanted).then(|| {
        format!(
            "{page}:\n{example}exit {}: {}\n{}",
            run.code(),
            run.text(),
            run.stderr
        )
    })
}

#[test]
fn the_examples_of_every_page_run() {
    let server = server();
    let mut faults = Vec::new();
    for page in Page::all() {
        for example in page.examples() {
            faults.extend(fault(&server, &page.file, &example));
        }
    }
    assert!(
        faults.is_empty(),
        "{} faults\n\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// The request that the introduction's example with curl makes, by the key that it carries.
fn key_of_the_example(server: &Server, sandbox: &Sandbox) -> String {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen.7").unwrap();
    let examples = page.examples();
    let example = examples
        .iter()
        .find(|example| example.contains("curl -sS"))
        .unwrap();
    let before = server.count();
    let tools = crate::support::binary("qwen");
    let run = sandbox
        .command("/bin/sh")
        .args(["-e", "-c", example])
        .env(
            "PATH",
            format!("{}:/usr/bin:/bin", tools.parent().unwrap().display()),
        )
        .env("A_KEY", "sk-of-the-profile")
        .run()
        .exits(0);
    assert!(run.text().contains("tiny"), "{run:#?}");
    let requests = server.requests();
    let [request] = &requests[before..] else {
        panic!("{} requests", requests.len() - before)
    };
    assert_eq!(request.target, "/v1/models");
    request.header("authorization").unwrap_or_default().to_owned()
}

#[test]
fn the_example_with_curl_works_with_a_login_and_with_a_file_of_the_project() {
    let server = server();
    let url = server.url("/v1");
    let sandbox = Sandbox::new();
    let profile = json!({"provider": "custom", "method": "api-key", "base_url": url, "model": "tiny", "key": {"env": "A_KEY"}});
    sandbox.config(&json!({"profiles": {"home": profile}}).to_string());
    assert_eq!(key_of_the_example(&server, &sandbox), "Bearer sk-of-the-profile");
    sandbox.write(
        "work/.env",
        format!("OPENAI_API_KEY=sk-of-the-file\nOPENAI_BASE_URL={url}\nOPENAI_MODEL=tiny\n"),
    );
    assert_eq!(key_of_the_example(&server, &sandbox), "Bearer sk-of-the-file");
}

#[test]
fn what_is_not_run_is_there() {
    let places = NOT_RUN
        .iter()
        .map(|(page, line, _)| (page, line))
        .chain(EXITS.iter().map(|(page, line, _)| (page, line)));
    for (file, line) in places {
        let page = Page::all().into_iter().find(|page| page.file == *file).unwrap();
        let found = page
            .examples()
            .iter()
            .any(|example| example.lines().any(|other| other == *line));
        assert!(found, "{file} has no example '{line}'");
    }
}

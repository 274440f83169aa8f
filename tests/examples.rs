//! The examples of the manual pages run, as they stand there.

use crate::support::page::Page;
use crate::support::{Reply, Request, Sandbox, Server, Terminal, Tool, signal, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::os::unix::fs::symlink;

/// Programs that the examples name and that are not ours: each is stood for by a script that reads its input and says
/// something. The names with a slash are in the working directory.
const STRANGERS: [&str; 15] = [
    "aider",
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
    "sudo",
    "work/report",
    "work/long-job",
];

/// Examples that are not run as they stand, by the page and their first line, with the reason. One that is gone from
/// its page must go here too.
const NOT_RUN: [(&str, &str, &str); 6] = [
    (
        "qwen.7",
        "qwen-login --oauth",
        "needs a browser; tests/demo logs in",
    ),
    (
        "qwen.7",
        "qwen-login --provider openrouter",
        "asks on a terminal: a test below has one",
    ),
    (
        "qwen-env.1",
        "$ qwen-env --explain",
        "is a transcript: a test below plays it",
    ),
    (
        "qwen-env.1",
        "eval \"$(qwen-env --hook bash)\"                # ~/.bashrc",
        "is in the words of five shells; the tests of qwen-env start each",
    ),
    (
        "qwen-env.1",
        "alias cwdcmd 'eval `qwen-env`'                        # ~/.tcshrc",
        "is in the words of two shells; the tests of qwen-env's hook run each",
    ),
    (
        "qwen-proxy.1",
        "[Service]",
        "is a service manager's file: a test below starts it",
    ),
];

/// What stands in examples for what this machine has, and what it has.
const INSTEAD: [(&str, &str); 2] = [
    ("172.17.0.1:8099", "127.0.0.1:0"),
    ("--provider ollama", "--provider ollama --base-url \"$OLLAMA\""),
];

/// Examples that end otherwise than well where they are run here.
const EXITS: [(&str, &str, i32); 3] = [
    // Nobody is there to be asked.
    ("qwen-login.1", "qwen-login", 64),
    // The key of the project that the examples run in is for another endpoint.
    (
        "qwen-token.1",
        "qwen-token --for https://api.openai.com/v1/models --format curl | curl -K -",
        78,
    ),
    (
        "qwen-login.1",
        "pass show groq | qwen-login --with-key --provider groq --profile work",
        75,
    ),
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
    // Where cargo puts programs, and cron(8) does not look.
    let tools = crate::support::binary("qwen");
    sandbox.write("home/.cargo/env", "");
    symlink(tools.parent().unwrap(), sandbox.home().join(".cargo/bin")).unwrap();
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
    let mut script = without_schedule(example);
    for (name, here) in INSTEAD {
        script = script.replace(name, here);
    }
    let run = shell(&sandbox, &script).env("OLLAMA", server.url("/v1")).run();
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

/// The example of a page that begins with this line.
fn example(file: &str, first: &str) -> String {
    let page = Page::all().into_iter().find(|page| page.file == file).unwrap();
    let mut examples = page.examples().into_iter();
    examples
        .find(|example| example.lines().next() == Some(first))
        .unwrap()
}

#[test]
fn another_machine_gets_the_token_with_its_address() {
    let server = server().optional();
    let sandbox = machine(&server);
    let first = "qwen-token --format json | jq -r '.access_token, .base_url' | ssh host '";
    let script = example("qwen-token.1", first);
    sandbox.program(
        "bin/ssh",
        "#!/bin/sh\nshift\nexec env -i HOME=\"$HOME\" PATH=/usr/bin:/bin sh -c \"$*\"\n",
    );
    sandbox.program(
        "work/report",
        "#!/bin/sh\necho \"$OPENAI_API_KEY $OPENAI_BASE_URL\"\n",
    );
    let run = shell(&sandbox, &script).run();
    run.gives(0, format!("sk-test {}\n", server.url("/v1")), "");
}

#[test]
fn no_commit_is_made_with_half_a_message() {
    let server = Server::answering(|_, _| crate::support::recipe::broken("Half a"));
    let sandbox = machine(&server);
    let script = example("qwen-chat.1", "message=$(git diff --staged |");
    shell(&sandbox, &script).run().exits(76);
    let log = shell(&sandbox, "git log --format=%s").run();
    log.gives(0, "one\n", "");
}

#[test]
fn the_login_of_the_introduction_asks_for_the_key() {
    let sandbox = Sandbox::new();
    let script = example("qwen.7", "qwen-login --provider openrouter");
    let tool = shell(&sandbox, &script).env("TERM", "dumb");
    let mut terminal = Terminal::start(tool);
    terminal.shows("API key");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), 130);
}

#[test]
fn the_transcript_of_explain_is_what_it_prints() {
    let transcript = example("qwen-env.1", "$ qwen-env --explain");
    let sandbox = Sandbox::new();
    let work = sandbox.home().join("work");
    sandbox.write(
        "home/work/.env",
        "OPENAI_API_KEY=sk-example-9f\nDEBUG=1\nGREETING=hello\n",
    );
    sandbox.write("home/.qwen/.env", "OPENAI_MODEL=tiny\n");
    // The shell stays, and is whom it is for.
    let run = shell(&sandbox, "qwen-env --explain; :").current_dir(&work);
    let text = run.env("OPENAI_API_KEY", "sk-other").run().exits(0).text();
    let text = text.replace(sandbox.home().to_str().unwrap(), "/home/me");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // It prints the other directories on the way too.
    let mut lines = text.lines().map(words);
    for wanted in transcript.lines().skip(1) {
        assert!(
            lines.any(|line| line == words(wanted)),
            "no '{wanted}' in\n{text}"
        );
    }
}

#[test]
fn the_service_lends_to_who_can_read_its_file() {
    let unit = example("qwen-proxy.1", "[Service]");
    let server = server();
    let sandbox = machine(&server);
    let runtime = sandbox.root().join("run");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let start = start.replace("%t", runtime.to_str().unwrap());
    assert!(unit.contains("UMask=077\n"));
    let mut service = shell(&sandbox, &format!("umask 077; exec {start}")).start();
    let told = runtime.join("lend.json");
    let is_told = || std::fs::read_to_string(&told).is_ok_and(|text| text.ends_with("}\n"));
    wait_until("the variables", is_told);
    assert_eq!(sandbox.mode(&told), 0o600);
    let variables: Value = serde_json::from_str(&sandbox.read(&told)).unwrap();
    let ask = "curl -sS --unix-socket \"$QWEN_PROXY_SOCKET\" -H \"Authorization: Bearer $OPENAI_API_KEY\" http://here/v1/models";
    let mut client = sandbox.command("/bin/sh").args(["-c", ask]);
    for (name, value) in variables.as_object().unwrap() {
        client = client.env(name, value.as_str().unwrap_or_default());
    }
    assert!(client.run().exits(0).text().contains("tiny"));
    signal(&service, Signal::TERM);
    service.wait().unwrap();
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

//! The README is true: its commands run, its transcript is played, its tables say what the programs do.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Reply, Request, Sandbox, Server, Tool};
use qwen_shared::exit::Exit;

/// Where the README's server listens; a test's own listens elsewhere.
const PLACE: &str = "http://127.0.0.1:8080";

/// Commands that take minutes or would run this test again, each with the stage of .ci/run that runs it.
const ELSEWHERE: [(&str, &str); 3] = [
    ("tests/demo", "tests/demo --no-install"),
    ("tests/all", "tests/all --no-install --require-peers"),
    (
        "cargo install --path . --locked",
        "cargo install --path . --locked",
    ),
];

/// The directory in which the README's reader works.
const WORK: &str = "/home/me/work";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

/// The fenced blocks in that language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let blocks: Vec<String> = text
        .split(&format!("\n```{language}\n"))
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect();
    assert!(!blocks.is_empty(), "the README has no {language} block");
    blocks
}

/// A model server: it knows two answers, and two models.
fn server() -> Server {
    Server::answering(|_, request: &Request| {
        if request.method == "GET" {
            return Reply::json(200, r#"{"data": [{"id": "tiny"}]}"#);
        }
        let sent = request.json();
        let question = sent["messages"].to_string();
        let answer = if question.contains("sort") {
            r"a\nb\nc"
        } else {
            "A pipe joins two programs: what one writes, the other reads."
        };
        if sent["stream"] == true {
            let event = |delta: &str, reason: &str| {
                format!(
                    "data: {{\"choices\": [{{\"index\": 0, \"delta\": {delta}, \"finish_reason\": {reason}}}]}}\n\n"
                )
            };
            return Reply::stream([
                event(&format!("{{\"content\": \"{answer}\"}}"), "null"),
                event("{}", "\"stop\""),
                "data: [DONE]\n\n".to_owned(),
            ]);
        }
        Reply::json(
            200,
            &format!(
                r#"{{"choices": [{{"index": 0, "message": {{"role": "assistant", "content": "{answer}"}}, "finish_reason": "stop"}}]}}"#
            ),
        )
    })
}

/// A shell in a project, as a person would use it.
fn bash(sandbox: &Sandbox, script: &str) -> Tool {
    sandbox
        .command("/bin/bash")
        .args(["--noprofile", "--norc", "-c", script])
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
}

#[test]
fn the_transcript_is_what_happens() {
    let sandbox = Sandbox::new();
    let server = server();
    for block in blocks("console") {
        let mut script = String::from("exec 2>&1\nstatus() { return \"$last\"; }\nlast=0\n");
        let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
        assert!(commands.len() < 20);
        for command in &commands {
            let quoted = command.replace('\'', r"'\''").replace(PLACE, &server.url(""));
            script.push_str(&format!(
                "printf '%s\\n' '$ {quoted}'\nstatus\neval '{quoted}'\nlast=$?\n"
            ));
        }
        let run = bash(&sandbox, &script).run().exits(0);
        let work = sandbox.work().display().to_string();
        let text = run.text().replace(&server.url(""), PLACE).replace(&work, WORK);
        assert_eq!(text, block);
    }
}

#[test]
fn every_command_runs() {
    let sandbox = Sandbox::new();
    let server = server();
    let stages = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    sandbox.write(
        "work/.env",
        format!(
            "OPENAI_API_KEY=sk-test\nOPENAI_BASE_URL={}\nOPENAI_MODEL=tiny\n",
            server.url("/v1")
        ),
    );
    sandbox.write("work/Makefile", "test:\n\t@test \"$$OPENAI_MODEL\" = tiny\n");
    sandbox.write("work/in.jsonl", "{\"custom_id\": \"1\", \"prompt\": \"hi\"}\n");
    sandbox.write("work/file", "one\n");
    // The client of the example only has to find what it reads.
    let client = "#!/bin/sh\n[ \"$1 $OPENAI_API_KEY $OPENAI_MODEL\" = 'agent.py sk-test tiny' ]\n";
    sandbox.program("bin/python", client);
    let project = "git init -q . && git add file && echo two >>file";
    bash(&sandbox, project).run().exits(0);
    let bin = sandbox.root().join("bin");
    let mut script = format!("set -e -o pipefail\nPATH={}:$PATH\n", bin.display());
    for line in blocks("sh").iter().flat_map(|block| block.lines()) {
        let command = line.split("  #").next().unwrap().trim();
        if let Some((_, stage)) = ELSEWHERE.iter().find(|(known, _)| *known == command) {
            assert!(stages.contains(stage), ".ci/run does not run '{stage}'");
            continue;
        }
        // Root's would go to the machine's own directories.
        let install = format!("sh {}/completions/install --destdir \"$HOME\"", root().display());
        let command = command.replace("sh completions/install", &install);
        script.push_str(&format!("echo '{}' >&2\n{command}\n", command.replace('\'', "")));
    }
    let run = bash(&sandbox, &script).run().exits(0);
    assert!(run.text().contains("A pipe joins two programs"), "{run:#?}");
    assert!(sandbox.read("work/out.jsonl").contains("A pipe joins"));
    assert!(run.text().contains("installed below"), "{run:#?}");
    assert!(Command::new("git").arg("--version").status().unwrap().success());
}

#[test]
fn every_file_that_is_named_exists() {
    let text = readme();
    for word in text.split(['`', ' ', '\n', ':', ',', ';', '(', ')']) {
        let is_ours = ["bins/", "shared/", "tests/", "completions/", "man/", ".ci/"]
            .iter()
            .any(|start| word.starts_with(start));
        if is_ours && !word.contains("x.") && !word.contains("qwen-x") {
            assert!(
                Path::new(&root()).join(word.trim_end_matches('.')).exists(),
                "{word}"
            );
        }
    }
}

#[test]
fn the_exit_table_is_the_table() {
    let text = readme();
    let rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| exit |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let codes: Vec<u8> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split(','))
        .map(|code| code.trim().parse().unwrap())
        .collect();
    assert_eq!(codes, Exit::ALL.map(Exit::code));
}

#[test]
fn the_seven_programs_are_the_seven_programs() {
    let sandbox = Sandbox::new();
    let text = readme();
    let mut named: Vec<&str> = text
        .lines()
        .skip_while(|line| !line.starts_with("| program |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(named.pop(), Some("qwen"));
    let listed = sandbox.tool("qwen").arg("--list").run().exits(0).text();
    let listed: Vec<String> = listed
        .lines()
        .map(|line| format!("qwen-{}", line.split(' ').next().unwrap()))
        .collect();
    assert_eq!(named, listed);
    assert!(text.contains("Seven small programs") && named.len() == 6);
}

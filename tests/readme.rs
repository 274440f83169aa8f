//! The README is true: its starts are made in an empty home, its commands run, its tables say what the programs do.
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::tls::{Authority, Tunnel};
use crate::support::{Reply, Request, Sandbox, Server, Terminal, Tool, chat};
use qwen_shared::exit::Exit;

/// The days on which the certificates of these tests are valid.
const DAYS: (&str, &str) = ("20200101", "20991231");

/// Commands that take minutes or would run this test again, each with the stage of .ci/run that runs it.
const ELSEWHERE: [(&str, &str); 3] = [
    ("tests/demo", "tests/demo --no-install"),
    ("tests/all", "tests/all --no-install --require-peers"),
    // From the packed crates, which is the same command in them.
    (
        "cargo install --path . --locked",
        ".ci/crates --debug --install target/installed",
    ),
];

/// Questions at the terminal, each with what a person types.
type Answers = &'static [(&'static str, &'static str)];

/// The starts: the command that names the provider, where its requests go, and what a person answers.
const STARTS: [(&str, &str, Answers); 3] = [
    (
        "qwen-login --provider openrouter",
        "openrouter.ai",
        &[("API key", "sk-or-test\n"), ("qwen3-coder", "\n")],
    ),
    (
        "qwen-login --provider ollama",
        "",
        &[("API key", "\n"), ("qwen3-coder", "\n")],
    ),
    (
        "qwen-login --provider dashscope",
        "dashscope-intl.aliyuncs.com",
        &[
            ("Which region", "singa\n"),
            ("API key", "sk-test\n"),
            ("qwen3-coder", "\n"),
        ],
    ),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn readme() -> String {
    read("README.md")
}

/// The commands of the fenced blocks in a text, a list a block; without what stands behind them.
fn blocks(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("\n```sh\n").skip(1);
    let lines = |rest: &str| {
        let block = rest.split("```").next().unwrap();
        let commands = block.lines().map(|line| line.split("  #").next().unwrap().trim());
        commands.map(str::to_owned).collect()
    };
    blocks.map(lines).collect()
}

/// The part of the README below a heading.
fn section(heading: &str) -> String {
    let text = readme();
    let (_, after) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    after.split("\n## ").next().unwrap().to_owned()
}

/// The cells of the table that begins with this head, row by row.
fn table(head: &str) -> Vec<Vec<String>> {
    let text = readme();
    let cells = |row: &str| {
        let row = row.replace("\\|", "\0");
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('\0', "|")).collect()
    };
    let mut lines = text.lines().skip_while(|line| !line.starts_with(head));
    assert!(lines.next().is_some(), "there is no table {head}");
    lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(cells)
        .collect()
}

/// A model server of two models.
fn server() -> Server {
    Server::answering(|_, request: &Request| {
        if request.method == "GET" {
            return Reply::json(200, r#"{"data": [{"id": "qwen3-coder"}, {"id": "tiny"}]}"#);
        }
        let sent = request.json();
        let answer = "A pipe joins two programs: what one writes, the other reads.";
        if sent["stream"] == true {
            return chat::answer(&[answer]);
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

/// A person's first terminal: an empty home, a project with a change, and nothing of ours in the environment.
fn newcomer(sandbox: &Sandbox, command: &str) -> Tool {
    let tool = bash(sandbox, command).env("TERM", "xterm-256color");
    let cleared = [
        "XDG_CONFIG_HOME",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
        "XDG_RUNTIME_DIR",
    ];
    let tool = cleared.into_iter().fold(tool, Tool::env_remove);
    let path = format!("{}:/usr/bin:/bin", sandbox.root().join("bin").display());
    let programs = crate::support::binary("qwen");
    let programs = programs.parent().unwrap().display().to_string();
    tool.env("HOME", sandbox.root().join("new"))
        .env("PATH", format!("{programs}:{path}"))
}

#[test]
fn each_start_is_made_in_an_empty_home() {
    let Some(authority) = Authority::new() else { return };
    let blocks = blocks(&section("Start"));
    assert_eq!(blocks.len(), STARTS.len());
    for (commands, (login, host, answers)) in blocks.iter().zip(STARTS) {
        assert!(
            commands.len() <= 3 && commands.iter().any(|command| command == login),
            "{commands:?}"
        );
        let (sandbox, server) = (Sandbox::new(), server());
        std::fs::create_dir(sandbox.root().join("new")).unwrap();
        sandbox.program("bin/ollama", "#!/bin/sh\n[ \"$*\" = 'pull qwen3:4b' ]\n");
        bash(
            &sandbox,
            "git init -q . && echo one >a && git add a && echo two >>a",
        )
        .run()
        .exits(0);
        // A provider's host is reached through a tunnel; one on this machine listens elsewhere.
        let tunnel = (!host.is_empty()).then(|| Tunnel::to(authority.guard(&server, host, DAYS).port()));
        for command in commands {
            let mut typed = command.clone();
            if command == login && tunnel.is_none() {
                typed = format!("{command} --base-url {}", server.url("/v1"));
            }
            let mut tool = newcomer(&sandbox, &typed);
            if let Some(tunnel) = &tunnel {
                tool = tool
                    .env("HTTPS_PROXY", tunnel.url())
                    .env("SSL_CERT_FILE", authority.certificate());
            }
            let mut terminal = Terminal::start(tool);
            if command == login {
                terminal.answers(answers);
            }
            if command == "qwen" {
                terminal.answers(&[("/help", "what is a pipe?\r"), ("A pipe joins", "/quit\r")]);
            }
            let shown = terminal.shown_at_end();
            let is_question = command.contains("qwen-chat") || command == "qwen";
            assert!(
                !is_question || shown.contains("A pipe joins two programs"),
                "{command}: {shown}"
            );
        }
        if let Some(tunnel) = tunnel {
            assert!(tunnel.asked().iter().all(|asked| asked.contains(host)));
        }
    }
}

/// The commands of the README but those of its starts.
fn commands() -> Vec<String> {
    let starts = blocks(&section("Start")).concat();
    let examples = table("| program |")
        .into_iter()
        .map(|row| row[2].trim_matches('`').to_owned());
    let all = blocks(&readme()).concat().into_iter().chain(examples);
    all.filter(|command| !starts.contains(command)).collect()
}

/// What the commands of the README need around them: a project, what Qwen Code has, and the programs that they start.
fn around(sandbox: &Sandbox, server: &Server) {
    let url = server.url("/v1");
    sandbox.write(
        "home/.qwen/settings.json",
        format!(
            r#"{{"security": {{"auth": {{"selectedType": "openai", "apiKey": "sk-test", "baseUrl": "{url}"}}}},
                "model": {{"name": "tiny"}}}}"#
        ),
    );
    sandbox.write("work/.env", "OPENAI_MODEL=qwen3-coder\n");
    sandbox.write("work/in.jsonl", "{\"custom_id\": \"1\", \"prompt\": \"hi\"}\n");
    // A client that has the key, and an agent that has a token for the proxy and the key nowhere.
    let client = "#!/bin/sh\n[ \"$1 $OPENAI_API_KEY $OPENAI_MODEL\" = 'agent.py sk-test qwen3-coder' ]\n";
    sandbox.program("bin/python", client);
    let agent = "#!/bin/sh\ncase $OPENAI_API_BASE in http://127.0.0.1:*/v1) ;; *) exit 1 ;; esac\n\
                 case $OPENAI_API_KEY in sk-test) exit 1 ;; sk-????*) ;; *) exit 1 ;; esac\n";
    sandbox.program("bin/agent", agent);
    sandbox.write("work/Makefile", "test:\n\t@agent\n");
    let project = "git init -q . && git add Makefile && git -c user.name=a -c user.email=b commit -qm one";
    bash(sandbox, project).run().exits(0);
}

#[test]
fn every_command_runs() {
    let (sandbox, server) = (Sandbox::new(), server());
    around(&sandbox, &server);
    let stages = read(".ci/run");
    let bin = sandbox.root().join("bin");
    let mut script = format!("set -e -o pipefail\nPATH={}:$PATH\n", bin.display());
    for command in commands() {
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
    for page in ["README.md", ".github/CHANGELOG.md", ".github/SECURITY.md"] {
        let text = read(page);
        let directory = Path::new(page).parent().unwrap();
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            match link.strip_prefix('#') {
                Some(heading) => assert!(
                    text.to_lowercase()
                        .contains(&format!("\n## {}", heading.replace('-', " ")))
                ),
                None if link.starts_with("https://") => {}
                None => assert!(root().join(directory).join(link).exists(), "{page}: {link}"),
            }
        }
        for word in text.split(['`', ' ', '\n', ':', ',', ';', '(', ')']) {
            let is_ours = ["bins/", "shared/", "tests/", "completions/", "man/", ".ci/"]
                .iter()
                .any(|start| word.starts_with(start));
            if is_ours && !word.contains("x.") && !word.contains("qwen-x") {
                assert!(root().join(word.trim_end_matches('.')).exists(), "{page}: {word}");
            }
        }
    }
}

#[test]
fn the_exit_table_is_the_table() {
    let rows = table("| exit |");
    let codes = rows.iter().flat_map(|row| row[0].split(','));
    let codes: Vec<u8> = codes.map(|code| code.trim().parse().unwrap()).collect();
    assert_eq!(codes, Exit::ALL.map(Exit::code));
}

#[test]
fn the_programs_of_the_table_are_the_programs() {
    let sandbox = Sandbox::new();
    let rows = table("| program |");
    let mut named: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(named.pop(), Some("qwen"));
    let listed = sandbox.tool("qwen").arg("--list").run().exits(0).text();
    let listed: Vec<String> = listed
        .lines()
        .map(|line| format!("qwen-{}", line.split(' ').next().unwrap()))
        .collect();
    assert_eq!(named, listed);
    assert!(readme().contains("Eight small programs") && named.len() == 7);
}

#[test]
fn what_the_readme_counts_is_there() {
    let cases = std::fs::read_dir(root().join("tests/data/wire")).unwrap().count();
    assert!(
        readme().contains("more than 400 answers") && cases > 400,
        "{cases}"
    );
}

#[test]
fn the_changelog_begins_with_this_version() {
    let text = read(".github/CHANGELOG.md");
    let newest = text.lines().find_map(|line| line.strip_prefix("## ")).unwrap();
    assert_eq!(newest.split(' ').next(), Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn both_licences_are_in_what_cargo_packs() {
    for package in ["qwen-toolkit", "qwen-shared"] {
        let list = Command::new(env!("CARGO"))
            .args([
                "package",
                "--list",
                "--offline",
                "--allow-dirty",
                "--package",
                package,
            ])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        let list = String::from_utf8(list.stdout).unwrap();
        for name in ["LICENSE-MIT", "LICENSE-APACHE", "README.md"] {
            let is_there = list.lines().any(|file| file.ends_with(name));
            assert!(
                is_there || name == "README.md" && package == "qwen-shared",
                "{package}: {name}"
            );
        }
    }
    for (name, words) in [
        ("MIT", "Permission is hereby granted"),
        ("APACHE", "Version 2.0, January 2004"),
    ] {
        assert!(read(&format!(".licenses/LICENSE-{name}")).contains(words));
        assert!(read(&format!("shared/LICENSE-{name}")).contains(words));
    }
}

//! qwen-faq(7): every command of it runs in the situation that its question is about, and shows what the answer says.

use std::collections::BTreeSet;

use crate::recipes_ci::docker;
use crate::support::page::Page;
use crate::support::recipe::{KEY, answering, asked, copied, refusal, shell};
use crate::support::{Run, Sandbox, Server, Tool};
use serde_json::json;

/// The questions with a test below, which names each.
const ANSWERED: [&str; 14] = [
    "My .env is not used",
    "Consent",
    "Another key is used than I think",
    "Several accounts",
    "What is stored where",
    "A server in my own network",
    "Our proxy is in the way",
    "The model is not found",
    "A program waits",
    "My loop ends after one line",
    "Exit code 0, though the pipeline failed",
    "In CI",
    "In a container",
    "Another program is called qwen",
];

#[test]
fn every_answer_begins_with_a_command() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-faq.7").unwrap();
    let headings = page.headings();
    let questions = headings
        .iter()
        .flat_map(|(_, questions)| questions.iter().copied());
    assert_eq!(questions.collect::<BTreeSet<_>>(), ANSWERED.into());
    for line in page.text.split("\n.Ss ").skip(1) {
        assert_eq!(line.lines().nth(1), Some(".Bd -literal -offset indent"), "{line}");
    }
    let code = crate::support::tree::read("tests/faq.rs");
    for question in ANSWERED {
        assert!(code.matches(&format!("\"{question}\"")).count() > 1, "{question}");
    }
}

/// The number-th command under that question.
#[track_caller]
fn command(question: &str, number: usize) -> String {
    copied("qwen-faq.7", question)[number].clone()
}

/// A shell with no setting at all but what the sandbox's files have.
fn bare(sandbox: &Sandbox, script: &str) -> Tool {
    let tool = shell(sandbox, "", "/bin/sh", script);
    ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"]
        .into_iter()
        .fold(tool, |tool, name| tool.env_remove(name))
}

/// A home with these profiles, which need no key; the first is the default.
fn with_profiles(names: &[&str], url: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let profiles: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"base_url": url, "model": name})))
        .collect();
    sandbox.config(&json!({"default_profile": names[0], "profiles": profiles}).to_string());
    sandbox
}

#[test]
fn an_env_file_that_is_not_used_is_explained() {
    const QUESTION: &str = "My .env is not used";
    let sandbox = Sandbox::new();
    sandbox.write("home/.qwen/.env", "OPENAI_MODEL=of-home\n");
    sandbox.write("work/.env", "GREETING=hi#there\nOPENAI_API_KEY=sk-1\n");
    let explained = |script: &str| {
        bare(&sandbox, script)
            .env("OPENAI_API_KEY", KEY)
            .run()
            .exits(0)
            .text()
    };
    let text = explained(&command(QUESTION, 0));
    for part in [
        "not read: an earlier file ends the search",
        "kept: the environment has it",
        "waiting: for your consent",
    ] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let merged = format!("{}\nqwen-env --explain", command(QUESTION, 1));
    assert!(explained(&merged).contains("home/.qwen/.env:1"));
    let run = bare(&sandbox, &command(QUESTION, 2)).run().exits(65);
    assert!((run.text() + &run.stderr).contains("#"), "{run:#?}");
}

#[test]
fn consent_is_given_by_a_command_and_not_needed_in_ci() {
    const QUESTION: &str = "Consent";
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "GREETING=hi\nLD_PRELOAD=/x.so\n");
    sandbox.write("work/Makefile", "test: ; @echo \"[$$GREETING$$LD_PRELOAD]\"\n");
    let run = bare(&sandbox, &command(QUESTION, 1)).run().exits(0);
    assert_eq!(run.text(), "[hi]\n");
    let run = bare(
        &sandbox,
        &format!("qwen-env -- printenv GREETING; {}", command(QUESTION, 0)),
    )
    .run()
    .exits(0);
    assert_eq!(run.text(), "");
    assert!(
        run.stderr.contains("GREETING") && run.stderr.contains("trusted with its present content"),
        "{run:#?}"
    );
    bare(&sandbox, "qwen-env -- printenv GREETING").run().exits(0);
}

#[test]
fn the_key_that_is_used_is_named_with_its_source() {
    const QUESTION: &str = "Another key is used than I think";
    let sandbox = with_profiles(&["work"], "http://127.0.0.1:1/v1");
    let in_shell = |script: &str| shell(&sandbox, "http://127.0.0.1:1/v1", "/bin/sh", script).run();
    let text = in_shell(&command(QUESTION, 0)).exits(0).text();
    assert!(
        text.contains("(environment OPENAI_API_KEY)") && !text.contains(KEY),
        "{text}"
    );
    let run = in_shell(&command(QUESTION, 1)).exits(0);
    assert!(
        run.text().starts_with("3\n") && run.text().contains("(profile 'work')"),
        "{run:#?}"
    );
    // Both words that the answer names, each where a key would go astray.
    let run = shell(
        &sandbox,
        "http://192.168.1.50:11434/v1",
        "/bin/sh",
        "qwen-chat hi",
    )
    .run();
    assert!(run.exits(78).stderr.contains("would show"));
    sandbox.write("work/.env", "OPENAI_BASE_URL=https://other.example/v1\n");
    let run = bare(&sandbox, "qwen-chat hi").env("OPENAI_API_KEY", KEY).run();
    assert!(run.exits(78).stderr.contains("is not sent"));
}

#[test]
fn an_account_is_chosen_for_good_for_a_shell_or_for_one_call() {
    const QUESTION: &str = "Several accounts";
    let server = answering("A pipe joins two programs.");
    let sandbox = with_profiles(&["home", "work"], &server.url("/v1"));
    let text = bare(&sandbox, &command(QUESTION, 0)).run().exits(0).text();
    assert!(text.contains("* home") && text.contains("work"), "{text}");
    let lines = command(QUESTION, 1);
    let lines: Vec<&str> = lines.lines().collect();
    let model = |script: &str| {
        bare(&sandbox, &format!("{script}\nqwen-chat --no-stdin hi"))
            .run()
            .exits(0);
        let requests = server.requests();
        requests.last().unwrap().json()["model"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(model(""), "home");
    assert_eq!(model(lines[1]), "work");
    assert_eq!(model(""), "home");
    bare(&sandbox, lines[2]).run().exits(0);
    assert_eq!(server.requests().last().unwrap().json()["model"], "work");
    assert_eq!(model(lines[0]), "work");
    assert_eq!(model(""), "work");
}

#[test]
fn what_is_stored_is_where_the_page_says() {
    let server = answering("hi");
    let sandbox = Sandbox::new();
    let url = server.url("/v1");
    let login = format!(
        "echo sk-stored | qwen-login --with-key --store file --provider custom --base-url {url} --model tiny"
    );
    bare(&sandbox, &login).run().exits(0);
    sandbox.write("work/.env", "A=1\n");
    bare(&sandbox, "qwen-env --trust; qwen-chat --session trip hi")
        .run()
        .exits(0);
    let run = bare(&sandbox, &command("What is stored where", 0)).run().exits(0);
    let text = run.text();
    for part in [
        "store       file",
        "config.json",
        "credentials",
        "trust.json",
        "sessions",
    ] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let with_key: Vec<_> = sandbox.files_with(&["sk-stored"]);
    assert_eq!(
        with_key,
        [sandbox.home().join(".config/qwen/credentials/default.json")]
    );
    assert_eq!(sandbox.mode("home/.config/qwen/credentials/default.json"), 0o600);
    bare(&sandbox, "qwen-auth logout --all").run().exits(0);
    assert!(sandbox.files_with(&["sk-stored"]).is_empty());
}

#[test]
fn a_server_of_ones_own_network_needs_a_word_only_where_a_key_would_be_shown() {
    const QUESTION: &str = "A server in my own network";
    const LAN: &str = "http://192.168.1.50:11434";
    let server = answering("hi");
    let sandbox = Sandbox::new();
    let here = |script: &str| script.replace(LAN, &server.url(""));
    for number in [0, 1] {
        assert!(command(QUESTION, number).contains(LAN));
    }
    let text = bare(&sandbox, &here(&command(QUESTION, 0))).run().exits(0).text();
    assert!(text.contains("tiny"), "{text}");
    let login = here(&command(QUESTION, 1));
    bare(&sandbox, &format!("{} --model tiny", login.trim_end()))
        .run()
        .exits(0);
    // A machine of the network, as far as the rules see it: no packet leaves.
    let ask = "qwen-chat --no-stdin --retries 0 --connect-timeout 0.01 hi";
    let run = shell(&sandbox, &format!("{LAN}/v1"), "/bin/sh", ask)
        .run()
        .exits(78);
    assert!(run.stderr.contains("plain http"), "{run:#?}");
}

#[test]
fn a_proxy_in_the_way_is_named() {
    const QUESTION: &str = "Our proxy is in the way";
    let sandbox = Sandbox::new();
    let listed = bare(&sandbox, &command(QUESTION, 0))
        .env("https_proxy", "http://p:1")
        .run();
    assert_eq!(listed.exits(0).text(), "https_proxy=http://p:1\n");
    let run = bare(&sandbox, &command(QUESTION, 1))
        .env("OPENAI_API_KEY", KEY)
        .run()
        .exits(75);
    assert!(
        run.stderr.contains("through the proxy of HTTPS_PROXY"),
        "{run:#?}"
    );
}

#[test]
fn the_models_of_an_endpoint_are_listed() {
    let (sandbox, server) = (Sandbox::new(), answering(""));
    let run = shell(
        &sandbox,
        &server.url("/v1"),
        "/bin/sh",
        &command("The model is not found", 0),
    )
    .run();
    run.gives(0, "large\ntiny\n", "");
}

#[test]
fn what_is_waited_for_is_said() {
    const QUESTION: &str = "A program waits";
    let (sandbox, server) = (Sandbox::new(), answering("A pipe."));
    let ask = |script: String| shell(&sandbox, &server.url("/v1"), "/bin/bash", &script).run();
    // Standard input stays open until the notice has been written, or the answer has come.
    let waiting = |number: usize| {
        let held = "mkfifo hold; exec 3<>hold; ";
        let script = command(QUESTION, number);
        format!(
            "{held}{{ {}\n}} <hold 3>&- 2> >(tee said >&2 | sed -n '/--no-stdin/q'; exec 3>&-)",
            script.trim_end()
        )
    };
    let run = ask(waiting(1)).exits(0);
    assert_eq!(run.text(), "A pipe.\n", "{run:#?}");
    let run = shell(&sandbox, &server.url("/v1"), "/bin/sh", &command(QUESTION, 0))
        .run()
        .exits(0);
    assert!(
        run.stderr.contains("endpoint") || run.stderr.contains("base_url"),
        "{run:#?}"
    );
}

#[test]
fn a_loop_without_a_word_asks_once_and_with_it_asks_for_each_line() {
    const QUESTION: &str = "My loop ends after one line";
    for (number, wanted) in [(0, vec!["spell a\n\nb\n"]), (1, vec!["spell a", "spell b"])] {
        let (sandbox, server) = (Sandbox::new(), answering("x"));
        shell(
            &sandbox,
            &server.url("/v1"),
            "/bin/sh",
            &command(QUESTION, number),
        )
        .run()
        .exits(0);
        let asked: Vec<String> = asked(&server)
            .iter()
            .map(|text| text.trim_end().to_owned())
            .collect();
        let wanted: Vec<&str> = wanted.iter().map(|text| text.trim_end()).collect();
        assert_eq!(asked, wanted);
    }
}

#[test]
fn a_pipeline_has_the_code_of_its_last_program_unless_it_is_told_otherwise() {
    let script = command("Exit code 0, though the pipeline failed", 0);
    let run = |script: &str| {
        let (sandbox, server) = (Sandbox::new(), Server::script([refusal()]));
        shell(&sandbox, &server.url("/v1"), "/bin/sh", script)
            .run()
            .code()
    };
    assert_eq!(run(&script), 77);
    assert_eq!(run(&script.replace("set -o pipefail; ", "")), 0);
}

#[test]
fn ci_is_told_whether_there_is_a_credential() {
    let script = command("In CI", 0);
    let sandbox = Sandbox::new();
    assert_eq!(
        bare(&sandbox, &script).env("CI", "true").run().exits(0).text(),
        "exit 1\n"
    );
    let run = bare(&sandbox, &script).env("OPENAI_API_KEY", KEY).run().exits(0);
    assert_eq!(run.text(), "");
    // A secret that a fork does not get is a blank.
    let run = bare(&sandbox, &script).env("OPENAI_API_KEY", "").run().exits(0);
    assert_eq!(run.text(), "exit 1\n");
}

#[test]
fn a_container_has_what_it_is_handed() {
    const QUESTION: &str = "In a container";
    let server = answering("A pipe.");
    let sandbox = Sandbox::new();
    docker(&sandbox);
    let url = server.url("/v1");
    let text = shell(&sandbox, &url, "/bin/sh", &command(QUESTION, 0))
        .run()
        .exits(0)
        .text();
    assert!(
        text.contains(&url) && text.contains("(environment OPENAI_API_KEY)"),
        "{text}"
    );
    sandbox.write(
        "work/.env",
        format!("OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={url}\nOPENAI_MODEL=tiny\n"),
    );
    let run: Run = bare(&sandbox, &command(QUESTION, 1)).run().exits(0);
    assert_eq!(run.text(), "A pipe.\n", "{run:#?}");
    let bearer = format!("Bearer {KEY}");
    assert_eq!(server.requests()[0].header("authorization"), Some(&*bearer));
}

#[test]
fn the_qwen_that_runs_is_named() {
    let sandbox = Sandbox::new();
    let directory = crate::support::recipe::tools();
    let run = bare(&sandbox, &command("Another program is called qwen", 0)).run();
    assert_eq!(run.exits(0).text(), format!("{directory}/qwen\n{directory}\n"));
}

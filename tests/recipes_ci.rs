//! The recipes of qwen-recipes(7) for CI, containers and agents: the files are read by readers of their formats, and what
//! they have run is run as there.

use std::collections::BTreeMap;

use crate::support::peers::{self, command, present};
use crate::support::recipe::{KEY, answering, asked, broken, recipe, refusal, reply, shell};
use crate::support::{Run, Sandbox, Server};
use serde_json::{Value, json};

/// A file as a reader of YAML has it; nothing, said loudly, where that is not here.
fn yaml(text: &str) -> Option<Value> {
    let sandbox = Sandbox::new();
    let python = "import json, sys, yaml; print(json.dumps({str(k): v for k, v in yaml.safe_load(sys.stdin).items()}))";
    let run = sandbox
        .command("/usr/bin/python3")
        .args(["-c", python])
        .stdin(text)
        .run();
    if !present("python3-yaml", run.code() == 0) {
        return None;
    }
    Some(serde_json::from_slice(&run.stdout).unwrap())
}

/// What GitHub puts in place of the expressions of a step's environment.
fn expressions(title: &str, url: &str) -> BTreeMap<String, String> {
    let values = [
        ("secrets.OPENAI_API_KEY", KEY),
        ("vars.OPENAI_BASE_URL", url),
        ("vars.OPENAI_MODEL", "tiny"),
        ("github.token", "ghs_token"),
        ("github.event.issue.number", "12"),
        ("github.event.issue.title", title),
        ("github.event.issue.body", "It's \"broken\".\n`touch planted`"),
    ];
    values
        .map(|(name, value)| (format!("${{{{ {name} }}}}"), value.to_owned()))
        .into()
}

/// Runs the workflow's steps as GitHub's runner does: a file each, by the shell that the workflow names.
fn workflow(sandbox: &Sandbox, server: &Server, title: &str) -> Option<Run> {
    let workflow = yaml(&recipe("GitHub Actions", 0))?;
    assert_eq!(workflow["defaults"]["run"]["shell"], "bash");
    assert_eq!(workflow["permissions"], json!({"issues": "write"}));
    let job = &workflow["jobs"]["label"];
    assert!(
        job["timeout-minutes"]
            .as_u64()
            .is_some_and(|minutes| minutes < 60)
    );
    let known = expressions(title, &server.url("/v1"));
    sandbox.program("bin/gh", "#!/bin/sh\nprintf '<%s>' \"$@\" >>~/gh\n");
    let mut last = None;
    for step in job["steps"].as_array().unwrap() {
        let run = step["run"].as_str().unwrap();
        assert!(!run.contains("${{"), "{run}");
        sandbox.write("step.sh", run);
        let bash = format!(
            "exec bash --noprofile --norc -eo pipefail '{}'",
            sandbox.root().join("step.sh").display()
        );
        let mut tool = shell(sandbox, "", "/bin/sh", &bash).env("CI", "true");
        for name in ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"] {
            tool = tool.env_remove(name);
        }
        for (name, value) in step["env"].as_object().unwrap() {
            tool = tool.env(name, &known[value.as_str().unwrap()]);
        }
        last = Some(tool.env("GITHUB_REPOSITORY", "me/birds").run());
    }
    last
}

#[test]
fn an_issue_gets_a_label_of_the_list_whatever_it_says() {
    let title = "\"; touch planted; $(touch planted) ${{ secrets.X }} 'x";
    let (sandbox, server) = (Sandbox::new(), answering(r#"{"label": "bug"}"#));
    let Some(run) = workflow(&sandbox, &server, title) else {
        return;
    };
    let run = run.exits(0);
    assert_eq!(
        sandbox.read("home/gh"),
        "<issue><edit><12><--repo><me/birds><--add-label><bug>",
        "{run:#?}"
    );
    assert!(asked(&server)[0].contains(title), "{:?}", asked(&server));
    assert!(!sandbox.work().join("planted").exists());
    assert!(server.requests()[0].text().contains("json_schema"));
}

#[test]
fn an_issue_without_an_answer_gets_no_label() {
    let others = [
        (answering(r#"{"label": "owner: me"}"#), 65),
        (answering(r#"{"label": "bug", "run": "x"}"#), 65),
        (Server::script([refusal()]), 77),
        (Server::script([broken(r#"{"label": "bug"}"#)]), 76),
    ];
    for (server, code) in others {
        let sandbox = Sandbox::new();
        let Some(run) = workflow(&sandbox, &server, "a bug") else {
            return;
        };
        let run = run.exits(code);
        assert!(!sandbox.home().join("gh").exists(), "{run:#?}");
    }
}

#[test]
fn gitlab_gets_the_notes_of_a_release_and_the_exit_code_that_it_tries_again() {
    let Some(pipeline) = yaml(&recipe("GitLab CI", 0)) else {
        return;
    };
    let job = &pipeline["notes"];
    let lines: Vec<&str> = job["script"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(lines.iter().all(|line| !line.contains('|')), "{lines:?}");
    assert_eq!(job["retry"], json!({"max": 2, "exit_codes": [75]}));
    assert_eq!(job["image"]["entrypoint"], json!([""]));
    let commits =
        "set -e; git init -q .; for n in one two; do git commit -q --allow-empty -m $n; git tag v-$n; done\n";
    // The runner joins the lines to a script that ends at the first fault.
    let script = format!("{commits}{}", lines.join("\n"));
    let notes = job["artifacts"]["paths"][0].as_str().unwrap();
    let (sandbox, server) = (Sandbox::new(), answering("Two."));
    shell(&sandbox, &server.url("/v1"), "/bin/sh", &script)
        .env("CI", "true")
        .run()
        .exits(0);
    assert_eq!(sandbox.read(format!("work/{notes}")), "Two.\n");
    assert!(asked(&server)[0].contains("- two") && !asked(&server)[0].contains("- one"));
    let busy = crate::support::Reply::with_headers(503, &[("retry-after", "0")], "{}");
    for (reply, code) in [(busy, 75), (refusal(), 77)] {
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        shell(&sandbox, &server.url("/v1"), "/bin/sh", &script)
            .env("CI", "true")
            .run()
            .exits(code);
    }
}

/// The instructions of a Dockerfile, with what follows each.
fn instructions(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    let split = |line: &str| {
        let (word, rest) = line.split_once(' ').unwrap();
        (word.to_owned(), rest.to_owned())
    };
    lines.map(split).collect()
}

/// A docker that runs an image of these instructions: nobody's environment but what is named, and no home directory.
pub fn docker(sandbox: &Sandbox) {
    let file = instructions(&recipe("Dockerfile", 0));
    let of = |word: &str| {
        file.iter()
            .find(|(name, _)| name == word)
            .map(|(_, rest)| rest.clone())
            .unwrap()
    };
    let known = ["FROM", "COPY", "RUN", "USER", "ENTRYPOINT"];
    assert!(file.iter().all(|(word, _)| known.contains(&&**word)), "{file:?}");
    assert_eq!(of("USER"), "nobody");
    let run = sandbox.command("/bin/sh").args(["-n", "-c", &of("RUN")]);
    run.run().exits(0);
    assert!(
        of("RUN").contains(of("COPY").split(' ').nth(1).unwrap()) && of("RUN").contains("ca-certificates")
    );
    let entrypoint: Vec<String> = serde_json::from_str(&of("ENTRYPOINT")).unwrap();
    let [program] = entrypoint.as_slice() else {
        panic!("{entrypoint:?}")
    };
    let script = format!(
        r#"#!/bin/bash
[ "$1" = run ] || exit 125
shift
variables=(HOME=/nonexistent PATH="$PATH") input=no program={program}
while [ "$1" != qwen ]; do
    case $1 in
    --rm) ;;
    -i) input=yes ;;
    -e) [ -z "${{!2-}}" ] || variables+=("$2=${{!2}}"); shift ;;
    --env-file) while IFS= read -r line; do variables+=("$line"); done <"$2"; shift ;;
    --entrypoint) program=$2; shift ;;
    *) echo "unknown flag: $1" >&2; exit 125 ;;
    esac
    shift
done
shift
cd /
if [ $input = no ]; then exec </dev/null; fi
exec env -i "${{variables[@]}}" "$program" "$@"
"#
    );
    sandbox.program("bin/docker", script);
}

#[test]
fn a_container_answers_by_what_it_is_handed_alone() {
    let (sandbox, server) = (Sandbox::new(), answering("Short."));
    docker(&sandbox);
    sandbox.write("work/report.txt", "a long report\n");
    let run = shell(&sandbox, &server.url("/v1"), "/bin/sh", &recipe("Dockerfile", 1)).run();
    run.gives(0, "Short.\n", "");
    assert!(asked(&server)[0].contains("a long report"));
    if let Some(docker) =
        command("docker").filter(|_| present("docker's client", command("docker").is_some()))
    {
        // What the real client thinks of the options: it gets as far as looking for its daemon.
        let real = recipe("Dockerfile", 1).replacen("docker", &docker.display().to_string(), 1);
        let run = shell(&sandbox, "", "/bin/sh", &real)
            .env("DOCKER_HOST", "tcp://127.0.0.1:1")
            .run();
        assert!(run.code() != 0 && !run.stderr.contains("flag"), "{run:#?}");
    }
}

#[test]
fn an_agent_has_a_token_a_budget_and_one_model_and_its_use_is_counted() {
    let python = peers::directory().join("clients/bin/python");
    if !present("clients", python.exists()) {
        return;
    }
    let (sandbox, server) = (Sandbox::new(), answering("done"));
    let ask = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/clients/ask.py");
    // An agent with a real client, which asks for the model of its own flags, and then for another one.
    let agent = format!(
        "#!/bin/sh\n[ \"$1 $2\" = '--model openai/qwen3-coder' ] || exit 64\n\
         case $(env) in *{KEY}*) exit 1 ;; esac\n\
         for model in qwen3-coder other; do OPENAI_MODEL=$model '{}' '{ask}' OpenAI 2>&1 | tail -n 1; done\n",
        python.display()
    );
    sandbox.program("bin/aider", agent);
    let run = shell(
        &sandbox,
        &server.url("/v1"),
        "/bin/sh",
        &recipe("An agent behind qwen-proxy", 0),
    )
    .run()
    .exits(0);
    let text = run.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "done", "{run:#?}");
    assert!(
        lines[1].contains("may not be asked through this qwen-proxy"),
        "{text}"
    );
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization") == Some(&*format!("Bearer {KEY}")))
    );
    let sum = shell(&sandbox, "", "/bin/sh", &recipe("An agent behind qwen-proxy", 1)).run();
    sum.gives(0, "7\n", "");
    assert_eq!(sandbox.mode("home/agent.jsonl"), 0o600);
}

#[test]
fn all_that_a_script_starts_has_one_budget() {
    let script = recipe("One budget for a whole script", 0);
    assert!(script.contains("--max-requests 200"));
    let makefile = "all: a b c\na b c: ; @qwen-chat --no-stdin --retries 0 $@ >$@\n";
    for (limit, code, made) in [("200", 0, 3), ("2", 2, 2)] {
        let (sandbox, server) = (Sandbox::new(), answering("done"));
        sandbox.write("work/Makefile", makefile);
        let script = script.replace("200", limit).replace("make -j4", "make -k -j4");
        let run = shell(&sandbox, &server.url("/v1"), "/bin/sh", &script)
            .run()
            .exits(code);
        assert_eq!(asked(&server).len(), made, "{run:#?}");
        let bearer = format!("Bearer {KEY}");
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.header("authorization") == Some(&bearer))
        );
    }
}

#[test]
fn curl_asks_with_a_login_and_with_a_file_of_the_project_and_shows_the_key_to_nobody() {
    let server = Server::answering(|_, request| reply(request, ""));
    let profile = json!({"provider": "custom", "method": "api-key", "base_url": server.url("/v1"), "model": "tiny", "key": {"env": "A_KEY"}});
    let sandbox = Sandbox::new();
    sandbox.config(&json!({"profiles": {"home": profile}}).to_string());
    let key = |wanted: &str| {
        let before = server.count();
        let tool = shell(&sandbox, "", "/bin/sh", &recipe("With curl", 0)).env("A_KEY", "sk-of-the-profile");
        let run = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"]
            .into_iter()
            .fold(tool, |tool, name| tool.env_remove(name))
            .run();
        assert!(run.exits(0).text().contains("tiny"));
        let requests = server.requests();
        let [request] = &requests[before..] else {
            panic!("{} requests", requests.len() - before)
        };
        assert_eq!(request.target, "/v1/models");
        assert_eq!(
            request.header("authorization"),
            Some(&*format!("Bearer {wanted}"))
        );
    };
    key("sk-of-the-profile");
    let url = server.url("/v1");
    sandbox.write(
        "work/.env",
        format!("OPENAI_API_KEY=sk-of-the-file\nOPENAI_BASE_URL={url}\nOPENAI_MODEL=tiny\n"),
    );
    key("sk-of-the-file");
}

//! Against the real llama.cpp server: a random model behind real HTTP, real events, real grammars, a real key check.
use crate::support::Sandbox;
use crate::support::model::{KEY, Model};
use serde_json::Value;

#[test]
fn the_real_server_is_asked_in_every_form() {
    let Some(model) = Model::start() else { return };
    let sandbox = Sandbox::new();
    streams(&model, &sandbox);
    gives_json(&model, &sandbox);
    obeys_a_schema(&model, &sandbox);
    refuses_a_wrong_key(&model, &sandbox);
    lists_its_models(&model, &sandbox);
    answers_two_hundred_calls_of_xargs(&model, &sandbox);
}

/// The server's own member keeps the model from ending by itself.
const ENDLESS: [&str; 4] = ["--param", "ignore_eos=true", "--seed", "7"];

fn streams(model: &Model, sandbox: &Sandbox) {
    let ask = |args: &[&str]| model.chat(sandbox).args(ENDLESS).args(args).arg("hello").run();
    let run = ask(&["--usage"]).exits(0);
    assert!(
        run.text().trim().len() > 10 && run.text().ends_with('\n'),
        "{run:#?}"
    );
    assert!(run.stderr.contains(" tokens in, 48 out"), "{run:#?}");
    assert!(
        run.stderr
            .contains("the answer is cut: it reached the limit of tokens"),
        "{run:#?}"
    );
    let whole = ask(&["--no-stream"]).exits(0);
    assert_eq!(run.text(), whole.text(), "streamed and in one piece");
    ask(&["--strict"]).exits(1);
}

fn gives_json(model: &Model, sandbox: &Sandbox) {
    let run = model
        .chat(sandbox)
        .args(ENDLESS)
        .args(["-q", "--json", "--max-tokens", "5", "hello"])
        .run()
        .exits(0);
    let json: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        (&json["finish_reason"], &json["usage"]["completion_tokens"]),
        (&"length".into(), &5.into()),
        "{json}"
    );
    assert_eq!(json["attempts"], 1);
}

/// The grammar that the server makes of the schema has even a random model obey.
fn obeys_a_schema(model: &Model, sandbox: &Sandbox) {
    sandbox.write(
        "work/schema.json",
        r#"{"type":"object","properties":{"mood":{"enum":["good","bad"]},"level":{"type":"integer","minimum":0,"maximum":9}},
            "required":["mood","level"],"additionalProperties":false}"#,
    );
    for seed in ["1", "2", "3"] {
        let run = model
            .chat(sandbox)
            .args([
                "--schema",
                "schema.json",
                "--max-tokens",
                "200",
                "--seed",
                seed,
                "how are you",
            ])
            .run()
            .exits(0);
        let answer: Value = serde_json::from_slice(&run.stdout).unwrap();
        assert!(answer["mood"] == "good" || answer["mood"] == "bad", "{answer}");
        assert!(answer["level"].as_u64().unwrap() <= 9, "{answer}");
    }
}

fn refuses_a_wrong_key(model: &Model, sandbox: &Sandbox) {
    let run = model
        .chat(sandbox)
        .env("OPENAI_API_KEY", "sk-wrong")
        .arg("hello")
        .run();
    run.fails(77, &["the credential was refused (401)"]);
}

fn lists_its_models(model: &Model, sandbox: &Sandbox) {
    model
        .chat(sandbox)
        .arg("--list-models")
        .run()
        .gives(0, "tiny\n", "");
    let run = model
        .chat(sandbox)
        .args(["--list-models", "--json"])
        .run()
        .exits(0);
    let list: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(list[0]["id"], "tiny");
}

fn answers_two_hundred_calls_of_xargs(model: &Model, sandbox: &Sandbox) {
    let shell = "seq 200 | xargs -P 16 -I{} sh -c 'qwen-chat -q --max-tokens 4 \"question $1\" > out.$1 || echo $1 $? >> failed' _ {}";
    let tool = model.known_to(sandbox.command("/bin/sh"));
    tool.args(["-c", shell]).run().gives(0, "", "");
    assert!(
        !sandbox.work().join("failed").exists(),
        "{}",
        sandbox.read("work/failed")
    );
    for number in 1..=200 {
        let answer = std::fs::read(sandbox.work().join(format!("out.{number}"))).unwrap();
        assert!(answer.ends_with(b"\n"), "{number}: {answer:?}");
    }
    let kept = std::process::Command::new("grep")
        .args(["-r", KEY])
        .arg(sandbox.root())
        .output()
        .unwrap();
    assert!(kept.stdout.is_empty(), "the key is on disk");
}

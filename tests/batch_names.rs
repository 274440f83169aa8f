//! An answer belongs to its question, not to its place or its name.
use std::fs;

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole};
use crate::support::{Reply, Run, Sandbox, Server};
use serde_json::{Value, json};

struct Bench {
    sandbox: Sandbox,
    server: Server,
}

impl Bench {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
            server: echo(),
        }
    }

    /// Runs a file of those lines into `out.jsonl`.
    fn run(&self, input: &str, args: &[&str]) -> Run {
        self.sandbox.write("work/in", input);
        let tool = batch(&self.sandbox, &self.server);
        tool.args(["run", "in", "-o", "out.jsonl"]).args(args).run()
    }

    /// The answers in `out.jsonl`, sorted. Fails on a name that is there twice.
    fn answers(&self) -> Vec<String> {
        let results = results_in(&self.sandbox.work().join("out.jsonl"));
        let mut answers: Vec<String> = results.values().map(|result| text(result).to_owned()).collect();
        answers.sort();
        answers
    }

    fn asked(&self) -> usize {
        self.server.count()
    }
}

#[test]
fn a_line_without_a_name_keeps_its_answer_wherever_it_stands() {
    let bench = Bench::new();
    let colour = ["--template", "Colour of {}?"];
    bench.run("apple\nbanana\n", &colour).gives(0, "", "");
    let again = bench.run("CHERRY\napple\n\n  banana \n", &colour);
    // Blanks around a text are part of what is asked, not of its name.
    again.exits(0);
    let again = bench.run("CHERRY\nbanana\napple\n", &colour);
    again.exits(0);
    assert_eq!(
        bench.answers(),
        ["Colour of CHERRY?", "Colour of apple?", "Colour of banana?"]
    );
}

#[test]
fn twins_have_an_answer_each() {
    let bench = Bench::new();
    bench.run("a\na\nb\na\n", &["--template", "{}"]).gives(0, "", "");
    assert_eq!(bench.answers(), ["a", "a", "a", "b"]);
    let names: Vec<String> = results_in(&bench.sandbox.work().join("out.jsonl"))
        .into_keys()
        .collect();
    let first = names
        .iter()
        .find(|name| names.contains(&format!("{name}-2")))
        .unwrap();
    assert!(names.contains(&format!("{first}-3")), "{names:?}");
    bench
        .run("a\nb\na\na\n", &["--template", "{}"])
        .gives(0, "", "qwen-batch: 4 done, 4 there already\n");
    assert_eq!(bench.asked(), 4);
}

#[test]
fn whatever_changes_a_request_has_it_asked_again_and_the_newer_answer_alone_is_left() {
    let own = r#"{"custom_id":"a","prompt":"x"}"#;
    let text = "x";
    for (first, first_args, second, second_args) in [
        (own, &[][..], r#"{"custom_id":"a","prompt":"y"}"#, &[][..]),
        (own, &[], own, &["-m", "m-2"]),
        (own, &[], own, &["-s", "be brief"]),
        (own, &[], own, &["--param", "temperature=0"]),
        (own, &[], r#"{"custom_id":"a","prompt":"x","temperature":0}"#, &[]),
        (
            own,
            &[],
            r#"{"custom_id":"a","prompt":"x","system":"be brief"}"#,
            &[],
        ),
        (text, &["--template", "{}"], text, &["--template", "other {}"]),
        (
            r#"{"custom_id":"a","url":"/v1/embeddings","body":{"input":"x"}}"#,
            &[],
            r#"{"custom_id":"a","url":"/v1/rerank","body":{"input":"x"}}"#,
            &[],
        ),
    ] {
        let sandbox = Sandbox::new();
        let server = Server::answering(|number, _| whole(&number.to_string()));
        let run = |input: &str, args: &[&str]| {
            sandbox.write("work/in", input);
            let tool = batch(&sandbox, &server).args(["run", "in", "-o", "out.jsonl"]);
            tool.args(args).run()
        };
        run(first, first_args).gives(0, "", "");
        let again = run(second, second_args).exits(0);
        for part in [
            "'out.jsonl' has the result of another request; asking again",
            "hint: add --keep-names",
            "1 done, 1 asked again",
        ] {
            assert!(again.stderr.contains(part), "{again:#?}");
        }
        let results = results_in(&sandbox.work().join("out.jsonl"));
        assert_eq!(results.len(), 1, "{second} {second_args:?}");
        assert_eq!(crate::support::batch::text(results.values().next().unwrap()), "1");
        run(second, second_args).gives(0, "", "qwen-batch: 1 done, 1 there already\n");
        // As it was: asked again, unless names are to count.
        run(first, &[first_args, &["--keep-names"]].concat()).gives(
            0,
            "",
            "qwen-batch: 1 done, 1 there already, not compared\n",
        );
        assert_eq!(server.count(), 2, "{second} {second_args:?}");
    }
}

#[test]
fn what_is_the_same_request_in_other_words_is_not_asked_again() {
    let bench = Bench::new();
    let first = r#"{"custom_id":"a","body":{"messages":[{"role":"user","content":"x"}],"top_p":1,"seed":2}}"#;
    bench.run(first, &[]).gives(0, "", "");
    for same in [
        r#"{"body":{"seed":2,"top_p":1,"messages":[{"content":"x","role":"user"}]},"custom_id":"a"}"#,
        r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"x"}],"top_p":1,"seed":2,"model":"m-1"}}"#,
        r#"{"custom_id":"a","prompt":"x","top_p":1,"seed":2,"note":"mine"}"#,
    ] {
        bench
            .run(same, &[])
            .gives(0, "", "qwen-batch: 1 done, 1 there already\n");
    }
    assert_eq!(bench.asked(), 1);
    // Not the key.
    let tool = batch(&bench.sandbox, &bench.server).env("OPENAI_API_KEY", "sk-another-0123456789");
    tool.args(["run", "in", "-o", "out.jsonl"])
        .run()
        .gives(0, "", "qwen-batch: 1 done, 1 there already\n");
}

#[test]
fn one_output_takes_the_parts_of_a_file_and_other_files() {
    let bench = Bench::new();
    bench
        .run("{\"prompt\":\"a1\"}\n{\"prompt\":\"a2\"}\n", &[])
        .gives(0, "", "");
    bench
        .run("{\"prompt\":\"b1\"}\n{\"prompt\":\"b2\"}\n", &[])
        .gives(0, "", "");
    let whole = "{\"prompt\":\"b2\"}\n{\"prompt\":\"a1\"}\n{\"prompt\":\"c\"}\n";
    bench
        .run(whole, &["--ordered"])
        .gives(0, "", "qwen-batch: 3 done, 2 there already\n");
    assert_eq!(bench.answers(), ["a1", "a2", "b1", "b2", "c"]);
    // Those of this input stand at the end, in its order.
    let content = bench.sandbox.read("work/out.jsonl");
    let order: Vec<String> = content
        .lines()
        .map(|line| text(&serde_json::from_str(line).unwrap()).to_owned())
        .collect();
    assert_eq!(order[2..], ["b2", "a1", "c"]);
    assert_eq!(bench.asked(), 5);
}

#[test]
fn results_of_a_providers_engine_count_and_are_said_not_to_be_compared() {
    let bench = Bench::new();
    let body = crate::support::batch::whole_body("engine");
    let record = json!({"id": "batch_req_6743e7c3e2e88190a8", "custom_id": "q0",
        "response": {"status_code": 200, "request_id": "", "body": body}, "error": null});
    bench.sandbox.write("work/out.jsonl", format!("{record}\n"));
    bench
        .run(&lines(2), &[])
        .gives(0, "", "qwen-batch: 2 done, 1 there already, not compared\n");
    assert_eq!(bench.answers(), ["engine", "q1"]);
}

#[test]
fn results_named_by_place_are_not_taken_for_those_of_lines_without_being_told_so() {
    let old = |number: u64, answer: &str| {
        let body = crate::support::batch::whole_body(answer);
        json!({"id": format!("batch_req_{number:016x}"), "custom_id": format!("line-{number}"),
            "response": {"status_code": 200, "request_id": "", "body": body}, "error": null})
        .to_string()
    };
    let there = format!("{}\n{}\n", old(1, "a"), old(2, "b"));
    let bench = Bench::new();
    bench.sandbox.write("work/out.jsonl", &there);
    let input = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"c\"}\n";
    let refused = bench.run(input, &[]);
    refused.fails(
        65,
        &[
            "'out.jsonl': 2 results are named by the place of a line, as version 0.1 did ('line-1', 'line-2')",
            "hint: add --keep-names",
        ],
    );
    assert_eq!(bench.sandbox.read("work/out.jsonl"), there);
    bench
        .run(input, &["--keep-names"])
        .gives(0, "", "qwen-batch: 3 done, 2 there already, not compared\n");
    assert_eq!(
        (bench.answers(), bench.asked()),
        (["a", "b", "c"].map(str::to_owned).to_vec(), 1)
    );
    // Lines with names of their own have nothing to do with it.
    bench.run(&line("own", "x"), &[]).gives(0, "", "");
}

#[test]
fn a_failure_is_retried_by_the_same_rule_and_leaves_the_results_of_others_alone() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|number, request| match number {
        0..2 => Reply::json(400, r#"{"error":{"message":"no"}}"#),
        _ => whole(&prompt(request)),
    });
    let run = |input: &str, args: &[&str]| {
        sandbox.write("work/in", input);
        let tool = batch(&sandbox, &server).args(["run", "in", "-o", "out.jsonl"]);
        tool.args(args).run()
    };
    run(&line("a", "1"), &[]).exits(1);
    run(&line("b", "1"), &[]).exits(1);
    let retried = run(&line("a", "1"), &["--retry-failed"]);
    retried.gives(0, "", "");
    let there = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!((there.len(), text(&there["a"])), (2, "1"));
    assert_eq!(there["b"]["error"]["code"], "data");
    // A line that has been mended leaves its failure behind no more.
    run("{\"prompt\":\n", &[]).exits(1);
    run("{\"prompt\":\"mended\"}\n", &["--retry-failed"]).exits(0);
    let there = results_in(&sandbox.work().join("out.jsonl"));
    assert_eq!(there.len(), 3, "{there:#?}");
}

#[test]
fn a_run_that_is_killed_between_an_old_answer_and_a_new_one_leaves_the_new_one() {
    let bench = Bench::new();
    bench.run(&line("a", "old"), &[]).gives(0, "", "");
    let old = bench.sandbox.read("work/out.jsonl");
    bench.run(&line("a", "new"), &[]).exits(0);
    let new = bench.sandbox.read("work/out.jsonl");
    bench.sandbox.write("work/out.jsonl", format!("{old}{new}"));
    bench
        .run(&line("a", "new"), &[])
        .gives(0, "", "qwen-batch: 1 done, 1 there already\n");
    assert_eq!(bench.sandbox.read("work/out.jsonl"), new);
}

#[test]
fn the_summary_for_programs_is_json_on_standard_output() {
    let bench = Bench::new();
    let input = format!("{}nonsense\n", lines(3));
    let run = bench.run(&input, &["--json"]).exits(1);
    let summary: Value = serde_json::from_str(&run.text()).unwrap();
    for (name, expected) in [
        ("done", json!(4)),
        ("succeeded", json!(3)),
        ("failed", json!(1)),
        ("errors", json!({"data": 1})),
        ("there_already", json!(0)),
        ("exit", json!(1)),
    ] {
        assert_eq!(summary[name], expected, "{summary}");
    }
    let tool = batch(&bench.sandbox, &bench.server).args(["run", "in", "--json"]);
    tool.run().fails(64, &["--output"]);
    let tool = batch(&bench.sandbox, &bench.server).args(["run", "in", "--json", "-o", "-"]);
    tool.run()
        .fails(64, &["standard output has the results", "--output"]);
}

#[test]
fn an_output_with_a_mark_or_a_first_line_that_was_cut_is_gone_on_with() {
    let bench = Bench::new();
    bench.run(&lines(3), &[]).gives(0, "", "");
    let there = bench.sandbox.read("work/out.jsonl");
    bench.sandbox.write("work/out.jsonl", format!("\u{feff}{there}"));
    bench
        .run(&lines(3), &[])
        .gives(0, "", "qwen-batch: 3 done, 3 there already\n");
    // As Azure orders the members.
    bench
        .sandbox
        .write("work/out.jsonl", "{\"custom_id\":\"q0\",\"respo");
    bench.run(&lines(3), &[]).gives(0, "", "");
    assert_eq!(bench.answers(), ["q0", "q1", "q2"]);
}

#[test]
fn what_others_do_to_the_output_costs_no_answer() {
    for (what, code, words) in [
        ("removed", 0, "another program has removed it; it is back"),
        (
            "replaced",
            74,
            "another file is in its place; every result is in 'out.jsonl.kept'",
        ),
        ("cut", 74, "another program has removed results from it"),
        ("added", 0, ""),
    ] {
        let sandbox = Sandbox::new();
        let out = sandbox.work().join("out.jsonl");
        let (path, change) = (out.clone(), what);
        let server = Server::answering(move |number, request| {
            if number == 5 {
                match change {
                    "removed" => fs::remove_file(&path).unwrap(),
                    "replaced" => {
                        fs::remove_file(&path).unwrap();
                        fs::write(&path, "mine\n").unwrap();
                    }
                    "cut" => fs::OpenOptions::new()
                        .write(true)
                        .open(&path)
                        .and_then(|file| file.set_len(10))
                        .unwrap(),
                    _ => {
                        let record = format!(
                            "{}\n",
                            json!({"id": "x", "custom_id": "added",
                            "response": {"status_code": 200, "body": {"x": 1}}, "error": null})
                        );
                        use std::io::Write;
                        let file = fs::OpenOptions::new().append(true).open(&path);
                        file.unwrap().write_all(record.as_bytes()).unwrap();
                    }
                }
            }
            whole(&prompt(request))
        });
        sandbox.write("work/in.jsonl", lines(10));
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "1"]);
        let run = tool.run().exits(code);
        assert!(run.stderr.contains(words), "{what}: {run:#?}");
        let count = match what {
            "replaced" => {
                assert_eq!(fs::read_to_string(&out).unwrap(), "mine\n");
                results_in(&sandbox.work().join("out.jsonl.kept")).len()
            }
            _ => results_in(&out).len(),
        };
        let expected = match what {
            "cut" => 5,
            "added" => 11,
            _ => 10,
        };
        assert_eq!(count, expected, "{what}: {run:#?}");
    }
}

#[test]
fn members_beside_a_prompt_are_parameters_where_they_are_known_as_such() {
    let bench = Bench::new();
    let input = r#"{"prompt":"x","temperature":0.5,"max_tokens":7,"model":null,"label":"mine","extra_body":{"top_k":3}}
{"body":{"messages":[{"role":"user","content":"y"}],"temperature":1},"temperature":0,"seed":4}
{"prompt":"z","temprature":1}
"#;
    let run = bench.run(input, &["-j", "1"]).exits(0);
    assert_eq!(
        run.stderr,
        "qwen-batch: 'temprature' was not sent: did you mean 'temperature'?\n"
    );
    let asked: Vec<Value> = bench
        .server
        .requests()
        .iter()
        .map(crate::support::Request::json)
        .collect();
    let user = |text: &str| json!([{"role": "user", "content": text}]);
    assert_eq!(
        asked,
        [
            json!({"model": "m-1", "messages": user("x"), "temperature": 0.5, "max_tokens": 7, "top_k": 3}),
            json!({"model": "m-1", "messages": user("y"), "temperature": 1, "seed": 4}),
            json!({"model": "m-1", "messages": user("z")}),
        ]
    );
}

#[test]
fn endpoints_that_are_no_chat_have_failures_and_cuts_too() {
    let line = |name: &str, url: &str| {
        format!(
            "{}\n",
            json!({"custom_id": name, "url": url, "body": {"input": name}})
        )
    };
    let server = Server::answering(|_, request| {
        let body = match request.json()["input"].as_str().unwrap() {
            "failed" => {
                json!({"status": "failed", "error": {"message": "model error", "code": "server_error"}, "output": []})
            }
            "error" => json!({"error": {"message": "upstream failed"}}),
            "queued" => json!({"status": "queued", "error": null, "output": []}),
            "incomplete" => json!({"status": "incomplete", "error": null, "output": [{}],
                "incomplete_details": {"reason": "max_output_tokens"}, "usage": {"input_tokens": 3, "output_tokens": 4}}),
            _ => {
                json!({"status": "completed", "error": null, "output": [{}], "usage": {"input_tokens": 1, "output_tokens": 1}})
            }
        };
        Reply::json(200, &body.to_string())
    });
    let sandbox = Sandbox::new();
    let input: String = ["failed", "error", "queued", "incomplete", "completed"]
        .iter()
        .map(|name| line(name, "/v1/responses"))
        .chain([
            line("error", "/v1/embeddings").replace("\"custom_id\":\"error\"", "\"custom_id\":\"embedding\"")
        ])
        .collect();
    let tool = batch(&sandbox, &server)
        .args(["run", "--retries", "0"])
        .stdin(input);
    let run = tool.run().exits(1);
    let results = results(&run.text());
    let failed: Vec<&String> = results
        .iter()
        .filter(|(_, result)| !result["error"].is_null())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(failed, ["embedding", "error", "failed", "queued"]);
    assert!(
        results["failed"]["error"]["message"]
            .as_str()
            .unwrap()
            .contains("model error")
    );
    assert!(
        run.stderr
            .contains("1 limited, filtered or of doubtful end (1 max_output_tokens), 9 tokens (4 in, 5 out)"),
        "{run:#?}"
    );
}

//! A night in small: a server that refuses, restarts and is brought down, a resolver that goes away, a run that is killed
//! again and again, and clocks that jump. In the morning every question has its own answer, once.
use std::path::Path;
use std::time::Duration;

use crate::support::batch::{line, results_in, text};
use crate::support::chat::KEY;
use crate::support::random::Random;
use crate::support::{Sandbox, binary, peers};
use serde_json::{Value, json};

/// A world of its own for the run: its network, its resolver, its server and its clock.
const NIGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/night/night.py");

/// Asks for so many lines, two more of which bring the server down; returns what happened, with the exit of the last run.
fn night(sandbox: &Sandbox, count: usize) -> Value {
    let profile = json!({
        "base_url": "http://night.test:8080/v1", "model": "m-1", "key": {"env": "KEY"}, "allow_http": true,
    });
    sandbox.config(&json!({"profiles": {"night": profile}, "default_profile": "night"}).to_string());
    let mut names: Vec<String> = (0..count).map(|number| format!("q{number}")).collect();
    names.insert(count / 2, "poison2".to_owned());
    names.insert(0, "poison1".to_owned());
    let lines: String = names.iter().map(|name| line(name, name)).collect();
    sandbox.write("work/in.jsonl", lines);
    let seed = Random::from_environment().below(1 << 30);
    let run = sandbox
        .command("/usr/bin/unshare")
        .args(["-rnm", "python3", NIGHT, &count.to_string(), &seed.to_string()])
        .arg(binary("qwen-batch"))
        .args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "8"])
        .env("KEY", KEY)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .limit(Duration::from_secs(3_600))
        .run();
    println!("{}{}", run.stderr, run.text());
    run.exits(0).text().parse().unwrap()
}

#[test]
fn in_the_morning_every_question_has_its_own_answer_once() {
    let have = ["unshare", "ip", "python3"]
        .iter()
        .all(|name| peers::command(name).is_some());
    if !peers::present("unshare, ip and python3", have) || peers::faketime().is_none() {
        return;
    }
    let count = match std::env::var_os("QWEN_LONG") {
        Some(_) => 20_000,
        None => 2_000,
    };
    let sandbox = Sandbox::new();
    let happened = night(&sandbox, count);
    assert_eq!(happened["exit"], 1);
    for (what, least) in [
        ("kills", 5),
        ("restarts", 3),
        ("refusals", 15),
        ("lookups_failed", 4),
        ("crashes", 4),
    ] {
        assert!(happened[what].as_u64().unwrap() >= least, "{what}");
    }
    all_have_their_own(&sandbox.work().join("out.jsonl"), count);
}

/// Checks that every question has its own answer, once, and that nothing but the two that bring the server down has failed.
fn all_have_their_own(out: &Path, count: usize) {
    let results = results_in(out);
    assert_eq!(results.len(), count + 2);
    for (name, result) in &results {
        match name.starts_with("poison") {
            true => assert!(!result["error"].is_null(), "{result}"),
            false => assert_eq!(text(result), name),
        }
    }
}

//! A `.env` file means exactly what it means to npm `dotenv`, which is what Qwen Code reads it with.

use std::collections::BTreeMap;

use crate::support::Sandbox;
use crate::support::dotenv::{Npm, canonical_reading};
use crate::support::random::Random;
use qwen_shared::dotenv;
use serde_json::Value;

type Meaning = BTreeMap<String, String>;

/// What our reader makes of a file: the last assignment of a name wins.
fn ours(bytes: &[u8]) -> Meaning {
    canonical_reading(bytes)
}

/// What the chain makes of it as the file in the home directory: every name once.
fn judged(sandbox: &Sandbox, bytes: &[u8]) -> Meaning {
    sandbox.write("home/.env", bytes);
    let search = dotenv::Search {
        home: Some(sandbox.home()),
        ..dotenv::Search::default()
    };
    let mut meaning = Meaning::new();
    for variable in dotenv::EnvChain::resolve(&search).variables() {
        let before = meaning.insert(variable.name.clone(), variable.value.expose().clone());
        assert_eq!(
            before,
            None,
            "{} twice in {:?}",
            variable.name,
            String::from_utf8_lossy(bytes)
        );
    }
    meaning
}

fn repeated(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let (text, count) = (
                other["repeat"][0].as_str().unwrap(),
                other["repeat"][1].as_u64().unwrap(),
            );
            text.repeat(usize::try_from(count).unwrap())
        }
    }
}

fn corpus() -> Vec<(String, Vec<u8>, Meaning)> {
    let corpus: Value = serde_json::from_str(include_str!("data/env/dotenv-corpus.json")).unwrap();
    let cases = corpus["cases"].as_array().unwrap();
    cases
        .iter()
        .map(|case| {
            let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
            let bytes = if case.get("input_b64").is_some() {
                crate::support::dotenv::from_base64(&text("input_b64"))
            } else if let Some(repeat) = case.get("input_repeat") {
                let middle = repeated(&serde_json::json!({ "repeat": repeat }));
                (text("input_prefix") + &middle + &text("input_suffix")).into_bytes()
            } else {
                text("input").into_bytes()
            };
            let npm = case["npm"].as_object().unwrap();
            let npm = npm.iter().map(|(name, value)| (name.clone(), repeated(value)));
            (text("id"), bytes, npm.collect())
        })
        .collect()
}

#[test]
fn every_case_of_the_corpus_means_what_npm_dotenv_says() {
    let corpus = corpus();
    assert!(corpus.len() > 100);
    for (id, bytes, npm) in corpus {
        assert_eq!(ours(&bytes), npm, "{id}");
    }
}

#[test]
fn the_corpus_still_is_what_the_real_npm_dotenv_says() {
    let Some(npm) = Npm::start() else { return };
    let (ids, files): (Vec<_>, Vec<_>) = corpus()
        .into_iter()
        .map(|(id, bytes, want)| ((id, want), bytes))
        .unzip();
    for ((id, want), said) in ids.into_iter().zip(npm.parse(files)) {
        assert_eq!(said, want, "{id}");
    }
}

#[test]
fn twenty_thousand_generated_files_mean_what_the_real_npm_dotenv_says() {
    let Some(npm) = Npm::start() else { return };
    let mut random = Random::from_environment();
    let files: Vec<Vec<u8>> = (0..20_000).map(|_| generated(&mut random)).collect();
    let sandbox = Sandbox::new();
    let mut assignments = 0;
    for (file, mut said) in files.iter().zip(npm.parse(files.clone())) {
        assignments += said.len();
        assert_eq!(ours(file), said, "{:?}", String::from_utf8_lossy(file));
        said.retain(|_, value| !value.contains('\0'));
        assert_eq!(
            judged(&sandbox, file),
            said,
            "{:?}",
            String::from_utf8_lossy(file)
        );
    }
    assert!(
        assignments > 20_000,
        "the generator makes too few assignments: {assignments}"
    );
}

/// A file made of the grammar's own pieces, so that most of them say something and all of its branches are met.
fn generated(random: &mut Random) -> Vec<u8> {
    const PIECES: [&str; 64] = [
        "A",
        "B",
        "KEY",
        "x",
        "y z",
        "1",
        "=",
        "=",
        "=",
        "=",
        " = ",
        ":",
        ": ",
        ":\n",
        "export",
        "export ",
        "'",
        "'",
        "\"",
        "\"",
        "`",
        "`",
        "\\",
        "\\'",
        "\\\"",
        "\\`",
        "\\n",
        "\\r",
        "\\\\",
        "\\t",
        "#",
        " #",
        "# c\n",
        "\n",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "  ",
        "\t",
        "\u{b}",
        "\u{c}",
        "\u{a0}",
        "\u{85}",
        "\u{feff}",
        "\u{2028}",
        "\u{2029}",
        "\u{3000}",
        "\u{200b}",
        "$",
        "${A}",
        "$(x)",
        "é",
        "🎉",
        "\0",
        ".",
        "-",
        "_",
        "__proto__",
        ",",
        "{",
        "=\"",
    ];
    let mut file = Vec::new();
    for _ in 0..random.below(24) + 1 {
        if random.below(60) == 0 {
            file.push(random.byte());
        } else if random.below(4) == 0 {
            file.extend_from_slice(format!("\nK{}=", random.below(4)).as_bytes());
        } else {
            file.extend_from_slice(random.pick(&PIECES).as_bytes());
        }
    }
    file
}

#[test]
fn the_longest_files_are_read_in_linear_time() {
    let limit = dotenv::FILE_LIMIT;
    for piece in [
        "\n",
        "A\n",
        "A='\n",
        "A='\\'\n",
        "A=\\'\"`\n",
        "'a\u{2028}",
        "A='a\u{2028}'",
        "A=\n",
        "\\'",
        " ",
        "A",
    ] {
        for start in ["", "A='", "A=\"\\\"", "A=\u{2028}'"] {
            let text = format!("{start}{}", piece.repeat(limit / piece.len()));
            // In quadratic time each would take hours.
            let text = dotenv::decode(text.as_bytes());
            assert!(dotenv::Scanner::new(&text).all(|assignment| assignment.line > 0));
        }
    }
}

//! qwen-auth check: planted mistakes, each found at its place with its remedy; and nothing found where nothing is wrong.
use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::page::Page;
use crate::support::planted::{Expected, Planted};
use crate::support::{Run, Sandbox};

fn check(sandbox: &Sandbox, config: &[u8], words: &[&str]) -> Run {
    let path = sandbox.config("");
    fs::write(&path, config).unwrap();
    let run = sandbox.detached("qwen-auth").arg("check").args(words).run();
    assert_eq!(fs::read(&path).unwrap(), config, "it is not touched");
    run
}

#[test]
fn every_planted_mistake_is_found_at_its_place_with_its_remedy() {
    let sandbox = Sandbox::new();
    let planted = Planted::all();
    assert!(planted.len() >= 80, "{}", planted.len());
    assert!(
        planted
            .iter()
            .filter(|(_, planted)| planted.report.is_some())
            .count()
            >= 15
    );
    let mut wrong = Vec::new();
    for (name, planted) in planted {
        let run = check(&sandbox, &planted.bytes(), &["--format", "json"]);
        if run.code() != 65 {
            wrong.push(format!(
                "{name}: exit {}: {}{}",
                run.code(),
                run.text(),
                run.stderr
            ));
            continue;
        }
        let found: Vec<Value> = serde_json::from_slice(&run.stdout).unwrap();
        let is_as_expected = |(found, expected): (&Value, &Expected)| {
            found["line"] == expected.line
                && found["column"] == expected.column
                && found["fault"].as_str().unwrap().contains(&expected.words)
                && found["remedy"]
                    .as_str()
                    .unwrap_or_default()
                    .contains(&expected.remedy)
        };
        let all = found.iter().zip(&planted.faults).all(is_as_expected);
        if !all || found.len() != planted.faults.len() || run.text().contains("canary") {
            wrong.push(format!("{name}: {}", run.text()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_fault_is_one_line_as_compilers_write_it() {
    let sandbox = Sandbox::new();
    let path = sandbox.config_file();
    let shown = path.display();
    let config = b"{\n  \"theme\": \"drak\",\n  \"profiles\": {\"a\": {\"modle\": \"m\"}}\n}\n";
    check(&sandbox, config, &[]).gives(
        65,
        format!(
            "{shown}:2:12: 'theme' is none of 'dark', 'light', 'none'; did you mean 'dark'?\n\
             {shown}:3:22: 'profiles.a.modle' is not known; did you mean 'model'?\n"
        ),
        "",
    );
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let sandbox = Sandbox::new();
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-config.5").unwrap();
    let mut sound = page.examples();
    assert!(sound.len() >= 5, "an example of each kind: {}", sound.len());
    sandbox.program("home/bin/pass", "#!/bin/sh\n");
    sound.extend(
        [
            "",
            "{}",
            "\u{feff}{}",
            " \n",
            r#"{"profiles": {"a": {}}}"#,
            r#"{"$schema": "file:///usr/share/qwen/config.schema.json", "theme": "none"}"#,
            r#"{"profiles": {"a": {"base_url": "http://192.168.1.5:8000/v1"}}}"#,
            r#"{"profiles": {"a": {"base_url": "http://llm.lab.example/v1", "allow_http": true, "key": {"env": "K"}}}}"#,
            r#"{"profiles": {"a": {"provider": "openai", "base_url": "https://gateway.example/openai/v1"}}}"#,
            r#"{"profiles": {"a": {"method": "oauth"}, "b": {"method": "oauth", "provider": "qwen", "oauth": {"scope": "x"}}}}"#,
            r#"{"profiles": {"a": {"headers": {"Authorization": "Basic eDp5"}, "base_url": "https://llm.example/v1"}}}"#,
            r#"{"profiles": {"a": {"key": {"command": ["sh", "-c", "pass show x | head -1"], "ttl": 60}}}}"#,
            r#"{"profiles": {"a": {"timeouts": {"total": 600, "first_byte": 600, "idle": 0.5}}}}"#,
        ]
        .map(str::to_owned),
    );
    for config in sound {
        let run = sandbox.detached("qwen-auth").arg("check").env(
            "PATH",
            format!("{}:/usr/bin:/bin", sandbox.home().join("bin").display()),
        );
        fs::write(sandbox.config(""), &config).unwrap();
        run.run().gives(0, "", "");
    }
}

#[test]
fn a_file_that_is_not_there_is_told_as_that() {
    let sandbox = Sandbox::new();
    let config = sandbox.config_file();
    let said = format!(
        "qwen-auth: there is no '{}': nothing is configured\n",
        config.display()
    );
    sandbox
        .detached("qwen-auth")
        .arg("check")
        .run()
        .gives(0, "", &said);
    sandbox.config("{}");
    let wrong = config.with_file_name("conifg.json");
    let missing = format!(
        "QWEN_CONFIG: '{}' is not there; there is '{}'",
        wrong.display(),
        config.display()
    );
    for words in [&["check"][..], &["status"], &["use", "work"], &["show", "work"]] {
        let run = sandbox
            .detached("qwen-auth")
            .args(words)
            .env("QWEN_CONFIG", &wrong)
            .run();
        assert!(run.stderr.contains(&missing), "{words:?}: {run:#?}");
        assert_eq!(run.code(), if words[0] == "check" { 66 } else { 77 }, "{run:#?}");
    }
    let lost = PathBuf::from("/nowhere/at/all/config.json");
    let run = sandbox.tool("qwen-token").env("QWEN_CONFIG", &lost).run();
    run.fails(
        77,
        &["QWEN_CONFIG: '/nowhere/at/all/config.json' is not there, nor is its directory; no credential"],
    );
    let run = sandbox
        .tool("qwen-token")
        .env("QWEN_HOME", "/nowhere/at/all")
        .run();
    run.fails(77, &["QWEN_HOME: '/nowhere/at/all' is not there; no credential"]);
}

#[test]
fn every_tool_that_refuses_the_file_names_the_first_fault_and_its_remedy() {
    let sandbox = Sandbox::new();
    sandbox.config("{\n  \"profiles\": {\"a\": {\"rate\": {\"per_minute\": \"30\"}}}\n}\n");
    let run = sandbox.detached("qwen-token").env("OPENAI_API_KEY", "k").run();
    run.fails(
        78,
        &[
            "config.json:2:45: 'profiles.a.rate.per_minute' is not a number\n",
            "hint: leave the quotes out\n",
            "hint: edit ",
        ],
    );
}

#[test]
fn a_file_with_very_many_faults_is_checked_to_its_end() {
    let sandbox = Sandbox::new();
    let profiles: serde_json::Map<String, Value> = (0..200)
        .map(|number| {
            (
                format!("p{number}"),
                json!({"modle": "m", "rate": {"per_day": 0}}),
            )
        })
        .collect();
    let config = json!({ "profiles": profiles }).to_string();
    let run = check(&sandbox, config.as_bytes(), &["--format", "json"]).exits(65);
    let found: Vec<Value> = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(found.len(), 400);
}

/// A megabyte is read once: a check whose work grew with the square of it would never end.
#[test]
fn a_large_file_on_one_line_or_with_many_faults_is_checked() {
    let sandbox = crate::support::Sandbox::new();
    let check = || sandbox.detached("qwen-auth").arg("check").run();
    let profiles = |member: &str| {
        let profiles: Vec<String> = (0..4000)
            .map(|index| format!("\"p{index}\": {{{member}}}"))
            .collect();
        format!("{{\"profiles\": {{{}}}}}", profiles.join(","))
    };
    sandbox.config(&format!("{}{{}}", " ".repeat(1 << 20)));
    check().gives(0, "", "");
    sandbox.config(&profiles(r#""model": "m""#));
    check().gives(0, "", "");
    sandbox.config(&profiles(r#""modle": "m", "headers": {"Host": "x"}"#));
    let run = check().exits(65);
    assert_eq!(run.text().lines().count(), 8000);
    sandbox.config(&profiles(r#""model": 5"#));
    let run = check().exits(65);
    assert!(run.text().contains("there may be more faults"), "{run:#?}");
}

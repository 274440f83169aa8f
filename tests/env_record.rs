//! Evaluating again: after an edit or a change of directory, what was exported before is updated or unset, and
//! nothing else is touched.

use std::os::unix::fs::PermissionsExt;

use qwen_shared::dotenv::{Exported, Record};

use crate::support::shells::{Mode, OTHERS, POSIX};
use crate::support::{Run, Sandbox, peers};

/// Two projects beside each other and a directory without a file.
fn projects() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("work/one/.env", "A=one\nB=\"one  *\"\n");
    sandbox.write("work/two/.env", "B=two\nC=two\n");
    std::fs::create_dir_all(sandbox.work().join("none")).unwrap();
    sandbox
}

/// Runs a script in dash, where `ev` evaluates and `show` prints A, B and C.
fn steps(sandbox: &Sandbox, script: &str) -> Run {
    let prelude =
        "ev() { eval $(qwen-env --all \"$@\"); }; show() { echo \"${A-unset},${B-unset},${C-unset}\"; }; ";
    let shell = sandbox.command("/bin/dash");
    shell.args(["-c", &format!("{prelude}{script}")]).run()
}

#[test]
fn moving_between_projects_sets_changes_and_unsets() {
    let sandbox = projects();
    let script = "cd one; ev; show; cd ../two; ev; show; cd ../none; ev; show; echo ${QWEN_ENV_EXPORTED-gone}; cd ../one; ev; show";
    steps(&sandbox, script).gives(
        0,
        "one,one  *,unset\nunset,two,two\nunset,unset,unset\ngone\none,one  *,unset\n",
        "",
    );
}

#[test]
fn evaluating_twice_is_evaluating_once() {
    let sandbox = projects();
    let script =
        "cd one; ev; env | sort >../first; ev; ev; env | sort >../second; cmp ../first ../second && show";
    steps(&sandbox, script).gives(0, "one,one  *,unset\n", "");
}

#[test]
fn an_edit_changes_adds_and_removes() {
    let sandbox = projects();
    let script = "cd one; ev; show; printf 'A=new\\nC=new\\n' >.env; ev; show; : >.env; ev -q; show; rm .env; ev; show";
    steps(&sandbox, script).gives(
        0,
        "one,one  *,unset\nnew,unset,new\nunset,unset,unset\nunset,unset,unset\n",
        "",
    );
}

#[test]
fn what_the_user_had_before_is_never_touched() {
    let sandbox = projects();
    let script = "export A=mine; cd one; ev; show; cd ../none; ev; show; unset A; cd ../one; ev; show; cd ../none; ev; show";
    steps(&sandbox, script).gives(
        0,
        "mine,one  *,unset\nmine,unset,unset\none,one  *,unset\nunset,unset,unset\n",
        "",
    );
}

#[test]
fn what_the_user_changed_since_is_the_users() {
    let sandbox = projects();
    let script = "cd one; ev; B=hand; ev; show; cd ../two; ev; show; cd ../none; ev; show; ev --unset; show";
    steps(&sandbox, script).gives(
        0,
        "one,hand,unset\nunset,hand,two\nunset,hand,unset\nunset,hand,unset\n",
        "",
    );
}

#[test]
fn what_the_user_unset_comes_back_with_the_next_evaluation() {
    let sandbox = projects();
    steps(
        &sandbox,
        "cd one; ev; unset A; ev; show; unset A; cd ../none; ev; show",
    )
    .gives(0, "one,one  *,unset\nunset,unset,unset\n", "");
}

#[test]
fn everything_can_be_taken_back_anywhere() {
    let sandbox = projects();
    let script = "before=$(env); export C=mine; cd two; ev; show; cd ../one; ev --unset; show; unset C OLDPWD; PWD=${PWD%/one}; \
                  export PWD; test \"$before\" = \"$(env | grep -v ^OLDPWD=)\" && echo same";
    let run = steps(&sandbox, script);
    assert!(
        run.text().starts_with("unset,two,mine\nunset,unset,mine\n"),
        "{run:#?}"
    );
    let unset = steps(&sandbox, "cd one; ev; qwen-env --unset --shell sh").exits(0);
    // Round them stands what keeps a foreign IFS from splitting them.
    let text = unset.text();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("\\unset")).collect();
    assert_eq!(lines, ["\\unset A;", "\\unset B;", "\\unset QWEN_ENV_EXPORTED;"]);
}

#[test]
fn nested_shells_go_on_where_the_outer_one_was() {
    let sandbox = projects();
    let inner = "cd ../two; eval $(qwen-env --all); echo ${A-unset},$B,$C";
    let script = format!(
        "cd one; ev; bash -c '{inner}'; zsh -f -c '{inner}'; show; qwen-env --all -- dash -c '{inner}'"
    );
    if !peers::present("zsh", peers::command("zsh").is_some()) {
        return;
    }
    steps(&sandbox, &script).gives(
        0,
        "unset,two,two\nunset,two,two\none,one  *,unset\nunset,two,two\n",
        "",
    );
}

#[test]
fn a_nested_shell_is_not_robbed_of_a_name_that_it_keeps_for_itself() {
    let sandbox = projects();
    // To dash these are names like any other; to zsh `path` is where programs are, to bash UID cannot be unset.
    sandbox.write("work/one/.env", "A=one\npath=/x\nUID=5\nGROUPS=1\n");
    for (shell, flag) in [("zsh", "-f"), ("bash", "--norc")] {
        if !peers::present(shell, peers::command(shell).is_some()) {
            continue;
        }
        for arguments in ["", "--unset"] {
            let inner = format!("cd ../none; eval $(qwen-env {arguments}); echo ${{A-unset}}; sh -c :");
            let run = steps(
                &sandbox,
                &format!("cd one; qwen-env -q --trust --yes; ev; {shell} {flag} -c '{inner}'; show"),
            );
            run.gives(0, "unset\none,unset,unset\n", "");
        }
    }
}

#[test]
fn a_command_run_from_an_evaluated_shell_sees_the_directory_it_is_in() {
    let sandbox = projects();
    let script = "cd one; ev; cd ../two; qwen-env --all -- sh -c 'echo ${A-unset},$B,$C'; cd ../none; \
                  qwen-env -- sh -c 'echo ${A-unset},${B-unset},${QWEN_ENV_EXPORTED-unset}'";
    steps(&sandbox, script).gives(0, "unset,two,two\nunset,unset,unset\n", "");
}

#[test]
fn override_replaces_what_the_environment_had_and_leaves_equals_alone() {
    let sandbox = projects();
    let script = "export A=mine C=two; cd one; ev --override; show; cd ../two; ev --override; show; cd ../none; ev; show";
    steps(&sandbox, script).gives(0, "one,one  *,two\nunset,two,two\nunset,unset,two\n", "");
}

#[test]
fn a_record_that_is_not_ours_takes_nothing_away() {
    let sandbox = projects();
    for record in [
        "HOME@0000000000000000;touch PWNED",
        "A;touch PWNED;@0123456789abcdef",
        "$(touch PWNED)@0123456789abcdef",
        "A@x",
        "\u{fffd}",
    ] {
        let shell = sandbox
            .command("/bin/dash")
            .env("QWEN_ENV_EXPORTED", record)
            .env("A", "mine");
        let run = shell
            .args([
                "-c",
                "eval $(qwen-env); echo $A; eval $(qwen-env --unset); echo $A",
            ])
            .run()
            .exits(0);
        assert_eq!(run.text(), "mine\nmine\n", "{record}");
        assert!(
            run.stderr
                .contains("QWEN_ENV_EXPORTED is not what qwen-env wrote"),
            "{run:#?}"
        );
        assert!(!sandbox.work().join("PWNED").exists());
    }
}

#[test]
fn more_variables_than_the_record_can_name_are_refused_by_name() {
    let sandbox = Sandbox::new();
    let lines = (0..9000).map(|number| format!("VARIABLE_{number:05}=x\n"));
    sandbox.write("work/.env", lines.collect::<String>());
    let script = "eval $(qwen-env --all) && env | grep -c ^VARIABLE_; eval $(qwen-env --unset); env | grep -c VARIABLE_";
    let run = sandbox.command("/bin/bash").args(["-c", script]).run();
    let counts: Vec<usize> = run.text().lines().map(|line| line.parse().unwrap()).collect();
    assert!(counts[0] > 3000 && counts[1] == 0, "{counts:?}");
    let told = run
        .stderr
        .matches("is not exported: the environment has no room for more");
    assert_eq!(told.count(), 20);
    let more = format!("and {} more notices", 9000 - counts[0] - 20);
    assert!(run.stderr.contains(&more), "{}", run.stderr);
    // Data needs no record.
    let json = sandbox
        .tool("qwen-env")
        .args(["--all", "--format", "json"])
        .run()
        .exits(0);
    assert_eq!(json.text().matches("VARIABLE_").count(), 9000);
}

/// The same journey in any shell: each step prints A and B as a child sees them.
fn journey(mode: &Mode, sandbox: &Sandbox) -> Option<Run> {
    let program = mode.program()?;
    let call = format!("qwen-env --all --shell {}", mode.dialect);
    let print = "sh -c 'echo \"${A-unset},${B-unset}\"'";
    let show = match mode.dialect {
        "nu" => format!("^{print}"),
        _ => print.to_owned(),
    };
    let evaluation = mode.idioms[0].replace('@', &call);
    let places = ["one", "../two", "../none", "../one"];
    let steps: Vec<String> = places
        .iter()
        .map(|place| format!("cd {place}\n{evaluation}\n{show}"))
        .collect();
    let script = format!("{}\n{}\n", mode.prelude, steps.join("\n"));
    Some(
        sandbox
            .command(program)
            .args(&mode.command[1..])
            .arg(script)
            .run(),
    )
}

#[test]
fn the_journey_is_the_same_in_every_shell() {
    for mode in POSIX.iter().chain(OTHERS) {
        let sandbox = projects();
        if let Some(run) = journey(mode, &sandbox) {
            assert_eq!(
                run.text(),
                "one,one  *\nunset,two\nunset,unset\none,one  *\n",
                "{}: {run:#?}",
                mode.name
            );
        }
    }
}

/// The record that a shell has after an evaluation.
fn exported(sandbox: &Sandbox, flags: &str) -> String {
    let script = format!("eval $(qwen-env {flags}); echo \"$QWEN_ENV_EXPORTED\"");
    let run = sandbox.command("/bin/sh").args(["-c", &script]).run().exits(0);
    run.text().trim_end().to_owned()
}

fn origin(record: &str, name: &str) -> Option<Exported> {
    Record::parse(record.as_ref(), None)
        .unwrap()
        .origin(name, "".as_ref())
}

#[test]
fn the_record_gives_no_value_away_and_its_key_is_in_a_private_file() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "PIN=4711\n");
    let record = exported(&sandbox, "");
    let key = sandbox.home().join(".local/state/qwen/record.key");
    assert_eq!(
        (sandbox.mode(&key), std::fs::read(&key).unwrap().len()),
        (0o600, 64)
    );
    let (_, rest) = record.split_once("+PIN@").unwrap();
    let known = &rest[..16];
    for pin in 0..10_000 {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(format!("PIN={pin:04}"));
        let hex: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_ne!(hex, known);
    }
    assert_eq!(exported(&sandbox, ""), record);
    // Another user's key makes other digests; a key that others could read is replaced.
    let other = Sandbox::new();
    other.write("home/.env", "PIN=4711\n");
    assert!(!exported(&other, "").contains(known));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let renewed = exported(&sandbox, "");
    assert!(
        !renewed.contains(known) && sandbox.mode(&key) == 0o600,
        "{renewed}"
    );
}

#[test]
fn many_shells_at_once_make_one_key() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "A=1\n");
    let children: Vec<_> = (0..24)
        .map(|_| {
            sandbox
                .tool("qwen-env")
                .args(["--", "sh", "-c", "echo $QWEN_ENV_EXPORTED"])
                .start()
        })
        .collect();
    let records = children
        .into_iter()
        .map(|child| Run::wait(child, "qwen-env").exits(0).text());
    let records: std::collections::BTreeSet<String> = records.collect();
    assert_eq!(records.len(), 1, "{records:?}");
}

#[test]
fn without_a_place_for_the_key_the_record_holds_names_alone() {
    let sandbox = projects();
    let script = "cd one; ev; echo $QWEN_ENV_EXPORTED; show; cd ../two; ev; show; cd ../none; ev; show";
    let prelude =
        "ev() { eval $(qwen-env --all \"$@\"); }; show() { echo \"${A-unset},${B-unset},${C-unset}\"; }; ";
    let shell = sandbox.command("/bin/dash").env("XDG_STATE_HOME", "/dev/null");
    let run = shell.args(["-c", &format!("{prelude}{script}")]).run().exits(0);
    let (record, rest) = run
        .text()
        .split_once('\n')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert!(
        record.ends_with("+A@:0+B@:0") && !record.contains("key:"),
        "{record}"
    );
    assert_eq!(rest, "one,one  *,unset\nunset,two,two\nunset,unset,unset\n");
}

#[test]
fn what_came_with_a_project_keeps_that_standing_in_shells_and_commands() {
    let pair = "OPENAI_BASE_URL=https://x.example/v1\nOPENAI_API_KEY=theirs\n";
    for (file, consent, project) in [
        ("work/.env", false, true),
        ("work/.qwen/.env", false, true),
        ("work/.env", true, false),
        ("home/.env", false, false),
    ] {
        let sandbox = Sandbox::new();
        let path = sandbox.write(file, pair);
        if consent {
            sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
        }
        let expected = Exported {
            project,
            file: Some(path),
            proven: false,
        };
        let command = sandbox
            .tool("qwen-env")
            .args(["--", "sh", "-c", "echo $QWEN_ENV_EXPORTED"]);
        let command = command.run().exits(0).text();
        for record in [
            exported(&sandbox, ""),
            exported(&sandbox, "--all"),
            command.trim().to_owned(),
        ] {
            for name in ["OPENAI_BASE_URL", "OPENAI_API_KEY"] {
                assert_eq!(origin(&record, name), Some(expected.clone()), "{file}: {record}");
            }
            assert_eq!(origin(&record, "HOME"), None);
        }
    }
}

#[test]
fn a_hostile_directory_name_is_only_text_in_the_record() {
    let sandbox = Sandbox::new();
    let name = "a b'c\"d$(touch PWNED)`touch PWNED`;*?[x]{y,z}~#%41+@:=\u{e9}\n\t!";
    let file = sandbox.write(format!("work/{name}/.env"), "OPENAI_MODEL=m\n");
    let directory = file.parent().unwrap();
    for shell in ["sh", "bash", "zsh"] {
        if !peers::present(shell, peers::command(shell).is_some()) {
            continue;
        }
        let script =
            "eval $(qwen-env); echo \"$QWEN_ENV_EXPORTED\"; eval $(qwen-env); eval $(qwen-env --unset); ls";
        let run = sandbox
            .command(peers::command(shell).unwrap())
            .args(["-c", script]);
        let run = run.current_dir(directory).run().exits(0);
        assert_eq!(run.text().lines().count(), 1, "{run:#?}");
        let found = origin(run.text().trim(), "OPENAI_MODEL").unwrap();
        assert_eq!(found.file.as_deref(), Some(&*file));
    }
}

#[test]
fn a_changed_byte_takes_back_what_consent_had_let_through() {
    let sandbox = projects();
    let script = "ev() { eval $(qwen-env \"$@\"); }; cd one; ev -q; show; qwen-env -q --trust --yes; ev; show; \
                  echo '# changed' >>.env; ev -q; show; qwen-env -q --trust --yes; ev; show; qwen-env -q --untrust; ev -q; show";
    steps(&sandbox, script).gives(
        0,
        "unset,unset,unset\none,one  *,unset\nunset,unset,unset\none,one  *,unset\nunset,unset,unset\n",
        "",
    );
}

#[test]
fn records_of_older_versions_are_read() {
    use sha2::Digest as _;
    let sandbox = projects();
    let digest = |assignment: &str| -> String {
        let hash = sha2::Sha256::digest(assignment);
        hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let record = format!(
        "A@{}+B@{}+C@{}",
        digest("A=old"),
        digest("B=old"),
        digest("C=old")
    );
    let shell = sandbox
        .command("/bin/dash")
        .env("QWEN_ENV_EXPORTED", record)
        .env("A", "old")
        .env("B", "hand")
        .env("C", "old");
    let script =
        "cd one; eval $(qwen-env --all); echo $A,$B,${C-unset}; eval $(qwen-env --unset); echo ${A-unset},$B";
    shell
        .args(["-c", script])
        .run()
        .gives(0, "one,hand,unset\nunset,hand\n", "");
}

#[test]
fn nothing_is_printed_when_nothing_changed() {
    let sandbox = projects();
    let script = "cd one; ev; qwen-env --all --shell sh; echo '#' >>.env; qwen-env --all --shell sh; A=2; \
                  qwen-env --all --shell sh | grep -c B@";
    steps(&sandbox, script).gives(0, "1\n", "");
}

/// A clone with an address and a key of its own, and a shell that has left it again.
fn exported_from_clone(sandbox: &Sandbox, exporting: &str, script: &str) -> Run {
    sandbox.write(
        "clone/.env",
        "OPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_API_KEY=sk-clone-0123456789\nOPENAI_MODEL=m\n",
    );
    let script = format!("cd ../clone; {exporting}; cd ../work; {script}");
    sandbox.command("/bin/sh").args(["-c", &script]).run()
}

#[test]
fn what_another_key_vouches_for_is_not_taken_back_and_not_the_users_word() {
    let forget = "rm $XDG_STATE_HOME/qwen/record.key";
    let show = "echo \"$OPENAI_BASE_URL,$OPENAI_API_KEY\"";
    for step in [
        "eval $(qwen-env)",
        "eval $(qwen-env --unset)",
        "eval $(qwen-env); eval $(qwen-env); eval $(qwen-env --unset)",
        "OPENAI_MODEL=other; export OPENAI_MODEL; eval $(qwen-env)",
    ] {
        let sandbox = Sandbox::new();
        let script =
            format!("{forget}; {step}; {show}; OPENAI_API_KEY=sk-own-0123456789 qwen-token --format json");
        let run = exported_from_clone(&sandbox, "eval $(qwen-env)", &script).exits(78);
        assert_eq!(
            run.text(),
            "http://127.0.0.1:9/v1,sk-clone-0123456789\n",
            "{step}: {run:#?}"
        );
        assert!(
            run.stderr.contains("is not sent to 'http://127.0.0.1:9/v1'"),
            "{step}: {run:#?}"
        );
        // What the same variables get from a file counts again.
        let script = format!(
            "{forget}; unset OPENAI_BASE_URL OPENAI_API_KEY OPENAI_MODEL; eval $(qwen-env); echo \"[$QWEN_ENV_EXPORTED]\""
        );
        let run = exported_from_clone(&sandbox, "eval $(qwen-env -q)", &script).exits(0);
        assert_eq!(run.text(), "[]\n", "{run:#?}");
    }
}

#[test]
fn an_unproven_record_leaves_a_key_that_the_user_typed_since() {
    let sandbox = Sandbox::new();
    let script = "rm $XDG_STATE_HOME/qwen/record.key; export OPENAI_API_KEY=sk-typed-0123456789; \
                  eval $(qwen-env); eval $(qwen-env --unset); echo $OPENAI_API_KEY; unset OPENAI_BASE_URL; qwen-token";
    let run = exported_from_clone(&sandbox, "eval $(qwen-env)", script).exits(0);
    assert_eq!(
        run.text(),
        "sk-typed-0123456789\nsk-typed-0123456789\n",
        "{run:#?}"
    );
}

#[test]
fn what_qwen_token_exports_of_a_project_keeps_that_standing() {
    let own = "OPENAI_API_KEY=sk-own-0123456789 qwen-token --format json";
    for exporting in [
        "eval $(qwen-token --format env)",
        "eval \"$(qwen-token --format env)\"; eval $(qwen-token --format env)",
        "eval $(qwen-env); eval $(qwen-token --format env)",
        "eval $(qwen-env --auth)",
    ] {
        let sandbox = Sandbox::new();
        let run = exported_from_clone(&sandbox, exporting, own).exits(78);
        assert!(
            run.stderr.contains("an untrusted project file set"),
            "{exporting}: {run:#?}"
        );
        let run = exported_from_clone(
            &sandbox,
            exporting,
            "eval $(qwen-env); echo \"[$OPENAI_BASE_URL$OPENAI_API_KEY]\"",
        );
        assert_eq!(run.exits(0).text(), "[]\n", "{exporting}");
    }
    let sandbox = Sandbox::new();
    let command = format!("qwen-token -- sh -c '{own}'");
    let run = exported_from_clone(&sandbox, &command, "true").exits(0);
    assert!(run.stderr.contains("an untrusted project file set"), "{run:#?}");
    // A server that asks for no key leaves no key behind.
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n");
    let script = "eval $(qwen-token --format env); echo $OPENAI_API_KEY; qwen-token --format json | grep -c '\"access_token\":null'";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run();
    run.gives(0, "none\n1\n", "");
}

#[test]
fn what_qwen_token_exports_of_the_users_own_is_the_users_word() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "OPENAI_API_KEY=sk-home-0123456789\n");
    let script = "eval $(qwen-token --format env); echo \"$OPENAI_API_KEY [$QWEN_ENV_EXPORTED]\"";
    let run = sandbox.command("/bin/sh").args(["-c", script]).run();
    run.gives(0, "sk-home-0123456789 []\n", "");
}

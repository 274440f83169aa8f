//! `qwen-env` as a user types it: what it prints, in which form, and how it ends.

use std::os::unix::ffi::OsStrExt;

use crate::support::{Sandbox, Tool};

/// Runs a shell command line in the sandbox, with the tools on its PATH.
fn sh(sandbox: &Sandbox, script: &str) -> Tool {
    sandbox.command("/bin/sh").args(["-c", script])
}

#[test]
fn the_documented_call_exports_the_documented_variables() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=\"your-api-key\"\nOPENAI_BASE_URL=\"https://dashscope.aliyuncs.com/compatible-mode/v1\"\n\
         OPENAI_MODEL=\"qwen3-coder-plus\"\n",
    );
    let script =
        "eval $(qwen-env); echo $OPENAI_API_KEY $OPENAI_BASE_URL $OPENAI_MODEL; sh -c 'echo $OPENAI_MODEL'";
    sh(&sandbox, script).run().gives(
        0,
        "your-api-key https://dashscope.aliyuncs.com/compatible-mode/v1 qwen3-coder-plus\nqwen3-coder-plus\n",
        &format!(
            "qwen-env: {}:2: OPENAI_BASE_URL is this project's; programs that store keys themselves would send them there\n",
            sandbox.work().join(".env").display()
        ),
    );
}

#[test]
fn without_a_file_there_is_no_output_and_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.tool("qwen-env").run().gives(0, "", "");
    sandbox
        .tool("qwen-env")
        .args(["--format", "json"])
        .run()
        .gives(0, "{}\n", "");
    sandbox
        .tool("qwen-env")
        .args(["--format", "dotenv"])
        .run()
        .gives(0, "", "");
    sandbox
        .tool("qwen-env")
        .args(["--format", "null"])
        .run()
        .gives(0, "", "");
    sandbox.tool("qwen-env").arg("--unset").run().gives(0, "", "");
    sandbox.tool("qwen-env").arg("--check").run().gives(0, "", "");
    sandbox
        .tool("qwen-env")
        .args(["--", "echo", "ran"])
        .run()
        .gives(0, "ran\n", "");
    let required = sandbox
        .tool("qwen-env")
        .args(["--require", "--shell", "sh"])
        .run()
        .exits(66);
    assert_eq!(required.text(), "false;\n");
    assert!(required.stderr.contains("no .env file from '"), "{required:#?}");
}

#[test]
fn a_command_gets_the_variables_and_its_exit_code_is_the_tools() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=one\nWITH.DOT=two\nB=three\n");
    let tool = || sandbox.tool("qwen-env").arg("--all").env("B", "mine");
    tool()
        .args(["--", "sh", "-c", "echo $A $B; exit 7"])
        .run()
        .gives(7, "one mine\n", "");
    tool()
        .args(["--override", "--", "sh", "-c", "echo $A $B"])
        .run()
        .gives(0, "one three\n", "");
    let all = tool().args(["--", "env"]).run().exits(0).text();
    assert!(all.contains("WITH.DOT=two\n"), "{all}");
    // The tools that the command runs know which values came with a project.
    assert!(all.contains("QWEN_ENV_EXPORTED="), "{all}");
    tool().args(["--", "sh", "-c", "kill -TERM $$"]).run().exits(143);
    let piped = tool().args(["--", "cat"]).stdin("through\n").run();
    piped.gives(0, "through\n", "");
}

#[test]
fn a_command_that_cannot_run_is_126_and_one_that_is_not_there_127() {
    let sandbox = Sandbox::new();
    let plain = sandbox.write("work/plain", "#!/bin/sh\n");
    let orphan = sandbox.write("work/orphan", "#!/no/such/interpreter\n");
    let tool = |word: &std::path::Path| sandbox.tool("qwen-env").arg("--").arg(word).run();
    tool("no-such-command".as_ref()).fails(127, &["qwen-env: 'no-such-command': command not found"]);
    tool("".as_ref()).fails(127, &["qwen-env: '': command not found"]);
    tool(&plain).fails(126, &["cannot run", "permission denied"]);
    tool(&sandbox.work()).fails(126, &["cannot run"]);
    let done = sandbox.command("/bin/chmod").arg("755").arg(&orphan).run();
    done.gives(0, "", "");
    tool(&orphan).fails(126, &["its interpreter is not there"]);
}

#[test]
fn a_single_value_is_printed_as_it_is_and_an_unset_one_is_a_no() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=\"two\nlines\"\nE=\nA.B=dotted\nTAKEN=file\n");
    let get = |name: &str| {
        sandbox
            .tool("qwen-env")
            .env("TAKEN", "mine")
            .args(["--all", "--get", name])
    };
    get("A").run().gives(0, "two\nlines\n", "");
    get("E").run().gives(0, "\n", "");
    get("A.B").run().gives(0, "dotted\n", "");
    get("NOPE").run().gives(1, "", "");
    get("TAKEN").run().gives(0, "mine\n", "");
    get("TAKEN").arg("--override").run().gives(0, "file\n", "");
    let raw = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let bytes = sandbox
        .tool("qwen-env")
        .env("RAW", raw)
        .args(["--get", "RAW"])
        .run()
        .exits(0);
    assert_eq!(bytes.stdout, b"\xff\xfe\n");
}

#[test]
fn data_formats_hold_what_the_statements_would_export() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=\"a 'b' \\n# c\"\nB=x=y\nA-B=dash\nTAKEN=file\n");
    let tool = |format: &str| {
        sandbox
            .tool("qwen-env")
            .env("TAKEN", "mine")
            .args(["--all", "--format", format])
            .run()
    };
    let json: serde_json::Value = serde_json::from_str(&tool("json").exits(0).text()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({ "A": "a 'b' \n# c", "B": "x=y", "A-B": "dash" })
    );
    tool("null").gives(0, "A=a 'b' \n# c\0B=x=y\0A-B=dash\0", "");
    tool("dotenv").gives(
        0,
        "B='x=y'\n",
        "qwen-env: 'A' is left out: no line of the file can hold a line end\n\
         qwen-env: 'A-B' is left out: such a name is no variable to all readers of the file\n\
         qwen-env: hint: '--format json' and '--format null' hold every value\n",
    );
}

#[test]
fn a_value_that_no_dotenv_line_can_hold_is_left_out_by_name() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=\"'\\n`\\n\"\"\nB=1\n");
    let run = sandbox
        .tool("qwen-env")
        .args(["--all", "--format", "dotenv"])
        .run();
    run.gives(
        0,
        "B=1\n",
        "qwen-env: 'A' is left out: no line of the file can hold a line end\n\
         qwen-env: hint: '--format json' and '--format null' hold every value\n",
    );
}

#[test]
fn failures_make_the_eval_fail_and_say_why() {
    let sandbox = Sandbox::new();
    for arguments in [
        "--file missing.env",
        "--file .",
        "--require",
        "-C /no/such/place",
        "--no-such-flag",
        "--format nonsense",
        "--shell nonsense",
        "--chain nonsense",
    ] {
        let run = sh(
            &sandbox,
            &format!("eval $(qwen-env {arguments}) && echo passed; echo $?"),
        )
        .run();
        assert_eq!(run.text(), "1\n", "{arguments}: {run:#?}");
        assert!(run.stderr.starts_with("qwen-env: "), "{arguments}: {run:#?}");
    }
    let stopped = sh(&sandbox, "set -e; eval $(qwen-env --require); echo went on").run();
    assert_eq!((stopped.code(), stopped.text().as_str()), (1, ""));
}

#[test]
fn a_failure_says_false_to_shells_only() {
    let sandbox = Sandbox::new();
    for (arguments, code) in [
        (vec!["--file", "missing", "--format", "json"], 66),
        (vec!["--file", "missing", "--get", "A"], 66),
        (vec!["--file", "missing", "--check"], 66),
        (vec!["--file", "missing", "--", "true"], 66),
        (vec!["--file", "missing", "--shell", "elvish"], 66),
        (vec!["--file", "missing", "--shell", "nu"], 66),
        (vec!["--trust", "missing"], 66),
    ] {
        sandbox
            .tool("qwen-env")
            .args(&arguments)
            .run()
            .fails(code, &["missing"]);
    }
    for shell in ["sh", "bash", "zsh", "fish", "tcsh", "csh"] {
        let run = sandbox
            .tool("qwen-env")
            .args(["--file", "missing", "--shell", shell])
            .run();
        assert_eq!((run.code(), run.text().as_str()), (66, "false;\n"), "{shell}");
    }
}

#[test]
fn contradicting_flags_are_usage_errors() {
    let sandbox = Sandbox::new();
    for arguments in [
        vec!["--get", "A", "--explain"],
        vec!["--check", "--", "true"],
        vec!["--trust", "--untrust"],
        vec!["--show-secrets"],
        vec!["stray"],
    ] {
        let run = sandbox.tool("qwen-env").args(&arguments).run().exits(64);
        assert!(run.stderr.contains("hint: run 'qwen-env --help'"), "{run:#?}");
    }
}

#[test]
fn notices_are_silenced_by_quiet_and_decisions_told_by_verbose() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "LD_PRELOAD=x\nA=1\nB=2\nC=1\nC=2\nDEBUG=1\n");
    let tool = || {
        let tool = sandbox.tool("qwen-env").env("B", "3");
        tool.args(["--all", "--shell", "bash"])
    };
    let loud = tool().run().exits(0);
    assert!(
        loud.stderr
            .contains(".env: 1 variable waits for consent: LD_PRELOAD\n"),
        "{loud:#?}"
    );
    assert_eq!(tool().arg("-q").run().exits(0).stderr, "");
    let told = tool().arg("-v").run().exits(0).stderr;
    for decision in [
        ".env:1: 'LD_PRELOAD' waits for consent\n",
        ".env:2: 'A' is exported\n",
        ".env:3: 'B' is kept from the environment\n",
        ".env:4: 'C' is overwritten by line 5\n",
        ".env:6: 'DEBUG' is excluded: Qwen Code does not take it from a project's .env\n",
    ] {
        assert!(told.contains(decision), "{told}");
    }
}

#[test]
fn the_full_disk_is_an_error_and_a_closed_pipe_is_silent() {
    use std::os::unix::process::ExitStatusExt;
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_MODEL=1\n");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = sandbox
        .tool("qwen-env")
        .into_command()
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = sandbox
        .tool("qwen-env")
        .into_command()
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.signal(), output.stderr.len()), (Some(13), 0));
}

#[test]
fn an_empty_command_line_means_what_its_defaults_mean() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\nB=two\nLD_PRELOAD=x\nA.B=1\n");
    sandbox.write("home/.env", "C=1\n");
    let tool = || sandbox.tool("qwen-env").env("B", "mine");
    let said = tool()
        .args(["--format", "shell", "--chain", "first", "--color", "auto"])
        .run()
        .exits(0);
    tool().run().gives(0, said.text(), &said.stderr);
    let (full, full_too) = (
        sandbox.tool("qwen-env"),
        sandbox.tool("qwen-env").args(["--format=shell"]),
    );
    let broken = |tool: Tool| tool.env("QWEN_ENV_CHAIN", "x").run().exits(78);
    let (one, other) = (broken(full), broken(full_too));
    assert_eq!((one.text(), one.stderr), (other.text(), other.stderr));
}

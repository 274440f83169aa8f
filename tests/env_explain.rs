//! `--explain` answers why a variable is not set; `--check` finds probable mistakes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Run, Sandbox, peers};
use serde_json::Value;

/// The explanation as a program reads it.
fn explained(sandbox: &Sandbox, arguments: &[&str]) -> Value {
    let tool = sandbox
        .tool("qwen-env")
        .args(["--explain", "--format", "json"])
        .args(arguments);
    let run = tool.env("KEPT", "mine").env("LANG", "C.UTF-8").run().exits(0);
    assert_eq!(run.stderr, "");
    serde_json::from_str(&run.text()).unwrap()
}

/// Name, line, status and reason of each variable.
fn statuses(explained: &Value) -> Vec<(&str, u64, &str, &str)> {
    explained["variables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let of = |name: &str| row[name].as_str().unwrap();
            (
                of("name"),
                row["line"].as_u64().unwrap(),
                of("status"),
                of("reason"),
            )
        })
        .collect()
}

#[test]
fn every_variable_is_told_with_its_place_and_status() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "work/.env",
        format!(
            "A=1\nA=2\nKEPT=3\nDEBUG=4\nLD_PRELOAD=5\nA.B=6\nUID=7\nN=\0\nLONG={}\nOPENAI_BASE_URL=u\nQWEN_ENV_EXPORTED=e\n",
            "x".repeat(131_071)
        ),
    );
    let told = explained(&sandbox, &["--shell", "bash", "--all"]);
    assert_eq!(
        statuses(&told),
        [
            ("A", 1, "overwritten", "by line 2"),
            ("A", 2, "exported", ""),
            ("KEPT", 3, "kept", "the environment has it"),
            (
                "DEBUG",
                4,
                "excluded",
                "Qwen Code does not take it from a project's .env"
            ),
            (
                "LD_PRELOAD",
                5,
                "waiting",
                "for your consent (dynamic linker: loads code)"
            ),
            ("A.B", 6, "refused", "such a name cannot be a shell variable"),
            ("UID", 7, "refused", "the shell reserves that name"),
            ("N", 8, "refused", "its value holds a NUL"),
            (
                "LONG",
                9,
                "refused",
                "with its value it is longer than 131071 bytes"
            ),
            (
                "OPENAI_BASE_URL",
                10,
                "withheld",
                "an untrusted project file may set it only together with 'OPENAI_API_KEY', and that is not the key in force"
            ),
            ("QWEN_ENV_EXPORTED", 11, "refused", "no file may set it"),
        ]
    );
    assert_eq!(told["variables"][0]["file"], file.to_str().unwrap());
    assert_eq!(told["variables"][0]["trust"], "untrusted project");
    assert_eq!(told["variables"][4]["mark"]["program"], "dynamic linker");
    assert_eq!(
        told["notice"],
        "1 variable waits for your consent: run 'qwen-env --trust' to see what this file sets, and to let it"
    );
    assert_eq!((&told["rule"], &told["shell"]), (&"first".into(), &"bash".into()));
}

#[test]
fn every_file_is_told_with_its_status() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\n");
    sandbox.write("home/.env", "B=1\n");
    let loose = sandbox.write("work/sub/.env", "C=1\n");
    fs::set_permissions(loose, fs::Permissions::from_mode(0o666)).unwrap();
    let told = explained(&sandbox, &["-C", "sub"]);
    let status = |path: &str| {
        let path = sandbox.root().join(path).to_str().unwrap().to_owned();
        let files = told["files"].as_array().unwrap();
        let file = files
            .iter()
            .find(|file| file["path"] == path.as_str())
            .unwrap_or_else(|| panic!("no {path} in {told}"));
        format!(
            "{}: {}",
            file["status"].as_str().unwrap(),
            file["reason"].as_str().unwrap()
        )
    };
    assert_eq!(status("work/sub/.qwen/.env"), "absent: ");
    assert_eq!(status("work/sub/.env"), "passed over: is writable by all");
    assert_eq!(status("work/.env"), "read: untrusted project file");
    assert_eq!(
        status("home/.env"),
        "not read: an earlier file ends the search, files are not merged"
    );
    assert_eq!(status("home/.qwen/.env"), "absent: ");
}

#[test]
fn merged_files_tell_which_one_won() {
    let sandbox = Sandbox::new();
    let project = sandbox.write("work/.env", "A=1\n");
    sandbox.write("home/.env", "A=2\nB=3\n");
    let told = explained(&sandbox, &["--chain", "merge", "--all"]);
    let shadowed = format!("by {}:1", project.display());
    assert_eq!(
        statuses(&told),
        [
            ("A", 1, "exported", ""),
            ("A", 1, "shadowed", shadowed.as_str()),
            ("B", 2, "exported", "")
        ]
    );
}

#[test]
fn values_are_masked_unless_secrets_are_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_API_KEY=sk-canary-0123456789\nSHORT=canary\nCTRL=\"a\\n\u{1b}[31mcanary\"\n",
    );
    for arguments in [vec!["--explain"], vec!["--explain", "--format", "json"]] {
        let masked = sandbox.tool("qwen-env").args(&arguments).run().exits(0).text();
        assert!(
            !masked.contains("canary") && masked.contains("sk-***89"),
            "{masked}"
        );
        let shown = sandbox
            .tool("qwen-env")
            .args(&arguments)
            .arg("--show-secrets")
            .run()
            .exits(0)
            .text();
        assert!(
            shown.contains("sk-canary-0123456789") && !shown.contains('\u{1b}'),
            "{shown}"
        );
    }
}

#[test]
fn an_address_is_told_without_the_secrets_in_it() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "OPENAI_API_KEY=sk-canary-0123456789\nOPENAI_BASE_URL=https://u:canary@h.example/v1?sig=canary#canary\nDATABASE_URL=postgres://u:canary@db/app\n");
    let told = explained(&sandbox, &[]);
    assert!(!told.to_string().contains("canary"), "{told}");
    assert_eq!(told["variables"][1]["value"], "https://***@h.example/v1?***");
    assert_eq!(told["variables"][2]["value"], "postgres://***@db/app");
    assert_eq!(told["variables"][2]["status"], "waiting");
    assert_eq!(told["variables"][2]["mark"], Value::Null);
}

#[test]
fn what_will_be_taken_back_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("work/one/.env", "A=1\n");
    let script = "cd one; eval $(qwen-env --all); cd ..; qwen-env --explain | tail -n 2";
    let run = sandbox.command("/bin/dash").args(["-c", script]).run();
    run.gives(0, "  none\n  A was exported earlier and is unset\n", "");
}

/// The findings, without the directory.
fn check(sandbox: &Sandbox) -> Run {
    sandbox.tool("qwen-env").arg("--check").run()
}

#[test]
fn a_clean_file_passes_the_check() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "# a comment\n\nexport A=1 # said\nB='x # y'\nC=\"it's\"\nDEBUG=1\nOPENAI_BASE_URL=u\nOPENAI_API_KEY=k\n",
    );
    check(&sandbox).gives(0, "", "");
    sandbox.write("home/.env", "LD_PRELOAD=mine\nX_BASE_URL=u\n");
    fs::remove_file(sandbox.work().join(".env")).unwrap();
    check(&sandbox).gives(0, "", "");
}

#[test]
fn the_check_names_every_kind_of_mistake_with_its_line() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "work/.env",
        "A=1#cut\nB=\"open\njunk here\nC:\nD=2\nA=again\nPATH=/x\nE.F=1\nOPENAI_BASE_URL=u\nset G=1\nH='a' b\nN=\0\n",
    );
    let place = file.display();
    let expected = [
        "1: 'A' ends at '#': put the value in quotes to keep the rest",
        "1: 'A': not portable: others find its comment elsewhere, or none; npm dotenv reads '***', dotenvy reads '***'",
        "1: 'A' is set again on line 6, which wins",
        "2: 'B' keeps its quote: the value is not quoted as a whole",
        "2: 'B': not portable: quotes do not enclose the whole value on one line; npm dotenv reads '***', dotenvy cannot read it",
        "3: is no assignment; it is skipped",
        "4: 'C' takes its value from a later line",
        "4: 'C': not portable: others know no ':' in the place of '='; npm dotenv reads '***', dotenvy cannot read it",
        "8: 'E.F': not portable: its name is none to a shell; npm dotenv reads '***', dotenvy reads the same",
        "8: 'E.F' cannot be the name of a shell variable",
        "9: 'OPENAI_BASE_URL' is not exported: 'OPENAI_API_KEY' is not set beside it",
        "10: is no assignment; it is skipped",
        "11: 'H' keeps its quote: the value is not quoted as a whole",
        "11: 'H': not portable: quotes do not enclose the whole value on one line; npm dotenv reads '***', dotenvy cannot read it",
        "12: 'N': not portable: it holds a character that is not printable; npm dotenv reads '***', dotenvy reads the same",
        "12: 'N' is refused: its value holds a NUL",
    ];
    let whole = format!("{place}: holds a NUL, which a shell drops and others keep\n");
    let lines = expected.iter().map(|line| format!("{place}:{line}\n"));
    let lines = whole + &lines.collect::<String>();
    check(&sandbox).gives(65, lines, "");
    let json = sandbox
        .tool("qwen-env")
        .args(["--check", "--format", "json"])
        .run()
        .exits(65);
    let json: Value = serde_json::from_str(&json.text()).unwrap();
    assert_eq!(json.as_array().unwrap().len(), expected.len() + 1);
    assert!(
        json.as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["line"] == 3)
    );
}

#[test]
fn the_check_names_each_line_that_dotenvy_reads_otherwise_than_npm() {
    for (line, difference) in [
        ("K=plain", None),
        ("K=", None),
        ("export K='sk-$HOME # whole' # said", None),
        ("K=\"two\\nlines\"", Some("dotenvy reads the same")),
        ("K=\"two\nlines\"", Some("dotenvy reads the same")),
        ("K = spaced", Some("dotenvy reads the same")),
        ("K=two words", Some("dotenvy cannot read it")),
        ("K=`quoted`", Some("dotenvy reads '***'")),
        ("K=sk-canary-$HOME-0123456789", Some("dotenvy reads 'sk-***89'")),
        (
            "K=sk-canary-${NOT_SET}-0123456789",
            Some("dotenvy reads 'sk-***89'"),
        ),
        ("K=$UNSET", Some("dotenvy reads an empty value")),
        ("K=a\\$b", Some("dotenvy reads '***'")),
        ("K=\"C:\\dir\"", Some("dotenvy cannot read it")),
        ("K='it\\'s'", Some("dotenvy cannot read it")),
        ("K: colon", Some("dotenvy cannot read it")),
        ("K=\n  'later'", Some("dotenvy reads an empty value")),
    ] {
        let sandbox = Sandbox::new();
        let file = sandbox.write("work/.env", format!("A=1\n{line}\nZ=1\n"));
        let run = check(&sandbox);
        assert!(!run.text().contains("canary"), "{run:#?}");
        let found: Vec<String> = run.text().lines().map(str::to_owned).collect();
        let of_dotenvy: Vec<&String> = found.iter().filter(|line| line.contains("dotenvy")).collect();
        let begin = format!("{}:2: 'K': not portable: ", file.display());
        match difference {
            None => assert!(of_dotenvy.is_empty(), "{line}: {found:?}"),
            Some(difference) => {
                assert_eq!(of_dotenvy.len(), 1, "{line}: {found:?}");
                let told = of_dotenvy[0];
                assert!(
                    told.starts_with(&begin) && told.ends_with(&format!(", {difference}")),
                    "{line}: {told}"
                );
            }
        }
    }
}

#[test]
fn the_check_names_loose_modes_and_files_that_were_passed_over() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/.env", "A=1\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    check(&sandbox).gives(
        65,
        format!("{}: other users have rights to it (mode 0644)\n", file.display()),
        "",
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    check(&sandbox).gives(65, format!("{}: is writable by all\n", file.display()), "");
}

#[test]
fn the_check_asks_git_whether_a_commit_would_publish_the_file() {
    let git = peers::command("git");
    if !peers::present("git", git.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let path = format!("{}:/usr/bin:/bin", git.unwrap().parent().unwrap().display());
    let git = |script: &str| {
        sandbox
            .command("/bin/sh")
            .env("PATH", &path)
            .args(["-c", script])
            .run()
            .exits(0)
    };
    let file = sandbox.write("work/.env", "A=1\n");
    let checked = || sandbox.tool("qwen-env").arg("--check").env("PATH", &path).run();
    git("git init -q .");
    let fault = format!(
        "{}: git does not ignore it: a commit would publish its secrets\n",
        file.display()
    );
    checked().gives(65, &fault, "");
    fs::write(sandbox.work().join(".gitignore"), ".env\n").unwrap();
    checked().gives(0, "", "");
    git("git add -f .env");
    checked().gives(65, &fault, "");
    let blind = sandbox
        .tool("qwen-env")
        .arg("--check")
        .env("PATH", "/nowhere")
        .run();
    blind.gives(
        0,
        "",
        "qwen-env: cannot tell whether git ignores the files: git is not on PATH\n",
    );
    git("git rm -q --cached .env; git config core.fsmonitor 'touch PWNED; false'");
    checked().gives(0, "", "");
    // An ignore list that is neither in the work tree nor among the objects: git would fetch it, by this command.
    git(
        "git config --unset core.fsmonitor; git add .gitignore; git update-index --skip-worktree .gitignore; rm -rf .gitignore .git/objects/??; \
         git config core.repositoryformatversion 1; git config extensions.partialClone origin; \
         git config remote.origin.url ssh://host/x; git config remote.origin.promisor true; \
         git config core.sshCommand 'touch PWNED; false'",
    );
    checked().exits(65);
    assert!(!sandbox.work().join("PWNED").exists());
}

#[test]
fn a_named_file_can_be_checked_for_continuous_integration() {
    let sandbox = Sandbox::new();
    sandbox.write("work/ci.env", "junk\n");
    let run = sandbox
        .tool("qwen-env")
        .args(["--check", "--file", "ci.env"])
        .run()
        .exits(65);
    assert!(
        run.text()
            .ends_with("/work/ci.env:1: is no assignment; it is skipped\n"),
        "{run:#?}"
    );
    sandbox
        .tool("qwen-env")
        .args(["--check", "--file", "none.env"])
        .run()
        .fails(66, &["none.env: no such file"]);
    sandbox
        .tool("qwen-env")
        .args(["--check", "--require"])
        .run()
        .fails(66, &["no .env file"]);
}

//! What an answer about a file holds for: a real path and a content, whatever else stands there, or stood there before.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Run, Sandbox, peers};

const GOOD: &str = "GREETING=good\n";
const EVIL: &str = "GREETING=evil\n";

/// A sandbox with these files, the first of them trusted.
fn trusted(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    for (file, content) in files {
        sandbox.write(file, content);
    }
    trust(&sandbox, &sandbox.root().join(files[0].0));
    sandbox
}

fn trust(sandbox: &Sandbox, file: &Path) {
    let tool = sandbox.tool("qwen-env").args(["--yes", "-q", "--trust"]);
    tool.arg(file).run().exits(0);
}

/// What the variable is in a directory; nothing where it waits.
fn greeting(sandbox: &Sandbox, directory: &str) -> String {
    let tool = sandbox
        .tool("qwen-env")
        .arg("-C")
        .arg(sandbox.root().join(directory));
    let run = tool.args(["-q", "--get", "GREETING"]).run();
    assert!([0, 1].contains(&run.code()), "{run:#?}");
    run.text().trim_end().to_owned()
}

#[test]
fn a_link_to_another_file_is_another_content() {
    let sandbox = trusted(&[("work/good", GOOD), ("work/evil", EVIL)]);
    let link = sandbox.work().join(".env");
    let lead_to = |target: &str| {
        let _ = fs::remove_file(&link);
        symlink(target, &link).unwrap();
        greeting(&sandbox, "work")
    };
    assert_eq!(lead_to("good"), "", "the answer is about another path");
    trust(&sandbox, &link);
    assert_eq!((lead_to("good").as_str(), lead_to("evil").as_str()), ("good", ""));
    assert_eq!(lead_to("good"), "good");
    fs::remove_file(&link).unwrap();
    fs::hard_link(sandbox.work().join("evil"), &link).unwrap();
    assert_eq!(greeting(&sandbox, "work"), "");
}

#[test]
fn a_directory_by_another_name_is_another_path() {
    let sandbox = trusted(&[
        ("work/a/.env", GOOD),
        ("work/b/.env", GOOD),
        ("work/c/.env", EVIL),
    ]);
    let at = |name: &str| sandbox.work().join(name);
    assert_eq!(greeting(&sandbox, "work/b"), "", "the same content elsewhere");
    symlink(at("a"), at("link")).unwrap();
    assert_eq!(greeting(&sandbox, "work/link"), "good");
    fs::remove_file(at("link")).unwrap();
    symlink(at("c"), at("link")).unwrap();
    assert_eq!(greeting(&sandbox, "work/link"), "");
    fs::rename(at("a"), at("kept")).unwrap();
    assert_eq!(greeting(&sandbox, "work/kept"), "");
    fs::rename(at("c"), at("a")).unwrap();
    assert_eq!(greeting(&sandbox, "work/a"), "");
    fs::rename(at("a"), at("c")).unwrap();
    fs::rename(at("kept"), at("a")).unwrap();
    assert_eq!(greeting(&sandbox, "work/a"), "good");
}

#[test]
fn a_line_end_in_a_directorys_name_makes_it_no_other_directory() {
    let sandbox = trusted(&[
        ("work/a\nb/.env", GOOD),
        ("work/a/.env", GOOD),
        ("work/a b/.env", GOOD),
        ("work/a\\nb/.env", GOOD),
    ]);
    assert_eq!(greeting(&sandbox, "work/a\nb"), "good");
    for other in ["work/a", "work/a b", "work/a\\nb"] {
        assert_eq!(greeting(&sandbox, other), "", "{other:?}");
    }
    sandbox.write("work/a\nb/.env", EVIL);
    let tool = sandbox.tool("qwen-env").args(["-C", "a\nb"]);
    let said = tool.run().exits(0).stderr;
    assert!(said.lines().all(|line| line.starts_with("qwen-env: ")), "{said}");
}

/// The last answer about a path is the only one.
#[test]
fn a_content_that_comes_back_counts_while_no_other_was_answered() {
    let sandbox = trusted(&[("work/.env", GOOD)]);
    let write = |content| {
        sandbox.write("work/.env", content);
        greeting(&sandbox, "work")
    };
    assert_eq!((write(EVIL), write(GOOD)), (String::new(), "good".to_owned()));
    write(EVIL);
    trust(&sandbox, &sandbox.work().join(".env"));
    assert_eq!((write(EVIL), write(GOOD)), ("evil".to_owned(), String::new()));
    sandbox.tool("qwen-env").args(["-q", "--untrust"]).run().exits(0);
    assert_eq!((write(EVIL), write(GOOD)), (String::new(), String::new()));
}

#[test]
fn a_yes_and_a_no_at_once_leave_one_answer_in_a_whole_store() {
    let sandbox = trusted(&[("work/.env", GOOD)]);
    let flags = ["--trust", "--untrust"];
    let children: Vec<_> = (0..24)
        .map(|number| {
            sandbox
                .tool("qwen-env")
                .args(["--yes", "-q", flags[number % 2]])
                .start()
        })
        .collect();
    for child in children {
        Run::wait(child, "qwen-env").exits(0);
    }
    let store = sandbox.read("home/.local/state/qwen/trust.json");
    let store: serde_json::Value = serde_json::from_str(&store).unwrap();
    let answers = store["files"].as_object().unwrap();
    let expected = match answers.len() {
        0 => "",
        _ => "good",
    };
    assert!(answers.len() <= 1);
    assert_eq!(greeting(&sandbox, "work"), expected);
}

/// Runs a script where mounts are its own; `None` where there can be none.
fn mounted(sandbox: &Sandbox, script: &str) -> Option<Run> {
    let have = peers::command("unshare").is_some();
    let namespace = |script: &str| {
        let unshare = sandbox.command("/usr/bin/unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script])
    };
    let may = have && namespace("mount -t tmpfs none \"$HOME\"").run().status.success();
    peers::present("mounts (unshare)", may).then(|| namespace(script).run())
}

#[test]
fn a_mount_in_the_place_of_a_directory_or_a_file_is_judged_by_its_content() {
    let sandbox = trusted(&[
        ("work/a/.env", GOOD),
        ("work/b/.env", EVIL),
        ("work/c/.env", GOOD),
    ]);
    let script = "get() { qwen-env -q -C \"$1\" --get GREETING || echo none; }
        mount --bind b a; get a; umount a; get a
        mount --bind b/.env a/.env; get a; umount a/.env
        mount --bind c a; get a; umount a
        mount --bind a c; get c";
    if let Some(run) = mounted(&sandbox, script) {
        assert_eq!(run.text(), "none\ngood\nnone\ngood\nnone\n", "{run:#?}");
    }
}

/// On a disk that takes no more, or not ours, an answer is refused by name, and those before it stay.
#[test]
fn a_store_that_cannot_be_written_keeps_the_answers_that_it_has() {
    let sandbox = trusted(&[("work/a/.env", GOOD), ("work/b/.env", EVIL)]);
    let tries = "get() { qwen-env -q -C \"$1\" --get GREETING || echo none; }
        get a; get b
        qwen-env --yes -q --trust b/.env || echo $?
        qwen-env -q --untrust a/.env || echo $?
        get a; get b; ls -A \"$HOME/.local/state/qwen\" | grep -c tmp || :";
    let read_only =
        "mount --bind \"$HOME/.local\" \"$HOME/.local\"; mount -o remount,bind,ro \"$HOME/.local\"\n";
    let full =
        "mkdir kept; cp -r \"$HOME/.local/.\" kept; mount -t tmpfs -o size=64k,mode=700 none \"$HOME/.local\"
        cp -r kept/. \"$HOME/.local\"; dd if=/dev/zero of=\"$HOME/.local/fill\" bs=4k 2>/dev/null || :\n";
    for disk in [read_only, full] {
        let Some(run) = mounted(&sandbox, &format!("{disk}{tries}")) else {
            return;
        };
        assert_eq!(run.text(), "good\nnone\n74\n74\ngood\nnone\n0\n", "{run:#?}");
        assert!(run.stderr.contains("trust.json"), "{run:#?}");
    }
}

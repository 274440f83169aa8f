//! The recipes for git of qwen-recipes(7), in real repositories. tests/data/recipes/hook holds a case a file, most of them
//! from what users of other tools have reported; the hook is what a reader copies from the screen.

use std::fs;
use std::path::Path;

use crate::support::recipe::{self, answering, asked, endpoint, header, recipe, shell};
use crate::support::{Run, Sandbox, Server, Tool};

const PROPOSAL: &str = "Sing at dawn\n\nBirds do.";

/// What the cases use: a repository with the hook and one commit, in which an editor keeps what it is shown.
const PRELUDE: &str = r#"message() { git log -1 --format=%B; }
fails() { if "$@"; then echo "succeeded: $*" >&2; exit 1; fi; }
change() { echo "$1" >>file; git add file; }
git init -q -b main .
echo one >file
git add file
git commit -qm first
mkdir -p .git/hooks
cp ~/hook .git/hooks/prepare-commit-msg
chmod +x .git/hooks/prepare-commit-msg
"#;

/// Runs a case in its repository.
fn run(sandbox: &Sandbox, server: &Server, case: &str) -> Run {
    let hook = recipe("A commit message", 0);
    assert!(hook.contains("--max-time 30"), "{hook}");
    // A server that does not answer is waited for one second.
    sandbox.write("home/hook", hook.replace("--max-time 30", "--max-time 1"));
    sandbox.program("bin/editor", "#!/bin/sh\ncat \"$1\" >~/shown\n");
    let url = match header(case, "server") {
        Some("off") => "http://127.0.0.1:1/v1".to_owned(),
        _ => server.url("/v1"),
    };
    shell(
        sandbox,
        &url,
        "/bin/sh",
        &format!("{}{PRELUDE}{case}", recipe::PRELUDE),
    )
    .env("proposal", PROPOSAL)
    .env("GIT_EDITOR", "editor")
    .run()
}

/// What went wrong in a case, if anything.
fn fault(path: &Path) -> Option<String> {
    let case = fs::read_to_string(path).unwrap();
    let (sandbox, server) = (Sandbox::new(), endpoint(&case, PROPOSAL));
    let run = run(&sandbox, &server, &case);
    let has_size = asked(&server)
        .iter()
        .all(|sent| sent.len() < 64 << 10 && !sent.contains('\x1b'));
    let fault = recipe::fault(&case, &server, &run).or((!has_size).then(|| format!("{run:#?}")));
    fault.map(|fault| format!("{}: {fault}", path.display()))
}

#[test]
fn the_hook_proposes_where_there_is_no_message_and_never_stands_in_the_way() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recipes/hook");
    let mut cases: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() > 20, "{cases:?}");
    let half = cases.split_off(cases.len() / 2);
    let judge = |cases: Vec<std::path::PathBuf>| -> Vec<String> {
        cases.iter().filter_map(|case| fault(case)).collect()
    };
    let faults = std::thread::scope(|scope| {
        let other = scope.spawn(|| judge(half));
        [judge(cases), other.join().unwrap()].concat()
    });
    assert!(
        faults.is_empty(),
        "{} faults\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// A clone whose branch has two commits more than its origin, in a shell.
fn branch(sandbox: &Sandbox, server: &Server, script: &str) -> Tool {
    let clone = "set -e; git init -q -b main up; cd up; git commit -q --allow-empty -m first; cd ..; git clone -q up clone; cd clone
        for n in a b; do echo $n >$n; git add $n; git commit -qm \"Add $n\" -m \"It's \\\"$n\\\".\"; done
        set +e\n";
    // What gh(1) would do, told by its flags and its standard input.
    sandbox.program(
        "bin/gh",
        "#!/bin/sh\nprintf '<%s>' \"$@\" >~/gh; case \" $* \" in *' --body-file - '*) cat >~/body ;; esac\n",
    );
    shell(
        sandbox,
        &server.url("/v1"),
        "/bin/bash",
        &format!("{clone}{script}"),
    )
}

#[test]
fn a_pull_request_has_its_title_and_its_text() {
    let (sandbox, server) = (
        Sandbox::new(),
        answering("Add a and b\n\nBoth, with \"quotes\" and $(touch planted)."),
    );
    branch(&sandbox, &server, &recipe("The text of a pull request", 0))
        .run()
        .exits(0);
    assert_eq!(
        sandbox.read("home/gh"),
        "<pr><create><--draft><--body-file><-><--title><Add a and b>"
    );
    assert_eq!(
        sandbox.read("home/body"),
        "Both, with \"quotes\" and $(touch planted).\n"
    );
    let asked = asked(&server).concat();
    let places = ["Add a", "It's \"a\".", "Add b"].map(|text| asked.find(text).unwrap());
    assert!(places.is_sorted(), "{asked}");
}

#[test]
fn no_pull_request_is_made_of_nothing_or_of_half_an_answer() {
    for (before, kind, code, count) in [
        (
            "git push -q origin HEAD:main2; git branch -q -u origin/main2; git update-ref refs/remotes/origin/main HEAD\n",
            "answers",
            1,
            0,
        ),
        ("git remote rename origin upstream\n", "answers", 128, 0),
        ("", "breaks", 76, 1),
        ("", "refuses", 77, 1),
    ] {
        let (sandbox, server) = (Sandbox::new(), endpoint(&format!("# server: {kind}\n"), PROPOSAL));
        let script = format!("{before}{}", recipe("The text of a pull request", 0));
        let run = branch(&sandbox, &server, &script).run().exits(code);
        assert!(!sandbox.home().join("gh").exists(), "{run:#?}");
        assert_eq!(server.count(), count, "{run:#?}");
    }
}

#[test]
fn a_commit_is_explained() {
    let (sandbox, server) = (Sandbox::new(), answering("It adds b."));
    let run = branch(&sandbox, &server, &recipe("Explain a commit", 0)).run();
    run.gives(0, "It adds b.\n", "");
    assert!(asked(&server)[0].contains("+b\n"));
}

//! The pages and completions below a prefix: put there, found there, and taken away again.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::page;
use crate::support::peers::{command, present};
use crate::support::tree::built;
use crate::support::{Sandbox, Terminal, Tool, wait_until};

/// Runs the documented command.
fn install(sandbox: &Sandbox, words: &[&str]) -> Tool {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions/install");
    sandbox.command("/bin/sh").arg(script).args(words)
}

fn files_below(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut directories = vec![directory.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

#[test]
fn everything_is_installed_and_everything_is_removed_and_nothing_else_is_touched() {
    let sandbox = Sandbox::new();
    let prefix = sandbox.root().join("a prefix");
    let shown = prefix.display();
    let theirs = sandbox.write("a prefix/share/man/man1/other.1", "other");
    let finds = command("man").map(|man| sandbox.command(man).args(["-w", "qwen-exit"]).run().code() == 0);
    let hint = match finds {
        Some(false) => {
            format!(
                "install: hint: for man, run 'export MANPATH=:{shown}/share/man', in ~/.profile for good\n"
            )
        }
        _ => String::new(),
    };
    for _ in 0..2 {
        install(&sandbox, &["--prefix", prefix.to_str().unwrap()])
            .run()
            .gives(0, format!("installed below {shown}/share\n"), &hint);
    }
    let files = files_below(&prefix);
    for name in page::names() {
        let section = name.rsplit('.').next().unwrap();
        assert!(
            files.contains(&prefix.join(format!("share/man/man{section}/{name}"))),
            "{name}"
        );
    }
    for name in built() {
        let (bash, fish) = ("bash-completion/completions", "fish/vendor_completions.d");
        for file in [format!("{bash}/{name}"), format!("{fish}/{name}.fish")] {
            assert!(files.contains(&prefix.join("share").join(&file)), "{file}");
        }
    }
    let others = ["zsh", "elvish", "nushell", "powershell", "schema"].len();
    assert_eq!(files.len(), page::names().len() + 2 * built().len() + others + 1);
    for file in &files {
        assert_eq!(
            sandbox.mode(file) & 0o777,
            if *file == theirs { 0o600 } else { 0o644 }
        );
    }
    install(&sandbox, &["--uninstall", &format!("--prefix={shown}")])
        .run()
        .gives(0, format!("removed from {shown}/share\n"), "");
    assert_eq!(files_below(&prefix), BTreeSet::from([theirs.clone()]));
    fs::remove_file(theirs).unwrap();
    fs::remove_dir_all(prefix.join("share/man")).unwrap();
    assert_eq!(fs::read_dir(prefix.join("share")).unwrap().count(), 0);
}

#[test]
fn a_package_gets_its_files_below_another_root() {
    let sandbox = Sandbox::new();
    let stage = sandbox.root().join("stage");
    install(
        &sandbox,
        &["--destdir", stage.to_str().unwrap(), "--prefix", "/usr"],
    )
    .run()
    .exits(0);
    assert!(stage.join("usr/share/man/man1/qwen.1").is_file());
}

#[test]
fn a_prefix_needs_no_home() {
    let sandbox = Sandbox::new();
    let words = ["--prefix", "there"];
    install(&sandbox, &words).env_remove("HOME").run().exits(0);
    assert!(sandbox.work().join("there/share/man/man1/qwen.1").is_file());
}

#[test]
fn a_wrong_call_says_how_it_is_done() {
    let sandbox = Sandbox::new();
    for words in [&["--prefix"][..], &["--unistall"], &["/usr/local"]] {
        install(&sandbox, words)
            .run()
            .fails(64, &["usage: sh completions/install"]);
    }
    assert!(files_below(&sandbox.home()).is_empty());
}

/// A shell in a home into which the files were installed, with a rc file that holds what the README says.
fn started(sandbox: &Sandbox, shell: &str, flags: &[&str]) -> Option<Terminal> {
    let program = command(shell);
    if !present(shell, program.is_some()) {
        return None;
    }
    let tool = sandbox
        .command(program.unwrap())
        .args(flags)
        .env("TERM", "xterm")
        .env("XDG_DATA_HOME", sandbox.home().join(".local/share"));
    let terminal = Terminal::start(tool);
    terminal.shows("ready");
    terminal.waits_for_echo(false);
    Some(terminal)
}

fn at_home() -> Sandbox {
    let sandbox = Sandbox::new();
    let prefix = sandbox.home().join(".local");
    install(&sandbox, &["--prefix", prefix.to_str().unwrap()])
        .run()
        .exits(0);
    sandbox
}

#[test]
fn zsh_finds_them_by_the_line_of_the_readme() {
    let sandbox = at_home();
    sandbox.write(
        "home/.zshrc",
        "fpath+=~/.local/share/zsh/site-functions\nautoload -U compinit; compinit -u -D\necho ready\n",
    );
    let Some(mut terminal) = started(&sandbox, "zsh", &["-i"]) else {
        return;
    };
    terminal.types("qwen chat --mo\t");
    terminal.shows("qwen chat --model");
}

#[test]
fn fish_finds_them_by_itself() {
    let sandbox = at_home();
    let Some(mut terminal) = started(&sandbox, "fish", &["-C", "echo ready", "-i"]) else {
        return;
    };
    terminal.types("qwen lo\t--help\n");
    terminal.shows("Usage: qwen-login");
}

#[test]
fn elvish_finds_them_by_the_line_of_the_readme() {
    let sandbox = at_home();
    let rc = sandbox.write(
        "rc.elv",
        "use qwen-completions\nset edit:rprompt = { }\nset edit:prompt = { put '> ' }\necho ready\n",
    );
    let Some(mut terminal) = started(&sandbox, "elvish", &["-rc", rc.to_str().unwrap()]) else {
        return;
    };
    terminal.types("qwen chat --mo\t");
    // It sends no line as a whole, but what has changed.
    wait_until("the completed line", || {
        let mut screen = vt100::Parser::new(40, 100, 0);
        screen.process(terminal.shown().as_bytes());
        screen.screen().contents().contains("qwen chat --model")
    });
}

#[test]
fn bash_finds_them_by_its_package() {
    let package = Path::new("/usr/share/bash-completion/bash_completion");
    if !present("bash-completion", package.is_file()) {
        return;
    }
    let sandbox = at_home();
    let rc = sandbox.write("bashrc", format!(". {}\necho ready\n", package.display()));
    for (typed, completed) in [
        ("qwen lo", "qwen login "),
        ("qwen chat --mo", "qwen chat --model"),
    ] {
        let flags = ["--rcfile", rc.to_str().unwrap(), "-i"];
        let Some(mut terminal) = started(&sandbox, "bash", &flags) else {
            return;
        };
        terminal.types(&format!("{typed}\t"));
        terminal.shows(completed);
    }
}

#[test]
fn nushell_finds_them_by_itself() {
    let nu = crate::support::peers::directory().join("bin/nu");
    if !present("nu", nu.is_file()) {
        return;
    }
    let sandbox = at_home();
    let data = sandbox.home().join(".local/share");
    let run = sandbox
        .command(nu)
        .args(["--no-std-lib", "-c", "$nu.vendor-autoload-dirs | to text"])
        .env("XDG_DATA_HOME", &data)
        .run();
    let place = data.join("nushell/vendor/autoload");
    assert!(run.exits(0).text().lines().any(|line| Path::new(line) == place));
    assert!(place.join("qwen.nu").is_file());
}

#[test]
fn man_finds_the_pages() {
    let sandbox = at_home();
    let man = command("man");
    if !present("man", man.is_some()) {
        return;
    }
    let pages = sandbox.home().join(".local/share/man");
    for name in ["qwen", "qwen-exit"] {
        let run = sandbox
            .command(man.as_ref().unwrap())
            .arg("-M")
            .arg(&pages)
            .args(["-w", name])
            .run();
        assert!(run.exits(0).text().contains(&format!("{}/man", pages.display())));
    }
    let run = sandbox
        .command(man.unwrap())
        .args(["-w", "qwen-config"])
        .env("MANPATH", format!(":{}", pages.display()))
        .run();
    assert!(run.exits(0).text().contains("man5/qwen-config.5"));
}

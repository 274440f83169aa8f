//! With a hook, variables appear, change and vanish with the directory, in a real terminal.

use std::path::PathBuf;

use crate::support::{Sandbox, Terminal, peers};

/// An interactive shell with the hook installed the documented way.
struct Session {
    /// Keeps the files.
    sandbox: Sandbox,
    terminal: Terminal,
    shell: &'static str,
    steps: usize,
}

fn program(shell: &str) -> Option<PathBuf> {
    let path = match shell {
        "nu" => Some(peers::directory().join("nu/node_modules/@nushell/linux-x64/bin/nu"))
            .filter(|nu| nu.is_file()),
        _ => peers::command(shell),
    };
    peers::present(shell, path.is_some()).then_some(path).flatten()
}

impl Session {
    fn start(shell: &'static str, install: &str) -> Option<Self> {
        let program = program(shell)?;
        let sandbox = Sandbox::new();
        sandbox.write("work/one/.env", "A=one\nB=one\n");
        sandbox.write("work/two/.env", "B=two\nC=\"t w  o\"\n");
        std::fs::create_dir_all(sandbox.work().join("none")).unwrap();
        let arguments: &[&str] = match shell {
            "bash" => &["--norc", "--noprofile", "-i"],
            "zsh" => &["-f", "-i"],
            "fish" => &["-N", "-i"],
            "elvish" => &["-norc"],
            _ => &["--no-config-file", "--no-history"],
        };
        let tool = sandbox
            .command(program)
            .args(arguments)
            .env("TERM", "dumb")
            .env("PS1", "$ ");
        let mut session = Self {
            terminal: Terminal::start(tool),
            sandbox,
            shell,
            steps: 0,
        };
        if shell == "nu" {
            session.terminal.shows("> ");
            session.does("$env.PROMPT_COMMAND = {|| $\"at ($env.STEP).\" }");
        }
        session.does(install);
        Some(session)
    }

    /// Types a line and waits until the shell has done it.
    fn does(&mut self, line: &str) {
        self.steps += 1;
        let step = self.steps;
        if self.shell == "nu" {
            // Its editor drops what is typed before the prompt is there, so the prompt counts the steps.
            self.terminal.types(&format!("{line}; $env.STEP = {step}\r"));
            self.terminal.shows(&format!("at {step}."));
        } else {
            self.terminal
                .types(&format!("{line}\recho did 's'\"tep\" {step}.\r"));
            self.terminal.shows(&format!("did step {step}."));
        }
    }

    /// Checks A, B and C as a program sees them.
    #[track_caller]
    fn sees(&mut self, values: &str) {
        let seen = self.steps + 1;
        let text = "echo \"seen $1: ${A-unset},${B-unset},${C-unset}.\"\n";
        let script = self.sandbox.write(format!("show{seen}"), text);
        let external = if self.shell == "nu" { "^" } else { "" };
        self.does(&format!("{external}/bin/sh {} {seen}", script.display()));
        self.terminal.shows(&format!("seen {seen}: {values}."));
    }

    /// The journey that every hook must make.
    fn travels(&mut self) {
        self.sees("unset,unset,unset");
        self.does("cd one");
        self.sees("one,one,unset");
        self.does("cd ../two");
        self.sees("unset,two,t w  o");
        self.does("cd ../none");
        self.sees("unset,unset,unset");
        self.does("cd ../one");
        self.sees("one,one,unset");
        self.does(match self.shell {
            "bash" | "zsh" => "export B=hand",
            "fish" => "set -gx B hand",
            "elvish" => "set-env B hand",
            _ => "$env.B = 'hand'",
        });
        self.does("cd ../two");
        self.sees("unset,hand,t w  o");
        self.does("cd ..");
        self.sees("unset,hand,unset");
    }
}

#[test]
fn bash_re_evaluates_at_the_prompt() {
    for install in ["eval \"$(qwen-env --hook bash)\"", "eval $(qwen-env --hook bash)"] {
        let Some(mut session) = Session::start("bash", install) else {
            return;
        };
        session.does(install);
        session.travels();
        session.does("declare -p PROMPT_COMMAND | grep -o _qwen_env_hook | wc -l | sed 's/^/hooks: /'");
        session.terminal.shows("hooks: 1");
        session.does("false; cd one");
        session.does("(exit 3)\recho \"status was $?.\"");
        session.terminal.shows("status was 3.");
    }
}

#[test]
fn bash_keeps_the_prompt_commands_that_are_there() {
    for before in [
        "PROMPT_COMMAND='X=$((X+1));'",
        "PROMPT_COMMAND=(true 'X=$((X+1))')",
        "unset PROMPT_COMMAND; set -u",
    ] {
        let Some(mut session) = Session::start("bash", before) else {
            return;
        };
        session.does("eval \"$(qwen-env --hook bash)\"");
        session.does("cd one");
        session.sees("one,one,unset");
        if before.contains('X') {
            session.does("test \"$X\" -gt 2 && echo counted 'o'n");
            session.terminal.shows("counted on");
        }
    }
}

#[test]
fn zsh_re_evaluates_on_a_change_of_directory() {
    for install in ["eval \"$(qwen-env --hook zsh)\"", "eval $(qwen-env --hook zsh)"] {
        let Some(mut session) = Session::start("zsh", install) else {
            return;
        };
        session.travels();
        session.does("(cd one; /bin/sh -c 'echo \"inside: $A.\"')");
        session.terminal.shows("inside: one.");
        session.sees("unset,hand,unset");
    }
}

#[test]
fn fish_re_evaluates_on_a_change_of_directory() {
    if let Some(mut session) = Session::start("fish", "qwen-env --hook fish | source") {
        session.travels();
    }
    let sandbox = Sandbox::new();
    if let Some(fish) = program("fish") {
        let install = "qwen-env --hook fish | source; echo $status";
        sandbox
            .command(fish)
            .args(["-N", "-c", install])
            .run()
            .gives(0, "0\n", "");
    }
}

#[test]
fn elvish_re_evaluates_on_a_change_of_directory() {
    if let Some(mut session) = Session::start("elvish", "eval (qwen-env --hook elvish | slurp)") {
        session.travels();
    }
}

#[test]
fn nushell_re_evaluates_on_a_change_of_directory() {
    let Some(program) = program("nu") else { return };
    let sandbox = Sandbox::new();
    let saved = sandbox
        .tool("qwen-env")
        .args(["--hook", "nu"])
        .run()
        .exits(0)
        .text();
    let file = sandbox.write("hook.nu", saved);
    drop(program);
    if let Some(mut session) = Session::start("nu", &format!("source {}", file.display())) {
        session.travels();
    }
}

#[test]
fn a_hook_starts_with_the_directory_it_is_installed_in() {
    for (shell, install) in [
        ("bash", "cd one; eval \"$(qwen-env --hook bash)\""),
        ("zsh", "cd one; eval \"$(qwen-env --hook zsh)\""),
        ("fish", "cd one; qwen-env --hook fish | source"),
    ] {
        if let Some(mut session) = Session::start(shell, install) {
            session.sees("one,one,unset");
        }
    }
}

#[test]
fn a_hook_carries_the_flags_it_was_made_with() {
    let sandbox = Sandbox::new();
    let hook = |arguments: &[&str]| sandbox.tool("qwen-env").args(arguments).run().exits(0).text();
    let code = hook(&[
        "--hook",
        "bash",
        "--chain",
        "merge",
        "--override",
        "-q",
        "--profile",
        "a b",
        "--file",
        "x.env",
    ]);
    let file = sandbox.work().join("x.env");
    let flags = format!(
        "--shell bash --override --quiet --chain merge --profile 'a b' --file {}",
        file.display()
    );
    assert!(code.contains(&flags), "{flags} in {code}");
    sandbox.tool("qwen-env").args(["--hook", "ksh"]).run().exits(64);
}

#[test]
fn a_hook_names_the_program_by_the_path_it_was_called_by() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.root().join("my tools")).unwrap();
    let link = sandbox.root().join("my tools/qwen-env");
    std::os::unix::fs::symlink(crate::support::binary("qwen-env"), &link).unwrap();
    let code = sandbox
        .command(&link)
        .args(["--hook", "bash"])
        .run()
        .exits(0)
        .text();
    assert!(
        code.contains(&format!("'{}' --shell bash", link.display())),
        "{code}"
    );
    let by_name = sandbox
        .command("/bin/sh")
        .args(["-c", "qwen-env --hook zsh"])
        .run()
        .exits(0)
        .text();
    assert!(
        by_name.contains(&format!(
            "$({} --shell zsh)",
            crate::support::binary("qwen-env").display()
        )),
        "{by_name}"
    );
}

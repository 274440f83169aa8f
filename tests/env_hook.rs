//! With a hook, variables appear, change and vanish with the directory, in a real terminal.

use std::path::PathBuf;

use crate::support::{Sandbox, Terminal, peers, unwrapped};

const ONE: &str = "A=one\nB=one\n";

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
        sandbox.write("work/one/.env", ONE);
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

    /// Lets a prompt come and go.
    fn waits_for_a_prompt(&mut self) {
        self.does("echo");
    }

    /// Changes, seen at the next prompt without a change of directory.
    fn notices_changes(&mut self) {
        self.does("cd one");
        self.sees("one,one,unset");
        self.sandbox.write("work/one/.env", "A=edited\nB=one\n");
        self.waits_for_a_prompt();
        self.sees("edited,one,unset");
        self.does(match self.shell {
            "bash" | "zsh" => "unset A",
            "fish" => "set -e A",
            "elvish" => "unset-env A",
            _ => "hide-env A",
        });
        self.waits_for_a_prompt();
        self.sees("unset,one,unset");
        self.sandbox.write("work/one/.env", "A=again\nC=new\n");
        self.waits_for_a_prompt();
        self.sees("again,unset,new");
        std::fs::remove_file(self.sandbox.work().join("one/.env")).unwrap();
        self.waits_for_a_prompt();
        self.sees("unset,unset,unset");
        self.sandbox.write("work/one/.qwen/.env", "B=nearer\n");
        self.waits_for_a_prompt();
        self.sees("unset,nearer,unset");
        std::fs::remove_file(self.sandbox.work().join("one/.qwen/.env")).unwrap();
        self.does("cd ..");
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
    for install in [
        "eval \"$(qwen-env --hook bash --all)\"",
        "eval $(qwen-env --hook bash --all)",
    ] {
        let Some(mut session) = Session::start("bash", install) else {
            return;
        };
        session.does(install);
        session.notices_changes();
        session.sandbox.write("work/one/.env", ONE);
        session.travels();
        session.does("declare -p PROMPT_COMMAND | grep -o '_qwen_env_hook+' | wc -l | sed 's/^/hooks: /'");
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
        session.does("eval \"$(qwen-env --hook bash --all)\"");
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
    for install in [
        "eval \"$(qwen-env --hook zsh --all)\"",
        "eval $(qwen-env --hook zsh --all)",
    ] {
        let Some(mut session) = Session::start("zsh", install) else {
            return;
        };
        session.notices_changes();
        session.sandbox.write("work/one/.env", ONE);
        session.travels();
        session.does("(cd one; /bin/sh -c 'echo \"inside: $A.\"')");
        session.terminal.shows("inside: one.");
        session.sees("unset,hand,unset");
    }
}

#[test]
fn fish_re_evaluates_on_a_change_of_directory() {
    if let Some(mut session) = Session::start("fish", "qwen-env --hook fish --all | source") {
        session.notices_changes();
        session.sandbox.write("work/one/.env", ONE);
        session.travels();
    }
    let sandbox = Sandbox::new();
    if let Some(fish) = program("fish") {
        let install = "qwen-env --hook fish --all | source; echo $status";
        sandbox
            .command(fish)
            .args(["-N", "-c", install])
            .run()
            .gives(0, "0\n", "");
    }
}

#[test]
fn elvish_re_evaluates_on_a_change_of_directory() {
    if let Some(mut session) = Session::start("elvish", "eval (qwen-env --hook elvish --all | slurp)") {
        session.notices_changes();
        session.sandbox.write("work/one/.env", ONE);
        session.travels();
    }
}

#[test]
fn nushell_re_evaluates_on_a_change_of_directory() {
    let Some(program) = program("nu") else { return };
    let sandbox = Sandbox::new();
    let saved = sandbox
        .tool("qwen-env")
        .args(["--hook", "nu", "--all"])
        .run()
        .exits(0)
        .text();
    let file = sandbox.write("hook.nu", saved);
    drop(program);
    if let Some(mut session) = Session::start("nu", &format!("source {}", file.display())) {
        session.notices_changes();
        session.sandbox.write("work/one/.env", ONE);
        session.travels();
    }
}

#[test]
fn a_hook_starts_with_the_directory_it_is_installed_in() {
    for (shell, install) in [
        ("bash", "cd one; eval \"$(qwen-env --hook bash --all)\""),
        ("zsh", "cd one; eval \"$(qwen-env --hook zsh --all)\""),
        ("fish", "cd one; qwen-env --hook fish --all | source"),
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
        code.contains(&format!("'{}' --at-prompt --shell bash", link.display())),
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
            "$({} --at-prompt --shell zsh)",
            crate::support::binary("qwen-env").display()
        )),
        "{by_name}"
    );
}

#[test]
fn an_answer_counts_at_the_next_prompt_and_the_notice_comes_once() {
    for (shell, install) in [
        ("bash", "eval \"$(qwen-env --hook bash)\""),
        ("zsh", "eval \"$(qwen-env --hook zsh)\""),
        ("fish", "qwen-env --hook fish | source"),
    ] {
        let Some(mut session) = Session::start(shell, install) else {
            continue;
        };
        session.does("cd one");
        session.sees("unset,unset,unset");
        session.does("cd ..; cd one");
        session.waits_for_a_prompt();
        assert_eq!(
            unwrapped(&session.terminal.plain())
                .matches("wait for consent")
                .count(),
            1
        );
        let tool = |sandbox: &Sandbox, flag: &str| {
            let tool = sandbox.tool("qwen-env").args(["-q", flag, "one/.env"]);
            tool.run().exits(0);
        };
        tool(&session.sandbox, "--trust");
        session.waits_for_a_prompt();
        session.sees("one,one,unset");
        tool(&session.sandbox, "--untrust");
        session.waits_for_a_prompt();
        session.sees("unset,unset,unset");
        // What was said before the answer counts no longer.
        assert_eq!(
            unwrapped(&session.terminal.plain())
                .matches("wait for consent")
                .count(),
            2
        );
        assert!(!session.terminal.plain().contains("not now"), "a hook asked");
    }
}

/// Writes a program that runs the real one and notes each run with the length of what it printed.
fn counted(sandbox: &Sandbox, path: &str, real: &str) -> PathBuf {
    let log = sandbox.root().join("runs");
    let script = format!(
        "#!/bin/sh\nout=$({real} \"$@\")\necho \"${{#out}}\" >>{}\nprintf '%s\\n' \"$out\"\n",
        log.display()
    );
    sandbox.program(path, script)
}

#[test]
fn a_prompt_costs_one_run_that_prints_nothing_while_nothing_changes() {
    let Some(mut session) = Session::start("bash", "true") else {
        return;
    };
    let real = crate::support::binary("qwen-env").display().to_string();
    let wrapper = counted(&session.sandbox, "counted", &real);
    session.does(&format!(
        "eval \"$(qwen-env --hook bash --all | sed s,{real},{},)\"",
        wrapper.display()
    ));
    session.does("cd one");
    session.waits_for_a_prompt();
    let runs = || {
        session
            .sandbox
            .read("runs")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let before = runs().len();
    let terminal = &mut session.terminal;
    for step in 0..5 {
        terminal.types(&format!("echo at 'p'rompt {step}.\r"));
        terminal.shows(&format!("at prompt {step}."));
    }
    terminal.types("echo 'e'nd.\r");
    terminal.shows("end.");
    let runs = runs();
    assert_eq!(runs[before..before + 5], ["0", "0", "0", "0", "0"], "{runs:?}");
    // The prompt before may still have been under way.
    assert!(runs.len() <= before + 7, "{runs:?}");
}

#[test]
fn a_hook_with_a_token_asks_for_it_again_only_when_it_is_due() {
    let Some(mut session) = Session::start("bash", "true") else {
        return;
    };
    let sandbox = &session.sandbox;
    let tool = sandbox.root().join("tools/qwen-env");
    sandbox.install(&crate::support::binary("qwen-env"), &tool);
    let log = sandbox.root().join("asked");
    let token = "{\"access_token\":\"t\",\"base_url\":\"https://h/v1\",\"model\":\"m\",\"expires_in\":3600}";
    let script = format!("#!/bin/sh\necho asked >>{}\necho '{token}'\n", log.display());
    sandbox.program("tools/qwen-token", script);
    session.does(&format!("eval \"$({} --hook bash --auth)\"", tool.display()));
    for _ in 0..4 {
        session.waits_for_a_prompt();
    }
    session.does("sh -c 'echo \"token $OPENAI_API_KEY.\"'");
    session.terminal.shows("token t.");
    assert_eq!(session.sandbox.read("asked").lines().count(), 1);
    session.does("cd one");
    session.waits_for_a_prompt();
    assert_eq!(session.sandbox.read("asked").lines().count(), 2);
}

#[test]
fn a_hook_survives_what_people_set_in_their_shells() {
    for before in [
        "alias export='echo leaked'; alias unset='echo leaked'",
        "set -u",
        "set -e",
        "set -eu; shopt -s failglob nullglob",
        "export PROMPT_COMMAND=true",
    ] {
        let Some(mut session) = Session::start("bash", before) else {
            return;
        };
        session.does("eval \"$(qwen-env --hook bash --all)\"");
        session.does("cd one");
        session.sees("one,one,unset");
        session.does("cd ../two");
        session.sees("unset,two,t w  o");
        // A shell below inherits what is exported, and has no such function.
        session.does("bash --norc --noprofile -i");
        session.sees("unset,two,t w  o");
        session.does("exit");
        let shown = session.terminal.plain();
        for fault in ["leaked A", "leaked QWEN", "not found", "unbound"] {
            assert!(!shown.contains(fault), "{before}: {shown}");
        }
    }
}

#[test]
fn the_hook_of_zsh_survives_strict_options() {
    for before in [
        "setopt nounset",
        "setopt errexit",
        "setopt nounset errexit; alias export='echo leaked'",
    ] {
        let Some(mut session) = Session::start("zsh", before) else {
            return;
        };
        session.does("eval \"$(qwen-env --hook zsh --all)\"");
        session.does("cd one");
        session.sees("one,one,unset");
        session.does("cd ../two");
        session.sees("unset,two,t w  o");
        let shown = session.terminal.plain();
        assert!(
            !shown.contains("leaked A") && !shown.contains("not set"),
            "{before}: {shown}"
        );
    }
}

/// A prompt that shows the status of the last command may be made by a command after the hook.
#[test]
fn the_status_of_the_last_command_passes_through_the_hook() {
    let Some(mut session) = Session::start("bash", "eval \"$(qwen-env --hook bash --all)\"") else {
        return;
    };
    session.does("PROMPT_COMMAND+=$'\\n''said=$?'");
    session.terminal.types("(exit 7)\recho \"said $said.\"\r");
    session.terminal.shows("said 7.");
    session.terminal.types("true\recho \"said $said.\"\r");
    session.terminal.shows("said 0.");
}

#[test]
fn a_failure_is_told_once_and_not_at_every_prompt() {
    let Some(mut session) = Session::start("bash", "eval \"$(qwen-env --hook bash --all --require)\"") else {
        return;
    };
    session.does("cd none");
    for _ in 0..3 {
        session.waits_for_a_prompt();
    }
    let shown = unwrapped(&session.terminal.plain());
    assert_eq!(
        shown.matches("no .env file from").count(),
        2,
        "once here, once above: {shown}"
    );
    session.does("cd ../one");
    session.sees("one,one,unset");
}

/// Also a variable that somebody else set is no program for it to run.
#[test]
fn the_hook_of_bash_calls_its_function_and_nothing_else() {
    let Some(mut session) = Session::start("bash", "eval \"$(qwen-env --hook bash --all)\"") else {
        return;
    };
    session
        .sandbox
        .program("work/three/x", "#!/bin/sh\ntouch ../ran\n");
    session
        .sandbox
        .write("work/three/.env", "_qwen_env_hook=./x\nA=three\n");
    session.does("cd three");
    session.sees("three,unset,unset");
    session.does("_qwen_env_hook=./x");
    session.waits_for_a_prompt();
    session.sees("three,unset,unset");
    session.does("cd ../one");
    session.sees("one,one,unset");
    assert!(!session.sandbox.work().join("ran").exists());
}

/// The lines of the page for shells that have no hook.
/// Whatever a verdict rests on is looked at, not the files of the project alone.
#[test]
fn a_prompt_notices_an_edit_of_every_settings_file() {
    const PROMPT: &str = "eval \"$(qwen-env --at-prompt --all --shell bash)\"; echo ${ONE-unset}\n";
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "ONE=1\n");
    let files = [
        "etc/settings.json",
        "etc/system-defaults.json",
        "home/.qwen/settings.json",
        "work/.qwen/settings.json",
    ];
    let mut script = PROMPT.to_owned();
    for file in files {
        let path = sandbox.write(file, "{}");
        let write = |json: &str| format!("echo '{json}' >'{}'\n", path.display());
        script += &write(r#"{"advanced": {"excludedEnvVars": ["ONE"]}}"#);
        script += PROMPT;
        script += &write("{}");
        script += PROMPT;
    }
    let system = sandbox.root().join("etc/settings.json");
    let bash = sandbox.command("bash").arg(sandbox.write("script", script));
    let run = bash.env("QWEN_CODE_SYSTEM_SETTINGS_PATH", system).run();
    assert_eq!(
        run.text(),
        "1\n".to_owned() + &"unset\n1\n".repeat(files.len()),
        "{run:#?}"
    );
}

#[test]
fn shells_without_a_hook_follow_the_directory_too() {
    const KSH: &str = "cd() { command cd \"$@\" && eval \"$(qwen-env)\"; }";
    const TCSH: &str = "alias cwdcmd 'eval `qwen-env`'";
    let page = include_str!("../man/qwen-env.1");
    for (shell, arguments, line, shown) in [
        ("tcsh", &["-f"][..], TCSH, "echo $?A"),
        ("mksh", &[], KSH, "echo ${A+1}"),
        ("ksh", &[], KSH, "echo ${A+1}"),
        ("yash", &[], KSH, "echo ${A+1}"),
        ("dash", &[], KSH, "echo ${A+1}"),
        ("posh", &[], KSH, "echo ${A+1}"),
    ] {
        assert!(page.contains(line), "{line}");
        let Some(program) = program(shell) else {
            continue;
        };
        let sandbox = Sandbox::new();
        sandbox.write("work/one/.env", ONE);
        sandbox.write("work/two/.env", "B=two\n");
        sandbox
            .tool("qwen-env")
            .args(["--trust", "one/.env"])
            .run()
            .exits(0);
        sandbox
            .tool("qwen-env")
            .args(["--trust", "two/.env"])
            .run()
            .exits(0);
        let script = format!("{line}\ncd one\necho $A $B\ncd ../two\necho $B\n{shown}\ncd ..\n");
        let run = sandbox
            .command(program)
            .args(arguments)
            .arg(sandbox.write("script", script))
            .run();
        let none = if shell == "tcsh" { "0" } else { "" };
        run.gives(0, format!("one one\ntwo\n{none}\n"), "");
    }
}

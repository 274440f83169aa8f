//! What a person sees of consent: the question, each of its answers, and the situations that are never held up.

use std::fs;

use crate::support::{Sandbox, Terminal, peers, unwrapped};

/// A clone with a key of its own, ten other names, and a tool's address.
const CLONE: &str = "OPENAI_API_KEY=sk-clone-0123456789\nOPENAI_BASE_URL=https://clone.example/v1\nOPENAI_MODEL=small\n\
    GREETING=hello\nN1=1\nN2=2\nN3=3\nN4=4\nN5=5\nN6=6\nN7=7\nN8=8\nN9=9\nVAULT_ADDR=https://evil.example\n";

const QUESTION: &str = "Enter for not now: ";

fn clone() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", CLONE);
    sandbox
}

/// An interactive shell in the clone.
struct Shell {
    terminal: Terminal,
    evaluation: &'static str,
    steps: usize,
}

impl Shell {
    fn start(shell: &str, sandbox: &Sandbox) -> Option<Self> {
        let (arguments, evaluation): (&[&str], _) = match shell {
            "bash" => (&["--norc", "--noprofile", "-i"], "eval $(qwen-env)"),
            "zsh" => (&["-f", "-i"], "eval $(qwen-env)"),
            _ => (&["-N", "-i"], "qwen-env | source"),
        };
        let program = peers::command(shell);
        if !peers::present(shell, program.is_some()) {
            return None;
        }
        let tool = sandbox.command(program?).args(arguments);
        Some(Self {
            terminal: Terminal::start(tool.env("TERM", "dumb").env("PS1", "$ ")),
            evaluation,
            steps: 0,
        })
    }

    /// Everything shown so far, as it reads.
    fn seen(&self) -> usize {
        self.terminal.plain().len()
    }

    /// Evaluates, and answers the question that must come; returns what the question showed.
    #[track_caller]
    fn is_asked(&mut self, answer: &str) -> String {
        let start = self.seen();
        self.terminal.types(&format!("{}\r", self.evaluation));
        self.terminal.shows_after(start, QUESTION);
        let shown = self.terminal.plain()[start..].to_owned();
        self.terminal.types(&format!("{answer}\r"));
        shown
    }

    /// Types a line and waits until it is done; returns what it showed, which must not be the question.
    #[track_caller]
    fn does(&mut self, line: &str) -> String {
        self.steps += 1;
        let (start, step) = (self.seen(), self.steps);
        self.terminal
            .types(&format!("{line}\recho did 's'\"tep\" {step}.\r"));
        self.terminal.shows_after(start, &format!("did step {step}."));
        let shown = self.terminal.plain()[start..].to_owned();
        assert!(!shown.contains(QUESTION), "{line}: {shown}");
        shown
    }

    #[track_caller]
    fn evaluates(&mut self) -> String {
        self.does(self.evaluation)
    }

    /// Checks variables as a program sees them.
    #[track_caller]
    fn has(&mut self, values: &str) {
        let shown = self.does("sh -c 'echo \"has $OPENAI_MODEL,$GREETING,$N9,$VAULT_ADDR.\"'");
        assert!(shown.contains(&format!("has {values}.")), "{shown}");
    }
}

const ALL: &str = "small,hello,9,https://evil.example";
const OWN: &str = "small,,,";

#[test]
fn in_a_script_the_toolkits_own_names_are_set_and_one_line_says_what_waits() {
    let sandbox = clone();
    let script = "eval $(qwen-env); echo $OPENAI_API_KEY $OPENAI_BASE_URL $OPENAI_MODEL [$GREETING$VAULT_ADDR]; eval $(qwen-env)";
    let run = sandbox.command("/bin/dash").args(["-c", script]).run().exits(0);
    assert_eq!(
        run.text(),
        "sk-clone-0123456789 https://clone.example/v1 small []\n"
    );
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].contains("11 variables wait for consent: VAULT_ADDR, GREETING, N1,"),
        "{lines:?}"
    );
    let warning = ".env:2: OPENAI_BASE_URL is this project's; programs that store keys themselves would send them there";
    assert!(lines[1].ends_with(warning), "{lines:?}");
    assert!(lines[2].contains("hint: run 'qwen-env --trust'"), "{lines:?}");
    sandbox.tool("qwen-env").arg("--trust").run().exits(0);
    let script = "eval $(qwen-env); echo $OPENAI_MODEL,$GREETING,$N9,$VAULT_ADDR";
    let run = sandbox.command("/bin/dash").args(["-c", script]).run();
    run.gives(0, format!("{ALL}\n"), "");
}

#[test]
fn yes_is_kept_until_a_byte_changes() {
    for name in ["bash", "zsh", "fish"] {
        let sandbox = clone();
        let Some(mut shell) = Shell::start(name, &sandbox) else {
            continue;
        };
        let shown = shell.is_asked("y");
        for part in [
            "work/.env",
            "11 variables",
            "VAULT_ADDR",
            "https://evil.example",
            "Vault: sends a token there",
            "values: qwen-env --explain --show-secrets",
        ] {
            assert!(shown.contains(part), "{name}: no {part} in {shown}");
        }
        // It is exported anyway.
        assert!(!shown.contains("OPENAI_BASE_URL"), "{shown}");
        assert!(shown.find("VAULT_ADDR") < shown.find("GREETING"), "{shown}");
        assert!(!shown.contains("sk-clone-0123456789"), "{shown}");
        shell.has(ALL);
        shell.does("cd /");
        shell.evaluates();
        shell.has(",,,");
        shell.does(&format!("cd {}", sandbox.work().display()));
        shell.evaluates();
        shell.has(ALL);
        let mut second = Shell::start(name, &sandbox).unwrap();
        second.evaluates();
        second.has(ALL);
        sandbox.write("work/.env", CLONE.replace("small", "large"));
        let shown = shell.is_asked("");
        assert!(
            shown.contains("has changed since you trusted it and sets 11 variables"),
            "{shown}"
        );
        shell.has("large,,,");
        let told = sandbox.tool("qwen-env").run().exits(0).stderr;
        assert!(
            told.contains(
                ".env has changed since you trusted it; 11 variables wait for consent: VAULT_ADDR, GREETING"
            ),
            "{told}"
        );
    }
}

/// The answer is about what was shown, and that is what is set.
#[test]
fn what_takes_the_files_place_while_it_is_asked_about_has_no_consent() {
    let sandbox = clone();
    let Some(mut shell) = Shell::start("bash", &sandbox) else {
        return;
    };
    let start = shell.seen();
    shell.terminal.types(&format!("{}\r", shell.evaluation));
    shell.terminal.shows_after(start, QUESTION);
    let other = sandbox.write("other", CLONE.replace("hello", "evil"));
    fs::rename(other, sandbox.work().join(".env")).unwrap();
    shell.terminal.types("y\r");
    shell.has(ALL);
    let shown = shell.is_asked("");
    assert!(shown.contains("has changed since you trusted it"), "{shown}");
    shell.has(OWN);
    sandbox.write("work/.env", CLONE);
    shell.evaluates();
    shell.has(ALL);
}

#[test]
fn no_is_kept_and_not_spoken_of_until_it_is_taken_back() {
    for name in ["bash", "zsh", "fish"] {
        let sandbox = clone();
        let Some(mut shell) = Shell::start(name, &sandbox) else {
            continue;
        };
        shell.is_asked("no");
        shell.has(OWN);
        let shown = shell.evaluates();
        assert!(!shown.contains("wait"), "{shown}");
        let mut second = Shell::start(name, &sandbox).unwrap();
        second.evaluates();
        second.has(OWN);
        let explained = sandbox.tool("qwen-env").arg("--explain").run().exits(0).text();
        assert!(
            explained.contains("untrusted project file, consent refused"),
            "{explained}"
        );
        let line = |name: &str| explained.lines().find(|line| line.contains(name)).unwrap();
        assert!(
            line("GREETING").ends_with("left out: you refused this file"),
            "{explained}"
        );
        assert!(line("OPENAI_BASE_URL").ends_with("  exported"), "{explained}");
        let said = "11 variables are left out: you refused this file ('qwen-env --untrust' forgets that)";
        assert_eq!(explained.lines().last(), Some(said));
        let get = sandbox
            .tool("qwen-env")
            .args(["--get", "GREETING"])
            .run()
            .exits(1);
        assert!(
            get.stderr.contains(
                "'GREETING' is left out: you refused this file ('qwen-env --untrust' forgets that)\n"
            ),
            "{get:?}"
        );
        let untrust = sandbox.tool("qwen-env").arg("--untrust").run().exits(0);
        assert!(untrust.stderr.contains("no longer refused"), "{untrust:?}");
        second.is_asked("yes");
        second.has(ALL);
        sandbox.tool("qwen-env").arg("--untrust").run().exits(0);
        shell.is_asked("");
        shell.has(OWN);
    }
}

#[test]
fn not_now_holds_for_this_shell_and_this_content() {
    for name in ["bash", "zsh", "fish"] {
        let sandbox = clone();
        let Some(mut shell) = Shell::start(name, &sandbox) else {
            continue;
        };
        shell.is_asked("");
        shell.has(OWN);
        shell.evaluates();
        // The names were in the question.
        let shown = shell.terminal.plain();
        assert!(
            shown.contains("hint: run 'qwen-env --trust'") && !shown.contains("wait for consent"),
            "{shown}"
        );
        // A script that it starts has said nothing yet.
        let script = "sh -c 'eval $(qwen-env); eval $(qwen-env)'";
        for _ in 0..2 {
            let shown = shell.does(script);
            assert_eq!(
                shown.matches("11 variables wait for consent: VAULT_ADDR").count(),
                1,
                "{shown}"
            );
        }
        assert!(!sandbox.home().join(".local/state/qwen/trust.json").exists());
        let mut second = Shell::start(name, &sandbox).unwrap();
        let start = second.seen();
        second.is_asked("later");
        let again = format!("later\nSet them as long as the file stays as it is?\n[y]es, [n]o, {QUESTION}");
        second.terminal.shows_after(start, &again);
        second.terminal.types("\r");
        second.has(OWN);
        sandbox.write("work/.env", format!("{CLONE}NEW=1\n"));
        shell.is_asked("\u{4}y");
        shell.has(OWN);
    }
}

#[test]
fn all_names_are_shown_when_asked_for_and_dangerous_ones_are_never_among_the_rest() {
    let sandbox = Sandbox::new();
    let many: String = (10..50).map(|number| format!("NAME_{number}=1\n")).collect();
    sandbox.write(
        "work/.env",
        format!("{many}GIT_SSH_COMMAND=evil\nX=\"\u{1b}[2J\u{202e}://h\"\n"),
    );
    let mut terminal =
        Terminal::start(
            sandbox
                .tool("qwen-env")
                .args(["--", "/bin/sh", "-c", "echo \"ran [$NAME_49]\""]),
        );
    terminal.shows("[s]how all, Enter for not now: ");
    let shown = unwrapped(&terminal.plain());
    assert!(
        shown.contains("GIT_SSH_COMMAND") && shown.contains("git: runs a command"),
        "{shown}"
    );
    assert!(
        shown.contains("and 22 more") && !shown.contains("NAME_49"),
        "{shown}"
    );
    assert!(
        !terminal.shown().contains("\u{1b}[2J") && !shown.contains('\u{202e}'),
        "{shown}"
    );
    terminal.types("s\r");
    terminal.shows("NAME_49");
    terminal.types("y\r");
    terminal.shows("ran [1]");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn ctrl_c_ends_the_question_by_sigint_and_leaves_no_answer() {
    let sandbox = clone();
    let mut terminal = Terminal::start(sandbox.tool("qwen-env").args(["--", "/bin/true"]));
    terminal.shows(QUESTION);
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 130);
    assert!(!sandbox.home().join(".local/state/qwen/trust.json").exists());
}

/// As where a container is entered: the terminal's group and this one have the number 0 there.
#[test]
fn it_is_asked_where_the_leader_of_the_group_is_outside_the_pid_namespace() {
    let may = rustix::process::geteuid().is_root() && peers::command("unshare").is_some();
    if !peers::present("PID namespaces (root, unshare)", may) {
        return;
    }
    let sandbox = clone();
    let entered = ["--pid", "--fork", "--mount-proc", "qwen-env", "--", "/bin/true"];
    let tool = sandbox.command("/usr/bin/unshare").args(entered);
    let mut terminal = Terminal::start(tool);
    terminal.shows(QUESTION);
    terminal.types("n\r");
    assert_eq!(terminal.ends(), 0);
}

/// A shell that waits for the output of a stopped `$(qwen-env)` never continues it.
#[test]
fn ctrl_z_leaves_the_question_as_it_is() {
    let sandbox = clone();
    let bash = peers::command("bash");
    if !peers::present("bash", bash.is_some()) {
        return;
    }
    let tool = sandbox
        .command(bash.unwrap())
        .args(["--norc", "--noprofile", "-i"])
        .env("TERM", "dumb")
        .env("PS1", "$ ");
    let mut terminal = Terminal::start(tool);
    terminal.types("qwen-env -- /bin/sh -c 'echo it \"ran\".'\r");
    terminal.shows(QUESTION);
    terminal.types("\u{1a}y\r");
    terminal.shows("it ran.");
    terminal.types("exit\r");
    assert_eq!(terminal.ends(), 0);
}

/// Each line is typed at a terminal, where a question would hold it up for good.
#[test]
fn what_nobody_can_answer_or_wants_to_is_never_held_up() {
    let sandbox = clone();
    let Some(mut shell) = Shell::start("bash", &sandbox) else {
        return;
    };
    for line in [
        // A login shell started by an editor, scp, rsync, ssh with a command: no terminal on standard input or error.
        "echo | bash -c 'eval $(qwen-env)' 2>&1",
        "bash -c 'eval $(qwen-env)' </dev/null",
        "bash -c 'eval $(qwen-env)' 2>../said",
        "ENV=$PWD/../rc sh -ic 'true' </dev/null >../out 2>&1",
        // Nobody at the terminal, or somebody else in its foreground.
        "nohup bash -c 'eval $(qwen-env)' >../out 2>&1",
        "setsid -w bash -c 'eval $(qwen-env)'",
        "(qwen-env >../out & wait)",
        "qwen-env >../out & wait",
        "qwen-env -- true & wait",
        // Said not to ask.
        "CI=1 qwen-env >../out",
        "CI=true qwen-env -- true",
        "VSCODE_RESOLVING_ENVIRONMENT=1 qwen-env >../out",
        "INTELLIJ_ENVIRONMENT_READER=1 qwen-env >../out",
        "qwen-env -q >../out",
        // No statements, no command.
        "qwen-env --get GREETING",
        "qwen-env --format json",
        "qwen-env --format dotenv",
        "qwen-env --format null",
        "qwen-env --explain",
        "qwen-env --check",
        "qwen-env --unset",
        "eval \"$(qwen-env --hook bash)\"",
        "cd ..; cd work",
        // Nothing waits.
        "qwen-env --all >../out",
        "qwen-env --file .env --all >../out",
    ] {
        let allowed = line.contains("--all");
        if allowed {
            sandbox.write("work/.env", "GREETING=hello\n");
        }
        shell.does(line);
    }
}

#[test]
fn trust_shows_what_a_file_sets_and_grants_exactly_that() {
    let sandbox = clone();
    let start = || Terminal::start(sandbox.tool("qwen-env").arg("--trust"));
    let get = |code| {
        sandbox
            .tool("qwen-env")
            .args(["--get", "GREETING"])
            .run()
            .exits(code)
    };
    for refusal in ["\r", "n\r", "\u{4}"] {
        let mut terminal = start();
        terminal.shows(QUESTION);
        let shown = terminal.plain();
        assert!(
            shown.contains("sets 14 variables") && shown.contains("sk-***89"),
            "{shown}"
        );
        terminal.types(refusal);
        if refusal == "n\r" {
            terminal.shows("work/.env: refused; 'qwen-env --untrust' forgets that");
        }
        assert_eq!(terminal.ends(), 1);
        get(1);
    }
    // What is written while the question is open is not what was shown.
    let mut terminal = start();
    terminal.shows(QUESTION);
    sandbox.write("work/.env", format!("{CLONE}LATE=1\n"));
    terminal.types("y\r");
    assert_eq!(terminal.ends(), 0);
    get(1);
    sandbox.write("work/.env", CLONE);
    get(0);
    sandbox.tool("qwen-env").arg("--untrust").run().exits(0);
    let terminal = Terminal::start(sandbox.tool("qwen-env").args(["--trust", "--yes"]));
    terminal.shows("trusted with its present content");
    assert_eq!(terminal.ends(), 0);
    get(0);
    sandbox.tool("qwen-env").args(["--yes"]).run().exits(64);
}

#[test]
fn trust_shows_first_what_is_marked_and_not_what_no_file_may_set() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "A=1\nQWEN_PROFILE=x\nQWEN_ENV_EXPORTED=x\nLD_PRELOAD=x\n",
    );
    let told = sandbox
        .tool("qwen-env")
        .args(["--trust", "--yes"])
        .run()
        .exits(0)
        .stderr;
    assert!(
        told.contains("sets 2 variables\n  LD_PRELOAD") && !told.contains("QWEN_"),
        "{told}"
    );
}

#[test]
fn an_address_that_is_withheld_is_part_of_the_question() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "work/.env",
        "OPENAI_BASE_URL=https://clone.example/v1\nGREETING=hello\n",
    );
    let tool = sandbox
        .tool("qwen-env")
        .env("OPENAI_API_KEY", "sk-mine-0123456789");
    let mut terminal = Terminal::start(tool.args(["--", "/bin/true"]));
    terminal.shows(QUESTION);
    let shown = terminal.plain();
    assert!(shown.contains("sets 2 variables that wait"), "{shown}");
    assert!(
        shown.contains("OPENAI_BASE_URL  https://clone.example/v1"),
        "{shown}"
    );
    terminal.types("\r");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_hint_names_the_file_that_was_named_or_is_elsewhere_and_none_for_standard_input() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("work/one two/.env", "LD_PRELOAD=x\n");
    let word = file.display().to_string().replace(' ', "\\ ");
    let hint = format!("run 'qwen-env --trust {word}'");
    for place in [["--file", "one two/.env"], ["-C", "one two"]] {
        for form in [
            ["--format", "json"],
            ["--get", "LD_PRELOAD"],
            ["--explain", "--color=never"],
        ] {
            let run = sandbox.tool("qwen-env").args(place).args(form).run();
            let said = run.text() + &run.stderr;
            assert!(said.contains(&hint), "{place:?} {form:?}: {said}");
        }
    }
    for form in [
        ["--format", "json"],
        ["--get", "LD_PRELOAD"],
        ["--explain", "--color=never"],
    ] {
        let tool = sandbox.tool("qwen-env").args(["--file", "-"]).args(form);
        let run = tool.stdin("LD_PRELOAD=x\n").run();
        let said = run.text() + &run.stderr;
        assert!(!said.contains("--trust"), "{form:?}: {said}");
    }
}

#[test]
fn a_check_finds_no_fault_with_an_address_that_is_exported_or_waits() {
    let sandbox = Sandbox::new();
    for address in [
        "http://127.0.0.1:8080/v1",
        "http://localhost:1/v1",
        "http://[::1]:1",
    ] {
        sandbox.write(
            "work/.env",
            format!("OPENAI_BASE_URL={address}\nX_BASE_URL=https://x.example\n"),
        );
        let run = sandbox.tool("qwen-env").arg("--check").run();
        assert!(!run.text().contains("not exported"), "{run:?}");
        sandbox
            .tool("qwen-env")
            .args(["-q", "--get", "OPENAI_BASE_URL"])
            .run()
            .gives(0, format!("{address}\n"), "");
    }
}

#[test]
fn trust_of_qwen_codes_settings_shows_their_members() {
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "work/.qwen/settings.json",
        "{ // a comment\n\"env\": {\"MY_KEY\": \"sk-canary-0123456789\"}, \"security\": {\"auth\": {\"baseUrl\": \"https://u:p@h.example/v1\"}}, \"modelProviders\": {\"openai\": [{\"id\": \"qwen3-coder-plus\", \"envKey\": \"MY_KEY_NAME\"}, {\"envKey\": \"sk-canary-0123456789\"}]} }",
    );
    let run = sandbox.tool("qwen-env").arg("--trust").arg(&file).run().exits(0);
    for part in [
        "env.MY_KEY",
        "sk-***89",
        "security.auth.baseUrl",
        "https://***@h.example/v1",
        "sets 5 settings",
        "modelProviders.openai.0.id      qwen3-coder-plus",
        "modelProviders.openai.0.envKey  MY_KEY_NAME",
    ] {
        assert!(run.stderr.contains(part), "no {part} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("canary"));
}

#[test]
fn a_file_passed_over_for_its_mode_is_found_by_trust_alone() {
    use std::os::unix::fs::PermissionsExt;
    for place in ["work/.env", "home/.env"] {
        let sandbox = Sandbox::new();
        let file = sandbox.write(place, "OPENAI_MODEL=loose\n");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let get = || sandbox.tool("qwen-env").args(["--get", "OPENAI_MODEL"]).run();
        get().exits(1);
        sandbox.tool("qwen-env").arg("--trust").run().exits(0);
        get().gives(0, "loose\n", "");
    }
}

/// Statements of every shell and every other form, on a terminal and in a pipe.
#[test]
fn a_terminal_shows_what_would_act_on_it_and_a_pipe_gets_the_exact_bytes() {
    let sandbox = Sandbox::new();
    let value = "a\u{1b}]52;c;QUFB\u{7}b\u{9b}31mc\u{202e}d";
    sandbox.write("work/.env", format!("V='{value}'\n"));
    let mut forms: Vec<Vec<&str>> = ["json", "dotenv", "null"]
        .map(|form| vec!["--format", form])
        .to_vec();
    forms.push(vec!["--get", "V"]);
    forms.push(vec!["--explain", "--show-secrets"]);
    for shell in [
        "sh", "dash", "bash", "zsh", "ksh", "mksh", "busybox", "yash", "posh", "fish", "tcsh", "csh",
        "elvish", "xonsh", "nu", "pwsh",
    ] {
        forms.push(vec!["--shell", shell]);
    }
    for form in forms {
        let tool = || sandbox.tool("qwen-env").args(["--all", "-q"]).args(&form);
        let terminal = Terminal::start(tool());
        let shown = terminal.shown_at_end();
        for hostile in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}'] {
            assert!(!shown.contains(hostile), "{form:?}: {shown:?}");
        }
        let piped = tool().run().exits(0);
        if form[0] == "--get" {
            assert_eq!(piped.text(), format!("{value}\n"));
        }
    }
}

#[test]
fn what_was_typed_before_the_question_is_no_answer() {
    let sandbox = clone();
    fs::create_dir_all(sandbox.work().join("bin")).unwrap();
    // The shell reads nothing while this runs, so the answer is typed before the question is asked.
    let script = "echo ready; read -r wait <../go; exec qwen-env -- sh -c 'echo \"has $GREETING.\"'";
    let go = sandbox.root().join("go");
    rustix::fs::mkfifoat(rustix::fs::CWD, &go, 0o600.into()).unwrap();
    let mut terminal = Terminal::start(sandbox.command("/bin/sh").args(["-c", script]));
    terminal.shows("ready");
    terminal.types("y\ry\ryes");
    terminal.shows("yes");
    fs::write(go, "\n").unwrap();
    terminal.shows(QUESTION);
    let start = terminal.plain().len();
    terminal.types("\r");
    terminal.shows_after(start, "has .");
    assert_eq!(terminal.ends(), 0);
    assert!(!sandbox.home().join(".local/state/qwen/trust.json").exists());
    let mut terminal = Terminal::start(
        sandbox
            .command("/bin/sh")
            .args(["-c", "echo ready; read -r wait <../go; exec qwen-env --trust"]),
    );
    terminal.shows("ready");
    terminal.types("y\r");
    terminal.shows("y");
    fs::write(sandbox.root().join("go"), "\n").unwrap();
    terminal.shows(QUESTION);
    terminal.types("\r");
    assert_eq!(terminal.ends(), 1);
}

#[test]
fn an_address_that_only_a_clone_names_is_told_where_other_programs_get_it_and_nowhere_else() {
    let pair = "OPENAI_BASE_URL=http://127.0.0.1:9/v1\nOPENAI_API_KEY=sk-clone-0123456789\n";
    let said = ".env:1: OPENAI_BASE_URL is this project's; programs that store keys themselves would send them there\n";
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", pair);
    let run = |script: &str| sandbox.command("/bin/sh").args(["-c", script]).run().exits(0);
    for (script, times) in [
        ("eval $(qwen-env)", 1),
        ("qwen-env -- true", 1),
        // Once a content and shell.
        ("eval $(qwen-env); eval $(qwen-env)", 1),
        (
            "eval $(qwen-env); echo MORE=1 >>.env; eval $(qwen-env); sed -i '/MORE/d' .env",
            2,
        ),
        ("eval $(qwen-env -q); qwen-env -q -- true", 0),
        (
            "qwen-env --get OPENAI_BASE_URL; qwen-env --format json; qwen-env --format dotenv",
            0,
        ),
        // The shell's own address stays.
        (
            "OPENAI_BASE_URL=http://127.0.0.1:8/v1; export OPENAI_BASE_URL; eval $(qwen-env)",
            0,
        ),
    ] {
        let stderr = run(script).stderr;
        assert_eq!(stderr.matches(said).count(), times, "{script}: {stderr}");
    }
    // Without a key beside it, on this machine alone.
    sandbox.write("work/.env", "OPENAI_BASE_URL=http://127.0.0.1:9/v1\n");
    assert!(run("eval $(qwen-env)").stderr.contains(said));
    // The user's own word.
    sandbox.tool("qwen-env").args(["--trust", "--yes"]).run().exits(0);
    assert_eq!(run("eval $(qwen-env)").stderr, "");
    std::fs::remove_file(sandbox.work().join(".env")).unwrap();
    sandbox.write("home/.env", pair);
    assert_eq!(run("eval $(qwen-env)").stderr, "");
}

/// google-gemini/gemini-cli#23333: what is asked about must not be scrolled away by what stands around it.
#[test]
fn long_names_and_values_do_not_scroll_the_dangerous_ones_away() {
    let sandbox = Sandbox::new();
    let long: String = (10..28)
        .map(|number| format!("A{number}{}=1\n", "B".repeat(20_000)))
        .collect();
    let key = format!(
        "X{}_BASE_URL=https://h.example/{}\n",
        "C".repeat(9_000),
        "d".repeat(9_000)
    );
    sandbox.write("work/.env", format!("LD_PRELOAD=/tmp/evil.so\n{long}{key}"));
    let mut terminal = Terminal::start(sandbox.tool("qwen-env").args(["--", "/bin/true"]));
    terminal.shows(QUESTION);
    let shown = terminal.plain();
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    assert!(lines.iter().all(|line| line.chars().count() < 400), "{shown}");
    let at = |text: &str| lines.iter().position(|line| line.contains(text)).unwrap();
    let (preload, asked) = (at("LD_PRELOAD"), at("Set them as long as"));
    assert!((1..=4).contains(&(asked - preload)), "{shown}");
    terminal.types("\r");
    terminal.ends();
}

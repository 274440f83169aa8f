//! Completion in the real shells: what a person gets who types and presses Tab.
use std::path::{Path, PathBuf};

use crate::support::peers::{command, present};
use crate::support::{Reply, Sandbox, Server, Terminal, Tool};

const TAB: &str = "\t";

/// A sandbox with two profiles.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.config(
        r#"{
            "default_profile": "home",
            "profiles": {
                "home": {"provider": "custom", "base_url": "http://127.0.0.1:9/v1", "method": "api-key"},
                "work": {"provider": "openai", "method": "api-key"}
            }
        }"#,
    );
    sandbox
}

fn scripts(shell: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("completions")
        .join(shell)
}

/// An interactive shell that has read nothing of the user's, on a terminal.
fn interactive(sandbox: &Sandbox, shell: &str, flags: &[&str]) -> Option<Tool> {
    let program = command(shell);
    present(shell, program.is_some()).then(|| {
        sandbox
            .command(program.unwrap())
            .args(flags)
            .env("TERM", "xterm")
            .env("PS1", "> ")
            .env("SHELL", "/bin/sh")
    })
}

fn bash(sandbox: &Sandbox, rc: &str) -> Option<Tool> {
    let quiet = "PS1='> '; bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'";
    let rc = sandbox.write("bashrc", format!("{quiet}\n{rc}\necho ready\n"));
    interactive(sandbox, "bash", &["--rcfile", rc.to_str().unwrap(), "-i"])
}

/// Types each line in a shell of its own, Tab last, and waits for what must come of it.
fn types(shell: impl Fn() -> Option<Tool>, cases: &[(&str, &[&str])]) {
    for (typed, wanted) in cases {
        let Some(shell) = shell() else { return };
        let mut terminal = Terminal::start(shell);
        terminal.shows("ready");
        // What is typed before the editor reads is drawn piece by piece, with prompts between the pieces.
        terminal.waits_for_echo(false);
        let before = terminal.plain().len();
        terminal.types(&format!("{typed}{TAB}"));
        for words in *wanted {
            terminal.shows_after(before, words);
        }
    }
}

#[test]
fn bash_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    types(
        || {
            bash(
                &sandbox,
                &format!("for f in {}/*; do . $f; done", scripts("bash").display()),
            )
        },
        &[
            ("qwen lo", &["qwen login "]),
            ("qwen-auth use ", &["home", "work"]),
            ("qwen-auth use w", &["use work "]),
            ("qwen-auth logout --profile w", &["--profile work "]),
            ("qwen auth use w", &["use work "]),
            ("qwen-auth sta", &["qwen-auth status "]),
            ("qwen-chat --mo", &["qwen-chat --model "]),
            ("qwen chat --mo", &["qwen chat --model "]),
            ("qwen -q --profile ho", &["--profile home "]),
            ("qwen --profile=ho", &["--profile=home "]),
            ("qwen --profile=home env --expl", &["env --explain "]),
            ("qwen help lo", &["help login "]),
            ("qwen-chat --reasoning=std", &["stderr", "stdout"]),
            ("qwen-login --provider deeps", &["--provider deepseek "]),
            ("qwen-env --override -- xarg", &["-- xargs "]),
            ("qwen token -- xarg", &["-- xargs "]),
        ],
    );
}

#[test]
fn bash_asks_a_tool_for_its_script_when_only_the_dispatchers_was_loaded() {
    let sandbox = sandbox();
    types(
        || bash(&sandbox, "eval \"$(qwen --generate bash)\""),
        &[("qwen chat --mo", &["qwen chat --model "])],
    );
}

#[test]
fn bash_takes_no_code_from_a_server() {
    let sandbox = sandbox();
    let marker = sandbox.root().join("pwned");
    let hostile = format!(
        r#"{{"data": [{{"id": "tiny"}}, {{"id": "tiny$(touch {0})"}}, {{"id": "tiny`touch {0}`"}}, {{"id": "tiny-2"}}]}}"#,
        marker.display()
    );
    let server = Server::script([Reply::json(200, &hostile)]);
    let shell = || {
        bash(
            &sandbox,
            &format!(". {}/qwen-chat.bash", scripts("bash").display()),
        )
        .map(|shell| {
            shell
                .env("OPENAI_API_KEY", "sk-test")
                .env("OPENAI_BASE_URL", server.url("/v1"))
        })
    };
    types(shell, &[("qwen-chat --model ti", &["tiny-2"])]);
    assert!(!marker.exists());
}

/// A server of models whose names have colons, as Ollama's and OpenRouter's do.
fn with_colons() -> Server {
    let body = r#"{"data": [{"id": "llama3:8b"}, {"id": "llama3:70b"}, {"id": "qwen/qwen3:free"}, {"id": "tiny"}, {"id": "(rm x)"}]}"#;
    Server::answering(|_, _| Reply::json(200, body))
}

#[test]
fn bash_completes_models_whose_names_have_colons() {
    let (sandbox, server) = (sandbox(), with_colons());
    let shell = || {
        bash(
            &sandbox,
            &format!("for f in {}/*; do . $f; done", scripts("bash").display()),
        )
        .map(|shell| shell.env("OPENAI_BASE_URL", server.url("/v1")))
    };
    types(
        shell,
        &[
            ("qwen-chat -m llama3:", &["70b", "8b"]),
            ("qwen-chat -m llama3:7", &["-m llama3:70b "]),
            ("qwen chat --model=llama3:8", &["--model=llama3:8b "]),
            ("qwen-batch run --model qw", &["--model qwen/qwen3:free "]),
            ("qwen-chat 'is:' x:y --reasoning d", &["--reasoning drop "]),
        ],
    );
}

#[test]
fn bash_stays_silent_where_there_is_nothing_to_ask() {
    let sandbox = Sandbox::new();
    let rc = format!(
        "for f in {}/*; do . $f; done; unset HOME",
        scripts("bash").display()
    );
    for typed in ["qwen-chat --model ", "qwen auth use "] {
        let Some(shell) = bash(&sandbox, &rc) else { return };
        let mut terminal = Terminal::start(shell);
        terminal.shows("ready");
        terminal.shows("> ");
        let before = terminal.plain().len();
        terminal.types(&format!("{typed}{TAB}"));
        terminal.types("\u{15}echo st''ill\n");
        terminal.shows_after(before, "still");
        let said = terminal.plain()[before..].to_owned();
        assert!(
            !said.contains("qwen-chat:") && !said.contains("qwen-auth:"),
            "{said}"
        );
    }
}

#[test]
fn zsh_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    sandbox.write(
        "home/.zshrc",
        format!(
            "fpath=({} $fpath); autoload -U compinit; compinit -u -D; PS1='> '; unsetopt promptsp; echo ready\n",
            scripts("zsh").display()
        ),
    );
    types(
        || interactive(&sandbox, "zsh", &["-i"]),
        &[
            ("qwen lo", &["qwen login "]),
            ("qwen-auth use ", &["home", "work"]),
            ("qwen-auth use w", &["use work "]),
            ("qwen auth use w", &["use work "]),
            ("qwen-chat --mo", &["qwen-chat --model"]),
            ("qwen chat --mo", &["qwen chat --model"]),
            ("qwen -q --profile ho", &["--profile home "]),
            ("qwen --profile=ho", &["--profile=home "]),
            ("qwen help lo", &["help login "]),
            ("qwen-chat hello --rea", &["qwen-chat hello --reasoning"]),
            ("qwen chat hello there --mo", &["hello there --model"]),
            ("qwen-env -- xarg", &["-- xargs "]),
            ("qwen token -q -- xarg", &["-- xargs "]),
            ("qwen-login --provider deeps", &["--provider deepseek "]),
        ],
    );
}

#[test]
fn fish_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    let fish = command("fish");
    if !present("fish", fish.is_some()) {
        return;
    }
    let ask = |line: &str| {
        let code = format!(
            "for f in {}/*; source $f; end; complete -C '{line}'",
            scripts("fish").display()
        );
        let run = sandbox
            .command(fish.as_ref().unwrap())
            .args(["--no-config", "-c", &code])
            .run();
        let text = run.exits(0).text();
        let words: Vec<String> = text
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect();
        words
    };
    for (line, wanted) in [
        ("qwen lo", &["login"][..]),
        ("qwen-auth use ", &["home", "work"]),
        ("qwen auth use w", &["work"]),
        ("qwen-chat --mo", &["--model"]),
        ("qwen chat --mo", &["--model"]),
        ("qwen -q --profile ho", &["home"]),
        ("qwen --profile=ho", &["--profile=home"]),
        ("qwen --profile home env --expl", &["--explain"]),
        ("qwen help lo", &["login"]),
        ("qwen-chat hello --rea", &["--reasoning"]),
        ("qwen-env --override -- xarg", &["xargs"]),
        ("qwen token -- xarg", &["xargs"]),
        ("qwen-login --provider deeps", &["deepseek"]),
    ] {
        assert_eq!(ask(line), wanted, "{line}");
    }
}

#[test]
fn fish_completes_on_tab() {
    let sandbox = sandbox();
    let rc = format!(
        "for f in {}/*; source $f; end; echo ready",
        scripts("fish").display()
    );
    let Some(shell) = interactive(&sandbox, "fish", &["--no-config", "-C", &rc, "-i"]) else {
        return;
    };
    let mut terminal = Terminal::start(shell);
    terminal.shows("ready");
    terminal.waits_for_echo(false);
    terminal.types(&format!("qwen lo{TAB}--help\n"));
    terminal.shows("Usage: qwen-login");
}

#[test]
fn elvish_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    let rc = sandbox.write(
        "rc.elv",
        format!(
            "for f [{}/*] {{ eval (slurp < $f) }}\n\
             set edit:prompt = {{ put '> ' }}\n\
             set edit:rprompt = {{ }}\n\
             echo ready\n",
            scripts("elvish").display()
        ),
    );
    types(
        || interactive(&sandbox, "elvish", &["-rc", rc.to_str().unwrap()]),
        &[
            ("qwen lo", &["qwen login"]),
            ("qwen-auth use ", &["home", "work"]),
            ("qwen-auth use w", &["use work"]),
            ("qwen auth use w", &["use work"]),
            ("qwen-chat hello --mo", &["--model"]),
            ("qwen chat --mo", &["qwen chat --model"]),
            ("qwen -q --profile ho", &["--profile home"]),
            ("qwen help lo", &["help login"]),
            ("qwen-login --provider deeps", &["--provider deepseek"]),
        ],
    );
}

#[test]
fn nushell_completes_tools_profiles_flags_and_values() {
    let nu = crate::support::peers::directory().join("nu/node_modules/@nushell/linux-x64/bin/nu");
    if !present("nu", nu.is_file()) {
        return;
    }
    let (sandbox, server) = (sandbox(), with_colons());
    for (line, wanted) in [
        ("qwen lo", &["qwen login"][..]),
        ("qwen-auth use ", &["home", "work"]),
        ("qwen auth use w", &["work"]),
        ("qwen-chat --mo", &["--model"]),
        ("qwen chat --mo", &["--model"]),
        ("qwen --profile ho", &["home"]),
        ("qwen-login --provider deeps", &["deepseek"]),
        ("qwen chat -m llama3:", &["llama3:70b", "llama3:8b"]),
        (
            "qwen-chat -m ",
            &["llama3:70b", "llama3:8b", "qwen/qwen3:free", "tiny"],
        ),
    ] {
        let mut text = String::new();
        for entry in std::fs::read_dir(scripts("nushell")).unwrap() {
            text.push_str(&format!("source {}\n", entry.unwrap().path().display()));
        }
        text.push_str(line);
        let file = sandbox.write("typed.nu", &text);
        let run = sandbox
            .command(&nu)
            .args(["--no-config-file", "--ide-complete", &text.len().to_string()])
            .env("OPENAI_BASE_URL", server.url("/v1"))
            .arg(&file)
            .run();
        let answer: serde_json::Value = serde_json::from_slice(&run.exits(0).stdout).unwrap();
        let found: Vec<&str> = answer["completions"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|word| word.as_str())
            .collect();
        assert_eq!(found, wanted, "{line}");
    }
}

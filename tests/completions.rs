//! Completion in the real shells: what a person gets who types and presses Tab.

mod support;

use std::path::{Path, PathBuf};

use support::peers::{command, present};
use support::{Reply, Sandbox, Server, Terminal, Tool};

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

/// Types each line, Tab last, and waits for what must come of it; then clears the line.
fn types(terminal: &mut Terminal, cases: &[(&str, &[&str])]) {
    for (typed, wanted) in cases {
        let before = terminal.plain().len();
        terminal.types(&format!("{typed}{TAB}"));
        for words in *wanted {
            terminal.shows_after(before, words);
        }
        // Ctrl-C leaves a menu, then a line.
        terminal.types("\x03");
        terminal.shows_after(terminal.plain().len(), "");
    }
}

#[test]
fn bash_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "bash", &["--noprofile", "--norc", "-i"]) else {
        return;
    };
    let rc = format!(
        "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; \
         for f in {0}/*; do . $f; done; echo read''y\n",
        scripts("bash").display()
    );
    let mut terminal = Terminal::start(shell);
    terminal.types(&rc);
    terminal.shows("ready");
    types(
        &mut terminal,
        &[
            ("qwen lo", &["qwen login "]),
            ("qwen-auth use ", &["home", "work"]),
            ("qwen-auth use w", &["use work "]),
            ("qwen auth use w", &["use work "]),
            ("qwen-chat --mo", &["qwen-chat --model "]),
            ("qwen chat --mo", &["qwen chat --model "]),
            ("qwen -q --profile ho", &["--profile home "]),
            ("qwen --profile=ho", &["--profile=home "]),
            ("qwen --profile=home env --expl", &["env --explain "]),
            ("qwen help lo", &["help login "]),
            ("qwen-chat --reasoning=std", &["stderr", "stdout"]),
            ("qwen-login --provider deeps", &["--provider deepseek "]),
        ],
    );
}

#[test]
fn bash_asks_a_tool_for_its_script_when_only_the_dispatchers_was_loaded() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "bash", &["--noprofile", "--norc", "-i"]) else {
        return;
    };
    let mut terminal = Terminal::start(shell);
    terminal.types("bind 'set enable-bracketed-paste off'; eval \"$(qwen --generate bash)\"; echo read''y\n");
    terminal.shows("ready");
    types(&mut terminal, &[("qwen chat --mo", &["qwen chat --model "])]);
}

#[test]
fn bash_takes_no_code_from_a_server() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "bash", &["--noprofile", "--norc", "-i"]) else {
        return;
    };
    let marker = sandbox.root().join("pwned");
    let hostile = format!(
        r#"{{"data": [{{"id": "tiny"}}, {{"id": "tiny$(touch {0})"}}, {{"id": "tiny`touch {0}`"}}, {{"id": "tiny-2"}}]}}"#,
        marker.display()
    );
    let server = Server::script([Reply::json(200, &hostile)]);
    let shell = shell
        .env("OPENAI_API_KEY", "sk-test")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    let mut terminal = Terminal::start(shell);
    terminal.types(&format!(
        "bind 'set show-all-if-ambiguous on'; bind 'set enable-bracketed-paste off'; . {}/qwen-chat.bash; echo read''y\n",
        scripts("bash").display()
    ));
    terminal.shows("ready");
    types(&mut terminal, &[("qwen-chat --model ti", &["tiny-2"])]);
    assert!(!marker.exists());
}

#[test]
fn zsh_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "zsh", &["-f", "-i"]) else {
        return;
    };
    let mut terminal = Terminal::start(shell);
    terminal.types(&format!(
        "fpath=({} $fpath); autoload -U compinit; compinit -u -D; PS1='> '; echo read''y\n",
        scripts("zsh").display()
    ));
    terminal.shows("ready");
    types(
        &mut terminal,
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
        ("qwen-login --provider deeps", &["deepseek"]),
    ] {
        assert_eq!(ask(line), wanted, "{line}");
    }
}

#[test]
fn fish_completes_on_tab() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "fish", &["--no-config", "-i"]) else {
        return;
    };
    let mut terminal = Terminal::start(shell);
    terminal.types(&format!(
        "for f in {}/*; source $f; end; echo read''y\n",
        scripts("fish").display()
    ));
    terminal.shows("ready");
    terminal.types(&format!("qwen lo{TAB}--help\n"));
    terminal.shows("Usage: qwen-login");
}

#[test]
fn elvish_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    let Some(shell) = interactive(&sandbox, "elvish", &["-norc"]) else {
        return;
    };
    let mut terminal = Terminal::start(shell);
    terminal.types(&format!(
        "for f [{}/*] {{ eval (slurp < $f) }}; echo read''y\n",
        scripts("elvish").display()
    ));
    terminal.shows("ready");
    types(
        &mut terminal,
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
    let sandbox = sandbox();
    let nu = support::peers::directory().join("nu/node_modules/@nushell/linux-x64/bin/nu");
    if !present("nu", nu.is_file()) {
        return;
    }
    for (line, wanted) in [
        ("qwen lo", &["qwen login"][..]),
        ("qwen-auth use ", &["home", "work"]),
        ("qwen auth use w", &["work"]),
        ("qwen-chat --mo", &["--model"]),
        ("qwen chat --mo", &["--model"]),
        ("qwen --profile ho", &["home"]),
        ("qwen-login --provider deeps", &["deepseek"]),
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

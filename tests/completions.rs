//! Completion: what the programs answer a shell, and what a person gets who types in a real one and presses Tab.
use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::login::{OWN_FILE, login};
use crate::support::peers::{command, directory, present};
use crate::support::{Reply, Sandbox, Server, Terminal, Tool};

const TAB: &str = "\t";

/// Shells whose answers hold the bare candidates, each with its help.
const PLAIN: &str = "elvish";

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

/// The file that registers the programs with a shell.
fn registration(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("completions")
        .join(name)
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
                &format!(". {}", registration("bash/qwen.bash").display()),
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
            ("qwen help conf", &["help config "]),
            ("qwen help e", &["env", "exit"]),
            ("qwen-chat --reasoning=std", &["stderr", "stdout"]),
            ("qwen-login --provider deeps", &["--provider deepseek "]),
            ("qwen-env --override -- xarg", &["-- xargs "]),
            ("qwen token -- xarg", &["-- xargs "]),
        ],
    );
}

#[test]
fn every_shell_gets_the_registration_from_each_program() {
    let sandbox = Sandbox::new();
    for (shell, file) in [
        ("bash", "bash/qwen.bash"),
        ("zsh", "zsh/_qwen"),
        ("fish", "fish/qwen.fish"),
        ("elvish", "elvish/qwen.elv"),
        ("powershell", "powershell/qwen.ps1"),
        ("nushell", "nushell/qwen.nu"),
    ] {
        let code = std::fs::read(registration(file)).unwrap();
        for name in ["qwen", "qwen-env", "qwen-chat"] {
            let tool = sandbox.tool(name).env("QWEN_COMPLETE", shell);
            tool.env_remove("HOME").run().gives(0, &code, "");
        }
    }
    let tool = sandbox.tool("qwen-chat").env("QWEN_COMPLETE", "ksh");
    tool.run().gives(
        64,
        "",
        "qwen-chat: QWEN_COMPLETE: no completion for the shell 'ksh'\n\
         qwen-chat: hint: use one of bash, zsh, fish, elvish, powershell, nushell\n",
    );
}

#[test]
fn bash_completes_every_tool_by_the_code_that_one_prints() {
    let sandbox = sandbox();
    types(
        || bash(&sandbox, "eval \"$(QWEN_COMPLETE=bash qwen)\""),
        &[
            ("qwen chat --mo", &["qwen chat --model "]),
            ("qwen-auth use w", &["use work "]),
        ],
    );
}

/// A server of models whose names have colons, as Ollama's and OpenRouter's do.
fn with_colons() -> Server {
    let body = r#"{"data": [{"id": "llama3:8b"}, {"id": "llama3:70b"}, {"id": "qwen/qwen3:free"}, {"id": "tiny"}, {"id": "(rm x)"}, {"id": "--curl"}]}"#;
    Server::answering(|_, _| Reply::json(200, body))
}

#[test]
fn bash_completes_models_whose_names_have_colons() {
    let (sandbox, server) = (sandbox(), with_colons());
    let shell = || {
        bash(
            &sandbox,
            &format!(". {}", registration("bash/qwen.bash").display()),
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
    let rc = format!(". {}; unset HOME", registration("bash/qwen.bash").display());
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

fn zsh(sandbox: &Sandbox) -> Option<Tool> {
    sandbox.write(
        "home/.zshrc",
        format!(
            "fpath=({} $fpath); autoload -U compinit; compinit -u -D; PS1='> '; unsetopt promptsp; echo ready\n",
            registration("zsh").display()
        ),
    );
    interactive(sandbox, "zsh", &["-i"])
}

#[test]
fn zsh_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    types(
        || zsh(&sandbox),
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
            ("qwen help conf", &["help config "]),
            ("qwen help e", &["env", "exit"]),
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
            "source {}; complete -C '{line}'",
            registration("fish/qwen.fish").display()
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
        ("qwen help conf", &["config"]),
        ("qwen help e", &["env", "exit"]),
        ("qwen help env ", &[]),
        ("qwen-chat hello --rea", &["--reasoning"]),
        ("qwen-env --override -- xarg", &["xargs"]),
        ("qwen token -- xarg", &["xargs"]),
        ("qwen-login --provider deeps", &["deepseek"]),
    ] {
        assert_eq!(ask(line), wanted, "{line}");
    }
}

fn fish(sandbox: &Sandbox) -> Option<Tool> {
    let rc = format!("source {}; echo ready", registration("fish/qwen.fish").display());
    interactive(sandbox, "fish", &["--no-config", "-C", &rc, "-i"])
}

#[test]
fn fish_completes_on_tab() {
    let sandbox = sandbox();
    let Some(shell) = fish(&sandbox) else { return };
    let mut terminal = Terminal::start(shell);
    terminal.shows("ready");
    terminal.waits_for_echo(false);
    terminal.types(&format!("qwen lo{TAB}--help\n"));
    terminal.shows("Usage: qwen-login");
}

fn elvish(sandbox: &Sandbox) -> Option<Tool> {
    let rc = sandbox.write(
        "rc.elv",
        format!(
            "eval (slurp < {})\n\
             set edit:prompt = {{ put '> ' }}\n\
             set edit:rprompt = {{ }}\n\
             echo ready\n",
            registration("elvish/qwen.elv").display()
        ),
    );
    interactive(sandbox, "elvish", &["-rc", rc.to_str().unwrap()])
}

#[test]
fn elvish_completes_tools_profiles_flags_and_values() {
    let sandbox = sandbox();
    types(
        || elvish(&sandbox),
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
    let nu = directory().join("nu/node_modules/@nushell/linux-x64/bin/nu");
    if !present("nu", nu.is_file()) {
        return;
    }
    let (sandbox, server) = (sandbox(), with_colons());
    for (words, wanted) in [
        (&["qwen", "lo"][..], &["login"][..]),
        (&["qwen-auth", "use", ""], &["home", "work"]),
        (&["qwen", "auth", "use", "w"], &["work"]),
        (&["qwen-chat", "--mo"], &["--model"]),
        (&["qwen", "chat", "--mo"], &["--model"]),
        (&["qwen", "--profile", "ho"], &["home"]),
        (&["qwen-login", "--provider", "deeps"], &["deepseek"]),
        (&["qwen", "chat", "-m", "llama3:"], &["llama3:70b", "llama3:8b"]),
        (&["qwen-chat", "-m", "'qw"], &["qwen/qwen3:free"]),
        (&["qwen-chat", "-m", "("], &["\"(rm x)\""]),
        (&["ls", "x"], &["of ls"]),
    ] {
        let code = format!(
            "$env.config.completions.external.completer = {{|spans| [{{value: $'of ($spans.0)'}}] }}\n\
             source {}\n\
             do $env.config.completions.external.completer {} | get value | to json\n",
            registration("nushell/qwen.nu").display(),
            json!(words)
        );
        let run = sandbox.command(&nu).args(["--no-config-file", "-c", &code]);
        let run = run.env("OPENAI_BASE_URL", server.url("/v1")).run();
        let found: serde_json::Value = serde_json::from_slice(&run.exits(0).stdout).unwrap();
        assert_eq!(found, json!(wanted), "{words:?}");
    }
}

/// What a program answers for these words: the first line, and the candidates without their help.
fn answer(tool: Tool, words: &[&str]) -> (String, Vec<String>) {
    let run = tool.env("QWEN_COMPLETE", PLAIN).arg("--").args(words).run();
    assert_eq!(run.stderr, "", "{words:?}");
    let text = run.exits(0).text();
    let mut lines = text
        .lines()
        .map(|line| line.split('\t').next().unwrap().to_owned());
    (lines.next().unwrap(), lines.collect())
}

#[test]
fn the_programs_say_what_may_stand_at_the_cursor() {
    let sandbox = sandbox();
    sandbox.write("work/.env", "ONE=1\nTWO=2\n");
    sandbox.write("work/other.env", "THREE=3\n");
    sandbox.write("work/sub/.env", "FOUR=4\n");
    for file in [".env", "sub/.env"] {
        sandbox.tool("qwen-env").args(["--trust", file]).run().exits(0);
    }
    sandbox.write("work/system prompt", "");
    for name in ["old", "new", ".hidden"] {
        let path = format!("home/.local/state/qwen/sessions/{name}.json");
        sandbox.write(path, r#"{"messages": []}"#);
    }
    for (line, kind, wanted) in [
        ("qwen-chat --session ", "words", &["new", "old"][..]),
        ("qwen chat --session=o", "words", &["--session=old"]),
        ("qwen-chat --system @s", "words", &["@system prompt", "@sub/"]),
        (
            "qwen-batch run --template @s",
            "words",
            &["@system prompt", "@sub/"],
        ),
        ("qwen-chat --system s", "words", &[]),
        ("qwen-chat --file ", "files", &[]),
        ("qwen-chat --file=x", "files", &[]),
        ("qwen-chat word ", "files", &[]),
        ("qwen -C ", "directories", &[]),
        ("qwen-batch run ", "files", &[]),
        ("qwen-env -- ", "command", &[]),
        ("qwen-token -q -- ls ", "command", &[]),
        ("qwen-env ", "words", &[]),
        ("qwen-env --get ", "words", &["ONE", "TWO"]),
        ("qwen-env -C sub --get ", "words", &["FOUR"]),
        ("qwen env --file other.env --get ", "words", &["THREE"]),
        ("qwen -C sub env --get ", "words", &["FOUR"]),
        ("qwen-env --shell x", "words", &["xonsh"]),
        (
            "qwen-env --hook ",
            "words",
            &["bash", "zsh", "fish", "elvish", "nu"],
        ),
        ("qwen-login --store ", "words", &["auto", "keyring", "file"]),
        (
            "qwen-auth -",
            "words",
            &[
                "--profile",
                "--directory",
                "--quiet",
                "--verbose",
                "--color",
                "--help",
                "--version",
            ],
        ),
        ("qwen nosuchtool ", "words", &[]),
        ("qwen --mo", "words", &["--model"]),
        ("qwen --li", "words", &["--list"]),
        ("qwen --reasoning ", "words", &["drop", "stderr", "stdout"]),
        ("qwen -- ", "words", &[]),
        (
            "qwen-chat -C sub --list-models --profile ",
            "words",
            &["home", "work"],
        ),
        ("qwen-auth list --format ", "words", &["text", "json"]),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let program = words[0];
        assert_eq!(
            answer(sandbox.tool(program), &words),
            (kind.to_owned(), wanted.iter().map(ToString::to_string).collect()),
            "{line}"
        );
    }
}

/// The models or batches that a program offers at the end of these words.
fn offered(tool: Tool, words: &[&str]) -> Vec<String> {
    let (kind, found) = answer(tool, words);
    assert_eq!(kind, "words");
    found
}

#[test]
fn models_come_from_the_endpoint_that_the_words_before_name() {
    let (home, work) = (
        with_colons(),
        Server::answering(|_, _| Reply::json(200, r#"[{"id": "of-work"}]"#)),
    );
    let sandbox = Sandbox::new();
    sandbox.config(
        &json!({
            "default_profile": "home",
            "profiles": {
                "home": {"base_url": home.url("/v1"), "method": "api-key", "key": {"env": "HOME_KEY"}},
                "work": {"base_url": work.url("/v1"), "method": "api-key", "key": {"env": "WORK_KEY"}}
            }
        })
        .to_string(),
    );
    let all = ["(rm x)", "llama3:70b", "llama3:8b", "qwen/qwen3:free", "tiny"];
    for (words, wanted) in [
        (&["qwen-chat", "-m", ""][..], &all[..]),
        (&["qwen-chat", "--profile", "work", "--model", ""], &["of-work"]),
        (&["qwen-chat", "--profile=work", "-mof"], &["-mof-work"]),
        (&["qwen", "--profile", "work", "chat", "-m", ""], &["of-work"]),
        (&["qwen", "--profile", "work", "--model", ""], &["of-work"]),
        (
            &["qwen-batch", "run", "--profile=work", "--model", ""],
            &["of-work"],
        ),
        (&["qwen-login", "--profile=work", "--model", ""], &["of-work"]),
    ] {
        let tool = sandbox
            .tool(words[0])
            .env("HOME_KEY", "k-home")
            .env("WORK_KEY", "k-work");
        assert_eq!(offered(tool, words), wanted, "{words:?}");
    }
    assert!(
        home.requests()
            .iter()
            .all(|request| request.header("authorization") == Some("Bearer k-home"))
    );
    for request in work.requests() {
        assert_eq!(request.target, "/v1/models");
        assert_eq!(request.header("authorization"), Some("Bearer k-work"));
    }
}

#[test]
fn a_key_goes_no_further_than_that_of_a_question() {
    let elsewhere = Server::untouched();
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", format!("OPENAI_BASE_URL={}\n", elsewhere.url("/v1")));
    let tool = sandbox.tool("qwen-chat").env("OPENAI_API_KEY", "k");
    assert_eq!(offered(tool, &["qwen-chat", "-m", ""]), [""; 0]);
}

#[test]
fn batches_are_offered_with_their_states() {
    let list = r#"{"data": [{"id": "batch_2", "status": "in_progress"}, {"id": "batch_1", "status": "completed"}, {}, {"id": "--profile=x"}]}"#;
    let server = Server::answering(move |_, _| Reply::json(200, list));
    let sandbox = Sandbox::new();
    for job in ["status", "wait", "fetch", "cancel"] {
        let tool = sandbox
            .tool("qwen-batch")
            .env("OPENAI_API_KEY", "k")
            .env("OPENAI_BASE_URL", server.url("/v1"));
        let tool = tool
            .env("QWEN_COMPLETE", PLAIN)
            .args(["--", "qwen-batch", job, "b"]);
        tool.run()
            .gives(0, "words\nbatch_2\tin_progress\nbatch_1\tcompleted\n", "");
    }
    assert_eq!(server.requests()[0].target, "/v1/batches?limit=20");
}

#[test]
fn a_slow_server_is_not_waited_for() {
    let server = Server::answering(|_, _| Reply::default().hold());
    let sandbox = Sandbox::new();
    for words in [["qwen-chat", "--model", ""], ["qwen-batch", "fetch", ""]] {
        let tool = sandbox.tool(words[0]).env("OPENAI_API_KEY", "k");
        // The server holds the connection open until the end of the test.
        assert_eq!(
            offered(tool.env("OPENAI_BASE_URL", server.url("/v1")), &words),
            [""; 0]
        );
    }
}

/// The files of the sandbox and what is in them.
fn files(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = sandbox.files_with(&[""]).into_iter();
    files
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn completion_asks_no_keyring_and_no_key_command_and_writes_nothing() {
    let server = Server::untouched();
    let sandbox = Sandbox::new();
    let bus = sandbox.root().join("run/bus");
    let keyring = UnixListener::bind(&bus).unwrap();
    keyring.set_nonblocking(true).unwrap();
    let base_url = server.url("/v1");
    let command = ["touch", "ran"];
    let oauth = json!({"device_authorization_endpoint": server.url("/device"), "token_endpoint": server.url("/token"), "client_id": "c"});
    sandbox.config(
        &json!({"profiles": {
            "command": {"base_url": base_url, "method": "api-key", "key": {"command": command}},
            "keyring": {"base_url": base_url, "method": "api-key", "key": {"store": "keyring"}},
            "login": {"base_url": base_url, "method": "oauth", "key": {"store": "keyring"}, "oauth": oauth},
            "ended": {"base_url": base_url, "method": "oauth", "key": {"store": "file"}, "oauth": oauth}
        }})
        .to_string(),
    );
    sandbox.write(
        "home/.config/qwen/credentials/ended.json",
        login(-3600, -1).to_string(),
    );
    let before = files(&sandbox);
    for profile in ["command", "keyring", "login", "ended"] {
        for words in [
            &["qwen-chat", "--profile", profile, "-m", ""][..],
            &["qwen-batch", "status", "--profile", profile, ""],
        ] {
            let tool = sandbox
                .tool(words[0])
                .env("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display()));
            assert_eq!(offered(tool, words), [""; 0], "{words:?}");
        }
    }
    assert!(keyring.accept().is_err(), "the keyring was asked");
    assert_eq!(files(&sandbox), before);
}

#[test]
fn a_stored_token_that_is_good_is_used() {
    let server = with_colons();
    let sandbox = Sandbox::new();
    let oauth = json!({"token_endpoint": server.url("/token"), "client_id": "c"});
    let profile = json!({
        "base_url": server.url("/v1"), "method": "oauth", "key": {"store": "file"}, "oauth": oauth
    });
    sandbox.config(&json!({"profiles": {"work": profile}}).to_string());
    sandbox.write(OWN_FILE, login(-10, 3590).to_string());
    let words = ["qwen-chat", "--profile", "work", "-m", "ti"];
    assert_eq!(offered(sandbox.tool("qwen-chat"), &words), ["tiny"]);
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), Some("Bearer at-old"));
}

/// A model whose name is code in every shell, and what it would make.
fn hostile(sandbox: &Sandbox) -> (String, PathBuf) {
    let made = sandbox.root().join("made");
    let touch = format!("touch {}", made.display());
    (
        format!("tiny $({touch}) (rm x) `{touch}` ; {touch} & 'q\" \\n !! #*?~{{a,b}} $HOME é"),
        made,
    )
}

/// Types the beginning of a hostile name in a shell, lets it be completed, which takes the key `accept` in some, and sees
/// that the whole name arrives.
fn inserts_a_hostile_name(sandbox: &Sandbox, shell: impl Fn() -> Option<Tool>, begun: &[&str], accept: &str) {
    let (model, made) = hostile(sandbox);
    let list = json!({"data": [{"id": model}, {"id": "tiny\u{1b}[31m"}, {"id": "tiny\nsh"}]}).to_string();
    let server = Server::answering(move |_, _| Reply::json(200, &list));
    for begun in begun {
        let Some(shell) = shell() else { return };
        let out = sandbox.work().join("out");
        let _ = std::fs::remove_file(&out);
        let mut terminal = Terminal::start(
            shell
                .env("OPENAI_API_KEY", "k")
                .env("OPENAI_BASE_URL", server.url("/v1")),
        );
        terminal.shows("ready");
        terminal.waits_for_echo(false);
        terminal.types(&format!("qwen-chat --dry-run --model {begun}{TAB}"));
        terminal.shows("é");
        terminal.types(&format!("{accept} hi >out 2>err; echo wri''tten\n"));
        terminal.shows("written");
        let request: serde_json::Value = serde_json::from_str(&sandbox.read("work/out")).unwrap();
        assert_eq!(request["body"]["model"], model, "{begun}");
        assert!(!made.exists(), "{begun}");
    }
}

#[test]
fn bash_inserts_a_hostile_name_as_one_word() {
    let sandbox = Sandbox::new();
    let rc = format!(". {}", registration("bash/qwen.bash").display());
    inserts_a_hostile_name(
        &sandbox,
        || bash(&sandbox, &rc),
        &["ti", "\"ti", "'ti", "t\"i"],
        "",
    );
}

#[test]
fn zsh_inserts_a_hostile_name_as_one_word() {
    let sandbox = Sandbox::new();
    inserts_a_hostile_name(&sandbox, || zsh(&sandbox), &["ti", "\"ti", "'ti"], "");
}

#[test]
fn fish_inserts_a_hostile_name_as_one_word() {
    let sandbox = Sandbox::new();
    inserts_a_hostile_name(&sandbox, || fish(&sandbox), &["ti", "\"ti", "'ti"], "");
}

#[test]
fn elvish_inserts_a_hostile_name_as_one_word() {
    let sandbox = Sandbox::new();
    inserts_a_hostile_name(&sandbox, || elvish(&sandbox), &["ti"], "\n");
}

#[test]
fn nushell_gets_a_hostile_name_as_one_word() {
    let nu = directory().join("nu/node_modules/@nushell/linux-x64/bin/nu");
    if !present("nu", nu.is_file()) {
        return;
    }
    let sandbox = Sandbox::new();
    let (model, made) = hostile(&sandbox);
    let list = json!({"data": [{"id": model}]}).to_string();
    let server = Server::answering(move |_, _| Reply::json(200, &list));
    let tool = sandbox
        .tool("qwen-chat")
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    let run = tool
        .env("QWEN_COMPLETE", "nushell")
        .args(["--", "qwen-chat", "-m", "ti"])
        .run();
    let text = run.exits(0).text();
    let word = text.lines().nth(1).unwrap().split('\t').next().unwrap();
    let code = format!("^printf '%s' {word}");
    sandbox
        .command(nu)
        .args(["--no-config-file", "-c", &code])
        .run()
        .gives(0, &model, "");
    assert!(!made.exists());
}

//! What every program does alike: help, version, usage errors, full disks, closed pipes, missing directories.
use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use crate::support::batch::whole;
use crate::support::chat::{KEY, answer, chat};
use crate::support::{Reply, Sandbox};
use crate::support::{Server, Terminal, Tool, peers};
use rustix::process::{Signal, kill_process};

const TOOLS: [&str; 8] = [
    "qwen",
    "qwen-auth",
    "qwen-batch",
    "qwen-chat",
    "qwen-env",
    "qwen-login",
    "qwen-proxy",
    "qwen-token",
];

/// What a failing tool leaves on stdout: nothing, but for the one whose output is evaluated.
fn last_words(name: &str) -> &'static str {
    match name {
        "qwen-env" | "qwen-proxy" => "false;\n",
        _ => "",
    }
}

#[test]
fn help_and_version_need_no_home_no_network_and_no_files() {
    let sandbox = Sandbox::new();
    for name in TOOLS {
        let help = sandbox.tool(name).arg("--help").env_remove("HOME").run().exits(0);
        assert!(help.text().contains(&format!("Usage: {name}")), "{help:#?}");
        assert_eq!(help.stderr, "");
        let version = format!("{name} {}\n", env!("CARGO_PKG_VERSION"));
        sandbox
            .tool(name)
            .arg("-V")
            .env_remove("HOME")
            .run()
            .gives(0, version, "");
    }
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_a_hint() {
    let sandbox = Sandbox::new();
    for name in TOOLS.into_iter().filter(|name| *name != "qwen") {
        let words = match name {
            "qwen-chat" => {
                "qwen-chat: hint: put words that begin with a dash after '--': qwen-chat -- '--no-such-flag…'\n"
            }
            _ => "",
        };
        sandbox.tool(name).arg("--no-such-flag").run().gives(
            64,
            last_words(name),
            &format!(
                "{name}: unexpected argument '--no-such-flag' found\n{words}{name}: hint: run '{name} --help'\n"
            ),
        );
    }
}

#[test]
fn a_question_that_begins_with_a_dash_is_told_how_to_be_asked() {
    let sandbox = Sandbox::new();
    for (name, word, hint) in [
        ("qwen-chat", "-what", "qwen-chat -- '-w…'\n"),
        ("qwen", "-what", "qwen-chat -- '-w…'\n"),
        ("qwen-chat", "--promt", "did you mean '--prompt'?\n"),
    ] {
        let run = sandbox.tool(name).args([word, "is", "it"]).run();
        run.fails(64, &[hint, "hint: run 'qwen-chat --help'\n"]);
    }
    // A key that stands in the same word is not said again.
    let run = sandbox
        .tool("qwen-chat")
        .arg("--openai-key=sk-canary")
        .run()
        .exits(64);
    assert!(!run.stderr.contains("canary"), "{run:#?}");
}

#[test]
fn a_command_that_turned_out_empty_is_not_taken_for_none() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\n");
    for words in [
        &["qwen-env", "--"][..],
        &["qwen-env", "--override", "--"],
        &["qwen-env", "--format", "json", "--"],
        &["qwen-token", "--"],
        &["qwen-token", "--format", "env", "--"],
    ] {
        let tool = sandbox
            .tool(words[0])
            .args(&words[1..])
            .env("OPENAI_API_KEY", KEY);
        let said = [
            &*format!("{}: no command after '--'\n", words[0]),
            "hint: leave '--' out",
        ];
        tool.run().fails(64, &said);
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_not_a_death() {
    let sandbox = Sandbox::new();
    for name in TOOLS {
        let script = format!("ulimit -f 1; export QWEN_COMPLETE=bash; exec {name} > out");
        let run = sandbox.command("/bin/sh").args(["-c", &script]).run();
        run.gives(
            74,
            "",
            &format!(
                "{name}: cannot write to standard output: file too large: limit 512 bytes (ulimit -f)\n"
            ),
        );
    }
}

/// What may stand in the place of a file of ours, or of Qwen Code's: reading a FIFO would wait for ever.
#[test]
fn what_is_no_file_in_the_place_of_one_lets_nothing_hang() {
    let server = Server::answering(|_, _| answer(&["hello"]));
    let config = "home/.config/qwen/config.json";
    let session = "home/.local/state/qwen/sessions/x.json";
    let trust = "home/.local/state/qwen/trust.json";
    for (place, words, code) in [
        (config, &["qwen-token"][..], 66),
        (config, &["qwen-chat", "hi"], 66),
        (config, &["qwen-auth", "list"], 66),
        (
            config,
            &["qwen-batch", "run", "questions", "--template", "{}"],
            66,
        ),
        (config, &["qwen-login", "--oauth"], 66),
        ("home/.qwen/settings.json", &["qwen-chat", "hi"], 0),
        (
            "home/.qwen/settings.json",
            &["qwen-env", "--all", "--get", "A"],
            0,
        ),
        (session, &["qwen-chat", "--session", "x", "hi"], 66),
        (trust, &["qwen-env", "--get", "A"], 74),
        (trust, &["qwen-env", "--trust"], 74),
    ] {
        for fifo in [true, false] {
            let sandbox = Sandbox::new();
            sandbox.write("work/.env", "A=1\n");
            sandbox.write("work/questions", "hi\n");
            let path = sandbox.write(place, "");
            std::fs::remove_file(&path).unwrap();
            match fifo {
                true => rustix::fs::mkfifoat(rustix::fs::CWD, &path, 0o600.into()).unwrap(),
                false => std::fs::create_dir(&path).unwrap(),
            }
            let tool = sandbox.detached(words[0]).args(&words[1..]);
            let tool = tool
                .env("OPENAI_API_KEY", KEY)
                .env("OPENAI_BASE_URL", server.url("/v1"));
            tool.run().exits(code);
        }
    }
}

/// Every way to have something on stdout, but for help, version and completions.
const RESULTS: &[&[&str]] = &[
    &["qwen", "--list"],
    &["qwen", "--exec-path"],
    &["qwen", "hello there"],
    &["qwen-auth", "status"],
    &["qwen-auth", "status", "--format", "json"],
    &["qwen-auth", "list", "--format", "json"],
    &["qwen-batch", "run", "questions"],
    &["qwen-chat", "hello"],
    &["qwen-chat", "--no-stream", "hello"],
    &["qwen-chat", "--json", "hello"],
    &["qwen-chat", "--events", "hello"],
    &["qwen-chat", "--dry-run", "hello"],
    &["qwen-chat", "--curl", "hello"],
    &["qwen-chat", "--list-models"],
    &["qwen-env"],
    &["qwen-env", "--format", "json"],
    &["qwen-env", "--format", "dotenv"],
    &["qwen-env", "--format", "null"],
    &["qwen-env", "--get", "FOO"],
    &["qwen-env", "--explain"],
    &["qwen-env", "--check"],
    &["qwen-env", "--hook", "bash"],
    &["qwen-env", "--auth"],
    &["qwen-token"],
    &["qwen-token", "--format", "json"],
    &["qwen-token", "--format", "header"],
    &["qwen-token", "--format", "env"],
    &["qwen-token", "--format", "curl"],
];

/// A server that answers whatever these programs ask.
fn endpoint() -> Server {
    Server::answering(|_, request| match request.method.as_str() {
        "GET" => Reply::json(200, r#"{"data":[{"id":"m-1"}]}"#),
        _ if request.json()["stream"] == true => answer(&["hello"]),
        _ => whole("hello"),
    })
}

/// A program with something to say, whatever it is asked.
fn talkative(sandbox: &Sandbox, server: &Server, words: &[&str]) -> Tool {
    sandbox.write("home/.env", "FOO=bar\nnonsense\n");
    sandbox.write("work/questions", "{\"prompt\":\"hello\"}\n");
    let tool = match words[1..] {
        [COMPLETION] => sandbox.tool(words[0]).env("QWEN_COMPLETE", "bash"),
        _ => sandbox.tool(words[0]).args(&words[1..]),
    };
    tool.env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
        .env("TMPDIR", sandbox.work())
}

/// In the place of arguments: the code that a shell completes the programs by.
const COMPLETION: &str = "QWEN_COMPLETE=bash";

/// [`RESULTS`] and what every program can print.
fn all_results() -> Vec<Vec<&'static str>> {
    let common = [&["--help"][..], &["-V"], &[COMPLETION]];
    let printed = TOOLS
        .into_iter()
        .flat_map(|name| common.map(|words| [&[name], words].concat()));
    printed
        .chain(RESULTS.iter().map(|words| words.to_vec()))
        .collect()
}

/// True if `qwen-batch` reports a fault, and names the file with the answers that it could not write.
fn is_told_with_what_is_kept(said: &str, fault: &str) -> bool {
    let Some((_, kept)) = said.split_once(fault) else {
        return false;
    };
    let path = kept.split('\'').nth(1);
    kept.starts_with("qwen-batch: hint: the last results (1) are in ")
        && path.is_some_and(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains("hello")))
}

#[test]
fn a_full_disk_on_stdout_is_an_io_error() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    for words in all_results() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = talkative(&sandbox, &server, &words).into_command();
        let output = command.stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{words:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let name = if words == ["qwen", "hello there"] {
            "qwen-chat"
        } else {
            words[0]
        };
        let fault = format!("{name}: cannot write to standard output: no space left on device\n");
        match name {
            // What was answered and paid is kept elsewhere.
            "qwen-batch" if words[1] == "run" => {
                assert!(is_told_with_what_is_kept(&said, &fault), "{words:?}: {said}");
            }
            _ => assert_eq!(said, fault, "{words:?}"),
        }
    }
}

/// The same command, started by a shell that closes its standard output.
fn without_stdout(command: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "exec \"$@\" >&-", "sh"])
        .arg(command.get_program());
    shell.args(command.get_args()).env_clear();
    shell.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

#[test]
fn a_closed_stdout_loses_no_result_in_silence() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    for words in all_results() {
        let command = talkative(&sandbox, &server, &words).into_command();
        let output = without_stdout(&command).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(74), "{words:?}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let fault = "cannot write to standard output: bad file descriptor\n";
        let is_told = said.ends_with(fault) || is_told_with_what_is_kept(&said, fault);
        assert!(is_told, "{words:?}: {said}");
    }
}

#[test]
fn a_reader_that_went_away_ends_the_program_silently_by_sigpipe() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    for words in all_results() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = talkative(&sandbox, &server, &words).into_command();
        let output = command.stdout(writer).output().unwrap();
        assert_eq!(output.status.signal(), Some(13), "{words:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
    }
}

#[test]
fn nobody_to_hear_what_is_said_changes_nothing() {
    let (sandbox, server) = (Sandbox::new(), endpoint());
    for words in [
        &["qwen-chat", "-v", "hello"][..],
        &["qwen-token", "-v"],
        &["qwen-env", "-v"],
    ] {
        let heard = talkative(&sandbox, &server, words).run().exits(0);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        for stderr in [std::process::Stdio::from(full), writer.into()] {
            let mut command = talkative(&sandbox, &server, words).into_command();
            let output = command.stderr(stderr).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
            assert_eq!(output.stdout, heard.stdout, "{words:?}");
        }
    }
}

#[test]
fn colour_is_as_it_was_asked_for_in_help_and_errors_too() {
    let sandbox = Sandbox::new();
    for name in TOOLS.into_iter().filter(|name| *name != "qwen") {
        for (flags, coloured) in [
            (&["--color", "always"][..], true),
            (&["--color=always"], true),
            (&["--color", "never"], false),
            (&["--color=always", "--color=never"], false),
            (&[], false),
        ] {
            let help = sandbox.tool(name).args(flags).arg("--help").run().exits(0);
            assert_eq!(help.text().contains('\x1b'), coloured, "{help:#?}");
            let wrong = sandbox
                .tool(name)
                .args(flags)
                .arg("--no-such-flag")
                .run()
                .exits(64);
            assert_eq!(wrong.stderr.contains('\x1b'), coloured, "{wrong:#?}");
        }
    }
    let twice = ["-v", "--color=always", "-v", "--color=never", "--no-such-flag"];
    let run = sandbox.tool("qwen-token").args(twice).run();
    run.fails(64, &["qwen-token: unexpected argument '--no-such-flag' found\n"]);
    let help = sandbox
        .tool("qwen")
        .args(["--color=always", "help"])
        .run()
        .exits(0);
    assert!(help.text().contains('\x1b'), "{help:#?}");
}

#[test]
fn help_version_and_completions_open_no_file_and_no_socket() {
    let strace = peers::command("strace");
    if !peers::present("strace", strace.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    for name in TOOLS {
        for (words, shell) in [(&["--help"][..], ""), (&["--version"], ""), (&[], "zsh")] {
            let trace = sandbox.root().join("trace");
            let tool = sandbox
                .command(strace.as_ref().unwrap())
                .args(["-f", "-o"])
                .arg(&trace);
            let tool = tool
                .args(["-e", "trace=%file,%network"])
                .arg(crate::support::binary(name));
            let tool = tool.args(words).env("QWEN_COMPLETE", shell);
            tool.env_remove("HOME").run().exits(0);
            let calls = sandbox.read("trace");
            // What the loader and the standard library look at before `main`.
            let before_main = [
                "execve(",
                "/etc/ld.so.",
                "/lib",
                "/proc/self/",
                "AT_EMPTY_PATH",
                "---",
                "+++",
            ];
            for call in calls.lines() {
                let is_known = before_main.iter().any(|known| call.contains(known));
                assert!(is_known, "{name} {words:?}: {call}");
            }
        }
    }
}

#[test]
fn nothing_that_was_typed_acts_on_the_terminal() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let hostile = "x\x1b[31m\u{202e}y\u{9b}2J\nz";
    let mut all: Vec<Vec<&str>> = TOOLS.map(|name| vec![name, "-C", hostile]).to_vec();
    all.extend(TOOLS.map(|name| vec![name, "--color", hostile]));
    for (name, flag) in [
        ("qwen-env", "--file"),
        ("qwen-env", "--shell"),
        ("qwen-chat", "--file"),
        ("qwen-chat", "--session"),
        ("qwen-chat", "--openai-base-url"),
        ("qwen-batch", "run"),
        ("qwen-auth", "use"),
        ("qwen-login", "--provider"),
        ("qwen-token", "--profile"),
        ("qwen", "help"),
    ] {
        all.push(vec![name, flag, hostile]);
    }
    for words in all {
        let run = talkative(&sandbox, &server, &words).run();
        assert_ne!(run.code(), 0, "{run:#?}");
        let acts = |c: char| c != '\n' && qwen_shared::text::is_hostile(c);
        assert!(!run.stderr.contains(acts), "{run:#?}");
        let is_ours = |line: &str| line.starts_with(words[0]);
        assert!(run.stderr.lines().all(is_ours), "{run:#?}");
    }
}

#[test]
fn json_holds_nothing_that_acts_on_a_terminal() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let model = "m\u{202e}\u{9b}31m";
    for words in [
        &["qwen-env", "--format", "json"][..],
        &["qwen-env", "--explain", "--show-secrets", "--format", "json"],
        &["qwen-auth", "status", "--format", "json"],
        &["qwen-token", "--format", "json"],
        &["qwen-chat", "--dry-run", "hello"],
    ] {
        let tool = talkative(&sandbox, &server, words);
        sandbox.write("work/.env", format!("OPENAI_MODEL={model}\n"));
        let run = tool.env_remove("OPENAI_MODEL").run().exits(0);
        let text = run.text();
        assert!(text.contains("m\\u202e\\u009b31m"), "{run:#?}");
        assert!(!text.contains(model), "{run:#?}");
    }
}

#[test]
fn a_home_that_is_no_path_is_no_home() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/.env", "A=1\n");
    for home in ["relative", "./home", "  "] {
        let tool = |words: &[&str]| {
            let tool = talkative(&sandbox, &server, words).env("HOME", home);
            tool.env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME")
        };
        let login = tool(&["qwen-login", "--with-key", "--provider", "openai", "--no-verify"]);
        let run = login.args(["--store", "file"]).stdin("sk-0123456789abc\n").run();
        run.fails(
            78,
            &["cannot tell where the home directory is", "hint: set HOME to"],
        );
        tool(&["qwen-env", "--trust"]).run().exits(78);
        tool(&["qwen-token"]).run().exits(0);
    }
    let made: Vec<String> = sandbox.files("work");
    assert_eq!(made, [".env", "questions"]);
}

#[test]
fn a_signal_at_the_prompt_leaves_the_terminal_as_it_was() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let (sandbox, server) = (Sandbox::new(), Server::untouched());
        let terminal = Terminal::start(chat(&sandbox, &server).env("TERM", "xterm-256color"));
        terminal.shows("/help lists the commands");
        terminal.waits_for_echo(false);
        kill_process(terminal.pid(), signal).unwrap();
        terminal.waits_for_echo(true);
        assert_eq!(terminal.ends(), code);
    }
}

/// Signals that a parent may ignore: those of a terminal, and those that a program of ours handles itself.
const IGNORABLE: [Signal; 5] = [Signal::HUP, Signal::INT, Signal::PIPE, Signal::TERM, Signal::XFSZ];

#[test]
fn a_command_gets_the_signals_as_the_parent_had_them() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\n");
    for ignored in [&[][..], &[Signal::PIPE], &[Signal::XFSZ], &IGNORABLE] {
        for tool in ["qwen-env", "qwen env", "qwen-token", "qwen token"] {
            let traps: String = ignored
                .iter()
                .map(|signal| format!("trap '' {}; ", signal.as_raw()))
                .collect();
            let script = format!("{traps}exec {tool} -- /bin/cat /proc/self/status");
            let shell = sandbox.command("/bin/sh").args(["-c", &script]);
            let run = shell.env("OPENAI_API_KEY", KEY).run().exits(0);
            let status = run.text();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
            let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
            for signal in IGNORABLE {
                let is_ignored = mask & (1 << (signal.as_raw() - 1)) != 0;
                assert_eq!(is_ignored, ignored.contains(&signal), "{script}: {signal:?}");
            }
        }
    }
}

#[test]
fn a_command_is_found_and_run_as_a_shell_does() {
    let sandbox = Sandbox::new();
    sandbox.write("work/.env", "A=1\n");
    let script = "echo \"$A $1\"\n";
    sandbox.write("one/tool", script);
    sandbox.program("two/tool", script);
    sandbox.program("work/here", script);
    let run = |path: &str, words: &[&str]| {
        let path = path.replace("ROOT", &sandbox.root().display().to_string());
        let tool = sandbox.tool("qwen-env").args(["--all", "--"]).args(words);
        tool.env("PATH", path).run()
    };
    // A file without a `#!` line is a script of sh, and one that nobody may run is passed over.
    run("ROOT/none:ROOT/one:ROOT/two", &["tool", "x y"]).gives(0, "1 x y\n", "");
    run("", &["./here", "z"]).gives(0, "1 z\n", "");
    // An empty entry, which means the working directory to a shell, is passed over.
    run("ROOT/none::ROOT/two", &["here", "z"])
        .fails(127, &["qwen-env: 'here': command not found (an empty entry"]);
    let denied = "qwen-env: cannot run 'tool': permission denied\n";
    run("ROOT/one:ROOT/none", &["tool"]).gives(126, "", denied);
    let missing = "qwen-env: 'tool': command not found\n";
    run("ROOT/none", &["tool"]).gives(127, "", missing);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    for name in TOOLS.into_iter().filter(|name| *name != "qwen") {
        let said = format!("{name}: cannot enter '/no/such/place': no such file or directory\n");
        let run = sandbox.tool(name).args(["-C", "/no/such/place"]).run();
        run.gives(66, last_words(name), &said);
    }
}

#[test]
fn no_words_of_a_library_reach_the_user() {
    const THEIRS: [&str; 12] = [
        "relative URL without a base",
        "invalid digit found",
        "invalid float",
        "target type",
        "os error",
        "CaUsedAsEndEntity",
        "UnknownIssuer",
        "ParseIntError",
        "Utf8Error",
        "lookup address information",
        "error sending request",
        "empty host",
    ];
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", "{\"prompt\": \"hello\"}\n");
    for (words, code) in [
        (&["qwen-chat", "--retries", "x", "hi"][..], 64),
        (&["qwen-chat", "--retries", "-1", "hi"], 64),
        (&["qwen-chat", "--retries", "99999999999999999999", "hi"], 64),
        (&["qwen-chat", "--max-tokens", "1.5", "hi"], 64),
        (&["qwen-chat", "--seed", "x", "hi"], 64),
        (&["qwen-chat", "--temperature", "warm", "hi"], 64),
        (&["qwen-chat", "--top-p", "", "hi"], 64),
        (&["qwen-chat", "--connect-timeout", "soon", "hi"], 64),
        (&["qwen-chat", "--param", "x={", "hi"], 64),
        (&["qwen-batch", "run", "-j", "many", "in.jsonl"], 64),
        (&["qwen-token", "--min-ttl", "x"], 64),
        (&["qwen-chat", "--openai-base-url", "api.openai.com/v1", "hi"], 0),
        (&["qwen-chat", "--openai-base-url", "https://", "hi"], 0),
        (&["qwen-chat", "--openai-base-url", "https://h:99999/", "hi"], 0),
        (&["qwen-chat", "--openai-base-url", "https://[::1/", "hi"], 0),
        (&["qwen-chat", "--openai-base-url", "https://a b/", "hi"], 0),
        (&["qwen-chat", "--openai-base-url", "https://xn--/", "hi"], 0),
        (
            &[
                "qwen-chat",
                "--retries",
                "0",
                "--openai-base-url",
                "https://no-such-host.invalid/",
                "hi",
            ],
            75,
        ),
        (
            &[
                "qwen-login",
                "--with-key",
                "--provider",
                "custom",
                "--base-url",
                "localhost:1",
                "--model",
                "m",
            ],
            0,
        ),
        (
            &[
                "qwen-login",
                "--with-key",
                "--provider",
                "custom",
                "--base-url",
                "//x",
                "--model",
                "m",
            ],
            0,
        ),
        (&["qwen-env", "--file", "/no/such"], 66),
    ] {
        let tool = sandbox
            .detached(words[0])
            .args(&words[1..])
            .env("OPENAI_API_KEY", "sk-0123456789abc");
        let run = tool.stdin("sk-0123456789abc\n").run();
        match code {
            0 => assert!([64, 78].contains(&run.code()), "{run:#?}"),
            code => assert_eq!(run.code(), code, "{run:#?}"),
        }
        for word in THEIRS {
            assert!(!run.stderr.contains(word), "{word}: {run:#?}");
        }
    }
}

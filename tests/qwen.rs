//! The dispatcher: what it runs, what it never runs, what it says.
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Installed, Tool};

/// Puts a tool beside the dispatcher that prints its name, then each argument in brackets.
fn echo(installed: &Installed, name: &str) {
    installed.script(
        &format!("bin/{name}"),
        &format!("printf '%s' {name}; for a; do printf ' [%s]' \"$a\"; done; echo"),
    );
}

fn gives(qwen: Tool, words: &[&str], stdout: &str) {
    qwen.args(words).run().gives(0, stdout, "");
}

#[test]
fn every_word_after_the_name_reaches_the_tool_as_it_was_typed() {
    let installed = Installed::new();
    echo(&installed, "qwen-env");
    for (words, seen) in [
        (&["env"][..], "qwen-env\n"),
        (&["env", "--help"], "qwen-env [--help]\n"),
        (&["env", "-h", "-V", "--list"], "qwen-env [-h] [-V] [--list]\n"),
        (
            &["env", "", " ", "*", "a\nb", "$(id)"],
            "qwen-env [] [ ] [*] [a\nb] [$(id)]\n",
        ),
        (
            &["env", "--", "--profile", "x"],
            "qwen-env [--] [--profile] [x]\n",
        ),
        (&["env", "help", "env"], "qwen-env [help] [env]\n"),
        (&["env", "--format", "json"], "qwen-env [--format] [json]\n"),
    ] {
        gives(installed.qwen(), words, seen);
    }
    let run = installed.qwen().arg("env").arg(OsStr::from_bytes(b"\xff")).run();
    assert_eq!(run.exits(0).stdout, b"qwen-env [\xff]\n");
}

#[test]
fn the_tool_takes_the_dispatchers_place_as_a_process() {
    let installed = Installed::new();
    installed.script("bin/qwen-pid", "cat; echo $$; exit 69");
    for words in [&["pid"][..], &["-q", "pid"]] {
        let child = installed.qwen().args(words).stdin("in").start();
        let pid = child.id();
        crate::support::Run::wait(child, "qwen pid").gives(69, format!("in{pid}\n"), "");
    }
}

#[test]
fn the_dispatchers_own_directory_comes_before_path() {
    let installed = Installed::new();
    installed.script("else/qwen-x", "echo from PATH");
    let path = format!("{}/else:/usr/bin:/bin", installed.root().display());
    gives(installed.qwen().env("PATH", &path), &["x"], "from PATH\n");
    installed.script("bin/qwen-x", "echo from beside");
    gives(installed.qwen().env("PATH", &path), &["x"], "from beside\n");
}

#[test]
fn a_link_to_the_dispatcher_has_the_tools_beside_the_dispatcher() {
    let installed = Installed::new();
    echo(&installed, "qwen-env");
    let root = installed.root();
    for name in ["qwen", "qwen-code"] {
        let link = root.join("home").join(name);
        symlink(root.join("bin/qwen"), &link).unwrap();
        installed
            .sandbox
            .command(&link)
            .args(["env", "x"])
            .run()
            .gives(0, "qwen-env [x]\n", "");
    }
}

#[test]
fn started_as_qwen_code_it_is_the_same() {
    let installed = Installed::new();
    echo(&installed, "qwen-chat");
    let root = installed.root();
    fs::rename(root.join("bin/qwen"), root.join("bin/qwen-code")).unwrap();
    let code = || {
        installed
            .sandbox
            .command(root.join("bin/qwen-code"))
            .env("PATH", "/usr/bin:/bin")
    };
    gives(
        code(),
        &["--openai-api-key", "k", "hi"],
        "qwen-chat [--openai-api-key] [k] [hi]\n",
    );
    gives(code(), &["hi there"], "qwen-chat [hi there]\n");
    gives(code(), &["chat", "hi"], "qwen-chat [hi]\n");
    code()
        .arg("nonsense")
        .run()
        .fails(127, &["qwen: no tool 'nonsense'\n"]);
}

#[test]
fn a_program_planted_in_the_working_directory_is_never_run() {
    let installed = Installed::new();
    let marker = installed.root().join("planted-was-run");
    let body = format!("touch {}", marker.display());
    for planted in ["work/qwen-token", "work/bin/qwen-token", "work/qwen-.token"] {
        installed.script(planted, &body);
    }
    for path in [
        "",
        ".",
        "./",
        ":/usr/bin",
        "/usr/bin:",
        "/usr/bin::/bin",
        "bin",
        "./bin:/usr/bin",
        "../work",
        "~",
    ] {
        for words in [
            &["token"][..],
            &["-q", "token"],
            &["help", "token"],
            &["tokn"],
            &["./token"],
        ] {
            let run = installed.qwen().env("PATH", path).args(words).run();
            run.fails(127, &["qwen: "]);
        }
        installed
            .qwen()
            .env("PATH", path)
            .run()
            .fails(127, &["'qwen-token'"]);
    }
    installed
        .qwen()
        .env_remove("PATH")
        .arg("token")
        .run()
        .fails(127, &["'qwen-token' is not installed"]);
    assert!(!marker.exists());
}

#[test]
fn an_unknown_name_is_named_with_its_neighbours_and_nothing_is_run() {
    let installed = Installed::new();
    for name in ["login", "auth", "env", "token", "chat", "batch"] {
        installed.script(&format!("bin/qwen-{name}"), "echo run; exit 0");
    }
    for (typed, near) in [
        ("tokn", &["token"][..]),
        ("tokne", &["token"]),
        ("TOKEN", &["token"]),
        ("lgoin", &["login"]),
        ("cht", &["chat"]),
        ("batches", &["batch"]),
        ("log", &["login"]),
        ("envs", &["env"]),
        ("e", &[]),
        ("completely-other", &[]),
    ] {
        let run = installed.qwen().arg(typed).run().fails(127, &[]);
        let mut lines = vec![format!("qwen: no tool '{typed}'")];
        lines.extend(
            near.iter()
                .map(|name| format!("qwen: hint: did you mean 'qwen {name}'?")),
        );
        if near.is_empty() {
            lines.push(format!("qwen: hint: to ask a model, run \"qwen-chat '{typed}'\""));
        }
        lines.push("qwen: hint: run 'qwen --list' to see all tools".to_owned());
        assert_eq!(run.stderr.lines().collect::<Vec<_>>(), lines);
    }
}

#[test]
fn words_that_read_like_a_question_are_met_with_how_to_ask() {
    let installed = Installed::new();
    installed.script("bin/qwen-chat", "echo run");
    let near = "qwen: hint: did you mean 'qwen chat'?";
    for (words, asked) in [
        (&["what", "is", "a", "pipe?"][..], Some("what is a pipe?")),
        (&["what's", "that", "now"], Some("your question")),
        (&["summarise"], Some("summarise")),
        (&["Résumé", "de", "texte"], Some("Résumé de texte")),
        (&["summarise", "--model", "m"], Some("your question")),
        (&["say", "$HOME", "and", "`id`"], Some("your question")),
        (&["say", "", "x"], Some("your question")),
        (&["what", "now"], None),
        (&["cht", "--model", "m"], None),
    ] {
        let run = installed.qwen().args(words).stdin("text\n").run().fails(127, &[]);
        let hint = asked.map(|question| format!("to ask a model, run \"qwen-chat '{question}'\""));
        match hint {
            Some(hint) => assert!(run.stderr.contains(&hint), "{run:#?}"),
            None => assert!(
                run.stderr.contains(near) && !run.stderr.contains("to ask"),
                "{run:#?}"
            ),
        }
    }
}

#[test]
fn what_is_no_name_is_never_looked_up() {
    let installed = Installed::new();
    echo(&installed, "qwen-chat");
    installed.script("bin/qwen-../x", "echo run");
    installed.script("bin/x", "echo run");
    for word in ["", "../x", "..", "/bin/true", "x/y"] {
        installed
            .qwen()
            .arg(word)
            .run()
            .fails(127, &[&format!("no tool '{word}'")]);
    }
    let run = installed.qwen().arg(OsStr::from_bytes(b"\xff\x1b]0;x\x07")).run();
    let run = run.fails(127, &["no tool '\u{fffd}]0;x'"]);
    assert!(!run.stderr.contains(['\x1b', '\x07']));
}

#[test]
fn a_tool_that_cannot_be_run_is_126() {
    let installed = Installed::new();
    let plain = installed.sandbox.write("bin/qwen-plain", "#!/bin/sh\n");
    fs::create_dir(installed.root().join("bin/qwen-folder")).unwrap();
    let orphan = installed.program("bin/qwen-orphan", "#!/no/such/interpreter\n");
    for (name, code, said) in [
        (
            "plain",
            126,
            format!("cannot run '{}': it is not executable", plain.display()),
        ),
        (
            "orphan",
            126,
            format!("cannot run '{}': no such file or directory", orphan.display()),
        ),
        ("folder", 127, "no tool 'folder'".to_owned()),
    ] {
        installed
            .qwen()
            .arg(name)
            .run()
            .fails(code, &[&format!("qwen: {said}\n")]);
    }
}

#[test]
fn common_options_before_the_name_are_handed_on() {
    let installed = Installed::new();
    echo(&installed, "qwen-chat");
    installed.script("bin/qwen-where", "pwd; echo \"$@\"");
    for (words, seen) in [
        (
            &["--profile", "work", "chat", "hi"][..],
            "qwen-chat [--profile=work] [hi]\n",
        ),
        (
            &["--profile=-odd", "-qv", "chat"],
            "qwen-chat [--profile=-odd] [--quiet] [--verbose]\n",
        ),
        (&["--color", "never", "chat"], "qwen-chat [--color=never]\n"),
        (&["--color=auto", "chat", "-q"], "qwen-chat [-q]\n"),
        (
            &["-q", "chat", "--profile", "x"],
            "qwen-chat [--quiet] [--profile] [x]\n",
        ),
        (
            &["-q", "--model", "m", "chat"],
            "qwen-chat [--quiet] [--model] [m] [chat]\n",
        ),
        (&["-q", "two words"], "qwen-chat [--quiet] [two words]\n"),
        (&["-q", "--", "env"], "qwen-chat [--quiet] [--] [env]\n"),
    ] {
        gives(installed.qwen(), words, seen);
    }
    let home = installed.sandbox.home();
    for words in [&["-C", "../home", "where"][..], &["--directory=../home", "where"]] {
        gives(installed.qwen(), words, &format!("{}\n\n", home.display()));
    }
    for (words, said) in [
        (&["--profile"][..], "--profile"),
        (&["--color", "blue", "chat"], "'blue'"),
    ] {
        installed.qwen().args(words).run().fails(64, &["qwen: ", said]);
    }
    installed
        .qwen()
        .args(["-C", "/no/such", "where"])
        .run()
        .fails(66, &["qwen: cannot enter '/no/such'"]);
}

#[test]
fn options_and_questions_without_a_tool_are_for_qwen_chat() {
    let installed = Installed::new();
    echo(&installed, "qwen-chat");
    for words in [
        &["--openai-api-key", "k", "--model", "m", "hi"][..],
        &["-p", "hi"],
        &["hi there"],
        &["hi\tthere", "--model", "m"],
        &["hi\u{a0}there"],
        &["two\nlines"],
        &["-m", "m", "chat"],
        &["--", "chat"],
        &["--", "--list"],
        &["--", "--", "x"],
        &["--no-such-flag", "--", "x"],
        &["-"],
        &["--prof", "x"],
        &["hi there", "-h"],
        &["-mx", "-V"],
        &["--list-models"],
        &["--no-such-flag"],
    ] {
        let seen: String = words.iter().map(|word| format!(" [{word}]")).collect();
        gives(installed.qwen(), words, &format!("qwen-chat{seen}\n"));
    }
}

#[test]
fn help_of_a_tool_is_the_tools_own() {
    let installed = Installed::new();
    echo(&installed, "qwen-chat");
    gives(installed.qwen(), &["help", "chat"], "qwen-chat [--help]\n");
    gives(installed.qwen(), &["help", "qwen-chat"], "qwen-chat [--help]\n");
    let own = installed.qwen().arg("--help").run().exits(0).text();
    assert!(own.starts_with("Run the qwen tools by name\n"), "{own}");
    assert!(own.contains("\nUsage: qwen [COMMON OPTIONS] TOOL "), "{own}");
    for words in [
        &["help"][..],
        &["help", "help"],
        &["help", "qwen"],
        &["help", "-h"],
        &["-q", "help"],
    ] {
        gives(installed.qwen(), words, &own);
    }
    installed
        .qwen()
        .args(["help", "chta"])
        .run()
        .fails(127, &["no tool 'chta'", "'qwen chat'"]);
    installed
        .qwen()
        .args(["help", "chat", "more"])
        .run()
        .fails(64, &["unexpected argument 'more'"]);
    for (typed, topic) in [("confg", "config"), ("exits", "exit"), ("Config", "config")] {
        let hint = format!("'qwen help {topic}'");
        let run = installed.qwen().args(["help", typed]).run();
        run.fails(127, &[&format!("no tool '{typed}'"), &hint]);
    }
}

#[test]
fn help_on_a_topic_is_its_page_by_man_where_it_is_installed_and_else_its_text() {
    let topics = [
        ("env", "5", "qwen-env - ", "FILES"),
        ("config", "5", "qwen-config - ", "default_profile"),
        ("exit", "7", "qwen-exit - ", "77"),
        ("faq", "7", "qwen-faq - ", "qwen-env --explain"),
        ("recipes", "7", "qwen-recipes - ", "git diff --cached"),
    ];
    for (topic, section, name, word) in topics {
        let installed = Installed::new();
        let help = installed.qwen().args(["help", topic]).env("MANPATH", "/nowhere");
        let text = help.run().exits(0).text();
        assert!(
            text.starts_with("NAME\n") && text.contains(name) && text.contains(word),
            "{text}"
        );
        installed.script("bin/man", "[ \"$1\" = -w ] && exit 0; echo man \"$@\"");
        let by_man = format!("man {section} qwen-{topic}\n");
        gives(installed.qwen(), &["help", topic], &by_man);
    }
}

#[test]
fn the_list_names_what_can_be_run_and_nothing_else() {
    let installed = Installed::new();
    echo(&installed, "qwen-env");
    echo(&installed, "qwen-chat");
    let root = installed.root();
    installed.sandbox.write("bin/qwen-token", "not executable");
    installed.script("else/qwen-hello", "");
    installed.script("else/qwen-env", "");
    installed.script("else/qwen-e\x1bvil", "");
    symlink(root.join("bin/qwen"), root.join("else/qwen-code")).unwrap();
    installed.script("work/qwen-planted", "");
    let path = format!("{}/else:.:", root.display());
    let hello = root.join("else/qwen-hello");
    gives(
        installed.qwen().env("PATH", &path),
        &["--list"],
        &format!(
            "env    Print the resolved .env chain as shell code\n\
             chat   Ask a model one question and print its answer\n\
             hello  {}\n",
            hello.display()
        ),
    );
    installed
        .qwen()
        .env("PATH", &path)
        .arg("helo")
        .run()
        .fails(127, &["did you mean 'qwen hello'?"]);
    installed
        .qwen()
        .args(["--list", "chat"])
        .run()
        .fails(64, &["--list"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = installed
        .qwen()
        .arg("--list")
        .into_command()
        .stdout(full)
        .output();
    assert_eq!(output.unwrap().status.code(), Some(74));
}

#[test]
fn the_exec_path_is_the_directory_of_the_dispatchers_own_file() {
    let installed = Installed::new();
    let root = installed.root();
    let shown = format!("{}\n", root.join("bin").display());
    gives(installed.qwen(), &["--exec-path"], &shown);
    let link = root.join("work/q");
    symlink("../bin/qwen", &link).unwrap();
    gives(
        installed.sandbox.command(Path::new("./q")),
        &["--exec-path"],
        &shown,
    );
    installed
        .qwen()
        .args(["--exec-path", "chat"])
        .run()
        .fails(64, &["--exec-path"]);
}

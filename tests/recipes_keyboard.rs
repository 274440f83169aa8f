//! The recipes of qwen-recipes(7) for jq and for programs that a person sits at: fzf, vim, tmux.

use crate::support::peers::{command, present};
use crate::support::recipe::{KEY, answering, asked, recipe, refusal, reply, shell};
use crate::support::{Sandbox, Server, Terminal, Tool, wait_until};
use serde_json::{Value, json};

fn peer(name: &str) -> bool {
    present(name, command(name).is_some())
}

#[test]
fn jq_joins_answers_and_questions_in_whatever_order_they_came() {
    // The first question is answered last, and one is refused for its content.
    let gate = crate::support::Gate::default();
    let opened = gate.clone();
    let server = Server::answering(move |_, request| {
        let text = request.text();
        if text.contains("never") {
            let error = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
            return crate::support::Reply::json(400, &error.to_string());
        }
        match text.contains("crash") {
            true => crate::support::Reply::default()
                .gate(&gate)
                .then(reply(request, "bug")),
            false => {
                opened.open();
                reply(request, "wish")
            }
        }
    });
    let sandbox = Sandbox::new();
    let issues = json!([{"id": 7, "title": "a \"crash\"\tin {}"}, {"id": 8, "title": "colours"}, {"id": 9, "title": "never"}]);
    sandbox.write("work/issues.json", issues.to_string());
    let run = shell(&sandbox, &server.url("/v1"), "/bin/sh", &recipe("jq", 0))
        .run()
        .exits(0);
    assert_eq!(
        run.text(),
        "7\ta \"crash\"\\tin {}\tbug\n8\tcolours\twish\n9\tnever\t\n",
        "{run:#?}"
    );
}

#[test]
fn jq_gets_an_object_that_fits_or_nothing() {
    for (answer, code, text) in [
        (r#"{"total": 12.5}"#, 0, "12.5\n"),
        (r#"{"total": "12.5"}"#, 65, ""),
    ] {
        let (sandbox, server) = (Sandbox::new(), answering(answer));
        sandbox.write("work/mail.txt", "Pay 12.50\n");
        let run = shell(&sandbox, &server.url("/v1"), "/bin/sh", &recipe("jq", 1))
            .run()
            .exits(code);
        assert_eq!(run.text(), text, "{run:#?}");
        let schema: Value = serde_json::from_str(&sandbox.read("work/invoice.json")).unwrap();
        assert_eq!(schema["required"], json!(["total"]));
    }
}

/// A shell whose fzf chooses what matches these words, as a person would who typed them; one that nothing matches is as Escape.
fn choosing(sandbox: &Sandbox, server: &Server, program: &str, words: &str, script: &str) -> Tool {
    let tool = shell(sandbox, &server.url("/v1"), program, script);
    tool.env("FZF_DEFAULT_OPTS", format!("--filter={words}"))
}

#[test]
fn a_model_is_chosen_and_escape_changes_nothing() {
    if !peer("fzf") {
        return;
    }
    let server = answering("");
    for program in ["/bin/sh", "/bin/bash", "/usr/bin/zsh"] {
        if !present(program, std::path::Path::new(program).exists()) {
            continue;
        }
        let sandbox = Sandbox::new();
        let profile = json!({"base_url": server.url("/v1"), "model": "tiny"});
        sandbox.config(&json!({"default_profile": "here", "profiles": {"here": profile}}).to_string());
        let chosen = |words: &str| choosing(&sandbox, &server, program, words, &recipe("fzf", 0)).run();
        let model = || {
            let config: Value = serde_json::from_str(&sandbox.read(sandbox.config_file())).unwrap();
            config["profiles"]["here"]["model"].clone()
        };
        chosen("large").exits(0);
        assert_eq!(model(), "large");
        chosen("zzz").exits(1);
        assert_eq!(model(), "large");
    }
}

#[test]
fn commits_are_chosen_and_explained() {
    if !peer("fzf") {
        return;
    }
    for program in ["/bin/sh", "/bin/bash", "/usr/bin/zsh"] {
        if !present(program, std::path::Path::new(program).exists()) {
            continue;
        }
        let (sandbox, server) = (Sandbox::new(), answering("Birds sing.").optional());
        let commits = "git init -q . && for n in wren crow wrentit; do echo $n >$n; git add $n; git commit -qm \"Add $n\"; done";
        shell(&sandbox, "", "/bin/sh", commits).run().exits(0);
        let chosen = |words: &str| choosing(&sandbox, &server, program, words, &recipe("fzf", 1)).run();
        chosen("wren").gives(0, "Birds sing.\n", "");
        let asked = asked(&server).concat();
        assert!(
            asked.contains("+wren\n") && asked.contains("+wrentit\n") && !asked.contains("crow"),
            "{asked}"
        );
        chosen("zzz").gives(1, "", "");
        assert_eq!(server.count(), 1);
    }
}

/// vim with the recipe in its vimrc and nothing else, run by commands on a file of three lines.
fn vim(server: &Server, commands: &[&str]) -> (String, String) {
    let sandbox = Sandbox::new();
    sandbox.write("home/.vimrc", recipe("vim", 0));
    sandbox.write("work/text", "eins\nzwei 'und' \"$(touch planted)\"\ndrei\n");
    let mut arguments = vec!["-N", "-i", "NONE", "-n", "-es", "-V1", "-u"];
    let vimrc = sandbox.home().join(".vimrc").display().to_string();
    arguments.extend([vimrc.as_str(), "-S", "commands", "text"]);
    sandbox.write("work/commands", commands.join("\n") + "\nwq!\n");
    let vim = shell(&sandbox, &server.url("/v1"), "/bin/sh", "exec vim \"$@\"").args(arguments);
    let run = vim.env("TERM", "xterm").env("SHELL", "/bin/sh").run();
    assert!(!sandbox.work().join("planted").exists());
    (sandbox.read("work/text"), run.text() + &run.stderr)
}

#[test]
fn vim_replaces_what_is_marked_and_nothing_when_there_is_no_answer() {
    if !peer("vim") {
        return;
    }
    let server = answering("one\ntwo\nand a half");
    let (text, _) = vim(&server, &["1,2Qwen translate \"it's\" $(touch planted) | more"]);
    assert_eq!(text, "one\ntwo\nand a half\ndrei\n");
    let question = asked(&server).concat();
    assert!(
        question.starts_with("translate \"it's\" $(touch planted) | more\n"),
        "{question}"
    );
    assert!(
        question.ends_with("eins\nzwei 'und' \"$(touch planted)\"") || question.contains("\neins\n"),
        "{question}"
    );
    assert!(!question.contains("drei"), "{question}");
    let server = Server::script([refusal()]);
    let (text, said) = vim(&server, &["%Qwen translate"]);
    assert_eq!(text, "eins\nzwei 'und' \"$(touch planted)\"\ndrei\n");
    assert!(said.contains("Incorrect API key"), "{said}");
}

#[test]
fn tmux_explains_what_is_on_the_screen() {
    if !peer("tmux") || !peer("less") {
        return;
    }
    let (sandbox, server) = (Sandbox::new(), answering("The disk is full."));
    sandbox.write("home/.tmux.conf", recipe("tmux", 0));
    let socket = sandbox.root().join("tmux");
    let tmux = format!(
        "exec tmux -S '{}' new-session 'echo No space left; read line'",
        socket.display()
    );
    let tool = shell(&sandbox, &server.url("/v1"), "/bin/sh", &tmux);
    let tool = tool
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("LESSHISTFILE", "-");
    let mut terminal = Terminal::start(tool);
    terminal.shows("No space left");
    // Keys that come at once would pass for pasted text.
    terminal.types("\x02");
    let prefix = format!(
        "tmux -S '{}' list-clients -F '#{{client_prefix}}'",
        socket.display()
    );
    wait_until("the prefix", || {
        let run = shell(&sandbox, "", "/bin/sh", &prefix).run();
        run.text() == "1\n"
    });
    terminal.types("E");
    terminal.shows("The disk is full.");
    terminal.types("q");
    let server_of_tmux = shell(
        &sandbox,
        "",
        "/bin/sh",
        &format!("tmux -S '{}' kill-server", socket.display()),
    );
    server_of_tmux.run().exits(0);
    terminal.ends();
    let question = asked(&server).concat();
    assert!(question.contains("No space left"), "{question}");
    assert_eq!(
        server.requests()[0].header("authorization"),
        Some(&*format!("Bearer {KEY}"))
    );
}

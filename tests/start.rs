//! `qwen` alone: a conversation on a terminal, a login before it when there is no credential, help elsewhere.

use crate::support::{Installed, Terminal};

/// Stands three programs beside the dispatcher for the tools that it starts; each writes down its call. `check` is the
/// exit code of `qwen-token`, `login` that of `qwen-login`.
fn installed(check: u8, login: u8) -> Installed {
    let installed = Installed::new();
    program(&installed, "qwen-token", &format!("echo 'a token'; exit {check}"));
    program(
        &installed,
        "qwen-login",
        &format!("read answer; echo \"login: $answer\"; exit {login}"),
    );
    program(
        &installed,
        "qwen-chat",
        "read question; echo \"answer to $question\"; exit 69",
    );
    installed
}

fn program(installed: &Installed, name: &str, body: &str) {
    let calls = installed.root().join("calls");
    let call = format!("echo \"{name} $*\" >>{}\n{body}", calls.display());
    installed.script(&format!("bin/{name}"), &call);
}

#[test]
fn on_a_terminal_with_a_credential_it_is_a_conversation() {
    let installed = installed(0, 70);
    let mut terminal = Terminal::start(installed.qwen().args(["-q", "--profile", "work"]));
    terminal.types("life\n");
    terminal.shows("answer to life");
    assert!(!terminal.shown().contains("a token"), "{}", terminal.shown());
    assert_eq!(terminal.ends(), 69);
    assert_eq!(
        installed.sandbox.read("calls"),
        "qwen-token --profile=work --quiet --check\nqwen-chat --profile=work --quiet\n"
    );
}

#[test]
fn on_a_terminal_without_a_credential_the_login_comes_first() {
    for no in [1, 77] {
        let installed = installed(no, 0);
        let mut terminal = Terminal::start(installed.qwen());
        terminal.shows("no credential yet; running qwen-login");
        terminal.types("me\n");
        terminal.shows("login: me");
        terminal.types("life\n");
        terminal.shows("answer to life");
        assert_eq!(terminal.ends(), 69);
        assert_eq!(
            installed.sandbox.read("calls"),
            "qwen-token --quiet --check\nqwen-login \nqwen-chat \n"
        );
    }
}

#[test]
fn a_login_that_fails_ends_it_with_the_same_exit() {
    for code in [77, 75, 74] {
        let installed = installed(1, code);
        let mut terminal = Terminal::start(installed.qwen());
        terminal.types("\n");
        assert_eq!(terminal.ends(), i32::from(code));
        assert_eq!(
            installed.sandbox.read("calls"),
            "qwen-token --quiet --check\nqwen-login \n"
        );
    }
}

#[test]
fn an_interrupt_at_the_login_ends_both() {
    let installed = installed(1, 0);
    program(&installed, "qwen-login", "echo ready; sleep 60; echo survived");
    let mut terminal = Terminal::start(installed.qwen());
    terminal.shows("ready");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), 130);
    assert_eq!(
        installed.sandbox.read("calls"),
        "qwen-token --quiet --check\nqwen-login \n"
    );
}

#[test]
fn without_a_terminal_and_a_credential_the_error_names_what_to_set() {
    let installed = installed(1, 0);
    let run = installed.qwen().stdin("a question\n").run().fails(
        77,
        &[
            "Usage: qwen ",
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "OPENAI_MODEL",
            "qwen-login",
        ],
    );
    assert!(
        run.stderr.starts_with("Run the qwen tools by name\n"),
        "{}",
        run.stderr
    );
    installed.qwen().arg("-q").run().gives(
        77,
        "",
        "qwen: no credential: neither an API key nor a login is configured\n\
         qwen: hint: run 'qwen-login'\n\
         qwen: hint: or set OPENAI_API_KEY, and OPENAI_BASE_URL and OPENAI_MODEL where they are not OpenAI's\n",
    );
    assert_eq!(
        installed.sandbox.read("calls"),
        "qwen-token --quiet --check\nqwen-token --quiet --check\n"
    );
}

#[test]
fn without_a_terminal_and_with_a_credential_it_is_a_usage_error_with_help() {
    let installed = installed(0, 0);
    installed
        .qwen()
        .run()
        .fails(64, &["Usage: qwen ", "qwen: nothing to do"]);
    assert_eq!(installed.sandbox.read("calls"), "qwen-token --quiet --check\n");
}

#[test]
fn what_stops_the_check_stops_the_start() {
    for code in [75, 78] {
        let installed = installed(code, 0);
        let check = format!("echo 'qwen-token: why' >&2; exit {code}");
        program(&installed, "qwen-token", &check);
        let mut terminal = Terminal::start(installed.qwen());
        terminal.shows("qwen-token: why");
        terminal.shows("run 'qwen-auth status'");
        terminal.types("\n");
        assert_eq!(terminal.ends(), i32::from(code));
        installed
            .qwen()
            .run()
            .fails(i32::from(code), &["qwen-token: why\n"]);
    }
    let installed = installed(0, 0);
    program(&installed, "qwen-token", "kill -KILL $$");
    installed
        .qwen()
        .run()
        .fails(70, &["bin/qwen-token' ended with signal: 9"]);
}

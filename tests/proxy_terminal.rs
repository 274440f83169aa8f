//! qwen-proxy and its command on a terminal: job control by keys, full-screen programs.
use crate::support::lender::{lending, running};
use crate::support::{Sandbox, Terminal, peers, unwrapped, wait_until};

/// A shell with job control on a terminal.
fn shell(sandbox: &Sandbox) -> Terminal {
    let terminal = Terminal::start(
        lending(sandbox.command("/bin/bash"))
            .args(["--noprofile", "--norc", "-i"])
            .env("PS1", "ready> ")
            .env("TERM", "xterm")
            .env("HISTFILE", "/dev/null"),
    );
    terminal.shows("ready> ");
    terminal
}

/// Types, and waits for what comes after what has been shown.
#[track_caller]
fn expect(terminal: &mut Terminal, typed: &str, shown: &str) {
    let before = terminal.plain().len();
    terminal.types(typed);
    terminal.shows_after(before, shown);
}

#[test]
fn ctrl_c_reaches_an_interactive_python_once() {
    let python = peers::command("python3");
    if !peers::present("python3", python.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(&mut terminal, "qwen-proxy -- python3 -q -I\n", ">>> ");
    let count = "import signal, time; n = 0\n";
    expect(&mut terminal, count, ">>> ");
    let handler = "def count(*_):\n    global n; n += 1\n\n";
    expect(&mut terminal, handler, ">>> ");
    expect(
        &mut terminal,
        "_ = signal.signal(signal.SIGINT, count); print('set' + 'up')\n",
        "setup",
    );
    for times in 1..=3 {
        terminal.types("\x03");
        // Before this is evaluated the handler has run for the signal above, so that no two become one.
        expect(&mut terminal, "print('now', n)\n", &format!("now {times}"));
    }
    expect(&mut terminal, "print('came', n)\n", "came 3");
    expect(
        &mut terminal,
        "_ = signal.signal(signal.SIGINT, signal.default_int_handler)\n",
        ">>> ",
    );
    expect(
        &mut terminal,
        // A signal just before a long sleep would be heard after it.
        "exec('print(\"slee\" + \"ping\")\\nwhile True: time.sleep(0.01)')\n",
        "sleeping",
    );
    expect(&mut terminal, "\x03", "KeyboardInterrupt");
    expect(&mut terminal, "print('still' + ' here')\n", "still here");
    expect(&mut terminal, "\x04", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
}

#[test]
fn ctrl_c_ends_a_command_and_the_shell_sees_by_what() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        // Without 'exec' the inner shell may have begun to wait for a child that is not there yet, and forget the Ctrl-C.
        "for i in 1 2; do qwen-proxy -- sh -c 'echo st''arted; exec sleep 1000'; done\n",
        "started",
    );
    // A loop of the shell ends at the first Ctrl-C, as it does without the proxy.
    expect(&mut terminal, "\x03", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 130");
}

#[test]
fn one_fg_is_enough_after_ctrl_z() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'echo be''gun; exec sed -u s/^/got-/'\n",
        "begun",
    );
    for round in 0..5 {
        expect(&mut terminal, "\x1a", "Stopped");
        expect(
            &mut terminal,
            &format!("echo back-{round}-$((1+1))\n"),
            &format!("back-{round}-2"),
        );
        expect(&mut terminal, "fg\n", "qwen-proxy -- ");
        expect(
            &mut terminal,
            &format!("word{round}\n"),
            &format!("got-word{round}"),
        );
    }
    expect(&mut terminal, "\x04", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
    expect(&mut terminal, "jobs; echo none-$((1+1))\n", "none-2");
}

#[test]
fn a_command_that_does_not_stop_at_ctrl_z_goes_on() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'trap \"\" TSTP; echo be''gun; sed -u s/^/got-/'\n",
        "begun",
    );
    terminal.types("\x1a");
    expect(&mut terminal, "hello\n", "got-hello");
    expect(&mut terminal, "\x04", "ready> ");
}

#[test]
fn a_job_in_the_background_goes_on_and_stops_when_it_reads_the_terminal() {
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    expect(
        &mut terminal,
        "qwen-proxy -- sh -c 'read line; echo got $line' &\n",
        "ready> ",
    );
    wait_until("the stop", || {
        let before = terminal.plain().len();
        terminal.types("jobs; echo as''ked\n");
        terminal.shows_after(before, "asked\nready> ");
        terminal.plain()[before..].contains("Stopped")
    });
    terminal.types("fg\n");
    expect(&mut terminal, "text\n", "got text");
}

/// Types Ctrl-Z until the shell tells of the stop. less and others look whether it has come just before they wait for a key,
/// and miss one that comes in between, with or without the proxy.
#[track_caller]
fn stop(terminal: &mut Terminal) {
    let (before, mut looks) = (terminal.plain().len(), 0);
    wait_until("the stop", || {
        if looks % 100 == 0 {
            terminal.types("\x1a");
        }
        looks += 1;
        terminal.plain()[before..].contains("Stopped")
    });
}

#[test]
fn a_full_screen_program_is_drawn_stopped_and_drawn_again() {
    let less = peers::command("less");
    if !peers::present("less", less.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let lines: String = (0..200).map(|line| format!("line number {line}\n")).collect();
    sandbox.write("work/text", lines);
    let mut terminal = shell(&sandbox);
    expect(&mut terminal, "qwen-proxy -- less text\n", "line number 38");
    for page in ["line number 77", "line number 116"] {
        stop(&mut terminal);
        // The terminal is as the shell wants it.
        expect(&mut terminal, "echo typed-$((2+2))\n", "typed-4");
        expect(&mut terminal, "fg\n", "line number");
        expect(&mut terminal, " ", page);
    }
    expect(&mut terminal, "q", "ready> ");
    expect(&mut terminal, "echo code $?\n", "code 0");
}

#[test]
fn vim_is_stopped_by_itself_and_saves_at_the_end() {
    let vim = peers::command("vim").or_else(|| peers::command("vi"));
    if !peers::present("vim", vim.is_some()) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut terminal = shell(&sandbox);
    let start = format!("qwen-proxy -- {} -u NONE -N text\n", vim.unwrap().display());
    expect(&mut terminal, &start, "[New]");
    terminal.types("ihello\x1b");
    terminal.shows("hello");
    stop(&mut terminal);
    expect(&mut terminal, "echo typed-$((2+2))\n", "typed-4");
    expect(&mut terminal, "fg\n", "hello");
    terminal.types("A again\x1b");
    expect(&mut terminal, ":wq\n", "ready> ");
    assert_eq!(sandbox.read("work/text"), "hello again\n");
}

#[test]
fn nothing_is_written_to_the_terminal_while_the_command_runs() {
    let sandbox = Sandbox::new();
    // A service manager that is not there is something to tell: at the end.
    let tool = running(&sandbox, "echo begun; read line; echo done");
    let mut terminal = Terminal::start(tool.env("NOTIFY_SOCKET", "/no/such/socket"));
    terminal.shows("begun");
    assert!(
        !terminal.plain().contains("service manager"),
        "{}",
        terminal.plain()
    );
    terminal.types("\n");
    let shown = unwrapped(&terminal.shown_at_end().replace('\r', ""));
    let (done, told) = (
        shown.find("done").unwrap(),
        shown.find("service manager").unwrap(),
    );
    assert!(done < told, "{shown}");
}

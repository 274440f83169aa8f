//! How requests flow: side by side, in order, as the input comes, until somebody stops them.
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole, whole_body};
use crate::support::peers;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Terminal, next_line, signal, unwrapped, wait_until};
use rustix::process::Signal;
use serde_json::json;

#[test]
fn as_many_requests_as_given_are_under_way_and_no_more() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (counter, highest) = (Arc::clone(&under_way), Arc::clone(&most));
    // Nobody is answered before seven have come; an eighth would be seen.
    let barrier = Barrier::new(7);
    let server = Server::answering(move |_, request| {
        let now = counter.fetch_add(1, Ordering::SeqCst) + 1;
        highest.fetch_max(now, Ordering::SeqCst);
        barrier.wait();
        counter.fetch_sub(1, Ordering::SeqCst);
        whole(&prompt(request))
    });
    let sandbox = Sandbox::new();
    let run = batch(&sandbox, &server)
        .args(["run", "-j", "7"])
        .stdin(lines(70))
        .run()
        .exits(0);
    assert_eq!(results(&run.text()).len(), 70);
    assert_eq!(
        (most.load(Ordering::SeqCst), under_way.load(Ordering::SeqCst)),
        (7, 0)
    );
}

/// A server that answers each of the first four requests when its gate is opened.
fn gated() -> (Server, [Gate; 4]) {
    let gates: [Gate; 4] = Default::default();
    let ours = gates.clone();
    let server = Server::answering(move |_, request| {
        let prompt = prompt(request);
        let answer = whole(&prompt);
        match gates.get(prompt[1..].parse::<usize>().unwrap()) {
            Some(gate) => Reply::default().gate(gate).then(answer),
            None => answer,
        }
    });
    (server, ours)
}

#[test]
fn results_come_as_they_are_done_or_in_the_order_of_the_requests() {
    let name = |line: &str| -> String {
        let result: serde_json::Value = serde_json::from_str(line).unwrap();
        result["custom_id"].as_str().unwrap().to_owned()
    };
    let (sandbox, (server, gates)) = (Sandbox::new(), gated());
    let tool = batch(&sandbox, &server).args(["run", "-j", "4"]);
    let mut child = tool.stdin(lines(4)).start();
    server.wait_for(4);
    let mut results = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in [3, 2, 1, 0] {
        gates[number].open();
        assert_eq!(name(&results.next().unwrap().unwrap()), format!("q{number}"));
    }
    Run::wait(child, "qwen-batch").exits(0);
    let (server, gates) = gated();
    let tool = batch(&sandbox, &server).args(["run", "-j", "4", "--ordered"]);
    let child = tool
        .stdin(format!("{}nonsense\n{}", lines(4), line("q4", "q4")))
        .start();
    server.wait_for(4);
    for gate in gates.iter().rev() {
        gate.open();
    }
    let run = Run::wait(child, "qwen-batch").exits(1);
    let names: Vec<String> = run.text().lines().map(name).collect();
    assert!(names[4].starts_with("text-"), "{names:?}");
    assert_eq!(
        (&names[..4], &*names[5]),
        (&["q0", "q1", "q2", "q3"].map(str::to_owned)[..], "q4")
    );
}

#[test]
fn a_request_is_answered_while_the_next_is_not_yet_typed() {
    // With one at a time, a request that waits for another try must not be held up by a line that is yet to come.
    let server = Server::answering(|number, request| match number {
        1 => Reply::json(500, "{}"),
        _ => whole(&prompt(request)),
    });
    let sandbox = Sandbox::new();
    let mut command = batch(&sandbox, &server)
        .args(["run", "-q", "-j", "1"])
        .into_command();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for name in ["a", "b", "c"] {
        input.write_all(line(name, name).as_bytes()).unwrap();
        let mut result = String::new();
        output.read_line(&mut result).unwrap();
        assert_eq!(text(&results(&result)[name]), name);
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// A clock that runs a hundred times as fast.
const FAST_CLOCK: &str = "+0 x100";

#[test]
fn without_a_terminal_a_line_a_minute_says_how_far_the_run_is() {
    let Some(library) = peers::faketime() else { return };
    let (sandbox, server) = (Sandbox::new(), echo());
    let mut command = batch(&sandbox, &server)
        .args(["run", "-j", "1", "--connect-timeout", "36000"])
        .args(["--first-byte-timeout", "36000", "--idle-timeout", "36000"])
        .env("LD_PRELOAD", library)
        .env("FAKETIME", FAST_CLOCK)
        .into_command();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Questions come until the run has said how far it is, three times.
    let mut input = child.stdin.take().unwrap();
    let said = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&said);
    let asking = std::thread::spawn(move || {
        let mut number = 0;
        while heard.load(Ordering::SeqCst) < 3 {
            let name = format!("q{number}");
            input.write_all(line(&name, &name).as_bytes()).unwrap();
            number += 1;
        }
    });
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        assert!(
            line.starts_with("qwen-batch: ") && line.contains(" done so far, ") && line.ends_with("/s"),
            "{line}"
        );
        said.fetch_add(1, Ordering::SeqCst);
    }
    asking.join().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(said.load(Ordering::SeqCst) >= 3);
}

#[test]
fn a_reader_that_went_away_ends_the_run_silently() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = batch(&sandbox, &server).arg("run").into_command();
    let file = std::fs::File::open(sandbox.write("in.jsonl", lines(3))).unwrap();
    let output = command.stdin(file).stdout(writer).output().unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(
        (output.status.signal(), output.stderr.as_slice()),
        (Some(13), &b""[..])
    );
}

/// A run of ten requests, four of which are under way: the server answers when the gate is opened.
fn under_way(sandbox: &Sandbox) -> (Server, Gate, std::process::Child) {
    let gate = Gate::default();
    let held = gate.clone();
    let server =
        Server::answering(move |_, request| Reply::default().gate(&held).then(whole(&prompt(request))));
    sandbox.write("work/in.jsonl", lines(10));
    let child = batch(sandbox, &server)
        .args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "4"])
        .start();
    server.wait_for(4);
    (server, gate, child)
}

#[test]
fn ctrl_c_finishes_what_is_under_way_and_the_next_run_does_the_rest() {
    for number in [Signal::INT, Signal::TERM, Signal::HUP] {
        let sandbox = Sandbox::new();
        let (server, gate, mut child) = under_way(&sandbox);
        signal(&child, number);
        assert_eq!(
            next_line(&mut child),
            "qwen-batch: finishing requests under way (4); interrupt again to stop at once\n"
        );
        gate.open();
        let run = Run::wait(child, "qwen-batch").exits(128 + number.as_raw());
        assert_eq!(
            run.stderr,
            "qwen-batch: 4 done\n\
             qwen-batch: hint: run the same command again: it continues where this run stopped\n"
        );
        let out = sandbox.work().join("out.jsonl");
        assert_eq!(results_in(&out).len(), 4);
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        tool.run().gives(0, "", "qwen-batch: 10 done, 4 there already\n");
        assert_eq!((results_in(&out).len(), server.requests().len()), (10, 10));
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let gate = Gate::default();
    let server = Server::script([Reply::default().gate(&gate).then(whole("fine"))]);
    let script = "trap '' INT TERM; exec qwen-batch run questions";
    sandbox.write("work/questions", lines(1));
    let tool = sandbox.command("/bin/sh").args(["-c", script]);
    let tool = tool
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    let child = tool.start();
    server.wait_for(1);
    for number in [Signal::INT, Signal::TERM] {
        signal(&child, number);
    }
    gate.open();
    let run = Run::wait(child, "qwen-batch").exits(0);
    assert_eq!((run.text().lines().count(), &*run.stderr), (1, ""));
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::default().hold()]);
    let mut child = batch(&sandbox, &server).arg("run").stdin(lines(1)).start();
    server.wait_for(1);
    // Signals that come close together are one; so it is sent until it has been heard twice.
    wait_until("the end", || {
        signal(&child, Signal::INT);
        child.try_wait().unwrap().is_some()
    });
    Run::wait(child, "qwen-batch").exits(130);
}

/// Runs forty requests and a malformed line on a terminal of that width; returns what it showed, without
/// colours.
fn shown(columns: u16) -> String {
    let gate = Gate::default();
    let half_way = gate.clone();
    let server = Server::answering(move |number, request| match number {
        20.. => Reply::default().gate(&half_way).then(whole(&prompt(request))),
        _ => whole(&prompt(request)),
    });
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", format!("{}nonsense\n", lines(40)));
    let tool = batch(&sandbox, &server).env("TERM", "xterm").env("NO_COLOR", "1");
    let tool = tool.args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "2"]);
    let terminal = Terminal::of_width(columns, tool);
    terminal.shows("20/41");
    gate.open();
    terminal.shows("hint: correct the input, then add --retry-failed");
    let shown = terminal.shown();
    assert_eq!(terminal.ends(), 1);
    shown.replace("\u{1b}[2K", "")
}

#[test]
fn a_terminal_shows_how_far_it_has_come() {
    for (columns, has_room) in [(100, true), (50, true), (20, false)] {
        let shown = shown(columns);
        let said = unwrapped(&shown.replace('\r', ""));
        for part in ["/41", " left", "qwen-batch: 41 done, 1 of them failed"] {
            assert!(said.contains(part), "no {part:?} in {shown:?}");
        }
        assert_eq!(shown.contains('━'), has_room, "{shown:?}");
    }
    let longest = shown(100)
        .split(['\r', '\n', '\u{1b}'])
        .map(|line| line.chars().count())
        .max();
    assert_eq!(longest, Some(100), "the whole width");
}

#[test]
fn what_a_terminal_shows_for_ctrl_c_is_cleared_with_the_bar() {
    let server = Server::script([Reply::default().hold()]);
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(3));
    let tool = batch(&sandbox, &server).env("TERM", "xterm").env("NO_COLOR", "1");
    let mut terminal = Terminal::of_width(60, tool.args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "1"]));
    terminal.shows("0/3");
    server.wait_for(1);
    terminal.types("\x03");
    terminal.shows("interrupt\n  again to stop at once\n");
    let shown = terminal.shown();
    let (before, after) = shown.split_once("^C").unwrap();
    assert!(
        before.ends_with("\u{1b}[G"),
        "the cursor is on the bar's line: {before:?}"
    );
    let (cleared, _) = after.split_once("qwen-batch: finishing").unwrap();
    assert!(cleared.ends_with("\r\u{1b}[2K"), "{cleared:?}");
    assert!(!cleared.contains('\n'), "{cleared:?}");
}

#[test]
fn a_terminal_shows_the_tokens_so_far() {
    let gate = Gate::default();
    let half_way = gate.clone();
    let server = Server::answering(move |number, request| {
        let mut body = whole_body(&prompt(request));
        body["usage"] = json!({"prompt_tokens": 30, "completion_tokens": 4, "total_tokens": 34});
        let answer = Reply::json(200, &body.to_string());
        match number {
            3.. => Reply::default().gate(&half_way).then(answer),
            _ => answer,
        }
    });
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(6));
    let tool = batch(&sandbox, &server).env("TERM", "xterm").env("NO_COLOR", "1");
    let terminal = Terminal::of_width(100, tool.args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "1"]));
    terminal.shows("102 tokens");
    gate.open();
    terminal.shows("204 tokens (180 in, 24 out)");
    assert_eq!(terminal.ends(), 0);
}

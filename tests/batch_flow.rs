//! How questions flow: side by side, in order, as the input comes, until somebody stops them.
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole};
use crate::support::{Reply, Run, Sandbox, Server, Terminal};
use rustix::process::{Pid, Signal, kill_process};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn as_many_questions_as_asked_for_are_under_way_and_no_more() {
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

#[test]
fn results_come_as_they_are_done_or_in_the_order_of_the_questions() {
    // The earlier a question the later its answer, within each four.
    let slow_first = || {
        Server::answering(|_, request| {
            let number: u64 = prompt(request)[1..].parse().unwrap();
            let pause = Duration::from_millis(120 * (3 - number % 4));
            Reply::default().pause(pause).send({
                let body = crate::support::batch::whole_body(&prompt(request)).to_string();
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                )
            })
        })
    };
    let names = |run: &Run| -> Vec<String> {
        run.text()
            .lines()
            .map(|line| {
                let result: serde_json::Value = serde_json::from_str(line).unwrap();
                result["custom_id"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let (sandbox, server) = (Sandbox::new(), slow_first());
    let run = batch(&sandbox, &server)
        .args(["run", "-j", "4"])
        .stdin(lines(4))
        .run()
        .exits(0);
    assert_eq!(names(&run), ["q3", "q2", "q1", "q0"]);
    let server = slow_first();
    let tool = batch(&sandbox, &server).args(["run", "-j", "4", "--ordered"]);
    let run = tool
        .stdin(format!("{}nonsense\n{}", lines(4), line("q4", "q4")))
        .run()
        .exits(1);
    assert_eq!(names(&run), ["q0", "q1", "q2", "q3", "line-5", "q4"]);
}

#[test]
fn a_question_is_answered_while_the_next_is_not_yet_typed() {
    // With one at a time, a question that waits for another try must not be held up by a line that is yet to come.
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

/// A run of ten questions, four of which are under way: the server holds their answers for a second.
fn under_way(sandbox: &Sandbox) -> (Server, std::process::Child) {
    let server = Server::answering(|_, request| {
        let body = crate::support::batch::whole_body(&prompt(request)).to_string();
        Reply::default().pause(Duration::from_secs(1)).send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ))
    });
    sandbox.write("work/in.jsonl", lines(10));
    let child = batch(sandbox, &server)
        .args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "4"])
        .start();
    let began = Instant::now();
    while server.requests().len() < 4 {
        assert!(began.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    (server, child)
}

#[test]
fn ctrl_c_finishes_what_is_under_way_and_the_next_run_does_the_rest() {
    for signal in [Signal::INT, Signal::TERM] {
        let sandbox = Sandbox::new();
        let (server, child) = under_way(&sandbox);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let run = Run::wait(child, "qwen-batch", LIMIT).exits(128 + signal.as_raw());
        assert_eq!(
            run.stderr,
            "qwen-batch: finishing what is under way (4); once more stops at once\n\
             qwen-batch: 4 done\n\
             qwen-batch: hint: run the same command again: it goes on where this one stopped\n"
        );
        let out = sandbox.work().join("out.jsonl");
        assert_eq!(results_in(&out).len(), 4);
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        tool.run().gives(0, "", "");
        assert_eq!((results_in(&out).len(), server.requests().len()), (10, 10));
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let sandbox = Sandbox::new();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let server = Server::answering(move |_, request| {
        released.lock().unwrap().recv().unwrap();
        whole(&prompt(request))
    });
    let script = "trap '' INT TERM; exec qwen-batch run questions";
    sandbox.write("work/questions", lines(1));
    let tool = sandbox.command("/bin/sh").args(["-c", script]);
    let tool = tool
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    let child = tool.start();
    while server.requests().is_empty() {
        std::thread::yield_now();
    }
    for signal in [Signal::INT, Signal::TERM] {
        kill_process(Pid::from_child(&child), signal).unwrap();
    }
    release.send(()).unwrap();
    let run = Run::wait(child, "qwen-batch", LIMIT).exits(0);
    assert_eq!((run.text().lines().count(), &*run.stderr), (1, ""));
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::default().hold()]);
    let child = batch(&sandbox, &server).arg("run").stdin(lines(1)).start();
    let began = Instant::now();
    while server.requests().is_empty() {
        assert!(began.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    let pid = Pid::from_child(&child);
    let waiter = std::thread::spawn(move || Run::wait(child, "qwen-batch", LIMIT));
    // Signals that come close together are one; so it is sent until it has been heard twice.
    while !waiter.is_finished() {
        let _ = kill_process(pid, Signal::INT);
        std::thread::sleep(Duration::from_millis(50));
    }
    waiter.join().unwrap().exits(130);
}

/// Runs forty questions and a malformed line on a terminal of that width; returns what it showed, without
/// colours.
fn shown(columns: u16) -> String {
    let server = Server::answering(|_, request| {
        let body = crate::support::batch::whole_body(&prompt(request)).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        Reply::default()
            .pause(Duration::from_millis(50))
            .send(head)
            .send(body)
    });
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", format!("{}nonsense\n", lines(40)));
    let tool = batch(&sandbox, &server).env("TERM", "xterm").env("NO_COLOR", "1");
    let tool = tool.args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "2"]);
    let terminal = Terminal::of_width(columns, tool);
    terminal.shows("hint: add --retry-failed to ask again what failed");
    let shown = terminal.shown();
    assert_eq!(terminal.ends(), 1);
    shown.replace("\u{1b}[2K", "")
}

#[test]
fn a_terminal_shows_how_far_it_has_come() {
    let wide = shown(100);
    for part in ["/41", " left", "━", "qwen-batch: 41 done, 1 failed"] {
        assert!(wide.contains(part), "no {part:?} in {wide:?}");
    }
    // There is room at the end of the line for the `^C` of a terminal.
    let longest = wide.split(['\r', '\n']).map(|line| line.chars().count()).max();
    assert_eq!(longest, Some(94));
    let narrow = shown(50);
    assert!(narrow.contains("/41") && !narrow.contains('━'), "{narrow:?}");
}

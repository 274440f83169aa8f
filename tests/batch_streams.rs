//! Where requests come from and results go: the same file, pipes, readers that stand still or go away.
use std::fs;
use std::process::Stdio;

use crate::support::batch::{batch, echo, line, lines, prompt, results, results_in, text, whole};
use crate::support::chat::KEY;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Tool, next_line, signal, wait_until};
use rustix::io::ioctl_fionread;
use rustix::process::Signal;

/// A shell with qwen-batch on its PATH, about to ask `server`.
fn shell(sandbox: &Sandbox, server: &Server, script: &str) -> Tool {
    sandbox
        .command("/bin/sh")
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_BASE_URL", server.url("/v1"))
        .env("OPENAI_MODEL", "m-1")
        .args(["-c", script])
}

#[test]
fn results_never_go_into_the_input() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let input = sandbox.write("work/in.jsonl", lines(2));
    fs::hard_link(&input, sandbox.work().join("other.jsonl")).unwrap();
    for script in [
        "qwen-batch run in.jsonl >> in.jsonl",
        "qwen-batch run < in.jsonl >> in.jsonl",
        "qwen-batch run < in.jsonl -o in.jsonl",
        "qwen-batch run in.jsonl -o - >> other.jsonl",
        "qwen-batch run in.jsonl -o other.jsonl",
        "qwen-batch run in.jsonl -o /dev/stdout >> in.jsonl",
    ] {
        let run = shell(&sandbox, &server, script).run();
        run.fails(64, &["input and output are the same file"]);
        assert_eq!(sandbox.read("work/in.jsonl"), lines(2), "{script}");
    }
    // What is the same and no file is no harm.
    let script = "qwen-batch run < /dev/null > /dev/null";
    shell(&sandbox, &server, script).run().gives(0, "", "");
}

#[test]
fn a_run_whose_reader_stands_still_ends_by_the_second_ctrl_c() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/in.jsonl", lines(2_000));
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = batch(&sandbox, &server).args(["run", "in.jsonl"]).into_command();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(command);
    // Nobody reads, so the pipe, which holds 64 KiB, is full at some time.
    wait_until("a full pipe", || ioctl_fionread(&reader).unwrap() > 60 << 10);
    wait_until("the end", || {
        signal(&child, Signal::INT);
        child.try_wait().unwrap().is_some()
    });
    Run::wait(child, "qwen-batch").exits(130);
    drop(reader);
}

#[test]
fn a_signal_that_is_sent_twice_at_once_is_one() {
    let gate = Gate::default();
    let held = gate.clone();
    let server =
        Server::answering(move |_, request| Reply::default().gate(&held).then(whole(&prompt(request))));
    let sandbox = Sandbox::new();
    sandbox.write("work/in.jsonl", lines(10));
    let mut child = batch(&sandbox, &server)
        .args(["run", "in.jsonl", "-o", "out.jsonl", "-j", "4"])
        .start();
    server.wait_for(4);
    // As `timeout` does: to the process, and to its group.
    for _ in 0..2 {
        signal(&child, Signal::TERM);
    }
    assert!(next_line(&mut child).contains("finishing requests under way (4)"));
    gate.open();
    Run::wait(child, "qwen-batch").exits(143);
    assert_eq!(results_in(&sandbox.work().join("out.jsonl")).len(), 4);
}

#[test]
fn a_reader_of_a_named_pipe_that_went_away_ends_the_run_silently() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/in.jsonl", lines(500));
    let script = "mkfifo p && { head -n 1 p > first & } && qwen-batch run in.jsonl -o p; echo $? >&2; wait";
    let run = shell(&sandbox, &server, script).run().exits(0);
    assert_eq!(run.stderr.lines().last(), Some("141"), "{run:#?}");
    assert!(!run.stderr.contains("qwen-batch:"), "{run:#?}");
    assert_eq!(results(&sandbox.read("work/first")).len(), 1);
}

#[test]
fn an_answer_with_a_mark_before_it_or_bytes_that_are_no_text_is_an_answer() {
    let good = crate::support::batch::whole_body("fine").to_string();
    let marked = format!("\u{feff}{good}").into_bytes();
    let (before, after) = good.split_once("fine").unwrap();
    let broken = [before.as_bytes(), b"fi\xffne", after.as_bytes()].concat();
    for (body, words) in [(marked, "fine"), (broken, "fi\u{fffd}ne")] {
        let sandbox = Sandbox::new();
        let server = Server::script([Reply::new(200, "application/json", body)]);
        let tool = batch(&sandbox, &server).arg("run").stdin(line("a", "x"));
        assert_eq!(text(&results(&tool.run().exits(0).text())["a"]), words);
    }
}

#[test]
fn a_file_of_nothing_but_a_mark_has_no_requests() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for args in [&["run"][..], &["run", "--template", "Say {}"]] {
        let tool = batch(&sandbox, &server).args(args).stdin("\u{feff}\r\n\n");
        tool.run().gives(0, "", "");
    }
}

#[test]
fn a_body_is_sent_as_it_stands() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let own = r#""messages":[{"role":"user","content":"x"}],"response_format":{"schema":{"enum":["a",null],"default":null}},"n":1.0"#;
    let line = format!("{{\"custom_id\":\"a\",\"body\":{{{own}}}}}\n");
    let run = batch(&sandbox, &server).arg("run").stdin(line).run();
    run.exits(0);
    assert_eq!(
        server.requests()[0].text(),
        format!("{{\"model\":\"m-1\",{own}}}")
    );
}

#[test]
fn every_line_has_a_result_whatever_names_the_others_took() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let input = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")];
    let input: String = input.iter().map(|(name, prompt)| line(name, prompt)).collect();
    sandbox.write("work/in.jsonl", input);
    let run = || {
        let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
        tool.run().exits(1)
    };
    run();
    let there = results_in(&sandbox.work().join("out.jsonl"));
    let names: Vec<&String> = there.keys().collect();
    assert!(
        names.len() == 4 && names[0] == "a" && names[1] == "b",
        "{names:?}"
    );
    assert!(
        names[2..].iter().all(|name| name.starts_with("text-")),
        "{names:?}"
    );
    // The next run finds them all.
    assert!(
        run()
            .stderr
            .starts_with("qwen-batch: 4 done, 2 of them failed, 4 there already")
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn there_is_room_for_as_many_connections_as_the_system_allows() {
    let (sandbox, server) = (Sandbox::new(), echo());
    sandbox.write("work/in.jsonl", lines(300));
    let run = |limits: &str, out: &str| {
        let script = format!("{limits} && exec qwen-batch run in.jsonl -j 200 --retries 0 -o {out}");
        shell(&sandbox, &server, &script).run()
    };
    run("ulimit -S -n 40", "soft").gives(0, "", "");
    let said = "qwen-batch: running 8 requests in parallel, not 200: the limit on open files is 40\n";
    run("ulimit -n 40", "hard").gives(0, "", said);
    for out in ["soft", "hard"] {
        assert_eq!(results_in(&sandbox.work().join(out)).len(), 300);
    }
}

#[test]
fn order_is_a_wish_and_no_answer_is_thrown_away_for_it() {
    // To a file and to standard output.
    for output in [&["-o", "out.jsonl"][..], &[]] {
        // The first is held back until the last of the others is asked, and then tells of a quota that is used up.
        let gate = Gate::default();
        let server = Server::answering(move |_, request| match prompt(request).as_str() {
            "q0" => {
                let body = r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#;
                Reply::default().gate(&gate).then(Reply::json(429, body))
            }
            other => {
                if other == "q3" {
                    gate.open();
                }
                whole(other)
            }
        });
        let sandbox = Sandbox::new();
        sandbox.write("work/in.jsonl", lines(4));
        let args = ["run", "in.jsonl", "-j", "2", "--ordered"];
        let run = batch(&sandbox, &server).args(args).args(output).run().exits(69);
        assert!(run.stderr.contains("qwen-batch: 3 done\n"), "{run:#?}");
        let text = match output {
            [] => run.text().to_owned(),
            _ => sandbox.read("work/out.jsonl"),
        };
        assert_eq!(results(&text).into_keys().collect::<Vec<_>>(), ["q1", "q2", "q3"]);
    }
}

//! What real servers send: every case of tests/data/wire, whole, byte by byte, cut at every byte, and by the program.
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs;
use std::io::Read;
use std::process::Child;
use std::time::Duration;

use qwen_shared::exit::Exit;
use qwen_shared::net::chat::{AnswerReader, Delta, Summary};

use crate::support::chat::{DONE, chat, data, finish, text};
use crate::support::wire::Case;
use crate::support::{Gate, Reply, Run, Sandbox, Server, Terminal};

/// What a reader made of some bytes.
struct Seen {
    text: String,
    reasoning: String,
    /// True where nothing that follows can make the answer less than whole.
    is_complete: bool,
    end: Result<Summary, (Exit, String)>,
}

fn read<'b>(case: &Case, pieces: impl IntoIterator<Item = &'b [u8]>) -> Seen {
    let (mut text, mut reasoning) = (String::new(), String::new());
    let mut sink = |delta: Delta<'_>| match delta {
        Delta::Text(piece) => text.push_str(piece),
        Delta::Reasoning(piece) => reasoning.push_str(piece),
        Delta::TextWasReasoning => reasoning.push_str(&std::mem::take(&mut text)),
    };
    let mut reader = AnswerReader::new(Some(&case.content_type));
    let mut pushed = Ok(());
    for piece in pieces {
        if pushed.is_err() || reader.is_done() {
            break;
        }
        pushed = reader.push(piece, &mut sink);
    }
    let is_complete = reader.is_complete() || reader.is_document();
    let end = match pushed {
        Ok(()) => reader.finish(&mut sink).map_err(|(error, _)| error),
        Err(error) => {
            reader.close(&mut sink);
            Err(error)
        }
    };
    Seen {
        text,
        reasoning,
        is_complete,
        end: end.map_err(|error| (error.exit(), error.to_string())),
    }
}

/// What the program would exit with, and say.
fn judge(case: &Case, seen: &Seen) -> (u8, String) {
    match &seen.end {
        Err((exit, words)) => (exit.code(), words.clone()),
        Ok(summary) => {
            let calls = summary.tool_calls.iter();
            let calls: Vec<String> = calls
                .map(|call| format!("calls a tool, '{}'", call.name))
                .collect();
            if !calls.is_empty() {
                return (Exit::Protocol.code(), calls.concat());
            }
            let is_strict = case.args.iter().any(|arg| arg == "--strict");
            let exit = u8::from(is_strict && !summary.caveats.is_empty());
            (exit, summary.caveats.join("\n"))
        }
    }
}

#[track_caller]
fn check(case: &Case, seen: &Seen) {
    let (exit, words) = judge(case, seen);
    let name = &case.name;
    assert_eq!(seen.text, case.stdout.trim_end_matches('\n'), "{name}: {words}");
    if case.is_reset {
        assert_eq!(seen.is_complete, case.exit == 0, "{name}");
        return;
    }
    assert_eq!(exit, case.exit, "{name}: {words}");
    let usage = seen.end.iter().filter_map(|summary| summary.usage.as_ref());
    let usage: String = usage
        .map(|usage| {
            let usage = qwen_shared::net::chat::Usage::read(usage);
            format!(
                "{} tokens in, {} out",
                usage.prompt_tokens, usage.completion_tokens
            )
        })
        .collect();
    for part in &case.stderr {
        let said = [&words, &seen.reasoning, &usage];
        assert!(
            said.iter().any(|words| words.contains(part.as_str())),
            "{name}: {said:?}"
        );
    }
}

#[test]
fn every_answer_comes_to_what_it_should_whole_and_byte_by_byte() {
    for case in Case::all() {
        let body = case.body();
        check(&case, &read(&case, [body.as_slice()]));
        check(&case, &read(&case, body.chunks(1)));
    }
}

#[test]
fn no_cut_makes_less_than_the_whole_answer_count_as_whole() {
    for case in Case::all() {
        let body = case.body();
        let whole = read(&case, [body.as_slice()]);
        let is_whole = whole.end.is_ok();
        for cut in 0..body.len() {
            let seen = read(&case, [&body[..cut]]);
            let place = format!("{} cut at {cut}", case.name);
            // A break after the known end changes nothing; one before it is never the end.
            if seen.is_complete && is_whole && !case.is_withdrawn {
                assert_eq!(seen.text, whole.text, "{place}");
            }
            // A body that ends in good order there ends by the server's own word, if by any.
            if let Ok(summary) = seen.end {
                let has_word = summary.finish_reason.is_some();
                assert!(seen.text == whole.text || has_word, "{place}: {:?}", seen.text);
            }
        }
    }
}

#[test]
fn every_answer_comes_to_what_it_should_by_the_program() {
    let cases = Case::all();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let sandbox = Sandbox::new();
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    check_run(case, &ask(&sandbox, case));
                }
            });
        }
    });
}

fn ask(sandbox: &Sandbox, case: &Case) -> Run {
    let usual = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        case.content_type
    );
    let head = match case.head.is_empty() {
        true => usual,
        false => case.head.concat(),
    };
    let is_chunked = head.to_ascii_lowercase().contains("chunked");
    let mut reply = Reply::default().send(head);
    for (seconds, part) in case.parts() {
        if seconds > 0.0 {
            reply = reply.pause(Duration::from_secs_f64(seconds));
        }
        if !part.is_empty() {
            reply = if is_chunked {
                reply.chunk(part)
            } else {
                reply.send(part)
            };
        }
    }
    reply = match case.is_reset || !is_chunked {
        true => reply.close(),
        false => reply.send("0\r\n\r\n"),
    };
    let server = Server::script([reply]);
    let tool = chat(sandbox, &server).args(["--retries", "0"]).args(&case.args);
    tool.arg("hi").run()
}

#[track_caller]
fn check_run(case: &Case, run: &Run) {
    let name = &case.name;
    assert_eq!(run.code(), i32::from(case.exit), "{name}: {run:#?}");
    assert_eq!(run.text(), case.stdout, "{name}: {run:#?}");
    for part in &case.stderr {
        assert!(run.stderr.contains(part.as_str()), "{name}: {run:#?}");
    }
    if case.exit == 0 && case.stderr.is_empty() {
        assert_eq!(run.stderr, "", "{name}");
    }
}

/// The most memory that a process has had so far, in KiB.
fn peak_memory(child: &Child) -> u64 {
    peak_memory_of(child.id())
}

fn peak_memory_of(pid: impl Display) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Events that say one character each.
fn small_events(count: usize) -> Vec<u8> {
    b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n".repeat(count)
}

#[test]
fn a_million_small_events_take_no_more_memory_than_a_thousand() {
    let sandbox = Sandbox::new();
    let more = Gate::default();
    let mut reply = Reply::stream_head().chunk(small_events(1_000)).gate(&more);
    for _ in 0..100 {
        reply = reply.chunk(small_events(9_990));
    }
    let server = Server::script([reply.hold()]);
    let mut child = chat(&sandbox, &server).arg("hi").start();
    let stdout = child.stdout.as_mut().unwrap();
    let mut text = vec![0; 1_000];
    stdout.read_exact(&mut text).unwrap();
    let before = peak_memory(&child);
    more.open();
    let stdout = child.stdout.as_mut().unwrap();
    let mut text = vec![0; 999_000];
    stdout.read_exact(&mut text).unwrap();
    let after = peak_memory(&child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(after <= before + 2_048, "{before} KiB, {after} KiB");
}

/// What the colours of code take stays, whatever is shown after it: each language has some hundred patterns.
#[test]
fn code_in_many_languages_is_drawn_in_thirty_mebibytes() {
    const CODE: [(&str, &str); 12] = [
        (
            "rust",
            "fn main() -> Result<(), E> { let n: usize = 1; println!(\"{n}\"); } // x",
        ),
        (
            "python",
            "@cache\ndef f(x: int = 3) -> str:\n    return f\"{x!r}\" if x else r'\\d+'",
        ),
        (
            "js",
            "export async function f(x) { return /re+/g.test(`a${await x}`) ?? null; }",
        ),
        (
            "cpp",
            "template <class T> auto f(const T &s) -> int { return s->size() > 0x1f; }",
        ),
        (
            "java",
            "@Override public final String toString() { return \"x\" + N; }",
        ),
        (
            "go",
            "func f(ctx context.Context) (n int, err error) { return 1, nil }",
        ),
        (
            "sh",
            "for f in *.txt; do echo \"${f%.txt}\" | sed 's/a/b/' >out; done",
        ),
        (
            "sql",
            "SELECT a.id, count(*) FROM t a WHERE a.name LIKE 'x%' GROUP BY 1;",
        ),
        (
            "html",
            "<p class=\"c\" style=\"color: red\">a &amp; b</p><script>let x = 1;</script>",
        ),
        ("yaml", "key: &anchor\n  - 'a'\n  - {b: 1.5, c: ~}  # comment"),
        (
            "ruby",
            "class C < Struct.new(:a); def each(&b) = a.map { |x| \"#{x}\" =~ /re/ }; end",
        ),
        (
            "php",
            "<?php function f(?string $s = null): array { return ['a' => \"{$s}\"]; }",
        ),
    ];
    let blocks = CODE.map(|(language, code)| format!("```{language}\n{code}\n```\n\n"));
    let answer = text(&(blocks.concat() + "that was it\n"));
    let sandbox = Sandbox::new();
    let server = Server::script([Reply::stream_head().chunk(answer).hold()]);
    let terminal = Terminal::start(chat(&sandbox, &server).args(["--no-stdin", "hi"]));
    terminal.shows("that was it");
    assert!(
        terminal.shown().contains("\x1b[35mfn\x1b[0m"),
        "{:?}",
        terminal.shown()
    );
    let peak = peak_memory_of(terminal.pid().as_raw_nonzero().get());
    assert!(peak <= 30 << 10, "{peak} KiB");
}

/// What is not kept takes no memory however often it comes: reasoning that is not shown, comments, events that say nothing.
#[test]
fn endless_reasoning_comments_and_empty_events_take_no_more_memory_than_a_few() {
    let reasoning = data(r#"{"choices":[{"delta":{"reasoning_content":"x"}}]}"#);
    let empty = data(r#"{"choices":[{"delta":{"content":""}}]}"#);
    for event in [
        reasoning,
        ": still here\n\n".to_owned(),
        empty,
        data(r#"{"choices":[]}"#),
    ] {
        let (sandbox, more) = (Sandbox::new(), Gate::default());
        let few = Reply::stream_head().chunk(event.repeat(1_000)).chunk(text("a"));
        let many = (0..20).fold(few.gate(&more), |reply, _| reply.chunk(event.repeat(10_000)));
        let server = Server::script([many.chunk(text("b")).hold()]);
        let mut child = chat(&sandbox, &server).arg("hi").start();
        let mut letter = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut letter).unwrap();
        let before = peak_memory(&child);
        more.open();
        child.stdout.as_mut().unwrap().read_exact(&mut letter).unwrap();
        let after = peak_memory(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(letter, *b"b", "{event}");
        assert!(after <= before + 2_048, "{event}: {before} KiB, {after} KiB");
    }
}

#[test]
fn a_complete_answer_is_not_kept_waiting_by_what_says_nothing() {
    for nothing in [
        ": still here\n\n".to_owned(),
        data(r#"{"choices":[]}"#),
        finish("stop"),
    ] {
        let reply = Reply::stream_head().chunk(text("fine") + &finish("stop"));
        let endless = (0..2_000).fold(reply, |reply, _| {
            reply.pause(Duration::from_millis(250)).chunk(&nothing)
        });
        let (sandbox, server) = (Sandbox::new(), Server::script([endless.hold()]));
        chat(&sandbox, &server).arg("hi").run().gives(0, "fine\n", "");
    }
}

#[test]
fn what_must_be_kept_and_never_ends_is_given_up() {
    let filler = "x".repeat(1 << 20);
    let tool_call = format!(
        r#"{{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"c","function":{{"name":"f","arguments":"{filler}"}}}}]}}}}]}}"#
    );
    let reasoning = format!(r#"{{"choices":[{{"delta":{{"reasoning_content":"{filler}"}}}}]}}"#);
    let answer = format!(r#"{{"choices":[{{"delta":{{"content":"{filler}"}}}}]}}"#);
    for (event, args) in [
        (&tool_call, &["--json"][..]),
        (&tool_call, &[]),
        (&reasoning, &["--json"]),
        (&answer, &["--json"]),
        (&answer, &["--extract"]),
    ] {
        let endless = (0..70).fold(Reply::stream_head(), |reply, _| reply.chunk(data(event)));
        let (sandbox, server) = (Sandbox::new(), Server::script([endless.hold()]));
        let run = chat(&sandbox, &server).args(args).arg("hi").run();
        assert_eq!(run.code(), 76, "{args:?}: {}", run.stderr);
        assert!(
            run.stderr.contains("more than 64 MiB would have to be kept"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn what_need_not_be_kept_may_be_of_any_length() {
    let filler = "x".repeat(1 << 20);
    let reasoning = data(&format!(
        r#"{{"choices":[{{"delta":{{"reasoning":"{filler}"}}}}]}}"#
    ));
    for event in [reasoning, format!(": {filler}\n\n")] {
        let long = (0..70).fold(Reply::stream_head(), |reply, _| reply.chunk(&event));
        let reply = long
            .chunk(text("fine") + &finish("stop") + DONE)
            .send("0\r\n\r\n");
        let (sandbox, server) = (Sandbox::new(), Server::script([reply]));
        chat(&sandbox, &server).arg("hi").run().gives(0, "fine\n", "");
    }
}

#[test]
fn the_cases_are_many_and_of_many_makes() {
    let cases = Case::all();
    assert!(cases.len() >= 100, "{}", cases.len());
    let makes: BTreeSet<&str> = cases
        .iter()
        .filter_map(|case| case.name.split('-').next())
        .collect();
    assert!(makes.len() >= 15, "{makes:?}");
}

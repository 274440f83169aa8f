//! Answers drawn on a real terminal: the same however they stream, in the colours that were wished for, with little memory.
use std::fs;

use crate::support::chat::{DONE, answer, chat, finish, text};
use crate::support::{Gate, Reply, Sandbox, Server, Terminal};
use serde_json::json;

/// Every example that is rebuilt from reports, and what models write in their manner: on a real terminal an answer in
/// tokens shows what it shows in one piece.
#[test]
fn a_streamed_answer_shows_on_a_terminal_what_it_shows_in_one_piece() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/markdown");
    let files = fs::read_dir(directory).unwrap().flatten().map(|file| file.path());
    let mut texts: Vec<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    texts.sort();
    let count = if std::env::var_os("QWEN_LONG").is_some() {
        100
    } else {
        12
    };
    // A hundred different documents of these parts.
    let documents = (0..count).map(|number: usize| {
        let parts =
            (0..1 + number / texts.len() % 4).map(|part| texts[(number + part * 5) % texts.len()].as_str());
        parts.collect::<Vec<_>>().join("\n")
    });
    for (number, text) in documents.enumerate() {
        let columns = [40, 60, 80, 120][number % 4];
        let token = [1, 3, 8, 13][number / 4 % 4];
        let letters: Vec<char> = text.chars().collect();
        let tokens: Vec<String> = letters
            .chunks(token)
            .map(|token| token.iter().collect())
            .collect();
        let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
        let drawn = [&tokens[..], &[text.as_str()]].map(|words| on_terminal(words, columns));
        assert_eq!(
            drawn[0], drawn[1],
            "{number} at {columns} columns, tokens of {token}: {text}"
        );
    }
}

/// What stands on a terminal after an answer, with what has scrolled away.
fn on_terminal(words: &[&str], columns: u16) -> Vec<String> {
    let sandbox = Sandbox::new();
    // Each event in a chunk of its own, as servers send them.
    let events = words.iter().map(|word| text(word));
    let reply = events.fold(Reply::stream_head(), Reply::chunk);
    let end = Reply::default().chunk(finish("stop") + DONE).send("0\r\n\r\n");
    let server = Server::script([reply.then(end)]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "xterm-256color")
        .env("COLORFGBG", "15;0")
        .env("CI", "true")
        .args(["--no-stdin", "hi"]);
    let shown = Terminal::of_width(columns, tool).shown_at_end();
    let mut screen = vt100::Parser::new(40, columns, 10_000);
    screen.process(shown.as_bytes());
    let screen = screen.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut rows = Vec::new();
    for above in (0..=screen.scrollback()).rev() {
        screen.set_scrollback(above);
        let visible = if above == 0 { usize::MAX } else { 1 };
        rows.extend(screen.rows(0, columns).take(visible));
    }
    rows
}

/// What inline code looks like on a terminal for which this is said of its colours.
fn code_on(settings: &[(&str, &str)], theme: Option<&str>) -> String {
    let sandbox = Sandbox::new();
    if let Some(theme) = theme {
        sandbox.config(&json!({ "theme": theme }).to_string());
    }
    let server = Server::script([answer(&["see **the** `code`"])]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "xterm-256color")
        .env("CI", "true");
    let tool = settings
        .iter()
        .fold(tool, |tool, (name, value)| tool.env(name, value));
    let shown = Terminal::start(tool.args(["--no-stdin", "hi"])).shown_at_end();
    assert!(shown.contains("\x1b[1mthe\x1b[0m"), "{shown:?}");
    let start = shown.rfind("the\x1b[0m ").unwrap() + "the\x1b[0m ".len();
    shown[start..].trim_end().to_owned()
}

#[test]
fn the_colours_are_those_of_the_settings_else_those_of_the_terminal() {
    let (dark, light, none) = ("\x1b[36mcode\x1b[0m", "\x1b[34mcode\x1b[0m", "code");
    let on_white = ("COLORFGBG", "0;15");
    for (settings, theme, code) in [
        (&[][..], None, dark),
        (&[("COLORFGBG", "15;0")], None, dark),
        (&[on_white], None, light),
        (&[on_white], Some("dark"), dark),
        (&[], Some("light"), light),
        (&[on_white], Some("none"), none),
        (&[on_white, ("NO_COLOR", "1")], Some("light"), none),
    ] {
        assert_eq!(code_on(settings, theme), code, "{settings:?} {theme:?}");
    }
}

/// The most memory, in KiB, of a qwen-chat that draws so many bytes of Markdown.
fn peak(bytes: usize) -> u64 {
    let part = "## Title\n\nSome **bold** words and `code`, see [here](https://example.org/a).\n\n- item\n  - deeper\n\n\
        | a | b |\n|---|---|\n| one cell | another |\n\n```rust\nfn main() { println!(\"{}\", 1); }\n```\n\n";
    let sandbox = Sandbox::new();
    // The end is held back until the memory has been read.
    let gate = Gate::default();
    let pieces = (0..bytes / part.len() / 8).map(|_| text(&part.repeat(8)));
    let reply = pieces.fold(Reply::stream_head(), Reply::chunk);
    let reply = reply.chunk(text("the last line\n\n")).gate(&gate);
    let end = Reply::default().chunk(finish("stop") + DONE).send("0\r\n\r\n");
    let server = Server::script([reply.then(end)]);
    let tool = chat(&sandbox, &server)
        .env("TERM", "xterm-256color")
        .env("CI", "true");
    let terminal = Terminal::start(tool.args(["--no-stdin", "hi"]));
    terminal.shows("the last line");
    // The terminal's own process waits for the program.
    let pid = terminal.pid().as_raw_nonzero();
    let program = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let program = program
        .split_whitespace()
        .next()
        .map_or(pid.to_string(), str::to_owned);
    let status = fs::read_to_string(format!("/proc/{program}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    gate.open();
    assert_eq!(terminal.ends(), 0);
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_megabyte_is_drawn_in_no_more_memory_than_a_twentieth_of_it() {
    let (little, much) = (peak(50_000), peak(1_000_000));
    println!("peak: {little} KiB for 50 kB, {much} KiB for 1 MB");
    assert!(much < little + 2 * 1024, "{little} KiB, then {much} KiB");
    assert!(much < 30 * 1024, "{much} KiB");
}

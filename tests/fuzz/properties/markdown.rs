//! Answers on a terminal: what a streamed one shows is what it shows in one piece, and nothing in it acts on the terminal.
//!
//! The first byte of an input is the width, the second one the length of a token; the rest is the text.

use std::cell::Cell;

use crate::markdown::{Markdown, Size};
use qwen_shared::net::config::Theme;

const ROWS: usize = 24;

thread_local! {
    static COLUMNS: Cell<usize> = const { Cell::new(80) };
}

/// Draws a text whole and in tokens.
pub(crate) fn holds(data: &[u8]) {
    let [width, token, text @ ..] = data else { return };
    COLUMNS.set(20 + usize::from(*width) % 100);
    let text = String::from_utf8_lossy(text);
    // The emulator fails where a wide character stands at the edge of what it cuts.
    let text = text.replace(
        |c: char| c >= '\u{1100}' && !('\u{2000}'..'\u{2e80}').contains(&c),
        "x",
    );
    let whole = draw(&text, usize::MAX);
    let streamed = draw(&text, 1 + usize::from(*token) % 16);
    assert!(
        streamed == whole,
        "=== streamed\n{streamed:#?}\n=== whole\n{whole:#?}"
    );
}

/// What is on the terminal in the end, with what has scrolled away, row by row.
fn draw(text: &str, token: usize) -> Vec<(String, Vec<u8>)> {
    let size = || Size {
        columns: COLUMNS.get(),
        rows: ROWS,
    };
    let columns = u16::try_from(size().columns).unwrap_or(u16::MAX);
    let mut terminal = vt100::Parser::new(ROWS as u16, columns, 10_000);
    let mut markdown = Markdown::new(size, Theme::Dark);
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.char_indices().nth(token).map_or(rest.len(), |(at, _)| at);
        let mut out = Vec::new();
        markdown.push(&rest[..end], &mut out);
        markdown.draw(&mut out);
        show(&mut terminal, &out);
        rest = &rest[end..];
    }
    let mut out = Vec::new();
    markdown.end(&mut out);
    show(&mut terminal, &out);
    rows(&mut terminal, columns)
}

/// Sends bytes as the kernel passes them on: a line feed goes to the beginning of the next row.
fn show(terminal: &mut vt100::Parser, out: &[u8]) {
    assert!(
        !out.contains(&7) && !out.contains(&0),
        "a control character of the text"
    );
    // The emulator leaves out the character that stands for what is none; terminals draw one.
    let out = String::from_utf8_lossy(out).replace('\u{fffd}', "?");
    for line in out.split_inclusive('\n') {
        terminal.process(line.strip_suffix('\n').unwrap_or(line).as_bytes());
        if line.ends_with('\n') {
            terminal.process(b"\r\n");
        }
    }
}

fn rows(terminal: &mut vt100::Parser, columns: u16) -> Vec<(String, Vec<u8>)> {
    let screen = terminal.screen_mut();
    screen.set_scrollback(usize::MAX);
    let mut rows = Vec::new();
    for at in (0..=screen.scrollback()).rev() {
        screen.set_scrollback(at);
        let take = if at == 0 { usize::MAX } else { 1 };
        let formatted = screen.rows_formatted(0, columns);
        rows.extend(screen.rows(0, columns).zip(formatted).take(take));
    }
    while rows.last().is_some_and(|(text, _)| text.trim().is_empty()) {
        rows.pop();
    }
    rows
}

#[cfg(test)]
#[test]
fn every_input_that_a_fuzzer_kept_is_drawn_the_same_however_it_streams() {
    crate::played::play("markdown", holds);
}

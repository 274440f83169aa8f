//! The picture in the README: what a terminal shows while the programs run, drawn as SVG.
//!
//! The test runs the commands at a pseudo-terminal and compares; `tests/picture` runs it to write the file anew.
use std::fmt::Write;

use vt100::{Cell, Color, Parser};

use crate::support::chat;
use crate::support::{Reply, Request, Sandbox, Server, Terminal, wait_until};

/// Where the picture is.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/man/terminal.svg");

/// Columns of the picture. The terminal is wider, so that the length of a temporary directory's name moves no line end.
const COLUMNS: usize = 92;
const TERMINAL_COLUMNS: u16 = 240;

/// The home directory in the picture.
const HOME: &str = "/home/me";

/// Where the server is in the picture.
const PLACE: &str = "127.0.0.1:8080";

/// What is typed, in this order.
const COMMANDS: [&str; 5] = [
    "git diff | qwen-chat 'write a commit message'",
    "qwen-chat 'how large are all logs?'",
    "qwen-batch run questions.jsonl -o answers.jsonl           # again, after a power cut",
    "qwen-chat 'list the planets' >planets.txt; echo $?        # the connection breaks",
    "cd src/somebodys-clone; qwen-chat 'what is it?'; echo $?  # its .env names another server",
];

/// Sizes of a character cell and of the frame, in pixels.
const CELL: (f64, f64) = (8.4, 19.0);
const MARGIN: (f64, f64) = (18.0, 44.0);

/// The sixteen colours of the terminal, which are dark on no background and light on none.
const PALETTE: [&str; 16] = [
    "#484f58", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9", "#8b949e",
    "#ffa198", "#a5f3b0", "#f2cc60", "#a5d6ff", "#e2c5ff", "#b3f0ff", "#f0f6fc",
];
const FOREGROUND: &str = "#d7dee6";
const COMMENT: &str = "#8b949e";
const BACKGROUND: &str = "#14181f";

/// What the model says. The planets come to an end without one.
fn answer(question: &str) -> Reply {
    let (text, whole) = match question {
        _ if question.contains("commit") => (
            "Retry an upload that the server answers with 503\n\n\
             It says so while it restarts; three tries, a second apart, are enough.",
            true,
        ),
        _ if question.contains("logs") => (
            "Let `find` name them and `du` add them up:\n\n```sh\n\
             find . -name '*.log' -print0 | du -ch --files0-from=- | tail -n 1\n```",
            true,
        ),
        _ if question.contains("planets") => ("Mercury, Venus, Ear", false),
        _ => ("yes", true),
    };
    let mut events = vec![chat::text(text)];
    if whole {
        events.push(chat::finish("stop"));
        events.push(chat::DONE.to_owned());
    }
    Reply::stream(events)
}

/// A person's home: a profile, a change that is not committed, questions of which half are answered, somebody's clone.
fn home(sandbox: &Sandbox, server: &Server) {
    sandbox.config(&format!(
        r#"{{"profiles": {{"default": {{"provider": "custom", "method": "api-key", "model": "qwen3-coder", "base_url": "{}",
            "key": {{"command": ["echo", "sk-test"]}}}}}}}}"#,
        server.url("/v1")
    ));
    let question = |n: usize| format!("{{\"custom_id\": \"{n}\", \"prompt\": \"is {n} prime?\"}}\n");
    sandbox.write("home/questions.jsonl", (1..=40).map(question).collect::<String>());
    sandbox.write("home/half.jsonl", (1..=25).map(question).collect::<String>());
    let run = ["run", "half.jsonl", "-q", "-o", "answers.jsonl", "-C"];
    sandbox
        .tool("qwen-batch")
        .args(run)
        .arg(sandbox.home())
        .run()
        .exits(0);
    sandbox.write("home/upload.c", "one\n");
    sandbox.write(
        "home/src/somebodys-clone/.env",
        "OPENAI_BASE_URL=https://collector.example/v1\n",
    );
    let git = "cd && git init -q . && git add upload.c && echo two >>upload.c";
    sandbox.command("/bin/bash").args(["-c", git]).run().exits(0);
}

/// What the prompt sends before itself, which no terminal shows: a title.
const PROMPT: &str = "\x1b]0;prompt\x07";

/// Types the commands at a shell's prompt, and returns all that was sent to the terminal.
fn session(sandbox: &Sandbox) -> String {
    let shell = sandbox
        .command("/bin/bash")
        .args(["--noprofile", "--norc", "-i"])
        .env("PS1", "\n\\[\\e]0;prompt\\a\\e[1;32m\\]$\\[\\e[0m\\] ")
        .env("TERM", "xterm-256color")
        .env("HISTFILE", "/dev/null");
    let mut terminal = Terminal::of_width(TERMINAL_COLUMNS, shell);
    for (number, command) in [&["cd"], &COMMANDS[..]].concat().into_iter().enumerate() {
        wait_until(command, || terminal.shown().matches(PROMPT).count() > number);
        terminal.types(&format!("{command}\n"));
    }
    let all = COMMANDS.len() + 1;
    wait_until("the end", || terminal.shown().matches(PROMPT).count() > all);
    // Without the line that went home.
    let shown = terminal.shown();
    shown.split_once('\n').unwrap().1.to_owned()
}

/// The rows of the screen as cells, cut at the picture's width as a terminal of that width would; without the last prompt.
fn rows(shown: &str) -> Vec<Vec<Cell>> {
    let mut parser = Parser::new(60, TERMINAL_COLUMNS, 0);
    parser.process(shown.as_bytes());
    let screen = parser.screen();
    let mut rows = Vec::new();
    // Two lines are blank before the first prompt.
    for row in 2..screen.cursor_position().0 - 1 {
        let mut cells: Vec<Cell> = (0..TERMINAL_COLUMNS)
            .map(|column| screen.cell(row, column).unwrap().clone())
            .collect();
        let is_empty = |cell: &Cell| cell.contents().trim().is_empty() && cell.bgcolor() == Color::Default;
        while cells.last().is_some_and(is_empty) {
            cells.pop();
        }
        rows.extend(cells.chunks(COLUMNS).map(<[Cell]>::to_vec));
        if cells.is_empty() {
            rows.push(Vec::new());
        }
    }
    rows
}

/// A colour of the terminal as SVG spells it.
fn hex(color: Color, default: &str) -> String {
    match color {
        Color::Default => default.to_owned(),
        Color::Idx(index @ 0..16) => PALETTE[usize::from(index)].to_owned(),
        Color::Idx(index @ 16..232) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let index = index - 16;
            format!(
                "#{:02x}{:02x}{:02x}",
                level(index / 36),
                level(index / 6 % 6),
                level(index % 6)
            )
        }
        Color::Idx(index) => format!("#{0:02x}{0:02x}{0:02x}", 8 + 10 * (index - 232)),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    }
}

/// How the text of a cell is drawn, as attributes.
fn look(cell: &Cell) -> String {
    assert!(
        cell.bgcolor() == Color::Default && !cell.inverse(),
        "colours behind the text are not drawn"
    );
    let front = hex(cell.fgcolor(), FOREGROUND);
    let all = [
        (front != FOREGROUND, format!(" fill=\"{front}\"")),
        (cell.bold(), " font-weight=\"bold\"".to_owned()),
        (cell.italic(), " font-style=\"italic\"".to_owned()),
        (cell.underline(), " text-decoration=\"underline\"".to_owned()),
        (cell.dim(), " opacity=\".65\"".to_owned()),
    ];
    let on = all.into_iter().filter(|(on, _)| *on);
    on.map(|(_, attribute)| attribute).collect()
}

/// The pieces of a row that are drawn as one: neighbours that look alike, up to a gap; each with its first column.
fn pieces(cells: &[Cell]) -> Vec<(usize, String, String)> {
    let mut pieces: Vec<(usize, String, String)> = Vec::new();
    let mut is_comment = false;
    for (column, cell) in cells.iter().enumerate() {
        let gap = column > 1 && [1, 2].iter().all(|back| !is_dark(&cells[column - back]));
        is_comment |= gap && cell.contents() == "#";
        let mut attributes = look(cell);
        if is_comment {
            attributes = format!(" fill=\"{COMMENT}\"");
        }
        match pieces.last_mut() {
            Some((_, last, text)) if !gap && (*last == attributes || !is_dark(cell)) => {
                text.push_str(if is_dark(cell) { cell.contents() } else { " " });
            }
            _ if is_dark(cell) => pieces.push((column, attributes, cell.contents().to_owned())),
            _ => {}
        }
    }
    pieces
}

/// Whether there is something in a cell.
fn is_dark(cell: &Cell) -> bool {
    !cell.contents().trim().is_empty()
}

/// Draws one row. The length of each piece is fixed, so that the columns stand below each other in every font.
fn draw_row(svg: &mut String, row: usize, cells: &[Cell]) {
    let y = MARGIN.1 + CELL.1 * row as f64 + 14.0;
    for (column, attributes, text) in pieces(cells) {
        let text = text.trim_end();
        let x = MARGIN.0 + CELL.0 * column as f64;
        let width = CELL.0 * text.chars().count() as f64;
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        let _ = writeln!(
            svg,
            "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{width:.1}\"{attributes}>{text}</text>"
        );
    }
}

/// The whole picture.
fn svg(rows: &[Vec<Cell>]) -> String {
    let width = 2.0 * MARGIN.0 + CELL.0 * COLUMNS as f64;
    let height = MARGIN.1 + 16.0 + CELL.1 * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         role=\"img\" aria-label=\"The qwen programs on a terminal\">\n\
         <rect x=\".5\" y=\".5\" width=\"{:.0}\" height=\"{:.0}\" rx=\"10\" fill=\"{BACKGROUND}\" stroke=\"#3d444d\"/>\n\
         <g fill=\"#3d444d\"><circle cx=\"20\" cy=\"20\" r=\"6\"/><circle cx=\"40\" cy=\"20\" r=\"6\"/><circle cx=\"60\" cy=\"20\" r=\"6\"/></g>\n\
         <g fill=\"{FOREGROUND}\" font-size=\"14\" font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace\">\n",
        width - 1.0,
        height - 1.0
    );
    for (number, cells) in rows.iter().enumerate() {
        draw_row(&mut svg, number, cells);
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

#[test]
fn the_picture_is_what_a_terminal_shows() {
    let sandbox = Sandbox::new();
    let server = Server::answering(|_, request: &Request| answer(&request.json()["messages"].to_string()));
    home(&sandbox, &server);
    let shown = session(&sandbox)
        .replace(&sandbox.home().display().to_string(), HOME)
        .replace(&format!("127.0.0.1:{}", server.port()), PLACE);
    let drawn = svg(&rows(&shown));
    if std::env::var_os("QWEN_WRITE_PICTURE").is_some() {
        std::fs::write(FILE, &drawn).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap();
    assert!(
        kept == drawn,
        "{FILE} is not what a terminal shows: look, then run 'tests/picture'\n{shown}"
    );
}

#[test]
fn the_picture_needs_nothing_else_and_is_small() {
    let kept = std::fs::read_to_string(FILE).unwrap();
    assert!(kept.len() < 30_000);
    for outside in ["href", "url(", "<script", "<image", "@import", "<style"] {
        assert!(!kept.contains(outside), "{outside}");
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    assert!(readme.contains("](man/terminal.svg)"));
}

//! Markdown and how it looks.

use super::Markdown;

fn draw(pieces: &[&str], columns: fn() -> usize) -> String {
    let mut markdown = Markdown::new(columns);
    let mut out = Vec::new();
    for piece in pieces {
        markdown.push(piece, &mut out);
    }
    markdown.end(&mut out);
    String::from_utf8(out).unwrap()
}

fn plain(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("\x1b[") {
        shown.push_str(&rest[..start]);
        rest = &rest[start..][rest[start..].find('m').unwrap() + 1..];
    }
    shown + rest
}

/// Markdown, and how it looks without its colours on 30 columns.
const DRAWN: [(&str, &str); 24] = [
    ("hi", "hi\n"),
    ("hi\n", "hi\n"),
    ("# Title\n\ntext", "Title\n\ntext\n"),
    ("one\n\ntwo\n\n\nthree", "one\n\ntwo\n\nthree\n"),
    ("soft\nbreak", "soft break\n"),
    ("hard  \nbreak", "hard\nbreak\n"),
    (
        "a **b** *c* `d*` ~~e~~ _f_ g_h_i 2 * 3",
        "a b c d* e f g_h_i 2 * 3\n",
    ),
    ("not **closed at all", "not **closed at all\n"),
    ("- a\n- b\n  - c\n\n    d\n- e", "• a\n• b\n  • c\n\n    d\n• e\n"),
    ("3. a\n4. b", "3. a\n4. b\n"),
    ("- [ ] a\n- [x] b", "• [ ] a\n• [x] b\n"),
    ("> quoted\n> more", "│ quoted more\n"),
    (
        "```rust\nfn a() {\n\n    b  c\n}\n```\nafter",
        "fn a() {\n\n    b  c\n}\n\nafter\n",
    ),
    ("- x\n  ```\n  code\n  ```\n- y", "• x\n\n  code\n• y\n"),
    (
        "[text](http://x) <http://y> [1] [z]",
        "text (http://x) http://y [1]\n[z]\n",
    ),
    (
        "| a | bb |\n|---|---:|\n| 1 | 2 |\n| long | 3 |\n\nx",
        "a    │ bb\n─────┼───\n1    │  2\nlong │  3\n\nx\n",
    ),
    (
        "See [a][1].\n\n[1]: https://a.example\n[2]: <https://b.example> \"B\"\n[1]: /again\n\nx",
        "See [a][1].\n\n[1]: https://a.example\n[2]: https://b.example \"B\"\n[1]: /again\n\nx\n",
    ),
    (
        "- [x]: https://a.example\n- b\n\n> [y]: /y",
        "• [x]: https://a.example\n• b\n\n│ [y]: /y\n",
    ),
    ("---\n\nx", "────────────────\n\nx\n"),
    (
        "one two three four five six seven eight",
        "one two three four five six\nseven eight\n",
    ),
    (
        "- one two three four five six seven eight",
        "• one two three four five six\n  seven eight\n",
    ),
    (
        "漢字漢字漢字漢字漢字漢字漢字漢字。漢字",
        "漢字漢字漢字漢字漢字漢字漢字漢\n字。漢字\n",
    ),
    (
        "esc \x1b[2J &#27;[1m \u{202e}x \u{9b}1m",
        "esc ^[[2J ^[[1m <U+202E>x\n<U+009B>1m\n",
    ),
    ("<b>html</b> &amp; & <br>", "<b>html</b> & & <br>\n"),
];

#[test]
fn markdown_is_drawn() {
    for (source, drawn) in DRAWN {
        let seen = draw(&[source], || 30);
        assert_eq!(plain(&seen), drawn, "{source:?}\n{seen}");
    }
}

#[test]
fn it_is_drawn_the_same_however_it_streams() {
    for (source, drawn) in DRAWN {
        let places: Vec<usize> = (0..=source.len())
            .filter(|&at| source.is_char_boundary(at))
            .collect();
        let letters: Vec<&str> = places.windows(2).map(|pair| &source[pair[0]..pair[1]]).collect();
        assert_eq!(plain(&draw(&letters, || 30)), drawn, "{source:?}");
        for &cut in &places {
            assert_eq!(
                plain(&draw(&[&source[..cut], &source[cut..]], || 30)),
                drawn,
                "{source:?} at {cut}"
            );
        }
    }
}

#[test]
fn styles_end_where_they_end_and_leave_nothing_behind() {
    assert_eq!(
        draw(&["a **b c** d"], || 30),
        "a \x1b[1mb\x1b[0m \x1b[1mc\x1b[0m d\n"
    );
    assert_eq!(draw(&["`x`"], || 30), "\x1b[36mx\x1b[0m\n");
}

#[test]
fn what_is_certain_is_shown_at_once() {
    let mut markdown = Markdown::new(|| 30);
    let mut shown = |piece: &str| {
        let mut out = Vec::new();
        markdown.push(piece, &mut out);
        plain(&String::from_utf8(out).unwrap())
    };
    let seen = [
        "Hello",
        " wor",
        "ld, **bo",
        "ld** and",
        " x\n\n```\nco",
        "de\nmore",
    ]
    .map(&mut shown);
    assert_eq!(
        seen,
        ["", "Hello", " world,", " bold", " and x\n\nco", "de\nmore"]
    );
}

#[test]
fn a_block_without_end_is_shown_and_takes_bounded_memory() {
    let mut markdown = Markdown::new(|| 80);
    let mut out = Vec::new();
    markdown.push("```\n", &mut out);
    for number in 0..20_000 {
        markdown.push(&format!("line {number}\n"), &mut out);
        assert!(markdown.source.len() < 2 * super::BLOCK_LIMIT);
    }
    markdown.end(&mut out);
    let text = plain(&String::from_utf8(out).unwrap());
    let expected: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    assert_eq!(text, expected);
}

/// Pieces of which random texts are made; `%` stands for a word of its own.
const PIECES: [&str; 39] = [
    "%",
    "%",
    "%",
    " %",
    " %",
    " ",
    " ",
    "\n",
    "\n",
    "\n\n",
    "\n\n",
    "**",
    "*",
    "_",
    "`",
    "``",
    "\n```\n",
    "\n~~~\n",
    "\n# ",
    "\n- ",
    "\n  - ",
    "\n1. ",
    "\n> ",
    "\n    ",
    "\n|%|%|\n|-|-|\n|%|",
    "\n---\n",
    "[%](http://x)",
    "\n[%]: http://x\n",
    "[",
    "]",
    "(",
    "<%>",
    "&amp;",
    "&",
    "\\",
    "漢字",
    "🎉",
    "~~",
    "!",
];

/// A text of random pieces whose words are numbered. The numbers come from xorshift.
fn random_text(seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut text = String::new();
    for _ in 0..3 + seed % 30 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        for c in PIECES[usize::try_from(state >> 33).unwrap() % PIECES.len()].chars() {
            if c == '%' {
                text.push_str(&format!("w{}x", text.matches('w').count()));
            } else {
                text.push(c);
            }
        }
    }
    text
}

fn words(text: &str) -> Vec<&str> {
    let numbered = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let starts = text.split('w').skip(1);
    starts
        .filter_map(|part| Some(part.split_once('x')?.0))
        .filter(numbered)
        .collect()
}

#[test]
fn random_texts_lose_no_word_and_are_drawn_the_same_however_they_stream() {
    // The words after a fence name the language, which is not shown.
    let has_language = |line: &str| line.contains('w') && (line.contains("```") || line.contains("~~~"));
    for seed in 0..1_000 {
        let source = random_text(seed);
        let whole = plain(&draw(&[&source], || 30));
        let letters: Vec<String> = source.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(plain(&draw(&letters, || 30)), whole, "seed {seed}: {source:?}");
        if !source.lines().any(has_language) {
            assert_eq!(words(&whole), words(&source), "seed {seed}: {source:?}\n{whole}");
        }
    }
}

//! Markdown, and how it looks on a terminal, judged by an emulator of one.

#[path = "../../../tests/fuzz/properties/markdown.rs"]
mod corpus;
mod documents;
mod emulator;
mod properties;

use qwen_shared::net::config::Theme;

use super::Markdown;
use emulator::{Emulator, at, stream};

/// Markdown, and how it looks on 30 columns.
const DRAWN: [(&str, &str); 53] = [
    ("hi", "hi"),
    ("hi\n", "hi"),
    ("# Title\n\ntext", "Title\n\ntext"),
    ("Title\n===\ntext\n\nmore\n---\n", "Title\n\ntext\n\nmore"),
    ("one\n\ntwo\n\n\nthree", "one\n\ntwo\n\nthree"),
    ("a\nb\r\nc\rd", "a\nb\nc\nd"),
    ("hard  \nbreak\\\nagain", "hard\nbreak\nagain"),
    (
        "a **b** *c* `d*` ~~e~~ _f_ g_h_i 2 * 3",
        "a b c d* e f g_h_i 2 * 3",
    ),
    ("not **closed at all", "not **closed at all"),
    ("call *args and **kwargs", "call *args and **kwargs"),
    ("x `a  b` y  z `c\nd`", "x a  b y z c d"),
    ("- a\n- b\n  - c\n\n    d\n- e", "• a\n• b\n  • c\n\n    d\n• e"),
    ("- a\n\n- b\n", "• a\n\n• b"),
    ("3. a\n4. b", "3. a\n4. b"),
    ("1. a\n1. b\n\n   c\n1) d", "1. a\n2. b\n\n   c\n\n1. d"),
    ("- [ ] a\n- [x] b", "• [ ] a\n• [x] b"),
    ("-\n- a\n-", "•\n• a\n•"),
    ("- - a\n  - b", "• • a\n  • b"),
    ("> quoted\n> more\nlazy\n\n> x", "│ quoted\n│ more\n│ lazy\n\n│ x"),
    ("> a\n>\n> - b\n> - c", "│ a\n│\n│ • b\n│ • c"),
    (
        "```rust\nfn a() {\n\n    b  c\n}\n```\nafter",
        "rust\nfn a() {\n\n    b  c\n}\n\nafter",
    ),
    ("- ```sh\n  ls\n    -l\n  ```\n- y", "• sh\nls\n  -l\n\n• y"),
    ("1. x\n   ```\n   code\n   ```\n2. y", "1. x\n\ncode\n\n2. y"),
    ("```\nopen", "open"),
    ("~~~~\n```\n~~~~\nx", "```\n\nx"),
    ("x\n\n    a\n\n    b\n\nc", "x\n\na\n\nb\n\nc"),
    ("text\n    more", "text\nmore"),
    (
        "[text](http://x) <http://y> [1] [z]\n[a](/b \"c\") ![i](j)",
        "text (http://x) http://y [1]\n[z]\na (/b \"c\") i (j)",
    ),
    (
        "| a | bb |\n|---|---:|\n| 1 | 2 |\n| long | 3 |\n\nx",
        "a    │ bb\n─────┼───\n1    │  2\nlong │  3\n\nx",
    ),
    (
        "See:\n| a |\n|---|\n| `b\\|c` | d |",
        "See:\n\na   │\n────┼──\nb|c │ d",
    ),
    (
        "a | b\n:-: | -\nlong | x<br>y",
        " a   │ b\n─────┼──\nlong │ x\n     │ y",
    ),
    (
        "| a | b |\n|---|---|\n| one two three | four five six seven |",
        "a             │ b\n──────────────┼───────────────\none two three │ four five six\n              │ seven",
    ),
    (
        "|name|what|why|\n|-|-|-|\n|a long name|of something|which is there|\n|b||c|",
        "name: a long name\nwhat: of something\nwhy: which is there\n────────────────\nname: b\nwhat:\nwhy: c",
    ),
    ("| a | b |\n| - |\n", "| a | b |\n| - |"),
    (
        "See [a][1].\n\n[1]: https://a.example\n[2]: <https://b.example> \"B\"\n\nx",
        "See [a][1].\n\n[1]: https://a.example\n[2]: https://b.example \"B\"\n\nx",
    ),
    (
        "---\n\nx\n***",
        "──────────────────────────────\n\nx\n\n──────────────────────────────",
    ),
    (
        "one two three four five six seven eight",
        "one two three four five six\nseven eight",
    ),
    (
        "- one two three four five six seven eight",
        "• one two three four five six\n  seven eight",
    ),
    (
        "漢字漢字漢字漢字漢字漢字漢字漢字。漢字",
        "漢字漢字漢字漢字漢字漢字漢字漢\n字。漢字",
    ),
    (
        "esc \x1b[2J &#27;[1m \u{202e}x \u{9b}1m",
        "esc ^[[2J ^[[1m <U+202E>x\n<U+009B>1m",
    ),
    ("<b>html</b> &amp; & <br>x", "<b>html</b> & &\nx"),
    ("<div>\n*a*\n\n*b*</div>", "<div>\n*a*\n\nb</div>"),
    ("see [`a/b`](a/b) and [`c`](d)", "see a/b and c (d)"),
    ("$a_1*b_2*c$ and $$x_y_z$$", "$a_1*b_2*c$ and $$x_y_z$$"),
    ("# a #\n## b\n#c\n####### d", "a\n\nb\n\n#c\n####### d"),
    // commonmark/commonmark-spec#650, commonmark/commonmark-spec#839, marktext/marktext#4401.
    (
        "**注意：**这是**“重点”**内容，***全部***。",
        "注意：这是“重点”内容，全部。",
    ),
    (
        "結果は**「成功」。**です*（斜体）*",
        "結果は「成功」。です（斜体）",
    ),
    ("한국어 **강조(bold)**입니다", "한국어 강조(bold)입니다"),
    ("~~「삭제」~~입니다", "「삭제」입니다"),
    (
        "例**\"加粗\"**例 **[链](http://x)**后",
        "例\"加粗\"例 链 (http://x)后",
    ),
    ("「**a**」`**「b」**c`中 **a**中", "「a」**「b」**c中 a中"),
    ("word**\"quoted\"**word", "word**\"quoted\"**word"),
    ("中** a。 **b", "中** a。 **b"),
];

#[test]
fn markdown_is_drawn() {
    for (source, drawn) in DRAWN {
        assert_eq!(stream(source, at(30, 24), usize::MAX).text(), drawn, "{source:?}");
    }
}

#[test]
fn it_is_drawn_the_same_however_it_streams() {
    for (source, _) in DRAWN {
        let whole = stream(source, at(30, 24), usize::MAX);
        assert_eq!(stream(source, at(30, 24), 1), whole, "{source:?}");
        for cut in 0..source.len() {
            let mut emulator = Emulator::new(at(30, 24));
            let (before, after) = source.split_at(source.floor_char_boundary(cut));
            emulator.push(before);
            emulator.push(after);
            assert_eq!(emulator.end(), whole, "{source:?} at {cut}");
        }
    }
}

#[test]
fn a_tab_at_the_edge_of_the_screen_draws_nothing_over_the_last_letter() {
    for length in 20..34 {
        let line = format!("{}\tb\tc", "a".repeat(length));
        let source = format!("```\n{line}\n```\nx");
        let drawn = stream(&source, at(30, 24), 3);
        assert_eq!(drawn, stream(&source, at(30, 24), usize::MAX), "{length}");
        let letters: String = drawn.text().split_whitespace().collect();
        assert_eq!(letters, format!("{}bcx", "a".repeat(length)));
    }
}

#[test]
fn marks_that_are_open_are_thought_of_as_ended() {
    for (text, missing) in [
        ("", ""),
        ("a **b", "**"),
        ("a **b *c", "***"),
        ("a **b** c", ""),
        ("`a * b", "`"),
        ("a `` b ` *c", "``"),
        ("2 * 3 ~ 4 ~~5", "~~"),
        ("\\*a", ""),
        ("**x\ny", ""),
    ] {
        assert_eq!(super::inline::missing(text), missing, "{text}");
    }
}

#[test]
fn what_has_come_is_shown_at_once_but_for_marks() {
    let mut emulator = Emulator::new(at(30, 24));
    let seen: Vec<String> = [
        "Hel", "lo wo", "rld, **", "bold", "**", " x\n", "-", " item\n", "\n", "|", " a |\n", "|--", "-|\n",
        "\n", "``", "`\nco", "de\n", "``",
    ]
    .into_iter()
    .map(|piece| {
        emulator.push(piece);
        emulator
            .rows()
            .text()
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    })
    .collect();
    assert_eq!(
        seen,
        [
            "Hel",
            "Hello wo",
            "Hello world,",
            "Hello world, bold",
            "Hello world, bold",
            "Hello world, bold x",
            "Hello world, bold x",
            "• item",
            "• item",
            "• item",
            "• item",
            "• item",
            "─",
            "─",
            "─",
            "co",
            "code",
            "code",
        ]
    );
}

/// The bytes that draw a text whose size and rows do not matter.
fn drawn(source: &str, theme: Theme) -> String {
    let mut markdown = Markdown::new(|| at(80, 24), theme);
    let mut out = Vec::new();
    for piece in source.split_inclusive(' ') {
        markdown.push(piece, &mut out);
        markdown.draw(&mut out);
    }
    markdown.end(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn code_of_a_known_language_is_coloured_as_the_theme_says() {
    for (source, theme, parts) in [
        (
            "```rust\nlet a = \"b\";\n```",
            Theme::Dark,
            ["\x1b[2mrust", "\x1b[35mlet", "\x1b[32m\"b\""],
        ),
        (
            "```{.rust}\nlet a = 1;\n```",
            Theme::Dark,
            ["{.rust}", "\x1b[35mlet", "\x1b[33m1"],
        ),
        (
            "```rust\nlet a = 1;\n```",
            Theme::Light,
            ["\x1b[2mrust", "\x1b[35mlet", "\x1b[31m1"],
        ),
        // Without colours bold, dim and italic remain.
        (
            "```rust\nlet a; // b\n```",
            Theme::None,
            ["\x1b[2mrust", "let a; ", "\x1b[3m//"],
        ),
        // What a line leaves open holds for the next one.
        (
            "```ts\n/* a\nlet b\n*/ let c\n```",
            Theme::Dark,
            ["\x1b[3;90mlet", "\x1b[3;90m*/", "\x1b[35mlet"],
        ),
        (
            "```no-such\nlet a;\n```",
            Theme::Dark,
            ["\x1b[2mno-such", "\x1b[36mlet", "a;"],
        ),
    ] {
        let drawn = drawn(source, theme);
        for part in parts {
            assert!(drawn.contains(part), "{part:?} in {drawn:?}");
        }
    }
}

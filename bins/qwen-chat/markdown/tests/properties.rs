//! What holds for every text: it is drawn the same however it streams, no word of it is lost, and it is drawn soon.

use std::collections::HashMap;

use qwen_shared::net::config::Theme;

use super::documents::{model, noise, readmes, reports, standards};
use super::emulator::{Emulator, Rows, at, stream};
use crate::markdown::{Markdown, Size};

const TOKENS: [usize; 6] = [1, 2, 3, 5, 8, 13];
const COLUMNS: [usize; 4] = [20, 40, 80, 200];
/// A short run tries them in turn; in a long one the other sizes make cases enough.
const ROWS: [usize; 3] = [24, 10, 50];

/// True where every case is to be tried, which takes minutes.
fn is_long() -> bool {
    std::env::var_os("QWEN_LONG").is_some()
}

/// Of a short run one text in `step`.
fn sample(texts: Vec<String>, step: usize) -> Vec<String> {
    let step = if is_long() { 1 } else { step };
    texts.into_iter().step_by(step).collect()
}

/// Draws texts at every width and token size; in a short run at one of each. What fails is told when all have been tried.
fn holds(name: &str, texts: &[String]) {
    let mut faults = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        for (place, columns) in COLUMNS.into_iter().enumerate() {
            if is_long() || place == number % COLUMNS.len() {
                let rows = ROWS[if is_long() { 0 } else { number % ROWS.len() }];
                let token = number / 4 % TOKENS.len();
                let tokens = if is_long() {
                    &TOKENS[..]
                } else {
                    &TOKENS[token..=token]
                };
                let fault = fault(text, at(columns, rows), tokens);
                faults.extend(fault.map(|fault| format!("{name} {number} {fault}")));
            }
        }
    }
    let heads: Vec<&str> = faults.iter().filter_map(|fault| fault.lines().next()).collect();
    assert!(faults.is_empty(), "{}\n\n{}", heads.join("\n"), faults[0]);
}

/// Returns what goes wrong when a text is drawn in tokens of these sizes.
fn fault(text: &str, size: Size, tokens: &[usize]) -> Option<String> {
    let Size { columns, rows } = size;
    let whole = |text: &str| stream(text, size, usize::MAX);
    let expected = whole(text);
    for &token in tokens {
        if stream(text, size, token) != expected {
            let text = shortest(text, |text| stream(text, size, token) != whole(text));
            let (streamed, whole) = (stream(&text, size, token).text(), whole(&text).text());
            return Some(format!(
                "at {columns} columns and {rows} rows, tokens of {token}:\n{text}\n=== streamed\n{streamed}\n=== whole\n{whole}",
            ));
        }
    }
    lost(text, &expected)?;
    let loses = |text: &str| lost(text, &whole(text));
    let text = shortest(text, |text| loses(text).is_some());
    let (lost, whole) = (loses(&text), whole(&text).text());
    Some(format!(
        "at {columns} columns and {rows} rows loses {lost:?}:\n{text}\n=== drawn\n{whole}"
    ))
}

/// Leaves out the lines of a text without which it fails as well.
fn shortest(text: &str, fails: impl Fn(&str) -> bool) -> String {
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut place = 0;
    while place < lines.len() {
        let line = lines.remove(place);
        if !fails(&lines.concat()) {
            lines.insert(place, line);
            place += 1;
        }
    }
    lines.concat()
}

/// Counts words. A word of a cell may be broken, and one that is wider than the screen is: letters in a row count.
fn words(text: &str) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    let is_word = |c: char| c.is_alphanumeric() && c.is_ascii();
    for word in text.split(|c| !is_word(c)) {
        if word.len() > 1 && word.len() <= 6 && word.chars().any(|c| c.is_ascii_alphabetic()) {
            *words.entry(word.to_owned()).or_default() += 1;
        }
    }
    words
}

/// Returns a letter or a word that is drawn less often than it is written, and how often.
fn lost(source: &str, drawn: &Rows) -> Option<(String, usize, usize)> {
    let plain = visible(source);
    let drawn = drawn.text();
    for letter in 'a'..='z' {
        let (seen, count) = (drawn.matches(letter).count(), plain.matches(letter).count());
        if seen < count {
            return Some((letter.to_string(), seen, count));
        }
    }
    // The words of cells that stand side by side may be broken.
    let is_rule =
        |line: &str| crate::markdown::table::delimiters(line.trim_start_matches([' ', '>'])).is_some();
    if plain.lines().any(is_rule) {
        return None;
    }
    let shown = words(&drawn);
    let squeezed: String = drawn
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '│')
        .collect();
    let seen = |word: &str| {
        shown
            .get(word)
            .copied()
            .unwrap_or(0)
            .max(squeezed.matches(word).count())
    };
    let mut words = words(&plain).into_iter();
    let (word, count) = words.find(|(word, count)| seen(word) < *count)?;
    Some((word.clone(), seen(&word), count))
}

/// Leaves out what stands for something else: entities, breaks, and the address of a link that is its text too.
fn visible(source: &str) -> String {
    let mut plain = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['&', '[', '\\']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_name =
            |name: &str| name.len() < 32 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#');
        let entity = rest[1..]
            .split_once(';')
            .filter(|(name, _)| rest.starts_with('&') && is_name(name));
        let twice = rest[1..]
            .split_once("](")
            .map(|(name, after)| (name.trim_matches('`'), after))
            .filter(|(name, after)| after.starts_with(&format!("{name})")));
        if let Some((_, after)) = entity {
            rest = after;
        } else if let Some((name, after)) =
            twice.filter(|(name, _)| rest.starts_with('[') && !name.contains(['[', '&']))
        {
            plain.push_str(name);
            rest = &after[name.len()..];
        } else {
            rest = &rest[1..];
        }
        plain.push(' ');
    }
    plain.push_str(rest);
    let breaks = ["<br>", "<br/>", "<br />", "<BR>"];
    breaks.iter().fold(plain, |plain, tag| plain.replace(tag, " "))
}

#[test]
fn the_examples_of_the_standards_are_drawn_the_same_however_they_stream() {
    holds("example", &sample(standards(), 6));
}

#[test]
fn what_people_wrote_for_readers_is_drawn_the_same_however_it_streams() {
    holds("README", &sample(readmes(), 40));
}

#[test]
fn what_models_write_is_drawn_the_same_however_it_streams() {
    let texts = (0..2_000).map(model).collect();
    holds("document", &sample(texts, 60));
}

#[test]
fn what_nobody_would_write_is_drawn_the_same_however_it_streams() {
    for seed in 0..if is_long() { 20_000 } else { 300 } {
        let (text, number) = (noise(seed), usize::try_from(seed).unwrap());
        let size = at(20 + number % 100, ROWS[number % ROWS.len()]);
        let (token, whole) = (TOKENS[number % TOKENS.len()], stream(&text, size, usize::MAX));
        let streamed = stream(&text, size, token);
        assert!(
            streamed == whole,
            "{seed} at {size:?}, tokens of {token}: {text:?}\n=== streamed\n{}\n=== whole\n{}",
            streamed.text(),
            whole.text()
        );
    }
}

#[test]
fn what_never_ends_is_not_kept() {
    for (begin, more) in [
        ("| a |\n|---|\n| ", "cell "),
        ("| ", "head "),
        ("# ", "title "),
        ("```", "label "),
        ("```\n", "code "),
        ("<div ", "class=a "),
        ("", "word "),
        ("> - ", "[link](https://example.org/"),
        ("", "`"),
        ("", ">"),
    ] {
        let mut markdown = Markdown::new(|| at(80, 24), Theme::Dark);
        let mut out = Vec::new();
        markdown.push(begin, &mut out);
        for _ in 0..150_000 / more.len() {
            markdown.push(more, &mut out);
        }
        let kept = format!("{markdown:?}").len();
        assert!(kept < 120_000, "{kept} bytes of {begin:?}{more:?}");
        let mut rest = Vec::new();
        markdown.draw(&mut rest);
        assert!(
            rest.len() < 20_000,
            "{} bytes of {begin:?}{more:?} are open",
            rest.len()
        );
    }
}

#[test]
fn what_is_as_tall_as_the_screen_is_drawn_once_and_whole() {
    let address = |length| format!("https://example.org/{}", "path-".repeat(length));
    let badges: String = (5..14)
        .map(|n| format!("[![Badge {n}](\n{})]({})\n", address(n), address(8)))
        .collect();
    let texts = [
        // Addresses that take several of the terminal's rows each.
        badges,
        format!(
            "| a | b |\n|---|---|\n{}",
            format!("| {} | x |\n", address(25)).repeat(4)
        ),
        // Words that are taller than the screen.
        format!("see {} and [this]({}) too", address(400), address(500)),
        format!("> - {}\n>   `{}`", "x".repeat(4_000), "y".repeat(3_000)),
        format!(
            "# {} {}",
            "title of **many** words ".repeat(150),
            "z".repeat(2_000)
        ),
        // What is as wide as eight of its bytes, and a line of nothing but marks.
        format!("a {} b", "\u{202e}\u{9b}\x01".repeat(150)),
        format!("{}x", "*".repeat(3_000)),
        // A sum of money on one line and one on a later line are no formula; nor is what they hold lost.
        model(83),
    ];
    for text in texts {
        for columns in if is_long() { &COLUMNS[..] } else { &[20, 40] } {
            let tokens = if is_long() { &TOKENS[..] } else { &[1, 13] };
            assert_eq!(fault(&text, at(*columns, 24), tokens), None);
        }
    }
}

#[test]
fn what_was_reported_is_drawn_right() {
    for (name, text, expected) in reports() {
        let drawn = stream(&text, at(60, 24), 4).text();
        assert!(
            drawn == expected.trim_end(),
            "{name}\n=== drawn\n{drawn}\n=== expected\n{expected}"
        );
    }
}

#[test]
fn what_was_reported_is_drawn_the_same_however_it_streams() {
    let texts: Vec<String> = reports().into_iter().map(|(_, text, _)| text).collect();
    holds("report", &texts);
}

#[test]
fn a_line_is_on_the_screen_as_soon_as_the_next_one_has_come() {
    let documents = (0..if is_long() { 200 } else { 20 }).map(model);
    for text in documents.chain(reports().into_iter().map(|(_, text, _)| text)) {
        let mut emulator = Emulator::new(at(100, 200));
        let mut lines: Vec<&str> = Vec::new();
        for line in text.split_inclusive('\n').take(60) {
            emulator.push(line);
            if let Some(before) = lines.last().filter(|before| !before.contains('|')) {
                let shown = emulator.rows().text();
                let squeezed: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
                for word in words(&visible(before)).keys() {
                    assert!(
                        squeezed.contains(word),
                        "{word:?} of {before:?} is not shown: {shown}"
                    );
                }
            }
            lines.push(line);
        }
    }
}

#[test]
fn a_new_size_in_the_middle_loses_nothing_and_draws_no_line_twice() {
    for seed in 0..if is_long() { 500 } else { 50 } {
        // vt100 fails where a wide character stands at the edge of what it cuts.
        let text = model(seed).replace(|c: char| c >= '\u{1100}', "x");
        let mut emulator = Emulator::new(at(80, 24));
        let letters: Vec<char> = text.chars().collect();
        for (place, piece) in letters.chunks(7).enumerate() {
            if place % 40 == 39 {
                let columns = [100, 60, 120, 90][place / 40 % 4];
                emulator.resize(at(columns, 24));
            }
            emulator.push(&piece.iter().collect::<String>());
        }
        let drawn = emulator.end();
        // The emulator cuts rows that have become too long, as xterm does; what came later is all there.
        let last = text.trim_end().lines().last().unwrap_or_default().to_owned();
        if !last.contains(['\\', '&', '|', '<']) {
            assert_eq!(lost(&last, &drawn), None, "{text}\n=== drawn\n{}", drawn.text());
        }
    }
}

#[test]
fn what_is_sent_to_the_terminal_grows_with_the_text_alone() {
    let paragraph = "word ".repeat(200);
    let code = format!("```rust\n{}```\n", "let x = \"y\"; // z\n".repeat(50));
    let list = "- item **bold** with `code`\n".repeat(50);
    let table = format!("|a|b|\n|-|-|\n{}\n", "| cell | other cell |\n".repeat(50));
    for part in [paragraph, code, list, table] {
        let sent = |count: usize| {
            let mut emulator = Emulator::new(at(80, 24));
            for piece in part.repeat(count).as_bytes().chunks(4) {
                emulator.push(std::str::from_utf8(piece).unwrap());
            }
            emulator.end();
            emulator.bytes()
        };
        let (one, four) = (sent(2), sent(8));
        assert!(four < 5 * one, "{one} bytes, then {four}: {part}");
    }
}

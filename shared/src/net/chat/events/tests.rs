//! What the reader makes of a stream, whole and cut anywhere.

use super::{AnswerError, EVENT_LIMIT, Event, EventReader};

fn read(pieces: &[&[u8]]) -> Vec<(String, String)> {
    let mut reader = EventReader::default();
    let mut events = Vec::new();
    for piece in pieces {
        reader
            .push(piece, &mut |event: Event<'_>| {
                events.push((event.name.to_owned(), event.data.to_owned()));
                Ok(())
            })
            .unwrap();
    }
    events
}

fn data(bytes: &[u8]) -> Vec<String> {
    read(&[bytes]).into_iter().map(|(_, data)| data).collect()
}

/// Streams and the data of the events in them, by the standard's rules.
fn table() -> Vec<(&'static [u8], Vec<&'static str>)> {
    vec![
        (b"data: a\n\n", vec!["a"]),
        (b"data:a\n\n", vec!["a"]),
        (b"data:  a \n\n", vec![" a "]),
        (b"data: a\r\n\r\n", vec!["a"]),
        (b"data: a\r\rdata: b\r\r", vec!["a", "b"]),
        (b"data: a\r\n\ndata: b\n\r\n", vec!["a", "b"]),
        (b"\xef\xbb\xbfdata: a\n\n", vec!["a"]),
        (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", vec!["b"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", vec!["a"]),
        (b": comment\n\ndata: a\n\n:\n\n", vec!["a"]),
        (b"id: 7\nretry: 10\n\nretry: x\n\ndata: a\n\n", vec!["a"]),
        (
            b"data: one\ndata: two\ndata\ndata: four\n\n",
            vec!["one\ntwo\n\nfour"],
        ),
        (b"data:\n\ndata\n\ndata: a\n\n", vec!["", "", "a"]),
        (b"data:\ndata:\n\n", vec!["\n"]),
        (b"datum: a\nDATA: b\n data: c\ndata : d\n\n", vec![]),
        (b"data: a:b: c\n\n", vec!["a:b: c"]),
        (b"data: cut", vec![]),
        (b"data: cut\n", vec![]),
        (b"data: a\n\ndata: cut\r", vec!["a"]),
        (
            b"data: \xff\xe2\x82 \xf0\x9f\x98\n\n",
            vec!["\u{fffd}\u{fffd} \u{fffd}"],
        ),
        (
            "data: h\u{e9}llo \u{1f389}\n\n".as_bytes(),
            vec!["h\u{e9}llo \u{1f389}"],
        ),
        (b"data: nul\0 esc\x1b\n\n", vec!["nul\0 esc\x1b"]),
        (b"\n\n\r\r\ndata: a\n\n\n\n", vec!["a"]),
        (b"", vec![]),
    ]
}

#[test]
fn streams_are_read_by_the_rules_of_the_standard() {
    for (stream, expected) in table() {
        assert_eq!(data(stream), expected, "{:?}", String::from_utf8_lossy(stream));
    }
}

#[test]
fn the_type_of_an_event_lasts_until_its_end() {
    let events = read(&[b"event: error\nevent: odd\ndata: a\n\ndata: b\n\nevent: lost\n\ndata: c\n\n"]);
    let expected = [("odd", "a"), ("", "b"), ("", "c")];
    let seen: Vec<_> = events
        .iter()
        .map(|(name, data)| (name.as_str(), data.as_str()))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_cut_at_any_byte_changes_nothing() {
    for (stream, expected) in table() {
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                let seen: Vec<_> = read(&pieces).into_iter().map(|(_, data)| data).collect();
                assert_eq!(
                    seen,
                    expected,
                    "{:?} cut at {first}, {second}",
                    String::from_utf8_lossy(stream)
                );
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let seen: Vec<_> = read(&bytes).into_iter().map(|(_, data)| data).collect();
        assert_eq!(seen, expected);
    }
}

/// The standard's algorithm, word for word, on a whole decoded stream.
fn by_the_book(stream: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.pop();
    let (mut events, mut name, mut data) = (Vec::new(), String::new(), String::new());
    for line in lines {
        if line.is_empty() {
            if !data.is_empty() {
                data.pop();
                events.push((name.clone(), data.clone()));
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "event" => value.clone_into(&mut name),
            _ => {}
        }
    }
    events
}

#[test]
fn random_streams_give_what_the_standard_gives_however_they_are_cut() {
    const ATOMS: [&[u8]; 16] = [
        b"data",
        b"data:",
        b"data: ",
        b"event: ",
        b"id:",
        b":",
        b" ",
        b"\n",
        b"\n\n",
        b"\r",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"[1]",
        b"\xc3",
        b"\xa4",
        b"x",
    ];
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut roll = move |sides: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % sides as u64).unwrap()
    };
    for _ in 0..20_000 {
        let mut stream = Vec::new();
        for _ in 0..roll(24) {
            stream.extend_from_slice(ATOMS[roll(ATOMS.len())]);
        }
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest = stream.as_slice();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(1 + roll(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        assert_eq!(
            read(&pieces),
            by_the_book(&stream),
            "{:?}",
            String::from_utf8_lossy(&stream)
        );
    }
}

#[test]
fn a_large_event_comes_whole_and_its_memory_is_given_back() {
    let long = "x".repeat(9 << 20);
    let stream = format!("data: {long}\n\ndata: after\n\n");
    let mut reader = EventReader::default();
    let mut lengths = Vec::new();
    for piece in stream.as_bytes().chunks(50_000) {
        reader
            .push(piece, &mut |event: Event<'_>| {
                lengths.push(event.data.len());
                Ok(())
            })
            .unwrap();
    }
    assert_eq!(lengths, [9 << 20, 5]);
    assert!(reader.line.capacity() + reader.data.capacity() <= 4 * super::KEPT);
}

#[test]
fn an_endless_event_is_refused() {
    let piece = vec![b'x'; 1 << 20];
    let endless = |start: &[u8], line_end: &[u8]| {
        let mut reader = EventReader::default();
        for _ in 0..=(EVENT_LIMIT >> 20) {
            let piece = [start, &piece, line_end].concat();
            reader.push(&piece, &mut |_: Event<'_>| Ok(()))?;
        }
        Ok(())
    };
    assert_eq!(endless(b"", b""), Err(AnswerError::TooLong));
    assert_eq!(endless(b"data: ", b"\n"), Err(AnswerError::TooLong));
    assert_eq!(endless(b"junk: ", b"\n"), Ok(()));
}

//! Input as people have it: in other encodings, packed, and what is no requests at all.
use std::io::Write;

use crate::support::batch::{batch, echo, line, lines, results, text, whole};
use crate::support::{Run, Sandbox, Server};

fn gzip(text: &[u8]) -> Vec<u8> {
    gzip_at(flate2::Compression::fast(), text)
}

fn gzip_at(compression: flate2::Compression, text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), compression);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
    text.encode_utf16()
        .flat_map(|unit| match big_endian {
            true => unit.to_be_bytes(),
            false => unit.to_le_bytes(),
        })
        .collect()
}

/// The answers of a run, sorted.
fn answers(run: &Run) -> Vec<String> {
    let mut answers: Vec<String> = results(&run.text())
        .values()
        .map(|result| text(result).to_owned())
        .collect();
    answers.sort();
    answers
}

#[test]
fn lines_that_end_in_cr_alone_are_lines() {
    for (input, args) in [
        ("q0\rq1\rq2\r".to_owned(), &["--template", "{}"][..]),
        (lines(3).replace('\n', "\r"), &[]),
    ] {
        let (sandbox, server) = (Sandbox::new(), echo());
        let tool = batch(&sandbox, &server).arg("run").args(args).stdin(input);
        let results = results(&tool.run().exits(0).text());
        let answers: Vec<&str> = results.values().map(text).collect();
        assert_eq!(results.len(), 3);
        assert!(["q0", "q1", "q2"].iter().all(|answer| answers.contains(answer)));
    }
}

#[test]
fn an_id_that_is_a_number_is_the_text_that_it_is_written_as() {
    // As numbers the first two are the same.
    let ids = ["18446744073709551616", "18446744073709551617", "0.10", "7"];
    let input: String = ids
        .iter()
        .map(|id| format!("{{\"id\":{id},\"prompt\":\"x\"}}\n"))
        .collect();
    let (sandbox, server) = (Sandbox::new(), echo());
    let run = batch(&sandbox, &server).arg("run").stdin(input).run().exits(0);
    let names: std::collections::BTreeSet<String> = results(&run.text()).into_keys().collect();
    assert_eq!(names, ids.map(str::to_owned).into());
}

#[test]
fn a_summary_for_programs_tells_of_a_run_that_never_began_too() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    sandbox.write("work/table.csv", "a,b\n1,2\n");
    for (input, code) in [("missing.jsonl", 66), ("table.csv", 65)] {
        let tool = batch(&sandbox, &server).args(["run", input, "-o", "out.jsonl", "--json"]);
        let run = tool.run().exits(code);
        let summary: serde_json::Value = serde_json::from_str(&run.text()).unwrap();
        assert_eq!(
            (&summary["exit"], &summary["done"]),
            (&code.into(), &0.into()),
            "{run:#?}"
        );
    }
}

#[test]
fn text_is_read_in_every_encoding_that_editors_and_packers_write() {
    let json = "{\"prompt\":\"\u{e4}pfel\"}\r\n{\"prompt\":\"\u{1f34e}\"}\r\n";
    let plain = "\u{e4}pfel\n\u{1f34e}\n";
    let marked = |text: &str| format!("\u{feff}{text}");
    let two = [
        gzip(json.split_inclusive('\n').next().unwrap().as_bytes()),
        gzip("{\"prompt\":\"\u{1f34e}\"}".as_bytes()),
    ];
    for (input, args) in [
        (json.as_bytes().to_vec(), &[][..]),
        (marked(json).into_bytes(), &[]),
        (utf16(&marked(json), false), &[]),
        (utf16(&marked(json), true), &[]),
        (utf16(json, false), &[]),
        (gzip(json.as_bytes()), &[]),
        (gzip(&utf16(&marked(json), false)), &[]),
        (gzip(&utf16(&marked(json), true)), &[]),
        (gzip(&utf16(json, true)), &[]),
        (gzip(&marked(json).into_bytes()), &[]),
        (two.concat(), &[]),
        (plain.as_bytes().to_vec(), &["--template", "{}"]),
        (utf16(&marked(plain), false), &["--template", "{}"]),
        (utf16(&marked(plain), true), &["--template", "{}"]),
        (gzip(plain.as_bytes()), &["--template", "{}"]),
        (gzip(&utf16(&marked(plain), true)), &["--template", "{}"]),
        // Files that were put together.
        (
            marked("\u{e4}pfel\n\u{feff}\u{1f34e}\n").into_bytes(),
            &["--template", "{}"],
        ),
    ] {
        let (sandbox, server) = (Sandbox::new(), echo());
        let path = sandbox.write("work/in", &input);
        let file = batch(&sandbox, &server)
            .args(["run", "in"])
            .args(args)
            .run()
            .exits(0);
        assert_eq!(answers(&file), ["\u{e4}pfel", "\u{1f34e}"]);
        // The same from a pipe.
        let pipe = batch(&sandbox, &server)
            .arg("run")
            .args(args)
            .stdin(std::fs::read(path).unwrap());
        assert_eq!(
            results(&pipe.run().exits(0).text()).keys().collect::<Vec<_>>(),
            results(&file.text()).keys().collect::<Vec<_>>()
        );
    }
}

#[test]
fn what_is_no_requests_is_named_at_once_and_nothing_is_asked_or_made() {
    let zip = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
    for (input, args, what) in [
        (b"id,prompt\n1,why\n2,how\n".to_vec(), &[][..], "it is CSV"),
        (
            utf16("\u{feff}id\tprompt\n1\twhy\n", false),
            &[],
            "it is a table with tabs",
        ),
        (
            b"[{\"prompt\":\"x\"},{\"prompt\":\"y\"}]".to_vec(),
            &[],
            "it is one JSON list",
        ),
        (
            b"{\n \"prompt\": \"x\"\n}\n".to_vec(),
            &[],
            "it is JSON over several lines",
        ),
        (
            b"<!DOCTYPE html>\n<html><body>log in</body></html>".to_vec(),
            &[],
            "it is an HTML page",
        ),
        (b"Why is the sky blue?\nHow?\n".to_vec(), &[], "it is plain text"),
        (zip.clone(), &[], "it is a zip archive or an Office document"),
        (
            zip,
            &["--template", "{}"],
            "it is a zip archive or an Office document",
        ),
        (
            b"\x28\xb5\x2f\xfd\x04\x88".to_vec(),
            &[],
            "it is compressed by zstd",
        ),
        (
            b"\xfd7zXZ\0\0".to_vec(),
            &["--template", "{}"],
            "it is compressed by xz",
        ),
        (b"a\0b\n".to_vec(), &["--template", "{}"], "it is binary data"),
        (gzip(b"a,b\n1,2\n"), &[], "it is CSV"),
        (gzip(&utf16("\u{feff}a,b\n1,2\n", true)), &[], "it is CSV"),
        (gzip(&gzip(b"{}\n")), &[], "it is compressed in a form of gzip"),
    ] {
        let (sandbox, server) = (Sandbox::new(), Server::untouched());
        sandbox.write("work/in", &input);
        let tool = batch(&sandbox, &server)
            .args(["run", "in", "-o", "out.jsonl"])
            .args(args);
        tool.run().fails(65, &["'in': not requests in lines", what]);
        assert!(!sandbox.work().join("out.jsonl").exists(), "{what}");
        let pipe = batch(&sandbox, &server).arg("run").args(args).stdin(input);
        pipe.run()
            .fails(65, &["'standard input': not requests in lines", what]);
    }
}

#[test]
fn a_packed_file_that_is_cut_gives_the_lines_that_are_there_and_says_so() {
    let (sandbox, server) = (Sandbox::new(), echo());
    let packed = gzip(lines(5_000).as_bytes());
    sandbox.write("work/in.gz", &packed[..packed.len() - 20]);
    let tool = batch(&sandbox, &server).args(["run", "in.gz", "-o", "out.jsonl", "-j", "64"]);
    tool.run()
        .fails(65, &["'in.gz': the gzip data is damaged or cut"]);
    let there = results(&sandbox.read("work/out.jsonl")).len();
    assert!(there > 4_000, "{there}");
}

#[test]
fn one_line_that_is_a_request_is_enough_for_the_others_to_be_bad_lines() {
    let (sandbox, server) = (Sandbox::new(), echo());
    for first in ["nonsense", "[1]", "id,prompt"] {
        let input = format!("{first}\n{}", line("a", "x"));
        let run = batch(&sandbox, &server).arg("run").stdin(input).run().exits(1);
        assert_eq!(results(&run.text()).len(), 2, "{first}");
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_read_is_not_taken_for_done() {
    // Much longer than what is read ahead when the first question comes.
    let text: String = (0..400)
        .map(|number| line(&format!("q{number}"), &"x".repeat(8_000)))
        .collect();
    let half = text.len() / 2;
    let line_end = text[..half].rfind('\n').unwrap() + 1;
    for (is_packed, length) in [
        (false, line_end),
        (false, line_end + 100),
        (false, 0),
        (true, half),
    ] {
        let sandbox = Sandbox::new();
        let input = match is_packed {
            true => gzip_at(flate2::Compression::none(), text.as_bytes()),
            false => text.clone().into_bytes(),
        };
        let path = sandbox.write("work/in", &input);
        let server = Server::answering(move |number, _| {
            if number == 0 {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(length as u64).unwrap();
            }
            whole("x")
        });
        let tool = batch(&sandbox, &server).args(["run", "in", "-o", "out.jsonl", "-j", "2"]);
        tool.run().fails(
            74,
            &[
                "cannot read 'in': another program has cut it while this run read it",
                "run the same command again",
            ],
        );
        // Half a line is not asked, nor is it a bad one.
        let there = results(&sandbox.read("work/out.jsonl"));
        assert!((1..=200).contains(&there.len()), "{}", there.len());
        assert!(there.values().all(|result| result["error"].is_null()));
    }
}

#[test]
fn half_a_character_of_utf16_is_a_bad_line_and_is_sent_as_nothing_else() {
    let good = "{\"id\":\"a\",\"prompt\":\"\u{1f600}\"}\n";
    for big_endian in [false, true] {
        for (half, args) in [
            (0xd83d_u16, &[][..]),
            (0xde00, &[]),
            (0xd83d, &["--template", "{}"]),
        ] {
            let units = half.to_le_bytes();
            let units = if big_endian { half.to_be_bytes() } else { units };
            let mut input = utf16(
                &format!("\u{feff}{good}{{\"id\":\"b\",\"prompt\":\"x"),
                big_endian,
            );
            input.extend_from_slice(&units);
            input.extend_from_slice(&utf16(
                &format!("y\"}}\n{}", good.replace("\"a\"", "\"c\"")),
                big_endian,
            ));
            let (sandbox, server) = (Sandbox::new(), echo());
            sandbox.write("work/in.jsonl", &input);
            let tool = batch(&sandbox, &server).args(["run", "in.jsonl", "-o", "out.jsonl"]);
            let run = tool.args(args).run().exits(1);
            let out = sandbox.read("work/out.jsonl");
            assert!(
                out.contains("line 2: half a character (a lone surrogate) at byte "),
                "{run:#?} {out}"
            );
            assert!(!out.contains('\u{fffd}'), "{out}");
            assert_eq!(server.count(), 2);
        }
    }
}

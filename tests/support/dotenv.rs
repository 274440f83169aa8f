//! The real npm `dotenv` beside our own reader.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use super::{peers, run};

/// What our reader makes of a file: the last assignment of a name wins.
pub fn canonical_reading(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = qwen_shared::dotenv::decode(bytes);
    qwen_shared::dotenv::Scanner::new(&text)
        .map(|assignment| (assignment.name.to_owned(), assignment.value))
        .collect()
}

/// Node with npm `dotenv`, ready to parse.
#[derive(Debug)]
pub struct Npm(Command);

impl Npm {
    /// `None`, said loudly, when the peer is not installed.
    pub fn start() -> Option<Self> {
        let module = peers::directory().join("node/node_modules/dotenv/package.json");
        let node = peers::command("node");
        if !peers::present("npm dotenv", module.is_file() && node.is_some()) {
            return None;
        }
        let mut command = run::command(node.unwrap());
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/dotenv.mjs"));
        Some(Self(command))
    }

    /// Parses every file, in order.
    pub fn parse(mut self, files: Vec<Vec<u8>>) -> Vec<BTreeMap<String, String>> {
        let mut child = self
            .0
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let count = files.len();
        let writer = std::thread::spawn(move || {
            for file in files {
                writeln!(stdin, "{}", to_base64(&file)).unwrap();
            }
        });
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let parsed: Vec<_> = lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        writer.join().unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(parsed.len(), count, "one answer for every file");
        parsed
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn to_base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { digit as char } else { '=' });
        }
    }
    text
}

pub fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let digit = |c: &u8| ALPHABET.iter().position(|known| known == c).unwrap() as u32;
        let bits = chunk.iter().fold(0, |bits, c| bits << 6 | digit(c)) << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    bytes
}

//! The answers of tests/data/wire: one file a case.
//!
//! Members first, one a line, then a blank line, then the bytes of the body. `seen` says where it was seen, `args` what
//! qwen-chat is called with, `type` the content type (an event stream unless said otherwise), `head` a line of the head
//! that the program is sent instead of the usual one (JSON strings; the body then ends with the connection, unless one of
//! them says that it is chunked), `end` what the connection
//! does after the body (`reset`), or that the server takes back a finish reason (`withdrawn`), `exit` and `stdout` (a JSON string) what comes of it, `stderr` a part of what is said.
//! `@@0.3@@` in a body is a pause of that many seconds.

use std::fs;
use std::path::Path;

#[derive(Clone, Debug, Default)]
pub struct Case {
    pub name: String,
    pub seen: String,
    pub args: Vec<String>,
    pub content_type: String,
    pub head: Vec<String>,
    pub is_reset: bool,
    pub is_withdrawn: bool,
    pub exit: u8,
    pub stdout: String,
    pub stderr: Vec<String>,
    body: Vec<u8>,
}

impl Case {
    /// Reads every case, in the order of their names.
    pub fn all() -> Vec<Self> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wire");
        let mut cases: Vec<Self> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| Self::read(&entry.unwrap().path()))
            .collect();
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        cases
    }

    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let head_end = find(&bytes, b"\n\n").unwrap();
        let mut case = Self {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            content_type: "text/event-stream".to_owned(),
            body: bytes[head_end + 2..].to_vec(),
            ..Self::default()
        };
        for line in std::str::from_utf8(&bytes[..head_end]).unwrap().lines() {
            let (member, value) = line.split_once(':').unwrap();
            let value = value.trim_start().to_owned();
            match member {
                "seen" => case.seen = value,
                "args" => case.args = value.split(' ').map(str::to_owned).collect(),
                "type" => case.content_type = value,
                "head" => case.head.push(serde_json::from_str(&value).unwrap()),
                "end" if value == "reset" => case.is_reset = true,
                "end" if value == "withdrawn" => case.is_withdrawn = true,
                "exit" => case.exit = value.parse().unwrap(),
                "stdout" => case.stdout = serde_json::from_str(&value).unwrap(),
                "stderr" => case.stderr.push(value),
                other => panic!("{}: no member '{other}'", case.name),
            }
        }
        assert!(!case.seen.is_empty(), "{}: where was it seen?", case.name);
        case
    }

    /// The body without its pauses.
    pub fn body(&self) -> Vec<u8> {
        self.parts().into_iter().flat_map(|(_, part)| part).collect()
    }

    /// The parts of the body, each with the seconds that pass before it.
    pub fn parts(&self) -> Vec<(f64, Vec<u8>)> {
        let mut parts = vec![(0.0, Vec::new())];
        let mut rest = self.body.as_slice();
        while let Some(start) = find(rest, b"@@") {
            let end = start + 2 + find(&rest[start + 2..], b"@@").unwrap();
            parts.last_mut().unwrap().1.extend_from_slice(&rest[..start]);
            let seconds = std::str::from_utf8(&rest[start + 2..end]).unwrap();
            parts.push((seconds.parse().unwrap(), Vec::new()));
            rest = &rest[end + 2..];
        }
        parts.last_mut().unwrap().1.extend_from_slice(rest);
        parts
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

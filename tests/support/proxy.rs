//! A qwen-proxy that serves, and a client that sends it bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::run::{LIMIT, Run, Tool, signal};
use super::sandbox::Sandbox;
use super::server::Server;

/// The credential that is lent; it must turn up nowhere but at the server.
pub const KEY: &str = "sk-canary-lent-0123456789abcdef";

/// A qwen-proxy without a command. Dropping it ends it.
pub struct Proxy {
    child: Option<Child>,
    pub variables: Value,
    pub token: String,
    pub port: u16,
}

impl Proxy {
    /// Serves `server` with an API key.
    pub fn start(sandbox: &Sandbox, server: &Server, args: &[&str]) -> Self {
        Self::of(Self::tool(sandbox, &server.url("/v1")).args(args))
    }

    /// The program with a key for an endpoint, about to run.
    pub fn tool(sandbox: &Sandbox, base_url: &str) -> Tool {
        let tool = sandbox.tool("qwen-proxy");
        tool.env("OPENAI_API_KEY", KEY).env("OPENAI_BASE_URL", base_url)
    }

    /// Serves as this tool says.
    #[track_caller]
    pub fn of(tool: Tool) -> Self {
        let mut child = tool.args(["--format", "json"]).start();
        let mut line = Vec::new();
        let mut byte = [0];
        let stdout = child.stdout.as_mut().unwrap();
        while !line.ends_with(b"\n") && stdout.read(&mut byte).unwrap() == 1 {
            line.extend(byte);
        }
        if line.is_empty() {
            let run = Run::wait(child, "qwen-proxy");
            panic!("it does not serve: {run:#?}");
        }
        let variables: Value = serde_json::from_slice(&line).unwrap();
        let base = variables["OPENAI_BASE_URL"]
            .as_str()
            .unwrap_or("http://127.0.0.1:0/v1");
        let port = base
            .rsplit(':')
            .next()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        Self {
            child: Some(child),
            token: variables["OPENAI_API_KEY"].as_str().unwrap().to_owned(),
            variables,
            port,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Ends it, and returns what it said.
    pub fn ends(mut self) -> Run {
        let child = self.child.take().unwrap();
        signal(&child, Signal::TERM);
        Run::wait(child, "qwen-proxy")
    }

    pub fn connect(&self) -> Connection<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Connection::new(stream)
    }

    /// The head of a request with the token.
    pub fn head(&self, method: &str, path: &str, more: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {}\r\n{more}\r\n",
            self.port, self.token
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(self.head("GET", path, ""))
    }

    pub fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.post_with(path, "content-type: application/json\r\n", body)
    }

    pub fn post_with(&self, path: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let more = format!("{headers}content-length: {}\r\n", body.len());
        self.send([self.head("POST", path, &more).as_bytes(), body].concat())
    }

    /// Sends bytes on a connection of their own and reads one answer.
    pub fn send(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut connection = self.connect();
        connection.send(bytes);
        connection.answer()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A client's end of a connection.
pub struct Connection<S> {
    pub stream: S,
    read: Vec<u8>,
}

impl Connection<UnixStream> {
    pub fn socket(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self::new(stream)
    }
}

impl<S: Read + Write> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Writes; that the other end has closed already is no fault of the test.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Reads more; false at the end, or when the connection broke.
    fn more(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => {
                    self.read.extend_from_slice(&bytes[..count]);
                    return true;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("nothing came for {LIMIT:?}")
                }
                Err(_) => return false,
            }
        }
    }

    /// Waits until what was read so far holds a text.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        while !contains(&self.read, text.as_bytes()) {
            assert!(
                self.more(),
                "it ended before {text:?}: {}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    /// Reads one answer. 100 is passed over.
    pub fn answer(&mut self) -> Answer {
        loop {
            let answer = self.any_answer();
            if answer.status != 100 {
                return answer;
            }
        }
    }

    /// Reads one answer, be it 100.
    pub fn any_answer(&mut self) -> Answer {
        let mut answer = self.head_of_answer();
        if answer.status != 0 {
            self.body(&mut answer);
        }
        answer
    }

    /// Reads one answer to HEAD: no content follows.
    pub fn head_of_answer(&mut self) -> Answer {
        while !contains(&self.read, b"\r\n\r\n") {
            if !self.more() {
                return Answer::default();
            }
        }
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Answer {
            status,
            headers,
            ..Answer::default()
        }
    }

    fn body(&mut self, answer: &mut Answer) {
        if answer.header("transfer-encoding").is_some() {
            return self.chunks(answer);
        }
        let none = matches!(answer.status, 100..=199 | 204 | 304);
        let length = answer
            .header("content-length")
            .map(|length| length.parse::<usize>().unwrap());
        let length = if none { Some(0) } else { length };
        while length.is_none_or(|length| self.read.len() < length) {
            if !self.more() {
                break;
            }
        }
        answer.is_whole = length.is_none_or(|length| self.read.len() >= length);
        let length = length.unwrap_or(usize::MAX).min(self.read.len());
        answer.body = self.read.drain(..length).collect();
    }

    fn chunks(&mut self, answer: &mut Answer) {
        loop {
            let Some(end) = self.line_end() else { return };
            let size = String::from_utf8(self.read.drain(..end + 2).collect()).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            while self.read.len() < size + 2 {
                if !self.more() {
                    answer.body.append(&mut self.read);
                    return;
                }
            }
            let chunk: Vec<u8> = self.read.drain(..size + 2).collect();
            answer.body.extend_from_slice(&chunk[..size]);
            answer.chunks += 1;
            if size == 0 {
                answer.is_whole = true;
                return;
            }
        }
    }

    fn line_end(&mut self) -> Option<usize> {
        loop {
            if let Some(end) = self.read.windows(2).position(|two| two == b"\r\n") {
                return Some(end);
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// What was read and not yet taken as an answer.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    /// Waits for the other end to close.
    pub fn is_closed(&mut self) {
        while self.more() {}
    }
}

pub fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted)
}

/// An answer as it came.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// 0 where the connection ended before an answer.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether it came to its end, as its framing has it.
    pub is_whole: bool,
    pub chunks: usize,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an error in OpenAI's form; empty for anything else.
    pub fn code(&self) -> String {
        let error: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        error["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Checks that it is an error of the proxy itself.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) -> &Self {
        let seen = (self.status, self.code(), self.header("x-qwen-proxy"));
        assert_eq!(seen, (status, code.to_owned(), Some("1")), "{}", self.text());
        let error: Value = serde_json::from_slice(&self.body).unwrap();
        assert!(error["error"]["message"].is_string() && error["error"]["type"].is_string());
        assert!(!self.text().contains(KEY), "{}", self.text());
        self
    }
}

/// A server whose connections the test holds itself.
pub struct RawServer {
    pub port: u16,
    connections: Receiver<TcpStream>,
}

impl RawServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, connections) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if tell.send(stream).is_err() {
                    return;
                }
            }
        });
        Self { port, connections }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Waits for the next connection.
    pub fn accept(&self) -> Connection<TcpStream> {
        let stream = self.connections.recv_timeout(LIMIT).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection::new(stream)
    }

    /// The connection that has come meanwhile, if one has.
    pub fn is_called_by(&self) -> Option<Connection<TcpStream>> {
        let stream = self.connections.try_recv().ok()?;
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Some(Connection::new(stream))
    }

    /// True where a connection has come that nobody has taken.
    pub fn is_called(&self) -> bool {
        self.connections.recv_timeout(Duration::from_millis(1)).is_ok()
    }
}

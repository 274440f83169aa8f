//! A loopback HTTP server that answers by script and keeps what it was asked, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::run::LIMIT;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path with query, or the whole URL when the client took this server for a proxy.
    pub target: String,
    /// Header lines in order, names as sent.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// The value of the first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// Holds replies back until it is opened.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let is_open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(is_open, |is_open| !*is_open).unwrap());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(Vec<u8>),
    Gate(Gate),
    Hold,
    Pause(Duration),
    Reset,
    Close,
}

/// What the server does with one request: a list of steps on the raw connection.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    steps: Vec<Step>,
}

impl Reply {
    /// A whole answer with a length; the connection stays open for the next request.
    pub fn new(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, &[("content-type", content_type)], body)
    }

    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        Self::default().send(head).send(body)
    }

    pub fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", body)
    }

    /// An event stream sent in chunked encoding: each part one chunk, then the end.
    pub fn stream<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> Self {
        parts
            .into_iter()
            .fold(Self::stream_head(), |reply, part| reply.chunk(part))
            .send("0\r\n\r\n")
    }

    /// The head of an event stream in chunked encoding; go on with [`Reply::chunk`].
    pub fn stream_head() -> Self {
        Self::default()
            .send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    }

    /// Raw bytes.
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    /// One chunk of a chunked body.
    pub fn chunk(self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        let mut bytes = format!("{:x}\r\n", part.len()).into_bytes();
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
        self.send(bytes)
    }

    /// Goes on when the gate is open.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Gate(gate.clone()));
        self
    }

    /// Time that passes before the next step: for a server whose slowness is what is tested, not for luck.
    pub fn pause(mut self, time: Duration) -> Self {
        self.steps.push(Step::Pause(time));
        self
    }

    /// Goes on with the steps of another reply.
    pub fn then(mut self, next: Self) -> Self {
        self.steps.extend(next.steps);
        self
    }

    /// Says nothing more and keeps the connection open until the server is dropped.
    pub fn hold(mut self) -> Self {
        self.steps.push(Step::Hold);
        self
    }

    /// Ends the connection with a TCP reset.
    pub fn reset(mut self) -> Self {
        self.steps.push(Step::Reset);
        self
    }

    /// Ends the connection in good order.
    pub fn close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }
}

type Handler = dyn Fn(usize, &Request) -> Reply + Send + Sync;

struct Shared {
    handler: Box<Handler>,
    requests: Mutex<Vec<Request>>,
    came: Condvar,
    stopped: Mutex<bool>,
    stop: Condvar,
    quiet: AtomicBool,
}

/// The server. Dropping it ends every connection; it fails the test when nobody called.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: Option<JoinHandle<()>>,
    silent: bool,
    optional: bool,
}

impl Server {
    /// Answers the n-th request with the n-th reply, and the last reply ever after.
    pub fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::answering(move |count, _| replies[count.min(replies.len() - 1)].clone())
    }

    /// Answers by a function of the request's number, from 0, and the request.
    pub fn answering(handler: impl Fn(usize, &Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Box::new(handler),
            requests: Mutex::default(),
            came: Condvar::new(),
            stopped: Mutex::new(false),
            stop: Condvar::new(),
            quiet: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let listening = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.quiet.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self {
            address,
            shared,
            listening: Some(listening),
            silent: false,
            optional: false,
        }
    }

    /// A server that must not be called: being called fails the test.
    pub fn untouched() -> Self {
        let mut server = Self::answering(|_, _| Reply::json(500, "{}"));
        server.silent = true;
        server
    }

    /// Whether it is called is for the test to say.
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Host and port, as messages name it.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// How many requests have come so far.
    pub fn count(&self) -> usize {
        self.shared.requests.lock().unwrap().len()
    }

    /// Waits until that many requests have come.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        let requests = self.shared.requests.lock().unwrap();
        let wait = self
            .shared
            .came
            .wait_timeout_while(requests, LIMIT, |requests| requests.len() < count);
        let came = wait.unwrap().0.len();
        assert!(
            came >= count,
            "{came} requests have come within {LIMIT:?}, not {count}"
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.quiet.store(true, Ordering::SeqCst);
        *self.shared.stopped.lock().unwrap() = true;
        self.shared.stop.notify_all();
        // The port is closed once the thread has ended: what connects after this is refused.
        if TcpStream::connect(self.address).is_ok()
            && let Some(listening) = self.listening.take()
        {
            let _ = listening.join();
        }
        if !thread::panicking() {
            let count = self.requests().len();
            if self.silent {
                assert_eq!(count, 0, "the server was called: {:#?}", self.requests());
            } else if !self.optional {
                assert!(count > 0, "the server was never called");
            }
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader, &mut writer) {
        let count = {
            let mut requests = shared.requests.lock().unwrap();
            requests.push(request.clone());
            shared.came.notify_all();
            requests.len() - 1
        };
        for step in (shared.handler)(count, &request).steps {
            match step {
                Step::Send(bytes) => {
                    if writer.write_all(&bytes).is_err() {
                        return;
                    }
                }
                Step::Gate(gate) => gate.pass(),
                Step::Pause(time) => thread::sleep(time),
                Step::Hold => {
                    let mut stopped = shared.stopped.lock().unwrap();
                    while !*stopped {
                        stopped = shared.stop.wait(stopped).unwrap();
                    }
                    return;
                }
                Step::Close => {
                    let _ = writer.shutdown(Shutdown::Both);
                    return;
                }
                Step::Reset => {
                    let _ = rustix::net::sockopt::set_socket_linger(&writer, Some(Duration::ZERO));
                    return;
                }
            }
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut request = Request {
        method,
        target,
        headers: Vec::new(),
        body: Vec::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if request.header("expect").is_some() {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if let Some(length) = request.header("content-length") {
        request.body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut request.body).ok()?;
    } else if request.header("transfer-encoding").is_some() {
        request.body = read_chunks(reader)?;
    }
    Some(request)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

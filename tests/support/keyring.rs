//! A Secret Service on a private bus: tests/peers/keyring.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use super::peers;
use super::run::{self, Tool};

/// A running bus with a keyring in some state. It ends when this is dropped.
pub struct Keyring {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Keyring {
    /// Starts one: `unlocked`, `locked`, `empty`, `nosvc`, `hang` or `nobus`; `None`, said loudly, where it is not
    /// installed.
    pub fn start(state: &str) -> Option<Self> {
        let commands = ["gnome-keyring-daemon", "dbus-daemon", "secret-tool"];
        let there = commands.iter().all(|name| peers::command(name).is_some());
        if !peers::present("keyring", there) {
            return None;
        }
        let mut child = run::command(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/keyring"))
            .env("KR", state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("listening ")
            .unwrap_or_else(|| panic!("the keyring said {line:?}"));
        let address = address.trim().to_owned();
        Some(Self {
            child,
            stdin,
            stdout,
            address,
        })
    }

    /// Lets a tool reach this bus.
    pub fn given_to(&self, tool: Tool) -> Tool {
        if self.address.is_empty() {
            return tool;
        }
        tool.env("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }

    /// Tells the keyring to `lock` or `unlock` itself, and waits until it has.
    pub fn tell(&mut self, word: &str) {
        writeln!(self.stdin, "{word}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("{word}ed"));
    }

    /// Stores a secret under our service and this user name, as another program would.
    pub fn store(&self, user: &str, secret: &str) {
        let mut child = self
            .secret_tool(&["store", "--label=test"], user)
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The secret under our service and this user name.
    pub fn lookup(&self, user: &str) -> Option<String> {
        let output = self.secret_tool(&["lookup"], user).output().unwrap();
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn secret_tool(&self, words: &[&str], user: &str) -> Command {
        let mut command = run::command("secret-tool");
        command
            .args(words)
            .args(["service", "qwen-toolkit", "username", user])
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }
}

/// A second address of a keyring's bus, whose connections can be broken.
pub struct BusRelay {
    address: String,
    connections: Arc<Mutex<Vec<UnixStream>>>,
}

impl BusRelay {
    /// Listens at a path until the test ends.
    pub fn start(keyring: &Keyring, path: &Path) -> Self {
        let bus = keyring.address.strip_prefix("unix:path=").unwrap();
        let bus = bus.split(',').next().unwrap().to_owned();
        let listener = UnixListener::bind(path).unwrap();
        let connections = Arc::<Mutex<Vec<UnixStream>>>::default();
        let kept = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = UnixStream::connect(&bus).unwrap();
                kept.lock().unwrap().push(client.try_clone().unwrap());
                copy(client.try_clone().unwrap(), server.try_clone().unwrap());
                copy(server, client);
            }
        });
        let address = format!("unix:path={}", path.display());
        Self { address, connections }
    }

    /// Lets a tool reach the bus through this.
    pub fn given_to(&self, tool: Tool) -> Tool {
        tool.env("DBUS_SESSION_BUS_ADDRESS", &self.address)
    }

    /// Breaks every connection; new ones are taken.
    pub fn cut(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: UnixStream, mut to: UnixStream) {
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // Not killed: it has a daemon and a bus to end.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

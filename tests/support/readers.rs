//! The programs that read what `qwen-env` writes, as they are: other readers of `.env` files, docker's client, systemd.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::dotenv::{Npm, to_base64};
use super::{Sandbox, peers, run};

pub type Meaning = BTreeMap<String, String>;

/// A reader of `.env` files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    Npm,
    Dotenvy,
    Python,
    Ruby,
    Go,
    Node,
    Shell(&'static str),
}

/// All of them; the shells are the POSIX shell of Debian and the two of most people.
pub const READERS: [Reader; 9] = [
    Reader::Npm,
    Reader::Dotenvy,
    Reader::Python,
    Reader::Ruby,
    Reader::Go,
    Reader::Node,
    Reader::Shell("dash"),
    Reader::Shell("bash"),
    Reader::Shell("zsh"),
];

fn peer(path: &str) -> PathBuf {
    peers::directory().join(path)
}

fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/readers")).join(name)
}

/// The readers' program with these arguments; `None`, said loudly, where it is not installed.
fn program(what: &str, program: Option<PathBuf>, arguments: &[PathBuf]) -> Option<Command> {
    let there = program.as_ref().is_some_and(|path| path.is_file());
    if !peers::present(what, there) {
        return None;
    }
    let mut command = run::command(program?);
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
    Some(command)
}

impl Reader {
    fn command(self) -> Option<Command> {
        match self {
            Self::Python => program(
                "python-dotenv",
                Some(peer("readers/bin/python")),
                &[script("read.py")],
            ),
            Self::Ruby => program("ruby dotenv", peers::command("ruby"), &[script("read.rb")]),
            Self::Go => program("godotenv", Some(peer("readers/godotenv")), &[]),
            Self::Node => program("node", peers::command("node"), &[script("read.mjs")]),
            Self::Npm | Self::Dotenvy | Self::Shell(_) => None,
        }
    }

    /// What each file means to this reader, `None` where it cannot read it; `None` altogether where it is not installed.
    pub fn read(self, files: &[Vec<u8>]) -> Option<Vec<Option<Meaning>>> {
        match self {
            Self::Npm => Some(
                Npm::start()?
                    .parse(files.to_vec())
                    .into_iter()
                    .map(Some)
                    .collect(),
            ),
            Self::Dotenvy => Some(files.iter().map(|file| dotenvy(file)).collect()),
            Self::Shell(name) => sourced(name, files),
            _ => {
                let lines: String = files.iter().map(|file| to_base64(file) + "\n").collect();
                let texts = lines_of(self.command()?, &lines);
                assert_eq!(texts.len(), files.len(), "{self:?}: one answer for every file");
                Some(
                    texts
                        .iter()
                        .map(|text| serde_json::from_str(text).unwrap())
                        .collect(),
                )
            }
        }
    }

    /// The inputs of this reader's own test suite, and much else that stands there in quotes; `None` where it is not
    /// installed.
    pub fn suite(self) -> Option<Vec<String>> {
        let (mut command, directory) = match self {
            Self::Python => {
                let mut command = self.command()?;
                let program = command.get_program().to_owned();
                command = run::command(program);
                command.arg(script("suite.py"));
                (
                    command,
                    find_directory(&peer("readers"), "python_dotenv-")?.join("tests"),
                )
            }
            Self::Ruby => {
                let mut command = run::command(peers::command("ruby")?);
                command.arg(script("suite.rb"));
                (
                    command,
                    find_directory(&peer("ruby-dotenv"), "ruby-dotenv-")?.join("spec/dotenv"),
                )
            }
            Self::Go => (
                self.command()?,
                PathBuf::from("/usr/share/gocode/src/github.com/joho/godotenv"),
            ),
            _ => return None,
        };
        let names = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let tests = names.filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            ["_test.go", "_spec.rb"].iter().any(|end| name.ends_with(end)) || name.starts_with("test_")
        });
        command.args(tests);
        let texts = lines_of(command, "");
        Some(
            texts
                .iter()
                .map(|text| serde_json::from_str(text).unwrap())
                .collect(),
        )
    }
}

fn find_directory(above: &std::path::Path, prefix: &str) -> Option<PathBuf> {
    let found = std::fs::read_dir(above).ok().and_then(|entries| {
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths.find(|path| path.is_dir() && path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
    });
    peers::present(prefix, found.is_some());
    found
}

fn lines_of(mut command: Command, input: &str) -> Vec<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map(Result::unwrap).collect();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    lines
}

/// As `dotenvy::dotenv` does, in an environment without variables.
fn dotenvy(file: &[u8]) -> Option<Meaning> {
    // The iterator takes what it substitutes from the environment of this process: those names are not used.
    let pairs: Result<Vec<_>, _> = dotenvy::from_read_iter(file).collect();
    let mut meaning = Meaning::new();
    for (name, value) in pairs.ok()? {
        meaning.entry(name).or_insert(value);
    }
    Some(meaning)
}

/// What the variables are after a shell has sourced each file.
fn sourced(shell: &str, files: &[Vec<u8>]) -> Option<Vec<Option<Meaning>>> {
    let sandbox = Sandbox::new();
    for (number, file) in files.iter().enumerate() {
        sandbox.write(format!("work/{number}.env"), file);
    }
    let script = "n=0; while test -e $n.env; do (set -a; . ./$n.env; exec /usr/bin/env -0 >$n.out) || exit; n=$((n+1)); done";
    let path = peers::command(shell)?;
    let mut command = run::command("/usr/bin/env");
    command
        .arg("-i")
        .arg(path)
        .args(["-c", script])
        .current_dir(sandbox.work());
    assert!(command.status().unwrap().success(), "{shell}");
    let own = ["PWD", "OLDPWD", "SHLVL", "_", "n"];
    let is_of_zsh = |name: &str, file: &[u8]| {
        let file = format!("\n{}", String::from_utf8_lossy(file));
        ["HOME", "LOGNAME"].contains(&name) && !file.contains(&format!("\n{name}="))
    };
    let read = |number: usize| {
        let text = std::fs::read(sandbox.work().join(format!("{number}.out"))).unwrap();
        let text = String::from_utf8(text).unwrap();
        let pairs = text.split('\0').filter_map(|line| line.split_once('='));
        pairs
            .filter(|(name, _)| !own.contains(name) && !is_of_zsh(name, &files[number]))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    Some((0..files.len()).map(|number| Some(read(number))).collect())
}

/// What docker's client sends to its daemon for a file: the environment of a container, or its refusal.
pub fn docker(file: &[u8]) -> Option<Result<Meaning, String>> {
    let docker = peers::command("docker");
    if !peers::present("docker's client", docker.is_some()) {
        return None;
    }
    let sandbox = Sandbox::new();
    sandbox.write("work/env", file);
    let socket = sandbox.work().join("docker.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let daemon = std::thread::spawn(move || daemon(&listener));
    let run = sandbox
        .command(docker?)
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .args(["create", "--env-file", "env", "image"])
        .run();
    // The client that refuses a file asks nothing: this ends the daemon.
    let _ = UnixStream::connect(&socket).and_then(|mut stream| stream.write_all(b"END / HTTP/1.1\r\n\r\n"));
    let caught = daemon.join().unwrap();
    Some(caught.ok_or(run.stderr))
}

/// Answers until a container is to be created, or END is asked; returns the container's environment.
fn daemon(listener: &UnixListener) -> Option<Meaning> {
    loop {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        while let Some((line, body)) = request(&mut stream) {
            if line.starts_with("END") {
                return None;
            }
            if line.contains("/containers/create") {
                reply(stream.get_mut(), "500 Caught", "{\"message\":\"caught\"}");
                let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let pairs = json["Env"].as_array().cloned().unwrap_or_default();
                let pairs = pairs
                    .iter()
                    .map(|pair| pair.as_str().unwrap().split_once('=').unwrap());
                return Some(
                    pairs
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                );
            }
            let body = if line.starts_with("HEAD") { "" } else { "OK" };
            reply(stream.get_mut(), "200 OK", body);
        }
    }
}

fn request(stream: &mut BufReader<UnixStream>) -> Option<(String, Vec<u8>)> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|&length| length > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

fn reply(stream: &mut UnixStream, status: &str, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    // The client may be content with the status.
    let _ = stream.write_all((head + body).as_bytes());
}

/// What systemd's own parser makes of a file.
///
/// Without a running systemd the parser can be reached by the generator for environment.d(5). It reads a file as
/// `EnvironmentFile=` does and afterwards expands `$`, which `EnvironmentFile=` does not (systemd.exec(5)): so each `\$` is doubled
/// for it. It prints in C's escapes, and nothing of a variable without a value.
pub fn systemd(file: &str) -> Option<Meaning> {
    const GENERATOR: &str = "/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator";
    if !peers::present("systemd", std::path::Path::new(GENERATOR).is_file()) {
        return None;
    }
    let sandbox = Sandbox::new();
    sandbox.write(
        "home/.config/environment.d/10-test.conf",
        file.replace("\\$", "\\$\\$"),
    );
    let mut command = run::command(GENERATOR);
    command.env_clear().env("HOME", sandbox.home());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let is_of_file = |name: &str| format!("\n{file}").contains(&format!("\n{name}="));
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.filter(|(name, _)| is_of_file(name));
    let mut meaning: Meaning = pairs
        .map(|(name, value)| (name.to_owned(), unescaped(value)))
        .collect();
    for name in file.lines().filter_map(|line| line.strip_suffix("=\"\"")) {
        if qwen_shared::shell::is_shell_name(name) {
            meaning.entry(name.to_owned()).or_default();
        }
    }
    Some(meaning)
}

/// Undoes what systemd prints for a shell: nothing, double quotes with backslashes, or `$'…'`.
fn unescaped(text: &str) -> String {
    let (inner, is_c) = match (text.strip_prefix("$'"), text.strip_prefix('"')) {
        (Some(inner), _) => (inner.strip_suffix('\'').unwrap(), true),
        (_, Some(inner)) => (inner.strip_suffix('"').unwrap(), true),
        _ => (text, false),
    };
    if !is_c {
        return inner.to_owned();
    }
    let (mut bytes, mut chars) = (Vec::new(), inner.bytes());
    while let Some(byte) = chars.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match chars.next().unwrap() {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'x' => {
                let digits = [chars.next().unwrap(), chars.next().unwrap()];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// What GitHub's runner makes of `$GITHUB_ENV`, by its documentation ("Workflow commands", "Setting an environment variable" and
/// "Multiline strings").
pub fn github(file: &str) -> Result<Meaning, String> {
    let mut meaning = Meaning::new();
    let mut lines = file.strip_suffix('\n').unwrap_or(file).split('\n');
    while let Some(line) = lines.next() {
        let (equals, here) = (line.find('='), line.find("<<"));
        match (equals, here) {
            _ if line.is_empty() => {}
            (Some(at), here) if here.is_none_or(|here| at < here) => {
                meaning.insert(line[..at].to_owned(), line[at + 1..].to_owned());
            }
            (_, Some(at)) if at > 0 && line.len() > at + 2 => {
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(next) if next == &line[at + 2..] => break,
                        Some(next) => value.push(next),
                        None => return Err(format!("no delimiter for '{line}'")),
                    }
                }
                meaning.insert(line[..at].to_owned(), value.join("\n"));
            }
            _ => return Err(format!("Invalid format '{line}'")),
        }
    }
    Ok(meaning)
}

/// Lets a shell source each of these files, in a directory of their own; returns what else is there afterwards.
pub fn sourced_by_mistake(shell: &str, files: &[String]) -> Option<Vec<String>> {
    let path = peers::command(shell)?;
    let sandbox = Sandbox::new();
    for (number, file) in files.iter().enumerate() {
        sandbox.write(format!("work/{number}.env"), file);
    }
    let run = match shell {
        "fish" | "tcsh" => {
            let script = format!("for f in *.env; do {shell} -c \"source ./$f\"; done");
            sandbox.command("/bin/dash").args(["-c", &script]).run()
        }
        _ => {
            let script = "for f in *.env; do (. ./$f); done";
            sandbox.command(path).args(["-c", script]).run()
        }
    };
    let names = std::fs::read_dir(sandbox.work())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let names = names.map(|name| name.into_string().unwrap());
    drop(run);
    Some(names.filter(|name| !name.ends_with(".env")).collect())
}

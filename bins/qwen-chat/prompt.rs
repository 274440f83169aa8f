//! The user's message: prompt, standard input, files, images.

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::cannot_read_stdin;
use qwen_shared::input::{self, read_bytes, read_text, utf8};
use qwen_shared::output::Reporter;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::args::{Args, InputArgs};
use super::message::Message;

/// Returns the prompt of the command line, joined by spaces; may be empty.
///
/// # Errors
/// 65 for words that are not UTF-8.
fn prompt(args: &Args) -> Result<String, Failure> {
    let words = args.input.prompt.iter().chain(&args.words);
    let words: Vec<String> = words
        .map(|word| utf8(word.as_bytes().to_vec(), "the prompt"))
        .collect::<Result<_, _>>()?;
    Ok(words.join(" "))
}

/// Builds the user's message from prompt, standard input, files and images.
///
/// # Errors
/// 65 when there is nothing to ask, and for input that is not text; 66, 74 and 75 as for the parts. Nothing has been
/// sent by then.
pub(crate) fn message(args: &Args, reporter: &Reporter) -> Result<Message, Failure> {
    let prompt = prompt(args)?;
    let files = args
        .input
        .file
        .iter()
        .map(|path| Ok((path.as_path(), read_text(path)?)));
    let files: Vec<(&Path, String)> = files.collect::<Result<_, Failure>>()?;
    let images = args.input.image.iter().map(|image| image_url(image));
    let images: Vec<String> = images.collect::<Result<_, _>>()?;
    let has_prompt = !prompt.trim().is_empty() || !files.is_empty() || !images.is_empty();
    let piped = if reads_stdin(&args.input) {
        read_stdin(&args.input, has_prompt, reporter)?
    } else {
        String::new()
    };
    if !has_prompt && piped.trim().is_empty() {
        return Err(Failure::new(
            Exit::Data,
            "nothing to ask: no prompt, and nothing on standard input",
        )
        .hint("run 'qwen-chat WORDS…', or pipe text in"));
    }
    Ok(Message::with_images(join(prompt, piped, &files), images))
}

/// Joins the parts with a blank line between them. Piped input is not changed.
pub(crate) fn join(prompt: String, piped: String, files: &[(&Path, String)]) -> String {
    let mut text = prompt;
    if text.is_empty() {
        text = piped;
    } else if !piped.is_empty() {
        text.push_str("\n\n");
        text.push_str(&piped);
    }
    for (path, content) in files {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        add_file(&mut text, path, content);
    }
    text
}

/// Adds a file in a code fence that its content cannot close.
fn add_file(text: &mut String, path: &Path, content: &str) {
    let longest = content.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    text.push_str(&path.to_string_lossy());
    text.push_str(":\n");
    text.push_str(&fence);
    text.push('\n');
    text.push_str(content);
    if !content.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&fence);
}

/// Returns the URL of an image: a URL unchanged, a file as a `data:` URL.
///
/// # Errors
/// 66 when the file is missing or unreadable; 65 when it is not an image of a kind that models read.
pub(crate) fn image_url(image: &OsStr) -> Result<String, Failure> {
    let is_url = |text: &&str| {
        ["https://", "http://", "data:"].iter().any(|scheme| {
            let start = text.get(..scheme.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
    };
    if let Some(url) = image.to_str().filter(is_url) {
        return Ok(url.to_owned());
    }
    let path = Path::new(image);
    let bytes = read_bytes(path)?;
    let kind = image_type(&bytes).ok_or_else(|| {
        let message = format!("'{}': not a PNG, JPEG, GIF, WebP or BMP image", path.display());
        Failure::new(Exit::Data, message).hint("give a text file with --file")
    })?;
    Ok(format!("data:{kind};base64,{}", STANDARD.encode(&bytes)))
}

/// Detects an image's media type by its first bytes; the name may be wrong.
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    Some(match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "image/webp",
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "image/bmp",
        _ => return None,
    })
}

/// How long a silent pipe is waited for before the user is told. A pipe that was inherited and that nobody closes is
/// the most frequent reason why a tool seems to hang.
const NOTICE_AFTER: Duration = Duration::from_secs(2);

/// True when standard input is read: a pipe, a file or a socket always, a terminal with `--stdin`.
fn reads_stdin(args: &InputArgs) -> bool {
    !args.no_stdin && (args.stdin || !io::stdin().is_terminal())
}

/// Reads standard input to its end, as text. `has_prompt` is true when it is not the only input.
///
/// # Errors
/// 65 for bytes that are not UTF-8, with their offset; 74 for a failed read; 75 when nothing arrived within
/// `--stdin-timeout`.
fn read_stdin(args: &InputArgs, has_prompt: bool, reporter: &Reporter) -> Result<String, Failure> {
    wait_for_first_byte(args.stdin_timeout, has_prompt, reporter)?;
    let stdin = rustix::stdio::stdin();
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(64 << 10);
        match rustix::io::read(stdin, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) if bytes.len() > input::LIMIT => return Err(input::too_large("standard input")),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None);
            }
            Err(errno) => return Err(cannot_read_stdin(&errno.into())),
        }
    }
    utf8(bytes, "standard input")
}

/// Waits for the first byte or the end.
fn wait_for_first_byte(
    timeout: Option<Duration>,
    has_prompt: bool,
    reporter: &Reporter,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut notice = has_prompt.then_some(NOTICE_AFTER);
    loop {
        let elapsed = started.elapsed();
        let next = [timeout, notice].into_iter().flatten().min();
        let stdin = rustix::stdio::stdin();
        let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
        let limit = next.map(|next| timespec(next.saturating_sub(elapsed)));
        match poll(&mut watched, limit.as_ref()) {
            Ok(0) => {}
            // A descriptor that cannot be polled is one that the read below will judge.
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => continue,
            Err(_) => return Ok(()),
        }
        if timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            return Err(stdin_timed_out(timeout.unwrap_or_default()));
        }
        if notice.is_some_and(|notice| started.elapsed() >= notice) {
            notice = None;
            reporter.notice("waiting for standard input to end");
            reporter.hint("give --no-stdin if nothing is piped in");
        }
    }
}

fn stdin_timed_out(timeout: Duration) -> Failure {
    let seconds = timeout.as_secs_f64();
    let message = format!("nothing came on standard input within {seconds} s; nothing was sent");
    Failure::new(Exit::TryAgain, message).hint("give --no-stdin if nothing is piped in")
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(time.subsec_nanos()),
    }
}

//! What is asked: words, standard input, files, images; and what is refused before anything is sent.
use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::support::chat::{answer, chat};
use crate::support::{Sandbox, Server, Tool, wait_until};
use rustix::io::ioctl_fionread;

/// The content of the last message that the server got.
fn content(server: &Server) -> serde_json::Value {
    let body = server.requests().last().unwrap().json();
    body["messages"].as_array().unwrap().last().unwrap()["content"].clone()
}

fn good() -> Server {
    Server::script([answer(&["ok"])])
}

#[track_caller]
fn sends(tool: impl FnOnce(Tool) -> Tool, expected: &str) {
    let (sandbox, server) = (Sandbox::new(), good());
    tool(chat(&sandbox, &server)).run().gives(0, "ok\n", "");
    assert_eq!(content(&server), expected);
}

#[test]
fn the_prompt_is_the_words_joined_by_blanks_and_then_what_is_piped_in() {
    sends(|tool| tool.args(["two", "words"]), "two words");
    sends(
        |tool| tool.args(["-p", "an option", "and words"]),
        "an option and words",
    );
    sends(|tool| tool.args(["--", "-x", "--help"]), "-x --help");
    sends(|tool| tool.args(["-p", "--help -x", "me"]), "--help -x me");
    sends(|tool| tool.args(["-s", "- be brief", "q"]), "q");
    sends(|tool| tool.arg("question").stdin("data\n"), "question\n\ndata\n");
    sends(|tool| tool.stdin("only data\n"), "only data\n");
    sends(|tool| tool.arg("question").stdin(""), "question");
    sends(
        |tool| tool.args(["--no-stdin", "question"]).stdin("ignored"),
        "question",
    );
    sends(
        |tool| tool.args(["--stdin", "question"]).stdin("read"),
        "question\n\nread",
    );
    sends(|tool| tool.args(["h\u{e9}llo \u{1f389}"]), "h\u{e9}llo \u{1f389}");
}

#[test]
fn standard_input_may_be_a_file_a_socket_or_closed() {
    let (sandbox, server) = (Sandbox::new(), good());
    let file = std::fs::File::open(sandbox.write("work/in.txt", "from a file")).unwrap();
    let output = chat(&sandbox, &server)
        .arg("q")
        .into_command()
        .stdin(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(content(&server), "q\n\nfrom a file");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let read = theirs.try_clone().unwrap();
    let writing = thread::spawn(move || {
        let mut ours = ours;
        for part in ["slowly ", "from ", "a socket"] {
            ours.write_all(part.as_bytes()).unwrap();
            wait_until("it was read", || ioctl_fionread(&read).unwrap() == 0);
        }
        ours.shutdown(Shutdown::Write).unwrap();
    });
    let stdin = Stdio::from(OwnedFd::from(theirs));
    let output = chat(&sandbox, &server)
        .arg("q")
        .into_command()
        .stdin(stdin)
        .output()
        .unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(content(&server), "q\n\nslowly from a socket");
    let shell = sandbox
        .command("/bin/sh")
        .args(["-c", "exec qwen-chat q <&-"])
        .env("OPENAI_API_KEY", "sk-x")
        .env("OPENAI_BASE_URL", server.url("/v1"));
    shell.run().gives(0, "ok\n", "");
    assert_eq!(content(&server), "q");
}

#[test]
fn a_pipe_that_nobody_closes_is_waited_for_and_the_user_is_told() {
    let (sandbox, server) = (Sandbox::new(), good());
    let mut child = chat(&sandbox, &server).arg("q").into_command();
    let mut child = child
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut notice = String::new();
    for _ in 0..2 {
        std::io::BufRead::read_line(&mut stderr, &mut notice).unwrap();
    }
    assert_eq!(
        notice,
        "qwen-chat: waiting for standard input to end\nqwen-chat: hint: give --no-stdin if nothing is piped in\n"
    );
    assert!(server.requests().is_empty());
    child.stdin.take().unwrap().write_all(b"late").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(content(&server), "q\n\nlate");
}

#[test]
fn a_silent_pipe_is_given_up_when_asked_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = chat(&sandbox, &server)
        .args(["--stdin-timeout", "0.2", "q"])
        .into_command();
    let output = command.stdin(reader).output().unwrap();
    drop(writer);
    assert_eq!(output.status.code(), Some(75));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "qwen-chat: nothing came on standard input within 0.2 s; nothing was sent\n\
         qwen-chat: hint: give --no-stdin if nothing is piped in\n"
    );
}

#[test]
fn input_that_has_begun_is_read_to_its_end_whatever_the_timeout() {
    let (sandbox, server) = (Sandbox::new(), good());
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut command = chat(&sandbox, &server)
        .args(["--stdin-timeout", "0.2", "q"])
        .into_command();
    writer.write_all(b"first, ").unwrap();
    let read = reader.try_clone().unwrap();
    let child = command.stdin(reader).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("it was read", || ioctl_fionread(&read).unwrap() == 0);
    // The time that is the timeout, and more.
    thread::sleep(Duration::from_millis(500));
    writer.write_all(b"second").unwrap();
    drop((writer, command));
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(content(&server), "q\n\nfirst, second");
}

#[test]
fn nothing_to_ask_is_a_data_error_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let parts = [
        "nothing to ask: no prompt, and nothing on standard input",
        "hint: ",
    ];
    chat(&sandbox, &server).run().fails(65, &parts);
    chat(&sandbox, &server).stdin(" \n\t").run().fails(65, &parts);
    chat(&sandbox, &server).args(["", " "]).run().fails(65, &parts);
    chat(&sandbox, &server)
        .arg("--no-stdin")
        .stdin("data")
        .run()
        .fails(65, &parts);
}

#[test]
fn text_that_is_not_utf8_is_refused_with_its_offset_and_nothing_is_sent() {
    use std::os::unix::ffi::OsStrExt;
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let binary = sandbox.write("work/binary", b"ELF\x7f\xff\xfe");
    let word = std::ffi::OsStr::from_bytes(b"ab\xff");
    for (tool, message) in [
        (
            chat(&sandbox, &server).arg("q").stdin(b"12345\xc3(".to_vec()),
            "standard input: not UTF-8 text: byte 5 ",
        ),
        (
            chat(&sandbox, &server).arg(word),
            "the prompt: not UTF-8 text: byte 2 ",
        ),
        (
            chat(&sandbox, &server).args(["-f", "binary", "q"]),
            "'binary': not UTF-8 text: byte 4 ",
        ),
        (
            chat(&sandbox, &server).args(["-s", "@binary", "q"]),
            "'binary': not UTF-8 text: byte 4 ",
        ),
    ] {
        tool.run().fails(65, &[message, "(counted from 0) is invalid"]);
    }
    assert!(binary.exists());
}

#[test]
fn a_file_that_is_missing_or_unreadable_is_named_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    for (args, message) in [
        (
            ["-f", "nowhere.txt"],
            "cannot read 'nowhere.txt': no such file or directory",
        ),
        (["-f", "."], "cannot read '.': is a directory"),
        (
            ["-i", "nowhere.png"],
            "cannot read 'nowhere.png': no such file or directory",
        ),
        (
            ["-s", "@nowhere"],
            "cannot read 'nowhere': no such file or directory",
        ),
        (
            ["--schema", "nowhere"],
            "cannot read 'nowhere': no such file or directory",
        ),
    ] {
        chat(&sandbox, &server)
            .args(args)
            .arg("q")
            .run()
            .fails(66, &[message]);
    }
}

#[test]
fn a_file_that_no_endpoint_takes_is_refused_and_nothing_is_sent() {
    let (sandbox, server) = (Sandbox::new(), Server::untouched());
    let huge = std::fs::File::create(sandbox.work().join("huge")).unwrap();
    huge.set_len((1 << 30) + 1).unwrap();
    for flag in ["--file", "--image", "--schema"] {
        let tool = chat(&sandbox, &server).args([flag, "huge", "q"]);
        tool.run().fails(65, &["'huge' is larger than 1024 MiB"]);
    }
}

#[test]
fn twenty_megabytes_are_sent_whole() {
    let (sandbox, server) = (Sandbox::new(), good());
    let line = "0123456789 abcdefghijklmnopqrstuvwxyz\n";
    let data = line.repeat(20_000_000 / line.len());
    chat(&sandbox, &server)
        .arg("q")
        .stdin(data.clone())
        .run()
        .gives(0, "ok\n", "");
    assert!(content(&server).as_str().unwrap() == format!("q\n\n{data}"));
}

#[test]
fn files_are_added_with_their_names_in_fences_that_they_cannot_close() {
    let (sandbox, server) = (Sandbox::new(), good());
    sandbox.write("work/a.txt", "alpha\n");
    sandbox.write("work/b.md", "```sh\nls\n```");
    chat(&sandbox, &server)
        .args(["-f", "a.txt", "--file", "b.md", "explain"])
        .stdin("piped")
        .run()
        .gives(0, "ok\n", "");
    assert_eq!(
        content(&server),
        "explain\n\npiped\n\na.txt:\n```\nalpha\n```\n\nb.md:\n````\n```sh\nls\n```\n````"
    );
    chat(&sandbox, &server)
        .args(["-f", "a.txt"])
        .run()
        .gives(0, "ok\n", "");
    assert_eq!(content(&server), "a.txt:\n```\nalpha\n```");
}

#[test]
fn images_go_along_as_data_or_by_their_url() {
    let (sandbox, server) = (Sandbox::new(), good());
    sandbox.write("work/dot", b"\x89PNG\r\n\x1a\nrest");
    chat(&sandbox, &server)
        .args(["-i", "dot", "-i", "HTTPS://example.org/x.jpg", "what is it"])
        .run()
        .gives(0, "ok\n", "");
    assert_eq!(
        content(&server),
        serde_json::json!([
            { "type": "text", "text": "what is it" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgpyZXN0" } },
            { "type": "image_url", "image_url": { "url": "HTTPS://example.org/x.jpg" } },
        ])
    );
    let untouched = Server::untouched();
    sandbox.write("work/notes.png", "just text");
    chat(&sandbox, &untouched)
        .args(["-i", "notes.png", "q"])
        .run()
        .fails(65, &["'notes.png': not a PNG, JPEG, GIF, WebP or BMP image"]);
}

#[test]
fn the_system_prompt_comes_first_from_text_or_file() {
    let (sandbox, server) = (Sandbox::new(), good());
    sandbox.write("work/role.txt", "Be brief.\n");
    for (value, expected) in [("Be kind.", "Be kind."), ("@role.txt", "Be brief.\n")] {
        chat(&sandbox, &server)
            .args(["-s", value, "q"])
            .run()
            .gives(0, "ok\n", "");
        let messages = server.requests().last().unwrap().json()["messages"].clone();
        assert_eq!(
            messages,
            serde_json::json!([{ "role": "system", "content": expected }, { "role": "user", "content": "q" }])
        );
    }
    let endless = std::fs::File::create(sandbox.work().join("endless.txt")).unwrap();
    endless.set_len((1 << 30) + 1).unwrap();
    chat(&sandbox, &Server::untouched())
        .args(["-s", "@endless.txt", "q"])
        .run()
        .gives(65, "", "qwen-chat: 'endless.txt' is larger than 1024 MiB\n");
}

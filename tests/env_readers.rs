//! What `qwen-env` writes for other programs is read back by these programs as it was meant, or refused by name; and a shell
//! that sources it by mistake runs nothing.

use crate::support::Sandbox;
use crate::support::quote::dotenv_line;
use crate::support::random::Random;
use crate::support::readers::{self, Meaning, READERS, Reader};
use crate::support::shells::SPECIAL;

/// Values as people have them: blanks, quotes of all kinds, what shells and readers act on, line ends, nothing, UTF-8.
const VALUES: &[&str] = &[
    "",
    " ",
    "plain",
    "two words",
    "two  blanks",
    " around ",
    "tab\there",
    "it's",
    "say \"hi\"",
    "`id`",
    "it's \"both\"",
    "all 'three' \"kinds\" `here`",
    "'quoted'",
    "\"quoted\"",
    "'",
    "\"",
    "#",
    "# no comment",
    "a#b",
    "a #b",
    "https://h.example/v1#frag",
    "$",
    "$HOME",
    "${HOME}",
    "$(touch pwned)",
    "$(touch pwned) '",
    "pa$$word",
    "$2b$12$abcdefghijklmnopqrstuv",
    "it's $5",
    "\\",
    "C:\\new\\table",
    "\\\\server\\share",
    "trailing\\",
    "a\\'b",
    "\\n",
    "a\\$b",
    "line\nend",
    "\nfirst",
    "last\n",
    "-----BEGIN KEY-----\nMIIB\n-----END KEY-----\n",
    "#\nx",
    ")EOF\n)EOF_",
    "EOF",
    "cr\rhere",
    "cr\r",
    "crlf\r\n",
    "grüße, 你好, 🦀",
    "\u{a0}",
    "\u{feff}x",
    "a\u{2028}b",
    "\u{85}",
    "\u{fffe}",
    "\u{7}bell",
    "\u{1b}[31m",
    "=",
    "=ls",
    "a=b",
    "~",
    "~/x",
    "a:~/x",
    "*",
    "?",
    "[a-z]*",
    "{a,b}",
    "a;touch pwned",
    "a&touch pwned",
    "x touch pwned",
    "touch pwned",
    "|touch pwned",
    ">pwned",
    "<(touch pwned)",
    "!!",
    "!touch",
    "export A=1 B=2",
    "{\"a\": \"it's\", \"b\": [1, 2]}",
    "{\"a\": [1, 2]}",
    "Authorization: Bearer x\nX-Team: y",
    "%PATH%",
    "%%",
    "a,b",
    "; touch pwned",
    "--",
    "-n",
    "<<EOF",
    "a<<b",
];

/// The variables with values that npm's grammar has a line for.
fn given(values: &[&str]) -> Vec<(String, String)> {
    let numbered = values.iter().enumerate();
    let pairs = numbered.map(|(number, value)| (format!("V{number}"), (*value).to_owned()));
    pairs
        .filter(|(name, value)| dotenv_line(name, value).is_some())
        .collect()
}

fn file(variables: &[(String, String)]) -> String {
    let lines = variables
        .iter()
        .map(|(name, value)| dotenv_line(name, value).unwrap() + "\n");
    lines.collect()
}

/// What a form makes of these variables, and which it refuses. Twenty are named in one run.
fn exported(format: &str, given: &[(String, String)]) -> (String, Vec<String>) {
    let refused: Vec<String> = given
        .chunks(20)
        .flat_map(|chunk| export(format, &file(chunk)).1)
        .collect();
    let held: Vec<_> = given
        .iter()
        .filter(|(name, _)| !refused.contains(name))
        .cloned()
        .collect();
    let (text, more) = export(format, &file(&held));
    assert!(more.is_empty(), "{format}: {more:?}");
    (text, refused)
}

/// What `qwen-env --format` makes of a file that is the user's own: the text, and the names that it refuses.
fn export(format: &str, file: &str) -> (String, Vec<String>) {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", file);
    let run = sandbox.tool("qwen-env").args(["--format", format]).run().exits(0);
    let names = run.stderr.lines().filter_map(|line| {
        let name = line.strip_prefix("qwen-env: '")?;
        Some(name.split_once("' is left out: ")?.0.to_owned())
    });
    (run.text(), names.collect())
}

/// Every value is what was meant, or was refused by name.
fn is_read_back(what: &str, given: &[(String, String)], refused: &[String], read: &Meaning) {
    for (name, value) in given {
        let wanted = (!refused.contains(name)).then_some(value);
        assert_eq!(read.get(name), wanted, "{what}: {name} is {value:?}");
    }
    assert_eq!(read.len() + refused.len(), given.len(), "{what}: {read:?}");
}

/// The values that a form refuses, in their order.
fn refused_values<'g>(given: &'g [(String, String)], refused: &[String]) -> Vec<&'g str> {
    let values = given.iter().filter(|(name, _)| refused.contains(name));
    values.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn a_dotenv_file_means_the_same_to_every_reader() {
    let given = given(VALUES);
    let (text, refused) = exported("dotenv", &given);
    for reader in READERS {
        let Some(read) = reader.read(&[text.clone().into_bytes()]) else {
            continue;
        };
        let read = read[0]
            .as_ref()
            .unwrap_or_else(|| panic!("{reader:?} cannot read {text}"));
        is_read_back(&format!("{reader:?}"), &given, &refused, read);
    }
    for value in refused_values(&given, &refused) {
        let is_hard = value.contains(['\n', '\r', '\u{7}', '\u{1b}', '\u{2028}', '\u{feff}', '\u{85}'])
            || value.contains("\\\\")
            || value.contains("${")
            || value.ends_with('\\')
            || value.contains('\'') && value.contains(['"', '$', '`', '\\']);
        assert!(is_hard, "{value:?} is refused");
    }
}

/// A name at a time: one that a shell does not let go ends the file there.
#[test]
fn a_name_that_a_shell_has_for_itself_is_in_no_dotenv_file() {
    let given: Vec<(String, String)> = SPECIAL
        .split_ascii_whitespace()
        .map(|name| (name.to_owned(), "xyz".to_owned()))
        .collect();
    let (text, refused) = exported("dotenv", &given);
    for name in [
        "UID", "GID", "USERNAME", "path", "status", "argv", "cdpath", "options",
    ] {
        assert!(refused.contains(&name.to_owned()), "{name}: {text}");
    }
    for name in ["PS1", "HOST", "user", "hostname", "version", "command", "home"] {
        assert!(text.contains(&format!("{name}=xyz\n")), "{name}: {text}");
    }
    let files: Vec<Vec<u8>> = text
        .lines()
        .map(|line| format!("{line}\nLAST=1\n").into_bytes())
        .collect();
    for shell in ["dash", "bash", "zsh", "ksh93", "mksh", "yash", "posh"] {
        let Some(read) = Reader::Shell(shell).read(&files) else {
            continue;
        };
        for (line, read) in text.lines().zip(read) {
            let (name, read) = (line.strip_suffix("=xyz").unwrap(), read.unwrap());
            // The reader leaves out what every shell has.
            let is_read =
                read.get(name).is_some_and(|value| value == "xyz") || name == "OLDPWD" || name == "PWD";
            assert!(is_read && read.contains_key("LAST"), "{shell}: {line}: {read:?}");
        }
    }
}

#[test]
fn what_docker_reads_is_what_was_meant() {
    let given = given(VALUES);
    let (text, refused) = exported("docker", &given);
    for value in refused_values(&given, &refused) {
        assert!(value.contains(['\n', '\r']), "{value:?} is refused");
    }
    let Some(read) = readers::docker(text.as_bytes()) else {
        return;
    };
    is_read_back("docker", &given, &refused, &read.unwrap());
}

#[test]
fn docker_takes_the_longest_line_and_what_is_longer_is_refused() {
    for (length, is_held) in [(65_531, true), (65_532, true), (65_533, true), (65_534, false)] {
        let value = "x".repeat(length);
        let (text, refused) = export("docker", &format!("A={value}\n"));
        assert_eq!(refused.is_empty(), is_held, "{length}");
        if is_held && let Some(read) = readers::docker(text.as_bytes()) {
            assert_eq!(read.unwrap()["A"], value);
        }
        if !is_held && let Some(read) = readers::docker(format!("A={value}\n").as_bytes()) {
            assert!(read.unwrap_err().contains("too long"));
        }
    }
}

#[test]
fn what_github_reads_is_what_was_meant() {
    let given = given(VALUES);
    let (text, refused) = exported("github", &given);
    for value in refused_values(&given, &refused) {
        assert!(value.contains('\r'), "{value:?} is refused");
    }
    is_read_back("github", &given, &refused, &readers::github(&text).unwrap());
    let (text, refused) = export("github", "NODE_OPTIONS=x\nGITHUB_SHA=y\nrunner_temp=z\na.b=1\n");
    assert_eq!((text.as_str(), refused.len()), ("", 4));
}

#[test]
fn what_systemd_reads_is_what_was_meant() {
    let given = given(VALUES);
    let (text, refused) = exported("systemd", &given);
    for value in refused_values(&given, &refused) {
        let is_hard = value.contains(['\r', '\u{7}', '\u{1b}', '\u{fffe}']);
        assert!(is_hard, "{value:?} is refused");
    }
    if let Some(mut read) = readers::systemd(&text) {
        for (name, _) in given.iter().filter(|(_, value)| value.is_empty()) {
            read.entry(name.clone()).or_default();
        }
        is_read_back("systemd", &given, &refused, &read);
    }
    for shell in ["dash", "bash"] {
        if let Some(read) = Reader::Shell(shell).read(&[text.clone().into_bytes()]) {
            is_read_back(shell, &given, &refused, read[0].as_ref().unwrap());
        }
    }
}

/// A value at a time, so that none hides behind another one; the commands that the values name would make a file or end by a
/// signal that is seen.
#[test]
fn a_shell_that_sources_an_export_by_mistake_runs_nothing() {
    const SHELLS: [&str; 10] = [
        "dash", "bash", "zsh", "ksh93", "mksh", "busybox", "yash", "posh", "fish", "tcsh",
    ];
    let names = ["V", "touch", "GREETING"];
    for format in ["dotenv", "docker", "github", "systemd"] {
        let mut files = Vec::new();
        for value in VALUES
            .iter()
            .filter(|value| value.contains("touch") || value.contains('`'))
        {
            for name in names {
                let lines =
                    dotenv_line("FIRST", "plain").unwrap() + "\n" + &dotenv_line(name, value).unwrap() + "\n";
                files.push(export(format, &lines).0);
            }
        }
        files.push(export(format, &file(&given(VALUES))).0);
        files.push(
            export(
                format,
                "a.b=$(touch pwned)\ntouch-x='touch pwned'\n1='`touch pwned`'\n",
            )
            .0,
        );
        for shell in SHELLS {
            if let Some(made) = readers::sourced_by_mistake(shell, &files) {
                assert!(made.is_empty(), "{shell}: {format}: {made:?}");
            }
        }
    }
    let proof = ["A=x touch pwned\n".to_owned()];
    assert_eq!(
        readers::sourced_by_mistake("dash", &proof),
        Some(vec!["pwned".to_owned()])
    );
}

#[test]
fn what_docker_is_given_without_need_for_a_guard_is_the_lines_alone() {
    let (text, refused) = export("docker", "A=x\nB=https://h.example:8/v1\n");
    assert_eq!(
        (text.as_str(), refused.len()),
        ("A=x\nB=https://h.example:8/v1\n", 0)
    );
}

#[test]
fn a_refusal_says_why_and_which_forms_hold_everything() {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", "PEM='a\nb'\nA=x\n");
    sandbox.tool("qwen-env").args(["--format", "docker"]).run().gives(
        0,
        "A=x\n",
        "qwen-env: 'PEM' is left out: no line of the file can hold a line end\n\
         qwen-env: hint: '--format json' and '--format null' hold every value\n",
    );
}

/// What the generator makes of a few characters, for the forms and for lines in the portable form.
fn random_text(random: &mut Random, pieces: &[&str], most: usize) -> String {
    let count = random.below(most + 1);
    (0..count).map(|_| pieces[random.below(pieces.len())]).collect()
}

const PIECES: &[&str] = &[
    "a", "B", "1", "_", "x y", " ", "  ", "\t", "'", "\"", "`", "\\", "\\\\", "$", "$A", "${A}", "$(b)", "#",
    " #", "=", ":", "~", "*", "?", "[", "]", "{", "}", "(", ")", "|", "&", ";", "<", ">", "!", "^", "%", "@",
    ",", ".", "/", "-", "+", "é", "你", "\u{a0}", "\\n", "\\'", "\\\"", "export ", "EOF", "\n",
];

#[test]
fn two_thousand_generated_values_are_read_back_from_every_form() {
    let mut random = Random::from_environment();
    let values: Vec<String> = (0..2000).map(|_| random_text(&mut random, PIECES, 8)).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let given = given(&values);
    assert!(given.len() > 1000);
    let (text, refused) = exported("dotenv", &given);
    for reader in READERS {
        if let Some(read) = reader.read(&[text.clone().into_bytes()]) {
            is_read_back(
                &format!("{reader:?}"),
                &given,
                &refused,
                read[0].as_ref().unwrap(),
            );
        }
    }
    let (text, refused) = exported("docker", &given);
    if let Some(read) = readers::docker(text.as_bytes()) {
        is_read_back("docker", &given, &refused, &read.unwrap());
    }
    let (text, refused) = exported("github", &given);
    is_read_back("github", &given, &refused, &readers::github(&text).unwrap());
    let (text, refused) = exported("systemd", &given);
    if let Some(mut read) = readers::systemd(&text) {
        for (name, _) in given.iter().filter(|(_, value)| value.is_empty()) {
            read.entry(name.clone()).or_default();
        }
        is_read_back("systemd", &given, &refused, &read);
    }
    let read = Reader::Shell("dash").read(&[text.into_bytes()]).unwrap();
    is_read_back("dash", &given, &refused, read[0].as_ref().unwrap());
}

/// A key that a form cannot hold takes its address with it: a container would send another key there.
#[test]
fn an_address_is_not_written_without_its_key_nor_a_key_without_its_address() {
    let url = "OPENAI_BASE_URL=https://h.example/v1\n";
    for (format, key) in [
        ("docker", "\"a\\nb\"".to_owned()),
        ("dotenv", "\"a\\nb\"".to_owned()),
        ("github", "\"a\\rb\"".to_owned()),
        ("systemd", "\"a\u{1}b\"".to_owned()),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(
            "work/.env",
            format!("OPENAI_API_KEY={key}\n{url}OPENAI_MODEL=m\n"),
        );
        let run = sandbox.tool("qwen-env").args(["--format", format]).run().exits(0);
        let text = run.text();
        assert!(
            text.contains("OPENAI_MODEL") && !text.contains("h.example"),
            "{run:#?}"
        );
        let said = "'OPENAI_BASE_URL' is left out: it goes with 'OPENAI_API_KEY'";
        assert!(run.stderr.contains(said), "{run:#?}");
    }
    let sandbox = Sandbox::new();
    let url = "OPENAI_BASE_URL=\"https://h.example/\\nv1\"\n";
    sandbox.write(
        "home/.env",
        format!("OPENAI_API_KEY=sk-secret\n{url}OPENAI_MODEL=m\n"),
    );
    let run = sandbox
        .tool("qwen-env")
        .args(["--format", "docker"])
        .run()
        .exits(0);
    assert_eq!(run.text(), "OPENAI_MODEL=m\n", "{run:#?}");
}

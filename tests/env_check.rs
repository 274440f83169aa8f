//! `qwen-env --check`: a second opinion on every line, by what other readers really make of it.

use crate::support::random::Random;
use crate::support::readers::{self, Meaning, READERS, Reader};
use crate::support::{Run, Sandbox};

/// Checks a file that only its owner has rights to.
fn check(file: &[u8]) -> (Sandbox, Run) {
    let sandbox = Sandbox::new();
    sandbox.write("home/.env", file);
    let run = sandbox.tool("qwen-env").arg("--check").run();
    (sandbox, run)
}

/// Every string of the suite that a reader takes otherwise than npm is reported; returns how many there were.
fn differences_are_reported(reader: Reader) -> usize {
    let (Some(inputs), Some(npm)) = (reader.suite(), Reader::Npm.read(&[])) else {
        return usize::MAX;
    };
    assert!(npm.is_empty());
    let files: Vec<Vec<u8>> = inputs.into_iter().map(String::into_bytes).collect();
    let (Some(npm), Some(theirs)) = (Reader::Npm.read(&files), reader.read(&files)) else {
        return usize::MAX;
    };
    let mut count = 0;
    for ((file, npm), theirs) in files.iter().zip(npm).zip(theirs) {
        if npm != theirs {
            count += 1;
            let run = check(file).1;
            let text = String::from_utf8_lossy(file);
            assert_eq!(
                run.code(),
                65,
                "{reader:?}: {text:?}: {npm:?}, {theirs:?}\n{}",
                run.text()
            );
            assert!(!run.text().is_empty(), "{text:?}");
        }
    }
    count
}

#[test]
fn all_that_python_dotenv_tests_and_reads_otherwise_is_reported() {
    let count = differences_are_reported(Reader::Python);
    assert!(count > 20, "{count}");
}

#[test]
fn all_that_ruby_dotenv_tests_and_reads_otherwise_is_reported() {
    let count = differences_are_reported(Reader::Ruby);
    assert!(count > 10, "{count}");
}

#[test]
fn all_that_godotenv_tests_and_reads_otherwise_is_reported() {
    let count = differences_are_reported(Reader::Go);
    assert!(count > 20, "{count}");
}

/// Files put together of pieces that are in the grammar's alphabet and just outside of it.
fn generated(random: &mut Random) -> String {
    const PIECES: &[&str] = &[
        "x",
        "y z",
        " ",
        "\t",
        "'",
        "\"",
        "'a b'",
        "\"it's\"",
        "''",
        "\"\"",
        "`",
        "\\",
        "\\\\",
        "\\n",
        "$",
        "$A",
        "${A}",
        "#",
        " #",
        " # said",
        "=",
        ":",
        "~",
        "*",
        "!",
        "é",
        "http://h/",
        "%20",
        "@",
        ",",
        "\u{a0}",
    ];
    let mut file = String::new();
    for _ in 0..=random.below(3) {
        match random.below(8) {
            0 => file.push_str("# it's \"a\" comment `with` $(all)\n"),
            1 => file.push_str(" \t\n"),
            _ => {
                file.push_str(["", "", "", "export ", "  ", "export\t"][random.below(6)]);
                file.push_str(["A", "B_1", "_c", "D"][random.below(4)]);
                file.push_str(["=", "=", "=", "=", " = ", ": "][random.below(6)]);
                for _ in 0..random.below(4) {
                    file.push_str(PIECES[random.below(PIECES.len())]);
                }
                file.push('\n');
            }
        }
    }
    file
}

/// What `--check` has nothing to say about means the same to everybody: the grammar of qwen-env(5) is sound.
#[test]
fn what_passes_the_check_is_read_alike_by_every_reader() {
    let mut random = Random::from_environment();
    let sandbox = Sandbox::new();
    let mut files: Vec<Vec<u8>> = Vec::new();
    for _ in 0..4000 {
        let file = generated(&mut random);
        sandbox.write("home/.env", &file);
        if sandbox.tool("qwen-env").arg("--check").run().code() == 0 {
            files.push(file.into_bytes());
        }
    }
    assert!(files.len() > 300, "{} files pass", files.len());
    let wanted: Vec<Meaning> = files
        .iter()
        .map(|file| crate::support::dotenv::canonical_reading(file))
        .collect();
    for reader in READERS {
        let Some(read) = reader.read(&files) else { continue };
        for ((file, wanted), read) in files.iter().zip(&wanted).zip(read) {
            assert_eq!(
                read.as_ref(),
                Some(wanted),
                "{reader:?}: {:?}",
                String::from_utf8_lossy(file)
            );
        }
    }
}

/// What Node's own reader is the only one to take otherwise (nodejs/node's parser of .env files).
#[test]
fn a_blank_that_only_node_trips_over_is_told() {
    const TAB: &str = "has a tab outside of quotes";
    const SPACE: &str =
        "begins with a space, by which 'node --env-file' takes the line for a part of the next name";
    for (file, line, told) in [
        ("A=1\n\tB=2\n", 2, TAB),
        ("A=1\n\t\nB=2\n", 2, TAB),
        ("A=1\nB=2\t\nC=3\n", 2, TAB),
        ("A=1\t# one\n", 1, TAB),
        ("A=\t\nB=1\n", 1, TAB),
        ("A=1\n\t# one\nB=2\n", 2, TAB),
        ("export\tA=1\n", 1, TAB),
        ("A=1\n \nB=2\n", 2, SPACE),
        ("A=1\n  # two\nB=2\n", 2, SPACE),
        ("export  A=1\n", 1, "has two spaces behind 'export'"),
        ("B=1\nexport A=\n", 2, "has 'export' and an empty value"),
        ("export A= \n", 1, "has 'export' and an empty value"),
        ("A= \nB=1\n", 1, "has a space for its value"),
        ("B=1\nexport A=  \n\nC=1\n", 2, "has a space for its value"),
    ] {
        let run = check(file.as_bytes()).1;
        assert_eq!(run.code(), 65, "{file:?}: {run:#?}");
        assert!(
            run.text().contains(&format!(".env:{line}: {told}")),
            "{file:?}: {run:#?}"
        );
    }
    for file in [
        "A='a\tb'\nB=\"\t\"\n",
        "# a\tb\nA=1 # x\ty\n",
        " \n  # first\n  A=1\n \n  # last\n",
        "A=1\n# last\n\n# of all",
        "A='1'\n# last\n",
        "A=\n# last\n",
        "A=\nB=1\n",
        "export A=''\nexport B=\"\"\nC=1\n",
    ] {
        check(file.as_bytes()).1.gives(0, "", "");
    }
}

#[test]
fn a_line_outside_the_form_is_told_with_what_npm_and_dotenvy_make_of_it() {
    for (line, told) in [
        (
            "A=$B",
            "not portable: others expand '$', and '${' even in single quotes; npm dotenv reads '***', dotenvy reads an empty value",
        ),
        (
            "A=\"two\nlines\"",
            "not portable: quotes do not enclose the whole value on one line; npm dotenv reads '***', dotenvy reads the same",
        ),
        (
            "A = x",
            "not portable: a shell takes the blank at its name or '=' for the end of a word; npm dotenv reads '***', dotenvy reads the same",
        ),
        (
            "A=http://h.example/a#b",
            "not portable: others find its comment elsewhere, or none; npm dotenv reads 'http://h.example/a', dotenvy reads 'http://h.example/a#***'",
        ),
        (
            "export A=1 B=2",
            "not portable: a shell ends the value at a blank: put it in single quotes; npm dotenv reads '***', dotenvy cannot read it",
        ),
        (
            "A=x'y'z",
            "not portable: quotes do not enclose the whole value on one line; npm dotenv reads '***', dotenvy reads '***'",
        ),
        (
            "A=\"C:\\new\"",
            "not portable: others take '\\' for an escape; npm dotenv reads '***', dotenvy reads the same",
        ),
        (
            "UID=5",
            "not portable: a POSIX shell reserves its name; npm dotenv reads '***', dotenvy reads the same",
        ),
    ] {
        let (sandbox, run) = check(format!("{line}\n").as_bytes());
        let name = line
            .trim_start_matches("export ")
            .split(['=', ' '])
            .next()
            .unwrap();
        let wanted = format!("{}:1: '{name}': {told}", sandbox.home().join(".env").display());
        assert!(
            run.text().lines().any(|line| line == wanted),
            "{wanted}\n{}",
            run.text()
        );
        assert_eq!(run.code(), 65);
    }
}

#[test]
fn what_stands_for_a_secret_is_told() {
    for (line, told) in [
        (
            "A='op://vault/item/field'",
            "is a reference 'op://…' that 1Password resolves and nothing here does",
        ),
        (
            "A='encrypted:BDxyz'",
            "is a reference 'encrypted:…' that dotenvx resolves and nothing here does",
        ),
        (
            "A=\"Bearer op://v/i/f\"",
            "is a reference 'op://…' that 1Password resolves and nothing here does",
        ),
        (
            "A=vault:secret/data/x",
            "is a reference 'vault:…' that a Vault injector resolves and nothing here does",
        ),
        (
            "A=https://${HOST}/v1",
            "refers to another variable by '$', which nothing here expands",
        ),
        (
            "A=$(pass show x)",
            "holds a command in '$(…)' or backquotes, which nothing here runs",
        ),
        ("A='your-api-key-here'", "is a placeholder"),
        ("A='<YOUR KEY>'", "is a placeholder"),
        ("A=sk-xxxxxxxxxxxx", "is a placeholder"),
    ] {
        let (sandbox, run) = check(format!("{line}\n").as_bytes());
        let wanted = format!("{}:1: 'A' {told}", sandbox.home().join(".env").display());
        assert!(
            run.text().lines().any(|line| line == wanted),
            "{wanted}\n{}",
            run.text()
        );
    }
    for line in ["A='$HOME is meant'", "A=none", "A=sk-proj-abc123", "A='100%'"] {
        check(format!("{line}\n").as_bytes()).1.gives(0, "", "");
    }
}

#[test]
fn a_key_with_what_stood_around_it_is_told_with_the_remedy() {
    for (line, told) in [
        (
            "OPENAI_API_KEY=\"Bearer sk-1\"",
            "no key begins with 'Bearer'; give what follows it",
        ),
        (
            "X_API_KEY='Basic c2stMQ=='",
            "no key begins with 'Basic'; give what follows it",
        ),
        (
            "X_API_KEY='ApiKey sk-1'",
            "no key begins with 'ApiKey'; give what follows it",
        ),
        (
            "OPENAI_API_KEY='\"sk-1\"'",
            "no key begins with a quote, or ends with one; give it without its quotes",
        ),
        (
            "OPENAI_API_KEY='export OPENAI_API_KEY=sk-1'",
            "no key begins with the name of a variable; give what follows the name",
        ),
        (
            "DASHSCOPE_API_KEY='Authorization: Bearer sk-1'",
            "no key begins with 'Authorization:'; give what follows it",
        ),
        (
            "OPENAI_API_KEY='curl https://h.example/v1 -H \"Authorization: Bearer sk-1\"'",
            "no key is a command; give the key that stands in it",
        ),
        (
            "OPENAI_API_KEY='sk-\u{200b}1'",
            "the key holds U+200B, which no key does; copy it again from where it was made",
        ),
        (
            "OPENAI_API_KEY='sk\u{a0}1'",
            "the key holds U+00A0, which no key does; copy it again from where it was made",
        ),
        (
            "OPENAI_API_KEY='sk-1 sk-2'",
            "the key holds a blank, and a key is one word; see what was copied with it",
        ),
        (
            "OPENAI_API_KEY=' sk-1'",
            "there are blanks around the key, which clients send along; take them away",
        ),
        (
            "OPENAI_MODEL='gpt-4o\u{200b}'",
            "it holds U+200B, which comes along unseen; write it anew",
        ),
    ] {
        let (sandbox, run) = check(format!("# first\n{line}\n").as_bytes());
        let name = line.split('=').next().unwrap();
        let wanted = format!("{}:2: '{name}': {told}", sandbox.home().join(".env").display());
        assert!(
            run.text().lines().any(|line| line == wanted),
            "{wanted}\n{}",
            run.text()
        );
        assert!(run.code() == 65 && !run.text().contains("sk-"), "{run:#?}");
    }
}

#[test]
fn what_is_unusual_about_the_file_as_a_whole_is_told() {
    for (file, told) in [
        (
            &b"\xef\xbb\xbfA=1\n"[..],
            "begins with a byte order mark: to a shell it is part of the first name",
        ),
        (
            b"A=1\r\nB=2\r\n",
            "has carriage returns: a shell keeps them in the values",
        ),
        (
            b"A='\xff'\n",
            "is not UTF-8: npm dotenv reads U+FFFD, others cannot read it",
        ),
    ] {
        let (sandbox, run) = check(file);
        let wanted = format!("{}: {told}", sandbox.home().join(".env").display());
        assert!(
            run.text().lines().any(|line| line == wanted),
            "{wanted}\n{}",
            run.text()
        );
    }
    let (_, run) = check("\u{a0}\nA=1\n".as_bytes());
    assert!(
        run.text()
            .contains(":1: has a blank that a shell takes for a command"),
        "{run:#?}"
    );
}

/// Files that people reported, each with what the check says of it.
fn seen() -> Vec<(String, String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/env/seen");
    let rows = include_str!("data/env/seen.tsv")
        .lines()
        .filter(|row| !row.starts_with('#'));
    rows.map(|row| {
        let fields: Vec<&str> = row.split('\t').collect();
        let file = std::fs::read(format!("{folder}/{}.env", fields[0])).unwrap();
        (fields[0].to_owned(), fields[2].to_owned(), file)
    })
    .collect()
}

#[test]
fn what_people_wrote_is_read_as_npm_reads_it_and_told_where_others_read_it_otherwise() {
    let seen = seen();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/env/seen");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), seen.len());
    let files: Vec<Vec<u8>> = seen.iter().map(|(_, _, file)| file.clone()).collect();
    let npm = Reader::Npm.read(&files);
    for (number, (name, told, file)) in seen.iter().enumerate() {
        let ours = crate::support::dotenv::canonical_reading(file);
        if let Some(npm) = &npm {
            assert_eq!(npm[number].as_ref(), Some(&ours), "{name}");
        }
        let run = check(file).1;
        let text = run.text();
        assert_eq!(run.code(), if told.is_empty() { 0 } else { 65 }, "{name}: {text}");
        assert!(text.contains(told), "{name}: {told}\n{text}");
    }
}

/// What somebody wrote comes out of each form as it went in, or is named.
#[test]
fn what_people_wrote_leaves_in_every_form_as_it_came() {
    for (name, _, file) in seen() {
        let ours = crate::support::dotenv::canonical_reading(&file);
        let sandbox = Sandbox::new();
        sandbox.write("home/.env", &file);
        for form in ["dotenv", "docker", "github", "systemd"] {
            let run = sandbox.tool("qwen-env").args(["--format", form]).run().exits(0);
            let read = match form {
                "docker" => readers::docker(run.text().as_bytes()).map(Result::unwrap),
                "github" => Some(readers::github(&run.text()).unwrap()),
                "systemd" => readers::systemd(&run.text()),
                _ => Reader::Python
                    .read(std::slice::from_ref(&run.stdout))
                    .and_then(|read| read[0].clone()),
            };
            let Some(read) = read else { continue };
            for (variable, value) in &ours {
                let is_refused = run.stderr.contains(&format!("'{variable}' is left out: "));
                assert_eq!(
                    read.get(variable),
                    (!is_refused).then_some(value),
                    "{name}: {form}: {variable}"
                );
            }
        }
    }
}

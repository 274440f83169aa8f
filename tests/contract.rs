//! Lists are proven, not kept: the tools, their help, their pages and their completions say the same.
#[path = "../bins/qwen/commands.rs"]
mod commands;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::support::Sandbox;
use crate::support::page::Page;
use crate::support::tree::{built, names_in, read, root, sources};
use commands::TOOLS;
use qwen_shared::exit::Exit;

/// The files that register the programs with a shell.
const REGISTRATIONS: [&str; 6] = [
    "bash/qwen.bash",
    "elvish/qwen.elv",
    "fish/qwen.fish",
    "nushell/qwen.nu",
    "powershell/qwen.ps1",
    "zsh/_qwen",
];

/// What `NAME [SUBCOMMAND] --help` prints.
pub fn help(name: &str, subcommand: &[&str]) -> String {
    let sandbox = Sandbox::new();
    let tool = sandbox.tool(name).args(subcommand).arg("--help");
    tool.env_remove("HOME").run().exits(0).text()
}

/// The jobs of a tool that has some, as its help lists them.
pub fn subcommands(name: &str) -> Vec<String> {
    let text = help(name, &[]);
    let listed = text
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .map_while(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty());
    listed.map(str::to_owned).collect()
}

/// The options of a tool and its subcommands by their heads, without brackets (`-C, --directory DIR`), with the values
/// that they have when they are not given.
fn options_in_help(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut texts = vec![help(name, &[])];
    texts.extend(subcommands(name).iter().map(|job| help(name, &[job])));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut head = String::new();
    for line in texts.iter().flat_map(|text| text.lines()).map(str::trim_start) {
        if line.starts_with('-') && !line.starts_with("- ") {
            let bare = line.split("  ").next().unwrap().replace(['<', '>', '[', ']'], "");
            head = bare.trim_end_matches("...").to_owned();
            found.entry(head.clone()).or_default();
        }
        if let Some((_, rest)) = line.split_once("[default: ")
            && let Some(values) = found.get_mut(&head)
        {
            values.insert(rest.trim_end_matches(']').to_owned());
        }
    }
    found
}

fn words(text: &str) -> Vec<&str> {
    text.split(|c: char| !c.is_alphanumeric()).collect()
}

/// Every flag of every tool, as typed.
fn flags() -> BTreeSet<String> {
    built()
        .iter()
        .flat_map(|name| options_in_help(name).into_keys())
        .flat_map(|head| {
            head.split(' ')
                .map(|word| word.trim_end_matches(',').to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|word| word.starts_with('-'))
        .collect()
}

/// The words of a text that look like long options.
fn long_flags(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let rest = &text[at..];
        let word = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        let stands_alone = text[..at]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '-');
        if stands_alone && word.len() > 3 && !word.starts_with("---") {
            found.insert(word.trim_end_matches('-').to_owned());
        }
    }
    found
}

#[test]
fn every_program_has_a_place_a_row_a_page_and_a_test() {
    let built = built();
    let rows: BTreeSet<String> = TOOLS.iter().map(|tool| format!("qwen-{}", tool.name)).collect();
    assert_eq!(rows.len(), TOOLS.len());
    let programs: BTreeSet<String> = built.iter().filter(|name| *name != "qwen").cloned().collect();
    assert_eq!(
        rows, programs,
        "rows of bins/qwen/commands.rs and [[bin]] in Cargo.toml"
    );
    let places: BTreeSet<String> = names_in("bins")
        .into_iter()
        .filter(|name| !name.contains('.'))
        .collect();
    assert_eq!(places, built, "directories in bins and [[bin]] in Cargo.toml");
    let pages: BTreeSet<String> = names_in("man")
        .iter()
        .filter_map(|name| name.strip_suffix(".1").map(str::to_owned))
        .collect();
    assert_eq!(pages, built, "pages in man and [[bin]] in Cargo.toml");
    let tests = names_in("tests");
    for name in &built {
        let noun = name.trim_start_matches("qwen-");
        let is_its = |file: &String| file.starts_with(&format!("{noun}_")) || *file == format!("{noun}.rs");
        assert!(tests.iter().any(is_its), "no tests/{noun}.rs");
    }
}

#[test]
fn a_program_is_described_in_the_same_words_everywhere() {
    for name in built() {
        let help = help(&name, &[]);
        let about = help.lines().next().unwrap();
        if let Some(tool) = TOOLS.iter().find(|tool| name == format!("qwen-{}", tool.name)) {
            assert_eq!(
                about, tool.about,
                "--help of {name} and its row in bins/qwen/commands.rs"
            );
        }
        let page = Page::of(&name);
        let capital = format!("{}{}", page.about()[..1].to_uppercase(), &page.about()[1..]);
        assert_eq!(about, capital, "--help and the page of {name}");
        let main = read(format!("bins/{name}/main.rs"));
        let comment = format!("//! {name} — {}.", page.about());
        let first = main.lines().next().unwrap().replace('`', "");
        assert_eq!(first, comment, "bins/{name}/main.rs");
    }
}

#[test]
fn the_help_and_the_page_have_the_same_options_and_jobs() {
    for name in built() {
        let page = Page::of(&name);
        let (options, entries) = (options_in_help(&name), page.options());
        let described: BTreeSet<&String> = entries.keys().collect();
        assert_eq!(
            options.keys().collect::<BTreeSet<_>>(),
            described,
            "--help and OPTIONS of {name}"
        );
        for (head, default) in options
            .iter()
            .flat_map(|(head, all)| all.iter().map(move |one| (head, one)))
        {
            // '600 for run, 120 else' names two.
            let is_value = |word: &&str| !default.contains(' ') || word.parse::<u32>().is_ok();
            for value in words(default).into_iter().filter(is_value) {
                let said = words(&entries[head]).contains(&value);
                assert!(
                    said,
                    "the page of {name} does not say that {head} is {value} by default"
                );
            }
        }
        let synopsis = page.section("SYNOPSIS");
        let jobs: BTreeSet<String> = subcommands(&name).into_iter().collect();
        if !jobs.is_empty() {
            let shown: BTreeSet<String> = Page::words(&synopsis, "Cm")
                .into_iter()
                .map(str::to_owned)
                .collect();
            assert_eq!(jobs, shown, "--help and SYNOPSIS of {name}");
        }
        let flags: Vec<&str> = described.iter().flat_map(|head| head.split([' ', ','])).collect();
        for flag in Page::words(&synopsis, "Fl") {
            let flag = format!("-{flag}");
            assert!(
                flag == "--" || flag == "-" || flags.contains(&&*flag),
                "{name}: {flag} in SYNOPSIS"
            );
        }
    }
}

/// The words that an option takes, where it takes only some, as the refusal of another one lists them.
fn values(name: &str, subcommand: Option<&str>, flag: &str) -> Vec<String> {
    let sandbox = Sandbox::new();
    let tool = sandbox
        .tool(name)
        .args(subcommand)
        .args([&format!("{flag}=no-such-value"), "--help"]);
    let said = tool.run().stderr;
    let list = said
        .split("[possible values: ")
        .nth(1)
        .and_then(|rest| rest.split(']').next());
    list.into_iter()
        .flat_map(|list| list.split(", "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_names_every_word_that_an_option_takes() {
    let mut checked = 0;
    for name in built() {
        let jobs = subcommands(&name);
        for (head, entry) in Page::of(&name).options() {
            let Some(flag) = head
                .split(' ')
                .find(|word| word.starts_with("--") && !head.ends_with(word))
            else {
                continue;
            };
            let places = std::iter::once(None).chain(jobs.iter().map(|job| Some(job.as_str())));
            // The head is left out, and prose, where a word may stand for something else.
            let is_mark = |line: &&str| [".Cm", ".It", ".Pq Cm"].iter().any(|mark| line.starts_with(mark));
            let marked: Vec<&str> = entry.lines().skip(1).filter(is_mark).flat_map(words).collect();
            for value in places.flat_map(|job| values(&name, job, flag)) {
                checked += 1;
                assert!(
                    marked.contains(&&*value),
                    "the page of {name} names no '{value}' at {flag}"
                );
            }
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn every_flag_that_is_mentioned_is_there() {
    let mut known = flags();
    let of_others = [
        "--config",
        "--data-raw",
        "--fail-with-body",
        "--globoff",
        "--header",
        "--no-buffer",
        "--block",
        "--standalone",
        "--wait",
        "--name",
        "--description",
        "--on-variable",
        "--on-event",
        // What the hook's code calls: no flag for people.
        "--at-prompt",
        // Gone, as the changelog says.
        "--generate",
        "--get",
        "--locked",
        "--path",
        "--release",
        "--prefix",
        "--destdir",
        "--uninstall",
        "--test",
        "--oneline",
        "--env-file",
        "--network",
        "--preserve-env",
        "--cached",
        "--staged",
        "--ignore-missing",
        "--add-host",
        "--host",
    ];
    known.extend(of_others.map(str::to_owned));
    let mut texts: BTreeMap<PathBuf, String> = sources("bins");
    texts.append(&mut sources("shared/src"));
    texts.insert("README.md".into(), read("README.md"));
    for page in Page::all() {
        let lines: Vec<&str> = page.text.lines().collect();
        for flag in Page::words(&lines, "Fl") {
            let flag = format!("-{flag}");
            assert!(flag.len() < 3 || known.contains(&flag), "{}: {flag}", page.file);
        }
        let is_run = ["qwen-faq.7", "qwen-recipes.7"].contains(&&*page.file);
        let text = if is_run { page.prose() } else { page.text };
        texts.insert(page.file.into(), text);
    }
    for (place, text) in texts {
        let unknown: Vec<String> = long_flags(&text)
            .into_iter()
            .filter(|flag| !known.contains(flag))
            .collect();
        assert!(unknown.is_empty(), "{}: {unknown:?}", place.display());
    }
}

/// The exit codes of a page: `.It 126 , 127` are two, `.It 0 ok` is one.
fn exits(page: &Page) -> Vec<u8> {
    let heads = page
        .items("EXIT STATUS")
        .into_iter()
        .filter_map(|head| head.split(' ').next());
    heads.filter_map(|code| code.parse().ok()).collect()
}

#[test]
fn the_exits_of_the_pages_are_those_of_the_programs() {
    for name in built() {
        let page = Page::of(&name);
        let listed = exits(&page);
        assert!(listed.is_sorted_by(|one, next| one < next), "{name}: {listed:?}");
        let known = Exit::ALL.map(Exit::code);
        assert!(
            listed.iter().all(|code| known.contains(code)),
            "{name}: {listed:?}"
        );
        for (place, code) in sources(&format!("bins/{name}")) {
            // A conversation shows what failed and goes on.
            if place.starts_with("bins/qwen-chat/conversation") {
                continue;
            }
            let code: String = code.split_whitespace().collect();
            let ends = |exit: &Exit| {
                let starts = ["Failure::new", "Ok"].map(|end| format!("{end}(Exit::{exit:?}"));
                starts
                    .iter()
                    .any(|start| code.contains(&format!("{start},")) || code.contains(&format!("{start})")))
            };
            for exit in Exit::ALL.into_iter().filter(ends) {
                assert!(
                    listed.contains(&exit.code()),
                    "the page of {name} has no exit {}, which {} has",
                    exit.code(),
                    place.display()
                );
            }
        }
    }
}

#[test]
fn every_shell_completes_every_program() {
    let mut files = BTreeSet::from(["config.schema.json".to_owned(), "install".to_owned()]);
    for file in REGISTRATIONS {
        let shell = file.split('/').next().unwrap();
        assert_eq!(names_in(&format!("completions/{shell}")).len(), 1, "{shell}");
        files.insert(shell.to_owned());
        let code = read(format!("completions/{file}"));
        let names: Vec<&str> = code
            .split(|c: char| !c.is_ascii_lowercase() && c != '-' && c != '_')
            .collect();
        let found = names
            .iter()
            .filter(|name| **name == "qwen" || name.starts_with("qwen-"));
        let found: BTreeSet<String> = found.map(ToString::to_string).collect();
        assert_eq!(found, built(), "completions/{file}");
    }
    assert_eq!(names_in("completions"), files);
}

#[test]
fn every_shell_script_is_checked() {
    let stages = read(".ci/run");
    let checked: Vec<&str> = stages
        .lines()
        .filter(|line| line.contains("shellcheck"))
        .flat_map(|line| line.split(' '))
        .collect();
    for directory in [".ci", "completions", "tests", "tests/peers"] {
        for name in names_in(directory) {
            let path = format!("{directory}/{name}");
            let first = fs::read_to_string(root().join(&path)).unwrap_or_default();
            let first = first.lines().next().unwrap_or_default();
            if first.starts_with("#!") && (first.ends_with("bash") || first.ends_with("/sh")) {
                assert!(
                    checked.contains(&&*path),
                    "the stage 'scripts' of .ci/run leaves out {path}"
                );
            }
        }
    }
}

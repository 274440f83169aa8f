//! The manual pages: clean, complete, and true to the tables in the source.
use std::collections::BTreeSet;
use std::process::Command;

use crate::support::page::{self, Page};
use crate::support::peers::{command, present};
use crate::support::tree::{built, read, sources};
use qwen_shared::dotenv::carriers;
use qwen_shared::exit::Exit;
use qwen_shared::provider;

/// Variables that every program reads.
const EVERYWHERE: [&str; 2] = ["NO_COLOR", "TERM"];

/// Variables that every program reads which has settings: all but `qwen` and `qwen-env`.
const OF_SETTINGS: [&str; 12] = [
    "HOME",
    "OPENAI_API_KEY",
    "OPENAI_API_VERSION",
    "OPENAI_BASE_URL",
    "OPENAI_MODEL",
    "QWEN_CONFIG",
    "QWEN_CREDENTIAL_STORE",
    "QWEN_ENV_CHAIN",
    "QWEN_HOME",
    "QWEN_PROFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Variables that `qwen-env --auth` gives, and does not read.
const OF_AUTH: [&str; 3] = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"];

/// Variables that libraries read for us.
const OF_LIBRARIES: [(&str, &str); 7] = [
    ("ALL_PROXY", "reqwest"),
    ("DBUS_SESSION_BUS_ADDRESS", "keyring"),
    ("HTTPS_PROXY", "reqwest"),
    ("HTTP_PROXY", "reqwest"),
    ("NO_PROXY", "reqwest"),
    ("XDG_CONFIG_HOME", "directories"),
    ("XDG_STATE_HOME", "directories"),
];

/// Capital words in the source that are no variables which are read.
const NO_VARIABLES: [&str; 32] = [
    "ADDR",
    "ADDRESS",
    "ARROW1",
    "CARGO_PKG_VERSION",
    "CSV",
    "DEBUG",
    "DEBUG_MODE",
    "DELETE",
    "DIRS",
    "ENDPOINT",
    "FILE",
    "GET",
    "GIT_ALLOW_PROTOCOL",
    "GIT_DIR",
    "GIT_NO_LAZY_FETCH",
    "GIT_WORK_TREE",
    "HOST",
    "HOSTNAME",
    "OPENAI",
    "OPENAI_ENDPOINT",
    "OPTIND",
    "PAR1",
    "POST",
    "PROXY",
    "QWEN_MODEL",
    "RESOURCE",
    "S256",
    "SERVER",
    "URI",
    "URL",
    "XML",
    "XONSH_",
];

#[test]
fn the_table_of_exits_is_the_table() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-exit.7").unwrap();
    let rows: Vec<String> = Exit::ALL
        .map(|exit| format!("{} {}", exit.code(), exit.name()))
        .into();
    let signals = ["130", "141"].map(str::to_owned);
    assert_eq!(page.items("EXIT STATUS"), [rows, signals.into()].concat());
}

/// The variables that code below a directory names: string literals of capitals, digits and `_`.
fn variables(directory: &str) -> BTreeSet<String> {
    let is_variable = |word: &&str| {
        let word = word.trim_end_matches('_');
        word.len() > 1
            && word.starts_with(|c: char| c.is_ascii_uppercase())
            && word
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    sources(directory)
        .values()
        .flat_map(|text| text.lines())
        .filter(|line| !line.trim_start().starts_with("//") && !line.contains("value_name"))
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .filter(is_variable)
        .map(str::to_owned)
        .collect()
}

fn set(names: impl IntoIterator<Item = &'static str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_variables_of_the_pages_are_those_that_are_read() {
    let none = set(NO_VARIABLES);
    let libraries = set(OF_LIBRARIES.map(|(name, _)| name));
    let settings = set(OF_SETTINGS.into_iter().chain(EVERYWHERE))
        .union(&libraries)
        .cloned()
        .collect();
    let mut all: BTreeSet<String> = variables("shared/src");
    let mut described = BTreeSet::new();
    for name in built() {
        let page = Page::of(&name);
        let listed: BTreeSet<String> = page.items("ENVIRONMENT").into_iter().map(str::to_owned).collect();
        let own = variables(&format!("bins/{name}"));
        let mut wanted: BTreeSet<String> = own.difference(&none).cloned().collect();
        wanted.extend(match &*name {
            "qwen" | "qwen-env" => set(EVERYWHERE),
            _ => BTreeSet::clone(&settings),
        });
        if name == "qwen-env" {
            wanted.retain(|variable| !OF_AUTH.contains(&&**variable));
        }
        let missing: Vec<&String> = wanted.difference(&listed).collect();
        assert!(missing.is_empty(), "ENVIRONMENT of {name} lacks {missing:?}");
        all.extend(own);
        described.extend(listed);
    }
    for page in Page::all().iter().filter(|page| page.file.ends_with(".5")) {
        described.extend(page.items("ENVIRONMENT").into_iter().map(str::to_owned));
    }
    let of_providers = provider::all().filter_map(|provider| provider.key_variable.clone());
    // Not read for what they say: an address is kept from their company.
    let of_clients = carriers("OPENAI_BASE_URL");
    let others = of_providers.chain(of_clients);
    let read: BTreeSet<String> = all.union(&libraries).cloned().chain(others).collect();
    assert_eq!(
        described.difference(&read).collect::<Vec<_>>(),
        ["TMPDIR", "container"]
    );
    let silent: Vec<&String> = all
        .difference(&described)
        .filter(|name| !none.contains(*name))
        .collect();
    assert!(silent.is_empty(), "no page has {silent:?}");
    assert!(
        none.is_subset(&all),
        "{:?}",
        none.difference(&all).collect::<Vec<_>>()
    );
}

#[test]
fn the_pages_name_every_provider_and_its_variable() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen.7").unwrap();
    let variables: BTreeSet<&str> = provider::all()
        .filter_map(|provider| provider.key_variable.as_deref())
        .collect();
    let described: BTreeSet<&str> = page.items("ENVIRONMENT").into_iter().collect();
    assert_eq!(described, &variables - &BTreeSet::from(["OPENAI_API_KEY"]));
    let login = Page::of("qwen-login");
    let entry = &login.options()["--provider NAME"];
    let lines: Vec<&str> = entry.lines().collect();
    let names: BTreeSet<&str> = provider::all().map(|provider| &*provider.name).collect();
    assert_eq!(Page::words(&lines, "Ql"), names);
}

/// The fields of a struct of the library, as its source has them.
fn fields(structure: &str) -> BTreeSet<String> {
    let sources = sources("shared/src");
    let head = format!("struct {structure} {{");
    let body = sources
        .values()
        .find_map(|source| source.split(&head).nth(1)?.split("\n}").next())
        .unwrap_or_else(|| panic!("no '{head}' in shared/src"));
    body.lines()
        .map(|line| {
            line.trim()
                .trim_start_matches("pub ")
                .trim_start_matches("pub(super) ")
        })
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[test]
fn the_page_of_the_configuration_has_every_member() {
    let pages = Page::all();
    let page = pages.iter().find(|page| page.file == "qwen-config.5").unwrap();
    let described: BTreeSet<String> = page.items("DESCRIPTION").into_iter().map(str::to_owned).collect();
    let mut read = fields("KnownMembers");
    read.extend(fields("Profile"));
    read.extend(fields("OauthSettings"));
    assert_eq!(described, read);
    for structure in ["TimeoutSettings", "KeyForm", "Rate"] {
        for member in fields(structure) {
            assert!(page.text.contains(&member), "qwen-config.5 has no '{member}'");
        }
    }
}

#[test]
fn the_pages_are_clean() {
    let mandoc = command("mandoc");
    if !present("mandoc", mandoc.is_some()) {
        return;
    }
    let pages = page::names();
    let mut lint = Command::new(mandoc.unwrap());
    let output = lint
        .args(["-T", "lint"])
        .args(&pages)
        .current_dir(page::directory())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    // Whether the pages that are referred to are installed, and indexed, is this machine's affair.
    let of_the_machine =
        |line: &&str| line.contains("referenced manual not found") || line.contains("mandoc.db");
    let faults: Vec<&str> = said.lines().filter(|line| !of_the_machine(line)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

/// The rows of a page's tables, each a list of cells.
fn rows(page: &Page) -> Vec<Vec<String>> {
    let cell = |text: &str| text.trim_start_matches("Sy ").trim_matches('"').to_owned();
    page.text
        .lines()
        .filter_map(|line| line.strip_prefix(".It ").filter(|row| row.contains(" Ta ")))
        .map(|row| row.split(" Ta ").map(cell).collect())
        .collect()
}

#[test]
fn the_cells_of_a_table_stand_apart() {
    let mut count = 0;
    for page in Page::all() {
        let rows = rows(&page);
        count += rows.len();
        for columns in [80, 100] {
            for (renderer, text) in page::rendered(page.file.as_ref(), columns) {
                for row in &rows {
                    let is_shown = text.lines().any(|line| {
                        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
                        cells.eq(row.iter().map(String::as_str))
                    });
                    assert!(is_shown, "{renderer} {columns} {}: {row:?}\n{text}", page.file);
                }
            }
        }
    }
    assert!(count > 5, "{count} rows");
}

/// The section in which a long page lists what it holds.
const CONTENTS: &str = "ON THIS PAGE";

#[test]
fn a_long_page_lists_what_it_holds() {
    for page in Page::all() {
        let contents = page.section(CONTENTS);
        for (renderer, text) in page::rendered(page.file.as_ref(), 80) {
            let count = text.lines().count();
            assert!(
                count <= 300 || !contents.is_empty(),
                "{}: {count} lines by {renderer} and no '{CONTENTS}'",
                page.file
            );
        }
        if contents.is_empty() {
            continue;
        }
        let listed: Vec<&str> = contents
            .iter()
            .filter_map(|line| line.strip_prefix(".Sx "))
            .map(|title| title.trim_end_matches([',', ':', ' ']).trim_matches('"'))
            .collect();
        let headings = page.headings();
        let after = headings
            .iter()
            .skip_while(|(section, _)| *section != CONTENTS)
            .skip(1);
        let held: Vec<&str> = after
            .filter(|(section, _)| *section != "SEE ALSO")
            .flat_map(|(section, parts)| std::iter::once(*section).chain(parts.iter().copied()))
            .collect();
        assert_eq!(listed, held, "{}", page.file);
    }
}

#[test]
fn every_quote_is_closed_before_the_next_one_opens() {
    for page in Page::all() {
        for (renderer, text) in page::rendered(page.file.as_ref(), 80) {
            let mut open = None;
            for (number, line) in text.lines().enumerate() {
                for c in line.chars() {
                    let is_good = match c {
                        '\u{2018}' | '\u{201c}' => open.replace(c).is_none(),
                        '\u{2019}' => open.take() == Some('\u{2018}'),
                        '\u{201d}' => open.take() == Some('\u{201c}'),
                        _ => true,
                    };
                    assert!(is_good, "{renderer} {}:{}: {line}", page.file, number + 1);
                }
            }
            assert_eq!(open, None, "{renderer} {}", page.file);
        }
    }
}

#[test]
fn a_page_that_is_referred_to_is_there() {
    let pages = page::names();
    for page in Page::all() {
        let title = page
            .text
            .lines()
            .find_map(|line| line.strip_prefix(".Dt "))
            .unwrap();
        assert_eq!(title.to_lowercase().replace(' ', "."), page.file);
        for reference in page.text.lines().filter_map(|line| {
            line.strip_prefix(".It ")
                .or(line.strip_prefix('.'))?
                .strip_prefix("Xr ")
        }) {
            let mut words = reference.split(' ');
            let file = format!("{}.{}", words.next().unwrap(), words.next().unwrap());
            assert!(
                !file.starts_with("qwen") || pages.contains(&file),
                "{}: {reference}",
                page.file
            );
        }
    }
    let introduction = read("man/qwen.7");
    for name in built() {
        assert!(
            introduction.contains(&format!("\n.It Xr {name} 1\n")),
            "qwen.7 has no {name}"
        );
    }
}

//! The short help and the long one.
use std::collections::{BTreeMap, BTreeSet};

use crate::contract::{help, subcommands};
use crate::support::Sandbox;
use crate::support::page::Page;
use crate::support::tree::built;

/// A program and each of its jobs, with the words that say so.
fn commands_of(name: &str) -> Vec<Vec<String>> {
    let jobs = subcommands(name).into_iter().map(|job| vec![job]);
    std::iter::once(Vec::new()).chain(jobs).collect()
}

/// The entries of a help's lists by their heads, each with its first sentence or line.
fn entries(help: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = help.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(entry) = line.strip_prefix("  ").map(str::trim_start) else {
            continue;
        };
        if !entry.starts_with(['-', '[', '<']) {
            continue;
        }
        let (head, text) = match entry.split_once("  ") {
            Some((head, text)) => (head, text),
            None => (entry, lines.peek().copied().unwrap_or_default()),
        };
        let text = text.trim().split(" [default").next().unwrap();
        found.insert(head.to_owned(), text.to_owned());
    }
    found
}

#[test]
fn the_short_help_fits_a_screen_and_is_of_the_words_of_the_long_one() {
    for name in built() {
        for job in commands_of(&name) {
            let words: Vec<&str> = job.iter().map(String::as_str).collect();
            let sandbox = Sandbox::new();
            let tool = sandbox.tool(&name).args(&words).arg("-h");
            let short = tool.env_remove("HOME").run().exits(0).text();
            let lines: Vec<&str> = short.lines().collect();
            assert!(lines.len() <= 24, "{name} {job:?} has {}\n{short}", lines.len());
            for line in &lines {
                assert!(line.chars().count() <= 80, "{name} {job:?}: {line}");
            }
            let long = entries(&help(&name, &words));
            for (head, text) in entries(&short) {
                let is_help = head == "-h, --help";
                assert!(
                    is_help || long.get(&head) == Some(&text),
                    "{name} {job:?} {head}: {text:?}, {:?}",
                    long.get(&head)
                );
            }
        }
    }
}

#[test]
fn the_long_help_ends_with_examples_of_the_page_which_it_names() {
    for name in built() {
        let page = Page::of(&name);
        let known: BTreeSet<String> = page
            .examples()
            .iter()
            .flat_map(|example| example.lines())
            .map(str::to_owned)
            .collect();
        for job in commands_of(&name) {
            let words: Vec<&str> = job.iter().map(String::as_str).collect();
            let long = help(&name, &words);
            let Some((_, end)) = long.split_once("\nExamples:\n") else {
                assert!(!job.is_empty(), "{name} has no examples");
                continue;
            };
            let (examples, end) = end.split_once("\n\n").unwrap();
            assert!(examples.lines().count() >= 2, "{name} {job:?}");
            for example in examples.lines() {
                let bare = example.strip_prefix("  ").unwrap();
                assert!(known.contains(bare), "the page of {name} has no example '{bare}'");
                assert!(example.len() <= 80, "{name}: {example}");
            }
            assert_eq!(end, format!("The manual page is {name}(1): 'man {name}'.\n"));
        }
    }
}

#[test]
fn tools_and_topics_are_told_in_one_column() {
    let long = help("qwen", &[]);
    let lists = ["Tools:", "Topics:"].map(|title| long.split_once(title).unwrap().1);
    for list in lists {
        for line in list.lines().skip(1).take_while(|line| !line.is_empty()) {
            let (name, about) = line.trim_start().split_once("  ").unwrap();
            let column = line.len() - about.trim_start().len();
            assert_eq!(column, 16, "{name}: {line}");
        }
    }
}

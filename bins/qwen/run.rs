//! Runs the dispatcher: its own options, else a tool.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use qwen_shared::app::{self, Common};
use qwen_shared::exit::{Exit, Failure, Hint, Outcome};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::process;

use super::args::Args;
use super::topic::{TOPICS, Topic};
use crate::{args, conversation, dispatch, list};

pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    if args.own.list {
        return list::print();
    }
    if args.own.exec_path {
        return exec_path();
    }
    if after_double_dash(&args.words) {
        let words: Vec<OsString> = std::iter::once("--".into()).chain(args.words).collect();
        return dispatch::run("chat".as_ref(), &args.common, &words);
    }
    match args.words.split_first() {
        None => conversation::conversation(&args.common, reporter),
        Some((first, rest)) if first == "help" => help(rest, &args.common),
        Some((first, _)) if dispatch::is_for_chat(first) => {
            dispatch::run("chat".as_ref(), &args.common, &args.words)
        }
        Some((first, rest)) => dispatch::run(first, &args.common, rest),
    }
}

/// True when `--` stood before the words, which are a question then. The parser drops it.
fn after_double_dash(words: &[OsString]) -> bool {
    !words.is_empty()
        && std::env::args_os()
            .rev()
            .nth(words.len())
            .is_some_and(|word| word == "--")
}

fn exec_path() -> Outcome {
    let directory = process::own_directory()
        .ok_or_else(|| Failure::new(Exit::Io, "cannot tell where this program's file is"))?;
    let mut line = directory.into_os_string();
    line.push("\n");
    Stdout::write(line.as_bytes())?;
    Ok(Exit::Ok)
}

/// Adds the topics that may be meant where there is no tool of that name.
fn with_near_topics(mut failure: Failure, name: &OsStr) -> Failure {
    let name = name.to_string_lossy().to_lowercase();
    if failure.exit != Exit::NotFound {
        return failure;
    }
    for topic in &TOPICS {
        if dispatch::nearness(&name, topic.name).is_some() {
            let hint = format!("did you mean 'qwen help {}'?", topic.name);
            failure.hints.insert(0, Hint(hint));
        }
    }
    failure
}

/// Prints the help of the named tool, by running it, the page of a topic, or the dispatcher's help.
fn help(words: &[OsString], common: &Common) -> Outcome {
    match words {
        [] => app::help(args::command(), common.color),
        [name] if ["help", "qwen", "-h", "--help"].iter().any(|own| name == own) => {
            app::help(args::command(), common.color)
        }
        [name] if TOPICS.iter().any(|topic| name == topic.name) => {
            let mut topics = TOPICS.iter().filter(|topic| name == topic.name);
            topics.next().map_or(Ok(Exit::Ok), Topic::show)
        }
        [name] => {
            let name = name.as_bytes().strip_prefix(b"qwen-").unwrap_or(name.as_bytes());
            let name = OsStr::from_bytes(name);
            dispatch::run(name, common, &["--help".into()]).map_err(|failure| with_near_topics(failure, name))
        }
        [_, second, ..] => Err(Failure::new(
            Exit::Usage,
            format!(
                "unexpected argument '{}' after a tool's name",
                second.to_string_lossy()
            ),
        )
        .hint("run 'qwen help TOOL', or a topic: env, config, exit, faq or recipes")),
    }
}

//! Nushell. An extern is known by one name: each tool's is written a second time as `qwen NAME`.

use clap::Command;

use super::{is_dispatcher, live};

const LIVE: &str = include_str!("live.nu");

pub(super) fn finish(raw: &str, command: &Command) -> String {
    let name = command.get_name();
    // Scripts of several tools stand in one file where a shell loads one, so their modules need names of their own.
    let module = format!("{name}-completions");
    let (body, _) = raw
        .split_once("module completions {\n")
        .and_then(|(_, rest)| rest.rsplit_once("}\n"))
        .unwrap_or((raw, ""));
    let mut body = body.to_owned();
    for function in live::FUNCTIONS {
        body = body.replace(&format!("\"{function}\""), &format!("...({function})"));
    }
    let externs = if is_dispatcher(command) {
        own_extern(&body)
    } else {
        let (definitions, externs) = split(&body);
        let again = externs
            .replace(
                &format!("export extern \"{name} "),
                &format!("export extern \"{} ", name.replacen('-', " ", 1)),
            )
            .replace(
                &format!("export extern {name} "),
                &format!("export extern \"{}\" ", name.replacen('-', " ", 1)),
            );
        format!("{definitions}{externs}{again}")
    };
    format!("module {module} {{\n{LIVE}{externs}}}\n\nexport use {module} *\n")
}

/// Keeps of the dispatcher's externs its own: those of `qwen NAME` come with the tools.
fn own_extern(body: &str) -> String {
    body.find("\n  # ")
        .and_then(|start| body[start + 1..].find("\n  ]\n").map(|end| start + 1 + end + 5))
        .map_or_else(|| body.to_owned(), |end| body[..end].to_owned())
}

/// Splits at the first extern: definitions before, externs after.
fn split(body: &str) -> (&str, &str) {
    body.split_at(body.find("\n  # ").map_or(0, |at| at + 1))
}

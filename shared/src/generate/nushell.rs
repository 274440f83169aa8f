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
    let spoken = name.replacen('-', " ", 1);
    if is_dispatcher(command) {
        body = own(&body);
    } else {
        let again = externs(&body)
            .replace(
                &format!("export extern {name} "),
                &format!("export extern \"{spoken}\" "),
            )
            .replace(
                &format!("export extern \"{name} "),
                &format!("export extern \"{spoken} "),
            );
        body.push_str(&again);
    }
    format!("module {module} {{\n{LIVE}{body}}}\n\nexport use {module} *\n")
}

/// Keeps of the dispatcher's externs its own, which is the first: those of `qwen NAME` come with the tools.
fn own(body: &str) -> String {
    let end = body.find("\n  ]\n").map_or(body.len(), |end| end + 5);
    body[..end].to_owned()
}

/// Keeps the externs and leaves out the definitions of their values, which need no second one.
fn externs(body: &str) -> String {
    let mut is_definition = false;
    let mut kept = String::new();
    for line in body.split_inclusive('\n') {
        is_definition |= line.starts_with("  def ");
        if !is_definition {
            kept.push_str(line);
        }
        is_definition &= line != "  }\n";
    }
    kept
}

//! `qwen-auth check`: every fault of `config.json`.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::config::{Config, Fault};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::paths;
use qwen_shared::text::one_line;
use serde_json::{Value, json};

use crate::args::Format;
use crate::profiles::print_json;

/// Prints the faults, `FILE:LINE:COLUMN: fault; remedy` as compilers write it.
pub(crate) fn run(format: Format, reporter: &Reporter) -> Outcome {
    let path = paths::config_file().ok_or_else(paths::no_home)?;
    let shown = path.display().to_string();
    let faults = match (Config::check(&path)?, paths::missing_config()) {
        (Some(faults), _) => faults,
        (None, Some(missing)) => return Err(Failure::new(Exit::NoInput, missing)),
        (None, None) => {
            reporter.notice(&format!("there is no '{shown}': nothing is configured"));
            Vec::new()
        }
    };
    match format {
        Format::Text => {
            let lines = faults.iter().map(|fault| line(&shown, fault) + "\n");
            Stdout::write_lines(&lines.collect::<String>())?;
        }
        Format::Json => {
            let rows: Vec<Value> = faults.iter().map(|fault| row(&shown, fault)).collect();
            print_json(&json!(rows))?;
        }
    }
    Ok(match faults.is_empty() {
        true => Exit::Ok,
        false => Exit::Data,
    })
}

/// Returns a fault as one line.
pub(crate) fn line(file: &str, fault: &Fault) -> String {
    let remedy = fault.remedy.as_ref().map(|remedy| format!("; {remedy}"));
    let remedy = remedy.unwrap_or_default();
    one_line(&format!(
        "{file}:{}:{}: {}{remedy}",
        fault.line, fault.column, fault.words
    ))
}

fn row(file: &str, fault: &Fault) -> Value {
    json!({
        "file": file,
        "line": fault.line,
        "column": fault.column,
        "member": fault.path.join("."),
        "fault": fault.words,
        "remedy": fault.remedy,
    })
}

//! Questions with a default answer.

use qwen_shared::exit::Failure;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::one_line;

/// Prints a numbered list and returns the index of the option that is chosen by its number or the start of its text.
pub(crate) fn choose(terminal: &mut Terminal, options: &[&str], default: usize) -> Result<usize, Failure> {
    for (index, option) in options.iter().enumerate() {
        terminal.print(&format!("{:3}) {}\n", index + 1, one_line(option)))?;
    }
    loop {
        let answer = terminal.ask(&format!("choice [{}]: ", default + 1))?;
        if answer.is_empty() {
            return Ok(default);
        }
        if let Ok(number @ 1..) = answer.parse::<usize>()
            && number <= options.len()
        {
            return Ok(number - 1);
        }
        let start = answer.to_lowercase();
        let mut matches =
            (0..options.len()).filter(|&index| options[index].to_lowercase().starts_with(&start));
        if let (Some(only), None) = (matches.next(), matches.next()) {
            return Ok(only);
        }
        terminal.print(&format!(
            "type a number from 1 to {}, or press Enter for {}\n",
            options.len(),
            default + 1
        ))?;
    }
}

/// Asks until `parse` accepts the answer.
pub(crate) fn ask<T>(
    terminal: &mut Terminal,
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    let prompt = match default {
        Some(default) => format!("{question} [{}]: ", one_line(default)),
        None => format!("{question}: "),
    };
    loop {
        let answer = terminal.ask(&prompt)?;
        let answer = if answer.is_empty() {
            default.unwrap_or_default()
        } else {
            &answer
        };
        match parse(answer) {
            Ok(value) => return Ok(value),
            Err(reason) => terminal.print(&format!("{}\n", one_line(&reason)))?,
        }
    }
}

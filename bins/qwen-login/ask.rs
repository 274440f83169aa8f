//! Questions with a usual answer.

use qwen_shared::exit::Failure;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::one_line;

/// Offers a numbered list and returns the index of what was chosen: by number or by the start of its text, the usual
/// one for an empty answer. Asks again until the answer is one of them.
pub(crate) fn choose(terminal: &mut Terminal, options: &[&str], usual: usize) -> Result<usize, Failure> {
    for (index, option) in options.iter().enumerate() {
        terminal.print(&format!("{:3}) {}\n", index + 1, one_line(option)))?;
    }
    loop {
        let answer = terminal.ask(&format!("choice [{}]: ", usual + 1))?;
        if answer.is_empty() {
            return Ok(usual);
        }
        if let Ok(number @ 1..) = answer.parse::<usize>()
            && number <= options.len()
        {
            return Ok(number - 1);
        }
        let wanted = answer.to_lowercase();
        let mut fitting =
            (0..options.len()).filter(|&index| options[index].to_lowercase().starts_with(&wanted));
        if let (Some(only), None) = (fitting.next(), fitting.next()) {
            return Ok(only);
        }
        terminal.print(&format!(
            "type a number from 1 to {}, or press Enter for {}\n",
            options.len(),
            usual + 1
        ))?;
    }
}

/// Asks for a text with a usual answer until `read` takes it; what `read` says against it is shown.
pub(crate) fn ask<T>(
    terminal: &mut Terminal,
    question: &str,
    usual: Option<&str>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    let prompt = match usual {
        Some(usual) => format!("{question} [{}]: ", one_line(usual)),
        None => format!("{question}: "),
    };
    loop {
        let answer = terminal.ask(&prompt)?;
        let meant = if answer.is_empty() {
            usual.unwrap_or_default()
        } else {
            &answer
        };
        match read(meant) {
            Ok(value) => return Ok(value),
            Err(reason) => terminal.print(&format!("{}\n", one_line(&reason)))?,
        }
    }
}

//! Questions with a default answer: lists that are narrowed down by typing, and lines.
//!
//! Where the terminal cannot draw (`TERM=dumb`), or is narrower than a line of a list, they are numbered lists and plain lines.

use std::sync::atomic::{AtomicBool, Ordering};

use qwen_shared::exit::Failure;
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;
use qwen_shared::text::{one_line, wrap};
use unicode_width::UnicodeWidthStr;

use crate::drawn;

/// The narrowest terminal that a list is drawn on, in columns: the names of providers fit.
const NARROWEST: u16 = 16;

/// A list of more options is searched rather than read.
const LONG: usize = 12;

/// How many options of a numbered list are printed at once, at most: all providers, and not all models of a gateway.
const MOST_PRINTED: usize = 60;

/// The answer at a numbered list that has more of it printed.
const MORE: &str = "+";

/// Whether questions are drawn in colour.
static IS_COLOURED: AtomicBool = AtomicBool::new(false);

/// Has questions drawn in colour, or not, as the program's flags say.
pub(crate) fn set_color(reporter: &Reporter) {
    IS_COLOURED.store(reporter.color().wanted(true), Ordering::Relaxed);
}

fn is_coloured() -> bool {
    IS_COLOURED.load(Ordering::Relaxed)
}

/// A list to choose from.
pub(crate) struct Choice<'a> {
    pub(crate) question: &'a str,
    /// An option's first word is its name.
    pub(crate) options: Vec<String>,
    /// What Enter takes: an index.
    pub(crate) default: usize,
    /// True where the last option stays in the list whatever is typed: it leads out of it.
    pub(crate) has_way_out: bool,
}

impl<'a> Choice<'a> {
    pub(crate) fn new(question: &'a str, options: &[&str], default: usize) -> Self {
        Self {
            question,
            options: options.iter().map(|option| one_line(option)).collect(),
            default,
            has_way_out: false,
        }
    }

    /// Asks; returns the index of the option that was chosen.
    ///
    /// # Errors
    /// Exit 74 when the terminal has gone.
    pub(crate) fn ask(&self, terminal: &mut Terminal) -> Result<usize, Failure> {
        self.ask_with_typed(terminal).map(|(chosen, _)| chosen)
    }

    /// As [`Choice::ask`]; returns also what was typed into a drawn list when the choice was made.
    ///
    /// # Errors
    /// As [`Choice::ask`].
    pub(crate) fn ask_with_typed(&self, terminal: &mut Terminal) -> Result<(usize, String), Failure> {
        if !draws(terminal) {
            return Ok((self.ask_by_number(terminal)?, String::new()));
        }
        let (chosen, typed) = drawn::choose(terminal, self, is_coloured())?;
        let option = self.options.get(chosen).map_or("", String::as_str);
        let words: Vec<&str> = option.split_whitespace().collect();
        say_answer(terminal, &format!("{} {}", self.question, words.join(" ")))?;
        Ok((chosen, typed))
    }

    /// True for a list that is searched rather than read: its options may be cut.
    pub(crate) fn is_searched(&self) -> bool {
        self.options.len() > LONG
    }

    /// Returns the options that fit what was typed into a drawn list, the best first.
    pub(crate) fn found(&self, typed: &str) -> Vec<usize> {
        let scored = |index| Some((self.score(typed, index)?, index));
        let mut found: Vec<(i64, usize)> = (0..self.options.len()).filter_map(scored).collect();
        found.sort_by_key(|(score, _)| -score);
        found.into_iter().map(|(_, index)| index).collect()
    }

    /// Says how well an option fits what was typed; `None` where it does not. Each word has to fit.
    fn score(&self, typed: &str, index: usize) -> Option<i64> {
        let order = i64::try_from(index).ok()?;
        if self.has_way_out && index + 1 == self.options.len() {
            return Some(i64::MIN + 1);
        }
        let option = self.options.get(index)?.to_lowercase();
        let typed: String = typed.chars().filter(|c| !c.is_control()).collect();
        // The cursor goes to the first of the list, so the default is that until something is typed.
        if typed.trim().is_empty() {
            let is_default = index == self.default;
            return Some(if is_default { 0 } else { -1 - order });
        }
        let mut worst = 0;
        for word in typed.to_lowercase().split_whitespace() {
            worst = worst.max(distance(word, &option)?);
        }
        Some(-(worst * 1_000_000 + order))
    }

    fn ask_by_number(&self, terminal: &mut Terminal) -> Result<usize, Failure> {
        terminal.say(self.question)?;
        let all: Vec<usize> = (0..self.options.len()).collect();
        let mut printed = Vec::new();
        let mut rest = self.print(terminal, &all, &mut printed)?;
        loop {
            let answer = terminal.ask(&format!("choice [{}]: ", self.default + 1))?;
            if answer.is_empty() {
                return Ok(self.default);
            }
            if answer == MORE && !rest.is_empty() {
                rest = self.print(terminal, rest, &mut printed)?;
                continue;
            }
            // Of an option that nobody saw, nobody means the number: model-217 is not the 217th.
            if let Ok(number @ 1..) = answer.parse::<usize>()
                && printed.contains(&(number - 1))
            {
                return Ok(number - 1);
            }
            let fitting = self.fitting(&answer);
            match fitting[..] {
                [only] => return Ok(only),
                [] => {}
                _ => {
                    terminal.say("several are meant:")?;
                    self.print(terminal, &fitting, &mut printed)?;
                }
            }
            let numbers = match self.options.len() {
                last if printed.len() >= last => format!("a number from 1 to {last}"),
                _ => "a number that is shown".to_owned(),
            };
            terminal.say(&format!(
                "type {numbers}, or a part of the text, or press Enter for {}",
                self.default + 1
            ))?;
        }
    }

    /// Returns the options that an answer may mean, those alone that fit it best: one whose name it is, else those that begin
    /// so, else those that hold it.
    fn fitting(&self, answer: &str) -> Vec<usize> {
        let answer = answer.to_lowercase();
        let fits = |limit: i64| -> Vec<usize> {
            let is_near = |option: &String| distance(&answer, &option.to_lowercase()) == Some(limit);
            (0..self.options.len())
                .filter(|&index| self.options.get(index).is_some_and(is_near))
                .collect()
        };
        (0..=3)
            .map(fits)
            .find(|fitting| !fitting.is_empty())
            .unwrap_or_default()
    }

    /// Prints these options, as many as stay on the screen; what Enter takes and the way out are always among them. Adds those
    /// that were printed, and returns the rest.
    fn print<'i>(
        &self,
        terminal: &mut Terminal,
        indexes: &'i [usize],
        printed: &mut Vec<usize>,
    ) -> Result<&'i [usize], Failure> {
        // The question stands above them, the answer below; and what there is more, where they are not all.
        let rows = usize::from(terminal.size().1);
        let room = rows.saturating_sub(4).max(1);
        let is_long = indexes.len() > room;
        let columns = self.columns(terminal, indexes);
        let most = match is_long && indexes.len().div_ceil(columns) + 2 > rows {
            true => room * columns,
            false => indexes.len(),
        };
        let (first, rest) = indexes.split_at(indexes.len().min(most).min(MOST_PRINTED));
        match is_long {
            true => self.print_in_columns(terminal, first)?,
            false => first
                .iter()
                .try_for_each(|&index| self.print_option(terminal, index))?,
        }
        printed.extend(first);
        if !rest.is_empty() {
            terminal.say(&format!("     {} more: type {MORE}", rest.len()))?;
            let way_out = self.options.len() - 1;
            for index in [Some(self.default), self.has_way_out.then_some(way_out)] {
                if let Some(index) = index.filter(|index| !printed.contains(index)) {
                    self.print_option(terminal, index)?;
                    printed.push(index);
                }
            }
        }
        Ok(rest)
    }

    /// How many of these options stand beside each other.
    fn columns(&self, terminal: &Terminal, indexes: &[usize]) -> usize {
        let widths = indexes.iter().map(|&index| self.cell(index).width());
        let width = widths.max().unwrap_or(0) + 1;
        (usize::from(terminal.columns()).saturating_sub(1) / width).max(1)
    }

    /// An option's number and name; the way out by all its words.
    fn cell(&self, index: usize) -> String {
        let option = self.options.get(index).map_or("", String::as_str);
        let is_name = !(self.has_way_out && index + 1 == self.options.len());
        let name = option.split_whitespace().next().filter(|_| is_name);
        format!("{:3}) {}", index + 1, name.unwrap_or(option))
    }

    /// Prints the names of options that would scroll off the screen, one under the other as `ls` does.
    fn print_in_columns(&self, terminal: &mut Terminal, indexes: &[usize]) -> Result<(), Failure> {
        let cells: Vec<String> = indexes.iter().map(|&index| self.cell(index)).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0) + 1;
        let rows = cells.len().div_ceil(self.columns(terminal, indexes));
        for row in 0..rows {
            let mut line = String::new();
            for cell in cells.iter().skip(row).step_by(rows) {
                line.push_str(cell);
                line.push_str(&" ".repeat(width - cell.width()));
            }
            terminal.print(&format!("{}\n", line.trim_end()))?;
        }
        Ok(())
    }

    fn print_option(&self, terminal: &mut Terminal, index: usize) -> Result<(), Failure> {
        let option = self.options.get(index).map_or("", String::as_str);
        terminal.say(&format!("{:3}) {option}", index + 1))
    }
}

/// How far a word is from an option, in lower case: 0 for its name, 1 for its beginning, 2 for the beginning of a word in it, 3
/// for another part, 4 for letters in this order; `None` for anything else.
fn distance(word: &str, option: &str) -> Option<i64> {
    let name = option.split_whitespace().next().unwrap_or_default();
    if name == word || option == word {
        return Some(0);
    }
    if option.starts_with(word) {
        return Some(1);
    }
    let mut found = option.match_indices(word).map(|(at, _)| &option[..at]).peekable();
    if found.peek().is_some() {
        let begins = |before: &str| before.ends_with(|c: char| !c.is_alphanumeric());
        return Some(if found.any(begins) { 2 } else { 3 });
    }
    let mut rest = name.chars();
    word.chars().all(|c| rest.any(|other| other == c)).then_some(4)
}

/// Asks until `parse` accepts the answer.
pub(crate) fn ask<T>(
    terminal: &mut Terminal,
    question: &str,
    default: Option<&str>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    loop {
        if let Some(value) = ask_or_leave(terminal, question, default, "", &parse)? {
            return Ok(value);
        }
    }
}

/// As [`ask`], of a line that begins with `typed`; `None` where Escape leaves the question.
pub(crate) fn ask_or_leave<T>(
    terminal: &mut Terminal,
    question: &str,
    default: Option<&str>,
    typed: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    let default = default.map(one_line);
    loop {
        let answer = match draws(terminal) {
            true => match type_line(terminal, question, default.as_deref(), typed)? {
                Some(line) => line,
                None => return Ok(None),
            },
            false => {
                let prompt = match &default {
                    Some(default) => format!("{question} [{default}]: "),
                    None => format!("{question}: "),
                };
                terminal.ask(&prompt)?
            }
        };
        let answer = match answer.is_empty() {
            true => default.as_deref().unwrap_or_default(),
            false => &answer,
        };
        match parse(answer) {
            Ok(value) => return Ok(Some(value)),
            Err(reason) => terminal.say(&one_line(&reason))?,
        }
    }
}

/// Asks for a line that can be edited while it is typed; `None` at Escape.
fn type_line(
    terminal: &mut Terminal,
    question: &str,
    default: Option<&str>,
    typed: &str,
) -> Result<Option<String>, Failure> {
    let question = format!("{question}:");
    let line = drawn::type_line(terminal, &question, default, typed, is_coloured())?;
    if let Some(line) = &line {
        let answer = if line.is_empty() {
            default.unwrap_or_default()
        } else {
            line
        };
        say_answer(terminal, &format!("{question} {}", one_line(answer)))?;
    }
    Ok(line)
}

/// Says a question and its answer, in the place where it was drawn.
fn say_answer(terminal: &mut Terminal, text: &str) -> Result<(), Failure> {
    let columns = usize::from(terminal.columns());
    let said = wrap(&format!("> {}", text.trim_end()), columns).into_owned();
    match said.strip_prefix('>') {
        Some(rest) if is_coloured() => terminal.print(&format!("\u{1b}[32m>\u{1b}[m{rest}\n")),
        _ => terminal.print(&format!("{said}\n")),
    }
}

fn draws(terminal: &Terminal) -> bool {
    Terminal::can_draw() && terminal.columns() >= NARROWEST
}

#[cfg(test)]
mod tests {
    use super::Choice;

    #[test]
    fn what_is_typed_narrows_the_list_down_and_the_nearest_comes_first() {
        let options = [
            "openai       OpenAI",
            "openrouter   OpenRouter",
            "azure-v1     Azure OpenAI, v1 endpoint",
            "qwen/qwen3-coder",
            "custom       Any other",
        ];
        let mut choice = Choice::new("?", &options, 0);
        for (typed, found) in [
            ("", &[0, 1, 2, 3, 4][..]),
            ("open", &[0, 1, 2]),
            ("OPENAI", &[0, 2]),
            ("azure v1", &[2]),
            ("coder", &[3]),
            ("q3c", &[3]),
            ("\u{4}custom", &[4]),
            ("zzz", &[]),
        ] {
            assert_eq!(choice.found(typed), found, "{typed:?}");
        }
        choice.has_way_out = true;
        assert_eq!(choice.found("zzz"), [4]);
        assert_eq!(choice.found("azure"), [2, 4]);
    }

    #[test]
    fn an_answer_in_words_means_what_it_fits_best() {
        let choice = Choice::new("?", &["gpt-4o", "gpt-4o-mini", "o3", "big one, openai"], 0);
        for (answer, found) in [
            ("gpt-4o", &[0][..]),
            ("GPT-4", &[0, 1]),
            ("mini", &[1]),
            ("one", &[3]),
            ("pena", &[3]),
            ("claude", &[]),
        ] {
            assert_eq!(choice.fitting(answer), found, "{answer}");
        }
    }
}

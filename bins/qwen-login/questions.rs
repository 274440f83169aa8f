//! Questions with a default answer: lists that are narrowed down by typing, and lines.
//!
//! Where the terminal cannot draw (`TERM=dumb`), or is narrower than a line of a list, they are numbered lists and plain lines.

use std::cell::RefCell;

use inquire::list_option::ListOption;
use inquire::ui::RenderConfig;
use inquire::{InquireError, Select, Text};
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::output::Reporter;
use qwen_shared::terminal::{Keys, Terminal};
use qwen_shared::text::one_line;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The narrowest terminal that a list is drawn on, in columns.
const NARROWEST: u16 = 24;

/// How many columns stand before an option, or behind it.
const MARKS: usize = 3;

/// A list of more options is searched rather than read.
const LONG: usize = 12;

/// How many options of a numbered list are printed, at most: all providers, and not all models of a gateway.
const MOST_PRINTED: usize = 60;

/// Has questions drawn in colour, or not, as the program's flags say.
pub(crate) fn set_color(reporter: &Reporter) {
    inquire::set_global_render_config(match reporter.color().wanted(true) {
        true => RenderConfig::default_colored(),
        false => RenderConfig::empty(),
    });
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
        let typed = RefCell::new(String::new());
        let chosen = match draws(terminal) && self.is_readable(terminal) {
            true => self.select(terminal, &typed)?,
            false => self.ask_by_number(terminal)?,
        };
        Ok((chosen, typed.into_inner()))
    }

    /// True where no words would be cut that are to be read before an answer is given. In a long list, which is searched,
    /// names may be.
    fn is_readable(&self, terminal: &Terminal) -> bool {
        let room = usize::from(terminal.columns()).saturating_sub(MARKS);
        let is_cut = |option: &String| option.width() > room && option.contains(' ');
        self.options.len() > LONG || !self.options.iter().any(is_cut)
    }

    fn select(&self, terminal: &mut Terminal, typed: &RefCell<String>) -> Result<usize, Failure> {
        let (columns, rows) = terminal.size();
        let width = usize::from(columns).saturating_sub(MARKS);
        let cut = |option: &String| cut_to(option, width);
        // The answer stands behind its question and two marks, on the same line where there is room for some of it.
        let left_of_answer = width.saturating_sub(self.question.width() + 1).max(8);
        let shown = |chosen: ListOption<&String>| {
            let words = chosen.value.split_whitespace().collect::<Vec<_>>().join(" ");
            cut_to(&words, left_of_answer)
        };
        let mut kept = String::new();
        loop {
            let scorer = |text: &str, _: &String, _: &str, index: usize| {
                if index == 0 {
                    text.clone_into(&mut typed.borrow_mut());
                }
                self.score(text, index)
            };
            let select = Select::new(self.question, self.options.iter().map(cut).collect())
                .with_starting_cursor(self.default.min(self.options.len().saturating_sub(1)))
                .with_page_size(usize::from(rows).saturating_sub(5).clamp(3, 15))
                .with_help_message(match columns {
                    ..60 => "arrows, Enter; typing narrows down",
                    _ => "arrows to move, Enter to choose, type to narrow down",
                })
                .with_starting_filter_input(&kept)
                .with_scorer(&scorer)
                .with_formatter(&shown);
            match terminal.lend(|keys| told_from_escape(select.raw_prompt(), keys))? {
                (Ok(chosen), _) => return Ok(chosen.index),
                (Err(InquireError::OperationCanceled), true) => typed.borrow().clone_into(&mut kept),
                (Err(InquireError::OperationCanceled), false) => kept.clear(),
                (Err(error), _) => return Err(no_answer(&error)),
            }
        }
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
        let mut printed = self.print(terminal, &all)?;
        loop {
            let answer = terminal.ask(&format!("choice [{}]: ", self.default + 1))?;
            if answer.is_empty() {
                return Ok(self.default);
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
                    printed.extend(self.print(terminal, &fitting)?);
                }
            }
            let numbers = match self.options.len() {
                last if last <= MOST_PRINTED => format!("a number from 1 to {last}"),
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

    /// Prints these options, as many as are readable; what Enter takes and the way out are always among them. Returns those
    /// that were printed.
    fn print(&self, terminal: &mut Terminal, indexes: &[usize]) -> Result<Vec<usize>, Failure> {
        let (first, more) = indexes.split_at(indexes.len().min(MOST_PRINTED));
        match first.len() > usize::from(terminal.size().1).saturating_sub(4) {
            true => self.print_in_columns(terminal, first)?,
            false => first
                .iter()
                .try_for_each(|&index| self.print_option(terminal, index))?,
        }
        let mut printed = first.to_vec();
        if !more.is_empty() {
            terminal.say(&format!("     and {} more", more.len()))?;
            let way_out = self.options.len() - 1;
            for index in [Some(self.default), self.has_way_out.then_some(way_out)] {
                if let Some(index) = index.filter(|index| !printed.contains(index)) {
                    self.print_option(terminal, index)?;
                    printed.push(index);
                }
            }
        }
        Ok(printed)
    }

    /// Prints the names of options that would scroll off the screen, one under the other as `ls` does; the way out by all its
    /// words.
    fn print_in_columns(&self, terminal: &mut Terminal, indexes: &[usize]) -> Result<(), Failure> {
        let cell = |&index: &usize| {
            let option = self.options.get(index).map_or("", String::as_str);
            let is_name = !(self.has_way_out && index + 1 == self.options.len());
            let name = option.split_whitespace().next().filter(|_| is_name);
            format!("{:3}) {}", index + 1, name.unwrap_or(option))
        };
        let cells: Vec<String> = indexes.iter().map(cell).collect();
        let width = cells.iter().map(|cell| cell.width()).max().unwrap_or(0) + 1;
        let room = usize::from(terminal.columns()).saturating_sub(1);
        let rows = cells.len().div_ceil((room / width).max(1));
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
    loop {
        let mut text = Text::new(&question).with_initial_value(typed);
        if let Some(default) = default {
            text = text.with_default(default);
        }
        match terminal.lend(|keys| told_from_escape(text.prompt(), keys))? {
            (Ok(line), _) => {
                let line: String = line.chars().filter(|c| !c.is_control()).collect();
                return Ok(Some(line.trim().to_owned()));
            }
            (Err(InquireError::OperationCanceled), true) => {}
            (Err(InquireError::OperationCanceled), false) => return Ok(None),
            (Err(error), _) => return Err(no_answer(&error)),
        }
    }
}

/// Adds whether an answer ended at a key that only began like Escape.
fn told_from_escape<T>(answer: Result<T, InquireError>, keys: &Keys<'_>) -> (Result<T, InquireError>, bool) {
    let is_part = matches!(answer, Err(InquireError::OperationCanceled)) && keys.take_rest_of_key();
    (answer, is_part)
}

fn draws(terminal: &Terminal) -> bool {
    Terminal::can_draw() && terminal.columns() >= NARROWEST
}

fn no_answer(error: &InquireError) -> Failure {
    let reason = match error {
        InquireError::IO(error) => format!(": {}", qwen_shared::exit::io_reason(error)),
        _ => String::new(),
    };
    Failure::new(Exit::Io, format!("no answer on the terminal{reason}"))
}

/// Cuts text to a number of columns: at its end, but a name in its middle, since names of one family begin alike.
fn cut_to(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let room = columns.saturating_sub(3);
    let tail = match text.contains(char::is_whitespace) {
        true => 0,
        false => room * 2 / 3,
    };
    let beginning: String = fitting(text.chars(), room - tail).collect();
    let mut end: Vec<char> = fitting(text.chars().rev(), tail).collect();
    end.reverse();
    format!("{beginning}...{}", String::from_iter(end))
}

/// Returns the first characters that together take no more columns than there are.
fn fitting(chars: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    chars.scan(columns, |rest, c| {
        *rest = rest.checked_sub(c.width().unwrap_or(0))?;
        Some(c)
    })
}

#[cfg(test)]
mod tests {
    use super::{Choice, cut_to};

    fn best(choice: &Choice<'_>, typed: &str) -> Vec<usize> {
        let mut found: Vec<(i64, usize)> = (0..choice.options.len())
            .filter_map(|index| Some((choice.score(typed, index)?, index)))
            .collect();
        found.sort_by_key(|(score, _)| -score);
        found.into_iter().map(|(_, index)| index).collect()
    }

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
            assert_eq!(best(&choice, typed), found, "{typed:?}");
        }
        choice.has_way_out = true;
        assert_eq!(best(&choice, "zzz"), [4]);
        assert_eq!(best(&choice, "azure"), [2, 4]);
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

    #[test]
    fn a_long_line_is_cut_to_the_columns_that_there_are_and_a_name_in_its_middle() {
        for (text, columns, cut) in [
            ("abcdef", 6, "abcdef"),
            ("ab cdefg", 6, "ab ..."),
            ("漢字 漢字", 7, "漢字..."),
            ("vendor/model-large-v1", 12, "ven...rge-v1"),
            ("漢字漢字漢字", 9, "漢...漢字"),
        ] {
            assert_eq!(cut_to(text, columns), cut);
        }
    }
}

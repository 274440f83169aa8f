//! The toolkit's pages as plain text: the part of mdoc(7) that they use.

/// In columns.
const WIDTH: usize = 78;

/// How far text is indented below its heading, or its tag.
const STEP: usize = 4;

/// Renders a page.
pub(crate) fn to_text(page: &str) -> String {
    let mut text = Text::default();
    for line in page.lines() {
        match line.strip_prefix('.') {
            Some(request) if request.starts_with("\\\"") => {}
            Some(request) => text.request(&tokens(request)),
            None if text.is_literal => text.verbatim(&unescape(line)),
            None => text.add(&unescape(line)),
        }
    }
    text.break_line();
    text.out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Tags,
    Bullets,
    Columns,
}

/// Between columns.
const GAP: usize = 2;

/// How words are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    /// After `Ql`: each in quotes.
    Quoted,
    /// After `Fl`.
    Flag,
    /// After `Nm`, which without a word stands for the page's name.
    Name,
}

impl Style {
    fn of(macro_name: &str) -> Option<Self> {
        match macro_name {
            "Ar" | "Ev" | "Pa" | "Li" | "Cm" | "Em" | "Sy" | "Dv" | "In" | "No" | "Lk" | "Sx" => {
                Some(Self::Plain)
            }
            "Ql" => Some(Self::Quoted),
            "Fl" => Some(Self::Flag),
            "Nm" => Some(Self::Name),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Text {
    out: String,
    /// What is on the way to a line.
    words: String,
    name: String,
    lists: Vec<List>,
    /// The widths of the columns of the last list of that kind.
    columns: Vec<usize>,
    is_literal: bool,
    /// The next word follows the last one without a blank.
    is_joined: bool,
    /// The last word closed a quote that the next one may continue.
    is_quoting: bool,
    /// Stands before the next line, in the place of its indentation.
    mark: Option<&'static str>,
}

impl Text {
    fn request(&mut self, tokens: &[String]) {
        let Some((name, rest)) = tokens.split_first() else {
            return;
        };
        match name.as_str() {
            "Dd" | "Dt" | "Os" => {}
            "Sh" => self.heading(0, &rest.join(" ")),
            "Ss" => self.heading(2, &rest.join(" ")),
            "Pp" => self.paragraph(),
            "Nd" => self.add(&format!("- {}", rest.join(" "))),
            "Bl" => self.begin_list(rest),
            "El" => {
                self.break_line();
                self.lists.pop();
            }
            "It" => self.item(rest),
            "Bd" => {
                self.paragraph();
                self.is_literal = true;
            }
            "Ed" => self.is_literal = false,
            _ if self.is_literal => {
                let shown = std::mem::take(&mut self.words);
                self.inline(tokens);
                let line = std::mem::replace(&mut self.words, shown);
                self.verbatim(&line);
            }
            _ => self.inline(tokens),
        }
    }

    fn heading(&mut self, indent: usize, title: &str) {
        self.break_line();
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(title);
        self.out.push('\n');
    }

    fn paragraph(&mut self) {
        self.break_line();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn begin_list(&mut self, kind: &[String]) {
        self.break_line();
        self.lists.push(match kind.first().map(String::as_str) {
            Some("-bullet") => List::Bullets,
            Some("-column") => {
                self.columns = kind.iter().skip(1).map(|cell| cell.chars().count()).collect();
                List::Columns
            }
            _ => List::Tags,
        });
    }

    fn item(&mut self, rest: &[String]) {
        self.break_line();
        match self.lists.last() {
            Some(List::Bullets) => self.mark = Some("- "),
            Some(List::Tags) => {
                let outer = self.lists.pop();
                self.inline(rest);
                self.break_line();
                self.lists.extend(outer);
            }
            Some(List::Columns) => self.row(rest),
            None => self.inline(rest),
        }
    }

    /// Writes a row of columns; what does not fit on the line goes on below the last one.
    fn row(&mut self, cells: &[String]) {
        let mut line = " ".repeat(self.indent());
        let mut hang = line.len();
        for (number, cell) in cells.split(|token| token == "Ta").enumerate() {
            hang = line.chars().count();
            self.inline(cell);
            let cell = std::mem::take(&mut self.words);
            let width = self.columns.get(number).map_or(0, |width| width + GAP);
            line.push_str(&format!("{cell:width$}"));
        }
        while let Some((at, _)) = line.char_indices().nth(WIDTH)
            && let Some(blank) = line[..at].rfind(' ').filter(|blank| *blank > hang)
        {
            self.out.push_str(line[..blank].trim_end());
            self.out.push('\n');
            line = format!("{:hang$}{}", "", line[blank..].trim_start());
        }
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }

    /// Adds the words of a line with macros.
    fn inline(&mut self, tokens: &[String]) {
        let mut style = Style::Plain;
        let mut closing = 0;
        // What ends a line stands behind a parenthesis that its end closes.
        let end = match tokens.iter().any(|token| token == "Pq") {
            true => tokens.iter().rposition(|token| !is_punctuation(token)),
            false => None,
        };
        let (tokens, behind) = tokens.split_at(end.map_or(tokens.len(), |last| last + 1));
        let mut tokens = tokens.iter();
        self.is_quoting = false;
        while let Some(token) = tokens.next() {
            self.is_quoting &= style == Style::Quoted;
            match token.as_str() {
                "Ns" => self.is_joined = true,
                "Pq" => {
                    self.open("(");
                    closing += 1;
                }
                "Po" => self.open("("),
                "Pc" => self.close(")"),
                "So" => self.open("'"),
                "Sc" => self.close("'"),
                "(" | "[" => self.open(token),
                "Xr" => {
                    let page = tokens.next().cloned().unwrap_or_default();
                    let section = tokens.next().cloned().unwrap_or_default();
                    self.add(&format!("{page}({section})"));
                }
                macro_name if Style::of(macro_name).is_some() => {
                    self.is_quoting = false;
                    style = Style::of(macro_name).unwrap_or(Style::Plain);
                }
                word => style = self.word(word, style),
            }
        }
        if style == Style::Name {
            self.add_name();
        }
        (0..closing).for_each(|_| self.close(")"));
        behind.iter().for_each(|mark| self.close(mark));
    }

    /// Adds a word; returns the style of the next one.
    fn word(&mut self, word: &str, style: Style) -> Style {
        if is_punctuation(word) {
            self.is_quoting = false;
            if style == Style::Name {
                self.add_name();
            }
            self.close(word);
            return if style == Style::Name { Style::Plain } else { style };
        }
        let word = unescape(word);
        match style {
            Style::Plain => self.add(&word),
            Style::Quoted => {
                if self.is_quoting {
                    self.words.pop();
                    self.add(&format!("{word}'"));
                } else {
                    self.add(&format!("'{word}'"));
                }
                self.is_quoting = true;
                return style;
            }
            Style::Flag => self.add(&format!("-{word}")),
            Style::Name => {
                self.name.clone_from(&word);
                self.add(&word);
            }
        }
        Style::Plain
    }

    fn add(&mut self, word: &str) {
        if !self.words.is_empty() && !self.is_joined {
            self.words.push(' ');
        }
        self.is_joined = false;
        self.words.push_str(word);
    }

    /// Adds the name of the page, as a macro without one stands for it.
    fn add_name(&mut self) {
        let name = self.name.clone();
        self.add(&name);
    }

    fn open(&mut self, mark: &str) {
        self.add(mark);
        self.is_joined = true;
    }

    fn close(&mut self, mark: &str) {
        self.is_joined = true;
        self.add(mark);
    }

    fn indent(&self) -> usize {
        STEP * (1 + self.lists.iter().filter(|list| **list != List::Columns).count())
    }

    fn verbatim(&mut self, line: &str) {
        let indent = self.indent() + STEP;
        self.out.push_str(format!("{:indent$}{line}", "").trim_end());
        self.out.push('\n');
    }

    /// Writes the words that are waiting, in lines that fit.
    fn break_line(&mut self) {
        self.is_joined = false;
        let words = std::mem::take(&mut self.words);
        let indent = self.indent();
        let mark = self.mark.take().unwrap_or_default();
        let mut line = format!("{:width$}{mark}", "", width = indent - mark.len());
        let mut is_empty = true;
        for word in words.split_whitespace() {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.out.push_str(&line);
                self.out.push('\n');
                line = " ".repeat(indent);
                is_empty = true;
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        if !is_empty {
            self.out.push_str(&line);
            self.out.push('\n');
        }
    }
}

fn is_punctuation(word: &str) -> bool {
    matches!(word, "." | "," | ";" | ":" | ")" | "]" | "?" | "!")
}

/// Splits a line with macros into its words; quotes keep blanks.
fn tokens(line: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (token, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    tokens
}

/// Undoes the escapes of roff(7) that the pages use.
fn unescape(text: &str) -> String {
    let marks = [
        ("\\(dq", "\""),
        ("\\&", ""),
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(ti", "~"),
        ("\\(ha", "^"),
    ];
    let plain = marks
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    plain.replace("\\e", "\\")
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn what_the_pages_use_of_mdoc_is_read() {
        let page = ".Dd x\n.Dt X 5\n.Sh NAME\n.Nm qwen-x\n.Nd a thing\n.Sh USE\nRun\n.Nm .\n.Bl -tag -width Ds\n.It Ql a , Cm b\nSee\n.Xr y 1 ,\n.Pq not Ev Z .\nTry\n.Ql y -z , c d .\n.Bl -bullet\n.It\none\n.El\n.El\n.Bd -literal\n{\\(dqa\\(dq: \\e}\n.Ed\nEnd.\n";
        let text = "NAME\n    qwen-x - a thing\n\nUSE\n    Run qwen-x.\n    'a', b\n        See y(1), (not Z). Try 'y -z', 'c d'.\n          - one\n\n        {\"a\": \\}\n    End.\n";
        assert_eq!(to_text(page), text);
    }

    #[test]
    fn columns_stand_below_each_other_and_marks_by_their_words() {
        let page = ".Sh A\n.Bl -column \"wide cell\" \"b\"\n.It Sy a Ta Sy b\n.It wide cell Ta \"c d\"\n.El\nheard in\n.Ql ( X-Y ,\n.Pq under So merge Sc a file .\n";
        let text = "A\n    a          b\n    wide cell  c d\n    heard in ('X-Y', (under 'merge' a file).\n";
        assert_eq!(to_text(page), text);
    }

    #[test]
    fn no_line_of_a_page_is_longer_than_a_terminal_and_no_macro_is_left() {
        for topic in &crate::topic::TOPICS {
            let text = to_text(include_page(topic.name));
            assert!(text.lines().count() > 100, "{}", topic.name);
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{line}");
                let is_macro = |after: &str| {
                    let mut chars = after.chars();
                    chars.next().is_some_and(|c| c.is_ascii_uppercase())
                        && chars.next().is_some_and(|c| c.is_ascii_lowercase())
                };
                let is_left = line.trim_start().strip_prefix('.').is_some_and(is_macro);
                let words: Vec<&str> = line.split_whitespace().collect();
                let is_left = is_left
                    || words
                        .iter()
                        .any(|word| ["Sc", "Ta", "Oc", "Bq", "Dq", "Sq", "Qq"].contains(word));
                // What jq knows, and no special character of roff's.
                let is_escape = line.contains("\\(") && !line.contains("\\(.");
                assert!(!is_left && !is_escape, "{line}");
            }
        }
    }

    fn include_page(name: &str) -> &'static str {
        match name {
            "env" => include_str!("../../man/qwen-env.5"),
            "config" => include_str!("../../man/qwen-config.5"),
            "faq" => include_str!("../../man/qwen-faq.7"),
            "recipes" => include_str!("../../man/qwen-recipes.7"),
            _ => include_str!("../../man/qwen-exit.7"),
        }
    }
}

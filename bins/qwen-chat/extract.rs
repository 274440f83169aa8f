//! The first fenced code block of a text that comes in pieces.

/// Finds the first fenced code block and emits its lines as they are complete.
///
/// Fences are those of CommonMark, section 4.5, at any indentation, since models put them into lists; the opening
/// fence's indentation is taken off the code.
#[derive(Debug, Default)]
pub(crate) struct Extractor {
    line: String,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Before,
    Within(Fence),
    After,
}

#[derive(Debug)]
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Extractor {
    /// Takes the next piece of the text.
    pub(crate) fn push(&mut self, text: &str, sink: &mut impl FnMut(&str)) {
        let mut rest = text;
        while !matches!(self.state, State::After) && !rest.is_empty() {
            let (part, tail) = match rest.find('\n') {
                Some(end) => rest.split_at(end + 1),
                None => (rest, ""),
            };
            self.line.push_str(part);
            if part.ends_with('\n') {
                let line = std::mem::take(&mut self.line);
                self.take(&line, sink);
            }
            rest = tail;
        }
    }

    /// Ends the text; true when there was a block. One without a closing fence lasts to the end (section 4.5).
    pub(crate) fn end(&mut self, sink: &mut impl FnMut(&str)) -> bool {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.take(&line, sink);
        }
        !matches!(self.state, State::Before)
    }

    /// Returns how many bytes wait for the end of their line.
    pub(crate) const fn held(&self) -> usize {
        self.line.len()
    }

    fn take(&mut self, line: &str, sink: &mut impl FnMut(&str)) {
        match &self.state {
            State::Before => {
                if let Some(fence) = opening(line) {
                    self.state = State::Within(fence);
                }
            }
            State::Within(fence) if closes(line, fence) => self.state = State::After,
            State::Within(fence) => {
                let blanks = line
                    .bytes()
                    .take(fence.indent)
                    .take_while(|byte| *byte == b' ')
                    .count();
                sink(&line[blanks..]);
            }
            State::After => {}
        }
    }
}

fn opening(line: &str) -> Option<Fence> {
    let text = line.trim_start_matches([' ', '\t']);
    let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    let info = &text[length..];
    // A line such as ```code``` is inline code.
    (length >= 3 && !(mark == '`' && info.contains('`'))).then(|| Fence {
        mark,
        length,
        indent: line.len() - text.len(),
    })
}

fn closes(line: &str, fence: &Fence) -> bool {
    let text = line.trim();
    text.len() >= fence.length && text.chars().all(|c| c == fence.mark)
}

#[cfg(test)]
mod tests {
    use super::Extractor;

    fn extract(pieces: &[&str]) -> Option<String> {
        let mut code = String::new();
        let mut extractor = Extractor::default();
        for piece in pieces {
            extractor.push(piece, &mut |text| code.push_str(text));
        }
        extractor.end(&mut |text| code.push_str(text)).then_some(code)
    }

    #[test]
    fn the_first_block_is_found_wherever_the_text_is_cut() {
        for (text, code) in [
            ("Sure:\n```sh\nls -l\n```\nand\n```\nno\n```\n", Some("ls -l\n")),
            ("```\na\n```", Some("a\n")),
            ("~~~\n```\n~~~~\n", Some("```\n")),
            ("````md\n```\nx\n```\n````", Some("```\nx\n```\n")),
            (
                "1. do\n   ```py\n   if x:\n       y\n   ```\n",
                Some("if x:\n    y\n"),
            ),
            ("```\nnever closed", Some("never closed")),
            ("``` x", Some("")),
            ("```ls``` is inline\n", None),
            ("no code", None),
            ("", None),
        ] {
            for cut in 0..=text.len() {
                let seen = extract(&[&text[..cut], &text[cut..]]);
                assert_eq!(seen.as_deref(), code, "{text:?} cut at {cut}");
            }
        }
    }
}

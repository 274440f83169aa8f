//! Where the pieces of an answer go.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Told;
use qwen_shared::net::chat::{Delta, Summary};
use qwen_shared::net::ratelimit::Word;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::{escape_json, make_visible};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::args::{OutputArgs, Reasoning};
use super::extract::Extractor;
use super::markdown::Markdown;

/// What is written in one call at most, in bytes, and what a buffer keeps between calls.
const FULL: usize = 64 << 10;

/// The form of the answer on stdout.
#[derive(Debug)]
enum Form {
    /// The text, byte for byte.
    Plain,
    /// The text on a terminal without colours: as it is, but made harmless.
    Visible,
    /// Markdown drawn on a terminal.
    Drawn(Box<Markdown>),
    /// Nothing until the end: for one JSON object, and for JSON that is checked first.
    Held,
    /// One JSON line per event.
    Events,
}

/// The presenter of one answer: it gathers what is to be written, and writes it when told.
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    is_json: bool,
    reasoning: Reasoning,
    extractor: Option<Extractor>,
    reporter: Reporter,
    buffer: Vec<u8>,
    /// Reasoning on its way to standard error.
    aside: String,
    /// What is printed, where it is printed at the end.
    pub(crate) text: Option<String>,
    /// All that the model said, where a conversation goes on with it.
    pub(crate) said: Option<String>,
    thought: Option<String>,
    last: u8,
    has_thought: bool,
    has_text: bool,
    has_begun: bool,
}

impl Output {
    /// Makes the presenter. `keeps_said` asks for all that was said, for a session; `is_held` for nothing before the end.
    pub(crate) fn new(args: &OutputArgs, keeps_said: bool, is_held: bool, reporter: &Reporter) -> Self {
        let is_terminal = Stdout::is_terminal();
        let form = if args.events {
            Form::Events
        } else if args.json || is_held {
            Form::Held
        } else if !is_terminal {
            Form::Plain
        } else if args.extract || !reporter.color().wanted(true) {
            Form::Visible
        } else {
            Form::Drawn(Box::new(Markdown::new(columns)))
        };
        Self {
            text: matches!(form, Form::Held).then(String::new),
            said: keeps_said.then(String::new),
            form,
            is_json: args.json,
            reasoning: args.reasoning,
            extractor: args.extract.then(Extractor::default),
            reporter: reporter.clone(),
            buffer: Vec::new(),
            aside: String::new(),
            thought: args.json.then(String::new),
            last: b'\n',
            has_thought: false,
            has_text: false,
            has_begun: false,
        }
    }

    /// Takes a piece of the answer.
    pub(crate) fn take(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Reasoning(text) => self.take_thought(text),
            Delta::Text(text) => {
                if let Some(said) = &mut self.said {
                    said.push_str(text);
                }
                match self.extractor.take() {
                    None => self.take_text(text),
                    Some(mut extractor) => {
                        extractor.push(text, &mut |code| self.take_text(code));
                        self.extractor = Some(extractor);
                    }
                }
            }
        }
    }

    fn take_text(&mut self, text: &str) {
        if let Some(kept) = &mut self.text {
            kept.push_str(text);
        }
        if self.has_thought && !self.has_text && self.reasoning == Reasoning::Stdout {
            self.part_from_reasoning();
        }
        self.has_text = true;
        match &mut self.form {
            Form::Plain => self.buffer.extend_from_slice(text.as_bytes()),
            Form::Visible => add_visible(text, &mut self.buffer),
            Form::Drawn(markdown) => markdown.push(text, &mut self.buffer),
            Form::Held => {}
            Form::Events => text_event("text", text, &mut self.buffer),
        }
    }

    fn take_thought(&mut self, text: &str) {
        self.has_thought = true;
        if let Some(kept) = &mut self.thought {
            kept.push_str(text);
        }
        match (&self.form, self.reasoning) {
            (Form::Events, _) => text_event("reasoning", text, &mut self.buffer),
            (_, Reasoning::Stderr) => self.aside.push_str(text),
            (Form::Held, _) | (_, Reasoning::Drop) => {}
            (Form::Plain, Reasoning::Stdout) => self.buffer.extend_from_slice(text.as_bytes()),
            (Form::Visible | Form::Drawn(_), Reasoning::Stdout) => add_visible(text, &mut self.buffer),
        }
    }

    /// Puts a blank line between reasoning and answer.
    fn part_from_reasoning(&mut self) {
        if matches!(self.form, Form::Plain | Form::Visible | Form::Drawn(_)) {
            let last = self.buffer.last().copied().unwrap_or(self.last);
            self.buffer
                .extend_from_slice(if last == b'\n' { b"\n" } else { b"\n\n" });
        }
    }

    /// Returns how many bytes wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len() + self.aside.len()
    }

    /// True when what waits is to be written though more may be about to come: the first piece, which somebody is waiting
    /// for, and then as much as one call should take.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting() >= if self.has_begun { FULL } else { 1 }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// 74 when stdout takes no more.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.has_begun |= self.waiting() > 0;
        if !self.aside.is_empty() {
            self.reporter.flow(&self.aside);
            self.aside.clear();
        }
        if let Some(&last) = self.buffer.last() {
            Stdout::write(&self.buffer)?;
            self.last = last;
            self.buffer.clear();
            self.buffer.shrink_to(FULL);
        }
        Ok(())
    }

    /// Says that another try follows. Under `--events` it is an event too.
    pub(crate) fn announce(&mut self, told: &Told, server: &str) {
        self.reporter.notice(&told.words(server));
        if matches!(self.form, Form::Events) {
            wait_event(told, &mut self.buffer);
        }
    }

    /// Ends a whole answer: writes what was held back, and the newline that the text lacks.
    ///
    /// # Errors
    /// 74 when stdout takes no more.
    pub(crate) fn end(&mut self, report: &Report<'_>) -> Result<Exit, Failure> {
        let mut exit = Exit::Ok;
        if let Some(mut extractor) = self.extractor.take()
            && !extractor.end(&mut |code| self.take_text(code))
        {
            self.reporter.notice("the answer holds no fenced code block");
            exit = Exit::No;
        }
        self.end_aside();
        match &mut self.form {
            Form::Drawn(markdown) => markdown.end(&mut self.buffer),
            Form::Held if self.is_json => {
                report.add_json(self.text.as_deref(), self.thought.as_deref(), &mut self.buffer);
            }
            Form::Held => self.add_held(),
            Form::Events => report.add_event(&mut self.buffer),
            Form::Plain | Form::Visible => {}
        }
        if self.buffer.last().copied().unwrap_or(self.last) != b'\n' {
            self.buffer.push(b'\n');
        }
        self.flush()?;
        Ok(exit)
    }

    /// Ends an answer that failed. What came is written as it is; a pipe gets no newline that was not sent.
    ///
    /// # Errors
    /// 74 when stdout takes no more.
    pub(crate) fn fail(&mut self, report: &Report<'_>) -> Result<(), Failure> {
        if let Some(mut extractor) = self.extractor.take() {
            let _ = extractor.end(&mut |code| self.take_text(code));
        }
        self.end_aside();
        match &mut self.form {
            Form::Drawn(markdown) => markdown.end(&mut self.buffer),
            Form::Visible if self.buffer.last().copied().unwrap_or(self.last) != b'\n' => {
                self.buffer.push(b'\n')
            }
            Form::Held if self.is_json => {
                report.add_json(self.text.as_deref(), self.thought.as_deref(), &mut self.buffer);
            }
            Form::Held => self.add_held(),
            Form::Events => report.add_event(&mut self.buffer),
            Form::Plain | Form::Visible => {}
        }
        self.flush()
    }

    fn add_held(&mut self) {
        let text = self.text.as_deref().unwrap_or_default();
        if Stdout::is_terminal() {
            add_visible(text, &mut self.buffer);
        } else {
            self.buffer.extend_from_slice(text.as_bytes());
        }
    }

    /// Ends the line of reasoning on standard error.
    fn end_aside(&mut self) {
        if self.has_thought && self.reasoning == Reasoning::Stderr && !matches!(self.form, Form::Events) {
            self.aside.push('\n');
        }
    }

    /// True when the result is JSON, which can show tool calls and errors.
    pub(crate) const fn is_for_machines(&self) -> bool {
        self.is_json || matches!(self.form, Form::Events)
    }
}

fn add_visible(text: &str, buffer: &mut Vec<u8>) {
    let mut shown = String::with_capacity(text.len());
    make_visible(text, &mut shown);
    buffer.extend_from_slice(shown.as_bytes());
}

/// Returns the width of the terminal on stdout, now: it may have been resized.
fn columns() -> usize {
    rustix::termios::tcgetwinsize(rustix::stdio::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .filter(|&columns| columns > 0)
        .unwrap_or(80)
}

/// Says what an answer cost, for `--usage`.
pub(crate) fn cost(summary: &Summary, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let Some(usage) = &summary.usage else {
        return format!("{seconds:.1} s; the server did not count tokens");
    };
    let mut words = format!(
        "{} tokens in, {} out",
        usage.prompt_tokens, usage.completion_tokens
    );
    for (count, what) in [
        (usage.cached_tokens, "cached"),
        (usage.reasoning_tokens, "reasoning"),
    ] {
        if count > 0 {
            words.push_str(&format!(", {count} {what}"));
        }
    }
    format!("{words}; {seconds:.1} s")
}

/// What is known at the end, beside the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) error: Option<&'a Failure>,
}

impl Report<'_> {
    /// Appends the object of `--json`.
    pub(super) fn add_json(&self, text: Option<&str>, thought: Option<&str>, buffer: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert("text".into(), text.unwrap_or_default().into());
        self.add_members(&mut object);
        let thought = thought.filter(|thought| !thought.is_empty());
        object.insert("reasoning".into(), thought.into());
        self.add_times(&mut object);
        add_line(&object, buffer);
    }

    /// Appends the last event of `--events`: `end`, or `error`.
    pub(super) fn add_event(&self, buffer: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert(
            "type".into(),
            if self.error.is_some() { "error" } else { "end" }.into(),
        );
        self.add_members(&mut object);
        self.add_times(&mut object);
        add_line(&object, buffer);
    }

    fn add_members(&self, object: &mut Map<String, Value>) {
        let summary = self.summary;
        let reason = summary.finish_reason.as_ref().map(|reason| reason.as_str());
        let named = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        object.insert("finish_reason".into(), reason.into());
        object.insert("model".into(), named(&summary.model).into());
        object.insert("id".into(), named(&summary.id).into());
        let usage = summary.usage.as_ref().map(|usage| usage.raw.clone());
        object.insert("usage".into(), usage.into());
        if !summary.tool_calls.is_empty() {
            object.insert("tool_calls".into(), json!(summary.tool_calls));
        }
    }

    fn add_times(&self, object: &mut Map<String, Value>) {
        object.insert("attempts".into(), self.attempts.into());
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        object.insert("elapsed_ms".into(), elapsed.into());
        if let Some(failure) = self.error {
            object.insert("error".into(), error_json(failure));
        }
    }
}

/// Returns a failure as JSON: how the program exits, the message, the hints.
fn error_json(failure: &Failure) -> Value {
    let hints: Vec<&str> = failure.hints.iter().map(|hint| hint.0.as_str()).collect();
    json!({
        "exit": failure.exit.code(),
        "name": failure.exit.name(),
        "message": failure.message,
        "hints": hints,
    })
}

/// Appends an event that carries text.
pub(super) fn text_event(kind: &str, text: &str, buffer: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct TextEvent<'a> {
        r#type: &'a str,
        text: &'a str,
    }
    add_line(&TextEvent { r#type: kind, text }, buffer);
}

/// Appends the event of a pause: before another try, or for the quota.
pub(super) fn wait_event(told: &Told, buffer: &mut Vec<u8>) {
    let millis = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let event = match told {
        Told::Again(wait) => json!({
            "type": "retry",
            "reason": wait.reason,
            "attempt": wait.attempt,
            "wait_ms": millis(wait.pause),
        }),
        Told::Quota(Word::Wait(pause, reason)) => json!({
            "type": "wait",
            "reason": reason,
            "wait_ms": millis(*pause),
        }),
        Told::Quota(Word::Notice(_)) => return,
    };
    add_line(&event, buffer);
}

/// Appends one line of JSON. Characters that would act on a terminal are written as escapes: JSON is for programs, but
/// people look at it.
fn add_line(value: &impl Serialize, buffer: &mut Vec<u8>) {
    // Only a key that is no text, or a failing writer, could make this fail: there is neither.
    let json = serde_json::to_string(value).unwrap_or_default();
    buffer.extend_from_slice(escape_json(&json).as_bytes());
    buffer.push(b'\n');
}

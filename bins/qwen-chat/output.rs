//! The output of an answer: on stdout as text, Markdown or JSON; reasoning also on stderr.

use std::time::Duration;

use qwen_shared::exit::{Exit, Failure};
use qwen_shared::net::api::Event;
use qwen_shared::net::chat::{ANSWER_LIMIT, AnswerError, Delta, Summary};
use qwen_shared::net::http::Waiting;
use qwen_shared::net::ratelimit::Notice;
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::{escape_json, make_visible};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::args::{OutputArgs, Reasoning};
use super::extract::Extractor;
use super::markdown::{Markdown, Size};
use super::status_line::StatusLine;
use super::theme::theme;

/// From how many bytes on the buffer is written, and what it keeps between writes.
const FULL: usize = 64 << 10;

/// The form of the answer on stdout.
#[derive(Debug)]
enum Form {
    /// The text, byte for byte.
    Plain,
    /// The text with control characters made visible, for a terminal without colours.
    Escaped,
    /// Markdown rendered for a terminal.
    Rendered(Box<Markdown>),
    /// Nothing until the end: one JSON object, or JSON that is validated first.
    Buffered,
    /// One JSON line per event.
    Events,
}

/// The output of one answer. It is buffered until [`Output::flush`].
#[derive(Debug)]
pub(crate) struct Output {
    form: Form,
    is_json: bool,
    reasoning: Reasoning,
    extractor: Option<Extractor>,
    reporter: Reporter,
    buffer: Vec<u8>,
    /// The text so far, while none of it has been written: it may turn out to be reasoning.
    unwritten: String,
    /// Reasoning that waits to be written to stderr.
    stderr: String,
    /// The printed text, where it is printed at the end.
    pub(crate) text: Option<String>,
    /// The whole answer, where a conversation continues with it.
    pub(crate) answer: Option<String>,
    reasoning_text: Option<String>,
    last_written: u8,
    has_reasoning: bool,
    has_text: bool,
    has_written: bool,
    /// Reasoning was written as text.
    pub(crate) has_shown_reasoning: bool,
    /// Text of the answer has come, whether it was printed or not.
    has_answer: bool,
    has_written_stdout: bool,
    /// Lives until the first word is written.
    status: Option<StatusLine>,
}

impl Output {
    /// Makes an output. `keeps_answer` keeps the whole answer, for a session; `is_buffered` prints nothing before the end.
    pub(crate) fn new(args: &OutputArgs, keeps_answer: bool, is_buffered: bool, reporter: &Reporter) -> Self {
        let is_terminal = Stdout::is_terminal();
        let form = if args.events {
            Form::Events
        } else if args.json || is_buffered {
            Form::Buffered
        } else if !is_terminal {
            Form::Plain
        } else if args.extract || !can_draw() {
            Form::Escaped
        } else {
            Form::Rendered(Box::new(Markdown::new(size, theme(reporter))))
        };
        Self {
            text: matches!(form, Form::Buffered).then(String::new),
            answer: keeps_answer.then(String::new),
            form,
            is_json: args.json,
            reasoning: args.reasoning,
            extractor: args.extract.then(Extractor::default),
            reporter: reporter.clone(),
            buffer: Vec::new(),
            unwritten: String::new(),
            stderr: String::new(),
            reasoning_text: args.json.then(String::new),
            last_written: b'\n',
            has_reasoning: false,
            has_text: false,
            has_written: false,
            has_shown_reasoning: false,
            has_answer: false,
            has_written_stdout: false,
            status: None,
        }
    }

    /// Says on a terminal, from half a second on, that the answer is waited for. The line has to be kept alive.
    pub(crate) fn begin_wait(&mut self, model: &str) -> Option<StatusLine> {
        self.status = StatusLine::new(model, &self.reporter);
        self.status.clone()
    }

    /// Ends that.
    pub(crate) fn end_wait(&mut self) {
        if let Some(status) = self.status.take() {
            status.end();
        }
    }

    /// Adds a piece of the answer.
    pub(crate) fn push(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Reasoning(text) => self.push_reasoning(text),
            Delta::TextWasReasoning => self.take_back_text(),
            Delta::Text(text) => {
                self.has_answer |= !text.is_empty();
                if let Some(answer) = &mut self.answer {
                    answer.push_str(text);
                }
                if !self.has_written {
                    self.unwritten.push_str(text);
                }
                match self.extractor.take() {
                    None => self.push_text(text),
                    Some(mut extractor) => {
                        extractor.push(text, &mut |code| self.push_text(code));
                        self.extractor = Some(extractor);
                    }
                }
            }
        }
    }

    /// Makes reasoning of the text so far, as far as nobody has seen it.
    fn take_back_text(&mut self) {
        if let Some(answer) = &mut self.answer {
            answer.clear();
        }
        if self.has_written {
            self.has_shown_reasoning = true;
            if matches!(self.form, Form::Events) {
                add_line(&json!({ "type": "text_was_reasoning" }), &mut self.buffer);
            }
            return;
        }
        self.buffer.clear();
        (self.has_text, self.has_answer) = (false, false);
        if let Some(text) = &mut self.text {
            text.clear();
        }
        if let Some(extractor) = &mut self.extractor {
            *extractor = Extractor::default();
        }
        if let Form::Rendered(markdown) = &mut self.form {
            **markdown = Markdown::new(size, theme(&self.reporter));
        }
        let text = std::mem::take(&mut self.unwritten);
        self.push_reasoning(&text);
    }

    fn push_text(&mut self, text: &str) {
        if let Some(kept) = &mut self.text {
            kept.push_str(text);
        }
        if self.has_reasoning && !self.has_text && self.reasoning == Reasoning::Stdout {
            self.separate_from_reasoning();
        }
        self.has_text = true;
        match &mut self.form {
            Form::Plain => self.buffer.extend_from_slice(text.as_bytes()),
            Form::Escaped => add_escaped(text, &mut self.buffer),
            Form::Rendered(markdown) => markdown.push(text, &mut self.buffer),
            Form::Buffered => {}
            Form::Events => text_line("text", text, &mut self.buffer),
        }
    }

    fn push_reasoning(&mut self, text: &str) {
        self.has_reasoning = true;
        if let Some(status) = &self.status {
            status.reason();
        }
        if let Some(kept) = &mut self.reasoning_text {
            kept.push_str(text);
        }
        match (&self.form, self.reasoning) {
            (Form::Events, _) => text_line("reasoning", text, &mut self.buffer),
            (_, Reasoning::Stderr) => self.stderr.push_str(text),
            (Form::Buffered, _) | (_, Reasoning::Drop) => {}
            (Form::Plain, Reasoning::Stdout) => self.buffer.extend_from_slice(text.as_bytes()),
            (Form::Escaped | Form::Rendered(_), Reasoning::Stdout) => add_escaped(text, &mut self.buffer),
        }
    }

    /// Adds a blank line between reasoning and answer.
    fn separate_from_reasoning(&mut self) {
        if matches!(self.form, Form::Plain | Form::Escaped | Form::Rendered(_)) {
            self.end_line();
            self.buffer.push(b'\n');
        }
    }

    /// Returns how many bytes are not written yet.
    pub(crate) fn pending(&self) -> usize {
        let is_dirty = matches!(&self.form, Form::Rendered(markdown) if markdown.is_dirty());
        self.buffer.len() + self.stderr.len() + usize::from(is_dirty)
    }

    /// True when the buffer should be written although more may follow at once: for the first piece, which the user waits
    /// for, and then when it is full. True, too, when there is more to keep than [`Output::flush`] allows.
    pub(crate) fn should_flush(&self) -> bool {
        self.pending() >= if self.has_written { FULL } else { 1 } || self.kept() > ANSWER_LIMIT
    }

    /// Returns how many bytes are kept until the end of the answer.
    fn kept(&self) -> usize {
        let texts = [&self.text, &self.answer, &self.reasoning_text];
        let extractor = self.extractor.as_ref().map_or(0, Extractor::held);
        let kept: usize = texts.into_iter().flatten().map(String::len).sum();
        kept + self.unwritten.len() + extractor
    }

    /// Writes the buffer.
    ///
    /// # Errors
    /// 74 when stdout takes no more; 76 when what must be kept is too much.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.kept() > ANSWER_LIMIT {
            let error = AnswerError::TooMuch;
            return Err(Failure::new(error.exit(), error.to_string()));
        }
        if let Form::Rendered(markdown) = &mut self.form {
            markdown.draw(&mut self.buffer);
        }
        if self.pending() > 0 {
            self.has_written = true;
            self.unwritten = String::new();
            self.end_wait();
        }
        if !self.stderr.is_empty() {
            self.reporter.flow(&self.stderr);
            self.stderr.clear();
        }
        if let Some(&last) = self.buffer.last() {
            self.has_written_stdout = true;
            Stdout::write(&self.buffer)?;
            self.last_written = last;
            self.buffer.clear();
            self.buffer.shrink_to(FULL);
        }
        Ok(())
    }

    /// True as long as the answer may begin anew: none of its text has come, and nothing is on stdout that a new one would
    /// contradict. An event that says so may follow others.
    pub(crate) const fn may_restart(&self) -> bool {
        !self.has_answer && (!self.has_written_stdout || matches!(self.form, Form::Events))
    }

    /// Forgets what came of an answer that begins anew.
    pub(crate) fn restart(&mut self) {
        self.has_reasoning = false;
        if let Some(reasoning) = &mut self.reasoning_text {
            reasoning.clear();
        }
        if !matches!(self.form, Form::Events) {
            self.buffer.clear();
        }
    }

    /// Says what is waited for, and which limit will end that.
    pub(crate) fn report_silence(&mut self, waiting: &Waiting) {
        let (limit, _) = waiting.limit;
        self.make_room(0);
        self.hide_status();
        self.reporter.notice(&format!("{waiting} ({})", limit.flag()));
    }

    fn hide_status(&self) {
        if let Some(status) = &self.status {
            status.wipe();
        }
    }

    /// Takes what may still be drawn anew off the terminal, where other words are about to be written. It is drawn again
    /// below them. `typed` is how many cells the cursor was moved meanwhile. False where there is nothing of the kind.
    fn make_room(&mut self, typed: usize) -> bool {
        let mut erased = Vec::new();
        if let Form::Rendered(markdown) = &mut self.form {
            markdown.hide(typed, &mut erased);
        }
        // What fails here fails at the next flush, which reports it.
        let _ = Stdout::write(&erased);
        !erased.is_empty()
    }

    /// Makes room behind the `^C` that the terminal has shown.
    pub(crate) fn stop(&mut self) {
        if !self.make_room(2) && Stdout::is_terminal() {
            let _ = Stdout::write(b"\n");
        }
    }

    /// Reports what happens before the answer, with `--events` also on stdout.
    pub(crate) fn notify(&mut self, event: &Event) {
        if self.has_reasoning && self.reasoning == Reasoning::Stderr {
            // A line of reasoning may have broken off.
            self.stderr.push('\n');
            self.reporter.flow(&std::mem::take(&mut self.stderr));
        }
        self.hide_status();
        self.reporter.notice(&event.to_string());
        if matches!(self.form, Form::Events) {
            event_line(event, &mut self.buffer);
        }
    }

    /// Ends a complete answer: writes the rest, and a newline where the text ends without one.
    ///
    /// # Errors
    /// 74 when stdout takes no more.
    pub(crate) fn end(&mut self, report: &Report<'_>) -> Result<Exit, Failure> {
        let has_code = self.add_rest(report);
        if !has_code {
            self.reporter.notice("the answer holds no fenced code block");
        }
        self.end_line();
        self.flush()?;
        Ok(if has_code { Exit::Ok } else { Exit::No })
    }

    /// Ends an answer that failed. A pipe gets no newline that was not sent.
    ///
    /// # Errors
    /// 74 when stdout takes no more.
    pub(crate) fn fail(&mut self, report: &Report<'_>) -> Result<(), Failure> {
        self.add_rest(report);
        if matches!(self.form, Form::Escaped) {
            self.end_line();
        }
        self.flush()
    }

    /// Adds what was held back; false when `--extract` found no code block.
    fn add_rest(&mut self, report: &Report<'_>) -> bool {
        let extractor = self.extractor.take();
        let has_code = extractor.is_none_or(|mut extractor| extractor.end(&mut |code| self.push_text(code)));
        if self.has_reasoning && self.reasoning == Reasoning::Stderr && !matches!(self.form, Form::Events) {
            self.stderr.push('\n');
        }
        match &mut self.form {
            Form::Rendered(markdown) => markdown.end(&mut self.buffer),
            Form::Buffered if self.is_json => {
                let (text, reasoning) = (self.text.as_deref(), self.reasoning_text.as_deref());
                report.add_json(text, reasoning, &mut self.buffer);
            }
            Form::Buffered => self.add_buffered(),
            Form::Events => report.add_event(&mut self.buffer),
            Form::Plain | Form::Escaped => {}
        }
        has_code
    }

    fn end_line(&mut self) {
        if self.last_byte() != b'\n' {
            self.buffer.push(b'\n');
        }
    }

    fn last_byte(&self) -> u8 {
        self.buffer.last().copied().unwrap_or(self.last_written)
    }

    fn add_buffered(&mut self) {
        let text = self.text.as_deref().unwrap_or_default();
        if Stdout::is_terminal() {
            add_escaped(text, &mut self.buffer);
        } else {
            self.buffer.extend_from_slice(text.as_bytes());
        }
    }

    /// True when the result is JSON, which can hold tool calls and errors.
    pub(crate) const fn is_json_output(&self) -> bool {
        self.is_json || matches!(self.form, Form::Events)
    }
}

fn add_escaped(text: &str, buffer: &mut Vec<u8>) {
    let mut shown = String::with_capacity(text.len());
    make_visible(text, &mut shown);
    buffer.extend_from_slice(shown.as_bytes());
}

/// Returns the current size of the terminal on stdout.
fn size() -> Size {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok();
    let or = |said: Option<u16>, usual| said.filter(|&cells| cells > 0).map_or(usual, usize::from);
    Size {
        columns: or(size.map(|size| size.ws_col), 80),
        rows: or(size.map(|size| size.ws_row), 24),
    }
}

/// True for a terminal that can move its cursor.
fn can_draw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// What is known at the end, except the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) summary: &'a Summary,
    pub(crate) attempts: u32,
    pub(crate) elapsed: Duration,
    pub(crate) error: Option<&'a Failure>,
    /// What a hint says is what it would print.
    pub(crate) reporter: &'a Reporter,
}

impl Report<'_> {
    /// Appends the object of `--json`.
    pub(super) fn add_json(&self, text: Option<&str>, reasoning: Option<&str>, buffer: &mut Vec<u8>) {
        let mut object = Map::new();
        object.insert("text".into(), text.unwrap_or_default().into());
        self.add_members(&mut object);
        let reasoning = reasoning.filter(|reasoning| !reasoning.is_empty());
        object.insert("reasoning".into(), reasoning.into());
        self.add_times(&mut object);
        if Stdout::is_terminal() {
            let json = serde_json::to_string_pretty(&object).unwrap_or_default();
            buffer.extend_from_slice(escape_json(&json).as_bytes());
            buffer.push(b'\n');
        } else {
            add_line(&object, buffer);
        }
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
        object.insert("usage".into(), summary.usage.clone().into());
        if !summary.tool_calls.is_empty() {
            object.insert("tool_calls".into(), json!(summary.tool_calls));
        }
    }

    fn add_times(&self, object: &mut Map<String, Value>) {
        object.insert("attempts".into(), self.attempts.into());
        let elapsed = u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX);
        object.insert("elapsed_ms".into(), elapsed.into());
        if let Some(failure) = self.error {
            object.insert("error".into(), error_json(failure, self.reporter));
        }
    }
}

/// Returns a failure as JSON: how the program exits, the message, the hints.
fn error_json(failure: &Failure, reporter: &Reporter) -> Value {
    let hints: Vec<String> = failure
        .hints
        .iter()
        .map(|hint| reporter.hint_text(&hint.0))
        .collect();
    json!({
        "exit": failure.exit.code(),
        "name": failure.exit.name(),
        "message": failure.message,
        "hints": hints,
    })
}

/// Appends an event that carries text.
pub(super) fn text_line(kind: &str, text: &str, buffer: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct TextEvent<'a> {
        r#type: &'a str,
        text: &'a str,
    }
    add_line(&TextEvent { r#type: kind, text }, buffer);
}

/// Appends the event of a pause before another attempt or for the rate limit.
pub(super) fn event_line(event: &Event, buffer: &mut Vec<u8>) {
    let millis = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let event = match event {
        Event::Retry {
            reason,
            pause,
            attempt,
            ..
        } => json!({
            "type": "retry",
            "reason": reason,
            "attempt": attempt,
            "wait_ms": millis(*pause),
        }),
        Event::RateLimit(Notice::Wait(pause, reason)) => json!({
            "type": "wait",
            "reason": reason,
            "wait_ms": millis(*pause),
        }),
        Event::RateLimit(Notice::Warning(_)) => return,
    };
    add_line(&event, buffer);
}

/// Appends one line of JSON, in which characters that would act on a terminal are escaped.
fn add_line(value: &impl Serialize, buffer: &mut Vec<u8>) {
    // Only a key that is no text, or a failing writer, could make this fail: there is neither.
    let json = serde_json::to_string(value).unwrap_or_default();
    buffer.extend_from_slice(escape_json(&json).as_bytes());
    buffer.push(b'\n');
}

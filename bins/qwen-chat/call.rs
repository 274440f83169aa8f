//! A question, and the reading of its answer.

use std::sync::Arc;
use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::api::{self, AnswerSink, Call, Client, Endpoint, Error, Event, read_answer};
use qwen_shared::net::chat::{AnswerReader, Asked, Change, ChatBody, Delta, Dialect, Form, Summary};
use qwen_shared::net::http::{self, Bytes, Waiting};
use qwen_shared::signal::Caught;
use tokio::time::Instant;

use super::interrupt::until_interrupted;
use super::message::Message;
use super::output::Output;
use super::status_line::StatusLine;

/// What came of a question.
pub(crate) struct Response {
    /// The output, with what it holds back until the end.
    pub(crate) output: Output,
    /// What is known about the answer.
    pub(crate) summary: Summary,
    /// How often the request was sent.
    pub(crate) attempts: u32,
    /// How long it all took.
    pub(crate) elapsed: Duration,
    /// Why there is no complete answer.
    pub(crate) failure: Option<Failure>,
}

/// Asks a question and writes its answer. With `ctrl_c`, Ctrl-C ends the answer instead of the program.
///
/// # Errors
/// Only a bug of ours; whatever goes wrong with the request is in [`Response::failure`].
pub(crate) fn ask(
    client: &Client,
    body: ChatBody,
    messages: Vec<Message>,
    mut output: Output,
    ctrl_c: Option<&Arc<Caught>>,
) -> Result<Response, Failure> {
    let started = Instant::now();
    let model = client.endpoint().settings().model.value.clone();
    let line = output.begin_wait(&model);
    let mut call = ChatCall {
        model,
        body,
        messages,
        json: None,
        output,
        dialect: Dialect::default(),
        reader: None,
        summary: Summary::default(),
        attempts: 0,
    };
    let (asking, ctrl_c) = (client.clone(), ctrl_c.cloned());
    let (call, result) = api::run(async move {
        let work = until_interrupted(ctrl_c, asking.call(&mut call));
        let result = with_line(line, work).await;
        (call, result)
    })?;
    let is_stopped = matches!(result, Err(Error::Stopped));
    let failure = result.err().map(|error| client.failure(error, Asked::Chat));
    let mut response = call.into_response(started.elapsed(), is_stopped, failure);
    redact(&mut response.summary, client);
    Ok(response)
}

/// Removes from what messages say of an answer the secrets that the request carried.
fn redact(summary: &mut Summary, client: &Client) {
    for caveat in &mut summary.caveats {
        *caveat = client.redacted(std::mem::take(caveat));
    }
    for call in &mut summary.tool_calls {
        call.name = client.redacted(std::mem::take(&mut call.name));
    }
}

/// Does work, and keeps the line alive meanwhile that says so.
async fn with_line<T>(
    line: Option<StatusLine>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(line) = line else {
        return work.await;
    };
    tokio::select! {
        result = work => result,
        () = line.live() => Err(Error::Stopped),
    }
}

struct ChatCall {
    model: String,
    body: ChatBody,
    messages: Vec<Message>,
    /// The request's body as it was last sent.
    json: Option<(Form, Bytes)>,
    output: Output,
    dialect: Dialect,
    /// The reader of an answer that has begun.
    reader: Option<AnswerReader>,
    /// What is known about an answer that has ended.
    summary: Summary,
    attempts: u32,
}

impl ChatCall {
    fn into_response(mut self, elapsed: Duration, is_stopped: bool, failure: Option<Failure>) -> Response {
        let output = &mut self.output;
        output.end_wait();
        if is_stopped {
            output.stop();
        }
        // Of an answer that broke, what the reader held back and what it knows.
        if let Some(mut reader) = self.reader {
            reader.close(&mut |delta| output.push(delta));
            self.summary = reader.into_summary();
        }
        Response {
            output: self.output,
            summary: self.summary,
            attempts: self.attempts,
            elapsed,
            failure,
        }
    }
}

impl Call for ChatCall {
    type Output = ();

    fn model(&self) -> Option<&str> {
        Some(&self.model)
    }

    fn request(&mut self, endpoint: &Endpoint, form: Form) -> Result<http::Request, Error> {
        self.attempts += 1;
        self.dialect = Dialect {
            choices: self.body.choices(),
            ..endpoint.dialect()
        };
        let json = match self.json.take() {
            Some((known, json)) if known == form => json,
            _ => self.body.to_json(&self.messages, form)?.into(),
        };
        self.json = Some((form, json.clone()));
        Ok(endpoint.chat_request(json)?)
    }

    async fn read(&mut self, response: http::Response) -> Result<(), Error> {
        let content_type = response.header("content-type");
        let reader = self
            .reader
            .insert(AnswerReader::new(content_type).dialect(self.dialect));
        read_answer(response, reader, &mut self.output).await?;
        // JSON in one piece is only parsed here.
        let output = &mut self.output;
        let Some(reader) = self.reader.take() else {
            return Ok(());
        };
        let finished = reader.finish(&mut |delta| output.push(delta));
        let (summary, result) = match finished {
            Ok(summary) => (summary, Ok(())),
            Err((error, summary)) => (summary, Err(error.into())),
        };
        self.summary = summary;
        result
    }

    fn may_repeat(&self, _: &Error) -> bool {
        self.output.may_restart()
    }

    fn restart(&mut self) {
        self.reader = None;
        self.summary = Summary::default();
        self.output.restart();
    }

    fn allows(&self, change: Change) -> bool {
        self.body.allows(change)
    }

    fn notify(&mut self, event: &Event) {
        self.output.notify(event);
    }

    fn waits(&mut self, waiting: &Waiting) {
        self.output.report_silence(waiting);
    }
}

impl AnswerSink for Output {
    fn push(&mut self, delta: Delta<'_>) {
        Self::push(self, delta);
    }

    fn should_flush(&self) -> bool {
        Self::should_flush(self)
    }

    fn has_pending(&self) -> bool {
        self.pending() > 0
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Self::flush(self)
    }

    fn is_silent(&mut self, waiting: &Waiting) {
        self.report_silence(waiting);
    }
}

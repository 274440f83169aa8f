//! Requests: one per line of the input, merged with the defaults of provider, profile and command line.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use qwen_shared::exit::Failure;
use qwen_shared::input::{system_prompt, text_or_file};
use qwen_shared::net::chat::{Form, merge, parse_params};
use qwen_shared::output::Reporter;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::args::RequestArgs;
use super::digest::RequestDigest;
use super::input::{InputLine, LINE_LIMIT};
use super::input_format::is_half_pair;
use super::parameters::{is_parameter, nearest_parameter};

/// How every path begins; a line may leave it out.
const VERSION: &str = "/v1/";
/// The path of a line that has no `url`.
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// The member that limits the length of an answer.
pub(crate) const LENGTH_LIMIT: &str = "max_tokens";
/// The longest answer to a health check, in tokens: the least that all servers accept.
const HEALTH_CHECK_TOKENS: u64 = 16;
/// Where a line of plain text goes in a template.
const PLACEHOLDER: &str = "{}";
/// Of so many names of members it is said that they look like a parameter's.
const MOST_NAMES: usize = 1_000;

/// The members of a request's body.
type Body = Map<String, Value>;

/// One line of OpenAI's batch input format.
#[derive(Debug)]
pub(crate) struct BatchRequest {
    pub(crate) custom_id: String,
    /// False where the name comes from the line's text.
    pub(crate) is_named: bool,
    /// The path with its version, `/v1/…`.
    pub(crate) url: String,
    pub(crate) body: Body,
}

impl BatchRequest {
    pub(crate) fn is_chat(&self) -> bool {
        self.url == CHAT
    }

    /// Returns the digest of what is asked: path, model, messages, parameters.
    pub(crate) fn digest(&self) -> RequestDigest {
        RequestDigest::of(&self.url, &self.body)
    }

    pub(crate) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns how many choices it asks for; 0 where it does not say.
    pub(crate) fn choices(&self) -> u64 {
        self.body.get("n").and_then(Value::as_u64).unwrap_or_default()
    }

    /// Returns the body as JSON. A stream is asked for only where the form says so: a result holds the whole answer.
    pub(crate) fn to_json(&self, form: Form) -> Result<Vec<u8>, serde_json::Error> {
        if form.stream != Some(true) {
            return serde_json::to_vec(&self.body);
        }
        let mut body = self.body.clone();
        body.insert("stream".to_owned(), true.into());
        if !form.without_stream_options {
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        serde_json::to_vec(&body)
    }

    /// Returns a short request to the same model and path, which tells whether the server is there; `None` where it is not
    /// known how to ask one. Some models refuse the limit on the length of the answer.
    pub(crate) fn health_check(&self, is_limited: bool) -> Option<Self> {
        const TEXT: &str = "Reply with OK.";
        let (member, input, limit) = match self.url.as_str() {
            CHAT => (
                "messages",
                json!([{"role": "user", "content": TEXT}]),
                Some(LENGTH_LIMIT),
            ),
            "/v1/completions" => ("prompt", TEXT.into(), Some(LENGTH_LIMIT)),
            "/v1/responses" => ("input", TEXT.into(), Some("max_output_tokens")),
            "/v1/embeddings" => ("input", TEXT.into(), None),
            _ => return None,
        };
        let mut body = Map::from_iter([
            ("model".to_owned(), self.model().into()),
            (member.to_owned(), input),
        ]);
        if let Some(limit) = limit.filter(|_| is_limited) {
            body.insert(limit.to_owned(), HEALTH_CHECK_TOKENS.into());
        }
        Some(Self {
            custom_id: String::new(),
            is_named: false,
            url: self.url.clone(),
            body,
        })
    }

    /// Returns the line for an input file of the Batch API, line end included.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(&json!({
            "custom_id": self.custom_id,
            "method": "POST",
            "url": self.url,
            "body": self.body,
        }))?;
        line.push(b'\n');
        Ok(line)
    }
}

/// A line that is not a valid request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidLine {
    /// The line's own ID if it could be read, else the name that its text gives it.
    pub(crate) custom_id: String,
    pub(crate) is_named: bool,
    pub(crate) reason: String,
}

/// Returns the name of a line that has no ID of its own: the same wherever it stands.
pub(crate) fn name_of_text(line: &InputLine) -> String {
    RequestDigest::of_line(&line.content).name()
}

/// Returns the name that version 0.1 gave to a line without an ID.
pub(crate) fn positional_name(number: u64) -> String {
    format!("line-{number}")
}

/// Builds requests from lines: the members of provider and profile, then the line's, then the command line's. Later
/// ones override earlier ones.
#[derive(Debug)]
pub(crate) struct RequestBuilder {
    /// Set when lines are plain text.
    template: Option<String>,
    system: Option<String>,
    /// The model of lines that have none.
    model: String,
    defaults: Body,
    overrides: Body,
    /// Names of members that are no parameters, as far as they have been met.
    judged: Mutex<BTreeSet<String>>,
    reporter: Reporter,
}

impl RequestBuilder {
    /// `model` and `defaults` are those of the settings.
    ///
    /// # Errors
    /// Those of [`parse_params`], [`text_or_file`] and [`system_prompt`].
    pub(crate) fn new(
        args: &RequestArgs,
        model: &str,
        defaults: &Body,
        reporter: &Reporter,
    ) -> Result<Self, Failure> {
        let mut overrides = Map::new();
        if let Some(model) = &args.model {
            overrides.insert("model".to_owned(), model.as_str().into());
        }
        overrides.extend(parse_params(&args.param)?);
        let template = args.template.as_deref();
        Ok(Self {
            template: template
                .map(|template| text_or_file(template, "the template"))
                .transpose()?,
            system: args.system.as_deref().map(system_prompt).transpose()?,
            model: model.to_owned(),
            defaults: defaults.clone(),
            overrides,
            judged: Mutex::default(),
            reporter: reporter.clone(),
        })
    }

    /// True when lines are plain text.
    pub(crate) const fn takes_plain_text(&self) -> bool {
        self.template.is_some()
    }

    /// Builds the request of a line.
    ///
    /// # Errors
    /// The line is malformed.
    pub(crate) fn build(&self, line: &InputLine) -> Result<BatchRequest, InvalidLine> {
        let mut own = None;
        let request = self.build_from(line, &mut own);
        let is_named = own.is_some();
        let custom_id = own.unwrap_or_else(|| name_of_text(line));
        match request {
            Ok((url, body)) => Ok(BatchRequest {
                custom_id,
                is_named,
                url,
                body,
            }),
            Err(reason) => Err(InvalidLine {
                custom_id,
                is_named,
                reason,
            }),
        }
    }

    /// Returns path and body; puts the line's own ID into `id` as soon as it is known.
    fn build_from(&self, line: &InputLine, id: &mut Option<String>) -> Result<(String, Body), String> {
        if !line.is_whole {
            return Err(format!("longer than {LINE_LIMIT} bytes"));
        }
        let text = std::str::from_utf8(&line.content).map_err(|error| {
            let at = error.valid_up_to();
            let what = match is_half_pair(&line.content[at..]) {
                true => "half a character (a lone surrogate)",
                false => "invalid UTF-8",
            };
            format!("{what} at byte {at} of the line")
        })?;
        if let Some(template) = &self.template {
            return Ok(self.chat(self.messages(&fill(template, text), None)));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            // The line number of the parser is always 1.
            let reason = error.to_string().replace(" at line 1 column ", " at column ");
            format!("not valid JSON: {reason}")
        })?;
        let Value::Object(members) = value else {
            return Err("not a JSON object".to_owned());
        };
        *id = custom_id(&members, text)?;
        self.build_object(members)
    }

    fn build_object(&self, mut members: Map<String, Value>) -> Result<(String, Body), String> {
        match members.get("method") {
            None | Some(Value::Null) => {}
            Some(Value::String(method)) if method.eq_ignore_ascii_case("POST") => {}
            Some(_) => return Err("'method' is not POST".to_owned()),
        }
        let url = url(&members)?;
        let mut own = match members.get_mut("body").map(Value::take) {
            Some(Value::Object(body)) => body,
            Some(_) => return Err("'body' is not an object".to_owned()),
            None if url != CHAT => return Err("'url' without 'body'".to_owned()),
            None => self.prompt(&mut members)?,
        };
        self.add_parameters(members, &mut own);
        if url == CHAT {
            validate_messages(own.get("messages"))?;
            return Ok(self.chat(own));
        }
        self.set_model(&mut own);
        merge(&mut own, &self.overrides);
        Ok((url, own))
    }

    /// Adds the parameters of a request that stand beside `prompt`, `messages` or `body`; those within `body` count more.
    fn add_parameters(&self, members: Map<String, Value>, own: &mut Body) {
        for (name, value) in members {
            if name == "extra_body"
                && let Value::Object(extra) = value
            {
                self.add_parameters(extra, own);
            } else if is_parameter(&name) {
                own.entry(name).or_insert(value);
            } else {
                self.judge(&name);
            }
        }
    }

    /// Says once of each name that it is no parameter, though it looks like one. A file has the same few names in each of
    /// its lines: each is looked at once.
    fn judge(&self, name: &str) {
        let mut judged = self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if judged.contains(name) || judged.len() >= MOST_NAMES {
            return;
        }
        judged.insert(name.to_owned());
        if let Some(nearest) = nearest_parameter(name) {
            self.reporter
                .notice(&format!("'{name}' was not sent: did you mean '{nearest}'?"));
        }
    }

    /// Returns the messages of a line without a body.
    fn prompt(&self, members: &mut Map<String, Value>) -> Result<Body, String> {
        let system = match members.get_mut("system").map(Value::take) {
            None | Some(Value::Null) => None,
            Some(Value::String(system)) => Some(system),
            Some(_) => return Err("'system' is not a string".to_owned()),
        };
        let messages = members.get_mut("messages").map(Value::take);
        match (members.get("prompt"), messages) {
            (Some(Value::String(prompt)), _) if !prompt.trim().is_empty() => {
                Ok(self.messages(prompt, system.as_deref()))
            }
            (Some(Value::String(_)), _) => Err("'prompt' is empty".to_owned()),
            (Some(_), _) => Err("'prompt' is not a string".to_owned()),
            (None, Some(Value::Array(messages))) => Ok(self.with_system(messages, system.as_deref())),
            (None, Some(_)) => Err("'messages' is not a list".to_owned()),
            (None, None) => Err("no 'body', no 'messages' and no 'prompt'".to_owned()),
        }
    }

    /// Puts a system prompt before messages that have none.
    fn with_system(&self, mut messages: Vec<Value>, system: Option<&str>) -> Body {
        let is_system = |message: &Value| matches!(message["role"].as_str(), Some("system" | "developer"));
        if let Some(system) = system.or(self.system.as_deref())
            && !messages.iter().any(is_system)
            && !messages.is_empty()
        {
            messages.insert(0, json!({"role": "system", "content": system}));
        }
        Map::from_iter([("messages".to_owned(), messages.into())])
    }

    /// Returns the messages of a prompt; the line's own system prompt overrides the run's.
    fn messages(&self, prompt: &str, system: Option<&str>) -> Map<String, Value> {
        let mut messages = Vec::new();
        if let Some(system) = system.or(self.system.as_deref()) {
            messages.push(json!({"role": "system", "content": system}));
        }
        messages.push(json!({"role": "user", "content": prompt}));
        Map::from_iter([("messages".to_owned(), messages.into())])
    }

    /// Never streamed: a result holds the whole answer.
    fn chat(&self, own: Body) -> (String, Body) {
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.as_str().into());
        merge(&mut body, &self.defaults);
        for (name, value) in own {
            match (value, body.get_mut(&name)) {
                // The default one.
                (Value::Null, _) if name == "model" => {}
                (Value::Null, _) => {
                    body.shift_remove(&name);
                }
                (Value::Object(inner), Some(Value::Object(below))) => merge(below, &inner),
                (value, _) => {
                    body.insert(name, value);
                }
            }
        }
        merge(&mut body, &self.overrides);
        body.shift_remove("stream");
        body.shift_remove("stream_options");
        (CHAT.to_owned(), body)
    }

    /// Sets the model of a request that names none.
    fn set_model(&self, body: &mut Body) {
        let model = body.entry("model").or_insert(Value::Null);
        if model.is_null() {
            *model = self.model.as_str().into();
        }
    }
}

/// Returns name and digest of a request as a Batch API was given it: the digest is that of the same request here; `None`
/// where the line is none.
pub(crate) fn submitted_request(line: &[u8]) -> Option<(String, RequestDigest)> {
    let line = std::str::from_utf8(line).ok()?;
    let Value::Object(mut members) = serde_json::from_str(line).ok()? else {
        return None;
    };
    let name = custom_id(&members, line).ok()??;
    let url = url(&members).ok()?;
    let Value::Object(mut body) = members.get_mut("body")?.take() else {
        return None;
    };
    if url == CHAT {
        body.retain(|_, value| !value.is_null());
        body.shift_remove("stream");
        body.shift_remove("stream_options");
    }
    Some((name, RequestDigest::of(&url, &body)))
}

/// Returns the path of a line's request.
fn url(members: &Map<String, Value>) -> Result<String, String> {
    let url = match members.get("url") {
        None | Some(Value::Null) => return Ok(CHAT.to_owned()),
        Some(Value::String(url)) if url.starts_with(VERSION) => url.clone(),
        // As in files for Azure's deployments.
        Some(Value::String(url)) => format!("/v1{url}"),
        Some(_) => return Err("'url' is not a string".to_owned()),
    };
    validate_url(&url)?;
    Ok(url)
}

fn validate_messages(messages: Option<&Value>) -> Result<(), String> {
    match messages {
        Some(Value::Array(messages)) if !messages.is_empty() => Ok(()),
        Some(Value::Array(_)) => Err("'messages' is empty".to_owned()),
        Some(_) => Err("'messages' is not a list".to_owned()),
        None => Err("the body has no 'messages'".to_owned()),
    }
}

fn fill(template: &str, line: &str) -> String {
    if template.contains(PLACEHOLDER) {
        template.replace(PLACEHOLDER, line)
    } else if template.trim().is_empty() {
        line.to_owned()
    } else {
        format!("{}\n\n{line}", template.trim_end())
    }
}

/// Returns the line's `custom_id`; a prompt may call it `id`. A number is its text as it stands in the line: as a number it
/// might be rounded to that of another line.
fn custom_id(members: &Map<String, Value>, line: &str) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Ids<'a> {
        #[serde(borrow, default)]
        custom_id: Option<&'a RawValue>,
        #[serde(borrow, default)]
        id: Option<&'a RawValue>,
    }
    let (id, is_own) = match members.get("custom_id") {
        None | Some(Value::Null) if !members.contains_key("body") => (members.get("id"), false),
        other => (other, true),
    };
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.is_empty() => Ok(Some(id.clone())),
        Some(Value::String(_)) => Err("'custom_id' is empty".to_owned()),
        Some(Value::Number(number)) => {
            let written = serde_json::from_str::<Ids<'_>>(line).ok();
            let written = written.and_then(|ids| if is_own { ids.custom_id } else { ids.id });
            Ok(Some(
                written.map_or_else(|| number.to_string(), |id| id.get().to_owned()),
            ))
        }
        Some(_) => Err("'custom_id' is not a string".to_owned()),
    }
}

/// Accepts plain paths below `/v1/` only, because the key goes with the request.
fn validate_url(url: &str) -> Result<(), String> {
    let is_plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match url.strip_prefix(VERSION) {
        Some(rest) if rest.split('/').all(is_plain) => Ok(()),
        _ => Err("'url' is not a path such as /v1/chat/completions".to_owned()),
    }
}

//! Requests: one per line of the input, merged with the defaults of provider, profile and command line.

use qwen_shared::exit::Failure;
use qwen_shared::input::{system_prompt, text_or_file};
use qwen_shared::net::chat::{Form, merge, parse_params};
use serde_json::{Map, Value, json};

use super::args::RequestArgs;
use super::input::{InputLine, LINE_LIMIT};

/// How every path begins; a line may leave it out.
const VERSION: &str = "/v1/";
/// The path of a line that has no `url`.
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// Where a line of plain text goes in a template.
const PLACEHOLDER: &str = "{}";

/// One line of OpenAI's batch input format.
#[derive(Debug)]
pub(crate) struct BatchRequest {
    pub(crate) custom_id: String,
    /// The path with its version, `/v1/…`.
    pub(crate) url: String,
    pub(crate) body: Map<String, Value>,
}

impl BatchRequest {
    pub(crate) fn is_chat(&self) -> bool {
        self.url == CHAT
    }

    pub(crate) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
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
    /// The line's own ID if it could be read, else its default ID.
    pub(crate) custom_id: String,
    pub(crate) reason: String,
}

/// Returns the ID of a line that has none of its own. It is the same in every run over the same file.
pub(crate) fn default_id(number: u64) -> String {
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
    defaults: Map<String, Value>,
    overrides: Map<String, Value>,
}

impl RequestBuilder {
    /// `model` and `defaults` are those of the settings.
    ///
    /// # Errors
    /// Those of [`parse_params`], [`text_or_file`] and [`system_prompt`].
    pub(crate) fn new(
        args: &RequestArgs,
        model: &str,
        defaults: &Map<String, Value>,
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
        })
    }

    /// Builds the request of a line.
    ///
    /// # Errors
    /// The line is malformed.
    pub(crate) fn build(&self, line: &InputLine) -> Result<BatchRequest, InvalidLine> {
        let mut custom_id = default_id(line.number);
        self.build_from(line, &mut custom_id)
            .map_err(|reason| InvalidLine { custom_id, reason })
    }

    /// Replaces the default ID by the line's own as soon as it is known.
    fn build_from(&self, line: &InputLine, id: &mut String) -> Result<BatchRequest, String> {
        let Some(content) = &line.content else {
            return Err(format!("longer than {LINE_LIMIT} bytes"));
        };
        let text = std::str::from_utf8(content)
            .map_err(|error| format!("invalid UTF-8 at byte {} of the line", error.valid_up_to()))?;
        if let Some(template) = &self.template {
            let own = self.messages(&fill(template, text), None);
            return Ok(self.chat(id.clone(), &own));
        }
        let value: Value = serde_json::from_str(text).map_err(|error| {
            // The line number of the parser is always 1.
            let reason = error.to_string().replace(" at line 1 column ", " at column ");
            format!("not valid JSON: {reason}")
        })?;
        let Value::Object(members) = value else {
            return Err("not a JSON object".to_owned());
        };
        if let Some(own) = custom_id(&members)? {
            *id = own;
        }
        self.build_object(&members, id.clone())
    }

    fn build_object(&self, members: &Map<String, Value>, custom_id: String) -> Result<BatchRequest, String> {
        let Some(body) = members.get("body") else {
            return self.build_prompt(members, custom_id);
        };
        let Value::Object(body) = body else {
            return Err("'body' is not an object".to_owned());
        };
        match members.get("method") {
            None | Some(Value::Null) => {}
            Some(Value::String(method)) if method.eq_ignore_ascii_case("POST") => {}
            Some(_) => return Err("'method' is not POST".to_owned()),
        }
        let url = match members.get("url") {
            None | Some(Value::Null) => CHAT.to_owned(),
            Some(Value::String(url)) if url.starts_with(VERSION) => url.clone(),
            // As in files for Azure's deployments.
            Some(Value::String(url)) => format!("/v1{url}"),
            Some(_) => return Err("'url' is not a string".to_owned()),
        };
        validate_url(&url)?;
        if url != CHAT {
            let mut body = body.clone();
            body.entry("model").or_insert_with(|| self.model.as_str().into());
            merge(&mut body, &self.overrides);
            return Ok(BatchRequest { custom_id, url, body });
        }
        match body.get("messages") {
            Some(Value::Array(messages)) if !messages.is_empty() => Ok(self.chat(custom_id, body)),
            Some(Value::Array(_)) => Err("'messages' is empty".to_owned()),
            Some(_) => Err("'messages' is not a list".to_owned()),
            None => Err("the body has no 'messages'".to_owned()),
        }
    }

    fn build_prompt(&self, members: &Map<String, Value>, custom_id: String) -> Result<BatchRequest, String> {
        let system = match members.get("system") {
            None | Some(Value::Null) => None,
            Some(Value::String(system)) => Some(system.as_str()),
            Some(_) => return Err("'system' is not a string".to_owned()),
        };
        match members.get("prompt") {
            Some(Value::String(prompt)) if !prompt.trim().is_empty() => {
                Ok(self.chat(custom_id, &self.messages(prompt, system)))
            }
            Some(Value::String(_)) => Err("'prompt' is empty".to_owned()),
            Some(_) => Err("'prompt' is not a string".to_owned()),
            None => Err("no 'body' and no 'prompt'".to_owned()),
        }
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
    fn chat(&self, custom_id: String, own: &Map<String, Value>) -> BatchRequest {
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.as_str().into());
        merge(&mut body, &self.defaults);
        merge(&mut body, own);
        merge(&mut body, &self.overrides);
        body.shift_remove("stream");
        body.shift_remove("stream_options");
        BatchRequest {
            custom_id,
            url: CHAT.to_owned(),
            body,
        }
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

/// Returns the line's `custom_id`; a prompt may call it `id`.
fn custom_id(members: &Map<String, Value>) -> Result<Option<String>, String> {
    let id = match members.get("custom_id") {
        None | Some(Value::Null) if !members.contains_key("body") => members.get("id"),
        other => other,
    };
    match id {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.is_empty() => Ok(Some(id.clone())),
        Some(Value::String(_)) => Err("'custom_id' is empty".to_owned()),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
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

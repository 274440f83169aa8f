//! What every request of a run has in common.

use qwen_shared::exit::Failure;
use qwen_shared::input::{system_prompt, text_or_file};
use qwen_shared::net::chat::{merge, parse_params};
use serde_json::{Map, Value, json};

use super::args::RequestArgs;

/// Where a line of plain text goes in a template.
const PLACE: &str = "{}";

/// From a line's own words to a request's body: what provider, profile and command line add to them.
#[derive(Debug)]
pub(crate) struct Shape {
    /// The template, when lines are plain text.
    template: Option<String>,
    system: Option<String>,
    /// The model of lines that name none.
    model: String,
    /// The provider's and the profile's members, below the line's.
    below: Map<String, Value>,
    /// What was typed, above the line's.
    above: Map<String, Value>,
}

impl Shape {
    /// Makes the shape of what was typed, with the settings' model and members.
    ///
    /// # Errors
    /// 64 for a parameter that is not `NAME=JSON`, 66 and 65 for a file that cannot be read or is not UTF-8.
    pub(crate) fn new(
        typed: &RequestArgs,
        model: &str,
        members: &Map<String, Value>,
    ) -> Result<Self, Failure> {
        let mut above = Map::new();
        if let Some(model) = &typed.model {
            above.insert("model".to_owned(), model.as_str().into());
        }
        above.extend(parse_params(&typed.param)?);
        let template = typed.template.as_deref();
        let template = template.map(|template| text_or_file(template, "the template"));
        Ok(Self {
            template: template.transpose()?,
            system: typed.system.as_deref().map(system_prompt).transpose()?,
            model: model.to_owned(),
            below: members.clone(),
            above,
        })
    }

    /// True when lines are plain text.
    pub(crate) const fn takes_text(&self) -> bool {
        self.template.is_some()
    }

    /// Makes the prompt of a line of plain text.
    pub(crate) fn fill(&self, line: &str) -> String {
        match self.template.as_deref() {
            Some(template) if template.contains(PLACE) => template.replace(PLACE, line),
            Some(template) if !template.trim().is_empty() => format!("{}\n\n{line}", template.trim_end()),
            _ => line.to_owned(),
        }
    }

    /// Makes the members of a line that is a prompt. The line's own instructions go before the run's.
    pub(crate) fn ask(&self, prompt: &str, system: Option<&str>) -> Map<String, Value> {
        let mut messages = Vec::new();
        if let Some(system) = system.or(self.system.as_deref()) {
            messages.push(json!({"role": "system", "content": system}));
        }
        messages.push(json!({"role": "user", "content": prompt}));
        Map::from_iter([("messages".to_owned(), messages.into())])
    }

    /// Makes the body of a chat request of a line's members. It asks for an answer in one piece: that is what a
    /// result holds.
    pub(crate) fn chat_body(&self, own: &Map<String, Value>) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("model".to_owned(), self.model.as_str().into());
        merge(&mut body, &self.below);
        merge(&mut body, own);
        merge(&mut body, &self.above);
        body.shift_remove("stream");
        body.shift_remove("stream_options");
        body
    }

    /// Makes the body of a request to another path: only the model is ours to fill in.
    pub(crate) fn other_body(&self, own: &Map<String, Value>) -> Map<String, Value> {
        let mut body = own.clone();
        body.entry("model").or_insert_with(|| self.model.as_str().into());
        merge(&mut body, &self.above);
        body
    }
}

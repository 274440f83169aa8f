//! The JSON of an answer: one document, or several that stand behind each other.

use serde_json::Value;
use serde_json::value::RawValue;

use super::{AnswerReader, FOREIGN};
use crate::net::chat::api_error::ApiError;
use crate::net::chat::chunk::{Choice, Chunk};
use crate::net::chat::content::Text;
use crate::net::chat::error::AnswerError;
use crate::net::chat::events::is_done_mark;
use crate::net::chat::finish_reason::{FinishReason, Meaning};
use crate::net::chat::foreign::{Foreign, holds_text, names_error};
use crate::net::chat::reasoning::Delta;
use crate::net::chat::repair_json::repair_json;
use crate::net::chat::verdict::ErrorKind;
use crate::text::{clip, one_line};

impl AnswerReader {
    /// Reads one object, or several that stand behind each other; true when there are choices, and so is, or could be, an
    /// answer.
    pub(super) fn read_json(
        &mut self,
        json: &str,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<bool, AnswerError> {
        if let Some(text) = self.frame.text_of(json) {
            self.take_text(&text, sink);
            return Ok(true);
        }
        self.frame.forget();
        let mut straightened = String::new();
        if json.starts_with('{')
            && let Ok(chunk) = Chunk::parse(json, &mut straightened)
        {
            return self.take(&chunk, json, sink);
        }
        let repaired = repair_json(json, self.text.half);
        let Some(repaired) = repaired else {
            return self.read_documents(json, sink);
        };
        if repaired.is_joined {
            self.text.half = None;
        }
        let result = self.read_documents(&repaired.json, sink);
        self.text.half = repaired.half.or(self.text.half);
        result
    }

    /// Reads the documents that stand behind each other, as events do that lost the line feed between them.
    fn read_documents(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        let (mut rest, mut has_choices) = (json, false);
        while !rest.is_empty() {
            if is_done_mark(rest.as_bytes()) {
                self.ending.is_done = true;
                break;
            }
            let (first, after) = split_document(rest).unwrap_or((rest, ""));
            has_choices |= self.read_document(first, sink)?;
            rest = after;
        }
        Ok(has_choices)
    }

    fn read_document(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        match json.as_bytes().first() {
            Some(b'{') => {}
            // serde would take a list for a struct too, member by member in order.
            Some(b'[') => return self.read_list(json, sink),
            _ => return self.read_other_json(json, sink),
        }
        let mut straightened = String::new();
        match Chunk::parse(json, &mut straightened) {
            Ok(chunk) => self.take(&chunk, json, sink),
            Err(error) if error.is_eof() => {
                Err(AnswerError::Malformed("it breaks off within its JSON".to_owned()))
            }
            Err(error) => Err(AnswerError::Malformed(format!(
                "no JSON at column {}",
                error.column()
            ))),
        }
    }

    /// Reads a list: of an error (Google), or of what else stands alone.
    fn read_list(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        if is_sign_of_life(json) {
            return Ok(false);
        }
        if let Some(error) = ApiError::parse(json).or_else(|| marked_error(json)) {
            return Err(self.api_error(error));
        }
        let items = serde_json::from_str::<Vec<&RawValue>>(json).unwrap_or_default();
        if items.is_empty() || !items.iter().all(|item| item.get().starts_with('{')) {
            return Err(AnswerError::Malformed(
                "a list where an object should be".to_owned(),
            ));
        }
        let mut has_choices = false;
        for item in items {
            has_choices |= self.read_document(item.get(), sink)?;
        }
        Ok(has_choices)
    }

    /// Reads what is no object: `null` says nothing, text may be JSON. Words of which it is known what they mean are an
    /// error that the server, or something before it, reports.
    fn read_other_json(&mut self, json: &str, sink: &mut impl FnMut(Delta<'_>)) -> Result<bool, AnswerError> {
        if is_sign_of_life(json) {
            return Ok(false);
        }
        match serde_json::from_str(json) {
            Ok(Value::Null) => return Ok(false),
            Ok(Value::String(inner)) if inner.starts_with('{') => return self.read_json(&inner, sink),
            _ => {}
        }
        let AnswerError::Api(said) = self.api_error(ApiError::from_text(json)) else {
            return Ok(false);
        };
        Err(match said.verdict().kind {
            ErrorKind::Unexpected => {
                AnswerError::Malformed(format!("no JSON: '{}'", clip(one_line(json).trim(), FOREIGN)))
            }
            _ => AnswerError::Api(said),
        })
    }

    fn take(
        &mut self,
        chunk: &Chunk<'_>,
        json: &str,
        sink: &mut impl FnMut(Delta<'_>),
    ) -> Result<bool, AnswerError> {
        for (known, sent) in [(&mut self.id, chunk.id), (&mut self.model, chunk.model)] {
            if known.is_empty()
                && let Some(sent) = sent
                && let Ok(Text(text)) = serde_json::from_str(sent.get())
            {
                known.push_str(&text);
            }
        }
        if let Some(usage) = chunk.usage() {
            self.usage = Some(usage.into_owned());
            self.ending.take_usage();
            self.progress.telling += 1;
        }
        self.ending.is_filtered |= chunk.is_filtered();
        let error = chunk.error();
        let has_choices = chunk.choices().next().is_some();
        self.choose(chunk, json, sink)?;
        if has_choices && self.ending.unread.is_none() && chunk.choices().all(Choice::is_silent) {
            self.note_unknown_members(json);
        }
        if let Some(error) = error {
            self.progress.telling += 1;
            // Where it is a code alone, or no more than true, the words may stand beside it.
            let is_lone = !error.is_object() && !error.is_array();
            let whole = is_lone.then(|| ApiError::parse(json)).flatten();
            let error = whole.unwrap_or_else(|| ApiError::from_member(&error));
            return Err(self.api_error(error));
        }
        if !has_choices && self.ending.has_choice {
            let reason = FinishReason::parse(chunk.finish_reason(), self.dialect.provider);
            if reason.is_some() {
                self.progress.telling += 1;
                self.ending.take_part(false, reason, self.progress.events);
            }
        }
        if !has_choices && self.ending.reason.is_none() {
            self.take_foreign(json, chunk.choices.is_some())?;
        }
        Ok(has_choices || chunk.choices.is_some())
    }

    /// Takes note of choices that say nothing in the members that are known, and have text in others.
    fn note_unknown_members(&mut self, json: &str) {
        let choices = serde_json::from_str::<Value>(json).ok();
        let choices = choices.and_then(|mut chunk| Some(chunk.get_mut("choices")?.take()));
        if choices.is_some_and(|choices| holds_text(&choices)) {
            self.note_unread(json);
        }
    }

    /// Takes an object that is no part of the answer: an error by what it says, or news of how far the server is.
    fn take_foreign(&mut self, json: &str, has_list: bool) -> Result<(), AnswerError> {
        let Ok(value) = serde_json::from_str::<Value>(json) else {
            return Ok(());
        };
        match Foreign::read(&value) {
            Foreign::Error(error) => return Err(self.api_error(error)),
            Foreign::Words(words) => {
                let said = self.sent(words);
                // Words of which it is known what they mean are an error.
                if said.verdict().kind != ErrorKind::Unexpected {
                    return Err(AnswerError::Api(said));
                }
                self.ending.said = Some(said);
                if self.ending.has_choice {
                    self.note_unread(json);
                }
            }
            Foreign::Nothing => {}
        }
        if holds_text(&value) {
            self.note_unread(json);
        }
        if !has_list && value.get("usage").is_none_or(Value::is_null) {
            self.note_foreign(json);
        }
        Ok(())
    }
}

/// True for words that a server sends in the place of JSON to keep the connection open, or to say that it begins: `ping`,
/// `[HEARTBEAT]`, `keep-alive`, `OPENROUTER PROCESSING`, the time of day.
fn is_sign_of_life(text: &str) -> bool {
    const LONGEST: usize = 40;
    const SIGNS: [&str; 11] = [
        "ping",
        "pong",
        "heartbeat",
        "keepalive",
        "alive",
        "start",
        "begin",
        "connected",
        "ready",
        "open",
        "wait",
    ];
    let words = text.trim_matches(|c: char| !c.is_alphanumeric());
    let letters = |words: &str| {
        let letters = words.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    let goes_on =
        |word: &str| FinishReason::parse(word, "").is_some_and(|reason| reason.meaning == Meaning::GoesOn);
    let is_time = || {
        let is_part = |c: char| c.is_ascii_digit() || " -:.+TZ".contains(c);
        text.contains(':') && text.matches('-').count() >= 2 && text.chars().all(is_part)
    };
    text.len() <= LONGEST
        && (is_time()
            || SIGNS.contains(&letters(words).as_str())
            || words.split_whitespace().last().is_some_and(goes_on))
}

/// Returns the error of a line that a mark in brackets says to be one: `[ERROR] the engine died`.
fn marked_error(text: &str) -> Option<ApiError> {
    let (mark, words) = text.strip_prefix('[')?.split_once(']')?;
    let is_word = mark.chars().all(|c| c.is_alphanumeric() || "_- ".contains(c));
    let words = match words.trim_start_matches([':', ' ', '-']).trim() {
        "" => mark,
        words => words,
    };
    (is_word && names_error(mark)).then(|| ApiError::from_text(words))
}

/// Splits off the first of several JSON objects that stand behind each other.
fn split_document(json: &str) -> Option<(&str, &str)> {
    let mut documents = serde_json::Deserializer::from_str(json).into_iter::<&RawValue>();
    let first = documents.next()?.ok()?.get();
    let rest = json.get(documents.byte_offset()..)?.trim();
    let rest = rest.strip_prefix("data:").unwrap_or(rest).trim();
    (is_done_mark(rest.as_bytes()) || rest.starts_with('{')).then_some((first, rest))
}

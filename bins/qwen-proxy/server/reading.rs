//! The body of a request: what is read of it, and what is changed where it stands.

use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value};

use super::additions::{added_members, usage_edit};
use super::extent;
use super::members::{Edit, Members, apply};
use super::multipart;
use super::naming::{self, fold, names_other_models};
use super::refusal::Refusal;
use super::route::{Route, Service};
use super::rules::{Rules, check_flags, check_names, is_clear_type, unreadable};

/// What the proxy reads of a body, and what it made of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    /// The model that is asked.
    pub(super) model: Option<String>,
    /// The most tokens of one text of the answer, where the request says so.
    pub(super) max_output: Option<u64>,
    /// How many texts are asked for; 0 where that was not read, which is one.
    pub(super) texts: u64,
    /// The body to send, where it is another one.
    pub(super) changed: Option<Vec<u8>>,
    /// The body that asks for the count of tokens besides.
    pub(super) counting: Option<Vec<u8>>,
}

impl Reading {
    /// Lowers what the request says of the length of its answer, in each body that may be sent in the place of `body`.
    pub(super) fn lower(&mut self, body: &[u8], most: u64) {
        let sent = self.changed.as_deref().unwrap_or(body);
        self.changed = extent::lowered(sent, most).or_else(|| self.changed.take());
        let counting = self.counting.as_deref();
        self.counting = counting
            .and_then(|sent| extent::lowered(sent, most))
            .or_else(|| self.counting.take());
    }
}

/// What is to be done with a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task<'a> {
    pub(super) rules: &'a Rules,
    /// Whether tokens are counted.
    pub(super) counts: bool,
    /// The members that the profile adds.
    pub(super) added: &'a Map<String, Value>,
}

impl Task<'_> {
    /// True where a body has to be seen whole.
    pub(super) fn needs_body(&self, route: &Route) -> bool {
        route.is_question() && (self.is_strict() || !self.added.is_empty() && takes_members(route))
    }

    /// True where a body that cannot be read must not pass.
    const fn is_strict(&self) -> bool {
        !self.rules.is_none() || self.counts
    }

    /// Reads a body.
    ///
    /// # Errors
    /// 403 for a model that may not be asked; 400 and 415 for a body that a server could read in another way.
    pub(super) fn read(&self, route: &Route, headers: &HeaderMap, body: &[u8]) -> Result<Reading, Refusal> {
        let is_encoded = headers
            .get_all(CONTENT_ENCODING)
            .iter()
            .any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"));
        if is_encoded {
            return match self.is_strict() {
                false => Ok(Reading::default()),
                true => Err(Refusal::request(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "encoded_body",
                    "a compressed body cannot be judged by the rules of this qwen-proxy: send it as it is",
                )),
            };
        }
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let content_type = types
            .next()
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        self.check_type(content_type, types.next().is_some())?;
        if content_type
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("multipart/")
        {
            return self.read_form(content_type, body);
        }
        match Members::read(body) {
            Ok(members) => self.read_json(route, body, &members),
            Err(_) if !self.is_strict() => Ok(Reading::default()),
            Err(error) => Err(unreadable(&format!("not a JSON object: {error}"))),
        }
    }

    /// Refuses a type by which servers could read a judged body in another way.
    fn check_type(&self, content_type: &str, is_told_twice: bool) -> Result<(), Refusal> {
        if !self.is_strict() {
            return Ok(());
        }
        if is_told_twice {
            return Err(unreadable("two Content-Type headers"));
        }
        if is_clear_type(content_type) {
            return Ok(());
        }
        Err(Refusal::request(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "encoded_body",
            "a body of this Content-Type cannot be judged by the rules of this qwen-proxy: send application/json",
        ))
    }

    fn read_json(&self, route: &Route, body: &[u8], members: &Members) -> Result<Reading, Refusal> {
        if self.is_strict() {
            check_names(members)?;
        }
        if !self.rules.is_none() {
            naming::check(self.rules, body, members)?;
        }
        let model = members.string(body, "model");
        self.rules.check(model.as_deref())?;
        let (max_output, texts) = match self.counts {
            true => self.extent(route, body, members)?,
            false => (None, 1),
        };
        let flag = |name| members.text(body, name) == Some(b"true");
        let mut edits = self.model_edits(members);
        if takes_members(route) {
            edits.extend(added_members(body, 0, self.added));
        }
        let streams = flag("stream");
        let counting = (self.counts && streams && takes_members(route))
            .then(|| usage_edit(body, members))
            .flatten()
            .map(|edit| apply(body, edits.iter().cloned().chain([edit]).collect()));
        let asked = self.rules.replacement.clone().or(model);
        Ok(Reading {
            model: asked,
            max_output,
            texts,
            changed: (!edits.is_empty()).then(|| apply(body, edits)),
            counting,
        })
    }

    /// Returns the most tokens of one text of the answer, where they are limited, and how many texts are asked for.
    fn extent(&self, route: &Route, body: &[u8], members: &Members) -> Result<(Option<u64>, u64), Refusal> {
        check_flags(body, members)?;
        if members.text(body, "background") == Some(b"true") {
            return Err(Refusal::bad_request(
                "background_not_allowed",
                "what runs in the background cannot be counted against the budget of this qwen-proxy",
            ));
        }
        let added = takes_members(route).then_some(self.added);
        Ok((
            extent::longest(body, members, added)?,
            extent::texts(body, members)?,
        ))
    }

    /// Puts the model in the place of the one that was asked.
    fn model_edits(&self, members: &Members) -> Vec<Edit> {
        let Some(model) = &self.rules.replacement else {
            return Vec::new();
        };
        let json = Value::from(model.as_str()).to_string();
        vec![match members.find("model") {
            Some(member) => Edit {
                place: member.value.clone(),
                text: json.into_bytes(),
            },
            None => members.addition(&format!("\"model\":{json}")),
        }]
    }

    fn read_form(&self, content_type: &str, body: &[u8]) -> Result<Reading, Refusal> {
        let read = multipart::boundary(content_type)
            .ok_or("no boundary of the form")
            .and_then(|boundary| multipart::fields(body, &boundary));
        let fields = match read {
            Ok(fields) => fields,
            Err(_) if !self.is_strict() => return Ok(Reading::default()),
            Err(what) => return Err(unreadable(what)),
        };
        let is_model = |name: &str| fold(name).trim_end_matches(['[', ']']) == "model";
        let mut named = fields.iter().filter(|field| is_model(&field.name));
        let (field, second) = (named.next(), named.next());
        let is_clear = second.is_none() && field.is_none_or(|field| field.name == "model" && !field.is_file);
        if self.is_strict() && !is_clear {
            return Err(unreadable("the model is named twice, or in another spelling"));
        }
        let other = fields.iter().find(|field| names_other_models(&field.name));
        if let Some(other) = other.filter(|_| !self.rules.is_none()) {
            return Err(naming::refused(&other.name));
        }
        self.replace_in_form(body, field)
    }

    /// Judges the field that names the model, and puts the replacement in its place.
    fn replace_in_form(&self, body: &[u8], field: Option<&multipart::Field>) -> Result<Reading, Refusal> {
        let value = field.map(|field| String::from_utf8_lossy(&body[field.value.clone()]).into_owned());
        self.rules.check(value.as_deref())?;
        let changed = match (&self.rules.replacement, field) {
            (None, _) => None,
            (Some(_), None) => return Err(unreadable("the form names no model that could be replaced")),
            (Some(model), Some(field)) => Some(apply(
                body,
                vec![Edit {
                    place: field.value.clone(),
                    text: form_value(model)?,
                }],
            )),
        };
        Ok(Reading {
            model: self.rules.replacement.clone().or(value),
            changed,
            ..Reading::default()
        })
    }
}

/// Returns a text as the value of a form's field.
fn form_value(text: &str) -> Result<Vec<u8>, Refusal> {
    match text.contains(['\r', '\n']) {
        true => Err(unreadable("the model's name holds a line end")),
        false => Ok(text.as_bytes().to_vec()),
    }
}

/// True for the services whose bodies are those of chat completions.
const fn takes_members(route: &Route) -> bool {
    matches!(route.service, Service::Chat | Service::Completions)
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
    use serde_json::{Map, Value, json};

    use super::{Reading, Rules, Task};
    use crate::server::refusal::Refusal;
    use crate::server::route::{Route, Service};

    fn read(
        rules: &Rules,
        counts: bool,
        added: &Value,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Reading, Refusal> {
        let route = Route {
            method: "POST",
            path: "/chat/completions".to_owned(),
            service: Service::Chat,
        };
        let none = Map::new();
        let added = added.as_object().unwrap_or(&none);
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        Task { rules, counts, added }.read(&route, &headers, body.as_bytes())
    }

    fn only(model: &str) -> Rules {
        Rules {
            allowed: vec![model.to_owned()],
            replacement: None,
        }
    }

    /// Bodies that name another model than `m`, or could for some reader.
    const OF_OTHERS: &[&str] = &[
        "{}",
        "[]",
        "",
        "null",
        r#"{"model":"x"}"#,
        r#"{"model":"M"}"#,
        r#"{"model":"m "}"#,
        r#"{"model":"m\u0000"}"#,
        r#"{"model":"x","model":"m"}"#,
        r#"{"model":"m","model":"m"}"#,
        r#"{"model":"m","Model":"x"}"#,
        r#"{"MODEL":"m"}"#,
        r#"{"model":"m","mod\u0065l":"x"}"#,
        r#"{"model":["m"]}"#,
        r#"{"model":{"a":"m"}}"#,
        r#"{"model":"m","models":["x"]}"#,
        r#"{"model":"m","fallbacks":["x"]}"#,
        r#"{"model":"m","extra_body":{"model":"x"}}"#,
        r#"{"model":"m","draft_model":"x"}"#,
        r#"{"model":"m","draftModel":"m"}"#,
        r#"{"model":"m","engine":"x"}"#,
        r#"{"model":"m","azure_deployment":null}"#,
        r#"{"model":"m","router":{"model":"x"}}"#,
        r#"{"model":"m","plugins":[{"id":"auto-router","allowed_models":["m","x"]}]}"#,
        r#"{"model":"m","a":{"mod\u0065l":"m","model":"x"}}"#,
        r#"{"model":"m","a":{"model":{"id":"m"}}}"#,
        r#"{"model":"m","tools":[{"type":"image_generation","model":"x"}]}"#,
        r#"{"model":"m"}{"model":"x"}"#,
        "\u{feff}{\"model\":\"m\"}",
        r#"{"model":"m",}"#,
        r#"{'model':'m'}"#,
        r#"{"model":"m"/*"*/}"#,
    ];

    #[test]
    fn a_body_that_could_name_another_model_is_refused() {
        let passes = |body: &str| read(&only("m"), false, &Value::Null, &[], body).is_ok();
        for body in [
            r#"{"model":"m"}"#,
            r#"{"mod\u0065l":"\u006d"}"#,
            r#"{"messages":[{"model":"x"}],"model":"m","metadata":{"model":"y"},"a":{"b":{"model":"m"}}}"#,
            r#"{"model":"m","tools":[{"type":"image_generation","model":"m"}],"b":[[{"model":"m"}],1,null]}"#,
            r#"{"model":"m","plugins":[{"id":"web","engine":"exa"}],"a":{"model":null},"b":{"allowed_models":["m"]}}"#,
            r#"{"model":"m","tools":[{"type":"function","function":{"parameters":{"properties":{"model":{"type":"string"}}}}}]}"#,
        ] {
            assert!(passes(body), "{body}");
        }
        for body in OF_OTHERS {
            assert!(!passes(body), "{body}");
        }
    }

    #[test]
    fn a_body_that_some_read_as_a_form_or_in_another_charset_is_judged_by_nobody() {
        let judged = |rules: &Rules, counts, content_type: &str| {
            let headers = [(CONTENT_TYPE.as_str(), content_type)];
            let read = read(rules, counts, &Value::Null, &headers, r#"{"model":"m"}"#);
            read.map_err(|refusal| (refusal.status.as_u16(), refusal.code))
        };
        for content_type in [
            "application/x-www-form-urlencoded",
            "application/x-www-FORM-urlencoded; charset=utf-8",
            "text/x-form",
            "application/json; charset=utf-16",
            "application/json; Charset=\"utf-7\"",
            "application/json;charset = utf-16le",
            "application/json; charset*=utf-8''x",
            "application/json; charset=utf-8; charset=utf-32",
        ] {
            for (rules, counts) in [(only("m"), false), (Rules::default(), true)] {
                let refused = judged(&rules, counts, content_type).unwrap_err();
                assert_eq!(refused, (415, "encoded_body"), "{content_type}");
            }
            assert!(judged(&Rules::default(), false, content_type).is_ok());
        }
        for content_type in [
            "",
            "application/json",
            "application/json; charset=UTF-8",
            "application/json; charset=\"utf8\"",
            "text/plain;charset=us-ascii",
        ] {
            assert!(judged(&only("m"), true, content_type).is_ok(), "{content_type}");
        }
    }

    #[test]
    fn an_encoded_body_is_judged_by_nobody() {
        for (name, value, is_ok) in [
            (CONTENT_ENCODING.as_str(), "gzip", false),
            ("content-encoding", "identity", true),
            ("content-encoding", "br", false),
            (CONTENT_TYPE.as_str(), "multipart/form-data; boundary=x", false),
            ("content-type", "multipart/mixed", false),
            ("content-type", "text/plain", true),
        ] {
            let result = read(
                &only("m"),
                false,
                &Value::Null,
                &[(name, value)],
                r#"{"model":"m"}"#,
            );
            assert_eq!(result.is_ok(), is_ok, "{name}: {value}");
        }
        let none = Rules::default();
        assert!(
            read(
                &none,
                false,
                &Value::Null,
                &[("content-encoding", "gzip")],
                "\u{1f}"
            )
            .is_ok()
        );
        assert!(
            read(
                &none,
                true,
                &Value::Null,
                &[("content-encoding", "gzip")],
                "\u{1f}"
            )
            .is_err()
        );
    }

    #[test]
    fn a_model_is_replaced_at_its_place_and_nothing_else_changes() {
        let rules = Rules {
            allowed: Vec::new(),
            replacement: Some("a\"b\r\nX: y".to_owned()),
        };
        let changed = |body| {
            let reading = read(&rules, false, &Value::Null, &[], body).unwrap();
            String::from_utf8(reading.changed.unwrap()).unwrap()
        };
        let (place, json) = (r#""x""#, r#""a\"b\r\nX: y""#);
        let body = r#"{ "seed" : 1.0e0,"model" : "x" , "messages":[{"content":"\u00e4/\/"}]}"#;
        assert_eq!(changed(body), body.replace(place, json));
        assert_eq!(changed("{}"), format!("{{\"model\":{json}}}"));
        assert_eq!(changed(r#"{"a":1}"#), format!("{{\"a\":1,\"model\":{json}}}"));
    }

    #[test]
    fn a_budget_asks_for_the_count_and_keeps_the_body_without_that() {
        for (body, counting) in [
            (
                r#"{"stream":true}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_obfuscation":false}}"#,
                Some(
                    r#"{"stream":true,"stream_options":{"include_obfuscation":false,"include_usage":true}}"#,
                ),
            ),
            (
                r#"{"stream":true,"stream_options":{"include_usage": false}}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage": true}}"#),
            ),
            (
                r#"{"stream":true,"stream_options":null}"#,
                Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#),
            ),
            (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, None),
            (r#"{"stream":false}"#, None),
            ("{}", None),
        ] {
            let reading = read(&Rules::default(), true, &Value::Null, &[], body).unwrap();
            let seen = reading.counting.map(|body| String::from_utf8(body).unwrap());
            assert_eq!(seen.as_deref(), counting, "{body}");
            assert_eq!(reading.changed, None);
        }
        let limit = |body| {
            read(&Rules::default(), true, &Value::Null, &[], body)
                .unwrap()
                .max_output
        };
        assert_eq!(limit(r#"{"max_tokens":10,"n":3}"#), Some(10));
        assert_eq!(limit(r#"{"max_tokens":10,"max_completion_tokens":7}"#), Some(10));
        assert_eq!(limit("{}"), None);
    }

    #[test]
    fn the_profiles_members_are_added_where_the_request_has_none() {
        let added = json!({"metadata": {"a": 1, "b": {"c": 2}}, "temperature": 0.3, "seed": null});
        for (body, changed) in [
            (
                "{}",
                Some(r#"{"metadata":{"a":1,"b":{"c":2}},"temperature":0.3}"#),
            ),
            (
                r#"{"temperature":1.00, "metadata":{ "b":{} }}"#,
                Some(r#"{"temperature":1.00, "metadata":{ "b":{"c":2},"a":1 }}"#),
            ),
            (r#"{"temperature":1,"metadata":null}"#, None),
        ] {
            let reading = read(&Rules::default(), false, &added, &[], body).unwrap();
            let seen = reading.changed.map(|body| String::from_utf8(body).unwrap());
            assert_eq!(seen.as_deref(), changed, "{body}");
        }
    }
}

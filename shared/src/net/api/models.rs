//! The list of models that an endpoint offers.

use serde_json::{Value, json};
use url::Url;

/// Reads a list of models: in `data` (OpenAI), in `models` (Ollama), or the whole; `None` for anything else. A list that is
/// `null` is one without models.
#[must_use]
pub fn read_models(body: &[u8]) -> Option<Vec<Value>> {
    models_of(parse(body)?)
}

fn parse(body: &[u8]) -> Option<Value> {
    let text = String::from_utf8_lossy(body);
    serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()
}

fn models_of(list: Value) -> Option<Vec<Value>> {
    match list {
        Value::Array(list) => Some(list),
        Value::Object(mut members) => {
            let lists = ["data", "models"].map(|name| members.remove(name));
            let is_empty = lists.iter().flatten().any(Value::is_null);
            let list = lists.into_iter().flatten().find_map(|list| match list {
                Value::Array(list) => Some(list),
                _ => None,
            });
            list.or_else(|| is_empty.then(Vec::new))
        }
        _ => None,
    }
}

/// Returns the name of one of its models, as the server wrote it.
#[must_use]
pub fn model_name(model: &Value) -> Option<&str> {
    let name = ["id", "name", "model"]
        .iter()
        .find_map(|member| model[*member].as_str());
    name.or_else(|| model.as_str())
}

/// The parameters of the request for a page.
pub(super) type Parameters = Vec<(String, String)>;

/// The most pages of a list: more than any server has models for.
const MOST_PAGES: usize = 1000;

/// A list of models that comes in pages.
#[derive(Debug)]
pub(super) struct PagedModels {
    models: Vec<Value>,
    /// How the next page may be asked for, the last way first.
    ways: Vec<Parameters>,
    pages: usize,
    /// How many bytes came.
    size: usize,
    /// The server has said that there is more, and did not send it.
    is_incomplete: bool,
}

impl PagedModels {
    /// Takes the first page; `None` for a list that is whole.
    pub(super) fn begin(page: &[u8]) -> Option<Self> {
        let list = parse(page)?;
        let ways = ways_on(&list);
        let list = Self {
            models: models_of(list)?,
            pages: 1,
            size: page.len(),
            is_incomplete: false,
            ways,
        };
        (!list.ways.is_empty()).then_some(list)
    }

    /// Returns how to ask for the next page, while there is one.
    pub(super) fn next_page(&mut self) -> Option<Parameters> {
        self.ways.pop()
    }

    /// True where the page that was asked for may be asked for in another way.
    pub(super) const fn has_other_way(&self) -> bool {
        !self.ways.is_empty()
    }

    /// Takes a page. One that brings nothing new is tried for in another way; `limit` is the most bytes of all pages.
    pub(super) fn add(&mut self, page: &[u8], limit: usize) {
        self.pages += 1;
        self.size += page.len();
        let list = parse(page).unwrap_or_default();
        let ways = ways_on(&list);
        let mut models = models_of(list).unwrap_or_default();
        let is_last = models.is_empty() && ways.is_empty();
        models.retain(|model| !self.models.contains(model));
        if models.is_empty() {
            self.is_incomplete = self.ways.is_empty() && !is_last;
            return;
        }
        self.models.append(&mut models);
        let is_too_much = self.pages >= MOST_PAGES || self.size > limit;
        self.is_incomplete = is_too_much && !ways.is_empty();
        self.ways = if is_too_much { Vec::new() } else { ways };
    }

    /// True where the server offers more than it sent.
    pub(super) const fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }

    /// Returns all pages as one list.
    pub(super) fn into_json(self) -> Vec<u8> {
        json!({ "object": "list", "data": self.models })
            .to_string()
            .into_bytes()
    }
}

/// The members that hold the mark of the next page, and the parameter that takes it (Google, Cohere).
const MARKS: [(&str, &str); 4] = [
    ("next_page_token", "page_token"),
    ("nextPageToken", "pageToken"),
    ("next_cursor", "cursor"),
    ("nextCursor", "cursor"),
];

/// Returns the ways to ask for the page after this one, the likeliest last; none for the last page.
fn ways_on(page: &Value) -> Vec<Parameters> {
    let text = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    for (member, parameter) in MARKS {
        if let Some(mark) = text(&page[member]) {
            return vec![vec![(parameter.to_owned(), mark)]];
        }
    }
    // A whole address (IBM, Hugging Face): its parameters count, the request goes where the first one went.
    let addresses = [&page["next"], &page["links"]["next"], &page["_links"]["next"]];
    for next in addresses {
        let address = next["href"].as_str().or_else(|| next.as_str());
        let parameters = address.and_then(parameters_of).unwrap_or_default();
        if !parameters.is_empty() {
            return vec![parameters];
        }
    }
    if page["has_more"] == true || page["hasMore"] == true {
        let models = page["data"].as_array().or_else(|| page["models"].as_array());
        let last = models.and_then(|models| model_name(models.last()?));
        let last = text(&page["last_id"]).or_else(|| last.map(str::to_owned));
        // Anthropic's name, and OpenAI's.
        let ways = last.map(|id| ["after_id", "after"].map(|name| vec![(name.to_owned(), id.clone())]));
        return ways.into_iter().flatten().collect();
    }
    let number = |names: [&str; 3]| names.iter().find_map(|name| page[*name].as_u64());
    match (
        number(["page", "current_page", "currentPage"]),
        number(["total_pages", "totalPages", "last_page"]),
    ) {
        (Some(current), Some(last)) if current < last => {
            vec![vec![("page".to_owned(), (current + 1).to_string())]]
        }
        _ => Vec::new(),
    }
}

/// Returns the parameters of an address, which may be relative.
fn parameters_of(address: &str) -> Option<Parameters> {
    let base = Url::parse("http://localhost/").ok()?;
    let pairs = base.join(address).ok()?;
    let pairs = pairs.query_pairs();
    Some(
        pairs
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect(),
    )
}

/// Adds parameters that the server has named. Those that the URL has already are the user's own.
pub(super) fn with_parameters(mut url: Url, parameters: &[(String, String)]) -> Url {
    let known: Vec<String> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    for (name, value) in parameters.iter().filter(|(name, _)| !known.contains(name)) {
        url.query_pairs_mut().append_pair(name, value);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::{PagedModels, read_models, with_parameters};
    use url::Url;

    #[test]
    fn a_list_of_models_is_read_in_every_form() {
        for (body, count) in [
            (r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#, Some(2)),
            (r#"{"models":[{"name":"a"}],"data":null}"#, Some(1)),
            (r#"["a"]"#, Some(1)),
            (r#"{"object":"list","data":null}"#, Some(0)),
            (r#"{"error":{"message":"no"}}"#, None),
            (r#"{"data":{}}"#, None),
            ("<html>", None),
        ] {
            let models = read_models(body.as_bytes());
            assert_eq!(models.map(|models| models.len()), count, "{body}");
        }
    }

    #[test]
    fn the_next_page_is_asked_for_as_the_server_says() {
        for (page, query) in [
            (
                r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"z"}"#,
                "after=z",
            ),
            (r#"{"data":[{"id":"a"}],"has_more":true}"#, "after=a"),
            (
                r#"{"models":[{"name":"a"}],"next_page_token":"t/1"}"#,
                "page_token=t%2F1",
            ),
            (
                r#"{"models":[{"name":"models/a"}],"nextPageToken":"t"}"#,
                "pageToken=t",
            ),
            (r#"{"data":["a"],"next_cursor":7}"#, "cursor=7"),
            (
                r#"{"data":["a"],"next":{"href":"https://x.example/v1/models?start=b&limit=1"}}"#,
                "start=b&limit=1",
            ),
            (r#"{"data":["a"],"next":"/v1/models?page=2"}"#, "page=2"),
            (r#"{"data":["a"],"page":1,"total_pages":2}"#, "page=2"),
        ] {
            let next = PagedModels::begin(page.as_bytes()).unwrap().next_page().unwrap();
            let url = with_parameters(Url::parse("http://h/m").unwrap(), &next);
            assert_eq!(url.query(), Some(query), "{page}");
        }
        for page in [
            r#"{"data":["a"],"has_more":false,"last_id":"a"}"#,
            r#"{"data":["a"],"next_page_token":"","next":null}"#,
            r#"{"data":["a"],"page":2,"total_pages":2}"#,
            r#"{"data":[],"has_more":true}"#,
            r#"["a"]"#,
        ] {
            assert!(PagedModels::begin(page.as_bytes()).is_none(), "{page}");
        }
    }

    #[test]
    fn what_the_server_names_never_replaces_a_parameter_of_the_users() {
        let url = Url::parse("http://h/m?api-version=1").unwrap();
        let named = [("api-version", "2"), ("page", "2")].map(|(name, value)| (name.into(), value.into()));
        assert_eq!(with_parameters(url, &named).query(), Some("api-version=1&page=2"));
    }
}

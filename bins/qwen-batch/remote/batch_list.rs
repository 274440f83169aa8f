//! The provider's list of batches, page by page.

use std::collections::HashSet;

use serde_json::Value;

use super::api::{ApiRequest, BatchApi, Odd, RequestError};
use super::batch::Batch;

/// The most batches that providers list in one answer.
const PAGE: u32 = 100;

/// The most pages in a row that may bring nothing new.
const BARREN_PAGES: u32 = 3;

/// Reads the list from its beginning, newest batch first.
#[derive(Debug)]
pub(crate) struct BatchList<'a> {
    api: &'a BatchApi,
    /// The ID after which the next page begins.
    after: Option<String>,
    /// Each ID that a page has begun after.
    cursors: HashSet<String>,
    seen: HashSet<String>,
    barren: u32,
    has_ended: bool,
    /// True where the provider has more, and does not say where.
    pub(crate) is_cut: bool,
}

/// One page.
#[derive(Debug, Default)]
struct Page {
    entries: Vec<Value>,
    /// `None` where the provider does not say.
    has_more: Option<bool>,
    last_id: Option<String>,
}

impl Page {
    /// Reads a list in OpenAI's form, or a bare one.
    fn read(mut value: Value) -> Result<Self, Odd> {
        if let Value::Array(entries) = value {
            return Ok(Self {
                entries,
                has_more: Some(false),
                last_id: None,
            });
        }
        let Some(name) = ["data", "batches", "items", "jobs"]
            .into_iter()
            .find(|name| value[*name].is_array() || (value.get(*name).is_some_and(Value::is_null)))
        else {
            return Err(Odd::Not("list"));
        };
        let entries = match value[name].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        let mut cursors = ["last_id", "next_cursor", "after"]
            .iter()
            .filter_map(|name| value[*name].as_str());
        Ok(Self {
            has_more: value["has_more"].as_bool().or_else(|| value["hasMore"].as_bool()),
            last_id: cursors.find(|cursor| !cursor.is_empty()).map(str::to_owned),
            entries,
        })
    }
}

impl<'a> BatchList<'a> {
    pub(crate) fn new(api: &'a BatchApi) -> Self {
        Self {
            api,
            after: None,
            cursors: HashSet::new(),
            seen: HashSet::new(),
            barren: 0,
            has_ended: false,
            is_cut: false,
        }
    }

    /// Returns the batches of the next page that no earlier page had, about `wanted`; `None` when there are no more pages.
    ///
    /// # Errors
    /// As [`BatchApi::ask`].
    pub(crate) async fn next_page(&mut self, wanted: u32) -> Result<Option<Vec<Batch>>, RequestError> {
        if self.has_ended {
            return Ok(None);
        }
        let limit = wanted.clamp(1, PAGE);
        let mut request = ApiRequest::get("/batches").query("limit", limit.to_string());
        if let Some(after) = &self.after {
            request = request.query("after", after.clone());
        }
        let page = self.api.ask(&request, Page::read).await?;
        let is_full = page.entries.len() >= limit as usize;
        let last = page.entries.last().and_then(|last| last["id"].as_str());
        let cursor = page.last_id.clone().or_else(|| last.map(str::to_owned));
        let mut batches: Vec<Batch> = page.entries.into_iter().filter_map(Batch::listed).collect();
        batches.retain(|batch| self.seen.insert(batch.id().to_owned()));
        self.barren = if batches.is_empty() { self.barren + 1 } else { 0 };
        self.go_on(page.has_more, is_full, cursor);
        Ok(Some(batches))
    }

    fn go_on(&mut self, has_more: Option<bool>, is_full: bool, cursor: Option<String>) {
        if !has_more.unwrap_or(is_full) {
            self.has_ended = true;
            return;
        }
        match cursor.filter(|cursor| self.barren < BARREN_PAGES && self.cursors.insert(cursor.clone())) {
            Some(cursor) => self.after = Some(cursor),
            None => {
                self.has_ended = true;
                self.is_cut = has_more == Some(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Page;

    #[test]
    fn lists_are_read_in_every_form() {
        for (list, count, has_more, last_id) in [
            (
                json!({"data": [{}, {}], "has_more": true, "last_id": "b"}),
                2,
                Some(true),
                Some("b"),
            ),
            (
                json!({"data": [{}], "has_more": false, "last_id": null}),
                1,
                Some(false),
                None,
            ),
            (json!({"batches": [{}], "hasMore": true}), 1, Some(true), None),
            (json!({"data": null, "object": "list"}), 0, None, None),
            (json!([{}, {}]), 2, Some(false), None),
        ] {
            let page = Page::read(list.clone()).unwrap();
            let read = (page.entries.len(), page.has_more, page.last_id.as_deref());
            assert_eq!(read, (count, has_more, last_id), "{list}");
        }
        assert!(Page::read(json!({"id": "b"})).is_err());
        assert!(Page::read(json!("x")).is_err());
    }
}

//! What requests carry that is secret: the credential, and what the profile adds to it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use qwen_shared::net::api::Endpoint;
use qwen_shared::secret::Secret;
use serde_json::Value;

use super::answer::Mask;
use super::{Server, State};

/// What the redaction of errors leaves of a text that is a secret.
const REDACTED: &str = "***";

/// Shorter values of a profile stand in any text.
const SHORTEST: usize = 8;

/// The mask of the answers, as long as the credential stays.
#[derive(Debug, Default)]
pub(super) struct KnownMask(Mutex<Option<(Arc<Endpoint>, Mask)>>);

impl State {
    /// Returns what keeps the secrets out of one answer.
    pub(super) fn mask(&self) -> Mask {
        let endpoint = self.client.endpoint();
        let mut known = self.mask.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, mask)) = &*known
            && Arc::ptr_eq(of, &endpoint)
        {
            return mask.for_another();
        }
        let mask = Mask::new(endpoint.secret().into_iter().chain(&self.lent));
        let (_, mask) = known.insert((endpoint, mask));
        mask.for_another()
    }
}

impl Server {
    /// True for a text that holds the credential, or another secret of the profile.
    pub(crate) fn is_lent(&self, text: &OsStr) -> bool {
        let endpoint = self.state.client.endpoint();
        let holds = |secret: &Secret<String>| {
            let secret = secret.expose().as_bytes();
            !secret.is_empty() && text.as_bytes().windows(secret.len()).any(|part| part == secret)
        };
        endpoint.secret().into_iter().chain(&self.state.lent).any(holds)
    }
}

/// Returns the secrets of a profile's headers, query and body: what is removed from the text of errors, too.
pub(super) fn of_profile(endpoint: &Endpoint) -> Vec<Secret<String>> {
    let settings = endpoint.settings();
    let mut texts: Vec<String> = Vec::new();
    for value in endpoint.headers().values() {
        texts.extend(parts(value).map(str::to_owned));
    }
    for (_, value) in endpoint.chat_url().query_pairs() {
        texts.push(value.into_owned());
    }
    settings
        .body
        .values()
        .for_each(|value| collect(value, &mut texts));
    texts.retain(|text| text.len() >= SHORTEST && endpoint.redacted(text.clone()) == REDACTED);
    texts.sort();
    texts.dedup();
    texts.into_iter().map(Secret::new).collect()
}

/// Returns the parts of a header's value of which one may be the credential: behind the scheme, and the values of cookies.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    let behind = value.split_once(' ').map(|(_, rest)| rest.trim());
    let cookies = value
        .split(';')
        .filter_map(|cookie| Some(cookie.split_once('=')?.1.trim()));
    std::iter::once(value).chain(behind).chain(cookies)
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn a_header_is_taken_apart_as_credentials_stand_in_it() {
        for (value, found) in [
            ("canary", &["canary"][..]),
            ("Bearer abc", &["Bearer abc", "abc"]),
            ("a=b; c=d==", &["a=b; c=d==", "c=d==", "b", "d=="]),
        ] {
            assert_eq!(parts(value).collect::<Vec<_>>(), found);
        }
    }
}

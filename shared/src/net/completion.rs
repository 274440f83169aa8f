//! What completion learns from an endpoint: with the key that any request would carry, but without a keyring, a key
//! command, a refresh, a retry or a message.

use clap_complete::engine::CompletionCandidate;
use serde_json::Value;
use url::Url;

use crate::completion::{LIMIT, within_limit};
use crate::net::api::{Client, ClientOptions, Endpoint, Get, model_name, read_models};
use crate::net::config::{Auth, Key, Overrides, Settings};
use crate::net::credential::{Refresh, RefreshPolicy, StoreKind};
use crate::net::http::{Timeouts, runtime};
use crate::output::{Color, Reporter};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 32 << 20;

/// Returns the models of the endpoint to which the words before the cursor lead.
pub fn models(typed: fn() -> Option<Overrides>) -> Vec<CompletionCandidate> {
    within_limit(move || {
        let list = read_models(&get(&typed()?, Endpoint::models_url)?)?;
        let mut names: Vec<&str> = list.iter().filter_map(model_name).filter(is_value).collect();
        names.sort();
        Some(names.into_iter().map(CompletionCandidate::new).collect())
    })
}

/// Returns the newest batches of that endpoint, each with its state.
pub fn batches(typed: fn() -> Option<Overrides>) -> Vec<CompletionCandidate> {
    within_limit(move || {
        let answer = get(&typed()?, |endpoint| {
            let mut url = endpoint.url_below("/batches");
            url.query_pairs_mut().append_pair("limit", "20");
            url
        })?;
        let answer: Value = serde_json::from_slice(&answer).ok()?;
        let batches = answer["data"].as_array()?.iter();
        let candidate = |batch: &Value| {
            let state = batch["status"].as_str().map(|state| state.to_owned().into());
            Some(CompletionCandidate::new(batch["id"].as_str().filter(is_value)?).help(state))
        };
        Some(batches.filter_map(candidate).collect())
    })
}

/// True unless the program would take it for an option: a server must not add any.
fn is_value(name: &&str) -> bool {
    !name.starts_with('-')
}

fn get(typed: &Overrides, url: impl Fn(&Endpoint) -> Url + Send) -> Option<Vec<u8>> {
    let settings = Settings::resolve(typed).ok()?;
    match &settings.auth.value {
        Auth::ApiKey(Key::Command(_) | Key::Stored(StoreKind::Keyring))
        | Auth::Oauth {
            store: StoreKind::Keyring,
            ..
        } => return None,
        Auth::ApiKey(_) | Auth::Oauth { .. } | Auth::None => {}
    }
    let policy = RefreshPolicy {
        refresh: Refresh::Never,
        ..RefreshPolicy::default()
    };
    let quiet = Reporter::new("completion", true, false, Color::Never);
    let endpoint = Endpoint::open(settings, &policy, &quiet).ok()?;
    let options = ClientOptions {
        timeouts: Timeouts {
            connect: LIMIT,
            first_byte: LIMIT,
            idle: LIMIT,
            progress: LIMIT,
            total: Some(LIMIT),
        },
        max_time: Some(LIMIT),
        retries: 0,
        longest_wait: LIMIT,
        is_paced: false,
        has_flags: false,
        renewal_pause: std::time::Duration::ZERO,
        threads: 1,
    };
    let client = Client::new(endpoint, options, &quiet).ok()?;
    runtime()
        .ok()?
        .block_on(client.call(&mut Get::once(url, LONGEST)))
        .ok()
}

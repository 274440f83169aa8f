//! Qwen Code's `settings.json`: what is read of it is an endpoint with its key or a reason, and no notice shows a key.

use qwen_shared::exit::Exit;
use qwen_shared::net::config::{Given, QwenCodeSettings};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::paths;

use super::place;

/// Reads an input as the user's settings, and asks them all that the programs ask.
pub(crate) fn holds(data: &[u8]) {
    let home = paths::qwen_home().expect("a home");
    place::write(&home.join("settings.json"), data);
    let settings = QwenCodeSettings::load();
    let mut said = settings.notices();
    said.extend(settings.model_notice());
    let none = |_: &str| None;
    let model = settings.model();
    let names = [
        None,
        Some("qwen3-coder-plus"),
        model.as_ref().map(|model| model.value.as_str()),
    ];
    let mut key = None;
    for model in names {
        for has_key in [false, true] {
            match settings.connection(Given { model, has_key }, &none) {
                Ok(Some(connection)) => {
                    said.extend(connection.notice);
                    let url = &connection.base_url.value;
                    assert!(matches!(url.scheme(), "http" | "https"), "{url:?}");
                    key = connection.key.map(|key| key.value.expose().clone());
                }
                Ok(None) => {}
                Err(failure) => {
                    assert!(matches!(failure.exit, Exit::Config | Exit::NoAuth), "{failure:?}");
                    said.push(failure.message);
                }
            }
        }
    }
    if let Ok(url) = BaseUrl::parse("https://api.example/v1")
        && let Some(other) = settings.key_for(&url, &none)
    {
        key.get_or_insert(other.value.expose().clone());
    }
    let _ = (
        settings.held_key(&none),
        settings.selected_type(),
        settings.uses_oauth(),
        settings.variable("A"),
    );
    // A short one may be a word of the notice.
    if let Some(key) = key.filter(|key| key.len() > 16 && key.starts_with("sk-")) {
        assert!(
            !said.iter().any(|words| words.contains(&key)),
            "{said:?} shows a key"
        );
    }
}

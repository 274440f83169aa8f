//! Adopting the login of Qwen Code.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::{choose_store, patience};
use qwen_shared::net::config::{Method, QwenCodeSettings};
use qwen_shared::net::credential::{Store, StoreKind, Stored};
use qwen_shared::provider;

use super::login::Login;
use super::profile::Entry;
use crate::endpoint;

/// Makes the profile use what Qwen Code uses: its login at qwen.ai, which stays where it is and is shared, or the API
/// key of its settings, which is copied to our store.
pub(crate) fn adopt(login: &Login<'_>) -> Outcome {
    let settings = QwenCodeSettings::load();
    if settings.api_key.is_some() && settings.selected_type.as_deref() == Some("openai") {
        return adopt_key(login, &settings);
    }
    let shared = Store::open(StoreKind::QwenCode, &login.target.name, patience(login.reporter))?;
    match (&settings.api_key, shared.load()?) {
        (_, Some(loaded)) => {
            if let Some(notice) = &loaded.notice {
                login.reporter.notice(notice);
            }
            adopt_login(login, &shared, &loaded.stored)
        }
        (Some(_), None) => adopt_key(login, &settings),
        (None, None) => Err(Failure::new(
            Exit::NoAuth,
            format!(
                "Qwen Code has no login here: there is no '{}', and no API key in '{}'",
                shared.place(),
                settings.path.display()
            ),
        )
        .hint("run 'qwen-login'")),
    }
}

fn adopt_login(login: &Login<'_>, shared: &Store, stored: &Stored) -> Outcome {
    if let Some(qwen) = provider::named("qwen") {
        login.target.check_server(qwen)?;
    }
    let mut entry = Entry {
        method: Method::Oauth,
        provider: Some("qwen".to_owned()),
        base_url: None,
        model: login.args.model.clone(),
        store: Some(StoreKind::QwenCode),
    };
    // A copy elsewhere is asked for, never the default: a refresh by one side would end the other's (RFC 9700, 4.14).
    if login.args.store.as_deref() == Some("keyring") {
        let store = choose_store(Some(StoreKind::Keyring), &login.target.name, true, login.reporter)?;
        entry.store = Some(store.kind());
        login.target.save(&store, stored, &entry, login.reporter)?;
        login.reporter.notice(
            "this is a copy: whichever refreshes first, Qwen Code or the toolkit, logs the other out",
        );
    } else {
        login.target.configure(&entry)?;
    }
    let ready = format!(
        "profile '{}' uses Qwen Code's login in '{}'",
        login.target.name,
        shared.place()
    );
    login.target.report(&ready, login.reporter);
    if !login.args.no_verify {
        super::trial::of_login(&login.target.name, login.reporter);
    }
    Ok(Exit::Ok)
}

fn adopt_key(login: &Login<'_>, settings: &QwenCodeSettings) -> Outcome {
    let Some(key) = settings.api_key.clone() else {
        return Err(Failure::new(Exit::NoAuth, "Qwen Code has no API key here"));
    };
    let allow_http = login.target.profile.allow_http;
    // Without a base URL every version of Qwen Code goes to Model Studio in Beijing (facts: Qwen Code, section 0).
    let usual = provider::named("dashscope").and_then(provider::Provider::default_base_url);
    let base_url = match (&settings.base_url, usual) {
        (Some(url), _) => endpoint::parse_answer(url, allow_http)
            .map_err(|reason| Failure::new(Exit::Config, format!("{}: {reason}", settings.path.display())))?,
        (None, Some(usual)) => usual,
        (None, None) => return Err(Failure::new(Exit::Config, "Qwen Code names no endpoint")),
    };
    let store = choose_store(login.target.choice, &login.target.name, false, login.reporter)?;
    let entry = Entry {
        method: Method::ApiKey,
        provider: provider::recognise(&base_url).map(|known| known.name.clone()),
        base_url: Some(base_url.to_string()),
        model: login.args.model.clone().or_else(|| settings.model.clone()),
        store: Some(store.kind()),
    };
    login
        .target
        .save(&store, &Stored::ApiKey(key), &entry, login.reporter)?;
    let ready = format!(
        "profile '{}' uses the API key of '{}'",
        login.target.name,
        settings.path.display()
    );
    login.target.report(&ready, login.reporter);
    Ok(Exit::Ok)
}

//! `--import`: uses the login or the API key of Qwen Code.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::config::{Method, QwenCodeSettings};
use qwen_shared::net::credential::{Store, StoreKind, Stored};
use qwen_shared::provider;

use crate::login::Login;
use crate::profile::ProfileUpdate;
use crate::store::choose_store;
use crate::{base_url, test_request};

/// Makes the profile share Qwen Code's login, or copies the API key of its settings.
pub(crate) fn import(login: &Login<'_>) -> Outcome {
    let settings = QwenCodeSettings::load();
    if settings.api_key.is_some() && settings.selected_type.as_deref() == Some("openai") {
        return import_key(login, &settings);
    }
    let shared = Store::open(
        StoreKind::QwenCode,
        &login.profile.name,
        keyring_timeout(login.reporter),
    )?;
    match (&settings.api_key, shared.load()?) {
        (_, Some(loaded)) => {
            if let Some(notice) = &loaded.notice {
                login.reporter.notice(notice);
            }
            import_login(login, &shared, &loaded.stored)
        }
        (Some(_), None) => import_key(login, &settings),
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

fn import_login(login: &Login<'_>, shared: &Store, stored: &Stored) -> Outcome {
    if let Some(qwen) = provider::named("qwen") {
        login.profile.check_server(qwen)?;
    }
    let mut update = ProfileUpdate {
        method: Method::Oauth,
        provider: Some("qwen".to_owned()),
        base_url: None,
        model: login.args.model.clone(),
        store: Some(StoreKind::QwenCode),
    };
    // Never the default: a refresh of one copy ends the other (RFC 9700, section 4.14).
    if login.args.store.as_deref() == Some("keyring") {
        let store = choose_store(login, true)?;
        update.store = Some(store.kind());
        login.profile.save(&store, stored, &update, login.reporter)?;
        login
            .reporter
            .notice("this is a copy: the first to refresh it, Qwen Code or the toolkit, logs the other out");
    } else {
        login.profile.update(&update)?;
    }
    let result = format!(
        "profile '{}' uses Qwen Code's login in '{}'",
        login.profile.name,
        shared.place()
    );
    login.profile.report(&result, login.reporter);
    if !login.args.no_verify {
        test_request::test_login(&login.profile.name, login.reporter);
    }
    Ok(Exit::Ok)
}

fn import_key(login: &Login<'_>, settings: &QwenCodeSettings) -> Outcome {
    let Some(key) = settings.api_key.clone() else {
        return Err(Failure::new(Exit::NoAuth, "Qwen Code has no API key here"));
    };
    let allow_http = login.profile.settings.allow_http;
    // Without a base URL, Qwen Code uses Model Studio in Beijing.
    let default = provider::named("dashscope").and_then(provider::Provider::default_base_url);
    let Some(url) = settings.base_url.clone().or(default.map(String::from)) else {
        let message = "Qwen Code's settings have no base URL";
        return Err(Failure::new(Exit::Config, message));
    };
    let base_url = base_url::parse_answer(&url, allow_http)
        .map_err(|reason| Failure::new(Exit::Config, format!("{}: {reason}", settings.path.display())))?;
    let store = choose_store(login, false)?;
    let update = ProfileUpdate {
        method: Method::ApiKey,
        provider: provider::recognise(&base_url).map(|known| known.name.clone()),
        base_url: Some(base_url.as_str().to_owned()),
        model: login.args.model.clone().or_else(|| settings.model.clone()),
        store: Some(store.kind()),
    };
    login
        .profile
        .save(&store, &Stored::ApiKey(key), &update, login.reporter)?;
    let result = format!(
        "profile '{}' uses the API key of '{}'",
        login.profile.name,
        settings.path.display()
    );
    login.profile.report(&result, login.reporter);
    Ok(Exit::Ok)
}

//! `--import`: uses the login or the API key of Qwen Code.

use qwen_shared::exit::{Exit, Failure, Outcome};
use qwen_shared::net::api::keyring_timeout;
use qwen_shared::net::config::{Connection, Method, QwenCodeSettings, Sourced};
use qwen_shared::net::credential::{Store, StoreKind, Stored};
use qwen_shared::net::http::{BaseUrl, check_transport};
use qwen_shared::provider::{self, is_own_server};
use qwen_shared::text::clip;

use crate::key_setup::{KeySetup, test_and_store};
use crate::login::Login;
use crate::profile::ProfileUpdate;
use crate::store::choose_store;
use crate::test_request;

/// Makes the profile share Qwen Code's login, or copies the key that Qwen Code uses, with its endpoint and model.
pub(crate) fn import(login: &mut Login<'_>) -> Outcome {
    let settings = QwenCodeSettings::load();
    for notice in settings.notices().into_iter().chain(settings.model_notice()) {
        login.reporter.notice(&notice);
    }
    let shared = Store::open(
        StoreKind::QwenCode,
        &login.profile.name,
        keyring_timeout(login.reporter),
    )?;
    if !settings.uses_oauth() {
        return match settings.in_use(login.args.model.as_deref())? {
            Some(connection) => import_key(login, &connection),
            None => Err(nothing_in_use(&settings, &shared)),
        };
    }
    let Some(loaded) = shared.load()? else {
        return Err(nothing_in_use(&settings, &shared));
    };
    if let Some(notice) = &loaded.notice {
        login.reporter.notice(notice);
    }
    import_login(login, &shared, &loaded.stored)
}

/// The failure where Qwen Code has neither a login nor a key that is in use.
fn nothing_in_use(settings: &QwenCodeSettings, shared: &Store) -> Failure {
    let (file, place) = (settings.path.display(), shared.place());
    let is_left_over = !settings.uses_oauth() && matches!(shared.load(), Ok(Some(_)));
    let message = match settings.selected_type() {
        Some(selected) if is_left_over => format!(
            "Qwen Code has no API key here: '{}' is selected in '{file}', so the login in '{place}' is not in use",
            clip(&selected.value, 64)
        ),
        _ => format!("Qwen Code has no login here: there is no '{place}', and no API key in '{file}'"),
    };
    Failure::new(Exit::NoAuth, message).hint("run 'qwen-login'")
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
        allow_http: login.args.allow_http,
    };
    update.allow_http |= login.profile.moved_to(update.endpoint()).allow_http;
    // Never the default: a refresh of one copy ends the other (RFC 9700, section 4.14).
    if login.args.store.as_deref() == Some("keyring") {
        let store = choose_store(login, true)?;
        update.store = Some(store.kind());
        login.profile.save(&store, stored, &update, login.reporter)?;
        login
            .reporter
            .notice("this is a copy: the first to refresh it, Qwen Code or the toolkit, logs the other out");
    } else {
        login.profile.update(&update, login.reporter)?;
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

/// Tests and copies the key, which Qwen Code keeps where it is, with its endpoint and model.
fn import_key(login: &mut Login<'_>, connection: &Connection) -> Outcome {
    let base_url = checked_endpoint(login, connection)?;
    if let Some(notice) = &connection.notice {
        login.reporter.notice(notice);
    }
    let provider = provider::recognise(&base_url)
        .ok_or_else(|| Failure::new(Exit::Bug, "the provider catalogue is incomplete"))?;
    let model = login.args.model.clone();
    let model = model.or_else(|| connection.model.as_ref().map(|model| model.value.clone()));
    let key = connection.key.as_ref();
    let store = key.map(|_| choose_store(login, false)).transpose()?;
    let mut setup = KeySetup {
        provider,
        base_url,
        is_model_guessed: false,
        model: model.unwrap_or_else(|| provider.default_model.clone()),
        needs_key: key.is_some(),
        key: key.map(|key| key.value.clone()),
        store,
    };
    let tested = test_and_store(login, &mut setup)?;
    let key = match key {
        Some(key) => format!("a copy of the key of {}", key.source),
        None => "no key".to_owned(),
    };
    let KeySetup { base_url, model, .. } = setup;
    let (name, source) = (&login.profile.name, &connection.base_url.source);
    let model = clip(&model, 64);
    let result =
        format!("{tested}; profile '{name}' uses {key} at '{base_url}' of {source}, with model '{model}'");
    login.profile.report(&result, login.reporter);
    Ok(Exit::Ok)
}

/// Returns the endpoint, if it may get the key, or needs none.
fn checked_endpoint(login: &Login<'_>, connection: &Connection) -> Result<BaseUrl, Failure> {
    let Sourced { value: url, source } = &connection.base_url;
    let has_key = connection.key.is_some();
    let notice = check_transport(url, login.allows_http(url), has_key).map_err(|failure| Failure {
        message: format!("{source}: {}", failure.message),
        ..failure
    })?;
    notice
        .iter()
        .for_each(|notice| login.reporter.notice_once(notice));
    let needs_key = provider::recognise(url).is_none_or(|known| known.needs_key) && !is_own_server(url);
    if has_key || !needs_key {
        return Ok(url.clone());
    }
    let message = format!("{source}: Qwen Code has no API key for '{url}'");
    Err(Failure::new(Exit::NoAuth, message).hint("run 'qwen-login'"))
}

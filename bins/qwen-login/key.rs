//! The API key as it is typed, or read from standard input.

use std::borrow::Cow;
use std::io::{IsTerminal, Read};

use qwen_shared::copied::check_key;
use qwen_shared::exit::{Exit, Failure};
use qwen_shared::fs::cannot_read_stdin;
use qwen_shared::net::config::{KeySetting, Move, stored_for};
use qwen_shared::net::credential::{KeyringTimeout, Store, Stored};
use qwen_shared::net::http::BaseUrl;
use qwen_shared::provider::Provider;
use qwen_shared::secret::Secret;
use qwen_shared::terminal::Terminal;

use crate::login::Login;

/// In bytes.
const MAX_KEY: u64 = 64 << 10;

/// Where a key is for.
pub(crate) struct KeyFor<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) base_url: &'a BaseUrl,
    /// False where the endpoint is asked without a key unless there is one.
    pub(crate) is_needed: bool,
}

/// Reads the key from standard input with `--with-key`, else from the terminal.
///
/// # Errors
/// 65 for what is no key, 74 when standard input or the terminal cannot be read.
pub(crate) fn key_for(login: &mut Login<'_>, to: &KeyFor<'_>) -> Result<Option<Secret<String>>, Failure> {
    if login.args.with_key && !(std::io::stdin().is_terminal() && login.terminal.is_some()) {
        return key_from_stdin().map(Some);
    }
    let stored = match login.terminal {
        Some(_) => stored_key(login, to.base_url),
        None => None,
    };
    match login.terminal.as_mut() {
        Some(terminal) => key_from_terminal(terminal, to, stored),
        // One that is needed has been missed before.
        None => Ok(None),
    }
}

/// Returns the key that the profile has for this very endpoint.
fn stored_key(login: &Login<'_>, base_url: &BaseUrl) -> Option<Secret<String>> {
    let profile = &login.profile;
    let (Some(KeySetting::Store(kind)), Some(own)) = (&profile.settings.key, &profile.settings.base_url)
    else {
        return None;
    };
    if own != base_url {
        return None;
    }
    let store = Store::open(*kind, &profile.name, KeyringTimeout::noninteractive()).ok()?;
    let Stored::ApiKey(key) = store.load().ok()??.stored else {
        return None;
    };
    let has_moved = key
        .stored_for
        .is_some_and(|then| Move::since(&then, &stored_for(&profile.settings)).is_some());
    (!has_moved).then_some(key.key)
}

fn key_from_stdin() -> Result<Secret<String>, Failure> {
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    std::io::stdin()
        .take(MAX_KEY + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot_read_stdin(&error))?;
    let unfit = |reason: &str| Failure::new(Exit::Data, format!("standard input: {reason}"));
    if bytes.len() as u64 > MAX_KEY {
        return Err(unfit("this is too long to be a key"));
    }
    // What PowerShell and Windows' editors write is marked, as UTF-8 or UTF-16.
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(unfit("the key is text in UTF-16").hint("save it, or send it, as UTF-8"));
    }
    let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let key = str::from_utf8(text)
        .map_err(|_| unfit("the key is not text"))?
        .trim();
    check(key).map_err(|reason| unfit(&reason))?;
    Ok(Secret::new(key.to_owned()))
}

/// Asks until the answer can be a key, and shows its ends and its length. Enter keeps the stored one.
fn key_from_terminal(
    terminal: &mut Terminal,
    to: &KeyFor<'_>,
    stored: Option<Secret<String>>,
) -> Result<Option<Secret<String>>, Failure> {
    if let Some(page) = &to.provider.key_page {
        terminal.say(&format!("keys are made at {page}"))?;
    }
    let empty = match &stored {
        Some(key) => format!("Enter keeps {}, ", key.masked()),
        None if to.is_needed => String::new(),
        None => "empty for none, ".to_owned(),
    };
    let shown = match Terminal::can_draw() {
        true => "Tab shows it",
        false => "it is not shown",
    };
    let question = format!("API key ({empty}{shown}): ");
    loop {
        let key = terminal.ask_hidden(&question)?;
        if key.expose().is_empty() {
            match &stored {
                Some(key) => return Ok(Some(key.clone())),
                None if !to.is_needed => return Ok(None),
                None => {}
            }
        }
        match check(key.expose()) {
            Ok(()) => {
                let length = key.expose().len();
                terminal.say(&format!("key: {}, {length} characters", key.masked()))?;
                return Ok(Some(key));
            }
            Err(reason) => terminal.say(&reason)?,
        }
    }
}

/// Checks that a header can carry the key.
fn check(key: &str) -> Result<(), Cow<'static, str>> {
    if key.is_empty() {
        return Err("the key is empty".into());
    }
    check_key(key)?;
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("a key is one word of ASCII letters, digits and punctuation".into())
}

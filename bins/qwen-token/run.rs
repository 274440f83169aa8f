//! The tool itself.

use std::time::{Duration, SystemTime};

use qwen_shared::authorize::{Authorization, authorize};
use qwen_shared::config::{Overrides, Settings};
use qwen_shared::credential::{Life, Refresh, Wanted};
use qwen_shared::exit::Exit;
use qwen_shared::failure::{Failure, Outcome};
use qwen_shared::http::without_user_info;
use qwen_shared::out::{Stdout, Talk};
use qwen_shared::secret::forbid_core_dump;
use qwen_shared::tool::check_command;

use crate::child;
use crate::cli::Cli;
use crate::format;

/// Runs the tool.
pub(crate) fn run(cli: Cli, talk: &Talk) -> Outcome {
    forbid_core_dump();
    if cli.command.is_empty() {
        check_command("token")?;
    }
    let overrides = Overrides {
        profile: cli.common.profile.clone(),
        ..Overrides::default()
    };
    let settings = match Settings::resolve(&overrides) {
        Err(failure) if cli.check && failure.exit == Exit::NoAuth => return negative(&failure, talk),
        other => other?,
    };
    explain(&settings, talk);
    if cli.check {
        return check(&cli, &settings, talk);
    }
    let authorization = authorize(&settings, &wanted(&cli), talk)?;
    if talk.is_verbose() {
        explain_endpoint(&settings, &authorization, talk);
    }
    if cli.refresh && authorization.credential.is_none() {
        let (method, source) = (settings.method(), &settings.access.source);
        talk.notice(&format!(
            "nothing to refresh: the method is {method}, from {source}"
        ));
    }
    if let Some((program, arguments)) = cli.command.split_first() {
        return child::run(program, arguments, &settings, &authorization);
    }
    let text = format::write(cli.format, &settings, &authorization)?;
    Stdout::write(text.expose().as_bytes())?;
    Ok(Exit::Ok)
}

fn wanted(cli: &Cli) -> Wanted {
    Wanted {
        min_ttl: Duration::from_secs(cli.min_ttl),
        refresh: match (cli.refresh, cli.no_refresh || cli.check) {
            (true, _) => Refresh::Now,
            (_, true) => Refresh::Never,
            _ => Refresh::WhenDue,
        },
    }
}

/// Says where everything came from, and what the settings have to remark.
fn explain(settings: &Settings, talk: &Talk) {
    for notice in &settings.notices {
        talk.notice(notice);
    }
    if talk.is_verbose() {
        for (name, value, source) in settings.origins() {
            talk.detail(&Settings::origin(name, &value, &source));
        }
    }
}

/// Says where the credential itself names another endpoint.
fn explain_endpoint(settings: &Settings, authorization: &Authorization, talk: &Talk) {
    match authorization.base_url(settings) {
        Ok(url) if url == settings.base_url.value => {}
        Ok(url) => {
            let source = "the credential's 'resource_url'";
            talk.detail(&Settings::origin("base_url", &without_user_info(&url), source));
        }
        Err(failure) => talk.detail(&failure.message),
    }
}

/// Answers whether there is a valid token. What keeps the question from being answered is a failure as ever.
fn check(cli: &Cli, settings: &Settings, talk: &Talk) -> Outcome {
    let quiet = Talk::new(talk.program(), true, talk.is_verbose(), talk.color());
    let authorization = match authorize(settings, &wanted(cli), &quiet) {
        Err(failure) if failure.exit == Exit::NoAuth => return negative(&failure, talk),
        other => other?,
    };
    Ok(match too_short(cli, &authorization) {
        None => Exit::Ok,
        Some(reason) => {
            talk.notice(&reason);
            Exit::No
        }
    })
}

fn too_short(cli: &Cli, authorization: &Authorization) -> Option<String> {
    let (credential, now) = (authorization.credential.as_ref()?, SystemTime::now());
    let min_ttl = Duration::from_secs(cli.min_ttl);
    credential
        .is_due(min_ttl, now)
        .then(|| match credential.remaining(now) {
            Life::For(rest) => format!("the token expires in {} s", rest.as_secs()),
            _ => "the token has expired".to_owned(),
        })
}

fn negative(failure: &Failure, talk: &Talk) -> Outcome {
    talk.notice(&failure.message);
    Ok(Exit::No)
}

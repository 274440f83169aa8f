//! What the tool does.

use std::time::{Duration, SystemTime};

use qwen_shared::app::check_command;
use qwen_shared::exit::{Exit, Outcome};
use qwen_shared::net::api::{Authorization, authorize, take_over_logins};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::net::credential::{Refresh, RefreshPolicy};
use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::secret::forbid_core_dump;
use url::Url;

use super::args::{Args, Destination, Format};
use crate::{command, format};

pub(crate) fn run(args: Args, reporter: &Reporter) -> Outcome {
    forbid_core_dump();
    if args.command.is_empty() {
        check_command("token")?;
    }
    let left = take_over_logins(reporter);
    print(&args, reporter).map_err(|failure| left.explain(failure))
}

/// Prints the token, or runs the command with it.
fn print(args: &Args, reporter: &Reporter) -> Outcome {
    let overrides = Overrides {
        profile: args.common.profile.clone(),
        ..Overrides::default()
    };
    let settings = match Settings::resolve(&overrides) {
        Err(failure) if args.check && failure.exit == Exit::NoAuth => return no(&failure.message, reporter),
        other => other?,
    };
    settings.report(reporter);
    if args.check {
        return check(args, &settings, reporter);
    }
    args.destination.as_ref().map_or(Ok(()), Destination::check)?;
    let destination = destination(args, &settings);
    if let Some(url) = destination.as_ref().filter(|_| !settings.uses_oauth()) {
        settings.check_destination(&settings.base_url.value, url)?;
    }
    let authorization = authorize(&settings, &refresh_policy(args), reporter)?;
    if let Some(url) = &destination {
        settings.check_destination(&authorization.base_url(&settings)?, url)?;
    }
    if reporter.is_verbose() {
        report_endpoint(&settings, &authorization, reporter);
    }
    if args.refresh && authorization.credential.is_none() {
        report_no_refresh(&settings, reporter);
    }
    if let Some((program, arguments)) = args.command.split_first() {
        return command::run(program, arguments, &settings, &authorization, reporter);
    }
    let text = format::format(args, &settings, &authorization, destination.as_ref(), reporter)?;
    Stdout::write(text.expose().as_bytes())?;
    Ok(Exit::Ok)
}

fn report_no_refresh(settings: &Settings, reporter: &Reporter) {
    let (method, source) = (settings.method(), &settings.auth.source);
    reporter.notice(&format!(
        "nothing to refresh: the method is {method}, from {source}"
    ));
}

/// Returns the URL of `--for`. The lines for curl have the endpoint's own parameters, which are part of its address.
fn destination(args: &Args, settings: &Settings) -> Option<Url> {
    match (&args.destination, args.format) {
        (Some(url), Format::Curl) => Some(format::with_query(settings, url)),
        (url, _) => url.as_deref().cloned(),
    }
}

fn refresh_policy(args: &Args) -> RefreshPolicy {
    RefreshPolicy {
        min_ttl: Duration::from_secs(args.min_ttl),
        refresh: match (args.refresh, args.no_refresh || args.check) {
            (true, _) => Refresh::Now,
            (_, true) => Refresh::Never,
            _ => Refresh::WhenDue,
        },
    }
}

/// Reports an endpoint that the credential names.
fn report_endpoint(settings: &Settings, authorization: &Authorization, reporter: &Reporter) {
    match authorization.base_url(settings) {
        Ok(url) if url == settings.base_url.value => {}
        Ok(url) => reporter.detail(&format!("base_url '{url}' from the credential's 'resource_url'")),
        Err(failure) => reporter.detail(&failure.message),
    }
}

/// Answers whether there is a valid token. It is a failure if that cannot be found out.
fn check(args: &Args, settings: &Settings, reporter: &Reporter) -> Outcome {
    let quiet = Reporter::new(reporter.program(), true, reporter.is_verbose(), reporter.color());
    let authorization = match authorize(settings, &refresh_policy(args), &quiet) {
        Err(failure) if failure.exit == Exit::NoAuth => return no(&failure.message, reporter),
        other => other?,
    };
    if let Some(url) = &args.destination
        && let Err(failure) = authorization
            .base_url(settings)
            .and_then(|base_url| settings.check_destination(&base_url, url))
            .and_then(|()| url.check())
    {
        return no(&failure.message, reporter);
    }
    too_short(args, &authorization).map_or(Ok(Exit::Ok), |reason| no(&reason, reporter))
}

/// Returns why the token is not valid for `--min-ttl`.
fn too_short(args: &Args, authorization: &Authorization) -> Option<String> {
    let (credential, now) = (authorization.credential.as_ref()?, SystemTime::now());
    let min_ttl = Duration::from_secs(args.min_ttl);
    credential
        .is_due(min_ttl, now)
        .then(|| match credential.expires_in(now) {
            Some(left) if !left.is_zero() => format!("the token expires in {} s", left.as_secs()),
            _ => "the token has expired".to_owned(),
        })
}

fn no(reason: &str, reporter: &Reporter) -> Outcome {
    reporter.notice(reason);
    Ok(Exit::No)
}

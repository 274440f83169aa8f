//! The client of the endpoint that the settings name.

use qwen_shared::exit::Failure;
use qwen_shared::net::api::{Client, ClientOptions, Endpoint};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::net::credential::RefreshPolicy;
use qwen_shared::output::Reporter;

use super::args::LimitArgs;

/// Resolves the settings and reports their notices.
pub(crate) fn resolve_settings(overrides: &Overrides, reporter: &Reporter) -> Result<Settings, Failure> {
    let settings = Settings::resolve(overrides)?;
    settings.report(reporter);
    Ok(settings)
}

/// Gets the credential and makes the client.
///
/// # Errors
/// Those of [`Endpoint::open`] and [`Client::new`].
pub(crate) fn connect(
    settings: Settings,
    limits: &LimitArgs,
    reporter: &Reporter,
) -> Result<Client, Failure> {
    let options = limits.common.options(settings.timeouts);
    let options = ClientOptions {
        max_time: limits.max_time.or(options.max_time),
        is_paced: !limits.no_pace,
        ..options
    };
    let endpoint = Endpoint::open(settings, &RefreshPolicy::default(), reporter)?;
    Client::new(endpoint, options, reporter)
}

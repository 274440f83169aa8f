//! The client of the endpoint that the settings name.

use std::time::Duration;

use qwen_shared::exit::Failure;
use qwen_shared::net::api::{self, Client, Endpoint};
use qwen_shared::net::config::{Overrides, Settings};
use qwen_shared::net::credential::RefreshPolicy;
use qwen_shared::output::Reporter;

use super::args::LimitArgs;

/// The command line, as far as a client depends on it.
#[derive(Debug)]
pub(crate) struct ClientOptions<'a> {
    pub(crate) profile: Option<&'a String>,
    pub(crate) model: Option<&'a String>,
    pub(crate) limits: &'a LimitArgs,
    /// The longest pause that the server may ask for.
    pub(crate) longest_wait: Duration,
    /// Whether requests wait for the rate limit.
    pub(crate) is_paced: bool,
    /// Whether the client retries by itself, as often as the flag says.
    pub(crate) retries: bool,
}

/// Resolves the settings, gets the credential and makes the client.
///
/// # Errors
/// Those of the settings and of the credential: 77, 78, 75.
pub(crate) fn connect(options: &ClientOptions<'_>, reporter: &Reporter) -> Result<Client, Failure> {
    let settings = Settings::resolve(&Overrides {
        profile: options.profile.cloned(),
        model: Overrides::model_of_flag(options.model),
        ..Overrides::default()
    })?;
    settings.report(reporter);
    let mut client = options.limits.common.options(settings.timeouts);
    // Of one attempt: a request that waits for its turn is not late.
    client.timeouts.total = options.limits.max_time.or(client.max_time.take());
    let client = api::ClientOptions {
        longest_wait: options.longest_wait,
        is_paced: options.is_paced,
        retries: if options.retries { client.retries } else { 0 },
        ..client
    };
    let endpoint = Endpoint::open(settings, &RefreshPolicy::default(), reporter)?;
    Client::new(endpoint, client, reporter)
}

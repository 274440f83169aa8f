//! The limits of requests, as flags.

use std::time::Duration;

use super::client::ClientOptions;
use super::retry::{LONGEST_WAIT, RETRIES};
use crate::net::config::TimeoutSettings;
use crate::net::http::{Timeouts, parse_limit};

/// The limits of every program that asks a model. What is not set is left to the profile, then to the default.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
#[group(skip)]
pub struct LimitArgs {
    /// Retry up to COUNT times when the server is busy or the connection fails [default: 3]
    #[arg(long, value_name = "COUNT", hide_short_help = true)]
    retries: Option<u32>,
    #[command(flatten)]
    timeouts: TimeoutArgs,
}

impl LimitArgs {
    /// Returns the options of a client: flags, then the profile, then the defaults.
    #[must_use]
    pub fn options(&self, profile: TimeoutSettings) -> ClientOptions {
        self.timeouts.options(profile, self.retries.unwrap_or(RETRIES))
    }
}

/// The time limits of a request.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
#[group(skip)]
pub struct TimeoutArgs {
    /// Limit for the connection [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    connect_timeout: Option<Duration>,
    /// Limit from the end of the request to the beginning of the answer [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    first_byte_timeout: Option<Duration>,
    /// Limit for a pause within the request or the answer [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    idle_timeout: Option<Duration>,
    /// Limit for an answer that goes on and says nothing new [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = parse_limit, hide_short_help = true)]
    progress_timeout: Option<Duration>,
}

impl TimeoutArgs {
    /// Returns the options of a client that tries again so often: flags, then the profile, then the defaults.
    #[must_use]
    pub fn options(&self, profile: TimeoutSettings, retries: u32) -> ClientOptions {
        let flags = TimeoutSettings {
            connect: self.connect_timeout,
            first_byte: self.first_byte_timeout,
            idle: self.idle_timeout,
            progress: self.progress_timeout,
            total: None,
        };
        let timeouts = flags.or(profile).with_defaults(Timeouts::default());
        ClientOptions {
            timeouts: Timeouts {
                total: None,
                ..timeouts
            },
            max_time: timeouts.total,
            retries,
            longest_wait: LONGEST_WAIT,
            is_paced: true,
            has_flags: true,
            renewal_pause: Duration::ZERO,
            threads: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LimitArgs, TimeoutArgs};
    use crate::net::config::TimeoutSettings;
    use crate::net::http::Timeouts;

    #[test]
    fn a_flag_goes_before_the_profile_and_a_profile_before_the_default_which_it_may_equal() {
        let default = Timeouts::default().first_byte;
        let other = default * 2;
        for (flag, profile, expected) in [
            (None, None, default),
            (None, Some(other), other),
            (Some(default), Some(other), default),
            (Some(other), Some(default), other),
        ] {
            let timeouts = TimeoutArgs {
                first_byte_timeout: flag,
                ..TimeoutArgs::default()
            };
            let flags = LimitArgs {
                timeouts,
                ..LimitArgs::default()
            };
            let profile = TimeoutSettings {
                first_byte: profile,
                total: Some(Duration::from_secs(7)),
                ..TimeoutSettings::default()
            };
            let options = flags.options(profile);
            assert_eq!(options.timeouts.first_byte, expected);
            assert_eq!(options.max_time, Some(Duration::from_secs(7)));
        }
    }
}

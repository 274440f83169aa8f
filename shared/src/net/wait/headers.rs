//! What headers say about waiting.

use std::time::{Duration, SystemTime};

use super::Wait;

/// What the headers of a refusal say about waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderWaits {
    /// `Retry-After` (RFC 9110, section 10.2.3), else what has that at the end of its name (`x-ratelimit-retry-after`), or
    /// `retry-after-ms`, which is more exact.
    pub retry_after: Option<Duration>,
    /// When the limit that is used up renews: the latest reset among the limits of which nothing remains; where none says
    /// so, the earliest of those that do not say what remains.
    pub reset: Option<Duration>,
}

impl HeaderWaits {
    /// Reads headers: `Retry-After`, `retry-after-ms`, and whatever has `ratelimit` and `reset` in its name
    /// (`x-ratelimit-reset-tokens`, `anthropic-ratelimit-requests-reset`, `ratelimit: limit=1, remaining=0, reset=5`).
    ///
    /// A point in time is one of the server's clock, which `Date` tells; `now` counts where there is no such header.
    #[must_use]
    pub fn read<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>, now: SystemTime) -> Self {
        let headers: Vec<_> = headers.collect();
        let now = date(headers.iter().copied()).unwrap_or(now);
        let mut waits = Self::default();
        let (mut milliseconds, mut alike) = (None, None);
        let mut limits = Limits::default();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if name.ends_with("retry-after-ms") {
                milliseconds = Wait::from_milliseconds(value);
            } else if name.ends_with("retry-after") {
                let wait = Wait::parse(value).map(|wait| wait.from(now));
                let longest = match name.len() == "retry-after".len() {
                    true => &mut waits.retry_after,
                    false => &mut alike,
                };
                *longest = wait.max(*longest);
            } else if name.contains("ratelimit") || name.contains("rate-limit") {
                limits.add(&name, value, now);
            }
        }
        waits.retry_after = waits.retry_after.or(alike);
        if let Some(wait) = milliseconds {
            waits.retry_after = Some(wait.from(now));
        }
        waits.reset = limits.reset();
        waits
    }
}

/// Returns the server's time, by its `Date`: the clock here may be hours off.
pub fn date<'a>(mut headers: impl Iterator<Item = (&'a str, &'a str)>) -> Option<SystemTime> {
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    httpdate::parse_http_date(value.trim()).ok()
}

/// The limits that a head names, each by its headers' name without `reset` and `remaining`.
#[derive(Default)]
struct Limits {
    resets: Vec<(String, Duration)>,
    /// What remains of each.
    left: Vec<(String, f64)>,
}

impl Limits {
    fn add(&mut self, name: &str, value: &str, now: SystemTime) {
        if name.contains("reset") {
            if let Some(wait) = Wait::parse(value) {
                self.resets.push((name.replace("reset", ""), wait.from(now)));
            }
        } else if name.contains("remaining") {
            if let Ok(left) = value.trim().parse::<f64>() {
                self.left.push((name.replace("remaining", ""), left));
            }
        } else {
            // draft-ietf-httpapi-ratelimit-headers: `limit=1, remaining=0, reset=5`, later `"name";r=0;t=5`.
            let mut policy = "";
            for part in value.split([',', ';']).map(str::trim) {
                match part.split_once('=') {
                    None => policy = part,
                    Some(("reset" | "t", value)) => self.add(&format!("reset{policy}"), value, now),
                    Some(("remaining" | "r", value)) => self.add(&format!("remaining{policy}"), value, now),
                    Some(_) => {}
                }
            }
        }
    }

    fn reset(&self) -> Option<Duration> {
        let left = |name: &str| self.left.iter().find(|left| left.0 == name).map(|left| left.1);
        let used_up = self
            .resets
            .iter()
            .filter(|(name, _)| left(name).is_some_and(|left| left <= 0.0));
        let latest = used_up.map(|(_, wait)| *wait).max();
        let unknown = self.resets.iter().filter(|(name, _)| left(name).is_none());
        latest.or_else(|| unknown.map(|(_, wait)| *wait).min())
    }
}

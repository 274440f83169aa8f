//! How long a server asks to be left alone: in headers, in the members of a body, in its words.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time to wait, as servers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// From now on.
    For(Duration),
    /// Until then.
    Until(SystemTime),
}

impl Wait {
    /// Returns how long it is from `now`; nothing for a time that is over.
    #[must_use]
    pub fn from(self, now: SystemTime) -> Duration {
        match self {
            Self::For(time) => time,
            Self::Until(time) => time.duration_since(now).unwrap_or_default(),
        }
    }

    /// Reads a value that is a wait by the name of its header or member.
    ///
    /// Known are seconds (`3`, `0.5`), points in time as seconds or milliseconds since 1970, durations (`1m30.5s`, `20ms`,
    /// `26 seconds`), and dates of RFC 9110 and RFC 3339.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return Self::from_number(number);
        }
        if let Some((time, "")) = duration(text) {
            return Some(Self::For(time));
        }
        let date = httpdate::parse_http_date(text).ok().or_else(|| rfc3339(text))?;
        Some(Self::Until(date))
    }

    /// Reads a number of seconds; one that would be more than 30 years is a point in time.
    fn from_number(number: f64) -> Option<Self> {
        const EPOCH_SECONDS: f64 = 1e9;
        const EPOCH_MILLISECONDS: f64 = 1e11;
        const LAST: f64 = 1e14;
        if !number.is_finite() || number < 0.0 {
            return None;
        }
        Some(match number {
            EPOCH_MILLISECONDS..LAST => Self::Until(UNIX_EPOCH + Duration::from_secs_f64(number / 1000.0)),
            EPOCH_SECONDS..EPOCH_MILLISECONDS => Self::Until(UNIX_EPOCH + Duration::from_secs_f64(number)),
            _ => Self::For(Duration::try_from_secs_f64(number).unwrap_or(Duration::MAX)),
        })
    }

    /// Reads a number of milliseconds.
    #[must_use]
    pub fn from_milliseconds(text: &str) -> Option<Self> {
        let number = text.trim().parse::<f64>().ok()?;
        let time = Duration::try_from_secs_f64(number / 1000.0).ok()?;
        Some(Self::For(time))
    }
}

/// Returns a wait as a person says it, by its two largest units: `90 s`, `2 min 30 s`, `2 h 5 min`, `3 days`.
#[must_use]
pub fn spell(wait: Duration) -> String {
    const YEAR: u64 = 365 * 86_400;
    if wait < Duration::from_secs(1) {
        return format!("{} ms", wait.as_millis());
    }
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_millis() > 0));
    let two = |(large, name): (u64, &str), (small, other): (u64, &str)| match small {
        0 => format!("{large} {name}"),
        _ => format!("{large} {name} {small} {other}"),
    };
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..3600 => two((seconds / 60, "min"), (seconds % 60, "s")),
        3600..86_400 => two((seconds / 3600, "h"), (seconds % 3600 / 60, "min")),
        86_400..172_800 => two((1, "day"), (seconds % 86_400 / 3600, "h")),
        172_800..YEAR => two((seconds / 86_400, "days"), (seconds % 86_400 / 3600, "h")),
        _ => "more than a year".to_owned(),
    }
}

/// Reads RFC 3339, with any offset; without one it would be a guess.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let text = text.replacen(' ', "T", 1);
    if text.ends_with(['Z', 'z']) {
        return humantime::parse_rfc3339_weak(&text).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let seconds = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
    let local = humantime::parse_rfc3339_weak(&format!("{local}Z")).ok()?;
    match offset.as_bytes()[0] {
        b'+' => local.checked_sub(Duration::from_secs(seconds)),
        b'-' => local.checked_add(Duration::from_secs(seconds)),
        _ => None,
    }
}

/// What the headers of a refusal say about waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderWaits {
    /// `Retry-After` (RFC 9110, section 10.2.3) or `retry-after-ms`, which is more exact.
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
        let mut milliseconds = None;
        let mut limits = Limits::default();
        for (name, value) in headers {
            let name = name.to_ascii_lowercase();
            if name.ends_with("retry-after-ms") {
                milliseconds = Wait::from_milliseconds(value);
            } else if name == "retry-after" {
                waits.retry_after = Wait::parse(value).map(|wait| wait.from(now));
            } else if name.contains("ratelimit") || name.contains("rate-limit") {
                limits.add(&name, value, now);
            }
        }
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

/// Units of time by their names, in seconds.
const UNITS: [(f64, &[&str]); 6] = [
    (
        1e-3,
        &["ms", "msec", "msecs", "millisecond", "milliseconds", "毫秒"],
    ),
    (
        1.0,
        &["s", "sec", "secs", "second", "seconds", "秒", "秒钟", "秒鐘"],
    ),
    (
        60.0,
        &["m", "min", "mins", "minute", "minutes", "分", "分钟", "分鐘"],
    ),
    (3600.0, &["h", "hr", "hrs", "hour", "hours", "小时", "小時"]),
    (86400.0, &["d", "day", "days", "天", "日"]),
    (1e-6, &["us", "µs", "μs"]),
];

/// Reads a duration at the beginning of a text (`1h2m`, `1.5s`, `3 seconds`, `10 秒`); returns it and what follows.
fn duration(text: &str) -> Option<(Duration, &str)> {
    let mut total = None;
    let mut rest = text;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let Ok(number) = number.parse::<f64>() else { break };
        let after = after.trim_start_matches([' ', '-']);
        let is_unit = |c: char| c.is_ascii_alphabetic() || "µμ毫秒钟鐘分小时時天日".contains(c);
        let end = after.find(|c| !is_unit(c)).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit.to_lowercase();
        let Some((seconds, _)) = UNITS.iter().find(|(_, names)| names.contains(&unit.as_str())) else {
            break;
        };
        *total.get_or_insert(0.0) += number * seconds;
        rest = after;
        let next = rest.trim_start();
        if next.starts_with(|c: char| c.is_ascii_digit()) {
            rest = next;
        }
    }
    let time = Duration::try_from_secs_f64(total?).unwrap_or(Duration::MAX);
    Some((time, rest))
}

/// Words after which a message names a wait, and words that may stand between.
const ANCHORS: [&str; 14] = [
    "again",
    "retry",
    "retrying",
    "retried",
    "wait",
    "waiting",
    "reset",
    "resets",
    "available",
    "renew",
    "renews",
    "retry-after",
    "retry_after",
    "back",
];
const FILLERS: [&str; 16] = [
    "in",
    "after",
    "for",
    "at",
    "least",
    "about",
    "approximately",
    "around",
    "another",
    "up",
    "to",
    "until",
    "the",
    "next",
    "is",
    "on",
];

/// Finds the wait that a message names: `Please try again in 1m30s`, `retry after 10 seconds`, `请在 10 秒后重试`.
#[must_use]
pub fn in_words(message: &str) -> Option<Wait> {
    let text = message.to_lowercase();
    let mut is_after_anchor = false;
    let mut place = 0;
    for word in text.split_whitespace() {
        let start = place + text[place..].find(word)?;
        place = start + word.len();
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if ANCHORS.contains(&bare) {
            is_after_anchor = true;
        } else if is_after_anchor && !FILLERS.contains(&bare) {
            is_after_anchor = false;
            let from = text[start..].trim_start_matches(['~', '(', '\'', '"']);
            if let Some(wait) = wait_at(from) {
                return Some(wait);
            }
        }
    }
    chinese_wait(&text)
}

/// Reads a duration, a date, or a bare number of seconds at the beginning of a text.
fn wait_at(text: &str) -> Option<Wait> {
    if let Some((time, _)) = duration(text) {
        return Some(Wait::For(time));
    }
    let word = text
        .split_whitespace()
        .next()?
        .trim_end_matches(['.', ',', ';', ')', '\'', '"']);
    if word.parse::<u32>().is_ok() || word.contains('t') {
        return Wait::parse(&word.to_uppercase());
    }
    None
}

/// Finds `N 秒后`, `N 分钟之后`: a duration followed by the word for "after".
fn chinese_wait(text: &str) -> Option<Wait> {
    let mut was_digit = false;
    for (start, c) in text.char_indices() {
        let is_first_digit = c.is_ascii_digit() && !was_digit;
        was_digit = c.is_ascii_digit() || c == '.';
        if is_first_digit
            && let Some((time, rest)) = duration(&text[start..])
            && rest
                .trim_start()
                .trim_start_matches('之')
                .starts_with(['后', '後'])
        {
            return Some(Wait::For(time));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{HeaderWaits, Wait, in_words, spell};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    const NOW: u64 = 1_764_417_600; // 2025-11-29T12:00:00Z

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(NOW)
    }

    fn seconds(wait: Option<Wait>) -> Option<f64> {
        wait.map(|wait| wait.from(now()).as_secs_f64())
    }

    #[test]
    fn a_wait_is_read_in_every_spelling() {
        for (text, wait) in [
            ("3", Some(3.0)),
            (" 0.25 ", Some(0.25)),
            ("26s", Some(26.0)),
            ("1m30.5s", Some(90.5)),
            ("20ms", Some(0.02)),
            ("6m0s", Some(360.0)),
            ("1h2m", Some(3720.0)),
            ("2d", Some(172_800.0)),
            ("10 seconds", Some(10.0)),
            ("1 minute 5 seconds", Some(65.0)),
            ("1764417610", Some(10.0)),
            ("1764417610000", Some(10.0)),
            ("Sat, 29 Nov 2025 12:00:10 GMT", Some(10.0)),
            ("Sat, 29 Nov 2025 11:00:00 GMT", Some(0.0)),
            ("2025-11-29T12:00:10Z", Some(10.0)),
            ("2025-11-29T20:00:10+08:00", Some(10.0)),
            ("2025-11-29 12:00:10.5Z", Some(10.5)),
            ("-1", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            ("5 apples", None),
        ] {
            assert_eq!(seconds(Wait::parse(text)), wait, "{text:?}");
        }
        assert_eq!(Wait::parse("1e300"), Some(Wait::For(Duration::MAX)));
    }

    #[test]
    fn a_wait_is_spelled_as_a_person_says_it() {
        for (milliseconds, words) in [
            (20, "20 ms"),
            (1_500, "2 s"),
            (59_000, "59 s"),
            (90_000, "90 s"),
            (150_000, "2 min 30 s"),
            (7_500_000, "2 h 5 min"),
            (90_000_000, "1 day 1 h"),
            (259_200_000, "3 days"),
            (u64::MAX, "more than a year"),
        ] {
            assert_eq!(spell(Duration::from_millis(milliseconds)), words);
        }
        assert_eq!(spell(Duration::MAX), "more than a year");
    }

    #[test]
    fn a_message_may_name_the_wait() {
        for (message, wait) in [
            ("Please try again in 1.6s. Visit https://x.example", Some(1.6)),
            ("Please try again in 20ms.", Some(0.02)),
            ("try again in 6m0s", Some(360.0)),
            ("Please try again in 1h2m3s", Some(3723.0)),
            ("Please retry after 3 seconds.", Some(3.0)),
            ("Please retry in 26.37s.", Some(26.37)),
            ("retry after 10", Some(10.0)),
            ("Retry-After: 7", Some(7.0)),
            ("Please wait 20 seconds before", Some(20.0)),
            ("wait for at least 1 minute", Some(60.0)),
            ("Quota resets in 2 hours", Some(7200.0)),
            ("Try again at 2025-11-29T12:00:30Z.", Some(30.0)),
            ("请求过于频繁,请在 10 秒后重试", Some(10.0)),
            ("请1分钟后再试", Some(60.0)),
            ("请 3 秒之后重试", Some(3.0)),
            ("max 3 s of audio", None),
            ("try again later", None),
            ("try again with 3 images", None),
            ("wait", None),
            ("您的额度 100 天", None),
        ] {
            assert_eq!(seconds(in_words(message)), wait, "{message:?}");
        }
    }

    #[test]
    fn headers_name_the_wait() {
        for (headers, retry_after, reset) in [
            (&[("Retry-After", "3")][..], Some(3.0), None),
            (
                &[("retry-after", "9"), ("retry-after-ms", "1500")],
                Some(1.5),
                None,
            ),
            (
                &[
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                None,
                Some(1.0),
            ),
            (
                &[
                    ("x-ratelimit-remaining-tokens", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                None,
                Some(360.0),
            ),
            (
                &[
                    ("anthropic-ratelimit-tokens-remaining", "0"),
                    ("anthropic-ratelimit-tokens-reset", "2025-11-29T12:00:10Z"),
                    ("anthropic-ratelimit-requests-reset", "2025-11-29T12:00:05Z"),
                ],
                None,
                Some(10.0),
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "500ms"),
                ],
                None,
                Some(0.5),
            ),
            (&[("retry-after", "1m30s")], Some(90.0), None),
            // By the clock of the server, which is three hours ahead of ours.
            (
                &[
                    ("Retry-After", "Sat, 29 Nov 2025 15:00:20 GMT"),
                    ("Date", "Sat, 29 Nov 2025 15:00:00 GMT"),
                    ("x-ratelimit-reset", "1764428430"),
                ],
                Some(20.0),
                Some(30.0),
            ),
            (
                &[
                    ("date", "yesterday"),
                    ("retry-after", "Sat, 29 Nov 2025 12:00:07 GMT"),
                ],
                Some(7.0),
                None,
            ),
            (&[("x-ratelimit-reset", "1764417625")], None, Some(25.0)),
            (&[("X-RateLimit-Reset", "1764417625000")], None, Some(25.0)),
            (&[("ratelimit-reset", "30")], None, Some(30.0)),
            (
                &[("ratelimit", "limit=100, remaining=0, reset=5")],
                None,
                Some(5.0),
            ),
            (&[("ratelimit", "\"default\";r=0;t=8")], None, Some(8.0)),
            (&[("x-ratelimit-limit", "100"), ("server", "x")], None, None),
            // Of what is left over, the renewal says nothing.
            (
                &[
                    ("x-ratelimit-remaining-requests", "5"),
                    ("x-ratelimit-reset-requests", "24h0m0s"),
                ],
                None,
                None,
            ),
            (
                &[
                    ("x-ratelimit-remaining-requests", "5"),
                    ("x-ratelimit-reset-requests", "24h0m0s"),
                    ("x-ratelimit-reset-tokens", "6s"),
                ],
                None,
                Some(6.0),
            ),
            (
                &[("ratelimit", "\"day\";r=50;t=3600, \"minute\";r=0;t=20")],
                None,
                Some(20.0),
            ),
            (&[("ratelimit", "\"day\";r=50;t=3600")], None, None),
        ] {
            let seen = HeaderWaits::read(headers.iter().copied(), now());
            let seen = [seen.retry_after, seen.reset].map(|wait| wait.map(|wait| wait.as_secs_f64()));
            assert_eq!(seen, [retry_after, reset], "{headers:?}");
        }
    }
}

//! How long a server asks to be left alone: in headers, in the members of a body, in its words.

mod headers;
mod words;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use self::headers::{HeaderWaits, date};
use self::words::duration;
pub use self::words::in_words;

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
    /// `26 seconds`, `PT30S`, `00:00:30`), and dates of RFC 9110 and RFC 3339. Of a list of seconds, which is what a header
    /// becomes that came twice, the longest counts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<f64>() {
            return Self::from_number(number);
        }
        let whole = duration(text).filter(|(_, rest)| rest.is_empty());
        let time = whole.map(|(time, _)| time);
        if let Some(time) = time.or_else(|| iso_duration(text)).or_else(|| time_span(text)) {
            return Some(Self::For(time));
        }
        if let Some(date) = http_date(text).or_else(|| rfc3339(text)) {
            return Some(Self::Until(date));
        }
        let numbers = text.split(',').map(|number| number.trim().parse::<f64>().ok());
        let longest = numbers.reduce(|one, other| Some(one?.max(other?)))?;
        Self::from_number(longest?)
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

/// Reads a date of RFC 9110; some write another name for its zone.
fn http_date(text: &str) -> Option<SystemTime> {
    let zones = [" UTC", " UT", " +0000"];
    let bare = zones.iter().find_map(|zone| text.strip_suffix(zone));
    let date = bare.map_or_else(|| text.to_owned(), |bare| format!("{bare} GMT"));
    httpdate::parse_http_date(&date).ok()
}

/// Reads a duration of ISO 8601 in days, hours, minutes and seconds: `PT1M30S`, `P1DT2H`.
fn iso_duration(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    if !days.is_empty() && !days.ends_with('D') {
        return None;
    }
    let parts = [days, time].into_iter().filter(|part| !part.is_empty());
    let parts = parts.map(|part| duration(part).filter(|(_, rest)| rest.is_empty()));
    parts
        .reduce(|one, other| Some((one?.0.saturating_add(other?.0), "")))
        .flatten()
        .map(|(time, _)| time)
}

/// Reads a duration as .NET writes it, and with it Azure: `00:00:30`, `22.14:18:12`.
fn time_span(text: &str) -> Option<Duration> {
    let (hours, rest) = text.split_once(':')?;
    let (minutes, seconds) = rest.split_once(':')?;
    let (days, hours) = hours.split_once('.').unwrap_or(("0", hours));
    let below = |text: &str, limit: u64| text.parse::<u64>().ok().filter(|number| *number < limit);
    let whole = below(days, 1 << 20)? * 86_400 + below(hours, 24)? * 3600 + below(minutes, 60)? * 60;
    let seconds = seconds
        .parse::<f64>()
        .ok()
        .filter(|seconds| (0.0..60.0).contains(seconds))?;
    Some(Duration::from_secs(whole) + Duration::from_secs_f64(seconds))
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
            ("PT30S", Some(30.0)),
            ("PT1M30.5S", Some(90.5)),
            ("P1DT2H", Some(93_600.0)),
            ("00:00:30", Some(30.0)),
            ("02:45:33", Some(9_933.0)),
            ("22.14:18:12", Some(1_952_292.0)),
            ("1 hour and 5 minutes", Some(3_900.0)),
            ("1 hour, 5 minutes, 2 seconds", Some(3_902.0)),
            ("20 Sekunden", Some(20.0)),
            ("2 минуты", Some(120.0)),
            ("Sat, 29 Nov 2025 12:00:10 UTC", Some(10.0)),
            ("Sat, 29 Nov 2025 12:00:10 +0000", Some(10.0)),
            ("120, 60", Some(120.0)),
            ("30, 30", Some(30.0)),
            ("12:00", None),
            ("P", None),
            ("PT", None),
            ("::", None),
            ("1,000", Some(1.0)),
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
            ("Quota will be replenished in 02:45:33.", Some(9_933.0)),
            ("Try again in 1 hour and 30 minutes", Some(5_400.0)),
            ("wait 10 seconds, 5 requests are allowed", Some(10.0)),
            ("30秒後に再試行してください", Some(30.0)),
            ("1時間後に再試行してください", Some(3_600.0)),
            ("30초 후 다시 시도해 주세요", Some(30.0)),
            ("2분 후에 다시 시도하세요", Some(120.0)),
            ("Повторите попытку через 20 секунд", Some(20.0)),
            ("Попробуйте через 5 минут", Some(300.0)),
            ("Bitte versuchen Sie es in 20 Sekunden erneut", Some(20.0)),
            ("Veuillez réessayer dans 20 secondes", Some(20.0)),
            ("Inténtelo de nuevo en 2 minutos", Some(120.0)),
            ("Tente novamente em 20 segundos", Some(20.0)),
            ("Riprova tra 20 secondi", Some(20.0)),
            ("10 requests in 60 seconds", None),
            ("20 Anfragen in 60 Sekunden", None),
            ("30초 동안 5회", None),
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
            (&[("x-retry-after", "7")], Some(7.0), None),
            (&[("x-ratelimit-retry-after", "7")], Some(7.0), None),
            (&[("x-retry-after", "7"), ("retry-after", "9")], Some(9.0), None),
            (&[("retry-after", "9"), ("retry-after", "5")], Some(9.0), None),
            (
                &[("retry-after", "soon"), ("x-retry-after", "5")],
                Some(5.0),
                None,
            ),
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

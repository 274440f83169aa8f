//! Durations as people write them: `90`, `90s`, `10m`, `1h`.

use std::time::Duration;

/// The longest that can be given: a hundred days.
const LONGEST: u64 = 100 * 24 * 3600;
const YEAR: u64 = 365 * 24 * 3600;

/// Parses a number of seconds, or a number with the unit `s`, `m` or `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(['s', 'm', 'h']);
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("not a time such as 90s, 10m or 1h".to_owned()),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "not a time such as 90s, 10m or 1h".to_owned())?;
    match number.checked_mul(unit).filter(|seconds| *seconds <= LONGEST) {
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("longer than 100 days".to_owned()),
    }
}

/// Returns the time since the machine was started, that included in which it slept.
pub(crate) fn since_boot() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = ClockId::Monotonic;
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// Writes a duration in its two largest units, rounded up to seconds: `1h 5m`.
pub(crate) fn spell(duration: Duration) -> String {
    if duration > Duration::from_secs(YEAR) {
        return "more than a year".to_owned();
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let first = parts.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let shown: Vec<String> = parts[first..]
        .iter()
        .take(2)
        .filter(|(count, unit)| *count > 0 || (*unit == "s" && first == 3))
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{YEAR, parse_duration, spell};

    #[test]
    fn durations_are_read_and_written_with_units() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("2h", 7200)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "1.5h", "-1", "1d", "1hm", "9999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for (millis, text) in [
            (0, "0s"),
            (200, "1s"),
            (60_000, "1m"),
            (90_000, "1m 30s"),
            (3_601_000, "1h"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(spell(Duration::from_millis(millis)), text);
        }
        // What a server may ask for.
        for longest in [
            Duration::MAX,
            Duration::from_secs(u64::MAX),
            2 * Duration::from_secs(YEAR),
        ] {
            assert_eq!(spell(longest), "more than a year");
        }
    }
}

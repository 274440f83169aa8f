//! When a server wants to be asked again.

use std::time::{Duration, SystemTime};

/// Reads `Retry-After` (RFC 9110, section 10.2.3: seconds or a date) and OpenAI's `retry-after-ms`.
#[must_use]
pub fn retry_after(
    seconds_or_date: Option<&str>,
    milliseconds: Option<&str>,
    now: SystemTime,
) -> Option<Duration> {
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0)
    };
    if let Some(wait) = milliseconds.and_then(number) {
        return Duration::try_from_secs_f64(wait / 1000.0).ok();
    }
    let text = seconds_or_date?;
    if let Some(seconds) = number(text) {
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(text.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::retry_after;
    use std::time::Duration;
    use std::time::SystemTime;

    #[test]
    fn retry_after_is_read_in_every_form() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (header, milliseconds, wait) in [
            (Some("3"), None, Some(3.0)),
            (Some(" 0.25 "), None, Some(0.25)),
            (Some("Sun, 06 Nov 1994 08:49:47 GMT"), None, Some(10.0)),
            (Some("Sun, 06 Nov 1994 08:49:27 GMT"), None, Some(0.0)),
            (Some("9"), Some("1500"), Some(1.5)),
            (Some("-1"), None, None),
            (Some("soon"), None, None),
            (Some("NaN"), None, None),
            (Some("inf"), None, None),
            (None, None, None),
        ] {
            let seen = retry_after(header, milliseconds, now).map(|wait| wait.as_secs_f64());
            assert_eq!(seen, wait, "{header:?} {milliseconds:?}");
        }
        assert_eq!(retry_after(Some("1e300"), None, now), Some(Duration::MAX));
    }
}

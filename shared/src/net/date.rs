//! Points in time for people and programs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes a time as RFC 3339 has it, in UTC, to the second. A time before 1970 is 1970, one past the year 9999, which
/// RFC 3339 cannot hold, is that year's end.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default().min(LAST);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since).to_string()
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    use std::time::Duration;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (u64::from(u32::MAX), "2106-02-07T06:28:15Z"),
            (300_000_000_000, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), date);
        }
    }
}

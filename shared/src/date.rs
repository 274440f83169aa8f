//! Points in time for people and programs.

use std::time::{SystemTime, UNIX_EPOCH};

/// Writes a time as RFC 3339 has it, in UTC, to the second. A time before 1970 is 1970, one past the year 9999, which
/// RFC 3339 cannot hold, is that year's end.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    const LAST: u64 = 253_402_300_799;
    let seconds = time
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
        .min(LAST);
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of a day counted from 1970-01-01, by the Gregorian calendar.
///
/// Years are counted from March here, so that a leap day is the last day of its year.
const fn civil(day_of_unix: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097; // 400 years
    let day = day_of_unix + 719_468; // since 0000-03-01
    let (era, of_era) = (day / DAYS_PER_ERA, day % DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 {
        (year, month + 3, of_month)
    } else {
        (year + 1, month - 9, of_month)
    }
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

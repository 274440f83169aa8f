//! Times as they are stored: whole milliseconds since 1970, as Qwen Code has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// What the clocks of machines that share a home may differ by.
pub(super) const SKEW: Duration = Duration::from_secs(60);

/// Returns a time as milliseconds since 1970; 0 for anything earlier.
pub(super) fn to_millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads a time; `None` when the value is none (`null`, text that is no number, not finite).
///
/// A fraction is cut, a number that comes as text is read, a time before 1970 is 1970, and one past the last date
/// that JavaScript can hold is that date.
pub(super) fn from_value(value: &Value) -> Option<SystemTime> {
    const LAST: f64 = 8.64e15;
    let millis = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if !millis.is_finite() {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what u64 holds"
    )]
    let millis = millis.clamp(0.0, LAST) as u64;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

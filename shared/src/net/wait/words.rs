//! Waits in words: durations with their units, and sentences that name one.

use std::time::Duration;

use super::Wait;

/// Units of time by their names, in seconds.
const UNITS: [(f64, &[&str]); 6] = [
    (
        1e-3,
        &["ms", "msec", "msecs", "millisecond", "milliseconds", "毫秒"],
    ),
    (
        1.0,
        &[
            "s",
            "sec",
            "secs",
            "second",
            "seconds",
            "秒",
            "秒钟",
            "秒鐘",
            "秒間",
            "초",
            "с",
            "сек",
            "секунд",
            "секунды",
            "секунду",
            "sekunde",
            "sekunden",
            "seconde",
            "secondes",
            "segundo",
            "segundos",
            "secondo",
            "secondi",
        ],
    ),
    (
        60.0,
        &[
            "m",
            "min",
            "mins",
            "minute",
            "minutes",
            "分",
            "分钟",
            "分鐘",
            "分間",
            "분",
            "мин",
            "минут",
            "минуты",
            "минуту",
            "minuten",
            "minuto",
            "minutos",
            "minuti",
        ],
    ),
    (
        3600.0,
        &[
            "h",
            "hr",
            "hrs",
            "hour",
            "hours",
            "小时",
            "小時",
            "時間",
            "시간",
            "ч",
            "час",
            "часа",
            "часов",
            "stunde",
            "stunden",
            "heure",
            "heures",
            "hora",
            "horas",
            "ora",
            "ore",
        ],
    ),
    (
        86400.0,
        &[
            "d", "day", "days", "天", "日", "일", "день", "дня", "дней", "tag", "tage", "tagen", "jour",
            "jours", "dia", "dias", "giorno", "giorni",
        ],
    ),
    (1e-6, &["us", "µs", "μs"]),
];

/// Reads a duration at the beginning of a text (`1h2m`, `1.5s`, `3 seconds`, `1 hour and 5 minutes`, `10 秒`); returns it and
/// what follows.
pub(super) fn duration(text: &str) -> Option<(Duration, &str)> {
    let mut total = None;
    let (mut next, mut rest) = (text, text);
    loop {
        let digits = next
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(next.len());
        let (number, after) = next.split_at(digits);
        let Ok(number) = number.parse::<f64>() else { break };
        let after = after.trim_start_matches([' ', '-']);
        let end = after.find(|c| !is_of_unit(c)).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit.to_lowercase();
        let Some((seconds, _)) = UNITS.iter().find(|(_, names)| names.contains(&unit.as_str())) else {
            break;
        };
        *total.get_or_insert(0.0) += number * seconds;
        rest = after;
        next = after.trim_start_matches([' ', ',']);
        next = next.strip_prefix("and ").unwrap_or(next);
    }
    let time = Duration::try_from_secs_f64(total?).unwrap_or(Duration::MAX);
    Some((time, rest))
}

/// True for a letter of which units are made.
fn is_of_unit(c: char) -> bool {
    c.is_ascii_alphabetic()
        || matches!(c, 'а'..='я' | 'А'..='Я')
        || "µμ毫秒钟鐘分小时時天日間초분시간일".contains(c)
}

/// Words after which a message names a wait, and words that may stand between.
const ANCHORS: [&str; 23] = [
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
    "replenished",
    "через",
    "versuchen",
    "réessayer",
    "réessayez",
    "nuevo",
    "novamente",
    "riprova",
    "riprovare",
];
const FILLERS: [&str; 23] = [
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
    "sie",
    "es",
    "dans",
    "en",
    "em",
    "tra",
    "fra",
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
    wait_before_after(&text)
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
    if word.parse::<u32>().is_ok() || word.contains('t') || word.contains(':') {
        return Wait::parse(&word.to_uppercase());
    }
    None
}

/// Finds `N 秒后`, `N 分钟之后`, `N초 후`: a duration followed by the word for "after".
fn wait_before_after(text: &str) -> Option<Wait> {
    let mut was_digit = false;
    for (start, c) in text.char_indices() {
        let is_first_digit = c.is_ascii_digit() && !was_digit;
        was_digit = c.is_ascii_digit() || c == '.';
        if is_first_digit
            && let Some((time, rest)) = duration(&text[start..])
            && rest
                .trim_start()
                .trim_start_matches('之')
                .starts_with(['后', '後', '후', '뒤'])
        {
            return Some(Wait::For(time));
        }
    }
    None
}

//! The colours of the terminal: which ones can be read on its background.

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

use qwen_shared::net::config::{Config, Theme};
use qwen_shared::output::Reporter;
use qwen_shared::terminal::Terminal;

/// How long a terminal has to say what its background is. One on this machine takes a few milliseconds.
const LIMIT: Duration = Duration::from_millis(150);

/// Asks for the background (xterm, OSC 11), and for what every terminal answers, so that one that does not know the
/// first is not waited for (DA1, ECMA-48 §8.3.24).
const QUESTION: &[u8] = b"\x1b]11;?\x1b\\\x1b[c";

/// Returns the colours to draw with, decided once: none where none are wanted; `theme` of config.json; what `COLORFGBG`
/// says; what the terminal says; else those for a dark background.
pub(crate) fn theme(reporter: &Reporter) -> Theme {
    if !reporter.color().wanted(true) {
        return Theme::None;
    }
    static THEME: OnceLock<Theme> = OnceLock::new();
    *THEME.get_or_init(|| {
        // A file that cannot be read has been reported by whoever needs it.
        let configured = Config::load().ok().and_then(|config| config.theme);
        let by_variable = || by_variable(env::var("COLORFGBG").ok()?.as_str());
        configured
            .or_else(by_variable)
            .or_else(by_terminal)
            .unwrap_or(Theme::Dark)
    })
}

/// Reads `COLORFGBG`, foreground and background as numbers of the palette: `15;0`, `0;default;15`.
fn by_variable(value: &str) -> Option<Theme> {
    let background: u8 = value.rsplit_once(';')?.1.parse().ok()?;
    match background {
        7 | 9..=15 => Some(Theme::Light),
        0..=8 => Some(Theme::Dark),
        _ => None,
    }
}

/// Asks the terminal. Not where the answer may come late, over a network, or would be mixed up with what a person has
/// typed already: it would end up in their next line.
fn by_terminal() -> Option<Theme> {
    let is_remote = ["SSH_CONNECTION", "SSH_TTY", "MOSH_CONNECTION"]
        .iter()
        .any(|name| env::var_os(name).is_some());
    let is_simple = env::var("TERM").is_ok_and(|term| term == "linux" || term.starts_with("screen"));
    if is_remote || is_simple || env::var_os("CI").is_some() {
        return None;
    }
    let mut terminal = Terminal::open().filter(Terminal::is_foreground)?;
    background(&terminal.query(QUESTION, LIMIT, is_whole).ok()??)
}

/// True with the second answer.
fn is_whole(answer: &[u8]) -> bool {
    let second = answer.windows(3).position(|start| start == b"\x1b[?");
    second.is_some_and(|start| answer[start..].contains(&b'c'))
}

/// Reads `rgb:RRRR/GGGG/BBBB`, each of one to four hexadecimal digits (X11), and weighs the colours as ITU-R BT.709 does.
fn background(answer: &[u8]) -> Option<Theme> {
    let answer = String::from_utf8_lossy(answer);
    let colors = answer.split_once("]11;rgb:")?.1;
    let mut parts = colors.split(|c: char| !c.is_ascii_hexdigit()).take(3);
    let mut part = || {
        let digits = parts.next().filter(|digits| (1..=4).contains(&digits.len()))?;
        let most = 16_u32.pow(u32::try_from(digits.len()).ok()?) - 1;
        Some(f64::from(u32::from_str_radix(digits, 16).ok()?) / f64::from(most))
    };
    let light = 0.2126 * part()? + 0.7152 * part()? + 0.0722 * part()?;
    Some(if light > 0.5 { Theme::Light } else { Theme::Dark })
}

#[cfg(test)]
mod tests {
    use super::{Theme, background, by_variable};

    #[test]
    fn a_background_is_read_as_terminals_tell_it() {
        for (answer, theme) in [
            ("\x1b]11;rgb:ffff/ffff/ffff\x1b\\\x1b[?62;22c", Some(Theme::Light)),
            ("\x1b]11;rgb:1e1e/1e1e/2e2e\x07\x1b[?6c", Some(Theme::Dark)),
            ("\x1b]11;rgb:fd/f6/e3\x07", Some(Theme::Light)),
            ("\x1b]11;rgb:0/0/0\x07", Some(Theme::Dark)),
            ("\x1b[?62;22c", None),
            ("\x1b]11;rgb:12345/0/0\x07", None),
            ("", None),
        ] {
            assert_eq!(background(answer.as_bytes()), theme, "{answer:?}");
        }
        for (value, theme) in [
            ("15;0", Some(Theme::Dark)),
            ("0;15", Some(Theme::Light)),
            ("0;default;7", Some(Theme::Light)),
            ("12;8", Some(Theme::Dark)),
            ("default;default", None),
            ("", None),
        ] {
            assert_eq!(by_variable(value), theme, "{value:?}");
        }
    }
}

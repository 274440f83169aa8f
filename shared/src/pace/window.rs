//! From a rate to the window in which it is kept.

use super::book::Millis;

/// A minute, and a thousandth more: the server's clock is not ours.
const MINUTE: Millis = 60_060;
/// From this rate on the minute is cut into shorter windows.
const FAST: u32 = 300;
/// How long a machine under load may take between two steps of a program.
const PROMPT: Millis = 1_000;
/// How many requests such a window is to hold, about.
const BURST: u32 = 60;

/// So many requests in any span of that length.
///
/// A rate is kept in a sliding minute: all at once where there is room, so that a script waits no longer than the limit
/// makes necessary. From 300 a minute on the minute is cut into equal windows of about 60 requests each, because
/// providers enforce large rates by the second, and refuse a burst that the minute would allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The most requests in the span.
    pub(super) count: usize,
    /// The span, in milliseconds.
    pub(super) span: Millis,
}

impl Window {
    /// Returns the window for a rate; `None` for no rate, or one of zero, which says nothing.
    pub(super) fn of(per_minute: Option<u32>) -> Option<Self> {
        let rate = per_minute.filter(|&rate| rate > 0)?;
        let parts = if rate < FAST { 1 } else { rate / BURST };
        Some(Self {
            count: (rate / parts) as usize,
            // Rounded up: a window that is too short would let too many through.
            span: MINUTE.div_ceil(parts.into()),
        })
    }

    /// Returns how long after it was let go a request may still reach the server, as far as is provided for.
    pub(super) const fn margin(&self) -> Millis {
        self.span / 15
    }

    /// Returns how long after it was let go an answer still tells when the server got the request: up to a second, which
    /// a machine under load may take over it, also where the margin is shorter.
    pub(super) fn prompt(&self) -> Millis {
        self.margin().max(PROMPT.min(self.span / 6))
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn a_window_never_lets_more_through_than_the_rate() {
        for rate in 1..=20_000 {
            let window = Window::of(Some(rate)).unwrap();
            let whole = 60_000 / window.span;
            assert!(window.count as u64 * whole <= rate.into(), "{rate}: {window:?}");
            assert!(window.count < 300 && window.count >= 1, "{rate}: {window:?}");
            let sustained = window.count as f64 * 60_000.0 / window.span as f64;
            assert!(sustained > f64::from(rate) * 0.93, "{rate}: {sustained}");
        }
    }

    #[test]
    fn rates_up_to_a_few_a_second_have_the_whole_minute() {
        for (rate, expected) in [
            (None, None),
            (Some(0), None),
            (Some(1), Some((1, 60_060))),
            (Some(60), Some((60, 60_060))),
            (Some(299), Some((299, 60_060))),
            (Some(300), Some((60, 12_012))),
            (Some(600), Some((60, 6_006))),
            (Some(3_600), Some((60, 1_001))),
        ] {
            let window = Window::of(rate).map(|window| (window.count, window.span));
            assert_eq!(window, expected, "{rate:?}");
        }
    }
}

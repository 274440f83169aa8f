//! The line on a terminal that lives while nothing of the answer has come.

use std::env;
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qwen_shared::output::{Reporter, Stdout};
use qwen_shared::text::{clip, one_line};

/// After how long without a word the line appears.
const AFTER: Duration = Duration::from_millis(500);

/// How often it is looked whether the line has become another.
const EVERY: Duration = Duration::from_millis(100);

/// The line of one answer; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct StatusLine(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    started: Instant,
    model: String,
    /// Pieces of reasoning, which servers send one a token.
    reasoning: u64,
    shown: String,
    is_over: bool,
}

impl StatusLine {
    /// Returns the line where a person would see it: stdout and stderr are a terminal that can erase, and no log of CI.
    pub(crate) fn new(model: &str, reporter: &Reporter) -> Option<Self> {
        let can_erase = env::var_os("TERM").is_none_or(|term| term != "dumb");
        let is_seen = Stdout::is_terminal() && stderr().is_terminal() && env::var_os("CI").is_none();
        let state = || State {
            started: Instant::now(),
            model: one_line(model),
            reasoning: 0,
            shown: String::new(),
            is_over: false,
        };
        (is_seen && can_erase && !reporter.is_quiet()).then(|| Self(Arc::new(Mutex::new(state()))))
    }

    /// Counts a piece of reasoning.
    pub(crate) fn reason(&self) {
        self.state().reasoning += 1;
    }

    /// Takes the line away, for words beside the answer; it comes back.
    pub(crate) fn wipe(&self) {
        self.state().wipe();
    }

    /// Takes the line away for good: the answer has begun, or will not.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        state.wipe();
    }

    /// Keeps the line alive until it is ended; then never returns.
    pub(crate) async fn live(self) {
        tokio::time::sleep(AFTER).await;
        while self.state().draw() {
            tokio::time::sleep(EVERY).await;
        }
        std::future::pending().await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn wipe(&mut self) {
        if !std::mem::take(&mut self.shown).is_empty() {
            let _ = stderr().lock().write_all(b"\r\x1b[K");
        }
    }

    /// Draws the line where it has changed; false when it is over.
    fn draw(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        let columns = rustix::termios::tcgetwinsize(rustix::stdio::stderr())
            .map_or(80, |size| usize::from(size.ws_col).max(20));
        let line = clip(&self.line(self.started.elapsed()), columns.saturating_sub(2));
        if line != self.shown {
            let _ = stderr()
                .lock()
                .write_all(format!("\r\x1b[K\x1b[2m{line}\x1b[0m").as_bytes());
            self.shown = line;
        }
        true
    }

    fn line(&self, elapsed: Duration) -> String {
        let seconds = elapsed.as_secs();
        match self.reasoning {
            0 => format!("waiting for {} … {seconds} s", self.model),
            1 => format!("thinking … {seconds} s, 1 token"),
            tokens => format!("thinking … {seconds} s, {tokens} tokens"),
        }
    }
}

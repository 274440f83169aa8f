//! The quota that all processes of a user share, per credential.
//!
//! Before every request a program waits for its turn ([`Pace::turn`]); what became of the request is told to the
//! [`Turn`]. The book is a small file below the state directory, changed under a kernel lock: a process that dies at
//! any point holds up nobody for longer than five seconds. Where the book cannot be kept (a read-only home, a full
//! disk) a notice says so, once, and requests go unpaced: a quota that is only estimated must not stop the work.
//!
//! The minute is a sliding one. The day is that of UTC, from midnight to midnight.

mod identity;
mod permit;
mod state;
mod state_file;

pub use identity::identity;
pub use permit::Turn;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::time::sleep;

use crate::date::rfc3339;
use crate::exit::{Exit, Failure};
use crate::net::ratelimit::state::{HEARTBEAT, Limits, Millis, NO_TICKET, Step, Why, Window};
use crate::net::ratelimit::state_file::{Ledger, Trouble};
use crate::paths;
use crate::provider::Rate;
use crate::secret::Secret;

/// The longest pause that one server's word imposes on all processes.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A wait that is longer than this is announced.
const PATIENCE: Millis = 2_000;
/// How long the book's lock is waited for. It is held for well under a millisecond, unless its holder was stopped.
const LOCK_LIMIT: Duration = Duration::from_secs(5);

/// What there is to say while a turn is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// How long the wait will be, and why. Said once per turn, and only of a wait over two seconds.
    Wait(Duration, String),
    /// The quota cannot be kept, or has been begun anew. Said once.
    Notice(String),
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(wait, reason) => {
                let seconds = wait.as_millis().div_ceil(1000);
                write!(f, "waiting {seconds} s: {reason}")
            }
            Self::Notice(text) => f.write_str(text),
        }
    }
}

/// The pace of one credential. Clones share what they know.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ledger: Option<Ledger>,
    rate: Rate,
    limits: Limits,
    holds: bool,
    gave_up: AtomicBool,
}

impl Pace {
    /// Makes the pace of a credential (see [`fn@identity`]) under a rate. Touches no file yet.
    ///
    /// With `holds` off (`--no-pace`) requests are counted and never held back. Without a rate nothing is counted; a
    /// pause that a server asked another process for is heeded all the same.
    #[must_use]
    pub fn new(identity: &Secret<String>, rate: Option<Rate>, holds: bool) -> Self {
        let rate = rate.unwrap_or_default();
        Self(Arc::new(Shared {
            ledger: paths::state_dir().map(|directory| Ledger::new(&directory, identity.expose())),
            rate,
            limits: Limits {
                window: Window::of(rate.per_minute),
                per_day: rate.per_day,
            },
            holds,
            gave_up: AtomicBool::new(false),
        }))
    }

    /// Returns how many requests were counted today.
    #[must_use]
    pub fn today(&self) -> u32 {
        let book = self.0.ledger.as_ref().and_then(Ledger::peek);
        book.map_or(0, |book| book.today(crate::net::ratelimit::state_file::now()))
    }

    /// Waits until the quota has room for one request, and counts it. Send it at once then, and tell the [`Turn`] what
    /// became of it. Every try of a request needs a turn of its own: the server counts them too.
    ///
    /// # Errors
    /// 69 when the day's quota is used up, with the time at which it renews.
    pub async fn turn(&self, say: &mut impl FnMut(Word)) -> Result<Turn, Failure> {
        let mut ticket = NO_TICKET;
        let mut announced = false;
        let mut heard = Instant::now();
        loop {
            let wait = match self.ask(&mut ticket, say) {
                Ok(Step::Go) => return Ok(Turn::new(self, ticket)),
                Ok(Step::UsedUp(renews)) => return Err(self.used_up(renews)),
                Ok(Step::Wait(wait, why)) => {
                    heard = Instant::now();
                    if wait > PATIENCE && !announced {
                        announced = true;
                        say(self.announcement(wait, why));
                    }
                    wait.min(HEARTBEAT)
                }
                Err(Trouble::Busy) if heard.elapsed() < LOCK_LIMIT => 2 + u64::from(std::process::id() % 5),
                Err(trouble) => {
                    self.give_up(&trouble, say);
                    return Ok(Turn::new(self, NO_TICKET));
                }
            };
            sleep(Duration::from_millis(wait)).await;
        }
    }

    /// Asks the book once.
    fn ask(&self, ticket: &mut u64, say: &mut impl FnMut(Word)) -> Result<Step, Trouble> {
        let Shared { limits, holds, .. } = *self.0;
        let ledger = self.0.ledger.as_ref().ok_or_else(Trouble::no_home)?;
        if limits.is_none() {
            let pause = ledger
                .peek()
                .map_or(0, |book| book.pause(crate::net::ratelimit::state_file::now()));
            return Ok(match pause {
                1.. if holds => Step::Wait(pause, Why::Server),
                _ => Step::Go,
            });
        }
        let (step, anew) = ledger.change(Duration::ZERO, |book, now| {
            if holds {
                return book.step(ticket, limits, now);
            }
            *ticket = book.jump(limits, now);
            Step::Go
        })?;
        if anew {
            let text = "the count of requests was unreadable and begins anew";
            say(Word::Notice(text.to_owned()));
        }
        Ok(step)
    }

    fn announcement(&self, wait: Millis, why: Why) -> Word {
        let reason = match (why, self.0.rate.per_minute) {
            (Why::Quota, Some(rate)) => format!("the quota is {rate} requests a minute for all processes"),
            _ => "the server asked for a pause".to_owned(),
        };
        Word::Wait(Duration::from_millis(wait), reason)
    }

    fn used_up(&self, renews: Millis) -> Failure {
        let most = self.0.limits.per_day.unwrap_or_default();
        let when = rfc3339(UNIX_EPOCH + Duration::from_millis(renews));
        Failure::new(
            Exit::Unavailable,
            format!("the quota of {most} requests a day is used up; it renews at {when}"),
        )
        .hint("add --no-pace to ask the server all the same")
    }

    fn give_up(&self, trouble: &Trouble, say: &mut impl FnMut(Word)) {
        if !self.0.gave_up.swap(true, Ordering::Relaxed) {
            say(Word::Notice(format!(
                "requests are not paced: the count of them cannot be kept: {trouble}"
            )));
        }
    }
}

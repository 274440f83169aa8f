//! The rate limit of a credential, shared by all processes of a user.
//!
//! A program acquires a [`Permit`] before every request and reports the result to it. The state is a small
//! file below the state directory, changed under a kernel lock; a process that dies at any point blocks nobody for
//! longer than five seconds. Where the file cannot be used (a read-only home, a full disk) a notice says so, once, and
//! requests are not limited: an estimated quota must not stop the work.
//!
//! The minute is a sliding one. The day is that of UTC, from midnight to midnight.

#[cfg(test)]
#[path = "../../../../tests/fuzz/properties/quota.rs"]
mod corpus;
mod state;
mod state_file;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::time::sleep;
use url::Url;

use sha2::{Digest, Sha256};

use self::state::{
    Decision, HEARTBEAT, LONGEST_PAUSE, Limits, Millis, Model, NO_TICKET, State, WaitReason, Window,
};
use self::state_file::{StateError, StateFile, now};
use crate::exit::{Exit, Failure};
use crate::net::config::{Auth, Settings};
use crate::net::date::rfc3339;
use crate::paths;
use crate::provider::Rate;
use crate::secret::Secret;

/// A wait that is longer than this is announced.
const ANNOUNCED: Millis = 2_000;
/// How long the file's lock is waited for. It is held for well under a millisecond, unless its holder was stopped.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// How long what was read of the file is taken for what is in it, where requests are not counted.
const KNOWN: Millis = 20;
/// How long it is waited for after a request: not to get it only makes others wait a little longer.
const LOCK_LIMIT_AFTER: Duration = Duration::from_millis(50);

/// Identifies the credential whose rate is limited: the same for all processes and profiles that share it.
///
/// Two profiles with the same key at the same server share its rate. A login keeps its identity when its token changes.
/// The identity holds the secret; [`RateLimit`] keeps only a digest of it.
#[must_use]
pub fn identity(settings: &Settings, key: Option<&Secret<String>>) -> Secret<String> {
    let server = settings.base_url.value.origin().ascii_serialization();
    Secret::new(match &settings.auth.value {
        Auth::Oauth { server, .. } => {
            let endpoint = server.token_endpoint.as_ref().map(Url::as_str);
            let endpoint = endpoint.or(server.issuer.as_deref()).unwrap_or_default();
            format!("login\n{endpoint}\n{}", settings.profile_name())
        }
        _ => match key {
            Some(key) => format!("key\n{server}\n{}", key.expose()),
            None => format!("open\n{server}"),
        },
    })
}

/// What there is to tell the user while a permit is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// How long the wait will be, and why. At most once per permit, and only for a wait over two seconds.
    Wait(Duration, String),
    /// The requests cannot be counted, or the count begins anew. Only once.
    Warning(String),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait(wait, reason) => {
                let seconds = wait.as_millis().div_ceil(1000);
                write!(f, "waiting {seconds} s: {reason}")
            }
            Self::Warning(text) => f.write_str(text),
        }
    }
}

/// The rate limit of one credential. Clones share it.
#[derive(Clone, Debug)]
pub struct RateLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: Option<StateFile>,
    rate: Rate,
    limits: Limits,
    waits: bool,
    has_flag: bool,
    has_warned: AtomicBool,
    /// The state as it was read last, and when.
    known: Mutex<Option<(Millis, Option<State>)>>,
    /// When the pauses that were met end, whatever becomes of the clock meanwhile, by model and by when they were to end.
    ends: Mutex<HashMap<(Model, Millis), Instant>>,
}

impl RateLimit {
    /// Makes the limit of a credential (see [`identity`]). Touches no file yet.
    ///
    /// Without `waits` (`--no-pace`) requests are counted and never delayed; `has_flag` tells whether the program has that
    /// flag. Without a rate nothing is counted, but a pause that a server asked another process for is kept.
    #[must_use]
    pub fn new(identity: &Secret<String>, rate: Option<Rate>, waits: bool, has_flag: bool) -> Self {
        let rate = rate.unwrap_or_default();
        Self(Arc::new(Shared {
            file: paths::state_dir().map(|directory| StateFile::new(&directory, identity.expose())),
            rate,
            limits: Limits {
                window: Window::of(rate.per_minute),
                per_day: rate.per_day,
            },
            waits,
            has_flag,
            has_warned: AtomicBool::new(false),
            known: Mutex::default(),
            ends: Mutex::default(),
        }))
    }

    /// Returns how many requests were counted today.
    #[must_use]
    pub fn today(&self) -> u32 {
        let state = self.0.file.as_ref().and_then(StateFile::read);
        state.map_or(0, |state| state.today(now()))
    }

    /// Waits until one request to a model may be sent, and counts it. Send it at once. Every attempt needs a permit of its own: the
    /// server counts them too.
    ///
    /// # Errors
    /// 69 when the day's requests are used up, with the time from which there are more.
    pub async fn acquire(&self, model: &str, notify: &mut impl FnMut(Notice)) -> Result<Permit, Failure> {
        let model = digest(model);
        let mut ticket = NO_TICKET;
        let mut announced = false;
        let mut last_decision = Instant::now();
        loop {
            let wait = match self.decide(&mut ticket, model, notify) {
                Ok(Decision::Send) => return Ok(self.permit(ticket, model)),
                Ok(Decision::DayUsedUp(until)) => return Err(self.day_used_up(until)),
                Ok(Decision::Wait(wait, reason)) => {
                    last_decision = Instant::now();
                    if wait > ANNOUNCED && !announced {
                        announced = true;
                        notify(self.announcement(wait, reason));
                    }
                    wait.min(HEARTBEAT)
                }
                Err(StateError::Locked) if last_decision.elapsed() < LOCK_LIMIT => {
                    2 + u64::from(std::process::id() % 5)
                }
                Err(error) => {
                    if !self.0.has_warned.swap(true, Ordering::Relaxed) {
                        notify(Notice::Warning(format!(
                            "requests are not rate limited: they cannot be counted: {error}"
                        )));
                    }
                    return Ok(self.permit(NO_TICKET, model));
                }
            };
            sleep(Duration::from_millis(wait)).await;
        }
    }

    fn permit(&self, ticket: u64, model: Model) -> Permit {
        Permit {
            limit: self.clone(),
            ticket,
            model,
        }
    }

    fn decide(
        &self,
        ticket: &mut u64,
        model: Model,
        notify: &mut impl FnMut(Notice),
    ) -> Result<Decision, StateError> {
        let Shared { limits, waits, .. } = *self.0;
        let file = self.0.file.as_ref().ok_or_else(StateError::no_home)?;
        if limits.is_none() {
            let pause = match waits {
                true => self.known_pause(file, model),
                false => 0,
            };
            return Ok(match pause {
                0 => Decision::Send,
                _ => Decision::Wait(pause, WaitReason::Server),
            });
        }
        let (decision, is_new) = file.update(Duration::ZERO, |state, now| {
            if waits {
                return state.decide(ticket, model, limits, now);
            }
            *ticket = state.count_unlimited(limits, now);
            Decision::Send
        })?;
        if is_new {
            let text = "the count of requests was unreadable and begins anew";
            notify(Notice::Warning(text.to_owned()));
        }
        Ok(decision)
    }

    /// Returns how long the model is paused. What other processes have been told is read again once it is [`KNOWN`] old: a
    /// program that serves many asks thousands of times a second.
    fn known_pause(&self, file: &StateFile, model: Model) -> Millis {
        let now = now();
        let mut known = self.known();
        if !known
            .as_ref()
            .is_some_and(|(at, _)| (*at..at + KNOWN).contains(&now))
        {
            *known = Some((now, file.read()));
        }
        let state = known.as_ref().and_then(|(_, state)| state.as_ref());
        let (remaining, until) = state.map_or((0, 0), |state| state.remaining_pause(model, now));
        self.by_own_clock(model, remaining, until)
    }

    /// Returns how much is left of a pause by the clock that nobody sets: it ends when it was to end as it was met first.
    fn by_own_clock(&self, model: Model, remaining: Millis, until: Millis) -> Millis {
        if remaining == 0 {
            return 0;
        }
        let mut ends = self.0.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !ends.contains_key(&(model, until)) {
            ends.retain(|(other, _), _| *other != model);
        }
        let end = *ends
            .entry((model, until))
            .or_insert_with(|| now + Duration::from_millis(remaining));
        // Rounded up: a pause that is over a moment too early is refused again.
        let left = end.saturating_duration_since(now).as_micros().div_ceil(1_000);
        Millis::try_from(left).unwrap_or(remaining).min(remaining)
    }

    fn known(&self) -> MutexGuard<'_, Option<(Millis, Option<State>)>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announcement(&self, wait: Millis, reason: WaitReason) -> Notice {
        let reason = match (reason, self.0.rate.per_minute) {
            (WaitReason::Rate, Some(rate)) => {
                format!("the quota is {rate} requests a minute for all processes")
            }
            _ => "the server asked for a pause".to_owned(),
        };
        Notice::Wait(Duration::from_millis(wait), reason)
    }

    fn day_used_up(&self, until: Millis) -> Failure {
        let most = self.0.limits.per_day.unwrap_or_default();
        let when = rfc3339(UNIX_EPOCH + Duration::from_millis(until));
        let failure = Failure::new(
            Exit::Unavailable,
            format!("the quota of {most} requests a day is used up; it renews at {when}"),
        );
        match self.0.has_flag {
            true => failure.hint("add --no-pace to ask the server all the same"),
            false => failure,
        }
    }
}

/// Returns a digest of a model's name: the state holds nothing but numbers.
fn digest(model: &str) -> Model {
    let digest = Sha256::digest(model.as_bytes());
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | Model::from(*byte))
}

/// Permission to send one request now. Without a report it counts as used.
#[derive(Debug)]
#[must_use = "a permit is for one request, to be sent at once"]
pub struct Permit {
    limit: RateLimit,
    ticket: u64,
    model: Model,
}

impl Permit {
    /// The head of the answer has come, whatever its status: now it is certain when the request's minute began.
    pub fn answered(&self) {
        if self.ticket != NO_TICKET {
            let window = self.limit.0.limits.window;
            self.update(|state, now| state.answered(self.ticket, window, now));
        }
    }

    /// The server asks to wait (429 or 503 with `Retry-After`). All requests to this model wait, in all processes, if it
    /// is for 60 s at most: a longer pause is a refusal, which the next process gets for itself.
    pub fn retry_after(&self, pause: Duration) {
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        if (1..=LONGEST_PAUSE).contains(&pause) && self.limit.0.waits {
            self.update(|state, now| state.pause(self.model, pause, now));
            if let Some(file) = &self.limit.0.file {
                // It runs from now on, by our own clock too.
                self.limit.known_pause(file, self.model);
            }
        }
    }

    /// The request did not reach the server: no connection. It does not count.
    pub fn not_sent(self) {
        if self.ticket != NO_TICKET {
            self.update(|state, now| state.not_sent(self.ticket, now));
        }
    }

    fn update(&self, update: impl FnOnce(&mut State, Millis)) {
        if let Some(file) = &self.limit.0.file {
            // A fault was reported when the permit was acquired.
            let _ = file.update(LOCK_LIMIT_AFTER, update);
            *self.limit.known() = None;
        }
    }
}

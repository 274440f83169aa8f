//! The connections that are open: how many there may be, what each is doing, and which one makes room for another.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::head_scan::HeadScan;

/// How long a connection may wait for its next request.
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// How long the head of a request may take from its first byte.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(30);

/// So long a new connection has to send its request before it makes room for another.
const GRACE: Duration = Duration::from_millis(200);

/// Whether there is room for one more connection.
#[derive(Debug)]
pub(super) enum Room {
    For(Arc<Connection>),
    /// There will be in a moment: some have only just come.
    Soon,
    /// All are busy.
    None,
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing of a request has come.
    Idle = 0,
    /// The head of a request is coming.
    Head = 1,
    /// A request is being answered.
    Busy = 2,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    phase: AtomicU8,
    /// Since when, in milliseconds of the proxy's life.
    since: AtomicU64,
    /// True once a request on it has shown the token.
    is_known: AtomicBool,
    close: Notify,
    head: Mutex<HeadScan>,
    all: Arc<Shared>,
}

/// All connections. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    began: Instant,
    grace: Duration,
    limit: AtomicUsize,
    next: AtomicU64,
    /// Requests that are being answered.
    busy: AtomicUsize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self::with_grace(limit, GRACE)
    }

    fn with_grace(limit: usize, grace: Duration) -> Self {
        Self(Arc::new(Shared {
            began: Instant::now(),
            grace,
            limit: AtomicUsize::new(limit),
            next: AtomicU64::default(),
            busy: AtomicUsize::default(),
            open: Mutex::default(),
        }))
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// Returns how many requests are being answered.
    pub(super) fn busy(&self) -> usize {
        self.0.busy.load(Ordering::Acquire)
    }

    /// Takes a new connection in. Where there are too many, the one that has waited longest without ever having shown the
    /// token makes room, then the one that has waited longest; but none whose request may just be on its way.
    pub(super) fn admit(&self) -> Room {
        let mut open = self.0.open();
        if open.len() >= self.0.limit.load(Ordering::Relaxed) {
            let idle = open.values().filter(|one| one.phase() != Phase::Busy);
            let oldest = idle.min_by_key(|one| {
                (
                    one.is_known.load(Ordering::Relaxed),
                    one.since.load(Ordering::Relaxed),
                )
            });
            let Some(oldest) = oldest else {
                return Room::None;
            };
            if !oldest.is_known.load(Ordering::Relaxed) && oldest.age() < self.0.grace {
                return Room::Soon;
            }
            let oldest = oldest.id;
            if let Some(one) = open.remove(&oldest) {
                one.close.notify_one();
            }
        }
        let connection = Arc::new(Connection {
            id: self.0.next.fetch_add(1, Ordering::Relaxed),
            phase: AtomicU8::new(Phase::Idle as u8),
            since: AtomicU64::new(self.0.now()),
            is_known: AtomicBool::new(false),
            close: Notify::new(),
            head: Mutex::default(),
            all: Arc::clone(&self.0),
        });
        open.insert(connection.id, Arc::clone(&connection));
        Room::For(connection)
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, HashMap<u64, Arc<Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Connection {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    fn enter(&self, phase: Phase) {
        self.since.store(self.all.now(), Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// Takes note of bytes that have come. Of a head it is looked whether it says in two ways where its body ends.
    pub(super) fn received(&self, bytes: &[u8]) {
        match self.phase() {
            Phase::Busy => return,
            Phase::Head => {}
            Phase::Idle => {
                self.enter(Phase::Head);
                *self.head() = HeadScan::default();
            }
        }
        self.head().scan(bytes);
    }

    /// True where the head of the request that now begins had both lengths, or one of them several times.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.head().is_ambiguous()
    }

    fn head(&self) -> MutexGuard<'_, HeadScan> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that the token was shown.
    pub(super) fn is_trusted(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Takes note that a request is answered, until the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.enter(Phase::Busy);
        self.all.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Returns for how long it has been doing what it does.
    fn age(&self) -> Duration {
        let since = self.since.load(Ordering::Relaxed);
        Duration::from_millis(self.all.now().saturating_sub(since))
    }

    /// Returns how long it may go on as it is; `None` where that is not for the connection to say.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let limit = match self.phase() {
            Phase::Idle => IDLE_LIMIT,
            Phase::Head => HEAD_LIMIT,
            Phase::Busy => return None,
        };
        Some(limit.saturating_sub(self.age()))
    }

    /// Waits until it has to make room.
    pub(super) async fn is_closed(&self) {
        self.close.notified().await;
    }

    /// Takes note that it is over.
    pub(super) fn over(&self) {
        self.all.open().remove(&self.id);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
        self.0.all.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Connection, Connections, HEAD_LIMIT, IDLE_LIMIT, Room};
    use crate::server::service::serve;

    fn admitted(connections: &Connections) -> Arc<Connection> {
        match connections.admit() {
            Room::For(connection) => connection,
            none => panic!("{none:?}"),
        }
    }

    #[test]
    fn who_has_only_just_come_makes_no_room() {
        let connections = Connections::with_grace(1, Duration::from_secs(3600));
        let first = admitted(&connections);
        assert!(matches!(connections.admit(), Room::Soon));
        let busy = first.begin();
        assert!(matches!(connections.admit(), Room::None));
        first.is_trusted();
        drop(busy);
        assert!(matches!(connections.admit(), Room::For(_)));
    }

    /// Returns the size of what a function of five parameters returns.
    fn size_of_result<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn what_is_kept_for_each_connection_is_small() {
        let size = size_of_result(serve);
        assert!(size <= 8 << 10, "{size}");
    }

    #[test]
    fn a_stranger_that_waits_makes_room_first_and_nobody_who_is_served() {
        let connections = Connections::with_grace(3, Duration::ZERO);
        let [known, stranger, busy] = [(); 3].map(|()| admitted(&connections));
        known.is_trusted();
        let serving = busy.begin();
        assert_eq!(connections.busy(), 1);
        let fourth = admitted(&connections);
        assert!(!connections.0.open().contains_key(&stranger.id));
        let _served = fourth.begin();
        let fifth = admitted(&connections);
        assert!(!connections.0.open().contains_key(&known.id));
        let _served = fifth.begin();
        assert!(matches!(connections.admit(), Room::None));
        drop(serving);
        assert!(matches!(connections.admit(), Room::For(_)));
    }

    #[test]
    fn a_head_has_its_own_limit_from_its_first_byte() {
        let connections = Connections::with_grace(1, Duration::ZERO);
        let connection = admitted(&connections);
        assert!(connection.time_left().unwrap() > HEAD_LIMIT);
        connection.received(b"GET");
        let left = connection.time_left().unwrap();
        assert!(left <= HEAD_LIMIT && left > Duration::ZERO);
        let busy = connection.begin();
        assert_eq!(connection.time_left(), None);
        drop(busy);
        assert!(connection.time_left().unwrap() > HEAD_LIMIT && IDLE_LIMIT > HEAD_LIMIT);
    }
}

//! Requests that wait for a time: until a pause is over, or until a model or the server is to be tried again.
//!
//! They keep no place from the lines behind them, which may be another model's, as long as there is memory for them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, watch};

/// What all requests may take that have stepped aside, in bytes.
const MEMORY: usize = 64 << 20;
/// What a request takes besides its line, at most, in bytes.
const OVERHEAD: usize = 16 << 10;

/// Counts the requests that have stepped aside.
#[derive(Debug, Default)]
pub(super) struct Aside(watch::Sender<Load>);

#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) requests: usize,
    memory: usize,
}

impl Aside {
    pub(super) fn load(&self) -> watch::Receiver<Load> {
        self.0.subscribe()
    }

    /// Adds a request; false where there is no memory for it.
    fn add(&self, memory: usize) -> bool {
        self.0.send_if_modified(|load| {
            let has_room = load.memory.saturating_add(memory) <= MEMORY;
            if has_room {
                load.requests += 1;
                load.memory += memory;
            }
            has_room
        })
    }

    fn remove(&self, memory: usize) {
        self.0.send_modify(|load| {
            load.requests -= 1;
            load.memory -= memory;
        });
    }
}

/// What a request keeps from others while it has been read and is not under way.
#[derive(Debug)]
pub(super) struct Place {
    /// The place of a line that was read ahead.
    room: Option<OwnedSemaphorePermit>,
    aside: Arc<Aside>,
    is_aside: bool,
    memory: usize,
}

impl Place {
    /// The place of a line of that length, in bytes.
    pub(super) fn new(room: OwnedSemaphorePermit, aside: &Arc<Aside>, length: usize) -> Self {
        Self {
            room: Some(room),
            aside: Arc::clone(aside),
            is_aside: false,
            memory: length.saturating_add(OVERHEAD),
        }
    }

    /// Gives the place up to wait for a time.
    pub(super) fn step_aside(&mut self) {
        self.room = None;
        self.is_aside = self.is_aside || self.aside.add(self.memory);
    }

    /// Gives the place up to be sent.
    pub(super) fn leave(&mut self) {
        self.room = None;
        if std::mem::take(&mut self.is_aside) {
            self.aside.remove(self.memory);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::{Aside, MEMORY, Place};

    #[test]
    fn a_request_counts_as_aside_from_its_first_pause_until_it_is_sent_or_dropped() {
        let (room, aside) = (Arc::new(Semaphore::new(2)), Arc::<Aside>::default());
        let place = |length| {
            let room = Arc::clone(&room).try_acquire_owned().unwrap();
            Place::new(room, &aside, length)
        };
        let (mut one, mut other) = (place(10), place(MEMORY));
        assert_eq!((room.available_permits(), aside.load().borrow().requests), (0, 0));
        for _ in 0..2 {
            one.step_aside();
            // There is no memory for both.
            other.step_aside();
            assert_eq!((room.available_permits(), aside.load().borrow().requests), (2, 1));
        }
        one.leave();
        assert_eq!(aside.load().borrow().requests, 0);
        one.step_aside();
        assert_eq!(aside.load().borrow().requests, 1);
        drop((one, other));
        assert_eq!(aside.load().borrow().requests, 0);
        assert_eq!(aside.load().borrow().memory, 0);
    }
}

//! Results in the order of the requests.

use std::collections::BTreeMap;

use super::summary::RecordOutcome;

/// How many bytes of results may wait before no further request is started.
const BYTE_LIMIT: usize = 64 << 20;

/// A result that is ready to be written.
#[derive(Debug)]
pub(crate) struct FinishedRecord {
    pub(crate) line: Vec<u8>,
    pub(crate) outcome: RecordOutcome,
}

/// Holds results back until all before them are there; passes them on at once where order does not matter.
#[derive(Debug)]
pub(crate) struct ReorderBuffer {
    /// How many results may wait; `None` where order does not matter.
    capacity: Option<usize>,
    started: u64,
    next: u64,
    waiting: BTreeMap<u64, FinishedRecord>,
    bytes: usize,
}

impl ReorderBuffer {
    pub(crate) const fn new(capacity: Option<usize>) -> Self {
        Self {
            capacity,
            started: 0,
            next: 0,
            waiting: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Returns the position of the next request.
    pub(crate) const fn next_position(&mut self) -> u64 {
        self.started += 1;
        self.started - 1
    }

    /// True when another request may be started.
    pub(crate) fn has_room(&self) -> bool {
        self.capacity
            .is_none_or(|capacity| self.waiting.len() < capacity && self.bytes < BYTE_LIMIT)
    }

    /// Adds a result; returns those that can be written now.
    ///
    /// A position that never gets a result, because the run ends, holds back all after it until [`ReorderBuffer::drain`].
    pub(crate) fn push(&mut self, position: u64, record: FinishedRecord) -> Vec<FinishedRecord> {
        if self.capacity.is_none() {
            return vec![record];
        }
        self.bytes += record.line.len();
        self.waiting.insert(position, record);
        let mut ready = Vec::new();
        while let Some(record) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.bytes -= record.line.len();
            ready.push(record);
        }
        ready
    }

    /// Returns the results that still wait, in order: they are paid, and order is a wish.
    pub(crate) fn drain(&mut self) -> Vec<FinishedRecord> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{FinishedRecord, RecordOutcome, ReorderBuffer};

    fn push(buffer: &mut ReorderBuffer, position: u64) -> Vec<u8> {
        let record = FinishedRecord {
            line: vec![u8::try_from(position).unwrap()],
            outcome: RecordOutcome::default(),
        };
        let ready = buffer.push(position, record);
        ready.into_iter().flat_map(|record| record.line).collect()
    }

    #[test]
    fn results_wait_for_those_before_them() {
        let mut buffer = ReorderBuffer::new(Some(2));
        assert_eq!([0; 4].map(|_| buffer.next_position()), [0, 1, 2, 3]);
        assert!(push(&mut buffer, 1).is_empty());
        assert!(buffer.has_room());
        assert!(push(&mut buffer, 2).is_empty());
        assert!(!buffer.has_room());
        assert_eq!(push(&mut buffer, 0), [0, 1, 2]);
        assert_eq!(push(&mut buffer, 3), [3]);
        assert!(buffer.has_room());
        // Position 4 never comes.
        assert!(push(&mut buffer, 6).is_empty() && push(&mut buffer, 5).is_empty());
        let rest: Vec<u8> = buffer
            .drain()
            .into_iter()
            .flat_map(|record| record.line)
            .collect();
        assert_eq!(rest, [5, 6]);
    }

    #[test]
    fn where_order_does_not_matter_nothing_waits() {
        let mut buffer = ReorderBuffer::new(None);
        for position in [5, 1] {
            assert_eq!(push(&mut buffer, position), [position as u8]);
            assert!(buffer.has_room());
        }
    }
}

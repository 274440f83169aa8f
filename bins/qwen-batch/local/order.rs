//! Results in the order of the questions.

use std::collections::BTreeMap;

/// The most bytes of results that wait for an earlier one before no further question is asked.
const MOST_BYTES: usize = 64 << 20;

/// A result, ready to be written.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) record: Vec<u8>,
    pub(crate) failed: bool,
    /// True for an answer that a limit or a filter cut.
    pub(crate) cut: bool,
}

/// Holds results until those before them have come; or hands them on at once, when the order does not matter.
#[derive(Debug, Default)]
pub(crate) struct Order {
    keeps: bool,
    most: usize,
    asked: u64,
    next: u64,
    waiting: BTreeMap<u64, Ready>,
    bytes: usize,
}

impl Order {
    /// Keeps the order, with at most so many results waiting; or none.
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self {
            keeps: most.is_some(),
            most: most.unwrap_or(0),
            ..Self::default()
        }
    }

    /// Takes the place of the next question.
    pub(crate) const fn place(&mut self) -> u64 {
        self.asked += 1;
        self.asked - 1
    }

    /// True when another question may be asked.
    pub(crate) fn has_room(&self) -> bool {
        !self.keeps || (self.waiting.len() < self.most && self.bytes < MOST_BYTES)
    }

    /// Brings a result to its place; returns what can be written now. A place that never gets a result, because the
    /// run ends, holds back all after it: the next run asks them again, in their order.
    pub(crate) fn bring(&mut self, place: u64, result: Ready) -> Vec<Ready> {
        if !self.keeps {
            return vec![result];
        }
        self.bytes += result.record.len();
        self.waiting.insert(place, result);
        let mut ready = Vec::new();
        while let Some(result) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.bytes -= result.record.len();
            ready.push(result);
        }
        ready
    }
}

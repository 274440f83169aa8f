//! The requests that have a result already, and the names that the input has had so far.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::digest::RequestDigest;
use super::digest_set::DigestSet;
use super::record::ExistingRecord;

/// What is known of a name that the input has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestStatus {
    New,
    /// It has a result. Whether that answers the same request is not known where it is not `compared`: a provider's
    /// record, or one of version 0.1, does not tell.
    Completed {
        failed: bool,
        compared: bool,
    },
    /// It has a result, of another request.
    Changed {
        failed: bool,
    },
    /// The input has had it before.
    Duplicate,
}

/// A record of the output.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// A digest of its name, keyed with random.
    name: u64,
    /// The upper bits of its request's digest; the lower four are flags.
    info: u64,
}

impl Entry {
    const FAILED: u64 = 1;
    const IN_INPUT: u64 = 2;
    /// The request's digest is not known.
    const FOREIGN: u64 = 4;
    /// Another record has the same name.
    const HAS_OTHERS: u64 = 8;
    const FLAGS: u64 = 15;

    const fn has(self, flag: u64) -> bool {
        self.info & flag != 0
    }

    /// What of a digest is kept.
    fn bits(request: RequestDigest) -> u64 {
        request.bits() & !Self::FLAGS
    }

    /// True where it is known to be of another request.
    fn is_other(self, request: RequestDigest) -> bool {
        !self.has(Self::FOREIGN) && Self::bits(request) != self.info & !Self::FLAGS
    }

    /// True where it is known to be of that request.
    fn is_of(self, request: RequestDigest) -> bool {
        !self.has(Self::FOREIGN) && !self.is_other(request)
    }
}

/// Names of version 0.1 that come from the place of a line: `line-N`.
#[derive(Debug, Default)]
pub(crate) struct PositionalNames {
    pub(crate) count: u64,
    /// The first three.
    pub(crate) first: Vec<String>,
}

/// The names and requests of the output's records, in 16 bytes each, and the other names of the input so far, in nine.
///
/// Among a million names two share a digest once in 37 million runs; one of the two requests would be skipped then.
#[derive(Debug, Default)]
pub(crate) struct CompletedRequests {
    hasher: RandomState,
    /// Sorted by name once [`CompletedRequests::seal`] has been called; of those of one name the last one counts, where none
    /// is known to be of the request.
    entries: Vec<Entry>,
    new_in_input: DigestSet,
    /// Names that results have brought, each with its request.
    results: DigestSet,
    /// How often the input has had a text that has no name of its own, where that is more than once.
    twins: HashMap<u64, u64>,
    /// Names of which one record is to stay, with the request that it is to answer, where that is known.
    replaced: HashMap<u64, Option<u64>>,
    /// The names of the input in its order, where that matters.
    order: Option<Vec<(u64, u64)>>,
    pub(crate) positional: PositionalNames,
}

impl CompletedRequests {
    /// Keeps the order of the input too, in 16 bytes a line.
    pub(crate) fn ordered() -> Self {
        Self {
            order: Some(Vec::new()),
            ..Self::default()
        }
    }

    /// Adds a record of the output.
    pub(crate) fn insert(&mut self, record: &ExistingRecord<'_>) {
        if record.is_positional() {
            self.positional.count += 1;
            if self.positional.first.len() < 3 {
                self.positional.first.push(record.custom_id.to_string());
            }
        }
        let digest = record.digest.map(RequestDigest::bits);
        let failed = if record.failed { Entry::FAILED } else { 0 };
        let foreign = if digest.is_none() { Entry::FOREIGN } else { 0 };
        self.entries.push(Entry {
            name: self.hasher.hash_one(record.custom_id.as_ref()),
            info: (digest.unwrap_or(0) & !Entry::FLAGS) | failed | foreign,
        });
    }

    /// Ends the reading of the output. Of several records of one name and one request the last counts, but a failure does
    /// not count beside an answer.
    pub(crate) fn seal(&mut self) {
        const STATE: u64 = Entry::FAILED | Entry::HAS_OTHERS;
        self.entries.sort_by_key(|entry| entry.name);
        let mut kept: usize = 0;
        for index in 0..self.entries.len() {
            let mut entry = self.entries[index];
            let same_name = self.entries[..kept].iter().rev();
            let others = same_name.take_while(|other| other.name == entry.name).count();
            let group = kept - others..kept;
            if others > 0 {
                entry.info |= Entry::HAS_OTHERS;
                self.entries[group.clone()]
                    .iter_mut()
                    .for_each(|other| other.info |= Entry::HAS_OTHERS);
            }
            let same = group
                .clone()
                .find(|&at| (self.entries[at].info ^ entry.info) & !STATE == 0);
            if let Some(same) = same {
                if entry.has(Entry::FAILED) && !self.entries[same].has(Entry::FAILED) {
                    entry = self.entries[same];
                }
                // It is the last one now.
                self.entries[same..kept].rotate_left(1);
                kept -= 1;
            }
            self.entries[kept] = entry;
            kept += 1;
        }
        self.entries.truncate(kept);
    }

    /// Adds a name of the input with its request; returns what was known of it. `None` for a request whose digest is
    /// not known.
    pub(crate) fn register(&mut self, name: &str, request: Option<RequestDigest>) -> RequestStatus {
        let name = self.hasher.hash_one(name);
        let Some(entry) = self.entry(name, request) else {
            return match self.new_in_input.insert(name) {
                true => {
                    self.note_position(name);
                    RequestStatus::New
                }
                false => RequestStatus::Duplicate,
            };
        };
        if self.has(name, Entry::IN_INPUT) {
            return RequestStatus::Duplicate;
        }
        let entry = &mut self.entries[entry];
        entry.info |= Entry::IN_INPUT;
        let entry = *entry;
        self.note_position(name);
        let failed = entry.has(Entry::FAILED);
        let compared = request.filter(|_| !entry.has(Entry::FOREIGN));
        match compared {
            Some(request) if entry.is_other(request) => RequestStatus::Changed { failed },
            _ => {
                if entry.has(Entry::HAS_OTHERS) {
                    self.replaced.insert(name, compared.map(Entry::bits));
                }
                let compared = compared.is_some();
                RequestStatus::Completed { failed, compared }
            }
        }
    }

    /// Adds the name of a result with the request that it answers, `None` where that is not known; returns what was known of
    /// it. `Changed` for one of another request than the output's, or than an earlier result's, of the same name: it does
    /// not use the name up.
    pub(crate) fn register_result(&mut self, name: &str, request: Option<RequestDigest>) -> RequestStatus {
        let hash = self.hasher.hash_one(name);
        if let Some(entry) = self.entry(hash, request) {
            let entry = self.entries[entry];
            return match request {
                Some(request) if entry.is_other(request) => RequestStatus::Changed {
                    failed: entry.has(Entry::FAILED),
                },
                _ => self.register(name, request),
            };
        }
        let [own, unknown] =
            [request, None].map(|request| self.hasher.hash_one((hash, request.map(RequestDigest::bits))));
        let is_other = self.new_in_input.contains(hash)
            && request.is_some()
            && !self.results.contains(own)
            && !self.results.contains(unknown);
        if is_other {
            return RequestStatus::Changed { failed: false };
        }
        self.results.insert(own);
        self.register(name, request)
    }

    /// Returns the number of a text that has no name of its own: 1, or more for one that the input has had before.
    fn next_twin(&mut self, name: &str) -> u64 {
        let count = self.twins.entry(self.hasher.hash_one(name)).or_insert(1);
        *count += 1;
        *count
    }

    /// Registers a text that has no name of its own and that the input has had before, under the next free name after its
    /// own.
    pub(crate) fn register_twin(
        &mut self,
        name: &str,
        request: Option<RequestDigest>,
    ) -> (String, RequestStatus) {
        loop {
            let twin = format!("{name}-{}", self.next_twin(name));
            match self.register(&twin, request) {
                RequestStatus::Duplicate => {}
                status => return (twin, status),
            }
        }
    }

    /// True when the output has a record of that name whose request is not known.
    pub(crate) fn has_foreign(&self, name: &str) -> bool {
        self.has(self.hasher.hash_one(name), Entry::FOREIGN)
    }

    /// True for a name that the input has had.
    pub(crate) fn is_in_input(&self, name: &str) -> bool {
        let name = self.hasher.hash_one(name);
        self.new_in_input.contains(name) || self.has(name, Entry::IN_INPUT)
    }

    /// Notes that the older records of that name are to go, because there is a newer one of that request.
    pub(crate) fn replace(&mut self, name: &str, request: Option<RequestDigest>) {
        let name = self.hasher.hash_one(name);
        self.replaced.insert(name, request.map(Entry::bits));
    }

    pub(crate) fn has_replaced(&self) -> bool {
        !self.replaced.is_empty()
    }

    pub(crate) const fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    /// Ends the input: from now on [`CompletedRequests::place`] answers.
    pub(crate) fn seal_order(&mut self) {
        if let Some(order) = &mut self.order {
            order.sort_unstable();
        }
    }

    /// Returns a record's place in the output: where its name stands in the input, before all others where it does not.
    /// And where one record of its name alone is to stay, what they are compared by.
    pub(crate) fn place(&self, record: &ExistingRecord<'_>) -> (u64, Option<Claim>) {
        let name = self.hasher.hash_one(record.custom_id.as_ref());
        let place = self.order.as_ref().and_then(|order| {
            let found = order.binary_search_by_key(&name, |(name, _)| *name).ok()?;
            Some(order[found].1)
        });
        let claim = self.replaced.get(&name).map(|wanted| Claim {
            name,
            rank: (
                wanted.is_some() && record.digest.map(Entry::bits) == *wanted,
                !record.failed,
            ),
        });
        (place.unwrap_or(0), claim)
    }

    fn note_position(&mut self, name: u64) {
        if let Some(order) = &mut self.order {
            order.push((name, order.len() as u64 + 1));
        }
    }

    /// Returns the entry that counts for a request of that name.
    fn entry(&self, name: u64, request: Option<RequestDigest>) -> Option<usize> {
        let (start, group) = self.group(name);
        let own = request.and_then(|request| group.iter().rposition(|entry| entry.is_of(request)));
        Some(start + own.or_else(|| group.len().checked_sub(1))?)
    }

    /// True where an entry of that name has that flag.
    fn has(&self, name: u64, flag: u64) -> bool {
        self.group(name).1.iter().any(|entry| entry.has(flag))
    }

    /// Returns the entries of a name, and where they begin.
    fn group(&self, name: u64) -> (usize, &[Entry]) {
        let start = self.entries.partition_point(|entry| entry.name < name);
        let rest = &self.entries[start..];
        let length = rest.iter().take_while(|entry| entry.name == name).count();
        (start, &rest[..length])
    }
}

/// A record's claim to be the one of its name that stays: the highest one, and of equal ones the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) name: u64,
    /// Whether it is of the request that is wanted, and whether it is an answer.
    pub(crate) rank: (bool, bool),
}

#[cfg(test)]
mod tests {
    use super::{CompletedRequests, RequestStatus};
    use crate::digest::RequestDigest;
    use crate::record::ExistingRecord;

    fn digest(text: &str) -> RequestDigest {
        RequestDigest::of_line(text.as_bytes())
    }

    fn record<'a>(name: &'a str, request: Option<&str>, failed: bool) -> ExistingRecord<'a> {
        ExistingRecord {
            custom_id: name.into(),
            digest: request.map(digest),
            failed,
            is_invalid_line: false,
        }
    }

    fn insert(completed: &mut CompletedRequests, name: &str, request: Option<&str>, failed: bool) {
        completed.insert(&record(name, request, failed));
    }

    #[test]
    fn a_name_is_new_completed_changed_or_a_duplicate() {
        let mut completed = CompletedRequests::default();
        for (name, request, failed) in [
            ("good", Some("1"), false),
            ("bad", Some("1"), true),
            ("engine", None, false),
            ("other", Some("2"), false),
            ("repaired", Some("1"), true),
            ("repaired", Some("1"), false),
            ("spoiled", Some("1"), false),
            ("spoiled", Some("1"), true),
            ("newer", Some("2"), false),
            ("newer", Some("1"), true),
            ("beside", Some("1"), false),
            ("beside", Some("2"), false),
            ("beside", Some("3"), true),
        ] {
            insert(&mut completed, name, request, failed);
        }
        completed.seal();
        let completed_as = |failed, compared| RequestStatus::Completed { failed, compared };
        for (name, status) in [
            ("good", completed_as(false, true)),
            ("bad", completed_as(true, true)),
            ("engine", completed_as(false, false)),
            ("other", RequestStatus::Changed { failed: false }),
            ("repaired", completed_as(false, true)),
            ("spoiled", completed_as(false, true)),
            ("newer", completed_as(true, true)),
            ("beside", completed_as(false, true)),
            ("unknown", RequestStatus::New),
        ] {
            assert_eq!(completed.register(name, Some(digest("1"))), status, "{name}");
            assert_eq!(
                completed.register(name, Some(digest("1"))),
                RequestStatus::Duplicate,
                "{name}"
            );
        }
    }

    #[test]
    fn one_of_several_results_of_a_name_stays() {
        let mut completed = CompletedRequests::default();
        for (name, request, failed) in [
            ("repaired", Some("1"), true),
            ("repaired", Some("1"), false),
            ("newer", Some("2"), false),
            ("newer", Some("1"), true),
            ("spoiled", Some("1"), false),
            ("spoiled", Some("1"), true),
            ("beside", Some("1"), false),
            ("beside", Some("2"), false),
            ("good", Some("1"), false),
        ] {
            insert(&mut completed, name, request, failed);
        }
        completed.seal();
        for name in ["repaired", "newer", "spoiled", "beside", "good"] {
            completed.register(name, Some(digest("1")));
        }
        let claim = |name, request, failed| completed.place(&record(name, Some(request), failed)).1;
        for name in ["repaired", "newer", "spoiled", "beside"] {
            let ranks = [("1", false), ("1", true), ("2", false)]
                .map(|(request, failed)| claim(name, request, failed).unwrap().rank);
            assert_eq!(ranks[0], (true, true), "{name}");
            assert!(ranks[0] > ranks[1] && ranks[1] > ranks[2], "{name}");
        }
        assert!(claim("good", "1", false).is_none());
    }

    #[test]
    fn a_result_of_another_request_does_not_use_its_name_up() {
        let mut completed = CompletedRequests::default();
        insert(&mut completed, "there", Some("1"), true);
        insert(&mut completed, "engine", None, false);
        completed.seal();
        let compared = |failed, compared| RequestStatus::Completed { failed, compared };
        let changed = |failed| RequestStatus::Changed { failed };
        for (name, request, status) in [
            ("there", Some("2"), changed(true)),
            ("there", Some("1"), compared(true, true)),
            ("there", Some("2"), changed(true)),
            ("there", Some("1"), RequestStatus::Duplicate),
            ("engine", Some("1"), compared(false, false)),
            ("engine", Some("2"), RequestStatus::Duplicate),
            ("new", Some("1"), RequestStatus::New),
            ("new", Some("2"), changed(false)),
            ("new", Some("1"), RequestStatus::Duplicate),
            ("new", None, RequestStatus::Duplicate),
            ("unknown", None, RequestStatus::New),
            ("unknown", Some("1"), RequestStatus::Duplicate),
        ] {
            let request = request.map(digest);
            assert_eq!(
                completed.register_result(name, request),
                status,
                "{name} {request:?}"
            );
        }
    }

    #[test]
    fn twins_are_counted_from_two() {
        let mut completed = CompletedRequests::default();
        assert_eq!([0; 3].map(|_| completed.next_twin("a")), [2, 3, 4]);
        assert_eq!(completed.next_twin("b"), 2);
    }

    #[test]
    fn what_the_input_has_stands_in_its_order_behind_everything_else() {
        let mut completed = CompletedRequests::ordered();
        insert(&mut completed, "c", Some("1"), false);
        completed.seal();
        for name in ["b", "c", "a"] {
            completed.register(name, Some(digest("1")));
        }
        completed.seal_order();
        assert_eq!(
            ["x", "b", "c", "a"].map(|name| completed.place(&record(name, Some("1"), false)).0),
            [0, 1, 2, 3]
        );
    }
}

//! Which questions are known, in eight bytes each.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing so far; it has been noted now.
    New,
    /// An earlier run, or the same file fetched before, has its result.
    Done {
        /// True when that result is a failure.
        failed: bool,
    },
    /// The input has had it already.
    Twice,
}

/// The names of results and questions: digests of 62 bits, under a key that nobody can guess, with two marks.
///
/// Two of a million names share a digest once in nine million runs; one of them would be skipped then.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    names: HashSet<Name, BuildHasherDefault<AsItIs>>,
    key: RandomState,
}

const FAILED: u64 = 1;
const MET: u64 = 2;

impl Seen {
    /// Notes a result that is there; true when it is the first of that name.
    pub(crate) fn note(&mut self, custom_id: &str, failed: bool) -> bool {
        let name = self.name(custom_id);
        self.names
            .replace(Name(name.0 | if failed { FAILED } else { 0 }))
            .is_none()
    }

    /// Meets a name in the input.
    pub(crate) fn meet(&mut self, custom_id: &str) -> Known {
        let name = self.name(custom_id);
        let before = self.names.get(&name).map_or(0, |name| name.0);
        let is_new = self.names.replace(Name(name.0 | before & FAILED | MET)).is_none();
        match is_new {
            true => Known::New,
            false if before & MET != 0 => Known::Twice,
            false => Known::Done {
                failed: before & FAILED != 0,
            },
        }
    }

    fn name(&self, custom_id: &str) -> Name {
        Name(self.key.hash_one(custom_id) & !(FAILED | MET))
    }
}

/// A digest whose marks do not take part in comparisons.
#[derive(Clone, Copy, Debug)]
struct Name(u64);

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0 & !(FAILED | MET) == other.0 & !(FAILED | MET)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 & !(FAILED | MET));
    }
}

/// Takes a digest for its own hash.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, digest: u64) {
        // The marks are the lowest bits; a table looks at the lowest and at the highest.
        self.0 = digest.rotate_left(30);
    }
}

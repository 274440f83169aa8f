//! A set of digests that takes little more memory than they do.

/// The parts of the set: a new digest moves those of one part alone, and one part alone grows at a time.
const PARTS: usize = 1 << PART_BITS;
const PART_BITS: u32 = 10;

/// Digests of 64 bits, spread evenly: sorted, in parts by their upper bits. A hash table would need up to three times as much
/// memory when it grows.
#[derive(Debug)]
pub(crate) struct DigestSet(Vec<Vec<u64>>);

impl Default for DigestSet {
    fn default() -> Self {
        Self(vec![Vec::new(); PARTS])
    }
}

impl DigestSet {
    /// Adds a digest; false where it is there already.
    pub(crate) fn insert(&mut self, digest: u64) -> bool {
        let part = &mut self.0[part(digest)];
        let Err(place) = part.binary_search(&digest) else {
            return false;
        };
        if part.len() == part.capacity() {
            part.reserve_exact(part.len() / 8 + 8);
        }
        part.insert(place, digest);
        true
    }

    pub(crate) fn contains(&self, digest: u64) -> bool {
        self.0[part(digest)].binary_search(&digest).is_ok()
    }
}

fn part(digest: u64) -> usize {
    usize::try_from(digest >> (u64::BITS - PART_BITS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::DigestSet;

    /// Numbers that look random, each different.
    fn digests(count: u64) -> impl Iterator<Item = u64> {
        (0..count).map(|number| (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[test]
    fn a_digest_is_new_once() {
        let mut set = DigestSet::default();
        let edges = [0, u64::MAX, 1 << 54, (1 << 54) - 1];
        for digest in digests(100_000).chain(edges) {
            assert!(!set.contains(digest) && set.insert(digest), "{digest}");
            assert!(set.contains(digest) && !set.insert(digest), "{digest}");
        }
        assert!(digests(100_000).chain(edges).all(|digest| set.contains(digest)));
    }

    #[test]
    fn a_million_digests_take_little_more_room_than_they_need() {
        let mut set = DigestSet::default();
        assert!(digests(1_000_000).all(|digest| set.insert(digest)));
        let room: usize = set.0.iter().map(Vec::capacity).sum();
        assert!(room < 1_150_000, "{room}");
    }
}

//! Reproducible random choices for property tests.

/// A small generator (splitmix64). `QWEN_TEST_SEED` chooses another sequence; the seed is printed, so that a failure
/// can be repeated.
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn from_environment() -> Self {
        let seed = std::env::var("QWEN_TEST_SEED").ok();
        let seed = seed.map_or(2026, |seed| seed.parse().expect("QWEN_TEST_SEED is a number"));
        println!("QWEN_TEST_SEED={seed}");
        Self::new(seed)
    }

    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` - 1.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

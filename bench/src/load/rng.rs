//! Choices that repeat with their seed.

/// The increment of splitmix64.
pub(crate) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A mixer of 64 bits (splitmix64's finish): neighbours get unrelated results.
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(STEP);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A small generator of repeatable choices.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// Different streams of one seed are unrelated.
    pub(crate) fn new(seed: u64, stream: u64) -> Rng {
        Rng { state: mix(mix(seed) ^ stream) }
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.word() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A number in 0..1.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rng_repeats_with_its_seed_and_stays_in_bounds() {
        let (mut a, mut b) = (Rng::new(1, 2), Rng::new(1, 2));
        for _ in 0..1_000 {
            assert_eq!(a.below(10), b.below(10));
            assert!(a.below(3) < 3);
            assert!((0.0..1.0).contains(&b.fraction()));
            b.below(1);
            a.fraction();
            b.word();
            a.word();
        }
    }
}

//! Choices that a seed repeats.

/// A generator that is good enough to choose by, and the same everywhere: SplitMix64.
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The choices of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Choices of their own for a part that must not depend on how many another one makes.
    #[must_use]
    pub fn part(&self, number: u64) -> Self {
        let mut part = Self(self.0 ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        part.word();
        part
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.word().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True in so many of a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of these; `None` when there is none.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_itself_and_parts_differ() {
        let choices = |mut seeded: Seeded| [seeded.word(), seeded.word(), seeded.word()];
        let seed = Seeded::new(7);
        assert_eq!(choices(seed.clone()), choices(seed.clone()));
        assert_ne!(choices(seed.part(1)), choices(seed.part(2)));
    }

    #[test]
    fn bounds_hold() {
        let mut seeded = Seeded::new(1);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&seeded.between(3, 5)));
        }
        assert_eq!(seeded.below(0), 0);
        assert_eq!(seeded.of::<u8>(&[]), None);
    }
}

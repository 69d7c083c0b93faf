//! Chance that can be drawn again: the same seed gives the same draws, on every machine.
//!
//! SplitMix64, because it is five lines, passes for random, and any number is a good seed.

/// A source of draws.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The draws of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        assert!(end > 0, "there is nothing below zero");
        self.bits() % end
    }

    /// A place in something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.index(times) == 0
    }

    /// So many bytes of any kind.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// One of these, as it stands there.
    pub fn one_of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.index(choices.len())]
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    /// Puts them in any order, each as likely as the next.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for end in (2..=things.len()).rev() {
            things.swap(end - 1, self.index(end));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence_and_it_is_the_published_one() {
        let mut chance = Chance::new(1_234_567);
        let drawn = [chance.bits(), chance.bits(), chance.bits()];
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn shuffling_loses_nothing_and_reaches_every_order() {
        let mut chance = Chance::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            let mut cards = [1, 2, 3, 4];
            chance.shuffle(&mut cards);
            seen.insert(cards);
            cards.sort_unstable();
            assert_eq!(cards, [1, 2, 3, 4]);
        }
        assert_eq!(seen.len(), 24);
    }

    #[test]
    fn never_and_always_are_kept() {
        let mut chance = Chance::new(2);
        assert!((0..500).all(|_| !chance.chance(0) && chance.chance(1_000)));
        assert!((0..500).any(|_| chance.chance(100)));
        assert_eq!(*chance.pick(&["one"]), "one");
    }
}

//! Which key comes next: each as likely as the next, or a few far more often than all others.
//!
//! By Zipf's law the key of rank k comes in proportion to 1/kˢ; with YCSB's s of 0.99 and a million keys, the first is one in
//! fifteen. Adding up all those parts for every draw, or once for every number of keys, is what one would rather not do while
//! keys are being inserted, so ranks are drawn by rejection-inversion (Hörmann and Derflinger, 1996): exact, in constant time,
//! and for a number of keys that may change from one draw to the next. YCSB scrambles the ranks; here the ring does, since
//! neighbouring names have places far apart.

use super::chance::Chance;

/// How keys are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Distribution {
    /// Each as likely as the next.
    Uniform,
    /// A few far more often than the others.
    Zipfian,
    /// Zipfian, the keys inserted last being the favourites.
    Latest,
}

impl Distribution {
    /// One of so many keys, which are counted from 0.
    pub(crate) fn draw(self, keys: u64, chance: &mut Chance) -> u64 {
        match self {
            Self::Uniform => chance.below(keys),
            Self::Zipfian => rank(keys, chance) - 1,
            Self::Latest => keys - rank(keys, chance),
        }
    }
}

/// YCSB's.
const S: f64 = 0.99;

/// The weight of a rank, for all numbers between the ranks too.
fn weight(x: f64) -> f64 {
    x.powf(-S)
}

/// The weights added up to here, but for a constant.
fn sum(x: f64) -> f64 {
    (x.powf(1.0 - S) - 1.0) / (1.0 - S)
}

/// Where the weights add up to this.
fn reach(sum: f64) -> f64 {
    (1.0 + sum * (1.0 - S)).powf(1.0 / (1.0 - S))
}

/// A rank from 1 to `ranks`.
fn rank(ranks: u64, chance: &mut Chance) -> u64 {
    let (low, high) = (sum(1.5) - 1.0, sum(ranks as f64 + 0.5));
    let sure = 2.0 - reach(sum(2.5) - weight(2.0));
    loop {
        let drawn = high + chance.part() * (low - high);
        let x = reach(drawn);
        let rank = x.round().clamp(1.0, ranks as f64);
        if rank - x <= sure || drawn >= sum(rank + 0.5) - weight(rank) {
            return rank as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain way: all weights added up.
    fn parts(ranks: u64) -> Vec<f64> {
        let weights: Vec<f64> = (1..=ranks).map(|rank| (rank as f64).powf(-S)).collect();
        let all: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / all).collect()
    }

    #[test]
    fn ranks_are_drawn_as_often_as_zipf_says() {
        const DRAWS: u64 = 400_000;
        for ranks in [1, 2, 3, 10, 1_000] {
            let mut chance = Chance::new(ranks);
            let mut seen = vec![0_u64; ranks as usize];
            for _ in 0..DRAWS {
                seen[Distribution::Zipfian.draw(ranks, &mut chance) as usize] += 1;
            }
            for (rank, (seen, part)) in seen.iter().zip(parts(ranks)).enumerate() {
                let expected = part * DRAWS as f64;
                let off = (*seen as f64 - expected).abs();
                // Five standard deviations: one rank in two million is off by more by chance alone.
                assert!(off <= 5.0 * expected.sqrt(), "{rank} of {ranks}: {seen}, {expected}");
            }
        }
    }

    #[test]
    fn uniform_draws_favour_nobody() {
        let (mut chance, mut seen) = (Chance::new(7), [0_i32; 10]);
        (0..100_000).for_each(|_| seen[Distribution::Uniform.draw(10, &mut chance) as usize] += 1);
        assert!(seen.iter().all(|seen| (seen - 10_000).abs() < 500), "{seen:?}");
    }

    #[test]
    fn the_latest_key_is_the_favourite_however_many_there_are() {
        for keys in [1, 5, 100] {
            let (mut chance, mut seen) = (Chance::new(3), vec![0; keys as usize]);
            for _ in 0..10_000 {
                seen[Distribution::Latest.draw(keys, &mut chance) as usize] += 1;
            }
            assert_eq!(seen.iter().max(), seen.last(), "{seen:?}");
        }
    }
}

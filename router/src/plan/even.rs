//! Where the boundaries should be for every storage to keep its share, counted in bytes and not in places.
//!
//! ```text
//!   bytes      |--A--|-----------B-----------|-C-|---D---|      B's arc weighs too much
//!   even       |----A----|----B----|----C----|----D----|        every arc the same: so is every storage's load
//! ```
//!
//! A storage keeps its own arc and those before it, so where all arcs weigh the same all storages keep the same. Only the
//! distances between the boundaries are given by that; the whole picture is turned to where the least has to move. A
//! boundary that is nearly right stays.

use minor_protocol::{Member, RingArc, StorageId};
use std::collections::BTreeMap;

/// What a storage may keep at most, in hundredths of its share.
const MOST_PERCENT: u64 = 120;
/// A boundary that is off by less than this part of a share stays where it is.
const NEAR: i128 = 20;

/// What one storage keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Who.
    pub member: Member,
    /// Bytes it keeps.
    pub bytes: u64,
    /// Bytes it would keep if all kept the same.
    pub share: u64,
}

impl Load {
    /// What it keeps, in hundredths of its share.
    pub fn percent(&self) -> u64 {
        self.bytes.saturating_mul(100).checked_div(self.share).unwrap_or(100)
    }

    /// Whether it is not too much.
    pub fn is_fair(&self) -> bool {
        self.percent() <= MOST_PERCENT
    }
}

/// A place, told as so many bytes into one of the arcs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which of the arcs, counted from 0.
    pub arc: usize,
    /// How many of its bytes lie up to the place.
    pub bytes: u64,
}

/// Who keeps the most. `weights` are the bytes of the arcs.
pub fn heaviest(arcs: &[RingArc], weights: &[u64]) -> Load {
    let mut loads: BTreeMap<StorageId, (&Member, u64)> = BTreeMap::new();
    for (arc, bytes) in arcs.iter().zip(weights) {
        for member in &arc.members {
            loads.entry(member.storage).or_insert((member, 0)).1 += bytes;
        }
    }
    let share = loads.values().map(|(_, bytes)| bytes).sum::<u64>() / loads.len().max(1) as u64;
    let most = loads.into_values().max_by_key(|(_, bytes)| *bytes);
    let (member, bytes) = most.expect("a ring has an arc, and an arc has a member");
    Load { member: member.clone(), bytes, share }
}

/// The new place of each storage whose boundary has to move; `weights` are the bytes of the arcs in ring order, each of
/// which ends at one storage's place.
pub fn even(weights: &[u64]) -> Vec<Option<Cut>> {
    let ends: Vec<i128> = weights
        .iter()
        .scan(0_i128, |sum, bytes| {
            *sum += i128::from(*bytes);
            Some(*sum)
        })
        .collect();
    let (all, count) = (ends.last().copied().unwrap_or(0), weights.len() as i128);
    if all == 0 {
        return vec![None; weights.len()];
    }
    let spaced: Vec<i128> = (1..=count).map(|n| all * n / count).collect();
    // Turned by the median of the distances, the sum of what is left of them is the least.
    let mut off: Vec<i128> = ends.iter().zip(&spaced).map(|(end, wanted)| end - wanted).collect();
    off.sort_unstable();
    let turn = off[off.len() / 2];
    let cut = |(end, wanted): (&i128, &i128)| {
        let wanted = wanted + turn;
        if (wanted - end).abs() <= all / count / NEAR {
            return None;
        }
        // From 1 to all, so that the very beginning is the end of the last arc.
        let wanted = (wanted - 1).rem_euclid(all) + 1;
        let arc = ends.partition_point(|end| *end < wanted);
        let before = if arc == 0 { 0 } else { ends[arc - 1] };
        Some(Cut { arc, bytes: u64::try_from(wanted - before).expect("it lies in the arc") })
    };
    ends.iter().zip(&spaced).map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the arcs weigh once the boundaries are where `even` wants them.
    fn evened(weights: &[u64]) -> Vec<u64> {
        let start = |arc: usize| weights[..arc].iter().sum::<u64>();
        let mut ends: Vec<u64> = even(weights)
            .into_iter()
            .enumerate()
            .map(|(n, cut)| cut.map_or(start(n + 1), |cut| start(cut.arc) + cut.bytes))
            .collect();
        ends.sort_unstable();
        let all: u64 = weights.iter().sum();
        let back = [ends[ends.len() - 1].wrapping_sub(all)];
        let froms = back.iter().chain(&ends);
        ends.iter().zip(froms).map(|(end, from)| end.wrapping_sub(*from)).collect()
    }

    #[test]
    fn every_arc_comes_to_weigh_about_the_same_whatever_they_weighed() {
        let mut draw = 7_u64;
        for _ in 0..2_000 {
            let mut next = |below: u64| {
                draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (draw >> 33) % below
            };
            let count = 1 + next(12) as usize;
            let weights: Vec<u64> = (0..count).map(|_| next(4) * next(100_000)).collect();
            let share = weights.iter().sum::<u64>() / count as u64;
            for weight in evened(&weights) {
                let off = weight.abs_diff(share);
                assert!(off <= share / 9 + 2, "{weights:?}: {weight}, not {share}");
            }
        }
    }

    #[test]
    fn what_is_even_stays_and_what_is_empty_too() {
        assert_eq!(even(&[100, 100, 100]), [None; 3]);
        assert_eq!(even(&[100, 104, 98]), [None; 3]);
        assert_eq!(even(&[0, 0]), [None; 2]);
    }

    #[test]
    fn the_least_is_moved() {
        // Only the second boundary is wrong.
        assert_eq!(even(&[100, 50, 150]), [None, Some(Cut { arc: 2, bytes: 50 }), None]);
        // All the data lies behind the first boundary: it stays, and the others come.
        let places = even(&[300, 0, 0]);
        assert_eq!(places.iter().filter(|place| place.is_none()).count(), 1);
    }
}

//! Who can have had one of his own.
//!
//! Everybody in need must be given something, nobody the same as another, and what is given must have been there at some
//! moment of the need. All of these are stretches of time, and for stretches the obvious way is the best one: whoever ends
//! first takes, of those that are there, the one that ends next. (All that could still serve it are there at its end, and of
//! these the one that ends first serves least to the others.)

use std::collections::BTreeSet;

/// From when to when, ends included, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stretch {
    pub(super) till: u64,
    pub(super) from: u64,
    pub(super) of: usize,
}

/// Whom nothing is left for, with the last one that took something instead; if there is one.
pub(super) fn in_vain(needs: &[Stretch], gifts: &[Stretch]) -> Option<(usize, Option<usize>)> {
    let needs = needs.iter().map(|stretch| (*stretch, true));
    let all: Vec<(Stretch, bool)> =
        needs.chain(gifts.iter().map(|stretch| (*stretch, false))).collect();
    let (mut by_beginning, mut by_end) = (all.clone(), all);
    by_beginning
        .sort_unstable_by_key(|(stretch, need)| (stretch.from, stretch.till, *need, stretch.of));
    by_end.sort_unstable();

    let mut begun = by_beginning.into_iter().peekable();
    let (mut needy, mut free) = (BTreeSet::new(), BTreeSet::new());
    let mut served = None;
    for (stretch, need) in by_end {
        while let Some((new, need)) = begun.next_if(|(new, _)| new.from <= stretch.till) {
            if need {
                needy.insert(new)
            } else {
                free.insert(new)
            };
        }
        if need && needy.remove(&stretch) {
            if free.pop_first().is_none() {
                return Some((stretch.of, served));
            }
            served = Some(stretch.of);
        } else if !need
            && free.remove(&stretch)
            && let Some(taker) = needy.pop_first()
        {
            served = Some(taker.of);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn the_quick_pairing_serves_everybody_exactly_when_some_pairing_does() {
        let mut chance = Chance::new(3);
        let mut draw = |count: u64| -> Vec<Stretch> {
            let stretches = (0..chance.below(count)).map(|of| {
                let from = chance.below(12);
                Stretch { from, till: from + chance.below(6), of: of as usize }
            });
            stretches.collect()
        };
        let mut served = 0;
        for _ in 0..5_000 {
            let (needs, gifts) = (draw(6), draw(7));
            let possible = tried(&needs, &gifts);
            assert_eq!(in_vain(&needs, &gifts).is_none(), possible, "{needs:?} {gifts:?}");
            served += u32::from(possible && needs.len() > 1);
        }
        assert!((500..4_000).contains(&served), "{served} say little");
    }

    fn tried(needs: &[Stretch], gifts: &[Stretch]) -> bool {
        let Some((first, others)) = needs.split_first() else { return true };
        (0..gifts.len()).any(|at| {
            let mut left = gifts.to_vec();
            let gift = left.swap_remove(at);
            first.from <= gift.till && gift.from <= first.till && tried(others, &left)
        })
    }
}

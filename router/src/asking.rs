//! Whom of an arc's members to ask first, and when to ask the others: decided without doing anything.
//!
//! ```text
//!   a majority is asked ─────────── a majority answers alike ──▶ decided
//!        ├── one says no, or nothing ──▶ the next one is asked
//!        └── it takes longer than it should, or they differ ──▶ all are asked
//! ```
//!
//! So in good times a third of the messages is never sent, and a storage that is slow or dead costs one short wait a second,
//! because for a while nobody asks it first.

use crate::{tally::Verdict, transport::lines::Pace};
use minor_protocol::{Answer, StorageId};

/// What is counted while the members of an arc are heard.
pub trait Round {
    /// Hears one member's answer, or its silence. It is decided at the latest when all have been heard.
    fn hear(&mut self, from: StorageId, heard: Option<Answer>) -> Verdict;

    /// What it has come to if those who have not answered are not waited for.
    fn without_the_slow(&self) -> Verdict;
}

/// Who is asked, one after another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// All members, by their places in the arc, in the order in which they are asked.
    order: Vec<usize>,
    asked: usize,
    heard: usize,
    /// How many are to be asked, as it stands.
    wanted: usize,
}

impl Asking {
    /// So many of these members are to be asked first: those that lately answered well, in a turn that goes round.
    pub(crate) fn of(first: usize, paces: &[Pace], turn: usize) -> Self {
        let mut order: Vec<usize> = (0..paces.len()).collect();
        order.rotate_left(turn % paces.len());
        order.sort_by_key(|member| paces[*member].is_doubted);
        Self { order, asked: 0, heard: 0, wanted: first }
    }

    /// The next one to be asked now, and how many were asked before.
    pub(crate) fn next(&mut self) -> Option<(usize, usize)> {
        let before = self.asked;
        let member = *self.order.get(before).filter(|_| before < self.wanted)?;
        self.asked += 1;
        Some((member, before))
    }

    /// One has answered, and it is not decided yet.
    pub(crate) fn heard(&mut self, said_yes: bool) {
        self.heard += 1;
        self.wanted += usize::from(!said_yes);
        if self.heard == self.asked && self.wanted <= self.asked {
            self.wanted = self.order.len();
        }
    }

    /// It takes longer than it should.
    pub(crate) fn late(&mut self) {
        self.wanted = self.order.len();
    }

    /// Whether all have been asked.
    pub(crate) fn is_complete(&self) -> bool {
        self.asked == self.order.len()
    }
}

/// How long those asked may take, in milliseconds: several times what they lately took, and what waits before them.
pub(crate) fn patience_ms(paces: &[Pace]) -> u64 {
    let slowest = paces.iter().filter(|pace| !pace.is_doubted).map(|pace| pace.us).max();
    (5 + slowest.unwrap_or(0) * 4 / 1_000).min(200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paces(doubted: [bool; 3]) -> [Pace; 3] {
        doubted.map(|is_doubted| Pace { us: 500, is_doubted })
    }

    fn due(asking: &mut Asking) -> Vec<usize> {
        std::iter::from_fn(|| asking.next()).map(|(member, _)| member).collect()
    }

    #[test]
    fn the_first_to_be_asked_go_round() {
        let mut asked = [0; 3];
        for turn in 0..6 {
            due(&mut Asking::of(2, &paces([false; 3]), turn)).iter().for_each(|m| asked[*m] += 1);
        }
        assert_eq!(asked, [4, 4, 4]);
    }

    #[test]
    fn who_was_slow_is_asked_last() {
        for turn in 0..3 {
            let mut asking = Asking::of(2, &paces([false, true, false]), turn);
            assert!(!due(&mut asking).contains(&1));
            asking.late();
            assert_eq!(due(&mut asking), [1]);
            assert!(asking.is_complete());
        }
    }

    #[test]
    fn a_no_brings_the_next_one() {
        let mut asking = Asking::of(2, &paces([false; 3]), 0);
        assert_eq!(due(&mut asking), [0, 1]);
        asking.heard(false);
        assert_eq!(due(&mut asking), [2]);
        asking.heard(true);
        assert!(due(&mut asking).is_empty());
    }

    #[test]
    fn when_those_asked_differ_the_others_are_asked() {
        let mut asking = Asking::of(2, &paces([false; 3]), 1);
        assert_eq!(due(&mut asking), [1, 2]);
        asking.heard(true);
        assert!(due(&mut asking).is_empty());
        asking.heard(true);
        assert_eq!(due(&mut asking), [0]);
    }

    #[test]
    fn patience_follows_the_slowest_that_is_not_in_doubt_and_has_an_end() {
        let pace = |us, is_doubted| Pace { us, is_doubted };
        assert_eq!(patience_ms(&[pace(0, false), pace(9_000_000, true)]), 5);
        assert_eq!(patience_ms(&[pace(1_000, false), pace(10_000, false)]), 45);
        assert_eq!(patience_ms(&[pace(9_000_000, false)]), 200);
    }
}

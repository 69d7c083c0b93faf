//! The steps of one reading of one key.
//!
//! A majority that shows one same ballot, or nothing at all, is the answer: nothing newer can have been acknowledged. If they
//! differ, the newest may not be chosen yet, and whoever reads helps it before believing it.

use crate::tally::{Tally, Verdict};
use minor_protocol::{Refusal, Reply, StorageId, message::Shown, mutant};

/// What a majority showed.
#[derive(Clone, Debug)]
pub struct Get {
    tally: Tally,
    shown: Vec<(StorageId, Option<Shown>)>,
    refused: bool,
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing is there.
    Absent,
    /// This is there, and a majority holds it; these do, as far as was heard.
    Settled(Shown, Vec<StorageId>),
    /// The newest is of this epoch and may not be chosen: have it accepted, at its own ballot, then believe it.
    Help(Shown, Vec<StorageId>),
    /// The newest is of an older epoch, or somebody refused: only identity can tell.
    Unclear,
}

impl Get {
    /// A reading among this many members.
    pub fn of(members: usize) -> Self {
        Self { tally: Tally::of(members), shown: vec![], refused: false }
    }

    /// Hears one member's answer, or its silence.
    pub fn hear(&mut self, from: StorageId, heard: Option<Result<Reply, Refusal>>) -> Verdict {
        match heard {
            Some(Ok(Reply::Found { shown })) => {
                self.shown.push((from, shown));
                self.tally.aye();
            }
            other => {
                self.refused |= matches!(other, Some(Err(Refusal::Refused { .. })));
                self.tally.no();
            }
        }
        self.tally.verdict()
    }

    /// What a majority's answers in this epoch mean.
    pub fn decide(&self, epoch: u64) -> Seen {
        assert_eq!(self.tally.verdict(), Verdict::Reached, "decided without a majority");
        let ballot = |shown: &Option<Shown>| shown.as_ref().map(|s| s.ballot);
        let Some(newest) =
            self.shown.iter().filter_map(|(_, s)| s.as_ref()).max_by_key(|s| s.ballot)
        else {
            return Seen::Absent;
        };
        let holders: Vec<StorageId> = self
            .shown
            .iter()
            .filter(|(_, shown)| ballot(shown) == Some(newest.ballot))
            .map(|(storage, _)| *storage)
            .collect();
        // Of those that hold it, the one that showed the value says the most.
        let fullest = self
            .shown
            .iter()
            .filter_map(|(_, s)| s.as_ref())
            .filter(|s| s.ballot == newest.ballot)
            .max_by_key(|s| matches!(s.content, minor_protocol::message::ShownContent::Whole(_)));
        let newest = fullest.unwrap_or(newest).clone();
        if holders.len() == self.shown.len() || mutant::is("M7") {
            Seen::Settled(newest, holders)
        } else if (newest.ballot.epoch == epoch || mutant::is("M6")) && !self.refused {
            Seen::Help(newest, holders)
        } else {
            Seen::Unclear
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Ballot, Moment, message::ShownContent, record::Header};

    fn shown(epoch: u64, clock: u64) -> Option<Shown> {
        let ballot = Ballot { epoch, clock: Moment(clock), router: 1, seq: 0 };
        Some(Shown { ballot, content: ShownContent::Header(Header::default(), 0) })
    }

    fn get(first: Option<Shown>, second: Option<Shown>) -> Seen {
        let mut get = Get::of(3);
        for (n, shown) in [first, second].into_iter().enumerate() {
            get.hear(StorageId(n as u128), Some(Ok(Reply::Found { shown })));
        }
        get.decide(2)
    }

    #[test]
    fn one_same_ballot_at_a_majority_is_the_answer() {
        assert!(
            matches!(get(shown(1, 5), shown(1, 5)), Seen::Settled(_, holders) if holders.len() == 2)
        );
        assert_eq!(get(None, None), Seen::Absent);
    }

    /// M7: a read without help lets the next one see less.
    #[test]
    fn what_only_one_holds_is_helped_before_it_is_believed() {
        assert!(matches!(get(shown(2, 5), None), Seen::Help(..)));
        assert!(
            matches!(get(shown(2, 4), shown(2, 5)), Seen::Help(newest, _) if newest.ballot.clock == Moment(5))
        );
    }

    /// Rule 7.
    #[test]
    fn an_accept_of_an_older_epoch_is_never_sent_again() {
        assert_eq!(get(shown(1, 5), None), Seen::Unclear);
    }
}

//! The steps of one reading of one key.
//!
//! A majority that shows one same ballot, or nothing at all, is the answer: nothing newer can have been acknowledged. If they
//! differ, the newest may not be chosen yet, and whoever reads helps it before believing it.

use crate::{
    asking::Round,
    tally::{Tally, Verdict},
};
use minor_protocol::{
    Answer, Ballot, Refusal, Reply, StorageId,
    message::{Shown, ShownContent},
    mutant,
};

/// What a majority showed.
#[derive(Clone, Debug)]
pub struct Get {
    voters: usize,
    tally: Tally,
    shown: Vec<(StorageId, Option<Shown>)>,
    refused: bool,
}

fn ballot(shown: &Option<Shown>) -> Option<Ballot> {
    shown.as_ref().map(|shown| shown.ballot)
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
        Self { voters: members, tally: Tally::of(members), shown: vec![], refused: false }
    }

    /// Hears one member's answer, or its silence. While those heard differ, the others are worth hearing.
    pub fn hear(&mut self, from: StorageId, heard: Option<Answer>) -> Verdict {
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
        match self.tally.verdict() {
            Verdict::Reached if self.alike().is_none() && !self.tally.is_complete() => {
                Verdict::Pending
            }
            verdict => verdict,
        }
    }

    /// What a majority's answers in this epoch mean.
    pub fn decide(&self, epoch: u64) -> Seen {
        assert_eq!(self.tally.verdict(), Verdict::Reached, "decided without a majority");
        let newest = self.shown.iter().filter_map(|(_, shown)| ballot(shown)).max();
        // Those who show something newer than a majority does are not needed: it is not acknowledged.
        let believed = self.alike().unwrap_or(newest);
        let Some(believed) = believed else { return Seen::Absent };
        let holding = || self.shown.iter().filter(|(_, shown)| ballot(shown) == Some(believed));
        let holders = holding().map(|(storage, _)| *storage).collect();
        // Of those that hold it, the one that showed the value says the most.
        let shown = holding()
            .filter_map(|(_, shown)| shown.as_ref())
            .max_by_key(|shown| matches!(shown.content, ShownContent::Whole(_)))
            .expect("somebody showed what is believed")
            .clone();
        if self.alike().is_some() || mutant::is("M7") {
            Seen::Settled(shown, holders)
        } else if (believed.epoch == epoch || mutant::is("M6")) && !self.refused {
            Seen::Help(shown, holders)
        } else {
            Seen::Unclear
        }
    }

    /// Whether a majority has answered, so that the others need not be waited for for ever.
    pub fn may_be_decided(&self) -> bool {
        self.tally.verdict() == Verdict::Reached
    }

    /// What a majority of the members shows alike, if one does: a ballot, or nothing.
    fn alike(&self) -> Option<Option<Ballot>> {
        let majority = self.voters / 2 + 1;
        let count = |of| self.shown.iter().filter(|(_, shown)| ballot(shown) == of).count();
        self.shown.iter().map(|(_, shown)| ballot(shown)).find(|of| count(*of) >= majority)
    }
}

impl Round for Get {
    fn hear(&mut self, from: StorageId, heard: Option<Answer>) -> Verdict {
        self.hear(from, heard)
    }

    fn without_the_slow(&self) -> Verdict {
        self.tally.verdict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Moment, record::Header};

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
    fn who_differs_from_a_majority_is_not_believed() {
        for third in [shown(2, 9), shown(2, 3), None] {
            let mut get = Get::of(3);
            let mut hear = |n, shown| get.hear(StorageId(n), Some(Ok(Reply::Found { shown })));
            assert_eq!(hear(0, third.clone()), Verdict::Pending);
            assert_eq!(hear(1, shown(2, 5)), Verdict::Pending, "the third one is worth hearing");
            assert_eq!(hear(2, shown(2, 5)), Verdict::Reached);
            assert!(
                matches!(get.decide(2), Seen::Settled(seen, holders) if seen.ballot.clock == Moment(5) && holders.len() == 2)
            );
        }
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

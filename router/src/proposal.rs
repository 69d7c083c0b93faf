//! One try to have a decree chosen for one slot: single-decree Paxos, as a value that hears answers.

use crate::tally::{Tally, Verdict};
use minor_protocol::{Ballot, Decree, Refusal, Reply, RingArc};

/// The first half: who promised, and which vote they showed.
#[derive(Clone, Debug)]
pub struct Canvass {
    tally: Tally,
    voted: Option<(Ballot, Decree)>,
    /// A newer arc that somebody showed: the slot is decided already.
    pub newer: Option<RingArc>,
}

/// The second half: who voted.
#[derive(Clone, Debug)]
pub struct Poll {
    tally: Tally,
    /// A newer arc that somebody showed: the slot is decided already.
    pub newer: Option<RingArc>,
}

impl Canvass {
    /// A canvass among this many members.
    pub fn of(members: usize) -> Self {
        Self { tally: Tally::of(members), voted: None, newer: None }
    }

    /// Hears one member's answer, or its silence.
    pub fn hear(&mut self, heard: Option<Result<Reply, Refusal>>) -> Verdict {
        match heard {
            Some(Ok(Reply::DecreePromised { accepted })) => {
                if accepted.as_ref().map(|(b, _)| *b) > self.voted.as_ref().map(|(b, _)| *b) {
                    self.voted = accepted;
                }
                self.tally.aye();
            }
            other => {
                note_newer(other, &mut self.newer);
                self.tally.no();
            }
        }
        self.tally.verdict()
    }

    /// The decree to put to the vote: one that may have been chosen already, or else one's own, if any.
    pub fn decree(&self, own: Option<&Decree>) -> Option<Decree> {
        assert_eq!(self.tally.verdict(), Verdict::Reached, "decided without a majority");
        self.voted.as_ref().map(|(_, decree)| decree).or(own).cloned()
    }
}

impl Poll {
    /// A poll among this many members.
    pub fn of(members: usize) -> Self {
        Self { tally: Tally::of(members), newer: None }
    }

    /// Hears one member's answer, or its silence.
    pub fn hear(&mut self, heard: Option<Result<Reply, Refusal>>) -> Verdict {
        match heard {
            Some(Ok(Reply::DecreeAccepted)) => self.tally.aye(),
            other => {
                note_newer(other, &mut self.newer);
                self.tally.no();
            }
        }
        self.tally.verdict()
    }
}

/// Keeps the newest arc that a no has told of.
fn note_newer(heard: Option<Result<Reply, Refusal>>, newer: &mut Option<RingArc>) {
    if let Some(Err(Refusal::Stale { arc })) = heard
        && newer.as_ref().is_none_or(|newer| newer.epoch < arc.epoch)
    {
        *newer = Some(*arc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::Moment;

    fn ballot(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 1, seq: 0 }
    }

    fn promised(voted: Option<(Ballot, Decree)>) -> Option<Result<Reply, Refusal>> {
        Some(Ok(Reply::DecreePromised { accepted: voted }))
    }

    #[test]
    fn a_decree_that_may_be_chosen_is_carried_through() {
        let own = Decree::Filled;
        let (low, high) = (Decree::Copies { wanted: 1 }, Decree::Copies { wanted: 5 });
        let mut canvass = Canvass::of(5);
        assert_eq!(canvass.hear(promised(Some((ballot(9), high.clone())))), Verdict::Pending);
        assert_eq!(canvass.hear(promised(Some((ballot(5), low)))), Verdict::Pending);
        assert_eq!(canvass.hear(promised(None)), Verdict::Reached);
        assert_eq!(canvass.decree(Some(&own)), Some(high));
        let mut free = Canvass::of(1);
        free.hear(promised(None));
        assert_eq!(free.decree(Some(&own)), Some(own));
    }

    #[test]
    fn silence_is_no_vote() {
        let mut poll = Poll::of(3);
        assert_eq!(poll.hear(None), Verdict::Pending);
        assert_eq!(poll.hear(Some(Ok(Reply::DecreeAccepted))), Verdict::Pending);
        assert_eq!(
            poll.hear(Some(Err(Refusal::Refused { highest: ballot(4) }))),
            Verdict::OutOfReach
        );
    }
}

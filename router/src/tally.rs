//! Counting answers: more than half of the members decide, and the rest need not be waited for.

/// What the count has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too few have answered to tell.
    Pending,
    /// More than half said yes.
    Reached,
    /// So many said no, or nothing, that the others are no majority any more.
    OutOfReach,
}

/// The count of one vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    voters: usize,
    ayes: usize,
    noes: usize,
}

impl Tally {
    /// A vote among this many.
    pub fn of(voters: usize) -> Self {
        assert!(voters > 0, "a vote needs voters");
        Self { voters, ayes: 0, noes: 0 }
    }

    /// One said yes.
    pub fn aye(&mut self) {
        self.ayes += 1;
        assert!(self.ayes + self.noes <= self.voters, "a storage voted twice: {self:?}");
    }

    /// One said no, or nothing.
    pub fn no(&mut self) {
        self.noes += 1;
        assert!(self.ayes + self.noes <= self.voters, "a storage voted twice: {self:?}");
    }

    /// Whether all have been heard.
    pub fn is_complete(self) -> bool {
        self.ayes + self.noes == self.voters
    }

    /// What it has come to.
    pub fn verdict(self) -> Verdict {
        let majority = self.voters / 2 + 1;
        if self.ayes >= majority {
            Verdict::Reached
        } else if self.voters - self.noes < majority {
            Verdict::OutOfReach
        } else {
            Verdict::Pending
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every order of votes among up to seven, against counting what could still come.
    #[test]
    fn the_verdict_falls_as_soon_as_the_rest_cannot_change_it() {
        for voters in 1..=7_usize {
            for votes in 0..(1_u32 << voters) {
                let mut tally = Tally::of(voters);
                for voter in 0..voters {
                    let rest = voters - voter;
                    let expected = match (2 * tally.ayes > voters, 2 * (tally.ayes + rest) > voters)
                    {
                        (true, _) => Verdict::Reached,
                        (false, true) => Verdict::Pending,
                        (false, false) => Verdict::OutOfReach,
                    };
                    assert_eq!(tally.verdict(), expected);
                    if votes & (1 << voter) == 0 { tally.no() } else { tally.aye() }
                }
                assert_ne!(tally.verdict(), Verdict::Pending);
            }
        }
    }

    #[test]
    #[should_panic(expected = "voted twice")]
    fn nobody_votes_twice() {
        let mut tally = Tally::of(1);
        tally.aye();
        tally.aye();
    }
}

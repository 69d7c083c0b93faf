//! The steps of one change of one key, decided without doing anything.
//!
//! ```text
//!   prepare ──majority──▶ decide ──▶ answer at once             nothing to change, and what was seen is surely chosen
//!      ▲                     ├─────▶ accept ──majority──▶ answer
//!      └── higher ballot ────┴── more is needed: the value, or another round
//! ```
//!
//! A change lives over many rounds, each in one epoch with a ballot of its own. Its id is the ballot of its first round, and
//! stays, so a storage that applied it already says so.

use crate::{
    asking::Round,
    tally::{Tally, Verdict},
};
use minor_protocol::{
    Answer, Ballot, Effect, Operation, Reply, State, StorageId,
    message::{Outcome, Shown, ShownContent},
    mutant,
    record::Header,
};

/// A change over all its rounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// What is asked.
    pub operation: Operation,
    /// The ballot of its first round.
    pub id: Ballot,
    /// Whether an accept of it went out in an earlier round and may have been taken by somebody.
    pub may_be_applied: bool,
}

/// What a majority promised, and showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepare {
    tally: Tally,
    shown: Vec<(StorageId, Option<Shown>)>,
    /// Up to which ballot dead records were dropped by anybody who was heard.
    swept: Ballot,
}

/// What to do once a majority has promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Answer now: nothing changed, and what all counted hold is surely chosen.
    Answer(Outcome, Header),
    /// Have this accepted by a majority, then answer.
    Accept(Outcome, State),
    /// Nothing changes, but what was seen has to be accepted anew and its bytes are not here: another round, with values.
    NeedValue,
}

impl Prepare {
    /// A round among this many members.
    pub fn of(members: usize) -> Self {
        Self { tally: Tally::of(members), shown: vec![], swept: Ballot::ZERO }
    }

    /// Hears one member's answer, or its silence.
    pub fn hear(&mut self, from: StorageId, heard: Option<Answer>) -> Verdict {
        match heard {
            Some(Ok(Reply::Promised { shown, swept })) => {
                self.swept = self.swept.max(swept);
                self.shown.push((from, shown));
                self.tally.aye();
            }
            _ => self.tally.no(),
        }
        self.tally.verdict()
    }

    /// The record of the highest ballot; none if nobody showed one.
    fn newest(&self) -> Option<&Shown> {
        self.shown.iter().filter_map(|(_, shown)| shown.as_ref()).max_by_key(|shown| shown.ballot)
    }

    /// Whether all who were counted showed one same ballot, or all nothing.
    fn is_uniform(&self) -> bool {
        let ballot = |shown: &Option<Shown>| shown.as_ref().map(|s| s.ballot);
        self.shown.windows(2).all(|pair| ballot(&pair[0].1) == ballot(&pair[1].1))
    }

    /// Who showed exactly this ballot: to them the state need not travel again.
    pub fn holders(&self, ballot: Ballot) -> Vec<StorageId> {
        let held =
            self.shown.iter().filter(|(_, s)| s.as_ref().is_some_and(|s| s.ballot == ballot));
        held.map(|(storage, _)| *storage).collect()
    }

    /// The ballot of the newest record that was shown.
    pub fn newest_ballot(&self) -> Option<Ballot> {
        self.newest().map(|shown| shown.ballot)
    }

    /// The header of the newest record that was shown.
    pub fn newest_header(&self) -> Option<&Header> {
        self.newest().map(|shown| shown.content.header())
    }

    /// What a majority's promises mean for the change. `now_ms` matters for expiry alone.
    pub fn decide(&self, change: &Change, now_ms: u64) -> Decision {
        assert_eq!(self.tally.verdict(), Verdict::Reached, "decided without a majority");
        let newest = self.newest();
        let absent = Header::absent(self.swept);
        let found = newest.map_or(&absent, |shown| shown.content.header());
        if change.may_be_applied && !found.remembers(change.id) && found.forgot >= change.id {
            // So much has happened since that nobody can tell whether an earlier round was applied and overwritten.
            return Decision::Answer(Outcome::Unknown, found.clone());
        }
        let outcome = match change.operation.clone().apply(found, change.id, now_ms) {
            Effect::Changed(state) => return Decision::Accept(Outcome::Done, state),
            Effect::AlreadyDone => Outcome::Done,
            Effect::Kept => Outcome::Kept,
            Effect::NotMet => Outcome::NotMet,
        };
        // What was seen may be an unchosen branch that vanishes, unless a whole majority holds it. And what this change sent
        // out itself in an earlier round could still win, if nothing is put above it; its own id in `recent` shows that it
        // has won.
        let own_is_out = change.may_be_applied && outcome != Outcome::Done;
        if (self.is_uniform() || mutant::is("M9")) && !own_is_out {
            return Decision::Answer(outcome, found.clone());
        }
        match newest.map(|shown| &shown.content) {
            None => Decision::Accept(outcome, State { header: absent, value: vec![] }),
            Some(ShownContent::Whole(state)) => Decision::Accept(outcome, state.clone()),
            Some(ShownContent::Header(header, 0)) => {
                Decision::Accept(outcome, State { header: header.clone(), value: vec![] })
            }
            Some(ShownContent::Header(..)) => Decision::NeedValue,
        }
    }

    /// Whether the newest record is an object's, and was not shown whole.
    pub fn shows_part_of_an_object(&self) -> bool {
        let newest = self.newest().map(|shown| &shown.content);
        matches!(newest, Some(ShownContent::Header(header, 1..)) if header.is_object())
    }

    /// The state of the newest record, if it was shown whole.
    pub fn newest_state(&self) -> Option<State> {
        match self.newest().map(|shown| &shown.content) {
            None => Some(State { header: Header::absent(self.swept), value: vec![] }),
            Some(ShownContent::Whole(state)) => Some(state.clone()),
            Some(ShownContent::Header(..)) => None,
        }
    }
}

/// The arc whose members are to accept: the one whose members promised, whatever was heard of since. (Rule 2; the mutant takes
/// the newest.)
pub fn arc_for_accept<A>(promised: A, newest: Option<A>) -> A {
    if mutant::is("M2") { newest.unwrap_or(promised) } else { promised }
}

impl Round for Prepare {
    fn hear(&mut self, from: StorageId, heard: Option<Answer>) -> Verdict {
        self.hear(from, heard)
    }

    fn without_the_slow(&self) -> Verdict {
        self.tally.verdict()
    }
}

/// The count of a majority's accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    tally: Tally,
}

impl Accept {
    /// A vote among this many members.
    pub fn of(members: usize) -> Self {
        Self { tally: Tally::of(members) }
    }

    /// Hears one member's answer, or its silence.
    pub fn hear(&mut self, heard: Option<Answer>) -> Verdict {
        match heard {
            Some(Ok(Reply::Accepted)) => self.tally.aye(),
            _ => self.tally.no(),
        }
        self.tally.verdict()
    }
}

impl Round for Accept {
    fn hear(&mut self, _: StorageId, heard: Option<Answer>) -> Verdict {
        self.hear(heard)
    }

    fn without_the_slow(&self) -> Verdict {
        self.tally.verdict()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Expect, Moment, Wish, record::Content};

    fn ballot(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 1, seq: 0 }
    }

    fn set(expect: Expect) -> Operation {
        let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: vec![7] };
        Operation { expect, wish }
    }

    fn change(operation: Operation, id: u64) -> Change {
        Change { operation, id: ballot(id), may_be_applied: false }
    }

    fn holding(at: u64, recent: &[u64]) -> Option<Shown> {
        let content = Some(Content::default());
        let recent = recent.iter().map(|id| ballot(*id)).collect();
        let header = Header { recent, forgot: Ballot::ZERO, content };
        Some(Shown { ballot: ballot(at), content: ShownContent::Header(header, 4) })
    }

    /// A round of three in which the first two promise and show this.
    fn promised(shown: [Option<Shown>; 2]) -> Prepare {
        let mut prepare = Prepare::of(3);
        for (n, shown) in shown.into_iter().enumerate() {
            let swept = ballot(n as u64);
            prepare.hear(StorageId(n as u128), Some(Ok(Reply::Promised { shown, swept })));
        }
        prepare
    }

    #[test]
    fn the_newest_ballot_of_a_majority_is_built_on() {
        let round = promised([holding(5, &[5]), holding(9, &[5, 9])]);
        let Decision::Accept(Outcome::Done, state) =
            round.decide(&change(set(Expect::Anything), 20), 0)
        else {
            panic!("a blind set changes");
        };
        assert_eq!(state.header.recent, [ballot(5), ballot(9), ballot(20)]);
    }

    #[test]
    fn an_absent_key_forgets_up_to_the_last_that_anybody_dropped() {
        let Decision::Accept(_, state) =
            promised([None, None]).decide(&change(set(Expect::Absent), 20), 0)
        else {
            panic!("a set of an absent key changes");
        };
        assert_eq!(state.header.forgot, ballot(1));
    }

    /// Rule 5.
    #[test]
    fn what_only_some_hold_is_accepted_before_it_is_believed() {
        let not_met = change(set(Expect::Absent), 20);
        let sure = promised([holding(9, &[9]), holding(9, &[9])]);
        assert!(matches!(sure.decide(&not_met, 0), Decision::Answer(Outcome::NotMet, _)));
        let mixed = promised([holding(9, &[9]), None]);
        assert_eq!(mixed.decide(&not_met, 0), Decision::NeedValue);
        let older = promised([holding(5, &[5]), holding(9, &[9])]);
        assert_eq!(older.decide(&not_met, 0), Decision::NeedValue);
    }

    /// Rule 5: an accept of its own may still be under way, and must not win after "not met" was answered.
    #[test]
    fn who_sent_an_accept_before_does_not_answer_from_what_it_sees() {
        let retried = Change { may_be_applied: true, ..change(set(Expect::Absent), 3) };
        let sure = promised([holding(9, &[9]), holding(9, &[9])]);
        assert_eq!(sure.decide(&retried, 0), Decision::NeedValue);
    }

    /// Rule 8.
    #[test]
    fn a_change_that_was_applied_is_not_applied_again() {
        let retried = Change { may_be_applied: true, ..change(set(Expect::Absent), 9) };
        let sure = promised([holding(12, &[9, 12]), holding(12, &[9, 12])]);
        assert!(matches!(sure.decide(&retried, 0), Decision::Answer(Outcome::Done, _)));
        let mut forgetful = promised([None, None]);
        forgetful.swept = ballot(10);
        assert!(matches!(forgetful.decide(&retried, 0), Decision::Answer(Outcome::Unknown, _)));
    }
}

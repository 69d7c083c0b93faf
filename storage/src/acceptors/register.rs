//! A storage's vote on one key: it promises, it accepts, it never takes either back.
//!
//! ```text
//!   prepare(b)      b above all that stands here    -> promise b, show what is accepted
//!   accept(b, s)    b at or above all that stands   -> keep (b, s)
//!   change(b, op)   both at once, for an arc of one member
//!   copy(b, s)      only while being filled         -> keep (b, s) if newer, whatever was promised
//!   drop(b)         still exactly b, and dead       -> remove it and raise the floor to b
//! ```
//!
//! What stands in a ballot's way is always a ballot, and the refusal names the highest, so that one step brings the router
//! above all of it. Promises live in memory; [`Standing::past`] is what lets them: after a restart, everything that could
//! have been promised before it is refused.

use minor_protocol::{
    Ballot, Effect, Moment, Operation, Refusal, StorageId,
    message::Outcome,
    mutant,
    record::{Header, State},
};

/// All that stands in a ballot's way at one key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// The floor of the arc: at or below it nothing is taken.
    pub floor: Ballot,
    /// The ceiling found at the start: up to it, promises may have been made and forgotten.
    pub past: Moment,
    /// How far the storage promises: a little ahead of its own clock.
    pub ahead: Moment,
    /// The highest ballot promised since the start.
    pub promised: Ballot,
    /// The ballot of the record; zero when there is none.
    pub accepted: Ballot,
}

/// What an accepted vote asks to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vote {
    /// Keep the state at this ballot, durably, before answering.
    Keep,
    /// It is kept already: answer when what is kept is durable.
    Already,
}

/// What comes of a one-step change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Keep this state at the ballot, durably, before answering.
    Keep(State),
    /// Nothing is to be written; the ballot is promised all the same.
    Unchanged(Outcome),
}

impl Standing {
    /// Whether the ballot may be voted for at all.
    fn admits(&self, ballot: Ballot) -> Result<(), Refusal> {
        if ballot.clock > self.ahead {
            return Err(Refusal::Ahead { limit_ms: self.ahead.ms() });
        }
        if ballot <= self.floor {
            return Err(self.refused(ballot));
        }
        if ballot.clock <= self.past {
            return Err(self.refused(ballot));
        }
        Ok(())
    }

    /// The refusal that brings its hearer above everything that stands here.
    fn refused(&self, ballot: Ballot) -> Refusal {
        let past = Ballot { clock: self.past, router: u64::MAX, seq: u32::MAX, ..ballot };
        let mut highest = self.floor.max(self.promised).max(self.accepted);
        if ballot.clock <= self.past {
            highest = highest.max(past);
        }
        Refusal::Refused { highest }
    }

    /// Promise `ballot`?
    pub fn prepare(&self, ballot: Ballot) -> Result<(), Refusal> {
        self.admits(ballot)?;
        if ballot > self.promised && ballot > self.accepted {
            Ok(())
        } else {
            Err(self.refused(ballot))
        }
    }

    /// Accept something at `ballot`?
    pub fn accept(&self, ballot: Ballot) -> Result<Vote, Refusal> {
        self.admits(ballot)?;
        if ballot < self.promised && !mutant::is("M5") || ballot < self.accepted {
            // Re-sent or not: a promise made since is a promise.
            return Err(self.refused(ballot));
        }
        // No two states carry one ballot, so this is the very same accept again.
        Ok(if ballot == self.accepted { Vote::Already } else { Vote::Keep })
    }

    /// Prepare, apply and accept `operation` in one step? Its caller has made sure that nobody else votes on the arc.
    pub fn change(
        &self,
        found: &Header,
        ballot: Ballot,
        id: Ballot,
        operation: Operation,
        now_ms: u64,
    ) -> Result<Changed, Refusal> {
        // Before any refusal: a message may come twice, and if the storage restarted between the two the second would be
        // refused, and its sender believe that nothing was done and do it again under another id.
        if found.remembers(id) {
            return Ok(Changed::Unchanged(Outcome::Done));
        }
        self.prepare(ballot)?;
        let tried_before = id < ballot;
        if tried_before && found.forgot >= id {
            return Ok(Changed::Unchanged(Outcome::Unknown));
        }
        Ok(match operation.apply(found, id, now_ms) {
            Effect::Changed(state) => Changed::Keep(state),
            Effect::AlreadyDone => Changed::Unchanged(Outcome::Done),
            Effect::Kept => Changed::Unchanged(Outcome::Kept),
            Effect::NotMet => Changed::Unchanged(Outcome::NotMet),
        })
    }

    /// Keep a settled record that fills this storage? Promises, ceiling and floor do not matter: what is copied was chosen.
    pub fn copy(
        &self,
        ballot: Ballot,
        me: StorageId,
        filling: Option<StorageId>,
    ) -> Result<Vote, Refusal> {
        if filling != Some(me) {
            return Err(Refusal::NotFilling);
        }
        Ok(if ballot > self.accepted { Vote::Keep } else { Vote::Already })
    }

    /// Remove a record that every member shows dead at `ballot`? Only if it is still exactly that.
    pub fn may_drop(&self, found: &Header, ballot: Ballot, now_ms: u64) -> bool {
        self.accepted == ballot && !found.is_alive(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Expect, Wish, record::Content};

    fn ballot(epoch: u64, ms: u64) -> Ballot {
        Ballot { epoch, clock: Moment::at_ms(ms), router: 7, seq: 0 }
    }

    fn standing() -> Standing {
        Standing { ahead: Moment::at_ms(1_000), floor: Ballot::first_of(1), ..Standing::default() }
    }

    fn refused_at(answer: Result<impl std::fmt::Debug, Refusal>) -> Ballot {
        match answer {
            Err(Refusal::Refused { highest }) => highest,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn set() -> Operation {
        let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: vec![1] };
        Operation { expect: Expect::Anything, wish }
    }

    #[test]
    fn a_promise_keeps_lower_ballots_out() {
        let promised = Standing { promised: ballot(1, 20), ..standing() };
        assert_eq!(refused_at(promised.prepare(ballot(1, 10))), ballot(1, 20));
        assert_eq!(refused_at(promised.prepare(ballot(1, 20))), ballot(1, 20));
        assert_eq!(promised.prepare(ballot(1, 21)), Ok(()));
    }

    #[test]
    fn what_is_accepted_keeps_lower_ballots_out_when_the_promise_is_forgotten() {
        let accepted = Standing { accepted: ballot(1, 20), ..standing() };
        assert_eq!(refused_at(accepted.prepare(ballot(1, 20))), ballot(1, 20));
        assert_eq!(refused_at(accepted.accept(ballot(1, 19))), ballot(1, 20));
    }

    /// Rule 6.
    #[test]
    fn an_accept_sent_again_does_not_slip_under_a_newer_promise() {
        let after = Standing { accepted: ballot(1, 10), promised: ballot(1, 20), ..standing() };
        assert_eq!(refused_at(after.accept(ballot(1, 10))), ballot(1, 20));
        let before = Standing { promised: ballot(1, 10), ..after };
        assert_eq!(before.accept(ballot(1, 10)), Ok(Vote::Already));
    }

    /// Rule 1.
    #[test]
    fn a_promise_of_an_older_epoch_holds_nobody_up() {
        let old = Standing { promised: ballot(1, 900), ..standing() };
        assert_eq!(old.prepare(ballot(2, 5)), Ok(()));
        assert_eq!(old.accept(ballot(2, 5)), Ok(Vote::Keep));
    }

    /// Rule 3.
    #[test]
    fn what_may_have_been_promised_before_the_restart_is_refused() {
        let restarted = Standing { past: Moment::at_ms(100), ..standing() };
        let highest = refused_at(restarted.accept(ballot(1, 100)));
        assert!(highest > ballot(1, 100) && highest.clock == restarted.past);
        assert_eq!(refused_at(restarted.prepare(ballot(1, 50))), highest);
        assert_eq!(restarted.prepare(ballot(1, 101)), Ok(()));
        // One refusal is enough to come above it, in every epoch.
        assert_eq!(refused_at(restarted.prepare(ballot(9, 50))).epoch, 9);
    }

    /// Rule 3.
    #[test]
    fn nothing_is_promised_far_ahead_of_the_storage_s_own_clock() {
        assert_eq!(standing().prepare(ballot(1, 1_001)), Err(Refusal::Ahead { limit_ms: 1_000 }));
        assert_eq!(standing().accept(ballot(1, 1_001)), Err(Refusal::Ahead { limit_ms: 1_000 }));
        assert_eq!(standing().prepare(ballot(1, 1_000)), Ok(()));
    }

    /// Rule 21.
    #[test]
    fn below_the_floor_nothing_is_ever_taken_again() {
        let swept = Standing { floor: ballot(1, 30), ..standing() };
        assert_eq!(refused_at(swept.prepare(ballot(1, 30))), ballot(1, 30));
        assert_eq!(refused_at(swept.accept(ballot(1, 29))), ballot(1, 30));
        assert_eq!(swept.prepare(ballot(1, 31)), Ok(()));
    }

    /// Rule 9.
    #[test]
    fn a_change_in_one_step_respects_floor_ceiling_and_promise() {
        let none = Header::default();
        let change = |s: Standing, b: Ballot| s.change(&none, b, b, set(), 0);
        for standing in [
            Standing { floor: ballot(1, 30), ..standing() },
            Standing { promised: ballot(1, 30), ..standing() },
            Standing { accepted: ballot(1, 30), ..standing() },
            Standing { past: Moment::at_ms(30), ..standing() },
        ] {
            refused_at(change(standing, ballot(1, 30)));
            assert!(matches!(change(standing, ballot(1, 31)), Ok(Changed::Keep(_))));
        }
    }

    /// Rule 8.
    #[test]
    fn a_retry_in_one_step_is_not_applied_twice() {
        let id = ballot(1, 10);
        let found = Header::default().with(id, None);
        let retry = |found: &Header| standing().change(found, ballot(1, 40), id, set(), 0);
        assert_eq!(retry(&found), Ok(Changed::Unchanged(Outcome::Done)));
        // So many others came since that nobody can tell.
        let forgotten = Header { forgot: ballot(1, 20), ..Header::default() };
        assert_eq!(retry(&forgotten), Ok(Changed::Unchanged(Outcome::Unknown)));
        // A first try cannot have been applied before, whatever was forgotten.
        let first = standing().change(&forgotten, id, id, set(), 0);
        assert!(matches!(first, Ok(Changed::Keep(_))));
    }

    /// Rule 17.
    #[test]
    fn a_copy_is_for_the_one_being_filled_and_never_replaces_a_newer_record() {
        let (me, other) = (StorageId(1), StorageId(2));
        let held = Standing { accepted: ballot(2, 5), ..standing() };
        assert_eq!(held.copy(ballot(2, 6), me, None), Err(Refusal::NotFilling));
        assert_eq!(held.copy(ballot(2, 6), me, Some(other)), Err(Refusal::NotFilling));
        assert_eq!(held.copy(ballot(2, 6), me, Some(me)), Ok(Vote::Keep));
        assert_eq!(held.copy(ballot(1, 900), me, Some(me)), Ok(Vote::Already));
    }

    /// Rule 17.
    #[test]
    fn promises_ceiling_and_floor_do_not_hold_up_a_copy() {
        let me = StorageId(1);
        let strict = Standing {
            floor: ballot(3, 0),
            past: Moment::at_ms(900),
            promised: ballot(3, 950),
            ..Standing::default()
        };
        assert_eq!(strict.copy(ballot(1, 5), me, Some(me)), Ok(Vote::Keep));
    }

    /// Rules 21 and 23.
    #[test]
    fn only_the_very_record_that_all_showed_dead_is_dropped() {
        let held = Standing { accepted: ballot(1, 5), ..standing() };
        let dead = Header::default();
        assert!(held.may_drop(&dead, ballot(1, 5), 0));
        assert!(!held.may_drop(&dead, ballot(1, 4), 0));
        assert!(!held.may_drop(&dead, ballot(1, 6), 0));
        let brief = Content { expires_ms: Some(50), ..Content::default() };
        let brief = Header { content: Some(brief), ..Header::default() };
        assert!(!held.may_drop(&brief, ballot(1, 5), 49));
        assert!(held.may_drop(&brief, ballot(1, 5), 50));
    }
}

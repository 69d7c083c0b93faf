//! A router's work on the one key, round by round: changing and reading it.

use super::{Round, Why};
use crate::model::{Scene, World, key, place};
use minor_protocol::{
    Ballot, Operation, Request, RingArc, State, Wish,
    message::{Outcome, Proposed, Show, Shown},
};
use sdht::change::{Change, Decision, arc_for_accept};

impl Scene {
    pub(super) fn try_change(
        &mut self,
        router: usize,
        before: Option<Change>,
        operation: Operation,
        why: Why,
    ) {
        let arc = match &why {
            Why::Renewing(step) => step.arc.clone(),
            Why::Asked | Why::Reading => self.known_arc(router),
        };
        let ballot = self.runners[router].ballot(arc.epoch);
        // A change that nobody can have applied yet is still at its first round.
        let change = before.filter(|change| change.may_be_applied).unwrap_or(Change {
            operation,
            id: ballot,
            may_be_applied: false,
        });
        let request = Request::Prepare { key: key(), ballot, show: Show::Whole };
        let members = arc.members.clone();
        self.ask(router, Round::Prepare { arc, ballot, change, why }, &members, request);
    }

    pub(super) fn decide(
        &mut self,

        router: usize,
        decision: Decision,
        arc: RingArc,
        ballot: Ballot,
        mut change: Change,
        why: Why,
    ) {
        match decision {
            Decision::NeedValue => unreachable!("all were asked for everything"),
            Decision::Answer(outcome, header) => {
                let state = State { header, value: vec![] };
                self.changed(router, change, outcome, &state, why);
            }
            Decision::Accept(outcome, state) => {
                let newest = self.runners[router].ring.arc_at(place()).cloned();
                let arc = arc_for_accept(&arc, newest.as_ref()).clone();
                change.may_be_applied = true;
                let request = accept(Ballot { epoch: arc.epoch, ..ballot }, state.clone());
                let members = arc.members.clone();
                let round = Round::Accept { arc, change, outcome, state, why };
                self.ask(router, round, &members, request);
            }
        }
    }

    /// A change has come to its end.
    pub(super) fn changed(
        &mut self,

        router: usize,
        change: Change,
        outcome: Outcome,
        state: &State,
        why: Why,
    ) {
        let since = self.runners[router].since;
        match why {
            Why::Asked => {
                if change.operation.wish == Wish::Delete && outcome != Outcome::Unknown {
                    self.judge.deleting = false;
                }
                self.judge.hear_change(since, change.id, outcome, &state.header);
                self.runners[router].answered += 1;
                self.rest(router);
            }
            Why::Reading => {
                self.judge.hear(since, Some(&state.header));
                self.runners[router].answered += 1;
                self.rest(router);
            }
            Why::Renewing(step) => self.propose(router, *step),
        }
    }

    /// A round came to nothing: another one, or it is given up.
    pub(super) fn again(&mut self, world: &World, router: usize, change: Change, why: Why) {
        if let Why::Reading = why {
            return self.read_again(router);
        }
        let is_over = match &why {
            Why::Renewing(step) => !self.known_arc(router).is_same_slot(&step.arc),
            _ => false,
        };
        if is_over || !self.may_try_again(router) {
            return match why {
                Why::Renewing(_) => self.not_yet(world, router),
                _ => self.rest(router),
            };
        }
        let operation = change.operation.clone();
        let before = (why == Why::Asked).then_some(change);
        self.try_change(router, before, operation, why);
    }

    pub(super) fn may_try_again(&mut self, router: usize) -> bool {
        let tries = &mut self.runners[router].tries;
        *tries = tries.saturating_sub(1);
        *tries > 0
    }

    pub(super) fn try_get(&mut self, router: usize) {
        let arc = self.known_arc(router);
        let request = Request::Read { key: key(), epoch: arc.epoch, show: Show::Whole };
        let members = arc.members.clone();
        self.ask(router, Round::Read { arc }, &members, request);
    }

    pub(super) fn read_again(&mut self, router: usize) {
        if self.may_try_again(router) { self.try_get(router) } else { self.rest(router) }
    }

    pub(super) fn identity(&mut self, router: usize) {
        self.try_change(router, None, Operation::IDENTITY, Why::Reading);
    }

    pub(super) fn answer_get(&mut self, router: usize, shown: Option<&Shown>) {
        let since = self.runners[router].since;
        self.judge.hear(since, shown.map(|shown| shown.content.header()));
        self.runners[router].answered += 1;
        self.rest(router);
    }
}

pub(super) fn accept(ballot: Ballot, state: State) -> Request {
    Request::Accept { key: key(), ballot, state: Proposed::State(state) }
}

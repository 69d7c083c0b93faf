//! A router's longer works, round by round: changing the ring, filling, sweeping.

use super::{Round, Runner, Task, Why, is_yes};
use crate::model::{Scene, World, key};
use minor_protocol::{
    Ballot, Decree, Operation, Reply, Request, RingArc, StorageId,
    limits::LIST_ROWS,
    message::{Dead, Show, ShownContent},
    record::Record,
};
use sdht::{
    plan::Step,
    proposal::Canvass,
    sync::{Chore, Listing, dead_everywhere, enough, settle},
    tally::{Tally, Verdict},
};

impl Runner {
    pub(super) fn canvassed(&self, arc: &RingArc) -> (Canvass, Verdict) {
        let mut round = Canvass::of(arc.members.len());
        let verdicts = self.answers().map(|(_, heard)| round.hear(heard));
        let verdict = verdicts.last().unwrap_or(Verdict::Pending);
        (round, verdict)
    }

    /// Rule 20: whether a majority of the members of each arc has adopted it.
    pub(super) fn spread(&self, next: &[RingArc]) -> Verdict {
        let verdict = |arc: &RingArc| {
            let mut count = Tally::of(arc.members.len());
            for (_, heard) in self.answers().filter(|(from, _)| arc.has(*from)) {
                if matches!(heard, Some(Ok(_))) { count.aye() } else { count.no() }
            }
            count.verdict()
        };
        let verdicts: Vec<Verdict> = next.iter().map(verdict).collect();
        if verdicts.iter().all(|v| *v == Verdict::Reached) {
            Verdict::Reached
        } else if verdicts.contains(&Verdict::OutOfReach) {
            Verdict::OutOfReach
        } else {
            Verdict::Pending
        }
    }

    fn listings(&self) -> Vec<Listing> {
        let listed = self.heard.iter().filter_map(|(from, heard)| match heard {
            Some(Ok(Reply::Listed { rows, more, swept })) => {
                let (from, rows) = (StorageId(*from as u128), rows.clone());
                Some(Listing { from, rows, more: *more, swept: *swept })
            }
            _ => None,
        });
        listed.collect()
    }

    /// Whether a sync may go on: a majority of the full members, and the one being filled, have listed.
    fn has_listed(&self, arc: &RingArc) -> bool {
        let heard = self.listings();
        let full = heard.iter().filter(|l| Some(l.from) != arc.filling).count();
        full >= enough(arc.full().count())
            && arc.filling.is_none_or(|filling| heard.iter().any(|l| l.from == filling))
    }

    /// Whether a sync has enough listings, or a reading enough answers, before all have come: the rest may be slow.
    pub(in crate::model) fn has_heard_enough(&self) -> bool {
        !self.waiting.is_empty()
            && match &self.round {
                Round::List { step } => self.has_listed(&step.arc),
                Round::Read { arc } => self.read(arc).0.may_be_decided(),
                _ => false,
            }
    }
}

impl Scene {
    /// Takes the next step of a plan, or has reached the goal.
    pub(super) fn reach(&mut self, world: &World, router: usize) {
        let Task::Reach(goal) = &world.tasks[router][self.runners[router].begun - 1] else {
            unreachable!("it changes the ring")
        };
        let goal = goal.clone();
        let planned = |scene: &Self| {
            let ring = &scene.runners[router].ring;
            ring.tiled().and_then(|arcs| goal.step(&arcs))
        };
        let step = planned(self).or_else(|| {
            self.look_round(router);
            planned(self)
        });
        let torn = self.runners[router].ring.torn().cloned();
        match (step, torn) {
            _ if !self.may_try_again(router) => self.rest(router),
            (Some(step), _) => self.take(router, step),
            // Where a part of what follows was taught, and whoever taught it is gone, the votes tell the rest.
            (None, Some(arc)) => self.canvass(router, arc, None),
            (None, None) => {
                self.runners[router].answered += 1;
                self.rest(router);
            }
        }
    }

    /// The arcs as the storages show them, all at once.
    fn look_round(&mut self, router: usize) {
        for keeper in &self.keepers {
            for arc in keeper.chart.seats().iter().map(|s| &s.arc) {
                self.runners[router].ring.learn(arc);
            }
            for arc in keeper.chart.notes().iter().map(|n| &n.arc) {
                self.runners[router].ring.learn(arc);
            }
        }
    }

    pub(super) fn not_yet(&mut self, world: &World, router: usize) {
        self.look_round(router);
        self.reach(world, router);
    }

    fn take(&mut self, router: usize, step: Step) {
        match &step.decree {
            Decree::Grow { member, .. } if step.needs_teaching() => {
                let learn = Request::Learn { arcs: vec![step.arc.clone()] };
                let member = member.clone();
                self.ask(router, Round::Teach { step }, &[member], learn);
            }
            _ => self.sync(router, step),
        }
    }

    fn sync(&mut self, router: usize, step: Step) {
        if !step.needs_sync() {
            return self.propose(router, step);
        }
        let (request, members) = (list(&step.arc), step.arc.members.clone());
        self.ask(router, Round::List { step }, &members, request);
    }

    pub(super) fn propose(&mut self, router: usize, step: Step) {
        self.canvass(router, step.arc, Some(step.decree));
    }

    fn canvass(&mut self, router: usize, arc: RingArc, own: Option<Decree>) {
        let ballot = self.runners[router].ballot(arc.epoch);
        let request = Request::PrepareDecree { arc: arc.clone(), ballot };
        let members = arc.members.clone();
        self.ask(router, Round::Canvass { arc, own, ballot }, &members, request);
    }

    /// The slot was decided by somebody, or something is in the way.
    fn undecided(&mut self, world: &World, router: usize, arc: &RingArc, newer: Option<RingArc>) {
        match newer {
            Some(newer) => self.teach(router, arc, vec![newer]),
            None => self.not_yet(world, router),
        }
    }

    fn teach(&mut self, router: usize, before: &RingArc, next: Vec<RingArc>) {
        let mut learners = before.members.clone();
        for member in next.iter().flat_map(|arc| &arc.members) {
            if !learners.contains(member) {
                learners.push(member.clone());
            }
        }
        let request = Request::Learn { arcs: next.clone() };
        self.ask(router, Round::Spread { next }, &learners, request);
    }

    pub(super) fn sweep(&mut self, router: usize) {
        let arc = self.known_arc(router);
        if arc.filling.is_some() {
            return self.rest(router);
        }
        let (request, members) = (list(&arc), arc.members.clone());
        self.ask(router, Round::Survey { arc }, &members, request);
    }

    pub(super) fn go_on_moving(&mut self, world: &World, router: usize, round: Round) {
        let first = self.runners[router].heard.first().cloned();
        match round {
            Round::Teach { step } => {
                if !is_yes(first.as_ref(), |reply| matches!(reply, Reply::Learned)) {
                    return self.not_yet(world, router);
                }
                let Decree::Grow { member, .. } = &step.decree else {
                    unreachable!("only a newcomer is taught")
                };
                let member = member.clone();
                self.ask(router, Round::Meet { step }, &[member], Request::Hello);
            }
            Round::Meet { step } => {
                let knows = |reply: &Reply| matches!(reply, Reply::Hello(hello) if hello.left.iter().any(|left| left.is_same_slot(&step.arc)));
                if is_yes(first.as_ref(), knows) {
                    self.sync(router, step);
                } else {
                    self.not_yet(world, router);
                }
            }
            Round::List { step } => self.settle(world, router, step),
            Round::PassOn { step, chore } => {
                if is_yes(first.as_ref(), |reply| matches!(reply, Reply::Copied)) {
                    self.do_chore(router, step, chore);
                } else {
                    self.not_yet(world, router);
                }
            }
            Round::Fetch { step, ballot } => self.fetched(router, step, ballot),
            Round::Copy { step } => {
                if is_yes(first.as_ref(), |reply| matches!(reply, Reply::Copied)) {
                    self.propose(router, step);
                } else {
                    self.not_yet(world, router);
                }
            }
            Round::Canvass { arc, own, ballot } => {
                let (canvass, verdict) = self.runners[router].canvassed(&arc);
                if verdict != Verdict::Reached {
                    return self.undecided(world, router, &arc, canvass.newer);
                }
                let Some(decree) = canvass.decree(own.as_ref()) else {
                    return self.not_yet(world, router);
                };
                let request =
                    Request::AcceptDecree { arc: arc.clone(), ballot, decree: decree.clone() };
                let members = arc.members.clone();
                self.ask(router, Round::Poll { arc, decree }, &members, request);
            }
            Round::Poll { arc, decree } => {
                let (poll, verdict) = self.runners[router].polled(&arc);
                if verdict != Verdict::Reached {
                    return self.undecided(world, router, &arc, poll.newer);
                }
                let Ok(next) = decree.next(&arc) else { return self.not_yet(world, router) };
                for arc in &next {
                    self.runners[router].ring.learn(arc);
                }
                self.teach(router, &arc, next);
            }
            Round::Spread { next } => match self.runners[router].spread(&next) {
                Verdict::Reached => self.reach(world, router),
                _ => self.not_yet(world, router),
            },
            Round::Survey { arc } => self.surveyed(router, &arc),
            Round::Drop => {
                self.runners[router].answered += 1;
                self.rest(router);
            }
            other => unreachable!("not a round of a longer work: {other:?}"),
        }
    }

    fn settle(&mut self, world: &World, router: usize, step: Step) {
        if !self.runners[router].has_listed(&step.arc) {
            return self.not_yet(world, router);
        }
        let listings = self.runners[router].listings();
        let chore = settle(&step.arc, &listings).chores.into_iter().next();
        let swept = listings.iter().map(|l| l.swept).max().unwrap_or(Ballot::ZERO);
        let filling = step.arc.filling.and_then(|filling| step.arc.member(filling)).cloned();
        match filling {
            Some(filling) if swept > Ballot::ZERO => {
                let request =
                    Request::Inherit { span: step.arc.span, epoch: step.arc.epoch, swept };
                self.ask(router, Round::PassOn { step, chore }, &[filling], request);
            }
            _ => self.do_chore(router, step, chore),
        }
    }

    fn do_chore(&mut self, router: usize, step: Step, chore: Option<Chore>) {
        match chore {
            None => self.propose(router, step),
            Some(Chore::Renew { .. }) => self.renew(router, step),
            Some(Chore::Copy { ballot, from, .. }) => {
                let holder = step.arc.member(from[0]).expect("a member showed it").clone();
                let request =
                    Request::Read { key: key(), epoch: step.arc.epoch, show: Show::Whole };
                self.ask(router, Round::Fetch { step, ballot }, &[holder], request);
            }
        }
    }

    fn renew(&mut self, router: usize, step: Step) {
        self.try_change(router, None, Operation::IDENTITY, Why::Renewing(Box::new(step)));
    }

    fn fetched(&mut self, router: usize, step: Step, ballot: Ballot) {
        let state = match self.runners[router].heard.first() {
            Some((_, Some(Ok(Reply::Found { shown: Some(shown) })))) if shown.ballot == ballot => {
                match &shown.content {
                    ShownContent::Whole(state) => Some(state.clone()),
                    ShownContent::Header(..) => None,
                }
            }
            _ => None,
        };
        let filling = step.arc.filling.and_then(|filling| step.arc.member(filling)).cloned();
        match (state, filling) {
            (Some(state), Some(filling)) => {
                let record = Record { ballot, state };
                let request = Request::Copy { key: key(), epoch: step.arc.epoch, record };
                self.ask(router, Round::Copy { step }, &[filling], request);
            }
            // It was changed since it was listed: then only identity can tell.
            (None, Some(_)) => self.renew(router, step),
            (_, None) => self.propose(router, step),
        }
    }

    fn surveyed(&mut self, router: usize, arc: &RingArc) {
        let listings = self.runners[router].listings();
        let dead: Option<Vec<Dead>> = dead_everywhere(arc, &listings, 0);
        match dead {
            Some(dead) if !dead.is_empty() => {
                let request = Request::Drop { epoch: arc.epoch, dead };
                self.ask(router, Round::Drop, &arc.members, request);
            }
            _ => self.rest(router),
        }
    }
}

/// What is listed of an arc: the whole of it, and in these worlds that is at most one key.
fn list(arc: &RingArc) -> Request {
    Request::List { span: arc.span, epoch: arc.epoch, after: None, limit: LIST_ROWS }
}

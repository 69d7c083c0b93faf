//! A router of the model: what it is at, and what comes next.
//!
//! A router's code awaits answers; here every awaiting is a round, and what is said between two rounds is one step. The
//! order of the steps is that of `register`, `moves` and `fill`; what the answers mean is asked of the same pure functions:
//!
//! ```text
//!   change     Prepare ─▶ Accept                              change::{Prepare, Accept}
//!   get        Read ─▶ (Help, or a change by identity)        get::Get
//!   sync       List ─▶ Fetch ─▶ Copy, or a renewal             sync::settle
//!   move       Teach ─▶ Meet ─▶ sync ─▶ Canvass ─▶ Poll ─▶ Spread     plan::Goal, proposal::{Canvass, Poll}
//!   sweep      Survey ─▶ Drop                                 sync::dead_everywhere
//! ```

mod asking;
mod moving;

use super::{Letter, Scene, World, judge::Since, place};
use asking::accept;
use minor_protocol::{
    Answer, Ballot, Decree, HybridClock, Member, Moment, Operation, Refusal, Reply, Request,
    RingArc, State, StorageId, Wish,
    message::{Outcome, Shown, ShownContent},
};
use sdht::{
    change::{Accept, Change, Prepare},
    get::{Get, Seen},
    plan::{Goal, Step},
    proposal::Poll,
    ring::RingMap,
    sync::Chore,
    tally::Verdict,
};
use std::sync::Arc;

/// What a router is to do.
#[derive(Clone, Debug, Hash)]
pub enum Task {
    /// Change the key.
    Change(Operation),
    /// Read the key.
    Get,
    /// Change the ring until it is so.
    Reach(Goal),
    /// Drop what is dead everywhere.
    Sweep,
}

/// On whose behalf the key is changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// A user asked for it.
    Asked,
    /// A reading did not find one same ballot.
    Reading,
    /// A sync found that nobody can tell, and this step waits for it.
    Renewing(Box<Step>),
}

/// What the answers of the present round are for.
#[expect(missing_docs, reason = "the fields repeat their types; what each round is for is said")]
#[derive(Clone, Debug, Hash)]
pub enum Round {
    /// For nothing: between two tasks.
    Rest,
    /// The first half of a change.
    Prepare { arc: RingArc, ballot: Ballot, change: Change, why: Why },
    /// The second half.
    Accept { arc: RingArc, change: Change, outcome: Outcome, state: State, why: Why },
    /// A reading.
    Read { arc: RingArc },
    /// The newest is helped to a majority before it is believed.
    Help { arc: RingArc, shown: Shown },
    /// A newcomer learns the present arc as an outsider.
    Teach { step: Step },
    /// And shows that it did.
    Meet { step: Step },
    /// What the members hold, for a sync.
    List { step: Step },
    /// The one being filled hears what the others dropped; then comes what the sync is to do.
    PassOn { step: Step, chore: Option<Chore> },
    /// The settled state, from one who holds it.
    Fetch { step: Step, ballot: Ballot },
    /// To the one being filled.
    Copy { step: Step },
    /// The first half of a decision.
    Canvass { arc: RingArc, own: Option<Decree>, ballot: Ballot },
    /// The second half.
    Poll { arc: RingArc, decree: Decree },
    /// What was decided is taught.
    Spread { next: Vec<RingArc> },
    /// What the members hold, for a sweep.
    Survey { arc: RingArc },
    /// The dead are dropped.
    Drop,
}

/// A router at one moment.
#[derive(Clone, Debug, Hash)]
pub struct Runner {
    name: u64,
    clock: Moment,
    ring: RingMap,
    /// How many of its tasks it has begun.
    begun: usize,
    /// How many of them ended with an answer.
    pub answered: u8,
    tries: u8,
    since: Since,
    round: Round,
    number: u8,
    waiting: Vec<usize>,
    heard: Vec<(usize, Option<Answer>)>,
}

impl Runner {
    /// A router that remembers these arcs and whose clock shows this moment.
    pub fn new(name: u64, clock: u64, arcs: &[RingArc]) -> Self {
        let mut ring = RingMap::default();
        for arc in arcs {
            ring.learn(arc);
        }
        Self {
            name,
            clock: Moment(clock),
            ring,
            begun: 0,
            answered: 0,
            tries: 0,
            since: Since::default(),
            round: Round::Rest,
            number: 0,
            waiting: vec![],
            heard: vec![],
        }
    }

    /// What it is at.
    pub fn round(&self) -> &Round {
        &self.round
    }

    /// Whether it has done all it was to do, or given it up.
    pub fn is_done(&self, tasks: &[Task]) -> bool {
        matches!(self.round, Round::Rest) && self.begun == tasks.len()
    }

    pub(super) fn may_begin(&self, tasks: &[Task]) -> bool {
        matches!(self.round, Round::Rest) && self.begun < tasks.len()
    }

    pub(super) fn awaits(&self, round: Option<u8>, from: usize) -> bool {
        round == Some(self.number) && self.waiting.contains(&from)
    }

    pub(super) fn waits_for(&self) -> impl Iterator<Item = usize> + '_ {
        self.waiting.iter().copied()
    }

    fn ballot(&mut self, epoch: u64) -> Ballot {
        self.clock = HybridClock::after(self.clock).tick(0);
        Ballot { epoch, clock: self.clock, router: self.name, seq: 0 }
    }

    /// Takes from an answer what it tells beside the answer itself; gives the arc to be taught to who lags.
    pub(super) fn take_in(&mut self, from: usize, heard: &Option<Answer>) -> Option<RingArc> {
        let Some(Err(refusal)) = heard else { return None };
        match refusal {
            Refusal::Refused { highest } => self.clock = self.clock.max(highest.clock),
            Refusal::Stale { arc } => {
                self.ring.learn(arc);
            }
            Refusal::Behind { .. } => {
                return self.asked_arc().filter(|arc| arc.has(StorageId(from as u128))).cloned();
            }
            _ => {}
        }
        None
    }

    /// The arc whose members the present round asks.
    fn asked_arc(&self) -> Option<&RingArc> {
        match &self.round {
            Round::Prepare { arc, .. }
            | Round::Accept { arc, .. }
            | Round::Read { arc }
            | Round::Help { arc, .. }
            | Round::Canvass { arc, .. }
            | Round::Poll { arc, .. }
            | Round::Survey { arc } => Some(arc),
            Round::List { step } | Round::PassOn { step, .. } | Round::Fetch { step, .. } => {
                Some(&step.arc)
            }
            _ => None,
        }
    }

    /// Hears one answer, and says whether the round is decided by it.
    pub(super) fn hear(&mut self, from: usize, heard: Option<Answer>) -> bool {
        self.waiting.retain(|waiting| *waiting != from);
        // In the order of the storages, whoever answered first: the verdict is the same, and so are the states.
        let at = self.heard.partition_point(|(other, _)| *other < from);
        self.heard.insert(at, (from, heard));
        self.waiting.is_empty() || self.verdict() != Verdict::Pending
    }

    fn answers(&self) -> impl Iterator<Item = (StorageId, Option<Answer>)> + '_ {
        self.heard.iter().map(|(from, heard)| (StorageId(*from as u128), heard.clone()))
    }

    fn prepared(&self, arc: &RingArc) -> (Prepare, Verdict) {
        let mut round = Prepare::of(arc.members.len());
        let verdicts = self.answers().map(|(from, heard)| round.hear(from, heard));
        let verdict = verdicts.last().unwrap_or(Verdict::Pending);
        (round, verdict)
    }

    fn accepted(&self, arc: &RingArc) -> Verdict {
        let mut round = Accept::of(arc.members.len());
        self.answers().map(|(_, heard)| round.hear(heard)).last().unwrap_or(Verdict::Pending)
    }

    fn read(&self, arc: &RingArc) -> (Get, Verdict) {
        let mut round = Get::of(arc.members.len());
        let verdicts = self.answers().map(|(from, heard)| round.hear(from, heard));
        let verdict = verdicts.last().unwrap_or(Verdict::Pending);
        (round, verdict)
    }

    fn polled(&self, arc: &RingArc) -> (Poll, Verdict) {
        let mut round = Poll::of(arc.members.len());
        let verdicts = self.answers().map(|(_, heard)| round.hear(heard));
        let verdict = verdicts.last().unwrap_or(Verdict::Pending);
        (round, verdict)
    }

    fn verdict(&self) -> Verdict {
        match &self.round {
            Round::Prepare { arc, .. } => self.prepared(arc).1,
            Round::Accept { arc, .. } | Round::Help { arc, .. } => self.accepted(arc),
            Round::Read { arc } => self.read(arc).1,
            Round::Canvass { arc, .. } => self.canvassed(arc).1,
            Round::Poll { arc, .. } => self.polled(arc).1,
            Round::Spread { next } => self.spread(next),
            // The others wait for all.
            _ => Verdict::Pending,
        }
    }
}

impl Scene {
    pub(super) fn begin(&mut self, world: &World, router: usize) {
        let since = self.judge.now();
        let runner = &mut self.runners[router];
        runner.since = since;
        runner.tries = world.tries[router];
        let task = &world.tasks[router][runner.begun];
        runner.begun += 1;
        match task {
            Task::Change(operation) => {
                self.judge.deleting |= operation.wish == Wish::Delete;
                self.try_change(router, None, operation.clone(), Why::Asked);
            }
            Task::Get => self.try_get(router),
            Task::Reach(_) => self.reach(world, router),
            Task::Sweep => self.sweep(router),
        }
    }

    /// What comes after a round that is decided.
    pub(super) fn go_on(&mut self, world: &World, router: usize) {
        let round = std::mem::replace(&mut self.runners[router].round, Round::Rest);
        match round {
            Round::Rest => unreachable!("nothing is heard at rest"),
            Round::Prepare { arc, ballot, change, why } => {
                let (prepared, verdict) = self.runners[router].prepared(&arc);
                match verdict {
                    Verdict::Reached => {
                        self.decide(router, prepared.decide(&change, 0), arc, ballot, change, why);
                    }
                    _ => self.again(world, router, change, why),
                }
            }
            Round::Accept { arc, change, outcome, state, why } => {
                match self.runners[router].accepted(&arc) {
                    Verdict::Reached => self.changed(router, change, outcome, &state, why),
                    _ => self.again(world, router, change, why),
                }
            }
            Round::Read { arc } => {
                let (read, _) = self.runners[router].read(&arc);
                let seen = read.may_be_decided().then(|| read.decide(arc.epoch));
                match seen {
                    None => self.read_again(router),
                    Some(Seen::Absent) => self.answer_get(router, None),
                    Some(Seen::Settled(shown, _)) => self.answer_get(router, Some(&shown)),
                    Some(Seen::Help(shown, _)) => {
                        let ShownContent::Whole(state) = shown.content.clone() else {
                            unreachable!("all were asked for everything")
                        };
                        let request = accept(shown.ballot, state);
                        self.ask(
                            router,
                            Round::Help { arc: arc.clone(), shown },
                            &arc.members,
                            request,
                        );
                    }
                    Some(Seen::Unclear) => self.identity(router),
                }
            }
            Round::Help { arc, shown } => match self.runners[router].accepted(&arc) {
                Verdict::Reached => self.answer_get(router, Some(&shown)),
                _ => self.identity(router),
            },
            moving => self.go_on_moving(world, router, moving),
        }
    }

    /// Asks these storages one same thing; what was asked before is waited for no more.
    fn ask(&mut self, router: usize, round: Round, to: &[Member], request: Request) {
        let request = Arc::new(request);
        let runner = &mut self.runners[router];
        runner.round = round;
        runner.number += 1;
        runner.heard.clear();
        runner.waiting = to.iter().map(|member| member.storage.0 as usize).collect();
        runner.waiting.sort_unstable();
        for to in runner.waiting.clone() {
            let round = Some(self.runners[router].number);
            self.send(Letter { from: router, round, to, request: request.clone() });
        }
    }

    fn rest(&mut self, router: usize) {
        let runner = &mut self.runners[router];
        runner.round = Round::Rest;
        runner.heard.clear();
        runner.waiting.clear();
        runner.since = Since::default();
        runner.tries = 0;
    }

    fn known_arc(&self, router: usize) -> RingArc {
        self.runners[router].ring.arc_at(place()).expect("it remembers an arc").clone()
    }
}

/// Whether an answer is this yes.
fn is_yes(answer: Option<&(usize, Option<Answer>)>, yes: impl Fn(&Reply) -> bool) -> bool {
    matches!(answer, Some((_, Some(Ok(reply)))) if yes(reply))
}

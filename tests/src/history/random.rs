//! Histories drawn by chance: of a real register, of one with a fault, and of none at all.

use super::{Answer, Event, Expect, History, Kind, Outcome, Seen, Stamp};
use crate::chance::Chance;
use minor_protocol::ballot::{Ballot, Moment};

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) processes: u64,
    pub(super) operations: usize,
    /// Deletions, blind or not.
    pub(super) deletes: bool,
    /// Conditions: none, or stamps and absence, or presence too.
    pub(super) conditions: Conditions,
    /// Of a thousand operations, so many lose their process, before or after they take effect.
    pub(super) lost: u64,
    /// What is wrong with the register, so many times in a thousand.
    pub(super) fault: Option<(Fault, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Conditions {
    None,
    /// A failed one tells what it found.
    Told,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A get shows what was there before the last change or an earlier one.
    StaleCache,
    /// A change is called done and not made.
    LostWrite,
}

/// A process's operation under way.
#[derive(Clone, Copy, Debug)]
struct Call {
    process: u64,
    kind: Kind,
    called: u64,
    stamp: Stamp,
    answer: Option<Answer>,
}

struct World {
    chance: Chance,
    mix: Mix,
    history: History,
    now: u64,
    /// All states there were, the present one last.
    states: Vec<Option<(Stamp, u64)>>,
    drawn: u64,
    /// Those whose process was lost before they took effect.
    adrift: Vec<Call>,
}

/// What chance makes of a register.
pub(super) fn history(seed: u64, mix: Mix) -> History {
    let chance = Chance::new(seed);
    let history = History::new(format!("k{seed}"));
    let mut world =
        World { chance, mix, history, now: 0, states: vec![None], drawn: 0, adrift: vec![] };
    let mut under_way: Vec<Option<Call>> = vec![None; mix.processes as usize];
    let mut begun = 0;
    while begun < mix.operations || under_way.iter().any(Option::is_some) {
        world.now += world.chance.below(3);
        if world.chance.chance(100) && !world.adrift.is_empty() {
            let at = world.chance.below(world.adrift.len() as u64) as usize;
            let late = world.adrift.swap_remove(at);
            world.apply(late);
        }
        let process = world.chance.below(mix.processes) as usize;
        under_way[process] = match under_way[process] {
            None if begun == mix.operations => None,
            None => {
                begun += 1;
                Some(world.call(process as u64))
            }
            Some(call) => world.go_on(call),
        };
    }
    world.history
}

impl World {
    fn call(&mut self, process: u64) -> Call {
        self.drawn += 1;
        // Drawn at the call by a clock of one's own: the order of stamps is not the order of changes.
        let clock = Moment(self.now + 100 * self.chance.below(3));
        let stamp = Stamp(Ballot { epoch: 1, clock, router: process, seq: self.drawn as u32 });
        let expect = self.expect();
        let kind = match self.chance.below(10) {
            0..5 => Kind::Get,
            5 | 6 if self.mix.deletes => Kind::Delete { expect },
            _ => Kind::Set { expect, value: self.drawn },
        };
        Call { process, kind, called: self.now, stamp, answer: None }
    }

    fn expect(&mut self) -> Expect {
        let recent =
            self.states.iter().rev().take(3).flatten().map(|(stamp, _)| Expect::Stamp(*stamp));
        let mut choices = vec![Expect::Anything];
        match self.mix.conditions {
            Conditions::None => {}
            Conditions::Told => choices.extend(recent.chain([Expect::Absent])),
            Conditions::All => choices.extend(recent.chain([Expect::Absent, Expect::Present])),
        }
        *self.chance.pick(&choices)
    }

    fn go_on(&mut self, call: Call) -> Option<Call> {
        let Call { process, kind, called, stamp, answer } = call;
        let known = self.chance.chance(500).then_some(stamp);
        let unknown = Event { process, kind, called, outcome: Outcome::Unknown { id: known } };
        if self.chance.chance(self.mix.lost) {
            self.history.push(unknown);
            if answer.is_none() && self.chance.chance(700) {
                self.adrift.push(call);
            }
            return None;
        }
        let Some(answer) = answer else {
            let answer = self.apply(call);
            return Some(Call { answer: Some(answer), ..call });
        };
        self.history.push(Event { outcome: Outcome::Answered { at: self.now, answer }, ..unknown });
        None
    }

    fn apply(&mut self, call: Call) -> Answer {
        let fault =
            self.mix.fault.filter(|(_, rate)| self.chance.chance(*rate)).map(|(fault, _)| fault);
        let state = self.states[self.states.len() - 1];
        let seen = |state: Option<(Stamp, u64)>| match state {
            None => Seen::Absent,
            Some((stamp, value)) => Seen::Value { stamp, value: Some(value) },
        };
        let (expect, made) = match call.kind {
            Kind::Get if fault == Some(Fault::StaleCache) => {
                let age = 1 + self.chance.below(3) as usize;
                return Answer::Seen(seen(self.states[self.states.len().saturating_sub(1 + age)]));
            }
            Kind::Get => return Answer::Seen(seen(state)),
            Kind::Set { expect, value } => (expect, Some((call.stamp, value))),
            Kind::Delete { expect } => (expect, None),
        };
        let met = match expect {
            Expect::Anything => true,
            Expect::Absent => state.is_none(),
            Expect::Present => state.is_some(),
            Expect::Stamp(wanted) => state.is_some_and(|(stamp, _)| stamp == wanted),
        };
        if !met {
            let told = self.mix.conditions == Conditions::Told || self.chance.chance(500);
            let bare = self.mix.conditions == Conditions::All && self.chance.chance(300);
            let seen = match seen(state) {
                Seen::Value { stamp, .. } if bare => Seen::Value { stamp, value: None },
                seen => seen,
            };
            return Answer::NotMet(told.then_some(seen));
        }
        if made.is_none() && state.is_none() {
            return Answer::Kept;
        }
        if fault != Some(Fault::LostWrite) {
            self.states.push(made);
        }
        Answer::Done(call.stamp)
    }
}

/// The same history with some answers and times changed: mostly no register's any more.
pub(super) fn garbled(history: &History, chance: &mut Chance, changes: u64) -> History {
    let mut events = history.events().to_vec();
    for _ in 0..changes {
        let other = *chance.pick(&events);
        let at = chance.below(events.len() as u64) as usize;
        let event = &mut events[at];
        match (&mut event.outcome, other.outcome) {
            (
                Outcome::Answered { answer: Answer::Seen(seen), .. },
                Outcome::Answered { answer: Answer::Seen(another), .. },
            ) => *seen = another,
            (Outcome::Answered { at, .. }, _) if chance.chance(500) => {
                *at = event.called + chance.below(6);
            }
            (Outcome::Answered { at, .. }, _) => {
                let long = *at - event.called;
                event.called = event.called.saturating_sub(chance.below(6));
                *at = event.called + long;
            }
            _ => {}
        }
    }
    History::of(history.key(), events)
}

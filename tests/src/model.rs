//! Small worlds explored to the last state: the same pure functions that storages and routers are made of, in every order in
//! which their messages can come.
//!
//! The simulation draws one fate after another and finds what is likely; this finds what is possible. It holds only the world:
//!
//! ```text
//!   keepers    what each storage holds       decided by  acceptors::{chart, register}
//!   runners    what each router is at        decided by  change, get, tally, proposal, plan, sync, ring
//!   flight     letters on their way          delivered in any order, late, or never
//!   judge      what was answered so far      and must never be taken back
//! ```
//!
//! A letter's delivery, the storage's step and the router's hearing of the answer are one step here. That leaves nothing out: an
//! answer that is under way for long is a silence and a late letter, in whatever order. A router may stop for ever at any
//! point, since nothing obliges it to go on. How many letters may come late, how many may go unheard, and how many storages may crash
//! is bounded by each world ([`Bounds`]), and within its bounds a world is explored whole.
//!
//! * [`keeper`]: a storage. * [`runner`]: a router's steps. * [`judge`]: what is asked of every state.
//! * [`worlds`]: the worlds, each with what must be seen in it at least once.
//!
//! Left out, and left to the simulation: several keys and pages, arcs of one member (one step, rule 9), accepts that name a
//! state instead of carrying it (rule 10), the walk, clearing as a step of its own, and what is not durable yet (M20).

pub mod judge;
pub mod keeper;
pub mod runner;
pub mod worlds;

use judge::Judge;
use keeper::Keeper;
use minor_protocol::{
    Answer, Key, Member, Position, Record, Request, RingArc, StorageId, message::Proposed,
};
use runner::{Runner, Task};
use stateright::{Model, Property};
use std::sync::{Arc, LazyLock};

/// How much may go wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Letters delivered after their router has gone on.
    pub late: u8,
    /// Letters whose answer a router gives up on.
    pub silent: u8,
    /// Storages that crash and start again.
    pub crashes: u8,
}

/// A condition on a state, as the explorer wants it.
pub type Condition = fn(&World, &Scene) -> bool;

/// A world to explore.
#[derive(Clone)]
pub struct World {
    /// How it begins.
    pub first: Scene,
    /// What each router is to do, one thing after another.
    pub tasks: Vec<Vec<Task>>,
    /// How often each router tries one task, or how many steps it takes of one change of the ring.
    pub tries: Vec<u8>,
    /// Only one router changes the ring, so in what order its decrees are voted on matters to nobody.
    pub one_mover: bool,
    /// What must be seen at least once, or the world shows nothing.
    pub sometimes: Vec<(&'static str, Condition)>,
    /// The rule that is switched off.
    pub off: Option<&'static str>,
}

/// A world at one moment.
#[derive(Clone, Debug, Hash)]
pub struct Scene {
    /// The storages; number n has id n.
    pub keepers: Vec<Keeper>,
    /// The routers.
    pub runners: Vec<Runner>,
    /// What is on its way.
    flight: Vec<Letter>,
    /// What may still go wrong.
    left: Bounds,
    /// What was answered.
    pub judge: Judge,
}

/// A request on its way.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Letter {
    /// From which router.
    from: usize,
    /// In which of its rounds; none when nobody waits for the answer.
    round: Option<u8>,
    /// To which storage.
    to: usize,
    request: Arc<Request>,
}

impl Letter {
    fn is_vote(&self) -> bool {
        matches!(*self.request, Request::PrepareDecree { .. } | Request::AcceptDecree { .. })
    }
}

/// One step of the world.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// A router begins its next task.
    Begin(usize),
    /// This letter arrives.
    Deliver(usize),
    /// A router gives up on a storage's answer.
    GiveUp(usize, usize),
    /// A router has heard enough and does not wait for the others.
    Enough(usize),
    /// A storage crashes and starts again.
    Crash(usize),
}

/// The one key of all worlds.
pub fn key() -> Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::new("key").expect("it is a key"));
    KEY.clone()
}

/// Where it lies.
pub fn place() -> Position {
    static PLACE: LazyLock<Position> = LazyLock::new(|| key().position());
    *PLACE
}

/// The storage of this number as an arc knows it.
pub fn member(number: u8) -> Member {
    let address = char::from(b'a' + number).to_string();
    Member { storage: StorageId(number.into()), address, zone: String::new() }
}

/// Keeps a rule switched off on this thread until it is dropped: the explorer's threads are not ours.
struct Off;

impl Off {
    fn switch(_mutant: Option<&'static str>) -> Self {
        #[cfg(debug_assertions)]
        minor_protocol::mutant::switch(_mutant);
        Self
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        #[cfg(debug_assertions)]
        minor_protocol::mutant::switch(None);
    }
}

impl Model for World {
    type State = Scene;
    type Action = Deed;

    fn init_states(&self) -> Vec<Scene> {
        vec![self.first.clone()]
    }

    fn actions(&self, scene: &Scene, deeds: &mut Vec<Deed>) {
        for (number, runner) in scene.runners.iter().enumerate() {
            if runner.may_begin(&self.tasks[number]) {
                deeds.push(Deed::Begin(number));
            }
            if runner.has_heard_enough() {
                deeds.push(Deed::Enough(number));
            }
            if scene.left.silent > 0 {
                deeds.extend(runner.waits_for().map(|to| Deed::GiveUp(number, to)));
            }
        }
        let comes = |letter: &Letter| {
            if scene.is_awaited(letter) && self.one_mover && letter.is_vote() {
                return scene.runners[letter.from].waits_for().next() == Some(letter.to);
            }
            letter.round.is_none() || scene.is_awaited(letter) || scene.left.late > 0
        };
        let letters = scene.flight.iter().enumerate().filter(|(_, letter)| comes(letter));
        deeds.extend(letters.map(|(number, _)| Deed::Deliver(number)));
        if scene.left.crashes > 0 {
            deeds.extend((0..scene.keepers.len()).map(Deed::Crash));
        }
    }

    fn next_state(&self, scene: &Scene, deed: Deed) -> Option<Scene> {
        let _off = Off::switch(self.off);
        let mut scene = scene.clone();
        match deed {
            Deed::Begin(router) => scene.begin(self, router),
            Deed::Deliver(letter) => scene.deliver(self, letter),
            Deed::GiveUp(router, to) => {
                scene.left.silent -= 1;
                scene.hear(self, router, to, None);
            }
            Deed::Enough(router) => scene.go_on(self, router),
            Deed::Crash(storage) => {
                scene.left.crashes -= 1;
                scene.keepers[storage].crash();
                if scene.left.crashes == 0 {
                    scene.keepers.iter_mut().for_each(Keeper::crashes_no_more);
                }
            }
        }
        scene.tidy();
        Some(scene)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let always = [
            (
                "every answer is true",
                (|w, s| under(w, || judge::every_answer_is_true(s))) as Condition,
            ),
            ("nothing answered is lost", |w, s| under(w, || judge::nothing_answered_is_lost(s))),
            ("no storage goes back", |w, s| under(w, || judge::no_storage_goes_back(s))),
            ("one decree a slot", |w, s| under(w, || judge::one_decree_a_slot(s))),
            ("one state a ballot", |w, s| under(w, || judge::one_state_a_ballot(s))),
        ];
        let always = always.into_iter().map(|(name, holds)| Property::always(name, holds));
        let sometimes = self.sometimes.iter().map(|(name, seen)| Property::sometimes(name, *seen));
        always.chain(sometimes).collect()
    }
}

/// Looks at a state with the rules of its world.
fn under(world: &World, look: impl FnOnce() -> bool) -> bool {
    let _off = Off::switch(world.off);
    look()
}

impl Scene {
    /// A beginning at which nothing is under way.
    pub fn new(keepers: Vec<Keeper>, runners: Vec<Runner>, left: Bounds, judge: Judge) -> Self {
        Self { keepers, runners, flight: vec![], left, judge }
    }

    /// With these arcs still on their way to this storage: they were decided, and whoever decided them told others only.
    pub fn teaching(mut self, to: usize, arcs: &[RingArc]) -> Self {
        let request = Arc::new(Request::Learn { arcs: arcs.to_vec() });
        self.send(Letter { from: 0, round: None, to, request });
        self
    }

    /// With an accept of long ago still on its way to this storage.
    pub fn with_old_accept(mut self, to: usize, record: Record) -> Self {
        let Record { ballot, state } = record;
        let request = Request::Accept { key: key(), ballot, state: Proposed::State(state) };
        self.send(Letter { from: 0, round: Some(u8::MAX), to, request: Arc::new(request) });
        self
    }

    fn is_awaited(&self, letter: &Letter) -> bool {
        letter.round.is_some() && self.runners[letter.from].awaits(letter.round, letter.to)
    }

    fn deliver(&mut self, world: &World, number: usize) {
        let letter = self.flight.remove(number);
        let awaited = self.is_awaited(&letter);
        let answer = self.keepers[letter.to].answer(&letter.request, self.left.crashes > 0);
        if awaited {
            self.hear(world, letter.from, letter.to, Some(answer));
        } else if letter.round.is_some() {
            self.left.late -= 1;
        }
    }

    /// A router hears an answer, or a silence, and goes on as soon as that decides its round.
    fn hear(&mut self, world: &World, router: usize, from: usize, heard: Option<Answer>) {
        if let Some(arc) = self.runners[router].take_in(from, &heard) {
            let request = Arc::new(Request::Learn { arcs: vec![arc] });
            self.send(Letter { from: router, round: None, to: from, request });
        }
        if self.runners[router].hear(from, heard) {
            self.go_on(world, router);
        }
    }

    fn send(&mut self, letter: Letter) {
        if !self.flight.contains(&letter) {
            self.flight.push(letter);
        }
    }

    /// What can make no difference any more is forgotten, so that states that are alike are one state.
    fn tidy(&mut self) {
        let runners = &self.runners;
        let late = self.left.late;
        let mut flight = std::mem::take(&mut self.flight);
        for letter in &mut flight {
            let awaited = runners[letter.from].awaits(letter.round, letter.to);
            if !awaited && matches!(*letter.request, Request::Learn { .. }) {
                // What was decided is told sooner or later, and nobody waits for the answer.
                letter.round = None;
            }
        }
        flight.retain(|letter| {
            let awaited = runners[letter.from].awaits(letter.round, letter.to);
            // A late promise keeps others out and does nothing else; what only reads does nothing at all.
            let matters = matches!(
                *letter.request,
                Request::Accept { .. }
                    | Request::Copy { .. }
                    | Request::Drop { .. }
                    | Request::AcceptDecree { .. }
            );
            awaited || letter.round.is_none() || late > 0 && matters
        });
        // A lesson that a storage has had, or has gone beyond, teaches it nothing.
        let keepers = &self.keepers;
        flight.retain(|letter| match &*letter.request {
            Request::Learn { .. } if letter.round.is_none() => {
                keepers[letter.to].would_learn(&letter.request)
            }
            _ => true,
        });
        flight.sort_by_key(|letter| (letter.to, letter.from, letter.round));
        self.flight = flight;
    }
}

//! Users, operators and accidents, drawn from a seed; and what is asked of the run when it is over.
//!
//! ```text
//!   a ring is built ─▶ storm: users, ring changes and accidents side by side ─▶ calm: everybody is up again
//!                                                                              ─▶ one repair ─▶ judgement
//! ```

use super::{
    invariants::{Invariants, at_rest},
    world::{Faults, SimulatedTransport, World},
};
use crate::history::{Answer, Event, Expect, History, Kind, Outcome, Seen, Stamp, stamps, wgl};
use minor_protocol::{Key, Operation, RingId, State, StorageId, Wish, message::PlainRecords};
use sdht::{
    error::NotChanged,
    register::Changed,
    router::{Patience, Router},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};
use tokio::{
    task::{JoinHandle, LocalSet, spawn_local},
    time::{Duration, sleep},
};

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Storages there are.
    pub storages: usize,
    /// Copies wanted.
    pub copies: u8,
    /// How many of the storages are in the ring when the storm begins.
    pub joined: usize,
    /// Users, each with a router of its own.
    pub users: usize,
    /// Keys they quarrel over.
    pub keys: u64,
    /// Operations of each user.
    pub operations: usize,
    /// Operators, each changing the ring with a router of its own.
    pub operators: usize,
    /// What goes wrong with messages during the storm.
    pub faults: Faults,
    /// Accidents of storages and routers during the storm.
    pub accidents: u64,
    /// What users ask, drawn from these.
    pub deeds: [Deed; 10],
    /// What operators wish, drawn from these.
    pub wishes: [ToDo; 10],
    /// What befalls storages, drawn from these.
    pub mishaps: [Mishap; 4],
    /// The longest time between two accidents, and that a storage is down.
    pub down_ms: u64,
    /// The longest time a user, and an operator, rests between two deeds.
    pub rest_ms: (u64, u64),
    /// How far the routers' clocks are apart.
    pub skew_ms: u64,
    /// When everything must have come to an end.
    pub within_s: u64,
}

/// What a user asks of a key.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// Its value.
    Get,
    /// To set it.
    Set,
    /// To set it if it is absent.
    SetAbsent,
    /// To set it if it is as last seen.
    SetSeen,
    /// To delete it.
    Delete,
}

/// What an operator wishes.
#[derive(Clone, Copy, Debug)]
pub enum ToDo {
    /// A storage joins.
    Join,
    /// A storage leaves.
    Leave,
    /// Another number of copies.
    Copies,
    /// The dead are swept.
    Sweep,
    /// Everything is mended.
    Repair,
}

/// What befalls a storage.
#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    /// The power is cut.
    Crash,
    /// It stands still for a while.
    Pause,
    /// Its disk is full.
    Full,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Operations that were answered.
    pub answered: u64,
    /// Operations nobody knows the outcome of.
    pub unknown: u64,
    /// How often each kind of thing happened.
    pub counted: BTreeMap<&'static str, u64>,
    /// The digest of all that happened.
    pub trace: u64,
}

impl Report {
    /// Adds another run's figures.
    pub fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.unknown += other.unknown;
        for (what, n) in &other.counted {
            *self.counted.entry(what).or_default() += n;
        }
    }
}

impl Scenario {
    /// A scenario of middling size, all of it drawn from the seed.
    pub fn drawn(seed: u64) -> Self {
        let mut chance = crate::chance::Chance::new(seed ^ 0x5eed);
        let storages = 3 + chance.below(4) as usize;
        let copies = *chance.pick(&[1, 2, 3, 3, 3, 5]);
        Self {
            seed,
            storages,
            copies,
            joined: 1 + chance.below(storages as u64) as usize,
            users: 2 + chance.below(2) as usize,
            keys: 1 + chance.below(4),
            operations: 40 + chance.below(40) as usize,
            operators: chance.below(3) as usize,
            faults: Faults {
                lost: *chance.pick(&[0, 10, 50, 150]),
                late: *chance.pick(&[0, 10, 50]),
                late_ms: 2_000,
                doubled: *chance.pick(&[0, 20, 100]),
                slow: 0,
            },
            accidents: chance.below(6),
            deeds: {
                use Deed::*;
                [Get, Get, Get, Get, Set, Set, Set, SetAbsent, SetSeen, Delete]
            },
            wishes: {
                use ToDo::*;
                [Join, Join, Join, Join, Leave, Leave, Leave, Copies, Sweep, Repair]
            },
            mishaps: [Mishap::Crash, Mishap::Crash, Mishap::Pause, Mishap::Full],
            down_ms: 1_500,
            rest_ms: (60, 500),
            skew_ms: 0,
            within_s: 3_600,
        }
    }

    /// Runs it; the words say what went wrong.
    pub fn run(self) -> Result<Report, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|why| format!("no runtime: {why}"))?;
        let local = LocalSet::new();
        let run = async move {
            let run = Run::new(self);
            let world = Rc::clone(&run.world);
            let end =
                match tokio::time::timeout(Duration::from_secs(self.within_s), run.all()).await {
                    Ok(end) => end,
                    Err(_) => Err(format!("I7: nothing came to an end within {} s", self.within_s)),
                };
            end.map_err(|why| format!("{why}\n{}", world.describe()))
        };
        let end = runtime.block_on(local.run_until(run));
        end.map_err(|why| {
            format!(
                "{why}\n  replay: SEED={} cargo test -p sdht-tests --test simulation",
                self.seed
            )
        })
    }
}

/// One run on its way.
struct Run {
    scenario: Scenario,
    world: Rc<World>,
    histories: Rc<RefCell<Vec<History>>>,
    next_value: Rc<Cell<u64>>,
    report: Rc<RefCell<Report>>,
    wrong: Rc<RefCell<Option<String>>>,
}

type SimulatedRouter = Router<SimulatedTransport>;

impl Run {
    fn new(scenario: Scenario) -> Self {
        let world = World::new(scenario.seed, scenario.storages);
        let histories = (0..scenario.keys).map(|n| History::new(key(n).as_str())).collect();
        Self {
            scenario,
            world,
            histories: Rc::new(RefCell::new(histories)),
            next_value: Rc::default(),
            report: Rc::default(),
            wrong: Rc::default(),
        }
    }

    fn router(&self, patience: Patience) -> (SimulatedRouter, Rc<Cell<bool>>) {
        let seeds = (0..self.world.hosts()).map(|host| self.world.address(host)).collect();
        let skew_ms = self.scenario.skew_ms;
        let transport =
            self.world.transport(if skew_ms > 0 { self.world.below(skew_ms) } else { 0 });
        let switch = transport.kill_switch();
        (Router::new(transport, seeds, patience), switch)
    }

    async fn all(self) -> Result<Report, String> {
        let founder = self.router(Patience { operation_ms: 5_000, step_ms: 60_000 }).0;
        founder
            .found(
                &self.world.address(0),
                RingId(u128::from(self.scenario.seed)),
                self.scenario.copies,
            )
            .await
            .map_err(|why| format!("founding: {why}"))?;
        for host in 1..self.scenario.joined {
            self.world.tend();
            founder
                .join(&self.world.address(host), None, PlainRecords::Refuse, &mut |_| {})
                .await
                .map_err(|why| format!("joining storage {host}: {why}"))?;
        }

        self.world.set_faults(self.scenario.faults);
        let watch = self.watch();
        let users: Vec<_> = (0..self.scenario.users).map(|n| self.user(n as u64)).collect();
        let operators: Vec<_> = (0..self.scenario.operators).map(|_| self.operator()).collect();
        let accidents = self.accidents();
        for user in users {
            user.await.map_err(|why| format!("a user fell over: {why}"))?;
        }
        accidents.await.map_err(|why| format!("the accidents fell over: {why}"))?;
        operators.iter().for_each(JoinHandle::abort);

        // Calm: everybody is up, every message comes.
        self.world.set_faults(Faults::default());
        for host in 0..self.world.hosts() {
            self.world.start(host);
            self.world.set_room(host, minor_storage::store::Room::Enough);
        }
        sleep(Duration::from_secs(10)).await;
        let mender = self.router(Patience { operation_ms: 20_000, step_ms: 120_000 }).0;
        mender
            .repair(&mut |_| {})
            .await
            .map_err(|why| format!("I7: the repair did not end: {why}"))?;
        sleep(Duration::from_secs(5)).await;
        watch.abort();
        if let Some(wrong) = self.wrong.borrow_mut().take() {
            return Err(wrong);
        }
        // Whoever was silent when arcs were taught is taught now by those who need it.
        for n in 0..self.scenario.keys {
            self.read_once(&mender, n).await?;
        }
        let arcs =
            mender.walk().await.map_err(|why| format!("I7: the walk does not close: {why}"))?.arcs;
        mender.repair(&mut |_| {}).await.map_err(|why| format!("I7: the second repair: {why}"))?;
        sleep(Duration::from_secs(5)).await;
        self.world.tend();
        at_rest(&self.world, &arcs)?;
        self.judge()
    }

    fn judge(&self) -> Result<Report, String> {
        for history in self.histories.borrow().iter() {
            stamps(history).map_err(|why| format!("I8: {why}"))?;
            if history.events().len() <= 50 {
                wgl(history).map_err(|why| format!("I8: {why}"))?;
            }
        }
        let mut report = self.report.borrow().clone();
        report.counted = self.world.counted();
        report.trace = self.world.trace();
        Ok(report)
    }

    /// Looks at the invariants all the time.
    fn watch(&self) -> JoinHandle<()> {
        let (world, wrong) = (Rc::clone(&self.world), Rc::clone(&self.wrong));
        spawn_local(async move {
            let mut invariants = Invariants::default();
            loop {
                if let Err(why) = invariants.check(&world) {
                    wrong.borrow_mut().get_or_insert(why);
                }
                world.tend();
                sleep(Duration::from_millis(7)).await;
            }
        })
    }

    fn user(&self, process: u64) -> JoinHandle<()> {
        let router = self.router(Patience { operation_ms: 3_000, step_ms: 10_000 }).0;
        let (world, histories) = (Rc::clone(&self.world), Rc::clone(&self.histories));
        let (next_value, report) = (Rc::clone(&self.next_value), Rc::clone(&self.report));
        let scenario = self.scenario;
        spawn_local(async move {
            let mut last: BTreeMap<u64, Stamp> = BTreeMap::new();
            for _ in 0..scenario.operations {
                let n = world.below(scenario.keys);
                let value = next_value.get();
                let kind = match scenario.deeds[world.below(10) as usize] {
                    Deed::Get => Kind::Get,
                    Deed::Set => Kind::Set { expect: Expect::Anything, value },
                    Deed::SetAbsent => Kind::Set { expect: Expect::Absent, value },
                    Deed::SetSeen => match last.get(&n) {
                        Some(stamp) => Kind::Set { expect: Expect::Stamp(*stamp), value },
                        None => Kind::Set { expect: Expect::Present, value },
                    },
                    Deed::Delete => Kind::Delete { expect: Expect::Anything },
                };
                if matches!(kind, Kind::Set { .. }) {
                    next_value.set(value + 1);
                }
                let called = world.elapsed_us();
                let outcome = operate(&router, &world, &key(n), kind).await;
                match outcome {
                    Some(outcome) => {
                        match outcome {
                            Outcome::Answered { answer, .. } => {
                                report.borrow_mut().answered += 1;
                                if let Answer::Done(stamp)
                                | Answer::Seen(Seen::Value { stamp, .. }) = answer
                                {
                                    last.insert(n, stamp);
                                }
                            }
                            Outcome::Unknown { .. } => report.borrow_mut().unknown += 1,
                        }
                        let event = Event { process, kind, called, outcome };
                        histories.borrow_mut()[n as usize].push(event);
                    }
                    None => world.count("an operation was refused"),
                }
                sleep(Duration::from_millis(world.below(scenario.rest_ms.0))).await;
            }
        })
    }

    /// Somebody who changes the ring, and now and then dies in the middle of it.
    fn operator(&self) -> JoinHandle<()> {
        let seeds = Self { ..self.clone_parts() };
        let world = Rc::clone(&self.world);
        spawn_local(async move {
            loop {
                let (router, switch) =
                    seeds.router(Patience { operation_ms: 3_000, step_ms: 5_000 });
                let host = world.below(world.hosts() as u64) as usize;
                let address = world.address(host);
                let id = StorageId(host as u128 + 1);
                let wish = seeds.scenario.wishes[world.below(10) as usize];
                let copies = [1, 2, 3, 3, 5][world.below(5) as usize];
                let w = Rc::clone(&world);
                let changing = spawn_local(async move {
                    let mut tell = |progress| {
                        if let sdht::moves::Progress::Agreed(_, decree) = progress {
                            w.count(agreed(&decree));
                        }
                    };
                    let end = match wish {
                        ToDo::Join => {
                            router.join(&address, None, PlainRecords::Refuse, &mut tell).await
                        }
                        ToDo::Leave => router.leave(id, &mut tell).await,
                        ToDo::Copies => router.set_copies(copies, &mut tell).await,
                        ToDo::Sweep => match router.walk().await {
                            Ok(walked) => {
                                for arc in walked.arcs {
                                    if router.sweep(&arc).await.is_ok_and(|swept| swept > 0) {
                                        w.count("dead records were swept");
                                    }
                                }
                                Ok(())
                            }
                            Err(_) => Ok(()),
                        },
                        ToDo::Repair => router.repair(&mut tell).await,
                    };
                    w.count(if end.is_ok() {
                        "a ring change ended"
                    } else {
                        "a ring change gave up"
                    });
                });
                if world.chance(300) {
                    sleep(Duration::from_millis(world.below(1_500))).await;
                    if !changing.is_finished() {
                        switch.set(true);
                        changing.abort();
                        world.count("a router died while it changed the ring");
                    }
                } else {
                    let _ = changing.await;
                }
                sleep(Duration::from_millis(world.below(seeds.scenario.rest_ms.1))).await;
            }
        })
    }

    fn clone_parts(&self) -> Self {
        Self {
            scenario: self.scenario,
            world: Rc::clone(&self.world),
            histories: Rc::clone(&self.histories),
            next_value: Rc::clone(&self.next_value),
            report: Rc::clone(&self.report),
            wrong: Rc::clone(&self.wrong),
        }
    }

    /// One host after another has an accident, and is well again after a while.
    fn accidents(&self) -> JoinHandle<()> {
        let (world, scenario) = (Rc::clone(&self.world), self.scenario);
        spawn_local(async move {
            for _ in 0..scenario.accidents {
                let a_while = || sleep(Duration::from_millis(world.below(scenario.down_ms)));
                a_while().await;
                let host = world.below(world.hosts() as u64) as usize;
                match scenario.mishaps[world.below(4) as usize] {
                    Mishap::Crash => {
                        world.crash(host);
                        a_while().await;
                        world.start(host);
                    }
                    Mishap::Pause => world.pause(host, world.below(2 * scenario.down_ms)),
                    Mishap::Full => {
                        world.set_room(host, minor_storage::store::Room::Low);
                        a_while().await;
                        world.set_room(host, minor_storage::store::Room::Enough);
                    }
                }
            }
        })
    }

    /// At the end everything can be read.
    async fn read_once(&self, router: &SimulatedRouter, n: u64) -> Result<(), String> {
        let called = self.world.elapsed_us();
        match operate(router, &self.world, &key(n), Kind::Get).await {
            Some(outcome) => {
                let event = Event { process: u64::MAX, kind: Kind::Get, called, outcome };
                self.histories.borrow_mut()[n as usize].push(event);
                Ok(())
            }
            None => Err(format!("I7: key '{}' cannot be read when all is calm", key(n))),
        }
    }
}

fn agreed(decree: &minor_protocol::Decree) -> &'static str {
    use minor_protocol::Decree;
    match decree {
        Decree::Grow { .. } => "agreed: grow",
        Decree::Shrink { .. } => "agreed: shrink",
        Decree::Filled => "agreed: filled",
        Decree::Split { .. } => "agreed: split",
        Decree::Seal { .. } => "agreed: seal",
        Decree::Absorb { .. } => "agreed: absorb",
        Decree::Reopen => "agreed: reopen",
        Decree::Copies { .. } => "agreed: copies",
        Decree::Lead { .. } => "agreed: lead",
        Decree::Readdress { .. } => "agreed: readdress",
    }
}

fn key(n: u64) -> Key {
    Key::new(format!("key {n}")).expect("it is short")
}

/// Asks one thing; none if it was refused and surely not done.
async fn operate(
    router: &SimulatedRouter,
    world: &World,
    key: &Key,
    kind: Kind,
) -> Option<Outcome> {
    let set = |value: u64| Wish::Set {
        content_type: String::new(),
        expires_ms: None,
        value: value.to_be_bytes().to_vec(),
    };
    let answered = |answer| Some(Outcome::Answered { at: world.elapsed_us(), answer });
    let operation = match kind {
        Kind::Get => {
            let state = router.get(key).await.ok()?;
            return answered(Answer::Seen(state.map_or(Seen::Absent, seen)));
        }
        Kind::Set { expect, value } => Operation { expect, wish: set(value) },
        Kind::Delete { expect } => Operation { expect, wish: Wish::Delete },
    };
    match router.change(key, operation).await {
        Ok(Changed::Done(stamp)) => answered(Answer::Done(stamp)),
        Ok(Changed::Kept) => answered(Answer::Kept),
        Ok(Changed::NotMet(stamp)) => {
            let seen = stamp.map_or(Seen::Absent, |stamp| Seen::Value { stamp, value: None });
            answered(Answer::NotMet(Some(seen)))
        }
        Err(NotChanged::Unknown { .. }) => Some(Outcome::Unknown { id: None }),
        Err(_) => None,
    }
}

fn seen(state: State) -> Seen {
    let stamp = state.header.stamp().expect("what was set has a stamp");
    let value = state.value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    Seen::Value { stamp, value }
}

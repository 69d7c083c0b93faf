//! Users, operators and accidents, drawn from a seed; and what is asked of the run when it is over.
//!
//! ```text
//!   a ring is built ─▶ storm: users, ring changes and accidents side by side ─▶ calm: everybody is up again
//!                                                                              ─▶ one repair ─▶ judgement
//! ```

use super::{
    invariants::{at_rest, watch},
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

pub(super) mod actors;

use actors::key;

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
    /// Somebody who lists all keys, again and again, with a router of his own.
    pub listers: usize,
    /// Keepers, each with a router of its own. In a storm they call a storage dead after two seconds.
    pub keepers: usize,
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
    /// Histories that were judged.
    pub histories: u64,
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
        self.histories += other.histories;
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
            listers: chance.below(2) as usize,
            keepers: 0,
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
        let runtime = super::paused_time().map_err(|why| format!("no runtime: {why}"))?;
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
#[derive(Clone)]
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

        if self.scenario.listers > 0 {
            self.set_what_stays(&founder).await?;
        }
        self.world.set_faults(self.scenario.faults);
        let watching = watch(&self.world, Duration::from_millis(7), &self.wrong);
        let users: Vec<_> = (0..self.scenario.users).map(|n| self.user(n as u64)).collect();
        let operators: Vec<_> = (0..self.scenario.operators).map(|_| self.operator()).collect();
        let listers: Vec<_> = (0..self.scenario.listers).map(|_| self.lister()).collect();
        let keepers: Vec<_> = (0..self.scenario.keepers).map(|_| self.keeper()).collect();
        let accidents = self.accidents();
        for user in users {
            user.await.map_err(|why| format!("a user fell over: {why}"))?;
        }
        accidents.await.map_err(|why| format!("the accidents fell over: {why}"))?;
        operators.iter().chain(&listers).chain(&keepers).for_each(JoinHandle::abort);

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
        watching.abort();
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
        report.histories = self.histories.borrow().len() as u64;
        report.counted = self.world.counted();
        report.trace = self.world.trace();
        Ok(report)
    }
}

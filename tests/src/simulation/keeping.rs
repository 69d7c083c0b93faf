//! Rings that are left to two keepers, while users read and write, and what befalls them.
//!
//! ```text
//!   a ring of 4 to 6, two keepers, two users ─▶ one misfortune, drawn with its length from the seed ─▶ time passes
//!                                                  ─▶ who is in the ring now? are all copies there? ─▶ judgement
//! ```
//!
//! Nobody repairs anything by hand. Whatever has to be mended, the keepers mend, or the run fails.

use super::{
    invariants::watch,
    scenario::actors::{done, key, operate},
    world::{Faults, SimulatedTransport, World},
};
use crate::history::{Event, Expect, History, Kind, Outcome, stamps};
use minor_protocol::{RingArc, RingId, StorageId, message::PlainRecords};
use sdht::{
    keeper::{Deed, Keeper, Kind as Duty, Settings},
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

/// When a keeper calls a storage dead in these runs.
const DEAD_AFTER_MS: u64 = 6_000;
/// Keys that users quarrel over.
const KEYS: u64 = 8;
/// Users.
const USERS: u64 = 2;
/// How long they hurry, from the beginning of a run; later they rest longer.
const BUSY_MS: u64 = 60_000;

/// What befalls a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfortune {
    /// Every fifth message is lost, and some come late or twice.
    Loss,
    /// A storage stands still, for less than makes it dead.
    ShortPause,
    /// A storage stands still for long, and wakes.
    LongPause,
    /// A storage is gone, and comes back much later.
    Death,
    /// A storage is gone, and back before it is dead.
    Restart,
    /// All storages are gone at once, for long, and come back.
    Blackout,
    /// One of the keepers does not reach a storage that everybody else reaches.
    CutFromOne,
    /// One of the keepers reaches one storage only.
    CutFromMost,
    /// A storage is gone, and in the midst of the mending a keeper too.
    TwoDeaths,
    /// An operator brings a storage in and lets another go.
    Operator,
    /// A storage comes back with another disk: it knows nothing of the ring, and nobody there knows it.
    Replaced,
}

impl Misfortune {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Loss,
        Self::ShortPause,
        Self::LongPause,
        Self::Death,
        Self::Restart,
        Self::Blackout,
        Self::CutFromOne,
        Self::CutFromMost,
        Self::TwoDeaths,
        Self::Operator,
        Self::Replaced,
    ];

    /// Whether it costs a storage its place,
    fn takes(self) -> bool {
        matches!(self, Self::LongPause | Self::Death | Self::TwoDeaths) || self.brings()
    }

    /// and whether another one gets a place.
    fn brings(self) -> bool {
        matches!(self, Self::Operator | Self::Replaced)
    }
}

/// One run's figures.
pub type Counted = BTreeMap<&'static str, u64>;

/// Runs this misfortune with this seed; the words say what went wrong.
pub fn keep(misfortune: Misfortune, seed: u64) -> Result<Counted, String> {
    let runtime = super::paused_time().map_err(|why| format!("no runtime: {why}"))?;
    let run = async move {
        let run = Run::new(seed);
        let world = Rc::clone(&run.world);
        let log = Rc::clone(&run.log);
        run.all(misfortune).await.map_err(|why| {
            format!("{misfortune:?}, seed {seed}: {why}\n{}\n{}", log.borrow(), world.describe())
        })
    };
    runtime.block_on(LocalSet::new().run_until(run))
}

struct Run {
    world: Rc<World>,
    storages: usize,
    histories: Rc<RefCell<Vec<History>>>,
    next_value: Rc<Cell<u64>>,
    wrong: Rc<RefCell<Option<String>>>,
    /// What the keepers said.
    log: Rc<RefCell<String>>,
}

/// A keeper, and what can be done to it.
struct Keeping {
    task: JoinHandle<()>,
    cut: Rc<RefCell<Vec<String>>>,
    switch: Rc<Cell<bool>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let storages = 4 + (seed % 3) as usize;
        let histories = (0..KEYS).map(|n| History::new(key(n).as_str())).collect();
        Self {
            // One more, for who may want to join.
            world: World::new(seed ^ 0x0ee9_e400, storages + 1),
            storages,
            histories: Rc::new(RefCell::new(histories)),
            next_value: Rc::default(),
            wrong: Rc::default(),
            log: Rc::default(),
        }
    }

    fn router(&self) -> (Router<SimulatedTransport>, SimulatedTransport) {
        let transport = self.world.transport(0);
        let seeds = (0..self.storages).map(|host| self.world.address(host)).collect();
        let patience = Patience { operation_ms: 5_000, step_ms: 10_000 };
        (Router::new(transport.clone(), seeds, patience), transport)
    }

    async fn all(self, misfortune: Misfortune) -> Result<Counted, String> {
        let founder = self.router().0;
        let founded = founder.found(&self.world.address(0), RingId(7), 3).await;
        founded.map_err(|why| format!("founding: {why}"))?;
        for host in 1..self.storages {
            self.world.tend();
            let address = self.world.address(host);
            let joined = founder.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await;
            joined.map_err(|why| format!("joining: {why}"))?;
        }
        let watching = watch(&self.world, Duration::from_millis(40), &self.wrong);
        let keepers = [self.keeper(1), self.keeper(2)];
        let users: Vec<_> = (0..USERS).map(|process| self.user(process)).collect();
        sleep(Duration::from_millis(self.world.below(4_000))).await;

        let host = self.world.below(self.storages as u64) as usize;
        self.befall(misfortune, host, &keepers, &founder).await?;

        // Levelling takes two looks and a rest between them.
        sleep(Duration::from_secs(60)).await;
        users.iter().for_each(JoinHandle::abort);
        sleep(Duration::from_secs(60)).await;
        self.judge(misfortune, host, &founder).await?;
        keepers.iter().for_each(|keeper| keeper.task.abort());
        watching.abort();
        match self.wrong.borrow_mut().take() {
            Some(wrong) => Err(wrong),
            None => Ok(self.world.counted()),
        }
    }

    async fn befall(
        &self,
        misfortune: Misfortune,
        host: usize,
        keepers: &[Keeping; 2],
        operator: &Router<SimulatedTransport>,
    ) -> Result<(), String> {
        let world = &self.world;
        let a_while = |ms: u64| sleep(Duration::from_millis(ms));
        match misfortune {
            Misfortune::Loss => {
                let faults = Faults { lost: 200, late: 50, late_ms: 2_000, doubled: 20, slow: 50 };
                world.set_faults(faults);
                a_while(20 * DEAD_AFTER_MS).await;
                world.set_faults(Faults::default());
            }
            Misfortune::ShortPause => {
                world.set_faults(Faults { lost: world.below(100), ..Faults::default() });
                world.pause(host, 1_000 + world.below(DEAD_AFTER_MS - 1_500));
                a_while(2 * DEAD_AFTER_MS).await;
                world.set_faults(Faults::default());
            }
            Misfortune::LongPause => {
                world.pause(host, 5 * DEAD_AFTER_MS);
                a_while(5 * DEAD_AFTER_MS).await;
            }
            Misfortune::Death => {
                world.crash(host);
                a_while(5 * DEAD_AFTER_MS).await;
                self.is_mended(host, operator).await?;
                world.start(host);
            }
            Misfortune::Restart => {
                world.crash(host);
                a_while(1 + world.below(DEAD_AFTER_MS - 500)).await;
                world.start(host);
            }
            Misfortune::Blackout => {
                (0..world.hosts()).for_each(|host| world.crash(host));
                a_while(5 * DEAD_AFTER_MS).await;
                for host in 0..world.hosts() {
                    a_while(world.below(800)).await;
                    world.start(host);
                }
            }
            Misfortune::CutFromOne => {
                *keepers[0].cut.borrow_mut() = vec![world.address(host)];
                a_while(10 * DEAD_AFTER_MS).await;
                keepers[0].cut.borrow_mut().clear();
            }
            Misfortune::CutFromMost => {
                let others = (0..self.storages).filter(|other| *other != host);
                *keepers[0].cut.borrow_mut() = others.map(|n| world.address(n)).collect();
                a_while(10 * DEAD_AFTER_MS).await;
                keepers[0].cut.borrow_mut().clear();
            }
            Misfortune::TwoDeaths => {
                world.crash(host);
                let before = world.counted().get("a keeper evicts").copied().unwrap_or(0);
                let evicts = || world.counted().get("a keeper evicts").copied() > Some(before);
                for _ in 0..3_000 {
                    if evicts() {
                        break;
                    }
                    a_while(10).await;
                }
                a_while(world.below(60)).await;
                keepers[world.below(2) as usize].switch.set(true);
                a_while(8 * DEAD_AFTER_MS).await;
                self.is_mended(host, operator).await?;
                world.start(host);
            }
            Misfortune::Operator => {
                let new = world.address(self.storages);
                let joined = operator.join(&new, None, PlainRecords::Refuse, &mut |_| {}).await;
                joined.map_err(|why| format!("joining beside keepers: {why}"))?;
                let left = operator.leave(StorageId(host as u128 + 1), &mut |_| {}).await;
                left.map_err(|why| format!("leaving beside keepers: {why}"))?;
            }
            Misfortune::Replaced => {
                world.crash(host);
                a_while(world.below(3 * DEAD_AFTER_MS)).await;
                world.replace_disk(host);
                world.start(host);
                a_while(5 * DEAD_AFTER_MS).await;
                self.is_mended(host, operator).await?;
                let address = world.address(host);
                let joined = operator.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await;
                joined.map_err(|why| format!("joining with another disk: {why}"))?;
            }
        }
        Ok(())
    }

    /// The dead one is out, and every copy is there again.
    async fn is_mended(
        &self,
        host: usize,
        router: &Router<SimulatedTransport>,
    ) -> Result<(), String> {
        let dead = StorageId(host as u128 + 1);
        let arcs = self.arcs(router).await?;
        match arcs
            .iter()
            .find(|arc| arc.has(dead) || arc.members.len() < 3 || arc.filling.is_some())
        {
            Some(arc) => Err(format!("not mended yet: {arc}")),
            None => Ok(()),
        }
    }

    async fn arcs(&self, router: &Router<SimulatedTransport>) -> Result<Vec<RingArc>, String> {
        Ok(router.walk().await.map_err(|why| format!("the walk does not close: {why}"))?.arcs)
    }

    async fn judge(
        &self,
        misfortune: Misfortune,
        host: usize,
        router: &Router<SimulatedTransport>,
    ) -> Result<(), String> {
        let arcs = self.arcs(router).await?;
        let id = StorageId(host as u128 + 1);
        let is_in = arcs.iter().any(|arc| arc.has(id));
        if is_in == misfortune.takes() {
            return Err(format!("storage {id} is {}in the ring", if is_in { "" } else { "not " }));
        }
        let storages: std::collections::BTreeSet<StorageId> =
            arcs.iter().flat_map(|arc| &arc.members).map(|member| member.storage).collect();
        let expected =
            self.storages + usize::from(misfortune.brings()) - usize::from(misfortune.takes());
        if storages.len() != expected {
            return Err(format!("{} storages are in the ring, not {expected}", storages.len()));
        }
        // Whoever is out holds nothing, copies are alike, and nothing dead is left.
        self.world.tend();
        super::invariants::at_rest(&self.world, &arcs)?;
        self.copies_are_alike(&arcs)?;
        for n in 0..KEYS {
            if operate(router, &self.world, &key(n), Kind::Get).await.is_none() {
                return Err(format!("key {n} cannot be read"));
            }
        }
        self.histories
            .borrow()
            .iter()
            .try_for_each(|history| stamps(history).map_err(|why| format!("I8: {why}")))
    }

    fn copies_are_alike(&self, arcs: &[RingArc]) -> Result<(), String> {
        for arc in arcs {
            if arc.members.len() < 3 {
                return Err(format!("a copy is missing: {arc}"));
            }
            let held = |host: &usize| super::invariants::held(&self.world, *host, arc.span);
            let hosts = (0..self.world.hosts()).filter(|host| {
                self.world.storage(*host).is_some_and(|storage| arc.has(storage.me().storage))
            });
            let copies: Vec<_> = hosts.collect::<Vec<_>>().iter().map(held).collect();
            if copies.iter().any(|copy| *copy != copies[0]) {
                return Err(format!("the copies differ: {arc}: {copies:?}"));
            }
        }
        Ok(())
    }

    fn keeper(&self, name: u32) -> Keeping {
        let (router, transport) = self.router();
        let (world, log) = (Rc::clone(&self.world), Rc::clone(&self.log));
        let settings =
            Settings { dead_after: Duration::from_millis(DEAD_AFTER_MS), ..Settings::default() };
        let keeper = Keeper::new(router, settings, move |deed| {
            world.count(done(deed));
            if matches!(deed, Deed::Begun { kind: Duty::Evict, .. }) {
                world.count("a keeper evicts");
            }
            if deed.to_string().contains("objects") {
                world.count("a keeper objected");
            }
            let ms = world.elapsed_ms();
            log.borrow_mut().push_str(&format!("  {ms:>7} ms  keeper {name} {deed}\n"));
        });
        let (cut, switch) = (transport.cut(), transport.kill_switch());
        Keeping { task: spawn_local(keeper.run()), cut, switch }
    }

    fn user(&self, process: u64) -> JoinHandle<()> {
        let router = self.router().0;
        let (world, histories) = (Rc::clone(&self.world), Rc::clone(&self.histories));
        let next_value = Rc::clone(&self.next_value);
        spawn_local(async move {
            loop {
                let (n, value) = (world.below(KEYS), next_value.get());
                next_value.set(value + 1);
                let kind = match world.below(10) {
                    0..5 => Kind::Get,
                    5..9 => Kind::Set { expect: Expect::Anything, value },
                    _ => Kind::Delete { expect: Expect::Anything },
                };
                let called = world.elapsed_us();
                if let Some(outcome) = operate(&router, &world, &key(n), kind).await {
                    let what = match outcome {
                        Outcome::Answered { .. } => "a user was answered",
                        Outcome::Unknown { .. } => "a user was told that nobody knows",
                    };
                    world.count(what);
                    histories.borrow_mut()[n as usize].push(Event {
                        process,
                        kind,
                        called,
                        outcome,
                    });
                }
                let rest_ms = if world.elapsed_ms() < BUSY_MS { 400 } else { 4_000 };
                sleep(Duration::from_millis(20 + world.below(rest_ms))).await;
            }
        })
    }
}

//! Storages that never come back, or that nobody believes will: what must go on beside them, and what is left when too many
//! of them are given up.
//!
//! ```text
//!   a ring ─▶ one dies. Others are told to leave, copies to be fewer: done or refused, all is served as before
//!          ─▶ more die. They are not let go unasked; with the loss accepted, what some majority kept is there, and of the
//!             rest nothing but what once was set ─▶ the dead come back: what they remember is believed by nobody
//! ```
//!
//! One user alone writes the keys, so what it was told last is what it must read. Messages are lost, late and doubled all the
//! while, and routers die in the middle of what they do.

use super::{
    invariants::{at_rest, watch},
    scenario::actors::key,
    world::{Faults, SimulatedTransport, World},
};
use minor_protocol::{Expect, Operation, RingArc, RingId, StorageId, Wish, message::PlainRecords};
use sdht::{
    Loss, NotMoved,
    error::NotChanged,
    router::{Patience, Router},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use tokio::{
    task::{LocalSet, spawn_local},
    time::{Duration, sleep, timeout},
};

/// Keys the user writes.
const KEYS: u64 = 12;
/// Changes of the ring that are tried beside one dead storage.
const TRIES: usize = 4;
/// How often one thing is said again before it is given up.
const AGAIN: usize = 20;

/// Runs one; the words say what went wrong, the figures how often what happened.
pub fn lose(seed: u64) -> Result<BTreeMap<&'static str, u64>, String> {
    let runtime = super::paused_time().map_err(|why| format!("no runtime: {why}"))?;
    let run = async move {
        let run = Run::new(seed);
        let world = Rc::clone(&run.world);
        let told = Rc::clone(&run.told);
        let end = timeout(Duration::from_secs(3_600), run.all()).await;
        let end = end.unwrap_or_else(|_| Err("I7: it has no end".into()));
        end.map_err(|why| format!("{why}\n{}\n{}", told.borrow().join("\n"), world.describe()))
    };
    runtime.block_on(LocalSet::new().run_until(run))
}

/// What the user knows of a key.
#[derive(Default)]
struct Known {
    /// What it may be now: the last value acknowledged, and those of which nobody could tell.
    now: BTreeSet<Option<u64>>,
    /// What it ever may have been.
    ever: BTreeSet<Option<u64>>,
}

struct Run {
    world: Rc<World>,
    copies: u8,
    known: RefCell<Vec<Known>>,
    next_value: RefCell<u64>,
    told: Rc<RefCell<Vec<String>>>,
    wrong: Rc<RefCell<Option<String>>>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let world = World::new(seed ^ 0x1055, 3 + (seed % 4) as usize);
        let copies = [1, 2, 3, 3, 5][world.below(5) as usize];
        let unset = || Known { now: [None].into(), ever: [None].into() };
        Self {
            world,
            copies,
            known: RefCell::new((0..KEYS).map(|_| unset()).collect()),
            next_value: RefCell::default(),
            told: Rc::default(),
            wrong: Rc::default(),
        }
    }

    fn router(&self) -> (Router<SimulatedTransport>, SimulatedTransport) {
        let transport = self.world.transport(0);
        let seeds = (0..self.world.hosts()).map(|host| self.world.address(host)).collect();
        let patience = Patience { operation_ms: 5_000, step_ms: 20_000 };
        (Router::new(transport.clone(), seeds, patience), transport)
    }

    fn say(&self, line: impl Into<String>) {
        let line = format!("  {:>7} ms  {}", self.world.elapsed_ms(), line.into());
        self.told.borrow_mut().push(line);
    }

    async fn all(self) -> Result<BTreeMap<&'static str, u64>, String> {
        let founder = self.router().0;
        let founded = founder.found(&self.world.address(0), RingId(7), self.copies).await;
        founded.map_err(|why| format!("founding: {why}"))?;
        for host in 1..self.world.hosts() {
            self.world.tend();
            let address = self.world.address(host);
            let joined = founder.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await;
            joined.map_err(|why| format!("joining: {why}"))?;
        }
        let watching = watch(&self.world, Duration::from_millis(40), &self.wrong);
        self.set_all(&founder).await?;

        let mut dead = vec![self.world.below(self.world.hosts() as u64) as usize];
        self.die(dead[0]);
        if self.without_majority(&dead, &founder.arcs()).is_empty() {
            self.change_beside(&dead).await?;
        }
        self.give_up(&founder, &mut dead).await?;
        self.come_back(&dead).await?;

        watching.abort();
        match self.wrong.borrow_mut().take() {
            Some(wrong) => Err(wrong),
            None => Ok(self.world.counted()),
        }
    }

    fn die(&self, host: usize) {
        self.say(format!("{} dies", self.world.address(host)));
        self.world.crash(host);
    }

    fn id(host: usize) -> StorageId {
        StorageId(host as u128 + 1)
    }

    /// The arcs of which too few members live.
    fn without_majority(&self, dead: &[usize], arcs: &[RingArc]) -> Vec<RingArc> {
        let is_dead = |id: StorageId| dead.iter().any(|host| Self::id(*host) == id);
        let living = |arc: &RingArc| arc.members.iter().filter(|m| !is_dead(m.storage)).count();
        arcs.iter().filter(|arc| living(arc) < arc.majority()).cloned().collect()
    }

    fn storm(&self) {
        let lost = [0, 20, 50][self.world.below(3) as usize];
        let faults = Faults { lost, late: 20, late_ms: 1_000, doubled: 30, slow: 0 };
        self.world.set_faults(faults);
    }

    /// Whoever is told to leave, and however few copies there shall be: what is served stays served.
    async fn change_beside(&self, dead: &[usize]) -> Result<(), String> {
        for _ in 0..TRIES {
            self.storm();
            let (router, transport) = self.router();
            let host = self.world.below(self.world.hosts() as u64) as usize;
            let copies = [1, 2, 3, 5][self.world.below(4) as usize];
            let leaves = self.world.chance(500) && !dead.contains(&host);
            let address = self.world.address(host);
            self.say(if leaves { format!("{address} leaves") } else { format!("copies {copies}") });
            let changing = spawn_local(async move {
                match leaves {
                    true => router.leave(Self::id(host), &mut |_| {}).await,
                    false => router.set_copies(copies, &mut |_| {}).await,
                }
            });
            if self.world.chance(300) {
                sleep(Duration::from_millis(self.world.below(400))).await;
                transport.kill_switch().set(true);
                changing.abort();
                self.say("the router died at it");
            } else {
                let end = changing.await.map_err(|why| format!("it fell over: {why}"))?;
                self.world.count(match &end {
                    Ok(()) => "a change beside the dead ended",
                    Err(_) => "a change beside the dead was refused",
                });
                self.say(format!("{end:?}"));
            }
            self.world.set_faults(Faults::default());
            let user = self.router().0;
            self.check_all(&user).await.map_err(|why| format!("beside one who is dead: {why}"))?;
            self.set_all(&user).await.map_err(|why| format!("beside one who is dead: {why}"))?;
        }
        Ok(())
    }

    /// More die, until some arc has no majority. Then they are let go, and what only they kept with them.
    async fn give_up(
        &self,
        user: &Router<SimulatedTransport>,
        dead: &mut Vec<usize>,
    ) -> Result<(), String> {
        // Those who live finish what was begun, if they can. Where an arc has nobody left, it is only remembered.
        let _ = user.repair(&mut |_| {}).await;
        let arcs = user.survey().await.map_or_else(|_| user.arcs(), |walked| walked.arcs);
        let in_ring = |host: usize| arcs.iter().any(|arc| arc.has(Self::id(host)));
        let mut living: Vec<usize> =
            (0..self.world.hosts()).filter(|host| in_ring(*host) && !dead.contains(host)).collect();
        while self.without_majority(dead, &arcs).is_empty() && living.len() > 1 {
            let next = living.remove(self.world.below(living.len() as u64) as usize);
            self.die(next);
            dead.push(next);
        }
        dead.retain(|host| in_ring(*host));
        let mute = self.without_majority(dead, &arcs);
        let addresses: Vec<String> = dead.iter().map(|host| self.world.address(*host)).collect();
        if !mute.is_empty() {
            match user.evict(&addresses, Loss::Refused, &mut |_| {}).await {
                Err(NotMoved::NoMajority(_)) => self.world.count("a loss was not taken unasked"),
                other => return Err(format!("{addresses:?} let go unasked: {other:?}")),
            }
        }
        self.storm();
        self.until_let_go(&addresses, &arcs).await?;
        self.world.set_faults(Faults::default());
        let fresh = self.router().0;
        for n in 0..KEYS {
            let place = key(n).position();
            let is_lost = mute.iter().any(|arc| arc.span.holds(place));
            self.settle(&fresh, n, is_lost).await?;
        }
        self.check_all(&self.router().0).await.map_err(|why| format!("after the loss: {why}"))?;
        self.set_all(&fresh).await.map_err(|why| format!("after the loss: {why}"))
    }

    /// The loss is accepted; now and then the router that is told so dies, and another is told.
    async fn until_let_go(&self, addresses: &[String], seen: &[RingArc]) -> Result<(), String> {
        let mut last = String::new();
        for _ in 0..AGAIN {
            let (router, transport) = self.router();
            // As the command remembers the ring: an arc that only the dead kept is known to nobody else.
            router.remember(seen);
            let mut dead = addresses.to_vec();
            self.say(format!("{addresses:?} are given up"));
            let evicting = spawn_local(async move {
                loop {
                    match router.evict(&dead, Loss::Accepted, &mut |_| {}).await {
                        // Somebody who died had come that far.
                        Err(NotMoved::Unknown { address }) => dead.retain(|dead| *dead != address),
                        other => return other,
                    }
                    if dead.is_empty() {
                        return router.repair(&mut |_| {}).await;
                    }
                }
            });
            if self.world.chance(400) {
                sleep(Duration::from_millis(self.world.below(600))).await;
                if !evicting.is_finished() {
                    transport.kill_switch().set(true);
                    evicting.abort();
                    self.world.count("a router died while it gave storages up");
                    self.say("the router died at it");
                    continue;
                }
            }
            match evicting.await.map_err(|why| format!("it fell over: {why}"))? {
                Ok(()) => {
                    self.world.count("storages were given up");
                    return Ok(());
                }
                Err(why) => {
                    last = why.to_string();
                    self.say(&last);
                }
            }
        }
        Err(format!("I7: {addresses:?} cannot be let go: {last}"))
    }

    /// The dead come back as they were. Once they are taught what became of the ring, which a repair does, nothing they remember
    /// is read again; and they can join anew. (Before, whoever asks nobody else may be told of old times: see
    /// [`minor_protocol::restart`].)
    async fn come_back(&self, dead: &[usize]) -> Result<(), String> {
        for host in dead {
            self.world.start(*host);
            self.say(format!("{} is back", self.world.address(*host)));
        }
        let mender = self.router().0;
        mender.repair(&mut |_| {}).await.map_err(|why| format!("I7: the repair: {why}"))?;
        self.check_all(&self.router().0).await.map_err(|why| format!("they are back: {why}"))?;
        for host in dead {
            let address = self.world.address(*host);
            self.world.tend();
            let joined = mender.join(&address, None, PlainRecords::Refuse, &mut |_| {}).await;
            joined.map_err(|why| format!("{address} joins anew: {why}"))?;
        }
        self.check_all(&self.router().0).await.map_err(|why| format!("they are in: {why}"))?;
        // Who left the ring before is taught so by whoever purges.
        mender.purge(&[], &mut |_| {}).await.map_err(|why| format!("I7: the purge: {why}"))?;
        sleep(Duration::from_secs(5)).await;
        self.world.tend();
        let walked = mender.walk().await.map_err(|why| format!("I7: the walk: {why}"))?;
        at_rest(&self.world, &walked.arcs)
    }

    async fn set_all(&self, router: &Router<SimulatedTransport>) -> Result<(), String> {
        for n in 0..KEYS {
            let value = {
                let mut next = self.next_value.borrow_mut();
                *next += 1;
                *next
            };
            let value = value.to_be_bytes().to_vec();
            let new = Some(*self.next_value.borrow());
            let wish = Wish::Set { content_type: String::new(), expires_ms: None, value };
            let set = Operation { expect: Expect::Anything, wish };
            let ended = router.change(&key(n), set).await;
            let known = &mut self.known.borrow_mut()[n as usize];
            known.ever.insert(new);
            match ended {
                Ok(_) => known.now = [new].into(),
                Err(NotChanged::Unknown { .. }) => drop(known.now.insert(new)),
                Err(why) => return Err(format!("'{}' was not set: {why}", key(n))),
            }
        }
        Ok(())
    }

    async fn read(
        &self,
        router: &Router<SimulatedTransport>,
        n: u64,
    ) -> Result<Option<u64>, String> {
        let state = router.get(&key(n)).await.map_err(|why| why.to_string())?;
        Ok(state.and_then(|s| s.value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))))
    }

    async fn check_all(&self, router: &Router<SimulatedTransport>) -> Result<(), String> {
        for n in 0..KEYS {
            let seen = self.read(router, n).await?;
            let now = &self.known.borrow()[n as usize].now;
            if !now.contains(&seen) {
                return Err(format!("'{}' is {seen:?} and should be of {now:?}", key(n)));
            }
        }
        Ok(())
    }

    /// What a key is after the loss: what it was where a majority of its arc lived, else anything it once was.
    async fn settle(
        &self,
        router: &Router<SimulatedTransport>,
        n: u64,
        is_lost: bool,
    ) -> Result<(), String> {
        let seen = self.read(router, n).await?;
        let known = &mut self.known.borrow_mut()[n as usize];
        let may_be = if is_lost { &known.ever } else { &known.now };
        if !may_be.contains(&seen) {
            return Err(format!("'{}' is {seen:?} and should be of {may_be:?}", key(n)));
        }
        if !known.now.contains(&seen) {
            self.world.count("an acknowledged value was lost with them");
        }
        known.now = [seen].into();
        Ok(())
    }
}

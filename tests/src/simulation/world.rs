//! Storages on simulated disks, and a network between them and the routers.
//!
//! A message takes its time, is lost, or comes twice; an answer too. A storage that crashes loses what was not committed, or
//! any part of it that a real disk could lose; one that is paused answers what came meanwhile when it wakes. A router that
//! dies falls silent in the middle of whatever it did.

use crate::chance::Chance;
use futures_util::{FutureExt, future::LocalBoxFuture};
use minor_protocol::{Answers, Ask, StorageId, wire};
use minor_storage::{
    storage::{Durability, Settings, Storage, Tended},
    store::{
        Room,
        memory::{Keep, MemoryStore},
    },
};
use sdht::transport::{Silence, Transport};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::pending,
    rc::Rc,
    sync::Arc,
};
use tokio::time::{Duration, Instant, sleep, timeout};

/// How long a router waits for one answer.
const DEADLINE_MS: u64 = 400;
/// One message of so many is written as bytes, and read again.
const BY_WIRE: u64 = 16;
/// The time at the beginning of every run.
const BEGIN_MS: u64 = 1_700_000_000_000;

/// What may go wrong with a message, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// It never comes.
    pub lost: u64,
    /// It takes much longer than usual,
    pub late: u64,
    /// and up to so many milliseconds (not thousandths).
    pub late_ms: u64,
    /// It comes a second time, later.
    pub doubled: u64,
    /// The disk takes long over what it says.
    pub slow: u64,
}

/// One storage and its disk.
pub struct Host {
    /// Where it listens.
    pub address: String,
    disk: MemoryStore,
    storage: Option<Rc<Storage>>,
    /// How often it was started.
    lives: u64,
    paused_until: Instant,
    zone: String,
    fresh_id: StorageId,
}

/// Everything there is.
pub struct World {
    chance: RefCell<Chance>,
    hosts: RefCell<Vec<Host>>,
    faults: Cell<Faults>,
    begin: Instant,
    /// How often each kind of thing happened.
    counted: RefCell<BTreeMap<&'static str, u64>>,
    /// Messages that were under way so far.
    sent: Cell<u64>,
    /// A digest of all that happened, in order: two runs of one seed have the same.
    trace: Cell<u64>,
}

impl World {
    /// A world of this many storages, none of them in a ring.
    pub fn new(seed: u64, storages: usize) -> Rc<Self> {
        let world = Self {
            chance: RefCell::new(Chance::new(seed)),
            hosts: RefCell::default(),
            faults: Cell::default(),
            begin: Instant::now(),
            counted: RefCell::default(),
            sent: Cell::default(),
            trace: Cell::new(0),
        };
        for n in 0..storages {
            let host = Host {
                address: format!("10.0.0.{}:8000", n + 1),
                disk: MemoryStore::new(),
                storage: None,
                lives: 0,
                paused_until: world.begin,
                zone: String::new(),
                fresh_id: StorageId(n as u128 + 1),
            };
            world.hosts.borrow_mut().push(host);
            world.start(n);
        }
        Rc::new(world)
    }

    /// A draw below `end`.
    pub fn below(&self, end: u64) -> u64 {
        self.chance.borrow_mut().below(end)
    }

    /// True so many times in a thousand.
    pub fn chance(&self, permille: u64) -> bool {
        self.chance.borrow_mut().chance(permille)
    }

    /// The time, as everybody's clock has it.
    pub fn now_ms(&self) -> u64 {
        BEGIN_MS + self.elapsed_ms()
    }

    /// Milliseconds since the beginning.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Microseconds since the beginning: the clock of histories.
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// From now on this may go wrong with messages.
    pub fn set_faults(&self, faults: Faults) {
        self.faults.set(faults);
    }

    /// Notes that something happened.
    pub fn count(&self, what: &'static str) {
        *self.counted.borrow_mut().entry(what).or_default() += 1;
        let mixed = what.bytes().fold(self.trace.get() ^ self.elapsed_us(), |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        self.trace.set(mixed);
    }

    /// How often each kind of thing happened.
    pub fn counted(&self) -> BTreeMap<&'static str, u64> {
        self.counted.borrow().clone()
    }

    /// The digest of all that happened so far.
    pub fn trace(&self) -> u64 {
        self.trace.get()
    }

    /// What every storage knows of the ring, for people.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for host in 0..self.hosts() {
            let Some(storage) = self.storage(host) else {
                text.push_str(&format!("  {} is down\n", self.address(host)));
                continue;
            };
            let chart = storage.chart();
            text.push_str(&format!("  {} keeps\n", self.address(host)));
            for seat in chart.seats() {
                let vote = seat.accepted.as_ref().map(|(b, d)| format!(" voted {d:?} at {b}"));
                let part =
                    if seat.is_whole() { String::new() } else { format!(" of it {}", seat.span) };
                text.push_str(&format!("    {}{part}{}\n", seat.arc, vote.unwrap_or_default()));
            }
            for note in chart.notes() {
                text.push_str(&format!("    not {} of it {}\n", note.arc, note.span));
            }
            for span in chart.wiping() {
                text.push_str(&format!("    clearing {span}\n"));
            }
        }
        text
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.borrow().len()
    }

    /// Where a host listens.
    pub fn address(&self, host: usize) -> String {
        self.hosts.borrow()[host].address.clone()
    }

    /// The storage on a host, while it is up.
    pub fn storage(&self, host: usize) -> Option<Rc<Storage>> {
        self.hosts.borrow()[host].storage.clone()
    }

    /// The disk of a host.
    pub fn disk(&self, host: usize) -> MemoryStore {
        self.hosts.borrow()[host].disk.clone()
    }

    /// Starts the storage of a host, if it is down.
    pub fn start(&self, host: usize) {
        let host = &mut self.hosts.borrow_mut()[host];
        if host.storage.is_some() {
            return;
        }
        let settings = Settings {
            fresh_id: host.fresh_id,
            address: host.address.clone(),
            zone: host.zone.clone(),
            durability: Durability::Always,
        };
        let storage = Storage::open(Arc::new(host.disk.clone()), settings);
        host.storage = Some(Rc::new(storage.expect("a simulated disk does not rot by itself")));
        host.lives += 1;
    }

    /// Cuts the power of a host: what was not committed is lost, or any prefix of it is not.
    pub fn crash(&self, host: usize) {
        let prefix = self.below(4);
        let host = &mut self.hosts.borrow_mut()[host];
        if host.storage.take().is_none() {
            return;
        }
        let lost = host.disk.uncommitted();
        let keep = match prefix {
            0 => Keep::Durable,
            1 => Keep::Prefix(usize::MAX),
            _ => Keep::Prefix(lost / 2),
        };
        if lost > 0 {
            *self.counted.borrow_mut().entry("writes lost in a crash").or_default() += 1;
        }
        host.disk = host.disk.crash(keep);
        self.count("a storage crashed");
    }

    /// Gives a host that is down an empty disk: what starts there is another storage.
    pub fn replace_disk(&self, host: usize) {
        let host = &mut self.hosts.borrow_mut()[host];
        assert!(host.storage.is_none(), "only who is down gets another disk");
        host.disk = MemoryStore::new();
        host.fresh_id.0 += 1_000;
        self.count("a disk was replaced");
    }

    /// The host answers nothing for a while, and then everything.
    pub fn pause(&self, host: usize, ms: u64) {
        self.hosts.borrow_mut()[host].paused_until = Instant::now() + Duration::from_millis(ms);
        self.count("a storage paused");
    }

    /// The disk of a host is full, or is not any more.
    pub fn set_room(&self, host: usize, room: Room) {
        self.hosts.borrow()[host].disk.set_room(room);
        if room == Room::Low {
            self.count("a disk was full");
        }
    }

    /// Does what storages do by themselves.
    pub fn tend(&self) {
        for host in 0..self.hosts() {
            let Some(storage) = self.storage(host) else { continue };
            while storage.tidy().expect("a simulated disk does not fail by itself") == Tended::Some
            {
            }
        }
    }

    /// A way for a router, whose clock is so much ahead, to reach the storages.
    pub fn transport(self: &Rc<Self>, ahead_ms: u64) -> SimulatedTransport {
        let (world, is_dead, cut_off) = (Rc::clone(self), Rc::default(), Rc::default());
        SimulatedTransport { world, is_dead, cut_off, ahead_ms: Rc::new(Cell::new(ahead_ms)) }
    }

    async fn deliver(self: Rc<Self>, host: usize, ask: Ask) -> Option<Answers> {
        let wakes = self.hosts.borrow()[host].paused_until;
        if wakes > Instant::now() {
            self.count("a message waited for a paused storage");
            tokio::time::sleep_until(wakes).await;
        }
        let (storage, life, disk) = {
            let hosts = self.hosts.borrow();
            (hosts[host].storage.clone()?, hosts[host].lives, hosts[host].disk.clone())
        };
        let worked = storage.work(ask, self.now_ms());
        // The disk takes a moment; what is asked meanwhile shares the commit.
        let slow = self.faults.get().slow;
        if slow > 0 && self.chance(slow) {
            disk.hold_commits();
            sleep(Duration::from_millis(self.below(50))).await;
            disk.release_commits();
        } else if self.chance(300) {
            disk.hold_commits();
            sleep(Duration::from_micros(200 + self.below(2_000))).await;
            disk.release_commits();
        }
        let answers = worked.settled().await.ok()?;
        // Whoever crashed in between has said nothing.
        let hosts = self.hosts.borrow();
        (hosts[host].lives == life && hosts[host].storage.is_some()).then_some(answers)
    }

    async fn carry(self: Rc<Self>, address: String, ask: Ask) -> Option<Answers> {
        let faults = self.faults.get();
        let host = self.hosts.borrow().iter().position(|host| host.address == address)?;
        let ask = self.by_wire(ask);
        self.take_time(faults).await;
        if self.chance(faults.lost) {
            self.count("a request was lost");
            return None;
        }
        if self.chance(faults.doubled) {
            let (world, ask, wait) = (Rc::clone(&self), ask.clone(), self.below(3_000));
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(wait)).await;
                world.count("a request came a second time");
                world.deliver(host, ask).await;
            });
        }
        let answers = Rc::clone(&self).deliver(host, ask).await?;
        if self.chance(faults.lost) {
            self.count("a reply was lost");
            return None;
        }
        self.take_time(faults).await;
        Some(self.by_wire(answers))
    }

    /// What goes over the wire is bytes; so that more seeds are run in the same time, only some of it goes over one here.
    fn by_wire<T: Serialize + DeserializeOwned>(&self, message: T) -> T {
        let sent = self.sent.get() + 1;
        self.sent.set(sent);
        match sent % BY_WIRE {
            0 => wire::decode(&wire::encode(&message)).expect("it is read as it was written"),
            _ => message,
        }
    }

    async fn take_time(&self, faults: Faults) {
        let us = if self.chance(faults.late) {
            self.count("a message was late");
            self.below(faults.late_ms * 1_000)
        } else {
            50 + self.below(1_000)
        };
        sleep(Duration::from_micros(us)).await;
    }
}

/// A router's way to the storages of a world.
#[derive(Clone)]
pub struct SimulatedTransport {
    world: Rc<World>,
    is_dead: Rc<Cell<bool>>,
    /// Hosts that nothing comes to from here.
    cut_off: Rc<RefCell<Vec<String>>>,
    ahead_ms: Rc<Cell<u64>>,
}

impl SimulatedTransport {
    /// Sets the clock of the router, so much ahead of the others'.
    pub fn set_ahead(&self, ms: u64) {
        self.ahead_ms.set(ms);
    }

    /// A switch: once it is thrown, the router hears nothing and says nothing any more.
    pub fn kill_switch(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.is_dead)
    }

    /// The hosts that a cut lies before: what is asked of them from here does not come.
    pub fn cut(&self) -> Rc<RefCell<Vec<String>>> {
        Rc::clone(&self.cut_off)
    }
}

impl Transport for SimulatedTransport {
    fn ask(&self, address: &str, ask: Ask) -> LocalBoxFuture<'static, Result<Answers, Silence>> {
        let (world, is_dead) = (Rc::clone(&self.world), Rc::clone(&self.is_dead));
        let address = address.to_owned();
        let is_cut_off = self.cut_off.borrow().contains(&address);
        async move {
            if is_dead.get() {
                return pending().await;
            }
            if is_cut_off {
                world.count("a cut lay in the way");
                sleep(Duration::from_millis(DEADLINE_MS)).await;
                return Err(Silence::TooLate(DEADLINE_MS));
            }
            // Sent is sent: that the router stops waiting takes nothing back.
            let carried = tokio::task::spawn_local(Rc::clone(&world).carry(address, ask));
            let heard = timeout(Duration::from_millis(DEADLINE_MS), carried).await;
            if is_dead.get() {
                return pending().await;
            }
            match heard {
                Ok(Ok(Some(answers))) => Ok(answers),
                Ok(_) => {
                    // A lost message is noticed by its absence only.
                    sleep(Duration::from_millis(DEADLINE_MS)).await;
                    Err(Silence::TooLate(DEADLINE_MS))
                }
                Err(_) => Err(Silence::TooLate(DEADLINE_MS)),
            }
        }
        .boxed_local()
    }

    fn now_ms(&self) -> u64 {
        self.world.now_ms() + self.ahead_ms.get()
    }

    fn chance(&self, below: u64) -> u64 {
        self.world.below(below)
    }
}

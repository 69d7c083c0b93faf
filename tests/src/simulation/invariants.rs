//! What must hold at every moment, whatever goes wrong: looked at on the disks and in the storages themselves.

use super::world::World;
use minor_protocol::{Ballot, Position, Record, RingArc, Span, State, StorageId};
use minor_storage::store::{Store, Tree};
use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Duration, sleep},
};

/// Place and name of a key, as the store orders them.
type Row = Vec<u8>;

/// What was seen so far, to hold the present against.
#[derive(Default)]
pub struct Invariants {
    /// How often each host's disk had changed when it was looked at.
    looked: HashMap<usize, u64>,
    /// Every arc any storage ever knew, by what tells it from most others.
    arcs: BTreeMap<(u64, Span), Vec<RingArc>>,
    /// What every key was ever seen to hold at a ballot.
    states: BTreeMap<(String, Ballot), State>,
    /// What each storage was last seen to hold under each row, and at what ballot.
    held: HashMap<(StorageId, Row), (Vec<u8>, Ballot)>,
}

/// Looks at the invariants again and again, keeps the first thing that is wrong, and does what storages do by themselves.
pub fn watch(
    world: &Rc<World>,
    every: Duration,
    wrong: &Rc<RefCell<Option<String>>>,
) -> JoinHandle<()> {
    let (world, wrong) = (Rc::clone(world), Rc::clone(wrong));
    spawn_local(async move {
        let mut invariants = Invariants::default();
        loop {
            if let Err(why) = invariants.check(&world) {
                wrong.borrow_mut().get_or_insert(why);
            }
            world.tend();
            sleep(every).await;
        }
    })
}

impl Invariants {
    /// Looks at everything that changed; the words say what does not hold.
    pub fn check(&mut self, world: &World) -> Result<(), String> {
        for host in 0..world.hosts() {
            let Some(storage) = world.storage(host) else { continue };
            let changes = world.disk(host).changes();
            if self.looked.insert(host, changes) == Some(changes) {
                continue;
            }
            let me = storage.me().storage;
            let chart = storage.chart();
            for arc in chart
                .seats()
                .iter()
                .map(|seat| &seat.arc)
                .chain(chart.notes().iter().map(|n| &n.arc))
            {
                self.see_arc(arc)?;
            }
            // What is not durable has been shown to nobody, and a crash may take it back.
            if world.disk(host).uncommitted() > 0 {
                continue;
            }
            for (row, bytes) in rows(world, host) {
                let Some(seat) = chart.seat_of(place(&row)) else {
                    // Left, and still to be cleared.
                    self.held.remove(&(me, row));
                    continue;
                };
                let floor = chart.seats()[seat].floor;
                self.see_record(me, floor, row, bytes)?;
            }
        }
        Ok(())
    }

    /// I2: one decree per slot, so of one epoch there is one arc at any place.
    fn see_arc(&mut self, arc: &RingArc) -> Result<(), String> {
        let alike = (arc.epoch, arc.span);
        if self.arcs.get(&alike).is_some_and(|arcs| arcs.contains(arc)) {
            return Ok(());
        }
        let twin = |other: &&RingArc| other.epoch == arc.epoch && other.span.overlaps(arc.span);
        if arc.epoch > 0
            && let Some(other) = self.arcs.values().flatten().find(twin)
        {
            return Err(format!("I2: two arcs in one place and epoch: {arc} and {other}"));
        }
        self.arcs.entry(alike).or_default().push(arc.clone());
        Ok(())
    }

    /// I4: a ballot never falls, except by a drop with the floor raised over it.
    fn see_record(
        &mut self,
        me: StorageId,
        floor: Ballot,
        row: Row,
        bytes: Vec<u8>,
    ) -> Result<(), String> {
        let at = (me, row);
        let before = self.held.get(&at);
        if before.is_some_and(|(before, _)| *before == bytes) {
            return Ok(());
        }
        let name = String::from_utf8_lossy(&at.1[8..]).into_owned();
        let record = Record::from_bytes(name.as_bytes(), &bytes)
            .map_err(|why| format!("storage {me}: key '{name}': {why}"))?;
        let now = record.ballot;
        if let Some((_, before)) = before
            && *before > now
            && *before > floor
        {
            return Err(format!("I4: storage {me} held key '{name}' at {before} and now at {now}"));
        }
        self.held.insert(at, (bytes, now));
        self.see_state(&name, &record)
    }

    /// I5: no two states carry the same key and ballot.
    fn see_state(&mut self, name: &str, record: &Record) -> Result<(), String> {
        let at = (name.to_owned(), record.ballot);
        match self.states.get(&at) {
            Some(state) if *state != record.state => Err(format!(
                "I5: key '{name}' has two states at {}: {:?} and {:?}",
                record.ballot, state, record.state
            )),
            Some(_) => Ok(()),
            None => {
                self.states.insert(at, record.state.clone());
                Ok(())
            }
        }
    }
}

/// Every record on a host's disk.
fn rows(world: &World, host: usize) -> Vec<(Row, Vec<u8>)> {
    world.disk(host).scan(Tree::Records, &[], 10_000).unwrap_or_default()
}

/// What a host holds of a stretch of the ring: every record with its key.
pub fn held(world: &World, host: usize, span: Span) -> Vec<(Vec<u8>, Vec<u8>)> {
    rows(world, host).into_iter().filter(|(row, _)| span.holds(place(row))).collect()
}

/// Where on the ring a row belongs.
fn place(row: &[u8]) -> Position {
    Position(u64::from_be_bytes(*row.first_chunk().expect("a row begins with its place")))
}

/// I1 and the end of everything: the arcs of a ring at rest tile it, each is adopted by all of its members, nothing is being
/// filled or sealed, and nobody keeps records of an arc it does not keep.
pub fn at_rest(world: &World, arcs: &[RingArc]) -> Result<(), String> {
    let places: u128 = arcs.iter().map(|arc| arc.span.places()).sum();
    if places != 1 << 64 {
        return Err(format!("I1: the arcs do not tile the ring: {arcs:?}"));
    }
    for arc in arcs {
        if arc.filling.is_some() || arc.sealed.is_some() {
            return Err(format!("I7: half done: {arc}"));
        }
    }
    for host in 0..world.hosts() {
        let Some(storage) = world.storage(host) else { continue };
        let me = storage.me().storage;
        let chart = storage.chart();
        for arc in arcs.iter().filter(|arc| arc.has(me)) {
            if chart.seats().iter().all(|seat| seat.arc != *arc) {
                return Err(format!("I7: storage {me} has not adopted {arc}: {:?}", chart.seats()));
            }
        }
        for (row, _) in rows(world, host) {
            let place = place(&row);
            if !storage.is_plain() && arcs.iter().any(|arc| arc.span.holds(place) && !arc.has(me)) {
                return Err(format!(
                    "storage {me} still holds a record at {place}, which it does not keep"
                ));
            }
        }
    }
    Ok(())
}

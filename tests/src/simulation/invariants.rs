//! What must hold at every moment, whatever goes wrong: looked at on the disks and in the storages themselves.

use super::world::World;
use minor_protocol::{Ballot, Key, Record, RingArc, State, StorageId};
use minor_storage::store::{Store, Tree};
use std::collections::BTreeMap;

/// What was seen so far, to hold the present against.
#[derive(Default)]
pub struct Invariants {
    /// Every arc any storage ever knew.
    arcs: Vec<RingArc>,
    /// What every key was ever seen to hold at a ballot.
    states: BTreeMap<(String, Ballot), State>,
    /// At what ballot each storage was last seen to hold each key.
    ballots: BTreeMap<(StorageId, String), Ballot>,
}

impl Invariants {
    /// Looks at everything; the words say what does not hold.
    pub fn check(&mut self, world: &World) -> Result<(), String> {
        for host in 0..world.hosts() {
            let Some(storage) = world.storage(host) else { continue };
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
                let name = String::from_utf8_lossy(&row[8..]).into_owned();
                let record = Record::from_bytes(name.as_bytes(), &bytes)
                    .map_err(|why| format!("storage {me}: key '{name}': {why}"))?;
                let place = Key::new(name.clone()).expect("it was stored under a key").position();
                let Some(seat) = chart.seat_of(place).map(|seat| &chart.seats()[seat]) else {
                    // Left, and still to be cleared.
                    self.ballots.remove(&(me, name));
                    continue;
                };
                self.see_state(&name, &record)?;
                let before = self.ballots.insert((me, name.clone()), record.ballot);
                // I4: it never falls, except by a drop with the floor raised over it.
                let fell =
                    before.is_some_and(|before| before > record.ballot && before > seat.floor);
                if fell {
                    return Err(format!(
                        "I4: storage {me} held key '{name}' at {before:?} and now at {}",
                        record.ballot
                    ));
                }
            }
        }
        Ok(())
    }

    /// I2: one decree per slot, so of one epoch there is one arc at any place.
    fn see_arc(&mut self, arc: &RingArc) -> Result<(), String> {
        if self.arcs.contains(arc) {
            return Ok(());
        }
        let twin = |other: &&RingArc| other.epoch == arc.epoch && other.span.overlaps(arc.span);
        if arc.epoch > 0
            && let Some(other) = self.arcs.iter().find(twin)
        {
            return Err(format!("I2: two arcs in one place and epoch: {arc} and {other}"));
        }
        self.arcs.push(arc.clone());
        Ok(())
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
fn rows(world: &World, host: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    world.disk(host).scan(Tree::Records, &[], 10_000).unwrap_or_default()
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
            let place = minor_protocol::Position(u64::from_be_bytes(
                *row.first_chunk().expect("a row begins with its place"),
            ));
            if !storage.is_plain() && arcs.iter().any(|arc| arc.span.holds(place) && !arc.has(me)) {
                return Err(format!(
                    "storage {me} still holds a record at {place}, which it does not keep"
                ));
            }
        }
    }
    Ok(())
}

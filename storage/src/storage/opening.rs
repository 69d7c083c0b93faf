//! The beginning and the end of a storage's life in one process.
//!
//! At the end of a clean stop it leaves the count of every cell; at the beginning every record is counted again. What does
//! not add up is damage, and the arcs it lies in are answered for no more.

use super::{Board, Settings, Storage};
use crate::{
    acceptors::chart::Chart,
    ceiling::Ceiling,
    cells::{self, CELLS, Cells},
    notebook,
    store::{Farewell, Fault, Mark, Store, Tree},
};
use minor_protocol::{
    HybridClock, Member, Moment, Position, StorageId, message::Tally, record::Record, wire,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, RwLock, atomic::AtomicBool};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) storage: StorageId,
    pub(crate) starts: u64,
}

const IDENTITY: &str = "identity";
pub(super) const CHART: &str = "chart";
pub(super) const HINTS: &str = "hints";
/// Stands in a directory that is still being imported into.
pub(crate) const UNFINISHED: &str = "unfinished";

/// Who a store belongs to.
pub(crate) fn identity(store: &dyn Store) -> Result<Option<Identity>, Fault> {
    notebook::read(store, IDENTITY)
}

/// The chart in a store.
pub(crate) fn chart(store: &dyn Store) -> Result<Option<Chart>, Fault> {
    notebook::read(store, CHART)
}

/// Up to when the storage of a store may have made promises.
pub(crate) fn ceiling(store: &dyn Store) -> Result<Moment, Fault> {
    Ceiling::found(store).map(|ceiling| ceiling.past)
}

/// A store of its own that was exported, looked at and imported is whole again: what was lost is known to be lost. In a ring
/// the others fill what is damaged, and it stays declared until then.
pub(crate) fn trust(store: &dyn Store) -> Result<(), Fault> {
    let Some(mut chart) = chart(store)? else { return Ok(()) };
    if chart.ring().is_none() {
        chart.trust();
        notebook::write(store, CHART, &chart)?;
    }
    Ok(())
}

impl Storage {
    /// Opens what the store holds: counts every record, compares the count with the one left at the last clean stop, and
    /// declares damaged what does not add up.
    pub fn open(store: Arc<dyn Store>, settings: Settings) -> Result<Self, Fault> {
        if notebook::read::<bool>(&*store, UNFINISHED)?.is_some() {
            let what = "an import into this directory was never finished".into();
            return Err(Fault::Damage { what });
        }
        let mut identity =
            identity(&*store)?.unwrap_or(Identity { storage: settings.fresh_id, starts: 0 });
        let me =
            Member { storage: identity.storage, address: settings.address, zone: settings.zone };
        let kept = chart(&*store)?;
        let is_new = kept.is_none();
        let mut chart = kept.unwrap_or_else(|| Chart::plain(me.clone()));
        let hints = notebook::read(&*store, HINTS)?.unwrap_or_default();
        let ceiling = Ceiling::found(&*store)?;

        let cells = Cells::new();
        let mut bad = count_all(&*store, &cells)?;
        let mut differing = differing(&store.farewell(), &cells);
        if chart.ring().is_none() {
            // In a store of its own a bad record is answered for by itself, and makes its cell differ. One that is missing
            // would look absent, and nothing there can be trusted.
            differing.retain(|cell| !bad.contains(cell));
            bad.clear();
        }
        bad.extend(differing);
        let damaged: Vec<Position> = bad.iter().map(|cell| cells::span_of(*cell).to).collect();
        let newly = declare(&mut chart, &bad);
        if newly > 0 {
            log::error!(
                "damage: {} of {CELLS} cells do not hold what was put there; {newly} arcs are answered for no more \
                 until they are filled again",
                damaged.len()
            );
        }

        // From here on the directory is this process's: what the last one left no longer describes it.
        identity.starts += 1;
        notebook::write(&*store, IDENTITY, &identity)?;
        if is_new || newly > 0 {
            notebook::write(&*store, CHART, &chart)?;
        }
        store.commit().wait()?;
        store.forget_farewell()?;

        let clock = Mutex::new(HybridClock::after(ceiling.past));
        Ok(Self {
            store,
            me,
            starts: identity.starts,
            durability: settings.durability,
            board: RwLock::new(Board { chart, hints, written: Mark::default() }),
            cells,
            ceiling,
            clock,
            stopping: AtomicBool::new(false),
            met_damage: Mutex::default(),
            tending: Mutex::default(),
        })
    }

    /// Stops in good order: answers nothing more, makes everything durable, and leaves the count of every cell behind.
    pub fn close(&self) -> Result<(), Fault> {
        self.stop();
        // Whoever still holds a lock is let out first.
        let _board = self.board_mut();
        let tallies: Vec<(u32, Tally)> = self
            .cells
            .in_use()
            .map(|cell| (cell as u32, self.cells.nth(cell).tally))
            .filter(|(_, tally)| tally.records > 0)
            .collect();
        self.ceiling.settle(&*self.store)?;
        self.store.close(&wire::encode(&tallies))
    }
}

/// Counts every record into its cell. What is counted is whole; the cells of what is not are returned.
fn count_all(store: &dyn Store, cells: &Cells) -> Result<Vec<usize>, Fault> {
    let mut bad = vec![];
    each_row(store, Tree::Records, |row, record| {
        let (place, name) = split_row(row)?;
        match Record::ballot_in(name, record) {
            Ok(ballot) => {
                cells::add(&mut cells.at(place).tally, cells::count(name, ballot, record));
            }
            Err(_) => {
                // Held once, so that it counts among the cells in use.
                drop(cells.at(place));
                bad.push(cells::number(place));
            }
        }
        Ok::<(), Fault>(())
    })?;
    Ok(bad)
}

/// Shows every row of a tree to `see`.
pub(crate) fn each_row<E: From<Fault>>(
    store: &dyn Store,
    tree: Tree,
    mut see: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut from = vec![];
    loop {
        let rows = store.scan(tree, &from, PAGE_ROWS)?;
        rows.iter().try_for_each(|(key, value)| see(key, value))?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        from = just_after(last);
    }
}

/// The cells whose count is not the one left at the last clean stop. After a crash there is none to compare with.
pub(crate) fn differing(farewell: &Farewell, cells: &Cells) -> Vec<usize> {
    let left: Option<Vec<(u32, Tally)>> = match farewell {
        Farewell::None => return vec![],
        Farewell::Unreadable => None,
        Farewell::Left(bytes) => wire::decode(bytes).ok(),
    };
    // A count that cannot be read may hide any loss.
    let Some(left) = left else { return (0..CELLS).collect() };
    let mut expected = vec![Tally::default(); CELLS];
    for (cell, tally) in left {
        if let Some(entry) = expected.get_mut(cell as usize) {
            *entry = tally;
        }
    }
    let used = |cell: &usize| cells.nth(*cell).tally;
    (0..CELLS).filter(|cell| used(cell) != expected[*cell]).collect()
}

/// Declares every seat damaged that has a share in one of these cells, and says how many were not before.
pub(super) fn declare(chart: &mut Chart, bad: &[usize]) -> usize {
    let mut newly = 0;
    for seat in 0..chart.seats().len() {
        let span = chart.seats()[seat].span;
        let hit = bad.iter().any(|cell| cells::span_of(*cell).overlaps(span));
        if hit && !chart.seats()[seat].damaged {
            chart.declare_damaged(seat);
            newly += 1;
        }
    }
    newly
}

/// Rows one scan reads.
pub(super) const PAGE_ROWS: usize = 1_000;

/// Where a key's record lies: by place, then by name, so that an arc is one stretch of the store.
pub(crate) fn row_of(place: Position, name: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(8 + name.len());
    row.extend_from_slice(&place.0.to_be_bytes());
    row.extend_from_slice(name.as_bytes());
    row
}

pub(crate) fn split_row(row: &[u8]) -> Result<(Position, &[u8]), Fault> {
    let (place, name) = row
        .split_first_chunk()
        .ok_or_else(|| Fault::Damage { what: "a record lies under no place".into() })?;
    Ok((Position(u64::from_be_bytes(*place)), name))
}

pub(crate) fn just_after(row: &[u8]) -> Vec<u8> {
    [row, &[0]].concat()
}

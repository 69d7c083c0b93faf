//! Reads a closed data directory from end to end, changes nothing, and says what is there and whether it adds up.

use crate::{
    acceptors::chart::Chart,
    cells::{self, CELLS, Cells},
    storage,
    store::{Farewell, Fault, Store, Tree},
};
use minor_protocol::{Key, Moment, Record, RingId, StorageId, message::Tally};
use std::fmt;

/// What a reading of a whole store found.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// Whose data it is; none in a directory that was never served from.
    pub storage: Option<StorageId>,
    /// How often it was started.
    pub starts: u64,
    /// Its ring, if it is in one.
    pub ring: Option<RingId>,
    /// The arcs it keeps, as text, and whether each is trusted.
    pub arcs: Vec<(String, bool)>,
    /// What is whole.
    pub tally: Tally,
    /// Keys of the records that are not, as far as they can be read; at most [`NAMED`](Self::NAMED) of them.
    pub bad_keys: Vec<String>,
    /// Records that are not whole.
    pub bad: u64,
    /// Cells that hold something else than at the last clean stop; none if it was not stopped cleanly.
    pub differing: Option<usize>,
    /// Up to when promises may have been made.
    pub ceiling: Moment,
}

impl Findings {
    /// Bad keys that are named.
    pub const NAMED: usize = 100;

    /// Whether everything adds up.
    pub fn is_whole(&self) -> bool {
        self.bad == 0
            && self.differing.unwrap_or(0) == 0
            && self.arcs.iter().all(|(_, trusted)| *trusted)
    }
}

/// Reads everything.
pub fn check(store: &dyn Store) -> Result<Findings, Fault> {
    let identity = storage::identity(store)?;
    let chart = storage::chart(store)?;
    let cells = Cells::new();
    let (mut bad, mut bad_keys) = (0, vec![]);
    storage::each_row(store, Tree::Records, |row, bytes| {
        let (place, name) = storage::split_row(row)?;
        let whole = Key::from_bytes(name).is_ok_and(|key| key.position() == place);
        match Record::from_bytes(name, bytes) {
            Ok(record) if whole => {
                let one = cells::count(name, record.ballot, bytes);
                cells::add(&mut cells.at(place).tally, one);
            }
            _ => {
                bad += 1;
                if bad_keys.len() < Findings::NAMED {
                    bad_keys.push(String::from_utf8_lossy(name).into_owned());
                }
            }
        }
        Ok::<(), Fault>(())
    })?;
    let farewell = store.farewell();
    let differing = storage::differing(&farewell, &cells).len();
    Ok(Findings {
        storage: identity.map(|i| i.storage),
        starts: identity.map_or(0, |i| i.starts),
        ring: chart.as_ref().and_then(Chart::ring),
        arcs: chart
            .iter()
            .flat_map(Chart::seats)
            .map(|s| (s.arc.to_string(), !s.damaged))
            .collect(),
        tally: cells.total(),
        bad_keys,
        bad,
        differing: (farewell != Farewell::None).then_some(differing),
        ceiling: storage::ceiling(store)?,
    })
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.storage {
            Some(storage) => writeln!(f, "storage     {storage}, started {} times", self.starts)?,
            None => writeln!(f, "storage     none was ever served from here")?,
        }
        match self.ring {
            Some(ring) => writeln!(f, "ring        {ring}")?,
            None => writeln!(f, "ring        none: a store of its own")?,
        }
        for (arc, trusted) in &self.arcs {
            writeln!(f, "arc         {arc}{}", if *trusted { "" } else { " (declared damaged)" })?;
        }
        let Tally { records, tombstones, bytes, digest } = self.tally;
        writeln!(
            f,
            "keys        {} and {tombstones} tombstones, {bytes} bytes",
            records - tombstones
        )?;
        writeln!(f, "digest      {digest:016x}")?;
        writeln!(f, "promises    up to {} ms since 1970", self.ceiling.ms())?;
        match self.differing {
            None => writeln!(f, "last stop   not clean: nothing to compare the count with")?,
            Some(0) => writeln!(f, "last stop   clean, and the count is the same now")?,
            Some(cells) => {
                writeln!(
                    f,
                    "last stop   clean, but {cells} of {CELLS} cells hold something else now"
                )?;
            }
        }
        for key in &self.bad_keys {
            writeln!(f, "bad record  {}", key.escape_debug())?;
        }
        if self.is_whole() {
            write!(f, "verdict     whole")
        } else {
            write!(
                f,
                "verdict     DAMAGED: {} bad records. In a ring, start the storage and run 'sdht repair'; alone, \
                 'minor-storage export' saves what is whole.",
                self.bad
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[test]
    fn a_directory_never_served_from_holds_nothing_and_is_whole() {
        let findings = check(&MemoryStore::new()).unwrap();
        assert!(findings.is_whole() && findings.storage.is_none());
        assert!(findings.to_string().contains("verdict     whole"));
    }
}

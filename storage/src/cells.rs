//! The ring cut into 4,096 cells: the unit of exclusion, and of counting.
//!
//! Whoever votes on a key holds its cell for that moment, so a decision and the write that follows from it are one step,
//! and keys of other cells are not held up. A cell also knows
//!
//! * the promises that are above what is accepted, and so must be remembered;
//! * when it was last written to, so that nothing is shown before it is durable;
//! * its tally: what the store should hold of it, whatever the store says later.
//!
//! Arcs come and go, cells stay: a split needs no recount, and the scrub compares one cell at a time while the others serve.

use minor_protocol::{
    Ballot, Key, Position, Span,
    message::Tally,
    record::{Record, mark},
};
use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::store::Mark;

/// How many cells there are.
pub(crate) const CELLS: usize = 1 << CELL_BITS;
const CELL_BITS: u32 = 12;

/// Promises one cell remembers before the storage makes room by raising the floor.
pub(crate) const PROMISES: usize = 32;

/// What is known of one cell.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    promised: HashMap<Key, Ballot>,
    /// When a record of the cell was last put.
    pub(crate) written: Mark,
    /// What the store should hold of the cell.
    pub(crate) tally: Tally,
}

/// All cells.
#[derive(Debug)]
pub(crate) struct Cells {
    cells: Box<[Mutex<Cell>]>,
    /// A bit for each cell that was ever held: all others are empty, and need not be looked at.
    touched: Box<[AtomicU64]>,
}

impl Cells {
    pub(crate) fn new() -> Self {
        let cells = (0..CELLS).map(|_| Mutex::default()).collect();
        Self { cells, touched: (0..CELLS / 64).map(|_| AtomicU64::default()).collect() }
    }

    /// The cell of a place, for as long as the guard is held.
    pub(crate) fn at(&self, place: Position) -> MutexGuard<'_, Cell> {
        self.nth(number(place))
    }

    /// The cell of this number.
    pub(crate) fn nth(&self, number: usize) -> MutexGuard<'_, Cell> {
        let (word, bit) = (&self.touched[number / 64], 1 << (number % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
        // A panic while a cell is held is a bug that ends one request; the cell itself is changed in single steps only.
        self.cells[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cells that may hold anything.
    pub(crate) fn in_use(&self) -> impl Iterator<Item = usize> {
        self.touched.iter().enumerate().flat_map(|(word, bits)| {
            let mut left = bits.load(Ordering::Relaxed);
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as usize)?;
                left &= left - 1;
                Some(64 * word + bit)
            })
        })
    }

    /// Records, tombstones and bytes of a span, the cells at its ends counted in proportion.
    pub(crate) fn about(&self, span: Span) -> [u64; 3] {
        let share = |cell: usize| {
            let whole = span_of(cell);
            let outside: u128 = whole.without(span).into_iter().map(Span::places).sum();
            1.0 - outside as f64 / whole.places() as f64
        };
        let mut sums = [0.0; 3];
        for cell in self.in_use() {
            let tally = self.nth(cell).tally;
            if tally.records > 0 {
                let share = share(cell);
                let counts = [tally.records, tally.tombstones, tally.bytes];
                sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n as f64 * share);
            }
        }
        sums.map(|sum| sum.round() as u64)
    }

    /// The tally of everything.
    pub(crate) fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.in_use().for_each(|cell| add(&mut total, self.nth(cell).tally));
        total
    }
}

/// The number of a place's cell.
pub(crate) fn number(place: Position) -> usize {
    (place.0 >> (64 - CELL_BITS)) as usize
}

/// The stretch of the ring that a cell is.
pub(crate) fn span_of(cell: usize) -> Span {
    let first = (cell as u64) << (64 - CELL_BITS);
    let last = first | (u64::MAX >> CELL_BITS);
    Span::new(Position(first.wrapping_sub(1)), Position(last))
}

impl Cell {
    /// The highest ballot promised for a key since the start, as far as it matters.
    pub(crate) fn promised(&self, key: &Key) -> Ballot {
        self.promised.get(key).copied().unwrap_or_default()
    }

    /// Remembers a promise.
    pub(crate) fn promise(&mut self, key: Key, ballot: Ballot) {
        self.promised.insert(key, ballot);
    }

    /// A record at `accepted` stands for every promise up to it.
    pub(crate) fn accepted(&mut self, key: &Key, accepted: Ballot) {
        if self.promised.get(key).is_some_and(|promised| *promised <= accepted) {
            self.promised.remove(key);
        }
    }

    /// How many promises are remembered.
    pub(crate) fn promises(&self) -> usize {
        self.promised.len()
    }

    /// The promises, lowest first.
    pub(crate) fn promises_by_rank(&self) -> Vec<(Ballot, Key)> {
        let mut all: Vec<_> =
            self.promised.iter().map(|(key, ballot)| (*ballot, key.clone())).collect();
        all.sort_unstable();
        all
    }

    /// Forgets a promise that the floor, or a newer epoch, now stands for.
    pub(crate) fn forget(&mut self, key: &Key) {
        self.promised.remove(key);
    }
}

/// What one whole record adds to a tally, or takes from it.
pub(crate) fn count(name: &[u8], ballot: Ballot, record: &[u8]) -> Tally {
    Tally {
        records: 1,
        tombstones: u64::from(!Record::has_value(record)),
        bytes: (name.len() + record.len()) as u64,
        digest: mark(name, ballot),
    }
}

/// Adds to a tally.
pub(crate) fn add(tally: &mut Tally, more: Tally) {
    tally.records += more.records;
    tally.tombstones += more.tombstones;
    tally.bytes += more.bytes;
    tally.digest ^= more.digest;
}

/// Takes from a tally what was added before.
pub(crate) fn take(tally: &mut Tally, less: Tally) {
    // A disk may show what was never put there: the digest then tells, and the count must not fall below nothing.
    let left = |of: u64, less: u64| of.saturating_sub(less);
    tally.records = left(tally.records, less.records);
    tally.tombstones = left(tally.tombstones, less.tombstones);
    tally.bytes = left(tally.bytes, less.bytes);
    tally.digest ^= less.digest;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_tile_the_ring() {
        let places: u128 = (0..CELLS).map(|c| span_of(c).places()).sum();
        assert_eq!(places, 1 << 64);
        for cell in [0, 1, CELLS / 2, CELLS - 1] {
            let span = span_of(cell);
            assert_eq!((number(span.first()), number(span.to)), (cell, cell));
        }
    }

    #[test]
    fn the_cells_at_the_ends_of_a_span_are_counted_in_proportion() {
        let cells = Cells::new();
        for cell in 0..CELLS {
            cells.nth(cell).tally =
                Tally { records: 100, tombstones: 10, bytes: 1_000, ..Tally::default() };
        }
        assert_eq!(cells.about(Span::WHOLE), [409_600, 40_960, 4_096_000]);
        let half = span_of(7).places() as u64 / 2;
        let span = Span::new(Position(span_of(7).from.0 + half), Position(span_of(9).to.0));
        assert_eq!(cells.about(span), [250, 25, 2_500]);
    }

    #[test]
    fn a_promise_is_forgotten_once_something_as_high_is_accepted() {
        let mut cell = Cell::default();
        let key = Key::new("k").unwrap();
        let ballot = Ballot::first_of;
        cell.promise(key.clone(), ballot(5));
        cell.accepted(&key, ballot(4));
        assert_eq!(cell.promised(&key), ballot(5));
        cell.accepted(&key, ballot(5));
        assert_eq!((cell.promised(&key), cell.promises()), (Ballot::ZERO, 0));
    }
}

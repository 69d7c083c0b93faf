//! What a storage does when nobody asks: in small steps, and never more than one cell of the ring at a time.
//!
//! * **tidy** is urgent: declares damage that was met, makes room for promises, clears spans that were left.
//! * **scrub** is slow: reads the next cell, holds every record against its checksum and the cell against its tally, and
//!   sweeps what is dead in arcs that have no other member. (Where there are others, a router sweeps.)

use super::{Due, PAGE_ROWS, Storage, declare, failed, just_after, row_of, split_row};
use crate::{
    cells::{self, CELLS, Cell, PROMISES},
    store::{Fault, Tree},
};
use minor_protocol::{
    Answer, Key, Record, Refusal, Reply, Span,
    message::{Dead, Tally},
    mutant,
};
use std::sync::PoisonError;

/// What one step of tending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tended {
    /// Something was done; there may be more.
    Some,
    /// There is nothing to do.
    Nothing,
}

/// Where the tending stands.
#[derive(Debug, Default)]
pub(super) struct Tending {
    /// Cells with more promises than should be remembered.
    crowded: Vec<usize>,
    /// The span being cleared and the cell it has come to.
    wiping: Option<(Span, usize)>,
    /// The cell to scrub next.
    scrub: usize,
}

/// What a reading of a whole cell found.
struct Counted {
    tally: Tally,
    /// Records that are not what was put.
    bad: usize,
    dead: Vec<Dead>,
}

impl Storage {
    /// Does one urgent step.
    pub fn tidy(&self) -> Result<Tended, Fault> {
        let met =
            std::mem::take(&mut *self.met_damage.lock().unwrap_or_else(PoisonError::into_inner));
        // In a store of its own a bad record is answered for by itself: there is nobody to fill the rest again.
        if !met.is_empty() && !self.is_plain() {
            let cells: Vec<usize> = met.into_iter().map(cells::number).collect();
            return self.declare_damaged(&cells);
        }
        let crowded = self.tending().crowded.pop();
        if let Some(cell) = crowded {
            return self.make_room_for_promises(cell);
        }
        self.wipe_next()
    }

    /// Scrubs the next cell of the ring, and sweeps what is dead there. Says how many bytes that was.
    pub fn scrub(&self, now_ms: u64) -> Result<u64, Fault> {
        let number = {
            let mut tending = self.tending();
            let number = tending.scrub;
            tending.scrub = (number + 1) % CELLS;
            number
        };
        let span = cells::span_of(number);
        let board = self.board();
        let chart = &board.chart;
        let untrusted = chart.seats().iter().filter(|s| s.damaged).map(|s| s.span);
        if chart.wiping().iter().copied().chain(untrusted).any(|s| s.overlaps(span)) {
            return Ok(0);
        }
        let (dead, bytes) = {
            let cell = self.cells.nth(number);
            let counted = self.count_cell(number, cell.tally.records, now_ms)?;
            // In a store of its own a bad record is answered for by itself; one that is missing would look absent.
            let excused = counted.bad > 0 && chart.ring().is_none();
            if excused || counted.bad == 0 && counted.tally == cell.tally {
                (counted.dead, cell.tally.bytes)
            } else {
                drop((cell, board));
                log::error!("the scrub found damage in {span}: {} records are bad", counted.bad);
                return self.declare_damaged(&[number]).map(|_| 0);
            }
        };
        drop(board);
        if !dead.is_empty() {
            self.sweep_own(&dead, now_ms)?;
        }
        Ok(bytes)
    }

    /// A cell remembers more promises than it should.
    pub(super) fn crowded(&self, cell: usize) {
        self.tending().crowded.push(cell);
    }

    fn tending(&self) -> std::sync::MutexGuard<'_, Tending> {
        self.tending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a cell that its caller holds.
    fn count_cell(&self, number: usize, expected: u64, now_ms: u64) -> Result<Counted, Fault> {
        let last = cells::span_of(number).to;
        let mut counted = Counted { tally: Tally::default(), bad: 0, dead: vec![] };
        // One row more than there should be shows that the cell has ended, and no more of the next is read for it.
        let page = usize::try_from(expected).unwrap_or(PAGE_ROWS).saturating_add(1).min(PAGE_ROWS);
        let mut from = cells::span_of(number).first().0.to_be_bytes().to_vec();
        loop {
            let rows = self.store.scan(Tree::Records, &from, page)?;
            for (row, bytes) in &rows {
                let (place, name) = split_row(row)?;
                if place > last {
                    return Ok(counted);
                }
                let whole = Record::header_in(name, bytes).ok().zip(Key::from_bytes(name).ok());
                let Some(((ballot, header, _), key)) = whole else {
                    counted.bad += 1;
                    continue;
                };
                cells::add(&mut counted.tally, cells::count(name, ballot, bytes));
                if !header.is_alive(now_ms) {
                    counted.dead.push(Dead { key, ballot });
                }
            }
            match rows.last() {
                Some((row, _)) => from = just_after(row),
                None => return Ok(counted),
            }
        }
    }

    /// Declares damaged whatever arcs have a share in these cells.
    fn declare_damaged(&self, cells: &[usize]) -> Result<Tended, Fault> {
        let mut board = self.board_mut();
        let mut chart = board.chart.clone();
        let newly = declare(&mut chart, cells);
        if newly > 0 {
            log::error!("{newly} arcs are answered for no more, until they are filled again");
        }
        self.replace_chart(&mut board, chart).map_err(|_| self.fault())?;
        Ok(Tended::Some)
    }

    /// Drops dead records of arcs that have no other member: all members agree.
    fn sweep_own(&self, dead: &[Dead], now_ms: u64) -> Result<(), Fault> {
        let board = self.board();
        let alone = board.chart.seats().iter().filter(|s| s.arc.members.len() == 1);
        let seats: Vec<(u64, Span)> = alone.map(|s| (s.arc.epoch, s.span)).collect();
        drop(board);
        for (epoch, span) in seats {
            let here: Vec<Dead> =
                dead.iter().filter(|d| span.holds(d.key.position())).cloned().collect();
            for some in here.chunks(DROPPED_AT_ONCE) {
                // Refused when the arc changed since: then it is another's business, or the next round's.
                let _ = self.drop_dead(epoch, some, now_ms, &mut Due::default());
            }
        }
        self.store.health()
    }

    /// Drops what is still exactly as named: first the floor, then the records, so that every prefix of the writes is safe.
    pub(super) fn drop_dead(
        &self,
        epoch: u64,
        dead: &[Dead],
        now_ms: u64,
        due: &mut Due,
    ) -> Answer {
        let mut records = 0;
        for some in dead.chunks(DROPPED_AT_ONCE) {
            let mut board = self.board_mut();
            let Some(first) = some.first() else { break };
            let index = board.chart.admits(first.key.position(), epoch)?;
            let seat = board.chart.seats()[index].clone();
            if seat.arc.filling.is_some() {
                return Err(Refusal::Filling);
            }
            if let Some(stray) = some.iter().find(|d| !seat.span.holds(d.key.position())) {
                let why = format!("key '{}' lies outside {}", stray.key, seat.span);
                return Err(Refusal::Malformed(why));
            }
            // Nobody votes while the board is held, so what is seen now is still so below.
            let mut dropped = vec![];
            for Dead { key, ballot } in some {
                let place = key.position();
                self.spot(key, place, &seat, due, |spot, _| {
                    let header = spot.header()?;
                    if self.own_standing(spot).may_drop(&header, *ballot, now_ms) {
                        let bytes = spot.held.as_ref().map(|(_, bytes)| bytes.as_slice());
                        let name = key.as_str().as_bytes();
                        dropped.push((
                            key,
                            place,
                            cells::count(name, *ballot, bytes.unwrap_or_default()),
                        ));
                    }
                    Ok(())
                })?;
            }
            let Some(floor) = some
                .iter()
                .filter(|d| dropped.iter().any(|(k, ..)| *k == &d.key))
                .map(|d| d.ballot)
                .max()
            else {
                continue;
            };
            let mut chart = board.chart.clone();
            if !mutant::is("M18") {
                chart.swept(index, floor);
            }
            due.on(self.replace_chart(&mut board, chart)?);
            for (key, place, count) in dropped {
                let mut cell = self.cells.at(place);
                let row = row_of(place, key.as_str());
                cell.written = self.store.put(Tree::Records, &row, None).map_err(|f| failed(&f))?;
                cells::take(&mut cell.tally, count);
                if mutant::is("M19") {
                    cell.forget(key);
                }
                due.on(cell.written);
                records += 1;
            }
        }
        Ok(Reply::Dropped { records })
    }

    /// Raises floors over the lower half of a cell's promises and forgets those: every ballot they kept out stays out.
    fn make_room_for_promises(&self, number: usize) -> Result<Tended, Fault> {
        let mut board = self.board_mut();
        let mut chart = board.chart.clone();
        let promises = self.cells.nth(number).promises_by_rank();
        let surplus = promises.len().saturating_sub(PROMISES / 2);
        let mut forgotten = vec![];
        for (ballot, key) in promises.into_iter().take(surplus) {
            match chart.seat_of(key.position()) {
                Some(seat) if chart.seats()[seat].arc.epoch <= ballot.epoch => {
                    chart.raise_floor(seat, ballot);
                }
                // Of an older epoch, or of an arc that was left: it keeps nobody out any more.
                _ => {}
            }
            forgotten.push(key);
        }
        self.replace_chart(&mut board, chart).map_err(|_| self.fault())?;
        let mut cell = self.cells.nth(number);
        forgotten.iter().for_each(|key| cell.forget(key));
        Ok(Tended::Some)
    }

    /// Clears one more cell of what is left of a span that was left.
    fn wipe_next(&self) -> Result<Tended, Fault> {
        let first = self.board().chart.wiping().first().copied();
        let Some(span) = first else { return Ok(Tended::Nothing) };
        let mut tending = self.tending();
        let number = match tending.wiping {
            Some((same, number)) if same == span => number,
            _ => 0,
        };
        // Cells that were never held have nothing to clear.
        let number = self.cells.in_use().find(|cell| *cell >= number).unwrap_or(CELLS);
        tending.wiping = Some((span, number + 1));
        drop(tending);
        if number < CELLS {
            self.wipe_cell(span, number)?;
            return Ok(Tended::Some);
        }
        let mut board = self.board_mut();
        let mut chart = board.chart.clone();
        chart.wiped(span);
        self.replace_chart(&mut board, chart).map_err(|_| self.fault())?;
        self.tending().wiping = None;
        log::info!("cleared {span}, which was left");
        Ok(Tended::Some)
    }

    fn wipe_cell(&self, span: Span, number: usize) -> Result<(), Fault> {
        let whole = cells::span_of(number);
        if !whole.overlaps(span) {
            return Ok(());
        }
        let mut cell = self.cells.nth(number);
        if span.covers(whole) {
            let from = whole.first().0.to_be_bytes();
            let to = whole.to.0.checked_add(1).map(u64::to_be_bytes);
            let to = to.as_ref().map(<[u8; 8]>::as_slice);
            while self.store.purge(Tree::Records, &from, to, PAGE_ROWS)? == PAGE_ROWS {}
            cell.tally = Tally::default();
            return Ok(());
        }
        for piece in whole.without(Span::new(span.to, span.from)) {
            self.wipe_piece(&mut cell, piece)?;
        }
        Ok(())
    }

    /// Removes what lies in a piece of a cell, and takes it out of the cell's tally. What lies beside it stays counted as it
    /// was, so that a loss there is not counted away.
    fn wipe_piece(&self, cell: &mut Cell, piece: Span) -> Result<(), Fault> {
        let from = piece.first().0.to_be_bytes();
        loop {
            let mut removed = 0;
            for (row, bytes) in self.store.scan(Tree::Records, &from, PAGE_ROWS)? {
                let (place, name) = split_row(&row)?;
                if place > piece.to {
                    break;
                }
                // What is bad was never counted, or is damage that the next start finds.
                if let Ok(ballot) = Record::ballot_in(name, &bytes) {
                    cells::take(&mut cell.tally, cells::count(name, ballot, &bytes));
                }
                self.store.put(Tree::Records, &row, None)?;
                removed += 1;
            }
            if removed == 0 {
                return Ok(());
            }
        }
    }

    fn fault(&self) -> Fault {
        self.store.health().err().unwrap_or(Fault::Closed)
    }
}

/// Records dropped while the board is held.
const DROPPED_AT_ONCE: usize = 100;

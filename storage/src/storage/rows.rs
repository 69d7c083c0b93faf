//! Reading many records: listings, counts, the middle of an arc. None of it holds a lock for longer than one page.

use super::{Due, Durability, PAGE_ROWS, Storage, failed, just_after, row_of, split_row};
use crate::{
    cells,
    store::{Mark, Tree},
};
use minor_protocol::{
    Answer, Ballot, Key, Position, Record, Refusal, Reply, Span, limits,
    message::{Held, Row, Tally},
    record::Header,
};

/// A record as a reading of many shows it.
pub(super) struct Seen<'a> {
    pub(super) place: Position,
    pub(super) name: &'a [u8],
    pub(super) ballot: Ballot,
    pub(super) bytes: &'a [u8],
}

/// Bytes of a row of a listing beside its key.
const ROW_BYTES: usize = 60;

/// Whether a reading goes on.
#[derive(PartialEq, Eq)]
pub(super) enum Go {
    On,
    Enough,
}

impl Storage {
    /// Shows every record of a span, in ring order, beginning behind `after`, to `see`. A record that is not whole ends the
    /// reading: it must not look like an absent one.
    pub(super) fn each(
        &self,
        span: Span,
        after: Option<&Key>,
        mut see: impl FnMut(Seen<'_>) -> Go,
    ) -> Result<(), Refusal> {
        let after = after.filter(|key| span.holds(key.position()));
        let mut behind =
            after.map(|key| row_of(key.position(), key.as_str())).map(|row| just_after(&row));
        for (first, last) in stretches(span, after.map(Key::position)) {
            // The first stretch is the one that holds `after`, if any does; the others begin at their beginning.
            let start = first.0.to_be_bytes().to_vec();
            let mut from = behind.take().map_or(start.clone(), |behind| behind.max(start));
            loop {
                let rows =
                    self.store.scan(Tree::Records, &from, PAGE_ROWS).map_err(|f| failed(&f))?;
                for (row, bytes) in &rows {
                    let (place, name) = split_row(row).map_err(|f| failed(&f))?;
                    if place > last {
                        break;
                    }
                    let ballot = Record::ballot_in(name, bytes).map_err(|_| {
                        log::error!("a record at {place} is damaged");
                        Refusal::Damaged { span }
                    })?;
                    if see(Seen { place, name, ballot, bytes }) == Go::Enough {
                        return Ok(());
                    }
                }
                match rows.last() {
                    Some((row, _)) if row[..8] <= last.0.to_be_bytes()[..] => {
                        from = just_after(row);
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// Refuses unless the whole span is answered for in exactly this epoch. Checked before and after a reading: records are
    /// only cleared away once a newer epoch was learned, so what was read in between was all there.
    fn admits_span(&self, span: Span, epoch: u64) -> Result<(), Refusal> {
        self.board().chart.admits_span(span, epoch).map(drop)
    }

    fn read_span<T>(
        &self,
        span: Span,
        epoch: u64,
        due: &mut Due,
        read: impl FnOnce() -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        due.on(self.board().written);
        self.admits_span(span, epoch)?;
        let found = read()?;
        due.on(self.board().written);
        self.admits_span(span, epoch)?;
        if self.durability == Durability::Always {
            due.on(self.written_in(span));
        }
        Ok(found)
    }

    /// When the span was last written to.
    pub(super) fn written_in(&self, span: Span) -> Mark {
        let cells = self.cells.in_use().filter(|cell| cells::span_of(*cell).overlaps(span));
        cells.map(|cell| self.cells.nth(cell).written).max().unwrap_or_default()
    }

    pub(super) fn list(
        &self,
        span: Span,
        epoch: u64,
        after: Option<&Key>,
        limit: u32,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        let limit = limit.clamp(1, limits::LIST_ROWS) as usize;
        self.read_span(span, epoch, due, || {
            let (mut rows, mut bytes) = (vec![], 0);
            let mut more = false;
            let mut odd = None;
            self.each(span, after, |seen| {
                if rows.len() == limit {
                    more = true;
                    return Go::Enough;
                }
                match row(&seen) {
                    Some(row) => {
                        bytes += row.key.as_str().len() + ROW_BYTES;
                        rows.push(row);
                        Go::On
                    }
                    None => {
                        odd = Some(Refusal::Damaged { span });
                        Go::Enough
                    }
                }
            })?;
            *room = room.checked_sub(bytes).ok_or(Refusal::TooMuch)?;
            odd.map_or(Ok(Reply::Listed { rows, more }), Err)
        })
    }

    /// The records themselves, for whoever is to be filled with them.
    pub(super) fn records(
        &self,
        span: Span,
        epoch: u64,
        after: Option<&Key>,
        due: &mut Due,
        room: &mut usize,
    ) -> Answer {
        self.read_span(span, epoch, due, || {
            let (mut records, mut bytes, mut more) = (vec![], 0, false);
            let mut odd = None;
            self.each(span, after, |seen| {
                if bytes >= limits::PAGE_BYTES || records.len() == limits::LIST_ROWS as usize {
                    more = true;
                    return Go::Enough;
                }
                let record = Record::from_bytes(seen.name, seen.bytes);
                let (Ok(key), Ok(record)) = (Key::from_bytes(seen.name), record) else {
                    odd = Some(Refusal::Damaged { span });
                    return Go::Enough;
                };
                bytes += seen.name.len() + seen.bytes.len();
                records.push(Held { key, record });
                Go::On
            })?;
            *room = room.checked_sub(bytes).ok_or(Refusal::TooMuch)?;
            odd.map_or(Ok(Reply::Records { records, more }), Err)
        })
    }

    /// What the storage should hold of a span, as it counts all the time: no record is read but in the cells at the ends.
    pub(super) fn tally(&self, span: Span, epoch: u64, due: &mut Due) -> Answer {
        self.read_span(span, epoch, due, || {
            let mut tally = Tally::default();
            self.each_part(span, |_, part| {
                cells::add(&mut tally, part);
                Go::On
            })?;
            Ok(Reply::Tallied { tally })
        })
    }

    /// The place up to which at least so many of the span's bytes lie. It needs no lock: any cut is a right cut, a good one
    /// is only fairer.
    pub(super) fn cut(&self, span: Span, epoch: u64, bytes: u64) -> Answer {
        self.admits_span(span, epoch)?;
        let (mut below, mut in_part) = (0, None);
        self.each_part(span, |part, tally| {
            if below + tally.bytes >= bytes {
                in_part = Some(part);
                return Go::Enough;
            }
            below += tally.bytes;
            Go::On
        })?;
        let mut at: Option<Position> = None;
        if let Some(part) = in_part {
            self.each(part, None, |seen| {
                if below >= bytes && at != Some(seen.place) && at.is_some() {
                    return Go::Enough;
                }
                below += (seen.name.len() + seen.bytes.len()) as u64;
                at = Some(seen.place);
                Go::On
            })?;
        }
        self.admits_span(span, epoch)?;
        Ok(Reply::Cut { at: at.filter(|at| *at != span.to) })
    }

    /// The parts of a span in ring order, none longer than a cell, each with its tally. Cells are counted already; only what
    /// lies in a part of one is read.
    fn each_part(&self, span: Span, mut see: impl FnMut(Span, Tally) -> Go) -> Result<(), Refusal> {
        for (first, last) in stretches(span, None) {
            let (from, to) = (cells::number(first), cells::number(last));
            for cell in self.cells.in_use().filter(|cell| (from..=to).contains(cell)) {
                let whole = cells::span_of(cell);
                let begin = whole.first().max(first);
                let part = Span::new(Position(begin.0.wrapping_sub(1)), whole.to.min(last));
                let tally = if part == whole {
                    self.cells.nth(cell).tally
                } else {
                    let mut read = Tally::default();
                    self.each(part, None, |seen| {
                        cells::add(&mut read, cells::count(seen.name, seen.ballot, seen.bytes));
                        Go::On
                    })?;
                    read
                };
                if tally.records > 0 && see(part, tally) == Go::Enough {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// A span as stretches that do not cross the top of the ring, in ring order, from the one that holds `from` on.
fn stretches(span: Span, from: Option<Position>) -> Vec<(Position, Position)> {
    let (first, last) = (span.first(), span.to);
    let all = if first <= last {
        vec![(first, last)]
    } else {
        vec![(first, Position(u64::MAX)), (Position(0), last)]
    };
    let begin =
        from.and_then(|p| all.iter().position(|(a, b)| (*a..=*b).contains(&p))).unwrap_or(0);
    all[begin..].to_vec()
}

/// A record's row in a listing; none if its bytes are no record after all.
pub(super) fn row(seen: &Seen<'_>) -> Option<Row> {
    let (_, header, length) = Record::header_in(seen.name, seen.bytes).ok()?;
    let key = Key::from_bytes(seen.name).ok()?;
    let dead_from_ms = dead_from(&header);
    Some(Row { key, ballot: seen.ballot, dead_from_ms, bytes: length as u32 })
}

fn dead_from(header: &Header) -> Option<u64> {
    header.content.as_ref().map_or(Some(0), |content| content.expires_ms)
}

//! A storage as people meet it with curl: a key/value store of its own while it is in no ring; in a ring, a look at its own
//! copy.
//!
//! The plain store is the smallest ring there is: one arc, one member, epoch 0. Its changes are the one-step changes of any
//! arc with one member, only that the storage draws the ballots itself.

use super::{
    Due, Storage, Worked, own_ballot,
    rows::{Go, Seen, row},
};
use minor_protocol::{
    Answer, Key, Member, Operation, Position, Record, Refusal, RingArc, Span, Stamp, State,
    message::{Row, Show, ShownContent},
};
use std::sync::PoisonError;

/// Where a key that is not kept here may be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// At this storage, or nearer to it.
    There(Member),
    /// Nobody knows.
    Unknown,
}

/// What this storage itself holds of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// It keeps the key's arc, and this is its own copy; none if there is no value.
    Copy(Option<State>),
    /// It does not keep the arc.
    Elsewhere(Elsewhere),
}

/// A key with a value, as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The key.
    pub key: Key,
    /// Its last change.
    pub stamp: Stamp,
    /// Bytes of its value.
    pub bytes: u32,
    /// When it counts as deleted.
    pub expires_ms: Option<u64>,
}

/// A page of the keys a storage keeps, in ring order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys that have a value.
    pub rows: Vec<Line>,
    /// Where to go on; none at the end.
    pub next: Option<Key>,
}

/// Records one page reads at the most, however few of them match.
const READ_AT_MOST: usize = 10_000;

impl Storage {
    /// Whether it is a store of its own.
    pub fn is_plain(&self) -> bool {
        self.board().chart.ring().is_none()
    }

    /// Looks a key up in this storage's own copy, in whatever epoch.
    pub fn look(&self, key: &Key, now_ms: u64) -> Worked<Result<Local, Refusal>> {
        let mut due = Due::default();
        let answer = self.look_now(key, now_ms, &mut due);
        self.worked(answer, due)
    }

    fn look_now(&self, key: &Key, now_ms: u64, due: &mut Due) -> Result<Local, Refusal> {
        self.store.health().map_err(|f| super::failed(&f))?;
        let place = key.position();
        let board = self.board();
        let Some(seat) = board.chart.seat_of(place).map(|index| &board.chart.seats()[index]) else {
            drop(board);
            return Ok(Local::Elsewhere(self.nearest(place)));
        };
        due.on(board.written);
        if seat.damaged {
            return Err(Refusal::Damaged { span: seat.span });
        }
        if seat.arc.filling == Some(self.me.storage) {
            // What it lacks is no sign of absence yet.
            return Err(Refusal::Filling);
        }
        self.spot(key, place, seat, due, |spot, _| {
            let Some(shown) = spot.show(Show::Whole, &mut usize::MAX.clone())? else {
                return Ok(Local::Copy(None));
            };
            let ShownContent::Whole(state) = shown.content else {
                unreachable!("the whole was asked for");
            };
            Ok(Local::Copy(Some(state).filter(|s| s.header.is_alive(now_ms))))
        })
    }

    /// Changes a key of the storage's own store. Refused in a ring: there, routers write.
    pub fn change_alone(&self, key: &Key, operation: Operation, now_ms: u64) -> Worked<Answer> {
        let mut due = Due::default();
        let answer = self.change_alone_now(key, operation, now_ms, &mut due);
        self.worked(answer, due)
    }

    fn change_alone_now(
        &self,
        key: &Key,
        operation: Operation,
        now_ms: u64,
        due: &mut Due,
    ) -> Answer {
        self.store.health().map_err(|f| super::failed(&f))?;
        if self.is_stopping() {
            return Err(Refusal::Stopping);
        }
        let place = key.position();
        let board = self.board();
        if board.chart.ring().is_some() {
            return Err(Refusal::NotAlone);
        }
        due.on(board.written);
        let seat = &board.chart.seats()[board.chart.admits(place, 0)?];
        self.spot(key, place, seat, due, |spot, due| {
            let standing = self.own_standing(spot);
            // Drawn while the cell is held, and above all that stands here: the storage's own ballots never lose.
            let clock = {
                let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
                let top = standing.floor.max(standing.accepted).max(standing.promised);
                clock.see(top.clock);
                clock.tick(now_ms)
            };
            let ballot = own_ballot(self.me.storage, clock);
            self.change_at(
                spot,
                standing,
                ballot,
                ballot,
                operation,
                now_ms,
                due,
                &mut usize::MAX.clone(),
            )
        })
    }

    /// The known storage nearest before or at a place, going clockwise.
    fn nearest(&self, place: Position) -> Elsewhere {
        let board = self.board();
        if let Some(note) = board.chart.notes().iter().find(|note| note.span.holds(place)) {
            return Elsewhere::There(note.arc.first().clone());
        }
        let arcs = board.chart.seats().iter().map(|s| &s.arc);
        let ends: Vec<&RingArc> = arcs.chain(board.chart.notes().iter().map(|n| &n.arc)).collect();
        // The one whose end is the fewest steps behind the place; it keeps, or its successors do, what comes next.
        let nearest = ends
            .iter()
            .filter(|arc| !arc.has(self.me.storage) || arc.first().storage != self.me.storage);
        let nearest = nearest.min_by_key(|arc| place.after(arc.span.to));
        if let Some(arc) = nearest {
            return Elsewhere::There(arc.first().clone());
        }
        match board.hints.successors.first().or(board.hints.predecessor.as_ref()) {
            Some(neighbour) => Elsewhere::There(neighbour.member.clone()),
            None => Elsewhere::Unknown,
        }
    }

    /// A page of the keys kept here that begin with `prefix`, behind `after`. The router's own are shown only to those who
    /// ask for them.
    pub fn page(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
        now_ms: u64,
    ) -> Worked<Result<Page, Refusal>> {
        let mut due = Due::default();
        let page = self.page_now(prefix, after, limit, now_ms);
        // What was read may be newer than the last commit; one commit covers it all.
        due.on(self.written_in(Span::WHOLE));
        self.worked(page, due)
    }

    fn page_now(
        &self,
        prefix: &str,
        after: Option<&Key>,
        limit: usize,
        now_ms: u64,
    ) -> Result<Page, Refusal> {
        let spans: Vec<(Span, bool)> =
            self.board().chart.seats().iter().map(|s| (s.span, s.damaged)).collect();
        if let Some((span, _)) = spans.iter().find(|(_, damaged)| *damaged) {
            return Err(Refusal::Damaged { span: *span });
        }
        let asked_for = |key: &Key| {
            key.as_str().starts_with(prefix)
                && (!key.is_reserved() || prefix.starts_with(Key::RESERVED))
        };
        let mut page = Page::default();
        let mut read = 0;
        let mut last = None;
        let mut full = false;
        // The whole ring, from its top on, in the order of places: spans that were left are passed over.
        self.each(Span::WHOLE, after, |seen| {
            if page.rows.len() == limit || read == READ_AT_MOST {
                full = true;
                return Go::Enough;
            }
            read += 1;
            if let Some(row) = row(&seen) {
                last = Some(row.key.clone());
                let kept = spans.iter().any(|(span, _)| span.holds(seen.place));
                if kept && asked_for(&row.key) {
                    page.rows.extend(line(&seen, row, now_ms));
                }
            }
            Go::On
        })?;
        page.next = last.filter(|_| full);
        Ok(page)
    }
}

/// The line of a record that is alive.
fn line(seen: &Seen<'_>, row: Row, now_ms: u64) -> Option<Line> {
    let (_, header, _) = Record::header_in(seen.name, seen.bytes).ok()?;
    let stamp = header.stamp().filter(|_| header.is_alive(now_ms))?;
    Some(Line { key: row.key, stamp, bytes: row.bytes, expires_ms: row.dead_from_ms })
}

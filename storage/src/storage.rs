//! The whole service as one function: many requests in, as many answers out.
//!
//! ```text
//!            ask                                             answers
//!   HTTP ──────────▶ answer = work, then wait for one commit ──────────▶
//!   simulation ────▶             │
//!                                ├── keys   votes on records        ┐ decided by the acceptors,
//!                                ├── arcs   votes on decrees        ┘ done here
//!                                ├── rows   listings and counts
//!                                └── plain  a store of its own, while in no ring
//!            tend ── wiping, sweeping, scrubbing, in small steps
//! ```
//!
//! A storage takes two locks, always in this order: the board (which arcs it keeps: many readers, or one who changes them)
//! and one cell (the keys of 1/4096 of the ring). Learning an arc thus excludes every request while the chart is replaced,
//! some microseconds; a vote excludes only the votes on neighbouring keys.
//!
//! Nothing is answered before what it tells of is durable: every request notes the [`Mark`](crate::store::Mark) of whatever
//! it wrote or read that is not durable yet, and one commit at the end covers the whole ask.

mod arcs;
mod keys;
mod plain;
mod rows;
mod tend;

pub use plain::{Elsewhere, Local, Page};
pub use tend::Tended;

use crate::{
    acceptors::chart::Chart,
    ceiling::Ceiling,
    cells::{self, CELLS, Cells},
    notebook,
    store::{Commit, Fault, Mark, Room, Stats, Store, Tree},
};
use minor_protocol::{
    Answer, Answers, Ask, Ballot, HybridClock, Member, Position, Refusal, Reply, Request,
    StorageId, limits,
    message::{Hello, Neighbour, Tally},
    record::Record,
};
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
    atomic::{AtomicBool, Ordering},
};

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it would survive a power cut.
    Always,
    /// At once; it would survive a power cut half a second later. Votes on arcs and the ceiling are durable first all the
    /// same.
    Interval,
}

/// What a storage is told when it is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The id it takes if its data has none yet.
    pub fresh_id: StorageId,
    /// Where others reach it.
    pub address: String,
    /// What it shares its fate with; may be empty.
    pub zone: String,
    /// When it acknowledges.
    pub durability: Durability,
}

/// A storage: keeps records, votes when asked.
pub struct Storage {
    store: Arc<dyn Store>,
    me: Member,
    /// How often this storage was started, this time included.
    starts: u64,
    durability: Durability,
    board: RwLock<Board>,
    cells: Cells,
    ceiling: Ceiling,
    /// For changes of its own, while it is in no ring.
    clock: Mutex<HybridClock>,
    stopping: AtomicBool,
    /// Places where damage was met and is still to be declared.
    met_damage: Mutex<Vec<Position>>,
    tending: Mutex<tend::Tending>,
}

/// What everybody reads and few change.
struct Board {
    chart: Chart,
    hints: Hints,
    /// When the chart was last put.
    written: Mark,
}

/// The storages around, as routers last said.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Hints {
    predecessor: Option<Neighbour>,
    successors: Vec<Neighbour>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) storage: StorageId,
    pub(crate) starts: u64,
}

/// What must be durable before the answers to an ask are shown.
#[derive(Debug, Default)]
struct Due {
    mark: Option<Mark>,
}

impl Due {
    fn on(&mut self, mark: Mark) {
        self.mark = self.mark.max(Some(mark));
    }
}

/// Answers that wait for a commit.
#[must_use]
pub struct Worked<T> {
    answer: T,
    commit: Option<Commit>,
}

impl<T> Worked<T> {
    /// The answer, once all it tells of is durable.
    pub async fn settled(self) -> Result<T, Fault> {
        match self.commit {
            None => Ok(self.answer),
            Some(commit) => commit.await.map(|()| self.answer),
        }
    }

    /// The same, on a thread that may wait.
    pub fn wait(self) -> Result<T, Fault> {
        match self.commit {
            None => Ok(self.answer),
            Some(commit) => commit.wait().map(|()| self.answer),
        }
    }
}

const IDENTITY: &str = "identity";
const CHART: &str = "chart";
const HINTS: &str = "hints";
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
pub(crate) fn ceiling(store: &dyn Store) -> Result<minor_protocol::Moment, Fault> {
    Ceiling::found(store).map(|ceiling| ceiling.past)
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
        bad.extend(differing(&store.farewell(), &cells));
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

    /// Answers an ask: the whole service. `now_ms` is the time, and may be wrong; it decides nothing but expiry and how far
    /// ahead the storage promises.
    pub async fn answer(&self, ask: Ask, now_ms: u64) -> Answers {
        let (storage, starts, count) = (self.me.storage, self.starts, ask.requests.len());
        self.work(ask, now_ms).settled().await.unwrap_or_else(|fault| {
            let answers = vec![Err(failed(&fault)); count];
            Answers { storage, starts, answers }
        })
    }

    /// Does what an ask asks for, up to waiting for the commit.
    pub fn work(&self, ask: Ask, now_ms: u64) -> Worked<Answers> {
        let mut due = Due::default();
        let mut room = limits::ANSWER_BYTES;
        let stranger = self.meets(&ask).err();
        let answers = ask.requests.into_iter().map(|request| {
            match (&stranger, &request) {
                // Whoever asks who this is may be mistaken about it.
                (_, Request::Hello) | (None, _) => {}
                (Some(refusal), _) => return Err(refusal.clone()),
            }
            self.answer_one(request, now_ms, &mut due, &mut room)
        });
        let answers = answers.collect();
        self.worked(Answers { storage: self.me.storage, starts: self.starts, answers }, due)
    }

    /// Whether the ask is meant for this storage in this ring, and nobody has seen more of it than it knows itself.
    fn meets(&self, ask: &Ask) -> Result<(), Refusal> {
        let ring = self.board().chart.ring();
        let entering = |r: &Request| matches!(r, Request::Found { .. } | Request::Enter { .. });
        let same_ring = ask.ring == ring || ask.requests.iter().all(entering);
        if ask.storage != Some(self.me.storage) || !same_ring {
            return Err(Refusal::Stranger { storage: self.me.storage, ring });
        }
        if ask.starts > self.starts {
            self.restored(ask.starts);
            return Err(Refusal::Restored { counted: self.starts, seen: ask.starts });
        }
        if self.is_stopping() {
            return Err(Refusal::Stopping);
        }
        self.store.health().map_err(|fault| failed(&fault))
    }

    fn answer_one(&self, request: Request, now_ms: u64, due: &mut Due, room: &mut usize) -> Answer {
        request.check()?;
        match request {
            Request::Prepare { key, ballot, show } => {
                self.prepare(key, ballot, show, now_ms, due, room)
            }
            Request::Accept { key, ballot, state } => self.accept(&key, ballot, state, now_ms, due),
            Request::Read { key, epoch, show } => self.read(&key, epoch, show, due, room),
            Request::Change { key, ballot, id, now_ms: asked_ms, operation } => {
                self.change(key, ballot, id, operation, now_ms, asked_ms, due, room)
            }
            Request::Copy { key, epoch, record } => self.copy(&key, epoch, record, due),
            Request::Drop { epoch, dead } => self.drop_dead(epoch, &dead, now_ms, due),
            Request::List { span, epoch, after, limit } => {
                self.list(span, epoch, after.as_ref(), limit, due)
            }
            Request::Tally { span, epoch } => self.tally(span, epoch, due),
            Request::Median { span, epoch } => self.median(span, epoch),
            Request::PrepareDecree { arc, ballot } => {
                self.prepare_decree(&arc, ballot, now_ms, due)
            }
            Request::AcceptDecree { arc, ballot, decree } => {
                self.accept_decree(&arc, ballot, &decree, now_ms, due)
            }
            Request::Learn { arcs } => self.learn(&arcs, due),
            Request::Hello => Ok(Reply::Hello(Box::new(self.hello(due)))),
            Request::Found { ring, copies } => self.found(ring, copies, due),
            Request::Enter { ring, plain } => self.enter(ring, plain, due),
            Request::Rewire { predecessor, successors } => {
                self.rewire(predecessor, successors, due)
            }
        }
    }

    fn worked<T>(&self, answer: T, due: Due) -> Worked<T> {
        let durable = due.mark.is_none_or(|mark| self.store.is_durable(mark));
        Worked { answer, commit: (!durable).then(|| self.store.commit()) }
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
        self.store.close(&minor_protocol::wire::encode(&tallies))
    }

    /// Who it is.
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// How often it was started.
    pub fn starts(&self) -> u64 {
        self.starts
    }

    /// Who it is and what it knows of the ring, for people: as it stands, durable or not.
    pub fn hello_now(&self) -> Hello {
        self.hello(&mut Due::default())
    }

    /// Which arcs it keeps and which it knows.
    pub fn chart(&self) -> Chart {
        self.board().chart.clone()
    }

    /// Whether it was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// From now on it answers nothing but who it is.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// What the whole storage holds.
    pub fn total(&self) -> Tally {
        self.cells.total()
    }

    /// Figures of the store.
    pub fn stats(&self) -> Stats {
        self.store.stats()
    }

    /// Whether there is room to write.
    pub fn room(&self) -> Room {
        self.store.room()
    }

    /// The fault that ends this storage, if it met one.
    pub fn health(&self) -> Result<(), Fault> {
        self.store.health()
    }

    /// Asks that everything be made durable, without waiting: what [`Durability::Interval`] does now and then.
    pub fn commit(&self) -> Commit {
        self.store.commit()
    }

    /// When it acknowledges.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    fn board(&self) -> RwLockReadGuard<'_, Board> {
        self.board.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn board_mut(&self) -> RwLockWriteGuard<'_, Board> {
        self.board.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the chart, on disk first. Its caller holds the board.
    fn replace_chart(&self, board: &mut Board, chart: Chart) -> Result<Mark, Refusal> {
        if board.chart != chart {
            board.written = notebook::write(&*self.store, CHART, &chart).map_err(|f| failed(&f))?;
            board.chart = chart;
        }
        Ok(board.written)
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
            Err(_) => bad.push(cells::number(place)),
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
        let Some((last, _)) = rows.last().filter(|_| rows.len() == PAGE_ROWS) else {
            return Ok(());
        };
        from = just_after(last);
    }
}

/// The cells whose count is not the one left at the last clean stop. After a crash there is none to compare with.
pub(crate) fn differing(farewell: &crate::store::Farewell, cells: &Cells) -> Vec<usize> {
    use crate::store::Farewell;
    let left: Option<Vec<(u32, Tally)>> = match farewell {
        Farewell::None => return vec![],
        Farewell::Unreadable => None,
        Farewell::Left(bytes) => minor_protocol::wire::decode(bytes).ok(),
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
fn declare(chart: &mut Chart, bad: &[usize]) -> usize {
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
const PAGE_ROWS: usize = 1_000;

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

fn just_after(row: &[u8]) -> Vec<u8> {
    [row, &[0]].concat()
}

fn failed(fault: &Fault) -> Refusal {
    Refusal::Failed(fault.to_string())
}

/// The ballot a storage in no ring gives its own changes.
fn own_ballot(me: StorageId, clock: minor_protocol::Moment) -> Ballot {
    Ballot { epoch: 0, clock, router: me.0 as u64, seq: 0 }
}

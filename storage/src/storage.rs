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
//! Nothing is answered before what it tells of is durable: every request notes the [`Mark`] of whatever
//! it wrote or read that is not durable yet, and one commit at the end covers the whole ask.

mod arcs;
mod keys;
mod opening;
mod plain;
mod rows;
mod tend;

use opening::{CHART, HINTS, PAGE_ROWS, declare};
pub(crate) use opening::{
    UNFINISHED, ceiling, chart, differing, each_row, identity, just_after, row_of, split_row, trust,
};
pub use plain::{Elsewhere, Line, Local, Page};
pub use tend::Tended;

use crate::{
    acceptors::chart::Chart,
    ceiling::Ceiling,
    cells::Cells,
    notebook,
    store::{Commit, Fault, Mark, Room, Stats, Store},
};
use minor_protocol::{
    Answer, Answers, Ask, Ballot, HybridClock, Member, Position, Refusal, Reply, Request,
    StorageId, limits,
    message::{Hello, Neighbour, Tally},
    mutant,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Hints {
    predecessor: Option<Neighbour>,
    successors: Vec<Neighbour>,
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

impl Storage {
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
        let mut long = 0;
        let answers = ask.requests.into_iter().map(|request| {
            long += usize::from(request.is_long());
            if request.is_long() && long > limits::ASK_LONG {
                return Err(Refusal::TooMuch);
            }
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
            Request::Inherit { span, epoch, swept } => self.inherit(span, epoch, swept, due),
            Request::Drop { epoch, dead } => self.drop_dead(epoch, &dead, now_ms, due),
            Request::List { span, epoch, after, limit } => {
                self.list(span, epoch, after.as_ref(), limit, due, room)
            }
            Request::Fill { epoch, records } => self.fill(epoch, records, due),
            Request::Records { span, epoch, after } => {
                self.records(span, epoch, after.as_ref(), due, room)
            }
            Request::Tally { span, epoch } => self.tally(span, epoch, due),
            Request::Cut { span, epoch, bytes } => self.cut(span, epoch, bytes),
            Request::PrepareDecree { arc, ballot } => {
                self.prepare_decree(&arc, ballot, now_ms, due)
            }
            Request::AcceptDecree { arc, ballot, decree } => {
                self.accept_decree(&arc, ballot, &decree, now_ms, due)
            }
            Request::Learn { arcs } => self.learn(&arcs, due),
            Request::Restart { restart } => self.restart(&restart, due),
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
        let commit = (!durable).then(|| self.store.commit());
        Worked { answer, commit: commit.filter(|_| !mutant::is("M20")) }
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

fn failed(fault: &Fault) -> Refusal {
    Refusal::Failed(fault.to_string())
}

/// The ballot a storage in no ring gives its own changes.
fn own_ballot(me: StorageId, clock: minor_protocol::Moment) -> Ballot {
    Ballot { epoch: 0, clock, router: me.0 as u64, seq: 0 }
}

//! The store on a real disk: sled keeps the order and the log, one thread of ours makes it durable.
//!
//! sled's `flush` writes its log into the kernel's cache and calls that done. So after it we sync the log's file through a
//! descriptor of our own, and because a sync costs the same for one put as for a thousand, one thread does it for everybody:
//! it gathers all who wait, flushes and syncs once, and answers them all. While it does, the next group gathers.
//!
//! sled panics where it meets what it does not expect, so every call into it is guarded, and the first panic or error ends
//! the store: from then on nothing is put or committed, and a failed flush or sync is never tried again.
//!
//! In the directory, beside sled's own files (`db`, `conf`, `blobs`, `snap.*`): `witness`, `ballast`, `farewell`. sled's default
//! tree, which always exists, holds nothing but the number of the last group: see `store::witness`.
//!
//! Its cache is kept within its bounds by looking at large values more than once: see `store::sled::looks`.
//!
//! What it does not do: look for damage sled itself does not notice. That is what checksums inside the values are for.

mod faults;
mod looks;

use self::{
    faults::{disk, panicked},
    looks::Looks,
};
use super::{
    Commit, Farewell, Fault, MAX_VALUE, Mark, Room, Row, Stats, Store, Tree, durable, farewell,
    room::{self, Gauge},
    some_rows,
    witness::Witness,
};
use std::{
    fs::{DirBuilder, File, TryLockError},
    io, iter,
    ops::Bound,
    os::unix::fs::DirBuilderExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::sync::oneshot;

/// A leaf keeps up to 16 values in one page, and a page must stay well below a quarter of a segment to stay in the log.
const SEGMENT_BYTES: usize = 8 << 20;
/// sled collects its garbage only at this beat.
const GARBAGE_EVERY_MS: u64 = 500;
/// How often room is looked at when nobody commits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// In sled's default tree: the number of the last group.
const NUMBER: &[u8] = b"number";

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of memory for sled's cache. The process will use up to one and a half times as much.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 256 << 20 }
    }
}

/// A store in a directory. Dropping it ends its thread; only [`Store::close`] leaves a farewell.
#[derive(Debug)]
pub struct SledStore {
    engine: std::sync::Arc<Engine>,
    asks: Sender<Ask>,
    thread: Mutex<Option<JoinHandle<Result<(), Fault>>>>,
    farewell: Mutex<Farewell>,
}

/// What the commit thread is asked.
#[derive(Debug)]
enum Ask {
    Durable(oneshot::Sender<Result<(), Fault>>),
    /// Make everything durable once more, then end.
    End,
}

impl SledStore {
    /// Opens the store in `dir`, or makes a new one. What it finds there is durable when this returns.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Fault> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(disk("making the directory")(error));
            }
            _ => {}
        }
        let farewell = farewell::read(dir);
        // Before sled, which needs some room to open: on a full disk this throws off the ballast.
        let mut gauge = Gauge::new(dir);
        let engine = std::sync::Arc::new(Engine::open(dir, options)?);
        engine.set_room(gauge.look());
        let (asks, asked) = channel();
        let thread = thread::Builder::new().name("commit".into()).spawn({
            let engine = engine.clone();
            move || serve(&engine, &asked, gauge)
        });
        let thread = Mutex::new(Some(thread.map_err(disk("starting the commit thread"))?));
        Ok(Self { engine, asks, thread, farewell: Mutex::new(farewell) })
    }

    /// Ends the commit thread after a last group; does nothing the second time.
    fn end(&self) -> Result<(), Fault> {
        let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(());
        };
        let _ = self.asks.send(Ask::End);
        thread.join().unwrap_or_else(|panic| Err(panicked("committing", &*panic)))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let _ = self.end();
        if self.engine.broken().is_err() {
            // When one of sled's threads has died, dropping sled waits for it for ever. The process is about to end anyway.
            std::mem::forget(self.engine.clone());
        }
    }
}

impl Store for SledStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        self.engine.open_to_readers()?;
        let tree = self.engine.tree(tree);
        let value = self.engine.guard("reading", || {
            let value = tree.get(key)?;
            self.engine.look_again(tree, key, value.as_ref().map_or(0, |value| value.len()))?;
            Ok(value)
        })?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn put(&self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<Mark, Fault> {
        self.engine.open_to_writers()?;
        let tree = self.engine.tree(tree);
        match value {
            Some(value) if value.len() > MAX_VALUE => {
                return Err(Fault::TooLarge { bytes: value.len() });
            }
            Some(value) => self.engine.guard("writing", || {
                tree.insert(key, value)?;
                self.engine.look_again(tree, key, value.len())
            })?,
            None => self.engine.guard("removing", || {
                let removed = tree.remove(key)?;
                self.engine.look_again(tree, key, removed.map_or(0, |value| value.len()))
            })?,
        }
        Ok(self.engine.mark())
    }

    fn commit(&self) -> Commit {
        if let Err(fault) = self.engine.open_to_writers() {
            return Commit::known(Err(fault));
        }
        let (tell, commit) = Commit::waiting();
        // If the thread has ended, `tell` is dropped with the ask, and the commit ends as closed.
        let _ = self.asks.send(Ask::Durable(tell));
        commit
    }

    fn is_durable(&self, mark: Mark) -> bool {
        mark.0 < self.engine.durable.load(Ordering::Acquire)
    }

    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        self.engine.open_to_readers()?;
        let tree = self.engine.tree(tree);
        self.engine.guard("scanning", || {
            let rows = tree.range(from..).map(|row| {
                let (key, value) = row?;
                self.engine.look_again(tree, &key, value.len())?;
                Ok((key.to_vec(), value.to_vec()))
            });
            some_rows(rows, limit)
        })
    }

    fn purge(
        &self,
        tree: Tree,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<usize, Fault> {
        self.engine.open_to_writers()?;
        let tree = self.engine.tree(tree);
        let span = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
        self.engine.guard("purging", || {
            tree.range::<&[u8], _>(span).keys().take(limit).try_fold(0, |purged, key| {
                let key = key?;
                let Some(removed) = tree.remove(&key)? else { return Ok(purged) };
                self.engine.look_again(tree, &key, removed.len())?;
                Ok(purged + 1)
            })
        })
    }

    fn room(&self) -> Room {
        if self.engine.low.load(Ordering::Relaxed) { Room::Low } else { Room::Enough }
    }

    fn health(&self) -> Result<(), Fault> {
        self.engine.open_to_writers()
    }

    fn stats(&self) -> Stats {
        let engine = &self.engine;
        // What cannot be measured is told as nought, and is no reason to end the store.
        Stats {
            disk_bytes: guard("measuring", || engine.sled.size_on_disk()).unwrap_or(0),
            free_bytes: room::free_bytes(&engine.dir).unwrap_or(0),
            commits: engine.durable.load(Ordering::Relaxed) - engine.first,
        }
    }

    fn farewell(&self) -> Farewell {
        self.farewell.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_farewell(&self) -> Result<(), Fault> {
        self.engine.open_to_writers()?;
        farewell::forget(&self.engine.dir)
            .map_err(|error| self.engine.stick(disk("forgetting the farewell")(error)))?;
        *self.farewell.lock().unwrap_or_else(PoisonError::into_inner) = Farewell::None;
        Ok(())
    }

    fn close(&self, farewell: &[u8]) -> Result<(), Fault> {
        if self.engine.over.set(Fault::Closed).is_err() {
            return self.health();
        }
        self.end()?;
        farewell::leave(&self.engine.dir, farewell).map_err(disk("leaving a farewell"))
    }
}

/// The commit thread: gathers, makes durable, answers all; until it is told to end. Its last word is what became of the last group.
fn serve(engine: &Engine, asks: &Receiver<Ask>, mut gauge: Gauge) -> Result<(), Fault> {
    let mut end = Ok(());
    loop {
        let first = match asks.recv_timeout(LOOK_EVERY) {
            Ok(ask) => ask,
            Err(RecvTimeoutError::Disconnected) => return end,
            Err(RecvTimeoutError::Timeout) => {
                engine.set_room(gauge.look());
                continue;
            }
        };
        let mut waiting = Vec::new();
        let mut asks = iter::once(first).chain(asks.try_iter());
        let is_last = asks.any(|ask| match ask {
            Ask::Durable(tell) => {
                waiting.push(tell);
                false
            }
            Ask::End => true,
        });
        engine.set_room(gauge.look());
        end = end.and_then(|()| engine.broken()).and_then(|()| engine.make_durable());
        for tell in waiting {
            // Whoever no longer waits need not be told.
            let _ = tell.send(end.clone());
        }
        if is_last {
            return end;
        }
    }
}

/// sled, and what its callers and the commit thread know together.
#[derive(Debug)]
struct Engine {
    dir: PathBuf,
    sled: ::sled::Db,
    records: ::sled::Tree,
    rest: ::sled::Tree,
    /// Our own descriptor of sled's log.
    log: File,
    witness: Witness,
    looks: Looks,
    /// The number of the group that began last. It goes on from one opening to the next.
    begun: AtomicU64,
    /// The number of the last group that is durable.
    durable: AtomicU64,
    /// The number of the group made durable at open.
    first: u64,
    low: AtomicBool,
    /// Why nothing more is put or committed.
    over: OnceLock<Fault>,
}

impl Engine {
    fn open(dir: &Path, options: Options) -> Result<Self, Fault> {
        wait_for(&dir.join("db"));
        let (sled, records, rest, number) = guard("opening the data", || {
            let sled = ::sled::Config::new()
                .path(dir)
                .segment_size(SEGMENT_BYTES)
                .flush_every_ms(Some(GARBAGE_EVERY_MS))
                .cache_capacity(options.cache_bytes)
                .open()?;
            let (records, rest) = (sled.open_tree("records")?, sled.open_tree("rest")?);
            let number = sled.get(NUMBER)?;
            Ok((sled, records, rest, number))
        })?;
        let number = match number.as_deref().map(<[u8; 8]>::try_from) {
            None => 0,
            Some(Ok(number)) => u64::from_be_bytes(number),
            Some(Err(_)) => {
                return Err(Fault::Damage {
                    what: "the number of the last group is no number".into(),
                });
            }
        };
        let witness = Witness::hear(dir, number)?;
        let syncing = disk("syncing the new directory");
        durable::sync(&dir.join("db")).map_err(&syncing)?;
        durable::sync(&dir.join("conf")).map_err(&syncing)?;
        durable::sync(dir).map_err(&syncing)?;
        durable::sync_parent(dir).map_err(&syncing)?;
        let engine = Self {
            sled,
            records,
            rest,
            log: File::open(dir.join("db")).map_err(disk("opening the log"))?,
            witness,
            looks: Looks::default(),
            begun: AtomicU64::new(number),
            durable: AtomicU64::new(number),
            first: number + 1,
            low: AtomicBool::new(false),
            over: OnceLock::new(),
            dir: dir.to_owned(),
        };
        // What a killed process left in the kernel's cache is readable now; it must also be durable before anybody relies on it.
        engine.make_durable()?;
        Ok(engine)
    }

    fn tree(&self, tree: Tree) -> &::sled::Tree {
        match tree {
            Tree::Records => &self.records,
            Tree::Rest => &self.rest,
        }
    }

    /// What is due after a value of so many bytes was read, put or removed: see `store::sled::looks`.
    fn look_again(&self, tree: &::sled::Tree, key: &[u8], bytes: usize) -> ::sled::Result<()> {
        (0..self.looks.after(key, bytes)).try_for_each(|_| tree.contains_key(key).map(drop))
    }

    /// The mark of a put that has just been done.
    ///
    /// A put is done first and marked after; a group takes its number first and flushes after. So a put that sees the
    /// number m did its work before group m + 1 began, and the flush of m + 1 covers it: it is durable once
    /// `durable > m`. The fences make this so between two threads: either the put sees the group's number, or the
    /// group's flush sees the put.
    fn mark(&self) -> Mark {
        fence(Ordering::SeqCst);
        Mark(self.begun.load(Ordering::Relaxed))
    }

    /// Makes one group durable: everything that was put before this was called. Only one thread may call it.
    fn make_durable(&self) -> Result<(), Fault> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        fence(Ordering::SeqCst);
        self.guard("flushing", || {
            self.sled.insert(NUMBER, &number.to_be_bytes())?;
            self.sled.flush()
        })?;
        self.log.sync_data().map_err(|error| self.stick(disk("syncing the log")(error)))?;
        self.witness
            .write(number)
            .map_err(|error| self.stick(disk("writing the witness")(error)))?;
        self.durable.store(number, Ordering::Release);
        Ok(())
    }

    /// Does some work with sled; what goes wrong there, goes wrong for good.
    fn guard<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> ::sled::Result<T>,
    ) -> Result<T, Fault> {
        guard(doing, work).map_err(|fault| self.stick(fault))
    }

    /// Ends the store with this fault, unless it has ended already.
    fn stick(&self, fault: Fault) -> Fault {
        let _ = self.over.set(fault.clone());
        fault
    }

    fn open_to_writers(&self) -> Result<(), Fault> {
        self.over.get().map_or(Ok(()), |fault| Err(fault.clone()))
    }

    /// A store that met a fault still tells what it can; a closed one does not.
    fn open_to_readers(&self) -> Result<(), Fault> {
        self.open_to_writers()
            .or_else(|fault| if fault == Fault::Closed { Err(fault) } else { Ok(()) })
    }

    /// Whether a fault ended the store: being closed is none.
    fn broken(&self) -> Result<(), Fault> {
        self.open_to_writers()
            .or_else(|fault| if fault == Fault::Closed { Ok(()) } else { Err(fault) })
    }

    fn set_room(&self, room: Room) {
        self.low.store(room == Room::Low, Ordering::Relaxed);
    }
}

/// Waits a while for sled's log to be let go: when a store is dropped, threads of sled's hold on to it for a moment more.
/// Anybody who holds it for longer is for sled to complain about.
fn wait_for(log: &Path) {
    let Ok(log) = File::open(log) else { return };
    for _ in 0..400 {
        let Err(TryLockError::WouldBlock) = log.try_lock() else {
            // Not left to the drop: a process being forked just now has the descriptor too, and would hold the lock on.
            let _ = log.unlock();
            return;
        };
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does some work with sled, and turns its errors and its panics into faults.
fn guard<T>(doing: &'static str, work: impl FnOnce() -> ::sled::Result<T>) -> Result<T, Fault> {
    // Nothing of ours is half changed by a panic in there, and sled itself is not used for writing after it.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(::sled::Error::Io(error))) => Err(disk(doing)(error)),
        Ok(Err(error)) => Err(Fault::Damage { what: format!("while {doing}: {error}") }),
        Err(panic) => Err(panicked(doing, &*panic)),
    }
}

#[cfg(test)]
mod tests;

//! The shelf a storage keeps everything on, as a dozen plain functions over bytes.
//!
//! A store is one ordered log with two trees over it. What is put is visible at once to `get` and `scan`, and becomes
//! durable later, always as a prefix: if a put survived a crash, so did every put that returned before it began. That one
//! promise replaces transactions. Whoever needs several puts to happen together orders them so that every prefix is safe.
//!
//! Two implementors keep each other honest: [`sled`] for real disks, [`memory`] for simulated ones, which can also lose,
//! tear, fail and rot. `suite` runs the same stories over both. [`directory`] says whose the disk's directory is.

pub mod directory;
mod durable;
mod farewell;
pub mod memory;
mod room;
pub mod sled;
#[cfg(test)]
mod suite;
mod witness;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::sync::oneshot;

/// Values longer than this are refused with [`Fault::TooLarge`]: longer ones leave sled's pages for files it never syncs.
pub const MAX_VALUE: usize = 68 << 10;

/// Bytes after which a scan ends, at whichever row it is: so that nobody has to hold a thousand large ones.
pub const SCAN_BYTES: usize = 1 << 20;

/// The rows of one scan: as many as are wanted and fit.
fn some_rows<E>(rows: impl Iterator<Item = Result<Row, E>>, limit: usize) -> Result<Vec<Row>, E> {
    let (mut some, mut bytes) = (vec![], 0);
    for row in rows.take(limit) {
        let (key, value) = row?;
        bytes += key.len() + value.len();
        some.push((key, value));
        if bytes >= SCAN_BYTES {
            break;
        }
    }
    Ok(some)
}

/// The two trees of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    /// The records, by place on the ring.
    Records,
    /// The rest: who this storage is, what arcs it keeps, what it promised.
    Rest,
}

/// When a put happened, in groups: one group of puts becomes durable together. Marks belong to one opening of a store;
/// the default mark is that of everything found at open, and is durable from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u64);

/// Why a store can no longer be used, or did not take one value. All but `TooLarge` are final for this process.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A read, write, flush or sync failed. It is never tried again: after a failed sync the kernel calls lost pages clean.
    #[error("the disk failed while {doing}: {why}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// The system's own words.
        why: String,
    },
    /// What was read is not what was written.
    #[error("the data is damaged: {what}")]
    Damage {
        /// What was found, and where.
        what: String,
    },
    /// One value is longer than a store takes. Nothing was written.
    #[error("a value of {bytes} bytes is over the store's limit of {MAX_VALUE}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

/// How much room is left where the data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Enough to write.
    Enough,
    /// Less than the floor: only what frees room or keeps a vote may be written.
    Low,
}

/// What a store says of itself, for people and for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes the data takes on disk.
    pub disk_bytes: u64,
    /// Bytes free on that disk.
    pub free_bytes: u64,
    /// Groups made durable since the store was opened.
    pub commits: u64,
}

/// What the last to close a store left for the next to open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// Nothing: this is a new store, or the last stop was no clean one.
    None,
    /// Something that cannot be read any more: take it for damage.
    Unreadable,
    /// These bytes, whole.
    Left(Vec<u8>),
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The dozen functions.
pub trait Store: Send + Sync + 'static {
    /// The value under a key.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Puts a value under a key, or with `None` removes it. Visible at once; durable when [`Store::is_durable`] says so of the mark.
    fn put(&self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<Mark, Fault>;

    /// Asks that everything put so far become durable; the commit resolves when it is. Many callers share one flush.
    fn commit(&self) -> Commit;

    /// Whether what was put at this mark would survive a power cut now.
    fn is_durable(&self, mark: Mark) -> bool;

    /// At most `limit` rows and about [`SCAN_BYTES`] in key order, the first at or after `from`; none only at the end. Misses nothing that stays; holds no lock between calls.
    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Row>, Fault>;

    /// Removes at most `limit` rows of `from..to` (`to` exclusive, `None` for the end of the tree) and says how many it removed.
    fn purge(
        &self,
        tree: Tree,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<usize, Fault>;

    /// Whether there is room to write, as last looked (at every group, and at least once a second).
    fn room(&self) -> Room;

    /// The first fault this store met, if any. From then on every put and commit fails with it.
    fn health(&self) -> Result<(), Fault>;

    /// Figures for people.
    fn stats(&self) -> Stats;

    /// The farewell found at open, until it is forgotten.
    fn farewell(&self) -> Farewell;

    /// Removes the farewell for good. Call it once the farewell was compared and before anything is put: from then on it
    /// would describe a store that is no more.
    fn forget_farewell(&self) -> Result<(), Fault>;

    /// Makes everything durable, leaves `farewell` for the next to open it, and ends. Later calls fail with [`Fault::Closed`].
    /// Whoever puts must have stopped before: a put that races with it may be found at the next open, or may not.
    fn close(&self, farewell: &[u8]) -> Result<(), Fault>;
}

/// A wish that all put so far be durable: a future that ends when it is, or with the fault that prevents it for ever.
#[derive(Debug)]
pub struct Commit(State);

#[derive(Debug)]
enum State {
    Known(Option<Result<(), Fault>>),
    Waiting(oneshot::Receiver<Result<(), Fault>>),
}

impl Commit {
    /// A commit whose end is known already.
    pub fn known(end: Result<(), Fault>) -> Self {
        Self(State::Known(Some(end)))
    }

    /// A commit that ends when the other half is told; dropping the other half means the store was closed.
    pub fn waiting() -> (oneshot::Sender<Result<(), Fault>>, Self) {
        let (tell, told) = oneshot::channel();
        (tell, Self(State::Waiting(told)))
    }

    /// Blocks this thread until the commit ends. Never call it on an async worker.
    pub fn wait(self) -> Result<(), Fault> {
        match self.0 {
            State::Known(end) => end.expect("a commit was awaited twice"),
            State::Waiting(told) => told.blocking_recv().unwrap_or(Err(Fault::Closed)),
        }
    }
}

impl Future for Commit {
    type Output = Result<(), Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Known(end) => Poll::Ready(end.take().expect("a commit was awaited twice")),
            State::Waiting(told) => {
                Pin::new(told).poll(context).map(|end| end.unwrap_or(Err(Fault::Closed)))
            }
        }
    }
}

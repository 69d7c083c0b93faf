//! The store of a simulated disk: the same contract, and every way to break it that a real disk knows.
//!
//! No threads, no clock, no chance: what happens is what the test says. Puts gather in a log; a commit moves the log into
//! what a power cut leaves. [`MemoryStore::crash`] gives the store as the next process finds it, with nothing or with any
//! prefix of the log, which is all that the contract allows to survive.

use super::{Commit, Farewell, Fault, MAX_VALUE, Mark, Room, Row, Stats, Store, Tree, some_rows};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// A store in memory. Clones are handles on the same store.
#[derive(Clone, Debug)]
pub struct MemoryStore(std::sync::Arc<Mutex<Disk>>);

/// How much a power cut leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// What was committed, nothing else.
    Durable,
    /// What was committed, and this many of the puts that were not, in order: a torn last group. With more than there are,
    /// all is kept, as when a process is killed and the machine runs on.
    Prefix(usize),
}

/// One change, as it lies in the log.
#[derive(Clone, Debug)]
struct Change {
    tree: Tree,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
}

/// Rows of both trees, and what can be done to them.
#[derive(Clone, Debug, Default)]
struct Rows([BTreeMap<Vec<u8>, Vec<u8>>; 2]);

#[derive(Debug)]
struct Disk {
    /// What is read.
    visible: Rows,
    /// What a power cut leaves.
    durable: Rows,
    /// The changes from the one to the other, in order.
    log: Vec<Change>,
    /// The number of the last group, all of which are durable.
    number: u64,
    /// How often anything changed, over all crashes.
    changes: u64,
    commits: u64,
    room: Room,
    farewell: Farewell,
    /// Why nothing more is put or committed.
    over: Option<Fault>,
    /// The next commit fails.
    failing: bool,
    /// Commits wait.
    holding: bool,
    waiting: Vec<oneshot::Sender<Result<(), Fault>>>,
}

impl MemoryStore {
    /// A new, empty store.
    pub fn new() -> Self {
        Self::found(Rows::default(), Farewell::None, 0)
    }

    /// The store as the next process finds it if power is lost now. This one is not changed.
    pub fn crash(&self, keep: Keep) -> Self {
        let disk = self.disk();
        let kept = match keep {
            Keep::Durable => 0,
            Keep::Prefix(kept) => kept,
        };
        let mut rows = disk.durable.clone();
        disk.log.iter().take(kept).for_each(|change| rows.apply(change));
        Self::found(rows, disk.farewell.clone(), disk.changes + 1)
    }

    /// Makes the next commit fail, and thereby the store.
    pub fn fail_next_commit(&self) {
        self.disk().failing = true;
    }

    /// Makes commits wait until they are released: nothing becomes durable.
    pub fn hold_commits(&self) {
        self.disk().holding = true;
    }

    /// Makes everything put so far durable as one group, and ends the commits that waited for it.
    pub fn release_commits(&self) {
        let mut disk = self.disk();
        disk.holding = false;
        let waiting = std::mem::take(&mut disk.waiting);
        if !waiting.is_empty() {
            let end = disk.commit();
            // Whoever no longer waits need not be told.
            waiting.into_iter().for_each(|tell| drop(tell.send(end.clone())));
        }
    }

    /// Flips one bit of a value, in memory and on the disk, counting from the lowest bit of its first byte.
    pub fn flip_bit(&self, tree: Tree, key: &[u8], bit: usize) {
        let mut disk = self.disk();
        let Disk { visible, durable, log, .. } = &mut *disk;
        let logged = log.iter_mut().filter(|change| change.tree == tree && change.key == key);
        let copies = logged.filter_map(|change| change.value.as_mut());
        let copies = copies
            .chain(visible.tree_mut(tree).get_mut(key))
            .chain(durable.tree_mut(tree).get_mut(key));
        for byte in copies.filter_map(|value| value.get_mut(bit / 8)) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Decides what [`Store::room`] says.
    pub fn set_room(&self, room: Room) {
        self.disk().room = room;
    }

    /// How many puts a power cut could lose now.
    pub fn uncommitted(&self) -> usize {
        self.disk().log.len()
    }

    /// A number that is another one whenever anything was put or became durable since, or a power cut took it away.
    pub fn changes(&self) -> u64 {
        self.disk().changes
    }

    /// What is found at open is durable, and numbering starts above the default mark.
    fn found(rows: Rows, farewell: Farewell, changes: u64) -> Self {
        Self(std::sync::Arc::new(Mutex::new(Disk {
            visible: rows.clone(),
            durable: rows,
            log: Vec::new(),
            number: 1,
            changes,
            commits: 0,
            room: Room::Enough,
            farewell,
            over: None,
            failing: false,
            holding: false,
            waiting: Vec::new(),
        })))
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Rows {
    fn tree(&self, tree: Tree) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.0[tree as usize]
    }

    fn tree_mut(&mut self, tree: Tree) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        &mut self.0[tree as usize]
    }

    fn apply(&mut self, change: &Change) {
        let rows = self.tree_mut(change.tree);
        match &change.value {
            Some(value) => rows.insert(change.key.clone(), value.clone()),
            None => rows.remove(&change.key),
        };
    }
}

impl Disk {
    fn put(&mut self, change: Change) {
        self.visible.apply(&change);
        self.log.push(change);
        self.changes += 1;
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.open_to_writers()?;
        if self.failing {
            let fault =
                Fault::Disk { doing: "syncing the log", why: "the simulation said so".into() };
            self.over = Some(fault.clone());
            return Err(fault);
        }
        for change in self.log.drain(..) {
            self.durable.apply(&change);
        }
        self.number += 1;
        self.changes += 1;
        self.commits += 1;
        Ok(())
    }

    fn open_to_writers(&self) -> Result<(), Fault> {
        self.over.clone().map_or(Ok(()), Err)
    }

    /// A store that met a fault still tells what it can; a closed one does not.
    fn open_to_readers(&self) -> Result<(), Fault> {
        if self.over == Some(Fault::Closed) { Err(Fault::Closed) } else { Ok(()) }
    }
}

impl Store for MemoryStore {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let disk = self.disk();
        disk.open_to_readers()?;
        Ok(disk.visible.tree(tree).get(key).cloned())
    }

    fn put(&self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<Mark, Fault> {
        let mut disk = self.disk();
        disk.open_to_writers()?;
        if let Some(value) = value.filter(|value| value.len() > MAX_VALUE) {
            return Err(Fault::TooLarge { bytes: value.len() });
        }
        disk.put(Change { tree, key: key.to_vec(), value: value.map(<[u8]>::to_vec) });
        Ok(Mark(disk.number))
    }

    fn commit(&self) -> Commit {
        let mut disk = self.disk();
        if disk.holding && disk.over.is_none() {
            let (tell, commit) = Commit::waiting();
            disk.waiting.push(tell);
            return commit;
        }
        Commit::known(disk.commit())
    }

    fn is_durable(&self, mark: Mark) -> bool {
        mark.0 < self.disk().number
    }

    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Row>, Fault> {
        let disk = self.disk();
        disk.open_to_readers()?;
        let rows =
            disk.visible.tree(tree).range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        some_rows(rows.map(|(key, value)| Ok((key.clone(), value.clone()))), limit)
    }

    fn purge(
        &self,
        tree: Tree,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<usize, Fault> {
        let mut disk = self.disk();
        disk.open_to_writers()?;
        let rows =
            disk.visible.tree(tree).range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let keys = rows
            .map(|(key, _)| key.clone())
            .take_while(|key| to.is_none_or(|to| key.as_slice() < to));
        let purged: Vec<_> = keys.take(limit).collect();
        let count = purged.len();
        purged.into_iter().for_each(|key| disk.put(Change { tree, key, value: None }));
        Ok(count)
    }

    fn room(&self) -> Room {
        self.disk().room
    }

    fn health(&self) -> Result<(), Fault> {
        self.disk().open_to_writers()
    }

    fn stats(&self) -> Stats {
        let disk = self.disk();
        let rows = disk.visible.0.iter().flatten();
        let disk_bytes = rows.map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Stats { disk_bytes, free_bytes: u64::MAX, commits: disk.commits }
    }

    fn farewell(&self) -> Farewell {
        self.disk().farewell.clone()
    }

    fn forget_farewell(&self) -> Result<(), Fault> {
        let mut disk = self.disk();
        disk.open_to_writers()?;
        disk.farewell = Farewell::None;
        Ok(())
    }

    fn close(&self, farewell: &[u8]) -> Result<(), Fault> {
        let mut disk = self.disk();
        disk.commit()?;
        let waiting = std::mem::take(&mut disk.waiting);
        waiting.into_iter().for_each(|tell| drop(tell.send(Ok(()))));
        disk.farewell = Farewell::Left(farewell.to_vec());
        disk.over = Some(Fault::Closed);
        Ok(())
    }
}

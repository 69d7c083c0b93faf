//! The doing: many tasks, each one operation after another, over one handle.

use super::{
    arrivals::{Gate, Timetable},
    chance::Chance,
    checker::{Broken, Checker, Number},
    letters::{Kind, SCANNED},
    summary::{Latencies, Summary},
    value::Values,
};
use futures_util::{FutureExt, StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use minor_protocol::{Expect, Key, Operation, Wish};
use sdht::{NotSet, Ring, Stamp, register::Changed};
use std::{
    cell::{Cell, RefCell},
    time::Instant,
};

/// What is worked on: keys of one prefix, counted from 0.
pub(crate) struct Work {
    ring: Ring,
    prefix: String,
    values: Values,
    chance: RefCell<Chance>,
    /// How many keys there are, those being inserted included.
    keys: Cell<u64>,
    /// How often the ring was asked about one key.
    asked: Cell<u64>,
    checker: Option<RefCell<Checker>>,
    summary: RefCell<Summary>,
    /// Of the moments since somebody last asked.
    recent: RefCell<Latencies>,
    begun: Instant,
}

/// What is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    pub(crate) seed: u64,
    pub(crate) value_bytes: usize,
}

/// How it is gone about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// So many at a time.
    pub(crate) tasks: usize,
    /// So many in a second; as many as can be if nothing is said.
    pub(crate) rate: Option<f64>,
}

/// A conditional update that others beat so often has failed.
const TRIES: u32 = 1_000;

impl Work {
    /// Keys and values of a run; everything that is drawn follows from its seed.
    pub(crate) fn new(ring: Ring, prefix: String, of: Content, is_checked: bool) -> Self {
        let mut chance = Chance::new(of.seed);
        let values = Values::new(chance.bits() as u32, of.value_bytes, &mut chance);
        Self {
            ring,
            prefix,
            values,
            chance: RefCell::new(chance),
            keys: Cell::new(0),
            asked: Cell::new(0),
            checker: is_checked.then(RefCell::default),
            summary: RefCell::new(Summary::new()),
            recent: RefCell::new(Latencies::new()),
            begun: Instant::now(),
        }
    }

    pub(crate) fn keys(&self) -> u64 {
        self.keys.get()
    }

    /// How many hops it took on average to ask about one key, from a number of rounds before anything was asked.
    pub(crate) async fn hops(&self, rounds_before: u64) -> f64 {
        let rounds = self.ring.rounds().await - rounds_before;
        rounds as f64 / self.asked.get().max(1) as f64
    }

    /// The next key that is to be inserted.
    pub(crate) fn new_key(&self) -> u64 {
        self.keys.replace(self.keys.get() + 1)
    }

    pub(crate) fn key(&self, number: u64) -> Key {
        let name = format!("{}{number:08}", self.prefix);
        Key::new(name).expect("a prefix and a number are a key")
    }

    /// What happened since the last time it was asked.
    pub(crate) fn take_recent(&self) -> Latencies {
        self.recent.replace(Latencies::new())
    }

    /// What happened in all.
    pub(crate) fn summary(&self) -> std::cell::Ref<'_, Summary> {
        self.summary.borrow()
    }

    /// Has the operations done that are given out one after another, and says what came of them.
    pub(crate) async fn run(
        &self,
        manner: Manner,
        next: impl FnMut() -> Option<(Kind, u64)>,
    ) -> Summary {
        self.summary.replace(Summary::new());
        let begun = Instant::now();
        let (next, gate) = (RefCell::new(next), manner.rate.map(Timetable::new).map(Gate::open));
        let give_out = || (next.borrow_mut())();
        let task = async || {
            loop {
                // Taken before it is due, so that nobody waits for a moment at which nothing is left to do.
                let Some((kind, key)) = give_out() else { return };
                let due = match &gate {
                    Some(gate) => gate.pass().await,
                    None => Instant::now(),
                };
                match self.operate(kind, key).await {
                    Ok(()) => {
                        let took = due.elapsed();
                        self.summary.borrow_mut().record(kind, took);
                        self.recent.borrow_mut().record(took);
                    }
                    Err(why) => self.note_failure(why),
                }
            }
        };
        let mut tasks: FuturesUnordered<_> = (0..manner.tasks).map(|_| task()).collect();
        while tasks.next().await.is_some() {}
        let mut summary = self.summary.borrow().clone();
        summary.over = begun.elapsed();
        summary
    }

    fn operate(&self, kind: Kind, key: u64) -> LocalBoxFuture<'_, Result<(), String>> {
        match kind {
            Kind::Read => async move { self.get(key).await.map(drop) }.boxed_local(),
            Kind::Update | Kind::Insert => {
                async move { self.set(key, Expect::Anything).await.map(drop) }.boxed_local()
            }
            Kind::Modify => self.modify(key).boxed_local(),
            Kind::Scan => {
                let end = (key + 1 + self.chance.borrow_mut().below(SCANNED)).min(self.keys());
                let reads: FuturesUnordered<_> = (key..end).map(|key| self.get(key)).collect();
                let first = |ended: Result<(), String>, read: Result<_, String>| async {
                    ended.and(read.map(drop))
                };
                reads.fold(Ok(()), first).boxed_local()
            }
        }
    }

    /// Reads, then sets what nobody changed meanwhile; from the beginning if somebody did.
    async fn modify(&self, key: u64) -> Result<(), String> {
        for _ in 0..TRIES {
            let expect = self.get(key).await?.map_or(Expect::Absent, Expect::Stamp);
            if self.set(key, expect).await? {
                return Ok(());
            }
            self.summary.borrow_mut().overtaken += 1;
        }
        Err(format!("key '{}': others were faster {TRIES} times", self.key(key)))
    }

    async fn get(&self, key: u64) -> Result<Option<Stamp>, String> {
        let reading = self.checker.as_ref().map(|c| c.borrow_mut().read(key as usize));
        self.asked.set(self.asked.get() + 1);
        let read = self.ring.read(self.key(key)).await;
        let checked = self.checker.as_ref().zip(reading);
        let state = match (read, checked) {
            (Ok(state), None) => return Ok(state.and_then(|state| state.header.stamp())),
            (Ok(state), Some((checker, reading))) => {
                let seen = state.as_ref().and_then(|state| self.values.read(key, &state.value));
                let judged = checker.borrow_mut().judge(reading, seen, self.now());
                self.note(judged, key);
                state
            }
            (Err(why), checked) => {
                if let Some((checker, reading)) = checked {
                    checker.borrow_mut().give_up(reading);
                }
                return Err(why.to_string());
            }
        };
        Ok(state.and_then(|state| state.header.stamp()))
    }

    /// Says whether the key was as expected.
    async fn set(&self, key: u64, expect: Expect) -> Result<bool, String> {
        let write = |c: &RefCell<Checker>| c.borrow_mut().write(key as usize, self.now());
        let number: Number = self.checker.as_ref().map_or(0, write);
        let value = self.values.write(key, number);
        let wish = Wish::Set { content_type: "text/plain".into(), expires_ms: None, value };
        self.asked.set(self.asked.get() + 1);
        let changed = self.ring.change(self.key(key), Operation { expect, wish }).await;
        if let Some(checker) = &self.checker {
            let mut checker = checker.borrow_mut();
            match &changed {
                Ok(Changed::Done(_)) => checker.acknowledge(key as usize, number, self.now()),
                Ok(Changed::NotMet(_) | Changed::Kept) => checker.refuse(key as usize, number),
                Err(why) if why.changed_nothing() => checker.refuse(key as usize, number),
                Err(_) => {}
            }
        }
        match changed {
            Ok(changed) => Ok(matches!(changed, Changed::Done(_))),
            Err(NotSet::NotMet { .. }) => Ok(false),
            Err(why) => Err(why.to_string()),
        }
    }

    /// Nanoseconds, and never 0.
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }

    fn note(&self, judged: Result<(), Broken>, key: u64) {
        let Err(broken) = judged else { return };
        let mut summary = self.summary.borrow_mut();
        let (count, what) = match broken {
            Broken::Lost => (&mut summary.lost, "lost"),
            Broken::Stale => (&mut summary.stale, "stale"),
        };
        *count += 1;
        log::error!("key '{}' is {what}", self.key(key));
    }

    fn note_failure(&self, why: String) {
        let mut summary = self.summary.borrow_mut();
        summary.failed += 1;
        log::info!("{why}");
        summary.first_failure.get_or_insert(why);
    }
}

//! The ceiling: how a storage keeps promises it does not write down.
//!
//! It writes one moment down, well ahead of what it promises, and never promises beyond it. After a restart everything at
//! or below the moment found is refused, so whatever was promised and forgotten is kept all the same.
//!
//! ```text
//!    promised so far      asked for          ceiling
//!  ─────────┼─────────────────┼─────────────────┼───────▶ time
//!                              └ below: promise at once. Near it or above: raise it first, once in a while.
//! ```

use crate::{
    notebook,
    store::{Fault, Mark, Store},
};
use minor_protocol::{Moment, mutant};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// How far ahead the ceiling is raised.
const AHEAD_MS: u64 = 10_000;
/// How near to the ceiling a ballot may come before it is raised for those that follow.
const NEAR_MS: u64 = 5_000;
const PAGE: &str = "ceiling";

/// The ceiling of one storage.
#[derive(Debug)]
pub(crate) struct Ceiling {
    /// What was found at the start.
    pub(crate) past: Moment,
    raised: Mutex<Raised>,
    /// Below this moment nobody needs the lock.
    easy: AtomicU64,
    /// The highest moment voted for.
    highest: AtomicU64,
}

#[derive(Debug)]
struct Raised {
    to: Moment,
    /// The last raise, durable when this mark is.
    mark: Mark,
    /// The last ceiling that was durable when this one was raised.
    before: Moment,
}

impl Ceiling {
    /// The ceiling as the last process left it.
    pub(crate) fn found(store: &dyn Store) -> Result<Self, Fault> {
        let past: Moment = notebook::read(store, PAGE)?.unwrap_or_default();
        let raised = Raised { to: past, mark: Mark::default(), before: past };
        Ok(Self {
            past: if mutant::is("M4") { Moment::default() } else { past },
            raised: Mutex::new(raised),
            easy: AtomicU64::new(0),
            highest: AtomicU64::new(past.0),
        })
    }

    /// Makes sure that a vote at `moment` is covered. What comes back must be durable before the vote is shown.
    pub(crate) fn cover(&self, store: &dyn Store, moment: Moment) -> Result<Option<Mark>, Fault> {
        self.highest.fetch_max(moment.0, Ordering::Relaxed);
        if moment.0 < self.easy.load(Ordering::Acquire) {
            return Ok(None);
        }
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        if moment.ms() + NEAR_MS > raised.to.ms() {
            let to = Moment::at_ms(moment.ms() + AHEAD_MS);
            let before = if store.is_durable(raised.mark) { raised.to } else { raised.before };
            let mark = notebook::write(store, PAGE, &to)?;
            *raised = Raised { to, mark, before };
        }
        if store.is_durable(raised.mark) {
            self.easy.store(raised.to.0.saturating_sub(NEAR_MS << 16), Ordering::Release);
            return Ok(None);
        }
        // Until the raise is durable the old ceiling holds.
        Ok((moment > raised.before).then_some(raised.mark))
    }

    /// Lowers the ceiling to what was really voted for: the last act of a storage that stops in good order.
    pub(crate) fn settle(&self, store: &dyn Store) -> Result<(), Fault> {
        notebook::write(store, PAGE, &Moment(self.highest.load(Ordering::Relaxed))).map(drop)
    }
}

//! What a change of the ring tells of itself, added to the process's counters on its way to whoever listens.

use super::{Progress, Synced};
use crate::{
    counters::{Cause, Counters},
    router::Router,
};
use minor_protocol::Span;
use std::collections::BTreeMap;

/// A change that is counted.
pub(crate) struct Watched<'a> {
    counters: std::sync::Arc<Counters>,
    cause: Cause,
    tell: &'a mut dyn FnMut(Progress),
    /// How far each arc has come.
    arcs: BTreeMap<Span, Synced>,
}

impl<T> Router<T> {
    pub(crate) fn watched<'a>(
        &self,
        cause: Cause,
        tell: &'a mut dyn FnMut(Progress),
    ) -> Watched<'a> {
        let counters = std::sync::Arc::clone(&self.core.counters);
        Watched { counters, cause, tell, arcs: BTreeMap::new() }
    }
}

impl Watched<'_> {
    /// What a change is given to tell.
    pub(crate) fn teller(&mut self) -> impl FnMut(Progress) {
        |progress| self.tell(progress)
    }

    /// Counts what is new in it, and passes it on.
    pub(super) fn tell(&mut self, progress: Progress) {
        if let Progress::Synced(now) = progress {
            let before = self.arcs.insert(now.span, now);
            self.counters.remain(before.map_or(0, remaining), remaining(now));
            let (keys, bytes) = now.since(before.as_ref());
            self.counters.moved(self.cause, keys, bytes);
        }
        (self.tell)(progress);
    }
}

/// Done, given up or stopped: nothing remains to be looked at.
impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let remained = self.arcs.values().copied().map(remaining).sum();
        self.counters.remain(remained, 0);
    }
}

fn remaining(synced: Synced) -> u64 {
    synced.keys_total.saturating_sub(synced.keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::Position;

    #[test]
    fn what_was_copied_adds_up_and_what_remains_is_none_in_the_end() {
        let counters = std::sync::Arc::<Counters>::default();
        let (shared, mut told) = (std::sync::Arc::clone(&counters), 0);
        let mut tell = |_| told += 1;
        let (cause, arcs) = (Cause::Leave, BTreeMap::new());
        let mut watched = Watched { counters: shared, cause, tell: &mut tell, arcs };
        let mut remained = vec![];
        for (to, keys, copied) in [(1, 50, 20), (1, 90, 40), (2, 10, 1), (2, 5, 3)] {
            let span = Span::new(Position(0), Position(to));
            let bytes = 10 * copied;
            let synced = Synced { span, keys, keys_total: 100, copied, bytes, bytes_total: 1_000 };
            watched.tell(Progress::Synced(synced));
            remained.push(counters.remaining_keys());
        }
        drop(watched);
        assert_eq!((remained, counters.remaining_keys()), (vec![50, 10, 100, 105], 0));
        assert!(counters.all_moved().any(|moved| moved == (Cause::Leave, 44, 440)));
        assert_eq!(told, 4);
    }
}

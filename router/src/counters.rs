//! What the routers of one process have done, counted for whoever watches it.
//!
//! A door has a router for each of its threads, and all of them count here: one addition for an operation that goes well, no
//! lock, and nothing that a decision depends on.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Why an operation was tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A newer arc or a higher ballot had become known.
    Outdated,
    /// Too few of the arc's storages said yes.
    NoMajority,
    /// A storage had no room.
    Full,
    /// Nobody could be found who keeps the key.
    NoRing,
    /// Something else that time may clear.
    Other,
}

/// Why data was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A storage came in.
    Join,
    /// A storage handed over what it kept, and left.
    Leave,
    /// A storage that never comes back was let go.
    Evict,
    /// More or fewer copies were wished.
    Copies,
    /// Shares were evened out.
    Balance,
    /// Copies were made alike.
    Repair,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Counters {
    again: [AtomicU64; Reason::ALL.len()],
    /// By the requests it took to find whom to ask, that one included; the last holds all that took more.
    hops: [AtomicU64; HOPS.len() + 1],
    /// Of those that took more than one.
    hops_beyond_one: AtomicU64,
    moved: [Moved; Cause::ALL.len()],
    remaining_keys: AtomicU64,
}

#[derive(Debug, Default)]
struct Moved {
    keys: AtomicU64,
    bytes: AtomicU64,
}

/// From a ring that is remembered to one that has to be walked from end to end.
pub(crate) const HOPS: [u64; 8] = [1, 2, 3, 5, 10, 30, 100, 1_000];

impl Reason {
    pub(crate) const ALL: [Self; 5] =
        [Self::Outdated, Self::NoMajority, Self::Full, Self::NoRing, Self::Other];

    /// As figures name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outdated => "outdated",
            Self::NoMajority => "no_majority",
            Self::Full => "full",
            Self::NoRing => "no_ring",
            Self::Other => "other",
        }
    }
}

impl Cause {
    pub(crate) const ALL: [Self; 6] =
        [Self::Join, Self::Leave, Self::Evict, Self::Copies, Self::Balance, Self::Repair];

    /// As figures name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Leave => "leave",
            Self::Evict => "evict",
            Self::Copies => "copies",
            Self::Balance => "balance",
            Self::Repair => "repair",
        }
    }
}

impl Counters {
    /// An operation is about to be tried once more.
    pub(crate) fn again(&self, reason: Reason) {
        self.again[reason as usize].fetch_add(1, Relaxed);
    }

    /// To find whom to ask and to ask took so many requests.
    pub(crate) fn hops(&self, hops: u64) {
        self.hops[HOPS.partition_point(|most| *most < hops)].fetch_add(1, Relaxed);
        if hops > 1 {
            self.hops_beyond_one.fetch_add(hops, Relaxed);
        }
    }

    pub(crate) fn moved(&self, cause: Cause, keys: u64, bytes: u64) {
        let moved = &self.moved[cause as usize];
        moved.keys.fetch_add(keys, Relaxed);
        moved.bytes.fetch_add(bytes, Relaxed);
    }

    /// So many keys that were to be looked at were `before`, and are `now`.
    pub(crate) fn remain(&self, before: u64, now: u64) {
        // Around zero and back, where another thread is quicker: the sum is right when both have come.
        self.remaining_keys.fetch_add(now.wrapping_sub(before), Relaxed);
    }

    /// How often operations were tried once more, and why.
    pub fn attempts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(self.again.iter().map(|count| count.load(Relaxed)))
    }

    /// By each bound how many turns to an arc took no more requests than that; how many there were; all their requests.
    pub fn all_hops(&self) -> (Vec<(u64, u64)>, u64, u64) {
        let mut count = 0;
        let mut up_to = |bucket: &AtomicU64| {
            count += bucket.load(Relaxed);
            count
        };
        let buckets = HOPS.iter().zip(&self.hops).map(|(most, n)| (*most, up_to(n))).collect();
        let all = up_to(&self.hops[HOPS.len()]);
        let sum = self.hops[0].load(Relaxed) + self.hops_beyond_one.load(Relaxed);
        (buckets, all, sum)
    }

    /// Keys and bytes that were copied, and why.
    pub fn all_moved(&self) -> impl Iterator<Item = (Cause, u64, u64)> {
        let moved = |(cause, moved): (Cause, &Moved)| {
            (cause, moved.keys.load(Relaxed), moved.bytes.load(Relaxed))
        };
        Cause::ALL.into_iter().zip(&self.moved).map(moved)
    }

    /// Keys of the arcs that are being gone through now that are still to be looked at.
    pub fn remaining_keys(&self) -> u64 {
        self.remaining_keys.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_stands_at_its_own_number() {
        assert!(Reason::ALL.iter().enumerate().all(|(n, reason)| *reason as usize == n));
        assert!(Cause::ALL.iter().enumerate().all(|(n, cause)| *cause as usize == n));
    }

    #[test]
    fn requests_add_up_in_all_buckets() {
        let counters = Counters::default();
        for hops in [1, 1, 2, 7, 2_000] {
            counters.hops(hops);
        }
        let (buckets, count, sum) = counters.all_hops();
        assert_eq!(buckets[..5], [(1, 2), (2, 3), (3, 3), (5, 3), (10, 4)]);
        assert_eq!((buckets[7], count, sum), ((1_000, 4), 5, 2_011));
    }
}

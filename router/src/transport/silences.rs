//! Who is waited for, and who kept silent a moment ago.
//!
//! One command asks the same storages many times. One that hangs takes the whole of a wait the first time; after that it is
//! waited for only briefly, until it answers or the memory of its silence fades. So a storage that hangs costs a command one
//! long wait, and not one for each of its questions.

use std::collections::BTreeMap;
use tokio::time::{Duration, Instant};

/// How long anybody's answer is waited for when nothing is known against him.
const FULL: Duration = Duration::from_secs(5);
/// How long the answer of one is waited for who kept silent a moment ago.
const BRIEF: Duration = Duration::from_millis(300);
/// How long a silence is remembered. Then a full wait is due again: a disk may have hung, and be well.
const REMEMBERED: Duration = Duration::from_secs(15);
/// After how long somebody counts as being waited for.
const NOTICEABLE: Duration = Duration::from_secs(1);

/// What is known of answers that do not come.
#[derive(Debug)]
pub(super) struct Silences {
    /// The longest wait.
    full: Duration,
    /// Until when a silence is remembered, by address.
    silent: BTreeMap<String, Instant>,
    /// Asks under way, by their numbers.
    asked: BTreeMap<u64, (String, Instant)>,
    next: u64,
}

impl Silences {
    /// Of somebody who has no more patience than this.
    pub(super) fn within(patience: Duration) -> Self {
        Self { full: patience.min(FULL), silent: BTreeMap::new(), asked: BTreeMap::new(), next: 0 }
    }

    /// How long whoever is at an address is waited for.
    pub(super) fn wait(&self, address: &str, now: Instant) -> Duration {
        match self.silent.get(address) {
            Some(until) if now < *until => self.full.min(BRIEF),
            _ => self.full,
        }
    }

    /// Nothing came in this time. A brief wait proves nothing new.
    pub(super) fn heard_nothing(&mut self, address: &str, waited: Duration, now: Instant) {
        if waited >= self.full {
            self.silent.insert(address.to_owned(), now + REMEMBERED);
        }
    }

    /// An ask goes out; its number ends it.
    pub(super) fn asks(&mut self, address: &str, now: Instant) -> u64 {
        self.next += 1;
        self.asked.insert(self.next, (address.to_owned(), now));
        self.next
    }

    /// An ask has ended, with an answer or without.
    pub(super) fn ended(&mut self, number: u64, was_answered: bool) {
        if let Some((address, _)) = self.asked.remove(&number)
            && was_answered
        {
            self.silent.remove(&address);
        }
    }

    /// Where an ask is under way.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.values().map(|(address, _)| address.clone()).collect()
    }

    /// Who has been waited for so long that somebody may want to know, and how long.
    pub(super) fn waited_for(&self, now: Instant) -> BTreeMap<String, Duration> {
        let mut waits = BTreeMap::new();
        for (address, since) in self.asked.values() {
            let waited = now.saturating_duration_since(*since);
            if waited >= NOTICEABLE {
                let longest: &mut Duration = waits.entry(address.clone()).or_default();
                *longest = waited.max(*longest);
            }
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_kept_silent_is_waited_for_briefly_until_it_answers_or_time_goes_by() {
        let (mut silences, begin) = (Silences::within(2_000 * MS), Instant::now());
        assert_eq!(silences.wait("a", begin), 2_000 * MS);
        silences.heard_nothing("a", 2_000 * MS, begin);
        assert_eq!(silences.wait("a", begin), BRIEF);
        assert_eq!(silences.wait("b", begin), 2_000 * MS);
        // That nothing came in a brief wait does not lengthen the memory.
        silences.heard_nothing("a", BRIEF, begin + REMEMBERED - MS);
        assert_eq!(silences.wait("a", begin + REMEMBERED), 2_000 * MS);
        silences.heard_nothing("a", 2_000 * MS, begin);
        let number = silences.asks("a", begin);
        silences.ended(number, true);
        assert_eq!(silences.wait("a", begin), 2_000 * MS);
    }

    #[test]
    fn nobody_is_waited_for_longer_than_there_is_patience() {
        let now = Instant::now();
        assert_eq!(Silences::within(100 * MS).wait("a", now), 100 * MS);
        assert_eq!(Silences::within(3_600_000 * MS).wait("a", now), FULL);
    }

    #[test]
    fn who_is_waited_for_is_told_after_a_while() {
        let (mut silences, begin) = (Silences::within(5_000 * MS), Instant::now());
        let first = silences.asks("a", begin);
        silences.asks("a", begin + 500 * MS);
        silences.asks("b", begin + 1_500 * MS);
        assert!(silences.waited_for(begin + 500 * MS).is_empty());
        let waits = silences.waited_for(begin + 2_000 * MS);
        assert_eq!(waits.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 2_000 * MS)]);
        silences.ended(first, false);
        assert_eq!(silences.waited_for(begin + 2_000 * MS)["a"], 1_500 * MS);
    }
}

//! Who is dead: told from many looks, never from one.
//!
//! ```text
//!   look        1   2   3   4   5   6   7
//!   A           +   +   +   +   +   +   +
//!   B           +   -   -   +   -   -   -      one answer, and the count begins anew
//!   C           +   -   -   -   -   -   -      six looks, and as long as it takes: dead
//!   D           +   +   +   +   +   +   -
//! ```
//!
//! A look in which most of the *others* were silent too says more of whoever looked than of the storage: it accuses nobody,
//! and all counts begin anew. So do they after a gap, when whoever looked was asleep himself. Time is passed in.

use minor_protocol::StorageId;
use std::collections::BTreeMap;

/// Looks in a row that a storage must have missed, however fast they follow each other.
pub const LOOKS: u32 = 5;
/// In how many parts the time is cut after which a silent storage is called dead: so often it is looked,
pub const PARTS: u64 = 6;
/// and so often once somebody is silent, so that the looks are many.
pub const PARTS_OF_SILENCE: u64 = 30;

/// What one look told of one storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered something, be it a no.
    Answered,
    /// Nothing came back, however it was asked.
    Silent,
}

/// A storage's last looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Silence {
    since_ms: u64,
    looks: u32,
}

/// What is worth telling of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// A storage that answered before has missed a look.
    Quiet(StorageId),
    /// It answers again, after it had missed so many looks.
    Back(StorageId, u32),
}

/// The looks there were.
#[derive(Clone, Debug)]
pub struct Watch {
    dead_after_ms: u64,
    silent: BTreeMap<StorageId, Silence>,
    last_ms: Option<u64>,
}

impl Watch {
    /// Nobody has been looked at yet. Whoever is silent for this long is dead.
    pub fn new(dead_after_ms: u64) -> Self {
        Self { dead_after_ms, silent: BTreeMap::new(), last_ms: None }
    }

    /// How long it is from one look to the next.
    pub fn every_ms(&self) -> u64 {
        let parts = if self.silent.is_empty() { PARTS } else { PARTS_OF_SILENCE };
        (self.dead_after_ms / parts).max(1)
    }

    /// Takes in one look at all storages of the ring, which began and ended at these times.
    pub fn see(
        &mut self,
        begun_ms: u64,
        ended_ms: u64,
        signs: &BTreeMap<StorageId, Sign>,
    ) -> Vec<Turned> {
        let mut turned = vec![];
        let slept = self.last_ms.is_some_and(|last| ended_ms - last > self.dead_after_ms / 2);
        self.last_ms = Some(ended_ms);
        // Who is in the ring no more is nobody's business here.
        self.silent.retain(|storage, _| signs.contains_key(storage));
        if slept {
            self.silent.clear();
        }
        let answered = signs.values().filter(|sign| **sign == Sign::Answered).count();
        for (storage, sign) in signs {
            match sign {
                Sign::Answered => {
                    if let Some(silence) = self.silent.remove(storage) {
                        turned.push(Turned::Back(*storage, silence.looks));
                    }
                }
                // Of the others, all that answered; the storage itself did not.
                Sign::Silent if 2 * answered > signs.len() - 1 => {
                    let first = Silence { since_ms: begun_ms, looks: 0 };
                    let silence = self.silent.entry(*storage).or_insert(first);
                    silence.looks += 1;
                    if silence.looks == 1 {
                        turned.push(Turned::Quiet(*storage));
                    }
                }
                Sign::Silent => {
                    self.silent.remove(storage);
                }
            }
        }
        turned
    }

    /// Who missed the last look, and perhaps others before it.
    pub fn silent(&self) -> impl Iterator<Item = StorageId> {
        self.silent.keys().copied()
    }

    /// Who is dead: silent for all of the time, in enough looks of which none was in doubt.
    pub fn dead(&self) -> Vec<StorageId> {
        self.silent_for(self.dead_after_ms, LOOKS)
    }

    /// Who will be dead soon: silent for more than half of the time.
    pub fn accused(&self) -> Vec<StorageId> {
        self.silent_for(self.dead_after_ms / 9 * 5, LOOKS / 2)
    }

    fn silent_for(&self, ms: u64, looks: u32) -> Vec<StorageId> {
        let Some(now_ms) = self.last_ms else { return vec![] };
        let is_long = |silence: &Silence| {
            silence.looks >= looks && now_ms.saturating_sub(silence.since_ms) >= ms
        };
        let silent = self.silent.iter().filter(|(_, silence)| is_long(silence));
        silent.map(|(storage, _)| *storage).collect()
    }

    /// How long a storage has been silent at the last look, and in how many looks.
    pub fn silence(&self, storage: StorageId) -> (u64, u32) {
        let silence = self.silent.get(&storage).copied().unwrap_or_default();
        let now_ms = self.last_ms.unwrap_or_default();
        (now_ms.saturating_sub(silence.since_ms), silence.looks)
    }
}

#[cfg(test)]
mod tests {
    use super::{Sign::*, *};

    const DEAD_AFTER_MS: u64 = 30_000;

    /// Looks every five seconds, one line each: a `+` or a `-` for every storage. Says who is dead after each of them.
    fn looked(lines: &str) -> Vec<Vec<u128>> {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        let looks = lines.split_whitespace().enumerate();
        looks.map(|(n, line)| at(&mut watch, n as u64 * 5_000, line)).collect()
    }

    fn at(watch: &mut Watch, ms: u64, line: &str) -> Vec<u128> {
        let sign = |c| if c == '+' { Answered } else { Silent };
        let signs = line.chars().zip(1..).map(|(c, id)| (StorageId(id), sign(c))).collect();
        watch.see(ms, ms, &signs);
        watch.dead().into_iter().map(|storage| storage.0).collect()
    }

    #[test]
    fn who_is_silent_for_all_of_the_time_is_dead_and_not_a_look_before() {
        let dead = looked("++++ ++-+ ++-+ ++-+ ++-+ ++-+ ++-+ ++-+ ++-+");
        assert_eq!(dead[..7], vec![Vec::<u128>::new(); 7]);
        assert_eq!(dead[7..], [[3], [3]]);
    }

    #[test]
    fn it_is_looked_more_often_while_somebody_is_silent_and_he_is_accused_before_he_is_dead() {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        at(&mut watch, 0, "+++");
        assert_eq!(watch.every_ms(), 5_000);
        at(&mut watch, 5_000, "+-+");
        assert_eq!(watch.every_ms(), 1_000);
        let mut seen = |second: u64| at(&mut watch, second * 1_000, "+-+").len();
        assert_eq!((6..=35).map(&mut seen).collect::<Vec<_>>(), [vec![0; 29], vec![1]].concat());
        let mut watch = Watch::new(DEAD_AFTER_MS);
        let accused = |second: u64| {
            at(&mut watch, second * 1_000, "+-+");
            watch.accused().len()
        };
        assert_eq!((0..=17).map(accused).collect::<Vec<_>>(), [vec![0; 17], vec![1]].concat());
    }

    #[test]
    fn a_single_answer_begins_the_count_anew() {
        let dead = looked("++- ++- ++- ++- ++- ++- +++ ++- ++- ++- ++- ++- ++-");
        assert!(dead.iter().all(Vec::is_empty), "{dead:?}");
    }

    #[test]
    fn who_is_cut_off_itself_accuses_nobody() {
        let all = looked("---- ---- ---- ---- ---- ---- ---- ---- ----");
        assert!(all.iter().all(Vec::is_empty), "{all:?}");
        // Two of four: of the three others of a silent one, two answer. Three of four: only one does.
        assert_eq!(looked("++-- ++-- ++-- ++-- ++-- ++-- ++--").last(), Some(&vec![3, 4]));
        let most = looked("+--- +--- +--- +--- +--- +--- +--- +---");
        assert!(most.iter().all(Vec::is_empty), "{most:?}");
        // And one such look among the others is enough.
        let torn = looked("++- ++- ++- --- ++- ++- ++- ++- ++-");
        assert!(torn.iter().all(Vec::is_empty), "{torn:?}");
    }

    #[test]
    fn who_slept_begins_anew() {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        for ms in [0, 5_000, 10_000, 15_000, 20_000] {
            assert!(at(&mut watch, ms, "++-").is_empty());
        }
        assert!(at(&mut watch, 80_000, "++-").is_empty(), "of the minute between nobody knows");
        assert!(at(&mut watch, 85_000, "++-").is_empty());
    }

    #[test]
    fn few_looks_are_not_enough_however_long_they_take() {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        for ms in [0, 10_000, 20_000, 30_000] {
            assert!(at(&mut watch, ms, "++-").is_empty());
        }
        assert_eq!(at(&mut watch, 40_000, "++-"), [3]);
    }

    #[test]
    fn what_turned_is_told_once() {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        let mut see = |ms, sign| {
            let signs = [(StorageId(1), Answered), (StorageId(2), sign)].into();
            watch.see(ms, ms, &signs)
        };
        assert_eq!(see(0, Silent), [Turned::Quiet(StorageId(2))]);
        assert_eq!(see(5_000, Silent), []);
        assert_eq!(see(10_000, Answered), [Turned::Back(StorageId(2), 2)]);
        assert_eq!(see(15_000, Answered), []);
    }

    #[test]
    fn who_is_in_the_ring_no_more_is_forgotten() {
        let mut watch = Watch::new(DEAD_AFTER_MS);
        at(&mut watch, 0, "++-");
        at(&mut watch, 5_000, "++");
        assert_eq!(watch.silent().count(), 0);
    }
}

//! Whether a ring kept its word, judged while it is under load.
//!
//! Every write of a key has a number of its own, which stands in the value, so a read tells which write it saw. A write took
//! hold somewhere between its beginning and its end; its end is the moment it was acknowledged, or was first seen by a read,
//! and if nobody ever told, there is none. One write *overtook* another if it began after the other's end. From this alone:
//!
//! ```text
//!   stale   a read saw a write that one known to hold before the read began had overtaken, or one that was said not to be done
//!   lost    a read saw nothing, or what nobody wrote, though a write was known to hold before it began
//! ```
//!
//! Two writes at the same time may end in either order, so both are right to see: the check may miss a strange order among
//! those, and never complains of a ring that is linearizable. It decides over plain values; whoever calls knows the time.

use std::collections::VecDeque;

/// What a read should not have seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Lost,
    Stale,
}

/// Which write of its key, counted from 1.
pub(crate) type Number = u64;

/// Nobody has told of its end.
const OPEN: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Write {
    began: u64,
    ended: u64,
    refused: bool,
}

/// What is known of one key.
#[derive(Clone, Debug, Default)]
struct Known {
    /// Writes so old that nobody may see them any more.
    gone: Number,
    writes: VecDeque<Write>,
    /// When the latest write that is known to hold began; 0 before there is one.
    held_since: u64,
    /// Reads under way.
    reading: u32,
}

/// A read under way.
#[derive(Clone, Copy, Debug)]
#[must_use = "a read that ends must be judged"]
pub(crate) struct Reading {
    key: usize,
    /// What held when it began.
    held_since: u64,
}

/// The judge of all keys, which are counted from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checker {
    keys: Vec<Known>,
}

impl Checker {
    fn known(&mut self, key: usize) -> &mut Known {
        if self.keys.len() <= key {
            self.keys.resize_with(key + 1, Known::default);
        }
        &mut self.keys[key]
    }

    /// A write begins. The time is never 0.
    pub(crate) fn write(&mut self, key: usize, now: u64) -> Number {
        let known = self.known(key);
        known.forget();
        known.writes.push_back(Write { began: now, ended: OPEN, refused: false });
        known.gone + known.writes.len() as Number
    }

    /// A write is acknowledged. One that has no outcome has no end either, and nothing is said of it.
    pub(crate) fn acknowledge(&mut self, key: usize, number: Number, now: u64) {
        self.known(key).holds(number, now);
    }

    /// A write was not done, and never will be.
    pub(crate) fn refuse(&mut self, key: usize, number: Number) {
        if let Some(write) = self.known(key).find(number) {
            write.refused = true;
        }
    }

    /// A read begins.
    pub(crate) fn read(&mut self, key: usize) -> Reading {
        let known = self.known(key);
        known.reading += 1;
        Reading { key, held_since: known.held_since }
    }

    /// A read has failed, and says nothing.
    pub(crate) fn give_up(&mut self, reading: Reading) {
        self.known(reading.key).reading -= 1;
    }

    /// A read saw this write, or none of ours.
    pub(crate) fn judge(
        &mut self,
        reading: Reading,
        seen: Option<Number>,
        now: u64,
    ) -> Result<(), Broken> {
        let known = self.known(reading.key);
        known.reading -= 1;
        let Some(number) = seen else {
            return if reading.held_since == 0 { Ok(()) } else { Err(Broken::Lost) };
        };
        if number <= known.gone {
            return Err(Broken::Stale);
        }
        match known.find(number) {
            None => Err(Broken::Lost),
            Some(write) if write.refused || write.ended < reading.held_since => Err(Broken::Stale),
            Some(_) => {
                known.holds(number, now);
                Ok(())
            }
        }
    }
}

impl Known {
    fn find(&mut self, number: Number) -> Option<&mut Write> {
        let place = number.checked_sub(self.gone + 1)?;
        self.writes.get_mut(usize::try_from(place).ok()?)
    }

    /// A write is known to hold at this time, or to have held before.
    fn holds(&mut self, number: Number, now: u64) {
        let Some(write) = self.find(number) else { return };
        write.ended = write.ended.min(now);
        let began = write.began;
        self.held_since = self.held_since.max(began);
    }

    /// Lets go of what was overtaken, when no read under way began before that.
    fn forget(&mut self) {
        let held_since = self.held_since;
        let is_over = |write: &Write| write.refused || write.ended < held_since;
        while self.reading == 0 && self.writes.front().is_some_and(is_over) {
            self.writes.pop_front();
            self.gone += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key written once, from 1 to 2, and once more from 3 to 4.
    fn twice() -> Checker {
        let mut checker = Checker::default();
        for (begin, end) in [(1, 2), (3, 4)] {
            let number = checker.write(0, begin);
            checker.acknowledge(0, number, end);
        }
        checker
    }

    fn read(checker: &mut Checker, seen: Option<Number>, now: u64) -> Result<(), Broken> {
        let reading = checker.read(0);
        checker.judge(reading, seen, now)
    }

    #[test]
    fn the_last_acknowledged_write_is_what_may_be_seen() {
        assert_eq!(read(&mut twice(), Some(2), 6), Ok(()));
        assert_eq!(read(&mut Checker::default(), None, 1), Ok(()));
    }

    #[test]
    fn a_lost_write_is_found() {
        assert_eq!(read(&mut twice(), None, 6), Err(Broken::Lost));
        assert_eq!(read(&mut twice(), Some(9), 6), Err(Broken::Lost), "nobody wrote that");
    }

    #[test]
    fn a_stale_read_is_found_also_when_the_old_write_was_let_go() {
        assert_eq!(read(&mut twice(), Some(1), 6), Err(Broken::Stale));
        let mut checker = twice();
        checker.write(0, 5);
        assert_eq!(checker.keys[0].gone, 1, "the first was overtaken");
        assert_eq!(read(&mut checker, Some(1), 6), Err(Broken::Stale));
    }

    #[test]
    fn a_read_that_began_before_may_see_what_was_overtaken_since() {
        let mut checker = Checker::default();
        let first = checker.write(0, 1);
        checker.acknowledge(0, first, 2);
        let early = checker.read(0);
        let second = checker.write(0, 3);
        checker.acknowledge(0, second, 4);
        checker.write(0, 5);
        assert_eq!(checker.judge(early, Some(first), 6), Ok(()));
    }

    #[test]
    fn writes_at_the_same_time_may_end_in_either_order() {
        for seen in [1, 2] {
            let mut checker = Checker::default();
            let (one, two) = (checker.write(0, 1), checker.write(0, 2));
            checker.acknowledge(0, two, 3);
            checker.acknowledge(0, one, 4);
            assert_eq!(read(&mut checker, Some(seen), 6), Ok(()));
        }
    }

    #[test]
    fn a_write_without_outcome_may_be_seen_at_any_time_and_from_then_on_must_be() {
        let mut checker = Checker::default();
        let unknown = checker.write(0, 1);
        assert_eq!(read(&mut checker, None, 2), Ok(()));
        let second = checker.write(0, 3);
        checker.acknowledge(0, second, 4);
        assert_eq!(read(&mut checker, Some(unknown), 5), Ok(()), "it came late");
        let third = checker.write(0, 6);
        checker.acknowledge(0, third, 7);
        assert_eq!(read(&mut checker, Some(unknown), 8), Err(Broken::Stale), "it held at 5");

        let mut checker = Checker::default();
        let unknown = checker.write(0, 1);
        assert_eq!(read(&mut checker, Some(unknown), 2), Ok(()));
        assert_eq!(read(&mut checker, None, 3), Err(Broken::Lost));
    }

    #[test]
    fn a_write_that_was_not_done_is_never_seen() {
        let mut checker = twice();
        let refused = checker.write(0, 5);
        checker.refuse(0, refused);
        assert_eq!(read(&mut checker, Some(refused), 6), Err(Broken::Stale));
    }

    /// A register that is one by construction, against many tasks: nothing is ever complained of. With a memory that forgets
    /// one write in a hundred, something is.
    #[test]
    fn a_sound_register_passes_and_a_forgetful_one_does_not() {
        use super::super::chance::Chance;
        let complaints = |forgetful: bool| {
            let mut complaints = 0;
            for seed in 0..50 {
                let (mut chance, mut checker) = (Chance::new(seed), Checker::default());
                let (mut register, mut under_way) = (None, vec![]);
                for now in 1..2_000 {
                    match (under_way.len(), chance.below(3)) {
                        (..8, 0) => under_way.push(Err(checker.write(0, now))),
                        (..8, 1) => {
                            // It takes hold at once, and is answered later.
                            let reading = checker.read(0);
                            under_way.push(Ok((reading, register)));
                        }
                        (1.., _) => {
                            let which = chance.below(under_way.len() as u64) as usize;
                            match under_way.swap_remove(which) {
                                Ok((reading, seen)) => {
                                    complaints +=
                                        u32::from(checker.judge(reading, seen, now).is_err());
                                }
                                Err(number) => {
                                    if !forgetful || chance.below(100) > 0 {
                                        register = Some(number);
                                    }
                                    checker.acknowledge(0, number, now);
                                }
                            }
                        }
                        _ => {}
                    }
                }
            }
            complaints
        };
        assert_eq!(complaints(false), 0);
        assert!(complaints(true) > 0);
    }
}

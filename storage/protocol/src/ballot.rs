//! One try's rank, and the clock it is drawn from.
//!
//! Every try to change a key or an arc carries a ballot, and no two tries share one. A ballot begins with the epoch of the
//! arc it is for: that is what lets promises be forgotten when an arc changes its members.

use crate::mutant;
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, str::FromStr};

/// A moment of hybrid time: milliseconds since 1970 in the upper 48 bits, a counter within the millisecond below.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// The first moment of a millisecond.
    pub const fn at_ms(ms: u64) -> Self {
        Self(ms << 16)
    }

    /// The millisecond it lies in.
    pub const fn ms(self) -> u64 {
        self.0 >> 16
    }

    /// The very next moment.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A clock that never shows the same moment twice and never falls behind a moment it has seen, however wrong the machine's
/// own clock is.
#[derive(Clone, Copy, Debug, Default)]
pub struct HybridClock {
    last: Moment,
}

impl HybridClock {
    /// A clock that begins after `seen`.
    pub fn after(seen: Moment) -> Self {
        Self { last: seen }
    }

    /// A new moment, above every one given or seen before.
    pub fn tick(&mut self, now_ms: u64) -> Moment {
        self.last = self.last.next().max(Moment::at_ms(now_ms));
        self.last
    }

    /// Whether it stands behind this time: some clock was there once, whatever clocks show now.
    pub fn is_beyond(&self, ms: u64) -> bool {
        self.last > Moment::at_ms(ms)
    }

    /// Jumps past a moment seen elsewhere.
    pub fn see(&mut self, moment: Moment) {
        self.last = self.last.max(moment);
    }
}

/// The rank of one try. Compared epoch first, then clock, router and number.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, Moment, u64, u32)", into = "(u64, Moment, u64, u32)")]
pub struct Ballot {
    /// The epoch of the arc the try is for. It comes first, so promises need not survive a change of epoch.
    pub epoch: u64,
    /// When the router began the try, by its hybrid clock.
    pub clock: Moment,
    /// Who tries: drawn anew whenever a router starts, so that no two share a ballot.
    pub router: u64,
    /// The number of the try within the moment.
    pub seq: u32,
}

impl Ord for Ballot {
    fn cmp(&self, other: &Self) -> Ordering {
        let epoch = |b: &Self| if mutant::is("M1") { 0 } else { b.epoch };
        let rank = |b: &Self| (epoch(b), b.clock, b.router, b.seq, b.epoch);
        rank(self).cmp(&rank(other))
    }
}

impl PartialOrd for Ballot {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ballot {
    /// Bytes of the byte form.
    pub const BYTES: usize = 28;

    /// The ballot below all that are ever used.
    pub const ZERO: Self = Self { epoch: 0, clock: Moment(0), router: 0, seq: 0 };

    /// The floor of a new member: everything of the epoch lies above it, and nothing of an older one.
    pub const fn first_of(epoch: u64) -> Self {
        Self { epoch, ..Self::ZERO }
    }

    /// The byte form: big-endian, so that bytes compare as ballots do.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.epoch.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.clock.0.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.router.to_be_bytes());
        bytes[24..].copy_from_slice(&self.seq.to_be_bytes());
        bytes
    }

    /// The ballot of a byte form.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let number = |at: usize| {
            u64::from_be_bytes(*bytes[at..].first_chunk().expect("the form has 28 bytes"))
        };
        Self {
            epoch: number(0),
            clock: Moment(number(8)),
            router: number(16),
            seq: u32::from_be_bytes(*bytes.last_chunk().expect("the form has 28 bytes")),
        }
    }
}

impl From<(u64, Moment, u64, u32)> for Ballot {
    fn from((epoch, clock, router, seq): (u64, Moment, u64, u32)) -> Self {
        Self { epoch, clock, router, seq }
    }
}

impl From<Ballot> for (u64, Moment, u64, u32) {
    fn from(b: Ballot) -> Self {
        (b.epoch, b.clock, b.router, b.seq)
    }
}

/// `epoch-clock-router-seq` in hexadecimal: what users meet as an ETag.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}-{:x}", self.epoch, self.clock.0, self.router, self.seq)
    }
}

impl fmt::Debug for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stamp reads epoch-clock-router-number, four hexadecimal numbers")]
pub struct NoBallot;

impl FromStr for Ballot {
    type Err = NoBallot;

    fn from_str(text: &str) -> Result<Self, NoBallot> {
        let mut parts = text.split('-');
        let mut number = || {
            // `from_str_radix` would take a sign.
            let part = parts.next().filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()));
            part.and_then(|p| u64::from_str_radix(p, 16).ok()).ok_or(NoBallot)
        };
        let (epoch, clock, router, seq) = (number()?, Moment(number()?), number()?, number()?);
        let seq = u32::try_from(seq).map_err(|_| NoBallot)?;
        match parts.next() {
            None => Ok(Self { epoch, clock, router, seq }),
            Some(_) => Err(NoBallot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_clock_goes_on_when_the_machine_s_clock_stands_still_or_falls_back() {
        let mut clock = HybridClock::default();
        let first = clock.tick(1_000);
        let second = clock.tick(1_000);
        let third = clock.tick(900);
        assert!(first < second && second < third);
        assert_eq!(third.ms(), 1_000);
        assert_eq!(clock.tick(2_000), Moment::at_ms(2_000));
    }

    #[test]
    fn the_clock_jumps_past_what_it_has_seen() {
        let mut clock = HybridClock::default();
        clock.see(Moment::at_ms(5_000));
        assert!(clock.tick(1_000) > Moment::at_ms(5_000));
    }

    #[test]
    fn epoch_decides_before_the_clock_does() {
        let old = Ballot { epoch: 1, clock: Moment(u64::MAX), router: 9, seq: 9 };
        assert!(old < Ballot::first_of(2));
    }

    fn ballot() -> impl Strategy<Value = Ballot> {
        (0..4u64, any::<u64>(), any::<u64>(), any::<u32>())
            .prop_map(|(e, c, r, s)| Ballot::from((e, Moment(c), r, s)))
    }

    proptest! {
        #[test]
        fn bytes_compare_as_ballots_do(a in ballot(), b in ballot()) {
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            prop_assert_eq!(Ballot::from_bytes(&a.to_bytes()), a);
        }

        #[test]
        fn a_ballot_s_text_is_read_back(a in ballot()) {
            prop_assert_eq!(a.to_string().parse(), Ok(a));
        }
    }

    #[test]
    fn other_texts_are_no_ballot() {
        for text in ["", "1-2-3", "1-2-3-4-5", "1-2-3-x", "+1-2-3-4", "1-2-3-100000000", "1--3-4"] {
            assert_eq!(text.parse::<Ballot>(), Err(NoBallot), "{text}");
        }
    }
}

//! The ring: 2^64 places, clockwise, and half-open stretches of it.
//!
//! ```text
//!              0
//!          .-'   '-.            Span { from, to } is (from, to]: it holds `to` and not `from`,
//!    to  .'         '.          and goes clockwise. When both ends meet it is the whole ring.
//!       *             |
//!       |             * from    All arithmetic wraps, so the top of the ring is no special case.
//!        '.         .'
//!          '-.___.-'
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A place on the ring: the first 64 bits of a key's SHA-256, so a shell can find it: `printf %s KEY | sha256sum | cut -c1-16`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// The place of a key. When the key holds a non-empty `{tag}`, only the first such tag counts, so that related keys can
    /// live together.
    pub fn of(key: &str) -> Self {
        let digest = Sha256::digest(tag(key).unwrap_or(key));
        let head = digest.first_chunk::<8>().expect("SHA-256 has 32 bytes");
        Self(u64::from_be_bytes(*head))
    }

    /// How many steps clockwise lead from `from` to here.
    pub fn after(self, from: Self) -> u64 {
        self.0.wrapping_sub(from.0)
    }
}

/// As in Redis Cluster: from the first `{` to the first `}` behind it, if there is anything between them.
fn tag(key: &str) -> Option<&str> {
    let (_, behind) = key.split_once('{')?;
    let (tag, _) = behind.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The stretch `(from, to]`, clockwise. The whole ring when the ends meet: there is no empty span.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(Position, Position)", into = "(Position, Position)")]
pub struct Span {
    /// The last place before the span.
    pub from: Position,
    /// The last place of the span.
    pub to: Position,
}

impl Span {
    /// Every place there is.
    pub const WHOLE: Self = Self { from: Position(u64::MAX), to: Position(u64::MAX) };

    /// `(from, to]`.
    pub fn new(from: Position, to: Position) -> Self {
        Self { from, to }
    }

    /// Whether a place lies in the span.
    pub fn holds(self, place: Position) -> bool {
        // Distances are counted from the first place of the span, so the whole ring (whose last distance wraps to the
        // largest number) and spans over the top need no case of their own.
        place.after(self.first()) <= self.last_step()
    }

    /// Whether every place of `other` lies in the span.
    pub fn covers(self, other: Self) -> bool {
        // The whole ring is the one span that others may cross the ends of.
        let start = other.first().after(self.first());
        let last = self.last_step();
        last == u64::MAX || start <= last && other.last_step() <= last - start
    }

    /// Whether the two share a place: then one of them holds the first place of the other.
    pub fn overlaps(self, other: Self) -> bool {
        self.holds(other.first()) || other.holds(self.first())
    }

    /// What is left of the span without `other`: nothing, one stretch or two.
    pub fn without(self, other: Self) -> Vec<Self> {
        // Steps are counted from the first place of this span, so the top of the ring is no case.
        let last = self.last_step();
        let (start, end) = (other.first().after(self.first()), other.to.after(self.first()));
        let between = |first: u64, last: u64| {
            let place = |step: u64| Position(self.first().0.wrapping_add(step));
            Self::new(Position(place(first).0.wrapping_sub(1)), place(last))
        };
        let mut left = vec![];
        if start <= end {
            // `other` lies within one turn from our first place: something may be left before it and behind it.
            if start > 0 {
                left.push(between(0, last.min(start - 1)));
            }
            if end < last {
                left.push(between(end + 1, last));
            }
        } else if end < last && end + 1 < start {
            // `other` comes over our first place: only what lies between its end and its beginning is left.
            left.push(between(end + 1, last.min(start - 1)));
        }
        left
    }

    /// The span in as many parts of the same length, in ring order; in fewer where it has fewer places.
    pub fn in_parts(self, count: usize) -> Vec<Self> {
        let (places, count) = (self.places(), (count as u128).clamp(1, self.places()));
        // The last place of the first `n` parts; the whole ring has one place more than a step can count, and wraps to none.
        let end = |n: u128| Position(self.from.0.wrapping_add((places * n / count) as u64));
        (0..count).map(|n| Self::new(end(n), end(n + 1))).collect()
    }

    /// How many places the span has; the whole ring has 2^64.
    pub fn places(self) -> u128 {
        u128::from(self.last_step()) + 1
    }

    /// The part of the ring it takes, above 0 and at most 1.
    pub fn share(self) -> f64 {
        self.places() as f64 / (u64::MAX as f64 + 1.0)
    }

    /// Its first place.
    pub fn first(self) -> Position {
        Position(self.from.0.wrapping_add(1))
    }

    fn last_step(self) -> u64 {
        self.to.after(self.first())
    }
}

impl From<(Position, Position)> for Span {
    fn from((from, to): (Position, Position)) -> Self {
        Self { from, to }
    }
}

impl From<Span> for (Position, Position) {
    fn from(span: Span) -> Self {
        (span.from, span.to)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {}]", self.from, self.to)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span::new(Position(from), Position(to))
    }

    #[test]
    fn a_shell_finds_the_same_place() {
        // printf %s hello | sha256sum | cut -c1-16
        assert_eq!(Position::of("hello").to_string(), "2cf24dba5fb0a30e");
        assert_eq!(Position::of("").to_string(), "e3b0c44298fc1c14");
    }

    #[test]
    fn only_the_first_full_tag_counts() {
        assert_eq!(Position::of("{user7}/name"), Position::of("user7"));
        assert_eq!(Position::of("mail/{user7}"), Position::of("{user7}/name"));
        assert_eq!(Position::of("{a}{b}"), Position::of("a"));
        for plain in ["{}x", "a{b", "a}b{", "}{"] {
            let digest = Sha256::digest(plain);
            assert_eq!(Position::of(plain).0.to_be_bytes(), digest[..8], "{plain} has no tag");
        }
    }

    #[test]
    fn a_span_holds_its_end_and_not_its_beginning() {
        for s in [span(10, 20), span(u64::MAX - 3, 5), span(0, u64::MAX), span(u64::MAX, 0)] {
            assert!(s.holds(s.to) && !s.holds(s.from), "{s}");
        }
    }

    #[test]
    fn a_span_whose_ends_meet_is_the_whole_ring() {
        for end in [0, 7, u64::MAX] {
            let whole = span(end, end);
            assert!([0, 1, end, u64::MAX].iter().all(|p| whole.holds(Position(*p))));
            assert_eq!(whole.places(), 1 << 64);
            assert!(whole.covers(span(3, 1)) && whole.covers(Span::WHOLE));
        }
    }

    #[test]
    fn the_parts_of_a_span_tile_it_in_order() {
        for whole in [span(7, 7), span(u64::MAX - 3, 5), span(0, 1), span(3, 100), Span::WHOLE] {
            for count in [1, 2, 4, 8, 1_000] {
                let parts = whole.in_parts(count);
                assert!(parts.len() == count || parts.len() as u128 == whole.places());
                assert_eq!((parts[0].from, parts[parts.len() - 1].to), (whole.from, whole.to));
                assert!(parts.windows(2).all(|pair| pair[0].to == pair[1].from));
                assert_eq!(parts.iter().map(|p| p.places()).sum::<u128>(), whole.places());
            }
        }
    }

    /// A ring of 16 places, told the plain way, against the clever arithmetic: places are the 16 highest nibbles.
    #[test]
    fn the_arithmetic_agrees_with_counting_on_a_small_ring() {
        let place = |n: u64| Position(n << 60);
        let members = |s: Span| (0..16).filter(|n| s.holds(place(*n))).collect::<Vec<_>>();
        let counted = |from: u64, to: u64| {
            let mut held = vec![];
            let mut n = from;
            loop {
                n = (n + 1) % 16;
                held.push(n);
                if n == to {
                    held.sort_unstable();
                    return held;
                }
            }
        };
        for (a, b) in (0..16).flat_map(|a| (0..16).map(move |b| (a, b))) {
            let one = Span::new(place(a), place(b));
            assert_eq!(members(one), counted(a, b));
            for (c, d) in (0..16).flat_map(|c| (0..16).map(move |d| (c, d))) {
                let two = Span::new(place(c), place(d));
                let (in_one, in_two) = (counted(a, b), counted(c, d));
                let shared = in_one.iter().any(|n| in_two.contains(n));
                assert_eq!(one.overlaps(two), shared, "{one} {two}");
                // Covering and cutting are exact on the fine ring; on the coarse one the same holds for the places counted.
                let covered = in_two.iter().all(|n| in_one.contains(n));
                assert!(!one.covers(two) || covered, "{one} {two}");
                let mut left: Vec<u64> = one.without(two).into_iter().flat_map(members).collect();
                left.sort_unstable();
                let expected: Vec<u64> =
                    in_one.iter().copied().filter(|n| !in_two.contains(n)).collect();
                assert_eq!(left, expected, "{one} without {two}");
            }
        }
    }
}

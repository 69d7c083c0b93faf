//! What a sync has to do for one page of keys, decided from what the members list.
//!
//! ```text
//!                 A (full)   B (full)   C (full)   X (filling)
//!   key one        b7         b7         -          -            settled at b7: copy b7 to X
//!   key two        b7         b7         b7         b9           settled, and X has newer: nothing to do
//!   key three      b5         b7         -          -            nobody can tell: renew it by identity
//!   key four       -          -          b3         -            settled as nothing: b3 was never chosen
//! ```
//!
//! The filling member's own word counts for nothing but whether it needs a copy; the majority is one of the full members,
//! all of which answered in the arc's present epoch.

use minor_protocol::{
    Ballot, Key, RingArc, Span, StorageId,
    message::{Dead, Row},
    mutant,
};
use std::collections::BTreeMap;

/// One member's page of a listing.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Whose it is.
    pub from: StorageId,
    /// The rows, in ring order.
    pub rows: Vec<Row>,
    /// Whether there are more behind them.
    pub more: bool,
    /// Up to which ballot it has dropped dead records of the arc.
    pub swept: Ballot,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Chore {
    /// Read the state of exactly this ballot from one of these and copy it to the filling member.
    Copy {
        /// The key.
        key: Key,
        /// The settled ballot.
        ballot: Ballot,
        /// Who shows it.
        from: Vec<StorageId>,
    },
    /// Run identity, the whole round in this epoch.
    Renew {
        /// The key.
        key: Key,
    },
}

impl Chore {
    /// Whose chore it is.
    pub fn key(&self) -> &Key {
        match self {
            Self::Copy { key, .. } | Self::Renew { key } => key,
        }
    }
}

/// What a page comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// What is to be done for its keys.
    pub chores: Vec<Chore>,
    /// How many keys it decided.
    pub keys: usize,
    /// Where the next page begins; none when this was the last.
    pub next: Option<Key>,
}

/// Decides one page. `listings` are those of a majority of the full members and of the filling one, all from the same key on
/// and all of the arc's epoch.
pub fn settle(arc: &RingArc, listings: &[Listing]) -> Work {
    let full: Vec<StorageId> = arc.full().map(|m| m.storage).collect();
    let heard = listings.iter().filter(|l| full.contains(&l.from)).count();
    let majority = enough(full.len());
    assert!(heard >= majority, "a sync needs a majority of the full members");
    assert!(
        arc.filling.is_none_or(|f| listings.iter().any(|l| l.from == f)),
        "a sync needs the filling member's answer"
    );
    let horizon = horizon(arc.span, listings);
    let within = |key: &Key| horizon.is_none_or(|end| rank(arc.span, key) <= rank(arc.span, end));

    let mut keys: BTreeMap<(u64, &Key), Vec<(StorageId, Ballot)>> = BTreeMap::new();
    for listing in listings {
        for row in listing.rows.iter().filter(|row| within(&row.key)) {
            keys.entry(rank(arc.span, &row.key)).or_default().push((listing.from, row.ballot));
        }
    }
    let count = keys.len();
    let chores = keys.into_iter().filter_map(|((_, key), shown)| {
        let of_full: Vec<_> = shown.iter().filter(|(from, _)| full.contains(from)).collect();
        if heard - of_full.len() >= majority {
            return None;
        }
        let at = |ballot: Ballot| {
            of_full.iter().filter(move |(_, b)| *b == ballot).map(|(from, _)| *from)
        };
        let settled = of_full.iter().map(|(_, b)| *b).find(|b| at(*b).count() >= majority);
        let Some(ballot) = settled else { return Some(Chore::Renew { key: key.clone() }) };
        let held = shown.iter().find(|(from, _)| Some(*from) == arc.filling).map(|(_, b)| *b);
        let lacks = arc.filling.is_some() && held.is_none_or(|held| held < ballot);
        lacks.then(|| Chore::Copy { key: key.clone(), ballot, from: at(ballot).collect() })
    });
    Work { chores: chores.collect(), keys: count, next: horizon.cloned() }
}

/// Rule 21: what every member shows dead at one same ballot, of one page; none if not all of them have listed it.
pub fn dead_everywhere(arc: &RingArc, listings: &[Listing], now_ms: u64) -> Option<Vec<Dead>> {
    let needed = if mutant::is("M17") { arc.majority() } else { arc.members.len() };
    let first = listings.first().filter(|_| listings.len() >= needed)?;
    let is_dead = |row: &Row| row.dead_from_ms.is_some_and(|end| end <= now_ms);
    let shows = |listing: &Listing, row: &Row| {
        listing.rows.iter().any(|r| r.key == row.key && r.ballot == row.ballot && is_dead(r))
    };
    let all_show = |row: &&Row| listings.iter().filter(|l| shows(l, row)).count() >= needed;
    let dead = first.rows.iter().filter(|row| is_dead(row)).filter(all_show);
    Some(dead.map(|row| Dead { key: row.key.clone(), ballot: row.ballot }).collect())
}

/// The last key that all listings reach: one that breaks off says nothing about what lies behind its last row.
pub(crate) fn horizon(span: Span, listings: &[Listing]) -> Option<&Key> {
    let ends = listings.iter().filter(|l| l.more).map(|l| l.rows.last().map(|r| &r.key));
    ends.flatten().min_by_key(|key| rank(span, key))
}

/// How many of the full members must be heard, and be of one mind: a majority.
pub fn enough(full: usize) -> usize {
    if mutant::is("M12") { 1 } else { full / 2 + 1 }
}

/// Ring order within a span.
fn rank(span: Span, key: &Key) -> (u64, &Key) {
    (key.position().after(span.first()), key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Member, Moment, RingId};

    fn ballot(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 1, seq: 0 }
    }

    fn arc(members: u128, filling: Option<u128>) -> RingArc {
        let member =
            |n| Member { storage: StorageId(n), address: format!("h:{n}"), zone: String::new() };
        RingArc {
            ring: RingId(1),
            span: Span::WHOLE,
            epoch: 2,
            members: (0..members).map(member).collect(),
            filling: filling.map(StorageId),
            copies: 3,
            sealed: None,
        }
    }

    fn listing(from: u128, rows: &[(&str, u64)], more: bool) -> Listing {
        let row = |(name, clock): &(&str, u64)| Row {
            key: Key::new(*name).unwrap(),
            ballot: ballot(*clock),
            dead_from_ms: None,
            bytes: 1,
        };
        let mut rows: Vec<Row> = rows.iter().map(row).collect();
        rows.sort_by_key(|r| r.key.position());
        Listing { from: StorageId(from), rows, more, swept: Ballot::ZERO }
    }

    fn key(name: &str) -> Key {
        Key::new(name).unwrap()
    }

    #[test]
    fn the_picture_above_is_what_is_decided() {
        let listings = [
            listing(0, &[("one", 7), ("two", 7), ("three", 5)], false),
            listing(1, &[("one", 7), ("two", 7), ("three", 7)], false),
            listing(2, &[("two", 7), ("four", 3)], false),
            listing(3, &[("two", 9)], false),
        ];
        let work = settle(&arc(4, Some(3)), &listings);
        assert_eq!((work.keys, work.next), (4, None));
        let copy = Chore::Copy {
            key: key("one"),
            ballot: ballot(7),
            from: vec![StorageId(0), StorageId(1)],
        };
        assert!(
            work.chores.contains(&copy)
                && work.chores.contains(&Chore::Renew { key: key("three") })
        );
        assert_eq!(work.chores.len(), 2);
    }

    /// Rule 17: never count the filling one's word.
    #[test]
    fn the_filling_member_makes_no_majority() {
        let listings = [
            listing(0, &[("k", 5)], false),
            listing(1, &[("k", 7)], false),
            listing(2, &[("k", 7)], false),
        ];
        let work = settle(&arc(3, Some(2)), &listings);
        assert_eq!(work.chores, [Chore::Renew { key: key("k") }], "two full members that differ");
    }

    #[test]
    fn with_only_a_majority_heard_they_must_be_of_one_mind() {
        let heard = |b: u64| [listing(0, &[("k", 5)], false), listing(1, &[("k", b)], false)];
        assert_eq!(settle(&arc(3, None), &heard(5)).chores, []);
        assert_eq!(settle(&arc(3, None), &heard(7)).chores, [Chore::Renew { key: key("k") }]);
        let one_shows = [listing(0, &[("k", 5)], false), listing(1, &[], false)];
        assert_eq!(settle(&arc(3, None), &one_shows).chores, [Chore::Renew { key: key("k") }]);
    }

    #[test]
    fn nothing_is_decided_behind_the_end_of_a_page() {
        let names: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_by_key(|n| key(n).position());
        let all: Vec<(&str, u64)> = sorted.iter().map(|n| (*n, 7)).collect();
        let listings =
            [listing(0, &all[..10], true), listing(1, &all[..15], true), listing(2, &[], false)];
        let work = settle(&arc(3, Some(2)), &listings);
        assert_eq!((work.keys, work.next), (10, Some(key(sorted[9]))));
    }
}

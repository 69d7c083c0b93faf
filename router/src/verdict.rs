//! What state a ring is in, in one sentence: what is wrong, whether it is safe to stop a storage, what to do next.
//!
//! Decided from the arcs and from who answers, and from nothing else, so a person with pencil and paper would come to the
//! same. The worst there is goes first:
//!
//! ```text
//!   an arc without a majority   its keys can neither be read nor written
//!   a storage is silent         all is served, with less to spare
//!   data is damaged             the same; repair fills it again
//!   a change is half done       repair, or the same verb again, goes through with it
//!   fewer copies than wanted    there are not enough storages
//!   a disk is full              it takes no writes
//!   all is well
//! ```

use crate::plan::Goal;
use minor_protocol::{Member, RingArc, StorageId, message::Hello};

use std::{collections::BTreeMap, fmt};

/// So many are named one by one: those who share arcs with one that is silent, where three copies are kept. Of more, the
/// table tells.
const NAMED: usize = 4;

/// How a storage is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It answers, and takes writes.
    Serving,
    /// It serves, and gets what it lacks.
    Filling,
    /// It takes no writes.
    Full,
    /// It does not trust a part of its data.
    Damaged,
    /// It does not answer.
    Silent,
    /// Another storage answers at its address.
    Replaced,
}

impl Health {
    /// Whether it is gone from the ring, for the time being or for good.
    pub(crate) fn is_away(self) -> bool {
        matches!(self, Self::Silent | Self::Replaced)
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serving => "serving",
            Self::Filling => "being filled",
            Self::Full => "full",
            Self::Damaged => "damaged",
            Self::Silent => "silent",
            Self::Replaced => "replaced",
        })
    }
}

/// A storage as the ring sees it.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Who it is.
    pub member: Member,
    /// How it is doing.
    pub health: Health,
    /// Whether everything would still be served without it.
    pub may_stop: bool,
    /// What it said of itself; none if it was silent.
    pub hello: Option<Hello>,
}

/// A storage's own arc: the one that ends at its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Own {
    /// The part of the ring it takes.
    pub share: f64,
    /// How many storages keep it in full.
    pub copies: usize,
    /// How many should.
    pub wanted: u8,
}

impl Standing {
    /// Keys and bytes it holds, about; none if it does not say.
    pub fn held(&self) -> Option<(u64, u64)> {
        let kept = &self.hello.as_ref()?.kept;
        let keys = kept.iter().map(|kept| kept.records.saturating_sub(kept.tombstones)).sum();
        Some((keys, kept.iter().map(|kept| kept.bytes).sum()))
    }

    /// How its own arc is kept, by those that answer; of several, the one that is kept worst.
    pub fn own(&self, arcs: &[RingArc], storages: &[Self]) -> Own {
        let own = |arc: &&RingArc| arc.first().storage == self.member.storage;
        let arcs = || arcs.iter().filter(own);
        let serves = |id| {
            let is_well = |s: &&Self| !s.health.is_away() && s.health != Health::Damaged;
            storages.iter().filter(is_well).any(|storage| storage.member.storage == id)
        };
        let full = |arc: &RingArc| arc.full().filter(|member| serves(member.storage)).count();
        Own {
            share: arcs().map(|arc| arc.span.share()).fold(0.0, |sum, share| sum + share),
            copies: arcs().map(full).min().unwrap_or(0),
            wanted: arcs().map(|arc| arc.copies).max().unwrap_or(0),
        }
    }
}

/// The state of the ring.
#[derive(Clone, Debug)]
pub struct State {
    /// Every storage, in ring order.
    pub storages: Vec<Standing>,
    /// Something is not as it should be.
    pub is_degraded: bool,
    /// All of it in a sentence.
    pub sentence: String,
}

/// Judges a ring by its arcs, which tile it, and by what its storages said.
pub fn judge(arcs: &[RingArc], hellos: &[Hello]) -> State {
    let said: BTreeMap<StorageId, &Hello> =
        hellos.iter().map(|hello| (hello.member.storage, hello)).collect();
    let mut storages: Vec<Standing> = vec![];
    for member in arcs.iter().map(RingArc::first).chain(arcs.iter().flat_map(|arc| &arc.members)) {
        if storages.iter().all(|other| other.member.storage != member.storage) {
            let hello = said.get(&member.storage).copied();
            storages.push(Standing {
                member: member.clone(),
                health: health(member, hello, arcs, hellos),
                may_stop: arcs.iter().all(|arc| spare(arc, &said) > 0 || !arc.has(member.storage)),
                hello: hello.cloned(),
            });
        }
    }
    // Whoever serves nothing now is no loss.
    for storage in &mut storages {
        storage.may_stop |= storage.health.is_away();
    }
    let (is_degraded, sentence) = sentence(arcs, &said, &storages);
    State { storages, is_degraded, sentence }
}

fn health(member: &Member, hello: Option<&Hello>, arcs: &[RingArc], hellos: &[Hello]) -> Health {
    match hello {
        None if hellos.iter().any(|other| other.member.address == member.address) => {
            Health::Replaced
        }
        None => Health::Silent,
        Some(hello) if hello.kept.iter().any(|kept| kept.damaged) => Health::Damaged,
        Some(hello) if hello.full => Health::Full,
        Some(_) if arcs.iter().any(|arc| arc.filling == Some(member.storage)) => Health::Filling,
        Some(_) => Health::Serving,
    }
}

/// How many of an arc's storages may fail before it has no majority; below zero if it has none now.
fn spare(arc: &RingArc, said: &BTreeMap<StorageId, &Hello>) -> isize {
    let serves = |member: &&Member| {
        let hello = said.get(&member.storage);
        hello.is_some_and(|hello| {
            !hello.kept.iter().any(|kept| kept.damaged && kept.arc.span.overlaps(arc.span))
        })
    };
    arc.members.iter().filter(serves).count() as isize - arc.majority() as isize
}

fn sentence(
    arcs: &[RingArc],
    said: &BTreeMap<StorageId, &Hello>,
    storages: &[Standing],
) -> (bool, String) {
    let named = |health: Health| -> Vec<&str> {
        let them = storages.iter().filter(|storage| storage.health == health);
        them.map(|storage| storage.member.address.as_str()).collect()
    };
    let silent = named(Health::Silent);
    let stop = advice(storages);
    if let Some(arc) = arcs.iter().find(|arc| spare(arc, said) < 0) {
        let lost: f64 =
            arcs.iter().filter(|arc| spare(arc, said) < 0).map(|a| a.span.share()).sum();
        let replaced = named(Health::Replaced);
        let is_missing = |a: &&str| silent.contains(a) || replaced.contains(a);
        let missing: Vec<&str> =
            arc.members.iter().map(|m| &*m.address).filter(is_missing).collect();
        let start = match missing.is_empty() {
            true => "see its storages' logs".into(),
            false if missing.iter().all(|address| replaced.contains(address)) => {
                format!("the disk of {} was wiped or replaced: give it back", missing.join(" and "))
            }
            false => format!("start {} again", missing.join(" and ")),
        };
        return (
            true,
            format!(
                "{:.0} % of the ring can neither be read nor written: of the {} storages of {} too few answer; {start}.",
                (100.0 * lost).max(1.0),
                arc.members.len(),
                arc.span
            ),
        );
    }
    if !silent.is_empty() {
        return (
            true,
            format!(
                "{} {} not answer; everything is served, and {stop}: start {} again, or, if {} back, 'sdht remove {} --dead'.",
                silent.join(" and "),
                if silent.len() == 1 { "does" } else { "do" },
                if silent.len() == 1 { "it" } else { "them" },
                if silent.len() == 1 { "it never comes" } else { "they never come" },
                silent.join(" "),
            ),
        );
    }
    let replaced = named(Health::Replaced);
    if !replaced.is_empty() {
        let (them, those) = (replaced.join(" and "), replaced.join(" "));
        return (
            true,
            format!(
                "Another storage lives at {them} now: its disk was wiped or replaced; everything is served, and {stop}: \
                 'sdht remove {those} --dead', then 'sdht join {those}'.",
            ),
        );
    }
    let damaged = named(Health::Damaged);
    if !damaged.is_empty() {
        return (
            true,
            format!(
                "Data of {} is damaged; everything is served by others, and {stop}: 'sdht repair' fills it again.",
                damaged.join(" and ")
            ),
        );
    }
    if let Some(step) = Goal::of(arcs).step(arcs) {
        return (
            true,
            format!(
                "A change of the ring is half done at {}{}; everything is served, and {stop}: let it go on, or 'sdht repair' finishes it.",
                step.arc.span,
                step.arc
                    .filling
                    .and_then(|id| step.arc.member(id))
                    .map_or_else(String::new, |filled| {
                        format!(", where {} is being filled", filled.address)
                    })
            ),
        );
    }
    let wanted = arcs.iter().map(|arc| usize::from(arc.copies)).max().unwrap_or(1);
    if storages.len() < wanted {
        return (
            true,
            format!(
                "Only {} of {wanted} copies are kept, as there are no more storages, and {stop}: 'sdht join' another.",
                storages.len()
            ),
        );
    }
    let full = named(Health::Full);
    if !full.is_empty() {
        return (
            true,
            format!(
                "The disk of {} is nearly full, so it takes no writes, and {stop}: make room there, or 'sdht join' another storage.",
                full.join(" and ")
            ),
        );
    }
    (false, format!("All is well, and {stop}."))
}

/// Whether it is safe to stop one now.
pub fn advice(storages: &[Standing]) -> String {
    let alive = || storages.iter().filter(|storage| !storage.health.is_away());
    let must: Vec<&str> =
        alive().filter(|storage| !storage.may_stop).map(|s| s.member.address.as_str()).collect();
    if must.is_empty() {
        "any one storage may be stopped".into()
    } else if must.len() == alive().count() {
        "none may be stopped".into()
    } else if must.len() > NAMED {
        format!("{} storages must not be stopped", must.len())
    } else {
        format!("{} must not be stopped", must.join(" and "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Ballot, Position, RingId, Span, message::Kept};

    fn member(n: u128) -> Member {
        Member { storage: StorageId(n), address: format!("h:{n}"), zone: String::new() }
    }

    /// As many arcs as storages, each kept by `copies` of them.
    fn ring(storages: u128, copies: u128, wanted: u8) -> Vec<RingArc> {
        let place = |n: u128| Position((n as u64 + 1) << 32);
        let arc = |n: u128| RingArc {
            ring: RingId(1),
            span: Span::new(place((n + storages - 1) % storages), place(n)),
            epoch: 7,
            members: (0..copies).map(|k| member((n + k) % storages)).collect(),
            filling: None,
            copies: wanted,
            sealed: None,
        };
        (0..storages).map(arc).collect()
    }

    fn hello(n: u128, arcs: &[RingArc]) -> Hello {
        let kept = arcs.iter().filter(|arc| arc.has(StorageId(n)));
        let kept = kept.map(|arc| Kept {
            arc: arc.clone(),
            floor: Ballot::ZERO,
            records: 1,
            tombstones: 0,
            bytes: 1,
            damaged: false,
        });
        Hello {
            ring: Some(RingId(1)),
            member: member(n),
            kept: kept.collect(),
            left: vec![],
            wiping: vec![],
            predecessor: None,
            successors: vec![],
            full: false,
        }
    }

    /// A ring of which only these answer.
    fn judged(arcs: &[RingArc], alive: &[u128]) -> State {
        let hellos: Vec<Hello> = alive.iter().map(|n| hello(*n, arcs)).collect();
        judge(arcs, &hellos)
    }

    #[test]
    fn a_whole_ring_of_three_copies_spares_any_one_storage() {
        let state = judged(&ring(4, 3, 3), &[0, 1, 2, 3]);
        assert!(!state.is_degraded && state.storages.iter().all(|s| s.may_stop), "{state:?}");
        assert_eq!(state.sentence, "All is well, and any one storage may be stopped.");
    }

    #[test]
    fn a_ring_of_one_copy_spares_none() {
        let state = judged(&ring(3, 1, 1), &[0, 1, 2]);
        assert_eq!(state.sentence, "All is well, and none may be stopped.");
        assert!(!state.is_degraded);
    }

    #[test]
    fn with_one_silent_those_who_share_an_arc_with_it_must_stay() {
        let state = judged(&ring(5, 3, 3), &[1, 2, 3, 4]);
        assert!(state.is_degraded);
        let stay: Vec<u128> =
            state.storages.iter().filter(|s| !s.may_stop).map(|s| s.member.storage.0).collect();
        assert_eq!(stay, [1, 2, 3, 4], "each of them shares an arc with 0");
        let state = judged(&ring(7, 3, 3), &[1, 2, 3, 4, 5, 6]);
        let free: Vec<u128> =
            state.storages.iter().filter(|s| s.may_stop).map(|s| s.member.storage.0).collect();
        assert_eq!(free, [0, 3, 4]);
        assert!(
            state.sentence.starts_with("h:0 does not answer; everything is served, and h:1 and")
        );
        let state = judged(&ring(12, 3, 3), &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11]);
        let many =
            "h:0 and h:6 do not answer; everything is served, and 8 storages must not be stopped";
        assert!(state.sentence.starts_with(many), "{}", state.sentence);
    }

    #[test]
    fn an_arc_without_a_majority_is_said_first() {
        let state = judged(&ring(3, 3, 3), &[1]);
        assert!(state.sentence.starts_with("100 % of the ring can neither be read nor written"));
        assert!(state.sentence.ends_with("start h:0 and h:2 again."), "{}", state.sentence);
    }

    #[test]
    fn a_disk_that_was_wiped_is_told_from_a_storage_that_is_silent() {
        let arcs = ring(4, 3, 3);
        let mut hellos: Vec<Hello> = (0..4).map(|n| hello(n, &arcs)).collect();
        hellos[3].member.storage = StorageId(99);
        hellos[3].ring = None;
        let state = judge(&arcs, &hellos);
        assert_eq!(state.storages[3].health, Health::Replaced);
        assert!(
            state.is_degraded
                && state.sentence.starts_with("Another storage lives at h:3 now")
                && state.sentence.contains("'sdht remove h:3 --dead', then 'sdht join h:3'"),
            "{}",
            state.sentence
        );
    }

    #[test]
    fn what_is_damaged_counts_as_missing() {
        let arcs = ring(3, 3, 3);
        let mut hellos: Vec<Hello> = (0..3).map(|n| hello(n, &arcs)).collect();
        hellos[1].kept[0].damaged = true;
        let state = judge(&arcs, &hellos);
        assert!(state.sentence.starts_with("Data of h:1 is damaged"), "{}", state.sentence);
        assert!(state.storages.iter().any(|s| !s.may_stop));
    }

    #[test]
    fn half_a_change_and_a_want_of_storages_are_told_apart() {
        let mut arcs = ring(3, 3, 3);
        arcs[1].filling = Some(StorageId(2));
        let state = judged(&arcs, &[0, 1, 2]);
        assert!(
            state.sentence.starts_with("A change of the ring is half done"),
            "{}",
            state.sentence
        );
        let state = judged(&ring(2, 2, 3), &[0, 1]);
        assert!(state.sentence.starts_with("Only 2 of 3 copies are kept"), "{}", state.sentence);
        assert!(state.sentence.contains("none may be stopped"));
    }

    #[test]
    fn a_full_disk_is_no_loss_but_is_said() {
        let arcs = ring(3, 3, 3);
        let mut hellos: Vec<Hello> = (0..3).map(|n| hello(n, &arcs)).collect();
        hellos[2].full = true;
        let state = judge(&arcs, &hellos);
        assert!(
            state.is_degraded && state.sentence.starts_with("The disk of h:2"),
            "{}",
            state.sentence
        );
    }
}

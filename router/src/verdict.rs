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
//!   copies are not alike        a storage was away; repair makes them so
//!   all is well
//! ```

mod presence;

pub use presence::Presence;

use crate::plan::Goal;
use minor_protocol::{Member, RingArc, StorageId, message::Hello};
use serde::Serialize;
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

    /// All of it, as programs are told.
    pub fn shown(&self, arcs: &[RingArc], storages: &[Self]) -> Shown {
        let (own, held) = (self.own(arcs, storages), self.held());
        Shown {
            id: self.member.storage,
            address: self.member.address.clone(),
            zone: self.member.zone.clone(),
            state: self.health.to_string(),
            share: own.share,
            keys: held.map(|(keys, _)| keys),
            bytes: held.map(|(_, bytes)| bytes),
            copies: own.copies,
            copies_wanted: own.wanted,
            may_stop: self.may_stop,
        }
    }
}

/// A [`Standing`] as programs are told of it, by the command and on the page of the door.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    pub(crate) id: StorageId,
    pub(crate) address: String,
    pub(crate) zone: String,
    pub(crate) state: String,
    /// Of its own arc: the part of the ring, and further down how many storages keep it.
    pub(crate) share: f64,
    /// What it holds, copies of others' arcs among it, about.
    pub(crate) keys: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) copies: usize,
    pub(crate) copies_wanted: u8,
    pub(crate) may_stop: bool,
}

/// The worst there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Worst {
    /// An arc has no majority.
    Unserved,
    /// A storage does not answer.
    Silent,
    /// Another one is in a storage's place.
    Replaced,
    /// A storage does not trust a part of its data.
    Damaged,
    /// A change of the ring is under way, or was left so.
    HalfDone,
    /// There are fewer storages than copies.
    TooFew,
    /// A storage takes no writes.
    Full,
    /// Copies differ, though nobody writes.
    Unlike,
    /// All is well.
    Nothing,
}

impl Worst {
    /// Whether something is not as it should be.
    pub fn is_degraded(self) -> bool {
        self != Self::Nothing
    }
}

/// The state of the ring.
#[derive(Clone, Debug)]
pub struct State {
    /// Every storage, in ring order.
    pub storages: Vec<Standing>,
    /// What is wrong with it.
    pub worst: Worst,
    /// All of it in a sentence.
    pub sentence: String,
}

/// Judges a ring by its arcs, which tile it, by what its storages said, and by the part of it of which the copies are known to
/// differ.
pub fn judge(arcs: &[RingArc], hellos: &[Hello], unlike: f64) -> State {
    let said: BTreeMap<StorageId, &Hello> =
        hellos.iter().map(|hello| (hello.member.storage, hello)).collect();
    let mut storages: Vec<Standing> = vec![];
    for member in arcs.iter().map(RingArc::first).chain(arcs.iter().flat_map(|arc| &arc.members)) {
        if storages.iter().all(|other| other.member.storage != member.storage) {
            let hello = said.get(&member.storage).copied();
            storages.push(Standing {
                member: member.clone(),
                health: health(member, hello, arcs, hellos),
                may_stop: arcs.iter().all(|arc| !arc.has(member.storage) || spare(arc, &said) > 0),
                hello: hello.cloned(),
            });
        }
    }
    // Whoever serves nothing now is no loss.
    for storage in &mut storages {
        storage.may_stop |= storage.health.is_away();
    }
    let (worst, sentence) = sentence(arcs, &said, &storages, unlike);
    State { storages, worst, sentence }
}

fn health(member: &Member, hello: Option<&Hello>, arcs: &[RingArc], hellos: &[Hello]) -> Health {
    let Some(hello) = hello else {
        let heard = hellos.iter().map(|hello| (&*hello.member.address, hello.member.storage));
        return match Presence::of(member, heard) {
            Presence::Replaced => Health::Replaced,
            Presence::Silent | Presence::Answers => Health::Silent,
        };
    };
    if hello.kept.iter().any(|kept| kept.damaged) {
        Health::Damaged
    } else if hello.full {
        Health::Full
    } else if arcs.iter().any(|arc| arc.filling == Some(member.storage)) {
        Health::Filling
    } else {
        Health::Serving
    }
}

/// Whether nothing is damaged of what a storage that answers keeps of an arc.
pub(crate) fn serves(hello: &Hello, arc: &RingArc) -> bool {
    !hello.kept.iter().any(|kept| kept.damaged && kept.arc.span.overlaps(arc.span))
}

/// How many of an arc's storages may fail before it has no majority; below zero if it has none now.
fn spare(arc: &RingArc, said: &BTreeMap<StorageId, &Hello>) -> isize {
    let serves =
        |member: &&Member| said.get(&member.storage).is_some_and(|hello| serves(hello, arc));
    arc.members.iter().filter(serves).count() as isize - arc.majority() as isize
}

fn sentence(
    arcs: &[RingArc],
    said: &BTreeMap<StorageId, &Hello>,
    storages: &[Standing],
    unlike: f64,
) -> (Worst, String) {
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
            Worst::Unserved,
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
            Worst::Silent,
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
            Worst::Replaced,
            format!(
                "Another storage lives at {them} now: its disk was wiped or replaced; everything is served, and {stop}: \
                 'sdht remove {those} --dead', then 'sdht join {those}'.",
            ),
        );
    }
    let damaged = named(Health::Damaged);
    if !damaged.is_empty() {
        return (
            Worst::Damaged,
            format!(
                "Data of {} is damaged; everything is served by others, and {stop}: 'sdht repair' fills it again.",
                damaged.join(" and ")
            ),
        );
    }
    if let Some(step) = Goal::of(arcs).step(arcs) {
        return (
            Worst::HalfDone,
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
            Worst::TooFew,
            format!(
                "Only {} of {wanted} copies are kept, as there are no more storages, and {stop}: 'sdht join' another.",
                storages.len()
            ),
        );
    }
    let full = named(Health::Full);
    if !full.is_empty() {
        return (
            Worst::Full,
            format!(
                "The disk of {} is nearly full, so it takes no writes, and {stop}: make room there, or 'sdht join' another storage.",
                full.join(" and ")
            ),
        );
    }
    if unlike > 0.0 {
        return (
            Worst::Unlike,
            format!(
                "Everything is served, and {stop}; but the copies of {:.0} % of the ring are not alike, as after a storage was \
                 away: 'sdht repair' makes them so.",
                (100.0 * unlike).max(1.0),
            ),
        );
    }
    (Worst::Nothing, format!("All is well, and {stop}."))
}

/// Whether it is safe to stop one now.
fn advice(storages: &[Standing]) -> String {
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
pub(crate) mod tests;

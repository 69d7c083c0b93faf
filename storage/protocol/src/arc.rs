//! An arc: a span of the ring with the storages that keep it.
//!
//! An arc never changes. What changes is which arc is the present one: the next form is agreed by a [decree](crate::decree)
//! and has a higher epoch, so of two arcs over the same place the one with the higher epoch is the newer.

use crate::{
    id::{RingId, StorageId},
    limits::{ADDRESS_BYTES, COPIES, MEMBERS, ZONE_BYTES},
    position::Span,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A storage as an arc knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Who it is.
    #[serde(rename = "id")]
    pub storage: StorageId,
    /// Where it listens.
    pub address: String,
    /// What it shares its fate with: a rack, a room. Copies go to other zones first. Empty when nobody said.
    #[serde(default)]
    pub zone: String,
}

/// A sealed arc's promise to become the lower part of a joined one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seal {
    /// The span of the upper arc.
    pub span: Span,
    /// Its epoch.
    pub epoch: u64,
}

/// A span with the storages that keep it, in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RingArc {
    /// Of which ring.
    pub ring: RingId,
    /// Which stretch.
    pub span: Span,
    /// Which form of it: higher is newer.
    pub epoch: u64,
    /// Who keeps it; the first is the storage whose place on the ring is the span's end.
    pub members: Vec<Member>,
    /// The member that is still being filled.
    #[serde(default)]
    pub filling: Option<StorageId>,
    /// How many members there should be.
    pub copies: u8,
    /// The upper arc this one is about to join.
    #[serde(default)]
    pub sealed: Option<Seal>,
}

/// Why an arc that came from outside is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoArc {
    /// It has no member or too many, or one twice.
    #[error("an arc has 1 to {MEMBERS} different members")]
    Members,
    /// The member that is being filled is no member, or the only one.
    #[error("the member that is being filled must be one of several members")]
    Filling,
    /// The number of copies.
    #[error("an arc has 1 to {COPIES} copies")]
    Copies,
    /// An address or a zone is too long or empty.
    #[error("an address has 1 to {ADDRESS_BYTES} bytes and a zone at most {ZONE_BYTES}")]
    Text,
}

impl RingArc {
    /// The arc of a new ring: everything, kept by its founder.
    pub fn founding(ring: RingId, founder: Member, copies: u8) -> Self {
        let span = Span::WHOLE;
        Self { ring, span, epoch: 1, members: vec![founder], filling: None, copies, sealed: None }
    }

    /// More than half of the members.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// The storage whose place on the ring is the end of the span.
    pub fn first(&self) -> &Member {
        self.members.first().expect("an arc has a member")
    }

    /// This storage's entry.
    pub fn member(&self, storage: StorageId) -> Option<&Member> {
        self.members.iter().find(|m| m.storage == storage)
    }

    /// Whether this storage keeps the arc, filled or not.
    pub fn has(&self, storage: StorageId) -> bool {
        self.member(storage).is_some()
    }

    /// The members that hold all there is: all but the one being filled.
    pub fn full(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| Some(m.storage) != self.filling)
    }

    /// The same slot: what a decree is decided for.
    pub fn is_same_slot(&self, other: &Self) -> bool {
        self.ring == other.ring && self.span == other.span && self.epoch == other.epoch
    }

    /// Checks an arc that came from outside.
    pub fn check(&self) -> Result<(), NoArc> {
        let twice = |m: &Member| self.members.iter().filter(|o| o.storage == m.storage).count() > 1;
        if !(1..=MEMBERS).contains(&self.members.len()) || self.members.iter().any(twice) {
            return Err(NoArc::Members);
        }
        if self.filling.is_some_and(|f| !self.has(f) || self.members.len() == 1) {
            return Err(NoArc::Filling);
        }
        if !(1..=COPIES).contains(&self.copies) {
            return Err(NoArc::Copies);
        }
        self.members.iter().try_for_each(Member::check)
    }
}

impl Member {
    /// Checks a member that came from outside.
    pub fn check(&self) -> Result<(), NoArc> {
        let fits = (1..=ADDRESS_BYTES).contains(&self.address.len())
            && self.zone.len() <= ZONE_BYTES
            && !self.address.chars().chain(self.zone.chars()).any(char::is_control);
        if fits { Ok(()) } else { Err(NoArc::Text) }
    }
}

impl fmt::Display for RingArc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @{} [", self.span, self.epoch)?;
        for (n, m) in self.members.iter().enumerate() {
            let gap = if n == 0 { "" } else { ", " };
            let filling = if self.filling == Some(m.storage) { " (filling)" } else { "" };
            write!(f, "{gap}{}{filling}", m.address)?;
        }
        f.write_str(if self.sealed.is_some() { "] sealed" } else { "]" })
    }
}

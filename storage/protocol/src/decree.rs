//! The agreed next form of an arc.
//!
//! A decree says what to do with exactly one arc in exactly one epoch; [`Decree::next`] says what comes of it. It is a pure
//! function of the two, so whoever knows the arc and the chosen decree knows the next arcs, and a decree that does not fit
//! is refused before anybody votes for it.
//!
//! ```text
//!   grow X        [A B C]      -> [A B C X(filling)]        one member at a time, and none while one is filling
//!   filled        [A B X(f)]   -> [A B X]
//!   shrink C      [A B C X(f)] -> [A B X]                   dropping the filling one undoes a grow
//!   split at p    (a, b]       -> (a, p] (p, b]
//!   seal, absorb  (a, p] seals for (p, b], which absorbs it -> (a, b]; reopen takes a seal back
//! ```

use crate::{
    arc::{Member, NoArc, RingArc, Seal},
    id::StorageId,
    limits::{COPIES, MEMBERS},
    mutant,
    position::{Position, Span},
};
use serde::{Deserialize, Serialize};

/// What to make of an arc.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Decree {
    /// Add one member, to be filled.
    Grow {
        /// Who comes in.
        member: Member,
        /// Its place among the members: 0 makes the end of the span its place on the ring.
        place: u8,
    },
    /// Drop one member. Nothing is filling afterwards.
    Shrink {
        /// Who goes.
        storage: StorageId,
    },
    /// The member being filled holds everything.
    Filled,
    /// Cut in two behind this place.
    Split {
        /// The end of the lower half.
        at: Position,
    },
    /// Stand still until the upper arc has absorbed this one.
    Seal {
        /// The upper arc.
        upper: Seal,
    },
    /// Take in the sealed arc below.
    Absorb {
        /// That arc, as it is since it was sealed.
        lower: RingArc,
    },
    /// Take a seal back, since the upper arc became something else.
    Reopen,
    /// Another number of copies is wanted.
    Copies {
        /// That number.
        wanted: u8,
    },
    /// The end of the span becomes this member's place on the ring. Nobody comes or goes, so nothing is synced.
    Lead {
        /// The member to be named first.
        storage: StorageId,
    },
    /// A member has moved to another address or zone.
    Readdress {
        /// Its new entry.
        member: Member,
    },
}

/// Why a decree cannot follow an arc.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
pub enum Unfit {
    /// Two members that were not filled would make disjoint majorities.
    #[error("another member is still being filled")]
    Filling,
    /// Nothing is being filled.
    #[error("no member is being filled")]
    NotFilling,
    /// A sealed arc can only be absorbed or reopened.
    #[error("the arc is sealed")]
    Sealed,
    /// There is no seal to take back.
    #[error("the arc is not sealed")]
    NotSealed,
    /// It keeps the arc already.
    #[error("storage {0} is a member already")]
    MemberAlready(StorageId),
    /// It does not keep the arc.
    #[error("storage {0} is no member")]
    NoMember(StorageId),
    /// Nobody would keep the arc.
    #[error("the last member cannot be dropped")]
    LastMember,
    /// Too many members.
    #[error("an arc has at most {MEMBERS} members")]
    TooManyMembers,
    /// No cut there.
    #[error("the place to split at must lie inside the span and not be its end")]
    NoCut,
    /// The two arcs cannot become one.
    #[error("the arcs do not meet, or their members differ, or the seal names another arc")]
    NoMerge,
    /// The number of copies.
    #[error("an arc has 1 to {COPIES} copies")]
    Copies,
    /// The new entry of a member is malformed.
    #[error("an address or a zone is malformed")]
    Text,
    /// The last epoch of all.
    #[error("no epoch is left")]
    NoEpoch,
}

impl From<NoArc> for Unfit {
    fn from(_: NoArc) -> Self {
        Self::Text
    }
}

impl Decree {
    /// The arcs that follow `arc` once this is chosen, lower first.
    pub fn next(&self, arc: &RingArc) -> Result<Vec<RingArc>, Unfit> {
        if arc.sealed.is_some() && *self != Self::Reopen {
            return Err(Unfit::Sealed);
        }
        // An epoch near the end comes from damage or malice; nobody reaches it by changing a ring.
        let epoch = arc.epoch.checked_add(1).ok_or(Unfit::NoEpoch)?;
        let mut next = RingArc { epoch, ..arc.clone() };
        match self {
            Self::Grow { member, place } => {
                if arc.filling.is_some() {
                    return Err(Unfit::Filling);
                }
                if arc.has(member.storage) {
                    return Err(Unfit::MemberAlready(member.storage));
                }
                if arc.members.len() >= MEMBERS {
                    return Err(Unfit::TooManyMembers);
                }
                member.check()?;
                let place = usize::from(*place).min(arc.members.len());
                next.members.insert(place, member.clone());
                next.filling = Some(member.storage);
            }
            Self::Shrink { storage } => {
                if !arc.has(*storage) {
                    return Err(Unfit::NoMember(*storage));
                }
                if arc.members.len() == 1 {
                    return Err(Unfit::LastMember);
                }
                next.members.retain(|m| m.storage != *storage);
                next.filling = None;
            }
            Self::Filled => {
                next.filling.take().ok_or(Unfit::NotFilling)?;
            }
            Self::Split { at } => {
                if !arc.span.holds(*at) || *at == arc.span.to {
                    return Err(Unfit::NoCut);
                }
                let lower = RingArc { span: Span::new(arc.span.from, *at), ..next.clone() };
                next.span.from = *at;
                return Ok(vec![lower, next]);
            }
            Self::Seal { upper } => {
                if arc.filling.is_some() {
                    return Err(Unfit::Filling);
                }
                if upper.span.from != arc.span.to || upper.span.overlaps(arc.span) {
                    return Err(Unfit::NoMerge);
                }
                next.sealed = Some(*upper);
            }
            Self::Absorb { lower } => {
                if arc.filling.is_some() || lower.filling.is_some() {
                    return Err(Unfit::Filling);
                }
                let named = lower.sealed == Some(Seal { span: arc.span, epoch: arc.epoch });
                let meet = lower.span.to == arc.span.from && !lower.span.overlaps(arc.span);
                let alike = lower.members.len() == arc.members.len()
                    && lower.members.iter().all(|m| arc.has(m.storage));
                if !(named && meet && alike && lower.ring == arc.ring) {
                    return Err(Unfit::NoMerge);
                }
                // `lower.epoch` counts the seal already: the joined arc must be newer than the sealed one, or a storage
                // that only saw the seal would never adopt it.
                let sealed = lower.epoch - u64::from(mutant::is("M15"));
                next.epoch = sealed.max(arc.epoch).checked_add(1).ok_or(Unfit::NoEpoch)?;
                next.span = Span::new(lower.span.from, arc.span.to);
            }
            Self::Reopen => {
                next.sealed.take().ok_or(Unfit::NotSealed)?;
            }
            Self::Copies { wanted } => {
                if !(1..=COPIES).contains(wanted) {
                    return Err(Unfit::Copies);
                }
                next.copies = *wanted;
            }
            Self::Lead { storage } => {
                let here = next.members.iter().position(|m| m.storage == *storage);
                next.members[..=here.ok_or(Unfit::NoMember(*storage))?].rotate_right(1);
            }
            Self::Readdress { member } => {
                member.check()?;
                let here = next.members.iter_mut().find(|m| m.storage == member.storage);
                *here.ok_or(Unfit::NoMember(member.storage))? = member.clone();
            }
        }
        Ok(vec![next])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RingId;

    fn member(n: u128) -> Member {
        Member { storage: StorageId(n), address: format!("127.0.0.1:{n}"), zone: String::new() }
    }

    fn arc(from: u64, to: u64, epoch: u64, members: &[u128]) -> RingArc {
        RingArc {
            ring: RingId(1),
            span: Span::new(Position(from), Position(to)),
            epoch,
            members: members.iter().copied().map(member).collect(),
            filling: None,
            copies: 3,
            sealed: None,
        }
    }

    fn only(arcs: Result<Vec<RingArc>, Unfit>) -> RingArc {
        let arcs = arcs.expect("the decree fits");
        assert_eq!(arcs.len(), 1);
        arcs.into_iter().next().unwrap()
    }

    fn grow(n: u128) -> Decree {
        Decree::Grow { member: member(n), place: 0 }
    }

    #[test]
    fn nobody_comes_in_while_another_is_being_filled() {
        let grown = only(grow(4).next(&arc(0, 9, 1, &[1, 2, 3])));
        assert_eq!((grown.epoch, grown.filling), (2, Some(StorageId(4))));
        assert_eq!(grow(5).next(&grown), Err(Unfit::Filling));
        let filled = only(Decree::Filled.next(&grown));
        assert_eq!((filled.epoch, filled.filling, filled.members.len()), (3, None, 4));
        assert_eq!(grow(4).next(&filled), Err(Unfit::MemberAlready(StorageId(4))));
    }

    #[test]
    fn dropping_a_member_ends_the_filling() {
        let grown = only(grow(4).next(&arc(0, 9, 1, &[1, 2, 3])));
        for storage in [StorageId(3), StorageId(4)] {
            let next = only(Decree::Shrink { storage }.next(&grown));
            assert_eq!((next.members.len(), next.filling), (3, None));
        }
        let alone = arc(0, 9, 1, &[1]);
        assert_eq!(Decree::Shrink { storage: StorageId(1) }.next(&alone), Err(Unfit::LastMember));
    }

    #[test]
    fn a_split_tiles_the_span_and_keeps_the_filling() {
        for (from, to, at) in [(0, 9, 5), (u64::MAX - 5, 5, 0), (7, 7, 100)] {
            let grown = only(grow(4).next(&arc(from, to, 1, &[1, 2, 3])));
            let halves = Decree::Split { at: Position(at) }.next(&grown).unwrap();
            assert_eq!(halves[0].span, Span::new(Position(from), Position(at)));
            assert_eq!(halves[1].span, Span::new(Position(at), Position(to)));
            assert!(halves.iter().all(|h| h.epoch == 3 && h.filling == grown.filling));
        }
        let outside = Decree::Split { at: Position(50) };
        assert_eq!(outside.next(&arc(0, 9, 1, &[1])), Err(Unfit::NoCut));
        let end = Decree::Split { at: Position(9) };
        assert_eq!(end.next(&arc(0, 9, 1, &[1])), Err(Unfit::NoCut));
    }

    #[test]
    fn a_joined_arc_is_newer_than_the_seal_and_than_the_upper_arc() {
        for (e1, e2) in [(5, 5), (5, 2), (2, 5)] {
            let (lower, upper) = (arc(0, 9, e1, &[1, 2]), arc(9, 20, e2, &[2, 1]));
            let seal = Decree::Seal { upper: Seal { span: upper.span, epoch: e2 } };
            let sealed = only(seal.next(&lower));
            let joined = only(Decree::Absorb { lower: sealed.clone() }.next(&upper));
            assert_eq!(joined.epoch, (e1 + 1).max(e2) + 1);
            assert_eq!(joined.span, Span::new(Position(0), Position(20)));
            assert_eq!(joined.members, upper.members, "the upper end keeps its place on the ring");
        }
    }

    #[test]
    fn two_halves_of_a_ring_become_the_whole_again() {
        let (lower, upper) = (arc(0, 9, 1, &[1]), arc(9, 0, 1, &[1]));
        let seal = Decree::Seal { upper: Seal { span: upper.span, epoch: 1 } };
        let joined = only(Decree::Absorb { lower: only(seal.next(&lower)) }.next(&upper));
        assert_eq!(joined.span.places(), 1 << 64);
    }

    #[test]
    fn the_lead_passes_on_without_anybody_coming_or_going() {
        let next = only(Decree::Lead { storage: StorageId(3) }.next(&arc(0, 9, 1, &[1, 2, 3, 4])));
        let order: Vec<u128> = next.members.iter().map(|m| m.storage.0).collect();
        assert_eq!((next.epoch, order), (2, vec![3, 1, 2, 4]));
        let stranger = Decree::Lead { storage: StorageId(9) };
        assert_eq!(stranger.next(&arc(0, 9, 1, &[1])), Err(Unfit::NoMember(StorageId(9))));
    }

    #[test]
    fn only_the_arc_that_a_seal_names_absorbs_it() {
        let lower = arc(0, 9, 1, &[1, 2]);
        let upper = arc(9, 20, 1, &[1, 2]);
        let seal = Decree::Seal { upper: Seal { span: upper.span, epoch: 1 } };
        let absorb = Decree::Absorb { lower: only(seal.next(&lower)) };
        assert!(absorb.next(&upper).is_ok());
        let moved_on = RingArc { epoch: 2, ..upper.clone() };
        assert_eq!(absorb.next(&moved_on), Err(Unfit::NoMerge));
        let others = arc(9, 20, 1, &[1, 3]);
        assert_eq!(absorb.next(&others), Err(Unfit::NoMerge));
        let unsealed = Decree::Absorb { lower };
        assert_eq!(unsealed.next(&upper), Err(Unfit::NoMerge));
    }

    #[test]
    fn a_sealed_arc_takes_nothing_but_its_reopening() {
        let upper = arc(9, 20, 1, &[1, 2]);
        let seal = Decree::Seal { upper: Seal { span: upper.span, epoch: 1 } };
        let sealed = only(seal.next(&arc(0, 9, 1, &[1, 2])));
        for decree in [grow(3), seal, Decree::Copies { wanted: 1 }] {
            assert_eq!(decree.next(&sealed), Err(Unfit::Sealed));
        }
        assert_eq!(only(Decree::Reopen.next(&sealed)).sealed, None);
        assert_eq!(Decree::Reopen.next(&upper), Err(Unfit::NotSealed));
    }
}

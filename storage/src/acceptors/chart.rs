//! Which arcs a storage keeps, which it knows and does not keep, and its votes on what becomes of them.
//!
//! ```text
//!   seats    arcs it is a member of            (10,40]@7   (40,60]@3
//!   notes    arcs it left or was only told of  (60,90]@5
//!   wiping   spans whose old records are still being removed
//! ```
//!
//! Every place belongs to at most one seat or note, always the newest arc the storage ever learned for it. That is what
//! keeps it from serving an old form again: an arc is adopted only when it is newer than everything it overlaps, and what
//! it does not cover of an older arc stays as it was, lagging, until that too is superseded. It also goes on to vote in the
//! old arc's slot, which is decided by then: should the one who knew what was chosen for the rest be gone, the vote tells.
//!
//! The chart is written down as a whole, in one step; a vote or an adoption happens entirely or not at all.

use minor_protocol::{
    Ballot, Decree, Member, Position, Refusal, Restart, RingArc, RingId, Span, StorageId, mutant,
};
use serde::{Deserialize, Serialize};

/// An arc this storage is a member of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The arc as it was agreed.
    pub arc: RingArc,
    /// What no newer arc has taken of it.
    pub span: Span,
    /// Nothing at or below it is voted for.
    pub floor: Ballot,
    /// The highest ballot of the dead records dropped here, or by those this storage was filled from. A key of which there is
    /// no record may have been one of them, so up to here nobody can tell which operations were applied to it. The floor is
    /// never below it, and has other reasons to be above it: a new member's beginning, and promises that were forgotten.
    /// Those took no record away.
    ///
    /// Why it is enough that an absent key remembers this: a record is dropped at ballot t only when every member shows it
    /// at t, so from then on each of them *by itself* has a record of at least t, which remembers what was applied, or has
    /// dropped up to t. A storage comes to be a full member only by a sync, in which it is given either the record or what
    /// was dropped; and until then at least one full member is in every majority. Splits hand it on, and a joined arc has
    /// the higher one, as with the floor.
    pub swept: Ballot,
    /// The highest ballot promised for the decree that follows this arc.
    pub promised: Ballot,
    /// The decree voted for.
    pub accepted: Option<(Ballot, Decree)>,
    /// The storage does not trust what it holds here and answers nothing for it.
    pub damaged: bool,
}

/// An arc this storage knows and does not keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Note {
    /// The arc as it was learned.
    pub arc: RingArc,
    /// What no newer arc has taken of it.
    pub span: Span,
}

/// All a storage knows of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chart {
    me: StorageId,
    ring: Option<RingId>,
    seats: Vec<Seat>,
    notes: Vec<Note>,
    wiping: Vec<Span>,
}

impl Seat {
    fn new(arc: RingArc, floor: Ballot, swept: Ballot, damaged: bool) -> Self {
        let span = arc.span;
        Self { arc, span, floor, swept, promised: Ballot::ZERO, accepted: None, damaged }
    }

    /// Whether no part of the arc was superseded.
    pub fn is_whole(&self) -> bool {
        self.span == self.arc.span
    }
}

impl Chart {
    /// The chart of a storage in no ring: it keeps everything alone, in epoch 0, which is below every ring's.
    pub fn plain(me: Member) -> Self {
        let founder = me.storage;
        let arc = RingArc { epoch: 0, ..RingArc::founding(RingId(0), me, 1) };
        let seats = vec![Seat::new(arc, Ballot::ZERO, Ballot::ZERO, false)];
        Self { me: founder, ring: None, seats, notes: vec![], wiping: vec![] }
    }

    /// The chart of a storage that founds a ring: it keeps everything alone, from epoch 1 on.
    pub fn founding(ring: RingId, me: Member, copies: u8) -> Self {
        let founder = me.storage;
        let arc = RingArc::founding(ring, me, copies);
        // What a store of its own dropped lies below the first epoch of every ring.
        let floor = Ballot::first_of(arc.epoch);
        let seats = vec![Seat::new(arc, floor, floor, false)];
        Self { me: founder, ring: Some(ring), seats, notes: vec![], wiping: vec![] }
    }

    /// The chart of a storage that enters a ring and keeps nothing of it yet.
    pub fn entering(ring: RingId, me: StorageId, wiping: Vec<Span>) -> Self {
        Self { me, ring: Some(ring), seats: vec![], notes: vec![], wiping }
    }

    /// Whose chart it is.
    pub fn me(&self) -> StorageId {
        self.me
    }

    /// Its ring; none while it is a store of its own.
    pub fn ring(&self) -> Option<RingId> {
        self.ring
    }

    /// The arcs it keeps.
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The arcs it knows and does not keep.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// What is still to be removed.
    pub fn wiping(&self) -> &[Span] {
        &self.wiping
    }

    /// Which seat a place belongs to, in whatever epoch.
    pub fn seat_of(&self, place: Position) -> Option<usize> {
        self.seats.iter().position(|s| s.span.holds(place))
    }

    /// The epoch in which a place is kept, if it is.
    pub fn epoch_of(&self, place: Position) -> Option<u64> {
        self.seat_of(place).map(|seat| self.seats[seat].arc.epoch)
    }

    /// The seat that answers for a place in exactly this epoch, or why there is none.
    pub fn admits(&self, place: Position, epoch: u64) -> Result<usize, Refusal> {
        let Some(index) = self.seat_of(place) else {
            let note =
                self.notes.iter().find(|n| n.span.holds(place)).map(|n| Box::new(n.arc.clone()));
            return Err(match note {
                Some(arc) if arc.epoch >= epoch => Refusal::Stale { arc },
                behind => Refusal::Behind { arc: behind },
            });
        };
        let seat = &self.seats[index];
        if seat.damaged {
            return Err(Refusal::Damaged { span: seat.span });
        }
        match seat.arc.epoch.cmp(&epoch) {
            std::cmp::Ordering::Equal => Ok(index),
            _ if mutant::is("M3") => Ok(index),
            std::cmp::Ordering::Greater => Err(Refusal::Stale { arc: Box::new(seat.arc.clone()) }),
            std::cmp::Ordering::Less => {
                Err(Refusal::Behind { arc: Some(Box::new(seat.arc.clone())) })
            }
        }
    }

    /// The seat that answers for a whole span in exactly this epoch.
    pub fn admits_span(&self, span: Span, epoch: u64) -> Result<usize, Refusal> {
        let index = self.admits(span.to, epoch)?;
        let seat = &self.seats[index];
        if seat.span.covers(span) {
            return Ok(index);
        }
        // A part of it was superseded: by what, is what the asker has to hear. Or, as in one epoch a place has one arc, it
        // mixed two.
        let kept = self.seats.iter().map(|seat| (seat.span, &seat.arc));
        let left = self.notes.iter().map(|note| (note.span, &note.arc));
        let newer = |(part, arc): &(Span, &RingArc)| part.overlaps(span) && arc.epoch > epoch;
        let arc = kept.chain(left).find(newer).map_or(&seat.arc, |(_, arc)| arc);
        Err(Refusal::Stale { arc: Box::new(arc.clone()) })
    }

    /// The seats whose arc EQUALS the one named: same span, epoch and members. One, or what newer arcs left of it in pieces.
    fn slot(&mut self, arc: &RingArc) -> Result<Vec<&mut Seat>, Refusal> {
        if self.seats.iter().all(|seat| seat.arc != *arc) {
            let seat = &self.seats[self.admits(arc.span.to, arc.epoch)?];
            return Err(Refusal::Stale { arc: Box::new(seat.arc.clone()) });
        }
        let pieces: Vec<&mut Seat> =
            self.seats.iter_mut().filter(|seat| seat.arc == *arc).collect();
        match pieces.iter().find(|seat| seat.damaged) {
            Some(seat) => Err(Refusal::Damaged { span: seat.span }),
            None => Ok(pieces),
        }
    }

    /// Promises to vote for no decree of this arc below `ballot`, and shows the vote given. To be written down first.
    pub fn prepare_decree(
        &mut self,
        arc: &RingArc,
        ballot: Ballot,
    ) -> Result<Option<(Ballot, Decree)>, Refusal> {
        let pieces = self.slot(arc)?;
        let (promised, accepted) = (pieces[0].promised, pieces[0].accepted.clone());
        if ballot <= promised {
            return Err(Refusal::Refused { highest: promised });
        }
        pieces.into_iter().for_each(|seat| seat.promised = ballot);
        Ok(accepted)
    }

    /// Votes for a decree. To be written down first.
    pub fn accept_decree(
        &mut self,
        arc: &RingArc,
        ballot: Ballot,
        decree: &Decree,
    ) -> Result<(), Refusal> {
        let pieces = self.slot(arc)?;
        let promised = pieces[0].promised;
        if ballot < promised {
            return Err(Refusal::Refused { highest: promised });
        }
        decree.next(arc)?;
        for seat in pieces {
            seat.promised = ballot;
            seat.accepted = Some((ballot, decree.clone()));
        }
        Ok(())
    }

    /// Adopts what is newer than all it overlaps and passes over the rest. To be written down first; if any part is refused,
    /// nothing of it may be.
    pub fn learn(&mut self, arcs: &[RingArc]) -> Result<(), Refusal> {
        arcs.iter().try_for_each(|arc| self.adopt(arc))
    }

    fn adopt(&mut self, arc: &RingArc) -> Result<(), Refusal> {
        let overlapping = |span: Span| span.overlaps(arc.span);
        let seats: Vec<&Seat> = self.seats.iter().filter(|s| overlapping(s.span)).collect();
        let mut known = seats
            .iter()
            .map(|s| &s.arc)
            .chain(self.notes.iter().filter(|n| overlapping(n.span)).map(|n| &n.arc));
        if known.any(|k| k.epoch >= arc.epoch) {
            return Ok(());
        }
        let damaged = seats.iter().any(|s| s.damaged);
        let kept_some = !seats.is_empty();
        if arc.has(self.me) {
            if let Some(span) = self.wiping.iter().find(|w| overlapping(**w)) {
                return Err(Refusal::Wiping { span: *span });
            }
            let kept: Vec<Span> = seats.iter().map(|s| s.span).collect();
            let never_kept = kept.iter().fold(vec![arc.span], |left, k| {
                left.into_iter().flat_map(|l| l.without(*k)).collect()
            });
            if let (Some(span), true) = (never_kept.first(), arc.filling != Some(self.me)) {
                // A full member was once filled. One that was not must not pass its emptiness off as absence: its
                // directory was restored from before that time.
                return Err(Refusal::NeverFilled { span: *span });
            }
            let was_full = |s: &&&Seat| s.arc.filling != Some(self.me);
            if let (Some(seat), true) = (seats.iter().find(was_full), arc.filling == Some(self.me))
                && !mutant::is("M14")
            {
                // It was out in between, or it would not come in, and never heard of it: what it holds is from before.
                return Err(Refusal::NeverFilled { span: seat.span });
            }
            let inherited = seats.iter().map(|s| s.floor).max().unwrap_or_default();
            let first = Ballot::first_of(if never_kept.is_empty() { 0 } else { arc.epoch });
            let swept = seats.iter().map(|s| s.swept).max().unwrap_or_default();
            let seat = Seat::new(arc.clone(), inherited.max(first), swept, damaged);
            self.cut(arc.span);
            self.seats.push(seat);
        } else {
            self.cut(arc.span);
            if !(mutant::is("M13") && kept_some) {
                self.notes.push(Note { arc: arc.clone(), span: arc.span });
            }
            if kept_some {
                self.wiping.push(arc.span);
            }
        }
        let place = |s: Span| s.from;
        self.seats.sort_by_key(|s| place(s.span));
        self.notes.sort_by_key(|n| place(n.span));
        debug_assert!(self.is_disjoint(), "two arcs at one place: {self:?}");
        Ok(())
    }

    /// Begins an arc again without the members that are given up, if this storage sees the arc exactly so; says whether
    /// that was new to it. To be written down first.
    pub fn restart(&mut self, restart: &Restart) -> Result<bool, Refusal> {
        let arc = &restart.arc;
        let next = restart.next().map_err(|why| Refusal::Malformed(why.to_string()))?;
        if self.seats.iter().any(|seat| seat.arc == next) {
            return Ok(false);
        }
        if !next.has(self.me) {
            return Err(Refusal::Malformed("this storage would not keep the arc".into()));
        }
        let kept = self.seats.iter().find(|seat| seat.arc == *arc && seat.is_whole());
        match (kept, &restart.heir) {
            (Some(seat), None) if seat.damaged => Err(Refusal::Damaged { span: seat.span }),
            (Some(_), None) => self.adopt(&next).map(|()| true),
            (None, Some(_)) => {
                if let Some(span) = self.wiping.iter().find(|span| span.overlaps(arc.span)) {
                    return Err(Refusal::Wiping { span: *span });
                }
                if self.notes.iter().all(|note| note.arc != *arc || note.span != arc.span) {
                    return Err(Refusal::Behind { arc: None });
                }
                // It holds nothing of it, and nothing from before the new epoch is ever taken.
                self.cut(arc.span);
                let floor = Ballot::first_of(next.epoch);
                // What was applied there before went with the lost: it counts as dropped.
                self.seats.push(Seat::new(next, floor, floor, false));
                self.seats.sort_by_key(|seat| seat.span.from);
                Ok(true)
            }
            _ => {
                let index = self.admits(arc.span.to, arc.epoch)?;
                Err(Refusal::Stale { arc: Box::new(self.seats[index].arc.clone()) })
            }
        }
    }

    /// Takes a span away from every seat and note.
    fn cut(&mut self, span: Span) {
        let seats = std::mem::take(&mut self.seats);
        self.seats = seats
            .into_iter()
            .flat_map(|s| {
                s.span.without(span).into_iter().map(move |span| Seat { span, ..s.clone() })
            })
            .collect();
        let notes = std::mem::take(&mut self.notes);
        self.notes = notes
            .into_iter()
            .flat_map(|n| {
                n.span.without(span).into_iter().map(move |span| Note { span, ..n.clone() })
            })
            .collect();
    }

    fn is_disjoint(&self) -> bool {
        let spans: Vec<Span> =
            self.seats.iter().map(|s| s.span).chain(self.notes.iter().map(|n| n.span)).collect();
        let apart = |(n, a): (usize, &Span)| spans[..n].iter().all(|b| !a.overlaps(*b));
        spans.iter().enumerate().all(apart)
    }

    /// Raises the floor of a seat. To be written down before anything below it is removed.
    pub fn raise_floor(&mut self, seat: usize, to: Ballot) {
        let floor = &mut self.seats[seat].floor;
        *floor = (*floor).max(to);
    }

    /// Dead records up to this ballot are dropped from a seat. To be written down before they are removed.
    pub fn swept(&mut self, seat: usize, to: Ballot) {
        self.raise_floor(seat, to);
        let swept = &mut self.seats[seat].swept;
        *swept = (*swept).max(to);
    }

    /// Those this storage is filled from have dropped dead records up to this ballot. To be written down.
    pub fn inherit(&mut self, span: Span, epoch: u64, swept: Ballot) -> Result<(), Refusal> {
        let seat = self.admits_span(span, epoch)?;
        if self.seats[seat].arc.filling != Some(self.me) {
            return Err(Refusal::NotFilling);
        }
        self.swept(seat, swept);
        Ok(())
    }

    /// The storage no longer trusts what it holds in this seat.
    pub fn declare_damaged(&mut self, seat: usize) {
        self.seats[seat].damaged = true;
    }

    /// Whoever is responsible for what it holds has seen to it.
    pub(crate) fn trust(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.damaged = false);
    }

    /// The first span in need of wiping holds nothing any more.
    pub fn wiped(&mut self, span: Span) {
        self.wiping.retain(|w| *w != span);
    }
}

#[cfg(test)]
mod tests;

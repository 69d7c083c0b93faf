//! What a router remembers of the ring: for every place the newest arc it ever heard of.
//!
//! It is a memory, not a truth: an arc may be out of date, and the storages say so when it is used. Hearing of an arc twice
//! or late does no harm, since the newer epoch stays.

use minor_protocol::{Position, RingArc, Span};

/// The arcs a router has heard of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RingMap {
    pieces: Vec<Piece>,
}

/// An arc, and what of it no newer one has taken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Piece {
    span: Span,
    /// Whoever works with it holds on to it while the map changes.
    /// Shared with the operations that look at it; between threads too, since the model explores worlds with rings in them.
    arc: std::sync::Arc<RingArc>,
}

impl RingMap {
    /// Hears of an arc: it takes every place for which nothing as new was known. Says whether it took any.
    pub fn learn(&mut self, arc: &RingArc) -> bool {
        let mut new = vec![arc.span];
        for piece in &self.pieces {
            if piece.arc.epoch >= arc.epoch {
                new = new.into_iter().flat_map(|span| span.without(piece.span)).collect();
            }
        }
        for span in &new {
            let pieces = std::mem::take(&mut self.pieces);
            self.pieces = pieces
                .into_iter()
                .flat_map(|Piece { span: held, arc }| {
                    held.without(*span)
                        .into_iter()
                        .map(move |span| Piece { span, arc: std::sync::Arc::clone(&arc) })
                })
                .collect();
        }
        let took = !new.is_empty();
        if took {
            let arc = std::sync::Arc::new(arc.clone());
            self.pieces.extend(
                new.into_iter().map(|span| Piece { span, arc: std::sync::Arc::clone(&arc) }),
            );
        }
        self.pieces.sort_by_key(|piece| piece.span.to);
        took
    }

    /// The newest arc known for a place.
    pub fn arc_at(&self, place: Position) -> Option<&RingArc> {
        self.piece_at(place).map(|piece| &*piece.arc)
    }

    /// The same, to hold on to while the map changes.
    pub fn shared_arc_at(&self, place: Position) -> Option<std::sync::Arc<RingArc>> {
        self.piece_at(place).map(|piece| std::sync::Arc::clone(&piece.arc))
    }

    /// The arc whose place is nearest before a place of which nothing is known.
    pub fn arc_before(&self, gap: Position) -> Option<&RingArc> {
        let before = self.pieces.iter().min_by_key(|piece| gap.after(piece.span.to))?;
        Some(&before.arc)
    }

    fn piece_at(&self, place: Position) -> Option<&Piece> {
        // Sorted by their ends, the first piece that ends at or behind the place is the one that can hold it; over the top
        // that is the first of all.
        let next = self.pieces.partition_point(|piece| piece.span.to < place);
        let piece = self.pieces.get(next).or(self.pieces.first())?;
        piece.span.holds(place).then_some(piece)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    /// All arcs known, in ring order, each once.
    pub fn arcs(&self) -> Vec<RingArc> {
        let mut arcs: Vec<RingArc> = vec![];
        for piece in &self.pieces {
            if !arcs.contains(&*piece.arc) {
                arcs.push(RingArc::clone(&piece.arc));
            }
        }
        arcs
    }

    /// The arcs in ring order, if they tile the ring without gap or overlap.
    pub fn tiled(&self) -> Option<Vec<RingArc>> {
        let arcs = || self.pieces.iter().map(|piece| RingArc::clone(&piece.arc)).collect();
        self.is_tiled().then(arcs)
    }

    /// Whether the arcs tile the ring.
    pub fn is_tiled(&self) -> bool {
        let whole = self.pieces.iter().all(|piece| piece.span == piece.arc.span);
        let closed = self.pieces.iter().zip(self.pieces.iter().cycle().skip(1));
        let closes = closed.clone().all(|(piece, next)| piece.span.to == next.span.from);
        let places: u128 = self.pieces.iter().map(|piece| piece.span.places()).sum();
        whole && closes && places == 1 << 64
    }

    /// What is left of every arc by newer ones, in ring order.
    pub fn pieces(&self) -> impl Iterator<Item = (Span, &RingArc)> {
        self.pieces.iter().map(|piece| (piece.span, &*piece.arc))
    }

    /// An arc of which a newer one has taken a part, while nobody told what became of the rest.
    pub fn torn(&self) -> Option<&RingArc> {
        self.pieces.iter().find(|piece| piece.span != piece.arc.span).map(|piece| &*piece.arc)
    }

    /// A place of which nothing is known: the first one behind a known arc, or any if nothing is known at all.
    pub fn gap(&self) -> Option<Position> {
        if self.pieces.is_empty() {
            return Some(Position(0));
        }
        let ends = self.pieces.iter().map(|piece| Span::new(piece.span.to, piece.span.to).first());
        ends.into_iter().find(|place| self.arc_at(*place).is_none())
    }

    /// Every address heard of, each once, in ring order: where to ask when nothing else is known.
    pub fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = vec![];
        for member in self.pieces.iter().flat_map(|piece| &piece.arc.members) {
            if !addresses.contains(&member.address) {
                addresses.push(member.address.clone());
            }
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Member, RingId, StorageId};

    fn arc(from: u64, to: u64, epoch: u64) -> RingArc {
        let member = Member { storage: StorageId(1), address: "a:1".into(), zone: String::new() };
        RingArc {
            ring: RingId(1),
            span: Span::new(Position(from), Position(to)),
            epoch,
            members: vec![member],
            filling: None,
            copies: 3,
            sealed: None,
        }
    }

    #[test]
    fn the_newest_arc_of_a_place_is_remembered_whatever_order_they_come_in() {
        let arcs = [arc(0, 0, 1), arc(0, 50, 2), arc(50, 0, 2), arc(20, 50, 5), arc(0, 20, 3)];
        for first in 0..arcs.len() {
            let mut ring = RingMap::default();
            for n in 0..arcs.len() {
                ring.learn(&arcs[(first + n) % arcs.len()]);
            }
            let epoch = |place| ring.arc_at(Position(place)).unwrap().epoch;
            assert_eq!(
                [epoch(10), epoch(20), epoch(21), epoch(50), epoch(51), epoch(0)],
                [3, 3, 5, 5, 2, 2]
            );
            assert_eq!(ring.tiled().map(|t| t.len()), Some(3), "the older ones are covered");
        }
    }

    #[test]
    fn a_ring_with_a_gap_or_half_an_arc_does_not_close() {
        let mut ring = RingMap::default();
        assert_eq!((ring.tiled(), ring.gap()), (None, Some(Position(0))));
        ring.learn(&arc(0, 50, 2));
        assert_eq!((ring.tiled(), ring.gap()), (None, Some(Position(51))));
        assert_eq!(ring.arc_at(Position(51)), None);
        ring.learn(&arc(50, 0, 2));
        assert!(ring.tiled().is_some() && ring.gap().is_none());
        ring.learn(&arc(10, 20, 3));
        assert!(ring.tiled().is_none(), "two old arcs are cut");
        assert!(!ring.learn(&arc(0, 50, 2)), "heard again");
    }

    #[test]
    fn a_place_is_found_over_the_top_of_the_ring() {
        let mut ring = RingMap::default();
        ring.learn(&arc(u64::MAX - 10, 10, 1));
        for place in [u64::MAX - 9, u64::MAX, 0, 10] {
            assert!(ring.arc_at(Position(place)).is_some(), "{place}");
        }
        assert!(
            ring.arc_at(Position(11)).is_none() && ring.arc_at(Position(u64::MAX - 10)).is_none()
        );
    }
}

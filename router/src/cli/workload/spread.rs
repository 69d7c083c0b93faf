//! Where keys came to lie: how many each storage has in its own arc, and how many it keeps in all.

use minor_protocol::{Position, RingArc};

/// One storage's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) address: String,
    /// Keys in the arc that ends at its place.
    pub(crate) own: u64,
    /// Keys it keeps, those of others included.
    pub(crate) kept: u64,
}

/// The parts of all storages, in the order of the ring.
pub(crate) fn of(arcs: &[RingArc], places: impl Iterator<Item = Position>) -> Vec<Part> {
    let mut parts: Vec<Part> = vec![];
    let mut place_of = |address: &String| {
        parts.iter().position(|part| part.address == *address).unwrap_or_else(|| {
            parts.push(Part { address: address.clone(), own: 0, kept: 0 });
            parts.len() - 1
        })
    };
    // The first member of an arc is the storage whose own arc it is.
    let mut members: Vec<Vec<usize>> =
        arcs.iter().map(|arc| vec![place_of(&arc.members[0].address)]).collect();
    for (arc, members) in arcs.iter().zip(&mut members) {
        members.extend(arc.members[1..].iter().map(|member| place_of(&member.address)));
    }
    for place in places {
        let Some(arc) = arcs.iter().position(|arc| arc.span.holds(place)) else { continue };
        parts[members[arc][0]].own += 1;
        for member in &members[arc] {
            parts[*member].kept += 1;
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Member, RingId, Span, StorageId};

    #[test]
    fn a_key_counts_for_the_arc_it_lies_in_and_for_all_who_keep_it() {
        let arc = |from, to, members: &[u64]| RingArc {
            ring: RingId(1),
            span: Span::new(Position(from), Position(to)),
            epoch: 1,
            members: members
                .iter()
                .map(|n| Member {
                    storage: StorageId(u128::from(*n)),
                    address: format!("a:{n}"),
                    zone: String::new(),
                })
                .collect(),
            filling: None,
            copies: 2,
            sealed: None,
        };
        let arcs = [arc(90, 10, &[1, 2]), arc(10, 50, &[2, 3]), arc(50, 90, &[3, 1])];
        let places = [0, 10, 11, 50, 95, u64::MAX].map(Position);
        let parts = of(&arcs, places.into_iter());
        let counts: Vec<_> = parts.iter().map(|p| (&*p.address, p.own, p.kept)).collect();
        assert_eq!(counts, [("a:1", 4, 4), ("a:2", 2, 6), ("a:3", 0, 2)]);
    }
}

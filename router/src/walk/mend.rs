//! What a walk leaves better than it found it: who lags is taught, and neighbours are named anew. Nobody waits for it.

use super::Walk;
use crate::{router::Router, transport::Transport};
use minor_protocol::{
    Member, Request, RingArc, StorageId,
    limits::{LEARN_ARCS, SUCCESSORS},
    message::Neighbour,
};

impl<T: Transport> Router<T> {
    /// Teaches storages that lag, and tells them their neighbours where they know others. Nobody waits for it.
    pub(super) fn mend(&self, walk: &Walk, arcs: &[RingArc]) {
        self.teach_those_who_lag(walk, arcs);
        self.rewire(walk, arcs);
    }

    pub(super) fn teach_those_who_lag(&self, walk: &Walk, arcs: &[RingArc]) {
        // One that is in no ring yet keeps everything for itself, and is not to be taught.
        let told = walk.hops.iter().filter_map(|hop| hop.hello.as_ref());
        for hello in told.filter(|hello| hello.ring.is_some()) {
            let lags = |arc: &&RingArc| {
                hello.kept.iter().any(|k| k.arc.epoch < arc.epoch && k.arc.span.overlaps(arc.span))
            };
            let newer: Vec<RingArc> = arcs.iter().filter(lags).take(LEARN_ARCS).cloned().collect();
            if !newer.is_empty() {
                drop(self.say(&hello.member, Request::Learn { arcs: newer }));
            }
        }
    }

    fn rewire(&self, walk: &Walk, arcs: &[RingArc]) {
        let places: Vec<&Member> = arcs.iter().map(RingArc::first).collect();
        for (n, member) in places.iter().enumerate() {
            let seen = |m: &Member| walk.seen.get(&m.storage).cloned();
            let around = |steps: usize| places[(n + steps) % places.len()];
            let mut successors: Vec<Neighbour> = vec![];
            for near in (1..places.len()).map(around).filter(|near| near.storage != member.storage)
            {
                if successors.len() < SUCCESSORS.min(3)
                    && successors.iter().all(|s| s.member.storage != near.storage)
                {
                    let starts = self.core.lines.starts(near.storage);
                    successors.push(Neighbour { member: near.clone(), starts });
                }
            }
            let predecessor = (1..places.len())
                .map(|back| around(places.len() - back))
                .find(|near| near.storage != member.storage)
                .map(|near| Neighbour {
                    member: near.clone(),
                    starts: self.core.lines.starts(near.storage),
                });
            let told = walk.hops.iter().filter_map(|hop| hop.hello.as_ref());
            let right = told.filter(|hello| hello.member.storage == member.storage).any(|hello| {
                ids(&hello.successors) == ids(&successors)
                    && hello.predecessor.as_ref().map(|p| p.member.storage)
                        == predecessor.as_ref().map(|p| p.member.storage)
            });
            if seen(member).is_some() && !right {
                let rewire = Request::Rewire { predecessor, successors };
                drop(self.say(member, rewire));
            }
        }
    }
}

fn ids(neighbours: &[Neighbour]) -> Vec<StorageId> {
    neighbours.iter().map(|n| n.member.storage).collect()
}

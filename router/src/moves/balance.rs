//! Evening out: weighs the arcs, and moves the boundaries to where every storage keeps its share.

use super::{NotMoved, Progress};
use crate::{
    counters::Cause,
    plan::{
        Goal,
        even::{Cut, Load, even, heaviest},
    },
    router::Router,
    transport::Transport,
};
use minor_protocol::{Position, RingArc, StorageId};

/// How often it is weighed and moved again: what is written meanwhile may weigh.
const ROUNDS: usize = 4;

impl<T: Transport> Router<T> {
    /// Moves boundaries until no storage keeps more than 1.2 times its share of the bytes. Where it is so already, nothing
    /// is moved.
    pub async fn balance(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        let mut watched = self.watched(Cause::Balance, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        self.heed_majorities(tell).await?;
        for _ in 0..ROUNDS {
            // What is half done is finished first: then every place ends exactly one arc.
            self.look_round(tell).await?;
            self.reach(|arcs| Ok(Goal::of(arcs)), tell).await?;
            let arcs = self.look_round(tell).await?;
            let weights = self.weigh_all(&arcs).await?;
            let load = heaviest(&arcs, &weights);
            tell(Progress::Weighed(load.clone()));
            if load.is_fair() {
                return Ok(());
            }
            let places = self.even_places(&arcs, &weights).await;
            if places.is_empty() {
                return Err(NotMoved::Uneven(Box::new(load)));
            }
            let goal = Goal::of(&arcs).with_places(&places)?;
            let places: Vec<_> = goal.places.iter().map(|(at, who)| (who.storage, *at)).collect();
            self.reach(|arcs| Goal::of(arcs).with_places(&places), tell).await?;
        }
        let arcs = self.look_round(tell).await?;
        let load = heaviest(&arcs, &self.weigh_all(&arcs).await?);
        tell(Progress::Weighed(load.clone()));
        if load.is_fair() { Ok(()) } else { Err(NotMoved::Uneven(Box::new(load))) }
    }

    /// Who keeps the most at this time.
    pub async fn load(&self) -> Result<Load, NotMoved> {
        let arcs = self.walk().await?.arcs;
        Ok(heaviest(&arcs, &self.weigh_all(&arcs).await?))
    }

    /// The places that have to change for every arc to weigh the same. The arcs are at rest: each ends at a place.
    pub(super) async fn even_places(
        &self,
        arcs: &[RingArc],
        weights: &[u64],
    ) -> Vec<(StorageId, Position)> {
        let mut taken: Vec<Position> = arcs.iter().map(|arc| arc.span.to).collect();
        let mut places = vec![];
        for (own, cut) in arcs.iter().zip(even(weights)) {
            let Some(Cut { arc, bytes }) = cut else { continue };
            let Some(mut at) = self.cut(&arcs[arc], bytes).await else { continue };
            // Two storages that quarrel over one heavy key get places side by side, and one of them an empty arc.
            while taken.contains(&at) {
                at = Position(at.0.wrapping_sub(1));
            }
            taken.push(at);
            places.push((own.first().storage, at));
        }
        places
    }
}

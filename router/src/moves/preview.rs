//! What a change of the ring would move, told without doing it.
//!
//! The plan is gone through as if alone, from the arcs as they are, and every newcomer's arc is weighed where it lies now.

use super::{NotMoved, Progress, evict::ROLL_CALL};
use crate::{
    plan::{Goal, Step},
    router::Router,
    transport::Transport,
};
use futures_util::future::{Either, select};
use minor_protocol::{Decree, Member, Position, RingArc, Span, StorageId};
use serde::Serialize;
use std::pin::pin;
use tokio::time::{Duration, sleep};

/// A change of the ring that somebody may want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The storage at this address comes in, at this place or where it takes half of the heaviest arc.
    Join(String, Option<Position>),
    /// This storage goes.
    Leave(StorageId),
    /// So many copies are kept.
    Copies(u8),
    /// Nobody keeps more than 1.2 times its share.
    Balance,
    /// What is half done is finished.
    Repair,
}

/// One stretch of the ring that somebody would be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The stretch.
    pub span: Span,
    /// Who would get it.
    pub to: Member,
    /// Keys in it, deleted ones among them.
    pub keys: u64,
    /// Bytes in it.
    pub bytes: u64,
}

/// What would be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    /// What would be copied, and to whom.
    pub moves: Vec<Moved>,
    /// How many decrees it takes.
    pub decrees: usize,
    /// Bytes there are on all arcs, each counted once.
    pub bytes_total: u64,
}

impl Preview {
    /// Keys that would be copied.
    pub fn keys(&self) -> u64 {
        self.moves.iter().map(|moved| moved.keys).sum()
    }

    /// Bytes that would be copied.
    pub fn bytes(&self) -> u64 {
        self.moves.iter().map(|moved| moved.bytes).sum()
    }

    /// All of it, as programs are told.
    pub fn shown(&self) -> Shown {
        let moves = self.moves.iter().map(|moved| ShownMove {
            to: moved.to.address.clone(),
            from_place: moved.span.from.to_string(),
            to_place: moved.span.to.to_string(),
            keys: moved.keys,
            bytes: moved.bytes,
        });
        Shown {
            moves: moves.collect(),
            keys: self.keys(),
            bytes: self.bytes(),
            bytes_total: self.bytes_total,
            steps: self.decrees,
        }
    }
}

/// A [`Preview`] as programs are told of it, by the command and at a door.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    moves: Vec<ShownMove>,
    keys: u64,
    bytes: u64,
    bytes_total: u64,
    steps: usize,
}

#[derive(Clone, Debug, Serialize)]
struct ShownMove {
    to: String,
    from_place: String,
    to_place: String,
    keys: u64,
    bytes: u64,
}

impl<T: Transport> Router<T> {
    /// What a change of the ring would move. Nothing is changed, but that what another router has agreed on already may be
    /// spread. It takes no longer than one step of a change may.
    pub async fn preview(&self, wanted: &Wanted) -> Result<Preview, NotMoved> {
        let within_ms = self.core.patience.step_ms;
        let most = Duration::from_millis(within_ms);
        match select(pin!(self.look_ahead(wanted, most)), pin!(sleep(most))).await {
            Either::Left((told, _)) => told,
            // As long as the asking is not dropped, it shows who is waited for.
            Either::Right(((), _asking)) => {
                Err(NotMoved::NotSeen { within_ms, missing: self.awaited().into_iter().collect() })
            }
        }
    }

    async fn look_ahead(&self, wanted: &Wanted, most: Duration) -> Result<Preview, NotMoved> {
        // Who hangs is known soon, and then asked last.
        self.look_about(&[], (most / 4).min(ROLL_CALL)).await;
        let mut deaf = |_: Progress| {};
        let arcs = self.look_round(&mut deaf).await?;
        let weights = self.weigh_all(&arcs).await?;
        let goal = self.goal_of(wanted, &arcs, &weights).await?;
        let steps = goal.story(&arcs);
        let mut preview =
            Preview { moves: vec![], decrees: steps.len(), bytes_total: weights.iter().sum() };
        for Step { arc: piece, decree, .. } in &steps {
            let Decree::Grow { member, .. } = decree else { continue };
            // Arcs are cut before anybody comes in, and joined after: the piece lies in one of the arcs there are now.
            let Some(now) = arcs.iter().find(|arc| arc.span.covers(piece.span)) else { continue };
            let stuck = |why| NotMoved::Stuck { arc: Box::new(now.clone()), why };
            let tally = self.weigh(now, piece.span).await.map_err(stuck)?;
            preview.moves.push(Moved {
                span: piece.span,
                to: member.clone(),
                keys: tally.records,
                bytes: tally.bytes,
            });
        }
        Ok(preview)
    }

    async fn goal_of(
        &self,
        wanted: &Wanted,
        arcs: &[RingArc],
        weights: &[u64],
    ) -> Result<Goal, NotMoved> {
        let goal = Goal::of(arcs);
        Ok(match wanted {
            Wanted::Join(address, place) => {
                let silent = |silence| NotMoved::Silent { address: address.clone(), silence };
                let (hello, _) = self.hello(address).await.map_err(silent)?;
                let place = match place {
                    Some(place) => *place,
                    None => self.middle_of_the_heaviest(arcs).await?,
                };
                Goal::leaving_free(arcs, Some(place)).with(place, hello.member)?
            }
            Wanted::Leave(storage) => goal.without(*storage)?,
            Wanted::Copies(copies) => goal.with_copies(*copies)?,
            Wanted::Balance if crate::plan::even::heaviest(arcs, weights).is_fair() => goal,
            Wanted::Balance => goal.with_places(&self.even_places(arcs, weights).await)?,
            Wanted::Repair => goal,
        })
    }
}

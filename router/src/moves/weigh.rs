//! How much an arc holds, asked of those who keep it.

use super::NotMoved;
use crate::{router::Router, transport::Transport};
use minor_protocol::{Member, Position, Reply, Request, RingArc, Span, message::Tally};
use tokio::time::Instant;

impl<T: Transport> Router<T> {
    /// Those who keep an arc in full, and whoever was silent lately after all others.
    fn full_of<'a>(&self, arc: &'a RingArc) -> Vec<&'a Member> {
        let mut full: Vec<&Member> = arc.full().collect();
        full.sort_by_key(|member| self.is_silent(&member.address));
        full
    }

    /// What a full member counts in a part of its arc: the first that answers.
    pub(crate) async fn weigh(&self, arc: &RingArc, part: Span) -> Result<Tally, String> {
        let mut last = String::from("nobody was asked");
        for member in self.full_of(arc) {
            let heard = self.say(member, Request::Tally { span: part, epoch: arc.epoch }).await;
            if let Ok(Ok(Reply::Tallied { tally })) = heard {
                return Ok(tally);
            }
            self.take_in(arc, member.storage, &heard);
            super::note(&mut last, arc, member.storage, &heard);
        }
        Err(last)
    }

    /// Tries something with an arc again and again, for as long as a step may take: a message can be lost.
    pub(super) async fn patiently<A>(
        &self,
        arc: &RingArc,
        mut work: impl AsyncFnMut() -> Result<A, String>,
    ) -> Result<A, NotMoved> {
        let begun = Instant::now();
        for tries in 1.. {
            match work().await {
                Ok(done) => return Ok(done),
                Err(why) if begun.elapsed().as_millis() > self.core.patience.step_ms.into() => {
                    return Err(NotMoved::Stuck { arc: Box::new(arc.clone()), why });
                }
                Err(why) => {
                    self.hold_up(why);
                    self.pause(tries).await;
                }
            }
        }
        unreachable!("it is tried until it is given up")
    }

    /// The same, for as long as no newer form of the arc is heard of: whoever has adopted that answers no more in this one.
    pub(super) async fn while_newest<A>(
        &self,
        arc: &RingArc,
        mut work: impl AsyncFnMut() -> Result<A, String>,
    ) -> Result<Option<A>, NotMoved> {
        self.patiently(arc, async || {
            let newest = self.core.ring.borrow().arc_at(arc.span.to).cloned();
            if newest.is_some_and(|newest| !newest.is_same_slot(arc)) {
                return Ok(None);
            }
            work().await.map(Some)
        })
        .await
    }

    /// The bytes of every arc.
    pub(super) async fn weigh_all(&self, arcs: &[RingArc]) -> Result<Vec<u64>, NotMoved> {
        let mut weights = vec![];
        for arc in arcs {
            weights
                .push(self.patiently(arc, async || self.weigh(arc, arc.span).await).await?.bytes);
        }
        Ok(weights)
    }

    /// The place in an arc up to which so many of its bytes lie; none if it cannot be cut there.
    pub(super) async fn cut(&self, arc: &RingArc, bytes: u64) -> Option<Position> {
        for member in self.full_of(arc) {
            let cut = Request::Cut { span: arc.span, epoch: arc.epoch, bytes };
            if let Ok(Ok(Reply::Cut { at })) = self.say(member, cut).await {
                return at;
            }
        }
        None
    }

    /// The place that takes half of what the fullest arc holds.
    pub(super) async fn middle_of_the_heaviest(
        &self,
        arcs: &[RingArc],
    ) -> Result<Position, NotMoved> {
        let weights = self.weigh_all(arcs).await?;
        let mut weighed: Vec<(u64, u128, &RingArc)> =
            arcs.iter().zip(weights).map(|(arc, bytes)| (bytes, arc.span.places(), arc)).collect();
        weighed.sort_by_key(|(bytes, places, _)| std::cmp::Reverse((*bytes, *places)));
        for (bytes, _, arc) in weighed {
            if let Some(at) = self.cut(arc, bytes.div_ceil(2)).await.filter(|_| bytes > 0) {
                return Ok(at);
            }
            // Nothing there that could be halved: then the places are.
            let half = u64::try_from(arc.span.places() / 2).unwrap_or(1 << 63);
            let at = Position(arc.span.from.0.wrapping_add(half));
            if at != arc.span.to && arc.span.holds(at) {
                return Ok(at);
            }
        }
        Err(NotMoved::NoGoal(crate::plan::NoGoal::PlaceTaken(arcs[0].span.to)))
    }
}

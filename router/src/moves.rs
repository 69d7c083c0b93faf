//! Changing the ring: carries out one step of a plan after another, until the goal is reached.
//!
//! ```text
//!   look round ──▶ plan ──▶ sync / teach ──▶ propose ──▶ teach the outcome ──▶ look round …
//! ```
//!
//! Nothing is remembered between two steps but what the storages show. Whoever is killed here leaves arcs that say what is
//! half done, and the next router, or the next call, goes on from them. All the while everything is served: data moves from
//! storage to router to storage in pages, and only to the member that is being filled.

use crate::{
    plan::{Goal, NoGoal, Step},
    proposal::{Canvass, Poll},
    router::Router,
    tally::{Tally, Verdict},
    transport::{Silence, Transport},
    walk::NoRing,
};
use futures_util::StreamExt;
use minor_protocol::{
    Decree, Member, Position, Refusal, Reply, Request, RingArc, RingId, Span, StorageId,
    message::PlainRecords,
};
use tokio::time::{Duration, Instant};

/// Something that happened on the way, for a progress bar or a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This is about to be done; so many members are still to come in or go.
    Step(Step, usize),
    /// So many keys of an arc were looked at, and so many were copied.
    Synced(Span, usize, usize),
    /// This was agreed.
    Agreed(RingArc, Decree),
    /// Something stands in the way; it is tried again.
    Waiting(String),
}

/// Why a change of the ring did not come to its end. Whatever was agreed on the way holds; said again, it goes on from there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotMoved {
    /// The ring was not found.
    #[error(transparent)]
    NoRing(#[from] NoRing),
    /// The wish cannot be granted.
    #[error(transparent)]
    NoGoal(#[from] NoGoal),
    /// Somebody has to be asked and does not answer.
    #[error("{address} does not answer: {silence}")]
    Silent {
        /// Who.
        address: String,
        /// How.
        silence: Silence,
    },
    /// Somebody said no.
    #[error("{address} refuses: {refusal}")]
    Refused {
        /// Who.
        address: String,
        /// Why.
        refusal: Refusal,
    },
    /// The router's own thread has ended.
    #[error("the router has ended")]
    Ended,
    /// A step made no progress for too long.
    #[error(
        "the arc {arc} is stuck: {why}. Everything is served as before; try again when that is mended."
    )]
    Stuck {
        /// The arc.
        arc: Box<RingArc>,
        /// What stands in the way.
        why: String,
    },
}

/// How one step ended.
enum Taken {
    /// The slot is decided, for this decree or for another.
    Decided,
    /// Something is in the way.
    NotYet(String),
}

impl<T: Transport> Router<T> {
    /// Founds a ring on the storage at this address: what it kept alone is the ring's first content.
    pub async fn found(&self, address: &str, ring: RingId, copies: u8) -> Result<(), NotMoved> {
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        let (hello, _) = self.hello(address).await.map_err(silent)?;
        let heard =
            self.say(&hello.member, Request::Found { ring, copies }).await.map_err(silent)?;
        heard.map_err(|refusal| NotMoved::Refused { address: address.to_owned(), refusal })?;
        self.core.lines.set_ring(ring);
        self.core.seeds.borrow_mut().push(address.to_owned());
        self.walk().await?;
        Ok(())
    }

    /// Brings the storage at this address into the ring, at a place or where it takes half of the heaviest arc.
    pub async fn join(
        &self,
        address: &str,
        place: Option<Position>,
        plain: PlainRecords,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        let (hello, _) = self.hello(address).await.map_err(silent)?;
        let arcs = self.look_round(tell).await?;
        let ring = arcs[0].ring;
        let heard =
            self.say(&hello.member, Request::Enter { ring, plain }).await.map_err(silent)?;
        heard.map_err(|refusal| NotMoved::Refused { address: address.to_owned(), refusal })?;
        let goal = Goal::of(&arcs);
        if goal.places.iter().any(|(_, m)| m.storage == hello.member.storage) {
            return self.reach(|arcs| Ok(Goal::of(arcs)), tell).await;
        }
        let place = match place {
            Some(place) => place,
            None => self.middle_of_the_heaviest(&arcs).await?,
        };
        self.reach(|arcs| Goal::of(arcs).with(place, hello.member.clone()), tell).await
    }

    /// Which storage is meant by an address: the one the ring has there, dead or alive, else whoever answers.
    pub async fn storage_at(&self, address: &str) -> Result<StorageId, NotMoved> {
        let arcs = self.survey().await?.arcs;
        let mut members = arcs.iter().flat_map(|arc| &arc.members);
        if let Some(member) = members.find(|member| member.address == address) {
            return Ok(member.storage);
        }
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        Ok(self.hello(address).await.map_err(silent)?.0.member.storage)
    }

    /// Lets a storage go, after all it keeps was handed to the right neighbours. It need not be alive, as long as every arc
    /// it keeps has a living majority.
    pub async fn leave(
        &self,
        storage: StorageId,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        self.look_round(tell).await?;
        self.reach(|arcs| Goal::of(arcs).without(storage), tell).await
    }

    /// Changes the number of copies.
    pub async fn set_copies(
        &self,
        copies: u8,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        self.look_round(tell).await?;
        self.reach(|arcs| Ok(Goal::of(arcs).with_copies(copies)), tell).await
    }

    /// Finishes or undoes what is half done, and levels every arc.
    pub async fn repair(&self, tell: &mut dyn FnMut(Progress)) -> Result<(), NotMoved> {
        self.look_round(tell).await?;
        self.reach(|arcs| Ok(Goal::of(arcs)), tell).await?;
        for arc in self.survey().await?.arcs {
            self.level(&arc, tell).await?;
        }
        Ok(())
    }

    /// Takes steps until the goal is reached. The goal is computed anew from the arcs each time: somebody else may have
    /// changed them.
    pub async fn reach(
        &self,
        goal: impl Fn(&[RingArc]) -> Result<Goal, NoGoal>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let patience = Duration::from_millis(self.core.patience.step_ms);
        let (mut since, mut last, mut tries) = (Instant::now(), None, 0);
        loop {
            let tiled = self.core.ring.borrow().tiled();
            let arcs = match tiled {
                Some(arcs) => arcs,
                None => self.look_round(tell).await?,
            };
            let wish = goal(&arcs)?;
            let Some(step) = wish.step(&arcs) else {
                // Before it is called done, the arcs are seen to be so, not only remembered.
                let arcs = self.look_round(tell).await?;
                if goal(&arcs)?.step(&arcs).is_none() {
                    return Ok(());
                }
                continue;
            };
            if last.as_ref() != Some(&step) {
                tell(Progress::Step(step.clone(), wish.remaining(&arcs)));
                (since, tries) = (Instant::now(), 0);
                last = Some(step.clone());
            }
            if let Taken::NotYet(why) = self.take(&step, tell).await {
                if since.elapsed() > patience {
                    return Err(NotMoved::Stuck { arc: Box::new(step.arc), why });
                }
                tell(Progress::Waiting(why));
                tries += 1;
                self.pause(tries).await;
                // Whoever is silent now is found out by the step itself.
                let _ = self.walk().await;
            }
        }
    }

    /// The arcs as the storages show them. Where somebody had a decree chosen, taught a part of what follows and died, the
    /// votes tell the rest.
    async fn look_round(&self, tell: &mut dyn FnMut(Progress)) -> Result<Vec<RingArc>, NotMoved> {
        let begun = Instant::now();
        for tries in 0.. {
            match self.walk().await {
                Ok(walked) => return Ok(walked.arcs),
                Err(no_ring)
                    if begun.elapsed().as_millis() >= u128::from(self.core.patience.step_ms) =>
                {
                    return Err(no_ring.into());
                }
                Err(_) => {}
            }
            let torn = self.core.ring.borrow().torn().cloned();
            if let Some(arc) = torn {
                self.decide(&arc, None, tell).await;
            }
            self.pause(tries).await;
        }
        unreachable!("it is tried until it is given up")
    }

    /// Does what a step needs first, and has its decree decided.
    async fn take(&self, step: &Step, tell: &mut dyn FnMut(Progress)) -> Taken {
        if step.needs_teaching()
            && let Decree::Grow { member, .. } = &step.decree
            && let Err(why) = self.teach_outsider(&step.arc, member).await
        {
            return Taken::NotYet(why);
        }
        if step.needs_sync()
            && let Err(why) = self.sync(&step.arc, tell).await
        {
            return Taken::NotYet(why);
        }
        self.decide(&step.arc, Some(&step.decree), tell).await
    }

    /// Rule 14: before a newcomer can come in at the next epoch, it knows the present arc as one it does not keep, and has
    /// cleared away whatever it held there.
    async fn teach_outsider(&self, arc: &RingArc, member: &Member) -> Result<(), String> {
        let no = |why: String| format!("{}: {why}", member.address);
        let learn = Request::Learn { arcs: vec![arc.clone()] };
        match self.say(member, learn).await {
            Ok(Ok(Reply::Learned)) => {}
            Ok(other) => return Err(no(format!("{other:?}"))),
            Err(silence) => return Err(no(silence.to_string())),
        }
        let (hello, _) = self.hello(&member.address).await.map_err(|s| no(s.to_string()))?;
        if hello.wiping.iter().any(|span| span.overlaps(arc.span)) {
            return Err(no("it is still clearing what it kept there before".into()));
        }
        let knows = hello.left.iter().any(|left| left.is_same_slot(arc));
        if knows { Ok(()) } else { Err(no("it knows a newer arc there".into())) }
    }

    /// Has the slot of this arc decided: for the one that somebody put forward before, or else for one's own, if any.
    async fn decide(
        &self,
        arc: &RingArc,
        own: Option<&Decree>,
        tell: &mut dyn FnMut(Progress),
    ) -> Taken {
        let ballot = self.ballot(arc.epoch);
        let mut canvass = Canvass::of(arc.members.len());
        let prepare = |m: &Member| (m.clone(), Request::PrepareDecree { arc: arc.clone(), ballot });
        let mut answers = self.say_all(arc.members.iter().map(prepare));
        let mut last = String::from("silence");
        loop {
            let Some((from, heard)) = answers.next().await else {
                unreachable!("all have answered")
            };
            self.take_in(arc, from, &heard);
            note(&mut last, arc, from, &heard);
            match canvass.hear(heard.ok()) {
                Verdict::Pending => {}
                Verdict::Reached => break,
                Verdict::OutOfReach => return self.undecided(arc, canvass.newer, &last).await,
            }
        }
        let Some(decree) = canvass.decree(own) else {
            return Taken::NotYet("nobody has put anything forward".into());
        };
        let mut poll = Poll::of(arc.members.len());
        let accept = |m: &Member| {
            let decree = decree.clone();
            (m.clone(), Request::AcceptDecree { arc: arc.clone(), ballot, decree })
        };
        let mut answers = self.say_all(arc.members.iter().map(accept));
        loop {
            let Some((from, heard)) = answers.next().await else {
                unreachable!("all have answered")
            };
            self.take_in(arc, from, &heard);
            note(&mut last, arc, from, &heard);
            match poll.hear(heard.ok()) {
                Verdict::Pending => {}
                Verdict::Reached => break,
                Verdict::OutOfReach => return self.undecided(arc, poll.newer, &last).await,
            }
        }
        // It is chosen: from here on it is only spread.
        tell(Progress::Agreed(arc.clone(), decree.clone()));
        let next = match decree.next(arc) {
            Ok(next) => next,
            Err(unfit) => return Taken::NotYet(format!("an unfit decree was chosen: {unfit}")),
        };
        next.iter().for_each(|arc| self.learn(arc));
        self.teach(arc, &next).await
    }

    /// Somebody may have decided the slot already: then the newer arc is spread, and it is decided.
    async fn undecided(&self, arc: &RingArc, newer: Option<RingArc>, last: &str) -> Taken {
        match newer {
            Some(newer) => self.teach(arc, &[newer]).await,
            None => Taken::NotYet(last.to_owned()),
        }
    }

    /// Rule 20: spreads arcs known to be chosen, until a majority of the members of each has adopted it.
    async fn teach(&self, before: &RingArc, next: &[RingArc]) -> Taken {
        let mut learners: Vec<Member> = before.members.clone();
        for member in next.iter().flat_map(|arc| &arc.members) {
            if learners.iter().all(|l| l.storage != member.storage) {
                learners.push(member.clone());
            }
        }
        let learn = |m: &Member| (m.clone(), Request::Learn { arcs: next.to_vec() });
        let mut answers = self.say_all(learners.iter().map(learn));
        let mut counts: Vec<Tally> = next.iter().map(|arc| Tally::of(arc.members.len())).collect();
        let mut last = String::from("silence");
        while let Some((from, heard)) = answers.next().await {
            note(&mut last, before, from, &heard);
            for (arc, count) in next.iter().zip(&mut counts) {
                match heard {
                    Ok(Ok(_)) if arc.has(from) => count.aye(),
                    _ if arc.has(from) => count.no(),
                    _ => {}
                }
            }
        }
        if counts.iter().all(|count| count.verdict() == Verdict::Reached) {
            Taken::Decided
        } else {
            Taken::NotYet(format!("too few have adopted the new form; last: {last}"))
        }
    }

    /// The place that takes half of what the fullest arc holds.
    async fn middle_of_the_heaviest(&self, arcs: &[RingArc]) -> Result<Position, NotMoved> {
        let mut weights: Vec<(u64, u128, &RingArc)> = vec![];
        for arc in arcs {
            let mut bytes = 0;
            for member in arc.full() {
                if let Ok((hello, _)) = self.hello(&member.address).await {
                    let kept = hello.kept.iter().filter(|kept| kept.arc.span == arc.span);
                    bytes = kept.map(|kept| kept.bytes).next().unwrap_or(0);
                    break;
                }
            }
            weights.push((bytes, arc.span.places(), arc));
        }
        weights.sort_by_key(|(bytes, places, _)| std::cmp::Reverse((*bytes, *places)));
        for (_, _, arc) in weights {
            let median = Request::Median { span: arc.span, epoch: arc.epoch };
            for member in arc.full() {
                if let Ok(Ok(Reply::Median { at: Some(at) })) =
                    self.say(member, median.clone()).await
                {
                    return Ok(at);
                }
            }
            // Nothing there that could be halved: then the places are.
            let half = u64::try_from(arc.span.places() / 2).unwrap_or(1 << 63);
            let at = Position(arc.span.from.0.wrapping_add(half));
            if at != arc.span.to && arc.span.holds(at) {
                return Ok(at);
            }
        }
        Err(NotMoved::NoGoal(NoGoal::PlaceTaken(arcs[0].span.to)))
    }
}

pub(crate) fn note(
    last: &mut String,
    arc: &RingArc,
    from: StorageId,
    heard: &crate::transport::lines::Heard,
) {
    let address = arc.member(from).map_or("a newcomer", |m| m.address.as_str());
    match heard {
        Ok(Ok(_)) => {}
        Ok(Err(refusal)) => *last = format!("{address}: {refusal}"),
        Err(silence) => *last = format!("{address}: {silence}"),
    }
}

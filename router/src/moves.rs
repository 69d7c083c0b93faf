//! Changing the ring: carries out one step of a plan after another, until the goal is reached.
//!
//! ```text
//!   look round ──▶ plan ──▶ sync / teach ──▶ propose ──▶ teach the outcome ──▶ look round …
//! ```
//!
//! Nothing is remembered between two steps but what the storages show. Whoever is killed here leaves arcs that say what is
//! half done, and the next router, or the next call, goes on from them. All the while everything is served: data moves from
//! storage to router to storage in pages, and only to the member that is being filled.

mod apart;
mod balance;
mod bring;
mod compare;
mod decide;
mod evict;
mod far;
mod leaver;
mod preview;
mod progress;
mod purge;
mod repair;
mod sweep;
pub(crate) mod watched;
mod weigh;

pub(crate) use decide::note;
pub use evict::{Loss, Lost, Mute};
pub use far::{Far, Gone};
pub use leaver::{Leaver, Presence};
pub use preview::{Moved, Preview, Shown, Wanted};
pub use progress::{Progress, Swept, Synced};
pub use purge::Purged;

use crate::{
    counters::Cause,
    error::NotGot,
    plan::{Goal, NoGoal, Step, even::Load},
    router::Router,
    transport::{Silence, Transport},
    walk::{Hop, NoRing, Walked},
};
use futures_util::future::join_all;
use minor_protocol::{
    Decree, Key, Member, Position, Refusal, Request, RingArc, RingId, StorageId,
    message::PlainRecords,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};
use tokio::time::{Duration, Instant};

/// How often a newcomer that was too slow looks for another place.
const RACES: u32 = 16;

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
    /// The boundaries are as good as they can be, and one storage keeps too much all the same.
    #[error(
        "{} keeps {} bytes, which is {} % of its share, and no boundary can be moved to mend that: a few keys weigh so \
         much, or the zones want it so",
        .0.member.address, .0.bytes, .0.percent()
    )]
    Uneven(Box<Load>),
    /// Too many storages are silent. Nothing was changed.
    #[error(
        "{}. Start them again; or name all of them as dead, and accept the loss of what only they kept",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    NoMajority(Vec<Mute>),
    /// These are silent, and what others keep beside them would be taken away. Nothing was changed.
    #[error(
        "{} {} silent: with fewer copies, part of what is served now might stop; nothing was changed",
        .0.join(" and "), if .0.len() == 1 { "is" } else { "are" }
    )]
    Beside(Vec<String>),
    /// Who was called dead answers. Nothing was changed.
    #[error("the storage at {address} answers: it is not dead, and can leave like any other")]
    Alive {
        /// Where.
        address: String,
    },
    /// The ring's storage there has lost its data, or another one was put in its place. Nothing was changed.
    #[error("another storage lives at {address} now: its disk was wiped or replaced")]
    Replaced {
        /// Where.
        address: String,
    },
    /// The newcomer says that it is reached where only its own machine reaches it. Nothing was changed.
    #[error(
        "{address} is reached from its own machine alone, and the ring's {other} is on another one: it was not let in"
    )]
    Apart {
        /// Where it says that it is reached.
        address: String,
        /// Somebody of the ring.
        other: String,
    },
    /// The storage is to be brought in with what it keeps, and the ring has other values under the same keys. The storage is as
    /// it was; what the ring had no value for is there now.
    #[error(
        "key '{key}' has one value at {address} and another in the ring{}: nothing was dropped, and {address} was not let in",
        if *keys == 1 { String::new() } else { format!(", as have {} more keys", keys - 1) }
    )]
    Differs {
        /// Where.
        address: String,
        /// The first of those keys.
        key: Key,
        /// How many there are.
        keys: usize,
    },
    /// A record of a storage that is to be brought in could not be set in the ring. Nothing was dropped.
    #[error("key '{key}' was not brought into the ring, and nothing was dropped: {why}")]
    NotBrought {
        /// The key.
        key: Key,
        /// What stood in the way.
        why: String,
    },
    /// Nobody in the ring listens there. Nothing was changed.
    #[error("no storage of the ring has the address {address}")]
    Unknown {
        /// Where.
        address: String,
    },
    /// It was to be told what would move, and those who are missing did not answer in time. Nothing was changed.
    #[error(
        "what would move could not be told within {} s: waited in vain for {}; nothing was changed",
        *within_ms as f64 / 1_000.0, missing.join(" and ")
    )]
    NotSeen {
        /// How long it was tried.
        within_ms: u64,
        /// Where nobody answered.
        missing: Vec<String>,
    },
    /// A step made no progress for too long.
    #[error(
        "the arc {arc} is stuck: {why}. What was agreed so far holds, and what has a majority is served; the same again goes on from here."
    )]
    Stuck {
        /// The arc.
        arc: Box<RingArc>,
        /// What stands in the way.
        why: String,
    },
    /// All copies are alike, but what is dead could not be listed and is still there.
    #[error("all copies are alike, but what is dead was not swept: {0}")]
    NotSwept(Box<NotGot>),
}

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
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
        let mut watched = self.watched(Cause::Join, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        let silent = |silence| NotMoved::Silent { address: address.to_owned(), silence };
        let (hello, _) = self.hello(address).await.map_err(silent)?;
        let Walked { hops, arcs } = self.heed_majorities(tell).await?;
        let mut there =
            arcs.iter().flat_map(|arc| &arc.members).filter(|member| member.address == address);
        let heard = || hops.iter().filter_map(Hop::heard).chain([(address, hello.member.storage)]);
        if there.any(|member| Presence::of(member, heard()) == Presence::Replaced) {
            return Err(NotMoved::Replaced { address: address.to_owned() });
        }
        if let Some(other) = apart::apart(&hello.member, &arcs) {
            let (address, other) = (hello.member.address, other.address.clone());
            return Err(NotMoved::Apart { address, other });
        }
        let ring = arcs[0].ring;
        let heard =
            self.say(&hello.member, Request::Enter { ring, plain }).await.map_err(silent)?;
        heard.map_err(|refusal| NotMoved::Refused { address: address.to_owned(), refusal })?;
        let goal = Goal::of(&arcs);
        if goal.places.iter().any(|(_, m)| m.storage == hello.member.storage) {
            return self.reach(|arcs| Ok(Goal::of(arcs)), tell).await;
        }
        match place {
            Some(place) => self.take_place(&hello.member, place, tell).await,
            None => self.take_any_place(&hello.member, arcs, tell).await,
        }
    }

    /// Lets a storage take this place.
    async fn take_place(
        &self,
        member: &Member,
        place: Position,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let joined =
            |arcs: &[RingArc]| Goal::leaving_free(arcs, Some(place)).with(place, member.clone());
        self.reach(joined, tell).await
    }

    /// Lets a storage take the middle of the heaviest arc. Others who come at the same time see the same middle: whoever was
    /// slower takes another one.
    async fn take_any_place(
        &self,
        member: &Member,
        mut arcs: Vec<RingArc>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let mut tries = 0;
        loop {
            let place = self.middle_of_the_heaviest(&arcs).await?;
            match self.take_place(member, place, tell).await {
                Err(NotMoved::NoGoal(NoGoal::PlaceTaken(_))) if tries < RACES => {}
                ended => return ended,
            }
            tries += 1;
            self.pause(tries).await;
            arcs = self.look_round(tell).await?;
            // The race may have been lost with the storage's own place already agreed upon.
            if Goal::of(&arcs).places.iter().any(|(_, placed)| placed.storage == member.storage) {
                return self.reach(|arcs| Ok(Goal::of(arcs)), tell).await;
            }
        }
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
        let mut watched = self.watched(Cause::Leave, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        self.heed_majorities(tell).await?;
        self.reach(|arcs| Goal::of(arcs).without(storage), tell).await
    }

    /// Changes the number of copies. What three keep goes on without one of them; what two keep, one of them silent, stands
    /// still: so nobody takes copies away beside somebody who is silent.
    pub async fn set_copies(
        &self,
        copies: u8,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let mut watched = self.watched(Cause::Copies, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        let Walked { hops, arcs } = self.heed_majorities(tell).await?;
        let members = arcs.iter().flat_map(|arc| &arc.members);
        let silent = members.filter(|member| !hops.iter().any(|hop| hop.is(member.storage)));
        let silent: BTreeSet<&String> = silent.map(|member| &member.address).collect();
        if !silent.is_empty() && arcs.iter().any(|arc| arc.copies > copies) {
            return Err(NotMoved::Beside(silent.into_iter().cloned().collect()));
        }
        self.reach(|arcs| Goal::of(arcs).with_copies(copies), tell).await
    }

    /// Takes steps until the goal is reached. The goal is computed anew from the arcs each time: somebody else may have
    /// changed them.
    pub async fn reach(
        &self,
        goal: impl Fn(&[RingArc]) -> Result<Goal, NoGoal>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let patience = Duration::from_millis(self.core.patience.step_ms);
        let (since, mut tries) = (Cell::new(Instant::now()), 0);
        let (mut last, mut last_arcs): (Vec<Step>, Vec<RingArc>) = (vec![], vec![]);
        loop {
            let tiled = self.core.ring.borrow().tiled();
            let arcs = match tiled {
                Some(arcs) => arcs,
                None => self.look_round(tell).await?,
            };
            let away =
                arcs.iter().flat_map(|arc| &arc.members).filter(|m| self.is_silent(&m.address));
            let wish = goal(&arcs)?.with_away(away.map(|member| member.storage).collect());
            let steps = wish.steps(&arcs);
            if steps.is_empty() {
                // Before it is called done, the arcs are seen to be so, not only remembered.
                let arcs = self.look_round(tell).await?;
                if goal(&arcs)?.steps(&arcs).is_empty() {
                    return Ok(());
                }
                continue;
            }
            for step in steps.iter().filter(|step| !last.contains(step)) {
                tell(Progress::Step(step.clone(), wish.remaining(&arcs)));
            }
            last.clone_from(&steps);
            // Another step for the same arcs is no progress: who does not answer may be another one every time.
            if last_arcs != arcs {
                since.set(Instant::now());
                tries = 0;
                last_arcs = arcs;
            }
            let shared = RefCell::new(&mut *tell);
            let take = |step: Step| {
                let (shared, since) = (&shared, &since);
                async move {
                    let mut tell = |progress| {
                        since.set(Instant::now());
                        (shared.borrow_mut())(progress);
                    };
                    (self.take(&step, &mut tell).await, step)
                }
            };
            let taken = join_all(steps.into_iter().map(take)).await;
            let in_the_way = taken.into_iter().find_map(|(taken, step)| match taken {
                Taken::Decided => None,
                Taken::NotYet(why) => Some((why, step.arc)),
            });
            if let Some((why, arc)) = in_the_way {
                if since.get().elapsed() > patience {
                    return Err(NotMoved::Stuck { arc: Box::new(arc), why });
                }
                self.hold_up(&why);
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
                    if no_ring.is_for_good()
                        || begun.elapsed().as_millis()
                            >= u128::from(self.core.patience.step_ms) =>
                {
                    return Err(no_ring.into());
                }
                Err(no_ring) => self.hold_up(no_ring),
            }
            self.sew_up(tell).await;
            self.pause(tries).await;
        }
        unreachable!("it is tried until it is given up")
    }

    /// Where a part of what follows an arc is known and the rest is not, its members' votes tell.
    async fn sew_up(&self, tell: &mut dyn FnMut(Progress)) {
        let torn = self.core.ring.borrow().torn().cloned();
        if let Some(arc) = torn {
            self.decide(&arc, None, tell).await;
        }
    }

    /// Does what a step needs first, and has its decree decided.
    pub async fn take(&self, step: &Step, tell: &mut dyn FnMut(Progress)) -> Taken {
        if step.needs_teaching()
            && let Decree::Grow { member, .. } = &step.decree
            && let Err(why) = self.teach_outsider(&step.arc, member).await
        {
            return Taken::NotYet(why);
        }
        if let Decree::Shrink { storage } = step.decree
            && let Err(why) = self.heed_the_rest(&step.arc, storage).await
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
}

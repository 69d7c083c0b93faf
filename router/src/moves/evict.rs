//! Letting go of storages that never come back.
//!
//! As long as every arc they kept has a living majority this is a leave like any other. An arc that has none cannot be voted
//! on: then nothing is changed at all, and the error names the arcs and who is silent. Whoever would rather go on with what
//! is left says so, and is told what may be lost with it; see [`minor_protocol::restart`] for what keeps that from
//! happening by accident.

use super::{NotMoved, Progress, Taken};
use crate::{
    counters::Cause,
    plan::Goal,
    ring::RingMap,
    router::Router,
    transport::Transport,
    walk::{Hop, NoRing, Walked},
};
use minor_protocol::{
    Member, Reply, Request, Restart, RingArc, RingId, Span, StorageId, message::Hello,
};
use tokio::time::{Duration, Instant};

/// How long a storage may take to answer that it is there, where all are asked at once.
pub(super) const ROLL_CALL: Duration = Duration::from_secs(2);

/// Whether data may be given up with storages that never come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// It may not: where it would be, nothing is done.
    Refused,
    /// It may, and is told.
    Accepted,
}

/// A stretch of the ring that was begun again without a majority of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The stretch.
    pub span: Span,
    /// Who went on with what it held: what was written last may be missing there. Where it is nobody, all of the stretch is
    /// lost.
    pub kept_by: Vec<Member>,
}

/// An arc that cannot be changed, since too many of its members do not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the arc {arc} has no majority: {} of its {} storages {} silent ({})",
    silent.len(), arc.members.len(), if silent.len() == 1 { "is" } else { "are" },
    silent.iter().map(|member| member.address.as_str()).collect::<Vec<_>>().join(", ")
)]
pub struct Mute {
    /// The arc.
    pub arc: RingArc,
    /// Those who do not answer for it.
    pub silent: Vec<Member>,
}

impl<T: Transport> Router<T> {
    /// Lets the storages at these addresses go, which are dead and stay so. Those that the ring does not know any more are
    /// passed over, unless it is all of them.
    pub async fn evict(
        &self,
        dead: &[String],
        loss: Loss,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        // The first round teaches those who lag, and the second sees them taught. Who answered in either of them lives.
        let mut hops = self.ask_everybody().await;
        hops.extend(self.ask_everybody().await);
        let arcs = as_remembered(self.arcs(), self.ring_id(), &hops)?;
        let at = |address: &String| {
            arcs.iter().flat_map(|arc| &arc.members).find(|m| m.address == *address).cloned()
        };
        let gone: Vec<Member> = dead.iter().filter_map(at).collect();
        if let (true, Some(address)) = (gone.is_empty(), dead.first()) {
            return Err(NotMoved::Unknown { address: address.clone() });
        }
        self.let_go(&gone, loss, (hops, arcs), tell).await
    }

    /// The same for storages known by their ids; those that the ring does not know any more are passed over.
    pub(crate) async fn evict_by_id(
        &self,
        dead: &[StorageId],
        loss: Loss,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let mut hops = self.look_about(&[], ROLL_CALL).await;
        hops.extend(self.look_about(&[], ROLL_CALL).await);
        let arcs = as_remembered(self.arcs(), self.ring_id(), &hops)?;
        let of = |id: &StorageId| arcs.iter().find_map(|arc| arc.member(*id)).cloned();
        let gone: Vec<Member> = dead.iter().filter_map(of).collect();
        self.let_go(&gone, loss, (hops, arcs), tell).await
    }

    async fn let_go(
        &self,
        dead: &[Member],
        loss: Loss,
        (hops, arcs): (Vec<Hop>, Vec<RingArc>),
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let mut watched = self.watched(Cause::Evict, tell);
        let tell: &mut dyn FnMut(Progress) = &mut |progress| watched.tell(progress);
        let mut gone = vec![];
        for member in dead {
            if hops.iter().any(|hop| hop.is(member.storage)) {
                return Err(NotMoved::Alive { address: member.address.clone() });
            }
            gone.push(member.storage);
        }
        let mute: Vec<Mute> = arcs.iter().filter_map(|arc| not_shown(arc, &hops)).collect();
        let unnamed =
            |mute: &Mute| mute.silent.iter().any(|member| !gone.contains(&member.storage));
        if !mute.is_empty() && (loss == Loss::Refused || mute.iter().any(unnamed)) {
            return Err(NotMoved::NoMajority(mute));
        }
        let without = |arcs: &[RingArc]| Goal::of(arcs).surviving(&gone, arcs);
        let heirs = without(&arcs)?;
        for Mute { arc, .. } in mute {
            self.restart(&arc, &gone, &heirs, tell).await?;
        }
        self.look_round(tell).await?;
        self.reach(without, tell).await
    }

    /// The ring as all storages show it, before anything is changed: every one of them can be voted on. Whoever was only away
    /// for a moment is waited for.
    pub(super) async fn heed_majorities(
        &self,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Walked, NotMoved> {
        let begun = Instant::now();
        for tries in 0.. {
            let why = match self.survey().await {
                Ok(Walked { hops, arcs }) => {
                    let mute: Vec<Mute> =
                        arcs.iter().filter_map(|arc| without_majority(arc, &hops)).collect();
                    if mute.is_empty() {
                        return Ok(Walked { hops, arcs });
                    }
                    let (mutes, arcs) = (mute.len(), arcs.len());
                    self.hold_up(format_args!("of {mutes} of {arcs} arcs no majority answers"));
                    NotMoved::NoMajority(mute)
                }
                Err(no_ring) if no_ring.is_for_good() => return Err(no_ring.into()),
                Err(no_ring) => {
                    self.hold_up(&no_ring);
                    self.sew_up(tell).await;
                    no_ring.into()
                }
            };
            let patience = self.core.patience;
            if begun.elapsed().as_millis() >= patience.operation_ms.min(patience.step_ms).into() {
                return Err(why);
            }
            self.pause(tries).await;
        }
        unreachable!("it is tried until it is given up")
    }

    /// Begins one arc again with those of its members that are left, or else with the next storage clockwise.
    async fn restart(
        &self,
        arc: &RingArc,
        gone: &[StorageId],
        heirs: &Goal,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<(), NotMoved> {
        let stuck = |why| NotMoved::Stuck { arc: Box::new(arc.clone()), why };
        let lost: Vec<StorageId> =
            arc.members.iter().map(|m| m.storage).filter(|id| gone.contains(id)).collect();
        let heir = (lost.len() == arc.members.len()).then(|| heirs.target(arc.span.to).remove(0));
        if let Some(heir) = &heir {
            self.teach_outsider(arc, heir).await.map_err(stuck)?;
        }
        let draw = self.core.lines.transport().chance(1 << 16) as u16;
        let restart = Restart { arc: arc.clone(), lost, heir: heir.clone(), draw };
        let next = restart.next().map_err(|why| stuck(why.to_string()))?;
        for member in &next.members {
            let asked = Request::Restart { restart: Box::new(restart.clone()) };
            match self.say(member, asked).await {
                Ok(Ok(Reply::Restarted)) => {}
                other => return Err(stuck(format!("{}: {other:?}", member.address))),
            }
        }
        let kept_by = if heir.is_some() { vec![] } else { next.members.clone() };
        tell(Progress::Lost(Lost { span: arc.span, kept_by }));
        self.learn(&next);
        match self.teach(arc, &[next]).await {
            Taken::Decided => Ok(()),
            Taken::NotYet(why) => Err(stuck(why)),
        }
    }
}

/// The ring as those who answer show and remember it, and as it was last seen: what nobody keeps any more, somebody has left,
/// or was once told of.
fn as_remembered(
    seen: Vec<RingArc>,
    id: Option<RingId>,
    hops: &[Hop],
) -> Result<Vec<RingArc>, NotMoved> {
    let mut ring = RingMap::default();
    for arc in &seen {
        ring.learn(arc);
    }
    // A store of its own keeps everything, but not for this ring; nor does a storage of another one.
    let is_in_ring = |hello: &&Hello| hello.ring.is_some() && hello.ring == id;
    let in_ring = hops.iter().filter_map(|hop| hop.hello.as_ref()).filter(is_in_ring);
    for hello in in_ring {
        hello.kept.iter().map(|kept| &kept.arc).chain(&hello.left).for_each(|arc| {
            ring.learn(arc);
        });
    }
    let answers = |member: &Member| hops.iter().any(|hop| hop.is(member.storage));
    let mut arcs = vec![];
    for (span, arc) in ring.pieces() {
        // What is left of an arc that was cut since: whoever knew how is gone, all that kept it among them.
        if span != arc.span && arc.members.iter().any(answers) {
            break;
        }
        // Each cut counts one epoch on; so it is also newer than the uncut form that somebody here remembers.
        let epoch = arc.epoch + u64::from(span != arc.span);
        arcs.push(RingArc { span, epoch, ..arc.clone() });
    }
    if arcs.iter().map(|arc| arc.span.places()).sum::<u128>() == Span::WHOLE.places() {
        return Ok(arcs);
    }
    let last = "nobody remembers who kept it".into();
    Err(NoRing::Gap { gap: ring.gap().unwrap_or_default(), asked: hops.len(), last }.into())
}

/// An arc that too few of its members answer at all for, and who does not.
fn without_majority(arc: &RingArc, hops: &[Hop]) -> Option<Mute> {
    mute(arc, |member| hops.iter().any(|hop| hop.is(member.storage)))
}

/// An arc that too few of its members show as it is, and who does not.
fn not_shown(arc: &RingArc, hops: &[Hop]) -> Option<Mute> {
    let shows = |hello: &Hello| hello.kept.iter().any(|kept| kept.arc == *arc && !kept.damaged);
    mute(arc, |member| {
        hops.iter()
            .filter(|hop| hop.is(member.storage))
            .any(|hop| hop.hello.as_ref().is_some_and(shows))
    })
}

fn mute(arc: &RingArc, speaks: impl Fn(&Member) -> bool) -> Option<Mute> {
    let silent: Vec<Member> = arc.members.iter().filter(|m| !speaks(m)).cloned().collect();
    let heard = arc.members.len() - silent.len();
    (heard < arc.majority()).then(|| Mute { arc: arc.clone(), silent })
}

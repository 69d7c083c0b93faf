//! One try after another: what the answers to the last one say about the next, and when it is enough.

use crate::{
    before::Before,
    counters::Reason,
    error::Trouble,
    router::Router,
    transport::{Silence, Transport, lines::Heard},
};
use minor_protocol::{Position, Refusal, RingArc, StorageId};
use tokio::time::{Duration, Instant};

/// One try's end, if it is not the answer.
pub(crate) enum Again {
    /// A newer arc, or a higher ballot, is known now: at once.
    Wiser,
    /// Something was in the way that time may clear.
    Later(Trouble),
}

impl<T: Transport> Router<T> {
    /// The arc around a place: the one in memory, or what a walk finds.
    pub(crate) async fn arc_around(
        &self,
        place: Position,
        tries: &mut Tries,
    ) -> Result<std::sync::Arc<RingArc>, Trouble> {
        self.core.rounds.set(self.core.rounds.get() + 1);
        if let Some(arc) = self.core.ring.borrow().shared_arc_at(place) {
            self.core.counters.hops(1);
            return Ok(arc);
        }
        loop {
            // Boxed, as it seldom happens and is large.
            match Box::pin(self.find(place)).await {
                Ok(arc) => return Ok(arc),
                Err(no_ring) if tries.over() || no_ring.is_for_good() => return Err(no_ring.into()),
                Err(no_ring) => {
                    self.hold_up(no_ring);
                    self.core.counters.again(Reason::NoRing);
                    tries.tried += 1;
                    self.pause(tries.tried).await;
                }
            }
        }
    }

    /// Waits until the next try is due, or gives up.
    pub(crate) async fn or_give_up(&self, again: Again, tries: &mut Tries) -> Result<(), Trouble> {
        tries.tried += 1;
        match again {
            Again::Wiser if !tries.over() => {
                self.core.counters.again(Reason::Outdated);
                // Two that are both always wiser would chase each other.
                if tries.tried > 3 {
                    self.pause(tries.tried).await;
                }
                Ok(())
            }
            Again::Wiser => Err(Trouble::Contention { tried_ms: tries.ms() }),
            Again::Later(trouble @ Trouble::NotAllowed { .. }) => Err(trouble),
            Again::Later(trouble) if tries.over() => Err(trouble),
            Again::Later(trouble) => {
                self.hold_up(&trouble);
                self.core.counters.again(reason(&trouble));
                if matches!(trouble, Trouble::NoMajority { .. }) && tries.tried.is_multiple_of(3) {
                    // Perhaps everybody who kept the arc is gone, and others keep it now.
                    // And if nobody of the ring has ever answered, perhaps there is none any more.
                    if let Err(no_ring) = Box::pin(self.walk()).await
                        && no_ring.is_for_good()
                        && self.core.lines.nobody_answered()
                    {
                        return Err(no_ring.into());
                    }
                }
                self.pause(tries.tried).await;
                Ok(())
            }
        }
    }
}

fn reason(trouble: &Trouble) -> Reason {
    match trouble {
        Trouble::NoMajority { .. } => Reason::NoMajority,
        Trouble::Full(_) => Reason::Full,
        Trouble::NoRing(_) => Reason::NoRing,
        _ => Reason::Other,
    }
}

/// How often and how long something has been tried.
pub(crate) struct Tries {
    begun: Instant,
    limit: Duration,
    tried: u32,
    /// What the change takes the place of, as the last round found it.
    pub(crate) before: Before,
}

impl Tries {
    pub(crate) fn new(limit_ms: u64) -> Self {
        let limit = Duration::from_millis(limit_ms);
        Self { begun: Instant::now(), limit, tried: 0, before: Before::default() }
    }

    fn over(&self) -> bool {
        self.begun.elapsed() >= self.limit
    }

    /// The time that is left.
    pub(crate) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    pub(crate) fn ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A no in words.
pub(crate) fn said_no(address: &str, asked: StorageId, refusal: &Refusal) -> String {
    match refusal {
        Refusal::Stranger { storage, .. } if *storage != asked => {
            format!("another storage lives at {address} now: its disk was wiped or replaced")
        }
        refusal => format!("{address}: {refusal}"),
    }
}

/// Who answered what in one round, for what to do next and for what to say when it is given up.
pub(crate) struct Count<'a> {
    arc: &'a RingArc,
    ayes: usize,
    wiser: bool,
    last: String,
    full: Option<String>,
    heard: usize,
    /// Those whose disks are full.
    without_room: usize,
    /// Those who let us not in.
    closed: usize,
}

impl<'a> Count<'a> {
    pub(crate) fn of(arc: &'a RingArc) -> Self {
        Self {
            arc,
            ayes: 0,
            wiser: false,
            last: "silence".into(),
            full: None,
            heard: 0,
            without_room: 0,
            closed: 0,
        }
    }

    pub(crate) fn arc(&self) -> &'a RingArc {
        self.arc
    }

    pub(crate) fn hear<T: Transport>(
        &mut self,
        router: &Router<T>,
        from: StorageId,
        heard: &Heard,
    ) {
        router.take_in(self.arc, from, heard);
        self.heard += 1;
        let address = || self.arc.member(from).map_or("?", |m| m.address.as_str()).to_owned();
        match heard {
            Ok(Ok(_)) => self.ayes += 1,
            Ok(Err(refusal)) => {
                if matches!(refusal, Refusal::Stale { .. } | Refusal::Refused { .. }) {
                    self.wiser = true;
                }
                if *refusal == Refusal::Full {
                    self.without_room += 1;
                    self.full = Some(address());
                }
                self.last = said_no(&address(), from, refusal);
            }
            Err(silence) => {
                self.closed += usize::from(matches!(silence, Silence::NotAllowed(_)));
                self.last = format!("{}: {silence}", address());
            }
        }
    }

    /// Whether anybody has told of a newer arc, or of a higher ballot.
    pub(crate) fn is_wiser(&self) -> bool {
        self.wiser
    }

    /// Whether nobody heard so far had room for it, so that all may say so.
    pub(crate) fn is_without_room_so_far(&self) -> bool {
        self.without_room > 0 && self.without_room == self.heard
    }

    /// Whether all members have refused an accept as their disks are full. Such a storage does not hold it, or it would have
    /// said so before it looked for room, and has promised not to take it when it comes a second time.
    pub(crate) fn is_refused_for_good(&self) -> bool {
        self.without_room == self.arc.members.len()
    }

    pub(crate) fn again(self, tries: &Tries) -> Again {
        if self.wiser {
            return Again::Wiser;
        }
        // So many that the others are no majority.
        let too_many = |those| those + self.arc.majority() > self.arc.members.len();
        Again::Later(match self.full {
            Some(storage) if too_many(self.without_room) => Trouble::Full(storage),
            _ if too_many(self.closed) => Trouble::NotAllowed { last: self.last },
            _ => Trouble::NoMajority {
                span: self.arc.span,
                heard: self.ayes,
                of: self.arc.members.len(),
                tried_ms: tries.ms(),
                last: self.last,
            },
        })
    }
}

/// Whether this answer to a change in one step says that it was not granted and never will be: a storage that refuses so has
/// looked at the key first, and would have said that it is done; and it has promised to refuse the message again. Any other
/// refusal may be one of two answers to a message that came twice: granted before the arc got another member, or granted
/// later, when the storage's clock has caught up.
pub(crate) fn is_untouched(heard: &Heard) -> bool {
    matches!(heard, Ok(Err(Refusal::Refused { .. } | Refusal::Full)) | Err(Silence::NotAllowed(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minor_protocol::{Member, RingId, Span};

    /// One full disk beside one that is silent for a moment is nothing to tell an operator of.
    #[test]
    fn full_disks_are_blamed_only_if_the_others_are_too_few() {
        let member =
            |n| Member { storage: StorageId(n), address: format!("a:{n}"), zone: String::new() };
        let arc = RingArc {
            ring: RingId(1),
            span: Span::WHOLE,
            epoch: 1,
            members: (0..3).map(member).collect(),
            filling: None,
            copies: 3,
            sealed: None,
        };
        let why = |without_room| {
            let count = Count { full: Some("a:0".into()), without_room, ..Count::of(&arc) };
            match count.again(&Tries::new(10)) {
                Again::Later(why) => why,
                Again::Wiser => unreachable!("nobody has told of anything newer"),
            }
        };
        assert!(matches!(why(1), Trouble::NoMajority { .. }));
        assert_eq!(why(2), Trouble::Full("a:0".into()));
    }
}

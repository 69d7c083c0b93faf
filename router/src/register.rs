//! Getting and changing one key: asks, hears, and does what [`crate::change`] and [`crate::get`](mod@crate::get) decide.
//!
//! Every try lives in one epoch of one arc. Whatever goes wrong with it, silence, a newer arc, a higher ballot, the next try
//! starts afresh from what was learned, with the same operation id; and no operation is tried for longer than its patience.

use crate::{
    before::Before,
    change::{Accept, Change, Decision, Prepare, arc_for_accept},
    error::{NotChanged, NotRead, Trouble},
    get::{Get, Seen},
    object::Manifest,
    router::Router,
    tally::Verdict,
    transport::{Inbox, Transport},
    tries::{Again, Count, Tries, is_untouched},
};
use minor_protocol::{
    Ballot, Key, Member, Operation, Reply, Request, RingArc, Stamp, State, StorageId,
    message::{Outcome, Proposed, Show, Shown, ShownContent},
    record::Header,
};

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done(Done),
    /// There was nothing to do.
    Kept,
    /// The expectation is not met; this is the stamp of the value that is there, if any.
    NotMet(Option<Stamp>),
}

/// What a change that is done has left and found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The stamp it left.
    pub stamp: Stamp,
    /// The stamp of the value that was there; none if there was none. None too where a storage that keeps the key alone did
    /// the change and its answer was lost: asked again, it remembers that it did it, and not what it found.
    pub before: Option<Stamp>,
    /// It is known that users saw no value there: there was none, or it had expired.
    pub was_absent: bool,
}

/// How a reading or a round of one epoch went.
type Tried<T> = Result<T, Again>;

/// A majority did not accept.
struct NotAccepted {
    again: Again,
    /// Every member has refused it, and will whenever it comes: it is as if it had never been sent.
    for_good: bool,
}

impl From<NotAccepted> for Again {
    fn from(NotAccepted { again, .. }: NotAccepted) -> Self {
        again
    }
}

impl<T: Transport> Router<T> {
    /// The state of a key, linearizably; none if there is no value.
    pub async fn get(&self, key: &Key) -> Result<Option<State>, NotRead> {
        let no = |why| NotRead { key: key.clone(), why };
        let mut tries = Tries::new(self.core.patience.operation_ms);
        loop {
            let arc = self.arc_around(key.position(), &mut tries).await.map_err(no)?;
            match self.try_get(key, &arc, &mut tries).await {
                Ok(state) => return Ok(state.filter(|s| s.header.is_alive(self.now_ms()))),
                Err(again) => self.or_give_up(again, &mut tries).await.map_err(no)?,
            }
        }
    }

    /// One reading, in one epoch. What seldom happens in it is boxed: every reading would carry room for it otherwise.
    async fn try_get(
        &self,
        key: &Key,
        arc: &std::sync::Arc<RingArc>,
        tries: &mut Tries,
    ) -> Tried<Option<State>> {
        let read = |_: &Member, before| {
            // The first one shows the value, the others that it is the same.
            let show = if before == 0 { Show::Whole } else { Show::Header };
            Request::Read { key: key.clone(), epoch: arc.epoch, show }
        };
        let (mut get, mut count) = (Get::of(arc.members.len()), Count::of(arc));
        let mut inbox = Inbox::default();
        if self.hear(&mut inbox, arc.majority(), read, &mut get, &mut count).await
            != Verdict::Reached
        {
            return Err(count.again(tries));
        }
        let value_of = |seen: Shown| match seen.content {
            ShownContent::Whole(state) => Some(state),
            ShownContent::Header(header, 0) => Some(State { header, value: vec![] }),
            ShownContent::Header(..) => None,
        };
        match get.decide(arc.epoch) {
            Seen::Absent => Ok(None),
            Seen::Settled(shown, holders) => {
                let ballot = shown.ballot;
                match value_of(shown) {
                    Some(state) => Ok(Some(state)),
                    // The one who was asked for the value is not among the first: ask one who was.
                    None => Box::pin(self.fetch(key, arc, ballot, &holders)).await.map(Some),
                }
            }
            Seen::Help(shown, holders) => {
                let ballot = shown.ballot;
                let state = match value_of(shown) {
                    Some(state) => state,
                    None => Box::pin(self.fetch(key, arc, ballot, &holders)).await?,
                };
                let helped =
                    self.have_accepted(key, arc, ballot, &state, Some((ballot, &holders)), tries);
                match Box::pin(helped).await {
                    Ok(()) => Ok(Some(state)),
                    // A refusal would be repeated for ever by a dead router's promise: identity goes above it.
                    Err(_) => Box::pin(self.identity_at(key, arc, tries)).await,
                }
            }
            Seen::Unclear => Box::pin(self.identity_at(key, arc, tries)).await,
        }
    }

    /// The state at exactly this ballot, from one who showed it.
    pub(crate) async fn fetch(
        &self,
        key: &Key,
        arc: &RingArc,
        ballot: Ballot,
        from: &[StorageId],
    ) -> Tried<State> {
        for member in arc.members.iter().filter(|m| from.contains(&m.storage)) {
            let read = Request::Read { key: key.clone(), epoch: arc.epoch, show: Show::Whole };
            let heard = self.say(member, read).await;
            self.take_in(arc, member.storage, &heard);
            if let Ok(Ok(Reply::Found { shown: Some(shown) })) = heard
                && shown.ballot == ballot
                && let ShownContent::Whole(state) = shown.content
            {
                return Ok(state);
            }
        }
        Err(Again::Wiser)
    }

    async fn identity_at(
        &self,
        key: &Key,
        arc: &std::sync::Arc<RingArc>,
        tries: &mut Tries,
    ) -> Tried<Option<State>> {
        let mut change = None;
        let found = self
            .try_change(key, arc, &Operation::IDENTITY, &mut change, Show::Whole, tries)
            .await?;
        match found {
            Ended::Seen(_, header, state) => match state {
                Some(state) => Ok(Some(state)),
                None => {
                    Ok(header.content.is_none().then_some(State { header: *header, value: vec![] }))
                }
            },
            Ended::NeedValue => Err(Again::Wiser),
        }
    }

    /// Changes a key; what it comes to is true at some moment between the call and the return.
    pub async fn change(&self, key: &Key, operation: Operation) -> Result<Changed, NotChanged> {
        self.change_on(key, operation, None).await
    }

    /// The same, when a first round may have been sent already.
    pub(crate) async fn change_on(
        &self,
        key: &Key,
        operation: Operation,
        mut change: Option<Change>,
    ) -> Result<Changed, NotChanged> {
        let mut tries = Tries::new(self.core.patience.operation_ms);
        let mut show = if operation == Operation::IDENTITY { Show::Whole } else { Show::Header };
        let turn = tokio::time::timeout(tries.left(), self.core.turns.take(key)).await;
        let Ok(turn) = turn else {
            return Err(not_changed(key, &change, Trouble::Contention { tried_ms: tries.ms() }));
        };
        loop {
            let arc = self.arc_around(key.position(), &mut tries).await;
            let arc = arc.map_err(|why| not_changed(key, &change, why))?;
            let tried = self.try_change(key, &arc, &operation, &mut change, show, &mut tries).await;
            match tried {
                Ok(Ended::NeedValue) => show = Show::Whole,
                Ok(seen) => {
                    let id = change.map(|change| change.id);
                    let (ended, gone) = changed(key, id, seen, tries.before, self.now_ms())?;
                    if let Some(gone) = gone {
                        drop(turn);
                        // Boxed, as it seldom happens, and is made of changes itself.
                        Box::pin(self.remove_pieces(key, &gone)).await;
                    }
                    return Ok(ended);
                }
                Err(again) => {
                    let given_up = self.or_give_up(again, &mut tries).await;
                    given_up.map_err(|why| not_changed(key, &change, why))?;
                }
            }
        }
    }

    /// Renews whatever is there at a new ballot, the whole round in this arc's epoch. It is accepted anew also if those who
    /// answer first are of one mind: whoever asks for this has seen that somebody is not.
    pub(crate) async fn renew(&self, key: &Key, arc: &RingArc) -> Tried<()> {
        let arc = &std::sync::Arc::new(arc.clone());
        let mut tries = Tries::new(self.core.patience.operation_ms);
        loop {
            let operation = Operation::IDENTITY;
            let id = self.ballot(arc.epoch);
            let mut change =
                Some(Change { operation: operation.clone(), id, may_be_applied: true });
            let tried =
                self.try_change(key, arc, &operation, &mut change, Show::Whole, &mut tries).await;
            let again = match tried {
                // Its clock is behind what was forgotten there: the next id is above it.
                Ok(Ended::Seen(Outcome::Unknown, header, _)) => {
                    self.see(header.forgot);
                    Again::Wiser
                }
                Ok(_) => return Ok(()),
                Err(again) => again,
            };
            if self.arc_in_memory(key).is_none_or(|now| !now.is_same_slot(arc)) {
                return Err(Again::Wiser);
            }
            self.or_give_up(again, &mut tries).await.map_err(Again::Later)?;
        }
    }

    /// One round of a change, in one epoch.
    async fn try_change(
        &self,
        key: &Key,
        arc: &std::sync::Arc<RingArc>,
        operation: &Operation,
        change: &mut Option<Change>,
        show: Show,
        tries: &mut Tries,
    ) -> Tried<Ended> {
        let ballot = self.ballot(arc.epoch);
        // A change that nobody can have applied yet is still at its first round.
        let change = match change {
            Some(change) if change.may_be_applied => change,
            fresh => fresh.insert(Change {
                operation: operation.clone(),
                id: ballot,
                may_be_applied: false,
            }),
        };
        if arc.members.len() == 1 {
            return self.change_in_one_step(key, arc, ballot, change, tries).await;
        }
        let prepare = |_: &Member, _| Request::Prepare { key: key.clone(), ballot, show };
        let (mut round, mut count) = (Prepare::of(arc.members.len()), Count::of(arc));
        let mut inbox = Inbox::default();
        if self.hear(&mut inbox, arc.majority(), prepare, &mut round, &mut count).await
            != Verdict::Reached
        {
            return Err(count.again(tries));
        }
        match round.decide(change, self.now_ms()) {
            Decision::NeedValue => Ok(Ended::NeedValue),
            Decision::Answer(outcome, header) => {
                Ok(Ended::Seen(outcome, Box::new(header), round.newest_state()))
            }
            Decision::Accept(outcome, state) => {
                if round.shows_part_of_an_object() {
                    // What is replaced has pieces, and its value names them.
                    return Ok(Ended::NeedValue);
                }
                if outcome == Outcome::Done
                    && let Some(before) = Before::shown_by(&round, change, self.now_ms())
                {
                    tries.before = before;
                }
                let (epoch_now, arc_now) = self.epoch_for_accept(key, arc);
                let ballot = Ballot { epoch: epoch_now, ..ballot };
                // Even if all refuse it: the same message may have come before, and found them willing. Unless it is for want
                // of room: who says so has never taken it.
                let may_be_applied = std::mem::replace(&mut change.may_be_applied, true);
                let held = round.newest_ballot().filter(|_| outcome != Outcome::Done);
                let holders = held.map(|held| (held, round.holders(held)));
                let holders = holders.as_ref().map(|(held, holders)| (*held, &holders[..]));
                let accepting = self.have_accepted(key, &arc_now, ballot, &state, holders, tries);
                if let Err(NotAccepted { again, for_good }) = accepting.await {
                    change.may_be_applied = may_be_applied || !for_good;
                    return Err(again);
                }
                let header = Box::new(state.header.clone());
                Ok(Ended::Seen(outcome, header, Some(state)))
            }
        }
    }

    /// The epoch an accept is sent in, and to whom.
    fn epoch_for_accept(
        &self,
        key: &Key,
        arc: &std::sync::Arc<RingArc>,
    ) -> (u64, std::sync::Arc<RingArc>) {
        let arc = arc_for_accept(std::sync::Arc::clone(arc), self.arc_in_memory(key));
        (arc.epoch, arc)
    }

    /// Has a majority accept a state. Those known to hold it, and at which ballot, are not sent its bytes again.
    async fn have_accepted(
        &self,
        key: &Key,
        arc: &RingArc,
        ballot: Ballot,
        state: &State,
        holders: Option<(Ballot, &[StorageId])>,
        tries: &mut Tries,
    ) -> Result<(), NotAccepted> {
        let accept = |member: &Member, _| {
            let state = match holders {
                Some((held, by)) if by.contains(&member.storage) => Proposed::Held(held),
                _ => Proposed::State(state.clone()),
            };
            Request::Accept { key: key.clone(), ballot, state }
        };
        let (mut vote, mut count) = (Accept::of(arc.members.len()), Count::of(arc));
        // All are to hold it, so all are asked; whoever is slow has it a little later.
        let (mut inbox, all) = (Inbox::default(), arc.members.len());
        if self.hear(&mut inbox, all, accept, &mut vote, &mut count).await == Verdict::Reached {
            return Ok(());
        }
        self.hear_the_rest(&mut inbox, &mut count).await;
        let for_good = count.is_refused_for_good();
        Err(NotAccepted { again: count.again(tries), for_good })
    }

    async fn change_in_one_step(
        &self,
        key: &Key,
        arc: &RingArc,
        ballot: Ballot,
        change: &mut Change,
        tries: &mut Tries,
    ) -> Tried<Ended> {
        let (id, operation) = (change.id, change.operation.clone());
        let request =
            Request::Change { key: key.clone(), ballot, id, now_ms: self.now_ms(), operation };
        let member = arc.first();
        let heard = self.say(member, request).await;
        let mut count = Count::of(arc);
        count.hear(self, member.storage, &heard);
        match heard {
            Ok(Ok(Reply::Changed { outcome, shown, before, object })) => {
                let told = Before::told(before, object, Some(change.id), &change.operation);
                tries.before = if change.may_be_applied { told } else { told.sent_once() };
                Ok(Ended::from_shown(outcome, shown))
            }
            heard => {
                change.may_be_applied |= !is_untouched(&heard);
                Err(count.again(tries))
            }
        }
    }
}

/// What one round came to.
pub(crate) enum Ended {
    /// The outcome, and what the key holds: its value too if it was shown.
    Seen(Outcome, Box<Header>, Option<State>),
    /// Another round, with values.
    NeedValue,
}

impl Ended {
    /// What the one-step change of an only member came to.
    pub(crate) fn from_shown(outcome: Outcome, shown: Option<Shown>) -> Self {
        let (header, state) = match shown.map(|s| s.content) {
            Some(ShownContent::Whole(state)) => (state.header.clone(), Some(state)),
            Some(ShownContent::Header(header, _)) => (header, None),
            None => (Header::default(), None),
        };
        Self::Seen(outcome, Box::new(header), state)
    }
}

/// What the change with this id has become, for whoever asked for it; and the object whose pieces are to go now.
pub(crate) fn changed(
    key: &Key,
    id: Option<Ballot>,
    ended: Ended,
    before: Before,
    now_ms: u64,
) -> Result<(Changed, Option<Manifest>), NotChanged> {
    let Ended::Seen(outcome, header, _) = ended else {
        unreachable!("a change that needs the value has not ended");
    };
    Ok(match outcome {
        Outcome::Done => {
            let done = Done {
                stamp: done_stamp(id, &header),
                before: before.stamp,
                was_absent: before.is_absent,
            };
            (Changed::Done(done), before.object(&header))
        }
        Outcome::Kept => (Changed::Kept, None),
        Outcome::NotMet => {
            (Changed::NotMet(header.stamp().filter(|_| header.is_alive(now_ms))), None)
        }
        Outcome::Unknown => {
            return Err(NotChanged::Unknown { key: key.clone(), why: Trouble::Forgotten });
        }
    })
}

/// That a change was given up: if a storage may have taken it, nobody knows what becomes of it.
fn not_changed(key: &Key, change: &Option<Change>, why: Trouble) -> NotChanged {
    let key = key.clone();
    if change.as_ref().is_some_and(|change| change.may_be_applied) {
        NotChanged::Unknown { key, why }
    } else {
        NotChanged::NotDone { key, why }
    }
}

fn done_stamp(id: Option<Ballot>, header: &Header) -> Stamp {
    // Done now, the change is the last; done by an earlier round, it may have been followed by others.
    let own = id.filter(|id| header.remembers(*id));
    Stamp(own.or(header.recent.last().copied()).unwrap_or_default())
}

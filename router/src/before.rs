//! What a change took the place of: whether there was a value, and the large object whose pieces nothing names any more.
//!
//! A round among several members shows it before anything is accepted, and an only member tells it with its answer. So nobody
//! has to read a key before changing it.

use crate::{
    change::{Change, Prepare},
    object::Manifest,
};
use minor_protocol::{Ballot, Operation, Stamp, State, Wish, record::Header};

/// What a change found, as far as is known. Nothing is, where an earlier try was done and its answer lost.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// The stamp of the value; none if users saw none.
    pub(crate) stamp: Option<Stamp>,
    /// It is known that users saw no value.
    pub(crate) is_absent: bool,
    object: Option<(Stamp, Manifest)>,
}

impl Before {
    /// As a round shows it; none if what the round shows is the change's own doing.
    pub(crate) fn shown_by(round: &Prepare, change: &Change, now_ms: u64) -> Option<Self> {
        let Some(found) = round.newest_header() else {
            return Some(Self { is_absent: true, ..Self::default() });
        };
        if found.remembers(change.id) {
            return None;
        }
        let stamp = found.stamp().filter(|_| found.is_alive(now_ms));
        let object = if found.is_object() { round.newest_state() } else { None };
        let object = left_by(object, &change.operation);
        Some(Self { stamp, is_absent: stamp.is_none(), object })
    }

    /// As an only member tells it.
    pub(crate) fn told(
        stamp: Option<Stamp>,
        object: Option<State>,
        id: Option<Ballot>,
        operation: &Operation,
    ) -> Self {
        // The change's own stamp was left by an earlier try.
        let stamp = stamp.filter(|stamp| Some(stamp.0) != id);
        Self { stamp, is_absent: false, object: left_by(object, operation) }
    }

    /// The same of a change that was never sent before: what nothing is told of was not there.
    pub(crate) fn sent_once(self) -> Self {
        Self { is_absent: self.stamp.is_none(), ..self }
    }

    /// The object whose pieces are to go, now that the change is done and has left this header.
    ///
    /// A round may have shown an object that was never chosen, and whoever puts it goes on trying. What the header that was
    /// chosen remembers has been there, and never comes again.
    pub(crate) fn object(self, left: &Header) -> Option<Manifest> {
        let (stamp, object) = self.object?;
        left.remembers(stamp.0).then_some(object)
    }
}

/// The object that a change puts another value in the place of, if its pieces are not those of the new value too.
fn left_by(found: Option<State>, operation: &Operation) -> Option<(Stamp, Manifest)> {
    let found = found?;
    let old = Manifest::of(&found)?.ok()?;
    let stays = match &operation.wish {
        Wish::Keep => true,
        Wish::Delete => false,
        Wish::Set { content_type, value, .. } => {
            let next = Manifest::in_value(content_type, value);
            next.is_some_and(|next| next.is_ok_and(|next| next.upload == old.upload))
        }
    };
    if stays { None } else { Some((found.header.stamp()?, old)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Verdict;
    use minor_protocol::{
        Expect, Moment, Reply, StorageId,
        message::{Shown, ShownContent},
        record::{Content, OBJECT},
    };

    fn ballot(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 1, seq: 0 }
    }

    fn set(id: u64) -> Change {
        let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: vec![1] };
        let operation = Operation { expect: Expect::Anything, wish };
        Change { operation, id: ballot(id), may_be_applied: true }
    }

    /// An object that this change put.
    fn object(id: u64) -> State {
        let wish = Manifest::example().wish(None);
        let Wish::Set { content_type, expires_ms, value } = wish else { unreachable!() };
        assert_eq!(content_type, OBJECT);
        let content = Content { content_type, expires_ms };
        State { header: Header::absent(Ballot::ZERO).with(ballot(id), Some(content)), value }
    }

    /// A round in which the first of two shows this state.
    fn round(found: Option<State>) -> Prepare {
        let mut round = Prepare::of(2);
        let shown = found.map(|state| Shown {
            ballot: *state.header.recent.last().expect("somebody put it"),
            content: ShownContent::Whole(state),
        });
        for (storage, shown) in [(1, shown), (2, None)] {
            let promised = Reply::Promised { shown, swept: Ballot::ZERO };
            assert_ne!(
                round.hear(StorageId(storage), Some(Ok(promised))),
                Verdict::OutOfReach,
                "both promise"
            );
        }
        round
    }

    #[test]
    fn a_round_shows_what_was_there_before_its_own_doing() {
        let nothing = Before::shown_by(&round(None), &set(9), 0).unwrap();
        assert!(nothing.stamp.is_none() && nothing.object.is_none() && nothing.is_absent);
        let there = Before::shown_by(&round(Some(object(5))), &set(9), 0).unwrap();
        assert_eq!((there.stamp, there.is_absent), (Some(Stamp(ballot(5))), false));
        let mut brief = object(5);
        brief.header.content = Some(Content { expires_ms: Some(7), ..Content::default() });
        let expired = |now_ms| {
            let seen = Before::shown_by(&round(Some(brief.clone())), &set(9), now_ms).unwrap();
            seen.is_absent
        };
        assert!(!expired(6) && expired(7));
        assert!(Before::shown_by(&round(Some(object(9))), &set(9), 0).is_none());
    }

    #[test]
    fn pieces_go_only_if_the_header_that_named_them_was_chosen() {
        let seen = || Before::shown_by(&round(Some(object(5))), &set(9), 0).unwrap();
        let content = || Some(Content::default());
        let built_on_it = object(5).header.with(ballot(9), content());
        assert_eq!(seen().object(&built_on_it), Some(Manifest::example()));
        let built_on_another = Header::absent(Ballot::ZERO).with(ballot(9), content());
        assert_eq!(seen().object(&built_on_another), None);
    }

    #[test]
    fn what_a_lost_answer_told_is_not_taken_for_what_was_there() {
        let change = set(9);
        let told = |stamp, object| {
            Before::told(Some(Stamp(ballot(stamp))), object, Some(change.id), &change.operation)
        };
        assert_eq!(told(9, None).stamp, None);
        let again = || Before::told(None, None, Some(change.id), &change.operation);
        assert!(!again().is_absent, "an earlier try may have deleted it");
        assert!(again().sent_once().is_absent && !told(5, None).sent_once().is_absent);
        let replaced = told(5, Some(object(5)));
        assert_eq!(replaced.stamp, Some(Stamp(ballot(5))));
        let left = object(5).header.with(ballot(9), Some(Content::default()));
        assert_eq!(replaced.object(&left), Some(Manifest::example()));
    }
}

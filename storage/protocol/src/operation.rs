//! What a user asks of a key, and what that makes of the state found.
//!
//! An operation is an expectation and a wish: "if it is absent, set it to this". Storages apply it when they are an arc's
//! only member; routers apply it for all others. Both use [`Operation::apply`], so there is one reading of it.

use crate::{
    ballot::Ballot,
    mutant,
    record::{Content, Header, Stamp, State},
};
use serde::{Deserialize, Serialize};

/// What must be true of the key for the wish to be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Expect {
    /// Nothing: a blind change.
    Anything,
    /// There is no value.
    Absent,
    /// There is some value.
    Present,
    /// The value there is the one of this stamp.
    Stamp(Stamp),
}

/// What to make of the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wish {
    /// Keep what is there: identity, which only renews the ballot.
    Keep,
    /// Put a value there.
    Set {
        /// All but the bytes.
        #[serde(rename = "t")]
        content_type: String,
        /// When it is to count as deleted.
        #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
        expires_ms: Option<u64>,
        /// The bytes.
        #[serde(rename = "v", with = "serde_bytes")]
        value: Vec<u8>,
    },
    /// Delete what is there.
    Delete,
}

/// One thing asked of one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operation {
    /// The condition.
    #[serde(rename = "x")]
    pub expect: Expect,
    /// The change.
    #[serde(rename = "w")]
    pub wish: Wish,
}

/// What an operation makes of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// This is the new state.
    Changed(State),
    /// The wish was to keep it, or to delete what is not there.
    Kept,
    /// The expectation is not met.
    NotMet,
    /// The very same operation was applied before.
    AlreadyDone,
}

impl Expect {
    /// Whether the header found meets the expectation at this time.
    pub fn is_met(self, found: &Header, now_ms: u64) -> bool {
        let alive = found.is_alive(now_ms);
        match self {
            Self::Anything => true,
            Self::Absent => !alive,
            Self::Present => alive,
            Self::Stamp(stamp) => alive && found.stamp() == Some(stamp),
        }
    }
}

impl Operation {
    /// Reads all and changes nothing; what it accepts anew is known to be chosen.
    pub const IDENTITY: Self = Self { expect: Expect::Anything, wish: Wish::Keep };

    /// What the operation `id` makes of a register whose header is `found`.
    pub fn apply(self, found: &Header, id: Ballot, now_ms: u64) -> Effect {
        if found.remembers(id) && !mutant::is("M8") {
            return Effect::AlreadyDone;
        }
        if !self.expect.is_met(found, now_ms) {
            return Effect::NotMet;
        }
        match self.wish {
            Wish::Keep => Effect::Kept,
            // What has expired is deleted in earnest, so that the sweep finds one same tombstone everywhere.
            Wish::Delete if found.content.is_none() => Effect::Kept,
            Wish::Delete => Effect::Changed(State { header: found.with(id, None), value: vec![] }),
            Wish::Set { content_type, expires_ms, value } => {
                let content = Content { content_type, expires_ms };
                Effect::Changed(State { header: found.with(id, Some(content)), value })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::Moment;

    fn id(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 7, seq: 0 }
    }

    fn set(expect: Expect) -> Operation {
        let wish = Wish::Set { content_type: String::new(), expires_ms: None, value: b"v".into() };
        Operation { expect, wish }
    }

    fn header_after(operation: Operation, found: &Header, at: u64) -> Header {
        match operation.apply(found, id(at), 0) {
            Effect::Changed(state) => state.header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn set_if_absent_works_once() {
        let none = Header::default();
        let one = header_after(set(Expect::Absent), &none, 1);
        assert_eq!(set(Expect::Absent).apply(&one, id(2), 0), Effect::NotMet);
        assert_eq!(set(Expect::Present).apply(&none, id(2), 0), Effect::NotMet);
    }

    #[test]
    fn set_if_stamp_works_on_that_stamp_alone() {
        let one = header_after(set(Expect::Anything), &Header::default(), 1);
        let stamp = one.stamp().unwrap();
        let two = header_after(set(Expect::Stamp(stamp)), &one, 2);
        assert_eq!(set(Expect::Stamp(stamp)).apply(&two, id(3), 0), Effect::NotMet);
    }

    #[test]
    fn a_retry_is_recognised_even_after_others_changed_the_key() {
        let one = header_after(set(Expect::Anything), &Header::default(), 1);
        let two = header_after(set(Expect::Anything), &one, 2);
        assert_eq!(set(Expect::Anything).apply(&two, id(1), 0), Effect::AlreadyDone);
    }

    #[test]
    fn deleting_nothing_changes_nothing() {
        let delete = Operation { expect: Expect::Anything, wish: Wish::Delete };
        assert_eq!(delete.clone().apply(&Header::default(), id(1), 0), Effect::Kept);
        let one = header_after(set(Expect::Anything), &Header::default(), 1);
        let gone = header_after(delete.clone(), &one, 2);
        assert_eq!(gone.content, None);
        assert_eq!(delete.apply(&gone, id(3), 0), Effect::Kept);
    }

    #[test]
    fn an_expired_value_counts_as_absent() {
        let wish = Wish::Set { content_type: String::new(), expires_ms: Some(5), value: vec![] };
        let brief = Operation { expect: Expect::Anything, wish };
        let one = header_after(brief, &Header::default(), 1);
        let later = set(Expect::Absent).apply(&one, id(2), 5);
        assert!(matches!(later, Effect::Changed(_)), "{later:?}");
    }
}

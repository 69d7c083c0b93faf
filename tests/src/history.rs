//! What was asked of one key and what was answered, and two judges of whether one register can have answered so.
//!
//! A history is linearizable when every operation can be given one moment between its call and its answer such that a
//! plain register, asked at these moments one after the other, answers the same. An operation whose outcome is unknown
//! may be given any moment after its call, or none. A moment that ends one operation and begins another orders nothing.
//!
//! * [`wgl()`] tries the orders, cleverly (Wing and Gong, Lowe). It is right in both directions and meant for short ones.
//! * [`stamps()`] takes O(n log n), because everybody tells which change he made or saw. It never accuses wrongly; what it may
//!   overlook stands there.
//!
//! Both begin with the same reading of the events (`steps.rs`): who made what was seen.
//!
//! **A stamp names a change; it does not date it.** It is the operation's id, the ballot of the operation's *first* round. That
//! round may have been refused and the change made much later by a higher ballot, after changes of higher stamps; a
//! router with a slow clock may even draw a stamp below one that was answered before it began. So neither judge ever compares
//! two stamps by size.
//!
//! Not modelled: expiry (a value that ends by itself). Use values without it.

mod pairing;
mod stamps;
mod steps;
mod wgl;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

pub use minor_protocol::{operation::Expect, record::Stamp};
pub use stamps::stamps;
pub use wgl::wgl;

use std::{collections::BTreeSet, fmt};

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What is there?
    Get,
    /// Put a value there, if the expectation is met.
    Set {
        /// [`Expect::Anything`] for a blind set.
        expect: Expect,
        /// Names the value; no two sets of a history share it.
        value: u64,
    },
    /// Delete what is there, if the expectation is met.
    Delete {
        /// [`Expect::Anything`] for a blind deletion.
        expect: Expect,
    },
}

/// What somebody says was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, or something deleted.
    Absent,
    /// A value.
    Value {
        /// The change that put it there.
        stamp: Stamp,
        /// Which value; none if only the stamp was shown.
        value: Option<u64>,
    },
}

/// How an operation was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A get's answer.
    Seen(Seen),
    /// The change was made and bears this stamp.
    Done(Stamp),
    /// The expectation was not met; what stood there instead, if that was told.
    NotMet(Option<Seen>),
    /// The deletion found nothing to delete.
    Kept,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered {
        /// When.
        at: u64,
        /// Which.
        answer: Answer,
    },
    /// Nobody knows: it may take effect at any later time, or never.
    Unknown {
        /// The stamp it bears if it takes effect, where that is known.
        id: Option<Stamp>,
    },
}

/// One operation of one process. Times are of any clock that all processes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who asked.
    pub process: u64,
    /// What.
    pub kind: Kind,
    /// When.
    pub called: u64,
    /// What came of it.
    pub outcome: Outcome,
}

/// All that was asked of one key, which is absent at first.
#[derive(Clone, Debug, Default)]
pub struct History {
    key: String,
    events: Vec<Event>,
    values: BTreeSet<u64>,
}

impl History {
    /// Nothing was asked yet.
    pub fn new(key: impl Into<String>) -> Self {
        Self { key: key.into(), ..Self::default() }
    }

    /// Adds an operation; in which order they are added is all the same.
    ///
    /// Panics when it is not one: answered before it was called, with an answer to something else, or setting a value that
    /// another one sets.
    pub fn push(&mut self, event: Event) {
        if let Outcome::Answered { at, answer } = event.outcome {
            assert!(event.called <= at, "answered before it was called: {event:?}");
            let fits = match answer {
                Answer::Seen(_) => event.kind == Kind::Get,
                Answer::Done(_) | Answer::NotMet(_) => event.kind != Kind::Get,
                Answer::Kept => matches!(event.kind, Kind::Delete { .. }),
            };
            assert!(fits, "an answer to something else: {event:?}");
        }
        if let Kind::Set { value, .. } = event.kind {
            assert!(self.values.insert(value), "two sets of one value: {event:?}");
        }
        self.events.push(event);
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The operations, as they were added.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    fn of(key: &str, events: impl IntoIterator<Item = Event>) -> Self {
        let mut history = Self::new(key);
        events.into_iter().for_each(|event| history.push(event));
        history
    }

    fn violation(&self, reason: Reason, events: impl IntoIterator<Item = usize>) -> Violation {
        let events: BTreeSet<usize> = events.into_iter().collect();
        // The state at first is an operation of nobody, numbered past the last.
        let events = events.into_iter().filter_map(|event| self.events.get(event));
        let mut operations: Vec<Event> = events.copied().collect();
        operations.sort_by_key(|event| event.called);
        Violation { key: self.key.clone(), reason, operations }
    }
}

/// Why no register can have answered so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Something was seen, or its stamp found, that nobody set.
    NobodySetIt,
    /// One value was seen with another stamp than it was set with, or than others saw.
    TwoStamps,
    /// Two changes bear one stamp.
    OneStampTwice,
    /// The answer contradicts the question, or itself.
    Contradiction,
    /// A value was seen before anybody began to set it.
    SeenTooEarly,
    /// A value was there before and after something else was, and no value returns.
    SeenAgain,
    /// Of two values each must have been there before the other.
    EachBeforeOther,
    /// Each of two changes replaced the very same state.
    ReplacedTwice,
    /// Conditional changes follow each other in a circle.
    Circle,
    /// A conditional change was seen before what it replaced was last there.
    Backwards,
    /// Nothing was there, although no deletion can have taken away what was.
    NothingDeletedIt,
    /// Something was there, although no set can have put it there.
    NothingSetIt,
    /// An expectation failed while it was met.
    FailedWhileMet,
    /// All orders were tried.
    NoOrder,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NobodySetIt => "something was there that nobody set",
            Self::TwoStamps => "one value has two stamps",
            Self::OneStampTwice => "two changes bear one stamp",
            Self::Contradiction => "the answer contradicts the question or itself",
            Self::SeenTooEarly => "a value was seen before anybody began to set it",
            Self::SeenAgain => {
                "something was there before and after something else, and no value returns"
            }
            Self::EachBeforeOther => "two values must each have been there before the other",
            Self::ReplacedTwice => "two changes each replaced the very same state",
            Self::Circle => "conditional changes follow each other in a circle",
            Self::Backwards => {
                "a conditional change was seen before what it replaced was last there"
            }
            Self::NothingDeletedIt => {
                "nothing was there, although no deletion can have taken away what was"
            }
            Self::NothingSetIt => "something was there, although no set can have put it there",
            Self::FailedWhileMet => "an expectation failed while it was met",
            Self::NoOrder => "no order of these operations explains the answers",
        })
    }
}

/// A history that no register has, told by as few of its operations as show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The key.
    pub key: String,
    /// What is wrong.
    pub reason: Reason,
    /// The operations that show it, in the order of their calls.
    pub operations: Vec<Event>,
}

impl std::error::Error for Violation {}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", self.key, self.reason)?;
        self.operations.iter().try_for_each(|event| write!(f, "\n  {event}"))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Answered { at, .. } => write!(f, "from {} to {at}", self.called)?,
            Outcome::Unknown { .. } => write!(f, "from {} on", self.called)?,
        }
        write!(f, ", process {}: ", self.process)?;
        let expect = match self.kind {
            Kind::Get => {
                f.write_str("get")?;
                Expect::Anything
            }
            Kind::Set { expect, value } => {
                write!(f, "set value {value}")?;
                expect
            }
            Kind::Delete { expect } => {
                f.write_str("delete")?;
                expect
            }
        };
        match expect {
            Expect::Anything => {}
            Expect::Absent => f.write_str(" if absent")?,
            Expect::Present => f.write_str(" if present")?,
            Expect::Stamp(stamp) => write!(f, " if it is {}", stamp.0)?,
        }
        match self.outcome {
            Outcome::Answered { answer: Answer::Seen(seen), .. } => write!(f, ": saw {seen}"),
            Outcome::Answered { answer: Answer::Done(stamp), .. } => {
                write!(f, ": done, stamp {}", stamp.0)
            }
            Outcome::Answered { answer: Answer::NotMet(Some(seen)), .. } => {
                write!(f, ": not met, there was {seen}")
            }
            Outcome::Answered { answer: Answer::NotMet(None), .. } => f.write_str(": not met"),
            Outcome::Answered { answer: Answer::Kept, .. } => {
                f.write_str(": there was nothing to delete")
            }
            Outcome::Unknown { id: Some(id) } => write!(f, ": outcome unknown, stamp {}", id.0),
            Outcome::Unknown { id: None } => f.write_str(": outcome unknown"),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("nothing"),
            Self::Value { stamp, value: Some(value) } => {
                write!(f, "value {value}, stamp {}", stamp.0)
            }
            Self::Value { stamp, value: None } => write!(f, "stamp {}", stamp.0),
        }
    }
}

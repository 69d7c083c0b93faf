//! Requests, replies and refusals.
//!
//! A router gathers requests for one storage into an [`Ask`]; the storage answers all of them, in order, in one
//! [`Answers`]. An ask names the storage and the ring it believes to talk to, so that a wiped disk behind an old address, or
//! a storage of another ring, says so instead of answering.
//!
//! An answer is a reply or a refusal. Silence is neither: only a router knows it.
//!
//! What travels by the thousand has names of one letter on the wire, and full ones here.
#![allow(missing_docs)] // Fields that repeat their type or the variant's sentence need no sentence of their own.

use crate::{
    arc::{Member, RingArc},
    ballot::Ballot,
    decree::{Decree, Unfit},
    id::{RingId, StorageId},
    key::Key,
    limits::{
        CONTENT_TYPE_BYTES, COPIES, DROP_KEYS, LEARN_ARCS, LIST_ROWS, SUCCESSORS, VALUE_BYTES,
    },
    operation::{Operation, Wish},
    position::{Position, Span},
    record::{Header, Record, Stamp, State},
    restart::Restart,
};
use serde::{Deserialize, Serialize};

/// Many requests to one storage.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Who is asked; only [`Request::Hello`] may leave it open.
    pub storage: Option<StorageId>,
    /// Of which ring the asker believes it to be.
    pub ring: Option<RingId>,
    /// The highest number of starts the asker has heard of from this storage; 0 if none. A storage that counts fewer was
    /// restored from an old copy and knows it by this.
    pub starts: u64,
    /// The requests, at most [`ASK_REQUESTS`](crate::limits::ASK_REQUESTS).
    pub requests: Vec<Request>,
}

/// The answers to one ask, one for each request and in their order.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Answers {
    /// Who answers.
    pub storage: StorageId,
    /// How often it was started.
    pub starts: u64,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// Yes or no.
pub type Answer = Result<Reply, Refusal>;

/// How much of a record is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Show {
    /// All but the value's bytes.
    #[serde(rename = "h")]
    Header,
    /// Everything.
    #[serde(rename = "w")]
    Whole,
}

/// The state an accept is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Proposed {
    /// This one.
    #[serde(rename = "s")]
    State(State),
    /// The one you hold at this ballot: so that what did not change need not travel.
    #[serde(rename = "h")]
    Held(Ballot),
}

/// A dead record, to be dropped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dead {
    /// Its key.
    #[serde(rename = "k")]
    pub key: Key,
    /// The ballot that all members show.
    #[serde(rename = "b")]
    pub ballot: Ballot,
}

/// What to do with records a storage kept while it was in no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PlainRecords {
    /// Refuse to enter a ring when there are any.
    Refuse,
    /// Drop them.
    Discard,
}

/// A storage that another one remembers for the walk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    /// Who and where.
    pub member: Member,
    /// How often it had been started when last seen.
    pub starts: u64,
}

/// One thing asked of a storage.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Request {
    /// Who are you, and what do you know of the ring?
    Hello,

    /// Promise to accept nothing below this ballot, and show what was accepted.
    #[serde(rename = "p")]
    Prepare {
        #[serde(rename = "k")]
        key: Key,
        #[serde(rename = "b")]
        ballot: Ballot,
        #[serde(rename = "s")]
        show: Show,
    },
    /// Keep this state at this ballot.
    #[serde(rename = "a")]
    Accept {
        #[serde(rename = "k")]
        key: Key,
        #[serde(rename = "b")]
        ballot: Ballot,
        #[serde(rename = "s")]
        state: Proposed,
    },
    /// Prepare, apply and accept in one step: for an arc of one member.
    #[serde(rename = "c")]
    Change {
        #[serde(rename = "k")]
        key: Key,
        #[serde(rename = "b")]
        ballot: Ballot,
        /// The operation's id. Below the ballot it says that an earlier try may have been applied; a router whose tries
        /// were all refused is still at its first.
        #[serde(rename = "i")]
        id: Ballot,
        /// The router's time, for expiry.
        #[serde(rename = "n")]
        now_ms: u64,
        #[serde(rename = "o")]
        operation: Operation,
    },
    /// Show what is kept.
    #[serde(rename = "r")]
    Read {
        #[serde(rename = "k")]
        key: Key,
        #[serde(rename = "e")]
        epoch: u64,
        #[serde(rename = "s")]
        show: Show,
    },
    /// Fill yourself with this settled record.
    #[serde(rename = "f")]
    Copy {
        #[serde(rename = "k")]
        key: Key,
        #[serde(rename = "e")]
        epoch: u64,
        #[serde(rename = "r")]
        record: Record,
    },
    /// You are filled from members that dropped dead records up to this ballot: remember it as if you had dropped them.
    #[serde(rename = "i")]
    Inherit {
        #[serde(rename = "a")]
        span: Span,
        #[serde(rename = "e")]
        epoch: u64,
        #[serde(rename = "s")]
        swept: Ballot,
    },
    /// Fill yourself with these settled records: as many copies, in one request.
    #[serde(rename = "m")]
    Fill {
        #[serde(rename = "e")]
        epoch: u64,
        #[serde(rename = "r")]
        records: Vec<Held>,
    },
    /// Forget these dead records for good: every member shows them so. All lie in one arc.
    Drop { epoch: u64, dead: Vec<Dead> },
    /// The keys and ballots of an arc, in ring order, at most [`LIST_ROWS`] a page.
    List { span: Span, epoch: u64, after: Option<Key>, limit: u32 },
    /// The records of an arc themselves, in ring order: as many as [`PAGE_BYTES`](crate::limits::PAGE_BYTES) hold, and at
    /// most [`LIST_ROWS`].
    Records { span: Span, epoch: u64, after: Option<Key> },
    /// How much the storage holds of a span, exactly.
    Tally { span: Span, epoch: u64 },
    /// The place up to which at least so many bytes of a span lie.
    Cut { span: Span, epoch: u64, bytes: u64 },

    /// Promise to vote for no decree of this arc below this ballot, and show the vote given.
    PrepareDecree { arc: RingArc, ballot: Ballot },
    /// Vote for this decree.
    AcceptDecree { arc: RingArc, ballot: Ballot, decree: Decree },
    /// These arcs are known to be chosen.
    Learn { arcs: Vec<RingArc> },
    /// Begin this arc again without the members that are given up: the one change of an arc that nobody votes on.
    Restart { restart: Box<Restart> },

    /// Found a ring: what you kept alone is its first content.
    Found { ring: RingId, copies: u8 },
    /// Belong to this ring from now on, as yet without an arc.
    Enter { ring: RingId, plain: PlainRecords },
    /// Remember these neighbours for the walk, and no others.
    Rewire { predecessor: Option<Neighbour>, successors: Vec<Neighbour> },
}

/// What a storage shows of a record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shown {
    /// The ballot it was accepted with.
    #[serde(rename = "b")]
    pub ballot: Ballot,
    /// What it is.
    #[serde(rename = "c")]
    pub content: ShownContent,
}

/// As much of a state as was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ShownContent {
    /// All but the value, and how many bytes that has.
    #[serde(rename = "h")]
    Header(Header, u32),
    /// Everything.
    #[serde(rename = "w")]
    Whole(State),
}

impl ShownContent {
    /// The header, which is shown in any case.
    pub fn header(&self) -> &Header {
        match self {
            Self::Header(header, _) => header,
            Self::Whole(state) => &state.header,
        }
    }
}

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// The key.
    #[serde(rename = "k")]
    pub key: Key,
    /// The ballot of its record.
    #[serde(rename = "b")]
    pub ballot: Ballot,
    /// When it counts as deleted: 0 for a tombstone, none if it never does.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub dead_from_ms: Option<u64>,
    /// Bytes of its value.
    #[serde(rename = "n")]
    pub bytes: u32,
}

/// A key with its whole record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Hash)]
pub struct Held {
    /// The key.
    #[serde(rename = "k")]
    pub key: Key,
    /// What is kept under it.
    #[serde(rename = "r")]
    pub record: Record,
}

impl Held {
    /// How many bytes a storage counts for it.
    pub fn bytes(&self) -> usize {
        self.key.as_str().len() + self.record.length()
    }
}

/// How much an arc holds at one storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tally {
    /// Records, tombstones among them.
    pub records: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// Bytes of keys and records.
    pub bytes: u64,
    /// XOR of the [marks](crate::record::mark) of all records: two copies with the same digest are alike.
    pub digest: u64,
}

/// An arc that a storage keeps, as it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Kept {
    /// The arc.
    pub arc: RingArc,
    /// The storage refuses everything at or below it.
    pub floor: Ballot,
    /// Records it holds of it, about: the cells at both ends are counted in proportion.
    pub records: u64,
    /// Those of them that are tombstones, about.
    pub tombstones: u64,
    /// Bytes of them, about.
    pub bytes: u64,
    /// It does not trust its own data there and answers nothing for it.
    pub damaged: bool,
}

/// Who a storage is and what it knows of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// Its ring; none while it is a store of its own.
    pub ring: Option<RingId>,
    /// Its entry, as it would like to be addressed.
    pub member: Member,
    /// The arcs it keeps.
    pub kept: Vec<Kept>,
    /// The arcs it knows and does not keep: those it left, or was told of before it came in.
    pub left: Vec<RingArc>,
    /// Spans it is still clearing of what it kept there. It comes in nowhere there before that is done.
    pub wiping: Vec<Span>,
    /// The storage before it on the ring, as it last heard.
    pub predecessor: Option<Neighbour>,
    /// The storages behind it.
    pub successors: Vec<Neighbour>,
    /// It takes no writes: the disk is nearly full.
    pub full: bool,
}

/// What became of a one-step change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It is done, now or by an earlier try.
    Done,
    /// There was nothing to do.
    Kept,
    /// The expectation is not met.
    NotMet,
    /// An earlier try may have been applied: too much has happened since to tell.
    Unknown,
}

/// An answer of yes.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Request::Hello`].
    Hello(Box<Hello>),
    /// To [`Request::Prepare`]: the record, if there is one, and up to which ballot dead ones were dropped in the arc.
    #[serde(rename = "p")]
    Promised {
        #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
        #[serde(rename = "s")]
        swept: Ballot,
    },
    /// To [`Request::Accept`].
    #[serde(rename = "a")]
    Accepted,
    /// To [`Request::Change`]: the outcome, what the key holds now (bytes only for identity), its stamp before, and what was
    /// there, if the change took the place of an [object](crate::record::OBJECT).
    #[serde(rename = "c")]
    Changed {
        #[serde(rename = "o")]
        outcome: Outcome,
        #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
        #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
        before: Option<Stamp>,
        #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
        object: Option<State>,
    },
    /// To [`Request::Read`].
    #[serde(rename = "r")]
    Found {
        #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
        shown: Option<Shown>,
    },
    /// To [`Request::Copy`] and [`Request::Inherit`].
    #[serde(rename = "f")]
    Copied,
    /// To [`Request::Drop`]: how many were still exactly as named.
    Dropped { records: u32 },
    /// To [`Request::List`]: also up to which ballot dead records were dropped in the arc.
    Listed { rows: Vec<Row>, more: bool, swept: Ballot },
    /// To [`Request::Fill`]: it holds all of them now, or newer ones.
    #[serde(rename = "m")]
    Filled,
    /// To [`Request::Records`]: as to `List`.
    Records { records: Vec<Held>, more: bool, swept: Ballot },
    /// To [`Request::Tally`].
    Tallied { tally: Tally },
    /// To [`Request::Cut`]: none when there is no such place, or it is the span's end.
    Cut { at: Option<Position> },
    /// To [`Request::PrepareDecree`].
    DecreePromised { accepted: Option<(Ballot, Decree)> },
    /// To [`Request::AcceptDecree`].
    DecreeAccepted,
    /// To [`Request::Learn`].
    Learned,
    /// To [`Request::Restart`].
    Restarted,
    /// To [`Request::Found`] and [`Request::Enter`].
    Entered,
    /// To [`Request::Rewire`].
    Rewired,
}

/// An answer of no. The storage did nothing, now or later.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The asker is behind: this is the arc now.
    #[error("the arc is now {arc}")]
    Stale { arc: Box<RingArc> },
    /// The storage is behind, or knows nothing of the place: teach it.
    #[error("the storage has not learned of that epoch")]
    Behind { arc: Option<Box<RingArc>> },
    /// Something at or above the ballot stands in the way: come back with a higher one.
    #[error("ballot {highest} stands in the way")]
    Refused { highest: Ballot },
    /// The ballot lies too far in the future.
    #[error(
        "the clock of whoever asks is ahead of the storage's, which promises nothing beyond {limit_ms} ms: \
         one of the two is wrong"
    )]
    Ahead { limit_ms: u64 },
    /// An accept or a copy names a state that is not held here.
    #[error("that state is not held here")]
    NotHeld,
    /// Nothing is dropped while a member is being filled: a late copy would bring it back.
    #[error("a member of the arc is being filled")]
    Filling,
    /// A copy for a storage that is not being filled.
    #[error("this storage is not being filled")]
    NotFilling,
    /// Only an arc's single member changes in one step, or founds a ring alone.
    #[error("this storage is not the only member")]
    NotAlone,
    /// The span is still being cleared of what was kept there.
    #[error("the storage is still clearing {span}")]
    Wiping { span: Span },
    /// It would have to hold what nobody ever gave it.
    #[error("the storage was never filled for {span}")]
    NeverFilled { span: Span },
    /// Its data there is damaged; it answers nothing for the span until it was dropped and filled again.
    #[error("the storage's data of {span} is damaged")]
    Damaged { span: Span },
    /// It was restored from an old copy: others have seen it started more often.
    #[error(
        "the storage was restored from an old copy: it counts {counted} starts, others saw {seen}"
    )]
    Restored { counted: u64, seen: u64 },
    /// The asker meant another storage, or another ring.
    #[error("this is storage {storage} of {}", ring.map_or("no ring".into(), |r| format!("ring {r}")))]
    Stranger { storage: StorageId, ring: Option<RingId> },
    /// It holds records of its own, which entering a ring would lose.
    #[error("the storage holds {records} records of its own")]
    HoldsPlain { records: u64 },
    /// The decree cannot follow the arc.
    #[error("the decree does not fit: {0}")]
    Unfit(Unfit),
    /// The disk is nearly full.
    #[error("the storage's disk is nearly full")]
    Full,
    /// The answers to this ask are full: ask again.
    #[error("that is more than it takes, or gives, at once")]
    TooMuch,
    /// The storage is stopping.
    #[error("the storage is stopping")]
    Stopping,
    /// The storage's disk failed; the process is about to end.
    #[error("the storage's disk failed: {0}")]
    Failed(String),
    /// The request contradicts itself.
    #[error("malformed request: {0}")]
    Malformed(String),
}

impl From<Unfit> for Refusal {
    fn from(unfit: Unfit) -> Self {
        Self::Unfit(unfit)
    }
}

impl Request {
    /// Whether answering reads much: such work belongs on a thread that may wait.
    pub fn is_long(&self) -> bool {
        matches!(
            self,
            Self::Hello
                | Self::Learn { .. }
                | Self::List { .. }
                | Self::Records { .. }
                | Self::Fill { .. }
                | Self::Tally { .. }
                | Self::Cut { .. }
                | Self::Drop { .. }
        )
    }

    /// Checks what its form alone does not: limits, and arcs that are none.
    pub fn check(&self) -> Result<(), Refusal> {
        let malformed = |why: String| Err(Refusal::Malformed(why));
        let arcs = match self {
            Self::Change { ballot, id, .. } if id > ballot => {
                return malformed("an operation's id is the ballot of its first try".into());
            }
            Self::Change {
                operation: Operation { wish: Wish::Set { content_type, value, .. }, .. },
                ..
            } => {
                if content_type.len() > CONTENT_TYPE_BYTES {
                    return malformed(format!(
                        "a content type has at most {CONTENT_TYPE_BYTES} bytes"
                    ));
                }
                if value.len() > VALUE_BYTES {
                    return malformed(format!("a record's value has at most {VALUE_BYTES} bytes"));
                }
                return Ok(());
            }
            Self::Fill { records, .. } if !(1..=LIST_ROWS as usize).contains(&records.len()) => {
                return malformed(format!(
                    "a storage is filled with 1 to {LIST_ROWS} records at once"
                ));
            }
            Self::Drop { dead, .. } if !(1..=DROP_KEYS).contains(&dead.len()) => {
                return malformed(format!("a drop names 1 to {DROP_KEYS} records"));
            }
            Self::Drop { dead, .. } => {
                let mut keys: Vec<&Key> = dead.iter().map(|d| &d.key).collect();
                keys.sort_unstable();
                if keys.windows(2).any(|pair| pair[0] == pair[1]) {
                    return malformed("a drop names each key once".into());
                }
                return Ok(());
            }
            Self::Rewire { predecessor, successors } => {
                if successors.len() > SUCCESSORS {
                    return malformed(format!(
                        "a storage remembers at most {SUCCESSORS} successors"
                    ));
                }
                let named = predecessor.iter().chain(successors);
                let members = named.map(|n| n.member.check());
                return members.collect::<Result<(), _>>().or_else(|e| malformed(e.to_string()));
            }
            Self::Found { copies, .. } if !(1..=COPIES).contains(copies) => {
                return malformed(format!("an arc has 1 to {COPIES} copies"));
            }
            Self::Learn { arcs } if !(1..=LEARN_ARCS).contains(&arcs.len()) => {
                return malformed(format!("a storage learns 1 to {LEARN_ARCS} arcs at once"));
            }
            Self::Learn { arcs } => arcs.as_slice(),
            Self::PrepareDecree { arc, .. } | Self::AcceptDecree { arc, .. } => {
                std::slice::from_ref(arc)
            }
            Self::Restart { restart } => {
                let heir = restart.heir.iter().try_for_each(Member::check);
                heir.or_else(|e| malformed(e.to_string()))?;
                std::slice::from_ref(&restart.arc)
            }
            _ => return Ok(()),
        };
        arcs.iter().try_for_each(RingArc::check).or_else(|e| malformed(e.to_string()))
    }
}

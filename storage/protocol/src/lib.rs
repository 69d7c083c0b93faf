//! What a storage and a router say to each other, and the few rules both must read the same way.
//!
//! Read in this order; every file opens with its idea:
//!
//! 1. [`position`]: a key's place on the ring, and stretches of places.
//! 2. [`key`]: the names users give.
//! 3. [`ballot`]: one try's rank, and the hybrid clock it is drawn from.
//! 4. [`record`]: what is kept under a key, its byte form and its checksum.
//! 5. [`operation`]: what a user asks of a key, and what that makes of the state found.
//! 6. [`arc`]: a span with the storages that keep it.
//! 7. [`decree`]: the agreed next form of an arc.
//! 8. [`restart`]: the way out when no vote is possible any more.
//! 9. [`message`]: requests, replies, refusals.
//! 10. [`wire`]: the CBOR form of all of these, and [`limits`] on what comes from outside.
//!
//! Nothing here knows a socket, a disk, a clock or a log: time comes in as an argument, and bytes go out as values.

pub mod arc;
pub mod ballot;
pub mod decree;
pub mod id;
pub mod key;
pub mod limits;
pub mod message;
pub mod mutant;
pub mod operation;
pub mod position;
pub mod record;
pub mod restart;
pub mod wire;

pub use arc::{Member, RingArc, Seal};
pub use ballot::{Ballot, HybridClock, Moment};
pub use decree::{Decree, Unfit};
pub use id::{RingId, StorageId};
pub use key::Key;
pub use message::{Answer, Answers, Ask, Refusal, Reply, Request};
pub use operation::{Effect, Expect, Operation, Wish};
pub use position::{Position, Span};
pub use record::{Content, Header, Record, Stamp, State};
pub use restart::{NoRestart, Restart};

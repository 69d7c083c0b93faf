//! The router of a distributed hash table that people can trust with real data.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let ring = sdht::Ring::connect(["127.0.0.1:8000"]).await?;
//! ring.set("a key", "a value").await?;
//! let value: Option<String> = ring.get("a key").await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Ring`] is all that most programs need; [`blocking::Ring`] is the same without `await`, and [`join`], [`set`](fn@set) and [`get`](fn@get)
//! are the same for a program of ten lines. The rest of this page tells how it works, and names the file that does it.
//!
//! # Who does what
//!
//! *Storages* keep and vote. A storage answers what it is asked, one request after another, and never opens a connection to
//! anybody. *Routers* think: they ask, compare, propose and carry data about. This library is a router. A router remembers
//! nothing that matters: it may be killed between any two messages, and whoever comes next sees from the storages' answers
//! what is half done, and finishes it. There may be any number of routers, and none of them knows of the others.
//!
//! # The ring
//!
//! A key's place is the beginning of its SHA-256, 64 bits long. All places form a ring, which is cut into *arcs*; each arc
//! is kept by a few storages, its *members*. The first of them is the one whose own place ends the arc, and the others are
//! the next ones clockwise:
//!
//! ```text
//!                     place of A                  arc       members
//!                    ╭────●────╮
//!              (d,a] │         │ (a,b]            (a,b]     B, C, D
//!                    │         │                  (b,c]     C, D, A
//!        place of D  ●         ●  place of B      (c,d]     D, A, B
//!                    │         │                  (d,a]     A, B, C
//!              (c,d] │         │ (b,c]
//!                    ╰────●────╯                  three copies of everything
//!                     place of C
//! ```
//!
//! No place keeps this picture. Each storage knows its own arcs, and two or three neighbours. A router that knows a single
//! address asks there, goes on to whoever keeps the arc that begins where the known ones end, and so on until the ring is
//! closed ([`walk`]). It remembers what it saw ([`ring`]), so the next key needs one hop. The memory may be out of date; then
//! the storage that is asked says so, with the newer arc in its answer.
//!
//! # A key
//!
//! Each key is a register of its own, kept by the members of its arc, and three is the usual number of them. More than half
//! of them, a *majority*, is always enough, since two majorities share a member. No log is kept, and nobody leads:
//!
//! ```text
//!   change   prepare b  ──▶  a majority promises to take nothing below ballot b, and shows what it has
//!            the highest ballot's state counts; the operation makes the next state of it
//!            accept b   ──▶  a majority has it on disk: done
//!
//!   read     read       ──▶  a majority shows the same ballot: that is the value, in one round trip
//!                            they differ: help the newest to a majority first, then answer
//! ```
//!
//! A *ballot* is one try's rank: first the epoch of the arc, then a clock, then the router's name. Two routers that change one
//! key at the same time get in each other's way, and the one with the lower ballot is refused and comes again above it. What
//! the answers of a round mean is decided without awaiting anything, in [`change`] and [`get`](mod@get); [`register`] asks and hears.
//!
//! Three things make a retry safe. An operation keeps the ballot of its first round as its name, whatever happens later. A
//! record remembers the names of the last few operations applied to it, so none is applied twice. And when too much has been
//! forgotten to tell, the answer is that nobody can tell ([`NotSet::Unknown`]), never a guess.
//!
//! An arc of one member needs no majority: there, the storage does all of it in one step.
//!
//! # An arc
//!
//! Who keeps an arc is itself agreed upon. The next form of an arc, a *decree*, is chosen by a majority of the members of its
//! present form, and each form has a number, its *epoch*: so every arc is a chain of decisions, of which no two routers can
//! take the same step differently ([`proposal`]).
//!
//! ```text
//!   epoch 4   A B C
//!      │  grow D          D knows the arc of epoch 4 as one it is not in, and holds nothing of it
//!   epoch 5   A B C +D    D votes already, and is being filled: whatever is settled is copied to it
//!      │  shrink A        only after a sync: all that a majority of A B C settled on, D holds too
//!   epoch 6   B C D
//! ```
//!
//! One member comes or goes at a time, so the majorities before and after share one. The epoch is the first part of every
//! ballot, so no round reaches from one form into the next: a storage that has moved on answers *stale*, one that lags answers
//! *behind*, and the router starts the round afresh. Arcs are cut in two by one decree and joined by two, the lower one first
//! being *sealed* so that nothing else can happen to it meanwhile.
//!
//! # A change of the ring
//!
//! "X joins" is not a script but a wish: a ring in which X has a place. From the arcs as they are and that wish, [`plan`]
//! computes the one next decree, or none when the wish is fulfilled; [`moves`] carries it out and looks anew. What is half
//! done shows in the arcs themselves, a member being filled, a seal, a boundary too many, and so the next router's first
//! step is what the dead one's next would have been. While data moves, page by page and from one storage to the other through
//! the router ([`sync`]), everything is read and written as usual.
//!
//! # Deleting
//!
//! A deleted key leaves a tombstone, since a member that was away might otherwise bring the value back. When all members
//! show the same tombstone it is swept: each drops it and from then on refuses, in that arc, every ballot up to it. No
//! clock decides, and nothing has to wait for a grace period.
//!
//! # Large objects
//!
//! A record holds up to 64 KiB. What is longer is cut into pieces, each a record of its own at a place of its own, and the
//! key's record names them. The pieces go first, and the key changes last, so a large object is there as a whole or not at
//! all ([`object`]).
//!
//! # Healing
//!
//! Whatever an operator can do to a ring, a [`keeper`] does unasked: it looks at all storages every few seconds, calls one
//! dead after many looks in vain, lets it go, and has others take over its copies. It lives in every door; keepers take turns.
//!
//! # Silence
//!
//! A storage answers yes, or no with its reason, or not at all, and these are three things: a no means that nothing was done;
//! of silence nobody knows what it means. [`transport`] brings an ask to a storage, over HTTP or in a simulation, and what
//! is said to one storage while an ask is under way gathers into the next ([`transport::lines`]), so that a thousand small
//! operations cost one flush of a disk. All the counting of answers is one small type, [`tally::Tally`]: pending, reached,
//! out of reach.
//!
//! # What it does not promise
//!
//! There are no transactions over several keys, and no order between keys. Where an arc has two members, both are needed.
//! Clocks are used for expiry and for the looks of stamps, never for safety. Storages may crash, forget their last moments,
//! and come back; they are not believed to lie.

pub mod asking;
mod before;
pub mod blocking;
pub mod change;
pub mod counters;
pub mod error;
mod fill;
pub mod get;
pub mod handle;
mod held_up;
pub mod keeper;
pub mod listing;
pub mod look;
mod many;
pub mod moves;
pub mod object;
pub mod pace;
pub mod plan;
mod process_wide;
pub mod proposal;
mod put_options;
pub mod register;
pub mod ring;
pub mod router;
#[cfg(feature = "serve")]
pub mod serve;
pub mod sync;
pub mod tally;
pub mod transport;
mod tries;
mod turns;
pub mod verdict;
pub mod walk;

pub use error::{NotConnected, NotGot, NotSet, Trouble};
pub use handle::{Builder, Keys, Moving, Object, Ring, Value};
pub use minor_protocol::{Expect, Key, Position, RingArc, Stamp, StorageId};
pub use moves::{
    Far, Gone, Loss, Lost, Moved, Mute, NotMoved, Preview, Progress, Purged, Shown, Swept, Synced,
    Wanted,
};
pub use plan::even::Load;
pub use process_wide::{delete, get, join, remove, set};
pub use put_options::PutOptions;
pub use transport::http::Token;
pub use walk::NoRing;

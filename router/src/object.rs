//! Values too long for one record: cut into pieces that spread over the ring, and a header that says what they make.
//!
//! ```text
//!   films/one              the header: an ordinary record under the user's key. Its value is a Manifest:
//!      │                   content type, length, piece size, checksum, and the upload u
//!      ├─ \0{u.0}0films/one     64 KiB
//!      ├─ \0{u.0}1films/one     64 KiB     sixteen live together, since between { and } stands what decides the place;
//!      │  ...                              the next sixteen live elsewhere
//!      ├─ \0{u.0}ffilms/one     64 KiB
//!      └─ \0{u.1}0films/one     the rest
//! ```
//!
//! Sixteen, because a storage's disk is read and written by pages of up to sixteen records: pieces that lived apart would each
//! have their page fetched for the sake of one. So a MiB of an object is in one place, and a long one all over the ring.
//!
//! **Putting** writes the pieces first, then the header by an ordinary change, then deletes the pieces of what was there, as does
//! whoever puts a small value in an object's place, or deletes it: a change tells what it took the place of (`before.rs`).
//! So a put is done, or not, at the one moment the header changes, and conditions hold of an object as of any other value. An
//! upload that breaks off leaves what was there whole; its pieces are *orphans*, which no header names.
//!
//! **A piece's name is never given twice**: the upload is a ballot that nobody else draws. Nobody can have written there
//! before, so its first accept needs no prepare (`object/put.rs`). And a piece that is there is the right one, so whoever reads needs
//! to ask one storage only (`object/get.rs`).
//!
//! **The checksum** is a CRC-32 of the whole. Every record has one too, over its key as well, so a piece that is damaged or in
//! another's place is found out by the storage; what is left for the checksum of the whole are faults of our own, a piece too
//! few or in the wrong order, and for those 32 bits that cost next to nothing are as good as a hash that keeps forgers out
//! and takes more time than all the rest. It is compared before the last piece is handed over. Of a range it says nothing.
//!
//! **Orphans** are removed by a sweep. A piece is one if no header names its upload *and* its upload began more than
//! [`ORPHAN_AGE`] ago. The first alone would take the pieces of an upload under way, whose header is yet to come; therefore
//! an upload that has lasted half that long gives up instead of writing its header. So a piece that is old enough and
//! unnamed will never be named, as long as no two routers' clocks are half an [`ORPHAN_AGE`] apart.

pub(crate) mod get;
pub(crate) mod orphans;
pub(crate) mod put;
#[cfg(test)]
mod tests;

/// The content type of headers. Users' own values never have it.
pub(crate) use minor_protocol::record::OBJECT;
use minor_protocol::{
    Ballot, Content, Expect, Key, Operation, State, Wish,
    limits::{KEY_BYTES, VALUE_BYTES},
};
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    ops::{Bound, Range, RangeBounds},
    time::Duration,
};

/// How old an unnamed piece must be before it is taken for an orphan.
pub const ORPHAN_AGE: Duration = Duration::from_hours(24);
/// Bytes of every piece but the last.
pub(crate) const PIECE_BYTES: usize = VALUE_BYTES;
/// Pieces that live together; a hexadecimal digit tells them apart.
const TOGETHER: u32 = 16;
/// Bytes of the longest key of an object: its pieces' names must still be keys. `\0{`, a stamp, `.`, a number, `}`, a digit.
pub(crate) const NAME_BYTES: usize = KEY_BYTES - (2 + 59 + 1 + 9 + 1 + 1);
/// Pieces of one object on their way at a time.
const AT_ONCE: usize = 2 * TOGETHER as usize;
/// How long a storage is waited for when others have answered.
const GRACE: Duration = Duration::from_secs(1);

/// Storages that kept a transfer waiting, and are passed over for the rest of it.
type Laggards = RefCell<BTreeSet<minor_protocol::StorageId>>;

/// What the header of an object says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// What the user says the bytes are.
    pub(crate) content_type: String,
    /// How many there are.
    pub(crate) bytes: u64,
    /// How many of them in each piece but the last.
    piece_bytes: u64,
    /// CRC-32 of all of them.
    crc: u32,
    /// Which upload brought the pieces.
    pub(crate) upload: Ballot,
}

/// A part of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    number: u32,
    /// How long the piece must be.
    whole: usize,
    /// What is wanted of it.
    wanted: Range<usize>,
}

impl Manifest {
    /// The manifest that a value's state holds: none if the value is no object, an error if it should be one.
    pub(crate) fn of(state: &State) -> Option<Result<Self, String>> {
        Self::in_value(&state.header.content.as_ref()?.content_type, &state.value)
    }

    /// The same of a value that is said to be of this type.
    pub(crate) fn in_value(content_type: &str, value: &[u8]) -> Option<Result<Self, String>> {
        (content_type == OBJECT).then(|| {
            let read: Self = ciborium::from_reader(value).map_err(|e| e.to_string())?;
            let fits = (1..=PIECE_BYTES as u64).contains(&read.piece_bytes)
                && u32::try_from(read.bytes.div_ceil(read.piece_bytes)).is_ok();
            if fits { Ok(read) } else { Err("its numbers cannot be".into()) }
        })
    }

    /// The wish to put it under a key.
    pub(crate) fn wish(&self, expires_ms: Option<u64>) -> Wish {
        let mut value = vec![];
        ciborium::into_writer(self, &mut value).expect("a manifest has a CBOR form");
        Wish::Set { content_type: OBJECT.into(), expires_ms, value }
    }

    /// One for tests.
    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let upload = Ballot { epoch: 0, clock: minor_protocol::Moment(1), router: 1, seq: 0 };
        Self { content_type: "a/b".into(), bytes: 9, piece_bytes: 4, crc: 7, upload }
    }

    pub(crate) fn pieces(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(self.piece_bytes)).expect("it was checked when read")
    }

    /// What a range is made of; it lies within the object.
    fn parts(&self, range: Range<u64>) -> impl Iterator<Item = Part> + use<> {
        let (size, bytes) = (self.piece_bytes, self.bytes);
        let numbers =
            if range.is_empty() { 0..0 } else { range.start / size..range.end.div_ceil(size) };
        numbers.map(move |number| {
            let start = number * size;
            let whole = size.min(bytes - start);
            let within = |place: u64| place.saturating_sub(start).min(whole) as usize;
            Part {
                number: u32::try_from(number).expect("it was checked when read"),
                whole: whole as usize,
                wanted: within(range.start)..within(range.end),
            }
        })
    }
}

/// What a user's range means for a value of this length: what reaches beyond the end is left out.
pub(crate) fn clamp(range: (Bound<u64>, Bound<u64>), bytes: u64) -> Range<u64> {
    let start = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(start) => *start,
        Bound::Excluded(start) => start.saturating_add(1),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => bytes,
        Bound::Included(end) => end.saturating_add(1).min(bytes),
        Bound::Excluded(end) => (*end).min(bytes),
    };
    start.min(end)..end
}

/// The name of a piece.
pub(crate) fn piece(key: &Key, upload: Ballot, number: u32) -> Key {
    let (group, digit) = (number / TOGETHER, number % TOGETHER);
    Key::new(format!("{}{{{upload}.{group}}}{digit:x}{key}", Key::RESERVED))
        .expect("an object's key leaves room for its pieces' names")
}

/// The key and the upload that a piece's name tells; none if it is no piece's name.
fn object_of(name: &Key) -> Option<(Key, Ballot)> {
    let (tag, rest) = name.as_str().strip_prefix("\0{")?.split_once('}')?;
    let (upload, group) = tag.rsplit_once('.')?;
    let digit = rest.chars().next()?.to_digit(TOGETHER)?;
    let (key, upload) = (Key::of_user(rest.get(1..)?).ok()?, upload.parse().ok()?);
    let number = group.parse::<u32>().ok()?.checked_mul(TOGETHER)?.checked_add(digit)?;
    (piece(&key, upload, number) == *name).then_some((key, upload))
}

/// Cuts what comes in bits of any length into pieces.
#[derive(Debug, Default)]
pub(crate) struct Cutter {
    held: Vec<u8>,
}

impl Cutter {
    /// Takes the beginning of `bytes`, and gives a piece when there is a whole one. To be called until nothing is left.
    pub(crate) fn take(&mut self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let (taken, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - self.held.len()));
        self.held.extend_from_slice(taken);
        *bytes = rest;
        (self.held.len() == PIECE_BYTES).then(|| std::mem::take(&mut self.held))
    }

    /// What is left for the last piece.
    pub(crate) fn rest(self) -> Option<Vec<u8>> {
        (!self.held.is_empty()).then_some(self.held)
    }
}

/// The ordinary change that puts a piece.
fn putting(value: Vec<u8>) -> Operation {
    let Content { content_type, expires_ms } = Content::default();
    Operation { expect: Expect::Anything, wish: Wish::Set { content_type, expires_ms, value } }
}

//! What is kept under a key, its byte form, and the checksum that tells damage from absence.
//!
//! ```text
//! record   crc32 (4) | ballot (28) | state           the crc covers key, ballot and state
//! state    header | value                            the value is the rest of the bytes
//! header   flags (1) | n (1) | n recent ids (28 each) | forgot (28, if any)
//!          | content type (1 + bytes) | expiry in ms (8, if any)      the last two only when there is a value
//! ```
//!
//! The same bytes lie on the disk and travel in messages, so what a storage took in is what it gives out, and nothing is
//! taken apart on the way that need not be.

use crate::{
    ballot::Ballot,
    key::Key,
    limits::{CONTENT_TYPE_BYTES, RECENT, VALUE_BYTES},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Which operation last changed a key, and when: what users see as ETag.
///
/// It is the operation's id, whose clock tells the time; time is for people's eyes here and never decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Stamp(pub Ballot);

impl Stamp {
    /// When the change was asked for, in milliseconds since 1970.
    pub fn time_ms(self) -> u64 {
        self.0.clock.ms()
    }
}

/// The content type of values that name other records: the header of a large object and its pieces. Routers alone write them; a
/// storage shows the one that a change takes the place of, so that those records can go too.
pub const OBJECT: &str = "application/vnd.sdht.object+cbor";

/// What is known of a value beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Content {
    /// The user's content type; empty when none was given.
    pub content_type: String,
    /// When the value counts as deleted, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// All of a state but the value's bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Header {
    /// The operations applied last, oldest first, at most [`RECENT`]: a retry of one of them is not applied again.
    pub recent: Vec<Ballot>,
    /// The highest id that is no longer in `recent`: at or below it nobody can tell any more what was applied.
    pub forgot: Ballot,
    /// `None` is a tombstone.
    pub content: Option<Content>,
}

/// What a key's register holds: a value or a tombstone, and which operations made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// All but the bytes.
    pub header: Header,
    /// The bytes; none in a tombstone.
    pub value: Vec<u8>,
}

/// What a storage keeps under a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Record {
    /// The ballot it was accepted with.
    #[serde(rename = "b")]
    pub ballot: Ballot,
    /// What was accepted.
    #[serde(rename = "s")]
    pub state: State,
}

impl Header {
    /// What a key holds of which there is no record, where dead records up to `swept` were dropped: it may have been one of
    /// them. To users it looks like a tombstone.
    pub fn absent(swept: Ballot) -> Self {
        Self { forgot: swept, ..Self::default() }
    }

    /// The last change; none if there never was one.
    pub fn stamp(&self) -> Option<Stamp> {
        self.recent.last().copied().map(Stamp)
    }

    /// Whether users see a value at this time: there is one and it has not expired.
    pub fn is_alive(&self, now_ms: u64) -> bool {
        self.content.as_ref().is_some_and(|c| c.expires_ms.is_none_or(|end| now_ms < end))
    }

    /// Whether the value names other records.
    pub fn is_object(&self) -> bool {
        self.content.as_ref().is_some_and(|content| content.content_type == OBJECT)
    }

    /// Whether this operation was applied already.
    pub fn remembers(&self, id: Ballot) -> bool {
        self.recent.contains(&id)
    }

    /// The same, with `id` applied last and `content` as its outcome.
    pub fn with(&self, id: Ballot, content: Option<Content>) -> Self {
        let mut recent = Vec::with_capacity(RECENT);
        let surplus = (self.recent.len() + 1).saturating_sub(RECENT);
        let fallen = self.recent[..surplus].iter().copied().max().unwrap_or_default();
        recent.extend_from_slice(&self.recent[surplus..]);
        recent.push(id);
        Self { recent, forgot: self.forgot.max(fallen), content }
    }
}

const HAS_VALUE: u8 = 1;
const HAS_EXPIRY: u8 = 2;
const HAS_FORGOT: u8 = 4;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the record ends too early")]
    Truncated,
    /// The checksum does not fit the key, the ballot and the state.
    #[error("the checksum does not fit the record")]
    Checksum,
    /// A flag or a number that no one writes.
    #[error("the record has a form that nobody writes")]
    Form,
    /// More than a record may hold.
    #[error("the record is over a limit")]
    OverLimit,
}

impl Header {
    fn write(&self, bytes: &mut Vec<u8>) {
        let expiry = self.content.as_ref().and_then(|c| c.expires_ms);
        let forgot = (self.forgot != Ballot::ZERO).then_some(self.forgot);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        bytes.push(
            flag(self.content.is_some(), HAS_VALUE)
                | flag(expiry.is_some(), HAS_EXPIRY)
                | flag(forgot.is_some(), HAS_FORGOT),
        );
        assert!(self.recent.len() <= RECENT, "a header remembers too much: {self:?}");
        bytes.push(self.recent.len() as u8);
        self.recent.iter().chain(&forgot).for_each(|id| bytes.extend_from_slice(&id.to_bytes()));
        if let Some(content) = &self.content {
            let name = content.content_type.as_bytes();
            assert!(name.len() <= CONTENT_TYPE_BYTES, "a content type was not checked: {self:?}");
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name);
        }
        expiry.iter().for_each(|end| bytes.extend_from_slice(&end.to_be_bytes()));
    }

    /// Reads the header at the beginning of `bytes` and moves past it.
    fn read(bytes: &mut &[u8]) -> Result<Self, Malformed> {
        let [flags, count] = take::<2>(bytes)?;
        let has = |flag: u8| flags & flag != 0;
        let known = HAS_VALUE | HAS_EXPIRY | HAS_FORGOT;
        if flags & !known != 0 || has(HAS_EXPIRY) && !has(HAS_VALUE) {
            return Err(Malformed::Form);
        }
        if usize::from(count) > RECENT {
            return Err(Malformed::OverLimit);
        }
        let mut recent = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            recent.push(Ballot::from_bytes(&take(bytes)?));
        }
        let forgot = if has(HAS_FORGOT) { Ballot::from_bytes(&take(bytes)?) } else { Ballot::ZERO };
        let mut content = None;
        if has(HAS_VALUE) {
            let [length] = take::<1>(bytes)?;
            let (name, rest) =
                bytes.split_at_checked(usize::from(length)).ok_or(Malformed::Truncated)?;
            *bytes = rest;
            let content_type = std::str::from_utf8(name).map_err(|_| Malformed::Form)?.to_owned();
            let expires_ms =
                if has(HAS_EXPIRY) { Some(u64::from_be_bytes(take(bytes)?)) } else { None };
            content = Some(Content { content_type, expires_ms });
        }
        Ok(Self { recent, forgot, content })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (head, rest) = bytes.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
    *bytes = rest;
    Ok(*head)
}

impl State {
    /// The byte form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.value.len() + 96);
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        assert!(
            self.header.content.is_some() || self.value.is_empty(),
            "a tombstone has no value: {:?}",
            self.header
        );
        self.header.write(bytes);
        bytes.extend_from_slice(&self.value);
    }

    /// The state of a byte form.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let header = Header::read(&mut bytes)?;
        if header.content.is_none() && !bytes.is_empty() {
            return Err(Malformed::Form);
        }
        if bytes.len() > VALUE_BYTES {
            return Err(Malformed::OverLimit);
        }
        Ok(Self { header, value: bytes.to_vec() })
    }
}

impl Record {
    /// Bytes of the longest record, so that stores know what to expect.
    pub const MAX_BYTES: usize =
        4 + Ballot::BYTES * (RECENT + 2) + 2 + 1 + CONTENT_TYPE_BYTES + 8 + VALUE_BYTES;

    /// How long the byte form is.
    pub fn length(&self) -> usize {
        let Header { recent, forgot, content } = &self.state.header;
        let ids = recent.len() + usize::from(*forgot != Ballot::ZERO);
        let content = content.as_ref().map_or(0, |content| {
            1 + content.content_type.len() + content.expires_ms.map_or(0, |_| 8)
        });
        4 + Ballot::BYTES + 2 + ids * Ballot::BYTES + content + self.state.value.len()
    }

    /// The byte form, checksum first.
    pub fn to_bytes(&self, key: &Key) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.state.value.len() + 128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.ballot.to_bytes());
        self.state.write(&mut bytes);
        let crc = checksum(key.as_str().as_bytes(), &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The record of a byte form, if it is whole.
    pub fn from_bytes(key: &[u8], bytes: &[u8]) -> Result<Self, Malformed> {
        let ballot = Self::ballot_in(key, bytes)?;
        Ok(Self { ballot, state: State::from_bytes(&bytes[4 + Ballot::BYTES..])? })
    }

    /// Ballot and header of a byte form, if it is whole, without a copy of the value; and how long the value is.
    pub fn header_in(key: &[u8], bytes: &[u8]) -> Result<(Ballot, Header, usize), Malformed> {
        let ballot = Self::ballot_in(key, bytes)?;
        let mut rest = &bytes[4 + Ballot::BYTES..];
        let header = Header::read(&mut rest)?;
        Ok((ballot, header, rest.len()))
    }

    /// Whether a byte form, known to be whole, holds a value; if not it is a tombstone.
    pub fn has_value(bytes: &[u8]) -> bool {
        bytes[4 + Ballot::BYTES] & HAS_VALUE != 0
    }

    /// The ballot of a byte form, if it is whole.
    pub fn ballot_in(key: &[u8], bytes: &[u8]) -> Result<Ballot, Malformed> {
        let mut rest = bytes;
        let crc = u32::from_be_bytes(take(&mut rest)?);
        let ballot = rest.first_chunk().map(Ballot::from_bytes).ok_or(Malformed::Truncated)?;
        if rest.len() <= Ballot::BYTES {
            return Err(Malformed::Truncated);
        }
        if checksum(key, rest) == crc { Ok(ballot) } else { Err(Malformed::Checksum) }
    }
}

fn checksum(key: &[u8], rest: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    // The length keeps the border between key and record from moving.
    crc.update(&(key.len() as u32).to_be_bytes());
    crc.update(key);
    crc.update(rest);
    crc.finalize()
}

/// A 64-bit mark of "this key at this ballot", for digests: the XOR of the marks of all records tells whether two copies of
/// an arc are alike. FNV-1a over the bytes, then a final mix so that one changed bit changes half the mark.
pub fn mark(key: &[u8], ballot: Ballot) -> u64 {
    let bytes = key.iter().copied().chain(ballot.to_bytes());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.to_bytes())
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <serde_bytes::ByteBuf>::deserialize(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

impl Serialize for Header {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(96);
        self.write(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <serde_bytes::ByteBuf>::deserialize(deserializer)?;
        let mut rest = bytes.as_slice();
        let header = Self::read(&mut rest).map_err(D::Error::custom)?;
        if rest.is_empty() { Ok(header) } else { Err(D::Error::custom(Malformed::Form)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::Moment;
    use proptest::prelude::*;

    fn id(clock: u64) -> Ballot {
        Ballot { epoch: 1, clock: Moment(clock), router: 7, seq: 0 }
    }

    pub(crate) fn record() -> impl Strategy<Value = Record> {
        let recent = proptest::collection::vec((1..100u64).prop_map(id), 0..=RECENT);
        let content = proptest::option::of(("[a-z/]{0,20}", proptest::option::of(any::<u64>())));
        (recent, 0..3u64, content, proptest::collection::vec(any::<u8>(), 0..200), 1..100u64)
            .prop_map(|(recent, forgot, content, value, ballot)| {
                let forgot = if forgot == 0 { Ballot::ZERO } else { id(forgot) };
                let value = if content.is_some() { value } else { vec![] };
                let content =
                    content.map(|(content_type, expires_ms)| Content { content_type, expires_ms });
                let state = State { header: Header { recent, forgot, content }, value };
                Record { ballot: id(ballot), state }
            })
    }

    proptest! {
        #[test]
        fn a_record_s_bytes_are_read_back(record in record(), name in "[a-z{}]{1,30}") {
            let key = Key::new(name).unwrap();
            let bytes = record.to_bytes(&key);
            let name = key.as_str().as_bytes();
            prop_assert!(bytes.len() <= Record::MAX_BYTES && bytes.len() == record.length());
            prop_assert_eq!(&Record::from_bytes(name, &bytes).unwrap(), &record);
            let (ballot, header, length) = Record::header_in(name, &bytes).unwrap();
            prop_assert_eq!((ballot, &header, length), (record.ballot, &record.state.header, record.state.value.len()));
        }

        #[test]
        fn one_flipped_bit_is_damage_and_never_another_record(record in record(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let key = Key::new("k").unwrap();
            let mut bytes = record.to_bytes(&key);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(Record::from_bytes(b"k", &bytes).is_err());
            prop_assert!(Record::ballot_in(b"k", &bytes).is_err());
        }

        #[test]
        fn a_record_cut_anywhere_is_damage(record in record()) {
            let key = Key::new("k").unwrap();
            let bytes = record.to_bytes(&key);
            for end in 0..bytes.len() {
                prop_assert!(Record::from_bytes(b"k", &bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn a_record_under_another_key_is_damage() {
        let key = Key::new("k").unwrap();
        let bytes = Record::default().to_bytes(&key);
        assert_eq!(Record::from_bytes(b"l", &bytes), Err(Malformed::Checksum));
    }

    #[test]
    fn what_falls_off_recent_is_remembered_as_forgotten() {
        let mut header = Header::absent(Ballot::ZERO);
        for clock in 1..=RECENT as u64 {
            header = header.with(id(clock), None);
        }
        assert_eq!(header.forgot, Ballot::ZERO);
        header = header.with(id(100), None);
        assert_eq!((header.forgot, header.recent.len()), (id(1), RECENT));
        assert!(!header.remembers(id(1)) && header.remembers(id(2)) && header.remembers(id(100)));
        assert_eq!(header.stamp(), Some(Stamp(id(100))));
    }

    #[test]
    fn a_value_past_its_expiry_is_not_alive() {
        let content = Some(Content { expires_ms: Some(10), ..Content::default() });
        let header = Header { content, ..Header::default() };
        assert!(header.is_alive(9) && !header.is_alive(10));
    }

    #[test]
    fn neighbouring_marks_differ_in_many_bits() {
        let apart = (mark(b"k", id(1)) ^ mark(b"k", id(2))).count_ones();
        assert!((16..=48).contains(&apart), "{apart} bits differ");
    }
}

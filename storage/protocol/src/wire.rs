//! The CBOR form of everything said, read as if an enemy had written it.
//!
//! Whatever comes in is decoded into typed values at once, nested no deeper than [`DEPTH`], with nothing behind its end, and
//! no length found inside it is believed before the bytes are there.

use crate::limits::DEPTH;
use serde::{Serialize, de::DeserializeOwned};

/// The media type of an ask and its answers.
pub const MEDIA_TYPE: &str = "application/cbor";

/// Why bytes say nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoMessage {
    /// They do not have the form.
    #[error("malformed CBOR: {0}")]
    Malformed(String),
    /// There is something behind the end.
    #[error("{0} bytes follow the end of the message")]
    Trailing(usize),
}

/// The CBOR form.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    // Writing to memory cannot fail, and no type of ours refuses to be written.
    ciborium::into_writer(value, &mut bytes).expect("a message can always be written");
    bytes
}

/// The value of a CBOR form that holds exactly one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, NoMessage> {
    let mut rest = bytes;
    let value = decode_next(&mut rest)?;
    if rest.is_empty() { Ok(value) } else { Err(NoMessage::Trailing(rest.len())) }
}

/// The first value of a CBOR sequence; `bytes` then begins behind it.
pub fn decode_next<T: DeserializeOwned>(bytes: &mut &[u8]) -> Result<T, NoMessage> {
    ciborium::de::from_reader_with_recursion_limit(bytes, DEPTH)
        .map_err(|e| NoMessage::Malformed(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Answers, Ask, Ballot, Decree, Expect, Key, Member, Moment, Operation, Position, Refusal,
        Reply, Request, Restart, RingArc, RingId, Seal, Span, StorageId, Wish,
        message::{
            Dead, Held, Hello, Kept, Neighbour, Outcome, PlainRecords, Proposed, Row, Show, Shown,
            ShownContent, Tally,
        },
        record::{Content, Header, Record, Stamp, State},
    };

    fn ballot(clock: u64) -> Ballot {
        Ballot { epoch: 3, clock: Moment(clock), router: u64::MAX, seq: 1 }
    }

    fn state() -> State {
        let content = Content { content_type: "text/plain".into(), expires_ms: Some(9) };
        let header = Header { recent: vec![ballot(1)], forgot: ballot(0), content: Some(content) };
        State { header, value: b"value".into() }
    }

    fn held() -> Held {
        let record = Record { ballot: ballot(7), state: state() };
        Held { key: Key::new("a/b").unwrap(), record }
    }

    fn arc() -> RingArc {
        let member =
            |n| Member { storage: StorageId(n), address: "[::1]:8000".into(), zone: "z".into() };
        RingArc {
            ring: RingId(5),
            span: Span::new(Position(1), Position(0)),
            epoch: 3,
            members: vec![member(1), member(2)],
            filling: Some(StorageId(2)),
            copies: 3,
            sealed: Some(Seal { span: Span::WHOLE, epoch: 1 }),
        }
    }

    fn every_request() -> Vec<Request> {
        let (key, epoch) = (Key::new("a/b").unwrap(), 3);
        let ballot = ballot(7);
        let member = arc().members[0].clone();
        let neighbour = Neighbour { member: member.clone(), starts: 2 };
        let wish = Wish::Set { content_type: "x".into(), expires_ms: Some(1), value: vec![0; 70] };
        let record = Record { ballot, state: state() };
        let decrees = [
            Decree::Grow { member: member.clone(), place: 1 },
            Decree::Shrink { storage: StorageId(1) },
            Decree::Filled,
            Decree::Split { at: Position(9) },
            Decree::Seal { upper: Seal { span: Span::WHOLE, epoch } },
            Decree::Absorb { lower: arc() },
            Decree::Reopen,
            Decree::Copies { wanted: 5 },
            Decree::Lead { storage: StorageId(2) },
            Decree::Readdress { member: member.clone() },
        ];
        let mut all = vec![
            Request::Hello,
            Request::Prepare { key: key.clone(), ballot, show: Show::Whole },
            Request::Accept { key: key.clone(), ballot, state: Proposed::State(state()) },
            Request::Accept { key: key.clone(), ballot, state: Proposed::Held(ballot) },
            Request::Read { key: key.clone(), epoch, show: Show::Header },
            Request::Copy { key: key.clone(), epoch, record },
            Request::Inherit { span: arc().span, epoch, swept: ballot },
            Request::Drop { epoch, dead: vec![Dead { key: key.clone(), ballot }] },
            Request::List { span: arc().span, epoch, after: Some(key.clone()), limit: 10 },
            Request::Fill { epoch, records: vec![held()] },
            Request::Records { span: arc().span, epoch, after: Some(key.clone()) },
            Request::Tally { span: arc().span, epoch },
            Request::Cut { span: arc().span, epoch, bytes: 9 },
            Request::PrepareDecree { arc: arc(), ballot },
            Request::Learn { arcs: vec![arc()] },
            Request::Restart {
                restart: Box::new(Restart {
                    arc: arc(),
                    lost: vec![StorageId(1)],
                    heir: Some(member.clone()),
                    draw: 7,
                }),
            },
            Request::Found { ring: RingId(1), copies: 3 },
            Request::Enter { ring: RingId(1), plain: PlainRecords::Discard },
            Request::Rewire { predecessor: Some(neighbour.clone()), successors: vec![neighbour] },
        ];
        let expects =
            [Expect::Anything, Expect::Absent, Expect::Present, Expect::Stamp(Stamp(ballot))];
        all.extend(expects.into_iter().zip([wish, Wish::Keep, Wish::Delete, Wish::Keep]).map(
            |(expect, wish)| {
                let operation = Operation { expect, wish };
                Request::Change { key: key.clone(), ballot, id: ballot, now_ms: 5, operation }
            },
        ));
        all.extend(decrees.map(|decree| Request::AcceptDecree { arc: arc(), ballot, decree }));
        all
    }

    fn every_answer() -> Vec<Result<Reply, Refusal>> {
        let ballot = ballot(7);
        let whole = Shown { ballot, content: ShownContent::Whole(state()) };
        let head = Shown { ballot, content: ShownContent::Header(state().header, 5) };
        let kept =
            Kept { arc: arc(), floor: ballot, records: 1, tombstones: 0, bytes: 2, damaged: true };
        let row = Row { key: Key::new("k").unwrap(), ballot, dead_from_ms: Some(0), bytes: 4 };
        let hello = Hello {
            ring: Some(RingId(1)),
            member: arc().members[0].clone(),
            kept: vec![kept],
            left: vec![arc()],
            wiping: vec![Span::WHOLE],
            predecessor: None,
            successors: vec![],
            full: true,
        };
        let outcome = Outcome::Unknown;
        vec![
            Ok(Reply::Hello(Box::new(hello))),
            Ok(Reply::Promised { shown: Some(head.clone()), swept: ballot }),
            Ok(Reply::Accepted),
            Ok(Reply::Changed {
                outcome,
                shown: Some(head),
                before: Some(Stamp(ballot)),
                object: Some(state()),
            }),
            Ok(Reply::Found { shown: Some(whole) }),
            Ok(Reply::Found { shown: None }),
            Ok(Reply::Copied),
            Ok(Reply::Dropped { records: 3 }),
            Ok(Reply::Listed { rows: vec![row], more: true, swept: ballot }),
            Ok(Reply::Tallied {
                tally: Tally { records: 2, tombstones: 1, bytes: 2, digest: u64::MAX },
            }),
            Ok(Reply::Filled),
            Ok(Reply::Records { records: vec![held()], more: true, swept: ballot }),
            Ok(Reply::Cut { at: Some(Position(4)) }),
            Ok(Reply::DecreePromised { accepted: Some((ballot, Decree::Filled)) }),
            Ok(Reply::DecreeAccepted),
            Ok(Reply::Learned),
            Ok(Reply::Restarted),
            Ok(Reply::Entered),
            Ok(Reply::Rewired),
            Err(Refusal::Stale { arc: Box::new(arc()) }),
            Err(Refusal::Behind { arc: Some(Box::new(arc())) }),
            Err(Refusal::Refused { highest: ballot }),
            Err(Refusal::Ahead { limit_ms: 3 }),
            Err(Refusal::NotHeld),
            Err(Refusal::Filling),
            Err(Refusal::NotFilling),
            Err(Refusal::NotAlone),
            Err(Refusal::Wiping { span: Span::WHOLE }),
            Err(Refusal::NeverFilled { span: Span::WHOLE }),
            Err(Refusal::Damaged { span: Span::WHOLE }),
            Err(Refusal::Restored { counted: 1, seen: 2 }),
            Err(Refusal::Stranger { storage: StorageId(1), ring: None }),
            Err(Refusal::HoldsPlain { records: 4 }),
            Err(Refusal::Unfit(crate::Unfit::Filling)),
            Err(Refusal::Full),
            Err(Refusal::TooMuch),
            Err(Refusal::Stopping),
            Err(Refusal::Failed("disk".into())),
            Err(Refusal::Malformed("so".into())),
        ]
    }

    fn ask() -> Ask {
        Ask {
            storage: Some(StorageId(1)),
            ring: Some(RingId(2)),
            starts: 3,
            requests: every_request(),
        }
    }

    fn answers() -> Answers {
        Answers { storage: StorageId(1), starts: 3, answers: every_answer() }
    }

    #[test]
    fn what_is_said_is_heard() {
        assert_eq!(decode(&encode(&ask())), Ok(ask()));
        assert_eq!(decode(&encode(&answers())), Ok(answers()));
    }

    #[test]
    fn a_message_cut_at_any_byte_says_nothing() {
        let (ask, answers) = (encode(&ask()), encode(&answers()));
        for end in 0..ask.len() {
            assert!(decode::<Ask>(&ask[..end]).is_err(), "cut at {end}");
        }
        for end in 0..answers.len() {
            assert!(decode::<Answers>(&answers[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn nothing_may_follow_the_end() {
        let mut bytes = encode(&ask());
        bytes.push(0);
        assert_eq!(decode::<Ask>(&bytes), Err(NoMessage::Trailing(1)));
    }

    #[test]
    fn deep_nesting_is_refused_and_not_followed() {
        for opener in [0x81_u8, 0xa1, 0xc1, 0xd8] {
            let bytes = vec![opener; 1 << 20];
            assert!(decode::<Ask>(&bytes).is_err(), "opener {opener:x}");
        }
        // As many arrays inside each other as the value of an unknown field: skipped no deeper than allowed.
        let mut bytes = vec![0xa1, 0x61, b'x'];
        bytes.extend(std::iter::repeat_n(0x81, 1 << 20));
        assert!(decode::<Ask>(&bytes).is_err());
    }

    #[test]
    fn a_length_is_not_believed_before_its_bytes_are_there() {
        // Arrays, texts, byte strings and maps that claim 2^60 elements and have none.
        for major in [0x5b_u8, 0x7b, 0x9b, 0xbb] {
            let mut claim = vec![major, 0x10, 0, 0, 0, 0, 0, 0, 0];
            assert!(decode::<Ask>(&claim).is_err());
            assert!(decode::<State>(&claim).is_err());
            assert!(decode::<Vec<Request>>(&claim).is_err());
            claim.extend([0; 100]);
            assert!(decode::<State>(&claim).is_err());
        }
    }

    #[test]
    fn flipped_bits_never_panic() {
        let bytes = encode(&ask());
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                if let Ok(ask) = decode::<Ask>(&bytes) {
                    let _ = ask.requests.iter().map(Request::check).collect::<Vec<_>>();
                }
            }
        }
    }

    #[test]
    fn what_is_over_a_limit_is_malformed() {
        let set = |content_type: usize, value: usize| {
            let wish = Wish::Set {
                content_type: "x".repeat(content_type),
                expires_ms: None,
                value: vec![0; value],
            };
            let operation = Operation { expect: Expect::Anything, wish };
            let (key, ballot) = (Key::new("k").unwrap(), ballot(1));
            Request::Change { key, ballot, id: ballot, now_ms: 0, operation }.check()
        };
        assert_eq!(set(255, 64 << 10), Ok(()));
        assert!(set(256, 1).is_err() && set(1, (64 << 10) + 1).is_err());
        let twice = RingArc { members: vec![arc().members[0].clone(); 2], filling: None, ..arc() };
        let nobody = RingArc { members: vec![], ..arc() };
        let stranger = RingArc { filling: Some(StorageId(9)), ..arc() };
        for arc in [twice, nobody, stranger] {
            assert!(Request::Learn { arcs: vec![arc] }.check().is_err());
        }
        assert!(Request::Learn { arcs: vec![arc(); 65] }.check().is_err());
        assert!(Request::Drop { epoch: 1, dead: vec![] }.check().is_err());
    }
}

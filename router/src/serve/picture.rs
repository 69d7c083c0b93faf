//! The ring as it is drawn: arcs, storages, what is moving, and how this door does, as one JSON object.
//!
//! Made of what was seen and of nothing else. Storages are named once, and arcs name them by their number.

use crate::verdict::{self, Shown, Worst};
use minor_protocol::{
    RingArc, StorageId,
    message::{Hello, Kept},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a look around saw of one storage.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What it said of itself.
    pub(super) hello: Hello,
    /// How long that took.
    pub(super) us: u64,
}

/// All that is shown.
#[derive(Debug, Serialize)]
pub(super) struct Picture {
    ring: String,
    now_ms: u64,
    copies: u8,
    degraded: bool,
    worst: Worst,
    /// All of it in a sentence.
    sentence: String,
    /// Keys and bytes in the ring, each counted once, about.
    keys: u64,
    bytes: u64,
    storages: Vec<Storage>,
    arcs: Vec<Arc>,
    moves: Vec<Move>,
    changes: Vec<Change>,
    keeper: Vec<Deed>,
    load: Load,
}

#[derive(Debug, Serialize)]
struct Storage {
    #[serde(flatten)]
    shown: Shown,
    /// How long it took to say how it is.
    us: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Arc {
    from: String,
    to: String,
    epoch: u64,
    members: Vec<usize>,
    filling: Option<usize>,
    keys: Option<u64>,
    bytes: Option<u64>,
}

/// A member that is being filled, by whomever.
#[derive(Debug, Serialize)]
struct Move {
    arc: usize,
    to: usize,
    keys: u64,
    keys_total: u64,
    bytes: u64,
    bytes_total: u64,
    left_s: Option<f64>,
}

/// A change of the ring that was asked for at this door.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Change {
    /// `join`, `remove`, `copies`, `balance` or `repair`.
    pub(super) what: &'static str,
    /// Of which storage; empty if it is of the whole ring.
    pub(super) address: String,
    /// How many copies are wished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) copies: Option<u8>,
    pub(super) state: Progress,
    /// The part that is done, of one.
    pub(super) share: f64,
    pub(super) keys: u64,
    pub(super) bytes: u64,
    /// Dead keys and orphaned pieces that went.
    pub(super) swept: usize,
    /// What stands in the way, or why it ended.
    pub(super) why: String,
    pub(super) begun_ms: u64,
}

/// Something that the keeper of this door did or noticed, in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Deed {
    pub(super) at_ms: u64,
    pub(super) said: String,
}

/// Where a change stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Progress {
    Running,
    Done,
    Failed,
    /// Somebody wanted it so.
    Stopped,
}

/// How this door did for a moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Load {
    pub(super) at_ms: u64,
    /// Requests in a second.
    pub(super) rate: f64,
    /// Those in a second that failed.
    pub(super) failed: f64,
    /// Of the last ten seconds; none if nobody asked.
    pub(super) p50_us: Option<u64>,
    pub(super) p99_us: Option<u64>,
}

/// How much of an arc somebody holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) keys: u64,
    pub(super) bytes: u64,
}

/// One arc that is being filled: whose, from how much to how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filling {
    pub(super) arc: usize,
    pub(super) to: StorageId,
    pub(super) held: Held,
    pub(super) of: Held,
}

/// What is being filled now.
pub(super) fn fillings(arcs: &[RingArc], seen: &BTreeMap<StorageId, Seen>) -> Vec<Filling> {
    let filling = |(n, arc): (usize, &RingArc)| {
        let to = arc.filling?;
        let of = full(arc, seen).unwrap_or_default();
        let held = held(arc, to, seen).unwrap_or_default();
        // Both are estimates; nobody holds more than there is.
        let held = Held { keys: held.keys.min(of.keys), bytes: held.bytes.min(of.bytes) };
        Some(Filling { arc: n, to, held, of })
    };
    arcs.iter().enumerate().filter_map(filling).collect()
}

/// What one storage says it holds of an arc.
fn held(arc: &RingArc, storage: StorageId, seen: &BTreeMap<StorageId, Seen>) -> Option<Held> {
    let kept = &seen.get(&storage)?.hello.kept;
    let of_arc = |kept: &&Kept| kept.arc.span == arc.span && !kept.damaged;
    let kept = kept.iter().find(of_arc)?;
    Some(Held { keys: kept.records.saturating_sub(kept.tombstones), bytes: kept.bytes })
}

/// What there is of an arc: the most that one of those says who hold all of it.
fn full(arc: &RingArc, seen: &BTreeMap<StorageId, Seen>) -> Option<Held> {
    let of = arc.full().filter_map(|member| held(arc, member.storage, seen));
    of.max_by_key(|held| (held.bytes, held.keys))
}

/// What is told beside the arcs and what storages say of themselves.
pub(super) struct Beside {
    pub(super) now_ms: u64,
    /// What is being filled, and how long that still takes, where it can be told.
    pub(super) fillings: Vec<(Filling, Option<f64>)>,
    pub(super) changes: Vec<Change>,
    pub(super) keeper: Vec<Deed>,
    pub(super) load: Load,
}

impl Picture {
    /// Draws arcs that tile the ring, and who answered.
    pub(super) fn of(arcs: &[RingArc], seen: &BTreeMap<StorageId, Seen>, beside: Beside) -> Self {
        let hellos: Vec<Hello> = seen.values().map(|seen| seen.hello.clone()).collect();
        let state = verdict::judge(arcs, &hellos, 0.0);
        let numbers: BTreeMap<StorageId, usize> =
            state.storages.iter().enumerate().map(|(n, s)| (s.member.storage, n)).collect();
        let storages = state.storages.iter().map(|storage| Storage {
            shown: storage.shown(arcs, &state.storages),
            us: seen.get(&storage.member.storage).map(|seen| seen.us),
        });
        let held: Vec<Option<Held>> = arcs.iter().map(|arc| full(arc, seen)).collect();
        let drawn = arcs.iter().zip(&held).map(|(arc, held)| Arc {
            from: arc.span.from.to_string(),
            to: arc.span.to.to_string(),
            epoch: arc.epoch,
            members: arc.members.iter().map(|member| numbers[&member.storage]).collect(),
            filling: arc.filling.map(|filling| numbers[&filling]),
            keys: held.map(|held| held.keys),
            bytes: held.map(|held| held.bytes),
        });
        let moves = beside.fillings.into_iter().map(|(filling, left_s)| Move {
            arc: filling.arc,
            to: numbers[&filling.to],
            keys: filling.held.keys,
            keys_total: filling.of.keys,
            bytes: filling.held.bytes,
            bytes_total: filling.of.bytes,
            left_s,
        });
        Self {
            ring: arcs[0].ring.to_string(),
            now_ms: beside.now_ms,
            copies: arcs.iter().map(|arc| arc.copies).max().unwrap_or(1),
            degraded: state.worst.is_degraded(),
            worst: state.worst,
            sentence: state.sentence.clone(),
            keys: held.iter().flatten().map(|held| held.keys).sum(),
            bytes: held.iter().flatten().map(|held| held.bytes).sum(),
            storages: storages.collect(),
            arcs: drawn.collect(),
            moves: moves.collect(),
            changes: beside.changes,
            keeper: beside.keeper,
            load: beside.load,
        }
    }

    /// As an event of a stream.
    pub(super) fn event(&self) -> String {
        event("picture", self)
    }
}

/// One server-sent event.
pub(super) fn event(name: &str, data: &impl Serialize) -> String {
    let data = serde_json::to_string(data).expect("texts and numbers are JSON");
    format!("event: {name}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::{hello, member};
    use minor_protocol::{Position, RingId, Span};

    /// Two arcs of three members; in the first, the last of them is being filled.
    fn arcs() -> Vec<RingArc> {
        let arc = |from: u64, to: u64, first: u128, filling: Option<u128>| RingArc {
            ring: RingId(1),
            span: Span::new(Position(from), Position(to)),
            epoch: 7,
            members: (0..3).map(|n| member((first + n) % 3)).collect(),
            filling: filling.map(StorageId),
            copies: 3,
            sealed: None,
        };
        vec![arc(0, 1 << 63, 0, Some(2)), arc(1 << 63, 0, 1, None)]
    }

    fn seen(n: u128, held: &[(u64, u64)]) -> (StorageId, Seen) {
        let held = arcs().into_iter().zip(held);
        let hello = hello(n, held.map(|(arc, (records, bytes))| (arc, *records, *bytes)));
        (StorageId(n), Seen { hello, us: 5 })
    }

    #[test]
    fn what_is_filled_is_held_against_the_fullest_of_the_others() {
        let seen = [
            seen(0, &[(10, 90), (5, 50)]),
            seen(1, &[(8, 80), (5, 50)]),
            seen(2, &[(3, 30), (5, 50)]),
        ];
        let seen = BTreeMap::from(seen);
        let of = Held { keys: 10, bytes: 90 };
        let filling = Filling { arc: 0, to: StorageId(2), held: Held { keys: 3, bytes: 30 }, of };
        assert_eq!(fillings(&arcs(), &seen), [filling]);
    }

    #[test]
    fn every_key_counts_once_and_whoever_is_silent_is_drawn_all_the_same() {
        let seen = BTreeMap::from([seen(0, &[(10, 90), (5, 50)]), seen(1, &[(8, 80), (5, 50)])]);
        let beside = Beside {
            now_ms: 1,
            fillings: fillings(&arcs(), &seen).into_iter().map(|one| (one, Some(90.0))).collect(),
            changes: vec![],
            keeper: vec![],
            load: Load::default(),
        };
        let picture = Picture::of(&arcs(), &seen, beside);
        assert_eq!((picture.keys, picture.bytes), (15, 140));
        assert!(picture.degraded && picture.worst == Worst::Silent);
        assert!(picture.sentence.starts_with("h:2 does not answer"));
        let silent =
            picture.storages.iter().find(|storage| storage.shown.id == StorageId(2)).unwrap();
        let Shown { state, keys, .. } = &silent.shown;
        assert_eq!((&**state, *keys, silent.us), ("silent", None, None));
        assert_eq!(picture.moves[0].left_s, Some(90.0));
        let event = picture.event();
        assert!(event.starts_with("event: picture\ndata: {") && event.ends_with("}\n\n"));
        assert_eq!(event.matches('\n').count(), 3, "an event is cut at its line feeds");
    }
}

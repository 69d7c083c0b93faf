//! Rings in every state, and what is said of them.

use super::*;
use minor_protocol::{Ballot, Position, RingId, Span, message::Kept};

/// The storage of this number, at the address of this number.
pub(crate) fn member(n: u128) -> Member {
    Member { storage: StorageId(n), address: format!("h:{n}"), zone: String::new() }
}

/// As many arcs as storages, each kept by `copies` of them.
fn ring(storages: u128, copies: u128, wanted: u8) -> Vec<RingArc> {
    let place = |n: u128| Position((n as u64 + 1) << 32);
    let arc = |n: u128| RingArc {
        ring: RingId(1),
        span: Span::new(place((n + storages - 1) % storages), place(n)),
        epoch: 7,
        members: (0..copies).map(|k| member((n + k) % storages)).collect(),
        filling: None,
        copies: wanted,
        sealed: None,
    };
    (0..storages).map(arc).collect()
}

/// What a storage of the ring says of itself: of each of its arcs, how many keys it holds and how many bytes; one
/// more is deleted.
pub(crate) fn hello(n: u128, held: impl IntoIterator<Item = (RingArc, u64, u64)>) -> Hello {
    let kept = held.into_iter().map(|(arc, keys, bytes)| Kept {
        arc,
        floor: Ballot::ZERO,
        records: keys + 1,
        tombstones: 1,
        bytes,
        damaged: false,
    });
    Hello {
        ring: Some(RingId(1)),
        member: member(n),
        kept: kept.collect(),
        left: vec![],
        wiping: vec![],
        predecessor: None,
        successors: vec![],
        full: false,
    }
}

/// What the one says that has a key and a byte in each of its arcs.
fn greeting(n: u128, arcs: &[RingArc]) -> Hello {
    let own = arcs.iter().filter(|arc| arc.has(StorageId(n)));
    hello(n, own.map(|arc| (arc.clone(), 1, 1)))
}

/// A ring of which only these answer.
fn judged(arcs: &[RingArc], alive: &[u128]) -> State {
    let hellos: Vec<Hello> = alive.iter().map(|n| greeting(*n, arcs)).collect();
    judge(arcs, &hellos, 0.0)
}

#[test]
fn a_whole_ring_of_three_copies_spares_any_one_storage() {
    let state = judged(&ring(4, 3, 3), &[0, 1, 2, 3]);
    assert!(!state.worst.is_degraded() && state.storages.iter().all(|s| s.may_stop), "{state:?}");
    assert_eq!(state.sentence, "All is well, and any one storage may be stopped.");
}

#[test]
fn a_ring_of_one_copy_spares_none() {
    let state = judged(&ring(3, 1, 1), &[0, 1, 2]);
    assert_eq!(state.sentence, "All is well, and none may be stopped.");
    assert!(!state.worst.is_degraded());
}

#[test]
fn with_one_silent_those_who_share_an_arc_with_it_must_stay() {
    let state = judged(&ring(5, 3, 3), &[1, 2, 3, 4]);
    assert!(state.worst.is_degraded());
    let stay: Vec<u128> =
        state.storages.iter().filter(|s| !s.may_stop).map(|s| s.member.storage.0).collect();
    assert_eq!(stay, [1, 2, 3, 4], "each of them shares an arc with 0");
    let state = judged(&ring(7, 3, 3), &[1, 2, 3, 4, 5, 6]);
    let free: Vec<u128> =
        state.storages.iter().filter(|s| s.may_stop).map(|s| s.member.storage.0).collect();
    assert_eq!(free, [0, 3, 4]);
    assert!(state.sentence.starts_with("h:0 does not answer; everything is served, and h:1 and"));
    let state = judged(&ring(12, 3, 3), &[1, 2, 3, 4, 5, 7, 8, 9, 10, 11]);
    let many =
        "h:0 and h:6 do not answer; everything is served, and 8 storages must not be stopped";
    assert!(state.sentence.starts_with(many), "{}", state.sentence);
}

#[test]
fn an_arc_without_a_majority_is_said_first() {
    let state = judged(&ring(3, 3, 3), &[1]);
    assert!(state.sentence.starts_with("100 % of the ring can neither be read nor written"));
    assert!(state.sentence.ends_with("start h:0 and h:2 again."), "{}", state.sentence);
}

#[test]
fn a_disk_that_was_wiped_is_told_from_a_storage_that_is_silent() {
    let arcs = ring(4, 3, 3);
    let mut hellos: Vec<Hello> = (0..4).map(|n| greeting(n, &arcs)).collect();
    hellos[3].member.storage = StorageId(99);
    hellos[3].ring = None;
    let state = judge(&arcs, &hellos, 0.0);
    assert_eq!(state.storages[3].health, Health::Replaced);
    assert!(
        state.worst.is_degraded()
            && state.sentence.starts_with("Another storage lives at h:3 now")
            && state.sentence.contains("'sdht remove h:3 --dead', then 'sdht join h:3'"),
        "{}",
        state.sentence
    );
}

#[test]
fn what_is_damaged_counts_as_missing() {
    let arcs = ring(3, 3, 3);
    let mut hellos: Vec<Hello> = (0..3).map(|n| greeting(n, &arcs)).collect();
    hellos[1].kept[0].damaged = true;
    let state = judge(&arcs, &hellos, 0.0);
    assert!(state.sentence.starts_with("Data of h:1 is damaged"), "{}", state.sentence);
    assert!(state.storages.iter().any(|s| !s.may_stop));
}

#[test]
fn half_a_change_and_a_want_of_storages_are_told_apart() {
    let mut arcs = ring(3, 3, 3);
    arcs[1].filling = Some(StorageId(2));
    let state = judged(&arcs, &[0, 1, 2]);
    assert!(state.sentence.starts_with("A change of the ring is half done"), "{}", state.sentence);
    let state = judged(&ring(2, 2, 3), &[0, 1]);
    assert!(state.sentence.starts_with("Only 2 of 3 copies are kept"), "{}", state.sentence);
    assert!(state.sentence.contains("none may be stopped"));
}

#[test]
fn a_full_disk_is_no_loss_but_is_said() {
    let arcs = ring(3, 3, 3);
    let mut hellos: Vec<Hello> = (0..3).map(|n| greeting(n, &arcs)).collect();
    hellos[2].full = true;
    let state = judge(&arcs, &hellos, 0.0);
    assert!(
        state.worst.is_degraded() && state.sentence.starts_with("The disk of h:2"),
        "{}",
        state.sentence
    );
}

#[test]
fn copies_that_differ_are_said_when_nothing_else_is_wrong() {
    let arcs = ring(3, 3, 3);
    let hellos: Vec<Hello> = (0..3).map(|n| greeting(n, &arcs)).collect();
    let state = judge(&arcs, &hellos, 0.001);
    assert_eq!(state.worst, Worst::Unlike);
    assert!(state.sentence.contains("the copies of 1 % of the ring are not alike"), "{state:?}");
    let state = judge(&arcs, &hellos[1..], 0.5);
    assert_eq!(state.worst, Worst::Silent, "{state:?}");
}

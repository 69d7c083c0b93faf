//! What a keeper does first, what it waits for, and whom it leaves in his place.

use super::*;
use minor_protocol::{Decree, Position, RingId, Span};

const QUIET: Quiet = Quiet { at_rest_ms: 5_000, half_done_ms: 30_000 };

fn member(n: u128) -> Member {
    Member { storage: StorageId(n), address: format!("127.0.0.1:{n}"), zone: String::new() }
}

/// A ring of storages 1 to `storages` at rest.
fn ring(storages: u128, copies: u8) -> Vec<RingArc> {
    let founding = RingArc::founding(RingId(1), member(1), copies);
    let mut arcs = vec![RingArc { span: Span::new(Position(1_000), Position(1_000)), ..founding }];
    for n in 2..=storages {
        let goal = Goal::of(&arcs).with(Position(n as u64 * 1_000), member(n)).unwrap();
        while let Some(step) = goal.step(&arcs) {
            take(&mut arcs, &step.arc, &step.decree);
        }
    }
    arcs
}

fn take(arcs: &mut Vec<RingArc>, arc: &RingArc, decree: &Decree) {
    let next = decree.next(arc).unwrap();
    arcs.retain(|held| held != arc && !matches!(decree, Decree::Absorb { lower } if held == lower));
    arcs.extend(next);
    arcs.sort_by_key(|arc| arc.span.to);
}

fn ids(ids: &[u128]) -> Vec<StorageId> {
    ids.iter().map(|id| StorageId(*id)).collect()
}

fn standing(arcs: Vec<RingArc>) -> Standing {
    Standing { arcs, still_ms: 60_000, ..Standing::default() }
}

fn next(standing: &Standing) -> Option<Kind> {
    let mut diary = Diary::begun(0, REST_MS);
    diary.hurry(Kind::Balance);
    standing.next(&diary, QUIET, 1_000).map(|duty| duty.kind())
}

fn heavy(bytes: u64) -> Option<Load> {
    Some(Load { member: member(1), bytes, share: bytes / 2 })
}

#[test]
fn a_ring_that_is_well_is_left_alone() {
    assert_eq!(next(&standing(ring(4, 3))), None);
    assert_eq!(next(&standing(ring(1, 3))), None);
}

#[test]
fn the_dead_are_evicted_before_anything_else_is_done() {
    let mut all = Standing {
        dead: ids(&[2]),
        silent: ids(&[2]),
        damaged: ids(&[3]),
        uneven: vec![ring(5, 3)[0].clone()],
        tombstones: 7,
        heaviest: heavy(100 << 20),
        ..standing(ring(5, 3))
    };
    let mut order = vec![];
    let mut diary = Diary::begun(0, REST_MS);
    diary.hurry(Kind::Balance);
    diary.hurry(Kind::SweepPieces);
    while let Some(duty) = all.next(&diary, QUIET, 1_000) {
        order.push(duty.kind());
        diary.done(duty.kind(), 1_000, 1_000);
        match duty {
            Duty::Evict(dead) => {
                assert_eq!(dead, [member(2)]);
                (all.dead, all.silent) = (vec![], vec![]);
            }
            Duty::Refill => all.damaged.clear(),
            _ => {}
        }
    }
    use Kind::*;
    assert_eq!(order, [Evict, Refill, Level, Sweep, SweepPieces, Balance]);
}

#[test]
fn the_dead_go_where_others_take_over_or_where_a_vote_is_gained() {
    assert_eq!(gain(&ring(4, 3), &ids(&[2])), Gain::Copies);
    assert_eq!(gain(&ring(5, 1), &[]), Gain::Nothing);
    // Two of three are needed before, two of two after: the dead one may as well come back.
    assert_eq!(gain(&ring(3, 3), &ids(&[2])), Gain::Nothing);
    // Three of four are needed before, two of three after.
    assert_eq!(gain(&ring(4, 4), &ids(&[2])), Gain::Votes);
    assert_eq!(gain(&ring(5, 5), &ids(&[2])), Gain::Nothing);
    assert_eq!(gain(&ring(5, 5), &ids(&[2, 3])), Gain::Votes);
}

#[test]
fn without_a_majority_nothing_is_done_and_the_arcs_are_named() {
    let Gain::NoMajority(mute) = gain(&ring(5, 3), &ids(&[2, 3])) else { panic!("it has none") };
    assert_eq!(mute.len(), 2);
    let lost = Standing { dead: ids(&[2, 3]), silent: ids(&[2, 3]), ..standing(ring(5, 3)) };
    assert_eq!(next(&lost), None);
    assert_eq!(gain(&ring(2, 2), &ids(&[2])), Gain::NoMajority(ring(2, 2)));
}

#[test]
fn who_is_only_silent_is_neither_evicted_nor_is_anything_swept_without_him() {
    let arcs = ring(5, 3);
    let silent = Standing {
        silent: ids(&[2]),
        tombstones: 7,
        heaviest: heavy(100 << 20),
        ..standing(arcs.clone())
    };
    assert_eq!(next(&silent), None);
    let uneven = vec![arcs[0].clone()];
    assert_eq!(next(&Standing { uneven, ..silent }), Some(Kind::Level));
}

#[test]
fn what_is_half_done_is_left_to_whoever_began_it_while_anything_moves() {
    let mut arcs = ring(4, 3);
    let arc = arcs[0].clone();
    let new = (1..=4).find(|n| !arc.has(StorageId(*n))).unwrap();
    take(&mut arcs, &arc, &Decree::Grow { member: member(new), place: 3 });
    let moving = |still_ms| Standing { still_ms, ..standing(arcs.clone()) };
    assert_eq!(next(&moving(29_999)), None);
    assert_eq!(next(&moving(30_000)), Some(Kind::Finish));
    let and_dead = Standing { dead: ids(&[new]), silent: ids(&[new]), ..moving(30_000) };
    assert_eq!(next(&and_dead), Some(Kind::Evict), "which finishes it as well");
    let rests = Standing { still_ms: 4_999, dead: ids(&[1]), ..standing(ring(4, 3)) };
    assert_eq!(next(&rests), None, "somebody has just changed it");
}

#[test]
fn a_copy_that_others_could_keep_is_made() {
    let mut arcs = ring(4, 3);
    let arc = arcs[0].clone();
    take(&mut arcs, &arc, &Decree::Shrink { storage: arc.members[2].storage });
    assert_eq!(next(&standing(arcs)), Some(Kind::Finish));
}

#[test]
fn little_data_is_not_moved_for_the_sake_of_evenness() {
    let keeps = |bytes| next(&Standing { heaviest: heavy(bytes), ..standing(ring(4, 3)) });
    assert_eq!(keeps(1 << 20), None);
    assert_eq!(keeps(3 << 20), Some(Kind::Balance));
}

#[test]
fn what_fails_comes_again_later_and_later_and_what_was_much_work_rests_long() {
    let mut diary = Diary::begun(0, REST_MS);
    let after = |diary: &Diary, kind, now_ms: u64| {
        (0_u64..).map(|n| n * 1_000).find(|ms| diary.may(kind, now_ms + ms)).unwrap() / 1_000
    };
    let mut waits = vec![];
    for _ in 0..6 {
        diary.failed(Kind::Evict, 0, 5_000);
        waits.push(after(&diary, Kind::Evict, 0));
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    diary.done(Kind::Evict, 0, 40_000);
    assert_eq!(after(&diary, Kind::Evict, 40_000), 0, "data is at stake");
    diary.done(Kind::Sweep, 0, 1_000);
    assert_eq!(after(&diary, Kind::Sweep, 1_000), 60);
    diary.done(Kind::Sweep, 0, 30_000);
    assert_eq!(after(&diary, Kind::Sweep, 30_000), 600);
}

#[test]
fn after_an_eviction_copies_are_levelled_at_once() {
    let mut diary = Diary::begun(0, REST_MS);
    diary.done(Kind::Level, 0, 0);
    assert!(!diary.may(Kind::Level, 1_000));
    diary.done(Kind::Evict, 0, 1_000);
    assert!(diary.may(Kind::Level, 1_000));
}

#[test]
fn a_keeper_that_is_told_to_be_quick_rests_for_a_shorter_time() {
    let uneven = Standing { heaviest: heavy(3 << 20), ..standing(ring(4, 3)) };
    let balances = |diary: &Diary, ms| uneven.next(diary, QUIET, ms).is_some();
    let mut diary = Diary::begun(0, 8_000);
    assert!(!balances(&diary, 7_999) && balances(&diary, 8_000));
    diary.done(Kind::Balance, 9_000, 9_100);
    assert!(!balances(&diary, 17_099) && balances(&diary, 17_100));
    assert!(!balances(&Diary::begun(0, REST_MS), 59_999));
}

//! Joins, leaves and half-done changes told as stories: what is done, in which order, from which arcs.

use super::*;
use minor_protocol::{RingId, Span};

fn member(n: u128) -> Member {
    Member { storage: StorageId(n), address: format!("127.0.0.1:{n}"), zone: String::new() }
}

/// Takes every step to the goal as if alone, and tells the story of it.
fn story(goal: &Goal, arcs: &mut Vec<RingArc>) -> Vec<String> {
    let mut told = vec![];
    while let Some(step) = goal.step(arcs) {
        assert!(told.len() < 500, "no end in sight: {told:?}");
        let next = step.decree.next(&step.arc).expect("a step fits the arc it is for");
        if let Decree::Absorb { lower } = &step.decree {
            arcs.retain(|arc| arc != lower);
        }
        arcs.retain(|arc| arc != &step.arc);
        arcs.extend(next);
        arcs.sort_by_key(|arc| arc.span.to);
        let first = match step.first {
            First::Nothing => "",
            First::Sync => "sync, ",
            First::Teach => "teach, ",
            First::SyncAndTeach => "sync, teach, ",
        };
        told.push(format!("{} {first}{}", step.arc.span.to.0, short(&step.decree)));
    }
    told
}

fn short(decree: &Decree) -> String {
    match decree {
        Decree::Grow { member, place } => format!("grow {} at {place}", member.storage.0),
        Decree::Shrink { storage } => format!("shrink {}", storage.0),
        Decree::Filled => "filled".into(),
        Decree::Split { at } => format!("split at {}", at.0),
        Decree::Seal { .. } => "seal".into(),
        Decree::Absorb { .. } => "absorb".into(),
        Decree::Reopen => "reopen".into(),
        Decree::Copies { wanted } => format!("copies {wanted}"),
        Decree::Lead { storage } => format!("lead {}", storage.0),
        Decree::Readdress { member } => format!("readdress {}", member.storage.0),
    }
}

fn ring_of(places: &[(u64, u128)], copies: u8) -> Vec<RingArc> {
    let first = member(places[0].1);
    let mut arcs = vec![RingArc {
        span: Span::new(Position(places[0].0), Position(places[0].0)),
        ..RingArc::founding(RingId(1), first, copies)
    }];
    for (place, n) in places {
        let goal = Goal::of(&arcs).with(Position(*place), member(*n)).unwrap();
        story(&goal, &mut arcs);
    }
    arcs
}

fn members(arcs: &[RingArc]) -> Vec<(u64, Vec<u128>)> {
    arcs.iter().map(|a| (a.span.to.0, a.members.iter().map(|m| m.storage.0).collect())).collect()
}

#[test]
fn the_second_storage_joins() {
    let mut arcs = ring_of(&[(100, 1)], 3);
    let goal = Goal::of(&arcs).with(Position(50), member(2)).unwrap();
    let told = story(&goal, &mut arcs);
    assert_eq!(
        told,
        [
            "100 split at 50",
            "50 teach, grow 2 at 0",
            "50 sync, filled",
            "100 teach, grow 2 at 1",
            "100 sync, filled"
        ]
    );
    assert_eq!(members(&arcs), [(50, vec![2, 1]), (100, vec![1, 2])]);
}

#[test]
fn the_fourth_storage_joins_and_somebody_falls_out_of_each_arc_it_comes_into() {
    let mut arcs = ring_of(&[(100, 1), (200, 2), (300, 3)], 3);
    let goal = Goal::of(&arcs).with(Position(150), member(4)).unwrap();
    let told = story(&goal, &mut arcs);
    assert_eq!(
        told,
        [
            "200 split at 150",
            "100 teach, grow 4 at 3",
            "100 sync, shrink 3",
            "150 teach, grow 4 at 0",
            "150 sync, shrink 1",
            "300 teach, grow 4 at 3",
            "300 sync, shrink 2",
        ]
    );
    assert_eq!(members(&arcs)[1], (150, vec![4, 2, 3]));
}

#[test]
fn a_storage_leaves_and_its_arc_becomes_part_of_the_next() {
    let mut arcs = ring_of(&[(100, 1), (150, 4), (200, 2), (300, 3)], 3);
    let goal = Goal::of(&arcs).without(StorageId(4)).unwrap();
    let told = story(&goal, &mut arcs);
    assert_eq!(told.last().map(String::as_str), Some("200 absorb"));
    let ends: Vec<u64> = arcs.iter().map(|a| a.span.to.0).collect();
    assert_eq!(ends, [100, 200, 300]);
    assert!(arcs.iter().all(|a| a.members.len() == 3 && !a.has(StorageId(4))));
}

#[test]
fn wherever_a_lonely_storage_is_cut_the_newcomer_gets_the_place() {
    for place in [50, 150] {
        let mut arcs = ring_of(&[(100, 1)], 3);
        let joined = |arcs: &[RingArc]| {
            Goal::leaving_free(arcs, Some(Position(place))).with(Position(place), member(2))
        };
        // The router dies after the cut, and the next one looks at what is there.
        let cut = joined(&arcs).unwrap().step(&arcs).unwrap();
        apply(&mut arcs, &cut);
        arcs.sort_by_key(|arc| arc.span.from);
        story(&joined(&arcs).unwrap(), &mut arcs);
        let mut ends: Vec<u64> = members(&arcs).iter().map(|(end, _)| *end).collect();
        ends.sort_unstable();
        assert_eq!(ends, [100.min(place), 100.max(place)]);
    }
}

#[test]
fn the_last_storage_does_not_leave() {
    let arcs = ring_of(&[(100, 1)], 3);
    assert_eq!(Goal::of(&arcs).without(StorageId(1)), Err(NoGoal::LastStorage));
}

#[test]
fn with_two_members_every_grow_is_synced_first() {
    let mut arcs = ring_of(&[(100, 1), (200, 2)], 3);
    let goal = Goal::of(&arcs).with(Position(300), member(3)).unwrap();
    let told = story(&goal, &mut arcs);
    assert!(
        told.iter().filter(|t| t.contains("grow")).all(|t| t.contains("sync, teach, grow")),
        "{told:?}"
    );
}

#[test]
fn copies_follow_the_wish_up_and_down() {
    let mut arcs = ring_of(&[(100, 1), (200, 2), (300, 3), (400, 4), (500, 5)], 3);
    for copies in [5, 1, 3] {
        let goal = Goal::of(&arcs).with_copies(copies).unwrap();
        story(&goal, &mut arcs);
        assert!(arcs.iter().all(|a| a.copies == copies && a.members.len() == usize::from(copies)));
        assert!(arcs.iter().all(|a| a.first().storage == goal.target(a.span.to)[0].storage));
    }
}

#[test]
fn copies_go_to_other_zones_first() {
    let zoned = |n: u128, zone: &str| Member { zone: zone.into(), ..member(n) };
    let places = [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "c")];
    let places: Vec<_> =
        places.iter().map(|(n, z)| (Position(*n as u64 * 100), zoned(*n, z))).collect();
    let goal = Goal { places, copies: 3, away: vec![] };
    let target = |end| goal.target(Position(end)).iter().map(|m| m.storage.0).collect::<Vec<_>>();
    assert_eq!(target(100), [1, 3, 5]);
    assert_eq!(target(300), [3, 4, 5]);
    assert_eq!(Goal { copies: 4, ..goal.clone() }.target(Position(100)).len(), 4);
}

#[test]
fn a_founder_s_ring_that_was_split_and_left_so_is_one_arc_again() {
    let mut arcs = ring_of(&[(100, 1)], 3);
    let step = Goal::of(&arcs).with(Position(50), member(2)).unwrap().step(&arcs).unwrap();
    apply(&mut arcs, &step);
    assert_eq!(arcs.len(), 2);
    let goal = Goal::of(&arcs);
    story(&goal, &mut arcs);
    assert_eq!(arcs.len(), 1);
}

/// Found by the simulation: a router that knew the sealed arc, and of the upper one only an older form, took the seal
/// back while another absorbed it.
#[test]
fn a_seal_is_taken_back_only_when_the_upper_arc_is_known_to_be_another() {
    let mut arcs = ring_of(&[(100, 1), (200, 2)], 2);
    let (lower, upper) = (arcs[0].clone(), arcs[1].clone());
    let seal = Seal { span: upper.span, epoch: upper.epoch };
    arcs[0] = Decree::Seal { upper: seal }.next(&lower).unwrap().remove(0);
    let step_with = |epoch: u64| {
        let arcs = [arcs[0].clone(), RingArc { epoch, ..upper.clone() }];
        let step = Goal::of(&arcs).step(&arcs).unwrap();
        (step.arc.span.to.0, short(&step.decree))
    };
    assert_eq!(step_with(upper.epoch), (200, "absorb".into()));
    assert_eq!(step_with(upper.epoch + 1), (100, "reopen".into()));
    assert_eq!(step_with(upper.epoch - 1), (200, "copies 2".into()));
}

/// Storage 2 was leaving, and keeps but copies, when 1 and 3 were lost.
#[test]
fn who_was_on_its_way_out_stays_if_it_alone_is_left() {
    let mut arcs = ring_of(&[(100, 1), (300, 3)], 2);
    let gone = [StorageId(1), StorageId(3)];
    assert_eq!(Goal::of(&arcs).surviving(&gone, &arcs), Err(NoGoal::LastStorage));
    arcs[1].members.push(member(2));
    let goal = Goal::of(&arcs).surviving(&gone, &arcs).unwrap();
    assert_eq!(goal.places, [(Position(300), member(2))]);
}

#[test]
fn who_does_not_answer_goes_before_the_others_that_are_to_go() {
    let arcs = ring_of(&[(100, 1), (200, 2), (300, 3)], 3);
    for away in [2, 3] {
        let goal = Goal::of(&arcs).with_copies(1).unwrap().with_away(vec![StorageId(away)]);
        let step = goal.step(&arcs).unwrap();
        assert_eq!(step.arc.span.to, Position(100));
        assert_eq!(step.decree, Decree::Shrink { storage: StorageId(away) });
    }
}

/// Wherever a router dies, the next one finishes or undoes what it finds: from any state on the way, the goal that the
/// arcs stand for is reached, and so is any other goal.
#[test]
fn from_every_half_done_state_the_ring_becomes_whole() {
    let start = ring_of(&[(100, 1), (200, 2), (300, 3), (400, 4)], 3);
    let wishes = [
        Goal::of(&start).with(Position(250), member(5)).unwrap(),
        Goal::of(&start).without(StorageId(2)).unwrap(),
        Goal::of(&start).with_copies(1).unwrap(),
        Goal::of(&start).with_places(&[(StorageId(2), Position(220))]).unwrap(),
        Goal::of(&start).with_places(&[(StorageId(2), Position(150))]).unwrap(),
        Goal::of(&start)
            .with_places(&[1, 2, 3, 4].map(|n| (StorageId(n), Position(n as u64 * 100 + 70))))
            .unwrap(),
    ];
    for first in &wishes {
        let mut steps = 0;
        loop {
            let mut arcs = start.clone();
            let mut taken = 0;
            while taken < steps {
                let Some(step) = first.step(&arcs) else { break };
                apply(&mut arcs, &step);
                taken += 1;
            }
            // Whoever does not answer meanwhile changes the order of the steps, and not where they lead.
            let seconds = wishes.iter().cloned().chain([Goal::of(&arcs)]);
            let away =
                |goal: Goal| (1..=4).map(move |n| goal.clone().with_away(vec![StorageId(n)]));
            for second in seconds.flat_map(away) {
                let mut arcs = arcs.clone();
                story(&second, &mut arcs);
                let ends: Vec<Position> = arcs.iter().map(|a| a.span.to).collect();
                let places: Vec<Position> = second.places.iter().map(|(p, _)| *p).collect();
                assert_eq!(ends, places, "after {steps} steps");
                for arc in &arcs {
                    let target: Vec<_> =
                        second.target(arc.span.to).iter().map(|m| m.storage).collect();
                    assert!(
                        arc.members.len() == target.len() && target.iter().all(|t| arc.has(*t))
                    );
                    assert_eq!(arc.first().storage, target[0]);
                    assert!(arc.filling.is_none() && arc.sealed.is_none());
                }
            }
            if taken < steps {
                break;
            }
            steps += 1;
        }
    }
}

fn apply(arcs: &mut Vec<RingArc>, step: &Step) {
    if let Decree::Absorb { lower } = &step.decree {
        arcs.retain(|arc| arc != lower);
    }
    arcs.retain(|arc| arc != &step.arc);
    arcs.extend(step.decree.next(&step.arc).unwrap());
    arcs.sort_by_key(|arc| arc.span.to);
}

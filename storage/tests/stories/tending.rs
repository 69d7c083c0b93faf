//! What a storage does when nobody asks.

use crate::world::*;
use minor_protocol::{Ballot, Expect, Refusal, Reply, Request};
use minor_storage::{storage::Tended, store::memory::Keep};

#[test]
fn clearing_removes_what_was_left_and_nothing_else() {
    let world = World::member();
    let b = ballot(3, 0);
    let names: Vec<String> = (0..500).map(|n| format!("key {n}")).collect();
    names.iter().for_each(|n| drop(world.yes(accept(n, b, value(b, n)))));
    let middle = 1 << 62;
    let (kept, left) = (half(u64::MAX, middle), half(middle, u64::MAX));
    world.yes(Request::Learn { arcs: vec![part(kept, 4, &[1, 2, 3]), part(left, 4, &[2, 3])] });
    while world.storage.tidy().unwrap() == Tended::Some {}
    let here = names.iter().filter(|n| kept.holds(key(n).position()));
    assert_eq!(world.storage.total().records, here.clone().count() as u64);
    assert!(here.into_iter().all(|n| world.read(n, 4).is_some()));
    let counted = world.storage.total();
    let after = world.after_stop();
    assert_eq!(after.storage.total(), counted);
    assert!(after.storage.hello_now().kept.iter().all(|k| !k.damaged));
}

#[test]
fn a_store_of_its_own_sweeps_what_was_deleted_and_what_expired() {
    let world = World::plain();
    world.put("stays", "v");
    world.put("goes", "v");
    world.change("goes", delete()).unwrap();
    world.change("brief", set(Expect::Anything, "v", Some(NOW + 10))).unwrap();
    world.scrub_all(NOW);
    assert_eq!(
        world.storage.total().records,
        2,
        "the tombstone is swept, the brief one still lives"
    );
    world.scrub_all(NOW + 10);
    let total = world.storage.total();
    assert_eq!((total.records, total.tombstones), (1, 0));
    world.put("goes", "again");
    assert!(world.after_crash(Keep::Durable).read("goes", 0).is_some());
}

#[test]
fn where_there_are_other_members_a_storage_does_not_sweep_alone() {
    let world = World::member();
    let b = ballot(3, 0);
    world.yes(accept("k", b, tombstone(b)));
    world.scrub_all(NOW);
    assert_eq!(world.read("k", 3), Some((b, tombstone(b))));
}

/// Rule 22: promises are forgotten only under a floor that stands for them.
#[test]
fn promises_are_forgotten_only_under_a_raised_floor() {
    let world = World::member();
    // All of one cell, since a tag decides the place.
    let names: Vec<String> = (0..100).map(|n| format!("{{tag}}{n}")).collect();
    let at = |n: usize| ballot(3, n as i64);
    for (n, name) in names.iter().enumerate() {
        world.yes(prepare(name, at(n)));
        while world.storage.tidy().unwrap() == Tended::Some {}
    }
    let floor = world.storage.hello_now().kept[0].floor;
    assert!(floor > Ballot::first_of(3), "room was made");
    for (n, name) in names.iter().enumerate() {
        let below = Ballot { clock: minor_protocol::Moment(at(n).clock.0 - 1), ..at(n) };
        assert!(
            matches!(world.no(prepare(name, below)), Refusal::Refused { .. }),
            "'{name}' forgot"
        );
    }
    let after = world.after_crash(Keep::Prefix(usize::MAX));
    assert_eq!(after.storage.hello_now().kept[0].floor, floor);
}

#[test]
fn more_promises_than_can_be_remembered_are_not_made() {
    let world = World::member();
    let mut refused = 0;
    for n in 0..1_000 {
        match world.say(prepare(&format!("{{tag}}{n}"), ballot(3, n))) {
            Ok(Reply::Promised { .. }) => {}
            Err(Refusal::TooMuch) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(refused > 800, "{refused}");
    while world.storage.tidy().unwrap() == Tended::Some {}
    world.yes(prepare("{tag}5", ballot(3, 2_000)));
}

#[test]
fn a_scrub_says_how_much_it_has_gone_through() {
    let world = World::member();
    assert_eq!(world.scrub_all(NOW), 0);
    let b = ballot(3, 0);
    world.yes(accept("k", b, value(b, &"v".repeat(5_000))));
    assert!((5_000..6_000).contains(&world.scrub_all(NOW)));
}

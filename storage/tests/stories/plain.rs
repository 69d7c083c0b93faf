//! A store of its own, as curl meets it.

use crate::world::*;
use minor_protocol::{Expect, Refusal, Reply, message::Outcome, record::Stamp};
use minor_storage::storage::{Elsewhere, Local};
use std::sync::atomic::{AtomicU64, Ordering};

fn look(world: &World, name: &str) -> Option<Vec<u8>> {
    match world.storage.look(&key(name), NOW).wait().unwrap().unwrap() {
        Local::Copy(state) => state.map(|s| s.value),
        Local::Elsewhere(_) => panic!("a plain store keeps everything"),
    }
}

fn outcome(answer: Result<Reply, Refusal>) -> (Outcome, Option<Stamp>) {
    match answer {
        Ok(Reply::Changed { outcome, shown, .. }) => {
            (outcome, shown.and_then(|s| s.content.header().stamp()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_put_is_found_and_what_is_deleted_is_not() {
    let world = World::plain();
    assert_eq!(look(&world, "k"), None);
    assert_eq!(world.put("k", "v"), Outcome::Done);
    assert_eq!(look(&world, "k"), Some(b"v".to_vec()));
    assert_eq!(outcome(world.change("k", delete())).0, Outcome::Done);
    assert_eq!(look(&world, "k"), None);
    assert_eq!(outcome(world.change("k", delete())).0, Outcome::Kept);
}

#[test]
fn conditions_hold_at_the_very_moment_of_the_change() {
    let world = World::plain();
    let change = |expect, text| outcome(world.change("k", set(expect, text, None)));
    assert_eq!(change(Expect::Present, "0").0, Outcome::NotMet);
    let (done, first) = change(Expect::Absent, "1");
    assert_eq!(done, Outcome::Done);
    assert_eq!(change(Expect::Absent, "2").0, Outcome::NotMet);
    let (done, second) = change(Expect::Stamp(first.unwrap()), "3");
    assert_eq!(done, Outcome::Done);
    assert_eq!(change(Expect::Stamp(first.unwrap()), "4").0, Outcome::NotMet);
    assert!(second > first);
    assert_eq!(look(&world, "k"), Some(b"3".to_vec()));
}

#[test]
fn of_many_who_count_at_once_nobody_s_step_is_lost() {
    let world = World::plain();
    world.put("counter", "0");
    let tried = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    loop {
                        tried.fetch_add(1, Ordering::Relaxed);
                        let Local::Copy(Some(state)) =
                            world.storage.look(&key("counter"), NOW).wait().unwrap().unwrap()
                        else {
                            panic!("the counter is there");
                        };
                        let next =
                            String::from_utf8(state.value.clone()).unwrap().parse::<u64>().unwrap()
                                + 1;
                        let expect = Expect::Stamp(state.header.stamp().unwrap());
                        let change = set(expect, &next.to_string(), None);
                        if outcome(world.change("counter", change)).0 == Outcome::Done {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(look(&world, "counter"), Some(b"800".to_vec()));
    let counted = world.storage.total();
    assert_eq!(world.after_stop().storage.total(), counted);
}

/// Its own ballots only ever rise, so a store of its own has no promise to remember, and no limit to reach.
#[test]
fn any_number_of_changes_that_change_nothing_is_answered() {
    let world = World::plain();
    for n in 0..2_000 {
        let name = format!("{{tag}}{n}");
        assert_eq!(outcome(world.change(&name, delete())).0, Outcome::Kept);
    }
}

#[test]
fn an_expired_value_is_not_found() {
    let world = World::plain();
    world.change("k", set(Expect::Anything, "v", Some(NOW))).unwrap();
    assert_eq!(look(&world, "k"), None);
    world.change("l", set(Expect::Anything, "v", Some(NOW + 1))).unwrap();
    assert!(look(&world, "l").is_some());
    assert!(world.storage.page("", None, 10, NOW + 1).wait().unwrap().unwrap().rows.is_empty());
}

#[test]
fn a_clock_that_falls_back_does_not_hold_up_a_store_of_its_own() {
    let world = World::plain();
    world.put("k", "v");
    let later = world.after_stop();
    let back = NOW - 500_000;
    let change = later.storage.change_alone(&key("k"), set(Expect::Anything, "w", None), back);
    assert_eq!(outcome(change.wait().unwrap()).0, Outcome::Done);
    assert_eq!(look(&later, "k"), Some(b"w".to_vec()));
}

#[test]
fn a_page_shows_the_keys_in_ring_order_and_where_to_go_on() {
    let world = World::plain();
    for n in 0..25 {
        world.put(&format!("a/{n}"), "v");
        world.put(&format!("b/{n}"), "v");
    }
    world.change("a/3", delete()).unwrap();
    let (mut seen, mut after, mut pages) = (vec![], None, 0);
    loop {
        let page = world.storage.page("a/", after.as_ref(), 10, NOW).wait().unwrap().unwrap();
        assert!(page.rows.len() <= 10);
        seen.extend(page.rows.into_iter().map(|row| row.key));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(pages >= 3);
    assert_eq!(seen.len(), 24, "25 less the deleted one, and none of the others");
    assert!(seen.windows(2).all(|w| w[0].position() < w[1].position()));
}

#[test]
fn in_a_ring_a_key_of_another_arc_is_looked_for_elsewhere() {
    let world = World::member();
    world.yes(minor_protocol::Request::Learn { arcs: vec![arc(4, &[2, 3])] });
    let there = world.storage.look(&key("k"), NOW).wait().unwrap().unwrap();
    assert_eq!(there, Local::Elsewhere(Elsewhere::There(member(2))));
}

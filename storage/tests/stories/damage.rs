//! A storage that cannot trust itself says so.

use crate::world::*;
use minor_protocol::{Answer, Ask, Key, Refusal, Reply, Request, RingArc, Span};
use minor_storage::{
    storage::Tended,
    store::{
        Farewell, Store, Tree,
        memory::{Keep, MemoryStore},
    },
};

fn row(name: &str) -> Vec<u8> {
    let key: Key = key(name);
    [&key.position().0.to_be_bytes()[..], name.as_bytes()].concat()
}

fn with_three_keys(world: World) -> World {
    let epoch = world.epoch().unwrap();
    let b = ballot(epoch, 0);
    for name in ["a", "b", "c"] {
        world.yes(accept(name, b, value(b, name)));
    }
    world
}

fn is_damaged(answer: &Answer) -> bool {
    matches!(answer, Err(Refusal::Damaged { .. }))
}

/// Rule 24.
#[test]
fn a_bad_record_is_damage_and_never_absent() {
    for bit in [0, 40, 300, 420] {
        let world = with_three_keys(World::member());
        world.disk.flip_bit(Tree::Records, &row("b"), bit);
        assert!(is_damaged(&world.say(read("b", 3))), "bit {bit}");
        assert!(is_damaged(&world.say(prepare("b", ballot(3, 1)))));
        assert!(is_damaged(&world.say(accept("b", ballot(3, 1), value(ballot(3, 1), "w")))));
        // Once it is known, the arc is answered for no more, across restarts, until it is dropped and filled again.
        assert_eq!(world.storage.tidy(), Ok(Tended::Some));
        assert!(is_damaged(&world.say(read("a", 3))));
        let after = world.after_crash(Keep::Durable);
        assert!(is_damaged(&after.say(read("a", 3))));
        after.yes(Request::Learn { arcs: vec![arc(4, &[2, 3])] });
        while after.storage.tidy().unwrap() == Tended::Some {}
        let filling = RingArc { filling: Some(ME), ..arc(5, &[1, 2, 3]) };
        after.yes(Request::Learn { arcs: vec![filling] });
        assert_eq!(after.read("b", 5), None);
    }
}

#[test]
fn a_bad_record_is_found_at_the_next_start() {
    let world = with_three_keys(World::member());
    world.disk.flip_bit(Tree::Records, &row("b"), 300);
    let after = world.after_crash(Keep::Durable);
    assert!(is_damaged(&after.say(read("a", 3))));
}

#[test]
fn the_scrub_finds_a_record_that_rotted_while_nobody_looked() {
    let world = with_three_keys(World::member());
    world.disk.flip_bit(Tree::Records, &row("b"), 300);
    world.scrub_all(NOW);
    assert!(is_damaged(&world.say(read("a", 3))));
}

/// Rule 25: the silent loss that no checksum shows.
#[test]
fn a_record_that_is_silently_gone_is_damage() {
    let world = with_three_keys(World::member());
    world.disk.put(Tree::Records, &row("b"), None).unwrap();
    world.scrub_all(NOW);
    assert!(is_damaged(&world.say(read("b", 3))), "while running");

    let world = with_three_keys(World::member());
    world.storage.close().unwrap();
    let disk = world.disk.crash(Keep::Durable);
    disk.put(Tree::Records, &row("b"), None).unwrap();
    let after = World { storage: open(&disk), disk };
    assert!(is_damaged(&after.say(read("b", 3))), "at the next start");
}

#[test]
fn a_record_in_an_older_form_than_was_left_is_damage() {
    let world = with_three_keys(World::member());
    let old = world.disk.get(Tree::Records, &row("b")).unwrap().unwrap();
    world.yes(accept("b", ballot(3, 5), value(ballot(3, 5), "new")));
    world.storage.close().unwrap();
    let disk = world.disk.crash(Keep::Durable);
    disk.put(Tree::Records, &row("b"), Some(&old)).unwrap();
    let after = World { storage: open(&disk), disk };
    assert!(is_damaged(&after.say(read("b", 3))));
}

#[test]
fn what_adds_up_is_served_again() {
    let after = with_three_keys(World::member()).after_stop();
    assert!(["a", "b", "c"].iter().all(|n| after.read(n, 3).is_some()));
    after.scrub_all(NOW);
    assert!(after.read("a", 3).is_some());
    // And a crash later there is no farewell to disagree with.
    let b = ballot(3, 20_000);
    after.yes(accept("d", b, value(b, "d")));
    assert_eq!(after.disk.farewell(), Farewell::None);
    let again = after.after_crash(Keep::Durable);
    assert!(again.read("d", 3).is_some());
}

#[test]
fn a_bad_page_of_the_notebook_is_damage_of_the_whole() {
    let world = World::member();
    let _ = &world.storage;
    for page in ["identity", "chart", "ceiling"] {
        let world = with_three_keys(World::member());
        world.disk.flip_bit(Tree::Rest, page.as_bytes(), 77);
        let disk: MemoryStore = world.disk.crash(Keep::Durable);
        let settings = minor_storage::storage::Settings {
            fresh_id: ME,
            address: "127.0.0.1:8000".into(),
            zone: String::new(),
            durability: minor_storage::storage::Durability::Always,
        };
        let opened = minor_storage::storage::Storage::open(std::sync::Arc::new(disk), settings);
        assert!(
            matches!(opened, Err(minor_storage::store::Fault::Damage { .. })),
            "the page '{page}' was believed"
        );
    }
}

/// Rule 27, as far as a storage can see it: somebody saw a later start of it.
#[test]
fn an_old_copy_of_a_directory_is_not_served() {
    let world = with_three_keys(World::member());
    let old_copy = world.disk.crash(Keep::Durable);
    let later = world.after_crash(Keep::Durable).after_crash(Keep::Durable);
    let seen = later.storage.starts();
    let restored = World { storage: open(&old_copy), disk: old_copy };
    assert!(restored.storage.starts() < seen);
    let ask = Ask { starts: seen, ..restored.ask(vec![read("a", 3)]) };
    let answers = restored.storage.work(ask, NOW).wait().unwrap().answers;
    assert!(matches!(answers[0], Err(Refusal::Restored { .. })), "{answers:?}");
    assert!(is_damaged(&restored.say(read("a", 3))), "nor to those who do not know");
    let ask = Ask { starts: seen, ..later.ask(vec![read("a", 3)]) };
    assert!(later.storage.work(ask, NOW).wait().unwrap().answers[0].is_ok());
}

#[test]
fn in_a_plain_store_one_bad_record_is_one_bad_key() {
    let world = World::plain();
    for n in ["a", "b"] {
        world.put(n, n);
    }
    world.disk.flip_bit(Tree::Records, &row("b"), 300);
    let look = |name| world.storage.look(&key(name), NOW).wait().unwrap();
    assert!(matches!(look("b"), Err(Refusal::Damaged { .. })));
    let _ = world.storage.tidy();
    assert!(look("a").is_ok());
    let listing = Request::List { span: Span::WHOLE, epoch: 0, after: None, limit: 10 };
    assert!(is_damaged(&world.say(listing)), "a listing must not pass over it");
    assert!(matches!(world.yes(read("a", 0)), Reply::Found { shown: Some(_) }));
}

/// A missing record would look absent, and a store of its own has nobody to fill it again: nothing is answered.
#[test]
fn a_plain_store_that_lost_a_record_says_so_now_and_at_the_next_start() {
    let world = World::plain();
    for n in ["a", "b"] {
        world.put(n, n);
    }
    world.disk.put(Tree::Records, &row("b"), None).unwrap();
    world.scrub_all(NOW);
    let look = |world: &World, name| world.storage.look(&key(name), NOW).wait().unwrap();
    assert!(matches!(look(&world, "b"), Err(Refusal::Damaged { .. })), "while running");

    let world = World::plain();
    for n in ["a", "b"] {
        world.put(n, n);
    }
    world.storage.close().unwrap();
    let disk = world.disk.crash(Keep::Durable);
    disk.put(Tree::Records, &row("b"), None).unwrap();
    let after = World { storage: open(&disk), disk };
    assert!(matches!(look(&after, "b"), Err(Refusal::Damaged { .. })), "at the next start");
}

#[test]
fn a_plain_store_with_one_bad_record_serves_the_others_after_a_restart_too() {
    let world = World::plain();
    for n in ["a", "b"] {
        world.put(n, n);
    }
    world.disk.flip_bit(Tree::Records, &row("b"), 300);
    world.scrub_all(NOW);
    let mut after = world.after_stop();
    for _ in 0..2 {
        let look = |name| after.storage.look(&key(name), NOW).wait().unwrap();
        assert!(look("a").is_ok());
        assert!(matches!(look("b"), Err(Refusal::Damaged { .. })));
        after = after.after_stop();
    }
}

/// Nobody can know better of a store of its own, and nobody could fill it again.
#[test]
fn a_plain_store_is_not_talked_into_being_damaged() {
    let world = World::plain();
    world.put("a", "a");
    let ask = Ask { starts: 99, ..world.ask(vec![read("a", 0)]) };
    let answers = world.storage.work(ask, NOW).wait().unwrap().answers;
    assert!(matches!(answers[0], Err(Refusal::Restored { .. })));
    assert!(world.read("a", 0).is_some());
}

//! Coming into a ring, and remembering neighbours.

use crate::world::*;
use minor_protocol::{
    Refusal, Reply, Request, RingId, Span,
    message::{Neighbour, PlainRecords},
};
use minor_storage::{storage::Tended, store::memory::Keep};

#[test]
fn what_a_founder_kept_alone_is_the_ring_s_first_content() {
    let world = World::plain();
    world.put("k", "v");
    let (_, before) = world.read("k", 0).unwrap();
    assert_eq!(world.yes(Request::Found { ring: RING, copies: 3 }), Reply::Entered);
    assert_eq!(world.yes(Request::Found { ring: RING, copies: 3 }), Reply::Entered, "said twice");
    assert_eq!(world.read("k", 1).unwrap().1, before);
    assert!(matches!(world.no(read("k", 0)), Refusal::Stale { .. }));
    assert!(matches!(
        world.no(Request::Found { ring: RingId(5), copies: 3 }),
        Refusal::Stranger { .. }
    ));
    assert!(world.change("k", delete()).is_err(), "in a ring, routers write");
}

#[test]
fn a_storage_with_records_of_its_own_is_not_taken_in_by_mistake() {
    let world = World::plain();
    world.put("k", "v");
    let enter = |plain| Request::Enter { ring: RING, plain };
    assert_eq!(world.no(enter(PlainRecords::Refuse)), Refusal::HoldsPlain { records: 1 });
    assert!(world.read("k", 0).is_some(), "nothing was lost");
    assert_eq!(world.yes(enter(PlainRecords::Discard)), Reply::Entered);
    assert_eq!(world.storage.hello_now().wiping, [Span::WHOLE]);
    while world.storage.tidy().unwrap() == Tended::Some {}
    assert_eq!((world.storage.total().records, world.storage.hello_now().wiping), (0, vec![]));
}

#[test]
fn deleted_records_hold_nobody_up() {
    let world = World::plain();
    world.put("k", "v");
    world.change("k", delete()).unwrap();
    assert_eq!(
        world.yes(Request::Enter { ring: RING, plain: PlainRecords::Refuse }),
        Reply::Entered
    );
}

#[test]
fn arcs_of_another_ring_are_not_learned() {
    let world = World::member();
    let foreign = minor_protocol::RingArc { ring: RingId(5), ..arc(9, &[2, 3]) };
    assert!(matches!(world.no(Request::Learn { arcs: vec![foreign] }), Refusal::Malformed(_)));
    assert_eq!(world.epoch(), Some(3));
}

#[test]
fn neighbours_are_remembered() {
    let world = World::member();
    let near = |n| Neighbour { member: member(n), starts: 4 };
    let rewire = |predecessor, successors| Request::Rewire { predecessor, successors };
    world.yes(rewire(Some(near(2)), vec![near(3), near(2)]));
    let hello = world.after_crash(Keep::Durable).storage.hello_now();
    assert_eq!(hello.predecessor, Some(near(2)));
    assert_eq!(hello.successors, [near(3), near(2)]);
}

#[test]
fn whoever_is_left_alone_has_no_neighbours_any_more() {
    let world = World::member();
    let near = |n| Neighbour { member: member(n), starts: 4 };
    world.yes(Request::Rewire { predecessor: Some(near(2)), successors: vec![near(2)] });
    let alone = Request::Rewire { predecessor: None, successors: vec![] };
    world.yes(alone.clone());
    let hello = world.after_crash(Keep::Durable).storage.hello_now();
    assert_eq!((hello.predecessor, hello.successors), (None, vec![]));
    let changes = world.disk.changes();
    world.yes(alone);
    assert_eq!(world.disk.changes(), changes, "what is known already is not written again");
}
